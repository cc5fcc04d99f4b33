/* SPDX-License-Identifier: BSD-2-Clause */
/* dozoctl: what goes on until it is done or interrupted. */
#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "admin/size.h"

#define POLL_FAST_NS 50000000L		/* the first looks at a job */
#define POLL_SLOW_NS 500000000L
#define POLL_FAST_COUNT 20u

static void
pause_ns(long ns)
{
	nanosleep(&(struct timespec){ ns / 1000000000L, ns % 1000000000L },
	    NULL);
}

/* The result of a call without options, or NULL after complaining. */
static json_t *
ask(struct ctl *ctl, const char *verb, json_t *args, int *status)
{
	struct err err = { 0 };
	json_t *reply = ctl_call(ctl, verb, args, &err), *result;

	assert(ctl->fd >= 0);
	if (reply == NULL) {
		*status = ctl_complain_err(&err, CTL_FAILED);
		return NULL;
	}
	result = json_incref(json_object_get(reply, "result"));
	if (result == NULL)
		*status = ctl_complain(json_object_get(reply, "error"));
	json_decref(reply);
	return result;
}

static void
show_progress(const json_t *job)
{
	char rate[32];

	fprintf(stderr, "\r%s %s: %.1f %%, %s/s, %" JSON_INTEGER_FORMAT
	    " s left   ", json_text(job, "verb"), json_text(job, "object"),
	    json_real_value(json_object_get(job, "percent")),
	    size_print(json_size(job, "rate_bytes_s"), rate, sizeof(rate)),
	    json_num(job, "eta_s"));
}

static int
job_over(struct ctl *ctl, const json_t *job)
{
	if (strcmp(json_text(job, "state"), "failed") == 0) {
		if (ctl->json) {
			json_dumpf(job, stdout, JSON_INDENT(2));
			putchar('\n');
		}
		return ctl_complain(json_object_get(job, "error"));
	}
	if (ctl->json) {
		json_dumpf(json_object_get(job, "result"), stdout,
		    JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else {
		ctl_print(ctl, json_object_get(job, "result"));
	}
	return CTL_OK;
}

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* The first Ctrl-C ends the job, the second only us. */
static void
catch_interrupt(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt,
		.sa_flags = (int)SA_RESETHAND };

	interrupted = 0;
	sigaction(SIGINT, &sa, NULL);
}

static void
cancel_job(struct ctl *ctl, json_t *args)
{
	int status = CTL_OK;

	interrupted = 0;
	fprintf(stderr, "\nending job %" JSON_INTEGER_FORMAT "...\n",
	    json_num(args, "id"));
	json_decref(ask(ctl, "job.cancel", args, &status));
}

int
ctl_wait_job(struct ctl *ctl, const json_t *first)
{
	json_t *args = json_pack("{s:I}", "id", json_num(first, "id"));
	bool progress = isatty(STDERR_FILENO) && !ctl->json, shown = false;
	unsigned looks = 0;
	int status = CTL_OK;
	json_t *job;

	catch_interrupt();
	for (;;) {
		if (interrupted)
			cancel_job(ctl, args);
		job = ask(ctl, "job.show", args, &status);
		if (job == NULL)
			break;
		if (strcmp(json_text(job, "state"), "running") != 0) {
			if (shown)
				fputc('\n', stderr);
			status = job_over(ctl, job);
			break;
		}
		if (progress && json_object_get(job, "percent") != NULL) {
			show_progress(job);
			shown = true;
		}
		json_decref(job);
		pause_ns(looks++ < POLL_FAST_COUNT ? POLL_FAST_NS :
		    POLL_SLOW_NS);
	}
	json_decref(job);
	json_decref(args);
	return status;
}

/* --- stats --watch --- */

static const json_t *
same_volume(const json_t *stats, const json_t *volume)
{
	const json_t *list = json_object_get(stats, "volumes");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		if (strcmp(json_text(v, "pool"), json_text(volume, "pool")) ==
		    0 && strcmp(json_text(v, "name"), json_text(volume,
		    "name")) == 0)
			return v;
	}
	return NULL;
}

static double
per_second(uint64_t now, uint64_t before, double seconds)
{
	assert(seconds >= 0);
	return seconds > 0 && now >= before ?
	    (double)(now - before) / seconds : 0;
}

static double
mean_ms(json_int_t us, json_int_t n)
{
	return n > 0 ? (double)us / (double)n / 1000 : 0;
}

static void
show_rates(const json_t *now, const json_t *before)
{
	const json_t *list = json_object_get(now, "volumes");
	double s = (double)(json_num(now, "time_ms") -
	    json_num(before, "time_ms")) / 1000;

	printf("%-24s %9s %9s %11s %11s %9s %9s\n", "VOLUME", "READS/S",
	    "WRITES/S", "READ/S", "WRITE/S", "READ MS", "WRITE MS");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		const json_t *o = same_volume(before, v);
		json_int_t reads, writes;
		char name[160], rb[32], wb[32];

		if (o == NULL)
			continue;
		reads = json_num(v, "reads") - json_num(o, "reads");
		writes = json_num(v, "writes") - json_num(o, "writes");
		snprintf(name, sizeof(name), "%s/%s", json_text(v, "pool"),
		    json_text(v, "name"));
		printf("%-24s %9.0f %9.0f %11s %11s %9.2f %9.2f\n", name,
		    s > 0 ? (double)reads / s : 0,
		    s > 0 ? (double)writes / s : 0,
		    size_print((uint64_t)per_second(json_size(v,
		    "read_bytes"), json_size(o, "read_bytes"), s), rb,
		    sizeof(rb)),
		    size_print((uint64_t)per_second(json_size(v,
		    "write_bytes"), json_size(o, "write_bytes"), s), wb,
		    sizeof(wb)),
		    mean_ms(json_num(v, "read_us") - json_num(o, "read_us"),
		    reads), mean_ms(json_num(v, "write_us") -
		    json_num(o, "write_us"), writes));
	}
	printf("\n");
	fflush(stdout);
}

int
ctl_watch_stats(struct ctl *ctl)
{
	json_t *before, *now;
	int status = CTL_OK;

	before = ask(ctl, "stats", ctl->args, &status);
	while (before != NULL) {
		sleep(1);
		now = ask(ctl, "stats", ctl->args, &status);
		if (now != NULL && ctl->json) {
			json_dumpf(now, stdout, JSON_COMPACT);
			putchar('\n');
			fflush(stdout);
		} else if (now != NULL) {
			show_rates(now, before);
		}
		json_decref(before);
		before = now;
	}
	return status;
}

/* --- events --follow --- */

int
ctl_follow(struct ctl *ctl)
{
	struct err err = { 0 };
	json_t *event;

	while ((event = ctl_recv(ctl, &err)) != NULL) {
		if (ctl->json) {
			json_dumpf(event, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			ctl_print_event(event);
		}
		fflush(stdout);
		json_decref(event);
	}
	return ctl_complain_err(&err, CTL_FAILED);
}
