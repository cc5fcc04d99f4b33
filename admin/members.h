/* SPDX-License-Identifier: BSD-2-Clause */
/* Which disks the document expects a pool to have. */
#ifndef ADMIN_MEMBERS_H
#define ADMIN_MEMBERS_H

#include "admin/disks.h"
#include "admin/dozo.h"

/*
 * In `entry`: what lives in the array.  `disk` (may be NULL) is one that was
 * looked at just now; what is known of the others is kept.
 */
void members_note(const struct dozo_pool *pool, struct doc_pool *entry,
    const struct disk *disk);
/* An array has changed: should the document follow by itself? */
bool members_moved(const struct dozo_pool *pool);
/* Let `doc` follow where it should. */
void members_follow(struct dozo *d, struct doc *doc);

#endif
