/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in memory: groups and pages, and which page goes when room is
 * needed.  Memory only, no requests.
 *
 * Replacement is S3-FIFO (Yang and others, SOSP 2023): a new page enters the
 * small queue; if it was used when it comes to the front it moves to the main
 * queue, else it goes.  The main queue is a clock of up to FREQ_MAX rounds.
 * So a scan passes through a tenth of the memory and leaves the rest alone,
 * and a hit costs one increment.  When memory is full a page that was read
 * once is not even copied: the ghost table remembers that it was seen, and
 * the second read within its reach brings the page in, to the main queue.
 *
 * The arena is used from its start, so that what was never needed costs
 * nothing; a lower limit takes away its end.
 */
#include "block/cache_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLAB (SLAB_PAGES * PAGE)
#define LOOKS_MAX 1024u		/* at pages that should not go */

/* --- memory --- */

/* Not touched until used, with few TLB misses. */
static void *
area_new(size_t len)
{
	void *area = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	(void)madvise(area, len, MADV_HUGEPAGE);
	return area;
}

static void
area_free(void *area, size_t len)
{
	if (area != NULL)
		munmap(area, len);
}

/* Slabs are aligned, so that each can be one huge page. */
static size_t
map_bytes(const struct cache *cache)
{
	return cache->npages * PAGE + SLAB;
}

int
cache_map_init(struct cache *cache, uint64_t bytes)
{
	uint64_t buckets = 64, slack;

	cache->npages = (uint32_t)(MIN(bytes, TIB) / PAGE);
	cache->npages -= cache->npages % SLAB_PAGES;
	assert(cache->npages > 0);
	cache->limit = cache->npages;
	while (buckets < cache->npages)
		buckets *= 2;
	cache->hash_mask = buckets - 1;
	TAILQ_INIT(&cache->free);
	TAILQ_INIT(&cache->small);
	TAILQ_INIT(&cache->main);
	cache->map = area_new(map_bytes(cache));
	if (cache->map == NULL)
		return -1;
	slack = (uintptr_t)cache->map % SLAB;
	cache->arena = (uint8_t *)cache->map + (slack ? SLAB - slack : 0);
	cache->page = area_new(cache->npages * sizeof(*cache->page));
	cache->groups = area_new(cache->npages * sizeof(*cache->groups));
	cache->bucket = calloc(buckets, sizeof(struct cgroup *));
	cache->ghost = calloc(buckets, sizeof(*cache->ghost));
	cache->slab_live = calloc(cache->npages / SLAB_PAGES,
	    sizeof(*cache->slab_live));
	return cache->page != NULL && cache->groups != NULL &&
	    cache->bucket != NULL && cache->ghost != NULL &&
	    cache->slab_live != NULL ? 0 : -1;
}

void
cache_map_fini(struct cache *cache)
{
	area_free(cache->map, map_bytes(cache));
	area_free(cache->page, cache->npages * sizeof(*cache->page));
	area_free(cache->groups, cache->npages * sizeof(*cache->groups));
	free(cache->bucket);
	free(cache->ghost);
	free(cache->slab_live);
}

static uint32_t
index_of(const struct cache *cache, const struct cpage *page)
{
	assert(page >= cache->page && page < cache->page + cache->npages);
	return (uint32_t)(page - cache->page);
}

/* No longer counted; the last of its slab takes the memory with it. */
static void
give_back(struct cache *cache, struct cpage *page)
{
	uint32_t slab = index_of(cache, page) / SLAB_PAGES;

	page->queue = Q_GONE;
	assert(cache->slab_live[slab] > 0);
	if (--cache->slab_live[slab] == 0)
		(void)madvise(cache->arena + slab * SLAB, SLAB,
		    MADV_DONTNEED);
}

/* Not used any more. */
static void
put_free(struct cache *cache, struct cpage *page)
{
	assert(page->group == NULL && page->pins == 0 && page->dirty == 0);
	assert(page->queue == Q_NONE && cache->used > 0);
	cache->used--;
	if (index_of(cache, page) >= cache->limit) {
		give_back(cache, page);
		return;
	}
	page->queue = Q_FREE;
	TAILQ_INSERT_HEAD(&cache->free, page, link);
}

static void
leave_queue(struct cache *cache, struct cpage *page)
{
	switch ((enum cpage_queue)page->queue) {
	case Q_SMALL:
		TAILQ_REMOVE(&cache->small, page, link);
		cache->nsmall--;
		break;
	case Q_MAIN:
		TAILQ_REMOVE(&cache->main, page, link);
		cache->nmain--;
		break;
	case Q_FREE:
		TAILQ_REMOVE(&cache->free, page, link);
		break;
	case Q_GONE:
	case Q_NONE:
		break;
	}
	page->queue = Q_NONE;
}

static void
enter_queue(struct cache *cache, struct cpage *page, enum cpage_queue queue)
{
	assert(page->queue == Q_NONE && page->dirty == 0);
	page->queue = (uint8_t)queue;
	if (queue == Q_SMALL) {
		TAILQ_INSERT_TAIL(&cache->small, page, link);
		cache->nsmall++;
	} else {
		assert(queue == Q_MAIN);
		TAILQ_INSERT_TAIL(&cache->main, page, link);
		cache->nmain++;
	}
}

void
cache_map_set_limit(struct cache *cache, uint32_t pages)
{
	uint32_t old = cache->limit;

	pages = MIN(pages - pages % SLAB_PAGES, cache->npages);
	cache->limit = MAX(pages, SLAB_PAGES);
	for (uint32_t i = cache->limit; i < MIN(old, cache->touched); i++) {
		struct cpage *page = &cache->page[i];

		if (page->queue == Q_FREE) {
			leave_queue(cache, page);
			give_back(cache, page);
		} else if (page->group != NULL && page->dirty == 0 &&
		    page->pins == 0) {
			cpage_drop(cache, page);
		}
	}
	for (uint32_t i = old; i < MIN(cache->limit, cache->touched); i++) {
		struct cpage *page = &cache->page[i];

		if (page->queue != Q_GONE)
			continue;
		cache->slab_live[i / SLAB_PAGES]++;
		page->queue = Q_FREE;
		TAILQ_INSERT_TAIL(&cache->free, page, link);
	}
}

/* --- look-up --- */

static uint64_t
hash(const struct cache_vol *vol, uint64_t no)
{
	uint64_t z = no * 0x9e3779b97f4a7c15u + vol->id;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct cgroup **
cgroup_bucket(const struct cache_vol *vol, uint64_t no)
{
	return &vol->cache->bucket[hash(vol, no) & vol->cache->hash_mask];
}

struct cgroup *
cgroup_find(const struct cache_vol *vol, uint64_t no)
{
	struct cgroup *g = *cgroup_bucket(vol, no);

	while (g != NULL && (g->no != no || g->vol != vol))
		g = g->next;
	return g;
}

struct cpage *
finder_page(struct finder *finder, const struct piece *piece)
{
	uint64_t no = piece->page_no / GROUP_PAGES;

	if (!finder->known || finder->no != no) {
		finder->group = cgroup_find(finder->vol, no);
		finder->no = no;
		finder->known = true;
	}
	return finder->group == NULL ? NULL :
	    cgroup_page(finder->vol->cache, finder->group, piece->slot);
}

/* There are as many groups as pages, and the caller has a page for it. */
static struct cgroup *
group_new(struct cache_vol *vol, uint64_t no)
{
	struct cache *cache = vol->cache;
	struct cgroup **head = &cache->bucket[hash(vol, no) &
	    cache->hash_mask];
	struct cgroup *g = cache->group_free;

	if (g != NULL) {
		cache->group_free = g->next;
	} else {
		assert(cache->groups_touched < cache->npages);
		g = &cache->groups[cache->groups_touched++];
	}
	memset(g, 0, sizeof(*g));
	g->vol = vol;
	g->no = no;
	g->next = *head;
	*head = g;
	return g;
}

static void
group_free(struct cache *cache, struct cgroup *g)
{
	struct cgroup **at = &cache->bucket[hash(g->vol, g->no) &
	    cache->hash_mask];

	assert(g->used == 0 && g->dirty == 0 && !g->listed && !g->flushing);
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	g->vol = NULL;
	g->next = cache->group_free;
	cache->group_free = g;
}

/* --- which page goes --- */

static bool
ghost_take(struct cache_vol *vol, uint64_t page_no, bool leave)
{
	struct cache *cache = vol->cache;
	uint64_t h = hash(vol, ~page_no);
	uint32_t *at = &cache->ghost[h & cache->hash_mask];
	uint32_t mark = (uint32_t)(h >> 32) | 1;
	bool seen = *at == mark;

	if (leave)
		*at = mark;
	else if (seen)
		*at = 0;
	return seen;
}

void
cpage_drop(struct cache *cache, struct cpage *page)
{
	struct cgroup *g = page->group;

	assert(g != NULL && page->dirty == 0 && !page->flushing);
	assert(cgroup_page(cache, g, page->slot) == page);
	leave_queue(cache, page);
	g->page[page->slot] = 0;
	g->used &= (uint16_t)~(1u << page->slot);
	page->group = NULL;
	if (g->used == 0)
		group_free(cache, g);
	if (page->pins == 0)
		put_free(cache, page);
}

/* Make one page free, if one may go. */
static bool
evict(struct cache *cache)
{
	for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
		bool small = cache->nsmall > 0 && (cache->nmain == 0 ||
		    cache->nsmall >= (cache->nsmall + cache->nmain) / 10);
		struct cpage *page = small ? TAILQ_FIRST(&cache->small) :
		    TAILQ_FIRST(&cache->main);

		if (page == NULL)
			return false;
		if (page->pins > 0 ||
		    (page->freq > 0 && looks < LOOKS_MAX / 2)) {
			leave_queue(cache, page);
			if (page->freq > 0)
				page->freq = small ? 0 : page->freq - 1;
			enter_queue(cache, page, Q_MAIN);
			continue;
		}
		if (small)
			ghost_take(page->group->vol, page->group->no *
			    GROUP_PAGES + page->slot, true);
		page->group->vol->stats.evictions++;
		cpage_drop(cache, page);
		return true;
	}
	return false;
}

static bool
room_left(const struct cache *cache)
{
	return !TAILQ_EMPTY(&cache->free) || cache->touched < cache->limit;
}

static struct cpage *
take(struct cache *cache)
{
	struct cpage *page = TAILQ_FIRST(&cache->free);

	if (page == NULL && cache->touched < cache->limit) {
		page = &cache->page[cache->touched];
		*page = (struct cpage){ .queue = Q_NONE };
		cache->slab_live[cache->touched++ / SLAB_PAGES]++;
	}
	/* Evicted pages beyond the limit are given back: try once more. */
	for (unsigned i = 0; page == NULL && i < LOOKS_MAX; i++) {
		if (!evict(cache))
			return NULL;
		page = TAILQ_FIRST(&cache->free);
	}
	if (page == NULL)
		return NULL;
	leave_queue(cache, page);
	cache->used++;
	assert(page->group == NULL && page->pins == 0 && page->dirty == 0);
	page->valid = page->freq = 0;
	page->flushing = page->ahead = false;
	return page;
}

static void
install(struct cache *cache, struct cgroup *g, unsigned slot,
    struct cpage *page)
{
	page->group = g;
	page->slot = (uint8_t)slot;
	g->page[slot] = index_of(cache, page) + 1;
	g->used |= (uint16_t)(1u << slot);
}

struct cpage *
cpage_add(struct cache_vol *vol, uint64_t page_no)
{
	struct cache *cache = vol->cache;
	struct cpage *page = take(cache);	/* may free groups */
	uint64_t no = page_no / GROUP_PAGES;
	unsigned slot = (unsigned)(page_no % GROUP_PAGES);
	struct cgroup *g;

	if (page == NULL)
		return NULL;
	g = cgroup_find(vol, no);
	if (g == NULL)
		g = group_new(vol, no);
	assert(g->page[slot] == 0);
	install(cache, g, slot, page);
	enter_queue(cache, page, ghost_take(vol, page_no, false) ? Q_MAIN :
	    Q_SMALL);
	return page;
}

bool
cpage_admit(struct cache_vol *vol, uint64_t page_no)
{
	if (room_left(vol->cache))
		return true;
	return ghost_take(vol, page_no, true);
}

struct cpage *
cpage_own(struct cache_vol *vol, struct cpage *page, uint8_t mask)
{
	struct cache *cache = vol->cache;
	struct cgroup *g = page->group;
	struct cpage *copy;

	assert(g != NULL && g->vol == vol);
	if (page->pins == 0)
		return page;
	copy = take(cache);
	if (copy == NULL)
		return NULL;
	if (mask != (1u << PAGE_SECTORS) - 1)
		memcpy(cpage_data(cache, copy), cpage_data(cache, page),
		    PAGE);
	copy->valid = page->valid;
	copy->dirty = page->dirty;
	copy->freq = page->freq;
	leave_queue(cache, page);
	page->group = NULL;
	page->dirty = 0;
	install(cache, g, page->slot, copy);
	if (copy->dirty == 0)
		enter_queue(cache, copy, Q_SMALL);
	return copy;
}

void
cpage_pin(struct cpage *page)
{
	assert(page->pins < UINT16_MAX);
	page->pins++;
}

void
cpage_unpin(struct cache *cache, struct cpage *page)
{
	assert(page->pins > 0);
	page->pins--;
	if (page->pins == 0 && page->group == NULL)
		put_free(cache, page);
	else if (page->pins == 0 && page->dirty == 0 &&
	    index_of(cache, page) >= cache->limit)
		cpage_drop(cache, page);
}

/* --- dirty --- */

uint32_t
cache_dirty_max(const struct cache *cache)
{
	return MIN(cache->limit / 4 * 3, DIRTY_MAX);
}

uint32_t
cache_dirty_many(const struct cache *cache)
{
	return MIN(cache->limit / 2, DIRTY_MAX / 4 * 3);
}

void
cpage_set_dirty(struct cache *cache, struct cpage *page, uint8_t mask)
{
	struct cgroup *g = page->group;

	assert(g != NULL && page->pins == 0 && mask != 0);
	page->valid |= mask;
	if (page->dirty == 0) {
		leave_queue(cache, page);
		cache->dirty++;
		g->vol->stats.dirty += PAGE;
	}
	page->dirty |= mask;
	g->dirty |= (uint16_t)(1u << page->slot);
}

void
cpage_set_clean(struct cache *cache, struct cpage *page)
{
	struct cgroup *g = page->group;

	assert(g != NULL && page->dirty != 0 && cache->dirty > 0);
	page->dirty = 0;
	g->dirty &= (uint16_t)~(1u << page->slot);
	cache->dirty--;
	g->vol->stats.dirty -= PAGE;
	enter_queue(cache, page, page->freq > 0 ? Q_MAIN : Q_SMALL);
}

/* --- ranges --- */

typedef void page_fn(struct cache *cache, struct cpage *page, uint8_t mask);

/* Call fn for each page in the range; it may drop the page. */
static void
each_page(struct cache_vol *vol, uint64_t off, uint64_t len, page_fn *fn)
{
	struct cache *cache = vol->cache;
	uint64_t end = off + len;

	if (len / PAGE > cache->touched) {	/* a whole volume, perhaps */
		for (uint32_t i = 0; i < cache->touched; i++) {
			struct cpage *page = &cache->page[i];
			uint64_t at;

			if (page->group == NULL || page->group->vol != vol)
				continue;
			at = page->group->no * GROUP + page->slot * PAGE;
			if (at < end && at + PAGE > off)
				fn(cache, page, piece_at(MAX(at, off),
				    end).mask);
		}
		return;
	}
	while (off < end) {
		struct piece p = piece_at(off, end);
		struct cgroup *g = cgroup_find(vol, p.page_no / GROUP_PAGES);
		struct cpage *page;

		if (g == NULL) {
			off = MIN(end, (off / GROUP + 1) * GROUP);
			continue;
		}
		page = cgroup_page(cache, g, p.slot);
		if (page != NULL)
			fn(cache, page, p.mask);
		off += p.len;
	}
}

static void
invalidate(struct cache *cache, struct cpage *page, uint8_t mask)
{
	(void)cache;
	assert((page->dirty & mask) == 0);
	page->valid &= (uint8_t)~mask;
}

static void
tidy(struct cache *cache, struct cpage *page, uint8_t mask)
{
	(void)mask;
	if (page->valid == 0)
		cpage_drop(cache, page);
}

void
cache_map_invalidate(struct cache_vol *vol, uint64_t off, uint64_t len)
{
	each_page(vol, off, len, invalidate);
}

void
cache_map_tidy(struct cache_vol *vol, uint64_t off, uint64_t len)
{
	each_page(vol, off, len, tidy);
}

uint64_t
cache_map_forget(struct cache_vol *vol)
{
	struct cache *cache = vol->cache;
	uint64_t lost = vol->stats.dirty;
	struct cgroup *g;

	while ((g = TAILQ_FIRST(&vol->dirty)) != NULL) {
		TAILQ_REMOVE(&vol->dirty, g, link);
		g->listed = false;
		for (unsigned s = 0; s < GROUP_PAGES; s++) {
			struct cpage *page = cgroup_page(cache, g, s);

			if (page != NULL && page->dirty != 0)
				cpage_set_clean(cache, page);
		}
	}
	for (uint32_t i = 0; i < cache->touched; i++) {
		struct cpage *page = &cache->page[i];

		if (page->group != NULL && page->group->vol == vol)
			cpage_drop(cache, page);
	}
	assert(vol->stats.dirty == 0);
	return lost;
}

/* For tests: everything that must hold between two requests. */
void
cache_map_check(const struct cache *cache)
{
	uint32_t used = 0, dirty = 0, small = 0, main = 0;

	for (uint32_t i = 0; i < cache->touched; i++) {
		const struct cpage *p = &cache->page[i];

		used += p->queue != Q_FREE && p->queue != Q_GONE;
		dirty += p->dirty != 0;
		small += p->queue == Q_SMALL;
		main += p->queue == Q_MAIN;
		assert((p->dirty & ~p->valid) == 0 || p->group == NULL);
		assert(p->dirty == 0 || p->queue == Q_NONE);
		assert(p->group == NULL ||
		    cgroup_page(cache, p->group, p->slot) == p);
		assert(p->group != NULL || p->pins > 0 ||
		    p->queue == Q_FREE || p->queue == Q_GONE);
		assert(p->queue != Q_GONE || i >= cache->limit);
		assert(p->queue != Q_FREE || i < cache->limit);
	}
	assert(used == cache->used && dirty == cache->dirty);
	assert(small == cache->nsmall && main == cache->nmain);
}
