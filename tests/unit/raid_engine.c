/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/: the engine against a flat model, healthy and with failing members. */
#include "tests/unit/raid_util.h"

static struct world world;
static const uint32_t chunks[] = { 4096, 16384, 65536, 262144 };
static const unsigned widths[] = { 3, 4, 7 };

static void
random_requests_agree_with_the_model(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned c = 0; c < nitems(chunks); c++) {
		for (unsigned n = 0; n < nitems(widths); n++) {
			world_start(w, widths[n], (enum raid_layout)
			    ((c + n) % 6), chunks[c], 1 * MIB);
			for (unsigned i = 0; i < 20; i++) {
				assert_int_equal(batch(w, i % 3 == 0 ? REQ_MAX :
				    20 * 1024), 0);
				assert_int_equal(parity_errors(w), 0);
			}
			compare_all(w);
			assert_int_equal(world_stop(w), 0);
		}
	}
}

static void
each_missing_member_is_reconstructed(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned lost = 0; lost < 4; lost++) {
		world_start(w, 4, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(batch(w, 200 * 1024), 0);
		assert_int_equal(fail_member_now(w, lost), 0);
		compare_all(w);
		for (unsigned i = 0; i < 30; i++)
			assert_int_equal(batch(w, i % 2 == 0 ? 200 * 1024 :
			    8192), 0);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
a_member_failing_under_load_loses_nothing(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned lost = 0; lost < 3; lost++) {
		for (unsigned kind = 0; kind < 2; kind++) {
			struct raid_info info;

			world_start(w, 3, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
			add_fault(w, lost, (struct fault_rule){
			    .action = FAULT_ERROR, .err = ENODEV, .skip = 100,
			    .kinds = kind == 0 ? 0 : 1u << IO_WRITE });
			for (unsigned i = 0; i < 30; i++)
				assert_int_equal(batch(w, 40 * 1024), 0);
			compare_all(w);
			raid_get_info(w->raid, &info);
			assert_int_equal(info.degraded, 1);
			assert_int_equal(info.member[lost].state,
			    RAID_MEMBER_FAULTY);
			assert_true(w->told > 0);
			assert_int_equal(world_stop(w), 0);
		}
	}
}

static void
two_lost_members_stop_everything(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
	assert_int_equal(batch(w, 100 * 1024), 0);
	for (unsigned i = 1; i < 3; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
	assert_true(batch(w, 400 * 1024) > 0);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 4096, 1, 0), -ENODEV);
	assert_int_equal(do_flush(raid_blk(w->raid)), -ENODEV);
	raid_get_info(w->raid, &info);
	assert_true(info.failed);
	assert_int_equal(world_stop(w), EIO);
}

static void
a_bad_sector_is_repaired_and_the_member_kept(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(batch(w, 200 * 1024), 0);
	for (unsigned i = 0; i < 3; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = EIO, .kinds = 1u << IO_READ, .count = 2,
		    .off = w->raid->member[i].data_off + (i + 1) * 128 * KIB,
		    .len = 4096 });
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(info.member[i].corrected_errors <= 1);
		assert_int_equal(info.member[i].write_errors, 0);
	}
	assert_int_equal(world_stop(w), 0);
}

static void
a_bad_sector_met_by_a_write_is_repaired_too(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	unsigned corrected = 0;

	(void)state;
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	assert_int_equal(batch(w, 400 * 1024), 0);
	for (unsigned i = 0; i < 4; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = EIO, .kinds = 1u << IO_READ, .count = 2,
		    .off = w->raid->member[i].data_off + i * 64 * KIB,
		    .len = 65536 });
	for (uint64_t off = 0; off < w->size; off += 16384) {
		assert_int_equal(do_write(raid_blk(w->raid), off, 512,
		    (int)(off >> 14), 0), 0);
		memset(w->model + off, (int)(off >> 14), 512);
	}
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	raid_get_info(w->raid, &info);
	for (unsigned i = 0; i < 4; i++)
		corrected += (unsigned)info.member[i].corrected_errors;
	assert_int_equal(corrected, 4);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(world_stop(w), 0);
}

static void
a_bad_sector_of_a_degraded_array_fails_alone(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	unsigned failed = 0;
	uint8_t block[4096];

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	assert_int_equal(batch(w, 200 * 1024), 0);
	assert_int_equal(fail_member_now(w, 1), 0);
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_READ,
	    .off = w->raid->member[0].data_off + 4096, .len = 512 });
	for (uint64_t off = 0; off < w->size; off += 4096) {
		int r = do_io(raid_blk(w->raid), IO_READ, off, 4096, block, 0);

		failed += r != 0;
		if (r == 0)
			assert_memory_equal(block, w->model + off, 4096);
	}
	assert_int_equal(failed, 2);	/* it, and the one it reconstructs */
	raid_get_info(w->raid, &info);
	assert_false(info.failed);
	assert_int_equal(world_stop(w), 0);
}

static void
a_full_stripe_is_written_without_reading(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	uint64_t stripe;

	(void)state;
	world_start(w, 5, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	stripe = raid_blk(w->raid)->geo.optimal_io;
	assert_int_equal(stripe, 4 * 65536);
	assert_int_equal(do_write(raid_blk(w->raid), stripe, stripe, 7, 0), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.full_writes, 1);
	assert_int_equal(info.prereads, 0);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
sixteen_members_and_a_deep_queue_do_not_deadlock(void **state)
{
	enum { DEPTH = 1024 };
	struct world *w = &world;
	struct one_io *io = calloc(DEPTH, sizeof(*io));
	static uint8_t data[8192];

	(void)state;
	assert_non_null(io);
	world_start(w, 16, RAID_LEFT_SYMMETRIC, 4096, 1 * MIB);
	for (unsigned round = 0; round < 3; round++) {
		if (round == 2)
			assert_int_equal(fail_member_now(w, 3), 0);
		for (unsigned i = 0; i < DEPTH; i++)
			one_io_start(&io[i], raid_blk(w->raid),
			    round == 1 ? IO_READ : IO_WRITE, rnd(w) %
			    (w->size / 512 - 16) * 512, sizeof(data), data, 0);
		for (unsigned i = 0; i < DEPTH; i++) {
			loop_run_op(w->loop, &io[i].op);
			assert_int_equal(io[i].io.result, 0);
		}
	}
	assert_int_equal(world_stop(w), 0);
	free(io);
}

static void
scattered_buffers_are_copied_not_refused(void **state)
{
	struct world *w = &world;
	struct iovec iov[1024];
	struct one_io one;

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	for (unsigned i = 0; i < 1024; i++) {
		memset(w->buf[0] + i * 200, (int)i, 200);
		iov[i] = (struct iovec){ w->buf[0] + i * 200, 200 };
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		one_io_start(&one, raid_blk(w->raid), pass == 0 ? IO_WRITE :
		    IO_READ, 1536, 51200 * 4, NULL, 0);
		one.io.iov = iov;
		one.io.niov = 1024;
		loop_run_op(w->loop, &one.op);
		assert_int_equal(one.io.result, 0);
		memcpy(w->model + 1536, w->buf[0], 51200 * 4);
	}
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
the_array_goes_clean_when_idle_and_dirty_before_a_write(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	uint64_t events;

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	raid_get_info(w->raid, &info);
	assert_true(info.clean);
	events = info.events;
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 1, 0), 0);
	assert_int_equal(do_write(raid_blk(w->raid), 4096, 512, 1, 0), 0);
	raid_get_info(w->raid, &info);
	assert_false(info.clean);
	assert_int_equal(info.events, events + 1);
	wait_ms(w, 350);
	raid_get_info(w->raid, &info);
	assert_true(info.clean);
	assert_int_equal(info.events, events + 2);
	assert_int_equal(world_stop(w), 0);
}

static void
a_stalled_member_is_reconstructed_not_evicted(void **state)
{
	enum { N = 24 };
	struct world *w = &world;
	struct raid_info info;
	struct one_io io[N];
	static uint8_t data[N][4096];
	uint64_t start;

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 65536, 1 * MIB);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 400 * 1024), 0);
	raid_set_deadline(w->raid, 40);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_STALL,
	    .kinds = 1u << IO_READ });
	for (unsigned round = 0; round < 2; round++) {
		start = loop_now(w->loop);
		for (unsigned i = 0; i < N; i++)
			one_io_start(&io[i], raid_blk(w->raid), IO_READ,
			    i * 80 * 1024, 4096, data[i], 0);
		for (unsigned i = 0; i < N; i++) {
			loop_run_op(w->loop, &io[i].op);
			assert_int_equal(io[i].io.result, 0);
			assert_memory_equal(data[i], w->model + i * 80 * 1024,
			    4096);
		}
		/* At first the deadline passes, then nobody asks it. */
		assert_true(loop_now(w->loop) - start <
		    (round == 0 ? 500 : 40) * NSEC_PER_MSEC);
	}
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_true(info.member[1].stalls > 0);
	assert_int_equal(info.member[0].stalls, 0);
	compare_all(w);
	memset(data, 0xee, sizeof(data));
	blk_fault_clear(w->fault[1]);	/* late answers land nowhere */
	wait_ms(w, 5);
	for (unsigned i = 0; i < sizeof(data); i++)
		assert_int_equal(((uint8_t *)data)[i], 0xee);
	assert_int_equal(w->raid->member[1].late, 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
discard_reads_as_zeroes_and_keeps_parity(void **state)
{
	struct world *w = &world;
	uint64_t stripe;

	(void)state;
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
	assert_int_equal(batch(w, 400 * 1024), 0);
	stripe = raid_blk(w->raid)->geo.discard_granularity;
	assert_int_equal(stripe, 3 * 16384);
	assert_int_equal(do_io(raid_blk(w->raid), IO_DISCARD, 512,
	    4 * stripe, NULL, 0), 0);
	memset(w->model + stripe, 0, 3 * stripe);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_requests_agree_with_the_model),
		cmocka_unit_test(each_missing_member_is_reconstructed),
		cmocka_unit_test(a_member_failing_under_load_loses_nothing),
		cmocka_unit_test(two_lost_members_stop_everything),
		cmocka_unit_test(a_bad_sector_is_repaired_and_the_member_kept),
		cmocka_unit_test(a_bad_sector_met_by_a_write_is_repaired_too),
		cmocka_unit_test(a_bad_sector_of_a_degraded_array_fails_alone),
		cmocka_unit_test(a_full_stripe_is_written_without_reading),
		cmocka_unit_test(
		    sixteen_members_and_a_deep_queue_do_not_deadlock),
		cmocka_unit_test(scattered_buffers_are_copied_not_refused),
		cmocka_unit_test(
		    the_array_goes_clean_when_idle_and_dirty_before_a_write),
		cmocka_unit_test(a_stalled_member_is_reconstructed_not_evicted),
		cmocka_unit_test(discard_reads_as_zeroes_and_keeps_parity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
