/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Make the parity of one row right: read the whole row under its lock,
 * compare, write the parity if it differs.  The sweep runs these.
 *
 * Invariants: data is never written here; a row that cannot be read whole is
 * left alone and ends with -EIO.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>

enum row_sync_step { RS_LOCK, RS_PLAN, RS_READ, RS_COMPARE, RS_STORED,
	RS_UNLOCK };
static const char *const row_sync_steps[] = {
	"LOCK", "PLAN", "READ", "COMPARE", "STORED", "UNLOCK",
};

static bool
reads_failed(struct row *row)
{
	const struct row_plan *plan = &row->work.plan;
	bool failed = false;

	for (unsigned i = 0; i < plan->nreads; i++) {
		struct member *m = &row->raid->member[plan->read[i].role];
		int result = row->work.io[i].result;

		if (result == 0)
			continue;
		failed = true;
		m->read_errors++;
		if (errno_is_gone(result))
			member_fail(m, "it does not answer reads");
	}
	return failed;
}

static void
store_parity(struct row *row, struct op *op)
{
	struct row_work *work = &row->work;
	const struct row_plan *plan = &work->plan;

	work->iov[0].iov_base = row_slot(plan, work->slots, plan->parity, 0);
	work->iov[0].iov_len = plan->map->row_bytes;
	member_submit(&row->raid->member[plan->parity], &work->io[0],
	    IO_WRITE, plan->row * plan->map->row_bytes, plan->map->row_bytes,
	    work->iov, 1, 0, op);
}

static void
row_sync_run(struct op *op)
{
	struct row *row = op_owner(op, struct row);
	struct raid *raid = row->raid;
	struct row_work *work = &row->work;

	switch ((enum row_sync_step)op->step) {
	case RS_LOCK:
		row_lock(raid, &row->claim, row->span.row, true, op);
		op->step = RS_PLAN;
		return;
	case RS_PLAN:
		op->step = RS_UNLOCK;
		row->result = -EIO;
		if (raid->failed || row_missing(raid, row->span.row) != 0)
			return;
		row_plan_check(&work->plan, &raid->map, row->span.row);
		row_reserve(raid, work, 0, op);
		op->step = RS_READ;
		return;
	case RS_READ:
		row_place(work);
		row_read_slots(raid, work, op);
		op->step = RS_COMPARE;
		return;
	case RS_COMPARE:
		op->step = RS_UNLOCK;
		if (reads_failed(row))
			return;
		row->result = 0;
		row->part = row_apply_check(&work->plan, work->slots);
		if (row->part == 0)
			return;
		store_parity(row, op);
		op->step = RS_STORED;
		return;
	case RS_STORED:
		if (work->io[0].result != 0) {
			raid->member[work->plan.parity].write_errors++;
			member_fail(&raid->member[work->plan.parity],
			    "a write failed");
			row->result = -EIO;
		}
		op->step = RS_UNLOCK;
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
row_sync_start(struct row *row, uint64_t at, struct op *parent)
{
	assert(at < raid_map_rows(&row->raid->map));
	row->span.row = at;
	row->part = 0;
	op_start(&row->op, &row_sync_type, parent->sched, parent);
}
