/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The iSCSI target as a whole (target/target.h): start, stop, configuration
 * as a live difference, and what is going on.
 *
 * Invariant: after target_apply() every session has exactly the LUNs that the
 * new configuration gives it, and nothing refers to a LUN that it does not
 * name.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

const struct target_server_params target_server_defaults = {
	.buffers_small = 2048,		/* 8 MiB */
	.buffers_large = 384,		/* 24 MiB */
	.connections_max = 2048,
	.queue_depth = 128,
	.nop_idle_ms = 15000,
	.nop_dead_ms = 60000,
	.login_timeout_ms = 15000,
};

#define QUEUE_DEPTH_MAX 1024u

struct target_server *
target_server_new(struct loop *loop, const struct target_server_params *params,
    struct err *err)
{
	static const struct target_conf nothing;
	struct target_server *server = calloc(1, sizeof(*server));

	assert(params->queue_depth > 0);
	assert(params->queue_depth <= QUEUE_DEPTH_MAX);
	assert(params->buffers_large >= BUF_LEN_MAX / BUF_LARGE);
	if (server != NULL) {
		server->bufs = buf_pool_new(params->buffers_small,
		    params->buffers_large);
		(void)access_new(&nothing, &server->access, err);
	}
	if (server == NULL || server->bufs == NULL ||
	    server->access == NULL) {
		err_set(err, ENOMEM, "no memory for the iSCSI target");
		err_hint(err, "give it fewer buffers");
		if (server != NULL) {
			access_free(server->access);
			buf_pool_free(server->bufs);
		}
		free(server);
		return NULL;
	}
	server->loop = loop;
	server->params = *params;
	TAILQ_INIT(&server->conns);
	TAILQ_INIT(&server->portals);
	TAILQ_INIT(&server->tgts);
	TAILQ_INIT(&server->hungry);
	return server;
}

uint16_t
server_tsih(struct target_server *server)
{
	do {
		server->next_tsih++;
	} while (server->next_tsih == 0 ||
	    session_by_tsih(server, server->next_tsih) != NULL);
	return server->next_tsih;
}

/* --- configuration --- */

static void
refresh_sessions(struct target_server *server)
{
	struct conn *conn, *next;

	for (conn = TAILQ_FIRST(&server->conns); conn != NULL; conn = next) {
		struct session *session = conn->session;

		next = TAILQ_NEXT(conn, link);
		if (session == NULL || session->discovery)
			continue;
		if (conn->closing)
			scsi_nexus_set_map(session->nexus, NULL, 0);
		else if (!session_refresh(session))
			conn_fail(conn, "access was taken away");
	}
}

static int
make_targets(struct target_server *server, const struct access *access,
    struct err *err)
{
	for (unsigned i = 0; i < access->ntargets; i++) {
		struct tgt *tgt = tgt_get(server, access->targets[i].name);

		if (tgt == NULL)
			return err_set(err, ENOMEM, "out of memory");
		tgt->gone = true;	/* until the new one counts */
	}
	return 0;
}

int
target_apply(struct target_server *server, const struct target_conf *conf,
    struct err *err)
{
	struct access *access;
	struct tgt *tgt, *next;
	int res = access_new(conf, &access, err);

	if (res != 0)
		return res;
	assert(access != NULL);
	res = make_targets(server, access, err);
	if (res == 0) {
		access_free(server->access);
		server->access = access;
	} else {
		access_free(access);
	}
	for (tgt = TAILQ_FIRST(&server->tgts); tgt != NULL; tgt = next) {
		int i = access_target(server->access, tgt->name);

		next = TAILQ_NEXT(tgt, link);
		tgt->gone = i < 0;
		if (i >= 0)
			strcpy(tgt->alias, server->access->targets[i].alias);
		tgt_put(server, tgt);
	}
	if (res == 0)
		refresh_sessions(server);
	return res;
}

/* --- stop --- */

enum stop_step { STOP_ASK, STOP_CLOSE, STOP_FREE };
static const char *const stop_steps[] = { "ASK", "CLOSE", "FREE" };

static void
stop_go_on(struct target_server *server)
{
	if (!server->stop_held)
		return;
	server->stop_held = false;
	timer_stop(server->loop, &server->stop_timer);
	op_unhold(&server->stop->op);
}

static void
stop_timeout(void *arg)
{
	stop_go_on(arg);
}

static void
stop_hold(struct target_server *server)
{
	assert(!server->stop_held && server->stop != NULL);
	if (TAILQ_EMPTY(&server->conns))
		return;
	server->stop_held = true;
	op_hold(&server->stop->op);
}

static void
stop_ask(struct target_server *server)
{
	struct conn *conn, *next;

	portals_close(server);
	for (conn = TAILQ_FIRST(&server->conns); conn != NULL; conn = next) {
		next = TAILQ_NEXT(conn, link);
		if (conn->session != NULL && conn->state == CONN_LOGGED_IN &&
		    !conn->session->discovery)
			conn_event(conn, EV_ASK_LOGOUT);
		else
			conn_event(conn, EV_LOST);
	}
	stop_hold(server);
	if (server->stop_held)
		timer_start(server->loop, &server->stop_timer,
		    LOGOUT_WAIT_MS, stop_timeout, server);
}

static void
stop_close(struct target_server *server)
{
	struct conn *conn, *next;

	for (conn = TAILQ_FIRST(&server->conns); conn != NULL; conn = next) {
		next = TAILQ_NEXT(conn, link);
		conn_event(conn, EV_LOST);
	}
	stop_hold(server);
}

static void
server_free(struct target_server *server)
{
	struct tgt *tgt;

	assert(TAILQ_EMPTY(&server->conns) && server->nconns == 0);
	assert(server->share_used == 0 && server->stash_used == 0);
	while ((tgt = TAILQ_FIRST(&server->tgts)) != NULL) {
		tgt->gone = true;
		tgt_put(server, tgt);
	}
	access_free(server->access);
	buf_pool_free(server->bufs);
	free(server);
}

static void
stop_run(struct op *op)
{
	struct target_server_stop *stop = op_owner(op,
	    struct target_server_stop);

	switch ((enum stop_step)op->step) {
	case STOP_ASK:
		stop_ask(stop->server);
		op->step = STOP_CLOSE;
		return;
	case STOP_CLOSE:
		stop_close(stop->server);
		op->step = STOP_FREE;
		return;
	case STOP_FREE:
		server_free(stop->server);
		stop->server = NULL;
		op_end(op);
		return;
	}
	bug("target_stop: bad step");
}

static const struct op_type stop_op_type = {
	.name = "target_stop", .steps = stop_steps,
	.nsteps = nitems(stop_steps), .run = stop_run,
};

void
target_server_stop_start(struct target_server_stop *stop, struct op *parent)
{
	assert(stop->server->stop == NULL);
	stop->server->stop = stop;
	op_start(&stop->op, &stop_op_type, loop_sched(stop->server->loop),
	    parent);
}

void
server_conn_gone(struct target_server *server)
{
	if (TAILQ_EMPTY(&server->conns))
		stop_go_on(server);
}

/* --- what is going on --- */

static void
session_info(const struct conn *conn, struct target_session_info *info)
{
	const struct session *s = conn->session;
	const struct iscsi_params *p = &conn->params;

	assert(s != NULL && s->discovery == (s->tgt == NULL));
	memset(info, 0, sizeof(*info));
	strcpy(info->initiator, s->initiator);
	if (s->tgt != NULL)
		strcpy(info->target, s->tgt->name);
	strcpy(info->initiator_alias, s->initiator_alias);
	strcpy(info->host, s->host);
	memcpy(info->isid, s->isid, sizeof(info->isid));
	info->tsih = s->tsih;
	info->discovery = s->discovery;
	info->peer = conn->peer;
	info->local = conn->local;
	info->since_s = s->since_s;
	info->auth = s->auth;
	info->mutual = s->mutual;
	info->header_digest = p->header_digest != 0;
	info->data_digest = p->data_digest != 0;
	info->initial_r2t = p->initial_r2t != 0;
	info->immediate_data = p->immediate_data != 0;
	info->max_recv_segment = p->max_recv_segment;
	info->max_send_segment = p->max_send_segment;
	info->first_burst = p->first_burst;
	info->max_burst = p->max_burst;
	info->max_outstanding_r2t = p->max_outstanding_r2t;
	info->tasks = s->nlive;
	info->reads = s->reads;
	info->writes = s->writes;
	info->read_bytes = s->read_bytes;
	info->write_bytes = s->write_bytes;
	info->id = conn->id;
}

void
target_sessions(struct target_server *server,
    void (*fn)(void *arg, const struct target_session_info *info), void *arg)
{
	struct target_session_info info;
	const struct conn *conn;

	TAILQ_FOREACH(conn, &server->conns, link) {
		if (conn->session == NULL || conn->closing)
			continue;
		session_info(conn, &info);
		fn(arg, &info);
	}
}

bool
target_session_drop(struct target_server *server, unsigned id)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &server->conns, link) {
		if (conn->id != id || conn->session == NULL || conn->closing)
			continue;
		conn_fail(conn, "dropped by the administrator");
		return true;
	}
	return false;
}

static unsigned
knock_find(const struct target_server *server, const char *initiator,
    const char *target, const struct sock_addr *peer)
{
	for (unsigned i = 0; i < server->nknocks; i++) {
		const struct target_knock *k = &server->knocks[i];

		if (strcmp(k->initiator, initiator) == 0 &&
		    strcmp(k->target, target) == 0 &&
		    strcmp(k->peer.text, peer->text) == 0)
			return i;
	}
	return server->nknocks;
}

void
server_knock(struct target_server *server, const char *initiator,
    const char *target, const struct sock_addr *peer, const char *why)
{
	unsigned i = knock_find(server, initiator, target, peer);
	struct target_knock knock = { .count = 0 };

	if (i < server->nknocks)
		knock = server->knocks[i];
	else if (server->nknocks < KNOCKS_MAX)
		i = server->nknocks++;
	else
		i = KNOCKS_MAX - 1;	/* the oldest makes room */
	assert(i < KNOCKS_MAX);
	memmove(&server->knocks[1], &server->knocks[0],
	    i * sizeof(server->knocks[0]));
	strcpy(knock.initiator, initiator);
	strcpy(knock.target, target);
	knock.peer = *peer;
	knock.last_s = loop_wall_time(server->loop);
	knock.count++;
	assert(strlen(initiator) < sizeof(knock.initiator));
	assert(strlen(target) < sizeof(knock.target));
	strncpy(knock.why, why, sizeof(knock.why) - 1);
	server->knocks[0] = knock;
}

unsigned
target_knocks(const struct target_server *server, struct target_knock *out,
    unsigned max)
{
	unsigned n = MIN(max, server->nknocks);

	if (n > 0)
		memcpy(out, server->knocks, n * sizeof(*out));
	return n;
}
