/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration document in its two slots.
 *
 * A slot is one block of head (magic, version, crc, pool UUID, le64
 * generation, le32 length) and the text.  The valid slot with the larger
 * generation counts; a write goes to the other one, with FUA, so that a torn
 * write leaves the document before it.
 *
 * Invariant: if pool->doc_known, the doc_* fields say what is on the disk and
 * durable.
 */
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"

static const uint8_t doc_magic[8] = { 'D', 'O', 'Z', 'O', 'D', 'O', 'C', 'U' };

struct doc_op {
	struct op op;
	struct pool_doc *req;
	struct pool *pool;
	uint8_t *buf[2];		/* POOL_DOC_BYTES each */
	struct io io[2];
	struct iovec iov[2];
	uint32_t crc;			/* of what is being written */
};

enum doc_step { DOC_LOCK, DOC_READ, DOC_SETTLE, DOC_LOOK, DOC_WRITTEN,
	DOC_DONE };
static const char *const doc_steps[] = { "LOCK", "READ", "SETTLE", "LOOK",
	"WRITTEN", "DONE" };

struct doc_head {
	uint32_t crc, len;
	uint64_t generation;
};

/* A whole document of this pool? */
static bool
doc_decode(const struct label *label, const uint8_t *buf, struct doc_head *head)
{
	struct wire_in in = wire_in(buf, POOL_BLOCK);
	uint8_t magic[sizeof(doc_magic)], uuid[16];
	uint32_t version;

	get_copy(&in, magic, sizeof(magic));
	version = get_le32(&in);
	head->crc = get_le32(&in);
	get_copy(&in, uuid, sizeof(uuid));
	head->generation = get_le64(&in);
	head->len = get_le32(&in);
	assert(!in.bad);
	return memcmp(magic, doc_magic, sizeof(magic)) == 0 &&
	    version == POOL_VERSION && head->generation > 0 &&
	    memcmp(uuid, label->uuid, sizeof(uuid)) == 0 &&
	    head->len <= POOL_DOC_MAX &&
	    head->crc == pool_crc(buf, POOL_BLOCK + head->len);
}

static uint32_t
doc_encode(const struct pool *pool, const struct pool_doc *req, uint8_t *buf)
{
	struct wire_out out = wire_out(buf, POOL_DOC_BYTES);

	put_bytes(&out, doc_magic, sizeof(doc_magic));
	put_le(&out, POOL_VERSION, 4);
	put_le(&out, 0, 4);
	put_bytes(&out, pool->label.uuid, sizeof(pool->label.uuid));
	put_le(&out, req->generation, 8);
	put_le(&out, req->len, 4);
	put_zero(&out, POOL_BLOCK - wire_used(&out));
	put_bytes(&out, req->text, req->len);
	put_zero(&out, POOL_DOC_BYTES - wire_used(&out));
	assert(!out.bad);
	return pool_crc_seal(buf, POOL_BLOCK + req->len);
}

static void
doc_fail(struct doc_op *d, int result, const char *what)
{
	err_set(&d->req->err, -result, "pool %s: %s the configuration "
	    "failed: %s", d->pool->label.name, what, strerror(-result));
}

/* Both slots were read: which counts?  A slot that cannot be read may not. */
static int
doc_pick(struct doc_op *d)
{
	struct pool *pool = d->pool;
	struct doc_head head;
	int result = 0;

	pool->doc_generation = 0;
	pool->doc_slot = 1;
	pool->doc_crc = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (d->io[i].result != 0) {
			result = d->io[i].result;
			continue;
		}
		if (!doc_decode(&pool->label, d->buf[i], &head) ||
		    head.generation <= pool->doc_generation)
			continue;
		pool->doc_generation = head.generation;
		pool->doc_slot = i;
		pool->doc_crc = head.crc;
	}
	/* With a document in hand an unreadable other slot is no matter. */
	return pool->doc_generation == 0 ? result : 0;
}

static void
doc_take(struct doc_op *d)
{
	struct pool *pool = d->pool;
	struct pool_doc *req = d->req;
	struct doc_head head;

	req->text = NULL;
	req->len = 0;
	req->generation = pool->doc_generation;
	if (pool->doc_generation == 0)
		return;
	if (!doc_decode(&pool->label, d->buf[pool->doc_slot], &head))
		bug("pool_doc: slot %u changed", pool->doc_slot);
	req->text = malloc(head.len + 1u);
	if (req->text == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	memcpy(req->text, d->buf[pool->doc_slot] + POOL_BLOCK, head.len);
	req->text[head.len] = '\0';
	req->len = head.len;
}

/* Start the write, if there is anything to write. */
static void
doc_put(struct doc_op *d)
{
	struct pool *pool = d->pool;
	struct pool_doc *req = d->req;
	uint32_t crc = doc_encode(pool, req, d->buf[0]);

	if (req->generation == pool->doc_generation && crc == pool->doc_crc)
		return;
	if (req->generation <= pool->doc_generation) {
		err_set(&req->err, ESTALE, "pool %s holds configuration %"
		    PRIu64 ", which is not older than %" PRIu64,
		    pool->label.name, pool->doc_generation, req->generation);
		return;
	}
	d->crc = crc;
	pool->doc_known = false;	/* until we know how it went */
	pool_io(pool->blk, &d->io[0], &d->iov[0], IO_WRITE,
	    pool->label.doc_off[1 - pool->doc_slot], d->buf[0],
	    round_up(POOL_BLOCK + req->len, POOL_BLOCK), IO_FUA, &d->op);
	d->op.step = DOC_WRITTEN;
}

static void
doc_written(struct doc_op *d)
{
	struct pool *pool = d->pool;

	if (d->io[0].result != 0) {
		doc_fail(d, d->io[0].result, "writing");
		return;
	}
	pool->doc_known = true;
	pool->doc_slot = 1 - pool->doc_slot;
	pool->doc_generation = d->req->generation;
	pool->doc_crc = d->crc;
}

static void
doc_end(struct doc_op *d)
{
	pool_lock_drop(&d->pool->doc_lock);
	free(d->buf[0]);
	free(d->buf[1]);
	op_end(&d->op);
	free(d);
}

static void
doc_run(struct op *op)
{
	struct doc_op *d = op_owner(op, struct doc_op);
	struct pool *pool = d->pool;
	int result;

	switch ((enum doc_step)op->step) {
	case DOC_LOCK:
		pool_lock_take(&pool->doc_lock, op);
		op->step = DOC_READ;
		return;
	case DOC_READ:
		op->step = DOC_SETTLE;
		if (d->req->write && pool->doc_known)
			return;
		for (unsigned i = 0; i < 2; i++)
			pool_io(pool->blk, &d->io[i], &d->iov[i], IO_READ,
			    pool->label.doc_off[i], d->buf[i], POOL_DOC_BYTES,
			    0, op);
		return;
	case DOC_SETTLE:	/* what was read may be in a volatile cache */
		op->step = DOC_LOOK;
		if (d->req->write && pool->doc_known)
			return;
		result = doc_pick(d);
		d->io[0].result = 0;
		if (result != 0) {
			doc_fail(d, result, "reading");
			op->step = DOC_DONE;
		} else if (!pool->doc_known && !pool->blk->geo.read_only) {
			pool_io(pool->blk, &d->io[0], &d->iov[0], IO_FLUSH, 0,
			    NULL, 0, 0, op);
		}
		return;
	case DOC_LOOK:
		op->step = DOC_DONE;
		if (d->io[0].result != 0) {
			doc_fail(d, d->io[0].result, "flushing");
			return;
		}
		pool->doc_known = true;
		if (d->req->write)
			doc_put(d);
		else
			doc_take(d);
		return;
	case DOC_WRITTEN:
		doc_written(d);
		op->step = DOC_DONE;
		return;
	case DOC_DONE:
		doc_end(d);
		return;
	}
	bug("pool_doc: bad step");
}

static const struct op_type doc_type = {
	.name = "pool_doc",
	.steps = doc_steps,
	.nsteps = nitems(doc_steps),
	.run = doc_run,
};

enum outer_step { OUTER_START, OUTER_END };
static const char *const outer_steps[] = { "START", "END" };

static void
outer_run(struct op *op)
{
	struct pool_doc *req = op_owner(op, struct pool_doc);
	struct doc_op *d;

	switch ((enum outer_step)op->step) {
	case OUTER_START:
		op->step = OUTER_END;
		if (req->write && req->len > POOL_DOC_MAX) {
			err_set(&req->err, EFBIG, "a configuration of %zu "
			    "bytes is too large, the limit is %d", req->len,
			    POOL_DOC_MAX);
			return;
		}
		d = calloc(1, sizeof(*d));
		if (d != NULL) {
			d->req = req;
			d->pool = req->pool;
			d->buf[0] = pool_buf_new(POOL_DOC_BYTES);
			d->buf[1] = pool_buf_new(POOL_DOC_BYTES);
		}
		if (d == NULL || d->buf[0] == NULL || d->buf[1] == NULL) {
			err_set(&req->err, ENOMEM, "out of memory");
			if (d != NULL) {
				free(d->buf[0]);
				free(d->buf[1]);
			}
			free(d);
			return;
		}
		op_start(&d->op, &doc_type, loop_sched(req->pool->loop), op);
		return;
	case OUTER_END:
		op_end(op);
		return;
	}
	bug("doc: bad step");
}

static const struct op_type outer_type = {
	.name = "doc",
	.steps = outer_steps,
	.nsteps = nitems(outer_steps),
	.run = outer_run,
};

void
pool_doc_start(struct pool_doc *req, struct op *parent)
{
	assert(req->pool != NULL);
	assert(!req->write || req->generation > 0);
	assert(!req->write || req->text != NULL || req->len == 0);
	err_clear(&req->err);
	if (!req->write)
		req->text = NULL;
	op_start(&req->op, &outer_type, loop_sched(req->pool->loop), parent);
}
