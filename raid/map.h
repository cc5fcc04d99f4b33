/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where array bytes lie on the members.  Pure.  Together with plan.[ch] the
 * only code that knows the level.
 *
 * A stripe is one chunk of each member.  A row is a slice of a stripe,
 * row_bytes high: the unit of locking, of parity work and of buffers.  Rows
 * are numbered by member offset: row = member offset / row_bytes.  A place
 * within a row is a byte 0..row_bytes of its column, the same on all members.
 */
#ifndef RAID_MAP_H
#define RAID_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "raid/raid.h"

#define ROW_BYTES_MAX ((uint32_t)65536)

struct raid_map {
	int level;
	enum raid_layout layout;
	unsigned n;			/* members */
	unsigned ndata;			/* data chunks in a stripe */
	uint32_t chunk;			/* bytes */
	uint32_t row_bytes;		/* divides chunk */
	uint64_t member_size;		/* bytes used of each, whole chunks */
	uint64_t size;			/* bytes of the array */
};

/* -EINVAL or -ENOTSUP with err set if there is no such array. */
int raid_map_init(struct raid_map *map, int level, unsigned layout,
    unsigned n, uint64_t chunk_bytes, uint64_t member_bytes, struct err *err);

struct map_place {
	uint64_t stripe;
	unsigned data;			/* index of the data chunk */
	unsigned role;			/* member that holds it */
	uint64_t member_off;		/* bytes from the member's data start */
	uint32_t left;			/* bytes to the end of the chunk */
};
void raid_map_locate(const struct raid_map *map, uint64_t off,
    struct map_place *place);
/* The array offset of a data chunk's byte. */
uint64_t raid_map_offset(const struct raid_map *map, uint64_t stripe,
    unsigned data, uint32_t in_chunk);

unsigned raid_map_parity(const struct raid_map *map, uint64_t stripe);
unsigned raid_map_role(const struct raid_map *map, uint64_t stripe,
    unsigned data);
/* Data index of `role`, or -1 if it holds the parity. */
int raid_map_data(const struct raid_map *map, uint64_t stripe, unsigned role);

static inline uint64_t
raid_map_stripe(const struct raid_map *map, uint64_t row)
{
	return row * map->row_bytes / map->chunk;
}

static inline uint64_t
raid_map_rows(const struct raid_map *map)
{
	return map->member_size / map->row_bytes;
}

/*
 * The part of [off, off + len) that lies in one row.  The data chunks it
 * touches are consecutive; data[i] is empty (lo == hi) outside first..last.
 */
struct row_range {
	uint32_t lo, hi;
};
struct row_span {
	uint64_t row;
	unsigned first, last;		/* data indexes, inclusive */
	struct row_range data[RAID_MEMBERS_MAX];
	uint64_t src[RAID_MEMBERS_MAX];	/* of data[i].lo, in the request */
};
/* false if the row holds nothing of it. */
bool raid_map_span(const struct raid_map *map, uint64_t row, uint64_t off,
    uint64_t len, struct row_span *span);
/* The first row >= `from` that holds some of it; UINT64_MAX: none. */
uint64_t raid_map_next_row(const struct raid_map *map, uint64_t from,
    uint64_t off, uint64_t len);

#endif
