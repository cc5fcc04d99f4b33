/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partial parity log: encode, decode, find the newest header, judge entries.
 *
 * Invariants: an entry we encode maps to the member it is written to (Linux
 * stops dead on one that does not); decode trusts no count or size before it
 * was compared with a bound.
 */
#include "raid/ppl.h"

#include <assert.h>
#include <isa-l.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"

#define PPL_SUM_OFF 532u
#define PPL_ENTRY_OFF 536u
#define PPL_ENTRY_LEN 24u
_Static_assert(PPL_ENTRY_OFF + PPL_ENTRIES * PPL_ENTRY_LEN <= PPL_HEADER,
    "the entries fit the header");

uint32_t
ppl_crc(const void *buf, size_t len)
{
	assert(len <= INT32_MAX);
	return ~crc32_iscsi((unsigned char *)(uintptr_t)buf, (int)len,
	    0xffffffff);
}

uint32_t
ppl_signature(const uint8_t set_uuid[16])
{
	return ppl_crc(set_uuid, 16);
}

void
ppl_encode(const struct ppl_header *header, void *buf)
{
	struct wire_out out = wire_out(buf, PPL_HEADER);
	uint8_t *bytes = buf;
	uint32_t sum;

	assert(header->nentries <= PPL_ENTRIES);
	memset(buf, 0, PPL_HEADER);
	memset(put_room(&out, 512), 0xff, 512);
	put_le32(&out, header->signature);
	put_le32(&out, 0);
	put_le64(&out, header->generation);
	put_le32(&out, header->nentries);
	put_le32(&out, 0);
	assert(wire_used(&out) == PPL_ENTRY_OFF);
	for (unsigned i = 0; i < header->nentries; i++) {
		const struct ppl_entry *e = &header->entry[i];

		put_le64(&out, e->data_sector);
		put_le32(&out, e->pp_size);
		put_le32(&out, e->data_size);
		put_le32(&out, e->parity_disk);
		put_le32(&out, e->checksum);
	}
	assert(!out.bad);
	sum = ppl_crc(buf, PPL_HEADER);
	for (unsigned i = 0; i < 4; i++)
		bytes[PPL_SUM_OFF + i] = (uint8_t)(sum >> 8 * i);
}

/* The checksum is taken with its own field zero: in three parts. */
static uint32_t
header_sum(const uint8_t *buf)
{
	static unsigned char zero[4];
	uint32_t crc = 0xffffffff;
	unsigned char *p = (unsigned char *)(uintptr_t)buf;

	crc = crc32_iscsi(p, PPL_SUM_OFF, crc);
	crc = crc32_iscsi(zero, 4, crc);
	crc = crc32_iscsi(p + PPL_ENTRY_OFF, PPL_HEADER - PPL_ENTRY_OFF, crc);
	return ~crc;
}

bool
ppl_decode(struct ppl_header *header, const void *buf, uint32_t signature)
{
	struct wire_in in = wire_in(buf, PPL_HEADER);
	uint32_t sum;

	memset(header, 0, sizeof(*header));
	get_skip(&in, 512);
	header->signature = get_le32(&in);
	get_skip(&in, 4);
	header->generation = get_le64(&in);
	header->nentries = get_le32(&in);
	sum = get_le32(&in);
	if (header->signature != signature || sum != header_sum(buf) ||
	    header->nentries > PPL_ENTRIES)
		return false;
	for (unsigned i = 0; i < header->nentries; i++) {
		struct ppl_entry *e = &header->entry[i];

		e->data_sector = get_le64(&in);
		e->pp_size = get_le32(&in);
		e->data_size = get_le32(&in);
		e->parity_disk = get_le32(&in);
		e->checksum = get_le32(&in);
	}
	assert(!in.bad);
	return true;
}

int64_t
ppl_find(struct ppl_header *newest, const uint8_t *area, size_t len,
    uint32_t signature)
{
	struct ppl_header header;
	int64_t found = -1;
	uint64_t at = 0;

	while (range_ok(at, PPL_HEADER, len) &&
	    ppl_decode(&header, area + at, signature) &&
	    (found < 0 || header.generation >= newest->generation)) {
		uint64_t size = PPL_HEADER;

		for (unsigned i = 0; i < header.nentries; i++)
			size += header.entry[i].pp_size;
		if (!range_ok(at, size, len))
			break;
		*newest = header;
		found = (int64_t)at;
		at += size;
	}
	return found;
}

void
ppl_entry_of_band(struct ppl_entry *entry, const struct row_plan *plan,
    const struct row_band *band)
{
	const struct raid_map *map = plan->map;
	uint64_t stripe = raid_map_stripe(map, plan->row);
	uint32_t in = (uint32_t)(plan->row * map->row_bytes % map->chunk);
	uint32_t len = band->at.hi - band->at.lo;

	assert(band->method != ROW_BARE);
	entry->data_sector = raid_map_offset(map, stripe, band->first,
	    in + band->at.lo) / 512;
	entry->pp_size = band->method == ROW_FULL ? 0 : len;
	entry->data_size = len * (band->last - band->first + 1);
	entry->parity_disk = plan->parity;
	entry->checksum = 0;
}

bool
ppl_entry_cover(struct ppl_cover *cover, const struct raid_map *map,
    const struct ppl_entry *entry, unsigned role)
{
	struct map_place place;

	if (entry->data_size == 0 ||
	    entry->data_sector >= map->size / 512 ||
	    entry->parity_disk != role)
		return false;
	raid_map_locate(map, entry->data_sector * 512, &place);
	cover->stripe = place.stripe;
	cover->first = place.data;
	cover->in_chunk = map->chunk - place.left;
	cover->full = entry->pp_size == 0;
	cover->ndata = cover->full ? map->ndata :
	    entry->data_size / entry->pp_size;
	cover->len = cover->full ? entry->data_size / map->ndata :
	    entry->pp_size;
	return (uint64_t)cover->len * cover->ndata == entry->data_size &&
	    cover->len % 512 == 0 && cover->len > 0 &&
	    cover->len <= place.left && cover->ndata > 0 &&
	    cover->ndata <= map->ndata - cover->first &&
	    raid_map_parity(map, place.stripe) == role;
}
