/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks that come and go while dozod runs: told as events, and a member that
 * is gone is taken out of its array at once, not at the next I/O.
 */
#ifndef ADMIN_HOTPLUG_H
#define ADMIN_HOTPLUG_H

#include "admin/dozo.h"

int hotplug_start(struct dozo *d, struct err *err);
/* No more looking; hold `op` until nothing is under way. */
void hotplug_stop(struct dozo *d, struct op *op);
void hotplug_free(struct dozo *d);

/* The device `dev` is gone: what udev tells, callable by a test. */
void hotplug_gone(struct dozo *d, dev_t dev);
/* A member at `path` is the device `dev`. */
void hotplug_know(struct dozo *d, const char *path, dev_t dev);

#endif
