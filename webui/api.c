/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The API.  The OpenAPI document is the table of routes: each operation names
 * the verb of dozod (x-dozo-verb) or the handler here (x-dozo-local), the role
 * it needs and its parameters with their types, so that document and server
 * cannot differ.  Meaning is checked by dozod, which knows.
 *
 * Invariants: an operation without both role "none" and a GET is never run
 * for nobody; every operation that is no GET is written to the audit log with
 * its result; secrets in arguments never reach a log.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/web.h"

#include <assert.h>
#include <errno.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/log.h"
#include "core/util.h"

#define PREFIX "/api/v1"
#define SEGMENTS_MAX 8u

struct api {
	json_t *doc;
	struct operation *op;
	size_t nops;
};

uint64_t
web_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

/* --- the document --- */

static const char *
text_of(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

static int
add_operation(struct api *api, const char *path, const char *method,
    const json_t *obj, struct err *err)
{
	struct operation *op = &api->op[api->nops];
	const char *local = text_of(obj, "x-dozo-local");
	unsigned m = 0;

	while (m < HTTP_METHODS && strcasecmp(http_method_name(
	    (enum http_method)m), method) != 0)
		m++;
	op->method = (enum http_method)m;
	op->path = path;
	op->verb = text_of(obj, "x-dozo-verb");
	for (const struct local *l = locals; local != NULL &&
	    l->name != NULL; l++) {
		if (strcmp(l->name, local) == 0)
			op->local = l->fn;
	}
	op->role = role_parse(text_of(obj, "x-dozo-role"));
	op->fresh = json_is_true(json_object_get(obj, "x-dozo-fresh"));
	op->creates = json_object_get(json_object_get(obj, "responses"),
	    "201") != NULL;
	op->params = json_object_get(obj, "parameters");
	if (m == HTTP_METHODS || (op->verb == NULL) == (op->local == NULL) ||
	    text_of(obj, "x-dozo-role") == NULL)
		return err_set(err, EINVAL, "openapi.json: %s %s is not "
		    "complete", method, path);
	api->nops++;
	return 0;
}

struct api *
api_new(const char *doc, size_t len, struct err *err)
{
	struct api *api = calloc(1, sizeof(*api));
	const char *path, *method;
	json_t *item, *obj, *paths;
	size_t n = 0;

	if (api != NULL)
		api->doc = json_loadb(doc, len, JSON_REJECT_DUPLICATES, NULL);
	if (api == NULL || api->doc == NULL) {
		err_set(err, EINVAL, "openapi.json cannot be read");
		api_free(api);
		return NULL;
	}
	paths = json_object_get(api->doc, "paths");
	json_object_foreach(paths, path, item)
		n += json_object_size(item);
	api->op = calloc(n + 1, sizeof(*api->op));
	json_object_foreach(paths, path, item) {
		json_object_foreach(item, method, obj) {
			if (api->op == NULL || add_operation(api, path,
			    method, obj, err) != 0) {
				api_free(api);
				return NULL;
			}
		}
	}
	assert(api->nops == n);
	return api;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	json_decref(api->doc);
	free(api->op);
	free(api);
}

/* --- replies --- */

static void
audit_request(struct request *rq, int status, const char *code)
{
	if (rq->op == NULL || rq->op->method == HTTP_GET || rq->dry_run)
		return;
	audit_write(rq->web->audit, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i,"
	    " s:s*}", "user", rq->user[0] != '\0' ? rq->user : rq->name,
	    "from", rq->conn->peer, "method",
	    http_method_name(rq->op->method), "path", rq->path,
	    "verb", rq->op->verb != NULL ? rq->op->verb : "", "status",
	    status, "code", code));
}

static void
request_free(struct request *rq)
{
	assert(rq->conn->work == rq);
	rq->conn->work = NULL;
	json_decref(rq->args);
	free(rq);
}

static void
reply_with(struct request *rq, int status, json_t *json, const char *type,
    const char *name, const char *value)
{
	struct http_conn *conn = rq->conn;
	char *body = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

	assert(status >= 200 && status < 600);
	json_decref(json);
	request_free(rq);
	http_reply(conn, &(struct http_reply){ .status = status,
	    .type = body != NULL ? type : NULL, .body = body,
	    .len = body != NULL ? strlen(body) : 0,
	    .fields = { name, value, NULL } });
	free(body);
}

void
reply_json(struct request *rq, int status, json_t *json, const char *name,
    const char *value)
{
	audit_request(rq, status, NULL);
	reply_with(rq, status, json, "application/json", name, value);
}

void
reply_problem(struct request *rq, int status, const char *code,
    const char *text, const char *hint)
{
	json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s}",
	    "type", "about:blank", "title", http_status_text(status),
	    "status", status, "detail", text, "code", code, "text", text,
	    "hint", hint);

	assert(status >= 400 && code[0] != '\0');
	audit_request(rq, status, code);
	reply_with(rq, status, json, "application/problem+json",
	    status == 401 ? "WWW-Authenticate" : NULL, "Bearer");
}

void
reply_away(struct request *rq)
{
	reply_problem(rq, 503, "unavailable", "dozod, the storage daemon, "
	    "does not answer", "It may be starting. If this stays, see its "
	    "log: `journalctl -u dozod`.");
}

void
reply_text(struct http_conn *conn, int status, const char *text)
{
	http_reply(conn, &(struct http_reply){ .status = status,
	    .type = "text/plain; charset=utf-8", .body = text,
	    .len = strlen(text) });
}

static int
status_of_code(const char *code)
{
	static const struct { const char *code; int status; } map[] = {
		{ "invalid", 400 }, { "not_found", 404 },
		{ "conflict", 409 }, { "busy", 409 }, { "changed", 412 },
		{ "no_space", 507 }, { "denied", 403 },
		{ "unsupported", 422 },
	};

	for (size_t i = 0; i < nitems(map); i++) {
		if (strcmp(map[i].code, code) == 0)
			return map[i].status;
	}
	return 500;
}

static void
reply_verb_error(struct request *rq, const json_t *error)
{
	const char *code = text_of(error, "code");
	const char *text = text_of(error, "text");
	const char *hint = text_of(error, "hint");

	assert(rq->op != NULL);
	if (code == NULL || code[0] == '\0')
		code = "failed";
	reply_problem(rq, status_of_code(code), code, text != NULL ? text :
	    "dozod refused without saying why", hint != NULL ? hint : "");
}

/* Cut the part out of a list that was asked for; where the next one is. */
static json_t *
page(struct request *rq, json_t *list, char *next, size_t size)
{
	json_t *out = json_array();
	size_t n = json_array_size(list);

	assert(json_is_array(list));
	assert(rq->limit > 0);
	for (size_t i = rq->offset; i < n && i < rq->offset + rq->limit; i++)
		json_array_append(out, json_array_get(list, i));
	if (rq->offset + rq->limit < n)
		snprintf(next, size, "<%s?limit=%llu&offset=%llu>; "
		    "rel=\"next\"", rq->path,
		    (unsigned long long)rq->limit,
		    (unsigned long long)(rq->offset + rq->limit));
	return out;
}

void
reply_verb(struct request *rq, json_t *reply)
{
	json_t *result = json_object_get(reply, "result");
	json_t *job = json_object_get(reply, "job");
	const char *etag = text_of(result, "etag");
	char value[300] = "";
	const char *name = NULL;
	int status = 200;

	assert(rq->op != NULL);
	if (reply == NULL) {
		reply_away(rq);
		return;
	}
	if (!json_is_true(json_object_get(reply, "ok"))) {
		reply_verb_error(rq, json_object_get(reply, "error"));
		return;
	}
	if (job != NULL) {
		snprintf(value, sizeof(value), PREFIX "/jobs/%d",
		    (int)json_integer_value(json_object_get(job, "id")));
		reply_json(rq, 202, json_incref(job), "Location", value);
		return;
	}
	if (json_is_array(result) && rq->limit > 0) {
		result = page(rq, result, value, sizeof(value));
		name = value[0] != '\0' ? "Link" : NULL;
	} else {
		json_incref(result);
		if (etag != NULL) {
			snprintf(value, sizeof(value), "\"%.40s\"", etag);
			name = "ETag";
		}
	}
	if (rq->op->creates && !rq->dry_run &&
	    json_is_true(json_object_get(result, "changed")))
		status = 201;
	reply_json(rq, status, json_is_null(result) ? json_object() : result,
	    name, value);
}

static void
verb_done(void *arg, json_t *reply)
{
	reply_verb(arg, reply);
}

/* --- arguments --- */

const char *
request_text(const struct request *rq, const char *name)
{
	return text_of(rq->args, name);
}

/* A parameter of the document, by name. */
static const json_t *
find_param(const struct operation *op, const char *name)
{
	json_t *param;
	size_t i;

	assert(op != NULL);
	json_array_foreach(op->params, i, param) {
		const char *has = text_of(param, "name");

		if (has != NULL && strcmp(has, name) == 0)
			return param;
	}
	return NULL;
}

static json_t *
typed_value(const json_t *param, const char *text)
{
	const char *type = text_of(json_object_get(param, "schema"), "type");
	char *end;

	if (type != NULL && strcmp(type, "boolean") == 0)
		return strcmp(text, "true") == 0 ? json_true() :
		    strcmp(text, "false") == 0 ? json_false() : NULL;
	if (type != NULL && strcmp(type, "integer") == 0) {
		unsigned long long v = strtoull(text, &end, 10);

		return *text >= '0' && *text <= '9' && *end == '\0' &&
		    v < (1ull << 53) ? json_integer((json_int_t)v) : NULL;
	}
	return json_string(text);
}

/* One of the parameters that every operation of its kind has. */
static bool
common_param(struct request *rq, const char *name, const json_t *value)
{
	if (strcmp(name, "dry_run") == 0)
		rq->dry_run = json_is_true(value);
	else if (strcmp(name, "limit") == 0)
		rq->limit = (uint64_t)json_integer_value(value);
	else if (strcmp(name, "offset") == 0)
		rq->offset = (uint64_t)json_integer_value(value);
	else
		return false;
	return true;
}

static bool
add_param(struct request *rq, const char *name, const char *value)
{
	const json_t *param = find_param(rq->op, name);
	json_t *json = param != NULL ? typed_value(param, value) : NULL;
	char text[200];

	assert(rq->op != NULL && rq->args != NULL);
	if (json == NULL) {
		snprintf(text, sizeof(text), param == NULL ?
		    "there is no parameter \"%.60s\" here" :
		    "parameter \"%.60s\" has a bad value", name);
		reply_problem(rq, 400, "invalid", text,
		    "See /openapi.json for what is known.");
		return false;
	}
	if (!common_param(rq, name, json))
		json_object_set(rq->args, name, json);
	json_decref(json);
	return true;
}

static bool
add_query(struct request *rq)
{
	struct evkeyvalq query;
	struct evkeyval *kv;
	bool ok = true;

	if (rq->conn->query == NULL || rq->conn->query[0] == '\0')
		return true;
	if (evhttp_parse_query_str(rq->conn->query, &query) != 0) {
		reply_problem(rq, 400, "invalid", "the query cannot be read",
		    "");
		return false;
	}
	TAILQ_FOREACH(kv, &query, next) {
		ok = add_param(rq, kv->key, kv->value);
		if (!ok)
			break;
	}
	evhttp_clear_headers(&query);
	return ok;
}

static bool
add_body(struct request *rq)
{
	const char *type = rq->conn->field[F_CONTENT_TYPE];
	json_error_t why;
	json_t *body;
	char text[300];

	assert(rq->args != NULL);
	if (rq->conn->body_len == 0)
		return true;
	if (type == NULL || strncasecmp(type, "application/json", 16) != 0 ||
	    (type[16] != '\0' && type[16] != ';')) {
		reply_problem(rq, 415, "invalid", "the body must be "
		    "application/json", "Set the field Content-Type.");
		return false;
	}
	body = json_loadb(rq->conn->body, rq->conn->body_len,
	    JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(body)) {
		snprintf(text, sizeof(text), "the body is not a JSON object: "
		    "%.160s", body == NULL ? why.text : "another type");
		json_decref(body);
		reply_problem(rq, 400, "invalid", text, "");
		return false;
	}
	json_object_update(rq->args, body);
	json_decref(body);
	return true;
}

/* --- routes --- */

static unsigned
split(char *path, char *segments[SEGMENTS_MAX])
{
	unsigned n = 0;
	char *segment;

	assert(path != NULL);
	while (n < SEGMENTS_MAX && (segment = strsep(&path, "/")) != NULL)
		segments[n++] = segment;
	return path == NULL ? n : 0;
}

/* Does the path fit the template?  Then its parts go to args. */
static bool
path_fits(const char *template, char *const segments[], unsigned n,
    json_t *args)
{
	char copy[200], *want[SEGMENTS_MAX];

	snprintf(copy, sizeof(copy), "%s", template);
	if (split(copy, want) != n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(want[i]);

		if (want[i][0] != '{') {
			if (strcmp(want[i], segments[i]) != 0)
				return false;
			continue;
		}
		assert(want[i][len - 1] == '}');
		want[i][len - 1] = '\0';
		if (segments[i][0] == '\0')
			return false;
		if (args != NULL)
			json_object_set_new(args, want[i] + 1,
			    json_string(segments[i]));
	}
	return true;
}

/* Parts of the path that are one argument or no text for dozod. */
static void
join_path_args(struct request *rq)
{
	const char *path = rq->op->path;
	const char *pool = request_text(rq, "pool");
	const char *volume = request_text(rq, "volume");
	const json_t *id = find_param(rq->op, "id");
	char text[2 * AUTH_NAME_SIZE + 2];
	json_t *value;

	assert(rq->op != NULL && rq->args != NULL);
	if (strstr(path, "{pool}/{volume}") != NULL && pool != NULL &&
	    volume != NULL) {
		snprintf(text, sizeof(text), "%.64s/%.64s", pool, volume);
		json_object_set_new(rq->args, "volume", json_string(text));
		json_object_del(rq->args, "pool");
	}
	if (id != NULL && request_text(rq, "id") != NULL) {
		value = typed_value(id, request_text(rq, "id"));
		json_object_set_new(rq->args, "id", value != NULL ? value :
		    json_integer(0));
	}
}

static const struct operation *
find_operation(const struct api *api, enum http_method method,
    char *const segments[], unsigned n, bool *path_known)
{
	const struct operation *found = NULL;

	assert(method != HTTP_HEAD && n > 0);
	*path_known = false;
	for (size_t i = 0; i < api->nops; i++) {
		const struct operation *op = &api->op[i];

		if (!path_fits(op->path, segments, n, NULL))
			continue;
		*path_known = true;
		/* A literal path goes before a template. */
		if (op->method == method && (found == NULL ||
		    strchr(op->path, '{') == NULL))
			found = op;
	}
	return found;
}

/* Decode in place; false for what has no place in a name. */
static bool
unescape(char *segment)
{
	size_t len = 0;
	char *text = evhttp_uridecode(segment, 0, &len);
	bool ok = text != NULL && len == strlen(text) &&
	    len <= strlen(segment);

	assert(segment != NULL);
	for (size_t i = 0; ok && i < len; i++)
		ok = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
	if (ok)
		memcpy(segment, text, len + 1);
	free(text);
	return ok;
}

/* Set rq->op and the path's arguments; false if that was refused. */
static bool
route(struct request *rq)
{
	char *segments[SEGMENTS_MAX], path[200];
	const char *full = rq->conn->path;
	enum http_method method = rq->conn->method == HTTP_HEAD ? HTTP_GET :
	    rq->conn->method;
	bool known = false, bad = false;
	unsigned n;

	snprintf(path, sizeof(path), "%s", full + strlen(PREFIX));
	snprintf(rq->path, sizeof(rq->path), "%s", full);
	n = strlen(full) < sizeof(path) ? split(path, segments) : 0;
	for (unsigned i = 0; i < n; i++)
		bad = bad || !unescape(segments[i]);
	if (n > 0 && !bad)
		rq->op = find_operation(rq->web->api, method, segments, n,
		    &known);
	if (rq->op == NULL) {
		if (known)
			reply_problem(rq, 405, "invalid", "this path does not "
			    "take this method", "See /openapi.json.");
		else
			reply_problem(rq, 404, "not_found", "there is no such "
			    "path in the API", "See /openapi.json.");
		return false;
	}
	(void)path_fits(rq->op->path, segments, n, rq->args);
	return true;
}

static void
run(struct request *rq)
{
	json_t *args;

	assert((rq->op->local == NULL) != (rq->op->verb == NULL));
	assert(rq->role >= rq->op->role);
	if (rq->op->local != NULL) {
		rq->op->local(rq);
		return;
	}
	args = rq->args;
	rq->args = NULL;
	client_call(rq->web->client, &(struct client_request){
	    .verb = rq->op->verb, .args = args, .dry_run = rq->dry_run,
	    .if_match = rq->if_match[0] != '\0' ? rq->if_match : NULL,
	    .by = rq->user[0] != '\0' ? rq->user : NULL,
	    .done = verb_done, .arg = rq });
}

static void
take_if_match(struct request *rq)
{
	const char *text = rq->conn->field[F_IF_MATCH];

	assert(rq->if_match[0] == '\0');
	if (text == NULL || strcmp(text, "*") == 0)
		return;
	if (*text == '"')
		text++;
	snprintf(rq->if_match, sizeof(rq->if_match), "%.*s",
	    (int)strcspn(text, "\""), text);
}

static void
api_request(struct web *web, struct http_conn *conn)
{
	struct request *rq = calloc(1, sizeof(*rq));
	json_t *path_args;

	assert(conn->work == NULL);
	if (rq == NULL) {
		reply_text(conn, 503, "out of memory\n");
		return;
	}
	rq->web = web;
	rq->conn = conn;
	rq->args = json_object();
	conn->work = rq;
	take_if_match(rq);
	if (!route(rq) || !who_is(rq))
		return;
	/* The path wins over the body. */
	path_args = json_copy(rq->args);
	if (!add_body(rq) || !add_query(rq)) {
		json_decref(path_args);
		return;
	}
	json_object_update(rq->args, path_args);
	json_decref(path_args);
	join_path_args(rq);
	run(rq);
}

/* --- everything else --- */

static void
asset_reply(struct http_conn *conn, const struct asset *asset)
{
	const char *encoding = conn->field[F_ACCEPT_ENCODING];
	const char *has = conn->field[F_IF_NONE_MATCH];
	bool gzip = encoding != NULL && strstr(encoding, "gzip") != NULL;
	bool same = has != NULL && strstr(has, asset->etag) != NULL;
	char etag[40];

	assert(asset->len > 0 && asset->gzip_len > 0);
	snprintf(etag, sizeof(etag), "\"%s\"", asset->etag);
	http_reply(conn, &(struct http_reply){ .status = same ? 304 : 200,
	    .type = asset->type, .body = gzip ? asset->gzip : asset->data,
	    .len = gzip ? asset->gzip_len : asset->len, .cache = true,
	    .fields = { "ETag", etag, "Vary", "Accept-Encoding",
	    "Cache-Control", conn->query != NULL ?
	    "max-age=31536000, immutable" : "no-cache",
	    gzip ? "Content-Encoding" : NULL, "gzip", NULL } });
}

static void
other_request(struct web *web, struct http_conn *conn)
{
	const char *path = strcmp(conn->path, "/") == 0 ? "/index.html" :
	    conn->path;

	if (conn->method != HTTP_GET && conn->method != HTTP_HEAD) {
		reply_text(conn, 405, "not here\n");
		return;
	}
	if (strcmp(path, "/healthz") == 0) {
		reply_text(conn, client_up(web->client) ? 200 : 503,
		    client_up(web->client) ? "ok\n" : "unavailable\n");
		return;
	}
	if (strcmp(path, "/metrics") == 0) {
		metrics_handle(web, conn);
		return;
	}
	if (strcmp(path, openapi_asset.path) == 0) {
		asset_reply(conn, &openapi_asset);
		return;
	}
	for (const struct asset *a = assets; a->path != NULL; a++) {
		if (strcmp(a->path, path) == 0) {
			asset_reply(conn, a);
			return;
		}
	}
	reply_text(conn, 404, "not found\n");
}

void
api_handle(struct http_conn *conn)
{
	struct web *web = conn->http->arg;
	size_t len = strlen(PREFIX);

	assert(conn->field[F_HOST] != NULL);
	if (!who_host_ok(web, conn->field[F_HOST])) {
		reply_text(conn, 421, "This is not a name of this box. Use "
		    "its address, or allow the name with page-name in "
		    "dozo.conf.\n");
		return;
	}
	if (strncmp(conn->path, PREFIX, len) == 0 &&
	    (conn->path[len] == '/' || conn->path[len] == '\0'))
		api_request(web, conn);
	else
		other_request(web, conn);
}
