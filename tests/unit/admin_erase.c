/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which disks may be erased: what is on a disk that tells a serial number is
 * lost only if that number was confirmed.
 */
#include "config.h"

#include "unit.h"

#include <errno.h>

#include "admin/disks.h"

static struct disk disk_old = {
	.path = "/dev/sdx", .model = "WDC", .serial = "WD-1", .present = true,
	.contents = "ext4", .dev = 1,
};

static int
check(struct disk *disk, bool force, const char *serial, struct err *err)
{
	struct disks disks = { .n = 1, .disk = disk };
	json_t *serials = serial != NULL ?
	    json_pack("[s, s]", "OTHER", serial) : NULL;
	struct disks_erase erase = { .force = force, .serials = serials };
	int r;

	memset(err, 0, sizeof(*err));
	r = disks_check_blank(&disks, &erase, err);
	json_decref(serials);
	return r;
}

static void
test_serial_is_confirmed(void **state)
{
	struct disk disk = disk_old;
	struct err err;

	(void)state;
	assert_int_equal(check(&disk, false, NULL, &err), -EEXIST);
	assert_int_equal(check(&disk, false, "WD-1", &err), -EEXIST);
	assert_int_equal(check(&disk, true, NULL, &err), -EEXIST);
	assert_non_null(strstr(err.text, "serial WD-1"));
	assert_non_null(strstr(err.text, "ext4"));
	assert_non_null(strstr(err.hint, "--serial"));
	assert_int_equal(check(&disk, true, "WD-10", &err), -EEXIST);
	assert_int_equal(check(&disk, true, "WD-1", &err), 0);
}

static void
test_others_need_no_serial(void **state)
{
	struct disk disk = disk_old;
	struct disks disks = { .n = 1, .disk = &disk };
	struct disks_erase known = { .known = true };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(disks_check_blank(&disks, &known, &err), 0);
	disk.serial[0] = '\0';
	assert_int_equal(check(&disk, false, NULL, &err), -EEXIST);
	assert_null(strstr(err.hint, "--serial"));
	assert_int_equal(check(&disk, true, NULL, &err), 0);
	disk = disk_old;
	disk.contents[0] = '\0';
	assert_int_equal(check(&disk, false, NULL, &err), 0);
}

static void
test_in_use_stays_in_use(void **state)
{
	struct disk disk = disk_old;
	struct err err;

	(void)state;
	strcpy(disk.holder, "sdx1 (mounted)");
	assert_int_equal(check(&disk, true, "WD-1", &err), -EBUSY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serial_is_confirmed),
		cmocka_unit_test(test_others_need_no_serial),
		cmocka_unit_test(test_in_use_stays_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
