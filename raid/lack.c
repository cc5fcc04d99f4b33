/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a member that is being filled lacks, as values.
 *
 * Invariants: both sets are made of whole rows; what is lacking now is lacking
 * after a power cut.  For want of room a row may stay in the set although it
 * was filled: then it is filled again.
 */
#include "raid/lack.h"

#include <assert.h>
#include <stdlib.h>

#include "raid/raid_priv.h"

bool
lack_init(struct lack *lack)
{
	bool ok = ranges_init(&lack->now, LACK_MAX);

	lack->buf = aligned_alloc(4096, LACK_SLOT);
	return ranges_init(&lack->stable, LACK_MAX) && ok &&
	    lack->buf != NULL;
}

void
lack_fini(struct lack *lack)
{
	ranges_fini(&lack->now);
	ranges_fini(&lack->stable);
	free(lack->buf);
}

void
lack_all(struct lack *lack, const struct raid_map *map, uint64_t from)
{
	lack->recorded = false;
	ranges_clear(&lack->now);
	ranges_add(&lack->now, round_down(from, map->row_bytes),
	    map->member_size);
	ranges_copy(&lack->stable, &lack->now);
}

void
lack_marked(struct lack *lack, const struct bitmap *bitmap, uint64_t from)
{
	const struct raid_map *map = &bitmap->raid->map;
	uint64_t chunk = bitmap->sb.chunksize;

	lack->recorded = false;
	ranges_clear(&lack->now);
	for (uint64_t bit = 0; bit < bitmap->nbits; bit++) {
		uint64_t lo = MAX(bit * chunk, from);
		uint64_t hi = MIN((bit + 1) * chunk, map->member_size);

		if (bitmap_is_set(bitmap, bit) && lo < hi)
			ranges_add(&lack->now, round_down(lo, map->row_bytes),
			    round_up(hi, map->row_bytes));
	}
	ranges_copy(&lack->stable, &lack->now);
}

bool
lack_forget(struct lack *lack, const struct raid_map *map, uint64_t from)
{
	uint64_t before = ranges_bytes(&lack->now) +
	    ranges_bytes(&lack->stable);

	if (from < map->member_size) {
		from = round_down(from, map->row_bytes);
		ranges_add(&lack->now, from, map->member_size);
		ranges_add(&lack->stable, from, map->member_size);
	}
	return ranges_bytes(&lack->now) + ranges_bytes(&lack->stable) !=
	    before;
}

void
lack_row(struct lack *lack, const struct raid_map *map, uint64_t row)
{
	assert(row < raid_map_rows(map));
	ranges_add(&lack->now, row * map->row_bytes,
	    (row + 1) * map->row_bytes);
	ranges_add(&lack->stable, row * map->row_bytes,
	    (row + 1) * map->row_bytes);
}

void
lack_fill_row(struct lack *lack, const struct raid_map *map, uint64_t row)
{
	assert(row < raid_map_rows(map));
	(void)ranges_settle(&lack->now, row * map->row_bytes,
	    (row + 1) * map->row_bytes);
}

static uint64_t
first_of(const struct member *m, const struct ranges *set)
{
	return MIN(ranges_next(set, 0), m->raid->map.member_size);
}

uint64_t
member_recovered(const struct member *m)
{
	assert(m->lack != NULL);
	return first_of(m, &m->lack->now);
}

uint64_t
member_checkpoint(const struct member *m)
{
	assert(m->lack != NULL);
	return first_of(m, &m->lack->stable);
}
