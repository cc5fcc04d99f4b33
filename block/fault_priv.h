/* SPDX-License-Identifier: BSD-2-Clause */
/* What block/fault.c (rules) and block/fault_cache.c (cache) share. */
#ifndef BLOCK_FAULT_PRIV_H
#define BLOCK_FAULT_PRIV_H

#include "block/blk.h"

#define FAULT_RULES_MAX 32u
#define CACHE_PAGE ((uint64_t)4096)
#define CACHE_BUCKETS 1024u

struct cache_page {
	TAILQ_ENTRY(cache_page) order;	/* by first write since empty */
	LIST_ENTRY(cache_page) bucket;
	uint64_t off;
	uint8_t dirty;			/* one bit per 512 bytes */
	uint8_t data[CACHE_PAGE];
};

/*
 * Writes live in pages until the one exclusive job (flush, FUA write, zero,
 * discard, or writing out what survived a power cut) has moved them down.
 */
struct fault_cache {
	bool on;
	bool powered;
	unsigned epoch;			/* power cuts so far */
	TAILQ_HEAD(, cache_page) pages;
	LIST_HEAD(, cache_page) bucket[CACHE_BUCKETS];
	unsigned readers;		/* reads that will be overlaid */
	struct io_queue parked;		/* behind the exclusive job */
	struct {
		struct op op;
		bool active, salvage;	/* salvage: after a power cut */
		bool salvage_next;
		unsigned epoch;
		struct io *orig;	/* NULL for salvage */
		struct io io;
		struct iovec iov;
		struct cache_page *page;
		uint8_t mask;		/* of page: being written */
		int result;
	} job;
};

struct blk_fault {
	struct blk blk;
	struct blk *lower;
	bool closing;
	unsigned nrules;
	struct {
		struct fault_rule rule;
		unsigned seen, acted;
	} rule[FAULT_RULES_MAX];
	struct io_queue stalled;
	struct io_queue delayed;	/* by due time, in io->start_ns */
	struct timer timer;		/* of the first delayed request */
	struct fault_cache cache;
};

/* Cache stage of one request; takes the cache's state into account. */
void fault_cache_submit(struct blk_fault *fault, struct io *io);
void fault_cache_init(struct blk_fault *fault);
void fault_cache_fini(struct blk_fault *fault);
/* Free everything, when no job is active. */
void fault_free(struct blk_fault *fault);

#endif
