/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/ahead.c: writes that are announced before their data is here. */
#include "tests/unit/raid_util.h"

static struct world world;
static struct raid_info info;

static void
start(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, 4, 2 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, 65536, policy);
	assert_int_equal(do_write(raid_blk(w->raid), 0, w->size, 1, 0), 0);
	memset(w->model, 1, w->size);
	w->raid->ahead.patience_ms = 60000;	/* the machine may be slow */
}

static void
end(struct world *w)
{
	assert_false(w->raid->ahead.running);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

static void
write_model(struct world *w, uint64_t off, uint64_t len, int byte)
{
	assert_int_equal(do_write(raid_blk(w->raid), off, len, byte, 0), 0);
	memset(w->model + off, byte, len);
}

static unsigned
ready(const struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->raid->ahead.nrows; i++)
		n += w->raid->ahead.row[i] != NULL &&
		    w->raid->ahead.row[i]->at_gate;
	return n;
}

/* Announced, and as far as it gets without its data: `rows` of them. */
static void
announce(struct world *w, uint64_t off, uint64_t len, unsigned rows)
{
	blk_expect(raid_blk(w->raid), off, len);
	for (unsigned i = 0; i < 5000 && ready(w) != rows; i++)
		wait_ms(w, 1);
	assert_int_equal(ready(w), rows);
}

static uint64_t
prereads(struct world *w)
{
	raid_get_info(w->raid, &info);
	return info.prereads;
}

static void
rows_wait_for_their_data_and_nothing_else(void **state)
{
	static const enum raid_policy policies[] = { RAID_POLICY_RESYNC,
		RAID_POLICY_PPL, RAID_POLICY_BITMAP };
	struct world *w = &world;
	uint64_t before, headers;

	(void)state;
	for (unsigned i = 0; i < nitems(policies); i++) {
		start(w, policies[i]);
		before = prereads(w);
		announce(w, 3 * 65536, 1 * MIB, 6);
		assert_true(prereads(w) > before);
		before = prereads(w);
		headers = w->raid->ppl_headers;
		compare_all(w);			/* reads go on */
		write_model(w, 3 * 65536, 1 * MIB, 7);
		assert_int_equal(prereads(w), before);
		assert_int_equal(w->raid->ppl_headers, headers);
		end(w);
	}
}

/* One header for each member, although six rows share four of them. */
static void
one_header_names_all_rows_of_a_member(void **state)
{
	struct world *w = &world;
	uint64_t headers;

	(void)state;
	start(w, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 4; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << IO_READ, .delay_ms = 2 });
	headers = w->raid->ppl_headers;
	announce(w, 65536, 1 * MIB, 6);
	assert_int_equal(w->raid->ppl_headers, headers + 4);
	write_model(w, 65536, 1 * MIB, 7);
	assert_int_equal(w->raid->ppl_headers, headers + 4);
	for (unsigned i = 0; i < 4; i++)
		blk_fault_clear(w->fault[i]);
	end(w);
}

static void
the_data_may_come_at_any_step(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned ms = 0; ms < 12; ms++) {
		start(w, RAID_POLICY_PPL);
		for (unsigned i = 0; i < 4; i++)
			add_fault(w, i, (struct fault_rule){
			    .action = FAULT_DELAY, .delay_ms = 2 });
		blk_expect(raid_blk(w->raid), 10 * 4096, 700 * 1024);
		if (ms > 0)
			wait_ms(w, ms - 1);
		write_model(w, 10 * 4096, 700 * 1024, 9);
		for (unsigned i = 0; i < 4; i++)
			blk_fault_clear(w->fault[i]);
		end(w);
	}
}

/* A part of what was announced, and less of a row than that. */
/* Stripes that are whole and ready can be written before the others. */
static void
whole_stripes_go_ahead_of_the_rest(void **state)
{
	struct world *w = &world;
	uint64_t stripe = 3 * 65536, before, cut;

	(void)state;
	start(w, RAID_POLICY_PPL);
	assert_int_equal(blk_cut(raid_blk(w->raid), 65536, 256 * 1024), 0);
	announce(w, 65536, 1 * MIB, 6);
	before = prereads(w);
	assert_int_equal(blk_cut(raid_blk(w->raid), 65536, 65536), 0);
	cut = blk_cut(raid_blk(w->raid), 65536, 400 * 1024);
	assert_int_equal(cut, 2 * stripe - 65536);
	write_model(w, 65536, cut, 3);
	assert_int_equal(ready(w), 4);
	write_model(w, 65536 + cut, 1 * MIB - cut, 4);
	assert_int_equal(prereads(w), before);
	assert_int_equal(blk_cut(raid_blk(w->raid), 65536, 256 * 1024), 0);
	end(w);
}

static void
another_write_than_announced_is_right_too(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	blk_expect(raid_blk(w->raid), 0, 1 * MIB);
	wait_ms(w, 2);
	write_model(w, 4096, 3 * 65536, 3);	/* inside: not as planned */
	blk_expect(raid_blk(w->raid), 0, 65536);
	wait_ms(w, 2);
	write_model(w, 1 * MIB, 65536, 4);	/* elsewhere */
	assert_int_equal(ready(w), 0);
	blk_expect(raid_blk(w->raid), 0, 65536);
	wait_ms(w, 2);
	write_model(w, 65536, 65536, 5);	/* the same row */
	blk_expect(raid_blk(w->raid), 0, 65536);
	blk_expect(raid_blk(w->raid), 65536, 65536);
	write_model(w, 0, 65536, 6);
	wait_ms(w, 2);
	assert_int_equal(do_io(raid_blk(w->raid), IO_ZERO, 0, 65536, NULL,
	    0), 0);
	memset(w->model, 0, 65536);
	end(w);
}

static void
data_that_never_comes_keeps_nobody(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	w->raid->ahead.patience_ms = 50;
	blk_expect(raid_blk(w->raid), 65536, 1 * MIB);
	for (unsigned i = 0; i < 5000 && w->raid->ahead.running; i++)
		wait_ms(w, 1);
	end(w);
	start(w, RAID_POLICY_PPL);		/* nor the end of the array */
	announce(w, 65536, 1 * MIB, 6);
	assert_int_equal(world_stop(w), 0);
}

static void
a_sweep_does_not_wait_for_data(void **state)
{
	struct world *w = &world;
	struct err err;

	(void)state;
	start(w, RAID_POLICY_PPL);
	announce(w, 65536, 1 * MIB, 6);
	assert_int_equal(raid_scrub(w->raid, false, &err), 0);
	wait_task_end(w, &info);
	assert_int_equal(ready(w), 0);
	end(w);
}

/* A member goes, or a sector cannot be read, while the data is coming. */
static void
faults_meanwhile_are_met_by_the_write(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .count = 1, .err = EIO });
	add_fault(w, 2, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .count = 1, .err = EIO });
	blk_expect(raid_blk(w->raid), 4096, 1 * MIB);
	wait_ms(w, 2);
	assert_true(ready(w) < 6);
	write_model(w, 4096, 1 * MIB, 5);
	end(w);
	start(w, RAID_POLICY_PPL);
	announce(w, 4096, 1 * MIB, 6);
	assert_int_equal(fail_member_now(w, 2), 0);
	write_model(w, 4096, 1 * MIB, 5);
	compare_all(w);
	blk_expect(raid_blk(w->raid), 4096, 1 * MIB);
	assert_false(w->raid->ahead.running);	/* degraded: as it comes */
	assert_int_equal(world_stop(w), 0);
}

/* The logged rows were never written: they follow from the log all the same. */
static void
power_fails_before_the_data_is_here(void **state)
{
	struct world *w = &world;
	struct raid_assemble a;

	(void)state;
	start(w, RAID_POLICY_PPL);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	for (unsigned i = 0; i < 4; i++)
		blk_fault_volatile_cache(w->fault[i], true);
	announce(w, 65536, 1 * MIB, 6);
	lose_power(w, RAID_MEMBERS_MAX);
	assemble_without(w, &a, 0, false);
	assert_non_null(w->raid);
	end(w);
}

static void
right_and_wrong_guesses_among_other_requests(void **state)
{
	static const enum raid_policy policies[] = { RAID_POLICY_RESYNC,
		RAID_POLICY_PPL, RAID_POLICY_BITMAP };
	struct world *w = &world;

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		start(w, policies[round % 3]);
		w->seed += round;
		for (unsigned i = 0; i < 30; i++) {
			uint64_t off = rnd(w) % (w->size / 512 - 1) * 512;
			uint64_t len = 512 * (1 + rnd(w) %
			    MIN((w->size - off) / 512, 2048));

			blk_expect(raid_blk(w->raid), off, len);
			if (rnd(w) % 2 == 0)
				wait_ms(w, rnd(w) % 3);
			if (rnd(w) % 4 != 0)
				write_model(w, off, len, (int)(rnd(w) & 255));
			if (rnd(w) % 3 == 0)
				assert_int_equal(batch(w, 300000), 0);
		}
		ahead_break(w->raid);
		wait_ms(w, 5);
		end(w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_wait_for_their_data_and_nothing_else),
		cmocka_unit_test(one_header_names_all_rows_of_a_member),
		cmocka_unit_test(the_data_may_come_at_any_step),
		cmocka_unit_test(whole_stripes_go_ahead_of_the_rest),
		cmocka_unit_test(another_write_than_announced_is_right_too),
		cmocka_unit_test(data_that_never_comes_keeps_nobody),
		cmocka_unit_test(a_sweep_does_not_wait_for_data),
		cmocka_unit_test(faults_meanwhile_are_met_by_the_write),
		cmocka_unit_test(power_fails_before_the_data_is_here),
		cmocka_unit_test(right_and_wrong_guesses_among_other_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
