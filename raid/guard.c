/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Direct reads with a deadline.  A member that does not answer in time is not
 * evicted; its data is reconstructed from the others until it answers again.
 *
 * A read in flight cannot be taken back, so a small one goes into a buffer of
 * our own and is copied; if it is late, the request goes on without it and
 * the buffer stays with the read until it ends.  A large read, or one for
 * which there is no buffer, goes straight to the caller's memory and must be
 * waited for, but being late it keeps others away from the member.
 *
 * Invariants: a guard outlives its request only if it has its own buffer; all
 * guards end before a member is exchanged or the array is freed.
 */
#include "raid/guard.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "raid/raid_priv.h"

#define GUARD_COPY_MAX (16 * KIB)	/* beyond, a copy costs too much */
#define GUARD_LARGE(n) (((n) + 7) / 8)	/* buffers of 64 KiB */

struct guard {
	struct op op;
	struct raid *raid;
	struct member *member;
	struct raid_req *req;		/* NULL: it went on without us */
	struct io io;
	struct buf buf;			/* empty: the caller's memory */
	TAILQ_ENTRY(guard) list;	/* by age */
	STAILQ_ENTRY(guard) free;
};

struct guards {
	struct guard *all;
	STAILQ_HEAD(, guard) free;
	TAILQ_HEAD(, guard) running;
	struct buf_pool *bufs;
};

struct guards *
guards_new(unsigned n)
{
	struct guards *guards = calloc(1, sizeof(*guards));

	if (guards == NULL)
		return NULL;
	guards->all = calloc(n, sizeof(*guards->all));
	guards->bufs = buf_pool_new(n, GUARD_LARGE(n));
	if (guards->all == NULL || guards->bufs == NULL) {
		guards_free(guards);
		return NULL;
	}
	STAILQ_INIT(&guards->free);
	TAILQ_INIT(&guards->running);
	for (unsigned i = 0; i < n; i++)
		STAILQ_INSERT_TAIL(&guards->free, &guards->all[i], free);
	return guards;
}

void
guards_free(struct guards *guards)
{
	if (guards == NULL)
		return;
	buf_pool_free(guards->bufs);
	free(guards->all);
	free(guards);
}

bool
guards_idle(const struct raid *raid)
{
	return TAILQ_EMPTY(&raid->guards->running);
}

/* --- the clock --- */

static void
let_go(struct guard *guard)
{
	struct raid_req *req = guard->req;

	guard->req = NULL;
	req->io.result = -ETIMEDOUT;
	op_unhold(&req->op);
}

void
guards_tick(struct raid *raid)
{
	uint64_t now = loop_now(raid->loop);
	struct guard *guard;

	TAILQ_FOREACH(guard, &raid->guards->running, list) {
		if (now - guard->op.start_ns <
		    raid->deadline_ms * NSEC_PER_MSEC)
			break;
		if (guard->buf.pool != NULL && guard->req != NULL)
			let_go(guard);
	}
}

/* --- one read --- */

enum guard_step { GD_READ, GD_DONE };
static const char *const guard_steps[] = { "READ", "DONE" };

static void
guard_done(struct guard *guard)
{
	struct raid *raid = guard->raid;
	struct raid_req *req = guard->req;
	const struct io *orig;

	TAILQ_REMOVE(&raid->guards->running, guard, list);
	if (req != NULL) {
		orig = req->orig;
		if (guard->buf.pool != NULL && guard->io.result == 0)
			iov_from_buf(orig->iov, orig->niov, 0,
			    guard->buf.iov[0].iov_base, orig->len);
		req->io.result = guard->io.result;
		op_unhold(&req->op);
	}
	buf_release(&guard->buf);
	op_end(&guard->op);
	STAILQ_INSERT_HEAD(&raid->guards->free, guard, free);
	if (guards_idle(raid))
		op_wake_all(&raid->idle_waiting);
}

static void
guard_run(struct op *op)
{
	struct guard *guard = op_owner(op, struct guard);
	const struct io *orig;
	const struct iovec *iov;
	unsigned niov;

	switch ((enum guard_step)op->step) {
	case GD_READ:
		orig = guard->req->orig;
		iov = guard->buf.pool != NULL ? guard->buf.iov : orig->iov;
		niov = guard->buf.pool != NULL ? 1 : orig->niov;
		member_submit(guard->member, &guard->io, IO_READ,
		    guard->req->place.member_off, orig->len, iov, niov, 0,
		    op);
		op->step = GD_DONE;
		return;
	case GD_DONE:
		guard_done(guard);
		return;
	}
	bug("raid_guard: bad step");
}

static const struct op_type guard_type = {
	.name = "raid_guard",
	.steps = guard_steps,
	.nsteps = nitems(guard_steps),
	.run = guard_run,
};

void
guard_read(struct raid_req *req, struct member *m)
{
	struct raid *raid = req->raid;
	struct guards *guards = raid->guards;
	struct guard *guard = STAILQ_FIRST(&guards->free);
	const struct io *orig = req->orig;

	if (guard == NULL) {		/* all are late, or nearly */
		member_submit(m, &req->io, IO_READ, req->place.member_off,
		    orig->len, orig->iov, orig->niov, 0, &req->op);
		return;
	}
	STAILQ_REMOVE_HEAD(&guards->free, free);
	assert(guard->buf.pool == NULL);
	guard->raid = raid;
	guard->member = m;
	guard->req = req;
	if (orig->len <= GUARD_COPY_MAX)
		(void)buf_try_reserve(&guard->buf, guards->bufs, orig->len);
	op_hold(&req->op);
	op_start(&guard->op, &guard_type, req->op.sched, NULL);
	TAILQ_INSERT_TAIL(&guards->running, guard, list);
}
