/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Write what one request has for one row: plan, read what is needed, compute
 * the parity, store data and parity, record a member that missed it.
 *
 * Invariants: the row is ours from plan to record; no write starts before all
 * reads it depends on have ended well; the request is not told of success
 * before every member that missed the write is recorded as faulty on all
 * others.  What a log or bitmap must say is durable before data moves.
 * The new data is used where the caller has it, unless it is cut into more
 * pieces than ROW_IOV_MAX.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum row_write_step { RW_LOCK, RW_BREATHE, RW_GATHER, RW_PLAN, RW_PREREAD,
	RW_PARITY, RW_REPAIR, RW_REPAIRED, RW_INTENT, RW_STORE, RW_STORED,
	RW_RECORD, RW_UNLOCK, RW_END };
static const char *const row_write_steps[] = {
	"LOCK", "BREATHE", "GATHER", "PLAN", "PREREAD", "PARITY", "REPAIR",
	"REPAIRED", "INTENT", "STORE", "STORED", "RECORD", "UNLOCK", "END",
};

static bool
is_zero(const struct row *row)
{
	return row->data.iov == NULL;
}

/* Buffers for the new data itself: none, or one for each chunk touched. */
static unsigned
bounce_slots(const struct row *row)
{
	const struct row_span *span = &row->span;
	unsigned n = 0;

	if (is_zero(row) || row->data.niov == 1)
		return 0;		/* or the data is not here yet */
	for (unsigned d = span->first; d <= span->last; d++)
		n += iov_count(row->data.iov, row->data.niov, span->src[d],
		    span->data[d].hi - span->data[d].lo);
	/* The parity needs two more. */
	return n + 2 <= ROW_IOV_MAX ? 0 : span->last - span->first + 1;
}

bool
row_bounces(const struct row *row)
{
	return bounce_slots(row) > 0;
}

static void
bounce_data(struct row *row)
{
	struct row_span *span = &row->span;
	uint64_t at = 0;

	for (unsigned i = 0; i < row->work.extra; i++) {
		unsigned d = span->first + i;
		struct iovec *iov = &row->bounce_iov[i];

		iov->iov_base = row->work.slots[row->work.plan.nslots + i];
		iov->iov_len = span->data[d].hi - span->data[d].lo;
		iov_to_buf(row->data.iov, row->data.niov, span->src[d],
		    iov->iov_base, iov->iov_len);
		span->src[d] = at;
		at += iov->iov_len;
	}
	row->data.iov = row->bounce_iov;
	row->data.niov = row->work.extra;
}

/* Does the parity of this band follow from data alone? */
static bool
band_is_new(const struct row_band *band)
{
	return band->method == ROW_FULL || band->method == ROW_RCW;
}

/* Is data of a missing member among what is written? */
static bool
renews_lost(const struct row *row, uint32_t missing)
{
	const struct row_plan *plan = &row->work.plan;

	if (missing == 0 || (missing >> plan->parity & 1) != 0)
		return false;
	for (unsigned i = 0; i < plan->nbands; i++)
		if (band_is_new(&plan->band[i]))
			return true;
	return false;
}

/*
 * Parity that was computed from data alone is in doubt no longer.  If it
 * stands for data that only it knows it must be so after a crash as well.
 */
static void
settle_doubt(struct row *row)
{
	struct raid *raid = row->raid;
	const struct row_plan *plan = &row->work.plan;
	uint64_t base = row->span.row * raid->map.row_bytes;

	if (row->result < 0 || raid->failed || !doubt_any(&raid->doubt))
		return;
	for (unsigned i = 0; i < plan->nbands; i++) {
		const struct row_band *band = &plan->band[i];
		uint64_t lo = base + band->at.lo, hi = base + band->at.hi;

		if (!band_is_new(band) && !row->doubted)
			continue;
		(void)doubt_settle(&raid->doubt, lo, hi);
		if (row->settles)
			(void)doubt_settle(&raid->doubt_stable, lo, hi);
	}
	if (row->settles) {
		raid->doubt_log.stale = true;
		raid_changed(raid);
	}
}

/* Roles whose old data is better not asked for. */
static uint32_t
avoid_roles(const struct row *row)
{
	const struct raid *raid = row->raid;
	const struct row_range *data = row->span.data;
	uint64_t base = row->span.row * raid->map.row_bytes;
	uint32_t lo = MIN(data[row->span.first].lo, data[row->span.last].lo);
	uint32_t hi = MAX(data[row->span.first].hi, data[row->span.last].hi);
	uint32_t avoid = row->avoid;

	for (unsigned r = 0; r < raid->map.n; r++)
		if (member_bad(&raid->member[r], base + lo, hi - lo) ||
		    member_avoided(&raid->member[r]))
			avoid |= UINT32_C(1) << r;
	return avoid;
}

/* Is a block that is to be written listed as bad, and more written with it? */
static bool
has_listed(const struct row *row)
{
	const struct row_span *span = &row->span;
	const struct raid_map *map = &row->raid->map;

	for (unsigned d = span->first; d <= span->last; d++)
		if (span->first != span->last && span->data[d].lo <
		    span->data[d].hi && member_bad(&row->raid->member[
		    raid_map_role(map, raid_map_stripe(map, span->row), d)],
		    span->row * map->row_bytes + span->data[d].lo,
		    span->data[d].hi - span->data[d].lo))
			return true;
	return false;
}

/*
 * What is listed exists only as what follows from all the others.  If several
 * of them change at once and the power goes, something else follows.  So with
 * a listed block among them the chunks are written one after the other: then
 * the old or the new follows, and the log of partial parity does the rest.
 */
static void
one_by_one(struct row *row)
{
	struct row_span *span = &row->span;

	if (row->at_once || (row->chunks == 0 &&
	    (row->raid->ppl == NULL || !has_listed(row))))
		return;
	if (row->chunks == 0)
		row->chunks = span->last - span->first + 1;
	span->first = span->last = span->last + 1 - row->chunks;
}

/*
 * Where two are bad that does not work, and all is written at once.  After a
 * crash in between nothing follows from it, and the log does not help: that is
 * on record before, until all of it is on stable media.  True: wait for it.
 */
static bool
doubt_it(struct row *row)
{
	struct raid *raid = row->raid;
	const struct row_range *at = &row->work.plan.cover;
	uint64_t base = row->span.row * raid->map.row_bytes;

	if (!row->at_once || row->log == NULL || !has_listed(row) ||
	    row_in_doubt(raid, row->span.row))
		return false;
	row->doubted = row->settles = true;
	raid->ndoubted++;
	doubt_add(&raid->doubt, base + at->lo, base + at->hi);
	doubt_add(&raid->doubt_stable, base + at->lo, base + at->hi);
	raid->doubt_log.stale = true;
	raid_changed(raid);
	raid_record(raid, &row->op);
	return true;
}

/* Its parity is there, and data that is not follows from it. */
static void
trust_parity(struct row *row)
{
	const struct row_plan *plan = &row->work.plan;
	uint64_t base = row->span.row * row->raid->map.row_bytes;

	for (unsigned i = 0; i < plan->nwrites && row->doubted; i++)
		if (plan->write[i].role == plan->parity &&
		    row->work.io[i].result == 0)
			(void)doubt_settle(&row->raid->doubt,
			    base + plan->cover.lo, base + plan->cover.hi);
}

/* Another chunk is to be written. */
static bool
write_more(struct row *row)
{
	if (row->chunks <= 1 || row->result < 0)
		return false;
	row->chunks--;
	ppl_row_done(row, row->fua && !is_zero(row));
	row_release(&row->work);
	return true;
}

/* What is not simple waits for its data; nor does anybody for memory. */
static void
plan_ahead(struct row *row, struct op *op)
{
	if (row->ahead != ROW_OWN && (op->pending > 0 || row->result != 0 ||
	    row->settles || row->chunks > 0))
		ahead_break(row->raid);
}

/* Nothing was stored, so all that is left is to let go. */
static bool
given_up(struct row *row)
{
	enum row_write_step step = (enum row_write_step)row->op.step;

	if (row->ahead != ROW_GIVEN_UP || step < RW_PLAN || step >= RW_UNLOCK)
		return false;
	assert(step <= RW_STORE);
	if (step <= RW_PREREAD)
		row->work.plan.nreads = 0;	/* not even asked for */
	row->result = 0;
	row->op.step = RW_UNLOCK;
	return true;
}

static void
row_write_plan(struct row *row, struct op *op)
{
	struct raid *raid = row->raid;
	uint32_t missing = row_missing(raid, row->span.row), avoid = 0;
	bool doubt = row_in_doubt(raid, row->span.row);

	row_merge_source(row);
	one_by_one(row);
	/* Where nothing was written all that is written must have parity. */
	if (!doubt || !raid->doubt.blank)
		avoid = avoid_roles(row);
	row->result = raid->failed ? -EIO : row_plan_write(&row->work.plan,
	    &raid->map, &row->span, missing, avoid, doubt);
	assert(!row->doubted);
	row->settles = row->result == 0 && doubt && renews_lost(row, missing);
	if (row->settles && raid->doubt.set.n == DOUBT_MAX)
		row->result = -EIO;	/* it could not be read again */
	if (row->result == 0)
		row_reserve(raid, &row->work, bounce_slots(row), op);
	op->step = row->result == 0 ? RW_PREREAD : RW_UNLOCK;
	plan_ahead(row, op);
}

static void
row_preread(struct row *row, struct op *op)
{
	row_place(&row->work);
	if (row->work.extra > 0)
		bounce_data(row);
	row->raid->prereads += row->work.plan.nreads;
	/* Once only: what is late, and asked again, is needed. */
	row_read_slots(row->raid, &row->work, row->avoid == 0 ?
	    MEMBER_MAY_PASS : 0, op);
}

/*
 * A sector that cannot be read, in a row in doubt: the row stays so, if the
 * plan can do without the sector.
 */
static enum row_write_step
without_role(struct row *row)
{
	uint32_t role = UINT32_C(1) << row->place.role;

	row->work.plan.nwrites = 0;
	if ((row->avoid & role) == 0 && !row->raid->doubt.blank) {
		row->avoid |= role;
		return RW_PLAN;
	}
	row->result = -EIO;
	return RW_RECORD;
}

/*
 * After the reads.  A member that is gone: plan again without it.  A sector
 * that cannot be read: repair it first, unless the parity is in doubt.
 */
static enum row_write_step
check_prereads(struct row *row)
{
	struct row_plan *plan = &row->work.plan;
	enum row_write_step next = RW_INTENT;

	for (unsigned i = 0; i < plan->nreads; i++) {
		struct member *m = &row->raid->member[plan->read[i].role];
		int result = row->work.io[i].result;

		if (result == 0)
			continue;
		if (result == MEMBER_LATE) {
			row->avoid |= UINT32_C(1) << m->role;
			next = RW_PLAN;
		} else if (member_note_read(m, result)) {
			next = RW_PLAN;
		} else if (next == RW_INTENT) {
			row->place.role = plan->read[i].role;
			row->part = i;
			next = RW_REPAIR;
		}
	}
	if (next == RW_REPAIR && row_in_doubt(row->raid, row->span.row))
		next = without_role(row);
	return next;
}

static void
row_parity(struct row *row, struct op *op)
{
	op->step = check_prereads(row);
	if (op->step == RW_INTENT) {
		row_apply_partial(&row->work.plan, row->work.slots);
		return;
	}
	if (row->ahead != ROW_OWN)
		ahead_break(row->raid);
	row_release(&row->work);
}

static bool
start_repair(struct row *row, struct op *op)
{
	struct row_fix *fix = row_fix_get(row->raid, op);

	assert(row->part < row->work.plan.nreads);
	if (fix == NULL)
		return false;
	row->fix = fix;
	fix->row = row->span.row;
	fix->role = row->place.role;
	fix->at = row->work.plan.read[row->part].at;
	fix->mode = FIX_SEARCH;
	row_fix_start(fix, op);
	return true;
}

/*
 * What was repaired can be read when its entry in the bad-block log is gone
 * from the disk; what could not be repaired is perhaps not needed.
 */
static enum row_write_step
end_repair(struct row *row, struct op *op)
{
	uint32_t role = UINT32_C(1) << row->place.role;

	row->result = row->fix->result;
	row_fix_put(row->raid, row->fix);
	row->fix = NULL;
	row->work.plan.nwrites = 0;
	row->repairs++;
	if (row->result != 0 && row->chunks > 0) {
		row->at_once = true;	/* two are bad: lost, if not written */
		row->chunks = 0;
		return RW_PLAN;
	}
	if (row->repairs > RAID_MEMBERS_MAX ||
	    (row->result != 0 && (row->avoid & role) != 0)) {
		row->result = -EIO;
		return RW_RECORD;
	}
	if (row->result != 0)
		row->avoid |= role;
	raid_record(row->raid, op);
	return RW_PLAN;
}

static void
set_intent(struct row *row)
{
	ppl_log_row(row->raid, row);
	if (row->marked || row->raid->bitmap == NULL)
		return;
	row->marked = true;
	bitmap_set(row->raid, row->span.row, &row->op);
}

static void
store_data(struct row *row, unsigned i, unsigned flags, struct op *op)
{
	struct row_work *work = &row->work;
	const struct row_io *io = &work->plan.write[i];
	struct iovec *iov = &work->iov[work->niov];
	uint64_t len = io->at.hi - io->at.lo;
	unsigned n = 1;

	if (io->data < 0) {
		iov->iov_base = row_slot(&work->plan, work->slots, io->role,
		    io->at.lo);
		iov->iov_len = len;
	} else if (is_zero(row)) {
		iov->iov_base = row->raid->zeroes;
		iov->iov_len = len;
	} else {
		n = iov_slice(iov, ROW_IOV_MAX - work->niov, row->data.iov,
		    row->data.niov, row->span.src[io->data], len);
	}
	work->niov += n;
	assert(work->niov <= ROW_IOV_MAX);
	member_submit(&row->raid->member[io->role], &work->io[i], IO_WRITE,
	    row->span.row * row->raid->map.row_bytes + io->at.lo, len, iov, n,
	    flags, op);
}

static bool
whole_row(const struct row *row)
{
	const struct row_plan *plan = &row->work.plan;

	return plan->nbands == 1 && plan->band[0].first == 0 &&
	    plan->band[0].last == plan->map->ndata - 1 &&
	    plan->band[0].at.lo == 0 &&
	    plan->band[0].at.hi == plan->map->row_bytes;
}

/* Zeroes over a whole row: the parity of zeroes is zero. */
static void
store_zero(struct row *row, unsigned flags, struct op *op)
{
	const struct row_plan *plan = &row->work.plan;

	for (unsigned i = 0; i < plan->nwrites; i++)
		member_submit(&row->raid->member[plan->write[i].role],
		    &row->work.io[i], IO_ZERO, row->span.row *
		    row->raid->map.row_bytes, row->raid->map.row_bytes, NULL,
		    0, flags, op);
}

static void
row_store(struct row *row, struct op *op)
{
	struct raid *raid = row->raid;
	struct row_work *work = &row->work;
	unsigned fua = row->fua || row->settles ? IO_FUA : 0;

	assert(row->claim.lock != NULL && row->claim.exclusive);
	assert(work->plan.nwrites > 0 || work->plan.method == ROW_BARE ||
	    raid->missing != 0 || raid->failed);
	heir_missed_row(raid, row->span.row);
	row_apply_new(&work->plan, work->slots, &row->span, &row->data);
	raid->full_writes += work->plan.method == ROW_FULL;
	raid->rmw_writes += work->plan.method == ROW_RMW;
	raid->rcw_writes += work->plan.method == ROW_RCW;
	work->niov = 0;
	if (is_zero(row) && whole_row(row) && !row->settles) {
		store_zero(row, fua | (row->req->orig->flags & IO_UNMAP), op);
		return;
	}
	for (unsigned i = 0; i < work->plan.nwrites; i++)
		store_data(row, i, fua, op);
}

static void
row_write_unlock(struct row *row)
{
	if (row->raid->failed)
		row->result = -EIO;
	row->raid->ndoubted -= row->doubted;
	row->doubted = false;
	ppl_row_done(row, row->ahead == ROW_GIVEN_UP ||
	    (row->fua && !is_zero(row)));
	if (row->marked)
		bitmap_row_done(row->raid, row->span.row);
	row->marked = false;
	row_release(&row->work);
	row_merge_end(row);
	row_unlock(row->raid, &row->claim);
}

static void
row_write_end(struct row *row)
{
	struct raid_req *req = row->req;
	bool taken = row->ahead == ROW_TAKEN;

	if (row->result < 0 && req->result == 0)
		req->result = row->result;
	assert(row->result <= 0 && !row->marked);
	op_end(&row->op);
	row_put(row);
	if (taken)
		op_unhold(&req->op);
}

/*
 * A member that failed since the plan, its log even, must not come back as if
 * it had this write: hold `op` until that is on disk.  False: all is.
 */
static bool
record_lost(struct raid *raid, struct op *op)
{
	if (raid->failed || raid->gen_durable >= raid->gen_failed)
		return false;
	raid_record(raid, op);
	return true;
}

/* Before anybody is told of success. */
static void
row_write_record(struct row *row, struct op *op)
{
	settle_doubt(row);
	if (row->settles)
		raid_record(row->raid, op);
	else
		(void)record_lost(row->raid, op);
}

static void
row_write_run(struct op *op)
{
	struct row *row = op_owner(op, struct row);
	struct raid *raid = row->raid;

	if (given_up(row))
		return;
	switch ((enum row_write_step)op->step) {
	case RW_LOCK:
		row_merge_init(row);
		row_lock(raid, &row->claim, row->span.row, true, op);
		op->step = RW_BREATHE;
		return;
	case RW_BREATHE:
		op->step = row->ridden ? RW_END : RW_GATHER;
		if (!row->ridden)
			row_merge_breathe(row);
		return;
	case RW_GATHER:
		row_merge_gather(row);
		op->step = RW_PLAN;
		return;
	case RW_PLAN:		/* entered again when a member fails */
		row_write_plan(row, op);
		return;
	case RW_PREREAD:
		row_preread(row, op);
		op->step = RW_PARITY;
		return;
	case RW_PARITY:
		row_parity(row, op);
		return;
	case RW_REPAIR:
		if (start_repair(row, op))
			op->step = RW_REPAIRED;
		return;
	case RW_REPAIRED:
		op->step = end_repair(row, op);
		return;
	case RW_INTENT:		/* durable before data moves */
		if (!row_together(row))
			return;
		set_intent(row);
		op->step = RW_STORE;
		return;
	case RW_STORE:
		if (!row_may_store(row) || record_lost(raid, op) ||
		    doubt_it(row))
			return;
		row_store(row, op);
		op->step = RW_STORED;
		return;
	case RW_STORED:
		trust_parity(row);
		if (row_writes_failed(row))
			row_mend_start(row, op);
		op->step = RW_RECORD;
		return;
	case RW_RECORD:
		row_write_record(row, op);
		op->step = write_more(row) ? RW_PLAN : RW_UNLOCK;
		return;
	case RW_UNLOCK:
		row_write_unlock(row);
		op->step = RW_END;
		return;
	case RW_END:
		row_write_end(row);
		return;
	}
	bug("row_write: bad step");
}

static void
row_write_describe(const struct op *op, char *text, size_t size)
{
	const struct row *row = container_of((struct op *)(uintptr_t)op,
	    struct row, op);

	snprintf(text, size, "row %llu", (unsigned long long)row->span.row);
}

static const struct op_type row_write_type = {
	.name = "row_write",
	.steps = row_write_steps,
	.nsteps = nitems(row_write_steps),
	.run = row_write_run,
	.describe = row_write_describe,
};

void
row_write_start(struct row *row, struct raid_req *req)
{
	assert(row->claim.lock == NULL);
	row->req = req;
	op_start(&row->op, &row_write_type, req->op.sched, &req->op);
}
