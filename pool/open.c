/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open and close a pool.
 *
 * Label A is used, label B only if A is not valid; a missing copy is written
 * again.  Of the two tables the valid one with the larger generation is
 * current.  It may have been read from a volatile cache, so the device is
 * flushed before anybody relies on it: otherwise the next commit could tear
 * the older copy while the newer one was never on the medium.
 *
 * The caller's op waits for a private one that carries the state.
 */
#define LOG_AREA LOG_POOL
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

struct opening {
	struct op op;
	struct pool_open *req;
	struct pool *pool;		/* ours until it is handed over */
	struct label label;
	uint8_t *buf[2];		/* POOL_TABLE_BYTES each */
	struct io io[2];
	struct iovec iov[2];
	unsigned label_bad;		/* mask of copies to write again */
};

enum opening_step { OP_LABELS, OP_TABLES, OP_DECIDE, OP_SETTLE, OP_DONE };
static const char *const opening_steps[] = { "LABELS", "TABLES", "DECIDE",
	"SETTLE", "DONE" };

static uint64_t
label_off(const struct blk *blk, unsigned i)
{
	return i == 0 ? 0 : label_b_off(blk->geo.size);
}

/* Which label counts?  Fills o->label. */
static int
pick_label(struct opening *o)
{
	struct pool_open *req = o->req;
	uint64_t size = req->blk->geo.size;
	struct err why[2] = { { .code = 0 }, { .code = 0 } };
	struct label label[2];
	int ret[2];

	for (unsigned i = 0; i < 2; i++) {
		if (o->io[i].result != 0)
			ret[i] = err_set(&why[i], -o->io[i].result,
			    "%s: cannot read the pool's label: %s",
			    req->blk->name, strerror(-o->io[i].result));
		else
			ret[i] = label_decode(&label[i], o->buf[i], size,
			    &why[i]);
		if (ret[i] == -ENOENT || o->io[i].result != 0)
			o->label_bad |= 1u << i;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (ret[i] == 0) {
			o->label = label[i];
			/* B of a smaller array lies elsewhere: leave it. */
			if (label[i].blk_bytes != size)
				o->label_bad &= ~2u;
			return 0;
		}
		if (ret[i] != -ENOENT && o->io[i].result == 0)
			break;		/* newer or nonsense: do not look on */
	}
	if (ret[0] == -ENOENT && ret[1] != -ENOENT) {
		why[0] = why[1];
		ret[0] = ret[1];
	}
	req->err = why[0];
	return ret[0];
}

static int
pick_table(struct opening *o)
{
	struct pool_open *req = o->req;
	struct pool *pool = o->pool;
	uint64_t generation[2] = { 0, 0 };
	int best = -1;

	for (unsigned i = 0; i < 2; i++) {
		enum table_state state = TABLE_NONE;

		if (o->io[i].result == 0)
			state = table_peek(o->buf[i], POOL_TABLE_BYTES,
			    &o->label, &generation[i]);
		if (state == TABLE_NEWER)
			return err_set(&req->err, ENOTSUP, "pool %s has a "
			    "table of a newer version", o->label.name);
		if (state == TABLE_VALID &&
		    (best < 0 || generation[i] > generation[best]))
			best = (int)i;
		if (state == TABLE_NONE && generation[1 - i] > 1)
			log_info("pool=%s: copy %u of the table is torn or "
			    "was never written", o->label.name, i);
	}
	if (best < 0) {
		err_set(&req->err, EILSEQ, "pool %s: both copies of the table "
		    "of volumes are damaged", o->label.name);
		err_hint(&req->err, "Keep the disks as they are and ask for "
		    "help; the data is still there.");
		return -EILSEQ;
	}
	pool->slot = (unsigned)best;
	return table_decode(&pool->table, o->buf[best], POOL_TABLE_BYTES,
	    &o->label, &req->err);
}

static struct pool *
pool_new(struct loop *loop, struct blk *blk, const struct label *label)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->loop = loop;
	pool->blk = blk;
	pool->label = *label;
	pool_lock_init(&pool->change_lock);
	pool_lock_init(&pool->doc_lock);
	if (volume_splits_new(pool) != 0) {
		free(pool);
		return NULL;
	}
	return pool;
}

static void
pool_free(struct pool *pool)
{
	assert(!pool->change_lock.held && !pool->doc_lock.held);
	for (unsigned i = 0; pool->volumes != NULL &&
	    i < pool->table.nvolumes; i++)
		volume_free(pool->volumes[i]);
	free(pool->volumes);
	free(pool->used);
	volume_splits_free(pool);
	table_fini(&pool->table);
	free(pool);
}

static int
make_volumes(struct pool *pool)
{
	pool->volumes = calloc(pool->table.nvolumes + 1u,
	    sizeof(*pool->volumes));
	if (pool->volumes == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < pool->table.nvolumes; i++) {
		struct volume *v = volume_new(pool, &pool->table.volumes[i]);

		if (v == NULL)
			return -ENOMEM;
		v->index = i;
		pool->volumes[i] = v;
	}
	return 0;
}

static void
opening_end(struct opening *o)
{
	struct pool_open *req = o->req;

	assert((req->pool != NULL) != (req->err.code != 0));
	if (req->pool == NULL && o->pool != NULL)
		pool_free(o->pool);
	free(o->buf[0]);
	free(o->buf[1]);
	op_end(&o->op);
	free(o);
}

static void
read_tables(struct opening *o)
{
	for (unsigned i = 0; i < 2; i++)
		pool_io(o->req->blk, &o->io[i], &o->iov[i], IO_READ,
		    o->label.table_off[i], o->buf[i], POOL_TABLE_BYTES, 0,
		    &o->op);
}

/* Write labels that are missing; buf[] is free for it by now. */
static void
heal_labels(struct opening *o)
{
	struct blk *blk = o->req->blk;

	for (unsigned i = 0; i < 2; i++) {
		o->io[i].result = 0;
		if ((o->label_bad & 1u << i) == 0 || blk->geo.read_only)
			continue;
		log_warn("pool=%s: writing label %c again, it was damaged",
		    o->label.name, i == 0 ? 'A' : 'B');
		label_encode(&o->label, o->buf[i]);
		pool_io(blk, &o->io[i], &o->iov[i], IO_WRITE,
		    label_off(blk, i), o->buf[i], POOL_BLOCK, IO_FUA, &o->op);
	}
}

static void
opening_run(struct op *op)
{
	struct opening *o = op_owner(op, struct opening);
	struct pool_open *req = o->req;

	switch ((enum opening_step)op->step) {
	case OP_LABELS:
		for (unsigned i = 0; i < 2; i++)
			pool_io(req->blk, &o->io[i], &o->iov[i], IO_READ,
			    label_off(req->blk, i), o->buf[i], POOL_BLOCK, 0,
			    op);
		op->step = OP_TABLES;
		return;
	case OP_TABLES:
		op->step = OP_DONE;
		if (pick_label(o) != 0)
			return;
		o->pool = pool_new(req->loop, req->blk, &o->label);
		if (o->pool == NULL) {
			err_set(&req->err, ENOMEM, "out of memory");
			return;
		}
		read_tables(o);
		op->step = OP_DECIDE;
		return;
	case OP_DECIDE:
		op->step = OP_DONE;
		if (pick_table(o) != 0)
			return;
		if (make_volumes(o->pool) != 0) {
			err_set(&req->err, ENOMEM, "out of memory");
			return;
		}
		heal_labels(o);
		op->step = OP_SETTLE;
		return;
	case OP_SETTLE:
		for (unsigned i = 0; i < 2; i++) {
			if (o->io[i].result != 0)
				log_err("pool=%s: cannot write label: %s",
				    o->label.name, strerror(-o->io[i].result));
		}
		o->io[0].result = 0;
		if (!req->blk->geo.read_only)
			pool_io(req->blk, &o->io[0], &o->iov[0], IO_FLUSH, 0,
			    NULL, 0, 0, op);
		op->step = OP_DONE;
		return;
	case OP_DONE:
		if (req->err.code == 0 && o->io[0].result != 0)
			err_set(&req->err, -o->io[0].result, "pool %s: flush "
			    "failed: %s", o->label.name,
			    strerror(-o->io[0].result));
		if (req->err.code == 0)
			req->pool = o->pool;
		opening_end(o);
		return;
	}
	bug("pool_open: bad step");
}

static const struct op_type opening_type = {
	.name = "pool_open",
	.steps = opening_steps,
	.nsteps = nitems(opening_steps),
	.run = opening_run,
};

/* --- the caller's op: start the private one, wait, end --- */

enum outer_step { OUTER_START, OUTER_END };
static const char *const outer_steps[] = { "START", "END" };

static void
open_run(struct op *op)
{
	struct pool_open *req = op_owner(op, struct pool_open);
	struct opening *o;

	switch ((enum outer_step)op->step) {
	case OUTER_START:
		op->step = OUTER_END;
		if (req->blk->geo.size < 2 * POOL_BLOCK) {
			err_set(&req->err, ENOENT, "%s is too small for a pool",
			    req->blk->name);
			return;
		}
		o = calloc(1, sizeof(*o));
		if (o != NULL) {
			o->req = req;
			o->buf[0] = pool_buf_new(POOL_TABLE_BYTES);
			o->buf[1] = pool_buf_new(POOL_TABLE_BYTES);
		}
		if (o == NULL || o->buf[0] == NULL || o->buf[1] == NULL) {
			err_set(&req->err, ENOMEM, "out of memory");
			if (o != NULL) {
				free(o->buf[0]);
				free(o->buf[1]);
			}
			free(o);
			return;
		}
		op_start(&o->op, &opening_type, loop_sched(req->loop), op);
		return;
	case OUTER_END:
		op_end(op);
		return;
	}
	bug("open: bad step");
}

static const struct op_type open_type = {
	.name = "open",
	.steps = outer_steps,
	.nsteps = nitems(outer_steps),
	.run = open_run,
};

void
pool_open_start(struct pool_open *req, struct op *parent)
{
	assert(req->blk != NULL && req->loop != NULL);
	err_clear(&req->err);
	req->pool = NULL;
	op_start(&req->op, &open_type, loop_sched(req->loop), parent);
}

/* --- close --- */

struct closing {
	struct op op;
	struct pool_close *req;
	struct io io;
	struct iovec iov;
};

enum closing_step { CL_FLUSH, CL_DONE };
static const char *const closing_steps[] = { "FLUSH", "DONE" };

static void
closing_run(struct op *op)
{
	struct closing *c = op_owner(op, struct closing);
	struct pool_close *req = c->req;
	struct pool *pool = req->pool;

	switch ((enum closing_step)op->step) {
	case CL_FLUSH:
		if (!pool->blk->geo.read_only)
			pool_io(pool->blk, &c->io, &c->iov, IO_FLUSH, 0, NULL,
			    0, 0, op);
		op->step = CL_DONE;
		return;
	case CL_DONE:
		if (c->io.result != 0)
			err_set(&req->err, -c->io.result, "pool %s: the last "
			    "flush failed: %s", pool->label.name,
			    strerror(-c->io.result));
		op_end(op);
		free(c);
		return;
	}
	bug("pool_close: bad step");
}

static const struct op_type closing_type = {
	.name = "pool_close",
	.steps = closing_steps,
	.nsteps = nitems(closing_steps),
	.run = closing_run,
};

static void
close_run(struct op *op)
{
	struct pool_close *req = op_owner(op, struct pool_close);
	struct closing *c;

	switch ((enum outer_step)op->step) {
	case OUTER_START:
		op->step = OUTER_END;
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			err_set(&req->err, ENOMEM, "out of memory");
			return;
		}
		c->req = req;
		op_start(&c->op, &closing_type, loop_sched(req->pool->loop),
		    op);
		return;
	case OUTER_END:
		req->blk = req->pool->blk;
		pool_free(req->pool);
		req->pool = NULL;
		op_end(op);
		return;
	}
	bug("close: bad step");
}

static const struct op_type close_type = {
	.name = "close",
	.steps = outer_steps,
	.nsteps = nitems(outer_steps),
	.run = close_run,
};

void
pool_close_start(struct pool_close *req, struct op *parent)
{
	assert(req->pool != NULL);
	err_clear(&req->err);
	req->blk = NULL;
	op_start(&req->op, &close_type, loop_sched(req->pool->loop), parent);
}
