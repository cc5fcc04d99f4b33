/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to dozod and its events.
 *
 * Invariants: a link carries at most one request at a time, because dozod
 * answers in order; a request that finds no free link waits in line; each
 * request gets exactly one done().
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/client.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/log.h"

#define LINKS 6u
#define LINE_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define CALL_TIMEOUT_S 120
#define RETRY_MS 500

struct call {
	STAILQ_ENTRY(call) link;
	char *text;
	size_t len;
	void (*done)(void *arg, json_t *reply);
	void *arg;
};

struct link {
	struct client *client;
	struct bufferevent *bev;	/* NULL = not connected */
	struct call *call;		/* waits for its reply */
};

struct client {
	struct event_base *base;
	struct sockaddr_un addr;
	struct link link[LINKS];
	struct link events;
	struct event *retry;
	bool up;
	void (*event)(void *arg, json_t *event);
	void *arg;
	STAILQ_HEAD(, call) waiting;
};

static void start_waiting(struct client *client);

static void
call_free(struct call *call)
{
	free(call->text);
	free(call);
}

static void
call_done(struct call *call, json_t *reply)
{
	assert(call->done != NULL);
	call->done(call->arg, reply);
	call_free(call);
}

static void
link_close(struct link *link)
{
	if (link->bev != NULL)
		bufferevent_free(link->bev);
	link->bev = NULL;
}

/* One line as JSON; NULL if none is complete, *bad if it is no JSON. */
static json_t *
read_line(struct bufferevent *bev, bool *bad)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len;
	char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
	json_t *json;

	*bad = line == NULL && evbuffer_get_length(in) > LINE_MAX_BYTES;
	if (line == NULL)
		return NULL;
	json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	free(line);
	*bad = !json_is_object(json);
	return json;
}

/* --- requests --- */

static void
link_lost(struct link *link)
{
	struct call *call = link->call;

	assert(link->client != NULL);
	link_close(link);
	link->call = NULL;
	if (call != NULL)
		call_done(call, NULL);
}

static void
on_reply(struct bufferevent *bev, void *arg)
{
	struct link *link = arg;
	struct call *call = link->call;
	bool bad;
	json_t *json = read_line(bev, &bad);

	assert(link->bev == bev);
	if (bad || (json != NULL && call == NULL)) {
		log_err("dozod sent an answer that makes no sense");
		json_decref(json);
		link_lost(link);
		return;
	}
	if (json == NULL)
		return;
	link->call = NULL;
	call_done(call, json);
	json_decref(json);
	start_waiting(link->client);
}

static void
on_link_event(struct bufferevent *bev, short what, void *arg)
{
	struct link *link = arg;

	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) != 0)
		return;
	if ((what & BEV_EVENT_TIMEOUT) != 0 && link->call == NULL)
		return;
	link_lost(link);
	start_waiting(link->client);
}

static bool
link_open(struct link *link, bufferevent_data_cb read,
    bufferevent_event_cb event)
{
	struct client *client = link->client;

	assert(link->bev == NULL);
	link->bev = bufferevent_socket_new(client->base, -1,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (link->bev == NULL)
		return false;
	bufferevent_setcb(link->bev, read, NULL, event, link);
	if (bufferevent_socket_connect(link->bev,
	    (const void *)&client->addr, sizeof(client->addr)) != 0) {
		link_close(link);
		return false;
	}
	bufferevent_enable(link->bev, EV_READ | EV_WRITE);
	return true;
}

static void
link_start(struct link *link, struct call *call)
{
	struct timeval tv = { .tv_sec = CALL_TIMEOUT_S };

	assert(link->call == NULL);
	if (link->bev == NULL && !link_open(link, on_reply, on_link_event)) {
		call_done(call, NULL);
		return;
	}
	link->call = call;
	bufferevent_set_timeouts(link->bev, &tv, &tv);
	bufferevent_write(link->bev, call->text, call->len);
}

static void
start_waiting(struct client *client)
{
	struct call *call;
	struct link *free_link;

	assert(client->base != NULL);
	while ((call = STAILQ_FIRST(&client->waiting)) != NULL) {
		free_link = NULL;
		for (unsigned i = 0; i < LINKS && free_link == NULL; i++) {
			if (client->link[i].call == NULL)
				free_link = &client->link[i];
		}
		if (free_link == NULL)
			return;
		STAILQ_REMOVE_HEAD(&client->waiting, link);
		link_start(free_link, call);
	}
}

/* The line to send, malloc'ed. */
static char *
request_text(const struct client_request *request, size_t *len)
{
	json_t *json = json_pack("{s:i, s:s, s:o}", "id", 1, "verb",
	    request->verb, "args", request->args != NULL ? request->args :
	    json_object());
	char *text = NULL, *line = NULL;

	assert(request->verb != NULL);
	if (json == NULL)
		return NULL;
	if (request->dry_run)
		json_object_set_new(json, "dry_run", json_true());
	if (request->if_match != NULL)
		json_object_set_new(json, "if_match",
		    json_string(request->if_match));
	if (request->by != NULL)
		json_object_set_new(json, "by", json_string(request->by));
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (text != NULL && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	*len = line != NULL ? strlen(line) : 0;
	return line;
}

void
client_call(struct client *client, const struct client_request *request)
{
	struct call *call = calloc(1, sizeof(*call));

	assert(request->verb != NULL && request->done != NULL);
	if (call != NULL)
		call->text = request_text(request, &call->len);
	else
		json_decref(request->args);
	if (call == NULL || call->text == NULL) {
		free(call);
		request->done(request->arg, NULL);
		return;
	}
	call->done = request->done;
	call->arg = request->arg;
	STAILQ_INSERT_TAIL(&client->waiting, call, link);
	start_waiting(client);
}

/* --- events --- */

static void
retry_later(struct client *client)
{
	struct timeval tv = { .tv_usec = RETRY_MS * 1000 };

	assert(client->event != NULL);
	if (client->up)
		log_warn("dozod is gone; trying again");
	client->up = false;
	link_close(&client->events);
	evtimer_add(client->retry, &tv);
}

static void
on_events(struct bufferevent *bev, void *arg)
{
	struct link *link = arg;
	struct client *client = link->client;
	bool bad;
	json_t *json;

	assert(link->bev == bev);
	while ((json = read_line(bev, &bad)) != NULL && !bad) {
		bool first = json_object_get(json, "event") == NULL;

		if (first && !client->up) {
			client->up = true;
			client->event(client->arg, NULL);
		} else if (!first) {
			client->event(client->arg, json);
		}
		json_decref(json);
	}
	json_decref(json);
	if (bad)
		retry_later(client);
}

static void
on_events_event(struct bufferevent *bev, short what, void *arg)
{
	struct link *link = arg;
	static const char follow[] = "{\"id\":0,\"verb\":\"events\",\"args\":"
	    "{\"follow\":true}}\n";

	if ((what & BEV_EVENT_CONNECTED) != 0)
		bufferevent_write(bev, follow, sizeof(follow) - 1);
	else
		retry_later(link->client);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;

	(void)fd;
	(void)what;
	if (!link_open(&client->events, on_events, on_events_event))
		retry_later(client);
}

void
client_follow(struct client *client,
    void (*event)(void *arg, json_t *event), void *arg)
{
	assert(client->event == NULL && event != NULL);
	client->event = event;
	client->arg = arg;
	on_retry(-1, 0, client);
}

bool
client_up(const struct client *client)
{
	return client->up;
}

/* --- life --- */

struct client *
client_new(struct event_base *base, const char *path)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->base = base;
	client->addr.sun_family = AF_UNIX;
	STAILQ_INIT(&client->waiting);
	client->events.client = client;
	for (unsigned i = 0; i < LINKS; i++)
		client->link[i].client = client;
	client->retry = evtimer_new(base, on_retry, client);
	if (client->retry == NULL ||
	    strlen(path) >= sizeof(client->addr.sun_path)) {
		client_free(client);
		return NULL;
	}
	snprintf(client->addr.sun_path, sizeof(client->addr.sun_path), "%s",
	    path);
	return client;
}

void
client_free(struct client *client)
{
	struct call *call;

	if (client == NULL)
		return;
	for (unsigned i = 0; i < LINKS; i++) {
		link_close(&client->link[i]);
		if (client->link[i].call != NULL)
			call_free(client->link[i].call);
	}
	link_close(&client->events);
	while ((call = STAILQ_FIRST(&client->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&client->waiting, link);
		call_free(call);
	}
	if (client->retry != NULL)
		event_free(client->retry);
	free(client);
}
