/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door every storage request goes through: the checks that hold for all
 * implementations are made here, once, before ops->submit() sees a request.
 *
 * Invariants: an implementation is only given requests that lie inside the
 * device, are multiples of its logical block and, if they move data, have an
 * iovec that is large enough; a read-only device never sees a change.
 */
#include "block/blk.h"

#include <assert.h>
#include <errno.h>

static bool
moves_data(const struct io *io)
{
	return io->kind == IO_READ || io->kind == IO_WRITE;
}

static bool
changes_data(const struct io *io)
{
	return io->kind == IO_WRITE || io->kind == IO_DISCARD ||
	    io->kind == IO_ZERO;
}

static void
blk_check(const struct blk *blk, const struct io *io)
{
	const struct blk_geometry *geo = &blk->geo;

	assert(io->waiter != NULL);
	assert(io->kind != IO_RECV && io->kind != IO_SEND);
	assert(geo->logical_block >= 512 && is_pow2(geo->logical_block));
	assert(geo->physical_block >= geo->logical_block);
	if (io->kind == IO_FLUSH)
		return;
	assert(io->len > 0);
	assert(io->off % geo->logical_block == 0);
	assert(io->len % geo->logical_block == 0);
	assert(range_ok(io->off, io->len, geo->size));
	if (moves_data(io)) {
		assert(io->iov != NULL);
		assert(iov_len(io->iov, io->niov) >= io->len);
	}
}

void
blk_forward(struct blk *lower, struct io *io)
{
	blk_check(lower, io);
	if (lower->geo.read_only && changes_data(io)) {
		io_end(io, -EROFS);
		return;
	}
	lower->ops->submit(lower, io);
}

void
blk_submit(struct blk *blk, struct io *io, struct op *waiter)
{
	assert(waiter != NULL);
	assert(io->waiter == NULL);
	io->waiter = waiter;
	op_hold(waiter);
	blk_forward(blk, io);
}

void
blk_expect(struct blk *blk, uint64_t off, uint64_t len)
{
	const struct blk_geometry *geo = &blk->geo;

	assert(len > 0 && range_ok(off, len, geo->size));
	assert(off % geo->logical_block == 0);
	assert(len % geo->logical_block == 0);
	if (blk->ops->expect != NULL && !geo->read_only)
		blk->ops->expect(blk, off, len);
}

uint64_t
blk_cut(const struct blk *blk, uint64_t off, uint64_t len)
{
	uint64_t cut = 0;

	assert(range_ok(off, len, blk->geo.size));
	if (blk->ops->cut != NULL && !blk->geo.read_only)
		cut = blk->ops->cut(blk, off, len);
	assert(cut <= len && cut % blk->geo.logical_block == 0);
	return cut;
}

void
blk_close(struct blk *blk)
{
	if (blk != NULL)
		blk->ops->close(blk);
}
