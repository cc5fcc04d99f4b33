/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COMPARE AND WRITE and ORWRITE (SBC-3 5.2, 5.7): read, look, write, with the
 * range locked against every other change from before the read until after
 * the write.
 */
#include "target/scsi/scsi_priv.h"

/* First half of the data-out is compared, the second is written. */
static bool
caw_lengths_ok(struct scsi_cmd *cmd)
{
	uint64_t bytes = 2 * ((uint64_t)cmd->c.len << cmd->lu->shift);

	assert(cmd->c.len <= cmd->lu->limits.compare_max);
	assert(bytes <= BUF_LEN_MAX);
	cmd->out_wanted = (uint32_t)bytes;
	if (cmd->out_len != bytes)
		cmd_fail(cmd, sense_cdb_field(cmd->opcode->len.at, 0xff));
	return cmd->status == SCSI_GOOD && bytes != 0;
}

static bool
orwrite_lengths_ok(struct scsi_cmd *cmd)
{
	cmd->c.len = cmd_write_blocks(cmd);
	assert(cmd->c.len <= cmd->lu->limits.xfer_max);
	return cmd->c.len != 0;
}

enum compare_step {
	COMPARE_ADMIT, COMPARE_COLLECT, COMPARE_LOCK, COMPARE_READ,
	COMPARE_STORE, COMPARE_REPLY
};

/* One run function, two commands: `caw` says which. */
static void
compare_run(struct scsi_cmd *cmd, bool caw)
{
	struct op *op = &cmd->op;
	uint64_t half = (uint64_t)cmd->c.len << (cmd->lu != NULL ?
	    cmd->lu->shift : 0);

	switch ((enum compare_step)op->step) {
	case COMPARE_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (caw ? !caw_lengths_ok(cmd) : !orwrite_lengths_ok(cmd)) {
			cmd_end(cmd);
			return;
		}
		half = (uint64_t)cmd->c.len << cmd->lu->shift;
		buf_reserve(&cmd->out, cmd->nexus->bufs, caw ? 2 * half :
		    half, op);
		op->step = COMPARE_COLLECT;
		return;
	case COMPARE_COLLECT:
		if (cmd->aborted)
			break;
		cmd_collect(cmd, (uint32_t)cmd->out.len);
		op->step = COMPARE_LOCK;
		return;
	case COMPARE_LOCK:
		if (!cmd_collected(cmd))
			break;
		lba_lock(&cmd->lu->locks, &cmd->lock, cmd->c.lba, cmd->c.len,
		    true, op);
		op->step = COMPARE_READ;
		return;
	case COMPARE_READ:
		if (cmd->aborted)
			break;
		assert(cmd->lock.granted && cmd->lock.exclusive);
		cmd_read_back(cmd, caw ? EXTENT_COMPARE : EXTENT_MERGE);
		op->step = COMPARE_STORE;
		return;
	case COMPARE_STORE:
		if (cmd->aborted || cmd->status != SCSI_GOOD)
			break;
		assert(cmd->lock.granted && cmd->u.extent.left == 0);
		cmd_io_part(cmd, cmd->c.lba, cmd->c.len, caw ? half : 0,
		    cmd_fua(cmd));
		op->step = COMPARE_REPLY;
		return;
	case COMPARE_REPLY:
		(void)cmd_io_ok(cmd);
		break;
	default:
		bug("scsi_compare: bad step");
	}
	cmd_end(cmd);
}

static void
scsi_caw_run(struct op *op)
{
	compare_run(op_owner(op, struct scsi_cmd), true);
}

static void
scsi_orwrite_run(struct op *op)
{
	compare_run(op_owner(op, struct scsi_cmd), false);
}

static const char *const steps[] = {
	"ADMIT", "COLLECT", "LOCK", "READ", "STORE", "REPLY"
};

const struct op_type scsi_caw_type = {
	.name = "scsi_caw",
	.steps = steps,
	.nsteps = nitems(steps),
	.run = scsi_caw_run,
	.describe = scsi_op_describe,
};

const struct op_type scsi_orwrite_type = {
	.name = "scsi_orwrite",
	.steps = steps,
	.nsteps = nitems(steps),
	.run = scsi_orwrite_run,
	.describe = scsi_op_describe,
};
