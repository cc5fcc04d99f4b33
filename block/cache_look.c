/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Short reads and writes of one turn are looked up together.
 *
 * A look-up goes from the bucket to the group, from there to the page and to
 * its data.  In a cache of some size none of them is in the processor's, so
 * each step waits for memory.  Here every step is taken for all of them before
 * the next one, and they wait at the same time.
 */
#include "block/cache_priv.h"

#include <assert.h>
#include <string.h>

/* Of its data; the processor sees by then where the copy is going. */
#define DATA_LINES 4u
#define CACHE_LINE 64u

static void
prefetch_data(const struct cache_vol *vol, uint64_t off)
{
	const struct cache *cache = vol->cache;
	const struct cgroup *g = cgroup_find(vol, off / GROUP);
	const struct cpage *page = g == NULL ? NULL :
	    cgroup_page(cache, g, (unsigned)(off / PAGE % GROUP_PAGES));
	const uint8_t *data;

	if (page == NULL)
		return;
	__builtin_prefetch(&page->valid);
	data = cpage_data(cache, page) + off % PAGE;
	for (unsigned i = 0; i < DATA_LINES; i++)
		__builtin_prefetch(data + i * CACHE_LINE);
}

static void
prefetch_all(struct io *const *look, unsigned n)
{
	struct cgroup **bucket[CACHE_LOOKS];

	for (unsigned i = 0; i < n; i++) {
		bucket[i] = cgroup_bucket(look[i]->owner,
		    look[i]->off / GROUP);
		__builtin_prefetch(bucket[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct cgroup *g = *bucket[i];

		if (g != NULL) {
			__builtin_prefetch(g);
			__builtin_prefetch(g->page);
		}
	}
	for (unsigned i = 0; i < n; i++)
		prefetch_data(look[i]->owner, look[i]->off);
}

static void
look_run(struct op *op)
{
	struct cache *cache = container_of(op, struct cache, look_op);
	struct io *look[CACHE_LOOKS];
	unsigned n = cache->nlooks;

	assert(n > 0 && n <= CACHE_LOOKS);
	memcpy(look, cache->look, n * sizeof(look[0]));
	cache->nlooks = 0;
	op_end(op);
	if (n > 1)
		prefetch_all(look, n);
	for (unsigned i = 0; i < n; i++)
		cache_begin(look[i]->owner, look[i]);
}

static const struct op_type look_type = {
	.name = "cache_look", .run = look_run,
};

void
cache_look(struct cache_vol *vol, struct io *io)
{
	struct cache *cache = vol->cache;

	if (io->len > GROUP || cache->nlooks == CACHE_LOOKS) {
		cache_begin(vol, io);
		return;
	}
	io->owner = vol;
	cache->look[cache->nlooks++] = io;
	if (cache->nlooks == 1)
		op_start(&cache->look_op, &look_type, loop_sched(cache->loop),
		    NULL);
}
