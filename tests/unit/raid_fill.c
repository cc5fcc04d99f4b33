/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/fill.c, lack*.c: a member that is filled in any order, its record.  */
#include "tests/unit/raid_util.h"

#define CHUNK 16384u
#define SPARE 3u

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

/* What is used, in array bytes; sorted. */
static struct range used[4];
static unsigned nused;

static uint64_t
next_used(void *arg, uint64_t off, uint64_t *end)
{
	assert_ptr_equal(arg, used);
	for (unsigned i = 0; i < nused; i++) {
		if (off >= used[i].hi)
			continue;
		*end = used[i].hi;
		return MAX(off, used[i].lo);
	}
	return UINT64_MAX;
}

static void
use(uint64_t lo, uint64_t hi)
{
	assert_true(nused < nitems(used));
	used[nused++] = (struct range){ lo, hi };
}

/* Three members with data, and two disks more. */
static void
start(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	nused = 0;
	world_disks(w, 5, 2 * MIB, 512);
	w->n = 3;
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 200 * 1024), 0);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	raid_set_used(w->raid, next_used, used);
}

/* Member 1 is lost and a slow spare takes its place. */
static void
lose_and_add(struct world *w, unsigned write_ms)
{
	assert_int_equal(fail_member_now(w, 1), 0);
	add_fault(w, SPARE, (struct fault_rule){ .action = FAULT_DELAY,
	    .delay_ms = write_ms, .kinds = 1u << IO_WRITE,
	    .off = w->raid->member[0].data_off, .len = 2 * MIB });
	assert_int_equal(add(w, SPARE, false), 0);
}

static const struct lack *
lack(const struct world *w)
{
	assert_non_null(w->raid->member[1].lack);
	return w->raid->member[1].lack;
}

/* Of the array bytes [lo, hi): what is lacking of the member, in bytes. */
static uint64_t
lacking(const struct world *w, uint64_t lo, uint64_t hi)
{
	return ranges_bytes_in(&lack(w)->now, lo / 2, hi / 2);
}

static void
restart(struct world *w, bool tags)
{
	for (unsigned i = 0; i < w->ndisks && !tags; i++) {
		uint8_t *raw = blk_ram_data(w->ram[i]) + SB1_OFFSET;
		struct sb1 sb;

		if (sb1_decode(&sb, raw, SB1_BYTES, NULL) != 0)
			continue;
		sb.utime &= SB1_TIME_MASK;	/* as Linux writes it */
		sb1_encode(&sb, raw);
	}
	assemble_without(w, &as, 1u << 1 | 1u << 4, false);
	if (as.raid == NULL)
		print_message("%s\n", as.err.text);
	assert_non_null(as.raid);
	raid_set_used(w->raid, next_used, used);
}

/* All disks lose power: what they have not flushed is a matter of luck. */
static void
cut_power(struct world *w, uint64_t seed)
{
	for (unsigned i = 0; i < w->ndisks; i++)
		if (i != 1)
			blk_fault_power_cut(w->fault[i], seed + i);
	array_stop(w);
	for (unsigned i = 0; i < w->ndisks; i++) {
		blk_fault_clear(w->fault[i]);
		if (i != 1)
			blk_fault_power_on(w->fault[i]);
	}
}

/* Every member is dispensable: the bytes are there without it. */
static void
finish(struct world *w)
{
	blk_fault_clear(w->fault[SPARE]);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 0);
	assert_false(info.used_known);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 4; i++) {
		if (i == 1)
			continue;
		assemble_without(w, &as, 1u << 1 | 1u << 4 | 1u << i, true);
		assert_non_null(as.raid);
		compare_all(w);
		assert_int_equal(array_stop(w), 0);
	}
	world_free(w);
}

static void
what_is_used_is_filled_first(void **state)
{
	struct world *w = &world;
	uint64_t bytes = 768 * KIB;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(MIB + 4096, MIB + 512 * KIB);
	use(3 * MIB, 3 * MIB + 256 * KIB);
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
		assert_true(info.used_known && info.used_left <= bytes / 2);
	} while (info.used_left > 0);
	assert_int_equal(info.task, RAID_TASK_REBUILD);
	assert_int_equal(lacking(w, MIB, MIB + 512 * KIB), 0);
	assert_int_equal(lacking(w, 3 * MIB, 3 * MIB + 256 * KIB), 0);
	assert_true(info.task_done >= bytes / 2);
	assert_true(info.task_done < bytes / 2 + 512 * KIB);
	assert_int_equal(batch(w, 100 * 1024), 0);
	assert_int_equal(info.degraded, 1);
	assert_true(info.task_eta >= info.used_eta);
	finish(w);
}

static void
what_comes_into_use_meanwhile_counts(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	use(0, 64 * KIB);
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	use(2 * MIB, 3 * MIB);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.used_left, 512 * KIB);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	assert_true(lacking(w, 0, w->size) > 512 * KIB);
	/* What is used no longer can wait. */
	nused = 0;
	finish(w);
}

/* Nobody knows: from the start on, as ever. */
static void
without_knowledge_the_order_is_plain(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	raid_set_used(w->raid, NULL, NULL);
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
		assert_false(info.used_known);
		assert_true(info.degraded == 0 || w->raid->missing != 0 ||
		    w->raid->member[1].lack->now.n <= SWEEP_BATCH);
	} while (info.task_done < MIB);
	finish(w);
}

/* md counts from the start on; what else is there is our own business. */
static void
linux_is_told_of_a_prefix_only(void **state)
{
	struct world *w = &world;
	struct sb1 sb;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(0, 128 * KIB);
	use(3 * MIB, 4 * MIB - 128 * KIB);
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	assert_int_equal(array_stop(w), 0);	/* with a checkpoint */
	assert_int_equal(sb1_decode(&sb, blk_ram_data(w->ram[SPARE]) +
	    SB1_OFFSET, SB1_BYTES, NULL), 0);
	assert_int_equal(sb.feature_map & (SB1_RECOVERY | SB1_RECOVERY_BITMAP),
	    SB1_RECOVERY);
	assert_true(sb.recovery_offset >= 64 * KIB / SECTOR);
	assert_true(sb.recovery_offset < 1536 * KIB / SECTOR);
	restart(w, true);
	assert_int_equal(member_checkpoint(&w->raid->member[1]),
	    sb.recovery_offset * SECTOR);
	assert_int_equal(lacking(w, 3 * MIB, 4 * MIB - 128 * KIB), 0);
	finish(w);
}

/*
 * The machine dies at one checkpoint after the other, with caches that lose
 * what was not flushed, or without (a kill), while data is being written.
 */
static void
a_rebuild_out_of_order_survives_its_death(void **state)
{
	struct world *w = &world;
	unsigned kept = 0;

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		bool caches = round % 2 == 0;
		uint64_t generation;

		start(w, RAID_POLICY_PPL);
		use(512 * KIB, MIB);
		use(2 * MIB, 4 * MIB - 256 * KIB);
		for (unsigned i = 0; i < w->ndisks; i++)
			if (i != 1)
				blk_fault_volatile_cache(w->fault[i], caches);
		lose_and_add(w, 1 + round % 3);
		generation = w->raid->lack.generation + 1 + round / 3;
		do {
			assert_int_equal(batch(w, 16384), 0);
			assert_int_equal(do_flush(raid_blk(w->raid)), 0);
			throttle_init(&w->raid->sweep.throttle);
			raid_get_info(w->raid, &info);
		} while (info.degraded == 1 &&
		    w->raid->lack.generation < generation);
		wait_ms(w, round % 7);
		cut_power(w, round);
		restart(w, true);
		raid_get_info(w->raid, &info);
		if (info.degraded == 1)
			kept += lacking(w, 2 * MIB, w->size) < MIB;
		compare_all(w);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(batch(w, 50 * 1024), 0);
		finish(w);
	}
	assert_true(kept >= 5);
}

/* A record that is due before a flush says what was there at the last one. */
static void
what_is_not_flushed_is_not_recorded(void **state)
{
	struct world *w = &world;
	uint64_t generation;

	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++) {
		start(w, RAID_POLICY_PPL);
		wait_ms(w, 300);		/* the array is clean */
		blk_fault_volatile_cache(w->fault[SPARE], true);
		lose_and_add(w, 20);
		do {
			wait_ms(w, 1);
			raid_get_info(w->raid, &info);
		} while (info.task_done == 0);
		generation = w->raid->lack.generation;
		assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 7, 0), 0);
		memset(w->model, 7, 512);
		assert_true(w->raid->lack.generation > generation);
		cut_power(w, seed);
		restart(w, true);
		assert_true(lack(w)->recorded);
		compare_all(w);
		finish(w);
	}
}

/* An order that md does not know is trusted only if nobody else wrote. */
static void
after_a_foreign_writer_only_the_prefix_counts(void **state)
{
	struct world *w = &world;
	uint8_t *lost;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(2 * MIB, 3 * MIB);
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	assert_int_equal(array_stop(w), 0);
	/* It writes without the member, as beyond the prefix it does. */
	lost = blk_ram_data(w->ram[SPARE]) + 2 * MIB;
	memset(lost + MIB, 0xee, 512 * KIB);
	restart(w, false);
	assert_int_equal(lacking(w, 2 * MIB, 3 * MIB), 512 * KIB);
	assert_false(lack(w)->recorded);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	restart(w, true);		/* nor is the old record now */
	compare_all(w);
	finish(w);
}

/* Spoil what says what is there: then nothing is but what md knows. */
static void
a_damaged_record_is_not_believed(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(3 * MIB, 3 * MIB + 512 * KIB);
	lose_and_add(w, 60);
	for (unsigned broken = 0; broken < 4; broken++) {
		uint64_t area = lack_area(&w->raid->member[1]), gen[2];
		uint8_t *raw = blk_ram_data(w->ram[SPARE]) + area;
		bool good;

		do {
			wait_ms(w, 1);
			raid_get_info(w->raid, &info);
		} while (info.used_left > 0);
		assert_int_equal(array_stop(w), 0);
		memcpy(&gen[0], raw + 24, 8);
		memcpy(&gen[1], raw + LACK_SLOT + 24, 8);
		/* Of two copies the newer counts, and never the older. */
		good = (gen[0] >= gen[1] && (broken & 1) == 0) ||
		    (gen[1] >= gen[0] && (broken & 2) == 0);
		for (unsigned slot = 0; slot < 2; slot++)
			raw[slot * LACK_SLOT + 70] ^= broken >> slot & 1;
		restart(w, true);
		assert_int_equal(lack(w)->recorded, good);
		assert_int_equal(lacking(w, 3 * MIB, 3 * MIB +
		    512 * KIB), good ? 0 : 256 * KIB);
	}
	finish(w);
}

/*
 * The power goes between the data and the parity of a row that was filled out
 * of order: the replay of the log knows that the member has it.
 */
static void
a_row_filled_out_of_order_is_replayed(void **state)
{
	struct world *w = &world;
	struct map_place place = { .role = 0 };
	uint64_t off = 2 * MIB;
	unsigned parity;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(2 * MIB, 3 * MIB);
	lose_and_add(w, 60);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	while (place.role != 1)
		raid_map_locate(&w->raid->map, off += CHUNK, &place);
	parity = raid_map_parity(&w->raid->map, place.stripe);
	add_fault(w, parity, (struct fault_rule){ .action = FAULT_STALL,
	    .kinds = 1u << IO_WRITE, .len = CHUNK, .off =
	    w->raid->member[parity].data_off + place.stripe * CHUNK });
	memset(w->buf[0], 7, 4096);
	one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, off, 4096,
	    w->buf[0], 0);
	memset(w->model + off, 7, 4096);
	wait_ms(w, 150);
	assert_false(w->io[0].op.ended);
	cut_power(w, 1);
	restart(w, true);
	assert_true(lack(w)->recorded);
	compare_all(w);
	finish(w);
}

/* A pause, with data written into what is there and what is not. */
static void
a_paused_rebuild_goes_on_in_its_order(void **state)
{
	struct world *w = &world;
	uint64_t left;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(MIB, 2 * MIB);
	lose_and_add(w, 5);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.task_done == 0);
	raid_task_cancel(w->raid);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 1);
	assert_true(info.used_known);
	left = info.used_left;
	assert_true(left > 0 && left < 512 * KIB);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.used_left, left);
	assert_int_equal(array_stop(w), 0);
	restart(w, true);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.used_left, left);
	finish(w);
}

/* The spare fails in turn; the next begins at nothing. */
static void
a_second_spare_begins_anew(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(MIB, 2 * MIB);
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	assert_int_equal(fail_member_now(w, 1), 0);
	assert_int_equal(batch(w, 100 * 1024), 0);
	compare_all(w);
	assert_int_equal(add(w, 4, false), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.member[1].path, "disk4");
	assert_true(info.member[1].write_bytes >= 2 * MIB);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* What follows from a bad sector is lost, and listed; the rest is filled. */
static void
a_bad_sector_in_what_is_used_is_listed(void **state)
{
	struct world *w = &world;
	unsigned failed = 0;
	uint8_t block[4096];

	(void)state;
	start(w, RAID_POLICY_PPL);
	use(2 * MIB, 3 * MIB);
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_READ, .len = 512,
	    .off = w->raid->member[2].data_off + MIB + 4 * CHUNK });
	lose_and_add(w, 3);
	do {
		wait_ms(w, 1);
		raid_get_info(w->raid, &info);
	} while (info.used_left > 0);
	cut_power(w, 1);
	restart(w, true);
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_READ, .len = 512,
	    .off = w->raid->member[2].data_off + MIB + 4 * CHUNK });
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].bad_bytes, 4096);
	for (uint64_t off = 0; off < w->size; off += 4096) {
		if (do_io(raid_blk(w->raid), IO_READ, off, 4096, block, 0) ==
		    0)
			assert_memory_equal(block, w->model + off, 4096);
		else
			failed++;
	}
	assert_int_equal(failed, 2);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_is_filled_first),
		cmocka_unit_test(what_comes_into_use_meanwhile_counts),
		cmocka_unit_test(without_knowledge_the_order_is_plain),
		cmocka_unit_test(linux_is_told_of_a_prefix_only),
		cmocka_unit_test(a_rebuild_out_of_order_survives_its_death),
		cmocka_unit_test(what_is_not_flushed_is_not_recorded),
		cmocka_unit_test(
		    after_a_foreign_writer_only_the_prefix_counts),
		cmocka_unit_test(a_damaged_record_is_not_believed),
		cmocka_unit_test(a_row_filled_out_of_order_is_replayed),
		cmocka_unit_test(a_paused_rebuild_goes_on_in_its_order),
		cmocka_unit_test(a_second_spare_begins_anew),
		cmocka_unit_test(a_bad_sector_in_what_is_used_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
