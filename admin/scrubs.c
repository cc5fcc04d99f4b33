/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper of a pool's scrub: what the array tells is logged with the
 * volumes it concerns, and stored as scrub/POOL-UUID.json.
 *
 * The state directory and not the members: the record is worth nothing to md,
 * which has no place for it, and losing it costs time, never data.
 *
 * Invariants: one writer at a time; what is stored is what the array told
 * last, or older, so a scrub never goes on behind rows that were not
 * compared; a file that cannot be read or written keeps nothing from being
 * served.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/scrubs.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/req.h"
#include "core/log.h"

#define VOLUMES_TOLD 4u

struct scrub_store {
	struct op op;			/* writes */
	struct dozo_pool *pool;
	struct state *state;
	char uuid[UUID_SIZE];		/* the pool's */
	char name[UUID_SIZE + 16];	/* of the file */
	struct raid_scrub_record record;	/* as told last */
	bool changed;			/* since it was written */
	bool writing;
	struct op_queue waiting;
	struct work work;		/* one at a time has these: */
	char *text;
	size_t len;
	struct err err;
};

/* --- what is told --- */

struct hit {
	struct volume_info info;
	const struct volume *volume;
	uint64_t at;			/* bytes from its start */
};

/* The volumes of its data, each where it is hit first; how many? */
static unsigned
find_hits(const struct pool *pool, const struct raid_mismatch *mm,
    struct hit hits[RAID_MEMBERS_MAX])
{
	unsigned n = 0;

	assert(mm->nblocks <= RAID_MEMBERS_MAX);
	for (unsigned i = 0; pool != NULL && i < mm->nblocks; i++) {
		uint64_t at;
		const struct volume *v = pool_volume_at(pool, mm->off + i *
		    (uint64_t)mm->apart, &at);
		bool told = false;

		for (unsigned k = 0; k < n; k++)
			told = told || hits[k].volume == v;
		if (v == NULL || told)
			continue;
		hits[n].volume = v;
		hits[n].at = at;
		volume_get_info(v, &hits[n++].info);
	}
	return n;
}

static void
tell_mismatch(const struct dozo_pool *pool, const struct raid_mismatch *mm)
{
	struct hit hits[RAID_MEMBERS_MAX];
	unsigned n = find_hits(pool->pool, mm, hits);
	char text[300] = ": in no volume";
	size_t len = 0;

	for (unsigned i = 0; i < MIN(n, VOLUMES_TOLD); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s volume %.63s LBA %ju", i == 0 ? ":" : ",",
		    hits[i].info.name, (uintmax_t)(hits[i].at / 512));
	assert(len < sizeof(text));
	log_warn("pool=%s: parity differs from its data at byte %ju of the "
	    "array (parity on member %u, byte %ju of its data)%s", pool->name,
	    (uintmax_t)mm->off, mm->parity, (uintmax_t)mm->member_off,
	    pool->pool != NULL ? text : "");
}

/* --- writing --- */

enum save_step { SAVE_WRITE, SAVE_WRITTEN };

static const char *const save_steps[] = { "WRITE", "WRITTEN" };

/* On the helper thread. */
static void
write_file(void *arg)
{
	struct scrub_store *s = arg;

	if (s->text == NULL)
		err_set(&s->err, ENOMEM, "out of memory");
	else
		state_write(s->state, s->name, s->text, s->len, &s->err);
}

static void
written(struct scrub_store *s)
{
	if (err_is(&s->err))
		log_warn("pool=%s: after a restart the scrub will start from "
		    "an earlier point: %s. %s", s->pool->name, s->err.text,
		    s->err.hint);
	free(s->text);
	s->text = NULL;
}

static void
save_run(struct op *op)
{
	struct scrub_store *s = op_owner(op, struct scrub_store);

	switch ((enum save_step)op->step) {
	case SAVE_WRITE:
		assert(s->text == NULL && s->changed);
		s->changed = false;
		err_clear(&s->err);
		s->text = scrub_encode(s->uuid, &s->record);
		s->len = s->text != NULL ? strlen(s->text) : 0;
		work_start(s->pool->dozo->worker, &s->work, write_file, s, op);
		op->step = SAVE_WRITTEN;
		return;
	case SAVE_WRITTEN:
		written(s);
		if (s->changed) {
			op->step = SAVE_WRITE;
			return;
		}
		s->writing = false;
		op_end(op);
		op_wake_all(&s->waiting);
		return;
	}
	bug("scrub_save: bad step %u", op->step);
}

static const struct op_type save_type = {
	.name = "scrub_save",
	.steps = save_steps,
	.nsteps = nitems(save_steps),
	.run = save_run,
};

static void
keep(void *arg, const struct raid_mismatch *found)
{
	struct scrub_store *s = arg;

	if (found != NULL) {
		tell_mismatch(s->pool, found);
		return;
	}
	raid_get_scrub(s->pool->raid, &s->record);
	s->changed = true;
	if (s->writing)
		return;
	s->writing = true;
	op_start(&s->op, &save_type, loop_sched(s->pool->dozo->loop), NULL);
}

/* --- the life of a pool --- */

void
scrubs_open(struct dozo_pool *pool)
{
	struct scrub_store *s = calloc(1, sizeof(*s));
	struct pool_info info;

	assert(pool->scrub == NULL && pool->raid != NULL &&
	    pool->pool != NULL);
	if (s == NULL) {
		log_warn("pool=%s: its scrubs will be forgotten by a restart: "
		    "out of memory", pool->name);
		return;
	}
	s->pool = pool;
	s->state = pool->dozo->state;
	op_queue_init(&s->waiting);
	pool_get_info(pool->pool, &info);
	uuid_print(info.uuid, s->uuid);
	snprintf(s->name, sizeof(s->name), "scrub/%s.json", s->uuid);
	raid_set_scrub_keeper(pool->raid, keep, s);
	pool->scrub = s;
}

/* On the helper thread. */
static void
read_file(void *arg)
{
	struct scrub_store *s = arg;

	(void)state_read(s->state, s->name, &s->text, &s->len, &s->err);
}

void
scrubs_read(struct dozo_pool *pool, struct op *op)
{
	struct scrub_store *s = pool->scrub;

	if (s == NULL)
		return;
	assert(!s->writing && s->text == NULL);
	work_start(pool->dozo->worker, &s->work, read_file, s, op);
}

void
scrubs_restore(struct dozo_pool *pool)
{
	struct scrub_store *s = pool->scrub;
	struct raid_scrub_record record;

	if (s == NULL || (s->text == NULL && !err_is(&s->err)))
		return;
	assert(!s->writing);
	if (!err_is(&s->err) && scrub_decode(s->text, s->len, s->uuid,
	    &record, &s->err) == 0)
		(void)raid_scrub_restore(pool->raid, &record, &s->err);
	if (err_is(&s->err))
		log_warn("pool=%s: %s/%s cannot be used, the last scrub is "
		    "forgotten: %s. %s", pool->name, state_dir(s->state),
		    s->name, s->err.text, s->err.hint);
	free(s->text);
	s->text = NULL;
}

/* On the helper thread. */
static void
remove_file(void *arg)
{
	struct scrub_store *s = arg;

	(void)state_remove(s->state, s->name, NULL);
}

bool
scrubs_stop(struct dozo_pool *pool, bool forget, struct op *op)
{
	struct scrub_store *s = pool->scrub;

	if (s != NULL && s->writing) {
		op_wait(&s->waiting, op);
		return false;
	}
	if (s != NULL && forget)
		work_start(pool->dozo->worker, &s->work, remove_file, s, op);
	return true;
}

void
scrubs_close(struct dozo_pool *pool)
{
	struct scrub_store *s = pool->scrub;

	assert(s == NULL || !s->writing);
	if (s != NULL)
		free(s->text);
	free(s);
	pool->scrub = NULL;
}

/* --- for people --- */

static const char *
state_name(const struct raid_scrub_record *r, const struct raid_info *a)
{
	switch (r->state) {
	case RAID_SCRUB_NONE:
		break;
	case RAID_SCRUB_RUNNING:
		return a->task == RAID_TASK_CHECK ||
		    a->task == RAID_TASK_REPAIR ? "running" : "waiting";
	case RAID_SCRUB_CANCELLED:
		return "cancelled";
	case RAID_SCRUB_FINISHED:
		return "finished";
	}
	bug("scrub: state %d", (int)r->state);
}

json_t *
scrub_json(const struct dozo_pool *pool)
{
	struct raid_scrub_record r;
	struct raid_info a;
	json_t *json;

	raid_get_scrub(pool->raid, &r);
	raid_get_info(pool->raid, &a);
	if (r.state == RAID_SCRUB_NONE)
		return NULL;
	json = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o}",
	    "task", raid_task_name(r.repair ? RAID_TASK_REPAIR :
	    RAID_TASK_CHECK), "state", state_name(&r, &a),
	    "start_s", (json_int_t)r.start_s,
	    "done_bytes", json_bytes(r.done),
	    "total_bytes", json_bytes(r.total),
	    "mismatches", json_bytes(r.mismatches),
	    "unread_bytes", json_bytes(r.unread));
	if (r.end_s > 0)
		json_object_set_new(json, "end_s",
		    json_integer((json_int_t)r.end_s));
	return json;
}

static json_t *
hits_json(const struct pool *pool, const struct raid_mismatch *mm)
{
	struct hit hits[RAID_MEMBERS_MAX];
	unsigned n = find_hits(pool, mm, hits);
	json_t *json = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(json, json_pack("{s:s, s:o, s:o}",
		    "name", hits[i].info.name,
		    "offset", json_bytes(hits[i].at),
		    "lba", json_bytes(hits[i].at / 512)));
	return json;
}

json_t *
scrub_mismatches_json(const struct dozo_pool *pool)
{
	struct raid_scrub_record r;
	json_t *json = json_array();

	raid_get_scrub(pool->raid, &r);
	for (unsigned i = 0; i < r.nlisted; i++)
		json_array_append_new(json, json_pack("{s:o, s:o, s:i, s:o}",
		    "offset", json_bytes(r.list[i].off),
		    "member_offset", json_bytes(r.list[i].member_off),
		    "parity_member", (int)r.list[i].parity,
		    "volumes", hits_json(pool->pool, &r.list[i])));
	return json;
}

void
scrub_volumes(const struct dozo_pool *pool, char *text, size_t size)
{
	const struct volume *told[VOLUMES_TOLD];
	struct raid_scrub_record r;
	unsigned ntold = 0;
	size_t len = 0;

	raid_get_scrub(pool->raid, &r);
	text[0] = '\0';
	for (unsigned i = 0; i < r.nlisted; i++) {
		struct hit hits[RAID_MEMBERS_MAX];
		unsigned n = find_hits(pool->pool, &r.list[i], hits);

		for (unsigned h = 0; h < n && len < size; h++) {
			bool new = ntold < VOLUMES_TOLD;

			for (unsigned k = 0; k < ntold; k++)
				new = new && told[k] != hits[h].volume;
			if (!new)
				continue;
			told[ntold++] = hits[h].volume;
			len += (size_t)snprintf(text + len, size - len,
			    "%s%.63s", len == 0 ? ", in volume " : ", ",
			    hits[h].info.name);
		}
	}
}
