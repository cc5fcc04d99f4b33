/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays histories in child processes and counts them. */
#ifndef TESTS_SIM_RUNNER_H
#define TESTS_SIM_RUNNER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "tests/sim/scenario.h"

struct runner {
	bool verbose, hashes;
	unsigned jobs;			/* children at a time */
	const char *program;		/* for "play it again" */
	FILE *failed;			/* to note failed seeds in, or NULL */
	uint64_t runs, failures, lines;
};

/* One history. */
struct play {
	const struct scenario *scenario;
	uint64_t seed;
};

/*
 * Play one more.  It may still be under way on return; a failed one is
 * printed with its last lines of history, and how to play it again.
 */
void runner_play(struct runner *runner, const struct play *play);
/* Wait for all of them. */
void runner_finish(struct runner *runner);

#endif
