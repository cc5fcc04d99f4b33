/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session: who talks to which target, the CmdSN window, the task pool.
 *
 * Invariants: MaxCmdSN never goes back; for every command inside the window a
 * task is free; ExpCmdSN moves by one for each non-immediate command taken.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

#define WINDOW_MIN 4u	/* even when buffers are short */

static bool
pool_new(struct session *session)
{
	unsigned n = session->depth + IMMEDIATE_MAX + TX_TASKS;

	assert(session->tasks == NULL && session->depth > 0);
	assert(n < UINT16_MAX);
	session->tasks = calloc(n, sizeof(*session->tasks));
	session->tmfs = tmf_pool_new(session);
	if (session->tasks == NULL || session->tmfs == NULL)
		return false;
	session->ntasks = n;	/* memory is touched when they are used */
	return true;
}

static bool
nexus_new(struct session *session)
{
	struct target_server *server = session->conn->server;
	struct scsi_port *port = tgt_port(session->tgt, session->conn->tag);

	if (port == NULL)
		return false;
	session->nexus = scsi_nexus_new(server->loop, port,
	    session->initiator, session->isid, server->bufs);
	return session->nexus != NULL;
}

struct session *
session_new(struct conn *conn, const char *initiator, const uint8_t isid[6],
    bool discovery, struct tgt *tgt)
{
	struct session *session = calloc(1, sizeof(*session));

	assert(initiator[0] != '\0' && strlen(initiator) <= SCSI_NAME_MAX);
	assert(conn->session == NULL && discovery == (tgt == NULL));
	if (session == NULL)
		return NULL;
	TAILQ_INIT(&session->free);
	TAILQ_INIT(&session->live);
	op_queue_init(&session->hungry_tasks);
	session->conn = conn;
	session->discovery = discovery;
	session->tgt = tgt;
	session->depth = conn->server->params.queue_depth;
	session->since_s = loop_wall_time(conn->server->loop);
	session->auth = "none";
	strncpy(session->initiator, initiator, SCSI_NAME_MAX);
	session->abort_complete = access_iqn_match(
	    "iqn.1998-01.com.vmware:*", initiator);
	memcpy(session->isid, isid, sizeof(session->isid));
	if (tgt != NULL)
		tgt->sessions++;
	if (!discovery && (!pool_new(session) || !nexus_new(session))) {
		session_free(session);
		return NULL;
	}
	session->tsih = server_tsih(conn->server);
	assert(session->tsih != 0);
	conn->session = session;
	return session;
}

void
session_free(struct session *session)
{
	assert(session->nlive == 0 && session->busy == 0);
	assert(session->hungry == 0 && session->share_used == 0);
	if (session->nexus != NULL)
		scsi_nexus_free(session->nexus);
	if (session->tgt != NULL) {
		assert(session->tgt->sessions > 0);
		session->tgt->sessions--;
		tgt_put(session->conn->server, session->tgt);
	}
	free(session->tmfs);
	free(session->tasks);
	free(session);
}

bool
session_refresh(struct session *session)
{
	struct conn *conn = session->conn;
	const struct access *access = conn->server->access;
	struct access_who who = { session->initiator, &conn->peer,
	    session->chap_user[0] != '\0' ? session->chap_user : NULL };
	struct scsi_map_entry map[SCSI_LUNS_MAX];
	const struct access_host *host = NULL;
	unsigned n = 0;
	int target;

	assert(!session->discovery);
	target = access_target(access, session->tgt->name);
	if (target >= 0)
		n = access_map(access, &who, (unsigned)target, map, &host);
	if (host == NULL)
		n = 0;
	scsi_nexus_set_map(session->nexus, map, n);
	if (host != NULL)
		memcpy(session->host, host->name, sizeof(session->host));
	return host != NULL;
}

/* --- CmdSN (RFC 7143 4.2.2.1) --- */

/*
 * Places in the window, fewer when data buffers are short.  It never closes:
 * a command can always be sent, and waits here for its buffer.
 */
static unsigned
window_depth(const struct session *session)
{
	unsigned depth = session->depth;

	if (!TAILQ_EMPTY(&session->conn->server->hungry))
		depth = MAX(depth / 4, WINDOW_MIN);
	return MIN(depth, session->depth);
}

uint32_t
session_max_cmd_sn(struct session *session)
{
	unsigned depth = window_depth(session), used = session->busy;
	uint32_t max;

	assert(depth > 0);
	max = session->exp_cmd_sn + (used < depth ? depth - used : 0) - 1;
	if (sn_before(session->max_cmd_sn, max))
		session->max_cmd_sn = max;
	assert(used <= session->depth);
	return session->max_cmd_sn;
}

enum cmd_sn
session_cmd_sn(struct session *session, const struct pdu *pdu)
{
	if (pdu->immediate)
		return CMD_SN_OK;
	if (!sn_between(session->exp_cmd_sn, pdu->cmd_sn,
	    session->max_cmd_sn))
		return CMD_SN_IGNORE;
	/*
	 * One connection carries commands in order (RFC 7143 4.2.2.1) and
	 * without recovery levels nothing is ever sent again: a gap would
	 * stay for ever.
	 */
	if (pdu->cmd_sn != session->exp_cmd_sn)
		return CMD_SN_GAP;
	session->exp_cmd_sn++;
	return CMD_SN_OK;
}

/* --- looking for sessions --- */

struct conn *
session_find(struct target_server *server, const char *initiator,
    const uint8_t isid[6], const struct tgt *tgt, uint16_t tag,
    const struct conn *except)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &server->conns, link) {
		const struct session *s = conn->session;

		if (conn == except || s == NULL || s->discovery ||
		    s->tgt != tgt || conn->tag != tag ||
		    memcmp(s->isid, isid, sizeof(s->isid)) != 0 ||
		    strcasecmp(s->initiator, initiator) != 0)
			continue;
		return conn;
	}
	return NULL;
}

struct conn *
session_by_tsih(struct target_server *server, uint16_t tsih)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &server->conns, link)
		if (conn->session != NULL && conn->session->tsih == tsih)
			return conn;
	return NULL;
}

/* --- aborted tasks --- */

void
session_note_aborted(struct session *session, uint32_t itt)
{
	session->aborted[session->naborted++ % ABORTED_MAX] = itt;
}

bool
session_was_aborted(const struct session *session, uint32_t itt)
{
	unsigned n = MIN(session->naborted, ABORTED_MAX);

	for (unsigned i = 0; i < n; i++)
		if (session->aborted[i] == itt)
			return true;
	return false;
}

void
session_abort_all(struct session *session)
{
	struct task *task;

	assert(session->conn->closing);
	TAILQ_FOREACH(task, &session->live, link)
		task_abort(task);
}
