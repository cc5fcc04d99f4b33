/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The controller of throttle.h: additive increase, multiplicative decrease,
 * one step at a time, each after enough samples of both kinds.
 *
 * Invariants: 1 <= rows <= THROTTLE_ROWS; REST_MIN <= rest <= REST_MAX; the
 * rest only grows when batches are as small as they can be, and shrinks before
 * they grow.
 */
#include "raid/throttle.h"

#include <assert.h>

#include "core/util.h"

#define RATIO_HIGH	200u	/* percent: more is too much */
#define RATIO_LOW	150u	/* less leaves room */
#define SAMPLES		16u
#define REST_MIN	50u
#define REST_START	100u
#define REST_MAX	10000u
#define MS		UINT64_C(1000000)

void
throttle_init(struct throttle *t)
{
	*t = (struct throttle){ .rows = 2, .rest = REST_START };
}

void
throttle_sample(struct throttle *t, uint64_t ns, bool met)
{
	ns = MIN(ns, 1000 * MS);	/* one stall is no load */
	if (met) {
		t->met_ns += ns;
		t->nmet++;
	} else {
		t->alone_ns += ns;
		t->nalone++;
	}
}

unsigned
throttle_rows(const struct throttle *t, bool load)
{
	assert(t->rows >= 1 && t->rows <= THROTTLE_ROWS);
	return load ? t->rows : THROTTLE_ROWS;
}

static void
adapt(struct throttle *t)
{
	uint64_t alone = t->alone_ns / t->nalone, ratio;

	t->base_ns += t->base_ns / 64;
	if (t->base_ns == 0 || alone < t->base_ns)
		t->base_ns = MAX(alone, (uint64_t)1);
	ratio = t->met_ns / t->nmet * 100 / t->base_ns;
	if (ratio > RATIO_HIGH) {
		if (t->rows > 1)
			t->rows /= 2;
		else
			t->rest = MIN(t->rest * 3 / 2, REST_MAX);
	} else if (ratio < RATIO_LOW) {
		if (t->rest > REST_MIN)
			t->rest = MAX(t->rest * 3 / 4, REST_MIN);
		else
			t->rows = MIN(t->rows + 1, THROTTLE_ROWS);
	}
	t->nmet = t->nalone = 0;
	t->met_ns = t->alone_ns = 0;
}

uint64_t
throttle_rest(struct throttle *t, uint64_t batch_ns, bool load)
{
	uint64_t ms;

	assert(t->rest >= REST_MIN && t->rest <= REST_MAX);
	if (!load)
		return 0;
	if (t->nmet >= SAMPLES && t->nalone >= SAMPLES)
		adapt(t);
	t->owed_ns += batch_ns * t->rest / 100;
	ms = t->owed_ns / MS;
	t->owed_ns %= MS;
	/* All requests meet a batch: rest long enough for some that do not. */
	if (t->nmet >= 4 * SAMPLES && t->nalone < SAMPLES)
		ms = MAX(ms, 2 * t->met_ns / t->nmet / MS);
	return MIN(ms, THROTTLE_REST_MS);
}
