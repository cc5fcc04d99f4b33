/* SPDX-License-Identifier: BSD-2-Clause */
/* dozoctl: one request, one answer, one exit status. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "core/util.h"

#define DEFAULT_SOCKET "/run/dozo/control.sock"

int
ctl_complain_err(const struct err *err, int status)
{
	fflush(stdout);
	fprintf(stderr, "dozoctl: %s\n", err->text);
	if (err->hint[0] != '\0')
		fprintf(stderr, "  %s\n", err->hint);
	return status;
}

int
ctl_complain(const json_t *error)
{
	static const struct { const char *code; int status; } table[] = {
		{ "invalid", CTL_USAGE }, { "not_found", CTL_NOT_FOUND },
		{ "conflict", CTL_CONFLICT }, { "busy", CTL_CONFLICT },
		{ "changed", CTL_CONFLICT },
	};
	const char *code = json_text(error, "code");

	fflush(stdout);
	fprintf(stderr, "dozoctl: %s\n", json_text(error, "text"));
	if (json_text(error, "hint")[0] != '\0')
		fprintf(stderr, "  %s\n", json_text(error, "hint"));
	for (size_t i = 0; i < nitems(table); i++) {
		if (strcmp(code, table[i].code) == 0)
			return table[i].status;
	}
	return CTL_FAILED;
}

/* Health decides the exit status where health was asked for. */
static int
health_status(const struct ctl *ctl, const json_t *result)
{
	const char *health = json_text(result, "health");

	assert(ctl->verb != NULL);
	if (strcmp(ctl->verb->name, "status") != 0 &&
	    strcmp(ctl->verb->name, "pool.status") != 0)
		return CTL_OK;
	return strcmp(health, "healthy") == 0 || strcmp(health, "busy") == 0 ?
	    CTL_OK : CTL_FAILED;
}

static int
show_reply(struct ctl *ctl, const json_t *reply)
{
	const json_t *result = json_object_get(reply, "result");
	const json_t *job = json_object_get(reply, "job");

	assert(ctl->verb != NULL);
	if (!json_is_true(json_object_get(reply, "ok"))) {
		if (ctl->json) {
			json_dumpf(json_object_get(reply, "error"), stdout,
			    JSON_INDENT(2));
			putchar('\n');
		}
		return ctl_complain(json_object_get(reply, "error"));
	}
	if (job != NULL && (ctl->wait ||
	    (ctl->verb->flags & VERB_LONG) != 0))
		return ctl_wait_job(ctl, job);
	if (job != NULL)
		result = job;
	if (ctl->json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else if (job != NULL) {
		printf("job %d: %s has started; `dozoctl job show %d` "
		    "tells how far it is\n", (int)json_num(job, "id"),
		    json_text(job, "verb"), (int)json_num(job, "id"));
	} else {
		ctl_print(ctl, result);
	}
	return health_status(ctl, result);
}

static int
run(struct ctl *ctl)
{
	struct err err = { 0 };
	json_t *reply;
	int status;

	if (ctl_connect(ctl, &err) != 0)
		return ctl_complain_err(&err, CTL_FAILED);
	if (ctl->watch)
		return ctl_watch_stats(ctl);
	reply = ctl_call(ctl, ctl->verb->name, ctl->args, &err);
	if (reply == NULL)
		return ctl_complain_err(&err, CTL_FAILED);
	status = show_reply(ctl, reply);
	json_decref(reply);
	if (status == CTL_OK && strcmp(ctl->verb->name, "events") == 0 &&
	    json_is_true(json_object_get(ctl->args, "follow")))
		status = ctl_follow(ctl);
	return status;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .socket = DEFAULT_SOCKET, .fd = -1 };
	struct err err = { 0 };
	int status;

	if (argc == 2 && (strcmp(argv[1], "-V") == 0 ||
	    strcmp(argv[1], "--version") == 0)) {
		printf("dozoctl " PACKAGE_VERSION "\n");
		return 0;
	}
	if (argc < 2) {
		ctl_usage(stderr);
		return CTL_USAGE;
	}
	signal(SIGPIPE, SIG_DFL);
	if (ctl_parse(&ctl, argc, argv, &err) != 0) {
		status = ctl_complain_err(&err, CTL_USAGE);
	} else if (ctl.help) {
		if (ctl.verb != NULL)
			ctl_help(ctl.verb, stdout);
		else
			ctl_usage(stdout);
		status = CTL_OK;
	} else {
		status = run(&ctl);
	}
	ctl_close(&ctl);
	json_decref(ctl.args);
	return status;
}
