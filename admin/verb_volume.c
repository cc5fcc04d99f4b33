/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs for volumes.  Volumes live in the pool's own table; only a rename
 * touches the document, to keep the names in mappings readable.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/verbs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/size.h"
#include "core/log.h"

/* What a change of one volume keeps while it runs. */
struct volume_work {
	struct op op;			/* delete, set */
	struct req *req;
	struct dozo_volume *volume;
	struct pool_change change;
	struct work work;
	struct io flush;
	char pool[NAME_SIZE];
	char pr_name[UUID_SIZE + 4];
	struct err pr_err;
};

json_t *
volume_json(const struct dozo_volume *dv)
{
	struct volume_info info;
	char etag[24];
	json_t *json;

	assert(dv->volume != NULL && dv->pool != NULL);
	volume_get_info(dv->volume, &info);
	json = json_pack("{s:s, s:s, s:s, s:o, s:s, s:b, s:I}",
	    "pool", dv->pool->name, "name", info.name, "uuid", dv->uuid,
	    "size", json_bytes(info.size),
	    "write_policy", write_policy_name(info.policy),
	    "thick", (int)info.thick, "created_s", (json_int_t)info.ctime);
	if (json == NULL)
		return NULL;
	etag_of(json, etag);
	json_object_set_new(json, "etag", json_string(etag));
	json_object_set_new(json, "allocated", json_bytes(info.allocated));
	return json;
}

/* The part that an ETag covers. */
static json_t *
volume_core_json(const struct dozo_volume *dv)
{
	json_t *json = volume_json(dv);

	json_object_del(json, "etag");
	json_object_del(json, "allocated");
	return json;
}

static json_t *
volume_full_json(const struct dozo_volume *dv)
{
	const struct dozo *d = dv->pool->dozo;
	json_t *json = volume_json(dv), *maps = json_array();
	struct scsi_lu_id id;
	uint8_t uuid[16];
	char naa[2 * sizeof(id.naa) + 1];

	for (unsigned i = 0; i < d->doc->nmaps; i++) {
		if (strcmp(d->doc->maps[i].volume_uuid, dv->uuid) == 0)
			json_array_append_new(maps,
			    doc_map_json(&d->doc->maps[i]));
	}
	if (!uuid_parse(dv->uuid, uuid))
		bug("volume without UUID");
	scsi_lu_id_from_uuid(&id, uuid);
	for (size_t i = 0; i < sizeof(id.naa); i++)
		snprintf(naa + 2 * i, 3, "%02x", id.naa[i]);
	json_object_set_new(json, "naa", json_string(naa));
	json_object_set_new(json, "serial", json_string(id.serial));
	json_object_set_new(json, "mappings", maps);
	return json;
}

static struct volume_work *
work_new(struct req *req)
{
	struct volume_work *w = calloc(1, sizeof(*w));

	assert(req->work == NULL);
	if (w == NULL)
		err_set(&req->err, ENOMEM, "out of memory");
	req->work = w;
	if (w != NULL)
		w->req = req;
	return w;
}

/* The volume the request names, with its ETag checked; NULL with err. */
static struct dozo_volume *
find_for_change(struct req *req)
{
	struct dozo_volume *dv = dozo_find_volume(req->dozo,
	    arg_text(req, "volume"), &req->err);

	if (dv == NULL || !req_etag_ok(req, volume_core_json(dv)) ||
	    !jobs_leave(req, dv->pool))
		return NULL;
	return dv;
}

static struct volume_work *
change_start(struct req *req, struct dozo_volume *dv,
    enum pool_change_kind kind)
{
	struct volume_work *w = work_new(req);

	assert(dv->pool->state == DOZO_POOL_ONLINE);
	if (w == NULL)
		return NULL;
	w->volume = dv;
	w->change.pool = dv->pool->pool;
	w->change.volume = dv->volume;
	w->change.kind = kind;
	w->change.dry_run = req->dry_run;
	return w;
}

static void
zero_progress(const struct req *req, uint64_t *done, uint64_t *total)
{
	const struct volume_work *w = req->work;

	*done = w->change.zeroed;
	*total = w->change.to_zero;
}

static bool
zero_cancel(struct req *req)
{
	struct volume_work *w = req->work;

	if (w->change.zeroed < w->change.to_zero)
		w->change.cancel = true;
	return w->change.cancel;
}

/* Zeroing what is new in `pool` may take long. */
static void
change_may_be_long(struct req *req, const struct dozo_pool *pool)
{
	struct volume_work *w = req->work;

	snprintf(req->object, sizeof(req->object), "%s",
	    arg_text(req, "volume"));
	req->progress = zero_progress;
	req->cancel = zero_cancel;
	req->uses = pool;
	pool_change_start(&w->change, &req->op);
}

/* Did the change of the table go well? */
static bool
change_ok(struct req *req)
{
	struct volume_work *w = req->work;

	if (w == NULL)
		return false;	/* answered by begin() */
	if (err_is(&w->change.err)) {
		req->err = w->change.err;
		return false;
	}
	return true;
}

/* --- create --- */

static bool
policy_arg(struct req *req, enum write_policy *policy)
{
	const char *text = arg_text(req, "write_policy");

	if (text == NULL)
		return true;
	if (write_policy_parse(text, policy) == 0)
		return true;
	err_set(&req->err, EINVAL, "there is no write policy \"%.40s\"",
	    text);
	err_hint(&req->err, "Policies are durable, writethrough (default) "
	    "and writeback.");
	return false;
}

static void
create_exists(struct req *req, struct dozo_volume *dv, uint64_t size,
    enum write_policy policy)
{
	struct volume_info info;
	char text[32];

	assert(size > 0 && req->result == NULL);
	volume_get_info(dv->volume, &info);
	if (info.size == round_up(size, 4096) && info.policy == policy) {
		req_result(req, volume_core_json(dv), false);
		return;
	}
	err_set(&req->err, EEXIST, "volume %s exists and has %s, write "
	    "policy %s", arg_text(req, "volume"),
	    size_print(info.size, text, sizeof(text)),
	    write_policy_name(info.policy));
	err_hint(&req->err, "Use `dozoctl volume grow` or `volume set` to "
	    "change it.");
}

void
verb_volume_create(struct req *req)
{
	char pool_name[NAME_SIZE], name[NAME_SIZE];
	enum write_policy policy = WRITE_THROUGH;
	uint64_t size = arg_size(req, "size", 0);
	struct dozo_volume *dv;
	struct dozo_pool *pool;
	struct volume_work *w;

	assert(req->locked && req->next == NULL);
	if (!policy_arg(req, &policy) || !dozo_split_path(arg_text(req,
	    "volume"), pool_name, name, &req->err))
		return;
	dv = dozo_find_volume(req->dozo, arg_text(req, "volume"), &req->err);
	if (dv != NULL) {
		create_exists(req, dv, size, policy);
		return;
	}
	pool = dozo_pool(req->dozo, pool_name);
	if (pool == NULL || pool->state != DOZO_POOL_ONLINE)
		return;		/* err says why */
	err_clear(&req->err);
	if (!jobs_leave(req, pool) || (w = work_new(req)) == NULL)
		return;
	w->change = (struct pool_change){ .pool = pool->pool,
		.kind = POOL_VOLUME_CREATE, .size = size, .policy = policy,
		.thick = true, .dry_run = req->dry_run };
	snprintf(w->change.name, sizeof(w->change.name), "%s", name);
	change_may_be_long(req, pool);
}

void
verb_volume_create_end(struct req *req)
{
	struct volume_work *w = req->work;
	char pool[NAME_SIZE], name[NAME_SIZE];
	struct dozo_volume *dv;

	assert(req->locked && req->op.pending == 0);
	if (!change_ok(req))
		return;
	if (!dozo_split_path(arg_text(req, "volume"), pool, name, &req->err))
		bug("the volume's name was checked");
	if (req->dry_run) {
		req_result(req, json_pack("{s:s, s:s, s:o}", "pool", pool,
		    "name", name, "size", json_bytes(round_up(w->change.size,
		    4096))), true);
		return;
	}
	dv = dozo_volume_add(dozo_pool(req->dozo, pool), w->change.volume,
	    &req->err);
	if (dv != NULL)
		req_result(req, volume_core_json(dv), true);
}

/* --- list, show --- */

void
verb_volume_list(struct req *req)
{
	const char *only = arg_text(req, "pool");
	struct dozo_pool *pool;
	bool found = only == NULL;

	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	TAILQ_FOREACH(pool, &req->dozo->pools, link) {
		struct volume *volume = NULL;

		if (only != NULL && strcmp(pool->name, only) != 0)
			continue;
		found = true;
		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		while ((volume = pool_volume_next(pool->pool, volume)) !=
		    NULL) {
			const struct dozo_volume *dv;
			struct volume_info info;

			volume_get_info(volume, &info);
			dv = dozo_volume(pool, info.name);
			/* Absent while it is being made or deleted. */
			if (dv != NULL)
				json_array_append_new(req->result,
				    volume_full_json(dv));
		}
	}
	if (!found)
		err_set(&req->err, ENOENT, "there is no pool %s", only);
}

void
verb_volume_show(struct req *req)
{
	struct dozo_volume *dv = dozo_find_volume(req->dozo,
	    arg_text(req, "volume"), &req->err);

	assert(req->result == NULL && !req->locked);
	if (dv != NULL)
		req->result = volume_full_json(dv);
}

/* --- grow, set --- */

void
verb_volume_grow(struct req *req)
{
	struct dozo_volume *dv = find_for_change(req);
	uint64_t size = arg_size(req, "size", 0);
	struct volume_info info;
	struct volume_work *w;
	char text[32];

	assert(req->locked && req->next == NULL);
	if (dv == NULL)
		return;
	volume_get_info(dv->volume, &info);
	if (round_up(size, 4096) == info.size) {
		req_result(req, volume_core_json(dv), false);
		return;
	}
	if (size < info.size) {
		err_set(&req->err, EINVAL, "volume %s has %s, it cannot "
		    "shrink", arg_text(req, "volume"),
		    size_print(info.size, text, sizeof(text)));
		err_hint(&req->err, "What is beyond the new end would be "
		    "lost: make a smaller volume and copy.");
		return;
	}
	w = change_start(req, dv, POOL_VOLUME_GROW);
	if (w == NULL)
		return;
	w->change.size = size;
	change_may_be_long(req, dv->pool);
}

void
verb_volume_grow_end(struct req *req)
{
	struct volume_work *w = req->work;

	assert(req->locked && req->op.pending == 0);
	if (!change_ok(req))
		return;
	if (!req->dry_run)
		dozo_volume_grown(w->volume);
	req_result(req, volume_core_json(w->volume), true);
}

enum set_step { SET_TABLE, SET_FLUSH, SET_DONE };

static const char *const set_steps[] = { "TABLE", "FLUSH", "DONE" };

static void set_run(struct op *op);

static const struct op_type set_type = {
	.name = "volume_set",
	.steps = set_steps,
	.nsteps = nitems(set_steps),
	.run = set_run,
};

/*
 * The new policy holds from the end on also for what was acknowledged under
 * the old one: what is in memory only must go to the disks.
 */
static void
set_flush(struct volume_work *w)
{
	struct blk *cached = w->volume->cached;

	dozo_volume_refresh(w->volume);
	io_init(&w->flush, IO_FLUSH, 0, 0, NULL, 0, 0);
	blk_submit(cached != NULL ? cached : volume_blk(w->volume->volume),
	    &w->flush, &w->op);
}

static void
set_run(struct op *op)
{
	struct volume_work *w = op_owner(op, struct volume_work);

	switch ((enum set_step)op->step) {
	case SET_TABLE:
		pool_change_start(&w->change, op);
		op->step = SET_FLUSH;
		return;
	case SET_FLUSH:
		if (!err_is(&w->change.err) && !w->change.dry_run)
			set_flush(w);
		op->step = SET_DONE;
		return;
	case SET_DONE:
		op_end(op);
		return;
	}
	bug("volume_set: bad step %u", op->step);
}

void
verb_volume_set(struct req *req)
{
	struct dozo_volume *dv = find_for_change(req);
	enum write_policy policy = WRITE_THROUGH;
	struct volume_info info;
	struct volume_work *w;

	assert(req->locked && req->next == NULL);
	if (dv == NULL || !policy_arg(req, &policy))
		return;
	volume_get_info(dv->volume, &info);
	if (policy == info.policy) {
		req_result(req, volume_core_json(dv), false);
		return;
	}
	w = change_start(req, dv, POOL_VOLUME_SET);
	if (w == NULL)
		return;
	w->change.policy = policy;
	op_start(&w->op, &set_type, loop_sched(req->dozo->loop), &req->op);
}

void
verb_volume_set_end(struct req *req)
{
	struct volume_work *w = req->work;

	assert(req->locked && req->op.pending == 0);
	if (!change_ok(req))
		return;
	if (w->flush.result != 0) {
		err_set(&req->err, EIO, "the policy is set, but data cached "
		    "before cannot be written to the disks");
		err_hint(&req->err, "`dozoctl status` says what is wrong with "
		    "the pool; the data is kept and tried again.");
		return;
	}
	req_result(req, volume_core_json(w->volume), true);
}

/* --- rename --- */

void
verb_volume_rename(struct req *req)
{
	struct dozo_volume *dv = find_for_change(req);
	const char *name = arg_text(req, "name");
	struct volume_info info;
	struct volume_work *w;

	assert(req->locked && req->next == NULL);
	if (dv == NULL)
		return;
	volume_get_info(dv->volume, &info);
	if (strcmp(info.name, name) == 0) {
		req_result(req, volume_core_json(dv), false);
		return;
	}
	w = change_start(req, dv, POOL_VOLUME_RENAME);
	if (w == NULL)
		return;
	snprintf(w->change.name, sizeof(w->change.name), "%s", name);
	pool_change_start(&w->change, &req->op);
}

void
verb_volume_rename_end(struct req *req)
{
	struct volume_work *w = req->work;
	bool mapped = false;
	struct doc *doc;

	assert(req->locked && req->op.pending == 0);
	if (!change_ok(req))
		return;
	req_result(req, volume_core_json(w->volume), true);
	if (req->dry_run)
		return;
	dozo_volume_refresh(w->volume);
	for (unsigned i = 0; i < req->dozo->doc->nmaps; i++)
		mapped = mapped || strcmp(req->dozo->doc->maps[i].volume_uuid,
		    w->volume->uuid) == 0;
	if (!mapped || (doc = req_next_doc(req)) == NULL)
		return;
	for (unsigned i = 0; i < doc->nmaps; i++) {
		if (strcmp(doc->maps[i].volume_uuid, w->volume->uuid) == 0)
			snprintf(doc->maps[i].volume, NAME_SIZE, "%s",
			    w->change.name);
	}
}

/* --- delete --- */

enum delete_step { DELETE_DRAIN, DELETE_FLUSH, DELETE_TABLE,
	DELETE_PR, DELETE_DONE };

static const char *const delete_steps[] = { "DRAIN", "FLUSH", "TABLE", "PR",
	"DONE" };

static void delete_run(struct op *op);

static const struct op_type delete_type = {
	.name = "volume_delete",
	.steps = delete_steps,
	.nsteps = nitems(delete_steps),
	.run = delete_run,
};

/* On the helper thread. */
static void
delete_pr(void *arg)
{
	struct volume_work *w = arg;

	assert(strncmp(w->pr_name, "pr/", 3) == 0);
	state_remove(w->req->dozo->state, w->pr_name, &w->pr_err);
}

/*
 * The LU goes before the table changes: the volume's blk ends with it.  If
 * the table cannot be written the LU is made anew.
 */
static void
delete_run(struct op *op)
{
	struct volume_work *w = op_owner(op, struct volume_work);
	struct dozo_pool *pool = dozo_pool(w->req->dozo, w->pool);

	switch ((enum delete_step)op->step) {
	case DELETE_DRAIN:
		scsi_lu_drain(w->volume->lu, op);
		op->step = DELETE_FLUSH;
		return;
	case DELETE_FLUSH:	/* the table may fail: then it is needed */
		dozo_volume_flush(w->volume, op);
		op->step = DELETE_TABLE;
		return;
	case DELETE_TABLE:
		dozo_volume_remove(w->volume);
		w->volume = NULL;
		pool_change_start(&w->change, op);
		op->step = DELETE_PR;
		return;
	case DELETE_PR:
		if (!err_is(&w->change.err))
			work_start(w->req->dozo->worker, &w->work, delete_pr,
			    w, op);
		else if (dozo_volume_add(pool, w->change.volume, NULL) == NULL)
			log_err("pool=%s: a volume is out of service until "
			    "the next start: out of memory", pool->name);
		op->step = DELETE_DONE;
		return;
	case DELETE_DONE:
		if (err_is(&w->pr_err))
			log_warn("%s", w->pr_err.text);
		op_end(op);
		return;
	}
	bug("volume_delete: bad step %u", op->step);
}

/* Refuse a volume that somebody may use, and say who. */
static bool
not_mapped(struct req *req, const struct dozo_volume *dv)
{
	const struct doc *doc = req->dozo->doc;

	assert(req->locked);
	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *m = &doc->maps[i];

		if (strcmp(m->volume_uuid, dv->uuid) != 0)
			continue;
		err_set(&req->err, EBUSY, "volume %s is mapped to host %s on "
		    "target %s as LUN %u", arg_text(req, "volume"), m->host,
		    m->target, m->lun);
		err_hint(&req->err, "First: dozoctl unmap %s --host %s "
		    "--target %s", arg_text(req, "volume"), m->host,
		    m->target);
		return false;
	}
	return true;
}

void
verb_volume_delete(struct req *req)
{
	struct dozo_volume *dv = dozo_find_volume(req->dozo,
	    arg_text(req, "volume"), &req->err);
	struct volume_work *w;

	assert(req->locked && req->next == NULL);
	if (dv == NULL) {
		if (req->err.code != ENOENT)
			return;
		err_clear(&req->err);
		req_result(req, json_pack("{s:s}", "volume",
		    arg_text(req, "volume")), false);
		return;
	}
	if (!req_etag_ok(req, volume_core_json(dv)) || !not_mapped(req, dv) ||
	    !jobs_leave(req, dv->pool))
		return;
	w = change_start(req, dv, POOL_VOLUME_DELETE);
	if (w == NULL || req->dry_run)
		return;
	snprintf(w->pool, sizeof(w->pool), "%s", dv->pool->name);
	snprintf(w->pr_name, sizeof(w->pr_name), "pr/%s", dv->uuid);
	op_start(&w->op, &delete_type, loop_sched(req->dozo->loop), &req->op);
}

void
verb_volume_delete_end(struct req *req)
{
	assert(req->locked && req->op.pending == 0);
	if (change_ok(req))
		req_result(req, json_pack("{s:s}", "volume",
		    arg_text(req, "volume")), true);
}

/* --- rescue --- */

static void
rescue_pool(struct req *req, struct dozo_pool *pool)
{
	const char *given = arg_text(req, "device");
	struct volume *volume = NULL;
	char device[DOC_PATH_SIZE];

	assert(pool->state == DOZO_POOL_ONLINE);
	snprintf(device, sizeof(device), "/dev/md/%s", pool->name);
	while ((volume = pool_volume_next(pool->pool, volume)) != NULL) {
		struct volume_info info;
		char *table = volume_dm_table(volume,
		    given != NULL ? given : device);

		volume_get_info(volume, &info);
		if (table == NULL) {
			err_set(&req->err, ENOMEM, "out of memory");
			return;
		}
		json_array_append_new(req->result, json_pack(
		    "{s:s, s:s, s:s, s:s}", "pool", pool->name,
		    "name", info.name, "device",
		    given != NULL ? given : device, "table", table));
		free(table);
	}
}

/* Its table cannot be read: too late for what is needed now. */
static void
rescue_refuse(struct err *err, const struct dozo_pool *pool)
{
	struct err why = { 0 };

	dozo_pool_not_open(pool, &why);
	err_set(err, why.code, "%s", why.text);
	err_hint(err, "Tables are made from an open pool: `dozoctl pool "
	    "status %s` says what to do.  Keep the last ones: `dozoctl "
	    "rescue` while all is well; a support bundle has them, too.",
	    pool->name);
}

void
verb_rescue(struct req *req)
{
	const char *only = arg_text(req, "pool");
	struct dozo_pool *pool;
	struct err none = { 0 };
	bool open = false;

	assert(req->result == NULL && !req->locked);
	if (only != NULL && dozo_pool(req->dozo, only) == NULL) {
		err_set(&req->err, ENOENT, "there is no pool %s", only);
		return;
	}
	req->result = json_array();
	TAILQ_FOREACH(pool, &req->dozo->pools, link) {
		struct err why = { 0 };

		if (only != NULL && strcmp(pool->name, only) != 0)
			continue;
		if (pool->state == DOZO_POOL_ONLINE) {
			open = true;
			rescue_pool(req, pool);
			continue;
		}
		rescue_refuse(&why, pool);
		if (!err_is(&none))
			none = why;
		json_array_append_new(req->result, json_pack("{s:s, s:s}",
		    "pool", pool->name, "note", why.text));
	}
	if (!open)
		req->err = none;
}
