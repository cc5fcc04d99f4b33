/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration document in memory: lists, look-up and the checks that
 * make it consistent.  Pure.  doc_json.c turns it into JSON and back.
 *
 * Invariants after doc_check(): names are unique per kind; each mapping names
 * a host and a target that exist; a LUN is used once per (host, target).
 */
#include "config.h"

#include "admin/doc.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

struct doc *
doc_new(void)
{
	return calloc(1, sizeof(struct doc));
}

void
doc_free(struct doc *doc)
{
	if (doc == NULL)
		return;
	free(doc->pools);
	free(doc->targets);
	free(doc->portals);
	free(doc->hosts);
	free(doc->maps);
	free(doc->users);
	free(doc->tokens);
	free(doc);
}

/* Copy n objects of `size`; an empty list is NULL.  False without memory. */
static bool
copy_list(void *dst, const void *src, unsigned n, size_t size)
{
	void *copy = NULL;

	if (n > 0) {
		copy = malloc(n * size);
		if (copy == NULL)
			return false;
		memcpy(copy, src, n * size);
	}
	*(void **)dst = copy;
	return true;
}

struct doc *
doc_copy(const struct doc *doc)
{
	struct doc *copy = doc_new();

	if (copy == NULL)
		return NULL;
	*copy = (struct doc){ .generation = doc->generation,
		.written_s = doc->written_s };
	memcpy(copy->appliance, doc->appliance, sizeof(copy->appliance));
#define COPY(list, n) (copy_list(&copy->list, doc->list, doc->n,	\
    sizeof(*doc->list)) && ((copy->n = doc->n), true))
	if (!COPY(pools, npools) || !COPY(targets, ntargets) ||
	    !COPY(portals, nportals) || !COPY(hosts, nhosts) ||
	    !COPY(maps, nmaps) || !COPY(users, nusers) ||
	    !COPY(tokens, ntokens)) {
		doc_free(copy);
		return NULL;
	}
#undef COPY
	return copy;
}

/* Grow a list by one zeroed object. */
static void *
list_add(void *list, unsigned *n, unsigned max, size_t size, const char *what,
    struct err *err)
{
	char *grown;

	assert(*n <= max);
	if (*n == max) {
		err_set(err, ENOSPC, "there are already %u %ss, the most one "
		    "appliance has", max, what);
		return NULL;
	}
	grown = realloc(*(void **)list, (*n + 1) * size);
	if (grown == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	*(void **)list = grown;
	grown += *n * size;
	memset(grown, 0, size);
	++*n;
	return grown;
}

static void
list_remove(void *list, unsigned *n, size_t size, void *object)
{
	char *base = list, *victim = object;
	size_t at = (size_t)(victim - base);

	assert(*n > 0 && victim >= base);
	assert(at % size == 0 && at / size < *n);
	memmove(victim, victim + size, *n * size - at - size);
	--*n;
}

#define LIST_FUNCTIONS(type, what, list, n, max)			\
struct doc_##type *							\
doc_add_##what(struct doc *doc, struct err *err)			\
{									\
	return list_add(&doc->list, &doc->n, max, sizeof(*doc->list),	\
	    #what, err);						\
}									\
void									\
doc_remove_##what(struct doc *doc, struct doc_##type *object)		\
{									\
	list_remove(doc->list, &doc->n, sizeof(*doc->list), object);	\
}
LIST_FUNCTIONS(pool, pool, pools, npools, DOC_POOLS_MAX)
LIST_FUNCTIONS(target, target, targets, ntargets, DOC_TARGETS_MAX)
LIST_FUNCTIONS(portal, portal, portals, nportals, DOC_PORTALS_MAX)
LIST_FUNCTIONS(host, host, hosts, nhosts, DOC_HOSTS_MAX)
LIST_FUNCTIONS(map, map, maps, nmaps, DOC_MAPS_MAX)
LIST_FUNCTIONS(user, user, users, nusers, DOC_USERS_MAX)
LIST_FUNCTIONS(user, token, tokens, ntokens, DOC_TOKENS_MAX)
#undef LIST_FUNCTIONS

#define LOOKUP_FUNCTION(type, what, list, n)				\
struct doc_##type *							\
doc_##what(const struct doc *doc, const char *name)			\
{									\
	for (unsigned i = 0; i < doc->n; i++) {				\
		if (strcmp(doc->list[i].name, name) == 0)		\
			return &doc->list[i];				\
	}								\
	return NULL;							\
}
LOOKUP_FUNCTION(pool, pool, pools, npools)
LOOKUP_FUNCTION(target, target, targets, ntargets)
LOOKUP_FUNCTION(host, host, hosts, nhosts)
LOOKUP_FUNCTION(user, user, users, nusers)
LOOKUP_FUNCTION(user, token, tokens, ntokens)
#undef LOOKUP_FUNCTION

struct doc_portal *
doc_portal(const struct doc *doc, const char *address, uint16_t port)
{
	for (unsigned i = 0; i < doc->nportals; i++) {
		struct doc_portal *p = &doc->portals[i];

		if (p->port == port && strcmp(p->address, address) == 0)
			return p;
	}
	return NULL;
}

struct doc_map *
doc_map(const struct doc *doc, const char *volume_uuid, const char *host,
    const char *target)
{
	for (unsigned i = 0; i < doc->nmaps; i++) {
		struct doc_map *m = &doc->maps[i];

		if (strcmp(m->volume_uuid, volume_uuid) == 0 &&
		    strcmp(m->host, host) == 0 &&
		    strcmp(m->target, target) == 0)
			return m;
	}
	return NULL;
}

int
doc_free_lun(const struct doc *doc, const char *host, const char *target)
{
	bool used[SCSI_LUNS_MAX] = { false };

	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *m = &doc->maps[i];

		if (strcmp(m->host, host) == 0 &&
		    strcmp(m->target, target) == 0) {
			assert(m->lun < SCSI_LUNS_MAX);
			used[m->lun] = true;
		}
	}
	for (int i = 0; i < SCSI_LUNS_MAX; i++) {
		if (!used[i])
			return i;
	}
	return -1;
}

bool
doc_network_ok(const char *text, struct err *err)
{
	char address[64];
	uint8_t probe[16];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	int family = -1;
	bool ok = len < sizeof(address);

	if (ok) {
		memcpy(address, text, len);
		address[len] = '\0';
		family = inet_pton(AF_INET, address, probe) == 1 ? AF_INET :
		    inet_pton(AF_INET6, address, probe) == 1 ? AF_INET6 : -1;
		ok = family != -1;
	}
	if (ok && slash != NULL) {
		size_t n = strspn(slash + 1, "0123456789");
		long bits = n >= 1 && n <= 3 ? strtol(slash + 1, NULL, 10) : -1;

		ok = slash[1 + n] == '\0' && bits >= 0 &&
		    bits <= (family == AF_INET ? 32 : 128);
	}
	if (ok)
		return true;
	err_set(err, EINVAL, "\"%.80s\" is not a network", text);
	err_hint(err, "Write 192.0.2.0/24, 2001:db8::/32 or one address.");
	return false;
}

bool
doc_iqn_pattern_ok(const char *pattern, struct err *err)
{
	size_t len = strlen(pattern);

	if (strchr(pattern, '*') == NULL)
		return ident_iqn_ok(pattern, err);
	if (len <= SCSI_NAME_MAX && strspn(pattern,
	    "abcdefghijklmnopqrstuvwxyz0123456789-.:*") == len)
		return true;
	err_set(err, EINVAL, "\"%.100s\" is not a pattern for iSCSI names",
	    pattern);
	err_hint(err, "Write it like iqn.1998-01.com.vmware:*, in lower case.");
	return false;
}

bool
doc_preset_ok(const char *preset, struct err *err)
{
	static const char *const names[] = { "", "vmware", "windows", "linux" };

	for (unsigned i = 0; i < nitems(names); i++) {
		if (strcmp(preset, names[i]) == 0)
			return true;
	}
	err_set(err, EINVAL, "there is no preset \"%.40s\"", preset);
	err_hint(err, "Presets are vmware, windows and linux.");
	return false;
}

bool
doc_chap_ok(const char *what, const struct target_chap *chap, struct err *err)
{
	size_t len = strlen(chap->secret);

	if (chap->user[0] == '\0' && len == 0)
		return true;
	if (chap->user[0] == '\0' || len == 0) {
		err_set(err, EINVAL, "%s needs both a user and a secret",
		    what);
		return false;
	}
	/* RFC 7143 12.1.3: 96 bits at least unless IPsec protects. */
	if (len >= 12)
		return true;
	err_set(err, EINVAL, "the %s secret has %zu characters, initiators "
	    "want 12 at least", what, len);
	err_hint(err, "Use 12 to 16 characters: Windows takes no others.");
	return false;
}

static int
check_host(const struct doc_host *h, struct err *err)
{
	for (unsigned i = 0; i < h->niqns; i++) {
		if (!doc_iqn_pattern_ok(h->iqn[i], err))
			return -EINVAL;
	}
	for (unsigned i = 0; i < h->nnetworks; i++) {
		if (!doc_network_ok(h->network[i], err))
			return -EINVAL;
	}
	if (strcmp(h->name, DOC_HOST_ANY) == 0)
		return err_set(err, EINVAL, "the host \"" DOC_HOST_ANY
		    "\" is built in and cannot be defined");
	if (!doc_preset_ok(h->preset, err) ||
	    !doc_chap_ok("CHAP", &h->chap, err) ||
	    !doc_chap_ok("mutual CHAP", &h->mutual, err))
		return -EINVAL;
	if (h->mutual.user[0] != '\0' && h->chap.user[0] == '\0')
		return err_set(err, EINVAL, "host %s: mutual CHAP needs CHAP "
		    "of the initiator too", h->name);
	/* RFC 7143 9.2.1 */
	if (h->mutual.secret[0] != '\0' &&
	    strcmp(h->mutual.secret, h->chap.secret) == 0)
		return err_set(err, EINVAL, "host %s: both CHAP secrets are "
		    "the same, initiators refuse that", h->name);
	return 0;
}

static int
check_map(const struct doc *doc, unsigned i, struct err *err)
{
	const struct doc_map *m = &doc->maps[i];

	if (doc_target(doc, m->target) == NULL)
		return err_set(err, EINVAL, "%s/%s is mapped on target %s, "
		    "which does not exist", m->pool, m->volume, m->target);
	if (strcmp(m->host, DOC_HOST_ANY) != 0 &&
	    doc_host(doc, m->host) == NULL)
		return err_set(err, EINVAL, "%s/%s is mapped to host %s, "
		    "which does not exist", m->pool, m->volume, m->host);
	for (unsigned j = 0; j < i; j++) {
		const struct doc_map *o = &doc->maps[j];

		if (strcmp(o->host, m->host) != 0 ||
		    strcmp(o->target, m->target) != 0)
			continue;
		if (o->lun == m->lun)
			return err_set(err, EEXIST, "LUN %u of host %s on "
			    "target %s is %s/%s already", m->lun, m->host,
			    m->target, o->pool, o->volume);
		if (strcmp(o->volume_uuid, m->volume_uuid) == 0)
			return err_set(err, EEXIST, "%s/%s is mapped to host "
			    "%s on target %s twice", m->pool, m->volume,
			    m->host, m->target);
	}
	return 0;
}

/* The first name that occurs twice in a list whose objects start with it. */
static const char *
twice(const void *list, unsigned n, size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		const char *a = (const char *)list + i * size;

		for (unsigned j = 0; j < i; j++) {
			if (strcmp(a, (const char *)list + j * size) == 0)
				return a;
		}
	}
	return NULL;
}

int
doc_check(const struct doc *doc, struct err *err)
{
	const char *name;
	int r;

	_Static_assert(offsetof(struct doc_pool, name) == 0, "name first");
	_Static_assert(offsetof(struct doc_target, name) == 0, "name first");
	_Static_assert(offsetof(struct doc_host, name) == 0, "name first");
	if ((name = twice(doc->pools, doc->npools, sizeof(*doc->pools))) ||
	    (name = twice(doc->targets, doc->ntargets,
	    sizeof(*doc->targets))) ||
	    (name = twice(doc->hosts, doc->nhosts, sizeof(*doc->hosts))))
		return err_set(err, EEXIST, "there are two objects named %s",
		    name);
	for (unsigned i = 0; i < doc->ntargets; i++) {
		const struct doc_target *t = &doc->targets[i];

		if (!ident_iqn_ok(t->iqn, err))
			return -EINVAL;
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(doc->targets[j].iqn, t->iqn) == 0)
				return err_set(err, EEXIST, "targets %s and "
				    "%s have the same IQN %s", t->name,
				    doc->targets[j].name, t->iqn);
		}
	}
	for (unsigned i = 0; i < doc->nhosts; i++) {
		if ((r = check_host(&doc->hosts[i], err)) != 0)
			return r;
	}
	for (unsigned i = 0; i < doc->nmaps; i++) {
		if ((r = check_map(doc, i, err)) != 0)
			return r;
	}
	return 0;
}
