/* SPDX-License-Identifier: BSD-2-Clause */
/* Task set order, aborts, task management, unit attentions, LUN maps. */
#include <errno.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

static struct run r, w[4];
static const uint8_t data[512] = { 1 };

static void
stall(struct fix *f, unsigned kinds, unsigned count)
{
	struct fault_rule rule = { .action = FAULT_STALL, .kinds = kinds,
	    .count = count };

	assert_int_equal(blk_fault_add(f->fault, &rule), 0);
}

static void
start_write(struct fix *f, struct run *run, unsigned nexus, uint8_t lba)
{
	fix_start(f, run, nexus, CDB(0x2a, 0, 0, 0, 0, lba, 0, 0, 1, 0), data,
	    512, 0);
}

/* --- order --- */

static void
ordered_waits_for_older_and_holds_younger(void **state)
{
	struct fix *f = *state;

	stall(f, 1u << IO_WRITE, 1);
	start_write(f, &w[0], A, 0);
	fix_turn(f);
	w[1].attr = SCSI_ATTR_ORDERED;
	start_write(f, &w[1], B, 1);
	w[2].attr = SCSI_ATTR_SIMPLE;
	start_write(f, &w[2], A, 2);
	w[3].attr = SCSI_ATTR_HEAD;
	start_write(f, &w[3], C, 3);
	fix_turn(f);
	assert_false(w[1].cmd.op.ended);
	assert_false(w[2].cmd.op.ended);
	assert_true(w[3].cmd.op.ended);	/* head of queue passes them all */
	assert_int_equal(f->lu->ndormant, 2);
	blk_fault_clear(f->fault);
	fix_finish(f, &w[2]);
	assert_true(w[0].cmd.op.ended && w[1].cmd.op.ended);
	for (unsigned i = 0; i < 4; i++) {
		if (i != 2)
			fix_finish(f, &w[i]);
		expect_good(&w[i]);
		w[i].attr = SCSI_ATTR_UNTAGGED;
	}
	assert_int_equal(f->lu->nbarriers, 0);
	assert_int_equal(f->lu->ntasks, 0);
}

static void
aca_attribute_is_refused(void **state)
{
	struct fix *f = *state;

	r.attr = SCSI_ATTR_ACA;
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_sense(&r, 0xb, 0x49, 0);
	r.attr = SCSI_ATTR_UNTAGGED;
}

/* --- aborts: at each place where a command can wait --- */

static void
expect_aborted(struct fix *f, struct run *run)
{
	fix_finish(f, run);
	assert_int_equal(run->cmd.status, SCSI_TASK_ABORTED);
	assert_int_equal(run->cmd.in_valid, 0);
	assert_int_equal(f->lu->ntasks, 0);
	assert_true(TAILQ_EMPTY(&f->lu->locks.queue));
}

static void
abort_before_the_first_step(void **state)
{
	struct fix *f = *state;

	start_write(f, &w[0], A, 0);
	scsi_cmd_abort(&w[0].cmd);
	expect_aborted(f, &w[0]);
	assert_int_equal(f->mem[0], 0);
}

static void
abort_while_dormant(void **state)
{
	struct fix *f = *state;

	stall(f, 1u << IO_WRITE, 1);
	w[0].attr = SCSI_ATTR_ORDERED;
	start_write(f, &w[0], A, 0);
	w[0].attr = SCSI_ATTR_UNTAGGED;
	fix_turn(f);
	start_write(f, &w[1], A, 1);
	fix_turn(f);
	assert_true(w[1].cmd.dormant);
	scsi_cmd_abort(&w[1].cmd);
	fix_finish(f, &w[1]);
	assert_int_equal(w[1].cmd.status, SCSI_TASK_ABORTED);
	assert_int_equal(f->mem[512], 0);
	blk_fault_clear(f->fault);
	fix_finish(f, &w[0]);
	expect_good(&w[0]);
}

static void
abort_while_collecting(void **state)
{
	struct fix *f = *state;

	w[0].hold = true;
	start_write(f, &w[0], A, 0);
	fix_turn(f);
	assert_non_null(w[0].held);
	scsi_cmd_abort(&w[0].cmd);
	expect_aborted(f, &w[0]);
	assert_int_equal(f->mem[0], 0);
	w[0].hold = false;
}

/* The array may then wait for it before it reads to fill a stripe. */
static void
a_write_tells_that_another_one_is_coming(void **state)
{
	struct fix *f = *state;

	w[0].hold = true;
	start_write(f, &w[0], A, 0);
	fix_turn(f);
	start_write(f, &w[1], A, 1);
	fix_finish(f, &w[1]);
	assert_true((w[1].cmd.io.flags & IO_MORE) != 0);
	fix_serve(&w[0]);
	fix_finish(f, &w[0]);
	expect_good(&w[0]);
	assert_false((w[0].cmd.io.flags & IO_MORE) != 0);
	w[0].hold = false;
}

static void
abort_while_waiting_for_a_range(void **state)
{
	struct fix *f = *state;
	uint8_t pair[1024] = { 0 };

	stall(f, 1u << IO_READ, 1);
	fix_start(f, &w[0], A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    1, 0, 0), pair, 1024, 0);
	fix_turn(f);
	start_write(f, &w[1], B, 0);
	start_write(f, &w[2], B, 0);
	fix_turn(f);
	assert_false(w[1].cmd.lock.granted);
	scsi_cmd_abort(&w[1].cmd);
	fix_finish(f, &w[1]);
	assert_int_equal(w[1].cmd.status, SCSI_TASK_ABORTED);
	assert_false(w[2].cmd.op.ended);
	blk_fault_clear(f->fault);
	fix_finish(f, &w[2]);
	expect_good(&w[2]);
	fix_finish(f, &w[0]);
	expect_good(&w[0]);
}

static void
abort_during_io_waits_for_it(void **state)
{
	struct fix *f = *state;

	stall(f, 1u << IO_READ, 1);
	fix_start(f, &r, A, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0,
	    512);
	fix_turn(f);
	scsi_cmd_abort(&r.cmd);
	fix_turn(f);
	assert_false(r.cmd.op.ended);
	blk_fault_clear(f->fault);
	expect_aborted(f, &r);
}

/* A COMPARE AND WRITE that is aborted after its read does not write. */
static void
aborted_compare_and_write_never_writes(void **state)
{
	struct fix *f = *state;
	uint8_t pair[1024] = { 0 };

	pair[512] = 9;
	stall(f, 1u << IO_READ, 1);
	fix_start(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	    0, 0), pair, 1024, 0);
	fix_turn(f);
	scsi_cmd_abort(&r.cmd);
	blk_fault_clear(f->fault);
	expect_aborted(f, &r);
	assert_false(f->lu->work_busy);
	assert_int_equal(f->mem[0], 0);
}

/* Every command with the blk stalled at its first request, then aborted. */
static void
each_command_ends_when_aborted(void **state)
{
	struct fix *f = *state;
	const struct scsi_opcode *row = NULL;
	static uint8_t out[1024];

	while ((row = scsi_opcode_next(row)) != NULL) {
		uint8_t cdb[16] = { row->opcode };

		if (row->has_sa)
			cdb[row->sa_byte] = row->sa;
		if (row->len.size != 0)
			cdb[row->len.at + row->len.size - 1] =
			    row->flags & OPC_RANGE ? 1 : 24;
		for (unsigned i = 0; i < NEXUSES; i++)
			f->nexus[i]->luns[0]->ua = 0;
		stall(f, 0, 1);
		fix_start(f, &r, A, cdb, 16, out, row->flags & OPC_RANGE ?
		    (row->opcode == 0x89 ? 1024 : 512) : 24, 512);
		fix_turn(f);
		if (!r.cmd.op.ended)
			scsi_cmd_abort(&r.cmd);
		blk_fault_clear(f->fault);
		fix_finish(f, &r);
		assert_int_equal(f->lu->ntasks, 0);
		assert_true(TAILQ_EMPTY(&f->lu->locks.queue));
		assert_false(f->lu->work_busy || f->lu->pr_busy);
	}
}

/* --- task management --- */

static enum scsi_tmf_result
tmf(struct fix *f, unsigned nexus, enum scsi_tmf function, uint8_t lun)
{
	struct scsi_tmf_req req = { .nexus = f->nexus[nexus],
	    .function = function, .lun = { 0, lun } };

	scsi_tmf_start(&req, NULL);
	loop_run_op(f->loop, &req.op);
	return req.result;
}

static void
abort_task_set_spares_other_nexuses(void **state)
{
	struct fix *f = *state;

	w[0].hold = w[1].hold = true;
	start_write(f, &w[0], A, 0);
	start_write(f, &w[1], B, 1);
	fix_turn(f);
	assert_int_equal(tmf(f, A, SCSI_QUERY_TASK_SET, 0),
	    SCSI_TMF_SUCCEEDED);
	assert_int_equal(tmf(f, C, SCSI_QUERY_TASK_SET, 0),
	    SCSI_TMF_COMPLETE);
	assert_int_equal(tmf(f, A, SCSI_ABORT_TASK_SET, 0),
	    SCSI_TMF_COMPLETE);
	assert_true(w[0].cmd.op.ended);
	assert_false(w[0].cmd.abort_notify);
	assert_false(w[1].cmd.op.ended);
	assert_int_equal(tmf(f, A, SCSI_CLEAR_TASK_SET, 0),
	    SCSI_TMF_COMPLETE);
	assert_true(w[1].cmd.op.ended);
	assert_true(w[1].cmd.abort_notify);
	fix_finish(f, &w[0]);
	fix_finish(f, &w[1]);
	assert_int_equal(w[1].cmd.status, SCSI_TASK_ABORTED);
	assert_int_equal(tmf(f, A, SCSI_LU_RESET, 5), SCSI_TMF_NO_LUN);
	w[0].hold = w[1].hold = false;
}

static void
lu_reset_waits_for_io_and_resets(void **state)
{
	struct fix *f = *state;
	struct scsi_tmf_req req = { .nexus = f->nexus[A],
	    .function = SCSI_LU_RESET };

	fix_run(f, &r, B, CDB(0x16), NULL, 0, 0);
	f->lu->mode.swp = f->lu->mode.d_sense = true;
	f->lu->mode.swp = false;
	stall(f, 1u << IO_WRITE, 1);
	start_write(f, &w[0], B, 0);
	fix_turn(f);
	scsi_tmf_start(&req, NULL);
	fix_turn(f);
	assert_false(req.op.ended);
	blk_fault_clear(f->fault);
	loop_run_op(f->loop, &req.op);
	assert_true(w[0].cmd.op.ended);
	fix_finish(f, &w[0]);
	assert_int_equal(w[0].cmd.status, SCSI_TASK_ABORTED);
	assert_false(f->lu->reserved);
	assert_false(f->lu->mode.d_sense);
	for (unsigned i = 0; i < NEXUSES; i++)
		assert_int_equal(f->nexus[i]->luns[0]->ua, 1u << UA_LU_RESET);
}

static void
nexus_reset_drops_only_that_nexus(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x16), NULL, 0, 0);
	w[0].hold = true;
	start_write(f, &w[0], A, 0);
	fix_turn(f);
	assert_int_equal(tmf(f, A, SCSI_I_T_NEXUS_RESET, 0),
	    SCSI_TMF_COMPLETE);
	fix_finish(f, &w[0]);
	assert_int_equal(w[0].cmd.status, SCSI_TASK_ABORTED);
	assert_false(f->lu->reserved);
	assert_int_equal(f->nexus[A]->luns[0]->ua, 1u << UA_NEXUS_LOSS);
	assert_int_equal(f->nexus[B]->luns[0]->ua, 0);
	assert_int_equal(tmf(f, B, SCSI_TARGET_RESET, 0), SCSI_TMF_COMPLETE);
	assert_int_equal(f->nexus[C]->luns[0]->ua, 1u << UA_LU_RESET);
	w[0].hold = false;
}

struct drain {
	struct op op;
	struct scsi_lu *lu;
};

static void
drain_run(struct op *op)
{
	if (op->step++ == 0)
		scsi_lu_drain(op_owner(op, struct drain)->lu, op);
	else
		op_end(op);
}

static const struct op_type drain_type = { .name = "drain",
    .run = drain_run };

static void
drain_waits_for_the_last_command(void **state)
{
	struct fix *f = *state;
	struct drain d = { .lu = f->lu };

	stall(f, 1u << IO_WRITE, 1);
	start_write(f, &w[0], A, 0);
	fix_turn(f);
	op_start(&d.op, &drain_type, loop_sched(f->loop), NULL);
	fix_turn(f);
	assert_false(d.op.ended);
	blk_fault_clear(f->fault);
	fix_finish(f, &w[0]);
	loop_run_op(f->loop, &d.op);
	op_start(&d.op, &drain_type, loop_sched(f->loop), NULL);
	loop_run_op(f->loop, &d.op);
}

/* --- unit attentions and maps --- */

static void
attentions_come_in_order_of_urgency(void **state)
{
	struct fix *f = *state;
	static const struct { enum ua ua; unsigned asc, ascq; } order[] = {
		{ UA_POWER_ON, 0x29, 0 }, { UA_LU_RESET, 0x29, 3 },
		{ UA_NEXUS_LOSS, 0x29, 7 },
		{ UA_RESERVATIONS_PREEMPTED, 0x2a, 3 },
		{ UA_RESERVATIONS_RELEASED, 0x2a, 4 },
		{ UA_REGISTRATIONS_PREEMPTED, 0x2a, 5 },
		{ UA_MODE_CHANGED, 0x2a, 1 },
		{ UA_CAPACITY_CHANGED, 0x2a, 9 },
		{ UA_INQUIRY_CHANGED, 0x3f, 3 },
		{ UA_LUNS_CHANGED, 0x3f, 0x0e },
		{ UA_MEDIUM_CHANGED, 0x28, 0 },
	};

	assert_int_equal(nitems(order), UA_COUNT);
	for (size_t i = nitems(order); i-- > 0;) {
		ua_raise(f->nexus[A]->luns[0], order[i].ua);
		ua_raise(f->nexus[A]->luns[0], order[i].ua);
	}
	for (size_t i = 0; i < nitems(order); i++) {
		fix_run(f, &r, A, CDB(0), NULL, 0, 0);
		expect_sense(&r, 6, order[i].asc, order[i].ascq);
	}
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_good(&r);
}

static void
request_sense_takes_the_attention_report_luns_its_own(void **state)
{
	struct fix *f = *state;

	ua_raise(f->nexus[A]->luns[0], UA_CAPACITY_CHANGED);
	ua_raise(f->nexus[A]->luns[0], UA_LUNS_CHANGED);
	fix_run(f, &r, A, CDB(0x03, 0, 0, 0, 18, 0), NULL, 0, 18);
	expect_good(&r);
	assert_int_equal(r.data[2], 6);
	assert_int_equal(be(r.data + 12, 2), 0x2a09);
	fix_run(f, &r, A, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0), NULL,
	    0, 16);
	expect_good(&r);
	assert_int_equal(be(r.data, 4), 8);
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_good(&r);
}

static void
growth_reaches_each_nexus_at_once(void **state)
{
	struct fix *f = *state;

	f->fault->geo.size = MIB / 2;
	scsi_lu_capacity_changed(f->lu);
	for (unsigned i = 0; i < NEXUSES; i++) {
		fix_run(f, &r, i, CDB(0), NULL, 0, 0);
		expect_sense(&r, 6, 0x2a, 9);
		fix_run(f, &r, i, CDB(0x25), NULL, 0, 8);
		assert_int_equal(be(r.data, 4), 1023);
	}
	scsi_lu_capacity_changed(f->lu);
	assert_int_equal(f->nexus[A]->luns[0]->ua, 0);
}

static void
map_changes_disturb_only_changed_views(void **state)
{
	struct fix *f = *state;
	struct scsi_map_entry map[3] = {
		{ .lun = 0, .lu = f->lu }, { .lun = 300, .lu = f->lu },
		{ .lun = 7, .lu = f->lu },
	};

	scsi_nexus_set_map(f->nexus[A], map, 1);
	assert_int_equal(f->nexus[A]->luns[0]->ua, 0);
	scsi_nexus_set_map(f->nexus[A], map, 3);
	assert_int_equal(f->nexus[A]->nluns, 3);
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_sense(&r, 6, 0x3f, 0x0e);
	fix_run(f, &r, A, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0), NULL,
	    0, 64);
	assert_int_equal(be(r.data, 4), 24);
	assert_int_equal(be(r.data + 8, 2), 0);
	assert_int_equal(be(r.data + 16, 2), 7);
	assert_int_equal(be(r.data + 24, 2), 0x4000 | 300);
	assert_int_equal(f->nexus[B]->luns[0]->ua, 0);
	map[0].read_only = true;
	f->nexus[A]->luns[0]->ua = 0;
	scsi_nexus_set_map(f->nexus[A], map, 3);
	assert_int_equal(f->nexus[A]->luns[0]->ua, 1u << UA_MODE_CHANGED);
	f->nexus[A]->luns[0]->ua = 0;
	start_write(f, &w[0], A, 0);
	fix_finish(f, &w[0]);
	expect_sense(&w[0], 7, 0x27, 0);
}

/* A command outlives its view; the view goes with it. */
static void
unmapping_under_a_command_is_safe(void **state)
{
	struct fix *f = *state;

	stall(f, 1u << IO_WRITE, 1);
	start_write(f, &w[0], A, 0);
	fix_turn(f);
	scsi_nexus_set_map(f->nexus[A], NULL, 0);
	blk_fault_clear(f->fault);
	fix_finish(f, &w[0]);
	expect_good(&w[0]);
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_sense(&r, 5, 0x25, 0);
}

static void
lun_addresses_decode(void **state)
{
	uint8_t lun[8] = { 0 };

	(void)state;
	for (int n = 0; n < 0x4000; n++) {
		scsi_lun_encode((uint16_t)n, lun);
		assert_int_equal(scsi_lun_decode(lun), n);
	}
	assert_int_equal(scsi_lun_decode((uint8_t[8]){ 0x40, 3 }), 3);
	assert_int_equal(scsi_lun_decode((uint8_t[8]){ 1, 3 }), -1);
	assert_int_equal(scsi_lun_decode((uint8_t[8]){ 0xc1, 1 }), -1);
	assert_int_equal(scsi_lun_decode((uint8_t[8]){ 0, 0, 1 }), -1);
}

static void
statistics_add_up(void **state)
{
	struct fix *f = *state;
	struct scsi_lu_stats stats;
	struct fault_rule bad = { .action = FAULT_ERROR, .err = EIO,
	    .count = 1 };
	uint64_t reads = 0, writes = 0;

	start_write(f, &w[0], A, 0);
	fix_finish(f, &w[0]);
	fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), NULL, 0,
	    1024);
	fix_run(f, &r, A, CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 2, 0), NULL, 0,
	    1024);
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	scsi_lu_get_stats(f->lu, &stats);
	assert_int_equal(stats.errors, 0);	/* it asked beyond the end */
	assert_int_equal(blk_fault_add(f->fault, &bad), 0);
	fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), NULL, 0,
	    1024);
	expect_sense(&r, 0x03, 0x11, 0x00);
	scsi_lu_get_stats(f->lu, &stats);
	assert_int_equal(stats.writes, 1);
	assert_int_equal(stats.write_bytes, 512);
	assert_int_equal(stats.reads, 3);
	assert_int_equal(stats.read_bytes, 1024);
	for (unsigned i = 0; i < SCSI_LATENCIES; i++) {
		reads += stats.read_latency[i];
		writes += stats.write_latency[i];
	}
	assert_int_equal(reads, 3);
	assert_int_equal(writes, 1);
	assert_int_equal(latency_slot(0, SCSI_LATENCIES), 0);
	assert_int_equal(latency_slot(1000, SCSI_LATENCIES), 1);
	assert_int_equal(latency_slot(1023999, SCSI_LATENCIES), 10);
	assert_int_equal(latency_slot(UINT64_MAX, SCSI_LATENCIES),
	    SCSI_LATENCIES - 1);
	assert_int_equal(stats.others, 1);
	assert_int_equal(stats.errors, 1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(ordered_waits_for_older_and_holds_younger),
		T(aca_attribute_is_refused),
		T(abort_before_the_first_step),
		T(abort_while_dormant),
		T(abort_while_collecting),
		T(a_write_tells_that_another_one_is_coming),
		T(abort_while_waiting_for_a_range),
		T(abort_during_io_waits_for_it),
		T(aborted_compare_and_write_never_writes),
		T(each_command_ends_when_aborted),
		T(abort_task_set_spares_other_nexuses),
		T(lu_reset_waits_for_io_and_resets),
		T(nexus_reset_drops_only_that_nexus),
		T(drain_waits_for_the_last_command),
		T(attentions_come_in_order_of_urgency),
		T(request_sense_takes_the_attention_report_luns_its_own),
		T(growth_reaches_each_nexus_at_once),
		T(map_changes_disturb_only_changed_views),
		T(unmapping_under_a_command_is_safe),
		cmocka_unit_test(lun_addresses_decode),
		T(statistics_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
