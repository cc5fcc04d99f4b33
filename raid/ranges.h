/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of ranges of bytes, in memory of fixed size, and its record on disk.
 * Pure.
 *
 * Such a set says where something is not to be relied on.  So for want of
 * room it may become too large, never too small.
 */
#ifndef RAID_RANGES_H
#define RAID_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t lo, hi;
};

/* Sorted; ranges neither overlap nor touch. */
struct ranges {
	unsigned n, max;
	struct range *range;		/* `max` of them */
};

/* False without memory. */
bool ranges_init(struct ranges *set, unsigned max);
void ranges_fini(struct ranges *set);
static inline void
ranges_clear(struct ranges *set)
{
	set->n = 0;
}
static inline bool
ranges_any(const struct ranges *set)
{
	return set->n > 0;
}
/* With no room for one more range the set grows by what lies between two. */
void ranges_add(struct ranges *set, uint64_t lo, uint64_t hi);
/* Take out; false, with nothing changed, if there is no room to split. */
bool ranges_settle(struct ranges *set, uint64_t lo, uint64_t hi);
bool ranges_overlap(const struct ranges *set, uint64_t lo, uint64_t hi);
/* The first byte of it at or after `from`; UINT64_MAX if there is none. */
uint64_t ranges_next(const struct ranges *set, uint64_t from);
/* Take out what is not in `max`. */
void ranges_limit(struct ranges *set, const struct ranges *max);
uint64_t ranges_bytes(const struct ranges *set);
/* The same of [lo, hi) only. */
uint64_t ranges_bytes_in(const struct ranges *set, uint64_t lo, uint64_t hi);
/* `dst` has as much room. */
void ranges_copy(struct ranges *dst, const struct ranges *src);
bool ranges_equal(const struct ranges *a, const struct ranges *b);

/* --- the record on disk --- */

#define RANGES_HEAD	64u
/* How many ranges have room in a record of so many bytes? */
#define RANGES_ROOM(bytes) (((bytes) - RANGES_HEAD) / 16)

struct ranges_record {
	uint64_t magic;			/* whose record it is */
	uint8_t set_uuid[16];
	uint64_t generation, events;
	uint32_t flags;
};

/*
 * Fill `len` bytes, which have room for set->max ranges; returns how many of
 * them matter.
 */
size_t ranges_encode(const struct ranges *set,
    const struct ranges_record *record, void *buf, size_t len);
/*
 * With magic and set_uuid given, the rest is filled in.  False if this is no
 * such record, or names a byte beyond `size`; then the set means nothing.
 */
bool ranges_decode(struct ranges *set, struct ranges_record *record,
    const void *buf, size_t len, uint64_t size);

#endif
