/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log, and everything at once: what somebody who helps wants to see.
 *
 * Invariant: no secret gets in.  The bundle is made of what read verbs answer
 * without their option for secrets, never of the document as it is.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "admin/verbs.h"

#define LOG_SHOWN 100u

void
verb_log(struct req *req)
{
	assert(req->result == NULL && !req->locked);
	req->result = log_lines(req->dozo, arg_number(req, "lines",
	    LOG_SHOWN));
}

/* What a verb that needs no arguments and no children answers, or why not. */
static json_t *
answer_of(struct req *req, void (*begin)(struct req *req))
{
	json_t *result;

	assert(req->result == NULL && req->op.pending == 0);
	begin(req);
	result = req->result;
	req->result = NULL;
	if (err_is(&req->err)) {
		json_decref(result);
		result = json_pack("[{s:o}]", "error", err_json(&req->err));
		err_clear(&req->err);
	}
	return result;
}

/* The value of KEY=VALUE or "KEY: VALUE" in a file; empty if absent. */
static void
value_from(const char *path, const char *key, char *value, size_t size)
{
	char line[256];
	FILE *f = fopen(path, "re");
	size_t len = strlen(key);

	value[0] = '\0';
	if (f == NULL)
		return;
	while (value[0] == '\0' && fgets(line, sizeof(line), f) != NULL) {
		char *from = line + len;

		if (strncmp(line, key, len) != 0)
			continue;
		from += strspn(from, "=: \t\"");
		from[strcspn(from, "\n\"")] = '\0';
		snprintf(value, size, "%s", from);
	}
	fclose(f);
}

static json_t *
machine_json(void)
{
	char os[100], memory[40], cpu[100];
	struct utsname u;

	if (uname(&u) != 0)
		memset(&u, 0, sizeof(u));
	value_from("/etc/os-release", "PRETTY_NAME", os, sizeof(os));
	value_from("/proc/meminfo", "MemTotal", memory, sizeof(memory));
	value_from("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kernel", u.release,
	    "machine", u.machine, "os", os, "memory", memory, "cpu", cpu);
}

void
verb_support_bundle(struct req *req)
{
	assert(req->work == NULL && !req->locked);
	verb_disk_list(req);
}

void
verb_support_bundle_end(struct req *req)
{
	static const struct {
		const char *key;
		void (*begin)(struct req *req);
	} parts[] = {
		{ "version", verb_version }, { "status", verb_status },
		{ "stats", verb_stats }, { "sessions", verb_sessions },
		{ "knocks", verb_knocks }, { "jobs", verb_job_list },
		{ "ops", verb_ops }, { "volumes", verb_volume_list },
		{ "portals", verb_portal_list }, { "rescue", verb_rescue },
		{ "events", verb_events }, { "config", verb_config_export },
	};
	struct dozo *d = req->dozo;
	json_t *bundle, *disks;

	verb_disk_list_end(req);
	if (err_is(&req->err))
		return;
	disks = req->result;
	req->result = NULL;
	free(req->work);
	req->work = NULL;
	bundle = json_pack("{s:I, s:o, s:o}", "time_s",
	    (json_int_t)loop_wall_time(d->loop), "machine", machine_json(),
	    "disks", disks);
	for (size_t i = 0; bundle != NULL && i < nitems(parts); i++)
		json_object_set_new(bundle, parts[i].key,
		    answer_of(req, parts[i].begin));
	if (bundle != NULL)
		json_object_set_new(bundle, "log", log_lines(d, UINT64_MAX));
	req->result = bundle;
}
