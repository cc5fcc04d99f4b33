/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raid/throttle.c, against a disk that serves one thing after the other: so
 * long for a request, so long for each row of the sweep.
 */
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "raid/throttle.h"
#include "tests/unit/unit.h"

#define REQUESTS 20000u
#define US UINT64_C(1000)
#define MS_NS UINT64_C(1000000)

struct disk {
	uint64_t request_ns, row_ns;	/* service times */
	uint64_t gap_ns;		/* between requests, on average */
	uint64_t free_ns;		/* when it is idle again */
	uint64_t seed;
	uint64_t latency[REQUESTS];
	unsigned n;
	uint64_t rows, end_ns;
	struct throttle throttle;
};

static struct disk disk;

static uint64_t
rnd(struct disk *d, uint64_t n)
{
	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	return d->seed % n;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t
percentile(struct disk *d, unsigned p)
{
	qsort(d->latency, d->n, sizeof(d->latency[0]), compare);
	return d->latency[d->n * p / 100];
}

/*
 * Play requests, and batches in between if there is a sweep: the rows of one
 * batch are queued together.
 */
static void
play(struct disk *d, bool sweep)
{
	uint64_t arrival = d->gap_ns, batch_at = 0, batch_end = 0, now = 0;

	d->n = 0;
	d->rows = d->free_ns = 0;
	d->seed = 88172645463325252;
	throttle_init(&d->throttle);
	while (d->n < REQUESTS) {
		if (sweep && batch_at <= arrival) {
			unsigned rows = throttle_rows(&d->throttle, true);
			uint64_t rest;

			now = batch_at;
			batch_end = MAX(d->free_ns, now) + rows * d->row_ns;
			d->free_ns = batch_end;
			d->rows += rows;
			rest = throttle_rest(&d->throttle, batch_end - now,
			    true);
			batch_at = batch_end + rest * MS_NS;
			continue;
		}
		now = arrival;
		d->free_ns = MAX(d->free_ns, now) + d->request_ns +
		    rnd(d, d->request_ns / 4 + 1);
		d->latency[d->n] = d->free_ns - now;
		throttle_sample(&d->throttle, d->latency[d->n++],
		    now < batch_end);
		arrival += 1 + rnd(d, 2 * d->gap_ns);
	}
	d->end_ns = now;
}

static void
check_load(uint64_t request_ns, uint64_t row_ns, uint64_t gap_ns,
    unsigned least_percent)
{
	struct disk *d = &disk;
	uint64_t p50, p99, rise50, rise99, spare, used;

	memset(d, 0, sizeof(*d));
	d->request_ns = request_ns;
	d->row_ns = row_ns;
	d->gap_ns = gap_ns;
	play(d, false);
	p50 = percentile(d, 50);
	p99 = percentile(d, 99);
	play(d, true);
	rise50 = percentile(d, 50) * 100 / p50;
	rise99 = percentile(d, 99) * 100 / p99;
	spare = d->end_ns - MIN(d->end_ns, REQUESTS * (request_ns +
	    request_ns / 8));
	used = d->rows * row_ns * 100 / MAX(spare, (uint64_t)1);
	print_message("request %llu us, row %llu us, every %llu us: median "
	    "%llu %%, p99 %llu %%, %llu %% of the idle time used\n",
	    (unsigned long long)(request_ns / US),
	    (unsigned long long)(row_ns / US),
	    (unsigned long long)(gap_ns / US), (unsigned long long)rise50,
	    (unsigned long long)rise99, (unsigned long long)used);
	assert_true(rise50 <= 200);
	assert_true(rise99 <= 200);
	assert_true(used >= least_percent);
}

static void
requests_are_not_much_slower_than_without_a_sweep(void **state)
{
	(void)state;
	check_load(8000 * US, 1500 * US, 40000 * US, 60);	/* hard disk */
	check_load(8000 * US, 1500 * US, 12000 * US, 60);	/* and busy */
	check_load(100 * US, 150 * US, 1000 * US, 20);		/* SSD */
	check_load(100 * US, 150 * US, 150 * US, 10);
}

static void
without_requests_it_does_not_rest(void **state)
{
	struct throttle t;

	(void)state;
	throttle_init(&t);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(throttle_rows(&t, false), THROTTLE_ROWS);
		assert_int_equal(throttle_rest(&t, 10 * MS_NS, false), 0);
	}
}

/* However long requests take: it goes on, and so it ends. */
static void
it_never_stands_still(void **state)
{
	struct throttle t;

	(void)state;
	throttle_init(&t);
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 10; k++) {
			throttle_sample(&t, 100 * US, false);
			throttle_sample(&t, 1000000 * US, true);
		}
		assert_in_range(throttle_rest(&t, 500 * MS_NS, true), 1,
		    THROTTLE_REST_MS);
		assert_true(throttle_rows(&t, true) >= 1);
	}
	assert_int_equal(throttle_rows(&t, true), 1);
	/* And recovers when there is room again. */
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 10; k++) {
			throttle_sample(&t, 100 * US, false);
			throttle_sample(&t, 100 * US, true);
		}
		(void)throttle_rest(&t, MS_NS, true);
	}
	assert_int_equal(throttle_rows(&t, true), THROTTLE_ROWS);
	assert_in_range(throttle_rest(&t, 10 * MS_NS, true), 5, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    requests_are_not_much_slower_than_without_a_sweep),
		cmocka_unit_test(without_requests_it_does_not_rest),
		cmocka_unit_test(it_never_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
