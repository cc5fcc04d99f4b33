/* SPDX-License-Identifier: BSD-2-Clause */
/* The opcode table: what is reported as supported is what is done. */
#include <string.h>

#include "tests/unit/scsi_fix.h"

static struct run r;

/* A CDB for the row that is harmless: everything 0 but the codes. */
static void
plain_cdb(const struct scsi_opcode *row, uint8_t cdb[16])
{
	memset(cdb, 0, 16);
	cdb[0] = row->opcode;
	if (row->has_sa)
		cdb[row->sa_byte] = row->sa;
}

static bool
is_invalid_field(const struct run *run, unsigned byte)
{
	return run->cmd.status == SCSI_CHECK_CONDITION &&
	    run->cmd.sense[2] == 5 && run->cmd.sense[12] == 0x24 &&
	    (run->cmd.sense[15] & 0xc0) == 0xc0 &&
	    be(run->cmd.sense + 16, 2) == byte;
}

static void
rows_are_in_order_and_whole(void **state)
{
	const struct scsi_opcode *row = NULL, *before = NULL;
	unsigned n = 0;

	(void)state;
	while ((row = scsi_opcode_next(row)) != NULL) {
		uint8_t cdb[16];

		if (before != NULL)
			assert_true(row->opcode > before->opcode ||
			    (row->opcode == before->opcode &&
			    row->sa > before->sa));
		assert_non_null(row->name);
		assert_non_null(row->type);
		assert_true(row->type != &scsi_simple_type ||
		    row->exec != NULL);
		assert_int_equal(row->usage[0], row->opcode);
		assert_true(row->timeout_s > 0);
		plain_cdb(row, cdb);
		assert_ptr_equal(scsi_opcode_find(cdb, 16), row);
		before = row;
		n++;
	}
	print_message("%u rows\n", n);
	assert_true(n > 50);
}

/* The list as the wire shows it, checked against dispatch for all codes. */
static void
list_equals_dispatch(void **state)
{
	struct fix *f = *state;
	bool listed[256][32] = { { false } }, sa_op[256] = { false };
	uint8_t list[8192];
	size_t len;

	fix_run(f, &r, A, CDB(0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0),
	    NULL, 0, 8192);
	expect_good(&r);
	len = be(r.data, 4) + 4;
	assert_int_equal(len, r.cmd.in_valid);
	memcpy(list, r.data, len);
	for (size_t i = 4; i < len; i += 8) {
		sa_op[list[i]] = list[i + 5] & 1;
		listed[list[i]][be(list + i + 2, 2)] = true;
	}
	for (unsigned op = 0; op < 256; op++)
		for (unsigned sa = 0; sa < 32; sa++) {
			uint8_t cdb[16] = { (uint8_t)op };
			bool there;

			cdb[1] = sa_op[op] ? (uint8_t)sa : 0;
			if (!sa_op[op] && sa > 0)
				continue;
			f->nexus[A]->luns[0]->ua = 0;
			fix_run(f, &r, A, cdb, 16, NULL, 0, 4096);
			there = !(r.cmd.status == SCSI_CHECK_CONDITION &&
			    r.cmd.sense[2] == 5 && r.cmd.sense[12] ==
			    (sa_op[op] ? 0x24 : 0x20) &&
			    r.cmd.sense[15] == 0);
			if (there != listed[op][sa])
				fail_msg("opcode %02x/%02x: listed %d, there "
				    "%d", op, sa, listed[op][sa], there);
		}
}

static void
one_command_form_shows_the_row(void **state)
{
	struct fix *f = *state;
	const struct scsi_opcode *row = NULL;

	while ((row = scsi_opcode_next(row)) != NULL) {
		uint8_t option = row->has_sa ? 2 : 1;

		if (!scsi_opcode_supported(row, f->lu))
			continue;
		fix_run(f, &r, A, CDB(0xa3, 0x0c, (uint8_t)(0x80 | option),
		    row->opcode, 0, row->sa, 0, 0, 1, 0, 0, 0), NULL, 0, 256);
		expect_good(&r);
		assert_int_equal(r.data[1], 0x83);
		assert_int_equal(be(r.data + 2, 2), row->cdb_len);
		assert_memory_equal(r.data + 4, row->usage, row->cdb_len);
		assert_int_equal(be(r.data + 4 + row->cdb_len, 2), 10);
		assert_int_equal(be(r.data + 12 + row->cdb_len, 4),
		    row->timeout_s);
		fix_run(f, &r, A, CDB(0xa3, 0x0c, (uint8_t)(3 - option),
		    row->opcode, 0, row->sa, 0, 0, 1, 0, 0, 0), NULL, 0, 256);
		expect_sense(&r, 5, 0x24, 0);
	}
	fix_run(f, &r, A, CDB(0xa3, 0x0c, 1, 0xff, 0, 0, 0, 0, 1, 0, 0, 0),
	    NULL, 0, 256);
	expect_good(&r);
	assert_int_equal(r.data[1], 1);
}

static void
every_bit_outside_the_usage_map_is_refused(void **state)
{
	struct fix *f = *state;
	const struct scsi_opcode *row = NULL;
	unsigned n = 0;

	while ((row = scsi_opcode_next(row)) != NULL) {
		if (!scsi_opcode_supported(row, f->lu))
			continue;
		for (unsigned bit = 8; bit < row->cdb_len * 8u; bit++) {
			unsigned byte = bit / 8, mask = 1u << bit % 8;
			uint8_t cdb[16];

			if ((row->usage[byte] & mask) || (row->has_sa &&
			    byte == row->sa_byte && mask <= 0x10))
				continue;
			plain_cdb(row, cdb);
			cdb[byte] |= (uint8_t)mask;
			fix_run(f, &r, A, cdb, 16, NULL, 0, 512);
			if (!is_invalid_field(&r, byte))
				fail_msg("%s: byte %u mask %02x", row->name,
				    byte, mask);
			assert_int_equal(r.cmd.sense[15] & 7, bit % 8);
			n++;
		}
	}
	print_message("%u reserved bits\n", n);
}

static void
write_protection_covers_each_command_that_writes(void **state)
{
	struct fix *f = *state;
	const struct scsi_opcode *row = NULL;
	unsigned n = 0;

	f->nexus[A]->luns[0]->read_only = true;
	while ((row = scsi_opcode_next(row)) != NULL) {
		uint8_t cdb[16];

		if (!(row->flags & OPC_WRITE))
			continue;
		plain_cdb(row, cdb);
		fix_run(f, &r, A, cdb, 16, NULL, 0, 0);
		expect_sense(&r, 7, 0x27, 0);
		n++;
	}
	assert_int_equal(n, 12);
	for (size_t i = 0; i < f->ram->geo.size; i++)
		assert_int_equal(f->mem[i], 0);
}

static void
short_cdb_is_refused(void **state)
{
	struct fix *f = *state;

	memset(&r.cmd.cdb, 0, sizeof(r.cmd.cdb));
	fix_start(f, &r, A, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0,
	    512);
	r.cmd.cdb_len = 6;
	fix_finish(f, &r);
	expect_sense(&r, 5, 0x24, 0);
}

static void
thick_and_fixed_luns_hide_unmap_and_prevent(void **state)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = MIB,
	    .block = 512 });

	(void)state;
	f->nexus[A]->luns[0]->ua = 0;
	fix_run(f, &r, A, CDB(0x42), NULL, 0, 0);
	expect_sense(&r, 5, 0x20, 0);
	fix_run(f, &r, A, CDB(0x1e), NULL, 0, 0);
	expect_sense(&r, 5, 0x20, 0);
	fix_run(f, &r, A, CDB(0x12, 1, 0xb2, 0, 255, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.data[5], 0);
	assert_int_equal(r.data[6], 0);
	fix_run(f, &r, A, CDB(0x12, 1, 0xb0, 0, 255, 0), NULL, 0, 255);
	assert_int_equal(be(r.data + 20, 4), 0);
	fix_free(f);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_in_order_and_whole),
		T(list_equals_dispatch),
		T(one_command_form_shows_the_row),
		T(every_bit_outside_the_usage_map_is_refused),
		T(write_protection_covers_each_command_that_writes),
		T(short_cdb_is_refused),
		cmocka_unit_test(thick_and_fixed_luns_hide_unmap_and_prevent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
