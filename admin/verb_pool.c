/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs for pools.  The document says which pools are expected and where
 * their members were last; the truth about a pool is on its disks.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/verbs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/disks.h"
#include "admin/pools.h"
#include "admin/scrubs.h"
#include "admin/size.h"
#include "admin/tasks.h"
#include "core/log.h"

#define MD_SUPER_END 8192	/* md 1.2: superblock at 4096 */

static const char *const state_names[] = {
	[DOZO_POOL_ONLINE] = "online",
	[DOZO_POOL_OFFLINE] = "offline",
	[DOZO_POOL_BUSY] = "busy",
};

/* --- list, status --- */

static const char *
pool_health(const struct dozo_pool *pool)
{
	struct raid_info info;

	assert(pool->state <= DOZO_POOL_BUSY);
	if (pool->state != DOZO_POOL_ONLINE)
		return state_names[pool->state];
	raid_get_info(pool->raid, &info);
	return info.failed ? "failed" : info.degraded > 0 ? "degraded" :
	    "healthy";
}

/* By which a person finds the disk; as it was when it was added. */
static const char *
member_serial(const struct dozo_pool *pool, const char *path)
{
	const struct doc_pool *want = doc_pool(pool->dozo->doc, pool->name);

	for (unsigned i = 0; want != NULL && i < want->nmembers; i++) {
		if (strcmp(want->member[i].path, path) == 0)
			return want->member[i].serial;
	}
	return "";
}

static json_t *
member_json(const struct dozo_pool *pool, const struct raid_member_info *m)
{
	return json_pack("{s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:o, "
	    "s:o}",
	    "path", m->path, "serial", member_serial(pool, m->path),
	    "role", m->role, "state", raid_member_state_name(m->state),
	    "read_errors", (json_int_t)m->read_errors,
	    "write_errors", (json_int_t)m->write_errors,
	    "corrected_errors", (json_int_t)m->corrected_errors,
	    "reads", (json_int_t)m->reads, "writes", (json_int_t)m->writes,
	    "read_bytes", json_bytes(m->read_bytes),
	    "write_bytes", json_bytes(m->write_bytes));
}

static void
add_array(json_t *json, const struct dozo_pool *pool)
{
	struct raid_info a;
	struct pool_info p;
	json_t *members = json_array(), *scrub;
	char uuid[UUID_SIZE], text[16];

	assert(pool->raid != NULL && pool->pool != NULL);
	raid_get_info(pool->raid, &a);
	pool_get_info(pool->pool, &p);
	uuid_print(p.uuid, uuid);
	snprintf(text, sizeof(text), "raid%d", a.spec.level);
	for (unsigned i = 0; i < a.nmembers; i++)
		json_array_append_new(members, member_json(pool,
		    &a.member[i]));
	json_object_update_new(json, json_pack(
	    "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:b, s:o, "
	    "s:o}",
	    "uuid", uuid, "level", text,
	    "policy", raid_policy_name(a.spec.policy),
	    "chunk", json_bytes(a.spec.chunk_bytes),
	    "extent", json_bytes(p.extent_bytes),
	    "size", json_bytes(p.size), "used", json_bytes(p.used),
	    "free", json_bytes(p.free), "volumes", (int)p.volumes,
	    "degraded", (int)a.degraded, "clean", (int)a.clean,
	    "in_doubt", json_bytes(a.in_doubt), "members", members));
	if (a.task != RAID_TASK_NONE)
		json_object_set_new(json, "task", array_task_json(&a));
	if (a.paused)
		json_object_set_new(json, "paused", json_true());
	if ((scrub = scrub_json(pool)) != NULL)
		json_object_set_new(json, "scrub", scrub);
	uuid_print(a.spec.uuid, uuid);
	json_object_set_new(json, "array_uuid", json_string(uuid));
}

/* Members that are expected but not in the array, by path. */
static void
add_missing(json_t *json, const struct dozo_pool *pool)
{
	const struct doc_pool *want = doc_pool(pool->dozo->doc, pool->name);
	struct raid_info a = { 0 };
	json_t *missing = json_array();

	if (pool->raid != NULL) {
		raid_get_info(pool->raid, &a);
		if (a.degraded == 0)
			want = NULL;	/* all there, whatever their names */
	}
	for (unsigned i = 0; want != NULL && i < want->nmembers; i++) {
		bool found = false;

		for (unsigned j = 0; j < a.nmembers; j++)
			found = found || strcmp(a.member[j].path,
			    want->member[i].path) == 0;
		if (!found)
			json_array_append_new(missing, json_pack("{s:s, s:s}",
			    "path", want->member[i].path,
			    "serial", want->member[i].serial));
	}
	json_object_set_new(json, "missing", missing);
}

json_t *
pool_json(const struct dozo_pool *pool)
{
	const struct doc_pool *want = doc_pool(pool->dozo->doc, pool->name);
	json_t *json = json_pack("{s:s, s:s, s:s}", "name", pool->name,
	    "state", state_names[pool->state], "health", pool_health(pool));
	char etag[24];

	if (json == NULL)
		return NULL;
	if (pool->state == DOZO_POOL_ONLINE)
		add_array(json, pool);
	add_missing(json, pool);
	if (err_is(&pool->why))
		json_object_set_new(json, "error", err_json(&pool->why));
	if (want != NULL) {
		json_t *core = doc_pool_json(want);

		etag_of(core, etag);
		json_decref(core);
		json_object_set_new(json, "etag", json_string(etag));
	}
	return json;
}

void
verb_pool_list(struct req *req)
{
	struct dozo_pool *pool;

	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	TAILQ_FOREACH(pool, &req->dozo->pools, link)
		json_array_append_new(req->result, pool_json(pool));
}

struct dozo_pool *
find_pool(struct req *req)
{
	const char *name = arg_text(req, "name");
	struct dozo_pool *pool = dozo_pool(req->dozo, name);

	if (pool == NULL) {
		err_set(&req->err, ENOENT, "there is no pool %s", name);
		err_hint(&req->err, "`dozoctl pool list` shows the pools.");
	}
	return pool;
}

void
verb_pool_status(struct req *req)
{
	const struct dozo_pool *pool = find_pool(req);

	assert(req->result == NULL && !req->locked);
	if (pool == NULL)
		return;
	req->result = pool_json(pool);
	if (pool->state == DOZO_POOL_ONLINE)
		json_object_set_new(req->result, "mismatch_list",
		    scrub_mismatches_json(pool));
}

/* --- create --- */

static bool
create_sizes(struct req *req, struct pool_make *make)
{
	uint64_t chunk = arg_size(req, "chunk", 64 * KIB);
	uint64_t extent = arg_size(req, "extent", MIB);

	assert(make->spec.chunk_bytes == 0);
	if (!is_pow2(chunk) || chunk < 4 * KIB || chunk > MIB) {
		err_set(&req->err, EINVAL, "the chunk must be a power of two "
		    "from 4K to 1M");
		err_hint(&req->err, "64K suits nearly everything.");
		return false;
	}
	if (!is_pow2(extent) || extent < 256 * KIB || extent > MIB) {
		err_set(&req->err, EINVAL, "the extent must be 256K, 512K or "
		    "1M");
		return false;
	}
	make->spec.chunk_bytes = (uint32_t)chunk;
	make->extent_bytes = (uint32_t)extent;
	return true;
}

static bool
create_disks(struct req *req, struct pool_make *make)
{
	size_t n = arg_texts(req, "disk");

	assert(make->spec.members == 0);
	if (n < 3 || n > RAID_MEMBERS_MAX) {
		err_set(&req->err, EINVAL, "raid5 needs 3 to %d disks, not "
		    "%zu", RAID_MEMBERS_MAX, n);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const char *path = arg_text_at(req, "disk", i);

		if (path[0] != '/' || strlen(path) >= DOC_PATH_SIZE) {
			err_set(&req->err, EINVAL, "disk \"%.80s\" is not an "
			    "absolute path of at most %d characters", path,
			    DOC_PATH_SIZE - 1);
			return false;
		}
		for (size_t j = 0; j < i; j++) {
			if (strcmp(make->path[j], path) == 0) {
				err_set(&req->err, EINVAL, "disk %s is given "
				    "twice", path);
				return false;
			}
		}
		snprintf(make->path[i], DOC_PATH_SIZE, "%s", path);
	}
	make->spec.members = (unsigned)n;
	return true;
}

static bool
create_spec(struct req *req, struct pool_make *make)
{
	const char *level = arg_text(req, "level");
	const char *policy = arg_text(req, "policy");

	if (level != NULL && strcmp(level, "raid5") != 0) {
		err_set(&req->err, ENOTSUP, "level \"%.20s\" is not known",
		    level);
		err_hint(&req->err, "This version makes raid5 pools.");
		return false;
	}
	make->spec.level = 5;
	make->spec.layout = RAID_LEFT_SYMMETRIC;
	make->spec.policy = RAID_POLICY_PPL;
	if (policy != NULL &&
	    raid_policy_parse(policy, &make->spec.policy) != 0) {
		err_set(&req->err, EINVAL, "there is no consistency policy "
		    "\"%.20s\"", policy);
		err_hint(&req->err, "Policies are ppl, bitmap and resync.");
		return false;
	}
	dozo_array_name(arg_text(req, "name"), make->spec.name);
	return create_sizes(req, make) && create_disks(req, make);
}

/*
 * What is asked for must be what the pool has; what is not given is not asked
 * for.  Of a pool that is not open only the disks are known.
 */
static bool
create_differs(struct req *req, const struct pool_make *make,
    const struct dozo_pool *pool)
{
	char text[32];
	struct raid_info a;
	struct pool_info p;

	if (pool->state != DOZO_POOL_ONLINE)
		return false;
	raid_get_info(pool->raid, &a);
	pool_get_info(pool->pool, &p);
	if (arg_text(req, "chunk") != NULL &&
	    make->spec.chunk_bytes != a.spec.chunk_bytes)
		err_set(&req->err, EEXIST, "pool %s exists and has chunks of "
		    "%s", pool->name, size_print(a.spec.chunk_bytes, text,
		    sizeof(text)));
	else if (arg_text(req, "extent") != NULL &&
	    make->extent_bytes != p.extent_bytes)
		err_set(&req->err, EEXIST, "pool %s exists and has extents of "
		    "%s", pool->name, size_print(p.extent_bytes, text,
		    sizeof(text)));
	else if (arg_text(req, "policy") != NULL &&
	    make->spec.policy != a.spec.policy)
		err_set(&req->err, EEXIST, "pool %s exists and has the "
		    "consistency policy %s", pool->name,
		    raid_policy_name(a.spec.policy));
	return err_is(&req->err);
}

/* A pool of that name exists: the same one is fine. */
static void
create_exists(struct req *req, const struct pool_make *make,
    const struct dozo_pool *pool)
{
	const struct doc_pool *has = doc_pool(req->dozo->doc, pool->name);
	bool same = has != NULL && has->nmembers == make->spec.members;

	assert(strcmp(pool->name, arg_text(req, "name")) == 0);
	for (unsigned i = 0; same && i < has->nmembers; i++) {
		bool found = false;

		for (unsigned j = 0; j < has->nmembers; j++)
			found = found || strcmp(has->member[j].path,
			    make->path[i]) == 0;
		same = found;
	}
	if (same && !create_differs(req, make, pool)) {
		req_result(req, doc_pool_json(has), false);
		return;
	}
	if (!same && pool->state == DOZO_POOL_BUSY)
		err_set(&req->err, EBUSY, "pool %s is being made or changed",
		    pool->name);
	else if (!same)
		err_set(&req->err, EEXIST, "pool %s exists and has other "
		    "disks", pool->name);
	err_hint(&req->err, "`dozoctl pool status %s` shows it.", pool->name);
}

/* What is expected by a pool is taken, also while that is offline. */
static bool
disks_free(struct req *req, const struct pool_make *make)
{
	const struct doc *doc = req->dozo->doc;

	assert(make->spec.members >= 3);
	for (unsigned i = 0; i < doc->npools; i++) {
		const struct doc_pool *pool = &doc->pools[i];

		for (unsigned j = 0; j < pool->nmembers; j++) {
			for (unsigned k = 0; k < make->spec.members; k++) {
				if (strcmp(pool->member[j].path,
				    make->path[k]) != 0)
					continue;
				err_set(&req->err, EBUSY, "%.200s belongs to "
				    "pool %s", make->path[k], pool->name);
				err_hint(&req->err, "Delete or export that "
				    "pool first.");
				return false;
			}
		}
	}
	return true;
}

struct pool_create {
	struct pool_make make;
	struct disks disks;
	struct work work;
};

/* On the helper thread. */
static void
create_scan(void *arg)
{
	struct pool_create *create = arg;

	disks_scan(&create->disks);
}

/* Check what needs no look at the disks, then look at them. */
void
verb_pool_create_look(struct req *req)
{
	const struct dozo_pool *pool = dozo_pool(req->dozo,
	    arg_text(req, "name"));
	struct pool_create *create = calloc(1, sizeof(*create));
	struct pool_make *make;

	assert(req->work == NULL);
	if (create == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = create;
	make = &create->make;
	if (!create_spec(req, make))
		return;
	if (pool != NULL) {
		create_exists(req, make, pool);
		return;
	}
	if (req->dozo->doc->npools == DOC_POOLS_MAX) {
		err_set(&req->err, ENOSPC, "there are %u pools already",
		    DOC_POOLS_MAX);
		return;
	}
	if (!disks_free(req, make))
		return;
	for (unsigned i = 0; i < make->spec.members; i++)
		disks_add(&create->disks, make->path[i]);
	work_start(req->dozo->worker, &create->work, create_scan, create,
	    &req->op);
}

static void
create_progress(const struct req *req, uint64_t *done, uint64_t *total)
{
	const struct pool_create *create = req->work;

	*done = create->make.create.zeroed;
	*total = create->make.create.to_zero;
}

static bool
create_cancel(struct req *req)
{
	struct pool_create *create = req->work;

	if (create->make.create.raid == NULL)
		create->make.create.cancel = true;
	return create->make.create.cancel;
}

/* Reserve the name, open the disks. */
static void
create_open(struct req *req, struct pool_make *make)
{
	assert(make->pool == NULL && make->nopen == 0);
	make->pool = dozo_pool_new(req->dozo, arg_text(req, "name"),
	    DOZO_POOL_BUSY);
	if (make->pool == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	make->force = arg_bool(req, "force");
	if (pool_make_open(make) != 0)
		req->err = make->err;
	if (!err_is(&req->err) && !req->dry_run)
		return;
	pool_make_close(make);
	dozo_pool_free(make->pool);
	make->pool = NULL;
}

void
verb_pool_create(struct req *req)
{
	struct pool_create *create = req->work;
	struct pool_make *make = &create->make;
	const char *name = arg_text(req, "name");
	struct dozo_pool *pool = dozo_pool(req->dozo, name);
	struct disks_erase erase = {
		.force = arg_bool(req, "force"),
		.serials = json_object_get(req->args, "serial"),
	};

	if (req->result != NULL)
		return;		/* it is there */
	if (pool != NULL)
		create_exists(req, make, pool);	/* another was faster */
	else if (disks_check_blank(&create->disks, &erase, &req->err) == 0)
		create_open(req, make);
	if (err_is(&req->err) || req->result != NULL) {
		disks_fini(&create->disks);
		return;
	}
	if (req->dry_run) {
		disks_fini(&create->disks);
		req_result(req, json_pack("{s:s}", "name", name), true);
		return;
	}
	snprintf(req->object, sizeof(req->object), "%s", name);
	req->progress = create_progress;
	req->cancel = create_cancel;
	pool_make_start(make, &req->op);
}

/* The document knows members by serial too. */
static void
add_serials(struct doc_pool *entry, const struct disks *disks)
{
	assert(entry->nmembers > 0);
	for (unsigned i = 0; i < entry->nmembers; i++) {
		for (unsigned j = 0; j < disks->n; j++) {
			if (strcmp(entry->member[i].path,
			    disks->disk[j].path) == 0)
				snprintf(entry->member[i].serial,
				    sizeof(entry->member[i].serial), "%s",
				    disks->disk[j].serial);
		}
	}
}

void
verb_pool_create_end(struct req *req)
{
	struct pool_create *create = req->work;
	struct pool_make *make = &create->make;
	struct doc_pool *entry;
	struct doc *doc;

	assert(req->op.pending == 0);
	if (make->pool == NULL)
		return;		/* dry run, or it was there */
	if (err_is(&make->err)) {
		req->err = make->err;
		dozo_pool_free(make->pool);
		make->pool = NULL;
		disks_fini(&create->disks);
		return;
	}
	make->pool->state = DOZO_POOL_ONLINE;
	req->fresh = make->pool;
	if ((doc = req_next_doc(req)) != NULL &&
	    (entry = doc_add_pool(doc, &req->err)) != NULL) {
		dozo_pool_describe(make->pool, entry);
		add_serials(entry, &create->disks);
		req_result(req, doc_pool_json(entry), true);
	}
	disks_fini(&create->disks);
}

/* --- stop, start, export --- */

struct pool_work {
	struct pool_down down;
	struct pool_up up;
	bool started;
};

static struct pool_work *
pool_work_new(struct req *req)
{
	struct pool_work *w = calloc(1, sizeof(*w));

	assert(req->work == NULL);
	if (w == NULL)
		err_set(&req->err, ENOMEM, "out of memory");
	req->work = w;
	return w;
}

/*
 * Take the pool's LUNs away from their hosts, then close it.  The caller has
 * asked whether that is wanted.
 */
static void
pool_take_down(struct req *req, struct dozo_pool *pool, bool forget)
{
	struct pool_work *w = pool_work_new(req);

	assert(pool->state == DOZO_POOL_ONLINE && req->locked);
	if (w == NULL || !jobs_leave(req, pool) || req->dry_run)
		return;
	pool->state = DOZO_POOL_BUSY;
	if (dozo_apply(req->dozo, &req->err) != 0) {
		pool->state = DOZO_POOL_ONLINE;
		return;
	}
	w->started = true;
	w->down.pool = pool;
	w->down.forget = forget;
	pool_down_start(&w->down, &req->op);
}

/* Refuse if a volume of the pool is mapped. */
static bool
pool_unmapped(struct req *req, const char *name)
{
	const struct doc *doc = req->dozo->doc;
	unsigned n = 0;

	for (unsigned i = 0; i < doc->nmaps; i++)
		n += strcmp(doc->maps[i].pool, name) == 0;
	if (n == 0)
		return true;
	err_set(&req->err, EBUSY, "volumes of pool %s are mapped (%u "
	    "mapping%s)", name, n, n == 1 ? "" : "s");
	err_hint(&req->err, "Unmap them first: `dozoctl map list` shows "
	    "them.");
	return false;
}

static bool
pool_etag_ok(struct req *req, const char *name)
{
	const struct doc_pool *has = doc_pool(req->dozo->doc, name);

	return has == NULL || req_etag_ok(req, doc_pool_json(has));
}

/* To an initiator a pool that stops is a disk that is pulled. */
static bool
pool_unused(struct req *req, const char *name)
{
	const struct doc *doc = req->dozo->doc;
	char first[SCSI_NAME_MAX + 1];

	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *map = &doc->maps[i];
		const struct doc_target *target = doc_target(doc, map->target);

		if (strcmp(map->pool, name) != 0 || target == NULL ||
		    sessions_of(req->dozo, target->iqn, first,
		    sizeof(first)) == 0)
			continue;
		err_set(&req->err, EBUSY, "%.120s is connected to target %s, "
		    "which serves volumes of pool %s", first, target->name,
		    name);
		err_hint(&req->err, "Log the initiators out, or use --force "
		    "to take the volumes from them.");
		return false;
	}
	return true;
}

void
verb_pool_stop(struct req *req)
{
	struct dozo_pool *pool = find_pool(req);

	assert(req->locked && req->next == NULL);
	if (pool == NULL || !pool_etag_ok(req, pool->name))
		return;
	if (pool->state == DOZO_POOL_BUSY) {
		err_set(&req->err, EBUSY, "pool %s is being made or changed",
		    pool->name);
		return;
	}
	if (pool->state == DOZO_POOL_ONLINE && (arg_bool(req, "force") ||
	    pool_unused(req, pool->name)))
		pool_take_down(req, pool, false);
}

void
verb_pool_stop_end(struct req *req)
{
	struct pool_work *w = req->work;

	assert(req->op.pending == 0);
	if (w != NULL && w->started) {
		w->down.pool->stopped = true;
		err_set(&w->down.pool->why, EIO, "it was stopped");
		err_hint(&w->down.pool->why, "Open it with `dozoctl pool "
		    "start %s`.", w->down.pool->name);
		req->err = w->down.err;
	}
	if (!err_is(&req->err))
		req_result(req, json_pack("{s:s}", "name",
		    arg_text(req, "name")), w != NULL);
}

/* It is open: let what was paused go on. */
static void
start_online(struct req *req, const struct dozo_pool *pool)
{
	struct raid_info a;

	raid_get_info(pool->raid, &a);
	if (!req->dry_run)
		raid_task_resume(pool->raid);
	req_result(req, json_pack("{s:s}", "name", pool->name), a.paused);
}

void
verb_pool_start(struct req *req)
{
	struct dozo_pool *pool = find_pool(req);
	const struct doc_pool *want;
	struct pool_work *w;

	assert(req->locked && req->next == NULL);
	if (pool == NULL)
		return;
	if (pool->state == DOZO_POOL_ONLINE) {
		start_online(req, pool);
		return;
	}
	want = doc_pool(req->dozo->doc, pool->name);
	if (pool->state == DOZO_POOL_BUSY || want == NULL) {
		err_set(&req->err, EBUSY, "pool %s is being made or changed",
		    pool->name);
		return;
	}
	if ((w = pool_work_new(req)) == NULL || req->dry_run)
		return;
	pool_up_init(&w->up, pool, want);
	w->up.whole = req->whole;
	w->started = true;
	pool_up_start(&w->up, &req->op);
}

void
verb_pool_start_end(struct req *req)
{
	struct pool_work *w = req->work;

	assert(req->op.pending == 0);
	if (w != NULL && w->started) {
		req->err = w->up.err;
		req->apply = true;
	}
	if (!err_is(&req->err) && req->result == NULL)
		req_result(req, json_pack("{s:s}", "name",
		    arg_text(req, "name")), w != NULL);
}

void
verb_pool_export(struct req *req)
{
	const char *name = arg_text(req, "name");
	struct dozo_pool *pool = dozo_pool(req->dozo, name);

	assert(req->locked && req->next == NULL);
	if (pool == NULL || !pool_etag_ok(req, name) ||
	    !pool_unmapped(req, name))
		return;
	if (pool->state == DOZO_POOL_BUSY) {
		err_set(&req->err, EBUSY, "pool %s is being made or changed",
		    name);
		return;
	}
	if (pool->state == DOZO_POOL_ONLINE)
		pool_take_down(req, pool, true);
}

/* The pool is down: forget it. */
static void
forget_pool(struct req *req)
{
	const char *name = arg_text(req, "name");
	struct dozo_pool *pool = dozo_pool(req->dozo, name);
	bool existed = pool != NULL;
	struct doc *doc;

	assert(req->locked && req->forget == NULL);
	if (existed && !req->dry_run) {
		if ((doc = req_next_doc(req)) == NULL)
			return;
		if (doc_pool(doc, name) != NULL)
			doc_remove_pool(doc, doc_pool(doc, name));
		req->forget = pool;
	}
	req_result(req, json_pack("{s:s}", "name", name), existed);
}

void
verb_pool_export_end(struct req *req)
{
	struct pool_work *w = req->work;

	assert(req->op.pending == 0);
	if (w != NULL && w->started && err_is(&w->down.err))
		log_warn("%s", w->down.err.text);
	forget_pool(req);
}

/* --- delete --- */

struct pool_delete {
	struct op op;
	struct pool_down down;
	struct work work;
	struct doc_pool members;	/* to wipe */
	struct err err;
};

enum pool_delete_step { POOL_DELETE_DOWN, POOL_DELETE_WIPE,
	POOL_DELETE_DONE };

static const char *const pool_delete_steps[] = { "DOWN", "WIPE", "DONE" };

static void pool_delete_run(struct op *op);

static const struct op_type pool_delete_type = {
	.name = "pool_delete",
	.steps = pool_delete_steps,
	.nsteps = nitems(pool_delete_steps),
	.run = pool_delete_run,
};

/* On the helper thread: make the disks blank for us and for md. */
static void
pool_wipe(void *arg)
{
	struct pool_delete *w = arg;
	static const char zero[MD_SUPER_END];

	for (unsigned i = 0; i < w->members.nmembers; i++) {
		const char *path = w->members.member[i].path;
		int fd = open(path, O_WRONLY | O_EXCL | O_CLOEXEC);

		if (fd < 0 || pwrite(fd, zero, sizeof(zero), 0) !=
		    (ssize_t)sizeof(zero) || fsync(fd) != 0) {
			err_set(&w->err, errno != 0 ? errno : EIO, "%s could "
			    "not be erased: %s", path, strerror(errno));
			err_hint(&w->err, "Erase it with `wipefs -a %s`.",
			    path);
		}
		if (fd >= 0)
			close(fd);
	}
}

static void
pool_delete_run(struct op *op)
{
	struct pool_delete *w = op_owner(op, struct pool_delete);

	switch ((enum pool_delete_step)op->step) {
	case POOL_DELETE_DOWN:
		pool_down_start(&w->down, op);
		op->step = POOL_DELETE_WIPE;
		return;
	case POOL_DELETE_WIPE:
		work_start(w->down.pool->dozo->worker, &w->work, pool_wipe, w,
		    op);
		op->step = POOL_DELETE_DONE;
		return;
	case POOL_DELETE_DONE:
		op_end(op);
		return;
	}
	bug("pool_delete: bad step %u", op->step);
}

/* May it be destroyed? */
static bool
delete_ok(struct req *req, const struct dozo_pool *pool)
{
	struct pool_info info;

	assert(req->locked);
	if (pool->state != DOZO_POOL_ONLINE) {
		err_set(&req->err, EBUSY, "pool %s is not open, its disks "
		    "cannot be erased", pool->name);
		err_hint(&req->err, "Start it first, or forget it with "
		    "`dozoctl pool export %s`.", pool->name);
		return false;
	}
	if (!pool_etag_ok(req, pool->name) ||
	    !pool_unmapped(req, pool->name) || !jobs_leave(req, pool))
		return false;
	pool_get_info(pool->pool, &info);
	if (info.volumes > 0 && !arg_bool(req, "force")) {
		err_set(&req->err, ENOTEMPTY, "pool %s has %u volume%s",
		    pool->name, info.volumes, info.volumes == 1 ? "" : "s");
		err_hint(&req->err, "Delete them first, or destroy them with "
		    "the pool by --force.");
		return false;
	}
	return true;
}

void
verb_pool_delete(struct req *req)
{
	struct dozo_pool *pool = dozo_pool(req->dozo, arg_text(req, "name"));
	struct pool_delete *w;

	assert(req->locked && req->next == NULL);
	if (pool == NULL || !delete_ok(req, pool) || req->dry_run)
		return;
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = w;
	w->members = *doc_pool(req->dozo->doc, pool->name);
	w->down.pool = pool;
	w->down.forget = true;
	op_start(&w->op, &pool_delete_type, loop_sched(req->dozo->loop),
	    &req->op);
}

void
verb_pool_delete_end(struct req *req)
{
	struct pool_delete *w = req->work;

	assert(req->op.pending == 0);
	if (w != NULL && err_is(&w->err))
		log_warn("pool=%s: %s", arg_text(req, "name"), w->err.text);
	forget_pool(req);
}
