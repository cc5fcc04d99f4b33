/* SPDX-License-Identifier: BSD-2-Clause */
/* Run the ops of pool/ and wait for them; a device that loses its power. */
#ifndef TESTS_POOL_UTIL_H
#define TESTS_POOL_UTIL_H

#include <stdio.h>

#include "core/log.h"
#include "pool/pool_priv.h"
#include "tests/unit/block_util.h"

static inline void
run_format(struct pool_format *f, struct blk *blk, const char *name,
    uint32_t extent_bytes, bool force)
{
	memset(f, 0, sizeof(*f));
	f->blk = blk;
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->extent_bytes = extent_bytes;
	f->force = force;
	pool_format_start(f, NULL);
	loop_run_op(blk->loop, &f->op);
}

static inline void
do_format(struct blk *blk, const char *name, uint32_t extent_bytes)
{
	struct pool_format f;

	run_format(&f, blk, name, extent_bytes, false);
	assert_string_equal(f.err.text, "");
}

static inline struct pool *
try_open(struct blk *blk, struct err *err)
{
	struct pool_open o = { .loop = blk->loop, .blk = blk };

	pool_open_start(&o, NULL);
	loop_run_op(blk->loop, &o.op);
	*err = o.err;
	assert_true((o.pool == NULL) == (err->code != 0));
	return o.pool;
}

static inline struct pool *
do_open(struct blk *blk)
{
	struct err err;
	struct pool *pool = try_open(blk, &err);

	assert_string_equal(err.text, "");
	return pool;
}

/* The result of the last flush; the pool is gone in any case. */
static inline int
do_close(struct pool *pool)
{
	struct pool_close c = { .pool = pool };
	struct blk *blk = pool->blk;

	pool_close_start(&c, NULL);
	loop_run_op(blk->loop, &c.op);
	assert_ptr_equal(c.blk, blk);
	return -c.err.code;
}

static inline int
run_change(struct pool_change *c)
{
	struct loop *loop = c->pool->loop;

	pool_change_start(c, NULL);
	loop_run_op(loop, &c->op);
	return -c->err.code;
}

static inline int
do_create(struct pool *pool, const char *name, uint64_t size)
{
	struct pool_change c = { .pool = pool, .kind = POOL_VOLUME_CREATE,
		.size = size, .policy = WRITE_THROUGH, .thick = true };
	int r;

	snprintf(c.name, sizeof(c.name), "%.*s", POOL_NAME_MAX, name);
	r = run_change(&c);
	assert_true((c.volume != NULL) == (r == 0));
	return r;
}

/* One change of the volume `name`; `to` is the new name of a rename. */
static inline int
do_change(struct pool *pool, enum pool_change_kind kind, const char *name,
    const char *to, uint64_t size, enum write_policy policy)
{
	struct pool_change c = { .pool = pool, .kind = kind, .size = size,
		.policy = policy };

	c.volume = pool_volume_by_name(pool, name);
	assert_non_null(c.volume);
	if (to != NULL)
		snprintf(c.name, sizeof(c.name), "%.*s", POOL_NAME_MAX, to);
	return run_change(&c);
}

static inline int
do_grow(struct pool *pool, const char *name, uint64_t size)
{
	return do_change(pool, POOL_VOLUME_GROW, name, NULL, size,
	    WRITE_THROUGH);
}

static inline int
do_delete(struct pool *pool, const char *name)
{
	return do_change(pool, POOL_VOLUME_DELETE, name, NULL, 0,
	    WRITE_THROUGH);
}

/* "a:4096:durable b:..." in name order; the caller's buffer. */
static inline const char *
dump(struct pool *pool, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (struct volume *v = pool_volume_next(pool, NULL); v != NULL;
	    v = pool_volume_next(pool, v)) {
		struct volume_info info;

		volume_get_info(v, &info);
		assert_true(info.allocated >= info.size && info.thick);
		assert_ptr_equal(pool_volume_by_name(pool, info.name), v);
		assert_ptr_equal(pool_volume_by_uuid(pool, info.uuid), v);
		n += (size_t)snprintf(text + n, size - n, "%s:%llu:%s ",
		    info.name, (unsigned long long)info.size,
		    write_policy_name(info.policy));
		assert_true(n < size);
	}
	return text;
}

/*
 * A device whose power goes with request number `left`: that one does nothing,
 * or its first `torn` bytes if it is a write, and from then on all fail.
 */
struct cutter {
	struct blk blk;
	struct blk *lower;
	unsigned left;			/* requests that still succeed */
	uint8_t *medium;		/* of the ram blk at the bottom */
	uint64_t torn;
	bool dead;
};

static inline void
cutter_submit(struct blk *blk, struct io *io)
{
	struct cutter *c = container_of(blk, struct cutter, blk);
	uint64_t torn = MIN(c->torn, io->len);

	if (!c->dead && c->left > 0) {
		c->left--;
		blk_forward(c->lower, io);
		return;
	}
	if (!c->dead && io->kind == IO_WRITE)
		iov_to_buf(io->iov, io->niov, 0, c->medium + io->off, torn);
	c->dead = true;
	io_end(io, -ENODEV);
}

static const struct blk_ops cutter_ops = {
	.type = "cutter", .submit = cutter_submit,
};

static inline void
cutter_init(struct cutter *c, struct blk *lower, struct blk *ram)
{
	memset(c, 0, sizeof(*c));
	c->blk = *lower;
	c->blk.ops = &cutter_ops;
	c->lower = lower;
	c->medium = blk_ram_data(ram);
	c->left = UINT32_MAX;
}

#endif
