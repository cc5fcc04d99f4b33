/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which disks the document expects a pool to have.
 *
 * A disk that is added is noted with the change that adds it.  One that left
 * stays expected as long as the array misses it; once others have taken all
 * places it is forgotten, and free for other uses.
 */
#include "config.h"

#include "admin/members.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool
lives(const struct raid_member_info *m)
{
	return m->path[0] != '\0' && m->state != RAID_MEMBER_FAULTY &&
	    m->state != RAID_MEMBER_MISSING;
}

static void
note_member(struct doc_pool *out, const struct doc_pool *old,
    const struct disk *disk, const char *path)
{
	struct doc_member *m = &out->member[out->nmembers++];

	assert(out->nmembers <= DOC_MEMBERS_MAX);
	snprintf(m->path, sizeof(m->path), "%s", path);
	if (disk != NULL && strcmp(disk->path, path) == 0)
		snprintf(m->serial, sizeof(m->serial), "%s", disk->serial);
	for (unsigned i = 0; i < old->nmembers; i++) {
		if (strcmp(old->member[i].path, path) == 0 &&
		    m->serial[0] == '\0')
			*m = old->member[i];
	}
}

void
members_note(const struct dozo_pool *pool, struct doc_pool *entry,
    const struct disk *disk)
{
	struct doc_pool old = *entry;
	struct raid_info a;

	entry->nmembers = 0;
	memset(entry->member, 0, sizeof(entry->member));
	raid_get_info(pool->raid, &a);
	for (unsigned i = 0; i < a.nmembers; i++)
		if (lives(&a.member[i]))
			note_member(entry, &old, disk, a.member[i].path);
}

static bool
expects(const struct doc_pool *entry, const char *path)
{
	for (unsigned i = 0; i < entry->nmembers; i++)
		if (strcmp(entry->member[i].path, path) == 0)
			return true;
	return false;
}

static bool
differs(const struct dozo_pool *pool, const struct doc_pool *entry)
{
	struct raid_info a;
	unsigned n = 0;

	if (entry == NULL || pool->state != DOZO_POOL_ONLINE)
		return false;
	raid_get_info(pool->raid, &a);
	if (a.degraded > 0 || a.failed)
		return false;
	for (unsigned i = 0; i < a.nmembers; i++) {
		if (!lives(&a.member[i]))
			continue;
		n++;
		if (!expects(entry, a.member[i].path))
			return true;
	}
	return n != entry->nmembers;
}

bool
members_moved(const struct dozo_pool *pool)
{
	return pool->dozo->serving && differs(pool,
	    doc_pool(pool->dozo->doc, pool->name));
}

void
members_follow(struct dozo *d, struct doc *doc)
{
	const struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &d->pools, link) {
		struct doc_pool *entry = doc_pool(doc, pool->name);

		if (differs(pool, entry))
			members_note(pool, entry, NULL);
	}
}
