/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/port.c: members that are late, and one that never answers again. */
#include "tests/unit/raid_util.h"

#include <limits.h>

#define CHUNK 16384u
#define DEADLINE 30u
#define DEAD 400u

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

/* Members, and perhaps disks that have no place. */
static void
start_with(struct world *w, unsigned n, unsigned others)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n + others, 1 * MIB, 512);
	w->n = n;
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	raid_set_deadline(w->raid, DEADLINE);
	w->raid->dead_ms = DEAD;
}

static void
start(struct world *w, unsigned n)
{
	start_with(w, n, 0);
}

static void
stall(struct world *w, unsigned i, unsigned kinds)
{
	add_fault(w, i, (struct fault_rule){ .action = FAULT_STALL,
	    .kinds = kinds });
}

static uint64_t
took_ms(struct world *w, uint64_t since)
{
	return (loop_now(w->loop) - since) / NSEC_PER_MSEC;
}

/*
 * Writes of any size and reads that are copied, all in flight together.  (What
 * is read into the caller's own memory must be waited for.)
 */
static void
mixed_load(struct world *w)
{
	struct one_io rd[8];
	static uint8_t data[8][4096];
	uint64_t half = round_down(w->size / 2, 3 * CHUNK), at = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		one_io_start(&rd[i], raid_blk(w->raid), IO_READ,
		    half + i * CHUNK, 4096, data[i], 0);
	while (n < 16 && at + 3 * CHUNK < half) {
		uint64_t len = 512 * (1 + rnd(w) % 70);

		memset(w->buf[n], (int)rnd(w), len);
		one_io_start(&w->io[n], raid_blk(w->raid), IO_WRITE, at, len,
		    w->buf[n], 0);
		at += len + 512 * (rnd(w) % 8);
		n++;
	}
	for (unsigned i = 0; i < n; i++) {
		loop_run_op(w->loop, &w->io[i].op);
		assert_int_equal(w->io[i].io.result, 0);
		model_apply(w, i);
	}
	for (unsigned i = 0; i < 8; i++) {
		loop_run_op(w->loop, &rd[i].op);
		assert_int_equal(rd[i].io.result, 0);
		assert_memory_equal(data[i], w->model + half + i * CHUNK,
		    4096);
	}
}

static void
a_dead_member_is_failed_and_its_requests_go_on(void **state)
{
	struct world *w = &world;
	uint64_t since;

	(void)state;
	for (unsigned lost = 0; lost < 4; lost++) {
		start(w, 4);
		stall(w, lost, 0);
		since = loop_now(w->loop);
		mixed_load(w);
		assert_in_range(took_ms(w, since), DEAD, 10 * DEAD);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.member[lost].state, RAID_MEMBER_FAULTY);
		assert_true(info.member[lost].stalls > 0);
		assert_true(w->raid->ghosts > 0);
		since = loop_now(w->loop);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 60 * 1024), 0);
		assert_true(took_ms(w, since) < DEAD);
		compare_all(w);
		blk_fault_clear(w->fault[lost]);	/* it wakes up */
		wait_ms(w, 20);
		assert_int_equal(w->raid->ghosts, 0);
		compare_all(w);
		assert_int_equal(array_stop(w), 0);
		assemble_without(w, &as, 0, true);
		assert_non_null(w->raid);
		assert_int_equal(as.nrejected, 1);	/* it is stale */
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
a_member_that_answers_again_is_kept(void **state)
{
	struct world *w = &world;
	struct one_io io[8];
	static uint8_t data[8][4096];

	(void)state;
	start(w, 4);
	stall(w, 2, 0);
	for (unsigned i = 0; i < 8; i++) {
		memset(data[i], 'k', 4096);
		one_io_start(&io[i], raid_blk(w->raid), IO_WRITE, i * CHUNK,
		    4096, data[i], 0);
		memset(w->model + i * CHUNK, 'k', 4096);
	}
	wait_ms(w, DEAD / 2);
	blk_fault_clear(w->fault[2]);
	for (unsigned i = 0; i < 8; i++) {
		loop_run_op(w->loop, &io[i].op);
		assert_int_equal(io[i].io.result, 0);
	}
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_true(info.member[2].stalls > 0);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
members_that_stall_together_are_kept(void **state)
{
	struct world *w = &world;
	struct one_io io;
	static uint8_t data[8 * CHUNK];

	(void)state;
	start(w, 4);
	stall(w, 0, 0);
	stall(w, 3, 0);
	memset(data, 't', sizeof(data));
	one_io_start(&io, raid_blk(w->raid), IO_WRITE, 0, sizeof(data), data,
	    0);
	memset(w->model, 't', sizeof(data));
	wait_ms(w, 3 * DEAD);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_false(info.failed);
	blk_fault_clear(w->fault[0]);
	blk_fault_clear(w->fault[3]);
	loop_run_op(w->loop, &io.op);
	assert_int_equal(io.io.result, 0);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
writes_are_planned_around_a_late_member(void **state)
{
	struct world *w = &world;
	struct one_io io;
	static uint8_t data[4096];
	uint64_t since;

	(void)state;
	start(w, 4);
	w->raid->dead_ms = 60000;
	stall(w, 1, 1u << IO_READ);
	for (unsigned c = 0; c < 8; c++)	/* one of them asks it */
		assert_true(do_io(raid_blk(w->raid), IO_READ, c * CHUNK, 4096,
		    data, 0) == 0);
	since = loop_now(w->loop);
	for (unsigned c = 0; c < 24; c++) {
		memset(data, (int)c, sizeof(data));
		one_io_start(&io, raid_blk(w->raid), IO_WRITE, c * CHUNK,
		    4096, data, 0);
		loop_run_op(w->loop, &io.op);
		assert_int_equal(io.io.result, 0);
		memset(w->model + c * CHUNK, (int)c, 4096);
	}
	assert_true(took_ms(w, since) < 200);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	blk_fault_clear(w->fault[1]);
	wait_ms(w, 20);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
a_flush_that_never_ends_fails_the_member(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3);
	w->raid->dead_ms = 100;
	stall(w, 1, 1u << IO_FLUSH);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 4096, 'f', 0), 0);
	memset(w->model, 'f', 4096);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	compare_all(w);
	blk_fault_clear(w->fault[1]);
	assert_int_equal(world_stop(w), 0);
}

/* Nobody else may stand in: nothing ends, and nothing is lost. */
static void
the_last_leg_of_a_degraded_array_is_waited_for(void **state)
{
	struct world *w = &world;
	struct one_io io;
	static uint8_t data[4096];

	(void)state;
	start(w, 3);
	assert_int_equal(fail_member_now(w, 0), 0);
	stall(w, 1, 0);
	memset(data, 'l', sizeof(data));
	one_io_start(&io, raid_blk(w->raid), IO_WRITE, 0, 4096, data, 0);
	memset(w->model, 'l', 4096);
	wait_ms(w, 3 * DEAD);
	raid_get_info(w->raid, &info);
	assert_false(info.failed);
	blk_fault_clear(w->fault[1]);
	loop_run_op(w->loop, &io.op);
	assert_int_equal(io.io.result, 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* Its request becomes a ghost while the array is frozen for the exchange. */
static void
a_member_with_a_ghost_is_not_exchanged(void **state)
{
	struct world *w = &world;
	struct one_io io;

	(void)state;
	start_with(w, 3, 1);
	assert_int_equal(add(w, 3, true), 0);
	stall(w, 1, 1u << IO_FLUSH);
	one_io_start(&io, raid_blk(w->raid), IO_FLUSH, 0, 0, NULL, 0);
	wait_ms(w, DEADLINE / 3);
	assert_int_equal(fail_member_now(w, 1), 0);
	loop_run_op(w->loop, &io.op);
	wait_ms(w, DEADLINE);
	assert_int_equal(w->raid->ghosts, 1);
	assert_ptr_equal(w->raid->member[1].blk, &w->keep[1].blk);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 4096, 'g', 0), 0);
	blk_fault_clear(w->fault[1]);
	do {
		wait_ms(w, 5);
		raid_get_info(w->raid, &info);
	} while (info.degraded > 0);
	assert_ptr_equal(w->raid->member[1].blk, &w->keep[3].blk);
	assert_int_equal(world_stop(w), 0);
}

static void
the_array_is_stopped_when_its_last_ghost_has_ended(void **state)
{
	struct world *w = &world;
	struct raid_stop stop;

	(void)state;
	start(w, 3);
	w->raid->dead_ms = 100;
	stall(w, 2, 1u << IO_WRITE);
	stop = (struct raid_stop){ .raid = w->raid };
	raid_stop_start(&stop, NULL);
	wait_ms(w, DEAD);
	assert_false(stop.op.ended);
	blk_fault_clear(w->fault[2]);
	loop_run_op(w->loop, &stop.op);
	assert_int_equal(stop.err.code, 0);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_dead_member_is_failed_and_its_requests_go_on),
		cmocka_unit_test(a_member_that_answers_again_is_kept),
		cmocka_unit_test(members_that_stall_together_are_kept),
		cmocka_unit_test(writes_are_planned_around_a_late_member),
		cmocka_unit_test(a_flush_that_never_ends_fails_the_member),
		cmocka_unit_test(
		    the_last_leg_of_a_degraded_array_is_waited_for),
		cmocka_unit_test(a_member_with_a_ghost_is_not_exchanged),
		cmocka_unit_test(
		    the_array_is_stopped_when_its_last_ghost_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
