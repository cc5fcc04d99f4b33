/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reconstruct a part of one column from all others: for reads of a missing
 * member, and to repair a sector that cannot be read.  The caller holds the
 * row (exclusively if it wants the rewrite) and no buffers.
 *
 * A repaired sector is written back, read again and compared; the member is
 * kept if that works and fails if not.  A part that cannot be reconstructed
 * ends with -EIO and changes nothing.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum fix_step { FX_PLAN, FX_GATHER, FX_APPLY, FX_REREAD, FX_COMPARE, FX_END };
static const char *const fix_steps[] = {
	"PLAN", "GATHER", "APPLY", "REREAD", "COMPARE", "END",
};

static struct member *
fix_member(const struct row_fix *fix)
{
	return &fix->raid->member[fix->role];
}

static uint64_t
fix_off(const struct row_fix *fix)
{
	return fix->row * fix->raid->map.row_bytes + fix->at.lo;
}

/* A device that is gone fails at once; a sector makes this part unreadable. */
static bool
gather_failed(struct row_fix *fix)
{
	const struct row_plan *plan = &fix->work.plan;
	bool failed = false;

	for (unsigned i = 0; i < plan->nreads; i++) {
		struct member *m = &fix->raid->member[plan->read[i].role];
		int result = fix->work.io[i].result;

		if (result == 0)
			continue;
		failed = true;
		m->read_errors++;
		if (errno_is_gone(result))
			member_fail(m, "it does not answer reads");
	}
	return failed;
}

/* One I/O of the part to the member itself, from or to `role`'s slot. */
static void
fix_io(struct row_fix *fix, enum io_kind kind, unsigned slot_role,
    unsigned flags, struct op *op)
{
	struct row_work *work = &fix->work;

	work->iov[0].iov_base = row_slot(&work->plan, work->slots, slot_role,
	    fix->at.lo);
	work->iov[0].iov_len = fix->at.hi - fix->at.lo;
	member_submit(fix_member(fix), &work->io[0], kind, fix_off(fix),
	    work->iov[0].iov_len, work->iov, 1, flags, op);
}

static void
fix_apply(struct row_fix *fix, struct op *op)
{
	struct row_work *work = &fix->work;

	assert(work->buf.pool != NULL);
	assert(work->plan.cover.lo == fix->at.lo &&
	    work->plan.cover.hi == fix->at.hi);
	row_apply_rebuild(&work->plan, work->slots, fix->role);
	if (fix->dst != NULL)
		iov_from_buf(fix->dst, fix->ndst, 0, row_slot(&work->plan,
		    work->slots, fix->role, fix->at.lo),
		    fix->at.hi - fix->at.lo);
	if (fix->rewrite)
		fix_io(fix, IO_WRITE, fix->role, IO_FUA, op);
}

/* The slot of any other role takes what is read again. */
static unsigned
spare_slot_role(const struct row_fix *fix)
{
	return fix->role == 0 ? 1 : 0;
}

static void
fix_compare(struct row_fix *fix)
{
	struct row_work *work = &fix->work;
	struct member *m = fix_member(fix);
	unsigned other = spare_slot_role(fix);
	size_t len = fix->at.hi - fix->at.lo;

	assert(fix->rewrite && other != fix->role);

	if (work->io[0].result == 0 && memcmp(row_slot(&work->plan,
	    work->slots, fix->role, fix->at.lo), row_slot(&work->plan,
	    work->slots, other, fix->at.lo), len) == 0) {
		m->corrected_errors++;
		raid_tell(fix->raid, "member %u (%s): corrected a read error "
		    "at byte %llu", m->role, m->blk->name,
		    (unsigned long long)(m->data_off + fix_off(fix)));
		return;
	}
	m->write_errors++;
	member_fail(m, "a sector could be neither read nor rewritten");
}

static void
row_fix_run(struct op *op)
{
	struct row_fix *fix = op_owner(op, struct row_fix);
	struct raid *raid = fix->raid;

	switch ((enum fix_step)op->step) {
	case FX_PLAN:
		fix->result = row_plan_rebuild(&fix->work.plan, &raid->map,
		    fix->row, fix->role, fix->at,
		    row_missing(raid, fix->row) & ~(UINT32_C(1) << fix->role));
		if (fix->result == 0)
			row_reserve(raid, &fix->work, 0, op);
		op->step = fix->result == 0 ? FX_GATHER : FX_END;
		return;
	case FX_GATHER:
		row_place(&fix->work);
		row_read_slots(raid, &fix->work, op);
		op->step = FX_APPLY;
		return;
	case FX_APPLY:
		if (gather_failed(fix)) {
			fix->result = -EIO;
			op->step = FX_END;
			return;
		}
		fix_apply(fix, op);
		op->step = fix->rewrite ? FX_REREAD : FX_END;
		return;
	case FX_REREAD:
		if (fix->work.io[0].result == 0)
			fix_io(fix, IO_READ, spare_slot_role(fix), 0, op);
		op->step = FX_COMPARE;
		return;
	case FX_COMPARE:
		fix_compare(fix);
		op->step = FX_END;
		return;
	case FX_END:
		row_release(&fix->work);
		op_end(op);
		return;
	}
	bug("row_fix: bad step");
}

static const struct op_type row_fix_type = {
	.name = "row_fix",
	.steps = fix_steps,
	.nsteps = nitems(fix_steps),
	.run = row_fix_run,
};

void
row_fix_start(struct row_fix *fix, struct op *parent)
{
	assert(fix->at.lo < fix->at.hi);
	assert(fix->role < fix->raid->map.n);
	assert(fix->row < raid_map_rows(&fix->raid->map));
	assert(fix->at.hi <= fix->raid->map.row_bytes);
	assert(fix->work.buf.pool == NULL);
	op_start(&fix->op, &row_fix_type, parent->sched, parent);
}
