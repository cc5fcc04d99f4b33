/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One work writes back one region: a full stripe of the device, if it has
 * such.  Neighbours go out as one request, so a stripe that is wholly dirty
 * costs the array no reads.
 *
 * A region that is dirty in many places is made whole first: what is missing
 * is copied from memory or read, and one write brings it all.  That is two
 * requests where the array would need four for each place, one place after
 * the other.
 *
 * Invariants: a group is in at most one work; its dirty pages are pinned, so
 * what the device reads does not change; a page is clean only after the
 * device said so; what fails stays dirty and is listed anew.  While a work
 * rewrites sectors that are not dirty, no change may reach them on another
 * way: see cache_range_dirty().
 */
#define LOG_AREA LOG_BLOCK
#include "block/cache_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The whole region, from or to one piece of memory. */
static void
whole_io(struct cache_work *work, enum io_kind kind)
{
	work->iov[0] = (struct iovec){ work->whole, work->len };
	io_init(&work->io[0], kind, work->off, work->len, work->iov,
	    1, 0);
	blk_submit(work->vol->lower, &work->io[0], &work->op);
}

static void
work_send(struct cache_work *work)
{
	if (work->filled) {
		work->nios = 1;
		work->next = work->npages;
		work->vol->stats.written_back += work->len;
		whole_io(work, IO_WRITE);
		return;
	}
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
			cache_list(g);
	}
	for (unsigned i = 0; i < work->npages; i++)
		cpage_unpin(cache, work->page[i]);	/* may free groups */
	work->vol = NULL;
	cache->works_busy--;
	cache_note_unflushed(vol);
}

enum work_step { CW_READ, CW_FILL, CW_SEND, CW_SENT };
static const char *const work_steps[] = { "READ", "FILL", "SEND", "SENT" };

static void copy_dirty(struct cache_work *work);

static void
work_run(struct op *op)
{
	struct cache_work *work = op_owner(op, struct cache_work);
	struct cache *cache = work->vol->cache;

	switch ((enum work_step)op->step) {
	case CW_READ:
		whole_io(work, IO_READ);
		op->step = CW_FILL;
		return;
	case CW_FILL:
		copy_dirty(work);
		work->filled = work->io[0].result == 0;
		op->step = CW_SEND;
		return;
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

/* --- which pages --- */

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

/* How many requests it would take. */
static unsigned
count_runs(const struct cache_work *work)
{
	unsigned runs = 0;
	bool last = false;	/* is the sector before dirty? */

	for (unsigned i = 0; i < work->npages; i++) {
		if (i > 0 && work->page_no[i] != work->page_no[i - 1] + 1)
			last = false;
		for (unsigned b = 0; b < PAGE_SECTORS; b++) {
			bool bit = work->mask[i] >> b & 1;

			runs += bit && !last;
			last = bit;
		}
	}
	return runs;
}

static bool
worth_filling(const struct cache_work *work)
{
	const struct cache_vol *vol = work->vol;
	unsigned runs = count_runs(work);

	return runs >= (vol->blk.geo.rotational ? 2u : FILL_RUNS) &&
	    vol->blk.geo.optimal_io == vol->region &&
	    range_ok(work->off, vol->region, vol->blk.geo.size) &&
	    !cache_change_ahead(vol, NULL, work->off, vol->region);
}

/* Copy what memory has of the region; true if that is all. */
static bool
copy_valid(struct cache_work *work)
{
	struct cache_vol *vol = work->vol;
	struct finder finder = { .vol = vol };
	uint64_t end = work->off + work->len;
	bool all = true;

	for (uint64_t at = work->off; at < end; at += PAGE) {
		struct piece p = piece_at(at, end);
		const struct cpage *page = finder_page(&finder, &p);

		if (page == NULL || page->valid != p.mask)
			all = false;
		else if (all)
			memcpy(work->whole + (at - work->off),
			    cpage_data(vol->cache, page), PAGE);
	}
	return all;
}

/* Over what was read comes what is dirty. */
static void
copy_dirty(struct cache_work *work)
{
	for (unsigned i = 0; i < work->npages; i++) {
		const uint8_t *data = cpage_data(work->vol->cache,
		    work->page[i]);
		uint8_t *to = work->whole + (work->page_no[i] * PAGE -
		    work->off);

		for (unsigned b = 0; b < PAGE_SECTORS; b++)
			if (work->mask[i] >> b & 1)
				memcpy(to + b * SECTOR, data + b * SECTOR,
				    SECTOR);
	}
}

static void
plan(struct cache_work *work, bool alone)
{
	if (!alone || !worth_filling(work))
		return;
	if (work->whole == NULL)
		work->whole = aligned_alloc(PAGE, REGION_MAX);
	if (work->whole == NULL)
		return;
	work->filled = true;
	work->op.step = copy_valid(work) ? CW_SEND : CW_READ;
}

/* The region of a listed group; false if no work is free. */
bool
cache_work_start(struct cgroup *g)
{
	struct cache_vol *vol = g->vol;
	struct cache *cache = vol->cache;
	uint64_t per = vol->region / GROUP, first = g->no / per * per;
	struct cache_work *work = cache->works;
	bool alone = true;	/* is nothing of the region on its way? */

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
	work->filled = false;
	work->off = first * GROUP;
	work->len = vol->region;	/* a grow may change it meanwhile */
	for (uint64_t no = first; no < first + per; no++) {
		g = cgroup_find(vol, no);
		if (g != NULL && g->flushing)
			alone = false;
		else if (g != NULL && g->listed)
			add_group(work, g);
	}
	assert(work->npages > 0);
	op_start(&work->op, &work_type, loop_sched(cache->loop), NULL);
	work->op.step = CW_SEND;
	plan(work, alone);
	return true;
}

bool
cache_range_filled(const struct cache_vol *vol, uint64_t off, uint64_t len)
{
	for (unsigned i = 0; i < CACHE_WORKS; i++) {
		const struct cache_work *work = &vol->cache->works[i];

		if (work->vol == vol && work->filled &&
		    off < work->off + work->len && work->off < off + len)
			return true;
	}
	return false;
}
