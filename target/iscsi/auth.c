/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The security stage: choice of AuthMethod and the CHAP exchange (RFC 7143
 * 12.1), one-way and mutual.
 *
 * None is agreed when a host without CHAP grants access (and for discovery,
 * which shows names only), whatever else the initiator offers.
 *
 * Invariants: a challenge is fresh random bytes and used once; secrets are
 * compared in constant time; our own challenge sent back to us is refused.
 */
#include <assert.h>
#include <string.h>

#include "target/iscsi/chap.h"
#include "target/iscsi/login_priv.h"

bool
login_auth_key(struct login *login, const char *key, const char *value)
{
	static const char *const names[] = {
		"AuthMethod", "CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"
	};
	const char **to[] = { &login->in.method, &login->in.a, &login->in.n,
	    &login->in.r, &login->in.i, &login->in.c };

	_Static_assert(nitems(names) == nitems(to), "one each");
	for (unsigned i = 0; i < nitems(names); i++) {
		if (strcmp(key, names[i]) != 0)
			continue;
		*to[i] = value;
		return true;
	}
	return false;
}

static struct access_who
who(const struct login *login)
{
	return (struct access_who){ login->initiator, &login->conn->peer,
	    NULL };
}

static struct access_need
need(const struct login *login)
{
	struct access_who w = who(login);
	struct access_need n = access_need(login->conn->server->access, &w,
	    login->n.discovery ? -1 : login->target_index);

	if (login->n.discovery)
		n.open = true;
	return n;
}

static enum login_status
failed(struct login *login, const char *why)
{
	login->why = why;
	return LOGIN_AUTH_FAILED;
}

static enum login_status
choose_method(struct login *login)
{
	struct access_need n = need(login);
	const char *list = login->in.method;
	char item[16];

	assert(n.any || login->n.discovery);
	if (login->auth != AUTH_OPEN)
		return LOGIN_INITIATOR_ERROR;	/* asked twice */
	while (text_list_next(&list, item, sizeof(item))) {
		if (strcmp(item, "None") == 0 && n.open) {
			login->auth = AUTH_DONE;
			break;
		}
		if (strcmp(item, "CHAP") == 0 && n.chap &&
		    !(login->n.discovery &&
		    strstr(login->in.method, "None") != NULL)) {
			login->auth = AUTH_BUSY;
			break;
		}
	}
	if (login->auth == AUTH_OPEN)
		return failed(login, n.open ?
		    "the initiator insists on CHAP, the host has no secret" :
		    "CHAP is required, the initiator does not offer it");
	text_put(&login->out, "AuthMethod", "%s", item);
	return LOGIN_SUCCESS;
}

static enum login_status
send_challenge(struct login *login)
{
	struct conn *conn = login->conn;
	char hex[2 * CHALLENGE_LEN + 3];

	if (login->auth != AUTH_BUSY || login->chap_alg != 0)
		return LOGIN_INITIATOR_ERROR;
	login->chap_alg = chap_choose(login->in.a,
	    conn->server->access->allow_md5);
	if (login->chap_alg == 0)
		return failed(login, "no common CHAP algorithm");
	loop_random(conn->server->loop, login->challenge, CHALLENGE_LEN);
	loop_random(conn->server->loop, &login->chap_id, 1);
	assert(chap_digest_len(login->chap_alg) <= CHALLENGE_LEN);
	text_hex(login->challenge, CHALLENGE_LEN, hex);
	text_put(&login->out, "CHAP_A", "%u", login->chap_alg);
	text_put(&login->out, "CHAP_I", "%u", login->chap_id);
	text_put(&login->out, "CHAP_C", "%s", hex);
	return LOGIN_SUCCESS;
}

/* The initiator wants us to prove who we are as well. */
static enum login_status
answer_challenge(struct login *login, const struct access_host *host)
{
	uint8_t challenge[CHAP_CHALLENGE_MAX], digest[CHAP_DIGEST_MAX];
	char hex[2 * CHAP_DIGEST_MAX + 3];
	uint64_t id;
	size_t n;
	int len;

	len = login->in.c == NULL ? -1 :
	    text_binary(login->in.c, challenge, sizeof(challenge));
	if (len <= 0 || login->in.i == NULL ||
	    !text_number(login->in.i, &id) || id > 255)
		return LOGIN_INITIATOR_ERROR;
	if (len == CHALLENGE_LEN &&
	    chap_equal(challenge, login->challenge, CHALLENGE_LEN))
		return failed(login, "our own challenge was sent back");
	if (host->mutual.user[0] == '\0')
		return failed(login, "mutual CHAP asked for, the host has no "
		    "mutual secret");
	n = chap_response(login->chap_alg, (uint8_t)id, host->mutual.secret,
	    challenge, (size_t)len, digest);
	if (n == 0)
		return LOGIN_TARGET_ERROR;
	text_hex(digest, n, hex);
	text_put(&login->out, "CHAP_N", "%s", host->mutual.user);
	text_put(&login->out, "CHAP_R", "%s", hex);
	login->mutual_done = true;
	return LOGIN_SUCCESS;
}

static enum login_status
verify(struct login *login)
{
	const struct access *access = login->conn->server->access;
	uint8_t want[CHAP_DIGEST_MAX], got[CHAP_DIGEST_MAX];
	struct access_who w = who(login);
	const struct access_host *host;
	enum login_status status = LOGIN_SUCCESS;
	size_t n;

	if (login->chap_alg == 0 || login->auth != AUTH_BUSY ||
	    login->in.n == NULL || login->in.r == NULL)
		return LOGIN_INITIATOR_ERROR;
	host = access_chap_host(access, &w,
	    login->n.discovery ? -1 : login->target_index, login->in.n);
	if (host == NULL)
		return failed(login, "unknown CHAP user");
	n = chap_response(login->chap_alg, login->chap_id, host->chap.secret,
	    login->challenge, CHALLENGE_LEN, want);
	if (n == 0)
		return LOGIN_TARGET_ERROR;
	if (text_binary(login->in.r, got, sizeof(got)) != (int)n ||
	    !chap_equal(want, got, n))
		return failed(login, "wrong CHAP secret");
	if (login->in.i != NULL || login->in.c != NULL)
		status = answer_challenge(login, host);
	if (status != LOGIN_SUCCESS)
		return status;
	assert(n == chap_digest_len(login->chap_alg));
	login->auth = AUTH_DONE;
	login->auth_name = chap_name(login->chap_alg);
	assert(strlen(host->chap.user) <= SCSI_NAME_MAX);
	strcpy(login->proved_user, host->chap.user);
	return LOGIN_SUCCESS;
}

enum login_status
login_auth_run(struct login *login)
{
	enum login_status status = LOGIN_SUCCESS;

	if (login->in.method != NULL && !key_is_reply(login->in.method))
		status = choose_method(login);
	if (status == LOGIN_SUCCESS && login->in.a != NULL)
		status = send_challenge(login);
	if (status == LOGIN_SUCCESS &&
	    (login->in.n != NULL || login->in.r != NULL))
		status = verify(login);
	/* They point into text that goes away now. */
	memset(&login->in, 0, sizeof(login->in));
	return status;
}

enum login_status
login_auth_leave(struct login *login)
{
	if (login->auth == AUTH_DONE)
		return LOGIN_SUCCESS;
	assert(login->auth == AUTH_OPEN || login->stage != STAGE_SECURITY);
	if (!need(login).open)
		return failed(login, "CHAP is required, the initiator does "
		    "not offer it");
	login->auth = AUTH_DONE;
	return LOGIN_SUCCESS;
}
