/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of an array is used, as somebody might tell it: runs and gaps of any
 * size, that change now and then.
 */
#ifndef TESTS_SIM_USED_H
#define TESTS_SIM_USED_H

#include "raid/raid.h"
#include "tests/sim/sim.h"

struct used {
	uint64_t size, unit;		/* bytes */
	uint64_t seed;
	unsigned share;			/* percent that is used */
};

/* Tell the array, or (now and then) do not. */
void used_tell(struct used *used, struct rng *rng, struct raid *raid);
/* Other runs, from now on. */
void used_change(struct used *used, struct rng *rng);

#endif
