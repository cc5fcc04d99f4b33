/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A SCSI command on its way through: execute, take in the data that is still
 * coming, answer.  Tasks come from the session's pool; there are enough for a
 * full CmdSN window, the immediate commands, and the answers of one send.
 *
 * Invariants: a task is fresh or on the free or the live list; its tag is in
 * the hash from start until its status is put into a send or it ends without
 * one; a task waiting to answer has no window and no pinned data.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

static struct task_hash *
bucket(struct session *session, uint32_t itt)
{
	return &session->hash[(itt ^ itt >> 8 ^ itt >> 16 ^ itt >> 24) %
	    HASH_SIZE];
}

struct task *
task_find(struct session *session, uint32_t itt)
{
	struct task *task;

	LIST_FOREACH(task, bucket(session, itt), hash) {
		assert(task->in_hash);
		if (task->itt == itt)
			return task;
	}
	return NULL;
}

static void
task_reset(struct task *task, const struct pdu *pdu)
{
	struct scsi_cmd *cmd = &task->cmd;

	task->itt = pdu->itt;
	task->edtl = pdu->edtl;
	task->flags = pdu->flags;
	task->immediate = pdu->immediate;
	task->no_reply = task->no_room = false;
	task->fault = FAULT_NONE;
	task->collected = false;
	task->receiving = task->draining = task->started = false;
	task->got = task->unsol_sn = 0;
	task->r2t_sn = task->r2t_count = 0;
	task->sent = task->in_sn = task->burst = 0;
	task->tx.kind = TX_TASK;
	op_queue_init(&task->enders);
	memcpy(cmd->lun, pdu->lun, sizeof(cmd->lun));
	cmd->nexus = task->session->nexus;
	cmd->xfer = &data_out_ops;
	cmd->xfer_arg = task;
	/* SAM-5 8.9: the codes of RFC 7143 11.3.1 are ours, above is unused. */
	cmd->attr = (pdu->flags & CMD_ATTR) <= SCSI_ATTR_ACA ?
	    (enum scsi_attr)(pdu->flags & CMD_ATTR) : SCSI_ATTR_SIMPLE;
	cmd->out_len = (pdu->flags & CMD_W) != 0 ? pdu->edtl : 0;
	cmd->in_len = (pdu->flags & CMD_R) != 0 ? pdu->edtl : 0;
	cmd->tag = pdu->itt;
	cmd->status = SCSI_GOOD;
	cmd->sense_len = 0;
	cmd->in.pool = NULL;
	cmd->in.len = 0;
	cmd->in.niov = 0;
	cmd->in_valid = cmd->in_wanted = cmd->out_wanted = 0;
	cmd->aborted = cmd->abort_notify = false;
	data_out_init(task, pdu);
}

/* From the free list, or one that was never used: few pages, and warm. */
static struct task *
pool_take(struct session *session)
{
	struct task *task = TAILQ_FIRST(&session->free);

	if (task != NULL) {
		TAILQ_REMOVE(&session->free, task, link);
		return task;
	}
	/* The window was granted with the pool in mind. */
	assert(session->nfresh < session->ntasks);
	task = &session->tasks[session->nfresh++];
	task->session = session;
	return task;
}

struct task *
task_get(struct session *session, const struct pdu *pdu)
{
	struct task *task;

	if (pdu->immediate && session->immediate == IMMEDIATE_MAX)
		return NULL;
	task = pool_take(session);
	assert(!task->in_hash && !task->tx.queued && !task->has_share);
	TAILQ_INSERT_TAIL(&session->live, task, link);
	session->nlive++;
	task_reset(task, pdu);
	LIST_INSERT_HEAD(bucket(session, pdu->itt), task, hash);
	task->in_hash = task->in_window = true;
	if (task->immediate)
		session->immediate++;
	else
		session->busy++;
	if ((pdu->flags & CMD_W) != 0)
		session->writes++;
	else if ((pdu->flags & CMD_R) != 0)
		session->reads++;
	return task;
}

void
task_retire(struct task *task)
{
	struct session *session = task->session;

	if (task->in_hash) {
		LIST_REMOVE(task, hash);
		task->in_hash = false;
	}
	if (!task->in_window)
		return;
	task->in_window = false;
	if (task->immediate) {
		assert(session->immediate > 0);
		session->immediate--;
	} else {
		assert(session->busy > 0);
		session->busy--;
	}
}

static bool
must_drain(const struct task *task)
{
	if (task->receiving)
		return true;	/* answering into the middle of a PDU */
	/* An aborted task's initiator may never send the rest. */
	return task->unsol_open && !task->no_reply && !task->cmd.aborted &&
	    !task->session->conn->closing;
}

bool
task_is_executing(const struct task *task)
{
	return task->started && !task->cmd.op.ended;
}

bool
task_takes_data(const struct task *task)
{
	if (task->cmd.aborted || task->no_reply || task->no_room)
		return false;
	if (task->collected)
		return task->win != NULL;
	return !task->started || !task->cmd.op.ended;
}

void
task_drained(struct task *task)
{
	if (!task->draining || must_drain(task))
		return;
	task->draining = false;
	op_unhold(&task->op);
}

void
task_abort(struct task *task)
{
	assert(!task->tx.queued || task->session->conn->closing);
	task->no_reply = true;
	share_cancel(task);
	if (task_is_executing(task))
		scsi_cmd_abort(&task->cmd);
	task_drained(task);
}

/* What the transport has to say about the command goes before SCSI's word. */
static void
override_status(struct task *task)
{
	struct scsi_cmd *cmd = &task->cmd;

	if (task->no_room && !cmd->aborted) {
		cmd->status = SCSI_TASK_SET_FULL;
		cmd->sense_len = 0;
		cmd->in_valid = cmd->in_wanted = cmd->out_wanted = 0;
	} else if (task->fault != FAULT_NONE) {
		cmd->status = SCSI_CHECK_CONDITION;
		cmd->sense_len = (uint16_t)sense_encode(SENSE(0x0b,
		    (uint8_t)(task->fault >> 8), (uint8_t)task->fault),
		    false, cmd->sense);
		cmd->in_valid = cmd->in_wanted = cmd->out_wanted = 0;
	}
	assert(cmd->in_valid <= cmd->in_len);
}

static void
task_answer(struct task *task)
{
	struct conn *conn = task->session->conn;
	const struct scsi_cmd *cmd = &task->cmd;

	assert(task->win == NULL && task->imm == NULL);
	assert(!task->tx.queued && !task->draining);
	if (cmd->aborted && !cmd->abort_notify)
		task->no_reply = true;
	if (task->no_reply || conn->closing)
		return;
	override_status(task);
	task->session->read_bytes += cmd->in_valid;
	op_hold(&task->op);
	tx_put(conn, &task->tx);
}

static void
task_end(struct task *task)
{
	struct session *session = task->session;
	struct conn *conn = session->conn;

	assert(task->win == NULL && !task->receiving && !task->tx.queued);
	assert(!task->started || task->cmd.op.ended);
	data_out_unpin(task);
	stash_free(task);
	if (task->no_reply || task->cmd.aborted || task->fault != FAULT_NONE)
		session_note_aborted(session, task->itt);
	task_retire(task);
	if (task->started)
		scsi_cmd_fini(&task->cmd);
	share_put(task);
	TAILQ_REMOVE(&session->live, task, link);
	TAILQ_INSERT_HEAD(&session->free, task, link);	/* warm first */
	session->nlive--;
	op_wake_all(&task->enders);
	control_logout_check(conn);
	op_end(&task->op);
}

enum task_step { TASK_EXECUTE, TASK_DRAIN, TASK_ANSWER, TASK_END };
static const char *const task_steps[] = {
	"EXECUTE", "DRAIN", "ANSWER", "END"
};

static void
task_run(struct op *op)
{
	struct task *task = op_owner(op, struct task);

	switch ((enum task_step)op->step) {
	case TASK_EXECUTE:
		if (!task->no_reply && !share_take(task))
			return;			/* the step comes again */
		if (!task->no_reply) {
			task->started = true;
			scsi_cmd_start(&task->cmd, op);
		}
		op->step = TASK_DRAIN;
		return;
	case TASK_DRAIN:
		data_out_unpin(task);
		stash_free(task);
		data_out_rx_wake(task);
		if (must_drain(task)) {
			task->draining = true;
			op_hold(op);
		}
		op->step = TASK_ANSWER;
		return;
	case TASK_ANSWER:
		task_answer(task);
		op->step = TASK_END;
		return;
	case TASK_END:
		task_end(task);
		return;
	}
	bug("task: bad step");
}

static void
task_describe(const struct op *op, char *text, size_t size)
{
	const struct task *task = op_owner(op, const struct task);

	snprintf(text, size, "conn %u itt %08x cdb %02x len %u",
	    task->session->conn->id, task->itt, task->cmd.cdb[0],
	    task->edtl);
}

static const struct op_type task_op_type = {
	.name = "task", .steps = task_steps, .nsteps = nitems(task_steps),
	.run = task_run, .describe = task_describe,
};

void
task_start(struct task *task)
{
	struct conn *conn = task->session->conn;

	assert(task->cmd.cdb_len >= 16 && !conn->closing);
	op_start(&task->op, &task_op_type, loop_sched(conn->server->loop),
	    &conn->op);
}
