/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The op scheduler: a FIFO of ready ops, run until it is empty.
 *
 * An op whose step started no child (or whose children ended at once) runs
 * its successor without a trip through the queue.  sched->running is the only
 * way run() and op_end() speak to each other: op_end() clears it, and from
 * then on the scheduler does not look at the op.
 */
#include "core/op.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For bug() only: the scheduler whose step is running in this thread. */
static _Thread_local struct op_sched *current;

void
op_sched_init(struct op_sched *sched)
{
	memset(sched, 0, sizeof(*sched));
	STAILQ_INIT(&sched->ready);
	TAILQ_INIT(&sched->live);
}

static void
enqueue(struct op *op)
{
	assert(!op->ended && !op->queued && op->pending == 0);
	op->queued = true;
	STAILQ_INSERT_TAIL(&op->sched->ready, op, queue);
}

void
op_start(struct op *op, const struct op_type *type, struct op_sched *sched,
    struct op *parent)
{
	assert(type->run != NULL && sched != NULL && parent != op);
	op->type = type;
	op->sched = sched;
	op->parent = parent;
	op->start_ns = sched->now_ns;
	op->step = 0;
	op->pending = 0;
	op->ended = op->queued = false;
	if (parent != NULL)
		op_hold(parent);
	TAILQ_INSERT_TAIL(&sched->live, op, live);
	enqueue(op);
}

void
op_end(struct op *op)
{
	struct op *parent = op->parent;

	assert(op->sched->running == op);
	assert(!op->ended && op->pending == 0);
	op->ended = true;
	op->sched->running = NULL;
	TAILQ_REMOVE(&op->sched->live, op, live);
	if (parent != NULL)
		op_unhold(parent);
}

void
op_hold(struct op *op)
{
	assert(!op->ended && !op->queued);
	op->pending++;
}

void
op_unhold(struct op *op)
{
	assert(!op->ended && op->pending > 0);
	if (--op->pending == 0 && op->sched->running != op)
		enqueue(op);
}

void
op_queue_init(struct op_queue *queue)
{
	STAILQ_INIT(queue);
}

void
op_wait(struct op_queue *queue, struct op *op)
{
	op_hold(op);
	STAILQ_INSERT_TAIL(queue, op, queue);
}

bool
op_wake(struct op_queue *queue)
{
	struct op *op = STAILQ_FIRST(queue);

	if (op == NULL)
		return false;
	STAILQ_REMOVE_HEAD(queue, queue);
	op_unhold(op);
	return true;
}

void
op_wake_all(struct op_queue *queue)
{
	while (op_wake(queue))
		;
}

static void
run_steps(struct op_sched *sched, struct op *op)
{
	sched->running = op;
	do {
		unsigned slot = (unsigned)(sched->nsteps++ % OP_TRACE);

		sched->trace[slot].op = op->type->name;
		sched->trace[slot].step = op->step;
		op->type->run(op);
	} while (sched->running == op && op->pending == 0);
	sched->running = NULL;
}

bool
op_sched_run(struct op_sched *sched)
{
	struct op *op;
	bool any = false;

	assert(sched->running == NULL);
	current = sched;
	while ((op = STAILQ_FIRST(&sched->ready)) != NULL) {
		STAILQ_REMOVE_HEAD(&sched->ready, queue);
		op->queued = false;
		run_steps(sched, op);
		any = true;
	}
	current = NULL;
	return any;
}

void
op_describe(const struct op *op, char *text, size_t size)
{
	const struct op_type *type = op->type;
	char what[128] = "", step[16];
	const char *name = step;
	uint64_t age_ms;

	snprintf(step, sizeof(step), "%u", op->step);
	if (type->steps != NULL && op->step < type->nsteps)
		name = type->steps[op->step];
	if (type->describe != NULL)
		type->describe(op, what, sizeof(what));
	age_ms = (op->sched->now_ns - op->start_ns) / NSEC_PER_MSEC;
	snprintf(text, size, "%s%s%s, step %s, %llu ms", type->name,
	    what[0] != '\0' ? " " : "", what, name,
	    (unsigned long long)age_ms);
}

static void
dump_trace(const struct op_sched *sched)
{
	uint64_t n = MIN(sched->nsteps, (uint64_t)OP_TRACE);

	fprintf(stderr, "last %llu steps, oldest first:\n",
	    (unsigned long long)n);
	for (uint64_t i = sched->nsteps - n; i < sched->nsteps; i++)
		fprintf(stderr, "  %s %u\n", sched->trace[i % OP_TRACE].op,
		    sched->trace[i % OP_TRACE].step);
}

void
bug(const char *fmt, ...)
{
	va_list ap;

	fputs("BUG: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (current != NULL)
		dump_trace(current);
	abort();
}
