/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much a sweep may do while requests are served.  Pure.
 *
 * Requests that met a batch of the sweep are compared with those that met
 * none: their mean latency may be at most twice as long.  If it is longer,
 * batches get smaller, then the rests between them longer; if there is room,
 * the other way round.  So a busy disk, a slow one and one behind a cache find
 * their own measure.  The rest is bounded, so a sweep always ends.
 *
 * Requests that met no batch may still wait behind others that did; hence the
 * least mean seen counts, and is forgotten slowly.
 *
 * Without requests there is no rest, and batches are as large as they can be.
 */
#ifndef RAID_THROTTLE_H
#define RAID_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_ROWS	16u	/* of the largest batch */
#define THROTTLE_REST_MS 200u	/* the longest rest */

struct throttle {
	uint64_t alone_ns, met_ns;	/* sums since the last change */
	unsigned nalone, nmet;		/* of so many samples */
	uint64_t base_ns;		/* what a request takes; 0: unknown */
	unsigned rows;			/* of a batch under load */
	unsigned rest;			/* percent of the batch's time */
	uint64_t owed_ns;		/* of rest, less than a timer's ms */
};

void throttle_init(struct throttle *t);
/* A request took so long; did it meet a batch? */
void throttle_sample(struct throttle *t, uint64_t ns, bool met);
/* Rows of the next batch. */
unsigned throttle_rows(const struct throttle *t, bool load);
/* A batch took so long: adapt, and rest so many ms. */
uint64_t throttle_rest(struct throttle *t, uint64_t batch_ns, bool load);

#endif
