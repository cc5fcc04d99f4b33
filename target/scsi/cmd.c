/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a command: from the transport's scsi_cmd_start() through the
 * checks that every command has in common to cmd_end().  Also the op type of
 * the commands that only exchange parameter data.
 *
 * Order of the checks (SAM-5 5.2.3, SPC-4 4.5): LUN, opcode, unit attention,
 * reservation, CDB fields, medium, write protection, range, limits.
 */
#include <errno.h>
#include <string.h>

#include "target/scsi/scsi_priv.h"

/* Does a reservation of somebody else keep this command out? */
static bool
reservation_conflict(const struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	enum reserve_class class = cmd->opcode->reserve;

	assert(lu->reserved && !cmd->nl->gone);
	assert(lu->spc2_holder == NULL || lu->pr.nregs == 0);
	if (lu->spc2_holder != NULL) {
		if (class == RESV_PR)	/* SPC-2 5.5.1: from anybody */
			return true;
		return lu->spc2_holder != cmd->nl && class != RESV_ALWAYS &&
		    (class != RESV_PREVENT || (cmd->cdb[4] & 3) != 0);
	}
	switch (class) {
	case RESV_ALWAYS:
	case RESV_SPC2:
	case RESV_PR:
		return false;
	case RESV_START_STOP:
		if ((cmd->cdb[4] & 1) != 0)
			return false;
		class = RESV_WRITE;
		break;
	case RESV_PREVENT:
		if ((cmd->cdb[4] & 3) == 0)
			return false;
		class = RESV_WRITE;
		break;
	case RESV_READ:
	case RESV_WRITE:
		break;
	}
	return !pr_allows(&lu->pr, cmd->nl->reg, class);
}

/* What the LU's state and size have against a decoded command. */
static struct sense
check_medium(const struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	const struct scsi_opcode *row = cmd->opcode;

	assert(lu != NULL && cmd->nl->lu == lu);
	if ((row->flags & OPC_MEDIUM) && lu->ejected)
		return SENSE_NO_MEDIUM;
	if (row->flags & OPC_WRITE) {
		if (lu->params.read_only || cmd->nl->read_only ||
		    lu->blk->geo.read_only)
			return SENSE_WRITE_PROTECTED;
		if (lu->mode.swp)
			return SENSE_SOFT_PROTECTED;
	}
	if ((row->flags & OPC_RANGE) &&
	    !range_ok(cmd->c.lba, cmd->c.len, lu->nblocks))
		return SENSE_LBA_RANGE;
	if ((row->flags & OPC_XFER) && cmd->c.len > lu->limits.xfer_max)
		return sense_cdb_field(row->len.at, 0xff);
	return SENSE_NONE;
}

/*
 * All checks in their order.  `sense` is filled if one says no; a reservation
 * conflict is a status.  Through a pointer: this runs for each command and
 * the struct is too large to be copied about.
 */
static bool
check(struct scsi_cmd *cmd, struct sense *sense)
{
	const struct scsi_opcode *row = cmd->opcode;
	const struct scsi_lu *lu = cmd->lu;
	bool has_sa;

	assert((lu == NULL) == (cmd->nl == NULL));
	if (lu == NULL ? row == NULL || !(row->flags & OPC_NO_LU) :
	    cmd->nl->gone) {		/* gone: while it was dormant */
		*sense = SENSE_NO_LUN;
		return false;
	}
	if (lu != NULL && cmd->nl->ua != 0 &&
	    (row == NULL || !(row->flags & OPC_UA_OK))) {
		*sense = ua_take(cmd->nl);
		return false;
	}
	if (row == NULL || (lu != NULL && !scsi_opcode_supported(row, lu))) {
		*sense = scsi_opcode_known(cmd->cdb[0], &has_sa) && has_sa ?
		    SENSE_INVALID_FIELD : SENSE_INVALID_OPCODE;
		return false;
	}
	if (cmd->attr == SCSI_ATTR_ACA) {	/* NORMACA is 0 */
		*sense = SENSE(0x0b, 0x49, 0x00);
		return false;
	}
	if (lu != NULL && lu->reserved && reservation_conflict(cmd)) {
		cmd->status = SCSI_RESERVATION_CONFLICT;
		return false;
	}
	*sense = scsi_cdb_decode(row, cmd->cdb, cmd->cdb_len, &cmd->c);
	if (sense_ok(*sense) && lu != NULL)
		*sense = check_medium(cmd);
	return sense_ok(*sense);
}

bool
cmd_admit(struct scsi_cmd *cmd)
{
	struct sense sense;

	assert(cmd->status == SCSI_GOOD);
	if (cmd->lu != NULL && !task_enabled(cmd))
		return false;
	if (!cmd->aborted) {
		if (check(cmd, &sense))
			return true;
		if (cmd->status == SCSI_GOOD)
			cmd_fail(cmd, sense);
	}
	cmd_end(cmd);
	return false;
}

bool
cmd_d_sense(const struct scsi_cmd *cmd)
{
	return cmd->lu != NULL && cmd->lu->mode.d_sense;
}

void
cmd_fail(struct scsi_cmd *cmd, struct sense sense)
{
	assert(!sense_ok(sense));
	cmd->status = SCSI_CHECK_CONDITION;
	cmd->sense_len = (uint16_t)sense_encode(sense, cmd_d_sense(cmd),
	    cmd->sense);
	cmd->in_valid = cmd->in_wanted = 0;
	assert(cmd->sense_len > 0 && cmd->sense_len <= SCSI_SENSE_MAX);
}

/*
 * Hosts learn of a change by a unit attention after each login, and find out
 * what a unit can do by asking for what it has not: that is no error of ours.
 */
static bool
told_of_failure(const struct scsi_cmd *cmd)
{
	bool descriptor = (cmd->sense[0] & 0x7f) >= 0x72;

	if (cmd->status != SCSI_CHECK_CONDITION)
		return cmd->status == SCSI_TASK_ABORTED;
	switch (cmd->sense[descriptor ? 1 : 2] & 0x0f) {
	case 0x01:		/* RECOVERED ERROR */
	case 0x05:		/* ILLEGAL REQUEST */
	case 0x06:		/* UNIT ATTENTION */
	case 0x0e:		/* MISCOMPARE */
		return false;
	}
	return true;
}

static void
count(struct scsi_cmd *cmd)
{
	struct scsi_lu_stats *stats = &cmd->lu->stats;
	uint64_t ns = loop_now(cmd->lu->loop) - cmd->start_ns;
	const struct op_type *type = cmd->op.type;

	if (told_of_failure(cmd))
		stats->errors++;
	if (type == &scsi_read_type) {
		stats->reads++;
		stats->read_bytes += cmd->in_wanted;
		stats->read_ns += ns;
		stats->read_latency[latency_slot(ns, SCSI_LATENCIES)]++;
	} else if (type == &scsi_write_type) {
		stats->writes++;
		stats->write_bytes += MIN(cmd->out_len, cmd->out_wanted);
		stats->write_ns += ns;
		stats->write_latency[latency_slot(ns, SCSI_LATENCIES)]++;
	} else {
		stats->others++;
	}
}

void
cmd_end(struct scsi_cmd *cmd)
{
	assert(!cmd->collecting && !cmd->dormant && !cmd->op.ended);
	assert((cmd->status == SCSI_CHECK_CONDITION) == (cmd->sense_len > 0));
	buf_release(&cmd->out);
	if (cmd->aborted) {
		cmd->status = SCSI_TASK_ABORTED;
		cmd->sense_len = 0;
		cmd->in_valid = cmd->in_wanted = 0;
	}
	assert(cmd->in_valid <= cmd->in.len);
	assert(cmd->in_valid <= cmd->in_wanted);
	if (cmd->lu != NULL) {
		lba_unlock(&cmd->lu->locks, &cmd->lock);
		count(cmd);
		task_leave(cmd);
	} else {
		assert(cmd->nexus->commands > 0 && !cmd->lock.queued);
		cmd->nexus->commands--;
	}
	op_end(&cmd->op);
}

static void
buf_clear(struct buf *buf)
{
	buf->pool = NULL;
	buf->len = 0;
	buf->niov = 0;
	buf->waiter = NULL;
}

void
scsi_cmd_start(struct scsi_cmd *cmd, struct op *parent)
{
	struct scsi_nexus *nexus = cmd->nexus;

	assert(cmd->cdb_len > 0 && cmd->cdb_len <= SCSI_CDB_MAX);
	cmd->status = SCSI_GOOD;
	cmd->sense_len = 0;
	cmd->in_valid = cmd->in_wanted = cmd->out_wanted = 0;
	cmd->aborted = cmd->abort_notify = false;
	cmd->dormant = cmd->collecting = false;
	cmd->lock.queued = false;
	cmd->c = (struct scsi_cdb){ 0 };
	buf_clear(&cmd->in);
	buf_clear(&cmd->out);
	cmd->start_ns = loop_now(nexus->loop);
	cmd->opcode = scsi_opcode_find(cmd->cdb, cmd->cdb_len);
	cmd->nl = nexus_find(nexus, scsi_lun_decode(cmd->lun));
	if (cmd->nl != NULL) {
		cmd->lu = cmd->nl->lu;
		task_enter(cmd);
	} else {
		cmd->lu = NULL;
		nexus->commands++;
	}
	op_start(&cmd->op, cmd->opcode != NULL ? cmd->opcode->type :
	    &scsi_refused_type, loop_sched(nexus->loop), parent);
}

void
scsi_cmd_fini(struct scsi_cmd *cmd)
{
	assert(cmd->op.ended);
	buf_release(&cmd->in);
}

void
scsi_cmd_abort(struct scsi_cmd *cmd)
{
	if (cmd->aborted || cmd->op.ended)
		return;
	assert(cmd->opcode == NULL || cmd->op.type == cmd->opcode->type);
	cmd->aborted = true;
	if (cmd->dormant)
		task_wake(cmd);
	if (cmd->lock.queued && !cmd->lock.granted)
		lba_unlock(&cmd->lu->locks, &cmd->lock);
	if (cmd->xfer != NULL && cmd->xfer->abort != NULL)
		cmd->xfer->abort(cmd);
}

/* --- helpers for the steps of a command --- */

void
cmd_collect(struct scsi_cmd *cmd, uint32_t len)
{
	assert(!cmd->collecting && len > 0 && len <= cmd->out.len);
	assert(len <= cmd->out_len);
	cmd->collecting = true;
	cmd->lu->ncollecting++;
	cmd->result = 0;
	if (cmd->nl->gone) {		/* since it was admitted */
		cmd->abort_notify = true;
		cmd->result = -ECANCELED;
		return;
	}
	cmd->xfer->collect(cmd, &cmd->out, 0, len, &cmd->result, &cmd->op);
}

bool
cmd_collected(struct scsi_cmd *cmd)
{
	assert(cmd->collecting && cmd->lu->ncollecting > 0);
	cmd->collecting = false;
	cmd->lu->ncollecting--;
	if (cmd->aborted)
		return false;
	if (cmd->result == -ECANCELED) {	/* the session is gone */
		cmd->aborted = true;
		return false;
	}
	if (cmd->result != 0) {
		cmd_fail(cmd, SENSE_DATA_PHASE);
		return false;
	}
	return true;
}

unsigned
cmd_fua(const struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;

	return lu_durable(lu) || (cmd->c.flags & CDB_FUA) ? IO_FUA : 0;
}

void
cmd_io(struct scsi_cmd *cmd, enum io_kind kind, uint64_t lba, uint64_t blocks,
    const struct buf *buf, unsigned flags)
{
	struct scsi_lu *lu = cmd->lu;

	assert(!cmd->aborted && range_ok(lba, blocks, lu->nblocks));
	assert(cmd->status == SCSI_GOOD);
	assert(buf == NULL || buf->len == blocks << lu->shift);
	io_init(&cmd->io, kind, lba << lu->shift, blocks << lu->shift,
	    buf != NULL ? buf->iov : NULL, buf != NULL ? buf->niov : 0, flags);
	blk_submit(lu->blk, &cmd->io, &cmd->op);
}

/* The view lives in cmd->in.iov: a command with data-out has no data-in. */
void
cmd_io_part(struct scsi_cmd *cmd, uint64_t lba, uint64_t blocks, uint64_t off,
    unsigned flags)
{
	struct scsi_lu *lu = cmd->lu;
	unsigned n;

	assert(cmd->in.niov == 0 && !cmd->aborted);
	assert(range_ok(lba, blocks, lu->nblocks) && blocks > 0);
	assert(off + (blocks << lu->shift) <= cmd->out.len);
	n = iov_slice(cmd->in.iov, BUF_IOV_MAX, cmd->out.iov, cmd->out.niov,
	    off, blocks << lu->shift);
	io_init(&cmd->io, IO_WRITE, lba << lu->shift, blocks << lu->shift,
	    cmd->in.iov, n, flags);
	blk_submit(lu->blk, &cmd->io, &cmd->op);
}

void
cmd_flush(struct scsi_cmd *cmd)
{
	if (cmd->aborted)
		return;
	assert(cmd->status == SCSI_GOOD && cmd->lu != NULL);
	cmd->io.result = 0;
	if (lu_durable(cmd->lu))
		cmd_io(cmd, IO_FLUSH, 0, 0, NULL, 0);
}

bool
cmd_io_ok(struct scsi_cmd *cmd)
{
	if (cmd->aborted)
		return false;
	assert(cmd->io.result <= 0);
	if (cmd->io.result < 0) {
		cmd_fail(cmd, sense_from_errno(cmd->io.result, cmd->io.kind,
		    cmd->c.lba + (cmd->io.failed_at >> cmd->lu->shift)));
		return false;
	}
	return true;
}

struct wire_out
cmd_in(struct scsi_cmd *cmd)
{
	assert(cmd->in.niov == 1);
	return wire_out(cmd->in.iov[0].iov_base, cmd->in.iov[0].iov_len);
}

void
cmd_in_done(struct scsi_cmd *cmd, const struct wire_out *out)
{
	assert(!out->bad && out->start == cmd->in.iov[0].iov_base);
	cmd->in_wanted = MIN((uint32_t)wire_used(out), cmd->c.len);
	cmd->in_valid = MIN(cmd->in_wanted, cmd->in_len);
}

struct wire_in
cmd_out(struct scsi_cmd *cmd)
{
	if (cmd->out.niov == 0)
		return wire_in("", 0);
	assert(cmd->out.niov == 1 && cmd->c.len <= cmd->out.iov[0].iov_len);
	return wire_in(cmd->out.iov[0].iov_base, cmd->c.len);
}

/* --- commands that only exchange parameter data --- */

enum simple_step { SIMPLE_ADMIT, SIMPLE_COLLECT, SIMPLE_EXEC };

static void
simple_reserve(struct scsi_cmd *cmd)
{
	unsigned flags = cmd->opcode->flags;
	struct buf_pool *bufs = cmd->nexus->bufs;

	assert(((flags & OPC_IN) != 0) != ((flags & OPC_OUT) != 0));
	if (flags & OPC_OUT)
		buf_reserve(&cmd->out, bufs, PARAM_LEN_MAX, &cmd->op);
	else
		buf_reserve(&cmd->in, bufs, flags & OPC_LARGE ? BUF_LARGE :
		    PARAM_LEN_MAX, &cmd->op);
}

/* May the parameter list be collected?  It must be there and must fit. */
static bool
simple_list_ok(struct scsi_cmd *cmd)
{
	cmd->out_wanted = cmd->c.len;
	if (cmd->c.len > PARAM_LEN_MAX)
		cmd_fail(cmd, sense_cdb_field(cmd->opcode->len.at, 0xff));
	else if (cmd->out_len < cmd->c.len)
		cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
	return cmd->status == SCSI_GOOD;
}

static void
scsi_simple_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);

	switch ((enum simple_step)op->step) {
	case SIMPLE_ADMIT:
		if (!cmd_admit(cmd))
			return;
		op->step = SIMPLE_EXEC;
		if (cmd->opcode->flags & OPC_IN) {
			simple_reserve(cmd);
		} else if ((cmd->opcode->flags & OPC_OUT) && cmd->c.len > 0 &&
		    simple_list_ok(cmd)) {
			simple_reserve(cmd);
			op->step = SIMPLE_COLLECT;
		}
		return;
	case SIMPLE_COLLECT:
		cmd_collect(cmd, cmd->c.len);
		op->step = SIMPLE_EXEC;
		return;
	case SIMPLE_EXEC:
		assert(cmd->opcode->exec != NULL);
		if (!cmd->collecting || cmd_collected(cmd))
			if (!cmd->aborted && cmd->status == SCSI_GOOD)
				cmd->opcode->exec(cmd);
		cmd_end(cmd);
		return;
	}
	bug("scsi_simple: bad step");
}

const struct op_type scsi_simple_type = {
	.name = "scsi_simple",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "EXEC" },
	.nsteps = 3,
	.run = scsi_simple_run,
	.describe = scsi_op_describe,
};

/* No row in the table: cmd_admit() says why. */
static void
scsi_refused_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);

	if (cmd_admit(cmd))
		bug("scsi_refused: opcode %02x was admitted", cmd->cdb[0]);
}

const struct op_type scsi_refused_type = {
	.name = "scsi_refused",
	.steps = (const char *const[]){ "ADMIT" },
	.nsteps = 1,
	.run = scsi_refused_run,
};
