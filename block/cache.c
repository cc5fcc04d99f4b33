/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cache and its devices: made, told, asked and closed.
 *
 * Invariant: a device has no page, request or work left when it is freed.
 */
#include "block/cache_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct cache *
cache_new(struct loop *loop, uint64_t bytes)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	assert(bytes >= CACHE_BYTES_MIN);
	if (cache == NULL)
		return NULL;
	cache->loop = loop;
	TAILQ_INIT(&cache->vols);
	STAILQ_INIT(&cache->req_free);
	STAILQ_INIT(&cache->req_wait);
	op_queue_init(&cache->work_wait);
	cache->reqs = calloc(CACHE_REQS, sizeof(*cache->reqs));
	cache->works = calloc(CACHE_WORKS, sizeof(*cache->works));
	cache->aheads = calloc(CACHE_AHEADS, sizeof(*cache->aheads));
	if (cache_map_init(cache, bytes) != 0 || cache->reqs == NULL ||
	    cache->works == NULL || cache->aheads == NULL) {
		cache_free(cache);
		return NULL;
	}
	for (unsigned i = CACHE_REQS; i > 0; i--)
		STAILQ_INSERT_HEAD(&cache->req_free, &cache->reqs[i - 1],
		    free);
	return cache;
}

void
cache_free(struct cache *cache)
{
	if (cache == NULL)
		return;
	assert(TAILQ_EMPTY(&cache->vols) && cache->used == 0);
	assert(cache->works_busy == 0 && cache->nlooks == 0);
	cache_map_fini(cache);
	for (unsigned i = 0; cache->works != NULL && i < CACHE_WORKS; i++)
		free(cache->works[i].whole);
	for (unsigned i = 0; cache->aheads != NULL && i < CACHE_AHEADS; i++)
		free(cache->aheads[i].buf);
	free(cache->aheads);
	free(cache->reqs);
	free(cache->works);
	free(cache);
}

void
cache_set_limit(struct cache *cache, uint64_t bytes)
{
	cache_map_set_limit(cache, (uint32_t)(MIN(bytes, TIB) / PAGE));
	cache_kick(cache);	/* less may be dirty now */
}

static void
fill_common(const struct cache *cache, struct cache_stats *stats)
{
	stats->used = cache->used * PAGE;
	stats->limit = cache->limit * PAGE;
	stats->max = cache->npages * PAGE;
}

void
cache_get_stats(const struct cache *cache, struct cache_stats *stats)
{
	const struct cache_vol *vol;

	*stats = cache->stats;		/* of devices that are gone */
	TAILQ_FOREACH(vol, &cache->vols, link) {
		stats->hits += vol->stats.hits;
		stats->misses += vol->stats.misses;
		stats->evictions += vol->stats.evictions;
		stats->dirty += vol->stats.dirty;
		stats->written_back += vol->stats.written_back;
		stats->write_errors += vol->stats.write_errors;
		stats->read_ahead += vol->stats.read_ahead;
		stats->failing = stats->failing || vol->failing;
	}
	fill_common(cache, stats);
}

void
cache_blk_get_stats(const struct blk *blk, struct cache_stats *stats)
{
	const struct cache_vol *vol = cache_vol_of(blk);

	*stats = vol->stats;
	stats->failing = vol->failing;
	fill_common(vol->cache, stats);
}

/* --- devices --- */

/* Add up what is left of it; nothing is dirty or in flight. */
static void
vol_free(struct cache_vol *vol)
{
	struct cache *cache = vol->cache;
	struct cache_stats *sum = &cache->stats;

	assert(TAILQ_EMPTY(&vol->changes) && TAILQ_EMPTY(&vol->fills));
	assert(vol->stats.dirty == 0 && !timer_running(&vol->timer));
	sum->hits += vol->stats.hits;
	sum->misses += vol->stats.misses;
	sum->evictions += vol->stats.evictions;
	sum->written_back += vol->stats.written_back;
	sum->write_errors += vol->stats.write_errors;
	sum->read_ahead += vol->stats.read_ahead;
	TAILQ_REMOVE(&cache->vols, vol, link);
	free(vol);
}

/* Only before it was used: cache_close writes what is dirty. */
static void
cache_blk_close(struct blk *blk)
{
	vol_free(cache_vol_of(blk));
}

/* What is written through goes down as it is. */
static void
cache_expect(struct blk *blk, uint64_t off, uint64_t len)
{
	struct cache_vol *vol = cache_vol_of(blk);

	if (!vol->write_back)
		blk_expect(vol->lower, off, len);
}

static uint64_t
cache_cut(const struct blk *blk, uint64_t off, uint64_t len)
{
	const struct cache_vol *vol = cache_vol_of(blk);

	return vol->write_back ? 0 : blk_cut(vol->lower, off, len);
}

static const struct blk_ops cache_ops = {
	.type = "cache",
	.expect = cache_expect,
	.cut = cache_cut,
	.submit = cache_submit,
	.close = cache_blk_close,
};

void
cache_blk_refresh(struct blk *blk)
{
	struct cache_vol *vol = cache_vol_of(blk);
	uint64_t stripe = vol->lower->geo.optimal_io;

	blk->geo = vol->lower->geo;
	memcpy(blk->name, vol->lower->name, sizeof(blk->name));
	/* Other stripes are left to the array, which merges neighbours. */
	vol->region = stripe != 0 && stripe % GROUP == 0 &&
	    stripe <= REGION_MAX ? stripe : GROUP;
}

struct blk *
cache_blk_new(struct cache *cache, struct blk *lower, bool write_back)
{
	struct cache_vol *vol = calloc(1, sizeof(*vol));

	if (vol == NULL)
		return NULL;
	vol->blk.ops = &cache_ops;
	vol->blk.loop = cache->loop;
	vol->cache = cache;
	vol->lower = lower;
	vol->id = ++cache->last_id;
	vol->write_back = write_back;
	vol->gen = 1;
	TAILQ_INIT(&vol->changes);
	TAILQ_INIT(&vol->fills);
	TAILQ_INIT(&vol->dirty);
	op_queue_init(&vol->change_wait);
	op_queue_init(&vol->close_wait);
	TAILQ_INSERT_TAIL(&cache->vols, vol, link);
	cache_blk_refresh(&vol->blk);
	return &vol->blk;
}

void
cache_blk_set_write_back(struct blk *blk, bool write_back)
{
	struct cache_vol *vol = cache_vol_of(blk);

	vol->write_back = write_back;
	if (!write_back)
		cache_flush_now(vol);
}

/* --- the end of a device --- */

enum close_step { CL_WAIT, CL_FLUSH, CL_END };
static const char *const close_steps[] = { "WAIT", "FLUSH", "END" };

static void
close_end(struct cache_close *close)
{
	struct cache_vol *vol = cache_vol_of(close->blk);

	timer_stop(vol->cache->loop, &vol->timer);
	close->result = close->io.result;
	close->lost_bytes = cache_map_forget(vol);
	vol_free(vol);
}

static void
close_run(struct op *op)
{
	struct cache_close *close = op_owner(op, struct cache_close);
	struct cache_vol *vol = cache_vol_of(close->blk);

	switch ((enum close_step)op->step) {
	case CL_WAIT:
		vol->closing = true;
		timer_stop(vol->cache->loop, &vol->timer);
		if (vol->by_clock_busy || vol->aheads > 0)
			op_wait(&vol->close_wait, op);
		else
			op->step = CL_FLUSH;
		return;
	case CL_FLUSH:
		io_init(&close->io, IO_FLUSH, 0, 0, NULL, 0, 0);
		blk_submit(close->blk, &close->io, op);
		op->step = CL_END;
		return;
	case CL_END:
		close_end(close);
		op_end(op);
		return;
	}
	bug("cache_close: bad step");
}

static const struct op_type close_type = {
	.name = "cache_close", .steps = close_steps,
	.nsteps = nitems(close_steps), .run = close_run,
};

void
cache_close_start(struct cache_close *close, struct op *parent)
{
	op_start(&close->op, &close_type,
	    loop_sched(cache_vol_of(close->blk)->cache->loop), parent);
}
