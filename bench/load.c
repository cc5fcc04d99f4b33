/* SPDX-License-Identifier: BSD-2-Clause */
/* The load itself: options, the loop, the verdict.  See load.h. */
#include "bench/load.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct load {
	struct load_opts opts;
	struct conn conns[LOAD_CONNS_MAX];
	struct verify *verify;
	struct hist *hist;
	uint64_t rng;
	uint64_t seq_end;		/* verify passes: stop there */
	uint64_t now;			/* of this turn */
	uint64_t ios, bytes, in_flight;
	uint64_t reconnects;
	bool counting, stopping;
	uint8_t *shared;		/* written when nothing is verified */
};

_Noreturn void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t
next_random(struct load *l)		/* xorshift64* */
{
	l->rng ^= l->rng >> 12;
	l->rng ^= l->rng << 25;
	l->rng ^= l->rng >> 27;
	return l->rng * 0x2545f4914f6cdd1du;
}

/* --- choosing --- */

static bool
overlaps(const struct load *l, uint64_t off, uint32_t len)
{
	for (unsigned i = 0; i < l->opts.conns; i++) {
		for (unsigned j = 0; j < l->opts.depth; j++) {
			const struct task *t = &l->conns[i].tasks[j];

			if (t->busy && off < t->off + t->len &&
			    t->off < off + len)
				return true;
		}
	}
	return false;
}

/* Where the next command goes; false if there is none now. */
static bool
choose(struct load *l, struct conn *c, uint64_t *off, uint32_t *len)
{
	uint64_t slots = l->opts.size / l->opts.io_len;
	uint64_t share = slots / l->opts.conns;

	*len = l->opts.io_len;
	if (l->seq_end > 0) {		/* one pass, by whoever asks */
		if (l->conns[0].next_off >= l->seq_end)
			return false;
		*off = l->conns[0].next_off;
		if (*len > l->seq_end - *off)
			*len = (uint32_t)(l->seq_end - *off);
		l->conns[0].next_off += *len;
		return true;
	}
	for (unsigned tries = 0; tries < 64; tries++) {
		if (l->opts.random) {
			*off = next_random(l) % slots * *len;
		} else {
			if (c->next_off >= (c->id + 1) * share * *len)
				c->next_off = c->id * share * *len;
			*off = c->next_off;
		}
		if (l->verify != NULL && overlaps(l, *off, *len))
			continue;
		if (!l->opts.random)
			c->next_off += *len;
		return true;
	}
	return false;
}

static void
fill(struct load *l, struct conn *c)
{
	uint64_t off;
	uint32_t len;

	while (!l->stopping && conn_ready(c) && choose(l, c, &off, &len)) {
		struct task *t = &c->tasks[c->free[--c->nfree]];

		t->busy = true;
		t->off = off;
		t->len = len;
		t->write = l->opts.read_pct < 100 &&
		    (l->opts.read_pct == 0 ||
		    next_random(l) % 100 >= l->opts.read_pct);
		t->start_ns = l->now;
		if (l->verify != NULL && t->write)
			verify_stamp(l->verify, t);
		l->in_flight++;
		conn_start(c, t);
	}
}

static void
task_done(struct conn *c, struct task *t)
{
	struct load *l = c->arg;

	if (l->verify != NULL && t->write)
		verify_wrote(l->verify, t);
	else if (l->verify != NULL)
		verify_check(l->verify, t);
	l->in_flight--;
	if (!l->counting)
		return;
	hist_add(l->hist, now_ns() - t->start_ns);
	l->ios++;
	l->bytes += t->len;
}

/* The peer went away: log in again and send all that was in flight. */
static void
recover(struct load *l, struct conn *c)
{
	uint32_t block;

	if (!c->closed)
		return;
	conn_reopen(c);
	conn_capacity(c, &block);
	l->reconnects++;
	for (unsigned i = 0; i < l->opts.depth; i++) {
		if (c->tasks[i].busy)
			conn_start(c, &c->tasks[i]);
	}
}

/* --- the loop --- */

static void
wait_any(struct load *l)
{
	struct pollfd fds[LOAD_CONNS_MAX];

	for (unsigned i = 0; i < l->opts.conns; i++) {
		struct conn *c = &l->conns[i];

		fds[i].fd = c->fd;
		fds[i].events = POLLIN;
		if (c->iov_head < c->iov_tail)
			fds[i].events |= POLLOUT;
	}
	if (poll(fds, l->opts.conns, 10000) == 0)
		die("no answer for 10 s, %" PRIu64 " commands in flight",
		    l->in_flight);
}

/* One turn: start what may start, send, receive. */
static void
turn(struct load *l)
{
	bool all_sent = true, any = false;
	uint64_t until;

	l->now = now_ns();
	for (unsigned i = 0; i < l->opts.conns; i++) {
		struct conn *c = &l->conns[i];

		recover(l, c);
		fill(l, c);
		all_sent = conn_send(c) && all_sent;
	}
	if (l->in_flight == 0)
		return;
	if (l->opts.conns == 1 && all_sent && l->opts.spin_us == 0) {
		conn_recv(&l->conns[0], true);
		return;
	}
	until = l->now + l->opts.spin_us * 1000u;
	do {
		for (unsigned i = 0; i < l->opts.conns; i++)
			any = conn_recv(&l->conns[i], false) || any;
	} while (!any && all_sent && now_ns() < until);
	if (!any)
		wait_any(l);
}

static void
run_until(struct load *l, uint64_t end_ns)
{
	do {
		turn(l);
	} while (now_ns() < end_ns);
}

static void
drain(struct load *l)
{
	l->stopping = true;
	while (l->in_flight > 0)
		turn(l);
	l->stopping = false;
}

/* Read or write the whole size once in requests of len bytes. */
static void
pass(struct load *l, unsigned read_pct, uint32_t len)
{
	struct load_opts saved = l->opts;

	l->opts.read_pct = read_pct;
	l->opts.io_len = len;
	l->seq_end = l->opts.size;
	l->conns[0].next_off = 0;
	do {
		turn(l);
	} while (l->in_flight > 0 || l->conns[0].next_off < l->seq_end);
	l->opts = saved;
	l->seq_end = 0;
	l->conns[0].next_off = 0;
}

/* --- start and end --- */

static void
connect_all(struct load *l)
{
	uint64_t size = 0;
	uint32_t block = 0;

	for (unsigned i = 0; i < l->opts.conns; i++) {
		struct conn *c = &l->conns[i];

		conn_open(c, &l->opts, i);
		c->done = task_done;
		c->arg = l;
		size = conn_capacity(c, &block);
	}
	if (block != SECTOR)
		die("blocks of %u bytes: only %u is supported", block, SECTOR);
	if (l->opts.size == 0 || l->opts.size > size)
		l->opts.size = size;
	l->opts.size -= l->opts.size % l->opts.io_len;
	if (l->opts.size / l->opts.io_len < l->opts.conns)
		die("the unit is too small");
	for (unsigned i = 0; i < l->opts.conns; i++)
		l->conns[i].next_off = i * (l->opts.size / l->opts.io_len /
		    l->opts.conns) * l->opts.io_len;
}

static void
make_buffers(struct load *l)
{
	size_t len = needs_passes(&l->opts) && l->opts.io_len < PASS_LEN_MAX ?
	    PASS_LEN_MAX : l->opts.io_len;

	l->shared = aligned_alloc(4096, (len + 4095) & ~(size_t)4095);
	if (l->shared == NULL)
		die("out of memory");
	for (size_t i = 0; i < len; i++)
		l->shared[i] = (uint8_t)next_random(l);
	for (unsigned i = 0; i < l->opts.conns; i++) {
		for (unsigned j = 0; j < l->opts.depth; j++) {
			uint8_t *buf = l->shared;

			if (l->verify != NULL)
				buf = aligned_alloc(4096,
				    (len + 4095) & ~(size_t)4095);
			if (buf == NULL)
				die("out of memory");
			l->conns[i].tasks[j].buf = buf;
		}
	}
}

static double
cpu_of_self(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static void
measure(struct load *l)
{
	const struct load_opts *o = &l->opts;
	struct proc_stat before, after;
	uint64_t start, end, busy;
	double self, secs, ios, cpu_s, foreign;

	run_until(l, now_ns() + (uint64_t)(o->ramp_s * 1e9));
	proc_read(o->pid, &before);
	busy = machine_busy_ns();
	self = cpu_of_self();
	l->counting = true;
	start = now_ns();
	run_until(l, start + (uint64_t)(o->time_s * 1e9));
	end = now_ns();
	l->counting = false;
	self = cpu_of_self() - self;
	busy = machine_busy_ns() - busy;
	proc_read(o->pid, &after);
	drain(l);

	secs = (double)(end - start) / 1e9;
	ios = l->ios > 0 ? (double)l->ios : 1;
	cpu_s = (double)(after.cpu_ns - before.cpu_ns) / 1e9;
	foreign = (double)busy / 1e9 - self - cpu_s;
	printf("{\"iops\": %.0f, \"mb_s\": %.1f, \"p50_us\": %.1f, "
	    "\"p99_us\": %.1f, \"p999_us\": %.1f, \"ios\": %" PRIu64 ", "
	    "\"secs\": %.3f, \"server_cpu_us_per_io\": %.3f, "
	    "\"server_cpu_s_per_gb\": %.3f, \"server_switches_per_io\": %.3f, "
	    "\"server_rss_kib\": %" PRIu64 ", \"load_cpu_us_per_io\": %.3f, "
	    "\"foreign_cpu\": %.3f, \"reconnects\": %" PRIu64 ", "
	    "\"verified\": %s}\n",
	    (double)l->ios / secs, (double)l->bytes / secs / 1e6,
	    hist_us(l->hist, 0.5), hist_us(l->hist, 0.99),
	    hist_us(l->hist, 0.999), l->ios, secs, cpu_s * 1e6 / ios,
	    l->bytes > 0 ? cpu_s * 1e9 / (double)l->bytes : 0,
	    (double)(after.switches - before.switches) / ios, after.rss_kib,
	    self * 1e6 / ios, foreign > 0 ? foreign / secs : 0,
	    l->reconnects, o->verify ? "true" : "false");
}

static uint64_t
parse_size(const char *text)
{
	char *end;
	uint64_t v = strtoull(text, &end, 10);

	switch (*end) {
	case 'g': case 'G': v *= 1024; /* fall through */
	case 'm': case 'M': v *= 1024; /* fall through */
	case 'k': case 'K': v *= 1024; end++; break;
	default: break;
	}
	if (*end != '\0' || end == text)
		die("\"%s\" is not a size", text);
	return v;
}

static const char usage[] =
"usage: load --portal HOST:PORT --target IQN [--lun N] [--conns N]\n"
"            [--depth N] [--bs SIZE] [--size SIZE] [--read PERCENT]\n"
"            [--random] [--digests] [--time S] [--ramp S] [--spin US]\n"
"            [--verify] [--survive] [--fill] [--fua] [--seed N]\n"
"            [--pid SERVER]\n"
"Prints one line of JSON.  Any error ends it with exit status 1.\n"
"--verify stamps what is written, checks what is read, and reads all of it\n"
"back with other sizes in the end; --survive logs in again when the target\n"
"went away and repeats what was in flight; --fill writes all of it first.\n";

static void
parse_portal(struct load_opts *o, char *text)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL)
		die("--portal needs HOST:PORT");
	*colon = '\0';
	if (text[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		text++;
	}
	o->host = text;
	o->port = colon + 1;
}

static void
parse_options(struct load_opts *o, int argc, char **argv)
{
	enum { PORTAL, TARGET, LUN, CONNS, DEPTH, BS, SIZE, READ, RANDOM,
		DIGESTS, TIME, RAMP, SPIN, VERIFY, SURVIVE, SEED, PID, FILL,
		FUA };
	static const struct option longs[] = {
		{ "portal", 1, NULL, PORTAL }, { "target", 1, NULL, TARGET },
		{ "lun", 1, NULL, LUN }, { "conns", 1, NULL, CONNS },
		{ "depth", 1, NULL, DEPTH }, { "bs", 1, NULL, BS },
		{ "size", 1, NULL, SIZE }, { "read", 1, NULL, READ },
		{ "random", 0, NULL, RANDOM }, { "digests", 0, NULL, DIGESTS },
		{ "time", 1, NULL, TIME }, { "ramp", 1, NULL, RAMP },
		{ "spin", 1, NULL, SPIN }, { "verify", 0, NULL, VERIFY },
		{ "survive", 0, NULL, SURVIVE }, { "seed", 1, NULL, SEED },
		{ "pid", 1, NULL, PID }, { "fill", 0, NULL, FILL },
		{ "fua", 0, NULL, FUA },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case PORTAL: parse_portal(o, optarg); break;
		case TARGET: o->target = optarg; break;
		case LUN: o->lun = parse_size(optarg); break;
		case CONNS: o->conns = (unsigned)parse_size(optarg); break;
		case DEPTH: o->depth = (unsigned)parse_size(optarg); break;
		case BS: o->io_len = (uint32_t)parse_size(optarg); break;
		case SIZE: o->size = parse_size(optarg); break;
		case READ: o->read_pct = (unsigned)parse_size(optarg); break;
		case RANDOM: o->random = true; break;
		case DIGESTS:
			o->header_digest = o->data_digest = true;
			break;
		case TIME: o->time_s = strtod(optarg, NULL); break;
		case RAMP: o->ramp_s = strtod(optarg, NULL); break;
		case SPIN: o->spin_us = (unsigned)parse_size(optarg); break;
		case VERIFY: o->verify = true; break;
		case SURVIVE: o->survive = true; break;
		case SEED: o->seed = parse_size(optarg); break;
		case FILL: o->fill = true; break;
		case FUA: o->fua = true; break;
		case PID: o->pid = (pid_t)parse_size(optarg); break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc || o->host == NULL || o->target == NULL ||
	    o->conns < 1 || o->conns > LOAD_CONNS_MAX || o->depth < 1 ||
	    o->depth > LOAD_DEPTH_MAX || o->read_pct > 100 || o->lun > 255 ||
	    o->io_len < SECTOR || o->io_len % SECTOR != 0 ||
	    o->io_len > 16u << 20) {
		fputs(usage, stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static struct load l = { .opts = { .conns = 1, .depth = 1,
		.io_len = 4096, .read_pct = 100, .time_s = 3, .ramp_s = 0.3,
		.seed = 1 } };

	signal(SIGPIPE, SIG_IGN);
	parse_options(&l.opts, argc, argv);
	l.rng = l.opts.seed * 0x9e3779b97f4a7c15u + 1;
	l.hist = calloc(1, sizeof(*l.hist));
	if (l.hist == NULL)
		die("out of memory");
	l.now = now_ns();
	connect_all(&l);
	if (l.opts.verify)
		l.verify = verify_new(l.opts.size);
	make_buffers(&l);
	if (l.opts.verify || l.opts.fill)
		pass(&l, 0, 256 * 1024);
	measure(&l);
	if (l.opts.verify) {
		pass(&l, 100, 1024 * 1024);
		pass(&l, 100, 20 * 1024);
		fprintf(stderr, "load: %" PRIu64 " bytes verified\n",
		    l.opts.size);
	}
	for (unsigned i = 0; i < l.opts.conns; i++)
		conn_close(&l.conns[i]);
	free(l.hist);
	free(l.verify);
	return 0;
}
