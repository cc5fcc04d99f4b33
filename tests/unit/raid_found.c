/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the simulator found in raid/, replayed step by step: a seed means
 * something else when a scenario changes, these do not.
 */
#include "tests/unit/raid_util.h"

#include <limits.h>
#include <unistd.h>

#define CHUNK 4096u

static struct world world;
static struct raid_assemble as;

static void
start(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, 3, 4 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
}

static bool
all_bytes(const uint8_t *p, size_t len, int byte)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)byte)
			return false;
	return true;
}

static void
a_write_during_the_cleaners_flush_is_flushed_too(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_volatile_cache(w->fault[i], true);
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'a', 0), 0);
	/* The cleaner's flush of one member takes long. */
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_FLUSH, .count = 1, .delay_ms = 1000 });
	wait_ms(w, SAFE_MODE_MS + 200);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'b', 0),
	    0);
	do {
		wait_ms(w, 50);
		raid_get_info(w->raid, &info);
	} while (!info.clean);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < w->n; i++) {
		blk_fault_power_cut(w->fault[i], i);
		blk_fault_power_on(w->fault[i]);
	}
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, 16 * CHUNK, 'b'), 1);
	assert_int_equal(world_stop(w), 0);
}

/* The array is written while member 0 is away; the power goes; it is back. */
static void
member_0_is_away_and_stale(struct world *w)
{
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(w->raid);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'b',
	    IO_FUA), 0);
	lose_power(w, 0);
	assemble_without(w, &as, 0, true);
	assert_non_null(w->raid);
	assert_int_equal(as.nrejected, 1);
	assert_int_equal(as.rejected[0].why.code, ESTALE);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, 16 * CHUNK, 'b'), 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_dirty_degraded_start_records_who_is_missing(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'a', 0),
	    0);
	lose_power(w, UINT_MAX);
	member_0_is_away_and_stale(w);
}

/*
 * The power goes when only one member has the next superblock; that one is
 * away at the next start, and then it is back.
 */
static void
a_member_that_was_an_event_ahead_is_stale(void **state)
{
	static uint8_t old[3][4096];
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 3; i++)
		memcpy(old[i], blk_ram_data(w->ram[i]) + SB1_OFFSET,
		    sizeof(old[i]));
	assert_int_equal(do_write(raid_blk(w->raid), 0, 16 * CHUNK, 'a', 0),
	    0);
	lose_power(w, UINT_MAX);
	for (unsigned i = 1; i < 3; i++)
		memcpy(blk_ram_data(w->ram[i]) + SB1_OFFSET, old[i],
		    sizeof(old[i]));
	member_0_is_away_and_stale(w);
}

/*
 * A row of 'a' whose parity does not fit and whose first chunk has a bad
 * sector, after a crash.  Returns where its bytes are on the member.
 */
static uint8_t *
doubtful_row(struct world *w, uint64_t off, bool log)
{
	struct raid_map map = w->raid->map;
	struct map_place place;
	uint8_t *bytes, *parity;
	uint64_t data_off;

	raid_map_locate(&map, off, &place);
	data_off = w->raid->member[place.role].data_off;
	assert_int_equal(do_write(raid_blk(w->raid), off, 2 * CHUNK, 'a', 0),
	    0);
	if (log)	/* the newest entry names this row */
		assert_int_equal(do_write(raid_blk(w->raid), off, CHUNK, 'a',
		    0), 0);
	bytes = member_bytes(w, place.role, place.member_off);
	parity = member_bytes(w, raid_map_parity(&map, place.stripe),
	    place.member_off);
	lose_power(w, UINT_MAX);
	memset(parity, 0x55, CHUNK);
	add_fault(w, place.role, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO,
	    .off = data_off + place.member_off, .len = 512 });
	/* The resync does not come as far meanwhile. */
	for (unsigned i = 0; i < w->n && !log; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .off = data_off, .len = CHUNK,
		    .delay_ms = 500 });
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	return bytes;
}

static void
a_write_does_not_repair_from_parity_in_doubt(void **state)
{
	struct world *w = &world;
	uint64_t off;
	uint8_t *bytes;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	off = round_down(w->size / 2, 2 * CHUNK);
	bytes = doubtful_row(w, off, false);
	/* It can do without that sector, but leaves the row in doubt. */
	assert_int_equal(do_write(raid_blk(w->raid), off + CHUNK, 512, 'b',
	    0), 0);
	assert_true(all_bytes(bytes, CHUNK, 'a'));
	assert_int_equal(reads_as(raid_blk(w->raid), off, 512, 'a'), -EIO);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_clear(w->fault[i]);
	assert_int_equal(reads_as(raid_blk(w->raid), off, CHUNK, 'a'), 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_row_that_replay_could_not_read_stays_in_doubt(void **state)
{
	struct world *w = &world;
	uint64_t off;
	uint8_t *bytes;

	(void)state;
	start(w, RAID_POLICY_PPL);
	off = round_down(w->size / 2, 2 * CHUNK);
	bytes = doubtful_row(w, off, true);
	assert_int_equal(reads_as(raid_blk(w->raid), off, CHUNK, 'a'), -EIO);
	assert_true(all_bytes(bytes, CHUNK, 'a'));
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_clear(w->fault[i]);
	assert_int_equal(reads_as(raid_blk(w->raid), off, CHUNK, 'a'), 1);
	assert_int_equal(world_stop(w), 0);
}

/* The process writes once, and is gone before it flushes anything. */
static void
write_and_die(struct world *w, uint64_t off, uint64_t len, int byte)
{
	for (unsigned i = 0; i < w->n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .kinds = 1u << IO_FLUSH, .err = EIO });
	(void)do_write(raid_blk(w->raid), off, len, byte, 0);
	array_stop(w);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_clear(w->fault[i]);
}

static void
what_was_replayed_is_flushed_before_the_log_is_used_again(void **state)
{
	struct world *w = &world;
	uint64_t row = 2 * CHUNK;

	(void)state;
	start(w, RAID_POLICY_PPL);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_volatile_cache(w->fault[i], true);
	write_and_die(w, 0, CHUNK, 'a');
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_int_equal(reads_as(raid_blk(w->raid), 0, CHUNK, 'a'), 1);
	/* The next row with the same parity member, but another chunk. */
	assert_int_equal(do_write(raid_blk(w->raid), 3 * row + CHUNK, CHUNK,
	    'b', 0), 0);
	lose_power(w, UINT_MAX);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/*
 * A member is away only once, after a crash with a write of its own in flight;
 * nobody knows when it comes back.  The log alone knows that row.
 */
static void
a_log_is_kept_until_it_is_recorded_who_is_missing(void **state)
{
	struct world *w = &world;
	uint64_t row = 2 * CHUNK;
	struct map_place place;
	uint8_t *parity;

	(void)state;
	start(w, RAID_POLICY_PPL);
	assert_int_equal(do_write(raid_blk(w->raid), 0, row, 'a', 0), 0);
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'a', 0), 0);
	raid_map_locate(&w->raid->map, 0, &place);
	parity = member_bytes(w, raid_map_parity(&w->raid->map, 0), 0);
	lose_power(w, UINT_MAX);
	memset(parity, 0x55, CHUNK);
	assemble_without(w, &as, 1u << place.role, true);
	assert_non_null(w->raid);
	for (unsigned i = 0; i < w->n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .kinds = 1u << IO_WRITE, .err = ENODEV, .off = 4096,
		    .len = 4096 });
	/* The next row with the same parity member. */
	assert_int_equal(do_write(raid_blk(w->raid), 3 * row, CHUNK, 'b', 0),
	    -ENODEV);
	(void)array_stop(w);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_clear(w->fault[i]);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_int_equal(as.nrejected, 0);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* Disk i has this superblock, only in its cache if not `fua`. */
static void
put_sb(struct world *w, unsigned i, uint8_t *sb, unsigned flags)
{
	assert_int_equal(do_io(&w->keep[i].blk, IO_WRITE, SB1_OFFSET, 4096,
	    sb, flags), 0);
}

/*
 * A process dies in the middle of a superblock update, and the next one takes
 * what it reads for durable.  The member would be two events behind.
 */
static void
what_a_start_has_read_is_there_after_a_power_cut(void **state)
{
	static _Alignas(4096) uint8_t old[4096], new[4096], seen[4096];
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	blk_fault_volatile_cache(w->fault[2], true);
	memcpy(old, blk_ram_data(w->ram[2]) + SB1_OFFSET, sizeof(old));
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'a', 0), 0);
	assert_int_equal(array_stop(w), 0);
	memcpy(new, blk_ram_data(w->ram[2]) + SB1_OFFSET, sizeof(new));
	for (unsigned seed = 0; seed < 8; seed++) {
		put_sb(w, 2, old, IO_FUA);
		put_sb(w, 2, new, 0);
		assemble_without(w, &as, 0, false);
		assert_non_null(w->raid);
		assert_int_equal(array_stop(w), 0);
		blk_fault_power_cut(w->fault[2], seed);
		blk_fault_power_on(w->fault[2]);
		assert_int_equal(do_io(&w->keep[2].blk, IO_READ, SB1_OFFSET,
		    sizeof(seen), seen, 0), 0);
		assert_memory_equal(seen, new, sizeof(seen));
	}
	world_free(w);
}

/* Three at once, where the array has memory for one reconstruction. */
static void
reads_that_wait_for_memory_end_when_the_array_fails(void **state)
{
	static const struct raid_pools pools = { .reqs = 4, .rows = 4,
		.fixes = 1, .bufs = 2 * RAID_MEMBERS_MAX };
	struct world *w = &world;
	struct blk *blk;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	assert_int_equal(array_stop(w), 0);
	as = (struct raid_assemble){ .loop = w->loop, .pools = &pools,
		.allow_degraded = true, .nblks = 2,
		.blks = { &w->keep[1].blk, &w->keep[2].blk } };
	raid_assemble_start(&as, NULL);
	loop_run_op(w->loop, &as.op);
	w->raid = as.raid;
	assert_non_null(w->raid);
	blk = raid_blk(w->raid);
	for (unsigned i = 1; i < w->n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .kinds = 1u << IO_READ, .err = ENODEV });
	/* Chunk 0 of every third row is member 0's. */
	for (unsigned i = 0; i < 3; i++)
		one_io_start(&w->io[i], blk, IO_READ, i * 6 * CHUNK, CHUNK,
		    w->buf[i], 0);
	alarm(30);
	for (unsigned i = 0; i < 3; i++) {
		loop_run_op(w->loop, &w->io[i].op);
		assert_int_equal(w->io[i].io.result, -ENODEV);
	}
	alarm(0);
	world_stop(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_write_during_the_cleaners_flush_is_flushed_too),
		cmocka_unit_test(a_dirty_degraded_start_records_who_is_missing),
		cmocka_unit_test(a_member_that_was_an_event_ahead_is_stale),
		cmocka_unit_test(a_write_does_not_repair_from_parity_in_doubt),
		cmocka_unit_test(
		    a_row_that_replay_could_not_read_stays_in_doubt),
		cmocka_unit_test(
		    what_was_replayed_is_flushed_before_the_log_is_used_again),
		cmocka_unit_test(
		    a_log_is_kept_until_it_is_recorded_who_is_missing),
		cmocka_unit_test(
		    what_a_start_has_read_is_there_after_a_power_cut),
		cmocka_unit_test(
		    reads_that_wait_for_memory_end_when_the_array_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
