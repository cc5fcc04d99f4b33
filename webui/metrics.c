/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GET /metrics: Prometheus text format 0.0.4, from the same status and stats
 * that the page shows.  Base units; labels are names from the configuration
 * and paths of members, nothing a peer can invent.
 */
#include "config.h"

#include "webui/web.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

struct metrics {
	struct web *web;
	struct http_conn *conn;
	json_t *status;
};

/* One family: a key of each object in a list, in units of `scale`. */
struct family {
	const char *name, *type, *help, *key;
	double scale;
};

static const struct family volume_families[] = {
	{ "dozo_volume_reads_total", "counter", "READ commands", "reads", 1 },
	{ "dozo_volume_writes_total", "counter", "WRITE commands", "writes",
	    1 },
	{ "dozo_volume_read_bytes_total", "counter", "Bytes read",
	    "read_bytes", 1 },
	{ "dozo_volume_written_bytes_total", "counter", "Bytes written",
	    "write_bytes", 1 },
	{ "dozo_volume_read_seconds_total", "counter",
	    "Time spent in READ commands", "read_us", 1e-6 },
	{ "dozo_volume_write_seconds_total", "counter",
	    "Time spent in WRITE commands", "write_us", 1e-6 },
	{ "dozo_volume_errors_total", "counter",
	    "Commands that failed (unit attentions and requests that are not "
	    "valid are not counted)", "errors", 1 },
};
static const struct family member_families[] = {
	{ "dozo_member_reads_total", "counter", "Reads of a member", "reads",
	    1 },
	{ "dozo_member_writes_total", "counter", "Writes of a member",
	    "writes", 1 },
	{ "dozo_member_read_bytes_total", "counter", "Bytes read",
	    "read_bytes", 1 },
	{ "dozo_member_written_bytes_total", "counter", "Bytes written",
	    "write_bytes", 1 },
	{ "dozo_member_read_errors_total", "counter", "Failed reads",
	    "read_errors", 1 },
	{ "dozo_member_write_errors_total", "counter", "Failed writes",
	    "write_errors", 1 },
	{ "dozo_member_corrected_errors_total", "counter",
	    "Sectors that could not be read and were rewritten",
	    "corrected_errors", 1 },
	{ "dozo_member_stalls_total", "counter",
	    "Requests that missed the deadline", "stalls", 1 },
	{ "dozo_member_bad_bytes", "gauge", "Listed in its bad-block log",
	    "bad_bytes", 1 },
};
static const struct family pool_families[] = {
	{ "dozo_pool_size_bytes", "gauge", "Usable size", "size", 1 },
	{ "dozo_pool_used_bytes", "gauge", "Allocated", "used", 1 },
	{ "dozo_pool_degraded_members", "gauge", "Members missing or failed",
	    "degraded", 1 },
};
/* Of stats.pools. */
static const struct family array_families[] = {
	{ "dozo_pool_full_stripe_writes_total", "counter",
	    "Rows written whole", "full_writes", 1 },
	{ "dozo_pool_read_modify_writes_total", "counter",
	    "Rows written after reading the old data and parity",
	    "rmw_writes", 1 },
	{ "dozo_pool_reconstruct_writes_total", "counter",
	    "Rows written after reading the rest of the data",
	    "rcw_writes", 1 },
	{ "dozo_pool_prereads_total", "counter",
	    "Reads of members that writes needed", "prereads", 1 },
	{ "dozo_pool_merged_writes_total", "counter",
	    "Parts of writes that another one took along", "merged_writes",
	    1 },
	{ "dozo_pool_degraded_reads_total", "counter",
	    "Reads answered by reconstruction", "degraded_reads", 1 },
	{ "dozo_pool_log_headers_total", "counter",
	    "Headers written to the partial parity log", "ppl_headers", 1 },
	{ "dozo_pool_log_entries_total", "counter",
	    "Rows in them; entries per header is the depth", "ppl_entries",
	    1 },
	{ "dozo_pool_mismatched_blocks", "gauge",
	    "Blocks of 4 KiB with wrong parity, last scrub", "mismatches",
	    1 },
};
/* Of stats.cache. */
static const struct family cache_families[] = {
	{ "dozo_cache_size_bytes", "gauge", "Memory the cache may have",
	    "limit", 1 },
	{ "dozo_cache_used_bytes", "gauge", "Memory with data in it", "used",
	    1 },
	{ "dozo_cache_dirty_bytes", "gauge", "Written, but not on the disks",
	    "dirty", 1 },
	{ "dozo_cache_hits_total", "counter", "Reads answered from memory",
	    "hits", 1 },
	{ "dozo_cache_misses_total", "counter", "Reads that needed a disk",
	    "misses", 1 },
	{ "dozo_cache_evictions_total", "counter", "Pages given up for others",
	    "evictions", 1 },
	{ "dozo_cache_written_back_bytes_total", "counter",
	    "Bytes written from memory to the disks", "written_back", 1 },
	{ "dozo_cache_write_errors_total", "counter",
	    "Failed attempts to write from memory", "write_errors", 1 },
};
static const struct family box_families[] = {
	{ "dozo_uptime_seconds", "gauge", "Since dozod was started",
	    "uptime_s", 1 },
	{ "dozo_sessions", "gauge", "iSCSI sessions", "sessions", 1 },
	{ "dozo_volumes", "gauge", "Volumes", "volumes", 1 },
};

/* Numbers come as numbers, byte counts as decimal text. */
static double
number(const json_t *value)
{
	if (json_is_string(value))
		return strtod(json_string_value(value), NULL);
	return json_number_value(value);
}

static void
print_label(FILE *out, const char *name, const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	assert(name[0] != '\0' && key[0] != '\0');
	fprintf(out, "%s=\"", name);
	for (; text != NULL && *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void
print_head(FILE *out, const struct family *f)
{
	assert(f->name != NULL && f->scale > 0);
	fprintf(out, "# HELP %s %s.\n# TYPE %s %s\n", f->name, f->help,
	    f->name, f->type);
}

static void
print_volumes(FILE *out, const json_t *stats)
{
	const json_t *volume;
	size_t i;

	for (size_t n = 0; n < nitems(volume_families); n++) {
		const struct family *f = &volume_families[n];

		print_head(out, f);
		json_array_foreach(json_object_get(stats, "volumes"), i,
		    volume) {
			fprintf(out, "%s{", f->name);
			print_label(out, "pool", volume, "pool");
			print_label(out, ",volume", volume, "name");
			fprintf(out, "} %.15g\n", f->scale *
			    number(json_object_get(volume, f->key)));
		}
	}
}

/* Two labels, each the text at `key` of an object. */
struct labels {
	struct { const char *name; const json_t *obj; const char *key; } of[2];
};

static void
print_labels(FILE *out, const struct labels *labels)
{
	for (size_t i = 0; i < nitems(labels->of); i++) {
		if (i > 0)
			fputc(',', out);
		print_label(out, labels->of[i].name, labels->of[i].obj,
		    labels->of[i].key);
	}
}

static const struct histogram {
	const char *name, *help, *key, *sum;
} volume_histograms[] = {
	{ "dozo_volume_read_latency_seconds", "How long READ commands took",
	    "read_latency_log2_us", "read_us" },
	{ "dozo_volume_write_latency_seconds", "How long WRITE commands took",
	    "write_latency_log2_us", "write_us" },
}, member_histograms[] = {
	{ "dozo_member_read_latency_seconds", "How long reads of it took",
	    "read_latency_log2_us", "read_us" },
	{ "dozo_member_write_latency_seconds", "How long writes to it took",
	    "write_latency_log2_us", "write_us" },
};

static void
print_histogram_head(FILE *out, const struct histogram *h)
{
	fprintf(out, "# HELP %s %s.\n# TYPE %s histogram\n", h->name,
	    h->help, h->name);
}

/* Counts of what took less than 2^i us. */
static void
print_buckets(FILE *out, const struct histogram *h, const json_t *obj,
    const struct labels *labels)
{
	const json_t *counts = json_object_get(obj, h->key);
	double total = 0;

	for (size_t i = 0; i <= json_array_size(counts); i++) {
		bool last = i == json_array_size(counts);

		if (!last)
			total += number(json_array_get(counts, i));
		fprintf(out, "%s_bucket{", h->name);
		print_labels(out, labels);
		if (last)
			fprintf(out, ",le=\"+Inf\"} %.15g\n", total);
		else
			fprintf(out, ",le=\"%.15g\"} %.15g\n",
			    1e-6 * (double)(UINT64_C(1) << MIN(i, 63)), total);
	}
	fprintf(out, "%s_sum{", h->name);
	print_labels(out, labels);
	fprintf(out, "} %.15g\n%s_count{", 1e-6 * number(json_object_get(obj,
	    h->sum)), h->name);
	print_labels(out, labels);
	fprintf(out, "} %.15g\n", total);
}

static void
print_latencies(FILE *out, const json_t *stats)
{
	const json_t *obj, *pool;
	size_t i, j;

	for (size_t n = 0; n < nitems(volume_histograms); n++) {
		print_histogram_head(out, &volume_histograms[n]);
		json_array_foreach(json_object_get(stats, "volumes"), i, obj)
			print_buckets(out, &volume_histograms[n], obj,
			    &(struct labels){ { { "pool", obj, "pool" },
			    { "volume", obj, "name" } } });
	}
	for (size_t n = 0; n < nitems(member_histograms); n++) {
		print_histogram_head(out, &member_histograms[n]);
		json_array_foreach(json_object_get(stats, "pools"), i, pool)
			json_array_foreach(json_object_get(pool, "members"),
			    j, obj)
				print_buckets(out, &member_histograms[n], obj,
				    &(struct labels){ { { "pool", pool,
				    "name" }, { "member", obj, "path" } } });
	}
}

static void
print_members(FILE *out, const json_t *stats)
{
	const json_t *pool, *member;
	size_t i, j;

	for (size_t n = 0; n < nitems(member_families); n++) {
		const struct family *f = &member_families[n];

		print_head(out, f);
		json_array_foreach(json_object_get(stats, "pools"), i, pool) {
			json_array_foreach(json_object_get(pool, "members"),
			    j, member) {
				fprintf(out, "%s{", f->name);
				print_label(out, "pool", pool, "name");
				print_label(out, ",member", member, "path");
				fprintf(out, "} %.15g\n", f->scale * number(
				    json_object_get(member, f->key)));
			}
		}
	}
}

static void
print_pools(FILE *out, const json_t *pools, const struct family *families,
    size_t nfamilies)
{
	const json_t *pool;
	size_t i;

	for (size_t n = 0; n < nfamilies; n++) {
		const struct family *f = &families[n];

		print_head(out, f);
		json_array_foreach(pools, i, pool) {
			if (json_object_get(pool, f->key) == NULL)
				continue;
			fprintf(out, "%s{", f->name);
			print_label(out, "pool", pool, "name");
			fprintf(out, "} %.15g\n", f->scale *
			    number(json_object_get(pool, f->key)));
		}
	}
}

static void
print_box(FILE *out, const json_t *status)
{
	const char *health = json_string_value(json_object_get(status,
	    "health"));

	for (size_t n = 0; n < nitems(box_families); n++) {
		const struct family *f = &box_families[n];

		print_head(out, f);
		fprintf(out, "%s %.15g\n", f->name, f->scale *
		    number(json_object_get(status, f->key)));
	}
	fprintf(out, "# HELP dozo_healthy 1 if nothing is degraded or "
	    "failed.\n# TYPE dozo_healthy gauge\ndozo_healthy %d\n",
	    health != NULL && strcmp(health, "healthy") == 0);
}

static void
print_cache(FILE *out, const json_t *stats)
{
	const json_t *cache = json_object_get(stats, "cache");

	for (size_t n = 0; n < nitems(cache_families); n++) {
		const struct family *f = &cache_families[n];

		print_head(out, f);
		fprintf(out, "%s %.15g\n", f->name, f->scale *
		    number(json_object_get(cache, f->key)));
	}
}

char *
metrics_text(const json_t *status, const json_t *stats)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	print_box(out, status);
	print_pools(out, json_object_get(status, "pools"), pool_families,
	    nitems(pool_families));
	print_pools(out, json_object_get(stats, "pools"), array_families,
	    nitems(array_families));
	print_volumes(out, stats);
	print_latencies(out, stats);
	print_members(out, stats);
	print_cache(out, stats);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	assert(text != NULL && text[len - 1] == '\n');
	return text;
}

static void
finish(struct metrics *m, const json_t *stats)
{
	struct http_conn *conn = m->conn;
	char *text = m->status != NULL && stats != NULL ?
	    metrics_text(m->status, stats) : NULL;

	assert(conn->work == m);
	json_decref(m->status);
	conn->work = NULL;
	free(m);
	if (text == NULL) {
		reply_text(conn, 503, "dozod does not answer\n");
		return;
	}
	http_reply(conn, &(struct http_reply){ .status = 200,
	    .type = "text/plain; version=0.0.4; charset=utf-8", .body = text,
	    .len = strlen(text) });
	free(text);
}

static void
got_stats(void *arg, json_t *reply)
{
	finish(arg, json_object_get(reply, "result"));
}

static void
got_status(void *arg, json_t *reply)
{
	struct metrics *m = arg;

	assert(m->status == NULL);
	m->status = json_incref(json_object_get(reply, "result"));
	client_call(m->web->client, &(struct client_request){
	    .verb = "stats", .done = got_stats, .arg = m });
}

void
metrics_handle(struct web *web, struct http_conn *conn)
{
	struct metrics *m;

	assert(conn->work == NULL);
	if (!who_may_read(web, conn)) {
		http_reply(conn, &(struct http_reply){ .status = 401,
		    .type = "text/plain", .body = "an API token is needed\n",
		    .len = 23,
		    .fields = { "WWW-Authenticate", "Bearer", NULL } });
		return;
	}
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		reply_text(conn, 503, "out of memory\n");
		return;
	}
	m->web = web;
	m->conn = conn;
	conn->work = m;
	client_call(web->client, &(struct client_request){
	    .verb = "status", .done = got_status, .arg = m });
}
