/* SPDX-License-Identifier: BSD-2-Clause */
/* The last hour: rates, percentiles, gaps, what is forgotten. */
#include "config.h"

#include "unit.h"

#include "admin/history.h"

#define STEP_NS (HISTORY_STEP_S * NSEC_PER_SEC)

static void
percentiles_lie_in_their_slot(void **state)
{
	uint64_t counts[HISTORY_LATENCIES] = { 0 };

	(void)state;
	assert_int_equal(latency_percentile(counts, 50), -1);
	counts[4] = 1;			/* 8 to 16 us */
	assert_int_equal(latency_percentile(counts, 50), 16);
	counts[4] = 98;
	counts[11] = 2;			/* 1024 to 2048 us */
	assert_in_range(latency_percentile(counts, 50), 11, 13);
	assert_int_equal(latency_percentile(counts, 98), 16);
	assert_int_equal(latency_percentile(counts, 99), 1536);
	assert_int_equal(latency_percentile(counts, 100), 2048);
	counts[0] = 1000000;
	assert_in_range(latency_percentile(counts, 50), 0, 1);
}

static const json_t *
at(const json_t *list, size_t i)
{
	assert_true(i < json_array_size(list));
	return json_array_get(list, i);
}

static json_int_t
num(const json_t *step, const char *key)
{
	const json_t *value = json_object_get(step, key);

	assert_non_null(value);
	return (json_int_t)json_number_value(value);
}

static void
rates_come_from_counters(void **state)
{
	struct history *h = history_new();
	uint64_t slow[HISTORY_LATENCIES] = { [10] = 5 };
	struct history_counts c = { 100, 10, 4096000, 0, slow, NULL };
	json_t *list;

	(void)state;
	assert_null(history_json(h, "p/v"));
	history_step(h, 1000, 0);
	history_add(h, "p/v", &c);
	history_step(h, 1010, STEP_NS);
	c.reads += 50;
	c.read_bytes += 409600;
	slow[3] += 50;
	history_add(h, "p/v", &c);
	list = history_json(h, "p/v");
	assert_int_equal(json_array_size(list), 2);
	assert_null(json_object_get(at(list, 0), "reads_s"));
	assert_int_equal(num(at(list, 1), "time_s"), 1010);
	assert_int_equal(num(at(list, 1), "reads_s"), 5);
	assert_int_equal(num(at(list, 1), "writes_s"), 0);
	assert_int_equal(num(at(list, 1), "read_bytes_s"), 40960);
	/* what was counted before the step does not count */
	assert_int_equal(num(at(list, 1), "read_p99_us"), 8);
	assert_null(json_object_get(at(list, 1), "write_p50_us"));
	json_decref(list);
	history_free(h);
}

/* A pool was stopped and started: its counters are new. */
static void
counters_that_went_back_are_a_gap(void **state)
{
	struct history *h = history_new();
	struct history_counts c = { 100, 10, 4096, 0, NULL, NULL };
	json_t *list;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		history_step(h, i, STEP_NS);
		if (i == 2)
			continue;	/* not there */
		if (i == 4)
			c.reads = 3;
		history_add(h, "p/v", &c);
		history_add(h, "p/v", &c);	/* a twin is no trouble */
	}
	list = history_json(h, "p/v");
	assert_non_null(json_object_get(at(list, 1), "reads_s"));
	for (unsigned i = 2; i < 5; i++)
		assert_null(json_object_get(at(list, i), "reads_s"));
	json_decref(list);
	history_free(h);
}

static void
an_hour_is_kept_then_forgotten(void **state)
{
	struct history *h = history_new();
	struct history_counts c = { 0 };
	json_t *list;

	(void)state;
	for (unsigned i = 0; i < HISTORY_STEPS + 40; i++) {
		history_step(h, i, STEP_NS);
		c.writes += 20;
		history_add(h, "p/v", &c);
	}
	list = history_json(h, "p/v");
	assert_int_equal(json_array_size(list), HISTORY_STEPS);
	assert_int_equal(num(at(list, 0), "time_s"), 40);
	for (unsigned i = 0; i < HISTORY_STEPS; i++)
		assert_int_equal(num(at(list, i), "writes_s"), 2);
	json_decref(list);
	for (unsigned i = 0; i < HISTORY_STEPS; i++) {
		list = history_json(h, "p/v");
		assert_non_null(list);
		json_decref(list);
		history_step(h, i, STEP_NS);
	}
	assert_null(history_json(h, "p/v"));
	history_free(h);
}

static void
the_number_of_objects_is_bounded(void **state)
{
	struct history *h = history_new();
	struct history_counts c = { 0 };
	char name[32];
	json_t *list;

	(void)state;
	history_step(h, 1, STEP_NS);
	for (unsigned i = 0; i < HISTORY_OBJECTS_MAX + 2; i++) {
		snprintf(name, sizeof(name), "p/v%u", i);
		history_add(h, name, &c);
	}
	assert_null(history_json(h, name));
	list = history_json(h, "p/v1");
	assert_non_null(list);
	json_decref(list);
	history_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_lie_in_their_slot),
		cmocka_unit_test(rates_come_from_counters),
		cmocka_unit_test(counters_that_went_back_are_a_gap),
		cmocka_unit_test(an_hour_is_kept_then_forgotten),
		cmocka_unit_test(the_number_of_objects_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
