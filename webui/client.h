/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozod's control socket, from the other side: one JSON object per line.
 * Requests go over a few connections, events over one more.
 */
#ifndef WEBUI_CLIENT_H
#define WEBUI_CLIENT_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

struct client;

struct client_request {
	const char *verb;
	json_t *args;			/* taken over; may be NULL */
	bool dry_run;
	const char *if_match;		/* NULL = any */
	const char *by;			/* who asks; NULL = we */
	/*
	 * The reply as in admin/control.h, borrowed; NULL if dozod does not
	 * answer.  May be called before client_call() returns.
	 */
	void (*done)(void *arg, json_t *reply);
	void *arg;
};

struct client *client_new(struct event_base *base, const char *path);
/* Requests in flight are dropped without a call. */
void client_free(struct client *client);
void client_call(struct client *client, const struct client_request *request);
/*
 * Follow events; NULL is passed each time dozod has been reached (again):
 * what was known before may be old.
 */
void client_follow(struct client *client,
    void (*event)(void *arg, json_t *event), void *arg);
/* Is the following connection up? */
bool client_up(const struct client *client);

#endif
