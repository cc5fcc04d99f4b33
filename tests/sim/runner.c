/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches of histories, each batch in a child, so that a failed check, a bug()
 * or a crash ends one history and nothing else.
 *
 * The child counts in shared memory what it has played.  If it dies, the
 * history it was at is played once more in a child of its own, so that what is
 * printed is what its seed alone does, and the rest of the batch goes on in
 * another child.
 *
 * Invariants: every history is counted once; a batch is played in order.
 */
#include "tests/sim/runner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/util.h"
#include "tests/sim/mem.h"

#define BATCH 64u
#define JOBS_MAX 64u
#define HISTORY_SECONDS 60u	/* of real time: more is an endless loop */
#define OUTPUT_MAX 60000

/* What a child tells, in shared memory. */
struct verdict {
	unsigned done;
	struct { uint64_t hash, lines; } of[BATCH];
};

struct batch {
	pid_t pid;			/* 0: not running */
	struct play play[BATCH];
	unsigned n;
	int output;
	struct verdict *verdict;
};

static struct batch batches[JOBS_MAX];
static struct batch *filling;

/* --- the child --- */

static void
to_history(void *arg, enum log_level level, enum log_area area,
    const char *text)
{
	(void)level;
	sim_note(arg, "%s: %s", log_area_name(area), text);
}

static void
play(const struct runner *runner, const struct batch *batch, unsigned i)
{
	const struct play *play = &batch->play[i];
	struct rng rng = { .state = play->seed ^ 0xd020d020d020d020u };
	struct sim *sim;

	alarm(HISTORY_SECONDS);
	sim = sim_new(play->seed, runner->verbose);
	log_set_level(LOG_L_ERR);
	log_set_sink(to_history, sim);
	play->scenario->play(sim, &rng);
	batch->verdict->of[i].hash = sim_history_hash(sim);
	batch->verdict->of[i].lines = sim_history_lines(sim);
	batch->verdict->done = i + 1;
}

static _Noreturn void
child(const struct runner *runner, const struct batch *batch)
{
	if (!runner->verbose)
		dup2(batch->output, STDERR_FILENO);
	for (unsigned i = 0; i < batch->n; i++) {
		if (!mem_reset())
			assert(batch->n == 1);
		play(runner, batch, i);
	}
	_exit(0);
}

/* --- the parent --- */

static void
start(const struct runner *runner, struct batch *batch)
{
	assert(batch->pid == 0 && batch->n > 0);
	if (batch->verdict == NULL) {
		batch->output = memfd_create("output", MFD_CLOEXEC);
		batch->verdict = mmap(NULL, sizeof(*batch->verdict),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (batch->output < 0 || batch->verdict == MAP_FAILED) {
			perror("sim");
			exit(2);
		}
	}
	batch->verdict->done = 0;
	if (ftruncate(batch->output, 0) < 0 ||
	    lseek(batch->output, 0, SEEK_SET) < 0)
		perror("sim: output");
	fflush(NULL);
	batch->pid = fork();
	if (batch->pid < 0) {
		perror("fork");
		exit(2);
	}
	if (batch->pid == 0)
		child(runner, batch);
}

static int
wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			perror("waitpid");
			exit(2);
		}
	return status;
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

/* The history a child died of: show what its seed does alone. */
static void
report(struct runner *runner, const struct batch *batch, int status)
{
	static struct batch alone;
	const struct play *p = &batch->play[batch->verdict->done];
	int again;

	alone.n = 1;
	alone.play[0] = *p;
	start(runner, &alone);
	again = wait_for(alone.pid);
	alone.pid = 0;
	print_output(again != 0 ? alone.output : batch->output);
	printf("FAILED: %s %llu (%s %d)%s; play it again: %s -v -s %s -f %llu "
	    "-n 1\n", p->scenario->name, (unsigned long long)p->seed,
	    WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ?
	    WTERMSIG(status) : WEXITSTATUS(status), again != 0 ? "" :
	    ", but not alone: something is left of the histories before it",
	    runner->program, p->scenario->name,
	    (unsigned long long)p->seed);
	fflush(stdout);
	if (runner->failed != NULL) {
		fprintf(runner->failed, "%s %llu\n", p->scenario->name,
		    (unsigned long long)p->seed);
		fflush(runner->failed);
	}
	runner->runs++;
	runner->failures++;
}

/* Count what a child has played; true if some of its batch is left. */
static bool
settle(struct runner *runner, struct batch *batch, int status)
{
	const struct verdict *v = batch->verdict;
	unsigned done = v->done;

	batch->pid = 0;
	for (unsigned i = 0; i < done; i++) {
		runner->runs++;
		runner->lines += v->of[i].lines;
		if (runner->hashes)
			printf("%s %llu %016llx %llu lines\n",
			    batch->play[i].scenario->name,
			    (unsigned long long)batch->play[i].seed,
			    (unsigned long long)v->of[i].hash,
			    (unsigned long long)v->of[i].lines);
	}
	if (done < batch->n) {
		report(runner, batch, status);
		done++;
	}
	batch->n -= done;
	memmove(batch->play, batch->play + done,
	    batch->n * sizeof(batch->play[0]));
	return batch->n > 0;
}

/* Wait until a child ends and its batch is through. */
static struct batch *
wait_any(struct runner *runner)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return NULL;
		for (unsigned i = 0; i < JOBS_MAX; i++) {
			struct batch *batch = &batches[i];

			if (batch->pid != pid)
				continue;
			if (!settle(runner, batch, status))
				return batch;
			start(runner, batch);
		}
	}
}

void
runner_play(struct runner *runner, const struct play *play)
{
	unsigned jobs = MIN(MAX(runner->jobs, 1u), JOBS_MAX);

	for (unsigned i = 0; filling == NULL && i < jobs; i++)
		if (batches[i].pid == 0)
			filling = &batches[i];
	if (filling == NULL)
		filling = wait_any(runner);
	filling->play[filling->n++] = *play;
	if (filling->n == BATCH || !mem_reset()) {
		start(runner, filling);
		filling = NULL;
	}
}

void
runner_finish(struct runner *runner)
{
	if (filling != NULL && filling->n > 0)
		start(runner, filling);
	filling = NULL;
	while (wait_any(runner) != NULL)
		;
}
