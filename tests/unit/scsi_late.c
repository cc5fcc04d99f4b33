/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A READ lends its buffer to a stack as dozod builds it, a cache over a volume
 * of two runs, and goes on with another one if the device keeps that.
 */
#include <stdio.h>

#include "block/cache.h"
#include "pool/pool.h"
#include "tests/unit/late.h"
#include "tests/unit/scsi_fix.h"

#define EXTENT (256 * KIB)

static struct fix *f;
static struct blk *ram, *cached;
static struct late late;
static struct pool *pool;
static struct cache *cache;
static struct scsi_lu *lu;
static uint8_t want[3 * EXTENT];

static void
make_pool(void)
{
	struct pool_format format = { .blk = &late.blk, .name = "p",
		.extent_bytes = EXTENT };
	struct pool_open open = { .loop = f->loop, .blk = &late.blk };

	pool_format_start(&format, NULL);
	loop_run_op(f->loop, &format.op);
	pool_open_start(&open, NULL);
	loop_run_op(f->loop, &open.op);
	pool = open.pool;
	assert_non_null(pool);
}

static void
change(enum pool_change_kind kind, const char *name, uint64_t size)
{
	struct pool_change c = { .pool = pool, .kind = kind, .size = size,
		.policy = WRITE_THROUGH, .thick = true,
		.volume = pool_volume_by_name(pool, name) };

	snprintf(c.name, sizeof(c.name), "%s", name);
	pool_change_start(&c, NULL);
	loop_run_op(f->loop, &c.op);
	assert_int_equal(c.err.code, 0);
}

/* One volume of three extents, of which two are neighbours. */
static struct volume *
make_volume(void)
{
	uint64_t first, second, at;
	struct volume *v;

	change(POOL_VOLUME_CREATE, "v", EXTENT);
	change(POOL_VOLUME_CREATE, "x", EXTENT);
	change(POOL_VOLUME_GROW, "v", 3 * EXTENT);
	v = pool_volume_by_name(pool, "v");
	for (first = 0; pool_volume_at(pool, first, &at) != v;)
		first += EXTENT / 2;
	second = first + EXTENT;
	assert_ptr_not_equal(pool_volume_at(pool, second, &at), v);
	for (unsigned i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i / 512 * 7 + i);
	assert_int_equal(do_io(volume_blk(v), IO_WRITE, 0, sizeof(want), want,
	    0), 0);
	return v;
}

static int
setup(void **state)
{
	struct scsi_lu_store store = { 0 };

	(void)fix_setup(state);
	f = *state;
	ram = blk_ram_new(f->loop, 32 * MIB, 512);
	late_init(&late, ram);
	make_pool();
	cache = cache_new(f->loop, CACHE_BYTES_MIN);
	cached = cache_blk_new(cache, volume_blk(make_volume()),
	    false);
	lu = scsi_lu_new(f->loop, cached, &f->params, &store);
	for (unsigned i = 0; i < NEXUSES; i++) {
		struct scsi_map_entry map = { .lun = 0, .lu = lu };

		scsi_nexus_set_map(f->nexus[i], &map, 1);
		f->nexus[i]->luns[0]->ua = 0;
	}
	return 0;
}

static int
teardown(void **state)
{
	struct cache_close close = { .blk = cached };
	struct pool_close end = { .pool = pool };

	for (unsigned i = 0; i < NEXUSES; i++)
		scsi_nexus_set_map(f->nexus[i], NULL, 0);
	scsi_lu_free(lu);
	cache_close_start(&close, NULL);
	loop_run_op(f->loop, &close.op);
	cache_free(cache);
	pool_close_start(&end, NULL);
	loop_run_op(f->loop, &end.op);
	assert_int_equal(end.err.code, 0);
	assert_int_equal(late.yard.open, 0);
	assert_int_equal(late.yard.ghosts, 0);
	blk_close(ram);
	return fix_teardown(state);
}

/* READ(10) of 128 blocks of 512 bytes. */
static void
read_64k(struct run *r, uint64_t lba)
{
	fix_run(f, r, A, CDB(0x28, 0, 0, 0, (uint8_t)(lba >> 8), (uint8_t)lba,
	    0, 0, 128), NULL, 0, 65536);
	expect_good(r);
	assert_int_equal(r->cmd.in_valid, 65536);
	assert_memory_equal(r->data, want + lba * 512, 65536);
}

static void
a_read_goes_on_with_another_buffer(void **state)
{
	static struct run r[2];

	(void)state;
	for (unsigned refuse = 0; refuse < 6; refuse++) {
		late.refuse = refuse;
		read_64k(&r[0], 64 + refuse);
		assert_int_equal(late.refuse, 0);
		assert_int_equal(late.yard.ghosts, refuse);
		assert_int_equal(late.yard.open, 0);
		late_wake(&late, NULL);
	}
}

/* Both parts of it are late, and once more one. */
static void
a_read_over_two_runs_needs_one_grave(void **state)
{
	static struct run r;

	(void)state;
	late.refuse = 3;
	read_64k(&r, EXTENT / 512 - 64);
	assert_int_equal(late.refuse, 0);
	assert_int_equal(late.yard.ghosts, 3);
	assert_int_equal(late.yard.open, 0);
	late_wake(&late, NULL);
}

/* What it wrote over is not what another command has now. */
static void
the_buffer_that_is_buried_is_not_used(void **state)
{
	static struct run r, held;
	static uint8_t zeroes[65536];

	(void)state;
	late.refuse = 1;
	read_64k(&r, 0);
	held.hold = true;
	fix_start(f, &held, A, CDB(0x2a, 0, 0, 0, 0, 200, 0, 0, 128), zeroes,
	    65536, 0);
	fix_turn(f);
	memset(held.held_buf->iov[0].iov_base, 0x77, 65536);
	late_wake(&late, NULL);
	for (unsigned i = 0; i < 65536; i++)
		assert_int_equal(((uint8_t *)held.held_buf->iov[0].iov_base)
		    [i], 0x77);
	fix_serve(&held);
	fix_finish(f, &held);
	expect_good(&held);
}

/* As an array would let it go. */
static void
let_all_go(void)
{
	late.hold = false;
	for (unsigned i = 0; i < late.n; i++) {
		struct io *io = late.read[i].io;

		assert_true((io->flags & IO_LENT) != 0);
		graveyard_enter(&late.yard);
		io->grave = grave_new(&late.yard);
		late.read[i].io = NULL;
		io_end(io, -ETIMEDOUT);
	}
}

static void
an_aborted_read_buries_its_buffer_too(void **state)
{
	static struct run r;

	(void)state;
	late.hold = true;
	fix_start(f, &r, A, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 128), NULL, 0,
	    65536);
	fix_turn(f);
	assert_int_equal(late.n, 1);
	scsi_cmd_abort(&r.cmd);
	let_all_go();
	fix_finish(f, &r);
	assert_int_equal(r.cmd.in_valid, 0);
	assert_int_equal(late.yard.open, 0);
	late_wake(&late, NULL);
}

/* Readers that wait for it read for themselves. */
static void
reading_ahead_is_given_up(void **state)
{
	static struct run r[2];

	(void)state;
	for (uint64_t lba = 0; lba < 3 * 128; lba += 128)
		read_64k(&r[0], lba);
	late.hold = true;
	for (unsigned i = 0; i < 2; i++)
		fix_start(f, &r[i], A, CDB(0x28, 0, 0, 0, (uint8_t)(i + 1),
		    i == 0 ? 0x80 : 0, 0, 0, 128), NULL, 0, 65536);
	fix_turn(f);
	/* The first reads itself and ahead, the second waits for that. */
	assert_int_equal(late.n, 2);
	let_all_go();
	for (unsigned i = 0; i < 2; i++) {
		fix_finish(f, &r[i]);
		expect_good(&r[i]);
		assert_memory_equal(r[i].data, want + (3 + i) * 65536, 65536);
	}
	assert_int_equal(late.yard.open, 0);
	late_wake(&late, NULL);
	for (uint64_t lba = 5 * 128; lba <= 11 * 128; lba += 128)
		read_64k(&r[0], lba);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_read_goes_on_with_another_buffer),
		TEST(a_read_over_two_runs_needs_one_grave),
		TEST(the_buffer_that_is_buried_is_not_used),
		TEST(an_aborted_read_buries_its_buffer_too),
		TEST(reading_ahead_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
