/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md's internal write-intent bitmap, version 4: its superblock as values
 * (pure), and the bitmap of a running array.
 *
 * A bit stands for a piece of every member.  It is set, durably on all
 * members, before the piece is written, and cleared some seconds after the
 * last write; after a crash only pieces with a set bit need a resync.
 *
 * With other policies the same thing in a private place, unknown to md, is the
 * dirty log: bits are set only while a member is missing and say what it
 * lacks, so that it can be added again by copying that.  It is disposable:
 * after a foreign writer, or without it, the whole member is copied.
 */
#ifndef RAID_BITMAP_H
#define RAID_BITMAP_H

#include "core/io.h"
#include "core/loop.h"
#include "raid/map.h"

#define BITMAP_HEAD	256u	/* bytes before the bits */
#define BITMAP_BLOCK	4096u	/* unit of writing */

struct bitmap_sb {
	uint8_t uuid[16];
	uint64_t events, events_cleared;
	uint64_t sync_size;		/* sectors */
	uint32_t state;
	uint32_t chunksize;		/* bytes */
	uint32_t daemon_sleep;		/* seconds */
	uint32_t write_behind;
	uint32_t sectors_reserved;
};

#define BITMAP_STALE 2u

/* False if it is no bitmap of this array that we can use. */
bool bitmap_decode(struct bitmap_sb *sb, const uint8_t *buf, size_t len,
    const uint8_t set_uuid[16]);
/* The version of whatever bitmap there is; 0: none. */
uint32_t bitmap_version(const uint8_t *buf, size_t len);
#define BITMAP_VERSION 4u	/* the one we know */
/* Fill BITMAP_HEAD bytes. */
void bitmap_encode(const struct bitmap_sb *sb, uint8_t *buf);
/* What a bitmap takes at most, if its bits stand for as little as may be. */
uint64_t bitmap_bytes_max(uint64_t member_size);
/* Bytes of one bit for an array of ours. */
uint32_t bitmap_chunk(uint64_t member_size, uint64_t area_bytes);

/* --- of a running array --- */

struct doubt;
struct member;
struct raid;
struct row;

struct bitmap {
	struct op op;			/* the writer */
	struct raid *raid;
	struct bitmap_sb sb;
	bool private;			/* the dirty log, not md's bitmap */
	bool unwritten;			/* the log on disk says nothing yet */
	uint64_t nbits, nblocks;
	uint8_t *image;			/* nblocks blocks, as wanted on disk */
	bool *dirty;			/* per block: to be written */
	uint16_t *busy;			/* per bit: writes in flight */
	uint8_t *age;			/* per bit: ticks since the last */
	bool running;
	uint64_t block;			/* being written */
	uint8_t *copy;			/* of it, while it is */
	struct iovec iov;
	struct io io[RAID_MEMBERS_MAX];
	struct op_queue waiting;	/* until nothing is dirty */
	struct timer timer;
	bool clearing;
	struct op clear_op;
	struct io flush[RAID_MEMBERS_MAX];
};

/*
 * Where it is on a member, in bytes; its room in *len.  0: there is no place.
 * `private`: the dirty log, which the policy bitmap does without.
 */
uint64_t bitmap_area(const struct member *m, bool private, uint64_t *len);
/* The least room on any member that is there; 0: one has no place. */
uint64_t bitmap_room(const struct raid *raid, bool private);
/*
 * For the array, which is to take it; chunk 0: choose.  NULL with err set:
 * -ENOMEM, or -EINVAL if it does not fit.
 */
struct bitmap *bitmap_new(struct raid *raid, bool private, uint32_t chunk,
    uint64_t area_bytes, struct err *err);
void bitmap_free(struct bitmap *bitmap);
/* Before a write of the row: hold `op` until its bits are durable. */
void bitmap_set(struct raid *raid, uint64_t row, struct op *op);
void bitmap_row_done(struct raid *raid, uint64_t row);
/* Hold `op` until the whole image is on all members. */
void bitmap_write(struct bitmap *bitmap, struct op *op);
/* The same after a change of the events counter, or of the members. */
void bitmap_note_events(struct raid *raid, uint64_t events);
void bitmap_note_member(struct bitmap *bitmap);
bool bitmap_is_set(const struct bitmap *bitmap, uint64_t bit);
bool bitmap_idle(const struct raid *raid);
void bitmap_stop(struct raid *raid);
/*
 * At assembly: take over one member's area of area_len bytes.  False if it
 * says nothing about the array's present state.
 */
bool bitmap_load(struct bitmap *bitmap, const uint8_t *area, size_t len,
    uint64_t events);
/* Nothing could be loaded: all bits are set. */
void bitmap_set_all(struct bitmap *bitmap);
/* The array is dirty: what the bits name from `from` on is in doubt. */
void bitmap_doubt(const struct raid *raid, uint64_t from,
    struct doubt *doubt);

#endif
