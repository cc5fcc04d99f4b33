/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Simulated streams between the process (struct sock) and initiators (struct
 * sim_conn), which outlive it.
 *
 * Each direction is a queue of bytes with at most one delivery under way; a
 * delivery moves a piece of random size, and a receive may get less than what
 * is there.  Data is copied when it is sent, and the sender's buffer is
 * compared when the send ends.
 *
 * Invariants: bytes arrive once and in order; after a reset nothing more is
 * delivered; an initiator hears closed() once, and nothing after it.
 */
#include "tests/sim/sim_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW ((size_t)256 * 1024)	/* a send waits while more is queued */
#define DELAY_NS ((uint64_t)60000)

struct bytes {
	uint8_t *data;
	size_t len, room;
};

struct listener {
	struct sim *sim;
	TAILQ_ENTRY(listener) link;
	void (*accept)(void *arg, struct sock *sock);
	void *arg;
	struct sock_addr addr;
};

/* The process's end. */
struct sock {
	struct sim *sim;
	TAILQ_ENTRY(sock) link;
	struct sim_conn *conn;		/* NULL when the initiator is gone */
	struct sock_addr peer, local;
	struct bytes in;		/* delivered, not received */
	bool in_end, dead, shut;
	struct io *rx, *tx;
	uint32_t tx_sum;
	struct event rx_event, tx_event;
};

/* The initiator's end and the wire in both directions. */
struct sim_conn {
	struct sim *sim;
	struct sock *sock;		/* NULL before accept and after close */
	const struct sim_conn_ops *ops;	/* NULL: freed by the initiator */
	void *arg;
	uint16_t port;
	struct sock_addr from;
	bool dribble, closed;
	struct bytes to_sock, to_conn;
	bool to_sock_end, to_conn_end;
	struct event connect_event, to_sock_event, to_conn_event;
};

static void
append(struct sim *sim, struct bytes *bytes, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (bytes->len + len > bytes->room) {
		bytes->room = MAX(bytes->room * 2, bytes->len + len);
		bytes->data = realloc(bytes->data, bytes->room);
		if (bytes->data == NULL)
			sim_fail(sim, "no memory");
	}
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

static void
consume(struct bytes *bytes, size_t len)
{
	assert(len <= bytes->len);
	bytes->len -= len;
	memmove(bytes->data, bytes->data + len, bytes->len);
}

static uint64_t
delay(struct sim *sim)
{
	return rng_below(&sim->rng, DELAY_NS) *
	    (rng_one_in(&sim->rng, 50) ? 50 : 1);
}

/* How much of `len` bytes arrives next. */
static size_t
piece(struct sim_conn *conn, size_t len)
{
	struct rng *rng = &conn->sim->rng;

	if (len > 1 && conn->dribble)
		return 1 + rng_below(rng, MIN(len, (size_t)80));
	if (len > 1 && rng_one_in(rng, 8))
		return 1 + rng_below(rng, len);
	return len;
}

static void
conn_free(struct sim_conn *conn)
{
	event_cancel(conn->sim, &conn->connect_event);
	event_cancel(conn->sim, &conn->to_sock_event);
	event_cancel(conn->sim, &conn->to_conn_event);
	free(conn->to_sock.data);
	free(conn->to_conn.data);
	free(conn);
}

/* --- towards the initiator --- */

static void
conn_closed(struct sim_conn *conn)
{
	if (conn->closed || conn->ops == NULL)
		return;
	conn->closed = true;
	sim_trace(conn->sim, "%s: connection closed", conn->from.text);
	conn->ops->closed(conn->arg);
}

static void
to_conn_fire(struct event *event)
{
	struct sim_conn *conn = container_of(event, struct sim_conn,
	    to_conn_event);
	struct sim *sim = conn->sim;
	size_t n;
	uint8_t *data;

	if (conn->ops == NULL || conn->closed)
		return;
	if (conn->to_conn.len == 0) {
		conn_closed(conn);
		return;
	}
	n = piece(conn, conn->to_conn.len);
	data = malloc(n);
	if (data == NULL)
		sim_fail(sim, "no memory");
	memcpy(data, conn->to_conn.data, n);
	consume(&conn->to_conn, n);
	sim_trace(sim, "%s: gets %zu bytes, %016llx", conn->from.text, n,
	    (unsigned long long)sim_hash(1, data, n));
	if (conn->to_conn.len > 0 || conn->to_conn_end)
		event_add(sim, event, delay(sim), to_conn_fire);
	conn->ops->data(conn->arg, data, n);
	free(data);
}

static void
wake_to_conn(struct sim_conn *conn)
{
	if (conn->to_conn_event.slot == 0 && !conn->closed)
		event_add(conn->sim, &conn->to_conn_event, delay(conn->sim),
		    to_conn_fire);
}

/* --- towards the process --- */

static void
rx_fire(struct event *event)
{
	struct sock *sock = container_of(event, struct sock, rx_event);
	struct io *io = sock->rx;
	size_t n;

	if (io == NULL)
		return;
	if (sock->dead || sock->shut) {
		sock->rx = NULL;
		io_end(io, sock->dead && !sock->shut ? -ECONNRESET : 0);
		return;
	}
	n = MIN(sock->in.len, io->len);
	if (n == 0 && !sock->in_end)
		return;
	if (n > 1 && rng_one_in(&sock->sim->rng, 8))
		n = 1 + rng_below(&sock->sim->rng, n);
	if (n > 0) {
		iov_from_buf(io->iov, io->niov, 0, sock->in.data, n);
		consume(&sock->in, n);
	}
	sock->rx = NULL;
	io_end(io, (int)n);
}

static void
wake_rx(struct sock *sock)
{
	if (sock->rx != NULL && sock->rx_event.slot == 0)
		event_add(sock->sim, &sock->rx_event, 1000, rx_fire);
}

static void
to_sock_fire(struct event *event)
{
	struct sim_conn *conn = container_of(event, struct sim_conn,
	    to_sock_event);
	struct sock *sock = conn->sock;
	size_t n;

	if (sock == NULL)
		return;
	n = piece(conn, conn->to_sock.len);
	append(conn->sim, &sock->in, conn->to_sock.data, n);
	if (n > 0)
		consume(&conn->to_sock, n);
	if (conn->to_sock.len > 0)
		event_add(conn->sim, event, delay(conn->sim), to_sock_fire);
	else if (conn->to_sock_end)
		sock->in_end = true;
	wake_rx(sock);
	if (sock->in_end && conn->ops == NULL) {
		sock->conn = NULL;
		conn_free(conn);
	}
}

static void
wake_to_sock(struct sim_conn *conn)
{
	if (conn->sock != NULL && conn->to_sock_event.slot == 0)
		event_add(conn->sim, &conn->to_sock_event, delay(conn->sim),
		    to_sock_fire);
}

static void
tx_fire(struct event *event)
{
	struct sock *sock = container_of(event, struct sock, tx_event);
	struct io *io = sock->tx;

	if (io == NULL)
		return;
	if (sock->conn != NULL && !sock->dead && !sock->shut &&
	    sock->conn->to_conn.len > WINDOW) {
		event_add(sock->sim, event, NSEC_PER_MSEC, tx_fire);
		return;
	}
	if (sim_sum_iov(io->iov, io->niov, io->len) != sock->tx_sum)
		sim_fail(sock->sim, "a buffer of %llu bytes was changed while "
		    "it was sent", (unsigned long long)io->len);
	sock->tx = NULL;
	io_end(io, sock->conn == NULL || sock->dead || sock->shut ? -EPIPE :
	    (int)io->len);
}

static void
kill_sock(struct sock *sock)
{
	sock->dead = true;
	sock->conn = NULL;
	wake_rx(sock);
	if (sock->tx != NULL) {
		event_cancel(sock->sim, &sock->tx_event);
		event_add(sock->sim, &sock->tx_event, 1000, tx_fire);
	}
}

/* --- core/loop.h --- */

int
listener_open(struct loop *loop, const struct sock_addr *addr,
    void (*accept)(void *arg, struct sock *sock), void *arg,
    struct listener **out, struct err *err)
{
	struct sim *sim = loop->sim;
	struct listener *listener;

	*out = NULL;
	TAILQ_FOREACH(listener, &sim->listeners, link)
		if (listener->addr.port == addr->port)
			return err_set(err, EADDRINUSE, "port %u is in use",
			    addr->port);
	listener = calloc(1, sizeof(*listener));
	if (listener == NULL)
		sim_fail(sim, "no memory");
	listener->sim = sim;
	listener->accept = accept;
	listener->arg = arg;
	listener->addr = *addr;
	if (addr->port == 0)
		listener->addr.port = sim->next_port++;
	TAILQ_INSERT_TAIL(&sim->listeners, listener, link);
	*out = listener;
	return 0;
}

void
listener_get_addr(const struct listener *listener, struct sock_addr *addr)
{
	*addr = listener->addr;
}

void
listener_close(struct listener *listener)
{
	if (listener == NULL)
		return;
	TAILQ_REMOVE(&listener->sim->listeners, listener, link);
	free(listener);
}

static void
start(struct sock *sock, struct io *io, enum io_kind kind,
    const struct iovec *iov, unsigned niov, struct op *waiter)
{
	assert(niov > 0);
	io_init(io, kind, 0, iov_len(iov, niov), iov, niov, 0);
	assert(io->len > 0);
	io->owner = sock;
	io->waiter = waiter;
	op_hold(waiter);
}

void
sock_recv(struct sock *sock, struct io *io, const struct iovec *iov,
    unsigned niov, struct op *waiter)
{
	assert(sock->rx == NULL);
	start(sock, io, IO_RECV, iov, niov, waiter);
	sock->rx = io;
	if (sock->in.len > 0 || sock->in_end || sock->dead || sock->shut)
		wake_rx(sock);
}

void
sock_send(struct sock *sock, struct io *io, const struct iovec *iov,
    unsigned niov, struct op *waiter)
{
	struct sim_conn *conn = sock->conn;

	assert(sock->tx == NULL);
	start(sock, io, IO_SEND, iov, niov, waiter);
	sock->tx = io;
	sock->tx_sum = sim_sum_iov(iov, niov, io->len);
	if (conn != NULL && !sock->dead && !sock->shut) {
		for (unsigned i = 0; i < niov; i++)
			append(sock->sim, &conn->to_conn, iov[i].iov_base,
			    iov[i].iov_len);
		wake_to_conn(conn);
	}
	event_add(sock->sim, &sock->tx_event, delay(sock->sim), tx_fire);
}

void
sock_shutdown(struct sock *sock)
{
	sock->shut = true;
	wake_rx(sock);
	if (sock->conn != NULL) {
		sock->conn->to_conn_end = true;
		wake_to_conn(sock->conn);
	}
}

void
sock_close(struct sock *sock)
{
	struct sim_conn *conn;

	if (sock == NULL)
		return;
	assert(sock->rx == NULL && sock->tx == NULL);
	conn = sock->conn;
	if (conn != NULL) {
		conn->sock = NULL;
		conn->to_conn_end = true;
		if (conn->ops == NULL)
			conn_free(conn);
		else
			wake_to_conn(conn);
	}
	event_cancel(sock->sim, &sock->rx_event);
	event_cancel(sock->sim, &sock->tx_event);
	TAILQ_REMOVE(&sock->sim->socks, sock, link);
	free(sock->in.data);
	free(sock);
}

void
sock_peer(const struct sock *sock, struct sock_addr *addr)
{
	*addr = sock->peer;
}

void
sock_local(const struct sock *sock, struct sock_addr *addr)
{
	*addr = sock->local;
}

uid_t
sock_peer_uid(const struct sock *sock)
{
	(void)sock;
	return (uid_t)-1;
}

/* --- the initiator's calls --- */

static void
connect_fire(struct event *event)
{
	struct sim_conn *conn = container_of(event, struct sim_conn,
	    connect_event);
	struct sim *sim = conn->sim;
	struct listener *listener;
	struct sock *sock;

	TAILQ_FOREACH(listener, &sim->listeners, link)
		if (listener->addr.port == conn->port)
			break;
	if (listener == NULL) {
		conn_closed(conn);
		return;
	}
	sock = calloc(1, sizeof(*sock));
	if (sock == NULL)
		sim_fail(sim, "no memory");
	sock->sim = sim;
	sock->conn = conn;
	sock->peer = conn->from;
	sock->local = listener->addr;
	if (sock->local.text[0] == '\0')
		snprintf(sock->local.text, sizeof(sock->local.text),
		    "192.0.2.1");
	TAILQ_INSERT_TAIL(&sim->socks, sock, link);
	conn->sock = sock;
	sim_trace(sim, "%s: connected", conn->from.text);
	listener->accept(listener->arg, sock);
	conn->ops->connected(conn->arg);
}

struct sim_conn *
sim_connect(struct sim *sim, uint16_t port, const char *from,
    const struct sim_conn_ops *ops, void *arg)
{
	struct sim_conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		sim_fail(sim, "no memory");
	conn->sim = sim;
	conn->ops = ops;
	conn->arg = arg;
	conn->port = port;
	conn->from.port = sim->next_port++;
	snprintf(conn->from.text, sizeof(conn->from.text), "%s", from);
	event_add(sim, &conn->connect_event, delay(sim), connect_fire);
	return conn;
}

void
sim_conn_send(struct sim_conn *conn, const void *data, size_t len)
{
	assert(conn->ops != NULL);
	if (conn->closed)
		return;
	append(conn->sim, &conn->to_sock, data, len);
	wake_to_sock(conn);
}

void
sim_conn_dribble(struct sim_conn *conn, bool on)
{
	conn->dribble = on;
}

void
sim_conn_free(struct sim_conn *conn, bool reset)
{
	struct sock *sock = conn->sock;

	assert(conn->ops != NULL);
	sim_trace(conn->sim, "%s: initiator %s", conn->from.text,
	    reset ? "resets" : "closes");
	conn->ops = NULL;
	if (sock != NULL && !reset) {
		conn->to_sock_end = true;
		wake_to_sock(conn);	/* frees itself after the last byte */
		return;
	}
	if (sock != NULL)
		kill_sock(sock);
	conn_free(conn);
}

/* The process is gone: its kernel resets what was open. */
void
sim_net_kill(struct sim *sim)
{
	struct sock *sock;

	while ((sock = TAILQ_FIRST(&sim->socks)) != NULL) {
		struct sim_conn *conn = sock->conn;

		sock->rx = sock->tx = NULL;
		if (conn != NULL)
			conn->to_conn.len = 0;
		sock_close(sock);
	}
	TAILQ_INIT(&sim->listeners);
}
