/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/convert.c: the consistency policy of a running array is changed. */
#include "tests/unit/raid_util.h"

#define CHUNK 16384u
#define POLICIES 3u

static struct world world;
static struct raid_assemble as;

static void
start(struct world *w, enum raid_policy policy)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, 4, 4 * MIB, 512);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, CHUNK, policy);
}

static int
convert(struct world *w, enum raid_policy policy)
{
	struct raid_convert c = { .raid = w->raid, .policy = policy };

	raid_convert_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	return c.err.code;
}

static int
only_check(struct world *w, enum raid_policy policy)
{
	struct raid_convert c = { .raid = w->raid, .policy = policy,
		.only_check = true };

	raid_convert_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	return c.err.code;
}

static void
get_sb(struct world *w, unsigned i, struct sb1 *sb)
{
	assert_int_equal(sb1_decode(sb, blk_ram_data(w->ram[i]) + SB1_OFFSET,
	    SB1_BYTES, NULL), 0);
}

static enum raid_policy
policy_of(const struct sb1 *sb)
{
	if ((sb->feature_map & SB1_BITMAP) != 0)
		return RAID_POLICY_BITMAP;
	return sb1_log_bits(sb) != 0 ? RAID_POLICY_PPL : RAID_POLICY_RESYNC;
}

/* Does this member hold what the policy asks for, as Linux looks at it? */
static void
check_log(struct world *w, unsigned i, const struct sb1 *best)
{
	const uint8_t *data = blk_ram_data(w->ram[i]);
	struct ppl_header header;
	struct bitmap_sb bsb;
	struct sb1 sb;

	get_sb(w, i, &sb);
	assert_true(sb.events + 1 >= best->events);
	if (policy_of(best) == RAID_POLICY_PPL) {
		assert_int_equal(policy_of(&sb), RAID_POLICY_PPL);
		assert_true(ppl_find(&header, data + (SB1_SECTOR +
		    (uint64_t)sb.ppl_offset) * 512, sb.ppl_size * SECTOR,
		    ppl_signature(sb.set_uuid)) >= 0);
	} else if (policy_of(best) == RAID_POLICY_BITMAP) {
		assert_true(bitmap_decode(&bsb, data + (SB1_SECTOR +
		    (uint64_t)best->bitmap_offset) * 512, 4096,
		    sb.set_uuid));
		assert_true(bsb.events >= best->events);
	}
}

/* What Linux insists on; returns the policy that it would see. */
static enum raid_policy
check_disks(struct world *w)
{
	struct sb1 best, sb;

	get_sb(w, 0, &best);
	for (unsigned i = 1; i < w->n; i++) {
		get_sb(w, i, &sb);
		if (sb.events > best.events)
			best = sb;
	}
	/* Of equally fresh ones it takes the first: any may be that. */
	for (unsigned k = 0; k < w->n; k++) {
		get_sb(w, k, &sb);
		for (unsigned i = 0; i < w->n && sb.events == best.events; i++)
			check_log(w, i, &sb);
	}
	return policy_of(&best);
}

static void
settle(struct world *w)
{
	struct raid_info info;

	do {
		wait_ms(w, 20);
		raid_get_info(w->raid, &info);
	} while (!info.clean || info.task != RAID_TASK_NONE);
}

static void
wait_for_sweep(struct world *w)
{
	struct raid_info info;

	for (raid_get_info(w->raid, &info); info.task != RAID_TASK_NONE;
	    raid_get_info(w->raid, &info))
		wait_ms(w, 1);
}

static void
any_policy_becomes_any_other(void **state)
{
	struct world *w = &world;

	(void)state;
	for (unsigned k = 0; k < POLICIES * POLICIES; k++) {
		enum raid_policy from = (enum raid_policy)(k / POLICIES);
		enum raid_policy to = (enum raid_policy)(k % POLICIES);
		struct raid_info info;

		start(w, from);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(batch(w, 100 * KIB), 0);
		assert_int_equal(only_check(w, to), 0);
		assert_int_equal(check_disks(w), from);
		assert_int_equal(convert(w, to), 0);
		assert_int_equal(check_disks(w), to);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(batch(w, 100 * KIB), 0);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.spec.policy, to);
		assert_true((info.ppl_headers > 0) == (from ==
		    RAID_POLICY_PPL || to == RAID_POLICY_PPL));
		compare_all(w);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(array_stop(w), 0);
		assert_int_equal(check_disks(w), to);
		assemble_without(w, &as, 0, false);
		assert_non_null(w->raid);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.spec.policy, to);
		compare_all(w);
		assert_int_equal(world_stop(w), 0);
	}
}

/* Round and round while requests of all kinds are in flight. */
static void
it_changes_under_load(void **state)
{
	struct world *w = &world;
	struct raid_convert c[12];

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	for (unsigned i = 0; i < nitems(c); i++) {
		c[i] = (struct raid_convert){ .raid = w->raid,
			.policy = (enum raid_policy)((i * 2 + i / 3 + 1) %
			POLICIES) };
		raid_convert_start(&c[i], NULL);
		for (unsigned k = 0; k < 1 + i % 3; k++)
			assert_int_equal(batch(w, 200 * KIB), 0);
		loop_run_op(w->loop, &c[i].op);
		assert_int_equal(c[i].err.code, 0);
		assert_int_equal(w->raid->spec.policy, c[i].policy);
	}
	compare_all(w);
	assert_int_equal(parity_errors(w), 0);
	assert_int_equal(array_stop(w), 0);
	(void)check_disks(w);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* --- power cuts --- */

static unsigned until_cut;

static void
cut_submit(struct blk *blk, struct io *io)
{
	struct keep *keep = container_of(blk, struct keep, blk);

	if (until_cut > 0 && --until_cut == 0)
		for (unsigned i = 0; i < world.n; i++)
			blk_fault_power_cut(world.fault[i], 77 * i +
			    world.seed);
	blk_forward(keep->lower, io);
}

static const struct blk_ops cut_ops = {
	.type = "keep", .submit = cut_submit, .close = keep_close,
};

/* A record of md's, where the second one of the next log may be. */
static void
leave_record(struct world *w, unsigned i)
{
	struct ppl_header header = { .generation = UINT64_C(1) << 40,
		.signature = w->raid->ppl_signature, .nentries = 1,
		.entry[0] = { .data_size = 4096, .parity_disk = i } };

	ppl_encode(&header, blk_ram_data(w->ram[i]) + 16 * SECTOR +
	    PPL_HEADER);
}

static void
start_with_caches(struct world *w, enum raid_policy from)
{
	start(w, from);
	for (unsigned i = 0; i < w->n; i++) {
		w->keep[i].blk.ops = &cut_ops;
		blk_fault_volatile_cache(w->fault[i], true);
	}
	assert_int_equal(batch(w, 60 * KIB), 0);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	for (unsigned i = 0; i < w->n && from != RAID_POLICY_PPL; i++)
		leave_record(w, i);
}

static void
check_logs_are_empty(struct world *w)
{
	struct ppl_header header;
	struct sb1 sb;

	for (unsigned i = 0; i < w->n; i++) {
		get_sb(w, i, &sb);
		assert_true(ppl_find(&header, blk_ram_data(w->ram[i]) +
		    (SB1_SECTOR + (uint64_t)sb.ppl_offset) * 512,
		    sb.ppl_size * SECTOR, ppl_signature(sb.set_uuid)) >= 0);
		assert_int_equal(header.nentries, 0);
	}
}

/* False: it came to its end before. */
static bool
cut_at(enum raid_policy from, enum raid_policy to, unsigned at)
{
	struct world *w = &world;
	enum raid_policy seen;
	bool cut, dirty;

	start_with_caches(w, from);
	w->seed += at;
	until_cut = at;
	(void)convert(w, to);
	cut = until_cut == 0;
	until_cut = 0;
	if (!cut)
		for (unsigned i = 0; i < w->n; i++)
			blk_fault_power_cut(w->fault[i], w->seed + i);
	(void)array_stop(w);
	for (unsigned i = 0; i < w->n; i++)
		blk_fault_power_on(w->fault[i]);
	seen = check_disks(w);
	assert_true(seen == from || seen == to || seen == RAID_POLICY_RESYNC);
	assert_true(cut || seen == to);
	if (seen == RAID_POLICY_PPL && from != RAID_POLICY_PPL)
		check_logs_are_empty(w);
	assemble_without(w, &as, 0, false);
	assert_non_null(w->raid);
	assert_int_equal(as.nrejected, 0);
	assert_true(w->raid->spec.policy == seen ||
	    w->raid->spec.policy == RAID_POLICY_RESYNC);
	dirty = w->raid->dirty_on_disk;
	compare_all(w);
	assert_int_equal(batch(w, 60 * KIB), 0);
	if (dirty)
		settle(w);
	wait_for_sweep(w);
	(void)check_disks(w);
	assert_int_equal(convert(w, to), 0);
	assert_int_equal(do_flush(raid_blk(w->raid)), 0);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
	return cut;
}

static void
power_may_go_at_any_io(void **state)
{
	(void)state;
	for (unsigned k = 0; k < POLICIES * POLICIES; k++) {
		unsigned at = 1;

		if (k / POLICIES == k % POLICIES)
			continue;
		while (cut_at((enum raid_policy)(k / POLICIES),
		    (enum raid_policy)(k % POLICIES), at))
			at++;
		assert_true(at > 4 * 2);	/* updates, at least two */
	}
}

/* --- members lost on the way --- */

/* A member fails at I/O `at` of the conversion. */
static void
lose_at(enum raid_policy from, enum raid_policy to, unsigned at, unsigned who)
{
	struct world *w = &world;
	struct raid_info info;

	start(w, from);
	assert_int_equal(batch(w, 60 * KIB), 0);
	add_fault(w, who, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .skip = at,
	    .kinds = 1u << IO_WRITE | 1u << IO_ZERO | 1u << IO_FLUSH });
	/* What cannot be done whole is not begun. */
	if (convert(w, to) != 0)
		assert_int_equal(w->raid->spec.policy, from);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(batch(w, 60 * KIB), 0);
	compare_all(w);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 1);
	assert_false(info.failed);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << who, true);
	assert_non_null(w->raid);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_member_may_fail_on_the_way(void **state)
{
	(void)state;
	for (unsigned k = 0; k < POLICIES * POLICIES; k++) {
		if (k / POLICIES == k % POLICIES)
			continue;
		for (unsigned at = 0; at < 8; at++)
			for (unsigned who = 0; who < 2; who++)
				lose_at((enum raid_policy)(k / POLICIES),
				    (enum raid_policy)(k % POLICIES), at, who);
	}
}

/* --- refusals --- */

static void
it_is_refused_while_a_member_is_missing(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, RAID_POLICY_PPL);
	assert_int_equal(fail_member_now(w, 2), 0);
	assert_int_equal(only_check(w, RAID_POLICY_BITMAP), EBUSY);
	assert_int_equal(convert(w, RAID_POLICY_BITMAP), EBUSY);
	assert_int_equal(w->raid->spec.policy, RAID_POLICY_PPL);
	assert_int_equal(batch(w, 60 * KIB), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
it_is_refused_without_room(void **state)
{
	struct world *w = &world;
	struct sb1 *sb;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	/* As mdadm makes it: a bad-block log 16 sectors after; little more. */
	sb = &w->raid->member[1].sb;
	sb->bblog_offset = 16;
	sb->data_offset = 100;
	assert_int_equal(convert(w, RAID_POLICY_PPL), ENOSPC);
	sb->bblog_offset = 12;
	assert_int_equal(convert(w, RAID_POLICY_BITMAP), ENOSPC);
	sb->data_offset = w->raid->member[0].sb.data_offset;
	sb->bblog_offset = 16;
	assert_int_equal(batch(w, 60 * KIB), 0);
	/* Behind the bad-block log there is enough. */
	assert_int_equal(convert(w, RAID_POLICY_PPL), 0);
	assert_int_equal(sb->ppl_offset, 24);
	assert_true(sb->ppl_size * SECTOR >= PPL_AREA_MIN);
	assert_int_equal(batch(w, 60 * KIB), 0);
	assert_int_equal(convert(w, RAID_POLICY_BITMAP), 0);
	assert_int_equal(sb->bitmap_offset, 8);
	assert_int_equal(w->raid->bitmap->nblocks, 1);
	assert_int_equal(batch(w, 60 * KIB), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* --- what the logs are good for afterwards --- */

static void
a_former_member_is_copied_in_part_after_a_change(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	struct raid_add add;

	(void)state;
	for (unsigned to = 0; to < POLICIES; to++) {
		start(w, to == RAID_POLICY_BITMAP ? RAID_POLICY_PPL :
		    RAID_POLICY_BITMAP);
		assert_int_equal(batch(w, 60 * KIB), 0);
		assert_int_equal(convert(w, (enum raid_policy)to), 0);
		assert_int_equal(fail_member_now(w, 1), 0);
		assert_int_equal(do_write(raid_blk(w->raid), 0, 4096, 9, 0),
		    0);
		memset(w->model, 9, 4096);
		assert_int_equal(array_stop(w), 0);
		assemble_without(w, &as, 1u << 1, true);
		assert_non_null(w->raid);
		memset(&add, 0, sizeof(add));
		add.raid = w->raid;
		add.blk = &w->keep[1].blk;
		raid_add_start(&add, NULL);
		loop_run_op(w->loop, &add.op);
		assert_int_equal(add.err.code, 0);
		settle(w);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.degraded, 0);
		if (to != RAID_POLICY_BITMAP)	/* its bits are too coarse */
			assert_true(info.member[1].write_bytes < 256 * KIB);
		compare_all(w);
		assert_int_equal(parity_errors(w), 0);
		assert_int_equal(world_stop(w), 0);
	}
}

/*
 * Old records are wiped from the place of a new log, and that is durable
 * before its first header: who cannot promise it has failed.
 */
static void
the_place_of_a_log_is_flushed_before_it_is_used(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	start(w, RAID_POLICY_RESYNC);
	raid_get_info(w->raid, &info);
	assert_true(info.clean);	/* nothing else is to be flushed */
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .kinds = 1u << IO_FLUSH, .err = EIO, .count = 1 });
	(void)convert(w, RAID_POLICY_PPL);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 1);
	assert_int_equal(info.member[1].state, RAID_MEMBER_FAULTY);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_place_of_a_log_is_flushed_before_it_is_used),
		cmocka_unit_test(any_policy_becomes_any_other),
		cmocka_unit_test(it_changes_under_load),
		cmocka_unit_test(power_may_go_at_any_io),
		cmocka_unit_test(a_member_may_fail_on_the_way),
		cmocka_unit_test(it_is_refused_while_a_member_is_missing),
		cmocka_unit_test(it_is_refused_without_room),
		cmocka_unit_test(
		    a_former_member_is_copied_in_part_after_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
