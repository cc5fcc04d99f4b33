/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened lately: a bounded ring of JSON objects with ascending
 * sequence numbers, sent to followers as they come.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "admin/control.h"
#include "core/log.h"

#define EVENTS_KEPT 512u

struct events {
	uint64_t last_seq;
	json_t *ring[EVENTS_KEPT];	/* seq % EVENTS_KEPT */
	bool busy;			/* logging while emitting: no loop */
};

static void
events_log(void *arg, enum log_level level, enum log_area area,
    const char *text)
{
	struct dozo *d = arg;

	if (level > LOG_L_WARN || d->events->busy)
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
