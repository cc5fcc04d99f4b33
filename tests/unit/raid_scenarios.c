/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the array engine must survive, by number, and the tests that show it.
 * Here are those that had no other place; tests/tidy.sh holds the table to
 * the tree.
 *
 * scenario 1: scenario_01_02_rmw_with_ppl
 * scenario 2: scenario_01_02_rmw_with_ppl_and_fua
 * scenario 3: scenario_03_rcw_with_ppl
 * scenario 4: scenario_04_full_stripe_with_ppl
 * scenario 5: scenario_05_cut_between_header_data_and_parity
 * scenario 6: check_replay_crash
 * scenario 6: replay_can_be_repeated
 * scenario 7: a_damaged_log_means_a_full_resync
 * scenario 7: the_newest_header_of_a_chain_is_found
 * scenario 8: scenario_08_overlapping_writes_in_flight
 * scenario 9: scenario_09_rows_that_share_a_parity_member
 * scenario 10: scenario_10_11_flips_of_clean_with_resync
 * scenario 11: scenario_10_11_flips_of_clean_with_bitmap
 * scenario 12: a_damaged_superblock_counts_as_missing
 * scenario 13: bits_are_on_all_members_before_the_data
 * scenario 14: scenario_14_copies_of_the_bitmap_differ
 * scenario 15: tests/interop/kill.sh
 * scenario 16: a_lost_member_is_recorded_before_the_write_is_acknowledged
 * scenario 17: scenario_17_stale_members
 * scenario 17: after_a_foreign_writer_all_is_copied
 * scenario 18: two_members_lost_at_once_come_back_without_rebuild
 * scenario 19: scenario_19_a_second_failure_during_a_rebuild
 * scenario 20: a_rebuild_survives_a_power_cut
 * scenario 21: a_bad_sector_is_repaired_and_the_member_kept
 * scenario 22: a_bad_sector_loses_its_blocks_and_the_rebuild_goes_on
 * scenario 23: what_cannot_be_rewritten_is_listed_and_the_member_kept
 * scenario 27: a_stalled_member_is_reconstructed_not_evicted
 * scenario 28: scenario_28_a_flush_that_fails_fails_the_member
 * scenario 29: scenario_29_a_lost_write_is_found_by_a_scrub
 * scenario 32: scenario_32_a_full_log_does_not_deadlock
 * scenario 33: scenario_33_scrub_with_writes_and_a_crash
 * scenario 34: parity_stands_in_for_bad_sectors_of_the_old_disk
 * scenario 34: when_the_old_disk_dies_it_goes_on_as_a_rebuild
 * scenario 35: scenario_35_members_of_both_block_sizes
 * scenario 36: foreign_features_are_refused
 * scenario 37: a_cloned_disk_is_refused
 * scenario 37: two_disks_with_one_role_are_refused
 * scenario 38: tests/vm/hotplug.sh
 * scenario 39: scenario_39_zeroes_in_part_of_a_stripe
 * scenario 40: sixteen_members_and_a_deep_queue_do_not_deadlock
 * scenario 41: scenario_41_the_clock_goes_backwards
 * scenario 42: tests/vm/raid_rounds.sh
 */
#include "tests/unit/raid_util.h"

#include <limits.h>
#include <time.h>

#define CHUNK 4096u
#define STRIPE ((uint64_t)2 * CHUNK)

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

static void
start(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, 3, 1 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 64 * STRIPE, 'o', 0),
	    0);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
}

/* Each sector is one of these bytes from end to end; '0' is for a zero. */
static void
check_sectors(struct world *w, uint64_t off, uint64_t len, const char *may)
{
	static uint8_t buf[64 * 2 * CHUNK];

	assert_int_equal(do_io(raid_blk(w->raid), IO_READ, off, len, buf, 0),
	    0);
	for (uint64_t s = 0; s < len; s += 512) {
		assert_non_null(strchr(may, buf[s] == 0 ? '0' : buf[s]));
		for (unsigned i = 1; i < 512; i++)
			assert_int_equal(buf[s + i], buf[s]);
	}
}

/* Requests [0, n) are in flight: the power goes after `ms`. */
static void
cut_power(struct world *w, unsigned n, uint64_t ms)
{
	wait_ms(w, ms);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_power_cut(w->fault[i], ms * 16 + i + 1);
	for (unsigned i = 0; i < n; i++)
		loop_run_op(w->loop, &w->io[i].op);
	array_stop(w);
	for (unsigned i = 0; i < w->n; i++) {
		blk_fault_clear(w->fault[i]);
		blk_fault_power_on(w->fault[i]);
	}
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
}

static void
start_write(struct world *w, unsigned i, uint64_t off, uint64_t len,
    int byte)
{
	memset(w->buf[i], byte, len);
	one_io_start(&w->io[i], raid_blk(w->raid), IO_WRITE, off, len,
	    w->buf[i], 0);
}

/* Requests of the members take a while, each kind its own. */
static void
slow_down(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		blk_fault_volatile_cache(w->fault[i], true);
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_WRITE, .delay_ms = 1 + i });
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .delay_ms = 2 });
	}
}

static void
scenario_08_overlapping_writes_in_flight(void **state)
{
	struct world *w = &world;

	(void)state;
	for (uint64_t ms = 1; ms < 20; ms += 2) {
		start(w, RAID_POLICY_PPL);
		slow_down(w);
		start_write(w, 0, 1024, 3072, 'a');
		start_write(w, 1, 2048, 4096, 'b');
		cut_power(w, 2, ms);
		check_sectors(w, 0, 1024, "o");
		check_sectors(w, 1024, 5120, "oab");
		check_sectors(w, 6144, 62 * STRIPE, "o");
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
scenario_09_rows_that_share_a_parity_member(void **state)
{
	struct world *w = &world;

	(void)state;
	for (uint64_t ms = 1; ms < 40; ms += 3) {
		start(w, RAID_POLICY_PPL);
		slow_down(w);
		/* Rows 0, 3, 6 ... have their parity on one member. */
		for (unsigned i = 0; i < 8; i++) {
			start_write(w, i, 3 * i * STRIPE + 512, 1024, 'n');
			if (i == 3)
				wait_ms(w, 4);
		}
		cut_power(w, 8, ms);
		for (unsigned i = 0; i < 8; i++) {
			check_sectors(w, 3 * i * STRIPE, 512, "o");
			check_sectors(w, 3 * i * STRIPE + 512, 1024, "on");
			check_sectors(w, 3 * i * STRIPE + 1536, 6656, "o");
		}
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
scenario_17_stale_members(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned behind = 1; behind <= 3; behind++) {
		struct sb1 sb;
		uint8_t *raw;

		start(w, RAID_POLICY_RESYNC);
		assert_int_equal(array_stop(w), 0);
		raw = blk_ram_data(w->ram[1]) + SB1_SECTOR * SECTOR;
		assert_int_equal(sb1_decode(&sb, raw, SB1_BYTES, NULL), 0);
		sb.events -= behind;
		sb1_encode(&sb, raw);
		assemble_without(w, &as, 0, true);
		assert_non_null(w->raid);
		assert_int_equal(as.nrejected, behind > 1);
		if (behind > 1)
			assert_int_equal(as.rejected[0].why.code, ESTALE);
		check_sectors(w, 0, 64 * STRIPE, "o");
		assert_int_equal(world_stop(w), 0);
	}
}

static void
scenario_28_a_flush_that_fails_fails_the_member(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	assert_int_equal(do_write(raid_blk(w->raid), 0, STRIPE, 'n', 0), 0);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_FLUSH, .err = EIO, .count = 1 });
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	lose_power(w, UINT_MAX);
	/* Answered only after it was recorded: it does not come back. */
	assemble_without(w, &as, 0, true);
	if (w->raid != NULL) {
		assert_int_equal(as.nrejected, 1);
		check_sectors(w, 0, STRIPE, "n");
		assert_int_equal(array_stop(w), 0);
	}
	world_free(w);
}

/* RAID5 alone cannot tell which member lies: found, and what is read is old. */
static void
scenario_29_a_lost_write_is_found_by_a_scrub(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_LOST,
	    .kinds = 1u << IO_WRITE, .off = w->raid->member[0].data_off,
	    .len = CHUNK });
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'n', 0), 0);
	blk_fault_clear(w->fault[0]);
	assert_int_equal(raid_scrub(w->raid, false, &err), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.mismatches, 1);
	assert_int_equal(world_stop(w), 0);
}

/* The second loss is met by a read beyond, or below, what is rebuilt. */
static void
scenario_19_a_second_failure_during_a_rebuild(void **state)
{
	struct world *w = &world;
	static uint8_t buf[CHUNK];

	(void)state;
	for (unsigned below = 0; below < 2; below++) {
		uint64_t last = 63 * STRIPE;

		start(w, RAID_POLICY_PPL);
		assert_int_equal(fail_member_now(w, 1), 0);
		memset(blk_ram_data(w->ram[1]), 0xee, 3 * MIB);
		add_fault(w, 1, (struct fault_rule){ .action = FAULT_STALL,
		    .kinds = 1u << IO_WRITE, .off = 2 * MIB + 32 * CHUNK,
		    .len = CHUNK });
		assert_int_equal(add(w, 1, true), 0);
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.task, RAID_TASK_REBUILD);
		add_fault(w, 2, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
		/* An error, never what the new disk happens to hold. */
		for (uint64_t at = below ? 0 : last; at < last + STRIPE &&
		    at <= (below ? 8 * STRIPE : last); at += CHUNK) {
			int r = do_io(raid_blk(w->raid), IO_READ, at, CHUNK,
			    buf, 0);

			for (unsigned i = 0; r == 0 && i < CHUNK; i++)
				assert_int_equal(buf[i], 'o');
		}
		assert_int_not_equal(do_write(raid_blk(w->raid), 0, STRIPE,
		    'n', 0), 0);
		raid_get_info(w->raid, &info);
		assert_true(info.failed);
		blk_fault_clear(w->fault[1]);
		blk_fault_clear(w->fault[2]);
		array_stop(w);
		/* It was away for a moment: back as if nothing had been. */
		assemble_without(w, &as, 0, true);
		assert_non_null(w->raid);
		wait_task_end(w, &info);
		assert_int_equal(info.degraded, 0);
		check_sectors(w, 0, STRIPE, "on");
		check_sectors(w, STRIPE, 63 * STRIPE, "o");
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

/* More rows wait for each log than a header can name. */
static void
scenario_32_a_full_log_does_not_deadlock(void **state)
{
	enum { DEPTH = 2048 };
	struct world *w = &world;
	struct one_io *io = calloc(DEPTH, sizeof(*io));
	static uint8_t data[1024];

	(void)state;
	assert_non_null(io);
	memset(w, 0, sizeof(*w));
	memset(data, 'n', sizeof(data));
	world_disks(w, 3, 8 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, RAID_POLICY_PPL);
	slow_down(w);
	for (unsigned i = 0; i < DEPTH; i++)
		one_io_start(&io[i], raid_blk(w->raid), IO_WRITE,
		    i * STRIPE + 3584, sizeof(data), data,
		    i % 7 == 0 ? IO_FUA : 0);
	for (unsigned i = 0; i < DEPTH; i++) {
		loop_run_op(w->loop, &io[i].op);
		assert_int_equal(io[i].io.result, 0);
		assert_int_equal(reads_as(raid_blk(w->raid), i * STRIPE +
		    3584, sizeof(data), 'n'), 1);
	}
	assert_true(w->raid->ppl_entries > 64 * w->raid->ppl_headers);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_clear(w->fault[i]);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
	free(io);
}

static void
scenario_33_scrub_with_writes_and_a_crash(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	for (uint64_t ms = 2; ms < 60; ms += 4) {
		start(w, RAID_POLICY_PPL);
		slow_down(w);
		assert_int_equal(raid_scrub(w->raid, false, &err), 0);
		for (unsigned i = 0; i < BATCH; i++)
			start_write(w, i, i * STRIPE + 512 * (i % 9),
			    1024 + 512 * (i % 5), 'n');
		wait_ms(w, ms);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.mismatches, 0);
		cut_power(w, BATCH, 0);
		wait_task_end(w, &info);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(raid_scrub(w->raid, false, &err), 0);
		for (unsigned i = 0; i < BATCH; i++)
			start_write(w, i, i * STRIPE + 512, 1024, 'm');
		wait_task_end(w, &info);
		assert_int_equal(info.mismatches, 0);
		for (unsigned i = 0; i < BATCH; i++)
			loop_run_op(w->loop, &w->io[i].op);
		assert_int_equal(info.mismatches, 0);
		check_sectors(w, 0, 64 * STRIPE, "onm");
		assert_int_equal(world_stop(w), 0);
	}
}

/* One of three members has blocks of 4 KiB: so has the array then. */
static void
scenario_35_members_of_both_block_sizes(void **state)
{
	struct world *w = &world;

	(void)state;
	for (uint64_t ms = 1; ms < 20; ms += 2) {
		struct blk *blk;

		memset(w, 0, sizeof(*w));
		world_disks(w, 3, 1 * MIB, 512);
		w->keep[0].blk.geo.physical_block = 4096;
		blk_close(w->fault[1]);
		w->ram[1] = blk_ram_new(w->loop, 3 * MIB, 4096);
		assert_non_null(w->ram[1]);
		w->fault[1] = blk_fault_new(w->ram[1]);
		assert_non_null(w->fault[1]);
		w->keep[1].lower = w->fault[1];
		w->keep[1].blk.geo = w->fault[1]->geo;
		world_create_policy(w, RAID_LEFT_SYMMETRIC, 2 * CHUNK,
		    RAID_POLICY_PPL);
		blk = raid_blk(w->raid);
		assert_int_equal(blk->geo.logical_block, 4096);
		assert_int_equal(blk->geo.physical_block, 4096);
		assert_int_equal(do_write(blk, 0, 64 * STRIPE, 'o', 0), 0);
		assert_int_equal(do_flush(blk), 0);
		slow_down(w);
		for (unsigned i = 0; i < 6; i++)
			start_write(w, i, i * 2 * STRIPE + 4096, 4096, 'n');
		cut_power(w, 6, ms);
		for (unsigned i = 0; i < 6; i++) {
			check_sectors(w, i * 2 * STRIPE, 4096, "o");
			check_sectors(w, i * 2 * STRIPE + 4096, 4096, "on");
			check_sectors(w, i * 2 * STRIPE + 8192, 8192, "o");
		}
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
scenario_39_zeroes_in_part_of_a_stripe(void **state)
{
	struct world *w = &world;

	(void)state;
	for (uint64_t ms = 1; ms < 40; ms += 3) {
		start(w, RAID_POLICY_PPL);
		slow_down(w);
		for (unsigned i = 0; i < 3; i++)
			add_fault(w, i, (struct fault_rule){
			    .action = FAULT_DELAY, .delay_ms = 3 - i,
			    .kinds = 1u << IO_ZERO | 1u << IO_DISCARD });
		one_io_start(&w->io[0], raid_blk(w->raid), IO_ZERO, 1536,
		    3072, NULL, 0);
		one_io_start(&w->io[1], raid_blk(w->raid), IO_ZERO, 4 * STRIPE
		    + 512, 2 * STRIPE, NULL, IO_UNMAP);
		one_io_start(&w->io[2], raid_blk(w->raid), IO_DISCARD, 8 *
		    STRIPE + 512, 3 * STRIPE, NULL, 0);
		cut_power(w, 3, ms);
		check_sectors(w, 0, 1536, "o");
		check_sectors(w, 1536, 3072, "o0");
		check_sectors(w, 4608, 4 * STRIPE - 4096, "o");
		check_sectors(w, 4 * STRIPE + 512, 2 * STRIPE, "o0");
		check_sectors(w, 6 * STRIPE + 512, 2 * STRIPE, "o");
		check_sectors(w, 8 * STRIPE + 512, 3 * STRIPE, "o0");
		check_sectors(w, 11 * STRIPE + 512, 40 * STRIPE, "o");
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

/* What the engine is told, in place of the machine's clock. */
static time_t wall;

time_t
time(time_t *at)
{
	if (at != NULL)
		*at = wall;
	return wall;
}

static void
scenario_41_the_clock_goes_backwards(void **state)
{
	struct world *w = &world;
	struct sb1 sb[2];

	(void)state;
	wall = 2000000000;
	start(w, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, STRIPE, 'a', 0), 0);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = ENODEV });
	wall = 1000000000;
	assert_int_equal(do_write(raid_blk(w->raid), 0, STRIPE, 'b', 0), 0);
	wait_ms(w, 2 * SAFE_MODE_MS);
	assert_int_equal(do_write(raid_blk(w->raid), 0, STRIPE, 'c', 0), 0);
	wall = 500000000;
	lose_power(w, 1);
	blk_fault_clear(w->fault[1]);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sb1_decode(&sb[i], blk_ram_data(w->ram[i]) +
		    SB1_SECTOR * SECTOR, SB1_BYTES, NULL), 0);
	assert_true((sb[1].utime & SB1_TIME_MASK) >
	    (sb[0].utime & SB1_TIME_MASK));
	/* The one that was lost has the latest time and is the stale one. */
	assemble_without(w, &as, 0, true);
	assert_non_null(w->raid);
	assert_int_equal(as.nrejected, 1);
	assert_int_equal(as.rejected[0].why.code, ESTALE);
	check_sectors(w, 0, STRIPE, "c");
	check_sectors(w, STRIPE, 63 * STRIPE, "o");
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenario_08_overlapping_writes_in_flight),
		cmocka_unit_test(scenario_09_rows_that_share_a_parity_member),
		cmocka_unit_test(scenario_17_stale_members),
		cmocka_unit_test(
		    scenario_19_a_second_failure_during_a_rebuild),
		cmocka_unit_test(
		    scenario_28_a_flush_that_fails_fails_the_member),
		cmocka_unit_test(scenario_29_a_lost_write_is_found_by_a_scrub),
		cmocka_unit_test(scenario_32_a_full_log_does_not_deadlock),
		cmocka_unit_test(scenario_33_scrub_with_writes_and_a_crash),
		cmocka_unit_test(scenario_35_members_of_both_block_sizes),
		cmocka_unit_test(scenario_39_zeroes_in_part_of_a_stripe),
		cmocka_unit_test(scenario_41_the_clock_goes_backwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
