/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stream sockets on the ring: multishot accept, one receive and one send at a
 * time for each connection.
 */
#include "core/loop.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_AREA LOG_CORE
#include "core/log.h"
#include "core/loop_uring_priv.h"

#define BACKLOG 1024		/* a rack of hosts logs in at once */
#define ACCEPT_RETRY_MS 100

struct listener {
	struct loop *loop;
	int fd;
	bool closing;
	void (*accept)(void *arg, struct sock *sock);
	void *arg;
	struct timer retry;
	struct sock_addr addr;
	bool is_unix;
	LIST_ENTRY(listener) link;
};

struct sock {
	struct loop *loop;
	int fd;
	bool is_unix;
	struct io *rx, *tx;		/* in flight */
	struct msghdr rx_msg, tx_msg;
	struct sock_addr peer, local;
};

union any_addr {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage ss;
};

static void
addr_from_kernel(const union any_addr *any, struct sock_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (any->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &any->in4.sin_addr, addr->text,
		    sizeof(addr->text));
		addr->port = ntohs(any->in4.sin_port);
	} else if (any->sa.sa_family == AF_INET6) {
		const struct in6_addr *a = &any->in6.sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(a))
			inet_ntop(AF_INET, &a->s6_addr[12], addr->text,
			    sizeof(addr->text));
		else
			inet_ntop(AF_INET6, a, addr->text,
			    sizeof(addr->text));
		addr->port = ntohs(any->in6.sin6_port);
	}
}

static int
addr_to_kernel(const struct sock_addr *addr, union any_addr *any,
    socklen_t *len)
{
	memset(any, 0, sizeof(*any));
	if (addr->text[0] == '/') {
		any->un.sun_family = AF_UNIX;
		if (strlen(addr->text) >= sizeof(any->un.sun_path))
			return -ENAMETOOLONG;
		strcpy(any->un.sun_path, addr->text);
		*len = sizeof(any->un);
	} else if (addr->text[0] == '\0') {
		any->in6.sin6_family = AF_INET6;
		any->in6.sin6_addr = in6addr_any;
		any->in6.sin6_port = htons(addr->port);
		*len = sizeof(any->in6);
	} else if (inet_pton(AF_INET, addr->text, &any->in4.sin_addr) == 1) {
		any->in4.sin_family = AF_INET;
		any->in4.sin_port = htons(addr->port);
		*len = sizeof(any->in4);
	} else if (inet_pton(AF_INET6, addr->text, &any->in6.sin6_addr) == 1) {
		any->in6.sin6_family = AF_INET6;
		any->in6.sin6_port = htons(addr->port);
		*len = sizeof(any->in6);
	} else {
		return -EINVAL;
	}
	return 0;
}

/* --- listen --- */

static void
accept_arm(struct listener *listener)
{
	struct io_uring_sqe *sqe = loop_sqe(listener->loop);

	assert(!listener->closing && listener->fd >= 0);
	io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL,
	    SOCK_CLOEXEC);
	loop_sqe_tag(sqe, listener, TAG_ACCEPT);
}

static void
accept_retry(void *arg)
{
	accept_arm(arg);
}

static struct sock *
sock_new(struct listener *listener, int fd)
{
	struct sock *sock = calloc(1, sizeof(*sock));
	union any_addr any;
	socklen_t len = sizeof(any);
	int one = 1;

	if (sock == NULL)
		return NULL;
	sock->loop = listener->loop;
	sock->fd = fd;
	sock->is_unix = listener->is_unix;
	if (sock->is_unix)
		return sock;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (getpeername(fd, &any.sa, &len) == 0)
		addr_from_kernel(&any, &sock->peer);
	len = sizeof(any);
	if (getsockname(fd, &any.sa, &len) == 0)
		addr_from_kernel(&any, &sock->local);
	return sock;
}

static void
listener_free(struct listener *listener)
{
	LIST_REMOVE(listener, link);
	close(listener->fd);
	free(listener);
}

/* The ring is gone: nothing will complete any more. */
void
uring_listeners_free(struct loop *loop)
{
	while (!LIST_EMPTY(&loop->listeners))
		listener_free(LIST_FIRST(&loop->listeners));
}

void
uring_accept_done(struct listener *listener, int res, unsigned flags)
{
	bool more = (flags & IORING_CQE_F_MORE) != 0;

	if (res >= 0) {
		struct sock *sock = listener->closing ? NULL :
		    sock_new(listener, res);

		if (sock == NULL)
			close(res);
		else
			listener->accept(listener->arg, sock);
	}
	if (more)
		return;
	if (listener->closing) {
		listener_free(listener);
		return;
	}
	if (res >= 0) {
		accept_arm(listener);
		return;
	}
	log_warn("accept on %s port %u: %s", listener->addr.text,
	    listener->addr.port, strerror(-res));
	timer_start(listener->loop, &listener->retry, ACCEPT_RETRY_MS,
	    accept_retry, listener);
}

/* A socket file whose daemon is gone may be replaced; a live one may not. */
static int
unix_replace_dead(const union any_addr *any, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), res = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (lstat(any->un.sun_path, &st) != 0)
		res = 0;
	else if (!S_ISSOCK(st.st_mode))
		res = -EEXIST;
	else if (connect(fd, &any->sa, len) == 0)
		res = -EADDRINUSE;
	else if (unlink(any->un.sun_path) != 0)
		res = -errno;
	close(fd);
	return res;
}

static int
listen_error(const struct sock_addr *addr, int errnum, struct err *err)
{
	const char *where = addr->text[0] != '\0' ? addr->text : "any address";

	if (addr->port != 0)
		err_set(err, errnum, "cannot listen on %s port %u: %s", where,
		    addr->port, strerror(errnum));
	else
		err_set(err, errnum, "cannot listen on %s: %s", where,
		    strerror(errnum));
	if (errnum == EADDRINUSE)
		err_hint(err, "another program (another dozod, tgtd, LIO?) "
		    "has it: `ss -ltnp` shows which; stop it or choose "
		    "another");
	else if (errnum == EADDRNOTAVAIL)
		err_hint(err, "this machine has no such address; `ip addr` "
		    "lists those it has");
	else if (errnum == EACCES)
		err_hint(err, "no permission: ports below 1024 need "
		    "CAP_NET_BIND_SERVICE, a socket file a writable folder");
	else if (errnum == EINVAL)
		err_hint(err, "give an IPv4 or IPv6 address");
	return -errnum;
}

/*
 * bbr paces every send with timers: on the short ways of a storage network
 * that costs a stream a quarter of its CPU and gains nothing.  Connections
 * inherit what the listener has.
 */
static void
avoid_pacing(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name) - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) != 0 ||
	    strncmp(name, "bbr", 3) != 0)
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static int
listen_fd(const struct sock_addr *addr, bool *is_unix)
{
	union any_addr any;
	socklen_t len;
	int fd, one = 1, zero = 0, res;

	res = addr_to_kernel(addr, &any, &len);
	if (res != 0)
		return res;
	*is_unix = any.sa.sa_family == AF_UNIX;
	if (*is_unix && (res = unix_replace_dead(&any, len)) != 0)
		return res;
	fd = socket(any.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && addr->text[0] == '\0') {
		struct sock_addr any4 = { .text = "0.0.0.0",
		    .port = addr->port };

		return listen_fd(&any4, is_unix);	/* no IPv6 here */
	}
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!*is_unix)
		avoid_pacing(fd);
	if (any.sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    addr->text[0] == '\0' ? &zero : &one, sizeof(one));
	if (bind(fd, &any.sa, len) != 0 || listen(fd, BACKLOG) != 0) {
		res = -errno;
		close(fd);
		return res;
	}
	if (*is_unix)
		(void)chmod(any.un.sun_path, 0660);
	return fd;
}

int
listener_open(struct loop *loop, const struct sock_addr *addr,
    void (*accept)(void *arg, struct sock *sock), void *arg,
    struct listener **out, struct err *err)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	union any_addr any;
	socklen_t len = sizeof(any);
	int fd;

	*out = NULL;
	if (listener == NULL)
		return err_set(err, ENOMEM, "no memory to listen");
	fd = listen_fd(addr, &listener->is_unix);
	if (fd < 0) {
		free(listener);
		return listen_error(addr, -fd, err);
	}
	listener->loop = loop;
	listener->fd = fd;
	listener->accept = accept;
	listener->arg = arg;
	listener->addr = *addr;
	if (!listener->is_unix && getsockname(fd, &any.sa, &len) == 0) {
		struct sock_addr real;

		addr_from_kernel(&any, &real);
		listener->addr.port = real.port;
	}
	LIST_INSERT_HEAD(&loop->listeners, listener, link);
	accept_arm(listener);
	*out = listener;
	return 0;
}

void
listener_get_addr(const struct listener *listener, struct sock_addr *addr)
{
	*addr = listener->addr;
}

/* The multishot accept is cancelled; its last completion frees. */
void
listener_close(struct listener *listener)
{
	struct io_uring_sqe *sqe;

	if (listener == NULL)
		return;
	if (listener->is_unix)
		(void)unlink(listener->addr.text);
	if (timer_running(&listener->retry)) {
		timer_stop(listener->loop, &listener->retry);
		listener_free(listener);
		return;
	}
	listener->closing = true;
	(void)shutdown(listener->fd, SHUT_RDWR);
	sqe = loop_sqe(listener->loop);
	io_uring_prep_cancel64(sqe, (uintptr_t)listener | TAG_ACCEPT, 0);
	loop_sqe_tag(sqe, NULL, TAG_IGNORE);
}

/* --- connections --- */

static void
submit(struct sock *sock, struct io *io, struct msghdr *msg)
{
	struct io_uring_sqe *sqe = loop_sqe(sock->loop);
	bool recv = io->kind == IO_RECV;

	if (io->niov == 1 && recv) {
		io_uring_prep_recv(sqe, sock->fd, io->iov->iov_base,
		    io->iov->iov_len, 0);
	} else if (io->niov == 1) {
		io_uring_prep_send(sqe, sock->fd, io->iov->iov_base,
		    io->iov->iov_len, MSG_NOSIGNAL | MSG_WAITALL);
	} else {
		union { const struct iovec *in; struct iovec *iov; } u =
		    { .in = io->iov };

		memset(msg, 0, sizeof(*msg));
		msg->msg_iov = u.iov;
		msg->msg_iovlen = io->niov;
		if (recv)
			io_uring_prep_recvmsg(sqe, sock->fd, msg, 0);
		else
			io_uring_prep_sendmsg(sqe, sock->fd, msg,
			    MSG_NOSIGNAL | MSG_WAITALL);
	}
	loop_sqe_tag(sqe, io, TAG_SOCK);
}

static void
start(struct sock *sock, struct io *io, enum io_kind kind,
    const struct iovec *iov, unsigned niov, struct op *waiter)
{
	assert(niov > 0 && niov <= 1024);
	assert(sock->fd >= 0 && waiter != NULL);
	io_init(io, kind, 0, iov_len(iov, niov), iov, niov, 0);
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
	submit(sock, io, &sock->rx_msg);
}

void
sock_send(struct sock *sock, struct io *io, const struct iovec *iov,
    unsigned niov, struct op *waiter)
{
	assert(sock->tx == NULL);
	start(sock, io, IO_SEND, iov, niov, waiter);
	sock->tx = io;
	submit(sock, io, &sock->tx_msg);
}

void
uring_sock_done(struct io *io, int res)
{
	struct sock *sock = io->owner;

	assert(sock != NULL && (res < 0 || (uint64_t)res <= io->len));
	if (io->kind == IO_RECV) {
		assert(sock->rx == io);
		if (res == -EAGAIN || res == -EINTR) {
			submit(sock, io, &sock->rx_msg);
			return;
		}
		sock->rx = NULL;
	} else {
		assert(sock->tx == io);
		sock->tx = NULL;
		/* MSG_WAITALL: the kernel sends all or the stream is dead. */
		if (res >= 0 && (uint64_t)res < io->len)
			res = -EPIPE;
	}
	io->owner = NULL;
	io_end(io, res);
}

void
sock_shutdown(struct sock *sock)
{
	(void)shutdown(sock->fd, SHUT_RDWR);
}

void
sock_close(struct sock *sock)
{
	if (sock == NULL)
		return;
	assert(sock->rx == NULL && sock->tx == NULL);
	close(sock->fd);
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
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (!sock->is_unix || getsockopt(sock->fd, SOL_SOCKET, SO_PEERCRED,
	    &cred, &len) != 0)
		return (uid_t)-1;
	return cred.uid;
}
