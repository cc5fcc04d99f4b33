/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UNMAP and GET LBA STATUS (SBC-3 5.28, 5.4).
 *
 * Unmapped blocks read as zeroes (LBPRZ), also where the space behind them is
 * only partly free: UNMAP is a zero request that may give space back.  The
 * whole list is checked before the first block changes.
 */
#include <errno.h>

#include "target/scsi/scsi_priv.h"

#define HEADER_LEN	8
#define DESC_LEN	16

struct unmap_desc {
	uint64_t lba;
	uint32_t blocks;
};

static struct unmap_desc
unmap_desc(struct scsi_cmd *cmd, unsigned i)
{
	struct wire_in in = cmd_out(cmd);
	struct unmap_desc desc;

	get_skip(&in, HEADER_LEN + (size_t)i * DESC_LEN);
	desc.lba = get_be64(&in);
	desc.blocks = get_be32(&in);
	assert(!in.bad);
	return desc;
}

/* Number of descriptors, or -1 with the command failed. */
static int
unmap_check(struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	struct wire_in in = cmd_out(cmd);
	uint64_t total = 0;
	unsigned len, n;

	assert(lu_can_unmap(lu) && cmd->c.len >= HEADER_LEN);
	get_skip(&in, 2);
	len = get_be16(&in);
	n = len / DESC_LEN;
	if (in.bad || len > cmd->c.len - HEADER_LEN) {
		cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
		return -1;
	}
	if (n > lu->limits.unmap_descs) {
		cmd_fail(cmd, sense_param_field(2));
		return -1;
	}
	for (unsigned i = 0; i < n; i++) {
		struct unmap_desc desc = unmap_desc(cmd, i);

		total += desc.blocks;
		if (!range_ok(desc.lba, desc.blocks, lu->nblocks)) {
			cmd_fail(cmd, SENSE_LBA_RANGE);
			return -1;
		}
		if (total > lu->limits.unmap_max) {
			cmd_fail(cmd, sense_param_field(HEADER_LEN +
			    i * DESC_LEN + 8));
			return -1;
		}
	}
	return (int)n;
}

enum unmap_step {
	UNMAP_ADMIT, UNMAP_COLLECT, UNMAP_CHECK, UNMAP_LOCK, UNMAP_STORE,
	UNMAP_NEXT, UNMAP_REPLY
};

static bool
unmap_list_ok(struct scsi_cmd *cmd)
{
	cmd->out_wanted = cmd->c.len;
	if (cmd->c.len == 0)		/* not an error, nothing to do */
		return false;
	if (cmd->c.len > PARAM_LEN_MAX)
		cmd_fail(cmd, sense_param_field(2));
	else if (cmd->c.len < HEADER_LEN || cmd->out_len < cmd->c.len)
		cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
	return cmd->status == SCSI_GOOD;
}

/* Skip empty descriptors; false when there are no more. */
static bool
unmap_next(struct scsi_cmd *cmd)
{
	struct scsi_extent *ex = &cmd->u.extent;

	for (; ex->left > 0; ex->left--, ex->off++)
		if (unmap_desc(cmd, (unsigned)ex->off).blocks > 0)
			return true;
	return false;
}

static void
unmap_lock(struct scsi_cmd *cmd)
{
	struct unmap_desc desc = unmap_desc(cmd, (unsigned)cmd->u.extent.off);

	assert(range_ok(desc.lba, desc.blocks, cmd->lu->nblocks));
	lba_lock(&cmd->lu->locks, &cmd->lock, desc.lba, desc.blocks, false,
	    &cmd->op);
}

static void
scsi_unmap_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);
	struct scsi_extent *ex = &cmd->u.extent;
	int n;

	switch ((enum unmap_step)op->step) {
	case UNMAP_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (!unmap_list_ok(cmd))
			break;
		buf_reserve(&cmd->out, cmd->nexus->bufs, PARAM_LEN_MAX, op);
		op->step = UNMAP_COLLECT;
		return;
	case UNMAP_COLLECT:
		if (cmd->aborted)
			break;
		cmd_collect(cmd, cmd->c.len);
		op->step = UNMAP_CHECK;
		return;
	case UNMAP_CHECK:
		if (!cmd_collected(cmd) || (n = unmap_check(cmd)) < 0)
			break;
		ex->left = (unsigned)n;
		ex->off = 0;
		op->step = UNMAP_LOCK;
		return;
	case UNMAP_LOCK:	/* again for each descriptor */
		if (cmd->aborted)
			break;
		op->step = UNMAP_REPLY;
		if (unmap_next(cmd)) {
			unmap_lock(cmd);
			op->step = UNMAP_STORE;
		} else {
			cmd_flush(cmd);
		}
		return;
	case UNMAP_STORE:
		if (cmd->aborted)
			break;
		assert(cmd->lock.queued && cmd->lock.granted);
		cmd_io(cmd, IO_ZERO, cmd->lock.lba, cmd->lock.end -
		    cmd->lock.lba, NULL, IO_UNMAP);
		op->step = UNMAP_NEXT;
		return;
	case UNMAP_NEXT:
		if (!cmd_io_ok(cmd))
			break;
		lba_unlock(&cmd->lu->locks, &cmd->lock);
		ex->left--;
		ex->off++;
		op->step = UNMAP_LOCK;
		return;
	case UNMAP_REPLY:
		(void)cmd_io_ok(cmd);
		break;
	default:
		bug("scsi_unmap: bad step");
	}
	cmd_end(cmd);
}

const struct op_type scsi_unmap_type = {
	.name = "scsi_unmap",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "CHECK", "LOCK",
	    "STORE", "NEXT", "REPLY" },
	.nsteps = 7,
	.run = scsi_unmap_run,
};

/*
 * --- GET LBA STATUS ---
 * One descriptor per run of blocks with the same status, as many as fit the
 * allocation length and STATUS_DESCS.  A blk that cannot tell has everything
 * mapped.
 */

#define STATUS_DESCS		64u
#define STATUS_MAPPED		0x00
#define STATUS_DEALLOCATED	0x01
#define STATUS_NONE		0xff

/* ex->off counts descriptors; ex->how is the status of the last one. */
static void
status_ask(struct scsi_cmd *cmd)
{
	struct scsi_extent *ex = &cmd->u.extent;

	assert(ex->lba < cmd->lu->nblocks && ex->off < STATUS_DESCS);
	ex->step = MIN(cmd->lu->nblocks - ex->lba, UINT32_MAX);
	cmd_io(cmd, IO_STATUS, ex->lba, ex->step, NULL, 0);
}

static void
status_put(struct scsi_cmd *cmd, unsigned status, uint64_t blocks)
{
	struct scsi_extent *ex = &cmd->u.extent;
	uint8_t *base = cmd->in.iov[0].iov_base;
	uint8_t *desc = base + HEADER_LEN + ex->off * DESC_LEN;
	struct wire_out out = wire_out(desc, DESC_LEN);

	if (ex->how == status && ex->off > 0) {	/* goes on */
		uint64_t lba, had;
		struct wire_in in = wire_in(desc - DESC_LEN, DESC_LEN);

		lba = get_be64(&in);
		had = get_be32(&in);
		if (had + blocks <= UINT32_MAX) {
			out = wire_out(desc - DESC_LEN, DESC_LEN);
			put_be64(&out, lba);
			put_be32(&out, (uint32_t)(had + blocks));
			return;
		}
	}
	put_be64(&out, ex->lba);
	put_be32(&out, (uint32_t)blocks);
	put_u8(&out, (uint8_t)status);
	put_zero(&out, 3);
	ex->how = status;
	ex->off++;
}

/* Record one answer; true if another question is due. */
static bool
status_note(struct scsi_cmd *cmd)
{
	struct scsi_extent *ex = &cmd->u.extent;
	uint64_t blocks = cmd->io.len >> cmd->lu->shift;
	bool mapped = true;

	if (cmd->io.result == -EOPNOTSUPP)
		blocks = ex->step;
	else if (!cmd_io_ok(cmd))
		return false;
	else
		mapped = cmd->io.flags & IO_MAPPED;
	assert(blocks > 0 && blocks <= ex->step);
	status_put(cmd, mapped ? STATUS_MAPPED : STATUS_DEALLOCATED, blocks);
	ex->lba += blocks;
	return ex->lba < cmd->lu->nblocks && ex->off < STATUS_DESCS &&
	    HEADER_LEN + ex->off * DESC_LEN < cmd->c.len;
}

static void
status_reply(struct scsi_cmd *cmd)
{
	struct wire_out out = cmd_in(cmd);
	size_t len = cmd->u.extent.off * DESC_LEN;

	assert(len > 0 && HEADER_LEN + len <= PARAM_LEN_MAX);
	put_be32(&out, (uint32_t)(len + 4));
	put_be32(&out, 0);
	out.p += len;			/* descriptors are there already */
	cmd_in_done(cmd, &out);
}

enum status_step { STATUS_ADMIT, STATUS_ASK, STATUS_NOTE };

static void
scsi_lba_status_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);
	struct scsi_extent *ex = &cmd->u.extent;

	switch ((enum status_step)op->step) {
	case STATUS_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (cmd->c.lba >= cmd->lu->nblocks) {
			cmd_fail(cmd, SENSE_LBA_RANGE);
			break;
		}
		ex->lba = cmd->c.lba;
		ex->off = 0;
		ex->how = STATUS_NONE;
		buf_reserve(&cmd->in, cmd->nexus->bufs, PARAM_LEN_MAX, op);
		op->step = STATUS_ASK;
		return;
	case STATUS_ASK:	/* again for each run of blocks */
		if (cmd->aborted)
			break;
		status_ask(cmd);
		op->step = STATUS_NOTE;
		return;
	case STATUS_NOTE:
		if (cmd->aborted)
			break;
		if (status_note(cmd)) {
			op->step = STATUS_ASK;
			return;
		}
		if (cmd->status == SCSI_GOOD)
			status_reply(cmd);
		break;
	default:
		bug("scsi_lba_status: bad step");
	}
	cmd_end(cmd);
}

const struct op_type scsi_lba_status_type = {
	.name = "scsi_lba_status",
	.steps = (const char *const[]){ "ADMIT", "ASK", "NOTE" },
	.nsteps = 3,
	.run = scsi_lba_status_run,
};
