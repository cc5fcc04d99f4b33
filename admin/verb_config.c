/* SPDX-License-Identifier: BSD-2-Clause */
/* Verbs for the configuration document as a whole. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/verbs.h"

struct export {
	struct work work;
	struct req *req;
	uint64_t generation;
	struct doc *doc;
	struct err err;
};

/* On the helper thread. */
static void
export_read(void *arg)
{
	struct export *export = arg;
	char name[48], *text;
	size_t len;
	int r;

	state_history_name(export->generation, name, sizeof(name));
	r = state_read(export->req->dozo->state, name, &text, &len,
	    &export->err);
	if (r == 0)
		export->doc = doc_from_text(text, len, &export->err);
	else if (r == -ENOENT) {
		err_set(&export->err, ENOENT, "generation %" PRIu64 " is not "
		    "kept", export->generation);
		err_hint(&export->err, "`dozoctl config history` shows what "
		    "is.");
	}
	free(text);
}

static void
export_result(struct req *req, const struct doc *doc)
{
	assert(req->result == NULL && doc != NULL);
	req->result = doc_to_json(doc, arg_bool(req, "secrets"));
	if (req->result == NULL)
		err_set(&req->err, ENOMEM, "out of memory");
}

void
verb_config_export(struct req *req)
{
	struct dozo *d = req->dozo;
	struct export *export;
	uint64_t generation = arg_number(req, "generation",
	    d->doc->generation);

	assert(req->work == NULL && !req->locked);
	if (generation == d->doc->generation) {
		export_result(req, d->doc);
		return;
	}
	export = calloc(1, sizeof(*export));
	if (export == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = export;
	export->req = req;
	export->generation = generation;
	work_start(d->worker, &export->work, export_read, export, &req->op);
}

void
verb_config_export_end(struct req *req)
{
	struct export *export = req->work;

	assert(req->op.pending == 0);
	if (export == NULL)
		return;
	req->err = export->err;
	if (export->doc != NULL)
		export_result(req, export->doc);
	doc_free(export->doc);
}

/* --- history --- */

struct history_work {
	struct work work;
	struct state *state;
	json_t *list;
};

/* On the helper thread. */
static void
history_read(void *arg)
{
	struct history_work *w = arg;
	uint64_t generations[STATE_HISTORY + 2];
	unsigned n = state_history(w->state, generations,
	    nitems(generations));

	assert(n <= nitems(generations));
	for (unsigned i = 0; i < n; i++) {
		char name[48], *text = NULL;
		json_t *doc = NULL;
		size_t len;

		state_history_name(generations[i], name, sizeof(name));
		if (state_read(w->state, name, &text, &len, NULL) == 0)
			doc = json_loadb(text, len, 0, NULL);
		json_array_append_new(w->list, json_pack("{s:I, s:b, s:I}",
		    "generation", (json_int_t)generations[i], "current", 0,
		    "written_s", json_integer_value(json_object_get(doc,
		    "written_s"))));
		json_decref(doc);
		free(text);
	}
}

void
verb_config_history(struct req *req)
{
	struct history_work *w = calloc(1, sizeof(*w));

	assert(req->work == NULL && !req->locked);
	if (w == NULL || (w->list = json_array()) == NULL) {
		free(w);
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = w;
	w->state = req->dozo->state;
	work_start(req->dozo->worker, &w->work, history_read, w, &req->op);
}

void
verb_config_history_end(struct req *req)
{
	struct history_work *w = req->work;

	assert(req->op.pending == 0);
	if (w == NULL)
		return;
	req->result = w->list;
	json_array_append_new(req->result, json_pack("{s:I, s:b, s:I}",
	    "generation", (json_int_t)req->dozo->doc->generation,
	    "current", 1, "written_s",
	    (json_int_t)req->dozo->doc->written_s));
}

/* Secrets that an export left out stay as they are here. */
static void
keep_secrets(json_t *json, const struct doc *doc)
{
	static const char *const keys[] = { "chap", "mutual" };
	json_t *hosts = json_object_get(json, "hosts");

	for (size_t i = 0; i < json_array_size(hosts); i++) {
		json_t *host = json_array_get(hosts, i);
		const char *name = json_string_value(json_object_get(host,
		    "name"));
		const struct doc_host *has = name != NULL ?
		    doc_host(doc, name) : NULL;

		for (size_t k = 0; k < nitems(keys); k++) {
			json_t *chap = json_object_get(host, keys[k]);
			const struct target_chap *old = has == NULL ? NULL :
			    k == 0 ? &has->chap : &has->mutual;

			if (json_is_object(chap) && old != NULL &&
			    json_object_get(chap, "secret") == NULL)
				json_object_set_new(chap, "secret",
				    json_string(old->secret));
		}
	}
}

/* Mappings of what does not exist are kept, not served: say so. */
static void
warn_orphans(struct req *req, const struct doc *doc)
{
	json_t *list = json_array();

	assert(req->result != NULL);
	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *m = &doc->maps[i];

		if (!dozo_map_orphan(req->dozo, m))
			continue;
		json_array_append_new(list, json_sprintf("LUN %d of host %s "
		    "on target %s is not served: its volume %s/%s is not "
		    "here, even if one of that name is", m->lun, m->host,
		    m->target, m->pool, m->volume));
	}
	if (json_array_size(list) > 0)
		json_object_set(req->result, "warnings", list);
	json_decref(list);
}

/*
 * Targets, portals, hosts and mappings are replaced; pools are what is on the
 * disks and stay, and so do users and tokens.
 */
void
verb_config_import(struct req *req)
{
	struct dozo *d = req->dozo;
	json_t *json = json_deep_copy(json_object_get(req->args, "document"));
	struct doc *doc, *pools;

	assert(req->locked && req->next == NULL);
	if (json == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	keep_secrets(json, d->doc);
	doc = doc_from_json(json, &req->err);
	json_decref(json);
	if (doc == NULL)
		return;
	pools = doc_copy(d->doc);
	if (pools == NULL) {
		doc_free(doc);
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	free(doc->pools);
	doc->pools = pools->pools;
	doc->npools = pools->npools;
	pools->pools = NULL;
	pools->npools = 0;
	free(doc->users);
	free(doc->tokens);
	doc->users = pools->users;
	doc->nusers = pools->nusers;
	doc->tokens = pools->tokens;
	doc->ntokens = pools->ntokens;
	pools->users = pools->tokens = NULL;
	memcpy(doc->appliance, pools->appliance, sizeof(doc->appliance));
	doc_free(pools);
	req->next = doc;
	req->result = json_pack("{s:o}", "changes", doc_diff(d->doc, doc));
	if (req->result != NULL)
		warn_orphans(req, doc);
}
