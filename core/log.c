/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines to stderr and to one sink.  The state here is the only process
 * wide state besides bug()'s: a log has no other place to be.
 */
#include "core/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/util.h"

#define WINDOW_NS (10 * NSEC_PER_SEC)
#define LINES_PER_WINDOW 20u

bool log_debug_on[LOG_AREAS];

static enum log_level max_level = LOG_L_INFO;
static bool journal;
static void (*sink_fn)(void *, enum log_level, enum log_area, const char *);
static void *sink_arg;

static const char *const area_names[LOG_AREAS] = {
	[LOG_CORE] = "core", [LOG_BLOCK] = "block", [LOG_RAID] = "raid",
	[LOG_POOL] = "pool", [LOG_ISCSI] = "iscsi", [LOG_SCSI] = "scsi",
	[LOG_ADMIN] = "admin", [LOG_WEBUI] = "webui",
};

static const struct { const char *name; int priority; } levels[] = {
	[LOG_L_ERR] = { "error", 3 }, [LOG_L_WARN] = { "warning", 4 },
	[LOG_L_INFO] = { "info", 6 }, [LOG_L_DEBUG] = { "debug", 7 },
};

int
log_area_by_name(const char *name)
{
	for (int i = 0; i < LOG_AREAS; i++)
		if (strcmp(area_names[i], name) == 0)
			return i;
	return -1;
}

const char *
log_area_name(enum log_area area)
{
	assert((size_t)area < LOG_AREAS);
	return area_names[area];
}

void
log_set_sink(void (*sink)(void *, enum log_level, enum log_area, const char *),
    void *arg)
{
	sink_fn = sink;
	sink_arg = arg;
}

void
log_set_level(enum log_level level)
{
	max_level = level;
}

void
log_set_journal(bool on)
{
	journal = on;
}

/* May this site speak?  Returns how many of its lines were dropped before. */
static bool
site_admit(struct log_site *site, unsigned *dropped)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	*dropped = 0;
	if (now - site->window_ns > WINDOW_NS || site->window_ns == 0) {
		*dropped = site->dropped;
		site->window_ns = now;
		site->count = site->dropped = 0;
	}
	if (site->count >= LINES_PER_WINDOW) {
		site->dropped++;
		return false;
	}
	site->count++;
	return true;
}

static void
to_stderr(enum log_level level, enum log_area area, const char *text)
{
	char when[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (journal) {
		fprintf(stderr, "<%d>%s: %s\n", levels[level].priority,
		    area_names[area], text);
		return;
	}
	if (localtime_r(&now, &tm) != NULL)
		strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(stderr, "%s %s %s: %s\n", when, levels[level].name,
	    area_names[area], text);
}

void
log_write(struct log_site *site, enum log_area area, enum log_level level,
    const char *fmt, ...)
{
	char text[512];
	unsigned dropped;
	size_t len;
	va_list ap;

	assert((size_t)level < nitems(levels));
	if (!site_admit(site, &dropped))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = strlen(text);
	if (dropped > 0)
		snprintf(text + len, sizeof(text) - len,
		    " (%u lines like this dropped)", dropped);
	if (level <= max_level || level == LOG_L_DEBUG)
		to_stderr(level, area, text);
	if (sink_fn != NULL)
		sink_fn(sink_arg, level, area, text);
}
