/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Portals (listeners) and targets with one SCSI port per portal group.
 *
 * Invariants: a target object lives while it is configured or a session uses
 * it; discovery shows an address only if the initiator can be expected to
 * reach it from where it asked.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

/* --- targets --- */

struct tgt *
tgt_find(struct target_server *server, const char *name)
{
	struct tgt *tgt;

	TAILQ_FOREACH(tgt, &server->tgts, link)
		if (strcasecmp(tgt->name, name) == 0)
			return tgt;
	return NULL;
}

struct tgt *
tgt_get(struct target_server *server, const char *name)
{
	struct tgt *tgt = tgt_find(server, name);

	if (tgt != NULL)
		return tgt;
	tgt = calloc(1, sizeof(*tgt));
	if (tgt == NULL)
		return NULL;
	assert(strlen(name) <= SCSI_NAME_MAX);
	strcpy(tgt->name, name);
	TAILQ_INIT(&tgt->ports);
	TAILQ_INSERT_TAIL(&server->tgts, tgt, link);
	return tgt;
}

struct scsi_port *
tgt_port(struct tgt *tgt, uint16_t tag)
{
	struct tgt_port *port;

	assert(tag > 0);
	TAILQ_FOREACH(port, &tgt->ports, link)
		if (port->tag == tag)
			return port->port;
	port = calloc(1, sizeof(*port));
	if (port == NULL)
		return NULL;
	port->tag = tag;
	/* The tag is a stable relative port identifier, too. */
	port->port = scsi_port_new(tgt->name, tag, tag);
	if (port->port == NULL) {
		free(port);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&tgt->ports, port, link);
	return port->port;
}

void
tgt_put(struct target_server *server, struct tgt *tgt)
{
	struct tgt_port *port;

	assert(tgt_find(server, tgt->name) == tgt);
	if (!tgt->gone || tgt->sessions > 0)
		return;
	while ((port = TAILQ_FIRST(&tgt->ports)) != NULL) {
		TAILQ_REMOVE(&tgt->ports, port, link);
		scsi_port_free(port->port);
		free(port);
	}
	TAILQ_REMOVE(&server->tgts, tgt, link);
	free(tgt);
}

/* --- portals --- */

static void
portal_accept(void *arg, struct sock *sock)
{
	const struct portal *portal = arg;

	conn_new(portal->server, sock, portal->tag);
}

static struct portal *
portal_find(struct target_server *server, const struct sock_addr *addr)
{
	struct portal *portal;

	TAILQ_FOREACH(portal, &server->portals, link)
		if (strcmp(portal->addr.text, addr->text) == 0 &&
		    (portal->addr.port == addr->port ||
		    portal->bound.port == addr->port))
			return portal;
	return NULL;
}

int
target_portal_add(struct target_server *server, const struct sock_addr *addr,
    uint16_t tag, struct err *err)
{
	struct portal *portal = portal_find(server, addr);
	int res;

	if (tag == 0)
		return err_set(err, EINVAL, "portal group tag 0 is not valid");
	if (portal != NULL && addr->port != 0 && portal->tag == tag)
		return 0;
	if (portal != NULL && addr->port != 0)
		return err_set(err, EEXIST, "portal %s port %u is in group "
		    "%u", addr->text, addr->port, portal->tag);
	portal = calloc(1, sizeof(*portal));
	if (portal == NULL)
		return err_set(err, ENOMEM, "out of memory");
	portal->server = server;
	portal->addr = *addr;
	portal->tag = tag;
	res = listener_open(server->loop, addr, portal_accept, portal,
	    &portal->listener, err);
	if (res != 0) {
		free(portal);
		return res;
	}
	listener_get_addr(portal->listener, &portal->bound);
	TAILQ_INSERT_TAIL(&server->portals, portal, link);
	log_info("listening on %s port %u, portal group %u",
	    addr->text[0] != '\0' ? addr->text : "any address",
	    portal->bound.port, tag);
	return 0;
}

uint16_t
target_portal_port(const struct target_server *server)
{
	const struct portal *portal = TAILQ_FIRST(&server->portals);

	return portal != NULL ? portal->bound.port : 0;
}

static void
portal_free(struct portal *portal)
{
	TAILQ_REMOVE(&portal->server->portals, portal, link);
	listener_close(portal->listener);
	free(portal);
}

int
target_portal_remove(struct target_server *server,
    const struct sock_addr *addr, struct err *err)
{
	struct portal *portal = portal_find(server, addr);

	if (portal == NULL)
		return err_set(err, ENOENT, "no portal %s port %u",
		    addr->text, addr->port);
	portal_free(portal);	/* its connections go on */
	return 0;
}

void
portals_close(struct target_server *server)
{
	while (!TAILQ_EMPTY(&server->portals))
		portal_free(TAILQ_FIRST(&server->portals));
}

/* --- addresses for discovery (RFC 7143 appendix C) --- */

static bool
is_any(const char *text)
{
	return text[0] == '\0' || strcmp(text, "0.0.0.0") == 0 ||
	    strcmp(text, "::") == 0;
}

static bool
is_v6(const char *text)
{
	return strchr(text, ':') != NULL;
}

static bool
is_loopback(const char *text)
{
	return strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0;
}

static void
put_address(struct text_out *out, const char *text, uint16_t port,
    uint16_t tag)
{
	text_put(out, "TargetAddress", is_v6(text) ? "[%s]:%u,%u" :
	    "%s:%u,%u", text, port, tag);
}

void
portal_addresses(const struct conn *conn, struct text_out *out)
{
	const char *here = conn->local.text;
	const struct portal *portal;

	assert(conn->tag > 0);
	put_address(out, here, conn->local.port, conn->tag);
	TAILQ_FOREACH(portal, &conn->server->portals, link) {
		const char *text = portal->bound.text;

		/* "any" is reachable where we are. */
		if (is_any(text))
			text = here;
		if (strcmp(text, here) == 0 &&
		    portal->bound.port == conn->local.port)
			continue;
		if (is_v6(text) != is_v6(here) ||
		    is_loopback(text) != is_loopback(here))
			continue;
		put_address(out, text, portal->bound.port, portal->tag);
	}
}
