/* SPDX-License-Identifier: BSD-2-Clause */
/* Bringing the appliance up and down, in that order. */
#ifndef ADMIN_STARTUP_H
#define ADMIN_STARTUP_H

#include "admin/dozo.h"

/*
 * From a filled conf to serving: state, document, pools, LUs, target server,
 * control socket, portals.  An error means that nothing is served; what is
 * merely missing is logged and told by status.
 */
int dozo_start(struct dozo *d, struct err *err);
/* Take down what is up, also after a failed start.  Writes are flushed. */
void dozo_stop(struct dozo *d);

#endif
