/* SPDX-License-Identifier: BSD-2-Clause */
/* target/iscsi/text.c and keys.c: pairs, values, negotiation. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "core/util.h"
#include "target/iscsi/keys.h"
#include "target/iscsi/text.h"

static void
pairs_are_cut_apart(void **state)
{
	char text[] = "A=1\0\0Long=x=y,z\0Empty=\0";
	struct text_in in = { text, text + sizeof(text) };
	char *key, *value;

	(void)state;
	assert_int_equal(text_next(&in, &key, &value), 1);
	assert_string_equal(key, "A");
	assert_string_equal(value, "1");
	assert_int_equal(text_next(&in, &key, &value), 1);
	assert_string_equal(key, "Long");
	assert_string_equal(value, "x=y,z");
	assert_int_equal(text_next(&in, &key, &value), 1);
	assert_string_equal(key, "Empty");
	assert_string_equal(value, "");
	assert_int_equal(text_next(&in, &key, &value), 0);
}

static void
what_is_no_pair_is_an_error(void **state)
{
	static const char *const bad[] = { "noequals", "=value",
	    "A123456789012345678901234567890123456789012345678901234567890123"
	    "=1" };
	char text[128], *key, *value;

	(void)state;
	for (size_t i = 0; i < nitems(bad); i++) {
		struct text_in in = { text, text + strlen(bad[i]) + 1 };

		strcpy(text, bad[i]);
		assert_int_equal(text_next(&in, &key, &value), -EINVAL);
	}
	strcpy(text, "A=1");	/* the NUL is missing */
	struct text_in cut = { text, text + 3 };
	assert_int_equal(text_next(&cut, &key, &value), -EINVAL);
}

static void
collected_text_is_bounded(void **state)
{
	struct text_acc acc = { NULL, 0, 0 };
	char block[8192] = "";

	(void)state;
	for (size_t n = 0; n < TEXT_MAX; n += sizeof(block))
		assert_int_equal(text_acc_add(&acc, block, sizeof(block)), 0);
	assert_int_equal(acc.len, TEXT_MAX);
	assert_int_equal(text_acc_add(&acc, block, 1), -E2BIG);
	text_acc_reset(&acc);
	assert_int_equal(text_acc_add(&acc, "x", 1), 0);
	text_acc_fini(&acc);
}

static void
pair_that_does_not_fit_is_left_out_whole(void **state)
{
	char buf[16];
	struct text_out out = { .buf = buf, .size = sizeof(buf) };

	(void)state;
	text_put(&out, "Key", "%u", 1234u);
	assert_int_equal(out.len, 9);
	assert_false(out.full);
	text_put(&out, "Key", "%s", "toolong");
	assert_true(out.full);
	assert_int_equal(out.len, 9);
	assert_memory_equal(buf, "Key=1234", 9);
	out.full = false;
	text_put(&out, "VeryLongKey", "1");
	assert_true(out.full);
}

static void
numbers(void **state)
{
	uint64_t n = 0;

	(void)state;
	assert_true(text_number("0", &n) && n == 0);
	assert_true(text_number("262144", &n) && n == 262144);
	assert_true(text_number("0x1f", &n) && n == 31);
	assert_true(text_number("0XFF", &n) && n == 255);
	assert_false(text_number("", &n));
	assert_false(text_number("0x", &n));
	assert_false(text_number("12a", &n));
	assert_false(text_number("-1", &n));
	assert_false(text_number(" 1", &n));
	assert_false(text_number("99999999999999999999999", &n));
}

static void
binary_values(void **state)
{
	uint8_t out[8];
	char hex[16];

	(void)state;
	assert_int_equal(text_binary("0xDeadbeef", out, 8), 4);
	assert_memory_equal(out, "\xde\xad\xbe\xef", 4);
	assert_int_equal(text_binary("0xabc", out, 8), 2);
	assert_memory_equal(out, "\x0a\xbc", 2);
	assert_int_equal(text_binary("0b3q2+7w==", out, 8), 4);
	assert_memory_equal(out, "\xde\xad\xbe\xef", 4);
	assert_int_equal(text_binary("0B3q2+7w", out, 8), 4);
	assert_int_equal(text_binary("0x00112233445566778899", out, 8),
	    -EINVAL);
	assert_int_equal(text_binary("0bAAAAAAAAAAAAAAAA", out, 8), -EINVAL);
	assert_int_equal(text_binary("0x", out, 8), -EINVAL);
	assert_int_equal(text_binary("0xzz", out, 8), -EINVAL);
	assert_int_equal(text_binary("0b!!!!", out, 8), -EINVAL);
	assert_int_equal(text_binary("0bA", out, 8), -EINVAL);
	assert_int_equal(text_binary("abcd", out, 8), -EINVAL);
	text_hex((const uint8_t *)"\x01\xfe", 2, hex);
	assert_string_equal(hex, "0x01fe");
}

static void
lists(void **state)
{
	const char *list = "CRC32C,None,,toolongforthis";
	char item[8];

	(void)state;
	assert_true(text_list_next(&list, item, sizeof(item)));
	assert_string_equal(item, "CRC32C");
	assert_true(text_list_next(&list, item, sizeof(item)));
	assert_string_equal(item, "None");
	assert_true(text_list_next(&list, item, sizeof(item)));
	assert_string_equal(item, "");
	assert_true(text_list_next(&list, item, sizeof(item)));
	assert_string_equal(item, "");
	assert_false(text_list_next(&list, item, sizeof(item)));
}

/* --- negotiation --- */

struct rig {
	struct negotiation n;
	char buf[256];
	struct text_out out;
};

static void
rig_init(struct rig *rig, bool discovery)
{
	memset(rig, 0, sizeof(*rig));
	rig->n.params = iscsi_params_default;
	rig->n.discovery = discovery;
	rig->n.phase = PHASE_OPERATIONAL;
	rig->out.buf = rig->buf;
	rig->out.size = sizeof(rig->buf);
}

static const char *
offer(struct rig *rig, const char *key, const char *value)
{
	rig->out.len = 0;
	rig->buf[0] = '\0';
	rig->n.seen = 0;
	assert_int_equal(key_negotiate(&rig->n, key, value, &rig->out),
	    KEY_DONE);
	return rig->buf;
}

static void
results_follow_their_functions(void **state)
{
	struct rig rig;
	struct iscsi_params *p = &rig.n.params;

	(void)state;
	rig_init(&rig, false);
	assert_string_equal(offer(&rig, "MaxBurstLength", "16776192"),
	    "MaxBurstLength=1048576");
	assert_int_equal(p->max_burst, 1048576);
	assert_string_equal(offer(&rig, "DefaultTime2Wait", "5"),
	    "DefaultTime2Wait=5");
	assert_int_equal(p->time2wait, 5);
	assert_string_equal(offer(&rig, "InitialR2T", "No"), "InitialR2T=No");
	assert_int_equal(p->initial_r2t, 0);
	assert_string_equal(offer(&rig, "ImmediateData", "No"),
	    "ImmediateData=No");
	assert_int_equal(p->immediate_data, 0);
	assert_string_equal(offer(&rig, "DataPDUInOrder", "No"),
	    "DataPDUInOrder=Yes");
	assert_string_equal(offer(&rig, "HeaderDigest", "x,CRC32C,None"),
	    "HeaderDigest=CRC32C");
	assert_int_equal(p->header_digest, 1);
	assert_string_equal(
	    offer(&rig, "MaxRecvDataSegmentLength", "131072"),
	    "MaxRecvDataSegmentLength=262144");
	assert_int_equal(p->max_send_segment, 131072);
	assert_int_equal(p->max_recv_segment, 262144);
}

static void
refused_value_changes_nothing(void **state)
{
	struct rig rig;
	struct iscsi_params before;

	(void)state;
	rig_init(&rig, false);
	before = rig.n.params;
	assert_string_equal(offer(&rig, "MaxBurstLength", "1"),
	    "MaxBurstLength=Reject");
	assert_string_equal(offer(&rig, "MaxBurstLength", "many"),
	    "MaxBurstLength=Reject");
	assert_string_equal(offer(&rig, "InitialR2T", "yes"),
	    "InitialR2T=Reject");
	assert_string_equal(offer(&rig, "DataDigest", "MD5"),
	    "DataDigest=Reject");
	assert_memory_equal(&before, &rig.n.params, sizeof(before));
}

static void
key_twice_is_an_error(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, false);
	assert_int_equal(key_negotiate(&rig.n, "InitialR2T", "No", &rig.out),
	    KEY_DONE);
	assert_int_equal(key_negotiate(&rig.n, "InitialR2T", "No", &rig.out),
	    KEY_ERROR);
}

static void
answers_of_the_initiator_are_not_answered(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, false);
	assert_string_equal(offer(&rig, "MaxBurstLength", "Irrelevant"), "");
	assert_string_equal(offer(&rig, "MaxBurstLength", "NotUnderstood"),
	    "");
	assert_string_equal(offer(&rig, "InitialR2T", "Reject"), "");
}

static void
session_keys_are_irrelevant_in_discovery(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, true);
	assert_string_equal(offer(&rig, "MaxConnections", "4"),
	    "MaxConnections=Irrelevant");
	assert_string_equal(offer(&rig, "HeaderDigest", "None"),
	    "HeaderDigest=None");
}

static void
only_the_segment_length_changes_later(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, false);
	rig.n.phase = PHASE_FULL_FEATURE;
	assert_string_equal(offer(&rig, "HeaderDigest", "CRC32C"),
	    "HeaderDigest=Reject");
	assert_int_equal(rig.n.params.header_digest, 0);
	assert_string_equal(offer(&rig, "MaxRecvDataSegmentLength", "512"),
	    "MaxRecvDataSegmentLength=262144");
	assert_int_equal(rig.n.params.max_send_segment, 512);
}

static void
unknown_key_is_somebody_elses(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, false);
	assert_int_equal(key_negotiate(&rig.n, "X-foo", "1", &rig.out),
	    KEY_OTHER);
	assert_int_equal(rig.out.len, 0);
}

static void
first_burst_is_no_longer_than_max_burst(void **state)
{
	struct iscsi_params p = iscsi_params_default;

	(void)state;
	p.max_burst = 4096;
	p.first_burst = 65536;
	keys_settle(&p);
	assert_int_equal(p.first_burst, 4096);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_cut_apart),
		cmocka_unit_test(what_is_no_pair_is_an_error),
		cmocka_unit_test(collected_text_is_bounded),
		cmocka_unit_test(pair_that_does_not_fit_is_left_out_whole),
		cmocka_unit_test(numbers),
		cmocka_unit_test(binary_values),
		cmocka_unit_test(lists),
		cmocka_unit_test(results_follow_their_functions),
		cmocka_unit_test(refused_value_changes_nothing),
		cmocka_unit_test(key_twice_is_an_error),
		cmocka_unit_test(answers_of_the_initiator_are_not_answered),
		cmocka_unit_test(session_keys_are_irrelevant_in_discovery),
		cmocka_unit_test(only_the_segment_length_changes_later),
		cmocka_unit_test(unknown_key_is_somebody_elses),
		cmocka_unit_test(first_burst_is_no_longer_than_max_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
