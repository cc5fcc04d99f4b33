/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozoctl: results for people.  Lists are tables by the column lists below;
 * other objects are printed as "key: value" lines; a few have a page of their
 * own.
 */
#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/ctl.h"
#include "admin/size.h"
#include "core/util.h"

#define CELL_SIZE 256
#define COLUMNS_MAX 8u

/* A time of 0 is not known, an end of 0 never comes. */
enum column_kind { COL_TEXT, COL_SIZE, COL_BOOL, COL_LIST, COL_COUNT,
	COL_TIME, COL_END, COL_REAL };

struct column {
	const char *title, *key;
	enum column_kind kind;
};

struct table {
	const char *verb;
	const char *empty;		/* instead of an empty table */
	struct column column[COLUMNS_MAX];
};

static const struct table tables[] = {
	{ "pool.list", "no pools: `dozoctl disk list` shows what one can be "
	    "made of", { { "POOL", "name", COL_TEXT },
	    { "HEALTH", "health", COL_TEXT }, { "LEVEL", "level", COL_TEXT },
	    { "SIZE", "size", COL_SIZE }, { "FREE", "free", COL_SIZE },
	    { "VOLUMES", "volumes", COL_TEXT } } },
	{ "volume.list", "no volumes", { { "POOL", "pool", COL_TEXT },
	    { "VOLUME", "name", COL_TEXT }, { "SIZE", "size", COL_SIZE },
	    { "WRITE POLICY", "write_policy", COL_TEXT },
	    { "MAPPINGS", "mappings", COL_COUNT } } },
	{ "target.list", "no targets", { { "TARGET", "name", COL_TEXT },
	    { "IQN", "iqn", COL_TEXT }, { "MAPPINGS", "mappings", COL_COUNT },
	    { "SESSIONS", "sessions", COL_TEXT } } },
	{ "host.list", "no hosts", { { "HOST", "name", COL_TEXT },
	    { "IQNS", "iqns", COL_LIST }, { "NETWORKS", "networks", COL_LIST },
	    { "CHAP", "chap", COL_BOOL }, { "PRESET", "preset", COL_TEXT } } },
	{ "map.list", "no mappings", { { "POOL", "pool", COL_TEXT },
	    { "VOLUME", "volume", COL_TEXT }, { "HOST", "host", COL_TEXT },
	    { "TARGET", "target", COL_TEXT }, { "LUN", "lun", COL_TEXT },
	    { "READ-ONLY", "read_only", COL_BOOL },
	    { "ORPHAN", "orphan", COL_BOOL } } },
	{ "portal.list", "no portals", { { "PORTAL", "portal", COL_TEXT },
	    { "TAG", "tag", COL_TEXT }, { "OPEN", "open", COL_BOOL },
	    { "FROM DOZO.CONF", "permanent", COL_BOOL } } },
	{ "disk.list", "no disks", { { "PATH", "path", COL_TEXT },
	    { "SIZE", "size", COL_SIZE }, { "MODEL", "model", COL_TEXT },
	    { "SERIAL", "serial", COL_TEXT },
	    { "CONTENTS", "contents", COL_TEXT },
	    { "POOL", "pool", COL_TEXT }, { "STATE", "state", COL_TEXT },
	    { "NOTE", "note", COL_TEXT } } },
	{ "sessions", "no sessions", { { "ID", "id", COL_TEXT },
	    { "INITIATOR", "initiator", COL_TEXT },
	    { "TARGET", "target", COL_TEXT }, { "HOST", "host", COL_TEXT },
	    { "FROM", "peer", COL_TEXT }, { "AUTH", "auth", COL_TEXT },
	    { "SINCE", "since_s", COL_TIME } } },
	{ "knocks", "nobody was refused lately", {
	    { "INITIATOR", "initiator", COL_TEXT },
	    { "TARGET", "target", COL_TEXT }, { "FROM", "peer", COL_TEXT },
	    { "LAST", "last_s", COL_TIME }, { "TIMES", "count", COL_TEXT },
	    { "WHY", "why", COL_TEXT } } },
	{ "history", "nothing is known yet", {
	    { "TIME", "time_s", COL_TIME }, { "READS/S", "reads_s", COL_REAL },
	    { "WRITES/S", "writes_s", COL_REAL },
	    { "READ B/S", "read_bytes_s", COL_TEXT },
	    { "WRITTEN B/S", "write_bytes_s", COL_TEXT },
	    { "READ P50 US", "read_p50_us", COL_TEXT },
	    { "P99", "read_p99_us", COL_TEXT },
	    { "WRITE P99", "write_p99_us", COL_TEXT } } },
	{ "log", "nothing was logged", { { "TIME", "time_s", COL_TIME },
	    { "LEVEL", "level", COL_TEXT }, { "AREA", "area", COL_TEXT },
	    { "TEXT", "text", COL_TEXT } } },
	{ "ops", "nothing is in flight", { { "AGE MS", "age_ms", COL_REAL },
	    { "WORK", "text", COL_TEXT } } },
	{ "job.list", "no jobs", { { "ID", "id", COL_TEXT },
	    { "JOB", "verb", COL_TEXT }, { "OBJECT", "object", COL_TEXT },
	    { "STATE", "state", COL_TEXT }, { "%", "percent", COL_REAL },
	    { "SECONDS LEFT", "eta_s", COL_TEXT } } },
	{ "user.list", "no users", { { "USER", "name", COL_TEXT },
	    { "ROLE", "role", COL_TEXT } } },
	{ "token.list", "no tokens", { { "TOKEN", "name", COL_TEXT },
	    { "ROLE", "role", COL_TEXT },
	    { "EXPIRES", "expires_s", COL_END } } },
	{ "config.history", "no history", {
	    { "GENERATION", "generation", COL_TEXT },
	    { "WRITTEN", "written_s", COL_TIME },
	    { "IN FORCE", "current", COL_BOOL } } },
};

const char *
json_text(const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text != NULL ? text : "";
}

json_int_t
json_num(const json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

uint64_t
json_size(const json_t *obj, const char *key)
{
	return strtoull(json_text(obj, key), NULL, 10);
}

/* --- cells --- */

static void
print_time(json_int_t seconds, char *text, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(text, size, "%F %T", &tm) == 0)
		snprintf(text, size, "%" JSON_INTEGER_FORMAT, seconds);
}

static void
join(const json_t *list, char *text, size_t size)
{
	size_t len = 0;

	assert(size > 0);
	for (size_t i = 0; i < json_array_size(list) && len < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%s",
		    i > 0 ? "," : "",
		    json_string_value(json_array_get(list, i)));
}

static void
plain(const json_t *value, char *text, size_t size)
{
	if (json_is_string(value))
		snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_integer(value) && json_integer_value(value) >= 0)
		snprintf(text, size, "%" JSON_INTEGER_FORMAT,
		    json_integer_value(value));
	else if (json_is_real(value))
		snprintf(text, size, "%.1f", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(text, size, "%s",
		    json_is_true(value) ? "yes" : "no");
}

static void
cell(const json_t *obj, const struct column *c, char *text, size_t size)
{
	const json_t *value = json_object_get(obj, c->key);

	assert(size > 1 && c->title != NULL);
	text[0] = '\0';
	switch (c->kind) {
	case COL_TEXT:
	case COL_REAL:
		plain(value, text, size);
		break;
	case COL_SIZE:
		if (value != NULL)
			size_print(json_size(obj, c->key), text, size);
		break;
	case COL_BOOL:
		snprintf(text, size, "%s", value != NULL &&
		    !json_is_false(value) ? "yes" : "");
		break;
	case COL_LIST:
		join(value, text, size);
		break;
	case COL_COUNT:
		snprintf(text, size, "%zu", json_array_size(value));
		break;
	case COL_TIME:
	case COL_END:
		if (json_integer_value(value) > 0)
			print_time(json_integer_value(value), text, size);
		break;
	}
	if (text[0] == '\0')
		snprintf(text, size, "%s", c->kind == COL_END ? "never" : "-");
}

/* --- tables --- */

static void
print_row(const struct table *t, const json_t *obj, const size_t *width)
{
	char text[CELL_SIZE];

	for (size_t i = 0; i < COLUMNS_MAX && t->column[i].title; i++) {
		bool last = i + 1 == COLUMNS_MAX || !t->column[i + 1].title;

		if (obj != NULL)
			cell(obj, &t->column[i], text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%s",
			    t->column[i].title);
		if (last)
			printf("%s\n", text);
		else
			printf("%-*s  ", (int)width[i], text);
	}
}

static void
print_table(const struct table *t, const json_t *list)
{
	size_t width[COLUMNS_MAX] = { 0 };

	assert(t->empty != NULL && t->column[0].title != NULL);
	if (json_array_size(list) == 0) {
		printf("%s\n", t->empty);
		return;
	}
	for (size_t i = 0; i < COLUMNS_MAX && t->column[i].title; i++) {
		width[i] = strlen(t->column[i].title);
		for (size_t j = 0; j < json_array_size(list); j++) {
			char text[CELL_SIZE];

			cell(json_array_get(list, j), &t->column[i], text,
			    sizeof(text));
			width[i] = MAX(width[i], strlen(text));
		}
	}
	print_row(t, NULL, width);
	for (size_t j = 0; j < json_array_size(list); j++)
		print_row(t, json_array_get(list, j), width);
}

/* --- pages --- */

static void
print_members(const json_t *pool)
{
	static const struct table table = { NULL, "", {
		{ "MEMBER", "role", COL_TEXT },
		{ "STATE", "state", COL_TEXT },
		{ "READ ERRORS", "read_errors", COL_TEXT },
		{ "CORRECTED", "corrected_errors", COL_TEXT },
		{ "WRITE ERRORS", "write_errors", COL_TEXT },
		{ "PATH", "path", COL_TEXT } } };
	const json_t *missing = json_object_get(pool, "missing");

	if (json_object_get(pool, "members") != NULL)
		print_table(&table, json_object_get(pool, "members"));
	for (size_t i = 0; i < json_array_size(missing); i++) {
		const json_t *member = json_array_get(missing, i);

		printf("  not in use: %s%s%s\n", json_text(member, "path"),
		    json_text(member, "serial")[0] != '\0' ? ", serial " : "",
		    json_text(member, "serial"));
	}
}

#define MISMATCHES_SHOWN 10u

/* A rebuild takes what is used first. */
static void
print_used(const json_t *task)
{
	char left[32];

	if (json_object_get(task, "used_left_bytes") == NULL)
		return;
	if (json_size(task, "used_left_bytes") == 0) {
		printf("  all used data is rebuilt, unused space follows\n");
		return;
	}
	printf("  used data: %s of each disk to go", size_print(json_size(task,
	    "used_left_bytes"), left, sizeof(left)));
	if (json_object_get(task, "used_eta_s") != NULL)
		printf(", %" JSON_INTEGER_FORMAT " s left",
		    json_num(task, "used_eta_s"));
	printf("\n");
}

/* "rebuild: 43.2 %, 120 MiB/s, 35 s left" */
static void
print_task(const json_t *pool)
{
	const json_t *task = json_object_get(pool, "task");
	char rate[32];

	if (task == NULL)
		return;
	printf("  %s: %.1f %%, %s/s", json_text(task, "task"),
	    json_real_value(json_object_get(task, "percent")),
	    size_print(json_size(task, "rate_bytes_s"), rate, sizeof(rate)));
	if (json_object_get(task, "eta_s") != NULL)
		printf(", %" JSON_INTEGER_FORMAT " s left",
		    json_num(task, "eta_s"));
	printf("\n");
	print_used(task);
}

static void
print_volumes_hit(const json_t *volumes)
{
	const json_t *v;
	size_t i;

	if (json_array_size(volumes) == 0)
		printf("      in no volume\n");
	json_array_foreach((json_t *)(uintptr_t)volumes, i, v)
		printf("      in volume %s, LBA %s of 512 bytes\n",
		    json_text(v, "name"), json_text(v, "lba"));
}

/* "started ..., cancelled ... at 12 %", and what to do. */
static void
print_scrub_end(const json_t *pool, const json_t *scrub)
{
	const char *state = json_text(scrub, "state");
	char from[32], to[32];

	print_time(json_num(scrub, "start_s"), from, sizeof(from));
	printf("    started %s, %s", from, state);
	if (json_object_get(scrub, "end_s") != NULL) {
		print_time(json_num(scrub, "end_s"), to, sizeof(to));
		printf(" %s", to);
	}
	if (strcmp(state, "finished") != 0)
		printf(" at %.1f %%", 100 * (double)json_size(scrub,
		    "done_bytes") / (double)json_size(scrub, "total_bytes"));
	printf("\n");
	if (json_size(scrub, "unread_bytes") > 0)
		printf("    %s bytes of each member could not be read\n",
		    json_text(scrub, "unread_bytes"));
	if (json_size(scrub, "mismatches") > 0 &&
	    strcmp(json_text(scrub, "task"), "check") == 0)
		printf("    `dozoctl pool scrub %s --repair` makes parity "
		    "follow the data\n", json_text(pool, "name"));
}

static void
print_scrub(const json_t *pool)
{
	const json_t *scrub = json_object_get(pool, "scrub");
	const json_t *list = json_object_get(pool, "mismatch_list");
	size_t n = json_array_size(list);

	if (scrub == NULL)
		return;
	printf("  last scrub (%s): %s blocks with wrong parity\n",
	    json_text(scrub, "task"), json_text(scrub, "mismatches"));
	print_scrub_end(pool, scrub);
	for (size_t i = 0; i < MIN(n, MISMATCHES_SHOWN); i++) {
		const json_t *mm = json_array_get(list, i);

		printf("    byte %s of the array, %s of each member; parity "
		    "is on member %d\n", json_text(mm, "offset"),
		    json_text(mm, "member_offset"),
		    (int)json_num(mm, "parity_member"));
		print_volumes_hit(json_object_get(mm, "volumes"));
	}
	if (n > MISMATCHES_SHOWN)
		printf("    and %zu more: see --json\n",
		    n - MISMATCHES_SHOWN);
}

static void
print_pool(const json_t *pool)
{
	const json_t *error = json_object_get(pool, "error");
	char chunk[32], size[32], used[32], free_text[32];

	printf("pool %s: %s\n", json_text(pool, "name"),
	    json_text(pool, "health"));
	if (error != NULL)
		printf("  %s\n  %s\n", json_text(error, "text"),
		    json_text(error, "hint"));
	if (json_object_get(pool, "size") != NULL)
		printf("  %s, %s chunks, consistency policy %s\n"
		    "  %s, %s used, %s free\n", json_text(pool, "level"),
		    size_print(json_size(pool, "chunk"), chunk, sizeof(chunk)),
		    json_text(pool, "policy"),
		    size_print(json_size(pool, "size"), size, sizeof(size)),
		    size_print(json_size(pool, "used"), used, sizeof(used)),
		    size_print(json_size(pool, "free"), free_text,
		    sizeof(free_text)));
	print_task(pool);
	if (json_size(pool, "in_doubt") > 0)
		printf("  parity in doubt: %s of each member\n",
		    size_print(json_size(pool, "in_doubt"), size,
		    sizeof(size)));
	print_scrub(pool);
	print_members(pool);
}

static void
print_volume(const json_t *volume)
{
	const json_t *maps = json_object_get(volume, "mappings");
	char size[32], created[32];

	print_time(json_num(volume, "created_s"), created, sizeof(created));
	printf("volume %s/%s: %s (%s bytes)\n"
	    "  write policy %s, created %s\n  NAA %s, serial %s\n",
	    json_text(volume, "pool"), json_text(volume, "name"),
	    size_print(json_size(volume, "size"), size, sizeof(size)),
	    json_text(volume, "size"), json_text(volume, "write_policy"),
	    created, json_text(volume, "naa"), json_text(volume, "serial"));
	for (size_t i = 0; i < json_array_size(maps); i++) {
		const json_t *m = json_array_get(maps, i);

		printf("  host %s: LUN %d on target %s%s\n",
		    json_text(m, "host"), (int)json_num(m, "lun"),
		    json_text(m, "target"), json_is_true(json_object_get(m,
		    "read_only")) ? ", read-only" : "");
	}
	if (json_array_size(maps) == 0)
		printf("  nobody may use it: see `dozoctl map --help`\n");
}

/* Counters of volumes, then of members; the rest is for machines. */
static void
print_stats(const json_t *stats)
{
	static const struct table volumes = { NULL, "no volumes", {
		{ "POOL", "pool", COL_TEXT }, { "VOLUME", "name", COL_TEXT },
		{ "READS", "reads", COL_TEXT },
		{ "WRITES", "writes", COL_TEXT },
		{ "READ", "read_bytes", COL_SIZE },
		{ "WRITTEN", "write_bytes", COL_SIZE },
		{ "ERRORS", "errors", COL_TEXT } } };
	static const struct table members = { NULL, "no members", {
		{ "MEMBER", "path", COL_TEXT }, { "READS", "reads", COL_TEXT },
		{ "WRITES", "writes", COL_TEXT },
		{ "READ", "read_bytes", COL_SIZE },
		{ "WRITTEN", "write_bytes", COL_SIZE },
		{ "READ ERRORS", "read_errors", COL_TEXT },
		{ "WRITE ERRORS", "write_errors", COL_TEXT },
		{ "CORRECTED", "corrected_errors", COL_TEXT } } };
	const json_t *pools = json_object_get(stats, "pools");

	print_table(&volumes, json_object_get(stats, "volumes"));
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *p = json_array_get(pools, i);

		printf("\npool %s: %" JSON_INTEGER_FORMAT " full stripe "
		    "writes, %" JSON_INTEGER_FORMAT " partial ones\n",
		    json_text(p, "name"), json_num(p, "full_writes"),
		    json_num(p, "rmw_writes") + json_num(p, "rcw_writes"));
		print_table(&members, json_object_get(p, "members"));
	}
}

/* "1 volume, 2 targets, 2 mappings, 0 sessions" */
static void
print_counts(const json_t *status)
{
	static const char *const counted[] = { "volumes", "targets",
		"mappings", "sessions" };

	for (size_t i = 0; i < nitems(counted); i++) {
		int n = (int)json_num(status, counted[i]);
		int len = (int)strlen(counted[i]);

		printf("%s%d %.*s", i == 0 ? "  " : ", ", n,
		    n == 1 ? len - 1 : len, counted[i]);
	}
	printf("\n");
}

static void
print_status(const json_t *status)
{
	const json_t *problems = json_object_get(status, "problems");
	const json_t *pools = json_object_get(status, "pools");

	printf("%s\n", json_text(status, "health"));
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *p = json_array_get(problems, i);

		printf("  ! %s\n", json_text(p, "text"));
		if (json_text(p, "hint")[0] != '\0')
			printf("    %s\n", json_text(p, "hint"));
	}
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *p = json_array_get(pools, i);
		char size[32], free_text[32];

		if (json_object_get(p, "size") == NULL)
			printf("  pool %s: %s\n", json_text(p, "name"),
			    json_text(p, "health"));
		else
			printf("  pool %s: %s, %s, %s free\n",
			    json_text(p, "name"), json_text(p, "health"),
			    size_print(json_size(p, "size"), size,
			    sizeof(size)), size_print(json_size(p, "free"),
			    free_text, sizeof(free_text)));
		print_task(p);
	}
	print_counts(status);
}

static void
print_short(const json_t *status)
{
	const json_t *problems = json_object_get(status, "problems");
	const json_t *pools = json_object_get(status, "pools");
	size_t n = json_array_size(problems);

	printf("%s, %d sessions, %d volumes", json_text(status, "health"),
	    (int)json_num(status, "sessions"),
	    (int)json_num(status, "volumes"));
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *p = json_array_get(pools, i);
		const json_t *task = json_object_get(p, "task");

		if (task != NULL)
			printf(", %s of %s at %.1f %%",
			    json_text(task, "task"), json_text(p, "name"),
			    json_real_value(json_object_get(task,
			    "percent")));
	}
	printf("%s%s\n", n > 0 ? ": " : "",
	    n > 0 ? json_text(json_array_get(problems, 0), "text") : "");
}

/* "2026-01-01 12:00:00 root: volume.delete tank/v: it is mapped" */
static void
print_change(const char *when, const json_t *data)
{
	printf("%s %s: %s %s%s%s", when, json_text(data, "by"),
	    json_text(data, "verb"), json_text(data, "object"),
	    json_object_get(data, "host") != NULL ? " host " : "",
	    json_text(data, "host"));
	if (json_is_true(json_object_get(data, "ok")))
		printf("\n");
	else
		printf(": %s. %s\n", json_text(data, "text"),
		    json_text(data, "hint"));
}

void
ctl_print_event(const json_t *event)
{
	const json_t *data = json_object_get(event, "data");
	char when[32];

	print_time(json_num(event, "time_s"), when, sizeof(when));
	if (strcmp(json_text(event, "event"), "change") == 0) {
		print_change(when, data);
		return;
	}
	printf("%s %s", when, json_text(event, "event"));
	for (void *it = json_object_iter((json_t *)(uintptr_t)data); it;
	    it = json_object_iter_next((json_t *)(uintptr_t)data, it)) {
		char text[CELL_SIZE * 2] = "";

		plain(json_object_iter_value(it), text, sizeof(text));
		printf(" %s=%s", json_object_iter_key(it), text);
	}
	printf("\n");
}

static void
print_rescue(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		if (json_object_get(v, "note") != NULL) {
			fprintf(stderr, "dozoctl: %s\n", json_text(v,
			    "note"));
			continue;
		}
		printf("# %s/%s: dmsetup create %s-%s <<EOT\n%s%s",
		    json_text(v, "pool"), json_text(v, "name"),
		    json_text(v, "pool"), json_text(v, "name"),
		    json_text(v, "table"), "EOT\n");
	}
}

static void
print_changes(const json_t *result)
{
	const json_t *list = json_object_get(result, "changes");

	if (json_array_size(list) == 0)
		printf("nothing changes\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		char fields[CELL_SIZE] = "";

		join(json_object_get(c, "fields"), fields, sizeof(fields));
		printf("%s %s %s%s%s\n", json_text(c, "change"),
		    json_text(c, "kind"), json_text(c, "name"),
		    fields[0] != '\0' ? ": " : "", fields);
	}
	list = json_object_get(result, "warnings");
	for (size_t i = 0; i < json_array_size(list); i++)
		printf("warning: %s\n",
		    json_string_value(json_array_get(list, i)));
}

/* "key: value" lines; what has no plain form is JSON. */
static void
print_object(const json_t *obj)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)obj, key, value) {
		char text[CELL_SIZE * 2] = "";

		if (json_is_object(value) || json_is_array(value)) {
			printf("%s: ", key);
			json_dumpf(value, stdout, JSON_COMPACT);
			printf("\n");
			continue;
		}
		plain(value, text, sizeof(text));
		printf("%s: %s\n", key, text[0] != '\0' ? text : "-");
	}
}

void
ctl_print(const struct ctl *ctl, const json_t *result)
{
	const char *verb = ctl->verb->name;

	for (size_t i = 0; i < nitems(tables); i++) {
		if (strcmp(tables[i].verb, verb) == 0) {
			print_table(&tables[i], result);
			return;
		}
	}
	if (strcmp(verb, "status") == 0 && ctl->brief) {
		print_short(result);
	} else if (strcmp(verb, "status") == 0) {
		print_status(result);
	} else if (strcmp(verb, "pool.status") == 0) {
		print_pool(result);
	} else if (strcmp(verb, "volume.show") == 0) {
		print_volume(result);
	} else if (strcmp(verb, "stats") == 0) {
		print_stats(result);
	} else if (strcmp(verb, "rescue") == 0) {
		print_rescue(result);
	} else if (strcmp(verb, "config.import") == 0) {
		print_changes(result);
	} else if (strcmp(verb, "config.export") == 0 ||
	    strcmp(verb, "support-bundle") == 0) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (strcmp(verb, "events") == 0) {
		for (size_t i = 0; i < json_array_size(result); i++)
			ctl_print_event(json_array_get(result, i));
	} else {
		print_object(result);
	}
}
