/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to the array: split into rows (writes) or pieces of chunks (reads)
 * which run in parallel, and ended when the last part has ended.
 *
 * Invariants: a request that fits in one chunk of a healthy member is one
 * I/O with the caller's own iovec, no lock and no copy; `active` counts
 * requests in work; while the pool is empty, or the array frozen (to
 * exchange a member), requests wait in order of arrival; a read whose memory
 * a ghost may still use ends with a grave for it, and with nothing else.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define LOG_AREA LOG_RAID
#define LATE_MS 100u		/* look again for a late member to answer */

enum req_step { RQ_START, RQ_DIRECT, RQ_READ, RQ_WRITE, RQ_FLUSH, RQ_FLUSHED,
	RQ_END };
static const char *const req_steps[] = {
	"START", "DIRECT", "READ", "WRITE", "FLUSH", "FLUSHED", "END",
};

static bool
changes(const struct io *io)
{
	return io->kind == IO_WRITE || io->kind == IO_ZERO ||
	    io->kind == IO_DISCARD;
}

/* --- read --- */

void
req_read_lent(struct raid_req *req, struct io *io, struct member *m,
    uint64_t off, uint64_t len, const struct iovec *iov, unsigned niov,
    struct op *op)
{
	assert((req->orig->flags & IO_LENT) != 0);
	member_submit(m, io, IO_READ, off, len, iov, niov, MEMBER_LENT, op);
	io->owner = req;
}

bool
req_may_let_go(struct raid_req *req)
{
	if (req->grave == NULL)
		req->grave = grave_new(&req->raid->yard);
	return req->grave != NULL;
}

/* One I/O to one healthy member, if that is all it takes. */
static bool
read_direct(struct raid_req *req)
{
	struct raid *raid = req->raid;
	struct io *orig = req->orig;
	struct member *m;

	raid_map_locate(&raid->map, orig->off, &req->place);
	m = &raid->member[req->place.role];
	if (orig->len > req->place.left || member_avoided(m) ||
	    !member_has_range(m, req->place.member_off, orig->len))
		return false;
	if ((orig->flags & IO_LENT) != 0)
		req_read_lent(req, &req->io, m, req->place.member_off,
		    orig->len, orig->iov, orig->niov, &req->op);
	else
		guard_read(req, m);
	return true;
}

/* Bytes of [off, off + len) that ROW_IOV_MAX entries can hold. */
static uint64_t
iov_fit(const struct io *orig, uint64_t off, uint64_t len)
{
	uint64_t fit = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < orig->niov && n < ROW_IOV_MAX; i++) {
		uint64_t part = orig->iov[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		fit += part - off;
		off = 0;
		n++;
	}
	return MIN(fit, len);
}

/* Start pieces while there are row ops; re-entered until all are started. */
static void
req_read(struct raid_req *req, struct op *op)
{
	struct raid *raid = req->raid;
	struct io *orig = req->orig;

	while (req->next < orig->len && req->result == 0) {
		struct row *row = row_get(raid, op);
		uint64_t len = orig->len - req->next;

		if (row == NULL)
			return;
		raid_map_locate(&raid->map, orig->off + req->next,
		    &row->place);
		len = iov_fit(orig, req->next, MIN(len, row->place.left));
		len = round_down(len, raid->blk.geo.logical_block);
		if (len == 0) {		/* a caller with absurd fragments */
			req->result = -EINVAL;
			row_put(row);
			break;
		}
		assert(len <= row->place.left);
		row->src = req->next;
		row->len = len;
		req->next += len;
		row_read_start(row, req);
	}
	row_pass(raid);
	op->step = RQ_END;
}

/* --- write, zero, discard --- */

/* A discard leaves rows alone that it does not cover. */
static bool
row_wanted(const struct raid_req *req, const struct row_span *span)
{
	const struct raid_map *map = &req->raid->map;

	if (req->orig->kind != IO_DISCARD)
		return true;
	for (unsigned d = 0; d < map->ndata; d++)
		if (span->data[d].hi - span->data[d].lo != map->row_bytes)
			return false;
	return true;
}

static void
req_write(struct raid_req *req, struct op *op)
{
	struct raid *raid = req->raid;
	struct io *orig = req->orig;

	while (req->next != UINT64_MAX && req->result == 0) {
		if (!raid->ahead.running || !ahead_take(req, req->next)) {
			struct row *row = row_get(raid, op);

			if (row == NULL)
				return;
			raid_map_span(&raid->map, req->next, orig->off,
			    orig->len, &row->span);
			if (row_wanted(req, &row->span))
				row_write_start(row, req);
			else
				row_put(row);
		}
		req->next = raid_map_next_row(&raid->map, req->next + 1,
		    orig->off, orig->len);
	}
	row_pass(raid);
	op->step = RQ_END;
}

/* --- flush --- */

static void
req_flush(struct raid_req *req, struct op *op)
{
	for (unsigned r = 0; r < req->raid->map.n; r++)
		member_submit(&req->raid->member[r], &req->flush[r], IO_FLUSH,
		    0, 0, NULL, 0, 0, op);
}

static void
req_flushed(struct raid_req *req, struct op *op)
{
	struct raid *raid = req->raid;

	for (unsigned r = 0; r < raid->map.n; r++)
		if (req->flush[r].result != 0)
			member_fail(&raid->member[r], "a flush failed");
	if (raid->gen_durable < raid->gen_failed)
		raid_record(raid, op);
}

/* --- all --- */

static void
req_start(struct raid_req *req, struct op *op)
{
	struct raid *raid = req->raid;
	struct io *orig = req->orig;

	req->next = 0;
	req->result = 0;
	req->grave = NULL;
	switch (orig->kind) {
	case IO_READ:
		op->step = read_direct(req) ? RQ_DIRECT : RQ_READ;
		return;
	case IO_WRITE:
	case IO_ZERO:
	case IO_DISCARD:
		if (raid->ahead.running)
			ahead_meets(raid, orig);
		raid->writers++;
		req->sequential = orig->kind == IO_WRITE &&
		    stream_note(raid, orig->off, orig->len);
		req->next = raid_map_next_row(&raid->map, 0, orig->off,
		    orig->len);
		raid_need_dirty(raid, op);
		op->step = RQ_WRITE;
		return;
	case IO_FLUSH:
		op->step = RQ_FLUSH;
		return;
	case IO_STATUS:
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("raid_req: %s", io_kind_name(orig->kind));
}

static void req_take(struct raid *raid, struct io *io);

static void
take_waiting(struct raid *raid)
{
	struct io *io;

	while (raid->freezer == NULL && !STAILQ_EMPTY(&raid->free_reqs) &&
	    (io = STAILQ_FIRST(&raid->waiting_ios)) != NULL) {
		STAILQ_REMOVE_HEAD(&raid->waiting_ios, queue);
		req_take(raid, io);
	}
}

/* For the sweep: what does it cost? */
static void
note_latency(const struct raid_req *req)
{
	struct raid *raid = req->raid;
	struct sweep *sweep = &raid->sweep;

	raid->request_ns = loop_now(raid->loop);
	if (sweep->running && (req->orig->kind == IO_READ ||
	    req->orig->kind == IO_WRITE))
		throttle_sample(&sweep->throttle, raid->request_ns -
		    req->op.start_ns, sweep->in_batch ||
		    req->batch != sweep->nbatches);
}

static void
req_end(struct raid_req *req)
{
	struct raid *raid = req->raid;
	struct io *orig = req->orig;
	int result = raid->failed ? -ENODEV : req->result;

	assert(result <= 0);
	if (req->grave != NULL) {	/* whatever else there was */
		result = -ETIMEDOUT;
		orig->grave = req->grave;
	}
	if (changes(orig))
		raid_writer_end(raid);
	op_end(&req->op);
	STAILQ_INSERT_HEAD(&raid->free_reqs, req, free);
	assert(raid->active > 0);
	raid->active--;
	note_latency(req);
	io_end(orig, result);
	take_waiting(raid);
	if (raid->active == 0)
		op_wake_all(&raid->idle_waiting);
}

static void
raid_req_run(struct op *op)
{
	struct raid_req *req = op_owner(op, struct raid_req);

	switch ((enum req_step)op->step) {
	case RQ_START:
		req_start(req, op);
		return;
	case RQ_DIRECT:
		op->step = req->io.result == 0 || req->grave != NULL ?
		    RQ_END : RQ_READ;
		return;
	case RQ_READ:
		req_read(req, op);
		return;
	case RQ_WRITE:
		req_write(req, op);
		return;
	case RQ_FLUSH:
		req_flush(req, op);
		op->step = RQ_FLUSHED;
		return;
	case RQ_FLUSHED:
		req_flushed(req, op);
		op->step = RQ_END;
		return;
	case RQ_END:
		req_end(req);
		return;
	}
	bug("raid_req: bad step");
}

static const struct op_type raid_req_type = {
	.name = "raid_req",
	.steps = req_steps,
	.nsteps = nitems(req_steps),
	.run = raid_req_run,
};

static void
req_take(struct raid *raid, struct io *io)
{
	struct raid_req *req = STAILQ_FIRST(&raid->free_reqs);

	assert(req != NULL && raid->freezer == NULL);
	STAILQ_REMOVE_HEAD(&raid->free_reqs, free);
	raid->active++;
	req->raid = raid;
	req->orig = io;
	req->batch = raid->sweep.in_batch ? UINT64_MAX :
	    raid->sweep.nbatches;
	op_start(&req->op, &raid_req_type, loop_sched(raid->loop), NULL);
}

void
raid_submit(struct blk *blk, struct io *io)
{
	struct raid *raid = container_of(blk, struct raid, blk);

	if (raid->failed) {
		io_end(io, -ENODEV);
		return;
	}
	if (io->kind == IO_STATUS) {
		io->flags |= IO_MAPPED;
		io_end(io, 0);
		return;
	}
	if (io->kind == IO_DISCARD && blk->geo.discard_granularity == 0) {
		io_end(io, 0);
		return;
	}
	if (raid->freezer != NULL || STAILQ_EMPTY(&raid->free_reqs))
		STAILQ_INSERT_TAIL(&raid->waiting_ios, io, queue);
	else
		req_take(raid, io);
}

/* --- freeze --- */

static bool
any_late(const struct raid *raid)
{
	if (raid->yard.ghosts > 0 || raid->probes > 0)
		return true;
	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].late > 0)
			return true;
	return false;
}

bool
raid_freeze(struct raid *raid, struct timer *timer, struct op *op)
{
	ahead_break(raid);
	if (raid->freezer != NULL && raid->freezer != op) {
		op_wait(&raid->idle_waiting, op);
		return false;
	}
	if (any_late(raid)) {		/* may take long: let requests in */
		if (raid->freezer == op)
			raid_thaw(raid);
		op_sleep(raid->loop, timer, LATE_MS, op);
		return false;
	}
	raid->freezer = op;
	if (raid->active > 0 || raid->cleaning || !ppl_idle(raid) ||
	    !guards_idle(raid) || !bitmap_idle(raid))
		op_wait(&raid->idle_waiting, op);
	else if (raid->sb_running)
		op_wait(&raid->sb_waiting, op);
	else
		return true;
	return false;
}

void
raid_thaw(struct raid *raid)
{
	assert(raid->freezer != NULL);
	raid->freezer = NULL;
	take_waiting(raid);
	op_wake_all(&raid->idle_waiting);
}
