/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O on volumes, also on those in many pieces; the document. */
#include "tests/unit/pool_util.h"

#define SIZE (12 * MIB)
#define EXTENT (256 * KIB)

static struct loop *loop;
static struct blk *ram, *fault;
static struct pool *pool;

static int
setup(void **state)
{
	(void)state;
	loop = loop_new(NULL);
	ram = blk_ram_new(loop, SIZE, 512);
	fault = blk_fault_new(ram);
	assert_non_null(fault);
	do_format(fault, "tank", EXTENT);
	pool = do_open(fault);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	blk_fault_clear(fault);
	if (pool != NULL)
		assert_int_equal(do_close(pool), 0);
	blk_close(fault);
	loop_free(loop);
	return 0;
}

/* Volume "f" of n extents, no two of them adjacent. */
static struct volume *
fragmented(unsigned n)
{
	char name[8];
	struct volume *v;

	for (unsigned i = 0; i < 2 * n; i++) {
		snprintf(name, sizeof(name), "t%02u", i);
		assert_int_equal(do_create(pool, name, EXTENT), 0);
	}
	assert_int_equal(do_create(pool, "rest",
	    (pool->label.extents - 2 * n) * EXTENT), 0);
	for (unsigned i = 0; i < 2 * n; i += 2) {
		snprintf(name, sizeof(name), "t%02u", i);
		assert_int_equal(do_delete(pool, name), 0);
	}
	assert_int_equal(do_create(pool, "f", n * EXTENT), 0);
	v = pool_volume_by_name(pool, "f");
	assert_int_equal(v->nmap, n);
	return v;
}

static void
request_in_one_run_is_only_moved(void **state)
{
	struct volume *v;

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	v = pool_volume_by_name(pool, "a");
	assert_int_equal(v->nmap, 1);
	assert_int_equal(do_write(volume_blk(v), 4096, 8192, 'x', 0), 0);
	assert_int_equal(blk_ram_data(ram)[v->map[0].phys + 4096], 'x');
	assert_int_equal(blk_ram_data(ram)[v->map[0].phys + 4095], 0);
	assert_int_equal(reads_as(volume_blk(v), 4096, 8192, 'x'), 1);
	assert_int_equal(pool->splits_busy, 0);
}

static void
a_byte_of_the_array_has_an_owner_or_none(void **state)
{
	struct volume *v = fragmented(12), *none;
	const struct map_run *run;
	uint64_t at = 1;

	(void)state;
	for (unsigned i = 0; i < v->nmap; i++) {
		run = &v->map[i];
		assert_ptr_equal(pool_volume_at(pool, run->phys, &at), v);
		assert_int_equal(at, run->off);
		assert_ptr_equal(pool_volume_at(pool, run->phys + run->end -
		    run->off - 1, &at), v);
		assert_int_equal(at, run->end - 1);
		none = pool_volume_at(pool, run->phys + run->end - run->off,
		    &at);
		assert_ptr_not_equal(none, v);
	}
	assert_null(pool_volume_at(pool, 0, &at));	/* the label */
}

/* By the question that is asked and by the table, block by block. */
static void
check_used(void)
{
	uint64_t size = pool->label.blk_bytes, end = 0, at;

	for (uint64_t off = 0; off < size; off += 4096) {
		bool used = off < pool->label.data_off ||
		    off == label_b_off(size) ||
		    pool_volume_at(pool, off, &at) != NULL;
		uint64_t next = pool_next_used(pool, off, &end);

		assert_int_equal(next == off, used);
		assert_true(next == UINT64_MAX || (next >= off && end > next &&
		    end <= size));
	}
	assert_int_equal(pool_next_used(pool, size, &end), UINT64_MAX);
}

static void
what_is_used_is_known(void **state)
{
	(void)state;
	check_used();
	fragmented(12);
	check_used();
	assert_int_equal(do_delete(pool, "rest"), 0);
	check_used();
	assert_int_equal(do_grow(pool, "f", 15 * EXTENT), 0);
	check_used();
}

static void
request_over_many_runs_is_split(void **state)
{
	struct volume *v = fragmented(12);
	struct blk *blk = volume_blk(v);
	uint8_t *buf = aligned_alloc(4096, 12 * EXTENT);
	uint8_t *back = aligned_alloc(4096, 12 * EXTENT);

	(void)state;
	assert_non_null(buf);
	assert_non_null(back);
	for (unsigned i = 0; i < 12 * EXTENT; i++)
		buf[i] = (uint8_t)(i * 7 + i / 4096);
	/* more runs than parts of one split */
	assert_int_equal(do_io(blk, IO_WRITE, 512, 12 * EXTENT - 1024,
	    buf + 512, 0), 0);
	assert_int_equal(do_io(blk, IO_READ, 512, 12 * EXTENT - 1024,
	    back + 512, 0), 0);
	assert_memory_equal(buf + 512, back + 512, 12 * EXTENT - 1024);
	for (unsigned i = 0; i < 12; i++)
		assert_memory_equal(blk_ram_data(ram) + v->map[i].phys + 512,
		    buf + i * EXTENT + 512, EXTENT - 1024);
	assert_int_equal(do_io(blk, IO_ZERO, EXTENT - 512, 1024, NULL, 0), 0);
	assert_int_equal(reads_as(blk, EXTENT - 512, 1024, 0), 1);
	assert_int_equal(pool->splits_busy, 0);
	free(buf);
	free(back);
}

static void
a_split_read_tells_where_it_failed(void **state)
{
	struct volume *v = fragmented(12);
	struct one_io *one = calloc(1, sizeof(*one));
	void *buf = aligned_alloc(4096, 12 * EXTENT);

	(void)state;
	assert_non_null(one);
	assert_non_null(buf);
	for (unsigned i = 11; i > 8; i--) {	/* the first counts */
		assert_int_equal(blk_fault_add(fault, &(struct fault_rule){
		    .action = FAULT_ERROR, .err = EIO, .len = 512,
		    .off = v->map[i].phys + 7 * 512 }), 0);
		one_io_start(one, volume_blk(v), IO_READ, 4096,
		    12 * EXTENT - 4096, buf, 0);
		loop_run_op(loop, &one->op);
		assert_int_equal(one->io.result, -EIO);
		assert_int_equal(one->io.failed_at, i * EXTENT + 7 * 512 -
		    4096);
	}
	free(buf);
	free(one);
}

static void
split_keeps_a_scattered_buffer_in_order(void **state)
{
	struct blk *blk = volume_blk(fragmented(4));
	struct iovec iov[BUF_IOV_MAX];
	struct one_io one;
	uint8_t *buf = aligned_alloc(4096, BUF_IOV_MAX * 8192);

	(void)state;
	assert_non_null(buf);
	/* pieces in reverse order, not ending where extents end */
	for (unsigned i = 0; i < BUF_IOV_MAX; i++) {
		iov[i].iov_base = buf + (BUF_IOV_MAX - 1 - i) * 8192;
		iov[i].iov_len = 8192;
		memset(iov[i].iov_base, (int)i + 1, 8192);
	}
	one_io_start(&one, blk, IO_WRITE, 4096, 0, NULL, 0);
	io_init(&one.io, IO_WRITE, 4096, BUF_IOV_MAX * 8192, iov, BUF_IOV_MAX,
	    0);
	loop_run_op(loop, &one.op);
	assert_int_equal(one.io.result, 0);
	for (unsigned i = 0; i < BUF_IOV_MAX; i++)
		assert_int_equal(reads_as(blk, 4096 + i * 8192, 8192,
		    (int)i + 1), 1);
	free(buf);
}

static void
more_splits_than_there_are_wait_their_turn(void **state)
{
	struct blk *blk = volume_blk(fragmented(4));
	static struct one_io many[3 * POOL_SPLITS];
	static uint8_t data[1024] __attribute__((aligned(512)));

	(void)state;
	memset(data, 's', sizeof(data));
	for (unsigned i = 0; i < nitems(many); i++)
		one_io_start(&many[i], blk, IO_WRITE,
		    (i % 3 + 1) * EXTENT - 512, sizeof(data), data, 0);
	for (unsigned i = 0; i < nitems(many); i++) {
		loop_run_op(loop, &many[i].op);
		assert_int_equal(many[i].io.result, 0);
	}
	assert_int_equal(pool->splits_busy, 0);
	assert_int_equal(reads_as(blk, EXTENT - 512, 1024, 's'), 1);
}

static void
error_in_one_part_fails_the_request(void **state)
{
	struct volume *v = fragmented(4);
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_WRITE };

	(void)state;
	rule.off = v->map[2].phys;
	rule.len = 512;
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(do_write(volume_blk(v), 0, 4 * EXTENT, 'x', 0), -EIO);
	assert_int_equal(do_write(volume_blk(v), 0, 2 * EXTENT, 'x', 0), 0);
	assert_int_equal(pool->splits_busy, 0);
}

static void
fua_and_flush_reach_the_array(void **state)
{
	struct blk *blk = volume_blk(fragmented(2));
	struct fault_rule torn = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_FLUSH };

	(void)state;
	blk_fault_volatile_cache(fault, true);
	assert_int_equal(do_write(blk, EXTENT - 512, 1024, 'f', IO_FUA), 0);
	assert_int_equal(do_write(blk, 0, 512, 'p', 0), 0);
	assert_int_equal(do_flush(blk), 0);
	blk_fault_power_cut(fault, 1);
	blk_fault_power_on(fault);
	blk_fault_volatile_cache(fault, false);
	assert_int_equal(reads_as(blk, EXTENT - 512, 1024, 'f'), 1);
	assert_int_equal(reads_as(blk, 0, 512, 'p'), 1);
	assert_int_equal(blk_fault_add(fault, &torn), 0);
	assert_int_equal(do_flush(blk), -EIO);
}

static void
discard_of_a_thick_volume_keeps_its_contents(void **state)
{
	struct blk *blk;

	(void)state;
	assert_int_equal(do_create(pool, "a", MIB), 0);
	blk = volume_blk(pool_volume_by_name(pool, "a"));
	assert_int_equal(blk->geo.discard_granularity, 0);
	assert_false(blk->geo.discard_zeroes);
	assert_int_equal(do_write(blk, 0, 4096, 'x', 0), 0);
	assert_int_equal(do_io(blk, IO_DISCARD, 0, MIB, NULL, 0), 0);
	assert_int_equal(reads_as(blk, 0, 4096, 'x'), 1);
}

static void
status_of_a_thick_volume_is_mapped(void **state)
{
	struct volume *v = fragmented(3);
	struct one_io one;

	(void)state;
	one_io_start(&one, volume_blk(v), IO_STATUS, 0, 3 * EXTENT, NULL, 0);
	loop_run_op(loop, &one.op);
	assert_int_equal(one.io.result, 0);
	assert_int_equal(one.io.len, 3 * EXTENT);
	assert_true((one.io.flags & IO_MAPPED) != 0);
}

static void
grow_while_a_split_is_stalled_is_safe(void **state)
{
	struct volume *v = fragmented(10);
	struct fault_rule rule = { .action = FAULT_STALL, .count = 1,
		.kinds = 1u << IO_WRITE };
	struct one_io one;
	uint8_t *buf = aligned_alloc(4096, 10 * EXTENT);

	(void)state;
	assert_non_null(buf);
	memset(buf, 'g', 10 * EXTENT);
	assert_int_equal(do_delete(pool, "t01"), 0);
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	one_io_start(&one, volume_blk(v), IO_WRITE, 0, 10 * EXTENT, buf, 0);
	assert_int_equal(do_grow(pool, "f", 11 * EXTENT), 0);
	blk_fault_clear(fault);
	loop_run_op(loop, &one.op);
	assert_int_equal(one.io.result, 0);
	assert_int_equal(reads_as(volume_blk(v), 0, 10 * EXTENT, 'g'), 1);
	assert_int_equal(reads_as(volume_blk(v), 10 * EXTENT, EXTENT, 0), 1);
	free(buf);
}

static void
optimal_io_is_told_only_if_every_run_is_aligned(void **state)
{
	struct volume *v;
	struct blk *blk;

	(void)state;
	assert_int_equal(do_close(pool), 0);
	fault->geo.optimal_io = 192 * 1024;
	{
		struct pool_format f;

		run_format(&f, fault, "tank", EXTENT, true);
		assert_int_equal(f.err.code, 0);
	}
	pool = do_open(fault);
	assert_int_equal(do_create(pool, "a", EXTENT), 0);
	assert_int_equal(do_create(pool, "b", EXTENT), 0);
	v = pool_volume_by_name(pool, "b");
	blk = volume_blk(v);
	assert_int_equal(v->map[0].phys % (192 * 1024), 0);
	assert_int_equal(blk->geo.optimal_io, 192 * 1024);
	/* behind "a" only unaligned extents are left in the end */
	assert_int_equal(do_grow(pool, "b", (pool->label.extents - 1) * EXTENT),
	    0);
	assert_int_equal(blk->geo.optimal_io, 0);
}

static void
dm_table_is_the_map(void **state)
{
	struct volume *v = fragmented(2);
	char want[160], *text;

	(void)state;
	assert_int_equal(do_delete(pool, "rest"), 0);
	assert_int_equal(do_grow(pool, "f", 2 * EXTENT + 4096), 0);
	assert_int_equal(v->nmap, 3);
	text = volume_dm_table(v, "/dev/md0");
	snprintf(want, sizeof(want),
	    "0 512 linear /dev/md0 %llu\n512 512 linear /dev/md0 %llu\n"
	    "1024 8 linear /dev/md0 %llu\n",
	    (unsigned long long)v->map[0].phys / 512,
	    (unsigned long long)v->map[1].phys / 512,
	    (unsigned long long)v->map[2].phys / 512);
	assert_string_equal(text, want);
	free(text);
}

/* --- the document --- */

static int
put_doc(const char *text, size_t len, uint64_t generation)
{
	struct pool_doc d = { .pool = pool, .write = true, .len = len,
		.generation = generation };
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	d.text = copy;
	pool_doc_start(&d, NULL);
	loop_run_op(loop, &d.op);
	free(copy);
	return -d.err.code;
}

static void
doc_is(const char *text, uint64_t generation)
{
	struct pool_doc d = { .pool = pool };

	pool_doc_start(&d, NULL);
	loop_run_op(loop, &d.op);
	assert_int_equal(d.err.code, 0);
	assert_int_equal(d.generation, generation);
	if (text == NULL) {
		assert_null(d.text);
	} else {
		assert_non_null(d.text);
		assert_string_equal(d.text, text);
		assert_int_equal(d.len, strlen(text));
	}
	free(d.text);
}

static void
reopen(void)
{
	assert_int_equal(do_close(pool), 0);
	pool = do_open(fault);
}

static void
new_pool_has_no_doc(void **state)
{
	(void)state;
	doc_is(NULL, 0);
}

static void
doc_of_larger_generation_wins(void **state)
{
	(void)state;
	assert_int_equal(put_doc("one", 3, 1), 0);
	doc_is("one", 1);
	assert_int_equal(put_doc("three", 5, 3), 0);
	doc_is("three", 3);
	reopen();
	assert_int_equal(put_doc("two", 3, 2), -ESTALE);
	assert_int_equal(put_doc("other", 5, 3), -ESTALE);
	assert_int_equal(put_doc("three", 5, 3), 0);
	doc_is("three", 3);
	assert_int_equal(put_doc("", 0, 4), 0);
	reopen();
	doc_is("", 4);
}

static void
torn_doc_leaves_the_one_before(void **state)
{
	struct fault_rule rule = { .action = FAULT_TORN, .count = 1,
		.torn_bytes = 4096 };

	(void)state;
	assert_int_equal(put_doc("one", 3, 1), 0);
	assert_int_equal(put_doc("two", 3, 2), 0);
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(put_doc("three", 5, 3), 0);
	reopen();
	doc_is("two", 2);
	assert_int_equal(put_doc("again", 5, 3), 0);
	reopen();
	doc_is("again", 3);
}

static void
failed_doc_write_is_told_and_can_be_repeated(void **state)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_WRITE, .count = 1 };

	(void)state;
	assert_int_equal(put_doc("one", 3, 1), 0);
	assert_int_equal(blk_fault_add(fault, &rule), 0);
	assert_int_equal(put_doc("two", 3, 2), -EIO);
	doc_is("one", 1);
	assert_int_equal(put_doc("two", 3, 2), 0);
	doc_is("two", 2);
}

static void
doc_of_the_largest_size_fits(void **state)
{
	char *text = malloc(POOL_DOC_MAX + 2);

	(void)state;
	assert_non_null(text);
	memset(text, 'j', POOL_DOC_MAX + 1);
	assert_int_equal(put_doc(text, POOL_DOC_MAX + 1, 1), -EFBIG);
	assert_int_equal(put_doc(text, POOL_DOC_MAX, 1), 0);
	reopen();
	text[POOL_DOC_MAX] = '\0';
	doc_is(text, 1);
	free(text);
}

static void
doc_survives_every_power_cut(void **state)
{
	struct cutter cutter;
	uint8_t *image = malloc(SIZE);
	bool done = false;

	(void)state;
	assert_non_null(image);
	assert_int_equal(put_doc("one", 3, 1), 0);
	assert_int_equal(do_close(pool), 0);
	memcpy(image, blk_ram_data(ram), SIZE);
	for (unsigned n = 0; !done; n++) {
		struct pool_doc d = { .len = 3 };

		memcpy(blk_ram_data(ram), image, SIZE);
		cutter_init(&cutter, ram, ram);
		pool = do_open(&cutter.blk);
		cutter.left = n / 3;
		cutter.torn = n % 3 * 512;
		done = put_doc("two", 3, 2) == 0;
		do_close(pool);
		pool = do_open(ram);
		d.pool = pool;
		pool_doc_start(&d, NULL);
		loop_run_op(loop, &d.op);
		assert_non_null(d.text);
		assert_true(strcmp(d.text, "two") == 0 ||
		    (!done && strcmp(d.text, "one") == 0));
		free(d.text);
		assert_int_equal(do_close(pool), 0);
	}
	pool = do_open(fault);
	free(image);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(request_in_one_run_is_only_moved),
		T(a_byte_of_the_array_has_an_owner_or_none),
		T(what_is_used_is_known),
		T(request_over_many_runs_is_split),
		T(a_split_read_tells_where_it_failed),
		T(split_keeps_a_scattered_buffer_in_order),
		T(more_splits_than_there_are_wait_their_turn),
		T(error_in_one_part_fails_the_request),
		T(fua_and_flush_reach_the_array),
		T(discard_of_a_thick_volume_keeps_its_contents),
		T(status_of_a_thick_volume_is_mapped),
		T(grow_while_a_split_is_stalled_is_safe),
		T(optimal_io_is_told_only_if_every_run_is_aligned),
		T(dm_table_is_the_map),
		T(new_pool_has_no_doc),
		T(doc_of_larger_generation_wins),
		T(torn_doc_leaves_the_one_before),
		T(failed_doc_write_is_told_and_can_be_repeated),
		T(doc_of_the_largest_size_fits),
		T(doc_survives_every_power_cut),
	};

	log_set_level(LOG_L_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
