/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LBA range locks.  Writers share, COMPARE AND WRITE and ORWRITE exclude
 * (SBC-3 5.3: the compare and the write are one uninterrupted action).
 *
 * Invariants: the queue is in order of arrival; an entry is granted exactly
 * when no earlier entry conflicts with it, so nobody starves; without an
 * exclusive entry everything is granted.
 */
#include "target/scsi/scsi_priv.h"

void
lba_locks_init(struct lba_locks *locks)
{
	TAILQ_INIT(&locks->queue);
	locks->nexclusive = 0;
}

static bool
conflict(const struct lba_lock *a, const struct lba_lock *b)
{
	return (a->exclusive || b->exclusive) && a->lba < b->end &&
	    b->lba < a->end;
}

static bool
may_grant(const struct lba_lock *lock)
{
	const struct lba_lock *other = lock;

	assert(lock->queued);
	while ((other = TAILQ_PREV(other, lba_lock_queue, link)) != NULL)
		if (conflict(lock, other))
			return false;
	return true;
}

void
lba_lock(struct lba_locks *locks, struct lba_lock *lock, uint64_t lba,
    uint64_t blocks, bool exclusive, struct op *op)
{
	assert(!lock->queued && blocks > 0);
	lock->op = op;
	lock->lba = lba;
	lock->end = lba + blocks;
	lock->exclusive = exclusive;
	lock->queued = true;
	TAILQ_INSERT_TAIL(&locks->queue, lock, link);
	locks->nexclusive += exclusive;
	lock->granted = locks->nexclusive == 0 || may_grant(lock);
	if (!lock->granted)
		op_hold(op);
}

/* Also takes back a request that was not granted yet. */
void
lba_unlock(struct lba_locks *locks, struct lba_lock *lock)
{
	bool look = locks->nexclusive > 0;

	if (!lock->queued)
		return;
	assert(!lock->exclusive || locks->nexclusive > 0);
	TAILQ_REMOVE(&locks->queue, lock, link);
	locks->nexclusive -= lock->exclusive;
	assert(!TAILQ_EMPTY(&locks->queue) || locks->nexclusive == 0);
	lock->queued = false;
	assert(lock->granted || look);
	if (!lock->granted)
		op_unhold(lock->op);
	if (!look)
		return;
	TAILQ_FOREACH(lock, &locks->queue, link)
		if (!lock->granted && may_grant(lock)) {
			lock->granted = true;
			op_unhold(lock->op);
		}
}
