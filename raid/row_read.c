/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read one piece that lies in one chunk of one member, when the quick path of
 * req.c cannot: pieces of a longer request, and everything that needs
 * reconstruction.
 *
 * Invariants: a healthy read takes no lock and no buffer; reconstruction
 * happens under the row lock, row by row, so it never mixes two writes.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>

enum row_read_step { RR_DIRECT, RR_CHECK, RR_LOCK, RR_FIX, RR_FIXED, RR_END };
static const char *const row_read_steps[] = {
	"DIRECT", "CHECK", "LOCK", "FIX", "FIXED", "END",
};

/* place.member_off, src and len advance from part to part. */
static uint64_t
read_row(const struct row *row)
{
	return row->place.member_off / row->raid->map.row_bytes;
}

static struct member *
read_member(const struct row *row)
{
	return &row->raid->member[row->place.role];
}

/* What to try now; never more than a row once something went wrong. */
static uint64_t
part_bytes(const struct row *row)
{
	uint64_t unit = row->raid->map.row_bytes;

	if (row->grain == GRAIN_PIECE)
		return row->len;
	if (row->grain == GRAIN_4K)
		unit = 4096;
	if (row->grain == GRAIN_LBA)
		unit = row->raid->blk.geo.logical_block;
	return MIN(row->len, unit - row->place.member_off % unit);
}

static bool
part_readable(const struct row *row)
{
	return member_has_range(read_member(row), row->place.member_off,
	    row->part);
}

static bool
ask_member(const struct row *row)
{
	return part_readable(row) && (row->insist ||
	    !member_avoided(read_member(row)));
}

static void
part_iov(struct row *row)
{
	row->work.niov = iov_slice(row->work.iov, ROW_IOV_MAX,
	    row->req->orig->iov, row->req->orig->niov, row->src, row->part);
}

static enum row_read_step
read_direct(struct row *row, struct op *op)
{
	row->part = part_bytes(row);
	row->unreadable = false;
	if (!ask_member(row)) {
		if (row->grain == GRAIN_PIECE)
			row->grain = GRAIN_ROW;
		row->part = part_bytes(row);
		if (!ask_member(row))
			return RR_LOCK;
	}
	part_iov(row);
	if ((row->req->orig->flags & IO_LENT) != 0 && !row->insist)
		req_read_lent(row->req, &row->work.io[0], read_member(row),
		    row->place.member_off, row->part, row->work.iov,
		    row->work.niov, op);
	else
		member_submit(read_member(row), &row->work.io[0], IO_READ,
		    row->place.member_off, row->part, row->work.iov,
		    row->work.niov, 0, op);
	return RR_CHECK;
}

static enum row_read_step
part_done(struct row *row)
{
	assert(row->part > 0 && row->part <= row->len);
	row->insist = false;
	row->place.member_off += row->part;
	row->src += row->part;
	row->len -= row->part;
	if (row->grain == GRAIN_LBA && row->place.member_off % 4096 == 0)
		row->grain = GRAIN_4K;
	if (row->grain == GRAIN_4K &&
	    row->place.member_off % row->raid->map.row_bytes == 0)
		row->grain = GRAIN_ROW;
	return row->len > 0 ? RR_DIRECT : RR_END;
}

/* After a direct read: what now? */
static enum row_read_step
after_direct(struct row *row)
{
	struct member *m = read_member(row);
	int result = row->work.io[0].result;
	bool gone;

	if (result == 0)
		return part_done(row);
	if (result == MEMBER_LATE) {
		assert(row->req->grave != NULL);
		row->result = -ETIMEDOUT;
		return RR_END;
	}
	gone = member_note_read(m, result);
	if (row->grain == GRAIN_PIECE) {	/* find out which row it is */
		row->grain = GRAIN_ROW;
		return RR_DIRECT;
	}
	if (row->grain == GRAIN_ROW && row->part > 4096 && !gone) {
		row->grain = GRAIN_4K;	/* and which block */
		return RR_DIRECT;
	}
	row->unreadable = true;
	return RR_LOCK;
}

/* Put it back, unless that was tried lately and did not work. */
static bool
worth_rewriting(const struct row *row)
{
	const struct member *m = read_member(row);

	return row->claim.exclusive && member_has_row(m, read_row(row)) &&
	    (loop_now(row->raid->loop) >= m->retest_ns ||
	    !member_bad(m, row->place.member_off, row->part));
}

static void
read_fix(struct row *row, struct row_fix *fix, struct op *op)
{
	uint32_t in = (uint32_t)(row->place.member_off %
	    row->raid->map.row_bytes);

	assert(row->part <= row->raid->map.row_bytes - in);
	assert(row->fix == NULL && row->claim.lock != NULL);
	part_iov(row);
	row->fix = fix;
	fix->row = read_row(row);
	fix->role = row->place.role;
	fix->at = (struct row_range){ in, in + (uint32_t)row->part };
	fix->mode = worth_rewriting(row) ? FIX_REWRITE : FIX_READ;
	fix->dst = row->work.iov;
	fix->ndst = row->work.niov;
	if (fix->mode == FIX_READ)
		row->raid->degraded_reads++;
	row_fix_start(fix, op);
}

/* Nothing follows from parity that was never made right. */
static bool
read_in_doubt(const struct row *row)
{
	uint32_t in = (uint32_t)(row->place.member_off %
	    row->raid->map.row_bytes);

	return part_in_doubt(row->raid, read_row(row),
	    (struct row_range){ in, in + (uint32_t)row->part });
}

static enum row_read_step
read_failed(struct row *row, int result)
{
	row_unlock(row->raid, &row->claim);
	/* It was passed over because it was late, and that did not do. */
	if (!row->unreadable && part_readable(row) && !row->raid->failed) {
		row->insist = true;
		return RR_DIRECT;
	}
	/* Save what can be read. */
	if (row->grain == GRAIN_ROW && row->part > 4096 &&
	    !row->raid->failed) {
		row->grain = GRAIN_4K;
		return RR_DIRECT;
	}
	if (row->part > row->raid->blk.geo.logical_block &&
	    !row->raid->failed) {
		row->grain = GRAIN_LBA;
		return RR_DIRECT;
	}
	row->result = result;
	return RR_END;
}

static enum row_read_step
read_fixed(struct row *row)
{
	int result = row->fix->result;

	assert(result <= 0 && row->claim.lock != NULL);

	row_fix_put(row->raid, row->fix);
	row->fix = NULL;
	if (result < 0)
		return read_failed(row, result);
	row_unlock(row->raid, &row->claim);
	return part_done(row);
}

/* Pieces end in any order: the first error of the request counts. */
static void
read_note_error(const struct row *row)
{
	struct raid_req *req = row->req;

	if (req->result != 0 && req->orig->failed_at <= row->src)
		return;
	req->result = row->result;
	req->orig->failed_at = row->src;
}

static void
row_read_run(struct op *op)
{
	struct row *row = op_owner(op, struct row);
	struct raid *raid = row->raid;
	struct row_fix *fix;

	switch ((enum row_read_step)op->step) {
	case RR_DIRECT:
		op->step = read_direct(row, op);
		return;
	case RR_CHECK:
		op->step = after_direct(row);
		return;
	case RR_LOCK:
		row_lock(raid, &row->claim, read_row(row), row->unreadable,
		    op);
		op->step = RR_FIX;
		return;
	case RR_FIX:
		if (raid->failed || read_in_doubt(row)) {
			row_fix_pass(raid);
			op->step = read_failed(row, -EIO);
			return;
		}
		if ((fix = row_fix_get(raid, op)) == NULL)
			return;
		read_fix(row, fix, op);
		op->step = RR_FIXED;
		return;
	case RR_FIXED:
		op->step = read_fixed(row);
		/* Who was missing from the start matters to writes only. */
		if (raid->gen_durable < raid->gen_failed &&
		    raid->gen_failed > raid->gen_start)
			raid_record(raid, op);
		return;
	case RR_END:
		if (row->result < 0)
			read_note_error(row);
		op_end(op);
		row_put(row);
		return;
	}
	bug("row_read: bad step");
}

static const struct op_type row_read_type = {
	.name = "row_read",
	.steps = row_read_steps,
	.nsteps = nitems(row_read_steps),
	.run = row_read_run,
};

void
row_read_start(struct row *row, struct raid_req *req)
{
	assert(row->len > 0 && row->len <= row->place.left);
	row->req = req;
	row->insist = false;
	row->grain = GRAIN_PIECE;
	op_start(&row->op, &row_read_type, req->op.sched, &req->op);
}
