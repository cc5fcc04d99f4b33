/* SPDX-License-Identifier: BSD-2-Clause */
/* PERSISTENT RESERVE IN (SPC-4 6.15). */
#include "target/scsi/scsi_priv.h"

/* ADDITIONAL LENGTH, known when the rest has been written. */
static void
put_length(struct wire_out *out)
{
	size_t len = wire_used(out) - 8;

	assert(!out->bad && wire_used(out) >= 8);
	for (unsigned i = 0; i < 4; i++)
		out->start[7 - i] = (uint8_t)(len >> 8 * i);
}

void
scsi_pr_read_keys(struct scsi_cmd *cmd)
{
	const struct pr_state *pr = &cmd->lu->pr;
	struct wire_out out = cmd_in(cmd);
	const struct pr_reg *reg;

	put_be32(&out, pr->generation);
	put_be32(&out, 0);
	TAILQ_FOREACH(reg, &pr->regs, link)
		put_be64(&out, reg->key);
	put_length(&out);
	cmd_in_done(cmd, &out);
}

void
scsi_pr_read_reservation(struct scsi_cmd *cmd)
{
	const struct pr_state *pr = &cmd->lu->pr;
	struct wire_out out = cmd_in(cmd);

	put_be32(&out, pr->generation);
	put_be32(&out, 0);
	if (pr->type != PR_NONE) {
		assert(pr->holder != NULL || pr_type_all(pr->type));
		put_be64(&out, pr->holder != NULL ? pr->holder->key : 0);
		put_zero(&out, 5);
		put_u8(&out, (uint8_t)pr->type);	/* scope: LU */
		put_zero(&out, 2);
	}
	put_length(&out);
	cmd_in_done(cmd, &out);
}

void
scsi_pr_report_capabilities(struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	struct wire_out out = cmd_in(cmd);

	put_be16(&out, 8);
	/* CRH, SIP_C, ATP_C, PTPL_C */
	put_u8(&out, 0x1c | (lu->store.save != NULL));
	put_u8(&out, (uint8_t)(0x80u | lu->pr.aptpl));	/* TMV, PTPL_A */
	put_u8(&out, 0xea);		/* all types but the last */
	put_u8(&out, 0x01);
	put_zero(&out, 2);
	cmd_in_done(cmd, &out);
}

static void
put_full_status(struct wire_out *out, const struct pr_state *pr,
    const struct pr_reg *reg)
{
	bool holder = pr_is_holder(pr, reg);
	uint8_t *len;
	size_t before;

	assert(reg->key != 0 && reg->relative_id != 0);
	put_be64(out, reg->key);
	put_zero(out, 4);
	put_u8(out, (uint8_t)((reg->all_ports ? 2u : 0u) | holder));
	put_u8(out, holder ? (uint8_t)pr->type : 0);
	put_zero(out, 4);
	put_be16(out, reg->relative_id);
	len = put_room(out, 4);
	before = wire_used(out);
	transport_id_encode(out, reg->initiator, reg->isid);
	if (len == NULL)
		return;
	len[0] = len[1] = 0;
	len[2] = (uint8_t)((wire_used(out) - before) >> 8);
	len[3] = (uint8_t)(wire_used(out) - before);
}

void
scsi_pr_read_full_status(struct scsi_cmd *cmd)
{
	const struct pr_state *pr = &cmd->lu->pr;
	struct wire_out out = cmd_in(cmd);
	const struct pr_reg *reg;

	put_be32(&out, pr->generation);
	put_be32(&out, 0);
	TAILQ_FOREACH(reg, &pr->regs, link)
		put_full_status(&out, pr, reg);
	put_length(&out);
	cmd_in_done(cmd, &out);
}
