/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bring the target server to what the document says.  target_apply() works
 * out the difference for targets, hosts and mappings; portals are compared
 * here.
 *
 * Invariant: the built-in host "any" comes after all others, so that a host
 * with a name wins.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/apply.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

struct apply {
	struct target_conf conf;
	struct target_conf_target *targets;
	struct target_host_conf *hosts;
	struct target_map_conf *maps;
	const char **texts;		/* IQNs and networks of all hosts */
};

static void
apply_fini(struct apply *a)
{
	free(a->targets);
	free(a->hosts);
	free(a->maps);
	free(a->texts);
}

static unsigned
host_index(const struct doc *doc, const char *name)
{
	const struct doc_host *host = doc_host(doc, name);

	assert(host != NULL || strcmp(name, DOC_HOST_ANY) == 0);
	/* "any" is the last one */
	return host != NULL ? (unsigned)(host - doc->hosts) : doc->nhosts;
}

static void
fill_hosts(struct apply *a, const struct doc *doc)
{
	unsigned n = 0;

	assert(a->hosts != NULL && a->texts != NULL);
	for (unsigned i = 0; i < doc->nhosts; i++) {
		const struct doc_host *h = &doc->hosts[i];
		struct target_host_conf *out = &a->hosts[i];

		snprintf(out->name, sizeof(out->name), "%s", h->name);
		out->iqns = &a->texts[n];
		out->niqns = h->niqns;
		for (unsigned j = 0; j < h->niqns; j++)
			a->texts[n++] = h->iqn[j];
		out->networks = &a->texts[n];
		out->nnetworks = h->nnetworks;
		for (unsigned j = 0; j < h->nnetworks; j++)
			a->texts[n++] = h->network[j];
		out->chap = h->chap;
		out->mutual = h->mutual;
	}
	snprintf(a->hosts[doc->nhosts].name, sizeof(a->hosts[0].name), "%s",
	    DOC_HOST_ANY);
}

/* Nobody is to see half of its LUNs while the other half is under way. */
static bool
target_settles(struct dozo *d, const char *target)
{
	for (unsigned i = 0; i < d->doc->nmaps; i++) {
		const struct doc_map *m = &d->doc->maps[i];
		const struct dozo_pool *pool = dozo_pool(d, m->pool);

		if (pool != NULL && pool->settling &&
		    strcmp(m->target, target) == 0)
			return true;
	}
	return false;
}

static void
fill_maps(struct apply *a, struct dozo *d)
{
	const struct doc *doc = d->doc;
	unsigned n = 0;

	assert(a->maps != NULL && a->conf.nmaps == 0);
	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *m = &doc->maps[i];
		const struct dozo_volume *dv = dozo_volume_by_uuid(d,
		    m->volume_uuid);
		const struct doc_target *t = doc_target(doc, m->target);

		assert(t != NULL);
		a->maps[n++] = (struct target_map_conf){
			.host = host_index(doc, m->host),
			.target = (unsigned)(t - doc->targets),
			.lu = dv != NULL && !target_settles(d, m->target) ?
			    dv->lu : NULL, .lun = m->lun,
			.read_only = m->read_only };
	}
	a->conf.nmaps = n;
}

static int
fill(struct apply *a, struct dozo *d, struct err *err)
{
	const struct doc *doc = d->doc;
	size_t texts = 1;

	for (unsigned i = 0; i < doc->nhosts; i++)
		texts += doc->hosts[i].niqns + doc->hosts[i].nnetworks;
	a->targets = calloc(doc->ntargets + 1, sizeof(*a->targets));
	a->hosts = calloc(doc->nhosts + 1, sizeof(*a->hosts));
	a->maps = calloc(doc->nmaps + 1, sizeof(*a->maps));
	a->texts = calloc(texts, sizeof(*a->texts));
	if (a->targets == NULL || a->hosts == NULL || a->maps == NULL ||
	    a->texts == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < doc->ntargets; i++) {
		snprintf(a->targets[i].name, sizeof(a->targets[i].name), "%s",
		    doc->targets[i].iqn);
		snprintf(a->targets[i].alias, sizeof(a->targets[i].alias),
		    "%s", doc->targets[i].name);
	}
	fill_hosts(a, doc);
	fill_maps(a, d);
	a->conf.targets = a->targets;
	a->conf.ntargets = doc->ntargets;
	a->conf.hosts = a->hosts;
	a->conf.nhosts = doc->nhosts + 1;
	a->conf.maps = a->maps;
	a->conf.allow_md5 = true;
	return 0;
}

int
dozo_apply(struct dozo *d, struct err *err)
{
	struct apply a = { 0 };
	int r;

	assert(d->server != NULL && d->doc != NULL);
	r = fill(&a, d, err);
	if (r == 0)
		r = target_apply(d->server, &a.conf, err);
	apply_fini(&a);
	if (r == 0 && d->serving)
		portals_apply(d);
	return r;
}

/* --- portals --- */

static bool
same_addr(const struct sock_addr *a, const struct sock_addr *b)
{
	return a->port == b->port && strcmp(a->text, b->text) == 0;
}

static struct dozo_portal *
find_portal(struct dozo *d, const struct sock_addr *addr)
{
	for (unsigned i = 0; i < d->nportals; i++) {
		if (same_addr(&d->portals[i].addr, addr))
			return &d->portals[i];
	}
	return NULL;
}

bool
portal_from_conf(const struct dozo *d, const struct sock_addr *addr)
{
	for (unsigned i = 0; i < d->conf.nlisten; i++) {
		if (same_addr(&d->conf.listen[i], addr))
			return true;
	}
	return false;
}

int
portal_open(struct dozo *d, const struct sock_addr *addr, uint16_t tag,
    struct err *err)
{
	struct dozo_portal *portal = find_portal(d, addr);
	int r;

	assert(tag > 0 && d->nportals <= nitems(d->portals));
	if (portal != NULL && portal->open)
		return 0;
	if (portal == NULL) {
		if (d->nportals == nitems(d->portals))
			return err_set(err, ENOSPC, "there are %u portals "
			    "already", d->nportals);
		portal = &d->portals[d->nportals++];
		memset(portal, 0, sizeof(*portal));
		portal->addr = *addr;
		portal->tag = tag;
	}
	err_clear(&portal->why);
	r = target_portal_add(d->server, addr, tag, &portal->why);
	portal->open = r == 0;
	if (r != 0) {
		err_set(err, portal->why.code, "%s", portal->why.text);
		err_hint(err, "%s", portal->why.hint);
	}
	return r;
}

void
portal_close(struct dozo *d, const struct sock_addr *addr)
{
	struct dozo_portal *portal = find_portal(d, addr);
	struct err err = { 0 };

	if (portal == NULL)
		return;
	if (portal->open && target_portal_remove(d->server, addr, &err) != 0)
		log_warn("portal: %s", err.text);
	*portal = d->portals[--d->nportals];
}

static struct sock_addr
doc_portal_addr(const struct doc_portal *portal)
{
	struct sock_addr addr = { .port = portal->port };

	snprintf(addr.text, sizeof(addr.text), "%s", portal->address);
	return addr;
}

void
portals_apply(struct dozo *d)
{
	const struct doc *doc = d->doc;

	assert(d->serving);
	for (unsigned i = d->nportals; i-- > 0;) {
		const struct sock_addr addr = d->portals[i].addr;

		if (!portal_from_conf(d, &addr) &&
		    doc_portal(doc, addr.text, addr.port) == NULL)
			portal_close(d, &addr);
	}
	for (unsigned i = 0; i < doc->nportals; i++) {
		struct sock_addr addr = doc_portal_addr(&doc->portals[i]);
		struct err err = { 0 };

		if (portal_open(d, &addr, doc->portals[i].tag, &err) != 0)
			log_err("portal: %s %s", err.text, err.hint);
	}
}
