/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration document as JSON and back, and what differs between two
 * of them.  Pure.
 *
 * Invariants: what doc_to_json() writes doc_from_json() reads back equal; an
 * unknown key is an error, so that a document of a later format is not half
 * understood.
 */
#include "config.h"

#include "admin/doc.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

/* Where in the document we are, for messages. */
struct place {
	const char *list;
	size_t index;
	struct err *err;
};

static int
bad(const struct place *at, const char *key, const char *why)
{
	if (at->list == NULL)
		return err_set(at->err, EINVAL, "configuration: %s %s", key,
		    why);
	return err_set(at->err, EINVAL, "configuration: %s[%zu].%s %s",
	    at->list, at->index, key, why);
}

/* Only the keys in the NULL-terminated list may be there. */
static int
check_keys(const struct place *at, const json_t *obj, const char *const *known)
{
	const char *key;
	json_t *value;

	assert(known[0] != NULL && at->err != NULL);
	if (!json_is_object(obj))
		return bad(at, "it", "is not an object");
	/* jansson's iterator wants a non-const object but does not change it */
	json_object_foreach((json_t *)(uintptr_t)obj, key, value) {
		bool found = false;

		for (size_t i = 0; known[i] != NULL; i++)
			found = found || strcmp(known[i], key) == 0;
		if (!found)
			return bad(at, key, "is not known");
	}
	return 0;
}

static int
get_text(const struct place *at, const json_t *obj, const char *key,
    bool required, char *dst, size_t size)
{
	const json_t *value = json_object_get(obj, key);
	const char *text = json_string_value(value);

	assert(size > 0);
	dst[0] = '\0';
	if (value == NULL || json_is_null(value))
		return required ? bad(at, key, "is missing") : 0;
	if (text == NULL || json_string_length(value) != strlen(text))
		return bad(at, key, "is not a text");
	if (strlen(text) >= size)
		return bad(at, key, "is too long");
	memcpy(dst, text, strlen(text) + 1);
	return 0;
}

static int
get_name(const struct place *at, const json_t *obj, const char *key,
    char dst[NAME_SIZE])
{
	int r = get_text(at, obj, key, true, dst, NAME_SIZE);

	if (r == 0 && !ident_name_ok("object", dst, NULL))
		r = bad(at, key, "is not a name");
	return r;
}

static int
get_uuid(const struct place *at, const json_t *obj, const char *key,
    char dst[UUID_SIZE])
{
	uint8_t uuid[16];
	int r = get_text(at, obj, key, true, dst, UUID_SIZE);

	if (r == 0 && !uuid_parse(dst, uuid))
		return bad(at, key, "is not a UUID");
	if (r == 0)
		uuid_print(uuid, dst);
	return r;
}

static int
get_number(const struct place *at, const json_t *obj, const char *key,
    uint64_t max, uint64_t *dst)
{
	const json_t *value = json_object_get(obj, key);

	assert(max <= INT64_MAX);
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max)
		return bad(at, key, "is missing or not a number in range");
	*dst = (uint64_t)json_integer_value(value);
	return 0;
}

static int
get_texts(const struct place *at, const json_t *obj, const char *key,
    char *dst, size_t size, unsigned max, unsigned *n)
{
	const json_t *list = json_object_get(obj, key);

	assert(size > 0 && max > 0);
	*n = 0;
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > max)
		return bad(at, key, "is not a list, or too long");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text == NULL || strlen(text) >= size)
			return bad(at, key, "has an element that is no text");
		memcpy(dst + i * size, text, strlen(text) + 1);
	}
	*n = (unsigned)json_array_size(list);
	return 0;
}

static int
get_chap(const struct place *at, const json_t *obj, const char *key,
    struct target_chap *chap)
{
	static const char *const known[] = { "user", "secret", NULL };
	const json_t *value = json_object_get(obj, key);

	assert(chap->user[0] == '\0');
	if (value == NULL)
		return 0;
	if (check_keys(at, value, known) != 0 ||
	    get_text(at, value, "user", true, chap->user,
	    sizeof(chap->user)) != 0 ||
	    get_text(at, value, "secret", true, chap->secret,
	    sizeof(chap->secret)) != 0)
		return -EINVAL;
	return 0;
}

static int
parse_pool(struct doc *doc, const json_t *obj, struct place *at)
{
	static const char *const known[] = { "name", "uuid", "array_uuid",
		"members", NULL };
	static const char *const member_known[] = { "path", "serial", NULL };
	const json_t *members = json_object_get(obj, "members");
	struct doc_pool *pool = doc_add_pool(doc, at->err);

	if (pool == NULL)
		return -at->err->code;
	if (check_keys(at, obj, known) != 0 ||
	    get_name(at, obj, "name", pool->name) != 0 ||
	    get_uuid(at, obj, "uuid", pool->uuid) != 0 ||
	    get_uuid(at, obj, "array_uuid", pool->array_uuid) != 0)
		return -EINVAL;
	if (!json_is_array(members) ||
	    json_array_size(members) > DOC_MEMBERS_MAX)
		return bad(at, "members", "is not a list, or too long");
	for (size_t i = 0; i < json_array_size(members); i++) {
		const json_t *member = json_array_get(members, i);
		struct doc_member *m = &pool->member[i];

		if (check_keys(at, member, member_known) != 0 ||
		    get_text(at, member, "path", true, m->path,
		    sizeof(m->path)) != 0 ||
		    get_text(at, member, "serial", false, m->serial,
		    sizeof(m->serial)) != 0)
			return -EINVAL;
	}
	pool->nmembers = (unsigned)json_array_size(members);
	return 0;
}

static int
parse_target(struct doc *doc, const json_t *obj, struct place *at)
{
	static const char *const known[] = { "name", "uuid", "iqn", NULL };
	struct doc_target *target = doc_add_target(doc, at->err);

	if (target == NULL)
		return -at->err->code;
	if (check_keys(at, obj, known) != 0 ||
	    get_name(at, obj, "name", target->name) != 0 ||
	    get_uuid(at, obj, "uuid", target->uuid) != 0 ||
	    get_text(at, obj, "iqn", true, target->iqn,
	    sizeof(target->iqn)) != 0)
		return -EINVAL;
	return 0;
}

static int
parse_portal(struct doc *doc, const json_t *obj, struct place *at)
{
	static const char *const known[] = { "address", "port", "tag", NULL };
	struct doc_portal *portal = doc_add_portal(doc, at->err);
	uint64_t port = 0, tag = 0;

	if (portal == NULL)
		return -at->err->code;
	if (check_keys(at, obj, known) != 0 ||
	    get_text(at, obj, "address", true, portal->address,
	    sizeof(portal->address)) != 0 ||
	    get_number(at, obj, "port", UINT16_MAX, &port) != 0 ||
	    get_number(at, obj, "tag", UINT16_MAX, &tag) != 0)
		return -EINVAL;
	portal->port = (uint16_t)port;
	portal->tag = (uint16_t)tag;
	return 0;
}

static int
parse_host(struct doc *doc, const json_t *obj, struct place *at)
{
	static const char *const known[] = { "name", "uuid", "preset", "iqns",
		"networks", "chap", "mutual", NULL };
	struct doc_host *host = doc_add_host(doc, at->err);

	if (host == NULL)
		return -at->err->code;
	if (check_keys(at, obj, known) != 0 ||
	    get_name(at, obj, "name", host->name) != 0 ||
	    get_uuid(at, obj, "uuid", host->uuid) != 0 ||
	    get_text(at, obj, "preset", false, host->preset,
	    sizeof(host->preset)) != 0 ||
	    get_texts(at, obj, "iqns", host->iqn[0], sizeof(host->iqn[0]),
	    DOC_HOST_IQNS, &host->niqns) != 0 ||
	    get_texts(at, obj, "networks", host->network[0],
	    sizeof(host->network[0]), DOC_HOST_NETWORKS,
	    &host->nnetworks) != 0 ||
	    get_chap(at, obj, "chap", &host->chap) != 0 ||
	    get_chap(at, obj, "mutual", &host->mutual) != 0)
		return -EINVAL;
	return 0;
}

static int
parse_map(struct doc *doc, const json_t *obj, struct place *at)
{
	static const char *const known[] = { "pool", "volume", "volume_uuid",
		"host", "target", "lun", "read_only", NULL };
	struct doc_map *map = doc_add_map(doc, at->err);
	uint64_t lun = 0;

	if (map == NULL)
		return -at->err->code;
	if (check_keys(at, obj, known) != 0 ||
	    get_name(at, obj, "pool", map->pool) != 0 ||
	    get_name(at, obj, "volume", map->volume) != 0 ||
	    get_uuid(at, obj, "volume_uuid", map->volume_uuid) != 0 ||
	    get_name(at, obj, "host", map->host) != 0 ||
	    get_name(at, obj, "target", map->target) != 0 ||
	    get_number(at, obj, "lun", SCSI_LUNS_MAX - 1, &lun) != 0)
		return -EINVAL;
	map->lun = (uint16_t)lun;
	map->read_only = json_is_true(json_object_get(obj, "read_only"));
	return 0;
}

/* Without a hash (an export without secrets) it fits no password. */
static int
parse_login(struct doc_user *user, const json_t *obj, struct place *at)
{
	static const char *const known[] = { "name", "uuid", "role", "hash",
		"created_s", "expires_s", NULL };

	if (user == NULL)
		return -at->err->code;
	if (check_keys(at, obj, known) != 0 ||
	    get_name(at, obj, "name", user->name) != 0 ||
	    get_uuid(at, obj, "uuid", user->uuid) != 0 ||
	    get_text(at, obj, "role", true, user->role,
	    sizeof(user->role)) != 0 ||
	    get_text(at, obj, "hash", false, user->hash,
	    sizeof(user->hash)) != 0 ||
	    get_number(at, obj, "created_s", INT64_MAX,
	    &user->created_s) != 0 ||
	    get_number(at, obj, "expires_s", INT64_MAX,
	    &user->expires_s) != 0)
		return -EINVAL;
	if (strcmp(user->role, "admin") != 0 &&
	    strcmp(user->role, "viewer") != 0)
		return bad(at, "role", "is neither admin nor viewer");
	return 0;
}

static int
parse_user(struct doc *doc, const json_t *obj, struct place *at)
{
	return parse_login(doc_add_user(doc, at->err), obj, at);
}

static int
parse_token(struct doc *doc, const json_t *obj, struct place *at)
{
	return parse_login(doc_add_token(doc, at->err), obj, at);
}

static int
parse_list(struct doc *doc, const json_t *json, const char *list,
    int (*parse)(struct doc *, const json_t *, struct place *),
    struct err *err)
{
	struct place at = { .list = list, .err = err };
	const json_t *array = json_object_get(json, list);
	int r = 0;

	assert(list != NULL && parse != NULL);
	if (array == NULL)
		return 0;
	if (!json_is_array(array))
		return err_set(err, EINVAL, "configuration: %s is not a list",
		    list);
	for (; r == 0 && at.index < json_array_size(array); at.index++)
		r = parse(doc, json_array_get(array, at.index), &at);
	return r;
}

struct doc *
doc_from_json(const json_t *json, struct err *err)
{
	static const char *const known[] = { "format", "generation",
		"written_s", "appliance", "pools", "targets", "portals",
		"hosts", "mappings", "users", "tokens",
		"reservations", NULL };
	struct err why = { 0 };
	struct place at = { .err = &why };
	struct doc *doc = doc_new();
	uint64_t format = 0;

	if (doc == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (get_number(&at, json, "format", INT64_MAX, &format) == 0 &&
	    format != DOC_FORMAT) {
		err_set(&why, ENOTSUP, "the configuration has format %" PRIu64
		    ", this version reads format %d", format, DOC_FORMAT);
		err_hint(&why, "It was written by a later version of Dozo: "
		    "install that version.");
	}
	if (err_is(&why) || check_keys(&at, json, known) != 0 ||
	    get_number(&at, json, "generation", INT64_MAX,
	    &doc->generation) != 0 ||
	    get_number(&at, json, "written_s", INT64_MAX,
	    &doc->written_s) != 0 ||
	    get_uuid(&at, json, "appliance", doc->appliance) != 0 ||
	    parse_list(doc, json, "pools", parse_pool, &why) != 0 ||
	    parse_list(doc, json, "targets", parse_target, &why) != 0 ||
	    parse_list(doc, json, "portals", parse_portal, &why) != 0 ||
	    parse_list(doc, json, "hosts", parse_host, &why) != 0 ||
	    parse_list(doc, json, "mappings", parse_map, &why) != 0 ||
	    parse_list(doc, json, "users", parse_user, &why) != 0 ||
	    parse_list(doc, json, "tokens", parse_token, &why) != 0 ||
	    doc_check(doc, &why) != 0) {
		assert(err_is(&why));
		err_set(err, why.code, "%s", why.text);
		err_hint(err, "%s", why.hint);
		doc_free(doc);
		return NULL;
	}
	return doc;
}

struct doc *
doc_from_text(const char *text, size_t len, struct err *err)
{
	json_error_t why;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	struct doc *doc;

	if (json == NULL) {
		err_set(err, EINVAL, "configuration: line %d column %d: %s",
		    why.line, why.column, why.text);
		return NULL;
	}
	doc = doc_from_json(json, err);
	json_decref(json);
	return doc;
}

json_t *
doc_pool_json(const struct doc_pool *pool)
{
	json_t *members = json_array();

	assert(pool->nmembers <= DOC_MEMBERS_MAX);
	for (unsigned i = 0; i < pool->nmembers; i++)
		json_array_append_new(members, json_pack("{s:s, s:s}",
		    "path", pool->member[i].path,
		    "serial", pool->member[i].serial));
	return json_pack("{s:s, s:s, s:s, s:o}", "name", pool->name,
	    "uuid", pool->uuid, "array_uuid", pool->array_uuid,
	    "members", members);
}

json_t *
doc_target_json(const struct doc_target *target)
{
	return json_pack("{s:s, s:s, s:s}", "name", target->name,
	    "uuid", target->uuid, "iqn", target->iqn);
}

json_t *
doc_portal_json(const struct doc_portal *portal)
{
	return json_pack("{s:s, s:i, s:i}", "address", portal->address,
	    "port", (int)portal->port, "tag", (int)portal->tag);
}

static json_t *
texts_json(const char *texts, size_t size, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts + i * size));
	return list;
}

static void
put_chap(json_t *obj, const char *key, const struct target_chap *chap,
    bool secrets)
{
	assert((chap->user[0] == '\0') == (chap->secret[0] == '\0'));
	if (chap->user[0] == '\0')
		return;
	json_object_set_new(obj, key, secrets ?
	    json_pack("{s:s, s:s}", "user", chap->user, "secret",
	    chap->secret) : json_pack("{s:s}", "user", chap->user));
}

json_t *
doc_host_json(const struct doc_host *host, bool secrets)
{
	json_t *obj = json_pack("{s:s, s:s, s:s, s:o, s:o}",
	    "name", host->name, "uuid", host->uuid, "preset", host->preset,
	    "iqns", texts_json(host->iqn[0], sizeof(host->iqn[0]),
	    host->niqns),
	    "networks", texts_json(host->network[0],
	    sizeof(host->network[0]), host->nnetworks));

	assert(host->niqns <= DOC_HOST_IQNS);
	assert(host->nnetworks <= DOC_HOST_NETWORKS);
	if (obj != NULL) {
		put_chap(obj, "chap", &host->chap, secrets);
		put_chap(obj, "mutual", &host->mutual, secrets);
	}
	return obj;
}

json_t *
doc_map_json(const struct doc_map *map)
{
	assert(map->lun < SCSI_LUNS_MAX);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b}",
	    "pool", map->pool, "volume", map->volume,
	    "volume_uuid", map->volume_uuid, "host", map->host,
	    "target", map->target, "lun", (int)map->lun,
	    "read_only", (int)map->read_only);
}

json_t *
doc_user_json(const struct doc_user *user, bool secrets)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:I}", "name",
	    user->name, "uuid", user->uuid, "role", user->role,
	    "created_s", (json_int_t)user->created_s,
	    "expires_s", (json_int_t)user->expires_s);

	if (secrets && json != NULL)
		json_object_set_new(json, "hash", json_string(user->hash));
	return json;
}

json_t *
doc_to_json(const struct doc *doc, bool secrets)
{
	json_t *users = json_array(), *tokens = json_array();
	json_t *pools = json_array(), *targets = json_array();
	json_t *portals = json_array(), *hosts = json_array();
	json_t *maps = json_array();

	for (unsigned i = 0; i < doc->npools; i++)
		json_array_append_new(pools, doc_pool_json(&doc->pools[i]));
	for (unsigned i = 0; i < doc->ntargets; i++)
		json_array_append_new(targets,
		    doc_target_json(&doc->targets[i]));
	for (unsigned i = 0; i < doc->nportals; i++)
		json_array_append_new(portals,
		    doc_portal_json(&doc->portals[i]));
	for (unsigned i = 0; i < doc->nhosts; i++)
		json_array_append_new(hosts,
		    doc_host_json(&doc->hosts[i], secrets));
	for (unsigned i = 0; i < doc->nmaps; i++)
		json_array_append_new(maps, doc_map_json(&doc->maps[i]));
	for (unsigned i = 0; i < doc->nusers; i++)
		json_array_append_new(users, doc_user_json(&doc->users[i],
		    secrets));
	for (unsigned i = 0; i < doc->ntokens; i++)
		json_array_append_new(tokens, doc_user_json(&doc->tokens[i],
		    secrets));
	return json_pack("{s:i, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:o}", "format", DOC_FORMAT,
	    "generation", (json_int_t)doc->generation,
	    "written_s", (json_int_t)doc->written_s,
	    "appliance", doc->appliance,
	    "pools", pools, "targets", targets, "portals", portals,
	    "hosts", hosts, "mappings", maps, "users", users, "tokens",
	    tokens);
}

/* --- diff --- */

/* How an object of a list is called, and whether two are the same one. */
static void
object_name(const char *kind, const json_t *obj, char *text, size_t size)
{
#define TEXT(key) json_string_value(json_object_get(obj, key))
	if (strcmp(kind, "mapping") == 0)
		snprintf(text, size, "%s/%s to %s on %s", TEXT("pool"),
		    TEXT("volume"), TEXT("host"), TEXT("target"));
	else if (strcmp(kind, "portal") == 0)
		snprintf(text, size, "[%s]:%d", TEXT("address"),
		    (int)json_integer_value(json_object_get(obj, "port")));
	else
		snprintf(text, size, "%s", TEXT("name"));
#undef TEXT
}

static const json_t *
find_object(const char *kind, const json_t *list, const char *name)
{
	char text[4 * NAME_SIZE + 16];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *obj = json_array_get(list, i);

		object_name(kind, obj, text, sizeof(text));
		if (strcmp(text, name) == 0)
			return obj;
	}
	return NULL;
}

/* Keys whose values differ; NULL if none do. */
static json_t *
changed_fields(const json_t *a, const json_t *b)
{
	json_t *fields = json_array();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)b, key, value) {
		if (!json_equal(value, json_object_get(a, key)))
			json_array_append_new(fields, json_string(key));
	}
	json_object_foreach((json_t *)(uintptr_t)a, key, value) {
		if (json_object_get(b, key) == NULL)
			json_array_append_new(fields, json_string(key));
	}
	if (json_array_size(fields) == 0) {
		json_decref(fields);
		return NULL;
	}
	return fields;
}

static void
diff_list(json_t *out, const char *kind, const json_t *a, const json_t *b)
{
	char name[4 * NAME_SIZE + 16];

	for (size_t i = 0; i < json_array_size(a); i++) {
		object_name(kind, json_array_get(a, i), name, sizeof(name));
		if (find_object(kind, b, name) == NULL)
			json_array_append_new(out, json_pack("{s:s,s:s,s:s}",
			    "change", "remove", "kind", kind, "name", name));
	}
	for (size_t i = 0; i < json_array_size(b); i++) {
		const json_t *to = json_array_get(b, i), *from;
		json_t *fields;

		object_name(kind, to, name, sizeof(name));
		from = find_object(kind, a, name);
		if (from == NULL)
			json_array_append_new(out, json_pack("{s:s,s:s,s:s}",
			    "change", "add", "kind", kind, "name", name));
		else if ((fields = changed_fields(from, to)) != NULL)
			json_array_append_new(out,
			    json_pack("{s:s,s:s,s:s,s:o}", "change", "modify",
			    "kind", kind, "name", name, "fields", fields));
	}
}

json_t *
doc_diff(const struct doc *a, const struct doc *b)
{
	static const char *const lists[][2] = {
		{ "pools", "pool" }, { "targets", "target" },
		{ "portals", "portal" }, { "hosts", "host" },
		{ "mappings", "mapping" }, { "users", "user" },
		{ "tokens", "token" },
	};
	json_t *ja = doc_to_json(a, true), *jb = doc_to_json(b, true);
	json_t *out = json_array();

	for (size_t i = 0; ja != NULL && jb != NULL && i < nitems(lists); i++)
		diff_list(out, lists[i][1], json_object_get(ja, lists[i][0]),
		    json_object_get(jb, lists[i][0]));
	json_decref(ja);
	json_decref(jb);
	return out;
}
