/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where new extents come from.  Pure: no I/O.
 *
 * Free space is what no volume has.  A volume gets, in this order: the extents
 * right after its last one; a hole that takes all of the rest (the smallest
 * such); the longest hole, and again.  Holes are entered where the volume's
 * byte offset and the array's agree about full stripes, as long as there is
 * such a place anywhere.
 */
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct holes {
	struct run *holes;		/* may become empty (count 0) */
	unsigned n;
	uint64_t free;			/* extents in all */
};

static int
holes_find(struct holes *h, const struct table *table,
    const struct label *label)
{
	unsigned nused = 0;
	struct run *used = table_sorted_runs(table, &nused);
	uint32_t at = 0;

	h->n = 0;
	h->free = 0;
	h->holes = used == NULL ? NULL :
	    malloc((nused + 1u) * sizeof(*h->holes));
	if (h->holes == NULL) {
		free(used);
		return -ENOMEM;
	}
	for (unsigned i = 0; i <= nused; i++) {
		uint32_t end = i < nused ? used[i].start : label->extents;

		assert(end >= at && end <= label->extents);
		if (end > at) {
			h->holes[h->n++] = (struct run){ at, end - at };
			h->free += end - at;
		}
		if (i < nused)
			at = used[i].start + used[i].count;
	}
	free(used);
	assert(h->free + table_extents_used(table) == label->extents);
	return 0;
}

/*
 * The first extent of `hole` on which extent `pos` of a volume keeps its place
 * within a full stripe; UINT32_MAX if there is none.
 */
static uint32_t
aligned_start(const struct label *label, uint32_t stripe,
    const struct run *hole, uint64_t pos)
{
	uint64_t want, have;

	if (stripe == 0)
		return hole->start;
	want = pos * label->extent_bytes % stripe;
	have = (label->data_off +
	    (uint64_t)hole->start * label->extent_bytes) % stripe;
	for (uint32_t i = 0; i < hole->count; i++) {
		if (have == want)
			return hole->start + i;
		have = (have + label->extent_bytes) % stripe;
		if (i > stripe / POOL_BLOCK)
			break;		/* went round: it never fits */
	}
	return UINT32_MAX;
}

/* Best run in any hole: the smallest that holds `want`, else the longest. */
static struct run
holes_best(const struct holes *h, const struct label *label, uint32_t stripe,
    uint64_t pos, uint32_t want, unsigned *which)
{
	struct run best = { 0, 0 };

	for (unsigned i = 0; i < h->n; i++) {
		const struct run *hole = &h->holes[i];
		uint32_t start, count;

		if (hole->count == 0)
			continue;
		start = aligned_start(label, stripe, hole, pos);
		if (start == UINT32_MAX)
			continue;
		count = hole->start + hole->count - start;
		if (best.count >= want ? count >= want && count < best.count :
		    count > best.count) {
			best = (struct run){ start, count };
			*which = i;
		}
	}
	if (best.count > want)
		best.count = want;
	return best;
}

/* Take `run` out; what lies behind it is lost, so it must be the last one. */
static void
holes_take(struct holes *h, unsigned which, const struct run *run)
{
	struct run *hole = &h->holes[which];

	assert(which < h->n);
	assert(run->start >= hole->start && run->count > 0);
	assert(run->start + run->count <= hole->start + hole->count);
	if (run->start == hole->start) {
		hole->start += run->count;
		hole->count -= run->count;
	} else {
		hole->count = run->start - hole->start;
	}
}

/* The free extents right after the volume's last one. */
static struct run
holes_after(const struct holes *h, const struct table_volume *have,
    uint32_t want, unsigned *which)
{
	const struct run *last;

	if (have->nruns == 0)
		return (struct run){ 0, 0 };
	last = &have->runs[have->nruns - 1];
	for (unsigned i = 0; i < h->n; i++) {
		if (h->holes[i].start == last->start + last->count) {
			*which = i;
			return (struct run){ h->holes[i].start,
				MIN(h->holes[i].count, want) };
		}
	}
	return (struct run){ 0, 0 };
}

int
alloc_extents(const struct table *table, const struct label *label,
    uint32_t stripe_bytes, const struct table_volume *have, uint32_t want,
    struct run **out, unsigned *nout)
{
	struct table_volume got = { .nruns = 0 };
	struct holes h;
	struct run run;
	uint64_t pos = 0;
	unsigned which = 0;
	int ret = 0;

	assert(want > 0);
	for (unsigned i = 0; i < have->nruns; i++)
		pos += have->runs[i].count;
	if (holes_find(&h, table, label) != 0)
		return -ENOMEM;
	if (h.free < want)
		ret = -ENOSPC;
	run = holes_after(&h, have, want, &which);
	while (ret == 0 && want > 0) {
		if (run.count == 0)
			run = holes_best(&h, label, stripe_bytes, pos, want,
			    &which);
		if (run.count == 0)
			run = holes_best(&h, label, 0, pos, want, &which);
		assert(run.count > 0 && run.count <= want);
		holes_take(&h, which, &run);
		ret = table_append_runs(&got, &run, 1);
		want -= run.count;
		pos += run.count;
		run.count = 0;
	}
	free(h.holes);
	if (ret != 0) {
		free(got.runs);
		return ret;
	}
	*out = got.runs;
	*nout = got.nruns;
	return 0;
}
