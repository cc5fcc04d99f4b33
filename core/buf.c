/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The buffer arena: two stacks of free pieces, last in first out so that
 * pieces stay warm in the cache.
 *
 * Invariants: a piece is either on its free stack or in exactly one buffer;
 * while anybody waits, nobody else is served (first come, first served); a
 * waiting buffer has niov == 0 and a waiter.
 *
 * The arena is twice as large as it has to be.  Half of its pieces are idle:
 * addresses without memory, until one stands in for an exile, which is idle
 * when it comes back.  So there are never more in use than at the start.
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
	unsigned nidle;
	void **idle;			/* to stand in for exiles */
};

struct buf_pool {
	uint8_t *arena;
	size_t half_len;
	struct piece_stack small, large;
	STAILQ_HEAD(, buf) waiting;
	unsigned nwaiting;
	unsigned nexiles;		/* buffers */
	bool closed;			/* freed with the last of them */
};

static bool
stack_init(struct piece_stack *stack, uint8_t *base, uint8_t *idle,
    size_t piece_len, unsigned n)
{
	stack->piece_len = piece_len;
	stack->total = stack->nfree = stack->nidle = n;
	stack->free = calloc(n + 1u, sizeof(*stack->free));
	stack->idle = calloc(n + 1u, sizeof(*stack->idle));
	if (stack->free == NULL || stack->idle == NULL)
		return false;
	for (unsigned i = 0; i < n; i++) {
		stack->free[i] = base + (n - 1 - i) * piece_len;
		stack->idle[i] = idle + (n - 1 - i) * piece_len;
	}
	return true;
}

static void
stack_fini(struct piece_stack *stack)
{
	assert(stack->free == NULL || stack->idle == NULL ||
	    (stack->nfree == stack->total && stack->nidle == stack->total));
	free(stack->free);
	free(stack->idle);
}

struct buf_pool *
buf_pool_new(unsigned small, unsigned large)
{
	struct buf_pool *pool = calloc(1, sizeof(*pool));
	size_t large_len = large * BUF_LARGE;
	uint8_t *idle;

	if (pool == NULL)
		return NULL;
	STAILQ_INIT(&pool->waiting);
	pool->half_len = large_len + small * BUF_SMALL;
	assert(pool->half_len > 0);
	pool->arena = mmap(NULL, 2 * pool->half_len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->arena == MAP_FAILED) {
		free(pool);
		return NULL;
	}
	(void)madvise(pool->arena, pool->half_len, MADV_HUGEPAGE);
	idle = pool->arena + pool->half_len;
	if (!stack_init(&pool->large, pool->arena, idle, BUF_LARGE, large) ||
	    !stack_init(&pool->small, pool->arena + large_len, idle +
	    large_len, BUF_SMALL, small)) {
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
	pool->closed = true;
	if (pool->nexiles > 0)
		return;
	stack_fini(&pool->small);
	stack_fini(&pool->large);
	munmap(pool->arena, 2 * pool->half_len);
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
	buf->exile = buf->replaced = false;
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

static struct piece_stack *
stack_of(struct buf_pool *pool, const void *piece)
{
	size_t at = (size_t)((const uint8_t *)piece - pool->arena);

	assert((const uint8_t *)piece >= pool->arena &&
	    at < 2 * pool->half_len);
	return at % pool->half_len < pool->large.total * BUF_LARGE ?
	    &pool->large : &pool->small;
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
		struct piece_stack *stack = stack_of(pool, piece);

		assert((buf->replaced ? stack->nidle : stack->nfree) <
		    stack->total);
		if (buf->replaced)
			stack->idle[stack->nidle++] = piece;
		else
			stack->free[stack->nfree++] = piece;
	}
	buf->pool = NULL;
	buf->niov = 0;
	buf->len = 0;
	if (buf->exile)
		pool->nexiles--;
	buf->exile = false;
	if (pool->nwaiting > 0)
		serve_waiting(pool);
	if (pool->closed && pool->nexiles == 0)
		buf_pool_free(pool);
}

void
buf_give(struct buf *dst, struct buf *src)
{
	assert(dst->pool == NULL && src->waiter == NULL);
	dst->pool = src->pool;
	dst->len = src->len;
	dst->niov = src->niov;
	dst->exile = src->exile;
	dst->replaced = src->replaced;
	dst->waiter = NULL;
	memcpy(dst->iov, src->iov, src->niov * sizeof(src->iov[0]));
	src->pool = NULL;
	src->niov = 0;
	src->len = 0;
}

bool
buf_exile(struct buf *dst, struct buf *src)
{
	struct buf_pool *pool = src->pool;
	unsigned nsmall = 0;

	assert(dst->pool == NULL && pool != NULL && src->waiter == NULL);
	assert(!src->exile && src->niov > 0);
	for (unsigned i = 0; i < src->niov; i++)
		nsmall += stack_of(pool, src->iov[i].iov_base) == &pool->small;
	pool->nexiles++;
	if (pool->small.nidle < nsmall ||
	    pool->large.nidle < src->niov - nsmall) {
		buf_give(dst, src);
		dst->exile = true;
		return false;
	}
	*dst = (struct buf){ .pool = pool, .len = src->len,
		.niov = src->niov, .exile = true, .replaced = true };
	for (unsigned i = 0; i < src->niov; i++) {
		struct piece_stack *stack = stack_of(pool,
		    src->iov[i].iov_base);

		dst->iov[i] = src->iov[i];
		src->iov[i].iov_base = stack->idle[--stack->nidle];
	}
	return true;
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
