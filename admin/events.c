/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened lately: a bounded ring of JSON objects with ascending
 * sequence numbers, sent to followers as they come; and the last lines of the
 * log, for those who cannot read the journal.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "core/log.h"

#define EVENTS_KEPT 512u
#define LOG_KEPT 512u

struct events {
	uint64_t last_seq;
	json_t *ring[EVENTS_KEPT];	/* seq % EVENTS_KEPT */
	bool busy;			/* logging while emitting: no loop */
	uint64_t nlines;		/* ever logged */
	struct log_line {
		uint64_t time_s;
		enum log_level level;
		enum log_area area;
		char *text;
	} line[LOG_KEPT];		/* number % LOG_KEPT */
};

static void
keep_line(struct dozo *d, enum log_level level, enum log_area area,
    const char *text)
{
	struct events *e = d->events;
	struct log_line *line = &e->line[e->nlines % LOG_KEPT];
	char *copy = strdup(text);

	if (copy == NULL)
		return;
	free(line->text);
	*line = (struct log_line){ .time_s = loop_wall_time(d->loop),
	    .level = level, .area = area, .text = copy };
	e->nlines++;
}

/* An array tells its listener and the log; once is enough. */
static bool
is_told(const struct events *e, const char *line)
{
	const json_t *last = e->ring[e->last_seq % EVENTS_KEPT];
	const char *kind = json_string_value(json_object_get(last, "event"));
	const char *text = json_string_value(json_object_get(json_object_get(
	    last, "data"), "text"));
	size_t len = text != NULL ? strlen(text) : 0;

	return kind != NULL && strcmp(kind, "array") == 0 && len > 0 &&
	    strlen(line) >= len && strcmp(line + strlen(line) - len, text) ==
	    0;
}

static void
events_log(void *arg, enum log_level level, enum log_area area,
    const char *text)
{
	struct dozo *d = arg;

	keep_line(d, level, area, text);
	if (level > LOG_L_WARN || d->events->busy ||
	    is_told(d->events, text))
		return;
	event_emit(d, "log", json_pack("{s:s, s:s, s:s}", "level",
	    level == LOG_L_ERR ? "error" : "warning",
	    "area", log_area_name(area), "text", text));
}

int
events_new(struct dozo *d, struct err *err)
{
	d->events = calloc(1, sizeof(*d->events));
	if (d->events == NULL)
		return err_set(err, ENOMEM, "out of memory");
	log_set_sink(events_log, d);
	return 0;
}

void
events_free(struct dozo *d)
{
	if (d->events == NULL)
		return;
	log_set_sink(NULL, NULL);
	for (unsigned i = 0; i < EVENTS_KEPT; i++)
		json_decref(d->events->ring[i]);
	for (unsigned i = 0; i < LOG_KEPT; i++)
		free(d->events->line[i].text);
	free(d->events);
	d->events = NULL;
}

void
event_emit(struct dozo *d, const char *kind, json_t *data)
{
	struct events *e = d->events;
	json_t *event;

	assert(kind[0] != '\0');
	event = json_pack("{s:s, s:I, s:I, s:o?}", "event", kind,
	    "seq", (json_int_t)(e->last_seq + 1),
	    "time_s", (json_int_t)loop_wall_time(d->loop), "data", data);
	if (event == NULL)
		return;		/* no memory: the log line has it */
	e->busy = true;
	e->last_seq++;
	json_decref(e->ring[e->last_seq % EVENTS_KEPT]);
	e->ring[e->last_seq % EVENTS_KEPT] = event;
	control_event(d, event);
	e->busy = false;
}

json_t *
events_since(struct dozo *d, uint64_t since, unsigned max)
{
	struct events *e = d->events;
	json_t *list = json_array();
	uint64_t first = e->last_seq >= EVENTS_KEPT ?
	    e->last_seq - EVENTS_KEPT + 1 : 1;

	assert(max > 0);
	if (since + 1 > first)
		first = since + 1;
	if (e->last_seq >= max && first < e->last_seq - max + 1)
		first = e->last_seq - max + 1;
	for (uint64_t seq = first; seq <= e->last_seq; seq++) {
		assert(e->ring[seq % EVENTS_KEPT] != NULL);
		json_array_append(list, e->ring[seq % EVENTS_KEPT]);
	}
	return list;
}

/* A line may hold what is no UTF-8: a path, or one that was cut. */
static json_t *
line_json(const char *text)
{
	json_t *json = json_string(text);
	char *copy = json == NULL ? strdup(text) : NULL;

	for (char *p = copy; p != NULL && *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	if (copy != NULL)
		json = json_string(copy);
	free(copy);
	return json != NULL ? json : json_null();
}

json_t *
log_lines(struct dozo *d, uint64_t max)
{
	static const char *const names[] = {
		[LOG_L_ERR] = "error", [LOG_L_WARN] = "warning",
		[LOG_L_INFO] = "info", [LOG_L_DEBUG] = "debug",
	};
	struct events *e = d->events;
	json_t *list = json_array();
	uint64_t n = MIN(MIN(max, LOG_KEPT), e->nlines);

	for (uint64_t i = e->nlines - n; i < e->nlines; i++) {
		const struct log_line *line = &e->line[i % LOG_KEPT];

		assert(line->text != NULL && line->level < nitems(names));
		json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:o}",
		    "time_s", (json_int_t)line->time_s,
		    "level", names[line->level],
		    "area", log_area_name(line->area),
		    "text", line_json(line->text)));
	}
	return list;
}
