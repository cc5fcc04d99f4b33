/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket.
 *
 * Each connection has a receiving op, which carries out its requests one
 * after the other, and a sending op, which empties a queue of lines.
 *
 * Invariants: a line is at most CONTROL_LINE_MAX bytes and the queue at most
 * CONTROL_QUEUE_MAX, else the connection is closed; a connection is freed by
 * its receiving op, after its sending op has ended; nothing a peer sends
 * closes more than its own connection.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/req.h"
#include "core/log.h"

#define RECV_CHUNK ((size_t)4096)

struct line {
	STAILQ_ENTRY(line) link;
	size_t len;
	char text[];
};
STAILQ_HEAD(lines, line);

struct conn {
	TAILQ_ENTRY(conn) link;
	struct control *control;
	struct sock *sock;
	struct op rx, tx;
	struct io rx_io, tx_io;
	struct iovec rx_iov, tx_iov;
	char *in;
	size_t in_len, in_size, in_seen;	/* seen: no newline before */
	struct req *req;
	json_t *req_id;
	struct lines out;
	size_t out_bytes;
	struct op_queue tx_wait;	/* tx: for lines or the end */
	struct op_queue rx_wait;	/* rx: for the end of tx */
	bool follow, closing, dead;
};

struct control {
	struct dozo *dozo;
	struct listener *listener;
	TAILQ_HEAD(, conn) conns;
	unsigned nconns;
	struct op_queue gone;
};

enum rx_step { RX_RECV, RX_RECEIVED, RX_LINE, RX_REPLY, RX_CLOSE, RX_FREE };
enum tx_step { TX_SEND, TX_SENT };

static const char *const rx_steps[] = { "RECV", "RECEIVED", "LINE", "REPLY",
	"CLOSE", "FREE" };
static const char *const tx_steps[] = { "SEND", "SENT" };

static void rx_run(struct op *op);
static void tx_run(struct op *op);

static const struct op_type rx_type = {
	.name = "control_rx",
	.steps = rx_steps,
	.nsteps = nitems(rx_steps),
	.run = rx_run,
};
static const struct op_type tx_type = {
	.name = "control_tx",
	.steps = tx_steps,
	.nsteps = nitems(tx_steps),
	.run = tx_run,
};

/* --- sending --- */

static void
conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	sock_shutdown(c->sock);
	op_wake(&c->tx_wait);
}

static void
conn_send(struct conn *c, const json_t *json)
{
	size_t len;
	struct line *line;

	assert(c->out_bytes <= CONTROL_QUEUE_MAX + 1);
	if (c->dead)
		return;
	len = json_dumpb(json, NULL, 0, JSON_COMPACT);
	line = len > 0 && c->out_bytes + len <= CONTROL_QUEUE_MAX ?
	    malloc(sizeof(*line) + len + 1) : NULL;
	if (line == NULL) {
		log_warn("control connection closed: it does not read");
		conn_kill(c);
		return;
	}
	line->len = json_dumpb(json, line->text, len, JSON_COMPACT);
	assert(line->len == len);
	line->text[line->len++] = '\n';
	STAILQ_INSERT_TAIL(&c->out, line, link);
	c->out_bytes += line->len;
	op_wake(&c->tx_wait);
}

static void
drop_line(struct conn *c)
{
	struct line *line = STAILQ_FIRST(&c->out);

	assert(line != NULL && c->out_bytes >= line->len);
	STAILQ_REMOVE_HEAD(&c->out, link);
	c->out_bytes -= line->len;
	free(line);
}

static void
tx_run(struct op *op)
{
	struct conn *c = container_of(op, struct conn, tx);
	struct line *line = STAILQ_FIRST(&c->out);

	switch ((enum tx_step)op->step) {
	case TX_SEND:
		if (c->dead || (line == NULL && c->closing)) {
			op_wake(&c->rx_wait);
			op_end(op);
			return;
		}
		if (line == NULL) {
			op_wait(&c->tx_wait, op);
			return;
		}
		c->tx_iov = (struct iovec){ line->text, line->len };
		sock_send(c->sock, &c->tx_io, &c->tx_iov, 1, op);
		op->step = TX_SENT;
		return;
	case TX_SENT:
		if (c->tx_io.result < 0)
			conn_kill(c);
		drop_line(c);
		op->step = TX_SEND;
		return;
	}
	bug("control_tx: bad step %u", op->step);
}

/* --- requests --- */

static void
reply(struct conn *c, const char *key, json_t *value, bool ok)
{
	json_t *json = json_pack("{s:O?, s:b, s:o}", "id", c->req_id, "ok",
	    (int)ok, key, value != NULL ? value : json_null());

	if (json != NULL) {
		conn_send(c, json);
		json_decref(json);
	} else {
		conn_kill(c);	/* no memory for an answer */
	}
	json_decref(c->req_id);
	c->req_id = NULL;
}

static void
reply_err(struct conn *c, const struct err *err)
{
	assert(err_is(err));
	reply(c, "error", err_json(err), false);
}

/* Check the envelope and make the request; NULL with err. */
static struct req *
make_req(struct conn *c, const json_t *json, struct err *err)
{
	const char *name = json_string_value(json_object_get(json, "verb"));
	const char *match = json_string_value(json_object_get(json,
	    "if_match"));
	const char *by = json_string_value(json_object_get(json, "by"));
	json_t *args = json_object_get(json, "args");
	const json_t *dry_run = json_object_get(json, "dry_run");
	const struct verb *verb;
	struct req *req;

	if (name == NULL) {
		err_set(err, EINVAL, "the request has no \"verb\"");
		return NULL;
	}
	verb = verb_find(name);
	if (verb == NULL) {
		const char *nearest = verb_schema_nearest(name);

		err_set(err, EINVAL, "there is no verb \"%.40s\"", name);
		if (nearest != NULL)
			err_hint(err, "Did you mean \"%s\"?", nearest);
		return NULL;
	}
	if (dry_run != NULL && !json_is_boolean(dry_run)) {
		err_set(err, EINVAL, "\"dry_run\" must be true or false");
		return NULL;
	}
	req = req_new(c->control->dozo, verb, json_incref(args));
	if (req == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	req->dry_run = json_is_true(dry_run);
	req->uid = sock_peer_uid(c->sock);
	if (by != NULL && ident_name_ok("user", by, NULL))
		snprintf(req->by, sizeof(req->by), "%s", by);
	else
		snprintf(req->by, sizeof(req->by), req->uid == 0 ? "root" :
		    "uid %d", (int)req->uid);
	if (match != NULL)
		snprintf(req->if_match, sizeof(req->if_match), "%s", match);
	return req;
}

/* Start the request in the line; without one an error was queued. */
static void
start_line(struct conn *c, const char *text, size_t len)
{
	struct err err = { 0 };
	json_error_t why;
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

	assert(c->req == NULL && c->req_id == NULL);
	if (json == NULL) {
		err_set(&err, EINVAL, "the request is not JSON: %s (column "
		    "%d)", why.text, why.column);
	} else if (!json_is_object(json)) {
		err_set(&err, EINVAL, "the request is not a JSON object");
	} else {
		c->req_id = json_incref(json_object_get(json, "id"));
		c->req = make_req(c, json, &err);
	}
	json_decref(json);
	if (c->req == NULL)
		reply_err(c, &err);
	else
		req_start(c->req, &c->rx);
}

static void
finish_line(struct conn *c)
{
	struct req *req = c->req;

	assert(c->rx.pending == 0);
	c->req = NULL;
	if (req == NULL)
		return;
	if (req->is_job) {
		reply(c, "job", job_json(req), true);
		return;		/* the list of jobs owns it */
	}
	assert(req->ended);
	if (err_is(&req->err))
		reply_err(c, &req->err);
	else
		reply(c, "result", json_incref(req->result), true);
	if (!err_is(&req->err) && strcmp(req->verb->name, "events") == 0)
		c->follow = arg_bool(req, "follow");
	req_free(req);
}

/* --- receiving --- */

/* Room for one more chunk; false if the line is too long. */
static bool
make_room(struct conn *c)
{
	size_t size = c->in_size == 0 ? RECV_CHUNK : c->in_size * 2;
	char *in;

	assert(c->in_len <= c->in_size);
	if (c->in_size - c->in_len >= RECV_CHUNK / 2)
		return true;
	if (size > CONTROL_LINE_MAX)
		return c->in_len < c->in_size;
	in = realloc(c->in, size);
	if (in == NULL)
		return false;
	c->in = in;
	c->in_size = size;
	return true;
}

/* The first complete line, or NULL. */
static char *
find_line(struct conn *c)
{
	char *end;

	assert(c->in_seen <= c->in_len);
	if (c->in_len == c->in_seen)
		return NULL;
	end = memchr(c->in + c->in_seen, '\n', c->in_len - c->in_seen);
	if (end == NULL)
		c->in_seen = c->in_len;
	return end;
}

static void
rx_recv(struct conn *c)
{
	struct err err = { 0 };

	if (c->dead || c->control->dozo->stopping) {
		c->rx.step = RX_CLOSE;
		return;
	}
	if (find_line(c) != NULL) {
		c->rx.step = RX_LINE;
		return;
	}
	if (!make_room(c)) {
		err_set(&err, EFBIG, "the request is longer than %zu bytes",
		    CONTROL_LINE_MAX);
		reply_err(c, &err);
		c->rx.step = RX_CLOSE;
		return;
	}
	c->rx_iov = (struct iovec){ c->in + c->in_len,
		c->in_size - c->in_len };
	sock_recv(c->sock, &c->rx_io, &c->rx_iov, 1, &c->rx);
	c->rx.step = RX_RECEIVED;
}

static void
rx_line(struct conn *c)
{
	char *end = find_line(c);
	size_t len = (size_t)(end - c->in);

	assert(end != NULL);
	if (len > 0)
		start_line(c, c->in, len);
	c->in_len -= len + 1;
	memmove(c->in, end + 1, c->in_len);
	c->in_seen = 0;
}

static void
conn_free(struct conn *c)
{
	struct control *control = c->control;

	assert(c->tx.ended && c->req == NULL);
	sock_close(c->sock);
	while (!STAILQ_EMPTY(&c->out))
		drop_line(c);
	TAILQ_REMOVE(&control->conns, c, link);
	control->nconns--;
	json_decref(c->req_id);
	free(c->in);
	free(c);
	if (control->nconns == 0)
		op_wake_all(&control->gone);
}

static void
rx_run(struct op *op)
{
	struct conn *c = container_of(op, struct conn, rx);

	switch ((enum rx_step)op->step) {
	case RX_RECV:
		rx_recv(c);
		return;
	case RX_RECEIVED:
		if (c->rx_io.result > 0)
			c->in_len += (size_t)c->rx_io.result;
		op->step = c->rx_io.result > 0 ? RX_RECV : RX_CLOSE;
		return;
	case RX_LINE:
		rx_line(c);
		op->step = RX_REPLY;
		return;
	case RX_REPLY:
		finish_line(c);
		op->step = RX_RECV;
		return;
	case RX_CLOSE:
		c->closing = true;
		op_wake(&c->tx_wait);
		if (!c->tx.ended)
			op_wait(&c->rx_wait, op);
		op->step = RX_FREE;
		return;
	case RX_FREE:
		op_end(op);
		conn_free(c);
		return;
	}
	bug("control_rx: bad step %u", op->step);
}

/* --- connections --- */

static void
control_accept(void *arg, struct sock *sock)
{
	struct control *control = arg;
	struct op_sched *sched = loop_sched(control->dozo->loop);
	struct conn *c;

	c = control->nconns < CONTROL_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL) {
		log_warn("control connection refused: there are %u already",
		    control->nconns);
		sock_close(sock);
		return;
	}
	c->control = control;
	c->sock = sock;
	STAILQ_INIT(&c->out);
	op_queue_init(&c->tx_wait);
	op_queue_init(&c->rx_wait);
	TAILQ_INSERT_TAIL(&control->conns, c, link);
	control->nconns++;
	op_start(&c->tx, &tx_type, sched, NULL);
	op_start(&c->rx, &rx_type, sched, NULL);
}

void
control_event(struct dozo *d, const json_t *event)
{
	struct conn *c;

	if (d->control == NULL)
		return;
	TAILQ_FOREACH(c, &d->control->conns, link) {
		if (c->follow)
			conn_send(c, event);
	}
}

/* The directory of the socket may be on a fresh tmpfs. */
static void
make_socket_dir(const char *path)
{
	char dir[sizeof(((struct conf *)0)->control_socket)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return;
	*slash = '\0';
	/* If it cannot be made, listening says so. */
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		log_warn("cannot make %s: %s", dir, strerror(errno));
}

int
control_open(struct dozo *d, struct err *err)
{
	struct control *control = calloc(1, sizeof(*control));
	struct sock_addr addr = { .port = 0 };
	int r;

	if (control == NULL)
		return err_set(err, ENOMEM, "out of memory");
	control->dozo = d;
	TAILQ_INIT(&control->conns);
	op_queue_init(&control->gone);
	make_socket_dir(d->conf.control_socket);
	r = snprintf(addr.text, sizeof(addr.text), "%s",
	    d->conf.control_socket);
	if (r >= (int)sizeof(addr.text)) {
		free(control);
		return err_set(err, ENAMETOOLONG, "control-socket: the path "
		    "is longer than %zu characters", sizeof(addr.text) - 1);
	}
	r = listener_open(d->loop, &addr, control_accept, control,
	    &control->listener, err);
	if (r != 0) {
		free(control);
		return r;
	}
	d->control = control;
	return 0;
}

void
control_stop(struct dozo *d, struct op *op)
{
	struct control *control = d->control;
	struct conn *c;

	if (control == NULL)
		return;
	assert(d->stopping);
	if (control->listener != NULL)
		listener_close(control->listener);
	control->listener = NULL;
	TAILQ_FOREACH(c, &control->conns, link) {
		/* One that has a request is hung up after its answer. */
		if (c->req == NULL)
			sock_shutdown(c->sock);
	}
	if (control->nconns > 0)
		op_wait(&control->gone, op);
}

void
control_free(struct dozo *d)
{
	if (d->control == NULL)
		return;
	assert(d->control->nconns == 0 && d->control->listener == NULL);
	free(d->control);
	d->control = NULL;
}
