/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs for users of the page and tokens of the API.
 *
 * Invariants: passwords are hashed (yescrypt) on the helper thread and wiped;
 * of a token only its SHA-256 is kept; once there are users, one of them is
 * an admin.
 */
#include "config.h"

#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/verbs.h"

#define PASSWORD_MIN 12u
#define PASSWORD_MAX 128u
#define SECONDS_PER_DAY 86400u
#define TOKEN_PREFIX "dzt_"

/* req->work: freed by req_free(). */
struct hashing {
	struct work work;
	char password[PASSWORD_MAX + 1];
	char hash[sizeof(((struct doc_user *)0)->hash)];
	struct err err;
};

/* On the helper thread. */
static void
hash_password(void *arg)
{
	struct hashing *h = arg;
	char *salt = crypt_gensalt_ra("$y$", 0, NULL, 0);
	void *data = NULL;
	int size = 0;
	const char *hash = salt == NULL ? NULL :
	    crypt_ra(h->password, salt, &data, &size);

	if (hash == NULL || hash[0] == '*' ||
	    strlen(hash) >= sizeof(h->hash))
		err_set(&h->err, EIO, "the password cannot be hashed: %s",
		    strerror(errno));
	else
		snprintf(h->hash, sizeof(h->hash), "%s", hash);
	if (data != NULL)
		OPENSSL_cleanse(data, (size_t)size);
	OPENSSL_cleanse(h->password, sizeof(h->password));
	free(data);
	free(salt);
}

/* A password from a file ends with the file's newline. */
static size_t
password_len(const char *text)
{
	return strcspn(text, "\r\n");
}

static void
start_hashing(struct req *req)
{
	const char *password = arg_text(req, "password");
	size_t len = password_len(password);
	struct hashing *h;

	if (len < PASSWORD_MIN || len > PASSWORD_MAX) {
		err_set(&req->err, EINVAL, "a password has %u to %u "
		    "characters", PASSWORD_MIN, PASSWORD_MAX);
		err_hint(&req->err, "Four random words are easy to remember "
		    "and hard to guess.");
		return;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	memcpy(h->password, password, len);
	req->work = h;
	work_start(req->dozo->worker, &h->work, hash_password, h, &req->op);
}

static bool
role_ok(struct req *req)
{
	const char *role = arg_text(req, "role");

	if (strcmp(role, "admin") == 0 || strcmp(role, "viewer") == 0)
		return true;
	err_set(&req->err, EINVAL, "there is no role \"%.40s\"", role);
	err_hint(&req->err, "Roles are admin, which may do all, and viewer, "
	    "which may look.");
	return false;
}

static void
result(struct req *req, const struct doc_user *user, bool changed)
{
	req_result(req, doc_user_json(user, false), changed);
}

static void
list(struct req *req, const struct doc_user *users, unsigned n)
{
	req->result = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(req->result, doc_user_json(&users[i],
		    arg_bool(req, "hashes")));
}

/* Fill a new user or token. */
static void
fill(struct req *req, struct doc_user *user)
{
	snprintf(user->name, sizeof(user->name), "%s", arg_text(req, "name"));
	snprintf(user->role, sizeof(user->role), "%s", arg_text(req, "role"));
	dozo_new_uuid(req->dozo, user->uuid);
	user->created_s = loop_wall_time(req->dozo->loop);
}

/* --- users --- */

void
verb_user_create(struct req *req)
{
	const char *name = arg_text(req, "name");

	if (!role_ok(req))
		return;
	if (doc_user(req->dozo->doc, name) != NULL) {
		err_set(&req->err, EEXIST, "user %s exists", name);
		err_hint(&req->err, "`dozoctl user password %s` sets a new "
		    "password.", name);
		return;
	}
	if (req->dozo->doc->nusers == 0 &&
	    strcmp(arg_text(req, "role"), "admin") != 0) {
		err_set(&req->err, EINVAL, "the first user must be an admin");
		return;
	}
	start_hashing(req);
}

void
verb_user_create_end(struct req *req)
{
	const struct hashing *h = req->work;
	struct doc_user *user;
	struct doc *doc;

	if (h == NULL)
		return;
	req->err = h->err;
	if (err_is(&req->err) || (doc = req_next_doc(req)) == NULL ||
	    (user = doc_add_user(doc, &req->err)) == NULL)
		return;
	fill(req, user);
	assert(h->hash[0] == '$');
	memcpy(user->hash, h->hash, sizeof(user->hash));
	result(req, user, true);
}

void
verb_user_list(struct req *req)
{
	list(req, req->dozo->doc->users, req->dozo->doc->nusers);
}

static bool
user_exists(struct req *req)
{
	const char *name = arg_text(req, "name");

	if (doc_user(req->dozo->doc, name) != NULL)
		return true;
	err_set(&req->err, ENOENT, "there is no user %s", name);
	err_hint(&req->err, "`dozoctl user list` shows the users.");
	return false;
}

/* Would nobody be left who may change anything? */
static bool
is_last_admin(struct req *req, const char *name)
{
	const struct doc *doc = req->dozo->doc;

	for (unsigned i = 0; i < doc->nusers; i++) {
		if (strcmp(doc->users[i].role, "admin") == 0 &&
		    strcmp(doc->users[i].name, name) != 0)
			return false;
	}
	err_set(&req->err, EBUSY, "%s is the only admin", name);
	err_hint(&req->err, "Make another admin first.");
	return true;
}

void
verb_user_set(struct req *req)
{
	const char *name = arg_text(req, "name");
	const char *role = arg_text(req, "role");
	struct doc_user *user;
	struct doc *doc;

	if (!role_ok(req) || !user_exists(req))
		return;
	user = doc_user(req->dozo->doc, name);
	if (strcmp(user->role, role) == 0) {
		result(req, user, false);
		return;
	}
	if ((strcmp(role, "admin") != 0 && is_last_admin(req, name)) ||
	    (doc = req_next_doc(req)) == NULL)
		return;
	user = doc_user(doc, name);
	snprintf(user->role, sizeof(user->role), "%s", role);
	result(req, user, true);
}

void
verb_user_password(struct req *req)
{
	if (user_exists(req))
		start_hashing(req);
}

void
verb_user_password_end(struct req *req)
{
	const struct hashing *h = req->work;
	struct doc_user *user;
	struct doc *doc;

	if (h == NULL)
		return;
	req->err = h->err;
	if (err_is(&req->err) || (doc = req_next_doc(req)) == NULL)
		return;
	user = doc_user(doc, arg_text(req, "name"));
	assert(user != NULL && h->hash[0] == '$');
	memcpy(user->hash, h->hash, sizeof(user->hash));
	result(req, user, true);
}

void
verb_user_delete(struct req *req)
{
	const char *name = arg_text(req, "name");
	const struct doc_user *user = doc_user(req->dozo->doc, name);
	struct doc *doc;

	if (user != NULL) {
		if ((strcmp(user->role, "admin") == 0 &&
		    is_last_admin(req, name)) ||
		    (doc = req_next_doc(req)) == NULL)
			return;
		doc_remove_user(doc, doc_user(doc, name));
	}
	req_result(req, json_pack("{s:s}", "name", name), user != NULL);
}

/* --- tokens --- */

static void
print_hex(const uint8_t *bytes, size_t n, char *text)
{
	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void
verb_token_create(struct req *req)
{
	const char *name = arg_text(req, "name");
	uint64_t days = arg_number(req, "days", 0);
	char token[sizeof(TOKEN_PREFIX) + 64] = TOKEN_PREFIX;
	uint8_t bytes[32];
	struct doc_user *entry;
	struct doc *doc;

	if (!role_ok(req))
		return;
	if (doc_token(req->dozo->doc, name) != NULL) {
		err_set(&req->err, EEXIST, "token %s exists", name);
		err_hint(&req->err, "It cannot be shown again: delete it, "
		    "or choose another name.");
		return;
	}
	if (days > 36500) {
		err_set(&req->err, EINVAL, "at most 36500 days");
		return;
	}
	if ((doc = req_next_doc(req)) == NULL ||
	    (entry = doc_add_token(doc, &req->err)) == NULL)
		return;
	fill(req, entry);
	if (days > 0)
		entry->expires_s = entry->created_s + days * SECONDS_PER_DAY;
	loop_random(req->dozo->loop, bytes, sizeof(bytes));
	print_hex(bytes, sizeof(bytes), token + strlen(TOKEN_PREFIX));
	SHA256((const unsigned char *)token, strlen(token), bytes);
	print_hex(bytes, sizeof(bytes), entry->hash);
	result(req, entry, true);
	if (!req->dry_run && req->result != NULL)
		json_object_set_new(req->result, "token", json_string(token));
}

void
verb_token_list(struct req *req)
{
	list(req, req->dozo->doc->tokens, req->dozo->doc->ntokens);
}

void
verb_token_delete(struct req *req)
{
	const char *name = arg_text(req, "name");
	const struct doc_user *token = doc_token(req->dozo->doc, name);
	struct doc *doc;

	if (token != NULL) {
		if ((doc = req_next_doc(req)) == NULL)
			return;
		doc_remove_token(doc, doc_token(doc, name));
	}
	req_result(req, json_pack("{s:s}", "name", name), token != NULL);
}
