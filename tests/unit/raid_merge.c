/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/row_merge.c: small writes become full stripes. */
#include "tests/unit/raid_util.h"

static struct world world;
static struct raid_info info;

/* `len` bytes at `off`, as requests of `piece` in flight together. */
static void
stream(struct world *w, uint64_t off, uint64_t len, uint64_t piece,
    unsigned flags)
{
	unsigned n = (unsigned)(len / piece);
	struct one_io *io = calloc(n, sizeof(*io));
	uint8_t *data = aligned_alloc(4096, len);

	assert_non_null(io);
	assert_non_null(data);
	for (uint64_t i = 0; i < len; i++)
		data[i] = (uint8_t)rnd(w);
	for (unsigned i = 0; i < n; i++)
		one_io_start(&io[i], raid_blk(w->raid), IO_WRITE,
		    off + i * piece, piece, data + i * piece, flags);
	for (unsigned i = 0; i < n; i++) {
		loop_run_op(w->loop, &io[i].op);
		assert_int_equal(io[i].io.result, 0);
	}
	memcpy(w->model + off, data, len);
	free(data);
	free(io);
}

static void
a_megabyte_in_any_request_size_reads_nothing(void **state)
{
	static const uint64_t sizes[] = { 4096, 8192, 16384, 65536, 262144,
		1048576 };
	struct world *w = &world;

	(void)state;
	for (unsigned p = 0; p < 2; p++) {
		for (unsigned i = 0; i < nitems(sizes); i++) {
			memset(w, 0, sizeof(*w));
			world_disks(w, 5, 1 * MIB, 512);
			world_create_policy(w, RAID_LEFT_SYMMETRIC, 65536,
			    p == 0 ? RAID_POLICY_RESYNC : RAID_POLICY_PPL);
			stream(w, 1 * MIB, 1 * MIB, sizes[i], 0);
			raid_get_info(w->raid, &info);
			assert_int_equal(info.prereads, 0);
			assert_int_equal(info.full_writes, 4);
			assert_int_equal(info.rmw_writes + info.rcw_writes, 0);
			compare_all(w);
			assert_int_equal(parity_errors(w), 0);
			assert_int_equal(world_stop(w), 0);
		}
	}
}

static void
a_stream_that_starts_anywhere_reads_at_its_ends_only(void **state)
{
	struct world *w = &world;

	(void)state;
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 65536, 2 * MIB);
	stream(w, 12 * 1024, 1200 * 1024, 12 * 1024, 0);
	raid_get_info(w->raid, &info);
	assert_true(info.full_writes >= 5);
	assert_true(info.rmw_writes + info.rcw_writes <= 2);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* A queue of fixed depth on a disk that takes its time. */
static void
a_queue_of_small_writes_is_merged_over_turns(void **state)
{
	enum { DEPTH = 64, PIECE = 4096 };
	struct world *w = &world;
	struct one_io io[DEPTH];
	uint64_t at = 0;
	uint8_t *data = aligned_alloc(4096, 4 * MIB);

	(void)state;
	assert_non_null(data);
	memset(w, 0, sizeof(*w));
	world_disks(w, 3, 2 * MIB, 512);
	world_create(w, RAID_LEFT_SYMMETRIC, 65536);
	for (unsigned i = 0; i < 3; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .delay_ms = 1 });
	for (uint64_t i = 0; i < w->size; i++)
		data[i] = (uint8_t)rnd(w);
	for (unsigned i = 0; i < DEPTH; i++, at += PIECE)
		one_io_start(&io[i], raid_blk(w->raid), IO_WRITE, at, PIECE,
		    data + at, 0);
	for (unsigned i = 0; at < w->size; i = (i + 1) % DEPTH, at += PIECE) {
		loop_run_op(w->loop, &io[i].op);
		assert_int_equal(io[i].io.result, 0);
		one_io_start(&io[i], raid_blk(w->raid), IO_WRITE, at, PIECE,
		    data + at, 0);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		loop_run_op(w->loop, &io[i].op);
	memcpy(w->model, data, w->size);
	raid_get_info(w->raid, &info);
	print_message("%u full, %u partial, %u merged, %u prereads\n",
	    (unsigned)info.full_writes,
	    (unsigned)(info.rmw_writes + info.rcw_writes),
	    (unsigned)info.merged_writes, (unsigned)info.prereads);
	assert_true(info.full_writes > info.rmw_writes + info.rcw_writes);
	for (unsigned i = 0; i < 3; i++)
		blk_fault_clear(w->fault[i]);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
	free(data);
}

static void
one_write_at_a_time_never_waits(void **state)
{
	struct world *w = &world;
	uint64_t start;

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 2 * MIB);
	start = loop_now(w->loop);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(do_write(raid_blk(w->raid), i * 4096, 4096,
		    1, 0), 0);
	assert_true(loop_now(w->loop) - start < 200 * NSEC_PER_MSEC);
	assert_int_equal(world_stop(w), 0);
}

/* Of two long writes the second ends where the first did not fill a row. */
static void
a_write_waits_for_a_row_if_more_is_on_its_way(void **state)
{
	struct world *w = &world;
	struct one_io first, second;
	uint8_t *data = aligned_alloc(4096, 4 * 65536);

	(void)state;
	assert_non_null(data);
	memset(data, 0x5a, 4 * 65536);
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 65536, 2 * MIB);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 3 * 65536, 1, 0), 0);
	one_io_start(&first, raid_blk(w->raid), IO_WRITE, 3 * 65536, 65536,
	    data, IO_MORE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(do_write(raid_blk(w->raid), (12 + 3 * i) *
		    65536, 3 * 65536, 1, 0), 0);
	assert_false(first.op.ended);
	one_io_start(&second, raid_blk(w->raid), IO_WRITE, 4 * 65536,
	    2 * 65536, data + 65536, 0);
	loop_run_op(w->loop, &second.op);
	loop_run_op(w->loop, &first.op);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.full_writes, 5);
	assert_int_equal(info.prereads, 0);
	assert_int_equal(world_stop(w), 0);
	free(data);
}

static void
riders_share_the_fate_of_the_write(void **state)
{
	struct world *w = &world;
	struct one_io io[16];
	static uint8_t data[16 * 4096];

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	for (unsigned i = 0; i < 2; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
	for (unsigned i = 0; i < 16; i++)
		one_io_start(&io[i], raid_blk(w->raid), IO_WRITE, i * 4096,
		    4096, data + i * 4096, i == 7 ? IO_FUA : 0);
	for (unsigned i = 0; i < 16; i++) {
		loop_run_op(w->loop, &io[i].op);
		assert_int_equal(io[i].io.result, -ENODEV);
	}
	assert_int_equal(world_stop(w), EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_megabyte_in_any_request_size_reads_nothing),
		cmocka_unit_test(
		    a_stream_that_starts_anywhere_reads_at_its_ends_only),
		cmocka_unit_test(a_queue_of_small_writes_is_merged_over_turns),
		cmocka_unit_test(one_write_at_a_time_never_waits),
		cmocka_unit_test(a_write_waits_for_a_row_if_more_is_on_its_way),
		cmocka_unit_test(riders_share_the_fate_of_the_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
