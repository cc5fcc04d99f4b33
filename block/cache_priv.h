/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the cache share.
 *
 * Memory is cut into pages of 4 KiB.  Sixteen neighbours on the device form a
 * group, the unit of look-up.  Each 512 bytes of a page are valid or not,
 * dirty or not.
 *
 * Invariants:
 *  - Dirty sectors are valid.  Valid ones that are not dirty are what the
 *    device holds, or a write in flight there will change them.
 *  - A page that is pinned is being read by the device or a socket: it is
 *    never changed.  A write to it puts a copy in its place.
 *  - No dirty sector lies under a change in flight to the device; a group is
 *    written back by one work at a time.  So the device sees the writes to a
 *    sector in their order.
 *  - A page is free, or gone (given back to the system), or on one of the two
 *    queues of replacement, or on none because it is dirty, being written
 *    back, or an orphan: pinned, and no longer in its group.
 */
#ifndef BLOCK_CACHE_PRIV_H
#define BLOCK_CACHE_PRIV_H

#include "block/cache.h"
#include "core/buf.h"

#define SECTOR		((uint64_t)512)
#define PAGE		((uint64_t)4096)
#define PAGE_SECTORS	8u
#define GROUP_PAGES	16u
#define GROUP		(GROUP_PAGES * PAGE)
#define SLAB_PAGES	512u	/* given back to the system together */
#define FREQ_MAX	3u

#define CACHE_REQS	512u	/* requests in work; more wait */
#define CACHE_WORKS	16u	/* regions written back at a time */
#define REGION_MAX	(MIB)
#define REGION_GROUPS	((unsigned)(REGION_MAX / GROUP))
#define WORK_IOS	8u	/* in flight for one region */
/*
 * Pages that may be dirty, however large the memory: disks have to take them
 * while a stop, or the flush of an initiator with a time limit, waits.
 */
#define DIRTY_MAX	((uint32_t)(GIB / PAGE))
#define CACHE_LOOKS	64u	/* requests looked up together */
#define FILL_RUNS	8u	/* dirty places that make it worth filling */
#define CACHE_STREAMS	8u	/* readers told apart, for each device */
#define CACHE_AHEADS	16u	/* pieces read ahead at a time */
#define AHEAD_PIECE	(256 * KIB)
#define FILL_MAX	(256 * KIB)	/* longer reads are not kept */

enum cpage_queue { Q_FREE, Q_GONE, Q_SMALL, Q_MAIN, Q_NONE };

struct cgroup;

struct cpage {
	TAILQ_ENTRY(cpage) link;
	struct cgroup *group;	/* NULL: free, gone or orphan */
	uint16_t pins;
	uint8_t valid, dirty;	/* bit per sector */
	uint8_t slot;		/* in its group */
	uint8_t freq;		/* hits, up to FREQ_MAX */
	uint8_t queue;		/* enum cpage_queue */
	bool flushing;		/* its dirty sectors are on the way */
	bool ahead;		/* read ahead and not used yet */
};
TAILQ_HEAD(cpage_list, cpage);

struct cache_vol;

struct cgroup {				/* two cache lines */
	struct cgroup *next;		/* same bucket, or free */
	struct cache_vol *vol;
	uint64_t no;			/* offset / GROUP */
	uint64_t gen;			/* of the vol when it became dirty */
	TAILQ_ENTRY(cgroup) link;	/* vol->dirty, while listed */
	uint16_t used, dirty;		/* bit per page */
	bool listed, flushing;
	_Alignas(64) uint32_t page[GROUP_PAGES];	/* index + 1, 0: none */
};
_Static_assert(sizeof(struct cgroup) == 128, "two cache lines");
TAILQ_HEAD(cgroup_list, cgroup);

/* --- requests that take more than a look (cache_req.c) --- */

struct cache_req {
	struct op op;
	struct cache_vol *vol;
	struct io *orig;		/* NULL: the flush by the clock */
	struct io io;			/* below */
	uint64_t off, len;		/* orig's own */
	uint64_t done, run;		/* bytes: finished, in flight */
	uint64_t gen;			/* flush: what it covers */
	uint64_t errors;		/* vol->errors at the start */
	bool fill, spoilt;		/* read: to be kept; changed since */
	bool ahead;			/* read: not asked for yet */
	TAILQ_ENTRY(cache_req) link;	/* vol->changes or vol->fills */
	STAILQ_ENTRY(cache_req) free;
	struct iovec iov[BUF_IOV_MAX + 1];
};
TAILQ_HEAD(cache_req_list, cache_req);
STAILQ_HEAD(cache_req_free, cache_req);

/* --- writing back (cache_flush.c) --- */

struct cache_work {			/* one region */
	struct op op;
	struct cache_vol *vol;		/* NULL: free */
	uint64_t gen;			/* the oldest in it */
	unsigned ngroups;
	struct cgroup *group[REGION_GROUPS];
	unsigned npages;
	struct cpage *page[REGION_GROUPS * GROUP_PAGES];
	uint64_t page_no[REGION_GROUPS * GROUP_PAGES];
	uint8_t mask[REGION_GROUPS * GROUP_PAGES];	/* sectors to write */
	uint64_t off, len;		/* of the region, as it was */
	uint8_t *whole;			/* REGION_MAX bytes, once needed */
	bool filled;			/* all of the region is written */
	unsigned next, bit;		/* page and sector to send next */
	unsigned nios, niov;
	struct io io[WORK_IOS];
	struct iovec iov[REGION_GROUPS * GROUP_PAGES + WORK_IOS];
	int result;
};

/* --- reading ahead (cache_ahead.c) --- */

struct cache_stream {
	uint64_t run;			/* bytes read in a row */
	uint64_t ahead;			/* asked for up to here */
};

struct cache_ahead {			/* one piece */
	struct op op;
	struct cache_vol *vol;		/* NULL: free */
	uint64_t off, len, start_ns;
	uint8_t *buf;			/* AHEAD_PIECE bytes, once needed */
	struct io io;
	struct iovec iov;
	struct io_queue waiting;	/* reads that need it */
};

struct cache_vol {
	struct blk blk;
	struct cache *cache;
	struct blk *lower;
	uint32_t id;
	uint64_t region;		/* bytes written back together */
	bool write_back;
	bool failing;			/* the last write-back failed */
	bool closing;			/* nothing is started by the clock */
	int error;			/* why */
	uint64_t errors;		/* how often */
	TAILQ_ENTRY(cache_vol) link;
	struct cache_req_list changes;	/* in flight below, in order */
	struct cache_req_list fills;	/* reads that want to be kept */
	struct op_queue change_wait;	/* for an earlier change */
	/* reading ahead */
	uint64_t stream_next[CACHE_STREAMS];	/* where each goes on */
	struct cache_stream stream[CACHE_STREAMS];
	unsigned stream_turn;		/* the next to be replaced */
	unsigned aheads;		/* pieces under way */
	uint64_t ahead_pause_ns;	/* not before this */
	/* writing back */
	struct cgroup_list dirty;	/* oldest first */
	uint64_t gen;			/* of what becomes dirty now */
	uint64_t goal;			/* write back all up to this */
	bool unflushed;			/* the device may hold it in memory */
	struct timer timer;
	struct cache_req by_clock;
	bool by_clock_busy;
	struct op_queue close_wait;
	struct cache_stats stats;
};

struct cache {
	struct loop *loop;
	void *map;			/* holds the arena, aligned */
	uint8_t *arena;
	uint32_t npages, limit;		/* pages: all, may be used */
	uint32_t touched;		/* pages ever used: [0, touched) */
	uint32_t used, dirty;		/* pages; dirty: not reusable yet */
	struct cpage *page;
	uint16_t *slab_live;		/* pages of it that are not gone */
	struct cpage_list free, small, main;
	uint32_t nsmall, nmain;

	struct cgroup *groups, *group_free;
	uint32_t groups_touched;
	struct cgroup **bucket;
	uint64_t hash_mask;
	uint32_t *ghost;		/* seen lately: a part of the hash */

	struct cache_req *reqs;
	struct cache_req_free req_free;
	struct io_queue req_wait;
	struct op look_op;		/* while there are some of: */
	struct io *look[CACHE_LOOKS];
	unsigned nlooks;
	struct cache_ahead *aheads;
	struct cache_work *works;
	unsigned works_busy;
	struct op_queue work_wait;	/* for the end of any work */
	TAILQ_HEAD(, cache_vol) vols;
	uint32_t last_id;
	struct cache_stats stats;
};

static inline struct cache_vol *
cache_vol_of(const struct blk *blk)
{
	return container_of(blk, struct cache_vol, blk);
}

static inline uint8_t *
cpage_data(const struct cache *cache, const struct cpage *page)
{
	return cache->arena + (size_t)(page - cache->page) * PAGE;
}

static inline struct cpage *
cgroup_page(const struct cache *cache, const struct cgroup *group,
    unsigned slot)
{
	uint32_t i = group->page[slot];

	return i != 0 ? &cache->page[i - 1] : NULL;
}

/* --- a request, page by page --- */

struct piece {
	uint64_t page_no;	/* offset / PAGE */
	unsigned slot;
	uint8_t mask;		/* sectors of the page */
	uint64_t off, len;	/* bytes, of the device */
};

/* The piece at `off` of what is left up to `end`. */
static inline struct piece
piece_at(uint64_t off, uint64_t end)
{
	struct piece p = { .page_no = off / PAGE, .off = off };
	uint64_t page_end = (p.page_no + 1) * PAGE;
	unsigned lo = (unsigned)(off % PAGE / SECTOR), n;

	p.len = MIN(page_end, end) - off;
	n = (unsigned)(p.len / SECTOR);
	p.slot = (unsigned)(p.page_no % GROUP_PAGES);
	p.mask = (uint8_t)(((1u << n) - 1) << lo);
	return p;
}

/* A look-up that remembers the last group. */
struct finder {
	struct cache_vol *vol;
	uint64_t no;
	struct cgroup *group;
	bool known;
};

/* --- cache_map.c: memory only --- */

int cache_map_init(struct cache *cache, uint64_t bytes);
void cache_map_fini(struct cache *cache);
void cache_map_set_limit(struct cache *cache, uint32_t pages);
struct cgroup *cgroup_find(const struct cache_vol *vol, uint64_t no);
/* Where the search begins. */
struct cgroup **cgroup_bucket(const struct cache_vol *vol, uint64_t no);
struct cpage *finder_page(struct finder *finder, const struct piece *piece);
/* A page in that place, nothing valid; NULL if none can be had. */
struct cpage *cpage_add(struct cache_vol *vol, uint64_t page_no);
/* Is it worth to keep?  Remembers that it was asked. */
bool cpage_admit(struct cache_vol *vol, uint64_t page_no);
/* Out of the cache; not dirty. */
void cpage_drop(struct cache *cache, struct cpage *page);
/*
 * The page to write to: itself or, if it is pinned, a copy in its place (of
 * all but the sectors in `mask`, if those are all).  NULL without a page.
 */
struct cpage *cpage_own(struct cache_vol *vol, struct cpage *page,
    uint8_t mask);
void cpage_pin(struct cpage *page);
void cpage_unpin(struct cache *cache, struct cpage *page);
/* From here on it is not replaced. */
void cpage_set_dirty(struct cache *cache, struct cpage *page, uint8_t mask);
void cpage_set_clean(struct cache *cache, struct cpage *page);
/* Nothing in the range is valid any more; none of it is dirty. */
void cache_map_invalidate(struct cache_vol *vol, uint64_t off, uint64_t len);
/* Pages in the range of which nothing is valid go. */
void cache_map_tidy(struct cache_vol *vol, uint64_t off, uint64_t len);
/* Forget all pages of vol, dirty ones too; returns the dirty bytes. */
uint64_t cache_map_forget(struct cache_vol *vol);
/* Pages that may be dirty at most, and from where on works are started. */
uint32_t cache_dirty_max(const struct cache *cache);
uint32_t cache_dirty_many(const struct cache *cache);
void cache_map_check(const struct cache *cache);

static inline void
cpage_hit(struct cpage *page)
{
	if (page->ahead)
		page->ahead = false;
	else if (page->freq < FREQ_MAX)
		page->freq++;
}

/* --- cache_req.c --- */

void cache_submit(struct blk *blk, struct io *io);
/* Answer a read or write from memory, or start what it takes. */
void cache_begin(struct cache_vol *vol, struct io *io);
/* Read it, and keep it whatever else is in memory. */
void cache_fetch(struct cache_vol *vol, struct io *io, struct op *waiter);
/* Is all of the range in memory? */
bool cache_range_valid(struct cache_vol *vol, uint64_t off, uint64_t len);
void cache_req_put(struct cache *cache, struct cache_req *req);

/* Does a change that came before `until` (NULL: any) touch the range? */
bool cache_change_ahead(const struct cache_vol *vol,
    const struct cache_req *until, uint64_t off, uint64_t len);

/* --- cache_look.c --- */

/* cache_begin() later in this turn, with the others of the turn. */
void cache_look(struct cache_vol *vol, struct io *io);

/* --- cache_ahead.c --- */

/* A read; its stream, NULL if a hit belongs to none. */
struct cache_stream *cache_stream_note(struct cache_vol *vol, uint64_t off,
    uint64_t len, bool hit);
/* Read ahead what the stream, now at `next`, will want. */
void cache_stream_go(struct cache_vol *vol, struct cache_stream *stream,
    uint64_t next);
/* If part of it is being read ahead, submit it again then. */
bool cache_ahead_wait(struct cache_vol *vol, struct io *io);

/* --- cache_work.c --- */

/* Write back the region of a listed group; false if no work is free. */
bool cache_work_start(struct cgroup *g);
/* Is a work under way that rewrites all of a region there? */
bool cache_range_filled(const struct cache_vol *vol, uint64_t off,
    uint64_t len);

/* --- cache_flush.c --- */

/* g is dirty: put it on vol->dirty. */
void cache_list(struct cgroup *g);

/* A page of this group has become dirty. */
void cache_note_dirty(struct cgroup *group);
/* The device has data that it may not have on stable media. */
void cache_note_unflushed(struct cache_vol *vol);
/* Do not wait for the clock to write back. */
void cache_flush_now(struct cache_vol *vol);
/* Is a sector of the range dirty, or on its way, or about to be rewritten? */
bool cache_range_dirty(struct cache_vol *vol, uint64_t off, uint64_t len);
/* Start to write back what is dirty there, as far as works are free. */
void cache_flush_range(struct cache_vol *vol, uint64_t off, uint64_t len);
/* Start what has to be written back, as far as works are free. */
void cache_kick(struct cache *cache);
/* Carry out req->orig, a flush, or the flush by the clock. */
void cache_flush_start(struct cache_req *req);

#endif
