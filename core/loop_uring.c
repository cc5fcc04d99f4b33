/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real loop: one thread, one io_uring.
 *
 * A turn submits everything the last one started and waits, in one
 * io_uring_enter.  After work it first polls for spin_us, because a sleep and
 * a wake-up cost more than many requests; an idle loop sleeps.
 *
 * The table of ring set-ups below is the whole of what differs between
 * kernels from 6.1 on; the first that the kernel takes is used.
 */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define LOG_AREA LOG_CORE
#include "core/log.h"
#include "core/loop_uring_priv.h"

#define SQ_ENTRIES 1024u
#define CQ_ENTRIES 8192u

static const struct {
	unsigned flags;
	const char *name;
} setups[] = {
	{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
	    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE, "defer-taskrun" },
	{ IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL |
	    IORING_SETUP_CQSIZE, "coop-taskrun" },
	{ IORING_SETUP_CQSIZE, "plain" },
};

static uint64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static int
ring_open(struct loop *loop, struct err *err)
{
	int res = 0;

	for (size_t i = 0; i < nitems(setups); i++) {
		struct io_uring_params params = {
			.flags = setups[i].flags, .cq_entries = CQ_ENTRIES,
		};

		res = io_uring_queue_init_params(SQ_ENTRIES, &loop->ring,
		    &params);
		if (res == 0) {
			log_debug("ring set-up %s", setups[i].name);
			return 0;
		}
		if (res != -EINVAL)
			break;
	}
	err_set(err, -res, "io_uring is not available: %s", strerror(-res));
	if (res == -EPERM)
		err_hint(err, "allow it: sysctl kernel.io_uring_disabled=0, "
		    "and let the service use the io_uring system calls");
	else if (res == -ENOMEM)
		err_hint(err, "raise the limit of locked memory "
		    "(LimitMEMLOCK=infinity)");
	else
		err_hint(err, "Linux 6.1 or newer is needed");
	return res;
}

struct loop *
loop_new(struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL) {
		err_set(err, ENOMEM, "no memory for the event loop");
		return NULL;
	}
	op_sched_init(&loop->sched);
	loop->signal_fd = -1;
	LIST_INIT(&loop->listeners);
	loop->zeroes = mmap(NULL, ZERO_LEN, PROT_READ,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (loop->zeroes == MAP_FAILED || ring_open(loop, err) != 0) {
		err_set(err, ENOMEM, "no memory for the event loop");
		free(loop);
		return NULL;
	}
	loop->now_ns = loop->sched.now_ns = clock_ns();
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	assert(loop->sched.running == NULL);
	io_uring_queue_exit(&loop->ring);
	uring_listeners_free(loop);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	munmap(loop->zeroes, ZERO_LEN);
	timer_heap_fini(&loop->timers);
	free(loop);
}

struct io_uring_sqe *
loop_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&loop->ring)) == NULL) {
		int res = io_uring_submit(&loop->ring);

		loop->stats.enters++;
		if (res < 0 && res != -EAGAIN && res != -EBUSY &&
		    res != -EINTR)
			bug("io_uring_submit: %s", strerror(-res));
	}
	return sqe;
}

void
loop_sqe_tag(struct io_uring_sqe *sqe, void *ptr, enum uring_tag tag)
{
	uintptr_t v = (uintptr_t)ptr;

	assert((v & TAG_MASK) == 0);
	assert(ptr != NULL || tag == TAG_IGNORE);
	io_uring_sqe_set_data64(sqe, v | tag);
}

/* --- signals --- */

static void
signal_arm(struct loop *loop)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	io_uring_prep_poll_add(sqe, loop->signal_fd, POLLIN);
	loop_sqe_tag(sqe, loop, TAG_SIGNAL);
}

static void
signal_done(struct loop *loop)
{
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info))
		for (unsigned i = 0; i < loop->nsignals; i++)
			if (loop->signals[i].signo == (int)info.ssi_signo)
				loop->signals[i].fn(loop->signals[i].arg);
	signal_arm(loop);
}

int
loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg), void *arg)
{
	bool first = loop->signal_fd < 0;
	sigset_t set;
	int fd;

	assert(loop->nsignals < LOOP_SIGNALS_MAX);
	assert(signo > 0 && fn != NULL);
	loop->signals[loop->nsignals].signo = signo;
	loop->signals[loop->nsignals].fn = fn;
	loop->signals[loop->nsignals++].arg = arg;
	sigemptyset(&set);
	for (unsigned i = 0; i < loop->nsignals; i++)
		sigaddset(&set, loop->signals[i].signo);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	fd = signalfd(loop->signal_fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	loop->signal_fd = fd;
	if (first)
		signal_arm(loop);
	return 0;
}

/* --- the turn --- */

static void
dispatch(struct loop *loop, const struct io_uring_cqe *cqe)
{
	uintptr_t data = (uintptr_t)cqe->user_data;
	void *ptr = (void *)(data & ~(uintptr_t)TAG_MASK);

	switch ((enum uring_tag)(data & TAG_MASK)) {
	case TAG_FILE:
		uring_file_done(ptr, cqe->res);
		return;
	case TAG_SOCK:
		uring_sock_done(ptr, cqe->res);
		return;
	case TAG_ACCEPT:
		uring_accept_done(ptr, cqe->res, cqe->flags);
		return;
	case TAG_SIGNAL:
		signal_done(loop);
		return;
	case TAG_IGNORE:
		return;
	case TAG_MASK:
		break;
	}
	bug("completion with user_data %#lx", (unsigned long)data);
}

static unsigned
reap(struct loop *loop)
{
	struct io_uring_cqe *cqes[64];
	unsigned n, total = 0;

	while ((n = io_uring_peek_batch_cqe(&loop->ring, cqes,
	    (unsigned)nitems(cqes))) > 0) {
		for (unsigned i = 0; i < n; i++) {
			struct io_uring_cqe cqe = *cqes[i];

			dispatch(loop, &cqe);
		}
		io_uring_cq_advance(&loop->ring, n);
		total += n;
	}
	loop->stats.completions += total;
	return total;
}

/* Submit, and wait up to timeout_ns for a completion (0 = do not wait). */
static void
enter(struct loop *loop, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(timeout_ns / NSEC_PER_SEC),
		.tv_nsec = (long long)(timeout_ns % NSEC_PER_SEC),
	};
	struct io_uring_cqe *cqe;
	int res;

	loop->stats.enters++;
	if (timeout_ns == 0)
		res = io_uring_submit_and_get_events(&loop->ring);
	else
		res = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1,
		    timeout_ns == TIMER_NEVER ? NULL : &ts, NULL);
	if (res < 0 && res != -ETIME && res != -EINTR && res != -EAGAIN &&
	    res != -EBUSY)
		bug("io_uring_enter: %s", strerror(-res));
}

static void
update_clock(struct loop *loop)
{
	loop->now_ns = loop->sched.now_ns = clock_ns();
}

/* Submit and wait: poll while work is recent, then sleep. */
static void
wait_for_work(struct loop *loop)
{
	uint64_t due = timer_heap_due(&loop->timers);

	/* Nothing is left to do but what the kernel will tell. */
	assert(STAILQ_EMPTY(&loop->sched.ready) || loop->stop);
	if (loop->stop || io_uring_cq_ready(&loop->ring) > 0) {
		enter(loop, 0);
		return;
	}
	if (loop->spin_ns > 0) {
		do {
			enter(loop, 0);
			if (io_uring_cq_ready(&loop->ring) > 0)
				return;
			update_clock(loop);
			if (due <= loop->now_ns)
				return;
		} while (loop->now_ns - loop->last_work_ns < loop->spin_ns);
	}
	if (due != TIMER_NEVER && due <= loop->now_ns) {
		enter(loop, 0);
		return;
	}
	loop->stats.sleeps++;
	enter(loop, due == TIMER_NEVER ? TIMER_NEVER : due - loop->now_ns);
}

static void
turn(struct loop *loop)
{
	wait_for_work(loop);
	update_clock(loop);
	loop->stats.turns++;
	if (reap(loop) > 0)
		loop->last_work_ns = loop->now_ns;
	timer_heap_run(&loop->timers, loop->now_ns);
	op_sched_run(&loop->sched);
}

void
loop_run(struct loop *loop)
{
	assert(loop->sched.running == NULL);
	loop->stop = false;
	update_clock(loop);
	op_sched_run(&loop->sched);
	while (!loop->stop)
		turn(loop);
}

void
loop_stop(struct loop *loop)
{
	loop->stop = true;
}

void
loop_run_op(struct loop *loop, struct op *op)
{
	assert(loop->sched.running == NULL);
	update_clock(loop);
	op_sched_run(&loop->sched);
	while (!op->ended)
		turn(loop);
}

struct op_sched *
loop_sched(struct loop *loop)
{
	return &loop->sched;
}

struct timer_heap *
loop_timers(struct loop *loop)
{
	return &loop->timers;
}

uint64_t
loop_now(struct loop *loop)
{
	return loop->now_ns;
}

uint64_t
loop_wall_time(struct loop *loop)
{
	(void)loop;
	return (uint64_t)time(NULL);
}

void
loop_random(struct loop *loop, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)loop;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			bug("getrandom: %s", strerror(errno));
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void
loop_set_spin(struct loop *loop, unsigned spin_us)
{
	loop->spin_ns = (uint64_t)spin_us * 1000;
}

void
loop_get_stats(const struct loop *loop, struct loop_stats *stats)
{
	*stats = loop->stats;
}
