/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checking passwords (yescrypt) in a thread of its own: it takes long and
 * much memory on purpose, so one at a time, and few in line.
 */
#ifndef WEBUI_HASH_H
#define WEBUI_HASH_H

#include <event2/event.h>
#include <stdbool.h>

#define HASH_QUEUE_MAX 4u

struct hasher;

struct hasher *hasher_new(struct event_base *base);
void hasher_free(struct hasher *hasher);
/*
 * Does `password` fit `hash`?  With hash NULL the same work is done and the
 * answer is no.  False if the line is full; else done() is called later, in
 * the event loop.
 */
bool hasher_check(struct hasher *hasher, const char *password,
    const char *hash, void (*done)(void *arg, bool fits), void *arg);

#endif
