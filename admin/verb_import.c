/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.import: take over a pool from disks that another appliance, or an
 * earlier installation of this one, has made.  The disks carry the
 * configuration too; with "config" what belongs to the pool is taken over as
 * far as it does not contradict what is here.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/pools.h"
#include "admin/reservations.h"
#include "admin/verbs.h"
#include "core/log.h"

/* Not a valid name, so that nothing finds it. */
#define IMPORT_NAME "(import)"

struct import {
	struct op op;
	struct req *req;
	struct dozo_pool *pool;
	struct pool_up up;
	struct pool_doc doc;
	struct pool_down down;
	struct err err;
	struct work work;
	unsigned nsaves;
	struct pr_file *saves;
	struct err save_err;
};

/* A reservation from the disks, on its way into the state directory. */
struct pr_file {
	char name[UUID_SIZE + 4];
	void *blob;
	size_t len;
};

enum import_step { IMPORT_UP, IMPORT_READ, IMPORT_DECIDE, IMPORT_DONE };

static const char *const import_steps[] = { "UP", "READ", "DECIDE", "DONE" };

static void import_run(struct op *op);

static const struct op_type import_type = {
	.name = "pool_import",
	.steps = import_steps,
	.nsteps = nitems(import_steps),
	.run = import_run,
};

/* May the pool that was found be ours under its name? */
static void
check_found(struct import *im)
{
	const char *want = arg_text(im->req, "name");
	struct dozo *d = im->req->dozo;
	struct pool_info info;
	char uuid[UUID_SIZE];

	assert(im->pool->state == DOZO_POOL_ONLINE);
	pool_get_info(im->pool->pool, &info);
	uuid_print(info.uuid, uuid);
	if (want != NULL && strcmp(want, info.name) != 0) {
		err_set(&im->err, EINVAL, "the pool on these disks is %s, not "
		    "%s", info.name, want);
		return;
	}
	if (dozo_pool(d, info.name) != NULL) {
		err_set(&im->err, EEXIST, "there is a pool %s already",
		    info.name);
		err_hint(&im->err, "If it is the same one moved to other "
		    "disks, forget it with `dozoctl pool export %s` first.",
		    info.name);
		return;
	}
	snprintf(im->pool->name, sizeof(im->pool->name), "%s", info.name);
}

/* On the helper thread.  Best effort: they are in force already. */
static void
save_reservations(void *arg)
{
	struct import *im = arg;

	for (unsigned i = 0; i < im->nsaves; i++) {
		state_write(im->req->dozo->state, im->saves[i].name,
		    im->saves[i].blob, im->saves[i].len, &im->save_err);
	}
}

/* Persistent reservations come with the volumes (DESIGN, promise 2). */
static void
import_reservations(struct import *im)
{
	struct dozo_volume *dv;
	struct pool_info info;
	json_t *doc;

	pool_get_info(im->pool->pool, &info);
	doc = im->doc.text != NULL ? json_loadb(im->doc.text, im->doc.len, 0,
	    NULL) : NULL;
	im->saves = calloc(info.volumes + 1, sizeof(*im->saves));
	TAILQ_FOREACH(dv, &im->pool->volumes, link) {
		struct pr_file *save;
		size_t len;
		void *blob = reservations_find(doc, dv->uuid, &len);

		if (blob == NULL || im->saves == NULL) {
			free(blob);
			continue;
		}
		assert(im->nsaves < info.volumes);
		save = &im->saves[im->nsaves++];
		snprintf(save->name, sizeof(save->name), "pr/%s", dv->uuid);
		save->blob = blob;
		save->len = len;
		scsi_lu_load(dv->lu, blob, len);
	}
	json_decref(doc);
	if (im->nsaves > 0)
		work_start(im->req->dozo->worker, &im->work,
		    save_reservations, im, &im->op);
}

static void
import_decide(struct import *im)
{
	struct dozo_volume *dv;

	assert(im->req->locked && !err_is(&im->err));
	if (err_is(&im->up.err))
		im->err = im->up.err;
	if (!err_is(&im->err) && err_is(&im->doc.err) &&
	    arg_bool(im->req, "config"))
		im->err = im->doc.err;
	if (!err_is(&im->err))
		check_found(im);
	if ((err_is(&im->err) || im->req->dry_run) &&
	    im->pool->state == DOZO_POOL_ONLINE) {
		im->down.pool = im->pool;
		pool_down_start(&im->down, &im->op);
		return;
	}
	if (err_is(&im->err))
		return;
	/* The LUs were made before the name was known. */
	TAILQ_FOREACH(dv, &im->pool->volumes, link)
		dozo_volume_refresh(dv);
	dozo_pool_claim(im->pool);
	import_reservations(im);
}

static void
import_run(struct op *op)
{
	struct import *im = op_owner(op, struct import);

	switch ((enum import_step)op->step) {
	case IMPORT_UP:
		im->up.pool = im->pool;
		pool_up_start(&im->up, op);
		op->step = IMPORT_READ;
		return;
	case IMPORT_READ:
		if (!err_is(&im->up.err)) {
			im->doc.pool = im->pool->pool;
			pool_doc_start(&im->doc, op);
		}
		op->step = IMPORT_DECIDE;
		return;
	case IMPORT_DECIDE:
		import_decide(im);
		op->step = IMPORT_DONE;
		return;
	case IMPORT_DONE:
		if (err_is(&im->save_err))
			log_warn("reservations of pool %s: %s",
			    im->pool->name, im->save_err.text);
		while (im->nsaves > 0)
			free(im->saves[--im->nsaves].blob);
		free(im->saves);
		op_end(op);
		return;
	}
	bug("pool_import: bad step %u", op->step);
}

void
verb_pool_import(struct req *req)
{
	const char *name = arg_text(req, "name");
	size_t n = arg_texts(req, "disk");
	struct import *im;

	assert(req->locked && req->work == NULL);
	if (n == 0 || n > DOC_MEMBERS_MAX) {
		err_set(&req->err, EINVAL, "give 1 to %u disks",
		    DOC_MEMBERS_MAX);
		return;
	}
	if (name != NULL && dozo_pool(req->dozo, name) != NULL) {
		req_result(req, json_pack("{s:s}", "name", name), false);
		return;
	}
	im = calloc(1, sizeof(*im));
	if (im == NULL || (im->pool = dozo_pool_new(req->dozo, IMPORT_NAME,
	    DOZO_POOL_BUSY)) == NULL) {
		free(im);
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = im;
	im->req = req;
	im->up.nmembers = (unsigned)n;
	for (size_t i = 0; i < n; i++)
		snprintf(im->up.member[i].path, DOC_PATH_SIZE, "%s",
		    arg_text_at(req, "disk", i));
	op_start(&im->op, &import_type, loop_sched(req->dozo->loop),
	    &req->op);
}

/* --- the configuration found on the disks --- */

static bool
map_fits(const struct doc *doc, const struct doc_map *m)
{
	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *o = &doc->maps[i];

		if (strcmp(o->host, m->host) == 0 &&
		    strcmp(o->target, m->target) == 0 && o->lun == m->lun)
			return false;
	}
	return true;
}

/* Target and host of a mapping, if they are not here yet. */
static bool
adopt_ends(struct doc *doc, const struct doc *from, const struct doc_map *m,
    struct err *err)
{
	const struct doc_target *t = doc_target(from, m->target);
	const struct doc_host *h = doc_host(from, m->host);

	assert(doc != from);
	if (t != NULL && doc_target(doc, t->name) == NULL) {
		struct doc_target *target = doc_add_target(doc, err);

		if (target == NULL)
			return false;
		*target = *t;
	}
	if (h != NULL && doc_host(doc, h->name) == NULL) {
		struct doc_host *host = doc_add_host(doc, err);

		if (host == NULL)
			return false;
		*host = *h;
	}
	return true;
}

/* What was left out is told in the result. */
static json_t *
adopt(struct doc *doc, const struct doc *from, const char *pool,
    struct err *err)
{
	json_t *left = json_array();

	assert(doc != from && doc_pool(doc, pool) != NULL);
	for (unsigned i = 0; i < from->nmaps; i++) {
		const struct doc_map *m = &from->maps[i];
		struct doc_map *map;

		if (strcmp(m->pool, pool) != 0)
			continue;
		if (!map_fits(doc, m)) {
			json_array_append_new(left, doc_map_json(m));
			continue;
		}
		if (!adopt_ends(doc, from, m, err) ||
		    (map = doc_add_map(doc, err)) == NULL)
			break;
		*map = *m;
	}
	return left;
}

static void
import_document(struct req *req, struct import *im)
{
	struct doc *doc = req_next_doc(req), *from;
	struct doc_pool *entry;
	json_t *result;

	assert(im->pool->state == DOZO_POOL_ONLINE);
	if (doc == NULL || (entry = doc_add_pool(doc, &req->err)) == NULL)
		return;
	/* The copy on the disks may be of a later generation than ours. */
	doc->generation = MAX(doc->generation, im->doc.generation);
	dozo_pool_describe(im->pool, entry);
	result = doc_pool_json(entry);
	if (arg_bool(req, "config") && im->doc.text != NULL) {
		from = doc_from_text(im->doc.text, im->doc.len, &req->err);
		if (from != NULL)
			json_object_set_new(result, "left_out", adopt(doc,
			    from, im->pool->name, &req->err));
		doc_free(from);
	}
	req_result(req, result, true);
	if (!err_is(&req->err))
		doc_check(doc, &req->err);
}

void
verb_pool_import_end(struct req *req)
{
	struct import *im = req->work;

	assert(req->locked && req->op.pending == 0);
	if (im == NULL)
		return;
	req->err = im->err;
	if (err_is(&im->err) || req->dry_run) {
		if (!err_is(&im->err))
			req_result(req, json_pack("{s:s}", "name",
			    im->pool->name), true);
		dozo_pool_free(im->pool);
	} else {
		req->fresh = im->pool;
		import_document(req, im);
	}
	free(im->doc.text);
}
