/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that look: health with what to do next, work in flight, sessions,
 * counters, events, jobs.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/page.h"
#include "admin/scrubs.h"
#include "admin/size.h"
#include "admin/tasks.h"
#include "admin/verbs.h"

#define KNOCKS_SHOWN 64u
#define OPS_SHOWN 1000u
#define EVENTS_SHOWN 200u

/* --- status --- */

struct health {
	json_t *problems;
	bool failed;			/* something is not served */
	bool degraded;			/* something is wrong */
};

/*
 * One more problem.  The page says it in other words and languages: it knows
 * the code, and finds in the object returned what the text tells.
 */
static json_t * __attribute__((format(printf, 5, 0)))
add_problem_v(struct health *h, const char *code, const char *severity,
    const char *hint, const char *fmt, va_list ap)
{
	struct err err = { 0 };
	json_t *json;

	assert(hint != NULL && fmt[0] != '\0' && code[0] != '\0');
	vsnprintf(err.text, sizeof(err.text), fmt, ap);
	json = json_pack("{s:s, s:s, s:s, s:s}", "code", code, "severity",
	    severity, "text", err.text, "hint", hint);
	json_array_append_new(h->problems, json);
	return json;
}

static json_t * __attribute__((format(printf, 5, 6)))
add_problem(struct health *h, const char *code, const char *severity,
    const char *hint, const char *fmt, ...)
{
	va_list ap;
	json_t *json;

	va_start(ap, fmt);
	json = add_problem_v(h, code, severity, hint, fmt, ap);
	va_end(ap);
	return json;
}

static json_t * __attribute__((format(printf, 5, 6)))
problem(struct health *h, const char *code, bool failed, const char *hint,
    const char *fmt, ...)
{
	va_list ap;
	json_t *json;

	h->failed = h->failed || failed;
	h->degraded = true;
	va_start(ap, fmt);
	json = add_problem_v(h, code, failed ? "failed" : "degraded", hint,
	    fmt, ap);
	va_end(ap);
	return json;
}

static void
problem_text(json_t *problem, const char *key, const char *text)
{
	json_object_set_new(problem, key, json_string(text));
}

static void
problem_number(json_t *problem, const char *key, uint64_t number)
{
	json_object_set_new(problem, key, json_bytes(number));
}

/*
 * Space runs out in three steps.  Nothing is wrong with the data yet, so
 * these do not make the appliance unhealthy.
 */
static void
space_problem(struct health *h, const struct dozo_pool *pool,
    const struct pool_info *info)
{
	static const struct { unsigned from; const char *severity; } step[] = {
		{ 95, "critical" }, { 85, "warning" }, { 75, "notice" },
	};
	uint64_t percent = info->size >= 100 ? info->used /
	    (info->size / 100) : 0;

	assert(h->problems != NULL && info->used <= info->size);
	for (size_t i = 0; i < nitems(step); i++) {
		if (percent < step[i].from)
			continue;
		problem_number(add_problem(h, "space", step[i].severity,
		    "Delete volumes that are not needed, or make another "
		    "pool.", "pool %s is %u %% full", pool->name,
		    (unsigned)MIN(percent, 100)), "percent",
		    MIN(percent, 100));
		return;
	}
}

static void
cache_problems(struct health *h, const struct dozo_pool *pool)
{
	const struct dozo_volume *dv;
	json_t *p;

	assert(h->problems != NULL);
	TAILQ_FOREACH(dv, &pool->volumes, link) {
		struct cache_stats s = { 0 };
		char text[32];

		if (dv->cached != NULL)
			cache_blk_get_stats(dv->cached, &s);
		if (!s.failing)
			continue;
		p = problem(h, "not-stored", true, "Keep dozod running: the "
		    "data is in memory only.  Bring the pool's disks back.",
		    "volume %s: %s of written data cannot be stored",
		    dv->cached->name, size_print(s.dirty, text,
		    sizeof(text)));
		problem_text(p, "volume", dv->cached->name);
		problem_number(p, "bytes", s.dirty);
	}
}

/* A repair that found something and came to its end has mended it. */
static void
scrub_problems(struct health *h, const struct dozo_pool *pool)
{
	struct raid_scrub_record r;
	char volumes[300];
	json_t *p;

	raid_get_scrub(pool->raid, &r);
	scrub_volumes(pool, volumes, sizeof(volumes));
	if (r.repair && r.state == RAID_SCRUB_CANCELLED)
		add_problem(h, "repair-cancelled", "notice", "Run `dozoctl "
		    "pool scrub --repair` again.", "pool %s: a repair of "
		    "parity was cancelled, the rest is as it was",
		    pool->name);
	if (!r.repair && r.mismatches > 0) {
		p = problem(h, "mismatches", false, "`dozoctl pool scrub "
		    "--repair` makes parity follow the data; see `dozoctl "
		    "pool status` first.", "pool %s: parity of %ju blocks "
		    "differs from their data%s", pool->name,
		    (uintmax_t)r.mismatches, volumes);
		problem_number(p, "blocks", r.mismatches);
	}
}

static json_t *
rebuild_problem(struct health *h, const struct dozo_pool *pool,
    const struct raid_member_info *m, const struct raid_info *a)
{
	bool runs = a->task == RAID_TASK_REBUILD;
	bool safe = runs && a->used_known && a->used_left == 0;

	return problem(h, safe ? "rebuilding-unused" : runs ? "rebuilding" :
	    "rebuild-stopped", false, safe ? "All used data is rebuilt; until "
	    "unused space is, too, the loss of one more disk stops the "
	    "pool." : runs ? "Until that is done data is served without "
	    "redundancy." : "The rebuild does not go on: `dozoctl pool start` "
	    "lets it.", "pool %s: member %d is being rebuilt: %s", pool->name,
	    m->role, m->path);
}

/* It serves, but the engine has said that it should not for long. */
static void
worn_problem(struct health *h, const struct dozo_pool *pool,
    const struct raid_member_info *m)
{
	json_t *p;

	if (!m->worn_out || m->state == RAID_MEMBER_MISSING ||
	    m->state == RAID_MEMBER_FAULTY)
		return;
	p = problem(h, "bad-sectors", false, "They were mended from the other "
	    "members; more will come: replace the disk with `dozoctl pool "
	    "replace`.", "pool %s: member %d had many bad sectors within an "
	    "hour: %s", pool->name, m->role, m->path);
	problem_text(p, "path", m->path);
}

/* A disk that failed is held until the pool stops. */
static json_t *
lost_problem(struct health *h, const struct dozo_pool *pool,
    const struct raid_member_info *m)
{
	return problem(h, "member-lost", false, m->path[0] == '\0' ?
	    "Data is served without redundancy: replace the disk soon, with "
	    "`dozoctl pool re-add` if it is the same, `pool replace` if it is "
	    "new." : "Data is served without redundancy: replace the disk "
	    "soon, with `dozoctl pool replace`. If it is well again: `pool "
	    "stop`, `pool start`, which take the volumes away for a moment, "
	    "then `pool re-add`.", "pool %s: member %d is %s%s%s", pool->name,
	    m->role, raid_member_state_name(m->state),
	    m->path[0] != '\0' ? ": " : "", m->path);
}

static void
member_problems(struct health *h, const struct dozo_pool *pool,
    const struct raid_member_info *m, const struct raid_info *a)
{
	json_t *p = NULL;

	if (m->state == RAID_MEMBER_MISSING || m->state == RAID_MEMBER_FAULTY)
		p = lost_problem(h, pool, m);
	if (m->state == RAID_MEMBER_REBUILDING)
		p = rebuild_problem(h, pool, m, a);
	if (p != NULL) {
		problem_number(p, "member", (uint64_t)m->role);
		problem_text(p, "path", m->path);
	}
	worn_problem(h, pool, m);
	if (m->bad_bytes == 0)
		return;
	p = problem(h, "bad-blocks", false, "Replace the disk with `dozoctl "
	    "pool replace`; `dozoctl pool scrub` tries those blocks once "
	    "more.", "pool %s: %ju bytes of member %d cannot be used: %s",
	    pool->name, (uintmax_t)m->bad_bytes, m->role, m->path);
	problem_number(p, "bytes", m->bad_bytes);
	problem_text(p, "path", m->path);
}

static void
pool_problems(struct health *h, const struct dozo_pool *pool)
{
	struct pool_info info;
	struct raid_info a;

	assert(h->problems != NULL);
	if (pool->state == DOZO_POOL_BUSY)
		return;
	if (pool->state == DOZO_POOL_OFFLINE) {
		problem(h, pool->stopped ? "pool-stopped" : "pool-offline",
		    true, pool->why.hint, "pool %s is not served: %s",
		    pool->name, pool->why.text);
		return;
	}
	raid_get_info(pool->raid, &a);
	pool_get_info(pool->pool, &info);
	if (a.failed)
		problem(h, "pool-failed", true, "Bring the missing disks "
		    "back, then stop and start the pool.", "pool %s has lost "
		    "too many disks", pool->name);
	for (unsigned i = 0; i < a.nmembers; i++)
		member_problems(h, pool, &a.member[i], &a);
	if (a.in_doubt > 0 && a.task != RAID_TASK_RESYNC)
		problem_number(problem(h, a.degraded > 0 ? "lost" : "doubt",
		    false, a.degraded > 0 ?
		    "What the lost member held there reads as errors until "
		    "it is written again." :
		    "Sectors could not be read there: replace the disk with "
		    "read errors; `dozoctl pool scrub` tries again.",
		    "pool %s: the parity of %ju bytes of each member is in "
		    "doubt", pool->name, (uintmax_t)a.in_doubt), "bytes",
		    a.in_doubt);
	scrub_problems(h, pool);
	space_problem(h, pool, &info);
	cache_problems(h, pool);
}

/* A mapping whose volume is not in the pools that are open. */
static void
orphan_problem(struct health *h, struct dozo *d, const struct doc_map *m)
{
	char path[2 * NAME_SIZE + 1];
	json_t *p;

	snprintf(path, sizeof(path), "%s/%s", m->pool, m->volume);
	if (dozo_find_volume(d, path, NULL) != NULL)
		p = problem(h, "other-volume", false, "Unmap it, then map the "
		    "volume that has the name now; or import the pool that "
		    "has the old one.", "LUN %u of host %s on target %s is a "
		    "volume %s that does not exist: the one of this name is "
		    "another", m->lun, m->host, m->target, path);
	else
		p = problem(h, "no-volume", false, "Unmap it, or import the "
		    "pool that has it.", "%s is mapped to host %s on "
		    "target %s, but does not exist", path, m->host,
		    m->target);
	problem_text(p, "volume", m->volume);
	problem_text(p, "host", m->host);
}

static void
config_problems(struct health *h, struct dozo *d)
{
	assert(h->problems != NULL && d->doc != NULL);
	for (unsigned i = 0; i < d->doc->nmaps; i++) {
		if (dozo_map_orphan(d, &d->doc->maps[i]))
			orphan_problem(h, d, &d->doc->maps[i]);
	}
	for (unsigned i = 0; i < d->nportals; i++) {
		char text[140];

		if (!d->portals[i].open)
			problem(h, "portal", false, d->portals[i].why.hint,
			    "portal %s is not open: %s",
			    conf_print_addr(&d->portals[i].addr, text,
			    sizeof(text)), d->portals[i].why.text);
	}
	if (page_fails(d))
		problem(h, "page", false, "`journalctl -u dozod` says why.  "
		    "If another program has the port: another page-port in "
		    "dozo.conf, and restart dozod.", "the page does not start "
		    "on port %u", d->conf.page_port);
}

static void
count_session(void *arg, const struct target_session_info *info)
{
	if (!info->discovery)
		++*(unsigned *)arg;
}

/* What goes on now; the page shows it everywhere. */
static json_t *
running_jobs(struct dozo *d)
{
	json_t *list = jobs_json(d);
	size_t i = 0;

	while (i < json_array_size(list)) {
		const char *state = json_string_value(json_object_get(
		    json_array_get(list, i), "state"));

		if (state != NULL && strcmp(state, "running") == 0)
			i++;
		else
			json_array_remove(list, i);
	}
	return list;
}

void
verb_status(struct req *req)
{
	struct dozo *d = req->dozo;
	struct health h = { .problems = json_array() };
	json_t *pools = json_array();
	struct dozo_pool *pool;
	unsigned sessions = 0, volumes = 0;

	assert(req->result == NULL && !req->locked);
	TAILQ_FOREACH(pool, &d->pools, link) {
		size_t before = json_array_size(h.problems);
		struct dozo_volume *dv;

		pool_problems(&h, pool);
		for (size_t i = before; i < json_array_size(h.problems); i++)
			json_object_set_new(json_array_get(h.problems, i),
			    "pool", json_string(pool->name));
		TAILQ_FOREACH(dv, &pool->volumes, link)
			volumes++;
		json_array_append_new(pools, pool_json(pool));
	}
	config_problems(&h, d);
	if (d->power_failing)
		add_problem(&h, "battery", "warning", "Volumes with write "
		    "policy writeback are written through, and slower, until "
		    "the UPS software reloads dozod.", "the power is "
		    "failing");
	target_sessions(d->server, count_session, &sessions);
	req->result = json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:i, s:i, "
	    "s:i, s:i, s:i, s:o, s:o}",
	    "health", h.failed ? "failed" :
	    h.degraded ? "degraded" : "healthy",
	    "problems", h.problems, "version", PACKAGE_VERSION,
	    "appliance", d->doc->appliance,
	    "uptime_s", (json_int_t)((loop_now(d->loop) - d->start_ns) /
	    NSEC_PER_SEC), "generation", (json_int_t)d->doc->generation,
	    "volumes", (int)volumes, "targets", (int)d->doc->ntargets,
	    "hosts", (int)d->doc->nhosts, "mappings", (int)d->doc->nmaps,
	    "sessions", (int)sessions, "pools", pools,
	    "jobs", running_jobs(d));
}

void
verb_version(struct req *req)
{
	assert(req->result == NULL && !req->locked);
	req->result = json_pack("{s:s, s:i, s:s, s:s}", "version",
	    PACKAGE_VERSION, "document_format", DOC_FORMAT,
	    "array_format", "md 1.2", "api", "v1");
}

/* --- ops --- */

void
verb_ops(struct req *req)
{
	struct op_sched *sched = loop_sched(req->dozo->loop);
	struct op *op;
	unsigned n = 0;

	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	TAILQ_FOREACH(op, &sched->live, live) {
		char text[160];

		if (n++ == OPS_SHOWN)
			break;
		op_describe(op, text, sizeof(text));
		json_array_append_new(req->result, json_pack(
		    "{s:s, s:s, s:s, s:f}", "op", op->type->name, "step",
		    op->step < op->type->nsteps ? op->type->steps[op->step] :
		    "?", "text", text, "age_ms",
		    (double)(sched->now_ns - op->start_ns) / 1e6));
	}
}

/* --- sessions --- */

static void
session_json(void *arg, const struct target_session_info *s)
{
	json_t *list = arg;
	char peer[140], local[140], isid[13];

	for (unsigned i = 0; i < sizeof(s->isid); i++)
		snprintf(isid + 2 * i, 3, "%02x", s->isid[i]);
	json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:s, s:s, s:s,"
	    "s:i, s:b, s:s, s:s, s:I, s:s, s:b, s:b, s:b, s:b, s:b, s:I, s:I,"
	    "s:I, s:I, s:I, s:i, s:I, s:I, s:o, s:o}",
	    "id", (int)s->id, "initiator", s->initiator,
	    "initiator_alias", s->initiator_alias, "target", s->target,
	    "host", s->host, "isid", isid, "tsih", (int)s->tsih,
	    "discovery", (int)s->discovery,
	    "peer", conf_print_addr(&s->peer, peer, sizeof(peer)),
	    "local", conf_print_addr(&s->local, local, sizeof(local)),
	    "since_s", (json_int_t)s->since_s,
	    "auth", s->auth != NULL ? s->auth : "none",
	    "mutual", (int)s->mutual,
	    "header_digest", (int)s->header_digest,
	    "data_digest", (int)s->data_digest,
	    "initial_r2t", (int)s->initial_r2t,
	    "immediate_data", (int)s->immediate_data,
	    "max_recv_segment", (json_int_t)s->max_recv_segment,
	    "max_send_segment", (json_int_t)s->max_send_segment,
	    "first_burst", (json_int_t)s->first_burst,
	    "max_burst", (json_int_t)s->max_burst,
	    "max_outstanding_r2t", (json_int_t)s->max_outstanding_r2t,
	    "tasks", (int)s->tasks, "reads", (json_int_t)s->reads,
	    "writes", (json_int_t)s->writes,
	    "read_bytes", json_bytes(s->read_bytes),
	    "write_bytes", json_bytes(s->write_bytes)));
}

void
verb_sessions(struct req *req)
{
	assert(req->result == NULL && !req->locked);
	req->result = json_array();
	target_sessions(req->dozo->server, session_json, req->result);
}

struct find_session {
	unsigned id;
	bool found;
};

static void
find_session(void *arg, const struct target_session_info *info)
{
	struct find_session *find = arg;

	find->found = find->found || info->id == find->id;
}

void
verb_session_drop(struct req *req)
{
	uint64_t id = arg_number(req, "id", 0);
	struct find_session find = { .id = (unsigned)id };

	assert(req->locked && req->next == NULL);
	if (id <= UINT32_MAX)
		target_sessions(req->dozo->server, find_session, &find);
	if (find.found && !req->dry_run)
		target_session_drop(req->dozo->server, find.id);
	req_result(req, json_pack("{s:I}", "id", (json_int_t)id), find.found);
}

void
verb_knocks(struct req *req)
{
	struct target_knock *knocks = calloc(KNOCKS_SHOWN, sizeof(*knocks));
	unsigned n;

	assert(req->result == NULL && !req->locked);
	if (knocks == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->result = json_array();
	n = target_knocks(req->dozo->server, knocks, KNOCKS_SHOWN);
	for (unsigned i = 0; i < n; i++) {
		char peer[140];

		json_array_append_new(req->result, json_pack(
		    "{s:s, s:s, s:s, s:I, s:i, s:s}",
		    "initiator", knocks[i].initiator,
		    "target", knocks[i].target,
		    "peer", conf_print_addr(&knocks[i].peer, peer,
		    sizeof(peer)), "last_s", (json_int_t)knocks[i].last_s,
		    "count", (int)knocks[i].count, "why", knocks[i].why));
	}
	free(knocks);
}

/* --- stats --- */

static json_t *
cache_json(const struct cache_stats *s)
{
	return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:I}",
	    "hits", (json_int_t)s->hits, "misses", (json_int_t)s->misses,
	    "evictions", (json_int_t)s->evictions,
	    "dirty", json_bytes(s->dirty),
	    "written_back", json_bytes(s->written_back),
	    "read_ahead", json_bytes(s->read_ahead),
	    "write_errors", (json_int_t)s->write_errors);
}

/* Of all volumes; sizes are 0 if there is no cache. */
static json_t *
whole_cache_json(const struct dozo *d)
{
	struct cache_stats s = { 0 };
	json_t *json;

	if (d->cache != NULL)
		cache_get_stats(d->cache, &s);
	json = cache_json(&s);
	json_object_set_new(json, "size", json_bytes(s.max));
	json_object_set_new(json, "limit", json_bytes(s.limit));
	json_object_set_new(json, "used", json_bytes(s.used));
	return json;
}

static json_t *
counts(const uint64_t *count, unsigned n)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list,
		    json_integer((json_int_t)count[i]));
	return list;
}

static json_t *
volume_stats(const struct dozo_volume *dv)
{
	struct scsi_lu_stats s;
	struct cache_stats cache = { 0 };
	struct volume_info info;

	assert(dv->lu != NULL && dv->volume != NULL);
	volume_get_info(dv->volume, &info);
	scsi_lu_get_stats(dv->lu, &s);
	if (dv->cached != NULL)
		cache_blk_get_stats(dv->cached, &cache);
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:I,"
	    "s:o, s:o, s:o}",
	    "pool", dv->pool->name, "name", info.name,
	    "reads", (json_int_t)s.reads, "writes", (json_int_t)s.writes,
	    "read_bytes", json_bytes(s.read_bytes),
	    "write_bytes", json_bytes(s.write_bytes),
	    "others", (json_int_t)s.others, "errors", (json_int_t)s.errors,
	    "read_us", (json_int_t)(s.read_ns / 1000),
	    "write_us", (json_int_t)(s.write_ns / 1000),
	    "read_latency_log2_us", counts(s.read_latency, SCSI_LATENCIES),
	    "write_latency_log2_us",
	    counts(s.write_latency, SCSI_LATENCIES),
	    "cache", cache_json(&cache));
}

static json_t *
member_stats(const struct raid_member_info *m)
{
	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:o, s:o}",
	    "path", m->path, "reads", (json_int_t)m->reads,
	    "writes", (json_int_t)m->writes,
	    "read_bytes", json_bytes(m->read_bytes),
	    "write_bytes", json_bytes(m->write_bytes),
	    "read_errors", (json_int_t)m->read_errors,
	    "write_errors", (json_int_t)m->write_errors,
	    "corrected_errors", (json_int_t)m->corrected_errors,
	    "stalls", (json_int_t)m->stalls,
	    "bad_bytes", (json_int_t)m->bad_bytes,
	    "read_us", (json_int_t)(m->read_ns / 1000),
	    "write_us", (json_int_t)(m->write_ns / 1000),
	    "read_latency_log2_us", counts(m->latency, RAID_LATENCIES),
	    "write_latency_log2_us",
	    counts(m->write_latency, RAID_LATENCIES));
}

static json_t *
pool_stats(const struct dozo_pool *pool)
{
	struct raid_info a;
	json_t *members = json_array();

	assert(pool->state == DOZO_POOL_ONLINE);
	raid_get_info(pool->raid, &a);
	for (unsigned i = 0; i < a.nmembers; i++)
		json_array_append_new(members, member_stats(&a.member[i]));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, "
	    "s:I, s:I, s:o}",
	    "name", pool->name, "full_writes", (json_int_t)a.full_writes,
	    "rmw_writes", (json_int_t)a.rmw_writes,
	    "rcw_writes", (json_int_t)a.rcw_writes,
	    "prereads", (json_int_t)a.prereads,
	    "degraded_reads", (json_int_t)a.degraded_reads,
	    "merged_writes", (json_int_t)a.merged_writes,
	    "ppl_headers", (json_int_t)a.ppl_headers,
	    "ppl_entries", (json_int_t)a.ppl_entries,
	    "ppl_depth", a.ppl_headers > 0 ?
	    (double)a.ppl_entries / (double)a.ppl_headers : 0.0,
	    "events", (json_int_t)a.events,
	    "mismatches", (json_int_t)a.mismatches,
	    "members", members);
}

void
verb_stats(struct req *req)
{
	struct dozo *d = req->dozo;
	json_t *volumes = json_array(), *pools = json_array();
	struct loop_stats loop;
	struct dozo_pool *pool;

	assert(req->result == NULL && !req->locked);
	TAILQ_FOREACH(pool, &d->pools, link) {
		struct dozo_volume *dv;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		TAILQ_FOREACH(dv, &pool->volumes, link)
			json_array_append_new(volumes, volume_stats(dv));
		json_array_append_new(pools, pool_stats(pool));
	}
	loop_get_stats(d->loop, &loop);
	req->result = json_pack("{s:I, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I, "
	    "s:I}}",
	    "time_ms", (json_int_t)(loop_now(d->loop) / NSEC_PER_MSEC),
	    "volumes", volumes, "pools", pools,
	    "cache", whole_cache_json(d), "loop",
	    "turns", (json_int_t)loop.turns, "enters",
	    (json_int_t)loop.enters, "completions",
	    (json_int_t)loop.completions, "inline_ios",
	    (json_int_t)loop.inline_ios, "sleeps", (json_int_t)loop.sleeps);
}

/* --- events, jobs --- */

void
verb_events(struct req *req)
{
	assert(req->result == NULL && !req->locked);
	req->result = events_since(req->dozo, arg_number(req, "since", 0),
	    EVENTS_SHOWN);
}

void
verb_job_list(struct req *req)
{
	assert(req->result == NULL && !req->locked);
	req->result = jobs_json(req->dozo);
}

void
verb_job_show(struct req *req)
{
	uint64_t id = arg_number(req, "id", 0);
	const struct req *job = NULL;
	struct dozo_pool *pool = NULL;

	assert(req->result == NULL && !req->locked);
	if (id <= UINT32_MAX) {
		job = job_find(req->dozo, (unsigned)id);
		pool = array_task_find(req->dozo, (unsigned)id);
	}
	if (job != NULL)
		req->result = job_json(job);
	else if (pool != NULL)
		req->result = array_task_job_json(pool);
	else
		err_set(&req->err, ENOENT, "there is no job %ju",
		    (uintmax_t)id);
}
