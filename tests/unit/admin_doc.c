/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration document: there and back, checks, diff, hostile input. */
#include "config.h"

#include "unit.h"

#include <errno.h>

#include "admin/doc.h"
#include "core/util.h"

#define UUID_A "11111111-1111-4111-8111-111111111111"
#define UUID_B "22222222-2222-4222-8222-222222222222"

static const char full[] =
"{\"format\":1,\"generation\":7,\"written_s\":1700000000,"
"\"appliance\":\"" UUID_A "\","
"\"pools\":[{\"name\":\"tank\",\"uuid\":\"" UUID_A "\",\"array_uuid\":\""
UUID_B "\",\"members\":[{\"path\":\"/dev/sda\",\"serial\":\"S1\"},"
"{\"path\":\"/d\",\"serial\":\"\"}]}],"
"\"targets\":[{\"name\":\"t\",\"uuid\":\"" UUID_A "\","
"\"iqn\":\"iqn.2026-01.org.dozo:t\"}],"
"\"portals\":[{\"address\":\"\",\"port\":3261,\"tag\":2}],"
"\"hosts\":[{\"name\":\"h\",\"uuid\":\"" UUID_B "\",\"preset\":\"vmware\","
"\"iqns\":[\"iqn.1998-01.com.vmware:*\"],\"networks\":[\"192.0.2.0/24\"],"
"\"chap\":{\"user\":\"u\",\"secret\":\"0123456789ab\"},"
"\"mutual\":{\"user\":\"m\",\"secret\":\"ba9876543210\"}}],"
"\"mappings\":[{\"pool\":\"tank\",\"volume\":\"v\",\"volume_uuid\":\""
UUID_B "\",\"host\":\"h\",\"target\":\"t\",\"lun\":3,\"read_only\":true},"
"{\"pool\":\"tank\",\"volume\":\"v\",\"volume_uuid\":\"" UUID_B "\","
"\"host\":\"any\",\"target\":\"t\",\"lun\":0,\"read_only\":false}]}";

static struct doc *
parse(const char *text, struct err *err)
{
	return doc_from_text(text, strlen(text), err);
}

static char *
print(const struct doc *doc)
{
	json_t *json = doc_to_json(doc, true);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(json);
	return text;
}

static void
a_document_goes_there_and_back(void **state)
{
	struct err err = { 0 };
	struct doc *doc = parse(full, &err), *copy, *again;
	char *a, *b, *c;

	(void)state;
	assert_non_null(doc);
	assert_int_equal(doc->generation, 7);
	assert_int_equal(doc->nmaps, 2);
	assert_string_equal(doc->pools[0].member[0].serial, "S1");
	a = print(doc);
	copy = doc_copy(doc);
	b = print(copy);
	assert_string_equal(a, b);
	again = parse(a, &err);
	assert_non_null(again);
	c = print(again);
	assert_string_equal(a, c);
	free(a);
	free(b);
	free(c);
	doc_free(doc);
	doc_free(copy);
	doc_free(again);
}

static void
secrets_are_left_out_on_request(void **state)
{
	struct doc *doc = parse(full, NULL);
	json_t *json = doc_to_json(doc, false);
	char *text = json_dumps(json, JSON_COMPACT);

	(void)state;
	assert_null(strstr(text, "0123456789ab"));
	assert_null(strstr(text, "ba9876543210"));
	assert_non_null(strstr(text, "\"user\":\"u\""));
	free(text);
	json_decref(json);
	doc_free(doc);
}

/* `full` with the first occurrence of `from` replaced is refused with text. */
static void
refused(const char *from, const char *to, const char *wanted)
{
	const char *at = strstr(full, from);
	char text[sizeof(full) + 256];
	struct err err = { 0 };
	struct doc *doc;

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - full), full, to,
	    at + strlen(from));
	doc = parse(text, &err);
	if (doc != NULL || strstr(err.text, wanted) == NULL)
		fail_msg("\"%s\" for \"%s\": %s", to, from,
		    doc != NULL ? "accepted" : err.text);
}

static void
what_does_not_fit_is_refused_with_its_place(void **state)
{
	(void)state;
	refused("\"format\":1", "\"format\":2", "reads format 1");
	refused("\"format\":1,", "", "format is missing");
	refused("\"generation\":7", "\"generation\":-7", "generation");
	refused("\"generation\":7", "\"generation\":7,\"x\":1", "x is not");
	refused(UUID_A, "1", "appliance is not a UUID");
	refused("\"name\":\"tank\"", "\"name\":\"Tank\"", "pools[0].name");
	refused("\"/dev/sda\"", "5", "pools[0].path is not a text");
	refused("\"members\":[", "\"members\":[7,", "pools[0].it");
	refused("iqn.2026-01.org.dozo:t", "bob", "not an iSCSI name");
	refused("\"port\":3261", "\"port\":65536", "portals[0].port");
	refused("vmware:*", "vm ware:*", "pattern");
	refused("/24", "/99", "not a network");
	refused("0123456789ab", "short", "has 5 characters");
	refused("ba9876543210", "0123456789ab", "are the same");
	refused("\"chap\":{\"user\":\"u\",\"secret\":\"0123456789ab\"},", "",
	    "mutual CHAP needs CHAP");
	refused("\"preset\":\"vmware\"", "\"preset\":\"os2\"", "no preset");
	refused("\"host\":\"h\"", "\"host\":\"g\"", "host g");
	refused("\"target\":\"t\"", "\"target\":\"u\"", "target u");
	refused("\"host\":\"h\",\"target\":\"t\",\"lun\":3",
	    "\"host\":\"any\",\"target\":\"t\",\"lun\":0", "LUN 0 of host any");
	refused("\"host\":\"h\",\"target\":\"t\"",
	    "\"host\":\"any\",\"target\":\"t\"", "twice");
	refused("\"lun\":3", "\"lun\":256", "mappings[0].lun");
	refused("\"lun\":3", "\"lun\":\"3\"", "mappings[0].lun");
	refused("\"name\":\"h\"", "\"name\":\"any\"", "built in");
	refused("{\"format\"", "{\"format\":1,\"format\"", "duplicate");
	refused("}]}", "}]", "configuration: line");
}

static void
names_are_unique(void **state)
{
	struct doc *doc = parse(full, NULL);
	struct err err = { 0 };
	struct doc_target *target = doc_add_target(doc, &err);

	(void)state;
	*target = doc->targets[0];
	assert_int_equal(doc_check(doc, &err), -EEXIST);
	snprintf(target->name, sizeof(target->name), "u");
	err_clear(&err);
	assert_int_equal(doc_check(doc, &err), -EEXIST);
	assert_non_null(strstr(err.text, "same IQN"));
	doc_free(doc);
}

static void
the_lowest_lun_is_found(void **state)
{
	struct doc *doc = parse(full, NULL);

	(void)state;
	assert_int_equal(doc_free_lun(doc, "h", "t"), 0);
	assert_int_equal(doc_free_lun(doc, "any", "t"), 1);
	doc->maps[0].lun = 0;
	assert_int_equal(doc_free_lun(doc, "h", "t"), 1);
	for (unsigned i = 1; i < SCSI_LUNS_MAX; i++) {
		struct doc_map *map = doc_add_map(doc, NULL);

		*map = doc->maps[0];
		map->lun = (uint16_t)i;
	}
	assert_int_equal(doc_free_lun(doc, "h", "t"), -1);
	doc_free(doc);
}

static void
lists_have_limits(void **state)
{
	struct doc *doc = doc_new();
	struct err err = { 0 };

	(void)state;
	for (unsigned i = 0; i < DOC_TARGETS_MAX; i++)
		assert_non_null(doc_add_target(doc, &err));
	assert_null(doc_add_target(doc, &err));
	assert_int_equal(err.code, ENOSPC);
	while (doc->ntargets > 0)
		doc_remove_target(doc, &doc->targets[doc->ntargets / 2]);
	assert_non_null(doc_add_target(doc, NULL));
	doc_free(doc);
}

static void
removal_keeps_the_order(void **state)
{
	struct doc *doc = doc_new();

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		snprintf(doc_add_host(doc, NULL)->name, NAME_SIZE, "h%u", i);
	doc_remove_host(doc, doc_host(doc, "h1"));
	assert_int_equal(doc->nhosts, 2);
	assert_string_equal(doc->hosts[0].name, "h0");
	assert_string_equal(doc->hosts[1].name, "h2");
	assert_null(doc_host(doc, "h1"));
	doc_free(doc);
}

static void
a_diff_names_what_changes(void **state)
{
	struct doc *a = parse(full, NULL), *b = parse(full, NULL);
	json_t *diff = doc_diff(a, b);
	char *text;

	(void)state;
	assert_int_equal(json_array_size(diff), 0);
	json_decref(diff);
	doc_remove_map(b, &b->maps[0]);
	b->portals[0].tag = 9;
	snprintf(b->hosts[0].chap.secret, 20, "changed-secret");
	snprintf(doc_add_target(b, NULL)->name, NAME_SIZE, "new");
	diff = doc_diff(a, b);
	text = json_dumps(diff, JSON_COMPACT);
	assert_int_equal(json_array_size(diff), 4);
	assert_non_null(strstr(text, "{\"change\":\"add\",\"kind\":\"target\","
	    "\"name\":\"new\"}"));
	assert_non_null(strstr(text, "\"name\":\"tank/v to h on t\""));
	assert_non_null(strstr(text, "\"fields\":[\"tag\"]"));
	assert_non_null(strstr(text, "\"fields\":[\"chap\"]"));
	assert_null(strstr(text, "secret"));
	free(text);
	json_decref(diff);
	doc_free(a);
	doc_free(b);
}

/* xorshift: the same mutations in every run */
static uint32_t
next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void
mutated_documents_never_crash(void **state)
{
	uint32_t seed = 20261122;
	unsigned accepted = 0;
	char text[sizeof(full)];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct err err = { 0 };
		struct doc *doc;
		size_t len = sizeof(full) - 1;

		memcpy(text, full, sizeof(full));
		for (unsigned n = next_random(&seed) % 3 + 1; n > 0; n--)
			text[next_random(&seed) % len] =
			    (char)next_random(&seed);
		if (next_random(&seed) % 8 == 0)
			len = next_random(&seed) % len;
		doc = doc_from_text(text, len, &err);
		if (doc != NULL)
			accepted++;
		else
			assert_true(err_is(&err) && err.text[0] != '\0');
		doc_free(doc);
	}
	assert_true(accepted > 0);	/* mutations inside texts */
}

static unsigned fail_after, allocations;

static void *
failing_malloc(size_t size)
{
	return allocations++ >= fail_after ? NULL : malloc(size);
}

static void
a_lack_of_memory_is_an_error(void **state)
{
	unsigned failures = 0;

	(void)state;
	json_set_alloc_funcs(failing_malloc, free);
	for (fail_after = 0;; fail_after++) {
		struct err err = { 0 };
		struct doc *doc;

		allocations = 0;
		doc = parse(full, &err);
		if (doc != NULL) {
			doc_free(doc);
			break;
		}
		assert_true(err_is(&err));
		failures++;
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(failures > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_goes_there_and_back),
		cmocka_unit_test(secrets_are_left_out_on_request),
		cmocka_unit_test(what_does_not_fit_is_refused_with_its_place),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(the_lowest_lun_is_found),
		cmocka_unit_test(lists_have_limits),
		cmocka_unit_test(removal_keeps_the_order),
		cmocka_unit_test(a_diff_names_what_changes),
		cmocka_unit_test(mutated_documents_never_crash),
		cmocka_unit_test(a_lack_of_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
