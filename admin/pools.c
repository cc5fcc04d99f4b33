/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools up, made and down.
 *
 * Invariants: a pool that is ONLINE has array, pool and one LU per volume;
 * any other has none of them.  Members that were opened belong to the array
 * from assembly or creation on, before that to the op here, which closes them
 * if it fails.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/pools.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/members.h"
#include "admin/reservations.h"
#include "admin/scrubs.h"
#include "admin/tasks.h"
#include "core/log.h"

#define UP_RETRY_MS 50u

/* --- the list --- */

struct dozo_pool *
dozo_pool_new(struct dozo *d, const char *name, enum dozo_pool_state state)
{
	struct dozo_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->dozo = d;
	pool->state = state;
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	TAILQ_INIT(&pool->volumes);
	TAILQ_INSERT_TAIL(&d->pools, pool, link);
	return pool;
}

void
dozo_pool_free(struct dozo_pool *pool)
{
	if (pool == NULL)
		return;
	assert(pool->raid == NULL && pool->pool == NULL);
	assert(TAILQ_EMPTY(&pool->volumes) && pool->scrub == NULL);
	TAILQ_REMOVE(&pool->dozo->pools, pool, link);
	free(pool);
}

struct dozo_pool *
dozo_pool(struct dozo *d, const char *name)
{
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &d->pools, link) {
		if (strcmp(pool->name, name) == 0)
			return pool;
	}
	return NULL;
}

struct dozo_volume *
dozo_volume(struct dozo_pool *pool, const char *name)
{
	struct dozo_volume *dv;
	struct volume *volume;

	if (pool->pool == NULL)
		return NULL;
	volume = pool_volume_by_name(pool->pool, name);
	TAILQ_FOREACH(dv, &pool->volumes, link) {
		if (dv->volume == volume)
			return dv;
	}
	return NULL;
}

struct dozo_volume *
dozo_volume_by_uuid(struct dozo *d, const char *uuid)
{
	struct dozo_pool *pool;
	struct dozo_volume *dv;

	TAILQ_FOREACH(pool, &d->pools, link) {
		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		TAILQ_FOREACH(dv, &pool->volumes, link) {
			if (strcmp(dv->uuid, uuid) == 0)
				return dv;
		}
	}
	return NULL;
}

bool
dozo_map_orphan(struct dozo *d, const struct doc_map *map)
{
	const struct dozo_pool *pool = dozo_pool(d, map->pool);

	return dozo_volume_by_uuid(d, map->volume_uuid) == NULL &&
	    (pool == NULL || pool->state == DOZO_POOL_ONLINE);
}

bool
dozo_split_path(const char *path, char pool[NAME_SIZE],
    char volume[NAME_SIZE], struct err *err)
{
	const char *slash = strchr(path, '/');
	size_t len = slash != NULL ? (size_t)(slash - path) : 0;

	if (slash == NULL || len >= NAME_SIZE) {
		err_set(err, EINVAL, "\"%.100s\" is not POOL/NAME", path);
		return false;
	}
	memcpy(pool, path, len);
	pool[len] = '\0';
	snprintf(volume, NAME_SIZE, "%s", slash + 1);
	return ident_name_ok("pool", pool, err) &&
	    ident_name_ok("volume", slash + 1, err);
}

int
dozo_pool_not_open(const struct dozo_pool *pool, struct err *err)
{
	assert(pool->state != DOZO_POOL_ONLINE);
	err_set(err, EIO, "pool %s is not open: %s", pool->name,
	    err_is(&pool->why) ? pool->why.text : "it is busy");
	err_hint(err, "`dozoctl pool status %s` says what to do.",
	    pool->name);
	return -EIO;
}

struct dozo_volume *
dozo_find_volume(struct dozo *d, const char *path, struct err *err)
{
	char pool_name[NAME_SIZE], name[NAME_SIZE];
	struct dozo_pool *pool;
	struct dozo_volume *dv;

	if (!dozo_split_path(path, pool_name, name, err))
		return NULL;
	pool = dozo_pool(d, pool_name);
	if (pool == NULL) {
		err_set(err, ENOENT, "there is no pool %s", pool_name);
		err_hint(err, "`dozoctl pool list` shows the pools.");
		return NULL;
	}
	if (pool->state != DOZO_POOL_ONLINE) {
		dozo_pool_not_open(pool, err);
		return NULL;
	}
	dv = dozo_volume(pool, name);
	if (dv == NULL) {
		err_set(err, ENOENT, "there is no volume %s", path);
		err_hint(err, "`dozoctl volume list %s` shows the volumes.",
		    pool_name);
	}
	return dv;
}

void
dozo_new_uuid(struct dozo *d, char text[UUID_SIZE])
{
	uint8_t uuid[16];

	loop_random(d->loop, uuid, sizeof(uuid));
	uuid_stamp(uuid);
	uuid_print(uuid, text);
}

void
dozo_pool_describe(const struct dozo_pool *pool, struct doc_pool *out)
{
	struct raid_info array;
	struct pool_info info;

	assert(pool->raid != NULL && pool->pool != NULL);
	assert(pool->state == DOZO_POOL_ONLINE || pool->raid != NULL);
	memset(out, 0, sizeof(*out));
	raid_get_info(pool->raid, &array);
	pool_get_info(pool->pool, &info);
	snprintf(out->name, sizeof(out->name), "%s", pool->name);
	uuid_print(info.uuid, out->uuid);
	uuid_print(array.spec.uuid, out->array_uuid);
	for (unsigned i = 0; i < array.nmembers; i++) {
		if (array.member[i].path[0] == '\0')
			continue;
		snprintf(out->member[out->nmembers++].path, DOC_PATH_SIZE,
		    "%s", array.member[i].path);
	}
}

/* --- members --- */

/* Fault injectors of members that the array has closed are gone. */
static void
prune_faults(struct dozo_pool *pool)
{
	struct raid_info a;
	unsigned n = 0;

	if (pool->raid == NULL || pool->nfaults == 0)
		return;
	raid_get_info(pool->raid, &a);
	for (unsigned i = 0; i < pool->nfaults; i++) {
		for (unsigned j = 0; j < a.nmembers; j++) {
			if (strcmp(a.member[j].path, pool->fault[i].path) != 0)
				continue;
			if (n != i)
				pool->fault[n] = pool->fault[i];
			n++;
			break;
		}
	}
	assert(n <= pool->nfaults);
	pool->nfaults = n;
}

int
dozo_member_open(struct dozo_pool *pool, const char *path, struct blk **out,
    struct err *err)
{
	struct blk *fault;
	int r;

	assert(path[0] != '\0');
	prune_faults(pool);
	r = blk_file_open(pool->dozo->loop, path, false, out, err);
	if (r != 0 || !pool->dozo->fault_injection)
		return r;
	fault = blk_fault_new(*out);
	if (fault == NULL) {
		blk_close(*out);
		return err_set(err, ENOMEM, "out of memory");
	}
	assert(pool->nfaults < DOC_MEMBERS_MAX);
	snprintf(pool->fault[pool->nfaults].path, DOC_PATH_SIZE, "%s", path);
	pool->fault[pool->nfaults++].blk = fault;
	*out = fault;
	return 0;
}

static void
member_closed(struct dozo_pool *pool, const struct blk *blk)
{
	for (unsigned i = 0; i < pool->nfaults; i++) {
		if (pool->fault[i].blk == blk) {
			pool->fault[i] = pool->fault[--pool->nfaults];
			return;
		}
	}
}

void
dozo_member_close(struct dozo_pool *pool, struct blk *blk)
{
	member_closed(pool, blk);
	blk_close(blk);
}

static void
array_event(void *arg, const char *what)
{
	struct dozo_pool *pool = arg;

	array_task_note(pool);
	if (members_moved(pool))
		reservations_changed(pool->dozo);
	event_emit(pool->dozo, "array", json_pack("{s:s, s:s}", "pool",
	    pool->name, "text", what));
}

/* A pool that was opened or made becomes ONLINE. */
static int
pool_online(struct dozo_pool *pool, struct err *err)
{
	struct volume *volume = NULL;

	assert(pool->raid != NULL && pool->pool != NULL);
	assert(TAILQ_EMPTY(&pool->volumes));
	while ((volume = pool_volume_next(pool->pool, volume)) != NULL) {
		if (dozo_volume_add(pool, volume, err) == NULL)
			return -ENOMEM;
	}
	raid_set_listener(pool->raid, array_event, pool);
	raid_set_used(pool->raid, pool_next_used, pool->pool);
	pool->task = RAID_TASK_NONE;
	pool->state = DOZO_POOL_ONLINE;
	pool->stopped = false;
	err_clear(&pool->why);
	return 0;
}

void
dozo_array_name(const char *pool, char name[RAID_NAME_MAX + 1])
{
	memset(name, 0, RAID_NAME_MAX + 1);
	snprintf(name, RAID_NAME_MAX + 1, "dozo:%.27s", pool);
}

void
dozo_pool_claim(struct dozo_pool *pool)
{
	char name[RAID_NAME_MAX + 1];
	struct raid_info a;

	assert(pool->state == DOZO_POOL_ONLINE);
	raid_get_info(pool->raid, &a);
	dozo_array_name(pool->name, name);
	if (strcmp(a.spec.name, name) == 0)
		return;
	log_info("pool=%s: the array is called %s; from now on %s, so that "
	    "udev keeps Linux away from its members", pool->name, a.spec.name,
	    name);
	raid_rename(pool->raid, name);
}

/* --- up --- */

enum pool_up_step { UP_OPEN, UP_SEARCH, UP_ARRAY, UP_POOL, UP_SCRUB,
	UP_ONLINE, UP_DONE };

static const char *const pool_up_steps[] = { "OPEN", "SEARCH", "ARRAY", "POOL",
	"SCRUB", "ONLINE", "DONE" };

static void pool_up_run(struct op *op);

static const struct op_type pool_up_type = {
	.name = "pool_up",
	.steps = pool_up_steps,
	.nsteps = nitems(pool_up_steps),
	.run = pool_up_run,
};

/*
 * Open all that can be.  Returns false if one is in use and may be free soon:
 * the kernel lets go of the files of a killed daemon's ring only after that
 * process is gone.
 */
static bool
up_open_members(struct pool_up *up)
{
	struct raid_assemble *assemble = &up->assemble;
	bool in_use = false;

	memset(up->why, 0, sizeof(up->why));
	for (unsigned i = 0; i < up->nmembers; i++) {
		if (dozo_member_open(up->pool, up->member[i].path,
		    &assemble->blks[assemble->nblks], &up->why[i]) == 0)
			assemble->nblks++;
		else
			in_use = in_use || up->why[i].code == EBUSY;
	}
	return !in_use;
}

static void
up_report_missing(struct pool_up *up)
{
	for (unsigned i = 0; i < up->nmembers; i++) {
		const struct err *why = &up->why[i];

		if (!err_is(why))
			continue;
		up->missing++;
		log_err("pool=%s: member %s is missing: %s. %s",
		    up->pool->name, up->member[i].path, why->text, why->hint);
		if (!err_is(&up->pool->why))
			up->pool->why = *why;
	}
}

static void
up_close_members(struct pool_up *up)
{
	while (up->assemble.nblks > 0)
		dozo_member_close(up->pool,
		    up->assemble.blks[--up->assemble.nblks]);
}

static void
up_open(struct pool_up *up)
{
	assert(up->assemble.nblks == 0);
	if (!up_open_members(up) && up->patience_ms > 0) {
		up->patience_ms -= MIN(up->patience_ms, UP_RETRY_MS);
		up_close_members(up);
		op_sleep(up->pool->dozo->loop, &up->timer, UP_RETRY_MS,
		    &up->op);
		return;		/* and enter this step again */
	}
	up->op.step = UP_SEARCH;
}

/* On the helper thread. */
static void
up_scan(void *arg)
{
	struct pool_up *up = arg;

	disks_scan(&up->disks);
}

/*
 * The kernel names devices in the order it finds them: one that is missing or
 * is not ours any more may have another name now.  Image files stay where
 * they are.
 */
static void
up_search(struct pool_up *up)
{
	bool devices = false;

	up->op.step = UP_ARRAY;
	for (unsigned i = 0; i < up->nmembers; i++) {
		const char *path = up->member[i].path;

		devices = devices || strncmp(path, "/dev/", 5) == 0;
		up->disks.loops = up->disks.loops ||
		    strncmp(path, "/dev/loop", 9) == 0;
	}
	if (!devices || up->array_text[0] == '\0')
		return;
	up->disks.devices = up->disks.partitions = true;
	work_start(up->pool->dozo->worker, &up->work, up_scan, up, &up->op);
}

static bool
up_has(const struct pool_up *up, const char *path)
{
	for (unsigned i = 0; i < up->assemble.nblks; i++) {
		if (strcmp(up->assemble.blks[i]->name, path) == 0)
			return true;
	}
	return false;
}

/* Devices may be late; image files do not come. */
static bool
up_awaits_disks(const struct pool_up *up)
{
	bool late = false;

	for (unsigned i = 0; i < up->nmembers; i++)
		late = late || (err_is(&up->why[i]) &&
		    strncmp(up->member[i].path, "/dev/", 5) == 0);
	return late && up->whole && up->assemble.nblks < up->nmembers;
}

static void
up_settle(struct pool_up *up)
{
	unsigned missing = up->nmembers - up->assemble.nblks;

	err_set(&up->err, EAGAIN, "%u of its %u disks %s not there yet",
	    missing, up->nmembers, missing == 1 ? "is" : "are");
	err_hint(&up->err, "It is opened when they come, or in some seconds "
	    "without them if that is possible.");
	up_close_members(up);
	up->pool->settling = true;
	up->op.step = UP_DONE;
}

/* Add what the search found. */
static void
up_add_found(struct pool_up *up)
{
	struct raid_assemble *assemble = &up->assemble;
	const struct disk *disk = NULL;

	while (up->array_text[0] != '\0' && assemble->nblks <
	    DOC_MEMBERS_MAX && (disk = disks_find_member(&up->disks, disk,
	    up->array_text)) != NULL) {
		struct err why = { 0 };

		if (up_has(up, disk->path))
			continue;
		if (dozo_member_open(up->pool, disk->path,
		    &assemble->blks[assemble->nblks], &why) != 0) {
			/* Often it is open under another of its names. */
			log_debug("pool=%s: %s is a member, but: %s",
			    up->pool->name, disk->path, why.text);
			continue;
		}
		assemble->nblks++;
		log_info("pool=%s: found a member at %s", up->pool->name,
		    disk->path);
	}
	disks_fini(&up->disks);
}

static void
up_array(struct pool_up *up)
{
	struct raid_assemble *assemble = &up->assemble;

	assert(up->pool->raid == NULL);
	up_add_found(up);
	if (up_awaits_disks(up)) {
		up_settle(up);
		return;
	}
	if (assemble->nblks < up->nmembers)
		up_report_missing(up);
	if (assemble->nblks == 0) {
		err_set(&up->err, ENODEV, "none of its %u disks could be "
		    "opened: %s", up->nmembers, up->pool->why.text);
		err_hint(&up->err, "%s", up->pool->why.hint);
		up->op.step = UP_DONE;
		return;
	}
	assemble->loop = up->pool->dozo->loop;
	memcpy(assemble->uuid, up->array_uuid, sizeof(assemble->uuid));
	assemble->allow_degraded = true;
	raid_assemble_start(assemble, &up->op);
	up->op.step = UP_POOL;
}

static void
up_pool(struct pool_up *up)
{
	struct raid_assemble *assemble = &up->assemble;

	if (assemble->raid == NULL) {
		up->err = assemble->err;
		up_close_members(up);
		return;
	}
	for (unsigned i = 0; i < assemble->nrejected; i++) {
		log_err("pool=%s: %s is not used: %s. %s", up->pool->name,
		    assemble->rejected[i].blk->name,
		    assemble->rejected[i].why.text,
		    assemble->rejected[i].why.hint);
		dozo_member_close(up->pool, assemble->rejected[i].blk);
		up->missing++;
	}
	up->pool->raid = assemble->raid;
	up->open.loop = up->pool->dozo->loop;
	up->open.blk = raid_blk(assemble->raid);
	pool_open_start(&up->open, &up->op);
}

/* The pool is open: how far was its last scrub? */
static void
up_scrub(struct pool_up *up)
{
	struct dozo_pool *pool = up->pool;

	assert(pool->pool == NULL);
	if (up->open.pool == NULL)
		return;
	pool->pool = up->open.pool;
	scrubs_open(pool);
	scrubs_read(pool, &up->op);
}

/* Make its LUs; on error take down what is up. */
static void
up_online(struct pool_up *up)
{
	struct dozo_pool *pool = up->pool;

	if (!err_is(&up->err) && err_is(&up->open.err))
		up->err = up->open.err;
	if (!err_is(&up->err) && pool_online(pool, &up->err) == 0)
		scrubs_restore(pool);
	/* One that is imported has no name yet. */
	if (!err_is(&up->err) && up->array_text[0] != '\0')
		dozo_pool_claim(pool);
	if (err_is(&up->err) && pool->raid != NULL) {
		up->undo.pool = pool;
		pool_down_start(&up->undo, &up->op);
	}
}

static void
up_done(struct pool_up *up)
{
	struct dozo_pool *pool = up->pool;

	if (!err_is(&up->err)) {
		assert(pool->state == DOZO_POOL_ONLINE);
		return;
	}
	pool->state = DOZO_POOL_OFFLINE;
	pool->why = up->err;
	if (pool->settling)
		log_info("pool=%s: %s", pool->name, up->err.text);
	else
		log_err("pool=%s is not served: %s. %s", pool->name,
		    up->err.text, up->err.hint);
}

static void
pool_up_run(struct op *op)
{
	struct pool_up *up = op_owner(op, struct pool_up);

	switch ((enum pool_up_step)op->step) {
	case UP_OPEN:
		up_open(up);
		return;
	case UP_SEARCH:
		up_search(up);
		return;
	case UP_ARRAY:
		up_array(up);
		return;
	case UP_POOL:
		up_pool(up);
		op->step = UP_SCRUB;
		return;
	case UP_SCRUB:
		up_scrub(up);
		op->step = UP_ONLINE;
		return;
	case UP_ONLINE:
		up_online(up);
		op->step = UP_DONE;
		return;
	case UP_DONE:
		up_done(up);
		op_end(op);
		return;
	}
	bug("pool_up: bad step %u", op->step);
}

void
pool_up_start(struct pool_up *up, struct op *parent)
{
	assert(up->pool->raid == NULL && up->nmembers <= DOC_MEMBERS_MAX);
	up->pool->state = DOZO_POOL_BUSY;
	up->pool->settling = false;
	err_clear(&up->pool->why);
	op_start(&up->op, &pool_up_type, loop_sched(up->pool->dozo->loop),
	    parent);
}

void
pool_up_init(struct pool_up *up, struct dozo_pool *pool,
    const struct doc_pool *want)
{
	up->pool = pool;
	up->nmembers = want->nmembers;
	memcpy(up->member, want->member, sizeof(up->member));
	memcpy(up->array_text, want->array_uuid, sizeof(up->array_text));
	if (!uuid_parse(want->array_uuid, up->array_uuid))
		bug("the document's UUIDs were checked");
}

/* --- make --- */

enum pool_make_step { MAKE_ARRAY, MAKE_FORMAT, MAKE_OPEN, MAKE_ONLINE,
	MAKE_UNDO, MAKE_DONE };

static const char *const pool_make_steps[] = { "ARRAY", "FORMAT", "OPEN",
	"ONLINE", "UNDO", "DONE" };

static void pool_make_run(struct op *op);

static const struct op_type pool_make_type = {
	.name = "pool_make",
	.steps = pool_make_steps,
	.nsteps = nitems(pool_make_steps),
	.run = pool_make_run,
};

int
pool_make_open(struct pool_make *make)
{
	assert(make->nopen == 0 && make->spec.members <= RAID_MEMBERS_MAX);
	for (unsigned i = 0; i < make->spec.members; i++) {
		if (dozo_member_open(make->pool, make->path[i],
		    &make->create.members[i], &make->err) != 0) {
			pool_make_close(make);
			return -make->err.code;
		}
		make->nopen++;
	}
	return 0;
}

void
pool_make_close(struct pool_make *make)
{
	while (make->nopen > 0)
		dozo_member_close(make->pool,
		    make->create.members[--make->nopen]);
}

static void
make_format(struct pool_make *make)
{
	assert(make->nopen == make->spec.members);
	if (make->create.raid == NULL) {
		make->err = make->create.err;
		pool_make_close(make);
		return;
	}
	make->nopen = 0;	/* the array's now */
	make->format.blk = raid_blk(make->create.raid);
	snprintf(make->format.name, sizeof(make->format.name), "%s",
	    make->pool->name);
	make->format.extent_bytes = make->extent_bytes;
	make->format.force = true;	/* the array was zeroed */
	pool_format_start(&make->format, &make->op);
}

static void
make_online(struct pool_make *make)
{
	struct dozo_pool *pool = make->pool;

	assert(make->pool->raid == NULL);
	if (make->open.pool == NULL) {
		make->err = make->open.err;
		return;
	}
	pool->raid = make->create.raid;
	pool->pool = make->open.pool;
	scrubs_open(pool);
	/* A new pool has no volumes: nothing that could fail. */
	if (pool_online(pool, &make->err) != 0)
		bug("a new pool has volumes");
	/* Until it is in the document nobody else may have it. */
	pool->state = DOZO_POOL_BUSY;
}

static void
pool_make_run(struct op *op)
{
	struct pool_make *make = op_owner(op, struct pool_make);

	switch ((enum pool_make_step)op->step) {
	case MAKE_ARRAY:
		make->create.loop = make->pool->dozo->loop;
		make->create.spec = make->spec;
		make->create.force = make->force;
		raid_create_start(&make->create, op);
		op->step = MAKE_FORMAT;
		return;
	case MAKE_FORMAT:
		make_format(make);
		op->step = err_is(&make->err) ? MAKE_DONE : MAKE_OPEN;
		return;
	case MAKE_OPEN:
		if (err_is(&make->format.err)) {
			make->err = make->format.err;
			op->step = MAKE_UNDO;
			return;
		}
		make->open.loop = make->pool->dozo->loop;
		make->open.blk = make->format.blk;
		pool_open_start(&make->open, op);
		op->step = MAKE_ONLINE;
		return;
	case MAKE_ONLINE:
		make_online(make);
		op->step = err_is(&make->err) ? MAKE_UNDO : MAKE_DONE;
		return;
	case MAKE_UNDO:
		make->stop.raid = make->create.raid;
		raid_stop_start(&make->stop, op);
		op->step = MAKE_DONE;
		return;
	case MAKE_DONE:
		op_end(op);
		return;
	}
	bug("pool_make: bad step %u", op->step);
}

void
pool_make_start(struct pool_make *make, struct op *parent)
{
	assert(make->nopen == make->spec.members);
	op_start(&make->op, &pool_make_type,
	    loop_sched(make->pool->dozo->loop), parent);
}

/* --- down --- */

enum pool_down_step { DOWN_DRAIN, DOWN_FLUSH, DOWN_POOL,
	DOWN_ARRAY, DOWN_SCRUB, DOWN_DONE };

static const char *const pool_down_steps[] = { "DRAIN", "FLUSH", "POOL",
	"ARRAY", "SCRUB", "DONE" };

static void pool_down_run(struct op *op);

static const struct op_type pool_down_type = {
	.name = "pool_down",
	.steps = pool_down_steps,
	.nsteps = nitems(pool_down_steps),
	.run = pool_down_run,
};

/* One LU per turn; the step is entered again until none is left. */
static bool
drain_next(struct pool_down *down)
{
	struct dozo_volume *dv, *last = NULL;

	TAILQ_FOREACH(dv, &down->pool->volumes, link) {
		if (dv == down->drained) {
			last = dv;
			break;
		}
	}
	down->drained = last != NULL ? TAILQ_NEXT(last, link) :
	    TAILQ_FIRST(&down->pool->volumes);
	if (down->drained == NULL)
		return false;
	scsi_lu_drain(down->drained->lu, &down->op);
	return true;
}

static void
down_flush(struct pool_down *down)
{
	struct dozo_volume *dv;

	TAILQ_FOREACH(dv, &down->pool->volumes, link)
		dozo_volume_flush(dv, &down->op);
}

static void
down_pool(struct pool_down *down)
{
	struct dozo_volume *dv;

	while ((dv = TAILQ_FIRST(&down->pool->volumes)) != NULL) {
		if (dv->close.lost_bytes > 0) {
			err_set(&down->err, EIO, "cached data of volume %s "
			    "could not be written and is lost",
			    volume_blk(dv->volume)->name);
			err_hint(&down->err, "Restore it from a backup.");
		}
		dozo_volume_remove(dv);
	}
	if (down->pool->pool == NULL)
		return;
	if (down->pool->raid != NULL)
		raid_set_used(down->pool->raid, NULL, NULL);
	down->close.pool = down->pool->pool;
	down->pool->pool = NULL;
	pool_close_start(&down->close, &down->op);
}

static void
pool_down_run(struct op *op)
{
	struct pool_down *down = op_owner(op, struct pool_down);
	struct dozo_pool *pool = down->pool;

	switch ((enum pool_down_step)op->step) {
	case DOWN_DRAIN:
		if (!drain_next(down))
			op->step = DOWN_FLUSH;
		return;
	case DOWN_FLUSH:
		down_flush(down);
		op->step = DOWN_POOL;
		return;
	case DOWN_POOL:
		down_pool(down);
		op->step = DOWN_ARRAY;
		return;
	case DOWN_ARRAY:
		if (pool->raid != NULL) {
			raid_set_listener(pool->raid, NULL, NULL);
			down->stop.raid = pool->raid;
			raid_stop_start(&down->stop, op);
		}
		op->step = DOWN_SCRUB;
		return;
	case DOWN_SCRUB:
		if (scrubs_stop(pool, down->forget, op))
			op->step = DOWN_DONE;
		return;
	case DOWN_DONE:
		scrubs_close(pool);
		pool->raid = NULL;
		pool->nfaults = 0;
		pool->state = DOZO_POOL_OFFLINE;
		if (!err_is(&down->err))
			down->err = err_is(&down->close.err) ?
			    down->close.err : down->stop.err;
		if (err_is(&down->err))
			log_err("pool=%s: %s", pool->name, down->err.text);
		op_end(op);
		return;
	}
	bug("pool_down: bad step %u", op->step);
}

void
pool_down_start(struct pool_down *down, struct op *parent)
{
	down->pool->state = DOZO_POOL_BUSY;
	down->drained = NULL;
	op_start(&down->op, &pool_down_type,
	    loop_sched(down->pool->dozo->loop), parent);
}
