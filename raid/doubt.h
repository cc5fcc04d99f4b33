/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the parity is not known to be right: after a crash without a log, or
 * with a log that cannot be used.  Nothing may be reconstructed there.
 *
 * The set is kept as ranges of bytes of every member's data (a range of 4 KiB
 * stands for 4 KiB on each member).  A resync, or a write that computes the
 * parity from data alone, takes ranges out.
 *
 * Where nothing has been written since the array was created the parity need
 * not fit, and it does not matter (`blank`): should a member be lost, whatever
 * follows from the others is as good as what it held.
 *
 * On disk it is a record of our own in the private area, unknown to md: the
 * superblock has one number, and none at all while the array is dirty.  It
 * counts only if the superblock bears our tag, that is, if nobody else has
 * written the array since.  Two copies on each member are written in turn.
 */
#ifndef RAID_DOUBT_H
#define RAID_DOUBT_H

#include "core/io.h"
#include "core/op.h"
#include "raid/map.h"
#include "raid/ranges.h"

#define DOUBT_SLOT	(UINT32_C(128) * 1024)
#define DOUBT_MAX	RANGES_ROOM(DOUBT_SLOT)

struct doubt {
	struct ranges set;
	bool blank;			/* nothing has been written there */
};

/* --- pure --- */

/* False without memory. */
bool doubt_init(struct doubt *doubt);
void doubt_fini(struct doubt *doubt);
void doubt_clear(struct doubt *doubt);
/* Not blank from now on. */
void doubt_add(struct doubt *doubt, uint64_t lo, uint64_t hi);
void doubt_copy(struct doubt *dst, const struct doubt *src);
bool doubt_equal(const struct doubt *a, const struct doubt *b);

/* As with any set of ranges. */
static inline bool
doubt_any(const struct doubt *doubt)
{
	return ranges_any(&doubt->set);
}
static inline bool
doubt_settle(struct doubt *doubt, uint64_t lo, uint64_t hi)
{
	return ranges_settle(&doubt->set, lo, hi);
}
static inline bool
doubt_overlaps(const struct doubt *doubt, uint64_t lo, uint64_t hi)
{
	return ranges_overlap(&doubt->set, lo, hi);
}
static inline uint64_t
doubt_next(const struct doubt *doubt, uint64_t from)
{
	return ranges_next(&doubt->set, from);
}
static inline void
doubt_limit(struct doubt *doubt, const struct doubt *max)
{
	ranges_limit(&doubt->set, &max->set);
}
static inline uint64_t
doubt_bytes(const struct doubt *doubt)
{
	return ranges_bytes(&doubt->set);
}

/* Fill DOUBT_SLOT bytes; returns how many of them matter. */
size_t doubt_encode(const struct doubt *doubt, const uint8_t set_uuid[16],
    uint64_t generation, void *buf);
/* False if this is no record of the array; then the set means nothing. */
bool doubt_decode(struct doubt *doubt, const void *buf,
    const uint8_t set_uuid[16], uint64_t member_size, uint64_t *generation);

/* --- the record on the members (doubt_log.c) --- */

struct member;
struct raid;

struct doubt_log {
	uint8_t *buf;			/* DOUBT_SLOT, aligned */
	struct iovec iov;
	struct io io[RAID_MEMBERS_MAX];
	uint64_t generation;		/* of the record written last */
	bool stale;			/* the record on disk is not ours */
};

/* Where a member has it, in bytes; 0: it has no place for it. */
uint64_t doubt_area(const struct member *m);
/* Write raid->doubt_stable to all members, unless it is there already. */
void doubt_write(struct raid *raid, struct op *op);
void doubt_note_written(struct raid *raid);

/* At assembly: read the records. */
struct doubt_load {
	uint8_t *mem;
	struct io io[RAID_MEMBERS_MAX];
	struct iovec iov[RAID_MEMBERS_MAX];
};
void doubt_load_start(struct doubt_load *load, struct raid *raid,
    struct op *op);
/*
 * The newest record into `doubt`; false if there is none.  Says also whether
 * all members have it.
 */
bool doubt_load_end(struct doubt_load *load, struct raid *raid,
    struct doubt *doubt, bool *all);

#endif
