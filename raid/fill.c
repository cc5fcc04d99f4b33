/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In which order a member is filled: first the rows of which something is
 * used, as far as somebody tells; then what is left, from the start on.
 *
 * Whoever tells is asked again for each batch: what has come into use since
 * counts, what is used no longer can wait.  It decides about the order only: in
 * the end every row is filled.
 */
#include "raid/raid_priv.h"

#include <assert.h>

void
raid_set_used(struct raid *raid, raid_used_fn *fn, void *arg)
{
	raid->used = fn;
	raid->used_arg = arg;
}

/*
 * The first byte of the members at or after `at` in a stripe that is used, and
 * up to where stripes are.  UINT64_MAX: there is none.
 */
static uint64_t
next_used(const struct raid *raid, uint64_t at, uint64_t *end)
{
	const struct raid_map *map = &raid->map;
	uint64_t stripe = (uint64_t)map->chunk * map->ndata;
	uint64_t off = at / map->chunk * stripe, to = 0, from;

	from = off < map->size ? raid->used(raid->used_arg, off, &to) :
	    UINT64_MAX;
	if (from >= map->size)
		return UINT64_MAX;
	assert(from >= off && to > from);
	*end = (MIN(to, map->size) + stripe - 1) / stripe * map->chunk;
	return MAX(at, from / stripe * map->chunk);
}

/* The first byte at or after `at` that is used, and lacking. */
static uint64_t
next_wanted(const struct raid *raid, const struct lack *lack, uint64_t at,
    uint64_t *end)
{
	while ((at = ranges_next(&lack->now, at)) != UINT64_MAX) {
		uint64_t used = next_used(raid, at, end);

		if (used == at || used == UINT64_MAX)
			return used;
		at = used;
	}
	return UINT64_MAX;
}

/* With little room for what it lacks it must not fall into pieces. */
static bool
asks(const struct raid *raid, const struct lack *lack)
{
	return raid->used != NULL &&
	    lack->now.n + SWEEP_BATCH < lack->now.max;
}

uint64_t
fill_next(const struct raid *raid, const struct lack *lack, uint64_t from,
    bool *used)
{
	uint64_t bytes = raid->map.row_bytes, at = UINT64_MAX, end;

	if (asks(raid, lack)) {
		at = next_wanted(raid, lack, from * bytes, &end);
		if (at == UINT64_MAX)
			at = next_wanted(raid, lack, 0, &end);
	}
	*used = at != UINT64_MAX;
	if (!*used)
		at = ranges_next(&lack->now, 0);
	return MIN(at / bytes, raid_map_rows(&raid->map));
}

bool
fill_wants(const struct raid *raid, const struct lack *lack, uint64_t row,
    bool used)
{
	uint64_t lo = row * raid->map.row_bytes, end;

	if (used)
		return raid->used != NULL &&
		    next_wanted(raid, lack, lo, &end) == lo;
	return ranges_next(&lack->now, lo) == lo;
}

uint64_t
fill_used_left(const struct raid *raid, const struct lack *lack)
{
	uint64_t at = 0, end, sum = 0;

	assert(raid->used != NULL);
	while ((at = next_wanted(raid, lack, at, &end)) != UINT64_MAX) {
		sum += ranges_bytes_in(&lack->now, at, end);
		at = end;
	}
	return sum;
}
