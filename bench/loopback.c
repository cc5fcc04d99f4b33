/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ceilings that TCP on this machine sets: bytes per second of one stream,
 * as the system is set up and with cubic, always the same megabyte; and how
 * long a 4 KiB read takes if the server does nothing (48 bytes there, 48 +
 * 4096 back, both sides asleep while they wait).  Server on CPU 0, client on
 * CPU 1, as in bench/run; prints one line of JSON.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK	((size_t)1024 * 1024)
#define ASK	48u
#define ANSWER	(48u + 4096u)
#define ROUNDS_MAX 200000u

static uint8_t buf[CHUNK];

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* A pair of connected sockets. */
static void
connect_pair(int *server, int *client, bool cubic)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) != 0 ||
	    listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) != 0)
		die("listen");
	/* The default may be bbr, which paces the stream. */
	if (cubic)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
	*client = socket(AF_INET, SOCK_STREAM, 0);
	if (*client < 0 || connect(*client, (struct sockaddr *)&in, len) != 0)
		die("connect");
	*server = accept(fd, NULL, NULL);
	if (*server < 0)
		die("accept");
	close(fd);
	(void)setsockopt(*server, IPPROTO_TCP, TCP_NODELAY, &one,
	    sizeof(one));
	(void)setsockopt(*client, IPPROTO_TCP, TCP_NODELAY, &one,
	    sizeof(one));
}

static void
recv_all(int fd, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, buf, len, 0);

		if (n <= 0)
			exit(0);	/* the other side is done */
		len -= (size_t)n;
	}
}

static void
send_all(int fd, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n <= 0)
			exit(0);
		len -= (size_t)n;
	}
}

static pid_t
fork_server(int *client, bool answers, bool cubic)
{
	int server;
	pid_t pid;

	connect_pair(&server, client, cubic);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid > 0) {
		close(server);
		return pid;
	}
	close(*client);
	pin(0);
	for (;;) {
		if (answers)
			recv_all(server, ASK);
		send_all(server, answers ? ANSWER : CHUNK);
	}
}

static double
stream_mb_s(double seconds, bool cubic)
{
	double start, total = 0;
	int fd;
	pid_t pid = fork_server(&fd, false, cubic);

	for (start = now_s(); now_s() < start + seconds; total += CHUNK)
		recv_all(fd, CHUNK);
	seconds = now_s() - start;
	close(fd);
	waitpid(pid, NULL, 0);
	return total / seconds / 1e6;
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
read_4k_us(double seconds)
{
	static double took[ROUNDS_MAX];
	double start = now_s();
	unsigned n = 0;
	int fd;
	pid_t pid = fork_server(&fd, true, true);

	while (n < ROUNDS_MAX && (n == 0 || now_s() < start + seconds)) {
		double t = now_s();

		send_all(fd, ASK);
		recv_all(fd, ANSWER);
		took[n++] = (now_s() - t) * 1e6;
	}
	close(fd);
	waitpid(pid, NULL, 0);
	qsort(took, n, sizeof(took[0]), compare);
	return took[n / 2];
}

int
main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;

	signal(SIGPIPE, SIG_IGN);
	pin(1);
	printf("{\"stream_mb_s\": %.0f, ", stream_mb_s(seconds, false));
	fflush(stdout);
	printf("\"cubic_mb_s\": %.0f, ", stream_mb_s(seconds, true));
	fflush(stdout);
	printf("\"read_4k_us\": %.1f}\n", read_4k_us(seconds));
	return 0;
}
