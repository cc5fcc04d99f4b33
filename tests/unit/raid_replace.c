/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/replace.c, place.c: a member is replaced by copy. */
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

/* Disk i, added as a spare, is to replace member `role`. */
static int
replace(struct world *w, unsigned role, unsigned i, struct err *err)
{
	char path[16];

	snprintf(path, sizeof(path), "disk%u", i);
	return raid_replace(w->raid, role, path, err);
}

static void
begin(struct world *w, unsigned role, unsigned i)
{
	struct err err = { 0 };

	assert_int_equal(add(w, i, false), 0);
	assert_int_equal(replace(w, role, i, &err), 0);
}

/* Each write to disk i takes so long. */
static void
slow_writes(struct world *w, unsigned i, uint64_t ms)
{
	add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
	    .delay_ms = ms, .kinds = 1u << IO_WRITE });
}

static void
wait_for_part(struct world *w, uint64_t part)
{
	do {
		wait_ms(w, 2);
		raid_get_info(w->raid, &info);
	} while (info.task != RAID_TASK_REPLACE || info.task_done < part);
	assert_true(info.task_done < info.task_total);
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
check_replaced(struct world *w, unsigned role, unsigned i)
{
	char path[16];

	snprintf(path, sizeof(path), "disk%u", i);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.nmembers, w->n);
	assert_string_equal(info.member[role].path, path);
	assert_int_equal(info.member[role].state, RAID_MEMBER_IN_SYNC);
}

static void
a_member_is_replaced_under_load(void **state)
{
	struct world *w = &world;
	const enum raid_policy policy[] = { RAID_POLICY_PPL,
		RAID_POLICY_BITMAP, RAID_POLICY_RESYNC };

	(void)state;
	for (unsigned role = 0; role < 3; role++) {
		start(w, 3, 1, policy[role]);
		slow_writes(w, 3, 1);
		begin(w, role, 3);
		for (unsigned i = 0; i < 20; i++) {
			assert_int_equal(batch(w, 20 * 1024), 0);
			raid_get_info(w->raid, &info);
			assert_int_equal(info.degraded, 0);
		}
		wait_task_end(w, &info);
		check_replaced(w, role, 3);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 20 * 1024), 0);
		compare_all(w);
		check_redundant(w, 1u << role);
		assert_int_equal(array_stop(w), 0);
		/* The old disk is known to be out of date. */
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		assert_int_equal(as.nrejected, 1);
		assert_ptr_equal(as.rejected[0].blk, &w->keep[role].blk);
		check_replaced(w, role, 3);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
while_it_runs_both_are_shown(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	start(w, 4, 2, RAID_POLICY_PPL);
	slow_writes(w, 4, 2);
	begin(w, 2, 4);
	wait_for_part(w, 1);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.nmembers, 5);
	assert_int_equal(info.member[2].state, RAID_MEMBER_IN_SYNC);
	assert_string_equal(info.member[2].path, "disk2");
	assert_int_equal(info.member[4].state, RAID_MEMBER_REPLACING);
	assert_string_equal(info.member[4].path, "disk4");
	assert_int_equal(info.member[4].role, 2);
	assert_int_equal(add(w, 5, false), 0);
	assert_int_equal(replace(w, 1, 5, &err), -EBUSY);
	assert_int_equal(replace(w, 2, 5, &err), -EBUSY);
	wait_task_end(w, &info);
	assert_int_equal(replace(w, 9, 5, &err), -EINVAL);
	assert_int_equal(replace(w, 1, 4, &err), -ENOENT);
	assert_int_equal(replace(w, 1, 5, &err), 0);
	wait_task_end(w, &info);
	check_replaced(w, 1, 5);
	check_redundant(w, 1u << 1 | 1u << 2);
	assert_int_equal(world_stop(w), 0);
}

/* As long as the copy runs any member may fail, and nothing is lost. */
static void
the_array_stays_redundant(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned lost = 0; lost < 4; lost++) {
		start(w, 4, 1, RAID_POLICY_PPL);
		slow_writes(w, 4, 5);
		begin(w, 1, 4);
		wait_for_part(w, 256 * KIB);
		assert_int_equal(fail_member_now(w, lost), 0);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 100 * 1024), 0);
		compare_all(w);
		blk_fault_clear(w->fault[4]);
		wait_task_end(w, &info);
		/* The new disk is where it is needed most. */
		check_replaced(w, lost, 4);
		compare_all(w);
		check_redundant(w, 1u << lost);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
parity_stands_in_for_bad_sectors_of_the_old_disk(void **state)
{
	struct world *w = &world;
	uint64_t off;

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	off = w->raid->member[0].data_off;
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_READ, .len = 512,
	    .off = off + 64 * 16384 });
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_READ, .len = 40000,
	    .off = off + 7 * 16384 });
	begin(w, 0, 3);
	wait_task_end(w, &info);
	check_replaced(w, 0, 3);
	compare_all(w);
	check_redundant(w, 1u << 0);
	assert_int_equal(world_stop(w), 0);
}

/* Of both: the new disk has it in its bad-block log. */
static void
what_cannot_be_told_is_listed(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 2; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = EIO, .kinds = 1u << IO_READ, .len = 512,
		    .off = w->raid->member[i].data_off + 64 * 16384 });
	begin(w, 0, 3);
	wait_task_end(w, &info);
	check_replaced(w, 0, 3);
	assert_int_equal(info.member[0].bad_bytes, 4096);
	blk_fault_clear(w->fault[0]);
	blk_fault_clear(w->fault[1]);
	compare_all(w);			/* and is reconstructed now */
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 0, false);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* No row of the new disk can be written there, or listed: it is given up. */
static void
stuck_it_can_be_given_up(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 2; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = EIO, .kinds = 1u << IO_READ, .len = 8 * MIB,
		    .off = w->raid->member[i].data_off + 64 * 16384 });
	assert_int_equal(add(w, 3, false), 0);
	w->raid->spare[0].bblog.max = 0;
	assert_int_equal(replace(w, 0, 3, NULL), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.member[3].state, RAID_MEMBER_REPLACING);
	raid_task_cancel(w->raid);
	wait_task_end(w, &info);
	assert_int_equal(info.member[3].state, RAID_MEMBER_SPARE);
	assert_string_equal(info.member[0].path, "disk0");
	blk_fault_clear(w->fault[0]);
	blk_fault_clear(w->fault[1]);
	compare_all(w);
	/* The spare is as good as any. */
	assert_int_equal(fail_member_now(w, 1), 0);
	wait_task_end(w, &info);
	check_replaced(w, 1, 3);
	check_redundant(w, 1u << 1);
	assert_int_equal(world_stop(w), 0);
}

static void
when_the_old_disk_dies_it_goes_on_as_a_rebuild(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		unsigned kinds = round % 2 == 0 ? 0 : 1u << IO_WRITE;

		start(w, 4, 1, RAID_POLICY_PPL);
		slow_writes(w, 4, 5);
		begin(w, 3, 4);
		wait_for_part(w, MIB);
		add_fault(w, 3, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = kinds == 0 ? ENODEV : EIO, .kinds = kinds,
		    .skip = round });
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 20 * 1024), 0);
		blk_fault_clear(w->fault[4]);
		wait_task_end(w, &info);
		check_replaced(w, 3, 4);
		compare_all(w);
		check_redundant(w, 1u << 3);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
what_was_copied_is_not_rebuilt(void **state)
{
	struct world *w = &world;
	uint64_t before, reads;

	(void)state;
	start(w, 4, 1, RAID_POLICY_PPL);
	wait_ms(w, 300);
	slow_writes(w, 4, 5);
	begin(w, 3, 4);
	wait_for_part(w, MIB);
	before = w->raid->member[0].read_bytes;
	assert_int_equal(fail_member_now(w, 3), 0);
	blk_fault_clear(w->fault[4]);
	wait_task_end(w, &info);
	check_replaced(w, 3, 4);
	reads = w->raid->member[0].read_bytes - before;
	assert_in_range(reads, 256 * KIB, MIB + 256 * KIB);
	check_redundant(w, 1u << 3);
	assert_int_equal(world_stop(w), 0);
}

static void
when_the_new_disk_dies_nothing_is_lost(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		start(w, 3, 2, RAID_POLICY_PPL);
		add_fault(w, 3, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = round % 2 == 0 ? EIO : ENODEV,
		    .kinds = 1u << IO_WRITE | 1u << IO_FLUSH,
		    .skip = 3 + 8 * round });
		begin(w, 1, 3);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 50 * 1024), 0);
		wait_task_end(w, &info);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.degraded, 0);
		assert_string_equal(info.member[1].path, "disk1");
		compare_all(w);
		begin(w, 1, 4);
		wait_task_end(w, &info);
		check_replaced(w, 1, 4);
		check_redundant(w, 1u << 1 | 1u << 3);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
a_new_disk_that_is_pulled_is_let_go(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 2, RAID_POLICY_PPL);
	slow_writes(w, 3, 3);
	begin(w, 1, 3);
	wait_for_part(w, 64 * 1024);
	assert_int_equal(fail_path_now(w, "disk3"), 0);
	wait_ms(w, 100);
	assert_string_equal(w->last_told, "disk3 is let go");
	raid_get_info(w->raid, &info);
	assert_int_equal(info.nmembers, 3);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.task, RAID_TASK_NONE);
	begin(w, 1, 4);
	do {
		wait_ms(w, 5);
		raid_get_info(w->raid, &info);
	} while (strcmp(info.member[1].path, "disk4") != 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
cancelled_it_leaves_a_spare(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	start(w, 3, 1, RAID_POLICY_BITMAP);
	slow_writes(w, 3, 2);
	begin(w, 1, 3);
	wait_for_part(w, 64 * KIB);
	raid_task_cancel(w->raid);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 20 * 1024), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.nmembers, 4);
	assert_int_equal(info.member[3].state, RAID_MEMBER_SPARE);
	assert_int_equal(info.member[3].role, -1);
	assert_string_equal(info.member[1].path, "disk1");
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[3].state, RAID_MEMBER_SPARE);
	/* Once more, to the end. */
	assert_int_equal(replace(w, 1, 3, &err), 0);
	wait_task_end(w, &info);
	check_replaced(w, 1, 3);
	check_redundant(w, 1u << 1);
	assert_int_equal(world_stop(w), 0);
}

static void
it_goes_on_where_it_was_stopped(void **state)
{
	struct world *w = &world;
	uint64_t done;

	(void)state;
	start(w, 3, 1, RAID_POLICY_RESYNC);
	slow_writes(w, 3, 10);
	begin(w, 1, 3);
	wait_for_part(w, 256 * KIB);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	assert_int_equal(as.nrejected, 0);
	done = member_recovered(&w->raid->heir);
	assert_in_range(done, 256 * KIB, w->raid->map.member_size - 1);
	blk_fault_clear(w->fault[3]);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	wait_task_end(w, &info);
	check_replaced(w, 1, 3);
	compare_all(w);
	check_redundant(w, 1u << 1);
	assert_int_equal(world_stop(w), 0);
}

/* All lose power; the disks' caches are volatile. */
static void
cut_power(struct world *w, uint64_t seed)
{
	for (unsigned i = 0; i < w->ndisks; i++)
		blk_fault_power_cut(w->fault[i], seed + i);
	array_stop(w);
	for (unsigned i = 0; i < w->ndisks; i++) {
		blk_fault_clear(w->fault[i]);
		blk_fault_power_on(w->fault[i]);
	}
}

/*
 * Power goes at the n-th write to the new disk, whatever that is: copy, echo,
 * superblock.  Writes before it that the model has are durable.
 */
static void
power_cut_at(struct world *w, enum raid_policy policy, unsigned n,
    uint64_t seed)
{
	start(w, 3, 1, policy);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	for (unsigned i = 0; i < 4; i++)
		blk_fault_volatile_cache(w->fault[i], true);
	assert_int_equal(add(w, 3, false), 0);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_STALL,
	    .kinds = 1u << IO_WRITE, .skip = n });
	(void)replace(w, 1, 3, NULL);
	/* The same bytes as before: no matter whether they arrive. */
	memcpy(w->buf[0], w->model + seed % 7 * 4096, 65536);
	one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, seed % 7 * 4096,
	    65536, w->buf[0], 0);
	wait_ms(w, 2 + n / 8);
	cut_power(w, seed);
	loop_run_op(w->loop, &w->io[0].op);
	assemble_without(w, &as, 0, false);
	if (as.raid == NULL)
		print_message("n %u: %s\n", n, as.err.text);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	compare_all(w);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(batch(w, 20 * 1024), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 0);
	if (strcmp(info.member[1].path, "disk3") == 0)
		check_redundant(w, 1u << 1);
	else
		check_redundant(w, 1u << 3);
	assert_int_equal(world_stop(w), 0);
}

static void
a_power_cut_leaves_a_whole_array(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 48; n++)
		power_cut_at(&world, n % 3 == 0 ? RAID_POLICY_RESYNC :
		    RAID_POLICY_PPL, n * 5 % 150, 1 + n);
}

/* An array whose copy is half done, durably so, and comes to no end. */
static void
start_half_done(struct world *w, enum raid_policy policy)
{
	uint64_t off;

	start(w, 3, 1, policy);
	assert_int_equal(add(w, 3, false), 0);
	slow_writes(w, 3, 10);
	assert_int_equal(replace(w, 1, 3, NULL), 0);
	wait_for_part(w, 256 * KIB);
	off = w->raid->heir.data_off;
	assert_int_equal(array_stop(w), 0);
	blk_fault_clear(w->fault[3]);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_STALL,
	    .kinds = 1u << IO_WRITE, .off = off + 1900 * KIB,
	    .len = MIB });
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	assert_true(member_checkpoint(&w->raid->heir) >= 256 * KIB);
}

/*
 * A write in flight reached one of both disks when power went: the row is
 * copied again, or the whole.
 */
static void
halves_of_a_write_are_made_equal(void **state)
{
	struct world *w = &world;
	const enum raid_policy policy[] = { RAID_POLICY_PPL,
		RAID_POLICY_BITMAP, RAID_POLICY_RESYNC };

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		unsigned late = round % 2 == 0 ? 3 : 1;
		unsigned chunk = round / 2 % 4;

		start_half_done(w, policy[round / 8]);
		add_fault(w, late, (struct fault_rule){ .action = FAULT_STALL,
		    .kinds = 1u << IO_WRITE, .off = w->raid->heir.data_off,
		    .len = 32768 });
		memset(w->buf[0], 0x77, 16384);
		one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE,
		    chunk * 16384, 16384, w->buf[0], 0);
		wait_ms(w, 20);
		assert_non_null(w->raid->heir.blk);
		cut_power(w, round);
		loop_run_op(w->loop, &w->io[0].op);
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		/* Old or new, but the same from now on. */
		assert_int_equal(do_io(raid_blk(w->raid), IO_READ, 0, 65536,
		    w->model, 0), 0);
		wait_task_end(w, &info);
		check_replaced(w, 1, 3);
		check_redundant(w, 1u << 1);
		assert_int_equal(world_stop(w), 0);
	}
}

/* Killed while idle, or with a log: not from the start again. */
static void
a_crash_does_not_begin_it_again(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned dirty = 0; dirty < 2; dirty++) {
		start_half_done(w, RAID_POLICY_PPL);
		if (dirty) {
			assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 7,
			    0), 0);
			memset(w->model, 7, 512);
		}
		add_fault(w, 0, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
		cut_power(w, 1);
		slow_writes(w, 3, 10);
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		assert_true(member_recovered(&w->raid->heir) >= 256 * KIB);
		blk_fault_clear(w->fault[3]);
		wait_task_end(w, &info);
		check_replaced(w, 1, 3);
		check_redundant(w, 1u << 1);
		assert_int_equal(world_stop(w), 0);
	}
}

/* The old disk is lost while power is off: the new one has its half. */
static void
the_old_disk_is_gone_at_the_next_start(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4, 1, RAID_POLICY_PPL);
	slow_writes(w, 4, 5);
	begin(w, 2, 4);
	wait_for_part(w, MIB);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 2, true);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[2].state, RAID_MEMBER_REBUILDING);
	assert_true(member_recovered(&w->raid->member[2]) >= MIB);
	blk_fault_clear(w->fault[4]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(batch(w, 20 * 1024), 0);
	wait_task_end(w, &info);
	check_replaced(w, 2, 4);
	check_redundant(w, 1u << 2);
	assert_int_equal(array_stop(w), 0);
	/* It comes back, and is out of date. */
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	assert_int_equal(as.nrejected, 1);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_missing_member_is_rebuilt_onto_the_new_disk(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	assert_int_equal(fail_member_now(w, 0), 0);
	slow_writes(w, 3, 1);
	assert_int_equal(add(w, 3, false), 0);
	(void)replace(w, 0, 3, &err);
	wait_task_end(w, &info);
	check_replaced(w, 0, 3);
	check_redundant(w, 1u << 0);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_member_is_replaced_under_load),
		cmocka_unit_test(while_it_runs_both_are_shown),
		cmocka_unit_test(the_array_stays_redundant),
		cmocka_unit_test(
		    parity_stands_in_for_bad_sectors_of_the_old_disk),
		cmocka_unit_test(what_cannot_be_told_is_listed),
		cmocka_unit_test(stuck_it_can_be_given_up),
		cmocka_unit_test(
		    when_the_old_disk_dies_it_goes_on_as_a_rebuild),
		cmocka_unit_test(what_was_copied_is_not_rebuilt),
		cmocka_unit_test(when_the_new_disk_dies_nothing_is_lost),
		cmocka_unit_test(a_new_disk_that_is_pulled_is_let_go),
		cmocka_unit_test(cancelled_it_leaves_a_spare),
		cmocka_unit_test(it_goes_on_where_it_was_stopped),
		cmocka_unit_test(a_power_cut_leaves_a_whole_array),
		cmocka_unit_test(halves_of_a_write_are_made_equal),
		cmocka_unit_test(a_crash_does_not_begin_it_again),
		cmocka_unit_test(the_old_disk_is_gone_at_the_next_start),
		cmocka_unit_test(a_missing_member_is_rebuilt_onto_the_new_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
