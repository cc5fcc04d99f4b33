/* SPDX-License-Identifier: BSD-2-Clause */
/* admin/scrub_text.c: what comes back is what was written, or nothing. */
#include "config.h"

#include "unit.h"

#include <errno.h>

#include "admin/scrubs.h"

#define POOL "d00f0000-0000-4000-8000-000000000001"
#define OTHER "d00f0000-0000-4000-8000-000000000002"

static struct raid_scrub_record record, back;

static char *
encoded(unsigned n)
{
	char *text;

	memset(&record, 0, sizeof(record));
	record.state = RAID_SCRUB_RUNNING;
	record.repair = n % 2 == 1;
	record.start_s = 1700000000;
	record.total = UINT64_C(20) << 40;
	record.done = UINT64_C(7) << 40;
	record.mismatches = n + 3;
	record.unread = 65536;
	record.nlisted = n;
	for (unsigned i = 0; i < n; i++)
		record.list[i] = (struct raid_mismatch){
			.off = (UINT64_C(50) << 40) + i * 4096, .nblocks = 3,
			.apart = 65536, .member_off = i * UINT64_C(4096),
			.parity = i % 4 };
	text = scrub_encode(POOL, &record);
	assert_non_null(text);
	return text;
}

static void
a_record_comes_back_as_it_was(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= RAID_MISMATCHES; n += 128) {
		char *text = encoded(n);

		assert_int_equal(scrub_decode(text, strlen(text), POOL, &back,
		    NULL), 0);
		assert_memory_equal(&back, &record, sizeof(record));
		free(text);
	}
}

static void
refused(const char *text, size_t len, const char *pool)
{
	struct err err = { 0 };

	assert_int_equal(scrub_decode(text, len, pool, &back, &err),
	    -EBADMSG);
	assert_int_equal(back.state, RAID_SCRUB_NONE);
	assert_int_equal(back.done, 0);
}

static void
that_of_another_pool_is_refused(void **state)
{
	char *text = encoded(1);

	(void)state;
	refused(text, strlen(text), OTHER);
	free(text);
}

/* Spaces do not count: JSON ignores them. */
static void
a_damaged_one_is_refused(void **state)
{
	char *text = encoded(2);
	size_t len = strlen(text);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		refused(text, i, POOL);
		if (text[i] == ' ' || text[i] == '\n')
			continue;
		for (unsigned bit = 0; bit < 8; bit++) {
			text[i] ^= (char)(1 << bit);
			refused(text, len, POOL);
			text[i] ^= (char)(1 << bit);
		}
	}
	refused("", 0, POOL);
	refused("[]", 2, POOL);
	refused("{}", 2, POOL);
	assert_int_equal(scrub_decode(text, len, POOL, &back, NULL), 0);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back_as_it_was),
		cmocka_unit_test(that_of_another_pool_is_refused),
		cmocka_unit_test(a_damaged_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
