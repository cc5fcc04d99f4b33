/* SPDX-License-Identifier: BSD-2-Clause */
/* block/fault.c and fault_cache.c: every action, volatile cache, power. */
#include "tests/unit/block_util.h"

#define SIZE (1 * MIB)

static struct loop *loop;
static struct blk *ram, *fault;

static void
make(uint32_t logical_block)
{
	loop = loop_new(NULL);
	assert_non_null(loop);
	ram = blk_ram_new(loop, SIZE, logical_block);
	assert_non_null(ram);
	fault = blk_fault_new(ram);
	assert_non_null(fault);
}

static int
setup(void **state)
{
	(void)state;
	make(512);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	blk_close(fault);
	loop_free(loop);
	return 0;
}

static void
add(struct fault_rule rule)
{
	assert_int_equal(blk_fault_add(fault, &rule), 0);
}

static void
without_rules_it_is_transparent(void **state)
{
	(void)state;
	assert_int_equal(fault->geo.size, SIZE);
	assert_int_equal(do_write(fault, 0, 4096, 'a', 0), 0);
	assert_int_equal(reads_as(fault, 0, 4096, 'a'), 1);
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(blk_ram_data(ram)[4095], 'a');
}

static void
error_hits_its_range_only(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_ERROR, .err = EIO,
	    .kinds = 1u << IO_READ, .off = 4096, .len = 512 });
	assert_int_equal(reads_as(fault, 0, 8192, 0), -EIO);
	assert_int_equal(reads_as(fault, 4096, 512, 0), -EIO);
	assert_int_equal(reads_as(fault, 0, 4096, 0), 1);
	assert_int_equal(reads_as(fault, 4608, 512, 0), 1);
	assert_int_equal(do_write(fault, 4096, 512, 'a', 0), 0);
	assert_int_equal(do_flush(fault), 0);
}

static void
failed_write_changes_nothing(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_ERROR, .err = ENOSPC });
	assert_int_equal(do_write(fault, 0, 512, 'a', 0), -ENOSPC);
	blk_fault_clear(fault);
	assert_int_equal(reads_as(fault, 0, 512, 0), 1);
}

static void
skip_and_count_are_obeyed(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_ERROR, .err = EIO,
	    .skip = 2, .count = 1 });
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(do_flush(fault), -EIO);
	assert_int_equal(do_flush(fault), 0);
}

static void
first_matching_rule_acts(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_ERROR, .err = EIO,
	    .count = 1 });
	add((struct fault_rule){ .action = FAULT_ERROR, .err = ENODEV });
	assert_int_equal(do_flush(fault), -EIO);
	assert_int_equal(do_flush(fault), -ENODEV);
}

static void
a_bad_rule_or_too_many_are_refused(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = 0 };
	unsigned n = 0;

	(void)state;
	assert_int_equal(blk_fault_add(fault, &rule), -EINVAL);
	rule.err = EIO;
	while (blk_fault_add(fault, &rule) == 0)
		n++;
	assert_int_equal(n, 32);
}

static void
delay_takes_its_time_and_keeps_order(void **state)
{
	struct one_io slow, slower;
	uint64_t start;

	(void)state;
	add((struct fault_rule){ .action = FAULT_DELAY, .delay_ms = 60,
	    .count = 1 });
	add((struct fault_rule){ .action = FAULT_DELAY, .delay_ms = 20,
	    .count = 1 });
	one_io_start(&slower, fault, IO_FLUSH, 0, 0, NULL, 0);
	one_io_start(&slow, fault, IO_FLUSH, 0, 0, NULL, 0);
	start = loop_now(loop);
	loop_run_op(loop, &slow.op);
	assert_false(slower.op.ended);
	loop_run_op(loop, &slower.op);
	assert_true(loop_now(loop) - start >= 60 * NSEC_PER_MSEC);
	assert_int_equal(slow.io.result, 0);
	assert_int_equal(slower.io.result, 0);
}

static void
stall_lasts_until_cleared(void **state)
{
	struct one_io one;
	char buf[512];

	(void)state;
	memset(buf, 'a', sizeof(buf));
	add((struct fault_rule){ .action = FAULT_STALL,
	    .kinds = 1u << IO_WRITE });
	one_io_start(&one, fault, IO_WRITE, 0, 512, buf, 0);
	assert_int_equal(do_flush(fault), 0);
	assert_false(one.op.ended);
	assert_int_equal(blk_ram_data(ram)[0], 0);
	blk_fault_clear(fault);
	loop_run_op(loop, &one.op);
	assert_int_equal(one.io.result, 0);
	assert_int_equal(blk_ram_data(ram)[0], 'a');
}

static void
torn_write_says_success(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_TORN, .torn_bytes = 1536 });
	assert_int_equal(do_write(fault, 0, 4096, 'a', 0), 0);
	assert_int_equal(reads_as(fault, 0, 1536, 'a'), 1);
	assert_int_equal(reads_as(fault, 1536, 2560, 0), 1);
}

static void
torn_write_of_nothing_says_success(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_TORN, .torn_bytes = 100 });
	assert_int_equal(do_write(fault, 0, 512, 'a', 0), 0);
	assert_int_equal(reads_as(fault, 0, 512, 0), 1);
}

static void
lost_write_says_success(void **state)
{
	(void)state;
	add((struct fault_rule){ .action = FAULT_LOST, .count = 1 });
	assert_int_equal(do_write(fault, 0, 4096, 'a', 0), 0);
	assert_int_equal(reads_as(fault, 0, 4096, 0), 1);
}

static void
corrupt_read_flips_one_bit(void **state)
{
	uint8_t buf[1024], want[1024];

	(void)state;
	add((struct fault_rule){ .action = FAULT_CORRUPT, .off = 700,
	    .len = 1 });
	assert_int_equal(do_write(fault, 0, 1024, 'a', 0), 0);
	assert_int_equal(do_io(fault, IO_READ, 0, 1024, buf, 0), 0);
	memset(want, 'a', sizeof(want));
	want[700] ^= 1;
	assert_memory_equal(buf, want, sizeof(buf));
	assert_int_equal(blk_ram_data(ram)[700], 'a');
}

/* --- the volatile cache --- */

static void
cached_write_is_read_but_not_below(void **state)
{
	(void)state;
	blk_fault_volatile_cache(fault, true);
	assert_int_equal(do_write(fault, 512, 1024, 'a', 0), 0);
	assert_int_equal(blk_ram_data(ram)[512], 0);
	assert_int_equal(reads_as(fault, 512, 1024, 'a'), 1);
	assert_int_equal(reads_as(fault, 0, 512, 0), 1);
	assert_int_equal(reads_as(fault, 1536, 8192, 0), 1);
}

static void
flush_writes_the_cache_down(void **state)
{
	(void)state;
	blk_fault_volatile_cache(fault, true);
	do_write(fault, 512, 512, 'a', 0);
	do_write(fault, 2048, 65536, 'b', 0);
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(reads_as(ram, 0, 512, 0), 1);
	assert_int_equal(reads_as(ram, 512, 512, 'a'), 1);
	assert_int_equal(reads_as(ram, 2048, 65536, 'b'), 1);
}

static void
flush_reports_the_error_below(void **state)
{
	(void)state;
	blk_fault_volatile_cache(fault, true);
	do_write(fault, 0, 512, 'a', 0);
	ram->geo.read_only = true;
	assert_int_equal(do_flush(fault), -EROFS);
	assert_int_equal(reads_as(fault, 0, 512, 'a'), 1);
	ram->geo.read_only = false;
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(blk_ram_data(ram)[0], 'a');
}

static void
fua_write_goes_down_at_once(void **state)
{
	(void)state;
	blk_fault_volatile_cache(fault, true);
	do_write(fault, 0, 4096, 'a', 0);
	assert_int_equal(do_write(fault, 512, 512, 'b', IO_FUA), 0);
	assert_int_equal(blk_ram_data(ram)[512], 'b');
	assert_int_equal(blk_ram_data(ram)[0], 0);
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(reads_as(ram, 0, 512, 'a'), 1);
	assert_int_equal(reads_as(ram, 512, 512, 'b'), 1);
	assert_int_equal(reads_as(ram, 1024, 3072, 'a'), 1);
}

static void
zero_and_discard_drop_what_is_cached(void **state)
{
	(void)state;
	blk_fault_volatile_cache(fault, true);
	do_write(fault, 0, 16384, 'a', 0);
	assert_int_equal(do_io(fault, IO_ZERO, 0, 4096, NULL, 0), 0);
	assert_int_equal(do_io(fault, IO_DISCARD, 8192, 4096, NULL, 0), 0);
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(reads_as(fault, 0, 4096, 0), 1);
	assert_int_equal(reads_as(fault, 4096, 4096, 'a'), 1);
	assert_int_equal(reads_as(fault, 8192, 4096, 0), 1);
}

static void
requests_behind_a_flush_wait_and_end(void **state)
{
	struct one_io flush, write, read;
	static char out[8192], in[8192];

	(void)state;
	blk_fault_volatile_cache(fault, true);
	do_write(fault, 0, 65536, 'a', 0);
	memset(out, 'b', sizeof(out));
	one_io_start(&flush, fault, IO_FLUSH, 0, 0, NULL, 0);
	one_io_start(&write, fault, IO_WRITE, 0, 8192, out, 0);
	one_io_start(&read, fault, IO_READ, 0, 8192, in, 0);
	loop_run_op(loop, &read.op);
	loop_run_op(loop, &write.op);
	loop_run_op(loop, &flush.op);
	assert_int_equal(write.io.result, 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(blk_ram_data(ram)[0], 'a');
}

/* --- power --- */

static void
without_power_everything_fails(void **state)
{
	(void)state;
	blk_fault_power_cut(fault, 1);
	assert_int_equal(do_write(fault, 0, 512, 'a', 0), -ENODEV);
	assert_int_equal(reads_as(fault, 0, 512, 0), -ENODEV);
	assert_int_equal(do_flush(fault), -ENODEV);
	blk_fault_power_on(fault);
	assert_int_equal(reads_as(fault, 0, 512, 0), 1);
}

static void
power_cut_ends_stalled_and_delayed(void **state)
{
	struct one_io stalled, delayed;

	(void)state;
	add((struct fault_rule){ .action = FAULT_STALL, .count = 1 });
	add((struct fault_rule){ .action = FAULT_DELAY, .delay_ms = 100000 });
	one_io_start(&stalled, fault, IO_FLUSH, 0, 0, NULL, 0);
	one_io_start(&delayed, fault, IO_FLUSH, 0, 0, NULL, 0);
	assert_int_equal(do_flush(ram), 0);	/* lets both start */
	blk_fault_power_cut(fault, 1);
	loop_run_op(loop, &stalled.op);
	loop_run_op(loop, &delayed.op);
	assert_int_equal(stalled.io.result, -ENODEV);
	assert_int_equal(delayed.io.result, -ENODEV);
}

/* Returns how many of n blocks of `block` bytes read 'b'; the rest 'a'. */
static unsigned
survivors(struct blk *blk, unsigned n, uint64_t block)
{
	unsigned survived = 0;

	for (unsigned i = 0; i < n; i++) {
		if (reads_as(blk, i * block, block, 'b') == 1)
			survived++;
		else
			assert_int_equal(reads_as(blk, i * block, block, 'a'),
			    1);
	}
	return survived;
}

static unsigned
cut_after_write(uint64_t seed, uint64_t block)
{
	blk_fault_volatile_cache(fault, true);
	assert_int_equal(do_write(fault, 0, SIZE, 'a', 0), 0);
	assert_int_equal(do_flush(fault), 0);
	assert_int_equal(do_write(fault, 0, 64 * block, 'b', 0), 0);
	blk_fault_power_cut(fault, seed);
	blk_fault_power_on(fault);
	return survivors(fault, (unsigned)(64 * KIB / block), block);
}

static void
power_cut_keeps_a_seeded_subset_of_sectors(void **state)
{
	unsigned first = cut_after_write(7, 512);
	uint8_t *copy = malloc(SIZE);

	(void)state;
	assert_non_null(copy);
	assert_in_range(first, 10, 54);
	memcpy(copy, blk_ram_data(ram), SIZE);
	assert_int_equal(cut_after_write(7, 512), first);
	assert_memory_equal(copy, blk_ram_data(ram), SIZE);
	(void)cut_after_write(8, 512);
	assert_memory_not_equal(copy, blk_ram_data(ram), SIZE);
	free(copy);
}

static void
flushed_and_fua_data_survive_every_cut(void **state)
{
	(void)state;
	blk_fault_volatile_cache(fault, true);
	for (uint64_t seed = 0; seed < 20; seed++) {
		int byte = 'a' + (int)seed;

		do_write(fault, 0, 4096, byte, 0);
		do_flush(fault);
		do_write(fault, 8192, 4096, byte, IO_FUA);
		blk_fault_power_cut(fault, seed);
		blk_fault_power_on(fault);
		assert_int_equal(reads_as(fault, 0, 4096, byte), 1);
		assert_int_equal(reads_as(fault, 8192, 4096, byte), 1);
	}
}

static void
four_kib_blocks_do_not_tear(void **state)
{
	unsigned n;

	(void)state;
	make(4096);
	n = cut_after_write(3, 4096);
	assert_in_range(n, 1, 15);
	blk_close(fault);
	loop_free(loop);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_rules_it_is_transparent),
		T(error_hits_its_range_only),
		T(failed_write_changes_nothing),
		T(skip_and_count_are_obeyed),
		T(first_matching_rule_acts),
		T(a_bad_rule_or_too_many_are_refused),
		T(delay_takes_its_time_and_keeps_order),
		T(stall_lasts_until_cleared),
		T(torn_write_says_success),
		T(torn_write_of_nothing_says_success),
		T(lost_write_says_success),
		T(corrupt_read_flips_one_bit),
		T(cached_write_is_read_but_not_below),
		T(flush_writes_the_cache_down),
		T(flush_reports_the_error_below),
		T(fua_write_goes_down_at_once),
		T(zero_and_discard_drop_what_is_cached),
		T(requests_behind_a_flush_wait_and_end),
		T(without_power_everything_fails),
		T(power_cut_ends_stalled_and_delayed),
		T(power_cut_keeps_a_seeded_subset_of_sectors),
		T(flushed_and_fua_data_survive_every_cut),
		cmocka_unit_test(four_kib_blocks_do_not_tear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
