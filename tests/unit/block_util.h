/* SPDX-License-Identifier: BSD-2-Clause */
/* Run one request on a blk and wait for it: for the tests of block/. */
#ifndef TESTS_BLOCK_UTIL_H
#define TESTS_BLOCK_UTIL_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "block/blk.h"

struct one_io {
	struct op op;
	struct blk *blk;
	struct io io;
	struct iovec iov;
};

static void
one_io_run(struct op *op)
{
	struct one_io *one = op_owner(op, struct one_io);

	if (op->step++ == 0)
		blk_submit(one->blk, &one->io, op);
	else
		op_end(op);
}

static const struct op_type one_io_type = {
	.name = "one_io", .run = one_io_run,
};

static inline void
one_io_start(struct one_io *one, struct blk *blk, enum io_kind kind,
    uint64_t off, uint64_t len, void *buf, unsigned flags)
{
	one->blk = blk;
	one->iov = (struct iovec){ .iov_base = buf, .iov_len = len };
	io_init(&one->io, kind, off, len, &one->iov, 1, flags);
	op_start(&one->op, &one_io_type, loop_sched(blk->loop), NULL);
}

static inline int
do_io(struct blk *blk, enum io_kind kind, uint64_t off, uint64_t len,
    void *buf, unsigned flags)
{
	struct one_io one;

	one_io_start(&one, blk, kind, off, len, buf, flags);
	loop_run_op(blk->loop, &one.op);
	return one.io.result;
}

static inline int
do_write(struct blk *blk, uint64_t off, uint64_t len, int byte, unsigned flags)
{
	void *buf = aligned_alloc(4096, round_up(len, 4096));
	int r;

	assert_non_null(buf);
	memset(buf, byte, len);
	r = do_io(blk, IO_WRITE, off, len, buf, flags);
	free(buf);
	return r;
}

static inline int
do_flush(struct blk *blk)
{
	return do_io(blk, IO_FLUSH, 0, 0, NULL, 0);
}

/* Does the whole range read as `byte`?  -errno on error. */
static inline int
reads_as(struct blk *blk, uint64_t off, uint64_t len, int byte)
{
	uint8_t *buf = aligned_alloc(4096, round_up(len, 4096));
	int r;

	assert_non_null(buf);
	memset(buf, 0xee, len);
	r = do_io(blk, IO_READ, off, len, buf, 0);
	if (r == 0) {
		r = 1;
		for (uint64_t i = 0; i < len; i++)
			if (buf[i] != (uint8_t)byte)
				r = 0;
	}
	free(buf);
	return r;
}

#endif
