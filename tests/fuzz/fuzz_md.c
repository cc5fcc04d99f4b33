/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is on the disks of an array, as values: superblock, bitmap, partial
 * parity log, bad-block log, record of doubt.  Whatever is read must stay in
 * bounds, and what was accepted must read the same after it was written.
 *
 * The first byte says which; with its high bit the checksum is made right.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "raid/bblog.h"
#include "raid/bitmap.h"
#include "raid/doubt.h"
#include "raid/map.h"
#include "raid/ppl.h"
#include "raid/sb1.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t uuid[16] = "array of a fuzz";

static void
put32(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void
superblock(uint8_t *buf, bool fix)
{
	struct sb1 *sb = calloc(2, sizeof(*sb));
	uint32_t max_dev = buf[220] | (uint32_t)buf[221] << 8;
	struct err err = { 0 };
	uint16_t size;
	int16_t offset;

	if (sb == NULL)
		return;
	if (fix && max_dev <= SB1_ROLES_MAX) {
		put32(buf + 216, 0);
		put32(buf + 216, sb1_csum(buf, 256 + 2 * (size_t)max_dev));
	}
	if (sb1_decode(&sb[0], buf, SB1_BYTES, &err) == 0 &&
	    sb1_check(&sb[0], 1 << 22, &err) == 0) {
		(void)sb1_role(&sb[0], sb[0].dev_number);
		sb1_place_ppl(&sb[0], &offset, &size);
		assert(offset >= 8 && size <= 2048);
		assert(size == 0 || (uint64_t)(8 + offset + size) <=
		    sb[0].data_offset);
		(void)sb1_has_bitmap_place(&sb[0]);
		assert(sb1_bitmap_area(&sb[0]) <= MIB);
		if (sb1_check_engine(&sb[0], &err) == 0) {
			sb1_encode(&sb[0], buf);
			assert(sb1_decode(&sb[1], buf, SB1_BYTES, &err) == 0);
			assert(sb[0].csum == sb[1].csum);
			assert(sb[0].events == sb[1].events);
		}
	}
	free(sb);
}

static void
bitmap(uint8_t *buf, bool fix)
{
	struct bitmap_sb sb, again;

	if (fix)
		memcpy(buf + 8, uuid, sizeof(uuid));
	if (!bitmap_decode(&sb, buf, 4096, uuid))
		return;
	bitmap_encode(&sb, buf);
	assert(bitmap_decode(&again, buf, 4096, uuid));
	assert(memcmp(&sb, &again, sizeof(sb)) == 0);
}

static void
partial_parity(uint8_t *buf, size_t len, bool fix)
{
	struct ppl_header *header = calloc(1, sizeof(*header));
	struct ppl_cover cover;
	struct raid_map map;
	int64_t at;

	if (header == NULL || raid_map_init(&map, 5, RAID_LEFT_SYMMETRIC,
	    3 + buf[0] % 14, 65536, 16 * MIB, NULL) < 0)
		abort();
	if (fix) {
		memset(buf, 0xff, 512);
		put32(buf + 512, ppl_signature(uuid));
		put32(buf + 532, 0);
		put32(buf + 532, ppl_crc(buf, PPL_HEADER));
	}
	at = ppl_find(header, buf, len, ppl_signature(uuid));
	assert(at < 0 || (uint64_t)at + PPL_HEADER <= len);
	for (unsigned i = 0; at >= 0 && i < header->nentries; i++) {
		if (!ppl_entry_cover(&cover, &map, &header->entry[i],
		    header->entry[i].parity_disk % map.n))
			continue;
		assert(cover.ndata <= map.ndata && cover.ndata > 0);
		assert(cover.in_chunk + cover.len <= map.chunk);
		assert(cover.stripe * map.chunk < map.member_size);
	}
	free(header);
}

static void
bad_blocks(uint8_t *buf, const uint8_t *data, size_t size)
{
	struct bblog *log = calloc(2, sizeof(*log));
	unsigned shift = size > 0 ? data[0] % 12 : 0;
	uint64_t at = 0;

	if (log == NULL)
		return;
	if (bblog_decode(&log[0], buf, BBLOG_BYTES, shift, NULL) == 0) {
		for (size_t i = 0; i + 3 < size && i < 32; i += 4) {
			at = at * 7 + data[i] + (uint64_t)data[i + 1] * 4096;
			if ((data[i + 2] & 1) != 0)
				(void)bblog_add(&log[0], at, data[i + 3] + 1);
			else
				(void)bblog_clear(&log[0], at, data[i + 3] + 1);
			(void)bblog_has(&log[0], at, 8);
			assert(bblog_run(&log[0], at, 100) <= 100);
		}
		for (unsigned i = 0; i < 40 && !bblog_encode(&log[0], buf);)
			i++;
		assert(bblog_decode(&log[1], buf, BBLOG_BYTES, shift, NULL) ==
		    0);
		assert(bblog_sectors(&log[0]) == bblog_sectors(&log[1]));
	}
	free(log);
}

static void
doubt(uint8_t *buf, bool fix)
{
	struct doubt set = { 0 }, again = { 0 };
	uint64_t generation, size = UINT64_C(1) << 40;

	if (!doubt_init(&set) || !doubt_init(&again))
		abort();
	if (fix) {
		put32(buf + 32, buf[32]);
		memcpy(buf, "DOZOBTB1", 8);
		memcpy(buf + 8, uuid, sizeof(uuid));
		put32(buf + 36, 0);
		put32(buf + 36, ppl_crc(buf, RANGES_HEAD) ^ ppl_crc(buf +
		    RANGES_HEAD, 16 * (size_t)buf[32]));
	}
	if (doubt_decode(&set, buf, uuid, size, &generation)) {
		(void)doubt_encode(&set, uuid, generation, buf);
		assert(doubt_decode(&again, buf, uuid, size, &generation));
		assert(doubt_equal(&set, &again));
	}
	doubt_fini(&set);
	doubt_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = MAX(DOUBT_SLOT, size);
	uint8_t *buf;
	bool fix;

	if (size == 0)
		return 0;
	fix = (data[0] & 0x80) != 0;
	/* Its end is where the parsers may read to. */
	len = (data[0] & 7) == 4 ? len : round_up(MAX(size, (size_t)4096),
	    4096);
	buf = aligned_alloc(4096, len);
	if (buf == NULL)
		return 0;
	memset(buf, (data[0] & 7) == 3 ? 0xff : 0, len);
	memcpy(buf, data + 1, size - 1);
	switch (data[0] & 7) {
	case 0:
		superblock(buf, fix);
		break;
	case 1:
		bitmap(buf, fix);
		break;
	case 2:
		partial_parity(buf, len, fix);
		break;
	case 3:
		bad_blocks(buf, data + 1, size - 1);
		break;
	default:
		doubt(buf, fix);
		break;
	}
	free(buf);
	return 0;
}
