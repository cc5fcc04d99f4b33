/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cache in memory, shared by any number of devices.
 *
 * struct cache owns the memory and decides what stays in it.  A device gets
 * at it through a struct blk of its own, made by cache_blk_new(), which lies
 * over the device and does everything the device does.
 *
 * What a completed write means is unchanged, unless the blk writes back: then
 * a write without FUA is complete when it is in memory.  It reaches the
 * device at a flush, and within CACHE_FLUSH_MS at the latest.  A write-back
 * that fails is reported by the flush that asked for it; the data stays, is
 * tried again, and until that works new writes are complete only when the
 * device has them.
 */
#ifndef BLOCK_CACHE_H
#define BLOCK_CACHE_H

#include "block/blk.h"

#define CACHE_FLUSH_MS 5000u
#define CACHE_BYTES_MIN (4 * MIB)

struct cache;

/* At most `bytes` (at least CACHE_BYTES_MIN) of data; NULL without memory. */
struct cache *cache_new(struct loop *loop, uint64_t bytes);
/* No blk is left. */
void cache_free(struct cache *cache);
/*
 * Use no more than `bytes` from now on, and give the rest back to the system:
 * at once what is clean, the rest when it has been written.
 */
void cache_set_limit(struct cache *cache, uint64_t bytes);

struct cache_stats {
	uint64_t hits, misses;		/* reads: all in memory or not */
	uint64_t evictions;		/* pages */
	uint64_t used, dirty, limit, max;	/* bytes */
	uint64_t written_back;		/* bytes */
	uint64_t write_errors;		/* failed attempts to write back */
	uint64_t read_ahead;		/* bytes */
	bool failing;			/* the last write-back did */
};
void cache_get_stats(const struct cache *cache, struct cache_stats *stats);

/* --- one device --- */

/* `lower` stays the caller's.  NULL without memory. */
struct blk *cache_blk_new(struct cache *cache, struct blk *lower,
    bool write_back);
/* The same for this device; used, limit and max are the whole cache's. */
void cache_blk_get_stats(const struct blk *blk, struct cache_stats *stats);
/* If not, what is dirty begins to be written and flushed at once. */
void cache_blk_set_write_back(struct blk *blk, bool write_back);
/* The device's geometry has changed: it has grown. */
void cache_blk_refresh(struct blk *blk);

/*
 * Write what is dirty, flush, and free the blk, which has no request in
 * flight.  If something cannot be written it is lost: lost_bytes.
 */
struct cache_close {
	struct op op;
	/* in */
	struct blk *blk;
	/* out */
	int result;
	uint64_t lost_bytes;
	/* private */
	struct io io;
};
void cache_close_start(struct cache_close *close, struct op *parent);

#endif
