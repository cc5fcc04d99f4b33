/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is asking: sessions, throttling of guesses, comparison of secrets.
 * Memory only, no I/O; the time is passed in.
 */
#ifndef WEBUI_AUTH_H
#define WEBUI_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTH_SESSIONS_MAX 16u
#define AUTH_IDLE_S (30u * 60)
#define AUTH_LIFE_S (12u * 3600)
#define AUTH_FRESH_S (5u * 60)		/* after a password was given */
#define AUTH_SECRET_SIZE 65		/* 256 bits in hex and NUL */
#define AUTH_NAME_SIZE 64
#define AUTH_FAILS_FREE 5u
#define AUTH_DELAY_MAX_S (15u * 60)
#define AUTH_PEERS_MAX 128u

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_ADMIN };

struct session {
	uint8_t id_hash[32];		/* of the cookie */
	char csrf[AUTH_SECRET_SIZE];
	char user[AUTH_NAME_SIZE], peer[48];
	enum role role;
	/* Monotonic; proved: a password was given. */
	uint64_t since_s, used_s, proved_s;
	unsigned number;		/* for lists; 0 = free */
};

struct peer_fails {
	char peer[48];
	unsigned fails;
	uint64_t last_s, until_s;
};

struct auth {
	struct session session[AUTH_SESSIONS_MAX];
	unsigned last_number;
	struct peer_fails fails[AUTH_PEERS_MAX];
	uint64_t nfailed;
};

const char *role_name(enum role role);
enum role role_parse(const char *text);		/* ROLE_NONE if unknown */

/* 256 random bits in hex. */
void auth_secret(char secret[AUTH_SECRET_SIZE]);
/* SHA-256 in hex, for comparing with stored tokens. */
void auth_digest(const char *secret, char digest[AUTH_SECRET_SIZE]);
/* In constant time for equal lengths. */
bool auth_equal(const char *a, const char *b);

/* A new session; `id` gets the cookie.  The oldest one makes room. */
struct session *auth_login(struct auth *auth, const char *user,
    enum role role, const char *peer, uint64_t now_s,
    char id[AUTH_SECRET_SIZE]);
/* NULL if unknown or expired. */
struct session *auth_find(struct auth *auth, const char *id, uint64_t now_s);
void auth_logout(struct session *session);
/* Close all sessions of a user, or one by number; how many were closed. */
unsigned auth_drop_user(struct auth *auth, const char *user);
unsigned auth_drop_number(struct auth *auth, unsigned number);

/* Seconds to wait before this peer may try again; 0 = now. */
unsigned auth_delay(const struct auth *auth, const char *peer,
    uint64_t now_s);
void auth_failed(struct auth *auth, const char *peer, uint64_t now_s);
void auth_passed(struct auth *auth, const char *peer);

#endif
