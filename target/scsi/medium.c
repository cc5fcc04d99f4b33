/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL and the commands that a disk
 * must know but that move nothing here: SEND DIAGNOSTIC, PRE-FETCH, READ
 * DEFECT DATA.
 *
 * A LUN is shared, so START=0 flushes and stops nothing.  Only a removable
 * medium can be ejected, unless some nexus prevents it.
 */
#include "target/scsi/scsi_priv.h"

#define SSU_START	0x01u
#define SSU_LOEJ	0x02u
#define SSU_NO_FLUSH	0x04u
#define SSU_POWER(cdb4)	((cdb4) >> 4)

static bool
removal_prevented(const struct scsi_lu *lu)
{
	const struct nexus_lun *nl;

	assert(lu->params.removable);
	LIST_FOREACH(nl, &lu->views, link)
		if (nl->prevent)
			return true;
	return false;
}

static void
load_eject(struct scsi_cmd *cmd, bool load)
{
	struct scsi_lu *lu = cmd->lu;

	if (!lu->params.removable) {
		cmd_fail(cmd, sense_cdb_field(4, 1));
		return;
	}
	if (removal_prevented(lu)) {
		cmd_fail(cmd, SENSE(0x05, 0x53, 0x02));
		return;
	}
	if (load && lu->ejected)
		ua_raise_others(lu, cmd->nl, UA_MEDIUM_CHANGED);
	assert(!removal_prevented(lu));
	lu->ejected = !load;
}

enum ssu_step { SSU_ADMIT, SSU_FLUSHED };

static void
scsi_start_stop_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);
	uint8_t how = cmd->cdb[4];

	switch ((enum ssu_step)op->step) {
	case SSU_ADMIT:
		if (!cmd_admit(cmd))
			return;
		cmd->io.result = 0;
		op->step = SSU_FLUSHED;
		if (!(how & (SSU_START | SSU_NO_FLUSH)) && !cmd->lu->ejected)
			cmd_io(cmd, IO_FLUSH, 0, 0, NULL, 0);
		return;
	case SSU_FLUSHED:	/* a power condition takes no LOEJ */
		if (cmd_io_ok(cmd) && SSU_POWER(how) == 0 &&
		    (how & SSU_LOEJ))
			load_eject(cmd, how & SSU_START);
		cmd_end(cmd);
		return;
	}
	bug("scsi_start_stop: bad step");
}

const struct op_type scsi_start_stop_type = {
	.name = "scsi_start_stop",
	.steps = (const char *const[]){ "ADMIT", "FLUSHED" },
	.nsteps = 2,
	.run = scsi_start_stop_run,
	.describe = scsi_op_describe,
};

void
scsi_prevent_allow(struct scsi_cmd *cmd)
{
	assert(cmd->lu->params.removable);
	cmd->nl->prevent = cmd->cdb[4] & 1;
}

/* The default self-test: the daemon runs, so it passes (SPC-4 6.42). */
void
scsi_send_diagnostic(struct scsi_cmd *cmd)
{
	assert(cmd->c.len == 0);	/* no parameter list is defined */
}

/* GOOD: there is no cache to hold what was asked for (SBC-3 5.8). */
void
scsi_pre_fetch(struct scsi_cmd *cmd)
{
	assert(range_ok(cmd->c.lba, cmd->c.len, cmd->lu->nblocks));
}

/* Empty lists: defects are the business of the members below. */
void
scsi_read_defect_data(struct scsi_cmd *cmd)
{
	bool ten = cmd->opcode->cdb_len == 10;
	struct wire_out out = cmd_in(cmd);

	assert(ten || cmd->opcode->cdb_len == 12);
	put_u8(&out, 0);
	put_u8(&out, cmd->cdb[ten ? 2 : 1] & 0x1f);
	put_zero(&out, ten ? 2 : 6);
	cmd_in_done(cmd, &out);
}

/* LOG SENSE: only the list of pages, which is that page itself. */
void
scsi_log_sense(struct scsi_cmd *cmd)
{
	struct wire_out out = cmd_in(cmd);
	uint8_t page = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];

	if (page != 0 || (subpage != 0 && subpage != 0xff)) {
		cmd_fail(cmd, sense_cdb_field(page != 0 ? 2 : 3, 0xff));
		return;
	}
	if (subpage == 0) {
		put_bytes(&out, "\x00\x00\x00\x01\x00", 5);
	} else {			/* SPF, page and subpage pairs */
		put_bytes(&out, "\x40\xff\x00\x04\x00\x00\x00\xff", 8);
	}
	cmd_in_done(cmd, &out);
}
