/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VERIFY and WRITE AND VERIFY (SBC-3 5.29, 5.36): the medium is really read.
 * BYTCHK 0 reads, 1 compares with the data-out, 3 (VERIFY only) compares each
 * block with one block of data-out.
 */
#include "target/scsi/scsi_priv.h"

#define BYTCHK_DATA	1u
#define BYTCHK_RESERVED	2u
#define BYTCHK_ONE	3u
#define BYTCHK_BIT	2	/* highest bit of the field in byte 1 */

/* Bytes of data-out to collect; fails the command if they do not fit. */
static uint32_t
verify_out_len(struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;

	assert(range_ok(cmd->c.lba, cmd->c.len, lu->nblocks));
	switch (CDB_BYTCHK(cmd->c.flags)) {
	case BYTCHK_DATA:
		if (cmd->c.len > lu->limits.xfer_max) {
			cmd_fail(cmd, sense_cdb_field(cmd->opcode->len.at,
			    0xff));
			return 0;
		}
		cmd->c.len = cmd_write_blocks(cmd);
		return cmd->c.len << lu->shift;
	case BYTCHK_ONE:
		cmd->out_wanted = cmd->c.len != 0 ? lu->block : 0;
		if (cmd->out_len < cmd->out_wanted)
			cmd_fail(cmd, SENSE_INFO_UNIT);
		return cmd->out_wanted;
	case BYTCHK_RESERVED:
		cmd_fail(cmd, sense_cdb_field(1, BYTCHK_BIT));
		return 0;
	default:
		return 0;
	}
}

static enum extent_kind
verify_kind(const struct scsi_cmd *cmd)
{
	unsigned bytchk = CDB_BYTCHK(cmd->c.flags);

	assert(bytchk != BYTCHK_RESERVED);
	return bytchk == BYTCHK_DATA ? EXTENT_COMPARE :
	    bytchk == BYTCHK_ONE ? EXTENT_COMPARE_ONE : EXTENT_CHECK;
}

enum verify_step { VERIFY_ADMIT, VERIFY_COLLECT, VERIFY_READ, VERIFY_REPLY };

static void
scsi_verify_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);
	uint32_t len;

	switch ((enum verify_step)op->step) {
	case VERIFY_ADMIT:
		if (!cmd_admit(cmd))
			return;
		len = verify_out_len(cmd);
		if (cmd->status != SCSI_GOOD || cmd->c.len == 0)
			break;
		op->step = VERIFY_READ;
		if (len != 0) {
			buf_reserve(&cmd->out, cmd->nexus->bufs, len, op);
			op->step = VERIFY_COLLECT;
		}
		return;
	case VERIFY_COLLECT:
		if (cmd->aborted)
			break;
		assert(cmd->out.len == cmd->out_wanted ||
		    cmd->out.len == cmd->out_len);
		cmd_collect(cmd, (uint32_t)cmd->out.len);
		op->step = VERIFY_READ;
		return;
	case VERIFY_READ:
		if (cmd->collecting && !cmd_collected(cmd))
			break;
		cmd_read_back(cmd, verify_kind(cmd));
		op->step = VERIFY_REPLY;
		return;
	case VERIFY_REPLY:
		break;
	default:
		bug("scsi_verify: bad step");
	}
	cmd_end(cmd);
}

const struct op_type scsi_verify_type = {
	.name = "scsi_verify",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "READ", "REPLY" },
	.nsteps = 4,
	.run = scsi_verify_run,
	.describe = scsi_op_describe,
};

/*
 * WRITE AND VERIFY keeps others off the range, so that what is compared is
 * what it wrote.
 */
enum wv_step { WV_ADMIT, WV_COLLECT, WV_LOCK, WV_STORE, WV_VERIFY, WV_REPLY };

static bool
wv_admit(struct scsi_cmd *cmd)
{
	if (CDB_BYTCHK(cmd->c.flags) > BYTCHK_DATA) {
		cmd_fail(cmd, sense_cdb_field(1, BYTCHK_BIT));
		return false;
	}
	cmd->c.len = cmd_write_blocks(cmd);
	assert(cmd->c.len <= cmd->lu->limits.xfer_max);
	return cmd->c.len != 0;
}

static void
scsi_write_verify_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);

	switch ((enum wv_step)op->step) {
	case WV_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (!wv_admit(cmd))
			break;
		buf_reserve(&cmd->out, cmd->nexus->bufs,
		    (size_t)cmd->c.len << cmd->lu->shift, op);
		op->step = WV_COLLECT;
		return;
	case WV_COLLECT:
		if (cmd->aborted)
			break;
		cmd_collect(cmd, (uint32_t)cmd->out.len);
		op->step = WV_LOCK;
		return;
	case WV_LOCK:
		if (!cmd_collected(cmd))
			break;
		lba_lock(&cmd->lu->locks, &cmd->lock, cmd->c.lba, cmd->c.len,
		    true, op);
		op->step = WV_STORE;
		return;
	case WV_STORE:
		if (cmd->aborted)
			break;
		cmd_io(cmd, IO_WRITE, cmd->c.lba, cmd->c.len, &cmd->out,
		    IO_FUA);
		op->step = WV_VERIFY;
		return;
	case WV_VERIFY:
		if (!cmd_io_ok(cmd))
			break;
		assert(cmd->lock.granted && cmd->lock.exclusive);
		cmd_read_back(cmd, verify_kind(cmd));
		op->step = WV_REPLY;
		return;
	case WV_REPLY:
		break;
	default:
		bug("scsi_write_verify: bad step");
	}
	cmd_end(cmd);
}

const struct op_type scsi_write_verify_type = {
	.name = "scsi_write_verify",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "LOCK", "STORE",
	    "VERIFY", "REPLY" },
	.nsteps = 6,
	.run = scsi_write_verify_run,
	.describe = scsi_op_describe,
};
