/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a member that is being filled, or the heir of a member, lacks: rows of
 * its data that are not yet what they have to be.  All else it holds, and is
 * read and written there like any member, in whatever order it was filled.
 *
 * md knows one number, the bytes from the start on that are valid
 * (recovery_offset): they end where the first row is lacking.
 */
#ifndef RAID_LACK_H
#define RAID_LACK_H

#include "core/io.h"
#include "core/op.h"
#include "raid/map.h"
#include "raid/ranges.h"

#define LACK_SLOT	(UINT32_C(64) * 1024)
#define LACK_MAX	RANGES_ROOM(LACK_SLOT)

struct bitmap;
struct member;
struct raid;

/* Both in whole rows. */
struct lack {
	struct ranges now;
	struct ranges stable;		/* after a power cut; never less */
	/* its record on the member (lack_log.c) */
	bool recorded;			/* one of the copies may count */
	uint64_t generation;		/* of the one written last */
	uint8_t *buf;			/* LACK_SLOT, aligned */
	struct iovec iov;
	struct io io[2];
};

/* False without memory. */
bool lack_init(struct lack *lack);
void lack_fini(struct lack *lack);
/* From `from` on, nothing is there. */
void lack_all(struct lack *lack, const struct raid_map *map, uint64_t from);
/* From `from` on, what the bitmap names is not there. */
void lack_marked(struct lack *lack, const struct bitmap *bitmap,
    uint64_t from);
/* What it has beyond `from` does not count; false: it has nothing there. */
bool lack_forget(struct lack *lack, const struct raid_map *map,
    uint64_t from);
/* A row is not there any more; it is. */
void lack_row(struct lack *lack, const struct raid_map *map, uint64_t row);
void lack_fill_row(struct lack *lack, const struct raid_map *map,
    uint64_t row);

/* Where a member has its record, in bytes; 0: it has no place for it. */
uint64_t lack_area(const struct member *m);
/* Before the superblocks of the next event: of all that lack something. */
void lack_write(struct raid *raid, struct op *op);
void lack_note_written(struct raid *raid);
/*
 * At assembly: is there a record of the array with so many events?  Else, or
 * if it is not to be trusted, nothing changes.
 */
void lack_load_start(struct lack *lack, const struct member *m,
    struct op *op);
bool lack_load_end(struct lack *lack, const struct member *m, uint64_t events,
    bool trust);

/* Valid bytes from the start on; those of them that a power cut leaves. */
uint64_t member_recovered(const struct member *m);
uint64_t member_checkpoint(const struct member *m);

#endif
