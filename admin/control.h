/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: one JSON object per line in each direction.
 *
 *	> {"id":1,"verb":"volume.create","args":{...},"dry_run":true,
 *	   "if_match":"...","by":"the user of the page"}
 *	< {"id":1,"ok":true,"result":{...}}
 *	< {"id":1,"ok":true,"job":{...}}
 *	< {"id":1,"ok":false,"error":{"code":"conflict","text":"...",
 *	   "hint":"..."}}
 *	< {"event":"change","seq":12,"time_s":...,"data":{...}}
 *
 * Requests of one connection are carried out in order; a client that wants
 * two things at once opens two connections.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "admin/dozo.h"

#define CONTROL_LINE_MAX ((size_t)2 * 1024 * 1024)
#define CONTROL_CONNS_MAX 64u
#define CONTROL_QUEUE_MAX ((size_t)8 * 1024 * 1024)

/* Listen; sets d->control. */
int control_open(struct dozo *d, struct err *err);
/* No new connections; hang up; hold `op` until all are gone. */
void control_stop(struct dozo *d, struct op *op);
/* All connections are gone. */
void control_free(struct dozo *d);
/* Send an event to those who follow. */
void control_event(struct dozo *d, const json_t *event);

#endif
