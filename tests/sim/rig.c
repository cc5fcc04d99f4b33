/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rigs: a disk or an array, opened in every life of the process.
 *
 * Invariant checked at each start of an array: a member is left out only if
 * something was done to it, and the start is refused only if there is such a
 * member and the array did not stop in order since; with a partial parity log
 * only if there are two.  A disk without a place may be left out at any time.
 */
#include "tests/sim/rig.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"
#include "raid/bitmap.h"
#include "raid/map.h"
#include "raid/sb1.h"
#include "tests/sim/used.h"

#define MEMBERS_MAX 6u
#define DISKS_MAX (MEMBERS_MAX + RIG_SPARES_MAX)
#define NOBODY UINT_MAX
#define SB_OFF 4096u
#define SB_RESYNC 208u			/* resync_offset in it */
#define SB_CLEAN UINT64_MAX

struct rig {
	struct sim *sim;
	struct rng *rng;
	struct blk *blk;
	unsigned n;			/* members; 1 = no array */
	unsigned ndisks;
	struct sim_disk *disk[DISKS_MAX];
	unsigned by_role[MEMBERS_MAX];	/* the disk that has it, or had */
	struct raid_spec spec;
	struct raid_pools pools;
	uint32_t block;
	uint64_t member_bytes;
	struct raid *raid;
	struct used used;		/* what a rebuild takes first */
	struct raid_convert *convert;	/* of this life */
	bool created, crashed, doubt;
	unsigned suspects, withheld;	/* masks of disks */
	unsigned listed;		/* with bad blocks, as a life ended */
	bool tiny;			/* the array has two rows at most */
};

static struct rig *
rig_new(struct sim *sim, struct rng *rng)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (rig == NULL)
		sim_fail(sim, "no memory");
	rig->sim = sim;
	rig->rng = rng;
	return rig;
}

struct rig *
rig_new_disk(struct sim *sim, struct rng *rng, uint64_t size)
{
	struct rig *rig = rig_new(sim, rng);

	rig->n = rig->ndisks = 1;
	rig->disk[0] = sim_disk_new(sim, "disk", size,
	    rng_one_in(rng, 3) ? 4096 : 512);
	return rig;
}

/* Chunks of each member: what is small is full soon, and met again. */
static uint64_t
draw_chunks(struct rng *rng, uint32_t chunk_bytes)
{
	uint64_t max = 384 * KIB / chunk_bytes;

	return rng_range(rng, 2, MIN(MAX(max, (uint64_t)4), (uint64_t)40));
}

static void
draw_spec(struct rig *rig)
{
	static const uint32_t chunks_kib[] = { 4, 4, 8, 16, 32, 64, 64, 128 };
	static const enum raid_policy policies[] = { RAID_POLICY_PPL,
	    RAID_POLICY_PPL, RAID_POLICY_RESYNC, RAID_POLICY_BITMAP };
	struct rng *rng = rig->rng;

	rig->spec = (struct raid_spec){
		.name = "sim",
		.level = 5,
		.layout = rng_one_in(rng, 2) ? RAID_LEFT_SYMMETRIC :
		    (enum raid_layout)rng_below(rng, 6),
		.policy = policies[rng_below(rng, nitems(policies))],
		.members = rig->n,
		.chunk_bytes = 1024 *
		    chunks_kib[rng_below(rng, nitems(chunks_kib))],
	};
	/* Small enough to run out of them. */
	rig->pools = (struct raid_pools){
		.reqs = (unsigned)rng_range(rng, 1, 40),
		.rows = (unsigned)rng_range(rng, 1, 60),
		.fixes = (unsigned)rng_range(rng, 1, 10),
		.bufs = 2 * RAID_MEMBERS_MAX + (unsigned)rng_below(rng, 32),
	};
}

static void
add_disk(struct rig *rig, uint64_t member_bytes)
{
	char name[16];

	assert(rig->ndisks < DISKS_MAX);
	snprintf(name, sizeof(name), "d%u", rig->ndisks);
	rig->disk[rig->ndisks++] = sim_disk_new(rig->sim, name, 2 * MIB +
	    member_bytes + 4096 * rng_below(rig->rng, 32), rig->block);
}

/* It was used for something else before. */
static void
spoil_disk(struct rig *rig, unsigned i)
{
	uint64_t words[512], npages = rig->member_bytes / sizeof(words);

	for (unsigned k = 0; k < nitems(words); k++)
		words[k] = rng_next(rig->rng);
	for (unsigned n = 0; n < 24; n++)
		sim_disk_poke(rig->disk[i], 2 * MIB + sizeof(words) *
		    rng_below(rig->rng, npages), words, sizeof(words));
}

struct rig *
rig_new_array(struct sim *sim, struct rng *rng, uint64_t size)
{
	struct rig *rig = rig_new(sim, rng);
	bool used = size == 0 && rng_one_in(rng, 4);

	rig->block = rng_one_in(rng, 4) ? 4096 : 512;
	rig->n = (unsigned)rng_range(rng, 3, MEMBERS_MAX);
	draw_spec(rig);
	rig->member_bytes = size == 0 ? rig->spec.chunk_bytes *
	    draw_chunks(rng, rig->spec.chunk_bytes) :
	    round_up(size / (rig->n - 1), MIB);
	for (unsigned i = 0; i < rig->n; i++) {
		add_disk(rig, rig->member_bytes);
		rig->by_role[i] = i;
	}
	for (unsigned i = 0; i < rig->n && used; i++)
		spoil_disk(rig, i);
	sim_trace(sim, "array of %u, chunk %u, layout %d, policy %s", rig->n,
	    rig->spec.chunk_bytes, (int)rig->spec.layout,
	    raid_policy_name(rig->spec.policy));
	return rig;
}

void
rig_new_spare(struct rig *rig)
{
	add_disk(rig, rig->member_bytes + 128 * KIB);	/* as any other */
}

void
rig_free(struct rig *rig)
{
	free(rig);
}

static struct blk *
open_disk(struct rig *rig, struct loop *loop, unsigned i)
{
	struct err err = { 0 };
	struct blk *blk;

	if (blk_file_open(loop, sim_disk_name(rig->disk[i]), false, &blk,
	    &err) != 0)
		sim_fail(rig->sim, "%s", err.text);
	return blk;
}

static void
create(struct rig *rig, struct loop *loop)
{
	struct raid_create *create = calloc(1, sizeof(*create));

	if (create == NULL)
		sim_fail(rig->sim, "no memory");
	create->loop = loop;
	create->spec = rig->spec;
	create->pools = &rig->pools;
	for (unsigned i = 0; i < rig->n; i++)
		create->members[i] = open_disk(rig, loop, i);
	raid_create_start(create, NULL);
	sim_run_op(rig->sim, &create->op, SIM_FOREVER);
	if (create->err.code != 0)
		sim_fail(rig->sim, "create: %s", create->err.text);
	rig->raid = create->raid;
	rig->created = true;
	free(create);
}

/*
 * The array as another tool might have made it: a log hardly longer than one
 * record, a bitmap whose bits stand for little.
 */
static void
change_areas(struct rig *rig)
{
	uint32_t log_sectors = (uint32_t)rng_range(rig->rng, 17, 40) * 8;
	uint32_t bit_bytes = UINT32_C(4096) << rng_below(rig->rng, 7);
	uint8_t buf[4096];

	for (unsigned i = 0; i < rig->n; i++) {
		struct bitmap_sb bitmap;
		struct sb1 sb;

		sim_disk_peek(rig->disk[i], SB_OFF, buf, sizeof(buf));
		if (sb1_decode(&sb, buf, sizeof(buf), NULL) != 0)
			sim_fail(rig->sim, "a superblock is bad");
		if (rig->spec.policy == RAID_POLICY_PPL)
			sb.ppl_size = (uint16_t)log_sectors;
		sb1_encode(&sb, buf);
		sim_disk_poke(rig->disk[i], SB_OFF, buf, sizeof(buf));
		if (rig->spec.policy != RAID_POLICY_BITMAP)
			continue;
		sim_disk_peek(rig->disk[i], 2 * SB_OFF, buf, sizeof(buf));
		if (!bitmap_decode(&bitmap, buf, sizeof(buf), sb.set_uuid))
			sim_fail(rig->sim, "a bitmap is bad");
		bitmap.chunksize = bit_bytes;
		bitmap_encode(&bitmap, buf);
		sim_disk_poke(rig->disk[i], 2 * SB_OFF, buf, sizeof(buf));
	}
}

static unsigned
disk_of(const struct rig *rig, const char *path)
{
	for (unsigned i = 0; i < rig->ndisks; i++)
		if (strcmp(path, sim_disk_name(rig->disk[i])) == 0)
			return i;
	return NOBODY;
}

static bool
has_place(const struct rig *rig, unsigned i)
{
	for (unsigned r = 0; r < rig->n; r++)
		if (rig->by_role[r] == i)
			return true;
	return false;
}

/* What meets what: to be counted over many seeds. */
void
rig_trace(struct rig *rig, const char *what)
{
	struct raid_info info;
	uint64_t bad = 0;

	if (rig->raid == NULL)
		return;
	raid_get_info(rig->raid, &info);
	for (unsigned i = 0; i < info.nmembers; i++)
		bad += info.member[i].bad_bytes;
	sim_trace(rig->sim, "%s amid %s: %u missing%s, in doubt %llu, listed "
	    "%llu", what, raid_task_name(info.task), info.degraded,
	    info.failed ? ", failed" : "", (unsigned long long)info.in_doubt,
	    (unsigned long long)bad);
}

/* A disk that has taken the place of a suspect one inherits that. */
static void
note_places(struct rig *rig)
{
	struct raid_info info;

	if (rig->raid == NULL)
		return;
	raid_get_info(rig->raid, &info);
	for (unsigned r = 0; r < rig->n; r++) {
		unsigned was = rig->by_role[r];
		unsigned is = disk_of(rig, info.member[r].path);

		if (is == NOBODY || is == was)
			continue;
		sim_trace(rig->sim, "%s has the place of %s",
		    sim_disk_name(rig->disk[is]),
		    sim_disk_name(rig->disk[was]));
		rig->by_role[r] = is;
		if ((rig->suspects & 1u << was) != 0)
			rig->suspects ^= 1u << was | 1u << is;
	}
}

static void
check_rejected(struct rig *rig, const struct raid_assemble *assemble)
{
	for (unsigned i = 0; i < assemble->nrejected; i++) {
		struct blk *blk = assemble->rejected[i].blk;
		unsigned d = disk_of(rig, blk->name);

		sim_trace(rig->sim, "%s is rejected: %s", blk->name,
		    assemble->rejected[i].why.text);
		sim_check(rig->sim, (rig->suspects & 1u << d) != 0 ||
		    !has_place(rig, d),
		    "%s is rejected without reason: %s", blk->name,
		    assemble->rejected[i].why.text);
		if (assemble->raid != NULL)
			blk_close(blk);
	}
}

static struct raid_assemble *
assemble_start(struct rig *rig, struct loop *loop)
{
	struct raid_assemble *as = calloc(1, sizeof(*as));

	if (as == NULL)
		sim_fail(rig->sim, "no memory");
	as->loop = loop;
	as->allow_degraded = true;
	as->pools = &rig->pools;
	for (unsigned i = 0; i < rig->ndisks; i++)
		if (!sim_disk_gone(rig->disk[i]) &&
		    (rig->withheld & 1u << i) == 0)
			as->blks[as->nblks++] = open_disk(rig, loop, i);
	raid_assemble_start(as, NULL);
	return as;
}

/*
 * An array of which every row is in doubt is refused.  A write to a row with
 * two bad blocks puts it in doubt, and one or two of those may be all rows.
 */
static bool
may_refuse(const struct rig *rig)
{
	if (rig_suspects(rig) == 0)
		return false;
	if (rig_suspects(rig) == 1 && rig_has_log(rig))
		return rig->doubt || (rig->tiny && rig->listed != 0);
	return rig->crashed || rig->doubt;
}

static bool
assemble(struct rig *rig, struct loop *loop)
{
	struct raid_assemble *as = assemble_start(rig, loop);
	bool ok;

	sim_run_op(rig->sim, &as->op, SIM_FOREVER);
	check_rejected(rig, as);
	ok = as->raid != NULL;
	if (!ok) {
		sim_trace(rig->sim, "refused: %s", as->err.text);
		sim_check(rig->sim, may_refuse(rig),
		    "the array does not start: %s", as->err.text);
		for (unsigned i = 0; i < as->nblks; i++)
			blk_close(as->blks[i]);
	}
	rig->raid = as->raid;
	free(as);
	if (ok)
		used_tell(&rig->used, rig->rng, rig->raid);
	note_places(rig);
	return ok;
}

void
rig_use_other(struct rig *rig)
{
	used_change(&rig->used, rig->rng);
}

void
rig_open_in_part(struct rig *rig, struct loop *loop, uint64_t events)
{
	struct raid_assemble *as;

	if (!rig->created)
		return;
	as = assemble_start(rig, loop);
	sim_run_op(rig->sim, &as->op, events);	/* leaked, as by a crash */
}

/*
 * The policy as the engine knows it; while it changes, the array is clean on
 * the disks, and none matters.
 */
static enum raid_policy
policy(const struct rig *rig)
{
	struct raid_info info;

	if (rig->raid == NULL)
		return rig->spec.policy;
	raid_get_info(rig->raid, &info);
	return info.spec.policy;
}

bool
rig_has_log(const struct rig *rig)
{
	return policy(rig) == RAID_POLICY_PPL;
}

void
rig_convert(struct rig *rig)
{
	static const enum raid_policy policies[] = { RAID_POLICY_PPL,
	    RAID_POLICY_RESYNC, RAID_POLICY_BITMAP };
	struct raid_convert *c = rig->convert;

	if (c != NULL && !c->op.ended)
		return;
	if (c == NULL)
		c = calloc(1, sizeof(*c));
	if (c == NULL)
		sim_fail(rig->sim, "no memory");
	rig->convert = c;
	c->raid = rig->raid;
	c->policy = policies[rng_below(rig->rng, nitems(policies))];
	sim_trace(rig->sim, "policy %s is asked for",
	    raid_policy_name(c->policy));
	raid_convert_start(c, NULL);
}

struct blk *
rig_open(struct rig *rig, struct loop *loop)
{
	if (rig->n == 1)
		return rig->blk = open_disk(rig, loop, 0);
	if (!rig->created) {
		create(rig, loop);
		if (rng_one_in(rig->rng, 8))
			return rig->blk = raid_blk(rig->raid);
		rig_close(rig);
		change_areas(rig);
	}
	if (!assemble(rig, loop))
		return NULL;
	return rig->blk = raid_blk(rig->raid);
}

static void
note_listed(struct rig *rig)
{
	struct raid_info info;

	if (rig->raid == NULL)
		return;
	raid_get_info(rig->raid, &info);
	rig->listed = 0;
	rig->tiny = raid_blk(rig->raid)->geo.size <= 2ull * (rig->n - 1) *
	    MIN(rig->spec.chunk_bytes, ROW_BYTES_MAX);
	for (unsigned r = 0; r < info.nmembers; r++) {
		unsigned i = disk_of(rig, info.member[r].path);

		if (info.member[r].bad_bytes > 0 && i != NOBODY)
			rig->listed |= 1u << i;
	}
}

int
rig_listed(struct rig *rig)
{
	note_listed(rig);
	return rig->listed == 0 ? -1 : __builtin_ctz(rig->listed);
}

void
rig_close(struct rig *rig)
{
	struct raid_stop stop = { .raid = rig->raid };
	struct raid_info info;

	if (rig->n == 1) {
		blk_close(rig->blk);
		rig->blk = NULL;
		return;
	}
	note_places(rig);
	note_listed(rig);
	raid_get_info(rig->raid, &info);
	raid_stop_start(&stop, NULL);
	sim_run_op(rig->sim, &stop.op, SIM_FOREVER);
	rig->spec.policy = info.spec.policy;
	if (rig->convert != NULL && rig->convert->err.code == 0)
		rig->spec.policy = rig->convert->policy;
	rig->crashed = stop.err.code != 0;	/* perhaps only just now */
	rig->raid = NULL;
	rig->blk = NULL;
	free(rig->convert);
	rig->convert = NULL;
}

void
rig_crash(struct rig *rig, bool power)
{
	rig_trace(rig, power ? "power cut" : "kill");
	note_places(rig);
	note_listed(rig);
	rig->spec.policy = policy(rig);
	rig->convert = NULL;		/* leaked, as all of this life */
	if (power)
		sim_power_cut(rig->sim);
	else
		sim_kill(rig->sim);
	rig->crashed = true;
	rig->raid = NULL;
	rig->blk = NULL;
}

unsigned
rig_members(const struct rig *rig)
{
	return rig->n;
}

struct sim_disk *
rig_disk(const struct rig *rig, unsigned i)
{
	assert(i < rig->ndisks);
	return rig->disk[i];
}

unsigned
rig_disks(const struct rig *rig)
{
	return rig->ndisks;
}

unsigned
rig_member(struct rig *rig, unsigned role)
{
	assert(role < rig->n);
	note_places(rig);
	return rig->by_role[role];
}

struct raid *
rig_raid(const struct rig *rig)
{
	return rig->raid;
}

void
rig_suspect(struct rig *rig, unsigned i, bool doubt)
{
	rig->suspects |= 1u << i;
	rig->doubt |= doubt;
}

unsigned
rig_suspects(const struct rig *rig)
{
	return (unsigned)__builtin_popcount(rig->suspects);
}

static bool
in_array(const struct rig *rig, unsigned i)
{
	const char *name = sim_disk_name(rig->disk[i]);
	struct raid_info info;

	raid_get_info(rig->raid, &info);
	for (unsigned m = 0; m < info.nmembers; m++)
		if (info.member[m].state != RAID_MEMBER_MISSING &&
		    strcmp(info.member[m].path, name) == 0)
			return true;
	return false;
}

static bool
failed(const struct rig *rig)
{
	struct raid_info info;

	raid_get_info(rig->raid, &info);
	return info.failed;
}

static void
add(struct rig *rig, struct loop *loop, unsigned i)
{
	struct raid_add *add = calloc(1, sizeof(*add));

	if (add == NULL)
		sim_fail(rig->sim, "no memory");
	sim_disk_heal(rig->disk[i]);
	add->raid = rig->raid;
	add->blk = open_disk(rig, loop, i);
	add->force = true;
	raid_add_start(add, NULL);
	sim_run_op(rig->sim, &add->op, SIM_FOREVER);
	sim_check(rig->sim, add->err.code == 0 || failed(rig), "add: %s",
	    add->err.text);
	if (add->err.code == 0)
		sim_trace(rig->sim, "%s is added",
		    sim_disk_name(rig->disk[i]));
	else
		blk_close(add->blk);
	free(add);
}

void
rig_readd(struct rig *rig, struct loop *loop)
{
	note_places(rig);
	for (unsigned i = 0; i < rig->ndisks; i++)
		if (((rig->suspects & 1u << i) != 0 || !has_place(rig, i)) &&
		    !in_array(rig, i) && !sim_disk_gone(rig->disk[i]) &&
		    !failed(rig))
			add(rig, loop, i);
}

bool
rig_note_whole(struct rig *rig)
{
	struct raid_info info;

	note_places(rig);
	raid_get_info(rig->raid, &info);
	for (unsigned r = 0; r < rig->n; r++)
		if (info.member[r].state != RAID_MEMBER_IN_SYNC)
			return false;
	if (info.degraded != 0 || info.failed || info.task != RAID_TASK_NONE)
		return false;
	rig->suspects = rig->withheld = 0;
	for (unsigned r = 0; r < rig->n; r++)
		if (sim_disk_will_fail(rig->disk[rig->by_role[r]]))
			rig->suspects |= 1u << rig->by_role[r];
	rig->doubt = !info.clean;	/* of a row that cannot be read */
	rig->crashed = false;
	return true;
}

void
rig_withhold(struct rig *rig, unsigned i)
{
	rig->withheld |= 1u << i;
	rig_suspect(rig, i, false);
}

/* --- the superblock, read by hand --- */

static uint64_t
sb_field(const struct rig *rig, unsigned i, unsigned off)
{
	uint8_t buf[8];
	struct wire_in in = wire_in(buf, sizeof(buf));

	sim_disk_peek(rig->disk[i], SB_OFF + off, buf, sizeof(buf));
	return get_le64(&in);
}

static bool
read_sb(const struct rig *rig, unsigned i, struct sb1 *sb)
{
	uint8_t buf[SB1_BYTES];

	sim_disk_peek(rig->disk[i], SB_OFF, buf, sizeof(buf));
	return sb1_decode(sb, buf, sizeof(buf), NULL) == 0;
}

/* The table of the freshest of the others decides. */
bool
rig_records_loss(const struct rig *rig, unsigned i)
{
	struct sb1 sb, other, best = { .events = 0 };

	if (!read_sb(rig, i, &sb))
		return false;
	for (unsigned k = 0; k < rig->ndisks; k++)
		if (k != i && read_sb(rig, k, &other) && sb1_role_active(
		    sb1_role(&other, other.dev_number)) &&
		    other.events >= best.events)
			best = other;
	return best.events >= sb.events &&
	    !sb1_role_active(sb1_role(&best, sb.dev_number));
}

void
rig_data_zone(const struct rig *rig, unsigned i, uint64_t *off, uint64_t *len)
{
	*off = 512 * sb_field(rig, i, 128);	/* data_offset */
	*len = 512 * sb_field(rig, i, 80);	/* size */
	*len -= *len % rig->spec.chunk_bytes;
}

bool
rig_is_clean(const struct rig *rig)
{
	for (unsigned r = 0; r < rig->n; r++)
		if (sb_field(rig, rig->by_role[r], SB_RESYNC) != SB_CLEAN)
			return false;
	return rig->n > 1 && rig->suspects == 0;
}

void
rig_check_parity(const struct rig *rig)
{
	uint64_t off[MEMBERS_MAX], len = 0, words[512], sum[512];

	for (unsigned r = 0; r < rig->n; r++)
		rig_data_zone(rig, rig->by_role[r], &off[r], &len);
	sim_check(rig->sim, len > 0, "no data zone");
	for (uint64_t at = 0; at < len; at += sizeof(sum)) {
		memset(sum, 0, sizeof(sum));
		for (unsigned r = 0; r < rig->n; r++) {
			sim_disk_peek(rig->disk[rig->by_role[r]],
			    off[r] + at, words, sizeof(words));
			for (unsigned k = 0; k < nitems(sum); k++)
				sum[k] ^= words[k];
		}
		for (unsigned k = 0; k < nitems(sum); k++)
			sim_check(rig->sim, sum[k] == 0, "parity does not fit "
			    "at byte %llu of the members' data",
			    (unsigned long long)(at + 8 * k));
	}
	sim_trace(rig->sim, "parity fits, %llu bytes a member",
	    (unsigned long long)len);
}
