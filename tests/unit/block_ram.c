/* SPDX-License-Identifier: BSD-2-Clause */
/* block/ram.c: contents, space, flush. */
#include "tests/unit/block_util.h"

static struct loop *loop;
static struct blk *ram;

static int
setup(void **state)
{
	(void)state;
	loop = loop_new(NULL);
	assert_non_null(loop);
	ram = blk_ram_new(loop, 1 * MIB, 512);
	assert_non_null(ram);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	blk_close(ram);
	loop_free(loop);
	return 0;
}

static void
new_memory_reads_as_zeroes(void **state)
{
	(void)state;
	assert_int_equal(reads_as(ram, 0, 1 * MIB, 0), 1);
}

static void
what_was_written_is_read(void **state)
{
	(void)state;
	assert_int_equal(do_write(ram, 512, 1024, 'a', 0), 0);
	assert_int_equal(reads_as(ram, 512, 1024, 'a'), 1);
	assert_int_equal(reads_as(ram, 0, 512, 0), 1);
	assert_int_equal(reads_as(ram, 1536, 512, 0), 1);
	assert_int_equal(blk_ram_data(ram)[512], 'a');
}

static void
flush_succeeds(void **state)
{
	(void)state;
	assert_int_equal(do_flush(ram), 0);
}

static void
discard_and_zero_read_as_zeroes(void **state)
{
	(void)state;
	assert_int_equal(do_write(ram, 0, 16384, 'a', 0), 0);
	assert_int_equal(do_io(ram, IO_DISCARD, 0, 4096, NULL, 0), 0);
	assert_int_equal(do_io(ram, IO_ZERO, 8192, 512, NULL, 0), 0);
	assert_int_equal(reads_as(ram, 0, 4096, 0), 1);
	assert_int_equal(reads_as(ram, 4096, 4096, 'a'), 1);
	assert_int_equal(reads_as(ram, 8192, 512, 0), 1);
	assert_int_equal(reads_as(ram, 8704, 7680, 'a'), 1);
}

static void
status_of(uint64_t off, uint64_t len, uint64_t run, bool mapped)
{
	struct one_io one;

	one_io_start(&one, ram, IO_STATUS, off, len, NULL, 0);
	loop_run_op(loop, &one.op);
	assert_int_equal(one.io.result, 0);
	assert_int_equal(one.io.len, run);
	assert_int_equal((one.io.flags & IO_MAPPED) != 0, mapped);
}

static void
status_tells_runs_of_mapped_space(void **state)
{
	(void)state;
	status_of(0, 1 * MIB, 1 * MIB, false);
	do_write(ram, 4096, 8192, 'a', 0);
	status_of(0, 65536, 4096, false);
	status_of(4096, 65536, 8192, true);
	status_of(12288, 65536, 65536, false);
	status_of(5120, 512, 512, true);
}

static void
zero_keeps_space_unless_unmap(void **state)
{
	(void)state;
	do_write(ram, 0, 8192, 'a', 0);
	do_io(ram, IO_ZERO, 0, 8192, NULL, 0);
	status_of(0, 8192, 8192, true);
	do_io(ram, IO_ZERO, 0, 8192, NULL, IO_UNMAP);
	status_of(0, 8192, 8192, false);
}

static void
discard_of_a_part_keeps_the_page(void **state)
{
	(void)state;
	do_write(ram, 0, 8192, 'a', 0);
	do_io(ram, IO_DISCARD, 512, 4096, NULL, 0);
	status_of(0, 8192, 8192, true);
	assert_int_equal(reads_as(ram, 512, 4096, 0), 1);
	assert_int_equal(reads_as(ram, 0, 512, 'a'), 1);
}

static void
read_only_refuses_changes(void **state)
{
	(void)state;
	ram->geo.read_only = true;
	assert_int_equal(do_write(ram, 0, 512, 'a', 0), -EROFS);
	assert_int_equal(do_io(ram, IO_DISCARD, 0, 512, NULL, 0), -EROFS);
	assert_int_equal(do_io(ram, IO_ZERO, 0, 512, NULL, 0), -EROFS);
	assert_int_equal(do_flush(ram), 0);
	assert_int_equal(reads_as(ram, 0, 512, 0), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(new_memory_reads_as_zeroes),
		T(what_was_written_is_read),
		T(flush_succeeds),
		T(discard_and_zero_read_as_zeroes),
		T(status_tells_runs_of_mapped_space),
		T(zero_keeps_space_unless_unmap),
		T(discard_of_a_part_keeps_the_page),
		T(read_only_refuses_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
