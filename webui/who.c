/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may do what: names we answer to, sessions by cookie, API tokens, the
 * proof that a change was asked for by our own page, roles.
 *
 * Invariants: cookie and token are never combined; a request by cookie that
 * is no GET has the session's CSRF token and comes from our own origin; what
 * is not known to be allowed is refused.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/web.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/log.h"

#define COOKIE "__Host-sid"

/* --- names --- */

/* "name:port" or "[::1]:port" without brackets and port. */
static bool
host_name(const char *host, char *name, size_t size)
{
	const char *end;

	assert(size > 1);
	if (*host == '[') {
		end = strchr(++host, ']');
	} else {
		end = strchr(host, ':');
		if (end == NULL)
			end = host + strlen(host);
	}
	if (end == NULL || end == host || (size_t)(end - host) >= size)
		return false;
	memcpy(name, host, (size_t)(end - host));
	name[end - host] = '\0';
	end += *end == ']';
	return *end == '\0' || (*end == ':' &&
	    strspn(end + 1, "0123456789") == strlen(end + 1));
}

/*
 * An address in figures cannot be the work of a foreign name server; a name
 * must be ours.
 */
bool
who_host_ok(const struct web *web, const char *host)
{
	char name[256], local[80];
	unsigned char addr[16];
	size_t first = strcspn(web->hostname, ".");

	if (!host_name(host, name, sizeof(name)))
		return false;
	if (inet_pton(AF_INET, name, addr) == 1 ||
	    inet_pton(AF_INET6, name, addr) == 1 ||
	    strcasecmp(name, "localhost") == 0 ||
	    strcasecmp(name, web->hostname) == 0)
		return true;
	snprintf(local, sizeof(local), "%.*s", (int)first, web->hostname);
	if (strcasecmp(name, local) == 0)
		return true;
	snprintf(local, sizeof(local), "%.*s.local", (int)first,
	    web->hostname);
	if (strcasecmp(name, local) == 0)
		return true;
	for (unsigned i = 0; i < web->nnames; i++) {
		if (strcasecmp(name, web->name[i]) == 0)
			return true;
	}
	return false;
}

/* --- users and tokens --- */

static const json_t *
find_named(const json_t *list, const char *name)
{
	const json_t *item;
	size_t i;

	assert(name != NULL);
	json_array_foreach(list, i, item) {
		const char *has = json_string_value(json_object_get(item,
		    "name"));

		if (has != NULL && strcmp(has, name) == 0)
			return item;
	}
	return NULL;
}

/* End the sessions of users who are gone or changed. */
static void
drop_changed(struct web *web, const json_t *old)
{
	const json_t *item, *now;
	size_t i;

	json_array_foreach(old, i, item) {
		const char *name = json_string_value(json_object_get(item,
		    "name"));

		now = find_named(web->users, name);
		if (now == NULL || !json_equal(now, item)) {
			auth_drop_user(&web->auth, name);
			live_session_gone(web->live);
		}
	}
}

/* Four groups of five, without letters that look alike. */
static void
make_setup_token(struct web *web)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	char secret[AUTH_SECRET_SIZE];
	char *to = web->setup_token;

	assert(web->setup_token[0] == '\0');
	assert(sizeof(letters) == 33);
	auth_secret(secret);
	for (unsigned i = 0; i < 20; i++) {
		char pair[3] = { secret[2 * i], secret[2 * i + 1], '\0' };

		if (i > 0 && i % 5 == 0)
			*to++ = '-';
		*to++ = letters[strtoul(pair, NULL, 16) % 32];
	}
	*to = '\0';
	log_info("nobody can log in to the page yet: set-up token %s",
	    web->setup_token);
}

static void
got_users(void *arg, json_t *reply)
{
	struct web *web = arg;
	json_t *list = json_object_get(reply, "result");
	json_t *old = web->users;

	if (!json_is_array(list))
		return;
	web->users = json_incref(list);
	drop_changed(web, old);
	json_decref(old);
	if (json_array_size(list) > 0)
		web->setup_token[0] = '\0';
	else if (web->setup_token[0] == '\0')
		make_setup_token(web);
}

static void
got_tokens(void *arg, json_t *reply)
{
	struct web *web = arg;
	json_t *list = json_object_get(reply, "result");

	if (!json_is_array(list))
		return;
	json_decref(web->tokens);
	web->tokens = json_incref(list);
}

void
who_refresh(struct web *web)
{
	client_call(web->client, &(struct client_request){
	    .verb = "user.list", .args = json_pack("{s:b}", "hashes", 1),
	    .done = got_users, .arg = web });
	client_call(web->client, &(struct client_request){
	    .verb = "token.list", .args = json_pack("{s:b}", "hashes", 1),
	    .done = got_tokens, .arg = web });
}

/* The token's entry, or NULL. */
static const json_t *
find_token(const struct web *web, const char *secret)
{
	char digest[AUTH_SECRET_SIZE];
	const json_t *item, *found = NULL;
	size_t i;

	assert(secret != NULL);
	auth_digest(secret, digest);
	json_array_foreach(web->tokens, i, item) {
		const char *hash = json_string_value(json_object_get(item,
		    "hash"));
		json_int_t until = json_integer_value(json_object_get(item,
		    "expires_s"));

		if (hash != NULL && auth_equal(hash, digest) &&
		    (until == 0 || until > (json_int_t)time(NULL)))
			found = item;
	}
	return found;
}

/* --- a request --- */

static bool
by_token(struct request *rq)
{
	const char *field = rq->conn->field[F_AUTHORIZATION];
	const json_t *token = NULL;
	unsigned delay = auth_delay(&rq->web->auth, rq->conn->peer,
	    web_now());

	assert(rq->session == 0 && rq->role == ROLE_NONE);
	if (delay > 0) {
		reply_problem(rq, 429, "denied", "too many wrong tokens or "
		    "passwords from this address", "Wait a little.");
		return false;
	}
	if (strncasecmp(field, "Bearer ", 7) == 0)
		token = find_token(rq->web, field + 7);
	if (token == NULL) {
		auth_failed(&rq->web->auth, rq->conn->peer, web_now());
		reply_problem(rq, 401, "denied", "this API token is not "
		    "known, or has expired", "Make one on the page under "
		    "System, or with `dozoctl token create`.");
		return false;
	}
	snprintf(rq->user, sizeof(rq->user), "token:%.50s",
	    json_string_value(json_object_get(token, "name")));
	rq->role = role_parse(json_string_value(json_object_get(token,
	    "role")));
	return true;
}

/* Did our own page ask for this change? */
static bool
same_origin(const struct request *rq, const struct session *s)
{
	const char *const *field = rq->conn->field;
	const char *origin = field[F_ORIGIN], *csrf = field[F_CSRF];
	const char *site = field[F_SEC_FETCH_SITE];

	assert(field[F_HOST] != NULL);
	if (site != NULL && strcmp(site, "same-origin") != 0 &&
	    strcmp(site, "none") != 0)
		return false;
	if (origin != NULL && (strncmp(origin, "https://", 8) != 0 ||
	    strcasecmp(origin + 8, field[F_HOST]) != 0))
		return false;
	return s == NULL || (csrf != NULL && auth_equal(csrf, s->csrf));
}

static bool
by_cookie(struct request *rq)
{
	char id[AUTH_SECRET_SIZE];
	struct session *s = NULL;
	uint64_t now = web_now();

	assert(rq->session == 0 && rq->role == ROLE_NONE);
	if (http_cookie(rq->conn->field[F_COOKIE], COOKIE, id,
	    sizeof(id)))
		s = auth_find(&rq->web->auth, id, now);
	if (s == NULL && rq->op->role != ROLE_NONE) {
		reply_problem(rq, 401, "login", "you are not logged in, or "
		    "the session has ended", "Log in again.");
		return false;
	}
	if (rq->op->method != HTTP_GET && !same_origin(rq,
	    rq->op->role != ROLE_NONE ? s : NULL)) {
		reply_problem(rq, 403, "denied", "the request did not come "
		    "from this page", "Reload the page. Scripts use an API "
		    "token.");
		return false;
	}
	if (s == NULL)
		return true;
	s->used_s = now;
	rq->session = s->number;
	rq->role = s->role;
	snprintf(rq->user, sizeof(rq->user), "%s", s->user);
	return true;
}

static bool
is_fresh(const struct request *rq)
{
	const struct session *s = request_session(rq);

	return s == NULL || web_now() - s->proved_s <= AUTH_FRESH_S;
}

bool
who_is(struct request *rq)
{
	bool token = rq->conn->field[F_AUTHORIZATION] != NULL;

	assert(rq->op != NULL && rq->user[0] == '\0');
	if (!(token ? by_token(rq) : by_cookie(rq)))
		return false;
	if (rq->role < rq->op->role) {
		reply_problem(rq, 403, "denied", "your role may look, but not "
		    "change anything", "Ask an administrator.");
		return false;
	}
	if (rq->op->fresh && !is_fresh(rq)) {
		reply_problem(rq, 403, "confirm", "this needs your password "
		    "once more", "Confirm your password, then repeat.");
		return false;
	}
	return true;
}

struct session *
request_session(const struct request *rq)
{
	struct auth *auth = &rq->web->auth;

	assert(rq->session <= auth->last_number);
	for (unsigned i = 0; rq->session != 0 && i < AUTH_SESSIONS_MAX; i++) {
		if (auth->session[i].number == rq->session)
			return &auth->session[i];
	}
	return NULL;
}

bool
who_may_read(struct web *web, struct http_conn *conn)
{
	const char *field = conn->field[F_AUTHORIZATION];
	char id[AUTH_SECRET_SIZE];

	if (field != NULL) {
		if (strncasecmp(field, "Bearer ", 7) == 0 &&
		    auth_delay(&web->auth, conn->peer, web_now()) == 0 &&
		    find_token(web, field + 7) != NULL)
			return true;
		auth_failed(&web->auth, conn->peer, web_now());
		return false;
	}
	return http_cookie(conn->field[F_COOKIE], COOKIE, id,
	    sizeof(id)) && auth_find(&web->auth, id, web_now()) != NULL;
}
