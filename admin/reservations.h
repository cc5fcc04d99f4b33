/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Persistent reservations move with the disks: each pool's copy of the
 * document carries them as {"reservations": {VOLUME-UUID: HEX}}.
 */
#ifndef ADMIN_RESERVATIONS_H
#define ADMIN_RESERVATIONS_H

#include "admin/dozo.h"

/*
 * `text` (a document) with what pr/ has for these volumes; malloc'ed, NULL
 * without memory or if nothing is to be added.  Blocks.
 */
char *reservations_add(struct state *state, const char *text,
    const char (*uuids)[UUID_SIZE], unsigned n);
/*
 * What a pool's document has for this volume: malloc'ed, NULL if nothing
 * readable.
 */
void *reservations_find(const json_t *doc, const char *uuid, size_t *len);
/* They, or members, have changed: renew the copies in the pools soon. */
void reservations_changed(struct dozo *d);
/* Hold `op` until the copies are renewed. */
void reservations_wait(struct dozo *d, struct op *op);

#endif
