/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/port.c: members that are late, and one that never answers again. */
#include "tests/unit/late.h"
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
		assert_true(w->raid->yard.ghosts > 0);
		since = loop_now(w->loop);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(batch(w, 60 * 1024), 0);
		assert_true(took_ms(w, since) < DEAD);
		compare_all(w);
		blk_fault_clear(w->fault[lost]);	/* it wakes up */
		wait_ms(w, 20);
		assert_int_equal(w->raid->yard.ghosts, 0);
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
	assert_int_equal(w->raid->yard.ghosts, 1);
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

/* The member at `i` keeps the memory of its reads, once told to. */
static void
make_late(struct world *w, unsigned i, struct late *late)
{
	late_init(late, w->keep[i].lower);
	w->keep[i].lower = &late->blk;
}

/* Eight reads at a time, one of them for the late member at least. */
static void
read_lent(struct world *w, struct lender *l, struct buf_pool *pool,
    uint64_t len)
{
	struct blk *blk = raid_blk(w->raid);

	for (unsigned i = 0; i < 8; i++)
		lender_start(&l[i], blk, pool, i * ((w->size - len) / 7 /
		    4096 * 4096), len);
	for (unsigned i = 0; i < 8; i++)
		loop_run_op(w->loop, &l[i].op);
}

static void
a_lent_read_is_done_without_a_late_member(void **state)
{
	static const uint64_t lens[] = { 4096, 64 * KIB, MIB };
	static struct lender l[8];
	static struct late late;
	struct world *w = &world;

	(void)state;
	for (unsigned k = 0; k < nitems(lens) * 2; k++) {
		struct buf_pool *pool = buf_pool_new(8, 128);
		uint64_t len = lens[k / 2], since;
		unsigned again = 0;

		start(w, 4);
		w->raid->dead_ms = 60000;
		make_late(w, 2, &late);
		late.hold = true;
		since = loop_now(w->loop);
		read_lent(w, l, pool, len);
		assert_true(took_ms(w, since) < 10000);
		for (unsigned i = 0; i < 8; i++) {
			assert_int_equal(l[i].io.result, 0);
			assert_true(lender_has(&l[i], w->model + l[i].off));
			again += l[i].again;
		}
		assert_true(again > 0);
		assert_true(w->raid->yard.ghosts > 0);
		assert_int_equal(w->raid->yard.open, 0);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.degraded, 0);
		if (k % 2 == 1) {	/* it never answers in time */
			assert_int_equal(fail_member_now(w, 2), 0);
			wait_ms(w, 2 * DEADLINE);
		}
		late_wake(&late, NULL);
		assert_int_equal(w->raid->yard.ghosts, 0);
		for (unsigned i = 0; i < 8; i++) {
			assert_true(lender_has(&l[i], w->model + l[i].off));
			buf_release(&l[i].buf);
		}
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
		buf_pool_free(pool);
	}
}

/* Not a moment longer than they must, and with the right data. */
static void
a_lent_read_takes_what_comes_in_time(void **state)
{
	static struct lender l[8];
	static struct late late;
	struct buf_pool *pool = buf_pool_new(8, 128);
	struct world *w = &world;

	(void)state;
	start(w, 4);
	raid_set_deadline(w->raid, 5000);
	make_late(w, 1, &late);
	late.hold = true;
	for (unsigned i = 0; i < 8; i++)
		lender_start(&l[i], raid_blk(w->raid), pool, i * 100 * KIB,
		    100 * KIB);
	wait_ms(w, 20);
	late_wake(&late, blk_ram_data(w->ram[1]));
	for (unsigned i = 0; i < 8; i++) {
		loop_run_op(w->loop, &l[i].op);
		assert_int_equal(l[i].again, 0);
		assert_true(lender_has(&l[i], w->model + l[i].off));
		buf_release(&l[i].buf);
	}
	assert_int_equal(world_stop(w), 0);
	buf_pool_free(pool);
}

/* It was passed over, and then another is gone: it has the data, so wait. */
static void
a_late_member_is_asked_if_nobody_else_can(void **state)
{
	static const uint64_t lens[] = { 512, 4096, 64 * KIB };
	static struct lender l;
	static struct late late;
	struct world *w = &world;

	(void)state;
	for (unsigned k = 0; k < nitems(lens); k++) {
		struct buf_pool *pool = buf_pool_new(8, 32);

		start(w, 3);
		w->raid->dead_ms = 60000;
		make_late(w, 1, &late);
		late.hold = true;
		add_fault(w, 0, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV, .kinds = 1u << IO_READ });
		lender_start(&l, raid_blk(w->raid), pool, CHUNK, lens[k]);
		wait_ms(w, 10 * DEADLINE);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.degraded, 1);
		assert_false(info.failed);
		assert_false(l.op.ended);
		late_wake(&late, blk_ram_data(w->ram[1]));
		loop_run_op(w->loop, &l.op);
		assert_int_equal(l.io.result, 0);
		assert_true(lender_has(&l, w->model + CHUNK));
		buf_release(&l.buf);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
		buf_pool_free(pool);
	}
}

/* Two are late: nobody can stand in.  When the array has failed, say so. */
static void
a_lent_read_of_a_failed_array_ends(void **state)
{
	static struct lender l[8];
	static struct late late[2];
	struct buf_pool *pool = buf_pool_new(8, 128);
	struct world *w = &world;

	(void)state;
	start(w, 4);
	for (unsigned i = 0; i < 2; i++) {
		make_late(w, i, &late[i]);
		late[i].hold = true;
	}
	for (unsigned i = 0; i < 8; i++)
		lender_start(&l[i], raid_blk(w->raid), pool, i * 64 * KIB,
		    64 * KIB);
	wait_ms(w, 3 * DEADLINE);
	member_fail(&w->raid->member[2], "test");
	member_fail(&w->raid->member[3], "test");
	for (unsigned i = 0; i < 8; i++) {
		loop_run_op(w->loop, &l[i].op);
		assert_int_equal(l[i].io.result, -ENODEV);
		buf_release(&l[i].buf);
	}
	for (unsigned i = 0; i < 2; i++)
		late_wake(&late[i], NULL);
	assert_int_equal(world_stop(w), EIO);
	buf_pool_free(pool);
}

/* The other data of a short row, for its parity: there is a way round. */
static void
a_preread_of_a_late_member_is_given_up(void **state)
{
	static uint8_t data[4096];
	static struct late late;
	struct world *w = &world;
	struct one_io io;
	uint64_t since;

	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		unsigned chunk = 0;

		start(w, 3);
		w->raid->dead_ms = 60000;
		make_late(w, m, &late);
		/* Neither the chunk nor the parity is on the member. */
		while (raid_map_role(&w->raid->map, chunk / 2, chunk % 2) ==
		    m || raid_map_parity(&w->raid->map, chunk / 2) == m)
			chunk++;
		late.hold = true;
		memset(data, 0x33 + (int)m, sizeof(data));
		since = loop_now(w->loop);
		one_io_start(&io, raid_blk(w->raid), IO_WRITE, chunk * CHUNK,
		    4096, data, 0);
		memcpy(w->model + chunk * CHUNK, data, 4096);
		loop_run_op(w->loop, &io.op);
		assert_int_equal(io.io.result, 0);
		assert_true(took_ms(w, since) < 10000);
		assert_true(w->raid->yard.ghosts > 0);
		late_wake(&late, NULL);
		assert_int_equal(w->raid->yard.ghosts, 0);
		compare_all(w);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

/* A dead member takes a long write along for DEAD, not longer. */
static void
long_writes_end_when_a_member_is_dead(void **state)
{
	static const uint64_t lens[] = { 64 * KIB, MIB };
	static uint8_t data[2][MIB];
	struct world *w = &world;
	uint64_t since;

	(void)state;
	for (unsigned k = 0; k < nitems(lens); k++) {
		struct one_io io[2];

		start(w, 4);
		stall(w, k, 0);
		since = loop_now(w->loop);
		for (unsigned i = 0; i < 2; i++) {
			uint64_t off = i * (w->size / 2 + 512);

			memset(data[i], 'a' + (int)i, lens[k]);
			one_io_start(&io[i], raid_blk(w->raid), IO_WRITE, off,
			    lens[k], data[i], 0);
			memset(w->model + off, 'a' + (int)i, lens[k]);
		}
		for (unsigned i = 0; i < 2; i++) {
			loop_run_op(w->loop, &io[i].op);
			assert_int_equal(io[i].io.result, 0);
			memset(data[i], 0xee, lens[k]);	/* ours again */
		}
		assert_in_range(took_ms(w, since), DEAD, 20 * DEAD);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.member[k].state, RAID_MEMBER_FAULTY);
		compare_all(w);
		blk_fault_clear(w->fault[k]);
		wait_ms(w, 20);
		assert_int_equal(w->raid->yard.ghosts, 0);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
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
		cmocka_unit_test(a_lent_read_is_done_without_a_late_member),
		cmocka_unit_test(a_lent_read_takes_what_comes_in_time),
		cmocka_unit_test(a_late_member_is_asked_if_nobody_else_can),
		cmocka_unit_test(a_lent_read_of_a_failed_array_ends),
		cmocka_unit_test(a_preread_of_a_late_member_is_given_up),
		cmocka_unit_test(long_writes_end_when_a_member_is_dead),
		cmocka_unit_test(
		    the_array_is_stopped_when_its_last_ghost_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
