/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Server-sent events: what dozod reports, with its sequence numbers, and
 * while somebody looks, status and counters every LIVE_PERIOD_MS.
 *
 * Invariants: at most LIVE_STREAMS_MAX streams; a stream of a session ends
 * with it; one that does not read is closed, never waited for.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/web.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#define LIVE_STREAMS_MAX 32u
#define LIVE_PERIOD_MS 2000
#define LIVE_BEATS 7u			/* periods between heartbeats */

struct stream {
	TAILQ_ENTRY(stream) link;
	struct live *live;
	struct http_conn *conn;
	unsigned session;		/* 0 = a token's */
};
TAILQ_HEAD(streams, stream);

struct live {
	struct web *web;
	struct streams streams;
	unsigned nstreams, ticks;
	struct event *timer;
	bool asking[2];			/* status, stats: in flight */
};

static void
on_closed(struct http_conn *conn)
{
	struct stream *s = conn->stream;
	struct live *live = s->live;

	assert(live->nstreams > 0);
	TAILQ_REMOVE(&live->streams, s, link);
	if (--live->nstreams == 0)
		evtimer_del(live->timer);
	free(s);
}

static void
send_all(struct live *live, const char *text, size_t len)
{
	struct stream *s, *next;

	assert(len > 0);
	for (s = TAILQ_FIRST(&live->streams); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!http_stream_send(s->conn, text, len))
			http_stream_end(s->conn);
	}
}

/* "event: NAME", "id: SEQ" if it has one, "data: JSON". */
static char *
event_text(const char *name, const json_t *data)
{
	json_int_t seq = json_integer_value(json_object_get(data, "seq"));
	char *json = json_dumps(data, JSON_COMPACT), *text = NULL, id[40] = "";

	if (seq > 0)
		snprintf(id, sizeof(id), "id: %" JSON_INTEGER_FORMAT "\n",
		    seq);
	if (json == NULL ||
	    asprintf(&text, "event: %s\n%sdata: %s\n\n", name, id, json) < 0)
		text = NULL;
	free(json);
	return text;
}

static void
send_event(struct live *live, const char *name, const json_t *data)
{
	char *text = event_text(name, data);

	if (text != NULL)
		send_all(live, text, strlen(text));
	free(text);
}

void
live_event(struct live *live, json_t *event)
{
	if (live->nstreams > 0)
		send_event(live, "event", event);
}

/* --- the clock --- */

static void
got_status(void *arg, json_t *reply)
{
	struct live *live = arg;

	assert(live->asking[0]);
	live->asking[0] = false;
	if (json_is_true(json_object_get(reply, "ok")))
		send_event(live, "status", json_object_get(reply, "result"));
}

static void
got_stats(void *arg, json_t *reply)
{
	struct live *live = arg;

	assert(live->asking[1]);
	live->asking[1] = false;
	if (json_is_true(json_object_get(reply, "ok")))
		send_event(live, "stats", json_object_get(reply, "result"));
}

static void
ask(struct live *live)
{
	if (!live->asking[0]) {
		live->asking[0] = true;
		client_call(live->web->client, &(struct client_request){
		    .verb = "status", .done = got_status, .arg = live });
	}
	if (!live->asking[1]) {
		live->asking[1] = true;
		client_call(live->web->client, &(struct client_request){
		    .verb = "stats", .done = got_stats, .arg = live });
	}
}

static bool
still_valid(const struct auth *auth, const struct stream *s, uint64_t now)
{
	assert(s->live != NULL);
	for (unsigned i = 0; s->session != 0 && i < AUTH_SESSIONS_MAX; i++) {
		const struct session *has = &auth->session[i];

		if (has->number == s->session)
			return now - has->used_s <= AUTH_IDLE_S &&
			    now - has->since_s <= AUTH_LIFE_S;
	}
	return s->session == 0;
}

void
live_session_gone(struct live *live)
{
	struct stream *s, *next;
	uint64_t now = web_now();

	for (s = TAILQ_FIRST(&live->streams); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!still_valid(&live->web->auth, s, now))
			http_stream_end(s->conn);
	}
}

static void
start_timer(struct live *live)
{
	struct timeval tv = { .tv_sec = LIVE_PERIOD_MS / 1000,
		.tv_usec = LIVE_PERIOD_MS % 1000 * 1000 };

	assert(live->nstreams > 0);
	evtimer_add(live->timer, &tv);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct live *live = arg;

	(void)fd;
	(void)what;
	live_session_gone(live);
	if (live->nstreams == 0)
		return;
	if (++live->ticks % LIVE_BEATS == 0)
		send_all(live, ": still here\n\n", 14);
	if (live->nstreams == 0)
		return;
	start_timer(live);
	ask(live);
}

/* --- a new stream --- */

/* `missed`: events since Last-Event-ID, for this stream alone. */
static void
begin_stream(struct request *rq, json_t *missed)
{
	struct live *live = rq->web->live;
	struct http_conn *conn = rq->conn;
	struct stream *s = calloc(1, sizeof(*s));
	json_t *event;
	bool gone;
	size_t i;

	if (s == NULL) {
		reply_problem(rq, 503, "failed", "out of memory", "");
		return;
	}
	/* Others may have come while we asked. */
	if (live->nstreams >= LIVE_STREAMS_MAX) {
		free(s);
		reply_problem(rq, 503, "busy", "too many pages are open",
		    "Close some.");
		return;
	}
	s->live = live;
	s->conn = conn;
	s->session = rq->session;
	TAILQ_INSERT_TAIL(&live->streams, s, link);
	if (live->nstreams++ == 0)
		start_timer(live);
	json_decref(rq->args);
	free(rq);
	conn->work = NULL;
	/* The peer may have gone while we asked. */
	gone = evhttp_request_get_connection(conn->req) == NULL;
	http_stream(conn, on_closed, s);
	if (gone)
		return;
	(void)http_stream_send(conn, "retry: 2000\n\n", 13);
	json_array_foreach(missed, i, event) {
		char *text = event_text("event", event);

		if (text != NULL)
			(void)http_stream_send(conn, text, strlen(text));
		free(text);
	}
	ask(live);
}

static void
got_missed(void *arg, json_t *reply)
{
	begin_stream(arg, json_object_get(reply, "result"));
}

static void
got_list(void *arg, json_t *reply)
{
	reply_verb(arg, reply);
}

void
live_stream(struct request *rq)
{
	const char *accept = rq->conn->field[F_ACCEPT];
	const char *last = rq->conn->field[F_LAST_EVENT_ID];
	bool stream = accept != NULL &&
	    strstr(accept, "text/event-stream") != NULL;
	json_t *args = json_copy(rq->args);

	if (stream && last == NULL) {
		json_decref(args);
		begin_stream(rq, NULL);
		return;
	}
	if (last != NULL)
		json_object_set_new(args, "since",
		    json_integer(strtoll(last, NULL, 10) > 0 ?
		    strtoll(last, NULL, 10) : 0));
	client_call(rq->web->client, &(struct client_request){
	    .verb = "events", .args = args,
	    .done = stream ? got_missed : got_list, .arg = rq });
}

struct live *
live_new(struct web *web)
{
	struct live *live = calloc(1, sizeof(*live));

	if (live == NULL)
		return NULL;
	live->web = web;
	TAILQ_INIT(&live->streams);
	live->timer = evtimer_new(web->base, on_tick, live);
	if (live->timer == NULL) {
		free(live);
		return NULL;
	}
	return live;
}

void
live_free(struct live *live)
{
	struct stream *s;

	if (live == NULL)
		return;
	while ((s = TAILQ_FIRST(&live->streams)) != NULL)
		http_stream_end(s->conn);
	assert(live->nstreams == 0);
	event_free(live->timer);
	free(live);
}
