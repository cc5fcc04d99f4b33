/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands each initiator sends first, and READ and WRITE. */
#include <errno.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

static struct run r;

static void
first_command_reports_power_on_then_good(void **state)
{
	struct fix *f = *state;

	ua_raise(f->nexus[A]->luns[0], UA_POWER_ON);
	fix_run(f, &r, A, CDB(0, 0, 0, 0, 0, 0), NULL, 0, 0);
	expect_sense(&r, 6, 0x29, 0);
	fix_run(f, &r, A, CDB(0, 0, 0, 0, 0, 0), NULL, 0, 0);
	expect_good(&r);
}

static void
inquiry_runs_with_attention_pending(void **state)
{
	struct fix *f = *state;

	ua_raise(f->nexus[A]->luns[0], UA_POWER_ON);
	fix_run(f, &r, A, CDB(0x12, 0, 0, 0, 0xff, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 96);
	assert_int_equal(r.data[0], 0);
	assert_int_equal(r.data[2], 6);
	assert_int_equal(r.data[3], 0x12);
	assert_int_equal(r.data[4], 91);
	assert_int_not_equal(f->nexus[A]->luns[0]->ua, 0);
}

static void
every_listed_vpd_page_reads_and_others_do_not(void **state)
{
	struct fix *f = *state;
	uint8_t listed[256] = { 0 };

	fix_run(f, &r, A, CDB(0x12, 1, 0, 0, 0xff, 0), NULL, 0, 255);
	expect_good(&r);
	for (unsigned i = 0; i < r.data[3]; i++) {
		if (i > 0)
			assert_true(r.data[4 + i] > r.data[3 + i]);
		listed[r.data[4 + i]] = 1;
	}
	for (unsigned page = 0; page < 256; page++) {
		fix_run(f, &r, A, CDB(0x12, 1, (uint8_t)page, 0, 0xff, 0),
		    NULL, 0, 255);
		if (!listed[page]) {
			expect_sense(&r, 5, 0x24, 0);
			continue;
		}
		expect_good(&r);
		assert_int_equal(r.data[1], page);
		assert_int_equal(be(r.data + 2, 2) + 4, r.cmd.in_valid);
	}
}

static void
naa_of_the_lun_is_the_first_designator(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x12, 1, 0x83, 1, 0xff, 0), NULL, 0, 511);
	expect_good(&r);
	assert_int_equal(r.data[4] & 0x0f, 1);
	assert_int_equal(r.data[5], 0x03);
	assert_int_equal(r.data[7], 16);
	assert_int_equal(r.data[8] >> 4, 6);
	assert_memory_equal(r.data + 8, f->params.id.naa, 16);
}

static void
data_in_is_cut_to_allocation_length(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x12, 0, 0, 0, 36, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 36);
	assert_int_equal(r.cmd.in_wanted, 36);
	fix_run(f, &r, A, CDB(0x12, 0, 0, 0, 0, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 0);
}

static void
unmapped_lun_answers_inquiry_and_lun_0_the_list(void **state)
{
	struct fix *f = *state;

	r.cmd.lun[1] = 7;
	fix_run(f, &r, A, CDB(0x12, 0, 0, 0, 36, 0), NULL, 0, 36);
	expect_good(&r);
	assert_int_equal(r.data[0], 0x7f);
	fix_run(f, &r, A, CDB(0, 0, 0, 0, 0, 0), NULL, 0, 0);
	expect_sense(&r, 5, 0x25, 0);
	fix_run(f, &r, A, CDB(3, 0, 0, 0, 18, 0), NULL, 0, 18);
	expect_good(&r);
	assert_int_equal(r.data[2], 5);
	assert_int_equal(r.data[12], 0x25);
	scsi_nexus_set_map(f->nexus[A], NULL, 0);
	r.cmd.lun[1] = 0;
	fix_run(f, &r, A, CDB(0x12, 0, 0, 0, 36, 0), NULL, 0, 36);
	expect_good(&r);
	assert_int_equal(r.data[0], 0x3f);
	fix_run(f, &r, A, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0), NULL,
	    0, 16);
	expect_good(&r);
	assert_int_equal(be(r.data, 4), 0);
}

static void
capacities_agree(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), NULL, 0, 8);
	expect_good(&r);
	assert_int_equal(be(r.data, 4), 2047);
	assert_int_equal(be(r.data + 4, 4), 512);
	fix_run(f, &r, A, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12,
	    0, 0), NULL, 0, 12);
	expect_good(&r);
	assert_int_equal(be(r.data, 8), 2047);
	assert_int_equal(r.cmd.in_valid, 12);
	assert_int_equal(r.cmd.in_wanted, 12);
}

static void
write_then_read_returns_the_data(void **state)
{
	struct fix *f = *state;
	uint8_t data[8 * 512];

	memset(data, 0x5a, sizeof(data));
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 8, 0), data,
	    sizeof(data), 0);
	expect_good(&r);
	assert_int_equal(r.cmd.out_wanted, sizeof(data));
	assert_memory_equal(f->mem + 3 * 512, data, sizeof(data));
	fix_run(f, &r, A, CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 8, 0,
	    0), NULL, 0, sizeof(data));
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, sizeof(data));
	assert_memory_equal(r.data, data, sizeof(data));
}

static void
short_write_moves_whole_blocks_or_fails(void **state)
{
	struct fix *f = *state;
	uint8_t data[1024];

	memset(data, 0x77, sizeof(data));
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), data, 512, 0);
	expect_good(&r);
	assert_int_equal(r.cmd.out_wanted, 1024);
	assert_int_equal(f->mem[511], 0x77);
	assert_int_equal(f->mem[512], 0);
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 4, 0, 0, 1, 0), data, 200, 0);
	expect_sense(&r, 5, 0x0e, 3);
	assert_int_equal(r.cmd.out_wanted, 512);
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 4, 0, 0, 1, 0), data, 0, 0);
	expect_good(&r);
	assert_int_equal(f->mem[4 * 512], 0);
}

static void
range_and_length_limits_are_exact(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0x07, 0xff, 0, 0, 1, 0), NULL, 0,
	    512);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0x07, 0xff, 0, 0, 2, 0), NULL, 0,
	    1024);
	expect_sense(&r, 5, 0x21, 0);
	fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0x08, 0x00, 0, 0, 0, 0), NULL, 0,
	    0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x28, 0, 0, 0, 0x08, 0x01, 0, 0, 0, 0), NULL, 0,
	    0);
	expect_sense(&r, 5, 0x21, 0);
	fix_run(f, &r, A, CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0,
	    512);
	expect_sense(&r, 5, 0x24, 0);
	assert_int_equal(r.cmd.sense[15], 0xcd);	/* CDB, bit 5 */
	assert_int_equal(be(r.cmd.sense + 16, 2), 1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(first_command_reports_power_on_then_good),
		T(inquiry_runs_with_attention_pending),
		T(every_listed_vpd_page_reads_and_others_do_not),
		T(naa_of_the_lun_is_the_first_designator),
		T(data_in_is_cut_to_allocation_length),
		T(unmapped_lun_answers_inquiry_and_lun_0_the_list),
		T(capacities_agree),
		T(write_then_read_returns_the_data),
		T(short_write_moves_whole_blocks_or_fails),
		T(range_and_length_limits_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
