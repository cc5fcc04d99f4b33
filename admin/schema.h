/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verbs of the control protocol with their arguments: what dozod checks
 * requests against and dozoctl builds its command line and help from.
 */
#ifndef ADMIN_SCHEMA_H
#define ADMIN_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum arg_type {
	ARG_TEXT,
	ARG_NAME,		/* [a-z0-9-]{1,63} */
	ARG_VOLUME,		/* POOL/NAME */
	ARG_SIZE,		/* text or number of bytes */
	ARG_BOOL,
	ARG_NUMBER,		/* 0..2^53 */
	ARG_TEXTS,		/* list of texts */
	ARG_OBJECT,		/* not on the command line */
};

#define ARG_REQUIRED	0x01u
#define ARG_POSITION	0x02u	/* command line: no "--name" before it */
#define ARG_SECRET	0x04u	/* dozoctl reads it from a file or stdin */
#define ARG_API		0x08u	/* not offered by dozoctl as an option */

struct verb_arg {
	const char *name;
	enum arg_type type;
	unsigned flags;
	const char *value;	/* "PATH", in help; NULL = name in capitals */
	const char *help;
};

#define VERB_CHANGE	0x01u	/* changes something: lock, dry run, log */
#define VERB_JOB	0x02u	/* long: a job, the lock only to finish */
#define VERB_HIDDEN	0x04u	/* protocol only */
#define VERB_LONG	0x08u	/* a job if it takes longer than a second */

struct verb_schema {
	const char *name;	/* "pool.create" = dozoctl pool create */
	unsigned flags;
	const char *help;	/* one line */
	const struct verb_arg *args;
	size_t nargs;
};

extern const struct verb_schema verb_schemas[];
extern const size_t verb_schemas_count;

const struct verb_schema *verb_schema_find(const char *name);
/* Do `args` fit?  The message names the argument and its nearest known. */
int verb_schema_check(const struct verb_schema *schema, const json_t *args,
    struct err *err);
/* The nearest verb's name, or NULL. */
const char *verb_schema_nearest(const char *name);

#endif
