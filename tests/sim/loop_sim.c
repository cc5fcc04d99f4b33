/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop of core/loop.h over a virtual clock, simulated disks and simulated
 * sockets: time jumps to the next event, and one seed replays one history.
 *
 * THE FAULT BUDGET: what may happen, and what must then still hold.
 *
 *  zone                fault                               must hold
 *  ------------------  ----------------------------------  ------------------
 *  process             kill -9 at any event                A B C D
 *  machine             power cut at any event, array       A B; C D after the
 *                      complete                            resync or replay
 *  machine             power cut or kill, a member lost    policy resync:
 *                      before or with it                   refused, or A B;
 *                                                          policy ppl: A C,
 *                                                          what was in flight
 *                                                          may be anything
 *  any one member      gone, with or without its cache;    A B C, array serves
 *                      write or flush errors               on, G
 *  the same member     back again, stale                   never used
 *  a member            gone while a resync runs            error or right data
 *                                                          where not synced
 *  a second member     gone                                errors, never wrong
 *                                                          data, no acks lost
 *  any member          latent sector errors, one member    A, no error seen
 *                      of a stripe, array complete
 *  any member          latent sector error, degraded or    error or right data
 *                      in a row that a crash left in doubt
 *  any member          given back to the array, crashes    as before it was
 *                      while it is rebuilt                 lost, in the end
 *  any member          stall up to 20 s                    A, no error seen
 *  superblock          bit rot, one member                 starts without it
 *  pool label          bit rot in one of two copies        starts, A
 *  pool                full                                ENOSPC, the rest
 *                                                          goes on
 *  network             resets, pieces of any size, any     A B, nothing hangs
 *                      delay
 *
 * Letters are the oracles: A what was flushed reads new; B what was not reads
 * old or new, by atomic unit; C what was not written is unchanged, also with
 * any one member taken away; D parity fits; G nothing acknowledged is lost
 * when a member is lost later.
 * Not in the budget: bit rot in data (RAID5 alone cannot tell which member is
 * wrong) and disks that lie about flushes.
 *
 * Invariants: the clock never goes back; events of equal time are in an order
 * drawn from the seed; a process sees time stand still within a turn.
 */
#include "tests/sim/sim_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_MAX ((uint64_t)20000000)	/* of one seed: more is a livelock */
#define WALL_START ((uint64_t)1700000000)

/* --- random numbers --- */

uint64_t
rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t
rng_below(struct rng *rng, uint64_t n)
{
	assert(n > 0);
	return rng_next(rng) % n;
}

uint64_t
rng_range(struct rng *rng, uint64_t lo, uint64_t hi)
{
	assert(lo <= hi);
	return lo + rng_below(rng, hi - lo + 1);
}

bool
rng_one_in(struct rng *rng, uint64_t n)
{
	return rng_below(rng, n) == 0;
}

/* --- failure --- */

static void
print_ops(const struct loop *loop)
{
	const struct op *op;
	char text[200];

	TAILQ_FOREACH(op, &loop->sched.live, live) {
		op_describe(op, text, sizeof(text));
		fprintf(stderr, "  in flight: %s (waits for %u)\n", text,
		    op->pending);
	}
}

void
sim_fail(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	sim_print_history(sim);
	if (sim->loop != NULL)
		print_ops(sim->loop);
	fprintf(stderr, "seed %llu fails at %llu ms: ",
	    (unsigned long long)sim->seed,
	    (unsigned long long)(sim->now_ns / NSEC_PER_MSEC));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	fflush(NULL);
	_exit(1);
}

/* --- events: a binary heap --- */

static bool
sooner(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->tie < b->tie;
}

static void
put(struct sim *sim, unsigned i, struct event *event)
{
	sim->heap[i] = event;
	event->slot = i + 1;
}

static void
sift_up(struct sim *sim, unsigned i)
{
	struct event *event = sim->heap[i];

	for (; i > 0 && sooner(event, sim->heap[(i - 1) / 2]);
	    i = (i - 1) / 2)
		put(sim, i, sim->heap[(i - 1) / 2]);
	put(sim, i, event);
}

static void
sift_down(struct sim *sim, unsigned i)
{
	struct event *event = sim->heap[i];

	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= sim->nevents)
			break;
		if (child + 1 < sim->nevents &&
		    sooner(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!sooner(sim->heap[child], event))
			break;
		put(sim, i, sim->heap[child]);
		i = child;
	}
	put(sim, i, event);
}

void
event_add(struct sim *sim, struct event *event, uint64_t delay_ns,
    void (*fn)(struct event *event))
{
	assert(event->slot == 0);
	if (sim->nevents == sim->room) {
		sim->room = sim->room == 0 ? 256 : sim->room * 2;
		sim->heap = realloc(sim->heap,
		    sim->room * sizeof(sim->heap[0]));
		if (sim->heap == NULL)
			sim_fail(sim, "no memory");
	}
	event->at_ns = round_up(sim->now_ns + delay_ns + 1, SIM_TICK_NS);
	event->tie = rng_next(&sim->rng);
	event->fn = fn;
	put(sim, sim->nevents++, event);
	sift_up(sim, sim->nevents - 1);
}

void
event_cancel(struct sim *sim, struct event *event)
{
	unsigned i = event->slot - 1;
	struct event *last;

	if (event->slot == 0)
		return;
	assert(sim->heap[i] == event);
	event->slot = 0;
	last = sim->heap[--sim->nevents];
	if (last == event)
		return;
	put(sim, i, last);
	sift_up(sim, i);
	sift_down(sim, last->slot - 1);
}

/* --- the world --- */

struct sim *
sim_new(uint64_t seed, bool verbose)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (sim == NULL)
		abort();
	sim->seed = seed;
	sim->verbose = verbose;
	sim->rng.state = seed * 0x2545f4914f6cdd1du + 1;
	sim->next_port = 40000;
	TAILQ_INIT(&sim->disks);
	TAILQ_INIT(&sim->listeners);
	TAILQ_INIT(&sim->socks);
	return sim;
}

void
sim_free(struct sim *sim)
{
	assert(sim->loop == NULL);
	sim_disks_free(sim);
	free(sim->heap);
	free(sim);
}

uint64_t
sim_now(const struct sim *sim)
{
	return sim->now_ns;
}

struct loop *
sim_boot(struct sim *sim)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	assert(sim->loop == NULL);
	if (loop == NULL)
		sim_fail(sim, "no memory");
	loop->sim = sim;
	loop->rng.state = rng_next(&sim->rng);
	op_sched_init(&loop->sched);
	loop->sched.now_ns = sim->now_ns;
	sim->loop = loop;
	sim_trace(sim, "boot");
	return loop;
}

bool
sim_is_up(const struct sim *sim)
{
	return sim->loop != NULL;
}

void
sim_shutdown(struct sim *sim)
{
	assert(sim->loop != NULL);
	if (!TAILQ_EMPTY(&sim->loop->sched.live))
		sim_fail(sim, "shutdown with ops in flight");
	if (!sim_disks_idle(sim))
		sim_fail(sim, "shutdown with files open");
	sim_trace(sim, "shutdown");
	loop_free(sim->loop);
}

void
sim_kill(struct sim *sim)
{
	assert(sim->loop != NULL);
	sim_trace(sim, "kill");
	sim_disks_kill(sim);
	sim_net_kill(sim);
	sim->loop = NULL;
}

void
sim_power_cut(struct sim *sim)
{
	sim_trace(sim, "power cut");
	if (sim->loop != NULL)
		sim_kill(sim);
	sim_disks_power_cut(sim);
}

struct after {
	struct event event;
	void (*fn)(void *arg);
	void *arg;
};

static void
after_fire(struct event *event)
{
	struct after *after = container_of(event, struct after, event);

	after->fn(after->arg);
	free(after);
}

void
sim_after(struct sim *sim, uint64_t ms, void (*fn)(void *arg), void *arg)
{
	struct after *after = calloc(1, sizeof(*after));

	if (after == NULL)
		sim_fail(sim, "no memory");
	after->fn = fn;
	after->arg = arg;
	event_add(sim, &after->event, ms * NSEC_PER_MSEC, after_fire);
}

/* --- turns --- */

/* When something happens next, or TIMER_NEVER. */
static uint64_t
next_time(struct sim *sim)
{
	uint64_t timer = timer_heap_due(&sim->loop->timers);

	return sim->nevents == 0 ? timer : MIN(timer, sim->heap[0]->at_ns);
}

/* One turn of the process; at most `events` events.  Returns how many. */
static uint64_t
turn(struct sim *sim, uint64_t events)
{
	struct loop *loop = sim->loop;
	uint64_t next = next_time(sim), n = 0;

	if (next == TIMER_NEVER)
		sim_fail(sim, "nothing will happen any more: a lost wake-up");
	sim->now_ns = MAX(sim->now_ns, next);
	loop->sched.now_ns = sim->now_ns;
	loop->stats.turns++;
	while (n < events && sim->nevents > 0 &&
	    sim->heap[0]->at_ns <= sim->now_ns) {
		struct event *event = sim->heap[0];

		event_cancel(sim, event);
		event->fn(event);
		n++;
	}
	loop->stats.completions += n;
	timer_heap_run(&loop->timers, sim->now_ns);
	op_sched_run(&loop->sched);
	n = MAX(n, (uint64_t)1);
	sim->nrun += n;
	if (sim->nrun > EVENTS_MAX)
		sim_fail(sim, "too many events: a livelock");
	return n;
}

bool
sim_run_until(struct sim *sim, bool (*done)(void *arg), void *arg,
    uint64_t events)
{
	assert(sim->loop != NULL && sim->loop->sched.running == NULL);
	op_sched_run(&sim->loop->sched);
	while (!done(arg) && events > 0) {
		uint64_t n = turn(sim, events);

		if (events != SIM_FOREVER)
			events -= n;
	}
	return done(arg);
}

static bool
op_has_ended(void *arg)
{
	const struct op *op = arg;

	return op->ended;
}

bool
sim_run_op(struct sim *sim, struct op *op, uint64_t events)
{
	return sim_run_until(sim, op_has_ended, op, events);
}

struct nap {
	struct op op;
	struct timer timer;
	struct loop *loop;
	uint64_t ms;
};

static void
nap_run(struct op *op)
{
	struct nap *nap = op_owner(op, struct nap);

	if (op->step++ == 0)
		op_sleep(nap->loop, &nap->timer, nap->ms, op);
	else
		op_end(op);
}

static const struct op_type nap_type = { .name = "sim_nap", .run = nap_run };

void
sim_sleep(struct sim *sim, uint64_t ms)
{
	struct nap nap = { .loop = sim->loop, .ms = ms };

	op_start(&nap.op, &nap_type, &sim->loop->sched, NULL);
	sim_run_op(sim, &nap.op, SIM_FOREVER);
}

/* --- core/loop.h --- */

struct loop *
loop_new(struct err *err)
{
	(void)err;
	return sim_boot(sim_new(1, false));
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	assert(loop->sim->loop == loop);
	loop->sim->loop = NULL;
	timer_heap_fini(&loop->timers);
	free(loop);
}

void
loop_run(struct loop *loop)
{
	loop->stop = false;
	op_sched_run(&loop->sched);
	while (!loop->stop)
		turn(loop->sim, SIM_FOREVER);
}

void
loop_stop(struct loop *loop)
{
	loop->stop = true;
}

void
loop_run_op(struct loop *loop, struct op *op)
{
	sim_run_op(loop->sim, op, SIM_FOREVER);
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
	return loop->sched.now_ns;
}

uint64_t
loop_wall_time(struct loop *loop)
{
	return WALL_START + loop->sim->now_ns / NSEC_PER_SEC;
}

void
loop_random(struct loop *loop, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rng_next(&loop->rng);
}

void
loop_set_spin(struct loop *loop, unsigned spin_us)
{
	(void)loop;
	(void)spin_us;
}

int
loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg), void *arg)
{
	(void)loop;
	(void)signo;
	(void)fn;
	(void)arg;
	return 0;		/* no signals in this world */
}

void
loop_get_stats(const struct loop *loop, struct loop_stats *stats)
{
	*stats = loop->stats;
}
