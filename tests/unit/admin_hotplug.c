/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A member whose device the kernel has no more.  The appliance runs in this
 * process; its disks are files that are said to be devices.
 */
#include "config.h"

#include <sys/sysmacros.h>

#include "admin/hotplug.h"
#include "tests/unit/admin_fix.h"

/* No driver has such a number. */
#define NO_DEVICE(n) makedev(4095, 1048000 + (n))

/* Its disk does not answer any more: so often, or never again (0). */
static void
lose(struct fix *f, unsigned i, unsigned count)
{
	char path[100];

	disk_path(f, i, path, sizeof(path));
	pass(&f->dozo, req_new(&f->dozo, verb_find("disk.fault"),
	    json_pack("{s:s, s:s, s:s, s:i}", "path", path, "kind", "gone",
	    "on", "read", "count", (int)count)));
}

static unsigned
degraded_after(struct fix *f, unsigned ms)
{
	struct dozo_pool *pool = TAILQ_FIRST(&f->dozo.pools);
	struct raid_info info;

	assert_non_null(pool);
	assert_int_equal(pool->state, DOZO_POOL_ONLINE);
	for (unsigned i = 0; i < ms / 50; i++)
		pass(&f->dozo, NULL);
	raid_get_info(pool->raid, &info);
	assert_false(info.failed);
	return info.degraded;
}

static void
a_member_whose_device_is_gone_is_taken_out(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 1, path, sizeof(path));
	lose(f, 1, 0);
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 1500), 1);
}

/* It was taken back before the event of its removal was read. */
static void
a_member_that_answers_stays(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 1, path, sizeof(path));
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	hotplug_gone(&f->dozo, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 1500), 0);
}

static void
udev_tells_at_once(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 1, path, sizeof(path));
	lose(f, 1, 0);
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	hotplug_gone(&f->dozo, NO_DEVICE(7));
	assert_int_equal(degraded_after(f, 50), 0);
	hotplug_gone(&f->dozo, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 100), 1);
}

static void
the_last_redundancy_is_not_taken(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 0, path, sizeof(path));
	lose(f, 0, 0);
	hotplug_know(&f->dozo, path, NO_DEVICE(0));
	assert_int_equal(degraded_after(f, 1500), 1);
	disk_path(f, 1, path, sizeof(path));
	lose(f, 1, 1);			/* when it is asked */
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 1500), 1);
}

static unsigned
disks_in_pool(struct fix *f)
{
	struct raid_info info;

	raid_get_info(TAILQ_FIRST(&f->dozo.pools)->raid, &info);
	return info.nmembers;
}

static void
a_spare_whose_device_is_gone_is_let_go(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, DISKS, path, sizeof(path));
	pass(&f->dozo, req_new(&f->dozo, verb_find("pool.add-spare"),
	    json_pack("{s:s, s:s}", "name", "tank", "disk", path)));
	assert_int_equal(disks_in_pool(f), DISKS + 1);
	lose(f, DISKS, 0);
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 1500), 0);
	assert_int_equal(disks_in_pool(f), DISKS);
}

static void
stopping_waits_for_a_removal(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 2, path, sizeof(path));
	hotplug_know(&f->dozo, path, NO_DEVICE(2));
	hotplug_gone(&f->dozo, NO_DEVICE(2));
	/* teardown stops */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_member_whose_device_is_gone_is_taken_out),
		T(a_member_that_answers_stays),
		T(udev_tells_at_once),
		T(the_last_redundancy_is_not_taken),
		T(a_spare_whose_device_is_gone_is_let_go),
		T(stopping_waits_for_a_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
