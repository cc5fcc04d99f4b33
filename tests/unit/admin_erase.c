/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which disks may be erased: what is on a disk that tells a serial number is
 * lost only if that number was confirmed.
 */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
	assert_non_null(strstr(err.text, "/dev/sdx (WDC, serial WD-1)"));
	assert_non_null(strstr(err.text, "ext4"));
	assert_non_null(strstr(err.hint, "--serial"));
	assert_int_equal(check(&disk, true, "WD-10", &err), -EEXIST);
	assert_int_equal(check(&disk, true, "WD-1", &err), 0);
	disk.model[0] = '\0';			/* of a virtual disk */
	assert_int_equal(check(&disk, true, NULL, &err), -EEXIST);
	assert_non_null(strstr(err.text, "/dev/sdx (serial WD-1)"));
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

/* Look at `path` as somebody who is not root, ask whether it may be used. */
static void
look_as_nobody(const char *path, struct disk *disk, struct err *err)
{
	struct { struct disk disk; struct err err; } seen = { 0 };
	struct disks disks = { 0 };
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct disks_erase erase = { 0 };

		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(1);
		disks_add(&disks, path);
		disks_scan(&disks);
		seen.disk = disks.disk[0];
		disks_check_blank(&disks, &erase, &seen.err);
		_exit(write(fds[1], &seen, sizeof(seen)) !=
		    (ssize_t)sizeof(seen));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(fds[0], &seen, sizeof(seen)), sizeof(seen));
	close(fds[0]);
	close(fds[1]);
	*disk = seen.disk;
	*err = seen.err;
}

static void
test_one_that_may_not_be_opened_says_why(void **state)
{
	char path[] = "/tmp/dozo-erase-XXXXXX";
	int fd = mkstemp(path);
	struct disk disk;
	struct err err;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(fchmod(fd, 0), 0);
	close(fd);
	look_as_nobody(path, &disk, &err);
	unlink(path);
	assert_true(disk.present);
	assert_int_equal(disk.why, EACCES);
	assert_int_equal(disk.size, 1 << 20);
	assert_int_equal(err.code, EACCES);
	assert_non_null(strstr(err.text, "cannot be opened: Permission"));
	assert_non_null(strstr(err.hint, "group disk"));
	look_as_nobody(path, &disk, &err);	/* now it is gone */
	assert_false(disk.present);
	assert_int_equal(err.code, ENOENT);
}

static void
test_each_reason_tells_what_to_do(void **state)
{
	static const struct { int why; const char *text, *hint; } reason[] = {
		{ EACCES, "Permission denied", "group disk" },
		{ EPERM, "not permitted", "DeviceAllow" },
		{ EIO, "Input/output error", "plugged in" },
		{ ENOMEDIUM, "No medium", "plugged in" },
		{ EBUSY, "in use", "lsblk" },
	};
	struct disk disk = disk_old;

	(void)state;
	for (size_t i = 0; i < sizeof(reason) / sizeof(*reason); i++) {
		struct err err;

		disk.why = reason[i].why;
		assert_int_equal(check(&disk, true, "WD-1", &err),
		    -reason[i].why);
		assert_non_null(strstr(err.text, "/dev/sdx cannot be opened"));
		assert_non_null(strstr(err.text, reason[i].text));
		assert_non_null(strstr(err.hint, reason[i].hint));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serial_is_confirmed),
		cmocka_unit_test(test_others_need_no_serial),
		cmocka_unit_test(test_in_use_stays_in_use),
		cmocka_unit_test(test_one_that_may_not_be_opened_says_why),
		cmocka_unit_test(test_each_reason_tells_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
