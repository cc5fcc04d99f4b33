/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task management functions (SAM-5 7): abort what is asked for, then wait
 * until it has really ended, so that no write lands after the answer.
 *
 * TAS is 1: a command that another nexus aborts ends with TASK ABORTED, so
 * its initiator need not run into a timeout, and there is no COMMANDS CLEARED
 * attention (SAM-5 5.7.3).
 */
#include "target/scsi/scsi_priv.h"

/* Abort the commands of `of` (NULL: of everybody) on behalf of `by`. */
static void
abort_commands(struct scsi_lu *lu, const struct scsi_nexus *of,
    const struct scsi_nexus *by)
{
	struct scsi_cmd *cmd;

	TAILQ_FOREACH(cmd, &lu->tasks, link) {
		if (of != NULL && cmd->nexus != of)
			continue;
		if (!cmd->aborted)
			cmd->abort_notify = cmd->nexus != by;
		scsi_cmd_abort(cmd);
	}
}

static bool
has_commands(const struct scsi_lu *lu, const struct scsi_nexus *of)
{
	const struct scsi_cmd *cmd;

	TAILQ_FOREACH(cmd, &lu->tasks, link)
		if (cmd->nexus == of)
			return true;
	return false;
}

static bool
has_aborted(const struct scsi_lu *lu)
{
	const struct scsi_cmd *cmd;

	TAILQ_FOREACH(cmd, &lu->tasks, link)
		if (cmd->aborted)
			return true;
	return false;
}

/* Logical unit reset (SAM-5 6.3.3): volatile state back to the defaults. */
static void
reset_lu(struct nexus_lun *by)
{
	struct scsi_lu *lu = by->lu;
	struct nexus_lun *nl;

	assert(!by->gone);
	abort_commands(lu, NULL, by->nexus);
	lu_spc2_release(lu);
	assert(lu->spc2_holder == NULL);
	lu->mode = (struct scsi_mode){ 0 };
	LIST_FOREACH(nl, &lu->views, link)
		nl->prevent = false;
	ua_raise_others(lu, NULL, UA_LU_RESET);	/* also to who asked */
}

static void
lose_nexus(struct nexus_lun *nl)
{
	assert(!nl->gone);
	abort_commands(nl->lu, nl->nexus, nl->nexus);
	if (nl->lu->spc2_holder == nl)
		lu_spc2_release(nl->lu);
	nl->prevent = false;
	ua_raise(nl, UA_NEXUS_LOSS);
}

/* Functions on one LUN. */
static void
act_on_lun(struct scsi_tmf_req *req)
{
	struct scsi_nexus *nexus = req->nexus;
	struct nexus_lun *nl = nexus_find(nexus, scsi_lun_decode(req->lun));

	if (nl == NULL) {
		req->result = SCSI_TMF_NO_LUN;
		return;
	}
	req->lu = nl->lu;
	switch (req->function) {
	case SCSI_ABORT_TASK_SET:
		abort_commands(nl->lu, nexus, nexus);
		return;
	case SCSI_CLEAR_TASK_SET:
		abort_commands(nl->lu, NULL, nexus);
		return;
	case SCSI_LU_RESET:
		reset_lu(nl);
		return;
	case SCSI_QUERY_TASK_SET:
		if (has_commands(nl->lu, nexus))
			req->result = SCSI_TMF_SUCCEEDED;
		req->lu = NULL;
		return;
	case SCSI_TARGET_RESET:
	case SCSI_I_T_NEXUS_RESET:
		break;
	}
	bug("tmf: function %d is not for one LUN", (int)req->function);
}

/* The next LU to wait for, or NULL. */
static struct scsi_lu *
next_lu(struct scsi_tmf_req *req)
{
	bool all = req->function == SCSI_TARGET_RESET ||
	    req->function == SCSI_I_T_NEXUS_RESET;

	assert(req->next <= SCSI_LUNS_MAX);
	if (!all || req->next >= req->nexus->nluns)
		return NULL;
	return req->nexus->luns[req->next++]->lu;
}

static void
act(struct scsi_tmf_req *req)
{
	struct scsi_nexus *nexus = req->nexus;

	if (req->function != SCSI_TARGET_RESET &&
	    req->function != SCSI_I_T_NEXUS_RESET) {
		act_on_lun(req);
		return;
	}
	for (unsigned i = 0; i < nexus->nluns; i++) {
		if (req->function == SCSI_TARGET_RESET)
			reset_lu(nexus->luns[i]);
		else
			lose_nexus(nexus->luns[i]);
	}
	req->lu = next_lu(req);
}

enum tmf_step { TMF_ACT, TMF_WAIT };

static void
tmf_run(struct op *op)
{
	struct scsi_tmf_req *req = op_owner(op, struct scsi_tmf_req);

	switch ((enum tmf_step)op->step) {
	case TMF_ACT:
		act(req);
		op->step = TMF_WAIT;
		return;
	case TMF_WAIT:		/* once more after each aborted command */
		if (req->lu != NULL && has_aborted(req->lu)) {
			op_wait(&req->lu->aborts, op);
			return;
		}
		req->lu = next_lu(req);
		if (req->lu == NULL)
			op_end(op);
		return;
	}
	bug("scsi_tmf: bad step");
}

static const struct op_type tmf_type = {
	.name = "scsi_tmf",
	.steps = (const char *const[]){ "ACT", "WAIT" },
	.nsteps = 2,
	.run = tmf_run,
};

void
scsi_tmf_start(struct scsi_tmf_req *req, struct op *parent)
{
	assert(req->function <= SCSI_QUERY_TASK_SET);
	req->result = SCSI_TMF_COMPLETE;
	req->next = 0;
	req->lu = NULL;
	op_start(&req->op, &tmf_type, loop_sched(req->nexus->loop), parent);
}
