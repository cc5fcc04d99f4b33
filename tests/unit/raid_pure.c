/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/sb1.c, map.c, plan.c: the files without I/O. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "core/util.h"
#include "raid/plan.h"
#include "raid/sb1.h"

/* --- superblock --- */

static void
put(uint8_t *buf, unsigned off, uint64_t v, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		buf[off + i] = (uint8_t)(v >> 8 * i);
}

/* Written by hand from the table of offsets, not by the encoder. */
static void
golden(uint8_t buf[SB1_BYTES])
{
	uint64_t sum = 0;

	memset(buf, 0, SB1_BYTES);
	put(buf, 0, 0xa92b4efc, 4);
	put(buf, 4, 1, 4);
	put(buf, 8, 1024, 4);
	for (unsigned i = 0; i < 16; i++)
		buf[16 + i] = (uint8_t)(0xa0 + i);
	memcpy(buf + 32, "dozo:tank", 9);
	put(buf, 64, 1700000000, 8);
	put(buf, 72, 5, 4);
	put(buf, 76, 2, 4);
	put(buf, 80, 2048 * 50, 8);
	put(buf, 88, 128, 4);
	put(buf, 92, 3, 4);
	put(buf, 96, 8, 2);
	put(buf, 98, 2048, 2);
	put(buf, 128, 4096, 8);
	put(buf, 136, 2048 * 51, 8);
	put(buf, 144, 8, 8);
	put(buf, 160, 1, 4);
	put(buf, 164, 77, 4);
	for (unsigned i = 0; i < 16; i++)
		buf[168 + i] = (uint8_t)(0x50 + i);
	put(buf, 186, 8, 2);
	put(buf, 188, 2056, 4);
	put(buf, 192, 1700000001 | (uint64_t)123456 << 40, 8);
	put(buf, 200, 42, 8);
	put(buf, 208, UINT64_MAX, 8);
	put(buf, 220, 128, 4);
	for (unsigned i = 0; i < 128; i++)
		put(buf, 256 + 2 * i, i < 3 ? i : 0xffff, 2);
	for (unsigned i = 0; i < 512; i += 4)
		sum += (uint32_t)buf[i] | (uint32_t)buf[i + 1] << 8 |
		    (uint32_t)buf[i + 2] << 16 | (uint32_t)buf[i + 3] << 24;
	put(buf, 216, (sum & 0xffffffff) + (sum >> 32), 4);
}

static void
fix_csum(uint8_t *buf)
{
	unsigned max_dev = buf[220] | buf[221] << 8;

	put(buf, 216, sb1_csum(buf, 256 + 2 * max_dev), 4);
}

static void
golden_bytes_decode_and_encode_back(void **state)
{
	uint8_t buf[SB1_BYTES], back[SB1_BYTES];
	struct sb1 sb;
	struct err err = { 0 };

	(void)state;
	golden(buf);
	assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), &err), 0);
	assert_string_equal(sb.set_name, "dozo:tank");
	assert_int_equal(sb.level, 5);
	assert_int_equal(sb.size, 2048 * 50);
	assert_int_equal(sb.chunksize, 128);
	assert_int_equal(sb.ppl_offset, 8);
	assert_int_equal(sb.ppl_size, 2048);
	assert_int_equal(sb.dev_number, 1);
	assert_int_equal(sb.cnt_corrected_read, 77);
	assert_int_equal(sb.bblog_offset, 2056);
	assert_int_equal(sb.events, 42);
	assert_true(sb.resync_offset == SB1_CLEAN);
	assert_int_equal(sb1_role(&sb, 2), 2);
	assert_int_equal(sb1_role(&sb, 3), SB1_ROLE_SPARE);
	assert_int_equal(sb1_role(&sb, 4000), SB1_ROLE_SPARE);
	assert_int_equal(sb1_check(&sb, 4096 + 2048 * 51, &err), 0);
	assert_int_equal(sb1_check_engine(&sb, &err), 0);
	sb1_encode(&sb, back);
	assert_memory_equal(back, buf, SB1_BYTES);
	assert_int_equal(sb1_write_bytes(&sb, 512), 512);
	assert_int_equal(sb1_write_bytes(&sb, 4096), 4096);
}

static void
any_changed_byte_is_noticed(void **state)
{
	uint8_t buf[SB1_BYTES];
	struct sb1 sb;

	(void)state;
	for (unsigned i = 0; i < 512; i++) {
		struct err err = { 0 };

		golden(buf);
		buf[i] ^= 0x40;
		assert_true(sb1_decode(&sb, buf, sizeof(buf), &err) < 0);
		assert_true(err.text[0] != '\0');
	}
	golden(buf);
	buf[512] = 1;		/* beyond the table: not covered */
	assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), NULL), 0);
}

static void
a_logical_block_size_is_kept_and_never_invented(void **state)
{
	uint8_t buf[SB1_BYTES], back[SB1_BYTES];
	struct sb1 sb;

	(void)state;
	golden(buf);
	put(buf, 224, 4096, 4);
	fix_csum(buf);
	assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), NULL), 0);
	sb1_encode(&sb, back);
	assert_memory_equal(back, buf, SB1_BYTES);
	memset(&sb, 0, sizeof(sb));
	sb.super_offset = 8;
	sb1_encode(&sb, back);
	for (unsigned i = 224; i < 256; i++)
		assert_int_equal(back[i], 0);
}

static void
what_linux_refuses_is_refused(void **state)
{
	static const struct { unsigned off, len; uint64_t v; int rc; } bad[] = {
		{ 0, 4, 0, -ENODATA }, { 4, 4, 2, -ENOTSUP },
		{ 8, 4, 8192, -ENOTSUP }, { 8, 4, 0x80000000, -ENOTSUP },
		{ 12, 4, 1, -ENOTSUP }, { 228, 4, 1, -ENOTSUP },
		{ 255, 1, 1, -ENOTSUP },
	};
	uint8_t buf[SB1_BYTES];
	struct sb1 sb;

	(void)state;
	for (unsigned i = 0; i < nitems(bad); i++) {
		golden(buf);
		put(buf, bad[i].off, bad[i].v, bad[i].len);
		fix_csum(buf);
		assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), NULL),
		    bad[i].rc);
	}
	golden(buf);
	put(buf, 220, 1921, 4);
	assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), NULL), -EBADMSG);
	assert_int_equal(sb1_decode(&sb, buf, 4095, NULL), -ENODATA);
}

static void
areas_outside_the_device_are_refused(void **state)
{
	static const struct { unsigned off, len; uint64_t v; } bad[] = {
		{ 144, 8, 0 }, { 144, 8, 16 }, { 128, 8, 8 },
		{ 128, 8, UINT64_MAX }, { 136, 8, 9 }, { 136, 8, UINT64_MAX },
		{ 136, 8, 2048 * 51 + 1 }, { 80, 8, 2048 * 51 + 1 },
		{ 96, 2, 7 }, { 96, 2, 0x8000 }, { 96, 2, 4000 }, { 98, 2, 8 },
	};
	uint8_t buf[SB1_BYTES];
	struct sb1 sb;

	(void)state;
	for (unsigned i = 0; i < nitems(bad); i++) {
		golden(buf);
		put(buf, bad[i].off, bad[i].v, bad[i].len);
		fix_csum(buf);
		assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), NULL), 0);
		assert_int_equal(sb1_check(&sb, 4096 + 2048 * 51, NULL),
		    -EINVAL);
	}
}

static void
what_the_engine_cannot_run_is_refused(void **state)
{
	static const uint32_t features[] = { SB1_RESHAPE, SB1_CLUSTERED,
		SB1_JOURNAL, SB1_NEW_OFFSET, SB1_PPL | SB1_BITMAP,
		SB1_RAID0_LAYOUT };
	uint8_t buf[SB1_BYTES];
	struct sb1 sb;

	(void)state;
	for (unsigned i = 0; i < nitems(features); i++) {
		struct err err = { 0 };

		golden(buf);
		assert_int_equal(sb1_decode(&sb, buf, sizeof(buf), NULL), 0);
		sb.feature_map |= features[i];
		assert_true(sb1_check_engine(&sb, &err) < 0);
		assert_true(err.text[0] != '\0');
	}
}

static void
areas_leave_room_for_every_policy(void **state)
{
	static const uint64_t sizes[] = { 3 * MIB, 64 * MIB, GIB, 100 * GIB,
		20 * TIB };

	(void)state;
	for (unsigned i = 0; i < nitems(sizes); i++) {
		struct sb1_areas a;

		sb1_areas(&a, sizes[i] / 512);
		assert_int_equal(a.log_offset, 8);
		assert_int_equal(a.bblog_offset, 8 + 2048);
		assert_true(a.private_start >= 8 + 8 + 2048 + 8);
		assert_true(a.data_offset >= a.private_start + a.private_size);
		assert_int_equal(a.data_offset % 2048, 0);
		assert_true(a.data_offset <= 2048 * 130);
	}
}

/* --- mapping --- */

static void
every_byte_has_one_place_and_the_formulas_hold(void **state)
{
	unsigned checked = 0;

	(void)state;
	for (unsigned n = 3; n <= 16; n++) {
		for (unsigned layout = 0; layout <= 5; layout++) {
			struct raid_map map;
			uint64_t chunk = 4096;
			uint8_t used[16 * 40] = { 0 };

			assert_int_equal(raid_map_init(&map, 5, layout, n,
			    chunk, chunk * 40, NULL), 0);
			assert_int_equal(map.size, chunk * 40 * (n - 1));
			for (uint64_t cn = 0; cn < 40 * (n - 1); cn++) {
				uint64_t st = cn / (n - 1);
				unsigned d = (unsigned)(cn % (n - 1)), p, disk;
				struct map_place at;

				p = (unsigned)(layout == 4 ? 0 :
				    layout == 5 ? n - 1 :
				    layout == 0 || layout == 2 ?
				    n - 1 - st % n : st % n);
				disk = layout == 2 || layout == 3 ?
				    (p + 1 + d) % n : d + (d >= p);
				raid_map_locate(&map, cn * chunk + 512, &at);
				assert_int_equal(at.role, disk);
				assert_int_equal(at.member_off,
				    st * chunk + 512);
				assert_int_equal(at.left, chunk - 512);
				assert_int_equal(raid_map_parity(&map, st), p);
				assert_int_equal(raid_map_data(&map, st, disk),
				    d);
				assert_int_equal(raid_map_data(&map, st, p),
				    -1);
				assert_int_equal(used[disk * 40 + st]++, 0);
				assert_int_equal(raid_map_offset(&map, st, d,
				    512), cn * chunk + 512);
				checked++;
			}
		}
	}
	print_message("%u chunks checked\n", checked);
}

/* The rows of a request, together, are the request: no more, no less. */
static void
rows_cut_a_request_exactly(void **state)
{
	uint64_t seed = 1;
	unsigned checked = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct raid_map map;
		struct row_span span;
		uint64_t off, len, sum = 0, row, at = 0;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		raid_map_init(&map, 5, (unsigned)(seed >> 20) % 6,
		    3 + (unsigned)(seed >> 30) % 6, UINT64_C(4096) <<
		    (seed >> 40) % 9, 4 * MIB, NULL);
		off = (seed >> 33) % (map.size / 512) * 512;
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		len = 512 + (seed >> 33) % 4000 * 512;
		len = MIN(len, map.size - off);
		for (row = 0; row < raid_map_rows(&map); row++) {
			bool any = raid_map_span(&map, row, off, len, &span);

			if (!any)
				continue;
			assert_int_equal(raid_map_next_row(&map, at, off,
			    len), row);
			at = row + 1;
			for (unsigned d = span.first; d <= span.last; d++)
				sum += span.data[d].hi - span.data[d].lo;
			checked++;
		}
		assert_true(raid_map_next_row(&map, at, off, len) ==
		    UINT64_MAX);
		assert_int_equal(sum, len);
	}
	print_message("%u rows checked\n", checked);
}

static void
impossible_arrays_are_refused(void **state)
{
	struct raid_map map;
	struct err err = { 0 };

	(void)state;
	assert_true(raid_map_init(&map, 6, 2, 4, 65536, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 6, 4, 65536, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 2, 2, 65536, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 2, 17, 65536, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 2, 4, 65537, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 2, 4, 2048, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 2, 4, 2 * MIB, GIB, NULL) < 0);
	assert_true(raid_map_init(&map, 5, 2, 4, 65536, 4096, &err) < 0);
	assert_true(err.text[0] != '\0');
}

/* --- plan --- */

#define W 8192u

struct bench {
	uint8_t disk[5][W], want[5][W], slot[10][W], data[4 * W];
	uint8_t *slots[10];
};

static void
fill_random(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rand();
}

/* Carry out a planned write in memory and compare with the truth. */
static void
check_write(struct bench *b, const struct raid_map *map, uint64_t off,
    uint64_t len, uint32_t missing, uint32_t avoid, bool force)
{
	static struct row_plan plan;
	struct row_span span;
	struct iovec iov[2] = { { b->data, 700 },
		{ b->data + 700, sizeof(b->data) - 700 } };
	struct row_data data = { iov, 2 };
	unsigned p = raid_map_parity(map, 0);

	assert_true(raid_map_span(map, 0, off, len, &span));
	assert_int_equal(row_plan_write(&plan, map, &span, missing, avoid,
	    force), 0);
	memcpy(b->want, b->disk, sizeof(b->want));
	for (unsigned d = 0; d < map->ndata; d++)
		if (span.data[d].lo < span.data[d].hi)
			memcpy(b->want[raid_map_role(map, 0, d)] +
			    span.data[d].lo, b->data + span.src[d],
			    span.data[d].hi - span.data[d].lo);
	memset(b->want[p], 0, W);
	for (unsigned d = 0; d < map->ndata; d++)
		for (unsigned k = 0; k < W; k++)
			b->want[p][k] ^= b->want[raid_map_role(map, 0, d)][k];
	for (unsigned i = 0; i < plan.nreads; i++) {
		const struct row_io *io = &plan.read[i];

		assert_false((missing | (force ? 0 : avoid)) >> io->role & 1);
		memcpy(row_slot(&plan, b->slots, io->role, io->at.lo),
		    b->disk[io->role] + io->at.lo, io->at.hi - io->at.lo);
	}
	row_apply_partial(&plan, b->slots);
	row_apply_new(&plan, b->slots, &span, &data);
	for (unsigned i = 0; i < plan.nwrites; i++) {
		const struct row_io *io = &plan.write[i];

		assert_false(missing >> io->role & 1);
		memcpy(b->disk[io->role] + io->at.lo, io->data < 0 ?
		    row_slot(&plan, b->slots, io->role, io->at.lo) :
		    b->data + span.src[io->data], io->at.hi - io->at.lo);
	}
	for (unsigned r = 0; r < map->n; r++)
		if ((missing >> r & 1) == 0)
			assert_memory_equal(b->disk[r], b->want[r], W);
		else
			memcpy(b->disk[r], b->want[r], W);
	if (len == (uint64_t)W * map->ndata)
		assert_int_equal(plan.nreads, 0);
}

static void
every_write_leaves_right_data_and_parity(void **state)
{
	struct bench *b = aligned_alloc(64, round_up(sizeof(*b), 64));
	unsigned checked = 0;

	(void)state;
	assert_non_null(b);
	for (unsigned i = 0; i < 10; i++)
		b->slots[i] = b->slot[i];
	for (unsigned n = 3; n <= 5; n++) {
		struct raid_map map;
		uint32_t missing = 0;

		assert_int_equal(raid_map_init(&map, 5, 2, n, W, W, NULL), 0);
		memset(b->disk, 0, sizeof(b->disk));
		for (unsigned m = 0; m <= n; m++, missing = 1u << (m - 1)) {
			for (uint64_t off = 0; off < map.size; off += 1024) {
				for (uint64_t len = 1024; len <= map.size -
				    off; len += 1024) {
					fill_random(b->data, 16);
					check_write(b, &map, off, len,
					    missing, 0, checked % 3 == 0);
					check_write(b, &map, off, len, 0,
					    missing, false);
					checked += 2;
				}
			}
		}
	}
	free(b);
	print_message("%u writes checked\n", checked);
}

static void
the_cheaper_method_is_chosen(void **state)
{
	static const struct { unsigned n, first, chunks; unsigned reads;
		enum row_method method; } want[] = {
		{ 3, 0, 1, 1, ROW_RCW },	/* 1 against 2 */
		{ 4, 1, 1, 2, ROW_RMW },	/* a tie */
		{ 4, 0, 2, 1, ROW_RCW },
		{ 8, 3, 1, 2, ROW_RMW },
		{ 8, 0, 3, 4, ROW_RMW },
		{ 8, 0, 4, 3, ROW_RCW },
		{ 8, 0, 7, 0, ROW_FULL },
	};
	struct raid_map map;
	struct row_plan plan;
	struct row_span span;

	(void)state;
	for (unsigned i = 0; i < nitems(want); i++) {
		raid_map_init(&map, 5, 2, want[i].n, W, W, NULL);
		raid_map_span(&map, 0, want[i].first * W, want[i].chunks * W,
		    &span);
		assert_int_equal(row_plan_write(&plan, &map, &span, 0, 0,
		    false), 0);
		assert_int_equal(plan.nreads, want[i].reads);
		assert_int_equal(plan.method, want[i].method);
	}
	assert_int_equal(row_plan_write(&plan, &map, &span, 3, 0, false), -EIO);
}

static void
xor_works_for_any_alignment_and_length(void **state)
{
	static _Alignas(64) uint8_t a[600], b[600], c[600], dst[600];

	(void)state;
	fill_random(a, 600);
	fill_random(b, 600);
	fill_random(c, 600);
	for (unsigned shift = 0; shift < 40; shift += 3) {
		for (unsigned len = 1; len < 500; len += 31) {
			const uint8_t *src[3] = { a + shift, b, c + 2 };

			memcpy(dst, b + 3, 600 - 3);
			xor_sources(dst, src, 3, len, shift % 2 == 0);
			for (unsigned i = 0; i < len; i++)
				assert_int_equal(dst[i], (uint8_t)(
				    a[shift + i] ^ b[i] ^ c[2 + i] ^
				    (shift % 2 == 0 ? b[3 + i] : 0)));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_bytes_decode_and_encode_back),
		cmocka_unit_test(any_changed_byte_is_noticed),
		cmocka_unit_test(
		    a_logical_block_size_is_kept_and_never_invented),
		cmocka_unit_test(what_linux_refuses_is_refused),
		cmocka_unit_test(areas_outside_the_device_are_refused),
		cmocka_unit_test(what_the_engine_cannot_run_is_refused),
		cmocka_unit_test(areas_leave_room_for_every_policy),
		cmocka_unit_test(
		    every_byte_has_one_place_and_the_formulas_hold),
		cmocka_unit_test(rows_cut_a_request_exactly),
		cmocka_unit_test(impossible_arrays_are_refused),
		cmocka_unit_test(every_write_leaves_right_data_and_parity),
		cmocka_unit_test(the_cheaper_method_is_chosen),
		cmocka_unit_test(xor_works_for_any_alignment_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
