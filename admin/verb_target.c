/* SPDX-License-Identifier: BSD-2-Clause */
/* Verbs for targets and portals. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/apply.h"
#include "admin/verbs.h"

#define IQN_PREFIX "iqn.2026-01.org.dozo:"

/* --- targets --- */

static bool
target_params_ok(struct req *req, const char *name, char *iqn, size_t size)
{
	const char *given = arg_text(req, "iqn");

	assert(size > sizeof(IQN_PREFIX) + NAME_SIZE);
	if (given != NULL && strlen(given) >= size) {
		err_set(&req->err, EINVAL, "the IQN is longer than %zu "
		    "characters", size - 1);
		return false;
	}
	if (given != NULL)
		snprintf(iqn, size, "%s", given);
	else
		snprintf(iqn, size, IQN_PREFIX "%s", name);
	return ident_iqn_ok(iqn, &req->err);
}

void
verb_target_create(struct req *req)
{
	const char *name = arg_text(req, "name");
	struct doc *doc = req->dozo->doc;
	char iqn[SCSI_NAME_MAX + 1];
	struct doc_target *target = doc_target(doc, name);

	assert(req->locked && req->next == NULL);
	if (!target_params_ok(req, name, iqn, sizeof(iqn)))
		return;
	if (target != NULL) {
		if (strcmp(target->iqn, iqn) != 0 &&
		    arg_text(req, "iqn") != NULL) {
			err_set(&req->err, EEXIST, "target %s exists and has "
			    "the IQN %s", name, target->iqn);
			err_hint(&req->err, "Delete it first, or use another "
			    "name.");
			return;
		}
		req_result(req, doc_target_json(target), false);
		return;
	}
	if ((doc = req_next_doc(req)) == NULL ||
	    (target = doc_add_target(doc, &req->err)) == NULL)
		return;
	snprintf(target->name, sizeof(target->name), "%s", name);
	memcpy(target->iqn, iqn, sizeof(target->iqn));
	dozo_new_uuid(req->dozo, target->uuid);
	if (doc_check(doc, &req->err) == 0)
		req_result(req, doc_target_json(target), true);
}

struct count_sessions {
	const char *target, *host;
	unsigned n;
	char first[SCSI_NAME_MAX + 1];
};

static void
count_session(void *arg, const struct target_session_info *info)
{
	struct count_sessions *count = arg;

	if (info->discovery || strcmp(info->target, count->target) != 0)
		return;
	if (count->n++ == 0)
		snprintf(count->first, sizeof(count->first), "%s",
		    info->initiator);
}

unsigned
sessions_of(struct dozo *d, const char *iqn, char *first, size_t size)
{
	struct count_sessions count = { .target = iqn };

	target_sessions(d->server, count_session, &count);
	if (first != NULL)
		snprintf(first, size, "%s", count.first);
	return count.n;
}

void
verb_target_list(struct req *req)
{
	const struct doc *doc = req->dozo->doc;
	json_t *list = json_array();

	assert(req->result == NULL && !req->locked);
	for (unsigned i = 0; i < doc->ntargets; i++) {
		const struct doc_target *t = &doc->targets[i];
		json_t *json = doc_target_json(t), *maps = json_array();
		char etag[24];

		etag_of(json, etag);
		for (unsigned j = 0; j < doc->nmaps; j++) {
			if (strcmp(doc->maps[j].target, t->name) == 0)
				json_array_append_new(maps,
				    doc_map_json(&doc->maps[j]));
		}
		json_object_set_new(json, "etag", json_string(etag));
		json_object_set_new(json, "mappings", maps);
		json_object_set_new(json, "sessions", json_integer(
		    sessions_of(req->dozo, t->iqn, NULL, 0)));
		json_array_append_new(list, json);
	}
	req->result = list;
}

void
verb_target_delete(struct req *req)
{
	const char *name = arg_text(req, "name");
	struct doc_target *target = doc_target(req->dozo->doc, name);
	char first[SCSI_NAME_MAX + 1];
	struct doc *doc;
	unsigned n;

	assert(req->locked && req->next == NULL);
	if (target == NULL) {
		req_result(req, json_pack("{s:s}", "name", name), false);
		return;
	}
	if (!req_etag_ok(req, doc_target_json(target)))
		return;
	n = sessions_of(req->dozo, target->iqn, first, sizeof(first));
	if (n > 0 && !arg_bool(req, "force")) {
		err_set(&req->err, EBUSY, "%u session%s use%s target %s: "
		    "%.120s%s", n, n == 1 ? "" : "s", n == 1 ? "s" : "", name,
		    first, n == 1 ? "" : " and others");
		err_hint(&req->err, "Log the initiators out, or use --force "
		    "to cut them off.");
		return;
	}
	if ((doc = req_next_doc(req)) == NULL)
		return;
	for (unsigned i = doc->nmaps; i-- > 0;) {
		if (strcmp(doc->maps[i].target, name) == 0)
			doc_remove_map(doc, &doc->maps[i]);
	}
	doc_remove_target(doc, doc_target(doc, name));
	req_result(req, json_pack("{s:s}", "name", name), true);
}

/* --- portals --- */

static json_t *
portal_json(struct dozo *d, const struct dozo_portal *portal)
{
	char text[140];
	json_t *json = json_pack("{s:s, s:s, s:i, s:i, s:b, s:b}",
	    "portal", conf_print_addr(&portal->addr, text, sizeof(text)),
	    "address", portal->addr.text, "port", (int)portal->addr.port,
	    "tag", (int)portal->tag, "open", (int)portal->open,
	    "permanent", (int)portal_from_conf(d, &portal->addr));

	assert(portal->open || err_is(&portal->why));
	if (!portal->open && err_is(&portal->why))
		json_object_set_new(json, "error", err_json(&portal->why));
	return json;
}

void
verb_portal_list(struct req *req)
{
	struct dozo *d = req->dozo;

	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	for (unsigned i = 0; i < d->nportals; i++)
		json_array_append_new(req->result,
		    portal_json(d, &d->portals[i]));
}

static bool
portal_arg(struct req *req, struct sock_addr *addr)
{
	return conf_parse_addr(arg_text(req, "address"), addr,
	    &req->err) == 0;
}

void
verb_portal_add(struct req *req)
{
	struct dozo *d = req->dozo;
	uint64_t tag = arg_number(req, "tag", 1);
	struct doc_portal *portal;
	struct sock_addr addr;
	struct doc *doc;

	assert(req->locked && req->next == NULL);
	if (!portal_arg(req, &addr))
		return;
	if (tag < 1 || tag > UINT16_MAX) {
		err_set(&req->err, EINVAL, "a portal group tag is 1 to 65535");
		return;
	}
	portal = doc_portal(d->doc, addr.text, addr.port);
	if (portal_from_conf(d, &addr) || portal != NULL) {
		uint16_t has = portal != NULL ? portal->tag : 1;

		if (has != tag)
			err_set(&req->err, EEXIST, "the portal exists and has "
			    "the tag %u", has);
		else
			req_result(req, json_pack("{s:s, s:i, s:i}",
			    "address", addr.text, "port", (int)addr.port,
			    "tag", (int)tag), false);
		return;
	}
	if ((doc = req_next_doc(req)) == NULL ||
	    (portal = doc_add_portal(doc, &req->err)) == NULL)
		return;
	snprintf(portal->address, sizeof(portal->address), "%.63s", addr.text);
	portal->port = addr.port;
	portal->tag = (uint16_t)tag;
	/* An address that cannot be had is not written down. */
	if (!req->dry_run &&
	    portal_open(d, &addr, portal->tag, &req->err) != 0) {
		portal_close(d, &addr);
		return;
	}
	req_result(req, doc_portal_json(portal), true);
}

void
verb_portal_remove(struct req *req)
{
	struct dozo *d = req->dozo;
	struct doc_portal *portal;
	struct sock_addr addr;
	struct doc *doc;

	assert(req->locked && req->next == NULL);
	if (!portal_arg(req, &addr))
		return;
	if (portal_from_conf(d, &addr)) {
		err_set(&req->err, EBUSY, "the portal is in %s",
		    d->conf_path);
		err_hint(&req->err, "Change \"listen\" there and restart "
		    "dozod.");
		return;
	}
	portal = doc_portal(d->doc, addr.text, addr.port);
	if (portal != NULL) {
		if (!req_etag_ok(req, doc_portal_json(portal)) ||
		    (doc = req_next_doc(req)) == NULL)
			return;
		doc_remove_portal(doc, doc_portal(doc, addr.text, addr.port));
	}
	req_result(req, json_pack("{s:s, s:i}", "address", addr.text,
	    "port", (int)addr.port), portal != NULL);
}
