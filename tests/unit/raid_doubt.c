/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raid/doubt*.c and what the rest makes of it: where the parity is not known
 * to be right nothing is reconstructed, and that is not forgotten.
 */
#include "tests/unit/raid_util.h"

#include <limits.h>

#define CHUNK 16384u
#define LOG_OFF 8192u		/* of the partial parity log on a member */

static struct world world;
static struct raid_assemble as;
static struct raid_info info;

/* --- the set --- */

#define BYTES 512u

static void
check_set(const struct doubt *d, const uint8_t *want)
{
	for (unsigned i = 0; i < d->set.n; i++) {
		assert_true(d->set.range[i].lo < d->set.range[i].hi);
		assert_true(i == 0 ||
		    d->set.range[i - 1].hi < d->set.range[i].lo);
	}
	for (unsigned i = 0; i < BYTES; i++) {
		uint64_t next = i;

		assert_int_equal(doubt_overlaps(d, i, i + 1), want[i]);
		while (next < BYTES && want[next] == 0)
			next++;
		assert_int_equal(doubt_next(d, i), next == BYTES ?
		    UINT64_MAX : next);
	}
}

static void
a_set_of_ranges_agrees_with_one_of_bytes(void **state)
{
	struct doubt d, e;
	uint8_t want[BYTES] = { 0 }, keep[BYTES] = { 0 };
	uint64_t seed = 7;

	(void)state;
	assert_true(doubt_init(&d) && doubt_init(&e));
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t lo, hi;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		lo = (seed >> 33) % BYTES;
		hi = MIN(lo + (seed >> 20) % 60, BYTES);
		if ((seed >> 50) % 2 == 0)
			doubt_add(&d, lo, hi);
		else
			assert_true(doubt_settle(&d, lo, hi));
		memset(want + lo, (seed >> 50) % 2 == 0, hi - lo);
		check_set(&d, want);
		if (i % 100 != 99)
			continue;
		doubt_limit(&e, &d);
		for (unsigned k = 0; k < BYTES; k++)
			keep[k] &= want[k];
		check_set(&e, keep);
		doubt_copy(&e, &d);
		memcpy(keep, want, sizeof(keep));
		assert_true(doubt_equal(&d, &e));
	}
	doubt_fini(&d);
	doubt_fini(&e);
}

static void
a_full_set_grows_rather_than_forgets(void **state)
{
	struct doubt d;

	(void)state;
	assert_true(doubt_init(&d));
	for (uint64_t i = 0; i < DOUBT_MAX; i++)
		doubt_add(&d, i * 100, i * 100 + (i == 50 ? 60 : 50));
	assert_int_equal(d.set.n, DOUBT_MAX);
	assert_false(doubt_settle(&d, 110, 120));	/* it would split */
	assert_true(doubt_overlaps(&d, 110, 120));
	assert_true(doubt_settle(&d, 100, 150));
	doubt_add(&d, DOUBT_MAX * 100, DOUBT_MAX * 100 + 1);
	doubt_add(&d, DOUBT_MAX * 100 + 50, DOUBT_MAX * 100 + 51);
	assert_int_equal(d.set.n, DOUBT_MAX);
	assert_true(doubt_overlaps(&d, DOUBT_MAX * 100, DOUBT_MAX * 100 + 1));
	assert_true(doubt_overlaps(&d, 5060, 5100));	/* narrowest gap */
	assert_false(doubt_overlaps(&d, 100, 200));
	doubt_fini(&d);
}

static void
a_record_decodes_as_it_was_encoded(void **state)
{
	static uint8_t buf[DOUBT_SLOT];
	static const uint8_t uuid[16] = "sixteen bytes..";
	struct doubt d, e;
	uint64_t generation;
	size_t len;

	(void)state;
	assert_true(doubt_init(&d) && doubt_init(&e));
	for (uint64_t i = 0; i < 300; i++)
		doubt_add(&d, i * 8192, i * 8192 + 4096);
	len = doubt_encode(&d, uuid, 99, buf);
	assert_true(doubt_decode(&e, buf, uuid, 300 * 8192, &generation));
	assert_int_equal(generation, 99);
	assert_true(doubt_equal(&d, &e));
	assert_false(doubt_decode(&e, buf, uuid, 8192, &generation));
	assert_false(doubt_decode(&e, buf, (const uint8_t *)"another set uuid",
	    300 * 8192, &generation));
	for (size_t i = 0; i < len; i += 7) {
		buf[i] ^= 1;
		assert_false(doubt_decode(&e, buf, uuid, 300 * 8192,
		    &generation));
		buf[i] ^= 1;
	}
	doubt_clear(&d);
	doubt_encode(&d, uuid, 100, buf);
	assert_true(doubt_decode(&e, buf, uuid, 8192, &generation));
	assert_int_equal(e.set.n, 0);
	doubt_fini(&d);
	doubt_fini(&e);
}

/* --- arrays --- */

/* An array of 3 full of data, and a blank disk. */
static void
start(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, 4, 2 * MIB, 512);
	w->n = 3;
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
	for (uint64_t off = 0; off < w->size; off += REQ_MAX) {
		uint64_t len = MIN(w->size - off, (uint64_t)REQ_MAX);

		for (uint64_t k = 0; k < len; k += 8)
			memcpy(w->model + off + k, &(uint64_t){ rnd(w) }, 8);
		assert_int_equal(do_io(raid_blk(w->raid), IO_WRITE, off, len,
		    w->model + off, 0), 0);
	}
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
}

/* Where chunk d of a stripe begins in the array. */
static uint64_t
chunk_off(const struct world *w, uint64_t stripe, unsigned d)
{
	return raid_map_offset(&w->raid->map, stripe, d, 0);
}

static void
spoil_parity(struct world *w, uint64_t stripe)
{
	memset(member_bytes(w, raid_map_parity(&w->raid->map, stripe),
	    stripe * CHUNK), 0x55, CHUNK);
}

/* Start it, but let the resync get to row 32 at most. */
static void
start_and_cancel(struct world *w)
{
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_READ, .off = 2 * MIB + 32 * CHUNK,
	    .len = 2 * MIB - 32 * CHUNK, .delay_ms = 50 });
	assemble_without(w, &as, 0, false);
	if (as.raid == NULL)
		print_message("%s\n", as.err.text);
	assert_non_null(as.raid);
	assert_int_equal(w->raid->member[0].data_off, 2 * MIB);
	raid_task_cancel(w->raid);
	wait_task_end(w, &info);
	blk_fault_clear(w->fault[0]);
	assert_true(row_in_doubt(w->raid, 64));
	assert_false(row_in_doubt(w->raid, 3));
}

/* The first byte of [off, off + len) that reads as an error. */
static uint64_t
first_error(struct world *w, uint64_t off, uint64_t len)
{
	one_io_start(&w->io[0], raid_blk(w->raid), IO_READ, off, len, w->seen,
	    0);
	loop_run_op(w->loop, &w->io[0].op);
	assert_int_equal(w->io[0].io.result, -EIO);
	assert_memory_equal(w->seen, w->model + off,
	    w->io[0].io.failed_at);
	return off + w->io[0].io.failed_at;
}

/* -errno, or whether it reads as it should. */
static int
reads_right(struct world *w, uint64_t off, uint64_t len)
{
	int rc = do_io(raid_blk(w->raid), IO_READ, off, len, w->seen, 0);

	return rc < 0 ? rc : memcmp(w->seen, w->model + off, len) == 0;
}

static int
write_model(struct world *w, uint64_t off, uint64_t len, unsigned flags)
{
	for (uint64_t k = 0; k < len; k += 8)
		memcpy(w->model + off + k, &(uint64_t){ rnd(w) }, 8);
	return do_io(raid_blk(w->raid), IO_WRITE, off, len, w->model + off,
	    flags);
}

/* The lost chunk of stripe 64 is in doubt, all else of the stripe is right. */
static void
check_doubt(struct world *w)
{
	assert_int_equal(reads_right(w, chunk_off(w, 64, 0), CHUNK), -EIO);
	assert_int_equal(reads_right(w, chunk_off(w, 64, 0) + 512, 512), -EIO);
	assert_int_equal(reads_right(w, chunk_off(w, 64, 1), CHUNK), 1);
	assert_int_equal(reads_right(w, chunk_off(w, 3, 0), CHUNK), 1);
}

static void
what_is_in_doubt_is_not_reconstructed(void **state)
{
	struct world *w = &world;
	unsigned lost;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	lose_power(w, UINT_MAX);
	start_and_cancel(w);
	spoil_parity(w, 64);
	lost = raid_map_role(&w->raid->map, 64, 0);
	assert_int_equal(fail_member_now(w, lost), 0);
	check_doubt(w);
	/* A write beside it changes nothing. */
	assert_int_equal(write_model(w, chunk_off(w, 64, 1), 4096, 0), 0);
	check_doubt(w);
	/* Nor does a restart. */
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << lost, false);
	assert_non_null(as.raid);
	check_doubt(w);
	/* What is written is known again, and nothing else. */
	assert_int_equal(write_model(w, chunk_off(w, 65, 0) + 4096, 4096, 0),
	    0);
	assert_int_equal(write_model(w, chunk_off(w, 67, 0), 2 * CHUNK, 0), 0);
	for (unsigned round = 0; round < 2; round++) {
		check_doubt(w);
		assert_int_equal(reads_right(w, chunk_off(w, 65, 0) + 4096,
		    4096), 1);
		assert_int_equal(reads_right(w, chunk_off(w, 67, 0),
		    2 * CHUNK), 1);
		if (round == 1)
			break;
		assert_int_equal(array_stop(w), 0);
		assemble_without(w, &as, 1u << lost, false);
		assert_non_null(as.raid);
	}
	assert_int_equal(world_stop(w), 0);
}

static void
a_rebuild_does_not_trust_what_is_in_doubt(void **state)
{
	struct world *w = &world;
	unsigned lost;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	lose_power(w, UINT_MAX);
	start_and_cancel(w);
	spoil_parity(w, 64);
	lost = raid_map_role(&w->raid->map, 64, 0);
	assert_int_equal(fail_member_now(w, lost), 0);
	assert_int_equal(add(w, 3, false), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 0);
	for (unsigned round = 0; round < 3; round++) {
		check_doubt(w);
		assert_int_equal(write_model(w, chunk_off(w, 64, 1), 4096, 0),
		    0);
		if (round > 0)
			assert_int_equal(reads_right(w, chunk_off(w, 67, 0),
			    2 * CHUNK), 1);
		else	/* of a whole chunk all is known again */
			assert_int_equal(write_model(w, chunk_off(w, 67, 0),
			    CHUNK, 0), 0);
		if (round == 1)
			lose_power(w, lost);
		else
			assert_int_equal(array_stop(w), 0);
		assemble_without(w, &as, 1u << lost, false);
		assert_non_null(as.raid);
		wait_task_end(w, &info);
	}
	for (unsigned st = 0; st < 128; st++)
		for (unsigned d = 0; d < 2; d++)
			assert_int_equal(write_model(w, chunk_off(w, st, d),
			    CHUNK, 0), 0);
	assert_int_equal(w->raid->doubt.set.n, 0);
	compare_all(w);
	w->ram[lost] = w->ram[3];
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* No header in one log: what it said is not known. */
static void
tear_log(struct world *w, unsigned i)
{
	memset(blk_ram_data(w->ram[i]) + LOG_OFF, 0, 4096);
}

static void
wait_clean(struct world *w)
{
	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
	} while (!info.clean);
}

static void
a_pending_resync_is_not_forgotten_by_a_second_crash(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	lose_power(w, UINT_MAX);
	tear_log(w, 1);
	start_and_cancel(w);
	spoil_parity(w, 64);
	/* All logs have good headers again. */
	for (unsigned st = 0; st < 3; st++)
		assert_int_equal(write_model(w, chunk_off(w, st, 0), 4096, 0),
		    0);
	lose_power(w, UINT_MAX);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	wait_clean(w);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_write_into_doubt_stays_readable_after_a_crash(void **state)
{
	struct world *w = &world;
	unsigned lost;

	(void)state;
	start(w, RAID_POLICY_PPL);
	lose_power(w, UINT_MAX);
	tear_log(w, 1);
	start_and_cancel(w);
	spoil_parity(w, 64);
	lost = raid_map_role(&w->raid->map, 64, 0);
	assert_int_equal(fail_member_now(w, lost), 0);
	for (unsigned i = 0; i < 3; i++)
		if (i != lost)
			blk_fault_volatile_cache(w->fault[i], true);
	assert_int_equal(write_model(w, chunk_off(w, 67, 0), 4096, IO_FUA),
	    0);
	lose_power(w, lost);
	assemble_without(w, &as, 1u << lost, true);
	assert_non_null(as.raid);
	check_doubt(w);
	assert_int_equal(reads_right(w, chunk_off(w, 67, 0), 4096), 1);
	assert_int_equal(world_stop(w), 0);
}

/* As Linux leaves them after a crash, its logs naming nothing. */
static void
as_linux_left_it(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		uint8_t *raw = blk_ram_data(w->ram[i]);
		struct ppl_header empty = { 0 };
		struct sb1 sb;

		assert_int_equal(sb1_decode(&sb, raw + SB1_OFFSET, SB1_BYTES,
		    NULL), 0);
		sb.utime &= SB1_TIME_MASK;
		sb.resync_offset = 0;
		sb1_encode(&sb, raw + SB1_OFFSET);
		empty.signature = ppl_signature(sb.set_uuid);
		ppl_encode(&empty, raw + LOG_OFF);
	}
}

static void
foreign_logs_that_name_nothing_prove_nothing(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	spoil_parity(w, 64);
	assert_int_equal(array_stop(w), 0);
	as_linux_left_it(w);
	assemble_without(w, &as, 1u << 0, true);
	assert_null(as.raid);
	assert_int_equal(as.err.code, EUCLEAN);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	wait_clean(w);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
an_unreadable_log_is_not_a_torn_one(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	lose_power(w, UINT_MAX);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO, .off = LOG_OFF,
	    .len = 512 });
	assemble_without(w, &as, 1u << 0, true);
	assert_null(as.raid);
	assert_int_equal(as.err.code, EUCLEAN);
	/* A bad sector where the log says nothing does not matter. */
	blk_fault_clear(w->fault[1]);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO,
	    .off = LOG_OFF + 900 * KIB, .len = 512 });
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	world_free(w);
}

/* Complete, it is only a matter of time. */
static void
with_an_unreadable_log_a_whole_array_is_resynced(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	spoil_parity(w, 64);
	lose_power(w, UINT_MAX);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO, .off = LOG_OFF,
	    .len = 512 });
	assemble_without(w, &as, 0, true);
	assert_non_null(as.raid);
	wait_clean(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

/* --- superblocks that are not level --- */

static void
one_event_behind(struct sb1 *sb)
{
	sb->events--;
}

static void
a_member_one_behind_is_brought_level_first(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned skip = 0; skip < 3; skip++) {
		uint8_t *raw;
		struct sb1 sb;

		start(w, RAID_POLICY_RESYNC);
		assert_int_equal(array_stop(w), 0);
		raw = blk_ram_data(w->ram[1]) + SB1_OFFSET;
		assert_int_equal(sb1_decode(&sb, raw, SB1_BYTES, NULL), 0);
		one_event_behind(&sb);
		sb1_encode(&sb, raw);
		assemble_without(w, &as, 1u << 3, false);
		assert_non_null(as.raid);
		add_fault(w, 1, (struct fault_rule){ .action = FAULT_STALL,
		    .kinds = 1u << IO_WRITE, .off = SB1_OFFSET, .len = 4096,
		    .skip = skip });
		one_io_start(&w->io[0], raid_blk(w->raid), IO_WRITE, 0, CHUNK,
		    w->model, 0);
		wait_ms(w, 20);
		for (unsigned i = 0; i < w->n; i++)
			blk_fault_power_cut(w->fault[i], i + 1);
		loop_run_op(w->loop, &w->io[0].op);
		array_stop(w);
		for (unsigned i = 0; i < w->n; i++) {
			blk_fault_clear(w->fault[i]);
			blk_fault_power_on(w->fault[i]);
		}
		assemble_without(w, &as, 1u << 3, false);
		if (as.raid == NULL)
			print_message("skip %u: %s\n", skip, as.err.text);
		assert_non_null(as.raid);
		assert_int_equal(as.nrejected, 0);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

/* Only one superblock says clean, and its member is the next to go. */
static void
all_members_are_brought_level_at_the_start(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 1; i < w->n; i++) {
		uint8_t *raw = blk_ram_data(w->ram[i]) + SB1_OFFSET;
		struct sb1 sb;

		assert_int_equal(sb1_decode(&sb, raw, SB1_BYTES, NULL), 0);
		one_event_behind(&sb);
		sb.resync_offset = 0;
		sb1_encode(&sb, raw);
	}
	assemble_without(w, &as, 1u << 3, false);
	assert_non_null(as.raid);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 3 | 1u << 0, true);
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* --- resync --- */

static void
a_resync_goes_on_behind_an_unreadable_row(void **state)
{
	struct world *w = &world;
	uint64_t bad;
	unsigned role;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	role = raid_map_role(&w->raid->map, 64, 0);
	bad = chunk_off(w, 64, 0) + 8192;
	spoil_parity(w, 64);
	spoil_parity(w, 100);
	lose_power(w, UINT_MAX);
	add_fault(w, role, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_READ, .err = EIO, .len = 512,
	    .off = 2 * MIB + 64 * CHUNK + 8192 });
	for (unsigned round = 0; round < 2; round++) {
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		assert_int_equal(w->raid->member[role].data_off, 2 * MIB);
		wait_task_end(w, &info);
		assert_false(info.clean);
		assert_int_equal(w->raid->doubt.set.n, 1);
		assert_int_equal(w->raid->doubt.set.range[0].lo, 64 * CHUNK);
		assert_int_equal(w->raid->doubt.set.range[0].hi, 65 * CHUNK);
		assert_int_equal(info.in_doubt, CHUNK);
		assert_int_equal(parity_errors(w), CHUNK / 8);
		assert_int_equal(reads_right(w, bad, 512), -EIO);
		assert_int_equal(reads_right(w, bad - 8192, 8192), 1);
		assert_int_equal(reads_right(w, bad + 512, 3584), 1);
		assert_int_equal(first_error(w, bad - 40960, 400 * KIB), bad);
		assert_int_equal(first_error(w, bad - 512, 1024), bad);
		if (round == 0)
			assert_int_equal(array_stop(w), 0);
	}
	/* Once all of it is written again nothing is in doubt. */
	assert_int_equal(write_model(w, chunk_off(w, 64, 0), 2 * CHUNK, 0), 0);
	assert_int_equal(w->raid->doubt.set.n, 0);
	blk_fault_clear(w->fault[role]);
	wait_clean(w);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* --- a new array --- */

/* Of disks full of garbage that cannot be zeroed quickly. */
static void
start_slow(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, 4, 4 * MIB, 512);
	w->n = 3;
	for (unsigned i = 0; i < 4; i++) {
		w->keep[i].blk.geo.zero_fast = false;
		for (uint64_t k = 0; k < w->ram[i]->geo.size; k += 8)
			memcpy(blk_ram_data(w->ram[i]) + k,
			    &(uint64_t){ rnd(w) }, 8);
	}
	/* The first resync takes its time. */
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_DELAY,
	    .kinds = 1u << IO_READ, .off = 3 * MIB, .len = 3 * MIB,
	    .delay_ms = 50 });
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
}

static void
cancel_creation(void *arg)
{
	struct raid_create *create = arg;

	assert_null(create->raid);
	create->cancel = true;
}

/* Cancelled amid the zeroing: no array, and nobody finds one later. */
static void
a_creation_is_cancelled(void **state)
{
	struct world *w = &world;
	struct raid_create create = { 0 };
	struct timer timer = { 0 };

	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		memset(w, 0, sizeof(*w));
		world_disks(w, 3, 4 * MIB, 512);
		add_fault(w, 1, (struct fault_rule){ .action = FAULT_DELAY,
		    .kinds = 1u << (late ? IO_FLUSH : IO_ZERO),
		    .delay_ms = 60 });
		create = (struct raid_create){ .loop = w->loop };
		create.spec = (struct raid_spec){ .level = 5, .members = 3,
			.layout = RAID_LEFT_SYMMETRIC, .chunk_bytes = CHUNK };
		strcpy(create.spec.name, "test:array");
		for (unsigned i = 0; i < 3; i++)
			create.members[i] = &w->keep[i].blk;
		timer_start(w->loop, &timer, 20, cancel_creation, &create);
		raid_create_start(&create, NULL);
		loop_run_op(w->loop, &create.op);
		assert_null(create.raid);
		assert_int_equal(create.err.code, ECANCELED);
		assert_true(create.zeroed > 0);
		assemble_without(w, &as, 0, true);
		assert_null(as.raid);
		world_free(w);
	}
}

#define WRITTEN (2 * MIB)	/* somewhere in the middle of the array */
#define AT (4 * MIB)

static void
write_some(struct world *w)
{
	for (uint64_t off = AT; off < AT + WRITTEN; off += 40 * KIB)
		assert_int_equal(write_model(w, off, 20 * KIB, 0), 0);
}

static void
check_some(struct world *w)
{
	for (uint64_t off = AT; off < AT + WRITTEN; off += 40 * KIB)
		assert_int_equal(reads_right(w, off, 20 * KIB), 1);
}

static void
a_new_array_of_slow_disks_is_usable_at_once(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned policy = 0; policy < 3; policy++) {
		start_slow(w, (enum raid_policy)policy);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.task, RAID_TASK_RESYNC);
		assert_int_equal(info.in_doubt, 0);	/* it is blank */
		assert_false(info.clean);
		write_some(w);
		check_some(w);
		/* Neither a stop nor a crash loses where it was. */
		if (policy != RAID_POLICY_RESYNC)
			lose_power(w, UINT_MAX);
		else
			assert_int_equal(array_stop(w), 0);
		assemble_without(w, &as, 1u << 3, false);
		assert_non_null(as.raid);
		assert_true(row_in_doubt(w->raid,
		    w->raid->map.member_size / CHUNK - 1));
		check_some(w);
		blk_fault_clear(w->fault[0]);
		wait_clean(w);
		assert_int_equal(parity_errors(w), 0);
		check_some(w);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
a_disk_lost_during_the_first_resync_is_replaced(void **state)
{
	struct world *w = &world;
	uint8_t *all;

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		start_slow(w, round % 2 == 0 ? RAID_POLICY_RESYNC :
		    RAID_POLICY_PPL);
		write_some(w);
		if (round < 2) {
			assert_int_equal(fail_member_now(w, 1), 0);
		} else if (round == 3) {	/* the log knows */
			lose_power(w, UINT_MAX);
			assemble_without(w, &as, 1u << 1 | 1u << 3, true);
			assert_non_null(as.raid);
		} else {
			assert_int_equal(array_stop(w), 0);
			assemble_without(w, &as, 1u << 1 | 1u << 3, true);
			assert_non_null(as.raid);
		}
		check_some(w);
		/* What was never written is anything, but stays that. */
		all = malloc(w->size);
		for (uint64_t off = 0; off < w->size; off += REQ_MAX)
			assert_int_equal(do_io(raid_blk(w->raid), IO_READ, off,
			    MIN(w->size - off, (uint64_t)REQ_MAX), all + off,
			    0), 0);
		blk_fault_clear(w->fault[0]);
		assert_int_equal(add(w, 3, true), 0);
		wait_clean(w);
		wait_task_end(w, &info);
		assert_int_equal(info.degraded, 0);
		check_some(w);
		memcpy(w->model, all, w->size);
		compare_all(w);
		w->ram[1] = w->ram[3];
		assert_int_equal(parity_errors(w), 0);
		free(all);
		assert_int_equal(world_stop(w), 0);
	}
}

static void
a_new_array_of_quick_disks_is_zeroed(void **state)
{
	struct world *w = &world;

	(void)state;
	memset(w, 0, sizeof(*w));
	world_disks(w, 3, 2 * MIB, 512);
	for (unsigned i = 0; i < 3; i++)
		memset(blk_ram_data(w->ram[i]), 0x77, w->ram[i]->geo.size);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, RAID_POLICY_PPL);
	raid_get_info(w->raid, &info);
	assert_true(info.clean);
	assert_int_equal(info.task, RAID_TASK_NONE);
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_of_ranges_agrees_with_one_of_bytes),
		cmocka_unit_test(a_full_set_grows_rather_than_forgets),
		cmocka_unit_test(a_record_decodes_as_it_was_encoded),
		cmocka_unit_test(what_is_in_doubt_is_not_reconstructed),
		cmocka_unit_test(a_rebuild_does_not_trust_what_is_in_doubt),
		cmocka_unit_test(
		    a_pending_resync_is_not_forgotten_by_a_second_crash),
		cmocka_unit_test(
		    a_write_into_doubt_stays_readable_after_a_crash),
		cmocka_unit_test(foreign_logs_that_name_nothing_prove_nothing),
		cmocka_unit_test(an_unreadable_log_is_not_a_torn_one),
		cmocka_unit_test(
		    with_an_unreadable_log_a_whole_array_is_resynced),
		cmocka_unit_test(a_member_one_behind_is_brought_level_first),
		cmocka_unit_test(all_members_are_brought_level_at_the_start),
		cmocka_unit_test(a_resync_goes_on_behind_an_unreadable_row),
		cmocka_unit_test(a_creation_is_cancelled),
		cmocka_unit_test(a_new_array_of_slow_disks_is_usable_at_once),
		cmocka_unit_test(
		    a_disk_lost_during_the_first_resync_is_replaced),
		cmocka_unit_test(a_new_array_of_quick_disks_is_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
