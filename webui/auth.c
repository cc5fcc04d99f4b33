/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions and throttling.
 *
 * Invariants: only the hash of a session's cookie is kept; a session ends
 * AUTH_IDLE_S after its last request and AUTH_LIFE_S after login at the
 * latest; an account is never locked, only the peer that guesses is slowed.
 */
#include "config.h"

#include "webui/auth.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

const char *
role_name(enum role role)
{
	return role == ROLE_ADMIN ? "admin" :
	    role == ROLE_VIEWER ? "viewer" : "none";
}

enum role
role_parse(const char *text)
{
	if (text != NULL && strcmp(text, "admin") == 0)
		return ROLE_ADMIN;
	return text != NULL && strcmp(text, "viewer") == 0 ? ROLE_VIEWER :
	    ROLE_NONE;
}

static void
print_hex(const uint8_t *bytes, size_t len, char *text)
{
	assert(len > 0);
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void
auth_secret(char secret[AUTH_SECRET_SIZE])
{
	uint8_t bytes[32];

	/* Without random numbers there is no security to go on with. */
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		abort();
	print_hex(bytes, sizeof(bytes), secret);
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

void
auth_digest(const char *secret, char digest[AUTH_SECRET_SIZE])
{
	uint8_t sum[32];

	assert(secret != NULL);
	SHA256((const unsigned char *)secret, strlen(secret), sum);
	print_hex(sum, sizeof(sum), digest);
}

bool
auth_equal(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

struct session *
auth_login(struct auth *auth, const char *user, enum role role,
    const char *peer, uint64_t now_s, char id[AUTH_SECRET_SIZE])
{
	struct session *s = &auth->session[0];

	assert(role != ROLE_NONE && user[0] != '\0');
	for (unsigned i = 0; i < AUTH_SESSIONS_MAX; i++) {
		if (auth->session[i].number == 0) {
			s = &auth->session[i];
			break;
		}
		/* Used longest ago; in the same second, the older one. */
		if (auth->session[i].used_s < s->used_s ||
		    (auth->session[i].used_s == s->used_s &&
		    auth->session[i].number < s->number))
			s = &auth->session[i];
	}
	memset(s, 0, sizeof(*s));
	auth_secret(id);
	auth_secret(s->csrf);
	SHA256((const unsigned char *)id, strlen(id), s->id_hash);
	snprintf(s->user, sizeof(s->user), "%s", user);
	snprintf(s->peer, sizeof(s->peer), "%s", peer);
	s->role = role;
	s->since_s = s->used_s = s->proved_s = now_s;
	s->number = ++auth->last_number;
	assert(strlen(s->csrf) == AUTH_SECRET_SIZE - 1);
	return s;
}

struct session *
auth_find(struct auth *auth, const char *id, uint64_t now_s)
{
	uint8_t hash[32];
	struct session *found = NULL;

	assert(id != NULL);
	SHA256((const unsigned char *)id, strlen(id), hash);
	for (unsigned i = 0; i < AUTH_SESSIONS_MAX; i++) {
		struct session *s = &auth->session[i];

		if (s->number == 0)
			continue;
		assert(s->used_s >= s->since_s);
		if (now_s - s->used_s > AUTH_IDLE_S ||
		    now_s - s->since_s > AUTH_LIFE_S)
			auth_logout(s);
		else if (CRYPTO_memcmp(s->id_hash, hash, sizeof(hash)) == 0)
			found = s;
	}
	return found;
}

void
auth_logout(struct session *session)
{
	OPENSSL_cleanse(session, sizeof(*session));
	assert(session->number == 0);
}

unsigned
auth_drop_user(struct auth *auth, const char *user)
{
	unsigned n = 0;

	for (unsigned i = 0; i < AUTH_SESSIONS_MAX; i++) {
		struct session *s = &auth->session[i];

		if (s->number != 0 && strcmp(s->user, user) == 0) {
			auth_logout(s);
			n++;
		}
	}
	return n;
}

unsigned
auth_drop_number(struct auth *auth, unsigned number)
{
	for (unsigned i = 0; number != 0 && i < AUTH_SESSIONS_MAX; i++) {
		if (auth->session[i].number == number) {
			auth_logout(&auth->session[i]);
			return 1;
		}
	}
	return 0;
}

/* --- throttling --- */

static const struct peer_fails *
find_peer(const struct auth *auth, const char *peer)
{
	for (unsigned i = 0; i < AUTH_PEERS_MAX; i++) {
		if (auth->fails[i].fails > 0 &&
		    strcmp(auth->fails[i].peer, peer) == 0)
			return &auth->fails[i];
	}
	return NULL;
}

unsigned
auth_delay(const struct auth *auth, const char *peer, uint64_t now_s)
{
	const struct peer_fails *f = find_peer(auth, peer);

	if (f == NULL || now_s >= f->until_s)
		return 0;
	assert(f->until_s - now_s <= AUTH_DELAY_MAX_S);
	return (unsigned)(f->until_s - now_s);
}

void
auth_failed(struct auth *auth, const char *peer, uint64_t now_s)
{
	struct peer_fails *f = NULL;
	unsigned over;

	assert(peer != NULL);
	for (unsigned i = 0; i < AUTH_PEERS_MAX; i++) {
		struct peer_fails *g = &auth->fails[i];

		if (g->fails > 0 && strcmp(g->peer, peer) == 0) {
			f = g;
			break;
		}
		if (f == NULL || g->last_s < f->last_s)
			f = g;		/* the one longest ago */
	}
	assert(f != NULL);
	auth->nfailed++;
	if (strcmp(f->peer, peer) != 0 || now_s - f->last_s > 3600) {
		memset(f, 0, sizeof(*f));
		snprintf(f->peer, sizeof(f->peer), "%s", peer);
	}
	f->fails++;
	f->last_s = now_s;
	if (f->fails < AUTH_FAILS_FREE)
		return;
	over = MIN(f->fails - AUTH_FAILS_FREE, 20u);
	f->until_s = now_s + MIN(2u << over, AUTH_DELAY_MAX_S);
}

void
auth_passed(struct auth *auth, const char *peer)
{
	for (unsigned i = 0; i < AUTH_PEERS_MAX; i++) {
		if (strcmp(auth->fails[i].peer, peer) == 0)
			memset(&auth->fails[i], 0, sizeof(auth->fails[i]));
	}
}
