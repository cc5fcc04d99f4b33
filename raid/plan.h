/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What to read, compute and write for one row.  Pure.  Together with map.[ch]
 * the only code that knows the level.
 *
 * A write cuts the row's column into at most three bands, in each of which
 * the same data chunks are modified.  Per band the parity comes from the new
 * data alone (full), from old data and old parity (RMW), or from the data not
 * modified (RCW).
 *
 * Columns that are read or computed have a slot: slot_bytes of memory that
 * stand for column bytes lo..hi of one role.  The caller provides the slots.
 */
#ifndef RAID_PLAN_H
#define RAID_PLAN_H

#include <sys/uio.h>

#include "raid/map.h"

#define ROW_BANDS	3u
/* Member I/Os of one phase: two ranges on each member. */
#define ROW_IOS_MAX	(2 * RAID_MEMBERS_MAX)
#define NO_SLOT		0xffu

enum row_method {
	ROW_FULL,		/* nothing needs reading */
	ROW_RMW,
	ROW_RCW,
	ROW_BARE,		/* the parity is missing: data only */
};

struct row_band {
	struct row_range at;
	unsigned first, last;		/* data modified, inclusive */
	enum row_method method;
};

struct row_io {
	uint8_t role;
	int8_t data;			/* data index, -1 = parity */
	struct row_range at;
};

struct row_plan {
	const struct raid_map *map;
	uint64_t row;
	unsigned parity;		/* role */
	enum row_method method;		/* of the row, for the counters */
	unsigned nbands, nreads, nwrites;
	struct row_band band[ROW_BANDS];
	struct row_io read[ROW_IOS_MAX], write[ROW_IOS_MAX];
	/* slots */
	struct row_range cover;
	uint32_t slot_bytes;		/* >= cover, multiple of 4096 */
	unsigned nslots;
	uint8_t slot[RAID_MEMBERS_MAX];	/* by role, NO_SLOT if none */
};

/*
 * Plan a write of `span`.  `missing` is a mask of roles that can neither be
 * read nor written in this row.  `avoid`: roles that are better not read, to
 * be used if nothing is missing; of several, one is spared.  `force_rcw`: the
 * old parity is not to be trusted; it is used only if there is no other way.
 * -EIO if the level cannot bear what is missing.
 */
int row_plan_write(struct row_plan *plan, const struct raid_map *map,
    const struct row_span *span, uint32_t missing, uint32_t avoid,
    bool force_rcw);

/*
 * Plan the reconstruction of [at) of `role` from all others; the result
 * appears in its slot.  -EIO if others are missing too.
 */
int row_plan_rebuild(struct row_plan *plan, const struct raid_map *map,
    uint64_t row, unsigned role, struct row_range at, uint32_t missing);

/* Plan to read the column of `role` alone. */
void row_plan_copy(struct row_plan *plan, const struct raid_map *map,
    uint64_t row, unsigned role);

/* Plan to read the whole row, to compare its parity.  Nothing is missing. */
void row_plan_check(struct row_plan *plan, const struct raid_map *map,
    uint64_t row);

/* Can the level serve with these roles missing? */
bool raid_level_serves(const struct raid_map *map, uint32_t missing);

/* --- memory only; slots[i] has slot_bytes and is 32-byte aligned --- */

/* New data of a write: where data[d].lo of the span lies in an iovec. */
struct row_data {
	const struct iovec *iov;	/* NULL: zeroes */
	unsigned niov;
};

/*
 * First half of a parity update, after the reads: the parity slot becomes the
 * partial parity (the xor of all data that is not modified).  Full bands have
 * none: their part of the slot is left alone.
 */
void row_apply_partial(const struct row_plan *plan, uint8_t *const *slots);
/* Second half: add the new data; the parity slot becomes the parity. */
void row_apply_new(const struct row_plan *plan, uint8_t *const *slots,
    const struct row_span *span, const struct row_data *data);
/* After the reads of row_plan_rebuild(). */
void row_apply_rebuild(const struct row_plan *plan, uint8_t *const *slots,
    unsigned role);
/*
 * After the reads of row_plan_check(): a mask of the 4 KiB pieces whose parity
 * differs; the parity slot becomes the right parity.
 */
uint32_t row_apply_check(const struct row_plan *plan, uint8_t *const *slots);

/* The memory of column bytes [at) of a role that has a slot. */
static inline uint8_t *
row_slot(const struct row_plan *plan, uint8_t *const *slots, unsigned role,
    uint32_t at)
{
	return slots[plan->slot[role]] + (at - plan->cover.lo);
}

/* dst ^= or = xor of nsrc sources; any alignment, any length. */
void xor_sources(uint8_t *dst, const uint8_t *const *src, unsigned nsrc,
    size_t len, bool add);

#endif
