/* SPDX-License-Identifier: BSD-2-Clause */
/* admin/memory.c: how much memory the cache may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/memory.h"

static void
meminfo_is_read(void **state)
{
	struct meminfo info = { 0 };

	(void)state;
	assert_true(meminfo_parse("MemTotal:        1000000 kB\n"
	    "MemFree:          100000 kB\nMemAvailable:     400000 kB\n",
	    &info));
	assert_int_equal(info.total, 1000000 * KIB);
	assert_int_equal(info.available, 400000 * KIB);
	assert_false(meminfo_parse("MemTotal:        1000000 kB\n", &info));
	assert_false(meminfo_parse("MemTotal: x\nMemAvailable: 1 kB", &info));
}

static void
a_quarter_or_nothing(void **state)
{
	struct meminfo info = { .total = GIB };

	(void)state;
	assert_int_equal(memory_auto(&info), 256 * MIB);
	info.total = 32 * MIB;
	assert_int_equal(memory_auto(&info), 0);
}

static void
short_memory_takes_what_is_missing(void **state)
{
	struct meminfo info = { .total = GIB, .available = 24 * MIB };

	(void)state;
	/* 40 MiB missing of the reserve of 64, of what is really used */
	assert_int_equal(memory_limit(&info, 256 * MIB, 100 * MIB, 256 * MIB),
	    60 * MIB);
	assert_int_equal(memory_limit(&info, 20 * MIB, 20 * MIB, 256 * MIB),
	    CACHE_BYTES_MIN);
}

static void
between_it_stays(void **state)
{
	struct meminfo info = { .total = GIB, .available = 100 * MIB };

	(void)state;
	assert_int_equal(memory_limit(&info, 60 * MIB, 60 * MIB, 256 * MIB),
	    60 * MIB);
}

static void
plenty_lets_it_grow_to_its_size(void **state)
{
	struct meminfo info = { .total = GIB, .available = 168 * MIB };

	(void)state;
	assert_int_equal(memory_limit(&info, 60 * MIB, 60 * MIB, 256 * MIB),
	    80 * MIB);
	info.available = 900 * MIB;
	assert_int_equal(memory_limit(&info, 60 * MIB, 0, 256 * MIB),
	    256 * MIB);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(meminfo_is_read),
		cmocka_unit_test(a_quarter_or_nothing),
		cmocka_unit_test(short_memory_takes_what_is_missing),
		cmocka_unit_test(between_it_stays),
		cmocka_unit_test(plenty_lets_it_grow_to_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
