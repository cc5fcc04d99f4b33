/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator's command line.
 *
 *	sim [-hv] [-f FIRST] [-j JOBS] [-k FILE] [-n SEEDS] [-r FILE]
 *	    [-s SCENARIO] [-t SECONDS]
 *
 * -r replays the lines "SCENARIO SEED" of a file first; -k adds such a line to
 * a file for each seed that fails.  -t starts no seed after so many seconds.
 * -h prints the hash of each history.  SIGINT and SIGTERM end a long run in
 * order: it tells with which seed to go on.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"
#include "tests/sim/runner.h"

#define FAILURES_MAX 20u
#define PROGRESS_SECONDS 60.0

static const struct scenario *const scenarios[] = {
	&scenario_disk, &scenario_cache, &scenario_raid, &scenario_replace,
	&scenario_pool, &scenario_target,
};

struct options {
	const struct scenario *only;
	uint64_t first, seeds, seconds;
	const char *replay;
};

static volatile sig_atomic_t told_to_stop;

static void
on_signal(int signo)
{
	told_to_stop = signo;
}

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	    (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static const struct scenario *
find_scenario(const char *name)
{
	for (size_t i = 0; i < nitems(scenarios); i++)
		if (strcmp(scenarios[i]->name, name) == 0)
			return scenarios[i];
	return NULL;
}

static void
replay(const struct options *options, struct runner *runner)
{
	FILE *f = fopen(options->replay, "re");
	char line[200], name[32];
	unsigned long long seed;
	struct play play;

	if (f == NULL) {
		perror(options->replay);
		exit(2);
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "%31s %llu", name, &seed) != 2 ||
		    (play.scenario = find_scenario(name)) == NULL) {
			fprintf(stderr, "%s: bad line: %s", options->replay,
			    line);
			exit(2);
		}
		play.seed = seed;
		if (options->only == NULL || options->only == play.scenario)
			runner_play(runner, &play);
	}
	fclose(f);
}

static void
usage(void)
{
	fprintf(stderr, "usage: sim [-hv] [-f first] [-j jobs] [-k file] "
	    "[-n seeds] [-r file] [-s scenario] [-t seconds]\nscenarios:");
	for (size_t i = 0; i < nitems(scenarios); i++)
		fprintf(stderr, " %s", scenarios[i]->name);
	fputc('\n', stderr);
	exit(2);
}

static FILE *
open_failed(const char *path)
{
	FILE *f = fopen(path, "ae");

	if (f == NULL) {
		perror(path);
		exit(2);
	}
	return f;
}

static void
parse(struct options *options, struct runner *runner, int argc, char **argv)
{
	int c;

	runner->program = argv[0];
	while ((c = getopt(argc, argv, "hvf:j:k:n:r:s:t:")) != -1) {
		switch (c) {
		case 'h':
			runner->hashes = true;
			break;
		case 'v':
			runner->verbose = true;
			break;
		case 'f':
			options->first = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			runner->jobs = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			runner->failed = open_failed(optarg);
			break;
		case 'n':
			options->seeds = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			options->replay = optarg;
			break;
		case 's':
			options->only = find_scenario(optarg);
			if (options->only == NULL)
				usage();
			break;
		case 't':
			options->seconds = strtoull(optarg, NULL, 10);
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
}

static void
progress(const struct runner *runner, uint64_t seed, double took)
{
	printf("seed %llu: %llu histories, %llu failed, %.0f s, %.0f/s\n",
	    (unsigned long long)seed, (unsigned long long)runner->runs,
	    (unsigned long long)runner->failures, took,
	    (double)runner->runs / took);
	fflush(stdout);
}

/* Returns how many seeds were played. */
static uint64_t
play_seeds(const struct options *options, struct runner *runner,
    const struct timespec *start)
{
	double told = 0;
	uint64_t i;

	for (i = 0; i < options->seeds && !told_to_stop &&
	    runner->failures < FAILURES_MAX; i++) {
		double took = seconds_since(start);

		if (options->seconds != 0 && took > (double)options->seconds)
			break;
		if (took - told > PROGRESS_SECONDS) {
			progress(runner, options->first + i, took);
			told = took;
		}
		for (size_t s = 0; s < nitems(scenarios); s++) {
			struct play play = { scenarios[s],
			    options->first + i };

			if (options->only == NULL ||
			    options->only == scenarios[s])
				runner_play(runner, &play);
		}
	}
	return i;
}

int
main(int argc, char **argv)
{
	struct options options = { .first = 1, .seeds = 100 };
	struct sigaction action = { .sa_handler = on_signal };
	struct runner runner = { .jobs = 1 };
	struct timespec start;
	uint64_t seeds;
	double took;

	parse(&options, &runner, argc, argv);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (options.replay != NULL)
		replay(&options, &runner);
	seeds = play_seeds(&options, &runner, &start);
	runner_finish(&runner);
	took = seconds_since(&start);
	if (seeds < options.seeds)
		printf("stopped early; to go on: -f %llu -n %llu\n",
		    (unsigned long long)(options.first + seeds),
		    (unsigned long long)(options.seeds - seeds));
	printf("sim: %llu passed, %llu failed, 0 skipped; histories of %llu "
	    "seeds, %llu events, %.1f s, %.0f histories/s\n",
	    (unsigned long long)(runner.runs - runner.failures),
	    (unsigned long long)runner.failures,
	    (unsigned long long)seeds, (unsigned long long)runner.lines, took,
	    (double)runner.runs / MAX(took, 0.001));
	return runner.failures == 0 ? 0 : 1;
}
