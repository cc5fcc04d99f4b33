/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a write that a member refused: the policy for write errors.
 *
 * A device that is gone has failed at once.  Else the write is sent once more
 * after a tenth of a second, for what broke a cable does not break it twice.
 * If it fails again and the rest of the row is whole, the member's part is
 * put there from the other members in pieces of 4 KiB, each read back; a
 * piece that will not be written is listed in the member's bad-block log, and
 * the member stays.  Without redundancy, or if two members refused, all of it
 * is listed and the request fails.  A member whose log has no room, or cannot
 * be written, has failed.
 *
 * The row is held by the caller, and everything that is to be recorded before
 * the write is acknowledged is so by the caller, too.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>

#define AGAIN_MS 100u

enum row_mend_step { RM_WAIT, RM_AGAIN, RM_LOOK, RM_NEXT, RM_FIXED, RM_END };
static const char *const row_mend_steps[] = {
	"WAIT", "AGAIN", "LOOK", "NEXT", "FIXED", "END",
};

static struct member *
write_member(const struct row *row, unsigned i)
{
	return &row->raid->member[row->work.plan.write[i].role];
}

bool
row_writes_failed(struct row *row)
{
	const struct row_plan *plan = &row->work.plan;
	bool any = false;

	for (unsigned i = 0; i < plan->nwrites; i++) {
		struct member *m = write_member(row, i);
		int result = row->work.io[i].result;

		if (result == 0) {
			member_wrote(m, &row->work.io[i]);
			continue;
		}
		if (!member_live(m))
			continue;
		m->write_errors++;
		if (errno_is_gone(result))
			member_fail(m, "its device is gone");
		else
			any = true;
	}
	return any && !row->raid->failed;
}

static void
write_again(struct row *row, struct op *op)
{
	const struct row_plan *plan = &row->work.plan;
	uint64_t base = plan->row * row->raid->map.row_bytes;

	for (unsigned i = 0; i < plan->nwrites; i++) {
		struct io *io = &row->work.io[i];

		if (io->result != 0 && member_live(write_member(row, i)))
			member_submit(write_member(row, i), io, io->kind,
			    base + plan->write[i].at.lo, io->len, io->iov,
			    io->niov, io->flags, op);
	}
}

/* Are all others there, so that this member's part follows from them? */
static bool
others_whole(const struct row *row, unsigned role)
{
	const struct row_plan *plan = &row->work.plan;

	if (row_missing(row->raid, row->span.row) != 0)
		return false;
	for (unsigned i = 0; i < plan->nwrites; i++)
		if (plan->write[i].role != role && row->work.io[i].result != 0)
			return false;
	return true;
}

/* Nothing else knows what should be there. */
static void
give_up(struct row *row, unsigned i)
{
	const struct row_io *io = &row->work.plan.write[i];
	struct member *m = write_member(row, i);

	row->result = -EIO;
	if (member_live(m) && member_bad_add(m, row->span.row *
	    row->raid->map.row_bytes + io->at.lo, io->at.hi - io->at.lo) < 0)
		member_fail(m, "a write failed, and there is no place to note "
		    "where");
}

/* Look at the next write; those before row->part are settled. */
static enum row_mend_step
mend_next(struct row *row, struct op *op)
{
	const struct row_plan *plan = &row->work.plan;
	const struct row_io *io = &plan->write[row->part];
	struct row_fix *fix;

	if (row->part == plan->nwrites)
		return RM_END;
	if (row->work.io[row->part].result == 0 ||
	    !member_live(write_member(row, (unsigned)row->part))) {
		row->part++;
		return RM_NEXT;
	}
	if (!others_whole(row, io->role)) {
		give_up(row, (unsigned)row->part++);
		return RM_NEXT;
	}
	if ((fix = row_fix_get(row->raid, op)) == NULL)
		return RM_NEXT;
	row->fix = fix;
	fix->row = row->span.row;
	fix->role = io->role;
	fix->at = io->at;
	fix->mode = FIX_FILL;
	row_fix_start(fix, op);
	return RM_FIXED;
}

static void
mend_fixed(struct row *row)
{
	struct row_fix *fix = row->fix;

	if (fix->result < 0)
		give_up(row, (unsigned)row->part);
	else if (fix->lost)
		row->result = -EIO;
	row_fix_put(row->raid, fix);
	row->fix = NULL;
	row->part++;
}

static void
row_mend_run(struct op *op)
{
	struct row *row = container_of(op, struct row, mend_op);

	switch ((enum row_mend_step)op->step) {
	case RM_WAIT:
		op_sleep(row->raid->loop, &row->timer, AGAIN_MS, op);
		op->step = RM_AGAIN;
		return;
	case RM_AGAIN:
		write_again(row, op);
		op->step = RM_LOOK;
		return;
	case RM_LOOK:
		op->step = row_writes_failed(row) ? RM_NEXT : RM_END;
		row->part = 0;
		row_release(&row->work);
		return;
	case RM_NEXT:
		op->step = mend_next(row, op);
		return;
	case RM_FIXED:
		mend_fixed(row);
		op->step = RM_NEXT;
		return;
	case RM_END:
		op_end(op);
		return;
	}
	bug("row_mend: bad step");
}

static const struct op_type row_mend_type = {
	.name = "row_mend",
	.steps = row_mend_steps,
	.nsteps = nitems(row_mend_steps),
	.run = row_mend_run,
};

void
row_mend_start(struct row *row, struct op *parent)
{
	assert(row->claim.lock != NULL && row->claim.exclusive);
	assert(row->fix == NULL && !timer_running(&row->timer));
	op_start(&row->mend_op, &row_mend_type, parent->sched, parent);
}
