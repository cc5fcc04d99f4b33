/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PDUs of the full feature phase that are neither commands nor their data:
 * NOP, task management, logout, reject, asynchronous messages.
 *
 * Invariant: a PDU either finds all it needs and is handled, or nothing has
 * changed and the receiver offers it again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

void
control_reject(struct conn *conn, enum reject_reason reason)
{
	struct ctl *ctl = ctl_get(conn, OP_REJECT, SN_TAKE);

	if (ctl == NULL) {
		conn_fail(conn, "the initiator reads no answers");
		return;
	}
	log_info("conn=%u opcode %02x itt %08x: rejected, reason %u",
	    conn->id, conn->stream->rx.pdu.opcode, conn->stream->rx.pdu.itt,
	    (unsigned)reason);
	ctl->out.b2 = (uint8_t)reason;
	ctl->out.itt = TAG_NONE;
	ctl->out.data_len = BHS_LEN;
	memcpy(ctl->small, conn->stream->rx.bhs, BHS_LEN);
	ctl_send(conn, ctl);
}

/* --- NOP (RFC 7143 11.18, 11.19) --- */

static bool
nop_out(struct conn *conn, const struct pdu *pdu, const uint8_t *data)
{
	uint32_t len = MIN(pdu->data_len, conn->params.max_send_segment);
	struct ctl *ctl;

	if (pdu->itt == TAG_NONE) {
		/* An answer to our ping, or just an ExpStatSN. */
		if (pdu->ttt != TAG_NONE)
			conn->ping_answered = true;
		return true;
	}
	ctl = ctl_get(conn, OP_NOP_IN, SN_TAKE);
	if (ctl == NULL)
		return false;
	if (len > 0) {
		ctl->heap = malloc(len);
		if (ctl->heap == NULL) {
			ctl_put(conn, ctl);
			conn_fail(conn, "no memory for a ping");
			return true;
		}
		memcpy(ctl->heap, data, len);
	}
	ctl->out.data_len = len;
	ctl->out.itt = pdu->itt;
	memcpy(ctl->out.lun, pdu->lun, sizeof(pdu->lun));
	ctl_send(conn, ctl);
	return true;
}

void
control_ping(struct conn *conn)
{
	struct ctl *ctl = ctl_get(conn, OP_NOP_IN, SN_NEXT);

	if (ctl == NULL)
		return;		/* the peer does not read: no use */
	ctl->out.itt = TAG_NONE;
	ctl->out.ttt = conn->stream->ping_ttt++ & 0x7fffffff;
	ctl_send(conn, ctl);
}

/* --- asynchronous message --- */

void
control_ask_logout(struct conn *conn)
{
	struct ctl *ctl = ctl_get(conn, OP_ASYNC, SN_TAKE);

	if (ctl == NULL)
		return;
	ctl->out.itt = TAG_NONE;
	ctl->out.w36 = (uint32_t)ASYNC_LOGOUT_REQUEST << 24;
	ctl->out.w40 = LOGOUT_WAIT_MS / 1000;	/* Parameter3: seconds */
	ctl_send(conn, ctl);
}

/* --- logout (RFC 7143 11.14, 11.15) --- */

enum logout_reason {
	LOGOUT_SESSION = 0, LOGOUT_CONNECTION = 1, LOGOUT_RECOVERY = 2
};

static bool
logout(struct conn *conn, const struct pdu *pdu)
{
	uint8_t reason = pdu->flags & 0x7f;	/* RFC 7143 11.14.1 */
	uint8_t response = LOGOUT_CLOSED;
	struct ctl *ctl;

	if (reason == LOGOUT_RECOVERY)
		response = LOGOUT_NO_RECOVERY;
	else if (reason == LOGOUT_CONNECTION &&
	    pdu->cid != conn->session->cid)
		response = LOGOUT_NO_CID;
	if (reason > LOGOUT_RECOVERY) {
		control_reject(conn, REJECT_INVALID_FIELD);
		return true;
	}
	if (response == LOGOUT_CLOSED) {
		conn->stream->logout_pdu = *pdu;
		conn_event(conn, EV_LOGOUT);
		return true;
	}
	ctl = ctl_get(conn, OP_LOGOUT_RESPONSE, SN_TAKE);
	if (ctl == NULL)
		return false;
	ctl->out.b2 = response;
	ctl->out.itt = pdu->itt;
	ctl->out.ttt = 0;
	ctl_send(conn, ctl);
	return true;
}

void
control_logout_check(struct conn *conn)
{
	struct stream *stream = conn->stream;
	struct task *task;
	struct ctl *ctl;

	if (!stream->logout || conn->closing || stream->logout_answered)
		return;
	/* What still waits for data will not get it. */
	TAILQ_FOREACH(task, &conn->session->live, link)
		if (!task->tx.queued && task_takes_data(task) &&
		    (task->win != NULL || task->unsol_open))
			task_abort(task);
	if (conn->session->nlive > 0)
		return;		/* the last task calls again */
	ctl = ctl_get(conn, OP_LOGOUT_RESPONSE, SN_TAKE);
	if (ctl == NULL) {
		conn_fail(conn, "logout, and the initiator reads nothing");
		return;
	}
	assert(conn->state == CONN_IN_LOGOUT && conn->session->busy == 0);
	stream->logout_answered = true;
	ctl->close_after = true;
	ctl->out.b2 = LOGOUT_CLOSED;
	ctl->out.itt = stream->logout_pdu.itt;
	ctl->out.ttt = 0;
	ctl->out.w40 = conn->params.time2wait << 16 |
	    conn->params.time2retain;
	ctl_send(conn, ctl);
}

/* --- task management --- */

static bool
task_management(struct conn *conn, const struct pdu *pdu)
{
	struct ctl *ctl = ctl_get(conn, OP_TASK_MANAGEMENT_RESPONSE, SN_TAKE);

	if (ctl == NULL)
		return false;
	if (tmf_start(conn->session, pdu, ctl))
		return true;
	ctl->out.b2 = TMF_REJECTED;	/* too many at a time */
	ctl->out.itt = pdu->itt;
	ctl->out.ttt = 0;
	ctl_send(conn, ctl);
	return true;
}

/* --- dispatch --- */

static bool
dispatch(struct conn *conn, const struct pdu *pdu, const uint8_t *data)
{
	switch (pdu->opcode) {
	case OP_NOP_OUT:
		return nop_out(conn, pdu, data);
	case OP_TASK_MANAGEMENT:
		if (!conn->session->discovery)
			return task_management(conn, pdu);
		break;
	case OP_TEXT:
		return control_text(conn, pdu, data);
	case OP_LOGOUT:
		return logout(conn, pdu);
	case OP_SNACK:
		control_reject(conn, REJECT_SNACK);	/* recovery level 0 */
		return true;
	case OP_LOGIN:
		control_reject(conn, REJECT_PROTOCOL);
		return true;
	default:
		break;
	}
	control_reject(conn, REJECT_NOT_SUPPORTED);
	return true;
}

bool
control_pdu(struct conn *conn, const struct pdu *pdu, const uint8_t *data)
{
	/* Data-Out, SNACK and unknown PDUs have no CmdSN of ours. */
	bool numbered = pdu->opcode == OP_NOP_OUT ||
	    pdu->opcode == OP_TASK_MANAGEMENT || pdu->opcode == OP_TEXT ||
	    pdu->opcode == OP_LOGOUT;
	struct session *session = conn->session;
	uint32_t before = session->exp_cmd_sn;

	assert(!conn->closing && !conn->stream->barrier);
	if (numbered) {
		switch (session_cmd_sn(session, pdu)) {
		case CMD_SN_OK:
			break;
		case CMD_SN_IGNORE:
			return true;
		case CMD_SN_GAP:
			conn_fail(conn, "CmdSN skipped");
			return true;
		}
	}
	if (dispatch(conn, pdu, data))
		return true;
	session->exp_cmd_sn = before;	/* it will be offered again */
	return false;
}
