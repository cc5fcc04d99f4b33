/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs seeds: each in a child, so that a failed check, a bug() or a crash ends
 * one history and nothing else.
 *
 *	sim [-hv] [-s SCENARIO] [-f FIRST] [-n SEEDS] [-r FILE] [-t SECONDS]
 *
 * -r replays the lines "SCENARIO SEED" of a file first.  -t starts no seed
 * after so many seconds.  -h prints the hash of each history.  A seed that
 * fails is printed with its last lines of history, and how to play it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"
#include "tests/sim/scenario.h"

#define FAILURES_MAX 20u
#define SEED_SECONDS 60u	/* of real time: more is an endless loop */
#define OUTPUT_MAX 60000

static const struct scenario *const scenarios[] = {
	&scenario_disk, &scenario_raid, &scenario_pool, &scenario_target,
};

struct options {
	bool verbose, hashes;
	const struct scenario *only;
	uint64_t first, seeds, seconds;
	const char *replay;
	const char *program;
};

struct totals {
	uint64_t runs, failures, lines, seeds;
	struct timespec start;
};

/* What the child tells, in shared memory. */
struct verdict {
	uint64_t hash, lines;
	bool done;
};

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	    (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void
to_history(void *arg, enum log_level level, enum log_area area,
    const char *text)
{
	(void)level;
	sim_note(arg, "%s: %s", log_area_name(area), text);
}

static _Noreturn void
child(const struct options *options, const struct scenario *scenario,
    uint64_t seed, int output, struct verdict *verdict)
{
	struct rng rng = { .state = seed ^ 0xd020d020d020d020u };
	struct sim *sim;

	if (!options->verbose)
		dup2(output, STDERR_FILENO);
	alarm(SEED_SECONDS);
	sim = sim_new(seed, options->verbose);
	log_set_level(LOG_L_ERR);
	log_set_sink(to_history, sim);
	scenario->play(sim, &rng);
	verdict->hash = sim_history_hash(sim);
	verdict->lines = sim_history_lines(sim);
	verdict->done = true;
	_exit(0);
}

static void
print_output(int output)
{
	off_t size = lseek(output, 0, SEEK_END);
	char buf[4096];
	ssize_t n;

	lseek(output, size > OUTPUT_MAX ? size - OUTPUT_MAX : 0, SEEK_SET);
	while ((n = read(output, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
}

static bool
run_seed(const struct options *options, struct totals *totals,
    const struct scenario *scenario, uint64_t seed)
{
	int output = memfd_create("output", MFD_CLOEXEC), status;
	struct verdict *verdict = mmap(NULL, sizeof(*verdict),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	bool ok;

	if (output < 0 || verdict == MAP_FAILED) {
		perror("sim");
		exit(2);
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0)
		child(options, scenario, seed, output, verdict);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ok = WIFEXITED(status) && WEXITSTATUS(status) == 0 && verdict->done;
	totals->runs++;
	totals->lines += verdict->lines;
	if (ok && options->hashes)
		printf("%s %llu %016llx %llu lines\n", scenario->name,
		    (unsigned long long)seed,
		    (unsigned long long)verdict->hash,
		    (unsigned long long)verdict->lines);
	if (!ok) {
		totals->failures++;
		print_output(output);
		printf("FAILED: %s %llu (%s %d); play it again: %s -v -s %s "
		    "-f %llu -n 1\n", scenario->name,
		    (unsigned long long)seed,
		    WIFSIGNALED(status) ? "signal" : "exit",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status), options->program, scenario->name,
		    (unsigned long long)seed);
	}
	munmap(verdict, sizeof(*verdict));
	close(output);
	return ok;
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
replay(const struct options *options, struct totals *totals)
{
	FILE *f = fopen(options->replay, "re");
	char line[200], name[32];
	unsigned long long seed;
	const struct scenario *scenario;

	if (f == NULL) {
		perror(options->replay);
		exit(2);
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "%31s %llu", name, &seed) != 2 ||
		    (scenario = find_scenario(name)) == NULL) {
			fprintf(stderr, "%s: bad line: %s", options->replay,
			    line);
			exit(2);
		}
		if (options->only == NULL || options->only == scenario)
			run_seed(options, totals, scenario, seed);
	}
	fclose(f);
}

static void
usage(void)
{
	fprintf(stderr, "usage: sim [-hv] [-s scenario] [-f first] "
	    "[-n seeds] [-r file] [-t seconds]\nscenarios:");
	for (size_t i = 0; i < nitems(scenarios); i++)
		fprintf(stderr, " %s", scenarios[i]->name);
	fputc('\n', stderr);
	exit(2);
}

static void
parse(struct options *options, int argc, char **argv)
{
	int c;

	options->program = argv[0];
	while ((c = getopt(argc, argv, "hvs:f:n:r:t:")) != -1) {
		switch (c) {
		case 'h':
			options->hashes = true;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 's':
			options->only = find_scenario(optarg);
			if (options->only == NULL)
				usage();
			break;
		case 'f':
			options->first = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			options->seeds = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			options->replay = optarg;
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

int
main(int argc, char **argv)
{
	struct options options = { .first = 1, .seeds = 100 };
	struct totals totals = { 0 };
	double took;

	parse(&options, argc, argv);
	clock_gettime(CLOCK_MONOTONIC, &totals.start);
	if (options.replay != NULL)
		replay(&options, &totals);
	for (uint64_t i = 0; i < options.seeds; i++) {
		if (options.seconds != 0 &&
		    seconds_since(&totals.start) > (double)options.seconds)
			break;
		for (size_t s = 0; s < nitems(scenarios); s++)
			if (options.only == NULL ||
			    options.only == scenarios[s])
				run_seed(&options, &totals, scenarios[s],
				    options.first + i);
		totals.seeds++;
		if (totals.failures >= FAILURES_MAX)
			break;
	}
	took = seconds_since(&totals.start);
	printf("sim: %llu passed, %llu failed, 0 skipped; histories of %llu "
	    "seeds, %llu events, %.1f s, %.0f histories/s\n",
	    (unsigned long long)(totals.runs - totals.failures),
	    (unsigned long long)totals.failures,
	    (unsigned long long)totals.seeds,
	    (unsigned long long)totals.lines, took,
	    (double)totals.runs / MAX(took, 0.001));
	return totals.failures == 0 ? 0 : 1;
}
