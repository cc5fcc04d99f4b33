/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asynchronous work as a struct with named steps.
 *
 * A step starts zero or more children, names its successor (op->step = NEXT)
 * and returns.  The scheduler runs the successor when all children have
 * ended.  Nothing else waits, and run() is called only by the scheduler.
 *
 * Life of an op: op_start() puts it on the ready queue; run() is called once
 * per step; the last step calls op_end().  After op_end() the scheduler does
 * not touch the op again, so its owner may free or reuse it.  An op with a
 * parent counts as one of the parent's children until it ends; an op without
 * parent (the work of one layer on behalf of a struct io) tells its requester
 * itself before it ends.
 *
 * Leaves (a kernel request, a place in a wait queue) are children without a
 * run function: they raise pending with op_hold() and lower it with
 * op_unhold().
 *
 * Invariants: pending counts children that have not ended; an op is on the
 * ready queue only if pending == 0; a step that starts no child is followed by
 * its successor in the same turn; ended ops have no children.
 */
#ifndef CORE_OP_H
#define CORE_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/util.h"

struct op;
struct op_sched;

struct op_type {
	const char *name;		/* "row_write" */
	const char *const *steps;	/* names for listing, nsteps of them */
	unsigned nsteps;
	void (*run)(struct op *op);
	/* Optional: add what it works on ("lba 8000+8"), for listings. */
	void (*describe)(const struct op *op, char *text, size_t size);
};

struct op {
	const struct op_type *type;
	struct op_sched *sched;
	struct op *parent;
	STAILQ_ENTRY(op) queue;		/* ready queue or one wait queue */
	TAILQ_ENTRY(op) live;		/* all ops in flight, oldest first */
	uint64_t start_ns;
	unsigned step;
	unsigned pending;		/* children started and not ended */
	bool ended;
	bool queued;			/* on the ready queue */
};

STAILQ_HEAD(op_queue, op);
TAILQ_HEAD(op_list, op);

#define OP_TRACE 256			/* last steps kept for bug() */

struct op_sched {
	struct op_queue ready;
	struct op_list live;
	struct op *running;		/* NULL once it has ended itself */
	uint64_t now_ns;		/* set by the loop each turn */
	uint64_t nsteps;		/* steps run since start */
	struct { const char *op; unsigned step; } trace[OP_TRACE];
};

/* The struct that embeds this op as member `op`. */
#define op_owner(ptr, type) container_of(ptr, type, op)

void op_sched_init(struct op_sched *sched);

/*
 * Initialise `op` at step 0 and make it ready.  `parent` may be NULL.  Does
 * not call run().
 */
void op_start(struct op *op, const struct op_type *type,
    struct op_sched *sched, struct op *parent);

/* Called once, by the op's own last step. */
void op_end(struct op *op);

/* One more, or one less, thing `op` waits for. */
void op_hold(struct op *op);
void op_unhold(struct op *op);

/*
 * A FIFO of ops that wait for a resource.  op_wait() is called from a step
 * and counts as a child; op_wake() lets the oldest waiter go on and returns
 * false if there was none.
 */
void op_queue_init(struct op_queue *queue);
void op_wait(struct op_queue *queue, struct op *op);
bool op_wake(struct op_queue *queue);
void op_wake_all(struct op_queue *queue);

/* Run ready ops until none is ready.  Called by the loop only. */
bool op_sched_run(struct op_sched *sched);

/* "row_write off 4096+4096, step PREREAD, 3 ms"; for dozoctl ops. */
void op_describe(const struct op *op, char *text, size_t size);

/*
 * A broken invariant of our own: log the reason and the last steps, then
 * abort.  Never reached by input from wire, disk or HTTP.
 */
_Noreturn void bug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
