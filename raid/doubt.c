/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The set of ranges with parity in doubt, and its bytes on disk.  Pure.
 *
 * Invariants: ranges are sorted, not empty, and have gaps between them; for
 * want of room the set may become too large, never too small.
 */
#include "raid/doubt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"
#include "raid/ppl.h"

#define DOUBT_MAGIC	UINT64_C(0x314254424f5a4f44)	/* "DOZOBTB1" */
#define DOUBT_SUM_OFF	36

bool
doubt_init(struct doubt *doubt)
{
	doubt_clear(doubt);
	doubt->range = malloc(DOUBT_MAX * sizeof(doubt->range[0]));
	return doubt->range != NULL;
}

void
doubt_fini(struct doubt *doubt)
{
	free(doubt->range);
	doubt->range = NULL;
	doubt->n = 0;
}

void
doubt_clear(struct doubt *doubt)
{
	doubt->n = 0;
	doubt->blank = false;
}

/* The first range that ends after `at`. */
static unsigned
find(const struct doubt *doubt, uint64_t at)
{
	unsigned lo = 0, hi = doubt->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (doubt->range[mid].hi > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Replace ranges [i, i + n) by nothing, or make room for one. */
static void
cut(struct doubt *doubt, unsigned i, unsigned n)
{
	assert(i + n <= doubt->n);
	memmove(&doubt->range[i], &doubt->range[i + n],
	    (doubt->n - i - n) * sizeof(doubt->range[0]));
	doubt->n -= n;
}

static void
insert(struct doubt *doubt, unsigned i, struct doubt_range range)
{
	assert(doubt->n < DOUBT_MAX && i <= doubt->n);
	memmove(&doubt->range[i + 1], &doubt->range[i],
	    (doubt->n - i) * sizeof(doubt->range[0]));
	doubt->range[i] = range;
	doubt->n++;
}

/* Give up the narrowest gap. */
static void
make_room(struct doubt *doubt)
{
	unsigned best = 1;

	assert(doubt->n >= 2);
	for (unsigned i = 2; i < doubt->n; i++)
		if (doubt->range[i].lo - doubt->range[i - 1].hi <
		    doubt->range[best].lo - doubt->range[best - 1].hi)
			best = i;
	doubt->range[best - 1].hi = doubt->range[best].hi;
	cut(doubt, best, 1);
}

void
doubt_add(struct doubt *doubt, uint64_t lo, uint64_t hi)
{
	unsigned i, n = 0;

	assert(lo <= hi);
	if (lo == hi)
		return;
	doubt->blank = false;
	i = lo == 0 ? 0 : find(doubt, lo - 1);
	while (i + n < doubt->n && doubt->range[i + n].lo <= hi) {
		lo = MIN(lo, doubt->range[i + n].lo);
		hi = MAX(hi, doubt->range[i + n].hi);
		n++;
	}
	cut(doubt, i, n);
	if (doubt->n == DOUBT_MAX) {
		make_room(doubt);
		doubt_add(doubt, lo, hi);
		return;
	}
	insert(doubt, i, (struct doubt_range){ lo, hi });
}

bool
doubt_settle(struct doubt *doubt, uint64_t lo, uint64_t hi)
{
	unsigned i = find(doubt, lo);
	struct doubt_range *r = &doubt->range[i];

	assert(lo <= hi);
	if (lo == hi || i == doubt->n || r->lo >= hi)
		return true;
	if (r->lo < lo && r->hi > hi) {
		if (doubt->n == DOUBT_MAX)
			return false;
		insert(doubt, i + 1, (struct doubt_range){ hi, r->hi });
		r->hi = lo;
		return true;
	}
	if (r->lo < lo) {
		r->hi = lo;
		i++;
	}
	while (i < doubt->n && doubt->range[i].hi <= hi)
		cut(doubt, i, 1);
	if (i < doubt->n && doubt->range[i].lo < hi)
		doubt->range[i].lo = hi;
	return true;
}

bool
doubt_overlaps(const struct doubt *doubt, uint64_t lo, uint64_t hi)
{
	unsigned i = find(doubt, lo);

	return lo < hi && i < doubt->n && doubt->range[i].lo < hi;
}

uint64_t
doubt_next(const struct doubt *doubt, uint64_t from)
{
	unsigned i = find(doubt, from);

	if (i == doubt->n)
		return UINT64_MAX;
	return MAX(from, doubt->range[i].lo);
}

void
doubt_limit(struct doubt *doubt, const struct doubt *max)
{
	uint64_t lo = 0;

	for (unsigned i = 0; i < max->n; i++) {
		(void)doubt_settle(doubt, lo, max->range[i].lo);
		lo = max->range[i].hi;
	}
	(void)doubt_settle(doubt, lo, UINT64_MAX);
}

uint64_t
doubt_bytes(const struct doubt *doubt)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < doubt->n; i++)
		bytes += doubt->range[i].hi - doubt->range[i].lo;
	return bytes;
}

void
doubt_copy(struct doubt *dst, const struct doubt *src)
{
	dst->n = src->n;
	dst->blank = src->blank;
	memcpy(dst->range, src->range, src->n * sizeof(src->range[0]));
}

bool
doubt_equal(const struct doubt *a, const struct doubt *b)
{
	return a->n == b->n && (a->n == 0 || a->blank == b->blank) &&
	    memcmp(a->range, b->range, a->n * sizeof(a->range[0])) == 0;
}

/* --- on disk --- */

static uint32_t
record_crc(const uint8_t *buf, uint32_t n)
{
	static const uint8_t zero[4];
	uint8_t head[DOUBT_HEAD];

	memcpy(head, buf, sizeof(head));
	memcpy(head + DOUBT_SUM_OFF, zero, sizeof(zero));
	return ppl_crc(head, sizeof(head)) ^
	    ppl_crc(buf + DOUBT_HEAD, 16 * (size_t)n);
}

size_t
doubt_encode(const struct doubt *doubt, const uint8_t set_uuid[16],
    uint64_t generation, void *buf)
{
	struct wire_out out = wire_out(buf, DOUBT_SLOT);
	struct wire_out sum = wire_out((uint8_t *)buf + DOUBT_SUM_OFF, 4);
	size_t used;

	assert(doubt->n <= DOUBT_MAX);
	put_le64(&out, DOUBT_MAGIC);
	put_bytes(&out, set_uuid, 16);
	put_le64(&out, generation);
	put_le32(&out, doubt->n);
	put_le32(&out, 0);		/* the checksum */
	put_le32(&out, doubt->blank);
	put_zero(&out, DOUBT_HEAD - wire_used(&out));
	for (unsigned i = 0; i < doubt->n; i++) {
		put_le64(&out, doubt->range[i].lo);
		put_le64(&out, doubt->range[i].hi);
	}
	used = wire_used(&out);
	put_le32(&sum, record_crc(buf, doubt->n));
	put_zero(&out, DOUBT_SLOT - used);
	assert(!out.bad && !sum.bad);
	return used;
}

bool
doubt_decode(struct doubt *doubt, const void *buf, const uint8_t set_uuid[16],
    uint64_t member_size, uint64_t *generation)
{
	struct wire_in in = wire_in(buf, DOUBT_SLOT);
	uint64_t magic = get_le64(&in), end = 0;
	uint8_t uuid[16];
	uint32_t n, sum, blank;

	get_copy(&in, uuid, sizeof(uuid));
	*generation = get_le64(&in);
	n = get_le32(&in);
	sum = get_le32(&in);
	blank = get_le32(&in);
	get_skip(&in, DOUBT_HEAD - DOUBT_SUM_OFF - 8);
	if (magic != DOUBT_MAGIC || memcmp(uuid, set_uuid, 16) != 0 ||
	    n > DOUBT_MAX || sum != record_crc(buf, n))
		return false;
	doubt->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t lo = get_le64(&in), hi = get_le64(&in);

		if (lo < end || lo >= hi || hi > member_size)
			return false;
		doubt_add(doubt, lo, hi);
		end = hi;
	}
	doubt->blank = blank == 1;
	assert(!in.bad);
	return true;
}
