/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the members of an array that starts have noted about its state: the
 * partial parity logs, which are replayed, the bitmap or dirty log, the record
 * of what is in doubt.  From all of it follows what is in doubt now.
 *
 * Invariants: nothing is written but the parity that a log recovers, and it
 * and the data it was made of are flushed before a log is overwritten; what
 * is not known to be right is in doubt.
 */
#include "raid/assemble_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

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
		v->ours = assembly_is_ours(a);
		v->replay = a->best->resync_offset != SB1_CLEAN;
		ppl_replay_start(v, op);
	}
}

/*
 * A process that was killed leaves writes in the members' caches: superblocks
 * must be on stable media before they are followed by the next, and what was
 * replayed before the headers that name it are overwritten.
 */
void
assembly_logs_flush(struct assembly *a, struct op *op)
{
	struct raid *raid = a->pub->raid;

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

/* What it has beyond `valid` does not count. */
static void
limit_filled(struct raid *raid, struct member *m, uint64_t valid)
{
	if (m->lack == NULL || !lack_forget(m->lack, &raid->map, valid))
		return;
	raid->dirty_on_disk = false;	/* to be recorded before a write */
	raid_changed(raid);
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
		} else if (v->unreadable && v->replay) {
			/* Its parity may be old where it was filled. */
			limit_filled(raid, &raid->member[r], 0);
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
		if (!assembly_expects(sb, r))
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
	if (found && !doubt_any(&raid->doubt) &&
	    (off != 0 || raid->ppl != NULL)) {
		doubt_copy(&raid->doubt, record);
	} else if (found && (off != 0 || raid->ppl != NULL)) {
		for (unsigned i = 0; i < record->set.n; i++)
			doubt_add(&raid->doubt, record->set.range[i].lo,
			    record->set.range[i].hi);
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
settle_heirs(struct assembly *a, bool whole, const struct replay_sum *sum)
{
	struct raid *raid = a->pub->raid;
	uint64_t doubt = doubt_next(&raid->doubt, 0);

	for (unsigned r = 0; r < raid->map.n; r++)
		if (assembly_is_heir(a, a->by_role[r]))
			limit_filled(raid, &raid->member[r], doubt);
	if (raid->heir.blk == NULL || a->best->resync_offset == SB1_CLEAN)
		return;
	if (raid->want_dirty && (!whole || !assembly_is_ours(a) ||
	    sum->unreadable > 0))
		doubt = 0;
	limit_filled(raid, &raid->heir, doubt);
}

/* Is nothing known about any row? */
static bool
all_in_doubt(const struct raid *raid)
{
	return raid->doubt.set.n == 1 && raid->doubt.set.range[0].lo == 0 &&
	    raid->doubt.set.range[0].hi == raid->map.member_size;
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
	bool all, found, whole = true, blank;

	note_flushed(a);
	/* What the replay could not do is in raid->doubt. */
	if (raid->ppl != NULL)
		sum = end_replay(a);
	for (unsigned r = 0; r < raid->map.n; r++)
		whole &= raid->member[r].state == RAID_MEMBER_IN_SYNC;
	found = doubt_load_end(&a->records, raid, &raid->doubt_stable, &all);
	if (a->best->resync_offset != SB1_CLEAN)
		doubt_before(a, &raid->doubt_stable, found &&
		    assembly_is_ours(a), whole, &sum);
	settle_heirs(a, whole, &sum);
	if (raid->want_dirty && whole && sum.torn + sum.unreadable > 0)
		doubt_add(&raid->doubt, 0, raid->map.member_size);
	blank = !whole && raid->doubt.blank;
	if (blank)
		doubt_clear(&raid->doubt);
	if (raid->want_dirty && !whole &&
	    (sum.unreadable > 0 || all_in_doubt(raid)))
		return assembly_refuse(a);
	if (found && all && doubt_equal(&raid->doubt_stable, &raid->doubt)) {
		raid->doubt_log.stale = false;
		return 0;
	}
	/* To be recorded before what it was concluded from is overwritten. */
	if (!blank)
		doubt_copy(&raid->doubt_stable, &raid->doubt);
	raid->dirty_on_disk = false;
	raid_changed(raid);
	return 0;
}

/* --- in order --- */

void
assembly_lacks_start(struct assembly *a, struct op *op)
{
	struct raid *raid = a->pub->raid;

	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].lack != NULL)
			lack_load_start(raid->member[r].lack,
			    &raid->member[r], op);
	if (raid->heir.lack != NULL)
		lack_load_start(raid->heir.lack, &raid->heir, op);
}

/* Before a log is replayed: which rows have all members? */
static void
load_lacks(struct assembly *a)
{
	struct raid *raid = a->pub->raid;
	bool ours = assembly_is_ours(a);

	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].lack != NULL)
			lack_load_end(raid->member[r].lack, &raid->member[r],
			    a->best->events, ours &&
			    !a->unsure[a->by_role[r]]);
	if (raid->heir.lack != NULL)
		lack_load_end(raid->heir.lack, &raid->heir, a->best->events,
		    ours);
}

void
assembly_logs_start(struct assembly *a, struct op *op)
{
	struct raid *raid = a->pub->raid;

	load_lacks(a);
	if (raid->ppl != NULL)
		start_replay(a, op);
	read_bitmaps(a, op);
	doubt_load_start(&a->records, raid, op);
}

/* A member that came back and was being filled again where it has to be. */
static void
limit_guided(struct raid *raid)
{
	for (unsigned r = 0; r < raid->map.n; r++) {
		struct member *m = &raid->member[r];

		if (m->lack != NULL && m->guided && !m->lack->recorded)
			lack_marked(m->lack, raid->bitmap,
			    member_recovered(m));
	}
}

int
assembly_logs_end(struct assembly *a)
{
	if (load_bitmaps(a) < 0)
		return -1;
	limit_guided(a->pub->raid);
	return conclude(a);
}
