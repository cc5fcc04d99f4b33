/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receive: one large receive, then every PDU that is in it.
 *
 * A command is started as soon as its header is here.  Its immediate data
 * stays in the buffer until the SCSI layer has a place for it ("pinned") and
 * is copied once; when a segment reaches beyond the buffer, the next receive
 * goes straight into the task's own buffer and the bytes behind it into ours.
 *
 * Invariants: no receive starts while data is pinned; `at` and `done` say
 * where in the current PDU we stand, and buf[head..tail) is what has not been
 * looked at; a PDU that finds no resources is parsed again later, so nothing
 * is changed before all it needs is there.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

#define RX_LOW (64u * 1024)	/* less room than this: move the rest down */

enum rx_verdict {
	RX_AGAIN,	/* go on with what is in the buffer */
	RX_MORE,	/* needs more bytes */
	RX_WAIT,	/* parked: rx_wake() */
};

static size_t
avail(const struct rx *rx)
{
	assert(rx->head <= rx->tail && rx->tail <= RX_BUF_LEN);
	return rx->tail - rx->head;
}

static uint32_t
trailer_len(const struct conn *conn, uint32_t data_len)
{
	if (data_len == 0)
		return 0;
	return pdu_pad(data_len) + (conn->params.data_digest ? DIGEST_LEN : 0);
}

static enum rx_verdict
fatal(struct conn *conn, const char *why)
{
	conn_fail(conn, why);
	return RX_WAIT;
}

/* --- data segments of tasks --- */

static void
segment_start(struct rx *rx, struct task *task)
{
	assert(rx->task == NULL);
	rx->task = task;
	rx->done = 0;
	rx->crc = DIGEST_INIT;
	rx->at = RX_AT_SEGMENT;
	if (task != NULL) {
		assert(!task->receiving);
		task->receiving = true;
	}
}

/* May bytes of the segment be taken now, wherever they go? */
static bool
has_place(const struct task *task)
{
	return task == NULL || !task_takes_data(task) || task->win != NULL ||
	    task->stash != NULL;
}

/* Put n bytes where they belong; returns how many it took. */
static uint32_t
put_bytes_away(struct task *task, const uint8_t *p, uint32_t n)
{
	if (task == NULL || !task_takes_data(task))
		return n;		/* thrown away */
	if (task->stash != NULL) {
		stash_add(task, p, n);
		return n;
	}
	if (data_out_room(task) == 0)
		return n;		/* more than the command wants */
	n = MIN(n, data_out_room(task));
	iov_from_buf(task->win->iov, task->win->niov,
	    task->got - task->win_off, p, n);
	data_out_advance(task, n);
	return n;
}

static enum rx_verdict
segment_copy(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	uint32_t left = rx->pdu.data_len - rx->done;
	uint32_t n = (uint32_t)MIN(left, avail(rx));

	assert(rx->at == RX_AT_SEGMENT && left > 0);
	if (n == 0)
		return RX_MORE;
	n = put_bytes_away(rx->task, rx->buf + rx->head, n);
	if (conn->params.data_digest)
		rx->crc = digest_add(rx->crc, rx->buf + rx->head, n);
	rx->head += n;
	rx->done += n;
	return RX_AGAIN;
}

static enum rx_verdict
segment(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;

	assert(rx->done <= rx->pdu.data_len);
	if (rx->done < rx->pdu.data_len)
		return has_place(rx->task) ? segment_copy(conn) : RX_WAIT;
	rx->at = RX_AT_TRAILER;
	return RX_AGAIN;
}

static void
digest_failed(struct conn *conn, const struct pdu *pdu)
{
	log_warn("conn=%u data digest error, itt %08x", conn->id, pdu->itt);
	control_reject(conn, REJECT_DATA_DIGEST);
}

static enum rx_verdict
trailer(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	uint32_t pad = pdu_pad(rx->pdu.data_len);
	struct task *task = rx->task;
	bool ok = true;

	assert(rx->at == RX_AT_TRAILER && rx->done == rx->pdu.data_len);
	if (avail(rx) < trailer_len(conn, rx->pdu.data_len))
		return RX_MORE;
	if (rx->pdu.data_len > 0 && conn->params.data_digest) {
		rx->crc = digest_add(rx->crc, rx->buf + rx->head, pad);
		ok = digest_matches(rx->crc, rx->buf + rx->head + pad);
	}
	rx->head += trailer_len(conn, rx->pdu.data_len);
	rx->at = RX_AT_HEADER;
	rx->task = NULL;
	if (!ok)
		digest_failed(conn, &rx->pdu);
	if (task != NULL)
		data_out_pdu_end(task, &rx->pdu, ok);
	return RX_AGAIN;
}

/* --- SCSI commands --- */

static bool
whole_segment_here(const struct conn *conn, const struct rx *rx)
{
	return avail(rx) >= rx->pdu.data_len +
	    trailer_len(conn, rx->pdu.data_len);
}

/* All of the immediate data is in the buffer: leave it there. */
static void
take_pinned(struct conn *conn, struct task *task)
{
	struct rx *rx = &conn->stream->rx;
	uint32_t len = rx->pdu.data_len, pad = pdu_pad(len);
	const uint8_t *data = rx->buf + rx->head;

	assert(whole_segment_here(conn, rx) && len > 0);
	if (conn->params.data_digest && !digest_matches(
	    digest_add(DIGEST_INIT, data, len + pad), data + len + pad)) {
		digest_failed(conn, &rx->pdu);
		data_out_fail(task, FAULT_CRC);
	} else {
		data_out_pin(task, data, len);
	}
	rx->head += len + trailer_len(conn, len);
}

/* Why this command cannot be taken, 0 = it can (RFC 7143 11.3). */
static unsigned
command_fault(const struct conn *conn, const struct pdu *pdu)
{
	const struct rx *rx = &conn->stream->rx;
	uint8_t rw = pdu->flags & (CMD_R | CMD_W);
	uint8_t cdb[SCSI_CDB_MAX];

	if (conn->session->discovery)
		return REJECT_NOT_SUPPORTED;
	if (rw == (CMD_R | CMD_W))
		return REJECT_NOT_SUPPORTED;	/* bidirectional */
	if ((pdu->flags & PDU_F) == 0 &&
	    (rw != CMD_W || conn->params.initial_r2t))
		return REJECT_PROTOCOL;
	if (pdu->data_len > 0 && (rw != CMD_W ||
	    !conn->params.immediate_data || pdu->data_len > pdu->edtl ||
	    pdu->data_len > conn->params.first_burst))
		return REJECT_PROTOCOL;
	if (pdu->itt == TAG_NONE)
		return REJECT_INVALID_FIELD;
	if (task_find(conn->session, pdu->itt) != NULL)
		return REJECT_TASK_IN_PROGRESS;
	if (pdu->ahs_len > 0 &&
	    pdu_cdb(pdu, rx->buf + rx->head + BHS_LEN, cdb, sizeof(cdb)) == 0)
		return REJECT_INVALID_FIELD;
	return 0;
}

static enum rx_verdict
command(struct conn *conn, size_t header_len)
{
	struct rx *rx = &conn->stream->rx;
	struct session *session = conn->session;
	const struct pdu *pdu = &rx->pdu;
	enum cmd_sn sn = session_cmd_sn(session, pdu);
	unsigned fault = command_fault(conn, pdu);
	const uint8_t *ahs = rx->buf + rx->head + BHS_LEN;
	struct task *task = NULL;

	if (sn == CMD_SN_GAP)
		return fatal(conn, "CmdSN skipped");
	if (fault == 0 && sn == CMD_SN_OK) {
		task = task_get(session, pdu);
		if (task == NULL)
			fault = REJECT_IMMEDIATE;
	}
	if (fault != 0 && sn == CMD_SN_OK)
		control_reject(conn, (enum reject_reason)fault);
	if (task != NULL) {
		task->cmd.cdb_len = (uint16_t)pdu_cdb(pdu, ahs,
		    task->cmd.cdb, sizeof(task->cmd.cdb));
		task_start(task);
	}
	rx->head += header_len;
	if (task != NULL && pdu->data_len > 0 && whole_segment_here(conn, rx))
		take_pinned(conn, task);
	else if (pdu->data_len > 0)
		segment_start(rx, task);
	return RX_AGAIN;
}

static enum rx_verdict
data_out(struct conn *conn, size_t header_len)
{
	struct rx *rx = &conn->stream->rx;
	struct task *task = NULL;

	switch (data_out_check(conn->session, &rx->pdu, &task)) {
	case DATA_OUT_UNKNOWN:
		control_reject(conn, REJECT_INVALID_FIELD);
		break;
	case DATA_OUT_WRONG:	/* the command will say so */
	case DATA_OUT_ABORTED:
	case DATA_OUT_OK:
		break;
	}
	rx->head += header_len;
	segment_start(rx, task);
	return RX_AGAIN;
}

/* --- headers --- */

static bool
needs_ctl(const struct conn *conn)
{
	/* Any PDU may need a Reject and a digest Reject. */
	return conn->stream->ctl_used + 2 > CTL_MAX;
}

static enum rx_verdict
header(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	uint32_t hd = conn->params.header_digest ? DIGEST_LEN : 0;
	const uint8_t *bhs = rx->buf + rx->head;
	size_t len;

	assert(rx->task == NULL && rx->direct == 0);
	if (avail(rx) < BHS_LEN)
		return RX_MORE;
	pdu_decode(&rx->pdu, bhs);
	len = BHS_LEN + rx->pdu.ahs_len;
	if (avail(rx) < len + hd)
		return RX_MORE;
	if (needs_ctl(conn))
		return RX_WAIT;
	if (hd != 0 && !digest_matches(digest_add(DIGEST_INIT, bhs, len),
	    bhs + len))
		return fatal(conn, "header digest error");
	if (rx->pdu.data_len > OUR_RECV_SEGMENT)
		return fatal(conn, "data segment too long");
	memcpy(rx->bhs, bhs, BHS_LEN);
	conn->heard_ns = loop_now(conn->server->loop);
	if (rx->pdu.opcode == OP_SCSI_COMMAND)
		return command(conn, len + hd);
	if (rx->pdu.opcode == OP_DATA_OUT && !conn->session->discovery)
		return data_out(conn, len + hd);
	rx->at = RX_AT_CONTROL;
	return RX_AGAIN;
}

/* Everything else is handled when it is here as a whole. */
static enum rx_verdict
control(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	const struct pdu *pdu = &rx->pdu;
	uint32_t hd = conn->params.header_digest ? DIGEST_LEN : 0;
	size_t hlen = BHS_LEN + pdu->ahs_len + hd;
	size_t len = hlen + pdu->data_len + trailer_len(conn, pdu->data_len);
	const uint8_t *data = rx->buf + rx->head + hlen;
	uint32_t padded = pdu->data_len + pdu_pad(pdu->data_len);

	assert(len <= RX_BUF_LEN);
	if (avail(rx) < len)
		return RX_MORE;
	if (pdu->data_len > 0 && conn->params.data_digest &&
	    !digest_matches(digest_add(DIGEST_INIT, data, padded),
	    data + padded))
		digest_failed(conn, pdu);	/* discarded, RFC 7143 7.8 */
	else if (!control_pdu(conn, pdu, data))
		return RX_WAIT;
	rx->head += len;
	rx->at = RX_AT_HEADER;
	return RX_AGAIN;
}

static enum rx_verdict
parse_one(struct conn *conn)
{
	switch (conn->stream->rx.at) {
	case RX_AT_HEADER:
		return header(conn);
	case RX_AT_SEGMENT:
		return segment(conn);
	case RX_AT_TRAILER:
		return trailer(conn);
	case RX_AT_CONTROL:
		return control(conn);
	}
	bug("rx: bad place");
}

/* --- the op --- */

enum rx_step { RX_RECV, RX_GOT, RX_PARSE };
static const char *const rx_steps[] = { "RECV", "GOT", "PARSE" };

/*
 * The receiver waits for a command to find a buffer.  If the buffers are held
 * by commands whose data stands behind that command on this very connection,
 * nobody would ever move; and pings and aborts stand there, too.  So the data
 * is put aside, or, when too much is put aside already, the command is told
 * TASK SET FULL, and the receiver goes on.
 */
static void
stash_all(void *arg)
{
	struct conn *conn = arg;
	struct rx *rx = &conn->stream->rx;
	struct task *task;

	if (!rx->parked || conn->closing)
		return;
	TAILQ_FOREACH(task, &conn->session->live, link)
		if (task->win == NULL && task->stash == NULL &&
		    (task->imm != NULL || (task == rx->task &&
		    task_takes_data(task))) && !data_out_stash(task))
			log_warn("conn=%u no memory for data of itt %08x",
			    conn->id, task->itt);
	rx_wake(conn);
}

static void
park(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;

	assert(!rx->parked);
	rx->parked = true;
	if ((rx->pinned > 0 || rx->task != NULL) &&
	    !timer_running(&rx->stash_timer))
		timer_start(conn->server->loop, &rx->stash_timer,
		    RX_STASH_MS, stash_all, conn);
	op_hold(&rx->op);
}

static void
make_room(struct rx *rx)
{
	assert(rx->pinned == 0);
	if (rx->head == rx->tail) {
		rx->head = rx->tail = 0;
	} else if (rx->head > 0 && RX_BUF_LEN - rx->tail < RX_LOW) {
		memmove(rx->buf, rx->buf + rx->head, avail(rx));
		rx->tail -= rx->head;
		rx->head = 0;
	}
	/* Only a whole control PDU can fill the buffer from the start. */
	assert(rx->tail < RX_BUF_LEN);
}

static void
receive(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	struct task *task = rx->task;
	unsigned niov = 0;

	assert(!rx->in_flight && !rx->parked && !conn->closing);
	make_room(rx);
	timer_stop(conn->server->loop, &rx->stash_timer);
	rx->direct = 0;
	if (rx->at == RX_AT_SEGMENT && task != NULL && avail(rx) == 0 &&
	    task_takes_data(task)) {
		rx->direct = MIN(data_out_room(task),
		    rx->pdu.data_len - rx->done);
		if (rx->direct > 0)
			niov = iov_slice(rx->iov, BUF_IOV_MAX, task->win->iov,
			    task->win->niov, task->got - task->win_off,
			    rx->direct);
	}
	assert(niov < nitems(rx->iov));
	rx->iov[niov].iov_base = rx->buf + rx->tail;
	rx->iov[niov++].iov_len = RX_BUF_LEN - rx->tail;
	rx->in_flight = true;
	rx->direct_ns = loop_now(conn->server->loop);
	sock_recv(conn->sock, &rx->io, rx->iov, niov, &rx->op);
}

/* Bytes that went straight into the task's buffer. */
static void
got_direct(struct conn *conn, uint32_t n)
{
	struct rx *rx = &conn->stream->rx;
	struct task *task = rx->task;
	struct iovec iov[BUF_IOV_MAX];
	unsigned niov;

	assert(n <= rx->direct && task != NULL && task->win != NULL);
	assert(task->receiving && rx->at == RX_AT_SEGMENT);
	if (n > 0 && conn->params.data_digest) {
		niov = iov_slice(iov, BUF_IOV_MAX, task->win->iov,
		    task->win->niov, task->got - task->win_off, n);
		rx->crc = digest_add_iov(rx->crc, iov, niov);
	}
	rx->direct = 0;
	rx->done += n;
	if (task->cmd.aborted) {
		/* collect_abort() left the window open for the kernel. */
		data_out_window_end(task, -ECANCELED);
		return;
	}
	data_out_advance(task, n);
}

static void
received(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	uint32_t n, direct;

	assert(rx->in_flight && rx->pinned == 0);
	rx->in_flight = false;
	if (rx->io.result <= 0) {
		if (rx->direct > 0)
			got_direct(conn, 0);
		conn_fail(conn, rx->io.result == 0 ?
		    "closed by the initiator" : "receive failed");
		return;
	}
	n = (uint32_t)rx->io.result;
	direct = MIN(n, rx->direct);
	rx->tail += n - direct;
	if (rx->direct > 0)
		got_direct(conn, direct);
	assert(rx->tail <= RX_BUF_LEN);
}

static void
rx_end(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	struct task *task = rx->task;

	assert(conn->closing && !rx->in_flight);
	timer_stop(conn->server->loop, &rx->stash_timer);
	rx->task = NULL;
	if (task != NULL) {
		task->receiving = false;
		if (task->win != NULL)
			data_out_window_end(task, -ECANCELED);
		task_drained(task);
	}
	op_end(&rx->op);
}

static void
rx_parse(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;
	enum rx_verdict verdict;

	do {
		if (conn->stream->logout)
			rx->head = rx->tail;	/* only waiting for the end */
		if (conn->closing || conn->stream->logout) {
			rx->op.step = RX_RECV;
			return;
		}
		verdict = conn->stream->barrier ? RX_WAIT : parse_one(conn);
	} while (verdict == RX_AGAIN);
	if (verdict == RX_MORE) {
		rx->op.step = RX_RECV;
		return;
	}
	if (!conn->closing)
		park(conn);
	rx->op.step = RX_PARSE;
}

static void
rx_run(struct op *op)
{
	struct conn *conn = container_of(op->parent, struct conn, op);
	struct rx *rx = &conn->stream->rx;

	switch ((enum rx_step)op->step) {
	case RX_RECV:
		if (conn->closing) {
			rx_end(conn);
			return;
		}
		if (rx->pinned > 0) {
			park(conn);	/* the step comes again */
			return;
		}
		receive(conn);
		op->step = RX_GOT;
		return;
	case RX_GOT:
		received(conn);
		op->step = RX_PARSE;
		return;
	case RX_PARSE:
		rx_parse(conn);
		return;
	}
	bug("rx: bad step");
}

static const struct op_type rx_op_type = {
	.name = "iscsi_rx", .steps = rx_steps, .nsteps = nitems(rx_steps),
	.run = rx_run,
};

void
rx_start(struct conn *conn)
{
	op_start(&conn->stream->rx.op, &rx_op_type,
	    loop_sched(conn->server->loop), &conn->op);
}

void
rx_wake(struct conn *conn)
{
	struct rx *rx = &conn->stream->rx;

	if (!rx->parked)
		return;
	rx->parked = false;
	op_unhold(&rx->op);
}

static bool
waits_for_data(const struct session *session)
{
	const struct task *task;

	TAILQ_FOREACH(task, &session->live, link)
		if (task->win != NULL)
			return true;
	return false;
}

void
rx_check(struct conn *conn)
{
	const struct rx *rx = &conn->stream->rx;
	const struct session *session = conn->session;
	uint64_t now = loop_now(conn->server->loop);

	if (rx->in_flight && rx->direct > 0 && rx->task->cmd.aborted &&
	    now - rx->direct_ns >= ABORT_STUCK_NS) {
		conn_fail(conn, "data of an aborted command does not come");
		return;
	}
	/* Buffers that others wait for are held for nothing. */
	if (!TAILQ_EMPTY(&conn->server->hungry) &&
	    now - session->data_ns >= SLOW_PEER_MS * NSEC_PER_MSEC &&
	    waits_for_data(session))
		conn_fail(conn, "write data does not come");
}
