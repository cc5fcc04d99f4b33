/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Make a pool on a blk.
 *
 * Order: destroy both labels; flush; empty both tables and documents, with
 * generation 1 in table 0; flush; write label B, then A.  Until a label is
 * there, there is no pool; when there is one, all it points at is there.
 */
#define LOG_AREA LOG_POOL
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

struct formatting {
	struct op op;
	struct pool_format *req;
	struct label label;
	uint8_t *buf;			/* one block */
	uint8_t *zero;			/* one block of zeroes */
	struct io io[4];
	struct iovec iov[4];
	unsigned nio;			/* started by the last step */
};

enum formatting_step {
	FM_LOOK, FM_CLEAR, FM_CLEARED, FM_FILL, FM_FILLED, FM_LABEL_B,
	FM_LABEL_A, FM_DONE
};
static const char *const formatting_steps[] = { "LOOK", "CLEAR", "CLEARED",
	"FILL", "FILLED", "LABEL_B", "LABEL_A", "DONE" };

/* Look at what the last step's requests did; true if all went well. */
static bool
format_ok(struct formatting *f)
{
	for (unsigned i = 0; i < f->nio; i++) {
		if (f->io[i].result != 0)
			err_set(&f->req->err, -f->io[i].result,
			    "cannot format %s: %s of the pool's metadata "
			    "failed: %s", f->req->blk->name,
			    io_kind_name(f->io[i].kind),
			    strerror(-f->io[i].result));
	}
	f->nio = 0;
	return !err_is(&f->req->err);
}

static void
format_io(struct formatting *f, enum io_kind kind, uint64_t off, void *buf)
{
	unsigned i = f->nio++;

	assert(i < nitems(f->io));
	pool_io(f->req->blk, &f->io[i], &f->iov[i], kind, off, buf,
	    buf != NULL ? POOL_BLOCK : 0, kind == IO_WRITE ? IO_FUA : 0,
	    &f->op);
}

/* Refuse to overwrite a pool. */
static bool
format_may(struct formatting *f)
{
	struct label old;
	int ret;

	if (!format_ok(f))
		return false;
	ret = label_decode(&old, f->buf, f->req->blk->geo.size, NULL);
	if (ret == -ENOENT || f->req->force)
		return true;
	if (ret == -ENOTSUP)
		err_set(&f->req->err, EEXIST, "%s carries a pool of a newer "
		    "version", f->req->blk->name);
	else
		err_set(&f->req->err, EEXIST, "%s carries the pool \"%s\"",
		    f->req->blk->name, old.name);
	err_hint(&f->req->err, "Import it, or format with force to lose all "
	    "that is in it.");
	return false;
}

static void
format_fill(struct formatting *f)
{
	struct table empty = { .generation = 1 };
	int len = table_encode(&empty, &f->label, f->buf, POOL_BLOCK);

	assert(len > 0);
	format_io(f, IO_WRITE, f->label.table_off[0], f->buf);
	format_io(f, IO_WRITE, f->label.table_off[1], f->zero);
	format_io(f, IO_WRITE, f->label.doc_off[0], f->zero);
	format_io(f, IO_WRITE, f->label.doc_off[1], f->zero);
}

static void
formatting_run(struct op *op)
{
	struct formatting *f = op_owner(op, struct formatting);
	uint64_t label_b = label_b_off(f->req->blk->geo.size);

	switch ((enum formatting_step)op->step) {
	case FM_LOOK:
		format_io(f, IO_READ, 0, f->buf);
		op->step = FM_CLEAR;
		return;
	case FM_CLEAR:
		op->step = format_may(f) ? FM_CLEARED : FM_DONE;
		if (op->step == FM_DONE)
			return;
		format_io(f, IO_WRITE, 0, f->zero);
		format_io(f, IO_WRITE, label_b, f->zero);
		return;
	case FM_CLEARED:
		op->step = format_ok(f) ? FM_FILL : FM_DONE;
		if (op->step == FM_FILL)
			format_io(f, IO_FLUSH, 0, NULL);
		return;
	case FM_FILL:
		op->step = format_ok(f) ? FM_FILLED : FM_DONE;
		if (op->step == FM_FILLED)
			format_fill(f);
		return;
	case FM_FILLED:
		op->step = format_ok(f) ? FM_LABEL_B : FM_DONE;
		if (op->step == FM_LABEL_B)
			format_io(f, IO_FLUSH, 0, NULL);
		return;
	case FM_LABEL_B:
		op->step = format_ok(f) ? FM_LABEL_A : FM_DONE;
		if (op->step == FM_DONE)
			return;
		label_encode(&f->label, f->buf);
		format_io(f, IO_WRITE, label_b, f->buf);
		return;
	case FM_LABEL_A:
		op->step = FM_DONE;
		if (format_ok(f))
			format_io(f, IO_WRITE, 0, f->buf);
		return;
	case FM_DONE:
		if (format_ok(f))
			log_info("pool=%s: formatted %s", f->label.name,
			    f->req->blk->name);
		op_end(op);
		free(f->buf);
		free(f->zero);
		free(f);
		return;
	}
	bug("pool_format: bad step");
}

static const struct op_type formatting_type = {
	.name = "pool_format",
	.steps = formatting_steps,
	.nsteps = nitems(formatting_steps),
	.run = formatting_run,
};

/* The label to be, or an error. */
static int
format_plan(struct pool_format *req, struct label *label)
{
	uint32_t extent = req->extent_bytes != 0 ? req->extent_bytes :
	    POOL_EXTENT_MAX;

	memset(label, 0, sizeof(*label));
	if (!pool_name_ok(req->name, &req->err))
		return -EINVAL;
	if (extent < POOL_EXTENT_MIN || extent > POOL_EXTENT_MAX ||
	    extent % POOL_EXTENT_UNIT != 0)
		return err_set(&req->err, EINVAL, "extents of %u bytes are not "
		    "possible: 256 KiB to 1 MiB in steps of 64 KiB", extent);
	if (req->blk->geo.read_only)
		return err_set(&req->err, EROFS, "%s is read-only",
		    req->blk->name);
	memcpy(label->name, req->name, strlen(req->name));
	label->extent_bytes = extent;
	label->ctime = loop_wall_time(req->blk->loop);
	pool_uuid_new(req->blk->loop, label->uuid);
	return label_plan(label, &req->blk->geo, &req->err);
}

enum format_step { FORMAT_START, FORMAT_END };
static const char *const format_steps[] = { "START", "END" };

static void
format_run(struct op *op)
{
	struct pool_format *req = op_owner(op, struct pool_format);
	struct formatting *f;

	switch ((enum format_step)op->step) {
	case FORMAT_START:
		op->step = FORMAT_END;
		f = calloc(1, sizeof(*f));
		if (f == NULL) {
			err_set(&req->err, ENOMEM, "out of memory");
			return;
		}
		f->req = req;
		f->buf = pool_buf_new(POOL_BLOCK);
		f->zero = pool_buf_new(POOL_BLOCK);
		if (f->buf == NULL || f->zero == NULL)
			err_set(&req->err, ENOMEM, "out of memory");
		else if (format_plan(req, &f->label) == 0) {
			op_start(&f->op, &formatting_type,
			    loop_sched(req->blk->loop), op);
			return;
		}
		free(f->buf);
		free(f->zero);
		free(f);
		return;
	case FORMAT_END:
		op_end(op);
		return;
	}
	bug("format: bad step");
}

static const struct op_type format_type = {
	.name = "format",
	.steps = format_steps,
	.nsteps = nitems(format_steps),
	.run = format_run,
};

void
pool_format_start(struct pool_format *req, struct op *parent)
{
	assert(req->blk != NULL);
	err_clear(&req->err);
	op_start(&req->op, &format_type, loop_sched(req->blk->loop), parent);
}
