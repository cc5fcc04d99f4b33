/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MAINTENANCE IN: REPORT SUPPORTED OPERATION CODES, REPORT SUPPORTED TASK
 * MANAGEMENT FUNCTIONS and REPORT TARGET PORT GROUPS (SPC-4 6.35-6.37).
 */
#include "target/scsi/scsi_priv.h"

/* --- REPORT SUPPORTED OPERATION CODES --- */

#define RSOC_RCTD	0x80u
#define TIMEOUT_LEN	12

static void
put_timeouts(struct wire_out *out, const struct scsi_opcode *row)
{
	assert(row->timeout_s > 0);
	put_be16(out, TIMEOUT_LEN - 2);
	put_zero(out, 2);
	put_be32(out, 1);			/* nominal, seconds */
	put_be32(out, row->timeout_s);
}

static void
put_all(struct wire_out *out, const struct scsi_lu *lu, bool timeouts)
{
	const struct scsi_opcode *row = NULL;
	size_t len;

	put_be32(out, 0);
	while ((row = scsi_opcode_next(row)) != NULL) {
		if (!scsi_opcode_supported(row, lu))
			continue;
		put_u8(out, row->opcode);
		put_u8(out, 0);
		put_be16(out, row->sa);
		put_u8(out, 0);
		put_u8(out, (uint8_t)((timeouts ? 2u : 0u) | row->has_sa));
		put_be16(out, row->cdb_len);
		if (timeouts)
			put_timeouts(out, row);
	}
	len = wire_used(out) - 4;
	assert(!out->bad && len <= UINT16_MAX);
	out->start[2] = (uint8_t)(len >> 8);
	out->start[3] = (uint8_t)len;
}

static void
put_one(struct wire_out *out, const struct scsi_lu *lu,
    const struct scsi_opcode *row, bool timeouts)
{
	bool supported = row != NULL && scsi_opcode_supported(row, lu);

	assert(row == NULL || row->usage[0] == row->opcode);
	put_u8(out, 0);
	put_u8(out, (uint8_t)((timeouts && supported ? 0x80u : 0u) |
	    (supported ? 3u : 1u)));
	put_be16(out, supported ? row->cdb_len : 0);
	if (!supported)
		return;
	put_bytes(out, row->usage, row->cdb_len);
	if (timeouts)
		put_timeouts(out, row);
}

/* The row asked for by opcode and service action, whichever exists. */
static const struct scsi_opcode *
find_row(uint8_t opcode, unsigned sa)
{
	uint8_t cdb[16] = { opcode };
	const struct scsi_opcode *row = NULL;

	if (sa > 0x1f)
		return NULL;
	while ((row = scsi_opcode_next(row)) != NULL)
		if (row->opcode == opcode && row->has_sa) {
			cdb[row->sa_byte] = (uint8_t)sa;
			break;
		}
	assert(cdb[0] == opcode);
	return scsi_opcode_find(cdb, sizeof(cdb));
}

void
scsi_report_opcodes(struct scsi_cmd *cmd)
{
	bool timeouts = cmd->cdb[2] & RSOC_RCTD, has_sa;
	unsigned option = cmd->cdb[2] & 7u, sa;
	struct wire_out out = cmd_in(cmd);
	uint8_t opcode = cmd->cdb[3];

	sa = (unsigned)cmd->cdb[4] << 8 | cmd->cdb[5];
	if (option == 0) {
		put_all(&out, cmd->lu, timeouts);
		cmd_in_done(cmd, &out);
		return;
	}
	if (!scsi_opcode_known(opcode, &has_sa))
		has_sa = option == 2;	/* not there: not an error */
	if (option > 3 || (option == 1 && has_sa) ||
	    (option == 2 && !has_sa)) {
		cmd_fail(cmd, sense_cdb_field(2, 2));
		return;
	}
	if (option == 3 && !has_sa && sa != 0)
		put_one(&out, cmd->lu, NULL, timeouts);
	else
		put_one(&out, cmd->lu, find_row(opcode, sa), timeouts);
	cmd_in_done(cmd, &out);
}

/* --- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS --- */

#define TMF_ATS		0x80u	/* ABORT TASK */
#define TMF_ATSS	0x40u	/* ABORT TASK SET */
#define TMF_CTSS	0x10u	/* CLEAR TASK SET */
#define TMF_LURS	0x08u	/* LOGICAL UNIT RESET */
#define TMF_QTSS	0x02u	/* byte 1: QUERY TASK SET */
#define TMF_ITNRS	0x01u	/* byte 1: I_T NEXUS RESET */

void
scsi_report_tmf(struct scsi_cmd *cmd)
{
	bool extended = cmd->cdb[2] & 0x80;
	struct wire_out out = cmd_in(cmd);

	put_u8(&out, TMF_ATS | TMF_ATSS | TMF_CTSS | TMF_LURS);
	put_u8(&out, TMF_QTSS | TMF_ITNRS);
	put_u8(&out, 0);
	put_u8(&out, extended ? 12 : 0);
	if (extended)
		put_zero(&out, 12);	/* no timeouts reported */
	cmd_in_done(cmd, &out);
}

/* --- REPORT TARGET PORT GROUPS --- */

/*
 * One group, active/optimized, that never changes.  Its ports are those with
 * a session on the LUN: others do not matter to whoever asks.
 */
static unsigned
put_ports(struct wire_out *out, const struct scsi_lu *lu)
{
	const struct nexus_lun *nl, *before;
	unsigned n = 0;

	LIST_FOREACH(nl, &lu->views, link) {
		uint16_t id = nl->nexus->port->relative_id;

		LIST_FOREACH(before, &lu->views, link)
			if (before == nl ||
			    before->nexus->port->relative_id == id)
				break;
		if (before != nl || n == 255)
			continue;
		put_be16(out, 0);
		put_be16(out, id);
		n++;
	}
	return n;
}

void
scsi_report_port_groups(struct scsi_cmd *cmd)
{
	bool extended = cmd->cdb[1] >> 5 == 1;
	struct wire_out out = cmd_in(cmd);
	uint8_t *group;
	size_t len;

	if (cmd->cdb[1] >> 5 > 1) {
		cmd_fail(cmd, sense_cdb_field(1, 7));
		return;
	}
	put_be32(&out, 0);
	if (extended)
		put_be32(&out, 0x10000000);	/* format 1, no transition */
	group = out.p;
	put_u8(&out, 0);		/* active/optimized */
	put_u8(&out, 0x01);		/* AO_SUP */
	put_be16(&out, 1);		/* the group of VPD page 83h */
	put_zero(&out, 4);
	group[7] = (uint8_t)put_ports(&out, cmd->lu);
	len = wire_used(&out) - 4;
	assert(!out.bad && len <= UINT16_MAX);
	out.start[2] = (uint8_t)(len >> 8);
	out.start[3] = (uint8_t)len;
	cmd_in_done(cmd, &out);
}
