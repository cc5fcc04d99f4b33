/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffers, scatter lists, wire cursors, errors. */
#include "core/buf.h"
#include "core/err.h"
#include "core/grave.h"
#include "core/io.h"
#include "core/wire.h"
#include "tests/unit/unit.h"

static void
buffer_has_asked_length_in_aligned_pieces(void **state)
{
	struct buf_pool *pool = buf_pool_new(4, 8);
	struct buf buf = { 0 };

	(void)state;
	assert_true(buf_try_reserve(&buf, pool, 3 * BUF_LARGE + 512));
	assert_int_equal(buf.niov, 4);
	assert_int_equal(iov_len(buf.iov, buf.niov), 3 * BUF_LARGE + 512);
	for (unsigned i = 0; i < buf.niov; i++)
		assert_int_equal((uintptr_t)buf.iov[i].iov_base % 4096, 0);
	buf_release(&buf);
	buf_release(&buf);
	buf_pool_free(pool);
}

static void
small_buffers_overflow_into_large_pieces(void **state)
{
	struct buf_pool *pool = buf_pool_new(1, 1);
	struct buf a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	assert_true(buf_try_reserve(&a, pool, 512));
	assert_true(buf_try_reserve(&b, pool, 512));
	assert_false(buf_try_reserve(&c, pool, 512));
	buf_release(&b);
	buf_release(&a);
	buf_pool_free(pool);
}

struct taker {
	struct op op;
	struct buf buf;
	struct buf_pool *pool;
	size_t len;
};

static void
taker_run(struct op *op)
{
	struct taker *t = op_owner(op, struct taker);

	if (op->step++ == 0)
		buf_reserve(&t->buf, t->pool, t->len, op);
	else
		op_end(op);
}
static const struct op_type taker_type = { .name = "taker",
    .run = taker_run };

static void
short_pool_parks_and_serves_in_order(void **state)
{
	struct buf_pool *pool = buf_pool_new(0, 4);
	struct taker t[3] = { { .len = 4 * BUF_LARGE },
	    { .len = 3 * BUF_LARGE }, { .len = 512 } };
	struct buf_pool_stats stats;
	struct op_sched sched;

	(void)state;
	op_sched_init(&sched);
	for (int i = 0; i < 3; i++) {
		t[i].pool = pool;
		op_start(&t[i].op, &taker_type, &sched, NULL);
	}
	op_sched_run(&sched);
	assert_true(t[0].op.ended);
	assert_false(t[1].op.ended);
	buf_pool_get_stats(pool, &stats);
	assert_int_equal(stats.waiting, 2);
	buf_release(&t[0].buf);
	op_sched_run(&sched);
	assert_true(t[1].op.ended && t[2].op.ended);
	assert_int_equal(t[1].buf.niov, 3);
	buf_release(&t[1].buf);
	buf_release(&t[2].buf);
	buf_pool_free(pool);
}

static void
give_moves_ownership(void **state)
{
	struct buf_pool *pool = buf_pool_new(1, 1);
	struct buf a = { 0 }, b = { 0 };

	(void)state;
	assert_true(buf_try_reserve(&a, pool, 4096));
	buf_give(&b, &a);
	assert_null(a.pool);
	assert_int_equal(b.len, 4096);
	buf_release(&b);
	buf_pool_free(pool);
}

/* Memory that must not be used again, and a pool that is not smaller. */
static void
an_exile_is_replaced_and_comes_back(void **state)
{
	struct buf_pool *pool = buf_pool_new(2, 4);
	struct buf a = { 0 }, s = { 0 }, all = { 0 };
	struct graveyard yard;
	void *old[4], *was;

	(void)state;
	graveyard_init(&yard);
	graveyard_enter(&yard);
	for (unsigned round = 0; round < 3; round++) {
		struct grave *big = grave_new(&yard), *small;

		small = grave_new(&yard);
		assert_true(buf_try_reserve(&a, pool, 4 * BUF_LARGE - 512));
		assert_true(buf_try_reserve(&s, pool, 512));
		for (unsigned i = 0; i < 4; i++)
			old[i] = a.iov[i].iov_base;
		was = s.iov[0].iov_base;
		assert_true(buf_exile(&big->buf, &a));
		assert_true(buf_exile(&small->buf, &s));
		assert_int_equal(iov_len(a.iov, a.niov), 4 * BUF_LARGE - 512);
		for (unsigned i = 0; i < 4; i++) {
			assert_ptr_equal(big->buf.iov[i].iov_base, old[i]);
			assert_ptr_not_equal(a.iov[i].iov_base, old[i]);
			memset(a.iov[i].iov_base, 1, a.iov[i].iov_len);
		}
		assert_ptr_not_equal(s.iov[0].iov_base, was);
		memset(s.iov[0].iov_base, 1, 4096);
		grave_close(big);
		grave_close(small);
		assert_int_equal(yard.open, 0);
		buf_release(&a);
		buf_release(&s);
		/* As many as ever, and none of the exiles. */
		assert_true(buf_try_reserve(&all, pool, 4 * BUF_LARGE));
		for (unsigned i = 0; i < 16; i++)
			assert_ptr_not_equal(all.iov[i / 4].iov_base,
			    old[i % 4]);
		assert_false(buf_try_reserve(&a, pool, BUF_LARGE));
		buf_release(&all);
		assert_true(graveyard_leave(&yard));
		graveyard_enter(&yard);
	}
	graveyard_enter(&yard);
	assert_false(graveyard_leave(&yard));
	assert_true(graveyard_leave(&yard));
	buf_pool_free(pool);
}

static void
no_more_is_replaced_than_there_is(void **state)
{
	struct buf_pool *pool = buf_pool_new(2, 4);
	struct buf a = { 0 }, gone[2] = { { 0 }, { 0 } };

	(void)state;
	assert_true(buf_try_reserve(&a, pool, 3 * BUF_LARGE));
	assert_true(buf_exile(&gone[0], &a));
	assert_false(buf_exile(&gone[1], &a));
	assert_null(a.pool);
	assert_false(buf_try_reserve(&a, pool, 3 * BUF_LARGE));
	buf_release(&gone[0]);
	assert_false(buf_try_reserve(&a, pool, 3 * BUF_LARGE));
	buf_release(&gone[1]);
	assert_true(buf_try_reserve(&a, pool, 3 * BUF_LARGE));
	buf_release(&a);
	buf_pool_free(pool);
}

static void
an_exile_outlives_its_pool(void **state)
{
	struct buf_pool *pool = buf_pool_new(2, 4);
	struct buf a = { 0 }, gone = { 0 };

	(void)state;
	assert_true(buf_try_reserve(&a, pool, 3 * BUF_LARGE));
	assert_true(buf_exile(&gone, &a));
	buf_release(&a);
	buf_pool_free(pool);
	memset(gone.iov[2].iov_base, 1, BUF_LARGE);
	buf_release(&gone);
}

static void
a_grave_without_a_ghost_is_empty_at_once(void **state)
{
	struct buf_pool *pool = buf_pool_new(1, 1);
	struct graveyard yard;
	struct grave *grave;

	(void)state;
	graveyard_init(&yard);
	graveyard_enter(&yard);
	grave = grave_new(&yard);
	grave->mem = malloc(100);
	assert_true(buf_try_reserve(&grave->buf, pool, 4096));
	assert_true(graveyard_leave(&yard));	/* before it was filled */
	assert_int_equal(yard.open, 1);
	grave_close(grave);
	grave_close(grave_new(&yard));
	assert_int_equal(yard.open, 0);
	buf_pool_free(pool);			/* asserts that all is there */
}

static void
slices_and_copies_agree_with_a_flat_buffer(void **state)
{
	uint8_t flat[64], a[10], b[20], c[34], out[64];
	struct iovec iov[] = { { a, 10 }, { b, 20 }, { c, 34 } }, part[3];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		flat[i] = (uint8_t)i;
	iov_from_buf(iov, 3, 0, flat, 64);
	for (size_t off = 0; off < 64; off++)
		for (size_t len = 1; off + len <= 64; len++) {
			unsigned n = iov_slice(part, 3, iov, 3, off, len);

			assert_int_equal(iov_len(part, n), len);
			iov_to_buf(part, n, 0, out, len);
			assert_memory_equal(out, flat + off, len);
			iov_to_buf(iov, 3, off, out, len);
			assert_memory_equal(out, flat + off, len);
		}
	iov_zero(iov, 3, 9, 2);
	assert_int_equal(a[8], 8);
	assert_int_equal(a[9], 0);
	assert_int_equal(b[0], 0);
	assert_int_equal(b[1], 11);
}

static void
reading_past_the_end_yields_zero_and_bad(void **state)
{
	uint8_t raw[7] = { 1, 2, 3, 4, 5, 6, 7 };
	struct wire_in in = wire_in(raw, sizeof(raw));

	(void)state;
	assert_int_equal(get_be32(&in), 0x01020304);
	assert_int_equal(get_le16(&in), 0x0605);
	assert_false(in.bad);
	assert_int_equal(get_be64(&in), 0);
	assert_true(in.bad);
	assert_int_equal(wire_left(&in), 0);
}

static void
writing_past_the_end_keeps_the_bounds(void **state)
{
	uint8_t raw[5] = { 0, 0, 0, 0, 0xee };
	struct wire_out out = wire_out(raw, 4);

	(void)state;
	put_be16(&out, 0xabcd);
	put_be32(&out, 0xffffffff);
	assert_true(out.bad);
	put_le16(&out, 0x1234);
	assert_int_equal(wire_used(&out), 4);
	assert_int_equal(raw[0], 0xab);
	assert_int_equal(raw[2], 0x34);
	assert_int_equal(raw[4], 0xee);
}

static void
first_error_wins(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(err_set(&err, 5, "disk %d broke", 3), -5);
	err_hint(&err, "replace it");
	err_set(&err, 6, "later");
	err_hint(&err, "other");
	assert_string_equal(err.text, "disk 3 broke");
	assert_string_equal(err.hint, "replace it");
	assert_int_equal(err_set(NULL, 7, "x"), -7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_has_asked_length_in_aligned_pieces),
		cmocka_unit_test(small_buffers_overflow_into_large_pieces),
		cmocka_unit_test(short_pool_parks_and_serves_in_order),
		cmocka_unit_test(give_moves_ownership),
		cmocka_unit_test(an_exile_is_replaced_and_comes_back),
		cmocka_unit_test(no_more_is_replaced_than_there_is),
		cmocka_unit_test(an_exile_outlives_its_pool),
		cmocka_unit_test(a_grave_without_a_ghost_is_empty_at_once),
		cmocka_unit_test(slices_and_copies_agree_with_a_flat_buffer),
		cmocka_unit_test(reading_past_the_end_yields_zero_and_bad),
		cmocka_unit_test(writing_past_the_end_keeps_the_bounds),
		cmocka_unit_test(first_error_wins),
	};

	return cmocka_run_group_tests_name("core/buf", tests, NULL, NULL);
}
