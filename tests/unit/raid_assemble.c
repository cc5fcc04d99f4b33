/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/assemble.c, create.c: who takes part, who is refused and why. */
#include "tests/unit/raid_util.h"

static struct world world;
static struct raid_assemble as;

/* A stopped array with data on n members. */
static struct world *
stopped(unsigned n)
{
	struct world *w = &world;

	world_start(w, n, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	assert_int_equal(array_stop(w), 0);
	return w;
}

static void
edit(struct world *w, unsigned i, void (*fn)(struct sb1 *sb))
{
	uint8_t *raw = blk_ram_data(w->ram[i]) + SB1_OFFSET;
	struct sb1 sb;

	assert_int_equal(sb1_decode(&sb, raw, SB1_BYTES, NULL), 0);
	fn(&sb);
	sb1_encode(&sb, raw);
}

/* What is on all disks, to see that nothing was written. */
static uint64_t
sum_disks(const struct world *w)
{
	uint64_t sum = 0, word;

	for (unsigned i = 0; i < w->n; i++)
		for (uint64_t at = 0; at < w->ram[i]->geo.size; at += 8) {
			memcpy(&word, blk_ram_data(w->ram[i]) + at, 8);
			sum = (sum ^ word) * 0x100000001b3;
		}
	return sum;
}

/* The array does not start, says why, and no disk is touched. */
static void
assert_refused(struct world *w, uint32_t without, bool degraded,
    const char *text)
{
	uint64_t before = sum_disks(w);

	assemble_without(w, &as, without, degraded);
	assert_null(as.raid);
	if (strstr(as.err.text, text) == NULL)
		print_message("want '%s' got '%s'\n", text, as.err.text);
	assert_non_null(strstr(as.err.text, text));
	assert_true(sum_disks(w) == before);
}

/* The array starts degraded without disk 1, which is refused. */
static void
assert_one_refused(struct world *w, const char *text)
{
	uint8_t *copy = malloc(w->ram[1]->geo.size);

	assert_non_null(copy);
	memcpy(copy, blk_ram_data(w->ram[1]), w->ram[1]->geo.size);
	assemble_without(w, &as, 0, true);
	if (as.raid == NULL)
		print_message("%s\n", as.err.text);
	assert_non_null(as.raid);
	assert_int_equal(as.nrejected, 1);
	assert_ptr_equal(as.rejected[0].blk, &w->keep[1].blk);
	if (strstr(as.rejected[0].why.text, text) == NULL)
		print_message("'%s'\n", as.rejected[0].why.text);
	assert_non_null(strstr(as.rejected[0].why.text, text));
	compare_all(w);
	assert_int_equal(batch(w, 50 * 1024), 0);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	assert_memory_equal(copy, blk_ram_data(w->ram[1]),
	    w->ram[1]->geo.size);
	free(copy);
}

static void
a_clean_array_comes_back_in_any_order(void **state)
{
	struct world *w = stopped(4);
	struct raid_info info;
	uint64_t before = sum_disks(w);

	(void)state;
	memset(&as, 0, sizeof(as));
	as.loop = w->loop;
	for (unsigned i = 0; i < 4; i++)
		as.blks[as.nblks++] = &w->keep[(i + 2) % 4].blk;
	raid_assemble_start(&as, NULL);
	loop_run_op(w->loop, &as.op);
	assert_non_null(as.raid);
	w->raid = as.raid;
	compare_all(w);
	raid_get_info(w->raid, &info);
	assert_true(info.clean);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.spec.name, "test:array");
	assert_string_equal(info.member[2].path, "disk2");
	assert_true(sum_disks(w) == before);	/* reading writes nothing */
	assert_int_equal(world_stop(w), 0);
}

static void
a_missing_member_needs_permission_once(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	assert_refused(w, 1u << 1, false, "member 1 is missing");
	assemble_without(w, &as, 1u << 1, true);
	assert_non_null(as.raid);
	assert_int_equal(batch(w, 50 * 1024), 0);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 1, false);	/* now it is known */
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	assert_one_refused(w, "stale");
	world_free(w);
}

static void
too_few_members_are_refused(void **state)
{
	struct world *w = stopped(4);

	(void)state;
	assert_refused(w, 3, true, "2 of 4 members are missing");
	assert_refused(w, 15, true, "none of the 0 disks");
	world_free(w);
}

static void
a_damaged_superblock_counts_as_missing(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	blk_ram_data(w->ram[1])[SB1_OFFSET + 300] ^= 1;
	assert_one_refused(w, "damaged or torn");
	world_free(w);
}

static void
make_foreign(struct sb1 *sb)
{
	sb->set_uuid[3] ^= 1;
}

static void
disks_of_different_arrays_need_a_choice(void **state)
{
	struct world *w = stopped(4);
	struct sb1 sb;

	(void)state;
	edit(w, 1, make_foreign);
	assert_refused(w, 0, true, "different arrays");
	assert_int_equal(sb1_decode(&sb, blk_ram_data(w->ram[0]) + SB1_OFFSET,
	    SB1_BYTES, NULL), 0);
	memset(&as, 0, sizeof(as));
	as.loop = w->loop;
	as.allow_degraded = true;
	memcpy(as.uuid, sb.set_uuid, 16);
	for (unsigned i = 0; i < 4; i++)
		as.blks[as.nblks++] = &w->keep[i].blk;
	raid_assemble_start(&as, NULL);
	loop_run_op(w->loop, &as.op);
	assert_non_null(as.raid);
	w->raid = as.raid;
	assert_int_equal(as.nrejected, 1);
	assert_non_null(strstr(as.rejected[0].why.text, "another array"));
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_cloned_disk_is_refused(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	memcpy(blk_ram_data(w->ram[1]), blk_ram_data(w->ram[0]),
	    w->ram[0]->geo.size);
	assert_refused(w, 0, true, "both the same device");
	world_free(w);
}

static void
take_role_of_0(struct sb1 *sb)
{
	sb->dev_number = 0;
}

static void
two_disks_with_one_role_are_refused(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	edit(w, 1, take_role_of_0);
	assert_refused(w, 0, true, "both member 0");
	world_free(w);
}

static void
a_truncated_image_is_refused(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	w->keep[1].blk.geo.size -= 512;
	assert_one_refused(w, "too small");
	world_free(w);
}

static void make_reshape(struct sb1 *sb) { sb->feature_map |= SB1_RESHAPE; }
static void make_journal(struct sb1 *sb) { sb->feature_map |= SB1_JOURNAL; }
static void make_cluster(struct sb1 *sb) { sb->feature_map |= SB1_CLUSTERED; }
static void make_level6(struct sb1 *sb) { sb->level = 6; }
static void make_chunk(struct sb1 *sb) { sb->chunksize = 3; }
static void make_layout(struct sb1 *sb) { sb->layout = 16; }
static void make_raid0(struct sb1 *sb) { sb->feature_map |= SB1_RAID0_LAYOUT; }
static void make_offset(struct sb1 *sb) { sb->feature_map |= SB1_NEW_OFFSET; }
static void make_wide(struct sb1 *sb) { sb->raid_disks = 20; }
static void make_size(struct sb1 *sb) { sb->size = 8; }

static void
foreign_features_are_refused(void **state)
{
	static const struct { void (*fn)(struct sb1 *sb); const char *text; }
	    cases[] = {
		{ make_reshape, "reshape" }, { make_journal, "journal" },
		{ make_cluster, "clustered" }, { make_level6, "level 6" },
		{ make_chunk, "chunk" }, { make_layout, "layout 16" },
		{ make_raid0, "level" }, { make_offset, "reshape" },
		{ make_wide, "20 members" }, { make_size, "members of 4096" },
	};

	(void)state;
	for (unsigned i = 0; i < nitems(cases); i++) {
		struct world *w = stopped(3);

		for (unsigned k = 0; k < 3; k++)
			edit(w, k, cases[i].fn);
		assert_refused(w, 0, true, cases[i].text);
		world_free(w);
	}
}

/* Change the bytes of a superblock that have no name here. */
static void
poke_sb(struct world *w, unsigned i, unsigned off, uint8_t value)
{
	uint8_t *raw = blk_ram_data(w->ram[i]) + SB1_OFFSET;
	uint32_t sum;

	raw[off] = value;
	sum = sb1_csum(raw, 512);
	for (unsigned k = 0; k < 4; k++)
		raw[216 + k] = (uint8_t)(sum >> 8 * k);
}

/* Kernels from 6.19 on keep a block size there. */
static void
a_block_size_in_the_superblock_is_kept(void **state)
{
	struct world *w = stopped(3);
	const uint8_t *raw = blk_ram_data(w->ram[2]) + SB1_OFFSET;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		poke_sb(w, i, 225, 2);			/* 512 */
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(batch(w, 50 * 1024), 0);
	assert_int_equal(array_stop(w), 0);
	assert_int_equal(raw[224] | raw[225] << 8, 512);
	assemble_without(w, &as, 1u << 0, true);
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
what_a_newer_kernel_wrote_is_refused(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	poke_sb(w, 1, 9, 0x20);			/* feature 8192 */
	assert_one_refused(w, "features 0x2000");
	world_free(w);
	w = stopped(3);
	poke_sb(w, 1, 230, 1);			/* pad3 */
	assert_one_refused(w, "reserved bytes");
	world_free(w);
	w = stopped(3);
	blk_ram_data(w->ram[1])[SB1_OFFSET + 4] = 2;
	assert_one_refused(w, "version 2");
	world_free(w);
	w = stopped(3);
	for (unsigned i = 0; i < 3; i++)
		poke_sb(w, i, 9, 0x20);
	assert_refused(w, 0, true, "none of the 3 disks");
	assert_int_equal(as.nrejected, 3);
	assert_non_null(strstr(as.rejected[2].why.text, "features 0x2000"));
	world_free(w);
}

static void
a_bitmap_of_another_kind_is_refused(void **state)
{
	static const struct { uint8_t version; const char *text; } cases[] = {
		{ 6, "version 6" }, { 5, "version 5" }, { 3, "version 3" },
	};

	(void)state;
	for (unsigned i = 0; i < nitems(cases); i++) {
		struct world *w = &world;

		memset(w, 0, sizeof(*w));
		world_disks(w, 3, 1 * MIB, 512);
		world_create_policy(w, RAID_LEFT_SYMMETRIC, 16384,
		    RAID_POLICY_BITMAP);
		assert_int_equal(batch(w, 100 * 1024), 0);
		assert_int_equal(array_stop(w), 0);
		blk_ram_data(w->ram[2])[SB1_OFFSET + 8 * 512 + 4] =
		    cases[i].version;
		assert_refused(w, 0, true, cases[i].text);
		world_free(w);
	}
}

/* A disk of the same array, once a copy of member 0, as member 2. */
static void
take_slot_2(struct sb1 *sb)
{
	sb->dev_number = 2;
	sb->device_uuid[0] ^= 1;
}

static void
a_swapped_role_is_refused(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	edit(w, 0, take_slot_2);
	assert_refused(w, 0, true, "both member 2");
	world_free(w);
}

static void
make_dirty(struct sb1 *sb)
{
	sb->resync_offset = 0;
}

static void
dirty_and_degraded_is_refused(void **state)
{
	struct world *w = stopped(3);

	(void)state;
	for (unsigned k = 0; k < 3; k++)
		edit(w, k, make_dirty);
	assert_refused(w, 1, true, "not stopped cleanly");
	world_free(w);
}

static void
dirty_and_complete_is_resynced(void **state)
{
	struct world *w = stopped(4);
	struct raid_info info;

	(void)state;
	for (unsigned k = 0; k < 4; k++)
		edit(w, k, make_dirty);
	for (unsigned r = 0; r < 4; r++)	/* spoil some parity */
		for (unsigned st = 0; st < 40; st++)
			if (r == 3 - st % 4)
				blk_ram_data(w->ram[r])[2 * MIB +
				    st * 16384 + 77] ^= 0x55;
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(batch(w, 60 * 1024), 0);
	do {
		wait_ms(w, 50);
		raid_get_info(w->raid, &info);
	} while (!info.clean);
	assert_int_equal(parity_errors(w), 0);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 1u << 2, true);	/* clean now */
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

/* Stop in the middle: the next start goes on from the checkpoint. */
static void
make_half(struct sb1 *sb)
{
	sb->resync_offset = 512 * KIB / 512;
}

static void
a_resync_goes_on_where_it_was(void **state)
{
	struct world *w = stopped(3);
	struct raid_info info;

	(void)state;
	for (unsigned k = 0; k < 3; k++)
		edit(w, k, make_half);
	/* Parity below the checkpoint is trusted, above it is made right. */
	blk_ram_data(w->ram[2])[2 * MIB + 5] ^= 1;
	blk_ram_data(w->ram[2])[2 * MIB + 48 * 16384 + 5] ^= 1;
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	do {
		wait_ms(w, 50);
		raid_get_info(w->raid, &info);
	} while (!info.clean);
	assert_int_equal(parity_errors(w), 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_new_name_is_on_all_members(void **state)
{
	struct world *w = &world;
	struct raid_info info;
	struct sb1 sb;

	(void)state;
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
	raid_rename(w->raid, "dozo:tank");
	wait_ms(w, 50);
	raid_get_info(w->raid, &info);
	assert_string_equal(info.spec.name, "dozo:tank");
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(sb1_decode(&sb, blk_ram_data(w->ram[i]) +
		    SB1_OFFSET, SB1_BYTES, NULL), 0);
		assert_string_equal(sb.set_name, "dozo:tank");
	}
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_string_equal(info.spec.name, "dozo:tank");
	assert_int_equal(info.degraded, 0);
	assert_int_equal(world_stop(w), 0);
}

static void
a_spare_is_taken_along(void **state)
{
	struct world *w = stopped(4);
	struct raid_info info;
	uint8_t *raw;
	struct sb1 sb;

	(void)state;
	/* Make a three-disk array of the first three; the last is a spare. */
	for (unsigned i = 0; i < 4; i++) {
		raw = blk_ram_data(w->ram[i]) + SB1_OFFSET;
		assert_int_equal(sb1_decode(&sb, raw, SB1_BYTES, NULL), 0);
		sb.raid_disks = 3;
		sb.roles[3] = SB1_ROLE_SPARE;
		sb1_encode(&sb, raw);
	}
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.nmembers, 4);
	assert_int_equal(info.member[3].state, RAID_MEMBER_SPARE);
	assert_int_equal(info.member[3].role, -1);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(world_stop(w), 0);
}

static void
two_members_lost_at_once_come_back_without_rebuild(void **state)
{
	struct world *w = &world;
	struct raid_info info;

	(void)state;
	world_start(w, 4, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	for (unsigned i = 0; i < 2; i++)
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = ENODEV });
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 1, 0), -ENODEV);
	assert_int_equal(array_stop(w), EIO);
	for (unsigned i = 0; i < 2; i++)
		blk_fault_clear(w->fault[i]);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.degraded, 0);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 0, 0), 0);
	memset(w->model, 0, 512);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
a_lost_member_is_recorded_before_the_write_is_acknowledged(void **state)
{
	struct world *w = &world;
	struct sb1 sb;

	(void)state;
	world_start(w, 3, RAID_LEFT_SYMMETRIC, 16384, 1 * MIB);
	assert_int_equal(do_write(raid_blk(w->raid), 0, 512, 1, 0), 0);
	add_fault(w, 1, (struct fault_rule){ .action = FAULT_ERROR,
	    .err = EIO, .kinds = 1u << IO_WRITE });
	assert_int_equal(do_write(raid_blk(w->raid), 0, 32768, 2, 0), 0);
	for (unsigned i = 0; i < 3; i += 2) {
		assert_int_equal(sb1_decode(&sb, blk_ram_data(w->ram[i]) +
		    SB1_OFFSET, SB1_BYTES, NULL), 0);
		assert_int_equal(sb.roles[1], SB1_ROLE_FAULTY);
		assert_int_equal(sb.roles[0], 0);
		assert_true((sb.utime >> 40) != 0);
	}
	assert_int_equal(world_stop(w), 0);
}

static void
add_ppl(struct sb1 *sb)
{
	sb->feature_map |= SB1_PPL;
	sb->ppl_offset = 8;
	sb->ppl_size = 2048;
}

static void
add_bitmap(struct sb1 *sb)
{
	sb->feature_map |= SB1_BITMAP;
	sb->bitmap_offset = 8;
}

static void
shorten_log(struct sb1 *sb)
{
	sb->ppl_size = 351;
}

static void
shift_log(struct sb1 *sb)
{
	sb->ppl_offset = 12;
}

/* On disks with blocks of 4 KiB. */
static void
a_log_is_used_in_whole_blocks(void **state)
{
	struct world *w = &world;

	(void)state;
	memset(w, 0, sizeof(*w));
	world_disks(w, 3, 1 * MIB, 4096);
	world_create_policy(w, RAID_LEFT_SYMMETRIC, 16384, RAID_POLICY_PPL);
	assert_int_equal(batch(w, 100 * 1024), 0);
	assert_int_equal(array_stop(w), 0);
	for (unsigned i = 0; i < 3; i++)
		edit(w, i, shorten_log);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	assert_int_equal(batch(w, 100 * 1024), 0);
	compare_all(w);
	assert_int_equal(array_stop(w), 0);
	edit(w, 1, shift_log);
	assert_refused(w, 0, false, "unusual place");
	world_free(w);
}

static void
be_fresher(struct sb1 *sb)
{
	sb->events++;
}

/* Superblocks from the middle of a change of policy, and nonsense. */
static void
members_that_differ_in_policy_start_without_a_log(void **state)
{
	static const struct {
		void (*change)(struct sb1 *sb);	/* of disk 0 */
		unsigned fresher;		/* disk */
	} mixed[] = {
		{ add_ppl, 0 }, { add_ppl, 1 }, { add_bitmap, 0 },
		{ add_bitmap, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < nitems(mixed); i++) {
		struct world *w = stopped(3);
		struct raid_info info;
		struct sb1 sb;

		edit(w, 0, mixed[i].change);
		edit(w, mixed[i].fresher, be_fresher);
		assemble_without(w, &as, 0, false);
		assert_non_null(as.raid);
		raid_get_info(w->raid, &info);
		assert_int_equal(info.spec.policy, RAID_POLICY_RESYNC);
		assert_true(info.clean);
		compare_all(w);
		assert_int_equal(batch(w, 50 * 1024), 0);
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(sb1_decode(&sb, blk_ram_data(
			    w->ram[k]) + SB1_OFFSET, SB1_BYTES, NULL), 0);
			assert_int_equal(sb1_log_bits(&sb), 0);
		}
		assert_int_equal(world_stop(w), 0);
	}
}

static void
create_refuses_what_it_must(void **state)
{
	struct world *w = stopped(3);
	struct raid_create c = { .loop = w->loop };

	(void)state;
	c.spec = (struct raid_spec){ .level = 5, .members = 3, .name = "x",
		.layout = RAID_LEFT_SYMMETRIC, .chunk_bytes = 65536 };
	for (unsigned i = 0; i < 3; i++)
		c.members[i] = &w->keep[i].blk;
	raid_create_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	assert_null(c.raid);
	assert_non_null(strstr(c.err.text, "carries an md superblock"));
	c.spec.member_bytes = GIB;
	raid_create_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	assert_non_null(strstr(c.err.text, "has room for"));
	c.spec.member_bytes = 0;
	c.spec.chunk_bytes = 5000;
	raid_create_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	assert_non_null(strstr(c.err.text, "power of two"));
	c.spec.chunk_bytes = 65536;
	c.members[1] = c.members[0];
	raid_create_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	assert_non_null(strstr(c.err.text, "named twice"));
	c.members[0] = c.members[1] = NULL;
	raid_create_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	assert_non_null(strstr(c.err.text, "2 members are missing"));
	assemble_without(w, &as, 0, false);	/* nothing was harmed */
	assert_non_null(as.raid);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
create_without_one_member_works(void **state)
{
	struct world *w = &world;
	struct raid_create c = { 0 };

	(void)state;
	memset(w, 0, sizeof(*w));
	world_disks(w, 3, 1 * MIB, 4096);
	c.loop = w->loop;
	c.spec = (struct raid_spec){ .level = 5, .members = 3, .name = "x",
		.layout = RAID_LEFT_SYMMETRIC, .chunk_bytes = 65536 };
	c.members[0] = &w->keep[0].blk;
	c.members[2] = &w->keep[2].blk;
	raid_create_start(&c, NULL);
	loop_run_op(w->loop, &c.op);
	assert_non_null(c.raid);
	assert_true(c.zeroed > 0 && c.zeroed <= c.to_zero);
	w->raid = c.raid;
	w->size = raid_blk(w->raid)->geo.size;
	assert_int_equal(raid_blk(w->raid)->geo.logical_block, 4096);
	w->model = calloc(1, w->size);
	w->seen = malloc(w->size);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(batch(w, 100 * 1024), 0);
	compare_all(w);
	assert_int_equal(world_stop(w), 0);
}

static void
examine_tells_members_from_others(void **state)
{
	struct world *w = stopped(3);
	struct raid_examine ex = { .blk = &w->keep[2].blk };

	(void)state;
	raid_examine_start(&ex, NULL);
	loop_run_op(w->loop, &ex.op);
	assert_true(ex.is_member && !ex.is_blank && ex.clean);
	assert_int_equal(ex.role, 2);
	assert_int_equal(ex.spec.members, 3);
	assert_int_equal(ex.spec.chunk_bytes, 16384);
	memset(blk_ram_data(w->ram[2]), 0, 8192);
	raid_examine_start(&ex, NULL);
	loop_run_op(w->loop, &ex.op);
	assert_true(!ex.is_member && ex.is_blank);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_array_comes_back_in_any_order),
		cmocka_unit_test(a_missing_member_needs_permission_once),
		cmocka_unit_test(too_few_members_are_refused),
		cmocka_unit_test(a_damaged_superblock_counts_as_missing),
		cmocka_unit_test(disks_of_different_arrays_need_a_choice),
		cmocka_unit_test(a_cloned_disk_is_refused),
		cmocka_unit_test(two_disks_with_one_role_are_refused),
		cmocka_unit_test(a_truncated_image_is_refused),
		cmocka_unit_test(foreign_features_are_refused),
		cmocka_unit_test(a_block_size_in_the_superblock_is_kept),
		cmocka_unit_test(what_a_newer_kernel_wrote_is_refused),
		cmocka_unit_test(a_bitmap_of_another_kind_is_refused),
		cmocka_unit_test(a_swapped_role_is_refused),
		cmocka_unit_test(dirty_and_degraded_is_refused),
		cmocka_unit_test(dirty_and_complete_is_resynced),
		cmocka_unit_test(a_resync_goes_on_where_it_was),
		cmocka_unit_test(a_new_name_is_on_all_members),
		cmocka_unit_test(a_spare_is_taken_along),
		cmocka_unit_test(
		    two_members_lost_at_once_come_back_without_rebuild),
		cmocka_unit_test(
		    a_lost_member_is_recorded_before_the_write_is_acknowledged),
		cmocka_unit_test(
		    members_that_differ_in_policy_start_without_a_log),
		cmocka_unit_test(a_log_is_used_in_whole_blocks),
		cmocka_unit_test(create_refuses_what_it_must),
		cmocka_unit_test(create_without_one_member_works),
		cmocka_unit_test(examine_tells_members_from_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
