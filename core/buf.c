/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buffer arena: two stacks of free pieces, last in first out so that
 * pieces stay warm in the cache.
 *
 * Invariants: a piece is either on its free stack or in exactly one buffer;
 * while anybody waits, nobody else is served (first come, first served); a
 * waiting buffer has niov == 0 and a waiter.
 */
#include "core/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct piece_stack {
	size_t piece_len;
	unsigned total, nfree;
	void **free;
};

struct buf_pool {
	void *arena;
	size_t arena_len;
	struct piece_stack small, large;
	STAILQ_HEAD(, buf) waiting;
	unsigned nwaiting;
};

static bool
stack_init(struct piece_stack *stack, uint8_t *base, size_t piece_len,
    unsigned n)
{
	stack->piece_len = piece_len;
	stack->total = stack->nfree = n;
	stack->free = calloc(n + 1u, sizeof(*stack->free));
	if (stack->free == NULL)
		return false;
	for (unsigned i = 0; i < n; i++)
		stack->free[i] = base + (n - 1 - i) * piece_len;
	return true;
}

struct buf_pool *
buf_pool_new(unsigned small, unsigned large)
{
	struct buf_pool *pool = calloc(1, sizeof(*pool));
	size_t large_len = large * BUF_LARGE;

	if (pool == NULL)
		return NULL;
	STAILQ_INIT(&pool->waiting);
	pool->arena_len = large_len + small * BUF_SMALL;
	assert(pool->arena_len > 0);
	pool->arena = mmap(NULL, pool->arena_len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pool->arena == MAP_FAILED) {
		free(pool);
		return NULL;
	}
	(void)madvise(pool->arena, pool->arena_len, MADV_HUGEPAGE);
	if (!stack_init(&pool->large, pool->arena, BUF_LARGE, large) ||
	    !stack_init(&pool->small, (uint8_t *)pool->arena + large_len,
	    BUF_SMALL, small)) {
		buf_pool_free(pool);
		return NULL;
	}
	return pool;
}

void
buf_pool_free(struct buf_pool *pool)
{
	if (pool == NULL)
		return;
	assert(pool->nwaiting == 0);
	assert(pool->large.free == NULL ||
	    pool->large.nfree == pool->large.total);
	assert(pool->small.free == NULL ||
	    pool->small.nfree == pool->small.total);
	munmap(pool->arena, pool->arena_len);
	free(pool->small.free);
	free(pool->large.free);
	free(pool);
}

/* Small pieces may run out before large ones: a large one serves as well. */
static struct piece_stack *
stack_for(struct buf_pool *pool, size_t len)
{
	if (len <= BUF_SMALL && pool->small.nfree > 0)
		return &pool->small;
	return &pool->large;
}

static bool
fill(struct buf_pool *pool, struct buf *buf, size_t len)
{
	struct piece_stack *stack = stack_for(pool, len);
	size_t n = (len + stack->piece_len - 1) / stack->piece_len;

	if (n > stack->nfree)
		return false;
	buf->pool = pool;
	buf->len = len;
	buf->niov = (unsigned)n;
	buf->waiter = NULL;
	for (size_t i = 0; i < n; i++) {
		buf->iov[i].iov_base = stack->free[--stack->nfree];
		buf->iov[i].iov_len = MIN(len, stack->piece_len);
		len -= buf->iov[i].iov_len;
	}
	assert(len == 0);
	return true;
}

static void
check_len(const struct buf_pool *pool, size_t len)
{
	assert(len > 0 && len <= BUF_LEN_MAX);
	assert(len <= pool->large.total * BUF_LARGE || len <= BUF_SMALL);
	(void)pool;
	(void)len;
}

bool
buf_try_reserve(struct buf *buf, struct buf_pool *pool, size_t len)
{
	check_len(pool, len);
	return pool->nwaiting == 0 && fill(pool, buf, len);
}

void
buf_reserve(struct buf *buf, struct buf_pool *pool, size_t len, struct op *op)
{
	if (buf_try_reserve(buf, pool, len))
		return;
	buf->pool = pool;
	buf->len = len;
	buf->niov = 0;
	buf->waiter = op;
	pool->nwaiting++;
	STAILQ_INSERT_TAIL(&pool->waiting, buf, wait);
	op_hold(op);
}

static void
serve_waiting(struct buf_pool *pool)
{
	struct buf *buf;

	while ((buf = STAILQ_FIRST(&pool->waiting)) != NULL) {
		struct op *waiter = buf->waiter;

		if (!fill(pool, buf, buf->len))
			return;
		STAILQ_REMOVE_HEAD(&pool->waiting, wait);
		pool->nwaiting--;
		op_unhold(waiter);
	}
}

static bool
is_large(const struct buf_pool *pool, const void *piece)
{
	const uint8_t *arena = pool->arena, *p = piece;

	assert(p >= arena && p < arena + pool->arena_len);
	return (size_t)(p - arena) < pool->large.total * BUF_LARGE;
}

void
buf_release(struct buf *buf)
{
	struct buf_pool *pool = buf->pool;

	if (pool == NULL)
		return;
	assert(buf->waiter == NULL && buf->niov > 0);
	for (unsigned i = buf->niov; i-- > 0;) {
		void *piece = buf->iov[i].iov_base;
		struct piece_stack *stack = is_large(pool, piece) ?
		    &pool->large : &pool->small;

		assert(stack->nfree < stack->total);
		stack->free[stack->nfree++] = piece;
	}
	buf->pool = NULL;
	buf->niov = 0;
	buf->len = 0;
	if (pool->nwaiting > 0)
		serve_waiting(pool);
}

void
buf_give(struct buf *dst, struct buf *src)
{
	assert(dst->pool == NULL && src->waiter == NULL);
	dst->pool = src->pool;
	dst->len = src->len;
	dst->niov = src->niov;
	dst->waiter = NULL;
	memcpy(dst->iov, src->iov, src->niov * sizeof(src->iov[0]));
	src->pool = NULL;
	src->niov = 0;
	src->len = 0;
}

void
buf_pool_get_stats(const struct buf_pool *pool, struct buf_pool_stats *stats)
{
	stats->small = pool->small.total;
	stats->small_free = pool->small.nfree;
	stats->large = pool->large.total;
	stats->large_free = pool->large.nfree;
	stats->waiting = pool->nwaiting;
}
