/* SPDX-License-Identifier: BSD-2-Clause */
/* What http_stub.h promises. */
#include "tests/fuzz/http_stub.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "webui/cert.h"

#define CALLS_MAX 16u

struct call {
	struct client_request request;
	void (*checked)(void *arg, bool fits);
	bool fits;
};

struct web_stub web_stub;
static struct call calls[CALLS_MAX];

/* --- what is replaced --- */

void __wrap_http_reply(struct http_conn *conn, const struct http_reply *reply);
void __wrap_http_stream(struct http_conn *conn,
    void (*closed)(struct http_conn *conn), void *stream);
bool __wrap_http_stream_send(struct http_conn *conn, const void *text,
    size_t len);
void __wrap_http_stream_end(struct http_conn *conn);
void __wrap_client_call(struct client *client,
    const struct client_request *request);
bool __wrap_client_up(const struct client *client);
bool __wrap_hasher_check(struct hasher *hasher, const char *password,
    const char *hash, void (*done)(void *arg, bool fits), void *arg);
void __wrap_audit_write(struct audit *audit, json_t *entry);
json_t *__wrap_audit_read(struct audit *audit, size_t max);
json_t *__wrap_cert_describe(SSL_CTX *tls);
struct evhttp_connection *__wrap_evhttp_request_get_connection(
    struct evhttp_request *req);

void
__wrap_http_reply(struct http_conn *conn, const struct http_reply *reply)
{
	assert(conn->work == NULL && conn->closed == NULL);
	assert(reply->status >= 200 && reply->status < 600);
	assert(reply->len == 0 || reply->body != NULL);
	assert(reply->status < 400 || reply->len > 0);
	for (size_t i = 0; reply->fields[i] != NULL; i++)
		assert(strpbrk(reply->fields[i], "\r\n") == NULL);
	web_stub.nreplies++;
	web_stub.status = reply->status;
	snprintf(web_stub.body, sizeof(web_stub.body), "%.*s",
	    (int)MIN(reply->len, sizeof(web_stub.body) - 1),
	    reply->body != NULL ? (const char *)reply->body : "");
}

void
__wrap_http_stream(struct http_conn *conn,
    void (*closed)(struct http_conn *conn), void *stream)
{
	assert(conn->work == NULL && conn->closed == NULL);
	conn->closed = closed;
	conn->stream = stream;
	web_stub.nstreams++;
}

bool
__wrap_http_stream_send(struct http_conn *conn, const void *text, size_t len)
{
	assert(conn->closed != NULL && text != NULL && len > 0);
	return true;
}

void
__wrap_http_stream_end(struct http_conn *conn)
{
	void (*closed)(struct http_conn *) = conn->closed;

	assert(closed != NULL);
	conn->closed = NULL;
	closed(conn);
}

void
__wrap_client_call(struct client *client, const struct client_request *request)
{
	(void)client;
	assert(request->verb != NULL && request->verb[0] != '\0');
	assert(request->args == NULL || json_is_object(request->args));
	json_decref(request->args);
	web_stub.verb = request->verb;
	assert(web_stub.ncalls < CALLS_MAX);
	calls[web_stub.ncalls].checked = NULL;
	calls[web_stub.ncalls++].request = *request;
}

bool
__wrap_client_up(const struct client *client)
{
	return client == NULL;
}

bool
__wrap_hasher_check(struct hasher *hasher, const char *password,
    const char *hash, void (*done)(void *arg, bool fits), void *arg)
{
	(void)hasher;
	assert(password != NULL && web_stub.ncalls < CALLS_MAX);
	if (strcmp(password, "full") == 0)
		return false;
	calls[web_stub.ncalls].checked = done;
	calls[web_stub.ncalls].request.arg = arg;
	calls[web_stub.ncalls++].fits = hash != NULL &&
	    strcmp(password, "good") == 0;
	return true;
}

void
__wrap_audit_write(struct audit *audit, json_t *entry)
{
	(void)audit;
	assert(entry != NULL);
	json_decref(entry);
}

json_t *
__wrap_audit_read(struct audit *audit, size_t max)
{
	(void)audit;
	assert(max > 0);
	return json_array();
}

json_t *
__wrap_cert_describe(SSL_CTX *tls)
{
	(void)tls;
	return json_object();
}

struct evhttp_connection *
__wrap_evhttp_request_get_connection(struct evhttp_request *req)
{
	(void)req;
	return (struct evhttp_connection *)&web_stub;
}

/* --- an appliance --- */

static void
begin(void)
{
	struct web *web = &web_stub.web;
	struct err err = { 0 };
	char digest[AUTH_SECRET_SIZE];

	log_set_level(LOG_L_ERR);
	web->api = api_new((const char *)openapi_asset.data, openapi_asset.len,
	    &err);
	web->base = event_base_new();
	assert(web->api != NULL && web->base != NULL);
	web->live = live_new(web);
	assert(web->live != NULL);
	web->http.arg = web;
	snprintf(web->state_dir, sizeof(web->state_dir), "/nonexistent");
	snprintf(web->hostname, sizeof(web->hostname), "box.example.org");
	web->users = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "name",
	    "admin", "role", "admin", "hash", "$y$x", "name", "guest",
	    "role", "viewer", "hash", "$y$y");
	auth_digest(STUB_TOKEN, digest);
	web->tokens = json_pack("[{s:s, s:s, s:s}]", "name", "ci", "role",
	    "admin", "hash", digest);
}

void
web_stub_reset(void)
{
	struct web *web = &web_stub.web;
	char id[AUTH_SECRET_SIZE];

	if (web->api == NULL)
		begin();
	memset(&web->auth, 0, sizeof(web->auth));
	for (unsigned i = 0; i < 2; i++) {
		struct session *s = auth_login(&web->auth, i == 0 ? "admin" :
		    "guest", i == 0 ? ROLE_ADMIN : ROLE_VIEWER, "192.0.2.1",
		    web_now(), id);

		s->proved_s = web_now();
		web_stub.session[i] = s;
		snprintf(web_stub.cookie[i], sizeof(web_stub.cookie[i]),
		    "__Host-sid=%s", id);
		snprintf(web_stub.csrf[i], sizeof(web_stub.csrf[i]), "%s",
		    s->csrf);
	}
	snprintf(web->setup_token, sizeof(web->setup_token),
	    "abcde-fghij-kmnpq-rstuv");
	web_stub.ncalls = web_stub.nreplies = web_stub.nstreams = 0;
	web_stub.status = 0;
	web_stub.verb = NULL;
	web_stub.body[0] = '\0';
}

void
web_stub_handle(struct http_conn *conn, json_t *reply)
{
	api_handle(conn);
	for (unsigned i = 0; i < web_stub.ncalls; i++) {
		struct call call = calls[i];

		if (call.checked != NULL)
			call.checked(call.request.arg, call.fits);
		else
			call.request.done(call.request.arg, i == 0 ? reply :
			    NULL);
	}
	assert(web_stub.nreplies + web_stub.nstreams == 1);
	if (conn->closed != NULL)
		conn->closed(conn);
}
