/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address arithmetic of md's RAID5 layouts.
 *
 * Invariants: for every array byte there is exactly one (role, member offset);
 * every role of a stripe is either its parity or exactly one data index.
 */
#include "raid/map.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"

static int
check_level(int level, unsigned layout, unsigned n, struct err *err)
{
	if (level != 5)
		return err_set(err, ENOTSUP, "level %d is not supported, only "
		    "5 is", level);
	if (layout > RAID_PARITY_LAST)
		return err_set(err, ENOTSUP, "RAID5 layout %u is unknown",
		    layout);
	if (n < 3 || n > RAID_MEMBERS_MAX)
		return err_set(err, EINVAL, "%u members: RAID5 takes 3 to %u",
		    n, RAID_MEMBERS_MAX);
	return 0;
}

int
raid_map_init(struct raid_map *map, int level, unsigned layout, unsigned n,
    uint64_t chunk_bytes, uint64_t member_bytes, struct err *err)
{
	int rc;

	if ((rc = check_level(level, layout, n, err)) < 0)
		return rc;
	if (!is_pow2(chunk_bytes) || chunk_bytes < 4 * KIB ||
	    chunk_bytes > MIB)
		return err_set(err, EINVAL, "a chunk of %llu bytes: it must be "
		    "a power of two from 4 KiB to 1 MiB",
		    (unsigned long long)chunk_bytes);
	if (member_bytes < chunk_bytes || member_bytes > UINT64_MAX / 32)
		return err_set(err, EINVAL, "members of %llu bytes do not make "
		    "an array with chunks of %llu",
		    (unsigned long long)member_bytes,
		    (unsigned long long)chunk_bytes);
	memset(map, 0, sizeof(*map));
	map->level = level;
	map->layout = (enum raid_layout)layout;
	map->n = n;
	map->ndata = n - 1;
	map->chunk = (uint32_t)chunk_bytes;
	map->row_bytes = MIN(map->chunk, ROW_BYTES_MAX);
	map->member_size = round_down(member_bytes, chunk_bytes);
	map->size = map->member_size * map->ndata;
	assert(map->chunk % map->row_bytes == 0);
	return 0;
}

unsigned
raid_map_parity(const struct raid_map *map, uint64_t stripe)
{
	unsigned turn = (unsigned)(stripe % map->n);

	switch (map->layout) {
	case RAID_LEFT_ASYMMETRIC:
	case RAID_LEFT_SYMMETRIC:
		return map->n - 1 - turn;
	case RAID_RIGHT_ASYMMETRIC:
	case RAID_RIGHT_SYMMETRIC:
		return turn;
	case RAID_PARITY_FIRST:
		return 0;
	case RAID_PARITY_LAST:
		return map->n - 1;
	}
	bug("raid_map: layout %d", (int)map->layout);
}

static bool
is_symmetric(const struct raid_map *map)
{
	return map->layout == RAID_LEFT_SYMMETRIC ||
	    map->layout == RAID_RIGHT_SYMMETRIC;
}

unsigned
raid_map_role(const struct raid_map *map, uint64_t stripe, unsigned data)
{
	unsigned p = raid_map_parity(map, stripe);

	assert(data < map->ndata);
	if (is_symmetric(map))
		return (p + 1 + data) % map->n;
	return data >= p ? data + 1 : data;
}

int
raid_map_data(const struct raid_map *map, uint64_t stripe, unsigned role)
{
	unsigned p = raid_map_parity(map, stripe);

	assert(role < map->n);
	if (role == p)
		return -1;
	if (is_symmetric(map))
		return (int)((role + map->n - p - 1) % map->n);
	return (int)(role > p ? role - 1 : role);
}

void
raid_map_locate(const struct raid_map *map, uint64_t off,
    struct map_place *place)
{
	uint64_t chunk = off / map->chunk;
	uint32_t in = (uint32_t)(off % map->chunk);

	assert(off < map->size);
	place->stripe = chunk / map->ndata;
	place->data = (unsigned)(chunk % map->ndata);
	place->role = raid_map_role(map, place->stripe, place->data);
	place->member_off = place->stripe * map->chunk + in;
	place->left = map->chunk - in;
	assert(place->member_off < map->member_size);
}

uint64_t
raid_map_offset(const struct raid_map *map, uint64_t stripe, unsigned data,
    uint32_t in_chunk)
{
	assert(data < map->ndata && in_chunk < map->chunk);
	return (stripe * map->ndata + data) * map->chunk + in_chunk;
}

bool
raid_map_span(const struct raid_map *map, uint64_t row, uint64_t off,
    uint64_t len, struct row_span *span)
{
	uint64_t stripe = raid_map_stripe(map, row);
	uint32_t in = (uint32_t)(row * map->row_bytes % map->chunk);
	bool any = false;

	assert(row < raid_map_rows(map));
	assert(range_ok(off, len, map->size));
	span->row = row;
	span->first = span->last = 0;
	for (unsigned d = 0; d < map->ndata; d++) {
		uint64_t start = raid_map_offset(map, stripe, d, in);
		uint64_t lo = MAX(start, off);
		uint64_t hi = MIN(start + map->row_bytes, off + len);

		span->data[d] = (struct row_range){ 0, 0 };
		span->src[d] = 0;
		if (lo >= hi)
			continue;
		span->data[d].lo = (uint32_t)(lo - start);
		span->data[d].hi = (uint32_t)(hi - start);
		span->src[d] = lo - off;
		if (!any)
			span->first = d;
		span->last = d;
		any = true;
	}
	return any;
}

/* First row of `stripe`, not before `from`, that holds some of [off, end). */
static uint64_t
next_in_stripe(const struct raid_map *map, uint64_t stripe, uint64_t from,
    uint64_t off, uint64_t end)
{
	uint64_t width = (uint64_t)map->chunk * map->ndata;
	uint64_t per = map->chunk / map->row_bytes;
	uint64_t a = MAX(off, stripe * width) - stripe * width;
	uint64_t b = MIN(end - stripe * width, width) - 1;
	uint64_t ra = a % map->chunk / map->row_bytes;
	uint64_t rb = b % map->chunk / map->row_bytes;
	uint64_t r = from > stripe * per ? from - stripe * per : 0;

	assert(a <= b);
	if (r >= per)
		return UINT64_MAX;
	if (a / map->chunk == b / map->chunk) {	/* within one chunk */
		r = MAX(r, ra);
		return r <= rb ? stripe * per + r : UINT64_MAX;
	}
	if (b / map->chunk - a / map->chunk > 1)	/* a whole chunk */
		return stripe * per + r;
	if (r > rb && r < ra)		/* between the end and the start */
		r = ra;
	return stripe * per + r;
}

uint64_t
raid_map_next_row(const struct raid_map *map, uint64_t from, uint64_t off,
    uint64_t len)
{
	uint64_t width = (uint64_t)map->chunk * map->ndata;
	uint64_t per = map->chunk / map->row_bytes;
	uint64_t stripe = MAX(off / width, from / per);

	assert(len > 0 && range_ok(off, len, map->size));
	for (; stripe * width < off + len; stripe++) {
		uint64_t row = next_in_stripe(map, stripe, from, off,
		    off + len);

		if (row != UINT64_MAX)
			return row;
	}
	return UINT64_MAX;
}
