/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task management (RFC 7143 11.5, RFC 7144).  An answer is given when every
 * affected command has ended, so that nothing touches the medium after it; if
 * that takes too long (a stalled disk) the function is rejected, which is the
 * truth, and the connection lives on.
 *
 * Commands that came before are started before us and affected; the receiver
 * holds back those behind us until we have begun.
 *
 * Invariants: the op answers exactly once; a slot is free when both the op
 * and the SCSI part (`wait`) have ended.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

struct tmf {
	struct op op;		/* answers */
	struct op wait;		/* parent of req; ends when SCSI has done it */
	struct scsi_tmf_req req;
	struct session *session;
	struct ctl *ctl;
	struct pdu pdu;
	struct op_queue done;	/* op waits here for `wait` */
	struct op_queue *on;	/* the queue op waits on, NULL = none */
	struct timer timer;
	bool op_used, wait_used, timed_out;
	uint8_t response;
};

struct tmf *
tmf_pool_new(struct session *session)
{
	struct tmf *tmfs = calloc(TMF_MAX, sizeof(*tmfs));

	for (unsigned i = 0; tmfs != NULL && i < TMF_MAX; i++) {
		tmfs[i].session = session;
		op_queue_init(&tmfs[i].done);
	}
	return tmfs;
}

/* Commands behind us may start now: they are not affected. */
static void
begun(struct tmf *tmf)
{
	struct conn *conn = tmf->session->conn;

	assert(conn->stream->barrier);
	conn->stream->barrier = false;
	rx_wake(conn);
}

/* --- the SCSI part --- */

enum wait_step { WAIT_START, WAIT_DONE };
static const char *const wait_steps[] = { "START", "DONE" };

static void
wait_run(struct op *op)
{
	struct tmf *tmf = container_of(op, struct tmf, wait);

	switch ((enum wait_step)op->step) {
	case WAIT_START:
		scsi_tmf_start(&tmf->req, op);
		begun(tmf);
		op->step = WAIT_DONE;
		return;
	case WAIT_DONE:
		tmf->wait_used = false;
		op_wake_all(&tmf->done);
		op_end(op);
		return;
	}
	bug("tmf wait: bad step");
}

static const struct op_type wait_op_type = {
	.name = "tmf_wait", .steps = wait_steps, .nsteps = nitems(wait_steps),
	.run = wait_run,
};

static void
scsi_part(struct tmf *tmf, enum scsi_tmf function)
{
	struct conn *conn = tmf->session->conn;
	struct task *task;

	assert(!tmf->wait_used && conn->stream->barrier);
	/* SCSI does not know those that wait for their share of buffers. */
	TAILQ_FOREACH(task, &tmf->session->live, link)
		if (function != SCSI_QUERY_TASK_SET && task->is_hungry &&
		    (function >= SCSI_TARGET_RESET || memcmp(task->cmd.lun,
		    tmf->pdu.lun, sizeof(task->cmd.lun)) == 0))
			task_abort(task);
	tmf->req.nexus = tmf->session->nexus;
	tmf->req.function = function;
	memcpy(tmf->req.lun, tmf->pdu.lun, sizeof(tmf->req.lun));
	tmf->wait_used = true;
	op_start(&tmf->wait, &wait_op_type,
	    loop_sched(conn->server->loop), &conn->op);
}

/* --- single tasks --- */

/*
 * RFC 7143 11.6.1: a task that is finished does not exist.  Its status is on
 * the wire before our answer, so initiators cope; ESXi alone takes it for a
 * target gone mad and resets, so it is told that the abort is complete.
 */
static uint8_t
finished_task(const struct tmf *tmf)
{
	const struct session *session = tmf->session;
	uint32_t sn = tmf->pdu.ref_cmd_sn;

	if (session->abort_complete && sn_before(sn, session->exp_cmd_sn) &&
	    !sn_before(sn, session->exp_cmd_sn - 4 * session->depth))
		return TMF_COMPLETE;
	return TMF_NO_TASK;
}

/* Returns the queue to wait on, NULL if there is nothing to wait for. */
static struct op_queue *
abort_task(struct tmf *tmf)
{
	struct task *task = task_find(tmf->session, tmf->pdu.ref_tag);

	/* With its status on the queue, it goes out before us. */
	if (task == NULL || task->tx.queued) {
		tmf->response = finished_task(tmf);
		return NULL;
	}
	tmf->response = TMF_COMPLETE;
	task_abort(task);
	return &task->enders;
}

static uint8_t
query_task(const struct tmf *tmf)
{
	const struct task *task = task_find(tmf->session, tmf->pdu.ref_tag);

	if (task != NULL && !task->no_reply)
		return TMF_SUCCEEDED;
	return finished_task(tmf);
}

/* --- the op --- */

enum tmf_kind { KIND_TASK, KIND_SCSI, KIND_ANSWER };

struct tmf_def {
	enum tmf_kind kind;
	enum scsi_tmf scsi;
	uint8_t answer;		/* KIND_ANSWER */
	uint8_t level;		/* iSCSIProtocolLevel it needs */
};

static const struct tmf_def tmf_defs[] = {
	[0] = { KIND_ANSWER, 0, TMF_NOT_SUPPORTED, 0 },	/* unknown */
	[TMF_ABORT_TASK] = { KIND_TASK, 0, 0, 0 },
	[TMF_ABORT_TASK_SET] = { KIND_SCSI, SCSI_ABORT_TASK_SET, 0, 0 },
	[TMF_CLEAR_ACA] = { KIND_ANSWER, 0, TMF_NOT_SUPPORTED, 0 },
	[TMF_CLEAR_TASK_SET] = { KIND_SCSI, SCSI_CLEAR_TASK_SET, 0, 0 },
	[TMF_LUN_RESET] = { KIND_SCSI, SCSI_LU_RESET, 0, 0 },
	[TMF_WARM_RESET] = { KIND_SCSI, SCSI_TARGET_RESET, 0, 0 },
	/* Does not drop connections: a peer closes at most its own. */
	[TMF_COLD_RESET] = { KIND_SCSI, SCSI_TARGET_RESET, 0, 0 },
	[TMF_TASK_REASSIGN] = { KIND_ANSWER, 0, TMF_NO_REASSIGN, 0 },
	[TMF_QUERY_TASK] = { KIND_TASK, 0, 0, 2 },
	[TMF_QUERY_TASK_SET] = { KIND_SCSI, SCSI_QUERY_TASK_SET, 0, 2 },
	[TMF_I_T_NEXUS_RESET] = { KIND_SCSI, SCSI_I_T_NEXUS_RESET, 0, 2 },
	[TMF_QUERY_ASYNC_EVENT] = { KIND_ANSWER, 0, TMF_NOT_SUPPORTED, 2 },
};

static void
tmf_timeout(void *arg)
{
	struct tmf *tmf = arg;

	assert(tmf->on != NULL && tmf->op_used);
	if (tmf->op.pending == 0)
		return;		/* woken in this very turn */
	STAILQ_REMOVE(tmf->on, &tmf->op, op, queue);
	tmf->on = NULL;
	tmf->timed_out = true;
	op_unhold(&tmf->op);
}

static void
wait_on(struct tmf *tmf, struct op_queue *queue)
{
	assert(tmf->on == NULL && !tmf->timed_out);
	tmf->on = queue;
	op_wait(queue, &tmf->op);
	timer_start(tmf->session->conn->server->loop, &tmf->timer,
	    TMF_ANSWER_MS, tmf_timeout, tmf);
}

static void
tmf_do(struct tmf *tmf)
{
	uint8_t function = tmf->pdu.flags & 0x7f;
	struct op_queue *queue = NULL;
	const struct tmf_def *def;

	tmf->response = TMF_NOT_SUPPORTED;
	def = &tmf_defs[function < nitems(tmf_defs) ? function : 0];
	if (def->level > tmf->session->conn->params.protocol_level)
		def = &tmf_defs[0];
	if (def->kind != KIND_SCSI)
		begun(tmf);
	switch (def->kind) {
	case KIND_ANSWER:
		tmf->response = def->answer;
		return;
	case KIND_TASK:
		if (function == TMF_QUERY_TASK)
			tmf->response = query_task(tmf);
		else
			queue = abort_task(tmf);
		break;
	case KIND_SCSI:
		scsi_part(tmf, def->scsi);
		queue = &tmf->done;
		break;
	}
	if (queue != NULL)
		wait_on(tmf, queue);
}

static uint8_t
scsi_answer(const struct tmf *tmf)
{
	switch (tmf->req.result) {
	case SCSI_TMF_COMPLETE:
		return TMF_COMPLETE;
	case SCSI_TMF_SUCCEEDED:
		return TMF_SUCCEEDED;
	case SCSI_TMF_NOT_SUPPORTED:
		return TMF_NOT_SUPPORTED;
	case SCSI_TMF_NO_LUN:
		return TMF_NO_LUN;
	case SCSI_TMF_REJECTED:
		return TMF_REJECTED;
	}
	return TMF_REJECTED;
}

static void
tmf_answer(struct tmf *tmf)
{
	struct conn *conn = tmf->session->conn;

	assert(tmf->op_used && tmf->ctl != NULL && tmf->ctl->used);
	if (tmf->timed_out) {
		log_warn("conn=%u task management function %u takes too "
		    "long: rejected", conn->id, tmf->pdu.flags & 0x7fu);
		tmf->response = TMF_REJECTED;
	} else if (tmf->on == &tmf->done) {
		tmf->response = scsi_answer(tmf);
	}
	tmf->on = NULL;
	timer_stop(conn->server->loop, &tmf->timer);
	tmf->ctl->out.b2 = tmf->response;
	tmf->ctl->out.itt = tmf->pdu.itt;
	tmf->ctl->out.ttt = 0;
	ctl_send(conn, tmf->ctl);
	tmf->op_used = false;
}

enum tmf_step { TMF_DO, TMF_ANSWER };
static const char *const tmf_steps[] = { "DO", "ANSWER" };

static void
tmf_run(struct op *op)
{
	struct tmf *tmf = op_owner(op, struct tmf);

	switch ((enum tmf_step)op->step) {
	case TMF_DO:
		tmf_do(tmf);
		op->step = TMF_ANSWER;
		return;
	case TMF_ANSWER:
		tmf_answer(tmf);
		op_end(op);
		return;
	}
	bug("tmf: bad step");
}

static const struct op_type tmf_op_type = {
	.name = "tmf", .steps = tmf_steps, .nsteps = nitems(tmf_steps),
	.run = tmf_run,
};

bool
tmf_start(struct session *session, const struct pdu *pdu, struct ctl *ctl)
{
	struct conn *conn = session->conn;

	for (unsigned i = 0; i < TMF_MAX; i++) {
		struct tmf *tmf = &session->tmfs[i];

		if (tmf->op_used || tmf->wait_used)
			continue;
		assert(tmf->on == NULL && !timer_running(&tmf->timer));
		tmf->op_used = true;
		tmf->timed_out = false;
		tmf->pdu = *pdu;
		tmf->ctl = ctl;
		conn->stream->barrier = true;
		op_start(&tmf->op, &tmf_op_type,
		    loop_sched(conn->server->loop), &conn->op);
		return true;
	}
	return false;
}
