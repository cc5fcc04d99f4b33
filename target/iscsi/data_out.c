/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Write data of one task: immediate data, unsolicited Data-Out, R2Ts.
 *
 * The SCSI layer opens a window: a buffer for a range of the data.  Bytes
 * arrive in order (DataPDUInOrder and DataSequenceInOrder are Yes), so one
 * counter, `got`, says how far we are.  What arrives without being asked for
 * fills the window first; the rest is asked for with R2Ts, several at a time.
 *
 * Invariants: a window is open exactly while win_op is held; got never passes
 * the end of the window while data is being put there; every outstanding R2T
 * lies inside the window; r2t_next is where the next R2T starts.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

_Static_assert((R2T_SLOTS & (R2T_SLOTS - 1)) == 0, "ring of R2Ts");

static struct r2t *
r2t_at(struct task *task, unsigned i)
{
	assert(i < R2T_SLOTS);
	return &task->r2t[(task->r2t_first + i) % R2T_SLOTS];
}

static void
r2t_issue(struct task *task)
{
	struct conn *conn = task->session->conn;
	const struct iscsi_params *params = &conn->params;

	assert(task->win != NULL && !conn->closing);
	assert(params->max_outstanding_r2t < R2T_SLOTS);
	while (task->r2t_next < task->win_end &&
	    task->r2t_count < params->max_outstanding_r2t) {
		struct r2t *r2t = r2t_at(task, task->r2t_count);

		if (r2t->tx.queued)
			return;		/* goes on in data_out_r2t_sent() */
		memset(r2t, 0, sizeof(*r2t));
		r2t->tx.kind = TX_R2T;
		r2t->task = task;
		r2t->off = task->r2t_next;
		r2t->len = MIN(task->win_end - task->r2t_next,
		    params->max_burst);
		r2t->sn = task->r2t_sn++;
		r2t->ttt = (uint32_t)(task->r2t_gen++ & 0x7fff) << 16 |
		    (uint32_t)(task - task->session->tasks);
		assert(range_ok(r2t->off, r2t->len, task->cmd.out_len));
		task->r2t_next += r2t->len;
		task->r2t_count++;
		op_hold(&task->op);
		tx_put(conn, &r2t->tx);
	}
}

void
data_out_r2t_sent(struct r2t *r2t)
{
	struct task *task = r2t->task;

	assert(!r2t->tx.queued && task->op.pending > 0);
	if (task->win != NULL && !task->unsol_open &&
	    !task->session->conn->closing)
		r2t_issue(task);
	op_unhold(&task->op);
}

void
data_out_window_end(struct task *task, int result)
{
	struct op *op = task->win_op;

	assert(task->win != NULL && op != NULL);
	/* Forget what was asked for and take back what was not sent yet. */
	for (; task->r2t_count > 0; task->r2t_count--) {
		struct r2t *r2t = r2t_at(task, 0);

		task->r2t_first = (task->r2t_first + 1) % R2T_SLOTS;
		if (r2t->tx.queued && tx_take_back(task->session->conn,
		    &r2t->tx))
			op_unhold(&task->op);
	}
	*task->win_result = result;
	task->win = NULL;
	task->win_op = NULL;
	op_unhold(op);
}

static void
window_ask(struct task *task)
{
	bool first = task->r2t_sn == 0;

	r2t_issue(task);
	if (first && task->r2t_sn > 0 && task->got > 0)
		scsi_cmd_arrived(&task->cmd, task->got);
}

/* Between PDUs: is the window full, or is it time to ask for more? */
static void
window_check(struct task *task)
{
	if (task->win == NULL || task->receiving)
		return;
	if (task->fault != FAULT_NONE)
		data_out_window_end(task, -EIO);
	else if (task->got == task->win_end)
		data_out_window_end(task, 0);
	else if (!task->unsol_open && task->imm == NULL)
		window_ask(task);
}

/* Bytes from `from`, which holds the data from 0 to len, into the window. */
static void
fill_window(struct task *task, const uint8_t *from, uint32_t len)
{
	uint32_t n = MIN(len - task->got, data_out_room(task));

	assert(task->got <= len);
	iov_from_buf(task->win->iov, task->win->niov,
	    task->got - task->win_off, from + task->got, n);
	data_out_advance(task, n);
}

/* The receiver may be holding data of this task. */
void
data_out_rx_wake(struct task *task)
{
	struct conn *conn = task->session->conn;

	if (conn->stream->rx.task == task)
		rx_wake(conn);
}

void
data_out_unpin(struct task *task)
{
	struct rx *rx = &task->session->conn->stream->rx;

	if (task->imm == NULL)
		return;
	assert(rx->pinned > 0);
	task->imm = NULL;
	if (--rx->pinned == 0)
		rx_wake(task->session->conn);
}

/* What has arrived before SCSI asked for it. */
static void
take_early(struct task *task)
{
	assert(task->imm == NULL || task->stash == NULL);
	if (task->imm != NULL) {
		fill_window(task, task->imm, task->imm_len);
		data_out_unpin(task);
	} else if (task->stash != NULL) {
		fill_window(task, task->stash, task->stash_got);
		stash_free(task);
	}
}

static void
collect(struct scsi_cmd *cmd, struct buf *buf, uint32_t off, uint32_t len,
    int *result, struct op *op)
{
	struct task *task = cmd->xfer_arg;
	struct conn *conn = task->session->conn;

	assert(!task->collected && len > 0 && len <= buf->len);
	assert(range_ok(off, len, cmd->out_len));
	if (cmd->aborted || conn->closing) {
		*result = -ECANCELED;
		return;
	}
	if (task->no_room || task->fault != FAULT_NONE || off != task->got) {
		*result = -EIO;
		return;
	}
	task->collected = true;
	task->win = buf;
	task->win_off = off;
	task->win_end = off + len;
	task->win_result = result;
	task->win_op = op;
	task->session->data_ns = loop_now(conn->server->loop);
	task->r2t_next = MAX(task->r2t_next, off);
	op_hold(op);
	take_early(task);
	/* Behind a logout nothing comes any more. */
	if (conn->stream->logout && task->got < task->win_end)
		data_out_window_end(task, -ECANCELED);
	else
		window_check(task);
	data_out_rx_wake(task);
}

static void
collect_abort(struct scsi_cmd *cmd)
{
	struct task *task = cmd->xfer_arg;
	struct rx *rx = &task->session->conn->stream->rx;

	data_out_unpin(task);
	stash_free(task);
	/* The kernel may be writing into the window: rx ends it then. */
	if (task->win != NULL && !(rx->in_flight && rx->task == task &&
	    rx->direct > 0))
		data_out_window_end(task, -ECANCELED);
	data_out_rx_wake(task);
}

const struct scsi_xfer_ops data_out_ops = {
	.collect = collect, .abort = collect_abort,
};

void
data_out_init(struct task *task, const struct pdu *pdu)
{
	const struct iscsi_params *params = &task->session->conn->params;

	assert(task->win == NULL && task->imm == NULL);
	assert(task->stash == NULL && !task->receiving);
	task->unsol_max = MIN(params->first_burst, task->edtl);
	task->unsol_got = pdu->data_len;
	/* F clear: unsolicited Data-Out follows (RFC 7143 11.3.1). */
	task->unsol_open = (pdu->flags & (CMD_W | PDU_F)) == CMD_W &&
	    task->unsol_got < task->unsol_max;
	if (!task->unsol_open)
		task->unsol_max = task->unsol_got;
	task->r2t_next = task->unsol_got;
}

uint32_t
data_out_room(const struct task *task)
{
	if (task->win == NULL || task->cmd.aborted)
		return 0;
	assert(task->got >= task->win_off && task->got <= task->win_end);
	return task->win_end - task->got;
}

void
data_out_advance(struct task *task, uint32_t n)
{
	assert(n <= data_out_room(task));
	task->got += n;
	task->session->data_ns = loop_now(task->session->conn->server->loop);
	task->session->write_bytes += n;
}

bool
data_out_stash(struct task *task)
{
	assert(task->win == NULL && task->stash == NULL);
	assert(task_takes_data(task));
	if (!stash_new(task)) {
		task->no_room = true;
		data_out_unpin(task);
		return false;
	}
	if (task->imm != NULL) {
		stash_add(task, task->imm, task->imm_len);
		data_out_unpin(task);
	}
	return true;
}

void
data_out_pin(struct task *task, const uint8_t *data, uint32_t len)
{
	assert(task->imm == NULL && len > 0);
	task->imm = data;
	task->imm_len = len;
	task->session->conn->stream->rx.pinned++;
}

/* --- Data-Out PDUs --- */

static enum data_out_verdict
check_solicited(struct task *task, const struct pdu *pdu)
{
	struct r2t *r2t = r2t_at(task, 0);

	if (task->r2t_count == 0 || r2t->ttt != pdu->ttt)
		return DATA_OUT_UNKNOWN;
	if (pdu->data_sn != r2t->data_sn ||
	    pdu->offset != r2t->off + r2t->got ||
	    pdu->data_len > r2t->len - r2t->got)
		return DATA_OUT_WRONG;
	/* RFC 7143 11.8: the sequence must be complete when F comes. */
	if ((pdu->flags & PDU_F) != 0 && pdu->data_len < r2t->len - r2t->got)
		return DATA_OUT_WRONG;
	return DATA_OUT_OK;
}

static enum data_out_verdict
check_unsolicited(const struct task *task, const struct pdu *pdu)
{
	if (!task->unsol_open)
		return DATA_OUT_UNKNOWN;
	if (pdu->data_sn != task->unsol_sn || pdu->offset != task->unsol_got ||
	    pdu->data_len > task->unsol_max - task->unsol_got)
		return DATA_OUT_WRONG;
	return DATA_OUT_OK;
}

enum data_out_verdict
data_out_check(struct session *session, const struct pdu *pdu,
    struct task **task)
{
	enum data_out_verdict verdict = DATA_OUT_UNKNOWN;
	struct task *t = task_find(session, pdu->itt);

	if (t != NULL)
		verdict = pdu->ttt == TAG_NONE ? check_unsolicited(t, pdu) :
		    check_solicited(t, pdu);
	else if (session_was_aborted(session, pdu->itt))
		verdict = DATA_OUT_ABORTED;
	/* An aborted task's window has gone, its data still comes. */
	if (verdict == DATA_OUT_UNKNOWN && t != NULL &&
	    (t->cmd.aborted || t->no_reply || t->fault != FAULT_NONE))
		verdict = DATA_OUT_ABORTED;
	if (verdict == DATA_OUT_WRONG)
		data_out_fail(t, pdu->ttt == TAG_NONE &&
		    pdu->data_len > t->unsol_max - t->unsol_got ?
		    FAULT_UNSOLICITED : FAULT_AMOUNT);
	*task = verdict == DATA_OUT_OK ? t : NULL;
	return verdict;
}

void
data_out_fail(struct task *task, enum data_fault fault)
{
	assert(fault != FAULT_NONE && !task->receiving);
	if (task->fault == FAULT_NONE)
		task->fault = (uint16_t)fault;
	task->unsol_open = false;	/* the rest is thrown away */
	data_out_unpin(task);
	stash_free(task);
	window_check(task);
	task_drained(task);
}

void
data_out_pdu_end(struct task *task, const struct pdu *pdu, bool ok)
{
	bool final = (pdu->flags & PDU_F) != 0;

	assert(task->receiving);
	task->receiving = false;
	if (!ok) {
		data_out_fail(task, FAULT_CRC);
		return;
	}
	if (pdu->opcode == OP_DATA_OUT && pdu->ttt == TAG_NONE) {
		task->unsol_sn++;
		task->unsol_got += pdu->data_len;
		if (final || task->unsol_got == task->unsol_max)
			task->unsol_open = false;
		task->r2t_next = MAX(task->r2t_next, task->unsol_got);
	} else if (pdu->opcode == OP_DATA_OUT && task->r2t_count > 0) {
		struct r2t *r2t = r2t_at(task, 0);

		r2t->got += pdu->data_len;
		r2t->data_sn++;
		assert(r2t->got <= r2t->len);
		if (r2t->got == r2t->len) {
			task->r2t_first = (task->r2t_first + 1) % R2T_SLOTS;
			task->r2t_count--;
		}
	}
	if (task->cmd.aborted && task->win != NULL)
		data_out_window_end(task, -ECANCELED);
	else
		window_check(task);
	task_drained(task);
}
