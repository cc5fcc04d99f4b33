/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the disks in the box is it?  Its activity light tells: it is read
 * for half a second and left alone for half a second, in turn.
 */
#ifndef ADMIN_LOCATE_H
#define ADMIN_LOCATE_H

#include "admin/dozo.h"

int locate_start(struct dozo *d, struct err *err);
/* No more of it; hold `op` until nothing is under way. */
void locate_stop(struct dozo *d, struct op *op);
void locate_free(struct dozo *d);

/* Seconds that this disk goes on to blink, 0 = it does not. */
unsigned locate_left_s(const struct dozo *d, const char *path);

#endif
