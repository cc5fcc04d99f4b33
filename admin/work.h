/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that block (fsync of the state directory, libblkid) run on one helper
 * thread, so that I/O goes on meanwhile.
 */
#ifndef ADMIN_WORK_H
#define ADMIN_WORK_H

#include <stdatomic.h>

#include "core/loop.h"

struct worker;

struct work {
	void (*fn)(void *arg);	/* on the helper thread: touches only arg */
	void *arg;
	struct op *waiter;
	atomic_bool done;
	STAILQ_ENTRY(work) queue, running;
};

struct worker *worker_new(struct loop *loop, struct err *err);
/* Finishes what is queued.  No op may be held any more. */
void worker_free(struct worker *worker);

/* Hold `op` until fn(arg) has returned; work is done in order. */
void work_start(struct worker *worker, struct work *work,
    void (*fn)(void *arg), void *arg, struct op *op);

#endif
