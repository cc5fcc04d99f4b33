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

/*
 * --- the first part of a write ---
 * While the initiator is asked for the rest of a long write, what has come
 * with the command is stored, as far as that makes no extra work below.  It
 * waits a turn so that the request for the rest is sent first.
 */

static void
early_store(struct scsi_early *e)
{
	struct scsi_cmd *cmd = e->cmd;
	struct scsi_lu *lu = cmd->lu;
	uint64_t off = cmd->c.lba << lu->shift;
	unsigned n;

	if (cmd->aborted || !cmd->collecting || lu->ntasks > 1 ||
	    lu->locks.nexclusive > 0)
		return;
	e->len = (uint32_t)blk_cut(lu->blk, off, e->arrived);
	if (e->len == 0)
		return;
	assert(e->len < cmd->out.len && e->len % lu->block == 0);
	n = iov_slice(e->iov, SCSI_EARLY_PIECES, cmd->out.iov, cmd->out.niov,
	    0, e->len);
	lba_lock(&lu->locks, &e->lock, cmd->c.lba, e->len >> lu->shift, false,
	    &e->op);
	assert(e->lock.granted);
	io_init(&e->io, IO_WRITE, off, e->len, e->iov, n, cmd_fua(cmd));
	blk_submit(lu->blk, &e->io, &e->op);
}

static void
early_end(struct scsi_early *e)
{
	lba_unlock(&e->cmd->lu->locks, &e->lock);
	e->busy = false;
	op_end(&e->op);
	if (e->awaited)
		op_unhold(&e->cmd->op);
}

enum early_step { EARLY_YIELD, EARLY_STORE, EARLY_END };

static void
scsi_early_run(struct op *op)
{
	struct scsi_early *e = op_owner(op, struct scsi_early);

	switch ((enum early_step)op->step) {
	case EARLY_YIELD:
		op_sleep(e->cmd->lu->loop, &e->timer, 0, op);
		op->step = EARLY_STORE;
		return;
	case EARLY_STORE:
		early_store(e);
		op->step = EARLY_END;
		return;
	case EARLY_END:
		early_end(e);
		return;
	}
	bug("scsi_early: bad step");
}

static const struct op_type scsi_early_type = {
	.name = "scsi_early",
	.steps = (const char *const[]){ "YIELD", "STORE", "END" },
	.nsteps = 3,
	.run = scsi_early_run,
};

void
scsi_cmd_arrived(struct scsi_cmd *cmd, uint32_t len)
{
	struct scsi_early *e = &cmd->u.early;

	assert(cmd->collecting && len <= cmd->out.len);
	if (cmd->op.type != &scsi_write_type || len < cmd->lu->block ||
	    cmd->lu->ntasks > 1)
		return;
	assert(!e->busy && e->len == 0);
	e->cmd = cmd;
	e->arrived = (uint32_t)MIN(len - len % cmd->lu->block,
	    SCSI_EARLY_PIECES * BUF_LARGE);
	e->timer.slot = 0;
	e->lock.queued = false;
	e->busy = true;
	op_start(&e->op, &scsi_early_type, cmd->op.sched, NULL);
}

/* --- WRITE --- */

static void
write_collect(struct scsi_cmd *cmd)
{
	struct scsi_early *e = &cmd->u.early;

	e->len = 0;
	e->busy = e->awaited = false;
	cmd_collect(cmd, cmd->c.len << cmd->lu->shift);
	/* Alone, and waiting for the network: so is the device. */
	if (cmd->op.pending > 0 && cmd->lu->ntasks == 1)
		blk_expect(cmd->lu->blk, cmd->c.lba << cmd->lu->shift,
		    cmd->out.len);
}

/* All of it, or what has not been stored yet. */
static void
write_store(struct scsi_cmd *cmd)
{
	uint32_t done = cmd->u.early.len >> cmd->lu->shift;
	unsigned flags = cmd_fua(cmd) |
	    (cmd->lu->ncollecting > 0 ? IO_MORE : 0);

	assert(cmd->lock.queued && cmd->lock.granted);
	assert(done < cmd->c.len);
	if (done > 0)
		cmd_io_part(cmd, cmd->c.lba + done, cmd->c.len - done,
		    cmd->u.early.len, flags);
	else
		cmd_io(cmd, IO_WRITE, cmd->c.lba, cmd->c.len, &cmd->out,
		    flags);
}

/* Is the first part stored?  If not, the step comes again. */
static bool
write_whole(struct scsi_cmd *cmd)
{
	struct scsi_early *e = &cmd->u.early;

	if (e->busy) {
		e->awaited = true;
		op_hold(&cmd->op);
		return false;
	}
	if (e->len > 0 && e->io.result < 0 && !cmd->aborted &&
	    cmd->status == SCSI_GOOD)
		cmd_fail(cmd, sense_from_errno(e->io.result, IO_WRITE,
		    cmd->c.lba));
	return true;
}

/*
 * The unit became durable when part of the write was under way: the flush
 * that belongs to the change may have been before its end.
 */
static bool
write_flushes(const struct scsi_cmd *cmd)
{
	const struct scsi_early *e = &cmd->u.early;

	if (cmd->aborted || cmd->status != SCSI_GOOD || !lu_durable(cmd->lu))
		return false;
	return (cmd->io.flags & IO_FUA) == 0 ||
	    (e->len > 0 && (e->io.flags & IO_FUA) == 0);
}

enum write_step {
	WRITE_ADMIT, WRITE_COLLECT, WRITE_LOCK, WRITE_STORE, WRITE_REPLY,
	WRITE_END, WRITE_FLUSHED
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
		write_collect(cmd);
		op->step = WRITE_LOCK;
		return;
	case WRITE_LOCK:
		if (!cmd_collected(cmd)) {
			op->step = WRITE_END;
			return;
		}
		lba_lock(&cmd->lu->locks, &cmd->lock, cmd->c.lba, cmd->c.len,
		    false, op);
		op->step = WRITE_STORE;
		return;
	case WRITE_STORE:
		op->step = cmd->aborted ? WRITE_END : WRITE_REPLY;
		if (!cmd->aborted)
			write_store(cmd);
		return;
	case WRITE_REPLY:
		(void)cmd_io_ok(cmd);
		op->step = WRITE_END;
		return;
	case WRITE_END:
		if (!write_whole(cmd))
			return;
		if (write_flushes(cmd)) {
			cmd_flush(cmd);
			op->step = WRITE_FLUSHED;
			return;
		}
		cmd_end(cmd);
		return;
	case WRITE_FLUSHED:
		(void)cmd_io_ok(cmd);
		cmd_end(cmd);
		return;
	}
	bug("scsi_write: bad step");
}

const struct op_type scsi_write_type = {
	.name = "scsi_write",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "LOCK", "STORE",
	    "REPLY", "END", "FLUSHED" },
	.nsteps = 7,
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
