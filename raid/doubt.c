/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The set of ranges with parity in doubt, and its bytes on disk.  Pure.
 *
 * Invariant: for want of room the set may become too large, never too small.
 */
#include "raid/doubt.h"

#include <assert.h>
#include <string.h>

#define DOUBT_MAGIC	UINT64_C(0x314254424f5a4f44)	/* "DOZOBTB1" */
#define DOUBT_BLANK	1u				/* flag */

bool
doubt_init(struct doubt *doubt)
{
	doubt->blank = false;
	return ranges_init(&doubt->set, DOUBT_MAX);
}

void
doubt_fini(struct doubt *doubt)
{
	ranges_fini(&doubt->set);
}

void
doubt_clear(struct doubt *doubt)
{
	ranges_clear(&doubt->set);
	doubt->blank = false;
}

void
doubt_add(struct doubt *doubt, uint64_t lo, uint64_t hi)
{
	if (lo < hi)
		doubt->blank = false;
	ranges_add(&doubt->set, lo, hi);
}

void
doubt_copy(struct doubt *dst, const struct doubt *src)
{
	ranges_copy(&dst->set, &src->set);
	dst->blank = src->blank;
}

bool
doubt_equal(const struct doubt *a, const struct doubt *b)
{
	return ranges_equal(&a->set, &b->set) &&
	    (a->set.n == 0 || a->blank == b->blank);
}

static struct ranges_record
doubt_record(const uint8_t set_uuid[16])
{
	struct ranges_record record = { .magic = DOUBT_MAGIC };

	memcpy(record.set_uuid, set_uuid, 16);
	return record;
}

size_t
doubt_encode(const struct doubt *doubt, const uint8_t set_uuid[16],
    uint64_t generation, void *buf)
{
	struct ranges_record record = doubt_record(set_uuid);

	record.generation = generation;
	record.flags = doubt->blank ? DOUBT_BLANK : 0;
	return ranges_encode(&doubt->set, &record, buf, DOUBT_SLOT);
}

bool
doubt_decode(struct doubt *doubt, const void *buf, const uint8_t set_uuid[16],
    uint64_t member_size, uint64_t *generation)
{
	struct ranges_record record = doubt_record(set_uuid);
	bool ok = ranges_decode(&doubt->set, &record, buf, DOUBT_SLOT,
	    member_size);

	*generation = record.generation;
	if (ok)
		doubt->blank = record.flags == DOUBT_BLANK;
	return ok;
}
