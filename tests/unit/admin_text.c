/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes, names, UUIDs, addresses and dozo.conf. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <unistd.h>

#include "admin/conf.h"
#include "admin/doc.h"
#include "admin/ident.h"
#include "admin/size.h"
#include "core/util.h"

static void
sizes_parse(void **state)
{
	static const struct { const char *text; uint64_t bytes; } good[] = {
		{ "1", 1 }, { "4096", 4096 }, { "1k", 1024 }, { "1K", 1024 },
		{ "1KiB", 1024 }, { "1kb", 1024 }, { "2M", 2 * MIB },
		{ "1.5G", 3 * GIB / 2 }, { "0.5k", 512 }, { "9 GiB", 9 * GIB },
		{ "1T", TIB }, { "1.000001T", TIB + 1099511 }, { "7b", 7 },
		{ "8191P", 8191 * 1024 * TIB },
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < nitems(good); i++) {
		assert_int_equal(size_parse(good[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void
non_sizes_are_refused(void **state)
{
	static const char *const bad[] = { "", "0", "0G", "-1", "1.5", "G",
		"1X", "1Gx", "1GB1", "1 2", "0x10", ".5G", "8192P",
		"9223372036854775808", "99999999999999999999999", "1e9",
		"0.0000001k" };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < nitems(bad); i++) {
		struct err err = { 0 };

		assert_int_equal(size_parse(bad[i], &bytes, &err), -EINVAL);
		assert_non_null(strstr(err.text, "is not a size"));
		assert_true(err.hint[0] != '\0');
	}
}

static void
sizes_print_short(void **state)
{
	static const struct { uint64_t bytes; const char *text; } table[] = {
		{ 0, "0 B" }, { 1023, "1023 B" }, { 1024, "1 KiB" },
		{ 1536, "1.5 KiB" }, { GIB, "1 GiB" },
		{ 5 * TIB / 2, "2.5 TiB" }, { UINT64_MAX, "16384.0 PiB" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < nitems(table); i++)
		assert_string_equal(size_print(table[i].bytes, text,
		    sizeof(text)), table[i].text);
}

static void
names_are_what_the_api_promises(void **state)
{
	char longest[65];

	(void)state;
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_false(ident_name_ok("pool", longest, NULL));
	longest[63] = '\0';
	assert_true(ident_name_ok("pool", longest, NULL));
	assert_true(ident_name_ok("pool", "0-z", NULL));
	assert_false(ident_name_ok("pool", "", NULL));
	assert_false(ident_name_ok("pool", "A", NULL));
	assert_false(ident_name_ok("pool", "a/b", NULL));
	assert_false(ident_name_ok("pool", "a b", NULL));
	assert_false(ident_name_ok("pool", "\xc3\xa4", NULL));
}

static void
uuids_go_there_and_back(void **state)
{
	uint8_t uuid[16], back[16];
	char text[UUID_SIZE];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		uuid[i] = (uint8_t)(i * 17);
	uuid_stamp(uuid);
	uuid_print(uuid, text);
	assert_int_equal(text[14], '4');
	assert_true(uuid_parse(text, back));
	assert_memory_equal(uuid, back, 16);
	assert_false(uuid_parse("", back));
	assert_false(uuid_parse("00112233-4455-6677-8899-aabbccddeef", back));
	assert_false(uuid_parse("00112233-4455-6677-8899-aabbccddeeff0", back));
	assert_false(uuid_parse("00112233x4455-6677-8899-aabbccddeeff", back));
	assert_false(uuid_parse("0g112233-4455-6677-8899-aabbccddeeff", back));
}

static void
iscsi_names_follow_the_rfc(void **state)
{
	static const char *const good[] = { "iqn.2026-01.org.dozo:a",
		"iqn.1998-01.com.vmware:esx1-4f", "eui.02004567a425678d",
		"naa.52004567ba64678d" };
	static const char *const bad[] = { "", "iqn.", "bob",
		"iqn.2026-01.", "iqn.26-01.org:a", "iqn.2026.org:a",
		"iqn.2026-01.Org:a", "iqn.2026-01.org:a b",
		"iqn.2026-01.org:a_b" };

	(void)state;
	for (size_t i = 0; i < nitems(good); i++)
		assert_true(ident_iqn_ok(good[i], NULL));
	for (size_t i = 0; i < nitems(bad); i++)
		assert_false(ident_iqn_ok(bad[i], NULL));
}

static void
networks_and_patterns(void **state)
{
	(void)state;
	assert_true(doc_network_ok("192.0.2.0/24", NULL));
	assert_true(doc_network_ok("192.0.2.1", NULL));
	assert_true(doc_network_ok("2001:db8::/32", NULL));
	assert_true(doc_network_ok("0.0.0.0/0", NULL));
	assert_false(doc_network_ok("192.0.2.0/33", NULL));
	assert_false(doc_network_ok("192.0.2.0/", NULL));
	assert_false(doc_network_ok("192.0.2.0/1x", NULL));
	assert_false(doc_network_ok("192.0.2", NULL));
	assert_false(doc_network_ok("2001:db8::/129", NULL));
	assert_false(doc_network_ok("", NULL));
	assert_true(doc_iqn_pattern_ok("iqn.1998-01.com.vmware:*", NULL));
	assert_true(doc_iqn_pattern_ok("*", NULL));
	assert_false(doc_iqn_pattern_ok("IQN.*", NULL));
	assert_false(doc_iqn_pattern_ok("", NULL));
}

static const char *
candidate(const void *arg, size_t i)
{
	const char *const *list = arg;

	return list[i];
}

static void
the_nearest_word_is_found(void **state)
{
	static const char *const list[] = { "state-directory", "listen",
		"page-port", NULL };

	(void)state;
	assert_string_equal(ident_nearest("lsten", candidate, list), "listen");
	assert_string_equal(ident_nearest("state-dir", candidate, list),
	    "state-directory");
	assert_string_equal(ident_nearest("page_port", candidate, list),
	    "page-port");
	assert_null(ident_nearest("xyzzy", candidate, list));
	assert_null(ident_nearest("", candidate, list));
}

static void
addresses_parse_and_print(void **state)
{
	static const struct { const char *in, *out; } good[] = {
		{ "192.0.2.1", "192.0.2.1:3260" },
		{ "192.0.2.1:860", "192.0.2.1:860" },
		{ "*", "*:3260" }, { ":860", "*:860" }, { "*:0", "*:0" },
		{ "2001:db8::1", "[2001:db8::1]:3260" },
		{ "[2001:db8::1]:860", "[2001:db8::1]:860" },
		{ "[::]", "[::]:3260" },
	};
	static const char *const bad[] = { "host", "1.2.3", "1.2.3.4:",
		"1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:-1", "[::1", "[::1]x",
		"[1.2.3.4", "::g" };
	struct sock_addr addr;
	char text[140];

	(void)state;
	for (size_t i = 0; i < nitems(good); i++) {
		assert_int_equal(conf_parse_addr(good[i].in, &addr, NULL), 0);
		assert_string_equal(conf_print_addr(&addr, text, sizeof(text)),
		    good[i].out);
	}
	for (size_t i = 0; i < nitems(bad); i++)
		assert_int_equal(conf_parse_addr(bad[i], &addr, NULL),
		    -EINVAL);
}

static int
read_conf(struct conf *conf, const char *text, struct err *err)
{
	char path[] = "/tmp/dozo-conf-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	r = conf_read(conf, path, err);
	unlink(path);
	return r;
}

static void
dozo_conf_is_read(void **state)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_conf(conf, "# nothing\n", &err), 0);
	assert_string_equal(conf->control_socket, "/run/dozo/control.sock");
	assert_int_equal(conf->nlisten, 1);
	assert_int_equal(conf->listen[0].port, 3260);
	assert_int_equal(read_conf(conf, "state-directory = /srv/d\n"
	    "listen = 192.0.2.1, [::1]:861\npage-port = 0\n"
	    "log-level = debug\n", &err), 0);
	assert_string_equal(conf->state_dir, "/srv/d");
	assert_int_equal(conf->nlisten, 2);
	assert_string_equal(conf->listen[1].text, "::1");
	assert_int_equal(conf->listen[1].port, 861);
	assert_int_equal(conf->page_port, 0);
	assert_int_equal(conf->log_level, LOG_L_DEBUG);
	free(conf);
}

static void
dozo_conf_names_the_first_bad_line(void **state)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_conf(conf, "listen = *\n\nlissten = *\n"
	    "log-level = loud\n", &err), -EINVAL);
	assert_non_null(strstr(err.text, ":3: unknown key \"lissten\""));
	assert_non_null(strstr(err.hint, "\"listen\""));
	free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_parse),
		cmocka_unit_test(non_sizes_are_refused),
		cmocka_unit_test(sizes_print_short),
		cmocka_unit_test(names_are_what_the_api_promises),
		cmocka_unit_test(uuids_go_there_and_back),
		cmocka_unit_test(iscsi_names_follow_the_rfc),
		cmocka_unit_test(networks_and_patterns),
		cmocka_unit_test(the_nearest_word_is_found),
		cmocka_unit_test(addresses_parse_and_print),
		cmocka_unit_test(dozo_conf_is_read),
		cmocka_unit_test(dozo_conf_names_the_first_bad_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
