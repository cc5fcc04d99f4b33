/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fault injector: a blk that passes requests to the one below unless a rule
 * says otherwise.  A request meets the power switch, then the rules, then the
 * volatile cache (fault_cache.c), then the lower blk.
 *
 * Invariants: each request is ended exactly once; a request is in at most one
 * of the stalled, delayed and parked queues; the timer runs exactly while a
 * request is delayed.
 */
#include "block/fault_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A torn write or a corrupted read: one request of our own below. */
struct fault_req {
	struct op op;
	struct blk_fault *fault;
	struct io *orig;
	struct io io;
	uint64_t flip;			/* read: byte to corrupt, in orig */
	struct iovec iov[];
};

enum fault_req_step { FQ_SUBMIT, FQ_DONE };
static const char *const fault_req_steps[] = { "SUBMIT", "DONE" };

static void
flip_bit(const struct io *io, uint64_t at)
{
	uint8_t byte;

	iov_to_buf(io->iov, io->niov, at, &byte, 1);
	byte ^= 1;
	iov_from_buf(io->iov, io->niov, at, &byte, 1);
}

static void
fault_req_run(struct op *op)
{
	struct fault_req *q = op_owner(op, struct fault_req);

	switch ((enum fault_req_step)op->step) {
	case FQ_SUBMIT:
		q->io.waiter = op;
		op_hold(op);
		fault_cache_submit(q->fault, &q->io);
		op->step = FQ_DONE;
		return;
	case FQ_DONE:
		if (q->io.kind == IO_READ && q->io.result == 0)
			flip_bit(q->orig, q->flip);
		op_end(op);
		io_end(q->orig, q->io.result);
		free(q);
		return;
	}
	bug("fault_req: bad step");
}

static const struct op_type fault_req_type = {
	.name = "fault_req",
	.steps = fault_req_steps,
	.nsteps = nitems(fault_req_steps),
	.run = fault_req_run,
};

static void
fault_req_start(struct blk_fault *fault, struct io *orig, uint64_t len,
    uint64_t flip)
{
	struct fault_req *q;
	unsigned niov;

	assert(len > 0 && len <= orig->len && flip < orig->len);
	q = calloc(1, sizeof(*q) + orig->niov * sizeof(q->iov[0]));
	if (q == NULL) {
		io_end(orig, -ENOMEM);
		return;
	}
	q->fault = fault;
	q->orig = orig;
	q->flip = flip;
	niov = iov_slice(q->iov, orig->niov, orig->iov, orig->niov, 0, len);
	io_init(&q->io, orig->kind, orig->off, len, q->iov, niov, orig->flags);
	op_start(&q->op, &fault_req_type, loop_sched(fault->blk.loop), NULL);
}

/* --- delays --- */

static void
delay_fire(void *arg)
{
	struct blk_fault *fault = arg;
	uint64_t now = loop_now(fault->blk.loop);
	struct io *io;

	while ((io = STAILQ_FIRST(&fault->delayed)) != NULL &&
	    io->start_ns <= now) {
		STAILQ_REMOVE_HEAD(&fault->delayed, queue);
		fault_cache_submit(fault, io);
	}
	if (io != NULL)
		timer_start(fault->blk.loop, &fault->timer,
		    (io->start_ns - now) / NSEC_PER_MSEC + 1, delay_fire,
		    fault);
}

static void
delay(struct blk_fault *fault, struct io *io, uint64_t delay_ms)
{
	uint64_t now = loop_now(fault->blk.loop);
	struct io *at, *prev = NULL;

	io->start_ns = now + delay_ms * NSEC_PER_MSEC;
	STAILQ_FOREACH(at, &fault->delayed, queue) {
		if (at->start_ns > io->start_ns)
			break;
		prev = at;
	}
	if (prev != NULL) {
		STAILQ_INSERT_AFTER(&fault->delayed, prev, io, queue);
		return;
	}
	STAILQ_INSERT_HEAD(&fault->delayed, io, queue);
	timer_start(fault->blk.loop, &fault->timer, delay_ms, delay_fire,
	    fault);
}

/* --- rules --- */

static bool
action_fits(enum fault_action action, enum io_kind kind)
{
	switch (action) {
	case FAULT_TORN:
		return kind == IO_WRITE;
	case FAULT_CORRUPT:
		return kind == IO_READ;
	case FAULT_LOST:
		return kind != IO_READ && kind != IO_STATUS;
	case FAULT_ERROR:
	case FAULT_DELAY:
	case FAULT_STALL:
		return true;
	}
	bug("fault: bad action %d", (int)action);
}

static bool
rule_matches(const struct fault_rule *rule, const struct io *io)
{
	if (rule->kinds != 0 && (rule->kinds & 1u << io->kind) == 0)
		return false;
	if (!action_fits(rule->action, io->kind))
		return false;
	if (rule->len == 0)
		return true;
	return io->kind != IO_FLUSH && io->off < rule->off + rule->len &&
	    rule->off < io->off + io->len;
}

static const struct fault_rule *
find_rule(struct blk_fault *fault, const struct io *io)
{
	for (unsigned i = 0; i < fault->nrules; i++) {
		const struct fault_rule *rule = &fault->rule[i].rule;

		if (!rule_matches(rule, io))
			continue;
		if (fault->rule[i].seen < rule->skip) {
			fault->rule[i].seen++;
			continue;
		}
		if (rule->count != 0 && fault->rule[i].acted >= rule->count)
			continue;
		fault->rule[i].acted++;
		return rule;
	}
	return NULL;
}

static void
act(struct blk_fault *fault, const struct fault_rule *rule, struct io *io)
{
	uint64_t torn;

	switch (rule->action) {
	case FAULT_ERROR:
		io->failed_at = MAX(rule->off, io->off) - io->off;
		io_end(io, -rule->err);
		return;
	case FAULT_DELAY:
		delay(fault, io, rule->delay_ms);
		return;
	case FAULT_STALL:
		STAILQ_INSERT_TAIL(&fault->stalled, io, queue);
		return;
	case FAULT_TORN:
		torn = MIN(rule->torn_bytes, io->len);
		torn = round_down(torn, fault->blk.geo.logical_block);
		if (torn == 0)
			io_end(io, 0);
		else
			fault_req_start(fault, io, torn, 0);
		return;
	case FAULT_LOST:
		io_end(io, 0);
		return;
	case FAULT_CORRUPT:
		fault_req_start(fault, io, io->len, rule->len != 0 &&
		    rule->off > io->off ? rule->off - io->off : 0);
		return;
	}
	bug("fault: bad action %d", (int)rule->action);
}

static void
blk_fault_submit(struct blk *blk, struct io *io)
{
	struct blk_fault *fault = container_of(blk, struct blk_fault, blk);
	const struct fault_rule *rule;

	if (!fault->cache.powered) {
		io_end(io, -ENODEV);
		return;
	}
	rule = find_rule(fault, io);
	if (rule != NULL)
		act(fault, rule, io);
	else
		fault_cache_submit(fault, io);
}

void
fault_free(struct blk_fault *fault)
{
	assert(STAILQ_EMPTY(&fault->stalled));
	assert(STAILQ_EMPTY(&fault->delayed));
	assert(!timer_running(&fault->timer));
	fault_cache_fini(fault);
	blk_close(fault->lower);
	free(fault);
}

static void
blk_fault_close(struct blk *blk)
{
	struct blk_fault *fault = container_of(blk, struct blk_fault, blk);

	assert(!fault->closing);
	fault->closing = true;
	if (!fault->cache.job.active)
		fault_free(fault);
	/* else when the survivors of a power cut have been written */
}

static const struct blk_ops blk_fault_ops = {
	.type = "fault",
	.submit = blk_fault_submit,
	.close = blk_fault_close,
};

static struct blk_fault *
to_fault(struct blk *blk)
{
	assert(blk->ops == &blk_fault_ops);
	return container_of(blk, struct blk_fault, blk);
}

struct blk *
blk_fault_new(struct blk *lower)
{
	struct blk_fault *fault = calloc(1, sizeof(*fault));

	if (fault == NULL)
		return NULL;
	fault->blk = *lower;		/* name, loop and geometry */
	fault->blk.ops = &blk_fault_ops;
	fault->lower = lower;
	STAILQ_INIT(&fault->stalled);
	STAILQ_INIT(&fault->delayed);
	fault_cache_init(fault);
	return &fault->blk;
}

int
blk_fault_add(struct blk *blk, const struct fault_rule *rule)
{
	struct blk_fault *fault = to_fault(blk);

	if (rule->action == FAULT_ERROR && rule->err <= 0)
		return -EINVAL;
	if (fault->nrules == FAULT_RULES_MAX)
		return -ENOSPC;
	fault->rule[fault->nrules].rule = *rule;
	fault->rule[fault->nrules].seen = 0;
	fault->rule[fault->nrules].acted = 0;
	fault->nrules++;
	return 0;
}

void
blk_fault_clear(struct blk *blk)
{
	struct blk_fault *fault = to_fault(blk);
	struct io *io;

	fault->nrules = 0;
	while ((io = STAILQ_FIRST(&fault->stalled)) != NULL) {
		STAILQ_REMOVE_HEAD(&fault->stalled, queue);
		fault_cache_submit(fault, io);
	}
}

void
blk_fault_volatile_cache(struct blk *blk, bool on)
{
	to_fault(blk)->cache.on = on;
}
