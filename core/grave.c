/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Graves.  Invariant: while there is a ghost, nothing is released: which of
 * them uses what is not known.
 */
#include "core/grave.h"

#include <assert.h>
#include <stdlib.h>

void
graveyard_init(struct graveyard *yard)
{
	yard->ghosts = yard->open = 0;
	SLIST_INIT(&yard->graves);
}

static void
release(struct grave *grave)
{
	buf_release(&grave->buf);
	free(grave->mem);
	free(grave);
}

void
graveyard_enter(struct graveyard *yard)
{
	yard->ghosts++;
}

bool
graveyard_leave(struct graveyard *yard)
{
	struct grave *grave;

	assert(yard->ghosts > 0);
	if (--yard->ghosts > 0)
		return false;
	while ((grave = SLIST_FIRST(&yard->graves)) != NULL) {
		SLIST_REMOVE_HEAD(&yard->graves, list);
		release(grave);
	}
	return true;
}

struct grave *
grave_new(struct graveyard *yard)
{
	struct grave *grave = calloc(1, sizeof(*grave));

	if (grave == NULL)
		return NULL;
	grave->yard = yard;
	yard->open++;
	return grave;
}

void
grave_close(struct grave *grave)
{
	struct graveyard *yard = grave->yard;

	assert(yard->open > 0);
	yard->open--;
	if (yard->ghosts > 0)
		SLIST_INSERT_HEAD(&yard->graves, grave, list);
	else
		release(grave);
}
