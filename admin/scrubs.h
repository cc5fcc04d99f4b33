/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last scrub of each pool: told to people, and kept in the state directory
 * so that it goes on after a restart.
 */
#ifndef ADMIN_SCRUBS_H
#define ADMIN_SCRUBS_H

#include "admin/dozo.h"

/* --- scrub_text.c: the file as text.  Pure. --- */

/* malloc'ed; NULL without memory. */
char *scrub_encode(const char *pool_uuid, const struct raid_scrub_record *r);
/* -EBADMSG with err set: damaged, or of another pool. */
int scrub_decode(const char *text, size_t len, const char *pool_uuid,
    struct raid_scrub_record *r, struct err *err);

/* --- scrubs.c --- */

/*
 * Array and pool are open.  Without memory the pool has no keeper: its scrubs
 * work, and are forgotten.
 */
void scrubs_open(struct dozo_pool *pool);
/* Hold `op` until what is in the state directory was read. */
void scrubs_read(struct dozo_pool *pool, struct op *op);
/* Then give it to the array. */
void scrubs_restore(struct dozo_pool *pool);
/*
 * The array is stopped: hold `op` until all is stored, or removed.  False: the
 * op is to ask again.  Then close.
 */
bool scrubs_stop(struct dozo_pool *pool, bool forget, struct op *op);
void scrubs_close(struct dozo_pool *pool);

/* The last scrub of an open pool, or NULL if there was none. */
json_t *scrub_json(const struct dozo_pool *pool);
/* Where it found parity wrong: an array. */
json_t *scrub_mismatches_json(const struct dozo_pool *pool);
/* "in volumes a, b"; empty if none is known. */
void scrub_volumes(const struct dozo_pool *pool, char *text, size_t size);

#endif
