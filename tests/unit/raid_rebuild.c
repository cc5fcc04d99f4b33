/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/sweep.c, add.c: spares, rebuild, scrub. */
#include "tests/unit/raid_util.h"

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

/* An array of n with data, and `more` blank disks. */
static void
start(struct world *w, unsigned n, unsigned more, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n + more, 2 * MIB, 512);
	w->n = n;
	world_create_policy(w, RAID_LEFT_SYMMETRIC, 16384, policy);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 200 * 1024), 0);
}

static void
wait_for_task(struct world *w)
{
	wait_task_end(w, &info);
}

/* Every member is dispensable: the bytes are there without it. */
static void
check_redundant(struct world *w, uint32_t except)
{
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < w->ndisks; i++) {
		if ((except >> i & 1) != 0)
			continue;
		assemble_without(w, &as, 1u << i | except, true);
		if (as.raid == NULL)
			print_message("%s\n", as.err.text);
		assert_non_null(as.raid);
		compare_all(w);
		assert_int_equal(array_stop(w), 0);
	}
	assemble_without(w, &as, except, false);
	assert_non_null(as.raid);
}

static void
a_new_disk_is_rebuilt_under_load(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned lost = 0; lost < 3; lost++) {
		start(w, 3, 1, lost == 1 ? RAID_POLICY_RESYNC :
		    RAID_POLICY_PPL);
		assert_int_equal(fail_member_now(w, lost), 0);
		assert_int_equal(batch(w, 100 * 1024), 0);
		add_fault(w, 3, (struct fault_rule){ .action = FAULT_DELAY,
		    .delay_ms = 1, .kinds = 1u << IO_WRITE });
		assert_int_equal(add(w, 3, false), 0);
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(batch(w, 20 * 1024), 0);
		wait_for_task(w);
		assert_int_equal(info.degraded, 0);
		assert_string_equal(info.member[lost].path, "disk3");
		assert_int_equal(info.member[lost].state, RAID_MEMBER_IN_SYNC);
		compare_all(w);
		check_redundant(w, 1u << lost);
		assert_int_equal(world_stop(w), 0);
	}
}

/* Members in memory answer at once: the sweep must let others have turns. */
static void
a_request_does_not_wait_for_all_of_a_rebuild(void **state)
{
	struct world *w = &world;
	uint64_t done = 0;

	(void)state;
	start(w, 4, 1, RAID_POLICY_RESYNC);
	assert_int_equal(fail_member_now(w, 1), 0);
	assert_int_equal(add(w, 4, false), 0);
	do {
		wait_ms(w, 0);
		raid_get_info(w->raid, &info);
		assert_true(info.task_done >= done);
		done = info.task_done;
	} while (done == 0 && info.degraded > 0);
	assert_int_equal(info.task, RAID_TASK_REBUILD);
	wait_for_task(w);
	assert_int_equal(world_stop(w), 0);
}

/*
 * A disk is asked whether it is gone; before it answers a spare, or it as the
 * spare, takes the place of a member.
 */
static void
asked_amid_take_over(bool spare)
{
	struct world *w = &world;
	struct raid_fail fail = { .path = spare ? "disk4" : "disk1",
	    .why = "it was pulled", .if_gone = true };

	start(w, 4, 1, RAID_POLICY_PPL);
	assert_int_equal(add(w, 4, false), 0);
	wait_ms(w, 50);
	add_fault(w, spare ? 4 : 1, (struct fault_rule){
	    .action = FAULT_DELAY, .kinds = 1u << IO_READ, .count = 1,
	    .delay_ms = 300 });
	fail.raid = w->raid;
	raid_fail_start(&fail, NULL);
	wait_ms(w, 5);
	if (spare) {
		assert_int_equal(fail_member_now(w, 1), 0);
	} else {
		add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 100 * 1024), 0);
	}
	wait_for_task(w);
	loop_run_op(w->loop, &fail.op);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.member[1].path, "disk4");
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_member_that_is_asked_does_not_move(void **state)
{
	(void)state;
	asked_amid_take_over(false);
}

static void
a_spare_that_is_asked_does_not_move(void **state)
{
	(void)state;
	asked_amid_take_over(true);
}

static void
a_probe_of_a_dead_disk_ends(void **state)
{
	struct world *w = &world;
	struct raid_fail fail = { .path = "disk1", .why = "it was pulled",
	    .if_gone = true };

	(void)state;
	start(w, 4, 1, RAID_POLICY_PPL);
	raid_set_deadline(w->raid, 20);
	w->raid->dead_ms = 100;
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_STALL });
	fail.raid = w->raid;
	raid_fail_start(&fail, NULL);
	wait_ms(w, 1000);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	assert_true(fail.op.ended);
	blk_fault_clear(w->fault[1]);
	assert_int_equal(world_stop(w), 0);
}

static void
a_spare_takes_over_by_itself(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4, 2, RAID_POLICY_PPL);
	assert_int_equal(add(w, 4, false), 0);
	assert_int_equal(add(w, 5, false), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.nmembers, 6);
	assert_int_equal(info.member[4].state, RAID_MEMBER_SPARE);
	assert_int_equal(array_stop(w), 0);	/* spares are remembered */
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_WRITE });
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.member[2].path, "disk4");
	assert_int_equal(info.nmembers, 5);
	compare_all(w);
	check_redundant(w, 1u << 2 | 1u << 5);
	assert_int_equal(world_stop(w), 0);
}

static void
a_rebuild_goes_on_where_it_stopped(void **state)
{
	struct world *w = &world;
	uint64_t done;

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	assert_int_equal(fail_member_now(w, 1), 0);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_DELAY,
	    .delay_ms = 10, .kinds = 1u << IO_WRITE });
	assert_int_equal(add(w, 3, false), 0);
	do {
		wait_ms(w, 5);
		raid_get_info(w->raid, &info);
	} while (info.task_done == 0);
	assert_int_equal(info.task, RAID_TASK_REBUILD);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 1, false);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	done = member_recovered(&w->raid->member[1]);
	assert_true(done > 0 && done < w->raid->map.member_size);
	assert_int_equal(info.member[1].state, RAID_MEMBER_REBUILDING);
	blk_fault_clear(w->fault[3]);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	compare_all(w);
	check_redundant(w, 1u << 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_rebuild_survives_a_power_cut(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		start(w, 4, 1, RAID_POLICY_PPL);
		assert_int_equal(do_flush(raid_blk(w->raid)), 0);
		assert_int_equal(fail_member_now(w, 1), 0);
		for (unsigned i = 0; i < 5; i++)
			if (i != 1)
				blk_fault_volatile_cache(w->fault[i], true);
		add_fault(w, 4, (struct fault_rule){ .action = FAULT_STALL,
		    .skip = 5 + 9 * round });
		(void)add(w, 4, false);
		wait_ms(w, 3);
		for (unsigned i = 0; i < 5; i++)
			if (i != 1)
				blk_fault_power_cut(w->fault[i], round + 1);
		array_stop(w);
		for (unsigned i = 0; i < 5; i++) {
			blk_fault_clear(w->fault[i]);
			if (i != 1)
				blk_fault_power_on(w->fault[i]);
		}
		assemble_without(w, &as, 1u << 1, true);
		if (as.raid == NULL)
			print_message("round %u: %s\n", round, as.err.text);
		assert_non_null(as.raid);
		wait_for_task(w);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

/*
 * A spare is given a role and the power goes before its own superblock says
 * so.  It must not pass for a member that has its data.
 */
static void
a_promoted_spare_that_does_not_know_is_rebuilt(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		start(w, 3, 1, RAID_POLICY_PPL);
		assert_int_equal(add(w, 3, false), 0);
		add_fault(w, 3, (struct fault_rule){ .action = FAULT_STALL,
		    .kinds = 1u << IO_WRITE, .off = 4096, .len = 4096,
		    .skip = round });
		add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = EIO, .kinds = 1u << IO_WRITE });
		/* The bytes that are there already, so nothing is in doubt. */
		memcpy(w->buf[0], w->model, 65536);
		one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, 0, 65536,
		    w->buf[0], 0);
		wait_ms(w, 20);
		for (unsigned i = 0; i < 4; i++)
			blk_fault_power_cut(w->fault[i], i + 1);
		array_stop(w);
		for (unsigned i = 0; i < 4; i++) {
			blk_fault_clear(w->fault[i]);
			blk_fault_power_on(w->fault[i]);
		}
		assemble_without(w, &as, 1u << 1, true);
		assert_non_null(as.raid);
		compare_all(w);
		wait_for_task(w);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
the_new_disk_failing_leaves_the_array_as_it_was(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	assert_int_equal(fail_member_now(w, 0), 0);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_WRITE, .skip = 20 });
	assert_int_equal(add(w, 3, false), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 1);
	assert_false(info.failed);
	compare_all(w);
	assert_int_equal(add(w, 4, false), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static unsigned
unreadable_blocks(struct world *w)
{
	unsigned failed = 0;
	uint8_t block[4096];

	for (uint64_t off = 0; off < w->size; off += 4096) {
		int r = do_io(raid_blk(w->raid), IO_READ, off, 4096, block, 0);

		if (r == 0)
			assert_memory_equal(block, w->model + off, 4096);
		else
			assert_int_equal(r, -EIO);
		failed += r != 0;
	}
	return failed;
}

static void
a_bad_sector_loses_its_blocks_and_the_rebuild_goes_on(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	assert_int_equal(fail_member_now(w, 0), 0);
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_READ, .len = 512,
	    .off = w->raid->member[2].data_off + 64 * 16384 });
	assert_int_equal(add(w, 3, false), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	assert_false(info.failed);
	assert_int_equal(info.member[0].bad_bytes, 4096);
	assert_int_equal(unreadable_blocks(w), 2);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 0, false);	/* the list stays */
	assert_non_null(w->raid);
	assert_int_equal(unreadable_blocks(w), 2);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[0].bad_bytes, 4096);
	blk_fault_clear(w->fault[2]);		/* it was a bad cable */
	compare_all(w);
	wait_ms(w, 50);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[0].bad_bytes, 0);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(world_stop(w), 0);
}

static void
what_must_not_be_added_is_refused(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	assert_int_equal(add(w, 1, true), EEXIST);	/* is a member */
	memcpy(blk_ram_data(w->ram[3]), blk_ram_data(w->ram[2]), 8192);
	assert_int_equal(add(w, 3, true), EEXIST);	/* is a copy of one */
	blk_ram_data(w->ram[3])[SB1_OFFSET + 20] ^= 1;
	assert_int_equal(add(w, 3, false), EEXIST);	/* somebody's, torn */
	w->keep[4].blk.geo.size = 2 * MIB;
	assert_int_equal(add(w, 4, false), ENOSPC);
	w->keep[4].blk.geo.size = w->keep[3].blk.geo.size;
	assert_int_equal(add(w, 4, false), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
a_former_member_may_come_back(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0, RAID_POLICY_PPL);
	assert_int_equal(fail_member_now(w, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 1, false);
	assert_non_null(as.raid);
	assert_int_equal(add(w, 1, false), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	check_redundant(w, 0);
	assert_int_equal(world_stop(w), 0);
}

/* A member is gone for a while; `foreign`: Linux has written meanwhile. */
static void
pull_and_return(struct world *w, enum raid_policy policy, bool foreign)
{
	uint64_t copied;

	start(w, 4, 0, policy);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = ENODEV });
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(batch(w, 8192), 0);
	assert_int_equal(array_stop(w), 0);
	blk_fault_clear(w->fault[1]);
	if (foreign)
		for (unsigned i = 0; i < 4; i++) {
			uint8_t *raw = blk_ram_data(w->ram[i]) + SB1_OFFSET;
			struct sb1 sb;

			assert_int_equal(sb1_decode(&sb, raw, SB1_BYTES,
			    NULL), 0);
			sb.utime &= SB1_TIME_MASK;
			sb1_encode(&sb, raw);
		}
	assemble_without(w, &as, 1u << 1, false);
	assert_non_null(as.raid);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 7, 0), 0);
	memset(w->model, 7, 512);
	assert_int_equal(add(w, 1, false), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(batch(w, 8192), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.member[1].path, "disk1");
	copied = info.member[1].write_bytes;
	print_message("policy %s: %u of %u KiB\n", raid_policy_name(policy),
	    (unsigned)(copied / 1024), 2048);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	check_redundant(w, 0);
	assert_int_equal(world_stop(w), 0);
	assert_true(foreign ? copied >= 2 * MIB : copied > 0);
}

static void
a_pulled_member_is_added_by_copying_what_it_missed(void **state)
{
	(void)state;
	pull_and_return(&world, RAID_POLICY_PPL, false);
	pull_and_return(&world, RAID_POLICY_RESYNC, false);
	pull_and_return(&world, RAID_POLICY_BITMAP, false);
}

static void
after_a_foreign_writer_all_is_copied(void **state)
{
	(void)state;
	pull_and_return(&world, RAID_POLICY_PPL, true);
}

static void
start_again(struct world *w, uint32_t without)
{
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, without, false);
	assert_non_null(as.raid);
}

/* Member 1 was pulled, and missed the first block. */
static void
start_without_one(struct world *w)
{
	start(w, 3, 0, RAID_POLICY_PPL);
	start_again(w, 0);
	assert_int_equal(fail_member_now(w, 1), 0);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 4096, 9, 0), 0);
	memset(w->model, 9, 4096);
	start_again(w, 1u << 1);
}

/* Where a write begins before the copy comes by, and ends after it. */
static void
a_write_begun_without_the_member_is_copied_too(void **state)
{
	struct world *w = &world;
	uint64_t off, stripe = 32 * KIB;
	struct map_place place;
	struct blk *blk;

	(void)state;
	start_without_one(w);
	blk = raid_blk(w->raid);
	off = round_down(w->size - MIB, stripe);
	raid_map_locate(&w->raid->map, off, &place);
	if (place.role != 1)
		off += 16 * KIB;
	raid_map_locate(&w->raid->map, off, &place);
	if (place.role != 1)		/* its parity is there */
		off += 16 * KIB;
	raid_map_locate(&w->raid->map, off, &place);
	assert_int_equal(place.role, 1);
	for (unsigned i = 0; i < 3; i += 2) {
		uint64_t data = w->raid->member[i].data_off;

		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .off = data, .len = 16 * KIB,
		    .delay_ms = 150 });
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .off = data + place.member_off,
		    .len = 4096, .delay_ms = 600, .count = 1 });
	}
	assert_int_equal(add(w, 1, false), 0);
	wait_ms(w, 50);
	memset(w->buf[0], 7, 4096);
	one_io_start(&w->io[0], blk, IO_WRITE, off, 4096, w->buf[0], 0);
	memset(w->model + off, 7, 4096);
	loop_run_op(w->loop, &w->io[0].op);
	assert_int_equal(w->io[0].io.result, 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* What it did not miss is read from it, and written to it, at once. */
static void
a_pulled_member_serves_what_it_has(void **state)
{
	struct world *w = &world;
	struct map_place place = { .role = 0 };
	uint64_t off = 2 * MIB, reads, writes;

	(void)state;
	start_without_one(w);
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_READ, .off = w->raid->member[0].data_off,
	    .len = 16 * KIB, .delay_ms = 100 });
	assert_int_equal(add(w, 1, false), 0);
	wait_ms(w, 30);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.task, RAID_TASK_REBUILD);
	assert_int_equal(member_recovered(&w->raid->member[1]), 0);
	while (place.role != 1)
		raid_map_locate(&w->raid->map, off += 16 * KIB, &place);
	reads = w->raid->member[1].reads;
	writes = w->raid->member[1].writes;
	assert_int_equal(do_io(raid_blk(w->raid), IO_READ, off, 4096, w->seen,
	    0), 0);
	assert_memory_equal(w->seen, w->model + off, 4096);
	assert_int_equal(w->raid->member[1].reads, reads + 1);
	assert_int_equal(w->raid->degraded_reads, 0);
	assert_int_equal(do_write(raid_blk(w->raid), off, 4096, 8, 0), 0);
	memset(w->model + off, 8, 4096);
	assert_int_equal(w->raid->member[1].writes, writes + 1);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.member[1].write_bytes, 64 * KIB + 4096);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
only_touched_pieces_are_copied(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0, RAID_POLICY_PPL);
	assert_int_equal(array_stop(w), 0);	/* all is on stable media */
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = ENODEV });
	assert_int_equal(do_write(raid_blk(w->raid), 3 * MIB, 4096, 9, 0), 0);
	memset(w->model + 3 * MIB, 9, 4096);
	assert_int_equal(array_stop(w), 0);
	blk_fault_clear(w->fault[1]);
	assemble_without(w, &as, 1u << 1, false);
	assert_non_null(as.raid);
	assert_int_equal(add(w, 1, false), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.member[1].write_bytes, 64 * KIB);
	compare_all(w);
	check_redundant(w, 0);
	assert_int_equal(world_stop(w), 0);
}

/*
 * A member with a volatile cache loses power alone: what it had taken but not
 * flushed is copied as well when it returns.
 */
static void
what_a_lost_cache_held_is_copied(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned round = 1; round <= 8; round++) {
		start(w, 3, 0, round % 2 == 0 ? RAID_POLICY_PPL :
		    RAID_POLICY_RESYNC);
		assert_int_equal(do_flush(raid_blk(w->raid)), 0);
		blk_fault_volatile_cache(w->fault[1], true);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(batch(w, 8192), 0);
		blk_fault_power_cut(w->fault[1], round);
		assert_int_equal(batch(w, 8192), 0);
		assert_int_equal(array_stop(w), 0);
		blk_fault_power_on(w->fault[1]);
		blk_fault_volatile_cache(w->fault[1], false);
		assemble_without(w, &as, 1u << 1, true);
		assert_non_null(as.raid);
		assert_int_equal(add(w, 1, false), 0);
		wait_for_task(w);
		assert_int_equal(info.degraded, 0);
		compare_all(w);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
scrub(struct world *w, bool repair)
{
	struct err err = { 0 };

	assert_int_equal(raid_scrub(w->raid, repair, &err), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(batch(w, 50 * 1024), 0);
	wait_for_task(w);
}

static void
scrub_names_and_repairs_what_is_wrong(void **state)
{
	struct world *w = &world;
	struct raid_scrub_record record;
	const struct raid_mismatch *list = record.list;
	struct err err = { 0 };
	unsigned st[3] = { 101, 120, 125 };

	(void)state;
	start(w, 4, 0, RAID_POLICY_PPL);
	scrub(w, false);
	assert_int_equal(info.mismatches, 0);
	for (unsigned i = 0; i < 3; i++) {	/* spoil parity */
		unsigned p = raid_map_parity(&w->raid->map, st[i]);

		assert_int_equal(do_io(raid_blk(w->raid), IO_WRITE,
		    (uint64_t)st[i] * 3 * 16384, 3 * 16384, w->model +
		    (uint64_t)st[i] * 3 * 16384, 0), 0);
		blk_ram_data(w->ram[p])[w->raid->member[p].data_off +
		    st[i] * 16384 + 8192 + i] ^= 4;
	}
	assert_int_equal(raid_scrub(w->raid, false, &err), 0);
	assert_int_equal(raid_scrub(w->raid, false, NULL), -EBUSY);
	wait_for_task(w);
	assert_int_equal(info.mismatches, 3);
	raid_get_scrub(w->raid, &record);
	assert_int_equal(record.state, RAID_SCRUB_FINISHED);
	assert_int_equal(record.nlisted, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(list[i].member_off, st[i] * 16384 + 8192);
		assert_int_equal(list[i].off, st[i] * 3 * 16384 + 8192);
		assert_int_equal(list[i].parity,
		    raid_map_parity(&w->raid->map, st[i]));
	}
	assert_int_equal(raid_scrub(w->raid, true, &err), 0);
	wait_for_task(w);
	assert_int_equal(info.mismatches, 3);
	assert_int_equal(parity_errors(w), 0);
	scrub(w, false);
	assert_int_equal(info.mismatches, 0);
	assert_int_equal(fail_member_now(w, 0), 0);
	assert_int_equal(raid_scrub(w->raid, false, &err), -EBUSY);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_scrub_can_be_cancelled(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	start(w, 3, 0, RAID_POLICY_RESYNC);
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_DELAY,
	    .delay_ms = 5, .kinds = 1u << IO_READ });
	assert_int_equal(raid_scrub(w->raid, false, &err), 0);
	wait_ms(w, 12);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.task, RAID_TASK_CHECK);
	raid_task_cancel(w->raid);
	wait_for_task(w);
	assert_int_equal(raid_scrub(w->raid, false, &err), 0);
	assert_int_equal(world_stop(w), 0);
}

/* This spare is rebuilt in place of member 0, and found as that. */
static void
check_takes_over(struct world *w, unsigned spare)
{
	assert_int_equal(fail_member_now(w, 0), 0);
	do {
		wait_ms(w, 5);
		raid_get_info(w->raid, &info);
	} while (info.degraded > 0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 0, false);
	if (as.raid == NULL)
		print_message("%s\n", as.err.text);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.member[0].path, w->keep[spare].blk.name);
	compare_all(w);
}

/* Else the next disk got it, and both were found with one entry. */
static void
a_faulty_spare_keeps_its_number(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	assert_int_equal(add(w, 3, false), 0);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_WRITE });
	wait_ms(w, SAFE_MODE_MS + 100);		/* clean superblocks */
	raid_get_info(w->raid, &info);
	assert_int_equal(info.nmembers, 3);
	assert_string_equal(w->last_told, "spare disk3 is let go");
	blk_fault_clear(w->fault[3]);
	assert_int_equal(add(w, 4, false), 0);
	check_takes_over(w, 4);
	assert_int_equal(as.nrejected, 1);
	assert_int_equal(as.rejected[0].why.code, ESTALE);
	assert_int_equal(world_stop(w), 0);
}

static void
a_pulled_spare_is_let_go_and_may_come_back(void **state)
{
	struct world *w = &world;
	unsigned told;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	assert_int_equal(add(w, 3, false), 0);
	assert_int_equal(add(w, 4, false), 0);
	told = w->told;
	assert_int_equal(fail_path_now(w, "disk3"), 0);
	wait_ms(w, 50);
	assert_int_equal(w->told, told + 2);	/* and of no task */
	assert_string_equal(w->last_told, "spare disk3 is let go");
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.nmembers, 4);
	assert_string_equal(info.member[3].path, "disk4");
	assert_int_equal(fail_path_now(w, "disk3"), EINVAL);
	assert_int_equal(batch(w, 100 * 1024), 0);
	assert_int_equal(fail_path_now(w, "disk4"), 0);
	assert_int_equal(add(w, 3, false), 0);
	check_takes_over(w, 3);
	assert_int_equal(world_stop(w), 0);
}

static void
a_disk_that_is_pulled_while_it_is_filled_leaves(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_DELAY,
	    .delay_ms = 5, .kinds = 1u << IO_WRITE });
	assert_int_equal(fail_member_now(w, 1), 0);
	assert_int_equal(add(w, 3, false), 0);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.member[1].state != RAID_MEMBER_REBUILDING);
	assert_int_equal(fail_path_now(w, "disk0"), EBUSY);
	assert_int_equal(fail_path_now(w, "disk3"), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	assert_int_equal(info.degraded, 1);
	assert_int_equal(batch(w, 100 * 1024), 0);
	assert_int_equal(add(w, 4, false), 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_spare_whose_number_was_given_away_is_stale(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	assert_int_equal(add(w, 3, false), 0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 3, false);
	assert_non_null(as.raid);
	assert_int_equal(add(w, 4, true), 0);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 2; i++) {
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		assert_int_equal(as.nrejected, 1 - i);
		if (i == 1)
			continue;
		assert_ptr_equal(as.rejected[0].blk, &w->keep[3].blk);
		assert_int_equal(as.rejected[0].why.code, ESTALE);
		assert_int_equal(add(w, 3, true), 0);
		assert_int_equal(array_stop(w), 0);
	}
	raid_get_info(w->raid, &info);
	assert_int_equal(info.nmembers, 5);
	check_takes_over(w, 3);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_faulty_spare_keeps_its_number),
		cmocka_unit_test(a_pulled_spare_is_let_go_and_may_come_back),
		cmocka_unit_test(
		    a_disk_that_is_pulled_while_it_is_filled_leaves),
		cmocka_unit_test(a_spare_whose_number_was_given_away_is_stale),
		cmocka_unit_test(a_new_disk_is_rebuilt_under_load),
		cmocka_unit_test(
		    a_request_does_not_wait_for_all_of_a_rebuild),
		cmocka_unit_test(a_probe_of_a_dead_disk_ends),
		cmocka_unit_test(a_member_that_is_asked_does_not_move),
		cmocka_unit_test(a_spare_that_is_asked_does_not_move),
		cmocka_unit_test(a_spare_takes_over_by_itself),
		cmocka_unit_test(a_rebuild_goes_on_where_it_stopped),
		cmocka_unit_test(a_rebuild_survives_a_power_cut),
		cmocka_unit_test(
		    a_promoted_spare_that_does_not_know_is_rebuilt),
		cmocka_unit_test(
		    the_new_disk_failing_leaves_the_array_as_it_was),
		cmocka_unit_test(
		    a_bad_sector_loses_its_blocks_and_the_rebuild_goes_on),
		cmocka_unit_test(what_must_not_be_added_is_refused),
		cmocka_unit_test(a_former_member_may_come_back),
		cmocka_unit_test(
		    a_pulled_member_is_added_by_copying_what_it_missed),
		cmocka_unit_test(after_a_foreign_writer_all_is_copied),
		cmocka_unit_test(only_touched_pieces_are_copied),
		cmocka_unit_test(a_pulled_member_serves_what_it_has),
		cmocka_unit_test(
		    a_write_begun_without_the_member_is_copied_too),
		cmocka_unit_test(what_a_lost_cache_held_is_copied),
		cmocka_unit_test(scrub_names_and_repairs_what_is_wrong),
		cmocka_unit_test(a_scrub_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
