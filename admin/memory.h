/* SPDX-License-Identifier: BSD-2-Clause */
/* The cache that all volumes share, and how much memory it may have. */
#ifndef ADMIN_MEMORY_H
#define ADMIN_MEMORY_H

#include "admin/dozo.h"

/*
 * Make d->cache as dozo.conf says (NULL: no cache), and from then on keep its
 * limit to what the system can spare.
 */
void memory_start(struct dozo *d);
/* No volume is left. */
void memory_stop(struct dozo *d);

/* --- pure --- */

struct meminfo {
	uint64_t total, available;	/* bytes */
};

/* From the text of /proc/meminfo; false if it does not say. */
bool meminfo_parse(const char *text, struct meminfo *info);
/* Bytes for the cache, where dozo.conf leaves it to us; 0 = none. */
uint64_t memory_auto(const struct meminfo *info);
/*
 * The limit that follows from `limit`, of at most `max`: lower when the
 * system is short of memory, higher again when it is not.
 */
uint64_t memory_limit(const struct meminfo *info, uint64_t limit,
    uint64_t used, uint64_t max);

#endif
