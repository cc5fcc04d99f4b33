/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that keep the memory of reads, as DMA does, and a reader that lends
 * it: what is read into memory after it was given up shows as 0xee.
 */
#ifndef TESTS_LATE_H
#define TESTS_LATE_H

#include "core/grave.h"
#include "tests/unit/block_util.h"

#define LATE_MAX 512

struct late_read {
	struct io *io;			/* NULL: it has ended, late */
	unsigned niov;
	struct iovec iov[BUF_IOV_MAX];	/* as it was when it came */
};

/* Reads in flight are held, or ended at once with a grave. */
struct late {
	struct blk blk;
	struct blk *lower;
	bool hold;			/* reads; those of an array */
	unsigned refuse;		/* so many lent ones end at once */
	struct graveyard yard;
	unsigned n;
	struct late_read read[LATE_MAX];
};

static void
late_keep(struct late *late, struct io *io, bool ended)
{
	struct late_read *r = &late->read[late->n++];

	assert_true(late->n <= LATE_MAX && io->niov <= BUF_IOV_MAX);
	r->io = ended ? NULL : io;
	r->niov = io->niov;
	memcpy(r->iov, io->iov, io->niov * sizeof(io->iov[0]));
}

static void
late_submit(struct blk *blk, struct io *io)
{
	struct late *late = container_of(blk, struct late, blk);
	bool lent = io->kind == IO_READ && (io->flags & IO_LENT) != 0;

	if (late->hold && io->kind == IO_READ) {
		late_keep(late, io, false);
	} else if (lent && late->refuse > 0) {
		late->refuse--;
		late_keep(late, io, true);
		graveyard_enter(&late->yard);
		io->grave = grave_new(&late->yard);
		io_end(io, -ETIMEDOUT);
	} else {
		blk_forward(late->lower, io);
	}
}

static void
late_close(struct blk *blk)
{
	(void)blk;
}

static const struct blk_ops late_ops = {
	.type = "late", .submit = late_submit, .close = late_close,
};

static inline void
late_init(struct late *late, struct blk *lower)
{
	memset(late, 0, sizeof(*late));
	late->lower = lower;
	late->blk = *lower;
	late->blk.ops = &late_ops;
	graveyard_init(&late->yard);
}

/*
 * The device wakes up.  Who still waits for a read gets what `data` holds;
 * memory of others is written to nevertheless.
 */
static inline void
late_wake(struct late *late, const uint8_t *data)
{
	late->hold = false;
	for (unsigned i = 0; i < late->n; i++) {
		struct late_read *r = &late->read[i];
		bool waits = r->io != NULL && r->io->iov[0].iov_base ==
		    r->iov[0].iov_base && data != NULL;

		for (unsigned k = 0; k < r->niov && !waits; k++)
			memset(r->iov[k].iov_base, 0xee, r->iov[k].iov_len);
		if (waits)
			iov_from_buf(r->iov, r->niov, 0, data + r->io->off,
			    r->io->len);
		if (r->io != NULL)
			io_end(r->io, 0);
		else
			(void)graveyard_leave(&late->yard);
	}
	late->n = 0;
}

/* One read of a buffer from a pool, again as often as it takes. */
struct lender {
	struct op op;
	struct blk *blk;
	struct buf_pool *pool;
	struct buf buf;
	struct io io;
	uint64_t off, len;
	unsigned again;
};

static void
lender_run(struct op *op)
{
	struct lender *l = op_owner(op, struct lender);

	switch (op->step) {
	case 0:
		buf_reserve(&l->buf, l->pool, l->len, op);
		op->step = 1;
		return;
	case 1:
		io_init(&l->io, IO_READ, l->off, l->len, l->buf.iov,
		    l->buf.niov, IO_LENT);
		blk_submit(l->blk, &l->io, op);
		op->step = 2;
		return;
	default:
		if (l->io.grave == NULL) {
			op_end(op);
			return;
		}
		assert_int_equal(l->io.result, -ETIMEDOUT);
		assert_true(buf_exile(&l->io.grave->buf, &l->buf));
		grave_close(l->io.grave);
		l->again++;
		op->step = 1;
	}
}

static const struct op_type lender_type = { .name = "lender",
    .run = lender_run };

static inline void
lender_start(struct lender *l, struct blk *blk, struct buf_pool *pool,
    uint64_t off, uint64_t len)
{
	memset(l, 0, sizeof(*l));
	l->blk = blk;
	l->pool = pool;
	l->off = off;
	l->len = len;
	op_start(&l->op, &lender_type, loop_sched(blk->loop), NULL);
}

static inline bool
lender_has(const struct lender *l, const uint8_t *want)
{
	for (unsigned i = 0; i < l->buf.niov; i++) {
		if (memcmp(l->buf.iov[i].iov_base, want,
		    l->buf.iov[i].iov_len) != 0)
			return false;
		want += l->buf.iov[i].iov_len;
	}
	return true;
}

#endif
