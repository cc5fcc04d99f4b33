/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the bitmap: set before data, clear lazily.
 *
 * Invariants: a write waits until the blocks of its bits are neither to be
 * written nor being written; a bit is cleared only after its last write, two
 * ticks and a flush of all members, and never while a member is missing (it
 * names what that member lacks) or its parity is in doubt.  The dirty log
 * keeps the same bits, but on disk only while a member is missing.
 */
#include "raid/bitmap.h"

#include <assert.h>
#include <string.h>

#include "raid/raid_priv.h"

#define TICKS 3u		/* idle ticks before a bit is cleared */
#define AGE_CLEARING 0xffu

enum bitmap_step { BW_PICK, BW_WRITTEN };
static const char *const bitmap_steps[] = { "PICK", "WRITTEN" };

static bool
is_whole(const struct raid *raid)
{
	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].state != RAID_MEMBER_IN_SYNC)
			return false;
	return !raid->failed;
}

/* Spares get theirs when they take a place. */
static void
write_block(struct bitmap *b, struct op *op)
{
	struct raid *raid = b->raid;

	assert(b->running && b->block < b->nblocks);
	b->dirty[b->block] = false;
	memcpy(b->copy, b->image + b->block * BITMAP_BLOCK, BITMAP_BLOCK);
	b->iov = (struct iovec){ b->copy, BITMAP_BLOCK };
	for (unsigned r = 0; r < raid->map.n; r++) {
		struct member *m = &raid->member[r];
		uint64_t room, off = bitmap_area(m, b->private, &room);

		io_init(&b->io[r], IO_WRITE, off + b->block * BITMAP_BLOCK,
		    BITMAP_BLOCK, &b->iov, 1, IO_FUA);
		if (member_live(m) && !raid->failed)
			member_io(m, &b->io[r], op);
	}
}

static void
block_written(struct bitmap *b)
{
	for (unsigned r = 0; r < b->raid->map.n; r++)
		if (b->io[r].result != 0)
			member_fail(&b->raid->member[r], "its bitmap could "
			    "not be written");
}

static void
bitmap_run(struct op *op)
{
	struct bitmap *b = op_owner(op, struct bitmap);

	switch ((enum bitmap_step)op->step) {
	case BW_PICK:
		for (b->block = 0; b->block < b->nblocks; b->block++)
			if (b->dirty[b->block])
				break;
		if (b->block == b->nblocks || b->raid->failed) {
			b->running = false;
			op_wake_all(&b->waiting);
			op_end(op);
			op_wake_all(&b->raid->idle_waiting);
			return;
		}
		write_block(b, op);
		op->step = BW_WRITTEN;
		return;
	case BW_WRITTEN:
		block_written(b);
		op->step = BW_PICK;
		return;
	}
	bug("raid_bitmap: bad step");
}

static const struct op_type bitmap_type = {
	.name = "raid_bitmap",
	.steps = bitmap_steps,
	.nsteps = nitems(bitmap_steps),
	.run = bitmap_run,
};

static bool
any_dirty(const struct bitmap *b)
{
	for (uint64_t i = 0; i < b->nblocks; i++)
		if (b->dirty[i])
			return true;
	return false;
}

void
bitmap_write(struct bitmap *b, struct op *op)
{
	if (!b->running && !any_dirty(b))
		return;
	op_wait(&b->waiting, op);
	if (b->running)
		return;
	b->running = true;
	op_start(&b->op, &bitmap_type, op->sched, NULL);
}

/*
 * The dirty log is written when a member is lost, before the superblocks say
 * so: with the bits of all writes that were in flight then, or not flushed.
 */
void
bitmap_note_events(struct raid *raid, uint64_t events)
{
	struct bitmap *b = raid->bitmap;

	b->sb.events = events;
	/* The update that is to come may not reach a member that just left. */
	if (is_whole(raid))
		b->sb.events_cleared = events - 1;
	bitmap_encode(&b->sb, b->image);
	if (b->private && is_whole(raid)) {
		b->unwritten = true;	/* of no use while all are there */
		return;
	}
	if (b->unwritten)
		bitmap_note_member(b);
	b->unwritten = false;
	b->dirty[0] = true;
}

/* --- set --- */

static void bitmap_tick(void *arg);

static void
arm(struct raid *raid)
{
	struct bitmap *b = raid->bitmap;

	if (!timer_running(&b->timer) && !raid->stopping)
		timer_start(raid->loop, &b->timer, b->sb.daemon_sleep *
		    UINT64_C(1000), bitmap_tick, raid);
}

static uint64_t
last_bit(const struct raid *raid, uint64_t row)
{
	return ((row + 1) * raid->map.row_bytes - 1) /
	    raid->bitmap->sb.chunksize;
}

void
bitmap_set(struct raid *raid, uint64_t row, struct op *op)
{
	struct bitmap *b = raid->bitmap;
	bool wait = false, memory_only = b->private && is_whole(raid);

	for (uint64_t bit = row * raid->map.row_bytes / b->sb.chunksize;
	    bit <= last_bit(raid, row); bit++) {
		uint64_t at = BITMAP_HEAD + bit / 8;
		uint8_t mask = (uint8_t)(1u << bit % 8);
		uint64_t block = at / BITMAP_BLOCK;

		assert(bit < b->nbits && b->busy[bit] < UINT16_MAX);
		b->busy[bit]++;
		b->age[bit] = 1;
		if ((b->image[at] & mask) == 0) {
			b->image[at] |= mask;
			b->dirty[block] |= !memory_only;
		}
		wait |= !memory_only &&
		    (b->dirty[block] || (b->running && b->block == block));
	}
	arm(raid);
	if (wait)
		bitmap_write(b, op);
}

void
bitmap_row_done(struct raid *raid, uint64_t row)
{
	struct bitmap *b = raid->bitmap;

	for (uint64_t bit = row * raid->map.row_bytes / b->sb.chunksize;
	    bit <= last_bit(raid, row); bit++) {
		assert(b->busy[bit] > 0);
		b->busy[bit]--;
		b->age[bit] = 1;
	}
}

/* --- clear --- */

enum clear_step { BC_FLUSH, BC_CLEAR, BC_END };
static const char *const clear_steps[] = { "FLUSH", "CLEAR", "END" };

static bool
bit_in_doubt(const struct raid *raid, uint64_t bit)
{
	uint64_t chunk = raid->bitmap->sb.chunksize;

	return doubt_overlaps(&raid->doubt, bit * chunk, (bit + 1) * chunk);
}

static void
clear_bits(struct raid *raid)
{
	struct bitmap *b = raid->bitmap;

	for (uint64_t bit = 0; bit < b->nbits; bit++) {
		uint64_t at = BITMAP_HEAD + bit / 8;

		if (b->age[bit] != AGE_CLEARING || b->busy[bit] > 0)
			continue;
		assert(!bit_in_doubt(raid, bit));
		b->age[bit] = 0;
		b->image[at] &= (uint8_t)~(1u << bit % 8);
		b->dirty[at / BITMAP_BLOCK] |= !b->private;
	}
}

static void
bitmap_clear_run(struct op *op)
{
	struct bitmap *b = container_of(op, struct bitmap, clear_op);
	struct raid *raid = b->raid;

	switch ((enum clear_step)op->step) {
	case BC_FLUSH:
		for (unsigned r = 0; r < raid->map.n; r++)
			member_submit(&raid->member[r], &b->flush[r],
			    IO_FLUSH, 0, 0, NULL, 0, 0, op);
		op->step = BC_CLEAR;
		return;
	case BC_CLEAR:
		for (unsigned r = 0; r < raid->map.n; r++)
			if (b->flush[r].result != 0)
				member_fail(&raid->member[r],
				    "a flush failed");
		if (is_whole(raid))
			clear_bits(raid);
		bitmap_write(b, op);
		op->step = BC_END;
		return;
	case BC_END:
		b->clearing = false;
		op_end(op);
		op_wake_all(&raid->idle_waiting);
		return;
	}
	bug("bitmap_clear: bad step");
}

static const struct op_type bitmap_clear_type = {
	.name = "bitmap_clear",
	.steps = clear_steps,
	.nsteps = nitems(clear_steps),
	.run = bitmap_clear_run,
};

static void
bitmap_tick(void *arg)
{
	struct raid *raid = arg;
	struct bitmap *b = raid->bitmap;
	bool any = false, ripe = false;

	for (uint64_t bit = 0; bit < b->nbits; bit++) {
		if (b->age[bit] == 0)
			continue;
		any = true;
		if (b->busy[bit] > 0 || !is_whole(raid) ||
		    bit_in_doubt(raid, bit))
			continue;
		if (b->age[bit] < TICKS)
			b->age[bit]++;
		else if (!b->clearing)	/* its flush may have begun before */
			b->age[bit] = AGE_CLEARING;
		ripe |= b->age[bit] == AGE_CLEARING;
	}
	if (any)
		arm(raid);
	if (!ripe || b->clearing || raid->stopping)
		return;
	b->clearing = true;
	op_start(&b->clear_op, &bitmap_clear_type, loop_sched(raid->loop),
	    NULL);
}

bool
bitmap_idle(const struct raid *raid)
{
	return raid->bitmap == NULL || (!raid->bitmap->running &&
	    !raid->bitmap->clearing);
}

void
bitmap_stop(struct raid *raid)
{
	if (raid->bitmap != NULL)
		timer_stop(raid->loop, &raid->bitmap->timer);
}
