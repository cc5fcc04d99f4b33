/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SPC-2 RESERVE and RELEASE, which ESXi and old clusters still send.  CRH is
 * 1: for a persistent reservation holder they are no-ops that say GOOD
 * (SPC-4 5.13.3); while anybody else is registered they conflict.
 */
#include "target/scsi/scsi_priv.h"

/* A no-op because the nexus has what it wants by persistent reservation. */
static bool
has_access(const struct scsi_cmd *cmd)
{
	const struct pr_state *pr = &cmd->lu->pr;
	bool registrants = pr->type == PR_WRITE_EXCL_RO ||
	    pr->type == PR_EXCL_ACCESS_RO || pr_type_all(pr->type);

	return pr_is_holder(pr, cmd->nl->reg) ||
	    (registrants && cmd->nl->reg != NULL);
}

void
scsi_reserve(struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->lu;

	if (lu->pr.nregs > 0) {
		if (!has_access(cmd))
			cmd->status = SCSI_RESERVATION_CONFLICT;
		return;
	}
	assert(lu->spc2_holder == NULL || lu->spc2_holder == cmd->nl);
	assert(!cmd->nl->gone && lu->pr.type == PR_NONE);
	lu->spc2_holder = cmd->nl;
	lu_reservation_changed(lu);
}

/* Somebody else's reservation is left alone, without an error. */
void
scsi_release(struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->lu;

	if (lu->pr.nregs > 0) {
		if (!has_access(cmd))
			cmd->status = SCSI_RESERVATION_CONFLICT;
		return;
	}
	assert(lu->pr.type == PR_NONE);
	if (lu->spc2_holder == cmd->nl)
		lu_spc2_release(lu);
}
