/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who was away, or ahead, or heard of a change alone is not believed when it
 * is back: power cuts in the middle of an update of superblocks, and starts
 * without one of the disks.
 */
#include "tests/unit/raid_util.h"

#include <limits.h>
#include <unistd.h>

#define CHUNK 4096u

static struct world world;
static struct raid_assemble as;
static uint8_t new[4][4096];	/* superblocks, as saved */

static void
start(struct world *w, unsigned n, unsigned more, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n + more, 4 * MIB, 512);
	w->n = n;
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
}

static void
save(struct world *w, uint8_t sb[4][4096])
{
	for (unsigned i = 0; i < w->ndisks; i++)
		memcpy(sb[i], blk_ram_data(w->ram[i]) + SB1_OFFSET, 4096);
}

static void
put(struct world *w, unsigned i, uint8_t sb[4][4096])
{
	memcpy(blk_ram_data(w->ram[i]) + SB1_OFFSET, sb[i], 4096);
}

static void
cut_all(struct world *w)
{
	unsigned n = w->n;

	w->n = w->ndisks;
	lose_power(w, UINT_MAX);
	w->n = n;
}

static uint64_t
events(struct world *w, unsigned i)
{
	uint64_t e;

	memcpy(&e, blk_ram_data(w->ram[i]) + SB1_OFFSET + 200, 8);
	return e;
}

static uint32_t
features(struct world *w, unsigned i)
{
	uint32_t f;

	memcpy(&f, blk_ram_data(w->ram[i]) + SB1_OFFSET + 8, 4);
	return f;
}

/* Like assemble_without, but disk `first` is looked at first. */
static void
assemble_first(struct world *w, unsigned first)
{
	memset(&as, 0, sizeof(as));
	as.loop = w->loop;
	as.allow_degraded = true;
	as.blks[as.nblks++] = &w->keep[first].blk;
	for (unsigned i = 0; i < w->ndisks; i++)
		if (i != first)
			as.blks[as.nblks++] = &w->keep[i].blk;
	raid_assemble_start(&as, NULL);
	loop_run_op(w->loop, &as.op);
	w->raid = as.raid;
}

/*
 * The new disk alone knows that it has become the member; it is away, the
 * old one is written; then it is back.
 */
static void
an_heir_that_was_an_event_ahead_is_stale(void **state)
{
	struct world *w = &world;
	struct err err = { 0 };

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'a', 0), 0);
	assert_int_equal(add(w, 3, false), 0);
	assert_int_equal(raid_replace(w->raid, 0, "disk3", &err), 0);
	for (unsigned i = 0; i < 3; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_WRITE, .off = SB1_OFFSET, .len = 4096,
		    .delay_ms = 100 });
	do {
		wait_ms(w, 1);
	} while (events(w, 3) <= events(w, 1) || (features(w, 3) &
	    (SB1_RECOVERY | SB1_REPLACEMENT)) != 0);
	save(w, new);
	cut_all(w);
	for (unsigned i = 0; i < 3; i++)
		blk_fault_clear(w->fault[i]);
	for (unsigned i = 0; i < 4; i++)
		put(w, i, new);
	assemble_without(w, &as, 1u << 3, false);
	assert_non_null(w->raid);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'b',
	    IO_FUA), 0);
	lose_power(w, UINT_MAX);
	assemble_first(w, 3);
	assert_non_null(w->raid);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, 16 * CHUNK, 'b'), 1);
	assert_int_equal(world_stop(w), 0);
}

/* The superblocks of 1 and 2 are late, so that 0 is an event ahead. */
static void
late_sbs(struct world *w, unsigned from, uint64_t ms)
{
	for (unsigned i = from; i < 3; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_WRITE, .off = SB1_OFFSET, .len = 4096,
		    .delay_ms = ms });
}

static void
clear(struct world *w)
{
	for (unsigned i = 0; i < w->ndisks; i++)
		blk_fault_clear(w->fault[i]);
}

/*
 * A member that came back alone knows so, and what it lacks; away, and the
 * others, dirty, are written without an event; then it is back.
 */
static void
a_guided_member_that_was_an_event_ahead_is_stale(void **state)
{
	struct world *w = &world;
	uint64_t far = 96 * CHUNK;
	struct raid_add a;

	(void)state;
	start(w, 3, 0, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 112 * CHUNK, 'a', 0),
	    0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'b', 0), 0);
	late_sbs(w, 1, 30);
	a = (struct raid_add){ .raid = w->raid, .blk = &w->keep[0].blk };
	raid_add_start(&a, NULL);
	do {
		wait_ms(w, 1);
	} while (events(w, 0) <= events(w, 1) ||
	    (features(w, 0) & SB1_RECOVERY) == 0);
	save(w, new);
	cut_all(w);
	clear(w);
	for (unsigned i = 0; i < 3; i++)
		put(w, i, new);
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	assert_int_equal(do_write(raid_blk(w->raid), far, 16 * CHUNK, 'c',
	    IO_FUA), 0);
	lose_power(w, UINT_MAX);
	assemble_first(w, 0);
	assert_non_null(w->raid);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, 16 * CHUNK, 'b'), 1);
	assert_int_equal(reads_as(raid_blk(w->raid), far, 16 * CHUNK, 'c'), 1);
	assert_int_equal(world_stop(w), 0);
}

/*
 * One member alone says that the array is dirty; all are there, and a write
 * does not wait until the others say so, too.
 */
static void
a_write_waits_until_all_members_say_dirty(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'a', 0), 0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	save(w, new);
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'a', 0), 0);
	lose_power(w, UINT_MAX);
	put(w, 1, new);
	put(w, 2, new);
	late_sbs(w, 1, 1000);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	/* Chunk 1 is member 1's, and its parity comes late. */
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .off = w->raid->member[2].data_off,
	    .len = CHUNK, .delay_ms = 1000 });
	memset(w->buf[0], 'b', CHUNK);
	one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, CHUNK, CHUNK,
	    w->buf[0], 0);
	wait_ms(w, 100);
	lose_power(w, UINT_MAX);
	clear(w);
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, CHUNK, 'a'), 1);
	assert_int_equal(world_stop(w), 0);
}

/* On disks full of noise; the first resync has begun and takes long. */
static void
start_new(struct world *w, unsigned n)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n, 4 * MIB, 512);
	for (unsigned i = 0; i < n; i++) {
		w->keep[i].blk.geo.zero_fast = false;
		for (uint64_t k = 0; k < w->ram[i]->geo.size; k += 8)
			memcpy(blk_ram_data(w->ram[i]) + k,
			    &(uint64_t){ rnd(w) }, 8);
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .off = 3 * MIB, .len = 3 * MIB,
		    .delay_ms = 50 });
	}
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'a', 0),
	    0);
	assert_true(w->raid->doubt.blank);
}

/*
 * A member is lost while the array is new; before the superblocks say so
 * the power goes, but the record of doubt is written already.
 */
static void
a_new_array_stays_blank_until_a_loss_is_recorded(void **state)
{
	struct world *w = &world;
	struct raid_fail fail;
	struct map_place place;
	uint64_t off = 8 * MIB;
	unsigned n = 5;

	(void)state;
	start_new(w, n);
	for (unsigned i = 1; i < n; i++) {
		blk_fault_clear(w->fault[i]);
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_WRITE, .off = SB1_OFFSET, .len = 4096,
		    .delay_ms = 1000 });
	}
	fail = (struct raid_fail){ .raid = w->raid, .role = 0 };
	raid_fail_start(&fail, NULL);
	wait_ms(w, 100);
	lose_power(w, UINT_MAX);
	clear(w);
	for (unsigned i = 0; i < n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .off = 3 * MIB, .len = 3 * MIB,
		    .delay_ms = 20 });
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	raid_map_locate(&w->raid->map, off, &place);
	assert_int_equal(do_write(raid_blk(w->raid), off, CHUNK, 'd', 0), 0);
	assert_int_equal(reads_as(raid_blk(w->raid), off, CHUNK, 'd'), 1);
	assert_int_equal(fail_member_now(w, place.role), 0);
	assert_int_equal(reads_as(raid_blk(w->raid), off, CHUNK, 'd'), 1);
	assert_int_equal(world_stop(w), 0);
}

/*
 * An heir with half of a copy is away when a dirty array starts, and is
 * written without an event; then it is back.
 */
static void
an_heir_that_was_away_lacks_what_was_written(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	struct err err = { 0 };

	(void)state;
	start(w, 3, 1, RAID_POLICY_PPL);
	for (uint64_t off = 0; off < w->size; off += 64 * CHUNK)
		assert_int_equal(do_write(raid_blk(w->raid), off, MIN(64 *
		    CHUNK, w->size - off), 'a', 0), 0);
	assert_int_equal(add(w, 3, false), 0);
	add_fault(w, 3, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .off = 2 * MIB, .len = 4 * MIB,
	    .delay_ms = 3 });
	assert_int_equal(raid_replace(w->raid, 0, "disk3", &err), 0);
	do {
		wait_ms(w, 1);
	} while (w->raid->heir.blk == NULL ||
	    ranges_next(&w->raid->heir.lack->stable, 0) == 0);
	assert_int_equal(do_write(raid_blk(w->raid), w->size - CHUNK, CHUNK,
	    'a', 0), 0);
	wait_ms(w, 50);
	cut_all(w);
	clear(w);
	assemble_without(w, &as, 1u << 3, false);
	assert_non_null(w->raid);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'b',
	    IO_FUA), 0);
	/* The logs name other rows now. */
	assert_int_equal(do_write(raid_blk(w->raid), 64 * CHUNK, 16 * CHUNK,
	    'c', IO_FUA), 0);
	lose_power(w, UINT_MAX);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	wait_task_end(w, &info);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, 16 * CHUNK, 'b'), 1);
	assert_int_equal(world_stop(w), 0);
}

/*
 * The power goes in the first update without member 0: 1 alone knows.  The
 * next start has nothing to record, and writes; then 1 is away and 0 is back.
 */
static void
who_is_missing_is_recorded_by_all_before_a_write(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 64 * CHUNK, 'a', 0), 0);
	lose_power(w, UINT_MAX);
	late_sbs(w, 2, 1000);
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	/* It is not begun before that is recorded. */
	memset(w->buf[0], 'a', CHUNK);
	one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, 0, CHUNK,
	    w->buf[0], 0);
	do {
		wait_ms(w, 1);
	} while (events(w, 1) <= events(w, 2));
	lose_power(w, UINT_MAX);
	clear(w);
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'b',
	    IO_FUA), 0);
	lose_power(w, UINT_MAX);
	assemble_without(w, &as, 1u << 1, true);
	if (w->raid != NULL)	/* it should be refused */
		assert_int_equal(reads_as(raid_blk(w->raid), 0, 16 * CHUNK,
		    'b'), 1);
	assert_null(w->raid);
	world_free(w);
}

/* The same at a start without a member. */
static void
a_new_array_stays_blank_after_a_start_without_a_member(void **state)
{
	struct world *w = &world;
	unsigned n = 5;

	(void)state;
	start_new(w, n);
	lose_power(w, UINT_MAX);
	clear(w);
	for (unsigned i = 1; i < n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_WRITE, .off = SB1_OFFSET, .len = 4096,
		    .delay_ms = 1000 });
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	wait_ms(w, 400);	/* until it wants to be clean */
	lose_power(w, UINT_MAX);
	clear(w);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_true(w->raid->doubt.blank);
	assert_int_equal(world_stop(w), 0);
}

/* With a bitmap, too: a start without 0 has to be refused. */
static void
a_write_waits_with_a_bitmap_too(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0, RAID_POLICY_BITMAP);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	save(w, new);
	late_sbs(w, 1, 1000);
	memset(w->buf[0], 'a', CHUNK);
	one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, 0, CHUNK,
	    w->buf[0], 0);
	wait_ms(w, 50);
	lose_power(w, UINT_MAX);
	clear(w);
	late_sbs(w, 1, 1000);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_false(w->raid->dirty_on_disk);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_heir_that_was_an_event_ahead_is_stale),
		cmocka_unit_test(
		    a_guided_member_that_was_an_event_ahead_is_stale),
		cmocka_unit_test(a_write_waits_until_all_members_say_dirty),
		cmocka_unit_test(
		    a_new_array_stays_blank_until_a_loss_is_recorded),
		cmocka_unit_test(an_heir_that_was_away_lacks_what_was_written),
		cmocka_unit_test(
		    who_is_missing_is_recorded_by_all_before_a_write),
		cmocka_unit_test(
		    a_new_array_stays_blank_after_a_start_without_a_member),
		cmocka_unit_test(a_write_waits_with_a_bitmap_too),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
