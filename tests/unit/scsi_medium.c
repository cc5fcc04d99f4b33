/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that read, compare and change the medium, and the limits of VPD
 * page B0h: each is tried at the limit and one beyond.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

static struct run r;

static void
fill(struct fix *f, uint64_t lba, unsigned blocks, int byte)
{
	memset(f->mem + lba * f->lu->block, byte, blocks * f->lu->block);
}

static void
cdb16(uint8_t cdb[16], uint8_t op, uint8_t flags, uint64_t lba, uint32_t len)
{
	struct wire_out out = wire_out(cdb, 16);

	put_u8(&out, op);
	put_u8(&out, flags);
	put_be64(&out, lba);
	put_be32(&out, len);
	put_be16(&out, 0);
}

static void
run16(struct fix *f, uint8_t op, uint8_t flags, uint64_t lba, uint32_t len,
    const void *out, uint32_t out_len, uint32_t in_len)
{
	uint8_t cdb[16];

	cdb16(cdb, op, flags, lba, len);
	fix_run(f, &r, A, cdb, 16, out, out_len, in_len);
}

/* --- limits --- */

static uint8_t big[BUF_LEN_MAX + 4096];

static void
transfer_length_limit_is_exact_on(uint32_t block)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = 8 * MIB,
	    .block = block, .optimal = 192 * 1024 });
	uint32_t max, bytes;

	f->nexus[A]->luns[0]->ua = 0;
	fix_run(f, &r, A, CDB(0x12, 1, 0xb0, 0, 64, 0), NULL, 0, 64);
	expect_good(&r);
	max = (uint32_t)be(r.data + 8, 4);
	assert_int_equal(be(r.data + 12, 4), 192 * 1024 / block);
	assert_int_equal(be(r.data + 6, 2), 192 * 1024 / block);
	bytes = max * block;
	assert_int_equal(bytes, BUF_LEN_MAX);
	memset(big, 0x3c, sizeof(big));
	run16(f, 0x8a, 0, 0, max, big, bytes, 0);
	expect_good(&r);
	run16(f, 0x88, 0, 0, max, NULL, 0, bytes);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, bytes);
	run16(f, 0x8f, 2, 0, max, big, bytes, 0);
	expect_good(&r);
	run16(f, 0x8e, 2, 0, max, big, bytes, 0);
	expect_good(&r);
	run16(f, 0x8b, 0, 0, max, big, bytes, 0);
	expect_good(&r);
	run16(f, 0x8a, 0, 0, max + 1, big, bytes + block, 0);
	expect_sense(&r, 5, 0x24, 0);
	run16(f, 0x88, 0, 0, max + 1, NULL, 0, bytes + block);
	expect_sense(&r, 5, 0x24, 0);
	run16(f, 0x8f, 2, 0, max + 1, big, bytes + block, 0);
	expect_sense(&r, 5, 0x24, 0);
	run16(f, 0x8e, 2, 0, max + 1, big, bytes + block, 0);
	expect_sense(&r, 5, 0x24, 0);
	run16(f, 0x8b, 0, 0, max + 1, big, bytes + block, 0);
	expect_sense(&r, 5, 0x24, 0);
	fix_free(f);
}

static void
transfer_length_limit_is_exact(void **state)
{
	(void)state;
	transfer_length_limit_is_exact_on(512);
	transfer_length_limit_is_exact_on(4096);
}

static void
write_same_limit_is_exact(void **state)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = 32 * MIB,
	    .block = 512, .thin = true, .granularity = 4096 });
	uint8_t zero[512] = { 0 };
	uint32_t max;

	(void)state;
	f->nexus[A]->luns[0]->ua = 0;
	fix_run(f, &r, A, CDB(0x12, 1, 0xb0, 0, 64, 0), NULL, 0, 64);
	max = (uint32_t)be(r.data + 36, 8);
	memset(f->mem, 0xff, 32 * MIB);
	run16(f, 0x93, 0, 0, max, zero, 512, 0);
	expect_good(&r);
	assert_int_equal(f->mem[max * 512 - 1], 0);
	assert_int_equal(f->mem[max * 512], 0xff);
	run16(f, 0x93, 0, 0, max + 1, zero, 512, 0);
	expect_sense(&r, 5, 0x24, 0);
	assert_int_equal(r.cmd.sense[17], 10);
	run16(f, 0x93, 0, 0, 0, zero, 512, 0);
	expect_sense(&r, 5, 0x24, 0);
	fix_free(f);
}

static void
put_unmap(uint8_t *list, unsigned n, uint64_t lba, uint32_t blocks)
{
	struct wire_out out = wire_out(list, 8 + 16 * n);

	put_be16(&out, (uint16_t)(6 + 16 * n));
	put_be16(&out, (uint16_t)(16 * n));
	put_be32(&out, 0);
	for (unsigned i = 0; i < n; i++) {
		put_be64(&out, lba + i);
		put_be32(&out, blocks);
		put_be32(&out, 0);
	}
}

static void
unmap(struct fix *f, const uint8_t *list, uint32_t len)
{
	fix_run(f, &r, A, CDB(0x42, 0, 0, 0, 0, 0, 0, (uint8_t)(len >> 8),
	    (uint8_t)len, 0), list, len, 0);
}

static void
unmap_limits_are_exact(void **state)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = 520 * MIB,
	    .block = 512, .thin = true, .granularity = 4096 });
	uint8_t list[8 + 16 * 257];
	uint32_t blocks, descs;

	(void)state;
	f->nexus[A]->luns[0]->ua = 0;
	fix_run(f, &r, A, CDB(0x12, 1, 0xb0, 0, 64, 0), NULL, 0, 64);
	blocks = (uint32_t)be(r.data + 20, 4);
	descs = (uint32_t)be(r.data + 24, 4);
	assert_int_equal(be(r.data + 28, 4), 8);
	assert_int_equal(be(r.data + 32, 4), 0x80000000);
	put_unmap(list, descs, 0, 1);
	unmap(f, list, 8 + 16 * descs);
	expect_good(&r);
	put_unmap(list, descs + 1, 0, 1);
	unmap(f, list, 8 + 16 * (descs + 1));
	expect_sense(&r, 5, 0x26, 0);
	put_unmap(list, 1, 0, blocks);
	unmap(f, list, 24);
	expect_good(&r);
	put_unmap(list, 1, 0, blocks + 1);
	unmap(f, list, 24);
	expect_sense(&r, 5, 0x26, 0);
	fix_free(f);
}

static void
compare_and_write_limit_is_exact(void **state)
{
	struct fix *f = *state;
	uint32_t max;

	fix_run(f, &r, A, CDB(0x12, 1, 0xb0, 0, 64, 0), NULL, 0, 64);
	max = r.data[5];
	assert_int_equal(max, 255);
	memset(big, 0, max * 512);
	memset(big + max * 512, 9, max * 512);
	fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    (uint8_t)max, 0, 0), big, 2 * max * 512, 0);
	expect_good(&r);
	assert_int_equal(f->mem[max * 512 - 1], 9);
	assert_int_equal(f->mem[max * 512], 0);
	/* One more does not fit the field: its neighbour is reserved. */
	fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
	    0), big, 512, 0);
	expect_sense(&r, 5, 0x24, 0);
}

/* --- COMPARE AND WRITE, ORWRITE --- */

static void
miscompare_tells_the_byte_and_writes_nothing(void **state)
{
	struct fix *f = *state;
	static const unsigned at[] = { 0, 1, 511, 512, 1023 };
	uint8_t data[4 * 512];

	for (unsigned i = 0; i < nitems(at); i++) {
		fill(f, 8, 2, 0x11);
		memset(data, 0x11, 1024);
		memset(data + 1024, 0x22, 1024);
		data[at[i]] ^= 1;
		fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0,
		    0, 2, 0, 0), data, sizeof(data), 0);
		expect_sense(&r, 0x0e, 0x1d, 0);
		assert_int_equal(r.cmd.sense[0], 0xf0);
		assert_int_equal(be(r.cmd.sense + 3, 4), at[i]);
		assert_int_equal(f->mem[8 * 512], 0x11);
	}
}

static void
compare_and_write_wants_both_halves(void **state)
{
	struct fix *f = *state;
	uint8_t data[2048] = { 0 };

	fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0), data, 512, 0);
	expect_sense(&r, 5, 0x24, 0);
	assert_int_equal(r.cmd.out_wanted, 1024);
	fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
	    0), data, 2048, 0);
	expect_sense(&r, 5, 0x24, 0);
	fix_run(f, &r, A, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0), NULL, 0, 0);
	expect_good(&r);
}

/*
 * Many hosts increment one counter by COMPARE AND WRITE, each starting from
 * the value it saw last; plain writes to other blocks go on meanwhile.  Every
 * success must be one increment.
 */
static void
concurrent_compare_and_writes_lose_no_update(void **state)
{
#define RACERS 24
	struct fix *f = *state;
	struct fault_rule delay = { .action = FAULT_DELAY, .delay_ms = 1 };
	struct run *runs = calloc(RACERS, sizeof(*runs));
	static uint8_t data[RACERS][1024];
	unsigned wins = 0, losses = 0;

	assert_int_equal(blk_fault_add(f->fault, &delay), 0);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < RACERS; i++) {
			memcpy(data[i], f->mem, 512);
			memcpy(data[i] + 512, f->mem, 512);
			data[i][512]++;
			fix_start(f, &runs[i], i % NEXUSES, CDB(0x89, 0, 0,
			    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0), data[i],
			    1024, 0);
		}
		for (unsigned i = 0; i < RACERS; i++) {
			fix_finish(f, &runs[i]);
			if (runs[i].cmd.status == SCSI_GOOD) {
				wins++;
				continue;
			}
			expect_sense(&runs[i], 0x0e, 0x1d, 0);
			losses++;
		}
	}
	print_message("%u won, %u lost\n", wins, losses);
	assert_int_equal(wins, 6);
	assert_int_equal(f->mem[0], 6);
	free(runs);
}

/* Writes that overlap a waiting COMPARE AND WRITE come before or after it. */
static void
compare_and_write_waits_for_older_writes(void **state)
{
	struct fix *f = *state;
	struct fault_rule delay = { .action = FAULT_DELAY, .delay_ms = 3,
	    .kinds = 1u << IO_WRITE, .count = 1 };
	static struct run w, c, w2;
	uint8_t ones[512], pair[1024], threes[512];

	memset(ones, 1, sizeof(ones));
	memset(threes, 3, sizeof(threes));
	memset(pair, 1, 512);
	memset(pair + 512, 2, 512);
	assert_int_equal(blk_fault_add(f->fault, &delay), 0);
	fix_start(f, &w, A, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), ones, 512,
	    0);
	fix_start(f, &c, B, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	    0, 0), pair, 1024, 0);
	fix_start(f, &w2, A, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), threes,
	    512, 0);
	fix_finish(f, &c);
	expect_good(&c);
	fix_finish(f, &w);
	fix_finish(f, &w2);
	expect_good(&w2);
	assert_int_equal(f->mem[0], 3);
	assert_true(TAILQ_EMPTY(&f->lu->locks.queue));
}

static void
orwrite_sets_bits(void **state)
{
	struct fix *f = *state;
	uint8_t data[512 * 300];

	fill(f, 0, 400, 0x0f);
	memset(data, 0x81, sizeof(data));
	run16(f, 0x8b, 0, 10, 300, data, sizeof(data), 0);
	expect_good(&r);
	assert_int_equal(f->mem[10 * 512 - 1], 0x0f);
	for (unsigned i = 10 * 512; i < 310 * 512; i++)
		assert_int_equal(f->mem[i], 0x8f);
	assert_int_equal(f->mem[310 * 512], 0x0f);
}

/* --- VERIFY --- */

static void
verify_compares_across_pieces(void **state)
{
	struct fix *f = *state;
	static uint8_t data[300 * 512];

	memset(data, 0x42, sizeof(data));
	fill(f, 5, 300, 0x42);
	run16(f, 0x8f, 2, 5, 300, data, sizeof(data), 0);
	expect_good(&r);
	f->mem[5 * 512 + 70000] ^= 4;
	run16(f, 0x8f, 2, 5, 300, data, sizeof(data), 0);
	expect_sense(&r, 0x0e, 0x1d, 0);
	assert_int_equal(be(r.cmd.sense + 3, 4), 70000);
	run16(f, 0x8f, 0, 5, 300, NULL, 0, 0);
	expect_good(&r);
	assert_int_equal(r.cmd.out_wanted, 0);
	run16(f, 0x8f, 4, 5, 300, data, sizeof(data), 0);
	expect_sense(&r, 5, 0x24, 0);
}

static void
verify_with_one_block_compares_each(void **state)
{
	struct fix *f = *state;
	uint8_t data[512];

	memset(data, 0x17, sizeof(data));
	fill(f, 0, 1000, 0x17);
	run16(f, 0x8f, 6, 0, 1000, data, 512, 0);
	expect_good(&r);
	assert_int_equal(r.cmd.out_wanted, 512);
	f->mem[999 * 512 + 3]++;
	run16(f, 0x8f, 6, 0, 1000, data, 512, 0);
	expect_sense(&r, 0x0e, 0x1d, 0);
	assert_int_equal(be(r.cmd.sense + 3, 4), 3);
	run16(f, 0x8f, 6, 0, 1000, data, 100, 0);
	expect_sense(&r, 5, 0x0e, 3);
}

static void
verify_reads_what_cannot_be_read(void **state)
{
	struct fix *f = *state;
	struct fault_rule bad = { .action = FAULT_ERROR, .err = EIO,
	    .off = 200 * 512, .len = 512 };

	assert_int_equal(blk_fault_add(f->fault, &bad), 0);
	run16(f, 0x8f, 0, 0, 200, NULL, 0, 0);
	expect_good(&r);
	run16(f, 0x8f, 0, 0, 201, NULL, 0, 0);
	expect_sense(&r, 3, 0x11, 0);
	assert_int_equal(be(r.cmd.sense + 3, 4), 200);
}

static void
a_medium_error_names_the_block(void **state)
{
	struct fix *f = *state;
	struct fault_rule bad = { .action = FAULT_ERROR, .err = EIO,
	    .kinds = 1u << IO_READ, .off = 203 * 512, .len = 1024 };

	assert_int_equal(blk_fault_add(f->fault, &bad), 0);
	run16(f, 0x88, 0, 196, 16, NULL, 0, 16 * 512);
	expect_sense(&r, 3, 0x11, 0);
	assert_int_equal(be(r.cmd.sense + 3, 4), 203);
	run16(f, 0x88, 0, 204, 16, NULL, 0, 16 * 512);
	expect_sense(&r, 3, 0x11, 0);
	assert_int_equal(be(r.cmd.sense + 3, 4), 204);
}

static void
write_and_verify_catches_a_lying_disk(void **state)
{
	struct fix *f = *state;
	struct fault_rule lost = { .action = FAULT_LOST,
	    .kinds = 1u << IO_WRITE };
	uint8_t data[1024];

	memset(data, 0x66, sizeof(data));
	run16(f, 0x8e, 2, 0, 2, data, sizeof(data), 0);
	expect_good(&r);
	assert_int_equal(f->mem[1023], 0x66);
	assert_int_equal(blk_fault_add(f->fault, &lost), 0);
	run16(f, 0x8e, 2, 4, 2, data, sizeof(data), 0);
	expect_sense(&r, 0x0e, 0x1d, 0);
	run16(f, 0x8e, 6, 4, 2, data, sizeof(data), 0);
	expect_sense(&r, 5, 0x24, 0);
}

/* --- WRITE SAME, UNMAP, GET LBA STATUS --- */

static void
write_same_repeats_a_pattern(void **state)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = 8 * MIB,
	    .block = 512 });
	uint8_t block[512];

	(void)state;
	f->nexus[A]->luns[0]->ua = 0;
	for (unsigned i = 0; i < 512; i++)
		block[i] = (uint8_t)(i * 7);
	run16(f, 0x93, 0, 3, 5000, block, 512, 0);
	expect_good(&r);
	for (unsigned b = 3; b < 5003; b++)
		assert_memory_equal(f->mem + b * 512, block, 512);
	assert_int_equal(f->mem[3 * 512 - 1], 0);
	assert_int_equal(f->mem[5003 * 512 + 1], 0);
	run16(f, 0x93, 8, 3, 10, block, 512, 0);	/* not thin */
	expect_sense(&r, 5, 0x24, 0);
	fix_free(f);
}

static void
write_same_without_data_or_with_zeroes_unmaps(void **state)
{
	struct fix *f = *state;
	uint8_t zero[512] = { 0 }, data[16 * 512];

	memset(data, 1, sizeof(data));
	run16(f, 0x8a, 0, 0, 16, data, sizeof(data), 0);
	run16(f, 0x93, 0x09, 0, 8, NULL, 0, 0);
	expect_good(&r);
	run16(f, 0x9e, 0x12, 0, 64, NULL, 0, 64);
	expect_good(&r);
	assert_int_equal(be(r.data + 16, 4), 8);
	assert_int_equal(r.data[20], 1);
	run16(f, 0x93, 0x08, 8, 8, zero, 512, 0);
	expect_good(&r);
	for (unsigned i = 0; i < sizeof(data); i++)
		assert_int_equal(f->mem[i], 0);
	run16(f, 0x93, 0x08, 8, 8, data, 512, 0);	/* not zero: written */
	expect_good(&r);
	assert_int_equal(f->mem[8 * 512], 1);
	run16(f, 0x93, 0x00, 8, 8, zero, 1024, 0);
	expect_sense(&r, 5, 0x0e, 3);
	run16(f, 0x93, 0x08, 8, 8, zero, 256, 0);
	expect_sense(&r, 5, 0x0e, 3);
}

static void
unmap_checks_the_list_before_it_changes_anything(void **state)
{
	struct fix *f = *state;
	uint8_t list[40];
	struct wire_out out = wire_out(list, sizeof(list));

	fill(f, 0, 16, 7);
	put_be16(&out, 38);
	put_be16(&out, 32);
	put_be32(&out, 0);
	put_be64(&out, 0);
	put_be32(&out, 8);
	put_be32(&out, 0);
	put_be64(&out, 2048);
	put_be32(&out, 1);
	put_be32(&out, 0);
	unmap(f, list, 40);
	expect_sense(&r, 5, 0x21, 0);
	assert_int_equal(f->mem[0], 7);
	unmap(f, list, 39);
	expect_sense(&r, 5, 0x1a, 0);
	unmap(f, list, 7);
	expect_sense(&r, 5, 0x1a, 0);
	unmap(f, list, 0);
	expect_good(&r);
	list[35] = 0;			/* second descriptor: 0 blocks */
	unmap(f, list, 40);
	expect_good(&r);
	assert_int_equal(f->mem[8 * 512 - 1], 0);
	assert_int_equal(f->mem[8 * 512], 7);
}

static void
lba_status_describes_each_run(void **state)
{
	struct fix *f = *state;
	uint8_t data[8 * 512] = { 1 };

	run16(f, 0x8a, 0, 16, 8, data, sizeof(data), 0);
	run16(f, 0x9e, 0x12, 3, 256, NULL, 0, 256);
	expect_good(&r);
	assert_int_equal(be(r.data, 4), 4 + 3 * 16);
	assert_int_equal(be(r.data + 8, 8), 3);
	assert_int_equal(be(r.data + 16, 4), 13);
	assert_int_equal(r.data[20], 1);
	assert_int_equal(be(r.data + 24, 8), 16);
	assert_int_equal(be(r.data + 32, 4), 8);
	assert_int_equal(r.data[36], 0);
	assert_int_equal(be(r.data + 40, 8), 24);
	assert_int_equal(be(r.data + 48, 4), 2048 - 24);
	run16(f, 0x9e, 0x12, 3, 24, NULL, 0, 24);
	expect_good(&r);
	assert_int_equal(r.cmd.in_valid, 24);
	run16(f, 0x9e, 0x12, 2048, 24, NULL, 0, 24);
	expect_sense(&r, 5, 0x21, 0);
}

/* --- policies --- */

static unsigned
writes_with_fua(struct fix *f, uint8_t flags)
{
	uint8_t data[512] = { 5 };

	blk_fault_volatile_cache(f->fault, true);
	run16(f, 0x8a, flags, 0, 1, data, 512, 0);
	expect_good(&r);
	blk_fault_power_cut(f->fault, 1);
	blk_fault_power_on(f->fault);
	return f->mem[0] == 5;
}

static void
durable_writes_survive_a_power_cut(void **state)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = MIB,
	    .block = 512, .durable = true, .write_through = true });

	(void)state;
	f->nexus[A]->luns[0]->ua = 0;
	assert_int_equal(writes_with_fua(f, 0), 1);
	fix_run(f, &r, A, CDB(0x1a, 8, 8, 0, 255, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.data[4 + 2] & 4, 0);		/* WCE */
	fix_free(f);
}

static void
cached_writes_survive_with_fua(void **state)
{
	struct fix *f = *state;

	assert_int_equal(writes_with_fua(f, 8), 1);
	fix_run(f, &r, A, CDB(0x1a, 8, 8, 0, 255, 0), NULL, 0, 255);
	expect_good(&r);
	assert_int_equal(r.data[4 + 2] & 4, 4);
	assert_int_equal(r.data[2] & 0x10, 0x10);	/* DPOFUA */
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transfer_length_limit_is_exact),
		cmocka_unit_test(write_same_limit_is_exact),
		cmocka_unit_test(unmap_limits_are_exact),
		T(compare_and_write_limit_is_exact),
		T(miscompare_tells_the_byte_and_writes_nothing),
		T(compare_and_write_wants_both_halves),
		T(concurrent_compare_and_writes_lose_no_update),
		T(compare_and_write_waits_for_older_writes),
		T(orwrite_sets_bits),
		T(verify_compares_across_pieces),
		T(verify_with_one_block_compares_each),
		T(verify_reads_what_cannot_be_read),
		T(a_medium_error_names_the_block),
		T(write_and_verify_catches_a_lying_disk),
		cmocka_unit_test(write_same_repeats_a_pattern),
		T(write_same_without_data_or_with_zeroes_unmaps),
		T(unmap_checks_the_list_before_it_changes_anything),
		T(lba_status_describes_each_run),
		cmocka_unit_test(durable_writes_survive_a_power_cut),
		T(cached_writes_survive_with_fua),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
