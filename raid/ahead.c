/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows made ready for a write that was announced (blk_expect): while its data
 * is on its way the disks have nothing to do, so the rows are locked and
 * planned, what they need is read and their partial parity is logged.  The
 * write then takes them over where they stand, before their first store.
 *
 * An announcement is a guess and stands in nobody's way: only an array at
 * rest listens to it, and its rows are given up as soon as another change
 * comes, somebody waits for a row, the array is to be quiet, or it takes too
 * long.  What a row does after that is to let go of what it has.
 *
 * With a partial parity log the rows go to their logs together, so that one
 * header for each member names them all.
 *
 * Invariants: a row that is ahead has stored nothing; `row` holds those that
 * can be taken; `unready` counts those that have not come to their log yet,
 * and all of them have their lock and their memory, or `loose` is set and
 * nobody waits for them.
 */
#include "raid/raid_priv.h"

#include <assert.h>

static struct ahead *
ahead_of(const struct row *row)
{
	return &row->raid->ahead;
}

/* --- giving up --- */

static void
arrive(struct row *row)
{
	struct ahead *a = ahead_of(row);

	if (row->arrived)
		return;
	row->arrived = true;
	assert(a->unready > 0);
	if (--a->unready == 0)
		op_wake_all(&a->together);
}

static void
pass_gate(struct row *row)
{
	if (!row->at_gate)
		return;
	row->at_gate = false;
	op_unhold(&row->op);
}

static void
forget(struct ahead *a, unsigned i)
{
	struct row *row = a->row[i];

	a->row[i] = NULL;
	assert(row->ahead == ROW_AHEAD);
	row->ahead = ROW_GIVEN_UP;
	arrive(row);
	pass_gate(row);
}

void
ahead_break(struct raid *raid)
{
	struct ahead *a = &raid->ahead;

	if (!a->running)
		return;
	a->loose = true;
	for (unsigned i = 0; i < a->nrows; i++)
		if (a->row[i] != NULL)
			forget(a, i);
	op_wake_all(&a->together);
}

static void
ahead_timeout(void *arg)
{
	ahead_break(arg);
}

/* --- the rows on their way --- */

bool
row_together(struct row *row)
{
	struct ahead *a = ahead_of(row);

	if (row->ahead == ROW_OWN || row->arrived)
		return true;
	arrive(row);
	if (a->unready == 0 || a->loose || row->raid->ppl == NULL)
		return true;
	op_wait(&a->together, &row->op);
	return false;
}

bool
row_may_store(struct row *row)
{
	assert(row->ahead != ROW_GIVEN_UP && !row->at_gate);
	if (row->ahead != ROW_AHEAD)
		return true;
	row->at_gate = true;
	op_hold(&row->op);
	return false;
}

/* --- the write itself --- */

static bool
same_part(const struct row_span *a, const struct row_span *b)
{
	if (a->first != b->first || a->last != b->last)
		return false;
	for (unsigned d = a->first; d <= a->last; d++)
		if (a->data[d].lo != b->data[d].lo ||
		    a->data[d].hi != b->data[d].hi)
			return false;
	return true;
}

/* The row becomes one of the request's; false: it was not for this. */
static bool
take(struct row *row, struct raid_req *req, const struct row_span *span)
{
	const struct io *orig = req->orig;

	if (!same_part(&row->span, span))
		return false;
	row->span = *span;
	row->data = (struct row_data){ orig->iov, orig->niov };
	if (row_bounces(row))
		return false;
	row->req = req;
	row->fua = (orig->flags & IO_FUA) != 0;
	row->ahead = ROW_TAKEN;
	op_hold(&req->op);
	pass_gate(row);
	return true;
}

bool
ahead_take(struct raid_req *req, uint64_t at)
{
	struct ahead *a = &req->raid->ahead;
	const struct io *orig = req->orig;
	struct row_span span;

	if (!a->started)
		ahead_break(req->raid);
	for (unsigned i = 0; i < a->nrows; i++) {
		struct row *row = a->row[i];

		if (row == NULL || row->span.row != at)
			continue;
		(void)raid_map_span(&req->raid->map, at, orig->off, orig->len,
		    &span);
		if (take(row, req, &span)) {
			a->row[i] = NULL;
			return true;
		}
		forget(a, i);
	}
	return false;
}

static bool
announced(const struct ahead *a, uint64_t off, uint64_t len)
{
	return a->running && off >= a->io.off &&
	    off + len <= a->io.off + a->io.len;
}

void
ahead_meets(struct raid *raid, const struct io *io)
{
	if (io->kind != IO_WRITE ||
	    !announced(&raid->ahead, io->off, io->len))
		ahead_break(raid);
}

/* Whole stripes; only while its rows are kept ready. */
uint64_t
raid_cut(const struct blk *blk, uint64_t off, uint64_t len)
{
	const struct raid *raid = (const void *)((const char *)blk -
	    offsetof(struct raid, blk));
	uint64_t stripe = (uint64_t)raid->map.chunk * raid->map.ndata;
	uint64_t end = off + len - (off + len) % stripe;

	if (raid->ahead.loose || !announced(&raid->ahead, off, len))
		return 0;
	return end > off ? end - off : 0;
}

/* --- the op --- */

static void
start_rows(struct ahead *a)
{
	struct raid *raid = a->req.raid;
	const struct io *io = &a->io;
	uint64_t at = raid_map_next_row(&raid->map, 0, io->off, io->len);

	while (at != UINT64_MAX && a->nrows < AHEAD_ROWS &&
	    !STAILQ_EMPTY(&raid->free_rows)) {
		struct row *row = row_get(raid, &a->req.op);

		(void)raid_map_span(&raid->map, at, io->off, io->len,
		    &row->span);
		row->ahead = ROW_AHEAD;
		row->arrived = row->at_gate = false;
		a->row[a->nrows++] = row;
		row_write_start(row, &a->req);
		at = raid_map_next_row(&raid->map, at + 1, io->off, io->len);
	}
	a->unready = a->nrows;
	timer_start(raid->loop, &a->timer, a->patience_ms, ahead_timeout, raid);
}

static void
ahead_end(struct ahead *a)
{
	struct raid *raid = a->req.raid;

	for (unsigned i = 0; i < a->nrows; i++)
		assert(a->row[i] == NULL);
	timer_stop(raid->loop, &a->timer);
	a->running = false;
	raid_writer_end(raid);
	assert(raid->active > 0);
	raid->active--;
	op_end(&a->req.op);
	if (raid->active == 0)
		op_wake_all(&raid->idle_waiting);
}

enum ahead_step { AH_DIRTY, AH_ROWS, AH_END };
static const char *const ahead_steps[] = { "DIRTY", "ROWS", "END" };

static void
ahead_run(struct op *op)
{
	struct ahead *a = container_of(op, struct ahead, req.op);

	switch ((enum ahead_step)op->step) {
	case AH_DIRTY:
		raid_need_dirty(a->req.raid, op);
		op->step = AH_ROWS;
		return;
	case AH_ROWS:
		a->started = true;
		if (!a->loose && !a->req.raid->failed)
			start_rows(a);
		op->step = AH_END;
		return;
	case AH_END:
		ahead_end(a);
		return;
	}
	bug("raid_ahead: bad step");
}

static const struct op_type ahead_type = {
	.name = "raid_ahead", .steps = ahead_steps,
	.nsteps = nitems(ahead_steps), .run = ahead_run,
};

/* Nothing is in work, and nothing but whole members and right parity. */
static bool
at_rest(const struct raid *raid)
{
	return raid->active == 0 && raid->freezer == NULL &&
	    !raid->stopping && !raid->failed && raid->missing == 0 &&
	    raid->heir.blk == NULL && !raid->sweep.running &&
	    !raid->converting && !doubt_any(&raid->doubt);
}

void
raid_expect(struct blk *blk, uint64_t off, uint64_t len)
{
	struct raid *raid = container_of(blk, struct raid, blk);
	struct ahead *a = &raid->ahead;

	ahead_break(raid);		/* it was for another one */
	if (a->running || !at_rest(raid))
		return;
	io_init(&a->io, IO_WRITE, off, len, NULL, 0, 0);
	a->req = (struct raid_req){ .raid = raid, .orig = &a->io };
	a->nrows = a->unready = 0;
	a->loose = a->started = false;
	a->running = true;
	op_queue_init(&a->together);
	raid->active++;
	raid->writers++;
	op_start(&a->req.op, &ahead_type, loop_sched(raid->loop), NULL);
}
