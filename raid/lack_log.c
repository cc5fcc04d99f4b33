/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of what a member that is being filled lacks: in our private area
 * of that member, unknown to md; so a rebuild goes on after a crash in
 * whatever order it was done.  Without it, its rows count up to md's
 * recovery_offset.
 *
 * Every update of the superblocks writes it before them, with the number of
 * events that they get.  Of two copies the older is overwritten.
 *
 * Invariants: a row leaves the record only when it is on stable media, and a
 * block of it that could not be filled is in a bad-block log on stable media.
 * A record counts only if it belongs to the superblocks found and we were the
 * last to write these: whoever else wrote the array (or an older Dozo) left
 * out rows that md does not know of.  One that does not count is overwritten
 * before a superblock of ours could make it count again.
 */
#include "raid/lack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raid/raid_priv.h"

#define LACK_MAGIC UINT64_C(0x314b434c4f5a4f44)		/* "DOZOLCK1" */

uint64_t
lack_area(const struct member *m)
{
	uint64_t end = doubt_area(m);

	return end == 0 ? 0 : end - 2 * LACK_SLOT;
}

/* --- write --- */

static void
write_record(struct member *m, struct op *op)
{
	struct raid *raid = m->raid;
	struct lack *lack = m->lack;
	struct ranges_record record = { .magic = LACK_MAGIC,
		.generation = ++lack->generation,
		.events = raid->events + 1 };
	size_t len;

	memcpy(record.set_uuid, raid->spec.uuid, 16);
	len = ranges_encode(&lack->stable, &record, lack->buf, LACK_SLOT);
	lack->iov = (struct iovec){ lack->buf, round_up(len, 4096) };
	for (unsigned slot = 0; slot < 2; slot++) {
		if (lack->recorded && slot != lack->generation % 2)
			continue;
		io_init(&lack->io[slot], IO_WRITE, lack_area(m) +
		    slot * LACK_SLOT, lack->iov.iov_len, &lack->iov, 1,
		    IO_FUA);
		member_io(m, &lack->io[slot], op);
	}
	lack->recorded = true;
}

void
lack_write(struct raid *raid, struct op *op)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		if (m->lack == NULL)
			continue;
		assert(member_live(m));
		m->lack->io[0].result = m->lack->io[1].result = 0;
		if (lack_area(m) != 0 && !raid->failed)
			write_record(m, op);
	}
}

void
lack_note_written(struct raid *raid)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		if (m->lack == NULL || (m->lack->io[0].result == 0 &&
		    m->lack->io[1].result == 0))
			continue;
		m->write_errors++;
		member_fail(m, "its record of what it lacks could not be "
		    "written");
	}
}

/* --- read --- */

void
lack_load_start(struct lack *lack, const struct member *m, struct op *op)
{
	lack->io[0].result = -1;
	lack->iov = (struct iovec){ aligned_alloc(4096, 2 * LACK_SLOT),
		2 * LACK_SLOT };
	if (lack->iov.iov_base == NULL || lack_area(m) == 0)
		return;
	io_init(&lack->io[0], IO_READ, lack_area(m), lack->iov.iov_len,
	    &lack->iov, 1, 0);
	blk_submit(m->blk, &lack->io[0], op);
}

/* One of the two copies into lack->stable. */
static bool
decode(struct lack *lack, const struct member *m, unsigned slot,
    struct ranges_record *record)
{
	record->magic = LACK_MAGIC;
	memcpy(record->set_uuid, m->raid->spec.uuid, 16);
	return lack->io[0].result == 0 && ranges_decode(&lack->stable, record,
	    (const uint8_t *)lack->iov.iov_base + slot * LACK_SLOT, LACK_SLOT,
	    m->raid->map.member_size);
}

/* As wanted in memory: whole rows. */
static void
widen(struct lack *lack, const struct raid_map *map)
{
	ranges_clear(&lack->now);
	for (unsigned i = 0; i < lack->stable.n; i++)
		ranges_add(&lack->now, round_down(lack->stable.range[i].lo,
		    map->row_bytes), round_up(lack->stable.range[i].hi,
		    map->row_bytes));
}

bool
lack_load_end(struct lack *lack, const struct member *m, uint64_t events,
    bool trust)
{
	struct ranges_record record;
	uint64_t newest = 0;
	unsigned best = 2;

	for (unsigned slot = 0; slot < 2; slot++) {
		if (!decode(lack, m, slot, &record))
			continue;
		lack->generation = MAX(lack->generation, record.generation);
		if (!trust || record.generation <= newest ||
		    (record.events != events && record.events != events + 1))
			continue;
		newest = record.generation;
		best = slot;
	}
	lack->recorded = best < 2 && decode(lack, m, best, &record);
	if (lack->recorded)
		widen(lack, &m->raid->map);
	ranges_copy(&lack->stable, &lack->now);
	free(lack->iov.iov_base);
	lack->iov.iov_base = NULL;
	return lack->recorded;
}
