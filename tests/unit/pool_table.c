/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Label and table read from a hostile disk: each field out of bounds is
 * refused by name, and random damage never gets past the checks.
 */
#include "tests/unit/pool_util.h"

#define EXTENT (256u * 1024)
#define TABLE_HEAD 72u			/* as in pool/table.c */
#define VOLUME_HEAD 104u

static struct label label;
static uint8_t buf[64 * 1024];

static struct table_volume
volume(const char *name, uint8_t id, uint64_t extents, uint32_t start)
{
	struct table_volume v = { .size = extents * EXTENT, .ctime = 1,
		.policy = WRITE_THROUGH, .nruns = 1 };

	snprintf(v.name, sizeof(v.name), "%s", name);
	memset(v.uuid, id, sizeof(v.uuid));
	v.runs = malloc(sizeof(*v.runs));
	assert_non_null(v.runs);
	v.runs[0] = (struct run){ start, (uint32_t)extents };
	return v;
}

/* Two volumes, a (2 extents from 0) and b (3 from 10), in buf. */
static int
setup(void **state)
{
	struct table t = { .generation = 7 };
	struct table_volume a = volume("a", 1, 2, 0);
	struct table_volume b = volume("b", 2, 3, 10);
	struct blk_geometry geo = { .size = 64 * MIB, .logical_block = 512,
		.physical_block = 512, .optimal_io = 192 * 1024 };

	(void)state;
	memset(&label, 0, sizeof(label));
	strcpy(label.name, "tank");
	label.extent_bytes = EXTENT;
	memset(label.uuid, 9, sizeof(label.uuid));
	assert_int_equal(label_plan(&label, &geo, NULL), 0);
	assert_int_equal(table_insert(&t, &b), 0);
	assert_int_equal(table_insert(&t, &a), 0);
	memset(buf, 0, sizeof(buf));
	assert_true(table_encode(&t, &label, buf, sizeof(buf)) > 0);
	table_fini(&t);
	return 0;
}

static void
put(unsigned off, uint64_t v, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		buf[off + i] = (uint8_t)(v >> 8 * i);
}

static uint32_t
table_len(void)
{
	return (uint32_t)(buf[40] | buf[41] << 8 | buf[42] << 16);
}

/* Decode what is in buf, sealed again; the error's text or "". */
static const char *
refusal(void)
{
	static struct err err;
	struct table t;
	uint64_t generation;

	pool_crc_seal(buf, table_len());
	assert_int_equal(table_peek(buf, sizeof(buf), &label, &generation),
	    TABLE_VALID);
	err_clear(&err);
	if (table_decode(&t, buf, sizeof(buf), &label, &err) == 0) {
		table_fini(&t);
		return "";
	}
	assert_int_equal(t.nvolumes, 0);
	return err.text;
}

static void
refuses(const char *what)
{
	const char *text = refusal();

	if (strstr(text, what) == NULL)
		print_error("expected \"%s\", got \"%s\"\n", what, text);
	assert_non_null(strstr(text, what));
}

/* Offsets in volume record i; both have one run. */
static unsigned
at(unsigned i, unsigned field)
{
	return TABLE_HEAD + i * (VOLUME_HEAD + 8) + field;
}
enum { UUID = 0, NAME = 16, VSIZE = 80, POLICY = 96, NRUNS = 100, RUN = 104 };

static void
whole_table_survives_the_disk(void **state)
{
	struct table t;
	uint64_t generation;
	struct err err = { .code = 0 };

	(void)state;
	assert_int_equal(table_peek(buf, sizeof(buf), &label, &generation),
	    TABLE_VALID);
	assert_int_equal(generation, 7);
	assert_int_equal(table_decode(&t, buf, sizeof(buf), &label, &err), 0);
	assert_int_equal(t.nvolumes, 2);
	assert_string_equal(t.volumes[0].name, "a");
	assert_string_equal(t.volumes[1].name, "b");
	assert_int_equal(t.volumes[1].runs[0].start, 10);
	assert_int_equal(table_extents_used(&t), 5);
	table_fini(&t);
}

static void
torn_table_is_none(void **state)
{
	uint64_t generation;

	(void)state;
	buf[table_len() - 1] ^= 1;
	assert_int_equal(table_peek(buf, sizeof(buf), &label, &generation),
	    TABLE_NONE);
}

static void
table_of_another_pool_is_none(void **state)
{
	uint64_t generation;

	(void)state;
	label.uuid[3] ^= 1;
	assert_int_equal(table_peek(buf, sizeof(buf), &label, &generation),
	    TABLE_NONE);
}

static void
newer_table_is_seen_as_such(void **state)
{
	uint64_t generation;

	(void)state;
	put(8, 2, 4);
	pool_crc_seal(buf, table_len());
	assert_int_equal(table_peek(buf, sizeof(buf), &label, &generation),
	    TABLE_NEWER);
}

static void
length_out_of_bounds_is_none(void **state)
{
	static const uint32_t bad[] = { 0, 15, TABLE_HEAD - 1, sizeof(buf) + 1,
		UINT32_MAX };
	uint64_t generation;

	(void)state;
	for (unsigned i = 0; i < nitems(bad); i++) {
		put(40, bad[i], 4);
		assert_int_equal(table_peek(buf, sizeof(buf), &label,
		    &generation), TABLE_NONE);
	}
}

static void
bad_number_of_volumes_is_refused(void **state)
{
	(void)state;
	put(44, 3, 4);
	refuses("number of volumes");
	put(44, UINT32_MAX, 4);
	refuses("number of volumes");
	put(44, 1, 4);
	refuses("follow the last volume");
}

static void
table_that_ends_early_is_refused(void **state)
{
	(void)state;
	put(40, at(1, NRUNS), 4);
	refuses("ends inside a volume");
	put(40, at(1, RUN), 4);
	refuses("number of runs");
}

static void
bad_names_are_refused(void **state)
{
	(void)state;
	buf[at(0, NAME)] = 'A';
	refuses("impossible name");
	buf[at(0, NAME)] = 0;
	refuses("impossible name");
	memset(buf + at(0, NAME), 'a', POOL_NAME_MAX + 1);
	refuses("impossible name");
}

static void
equal_or_unordered_names_are_refused(void **state)
{
	(void)state;
	buf[at(0, NAME)] = 'b';
	refuses("twice");
	buf[at(0, NAME)] = 'c';
	refuses("out of order");
}

static void
equal_uuids_are_refused(void **state)
{
	(void)state;
	memset(buf + at(1, UUID), 1, 16);
	refuses("same UUID");
}

static void
bad_sizes_are_refused(void **state)
{
	(void)state;
	put(at(0, VSIZE), 0, 8);
	refuses("impossible size");
	put(at(0, VSIZE), 4097, 8);
	refuses("impossible size");
	put(at(0, VSIZE), UINT64_MAX - 4095, 8);
	refuses("impossible size");
	put(at(0, VSIZE), 3 * EXTENT, 8);
	refuses("has 2 extents and needs 3");
}

static void
unknown_policy_is_refused(void **state)
{
	(void)state;
	buf[at(1, POLICY)] = WRITE_BACK + 1;
	refuses("write policy");
}

static void
bad_number_of_runs_is_refused(void **state)
{
	(void)state;
	put(at(1, NRUNS), 0, 4);
	refuses("number of runs");
	put(at(1, NRUNS), 2, 4);	/* fits the size, not the table */
	refuses("number of runs");
	put(at(1, NRUNS), UINT32_MAX, 4);
	refuses("number of runs");
}

static void
extents_outside_the_pool_are_refused(void **state)
{
	(void)state;
	put(at(1, RUN), label.extents - 2, 4);
	refuses("outside the pool");
	put(at(1, RUN), UINT32_MAX, 4);
	refuses("outside the pool");
	put(at(1, RUN), 10, 4);
	put(at(1, RUN) + 4, UINT32_MAX - 5, 4);
	refuses("outside the pool");
	put(at(1, RUN) + 4, 0, 4);
	refuses("outside the pool");
}

static void
shared_extents_are_refused(void **state)
{
	(void)state;
	put(at(1, RUN), 1, 4);
	refuses("belongs to two volumes");
	put(at(1, RUN), 2, 4);
	refuses("");
}

static void
random_damage_is_refused_or_harmless(void **state)
{
	uint8_t good[1024];
	uint32_t seed = 1;

	(void)state;
	memcpy(good, buf, sizeof(good));
	for (unsigned i = 0; i < 20000; i++) {
		memcpy(buf, good, sizeof(good));
		for (unsigned n = 0; n < 1 + i % 4; n++) {
			seed = seed * 1664525u + 1013904223u;
			/* The head must pass for the rest to be looked at. */
			buf[44 + (seed >> 8) % (at(2, 0) - 44)] =
			    (uint8_t)(seed >> 24);
		}
		(void)refusal();
	}
}

/* --- label --- */

static uint8_t block[POOL_BLOCK];

static int
decode_label(struct err *err)
{
	struct label l;

	pool_crc_seal(block, sizeof(block));
	err_clear(err);
	return label_decode(&l, block, 64 * MIB, err);
}

static void
label_survives_the_disk(void **state)
{
	struct label l;
	struct err err = { .code = 0 };

	(void)state;
	label_encode(&label, block);
	assert_int_equal(label_decode(&l, block, 64 * MIB, &err), 0);
	assert_memory_equal(&l, &label, sizeof(l));
	assert_int_equal(l.data_off % (192 * 1024), 0);
	assert_int_equal(l.table_off[0] % (192 * 1024), 0);
}

static void
label_of_a_newer_version_is_refused(void **state)
{
	struct err err;

	(void)state;
	label_encode(&label, block);
	block[8] = 2;
	assert_int_equal(decode_label(&err), -ENOTSUP);
	assert_non_null(strstr(err.text, "format version 2"));
}

static void
damaged_or_absent_label_is_none(void **state)
{
	struct label l;

	(void)state;
	label_encode(&label, block);
	block[100] ^= 1;
	assert_int_equal(label_decode(&l, block, 64 * MIB, NULL), -ENOENT);
	memset(block, 0, sizeof(block));
	assert_int_equal(label_decode(&l, block, 64 * MIB, NULL), -ENOENT);
}

static void
shrunk_array_is_refused(void **state)
{
	struct label l;
	struct err err = { .code = 0 };

	(void)state;
	label_encode(&label, block);
	assert_int_equal(label_decode(&l, block, 63 * MIB, &err), -EINVAL);
	assert_non_null(strstr(err.text, "67108864"));
	err_clear(&err);
	assert_int_equal(label_decode(&l, block, 65 * MIB, &err), 0);
}

static void
each_bad_field_of_a_label_is_refused(void **state)
{
	static const struct {
		unsigned off, len;
		uint64_t value;
	} bad[] = {
		{ 32, 1, 'A' },			/* name */
		{ 96, 4, 0 }, { 96, 4, 4096 }, { 96, 4, 2u << 20 },
		{ 96, 4, (256u << 10) + 512 },	/* extent size */
		{ 100, 4, 0 }, { 100, 4, UINT32_MAX }, { 100, 4, 1u << 12 },
		{ 112, 8, 0 }, { 112, 8, UINT64_MAX },	/* size */
		{ 120, 8, 0 }, { 120, 8, 1u << 30 }, { 120, 8, UINT64_MAX },
		{ 120, 8, 4097 },		/* table */
		{ 128, 8, 0 },
		{ 136, 8, 0 }, { 144, 8, UINT64_MAX - 4095 },	/* document */
		{ 152, 8, 0 }, { 152, 8, 1u << 20 }, { 152, 8, 64u << 20 },
	};
	struct err err;

	(void)state;
	for (unsigned i = 0; i < nitems(bad); i++) {
		label_encode(&label, block);
		for (unsigned b = 0; b < bad[i].len; b++)
			block[bad[i].off + b] =
			    (uint8_t)(bad[i].value >> 8 * b);
		if (decode_label(&err) != -EINVAL)
			fail_msg("case %u: %d %s", i, err.code, err.text);
	}
}

/* --- allocation --- */

static void
extents_start_on_a_full_stripe(void **state)
{
	struct table t = { .nvolumes = 0 };
	struct table_volume none = { .nruns = 0 }, v;
	struct run *runs;
	unsigned n;

	(void)state;
	/* 256 KiB extents, 192 KiB stripes: every third extent is aligned. */
	v = volume("a", 1, 1, 0);
	assert_int_equal(table_insert(&t, &v), 0);
	assert_int_equal(alloc_extents(&t, &label, 192 * 1024, &none, 4, &runs,
	    &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(runs[0].start, 3);
	assert_int_equal(runs[0].count, 4);
	free(runs);
	/* What was skipped is used when nothing else is left. */
	assert_int_equal(alloc_extents(&t, &label, 192 * 1024, &none,
	    label.extents - 1, &runs, &n), 0);
	assert_true(n > 1);
	free(runs);
	assert_int_equal(alloc_extents(&t, &label, 192 * 1024, &none,
	    label.extents, &runs, &n), -ENOSPC);
	table_fini(&t);
}

static void
growth_goes_on_behind_the_last_extent(void **state)
{
	struct table t = { .nvolumes = 0 };
	struct table_volume v = volume("a", 1, 2, 6);
	struct run *runs;
	unsigned n;

	(void)state;
	assert_int_equal(table_insert(&t, &v), 0);
	assert_int_equal(alloc_extents(&t, &label, 192 * 1024, &v, 5, &runs,
	    &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(runs[0].start, 8);
	free(runs);
	table_fini(&t);
}

static void
smallest_hole_that_fits_is_taken(void **state)
{
	struct table t = { .nvolumes = 0 };
	struct table_volume none = { .nruns = 0 };
	struct table_volume a = volume("a", 1, 1, 5);
	struct table_volume b = volume("b", 2, 1, 8);
	struct run *runs;
	unsigned n;

	(void)state;
	/* holes: 0-4, 6-7, 9-end */
	assert_int_equal(table_insert(&t, &a), 0);
	assert_int_equal(table_insert(&t, &b), 0);
	assert_int_equal(alloc_extents(&t, &label, 0, &none, 2, &runs, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(runs[0].start, 6);
	free(runs);
	assert_int_equal(alloc_extents(&t, &label, 0, &none, 3, &runs, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(runs[0].start, 0);
	free(runs);
	table_fini(&t);
}

static void
full_table_is_reported(void **state)
{
	struct table t = { .generation = 1 };
	struct table_volume v = volume("a", 1, 1, 0);

	(void)state;
	assert_int_equal(table_insert(&t, &v), 0);
	assert_int_equal(table_encode(&t, &label, buf,
	    TABLE_HEAD + VOLUME_HEAD + 7), -ENOSPC);
	assert_int_equal(table_encode(&t, &label, buf,
	    TABLE_HEAD + VOLUME_HEAD + 8), TABLE_HEAD + VOLUME_HEAD + 8);
	table_fini(&t);
}

/* --- opening a pool with damage --- */

static struct loop *loop;
static struct blk *ram;

static int
setup_pool(void **state)
{
	struct pool *pool;

	(void)state;
	loop = loop_new(NULL);
	ram = blk_ram_new(loop, 8 * MIB, 512);
	assert_non_null(ram);
	do_format(ram, "tank", EXTENT);
	pool = do_open(ram);
	assert_int_equal(do_create(pool, "a", EXTENT), 0);
	assert_int_equal(do_create(pool, "b", EXTENT), 0);
	label = pool->label;
	assert_int_equal(do_close(pool), 0);
	return 0;
}

static int
teardown_pool(void **state)
{
	(void)state;
	blk_close(ram);
	loop_free(loop);
	return 0;
}

static void
open_falls_back_to_the_older_table(void **state)
{
	struct pool *pool;

	(void)state;
	/* Generation 3 is in slot 0: format 0, create a 1, create b 0. */
	blk_ram_data(ram)[label.table_off[0] + 80] ^= 1;
	pool = do_open(ram);
	assert_int_equal(pool->table.nvolumes, 1);
	assert_non_null(pool_volume_by_name(pool, "a"));
	assert_int_equal(do_create(pool, "c", EXTENT), 0);
	assert_int_equal(do_close(pool), 0);
	pool = do_open(ram);
	assert_non_null(pool_volume_by_name(pool, "c"));
	assert_int_equal(do_close(pool), 0);
}

static void
open_refuses_two_damaged_tables(void **state)
{
	struct err err;

	(void)state;
	blk_ram_data(ram)[label.table_off[0] + 80] ^= 1;
	blk_ram_data(ram)[label.table_off[1] + 80] ^= 1;
	assert_null(try_open(ram, &err));
	assert_int_equal(err.code, EILSEQ);
}

static void
open_refuses_a_whole_table_of_nonsense(void **state)
{
	uint8_t *t = blk_ram_data(ram) + label.table_off[0];
	struct err err;

	(void)state;
	t[TABLE_HEAD + 16] = 'b';	/* both are called b */
	pool_crc_seal(t, (size_t)(t[40] | t[41] << 8));
	assert_null(try_open(ram, &err));
	assert_int_equal(err.code, EINVAL);
	assert_non_null(strstr(err.text, "twice"));
}

static void
open_heals_either_label(void **state)
{
	uint8_t *a = blk_ram_data(ram);
	uint8_t *b = a + label_b_off(8 * MIB);
	uint8_t *gone[] = { a, b };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		memset(gone[i], 0x55, POOL_BLOCK);
		assert_int_equal(do_close(do_open(ram)), 0);
		assert_memory_equal(a, b, POOL_BLOCK);
	}
}

static void
open_refuses_a_blank_device(void **state)
{
	struct err err;

	(void)state;
	memset(blk_ram_data(ram), 0, 8 * MIB);
	assert_null(try_open(ram, &err));
	assert_int_equal(err.code, ENOENT);
}

static void
open_refuses_a_newer_pool_although_label_b_is_old(void **state)
{
	struct err err;
	uint8_t *a = blk_ram_data(ram);

	(void)state;
	a[8] = 2;
	pool_crc_seal(a, POOL_BLOCK);
	assert_null(try_open(ram, &err));
	assert_int_equal(err.code, ENOTSUP);
}

static void
open_says_when_the_device_fails(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_READ };
	struct blk *fault = blk_fault_new(ram);
	struct err err;

	(void)state;
	for (unsigned skip = 0; skip <= 2; skip += 2) {
		/* labels, then tables */
		rule.skip = skip;
		assert_int_equal(blk_fault_add(fault, &rule), 0);
		assert_null(try_open(fault, &err));
		assert_true(err.code == EIO || err.code == EILSEQ);
		blk_fault_clear(fault);
	}
	rule.kinds = 1u << IO_FLUSH;
	rule.skip = 0;
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_null(try_open(fault, &err));
	assert_int_equal(err.code, EIO);
	ram = fault;			/* owns it; closed in teardown */
}

#define T(f) cmocka_unit_test_setup(f, setup)
#define P(f) cmocka_unit_test_setup_teardown(f, setup_pool, teardown_pool)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(whole_table_survives_the_disk),
		T(torn_table_is_none),
		T(table_of_another_pool_is_none),
		T(newer_table_is_seen_as_such),
		T(length_out_of_bounds_is_none),
		T(bad_number_of_volumes_is_refused),
		T(table_that_ends_early_is_refused),
		T(bad_names_are_refused),
		T(equal_or_unordered_names_are_refused),
		T(equal_uuids_are_refused),
		T(bad_sizes_are_refused),
		T(unknown_policy_is_refused),
		T(bad_number_of_runs_is_refused),
		T(extents_outside_the_pool_are_refused),
		T(shared_extents_are_refused),
		T(random_damage_is_refused_or_harmless),
		T(label_survives_the_disk),
		T(label_of_a_newer_version_is_refused),
		T(damaged_or_absent_label_is_none),
		T(shrunk_array_is_refused),
		T(each_bad_field_of_a_label_is_refused),
		T(extents_start_on_a_full_stripe),
		T(growth_goes_on_behind_the_last_extent),
		T(smallest_hole_that_fits_is_taken),
		T(full_table_is_reported),
		P(open_falls_back_to_the_older_table),
		P(open_refuses_two_damaged_tables),
		P(open_refuses_a_whole_table_of_nonsense),
		P(open_heals_either_label),
		P(open_refuses_a_blank_device),
		P(open_refuses_a_newer_pool_although_label_b_is_old),
		P(open_says_when_the_device_fails),
	};

	log_set_level(LOG_L_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
