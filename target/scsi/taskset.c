/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The task set of a logical unit (SAM-5 8.6): SIMPLE commands run at once
 * unless an older ORDERED or HEAD OF QUEUE command is there, an ORDERED one
 * runs when it is the oldest, a HEAD OF QUEUE one runs at once.
 *
 * Invariants: nbarriers counts the ORDERED and HEAD OF QUEUE commands, so a
 * set of SIMPLE ones costs one comparison; ndormant counts the commands whose
 * op is held here.
 */
#include "target/scsi/scsi_priv.h"

static bool
is_barrier(const struct scsi_cmd *cmd)
{
	return cmd->attr == SCSI_ATTR_ORDERED || cmd->attr == SCSI_ATTR_HEAD;
}

void
task_enter(struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->lu;

	assert(!cmd->nl->gone && cmd->nl->lu == lu);
	TAILQ_INSERT_TAIL(&lu->tasks, cmd, link);
	lu->ntasks++;
	lu->nbarriers += is_barrier(cmd);
	cmd->nl->commands++;
	cmd->nl->nexus->commands++;
}

static bool
may_run(const struct scsi_cmd *cmd)
{
	const struct scsi_cmd *older = cmd;

	assert(cmd->lu->nbarriers > 0 || cmd->dormant);
	if (cmd->attr == SCSI_ATTR_HEAD)
		return true;
	if (cmd->attr == SCSI_ATTR_ORDERED)
		return TAILQ_FIRST(&cmd->lu->tasks) == cmd;
	while ((older = TAILQ_PREV(older, scsi_task_set, link)) != NULL)
		if (is_barrier(older))
			return false;
	return true;
}

bool
task_enabled(struct scsi_cmd *cmd)
{
	assert(!cmd->dormant);
	if (cmd->lu->nbarriers == 0 || cmd->aborted || may_run(cmd))
		return true;
	cmd->dormant = true;
	cmd->lu->ndormant++;
	op_hold(&cmd->op);
	return false;
}

void
task_wake(struct scsi_cmd *cmd)
{
	if (!cmd->dormant)
		return;
	assert(cmd->lu->ndormant > 0);
	cmd->dormant = false;
	cmd->lu->ndormant--;
	op_unhold(&cmd->op);
}

void
task_leave(struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->lu;
	struct nexus_lun *nl = cmd->nl;

	assert(!cmd->dormant && lu->ntasks > 0 && nl->commands > 0);
	TAILQ_REMOVE(&lu->tasks, cmd, link);
	lu->ntasks--;
	assert(!is_barrier(cmd) || lu->nbarriers > 0);
	lu->nbarriers -= is_barrier(cmd);
	nl->nexus->commands--;
	if (--nl->commands == 0 && nl->gone)
		nexus_lun_free(nl);
	if (lu->ndormant > 0) {
		struct scsi_cmd *other;

		TAILQ_FOREACH(other, &lu->tasks, link)
			if (other->dormant && may_run(other))
				task_wake(other);
	}
	if (cmd->aborted)
		op_wake_all(&lu->aborts);
	assert(lu->ntasks > 0 || (lu->nbarriers == 0 && lu->ndormant == 0));
	if (lu->ntasks == 0)
		op_wake_all(&lu->drain);
}
