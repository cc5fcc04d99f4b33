/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One row of a sweep, under its lock: read it whole and compare the parity
 * (and write it if it differs), or read all but one member and write what
 * that one must hold, or copy a member to its heir.
 *
 * A sector that cannot be read is repaired by a scrub.  In a rebuild or copy
 * the new member has what follows from it in its bad-block log: reads of that
 * end with an error, all else of the row is filled.
 *
 * Invariants: a row that cannot be read is left alone by a resync and ends
 * with -EIO; a scrub or resync writes parity, and what could not be read; a
 * row filled by a rebuild is marked so before its lock is given up, so no
 * write in between misses the new member.  From parity in doubt nothing is
 * rebuilt but the parity itself: the data is listed, if there is not too much
 * of it.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>

#define DOUBT_LISTED (16 * MIB)

enum row_sync_step { RS_LOCK, RS_PLAN, RS_READ, RS_COMPARE, RS_STORED,
	RS_MEND, RS_MENDED, RS_UNLOCK };
static const char *const row_sync_steps[] = {
	"LOCK", "PLAN", "READ", "COMPARE", "STORED", "MEND", "MENDED",
	"UNLOCK",
};

/* Roles with a read that failed; false: a member is gone. */
static bool
note_reads(struct row *row, uint32_t *bad)
{
	const struct row_plan *plan = &row->work.plan;
	bool all_there = true;

	*bad = 0;
	for (unsigned i = 0; i < plan->nreads; i++) {
		struct member *m = &row->raid->member[plan->read[i].role];
		int result = row->work.io[i].result;

		if (result == 0)
			continue;
		*bad |= UINT32_C(1) << m->role;
		if (member_note_read(m, result))
			all_there = false;
	}
	return all_there;
}

/* Is the member to be rebuilt the one with this row's parity? */
static bool
is_parity(const struct row *row)
{
	const struct raid_map *map = &row->raid->map;

	return row->place.role == raid_map_parity(map,
	    raid_map_stripe(map, row->span.row));
}

/* The parity of the row fits its data. */
static void
settle_row(struct row *row)
{
	struct raid *raid = row->raid;
	uint64_t at = row->span.row * raid->map.row_bytes;

	(void)doubt_settle(&raid->doubt, at, at + raid->map.row_bytes);
}

/* Who is written. */
static struct member *
row_target(const struct row *row, unsigned role)
{
	return row->kind == SWEEP_REPLACE ? &row->raid->heir :
	    &row->raid->member[role];
}

/* Write the slot of one role back. */
static void
store_role(struct row *row, unsigned role, struct op *op)
{
	struct row_work *work = &row->work;
	const struct raid_map *map = work->plan.map;

	assert(row->claim.exclusive && work->buf.pool != NULL);
	assert(role < map->n);
	row->place.role = role;
	work->iov[0].iov_base = row_slot(&work->plan, work->slots, role, 0);
	work->iov[0].iov_len = map->row_bytes;
	member_submit(row_target(row, role), &work->io[0], IO_WRITE,
	    work->plan.row * map->row_bytes, map->row_bytes, work->iov, 1, 0,
	    op);
}

/* Mend these roles, one after the other. */
static enum row_sync_step
mend(struct row *row, uint32_t roles, enum fix_mode mode)
{
	assert(roles != 0);
	row_release(&row->work);
	row->avoid = roles;
	row->mend = mode;
	row->repairs++;
	return RS_MEND;
}

/* So much of it that a bad-block log would be of no use? */
static bool
much_in_doubt(const struct raid *raid)
{
	return doubt_bytes(&raid->doubt) > DOUBT_LISTED ||
	    raid->doubt.set.n > BBLOG_ENTRIES / 4;
}

static bool
plan_row(struct row *row)
{
	struct raid *raid = row->raid;
	uint32_t missing = row_missing(raid, row->span.row);
	struct row_range all = { 0, raid->map.row_bytes };

	if (row->kind == SWEEP_REPLACE) {
		row_plan_copy(&row->work.plan, &raid->map, row->span.row,
		    row->place.role);
		return (missing >> row->place.role & 1) == 0;
	}
	if (row->kind == SWEEP_REBUILD)
		return row_plan_rebuild(&row->work.plan, &raid->map,
		    row->span.row, row->place.role, all, missing &
		    ~(UINT32_C(1) << row->place.role)) == 0;
	row_plan_check(&row->work.plan, &raid->map, row->span.row);
	return missing == 0;
}

static enum row_sync_step
plan(struct row *row, struct op *op)
{
	struct raid *raid = row->raid;

	row->result = -EIO;
	if (raid->failed)
		return RS_UNLOCK;
	if (row->kind == SWEEP_REBUILD && !is_parity(row) &&
	    row_in_doubt(raid, row->span.row))
		return much_in_doubt(raid) ? RS_UNLOCK : mend(row,
		    UINT32_C(1) << row->place.role, FIX_FILL);
	if (!plan_row(row))
		return RS_UNLOCK;
	row_reserve(raid, &row->work, 0, op);
	return RS_READ;
}

static enum row_sync_step
compare(struct row *row, struct op *op)
{
	struct row_work *work = &row->work;
	uint32_t bad;

	if (!note_reads(row, &bad))
		return RS_UNLOCK;
	if (bad != 0 && row->kind == SWEEP_REPLACE)
		return mend(row, UINT32_C(1) << row->place.role, FIX_COPY);
	if (bad != 0 && row->kind == SWEEP_REBUILD)
		return mend(row, UINT32_C(1) << row->place.role, FIX_FILL);
	if (bad != 0)
		return row->kind == SWEEP_RESYNC || row->repairs > 0 ||
		    row_in_doubt(row->raid, row->span.row) ?
		    RS_UNLOCK : mend(row, bad, FIX_SEARCH);
	row->result = 0;
	if (row->kind == SWEEP_REPLACE) {
		store_role(row, row->place.role, op);
		return RS_STORED;
	}
	if (row->kind == SWEEP_REBUILD) {
		row_apply_rebuild(&work->plan, work->slots, row->place.role);
		store_role(row, row->place.role, op);
		return RS_STORED;
	}
	row->bad = row_apply_check(&work->plan, work->slots);
	if (row->bad == 0)
		settle_row(row);
	if (row->bad == 0 || row->kind == SWEEP_CHECK)
		return RS_UNLOCK;
	store_role(row, work->plan.parity, op);
	return RS_STORED;
}

static void
written(struct row *row)
{
	const struct raid *raid = row->raid;
	const struct member *m = row_target(row, row->place.role);

	assert(row->result == 0);
	if (is_parity(row) && row->kind != SWEEP_REPLACE)
		settle_row(row);
	if ((row->kind != SWEEP_REBUILD && row->kind != SWEEP_REPLACE) ||
	    m->lack == NULL)
		return;
	/* Once its member is lost, an heir misses writes. */
	if ((raid->missing >> row->place.role & 1) == 0)
		lack_fill_row(m->lack, &raid->map, row->span.row);
}

static enum row_sync_step
stored(struct row *row)
{
	struct member *m = row_target(row, row->place.role);
	const struct io *io = &row->work.io[0];

	if (io->result == 0) {
		member_wrote(m, io);
		written(row);
		return RS_UNLOCK;
	}
	m->write_errors++;
	if (!errno_is_gone(io->result))		/* once more, in pieces */
		return mend(row, UINT32_C(1) << m->role, row->kind ==
		    SWEEP_REPLACE ? FIX_COPY : FIX_FILL);
	member_fail(m, "its device is gone");
	row->result = -EIO;
	return RS_UNLOCK;
}

static void
mend_start(struct row *row, struct row_fix *fix, struct op *op)
{
	row->fix = fix;
	fix->row = row->span.row;
	fix->role = (unsigned)__builtin_ctz(row->avoid);
	fix->at = (struct row_range){ 0, row->raid->map.row_bytes };
	fix->mode = row->mend;
	row_fix_start(fix, op);
}

static enum row_sync_step
mended(struct row *row, struct op *op)
{
	row->result = row->fix->result;
	row_fix_put(row->raid, row->fix);
	row->fix = NULL;
	row->avoid &= row->avoid - 1;
	if (row->avoid != 0)
		return RS_MEND;
	if (row->mend == FIX_SEARCH) {
		raid_record(row->raid, op);
		return RS_PLAN;
	}
	if (!member_live(row_target(row, row->place.role)))
		row->result = -EIO;
	if (row->result == 0)
		written(row);
	return RS_UNLOCK;
}

static void
row_sync_run(struct op *op)
{
	struct row *row = op_owner(op, struct row);
	struct raid *raid = row->raid;
	struct row_work *work = &row->work;
	struct row_fix *fix;

	switch ((enum row_sync_step)op->step) {
	case RS_LOCK:
		row_lock(raid, &row->claim, row->span.row, true, op);
		op->step = RS_PLAN;
		return;
	case RS_PLAN:
		op->step = plan(row, op);
		return;
	case RS_READ:
		row_place(work);
		row_read_slots(raid, work, 0, op);
		op->step = RS_COMPARE;
		return;
	case RS_COMPARE:
		op->step = compare(row, op);
		return;
	case RS_STORED:
		op->step = stored(row);
		return;
	case RS_MEND:
		if ((fix = row_fix_get(raid, op)) == NULL)
			return;
		mend_start(row, fix, op);
		op->step = RS_MENDED;
		return;
	case RS_MENDED:
		op->step = mended(row, op);
		return;
	case RS_UNLOCK:
		row_release(work);
		row_unlock(raid, &row->claim);
		op_end(op);
		return;
	}
	bug("row_sync: bad step");
}

static const struct op_type row_sync_type = {
	.name = "row_sync",
	.steps = row_sync_steps,
	.nsteps = nitems(row_sync_steps),
	.run = row_sync_run,
};

void
row_sync_start(struct row *row, uint64_t at, enum sweep_kind kind,
    unsigned role, struct op *parent)
{
	assert(at < raid_map_rows(&row->raid->map));
	assert(kind != SWEEP_REBUILD || role < row->raid->map.n);
	row->span.row = at;
	row->kind = kind;
	row->place.role = role;
	row->bad = 0;
	op_start(&row->op, &row_sync_type, parent->sched, parent);
}
