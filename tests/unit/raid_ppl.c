/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/ppl*.c: the partial parity log, its bytes and what it saves. */
#include "raid/ppl.h"
#include "tests/unit/raid_util.h"

static struct world world;
static struct raid_assemble as;

static void
a_header_decodes_as_it_was_encoded(void **state)
{
	static struct ppl_header header, back;
	static uint8_t buf[PPL_HEADER];
	static const uint8_t check[] = "123456789";

	(void)state;
	assert_int_equal(ppl_crc(check, 9), 0xe3069283);	/* RFC 3720 */
	header.signature = 0x12345678;
	header.generation = 77;
	header.nentries = PPL_ENTRIES;
	for (unsigned i = 0; i < PPL_ENTRIES; i++)
		header.entry[i] = (struct ppl_entry){ i, i * 512, i * 1024,
			i % 5, i * 99 };
	ppl_encode(&header, buf);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(buf[i], 0xff);
	assert_int_equal(buf[512], 0x78);
	assert_int_equal(buf[520], 77);
	assert_int_equal(buf[528], PPL_ENTRIES);
	assert_true(ppl_decode(&back, buf, 0x12345678));
	assert_memory_equal(&back, &header, sizeof(back));
	assert_false(ppl_decode(&back, buf, 0x12345679));
	for (unsigned i = 0; i < PPL_HEADER; i += 13) {
		buf[i] ^= 1;
		assert_false(ppl_decode(&back, buf, 0x12345678));
		buf[i] ^= 1;
	}
}

static void
the_newest_header_of_a_chain_is_found(void **state)
{
	static uint8_t area[64 * 1024];
	struct ppl_header h = { .signature = 5, .nentries = 1 }, found;
	static const uint64_t generations[] = { 10, 11, 11, 4 };
	uint64_t at = 0;

	(void)state;
	assert_int_equal(ppl_find(&found, area, sizeof(area), 5), -1);
	for (unsigned i = 0; i < 4; i++) {
		h.generation = generations[i];
		h.entry[0].pp_size = 4096;
		ppl_encode(&h, area + at);
		at += 8192;
	}
	assert_int_equal(ppl_find(&found, area, sizeof(area), 5), 16384);
	assert_int_equal(found.generation, 11);
	h.entry[0].pp_size = UINT32_MAX;	/* beyond the area: not used */
	ppl_encode(&h, area);
	assert_int_equal(ppl_find(&found, area, sizeof(area), 5), -1);
}

static void
entries_of_plans_are_valid_and_others_are_not(void **state)
{
	struct raid_map map;
	static struct row_plan plan;
	struct row_span span;
	struct ppl_entry e;
	struct ppl_cover cover;
	uint64_t seed = 3;

	(void)state;
	raid_map_init(&map, 5, 2, 5, 128 * KIB, 4 * MIB, NULL);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t off, len, row;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		off = (seed >> 33) % (map.size / 512) * 512;
		len = MIN(512 + (seed >> 20) % 2000 * 512, map.size - off);
		row = raid_map_next_row(&map, 0, off, len);
		raid_map_span(&map, row, off, len, &span);
		row_plan_write(&plan, &map, &span, 0, 0, i % 2 == 0);
		for (unsigned k = 0; k < plan.nbands; k++) {
			ppl_entry_of_band(&e, &plan, &plan.band[k]);
			assert_true(ppl_entry_cover(&cover, &map, &e,
			    plan.parity));
			assert_int_equal(cover.len, plan.band[k].at.hi -
			    plan.band[k].at.lo);
			assert_int_equal(cover.first, plan.band[k].first);
			assert_false(ppl_entry_cover(&cover, &map, &e,
			    (plan.parity + 1) % 5));
			e.data_size += 1;
			assert_false(ppl_entry_cover(&cover, &map, &e,
			    plan.parity));
			e.data_sector = map.size / 512;
			assert_false(ppl_entry_cover(&cover, &map, &e,
			    plan.parity));
		}
	}
}

static void
ppl_start(struct world *w, unsigned n, uint32_t chunk)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n, 1 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, chunk, RAID_POLICY_PPL);
}

static void
random_requests_agree_with_the_model(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	for (unsigned n = 3; n <= 6; n++) {
		ppl_start(w, n, 4096u << n);
		for (unsigned i = 0; i < 40; i++) {
			if (i == 30)
				assert_int_equal(fail_member_now(w, n / 2), 0);
			assert_int_equal(batch(w, i % 3 == 0 ? 300 * 1024 :
			    8192), 0);
			if (i < 30)
				assert_int_equal(parity_errors(w), 0);
		}
		compare_all(w);
		raid_get_info(w->raid, &info);
		assert_true(info.ppl_headers > 0);
		assert_true(info.ppl_entries > info.ppl_headers);
		assert_int_equal(world_stop(w), 0);
		if (n == 6)
			print_message("%.1f entries per header\n",
			    (double)info.ppl_entries /
			    (double)info.ppl_headers);
	}
}

/* --- crashes --- */

/* Which sectors were being written, and what they may hold. */
static uint8_t *touched, *newer;

static void
note_touched(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct io *io = &w->io[i].io;

		memset(touched + io->off / 512, 1, io->len / 512);
		memcpy(newer + io->off, w->buf[i], io->len);
	}
}

/* Writes in flight when every member stops at a point of its own. */
static void
crash(struct world *w, uint64_t max_len)
{
	unsigned n = 0;

	memset(touched, 0, w->size / 512);
	for (unsigned i = 0; i < w->n; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_STALL,
		    .skip = (unsigned)(rnd(w) % 60) });
	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t len = 512 + rnd(w) % (max_len / 512) * 512;
		uint64_t off = rnd(w) % ((w->size - len) / 512) * 512;

		if (overlaps(w, n, off, len))
			continue;
		for (uint64_t k = 0; k < len; k++)
			w->buf[n][k] = (uint8_t)rnd(w);
		one_io_start(&w->io[n], raid_blk(w->raid), IO_WRITE, off, len,
		    w->buf[n], rnd(w) % 4 == 0 ? IO_FUA : 0);
		n++;
	}
	note_touched(w, n);
	wait_ms(w, 2);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_power_cut(w->fault[i], rnd(w));
	for (unsigned i = 0; i < n; i++)
		loop_run_op(w->loop, &w->io[i].op);
	array_stop(w);
	for (unsigned i = 0; i < w->n; i++) {
		blk_fault_clear(w->fault[i]);
		blk_fault_power_on(w->fault[i]);
	}
}

/*
 * Sectors not being written hold what they held.  The others hold old or new,
 * unless `lost`: then those of the lost member are unknown.
 */
static unsigned
compare_after_crash(struct world *w, bool lost)
{
	unsigned bad = 0;

	for (uint64_t off = 0; off < w->size; off += 65536)
		assert_int_equal(do_io(raid_blk(w->raid), IO_READ, off,
		    MIN(w->size - off, 65536), w->seen + off, 0), 0);
	for (uint64_t s = 0; s < w->size / 512; s++) {
		const uint8_t *p = w->seen + s * 512;

		if (memcmp(p, w->model + s * 512, 512) == 0)
			continue;
		if (touched[s] && (lost ||
		    memcmp(p, newer + s * 512, 512) == 0))
			continue;
		bad++;
	}
	return bad;
}

static void
crash_round(unsigned n, uint32_t chunk, uint64_t seed, int lost)
{
	struct world *w = &world;
	unsigned bad;

	ppl_start(w, n, chunk);
	w->seed = seed;
	touched = calloc(1, w->size / 512);
	newer = calloc(1, w->size);
	assert_non_null(touched);
	assert_non_null(newer);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_volatile_cache(w->fault[i], true);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(batch(w, i % 2 == 0 ? 40000 : 4096), 0);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	crash(w, seed % 3 == 0 ? 60000 : 6000);
	assemble_without(w, &as, lost < 0 ? 0 : 1u << lost, true);
	if (as.raid == NULL)
		print_message("%s\n", as.err.text);
	assert_non_null(as.raid);
	bad = compare_after_crash(w, lost >= 0);
	if (bad > 0)
		print_message("n %u chunk %u seed %llu lost %d: %u sectors\n",
		    n, chunk, (unsigned long long)seed, lost, bad);
	assert_int_equal(bad, 0);
	if (lost < 0) {
		struct raid_info info;

		do {
			wait_ms(w, 20);
			raid_get_info(w->raid, &info);
		} while (!info.clean);
		assert_int_equal(parity_errors(w), 0);
	}
	assert_int_equal(world_stop(w), 0);
	free(touched);
	free(newer);
}

static void
a_power_cut_spoils_only_what_was_in_flight(void **state)
{
	unsigned rounds = 0;

	(void)state;
	log_set_level(LOG_L_ERR);
	for (uint64_t seed = 1; seed <= 60; seed++) {
		unsigned n = 3 + (unsigned)seed % 3;

		for (int lost = 0; lost < (int)n; lost++, rounds++)
			crash_round(n, 4096u << seed % 4, seed, lost);
	}
	print_message("%u crashes, each with a member lost\n", rounds);
}

static void
parity_is_right_after_a_power_cut(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		crash_round(3 + (unsigned)seed % 3, 4096u << seed % 4, seed,
		    -1);
}

static void
replay_can_be_repeated(void **state)
{
	struct world *w = &world;
	uint64_t seed = 99;

	(void)state;
	ppl_start(w, 4, 16384);
	w->seed = seed;
	touched = calloc(1, w->size / 512);
	newer = calloc(1, w->size);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(batch(w, 40000), 0);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	crash(w, 6000);
	for (unsigned again = 0; again < 5; again++) {
		for (unsigned i = 0; i < w->n; i++)
			add_fault(w, i, (struct fault_rule){
			    .action = FAULT_ERROR, .err = ENODEV,
			    .kinds = 1u << IO_WRITE, .skip = again });
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		(void)array_stop(w);
		for (unsigned i = 0; i < w->n; i++)
			blk_fault_clear(w->fault[i]);
	}
	assemble_without(w, &as, 1u << 3, true);
	assert_non_null(as.raid);
	assert_int_equal(compare_after_crash(w, true), 0);
	assert_int_equal(world_stop(w), 0);
	free(touched);
	free(newer);
}

/* Without the log the same crash must be refused when a member is missing. */
static void
a_damaged_log_means_a_full_resync(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	ppl_start(w, 4, 16384);
	touched = calloc(1, w->size / 512);
	newer = calloc(1, w->size);
	assert_int_equal(batch(w, 40000), 0);
	crash(w, 6000);
	memset(blk_ram_data(w->ram[2]) + 16 * 512, 0, 4096);
	blk_ram_data(w->ram[1])[2 * MIB + 100] ^= 1;
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
	} while (!info.clean);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
	free(touched);
	free(newer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_decodes_as_it_was_encoded),
		cmocka_unit_test(the_newest_header_of_a_chain_is_found),
		cmocka_unit_test(entries_of_plans_are_valid_and_others_are_not),
		cmocka_unit_test(random_requests_agree_with_the_model),
		cmocka_unit_test(a_power_cut_spoils_only_what_was_in_flight),
		cmocka_unit_test(parity_is_right_after_a_power_cut),
		cmocka_unit_test(replay_can_be_repeated),
		cmocka_unit_test(a_damaged_log_means_a_full_resync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
