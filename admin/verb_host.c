/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs for hosts and mappings: who may use which volume under which LUN.
 * Secrets are taken, never given back.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/verbs.h"

/* --- hosts --- */

static bool
get_list(struct req *req, const char *arg, char *dst, size_t size,
    unsigned max, unsigned *n)
{
	size_t given = arg_texts(req, arg);

	assert(size > 0 && max <= UINT8_MAX);
	if (given > max) {
		err_set(&req->err, EINVAL, "%s: at most %u", arg, max);
		return false;
	}
	for (size_t i = 0; i < given; i++) {
		const char *text = arg_text_at(req, arg, i);

		if (strlen(text) >= size) {
			err_set(&req->err, EINVAL, "%s: \"%.40s...\" is too "
			    "long", arg, text);
			return false;
		}
		snprintf(dst + i * size, size, "%s", text);
	}
	*n = (unsigned)given;
	return true;
}

static bool
get_text(struct req *req, const char *arg, char *dst, size_t size)
{
	const char *text = arg_text(req, arg);

	assert(size > 0 && dst[0] == '\0');
	if (text == NULL)
		return true;
	if (strlen(text) >= size) {
		err_set(&req->err, EINVAL, "%s is longer than %zu characters",
		    arg, size - 1);
		return false;
	}
	snprintf(dst, size, "%s", text);
	return true;
}

static bool
host_from_args(struct req *req, struct doc_host *h)
{
	return get_text(req, "name", h->name, sizeof(h->name)) &&
	    get_text(req, "preset", h->preset, sizeof(h->preset)) &&
	    get_list(req, "iqn", h->iqn[0], sizeof(h->iqn[0]), DOC_HOST_IQNS,
	    &h->niqns) &&
	    get_list(req, "network", h->network[0], sizeof(h->network[0]),
	    DOC_HOST_NETWORKS, &h->nnetworks) &&
	    get_text(req, "chap_user", h->chap.user, sizeof(h->chap.user)) &&
	    get_text(req, "chap_secret", h->chap.secret,
	    sizeof(h->chap.secret)) &&
	    get_text(req, "mutual_user", h->mutual.user,
	    sizeof(h->mutual.user)) &&
	    get_text(req, "mutual_secret", h->mutual.secret,
	    sizeof(h->mutual.secret));
}

/* Is all but the UUID equal? */
static bool
same_host(const struct doc_host *a, const struct doc_host *b)
{
	struct doc_host copy = *a;
	json_t *ja, *jb;
	bool same;

	assert(strcmp(a->name, b->name) == 0);
	memcpy(copy.uuid, b->uuid, sizeof(copy.uuid));
	ja = doc_host_json(&copy, true);
	jb = doc_host_json(b, true);
	same = ja != NULL && json_equal(ja, jb);
	json_decref(ja);
	json_decref(jb);
	return same;
}

static json_t *
any_json(void)
{
	return json_pack("{s:s, s:[], s:[], s:s, s:b}", "name", DOC_HOST_ANY,
	    "iqns", "networks", "preset", "", "built_in", 1);
}

/* Every initiator is what the host any is for. */
static bool
refuse_everybody(struct req *req, const struct doc_host *host)
{
	if (host->niqns > 0 || host->nnetworks > 0 ||
	    host->chap.user[0] != '\0')
		return false;
	err_set(&req->err, EINVAL, "host %s would be every initiator",
	    host->name);
	err_hint(&req->err, "Give --iqn, --network or --chap-user, or map to "
	    "the host any.");
	return true;
}

void
verb_host_create(struct req *req)
{
	struct doc *doc = req->dozo->doc;
	struct doc_host host = { 0 };
	struct doc_host *has;

	assert(req->locked && req->next == NULL);
	if (!host_from_args(req, &host))
		return;
	if (strcmp(host.name, DOC_HOST_ANY) == 0) {
		if (json_object_size(req->args) != 1)
			err_set(&req->err, EEXIST, "the host " DOC_HOST_ANY
			    " is built in and means every initiator");
		else
			req_result(req, any_json(), false);
		return;
	}
	if (refuse_everybody(req, &host))
		return;
	has = doc_host(doc, host.name);
	if (has != NULL) {
		if (!same_host(has, &host)) {
			err_set(&req->err, EEXIST, "host %s exists and is "
			    "different", host.name);
			err_hint(&req->err, "Compare with `dozoctl host "
			    "list`; delete it first, or use another name.");
			return;
		}
		req_result(req, doc_host_json(has, false), false);
		return;
	}
	if ((doc = req_next_doc(req)) == NULL ||
	    (has = doc_add_host(doc, &req->err)) == NULL)
		return;
	dozo_new_uuid(req->dozo, host.uuid);
	*has = host;
	if (doc_check(doc, &req->err) == 0)
		req_result(req, doc_host_json(has, false), true);
}

/* Take from the arguments what is there; the rest stays. */
static void
host_merge(const struct req *req, struct doc_host *h,
    const struct doc_host *given)
{
	const json_t *args = req->args;

	if (json_object_get(args, "preset") != NULL)
		memcpy(h->preset, given->preset, sizeof(h->preset));
	if (json_object_get(args, "iqn") != NULL) {
		h->niqns = given->niqns;
		memcpy(h->iqn, given->iqn, sizeof(h->iqn));
	}
	if (json_object_get(args, "network") != NULL) {
		h->nnetworks = given->nnetworks;
		memcpy(h->network, given->network, sizeof(h->network));
	}
	if (arg_bool(req, "no_chap")) {
		memset(&h->chap, 0, sizeof(h->chap));
		memset(&h->mutual, 0, sizeof(h->mutual));
	}
	if (given->chap.user[0] != '\0')
		memcpy(h->chap.user, given->chap.user, sizeof(h->chap.user));
	if (given->chap.secret[0] != '\0')
		memcpy(h->chap.secret, given->chap.secret,
		    sizeof(h->chap.secret));
	if (given->mutual.user[0] != '\0')
		memcpy(h->mutual.user, given->mutual.user,
		    sizeof(h->mutual.user));
	if (given->mutual.secret[0] != '\0')
		memcpy(h->mutual.secret, given->mutual.secret,
		    sizeof(h->mutual.secret));
}

void
verb_host_set(struct req *req)
{
	const char *name = arg_text(req, "name");
	const struct doc_host *has = doc_host(req->dozo->doc, name);
	struct doc_host given = { 0 }, *host;
	struct doc *doc;

	assert(req->locked && req->next == NULL);
	if (has == NULL) {
		err_set(&req->err, ENOENT, "there is no host %s%s", name,
		    strcmp(name, DOC_HOST_ANY) == 0 ? " that can be changed" :
		    "");
		err_hint(&req->err, "`dozoctl host list` shows them.");
		return;
	}
	if (!req_etag_ok(req, doc_host_json(has, false)) ||
	    !host_from_args(req, &given) ||
	    (doc = req_next_doc(req)) == NULL)
		return;
	host = doc_host(doc, name);
	host_merge(req, host, &given);
	if (refuse_everybody(req, host) || doc_check(doc, &req->err) != 0)
		return;
	req_result(req, doc_host_json(host, false), !same_host(host, has));
}

void
verb_host_list(struct req *req)
{
	const struct doc *doc = req->dozo->doc;

	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	for (unsigned i = 0; i < doc->nhosts; i++) {
		json_t *json = doc_host_json(&doc->hosts[i], false);
		char etag[24];

		etag_of(json, etag);
		json_object_set_new(json, "built_in", json_false());
		json_object_set_new(json, "etag", json_string(etag));
		json_array_append_new(req->result, json);
	}
	json_array_append_new(req->result, any_json());
}

void
verb_host_delete(struct req *req)
{
	const char *name = arg_text(req, "name");
	struct doc_host *host = doc_host(req->dozo->doc, name);
	struct doc *doc;

	assert(req->locked && req->next == NULL);
	if (strcmp(name, DOC_HOST_ANY) == 0) {
		err_set(&req->err, EBUSY, "the host " DOC_HOST_ANY
		    " is built in");
		err_hint(&req->err, "Unmap the volumes that every initiator "
		    "may use.");
		return;
	}
	if (host == NULL) {
		req_result(req, json_pack("{s:s}", "name", name), false);
		return;
	}
	if (!req_etag_ok(req, doc_host_json(host, false)) ||
	    (doc = req_next_doc(req)) == NULL)
		return;
	for (unsigned i = doc->nmaps; i-- > 0;) {
		if (strcmp(doc->maps[i].host, name) == 0)
			doc_remove_map(doc, &doc->maps[i]);
	}
	doc_remove_host(doc, doc_host(doc, name));
	req_result(req, json_pack("{s:s}", "name", name), true);
}

/* --- mappings --- */

/* Do host and target exist? */
static bool
map_ends_ok(struct req *req, const char *host, const char *target)
{
	const struct doc *doc = req->dozo->doc;

	if (doc_target(doc, target) == NULL) {
		err_set(&req->err, ENOENT, "there is no target %s", target);
		err_hint(&req->err, "Make it with `dozoctl target create "
		    "%s`.", target);
		return false;
	}
	if (strcmp(host, DOC_HOST_ANY) != 0 && doc_host(doc, host) == NULL) {
		err_set(&req->err, ENOENT, "there is no host %s", host);
		err_hint(&req->err, "Make it with `dozoctl host create %s "
		    "--iqn IQN`, or map to the host any.", host);
		return false;
	}
	return true;
}

/* The LUN that is asked for or the lowest free one; -1 with err. */
static int
choose_lun(struct req *req, const char *host, const char *target)
{
	const struct doc *doc = req->dozo->doc;
	uint64_t lun = arg_number(req, "lun", UINT64_MAX);
	int lowest = doc_free_lun(doc, host, target);

	assert(lowest < SCSI_LUNS_MAX);
	if (lun == UINT64_MAX) {
		if (lowest < 0)
			err_set(&req->err, ENOSPC, "host %s has %u LUNs on "
			    "target %s already", host, SCSI_LUNS_MAX, target);
		return lowest;
	}
	if (lun >= SCSI_LUNS_MAX) {
		err_set(&req->err, EINVAL, "a LUN is 0 to %u",
		    SCSI_LUNS_MAX - 1);
		return -1;
	}
	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *m = &doc->maps[i];

		if (m->lun != lun || strcmp(m->host, host) != 0 ||
		    strcmp(m->target, target) != 0)
			continue;
		err_set(&req->err, EEXIST, "LUN %u of host %s on target %s "
		    "is %s/%s", m->lun, host, target, m->pool, m->volume);
		if (lowest >= 0)
			err_hint(&req->err, "The lowest free one is %d.",
			    lowest);
		return -1;
	}
	return (int)lun;
}

static void
map_exists(struct req *req, const struct doc_map *map)
{
	uint64_t lun = arg_number(req, "lun", map->lun);

	assert(req->result == NULL && map->lun < SCSI_LUNS_MAX);
	if (lun == map->lun && arg_bool(req, "read_only") == map->read_only) {
		req_result(req, doc_map_json(map), false);
		return;
	}
	err_set(&req->err, EEXIST, "%s/%s is mapped to host %s on target %s "
	    "as LUN %u%s already", map->pool, map->volume, map->host,
	    map->target, map->lun, map->read_only ? ", read-only" : "");
	err_hint(&req->err, "Unmap it first.");
}

/*
 * CHAP for one host is no protection if every initiator may use the same
 * volume: say so, it may still be wanted.
 */
static void
warn_any(struct req *req, const struct doc *doc, const struct doc_map *map)
{
	bool any = strcmp(map->host, DOC_HOST_ANY) == 0;
	char text[320];

	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *m = &doc->maps[i];
		bool m_any = strcmp(m->host, DOC_HOST_ANY) == 0;
		const struct doc_host *host = doc_host(doc, any ? m->host :
		    map->host);

		if (m_any == any || host == NULL ||
		    host->chap.user[0] == '\0' ||
		    strcmp(m->volume_uuid, map->volume_uuid) != 0)
			continue;
		snprintf(text, sizeof(text), "every initiator may use %s/%s "
		    "without a secret, although host %s needs CHAP: unmap it "
		    "from " DOC_HOST_ANY " unless that is wanted", map->pool,
		    map->volume, host->name);
		json_object_set_new(req->result, "warning",
		    json_string(text));
		return;
	}
}

void
verb_map(struct req *req)
{
	const char *host = arg_text(req, "host");
	const char *target = arg_text(req, "target");
	struct dozo_volume *dv;
	struct doc_map *map;
	struct doc *doc;
	int lun;

	assert(req->locked && req->next == NULL);
	dv = dozo_find_volume(req->dozo, arg_text(req, "volume"), &req->err);
	if (dv == NULL || !map_ends_ok(req, host, target))
		return;
	map = doc_map(req->dozo->doc, dv->uuid, host, target);
	if (map != NULL) {
		map_exists(req, map);
		return;
	}
	lun = choose_lun(req, host, target);
	if (lun < 0 || (doc = req_next_doc(req)) == NULL ||
	    (map = doc_add_map(doc, &req->err)) == NULL)
		return;
	if (!dozo_split_path(arg_text(req, "volume"), map->pool, map->volume,
	    &req->err))
		return;
	memcpy(map->volume_uuid, dv->uuid, sizeof(map->volume_uuid));
	snprintf(map->host, sizeof(map->host), "%s", host);
	snprintf(map->target, sizeof(map->target), "%s", target);
	map->lun = (uint16_t)lun;
	map->read_only = arg_bool(req, "read_only");
	if (doc_check(doc, &req->err) != 0)
		return;
	req_result(req, doc_map_json(map), true);
	warn_any(req, doc, map);
}

/* Which mappings `unmap` takes away. */
struct unmap {
	char pool[NAME_SIZE], volume[NAME_SIZE];
	const struct dozo_volume *dv;	/* that has this name now, or NULL */
	const char *host, *target;
};

/*
 * The volume's own mapping, and orphans of its name: the name is all that
 * they can be called by, and none may come to life unasked.
 */
static bool
unmap_has(struct dozo *d, const struct unmap *u, const struct doc_map *m)
{
	const struct dozo_volume *dv = dozo_volume_by_uuid(d, m->volume_uuid);

	if (strcmp(m->host, u->host) != 0 ||
	    strcmp(m->target, u->target) != 0)
		return false;
	if (dv != NULL && u->dv != NULL)
		return dv == u->dv;
	return strcmp(m->pool, u->pool) == 0 &&
	    strcmp(m->volume, u->volume) == 0;
}

void
verb_unmap(struct req *req)
{
	const struct doc *has = req->dozo->doc;
	struct unmap u = {
		.host = arg_text(req, "host"),
		.target = arg_text(req, "target"),
	};
	struct doc *doc = NULL;
	unsigned n = 0;

	assert(req->locked && req->next == NULL);
	if (!dozo_split_path(arg_text(req, "volume"), u.pool, u.volume,
	    &req->err))
		return;
	u.dv = dozo_find_volume(req->dozo, arg_text(req, "volume"), NULL);
	for (unsigned i = has->nmaps; i-- > 0;) {
		if (!unmap_has(req->dozo, &u, &has->maps[i]) ||
		    !req_etag_ok(req, doc_map_json(&has->maps[i])))
			continue;	/* an ETag is that of one mapping */
		if (doc == NULL && (doc = req_next_doc(req)) == NULL)
			return;
		doc_remove_map(doc, &doc->maps[i]);
		n++;
	}
	if (n > 0)
		err_clear(&req->err);
	if (!err_is(&req->err))
		req_result(req, json_pack("{s:s, s:s, s:s}", "volume",
		    arg_text(req, "volume"), "host", u.host, "target",
		    u.target), n > 0);
}

void
verb_map_list(struct req *req)
{
	const struct doc *doc = req->dozo->doc;

	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	for (unsigned i = 0; i < doc->nmaps; i++) {
		json_t *json = doc_map_json(&doc->maps[i]);
		char etag[24];

		etag_of(json, etag);
		json_object_set_new(json, "orphan", json_boolean(
		    dozo_volume_by_uuid(req->dozo,
		    doc->maps[i].volume_uuid) == NULL));
		json_object_set_new(json, "etag", json_string(etag));
		json_array_append_new(req->result, json);
	}
}
