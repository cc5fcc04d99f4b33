/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who takes which place in the array: a spare that of a missing member, or
 * that of an heir (replace.c); an heir that of the member, once it is whole or
 * the member is lost.
 *
 * Invariants: a member is exchanged only while no request, log or superblock
 * is in work, so no result of the old disk is taken for one of the new; a log
 * or bitmap is on the new disk before a superblock names it.  A disk that is
 * given a role learns it first (raid->first): whoever assembles the array
 * after a crash finds it in the old state or in the new, never a disk that
 * others name and that does not know what it lacks.  An heir becomes the
 * member while the array is clean, and the old disk is let go only when all
 * superblocks say so.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <string.h>

/* Does this spare hold an array member, with room for the log? */
bool
place_fits(const struct raid *raid, const struct member *m)
{
	const struct sb1 *sb = &m->sb;
	uint64_t room;

	if (m->guided && (raid->missing >> m->former & 1) == 0)
		return false;		/* its place is taken */
	if (m->state != RAID_MEMBER_SPARE ||
	    sb->data_size * SECTOR < raid->map.member_size ||
	    m->blk->geo.logical_block > raid->blk.geo.logical_block)
		return false;
	if (raid->bitmap != NULL && (bitmap_area(m, raid->bitmap->private,
	    &room) == 0 || room < raid->bitmap->nblocks * BITMAP_BLOCK))
		return false;
	if (raid->bitmap != NULL && !raid->bitmap->private &&
	    ((sb->feature_map & SB1_BITMAP) == 0 ||
	    sb->bitmap_offset % 8 != 0))
		return false;
	return raid->ppl == NULL || ppl_has_area(sb);
}

static int
find_spare(const struct raid *raid)
{
	for (unsigned i = 0; i < raid->nspares; i++)
		if (place_fits(raid, &raid->spare[i]))
			return (int)i;
	return -1;
}

static int
find_faulty_spare(const struct raid *raid)
{
	for (unsigned i = 0; i < raid->nspares; i++)
		if (raid->spare[i].state == RAID_MEMBER_FAULTY)
			return (int)i;
	return -1;
}

/* One that was chosen to replace a member which is in order. */
static int
find_chosen(const struct raid *raid)
{
	for (unsigned i = 0; i < raid->nspares; i++) {
		const struct member *m = &raid->spare[i];

		if (m->chosen && m->state == RAID_MEMBER_SPARE &&
		    raid->member[m->former].state == RAID_MEMBER_IN_SYNC)
			return (int)i;
	}
	return -1;
}

enum place_change
place_due(const struct raid *raid)
{
	const struct member *heir = &raid->heir;

	if (raid->failed)
		return PLACE_NONE;
	if (heir->blk != NULL && !member_live(heir))
		return PLACE_DROP;
	if (heir->blk != NULL && (raid->missing >> heir->role & 1) != 0)
		return PLACE_INHERIT;
	if (heir->blk != NULL && raid->heir_unwanted)
		return PLACE_DROP;
	if (raid->missing != 0 && find_spare(raid) >= 0)
		return PLACE_SPARE;
	/* Redundancy first: it is needed as a spare now. */
	if (raid->missing != 0 && heir->blk != NULL &&
	    ranges_any(&heir->lack->stable))
		return PLACE_DROP;
	if (heir->blk != NULL && !ranges_any(&heir->lack->stable))
		return PLACE_SWITCH;
	if (heir->blk == NULL && find_chosen(raid) >= 0)
		return PLACE_HEIR;
	if (find_faulty_spare(raid) >= 0)
		return PLACE_FORGET;
	return PLACE_NONE;
}

static void
move_member(struct member *dst, struct member *src)
{
	assert(src->blk != NULL && dst != src);
	dst->blk = src->blk;
	dst->sb = src->sb;
	dst->bblog = src->bblog;
	dst->bblog_dirty = src->bblog_dirty;
	dst->retest_ns = src->retest_ns;
	dst->data_off = src->data_off;
	dst->guided = src->guided;
	dst->former = src->former;
	dst->chosen = src->chosen;
	dst->lack = NULL;
	dst->state = src->state;
	dst->corrected_errors = src->corrected_errors;
	dst->read_errors = src->read_errors;
	dst->write_errors = src->write_errors;
	dst->worn = src->worn;
	dst->worn_ns = src->worn_ns;
	dst->worn_out = src->worn_out;
	dst->reads = dst->writes = dst->read_bytes = dst->write_bytes = 0;
	dst->stalls = 0;
	memset(dst->latency, 0, sizeof(dst->latency));
	memset(dst->write_latency, 0, sizeof(dst->write_latency));
	assert(TAILQ_EMPTY(&dst->inflight) && TAILQ_EMPTY(&src->inflight));
	src->blk = NULL;
	src->lack = NULL;
	src->state = RAID_MEMBER_MISSING;
}

static void
remove_spare(struct raid *raid, unsigned i)
{
	assert(i < raid->nspares && raid->spare[i].blk == NULL);
	raid->nspares--;
	if (i != raid->nspares)
		move_member(&raid->spare[i], &raid->spare[raid->nspares]);
}

/* Its log and bitmap, before a superblock gives it the role. */
static void
prepare_member(struct raid *raid, unsigned role, struct op *op)
{
	if (raid->ppl != NULL) {
		ppl_set_area(raid, role);
		ppl_submit_empty(&raid->ppl[role], op);
	}
	if (raid->bitmap != NULL) {
		bitmap_note_member(raid->bitmap);
		bitmap_write(raid->bitmap, op);
	}
	raid->doubt_log.stale = true;	/* written with the superblocks */
}

static void
take_spare(struct raid *raid, struct op *op)
{
	unsigned i = (unsigned)find_spare(raid);
	unsigned role = (unsigned)__builtin_ctz(raid->missing);
	struct member *m = &raid->member[role];

	raid->place.role = role;
	blk_close(m->blk);
	move_member(m, &raid->spare[i]);
	remove_spare(raid, i);
	m->state = RAID_MEMBER_REBUILDING;
	m->lack = &raid->lack;
	if (m->guided)
		lack_marked(m->lack, raid->bitmap, 0);
	else
		lack_all(m->lack, &raid->map, 0);
	m->chosen = false;
	raid->missing &= ~(UINT32_C(1) << role);
	raid->first = m;
	raid_changed(raid);
	raid_tell(raid, "spare %s takes the place of member %u",
	    m->blk->name, role);
	prepare_member(raid, role, op);
}

/* --- heirs --- */

static void
begin_heir(struct raid *raid)
{
	struct member *heir = &raid->heir;
	unsigned i = (unsigned)find_chosen(raid);

	raid->place.role = heir->role = raid->spare[i].former;
	move_member(heir, &raid->spare[i]);
	remove_spare(raid, i);
	heir->state = RAID_MEMBER_REPLACING;
	heir->lack = &raid->heir_lack;
	lack_all(heir->lack, &raid->map, 0);
	heir->chosen = false;
	raid->heir_unwanted = false;
	raid->first = heir;
	raid_changed(raid);
	raid_tell(raid, "%s is to replace member %u (%s)", heir->blk->name,
	    heir->role, raid->member[heir->role].blk->name);
}

static void
end_heir(struct raid *raid)
{
	raid->heir.role = ROLE_NONE;
	raid->heir_unwanted = false;
	raid->sweep.stuck = false;	/* that was another task */
}

/* The member is lost: what the heir has spares that much of a rebuild. */
static void
inherit(struct raid *raid, struct op *op)
{
	struct member *heir = &raid->heir, *m = &raid->member[heir->role];

	raid->place.role = m->role;
	blk_close(m->blk);
	move_member(m, heir);
	m->state = RAID_MEMBER_REBUILDING;
	m->lack = &raid->lack;
	lack_all(m->lack, &raid->map, 0);	/* until it has flushed */
	ranges_copy(&m->lack->now, &raid->heir_lack.now);
	raid->missing &= ~(UINT32_C(1) << m->role);
	raid->first = m;
	raid_changed(raid);
	raid_tell(raid, "%s takes the place of member %u, which it was to "
	    "replace", m->blk->name, m->role);
	end_heir(raid);
	member_submit(m, &raid->place.flush, IO_FLUSH, 0, 0, NULL, 0, 0, op);
	prepare_member(raid, m->role, op);
}

/* It failed, or is not wanted any more and becomes a spare. */
static void
drop_heir(struct raid *raid)
{
	struct member *heir = &raid->heir, *spare;

	if (member_live(heir)) {
		assert(raid->nspares < RAID_MEMBERS_MAX);
		spare = &raid->spare[raid->nspares++];
		move_member(spare, heir);
		spare->state = RAID_MEMBER_SPARE;
		raid_tell(raid, "%s does not replace member %u, and is a "
		    "spare now", spare->blk->name, heir->role);
	} else {
		raid_tell(raid, "%s is let go", heir->blk->name);
		blk_close(heir->blk);
		heir->blk = NULL;
		heir->state = RAID_MEMBER_MISSING;
	}
	raid_changed(raid);
	end_heir(raid);
}

static void
forget_spare(struct raid *raid)
{
	unsigned i = (unsigned)find_faulty_spare(raid);
	struct member *spare = &raid->spare[i];

	raid_tell(raid, "spare %s is let go", spare->blk->name);
	blk_close(spare->blk);
	spare->blk = NULL;
	spare->state = RAID_MEMBER_MISSING;
	remove_spare(raid, i);
}

/* All but what belongs to the slot. */
static void
swap_with_heir(struct raid *raid)
{
	struct member *heir = &raid->heir, *m = &raid->member[heir->role];
	struct member was = *m;

	assert(TAILQ_EMPTY(&m->inflight) && TAILQ_EMPTY(&heir->inflight));
	*m = *heir;
	m->sb_buf = was.sb_buf;
	m->bblog_buf = was.bblog_buf;
	was.sb_buf = heir->sb_buf;
	was.bblog_buf = heir->bblog_buf;
	*heir = was;
	/* The head of a list is part of it. */
	TAILQ_INIT(&m->inflight);
	TAILQ_INIT(&heir->inflight);
}

static void
switch_to_heir(struct raid *raid, struct op *op)
{
	struct member *heir = &raid->heir, *m = &raid->member[heir->role];

	if (raid->dirty_on_disk)	/* somebody failed: look again */
		return;
	raid->place.role = m->role;
	swap_with_heir(raid);
	m->state = RAID_MEMBER_IN_SYNC;
	heir->state = RAID_MEMBER_FAULTY;
	m->lack = NULL;
	raid->switched = true;
	raid->first = m;
	raid_changed(raid);
	prepare_member(raid, m->role, op);
}

/* The new disk could not be told that it is the member. */
static void
switch_back(struct raid *raid)
{
	struct member *heir = &raid->heir, *m = &raid->member[heir->role];

	swap_with_heir(raid);
	m->state = RAID_MEMBER_IN_SYNC;
	heir->state = RAID_MEMBER_FAULTY;
	raid->switched = false;
	raid->first = NULL;
	raid->missing &= ~(UINT32_C(1) << m->role);
	raid_changed(raid);
	raid->gen_failed = raid->gen;
	if (raid->ppl != NULL)
		ppl_set_area(raid, m->role);
	raid_tell(raid, "%s is faulty: it could not be made a member; %s "
	    "stays member %u", heir->blk->name, m->blk->name, m->role);
}

void
place_first_failed(struct raid *raid, struct member *m)
{
	m->write_errors++;
	if (raid->switched && m == &raid->member[raid->heir.role])
		switch_back(raid);
	else
		member_fail(m, "its superblock could not be written");
}

/* --- the exchange --- */

bool
place_wants_clean(const struct raid *raid)
{
	return place_due(raid) == PLACE_SWITCH && raid->dirty_on_disk;
}

void
place_take(struct raid *raid, struct op *op)
{
	struct place *place = &raid->place;

	assert(raid->freezer != NULL && raid->active == 0 &&
	    !raid->sb_running);
	place->change = place_due(raid);	/* it may be another one now */
	switch (place->change) {
	case PLACE_NONE:
		return;
	case PLACE_SPARE:
		take_spare(raid, op);
		return;
	case PLACE_HEIR:
		begin_heir(raid);
		return;
	case PLACE_INHERIT:
		inherit(raid, op);
		return;
	case PLACE_SWITCH:
		switch_to_heir(raid, op);
		return;
	case PLACE_DROP:
		drop_heir(raid);
		return;
	case PLACE_FORGET:
		forget_spare(raid);
		return;
	}
	bug("place: change %d", (int)place->change);
}

void
place_taken(struct raid *raid, struct op *op)
{
	struct place *place = &raid->place;
	struct member *m = &raid->member[place->role];
	bool prepared = place->change == PLACE_SPARE ||
	    place->change == PLACE_INHERIT || raid->switched;

	if (prepared && raid->ppl != NULL &&
	    raid->ppl[place->role].io.result != 0)
		member_fail(m, "its partial parity log could not be written");
	if (raid->switched && !member_live(m) && !raid->failed)
		switch_back(raid);
	if (place->change == PLACE_INHERIT && member_live(m)) {
		if (place->flush.result == 0)
			ranges_copy(&m->lack->stable, &m->lack->now);
		else
			member_fail(m, "a flush failed");
	}
	if (place->change != PLACE_NONE)
		raid_record(raid, op);
}

void
place_recorded(struct raid *raid)
{
	struct member *m = &raid->member[raid->place.role];

	if (raid->switched && !raid->failed)
		raid_tell(raid, "%s has replaced %s as member %u",
		    m->blk->name, raid->heir.blk->name, m->role);
	raid->switched = false;
	raid->first = NULL;
}
