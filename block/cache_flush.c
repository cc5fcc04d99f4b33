/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing back.  A work takes one region, a full stripe of the device if it
 * has such, and writes all that is dirty in it at once: neighbours go out as
 * one request, and a stripe that is wholly dirty costs the array no reads.
 *
 * Works start when somebody waits (a flush, a change over dirty data), when
 * half of what may be dirty is, and CACHE_FLUSH_MS after the device became
 * dirty, then with a flush of the device.  The oldest region goes first.
 *
 * Invariants: a group is in at most one work; its pages are pinned, so what
 * the device reads does not change; a page is clean only after the device
 * said so.  What fails stays dirty and is listed anew.
 */
#define LOG_AREA LOG_BLOCK
#include "block/cache_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"

/* --- one region --- */

static uint64_t
work_off(const struct cache_work *work, unsigned page, unsigned bit)
{
	return work->page_no[page] * PAGE + bit * SECTOR;
}

/* Sectors from (next, bit) on that are neighbours: one request. */
static uint64_t
take_run(struct cache_work *work)
{
	struct cache *cache = work->vol->cache;
	unsigned first = work->niov, bit;
	uint64_t len = 0;

	for (;;) {
		unsigned i = work->next, n = 0;
		struct iovec *iov = &work->iov[work->niov];
		uint8_t *data = cpage_data(cache, work->page[i]);

		bit = work->bit;
		while (bit + n < PAGE_SECTORS && work->mask[i] >> (bit + n) & 1)
			n++;
		assert(n > 0);
		iov->iov_base = data + bit * SECTOR;
		iov->iov_len = n * SECTOR;
		len += n * SECTOR;
		work->bit += n;
		if (work->niov > first && (uint8_t *)iov[-1].iov_base +
		    iov[-1].iov_len == iov->iov_base)
			iov[-1].iov_len += iov->iov_len;
		else
			work->niov++;
		if (work->bit < PAGE_SECTORS)
			return len;
		work->bit = 0;
		work->next++;
		if (work->next == work->npages || (work->mask[work->next] & 1)
		    == 0 || work->niov - first == BUF_IOV_MAX ||
		    work->page_no[work->next] != work->page_no[i] + 1)
			return len;
	}
}

/* Move to the next sector to be written; false if there is none. */
static bool
seek(struct cache_work *work)
{
	while (work->next < work->npages) {
		unsigned left = work->mask[work->next] >> work->bit;

		if (left != 0) {
			work->bit += (unsigned)__builtin_ctz(left);
			return true;
		}
		work->next++;
		work->bit = 0;
	}
	return false;
}

static void
work_send(struct cache_work *work)
{
	work->nios = work->niov = 0;
	while (work->nios < WORK_IOS && seek(work)) {
		struct io *io = &work->io[work->nios++];
		const struct iovec *iov = &work->iov[work->niov];
		unsigned first = work->niov;
		uint64_t off = work_off(work, work->next, work->bit);
		uint64_t len = take_run(work);

		assert(work->niov <= nitems(work->iov));
		io_init(io, IO_WRITE, off, len, iov, work->niov - first, 0);
		blk_submit(work->vol->lower, io, &work->op);
		work->vol->stats.written_back += len;
	}
}

static void
relist(struct cgroup *g)
{
	struct cache_vol *vol = g->vol;

	assert(!g->listed && g->dirty != 0);
	g->listed = true;
	g->gen = vol->gen;
	TAILQ_INSERT_TAIL(&vol->dirty, g, link);
}

static void
work_failed(struct cache_work *work)
{
	struct cache_vol *vol = work->vol;

	vol->errors++;
	vol->error = work->result;
	vol->stats.write_errors++;
	if (vol->failing)
		return;
	vol->failing = true;
	log_err("%s: cached data cannot be written (%s); it is kept and tried "
	    "again, and new writes wait for the disks", vol->blk.name,
	    strerror(-work->result));
}

/* A page that was written to meanwhile has a copy in its place, dirty. */
static void
work_finish(struct cache_work *work)
{
	struct cache_vol *vol = work->vol;
	struct cache *cache = vol->cache;

	if (work->result != 0) {
		work_failed(work);
	} else if (vol->failing) {
		vol->failing = false;
		log_info("%s: cached data can be written again",
		    vol->blk.name);
	}
	for (unsigned i = 0; i < work->npages; i++) {
		struct cpage *page = work->page[i];

		page->flushing = false;
		if (page->group != NULL && work->result == 0) {
			assert(page->dirty == work->mask[i]);
			cpage_set_clean(cache, page);
		}
	}
	for (unsigned i = 0; i < work->ngroups; i++) {
		struct cgroup *g = work->group[i];

		g->flushing = false;
		if (g->dirty != 0 && !g->listed)
			relist(g);
	}
	for (unsigned i = 0; i < work->npages; i++)
		cpage_unpin(cache, work->page[i]);	/* may free groups */
	work->vol = NULL;
	cache->works_busy--;
	cache_note_unflushed(vol);
}

enum work_step { CW_SEND, CW_SENT };
static const char *const work_steps[] = { "SEND", "SENT" };

static void
work_run(struct op *op)
{
	struct cache_work *work = op_owner(op, struct cache_work);
	struct cache *cache = work->vol->cache;

	switch ((enum work_step)op->step) {
	case CW_SEND:
		work_send(work);
		op->step = CW_SENT;
		return;
	case CW_SENT:
		for (unsigned i = 0; i < work->nios && work->result == 0; i++)
			work->result = work->io[i].result;
		if (work->result == 0 && seek(work)) {
			op->step = CW_SEND;
			return;
		}
		work_finish(work);
		op_end(op);
		op_wake_all(&cache->work_wait);
		cache_kick(cache);
		return;
	}
	bug("cache_write_back: bad step");
}

static void
work_describe(const struct op *op, char *text, size_t size)
{
	const struct cache_work *work = (const void *)op;

	snprintf(text, size, "%s off %" PRIu64 ", %u pages",
	    work->vol->blk.name, work->page_no[0] * PAGE, work->npages);
}

static const struct op_type work_type = {
	.name = "cache_write_back", .steps = work_steps,
	.nsteps = nitems(work_steps), .run = work_run,
	.describe = work_describe,
};

/* --- which region --- */

static void
add_group(struct cache_work *work, struct cgroup *g)
{
	struct cache_vol *vol = work->vol;

	TAILQ_REMOVE(&vol->dirty, g, link);
	g->listed = false;
	g->flushing = true;
	work->gen = MIN(work->gen, g->gen);
	work->group[work->ngroups++] = g;
	for (unsigned s = 0; s < GROUP_PAGES; s++) {
		struct cpage *page = cgroup_page(vol->cache, g, s);

		if (page == NULL || page->dirty == 0)
			continue;
		assert(!page->flushing && work->npages < nitems(work->page));
		page->flushing = true;
		cpage_pin(page);
		work->page[work->npages] = page;
		work->page_no[work->npages] = g->no * GROUP_PAGES + s;
		work->mask[work->npages++] = page->dirty;
	}
}

/* The region of a listed group; false if no work is free. */
static bool
work_start(struct cgroup *g)
{
	struct cache_vol *vol = g->vol;
	struct cache *cache = vol->cache;
	uint64_t per = vol->region / GROUP, first = g->no / per * per;
	struct cache_work *work = cache->works;

	assert(g->listed && !g->flushing);
	if (cache->works_busy == CACHE_WORKS)
		return false;
	while (work->vol != NULL)
		work++;
	cache->works_busy++;
	work->vol = vol;
	work->gen = UINT64_MAX;
	work->ngroups = work->npages = work->next = work->bit = 0;
	work->result = 0;
	for (uint64_t no = first; no < first + per; no++) {
		g = cgroup_find(vol, no);
		if (g != NULL && g->listed && !g->flushing)
			add_group(work, g);
	}
	assert(work->npages > 0);
	op_start(&work->op, &work_type, loop_sched(cache->loop), NULL);
	return true;
}

static bool
urgent(const struct cache_vol *vol, const struct cgroup *g)
{
	const struct cache *cache = vol->cache;

	return g->gen <= vol->goal ||
	    (!vol->failing && cache->dirty > cache_dirty_max(cache) / 2);
}

/* The oldest group that is not on its way, if it should be. */
static struct cgroup *
next_group(const struct cache_vol *vol)
{
	struct cgroup *g;

	TAILQ_FOREACH(g, &vol->dirty, link) {
		if (!g->flushing)
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
				started = work_start(g) || started;
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

		if (g != NULL && g->listed && !g->flushing && !work_start(g))
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
	if (!timer_running(&vol->timer) && !vol->by_clock_busy)
		timer_start(vol->blk.loop, &vol->timer, CACHE_FLUSH_MS,
		    by_clock, vol);
}

void
cache_note_dirty(struct cgroup *g)
{
	if (!g->listed)
		relist(g);
	start_clock(g->vol);
}

void
cache_note_unflushed(struct cache_vol *vol)
{
	vol->unflushed = true;
	start_clock(vol);
}
