/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that outlives its request.
 *
 * A request may have to end although the device still has it, because that
 * takes too long: what is left of it is a ghost, and its memory must not be
 * used again before the device lets go.  Who lends memory to a read (IO_LENT)
 * may get back a grave with the end of the request: it buries the memory
 * there, and asks again with other memory.
 */
#ifndef CORE_GRAVE_H
#define CORE_GRAVE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "core/buf.h"

struct graveyard {
	unsigned ghosts;
	unsigned open;			/* graves that nobody has closed yet */
	SLIST_HEAD(, grave) graves;
};

struct grave {
	struct graveyard *yard;
	struct buf buf;			/* what is buried: this, */
	void *mem;			/* and this, from malloc() */
	SLIST_ENTRY(grave) list;
};

void graveyard_init(struct graveyard *yard);
void graveyard_enter(struct graveyard *yard);	/* one more ghost */
/* One less; true: it was the last, and what was buried is free again. */
bool graveyard_leave(struct graveyard *yard);

/* An open grave, NULL without memory. */
struct grave *grave_new(struct graveyard *yard);
/* It is filled, or empty, and not the caller's any more. */
void grave_close(struct grave *grave);

#endif
