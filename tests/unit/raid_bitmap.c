/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/bitmap*.c: md's write-intent bitmap. */
#include "raid/bitmap.h"
#include "tests/unit/raid_util.h"

#define AREA (16 * 512)
#define PIECE 65536u

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

static uint8_t *
area(struct world *w, unsigned i)
{
	return blk_ram_data(w->ram[i]) + AREA;
}

static bool
bit(struct world *w, unsigned i, unsigned k)
{
	return (area(w, i)[BITMAP_HEAD + k / 8] >> k % 8 & 1) != 0;
}

/* An array whose bits stand for 64 KiB, all clear. */
static void
start(struct world *w, unsigned n)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n, 1 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, 16384,
	    RAID_POLICY_BITMAP);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < n; i++) {
		struct bitmap_sb sb;

		assert_true(bitmap_decode(&sb, area(w, i), 4096,
		    area(w, i) + 8));
		assert_int_equal(sb.chunksize, 64 * MIB);
		sb.chunksize = PIECE;
		sb.daemon_sleep = 1;
		bitmap_encode(&sb, area(w, i));
	}
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	assert_int_equal(w->raid->bitmap->nbits, 16);
}

/* The members vanish together. */
static void
pull_all(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 0, 0), -ENODEV);
	assert_int_equal(array_stop(w), EIO);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_clear(w->fault[i]);
}

static void
wait_for_task(struct world *w)
{
	do {
		wait_ms(w, 5);
		raid_get_info(w->raid, &info);
	} while (info.task != RAID_TASK_NONE);
}

static void
a_superblock_decodes_as_it_was_encoded(void **state)
{
	struct bitmap_sb sb, back;
	uint8_t buf[BITMAP_HEAD];

	(void)state;
	memset(&sb, 0, sizeof(sb));
	memcpy(sb.uuid, "0123456789abcdef", 16);
	sb.events = 7;
	sb.events_cleared = 6;
	sb.sync_size = 999;
	sb.state = BITMAP_STALE;
	sb.chunksize = 1 << 26;
	sb.daemon_sleep = 5;
	sb.write_behind = 3;
	sb.sectors_reserved = 8;
	bitmap_encode(&sb, buf);
	assert_memory_equal(buf, "bitm\4\0\0\0", 8);
	assert_int_equal(buf[24], 7);
	assert_int_equal(buf[55], 4);
	assert_true(bitmap_decode(&back, buf, sizeof(buf), sb.uuid));
	assert_memory_equal(&back, &sb, sizeof(sb));
	assert_false(bitmap_decode(&back, buf, 40, sb.uuid));
	for (unsigned i = 0; i < 24; i++) {
		buf[i] ^= 1;
		assert_false(bitmap_decode(&back, buf, sizeof(buf), sb.uuid));
		buf[i] ^= 1;
	}
	assert_int_equal(bitmap_chunk(10 * TIB, MIB), 64 * MIB);
	assert_int_equal(bitmap_chunk(10 * TIB, 4096), 512 * MIB);
}

static void
random_requests_agree_with_the_model(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4);
	for (unsigned i = 0; i < 30; i++) {
		if (i == 20)
			assert_int_equal(fail_member_now(w, 2), 0);
		assert_int_equal(batch(w, i % 2 == 0 ? 200 * 1024 : 8192), 0);
		if (i < 20)
			assert_int_equal(parity_errors(w), 0);
	}
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
bits_are_on_all_members_before_the_data(void **state)
{
	struct world *w = &world;
	struct bitmap_sb bsb;
	struct sb1 sb;

	(void)state;
	start(w, 3);
	for (unsigned k = 0; k < 16; k++)
		for (unsigned i = 0; i < 3; i++)
			assert_false(bit(w, i, k));
	assert_int_equal(do_write(raid_blk(w->raid), 5 * 2 * PIECE, 512, 1,
	    0), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(bit(w, i, 5));
		assert_false(bit(w, i, 4));
		assert_false(bit(w, i, 6));
		assert_int_equal(sb1_decode(&sb, area(w, i) - 4096,
		    SB1_BYTES, NULL), 0);
		assert_true(bitmap_decode(&bsb, area(w, i), 4096,
		    sb.set_uuid));
		assert_true(bsb.events >= sb.events);
	}
	/* One that cannot keep its bit is out before the write is done. */
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_WRITE, .off = AREA, .len = 4096 });
	assert_int_equal(do_write(raid_blk(w->raid), 9 * 2 * PIECE, 512, 1,
	    0), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	assert_true(bit(w, 0, 9) && bit(w, 2, 9));
	assert_int_equal(world_stop(w), 0);
}

static void
spoil(struct world *w, unsigned k)
{
	blk_ram_data(w->ram[0])[2 * MIB + k * PIECE + 9] ^= 1;
}

static void
only_marked_pieces_are_resynced(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3);
	assert_int_equal(do_write(raid_blk(w->raid), 5 * 2 * PIECE, 512, 1,
	    0), 0);
	assert_int_equal(do_write(raid_blk(w->raid), 12 * 2 * PIECE, 512, 1,
	    0), 0);
	pull_all(w);
	spoil(w, 5);	/* made right */
	spoil(w, 12);
	spoil(w, 3);	/* not looked at */
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	wait_for_task(w);
	assert_int_equal(parity_errors(w), 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_stale_or_foreign_bitmap_means_all_pieces(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		start(w, 3);
		assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 1, 0),
		    0);
		pull_all(w);
		for (unsigned i = 0; i < 3; i++)
			area(w, i)[how == 0 ? 24 : 8] = 0;
		spoil(w, 3);
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		wait_for_task(w);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

/* Each piece is marked in one copy only: they are taken together. */
static void
scenario_14_copies_of_the_bitmap_differ(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3);
	for (unsigned k = 2; k < 5; k++)
		assert_int_equal(do_write(raid_blk(w->raid), k * 2 * PIECE,
		    512, 1, 0), 0);
	pull_all(w);
	for (unsigned k = 2; k < 5; k++) {
		spoil(w, k);
		for (unsigned i = 0; i < 3; i++)
			if (i != k - 2)
				area(w, i)[BITMAP_HEAD + k / 8] &=
				    (uint8_t)~(1u << k % 8);
	}
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	wait_for_task(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
bits_are_cleared_when_it_is_quiet(void **state)
{
	struct world *w = &world;
	unsigned waited = 0;

	(void)state;
	start(w, 3);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 1, 0), 0);
	assert_true(bit(w, 0, 0));
	while (bit(w, 0, 0) && waited++ < 100)
		wait_ms(w, 200);
	assert_true(waited > 5 && waited < 100);
	for (unsigned i = 0; i < 3; i++)
		assert_false(bit(w, i, 0));
	assert_int_equal(world_stop(w), 0);
}

static void
dirty_and_degraded_is_refused(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 1, 0), 0);
	pull_all(w);
	assemble_without(w, &as, 1, true);
	assert_null(as.raid);
	world_free(w);
}

static void
a_new_member_gets_the_bitmap(void **state)
{
	struct world *w = &world;
	struct raid_add a = { .raid = NULL };

	(void)state;
	start(w, 4);
	assert_int_equal(do_write(raid_blk(w->raid), 2 * 3 * PIECE, 512, 1,
	    0), 0);
	memset(w->model + 2 * 3 * PIECE, 1, 512);
	assert_int_equal(fail_member_now(w, 1), 0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 2, false);
	assert_non_null(as.raid);
	a.raid = w->raid;
	a.blk = &w->keep[1].blk;
	raid_add_start(&a, NULL);
	loop_run_op(w->loop, &a.op);
	assert_int_equal(a.err.code, 0);
	wait_for_task(w);
	assert_int_equal(info.degraded, 0);
	assert_true(bit(w, 1, 2));
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_superblock_decodes_as_it_was_encoded),
		cmocka_unit_test(random_requests_agree_with_the_model),
		cmocka_unit_test(bits_are_on_all_members_before_the_data),
		cmocka_unit_test(only_marked_pieces_are_resynced),
		cmocka_unit_test(a_stale_or_foreign_bitmap_means_all_pieces),
		cmocka_unit_test(scenario_14_copies_of_the_bitmap_differ),
		cmocka_unit_test(bits_are_cleared_when_it_is_quiet),
		cmocka_unit_test(dirty_and_degraded_is_refused),
		cmocka_unit_test(a_new_member_gets_the_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
