/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozoctl's command line, made from the table of verbs: the words name the
 * verb, positional arguments come in the table's order, others are
 * "--name value" with '-' for '_'.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "admin/ident.h"
#include "core/util.h"

#define SECRET_FILE_SUFFIX "-file"

struct words {
	int argc, at;
	char **argv;
};

static const char *
next_word(struct words *w)
{
	return w->at < w->argc ? w->argv[w->at++] : NULL;
}

static bool
is_option(const char *word)
{
	return strncmp(word, "--", 2) == 0 && word[2] != '\0';
}

/* "chap_secret" as "--chap-secret". */
static void
option_name(const char *arg, char *text, size_t size)
{
	assert(size > 3);
	snprintf(text, size, "--%s", arg);
	for (char *p = text; *p != '\0'; p++) {
		if (*p == '_')
			*p = '-';
	}
}

/* --- values --- */

/* A whole file, "-" = standard input; malloc'ed. */
static char *
read_file(const char *path, struct err *err)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = NULL;
	size_t size = 0;
	ssize_t n;

	if (f == NULL) {
		err_set(err, EINVAL, "cannot read %s: %s", path,
		    strerror(errno));
		return NULL;
	}
	n = getdelim(&text, &size, '\0', f);
	if (n < 0) {
		err_set(err, EINVAL, "%s is empty or cannot be read", path);
		free(text);
		text = NULL;
	}
	if (f != stdin)
		fclose(f);
	return text;
}

/* The daemon has another working directory. */
static json_t *
path_json(const char *path)
{
	char cwd[4096], full[8192];

	if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return json_string(path);
	snprintf(full, sizeof(full), "%s/%s", cwd,
	    strncmp(path, "./", 2) == 0 ? path + 2 : path);
	return json_string(full);
}

static json_t *
text_json(const struct verb_arg *arg, const char *word)
{
	if (arg->value != NULL && strncmp(arg->value, "PATH", 4) == 0)
		return path_json(word);
	return json_string(word);
}

static json_t *
object_json(const char *path, struct err *err)
{
	char *text = read_file(path, err);
	json_error_t why;
	json_t *json;

	if (text == NULL)
		return NULL;
	json = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (json == NULL)
		err_set(err, EINVAL, "%s:%d:%d: %s", path, why.line,
		    why.column, why.text);
	free(text);
	return json;
}

static json_t *
number_json(const char *name, const char *word, struct err *err)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(word, &end, 10);
	if (errno != 0 || *end != '\0' || end == word || v < 0) {
		err_set(err, EINVAL, "%s: \"%.40s\" is not a number", name,
		    word);
		return NULL;
	}
	return json_integer(v);
}

static json_t *
value_json(const struct verb_arg *arg, const char *word, struct err *err)
{
	switch (arg->type) {
	case ARG_TEXT:
	case ARG_NAME:
	case ARG_VOLUME:
	case ARG_SIZE:
	case ARG_TEXTS:
		return text_json(arg, word);
	case ARG_NUMBER:
		return number_json(arg->name, word, err);
	case ARG_OBJECT:
		return object_json(word, err);
	case ARG_BOOL:
		break;
	}
	assert(!"a flag has no value");
	return NULL;
}

/* --- options --- */

static int
set_secret_file(struct ctl *ctl, const struct verb_arg *arg, const char *path,
    struct err *err)
{
	char *text = read_file(path, err);

	if (text == NULL)
		return -EINVAL;
	text[strcspn(text, "\r\n")] = '\0';
	json_object_set_new(ctl->args, arg->name, json_string(text));
	free(text);
	return 0;
}

/* "--disk A B C": all words up to the next option. */
static int
set_list(struct ctl *ctl, const struct verb_arg *arg, struct words *w,
    struct err *err)
{
	json_t *list = json_object_get(ctl->args, arg->name);
	size_t before;

	assert(arg->type == ARG_TEXTS);
	if (list == NULL) {
		list = json_array();
		json_object_set_new(ctl->args, arg->name, list);
	}
	before = json_array_size(list);
	while (w->at < w->argc && !is_option(w->argv[w->at]))
		json_array_append_new(list, value_json(arg, next_word(w),
		    err));
	if (json_array_size(list) == before)
		return err_set(err, EINVAL, "--%s needs a value", arg->name);
	return 0;
}

static int
set_option(struct ctl *ctl, const struct verb_arg *arg, const char *word,
    struct words *w, struct err *err)
{
	const char *value;
	json_t *json;

	assert((arg->flags & ARG_POSITION) == 0);
	if (arg->type == ARG_BOOL) {
		json_object_set_new(ctl->args, arg->name, json_true());
		return 0;
	}
	if (arg->type == ARG_TEXTS)
		return set_list(ctl, arg, w, err);
	value = next_word(w);
	if (value == NULL)
		return err_set(err, EINVAL, "%s needs a value", word);
	if ((arg->flags & ARG_SECRET) != 0 && strlen(word) >
	    strlen(SECRET_FILE_SUFFIX) && strcmp(word + strlen(word) -
	    strlen(SECRET_FILE_SUFFIX), SECRET_FILE_SUFFIX) == 0)
		return set_secret_file(ctl, arg, value, err);
	json = value_json(arg, value, err);
	if (json == NULL)
		return -EINVAL;
	json_object_set_new(ctl->args, arg->name, json);
	return 0;
}

/* 1 = taken, 0 = not a common option. */
static int
common_option(struct ctl *ctl, const char *word, struct words *w,
    struct err *err)
{
	const char *name = ctl->verb != NULL ? ctl->verb->name : "";

	if (strcmp(word, "--json") == 0)
		ctl->json = true;
	else if (strcmp(word, "--wait") == 0)
		ctl->wait = true;
	else if (strcmp(word, "--dry-run") == 0)
		ctl->dry_run = true;
	else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		ctl->help = true;
	else if (strcmp(word, "--short") == 0 && strcmp(name, "status") == 0)
		ctl->brief = true;
	else if (strcmp(word, "--watch") == 0 && strcmp(name, "stats") == 0)
		ctl->watch = true;
	else if (strcmp(word, "--socket") == 0 ||
	    strcmp(word, "--if-match") == 0) {
		const char *value = next_word(w);

		if (value == NULL)
			return err_set(err, EINVAL, "%s needs a value", word);
		if (word[2] == 's')
			ctl->socket = value;
		else
			ctl->if_match = value;
	} else {
		return 0;
	}
	return 1;
}

struct option_names {
	const struct verb_schema *verb;
	char text[64];
};

static const char *
nth_option(const void *arg, size_t i)
{
	/* The text is ours to fill; the caller reads it before the next. */
	struct option_names *names = (struct option_names *)(uintptr_t)arg;

	if (i >= names->verb->nargs)
		return NULL;
	option_name(names->verb->args[i].name, names->text,
	    sizeof(names->text));
	return names->text;
}

static int
verb_option(struct ctl *ctl, const char *word, struct words *w,
    struct err *err)
{
	struct option_names names = { .verb = ctl->verb };
	char text[64];

	assert(ctl->verb != NULL);
	for (size_t i = 0; i < ctl->verb->nargs; i++) {
		const struct verb_arg *arg = &ctl->verb->args[i];
		size_t len;

		if ((arg->flags & ARG_POSITION) != 0)
			continue;
		option_name(arg->name, text, sizeof(text));
		len = strlen(text);
		if (strcmp(word, text) == 0 || ((arg->flags & ARG_SECRET) !=
		    0 && strncmp(word, text, len) == 0 &&
		    strcmp(word + len, SECRET_FILE_SUFFIX) == 0))
			return set_option(ctl, arg, word, w, err);
	}
	err_set(err, EINVAL, "unknown option %.40s", word);
	if (ident_nearest(word, nth_option, &names) != NULL)
		err_hint(err, "`dozoctl %s --help` lists the options; did "
		    "you mean one of them?", ctl->verb->name);
	return -EINVAL;
}

static int
position(struct ctl *ctl, const char *word, unsigned *nth, struct err *err)
{
	unsigned n = 0;

	assert(ctl->verb != NULL);
	for (size_t i = 0; i < ctl->verb->nargs; i++) {
		const struct verb_arg *arg = &ctl->verb->args[i];
		json_t *json;

		if ((arg->flags & ARG_POSITION) == 0 || n++ != *nth)
			continue;
		++*nth;
		json = value_json(arg, word, err);
		if (json == NULL)
			return -EINVAL;
		json_object_set_new(ctl->args, arg->name, json);
		return 0;
	}
	return err_set(err, EINVAL, "\"%.40s\" is one argument too many",
	    word);
}

/* --- the verb --- */

/* "create list ..." of the commands that begin with `group`; "" if none. */
static void
group_words(const char *group, char *text, size_t size)
{
	size_t len = strlen(group), used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < verb_schemas_count; i++) {
		const char *name = verb_schemas[i].name;

		if (strncmp(name, group, len) != 0 || name[len] != '.' ||
		    (verb_schemas[i].flags & VERB_HIDDEN) || used >= size)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s",
		    used > 0 ? ", " : "", name + len + 1);
	}
}

static int
find_verb(struct ctl *ctl, struct words *w, struct err *err)
{
	const char *first = next_word(w);
	const char *second = w->at < w->argc ? w->argv[w->at] : NULL;
	const char *nearest;
	char name[128], words[200] = "";

	if (first == NULL) {
		err_set(err, EINVAL, "no command is given");
		err_hint(err, "`dozoctl --help` lists the commands; "
		    "`dozoctl status` is the first to type.");
		return -EINVAL;
	}
	if (second != NULL) {
		snprintf(name, sizeof(name), "%s.%s", first, second);
		ctl->verb = verb_schema_find(name);
		if (ctl->verb != NULL) {
			w->at++;
			return 0;
		}
	}
	ctl->verb = verb_schema_find(first);
	if (ctl->verb != NULL)
		return 0;
	if (second == NULL || is_option(second)) {
		snprintf(name, sizeof(name), "%s", first);
		group_words(first, words, sizeof(words));
	}
	if (words[0] != '\0') {
		err_set(err, EINVAL, "%.40s what?", first);
		err_hint(err, "One of: %s.", words);
		return -EINVAL;
	}
	nearest = verb_schema_nearest(name);
	err_set(err, EINVAL, "there is no command \"%.40s%s%.40s\"", first,
	    second != NULL && !is_option(second) ? " " : "",
	    second != NULL && !is_option(second) ? second : "");
	if (nearest != NULL) {
		snprintf(name, sizeof(name), "%s", nearest);
		if (strchr(name, '.') != NULL)
			*strchr(name, '.') = ' ';
		err_hint(err, "Did you mean `dozoctl %s`?", name);
	} else {
		err_hint(err, "`dozoctl --help` lists the commands.");
	}
	return -EINVAL;
}

int
ctl_parse(struct ctl *ctl, int argc, char **argv, struct err *err)
{
	struct words w = { .argc = argc, .at = 1, .argv = argv };
	unsigned nth = 0;
	int r;

	assert(argc > 1 && ctl->args == NULL);
	ctl->args = json_object();
	while (w.at < w.argc && w.argv[w.at][0] == '-') {
		const char *word = next_word(&w);

		r = common_option(ctl, word, &w, err);
		if (r == 0)
			r = err_set(err, EINVAL, "unknown option %.40s", word);
		if (r < 0)
			return r;
	}
	if (ctl->help)
		return 0;
	r = find_verb(ctl, &w, err);
	while (r >= 0 && w.at < w.argc) {
		const char *word = next_word(&w);

		r = common_option(ctl, word, &w, err);
		if (r == 0 && is_option(word))
			r = verb_option(ctl, word, &w, err);
		else if (r == 0)
			r = position(ctl, word, &nth, err);
	}
	if (r < 0)
		return r;
	return ctl->help ? 0 : verb_schema_check(ctl->verb, ctl->args, err);
}

/* --- help --- */

static void
print_words(const char *name, FILE *out)
{
	for (const char *p = name; *p != '\0'; p++)
		fputc(*p == '.' ? ' ' : *p, out);
}

void
ctl_usage(FILE *out)
{
	fprintf(out, "usage: dozoctl [--socket PATH] [--json] COMMAND ...\n\n"
	    "Look at and change a running dozod.\n\n");
	for (size_t i = 0; i < verb_schemas_count; i++) {
		const struct verb_schema *v = &verb_schemas[i];

		fprintf(out, "  ");
		print_words(v->name, out);
		fprintf(out, "%*s%s\n", (int)(18 - strlen(v->name)), "",
		    v->help);
	}
	fprintf(out, "\n`dozoctl COMMAND --help` tells more.  Exit status: "
	    "0 ok, 2 usage, 3 not found,\n4 conflict, 5 degraded or "
	    "failed.\n");
}

static void
value_name(const struct verb_arg *arg, char *text, size_t size)
{
	assert(size > strlen(arg->name));
	if (arg->value != NULL) {
		snprintf(text, size, "%s", arg->value);
		return;
	}
	snprintf(text, size, "%s", arg->name);
	for (char *p = text; *p != '\0'; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	}
}

static void
help_arg(const struct verb_arg *arg, FILE *out)
{
	char name[64], value[64], left[160];

	value_name(arg, value, sizeof(value));
	option_name(arg->name, name, sizeof(name));
	if ((arg->flags & ARG_POSITION) != 0)
		snprintf(left, sizeof(left), "%s", value);
	else if (arg->type == ARG_BOOL)
		snprintf(left, sizeof(left), "%s", name);
	else
		snprintf(left, sizeof(left), "%s %s", name, value);
	fprintf(out, "  %-26s %s%s\n", left, arg->help,
	    (arg->flags & (ARG_REQUIRED | ARG_POSITION)) == ARG_REQUIRED ?
	    " (required)" : "");
	if ((arg->flags & ARG_SECRET) == 0)
		return;
	snprintf(left, sizeof(left), "%s" SECRET_FILE_SUFFIX " FILE", name);
	fprintf(out, "  %-26s the same from FILE, '-' = standard input\n",
	    left);
}

void
ctl_help(const struct verb_schema *verb, FILE *out)
{
	fprintf(out, "usage: dozoctl ");
	print_words(verb->name, out);
	for (size_t i = 0; i < verb->nargs; i++) {
		char value[64];

		if ((verb->args[i].flags & ARG_POSITION) == 0)
			continue;
		value_name(&verb->args[i], value, sizeof(value));
		fprintf(out, (verb->args[i].flags & ARG_REQUIRED) != 0 ?
		    " %s" : " [%s]", value);
	}
	fprintf(out, " [OPTION...]\n\n%c%s.\n\n",
	    verb->help[0] - ('a' - 'A'), verb->help + 1);
	for (size_t i = 0; i < verb->nargs; i++) {
		if ((verb->args[i].flags & ARG_API) == 0)
			help_arg(&verb->args[i], out);
	}
	if (strcmp(verb->name, "status") == 0)
		fprintf(out, "  %-26s one line\n", "--short");
	if (strcmp(verb->name, "stats") == 0)
		fprintf(out, "  %-26s rates, every second\n", "--watch");
	if ((verb->flags & VERB_JOB) != 0)
		fprintf(out, "  %-26s until it is done, with progress\n",
		    "--wait");
	if ((verb->flags & VERB_CHANGE) != 0)
		fprintf(out, "  %-26s only check, change nothing\n"
		    "  %-26s only if the object still has this ETag\n",
		    "--dry-run", "--if-match ETAG");
	fprintf(out, "  %-26s print JSON\n  %-26s the daemon's control "
	    "socket\n", "--json", "--socket PATH");
}
