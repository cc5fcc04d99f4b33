/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a heap of disks to a running array: read all superblocks, decide who
 * takes part, start.
 *
 * Invariants: nothing is written to any disk here, but the parity that a log
 * recovers once all decisions are made (the heir of a member gets it too); a
 * disk is refused with one
 * sentence that says why; the table of the freshest superblock alone decides
 * who plays which role; where the parity is in doubt nothing is reconstructed
 * (doubt.h), and an array that has doubt everywhere does not start degraded.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raid/ppl_log.h"
#include "raid/probe.h"
#include "raid/raid_priv.h"

#define CANDIDATES (2 * RAID_MEMBERS_MAX)

struct assembly {
	struct raid_assemble *pub;
	unsigned n;
	struct probe probe[CANDIDATES];
	bool out[CANDIDATES];		/* rejected */
	int role[CANDIDATES];		/* -1: spare */
	bool unsure[CANDIDATES];	/* it did not know of its role */
	int heir;			/* candidate, -1 = none */
	const struct sb1 *best;		/* the freshest superblock */
	bool mixed;			/* they do not agree on the policy */
	int by_role[RAID_MEMBERS_MAX];	/* candidate, -1 = none */
	struct raid_map map;
	uint8_t *mem;
	struct ppl_replay replay[RAID_MEMBERS_MAX];
	struct io flush[RAID_MEMBERS_MAX];
	uint8_t *areas;			/* of the bitmaps, MIB each */
	struct io area_io[RAID_MEMBERS_MAX];
	struct iovec area_iov[RAID_MEMBERS_MAX];
	struct doubt_load records;
};

static const char *
cand_name(const struct assembly *a, unsigned i)
{
	return a->probe[i].blk->name;
}

/* Candidate i is not taken; `why` may be filled by the caller afterwards. */
static struct err *
reject(struct assembly *a, unsigned i)
{
	struct raid_assemble *pub = a->pub;
	unsigned k = pub->nrejected++;

	assert(!a->out[i] && k < CANDIDATES);
	a->out[i] = true;
	pub->rejected[k].blk = a->probe[i].blk;
	err_clear(&pub->rejected[k].why);
	return &pub->rejected[k].why;
}

static void
reject_unreadable(struct assembly *a)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->probe[i].rc < 0)
			*reject(a, i) = a->probe[i].err;
}

static bool
uuid_is_zero(const uint8_t uuid[16])
{
	static const uint8_t zero[16];

	return memcmp(uuid, zero, 16) == 0;
}

/* Which array is meant?  Others are rejected. */
static int
choose_array(struct assembly *a)
{
	struct raid_assemble *pub = a->pub;
	const uint8_t *uuid = uuid_is_zero(pub->uuid) ? NULL : pub->uuid;
	char want[UUID_TEXT], have[UUID_TEXT];

	for (unsigned i = 0; i < a->n; i++) {
		const struct sb1 *sb = &a->probe[i].sb;

		if (a->out[i])
			continue;
		if (uuid == NULL)
			uuid = sb->set_uuid;
		if (memcmp(uuid, sb->set_uuid, 16) == 0)
			continue;
		uuid_text(want, uuid);
		uuid_text(have, sb->set_uuid);
		if (uuid_is_zero(pub->uuid)) {
			err_set(&pub->err, EEXIST, "the disks belong to "
			    "different arrays: %s and %s", want, have);
			err_hint(&pub->err, "say which one by its uuid");
			return -EEXIST;
		}
		err_set(reject(a, i), EINVAL, "it belongs to another array "
		    "(%s, wanted is %s)", have, want);
	}
	return 0;
}

/* Highest events among those that hold, or held, a role. */
static int
find_best(struct assembly *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct sb1 *sb = &a->probe[i].sb;

		if (a->out[i] || !sb1_role_active(sb1_role(sb,
		    sb->dev_number)))
			continue;
		if (a->best == NULL || sb->events > a->best->events)
			a->best = sb;
	}
	if (a->best != NULL)
		return sb1_check_engine(a->best, &a->pub->err);
	err_set(&a->pub->err, ENOENT, "none of the %u disks is an active "
	    "member of the array", a->n);
	err_hint(&a->pub->err, "see the reasons given for each disk");
	return -ENOENT;
}

static bool
same_shape(const struct sb1 *a, const struct sb1 *b)
{
	return a->level == b->level && a->layout == b->layout &&
	    a->chunksize == b->chunksize && a->raid_disks == b->raid_disks;
}

/*
 * A spare that was given a role, and the power went before its own superblock
 * said so: it holds nothing yet.
 */
static void
distrust(struct sb1 *sb)
{
	sb->feature_map |= SB1_RECOVERY;
	sb->feature_map &= ~SB1_RECOVERY_BITMAP;
	sb->recovery_offset = 0;
}

/* One candidate against the freshest table.  Returns its role or -1 spare. */
static int
judge(struct assembly *a, unsigned i)
{
	const struct sb1 *sb = &a->probe[i].sb, *best = a->best;
	uint16_t role = sb1_role(best, sb->dev_number);
	bool was_active = sb1_role_active(sb1_role(sb, sb->dev_number));
	struct err *why;

	if (!same_shape(sb, best)) {
		err_set(reject(a, i), EINVAL, "its superblock disagrees with "
		    "the others about level, layout, chunk or number of "
		    "members");
	} else if (role == SB1_ROLE_SPARE && !was_active) {
		return -1;
	} else if (!sb1_role_active(role) || sb->events + 1 < best->events) {
		why = reject(a, i);
		err_set(why, ESTALE, "it is stale: the array ran on without "
		    "it (its events %llu, the array's %llu)",
		    (unsigned long long)sb->events,
		    (unsigned long long)best->events);
		err_hint(why, "add it again; it will be rebuilt");
	} else if (role >= best->raid_disks) {
		err_set(reject(a, i), EINVAL, "its role %u does not exist in "
		    "an array of %u members", role, best->raid_disks);
	} else if (sb->size < best->size) {
		err_set(reject(a, i), EINVAL, "it holds less data than the "
		    "other members");
	} else if (sb->data_offset * SECTOR %
	    a->probe[i].blk->geo.logical_block != 0) {
		err_set(reject(a, i), EINVAL, "its data does not start on a "
		    "block of the disk");
	} else {
		a->unsure[i] = sb1_role(sb, sb->dev_number) != role;
		if (a->unsure[i])
			distrust(&a->probe[i].sb);
		return role;
	}
	return -1;
}

static int
clash(struct assembly *a, unsigned i, unsigned k, const char *what)
{
	struct err *err = &a->pub->err;

	err_set(err, EEXIST, "%s and %s are both %s: one is a copy of the "
	    "other", cand_name(a, i), cand_name(a, k), what);
	err_hint(err, "remove the copy and try again");
	return -EEXIST;
}

/*
 * Two for one role: one is the heir of the other, or it was a spare that was
 * to become the heir, or it was the heir and became a spare.
 */
static int
share_role(struct assembly *a, unsigned i)
{
	int role = a->role[i], k = a->by_role[role];
	char what[48];

	if (a->unsure[i]) {
		a->role[i] = -1;
		return 0;
	}
	if (a->unsure[k]) {
		a->role[k] = -1;
		a->by_role[role] = (int)i;
		return 0;
	}
	snprintf(what, sizeof(what), "member %d", role);
	return clash(a, i, (unsigned)k, what);
}

static bool
is_heir(const struct assembly *a, int i)
{
	return i >= 0 && !a->unsure[i] &&
	    (a->probe[i].sb.feature_map & SB1_REPLACEMENT) != 0;
}

/* One heir for a member in order; one without a member is the member. */
static void
place_heirs(struct assembly *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		int k;

		if (a->out[i] || a->role[i] < 0 || !is_heir(a, (int)i))
			continue;
		k = a->by_role[a->role[i]];
		if (k < 0)
			a->by_role[a->role[i]] = (int)i;
		else if (a->heir < 0 && !is_heir(a, k) &&
		    (a->probe[k].sb.feature_map & SB1_RECOVERY) == 0)
			a->heir = (int)i;
		else
			err_set(reject(a, i), EBUSY, "it was to replace member "
			    "%d; one member is replaced at a time",
			    a->role[i]);
	}
}

static int
assign_roles(struct assembly *a)
{
	int rc;

	a->heir = -1;
	for (unsigned r = 0; r < RAID_MEMBERS_MAX; r++)
		a->by_role[r] = -1;
	for (unsigned i = 0; i < a->n; i++) {
		if (a->out[i])
			continue;
		a->role[i] = judge(a, i);
		for (unsigned k = 0; k < i && !a->out[i]; k++)
			if (!a->out[k] && memcmp(a->probe[k].sb.device_uuid,
			    a->probe[i].sb.device_uuid, 16) == 0)
				return clash(a, i, k, "the same device");
		if (a->out[i] || a->role[i] < 0 || is_heir(a, (int)i))
			continue;
		if (a->by_role[a->role[i]] < 0)
			a->by_role[a->role[i]] = (int)i;
		else if ((rc = share_role(a, i)) < 0)
			return rc;
	}
	place_heirs(a);
	return 0;
}

/* Does the freshest table name a device for this role? */
static bool
role_expected(const struct sb1 *sb, unsigned role)
{
	for (unsigned d = 0; d < sb->max_dev; d++)
		if (sb->roles[d] == role)
			return true;
	return false;
}

static bool
in_sync(const struct assembly *a, unsigned role)
{
	int i = a->by_role[role];

	return i >= 0 && (a->probe[i].sb.feature_map & SB1_RECOVERY) == 0;
}

static bool
has_ppl(const struct sb1 *sb)
{
	return (sb->feature_map & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0;
}

static bool
has_bitmap(const struct sb1 *sb)
{
	return (sb->feature_map & SB1_BITMAP) != 0;
}

/*
 * A change of the consistency policy writes superblocks one after the other,
 * while the array is clean.  If it was cut short, or a log is not there on all
 * members for another reason, none has one: that is always right, as long as
 * a dirty array is resynced.
 */
static void
settle_policy(struct assembly *a)
{
	bool bitmap = has_bitmap(a->best), ppl = has_ppl(a->best);

	for (unsigned i = 0; i < a->n; i++) {
		struct sb1 *sb = &a->probe[i].sb;

		if (a->out[i])
			continue;
		if (has_bitmap(sb) && has_ppl(sb))	/* nonsense */
			sb1_clear_log(sb);
		if (a->role[i] < 0)
			continue;
		a->mixed |= has_bitmap(sb) != has_bitmap(a->best) ||
		    has_ppl(sb) != has_ppl(a->best);
		bitmap &= has_bitmap(sb);
		ppl &= has_ppl(sb);
	}
	for (unsigned i = 0; i < a->n && a->mixed && !bitmap && !ppl; i++)
		if (!a->out[i])
			sb1_clear_log(&a->probe[i].sb);
}

/* Are we the last who wrote the superblocks? */
static bool
is_ours(const struct assembly *a)
{
	return (a->best->utime >> 40) != 0;
}

static int
refuse_in_doubt(struct assembly *a)
{
	struct err *err = &a->pub->err;

	err_set(err, EUCLEAN, "the array was not stopped cleanly and a member "
	    "is missing: what the missing one held cannot be told for blocks "
	    "that were being written");
	err_hint(err, "start it with all members; or, accepting that loss, "
	    "mdadm --assemble --force");
	return -EUCLEAN;
}

/* Without a log all is in doubt; but a resync that was stopped knows where. */
static int
check_parity_known(struct assembly *a)
{
	if (a->best->resync_offset != 0 || has_ppl(a->best))
		return 0;
	return refuse_in_doubt(a);
}

static int
check_complete(struct assembly *a)
{
	struct raid_assemble *pub = a->pub;
	unsigned n = a->best->raid_disks, absent = 0;
	int lost = -1;

	for (unsigned r = 0; r < n; r++) {
		if (in_sync(a, r))
			continue;
		absent++;
		lost = (int)r;
	}
	if (absent == 0)
		return 0;
	if (absent > 1) {
		err_set(&pub->err, ENODEV, "%u of %u members are missing, at "
		    "most one may be", absent, n);
		err_hint(&pub->err, "connect the missing disks; see the "
		    "reasons given for each disk that was refused");
		return -ENODEV;
	}
	if (a->by_role[lost] < 0 && role_expected(a->best, (unsigned)lost) &&
	    !pub->allow_degraded) {
		err_set(&pub->err, ENODEV, "member %d is missing although the "
		    "others expect it", lost);
		err_hint(&pub->err, "connect it, or allow a degraded start; "
		    "it will have to be rebuilt later");
		return -ENODEV;
	}
	return check_parity_known(a);
}

static int
check_features(struct assembly *a)
{
	struct err *err = &a->pub->err;

	for (unsigned i = 0; i < a->n && has_bitmap(a->best); i++) {
		const struct sb1 *sb = &a->probe[i].sb;

		if (a->out[i] || a->role[i] < 0 || (has_bitmap(sb) &&
		    sb->bitmap_offset % 8 == 0 &&
		    sb1_bitmap_area(sb) >= BITMAP_BLOCK))
			continue;
		return err_set(err, ENOTSUP, "the bitmap of %s is in an "
		    "unusual place", cand_name(a, i));
	}
	for (unsigned i = 0; i < a->n && has_ppl(a->best); i++) {
		const struct sb1 *sb = &a->probe[i].sb;

		if (a->out[i] || a->role[i] < 0 || (has_ppl(sb) &&
		    sb->ppl_offset > 0 && sb->ppl_size * SECTOR >=
		    PPL_AREA_MIN))
			continue;
		return err_set(err, ENOTSUP, "the partial parity log of %s "
		    "is too small or in an unusual place", cand_name(a, i));
	}
	return 0;
}

static int
choose(struct assembly *a)
{
	struct raid_spec spec;
	int rc;

	reject_unreadable(a);
	if ((rc = choose_array(a)) < 0 || (rc = find_best(a)) < 0)
		return rc;
	spec_from_sb(&spec, a->best);
	if ((rc = raid_map_init(&a->map, spec.level, spec.layout,
	    spec.members, spec.chunk_bytes, spec.member_bytes,
	    &a->pub->err)) < 0 || (rc = assign_roles(a)) < 0)
		return rc;
	settle_policy(a);
	if ((rc = check_features(a)) < 0)
		return rc;
	return check_complete(a);
}

static void
adopt(struct member *m, const struct probe *probe)
{
	assert(m->blk == NULL && probe->rc == 0);
	m->blk = probe->blk;
	m->sb = probe->sb;
	m->bblog = probe->bblog;
	m->data_off = probe->sb.data_offset * SECTOR;
	m->corrected_errors = probe->sb.cnt_corrected_read;
	m->state = RAID_MEMBER_IN_SYNC;
	if ((probe->sb.feature_map & SB1_RECOVERY) != 0) {
		m->state = RAID_MEMBER_REBUILDING;
		m->recovered = round_down(MIN(probe->sb.recovery_offset,
		    m->raid->map.member_size / SECTOR) * SECTOR,
		    m->raid->map.row_bytes);
		m->checkpoint = m->recovered;
		m->guided = (probe->sb.feature_map & SB1_RECOVERY_BITMAP) != 0;
	}
}

static void
adopt_heir(struct raid *raid, unsigned role, const struct probe *probe)
{
	struct member *heir = &raid->heir;

	assert(role < raid->map.n && raid->member[role].blk != NULL);
	adopt(heir, probe);
	if (heir->state == RAID_MEMBER_IN_SYNC)	/* Linux was about to switch */
		heir->recovered = heir->checkpoint = raid->map.member_size;
	heir->state = RAID_MEMBER_REPLACING;
	heir->role = role;
}

/* One table for all; who is an event behind is to be told all of it. */
static void
agree(struct member *m, const struct sb1 *best)
{
	memcpy(m->sb.roles, best->roles, sizeof(best->roles));
	m->behind = m->sb.events < best->events;
	m->sb.events = best->events;
	m->sb.utime = best->utime;
	m->sb.resync_offset = best->resync_offset;
}

/* The decisions are made: only logs that cannot be read may refuse now. */
static void
build(struct assembly *a, struct raid *raid)
{
	const struct sb1 *best = a->best;

	for (unsigned r = 0; r < a->map.n; r++) {
		int i = a->by_role[r];

		if (i >= 0)
			adopt(&raid->member[r], &a->probe[i]);
		else
			raid->missing |= UINT32_C(1) << r;
		if ((i < 0 || is_heir(a, i)) && role_expected(best, r)) {
			/* It will miss writes: to be recorded before one. */
			raid_changed(raid);
			raid->gen_failed = raid->gen;
		}
	}
	if (a->heir >= 0)
		adopt_heir(raid, (unsigned)a->role[a->heir],
		    &a->probe[a->heir]);
	for (unsigned i = 0; i < a->n; i++) {
		struct member *m = &raid->spare[raid->nspares];

		if (a->out[i] || a->role[i] >= 0)
			continue;
		if (raid_ndisks(raid) == raid->map.n + RAID_MEMBERS_MAX) {
			err_set(reject(a, i), E2BIG, "the array has %u spares "
			    "already", RAID_MEMBERS_MAX);
			continue;
		}
		adopt(m, &a->probe[i]);
		m->state = RAID_MEMBER_SPARE;
		raid->nspares++;
	}
	if (a->mixed)
		raid_tell(raid, "its members do not agree on the consistency "
		    "policy: it is %s now", raid_policy_name(
		    raid->spec.policy));
	assert(raid_level_serves(&raid->map, raid->missing));
	raid->events = best->events;
	for (unsigned i = 0; i < raid->map.n; i++)
		if (raid->member[i].blk != NULL)
			agree(&raid->member[i], best);
	if (raid->heir.blk != NULL)
		agree(&raid->heir, best);
	raid->want_dirty = raid->dirty_on_disk = best->resync_offset == 0;
}

/* --- the partial parity log --- */

static void
start_replay(struct assembly *a, struct op *op)
{
	struct raid *raid = a->pub->raid;

	for (unsigned r = 0; r < raid->map.n; r++) {
		struct ppl_replay *v = &a->replay[r];

		if (raid->member[r].blk == NULL)
			continue;
		ppl_set_area(raid, r);
		v->raid = raid;
		v->role = r;
		v->ours = is_ours(a);
		v->replay = a->best->resync_offset != SB1_CLEAN;
		ppl_replay_start(v, op);
	}
}

/*
 * A process that was killed leaves writes in the members' caches: they must
 * be on stable media before the headers that name them are overwritten.
 */
static void
flush_replayed(struct assembly *a, struct op *op)
{
	struct raid *raid = a->pub->raid;

	if (raid->ppl == NULL || a->best->resync_offset == SB1_CLEAN)
		return;
	for (unsigned r = 0; r < raid->map.n; r++)
		if (member_live(&raid->member[r]))
			member_submit(&raid->member[r], &a->flush[r],
			    IO_FLUSH, 0, 0, NULL, 0, 0, op);
}

static void
note_flushed(struct assembly *a)
{
	for (unsigned r = 0; r < a->pub->raid->map.n; r++)
		if (a->flush[r].result != 0)
			member_fail(&a->pub->raid->member[r],
			    "a flush failed");
}

/* What the logs of all members have said. */
struct replay_sum {
	unsigned recovered, skipped;	/* entries */
	unsigned torn, unreadable;	/* logs */
};

static struct replay_sum
end_replay(struct assembly *a)
{
	struct raid *raid = a->pub->raid;
	struct replay_sum sum = { 0 };

	for (unsigned r = 0; r < raid->map.n; r++) {
		struct ppl_replay *v = &a->replay[r];

		if (v->raid == NULL)
			continue;
		sum.recovered += v->recovered;
		sum.skipped += v->skipped;
		if (raid->member[r].state == RAID_MEMBER_IN_SYNC) {
			sum.unreadable += v->unreadable;
			sum.torn += !v->valid && !v->unreadable;
		}
		raid->ppl_generation = MAX(raid->ppl_generation,
		    v->generation);
	}
	/* Records may lie behind a header we could not read. */
	raid->ppl_generation += UINT64_C(1) << 20;
	if (a->best->resync_offset != SB1_CLEAN)
		raid_tell(raid, "not stopped cleanly: %u stripes recovered "
		    "from the partial parity log, %u skipped, %u logs torn, "
		    "%u unreadable", sum.recovered, sum.skipped, sum.torn,
		    sum.unreadable);
	return sum;
}

/* --- the bitmap --- */

static bool
is_private(const struct raid *raid)
{
	return raid->spec.policy != RAID_POLICY_BITMAP;
}

static void
read_bitmaps(struct assembly *a, struct op *op)
{
	struct raid *raid = a->pub->raid;

	a->areas = aligned_alloc(4096, raid->map.n * MIB);
	for (unsigned r = 0; r < raid->map.n; r++) {
		struct member *m = &raid->member[r];
		uint64_t len, off = bitmap_area(m, is_private(raid), &len);

		a->area_io[r].result = -ENOMEM;
		if (m->state != RAID_MEMBER_IN_SYNC || a->areas == NULL ||
		    off == 0)
			continue;
		len = MIN(len, bitmap_bytes_max(raid->map.member_size));
		a->area_iov[r] = (struct iovec){ a->areas + r * MIB, len };
		io_init(&a->area_io[r], IO_READ, off, len, &a->area_iov[r], 1,
		    0);
		blk_submit(m->blk, &a->area_io[r], op);
	}
}

static bool
all_expected(const struct sb1 *sb)
{
	for (unsigned r = 0; r < sb->raid_disks; r++)
		if (!role_expected(sb, r))
			return false;
	return true;
}

/* A bitmap of another kind must not be overwritten. */
static int
check_bitmap_version(struct assembly *a)
{
	struct raid *raid = a->pub->raid;
	struct err *err = &a->pub->err;

	for (unsigned r = 0; r < raid->map.n && !is_private(raid); r++) {
		uint32_t version;

		if (a->area_io[r].result != 0)
			continue;
		version = bitmap_version(a->area_iov[r].iov_base,
		    a->area_iov[r].iov_len);
		if (version == 0 || version == BITMAP_VERSION)
			continue;
		err_set(err, ENOTSUP, "the bitmap of %s has version %u, known "
		    "is %u", raid->member[r].blk->name, version,
		    BITMAP_VERSION);
		err_hint(err, "under Linux: mdadm --grow --bitmap=none, then "
		    "--bitmap=internal");
		return -ENOTSUP;
	}
	return 0;
}

/* The bits of all members together; the shape as the first good one says. */
static int
load_bitmaps(struct assembly *a)
{
	struct raid *raid = a->pub->raid;
	struct bitmap_sb sb = { .chunksize = 0 };
	uint64_t area = MIB;
	bool current = false;

	if (check_bitmap_version(a) < 0)
		return -1;
	for (unsigned r = 0; r < raid->map.n; r++) {
		if (a->area_io[r].result != 0)
			continue;
		area = MIN(area, a->area_iov[r].iov_len);
		if (sb.chunksize == 0 && !bitmap_decode(&sb,
		    a->area_iov[r].iov_base, a->area_iov[r].iov_len,
		    raid->spec.uuid))
			sb.chunksize = 0;
	}
	if (bitmap_room(raid, is_private(raid)) == 0)
		return 0;
	raid->bitmap = bitmap_new(raid, is_private(raid), sb.chunksize, area,
	    &a->pub->err);
	if (raid->bitmap == NULL)
		return -1;
	if (raid->bitmap->private && all_expected(a->best)) {
		/* Nobody was missing: nothing was missed, but by a crash. */
		raid->bitmap->sb.events_cleared = a->best->events - 1;
		if (a->best->resync_offset != SB1_CLEAN)
			bitmap_set_all(raid->bitmap);
		return 0;
	}
	for (unsigned r = 0; r < raid->map.n; r++)
		if (a->area_io[r].result == 0 && bitmap_load(raid->bitmap,
		    a->area_iov[r].iov_base, a->area_iov[r].iov_len,
		    a->best->events))
			current = true;
	/* Without our tag in it somebody else has written the array. */
	if (!current || (raid->bitmap->private && (a->best->utime >> 40) == 0))
		bitmap_set_all(raid->bitmap);
	if (!raid->bitmap->private)
		bitmap_note_member(raid->bitmap);	/* one copy for all */
	return 0;
}

/* --- what is in doubt --- */

/* Before the crash, or where a resync was stopped. */
static void
doubt_before(struct assembly *a, const struct doubt *record, bool found,
    bool whole, const struct replay_sum *sum)
{
	struct raid *raid = a->pub->raid;
	uint64_t size = raid->map.member_size, off = a->best->resync_offset;
	uint64_t from = round_down(MIN(off, size / SECTOR) * SECTOR,
	    raid->map.row_bytes);

	/* At rest the superblock says the lowest of it. */
	if (off != 0 && found)
		found = round_down(doubt_next(record, 0),
		    raid->map.row_bytes) == from;
	if (found && raid->doubt.n == 0 && (off != 0 || raid->ppl != NULL)) {
		doubt_copy(&raid->doubt, record);
	} else if (found && (off != 0 || raid->ppl != NULL)) {
		for (unsigned i = 0; i < record->n; i++)
			doubt_add(&raid->doubt, record->range[i].lo,
			    record->range[i].hi);
	} else if (raid->bitmap != NULL && !raid->bitmap->private) {
		bitmap_doubt(raid, from, &raid->doubt);
	} else if (off != 0 || whole || sum->recovered == 0) {
		/*
		 * Logs of somebody else that name nothing: its first resync
		 * may not have ended.
		 */
		doubt_add(&raid->doubt, from, size);
	}
}

/*
 * Of a row that was in flight at a crash, member and heir may have different
 * halves.  The logs name such rows, and the replay has copied them; other rows
 * in flight are in doubt, and so is what a resync changed on the member alone.
 * Not so with logs of Linux, which care for members only, and what is written
 * without a log while a member is missing.  A member that was the heir of one
 * which is gone has data of rows that were never written: it does not follow
 * from the others.
 */
static void
limit_heir(struct raid *raid, struct member *heir, uint64_t valid)
{
	if (valid >= heir->recovered)
		return;
	heir->recovered = heir->checkpoint = round_down(valid,
	    raid->map.row_bytes);
	raid->dirty_on_disk = false;	/* to be recorded before a write */
	raid_changed(raid);
}

static void
settle_heirs(struct assembly *a, bool whole, const struct replay_sum *sum)
{
	struct raid *raid = a->pub->raid;
	uint64_t doubt = doubt_next(&raid->doubt, 0);

	for (unsigned r = 0; r < raid->map.n; r++)
		if (is_heir(a, a->by_role[r]))
			limit_heir(raid, &raid->member[r], doubt);
	if (raid->heir.blk == NULL || a->best->resync_offset == SB1_CLEAN)
		return;
	if (raid->want_dirty && (!whole || !is_ours(a) ||
	    sum->unreadable > 0))
		doubt = 0;
	limit_heir(raid, &raid->heir, doubt);
}

/* Is nothing known about any row? */
static bool
all_in_doubt(const struct raid *raid)
{
	return raid->doubt.n == 1 && raid->doubt.range[0].lo == 0 &&
	    raid->doubt.range[0].hi == raid->map.member_size;
}

/*
 * A torn log is what a power cut inside the header leaves, before any data
 * was written; if all members are there, look at all rows nevertheless.
 */
static int
conclude(struct assembly *a)
{
	struct raid *raid = a->pub->raid;
	struct replay_sum sum = { 0 };
	bool all, found, whole = true;

	note_flushed(a);
	/* What the replay could not do is in raid->doubt. */
	if (raid->ppl != NULL)
		sum = end_replay(a);
	for (unsigned r = 0; r < raid->map.n; r++)
		whole &= raid->member[r].state == RAID_MEMBER_IN_SYNC;
	found = doubt_load_end(&a->records, raid, &raid->doubt_stable, &all);
	if (a->best->resync_offset != SB1_CLEAN)
		doubt_before(a, &raid->doubt_stable, found && is_ours(a),
		    whole, &sum);
	settle_heirs(a, whole, &sum);
	if (raid->want_dirty && whole && sum.torn + sum.unreadable > 0)
		doubt_add(&raid->doubt, 0, raid->map.member_size);
	if (!whole && raid->doubt.blank)
		doubt_clear(&raid->doubt);
	if (raid->want_dirty && !whole &&
	    (sum.unreadable > 0 || all_in_doubt(raid)))
		return refuse_in_doubt(a);
	if (found && all && doubt_equal(&raid->doubt_stable, &raid->doubt)) {
		raid->doubt_log.stale = false;
		return 0;
	}
	/* To be recorded before what it was concluded from is overwritten. */
	doubt_copy(&raid->doubt_stable, &raid->doubt);
	raid->dirty_on_disk = false;
	raid_changed(raid);
	return 0;
}

enum assemble_step { AS_READ, AS_CHOOSE, AS_FLUSH, AS_RUN };
static const char *const assemble_steps[] = {
	"READ", "CHOOSE", "FLUSH", "RUN",
};

static void
start_probes(struct raid_assemble *pub, struct op *op)
{
	struct assembly *a = calloc(1, sizeof(*a));

	err_clear(&pub->err);
	pub->raid = NULL;
	pub->nrejected = 0;
	pub->priv = a;
	if (a == NULL)
		return;
	a->pub = pub;
	a->n = pub->nblks;
	a->mem = aligned_alloc(4096, CANDIDATES * (size_t)SB1_BYTES);
	for (unsigned i = 0; a->mem != NULL && i < a->n; i++)
		probe_start(&a->probe[i], pub->blks[i],
		    a->mem + i * (size_t)SB1_BYTES, op);
}

static void
choose_and_build(struct raid_assemble *pub, struct op *op)
{
	struct assembly *a = pub->priv;
	struct raid_spec spec;

	if (a == NULL || a->mem == NULL) {
		err_set(&pub->err, ENOMEM, "no memory to read superblocks");
		return;
	}
	if (choose(a) < 0)
		return;
	spec_from_sb(&spec, a->best);
	spec.member_bytes = a->map.member_size;
	pub->raid = raid_new(pub->loop, &spec, &a->map, pub->pools, &pub->err);
	if (pub->raid == NULL)
		return;
	build(a, pub->raid);
	if (pub->raid->ppl != NULL)
		start_replay(a, op);
	read_bitmaps(a, op);
	doubt_load_start(&a->records, pub->raid, op);
}

static void
run(struct raid_assemble *pub)
{
	struct assembly *a = pub->priv;

	if (pub->raid != NULL && (load_bitmaps(a) < 0 || conclude(a) < 0)) {
		raid_free(pub->raid);
		pub->raid = NULL;
	}
	if (pub->raid != NULL)
		raid_run(pub->raid);
	if (a != NULL) {
		free(a->mem);
		free(a->areas);
		free(a->records.mem);
	}
	free(a);
	pub->priv = NULL;
}

static void
raid_assemble_run(struct op *op)
{
	struct raid_assemble *pub = op_owner(op, struct raid_assemble);

	switch ((enum assemble_step)op->step) {
	case AS_READ:
		start_probes(pub, op);
		op->step = AS_CHOOSE;
		return;
	case AS_CHOOSE:
		choose_and_build(pub, op);
		op->step = AS_FLUSH;
		return;
	case AS_FLUSH:
		if (pub->raid != NULL)
			flush_replayed(pub->priv, op);
		op->step = AS_RUN;
		return;
	case AS_RUN:
		run(pub);
		op_end(op);
		return;
	}
	bug("raid_assemble: bad step");
}

static const struct op_type raid_assemble_type = {
	.name = "raid_assemble",
	.steps = assemble_steps,
	.nsteps = nitems(assemble_steps),
	.run = raid_assemble_run,
};

void
raid_assemble_start(struct raid_assemble *assemble, struct op *parent)
{
	assert(assemble->nblks <= CANDIDATES);
	op_start(&assemble->op, &raid_assemble_type,
	    loop_sched(assemble->loop), parent);
}
