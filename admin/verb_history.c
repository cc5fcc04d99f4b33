/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock of history.c and the verb that shows it. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/history.h"
#include "admin/verbs.h"

struct recorder {
	struct history *history;
	struct timer timer;
	uint64_t last_ns;
};

static void
add_volume(struct history *h, const struct dozo_volume *dv,
    struct scsi_lu_stats *all)
{
	char name[2 * NAME_SIZE + 1];
	struct volume_info info;
	struct scsi_lu_stats s;

	volume_get_info(dv->volume, &info);
	scsi_lu_get_stats(dv->lu, &s);
	snprintf(name, sizeof(name), "%s/%s", dv->pool->name, info.name);
	history_add(h, name, &(struct history_counts){ s.reads, s.writes,
	    s.read_bytes, s.write_bytes, s.read_latency, s.write_latency });
	all->reads += s.reads;
	all->writes += s.writes;
	all->read_bytes += s.read_bytes;
	all->write_bytes += s.write_bytes;
	for (unsigned i = 0; i < SCSI_LATENCIES; i++) {
		all->read_latency[i] += s.read_latency[i];
		all->write_latency[i] += s.write_latency[i];
	}
}

static void
add_members(struct history *h, const struct dozo_pool *pool)
{
	struct raid_info a;

	raid_get_info(pool->raid, &a);
	for (unsigned i = 0; i < a.nmembers; i++) {
		const struct raid_member_info *m = &a.member[i];

		if (m->path[0] != '\0')
			history_add(h, m->path, &(struct history_counts){
			    m->reads, m->writes, m->read_bytes,
			    m->write_bytes, m->latency, m->write_latency });
	}
}

static void
record(void *arg)
{
	struct dozo *d = arg;
	struct recorder *r = d->recorder;
	uint64_t now = loop_now(d->loop);
	struct scsi_lu_stats all = { 0 };
	struct dozo_pool *pool;

	assert(now >= r->last_ns);
	history_step(r->history, loop_wall_time(d->loop), now - r->last_ns);
	r->last_ns = now;
	TAILQ_FOREACH(pool, &d->pools, link) {
		struct dozo_volume *dv;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		TAILQ_FOREACH(dv, &pool->volumes, link)
			add_volume(r->history, dv, &all);
		add_members(r->history, pool);
	}
	history_add(r->history, HISTORY_ALL, &(struct history_counts){
	    all.reads, all.writes, all.read_bytes, all.write_bytes,
	    all.read_latency, all.write_latency });
	timer_start(d->loop, &r->timer, HISTORY_STEP_S * 1000, record, d);
}

int
history_start(struct dozo *d, struct err *err)
{
	struct recorder *r = calloc(1, sizeof(*r));

	assert(d->recorder == NULL);
	if (r == NULL || (r->history = history_new()) == NULL) {
		free(r);
		return err_set(err, ENOMEM, "out of memory");
	}
	d->recorder = r;
	r->last_ns = loop_now(d->loop);
	record(d);
	return 0;
}

void
history_stop(struct dozo *d)
{
	if (d->recorder == NULL)
		return;
	timer_stop(d->loop, &d->recorder->timer);
	history_free(d->recorder->history);
	free(d->recorder);
	d->recorder = NULL;
}

/* A volume or member, though maybe too young for a history. */
static bool
is_object(struct dozo *d, const char *of)
{
	struct dozo_pool *pool;

	if (of[0] != '/')
		return strcmp(of, HISTORY_ALL) == 0 ||
		    dozo_find_volume(d, of, NULL) != NULL;
	TAILQ_FOREACH(pool, &d->pools, link) {
		struct raid_info a;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		raid_get_info(pool->raid, &a);
		for (unsigned i = 0; i < a.nmembers; i++) {
			if (strcmp(a.member[i].path, of) == 0)
				return true;
		}
	}
	return false;
}

void
verb_history(struct req *req)
{
	const char *of = arg_text(req, "of");

	assert(req->result == NULL && !req->locked);
	if (of == NULL)
		of = HISTORY_ALL;
	req->result = history_json(req->dozo->recorder->history, of);
	if (req->result == NULL && is_object(req->dozo, of))
		req->result = json_array();
	if (req->result != NULL)
		return;
	err_set(&req->err, ENOENT, "there is no history of %.200s", of);
	err_hint(&req->err, "Name a volume as POOL/NAME, a member by its "
	    "path, or leave it out for the sum of all volumes.");
}
