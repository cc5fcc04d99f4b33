/* SPDX-License-Identifier: BSD-2-Clause */
/* Verbs for disks and image files. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/disks.h"
#include "admin/locate.h"
#include "admin/verbs.h"

/* --- list, show --- */

struct disk_work {
	struct work work;
	struct disks disks;
};

/* On the helper thread: reads sysfs and the disks themselves. */
static void
scan(void *arg)
{
	struct disk_work *w = arg;

	disks_scan(&w->disks);
}

static struct disk_work *
scan_start(struct req *req, const char *only)
{
	struct disk_work *w = calloc(1, sizeof(*w));
	const struct doc *doc = req->dozo->doc;

	assert(req->work == NULL);
	if (w == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return NULL;
	}
	req->work = w;
	if (only != NULL)
		disks_add(&w->disks, only);
	else
		w->disks.devices = true;
	for (unsigned i = 0; only == NULL && i < doc->npools; i++) {
		for (unsigned j = 0; j < doc->pools[i].nmembers; j++)
			disks_add(&w->disks, doc->pools[i].member[j].path);
	}
	work_start(req->dozo->worker, &w->work, scan, w, &req->op);
	return w;
}

/* Which pool has it, and how it does there. */
static void
add_use(json_t *json, struct dozo *d, const char *path)
{
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &d->pools, link) {
		struct raid_info a;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		raid_get_info(pool->raid, &a);
		for (unsigned i = 0; i < a.nmembers; i++) {
			if (strcmp(a.member[i].path, path) != 0)
				continue;
			json_object_set_new(json, "pool",
			    json_string(pool->name));
			json_object_set_new(json, "role",
			    json_integer(a.member[i].role));
			json_object_set_new(json, "state", json_string(
			    raid_member_state_name(a.member[i].state)));
		}
	}
}

/* What it is to a pool of ours that does not use it. */
static void
note_pool(struct dozo *d, const char *name, const struct disk *disk,
    char *text, size_t size)
{
	const struct dozo_pool *pool = dozo_pool(d, name);

	assert(size > 0);
	if (pool != NULL && pool->state != DOZO_POOL_ONLINE)
		snprintf(text, size, "belongs to pool %s, which is not open: "
		    "%s", name, err_is(&pool->why) ? pool->why.text :
		    "it is busy");
	else
		snprintf(text, size, "was a member of pool %s, which goes on "
		    "without it: take it back with `dozoctl pool re-add %s "
		    "--disk %.100s`", name, name, disk->path);
}

/* Why a disk that no pool uses is not free. */
static void
add_note(json_t *json, struct dozo *d, const struct disk *disk)
{
	char text[640] = "";
	struct err why = { 0 };

	if (json_object_get(json, "pool") != NULL)
		return;
	if (disk->holder[0] != '\0')
		snprintf(text, sizeof(text), "in use by %s", disk->holder);
	else if (disk->present && disks_error(disk, &why) != 0)
		snprintf(text, sizeof(text), "%s. %s", why.text, why.hint);
	for (unsigned i = 0; i < d->doc->npools; i++) {
		const struct doc_pool *pool = &d->doc->pools[i];

		if (strcmp(disk->uuid, pool->array_uuid) == 0 &&
		    strncmp(disk->contents, "linux_raid_member", 17) == 0)
			note_pool(d, pool->name, disk, text, sizeof(text));
	}
	if (text[0] != '\0')
		json_object_set_new(json, "note", json_string(text));
}

static json_t *
disk_json(struct dozo *d, const struct disk *disk)
{
	bool device = disk->is_device ||
	    (!disk->present && strncmp(disk->path, "/dev/", 5) == 0);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:b, s:b, s:s}",
	    "path", disk->path, "kind", device ? "disk" : "file",
	    "model", disk->model, "serial", disk->serial,
	    "size", json_bytes(disk->size),
	    "rotational", (int)disk->rotational,
	    "present", (int)disk->present, "contents", disk->contents);
	struct err why = { 0 };

	assert(disk->path[0] != '\0');
	if (json == NULL)
		return NULL;
	if (disk->slot[0] != '\0')
		json_object_set_new(json, "slot", json_string(disk->slot));
	if (disk->holder[0] != '\0')
		json_object_set_new(json, "holder",
		    json_string(disk->holder));
	if (disk->present && disks_error(disk, &why) != 0)
		json_object_set_new(json, "error", err_json(&why));
	if (locate_left_s(d, disk->path) > 0)
		json_object_set_new(json, "locating_s",
		    json_integer(locate_left_s(d, disk->path)));
	add_use(json, d, disk->path);
	add_note(json, d, disk);
	return json;
}

void
verb_disk_list(struct req *req)
{
	scan_start(req, NULL);
}

void
verb_disk_list_end(struct req *req)
{
	struct disk_work *w = req->work;

	assert(req->op.pending == 0);
	if (w == NULL)
		return;
	req->result = json_array();
	for (unsigned i = 0; i < w->disks.n; i++)
		json_array_append_new(req->result, disk_json(req->dozo,
		    &w->disks.disk[i]));
	disks_fini(&w->disks);
}

void
verb_disk_show(struct req *req)
{
	scan_start(req, arg_text(req, "path"));
}

void
verb_disk_show_end(struct req *req)
{
	struct disk_work *w = req->work;

	assert(req->op.pending == 0);
	if (w == NULL)
		return;
	if (w->disks.n == 0)
		err_set(&req->err, ENOENT, "there is no disk or image file "
		    "%s", arg_text(req, "path"));
	else if (w->disks.disk[0].present ||
	    disks_error(&w->disks.disk[0], &req->err) == 0)
		req->result = disk_json(req->dozo, &w->disks.disk[0]);
	disks_fini(&w->disks);
}

/* --- fail --- */

/* The member with this path, or NULL with err. */
static struct dozo_pool *
find_member(struct req *req, struct raid_member_info *member)
{
	const char *path = arg_text(req, "path");
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &req->dozo->pools, link) {
		struct raid_info a;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		raid_get_info(pool->raid, &a);
		for (unsigned i = 0; i < a.nmembers; i++) {
			if (strcmp(a.member[i].path, path) == 0) {
				*member = a.member[i];
				return pool;
			}
		}
	}
	err_set(&req->err, ENOENT, "%.200s is not a member of an open pool",
	    path);
	err_hint(&req->err, "`dozoctl disk list` shows the members.");
	return NULL;
}

void
verb_disk_fail(struct req *req)
{
	struct raid_member_info member;
	struct dozo_pool *pool = find_member(req, &member);
	struct raid_info a;
	struct raid_fail *fail;

	assert(req->locked && req->work == NULL);
	if (pool == NULL)
		return;
	raid_get_info(pool->raid, &a);
	if (member.state == RAID_MEMBER_FAULTY) {
		req_result(req, json_pack("{s:s, s:s}", "path", member.path,
		    "pool", pool->name), false);
		return;
	}
	if (a.degraded > 0 && member.state == RAID_MEMBER_IN_SYNC) {
		err_set(&req->err, EBUSY, "pool %s is degraded already: "
		    "without %s its data would be lost", pool->name,
		    member.path);
		err_hint(&req->err, "Replace the missing disk first.");
		return;
	}
	if (req->dry_run) {
		req_result(req, json_pack("{s:s, s:s}", "path", member.path,
		    "pool", pool->name), true);
		return;
	}
	fail = calloc(1, sizeof(*fail));
	if (fail == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->work = fail;
	fail->raid = pool->raid;
	fail->path = arg_text(req, "path");
	raid_fail_start(fail, &req->op);
}

void
verb_disk_fail_end(struct req *req)
{
	struct raid_fail *fail = req->work;

	assert(req->op.pending == 0);
	if (fail == NULL)
		return;
	req->err = fail->err;
	if (!err_is(&req->err))
		req_result(req, json_pack("{s:s}", "path",
		    arg_text(req, "path")), true);
}

/* --- fault --- */

static bool
fault_rule(struct req *req, struct fault_rule *rule)
{
	static const char *const kinds[] = {
		[FAULT_ERROR] = "error", [FAULT_DELAY] = "delay",
		[FAULT_STALL] = "stall", [FAULT_TORN] = "torn",
		[FAULT_LOST] = "lost", [FAULT_CORRUPT] = "corrupt",
	};
	const char *kind = arg_text(req, "kind"), *on = arg_text(req, "on");
	bool gone = strcmp(kind, "gone") == 0;
	unsigned i;

	for (i = 0; !gone && i < nitems(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			break;
	if (i == nitems(kinds)) {
		err_set(&req->err, EINVAL, "there is no fault \"%.40s\"",
		    kind);
		err_hint(&req->err, "Faults are error, gone, delay, stall, "
		    "torn, lost and corrupt; clear ends them.");
		return false;
	}
	rule->action = (enum fault_action)i;
	rule->err = gone ? ENODEV : EIO;
	if (on == NULL)
		rule->kinds = 0;
	else if (strcmp(on, "read") == 0)
		rule->kinds = 1u << IO_READ;
	else if (strcmp(on, "write") == 0)
		rule->kinds = 1u << IO_WRITE;
	else if (strcmp(on, "flush") == 0)
		rule->kinds = 1u << IO_FLUSH;
	else {
		err_set(&req->err, EINVAL, "\"on\" is read, write or flush");
		return false;
	}
	rule->off = arg_number(req, "offset", 0);
	rule->len = arg_number(req, "length", 0);
	rule->skip = (unsigned)MIN(arg_number(req, "skip", 0), UINT32_MAX);
	rule->count = (unsigned)MIN(arg_number(req, "count", 0), UINT32_MAX);
	rule->delay_ms = arg_number(req, "delay_ms", 1000);
	rule->torn_bytes = arg_number(req, "torn_bytes", 512);
	return true;
}

/* One that was replaced is closed, and its injector with it. */
static bool
is_member(const struct dozo_pool *pool, const char *path)
{
	struct raid_info a;

	if (pool->state != DOZO_POOL_ONLINE)
		return false;
	raid_get_info(pool->raid, &a);
	for (unsigned i = 0; i < a.nmembers; i++) {
		if (strcmp(a.member[i].path, path) == 0)
			return true;
	}
	return false;
}

static struct blk *
find_fault(struct dozo *d, const char *path)
{
	struct dozo_pool *pool;

	assert(path != NULL);
	TAILQ_FOREACH(pool, &d->pools, link) {
		for (unsigned i = 0; i < pool->nfaults; i++) {
			if (strcmp(pool->fault[i].path, path) == 0 &&
			    is_member(pool, path))
				return pool->fault[i].blk;
		}
	}
	return NULL;
}

void
verb_disk_fault(struct req *req)
{
	const char *path = arg_text(req, "path");
	struct fault_rule rule = { 0 };
	struct blk *fault = find_fault(req->dozo, path);
	bool clear = strcmp(arg_text(req, "kind"), "clear") == 0;

	assert(req->locked && path != NULL);
	if (!req->dozo->fault_injection) {
		err_set(&req->err, ENOTSUP, "this daemon injects no faults");
		err_hint(&req->err, "Start dozod with --fault-injection; "
		    "never where data matters.");
		return;
	}
	if (fault == NULL) {
		err_set(&req->err, ENOENT, "%.200s is not a member of an "
		    "open pool", path);
		return;
	}
	if (!clear && !fault_rule(req, &rule))
		return;
	if (!req->dry_run) {
		if (clear)
			blk_fault_clear(fault);
		else if (blk_fault_add(fault, &rule) != 0)
			err_set(&req->err, ENOMEM, "out of memory");
	}
	if (!err_is(&req->err))
		req_result(req, json_pack("{s:s, s:s}", "path", path, "kind",
		    arg_text(req, "kind")), true);
}
