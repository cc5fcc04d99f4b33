/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit log.  Entries are JSON, so nothing in them can forge a line.
 *
 * Invariant: lines are only ever appended, each with one write().
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/audit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"

struct audit {
	char path[300], old[310];
	int fd;
};

static int
reopen(struct audit *audit)
{
	assert(audit->path[0] != '\0');
	audit->fd = open(audit->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	return audit->fd < 0 ? -errno : 0;
}

struct audit *
audit_open(const char *dir, struct err *err)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (audit == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	snprintf(audit->path, sizeof(audit->path), "%s/audit.jsonl", dir);
	snprintf(audit->old, sizeof(audit->old), "%s.1", audit->path);
	if (reopen(audit) != 0) {
		err_set(err, errno, "%s: %s", audit->path, strerror(errno));
		free(audit);
		return NULL;
	}
	return audit;
}

void
audit_close(struct audit *audit)
{
	if (audit == NULL)
		return;
	if (audit->fd >= 0)
		close(audit->fd);
	free(audit);
}

static void
rotate(struct audit *audit)
{
	struct stat st;

	assert(audit->fd >= 0);
	if (fstat(audit->fd, &st) != 0 || st.st_size < AUDIT_BYTES)
		return;
	if (rename(audit->path, audit->old) != 0) {
		log_err("audit log: %s: %s", audit->old, strerror(errno));
		return;
	}
	close(audit->fd);
	if (reopen(audit) != 0)
		log_err("audit log: %s: %s", audit->path, strerror(errno));
}

void
audit_write(struct audit *audit, json_t *entry)
{
	char when[32];
	time_t now = time(NULL);
	struct tm tm;
	char *text, *line = NULL;
	int len = -1;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (entry != NULL)
		json_object_set_new(entry, "time", json_string(when));
	text = entry != NULL ? json_dumps(entry, JSON_COMPACT) : NULL;
	json_decref(entry);
	if (text != NULL)
		len = asprintf(&line, "%s\n", text);
	free(text);
	if (len < 0) {
		log_err("audit log: an entry is lost: out of memory");
		return;
	}
	assert(line[len - 1] == '\n');
	if (audit->fd >= 0)
		rotate(audit);
	if (audit->fd < 0 || write(audit->fd, line, (size_t)len) != len)
		log_err("audit log: an entry is lost: %s", strerror(errno));
	free(line);
}

/* Append the entries of a file to `list`, oldest first. */
static void
read_file(const char *path, json_t *list)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (f == NULL)
		return;
	while ((len = getline(&line, &size, f)) > 0) {
		json_t *entry = json_loadb(line, (size_t)len, 0, NULL);

		if (entry != NULL)
			json_array_append_new(list, entry);
	}
	free(line);
	fclose(f);
}

json_t *
audit_read(struct audit *audit, size_t max)
{
	json_t *all = json_array(), *out = json_array();

	assert(max > 0);
	read_file(audit->old, all);
	read_file(audit->path, all);
	for (size_t i = json_array_size(all); i-- > 0 &&
	    json_array_size(out) < max;)
		json_array_append(out, json_array_get(all, i));
	json_decref(all);
	return out;
}
