/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One change of the table of volumes.
 *
 * The next table is built beside the current one; new extents are zeroed and
 * flushed; the next table goes into the other slot with FUA; then memory is
 * switched, which cannot fail.  A crash at any point leaves the old or the
 * new table.  Extents of a deleted volume are free from the switch on, that
 * is after the delete is durable.
 *
 * When a commit fails, what is in the other slot is unknown: it might even be
 * the new table.  The old table is written there under the new generation at
 * once; while that does not succeed (pool->doubtful), no other change starts.
 */
#define LOG_AREA LOG_POOL
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#define ZERO_EXTENTS	64u		/* zeroed by one request */

struct changing {
	struct op op;
	struct pool_change *req;
	struct pool *pool;
	struct table next;
	struct volume *fresh;		/* the volume as it will be */
	struct volume **volumes;	/* pool->volumes as it will be */
	struct run *zero;		/* extents to zero */
	unsigned nzero, zero_run;
	uint32_t zero_done;		/* extents of zero[zero_run] */
	uint64_t zeroing;		/* bytes under way */
	uint8_t *buf;			/* encoded table */
	size_t len;			/* whole blocks of it */
	struct io io;
	struct iovec iov;
	bool redo;			/* undo comes before the change */
};

enum changing_step {
	CH_LOCK, CH_BEGIN, CH_PLAN, CH_ZERO, CH_ZEROED, CH_COMMIT, CH_SWITCH,
	CH_UNDO, CH_UNDONE, CH_DONE
};
static const char *const changing_steps[] = { "LOCK", "BEGIN", "PLAN", "ZERO",
	"ZEROED", "COMMIT", "SWITCH", "UNDO", "UNDONE", "DONE" };

/* --- look and decide: no I/O --- */

static int
no_memory(struct pool_change *req)
{
	return err_set(&req->err, ENOMEM, "out of memory");
}

static int
plan_name(const struct changing *c)
{
	struct pool_change *req = c->req;

	if (!pool_name_ok(req->name, &req->err))
		return -EINVAL;
	if (table_find_name(&c->next, req->name) >= 0)
		return err_set(&req->err, EEXIST,
		    "pool %s has a volume %s already", c->pool->label.name,
		    req->name);
	return 0;
}

/* Give `rec` the extents that `size` needs; remember them for zeroing. */
static int
plan_extents(struct changing *c, struct table_volume *rec, uint64_t size)
{
	const struct label *label = &c->pool->label;
	uint64_t have = 0, need, free_extents;
	char text[POOL_SIZE_TEXT], wanted[POOL_SIZE_TEXT];
	int ret;

	for (unsigned i = 0; i < rec->nruns; i++)
		have += rec->runs[i].count;
	need = (size + label->extent_bytes - 1) / label->extent_bytes;
	assert(need >= have);
	if (need == have)
		return 0;
	free_extents = label->extents - table_extents_used(&c->next);
	ret = need - have > free_extents ? -ENOSPC :
	    alloc_extents(&c->next, label, c->pool->blk->geo.optimal_io, rec,
	    (uint32_t)(need - have), &c->zero, &c->nzero);
	if (ret == -ENOSPC) {
		err_set(&c->req->err, ENOSPC, "pool %s has %s free, %s are "
		    "needed", label->name,
		    pool_size_text(free_extents * label->extent_bytes, text),
		    pool_size_text((need - have) * label->extent_bytes,
		    wanted));
		err_hint(&c->req->err, "Delete a volume, or ask for less.");
		return -ENOSPC;
	}
	if (ret != 0 || table_append_runs(rec, c->zero, c->nzero) != 0)
		return no_memory(c->req);
	return 0;
}

static int
plan_size(struct changing *c, uint64_t *size)
{
	struct pool_change *req = c->req;

	if (req->size == 0)
		return err_set(&req->err, EINVAL, "a volume cannot be empty");
	/* Nothing is as large; and rounding up does not wrap. */
	*size = MIN(req->size, UINT64_MAX / 2);
	*size = round_up(*size, POOL_BLOCK);
	return 0;
}

static int
plan_create(struct changing *c)
{
	struct pool_change *req = c->req;
	struct table_volume rec = { .policy = req->policy };
	int ret;

	ret = plan_name(c);
	if (ret == 0)
		ret = plan_size(c, &rec.size);
	if (ret != 0)
		return ret;
	if (c->next.nvolumes >= POOL_VOLUMES_MAX)
		return err_set(&req->err, ENOSPC,
		    "pool %s has %u volumes, which is the limit",
		    c->pool->label.name, POOL_VOLUMES_MAX);
	memcpy(rec.name, req->name, strlen(req->name));
	do {
		pool_uuid_new(c->pool->loop, rec.uuid);
	} while (table_find_uuid(&c->next, rec.uuid) >= 0);
	rec.ctime = loop_wall_time(c->pool->loop);
	ret = plan_extents(c, &rec, rec.size);
	if (ret == 0 && table_insert(&c->next, &rec) != 0)
		ret = no_memory(req);
	if (ret == 0)
		c->fresh = volume_new(c->pool, &rec);
	else
		free(rec.runs);
	return ret == 0 && c->fresh == NULL ? no_memory(req) : ret;
}

static int
plan_grow(struct changing *c, struct table_volume *rec)
{
	struct pool_change *req = c->req;
	char text[POOL_SIZE_TEXT];
	uint64_t size = 0;
	int ret = plan_size(c, &size);

	if (ret != 0)
		return ret;
	if (size <= rec->size) {
		err_set(&req->err, EINVAL, "volume %s has %s already",
		    rec->name, pool_size_text(rec->size, text));
		err_hint(&req->err, "A volume can only grow.");
		return -EINVAL;
	}
	ret = plan_extents(c, rec, size);
	rec->size = size;
	return ret;
}

static int
plan_rename(struct changing *c, unsigned i)
{
	int ret = plan_name(c);

	if (ret == 0 && table_rename(&c->next, i, c->req->name) != 0)
		ret = no_memory(c->req);
	return ret;
}

/* Build c->next and c->fresh. */
static int
plan_change(struct changing *c)
{
	struct pool_change *req = c->req;
	int i = -1, ret = 0;

	if (table_copy(&c->next, &c->pool->table) != 0)
		return no_memory(req);
	c->next.generation++;
	if (req->kind != POOL_VOLUME_CREATE) {
		assert(req->volume != NULL && req->volume->pool == c->pool);
		i = table_find_uuid(&c->next, req->volume->rec.uuid);
		assert(i >= 0);
	}
	switch (req->kind) {
	case POOL_VOLUME_CREATE:
		return plan_create(c);
	case POOL_VOLUME_GROW:
		ret = plan_grow(c, &c->next.volumes[i]);
		break;
	case POOL_VOLUME_RENAME:
		ret = plan_rename(c, (unsigned)i);
		break;
	case POOL_VOLUME_SET:
		c->next.volumes[i].policy = req->policy;
		break;
	case POOL_VOLUME_DELETE:
		table_remove(&c->next, (unsigned)i);
		return 0;
	}
	if (ret != 0)
		return ret;
	i = table_find_uuid(&c->next, req->volume->rec.uuid);
	assert(i >= 0);
	c->fresh = volume_new(c->pool, &c->next.volumes[i]);
	return c->fresh == NULL ? no_memory(req) : 0;
}

/* Encode c->next, or (undo) the current table under a new generation. */
static int
plan_encode(struct changing *c, struct table *table)
{
	int len;

	if (c->buf == NULL)
		c->buf = pool_buf_new(POOL_TABLE_BYTES);
	if (c->buf == NULL)
		return no_memory(c->req);
	memset(c->buf, 0, POOL_TABLE_BYTES);
	len = table_encode(table, &c->pool->label, c->buf, POOL_TABLE_BYTES);
	if (len < 0) {
		err_set(&c->req->err, ENOSPC, "the table of volumes of pool "
		    "%s is full", c->pool->label.name);
		err_hint(&c->req->err, "Delete volumes, most of all those in "
		    "many pieces.");
		return -ENOSPC;
	}
	c->len = round_up((uint64_t)len, POOL_BLOCK);
	return 0;
}

static int
plan_all(struct changing *c)
{
	int ret = plan_change(c);

	if (ret == 0)
		ret = plan_encode(c, &c->next);
	if (ret != 0)
		return ret;
	for (unsigned i = 0; i < c->nzero; i++)
		c->req->to_zero += (uint64_t)c->zero[i].count *
		    c->pool->label.extent_bytes;
	c->volumes = calloc(c->next.nvolumes + 1u, sizeof(*c->volumes));
	return c->volumes == NULL ? no_memory(c->req) : 0;
}

/* --- carry out --- */

static void
start_zero(struct changing *c)
{
	const struct label *label = &c->pool->label;
	const struct run *run = &c->zero[c->zero_run];
	uint32_t n = MIN(run->count - c->zero_done, ZERO_EXTENTS);
	uint64_t off = label->data_off +
	    ((uint64_t)run->start + c->zero_done) * label->extent_bytes;

	assert(c->zero_run < c->nzero && n > 0);
	pool_io(c->pool->blk, &c->io, &c->iov, IO_ZERO, off, NULL,
	    (size_t)n * label->extent_bytes, 0, &c->op);
	c->zero_done += n;
	c->zeroing = (uint64_t)n * label->extent_bytes;
	if (c->zero_done == run->count) {
		c->zero_run++;
		c->zero_done = 0;
	}
}

static void
start_commit(struct changing *c)
{
	struct pool *pool = c->pool;

	assert(c->len > 0 && c->len <= POOL_TABLE_BYTES);
	pool_io(pool->blk, &c->io, &c->iov, IO_WRITE,
	    pool->label.table_off[1 - pool->slot], c->buf, c->len, IO_FUA,
	    &c->op);
}

/* Did the last request fail?  Says so in the caller's error. */
static bool
change_failed(struct changing *c, const char *what)
{
	int result = c->io.result;

	if (result == 0)
		return false;
	err_set(&c->req->err, -result, "pool %s: %s failed: %s",
	    c->pool->label.name, what, strerror(-result));
	return true;
}

/* Is the piece under way zeroed, and is the next one wanted? */
static bool
zero_failed(struct changing *c)
{
	if (change_failed(c, "zeroing new extents"))
		return true;
	c->req->zeroed += c->zeroing;
	c->zeroing = 0;
	if (!c->req->cancel)
		return false;
	err_set(&c->req->err, ECANCELED, "the change of pool %s was "
	    "cancelled", c->pool->label.name);
	err_hint(&c->req->err, "Nothing has changed.");
	return true;
}

/* The commit is durable: make memory agree.  Cannot fail. */
static void
change_switch(struct changing *c)
{
	struct pool *pool = c->pool;
	struct table old = pool->table;
	struct volume **old_volumes = pool->volumes;

	for (unsigned i = 0; i < c->next.nvolumes; i++) {
		const struct table_volume *rec = &c->next.volumes[i];
		int was = table_find_uuid(&old, rec->uuid);

		c->volumes[i] = was >= 0 ? old_volumes[was] : c->fresh;
		assert(c->volumes[i] != NULL);
		c->volumes[i]->index = i;
	}
	pool->table = c->next;
	pool->volumes = c->volumes;
	pool->slot = 1 - pool->slot;
	c->next = old;
	c->volumes = old_volumes;
	if (c->req->kind == POOL_VOLUME_CREATE) {
		c->req->volume = c->fresh;
	} else if (c->req->kind == POOL_VOLUME_DELETE) {
		volume_free(c->req->volume);
		c->req->volume = NULL;
	} else {
		volume_adopt(c->req->volume, c->fresh);
	}
	c->fresh = NULL;
	table_check(&pool->table, &pool->label);
}

static void
start_undo(struct changing *c)
{
	struct pool *pool = c->pool;
	int ret;

	pool->doubtful = true;
	pool->table.generation++;
	ret = plan_encode(c, &pool->table);
	pool->table.generation--;
	if (ret == 0)
		start_commit(c);
	else
		c->io.result = ret;
}

static void
end_undo(struct changing *c)
{
	struct pool *pool = c->pool;

	if (c->io.result == 0) {
		pool->doubtful = false;
		pool->table.generation++;
		pool->slot = 1 - pool->slot;
		return;
	}
	err_set(&c->req->err, -c->io.result, "pool %s: an earlier change "
	    "failed and cannot be taken back: %s", pool->label.name,
	    strerror(-c->io.result));
	log_err("pool=%s: a failed change cannot be taken back: %s",
	    pool->label.name, strerror(-c->io.result));
}

static void
changing_end(struct changing *c)
{
	pool_lock_drop(&c->pool->change_lock);
	table_fini(&c->next);
	volume_free(c->fresh);
	free(c->volumes);
	free(c->zero);
	free(c->buf);
	op_end(&c->op);
	free(c);
}

static void
changing_run(struct op *op)
{
	struct changing *c = op_owner(op, struct changing);

	switch ((enum changing_step)op->step) {
	case CH_LOCK:
		pool_lock_take(&c->pool->change_lock, op);
		op->step = CH_BEGIN;
		return;
	case CH_BEGIN:
		c->redo = c->pool->doubtful && !c->req->dry_run;
		op->step = c->redo ? CH_UNDO : CH_PLAN;
		return;
	case CH_PLAN:
		op->step = CH_DONE;
		if (plan_all(c) == 0 && !c->req->dry_run)
			op->step = c->nzero > 0 ? CH_ZERO : CH_COMMIT;
		return;
	case CH_ZERO:		/* once per piece */
		if (zero_failed(c)) {
			op->step = CH_DONE;
			return;
		}
		start_zero(c);
		op->step = c->zero_run < c->nzero ? CH_ZERO : CH_ZEROED;
		return;
	case CH_ZEROED:
		op->step = zero_failed(c) ? CH_DONE : CH_COMMIT;
		if (op->step == CH_COMMIT)
			pool_io(c->pool->blk, &c->io, &c->iov, IO_FLUSH, 0,
			    NULL, 0, 0, op);
		return;
	case CH_COMMIT:
		op->step = change_failed(c, "flushing new extents") ? CH_DONE :
		    CH_SWITCH;
		if (op->step == CH_SWITCH)
			start_commit(c);
		return;
	case CH_SWITCH:
		op->step = change_failed(c, "writing the table of volumes") ?
		    CH_UNDO : CH_DONE;
		if (op->step == CH_DONE)
			change_switch(c);
		return;
	case CH_UNDO:
		start_undo(c);
		op->step = CH_UNDONE;
		return;
	case CH_UNDONE:
		end_undo(c);
		op->step = c->redo && !c->pool->doubtful ? CH_PLAN : CH_DONE;
		return;
	case CH_DONE:
		changing_end(c);
		return;
	}
	bug("pool_change: bad step");
}

static const struct op_type changing_type = {
	.name = "pool_change",
	.steps = changing_steps,
	.nsteps = nitems(changing_steps),
	.run = changing_run,
};

enum change_step { CHANGE_START, CHANGE_END };
static const char *const change_steps[] = { "START", "END" };

static void
change_run(struct op *op)
{
	struct pool_change *req = op_owner(op, struct pool_change);
	struct changing *c;

	switch ((enum change_step)op->step) {
	case CHANGE_START:
		op->step = CHANGE_END;
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			no_memory(req);
			return;
		}
		c->req = req;
		c->pool = req->pool;
		op_start(&c->op, &changing_type, loop_sched(c->pool->loop), op);
		return;
	case CHANGE_END:
		op_end(op);
		return;
	}
	bug("change: bad step");
}

static const struct op_type change_type = {
	.name = "change",
	.steps = change_steps,
	.nsteps = nitems(change_steps),
	.run = change_run,
};

void
pool_change_start(struct pool_change *req, struct op *parent)
{
	assert(req->pool != NULL && (unsigned)req->policy <= WRITE_BACK);
	assert(req->kind == POOL_VOLUME_CREATE || req->volume != NULL);
	err_clear(&req->err);
	req->zeroed = req->to_zero = 0;
	if (req->kind == POOL_VOLUME_CREATE)
		req->volume = NULL;
	op_start(&req->op, &change_type, loop_sched(req->pool->loop), parent);
}
