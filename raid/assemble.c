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

#include "raid/assemble_priv.h"

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

static unsigned
nactive(const struct sb1 *sb)
{
	unsigned n = 0;

	for (unsigned i = 0; i < sb->max_dev; i++)
		n += sb1_role_active(sb->roles[i]);
	return n;
}

/*
 * One member got the next superblock before the power went, and was away when
 * the others started without it: they have as many events, and know more.
 */
static bool
fresher(const struct sb1 *sb, const struct sb1 *than)
{
	if (than == NULL || sb->events != than->events)
		return than == NULL || sb->events > than->events;
	return nactive(sb) < nactive(than);
}

/* The freshest among those that hold, or held, a role. */
static int
find_best(struct assembly *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct sb1 *sb = &a->probe[i].sb;

		if (a->out[i] || !sb1_role_active(sb1_role(sb,
		    sb->dev_number)))
			continue;
		if (fresher(sb, a->best))
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
 * A disk that was away, and its number in the table was given to another one:
 * what the table says is about the other.
 */
static void
reject_renumbered(struct assembly *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct sb1 *sb = &a->probe[i].sb;

		for (unsigned k = 0; k < a->n && !a->out[i]; k++) {
			const struct sb1 *other = &a->probe[k].sb;
			struct err *why;

			if (a->out[k] || sb->dev_number != other->dev_number ||
			    sb->events >= other->events || memcmp(
			    sb->device_uuid, other->device_uuid, 16) == 0)
				continue;
			why = reject(a, i);
			err_set(why, ESTALE, "%s has its place in the table "
			    "now", cand_name(a, k));
			err_hint(why, "add it again");
		}
	}
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

/* One heir for a member in order; one without a member is the member. */
static void
place_heirs(struct assembly *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		int k;

		if (a->out[i] || a->role[i] < 0 ||
		    !assembly_is_heir(a, (int)i))
			continue;
		k = a->by_role[a->role[i]];
		if (k < 0)
			a->by_role[a->role[i]] = (int)i;
		else if (a->heir < 0 && !assembly_is_heir(a, k) &&
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
		if (a->out[i] || a->role[i] < 0 || assembly_is_heir(a, (int)i))
			continue;
		if (a->by_role[a->role[i]] < 0)
			a->by_role[a->role[i]] = (int)i;
		else if ((rc = share_role(a, i)) < 0)
			return rc;
	}
	place_heirs(a);
	return 0;
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

int
assembly_refuse(struct assembly *a)
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
	return assembly_refuse(a);
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
	if (a->by_role[lost] < 0 && assembly_expects(a->best, (unsigned)lost) &&
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

		if (a->out[i] || a->role[i] < 0 || ppl_has_area(sb))
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
	if ((rc = choose_array(a)) < 0)
		return rc;
	reject_renumbered(a);
	if ((rc = find_best(a)) < 0)
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
}

/* Valid bytes from the start on, as its superblock says. */
static uint64_t
valid_bytes(const struct raid *raid, const struct sb1 *sb)
{
	if ((sb->feature_map & SB1_RECOVERY) == 0)
		return raid->map.member_size;
	return MIN(sb->recovery_offset, raid->map.member_size / SECTOR) *
	    SECTOR;
}

static void
adopt_member(struct raid *raid, unsigned role, const struct probe *probe)
{
	struct member *m = &raid->member[role];

	adopt(m, probe);
	if ((probe->sb.feature_map & SB1_RECOVERY) == 0)
		return;
	m->state = RAID_MEMBER_REBUILDING;
	m->lack = &raid->lack;
	lack_all(m->lack, &raid->map, valid_bytes(raid, &probe->sb));
	m->guided = (probe->sb.feature_map & SB1_RECOVERY_BITMAP) != 0 &&
	    raid->spec.policy == RAID_POLICY_BITMAP;
}

/* If Linux was about to switch to it, it lacks nothing. */
static void
adopt_heir(struct raid *raid, unsigned role, const struct probe *probe)
{
	struct member *heir = &raid->heir;

	assert(role < raid->map.n && raid->member[role].blk != NULL);
	adopt(heir, probe);
	heir->state = RAID_MEMBER_REPLACING;
	heir->lack = &raid->heir_lack;
	lack_all(heir->lack, &raid->map, valid_bytes(raid, &probe->sb));
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

/* Is every disk here that has a role, also one that is to replace another? */
static bool
all_named(const struct assembly *a)
{
	for (unsigned d = 0; d < a->best->max_dev; d++) {
		bool found = !sb1_role_active(a->best->roles[d]);

		for (unsigned i = 0; i < a->n && !found; i++)
			found = !a->out[i] && a->role[i] >= 0 &&
			    a->probe[i].sb.dev_number == d;
		if (!found)
			return false;
	}
	return true;
}

/*
 * Some disk that is away may be an event ahead: a member, an heir that has
 * just become one, a spare that has just got the role of one that is missing.
 * Before anything is written without it, it must be behind.  And nothing is
 * written before those that are an event behind say that the array is dirty.
 */
static void
outrun(const struct assembly *a, struct raid *raid)
{
	bool behind = raid->heir.blk != NULL && raid->heir.behind;

	for (unsigned r = 0; r < raid->map.n; r++)
		behind |= raid->member[r].behind;
	if (raid->missing != 0 || !all_named(a))
		raid->sb_update.again = true;
	else if (!behind)
		return;
	raid->dirty_on_disk = false;
	raid_changed(raid);
}

/* The decisions are made: only logs that cannot be read may refuse now. */
static void
build(struct assembly *a, struct raid *raid)
{
	const struct sb1 *best = a->best;

	raid->want_dirty = raid->dirty_on_disk = best->resync_offset == 0;
	for (unsigned r = 0; r < a->map.n; r++) {
		int i = a->by_role[r];

		if (i >= 0)
			adopt_member(raid, r, &a->probe[i]);
		else
			raid->missing |= UINT32_C(1) << r;
		if ((i < 0 || assembly_is_heir(a, i)) &&
		    assembly_expects(best, r)) {
			/*
			 * It will miss writes: to be recorded before one,
			 * and before a log forgets what it missed.  It may
			 * be one event ahead: then it must be behind.
			 */
			raid->sb_update.again = true;
			raid_changed(raid);
			raid->gen_failed = raid->gen;
			raid->dirty_on_disk = false;
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
	outrun(a, raid);
}

enum assemble_step { AS_READ, AS_CHOOSE, AS_LOGS, AS_FLUSH, AS_RUN };
static const char *const assemble_steps[] = {
	"READ", "CHOOSE", "LOGS", "FLUSH", "RUN",
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
	assembly_lacks_start(a, op);
}

static void
run(struct raid_assemble *pub)
{
	struct assembly *a = pub->priv;

	if (pub->raid != NULL && assembly_logs_end(a) < 0) {
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
		op->step = AS_LOGS;
		return;
	case AS_LOGS:
		if (pub->raid != NULL)
			assembly_logs_start(pub->priv, op);
		op->step = AS_FLUSH;
		return;
	case AS_FLUSH:
		if (pub->raid != NULL)
			assembly_logs_flush(pub->priv, op);
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
