/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state directory: config.json, history/, pr/, scrub/.  All calls block:
 * after start they run on the helper thread.
 */
#ifndef ADMIN_STATE_H
#define ADMIN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define STATE_HISTORY 30u	/* documents kept */

struct state;

/*
 * Make the directory if it is missing and lock it: EBUSY names the daemon
 * that holds it.
 */
int state_open(const char *dir, struct state **out, struct err *err);
/* Says that this daemon ended by itself. */
void state_close(struct state *state);
/* Did the last daemon on this state end without state_close()? */
bool state_was_killed(const struct state *state);
const char *state_dir(const struct state *state);

/*
 * Read a whole file (malloc'ed, NUL-terminated).  -ENOENT sets no err.
 */
int state_read(struct state *state, const char *name, char **text,
    size_t *len, struct err *err);
/*
 * Replace a file so that a crash leaves the old or the new contents, durable
 * when 0 is returned.
 */
int state_write(struct state *state, const char *name, const void *text,
    size_t len, struct err *err);
/* Remove a file durably; absent is fine. */
int state_remove(struct state *state, const char *name, struct err *err);

/*
 * Replace config.json; the one that was there is kept as history/GEN.json,
 * the oldest beyond STATE_HISTORY go.
 */
int state_write_config(struct state *state, uint64_t old_generation,
    const char *text, size_t len, struct err *err);

/* Generations in history/, ascending; returns how many (at most max). */
unsigned state_history(struct state *state, uint64_t *generations,
    unsigned max);
/* "history/00000012.json" */
void state_history_name(uint64_t generation, char *name, size_t size);

#endif
