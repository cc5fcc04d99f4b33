/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every implementation of loop.h shares: the timer heap.  An
 * implementation embeds it and tells timer.c where it is.
 */
#ifndef CORE_LOOP_PRIV_H
#define CORE_LOOP_PRIV_H

#include "core/loop.h"

/* Min-heap by due_ns, ties by order of starting (seq). */
struct timer_heap {
	struct timer **timers;
	uint64_t *seqs;
	unsigned n, room;
	uint64_t next_seq;
};

struct timer_heap *loop_timers(struct loop *loop);

#define TIMER_NEVER UINT64_MAX
/* When the first timer is due, or TIMER_NEVER. */
uint64_t timer_heap_due(const struct timer_heap *heap);
/* Call the fn of every timer due at now_ns. */
void timer_heap_run(struct timer_heap *heap, uint64_t now_ns);
void timer_heap_fini(struct timer_heap *heap);

#endif
