/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of the array is used: labels, tables and documents, and the extents of
 * volumes.  All else may hold anything.
 *
 * The runs of the current table are kept in order, so that many questions are
 * cheap; they are looked up anew when the table is another.
 */
#include "pool/pool_priv.h"

#include <stdlib.h>

/* Runs that touch become one. */
static unsigned
join_runs(struct run *runs, unsigned n)
{
	unsigned k = 0;

	for (unsigned i = 1; i < n; i++) {
		if (runs[k].start + runs[k].count == runs[i].start)
			runs[k].count += runs[i].count;
		else
			runs[++k] = runs[i];
	}
	return n == 0 ? 0 : k + 1;
}

static bool
look_up(struct pool *pool)
{
	unsigned n = 0;

	if (pool->used != NULL &&
	    pool->used_generation == pool->table.generation)
		return true;
	free(pool->used);
	pool->used = table_sorted_runs(&pool->table, &n);
	if (pool->used == NULL)
		return false;
	pool->nused = join_runs(pool->used, n);
	pool->used_generation = pool->table.generation;
	return true;
}

/* The first run that ends after this extent. */
static unsigned
find_run(const struct pool *pool, uint64_t extent)
{
	unsigned lo = 0, hi = pool->nused;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if ((uint64_t)pool->used[mid].start + pool->used[mid].count >
		    extent)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

uint64_t
pool_next_used(void *arg, uint64_t off, uint64_t *end)
{
	struct pool *pool = arg;
	const struct label *label = &pool->label;
	uint64_t last = label_b_off(label->blk_bytes), unit, start;
	unsigned i;

	if (off < label->data_off) {
		*end = label->data_off;
		return off;
	}
	if (!look_up(pool)) {		/* without memory: all may be */
		*end = last + POOL_BLOCK;
		return off < *end ? off : UINT64_MAX;
	}
	unit = label->extent_bytes;
	i = find_run(pool, (off - label->data_off) / unit);
	if (i < pool->nused) {
		start = label->data_off + pool->used[i].start * unit;
		*end = start + pool->used[i].count * unit;
		return MAX(off, start);
	}
	*end = last + POOL_BLOCK;
	return off < *end ? MAX(off, last) : UINT64_MAX;
}
