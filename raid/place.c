/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who takes which place in the array: a spare that of a missing member.
 *
 * Invariants: a member is exchanged only while no request, log or superblock
 * is in work, so no result of the old disk is taken for one of the new; a log
 * or bitmap is on the new disk before a superblock names it.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <string.h>

/* Does this spare hold an array member, with room for the log? */
static bool
spare_fits(const struct raid *raid, const struct member *m)
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
	return raid->ppl == NULL || ((sb->feature_map &
	    (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0 && sb->ppl_offset > 0 &&
	    sb->ppl_size * SECTOR >= PPL_AREA_MIN);
}

static int
find_spare(const struct raid *raid)
{
	for (unsigned i = 0; i < raid->nspares; i++)
		if (spare_fits(raid, &raid->spare[i]))
			return (int)i;
	return -1;
}

enum place_change
place_due(const struct raid *raid)
{
	if (!raid->failed && raid->missing != 0 && find_spare(raid) >= 0)
		return PLACE_SPARE;
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
	dst->state = src->state;
	dst->corrected_errors = src->corrected_errors;
	dst->read_errors = src->read_errors;
	dst->write_errors = src->write_errors;
	dst->reads = dst->writes = dst->read_bytes = dst->write_bytes = 0;
	dst->stalls = 0;
	memset(dst->latency, 0, sizeof(dst->latency));
	assert(dst->late == 0 && src->late == 0);
	src->blk = NULL;
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
	m->recovered = m->checkpoint = 0;
	raid->missing &= ~(UINT32_C(1) << role);
	raid->doubt_log.stale = true;	/* for the new one */
	raid_changed(raid);
	raid_tell(raid, "spare %s takes the place of member %u",
	    m->blk->name, role);
	prepare_member(raid, role, op);
}

void
place_take(struct raid *raid, struct op *op)
{
	struct place *place = &raid->place;

	assert(raid->freezer != NULL && raid->active == 0 && !raid->sb_running);
	place->change = place_due(raid);	/* it may be another one now */
	switch (place->change) {
	case PLACE_NONE:
		return;
	case PLACE_SPARE:
		take_spare(raid, op);
		return;
	}
	bug("place: change %d", (int)place->change);
}

void
place_taken(struct raid *raid, struct op *op)
{
	unsigned role = raid->place.role;

	if (raid->place.change == PLACE_NONE)
		return;
	if (raid->ppl != NULL && raid->ppl[role].io.result != 0)
		member_fail(&raid->member[role], "its partial parity log "
		    "could not be written");
	raid_record(raid, op);
}
