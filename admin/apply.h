/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals that are open, and bringing the target server up to date. */
#ifndef ADMIN_APPLY_H
#define ADMIN_APPLY_H

#include "admin/dozo.h"

/* Is it one of dozo.conf's? */
bool portal_from_conf(const struct dozo *d, const struct sock_addr *addr);
/* Listen; a failure is kept in the list for status.  Open already: 0. */
int portal_open(struct dozo *d, const struct sock_addr *addr, uint16_t tag,
    struct err *err);
void portal_close(struct dozo *d, const struct sock_addr *addr);
/* Open and close as dozo.conf and the document say; failures are logged. */
void portals_apply(struct dozo *d);

#endif
