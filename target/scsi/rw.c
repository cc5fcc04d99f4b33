/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * READ and WRITE (SBC-3 5.8-5.11, 5.31-5.34), the hot paths: one buffer, one
 * request to the blk, no copy.  Also SYNCHRONIZE CACHE and the names of
 * commands in listings.
 *
 * A transfer that the initiator announced shorter than the CDB asks is done
 * in whole blocks as far as the data goes; the transport reports the residual
 * (RFC 7143 11.4.5.1).
 *
 * The buffer of a READ is lent: if a disk keeps it for too long, the command
 * goes on with another one (core/grave.h).
 */
#include <stdio.h>

#include "core/grave.h"
#include "target/scsi/scsi_priv.h"

void
scsi_cmd_describe(const struct scsi_cmd *cmd, char *text, size_t size)
{
	const struct scsi_opcode *row = cmd->opcode;

	if (row != NULL && row->lba.size != 0)
		snprintf(text, size, "%s lba %llu+%u", row->name,
		    (unsigned long long)cmd->c.lba, cmd->c.len);
	else
		snprintf(text, size, "%s", row != NULL ? row->name : "?");
}

void
scsi_op_describe(const struct op *op, char *text, size_t size)
{
	scsi_cmd_describe(cmd_of(op), text, size);
}

/* --- READ --- */

/* A disk that is late may still read into the buffer: take another. */
static void
cmd_bury_in(struct scsi_cmd *cmd)
{
	struct grave *grave = cmd->io.grave;
	size_t len = cmd->in.len;

	if (!buf_exile(&grave->buf, &cmd->in))
		buf_reserve(&cmd->in, cmd->nexus->bufs, len, &cmd->op);
	grave_close(grave);
}

enum read_step { READ_ADMIT, READ_FETCH, READ_REPLY };

static void
scsi_read_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);
	uint32_t bytes;

	switch ((enum read_step)op->step) {
	case READ_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (cmd->c.len == 0) {
			cmd_end(cmd);
			return;
		}
		assert(cmd->c.len <= cmd->lu->limits.xfer_max);
		buf_reserve(&cmd->in, cmd->nexus->bufs,
		    (size_t)cmd->c.len << cmd->lu->shift, op);
		op->step = READ_FETCH;
		return;
	case READ_FETCH:
		if (cmd->aborted) {
			cmd_end(cmd);
			return;
		}
		cmd_io(cmd, IO_READ, cmd->c.lba, cmd->c.len, &cmd->in,
		    IO_LENT);
		op->step = READ_REPLY;
		return;
	case READ_REPLY:
		if (cmd->io.grave != NULL) {	/* once more, and elsewhere */
			cmd_bury_in(cmd);
			op->step = READ_FETCH;
			return;
		}
		bytes = cmd->c.len << cmd->lu->shift;
		assert(bytes == cmd->in.len);
		cmd->in_wanted = bytes;
		cmd->in_valid = MIN(bytes, cmd->in_len);
		(void)cmd_io_ok(cmd);
		cmd_end(cmd);
		return;
	}
	bug("scsi_read: bad step");
}

const struct op_type scsi_read_type = {
	.name = "scsi_read",
	.steps = (const char *const[]){ "ADMIT", "FETCH", "REPLY" },
	.nsteps = 3,
	.run = scsi_read_run,
	.describe = scsi_op_describe,
};

/* --- WRITE --- */

uint32_t
cmd_write_blocks(struct scsi_cmd *cmd)
{
	uint64_t wanted = (uint64_t)cmd->c.len << cmd->lu->shift;

	assert(wanted <= UINT32_MAX);
	cmd->out_wanted = (uint32_t)wanted;
	assert(cmd->opcode->flags & OPC_OUT);
	if (cmd->out_len >= wanted)
		return cmd->c.len;
	if ((cmd->out_len & (cmd->lu->block - 1)) != 0) {
		cmd_fail(cmd, SENSE_INFO_UNIT);
		return 0;
	}
	return cmd->out_len >> cmd->lu->shift;
}

enum write_step {
	WRITE_ADMIT, WRITE_COLLECT, WRITE_LOCK, WRITE_STORE, WRITE_REPLY
};

static void
scsi_write_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);

	switch ((enum write_step)op->step) {
	case WRITE_ADMIT:
		if (!cmd_admit(cmd))
			return;
		cmd->c.len = cmd_write_blocks(cmd);
		if (cmd->c.len == 0) {
			cmd_end(cmd);
			return;
		}
		buf_reserve(&cmd->out, cmd->nexus->bufs,
		    (size_t)cmd->c.len << cmd->lu->shift, op);
		op->step = WRITE_COLLECT;
		return;
	case WRITE_COLLECT:
		if (cmd->aborted) {
			cmd_end(cmd);
			return;
		}
		cmd_collect(cmd, cmd->c.len << cmd->lu->shift);
		/* Alone, and waiting for the network: so is the device. */
		if (op->pending > 0 && cmd->lu->ntasks == 1)
			blk_expect(cmd->lu->blk, cmd->c.lba << cmd->lu->shift,
			    cmd->out.len);
		op->step = WRITE_LOCK;
		return;
	case WRITE_LOCK:
		if (!cmd_collected(cmd)) {
			cmd_end(cmd);
			return;
		}
		lba_lock(&cmd->lu->locks, &cmd->lock, cmd->c.lba, cmd->c.len,
		    false, op);
		op->step = WRITE_STORE;
		return;
	case WRITE_STORE:
		if (cmd->aborted) {
			cmd_end(cmd);
			return;
		}
		assert(cmd->lock.queued && cmd->lock.granted);
		cmd_io(cmd, IO_WRITE, cmd->c.lba, cmd->c.len, &cmd->out,
		    cmd_fua(cmd) |
		    (cmd->lu->ncollecting > 0 ? IO_MORE : 0));
		op->step = WRITE_REPLY;
		return;
	case WRITE_REPLY:
		(void)cmd_io_ok(cmd);
		cmd_end(cmd);
		return;
	}
	bug("scsi_write: bad step");
}

const struct op_type scsi_write_type = {
	.name = "scsi_write",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "LOCK", "STORE",
	    "REPLY" },
	.nsteps = 5,
	.run = scsi_write_run,
	.describe = scsi_op_describe,
};

/*
 * --- SYNCHRONIZE CACHE (SBC-3 5.26) ---
 * The whole cache is flushed, whatever the range.  IMMED asks for status
 * before the work is done, which would hide a failure: we answer after it.
 */

enum sync_step { SYNC_ADMIT, SYNC_REPLY };

static void
scsi_sync_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);

	switch ((enum sync_step)op->step) {
	case SYNC_ADMIT:
		if (!cmd_admit(cmd))
			return;
		cmd_io(cmd, IO_FLUSH, 0, 0, NULL, 0);
		op->step = SYNC_REPLY;
		return;
	case SYNC_REPLY:
		(void)cmd_io_ok(cmd);
		cmd_end(cmd);
		return;
	}
	bug("scsi_sync: bad step");
}

const struct op_type scsi_sync_type = {
	.name = "scsi_sync",
	.steps = (const char *const[]){ "ADMIT", "REPLY" },
	.nsteps = 2,
	.run = scsi_sync_run,
	.describe = scsi_op_describe,
};
