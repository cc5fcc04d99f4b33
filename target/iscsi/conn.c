/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TCP connection from accept to end: the state machine of RFC 7143 8.1
 * as a table, the op that is the parent of all its work, and its timer.
 *
 * Invariants: the connection is freed only when login, receive, transmit and
 * all tasks have ended; once `closing` is set nothing new is started and the
 * socket is shut down; whatever the peer does, only its own connection ends.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

static void
act_none(struct conn *conn)
{
	(void)conn;
}

static void
act_close(struct conn *conn)
{
	assert(!conn->closing);
	conn->closing = true;
	sock_shutdown(conn->sock);
	login_cancel(conn->login);
	if (conn->session != NULL)
		session_abort_all(conn->session);
	if (conn->stream != NULL) {
		rx_wake(conn);
		tx_wake(conn);
	}
}

static void
act_logout(struct conn *conn)
{
	assert(conn->stream != NULL);
	conn->stream->logout = true;
	control_logout_check(conn);
}

struct transition {
	enum conn_state from;
	enum conn_event event;
	enum conn_state to;
	void (*action)(struct conn *conn);
	const char *label;
};

/* RFC 7143 8.1.4: the target's transitions. */
static const struct transition transitions[] = {
	{ CONN_XPT_UP, EV_LOGIN_PDU, CONN_IN_LOGIN, act_none, "T4" },
	{ CONN_XPT_UP, EV_LOST, CONN_CLEANUP_WAIT, act_close, "T6" },
	{ CONN_IN_LOGIN, EV_LOGIN_PDU, CONN_IN_LOGIN, act_none, "T4" },
	{ CONN_IN_LOGIN, EV_LOGIN_DONE, CONN_LOGGED_IN, act_none, "T5" },
	{ CONN_IN_LOGIN, EV_LOST, CONN_CLEANUP_WAIT, act_close, "T7" },
	{ CONN_LOGGED_IN, EV_ASK_LOGOUT, CONN_LOGOUT_REQUESTED,
	  control_ask_logout, "T11" },
	{ CONN_LOGGED_IN, EV_LOGOUT, CONN_IN_LOGOUT, act_logout, "T9" },
	{ CONN_LOGGED_IN, EV_LOST, CONN_CLEANUP_WAIT, act_close, "T15" },
	{ CONN_LOGOUT_REQUESTED, EV_ASK_LOGOUT, CONN_LOGOUT_REQUESTED,
	  act_none, "T12" },
	{ CONN_LOGOUT_REQUESTED, EV_LOGOUT, CONN_IN_LOGOUT, act_logout,
	  "T10" },
	{ CONN_LOGOUT_REQUESTED, EV_LOST, CONN_CLEANUP_WAIT, act_close,
	  "T17" },
	{ CONN_IN_LOGOUT, EV_ASK_LOGOUT, CONN_IN_LOGOUT, act_none, "T14" },
	{ CONN_IN_LOGOUT, EV_LOGOUT_SENT, CONN_CLEANUP_WAIT, act_close,
	  "T13" },
	{ CONN_IN_LOGOUT, EV_LOST, CONN_CLEANUP_WAIT, act_close, "T16" },
	{ CONN_CLEANUP_WAIT, EV_LOST, CONN_CLEANUP_WAIT, act_none, "M1" },
	{ CONN_CLEANUP_WAIT, EV_ASK_LOGOUT, CONN_CLEANUP_WAIT, act_none,
	  "M1" },
	{ CONN_CLEANUP_WAIT, EV_LOGOUT_SENT, CONN_CLEANUP_WAIT, act_none,
	  "M1" },
};

void
conn_event(struct conn *conn, enum conn_event event)
{
	for (size_t i = 0; i < nitems(transitions); i++) {
		const struct transition *t = &transitions[i];

		if (t->from != conn->state || t->event != event)
			continue;
		log_debug("conn=%u transition %s", conn->id, t->label);
		conn->state = t->to;
		t->action(conn);
		return;
	}
	assert(event != EV_LOST);	/* every state knows it */
	log_warn("conn=%u event %d in state %d: closing", conn->id,
	    (int)event, (int)conn->state);
	conn_event(conn, EV_LOST);
}

void
conn_fail(struct conn *conn, const char *why)
{
	if (conn->closing)
		return;
	log_info("conn=%u peer=%s port %u: %s; connection closed", conn->id,
	    conn->peer.text, conn->peer.port, why);
	conn_event(conn, EV_LOST);
}

/* --- time --- */

static void conn_tick(void *arg);

static void
tick_start(struct conn *conn)
{
	timer_start(conn->server->loop, &conn->timer, TICK_MS, conn_tick,
	    conn);
}

/*
 * Ping after silence.  An initiator that has answered a ping before is gone
 * when it answers no more; one that never did (iPXE ignores pings) gets much
 * longer, for TCP notices a dead host by then.
 */
static void
check_alive(struct conn *conn, uint64_t now)
{
	const struct target_server_params *p = &conn->server->params;
	uint64_t silent_ms = (now - conn->heard_ns) / NSEC_PER_MSEC;
	uint64_t dead_ms = p->nop_dead_ms;

	if (!conn->ping_answered)
		dead_ms *= DEAD_SILENT_FACTOR;
	if (p->nop_dead_ms != 0 && silent_ms >= dead_ms + p->nop_idle_ms) {
		conn_fail(conn, "no sign of life");
		return;
	}
	if (p->nop_idle_ms == 0 || silent_ms < p->nop_idle_ms ||
	    (now - conn->pinged_ns) / NSEC_PER_MSEC < p->nop_idle_ms)
		return;
	conn->pinged_ns = now;
	control_ping(conn);
}

static void
conn_tick(void *arg)
{
	struct conn *conn = arg;

	if (conn->closing)
		return;
	assert(conn->stream != NULL);
	rx_check(conn);
	if (!conn->closing)
		tx_check(conn);
	if (!conn->closing)
		check_alive(conn, loop_now(conn->server->loop));
	if (!conn->closing)
		tick_start(conn);
}

static void
login_timeout(void *arg)
{
	conn_fail(arg, "login takes too long");
}

/* --- the op --- */

enum conn_step { CONN_LOGIN, CONN_FULL, CONN_END };
static const char *const conn_steps[] = { "LOGIN", "FULL", "END" };

static void
conn_login(struct conn *conn)
{
	timer_start(conn->server->loop, &conn->timer,
	    conn->server->params.login_timeout_ms, login_timeout, conn);
	login_start(conn->login, &conn->op);
}

static void
conn_full(struct conn *conn)
{
	bool ok = login_succeeded(conn->login);

	assert(conn->stream == NULL || conn->session != NULL);
	timer_stop(conn->server->loop, &conn->timer);
	login_free(conn->login);
	conn->login = NULL;
	if (!ok && !conn->closing)
		conn_event(conn, EV_LOST);
	if (conn->closing)
		return;
	conn_event(conn, EV_LOGIN_DONE);
	assert(conn->session != NULL && conn->stream != NULL);
	conn->heard_ns = conn->pinged_ns = loop_now(conn->server->loop);
	tick_start(conn);
	rx_start(conn);
	tx_start(conn);
}

static void
conn_end(struct conn *conn)
{
	struct target_server *server = conn->server;

	assert(conn->closing && conn->state == CONN_CLEANUP_WAIT);
	assert(conn->login == NULL);
	assert(server->nconns > 0);
	timer_stop(server->loop, &conn->timer);
	if (conn->session != NULL)
		session_free(conn->session);
	stream_free(conn->stream);
	sock_close(conn->sock);
	TAILQ_REMOVE(&server->conns, conn, link);
	server->nconns--;
	op_wake_all(&conn->enders);
	op_end(&conn->op);
	free(conn);
	server_conn_gone(server);
}

static void
conn_run(struct op *op)
{
	struct conn *conn = op_owner(op, struct conn);

	switch ((enum conn_step)op->step) {
	case CONN_LOGIN:
		conn_login(conn);
		op->step = CONN_FULL;
		return;
	case CONN_FULL:
		conn_full(conn);
		op->step = CONN_END;
		return;
	case CONN_END:
		conn_end(conn);
		return;
	}
	bug("conn: bad step");
}

static void
conn_describe(const struct op *op, char *text, size_t size)
{
	const struct conn *conn = op_owner(op, const struct conn);

	snprintf(text, size, "%u %s", conn->id, conn->peer.text);
}

static const struct op_type conn_op_type = {
	.name = "conn", .steps = conn_steps, .nsteps = nitems(conn_steps),
	.run = conn_run, .describe = conn_describe,
};

void
conn_new(struct target_server *server, struct sock *sock, uint16_t tag)
{
	struct conn *conn;

	if (server->nconns >= server->params.connections_max) {
		log_warn("too many connections (%u): one refused",
		    server->nconns);
		sock_close(sock);
		return;
	}
	conn = calloc(1, sizeof(*conn));
	if (conn != NULL)
		conn->login = login_new(conn);
	if (conn == NULL || conn->login == NULL) {
		log_err("no memory for a connection");
		free(conn);
		sock_close(sock);
		return;
	}
	assert(tag > 0);
	conn->server = server;
	conn->sock = sock;
	conn->tag = tag;
	conn->id = ++server->next_conn;
	conn->params = iscsi_params_default;
	op_queue_init(&conn->enders);
	sock_peer(sock, &conn->peer);
	sock_local(sock, &conn->local);
	loop_random(server->loop, &conn->stat_sn, sizeof(conn->stat_sn));
	TAILQ_INSERT_TAIL(&server->conns, conn, link);
	server->nconns++;
	op_start(&conn->op, &conn_op_type, loop_sched(server->loop), NULL);
}
