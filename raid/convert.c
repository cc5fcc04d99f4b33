/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Change the consistency policy of a running array.
 *
 * Both logs of md lie where the other one lies too, so the way leads over the
 * policy resync: freeze the array, make it clean, take the bits of the old
 * log from all superblocks, prepare the place of the new one, set its bits,
 * thaw.  The dirty log of our own comes and goes with the other policies than
 * bitmap, which has its own.
 *
 * Invariants: from the freeze to the thaw the array is clean on disk and no
 * request is in work, so any policy that the superblocks name after a crash
 * is right; bits are set only after what they speak of is durable on all
 * members; nothing is written before all checks have passed.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "raid/raid_priv.h"

struct conversion {
	struct timer timer;
	struct bitmap *bitmap;		/* the new one */
	bool new_bitmap;		/* it may be none */
	struct ppl_log *ppl;
	uint8_t *ppl_mem;
	struct io io[2 * RAID_MEMBERS_MAX];
};

/* --- checks --- */

static int
check_whole(const struct raid *raid, struct err *err)
{
	if (raid->failed)
		return err_set(err, EIO, "array %s has failed",
		    raid->spec.name);
	if (raid->stopping)
		return err_set(err, EBUSY, "array %s is being stopped",
		    raid->spec.name);
	for (unsigned r = 0; r < raid->map.n; r++) {
		if (raid->member[r].state == RAID_MEMBER_IN_SYNC)
			continue;
		err_set(err, EBUSY, "member %u of array %s is %s", r,
		    raid->spec.name, raid_member_state_name(
		    raid->member[r].state));
		err_hint(err, "change the policy when all members are in "
		    "sync");
		return -EBUSY;
	}
	if (raid->heir.blk != NULL) {
		err_set(err, EBUSY, "member %u of array %s is being replaced",
		    raid->heir.role, raid->spec.name);
		err_hint(err, "change the policy when that has ended");
		return -EBUSY;
	}
	if (!doubt_any(&raid->doubt) && !doubt_any(&raid->doubt_stable))
		return 0;
	err_set(err, EBUSY, "array %s is being resynced", raid->spec.name);
	err_hint(err, "change the policy when that has ended");
	return -EBUSY;
}

static int
check_room(struct raid *raid, enum raid_policy policy, struct err *err)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		const struct member *m = raid_disk(raid, i);
		int16_t offset;
		uint16_t size;

		if (!member_live(m) || policy == RAID_POLICY_RESYNC)
			continue;
		sb1_place_ppl(&m->sb, &offset, &size);
		if (policy == RAID_POLICY_PPL ? size * SECTOR >= PPL_AREA_MIN :
		    sb1_has_bitmap_place(&m->sb))
			continue;
		err_set(err, ENOSPC, "%s has no room for a %s before its "
		    "data", m->blk->name, policy == RAID_POLICY_PPL ?
		    "partial parity log" : "bitmap");
		err_hint(err, "it was made by another system; replace the "
		    "disk by a new one, which gets the room");
		return -ENOSPC;
	}
	return 0;
}

static int
check(struct raid_convert *convert)
{
	if (check_whole(convert->raid, &convert->err) < 0 ||
	    check_room(convert->raid, convert->policy, &convert->err) < 0)
		return -convert->err.code;
	return 0;
}

/* --- what the new policy needs --- */

/* Where the log goes; the bits that say so are set later. */
static void
place_logs(struct raid *raid, enum raid_policy policy)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct sb1 *sb = &raid_disk(raid, i)->sb;

		sb1_clear_log(sb);
		if (policy == RAID_POLICY_PPL)
			sb1_place_ppl(sb, &sb->ppl_offset, &sb->ppl_size);
		if (policy == RAID_POLICY_BITMAP)
			sb->bitmap_offset = SB1_BITMAP_PLACE;
	}
}

/* The room of a bitmap that is not there yet. */
static uint64_t
future_room(const struct raid *raid)
{
	uint64_t room = MIB;

	for (unsigned r = 0; r < raid->map.n; r++) {
		struct sb1 sb = raid->member[r].sb;

		sb1_clear_log(&sb);
		sb.bitmap_offset = SB1_BITMAP_PLACE;
		room = MIN(room, round_down(sb1_bitmap_area(&sb),
		    BITMAP_BLOCK));
	}
	return room;
}

static int
prepare_bitmap(struct raid_convert *convert, struct conversion *c)
{
	struct raid *raid = convert->raid;
	bool private = convert->policy != RAID_POLICY_BITMAP;
	uint64_t room;

	c->new_bitmap = private != (raid->spec.policy != RAID_POLICY_BITMAP);
	if (!c->new_bitmap)
		return 0;
	room = private ? bitmap_room(raid, true) : future_room(raid);
	if (room == 0 && private)
		return 0;
	c->bitmap = bitmap_new(raid, private, 0, room, &convert->err);
	return c->bitmap == NULL ? -convert->err.code : 0;
}

static int
prepare(struct raid_convert *convert, struct conversion *c)
{
	if (check(convert) < 0 || prepare_bitmap(convert, c) < 0)
		return -convert->err.code;
	if (convert->policy != RAID_POLICY_PPL)
		return 0;
	c->ppl = calloc(RAID_MEMBERS_MAX, sizeof(*c->ppl));
	c->ppl_mem = aligned_alloc(4096, RAID_MEMBERS_MAX *
	    (size_t)PPL_HEADER);
	if (c->ppl == NULL || c->ppl_mem == NULL)
		return err_set(&convert->err, ENOMEM, "no memory for the "
		    "partial parity log");
	return 0;
}

/* --- the steps --- */

enum convert_step { CV_CHECK, CV_FREEZE, CV_CLEAN, CV_DROP, CV_SWAP, CV_FLUSH,
	CV_LOG, CV_RECORD, CV_END };
static const char *const convert_steps[] = {
	"CHECK", "FREEZE", "CLEAN", "DROP", "SWAP", "FLUSH", "LOG", "RECORD",
	"END",
};

static enum convert_step
convert_check(struct raid_convert *convert)
{
	struct raid *raid = convert->raid;

	err_clear(&convert->err);
	convert->priv = NULL;
	if (raid->converting) {
		err_set(&convert->err, EBUSY, "the policy of array %s is "
		    "being changed", raid->spec.name);
		return CV_END;
	}
	if (convert->policy == raid->spec.policy || check(convert) < 0 ||
	    convert->only_check)
		return CV_END;
	convert->priv = calloc(1, sizeof(struct conversion));
	if (convert->priv == NULL) {
		err_set(&convert->err, ENOMEM, "no memory to change the "
		    "policy");
		return CV_END;
	}
	raid->converting = true;
	return CV_FREEZE;
}

/* Nobody needs the old log now.  It stays in use until nobody names it. */
static enum convert_step
drop_log(struct raid_convert *convert, struct op *op)
{
	struct raid *raid = convert->raid;

	if (raid->dirty_on_disk && !raid->failed)
		err_set(&convert->err, EIO, "array %s could not be made clean",
		    raid->spec.name);
	if (err_is(&convert->err) || check_whole(raid, &convert->err) < 0)
		return CV_END;
	if (raid->spec.policy == RAID_POLICY_RESYNC)
		return CV_SWAP;
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct sb1 *sb = &raid_disk(raid, i)->sb;

		sb->feature_map &= ~sb1_log_bits(sb);
	}
	raid_changed(raid);
	raid_record(raid, op);
	return CV_SWAP;
}

static void
swap_logs(struct raid_convert *convert, struct conversion *c)
{
	struct raid *raid = convert->raid;

	assert(raid->active == 0 && !raid->dirty_on_disk);
	raid->spec.policy = convert->policy;
	place_logs(raid, convert->policy);
	if (c->new_bitmap) {
		bitmap_free(raid->bitmap);
		raid->bitmap = c->bitmap;
		c->bitmap = NULL;
		if (raid->bitmap != NULL)
			raid->bitmap->sb.events_cleared = raid->events;
	}
	free(raid->ppl);
	free(raid->ppl_mem);
	raid->ppl = c->ppl;
	raid->ppl_mem = c->ppl_mem;
	c->ppl = NULL;
	c->ppl_mem = NULL;
	for (unsigned r = 0; raid->ppl != NULL && r < raid->map.n; r++)
		ppl_set_area(raid, r);
}

/*
 * Old records that lie in the place of the log must not be found behind its
 * first header.
 */
static void
wipe_logs(struct raid *raid, struct conversion *c, struct op *op)
{
	for (unsigned i = 0; raid->ppl != NULL && i < raid_ndisks(raid);
	    i++) {
		struct member *m = raid_disk(raid, i);

		io_init(&c->io[i], IO_ZERO, (SB1_SECTOR +
		    (uint64_t)m->sb.ppl_offset) * SECTOR, m->sb.ppl_size *
		    SECTOR, NULL, 0, 0);
		if (member_live(m) && !raid->failed)
			blk_submit(m->blk, &c->io[i], op);
	}
}

static enum convert_step
swap(struct raid_convert *convert, struct op *op)
{
	struct raid *raid = convert->raid;
	struct conversion *c = convert->priv;

	if (c->new_bitmap)
		bitmap_stop(raid);
	if (raid->sb_running || !bitmap_idle(raid)) {
		op_wait(raid->sb_running ? &raid->sb_waiting :
		    &raid->idle_waiting, op);
		return CV_SWAP;
	}
	if (raid->failed)
		return CV_END;
	swap_logs(convert, c);
	wipe_logs(raid, c, op);
	return CV_FLUSH;
}

static void
note_failures(struct raid *raid, struct conversion *c)
{
	for (unsigned i = 0; raid->ppl != NULL && i < raid_ndisks(raid); i++)
		if (c->io[i].result != 0)
			member_fail(raid_disk(raid, i), "the place of "
			    "its partial parity log could not be written");
}

static void
flush_logs(struct raid *raid, struct conversion *c, struct op *op)
{
	note_failures(raid, c);
	for (unsigned i = 0; raid->ppl != NULL && i < raid_ndisks(raid);
	    i++) {
		struct member *m = raid_disk(raid, i);

		io_init(&c->io[i], IO_FLUSH, 0, 0, NULL, 0, 0);
		if (member_live(m) && !raid->failed)
			blk_submit(m->blk, &c->io[i], op);
	}
}

static void
write_logs(struct raid *raid, struct conversion *c, struct op *op)
{
	note_failures(raid, c);
	for (unsigned r = 0; raid->ppl != NULL && r < raid->map.n; r++)
		if (member_live(&raid->member[r]))
			ppl_submit_empty(&raid->ppl[r], op);
	if (raid->spec.policy != RAID_POLICY_BITMAP)
		return;
	bitmap_note_events(raid, raid->events);
	bitmap_note_member(raid->bitmap);
	bitmap_write(raid->bitmap, op);
}

static void
name_logs(struct raid *raid, struct op *op)
{
	for (unsigned r = 0; raid->ppl != NULL && r < raid->map.n; r++)
		if (raid->ppl[r].io.result != 0)
			member_fail(&raid->member[r], "its partial parity "
			    "log could not be written");
	for (unsigned i = 0; raid->spec.policy == RAID_POLICY_BITMAP &&
	    i < raid_ndisks(raid); i++)
		raid_disk(raid, i)->sb.feature_map |= SB1_BITMAP;
	raid->new_ppl = raid->ppl != NULL;
	raid_changed(raid);
	raid_record(raid, op);
}

static void
convert_end(struct raid_convert *convert, struct op *op)
{
	struct raid *raid = convert->raid;
	struct conversion *c = convert->priv;

	if (c != NULL) {
		if (!err_is(&convert->err) && raid->failed)
			err_set(&convert->err, EIO, "array %s has failed",
			    raid->spec.name);
		if (!err_is(&convert->err))
			raid_tell(raid, "the consistency policy is %s now",
			    raid_policy_name(raid->spec.policy));
		bitmap_free(c->bitmap);
		free(c->ppl);
		free(c->ppl_mem);
		free(c);
		raid->converting = false;
		if (raid->freezer == op)
			raid_thaw(raid);
		op_wake_all(&raid->idle_waiting);
	}
	convert->priv = NULL;
	op_end(op);
}

static void
raid_convert_run(struct op *op)
{
	struct raid_convert *convert = op_owner(op, struct raid_convert);
	struct raid *raid = convert->raid;
	struct conversion *c = convert->priv;

	switch ((enum convert_step)op->step) {
	case CV_CHECK:
		op->step = convert_check(convert);
		return;
	case CV_FREEZE:
		if (raid->failed || raid->stopping)
			op->step = check(convert) < 0 ? CV_END : CV_FREEZE;
		else if (raid_freeze(raid, &c->timer, op))
			op->step = prepare(convert, c) < 0 ? CV_END : CV_CLEAN;
		return;
	case CV_CLEAN:
		raid_clean_start(raid, op);
		op->step = CV_DROP;
		return;
	case CV_DROP:
		op->step = drop_log(convert, op);
		return;
	case CV_SWAP:
		op->step = swap(convert, op);
		return;
	case CV_FLUSH:
		flush_logs(raid, c, op);
		op->step = CV_LOG;
		return;
	case CV_LOG:
		write_logs(raid, c, op);
		op->step = CV_RECORD;
		return;
	case CV_RECORD:
		name_logs(raid, op);
		op->step = CV_END;
		return;
	case CV_END:
		convert_end(convert, op);
		return;
	}
	bug("raid_convert: bad step");
}

static const struct op_type raid_convert_type = {
	.name = "raid_convert",
	.steps = convert_steps,
	.nsteps = nitems(convert_steps),
	.run = raid_convert_run,
};

void
raid_convert_start(struct raid_convert *convert, struct op *parent)
{
	assert(convert->policy <= RAID_POLICY_PPL);
	op_start(&convert->op, &raid_convert_type,
	    loop_sched(convert->raid->loop), parent);
}
