/* SPDX-License-Identifier: BSD-2-Clause */
/* Mode pages, start/stop and eject, log and target port groups. */
#include <string.h>

#include "tests/unit/scsi_fix.h"

static struct run r;

static void
sense6(struct fix *f, uint8_t page, uint8_t subpage)
{
	fix_run(f, &r, A, CDB(0x1a, 8, page, subpage, 255, 0), NULL, 0, 255);
}

static void
select6(struct fix *f, uint8_t flags, const uint8_t *list, uint8_t len)
{
	fix_run(f, &r, A, CDB(0x15, flags, 0, 0, len, 0), list, len, 0);
}

static void
all_pages_are_the_single_ones_in_order(void **state)
{
	struct fix *f = *state;
	uint8_t all[255];
	unsigned len, at = 4;

	sense6(f, 0x3f, 0);
	expect_good(&r);
	len = r.cmd.in_valid;
	memcpy(all, r.data, len);
	assert_int_equal(all[0], len - 1);
	while (at < len) {
		sense6(f, all[at], 0);
		expect_good(&r);
		assert_memory_equal(r.data + 4, all + at, all[at + 1] + 2u);
		at += all[at + 1] + 2u;
	}
	assert_int_equal(at, len);
	sense6(f, 0x3f, 0xff);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, len);
	sense6(f, 0x3f, 1);
	expect_sense(&r, 5, 0x24, 0);
	sense6(f, 0x02, 0);
	expect_sense(&r, 5, 0x24, 0);
	sense6(f, 0xc8, 0);
	expect_sense(&r, 5, 0x39, 0);
}

static void
block_descriptors_short_and_long(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x1a, 0, 0x0a, 0, 255, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.data[3], 8);
	assert_int_equal(be(r.data + 4, 4), 2048);
	assert_int_equal(be(r.data + 8, 4), 512);
	fix_run(f, &r, A, CDB(0x5a, 0x10, 0x0a, 0, 0, 0, 0, 0, 255, 0), NULL,
	    0, 255);
	expect_good(&r);
	assert_int_equal(be(r.data, 2), r.cmd.in_valid - 2);
	assert_int_equal(r.data[4], 1);
	assert_int_equal(be(r.data + 6, 2), 16);
	assert_int_equal(be(r.data + 8, 8), 2048);
	assert_int_equal(be(r.data + 20, 4), 512);
}

static void
swp_is_set_told_and_obeyed(void **state)
{
	struct fix *f = *state;
	uint8_t list[16] = { 0 }, data[512] = { 0 };

	sense6(f, 0x0a, 0);
	memcpy(list + 4, r.data + 4, 12);
	list[4 + 4] |= 8;
	select6(f, 0x10, list, 16);
	expect_good(&r);
	assert_int_equal(f->nexus[B]->luns[0]->ua, 1u << UA_MODE_CHANGED);
	assert_int_equal(f->nexus[A]->luns[0]->ua, 0);
	sense6(f, 0x0a, 0);
	assert_int_equal(r.data[2] & 0x80, 0x80);
	assert_int_equal(r.data[4 + 4] & 8, 8);
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, 512, 0);
	expect_sense(&r, 7, 0x27, 2);
	sense6(f, 0x8a, 0);			/* defaults */
	assert_int_equal(r.data[4 + 4] & 8, 0);
	list[4 + 4] &= 0xf7;
	select6(f, 0x10, list, 16);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), data, 512, 0);
	expect_good(&r);
}

static void
d_sense_switches_the_format(void **state)
{
	struct fix *f = *state;
	uint8_t list[24] = { 0 };

	fix_run(f, &r, A, CDB(0x5a, 8, 0x0a, 0, 0, 0, 0, 0, 255, 0), NULL, 0,
	    255);
	memcpy(list + 8, r.data + 8, 12);
	list[8 + 2] |= 4;
	fix_run(f, &r, A, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 20, 0), list, 20,
	    0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0xff), NULL, 0, 0);
	assert_int_equal(r.cmd.sense[0], 0x72);
	assert_int_equal(r.cmd.sense[1], 5);
	assert_int_equal(r.cmd.sense[2], 0x20);
}

/* Each bit of each page: changeable ones are taken, others refused. */
static void
only_changeable_bits_change(void **state)
{
	struct fix *f = *state;
	static const uint8_t pages[] = { 0x08, 0x0a, 0x1c };

	for (unsigned p = 0; p < nitems(pages); p++) {
		uint8_t now[255], mask[255], list[255];
		unsigned len;

		sense6(f, pages[p], 0);
		len = r.cmd.in_valid;
		memcpy(now, r.data, len);
		now[0] = now[2] = 0;
		sense6(f, 0x40 | pages[p], 0);
		memcpy(mask, r.data, len);
		for (unsigned bit = 6 * 8; bit < len * 8; bit++) {
			uint8_t b = (uint8_t)(1u << bit % 8);

			memcpy(list, now, len);
			list[bit / 8] ^= b;
			select6(f, 0x10, list, (uint8_t)len);
			if (mask[bit / 8] & b) {
				expect_good(&r);
				select6(f, 0x10, now, (uint8_t)len);
				expect_good(&r);
			} else {
				expect_sense(&r, 5, 0x26, 0);
				assert_int_equal(be(r.cmd.sense + 16, 2),
				    bit / 8);
			}
		}
	}
}

static void
malformed_mode_lists_are_refused(void **state)
{
	struct fix *f = *state;
	uint8_t list[64] = { 0 };

	list[4] = 0x0a;
	list[5] = 10;
	select6(f, 0x10, list, 15);		/* page cut */
	expect_sense(&r, 5, 0x1a, 0);
	select6(f, 0x10, list, 3);		/* header cut */
	expect_sense(&r, 5, 0x1a, 0);
	select6(f, 0x10, list, 5);		/* one byte of a page */
	expect_sense(&r, 5, 0x1a, 0);
	select6(f, 0x10, list, 0);
	expect_good(&r);
	select6(f, 0x11, list, 4);		/* SP */
	expect_sense(&r, 5, 0x24, 0);
	list[5] = 9;
	select6(f, 0x10, list, 16);
	expect_sense(&r, 5, 0x26, 0);
	list[3] = 8;				/* block length 0 */
	select6(f, 0x10, list, 12);
	expect_sense(&r, 5, 0x26, 0);
	list[3] = 200;
	select6(f, 0x10, list, 12);
	expect_sense(&r, 5, 0x1a, 0);
	fix_run(f, &r, A, CDB(0x15, 0x10, 0, 0, 16, 0), list, 8, 0);
	expect_sense(&r, 5, 0x1a, 0);		/* less data than announced */
}

static void
wce_follows_the_policy(void **state)
{
	struct fix *f = *state;

	f->params.write_cache = false;
	scsi_lu_set_params(f->lu, &f->params);
	for (unsigned i = 0; i < NEXUSES; i++) {
		fix_run(f, &r, i, CDB(0), NULL, 0, 0);
		expect_sense(&r, 6, 0x2a, 1);
	}
	sense6(f, 0x08, 0);
	assert_int_equal(r.data[4 + 2] & 4, 0);
	fix_run(f, &r, A, CDB(0x12, 1, 0x86, 0, 64, 0), NULL, 0, 64);
	assert_int_equal(r.data[6], 0);
}

/* --- removable media --- */

static struct fix *
removable(void)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = MIB,
	    .block = 512, .removable = true });

	for (unsigned i = 0; i < NEXUSES; i++)
		f->nexus[i]->luns[0]->ua = 0;
	return f;
}

static void
ejected_medium_is_missed_by_each_command_that_needs_it(void **state)
{
	struct fix *f = removable();
	const struct scsi_opcode *row = NULL;

	(void)state;
	fix_run(f, &r, A, CDB(0x1b, 0, 0, 0, 2, 0), NULL, 0, 0);
	expect_good(&r);
	while ((row = scsi_opcode_next(row)) != NULL) {
		uint8_t cdb[16] = { row->opcode };

		if (!(row->flags & OPC_MEDIUM) ||
		    !scsi_opcode_supported(row, f->lu))
			continue;
		if (row->has_sa)
			cdb[row->sa_byte] = row->sa;
		fix_run(f, &r, A, cdb, 16, NULL, 0, 512);
		expect_sense(&r, 2, 0x3a, 0);
	}
	fix_run(f, &r, A, CDB(0x1b, 0, 0, 0, 3, 0), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, B, CDB(0), NULL, 0, 0);
	expect_sense(&r, 6, 0x28, 0);
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_good(&r);
	fix_free(f);
}

static void
prevention_holds_until_it_is_lifted(void **state)
{
	struct fix *f = removable();

	(void)state;
	fix_run(f, &r, A, CDB(0x1e, 0, 0, 0, 1, 0), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, B, CDB(0x1b, 0, 0, 0, 2, 0), NULL, 0, 0);
	expect_sense(&r, 5, 0x53, 2);
	scsi_nexus_set_map(f->nexus[A], NULL, 0);	/* nexus loss */
	fix_run(f, &r, B, CDB(0x1b, 0, 0, 0, 2, 0), NULL, 0, 0);
	expect_good(&r);
	fix_free(f);
}

static void
fixed_medium_cannot_be_ejected(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x1b, 0, 0, 0, 2, 0), NULL, 0, 0);
	expect_sense(&r, 5, 0x24, 0);
	fix_run(f, &r, A, CDB(0x1b, 0, 0, 0, 0, 0), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0), NULL, 0, 0);
	expect_good(&r);
}

/* --- reports --- */

static void
port_groups_list_each_port_once(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), NULL,
	    0, 256);
	expect_good(&r);
	assert_int_equal(be(r.data, 4), 16);
	assert_int_equal(r.data[4], 0);
	assert_int_equal(r.data[5], 1);
	assert_int_equal(be(r.data + 6, 2), 1);
	assert_int_equal(r.data[11], 2);
	assert_int_equal(be(r.data + 12, 4) + be(r.data + 16, 4), 3);
	fix_run(f, &r, A, CDB(0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), NULL,
	    0, 256);
	expect_good(&r);
	assert_int_equal(be(r.data, 4), 20);
	assert_int_equal(r.data[4], 0x10);
}

static void
log_pages_listed_are_readable(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x4d, 0, 0x40, 0, 0, 0, 0, 0, 64, 0), NULL, 0,
	    64);
	expect_good(&r);
	assert_int_equal(be(r.data + 2, 2), 1);
	assert_int_equal(r.data[4], 0);
	fix_run(f, &r, A, CDB(0x4d, 0, 0x40, 0xff, 0, 0, 0, 0, 64, 0), NULL,
	    0, 64);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 8);
	fix_run(f, &r, A, CDB(0x4d, 0, 0x4d, 0, 0, 0, 0, 0, 64, 0), NULL, 0,
	    64);
	expect_sense(&r, 5, 0x24, 0);
}

static void
commands_without_effect_answer(void **state)
{
	struct fix *f = *state;

	fix_run(f, &r, A, CDB(0x1d, 4), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x1d, 0x24), NULL, 0, 0);
	expect_sense(&r, 5, 0x24, 0);
	fix_run(f, &r, A, CDB(0x34, 2, 0, 0, 0, 0, 3, 0, 9, 0), NULL, 0, 0);
	expect_good(&r);
	fix_run(f, &r, A, CDB(0x37, 0, 0x18, 0, 0, 0, 0, 0, 64, 0), NULL, 0,
	    64);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 4);
	assert_int_equal(r.data[1], 0x18);
	fix_run(f, &r, A, CDB(0xb7, 0x18, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0),
	    NULL, 0, 64);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 8);
	fix_run(f, &r, A, CDB(0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 64, 0, 0),
	    NULL, 0, 64);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 16);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(all_pages_are_the_single_ones_in_order),
		T(block_descriptors_short_and_long),
		T(swp_is_set_told_and_obeyed),
		T(d_sense_switches_the_format),
		T(only_changeable_bits_change),
		T(malformed_mode_lists_are_refused),
		T(wce_follows_the_policy),
		cmocka_unit_test(
		    ejected_medium_is_missed_by_each_command_that_needs_it),
		cmocka_unit_test(prevention_holds_until_it_is_lifted),
		T(fixed_medium_cannot_be_ejected),
		T(port_groups_list_each_port_once),
		T(log_pages_listed_are_readable),
		T(commands_without_effect_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
