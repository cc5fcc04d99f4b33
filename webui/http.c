/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTPS on evhttp.
 *
 * evhttp parses; policy() refuses what two parsers could read in two ways:
 * Transfer-Encoding, a field twice, a length that is not plain digits, a body
 * where none belongs (GET, DELETE).  A refusal ends the connection.  evhttp
 * itself accepts a bare LF as line end and folded fields; without a proxy in
 * front that shares connections between clients there is nobody to smuggle
 * past (tests/ui has the vectors).
 *
 * Invariants: a connection has a deadline that received bytes do not move
 * unless a request of it is being handled; with HTTP_CONNS_MAX connections
 * the one that was idle longest makes room; a struct http_conn lives until
 * its reply or the end of its stream.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"

#define STREAM_BACKLOG ((size_t)512 * 1024)
#define PATH_MAX_LEN 4096u

/* One TLS connection; freed with its SSL. */
struct tls_conn {
	TAILQ_ENTRY(tls_conn) link;
	struct http *http;
	struct bufferevent *bev;
	struct event *deadline;
	bool busy;			/* a request is being handled */
	bool dying;			/* shut down, evhttp will see it */
};

static const char *const methods[HTTP_METHODS] = {
	[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT", [HTTP_DELETE] = "DELETE",
};

static const char *const fields[F_FIELDS] = {
	[F_HOST] = "host", [F_COOKIE] = "cookie",
	[F_CONTENT_TYPE] = "content-type",
	[F_CONTENT_LENGTH] = "content-length",
	[F_AUTHORIZATION] = "authorization", [F_ORIGIN] = "origin",
	[F_SEC_FETCH_SITE] = "sec-fetch-site", [F_IF_MATCH] = "if-match",
	[F_IF_NONE_MATCH] = "if-none-match", [F_CSRF] = "x-csrf-token",
	[F_LAST_EVENT_ID] = "last-event-id", [F_ACCEPT] = "accept",
	[F_ACCEPT_ENCODING] = "accept-encoding",
	[F_CONNECTION] = "connection",
};

/* What every answer carries; the page needs nothing from elsewhere. */
static const char *const security_fields[][2] = {
	{ "Content-Security-Policy", "default-src 'none'; script-src 'self'; "
	    "style-src 'self'; img-src 'self' data:; connect-src 'self'; "
	    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Permissions-Policy", "camera=(), geolocation=(), microphone=(), "
	    "payment=(), usb=()" },
};

const char *
http_method_name(enum http_method method)
{
	assert((unsigned)method < HTTP_METHODS);
	return methods[method];
}

const char *
http_status_text(int status)
{
	static const struct { int status; const char *text; } texts[] = {
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
		{ 204, "No Content" }, { 304, "Not Modified" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 409, "Conflict" },
		{ 412, "Precondition Failed" }, { 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < nitems(texts); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "Status";
}

bool
http_cookie(const char *field, const char *name, char *value, size_t size)
{
	size_t len = strlen(name), n;

	while (field != NULL && *field != '\0') {
		while (*field == ' ' || *field == ';')
			field++;
		n = strcspn(field, ";");
		if (n > len && strncmp(field, name, len) == 0 &&
		    field[len] == '=') {
			if (n - len - 1 >= size)
				return false;
			memcpy(value, field + len + 1, n - len - 1);
			value[n - len - 1] = '\0';
			return true;
		}
		field += n;
	}
	return false;
}

/* --- TLS connections --- */

/* evhttp sees the end of the connection and cleans up. */
static void
tls_conn_kill(struct tls_conn *tc)
{
	int fd = bufferevent_getfd(tc->bev);

	assert(tc->bev != NULL);
	tc->dying = true;
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tls_conn_kill(arg);
}

static void
set_deadline(struct tls_conn *tc, unsigned seconds)
{
	struct timeval tv = { .tv_sec = (time_t)seconds };

	assert(seconds > 0);
	evtimer_add(tc->deadline, &tv);
	TAILQ_REMOVE(&tc->http->conns, tc, link);
	TAILQ_INSERT_TAIL(&tc->http->conns, tc, link);
}

/* Called by OpenSSL when the SSL is freed, and so the connection. */
static void
tls_conn_free(void *ssl, void *ptr, CRYPTO_EX_DATA *data, int index,
    long argl, void *argp)
{
	struct tls_conn *tc = ptr;

	(void)ssl;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	if (tc == NULL)
		return;
	assert(tc->http->nconns > 0);
	TAILQ_REMOVE(&tc->http->conns, tc, link);
	tc->http->nconns--;
	event_free(tc->deadline);
	free(tc);
}

/* Let the one that has been idle longest go. */
static void
make_room(struct http *http)
{
	struct tls_conn *tc;

	assert(http->nconns >= HTTP_CONNS_MAX);
	TAILQ_FOREACH(tc, &http->conns, link) {
		if (!tc->busy && !tc->dying) {
			tls_conn_kill(tc);
			return;
		}
	}
}

/* For each connection evhttp accepts; NULL would mean plain HTTP: never. */
static struct bufferevent *
new_bufferevent(struct event_base *base, void *arg)
{
	struct http *http = arg;
	struct tls_conn *tc = calloc(1, sizeof(*tc));
	SSL *ssl = SSL_new(http->tls);

	if (http->nconns >= HTTP_CONNS_MAX)
		make_room(http);
	if (tc != NULL)
		tc->deadline = evtimer_new(base, on_deadline, tc);
	if (ssl != NULL && tc != NULL && tc->deadline != NULL)
		tc->bev = bufferevent_openssl_socket_new(base, -1, ssl,
		    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (tc == NULL || tc->bev == NULL) {
		log_err("out of memory");
		exit(1);	/* dozod starts us again */
	}
	bufferevent_openssl_set_allow_dirty_shutdown(tc->bev, 1);
	tc->http = http;
	TAILQ_INSERT_TAIL(&http->conns, tc, link);
	http->nconns++;
	SSL_set_ex_data(ssl, http->ex_index, tc);
	set_deadline(tc, http->request_timeout_s);
	return tc->bev;
}

static struct tls_conn *
tls_conn_of(struct http *http, struct evhttp_connection *evcon)
{
	SSL *ssl = bufferevent_openssl_get_ssl(
	    evhttp_connection_get_bufferevent(evcon));

	assert(ssl != NULL);
	return SSL_get_ex_data(ssl, http->ex_index);
}

/* --- replies --- */

static void
conn_free(struct http_conn *conn)
{
	assert(conn->req != NULL);
	assert(conn->work == NULL);
	free(conn->path);
	free(conn->body);
	free(conn);
}

static void
add_fields(struct evhttp_request *req, bool cache)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);

	assert(req != NULL);
	for (size_t i = 0; i < nitems(security_fields); i++)
		evhttp_add_header(out, security_fields[i][0],
		    security_fields[i][1]);
	if (!cache)
		evhttp_add_header(out, "Cache-Control", "no-store");
}

/* The request is over: from now on the connection is idle. */
static void
on_complete(struct evhttp_request *req, void *arg)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct http *http = arg;
	struct tls_conn *tc;

	assert(http->evhttp != NULL);
	if (evcon == NULL)
		return;
	tc = tls_conn_of(http, evcon);
	tc->busy = false;
	set_deadline(tc, http->idle_timeout_s);
}

void
http_reply(struct http_conn *conn, const struct http_reply *reply)
{
	struct evhttp_request *req = conn->req;
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evhttp_request_get_output_buffer(req);

	assert(conn->work == NULL && conn->closed == NULL);
	add_fields(req, reply->cache);
	for (size_t i = 0; i + 1 < nitems(reply->fields) &&
	    reply->fields[i] != NULL; i += 2)
		evhttp_add_header(out, reply->fields[i],
		    reply->fields[i + 1]);
	if (reply->type != NULL)
		evhttp_add_header(out, "Content-Type", reply->type);
	if (conn->refused)
		evhttp_add_header(out, "Connection", "close");
	if (reply->len > 0 && conn->method != HTTP_HEAD &&
	    reply->status != 204 && reply->status != 304)
		evbuffer_add(body, reply->body, reply->len);
	evhttp_request_set_on_complete_cb(req, on_complete, conn->http);
	evhttp_send_reply(req, reply->status,
	    http_status_text(reply->status), NULL);
	conn_free(conn);
}

/* --- streams --- */

static void
on_stream_closed(struct evhttp_connection *evcon, void *arg)
{
	struct http_conn *conn = arg;

	(void)evcon;
	assert(conn->closed != NULL);
	conn->closed(conn);
	/* evhttp has let go of it: this frees it. */
	evhttp_send_reply_end(conn->req);
	conn_free(conn);
}

void
http_stream(struct http_conn *conn, void (*closed)(struct http_conn *conn),
    void *stream)
{
	assert(conn->work == NULL && closed != NULL);
	conn->stream = stream;
	conn->evcon = evhttp_request_get_connection(conn->req);
	if (conn->evcon == NULL) {		/* gone while we asked */
		closed(conn);
		evhttp_send_reply_end(conn->req);
		conn_free(conn);
		return;
	}
	conn->closed = closed;
	add_fields(conn->req, false);
	evhttp_add_header(evhttp_request_get_output_headers(conn->req),
	    "Content-Type", "text/event-stream");
	evhttp_add_header(evhttp_request_get_output_headers(conn->req),
	    "Connection", "close");
	evhttp_connection_set_closecb(conn->evcon, on_stream_closed, conn);
	evhttp_send_reply_start(conn->req, 200, "OK");
}

bool
http_stream_send(struct http_conn *conn, const void *text, size_t len)
{
	struct bufferevent *bev =
	    evhttp_connection_get_bufferevent(conn->evcon);
	struct evbuffer *chunk;

	assert(conn->closed != NULL && len > 0);
	if (evbuffer_get_length(bufferevent_get_output(bev)) + len >
	    STREAM_BACKLOG)
		return false;
	chunk = evbuffer_new();
	if (chunk == NULL)
		return false;
	evbuffer_add(chunk, text, len);
	evhttp_send_reply_chunk(conn->req, chunk);
	evbuffer_free(chunk);
	return true;
}

void
http_stream_end(struct http_conn *conn)
{
	assert(conn->closed != NULL);
	conn->closed(conn);
	evhttp_connection_set_closecb(conn->evcon, NULL, NULL);
	evhttp_send_reply_end(conn->req);
	conn_free(conn);
}

/* --- requests --- */

static bool
is_digits(const char *text)
{
	return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* A field's name is a token, its value has no control characters. */
static bool
field_ok(const char *name, const char *value)
{
	if (*name == '\0' || strpbrk(name, " \t\"(),/:;<=>?@[\\]{}") != NULL)
		return false;
	for (const char *p = value; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Take the fields; 0, or the status to refuse with. */
static int
policy_fields(struct http_conn *conn, struct evhttp_request *req)
{
	struct evkeyval *kv;
	unsigned f;

	assert(conn->req == req);
	TAILQ_FOREACH(kv, evhttp_request_get_input_headers(req), next) {
		if (!field_ok(kv->key, kv->value))
			return 400;
		if (strcasecmp(kv->key, "transfer-encoding") == 0)
			return 501;
		for (f = 0; f < F_FIELDS &&
		    strcasecmp(fields[f], kv->key) != 0; f++)
			;
		if (f == F_FIELDS)
			continue;
		if (conn->field[f] != NULL)
			return 400;	/* twice */
		conn->field[f] = kv->value;
	}
	return conn->field[F_HOST] == NULL ? 400 : 0;
}

static int
policy(struct http_conn *conn, struct evhttp_request *req)
{
	const char *uri = evhttp_request_get_uri(req);
	const char *length;
	int status = policy_fields(conn, req);

	if (status != 0)
		return status;
	if (uri[0] != '/' || strchr(uri, '#') != NULL)
		return 400;
	if (strlen(uri) > PATH_MAX_LEN)
		return 414;
	for (const char *p = uri; *p != '\0'; p++) {
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
			return 400;
	}
	length = conn->field[F_CONTENT_LENGTH];
	if (length != NULL && !is_digits(length))
		return 400;
	/* Some servers would take it for the next request. */
	if (length != NULL && strspn(length, "0") != strlen(length) &&
	    conn->method != HTTP_POST && conn->method != HTTP_PUT)
		return 400;
	return 0;
}

static void
take_method(struct http_conn *conn, struct evhttp_request *req)
{
	switch (evhttp_request_get_command(req)) {
	case EVHTTP_REQ_HEAD: conn->method = HTTP_HEAD; return;
	case EVHTTP_REQ_POST: conn->method = HTTP_POST; return;
	case EVHTTP_REQ_PUT: conn->method = HTTP_PUT; return;
	case EVHTTP_REQ_DELETE: conn->method = HTTP_DELETE; return;
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_OPTIONS:
	case EVHTTP_REQ_TRACE:
	case EVHTTP_REQ_CONNECT:
	case EVHTTP_REQ_PATCH:
		conn->method = HTTP_GET;	/* others are not allowed */
		return;
	}
}

static void
take_peer(struct http_conn *conn, struct evhttp_connection *evcon)
{
	char *peer = NULL;
	uint16_t port;

	assert(conn->peer[0] == '\0');
	evhttp_connection_get_peer(evcon, &peer, &port);
	if (peer == NULL)
		return;
	if (strncasecmp(peer, "::ffff:", 7) == 0)
		peer += 7;
	snprintf(conn->peer, sizeof(conn->peer), "%s", peer);
}

static bool
take_path_and_body(struct http_conn *conn, struct evhttp_request *req)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);

	conn->path = strdup(evhttp_request_get_uri(req));
	if (conn->path == NULL)
		return false;
	conn->query = strchr(conn->path, '?');
	if (conn->query != NULL)
		*conn->query++ = '\0';
	conn->body_len = evbuffer_get_length(in);
	assert(conn->body_len <= HTTP_BODY_MAX);
	if (conn->body_len == 0)
		return true;
	conn->body = malloc(conn->body_len + 1);
	if (conn->body == NULL)
		return false;
	evbuffer_remove(in, conn->body, conn->body_len);
	conn->body[conn->body_len] = '\0';
	return true;
}

static void
refuse(struct http_conn *conn, int status)
{
	char body[240];
	int n;

	assert(status >= 400 && status < 600);
	n = snprintf(body, sizeof(body), "{\"type\":\"about:blank\","
	    "\"title\":\"%s\",\"status\":%d,\"detail\":\"The request is not "
	    "acceptable HTTP.\",\"code\":\"invalid\",\"text\":\"The request "
	    "is not acceptable HTTP.\",\"hint\":\"\"}\n",
	    http_status_text(status), status);
	assert(n > 0 && (size_t)n < sizeof(body));
	conn->refused = true;
	http_reply(conn, &(struct http_reply){ .status = status,
	    .type = "application/problem+json", .body = body,
	    .len = (size_t)n });
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct http *http = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct http_conn *conn = calloc(1, sizeof(*conn));
	struct tls_conn *tc = tls_conn_of(http, evcon);
	int status;

	if (conn == NULL) {
		evhttp_send_error(req, 503, NULL);
		return;
	}
	tc->busy = true;
	evtimer_del(tc->deadline);
	conn->http = http;
	conn->req = req;
	take_method(conn, req);
	take_peer(conn, evcon);
	status = policy(conn, req);
	if (status == 0 && !take_path_and_body(conn, req))
		status = 503;
	if (status != 0)
		refuse(conn, status);
	else
		http->handle(conn);
}

/* --- life --- */

int
http_init(struct http *http, struct event_base *base)
{
	memset(http, 0, sizeof(*http));
	http->base = base;
	http->request_timeout_s = 10;
	http->idle_timeout_s = 60;
	TAILQ_INIT(&http->conns);
	http->ex_index = SSL_get_ex_new_index(0, NULL, NULL, NULL,
	    tls_conn_free);
	http->evhttp = evhttp_new(base);
	if (http->ex_index < 0 || http->evhttp == NULL)
		return -ENOMEM;
	evhttp_set_bevcb(http->evhttp, new_bufferevent, http);
	evhttp_set_gencb(http->evhttp, on_request, http);
	evhttp_set_max_headers_size(http->evhttp, (ev_ssize_t)HTTP_HEAD_MAX);
	evhttp_set_max_body_size(http->evhttp, (ev_ssize_t)HTTP_BODY_MAX);
	evhttp_set_timeout(http->evhttp, 120);
	evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET |
	    EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
	    EVHTTP_REQ_DELETE);
	return 0;
}

void
http_fini(struct http *http)
{
	if (http->evhttp != NULL)
		evhttp_free(http->evhttp);
	http->evhttp = NULL;
	SSL_CTX_free(http->tls);
	http->tls = NULL;
}

static int
make_socket(const char *address, uint16_t port, struct err *err)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port), .sin6_addr = in6addr_any };
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	bool v4 = inet_pton(AF_INET, address, &in.sin_addr) == 1;
	const struct sockaddr *addr = v4 ? (const void *)&in :
	    (const void *)&in6;
	socklen_t len = v4 ? sizeof(in) : sizeof(in6);
	int fd, on = 1, off = 0;

	if (!v4 && address[0] != '\0' &&
	    inet_pton(AF_INET6, address, &in6.sin6_addr) != 1)
		return err_set(err, EINVAL, "\"%.60s\" is not an IP address",
		    address);
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	if (fd < 0 && address[0] == '\0' && errno == EAFNOSUPPORT)
		return make_socket("0.0.0.0", port, err);
	if (fd < 0)
		return err_set(err, errno, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!v4)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    address[0] == '\0' ? &off : &on, sizeof(on));
	if (bind(fd, addr, len) != 0 || listen(fd, 128) != 0) {
		err_set(err, errno, "cannot listen on %s port %u: %s",
		    address[0] != '\0' ? address : "*", port,
		    strerror(errno));
		err_hint(err, "Choose another page-port in dozo.conf, or stop "
		    "what uses this one (`ss -ltnp` shows it).");
		close(fd);
		return -1;
	}
	return fd;
}

int
http_listen(struct http *http, const char *address, uint16_t *port,
    struct err *err)
{
	struct sockaddr_in6 bound;
	socklen_t len = sizeof(bound);
	int fd = make_socket(address, *port, err);

	assert(http->evhttp != NULL);
	if (fd < 0)
		return -1;
	/* The port is at the same place in both families. */
	if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
		*port = ntohs(bound.sin6_port);
	if (evhttp_accept_socket(http->evhttp, fd) != 0) {
		close(fd);
		return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}
