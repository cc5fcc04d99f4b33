/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cache over a fault injector over memory.  What happens under a random
 * load, crashes and power cuts is the simulator's, scenario "cache".
 */
#include "block/cache_priv.h"
#include "tests/unit/block_util.h"

#define SIZE (16 * MIB)
#define STRIPE (192 * KIB)

static struct loop *loop;
static struct blk *ram, *fault, *blk;
static struct cache *cache;

/* Counts what reaches the device. */
static struct tap {
	struct blk blk;
	unsigned n[IO_STATUS + 1];
	uint64_t longest;
	unsigned flags;		/* of the last */
	bool hold;		/* the next read of a stripe: done, not told */
	bool hold_write;	/* the next write at 0: not done */
	struct io *held;	/* io_end() is the test's */
} tap;

static void
tap_submit(struct blk *t, struct io *io)
{
	(void)t;
	tap.n[io->kind]++;
	tap.flags = io->flags;
	if (tap.hold && io->kind == IO_READ && io->len == STRIPE) {
		iov_from_buf(io->iov, io->niov, 0, blk_ram_data(ram) + io->off,
		    io->len);
		tap.held = io;
		tap.hold = false;
		return;
	}
	if (tap.hold_write && io->kind == IO_WRITE && io->off == 0) {
		tap.held = io;
		tap.hold_write = false;
		return;
	}
	if (io->kind == IO_WRITE)
		tap.longest = MAX(tap.longest, io->len);
	blk_forward(fault, io);
}

static const struct blk_ops tap_ops = { .type = "tap", .submit = tap_submit };

static void
cover(bool write_back)
{
	blk = cache_blk_new(cache, &tap.blk, write_back);
	assert_non_null(blk);
}

static int
uncover(void)
{
	struct cache_close close = { .blk = blk };

	cache_close_start(&close, NULL);
	loop_run_op(loop, &close.op);
	return close.result;
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new(NULL);
	ram = blk_ram_new(loop, SIZE, 512);
	fault = blk_fault_new(ram);
	tap = (struct tap){ .blk = { .ops = &tap_ops, .loop = loop,
	    .geo = ram->geo, .name = "tap" } };
	tap.blk.geo.optimal_io = STRIPE;
	cache = cache_new(loop, CACHE_BYTES_MIN);
	assert_non_null(cache);
	cover(true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	blk_fault_clear(fault);
	cache_map_check(cache);
	if (blk != NULL)
		assert_int_equal(uncover(), 0);
	cache_free(cache);
	blk_close(fault);
	loop_free(loop);
	return 0;
}

static void
add(enum fault_action action, enum io_kind kind, unsigned count)
{
	struct fault_rule rule = { .action = action, .err = EIO,
	    .kinds = 1u << kind, .count = count };

	assert_int_equal(blk_fault_add(fault, &rule), 0);
}

static struct cache_stats
stats(void)
{
	struct cache_stats s;

	cache_map_check(cache);
	cache_get_stats(cache, &s);
	return s;
}

static bool
stored(uint64_t off, uint64_t len, int byte)
{
	const uint8_t *data = blk_ram_data(ram) + off;

	for (uint64_t i = 0; i < len; i++)
		if (data[i] != (uint8_t)byte)
			return false;
	return true;
}

/* --- reading --- */

static void
what_was_read_is_in_memory(void **state)
{
	(void)state;
	memset(blk_ram_data(ram), 'a', SIZE);
	assert_int_equal(reads_as(blk, 8192, 8192, 'a'), 1);
	add(FAULT_ERROR, IO_READ, 0);
	assert_int_equal(reads_as(blk, 8192, 8192, 'a'), 1);
	assert_int_equal(reads_as(blk, 8704, 512, 'a'), 1);
	assert_int_equal(reads_as(blk, 4096, 8192, 'a'), -EIO);
	assert_int_equal(stats().hits, 2);
	assert_int_equal(stats().misses, 2);
	assert_int_equal(stats().used, 8192);
}

static void
sectors_of_a_page_are_known_apart(void **state)
{
	(void)state;
	memset(blk_ram_data(ram), 'a', SIZE);
	assert_int_equal(reads_as(blk, 512, 1024, 'a'), 1);
	assert_int_equal(do_write(blk, 3072, 512, 'b', 0), 0);
	add(FAULT_ERROR, IO_READ, 0);
	assert_int_equal(reads_as(blk, 512, 1024, 'a'), 1);
	assert_int_equal(reads_as(blk, 3072, 512, 'b'), 1);
	assert_int_equal(reads_as(blk, 0, 512, 'a'), -EIO);
	assert_int_equal(reads_as(blk, 2560, 1024, 'a'), -EIO);
}

static void
a_read_over_dirty_sectors_is_mixed(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 16384);

	(void)state;
	memset(blk_ram_data(ram), 'a', SIZE);
	assert_int_equal(do_write(blk, 4608, 4096, 'b', 0), 0);
	assert_int_equal(do_io(blk, IO_READ, 0, 16384, buf, 0), 0);
	for (unsigned i = 0; i < 16384; i++)
		assert_int_equal(buf[i], i >= 4608 && i < 8704 ? 'b' : 'a');
	assert_true(stored(0, 16384, 'a'));
	free(buf);
}

/* More than are looked up at a time, and in the order in which they came. */
static void
requests_of_one_turn_are_looked_up_together(void **state)
{
	enum { N = CACHE_LOOKS + 36 };
	static struct one_io write[N], read[N];
	uint8_t *buf = aligned_alloc(4096, 2 * N * 4096);

	(void)state;
	assert_non_null(buf);
	memset(blk_ram_data(ram), 'a', SIZE);
	memset(buf + N * 4096, 'e', N * 4096);
	for (unsigned i = 0; i < N; i++) {
		uint64_t off = i * 7 % N * 20480ull;

		memset(buf + i * 4096, (int)i, 4096);
		one_io_start(&write[i], blk, IO_WRITE, off, 4096,
		    buf + i * 4096, 0);
		one_io_start(&read[i], blk, IO_READ, off, 4096,
		    buf + (N + i) * 4096, 0);
	}
	for (unsigned i = 0; i < N; i++) {
		loop_run_op(loop, &write[i].op);
		loop_run_op(loop, &read[i].op);
		assert_int_equal(write[i].io.result, 0);
		assert_int_equal(read[i].io.result, 0);
	}
	assert_memory_equal(buf, buf + N * 4096, N * 4096);
	assert_int_equal(stats().hits, N);
	assert_int_equal(tap.n[IO_READ], 0);
	free(buf);
}

/* Used pages stay when four times the memory is read once. */
static void
a_scan_leaves_the_used_pages_alone(void **state)
{
	uint64_t hot = MIB;
	unsigned misses;

	(void)state;
	for (unsigned round = 0; round < 3; round++)
		for (uint64_t off = 0; off < hot; off += 4096)
			assert_int_equal(reads_as(blk, off, 4096, 0), 1);
	for (uint64_t off = hot; off < SIZE; off += 4096)
		assert_int_equal(reads_as(blk, off, 4096, 0), 1);
	for (uint64_t off = hot; off < SIZE; off += 8192) {
		assert_int_equal(do_write(blk, off, 4096, 'x', 0), 0);
		if (off % (512 * KIB) == 0)
			assert_int_equal(do_flush(blk), 0);
	}
	misses = (unsigned)stats().misses;
	for (uint64_t off = 0; off < hot; off += 4096)
		assert_int_equal(reads_as(blk, off, 4096, 0), 1);
	assert_int_equal(stats().misses, misses);
	assert_true(stats().evictions > 0);
}

static void
a_full_cache_learns_at_the_second_read(void **state)
{
	(void)state;
	for (uint64_t off = 0; off < SIZE / 2; off += 4096)
		assert_int_equal(reads_as(blk, off, 4096, 0), 1);
	assert_int_equal(reads_as(blk, SIZE / 2, 4096, 0), 1);
	assert_int_equal(reads_as(blk, SIZE / 2, 4096, 0), 1);
	add(FAULT_ERROR, IO_READ, 0);
	assert_int_equal(reads_as(blk, SIZE / 2, 4096, 0), 1);
}

/* A read under way while its sectors change must not be kept. */
static void
a_stale_read_is_not_kept(void **state)
{
	struct one_io one;
	uint8_t *buf = aligned_alloc(4096, 4096);

	(void)state;
	add(FAULT_DELAY, IO_READ, 1);
	one_io_start(&one, blk, IO_READ, 0, 4096, buf, 0);
	assert_int_equal(do_write(blk, 0, 4096, 'n', IO_FUA), 0);
	loop_run_op(loop, &one.op);
	assert_int_equal(reads_as(blk, 0, 4096, 'n'), 1);
	free(buf);
}

static void
add_slow_reads(void)
{
	struct fault_rule rule = { .action = FAULT_DELAY, .delay_ms = 2,
	    .kinds = 1u << IO_READ };

	assert_int_equal(blk_fault_add(fault, &rule), 0);
}

static void
a_stream_of_a_slow_device_is_read_ahead(void **state)
{
	unsigned misses;

	(void)state;
	memset(blk_ram_data(ram), 'a', SIZE);
	add_slow_reads();
	for (uint64_t off = 0; off < MIB; off += 65536)
		assert_int_equal(reads_as(blk, off, 65536, 'a'), 1);
	assert_true(stats().read_ahead >= MIB / 2);
	misses = (unsigned)stats().misses;
	assert_true(misses <= 6);
	for (uint64_t off = MIB; off < 4 * MIB; off += 65536)
		assert_int_equal(reads_as(blk, off, 65536, 'a'), 1);
	assert_int_equal(stats().misses, misses);
	assert_true(tap.n[IO_READ] < 4 * MIB / 65536 / 2);
}

static void
a_stream_of_a_fast_device_is_not(void **state)
{
	(void)state;
	for (uint64_t off = 0; off < SIZE; off += 65536)
		assert_int_equal(reads_as(blk, off, 65536, 0), 1);
	assert_true(stats().read_ahead <= 2 * AHEAD_PIECE);
}

/* What changes while it is read ahead is not kept as it was. */
static void
a_change_spoils_what_is_read_ahead(void **state)
{
	(void)state;
	cache_blk_set_write_back(blk, false);
	add_slow_reads();
	for (uint64_t off = 0; off < 512 * KIB; off += 65536)
		assert_int_equal(reads_as(blk, off, 65536, 0), 1);
	assert_int_equal(do_write(blk, 512 * KIB, 512 * KIB, 'n', 0), 0);
	for (uint64_t off = 512 * KIB; off < MIB; off += 65536)
		assert_int_equal(reads_as(blk, off, 65536, 'n'), 1);
}

/* A piece that cannot be read is the reader's error only. */
static void
an_error_ahead_is_told_to_who_reads_there(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
	    .kinds = 1u << IO_READ, .off = 640 * KIB, .len = 512 };

	(void)state;
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	add_slow_reads();
	for (uint64_t off = 0; off < MIB; off += 65536)
		assert_int_equal(reads_as(blk, off, 65536, 0),
		    off == 640 * KIB ? -EIO : 1);
}

/* --- writing through --- */

static void
a_write_through_changes_what_is_kept(void **state)
{
	(void)state;
	cache_blk_set_write_back(blk, false);
	assert_int_equal(reads_as(blk, 0, 16384, 0), 1);
	assert_int_equal(do_write(blk, 3584, 5120, 'w', 0), 0);
	assert_true(stored(3584, 5120, 'w'));
	add(FAULT_ERROR, IO_READ, 0);
	assert_int_equal(reads_as(blk, 3584, 5120, 'w'), 1);
	assert_int_equal(reads_as(blk, 0, 3584, 0), 1);
}

static void
a_failed_write_through_is_forgotten(void **state)
{
	(void)state;
	cache_blk_set_write_back(blk, false);
	assert_int_equal(reads_as(blk, 0, 4096, 0), 1);
	add(FAULT_TORN, IO_WRITE, 1);
	add(FAULT_ERROR, IO_WRITE, 1);
	assert_int_equal(do_write(blk, 0, 4096, 'w', 0), 0);	/* a lie */
	assert_int_equal(do_write(blk, 0, 4096, 'v', 0), -EIO);
	assert_int_equal(reads_as(blk, 0, 4096, 0), 1);	/* what is there */
}

static void
zero_and_discard_are_seen(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 0, 65536, 'd', 0), 0);
	assert_int_equal(do_io(blk, IO_ZERO, 512, 8192, NULL, 0), 0);
	assert_int_equal(reads_as(blk, 512, 8192, 0), 1);
	assert_int_equal(reads_as(blk, 0, 512, 'd'), 1);
	assert_int_equal(do_io(blk, IO_DISCARD, 0, SIZE, NULL, 0), 0);
	assert_int_equal(reads_as(blk, 0, 65536, 0), 1);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(0, 65536, 0));
}

/* --- writing back --- */

static void
a_write_back_is_complete_in_memory(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 512, 8192, 'w', 0), 0);
	assert_int_equal(tap.n[IO_WRITE], 0);
	assert_int_equal(reads_as(blk, 512, 8192, 'w'), 1);
	assert_int_equal(stats().dirty, 3 * 4096);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(512, 8192, 'w') && stored(0, 512, 0));
	assert_int_equal(tap.n[IO_FLUSH], 1);
	assert_int_equal(stats().dirty, 0);
	assert_int_equal(stats().written_back, 8192);
}

static void
no_more_write_back_writes_at_once(void **state)
{
	const struct fault_rule slow = { .action = FAULT_DELAY,
	    .kinds = 1u << IO_READ, .delay_ms = 100 };

	(void)state;
	assert_int_equal(do_write(blk, 0, 8192, 'w', 0), 0);
	cache_blk_set_write_back(blk, false);
	assert_int_equal(blk_fault_add(fault, &slow), 0);
	assert_int_equal(reads_as(blk, 1 * MIB, 4096, 0), 1);
	assert_true(stored(0, 8192, 'w'));
	assert_int_equal(stats().dirty, 0);
	assert_int_equal(do_write(blk, 0, 4096, 'v', 0), 0);
	assert_true(stored(0, 4096, 'v'));
}

static void
fua_reaches_the_device(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 0, 8192, 'w', 0), 0);
	assert_int_equal(do_write(blk, 4096, 8192, 'f', IO_FUA), 0);
	assert_true((tap.flags & IO_FUA) != 0);
	assert_true(stored(4096, 8192, 'f'));
	assert_int_equal(reads_as(blk, 4096, 8192, 'f'), 1);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(4096, 8192, 'f') && stored(0, 4096, 'w'));
}

/* In any order and size, a dirty stripe goes out as one write. */
static void
a_dirty_stripe_is_one_write(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STRIPE / 4096; i++)
		assert_int_equal(do_write(blk, STRIPE + 4096 * (i * 11 % 48),
		    4096, 's', 0), 0);
	assert_int_equal(do_flush(blk), 0);
	assert_int_equal(tap.n[IO_WRITE], 1);
	assert_int_equal(tap.longest, STRIPE);
	assert_true(stored(STRIPE, STRIPE, 's'));
}

/* Dirty here and there: what lies between is read, the stripe written whole. */
static void
a_stripe_dirty_in_places_is_made_whole(void **state)
{
	(void)state;
	memset(blk_ram_data(ram), 'o', SIZE);
	for (unsigned i = 0; i < STRIPE / 4096; i += 3)
		assert_int_equal(do_write(blk, STRIPE + 4096 * i + 512, 1024,
		    's', 0), 0);
	assert_int_equal(do_flush(blk), 0);
	assert_int_equal(tap.n[IO_READ], 1);
	assert_int_equal(tap.n[IO_WRITE], 1);
	assert_int_equal(tap.longest, STRIPE);
	for (unsigned i = 0; i < STRIPE / 4096; i++) {
		uint64_t off = STRIPE + 4096 * i;

		assert_true(stored(off, 512, 'o'));
		assert_true(stored(off + 512, 1024, i % 3 ? 'o' : 's'));
		assert_true(stored(off + 1536, 2560, 'o'));
	}
	/* All in memory: nothing to read. */
	assert_int_equal(reads_as(blk, 2 * STRIPE, STRIPE, 'o'), 1);
	for (unsigned i = 0; i < STRIPE / 4096; i += 2)
		assert_int_equal(do_write(blk, 2 * STRIPE + 4096 * i, 4096,
		    't', 0), 0);
	tap.n[IO_READ] = tap.n[IO_WRITE] = 0;
	assert_int_equal(do_flush(blk), 0);
	assert_int_equal(tap.n[IO_READ], 0);
	assert_int_equal(tap.n[IO_WRITE], 1);
	for (unsigned i = 0; i < STRIPE / 4096; i++)
		assert_true(stored(2 * STRIPE + 4096 * i, 4096,
		    i % 2 ? 'o' : 't'));
}

/* It cannot be read: then each place is written on its own. */
static void
a_stripe_that_cannot_be_read_is_written_in_places(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i += 2)
		assert_int_equal(do_write(blk, STRIPE + 4096 * i, 4096, 's',
		    0), 0);
	add(FAULT_ERROR, IO_READ, 0);
	assert_int_equal(do_flush(blk), 0);
	assert_int_equal(tap.n[IO_WRITE], 10);
	for (unsigned i = 0; i < 20; i++)
		assert_true(stored(STRIPE + 4096 * i, 4096, i % 2 ? 0 : 's'));
}

static void
a_failed_write_back_is_told_and_tried_again(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 0, 4096, 'w', 0), 0);
	add(FAULT_ERROR, IO_WRITE, 1);
	assert_int_equal(do_flush(blk), -EIO);
	assert_int_equal(reads_as(blk, 0, 4096, 'w'), 1);
	assert_int_equal(stats().dirty, 4096);
	assert_int_equal(stats().write_errors, 1);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(0, 4096, 'w'));
}

/* While it cannot be written, memory acknowledges nothing more. */
static void
after_a_failed_write_back_writes_are_through(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 0, 4096, 'w', 0), 0);
	add(FAULT_ERROR, IO_WRITE, 0);
	assert_int_equal(do_flush(blk), -EIO);
	assert_int_equal(do_write(blk, 65536, 4096, 'x', 0), -EIO);
	assert_int_equal(do_write(blk, 0, 4096, 'x', 0), -EIO);
	blk_fault_clear(fault);
	assert_int_equal(do_write(blk, 65536, 4096, 'y', 0), 0);
	assert_true(stored(65536, 4096, 'y'));
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(0, 4096, 'w'));
}

static void
a_failed_flush_of_the_device_is_told(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 0, 4096, 'w', 0), 0);
	add(FAULT_ERROR, IO_FLUSH, 1);
	assert_int_equal(do_flush(blk), -EIO);
	assert_int_equal(do_flush(blk), 0);
}

/* More than memory holds, while the device stands still: it waits. */
static void
writes_wait_for_room(void **state)
{
	struct one_io *one = calloc(16, sizeof(*one));
	uint8_t *buf = aligned_alloc(4096, MIB);
	unsigned done = 0;

	(void)state;
	memset(buf, 'p', MIB);
	add(FAULT_STALL, IO_WRITE, 0);
	for (unsigned i = 0; i < 16; i++)
		one_io_start(&one[i], blk, IO_WRITE, i * MIB, MIB, buf, 0);
	assert_int_equal(reads_as(blk, 0, 4096, 'p'), 1);
	for (unsigned i = 0; i < 16; i++)
		done += one[i].op.ended;
	assert_true(done >= 1 && done <= 3);
	assert_true(stats().dirty <= CACHE_BYTES_MIN / 4 * 3);
	blk_fault_clear(fault);
	for (unsigned i = 0; i < 16; i++) {
		loop_run_op(loop, &one[i].op);
		assert_int_equal(one[i].io.result, 0);
	}
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(0, SIZE, 'p'));
	free(buf);
	free(one);
}

/* A page that is being written does not change under the device. */
static void
a_write_to_a_page_on_its_way_takes_a_copy(void **state)
{
	struct one_io flush;

	(void)state;
	assert_int_equal(do_write(blk, 0, 4096, 'a', 0), 0);
	add(FAULT_STALL, IO_WRITE, 1);
	one_io_start(&flush, blk, IO_FLUSH, 0, 0, NULL, 0);
	while (tap.n[IO_WRITE] == 0)
		assert_int_equal(reads_as(blk, 0, 4096, 'a'), 1);
	assert_int_equal(do_write(blk, 512, 512, 'b', 0), 0);
	assert_int_equal(reads_as(blk, 512, 512, 'b'), 1);
	assert_int_equal(reads_as(blk, 0, 512, 'a'), 1);
	blk_fault_clear(fault);
	loop_run_op(loop, &flush.op);
	assert_true(stored(0, 4096, 'a'));
	assert_int_equal(reads_as(blk, 512, 512, 'b'), 1);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(512, 512, 'b') && stored(1024, 3072, 'a'));
}

/* --- memory --- */

static void
a_lower_limit_gives_memory_back(void **state)
{
	(void)state;
	for (uint64_t off = 0; off < CACHE_BYTES_MIN; off += 4096)
		assert_int_equal(reads_as(blk, off, 4096, 0), 1);
	assert_int_equal(stats().used, CACHE_BYTES_MIN);
	assert_int_equal(do_write(blk, 0, 4096, 'd', 0), 0);
	cache_set_limit(cache, CACHE_BYTES_MIN / 2);
	assert_true(stats().used <= CACHE_BYTES_MIN / 2 + 4096);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stats().used <= CACHE_BYTES_MIN / 2);
	assert_true(stored(0, 4096, 'd'));
	cache_set_limit(cache, CACHE_BYTES_MIN);
	for (uint64_t off = 0; off < CACHE_BYTES_MIN; off += 4096)
		assert_int_equal(do_write(blk, off, 4096, 'e', 0), 0);
	assert_int_equal(do_flush(blk), 0);
	assert_true(stored(0, CACHE_BYTES_MIN, 'e'));
}

static void
closing_writes_all(void **state)
{
	(void)state;
	assert_int_equal(do_write(blk, 0, MIB, 'c', 0), 0);
	assert_int_equal(uncover(), 0);
	assert_true(stored(0, MIB, 'c'));
	assert_int_equal(stats().used, 0);
	blk = NULL;
}

static void
closing_tells_what_is_lost(void **state)
{
	struct cache_close close = { .blk = blk };

	(void)state;
	assert_int_equal(do_write(blk, 0, 8192, 'c', 0), 0);
	add(FAULT_ERROR, IO_WRITE, 0);
	cache_close_start(&close, NULL);
	loop_run_op(loop, &close.op);
	assert_int_equal(close.result, -EIO);
	assert_int_equal(close.lost_bytes, 8192);
	assert_int_equal(stats().used, 0);
	blk = NULL;
}

static void
devices_do_not_share_data(void **state)
{
	struct blk *other = cache_blk_new(cache, ram, true);
	struct cache_close close = { .blk = other };

	(void)state;
	assert_int_equal(do_write(blk, 0, 4096, 'a', 0), 0);
	assert_int_equal(reads_as(other, 0, 4096, 0), 1);
	cache_close_start(&close, NULL);
	loop_run_op(loop, &close.op);
	assert_int_equal(reads_as(blk, 0, 4096, 'a'), 1);
}

/* So that a stripe is made whole; the read for that is held. */
static void
dirty_in_places(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(do_write(blk, STRIPE + 8192 * i, 4096, 's',
		    0), 0);
	tap.hold = true;
}

static void
a_fill_does_not_undo_a_later_write(void **state)
{
	struct one_io flush, again;

	(void)state;
	memset(blk_ram_data(ram), 'o', SIZE);
	dirty_in_places(8);
	one_io_start(&flush, blk, IO_FLUSH, 0, 0, NULL, 0);
	while (tap.held == NULL)
		assert_int_equal(reads_as(blk, 0, 512, 'o'), 1);
	/* Another group of the same stripe. */
	assert_int_equal(do_write(blk, STRIPE + 65536, 4096, 'n', 0), 0);
	one_io_start(&again, blk, IO_FLUSH, 0, 0, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		(void)reads_as(blk, 8 * MIB + i * 4096, 4096, 'o');
	io_end(tap.held, 0);
	loop_run_op(loop, &flush.op);
	loop_run_op(loop, &again.op);
	assert_int_equal(flush.io.result, 0);
	assert_int_equal(again.io.result, 0);
	assert_int_equal(stats().dirty, 0);
	assert_int_equal(reads_as(blk, STRIPE + 65536, 4096, 'n'), 1);
	assert_true(stored(STRIPE + 65536, 4096, 'n'));
}

/* A volume grows into extents that are not on its stripes. */
static void
a_fill_writes_all_although_the_stripes_end(void **state)
{
	struct one_io flush;

	(void)state;
	memset(blk_ram_data(ram), 'o', SIZE);
	dirty_in_places(9);
	one_io_start(&flush, blk, IO_FLUSH, 0, 0, NULL, 0);
	while (tap.held == NULL)
		assert_int_equal(reads_as(blk, 0, 512, 'o'), 1);
	tap.blk.geo.optimal_io = 0;
	cache_blk_refresh(blk);
	io_end(tap.held, 0);
	loop_run_op(loop, &flush.op);
	assert_int_equal(flush.io.result, 0);
	assert_int_equal(stats().dirty, 0);
	for (unsigned i = 0; i < 9; i++)
		assert_true(stored(STRIPE + 8192 * i, 4096, 's'));
}

static void
a_fill_does_not_undo_an_earlier_write(void **state)
{
	const struct fault_rule slow = { .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .off = STRIPE + 65536, .len = 4096,
	    .delay_ms = 100, .count = 1 };
	struct one_io flush, again;

	(void)state;
	memset(blk_ram_data(ram), 'o', SIZE);
	assert_int_equal(do_write(blk, STRIPE + 65536, 4096, 'n', 0), 0);
	assert_int_equal(blk_fault_add(fault, &slow), 0);
	one_io_start(&flush, blk, IO_FLUSH, 0, 0, NULL, 0);
	while (tap.n[IO_WRITE] == 0)
		assert_int_equal(reads_as(blk, 0, 512, 'o'), 1);
	dirty_in_places(8);
	one_io_start(&again, blk, IO_FLUSH, 0, 0, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		(void)reads_as(blk, 8 * MIB + i * 4096, 4096, 'o');
	loop_run_op(loop, &flush.op);
	assert_true(stored(STRIPE + 65536, 4096, 'n'));
	tap.hold = false;
	if (tap.held != NULL)
		io_end(tap.held, 0);
	loop_run_op(loop, &again.op);
	assert_int_equal(flush.io.result, 0);
	assert_int_equal(again.io.result, 0);
	assert_int_equal(stats().dirty, 0);
	assert_true(stored(STRIPE + 65536, 4096, 'n'));
}

/* While it closes, a group whose write failed is not tried once more. */
static void
closing_waits_for_a_second_try(void **state)
{
	const struct fault_rule slow = { .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .off = STRIPE, .len = SIZE - STRIPE,
	    .delay_ms = 100 };
	const struct fault_rule slower = { .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .off = 0, .len = STRIPE,
	    .delay_ms = 400 };
	struct cache_close close = { .blk = blk };

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(do_write(blk, i * STRIPE, STRIPE, 'a', 0), 0);
	assert_int_equal(blk_fault_add(fault, &slow), 0);
	assert_int_equal(blk_fault_add(fault, &slower), 0);
	tap.hold_write = true;
	cache_close_start(&close, NULL);
	while (tap.held == NULL || tap.n[IO_WRITE] < 10)
		(void)reads_as(fault, 8 * MIB, 4096, 0);
	io_end(tap.held, -EIO);
	(void)reads_as(fault, 8 * MIB, 4096, 0);
	cache_set_limit(cache, CACHE_BYTES_MIN / 2);
	loop_run_op(loop, &close.op);
	blk = NULL;
	assert_int_equal(close.result, -EIO);
	assert_int_equal(close.lost_bytes, STRIPE);
	for (unsigned i = 0; i < 100; i++)
		(void)reads_as(fault, 8 * MIB, 4096, 0);
}

static void
a_slow_close_does_not_meet_the_clock(void **state)
{
	const struct fault_rule slow = { .action = FAULT_DELAY,
	    .kinds = 1u << IO_WRITE, .off = STRIPE, .len = STRIPE,
	    .delay_ms = CACHE_FLUSH_MS + 200 };
	const struct fault_rule second = { .action = FAULT_DELAY,
	    .kinds = 1u << IO_FLUSH, .skip = 1, .count = 1,
	    .delay_ms = 200 };

	(void)state;
	assert_int_equal(do_write(blk, 0, 4096, 'a', 0), 0);
	assert_int_equal(do_write(blk, STRIPE, 4096, 'b', 0), 0);
	assert_int_equal(blk_fault_add(fault, &slow), 0);
	assert_int_equal(blk_fault_add(fault, &second), 0);
	assert_int_equal(uncover(), 0);
	blk = NULL;
	/* Let the other flush come back. */
	blk_fault_clear(fault);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(reads_as(fault, 0, 4096, 'a'), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_read_is_in_memory),
		TEST(sectors_of_a_page_are_known_apart),
		TEST(a_read_over_dirty_sectors_is_mixed),
		TEST(requests_of_one_turn_are_looked_up_together),
		TEST(a_scan_leaves_the_used_pages_alone),
		TEST(a_full_cache_learns_at_the_second_read),
		TEST(a_stale_read_is_not_kept),
		TEST(a_stream_of_a_slow_device_is_read_ahead),
		TEST(a_stream_of_a_fast_device_is_not),
		TEST(a_change_spoils_what_is_read_ahead),
		TEST(an_error_ahead_is_told_to_who_reads_there),
		TEST(a_write_through_changes_what_is_kept),
		TEST(a_failed_write_through_is_forgotten),
		TEST(zero_and_discard_are_seen),
		TEST(a_write_back_is_complete_in_memory),
		TEST(no_more_write_back_writes_at_once),
		TEST(fua_reaches_the_device),
		TEST(a_dirty_stripe_is_one_write),
		TEST(a_stripe_dirty_in_places_is_made_whole),
		TEST(a_fill_does_not_undo_a_later_write),
		TEST(a_fill_does_not_undo_an_earlier_write),
		TEST(a_fill_writes_all_although_the_stripes_end),
		TEST(closing_waits_for_a_second_try),
		TEST(a_slow_close_does_not_meet_the_clock),
		TEST(a_stripe_that_cannot_be_read_is_written_in_places),
		TEST(a_failed_write_back_is_told_and_tried_again),
		TEST(after_a_failed_write_back_writes_are_through),
		TEST(a_failed_flush_of_the_device_is_told),
		TEST(writes_wait_for_room),
		TEST(a_write_to_a_page_on_its_way_takes_a_copy),
		TEST(a_lower_limit_gives_memory_back),
		TEST(closing_writes_all),
		TEST(closing_tells_what_is_lost),
		TEST(devices_do_not_share_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
