/* SPDX-License-Identifier: BSD-2-Clause */
/* admin/late.c: pools whose disks come after the daemon. */
#include "config.h"

#include "admin/late.h"
#include "tests/unit/admin_fix.h"

static struct dozo_pool *
tank(struct fix *f)
{
	struct dozo_pool *pool = TAILQ_FIRST(&f->dozo.pools);

	assert_non_null(pool);
	return pool;
}

/* Is it up within so long?  Gives how many members it lacks, or -1. */
static int
lacks_after(struct fix *f, unsigned ms)
{
	struct raid_info info;

	for (unsigned at = 0; at <= ms; at += 50) {
		if (tank(f)->state == DOZO_POOL_ONLINE) {
			raid_get_info(tank(f)->raid, &info);
			return (int)info.degraded;
		}
		pass(&f->dozo, NULL);
	}
	return -1;
}

static void
pull(struct fix *f, unsigned i)
{
	char path[100], away[110];

	disk_path(f, i, path, sizeof(path));
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
}

static void
plug(struct fix *f, unsigned i)
{
	char path[100], away[110];

	disk_path(f, i, path, sizeof(path));
	snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(away, path), 0);
	late_disk(&f->dozo);
}

static void
a_pool_is_opened_when_the_last_disk_has_come(void **state)
{
	struct fix *f = *state;

	dozo_stop(&f->dozo);
	pull(f, 0);
	pull(f, 1);
	boot(f, 60000);			/* returns at once */
	assert_int_equal(lacks_after(f, 0), -1);
	assert_true(f->dozo.serving);
	assert_true(tank(f)->settling);
	assert_string_equal(tank(f)->why.text,
	    "2 of its 3 disks are not there yet");
	plug(f, 1);
	assert_int_equal(lacks_after(f, 1000), -1);
	assert_true(tank(f)->settling);
	plug(f, 0);
	assert_int_equal(lacks_after(f, 5000), 0);
	assert_false(tank(f)->settling);
}

static void
without_a_disk_that_never_comes_it_goes_on_in_the_end(void **state)
{
	struct fix *f = *state;

	dozo_stop(&f->dozo);
	pull(f, 2);
	boot(f, 700);
	assert_int_equal(lacks_after(f, 300), -1);
	assert_int_equal(lacks_after(f, 10000), 1);
	assert_false(tank(f)->settling);
}

static void
what_cannot_be_opened_in_the_end_waits_for_disks(void **state)
{
	struct fix *f = *state;

	dozo_stop(&f->dozo);
	pull(f, 1);
	pull(f, 2);
	boot(f, 300);
	assert_int_equal(lacks_after(f, 1500), -1);
	assert_false(tank(f)->settling);
	assert_null(strstr(tank(f)->why.text, "not there yet"));
	plug(f, 1);
	assert_int_equal(lacks_after(f, 10000), 1);
}

static void
the_administrator_need_not_wait(void **state)
{
	struct fix *f = *state;

	dozo_stop(&f->dozo);
	pull(f, 1);
	boot(f, 60000);
	pass(&f->dozo, req_new(&f->dozo, verb_find("pool.start"),
	    json_pack("{s:s}", "name", "tank")));
	assert_int_equal(lacks_after(f, 0), 1);
}

static void
stopping_ends_the_wait(void **state)
{
	struct fix *f = *state;

	dozo_stop(&f->dozo);
	pull(f, 1);
	boot(f, 60000);
	plug(f, 1);
	/* teardown stops */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_pool_is_opened_when_the_last_disk_has_come),
		T(without_a_disk_that_never_comes_it_goes_on_in_the_end),
		T(what_cannot_be_opened_in_the_end_waits_for_disks),
		T(the_administrator_need_not_wait),
		T(stopping_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
