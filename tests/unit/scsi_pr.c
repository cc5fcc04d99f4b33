/* SPDX-License-Identifier: BSD-2-Clause */
/* Persistent and SPC-2 reservations, and what survives a restart. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

#define KEY_A 0xa1a2a3a4a5a6a7a8
#define KEY_B 0xb1b2b3b4b5b6b7b8
#define KEY_C 0xc1c2c3c4c5c6c7c8

enum { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_ABORT, IGNORE,
    MOVE };

static struct run r;
static const uint8_t types[] = { 1, 3, 5, 6, 7, 8 };

static void
pr_out_list(struct fix *f, unsigned nexus, unsigned sa, unsigned type,
    const uint8_t *list, uint32_t len)
{
	fix_run(f, &r, nexus, CDB(0x5f, (uint8_t)sa, (uint8_t)type, 0, 0, 0,
	    0, (uint8_t)(len >> 8), (uint8_t)len, 0), list, len, 0);
}

static void
pr_out(struct fix *f, unsigned nexus, unsigned sa, unsigned type,
    uint64_t key, uint64_t new_key, unsigned flags)
{
	uint8_t list[24] = { 0 };
	struct wire_out out = wire_out(list, sizeof(list));

	put_be64(&out, key);
	put_be64(&out, new_key);
	list[20] = (uint8_t)flags;
	pr_out_list(f, nexus, sa, type, list, sizeof(list));
}

static void
pr_in(struct fix *f, unsigned nexus, unsigned sa)
{
	fix_run(f, &r, nexus, CDB(0x5e, (uint8_t)sa, 0, 0, 0, 0, 0, 0x40, 0,
	    0), NULL, 0, 0x4000);
	expect_good(&r);
}

static void
reg(struct fix *f, unsigned nexus, uint64_t key)
{
	pr_out(f, nexus, IGNORE, 0, 0, key, 0);
	expect_good(&r);
}

static uint32_t
generation(struct fix *f)
{
	pr_in(f, A, 0);
	return (uint32_t)be(r.data, 4);
}

static unsigned
nkeys(struct fix *f)
{
	pr_in(f, A, 0);
	return (unsigned)be(r.data + 4, 4) / 8;
}

static void
expect_reserved(struct fix *f, unsigned type, uint64_t key)
{
	pr_in(f, C, 1);
	if (type == 0) {
		assert_int_equal(be(r.data + 4, 4), 0);
		return;
	}
	assert_int_equal(be(r.data + 4, 4), 16);
	assert_true(be(r.data + 8, 8) == key);
	assert_int_equal(r.data[21], type);
}

static void
expect_ua(struct fix *f, unsigned nexus, enum ua ua)
{
	assert_int_equal(f->nexus[nexus]->luns[0]->ua, 1u << ua);
	f->nexus[nexus]->luns[0]->ua = 0;
}

static void
expect_no_ua(struct fix *f, unsigned nexus)
{
	assert_int_equal(f->nexus[nexus]->luns[0]->ua, 0);
}

/* --- the matrix --- */

/* May a nexus run `row` against a reservation of `type` held by A? */
static bool
allowed(unsigned type, bool registered, const struct scsi_opcode *row)
{
	bool excl = type == 3 || type == 6 || type == 8;
	bool shared = type >= 5;

	switch ((enum reserve_class)row->reserve) {
	case RESV_READ:
		return !excl || (shared && registered);
	case RESV_WRITE:
	case RESV_START_STOP:	/* START is 0 in the CDBs below */
		return shared && registered;
	case RESV_ALWAYS:
	case RESV_SPC2:
	case RESV_PR:
	case RESV_PREVENT:	/* allowing is always allowed */
		return true;
	}
	return false;
}

static bool
conflicts(struct fix *f, unsigned nexus, const struct scsi_opcode *row)
{
	uint8_t cdb[16] = { row->opcode };

	if (row->has_sa)
		cdb[row->sa_byte] = row->sa;
	f->nexus[nexus]->luns[0]->ua = 0;
	fix_run(f, &r, nexus, cdb, 16, NULL, 0, 4096);
	return r.cmd.status == SCSI_RESERVATION_CONFLICT;
}

/* 6 types (and the two kinds of others) times all commands. */
static void
each_type_lets_through_what_spc4_says(void **state)
{
	struct fix *f = *state;
	const struct scsi_opcode *row;
	unsigned n = 0;

	for (unsigned t = 0; t < nitems(types); t++) {
		reg(f, A, KEY_A);
		f->nexus[B]->luns[0]->ua = 0;
		reg(f, B, KEY_B);
		pr_out(f, A, RESERVE, types[t], KEY_A, 0, 0);
		expect_good(&r);
		for (row = NULL; (row = scsi_opcode_next(row)) != NULL;) {
			if (!scsi_opcode_supported(row, f->lu) ||
			    row->exec == scsi_reserve ||
			    row->exec == scsi_release)
				continue;
			if (conflicts(f, A, row))
				fail_msg("%s by the holder", row->name);
			if (conflicts(f, B, row) == allowed(types[t], true,
			    row))
				fail_msg("type %u, %s by a registrant",
				    types[t], row->name);
			if (conflicts(f, C, row) == allowed(types[t], false,
			    row))
				fail_msg("type %u, %s by a stranger",
				    types[t], row->name);
			n += 3;
		}
		pr_out(f, A, CLEAR, 0, KEY_A, 0, 0);
		expect_good(&r);
	}
	print_message("%u combinations\n", n);
}

/* --- registering --- */

static void
register_needs_the_old_key(void **state)
{
	struct fix *f = *state;

	pr_out(f, A, REGISTER, 0, 1, KEY_A, 0);
	expect_conflict(&r);
	pr_out(f, A, REGISTER, 0, 0, KEY_A, 0);
	expect_good(&r);
	pr_out(f, A, REGISTER, 0, KEY_B, KEY_C, 0);
	expect_conflict(&r);
	pr_out(f, A, REGISTER, 0, KEY_A, KEY_C, 0);
	expect_good(&r);
	assert_int_equal(generation(f), 2);
	pr_out(f, A, REGISTER, 0, KEY_C, 0, 0);
	expect_good(&r);
	assert_int_equal(nkeys(f), 0);
	pr_out(f, A, IGNORE, 0, 0, 0, 0);
	expect_good(&r);
	assert_int_equal(generation(f), 3);
	pr_out(f, A, RESERVE, 1, KEY_C, 0, 0);
	expect_conflict(&r);
}

static void
registration_belongs_to_the_nexus_by_name(void **state)
{
	struct fix *f = *state;
	struct scsi_map_entry map = { .lun = 0, .lu = f->lu };
	uint8_t isid[6] = { 0x80, 0, 0, 0, 0, A }, other[6] = { 0x80, 9 };

	reg(f, A, KEY_A);
	pr_out(f, A, RESERVE, 3, KEY_A, 0, 0);
	scsi_nexus_free(f->nexus[A]);
	f->nexus[A] = scsi_nexus_new(f->loop, f->port, "iqn.2026-01.test:a",
	    other, f->bufs);
	scsi_nexus_set_map(f->nexus[A], &map, 1);
	f->nexus[A]->luns[0]->ua = 0;
	fix_run(f, &r, A, CDB(0x28), NULL, 0, 0);
	expect_conflict(&r);
	scsi_nexus_free(f->nexus[A]);
	f->nexus[A] = scsi_nexus_new(f->loop, f->port, "iqn.2026-01.test:a",
	    isid, f->bufs);
	scsi_nexus_set_map(f->nexus[A], &map, 1);
	f->nexus[A]->luns[0]->ua = 0;
	fix_run(f, &r, A, CDB(0x28), NULL, 0, 0);
	expect_good(&r);
}

static void
all_tg_pt_registers_each_port(void **state)
{
	struct fix *f = *state;
	struct scsi_map_entry map = { .lun = 0, .lu = f->lu };
	struct scsi_nexus *second;
	uint8_t isid[6] = { 0x80, 0, 0, 0, 0, A };

	pr_out(f, A, REGISTER, 0, 0, KEY_A, 4);
	expect_good(&r);
	second = scsi_nexus_new(f->loop, f->port2, "iqn.2026-01.test:a",
	    isid, f->bufs);
	scsi_nexus_set_map(second, &map, 1);
	assert_non_null(second->luns[0]->reg);
	assert_int_equal(second->luns[0]->reg->key, KEY_A);
	pr_in(f, A, 3);
	assert_int_equal(r.data[8 + 12] & 2, 2);
	scsi_nexus_free(second);
}

static size_t
put_spec_list(uint8_t *list, size_t size, uint64_t key,
    const char *const *names, unsigned n)
{
	struct wire_out out = wire_out(list, size);
	uint8_t isid[6] = { 0x80, 0, 0, 0, 0, 0 };
	size_t len;

	put_be64(&out, 0);
	put_be64(&out, key);
	put_be32(&out, 0);
	put_u8(&out, 8);
	put_zero(&out, 3 + 4);
	for (unsigned i = 0; i < n; i++) {
		isid[5] = (uint8_t)(i + 1);
		transport_id_encode(&out, names[i], isid);
	}
	len = wire_used(&out);
	list[26] = (uint8_t)((len - 28) >> 8);
	list[27] = (uint8_t)(len - 28);
	return len;
}

static void
spec_i_pt_registers_others_all_or_nothing(void **state)
{
	struct fix *f = *state;
	static const char *const names[] = { "iqn.2026-01.test:b",
	    "iqn.2026-01.test:x" };
	uint8_t list[512];
	size_t len = put_spec_list(list, sizeof(list), KEY_A, names, 2);

	pr_out_list(f, A, IGNORE, 0, list, (uint32_t)len);
	expect_sense(&r, 5, 0x26, 0);
	list[len - 1] = 'x';		/* no NUL at the end */
	list[len - 2] = list[len - 3] = list[len - 4] = 'x';
	pr_out_list(f, A, REGISTER, 0, list, (uint32_t)len);
	expect_sense(&r, 5, 0x26, 0);
	assert_int_equal(nkeys(f), 0);
	len = put_spec_list(list, sizeof(list), KEY_A, names, 2);
	pr_out_list(f, A, REGISTER, 0, list, (uint32_t)len - 1);
	expect_sense(&r, 5, 0x1a, 0);
	pr_out_list(f, A, REGISTER, 0, list, (uint32_t)len);
	expect_good(&r);
	assert_int_equal(nkeys(f), 3);
	assert_non_null(f->nexus[B]->luns[0]->reg);
	assert_null(f->nexus[C]->luns[0]->reg);
}

static void
registrations_are_bounded(void **state)
{
	struct fix *f = *state;
	uint8_t isid[6] = { 0 };

	for (unsigned i = 0; i < PR_REGS_MAX; i++) {
		struct pr_reg *extra = pr_add(&f->lu->pr);

		assert_non_null(extra);
		extra->key = i + 1;
		isid[5] = (uint8_t)i;
		memcpy(extra->isid, isid, 6);
		memset(extra->initiator, 'n', SCSI_NAME_MAX);
		memset(extra->target, 't', SCSI_NAME_MAX);
		extra->relative_id = 7;
	}
	pr_out(f, A, REGISTER, 0, 0, KEY_A, 0);
	expect_sense(&r, 5, 0x55, 4);
	fix_run(f, &r, A, CDB(0x5e, 3, 0, 0, 0, 0, 0, 0xff, 0xff, 0), NULL, 0,
	    65535);
	expect_good(&r);
	assert_int_equal(be(r.data + 4, 4) + 8, r.cmd.in_valid);
}

/* --- reserving and preempting --- */

static void
only_the_holder_changes_a_reservation(void **state)
{
	struct fix *f = *state;

	reg(f, A, KEY_A);
	reg(f, B, KEY_B);
	pr_out(f, A, RESERVE, 5, KEY_A, 0, 0);
	expect_good(&r);
	pr_out(f, A, RESERVE, 5, KEY_A, 0, 0);
	expect_good(&r);
	pr_out(f, A, RESERVE, 6, KEY_A, 0, 0);
	expect_conflict(&r);
	pr_out(f, B, RESERVE, 5, KEY_B, 0, 0);
	expect_conflict(&r);
	pr_out(f, B, RELEASE, 5, KEY_B, 0, 0);
	expect_good(&r);
	expect_reserved(f, 5, KEY_A);
	pr_out(f, A, RELEASE, 6, KEY_A, 0, 0);
	expect_sense(&r, 5, 0x26, 4);
	pr_out(f, A, RELEASE, 5, KEY_A, 0, 0);
	expect_good(&r);
	expect_reserved(f, 0, 0);
	expect_ua(f, B, UA_RESERVATIONS_RELEASED);
	expect_no_ua(f, A);
	pr_out(f, A, RESERVE, 2, KEY_A, 0, 0);
	expect_sense(&r, 5, 0x24, 0);
	pr_out(f, A, RESERVE, 0x15, KEY_A, 0, 0);
	expect_sense(&r, 5, 0x24, 0);
}

static void
unregistering_the_holder_releases(void **state)
{
	struct fix *f = *state;

	for (unsigned t = 0; t < nitems(types); t++) {
		bool all = types[t] >= 7;

		reg(f, A, KEY_A);
		reg(f, B, KEY_B);
		pr_out(f, A, RESERVE, types[t], KEY_A, 0, 0);
		expect_reserved(f, types[t], all ? 0 : KEY_A);
		pr_out(f, A, REGISTER, 0, KEY_A, 0, 0);
		expect_good(&r);
		expect_reserved(f, all ? types[t] : 0, 0);
		if (types[t] == 5 || types[t] == 6)
			expect_ua(f, B, UA_RESERVATIONS_RELEASED);
		else
			expect_no_ua(f, B);
		pr_out(f, B, REGISTER, 0, KEY_B, 0, 0);
		expect_good(&r);
		expect_reserved(f, 0, 0);
	}
}

static void
clear_removes_everything_and_tells(void **state)
{
	struct fix *f = *state;

	reg(f, A, KEY_A);
	reg(f, B, KEY_B);
	pr_out(f, A, RESERVE, 3, KEY_A, 0, 0);
	pr_out(f, B, CLEAR, 0, KEY_B, 0, 0);
	expect_good(&r);
	expect_reserved(f, 0, 0);
	expect_ua(f, A, UA_RESERVATIONS_PREEMPTED);
	expect_no_ua(f, B);
	assert_int_equal(nkeys(f), 0);
}

static void
preempt_takes_the_reservation(void **state)
{
	struct fix *f = *state;

	reg(f, A, KEY_A);
	reg(f, B, KEY_B);
	reg(f, C, KEY_C);
	pr_out(f, A, RESERVE, 5, KEY_A, 0, 0);
	pr_out(f, B, PREEMPT, 6, KEY_B, KEY_A, 0);
	expect_good(&r);
	expect_ua(f, A, UA_REGISTRATIONS_PREEMPTED);
	expect_ua(f, C, UA_RESERVATIONS_RELEASED);
	expect_reserved(f, 6, KEY_B);
	assert_int_equal(nkeys(f), 2);
	pr_out(f, B, PREEMPT, 6, KEY_B, 0x1234, 0);
	expect_conflict(&r);
	pr_out(f, B, PREEMPT, 6, KEY_B, 0, 0);
	expect_sense(&r, 5, 0x26, 0);
	pr_out(f, C, PREEMPT, 6, KEY_A, KEY_B, 0);
	expect_conflict(&r);
	pr_out(f, B, PREEMPT, 6, KEY_B, KEY_C, 0);
	expect_good(&r);
	expect_ua(f, C, UA_REGISTRATIONS_PREEMPTED);
	expect_reserved(f, 6, KEY_B);
	assert_int_equal(generation(f), 5);
}

static void
preempt_all_registrants_with_key_zero(void **state)
{
	struct fix *f = *state;

	reg(f, A, KEY_A);
	reg(f, B, KEY_B);
	reg(f, C, KEY_C);
	pr_out(f, A, RESERVE, 8, KEY_A, 0, 0);
	pr_out(f, C, PREEMPT, 1, KEY_C, 0, 0);
	expect_good(&r);
	expect_reserved(f, 1, KEY_C);
	expect_ua(f, A, UA_REGISTRATIONS_PREEMPTED);
	expect_ua(f, B, UA_REGISTRATIONS_PREEMPTED);
	assert_int_equal(nkeys(f), 1);
}

/* The preempted nexus' write must have ended before GOOD. */
static void
preempt_and_abort_waits_for_the_victims(void **state)
{
	struct fix *f = *state;
	struct fault_rule stall = { .action = FAULT_STALL,
	    .kinds = 1u << IO_WRITE, .count = 1 };
	static struct run w, p;
	uint8_t data[512] = { 1 }, list[24] = { 0 };
	struct wire_out out = wire_out(list, sizeof(list));

	reg(f, A, KEY_A);
	reg(f, B, KEY_B);
	pr_out(f, A, RESERVE, 5, KEY_A, 0, 0);
	assert_int_equal(blk_fault_add(f->fault, &stall), 0);
	fix_start(f, &w, A, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, 512,
	    0);
	fix_turn(f);
	put_be64(&out, KEY_B);
	put_be64(&out, KEY_A);
	fix_start(f, &p, B, CDB(0x5f, PREEMPT_ABORT, 5, 0, 0, 0, 0, 0, 24, 0),
	    list, 24, 0);
	fix_turn(f);
	assert_true(w.cmd.aborted);
	assert_false(w.cmd.op.ended);
	assert_false(p.cmd.op.ended);
	blk_fault_clear(f->fault);
	fix_finish(f, &p);
	assert_true(w.cmd.op.ended);
	expect_good(&p);
	fix_finish(f, &w);
	assert_int_equal(w.cmd.status, SCSI_TASK_ABORTED);
	assert_true(w.cmd.abort_notify);
	expect_reserved(f, 5, KEY_B);
}

static size_t
put_move_list(uint8_t *list, size_t size, uint64_t key, uint64_t new_key,
    uint8_t flags, uint16_t port, const char *name, uint8_t isid5)
{
	struct wire_out out = wire_out(list, size);
	uint8_t isid[6] = { 0x80, 0, 0, 0, 0, isid5 };
	size_t len;

	put_be64(&out, key);
	put_be64(&out, new_key);
	put_u8(&out, 0);
	put_u8(&out, flags);
	put_be16(&out, port);
	put_be32(&out, 0);
	transport_id_encode(&out, name, isid);
	len = wire_used(&out);
	list[23] = (uint8_t)(len - 24);
	return len;
}

static void
move_hands_the_reservation_over(void **state)
{
	struct fix *f = *state;
	uint8_t list[256];
	size_t len = put_move_list(list, sizeof(list), KEY_A, KEY_C, 2, 2,
	    "iqn.2026-01.test:c", C);

	reg(f, A, KEY_A);
	pr_out_list(f, A, MOVE, 0, list, (uint32_t)len);
	expect_conflict(&r);			/* holds nothing */
	pr_out(f, A, RESERVE, 3, KEY_A, 0, 0);
	len = put_move_list(list, sizeof(list), KEY_A, KEY_C, 2, 9,
	    "iqn.2026-01.test:c", C);
	pr_out_list(f, A, MOVE, 0, list, (uint32_t)len);
	expect_sense(&r, 5, 0x26, 0);		/* no such port */
	len = put_move_list(list, sizeof(list), KEY_A, KEY_C, 2, 1,
	    "iqn.2026-01.test:a", A);
	pr_out_list(f, A, MOVE, 0, list, (uint32_t)len);
	expect_sense(&r, 5, 0x26, 0);		/* to itself */
	len = put_move_list(list, sizeof(list), KEY_A, KEY_C, 2, 2,
	    "iqn.2026-01.test:c", C);
	pr_out_list(f, A, MOVE, 0, list, (uint32_t)len);
	expect_good(&r);
	expect_reserved(f, 3, KEY_C);
	assert_null(f->nexus[A]->luns[0]->reg);
	fix_run(f, &r, C, CDB(0x28), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x28), NULL, 0, 0);
	expect_conflict(&r);
}

static void
capabilities_and_full_status_are_consistent(void **state)
{
	struct fix *f = *state;
	uint8_t id[64];
	struct wire_out out = wire_out(id, sizeof(id));

	reg(f, A, KEY_A);
	pr_out(f, A, RESERVE, 6, KEY_A, 0, 0);
	pr_in(f, A, 2);
	assert_int_equal(r.cmd.in_valid, 8);
	assert_int_equal(be(r.data, 8) >> 16, 0x00081d80ea01);
	pr_in(f, A, 3);
	transport_id_encode(&out, "iqn.2026-01.test:a",
	    (uint8_t[6]){ 0x80, 0, 0, 0, 0, A });
	assert_int_equal(be(r.data + 4, 4), 24 + wire_used(&out));
	assert_true(be(r.data + 8, 8) == KEY_A);
	assert_int_equal(r.data[8 + 12], 1);
	assert_int_equal(r.data[8 + 13], 6);
	assert_int_equal(be(r.data + 8 + 18, 2), 1);
	assert_int_equal(be(r.data + 8 + 20, 4), wire_used(&out));
	assert_memory_equal(r.data + 8 + 24, id, wire_used(&out));
	assert_memory_equal(id + 4, "iqn.2026-01.test:a,i,0x800000000000", 36);
}

/* --- SPC-2 --- */

static void
reserve6_keeps_others_out_until_release_or_loss(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x16), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, B, CDB(0x16), NULL, 0, 0);
	expect_conflict(&r);
	fix_run(f, &r, B, CDB(0x00), NULL, 0, 0);
	expect_conflict(&r);
	fix_run(f, &r, B, CDB(0x1a, 0, 0x3f, 0, 255, 0), NULL, 0, 255);
	expect_conflict(&r);
	fix_run(f, &r, B, CDB(0x12, 0, 0, 0, 36, 0), NULL, 0, 36);
	expect_good(&r);
	fix_run(f, &r, B, CDB(0x17), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, B, CDB(0x28), NULL, 0, 0);
	expect_conflict(&r);
	pr_out(f, A, REGISTER, 0, 0, KEY_A, 0);
	expect_conflict(&r);
	scsi_nexus_set_map(f->nexus[A], NULL, 0);
	fix_run(f, &r, B, CDB(0x28), NULL, 0, 0);
	expect_good(&r);
	assert_false(f->lu->reserved);
}

static void
reserve6_beside_persistent_reservations(void **state)
{
	struct fix *f = *state;

	reg(f, A, KEY_A);
	fix_run(f, &r, B, CDB(0x16), NULL, 0, 0);
	expect_conflict(&r);
	fix_run(f, &r, A, CDB(0x16), NULL, 0, 0);
	expect_conflict(&r);		/* registered, but nothing held */
	pr_out(f, A, RESERVE, 1, KEY_A, 0, 0);
	fix_run(f, &r, A, CDB(0x16), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x17), NULL, 0, 0);
	expect_good(&r);
	assert_null(f->lu->spc2_holder);
	expect_reserved(f, 1, KEY_A);
}

/* RESERVE comes between the check and the change of a REGISTER. */
static void
register_that_lost_the_race_to_reserve6_conflicts(void **state)
{
	struct fix *f = *state;
	static struct run p;
	uint8_t list[24] = { 0, 0, 0, 0, 0, 0, 0, 0, 1 };

	p.hold = true;
	fix_start(f, &p, A, CDB(0x5f, IGNORE, 0, 0, 0, 0, 0, 0, 24, 0), list,
	    24, 0);
	fix_turn(f);
	fix_run(f, &r, B, CDB(0x16), NULL, 0, 0);
	expect_good(&r);
	fix_serve(&p);
	fix_finish(f, &p);
	expect_conflict(&p);
	assert_int_equal(f->lu->pr.nregs, 0);
}

/* The LUN is unmapped while the parameter list is on its way. */
static void
register_on_a_view_that_went_away_changes_nothing(void **state)
{
	struct fix *f = *state;
	static struct run p;
	uint8_t list[24] = { 0, 0, 0, 0, 0, 0, 0, 0, 1 };

	reg(f, A, KEY_A);
	p.hold = true;
	fix_start(f, &p, A, CDB(0x5f, IGNORE, 0, 0, 0, 0, 0, 0, 24, 0), list,
	    24, 0);
	fix_turn(f);
	scsi_nexus_set_map(f->nexus[A], NULL, 0);
	fix_finish(f, &p);
	assert_int_equal(p.cmd.status, SCSI_TASK_ABORTED);
	assert_int_equal(f->lu->pr.nregs, 1);
}

/* --- APTPL --- */

static void
aptpl_state_survives_a_restart(void **state)
{
	struct fix *f = *state, *g;

	reg(f, B, KEY_B);
	assert_int_equal(f->saves, 0);
	pr_out(f, A, REGISTER, 0, 0, KEY_A, 1);
	expect_good(&r);
	assert_int_equal(f->saves, 1);
	pr_out(f, A, RESERVE, 6, KEY_A, 0, 0);
	expect_good(&r);
	assert_int_equal(f->saves, 2);
	g = fix_new(&(struct fix_opts){ .size = MIB, .block = 512 });
	scsi_lu_load(g->lu, f->blob, f->blob_len);
	for (unsigned i = 0; i < NEXUSES; i++)
		g->nexus[i]->luns[0]->ua = 0;
	expect_reserved(g, 6, KEY_A);
	assert_int_equal(nkeys(g), 2);
	assert_int_equal(generation(g), 2);
	fix_run(g, &r, A, CDB(0x28), NULL, 0, 0);
	expect_good(&r);
	fix_run(g, &r, B, CDB(0x28), NULL, 0, 0);
	expect_good(&r);
	fix_run(g, &r, C, CDB(0x28), NULL, 0, 0);
	expect_conflict(&r);
	/* Without APTPL nothing is to survive: the store is emptied. */
	pr_out(g, A, REGISTER, 0, KEY_A, KEY_A, 0);
	expect_good(&r);
	assert_int_equal(g->saves, 1);
	assert_int_equal(g->blob_len, 0);
	pr_out(g, A, REGISTER, 0, KEY_A, KEY_A, 0);
	assert_int_equal(g->saves, 1);
	fix_free(g);
}

static void
failed_save_fails_the_command(void **state)
{
	struct fix *f = *state;

	f->save_error = -EIO;
	pr_out(f, A, REGISTER, 0, 0, KEY_A, 1);
	expect_sense(&r, 3, 0x0c, 0);
}

static void
aptpl_needs_a_store(void **state)
{
	struct fix *f = *state;

	f->lu->store.save = NULL;
	pr_out(f, A, REGISTER, 0, 0, KEY_A, 1);
	expect_sense(&r, 5, 0x26, 0);
	pr_in(f, A, 2);
	assert_int_equal(r.data[2] & 1, 0);
}

/* Any byte changed and any cut: refused, or decoded to something sane. */
static void
hostile_blobs_are_refused_or_harmless(void **state)
{
	struct fix *f = *state;
	uint8_t *blob, *copy;
	unsigned refused = 0, taken = 0;
	struct pr_state pr;
	size_t len;

	reg(f, A, KEY_A);
	reg(f, B, KEY_B);
	pr_out(f, A, RESERVE, 3, KEY_A, 0, 0);
	blob = pr_blob_encode(&f->lu->pr, &len);
	copy = malloc(len + 1);
	pr_init(&pr);
	for (size_t cut = 1; cut < len; cut++)
		assert_int_equal(pr_blob_decode(&pr, blob, cut), -EINVAL);
	memcpy(copy, blob, len);
	copy[len] = 0;
	assert_int_equal(pr_blob_decode(&pr, copy, len + 1), -EINVAL);
	for (size_t i = 0; i < len; i++)
		for (unsigned v = 0; v < 256; v++) {
			memcpy(copy, blob, len);
			copy[i] = (uint8_t)v;
			if (pr_blob_decode(&pr, copy, len) != 0) {
				refused++;
				continue;
			}
			taken++;
			assert_true(pr.nregs == 2);
			assert_true(pr.type == 0 || pr.holder != NULL ||
			    pr_type_all(pr.type));
		}
	print_message("%u refused, %u taken\n", refused, taken);
	assert_int_equal(pr_blob_decode(&pr, blob, len), 0);
	assert_int_equal(pr.holder->key, KEY_A);
	pr_fini(&pr);
	free(copy);
	free(blob);
}

static void
hostile_transport_ids_are_refused(void **state)
{
	uint8_t id[300], copy[300];
	struct wire_out out = wire_out(id, sizeof(id));
	char name[SCSI_NAME_MAX + 1];
	uint8_t isid[6];
	bool any;
	size_t len;

	(void)state;
	transport_id_encode(&out, "iqn.2026-01.test:a",
	    (uint8_t[6]){ 1, 2, 3, 4, 5, 6 });
	len = wire_used(&out);
	assert_int_equal(transport_id_decode(id, len, name, isid, &any), len);
	assert_string_equal(name, "iqn.2026-01.test:a");
	assert_memory_equal(isid, ((uint8_t[6]){ 1, 2, 3, 4, 5, 6 }), 6);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(transport_id_decode(id, cut, name, isid,
		    &any), 0);
	for (size_t i = 0; i < len; i++)
		for (unsigned v = 0; v < 256; v++) {
			memcpy(copy, id, len);
			copy[i] = (uint8_t)v;
			(void)transport_id_decode(copy, len, name, isid,
			    &any);
		}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(each_type_lets_through_what_spc4_says),
		T(register_needs_the_old_key),
		T(registration_belongs_to_the_nexus_by_name),
		T(all_tg_pt_registers_each_port),
		T(spec_i_pt_registers_others_all_or_nothing),
		T(registrations_are_bounded),
		T(only_the_holder_changes_a_reservation),
		T(unregistering_the_holder_releases),
		T(clear_removes_everything_and_tells),
		T(preempt_takes_the_reservation),
		T(preempt_all_registrants_with_key_zero),
		T(preempt_and_abort_waits_for_the_victims),
		T(move_hands_the_reservation_over),
		T(capabilities_and_full_status_are_consistent),
		T(reserve6_keeps_others_out_until_release_or_loss),
		T(reserve6_beside_persistent_reservations),
		T(register_that_lost_the_race_to_reserve6_conflicts),
		T(register_on_a_view_that_went_away_changes_nothing),
		T(aptpl_state_survives_a_restart),
		T(failed_save_fails_the_command),
		T(aptpl_needs_a_store),
		T(hostile_blobs_are_refused_or_harmless),
		cmocka_unit_test(hostile_transport_ids_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
