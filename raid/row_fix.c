/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reconstruct a part of one column from all others: for reads of a missing
 * member, to repair what cannot be read, to fill a new member.  The caller
 * holds the row (exclusively if something is to be written) and no buffers.
 *
 * What is written is read again and compared.  Where that fails the member
 * keeps its place if its bad-block log has room: the sectors are listed, after
 * a flush of all others, because from then on they alone hold the data.  Else
 * the member has failed.  What cannot be reconstructed ends with -EIO and
 * changes nothing; a member that is being filled has it listed.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PIECE 4096u		/* of FIX_SEARCH and FIX_FILL */

enum fix_step { FX_PIECE, FX_OWN, FX_OWNED, FX_GATHER, FX_APPLY, FX_REREAD,
	FX_COMPARE, FX_LIST, FX_NEXT, FX_END };
static const char *const fix_steps[] = {
	"PIECE", "OWN", "OWNED", "GATHER", "APPLY", "REREAD", "COMPARE",
	"LIST", "NEXT", "END",
};

static struct member *
fix_member(const struct row_fix *fix)
{
	return &fix->raid->member[fix->role];
}

/* Who is written: the member, or its heir. */
static struct member *
fix_target(const struct row_fix *fix)
{
	return fix->mode == FIX_COPY ? &fix->raid->heir : fix_member(fix);
}

static uint64_t
fix_off(const struct row_fix *fix)
{
	return fix->row * fix->raid->map.row_bytes + fix->piece.lo;
}

static uint32_t
fix_len(const struct row_fix *fix)
{
	return fix->piece.hi - fix->piece.lo;
}

static bool
in_pieces(const struct row_fix *fix)
{
	return fix->mode == FIX_SEARCH || fix->mode == FIX_FILL ||
	    fix->mode == FIX_COPY;
}

/* Roles that cannot help. */
static uint32_t
others_missing(const struct row_fix *fix)
{
	return row_missing(fix->raid, fix->row) &
	    ~(UINT32_C(1) << fix->role);
}

/* It cannot be reconstructed. */
static enum fix_step
fix_lost(struct row_fix *fix)
{
	fix->lost = true;
	if ((fix->mode != FIX_FILL && fix->mode != FIX_COPY) ||
	    fix->raid->failed ||
	    member_bad_add(fix_target(fix), fix_off(fix), fix_len(fix)) < 0)
		fix->result = -EIO;
	return FX_NEXT;
}

/* Parity in doubt yields no data; the other way round it does. */
static bool
fix_in_doubt(const struct row_fix *fix, struct row_range at)
{
	const struct raid *raid = fix->raid;

	return fix->role != raid_map_parity(&raid->map,
	    raid_map_stripe(&raid->map, fix->row)) &&
	    part_in_doubt(raid, fix->row, at);
}

/* One entry for all of it. */
static void
join_doubt(struct row_fix *fix)
{
	while (fix->piece.hi < fix->at.hi) {
		struct row_range next = { fix->piece.hi,
			MIN(fix->at.hi, fix->piece.hi + PIECE) };

		if (!fix_in_doubt(fix, next))
			return;
		fix->piece.hi = next.hi;
	}
}

/* Plan the next piece.  A copy may do without the others. */
static enum fix_step
fix_piece(struct row_fix *fix, struct op *op)
{
	struct raid *raid = fix->raid;
	int rc;

	if (in_pieces(fix))
		fix->piece.hi = MIN(fix->at.hi,
		    (uint32_t)round_down(fix->piece.lo, PIECE) + PIECE);
	if (fix->mode == FIX_FILL && fix_in_doubt(fix, fix->piece)) {
		join_doubt(fix);
		return fix_lost(fix);
	}
	rc = raid->failed ? -EIO : row_plan_rebuild(&fix->work.plan,
	    &raid->map, fix->row, fix->role, fix->piece,
	    fix->mode == FIX_COPY ? 0 : others_missing(fix));
	if (rc == 0) {
		row_reserve(raid, &fix->work, 0, op);
		return fix->mode == FIX_SEARCH || fix->mode == FIX_COPY ?
		    FX_OWN : FX_GATHER;
	}
	fix->result = rc;
	return FX_END;
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
		(void)member_note_read(m, result);
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
	    fix->piece.lo);
	work->iov[0].iov_len = fix_len(fix);
	member_submit(kind == IO_READ ? fix_member(fix) : fix_target(fix),
	    &work->io[0], kind, fix_off(fix), work->iov[0].iov_len, work->iov,
	    1, flags, op);
}

static enum fix_step
fix_own(struct row_fix *fix, struct op *op)
{
	int result = fix->work.io[0].result;

	if (result == 0 && fix->mode == FIX_COPY) {
		fix_io(fix, IO_WRITE, fix->role, IO_FUA, op);
		return FX_REREAD;
	}
	if (result == 0)
		return FX_NEXT;		/* there is nothing to repair */
	if (member_note_read(fix_member(fix), result)) {
		fix->result = fix->mode == FIX_COPY ? -EIO : fix->result;
		return FX_END;
	}
	if (fix->mode == FIX_COPY && (others_missing(fix) != 0 ||
	    row_in_doubt(fix->raid, fix->row)))
		return fix_lost(fix);
	return FX_GATHER;
}

static enum fix_step
fix_apply(struct row_fix *fix, struct op *op)
{
	struct row_work *work = &fix->work;

	if (gather_failed(fix))
		return fix_lost(fix);
	assert(work->buf.pool != NULL);
	assert(work->plan.cover.lo == fix->piece.lo &&
	    work->plan.cover.hi == fix->piece.hi);
	row_apply_rebuild(&work->plan, work->slots, fix->role);
	if (fix->dst != NULL)
		iov_from_buf(fix->dst, fix->ndst, 0, row_slot(&work->plan,
		    work->slots, fix->role, fix->piece.lo), fix_len(fix));
	if (fix->mode == FIX_READ)
		return FX_NEXT;
	fix_io(fix, IO_WRITE, fix->role, IO_FUA, op);
	return FX_REREAD;
}

/* The slot of any other role takes what is read again. */
static unsigned
spare_slot_role(const struct row_fix *fix)
{
	return fix->role == 0 ? 1 : 0;
}

/* Past the bad-block log: what it lists was just written. */
static void
fix_reread(struct row_fix *fix, struct op *op)
{
	struct row_work *work = &fix->work;
	struct member *m = fix_target(fix);

	if (work->io[0].result != 0 || !member_live(m) || fix->raid->failed)
		return;
	fix->worked = true;
	work->iov[0].iov_base = row_slot(&work->plan, work->slots,
	    spare_slot_role(fix), fix->piece.lo);
	io_init(&work->io[0], IO_READ, m->data_off + fix_off(fix),
	    fix_len(fix), work->iov, 1, MEMBER_MAY_CUT);
	member_io(m, &work->io[0], op);
}

static bool
same_again(const struct row_fix *fix)
{
	const struct row_work *work = &fix->work;

	return fix->worked && work->io[0].result == 0 &&
	    memcmp(row_slot(&work->plan, work->slots, fix->role,
	    fix->piece.lo), row_slot(&work->plan, work->slots,
	    spare_slot_role(fix), fix->piece.lo), fix_len(fix)) == 0;
}

static enum fix_step
fix_compare(struct row_fix *fix, struct op *op)
{
	struct raid *raid = fix->raid;
	struct member *m = fix_target(fix);

	assert(fix->mode != FIX_READ && spare_slot_role(fix) != fix->role);
	if (same_again(fix)) {
		member_bad_clear(m, fix_off(fix), fix_len(fix));
		if (fix->mode == FIX_FILL || fix->mode == FIX_COPY)
			return FX_NEXT;
		m->corrected_errors++;
		if (member_note_worn(m))
			raid_tell(raid, "member %u (%s): corrected a read "
			    "error at byte %llu", m->role, m->blk->name,
			    (unsigned long long)(m->data_off + fix_off(fix)));
		return FX_NEXT;
	}
	m->write_errors++;
	if (errno_is_gone(fix->work.io[0].result) || !member_live(m)) {
		member_fail(m, "its device is gone");
		return FX_NEXT;
	}
	for (unsigned r = 0; r < raid->map.n; r++) {
		fix->work.io[r].result = 0;
		if (r != fix->role && member_live(&raid->member[r]))
			member_submit(&raid->member[r], &fix->work.io[r],
			    IO_FLUSH, 0, 0, NULL, 0, 0, op);
	}
	return FX_LIST;
}

static enum fix_step
fix_list(struct row_fix *fix)
{
	struct raid *raid = fix->raid;
	struct member *m = fix_target(fix);

	for (unsigned r = 0; r < raid->map.n; r++)
		if (fix->work.io[r].result != 0)
			member_fail(&raid->member[r], "a flush failed");
	if (member_bad_add(m, fix_off(fix), fix_len(fix)) < 0)
		member_fail(m, "a sector could be neither read nor rewritten");
	m->retest_ns = loop_now(raid->loop) + RETEST_NS;
	return FX_NEXT;
}

static enum fix_step
fix_next(struct row_fix *fix)
{
	row_release(&fix->work);
	fix->worked = false;
	fix->piece.lo = fix->piece.hi;
	if (!in_pieces(fix) || fix->piece.lo == fix->at.hi ||
	    !member_live(fix_target(fix)))
		return FX_END;
	return FX_PIECE;
}

static void
row_fix_run(struct op *op)
{
	struct row_fix *fix = op_owner(op, struct row_fix);
	struct raid *raid = fix->raid;

	switch ((enum fix_step)op->step) {
	case FX_PIECE:
		op->step = fix_piece(fix, op);
		return;
	case FX_OWN:
		row_place(&fix->work);
		fix_io(fix, IO_READ, fix->role, MEMBER_MAY_CUT, op);
		op->step = FX_OWNED;
		return;
	case FX_OWNED:
		op->step = fix_own(fix, op);
		return;
	case FX_GATHER:
		row_place(&fix->work);
		row_read_slots(raid, &fix->work, 0, op);
		op->step = FX_APPLY;
		return;
	case FX_APPLY:
		op->step = fix_apply(fix, op);
		return;
	case FX_REREAD:
		fix_reread(fix, op);
		op->step = FX_COMPARE;
		return;
	case FX_COMPARE:
		op->step = fix_compare(fix, op);
		return;
	case FX_LIST:
		op->step = fix_list(fix);
		return;
	case FX_NEXT:
		op->step = fix_next(fix);
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
	assert(fix->dst == NULL || !in_pieces(fix));
	fix->piece = fix->at;
	fix->worked = false;
	op_start(&fix->op, &row_fix_type, parent->sched, parent);
}
