/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTPS by libevent's evhttp and OpenSSL, with our policy on top: what is not
 * plain and unambiguous is refused before a handler sees it.
 *
 * A request is handed to http->handle() with its body.  It must be answered by
 * exactly one http_reply() or turned into a stream by http_stream(); both may
 * happen later, from another event, also if the peer has gone meanwhile.
 */
#ifndef WEBUI_HTTP_H
#define WEBUI_HTTP_H

#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/err.h"

#define HTTP_CONNS_MAX 256u
#define HTTP_HEAD_MAX ((size_t)16 * 1024)
#define HTTP_BODY_MAX ((size_t)1024 * 1024)
#define HTTP_PEER_SIZE 48

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE,
	HTTP_METHODS };

/* Header fields that we look at. */
enum http_field { F_HOST, F_COOKIE, F_CONTENT_TYPE, F_CONTENT_LENGTH,
	F_AUTHORIZATION, F_ORIGIN, F_SEC_FETCH_SITE, F_IF_MATCH,
	F_IF_NONE_MATCH, F_CSRF, F_LAST_EVENT_ID, F_ACCEPT, F_ACCEPT_ENCODING,
	F_CONNECTION, F_FIELDS };

struct http;
struct tls_conn;

struct http_conn {			/* one request */
	struct http *http;
	struct evhttp_request *req;
	struct evhttp_connection *evcon;	/* valid while it streams */
	char peer[HTTP_PEER_SIZE];
	enum http_method method;
	char *path;			/* still percent-encoded, no query */
	char *query;			/* after '?', or NULL */
	const char *field[F_FIELDS];	/* NULL = absent */
	char *body;			/* NUL-terminated; NULL if empty */
	size_t body_len;
	bool refused;			/* close after the answer */
	/* the handler's, freed by it before it answers */
	void *work;
	/* a stream's; called once when it ends */
	void (*closed)(struct http_conn *conn);
	void *stream;
};

struct http {
	struct event_base *base;
	struct evhttp *evhttp;
	SSL_CTX *tls;			/* replaced when the certificate is */
	int ex_index;			/* of struct tls_conn in an SSL */
	TAILQ_HEAD(, tls_conn) conns;	/* oldest activity first */
	unsigned nconns;
	unsigned request_timeout_s, idle_timeout_s;
	void (*handle)(struct http_conn *conn);
	void *arg;
};

int http_init(struct http *http, struct event_base *base);
void http_fini(struct http *http);
/* Listen on address ("" = any); the port really used is returned in *port. */
int http_listen(struct http *http, const char *address, uint16_t *port,
    struct err *err);

struct http_reply {
	int status;
	const char *type;		/* NULL = no body */
	const void *body;
	size_t len;
	bool cache;			/* else Cache-Control: no-store */
	/* Name, value, ..., NULL */
	const char *fields[9];
};
void http_reply(struct http_conn *conn, const struct http_reply *reply);
/* Begin an endless text/event-stream. */
void http_stream(struct http_conn *conn,
    void (*closed)(struct http_conn *conn), void *stream);
/* False if the peer does not read: end the stream. */
bool http_stream_send(struct http_conn *conn, const void *text, size_t len);
void http_stream_end(struct http_conn *conn);

const char *http_method_name(enum http_method method);
const char *http_status_text(int status);
/* The value of cookie `name` in a Cookie field, copied; false if absent. */
bool http_cookie(const char *field, const char *name, char *value,
    size_t size);

#endif
