/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading an LBA range back in pieces, for VERIFY, WRITE AND VERIFY, COMPARE
 * AND WRITE and ORWRITE.  The pieces go through the LU's work area, which is
 * taken for one piece at a time: a long VERIFY does not hold up a COMPARE AND
 * WRITE, and nobody waits for buffers while holding some.
 *
 * Invariant: a piece that failed or differed is the last one; the command
 * then has its status.
 */
#include <string.h>

#include "target/scsi/scsi_priv.h"

#define VIEW_MAX	4	/* buffer pieces that WORK_LEN may touch */

/* Offset of the first byte that differs, or the length of the view. */
static size_t
first_difference(const struct iovec *view, unsigned n, const uint8_t *medium)
{
	size_t done = 0;

	assert(n > 0 && n <= BUF_IOV_MAX);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *data = view[i].iov_base;

		if (memcmp(data, medium + done, view[i].iov_len) == 0) {
			done += view[i].iov_len;
			continue;
		}
		while (*data == medium[done]) {
			data++;
			done++;
		}
		return done;
	}
	return done;
}

static void
miscompare(struct scsi_cmd *cmd, uint64_t off)
{
	struct sense sense = SENSE_MISCOMPARE;

	assert(cmd->status == SCSI_GOOD);
	sense.info_valid = true;
	sense.info = off;
	cmd_fail(cmd, sense);
}

static void
compare(struct scsi_extent *ex, const uint8_t *medium, size_t len)
{
	struct iovec view[VIEW_MAX];
	unsigned n = iov_slice(view, VIEW_MAX, ex->cmd->out.iov,
	    ex->cmd->out.niov, ex->off, len);
	size_t same = first_difference(view, n, medium);

	if (same < len)
		miscompare(ex->cmd, ex->off + same);
	ex->off += len;
}

/* Each block against the one block of data-out. */
static void
compare_one(struct scsi_extent *ex, const uint8_t *medium, size_t len)
{
	struct scsi_cmd *cmd = ex->cmd;
	size_t block = cmd->lu->block;

	assert(len % block == 0);
	for (size_t off = 0; off < len; off += block) {
		size_t same = first_difference(cmd->out.iov, 1, medium + off);

		if (same < block) {
			miscompare(cmd, same);
			return;
		}
	}
}

/* The medium's bits into data-out. */
static void
merge(struct scsi_extent *ex, const uint8_t *medium, size_t len)
{
	struct iovec view[VIEW_MAX];
	unsigned n = iov_slice(view, VIEW_MAX, ex->cmd->out.iov,
	    ex->cmd->out.niov, ex->off, len);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *data = view[i].iov_base;

		for (size_t j = 0; j < view[i].iov_len; j++)
			data[j] |= *medium++;
	}
	ex->off += len;
}

static void
apply(struct scsi_extent *ex)
{
	struct scsi_lu *lu = ex->cmd->lu;
	size_t len = ex->step << lu->shift;

	assert(ex->step > 0 && ex->step <= ex->left && len <= WORK_LEN);
	assert(lu->work_busy);
	switch ((enum extent_kind)ex->how) {
	case EXTENT_CHECK:
		break;
	case EXTENT_COMPARE:
		compare(ex, lu->work, len);
		break;
	case EXTENT_COMPARE_ONE:
		compare_one(ex, lu->work, len);
		break;
	case EXTENT_MERGE:
		merge(ex, lu->work, len);
		break;
	}
	ex->lba += ex->step;
	ex->left -= ex->step;
}

static void
read_piece(struct scsi_extent *ex)
{
	struct scsi_cmd *cmd = ex->cmd;
	struct scsi_lu *lu = cmd->lu;

	assert(lu->work_busy && !cmd->aborted && ex->left > 0);
	assert(range_ok(ex->lba, ex->left, lu->nblocks));
	ex->step = MIN(ex->left, (uint64_t)WORK_LEN >> lu->shift);
	ex->iov.iov_base = lu->work;
	ex->iov.iov_len = ex->step << lu->shift;
	io_init(&cmd->io, IO_READ, ex->lba << lu->shift, ex->iov.iov_len,
	    &ex->iov, 1, 0);
	blk_submit(lu->blk, &cmd->io, &ex->op);
}

enum extent_step { EXTENT_TAKE, EXTENT_READ, EXTENT_APPLY };

static void
extent_run(struct op *op)
{
	struct scsi_extent *ex = op_owner(op, struct scsi_extent);
	struct scsi_cmd *cmd = ex->cmd;

	switch ((enum extent_step)op->step) {
	case EXTENT_TAKE:
		if (ex->left == 0 || cmd->aborted ||
		    cmd->status != SCSI_GOOD) {
			op_end(op);
			return;
		}
		lu_work_take(cmd->lu, op);
		op->step = EXTENT_READ;
		return;
	case EXTENT_READ:
		if (cmd->aborted) {	/* while it waited */
			lu_work_give(cmd->lu);
			op->step = EXTENT_TAKE;
			return;
		}
		read_piece(ex);
		op->step = EXTENT_APPLY;
		return;
	case EXTENT_APPLY:
		if (cmd->io.result < 0)
			cmd_fail(cmd, sense_from_errno(cmd->io.result,
			    IO_READ, ex->lba + (cmd->io.failed_at >>
			    cmd->lu->shift)));
		else
			apply(ex);
		lu_work_give(cmd->lu);
		op->step = EXTENT_TAKE;
		return;
	}
	bug("scsi_extent: bad step");
}

static const struct op_type extent_type = {
	.name = "scsi_extent",
	.steps = (const char *const[]){ "TAKE", "READ", "APPLY" },
	.nsteps = 3,
	.run = extent_run,
};

void
cmd_read_back(struct scsi_cmd *cmd, enum extent_kind how)
{
	struct scsi_extent *ex = &cmd->u.extent;

	assert(how == EXTENT_CHECK || cmd->out.niov > 0);
	assert(how != EXTENT_COMPARE_ONE ||
	    cmd->out.iov[0].iov_len >= cmd->lu->block);
	ex->cmd = cmd;
	ex->lba = cmd->c.lba;
	ex->left = cmd->c.len;
	ex->off = 0;
	ex->how = how;
	op_start(&ex->op, &extent_type, cmd->op.sched, &cmd->op);
}
