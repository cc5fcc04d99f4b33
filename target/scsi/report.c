/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that report: TEST UNIT READY, REQUEST SENSE, REPORT LUNS, READ
 * CAPACITY.
 */
#include "target/scsi/scsi_priv.h"

/* cmd_admit() has said everything there is to say. */
void
scsi_test_unit_ready(struct scsi_cmd *cmd)
{
	assert(!cmd->lu->ejected);
}

/* Sense is parameter data here and the status is GOOD (SPC-4 6.39). */
void
scsi_request_sense(struct scsi_cmd *cmd)
{
	bool descriptor = cmd->cdb[1] & 1;
	struct wire_out out = cmd_in(cmd);
	uint8_t data[SCSI_SENSE_MAX];
	struct sense sense = cmd->lu == NULL ? SENSE_NO_LUN :
	    ua_take(cmd->nl);

	if (sense_ok(sense) && cmd->lu != NULL && cmd->lu->ejected)
		sense = SENSE_NO_MEDIUM;
	put_bytes(&out, data, sense_encode(sense, descriptor, data));
	cmd_in_done(cmd, &out);
}

#define SELECT_WELL_KNOWN	0x01
#define SELECT_ALL		0x02

/* Only LUN 0 and mapped LUNs answer; the data is the same on each. */
void
scsi_report_luns(struct scsi_cmd *cmd)
{
	struct scsi_nexus *nexus = cmd->nexus;
	struct wire_out out = cmd_in(cmd);
	uint8_t select = cmd->cdb[2], lun[8];
	unsigned n = select == SELECT_WELL_KNOWN ? 0 : nexus->nluns;

	if (cmd->lu == NULL && scsi_lun_decode(cmd->lun) != 0) {
		cmd_fail(cmd, SENSE_NO_LUN);
		return;
	}
	if (select > SELECT_ALL) {
		cmd_fail(cmd, sense_cdb_field(2, 0xff));
		return;
	}
	assert(n <= SCSI_LUNS_MAX && 8 + 8 * n <= PARAM_LEN_MAX);
	put_be32(&out, n * 8);
	put_zero(&out, 4);
	for (unsigned i = 0; i < n; i++) {
		scsi_lun_encode(nexus->luns[i]->lun, lun);
		put_bytes(&out, lun, sizeof(lun));
	}
	for (unsigned i = 0; i < nexus->nluns; i++)
		nexus->luns[i]->ua &= ~(1u << UA_LUNS_CHANGED);
	cmd_in_done(cmd, &out);
}

void
scsi_read_capacity10(struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	struct wire_out out = cmd_in(cmd);
	bool pmi = cmd->cdb[8] & 1;

	if (!pmi && cmd->c.lba != 0) {
		cmd_fail(cmd, sense_cdb_field(2, 0xff));
		return;
	}
	assert(lu->nblocks > 0);
	put_be32(&out, (uint32_t)MIN(lu->nblocks - 1, UINT32_MAX));
	put_be32(&out, lu->block);
	cmd->c.len = 8;		/* the CDB has no allocation length */
	cmd_in_done(cmd, &out);
}

void
scsi_read_capacity16(struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	struct wire_out out = cmd_in(cmd);
	bool pmi = cmd->cdb[14] & 1;

	if (!pmi && cmd->c.lba != 0) {
		cmd_fail(cmd, sense_cdb_field(2, 0xff));
		return;
	}
	assert(lu->nblocks > 0 && lu->limits.lbppbe < 16);
	put_be64(&out, lu->nblocks - 1);
	put_be32(&out, lu->block);
	put_u8(&out, 0);			/* no protection */
	put_u8(&out, lu->limits.lbppbe);
	put_be16(&out, lu_can_unmap(lu) ? 0xc000 : 0);	/* LBPME, LBPRZ */
	put_zero(&out, 16);
	cmd_in_done(cmd, &out);
}
