/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rates and percentiles of the last hour.
 *
 * Invariants: a step of an object is valid if its `filled` bit is set, which
 * needs counters at both ends that did not go back; step `now` is the newest,
 * the one after it the oldest.  Pure: no clock, no I/O.
 */
#include "config.h"

#include "admin/history.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(HISTORY_LATENCIES == SCSI_LATENCIES &&
    HISTORY_LATENCIES == RAID_LATENCIES, "one scale of latencies");

struct last {			/* counters at the end of the last step */
	uint64_t reads, writes, read_bytes, write_bytes;
	uint64_t read_latency[HISTORY_LATENCIES];
	uint64_t write_latency[HISTORY_LATENCIES];
};

struct step {
	float reads, writes;	/* a second */
	float read_bytes, write_bytes;
	int32_t read_us[2], write_us[2];	/* p50, p99; -1 = none */
	bool filled;
};

struct object {
	TAILQ_ENTRY(object) link;
	char name[DOC_PATH_SIZE];
	struct last last;
	uint64_t seen;		/* the number of the step with `last` */
	struct step step[HISTORY_STEPS];
};

struct history {
	TAILQ_HEAD(, object) objects;
	unsigned nobjects;
	uint64_t nsteps;	/* begun so far; the newest is nsteps - 1 */
	uint64_t ns;		/* length of the newest */
	uint64_t time_s[HISTORY_STEPS];
};

struct history *
history_new(void)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h != NULL)
		TAILQ_INIT(&h->objects);
	return h;
}

static void
object_free(struct history *h, struct object *object)
{
	assert(h->nobjects > 0);
	TAILQ_REMOVE(&h->objects, object, link);
	h->nobjects--;
	free(object);
}

void
history_free(struct history *h)
{
	struct object *object;

	if (h == NULL)
		return;
	while ((object = TAILQ_FIRST(&h->objects)) != NULL)
		object_free(h, object);
	free(h);
}

/* --- percentiles --- */

/*
 * Inside a slot, from 2^(i-1) to 2^i, values are taken as spread evenly: the
 * error is below the width of the slot.
 */
int64_t
latency_percentile(const uint64_t counts[HISTORY_LATENCIES],
    unsigned percent)
{
	uint64_t total = 0, below = 0, rank;

	assert(percent > 0 && percent <= 100);
	for (unsigned i = 0; i < HISTORY_LATENCIES; i++)
		total += counts[i];
	if (total == 0)
		return -1;
	rank = MAX((total * percent + 99) / 100, 1);
	for (unsigned i = 0; i < HISTORY_LATENCIES; i++) {
		uint64_t low = i == 0 ? 0 : UINT64_C(1) << (i - 1);
		uint64_t width = i == 0 ? 1 : low;

		if (below + counts[i] >= rank)
			return (int64_t)(low + width * (rank - below) /
			    counts[i]);
		below += counts[i];
	}
	assert(!"rank is within the total");
	return -1;
}

/* --- steps --- */

void
history_step(struct history *h, uint64_t time_s, uint64_t ns)
{
	struct object *object, *next;
	uint64_t slot = h->nsteps++ % HISTORY_STEPS;

	h->time_s[slot] = time_s;
	h->ns = ns;
	for (object = TAILQ_FIRST(&h->objects); object != NULL;
	    object = next) {
		next = TAILQ_NEXT(object, link);
		object->step[slot].filled = false;
		if (h->nsteps - object->seen >= HISTORY_STEPS)
			object_free(h, object);
	}
}

static struct object *
find(const struct history *h, const char *name)
{
	struct object *object;

	TAILQ_FOREACH(object, &h->objects, link) {
		if (strcmp(object->name, name) == 0)
			return object;
	}
	return NULL;
}

static struct object *
add_object(struct history *h, const char *name)
{
	struct object *object;

	if (h->nobjects == HISTORY_OBJECTS_MAX ||
	    (object = calloc(1, sizeof(*object))) == NULL)
		return NULL;
	snprintf(object->name, sizeof(object->name), "%s", name);
	TAILQ_INSERT_TAIL(&h->objects, object, link);
	h->nobjects++;
	return object;
}

static void
percentiles(const uint64_t *now, const uint64_t *last, int32_t us[2])
{
	uint64_t counts[HISTORY_LATENCIES];

	us[0] = us[1] = -1;
	for (unsigned i = 0; now != NULL && i < HISTORY_LATENCIES; i++) {
		if (now[i] < last[i])
			return;
		counts[i] = now[i] - last[i];
	}
	if (now == NULL)
		return;
	us[0] = (int32_t)latency_percentile(counts, 50);
	us[1] = (int32_t)latency_percentile(counts, 99);
}

/* A second, or less than 0 if the counter went back. */
static float
rate(const struct history *h, uint64_t now, uint64_t last)
{
	if (now < last)
		return -1;
	return (float)((double)(now - last) * 1e9 / (double)h->ns);
}

static void
fill(const struct history *h, struct object *object,
    const struct history_counts *now)
{
	struct step *step = &object->step[(h->nsteps - 1) % HISTORY_STEPS];
	const struct last *last = &object->last;

	assert(!step->filled);
	step->reads = rate(h, now->reads, last->reads);
	step->writes = rate(h, now->writes, last->writes);
	step->read_bytes = rate(h, now->read_bytes, last->read_bytes);
	step->write_bytes = rate(h, now->write_bytes, last->write_bytes);
	percentiles(now->read_latency, last->read_latency, step->read_us);
	percentiles(now->write_latency, last->write_latency, step->write_us);
	step->filled = step->reads >= 0 && step->writes >= 0 &&
	    step->read_bytes >= 0 && step->write_bytes >= 0;
}

void
history_add(struct history *h, const char *name,
    const struct history_counts *now)
{
	struct object *object = find(h, name);
	size_t size = sizeof(object->last.read_latency);

	assert(h->nsteps > 0 && name[0] != '\0');
	if (object == NULL && (object = add_object(h, name)) == NULL)
		return;
	if (object->seen == h->nsteps)
		return;			/* the same name again */
	if (object->seen + 1 == h->nsteps && object->seen > 0 && h->ns > 0)
		fill(h, object, now);
	object->seen = h->nsteps;
	object->last = (struct last){ .reads = now->reads,
		.writes = now->writes, .read_bytes = now->read_bytes,
		.write_bytes = now->write_bytes };
	if (now->read_latency != NULL)
		memcpy(object->last.read_latency, now->read_latency, size);
	if (now->write_latency != NULL)
		memcpy(object->last.write_latency, now->write_latency, size);
}

/* --- output --- */

static void
set_us(json_t *json, const char *p50, const char *p99, const int32_t us[2])
{
	if (us[0] < 0)
		return;
	assert(us[0] <= us[1]);
	json_object_set_new(json, p50, json_integer(us[0]));
	json_object_set_new(json, p99, json_integer(us[1]));
}

static json_t *
step_json(uint64_t time_s, const struct step *s)
{
	json_t *json = json_pack("{s:I}", "time_s", (json_int_t)time_s);

	if (json == NULL || !s->filled)
		return json;
	json_object_update_new(json, json_pack("{s:f, s:f, s:I, s:I}",
	    "reads_s", (double)(int64_t)(s->reads * 10) / 10,
	    "writes_s", (double)(int64_t)(s->writes * 10) / 10,
	    "read_bytes_s", (json_int_t)s->read_bytes,
	    "write_bytes_s", (json_int_t)s->write_bytes));
	set_us(json, "read_p50_us", "read_p99_us", s->read_us);
	set_us(json, "write_p50_us", "write_p99_us", s->write_us);
	return json;
}

json_t *
history_json(const struct history *h, const char *name)
{
	const struct object *object = find(h, name);
	uint64_t from = h->nsteps > HISTORY_STEPS ?
	    h->nsteps - HISTORY_STEPS : 0;
	json_t *list;

	if (object == NULL || (list = json_array()) == NULL)
		return NULL;
	for (uint64_t i = from; i < h->nsteps; i++)
		json_array_append_new(list, step_json(
		    h->time_s[i % HISTORY_STEPS],
		    &object->step[i % HISTORY_STEPS]));
	return list;
}
