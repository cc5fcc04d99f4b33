/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: a binary heap, shared by the real loop and the simulator.
 *
 * Invariants: timers[i]->slot == i + 1; a parent is not due after its
 * children; equal times fire in the order they were started, so that a
 * simulated history is the same on every run.
 */
#include <assert.h>
#include <stdlib.h>

#include "core/loop_priv.h"

static bool
before(const struct timer_heap *heap, unsigned a, unsigned b)
{
	uint64_t da = heap->timers[a]->due_ns, db = heap->timers[b]->due_ns;

	return da != db ? da < db : heap->seqs[a] < heap->seqs[b];
}

static void
place(struct timer_heap *heap, unsigned i, struct timer *timer, uint64_t seq)
{
	assert(timer != NULL && i < heap->room);
	heap->timers[i] = timer;
	heap->seqs[i] = seq;
	timer->slot = i + 1;
}

static void
swap(struct timer_heap *heap, unsigned a, unsigned b)
{
	struct timer *ta = heap->timers[a];
	uint64_t sa = heap->seqs[a];

	place(heap, a, heap->timers[b], heap->seqs[b]);
	place(heap, b, ta, sa);
}

static void
sift_up(struct timer_heap *heap, unsigned i)
{
	while (i > 0 && before(heap, i, (i - 1) / 2)) {
		swap(heap, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void
sift_down(struct timer_heap *heap, unsigned i)
{
	for (;;) {
		unsigned child = 2 * i + 1;

		if (child >= heap->n)
			return;
		if (child + 1 < heap->n && before(heap, child + 1, child))
			child++;
		if (!before(heap, child, i))
			return;
		swap(heap, i, child);
		i = child;
	}
}

static void
heap_grow(struct timer_heap *heap)
{
	unsigned room = heap->room == 0 ? 64 : heap->room * 2;

	heap->timers = realloc(heap->timers, room * sizeof(*heap->timers));
	heap->seqs = realloc(heap->seqs, room * sizeof(*heap->seqs));
	if (heap->timers == NULL || heap->seqs == NULL)
		bug("no memory for %u timers", room);
	heap->room = room;
}

void
timer_start(struct loop *loop, struct timer *timer, uint64_t timeout_ms,
    void (*fn)(void *arg), void *arg)
{
	struct timer_heap *heap = loop_timers(loop);

	assert(fn != NULL && heap->n <= heap->room);
	timer_stop(loop, timer);
	assert(!timer_running(timer));
	if (heap->n == heap->room)
		heap_grow(heap);
	timer->fn = fn;
	timer->arg = arg;
	timer->due_ns = loop_now(loop) + timeout_ms * NSEC_PER_MSEC;
	place(heap, heap->n++, timer, heap->next_seq++);
	sift_up(heap, heap->n - 1);
}

static void
heap_remove(struct timer_heap *heap, unsigned i)
{
	unsigned last = heap->n - 1;

	assert(i < heap->n && heap->timers[i]->slot == i + 1);
	heap->timers[i]->slot = 0;
	heap->n = last;
	if (i == last)
		return;
	place(heap, i, heap->timers[last], heap->seqs[last]);
	sift_up(heap, i);
	sift_down(heap, i);
}

void
timer_stop(struct loop *loop, struct timer *timer)
{
	if (timer->slot != 0)
		heap_remove(loop_timers(loop), timer->slot - 1);
}

uint64_t
timer_heap_due(const struct timer_heap *heap)
{
	return heap->n == 0 ? TIMER_NEVER : heap->timers[0]->due_ns;
}

void
timer_heap_run(struct timer_heap *heap, uint64_t now_ns)
{
	uint64_t limit = heap->next_seq;

	/* A timer that is started from here fires in a later turn. */
	while (heap->n > 0 && heap->timers[0]->due_ns <= now_ns &&
	    heap->seqs[0] < limit) {
		struct timer *timer = heap->timers[0];

		heap_remove(heap, 0);
		assert(!timer_running(timer));
		timer->fn(timer->arg);
	}
}

void
timer_heap_fini(struct timer_heap *heap)
{
	free(heap->timers);
	free(heap->seqs);
	heap->timers = NULL;
	heap->seqs = NULL;
	heap->n = heap->room = 0;
}

static void
wake_op(void *arg)
{
	op_unhold(arg);
}

void
op_sleep(struct loop *loop, struct timer *timer, uint64_t timeout_ms,
    struct op *op)
{
	assert(!timer_running(timer));
	op_hold(op);
	timer_start(loop, timer, timeout_ms, wake_op, op);
}
