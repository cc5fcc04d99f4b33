/* SPDX-License-Identifier: BSD-2-Clause */
/* Sense data: both formats byte by byte, and the errno table end to end. */
#include <errno.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

static struct run r;

static void
fixed_format_with_information_and_field(void **state)
{
	uint8_t buf[SCSI_SENSE_MAX];
	static const uint8_t want[18] = { 0xf0, 0, 5, 0x11, 0x22, 0x33, 0x44,
	    10, 0, 0, 0, 0, 0x24, 0, 0, 0xcf, 0, 9 };
	struct sense sense = sense_cdb_field(9, 7);

	(void)state;
	sense.info_valid = true;
	sense.info = 0x11223344;
	assert_int_equal(sense_encode(sense, false, buf), 18);
	assert_memory_equal(buf, want, 18);
	sense.info = 0x100000000;
	(void)sense_encode(sense, false, buf);
	assert_int_equal(buf[0], 0x70);
	assert_int_equal(be(buf + 3, 4), 0);
}

static void
descriptor_format_with_information_and_field(void **state)
{
	uint8_t buf[SCSI_SENSE_MAX];
	static const uint8_t want[28] = { 0x72, 5, 0x24, 0, 0, 0, 0, 20,
	    0, 0x0a, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0,
	    2, 6, 0, 0, 0xc0, 0, 2, 0 };
	struct sense sense = sense_cdb_field(2, 0xff);

	(void)state;
	sense.info_valid = true;
	sense.info = 0x100000000;
	assert_int_equal(sense_encode(sense, true, buf), 28);
	assert_memory_equal(buf, want, 28);
	assert_int_equal(sense_encode(SENSE_NONE, true, buf), 8);
}

static const struct {
	int err;
	unsigned read[3], write[3];
} table[] = {
	{ EIO, { 3, 0x11, 0 }, { 3, 0x0c, 0 } },
	{ EILSEQ, { 3, 0x11, 5 }, { 3, 0x0c, 0 } },
	{ ENOSPC, { 3, 0x11, 0 }, { 7, 0x27, 7 } },
	{ EROFS, { 4, 0x44, 0 }, { 7, 0x27, 0 } },
	{ ENODEV, { 2, 0x04, 0 }, { 2, 0x04, 0 } },
	{ ETIMEDOUT, { 0xb, 0x2e, 2 }, { 0xb, 0x2e, 2 } },
	{ ENOMEM, { 0xb, 0x55, 3 }, { 0xb, 0x55, 3 } },
	{ EBADMSG, { 4, 0x44, 0 }, { 4, 0x44, 0 } },
};

static void
fail_next(struct fix *f, int err)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = err };

	blk_fault_clear(f->fault);
	assert_int_equal(blk_fault_add(f->fault, &rule), 0);
}

static void
each_errno_becomes_its_sense(void **state)
{
	struct fix *f = *state;
	uint8_t data[512] = { 0 };

	for (size_t i = 0; i < nitems(table); i++) {
		fail_next(f, table[i].err);
		fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0), NULL,
		    0, 512);
		expect_sense(&r, table[i].read[0], table[i].read[1],
		    table[i].read[2]);
		if (table[i].read[0] == 3)
			assert_int_equal(be(r.cmd.sense + 3, 4), 7);
		assert_int_equal(r.cmd.in_wanted, 0);
		fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 7, 0, 0, 1, 0), data,
		    512, 0);
		expect_sense(&r, table[i].write[0], table[i].write[1],
		    table[i].write[2]);
	}
}

static void
each_medium_command_reports_a_failed_blk(void **state)
{
	struct fix *f = *state;
	uint8_t data[1024] = { 1 }, unmap[24] = { 0, 22, 0, 16 };

	fail_next(f, EIO);
	unmap[19] = 1;
	fix_run(f, &r, A, CDB(0x35), NULL, 0, 0);
	expect_sense(&r, 3, 0x0c, 0);
	fix_run(f, &r, A, CDB(0x2f, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0, 0);
	expect_sense(&r, 3, 0x11, 0);
	fix_run(f, &r, A, CDB(0x2e, 2, 0, 0, 0, 0, 0, 0, 1, 0), data, 512, 0);
	expect_sense(&r, 3, 0x0c, 0);
	fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0), data, 1024, 0);
	expect_sense(&r, 3, 0x11, 0);
	fix_run(f, &r, A, CDB(0x8b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0), data, 512, 0);
	expect_sense(&r, 3, 0x11, 0);
	fix_run(f, &r, A, CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0), data, 512, 0);
	expect_sense(&r, 3, 0x0c, 0);
	fix_run(f, &r, A, CDB(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0), NULL, 0, 0);
	expect_sense(&r, 3, 0x0c, 0);
	fix_run(f, &r, A, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), unmap, 24,
	    0);
	expect_sense(&r, 3, 0x0c, 0);
	fix_run(f, &r, A, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64,
	    0, 0), NULL, 0, 64);
	expect_sense(&r, 3, 0x11, 0);
	fix_run(f, &r, A, CDB(0x1b, 0, 0, 0, 0, 0), NULL, 0, 0);
	expect_sense(&r, 3, 0x0c, 0);
}

static void
failed_collect_is_a_data_phase_error_or_an_abort(void **state)
{
	struct fix *f = *state;
	uint8_t data[512] = { 0 };

	r.collect_error = -EIO;
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 7, 0, 0, 1, 0), data, 512, 0);
	expect_sense(&r, 0xb, 0x4b, 0);
	r.collect_error = -ECANCELED;
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 7, 0, 0, 1, 0), data, 512, 0);
	assert_true(r.cmd.aborted);
	assert_int_equal(r.cmd.status, SCSI_TASK_ABORTED);
	r.collect_error = 0;
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_format_with_information_and_field),
		cmocka_unit_test(descriptor_format_with_information_and_field),
		T(each_errno_becomes_its_sense),
		T(each_medium_command_reports_a_failed_blk),
		T(failed_collect_is_a_data_phase_error_or_an_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
