/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transmit: a queue of answers, gathered into one send at a time.
 *
 * While a send is in flight answers pile up; the next send takes as many as
 * fit.  Headers, padding and digests are written into a small arena, payload
 * goes straight from the task's buffer.  A long Data-In is cut into PDUs here,
 * as room allows, so that a task needs one queue entry however long it is.
 *
 * Invariants: StatSN is given out in the order of sending; memory that a send
 * refers to stays until it has ended; an entry is on the queue, or on the
 * list of the send in flight, or free.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

#define PDU_ARENA_MAX (BHS_LEN + 2 * DIGEST_LEN + 8u)	/* one PDU's share */
#define PDU_IOV_MAX 8u

static bool
tx_has_room(const struct tx *tx)
{
	return tx->niov + PDU_IOV_MAX <= TX_IOV &&
	    tx->used + PDU_ARENA_MAX <= TX_ARENA &&
	    tx->bytes < TX_BYTES_MAX && tx->tasks < TX_TASKS;
}

static void
tx_add(struct tx *tx, void *base, size_t len)
{
	struct iovec *last = tx->niov > 0 ? &tx->iov[tx->niov - 1] : NULL;

	if (len == 0)
		return;
	tx->bytes += len;
	if (last != NULL && (char *)last->iov_base + last->iov_len == base) {
		last->iov_len += len;	/* headers of small answers */
		return;
	}
	assert(tx->niov < TX_IOV);
	tx->iov[tx->niov].iov_base = base;
	tx->iov[tx->niov++].iov_len = len;
}

static uint8_t *
tx_arena(struct tx *tx, size_t len)
{
	uint8_t *p = tx->arena + tx->used;

	assert(tx->used + len <= TX_ARENA);
	tx->used += len;
	tx_add(tx, p, len);
	return p;
}

/* Sequence numbers, header and header digest of one PDU. */
static void
put_header(struct conn *conn, struct pdu_out *out, enum sn_use sn)
{
	struct tx *tx = &conn->stream->tx;
	uint8_t *p = tx_arena(tx, BHS_LEN);

	assert(conn->session != NULL && !conn->closing);
	out->stat_sn = sn == SN_NONE ? 0 : conn->stat_sn;
	if (sn == SN_TAKE)
		conn->stat_sn++;
	out->exp_cmd_sn = conn->session->exp_cmd_sn;
	out->max_cmd_sn = session_max_cmd_sn(conn->session);
	pdu_encode(out, p);
	if (conn->params.header_digest) {
		uint32_t crc = digest_add(DIGEST_INIT, p, BHS_LEN);

		digest_finish(crc, tx_arena(tx, DIGEST_LEN));
	}
}

static void
put_segment(struct conn *conn, const struct iovec *iov, unsigned niov,
    uint32_t len)
{
	struct tx *tx = &conn->stream->tx;
	uint32_t crc = DIGEST_INIT, pad = pdu_pad(len);
	uint8_t *p;

	assert(iov_len(iov, niov) == len);
	if (len == 0)
		return;
	for (unsigned i = 0; i < niov; i++)
		tx_add(tx, iov[i].iov_base, iov[i].iov_len);
	if (pad > 0) {
		p = tx_arena(tx, pad);
		memset(p, 0, pad);
	}
	if (conn->params.data_digest) {
		crc = digest_add_iov(crc, iov, niov);
		if (pad > 0)
			crc = digest_add(crc, "\0\0\0", pad);
		digest_finish(crc, tx_arena(tx, DIGEST_LEN));
	}
}

/* --- the three kinds of entry --- */

static void
fill_ctl(struct conn *conn, struct ctl *ctl)
{
	struct iovec iov = {
		.iov_base = ctl->heap != NULL ? ctl->heap : ctl->small,
		.iov_len = ctl->out.data_len,
	};

	assert(ctl->heap != NULL || ctl->out.data_len <= sizeof(ctl->small));
	put_header(conn, &ctl->out, ctl->sn);
	put_segment(conn, &iov, 1, ctl->out.data_len);
}

static void
fill_r2t(struct conn *conn, const struct r2t *r2t)
{
	struct pdu_out out = {
		.opcode = OP_R2T, .flags = PDU_F,
		.itt = r2t->task->itt, .ttt = r2t->ttt,
		.w36 = r2t->sn, .w40 = r2t->off, .w44 = r2t->len,
	};

	memcpy(out.lun, r2t->task->cmd.lun, sizeof(out.lun));
	assert(r2t->len > 0 && r2t->len <= conn->params.max_burst);
	put_header(conn, &out, SN_NEXT);
}

/* RFC 7143 11.4.5: what was expected against what the command wanted. */
static void
put_residual(const struct task *task, struct pdu_out *out)
{
	const struct scsi_cmd *cmd = &task->cmd;
	uint32_t wanted, moved;

	if (cmd->in_wanted > 0 || (task->flags & CMD_W) == 0) {
		wanted = MAX(cmd->in_wanted, cmd->in_valid);
		moved = MIN(cmd->in_valid, cmd->in_len);
	} else {
		wanted = cmd->out_wanted;
		moved = MIN(cmd->out_wanted, cmd->out_len);
	}
	if (wanted > task->edtl) {
		out->flags |= RSP_O;
		out->w44 = wanted - task->edtl;
	} else if (moved < task->edtl) {
		out->flags |= RSP_U;
		out->w44 = task->edtl - moved;
	}
}

/* One Data-In PDU; true if it carried the status. */
static bool
fill_data_in(struct conn *conn, struct task *task)
{
	const struct iscsi_params *params = &conn->params;
	struct scsi_cmd *cmd = &task->cmd;
	uint32_t left = cmd->in_valid - task->sent;
	uint32_t len = MIN(MIN(left, params->max_send_segment), DATA_IN_MAX);
	struct pdu_out out = { .opcode = OP_DATA_IN, .itt = task->itt,
	    .ttt = TAG_NONE };
	struct iovec iov[PDU_IOV_MAX - 2];
	unsigned niov;
	bool last;

	assert(left > 0 && task->burst < params->max_burst);
	assert(range_ok(task->sent, left, cmd->in.len));
	len = MIN(len, params->max_burst - task->burst);
	niov = iov_slice(iov, nitems(iov), cmd->in.iov, cmd->in.niov,
	    task->sent, len);
	last = len == left && cmd->status == SCSI_GOOD;
	out.data_len = len;
	out.w36 = task->in_sn++;
	out.w40 = task->sent;
	task->sent += len;
	task->burst += len;
	if (len == left || task->burst == params->max_burst) {
		out.flags |= PDU_F;	/* end of the sequence */
		task->burst = 0;
	}
	if (last) {
		out.flags |= DATA_IN_S;
		out.b3 = SCSI_GOOD;
		put_residual(task, &out);
		task_retire(task);
	}
	put_header(conn, &out, last ? SN_TAKE : SN_NONE);
	put_segment(conn, iov, niov, len);
	return last;
}

static void
fill_response(struct conn *conn, struct task *task)
{
	struct scsi_cmd *cmd = &task->cmd;
	struct pdu_out out = { .opcode = OP_SCSI_RESPONSE, .flags = PDU_F,
	    .b3 = (uint8_t)cmd->status, .itt = task->itt,
	    .w36 = task->in_sn + task->r2t_sn };
	struct iovec iov[2] = { { NULL, 0 }, { cmd->sense, cmd->sense_len } };
	uint8_t *len = NULL;

	assert(cmd->sense_len <= SCSI_SENSE_MAX);
	if (cmd->sense_len > 0) {
		/* SenseLength belongs to the data segment (11.4.7.1). */
		out.data_len = 2u + cmd->sense_len;
	}
	put_residual(task, &out);
	task_retire(task);
	put_header(conn, &out, SN_TAKE);
	if (cmd->sense_len > 0) {
		len = task->sense_prefix;
		len[0] = (uint8_t)(cmd->sense_len >> 8);
		len[1] = (uint8_t)cmd->sense_len;
		iov[0].iov_base = len;
		iov[0].iov_len = 2;
		put_segment(conn, iov, 2, out.data_len);
	}
}

/* False: there is more of this task to come. */
static bool
fill_task(struct conn *conn, struct task *task)
{
	struct tx *tx = &conn->stream->tx;

	while (task->sent < task->cmd.in_valid) {
		if (!tx_has_room(tx))
			return false;
		if (fill_data_in(conn, task)) {
			tx->tasks++;
			return true;
		}
	}
	if (!tx_has_room(tx))
		return false;
	fill_response(conn, task);
	tx->tasks++;
	return true;
}

static bool
fill_item(struct conn *conn, struct tx_item *item)
{
	switch (item->kind) {
	case TX_CTL:
		fill_ctl(conn, container_of(item, struct ctl, tx));
		return true;
	case TX_R2T:
		fill_r2t(conn, container_of(item, struct r2t, tx));
		return true;
	case TX_TASK:
		return fill_task(conn, container_of(item, struct task, tx));
	}
	bug("tx: bad kind");
}

static void
tx_fill(struct conn *conn)
{
	struct tx *tx = &conn->stream->tx;
	struct tx_item *item;

	assert(TAILQ_EMPTY(&tx->sending) && !tx->in_flight);
	tx->niov = tx->tasks = 0;
	tx->bytes = tx->used = 0;
	while ((item = TAILQ_FIRST(&tx->queue)) != NULL && tx_has_room(tx)) {
		if (!fill_item(conn, item))
			return;
		TAILQ_REMOVE(&tx->queue, item, link);
		TAILQ_INSERT_TAIL(&tx->sending, item, link);
	}
}

/* --- the end of a send --- */

static void
item_done(struct conn *conn, struct tx_item *item)
{
	struct ctl *ctl;

	assert(item->queued);
	item->queued = false;
	switch (item->kind) {
	case TX_CTL:
		ctl = container_of(item, struct ctl, tx);
		if (ctl->close_after)
			conn_event(conn, EV_LOGOUT_SENT);
		ctl_put(conn, ctl);
		return;
	case TX_R2T:
		data_out_r2t_sent(container_of(item, struct r2t, tx));
		return;
	case TX_TASK:
		op_unhold(&container_of(item, struct task, tx)->op);
		return;
	}
	bug("tx: bad kind");
}

static void
list_done(struct conn *conn, struct tx_queue *list)
{
	struct tx_item *item;

	while ((item = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, item, link);
		item_done(conn, item);
	}
}

enum tx_step { TX_FILL, TX_SENT };
static const char *const tx_steps[] = { "FILL", "SENT" };

static struct conn *
tx_conn(struct op *op)
{
	return container_of(op->parent, struct conn, op);
}

static void
tx_run_fill(struct conn *conn)
{
	struct tx *tx = &conn->stream->tx;

	if (conn->closing) {
		list_done(conn, &tx->queue);
		op_end(&tx->op);
		return;
	}
	if (TAILQ_EMPTY(&tx->queue)) {
		tx->idle = true;
		op_hold(&tx->op);
		return;
	}
	tx_fill(conn);
	assert(tx->niov > 0 && tx->niov <= TX_IOV);
	assert(tx->used <= TX_ARENA && tx->tasks <= TX_TASKS);
	tx->start_ns = loop_now(conn->server->loop);
	tx->in_flight = true;
	sock_send(conn->sock, &tx->io, tx->iov, tx->niov, &tx->op);
	tx->op.step = TX_SENT;
}

static void
tx_run(struct op *op)
{
	struct conn *conn = tx_conn(op);
	struct tx *tx = &conn->stream->tx;

	switch ((enum tx_step)op->step) {
	case TX_FILL:
		tx_run_fill(conn);
		return;
	case TX_SENT:
		tx->in_flight = false;
		if (tx->io.result < 0 && !conn->closing)
			conn_fail(conn, "send failed");
		list_done(conn, &tx->sending);
		op->step = TX_FILL;
		return;
	}
	bug("tx: bad step");
}

static const struct op_type tx_op_type = {
	.name = "iscsi_tx", .steps = tx_steps, .nsteps = nitems(tx_steps),
	.run = tx_run,
};

void
tx_start(struct conn *conn)
{
	op_start(&conn->stream->tx.op, &tx_op_type,
	    loop_sched(conn->server->loop), &conn->op);
}

void
tx_check(struct conn *conn)
{
	const struct tx *tx = &conn->stream->tx;
	uint64_t limit_ms = conn->server->params.nop_dead_ms;
	uint64_t now = loop_now(conn->server->loop);

	if (!TAILQ_EMPTY(&conn->server->hungry))
		limit_ms = MIN(limit_ms, SLOW_PEER_MS);
	if (tx->in_flight && limit_ms != 0 &&
	    now - tx->start_ns >= limit_ms * NSEC_PER_MSEC)
		conn_fail(conn, "the initiator reads no answers");
}

void
tx_wake(struct conn *conn)
{
	struct tx *tx = &conn->stream->tx;

	if (!tx->idle)
		return;
	tx->idle = false;
	op_unhold(&tx->op);
}

void
tx_put(struct conn *conn, struct tx_item *item)
{
	assert(!item->queued && !conn->closing);
	item->queued = true;
	TAILQ_INSERT_TAIL(&conn->stream->tx.queue, item, link);
	tx_wake(conn);
}

bool
tx_take_back(struct conn *conn, struct tx_item *item)
{
	struct tx_item *it;

	assert(item->queued);
	TAILQ_FOREACH(it, &conn->stream->tx.queue, link) {
		if (it != item)
			continue;
		TAILQ_REMOVE(&conn->stream->tx.queue, item, link);
		item->queued = false;
		return true;
	}
	return false;
}

/* --- small answers --- */

struct ctl *
ctl_get(struct conn *conn, enum iscsi_opcode opcode, enum sn_use sn)
{
	struct stream *stream = conn->stream;

	for (unsigned i = 0; i < CTL_MAX; i++) {
		struct ctl *ctl = &stream->ctl[i];

		if (ctl->used)
			continue;
		memset(ctl, 0, sizeof(*ctl));
		ctl->used = true;
		ctl->tx.kind = TX_CTL;
		ctl->sn = sn;
		ctl->out.opcode = (uint8_t)opcode;
		ctl->out.flags = PDU_F;
		ctl->out.ttt = TAG_NONE;
		stream->ctl_used++;
		return ctl;
	}
	return NULL;
}

void
ctl_put(struct conn *conn, struct ctl *ctl)
{
	assert(ctl->used && !ctl->tx.queued);
	assert(conn->stream->ctl_used > 0);
	free(ctl->heap);
	ctl->heap = NULL;
	ctl->used = false;
	conn->stream->ctl_used--;
	rx_wake(conn);
}

void
ctl_send(struct conn *conn, struct ctl *ctl)
{
	assert(ctl->used);
	if (conn->closing)
		ctl_put(conn, ctl);
	else
		tx_put(conn, &ctl->tx);
}

struct stream *
stream_new(struct conn *conn)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		return NULL;
	stream->rx.buf = malloc(RX_BUF_LEN);
	if (stream->rx.buf == NULL) {
		free(stream);
		return NULL;
	}
	TAILQ_INIT(&stream->tx.queue);
	TAILQ_INIT(&stream->tx.sending);
	conn->stream = stream;
	return stream;
}

void
stream_free(struct stream *stream)
{
	if (stream == NULL)
		return;
	assert(TAILQ_EMPTY(&stream->tx.queue));
	assert(TAILQ_EMPTY(&stream->tx.sending));
	assert(stream->ctl_used == 0 && stream->rx.pinned == 0);
	free(stream->rx.buf);
	text_acc_fini(&stream->text_in);
	free(stream->text_out);
	free(stream);
}
