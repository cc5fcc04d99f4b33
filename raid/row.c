/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all ops on rows share: the row lock, the pools of row and fix ops, and
 * the memory of a plan.
 *
 * Invariants: a lock exists exactly while somebody holds or waits for its
 * row; it has one writer or any number of readers; claims are served in order
 * of arrival, so neither side starves.  There are as many locks as ops that
 * can hold one.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <string.h>

static struct row_lock_list *
lock_bucket(struct raid *raid, uint64_t row)
{
	return &raid->lock_hash[row * UINT64_C(0x9e3779b97f4a7c15) >> 55];
}
_Static_assert(ROW_HASH == 1u << (64 - 55), "the shift yields a bucket");

static struct row_lock *
lock_find(struct raid *raid, uint64_t row)
{
	struct row_lock *lock;

	LIST_FOREACH(lock, lock_bucket(raid, row), hash)
		if (lock->row == row)
			return lock;
	return NULL;
}

static struct row_lock *
lock_make(struct raid *raid, uint64_t row)
{
	struct row_lock *lock = LIST_FIRST(&raid->free_locks);

	if (lock == NULL)
		bug("row_lock: more holders than locks");
	LIST_REMOVE(lock, hash);
	lock->row = row;
	lock->readers = 0;
	lock->writer = false;
	lock->gather = NULL;
	STAILQ_INIT(&lock->waiting);
	LIST_INSERT_HEAD(lock_bucket(raid, row), lock, hash);
	return lock;
}

static bool
lock_take(struct row_lock *lock, const struct row_claim *claim)
{
	if (lock->writer || (claim->exclusive && lock->readers > 0))
		return false;
	if (claim->exclusive)
		lock->writer = true;
	else
		lock->readers++;
	return true;
}

void
row_lock(struct raid *raid, struct row_claim *claim, uint64_t row,
    bool exclusive, struct op *op)
{
	struct row_lock *lock = lock_find(raid, row);

	assert(claim->lock == NULL);
	if (lock == NULL)
		lock = lock_make(raid, row);
	claim->lock = lock;
	claim->op = op;
	claim->exclusive = exclusive;
	if (STAILQ_EMPTY(&lock->waiting) && lock_take(lock, claim))
		return;
	STAILQ_INSERT_TAIL(&lock->waiting, claim, queue);
	op_hold(op);
	if (lock->gather != NULL)
		row_merge_more(lock->gather);
	ahead_break(raid);
}

void
row_unlock(struct raid *raid, struct row_claim *claim)
{
	struct row_lock *lock = claim->lock;
	struct row_claim *next;

	assert(lock != NULL);
	assert(claim->exclusive ? lock->writer : lock->readers > 0);
	claim->lock = NULL;
	if (claim->exclusive)
		lock->writer = false;
	else
		lock->readers--;
	while ((next = STAILQ_FIRST(&lock->waiting)) != NULL &&
	    lock_take(lock, next)) {
		STAILQ_REMOVE_HEAD(&lock->waiting, queue);
		op_unhold(next->op);
	}
	if (lock->writer || lock->readers > 0)
		return;
	assert(STAILQ_EMPTY(&lock->waiting));
	LIST_REMOVE(lock, hash);
	LIST_INSERT_HEAD(&raid->free_locks, lock, hash);
}

struct row *
row_get(struct raid *raid, struct op *op)
{
	struct row *row = STAILQ_FIRST(&raid->free_rows);

	if (row == NULL) {
		op_wait(&raid->row_waiting, op);
		return NULL;
	}
	STAILQ_REMOVE_HEAD(&raid->free_rows, free);
	assert(row->claim.lock == NULL && row->work.buf.pool == NULL);
	row->raid = raid;
	row->req = NULL;
	row->fix = NULL;
	row->log = NULL;
	row->marked = false;
	row->claim.writer = NULL;
	row->ridden = false;
	row->ahead = ROW_OWN;
	row->avoid = 0;
	row->repairs = 0;
	row->chunks = 0;
	row->at_once = row->doubted = false;
	row->result = 0;
	return row;
}

void
row_put(struct row *row)
{
	struct raid *raid = row->raid;

	assert(row->claim.lock == NULL && row->work.buf.pool == NULL);
	assert(row->fix == NULL && row->log == NULL);
	STAILQ_INSERT_HEAD(&raid->free_rows, row, free);
	op_wake(&raid->row_waiting);
}

void
row_pass(struct raid *raid)
{
	if (!STAILQ_EMPTY(&raid->free_rows))
		op_wake(&raid->row_waiting);
}

struct row_fix *
row_fix_get(struct raid *raid, struct op *op)
{
	struct row_fix *fix = STAILQ_FIRST(&raid->free_fixes);

	if (fix == NULL) {
		op_wait(&raid->fix_waiting, op);
		return NULL;
	}
	STAILQ_REMOVE_HEAD(&raid->free_fixes, free);
	fix->raid = raid;
	fix->dst = NULL;
	fix->ndst = 0;
	fix->mode = FIX_READ;
	fix->lost = false;
	fix->result = 0;
	return fix;
}

void
row_fix_put(struct raid *raid, struct row_fix *fix)
{
	assert(fix->work.buf.pool == NULL);
	STAILQ_INSERT_HEAD(&raid->free_fixes, fix, free);
	op_wake(&raid->fix_waiting);
}

void
row_fix_pass(struct raid *raid)
{
	if (!STAILQ_EMPTY(&raid->free_fixes))
		op_wake(&raid->fix_waiting);
}

/* --- the memory of a plan --- */

/* Slots do not straddle pieces, so each is contiguous. */
static unsigned
slots_per_piece(const struct row_work *work)
{
	assert(work->plan.slot_bytes <= BUF_LARGE);
	return (unsigned)(BUF_LARGE / work->plan.slot_bytes);
}

void
row_reserve(struct raid *raid, struct row_work *work, unsigned extra,
    struct op *op)
{
	unsigned n = work->plan.nslots + extra;
	unsigned per = slots_per_piece(work);
	size_t len;

	assert(n <= nitems(work->slots));
	work->raid = raid;
	work->extra = extra;
	if (n == 0)
		return;
	len = n == 1 ? work->plan.slot_bytes :
	    ((size_t)n + per - 1) / per * BUF_LARGE;
	buf_reserve(&work->buf, raid->bufs, len, op);
}

void
row_place(struct row_work *work)
{
	unsigned n = work->plan.nslots + work->extra;
	unsigned per = slots_per_piece(work);

	for (unsigned i = 0; i < n; i++) {
		struct iovec *piece = &work->buf.iov[i / per];
		size_t at = (size_t)(i % per) * work->plan.slot_bytes;

		assert(at + work->plan.slot_bytes <= piece->iov_len);
		work->slots[i] = (uint8_t *)piece->iov_base + at;
	}
}

void
row_release(struct row_work *work)
{
	if (work->buf.pool != NULL)
		row_bury(work->raid, work);
	buf_release(&work->buf);
	work->extra = 0;
}

void
row_read_slots(struct raid *raid, struct row_work *work, unsigned flags,
    struct op *op)
{
	const struct row_plan *plan = &work->plan;
	uint64_t base = plan->row * raid->map.row_bytes;

	work->niov = 0;
	for (unsigned i = 0; i < plan->nreads; i++) {
		const struct row_io *io = &plan->read[i];
		struct iovec *iov = &work->iov[work->niov++];

		assert(work->niov <= ROW_IOV_MAX);
		iov->iov_base = row_slot(plan, work->slots, io->role,
		    io->at.lo);
		iov->iov_len = io->at.hi - io->at.lo;
		member_submit(&raid->member[io->role], &work->io[i], IO_READ,
		    base + io->at.lo, iov->iov_len, iov, 1,
		    MEMBER_MAY_CUT | flags, op);
	}
}
