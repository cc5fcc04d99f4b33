/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page's process: what its files share.  Everything hangs off struct web.
 *
 * A request to the API is a struct request from api_handle() until one of the
 * reply functions below has been called, which frees it.
 */
#ifndef WEBUI_WEB_H
#define WEBUI_WEB_H

#include <jansson.h>

#include "webui/audit.h"
#include "webui/auth.h"
#include "webui/client.h"
#include "webui/hash.h"
#include "webui/http.h"

#define WEB_NAMES_MAX 8u
#define PASSWORD_MIN 12u
#define PASSWORD_MAX 128u

struct api;
struct live;
struct request;

struct web {
	struct event_base *base;
	struct http http;
	struct client *client;
	struct auth auth;
	struct hasher *hasher;
	struct audit *audit;
	struct api *api;
	struct live *live;
	char state_dir[200];
	char hostname[65];
	const char *name[WEB_NAMES_MAX];	/* more names we answer to */
	unsigned nnames;
	uint16_t port;
	/* Copies of what dozod knows, with hashes; NULL = not known yet. */
	json_t *users, *tokens;
	char setup_token[32];		/* empty once a user exists */
};

/* --- api.c --- */

struct operation {
	enum http_method method;
	const char *path;		/* "/pools/{name}" */
	const char *verb;		/* of dozod, or NULL */
	void (*local)(struct request *rq);	/* or one of ours */
	enum role role;			/* needed */
	bool fresh;			/* and a password lately */
	bool creates;			/* 201 if something is new */
	json_t *params;			/* array of the document, or NULL */
};

struct request {
	struct web *web;
	struct http_conn *conn;
	const struct operation *op;
	json_t *args;			/* path, query and body */
	char user[AUTH_NAME_SIZE];	/* empty = nobody */
	enum role role;
	unsigned session;		/* its number; 0 = none or a token */
	char if_match[24];
	char path[200];			/* for the audit log */
	char name[AUTH_NAME_SIZE];	/* local handlers: for the audit log */
	uint64_t limit, offset;		/* paging; limit 0 = all */
	bool dry_run, has_body;
};

/* Read the OpenAPI document; NULL with err. */
struct api *api_new(const char *doc, size_t len, struct err *err);
void api_free(struct api *api);
void api_handle(struct http_conn *conn);

/* `json` is taken over and may be NULL (204); name: one more field, or NULL. */
void reply_json(struct request *rq, int status, json_t *json,
    const char *name, const char *value);
void reply_problem(struct request *rq, int status, const char *code,
    const char *text, const char *hint);
/* A verb's reply, as it came from dozod. */
void reply_verb(struct request *rq, json_t *reply);
/* No answer from dozod. */
void reply_away(struct request *rq);
/* Outside the API, without a request. */
void reply_text(struct http_conn *conn, int status, const char *text);
/* Is a string there, and what? */
const char *request_text(const struct request *rq, const char *name);
struct session *request_session(const struct request *rq);
uint64_t web_now(void);			/* monotonic seconds */

/* --- who.c: users and sessions --- */

/* Fetch users and tokens. */
void who_refresh(struct web *web);
/* Fill user, role and session of the request; false if it was refused. */
bool who_is(struct request *rq);
/* Is the Host field one of our names or an address? */
bool who_host_ok(const struct web *web, const char *host);
/* Bearer token or session of any role; for /metrics. */
bool who_may_read(struct web *web, struct http_conn *conn);

/* --- local.c: operations without a verb; ends with a NULL name --- */

struct local {
	const char *name;
	void (*fn)(struct request *rq);
};
extern const struct local locals[];

/* --- live.c: events and metrics --- */

struct live *live_new(struct web *web);
void live_free(struct live *live);
void live_stream(struct request *rq);
void live_event(struct live *live, json_t *event);
void live_session_gone(struct live *live);
void metrics_handle(struct web *web, struct http_conn *conn);
/* Metrics as text, malloc'ed; pure. */
char *metrics_text(const json_t *status, const json_t *stats);

/* --- assets.c, generated --- */

struct asset {
	const char *path, *type, *etag;
	const unsigned char *data, *gzip;
	size_t len, gzip_len;
};
extern const struct asset assets[];	/* ends with a NULL path */
extern const struct asset openapi_asset;

#endif
