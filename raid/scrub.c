/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scrub has found and how far it is: a record that outlives the sweep,
 * and, if its keeper stores it, the array's run.  md has no place for it:
 * resync_offset says where parity is right, which a check does not decide.
 *
 * Invariants: all rows below record.done have been compared, and what was
 * written to them is on stable media; the list may name places behind that,
 * so a scrub that goes on does not count those again.  sweep.scrub: the sweep
 * is to do it, or the rest of it, when nothing is more urgent.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>

#define LOG_AREA LOG_RAID

static void
changed(struct raid *raid)
{
	if (raid->scrub_keeper != NULL)
		raid->scrub_keeper(raid->scrub_arg, NULL);
}

/* --- while it runs --- */

static bool
is_listed(const struct raid_scrub_record *r, uint64_t member_off)
{
	for (unsigned i = 0; i < r->nlisted; i++)
		if (r->list[i].member_off == member_off)
			return true;
	return false;
}

static void
note_mismatch(struct raid *raid, uint64_t member_off)
{
	struct raid_scrub_record *r = &raid->scrub;
	const struct raid_map *map = &raid->map;
	uint64_t stripe = member_off / map->chunk;
	struct raid_mismatch *mm;

	if (is_listed(r, member_off))
		return;
	r->mismatches++;
	if (r->nlisted == RAID_MISMATCHES)
		return;
	raid->sweep.found = true;
	mm = &r->list[r->nlisted++];
	mm->member_off = member_off;
	mm->off = raid_map_offset(map, stripe, 0,
	    (uint32_t)(member_off % map->chunk));
	mm->nblocks = map->ndata;
	mm->apart = map->chunk;
	mm->parity = raid_map_parity(map, stripe);
	if (raid->scrub_keeper != NULL)
		raid->scrub_keeper(raid->scrub_arg, mm);
	else
		log_warn("array=%s parity differs at byte %llu (member %u, "
		    "byte %llu of its data)", raid->spec.name,
		    (unsigned long long)mm->off, mm->parity,
		    (unsigned long long)mm->member_off);
}

bool
scrub_row(struct raid *raid, const struct row *row)
{
	uint64_t off = row->span.row * raid->map.row_bytes;

	if (row->result != 0 && (raid->failed || raid->missing != 0))
		return false;
	if (row->result != 0 && row->bad == 0)
		raid->sweep.skipped++;
	for (unsigned i = 0; i < 32; i++)
		if ((row->bad >> i & 1) != 0)
			note_mismatch(raid, off + i * UINT64_C(4096));
	return true;
}

static void
ended(struct raid *raid, enum raid_scrub_state state)
{
	struct raid_scrub_record *r = &raid->scrub;

	assert(r->state == RAID_SCRUB_RUNNING);
	raid->sweep.scrub = false;
	r->state = state;
	r->end_s = loop_wall_time(raid->loop);
	raid_tell(raid, "%s %s, %llu blocks of 4 KiB had wrong parity",
	    raid_task_name(r->repair ? RAID_TASK_REPAIR : RAID_TASK_CHECK),
	    state == RAID_SCRUB_FINISHED ? "finished" : "was cancelled",
	    (unsigned long long)r->mismatches);
	if (r->unread > 0)
		raid_tell(raid, "%llu bytes of each member could not be "
		    "compared: sectors there cannot be read",
		    (unsigned long long)r->unread);
}

void
scrub_checkpoint(struct raid *raid, uint64_t rows)
{
	struct raid_scrub_record *r = &raid->scrub;

	r->done = rows * raid->map.row_bytes;
	r->unread += raid->sweep.skipped * raid->map.row_bytes;
	raid->sweep.skipped = 0;
	if (r->done == r->total)
		ended(raid, RAID_SCRUB_FINISHED);
	changed(raid);
}

void
scrub_swept(struct raid *raid)
{
	if (raid->scrub.state != RAID_SCRUB_RUNNING || raid->sweep.scrub)
		return;
	ended(raid, RAID_SCRUB_CANCELLED);
	changed(raid);
}

/* --- for the administrator --- */

int
raid_scrub(struct raid *raid, bool repair, struct err *err)
{
	bool rebuilding = false;

	for (unsigned r = 0; r < raid->map.n; r++)
		rebuilding |= raid->member[r].state == RAID_MEMBER_REBUILDING;
	if (raid->failed || raid->missing != 0 || rebuilding)
		return err_set(err, EBUSY, "array %s is not complete: there is "
		    "no parity to check", raid->spec.name);
	if (raid->sweep.running)
		return err_set(err, EBUSY, "array %s is busy with another task",
		    raid->spec.name);
	raid->scrub.state = RAID_SCRUB_RUNNING;
	raid->scrub.repair = repair;
	raid->scrub.start_s = loop_wall_time(raid->loop);
	raid->scrub.end_s = raid->scrub.done = 0;
	raid->scrub.total = raid->map.member_size;
	raid->scrub.mismatches = raid->scrub.unread = 0;
	raid->scrub.nlisted = 0;
	raid->sweep.scrub = true;
	raid->sweep.stuck = false;	/* first what is still in doubt */
	sweep_kick(raid);
	changed(raid);
	return 0;
}

void
raid_scrub_cancel(struct raid *raid)
{
	raid->sweep.scrub = false;
	if (sweep_scrubs(raid))
		raid->sweep.cancel = true;	/* it ends with a checkpoint */
	else
		scrub_swept(raid);
}

static bool
record_ok(const struct raid_map *map, const struct raid_scrub_record *r)
{
	if (r->state < RAID_SCRUB_NONE || r->state > RAID_SCRUB_FINISHED ||
	    r->total != map->member_size || r->done > r->total ||
	    r->unread > r->total ||
	    r->nlisted > RAID_MISMATCHES || r->mismatches < r->nlisted ||
	    (r->state == RAID_SCRUB_FINISHED) != (r->done == r->total))
		return false;
	for (unsigned i = 0; i < r->nlisted; i++) {
		const struct raid_mismatch *mm = &r->list[i];

		if (mm->off >= map->size || mm->nblocks != map->ndata ||
		    mm->apart != map->chunk || mm->parity >= map->n ||
		    mm->member_off >= map->member_size)
			return false;
	}
	return true;
}

int
raid_scrub_restore(struct raid *raid, const struct raid_scrub_record *record,
    struct err *err)
{
	if (!record_ok(&raid->map, record))
		return err_set(err, EINVAL, "the record of the last scrub does "
		    "not fit array %s", raid->spec.name);
	if (raid->scrub.state != RAID_SCRUB_NONE)
		return err_set(err, EBUSY, "array %s was scrubbed already",
		    raid->spec.name);
	raid->scrub = *record;
	raid->scrub.done = round_down(record->done, raid->map.row_bytes);
	if (record->state == RAID_SCRUB_RUNNING) {
		raid->sweep.scrub = true;
		sweep_kick(raid);
	}
	return 0;
}

void
raid_get_scrub(const struct raid *raid, struct raid_scrub_record *record)
{
	*record = raid->scrub;
}

void
raid_set_scrub_keeper(struct raid *raid, raid_scrub_keeper *fn, void *arg)
{
	raid->scrub_keeper = fn;
	raid->scrub_arg = arg;
}
