/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets of ranges, and their bytes on disk.  Pure.
 *
 * Invariants: ranges are sorted, not empty, and have gaps between them; what
 * is read from a disk is not trusted before its checksum and order are.
 */
#include "raid/ranges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"
#include "raid/ppl.h"

#define SUM_OFF 36

bool
ranges_init(struct ranges *set, unsigned max)
{
	assert(max >= 2);
	set->n = 0;
	set->max = max;
	set->range = malloc(max * sizeof(set->range[0]));
	return set->range != NULL;
}

void
ranges_fini(struct ranges *set)
{
	free(set->range);
	set->range = NULL;
	set->n = 0;
}

/* The first range that ends after `at`. */
static unsigned
find(const struct ranges *set, uint64_t at)
{
	unsigned lo = 0, hi = set->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (set->range[mid].hi > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Replace ranges [i, i + n) by nothing, or make room for one. */
static void
cut(struct ranges *set, unsigned i, unsigned n)
{
	assert(i + n <= set->n);
	memmove(&set->range[i], &set->range[i + n],
	    (set->n - i - n) * sizeof(set->range[0]));
	set->n -= n;
}

static void
insert(struct ranges *set, unsigned i, struct range range)
{
	assert(set->n < set->max && i <= set->n);
	memmove(&set->range[i + 1], &set->range[i],
	    (set->n - i) * sizeof(set->range[0]));
	set->range[i] = range;
	set->n++;
}

/* Give up the narrowest gap. */
static void
make_room(struct ranges *set)
{
	unsigned best = 1;

	assert(set->n >= 2);
	for (unsigned i = 2; i < set->n; i++)
		if (set->range[i].lo - set->range[i - 1].hi <
		    set->range[best].lo - set->range[best - 1].hi)
			best = i;
	set->range[best - 1].hi = set->range[best].hi;
	cut(set, best, 1);
}

void
ranges_add(struct ranges *set, uint64_t lo, uint64_t hi)
{
	unsigned i, n = 0;

	assert(lo <= hi);
	if (lo == hi)
		return;
	i = lo == 0 ? 0 : find(set, lo - 1);
	while (i + n < set->n && set->range[i + n].lo <= hi) {
		lo = MIN(lo, set->range[i + n].lo);
		hi = MAX(hi, set->range[i + n].hi);
		n++;
	}
	cut(set, i, n);
	if (set->n == set->max) {
		make_room(set);
		ranges_add(set, lo, hi);
		return;
	}
	insert(set, i, (struct range){ lo, hi });
}

bool
ranges_settle(struct ranges *set, uint64_t lo, uint64_t hi)
{
	unsigned i = find(set, lo);
	struct range *r = &set->range[i];

	assert(lo <= hi);
	if (lo == hi || i == set->n || r->lo >= hi)
		return true;
	if (r->lo < lo && r->hi > hi) {
		if (set->n == set->max)
			return false;
		insert(set, i + 1, (struct range){ hi, r->hi });
		r->hi = lo;
		return true;
	}
	if (r->lo < lo) {
		r->hi = lo;
		i++;
	}
	while (i < set->n && set->range[i].hi <= hi)
		cut(set, i, 1);
	if (i < set->n && set->range[i].lo < hi)
		set->range[i].lo = hi;
	return true;
}

bool
ranges_overlap(const struct ranges *set, uint64_t lo, uint64_t hi)
{
	unsigned i = find(set, lo);

	return lo < hi && i < set->n && set->range[i].lo < hi;
}

uint64_t
ranges_next(const struct ranges *set, uint64_t from)
{
	unsigned i = find(set, from);

	if (i == set->n)
		return UINT64_MAX;
	return MAX(from, set->range[i].lo);
}

void
ranges_limit(struct ranges *set, const struct ranges *max)
{
	uint64_t lo = 0;

	for (unsigned i = 0; i < max->n; i++) {
		(void)ranges_settle(set, lo, max->range[i].lo);
		lo = max->range[i].hi;
	}
	(void)ranges_settle(set, lo, UINT64_MAX);
}

uint64_t
ranges_bytes(const struct ranges *set)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < set->n; i++)
		bytes += set->range[i].hi - set->range[i].lo;
	return bytes;
}

uint64_t
ranges_bytes_in(const struct ranges *set, uint64_t lo, uint64_t hi)
{
	uint64_t bytes = 0;

	for (unsigned i = find(set, lo); i < set->n &&
	    set->range[i].lo < hi; i++)
		bytes += MIN(hi, set->range[i].hi) - MAX(lo, set->range[i].lo);
	return bytes;
}

void
ranges_copy(struct ranges *dst, const struct ranges *src)
{
	assert(src->n <= dst->max);
	dst->n = src->n;
	memcpy(dst->range, src->range, src->n * sizeof(src->range[0]));
}

bool
ranges_equal(const struct ranges *a, const struct ranges *b)
{
	return a->n == b->n &&
	    memcmp(a->range, b->range, a->n * sizeof(a->range[0])) == 0;
}

/* --- on disk --- */

static uint32_t
record_crc(const uint8_t *buf, uint32_t n)
{
	static const uint8_t zero[4];
	uint8_t head[RANGES_HEAD];

	memcpy(head, buf, sizeof(head));
	memcpy(head + SUM_OFF, zero, sizeof(zero));
	return ppl_crc(head, sizeof(head)) ^
	    ppl_crc(buf + RANGES_HEAD, 16 * (size_t)n);
}

size_t
ranges_encode(const struct ranges *set, const struct ranges_record *record,
    void *buf, size_t len)
{
	struct wire_out out = wire_out(buf, len);
	struct wire_out sum = wire_out((uint8_t *)buf + SUM_OFF, 4);
	size_t used;

	assert(set->n <= RANGES_ROOM(len));
	put_le64(&out, record->magic);
	put_bytes(&out, record->set_uuid, 16);
	put_le64(&out, record->generation);
	put_le32(&out, set->n);
	put_le32(&out, 0);		/* the checksum */
	put_le32(&out, record->flags);
	put_le64(&out, record->events);
	put_zero(&out, RANGES_HEAD - wire_used(&out));
	for (unsigned i = 0; i < set->n; i++) {
		put_le64(&out, set->range[i].lo);
		put_le64(&out, set->range[i].hi);
	}
	used = wire_used(&out);
	put_le32(&sum, record_crc(buf, set->n));
	put_zero(&out, len - used);
	assert(!out.bad && !sum.bad);
	return used;
}

static bool
decode_ranges(struct ranges *set, struct wire_in *in, uint32_t n,
    uint64_t size)
{
	uint64_t end = 0;

	ranges_clear(set);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t lo = get_le64(in), hi = get_le64(in);

		if (lo < end || lo >= hi || hi > size)
			return false;
		ranges_add(set, lo, hi);
		end = hi;
	}
	assert(!in->bad);
	return true;
}

bool
ranges_decode(struct ranges *set, struct ranges_record *record,
    const void *buf, size_t len, uint64_t size)
{
	struct wire_in in = wire_in(buf, len);
	uint64_t magic = get_le64(&in);
	uint8_t uuid[16];
	uint32_t n, sum;

	get_copy(&in, uuid, sizeof(uuid));
	record->generation = get_le64(&in);
	n = get_le32(&in);
	sum = get_le32(&in);
	record->flags = get_le32(&in);
	record->events = get_le64(&in);
	get_skip(&in, RANGES_HEAD - SUM_OFF - 4 - 4 - 8);
	return magic == record->magic &&
	    memcmp(uuid, record->set_uuid, 16) == 0 &&
	    n <= RANGES_ROOM(len) && sum == record_crc(buf, n) &&
	    decode_ranges(set, &in, n, size);
}
