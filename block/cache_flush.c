/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When what is written back.
 *
 * Works (cache_work.c) start when somebody waits (a flush, a change over
 * dirty data), when much is dirty, and CACHE_FLUSH_MS after the device became
 * dirty, then with a flush of the device.  The oldest region goes first.
 *
 * Invariant: vol->dirty has every dirty group that is not on its way, and
 * those that became dirty again since, by their generation.
 */
#include "block/cache_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* --- which region --- */

void
cache_list(struct cgroup *g)
{
	struct cache_vol *vol = g->vol;

	assert(!g->listed && g->dirty != 0);
	g->listed = true;
	g->gen = vol->gen;
	TAILQ_INSERT_TAIL(&vol->dirty, g, link);
}

static bool
urgent(const struct cache_vol *vol, const struct cgroup *g)
{
	const struct cache *cache = vol->cache;

	return g->gen <= vol->goal ||
	    (!vol->failing && !vol->closing &&
	    cache->dirty > cache_dirty_many(cache));
}

/* The oldest group that is not on its way, if it should be. */
static struct cgroup *
next_group(const struct cache_vol *vol)
{
	struct cgroup *g;

	TAILQ_FOREACH(g, &vol->dirty, link) {
		if (!g->flushing && !cache_range_filled(vol, g->no * GROUP,
		    GROUP))
			return urgent(vol, g) ? g : NULL;
	}
	return NULL;
}

void
cache_kick(struct cache *cache)
{
	struct cache_vol *vol;
	bool started = true;

	while (started) {	/* one region of each in turn */
		started = false;
		TAILQ_FOREACH(vol, &cache->vols, link) {
			struct cgroup *g;

			if (cache->works_busy == CACHE_WORKS)
				return;
			g = next_group(vol);
			if (g != NULL)
				started = cache_work_start(g) || started;
		}
	}
}

bool
cache_range_dirty(struct cache_vol *vol, uint64_t off, uint64_t len)
{
	struct finder finder = { .vol = vol };
	uint64_t end = off + len;

	if (vol->stats.dirty == 0)
		return false;
	if (cache_range_filled(vol, off, len))
		return true;
	while (off < end) {
		struct piece p = piece_at(off, end);
		const struct cpage *page = finder_page(&finder, &p);

		if (page != NULL && (page->dirty & p.mask) != 0)
			return true;
		off = finder.group != NULL ? off + p.len :
		    MIN(end, (off / GROUP + 1) * GROUP);
	}
	return false;
}

void
cache_flush_range(struct cache_vol *vol, uint64_t off, uint64_t len)
{
	for (uint64_t no = off / GROUP; no * GROUP < off + len; no++) {
		struct cgroup *g = cgroup_find(vol, no);

		if (g != NULL && g->listed && !g->flushing &&
		    !cache_range_filled(vol, no * GROUP, GROUP) &&
		    !cache_work_start(g))
			return;
	}
}

/* --- flush --- */

enum flush_step { CF_WRITE, CF_WAIT, CF_FLUSH, CF_END };
static const char *const flush_steps[] = { "WRITE", "WAIT", "FLUSH", "END" };

static bool
flushed(const struct cache_vol *vol, uint64_t gen)
{
	const struct cache *cache = vol->cache;
	const struct cgroup *g = TAILQ_FIRST(&vol->dirty);

	if (g != NULL && g->gen <= gen)
		return false;
	for (unsigned i = 0; i < CACHE_WORKS; i++) {
		const struct cache_work *work = &cache->works[i];

		if (work->vol == vol && work->gen <= gen)
			return false;
	}
	return true;
}

static void start_clock(struct cache_vol *vol);

static void
flush_end(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;
	struct cache *cache = vol->cache;
	struct io *orig = req->orig;
	int result = vol->errors != req->errors ? vol->error :
	    req->io.result;

	if (req->io.result != 0)
		vol->unflushed = true;
	op_end(&req->op);
	if (orig == NULL) {
		vol->by_clock_busy = false;
		op_wake_all(&vol->close_wait);
		if (vol->stats.dirty > 0 || vol->unflushed)
			start_clock(vol);
		return;
	}
	cache_req_put(cache, req);
	io_end(orig, result);
}

static void
flush_run(struct op *op)
{
	struct cache_req *req = op_owner(op, struct cache_req);
	struct cache_vol *vol = req->vol;
	struct cache *cache = vol->cache;

	switch ((enum flush_step)op->step) {
	case CF_WRITE:
		req->errors = vol->errors;
		req->gen = vol->gen++;
		vol->goal = MAX(vol->goal, req->gen);
		cache_kick(cache);
		op->step = CF_WAIT;
		return;
	case CF_WAIT:
		if (flushed(vol, req->gen)) {
			op->step = CF_FLUSH;
			return;
		}
		assert(cache->works_busy > 0);
		op_wait(&cache->work_wait, op);
		return;
	case CF_FLUSH:
		vol->unflushed = false;
		io_init(&req->io, IO_FLUSH, 0, 0, NULL, 0, 0);
		blk_submit(vol->lower, &req->io, op);
		op->step = CF_END;
		return;
	case CF_END:
		flush_end(req);
		return;
	}
	bug("cache_flush: bad step");
}

static void
flush_describe(const struct op *op, char *text, size_t size)
{
	const struct cache_req *req = (const void *)op;

	snprintf(text, size, "%s, %" PRIu64 " KiB dirty",
	    req->vol->blk.name, req->vol->stats.dirty / KIB);
}

static const struct op_type flush_type = {
	.name = "cache_flush", .steps = flush_steps,
	.nsteps = nitems(flush_steps), .run = flush_run,
	.describe = flush_describe,
};

void
cache_flush_start(struct cache_req *req)
{
	op_start(&req->op, &flush_type, loop_sched(req->vol->blk.loop), NULL);
}

static void
by_clock(void *arg)
{
	struct cache_vol *vol = arg;

	assert(!vol->by_clock_busy);
	if (vol->stats.dirty == 0 && !vol->unflushed)
		return;
	vol->by_clock_busy = true;
	vol->by_clock.vol = vol;
	vol->by_clock.orig = NULL;
	cache_flush_start(&vol->by_clock);
}

static void
start_clock(struct cache_vol *vol)
{
	if (!vol->closing && !timer_running(&vol->timer) && !vol->by_clock_busy)
		timer_start(vol->blk.loop, &vol->timer, CACHE_FLUSH_MS,
		    by_clock, vol);
}

void
cache_flush_now(struct cache_vol *vol)
{
	if (timer_running(&vol->timer))
		timer_start(vol->blk.loop, &vol->timer, 0, by_clock, vol);
}

void
cache_note_dirty(struct cgroup *g)
{
	if (!g->listed)
		cache_list(g);
	start_clock(g->vol);
}

void
cache_note_unflushed(struct cache_vol *vol)
{
	vol->unflushed = true;
	start_clock(vol);
}
