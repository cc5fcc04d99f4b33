/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last hour of each volume and member in steps of HISTORY_STEP_S, made
 * from counters that only grow.  Kept in memory, gone with the daemon.
 */
#ifndef ADMIN_HISTORY_H
#define ADMIN_HISTORY_H

#include <jansson.h>
#include <stdint.h>

#include "admin/dozo.h"

#define HISTORY_STEP_S 10u
#define HISTORY_STEPS 360u
#define HISTORY_OBJECTS_MAX 512u
#define HISTORY_LATENCIES 28u
#define HISTORY_ALL "all"	/* the sum of all volumes */

struct history;

/* Counters of one object as they are now. */
struct history_counts {
	uint64_t reads, writes, read_bytes, write_bytes;
	/* of HISTORY_LATENCIES, less than 2^i us; NULL = not known */
	const uint64_t *read_latency, *write_latency;
};

struct history *history_new(void);
void history_free(struct history *h);
/*
 * Begin a step at this wall clock, `ns` after the last; objects that are not
 * added until the next one have a gap here.  An object that has had gaps only
 * is forgotten.
 */
void history_step(struct history *h, uint64_t time_s, uint64_t ns);
/* `name`: "POOL/VOLUME", a member's path, or HISTORY_ALL. */
void history_add(struct history *h, const char *name,
    const struct history_counts *counts);
/* One object for each step, oldest first; NULL if nothing is known. */
json_t *history_json(const struct history *h, const char *name);

/* The time in us below which `percent` of all are; -1 if there are none. */
int64_t latency_percentile(const uint64_t counts[HISTORY_LATENCIES],
    unsigned percent);

/* --- verb_history.c --- */

int history_start(struct dozo *d, struct err *err);
void history_stop(struct dozo *d);

#endif
