/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Login phase of one connection (RFC 7143 section 6 and 11.12): request and
 * response in turn, security and operational stage, until the session stands.
 *
 * A half-open connection costs one small struct; buffers come with the first
 * header and go with the login.
 *
 * Invariants: nobody reaches full feature phase without every check of
 * identify() and, where a host asks for it, CHAP; a session that is replaced
 * has ended, with all its commands, before the new one exists; TSIH is 0 in
 * every response but the last.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target/iscsi/login_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

struct login *
login_new(struct conn *conn)
{
	struct login *login = calloc(1, sizeof(*login));

	if (login == NULL)
		return NULL;
	assert(conn->login == NULL && conn->session == NULL);
	login->conn = conn;
	login->n.params = iscsi_params_default;
	return login;
}

void
login_free(struct login *login)
{
	if (login == NULL)
		return;
	assert(login->on == NULL);
	text_acc_fini(&login->text);
	if (login->bufs != NULL)
		explicit_bzero(login->bufs, sizeof(*login->bufs));
	free(login->bufs);
	free(login);
}

bool
login_succeeded(const struct login *login)
{
	return login->done;
}

void
login_cancel(struct login *login)
{
	/* Already woken: what it waited on may be gone. */
	if (login == NULL || login->on == NULL || login->op.pending == 0)
		return;
	STAILQ_REMOVE(login->on, &login->op, op, queue);
	login->on = NULL;
	op_unhold(&login->op);
}

/* --- one request --- */

/*
 * Who is it and may it come in?  Asked again for every request and before
 * the session is made: the configuration may have changed meanwhile, and with
 * it the index and the life of the target.
 */
static enum login_status
identify(struct login *login)
{
	struct conn *conn = login->conn;
	const struct access *access = conn->server->access;
	struct access_who who = { login->initiator, &conn->peer, NULL };
	struct access_need need;

	if (login->initiator[0] == '\0')
		return LOGIN_MISSING_KEY;
	if (login->n.discovery)
		return LOGIN_SUCCESS;
	if (login->target[0] == '\0')
		return LOGIN_MISSING_KEY;
	login->target_index = access_target(access, login->target);
	if (login->target_index < 0)
		return LOGIN_NOT_FOUND;
	need = access_need(access, &who, login->target_index);
	if (!need.any)
		return LOGIN_FORBIDDEN;
	if (!need.volumes)
		return LOGIN_UNAVAILABLE;	/* initiators try again */
	login->tgt = tgt_find(conn->server,
	    access->targets[login->target_index].name);
	assert(login->tgt != NULL && !login->tgt->gone);
	return LOGIN_SUCCESS;
}

/* A TSIH says: add a connection to this session. */
static enum login_status
check_tsih(const struct login *login)
{
	const struct conn *other;

	if (login->tsih == 0)
		return LOGIN_SUCCESS;
	other = session_by_tsih(login->conn->server, login->tsih);
	if (other == NULL || other->session->tgt != login->tgt ||
	    memcmp(other->session->isid, login->isid,
	    sizeof(login->isid)) != 0 ||
	    strcasecmp(other->session->initiator, login->initiator) != 0)
		return LOGIN_NO_SESSION;
	/* MaxConnections is 1, and recovery needs a recovery level. */
	return other->session->cid == login->cid ? LOGIN_CANT_INCLUDE :
	    LOGIN_TOO_MANY;
}

static enum login_status
declare(char *to, size_t size, const char *value)
{
	if (strlen(value) >= size || value[0] == '\0')
		return LOGIN_INITIATOR_ERROR;
	if (to[0] != '\0' && strcasecmp(to, value) != 0)
		return LOGIN_INITIATOR_ERROR;	/* told twice, differently */
	strcpy(to, value);
	return LOGIN_SUCCESS;
}

/* Names and session type, wherever they stand in the text. */
static enum login_status
take_declarations(struct login *login)
{
	enum login_status status = LOGIN_SUCCESS;

	for (unsigned i = 0; status == LOGIN_SUCCESS && i < login->npairs;
	    i++) {
		struct pair *pair = &login->bufs->pairs[i];

		pair->taken = true;
		if (strcmp(pair->key, "InitiatorName") == 0) {
			status = declare(login->initiator,
			    sizeof(login->initiator), pair->value);
		} else if (strcmp(pair->key, "TargetName") == 0) {
			status = declare(login->target,
			    sizeof(login->target), pair->value);
		} else if (strcmp(pair->key, "InitiatorAlias") == 0) {
			strncpy(login->alias, pair->value,
			    sizeof(login->alias) - 1);
		} else if (strcmp(pair->key, "SessionType") == 0) {
			login->n.discovery =
			    strcmp(pair->value, "Discovery") == 0;
			if (!login->n.discovery &&
			    strcmp(pair->value, "Normal") != 0)
				status = LOGIN_BAD_SESSION_TYPE;
		} else {
			pair->taken = false;
		}
	}
	return status;
}

static enum login_status
take_pairs(struct login *login)
{
	for (unsigned i = 0; i < login->npairs; i++) {
		struct pair *pair = &login->bufs->pairs[i];

		if (pair->taken || login_auth_key(login, pair->key,
		    pair->value))
			continue;
		switch (key_negotiate(&login->n, pair->key, pair->value,
		    &login->out)) {
		case KEY_DONE:
			break;
		case KEY_OTHER:
			if (key_is_reply(pair->value))
				break;
			text_put(&login->out, pair->key, "%s",
			    strcmp(pair->key, "SendTargets") == 0 ?
			    "Reject" : "NotUnderstood");
			break;
		case KEY_ERROR:
			return LOGIN_INITIATOR_ERROR;
		}
	}
	return login->out.full ? LOGIN_INITIATOR_ERROR : LOGIN_SUCCESS;
}

static enum login_status
split_text(struct login *login)
{
	struct text_in in;
	int res = 0;

	login->npairs = 0;
	if (login->text.len == 0)
		return LOGIN_SUCCESS;	/* and no buffer at all, perhaps */
	in.p = login->text.buf;
	in.end = in.p + login->text.len;
	while (login->npairs < LOGIN_PAIRS_MAX) {
		struct pair *pair = &login->bufs->pairs[login->npairs];

		res = text_next(&in, &pair->key, &pair->value);
		if (res <= 0)
			break;
		login->npairs++;
	}
	return res == 0 ? LOGIN_SUCCESS : LOGIN_INITIATOR_ERROR;
}

/* Header fields of any request of this login. */
static enum login_status
check_header(struct login *login)
{
	const struct pdu *pdu = &login->pdu;
	uint16_t tsih = (uint16_t)(pdu->lun[6] << 8 | pdu->lun[7]);
	unsigned csg = LOGIN_CSG(pdu->flags), nsg = LOGIN_NSG(pdu->flags);
	bool t = (pdu->flags & LOGIN_T) != 0;

	if (pdu->b3 > 0)
		return LOGIN_BAD_VERSION;	/* Version-min; ours is 0 */
	if (login->requests == 0) {
		memcpy(login->isid, pdu->lun, sizeof(login->isid));
		login->tsih = tsih;
		login->cid = pdu->cid;
		login->cmd_sn = pdu->cmd_sn;
		login->stage = (enum login_stage)csg;
	}
	if (memcmp(login->isid, pdu->lun, sizeof(login->isid)) != 0 ||
	    tsih != login->tsih || pdu->cid != login->cid)
		return LOGIN_BAD_REQUEST;
	if (csg > STAGE_OPERATIONAL || csg != (unsigned)login->stage ||
	    (t && (nsg <= csg || nsg == 2)) ||
	    (t && (pdu->flags & LOGIN_C) != 0))
		return LOGIN_INITIATOR_ERROR;
	return LOGIN_SUCCESS;
}

/* Keys that we tell without being asked (RFC 7143 13.8, 13.9). */
static void
put_unasked(struct login *login)
{
	const struct tgt *tgt = login->tgt;

	if (login->n.discovery)
		return;
	if (!login->told_tag) {
		text_put(&login->out, "TargetPortalGroupTag", "%u",
		    login->conn->tag);
		login->told_tag = true;
	}
	if (login->stage == STAGE_OPERATIONAL && !login->told_alias &&
	    tgt->alias[0] != '\0') {
		text_put(&login->out, "TargetAlias", "%s", tgt->alias);
		login->told_alias = true;
	}
}

/* May the stage that the initiator wants to leave be left? */
static enum login_status
transit(struct login *login)
{
	bool wants = (login->pdu.flags & LOGIN_T) != 0;
	enum login_status status;

	if (login->stage == STAGE_SECURITY &&
	    (!wants || login->auth == AUTH_BUSY))
		return LOGIN_SUCCESS;	/* T comes too early: not yet */
	status = login_auth_leave(login);
	if (status != LOGIN_SUCCESS || !wants)
		return status;
	login->transit = true;
	login->next = (enum login_stage)LOGIN_NSG(login->pdu.flags);
	return LOGIN_SUCCESS;
}

/* A complete text: everything that can be decided without waiting. */
static enum login_status
process(struct login *login)
{
	enum login_status status = split_text(login);

	if (status == LOGIN_SUCCESS)
		status = take_declarations(login);
	if (status == LOGIN_SUCCESS)
		status = identify(login);
	if (status == LOGIN_SUCCESS)
		status = check_tsih(login);
	if (status != LOGIN_SUCCESS)
		return status;
	login->n.phase = login->stage == STAGE_SECURITY ? PHASE_SECURITY :
	    PHASE_OPERATIONAL;
	put_unasked(login);
	status = take_pairs(login);
	if (status == LOGIN_SUCCESS)
		status = login_auth_run(login);
	return status == LOGIN_SUCCESS ? transit(login) : status;
}

static enum login_status
request(struct login *login)
{
	enum login_status status = check_header(login);
	int res;

	login->requests++;
	login->transit = false;
	login->out.len = 0;
	login->out.full = false;
	if (status != LOGIN_SUCCESS)
		return status;
	if (login->requests > LOGIN_REQUESTS_MAX)
		return LOGIN_INITIATOR_ERROR;	/* no progress */
	res = text_acc_add(&login->text, login->bufs->in,
	    login->pdu.data_len);
	if (res != 0)
		return LOGIN_NO_RESOURCES;
	if ((login->pdu.flags & LOGIN_C) != 0)
		return LOGIN_SUCCESS;		/* more text comes */
	status = process(login);
	text_acc_reset(&login->text);
	return status;
}

static const char *
status_text(enum login_status status)
{
	switch (status) {
	case LOGIN_AUTH_FAILED:
		return "authentication failed";
	case LOGIN_FORBIDDEN:
		return "no host with LUNs on this target matches";
	case LOGIN_NOT_FOUND:
		return "no such target";
	case LOGIN_MISSING_KEY:
		return "names are missing";
	case LOGIN_BAD_VERSION:
		return "protocol version";
	case LOGIN_TOO_MANY:
		return "a second connection in one session";
	case LOGIN_NO_SESSION:
	case LOGIN_CANT_INCLUDE:
		return "no session to join";
	case LOGIN_UNAVAILABLE:
		return "its volumes are not there now";
	case LOGIN_TARGET_ERROR:
	case LOGIN_NO_RESOURCES:
		return "no resources";
	case LOGIN_SUCCESS:
	case LOGIN_INITIATOR_ERROR:
	case LOGIN_BAD_SESSION_TYPE:
	case LOGIN_BAD_REQUEST:
		break;
	}
	return "protocol error";
}

static void
refuse(struct login *login, enum login_status status)
{
	struct conn *conn = login->conn;
	const char *why = login->why != NULL ? login->why :
	    status_text(status);

	assert(status != LOGIN_SUCCESS);
	login->status = status;
	login->out.len = 0;
	log_info("conn=%u peer=%s initiator=%s target=%s: login refused "
	    "(%04x), %s", conn->id, conn->peer.text, login->initiator,
	    login->target, (unsigned)status, why);
	server_knock(conn->server, login->initiator, login->target,
	    &conn->peer, why);
}

/* --- the session --- */

static bool
make_session(struct login *login)
{
	struct conn *conn = login->conn;
	struct session *session;

	assert(login->auth == AUTH_DONE && login->status == LOGIN_SUCCESS);
	assert(login->n.discovery || login->tgt != NULL);
	session = session_new(conn, login->initiator, login->isid,
	    login->n.discovery, login->tgt);
	if (session == NULL || stream_new(conn) == NULL)
		return false;
	session->cid = login->cid;
	session->exp_cmd_sn = login->cmd_sn;
	session->max_cmd_sn = login->cmd_sn;
	strcpy(session->initiator_alias, login->alias);
	strcpy(session->chap_user, login->proved_user);
	session->auth = login->auth_name;
	session->mutual = login->mutual_done;
	keys_settle(&login->n.params);
	conn->params = login->n.params;
	if (!session->discovery && !session_refresh(session))
		return false;
	log_info("conn=%u peer=%s initiator=%s target=%s tsih=%u: logged in",
	    conn->id, conn->peer.text, session->initiator,
	    login->n.discovery ? "(discovery)" : login->target,
	    session->tsih);
	return true;
}

/* RFC 7143 6.3.5: the old session ends first, with all its commands. */
static bool
wait_for_old(struct login *login)
{
	struct conn *conn = login->conn, *old;

	if (login->n.discovery)
		return false;
	assert(conn->session == NULL);
	old = session_find(conn->server, login->initiator, login->isid,
	    login->tgt, conn->tag, conn);
	if (old == NULL)
		return false;
	assert(old != conn && login->on == NULL);
	conn_fail(old, "replaced by a new login");
	login->on = &old->enders;
	op_wait(&old->enders, &login->op);
	return true;
}

/* --- the response --- */

static void
put_response(struct login *login)
{
	struct conn *conn = login->conn;
	struct pdu_out out = { .opcode = OP_LOGIN_RESPONSE,
	    .itt = login->pdu.itt, .data_len = (uint32_t)login->out.len };
	uint32_t pad = pdu_pad(out.data_len);
	bool final = login->transit && login->next == STAGE_FULL_FEATURE &&
	    login->status == LOGIN_SUCCESS;

	memcpy(out.lun, login->isid, sizeof(login->isid));
	out.lun[6] = (uint8_t)(login->tsih >> 8);
	out.lun[7] = (uint8_t)login->tsih;
	if (final) {
		out.lun[6] = (uint8_t)(conn->session->tsih >> 8);
		out.lun[7] = (uint8_t)conn->session->tsih;
	}
	out.flags = (uint8_t)((unsigned)login->stage << 2);
	assert(login->out.len + pad <= sizeof(login->bufs->out));
	assert(!final || conn->session != NULL);
	if (login->transit && login->status == LOGIN_SUCCESS)
		out.flags |= (uint8_t)(LOGIN_T | (unsigned)login->next);
	out.w36 = (uint32_t)login->status << 16;
	out.stat_sn = conn->stat_sn++;
	out.exp_cmd_sn = login->cmd_sn;
	out.max_cmd_sn = login->cmd_sn + conn->server->params.queue_depth - 1;
	if (final) {
		conn->session->max_cmd_sn = out.max_cmd_sn;
		login->done = true;
	}
	pdu_encode(&out, login->bufs->bhs);
	memset(login->out.buf + login->out.len, 0, pad);
	login->iov[0].iov_base = login->bufs->bhs;
	login->iov[0].iov_len = BHS_LEN;
	login->iov[1].iov_base = login->out.buf;
	login->iov[1].iov_len = out.data_len + pad;
	if (login->transit)
		login->stage = login->next;
	sock_send(conn->sock, &login->io, login->iov,
	    out.data_len > 0 ? 2 : 1, &login->op);
}

/* --- the op --- */

enum login_step {
	LOGIN_HEADER, LOGIN_GOT_HEADER, LOGIN_GOT_DATA, LOGIN_SESSION,
	LOGIN_RESPOND, LOGIN_SENT, LOGIN_END
};
static const char *const login_steps[] = {
	"HEADER", "GOT_HEADER", "GOT_DATA", "SESSION", "RESPOND", "SENT",
	"END"
};

static void
recv_rest(struct login *login, void *buf, uint32_t len)
{
	login->want = len;
	login->iov[0].iov_base = (char *)buf + login->have;
	login->iov[0].iov_len = len - login->have;
	assert(login->have < len);
	sock_recv(login->conn->sock, &login->io, login->iov, 1, &login->op);
}

/* True if all of it is here; false: ask for the rest, or the end came. */
static bool
recv_done(struct login *login)
{
	if (login->io.result <= 0) {
		if (login->requests > 0)
			conn_fail(login->conn, "gone during login");
		else if (!login->conn->closing)
			conn_event(login->conn, EV_LOST);
		return false;
	}
	login->have += (uint32_t)login->io.result;
	assert(login->have <= login->want);
	return login->have == login->want;
}

static unsigned
got_header(struct login *login)
{
	struct conn *conn = login->conn;

	if (!recv_done(login))
		return conn->closing ? LOGIN_END : LOGIN_HEADER;
	pdu_decode(&login->pdu, login->bhs);
	login->have = 0;
	if (login->pdu.opcode != OP_LOGIN || login->pdu.ahs_len > 0 ||
	    login->pdu.data_len > LOGIN_SEGMENT_MAX) {
		conn_fail(conn, "not a login request");
		return LOGIN_END;
	}
	conn_event(conn, EV_LOGIN_PDU);
	if (login->bufs == NULL)
		login->bufs = malloc(sizeof(*login->bufs));
	if (login->bufs == NULL) {
		conn_fail(conn, "no memory for a login");
		return LOGIN_END;
	}
	login->out.buf = login->bufs->out;
	login->out.size = sizeof(login->bufs->out) - 4;
	login->io.result = 0;
	login->want = login->pdu.data_len + pdu_pad(login->pdu.data_len);
	if (login->want > 0)
		recv_rest(login, login->bufs->in, login->want);
	return LOGIN_GOT_DATA;
}

static unsigned
got_data(struct login *login)
{
	enum login_status status;

	if (login->want > 0 && !recv_done(login)) {
		if (login->conn->closing)
			return LOGIN_END;
		recv_rest(login, login->bufs->in, login->want);
		return LOGIN_GOT_DATA;
	}
	login->have = 0;
	status = request(login);
	if (status != LOGIN_SUCCESS) {
		refuse(login, status);
		return LOGIN_RESPOND;
	}
	return login->transit && login->next == STAGE_FULL_FEATURE ?
	    LOGIN_SESSION : LOGIN_RESPOND;
}

static unsigned
session_step(struct login *login)
{
	enum login_status status;

	login->on = NULL;
	if (login->conn->closing)
		return LOGIN_END;
	status = identify(login);
	if (status == LOGIN_SUCCESS && wait_for_old(login))
		return LOGIN_SESSION;
	if (status == LOGIN_SUCCESS && !make_session(login))
		status = LOGIN_NO_RESOURCES;
	if (status != LOGIN_SUCCESS)
		refuse(login, status);
	return LOGIN_RESPOND;
}

static unsigned
sent(struct login *login)
{
	if (login->io.result < 0 || login->status != LOGIN_SUCCESS ||
	    login->conn->closing) {
		login->done = false;
		return LOGIN_END;
	}
	return login->done ? LOGIN_END : LOGIN_HEADER;
}

static void
login_run(struct op *op)
{
	struct login *login = op_owner(op, struct login);

	switch ((enum login_step)op->step) {
	case LOGIN_HEADER:
		if (login->conn->closing) {
			op->step = LOGIN_END;
			return;
		}
		recv_rest(login, login->bhs, BHS_LEN);
		op->step = LOGIN_GOT_HEADER;
		return;
	case LOGIN_GOT_HEADER:
		op->step = got_header(login);
		return;
	case LOGIN_GOT_DATA:
		op->step = got_data(login);
		return;
	case LOGIN_SESSION:
		op->step = session_step(login);
		return;
	case LOGIN_RESPOND:
		put_response(login);
		op->step = LOGIN_SENT;
		return;
	case LOGIN_SENT:
		op->step = sent(login);
		return;
	case LOGIN_END:
		op_end(op);
		return;
	}
	bug("login: bad step");
}

static const struct op_type login_op_type = {
	.name = "login", .steps = login_steps, .nsteps = nitems(login_steps),
	.run = login_run,
};

void
login_start(struct login *login, struct op *parent)
{
	op_start(&login->op, &login_op_type,
	    loop_sched(login->conn->server->loop), parent);
}
