/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WRITE SAME (SBC-3 5.42, 5.43).  A block of zeroes, or none (NDOB), becomes
 * one zero request, with UNMAP one that gives space back; any other block is
 * copied into a buffer and written piece by piece.
 */
#include <string.h>

#include "target/scsi/scsi_priv.h"

#define PIECE_LEN	((uint64_t)MIB)

static bool
is_zero(const uint8_t *data, size_t len)
{
	assert(len > 0);
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* Zero blocks are refused (WSNZ) and so is what B0h says is too long. */
static bool
lengths_ok(struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	bool unmap = cmd->c.flags & CDB_UNMAP, ndob = cmd->c.flags & CDB_NDOB;

	assert(range_ok(cmd->c.lba, cmd->c.len, lu->nblocks));
	if (unmap && !lu_can_unmap(lu)) {
		cmd_fail(cmd, sense_cdb_field(1, 3));
		return false;
	}
	cmd->out_wanted = ndob ? 0 : lu->block;
	if (cmd->c.len == 0 || cmd->c.len > lu->limits.same_max)
		cmd_fail(cmd, sense_cdb_field(cmd->opcode->len.at, 0xff));
	else if (cmd->out_len != cmd->out_wanted)
		cmd_fail(cmd, SENSE_INFO_UNIT);
	return cmd->status == SCSI_GOOD;
}

/* Fill the whole buffer with its first block. */
static void
repeat(struct scsi_cmd *cmd)
{
	const uint8_t *first = cmd->out.iov[0].iov_base;
	size_t block = cmd->lu->block;

	for (unsigned i = 0; i < cmd->out.niov; i++) {
		uint8_t *base = cmd->out.iov[i].iov_base;
		size_t off = i == 0 ? block : 0;

		assert(cmd->out.iov[i].iov_len % block == 0);
		for (; off < cmd->out.iov[i].iov_len; off += block)
			memcpy(base + off, first, block);
	}
}

/* One zero request for all, or the next piece of the pattern. */
static void
store(struct scsi_cmd *cmd)
{
	struct scsi_extent *ex = &cmd->u.extent;

	assert(ex->left > 0 && cmd->lock.granted);
	if (ex->how != 0) {
		ex->step = ex->left;
		cmd_io(cmd, IO_ZERO, ex->lba, ex->left, NULL,
		    cmd->c.flags & CDB_UNMAP ? IO_UNMAP : 0);
	} else {
		ex->step = MIN(ex->left, cmd->out.len >> cmd->lu->shift);
		cmd_io_part(cmd, ex->lba, ex->step, 0,
		    lu_durable(cmd->lu) ? IO_FUA : 0);
	}
}

static void
prepare(struct scsi_cmd *cmd)
{
	struct scsi_extent *ex = &cmd->u.extent;
	bool zero = cmd->out.niov == 0 || is_zero(cmd->out.iov[0].iov_base,
	    cmd->lu->block);

	ex->lba = cmd->c.lba;
	ex->left = cmd->c.len;
	ex->how = zero;
	assert(zero || cmd->out.len % cmd->lu->block == 0);
	if (!zero)
		repeat(cmd);
}

enum same_step {
	SAME_ADMIT, SAME_COLLECT, SAME_LOCK, SAME_STORE, SAME_NEXT, SAME_REPLY
};

static void
scsi_write_same_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);
	struct scsi_extent *ex = &cmd->u.extent;

	switch ((enum same_step)op->step) {
	case SAME_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (!lengths_ok(cmd))
			break;
		op->step = SAME_LOCK;
		if (cmd->out_wanted != 0) {
			buf_reserve(&cmd->out, cmd->nexus->bufs, MIN(PIECE_LEN,
			    (uint64_t)cmd->c.len << cmd->lu->shift), op);
			op->step = SAME_COLLECT;
		}
		return;
	case SAME_COLLECT:
		if (cmd->aborted)
			break;
		cmd_collect(cmd, cmd->lu->block);
		op->step = SAME_LOCK;
		return;
	case SAME_LOCK:
		if (cmd->collecting && !cmd_collected(cmd))
			break;
		prepare(cmd);
		lba_lock(&cmd->lu->locks, &cmd->lock, cmd->c.lba, cmd->c.len,
		    false, op);
		op->step = SAME_STORE;
		return;
	case SAME_STORE:	/* again for each piece */
		if (cmd->aborted)
			break;
		store(cmd);
		op->step = SAME_NEXT;
		return;
	case SAME_NEXT:
		if (!cmd_io_ok(cmd))
			break;
		ex->lba += ex->step;
		ex->left -= ex->step;
		op->step = ex->left != 0 ? SAME_STORE : SAME_REPLY;
		if (ex->left == 0 && ex->how != 0)
			cmd_flush(cmd);
		return;
	case SAME_REPLY:
		(void)cmd_io_ok(cmd);
		break;
	default:
		bug("scsi_write_same: bad step");
	}
	cmd_end(cmd);
}

const struct op_type scsi_write_same_type = {
	.name = "scsi_write_same",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "LOCK", "STORE",
	    "NEXT", "REPLY" },
	.nsteps = 6,
	.run = scsi_write_same_run,
	.describe = scsi_op_describe,
};
