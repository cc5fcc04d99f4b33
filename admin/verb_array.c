/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs for the array under a pool: give it a disk, replace one, set its
 * policy, scrub it.  A disk that is new must be blank; one that was a member of
 * this array is welcome as it is.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/verbs.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/disks.h"
#include "admin/members.h"
#include "admin/pools.h"
#include "admin/tasks.h"
#include "core/log.h"

/* --- add a disk --- */

struct pool_add {
	struct dozo_pool *pool;		/* NULL: nothing was started */
	int role;			/* to be replaced, or -1 */
	struct raid_add add;
	struct disks disks;
	struct work work;
};

static bool
is_readd(const struct req *req)
{
	return strcmp(req->verb->name, "pool.re-add") == 0;
}

/* An open pool, or NULL with err. */
static struct dozo_pool *
open_pool(struct req *req)
{
	struct dozo_pool *pool = find_pool(req);

	if (pool == NULL || pool->state == DOZO_POOL_ONLINE)
		return pool;
	err_set(&req->err, EBUSY, "pool %s is not open", pool->name);
	err_hint(&req->err, "`dozoctl pool status %s` says why.", pool->name);
	return NULL;
}

/* On the helper thread. */
static void
add_scan(void *arg)
{
	struct pool_add *w = arg;

	disks_scan(&w->disks);
}

void
verb_pool_add_look(struct req *req)
{
	const char *path = arg_text(req, "disk");
	struct pool_add *w;

	assert(req->work == NULL && path != NULL);
	if (path[0] != '/' || strlen(path) >= DOC_PATH_SIZE) {
		err_set(&req->err, EINVAL, "disk \"%.80s\" is not an absolute "
		    "path of at most %d characters", path, DOC_PATH_SIZE - 1);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = w;
	w->role = -1;
	disks_add(&w->disks, path);
	work_start(req->dozo->worker, &w->work, add_scan, w, &req->op);
}

/*
 * Does the array have this disk?  Then result or err is set.  One that
 * failed is still held, so that what is under way on it can end.
 */
static bool
array_has(struct req *req, const struct dozo_pool *pool, const char *path)
{
	struct raid_info a;

	raid_get_info(pool->raid, &a);
	for (unsigned i = 0; i < a.nmembers; i++) {
		if (strcmp(a.member[i].path, path) != 0)
			continue;
		if (a.member[i].state == RAID_MEMBER_FAULTY) {
			err_set(&req->err, EBUSY, "%.200s has failed as member "
			    "%d of pool %s", path, a.member[i].role,
			    pool->name);
			err_hint(&req->err, "Add another disk; or, if it is "
			    "well again, stop and start the pool and use "
			    "`dozoctl pool re-add`.");
		} else {
			req_result(req, json_pack("{s:s, s:s}", "name",
			    pool->name, "disk", path), false);
		}
		return true;
	}
	return false;
}

/* What a pool expects is taken, also while that is offline. */
static bool
other_pool_has(struct req *req, const char *path)
{
	const struct doc *doc = req->dozo->doc;

	for (unsigned i = 0; i < doc->npools; i++) {
		const struct doc_pool *other = &doc->pools[i];

		if (strcmp(other->name, arg_text(req, "name")) == 0)
			continue;
		for (unsigned j = 0; j < other->nmembers; j++) {
			if (strcmp(other->member[j].path, path) != 0)
				continue;
			err_set(&req->err, EBUSY, "%.200s belongs to pool %s",
			    path, other->name);
			err_hint(&req->err, "Delete or export that pool "
			    "first.");
			return true;
		}
	}
	return false;
}

/* Blank, or a former member; another one with --force. */
static bool
content_ok(struct req *req, const struct dozo_pool *pool,
    const struct disks *disks)
{
	struct disks_erase erase = {
		.force = arg_bool(req, "force"),
		.serials = json_object_get(req->args, "serial"),
	};
	char uuid[UUID_SIZE];
	struct raid_info a;

	assert(disks->n <= 1);
	if (disks->n == 0) {
		err_set(&req->err, ENOMEM, "out of memory");
		return false;
	}
	raid_get_info(pool->raid, &a);
	uuid_print(a.spec.uuid, uuid);
	erase.known = strcmp(disks->disk[0].uuid, uuid) == 0;
	if (is_readd(req) && disks->disk[0].present && !erase.known) {
		err_set(&req->err, EINVAL, "%.200s was not a member of pool "
		    "%s", disks->disk[0].path, pool->name);
		err_hint(&req->err, "A new disk is added with `dozoctl pool "
		    "add-spare`.");
		return false;
	}
	return disks_check_blank(disks, &erase, &req->err) == 0;
}

static bool
add_ok(struct req *req, const struct dozo_pool *pool,
    const struct pool_add *w)
{
	const char *path = arg_text(req, "disk");
	const struct doc_pool *has = doc_pool(req->dozo->doc, pool->name);

	if (has != NULL && !req_etag_ok(req, doc_pool_json(has)))
		return false;
	return !array_has(req, pool, path) && !other_pool_has(req, path) &&
	    content_ok(req, pool, &w->disks);
}

/* Give the array the disk, unless a check has said no. */
static void
add_disk(struct req *req, struct dozo_pool *pool)
{
	struct pool_add *w = req->work;

	assert(req->locked && req->next == NULL);
	if (pool != NULL && add_ok(req, pool, w)) {
		if (req->dry_run)
			req_result(req, json_pack("{s:s, s:s}", "name",
			    pool->name, "disk", arg_text(req, "disk")), true);
		else if (dozo_member_open(pool, arg_text(req, "disk"),
		    &w->add.blk, &req->err) == 0)
			w->pool = pool;
	}
	if (w->pool == NULL) {
		disks_fini(&w->disks);
		return;
	}
	w->add.raid = pool->raid;
	w->add.force = arg_bool(req, "force");
	raid_add_start(&w->add, &req->op);
}

/* From now on the pool expects what lives in its array. */
static void
note_members(struct req *req, const struct pool_add *w)
{
	struct doc *doc = req_next_doc(req);
	struct doc_pool *entry;

	if (doc == NULL || (entry = doc_pool(doc, w->pool->name)) == NULL)
		return;
	members_note(w->pool, entry, &w->disks.disk[0]);
	req_result(req, doc_pool_json(entry), true);
}

void
verb_pool_add_end(struct req *req)
{
	struct pool_add *w = req->work;

	assert(req->op.pending == 0);
	if (w == NULL || w->pool == NULL)
		return;
	if (err_is(&w->add.err)) {
		req->err = w->add.err;
		dozo_member_close(w->pool, w->add.blk);
	} else {
		note_members(req, w);
		if (w->role >= 0)	/* if not, it stays a spare */
			(void)raid_replace(w->pool->raid, (unsigned)w->role,
			    arg_text(req, "disk"), &req->err);
	}
	disks_fini(&w->disks);
}

void
verb_pool_add(struct req *req)
{
	add_disk(req, open_pool(req));
}

/* --- replace --- */

/* A number names a role, also that of a member that is missing. */
static int
role_by_number(const struct raid_info *a, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return text[0] >= '0' && text[0] <= '9' && *end == '\0' &&
	    n < a->spec.members ? (int)n : -1;
}

/* The member that is to go; -1 with err. */
static int
find_old(struct req *req, const struct dozo_pool *pool,
    const struct raid_info *a)
{
	const char *old = arg_text(req, "old");
	const struct doc_pool *want = doc_pool(req->dozo->doc, pool->name);
	int role = role_by_number(a, old), missing = -1;

	for (unsigned i = 0; i < a->spec.members && role < 0; i++) {
		if (strcmp(a->member[i].path, old) == 0)
			role = a->member[i].role;
		if (a->member[i].path[0] == '\0')
			missing = (int)i;
	}
	for (unsigned i = 0; want != NULL && i < want->nmembers; i++)
		if (role < 0 && strcmp(want->member[i].path, old) == 0)
			role = missing;	/* expected, and not there */
	if (role >= 0)
		return role;
	err_set(&req->err, ENOENT, "%.200s is no member of pool %s", old,
	    pool->name);
	err_hint(&req->err, "`dozoctl pool status %s` shows the members; one "
	    "that is missing may be named by its number.", pool->name);
	return -1;
}

/*
 * Is the new disk in the array?  Then set result or err; a spare only needs
 * to be told.
 */
static bool
replace_within(struct req *req, struct dozo_pool *pool, unsigned role,
    const struct raid_info *a)
{
	const char *path = arg_text(req, "disk");
	const struct raid_member_info *m = NULL;
	bool spare;

	for (unsigned i = 0; i < a->nmembers && m == NULL; i++)
		if (strcmp(a->member[i].path, path) == 0 &&
		    a->member[i].state != RAID_MEMBER_FAULTY)
			m = &a->member[i];
	if (m == NULL)
		return false;
	spare = m->state == RAID_MEMBER_SPARE;
	if (!spare && (m->role != (int)role ||
	    m->state == RAID_MEMBER_IN_SYNC)) {
		err_set(&req->err, EEXIST, "%.200s is member %d of pool %s",
		    path, m->role, pool->name);
		err_hint(&req->err, "Replace it by a disk that is new, or a "
		    "spare.");
		return true;
	}
	if (spare && !req->dry_run && raid_replace(pool->raid, role, path,
	    &req->err) != 0)
		return true;
	req_result(req, json_pack("{s:s, s:s}", "name", pool->name, "disk",
	    path), spare);
	return true;
}

/* Before a disk is written to: could the copy begin? */
static bool
replace_ok(struct req *req, const struct dozo_pool *pool, unsigned role,
    const struct raid_info *a)
{
	enum raid_member_state state = a->member[role].state;

	for (unsigned i = 0; i < a->nmembers; i++) {
		if (a->member[i].state != RAID_MEMBER_REPLACING)
			continue;
		err_set(&req->err, EBUSY, "pool %s is replacing member %d "
		    "already", pool->name, a->member[i].role);
		err_hint(&req->err, "Wait until that is done, or cancel it "
		    "with `dozoctl job cancel`.");
		return false;
	}
	for (unsigned i = 0; i < a->spec.members && state ==
	    RAID_MEMBER_IN_SYNC; i++) {
		if (a->member[i].state == RAID_MEMBER_IN_SYNC)
			continue;
		err_set(&req->err, EBUSY, "pool %s has no redundancy: member "
		    "%u is %s", pool->name, i,
		    raid_member_state_name(a->member[i].state));
		err_hint(&req->err, "First replace that one, or wait until it "
		    "is rebuilt.");
		return false;
	}
	if (state != RAID_MEMBER_REBUILDING)
		return true;
	err_set(&req->err, EBUSY, "member %u of pool %s is being rebuilt",
	    role, pool->name);
	err_hint(&req->err, "Wait until that is done.");
	return false;
}

void
verb_pool_replace(struct req *req)
{
	struct pool_add *w = req->work;
	struct dozo_pool *pool = open_pool(req);
	struct raid_info a;
	int role = -1;

	assert(req->locked && req->next == NULL);
	if (pool != NULL) {
		raid_get_info(pool->raid, &a);
		role = find_old(req, pool, &a);
	}
	if (role < 0 || replace_within(req, pool, (unsigned)role, &a) ||
	    !replace_ok(req, pool, (unsigned)role, &a))
		pool = NULL;
	w->role = role;
	add_disk(req, pool);
}

/* --- set --- */

struct pool_set {
	struct dozo_pool *pool;		/* NULL: nothing was started */
	struct raid_convert convert;
	bool changes;
};

void
verb_pool_set(struct req *req)
{
	const char *policy = arg_text(req, "policy");
	struct dozo_pool *pool = open_pool(req);
	const struct doc_pool *has;
	struct pool_set *w;
	struct raid_info a;

	assert(req->locked && req->work == NULL && policy != NULL);
	if (pool == NULL)
		return;
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = w;
	if (raid_policy_parse(policy, &w->convert.policy) != 0) {
		err_set(&req->err, EINVAL, "there is no consistency policy "
		    "\"%.20s\"", policy);
		err_hint(&req->err, "It is ppl, bitmap or resync.");
		return;
	}
	has = doc_pool(req->dozo->doc, pool->name);
	if (has != NULL && !req_etag_ok(req, doc_pool_json(has)))
		return;
	raid_get_info(pool->raid, &a);
	w->changes = a.spec.policy != w->convert.policy;
	w->pool = pool;
	w->convert.raid = pool->raid;
	w->convert.only_check = req->dry_run;
	raid_convert_start(&w->convert, &req->op);
}

void
verb_pool_set_end(struct req *req)
{
	struct pool_set *w = req->work;

	assert(req->op.pending == 0);
	if (w == NULL || w->pool == NULL)
		return;
	if (err_is(&w->convert.err)) {
		req->err = w->convert.err;
		return;
	}
	req_result(req, json_pack("{s:s, s:s}", "name", w->pool->name,
	    "policy", raid_policy_name(w->convert.policy)), w->changes);
}

/* --- scrub --- */

static void
scrub_result(struct req *req, const struct dozo_pool *pool, bool changed)
{
	req_result(req, json_pack("{s:s}", "name", pool->name), changed);
}

static void
scrub_cancel(struct req *req, struct dozo_pool *pool)
{
	struct raid_scrub_record r;

	assert(req->locked);
	raid_get_scrub(pool->raid, &r);
	if (r.state == RAID_SCRUB_RUNNING && !req->dry_run)
		raid_scrub_cancel(pool->raid);
	scrub_result(req, pool, r.state == RAID_SCRUB_RUNNING);
}

void
verb_pool_scrub(struct req *req)
{
	bool repair = arg_bool(req, "repair");
	enum raid_task task = repair ? RAID_TASK_REPAIR : RAID_TASK_CHECK;
	struct dozo_pool *pool = open_pool(req);
	struct raid_info a;

	assert(req->locked && req->next == NULL);
	if (pool == NULL)
		return;
	if (arg_bool(req, "cancel") && repair) {
		err_set(&req->err, EINVAL, "either repair or cancel");
		return;
	}
	if (arg_bool(req, "cancel")) {
		scrub_cancel(req, pool);
		return;
	}
	raid_get_info(pool->raid, &a);
	if (a.task == task) {
		scrub_result(req, pool, false);
		return;
	}
	if (!req->dry_run) {
		if (raid_scrub(pool->raid, repair, &req->err) != 0)
			return;
		pool->task = RAID_TASK_NONE;	/* not the one before */
	}
	scrub_result(req, pool, true);
}

/* A request that became a job. */
static void
job_cancel(struct req *req, struct req *job)
{
	bool runs = !job->ended;

	assert(req->locked && req != job);
	if (runs && (job->cancel == NULL ||
	    (!req->dry_run && !job->cancel(job)))) {
		err_set(&req->err, ENOTSUP, "job %u cannot be cancelled any "
		    "more", job->id);
		err_hint(&req->err, "It is done in a moment.");
		return;
	}
	req_result(req, json_pack("{s:i}", "id", (int)job->id), runs);
}

void
verb_job_cancel(struct req *req)
{
	uint64_t id = arg_number(req, "id", 0);
	struct dozo_pool *pool = NULL;
	struct req *job = NULL;

	assert(req->locked && req->next == NULL);
	if (id <= UINT32_MAX) {
		pool = array_task_find(req->dozo, (unsigned)id);
		job = job_find(req->dozo, (unsigned)id);
	}
	if (job != NULL) {
		job_cancel(req, job);
		return;
	}
	if (pool != NULL && !req->dry_run)
		raid_task_cancel(pool->raid);
	req_result(req, json_pack("{s:I}", "id", (json_int_t)id),
	    pool != NULL);
}
