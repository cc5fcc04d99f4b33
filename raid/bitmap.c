/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Write-intent bitmap: format, memory, and what the bits mean.  The writing
 * is in bitmap_log.c.
 *
 * Invariants: a bit is set in the image while a write of its piece is in
 * flight, or while the piece's parity is in doubt; nothing from disk is
 * trusted before it was compared with the array's shape.
 */
#include "raid/bitmap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"
#include "raid/raid_priv.h"

#define BITMAP_MAGIC 0x6d746962u
#define BITMAP_CHUNK (64 * MIB)		/* at least, for arrays of ours */
#define BITMAP_CHUNK_MIN 4096u		/* for arrays of others */
#define LOG_CHUNK (64 * KIB)		/* the same for the dirty log */
#define LOG_BITS (256 * KIB)		/* it has at most so many bits */

uint32_t
bitmap_version(const uint8_t *buf, size_t len)
{
	struct wire_in in = wire_in(buf, len);
	uint32_t magic = get_le32(&in), version = get_le32(&in);

	return magic == BITMAP_MAGIC ? version : 0;
}

bool
bitmap_decode(struct bitmap_sb *sb, const uint8_t *buf, size_t len,
    const uint8_t set_uuid[16])
{
	struct wire_in in = wire_in(buf, len);

	get_skip(&in, 8);
	memset(sb, 0, sizeof(*sb));
	get_copy(&in, sb->uuid, 16);
	sb->events = get_le64(&in);
	sb->events_cleared = get_le64(&in);
	sb->sync_size = get_le64(&in);
	sb->state = get_le32(&in);
	sb->chunksize = get_le32(&in);
	sb->daemon_sleep = get_le32(&in);
	sb->write_behind = get_le32(&in);
	sb->sectors_reserved = get_le32(&in);
	return !in.bad && bitmap_version(buf, len) == BITMAP_VERSION &&
	    memcmp(sb->uuid, set_uuid, 16) == 0 &&
	    is_pow2(sb->chunksize) && sb->chunksize >= BITMAP_CHUNK_MIN &&
	    sb->daemon_sleep >= 1;
}

void
bitmap_encode(const struct bitmap_sb *sb, uint8_t *buf)
{
	struct wire_out out = wire_out(buf, BITMAP_HEAD);

	assert(is_pow2(sb->chunksize) && sb->daemon_sleep >= 1);
	put_le32(&out, BITMAP_MAGIC);
	put_le32(&out, BITMAP_VERSION);
	put_bytes(&out, sb->uuid, 16);
	put_le64(&out, sb->events);
	put_le64(&out, sb->events_cleared);
	put_le64(&out, sb->sync_size);
	put_le32(&out, sb->state);
	put_le32(&out, sb->chunksize);
	put_le32(&out, sb->daemon_sleep);
	put_le32(&out, sb->write_behind);
	put_le32(&out, sb->sectors_reserved);
	put_zero(&out, BITMAP_HEAD - wire_used(&out));
	assert(!out.bad);
}

static uint64_t
count_bits(uint64_t member_size, uint32_t chunk)
{
	return (member_size + chunk - 1) / chunk;
}

uint64_t
bitmap_bytes_max(uint64_t member_size)
{
	return round_up(BITMAP_HEAD + (count_bits(member_size,
	    BITMAP_CHUNK_MIN) + 7) / 8, BITMAP_BLOCK);
}

uint32_t
bitmap_chunk(uint64_t member_size, uint64_t area_bytes)
{
	uint64_t chunk = BITMAP_CHUNK;

	assert(area_bytes >= BITMAP_BLOCK);
	while (count_bits(member_size, (uint32_t)chunk) >
	    (area_bytes - BITMAP_HEAD) * 8)
		chunk *= 2;
	assert(chunk <= UINT32_C(1) << 31);
	return (uint32_t)chunk;
}

uint64_t
bitmap_area(const struct member *m, bool private, uint64_t *len)
{
	const struct sb1 *sb = &m->sb;
	struct sb1_areas areas;
	uint64_t start;

	if (!private) {
		*len = round_down(sb1_bitmap_area(sb), BITMAP_BLOCK);
		return *len == 0 ? 0 : (SB1_SECTOR +
		    (uint64_t)sb->bitmap_offset) * SECTOR;
	}
	sb1_areas(&areas, 0);
	*len = 0;
	if (lack_area(m) == 0)
		return 0;
	start = round_up(areas.private_start * SECTOR, BITMAP_BLOCK);
	*len = round_down(lack_area(m) - start, BITMAP_BLOCK);
	return start;
}

uint64_t
bitmap_room(const struct raid *raid, bool private)
{
	uint64_t room = MIB, len;

	for (unsigned r = 0; r < raid->map.n; r++) {
		const struct member *m = &raid->member[r];

		if (m->blk == NULL)
			continue;
		if (bitmap_area(m, private, &len) == 0)
			return 0;
		room = MIN(room, len);
	}
	return room;
}

static uint32_t
log_chunk(uint64_t member_size)
{
	uint64_t chunk = LOG_CHUNK;

	while (count_bits(member_size, (uint32_t)chunk) > LOG_BITS)
		chunk *= 2;
	assert(chunk <= UINT32_C(1) << 31);
	return (uint32_t)chunk;
}

static int
bitmap_init(struct bitmap *b, struct raid *raid, uint32_t chunk,
    uint64_t area_bytes, struct err *err)
{
	uint64_t size = raid->map.member_size;

	b->raid = raid;
	b->unwritten = b->private;
	if (chunk == 0 && b->private)
		chunk = log_chunk(size);
	if (chunk == 0)
		chunk = bitmap_chunk(size, area_bytes);
	b->sb = (struct bitmap_sb){ .sync_size = size / SECTOR,
		.chunksize = chunk, .daemon_sleep = 5 };
	memcpy(b->sb.uuid, raid->spec.uuid, 16);
	b->nbits = count_bits(size, chunk);
	b->nblocks = (BITMAP_HEAD + (b->nbits + 7) / 8 + BITMAP_BLOCK - 1) /
	    BITMAP_BLOCK;
	if (b->nblocks * BITMAP_BLOCK > area_bytes)
		return err_set(err, EINVAL, "the bitmap does not fit its "
		    "place on the members");
	op_queue_init(&b->waiting);
	b->image = calloc(b->nblocks, BITMAP_BLOCK);
	b->copy = aligned_alloc(4096, BITMAP_BLOCK);
	b->dirty = calloc(b->nblocks, sizeof(*b->dirty));
	b->busy = calloc(b->nbits, sizeof(*b->busy));
	b->age = calloc(b->nbits, sizeof(*b->age));
	if (b->image == NULL || b->copy == NULL || b->dirty == NULL ||
	    b->busy == NULL || b->age == NULL)
		return err_set(err, ENOMEM, "no memory for the bitmap");
	bitmap_encode(&b->sb, b->image);
	b->dirty[0] = !b->private;
	return 0;
}

struct bitmap *
bitmap_new(struct raid *raid, bool private, uint32_t chunk,
    uint64_t area_bytes, struct err *err)
{
	struct bitmap *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		err_set(err, ENOMEM, "no memory for the bitmap");
		return NULL;
	}
	b->private = private;
	if (bitmap_init(b, raid, chunk, area_bytes, err) < 0) {
		bitmap_free(b);
		return NULL;
	}
	return b;
}

void
bitmap_free(struct bitmap *b)
{
	if (b == NULL)
		return;
	free(b->image);
	free(b->copy);
	free(b->dirty);
	free(b->busy);
	free(b->age);
	free(b);
}

/* --- at assembly --- */

bool
bitmap_load(struct bitmap *b, const uint8_t *area, size_t len,
    uint64_t events)
{
	struct bitmap_sb sb;
	size_t bytes = (b->nbits + 7) / 8;

	if (len < BITMAP_HEAD + bytes ||
	    !bitmap_decode(&sb, area, len, b->sb.uuid) ||
	    sb.chunksize != b->sb.chunksize ||
	    sb.sync_size != b->sb.sync_size)
		return false;
	for (size_t i = 0; i < bytes; i++)
		b->image[BITMAP_HEAD + i] |= area[BITMAP_HEAD + i];
	for (uint64_t bit = 0; bit < b->nbits; bit++)
		b->age[bit] = (area[BITMAP_HEAD + bit / 8] >> bit % 8 & 1) ||
		    b->age[bit] != 0;
	b->sb.daemon_sleep = sb.daemon_sleep;
	b->sb.write_behind = sb.write_behind;
	b->sb.sectors_reserved = sb.sectors_reserved;
	b->sb.events_cleared = MAX(b->sb.events_cleared, sb.events_cleared);
	return sb.events >= events && (sb.state & BITMAP_STALE) == 0;
}

void
bitmap_set_all(struct bitmap *b)
{
	for (uint64_t bit = 0; bit < b->nbits; bit++) {
		b->image[BITMAP_HEAD + bit / 8] |= (uint8_t)(1u << bit % 8);
		b->age[bit] = 1;
	}
	bitmap_note_member(b);
}

void
bitmap_doubt(const struct raid *raid, uint64_t from, struct doubt *doubt)
{
	const struct bitmap *b = raid->bitmap;

	for (uint64_t bit = 0; bit < b->nbits; bit++) {
		uint64_t lo = bit * b->sb.chunksize;
		uint64_t hi = MIN(lo + b->sb.chunksize,
		    raid->map.member_size);

		if (b->age[bit] != 0 && hi > from)
			doubt_add(doubt, MAX(lo, from), hi);
	}
}

void
bitmap_note_member(struct bitmap *b)
{
	for (uint64_t i = 0; i < b->nblocks; i++)
		b->dirty[i] = true;
}

/* --- what is set --- */

bool
bitmap_is_set(const struct bitmap *b, uint64_t bit)
{
	assert(bit < b->nbits);
	return (b->image[BITMAP_HEAD + bit / 8] >> bit % 8 & 1) != 0;
}
