/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozo-webui as a child of dozod: started, watched, started again, stopped.
 */
#ifndef ADMIN_PAGE_H
#define ADMIN_PAGE_H

#include "admin/dozo.h"

/* Nothing if page-port is 0.  Trouble is logged, storage is served anyway. */
void page_start(struct dozo *d);
/* There is to be one, and it ended again and again, the last time just now. */
bool page_fails(const struct dozo *d);
/* Ends the child and waits for it. */
void page_stop(struct dozo *d);

#endif
