/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools that wait for their disks: a disk that is plugged in may be what they
 * could not be opened for.
 */
#ifndef ADMIN_LATE_H
#define ADMIN_LATE_H

#include "admin/dozo.h"

int late_start(struct dozo *d, struct err *err);
/* A disk came: soon try the pools that could not be opened. */
void late_disk(struct dozo *d);
/*
 * At the start: pools whose disks were not all there are opened as soon as
 * they are, or with what is there after d->settle_ms.  Until then their
 * targets ask initiators to try again.
 */
void late_settle(struct dozo *d);
/* Try no more; hold `op` until nothing is under way. */
void late_stop(struct dozo *d, struct op *op);
void late_free(struct dozo *d);

#endif
