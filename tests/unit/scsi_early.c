/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes whose first part is stored while the rest is on its way (rw.c). */
#include <errno.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

#define STRIPE 16384u
#define LEN 65536u
#define HERE 40000u		/* bytes that have come: two stripes and more */
#define WRITE_128 CDB(0x2a, 0, 0, 0, 0, 8, 0, 0, 128, 0)
#define OFF (8 * 512)

/* The fix' device, with stripes. */
static struct blk front, *lower;
static uint8_t data[LEN];

static void
submit(struct blk *blk, struct io *io)
{
	(void)blk;
	blk_forward(lower, io);
}

static uint64_t
cut(const struct blk *blk, uint64_t off, uint64_t len)
{
	(void)blk;
	(void)off;
	return len - len % STRIPE;
}

static const struct blk_ops ops = {
	.type = "front", .submit = submit, .cut = cut,
};

static int
setup(void **state)
{
	struct fix *f;

	(void)fix_setup(state);
	f = *state;
	lower = f->fault;
	front = (struct blk){ .ops = &ops, .loop = f->loop,
		.geo = lower->geo };
	f->lu->blk = &front;
	for (unsigned i = 0; i < LEN; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	return 0;
}

/* Started, and the first HERE bytes have come. */
static void
begin(struct fix *f, struct run *r, uint32_t here)
{
	r->hold = true;
	fix_start(f, r, A, WRITE_128, data, LEN, 0);
	fix_turn(f);
	assert_non_null(r->held);
	iov_from_buf(r->held_buf->iov, r->held_buf->niov, 0, data, here);
	scsi_cmd_arrived(&r->cmd, here);
	fix_turn(f);
}

static bool
stored(const struct fix *f, uint32_t from, uint32_t to)
{
	return memcmp(f->mem + OFF + from, data + from, to - from) == 0;
}

static void
the_first_stripes_are_stored_before_the_rest_comes(void **state)
{
	struct fix *f = *state;
	struct run r = { .attr = SCSI_ATTR_SIMPLE };

	begin(f, &r, HERE);
	assert_true(stored(f, 0, 2 * STRIPE));
	assert_false(stored(f, 2 * STRIPE, 2 * STRIPE + 512));
	fix_serve(&r);
	fix_finish(f, &r);
	expect_good(&r);
	assert_true(stored(f, 0, LEN));
}

static void
less_than_a_stripe_waits(void **state)
{
	struct fix *f = *state;
	struct run r = { .attr = SCSI_ATTR_SIMPLE };

	begin(f, &r, STRIPE - 1);
	assert_false(stored(f, 0, 512));
	fix_serve(&r);
	fix_finish(f, &r);
	expect_good(&r);
	assert_true(stored(f, 0, LEN));
}

static void
it_ends_when_both_parts_are_stored(void **state)
{
	struct fix *f = *state;
	struct run r = { .attr = SCSI_ATTR_SIMPLE };
	struct fault_rule stall = { .action = FAULT_STALL, .count = 1 };

	assert_int_equal(blk_fault_add(f->fault, &stall), 0);
	begin(f, &r, HERE);
	fix_serve(&r);
	fix_turn(f);
	assert_false(r.cmd.op.ended);
	assert_true(stored(f, 2 * STRIPE, LEN));	/* at once */
	blk_fault_clear(f->fault);
	fix_finish(f, &r);
	expect_good(&r);
	assert_true(stored(f, 0, LEN));
}

static void
an_error_of_either_part_is_told(void **state)
{
	struct fix *f = *state;
	struct fault_rule bad = { .action = FAULT_ERROR, .err = EIO,
	    .count = 1 };

	for (unsigned part = 0; part < 2; part++) {
		struct run r = { .attr = SCSI_ATTR_SIMPLE };

		bad.skip = part;
		assert_int_equal(blk_fault_add(f->fault, &bad), 0);
		begin(f, &r, HERE);
		fix_serve(&r);
		fix_finish(f, &r);
		expect_sense(&r, 0x03, 0x0c, 0x00);
		blk_fault_clear(f->fault);
	}
}

/* It does not change the medium any more once it has ended. */
static void
an_abort_waits_for_the_first_part(void **state)
{
	struct fix *f = *state;
	struct run r = { .attr = SCSI_ATTR_SIMPLE };
	struct fault_rule stall = { .action = FAULT_STALL, .count = 1 };

	assert_int_equal(blk_fault_add(f->fault, &stall), 0);
	begin(f, &r, HERE);
	scsi_cmd_abort(&r.cmd);
	fix_turn(f);
	assert_false(r.cmd.op.ended);
	blk_fault_clear(f->fault);
	fix_finish(f, &r);
	assert_int_equal(r.cmd.status, SCSI_TASK_ABORTED);
	/* And before the first part is on its way there is none. */
	memset(f->mem + OFF, 0, LEN);
	r = (struct run){ .attr = SCSI_ATTR_SIMPLE, .hold = true };
	fix_start(f, &r, A, WRITE_128, data, LEN, 0);
	fix_turn(f);
	scsi_cmd_arrived(&r.cmd, HERE);
	scsi_cmd_abort(&r.cmd);
	fix_finish(f, &r);
	fix_turn(f);
	assert_false(stored(f, 0, 512));
}

static void
among_other_commands_nothing_is_stored_early(void **state)
{
	struct fix *f = *state;
	struct run r = { .attr = SCSI_ATTR_SIMPLE };
	struct run other = { .attr = SCSI_ATTR_SIMPLE, .hold = true };

	fix_start(f, &other, B, CDB(0x2a, 0, 0, 0, 4, 0, 0, 0, 1, 0), data,
	    512, 0);
	begin(f, &r, HERE);
	assert_false(stored(f, 0, 512));
	fix_serve(&other);
	fix_serve(&r);
	fix_finish(f, &r);
	fix_finish(f, &other);
	expect_good(&r);
	assert_true(stored(f, 0, LEN));
}

/* The policy becomes durable while a write is under way. */
static void
a_write_under_way_is_durable_if_the_unit_became_so(void **state)
{
	struct fix *f = *state;
	struct fault_rule stall = { .action = FAULT_STALL, .count = 1,
		.kinds = 1u << IO_WRITE };

	for (unsigned early = 0; early < 2; early++) {
		struct run r = { .attr = SCSI_ATTR_SIMPLE };
		struct scsi_lu_params params = f->params;

		params.durable = false;
		params.write_cache = true;
		scsi_lu_set_params(f->lu, &params);
		for (unsigned i = 0; i < NEXUSES; i++)
			f->nexus[i]->luns[0]->ua = 0;
		memset(f->mem + OFF, 0, LEN);
		blk_fault_volatile_cache(f->fault, true);
		assert_int_equal(blk_fault_add(f->fault, &stall), 0);
		begin(f, &r, early ? HERE : 512);
		if (!early) {
			fix_serve(&r);
			fix_turn(f);
		}
		params.durable = true;
		params.write_cache = false;
		scsi_lu_set_params(f->lu, &params);	/* and its flush: now */
		blk_fault_clear(f->fault);
		if (early)
			fix_serve(&r);
		fix_finish(f, &r);
		expect_good(&r);
		blk_fault_power_cut(f->fault, 7);
		assert_true(stored(f, 0, LEN));
		blk_fault_power_on(f->fault);
		blk_fault_volatile_cache(f->fault, false);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fix_teardown)
		T(the_first_stripes_are_stored_before_the_rest_comes),
		T(less_than_a_stripe_waits),
		T(it_ends_when_both_parts_are_stored),
		T(an_error_of_either_part_is_told),
		T(an_abort_waits_for_the_first_part),
		T(among_other_commands_nothing_is_stored_early),
		T(a_write_under_way_is_durable_if_the_unit_became_so),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
