/* SPDX-License-Identifier: BSD-2-Clause */
/* target/iscsi/access.c and chap.c: who may use what, and proving it. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "core/util.h"
#include "target/iscsi/access.h"
#include "target/iscsi/chap.h"
#include "target/iscsi/text.h"

static void
patterns_of_names(void **state)
{
	(void)state;
	assert_true(access_iqn_match("*", "iqn.x"));
	assert_true(access_iqn_match("iqn.x", "IQN.X"));
	assert_true(access_iqn_match("iqn.*:host*", "iqn.a.b:host7"));
	assert_true(access_iqn_match("*a*b*", "xxabab"));
	assert_true(access_iqn_match("iqn.x*", "iqn.x"));
	assert_false(access_iqn_match("iqn.x", "iqn.xy"));
	assert_false(access_iqn_match("iqn.*:host", "iqn.a:host7"));
	assert_false(access_iqn_match("", "iqn.x"));
}

static struct access_net
net(const char *text)
{
	struct access_net n;

	assert_true(access_net_parse(text, &n));
	return n;
}

static void
networks_are_parsed(void **state)
{
	static const char *const bad[] = { "", "x", "192.0.2.0/33",
	    "192.0.2.0/", "192.0.2.0/1x", "2001:db8::/129", "192.0.2",
	    "192.0.2.0/-1" };
	struct access_net n;

	(void)state;
	assert_int_equal(net("192.0.2.0/24").bits, 120);
	assert_int_equal(net("192.0.2.1").bits, 128);
	assert_int_equal(net("0.0.0.0/0").bits, 96);
	assert_int_equal(net("2001:db8::/32").bits, 32);
	for (size_t i = 0; i < nitems(bad); i++)
		assert_false(access_net_parse(bad[i], &n));
}

static bool
matches(const char *network, const char *address)
{
	struct access_net n = net(network);
	struct access_host host = { .nets = &n, .nnets = 1 };
	struct sock_addr peer = { .port = 1 };
	struct access_who who = { "iqn.x", &peer, NULL };

	strcpy(peer.text, address);
	return access_host_match(&host, &who);
}

static void
networks_match(void **state)
{
	(void)state;
	assert_true(matches("192.0.2.0/24", "192.0.2.255"));
	assert_false(matches("192.0.2.0/24", "192.0.3.0"));
	assert_true(matches("192.0.2.128/25", "192.0.2.129"));
	assert_false(matches("192.0.2.128/25", "192.0.2.127"));
	assert_true(matches("0.0.0.0/0", "10.1.2.3"));
	assert_false(matches("0.0.0.0/0", "2001:db8::1"));
	assert_true(matches("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(matches("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(matches("::/0", "10.1.2.3"));
	assert_false(matches("::/0", "not an address"));
}

/* --- a configuration: two targets, three hosts --- */

static int lus[3];	/* only their addresses matter */
#define LU(i) ((struct scsi_lu *)(void *)&lus[i])

static struct access *
example(void)
{
	static const struct target_conf_target targets[] = {
		{ "iqn.t:one", "" }, { "iqn.t:two", "" }
	};
	static const char *const iqns[] = { "iqn.h:*" };
	static const struct target_host_conf hosts[] = {
		{ .name = "open", .iqns = iqns, .niqns = 1 },
		{ .name = "safe", .iqns = iqns, .niqns = 1,
		  .chap = { "user", "secret" } },
		{ .name = "idle" },
	};
	const struct target_map_conf maps[] = {
		{ 0, 0, LU(0), 0, true },
		{ 1, 0, LU(1), 0, false },	/* LUN 0 is taken */
		{ 1, 0, LU(2), 5, false },
		{ 1, 1, LU(1), 1, false },
	};
	const struct target_conf conf = { targets, 2, hosts, 3, maps, 4,
	    true };
	struct access *access;

	assert_int_equal(access_new(&conf, &access, NULL), 0);
	return access;
}

static const struct sock_addr here = { "192.0.2.7", 999 };

static void
need_says_what_the_initiator_has_to_do(void **state)
{
	struct access *access = example();
	struct access_who who = { "iqn.h:1", &here, NULL };
	struct access_who stranger = { "iqn.other", &here, NULL };
	struct access_need need;

	(void)state;
	need = access_need(access, &who, 0);
	assert_true(need.any && need.open && need.chap);
	need = access_need(access, &who, 1);
	assert_true(need.any && !need.open && need.chap);
	/* "idle" matches everybody but has no LUNs. */
	need = access_need(access, &stranger, 0);
	assert_false(need.any);
	need = access_need(access, &who, -1);
	assert_true(need.any);
	assert_int_equal(access_target(access, "IQN.T:TWO"), 1);
	assert_int_equal(access_target(access, "iqn.t:three"), -1);
	access_free(access);
}

static void
map_is_the_union_of_granted_hosts(void **state)
{
	struct access *access = example();
	struct access_who who = { "iqn.h:1", &here, NULL };
	struct scsi_map_entry map[SCSI_LUNS_MAX];
	const struct access_host *host;

	(void)state;
	assert_int_equal(access_map(access, &who, 0, map, &host), 1);
	assert_string_equal(host->name, "open");
	assert_true(map[0].read_only && map[0].lu == LU(0));
	who.chap_user = "user";
	assert_int_equal(access_map(access, &who, 0, map, &host), 2);
	assert_true(map[0].lu == LU(0));	/* the earlier map wins */
	assert_int_equal(map[1].lun, 5);
	who.chap_user = "somebody";
	assert_int_equal(access_map(access, &who, 1, map, &host), 0);
	access_free(access);
}

static void
chap_user_belongs_to_a_host_with_luns_there(void **state)
{
	struct access *access = example();
	struct access_who who = { "iqn.h:1", &here, NULL };
	struct access_who stranger = { "iqn.other", &here, NULL };

	(void)state;
	assert_non_null(access_chap_host(access, &who, 1, "user"));
	assert_null(access_chap_host(access, &who, 1, "User"));
	assert_null(access_chap_host(access, &who, 1, ""));
	assert_null(access_chap_host(access, &stranger, 1, "user"));
	access_free(access);
}

static void
wrong_configurations_are_refused(void **state)
{
	struct target_conf_target targets[2] = { { "iqn.t", "" },
	    { "IQN.T", "" } };
	const char *nets[] = { "nonsense" };
	struct target_host_conf host = { .name = "h", .networks = nets,
	    .nnetworks = 1 };
	struct target_conf conf = { .hosts = &host, .nhosts = 1 };
	struct target_conf twice = { .targets = targets, .ntargets = 2 };
	struct access *access;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(access_new(&conf, &access, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nonsense"));
	host.nnetworks = 0;
	strcpy(host.mutual.user, "t");
	err_clear(&err);
	assert_int_equal(access_new(&conf, &access, &err), -EINVAL);
	strcpy(host.chap.user, "u");
	strcpy(host.chap.secret, "same-secret");
	strcpy(host.mutual.secret, "same-secret");
	err_clear(&err);
	assert_int_equal(access_new(&conf, &access, &err), -EINVAL);
	assert_non_null(strstr(err.text, "mutual secret"));
	err_clear(&err);
	assert_int_equal(access_new(&twice, &access, &err), -EINVAL);
	assert_null(access);
}

/* --- CHAP --- */

static void
algorithms_are_chosen_in_the_order_offered(void **state)
{
	(void)state;
	assert_int_equal(chap_choose("8,7,6,5", true), CHAP_SHA3_256);
	assert_int_equal(chap_choose("5", true), CHAP_MD5);
	assert_int_equal(chap_choose("5,7", false), CHAP_SHA256);
	assert_int_equal(chap_choose("5", false), 0);
	assert_int_equal(chap_choose("55,4,", true), 0);
	assert_int_equal(chap_choose("", true), 0);
}

/* Computed with Python's hashlib over 1, "secret", 16 bytes of 0x11. */
static void
responses_are_those_of_the_algorithms(void **state)
{
	static const struct { unsigned alg; const char *hex; } want[] = {
		{ 5,
		  "0x6053ecb389df148d17b23398ce12762f" },
		{ 6,
		  "0x6504fe0f7b695d6b081849d254cc97a9d58ff029" },
		{ 7,
		  "0x9426f1ad5b86da441469b82c47005fb5"
		  "791c6599e4a0b35d21d5ead5c987d8ae" },
		{ 8,
		  "0x2382c4454d05500ec3c322dbd48c4bbe"
		  "f026edad38258b8b82bc73b538bf30ae" },
	};
	uint8_t challenge[16], out[CHAP_DIGEST_MAX];
	char hex[2 * CHAP_DIGEST_MAX + 3];

	(void)state;
	memset(challenge, 0x11, sizeof(challenge));
	for (size_t i = 0; i < nitems(want); i++) {
		size_t n = chap_response(want[i].alg, 1, "secret", challenge,
		    sizeof(challenge), out);

		assert_int_equal(n, chap_digest_len(want[i].alg));
		text_hex(out, n, hex);
		assert_string_equal(hex, want[i].hex);
	}
	assert_string_equal(chap_name(7), "chap-sha256");
}

static void
digests_are_compared_whole(void **state)
{
	(void)state;
	assert_true(chap_equal((const uint8_t *)"abc",
	    (const uint8_t *)"abc", 3));
	assert_false(chap_equal((const uint8_t *)"abc",
	    (const uint8_t *)"abd", 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_of_names),
		cmocka_unit_test(networks_are_parsed),
		cmocka_unit_test(networks_match),
		cmocka_unit_test(need_says_what_the_initiator_has_to_do),
		cmocka_unit_test(map_is_the_union_of_granted_hosts),
		cmocka_unit_test(chap_user_belongs_to_a_host_with_luns_there),
		cmocka_unit_test(wrong_configurations_are_refused),
		cmocka_unit_test(algorithms_are_chosen_in_the_order_offered),
		cmocka_unit_test(responses_are_those_of_the_algorithms),
		cmocka_unit_test(digests_are_compared_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
