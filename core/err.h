/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One error for the administrator: what happened and why, and what to do.
 * The CLI, the page and the API print the same two sentences.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stddef.h>

struct err {
	int code;		/* positive errno, 0 = no error */
	char text[320];		/* what and why, one sentence */
	char hint[240];		/* what to do, may be empty */
};

/*
 * Fill `err` (which may be NULL) and return -code, so that a caller can write
 * `return err_set(err, EBUSY, "...")`.  The first error wins: an err that is
 * already set keeps its text.
 */
int err_set(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Add what to do about it.  Keeps an earlier hint. */
void err_hint(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);

/*
 * `path` could not be opened for `errnum`: says why, and what to do.  Returns
 * -errnum.
 */
int err_open(struct err *err, const char *path, int errnum);

/* Was an error set? */
#define err_is(e) ((e)->code != 0)

#endif
