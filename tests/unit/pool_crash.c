/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The power goes at every request of every kind of change: clean, torn at
 * several lengths, with and without a volatile cache below.  After each cut
 * the pool opens with the old or the new table; a change that was reported
 * done is there.
 */
#include "tests/unit/pool_util.h"

#define SIZE (9 * MIB)
#define EXTENT (256 * KIB)

static struct loop *loop;
static struct blk *ram, *fault;
static struct cutter cutter;
static uint8_t *image;			/* the disk before the change */
static unsigned long cuts;

struct scenario {
	const char *name;
	enum pool_change_kind kind;
	const char *volume, *to;
	uint64_t size;
	enum write_policy policy;
	const char *after;
};

/* Enough volumes for a table of several sectors, so that it can tear. */
#define A_B "a:524288:writethrough b:262144:writethrough "
#define F(n) "f" #n ":4096:writethrough "
#define FILL F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#define BEFORE A_B FILL

static const struct scenario scenarios[] = {
	{ "create", POOL_VOLUME_CREATE, NULL, "c", 2 * EXTENT, WRITE_BACK,
	    A_B "c:524288:writeback " FILL },
	{ "grow", POOL_VOLUME_GROW, "a", NULL, 4 * EXTENT, WRITE_THROUGH,
	    "a:1048576:writethrough b:262144:writethrough " FILL },
	{ "rename", POOL_VOLUME_RENAME, "a", "z", 0, WRITE_THROUGH,
	    "b:262144:writethrough " FILL "z:524288:writethrough " },
	{ "delete", POOL_VOLUME_DELETE, "a", NULL, 0, WRITE_THROUGH,
	    "b:262144:writethrough " FILL },
	{ "set", POOL_VOLUME_SET, "b", NULL, 0, WRITE_DURABLE,
	    "a:524288:writethrough b:262144:durable " FILL },
};

static int
setup(void **state)
{
	struct pool *pool;

	(void)state;
	loop = loop_new(NULL);
	ram = blk_ram_new(loop, SIZE, 512);
	fault = blk_fault_new(ram);
	image = malloc(SIZE);
	assert_non_null(image);
	memset(blk_ram_data(ram), 0xaa, SIZE);
	do_format(ram, "tank", EXTENT);
	pool = do_open(ram);
	/* A hole in front, so that grow makes a second run. */
	assert_int_equal(do_create(pool, "x", EXTENT), 0);
	assert_int_equal(do_create(pool, "a", 2 * EXTENT), 0);
	assert_int_equal(do_create(pool, "b", EXTENT), 0);
	assert_int_equal(do_write(volume_blk(pool_volume_by_name(pool, "b")), 0,
	    EXTENT, 'b', 0), 0);
	for (char name[] = "f0"; name[1] < '8'; name[1]++)
		assert_int_equal(do_create(pool, name, 4096), 0);
	assert_int_equal(do_delete(pool, "x"), 0);
	assert_int_equal(do_close(pool), 0);
	memcpy(image, blk_ram_data(ram), SIZE);
	cuts = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	print_message("%lu power cuts\n", cuts);
	assert_true(cuts > 0);
	blk_close(fault);
	loop_free(loop);
	free(image);
	return 0;
}

static int
carry_out(struct pool *pool, const struct scenario *s)
{
	struct pool_change c = { .pool = pool, .kind = s->kind,
		.size = s->size, .policy = s->policy };

	if (s->volume != NULL)
		c.volume = pool_volume_by_name(pool, s->volume);
	if (s->to != NULL)
		snprintf(c.name, sizeof(c.name), "%s", s->to);
	return run_change(&c);
}

/* What a reopened pool must be, whichever table it has. */
static void
inspect(const struct scenario *s, bool done)
{
	char text[512];
	struct pool *pool = do_open(fault);
	struct volume *v;

	dump(pool, text, sizeof(text));
	if (strcmp(text, BEFORE) == 0)
		assert_false(done);
	else
		assert_string_equal(text, s->after);
	assert_int_equal(reads_as(volume_blk(pool_volume_by_name(pool, "b")),
	    0, EXTENT, 'b'), 1);
	v = pool_volume_by_name(pool, "c");
	if (v != NULL)
		assert_int_equal(reads_as(volume_blk(v), 0, 2 * EXTENT, 0), 1);
	v = pool_volume_by_name(pool, "a");
	if (v != NULL)
		assert_int_equal(reads_as(volume_blk(v), 0, v->rec.size, 0),
		    1);
	/* And it can be changed again. */
	assert_int_equal(do_create(pool, "again", EXTENT), 0);
	assert_int_equal(do_close(pool), 0);
}

/* Cut at request n.  True if the change got through before. */
static bool
cut_at(const struct scenario *s, unsigned n, uint64_t torn, bool cache,
    uint64_t seed)
{
	struct pool *pool;
	int result;

	memcpy(blk_ram_data(ram), image, SIZE);
	blk_fault_volatile_cache(fault, cache);
	cutter_init(&cutter, fault, ram);
	pool = do_open(&cutter.blk);
	cutter.left = n;
	cutter.torn = torn;
	result = carry_out(pool, s);
	blk_fault_power_cut(fault, seed);
	do_close(pool);			/* fails, but frees */
	blk_fault_power_on(fault);
	blk_fault_volatile_cache(fault, false);
	inspect(s, result == 0);
	cuts++;
	return !cutter.dead || result == 0;
}

static void
sweep(const struct scenario *s, bool cache)
{
	static const uint64_t torn[] = { 0, 512, 1024 };

	for (unsigned t = 0; t < nitems(torn); t++) {
		for (uint64_t seed = 0; seed < (cache ? 4u : 1u); seed++) {
			unsigned n = 0;

			while (!cut_at(s, n, torn[t], cache, seed))
				n++;
			assert_true(n >= 1);
		}
	}
}

static void
every_cut_leaves_old_or_new(void **state)
{
	(void)state;
	for (unsigned i = 0; i < nitems(scenarios); i++)
		sweep(&scenarios[i], false);
}

static void
every_cut_with_a_volatile_cache_leaves_old_or_new(void **state)
{
	(void)state;
	for (unsigned i = 0; i < nitems(scenarios); i++)
		sweep(&scenarios[i], true);
}

static void
every_cut_of_format_leaves_a_pool_or_none(void **state)
{
	struct pool_format f;
	struct err err;
	bool whole = false;

	(void)state;
	for (unsigned n = 0; !whole; n++) {
		struct pool *pool;

		memset(blk_ram_data(ram), 0, SIZE);
		cutter_init(&cutter, ram, ram);
		cutter.left = n;
		run_format(&f, &cutter.blk, "new", EXTENT, false);
		whole = f.err.code == 0;
		assert_true(whole == !cutter.dead);
		pool = try_open(ram, &err);
		assert_true(pool != NULL || (!whole && err.code == ENOENT));
		if (pool != NULL) {
			assert_int_equal(pool->table.nvolumes, 0);
			assert_int_equal(do_close(pool), 0);
		}
		cuts++;
	}
}

/* A cut while formatting over a pool must not mix the two. */
static void
every_cut_of_forced_format_leaves_one_pool_or_none(void **state)
{
	struct pool_format f;
	struct err err;
	char text[512];

	(void)state;
	for (unsigned n = 0; n == 0 || f.err.code != 0; n++) {
		struct pool *pool;

		memcpy(blk_ram_data(ram), image, SIZE);
		cutter_init(&cutter, ram, ram);
		cutter.left = n;
		run_format(&f, &cutter.blk, "new", EXTENT, true);
		pool = try_open(ram, &err);
		if (pool != NULL) {
			dump(pool, text, sizeof(text));
			assert_string_equal(text,
			    strcmp(pool->label.name, "new") == 0 ? "" : BEFORE);
			assert_int_equal(do_close(pool), 0);
		} else {
			assert_int_equal(err.code, ENOENT);
		}
		cuts++;
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_cut_leaves_old_or_new),
		T(every_cut_with_a_volatile_cache_leaves_old_or_new),
		T(every_cut_of_format_leaves_a_pool_or_none),
		T(every_cut_of_forced_format_leaves_one_pool_or_none),
	};

	log_set_level(LOG_L_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
