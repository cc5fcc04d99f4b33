/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data buffers from one bounded arena, allocated at start.
 *
 * A buffer is a list of aligned pieces: one 4 KiB piece for up to 4 KiB, else
 * as many 64 KiB pieces as it takes.  An empty pool never fails an I/O: the
 * op waits its turn (first come, first served).
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "core/op.h"

#define BUF_SMALL	((size_t)4096)
#define BUF_LARGE	((size_t)65536)
#define BUF_IOV_MAX	64u
#define BUF_LEN_MAX	(BUF_IOV_MAX * BUF_LARGE)	/* 4 MiB */

struct buf_pool;

struct buf {
	struct buf_pool *pool;	/* NULL = holds nothing */
	size_t len;		/* bytes usable */
	unsigned niov;
	bool exile;		/* see buf_exile */
	bool replaced;		/* something took its place in the pool */
	struct iovec iov[BUF_IOV_MAX];
	/* Private: while the pool is short. */
	struct op *waiter;
	STAILQ_ENTRY(buf) wait;
};

/*
 * `small` 4 KiB pieces and `large` 64 KiB pieces, page aligned, huge pages if
 * the system has them.  NULL without memory.  large * 64 KiB must be at least
 * the largest buffer that will be asked for.
 */
struct buf_pool *buf_pool_new(unsigned small, unsigned large);
/* Memory in exile, and the pool behind it, live on until that is released. */
void buf_pool_free(struct buf_pool *pool);

/*
 * Fill `buf` with len bytes (1..BUF_LEN_MAX), contents undefined.  If the pool
 * is short, `op` is held until it is filled.
 */
void buf_reserve(struct buf *buf, struct buf_pool *pool, size_t len,
    struct op *op);
/* The same without waiting; false if the pool is short or others wait. */
bool buf_try_reserve(struct buf *buf, struct buf_pool *pool, size_t len);
/* Give back; harmless on an empty buffer. */
void buf_release(struct buf *buf);
/*
 * dst becomes src, for a time that nobody knows, and src gets other memory of
 * the same length: so the pool is not smaller meanwhile.  False if as much is
 * in exile as the pool has: src is empty, and to be reserved again.
 */
bool buf_exile(struct buf *dst, struct buf *src);
/* Hand over: dst becomes src, src becomes empty. */
void buf_give(struct buf *dst, struct buf *src);

struct buf_pool_stats {
	unsigned small, small_free, large, large_free, waiting;
};
void buf_pool_get_stats(const struct buf_pool *pool,
    struct buf_pool_stats *stats);

#endif
