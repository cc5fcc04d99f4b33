/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must be true of an appliance between two changes.  Called after each
 * change and around start and stop; a violation is our own bug.
 */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "admin/dozo.h"

static void
member_check(const struct doc_member *member)
{
	assert(member->path[0] != '\0');
	assert(memchr(member->path, '\0', sizeof(member->path)) != NULL);
	assert(memchr(member->serial, '\0', sizeof(member->serial)) != NULL);
}

static void
doc_bounds_check(const struct doc *doc)
{
	uint8_t uuid[16];

	assert(doc->npools <= DOC_POOLS_MAX);
	assert(doc->ntargets <= DOC_TARGETS_MAX);
	assert(doc->nportals <= DOC_PORTALS_MAX);
	assert(doc->nhosts <= DOC_HOSTS_MAX);
	assert(doc->nmaps <= DOC_MAPS_MAX);
	assert(doc->npools == 0 || doc->pools != NULL);
	assert(doc->ntargets == 0 || doc->targets != NULL);
	assert(doc->nportals == 0 || doc->portals != NULL);
	assert(doc->nhosts == 0 || doc->hosts != NULL);
	assert(doc->nmaps == 0 || doc->maps != NULL);
	assert(uuid_parse(doc->appliance, uuid));
}

void
doc_assert(const struct doc *doc)
{
	uint8_t uuid[16];

	doc_bounds_check(doc);
	for (unsigned i = 0; i < doc->npools; i++) {
		const struct doc_pool *pool = &doc->pools[i];

		assert(ident_name_ok("pool", pool->name, NULL));
		assert(doc_pool(doc, pool->name) == pool);
		assert(uuid_parse(pool->uuid, uuid));
		assert(uuid_parse(pool->array_uuid, uuid));
		assert(pool->nmembers <= DOC_MEMBERS_MAX);
		for (unsigned j = 0; j < pool->nmembers; j++)
			member_check(&pool->member[j]);
	}
	for (unsigned i = 0; i < doc->ntargets; i++) {
		assert(ident_iqn_ok(doc->targets[i].iqn, NULL));
		assert(doc_target(doc, doc->targets[i].name) ==
		    &doc->targets[i]);
	}
	for (unsigned i = 0; i < doc->nhosts; i++) {
		const struct doc_host *host = &doc->hosts[i];

		assert(doc_host(doc, host->name) == host);
		assert(strcmp(host->name, DOC_HOST_ANY) != 0);
		assert(host->niqns <= DOC_HOST_IQNS);
		assert(host->nnetworks <= DOC_HOST_NETWORKS);
		assert((host->chap.user[0] == '\0') ==
		    (host->chap.secret[0] == '\0'));
		assert(host->mutual.user[0] == '\0' ||
		    host->chap.user[0] != '\0');
	}
	for (unsigned i = 0; i < doc->nmaps; i++) {
		const struct doc_map *map = &doc->maps[i];

		assert(map->lun < SCSI_LUNS_MAX);
		assert(doc_target(doc, map->target) != NULL);
		assert(strcmp(map->host, DOC_HOST_ANY) == 0 ||
		    doc_host(doc, map->host) != NULL);
		assert(uuid_parse(map->volume_uuid, uuid));
	}
}

static void
volume_check(const struct dozo_volume *dv, const struct dozo_pool *pool)
{
	uint8_t uuid[16];

	assert(dv->pool == pool);
	assert(dv->volume != NULL && dv->lu != NULL);
	assert(uuid_parse(dv->uuid, uuid));
	assert(pool_volume_by_uuid(pool->pool, uuid) == dv->volume);
}

void
dozo_pool_check(const struct dozo_pool *pool)
{
	const struct dozo_volume *dv;
	struct pool_info info;
	unsigned n = 0;

	assert(pool->dozo != NULL && pool->name[0] != '\0');
	assert(pool->nfaults <= DOC_MEMBERS_MAX);
	assert(pool->nfaults == 0 || pool->dozo->fault_injection);
	switch (pool->state) {
	case DOZO_POOL_ONLINE:
		assert(pool->raid != NULL && pool->pool != NULL);
		assert(!err_is(&pool->why));
		TAILQ_FOREACH(dv, &pool->volumes, link) {
			volume_check(dv, pool);
			n++;
		}
		pool_get_info(pool->pool, &info);
		/* A volume may be out of service for lack of memory. */
		assert(n <= info.volumes);
		return;
	case DOZO_POOL_OFFLINE:
		assert(pool->raid == NULL && pool->pool == NULL);
		assert(TAILQ_EMPTY(&pool->volumes));
		assert(pool->nfaults == 0);
		return;
	case DOZO_POOL_BUSY:
		return;		/* an op has it */
	}
	assert(!"pool state");
}

void
dozo_check(const struct dozo *d)
{
	const struct dozo_pool *pool, *other;

	assert(d->loop != NULL && d->state != NULL && d->worker != NULL);
	assert(d->server != NULL && d->doc != NULL);
	assert(d->events != NULL && d->jobs != NULL);
	assert(d->changing || STAILQ_EMPTY(&d->change_wait));
	doc_assert(d->doc);
	TAILQ_FOREACH(pool, &d->pools, link) {
		assert(pool->dozo == d);
		dozo_pool_check(pool);
		TAILQ_FOREACH(other, &d->pools, link)
			assert(other == pool ||
			    strcmp(other->name, pool->name) != 0);
	}
	assert(d->nportals <= nitems(d->portals));
	for (unsigned i = 0; i < d->nportals; i++) {
		assert(d->portals[i].tag > 0);
		assert(d->portals[i].open == !err_is(&d->portals[i].why));
	}
}
