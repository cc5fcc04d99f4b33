/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volatile write cache of the fault injector.
 *
 * Completed writes live in pages of memory until a flush writes them down; a
 * read is served from below and overlaid with the pages.  Requests that move
 * pages (flush, FUA write, zero, discard) run alone: they wait until no read
 * is about to be overlaid, and what comes meanwhile is parked.
 *
 * At a power cut a random subset of the dirty sectors survives; the salvage
 * job writes these down, and requests after power-on wait for it.
 *
 * Invariants: a page in the list has a dirty bit; at most one job is active;
 * nothing is parked while no job is active and no reader counted.
 */
#include "block/fault_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR ((uint64_t)512)

struct cache_read {
	struct op op;
	struct blk_fault *fault;
	struct io *orig;
	struct io io;
	unsigned epoch;
};

static void cache_go_on(struct blk_fault *fault);

/* --- pages --- */

static unsigned
bucket_of(uint64_t off)
{
	return (unsigned)((off / CACHE_PAGE) % CACHE_BUCKETS);
}

static struct cache_page *
page_find(struct fault_cache *cache, uint64_t off)
{
	struct cache_page *page;

	assert(off % CACHE_PAGE == 0);
	LIST_FOREACH(page, &cache->bucket[bucket_of(off)], bucket)
		if (page->off == off)
			return page;
	return NULL;
}

static struct cache_page *
page_new(struct fault_cache *cache, uint64_t off)
{
	struct cache_page *page = calloc(1, sizeof(*page));

	if (page == NULL)
		return NULL;
	page->off = off;
	TAILQ_INSERT_TAIL(&cache->pages, page, order);
	LIST_INSERT_HEAD(&cache->bucket[bucket_of(off)], page, bucket);
	return page;
}

/* Sectors of `page` that are no longer dirty. */
static void
page_clean(struct fault_cache *cache, struct cache_page *page, uint8_t mask)
{
	page->dirty = (uint8_t)(page->dirty & ~mask);
	if (page->dirty != 0)
		return;
	TAILQ_REMOVE(&cache->pages, page, order);
	LIST_REMOVE(page, bucket);
	free(page);
}

/* The part of [off, off + len) that lies in the page at page_off. */
static uint8_t
page_mask(uint64_t page_off, uint64_t off, uint64_t len)
{
	uint64_t from = MAX(off, page_off);
	uint64_t to = MIN(off + len, page_off + CACHE_PAGE);
	unsigned mask = 0;

	assert(from < to && from % SECTOR == 0 && to % SECTOR == 0);
	for (uint64_t s = from; s < to; s += SECTOR)
		mask |= 1u << (s - page_off) / SECTOR;
	return (uint8_t)mask;
}

static bool
cache_touches(struct fault_cache *cache, uint64_t off, uint64_t len)
{
	struct cache_page *page;

	for (uint64_t at = round_down(off, CACHE_PAGE); at < off + len;
	    at += CACHE_PAGE) {
		page = page_find(cache, at);
		if (page != NULL &&
		    (page->dirty & page_mask(at, off, len)) != 0)
			return true;
	}
	return false;
}

static void
cache_drop(struct fault_cache *cache, uint64_t off, uint64_t len)
{
	struct cache_page *page;

	for (uint64_t at = round_down(off, CACHE_PAGE); at < off + len;
	    at += CACHE_PAGE) {
		page = page_find(cache, at);
		if (page != NULL)
			page_clean(cache, page, page_mask(at, off, len));
	}
}

static int
cache_put(struct fault_cache *cache, const struct io *io)
{
	struct cache_page *page;
	uint64_t from, to;

	for (uint64_t at = round_down(io->off, CACHE_PAGE);
	    at < io->off + io->len; at += CACHE_PAGE) {
		page = page_find(cache, at);
		if (page == NULL)
			page = page_new(cache, at);
		if (page == NULL)
			return -ENOMEM;
		from = MAX(io->off, at);
		to = MIN(io->off + io->len, at + CACHE_PAGE);
		iov_to_buf(io->iov, io->niov, from - io->off,
		    page->data + (from - at), to - from);
		page->dirty |= page_mask(at, io->off, io->len);
	}
	return 0;
}

static void
cache_overlay(struct fault_cache *cache, const struct io *io)
{
	struct cache_page *page;
	uint8_t mask;

	for (uint64_t at = round_down(io->off, CACHE_PAGE);
	    at < io->off + io->len; at += CACHE_PAGE) {
		page = page_find(cache, at);
		if (page == NULL)
			continue;
		mask = page->dirty & page_mask(at, io->off, io->len);
		for (unsigned s = 0; s < CACHE_PAGE / SECTOR; s++)
			if ((mask & 1u << s) != 0)
				iov_from_buf(io->iov, io->niov,
				    at + s * SECTOR - io->off,
				    page->data + s * SECTOR, SECTOR);
	}
}

/* --- reads that need the cache --- */

enum cache_read_step { CR_READ, CR_OVERLAY };
static const char *const cache_read_steps[] = { "READ", "OVERLAY" };

static void
cache_read_run(struct op *op)
{
	struct cache_read *r = op_owner(op, struct cache_read);
	struct blk_fault *fault = r->fault;
	struct fault_cache *cache = &fault->cache;
	int result;

	switch ((enum cache_read_step)op->step) {
	case CR_READ:
		blk_submit(fault->lower, &r->io, op);
		op->step = CR_OVERLAY;
		return;
	case CR_OVERLAY:
		result = r->io.result;
		if (r->epoch != cache->epoch)
			result = -ENODEV;
		if (result == 0)
			cache_overlay(cache, r->orig);
		op_end(op);
		io_end(r->orig, result);
		free(r);
		assert(cache->readers > 0);
		cache->readers--;
		cache_go_on(fault);
		return;
	}
	bug("cache_read: bad step");
}

static const struct op_type cache_read_type = {
	.name = "cache_read",
	.steps = cache_read_steps,
	.nsteps = nitems(cache_read_steps),
	.run = cache_read_run,
};

static void
cache_read_start(struct blk_fault *fault, struct io *orig)
{
	struct cache_read *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		io_end(orig, -ENOMEM);
		return;
	}
	r->fault = fault;
	r->orig = orig;
	r->epoch = fault->cache.epoch;
	io_init(&r->io, IO_READ, orig->off, orig->len, orig->iov, orig->niov,
	    orig->flags);
	fault->cache.readers++;
	op_start(&r->op, &cache_read_type, loop_sched(fault->blk.loop), NULL);
}

/* --- the job that runs alone --- */

enum job_step { JOB_BEGIN, JOB_NEXT, JOB_WROTE, JOB_FLUSH, JOB_END };
static const char *const job_steps[] = {
	"BEGIN", "NEXT", "WROTE", "FLUSH", "END"
};

/* Write the first run of dirty sectors of `page`. */
static void
write_run(struct blk_fault *fault, struct cache_page *page, struct op *op)
{
	unsigned per_block = fault->lower->geo.logical_block / SECTOR;
	unsigned n = 0, first = 0;

	while ((page->dirty & 1u << first) == 0)
		first++;
	while (first + n < CACHE_PAGE / SECTOR &&
	    (page->dirty & 1u << (first + n)) != 0)
		n++;
	assert(n > 0 && first % per_block == 0 && n % per_block == 0);
	fault->cache.job.page = page;
	fault->cache.job.mask = page_mask(page->off,
	    page->off + first * SECTOR, n * SECTOR);
	fault->cache.job.iov = (struct iovec){
		.iov_base = page->data + first * SECTOR,
		.iov_len = n * SECTOR,
	};
	io_init(&fault->cache.job.io, IO_WRITE, page->off + first * SECTOR,
	    n * SECTOR, &fault->cache.job.iov, 1, 0);
	blk_submit(fault->lower, &fault->cache.job.io, op);
}

static void
job_begin(struct blk_fault *fault, struct op *op)
{
	struct io *orig = fault->cache.job.orig;
	struct io *io = &fault->cache.job.io;

	if (orig == NULL || orig->kind == IO_FLUSH) {
		op->step = JOB_NEXT;
		return;
	}
	cache_drop(&fault->cache, orig->off, orig->len);
	io_init(io, orig->kind, orig->off, orig->len, orig->iov, orig->niov,
	    orig->flags);
	blk_submit(fault->lower, io, op);
	op->step = JOB_END;
}

static void
job_end(struct blk_fault *fault)
{
	struct fault_cache *cache = &fault->cache;
	struct io *orig = cache->job.orig;
	int result = cache->job.result;

	assert(cache->job.page == NULL);
	if (result == 0)
		result = cache->job.io.result;
	if (cache->job.epoch != cache->epoch)
		result = -ENODEV;
	op_end(&cache->job.op);
	cache->job.active = false;
	if (orig != NULL)
		io_end(orig, result);
	cache_go_on(fault);
}

static void
job_run(struct op *op)
{
	struct fault_cache *cache = container_of(op, struct fault_cache,
	    job.op);
	struct blk_fault *fault = container_of(cache, struct blk_fault, cache);
	struct cache_page *page;

	switch ((enum job_step)op->step) {
	case JOB_BEGIN:
		job_begin(fault, op);
		return;
	case JOB_NEXT:
		page = TAILQ_FIRST(&cache->pages);
		op->step = page != NULL ? JOB_WROTE : JOB_FLUSH;
		if (page != NULL)
			write_run(fault, page, op);
		return;
	case JOB_WROTE:
		page = cache->job.page;
		cache->job.page = NULL;
		cache->job.result = cache->job.io.result;
		if (cache->job.result == 0)
			page_clean(cache, page, cache->job.mask);
		op->step = cache->job.result == 0 ? JOB_NEXT : JOB_END;
		return;
	case JOB_FLUSH:
		io_init(&cache->job.io, IO_FLUSH, 0, 0, NULL, 0, 0);
		blk_submit(fault->lower, &cache->job.io, op);
		op->step = JOB_END;
		return;
	case JOB_END:
		job_end(fault);
		return;
	}
	bug("fault_cache: bad step");
}

static const struct op_type job_type = {
	.name = "fault_cache",
	.steps = job_steps,
	.nsteps = nitems(job_steps),
	.run = job_run,
};

static void
job_start(struct blk_fault *fault, struct io *orig)
{
	struct fault_cache *cache = &fault->cache;

	assert(!cache->job.active && cache->readers == 0);
	cache->job.active = true;
	cache->job.orig = orig;
	cache->job.epoch = cache->epoch;
	cache->job.result = 0;
	op_start(&cache->job.op, &job_type, loop_sched(fault->blk.loop), NULL);
}

/* --- admission --- */

static bool
runs_alone(const struct fault_cache *cache, const struct io *io)
{
	if (io->kind == IO_WRITE)
		return !cache->on || (io->flags & IO_FUA) != 0;
	return io->kind == IO_FLUSH || io->kind == IO_ZERO ||
	    io->kind == IO_DISCARD;
}

static void
cache_dispatch(struct blk_fault *fault, struct io *io)
{
	struct fault_cache *cache = &fault->cache;

	if (runs_alone(cache, io)) {
		job_start(fault, io);
	} else if (io->kind == IO_WRITE) {
		io_end(io, cache_put(cache, io));
	} else if (!cache_touches(cache, io->off, io->len)) {
		blk_forward(fault->lower, io);
	} else if (io->kind == IO_STATUS) {
		io->flags |= IO_MAPPED;
		io_end(io, 0);
	} else {
		cache_read_start(fault, io);
	}
}

/* A job or a reader has ended: what may start now? */
static void
cache_go_on(struct blk_fault *fault)
{
	struct fault_cache *cache = &fault->cache;
	struct io *io;

	if (cache->job.salvage_next && !cache->job.active &&
	    cache->readers == 0) {
		cache->job.salvage_next = false;
		job_start(fault, NULL);
	}
	while (!cache->job.active &&
	    (io = STAILQ_FIRST(&cache->parked)) != NULL &&
	    (cache->readers == 0 || !runs_alone(cache, io))) {
		STAILQ_REMOVE_HEAD(&cache->parked, queue);
		cache_dispatch(fault, io);
	}
	if (fault->closing && !cache->job.active && cache->readers == 0)
		fault_free(fault);
}

void
fault_cache_submit(struct blk_fault *fault, struct io *io)
{
	struct fault_cache *cache = &fault->cache;

	if (!cache->on && TAILQ_EMPTY(&cache->pages) && !cache->job.active) {
		blk_forward(fault->lower, io);
		return;
	}
	if (cache->job.active || !STAILQ_EMPTY(&cache->parked) ||
	    (cache->readers > 0 && runs_alone(cache, io)))
		STAILQ_INSERT_TAIL(&cache->parked, io, queue);
	else
		cache_dispatch(fault, io);
}

void
fault_cache_init(struct blk_fault *fault)
{
	fault->cache.powered = true;
	TAILQ_INIT(&fault->cache.pages);
	STAILQ_INIT(&fault->cache.parked);
	for (unsigned i = 0; i < CACHE_BUCKETS; i++)
		LIST_INIT(&fault->cache.bucket[i]);
}

void
fault_cache_fini(struct blk_fault *fault)
{
	struct cache_page *page;

	assert(!fault->cache.job.active && fault->cache.readers == 0);
	assert(STAILQ_EMPTY(&fault->cache.parked));
	while ((page = TAILQ_FIRST(&fault->cache.pages)) != NULL)
		page_clean(&fault->cache, page, 0xff);
}

/* --- the power switch --- */

static void
end_all(struct io_queue *queue, int result)
{
	struct io *io;

	while ((io = STAILQ_FIRST(queue)) != NULL) {
		STAILQ_REMOVE_HEAD(queue, queue);
		io_end(io, result);
	}
}

static uint64_t
next_random(uint64_t *seed)		/* splitmix64 */
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Each dirty block is lost with a probability of one half. */
static void
lose_some(struct blk_fault *fault, uint64_t seed)
{
	unsigned per_block = fault->blk.geo.logical_block / SECTOR;
	struct cache_page *page, *next;

	for (page = TAILQ_FIRST(&fault->cache.pages); page != NULL;
	    page = next) {
		uint64_t bits = next_random(&seed);
		unsigned lost = 0;

		next = TAILQ_NEXT(page, order);
		for (unsigned s = 0; s < CACHE_PAGE / SECTOR; s++)
			if ((bits >> s / per_block & 1) != 0)
				lost |= 1u << s;
		if (page == fault->cache.job.page)	/* on its way down */
			lost &= ~(unsigned)fault->cache.job.mask;
		page_clean(&fault->cache, page, (uint8_t)lost);
	}
}

void
blk_fault_power_cut(struct blk *blk, uint64_t seed)
{
	struct blk_fault *fault = container_of(blk, struct blk_fault, blk);
	struct fault_cache *cache = &fault->cache;

	assert(cache->powered);
	cache->powered = false;
	cache->epoch++;
	timer_stop(blk->loop, &fault->timer);
	end_all(&fault->stalled, -ENODEV);
	end_all(&fault->delayed, -ENODEV);
	end_all(&cache->parked, -ENODEV);
	lose_some(fault, seed);
	cache->job.salvage_next = !TAILQ_EMPTY(&cache->pages);
	cache_go_on(fault);
}

void
blk_fault_power_on(struct blk *blk)
{
	struct blk_fault *fault = container_of(blk, struct blk_fault, blk);

	assert(!fault->cache.powered);
	fault->cache.powered = true;
}
