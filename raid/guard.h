/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Direct reads with a deadline.
 */
#ifndef RAID_GUARD_H
#define RAID_GUARD_H

#include <stdbool.h>

struct guards;
struct member;
struct raid;
struct raid_req;

/* For n reads at a time.  NULL without memory. */
struct guards *guards_new(unsigned n);
void guards_free(struct guards *guards);
/*
 * Read req->place from `m` for the whole request.  Holds the request's op;
 * req->io.result is 0, an error, or -ETIMEDOUT if the member is late.
 */
void guard_read(struct raid_req *req, struct member *m);
/* No read is in flight; the last to end wakes raid->idle_waiting. */
bool guards_idle(const struct raid *raid);
/* Let go of what is late. */
void guards_tick(struct raid *raid);

#endif
