/* SPDX-License-Identifier: BSD-2-Clause */
/* What loop_sim.c, sim_disk.c and sim_net.c share. */
#ifndef TESTS_SIM_PRIV_H
#define TESTS_SIM_PRIV_H

#include "core/loop_priv.h"
#include "tests/sim/sim.h"

#define SIM_LINES 400u		/* of history, kept for a failure */
#define SIM_WORDS 16u		/* of arguments in a line */
#define SIM_TICK_NS ((uint64_t)8192)	/* so that events share turns */

/* Something that will happen.  Embedded in what it happens to. */
struct event {
	uint64_t at_ns, tie;	/* ties are in random order */
	void (*fn)(struct event *event);
	unsigned slot;		/* place in the heap + 1; 0 = not there */
};

/* A line of history, not yet text (history.c). */
struct sim_line {
	uint64_t now_ns;
	const char *fmt;
	unsigned nwords;
	uint64_t words[SIM_WORDS];
};

struct sim {
	uint64_t seed;
	bool verbose;
	uint64_t now_ns;
	struct rng rng;		/* latencies and fates */
	struct event **heap;
	unsigned nevents, room;
	uint64_t nrun;		/* events and timer turns so far */
	struct loop *loop;	/* the process, or NULL */
	TAILQ_HEAD(, sim_disk) disks;
	TAILQ_HEAD(, listener) listeners;
	TAILQ_HEAD(, sock) socks;
	uint16_t next_port;
	uint64_t hash, nlines, nkept;
	struct sim_line lines[SIM_LINES];
};

struct loop {
	struct sim *sim;
	struct op_sched sched;
	struct timer_heap timers;
	struct rng rng;		/* loop_random() */
	bool stop;
	struct loop_stats stats;
};

void event_add(struct sim *sim, struct event *event, uint64_t delay_ns,
    void (*fn)(struct event *event));
void event_cancel(struct sim *sim, struct event *event);

/* The process is gone: settle what it had in flight. */
void sim_disks_kill(struct sim *sim);
void sim_disks_power_cut(struct sim *sim);
void sim_disks_free(struct sim *sim);
void sim_net_kill(struct sim *sim);
/* Nothing of the process may be open. */
bool sim_disks_idle(const struct sim *sim);

uint64_t sim_hash(uint64_t hash, const void *data, size_t len);
void sim_print_history(const struct sim *sim);
/* For checks that a buffer is left alone while a request uses it. */
uint32_t sim_sum_iov(const struct iovec *iov, unsigned niov, size_t len);

#endif
