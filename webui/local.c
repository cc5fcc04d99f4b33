/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that are the page's own business: first set-up, logging in and
 * out, sessions, the audit log, the certificate.
 *
 * Invariants: a password is checked only by the hasher, never in the event
 * loop; wrong user and wrong password look and cost the same; the set-up
 * token dies with the first user.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/web.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "webui/cert.h"

#define COOKIE "__Host-sid=%s; Secure; HttpOnly; SameSite=Strict; Path=/%s"

/* --- small helpers --- */

/* Too many guesses from this peer: answered, true. */
static bool
throttled(struct request *rq)
{
	unsigned delay = auth_delay(&rq->web->auth, rq->conn->peer,
	    web_now());
	char text[120];

	assert(rq->op != NULL);
	if (delay == 0)
		return false;
	snprintf(text, sizeof(text), "too many wrong attempts from this "
	    "address: wait %u second%s", delay, delay == 1 ? "" : "s");
	reply_problem(rq, 429, "denied", text, "Forgotten? `dozoctl user "
	    "password NAME` on the box itself sets a new one.");
	return true;
}

static bool
need_texts(struct request *rq, const char *a, const char *b)
{
	char text[120];
	const char *missing = request_text(rq, a) == NULL ? a :
	    request_text(rq, b) == NULL ? b : NULL;

	if (missing == NULL)
		return true;
	snprintf(text, sizeof(text), "\"%s\" is missing", missing);
	reply_problem(rq, 400, "invalid", text, "See /openapi.json.");
	return false;
}

static const json_t *
find_user(const struct web *web, const char *name)
{
	const json_t *user;
	size_t i;

	json_array_foreach(web->users, i, user) {
		const char *has = json_string_value(json_object_get(user,
		    "name"));

		if (has != NULL && strcmp(has, name) == 0)
			return user;
	}
	return NULL;
}

static json_t *
session_json(const struct web *web, const struct session *s)
{
	json_t *json = json_pack("{s:b, s:b, s:s}", "setup_needed",
	    web->users != NULL && json_array_size(web->users) == 0, "online",
	    (int)client_up(web->client), "hostname", web->hostname);

	if (s != NULL && json != NULL) {
		json_object_set_new(json, "user", json_string(s->user));
		json_object_set_new(json, "role",
		    json_string(role_name(s->role)));
		json_object_set_new(json, "csrf", json_string(s->csrf));
	}
	return json;
}

/* Log the user in on this connection and answer. */
static void
reply_login(struct request *rq, const char *user, enum role role)
{
	char id[AUTH_SECRET_SIZE], cookie[200];
	struct session *s = request_session(rq);

	assert(role != ROLE_NONE && user[0] != '\0');
	if (s != NULL)
		auth_logout(s);		/* a new one takes its place */
	auth_passed(&rq->web->auth, rq->conn->peer);
	s = auth_login(&rq->web->auth, user, role, rq->conn->peer, web_now(),
	    id);
	snprintf(cookie, sizeof(cookie), COOKIE, id, "");
	snprintf(rq->user, sizeof(rq->user), "%s", user);
	reply_json(rq, 200, session_json(rq->web, s), "Set-Cookie", cookie);
	OPENSSL_cleanse(id, sizeof(id));
	OPENSSL_cleanse(cookie, sizeof(cookie));
}

/* --- session --- */

static void
session_get(struct request *rq)
{
	reply_json(rq, 200, session_json(rq->web, request_session(rq)), NULL,
	    NULL);
}

static void
login_checked(void *arg, bool fits)
{
	struct request *rq = arg;
	const json_t *user = find_user(rq->web, rq->name);
	enum role role = role_parse(json_string_value(json_object_get(user,
	    "role")));

	assert(rq->name[0] != '\0' || !fits);
	if (fits && role != ROLE_NONE) {
		reply_login(rq, rq->name, role);
		return;
	}
	auth_failed(&rq->web->auth, rq->conn->peer, web_now());
	log_warn("login refused from %s", rq->conn->peer);
	reply_problem(rq, 401, "denied", "user or password is wrong",
	    "Forgotten? `dozoctl user password NAME` on the box itself sets "
	    "a new one.");
}

static void
check_password(struct request *rq, const char *name, const char *password,
    void (*done)(void *arg, bool fits))
{
	const json_t *user = find_user(rq->web, name);
	const char *hash = json_string_value(json_object_get(user, "hash"));

	assert(password != NULL && done != NULL);
	snprintf(rq->name, sizeof(rq->name), "%s", name);
	if (strlen(password) > PASSWORD_MAX)
		password = "";		/* fits nobody */
	if (!hasher_check(rq->web->hasher, password, hash, done, rq))
		reply_problem(rq, 429, "busy", "too many logins at the same "
		    "time", "Try again in a few seconds.");
}

static void
login(struct request *rq)
{
	if (throttled(rq) || !need_texts(rq, "user", "password"))
		return;
	if (rq->web->users == NULL) {
		reply_away(rq);
		return;
	}
	check_password(rq, request_text(rq, "user"),
	    request_text(rq, "password"), login_checked);
}

static void
logout(struct request *rq)
{
	struct session *s = request_session(rq);
	char cookie[200];

	if (s != NULL)
		auth_logout(s);
	live_session_gone(rq->web->live);
	snprintf(cookie, sizeof(cookie), COOKIE, "", "; Max-Age=0");
	reply_json(rq, 204, NULL, "Set-Cookie", cookie);
}

static void
confirm_checked(void *arg, bool fits)
{
	struct request *rq = arg;
	struct session *s = request_session(rq);

	if (fits && s != NULL) {
		auth_passed(&rq->web->auth, rq->conn->peer);
		s->proved_s = web_now();
		reply_json(rq, 200, session_json(rq->web, s), NULL, NULL);
		return;
	}
	auth_failed(&rq->web->auth, rq->conn->peer, web_now());
	reply_problem(rq, 403, "denied", "the password is wrong", "");
}

static void
session_confirm(struct request *rq)
{
	if (throttled(rq) || !need_texts(rq, "password", "password"))
		return;
	if (request_session(rq) == NULL) {
		reply_problem(rq, 400, "invalid", "a token needs no "
		    "confirmation", "");
		return;
	}
	check_password(rq, rq->user, request_text(rq, "password"),
	    confirm_checked);
}

static void
login_list(struct request *rq)
{
	json_t *list = json_array();
	uint64_t now = web_now();

	for (unsigned i = 0; i < AUTH_SESSIONS_MAX; i++) {
		const struct session *s = &rq->web->auth.session[i];

		if (s->number == 0)
			continue;
		json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s, "
		    "s:I, s:I, s:b}", "id", (int)s->number, "user", s->user,
		    "role", role_name(s->role), "from", s->peer, "age_s",
		    (json_int_t)(now - s->since_s), "idle_s",
		    (json_int_t)(now - s->used_s), "own",
		    s->number == rq->session));
	}
	reply_json(rq, 200, list, NULL, NULL);
}

static void
login_drop(struct request *rq)
{
	json_int_t id = json_integer_value(json_object_get(rq->args, "id"));
	unsigned n = id > 0 && id <= UINT32_MAX ?
	    auth_drop_number(&rq->web->auth, (unsigned)id) : 0;

	assert(rq->role == ROLE_ADMIN);
	live_session_gone(rq->web->live);
	reply_json(rq, 200, json_pack("{s:I, s:b}", "id", id, "changed",
	    n > 0), NULL, NULL);
}

/* --- first set-up --- */

static void
setup_done(void *arg, json_t *reply)
{
	struct request *rq = arg;

	assert(rq->op->role == ROLE_NONE);
	if (!json_is_true(json_object_get(reply, "ok"))) {
		reply_verb(rq, reply);
		return;
	}
	rq->web->setup_token[0] = '\0';
	who_refresh(rq->web);
	log_info("the first administrator was set up from %s",
	    rq->conn->peer);
	reply_login(rq, rq->name, ROLE_ADMIN);
}

/* People may leave out the dashes, or paste spaces. */
static bool
setup_token_ok(const struct web *web, const char *given)
{
	char want[32] = "", has[32] = "";
	size_t n = 0;

	assert(strlen(web->setup_token) < sizeof(want));
	for (const char *p = web->setup_token; *p != '\0'; p++) {
		if (*p != '-')
			want[n++] = *p;
	}
	n = 0;
	for (const char *p = given; *p != '\0' && n < sizeof(has) - 1; p++) {
		if (*p != '-' && *p != ' ')
			has[n++] = *p;
	}
	return want[0] != '\0' && auth_equal(want, has);
}

static void
setup(struct request *rq)
{
	struct web *web = rq->web;
	const char *name = request_text(rq, "name");
	const char *password = request_text(rq, "password");

	if (throttled(rq) || !need_texts(rq, "token", "password") ||
	    !need_texts(rq, "name", "name"))
		return;
	if (web->users == NULL) {
		reply_away(rq);
		return;
	}
	if (json_array_size(web->users) > 0) {
		reply_problem(rq, 409, "conflict", "this box has been set up "
		    "already", "Log in.");
		return;
	}
	if (!setup_token_ok(web, request_text(rq, "token"))) {
		auth_failed(&web->auth, rq->conn->peer, web_now());
		reply_problem(rq, 403, "denied", "this is not the set-up "
		    "token", "It is printed in the log of this box: "
		    "`journalctl -u dozod | grep set-up`.");
		return;
	}
	snprintf(rq->name, sizeof(rq->name), "%s", name);
	client_call(web->client, &(struct client_request){
	    .verb = "user.create", .args = json_pack("{s:s, s:s, s:s}",
	    "name", name, "role", "admin", "password", password),
	    .by = name, .done = setup_done, .arg = rq });
}

/* --- audit log, certificate --- */

static void
audit_list(struct request *rq)
{
	json_t *list = audit_read(rq->web->audit, rq->limit > 0 ?
	    (size_t)MIN(rq->limit, 10000u) : 200);

	assert(rq->role == ROLE_ADMIN);
	reply_json(rq, 200, list, NULL, NULL);
}

static void
certificate_get(struct request *rq)
{
	reply_json(rq, 200, cert_describe(rq->web->http.tls), NULL, NULL);
}

static void
certificate_put(struct request *rq)
{
	struct err err = { 0 };
	SSL_CTX *tls;

	assert(rq->role == ROLE_ADMIN);
	if (!need_texts(rq, "certificate", "key"))
		return;
	tls = cert_install(rq->web->state_dir, request_text(rq,
	    "certificate"), request_text(rq, "key"), &err);
	if (tls == NULL) {
		assert(err_is(&err));
		reply_problem(rq, err.code == EINVAL ? 400 : 500,
		    err.code == EINVAL ? "invalid" : "failed", err.text,
		    err.hint);
		return;
	}
	SSL_CTX_free(rq->web->http.tls);
	rq->web->http.tls = tls;
	reply_json(rq, 200, cert_describe(tls), NULL, NULL);
}

const struct local locals[] = {
	{ "session", session_get },
	{ "login", login },
	{ "logout", logout },
	{ "confirm", session_confirm },
	{ "logins", login_list },
	{ "login.drop", login_drop },
	{ "setup", setup },
	{ "audit", audit_list },
	{ "certificate", certificate_get },
	{ "certificate.set", certificate_put },
	{ "events", live_stream },
	{ NULL, NULL },
};
