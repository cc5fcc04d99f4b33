/* SPDX-License-Identifier: BSD-2-Clause */
/* block/file.c: contents, geometry, and what cannot be opened. */
#include "tests/unit/block_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (1 * MIB)

static struct loop *loop;
static char dir[64], path[96];

static void
make_file(uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "block_file.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/image", dir);
	loop = loop_new(NULL);
	assert_non_null(loop);
	make_file(SIZE);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(loop);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static struct blk *
must_open(bool read_only)
{
	struct err err = { 0 };
	struct blk *blk = NULL;

	if (blk_file_open(loop, path, read_only, &blk, &err) != 0)
		fail_msg("%s", err.text);
	return blk;
}

static void
refused(const char *name, int code, const char *text)
{
	struct err err = { 0 };
	struct blk *blk = NULL;

	assert_int_equal(blk_file_open(loop, name, false, &blk, &err), -code);
	assert_null(blk);
	assert_int_equal(err.code, code);
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void
geometry_is_that_of_the_file(void **state)
{
	struct blk *blk = must_open(false);
	struct file_info info;

	(void)state;
	assert_int_equal(blk->geo.size, SIZE);
	assert_true(blk->geo.logical_block >= 512);
	assert_true(blk->geo.physical_block >= blk->geo.logical_block);
	assert_false(blk->geo.read_only);
	assert_string_equal(blk->name, path);
	assert_true(blk_file_info(blk, &info));
	assert_false(info.is_device);
	blk_close(blk);
}

static void
only_files_have_file_info(void **state)
{
	struct blk *ram = blk_ram_new(loop, 4096, 512);
	struct file_info info;

	(void)state;
	assert_false(blk_file_info(ram, &info));
	blk_close(ram);
}

static void
data_outlives_the_blk(void **state)
{
	struct blk *blk = must_open(false);

	(void)state;
	assert_int_equal(do_write(blk, 4096, 8192, 'a', 0), 0);
	assert_int_equal(do_write(blk, 65536, 4096, 'b', IO_FUA), 0);
	assert_int_equal(do_flush(blk), 0);
	blk_close(blk);
	blk = must_open(false);
	assert_int_equal(reads_as(blk, 0, 4096, 0), 1);
	assert_int_equal(reads_as(blk, 4096, 8192, 'a'), 1);
	assert_int_equal(reads_as(blk, 65536, 4096, 'b'), 1);
	blk_close(blk);
}

static void
zero_and_discard_work(void **state)
{
	struct blk *blk = must_open(false);

	(void)state;
	assert_int_equal(do_write(blk, 0, 65536, 'a', 0), 0);
	assert_int_equal(do_io(blk, IO_ZERO, 4096, 4096, NULL, 0), 0);
	assert_int_equal(do_io(blk, IO_ZERO, 16384, 4096, NULL, IO_UNMAP), 0);
	assert_int_equal(do_io(blk, IO_DISCARD, 32768, 4096, NULL, 0), 0);
	assert_int_equal(reads_as(blk, 0, 4096, 'a'), 1);
	assert_int_equal(reads_as(blk, 4096, 4096, 0), 1);
	assert_int_equal(reads_as(blk, 8192, 8192, 'a'), 1);
	assert_int_equal(reads_as(blk, 16384, 4096, 0), 1);
	blk_close(blk);
}

static void
status_says_mapped(void **state)
{
	struct blk *blk = must_open(false);
	struct one_io one;

	(void)state;
	one_io_start(&one, blk, IO_STATUS, 0, SIZE, NULL, 0);
	loop_run_op(loop, &one.op);
	assert_int_equal(one.io.result, 0);
	assert_int_equal(one.io.len, SIZE);
	assert_true((one.io.flags & IO_MAPPED) != 0);
	blk_close(blk);
}

static void
odd_bytes_at_the_end_are_left_alone(void **state)
{
	struct blk *blk;

	(void)state;
	make_file(SIZE + 100);
	blk = must_open(false);
	assert_int_equal(blk->geo.size, SIZE);
	blk_close(blk);
}

static void
read_only_refuses_writes(void **state)
{
	struct blk *blk = must_open(true);

	(void)state;
	assert_true(blk->geo.read_only);
	assert_int_equal(do_write(blk, 0, 4096, 'a', 0), -EROFS);
	assert_int_equal(reads_as(blk, 0, 4096, 0), 1);
	blk_close(blk);
}

static void
missing_file_is_refused(void **state)
{
	(void)state;
	refused("/nonexistent/image", ENOENT, "No such file");
}

static void
directory_is_refused(void **state)
{
	(void)state;
	refused(dir, EINVAL, "neither a file nor a block device");
}

static void
file_in_use_is_refused(void **state)
{
	struct blk *blk = must_open(false);

	(void)state;
	refused(path, EBUSY, "in use");
	blk_close(blk);
	blk = must_open(false);
	blk_close(blk);
}

static void
no_permission_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		/* Root may open anything: give the rights up for a while. */
		assert_int_equal(chmod(dir, 0700), 0);
		assert_int_equal(chmod(path, 0), 0);
		if (seteuid(65534) != 0)
			skip();
		refused(path, EACCES, "Permission denied");
		assert_int_equal(seteuid(0), 0);
		return;
	}
	assert_int_equal(chmod(path, 0), 0);
	refused(path, EACCES, "Permission denied");
}

static void
empty_file_is_refused(void **state)
{
	(void)state;
	make_file(0);
	refused(path, EINVAL, "smaller than one block");
}

static void
file_cut_short_while_open_is_gone(void **state)
{
	struct blk *blk = must_open(false);

	(void)state;
	assert_int_equal(truncate(path, 65536), 0);
	assert_int_equal(reads_as(blk, 0, 65536, 0), 1);
	assert_int_equal(reads_as(blk, 131072, 4096, 0), -ENODEV);
	assert_int_equal(reads_as(blk, 61440, 8192, 0), -ENODEV);
	blk_close(blk);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(geometry_is_that_of_the_file),
		T(only_files_have_file_info),
		T(data_outlives_the_blk),
		T(zero_and_discard_work),
		T(status_says_mapped),
		T(odd_bytes_at_the_end_are_left_alone),
		T(read_only_refuses_writes),
		T(missing_file_is_refused),
		T(directory_is_refused),
		T(file_in_use_is_refused),
		T(no_permission_is_refused),
		T(empty_file_is_refused),
		T(file_cut_short_while_open_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
