/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raid/: bad blocks.  What a member's log lists is never believed, what
 * cannot be rewritten is listed, what can is taken off the list.
 */
#include "tests/unit/raid_util.h"

#include <limits.h>

#define CHUNK 16384u

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

static void
start(struct world *w, unsigned n)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n, 1 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
}

static void
again(struct world *w)
{
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
}

static uint64_t
data_off(struct world *w, unsigned i)
{
	return w->raid->member[i].data_off;
}

/* While stopped: list these bytes of the device, and spoil them. */
static void
list_on_disk(struct world *w, unsigned i, uint64_t off, uint64_t len)
{
	uint8_t *ram = blk_ram_data(w->ram[i]);
	struct bblog log;
	struct sb1 sb;
	uint64_t at;

	assert_int_equal(sb1_decode(&sb, ram + SB1_OFFSET, SB1_BYTES, NULL), 0);
	assert_int_equal(sb1_bblog(&sb, 512, &at), BBLOG_BYTES);
	if ((sb.feature_map & SB1_BAD_BLOCKS) != 0)
		assert_int_equal(bblog_decode(&log, ram + at, 4096, 0, NULL),
		    0);
	else
		bblog_init(&log, 4096, 0);
	assert_int_equal(bblog_add(&log, off / SECTOR, len / SECTOR), 0);
	assert_true(bblog_encode(&log, ram + at));
	sb.feature_map |= SB1_BAD_BLOCKS;
	sb1_encode(&sb, ram + SB1_OFFSET);
	memset(ram + off, 0x5a, len);
}

static uint64_t
listed_on_disk(struct world *w, unsigned i)
{
	uint8_t *ram = blk_ram_data(w->ram[i]);
	struct bblog log;
	struct sb1 sb;
	uint64_t at;

	assert_int_equal(sb1_decode(&sb, ram + SB1_OFFSET, SB1_BYTES, NULL), 0);
	if ((sb.feature_map & SB1_BAD_BLOCKS) == 0)
		return 0;
	assert_true(sb1_bblog(&sb, 512, &at) > 0);
	assert_int_equal(bblog_decode(&log, ram + at, 4096, sb.bblog_shift,
	    NULL), 0);
	assert_true(log.n > 0);		/* the bit says so */
	return bblog_sectors(&log) * SECTOR;
}

static void
bad_writes(struct world *w, unsigned i, uint64_t off, uint64_t len)
{
	add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_WRITE | 1u << IO_ZERO, .err = EIO, .off = off,
	    .len = len });
}

static void
bad_reads(struct world *w, unsigned i, uint64_t off, uint64_t len)
{
	add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO, .off = off, .len = len });
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
		failed += r != 0;
	}
	return failed;
}

static void
a_listed_block_is_reconstructed_and_taken_off_the_list(void **state)
{
	struct world *w = &world;
	uint64_t off;

	(void)state;
	start(w, 4);
	off = data_off(w, 1);
	assert_int_equal(array_stop(w), 0);
	list_on_disk(w, 1, off + 3 * CHUNK + 512, 1024);
	list_on_disk(w, 1, off + 30 * CHUNK, 2 * CHUNK);
	list_on_disk(w, 2, off + 3 * CHUNK + 8192, 512);
	again(w);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].bad_bytes, 1024 + 2 * CHUNK);
	compare_all(w);
	wait_ms(w, 50);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.member[1].read_errors, 0);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	/* Parity was not asked for: blocks of it are still listed. */
	again(w);
	assert_int_equal(raid_scrub(w->raid, false, NULL), 0);
	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
	} while (info.task != RAID_TASK_NONE);
	assert_int_equal(info.mismatches, 0);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(listed_on_disk(w, i), 0);
	world_free(w);
}

static void
writes_see_no_listed_block_and_clear_it(void **state)
{
	struct world *w = &world;
	uint64_t off;

	(void)state;
	start(w, 4);
	off = data_off(w, 0);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 4; i++)
		list_on_disk(w, i, off + i * CHUNK, CHUNK);
	again(w);
	for (uint64_t at = 0; at < 16 * CHUNK; at += 1024) {
		assert_int_equal(do_write(raid_blk(w->raid), at, 512,
		    (int)(at / 512), 0), 0);
		memset(w->model + at, (int)(at / 512), 512);
	}
	compare_all(w);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	compare_all(w);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 12 * CHUNK, 'x', 0),
	    0);
	memset(w->model, 'x', 12 * CHUNK);
	wait_ms(w, 50);
	assert_int_equal(parity_errors(w), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(listed_on_disk(w, i), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
blocks_bad_on_two_members_fail_alone(void **state)
{
	struct world *w = &world;
	uint64_t off;

	(void)state;
	start(w, 3);
	off = data_off(w, 0);
	assert_int_equal(array_stop(w), 0);
	list_on_disk(w, 0, off + CHUNK, 4096);
	list_on_disk(w, 1, off + CHUNK, 4096);
	again(w);
	assert_in_range(unreadable_blocks(w), 1, 2);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	/* Written whole it is there again. */
	assert_int_equal(do_write(raid_blk(w->raid), 2 * CHUNK, 2 * CHUNK, 'y',
	    0), 0);
	memset(w->model + 2 * CHUNK, 'y', 2 * CHUNK);
	wait_ms(w, 50);
	assert_int_equal(unreadable_blocks(w), 0);
	assert_int_equal(listed_on_disk(w, 0) + listed_on_disk(w, 1), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
what_cannot_be_rewritten_is_listed_and_the_member_kept(void **state)
{
	struct world *w = &world;
	uint64_t off;

	(void)state;
	start(w, 3);
	off = data_off(w, 1) + 2 * CHUNK;
	for (unsigned i = 0; i < 2; i++) {
		bad_reads(w, 1, off + i * CHUNK, 512);
		bad_writes(w, 1, off + i * CHUNK, 512);
	}
	compare_all(w);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_in_range(info.member[1].bad_bytes, 4096, 8192);
	assert_true(w->told > 0);
	assert_int_equal(array_stop(w), 0);
	assert_true(listed_on_disk(w, 1) >= 4096);
	again(w);
	compare_all(w);
	blk_fault_clear(w->fault[1]);
	assert_int_equal(array_stop(w), 0);
	again(w);
	assert_int_equal(raid_scrub(w->raid, true, NULL), 0);
	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
	} while (info.task != RAID_TASK_NONE);
	assert_int_equal(listed_on_disk(w, 1), 0);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
without_room_in_the_log_the_member_fails(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned full = 0; full < 2; full++) {
		struct member *m;

		start(w, 3);
		m = &w->raid->member[1];
		bad_reads(w, 1, m->data_off + 2 * CHUNK, CHUNK);
		bad_writes(w, 1, m->data_off + 2 * CHUNK, CHUNK);
		if (full == 0)
			m->bblog.max = 0;
		for (unsigned i = 0; i < 512 * full; i++)
			assert_int_equal(bblog_add(&m->bblog,
			    UINT64_C(0x1000000) + 10 * i, 1), 0);
		compare_all(w);
		for (uint64_t at = 0; at < 12 * CHUNK; at += 1024) {
			assert_int_equal(do_write(raid_blk(w->raid), at, 512,
			    'z', 0), 0);
			memset(w->model + at, 'z', 512);
		}
		raid_get_info(w->raid, &info);
		assert_int_equal(info.degraded, 1);
		assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
a_log_that_cannot_be_read_keeps_its_member_out(void **state)
{
	struct world *w = &world;
	struct sb1 sb;
	uint64_t off, log;
	uint8_t *ram;

	(void)state;
	start(w, 3);
	off = data_off(w, 2);
	assert_int_equal(array_stop(w), 0);
	list_on_disk(w, 2, off, 512);
	ram = blk_ram_data(w->ram[2]) + SB1_OFFSET;
	assert_int_equal(sb1_decode(&sb, ram, SB1_BYTES, NULL), 0);
	assert_true(sb1_bblog(&sb, 512, &log) > 0);
	bad_reads(w, 2, log, 512);
	assemble_without(w, &as, 0, false);
	assert_null(w->raid);
	assert_int_equal(as.nrejected, 1);
	assert_non_null(strstr(as.rejected[0].why.text, "bad-block log"));
	blk_fault_clear(w->fault[2]);
	sb.bblog_shift = 60;
	sb1_encode(&sb, ram);
	assemble_without(w, &as, 0, false);
	assert_null(w->raid);
	assert_non_null(strstr(as.rejected[0].why.text, "bad-block log"));
	sb.bblog_shift = 0;
	sb.bblog_offset = sb.ppl_offset;
	sb1_encode(&sb, ram);
	assemble_without(w, &as, 0, true);
	assert_non_null(w->raid);
	assert_non_null(strstr(as.rejected[0].why.text, "unusual place"));
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_log_that_cannot_be_written_fails_the_member(void **state)
{
	struct world *w = &world;
	uint64_t off, log;

	(void)state;
	start(w, 3);
	off = data_off(w, 1) + 2 * CHUNK;
	assert_true(sb1_bblog(&w->raid->member[1].sb, 512, &log) > 0);
	bad_reads(w, 1, off, CHUNK);
	bad_writes(w, 1, off, CHUNK);
	bad_writes(w, 1, log, 4096);
	compare_all(w);
	wait_ms(w, 50);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_scrub_repairs_what_it_cannot_read(void **state)
{
	struct world *w = &world;
	struct raid_info i;

	(void)state;
	start(w, 4);
	/* Two tries fail, of the row and of the block; then it is rewritten. */
	for (unsigned m = 0; m < 4; m++)
		add_fault(w, m, (struct fault_rule){ .action = FAULT_ERROR,
		    .kinds = 1u << IO_READ, .err = EIO, .count = 2,
		    .off = data_off(w, m) + (3 + 5 * m) * CHUNK + m * 512,
		    .len = 512 });
	assert_int_equal(raid_scrub(w->raid, false, NULL), 0);
	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &i);
	} while (i.task != RAID_TASK_NONE);
	for (unsigned m = 0; m < 4; m++) {
		assert_int_equal(i.member[m].corrected_errors, 1);
		assert_int_equal(i.member[m].bad_bytes, 0);
	}
	assert_int_equal(i.degraded, 0);
	assert_int_equal(i.mismatches, 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
replay_passes_over_listed_blocks(void **state)
{
	struct world *w = &world;
	struct map_place place;
	uint64_t off;
	uint8_t *parity;

	(void)state;
	start(w, 3);
	/* The newest entry of the log names a block that gets listed. */
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'r', 0), 0);
	memset(w->model, 'r', CHUNK);
	raid_map_locate(&w->raid->map, 0, &place);
	off = data_off(w, place.role) + place.member_off;
	parity = blk_ram_data(w->ram[raid_map_parity(&w->raid->map,
	    place.stripe)]) + off;
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_power_cut(w->fault[i], i);
	array_stop(w);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_power_on(w->fault[i]);
	list_on_disk(w, place.role, off + 4096, 512);
	memset(parity + 8192, 0x33, 4096);	/* torn, but not there */
	memset(parity, 0x33, 512);
	again(w);
	assert_int_equal(unreadable_blocks(w), 0);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* --- writes --- */

static void
a_write_that_fails_once_is_repeated(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4);
	for (unsigned i = 0; i < 4; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .kinds = 1u << IO_WRITE | 1u << IO_ZERO, .err = EIO,
		    .skip = i, .count = 1, .off = data_off(w, i),
		    .len = w->raid->map.member_size });
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(info.member[i].write_errors, 1);
		assert_int_equal(info.member[i].bad_bytes, 0);
	}
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* Everybody's sector `i` is one that cannot be written. */
static void
a_sector_that_cannot_be_written_is_listed(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4);
	for (unsigned i = 0; i < 4; i++)
		bad_writes(w, i, data_off(w, i) + i * CHUNK + 5 * 512, 512);
	/* Full, partial and zero: the member stays, one block is listed. */
	assert_int_equal(do_write(raid_blk(w->raid), 0, 12 * CHUNK, 'w', 0),
	    0);
	memset(w->model, 'w', 12 * CHUNK);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(info.member[i].bad_bytes, 4096);
		assert_int_equal(listed_on_disk(w, i), 4096);
	}
	compare_all(w);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(batch(w, 60 * 1024), 0);
	compare_all(w);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(listed_on_disk(w, i), 4096);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 4; i++)
		blk_fault_clear(w->fault[i]);
	again(w);
	compare_all(w);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(batch(w, 300 * 1024), 0);
	assert_int_equal(raid_scrub(w->raid, false, NULL), 0);
	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
	} while (info.task != RAID_TASK_NONE);
	wait_ms(w, 50);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(listed_on_disk(w, i), 0);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* What only the parity knows is durable before the block is listed. */
static void
a_listed_block_survives_a_power_cut(void **state)
{
	struct world *w = &world;
	struct map_place place;

	(void)state;
	for (unsigned seed = 0; seed < 8; seed++) {
		start(w, 3);
		assert_int_equal(do_flush(raid_blk(w->raid)), 0);
		raid_map_locate(&w->raid->map, 0, &place);
		for (unsigned i = 0; i < 3; i++)
			blk_fault_volatile_cache(w->fault[i], true);
		bad_writes(w, place.role, data_off(w, place.role) +
		    place.member_off, 512);
		assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK,
		    'p', 0), 0);
		memset(w->model, 'p', CHUNK);
		for (unsigned i = 0; i < 3; i++)
			blk_fault_power_cut(w->fault[i], seed * 3 + i);
		array_stop(w);
		for (unsigned i = 0; i < 3; i++)
			blk_fault_power_on(w->fault[i]);
		assert_int_equal(listed_on_disk(w, place.role), 4096);
		again(w);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
without_redundancy_the_request_fails_and_nothing_else(void **state)
{
	struct world *w = &world;
	struct map_place place;
	uint8_t block[4096];

	(void)state;
	start(w, 3);
	raid_map_locate(&w->raid->map, 0, &place);
	assert_int_equal(fail_member_now(w, (place.role + 1) % 3), 0);
	bad_writes(w, place.role, data_off(w, place.role) + place.member_off,
	    4096);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 4096, 'q', 0), -EIO);
	raid_get_info(w->raid, &info);
	assert_false(info.failed);
	assert_int_equal(info.degraded, 1);
	assert_int_equal(do_io(raid_blk(w->raid), IO_READ, 0, 4096, block, 0),
	    -EIO);
	assert_in_range(unreadable_blocks(w), 1, 2);
	assert_int_equal(world_stop(w), 0);
}

static void
a_member_that_refuses_all_writes_has_failed(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4);
	bad_writes(w, 2, 0, w->keep[2].blk.geo.size);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[2].state, RAID_MEMBER_FAULTY);
	assert_false(info.failed);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* What is told of a pull may be old news: the disk has the last word. */
static void
only_a_disk_that_is_gone_was_pulled(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4);
	assert_false(fail_if_gone(w, "disk1"));
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO });
	assert_false(fail_if_gone(w, "disk1"));
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	blk_fault_clear(w->fault[1]);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = ENODEV });
	assert_true(fail_if_gone(w, "disk1"));
	assert_true(fail_if_gone(w, "disk1"));	/* again */
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	assert_false(info.failed);
	assert_int_equal(world_stop(w), 0);
}

/* The power goes 150 ms after two chunks began to be written. */
static void
cut_a_write(struct world *w)
{
	struct one_io one;

	memset(w->buf[0], 'b', CHUNK);
	memset(w->buf[0] + CHUNK, 'd', CHUNK);
	one_io_start(&one, raid_blk(w->raid), IO_WRITE, 0, 2 * CHUNK,
	    w->buf[0], 0);
	wait_ms(w, 150);
	lose_power(w, UINT_MAX);
	loop_run_op(w->loop, &one.op);
}

static void
a_listed_block_in_flight_at_a_power_cut_is_old_or_new(void **state)
{
	struct world *w = &world;
	struct map_place place;
	unsigned parity;
	uint64_t row;

	(void)state;
	start(w, 3);
	raid_map_locate(&w->raid->map, 0, &place);
	parity = raid_map_parity(&w->raid->map, place.stripe);
	row = data_off(w, parity) + place.member_off;
	bad_writes(w, place.role, row, 512);
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'a', 0), 0);
	assert_int_equal(do_write(raid_blk(w->raid), CHUNK, CHUNK, 'c', 0), 0);
	add_fault(w, parity, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .delay_ms = 300, .off = row,
	    .len = CHUNK });
	cut_a_write(w);
	again(w);
	if (reads_as(raid_blk(w->raid), 0, 4096, 'b') != 1)
		assert_int_equal(reads_as(raid_blk(w->raid), 0, 4096, 'a'), 1);
	assert_int_equal(world_stop(w), 0);
}

/*
 * Of one row a block of one member is listed, and elsewhere in it one of
 * another and one of the parity: that cannot be written chunk by chunk.
 */
static void
start_with_two_bad(struct world *w)
{
	unsigned a, b, parity;
	uint64_t row;

	start(w, 4);
	a = raid_map_role(&w->raid->map, 0, 0);
	b = raid_map_role(&w->raid->map, 0, 1);
	parity = raid_map_parity(&w->raid->map, 0);
	row = data_off(w, parity);
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'a', 0), 0);
	assert_int_equal(array_stop(w), 0);
	list_on_disk(w, a, row, 4096);
	list_on_disk(w, parity, row + 8192, 4096);
	again(w);
	add_fault(w, b, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO, .off = row + 8192,
	    .len = 512 });
}

static void
a_listed_block_in_a_row_with_two_bad_is_not_made_up(void **state)
{
	struct world *w = &world;
	unsigned parity;
	int seen;

	(void)state;
	start_with_two_bad(w);
	parity = raid_map_parity(&w->raid->map, 0);
	add_fault(w, parity, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .delay_ms = 300,
	    .off = data_off(w, parity), .len = 4096 });
	cut_a_write(w);
	for (unsigned i = 0; i < 4; i++)	/* that, writing has cured */
		blk_fault_clear(w->fault[i]);
	again(w);
	seen = reads_as(raid_blk(w->raid), 0, 4096, 'b');
	assert_true(seen == 1 || seen == -EIO ||
	    reads_as(raid_blk(w->raid), 0, 4096, 'a') == 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_row_with_two_bad_is_written_at_once(void **state)
{
	struct world *w = &world;

	(void)state;
	start_with_two_bad(w);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 2 * CHUNK, 'b', 0),
	    0);
	memset(w->model, 'b', 2 * CHUNK);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(info.in_doubt, 0);
	for (unsigned i = 0; i < 4; i++)
		blk_fault_clear(w->fault[i]);
	compare_all(w);
	lose_power(w, UINT_MAX);
	again(w);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
parity_that_replay_cannot_write_keeps_its_member(void **state)
{
	struct world *w = &world;
	struct map_place place;
	unsigned parity;

	(void)state;
	start(w, 3);
	assert_int_equal(do_write(raid_blk(w->raid), 0, CHUNK, 'r', 0), 0);
	memset(w->model, 'r', CHUNK);
	raid_map_locate(&w->raid->map, 0, &place);
	parity = raid_map_parity(&w->raid->map, place.stripe);
	bad_writes(w, parity, data_off(w, parity) + place.member_off, 512);
	lose_power(w, UINT_MAX);
	again(w);
	compare_all(w);
	wait_ms(w, 300);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_true(info.member[parity].write_errors > 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
many_bad_sectors_are_told_and_the_member_stays(void **state)
{
	struct world *w = &world;
	struct member *m;
	unsigned told;

	(void)state;
	start(w, 4);
	m = &w->raid->member[1];
	told = w->told;
	for (unsigned i = 1; i < WORN_MAX; i++)
		assert_true(member_note_worn(m));
	assert_int_equal(w->told, told);
	raid_get_info(w->raid, &info);
	assert_false(info.member[1].worn_out);
	assert_false(member_note_worn(m));
	assert_int_equal(w->told, told + 1);
	assert_false(member_note_worn(m));
	assert_int_equal(w->told, told + 1);	/* once is enough */
	m->worn_ns -= 3 * WORN_NS;		/* three quiet hours */
	assert_true(member_note_worn(m));
	assert_int_equal(m->worn, (WORN_MAX + 1) / 8 + 1);
	raid_get_info(w->raid, &info);
	assert_true(info.member[1].worn_out);	/* that disk, and for good */
	assert_false(info.member[0].worn_out);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(world_stop(w), 0);
}

static void
two_members_that_return_together_need_no_rebuild(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned first = 0; first < 4; first++) {
		start(w, 4);
		assert_int_equal(do_flush(raid_blk(w->raid)), 0);
		for (unsigned i = 0; i < 2; i++)
			add_fault(w, (first + i) % 4, (struct fault_rule){
			    .action = FAULT_ERROR, .err = ENODEV });
		/* Nothing is acknowledged any more. */
		while (do_write(raid_blk(w->raid), 0, 8 * CHUNK, 'n', 0) == 0)
			memset(w->model, 'n', 8 * CHUNK);
		assert_int_equal(do_write(raid_blk(w->raid), 20 * CHUNK, 512,
		    'n', 0), -ENODEV);
		raid_get_info(w->raid, &info);
		assert_true(info.failed);
		assert_int_equal(array_stop(w), EIO);
		for (unsigned i = 0; i < 4; i++)
			blk_fault_clear(w->fault[i]);
		again(w);
		assert_int_equal(as.nrejected, 0);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.degraded, 0);
		assert_int_equal(do_write(raid_blk(w->raid), 0, 8 * CHUNK, 'm',
		    0), 0);		/* it may be old or new there */
		memset(w->model, 'm', 8 * CHUNK);
		compare_all(w);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_listed_block_is_reconstructed_and_taken_off_the_list),
		cmocka_unit_test(writes_see_no_listed_block_and_clear_it),
		cmocka_unit_test(blocks_bad_on_two_members_fail_alone),
		cmocka_unit_test(
		    what_cannot_be_rewritten_is_listed_and_the_member_kept),
		cmocka_unit_test(without_room_in_the_log_the_member_fails),
		cmocka_unit_test(
		    a_log_that_cannot_be_read_keeps_its_member_out),
		cmocka_unit_test(a_log_that_cannot_be_written_fails_the_member),
		cmocka_unit_test(a_scrub_repairs_what_it_cannot_read),
		cmocka_unit_test(replay_passes_over_listed_blocks),
		cmocka_unit_test(a_write_that_fails_once_is_repeated),
		cmocka_unit_test(a_sector_that_cannot_be_written_is_listed),
		cmocka_unit_test(a_listed_block_survives_a_power_cut),
		cmocka_unit_test(
		    without_redundancy_the_request_fails_and_nothing_else),
		cmocka_unit_test(a_member_that_refuses_all_writes_has_failed),
		cmocka_unit_test(only_a_disk_that_is_gone_was_pulled),
		cmocka_unit_test(
		    a_listed_block_in_flight_at_a_power_cut_is_old_or_new),
		cmocka_unit_test(
		    a_listed_block_in_a_row_with_two_bad_is_not_made_up),
		cmocka_unit_test(a_row_with_two_bad_is_written_at_once),
		cmocka_unit_test(
		    parity_that_replay_cannot_write_keeps_its_member),
		cmocka_unit_test(
		    many_bad_sectors_are_told_and_the_member_stays),
		cmocka_unit_test(
		    two_members_that_return_together_need_no_rebuild),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
