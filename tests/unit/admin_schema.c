/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of verbs: complete, well named, and what it lets through. */
#include "config.h"

#include "unit.h"

#include <ctype.h>
#include <errno.h>

#include "admin/schema.h"
#include "admin/verbs.h"
#include "core/util.h"

static void
each_verb_has_a_handler_and_each_handler_a_verb(void **state)
{
	(void)state;
	for (size_t i = 0; i < verb_schemas_count; i++) {
		if (verb_find(verb_schemas[i].name) == NULL)
			fail_msg("%s has no handler", verb_schemas[i].name);
	}
	for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
		if (verb_schema_find(verb->name) == NULL)
			fail_msg("%s has no schema", verb->name);
		assert_non_null(verb->begin);
	}
}

static void
verbs_and_arguments_are_described(void **state)
{
	(void)state;
	for (size_t i = 0; i < verb_schemas_count; i++) {
		const struct verb_schema *v = &verb_schemas[i];
		bool optional = false;

		assert_true(islower((unsigned char)v->help[0]));
		assert_true(strlen(v->name) <= 17);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(v->name, verb_schemas[j].name);
		for (size_t j = 0; j < v->nargs; j++) {
			const struct verb_arg *a = &v->args[j];

			assert_true(a->help[0] != '\0');
			assert_null(strchr(a->name, '-'));
			if ((a->flags & ARG_POSITION) == 0)
				continue;
			/* A required one after an optional one is lost. */
			assert_false(optional &&
			    (a->flags & ARG_REQUIRED) != 0);
			optional = (a->flags & ARG_REQUIRED) == 0;
		}
	}
}

static int
check(const char *verb, const char *args, struct err *err)
{
	json_t *json = json_loads(args, 0, NULL);
	int r;

	assert_non_null(json);
	err_clear(err);
	r = verb_schema_check(verb_schema_find(verb), json, err);
	json_decref(json);
	return r;
}

static void
arguments_that_fit_pass(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(check("status", "{}", &err), 0);
	assert_int_equal(verb_schema_check(verb_schema_find("status"), NULL,
	    &err), 0);
	assert_int_equal(check("volume.create", "{\"volume\":\"p/v\","
	    "\"size\":\"1G\"}", &err), 0);
	assert_int_equal(check("volume.create", "{\"volume\":\"p/v\","
	    "\"size\":4096}", &err), 0);
	assert_int_equal(check("host.create", "{\"name\":\"h\",\"iqn\":[]}",
	    &err), 0);
}

static void
arguments_that_do_not_fit_are_named(void **state)
{
	static const struct { const char *verb, *args, *text; } bad[] = {
		{ "volume.create", "{\"volume\":\"p/v\"}", "needs \"size\"" },
		{ "volume.create", "{\"volume\":\"v\",\"size\":1}",
		    "POOL/NAME" },
		{ "volume.create", "{\"volume\":\"p/\",\"size\":1}",
		    "cannot name a volume" },
		{ "volume.create", "{\"volume\":\"p/v\",\"size\":0}",
		    "must be a size" },
		{ "volume.create", "{\"volume\":\"p/v\",\"size\":\"x\"}",
		    "is not a size" },
		{ "pool.scrub", "{\"name\":\"p\",\"repair\":1}",
		    "must be true or false" },
		{ "volume.create", "{\"volume\":\"p/v\",\"size\":1,"
		    "\"thick\":true}", "no argument \"thick\"" },
		{ "map", "{\"volume\":\"p/v\",\"host\":\"h\",\"target\":\"t\","
		    "\"lun\":-1}", "must be a whole number" },
		{ "map", "{\"volume\":\"p/v\",\"host\":\"h\",\"target\":\"t\","
		    "\"lun\":1.0}", "must be a whole number" },
		{ "pool.create", "{\"name\":\"p\",\"disk\":\"/a\"}",
		    "must be a list of texts" },
		{ "pool.create", "{\"name\":\"p\",\"disk\":[1]}",
		    "must be a list of texts" },
		{ "config.import", "{\"document\":\"{}\"}",
		    "must be an object" },
		{ "target.create", "{\"name\":7}", "must be a name" },
		{ "status", "[]", "args is not an object" },
	};

	(void)state;
	for (size_t i = 0; i < nitems(bad); i++) {
		struct err err = { 0 };

		assert_int_equal(check(bad[i].verb, bad[i].args, &err),
		    -EINVAL);
		if (strstr(err.text, bad[i].text) == NULL)
			fail_msg("%s: %s", bad[i].args, err.text);
	}
}

static void
a_near_miss_is_suggested(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_string_equal(verb_schema_nearest("volume.craete"),
	    "volume.create");
	assert_int_equal(check("map", "{\"volume\":\"p/v\",\"host\":\"h\","
	    "\"tagret\":\"t\"}", &err), -EINVAL);
	assert_non_null(strstr(err.hint, "\"target\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_verb_has_a_handler_and_each_handler_a_verb),
		cmocka_unit_test(verbs_and_arguments_are_described),
		cmocka_unit_test(arguments_that_fit_pass),
		cmocka_unit_test(arguments_that_do_not_fit_are_named),
		cmocka_unit_test(a_near_miss_is_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
