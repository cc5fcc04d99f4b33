/* SPDX-License-Identifier: BSD-2-Clause */
/* The io_uring loop on real files, sockets, timers and signals. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/loop.h"

static char dir[] = "/tmp/core_loop.XXXXXX";

struct request {
	struct op op;
	struct file *file;
	struct io io;
};

static void
request_run(struct op *op)
{
	struct request *r = op_owner(op, struct request);

	if (op->step++ == 0)
		file_submit(r->file, &r->io, op);
	else
		op_end(op);
}
static const struct op_type request_type = { .name = "request",
    .run = request_run };

static int
do_io(struct loop *loop, struct file *file, enum io_kind kind, uint64_t off,
    void *buf, size_t len, unsigned flags)
{
	struct iovec iov[2] = { { buf, len / 2 },
	    { (uint8_t *)buf + len / 2, len - len / 2 } };
	struct request r = { .file = file };

	io_init(&r.io, kind, off, len, iov, 2, flags);
	op_start(&r.op, &request_type, loop_sched(loop), NULL);
	loop_run_op(loop, &r.op);
	return r.io.result;
}

static struct loop *
new_loop(void)
{
	struct err err = { 0 };
	struct loop *loop = loop_new(&err);

	if (loop == NULL)
		fail_msg("%s; %s", err.text, err.hint);
	return loop;
}

static void
make_image(char *path, size_t size, const char *where, off_t len)
{
	int fd;

	snprintf(path, size, "%s/%s", where, "image");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	close(fd);
}

static void
file_round_trip(const char *where)
{
	struct loop *loop = new_loop();
	struct file_info info;
	struct file *file;
	struct err err = { 0 };
	char path[128];
	uint8_t *a, *b;

	make_image(path, sizeof(path), where, 1 << 20);
	a = aligned_alloc(4096, 16384);
	assert_non_null(a);
	b = aligned_alloc(4096, 16384);
	assert_non_null(b);
	memset(a, 0x5a, 16384);
	assert_int_equal(file_open(loop, path, FILE_EXCL | FILE_DIRECT, &file,
	    &err), 0);
	file_get_info(file, &info);
	assert_int_equal(info.size, 1 << 20);
	assert_false(info.is_device);
	assert_int_equal(do_io(loop, file, IO_WRITE, 8192, a, 16384, 0), 0);
	assert_int_equal(do_io(loop, file, IO_WRITE, 65536, a, 8192, IO_FUA),
	    0);
	assert_int_equal(do_io(loop, file, IO_FLUSH, 0, NULL, 0, 0), 0);
	assert_int_equal(do_io(loop, file, IO_READ, 8192, b, 16384, 0), 0);
	assert_memory_equal(a, b, 16384);
	assert_int_equal(do_io(loop, file, IO_ZERO, 8192, NULL, 4096, IO_FUA),
	    0);
	assert_int_equal(do_io(loop, file, IO_DISCARD, 12288, NULL, 4096, 0),
	    0);
	assert_int_equal(do_io(loop, file, IO_READ, 8192, b, 16384, 0), 0);
	memset(a, 0, 8192);
	assert_memory_equal(a, b, 16384);
	file_close(file);
	free(a);
	free(b);
	unlink(path);
	loop_free(loop);
}

static void
file_reads_back_what_was_written(void **state)
{
	(void)state;
	file_round_trip(dir);
}

static void
tmpfs_file_is_served_inline(void **state)
{
	(void)state;
	file_round_trip("/dev/shm");
}

static void
reading_past_the_end_is_an_error(void **state)
{
	struct loop *loop = new_loop();
	struct file *file;
	struct err err = { 0 };
	char path[128];
	uint8_t *b;

	(void)state;
	make_image(path, sizeof(path), dir, 8192);
	b = aligned_alloc(4096, 8192);
	assert_non_null(b);
	assert_int_equal(file_open(loop, path, 0, &file, &err), 0);
	assert_int_equal(do_io(loop, file, IO_READ, 4096, b, 8192, 0), -EIO);
	file_close(file);
	free(b);
	loop_free(loop);
}

static void
open_errors_say_what_to_do(void **state)
{
	struct loop *loop = new_loop();
	struct file *file, *other;
	struct err err = { 0 };
	char path[128];

	(void)state;
	assert_int_equal(file_open(loop, "/nonexistent/disk", 0, &file, &err),
	    -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/disk"));
	assert_true(err.hint[0] != '\0');
	err_clear(&err);
	assert_int_equal(file_open(loop, dir, 0, &file, &err), -EINVAL);
	err_clear(&err);
	make_image(path, sizeof(path), dir, 4096);
	assert_int_equal(file_open(loop, path, FILE_EXCL, &file, &err), 0);
	assert_int_equal(file_open(loop, path, FILE_EXCL, &other, &err),
	    -EBUSY);
	assert_non_null(strstr(err.text, "in use"));
	file_close(file);
	loop_free(loop);
}

/* --- timers --- */

struct ticker {
	struct loop *loop;
	struct timer timer;
	unsigned *order, rank, want;
};

static void
tick(void *arg)
{
	struct ticker *t = arg;

	t->rank = ++*t->order;
	if (t->rank == t->want)
		loop_stop(t->loop);
}

static void
timers_fire_in_order_of_time(void **state)
{
	struct loop *loop = new_loop();
	struct ticker t[20] = { 0 };
	unsigned order = 0;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		t[i].loop = loop;
		t[i].order = &order;
		t[i].want = 19;
		timer_start(loop, &t[i].timer, (i * 7) % 20, tick, &t[i]);
	}
	timer_stop(loop, &t[0].timer);
	loop_run(loop);
	assert_int_equal(order, 19);
	for (unsigned i = 1; i < 20; i++)
		assert_int_equal(t[i].rank, (i * 7) % 20);
	loop_free(loop);
}

static void
on_signal(void *arg)
{
	loop_stop(arg);
}

static void
signal_is_delivered_in_a_turn(void **state)
{
	struct loop *loop = new_loop();

	(void)state;
	assert_int_equal(loop_on_signal(loop, SIGUSR1, on_signal, loop), 0);
	raise(SIGUSR1);
	loop_run(loop);
	loop_free(loop);
}

/* --- sockets --- */

#define ECHO_LEN 300000u

struct echo {
	struct op op;
	struct loop *loop;
	struct sock *sock;
	struct io io;
	struct iovec iov;
	uint8_t *buf;
	size_t got;
};

enum { E_RECV, E_CHECK, E_SENT };

static void
echo_run(struct op *op)
{
	struct echo *e = op_owner(op, struct echo);

	switch (op->step) {
	case E_RECV:
		e->iov = (struct iovec){ e->buf + e->got, ECHO_LEN - e->got };
		sock_recv(e->sock, &e->io, &e->iov, 1, op);
		op->step = E_CHECK;
		return;
	case E_CHECK:
		assert_true(e->io.result > 0);
		e->got += (size_t)e->io.result;
		op->step = E_RECV;
		if (e->got < ECHO_LEN)
			return;
		e->iov = (struct iovec){ e->buf, ECHO_LEN };
		sock_send(e->sock, &e->io, &e->iov, 1, op);
		op->step = E_SENT;
		return;
	case E_SENT:
		assert_int_equal(e->io.result, ECHO_LEN);
		sock_close(e->sock);
		loop_stop(e->loop);
		op_end(op);
		return;
	}
	fail();
}
static const struct op_type echo_type = { .name = "echo", .run = echo_run };

static void
on_accept(void *arg, struct sock *sock)
{
	struct echo *e = arg;

	e->sock = sock;
	op_start(&e->op, &echo_type, loop_sched(e->loop), NULL);
}

/* A client process: sends ECHO_LEN bytes, wants them back. */
static void
client(int fd, const struct sockaddr *sa, socklen_t len)
{
	uint8_t *out = malloc(ECHO_LEN), *in = malloc(ECHO_LEN);
	size_t got = 0;

	for (unsigned i = 0; i < ECHO_LEN; i++)
		out[i] = (uint8_t)(i * 31);
	if (connect(fd, sa, len) != 0)
		_exit(2);
	if (write(fd, out, ECHO_LEN) != ECHO_LEN)
		_exit(3);
	while (got < ECHO_LEN) {
		ssize_t n = read(fd, in + got, ECHO_LEN - got);

		if (n <= 0)
			_exit(4);
		got += (size_t)n;
	}
	_exit(memcmp(in, out, ECHO_LEN) == 0 ? 0 : 5);
}

static void
echo_over(const struct sock_addr *want)
{
	struct loop *loop = new_loop();
	struct echo e = { .loop = loop, .buf = malloc(ECHO_LEN) };
	struct listener *listener, *second;
	struct sock_addr addr;
	struct err err = { 0 };
	int status;
	pid_t pid;

	assert_int_equal(listener_open(loop, want, on_accept, &e, &listener,
	    &err), 0);
	listener_get_addr(listener, &addr);
	if (addr.port != 0) {
		assert_int_equal(listener_open(loop, &addr, on_accept, &e,
		    &second, &err), -EADDRINUSE);
		assert_true(err.hint[0] != '\0');
	}
	pid = fork();
	if (pid == 0 && addr.port != 0) {
		struct sockaddr_in in = { .sin_family = AF_INET,
		    .sin_port = htons(addr.port),
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		client(socket(AF_INET, SOCK_STREAM, 0),
		    (struct sockaddr *)&in, sizeof(in));
	} else if (pid == 0) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		strcpy(un.sun_path, addr.text);
		client(socket(AF_UNIX, SOCK_STREAM, 0),
		    (struct sockaddr *)&un, sizeof(un));
	}
	loop_run(loop);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	listener_close(listener);
	free(e.buf);
	loop_free(loop);
}

static void
tcp_echo_over_ipv4_any_and_unix(void **state)
{
	struct sock_addr v4 = { .text = "127.0.0.1" }, any = { .text = "" };
	struct sock_addr un = { .text = "" };

	(void)state;
	echo_over(&v4);
	echo_over(&any);
	snprintf(un.text, sizeof(un.text), "%s/sock", dir);
	echo_over(&un);
}

/* The listening socket is found by its port: the loop does not tell. */
static int
find_listening(uint16_t port)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in in = { .sin_family = AF_UNSPEC };
		socklen_t len = sizeof(in);

		if (getsockname(fd, (struct sockaddr *)&in, &len) == 0 &&
		    in.sin_family == AF_INET && ntohs(in.sin_port) == port)
			return fd;
	}
	return -1;
}

static void
listener_does_not_let_bbr_pace(void **state)
{
	struct sock_addr addr = { .text = "127.0.0.1" };
	struct listener *listener;
	struct err err = { 0 };
	struct loop *loop = loop_new(&err);
	char name[16] = "";
	socklen_t len = sizeof(name) - 1;
	int fd;

	(void)state;
	assert_int_equal(listener_open(loop, &addr, on_accept, NULL,
	    &listener, &err), 0);
	listener_get_addr(listener, &addr);
	fd = find_listening(addr.port);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
	    &len), 0);
	assert_string_not_equal(name, "bbr");
	listener_close(listener);
	loop_free(loop);
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
remove_dir(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return system(cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_reads_back_what_was_written),
		cmocka_unit_test(tmpfs_file_is_served_inline),
		cmocka_unit_test(reading_past_the_end_is_an_error),
		cmocka_unit_test(open_errors_say_what_to_do),
		cmocka_unit_test(timers_fire_in_order_of_time),
		cmocka_unit_test(signal_is_delivered_in_a_turn),
		cmocka_unit_test(tcp_echo_over_ipv4_any_and_unix),
		cmocka_unit_test(listener_does_not_let_bbr_pace),
	};

	return cmocka_run_group_tests_name("core/loop", tests, make_dir,
	    remove_dir);
}
