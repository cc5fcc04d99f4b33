/* SPDX-License-Identifier: BSD-2-Clause */
/* A scenario plays one seed; it returns if all checks held. */
#ifndef TESTS_SIM_SCENARIO_H
#define TESTS_SIM_SCENARIO_H

#include "tests/sim/sim.h"

struct scenario {
	const char *name;
	void (*play)(struct sim *sim, struct rng *rng);
};

extern const struct scenario scenario_disk, scenario_cache, scenario_pool,
    scenario_raid, scenario_replace, scenario_target;

#endif
