/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair shares of the data buffers.
 *
 * A session may use at most twice what is left free (a dynamic threshold):
 * alone it gets two thirds of the large buffers, n greedy ones get 2 / (2n +
 * 1) each.  The last 4 MiB are for sessions with nothing in flight.  So an
 * initiator that sends no data or reads no answers hardly bothers the others
 * until it is dropped (tx_check).
 *
 * While buffers are short, write data that arrives before its command has a
 * buffer is put aside (the stash), so that the receiver, and with it the data
 * of older commands, pings and aborts, never stands still.
 *
 * Invariants: server->share_used is the sum over sessions; a task is counted
 * from its start to its end; commands of a session start in order.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/iscsi/iscsi_priv.h"

/* What a command can hold at most. */
static uint64_t
cost(const struct task *task)
{
	uint64_t len = MIN((uint64_t)task->edtl, BUF_LEN_MAX);

	return len <= BUF_SMALL ? 0 : round_up(len, BUF_LARGE);
}

/* Small buffers are plenty; large ones are what we share. */
static uint64_t
total(const struct target_server *server)
{
	return server->params.buffers_large * BUF_LARGE;
}

/*
 * The pool itself never runs dry, for it serves in order and a large request
 * would hold up the small ones behind it.
 */
static bool
fits(const struct session *session, const struct task *task)
{
	const struct target_server *server = session->conn->server;
	uint64_t need = cost(task), left = total(server) - server->share_used;

	assert(server->share_used <= total(server));
	if (need == 0)
		return true;
	if (session->share_used == 0)
		return need <= left;
	return need + BUF_LEN_MAX <= left &&
	    session->share_used + need <= 2 * left;
}

static void
take(struct task *task)
{
	assert(!task->has_share);
	task->has_share = true;
	task->share = cost(task);
	task->session->share_used += task->share;
	task->session->conn->server->share_used += task->share;
}

bool
share_take(struct task *task)
{
	struct session *session = task->session;
	struct target_server *server = session->conn->server;

	if (task->has_share)
		return true;		/* share_put() of another gave it */
	if (session->hungry == 0 && fits(session, task)) {
		take(task);
		return true;
	}
	if (session->hungry++ == 0)
		TAILQ_INSERT_TAIL(&server->hungry, session, hungry_link);
	op_wait(&session->hungry_tasks, &task->op);
	task->is_hungry = true;
	return false;
}

static void
fed(struct session *session)
{
	assert(session->hungry > 0);
	assert(!TAILQ_EMPTY(&session->conn->server->hungry));
	if (--session->hungry == 0)
		TAILQ_REMOVE(&session->conn->server->hungry, session,
		    hungry_link);
}

/* Start the session's next command if there is enough for it. */
static bool
feed_one(struct session *session)
{
	struct target_server *server = session->conn->server;
	struct op *op = STAILQ_FIRST(&session->hungry_tasks);
	struct task *task = container_of(op, struct task, op);

	assert(op != NULL && task->is_hungry);
	if (!fits(session, task))
		return false;
	take(task);
	task->is_hungry = false;
	fed(session);
	if (session->hungry > 0) {		/* to the end of the line */
		TAILQ_REMOVE(&server->hungry, session, hungry_link);
		TAILQ_INSERT_TAIL(&server->hungry, session, hungry_link);
	}
	op_wake(&session->hungry_tasks);
	return true;
}

/* One command of each session in turn, as long as there is enough. */
static void
feed(struct target_server *server)
{
	struct session *session, *next;
	bool any = true;

	while (any) {
		any = false;
		for (session = TAILQ_FIRST(&server->hungry); session != NULL;
		    session = next) {
			next = TAILQ_NEXT(session, hungry_link);
			any |= feed_one(session);
		}
	}
}

void
share_cancel(struct task *task)
{
	struct session *session = task->session;

	if (!task->is_hungry)
		return;
	assert(!task->has_share && session->hungry > 0);
	STAILQ_REMOVE(&session->hungry_tasks, &task->op, op, queue);
	task->is_hungry = false;
	fed(session);
	op_unhold(&task->op);
}

void
share_put(struct task *task)
{
	struct session *session = task->session;
	struct target_server *server = session->conn->server;

	assert(!task->is_hungry);
	assert(session->share_used >= task->share);
	assert(server->share_used >= task->share);
	session->share_used -= task->share;
	server->share_used -= task->share;
	task->share = 0;
	task->has_share = false;
	if (!TAILQ_EMPTY(&server->hungry))
		feed(server);
}

/* --- the stash --- */

bool
stash_new(struct task *task)
{
	struct target_server *server = task->session->conn->server;
	uint32_t len = task->unsol_max;

	assert(task->stash == NULL && len > 0);
	if (server->stash_used + len > STASH_MAX)
		return false;
	task->stash = malloc(len);
	if (task->stash == NULL)
		return false;
	task->stash_got = 0;
	server->stash_used += len;
	return true;
}

void
stash_add(struct task *task, const void *data, uint32_t len)
{
	assert(task->stash != NULL);
	assert(range_ok(task->stash_got, len, task->unsol_max));
	memcpy(task->stash + task->stash_got, data, len);
	task->stash_got += len;
}

void
stash_free(struct task *task)
{
	struct target_server *server = task->session->conn->server;

	if (task->stash == NULL)
		return;
	assert(server->stash_used >= task->unsol_max);
	server->stash_used -= task->unsol_max;
	free(task->stash);
	task->stash = NULL;
}
