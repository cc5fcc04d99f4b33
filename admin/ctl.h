/* SPDX-License-Identifier: BSD-2-Clause */
/* dozoctl: arguments to a request, a reply to text.  No storage code. */
#ifndef ADMIN_CTL_H
#define ADMIN_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "admin/schema.h"
#include "core/err.h"

enum ctl_exit {
	CTL_OK = 0, CTL_USAGE = 2, CTL_NOT_FOUND = 3, CTL_CONFLICT = 4,
	CTL_FAILED = 5,
};

struct ctl {
	const struct verb_schema *verb;
	json_t *args;
	const char *socket, *if_match;
	bool json, wait, dry_run, help;
	bool brief;			/* status --short */
	bool watch;			/* stats --watch */
	int fd;
	char *in;			/* received, not yet taken */
	size_t in_len, in_size;
};

/* --- ctl_args.c --- */

/* Fill ctl from the command line; -EINVAL with err. */
int ctl_parse(struct ctl *ctl, int argc, char **argv, struct err *err);
void ctl_usage(FILE *out);
void ctl_help(const struct verb_schema *verb, FILE *out);

/* --- ctl_conn.c --- */

int ctl_connect(struct ctl *ctl, struct err *err);
/* Send one request; args is borrowed. */
int ctl_send(struct ctl *ctl, const char *verb, json_t *args,
    struct err *err);
/* The next line as JSON, or NULL with err. */
json_t *ctl_recv(struct ctl *ctl, struct err *err);
/* Both; returns the reply. */
json_t *ctl_call(struct ctl *ctl, const char *verb, json_t *args,
    struct err *err);
void ctl_close(struct ctl *ctl);

/* --- ctl_print.c --- */

/* The result for people. */
void ctl_print(const struct ctl *ctl, const json_t *result);
void ctl_print_event(const json_t *event);
/* JSON text, helpers shared with ctl_watch.c. */
const char *json_text(const json_t *obj, const char *key);
json_int_t json_num(const json_t *obj, const char *key);
uint64_t json_size(const json_t *obj, const char *key);

/* --- ctl_watch.c --- */

/* Follow a job to its end; returns an exit status. */
int ctl_wait_job(struct ctl *ctl, const json_t *job);
/* Rates every second until interrupted. */
int ctl_watch_stats(struct ctl *ctl);
int ctl_follow(struct ctl *ctl);

/* Print the error of a reply; returns the exit status that goes with it. */
int ctl_complain(const json_t *error);
int ctl_complain_err(const struct err *err, int status);

#endif
