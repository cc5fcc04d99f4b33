/* SPDX-License-Identifier: BSD-2-Clause */
/* Format, open and every kind of change, with a look after reopening. */
#include "tests/unit/pool_util.h"

#define SIZE (12 * MIB)
#define EXTENT (256 * KIB)

static struct loop *loop;
static struct blk *ram, *fault;
static struct pool *pool;
static char text[65536];

static int
setup(void **state)
{
	(void)state;
	loop = loop_new(NULL);
	ram = blk_ram_new(loop, SIZE, 512);
	fault = blk_fault_new(ram);
	assert_non_null(fault);
	memset(blk_ram_data(ram), 0xaa, SIZE);
	do_format(fault, "tank", EXTENT);
	pool = do_open(fault);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (pool != NULL)
		assert_int_equal(do_close(pool), 0);
	blk_close(fault);
	loop_free(loop);
	return 0;
}

static void
reopen(void)
{
	assert_int_equal(do_close(pool), 0);
	pool = do_open(fault);
}

static void
expect(const char *want)
{
	assert_string_equal(dump(pool, text, sizeof(text)), want);
	reopen();
	assert_string_equal(dump(pool, text, sizeof(text)), want);
}

static void
new_pool_is_empty(void **state)
{
	struct pool_info info;

	(void)state;
	pool_get_info(pool, &info);
	assert_string_equal(info.name, "tank");
	assert_int_equal(info.extent_bytes, EXTENT);
	assert_int_equal(info.used, 0);
	assert_int_equal(info.free, info.size);
	assert_int_equal(info.volumes, 0);
	assert_true(info.size > SIZE - 6 * MIB && info.size % EXTENT == 0);
	expect("");
}

static void
create_is_there_after_reopening(void **state)
{
	struct volume_info a, b;

	(void)state;
	assert_int_equal(do_create(pool, "beta", MIB + 1), 0);
	assert_int_equal(do_create(pool, "alpha", 4096), 0);
	volume_get_info(pool_volume_by_name(pool, "beta"), &a);
	assert_int_equal(a.allocated, MIB + EXTENT);
	expect("alpha:4096:writethrough beta:1052672:writethrough ");
	volume_get_info(pool_volume_by_name(pool, "beta"), &b);
	assert_memory_equal(a.uuid, b.uuid, 16);
	assert_int_equal(a.ctime, b.ctime);
	assert_string_equal(volume_blk(pool_volume_by_name(pool, "beta"))->name,
	    "tank/beta");
}

static void
new_extents_read_as_zeroes(void **state)
{
	struct blk *blk;

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	blk = volume_blk(pool_volume_by_name(pool, "a"));
	assert_int_equal(reads_as(blk, 0, MIB, 0), 1);
	assert_int_equal(do_write(blk, 0, MIB, 'x', 0), 0);
	assert_int_equal(do_grow(pool, "a", 2 * MIB), 0);
	assert_int_equal(reads_as(blk, 0, MIB, 'x'), 1);
	assert_int_equal(reads_as(blk, MIB, MIB, 0), 1);
}

static void
reused_extents_read_as_zeroes(void **state)
{
	struct blk *blk;

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	blk = volume_blk(pool_volume_by_name(pool, "a"));
	assert_int_equal(do_write(blk, 0, MIB, 'x', 0), 0);
	assert_int_equal(do_delete(pool, "a"), 0);
	assert_int_equal(do_create(pool, "b", MIB), 0);
	blk = volume_blk(pool_volume_by_name(pool, "b"));
	assert_int_equal(reads_as(blk, 0, MIB, 0), 1);
}

static void
grow_within_the_last_extent_takes_none(void **state)
{
	struct pool_info before, after;

	(void)state;
	assert_int_equal(do_create(pool, "a", 4096), 0);
	pool_get_info(pool, &before);
	assert_int_equal(do_grow(pool, "a", EXTENT), 0);
	pool_get_info(pool, &after);
	assert_int_equal(before.used, after.used);
	expect("a:262144:writethrough ");
}

static void
grow_refuses_to_shrink(void **state)
{
	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	assert_int_equal(do_grow(pool, "a", MIB), -EINVAL);
	assert_int_equal(do_grow(pool, "a", 4096), -EINVAL);
	expect("a:1048576:writethrough ");
}

static void
rename_keeps_object_and_uuid(void **state)
{
	struct volume *v;
	struct volume_info before, after;

	(void)state;
	assert_int_equal(do_create(pool, "a", 4096), 0);
	assert_int_equal(do_create(pool, "m", 4096), 0);
	v = pool_volume_by_name(pool, "a");
	volume_get_info(v, &before);
	assert_int_equal(do_change(pool, POOL_VOLUME_RENAME, "a", "z", 0,
	    WRITE_THROUGH), 0);
	assert_ptr_equal(pool_volume_by_name(pool, "z"), v);
	assert_null(pool_volume_by_name(pool, "a"));
	volume_get_info(v, &after);
	assert_memory_equal(before.uuid, after.uuid, 16);
	assert_string_equal(volume_blk(v)->name, "tank/z");
	expect("m:4096:writethrough z:4096:writethrough ");
}

static void
set_changes_the_policy(void **state)
{
	(void)state;
	assert_int_equal(do_create(pool, "a", 4096), 0);
	assert_int_equal(do_change(pool, POOL_VOLUME_SET, "a", NULL, 0,
	    WRITE_DURABLE), 0);
	expect("a:4096:durable ");
}

static void
delete_gives_the_space_back(void **state)
{
	struct pool_info info;

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	assert_int_equal(do_create(pool, "b", MIB), 0);
	assert_int_equal(do_delete(pool, "a"), 0);
	pool_get_info(pool, &info);
	assert_int_equal(info.used, MIB);
	expect("b:1048576:writethrough ");
}

static void
names_are_unique(void **state)
{
	(void)state;
	assert_int_equal(do_create(pool, "a", 4096), 0);
	assert_int_equal(do_create(pool, "b", 4096), 0);
	assert_int_equal(do_create(pool, "a", 4096), -EEXIST);
	assert_int_equal(do_change(pool, POOL_VOLUME_RENAME, "a", "b", 0,
	    WRITE_THROUGH), -EEXIST);
	expect("a:4096:writethrough b:4096:writethrough ");
}

static void
bad_names_are_refused(void **state)
{
	static const char *const bad[] = { "", "A", "a_b", "a/b", "a b",
		"\xc3\xa9", "." };
	char name[POOL_NAME_MAX + 2];

	(void)state;
	for (unsigned i = 0; i < nitems(bad); i++) {
		struct err err = { .code = 0 };

		assert_false(pool_name_ok(bad[i], &err));
		assert_int_equal(err.code, EINVAL);
		assert_int_equal(do_create(pool, bad[i], 4096), -EINVAL);
	}
	memset(name, 'a', sizeof(name));
	name[POOL_NAME_MAX + 1] = '\0';
	assert_false(pool_name_ok(name, NULL));
	name[POOL_NAME_MAX] = '\0';
	assert_true(pool_name_ok(name, NULL));
	assert_int_equal(do_create(pool, name, 4096), 0);
}

static void
empty_volume_is_refused(void **state)
{
	(void)state;
	assert_int_equal(do_create(pool, "a", 0), -EINVAL);
}

static void
full_pool_says_how_much_is_free(void **state)
{
	struct pool_info info;
	struct pool_change c = { .pool = pool, .kind = POOL_VOLUME_CREATE,
		.name = "big" };
	char want[64], size[POOL_SIZE_TEXT];

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	pool_get_info(pool, &info);
	snprintf(want, sizeof(want), "%s free",
	    pool_size_text(info.free, size));
	c.size = info.free + 1;
	assert_int_equal(run_change(&c), -ENOSPC);
	assert_non_null(strstr(c.err.text, want));
	c.size = UINT64_MAX;
	assert_int_equal(run_change(&c), -ENOSPC);
	assert_int_equal(do_grow(pool, "a", MIB + info.free + 1), -ENOSPC);
	assert_int_equal(do_grow(pool, "a", MIB + info.free), 0);
	pool_get_info(pool, &info);
	assert_int_equal(info.free, 0);
	assert_int_equal(do_create(pool, "b", 1), -ENOSPC);
	assert_int_equal(do_grow(pool, "a", info.size), -EINVAL);
}

static void
dry_run_changes_nothing(void **state)
{
	struct pool_change c = { .pool = pool, .kind = POOL_VOLUME_CREATE,
		.name = "a", .size = MIB, .dry_run = true };
	struct pool_info before, after;

	(void)state;
	pool_get_info(pool, &before);
	assert_int_equal(run_change(&c), 0);
	assert_null(c.volume);
	c.size = SIZE;
	assert_int_equal(run_change(&c), -ENOSPC);
	pool_get_info(pool, &after);
	assert_int_equal(before.generation, after.generation);
	expect("");
}

static void
changes_started_together_are_serialized(void **state)
{
	struct pool_change c[8];

	(void)state;
	memset(c, 0, sizeof(c));
	for (unsigned i = 0; i < nitems(c); i++) {
		c[i].pool = pool;
		c[i].kind = POOL_VOLUME_CREATE;
		c[i].size = 2 * EXTENT;
		snprintf(c[i].name, sizeof(c[i].name), "v%u", i);
		pool_change_start(&c[i], NULL);
	}
	for (unsigned i = 0; i < nitems(c); i++) {
		loop_run_op(loop, &c[i].op);
		assert_int_equal(c[i].err.code, 0);
		assert_non_null(c[i].volume);
	}
	assert_int_equal(pool->table.nvolumes, nitems(c));
	reopen();
	assert_int_equal(pool->table.nvolumes, nitems(c));
}

static void
failed_write_leaves_the_old_table(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_WRITE, .count = 1 };

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(do_create(pool, "b", MIB), -EIO);
	assert_false(pool->doubtful);
	blk_fault_clear(fault);
	expect("a:1048576:writethrough ");
	assert_int_equal(do_create(pool, "b", MIB), 0);
	expect("a:1048576:writethrough b:1048576:writethrough ");
}

static void
failed_change_that_cannot_be_undone_blocks_others(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_WRITE };

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(do_delete(pool, "a"), -EIO);
	assert_true(pool->doubtful);
	assert_int_equal(do_create(pool, "b", MIB), -EIO);
	assert_true(pool->doubtful);
	blk_fault_clear(fault);
	assert_int_equal(do_create(pool, "b", MIB), 0);
	assert_false(pool->doubtful);
	expect("a:1048576:writethrough b:1048576:writethrough ");
}

static void
failed_zeroing_leaves_the_old_table(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_ZERO, .count = 1 };

	(void)state;
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(do_create(pool, "b", MIB), -EIO);
	expect("");
}

static void
cancel_change(void *arg)
{
	struct pool_change *c = arg;

	assert_true(c->zeroed < c->to_zero);
	c->cancel = true;
}

/* A volume that is made or grown is as it was, and the space is free. */
static void
cancelled_zeroing_leaves_the_old_table(void **state)
{
	struct fault_rule rule = { .action = FAULT_DELAY, .delay_ms = 60,
		.kinds = 1u << IO_ZERO };
	struct pool_change c = { .pool = pool, .size = 2 * MIB };
	struct timer timer = { 0 };
	struct pool_info before, after;

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	pool_get_info(pool, &before);
	for (unsigned grow = 0; grow < 2; grow++) {
		c.kind = grow ? POOL_VOLUME_GROW : POOL_VOLUME_CREATE;
		c.volume = grow ? pool_volume_by_name(pool, "a") : NULL;
		c.cancel = false;
		strcpy(c.name, "b");
		assert_int_equal(blk_fault_add(fault, &rule), 0);
		timer_start(loop, &timer, 20, cancel_change, &c);
		assert_int_equal(run_change(&c), -ECANCELED);
		blk_fault_clear(fault);
		expect("a:1048576:writethrough ");
		pool_get_info(pool, &after);
		assert_int_equal(after.free, before.free);
		c.pool = pool;		/* it was opened again */
	}
	assert_int_equal(do_create(pool, "b", before.free), 0);
}

static void
failed_flush_leaves_the_old_table(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_FLUSH, .count = 1 };

	(void)state;
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(do_create(pool, "b", MIB), -EIO);
	blk_fault_clear(fault);
	expect("");
}

static void
format_refuses_a_pool_without_force(void **state)
{
	struct pool_format f;

	(void)state;
	run_format(&f, fault, "other", EXTENT, false);
	assert_int_equal(f.err.code, EEXIST);
	assert_non_null(strstr(f.err.text, "tank"));
	assert_int_equal(do_close(pool), 0);
	run_format(&f, fault, "other", EXTENT, true);
	assert_int_equal(f.err.code, 0);
	pool = do_open(fault);
	assert_string_equal(pool->label.name, "other");
}

static void
format_refuses_bad_parameters(void **state)
{
	struct blk *small = blk_ram_new(loop, 4 * MIB, 512);
	struct pool_format f;

	(void)state;
	run_format(&f, small, "x", 0, false);
	assert_int_equal(f.err.code, ENOSPC);
	run_format(&f, small, "X", EXTENT, false);
	assert_int_equal(f.err.code, EINVAL);
	run_format(&f, small, "x", 128 * 1024, false);
	assert_int_equal(f.err.code, EINVAL);
	run_format(&f, small, "x", EXTENT + 512, false);
	assert_int_equal(f.err.code, EINVAL);
	run_format(&f, small, "x", 2 * 1024 * 1024, false);
	assert_int_equal(f.err.code, EINVAL);
	blk_close(small);
}

static void
sizes_are_written_for_people(void **state)
{
	char size[POOL_SIZE_TEXT];

	(void)state;
	assert_string_equal(pool_size_text(0, size), "0 bytes");
	assert_string_equal(pool_size_text(1023, size), "1023 bytes");
	assert_string_equal(pool_size_text(1536 * KIB, size), "1.5 MiB");
	assert_string_equal(pool_size_text(TIB, size), "1 TiB");
	assert_string_equal(pool_size_text(UINT64_MAX, size), "15.9 EiB");
}

static void
policies_have_names(void **state)
{
	enum write_policy policy;

	(void)state;
	for (int i = WRITE_DURABLE; i <= WRITE_BACK; i++) {
		assert_int_equal(write_policy_parse(
		    write_policy_name((enum write_policy)i), &policy), 0);
		assert_int_equal(policy, i);
	}
	assert_int_equal(write_policy_parse("fast", &policy), -EINVAL);
}

/* --- 1000 random changes against a model --- */

struct model {
	char name[16];
	uint64_t size;			/* 0 = no such volume */
	enum write_policy policy;
	uint8_t stamp;
};

#define MODELS 12

static uint64_t
next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static struct model *
model_by_name(struct model *m, const char *name)
{
	for (unsigned i = 0; i < MODELS; i++) {
		if (m[i].size > 0 && strcmp(m[i].name, name) == 0)
			return &m[i];
	}
	return NULL;
}

static uint64_t
model_extents(const struct model *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MODELS; i++)
		n += (m[i].size + EXTENT - 1) / EXTENT;
	return n;
}

/* Do one random change to both; they must agree about the result. */
static void
random_change(struct model *all, uint64_t *seed)
{
	struct model *m = &all[next_random(seed) % MODELS], *other;
	uint64_t size = (next_random(seed) % (8 * EXTENT) + 1 + 4095) & ~4095u;
	uint64_t extents = pool->label.extents, n = model_extents(all);
	enum write_policy policy = (enum write_policy)(next_random(seed) % 3);
	uint64_t grow;
	char name[16];
	int want = 0;

	snprintf(name, sizeof(name), "v%u", (unsigned)next_random(seed) % 20);
	other = model_by_name(all, name);
	if (m->size == 0) {
		struct pool_change c = { .pool = pool, .size = size,
			.kind = POOL_VOLUME_CREATE, .policy = policy };

		want = other != NULL ? -EEXIST :
		    n + (size + EXTENT - 1) / EXTENT > extents ? -ENOSPC : 0;
		snprintf(c.name, sizeof(c.name), "%s", name);
		assert_int_equal(run_change(&c), want);
		if (want != 0)
			return;
		snprintf(m->name, sizeof(m->name), "%s", name);
		m->size = size;
		m->policy = policy;
		m->stamp = (uint8_t)(next_random(seed) % 254 + 1);
		assert_int_equal(reads_as(volume_blk(c.volume), 0, size, 0), 1);
		assert_int_equal(do_write(volume_blk(c.volume), 0, size,
		    m->stamp, 0), 0);
		return;
	}
	switch (next_random(seed) % 4) {
	case 0:
		grow = (m->size + size + EXTENT - 1) / EXTENT -
		    (m->size + EXTENT - 1) / EXTENT;
		want = n + grow > extents ? -ENOSPC : 0;
		assert_int_equal(do_grow(pool, m->name, m->size + size), want);
		if (want != 0)
			return;
		assert_int_equal(reads_as(volume_blk(pool_volume_by_name(pool,
		    m->name)), m->size, size, 0), 1);
		m->size += size;
		assert_int_equal(do_write(volume_blk(pool_volume_by_name(pool,
		    m->name)), m->size - size, size, m->stamp, 0), 0);
		return;
	case 1:
		want = other != NULL ? -EEXIST : 0;
		assert_int_equal(do_change(pool, POOL_VOLUME_RENAME, m->name,
		    name, 0, WRITE_THROUGH), want);
		if (want == 0)
			snprintf(m->name, sizeof(m->name), "%s", name);
		return;
	case 2:
		assert_int_equal(do_change(pool, POOL_VOLUME_SET, m->name,
		    NULL, 0, policy), 0);
		m->policy = policy;
		return;
	default:
		assert_int_equal(do_delete(pool, m->name), 0);
		m->size = 0;
		return;
	}
}

static void
compare_with_model(struct model *all)
{
	unsigned n = 0;
	struct pool_info info;

	for (struct volume *v = pool_volume_next(pool, NULL); v != NULL;
	    v = pool_volume_next(pool, v), n++) {
		struct volume_info vi;
		struct model *m;

		volume_get_info(v, &vi);
		m = model_by_name(all, vi.name);
		assert_non_null(m);
		assert_int_equal(m->size, vi.size);
		assert_int_equal(m->policy, vi.policy);
		assert_int_equal(reads_as(volume_blk(v), 0, vi.size, m->stamp),
		    1);
	}
	for (unsigned i = 0; i < MODELS; i++)
		n -= all[i].size > 0;
	assert_int_equal(n, 0);
	pool_get_info(pool, &info);
	assert_int_equal(info.used, model_extents(all) * EXTENT);
}

static void
thousand_random_changes_match_a_model(void **state)
{
	struct model all[MODELS];
	uint64_t seed = 4;
	unsigned fragments = 0;

	(void)state;
	memset(all, 0, sizeof(all));
	for (unsigned i = 1; i <= 1000; i++) {
		random_change(all, &seed);
		if (i % 50 != 0)
			continue;
		compare_with_model(all);
		reopen();
		compare_with_model(all);
		for (unsigned v = 0; v < pool->table.nvolumes; v++)
			fragments += pool->table.volumes[v].nruns - 1;
	}
	assert_true(fragments > 0);	/* it tried what it is meant to */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(new_pool_is_empty),
		T(create_is_there_after_reopening),
		T(new_extents_read_as_zeroes),
		T(reused_extents_read_as_zeroes),
		T(grow_within_the_last_extent_takes_none),
		T(grow_refuses_to_shrink),
		T(rename_keeps_object_and_uuid),
		T(set_changes_the_policy),
		T(delete_gives_the_space_back),
		T(names_are_unique),
		T(bad_names_are_refused),
		T(empty_volume_is_refused),
		T(full_pool_says_how_much_is_free),
		T(dry_run_changes_nothing),
		T(changes_started_together_are_serialized),
		T(failed_write_leaves_the_old_table),
		T(failed_change_that_cannot_be_undone_blocks_others),
		T(failed_zeroing_leaves_the_old_table),
		T(cancelled_zeroing_leaves_the_old_table),
		T(failed_flush_leaves_the_old_table),
		T(format_refuses_a_pool_without_force),
		T(format_refuses_bad_parameters),
		T(sizes_are_written_for_people),
		T(policies_have_names),
		T(thousand_random_changes_match_a_model),
	};

	log_set_level(LOG_L_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
