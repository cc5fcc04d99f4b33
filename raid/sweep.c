/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The background walk over all rows, in batches: today the resync of an array
 * that was not clean.  Progress is raid->synced; it reaches the superblocks
 * as resync_offset whenever the array goes clean.
 *
 * Invariants: at most one sweep runs; synced only grows, and only over rows
 * whose parity was seen or made right; a row that cannot be read whole stops
 * the sweep at that place, it is never skipped.
 */
#include "raid/raid_priv.h"

#include <assert.h>

#define LOG_AREA LOG_RAID
#define SWEEP_PAUSE_MS 2	/* between batches while requests are served */

enum sweep_step { SW_BATCH, SW_BATCHED, SW_FLUSH, SW_END };
static const char *const sweep_steps[] = {
	"BATCH", "BATCHED", "FLUSH", "END",
};

static void
start_batch(struct raid *raid, struct sweep *sweep, struct op *op)
{
	unsigned max = raid->active > 0 ? 1 : nitems(sweep->row);

	sweep->nrows = 0;
	while (sweep->nrows < max && sweep->next + sweep->nrows < sweep->end) {
		struct row *row;

		/* Take what is there; wait only for the first. */
		if (sweep->nrows > 0 && STAILQ_EMPTY(&raid->free_rows))
			break;
		if ((row = row_get(raid, op)) == NULL)
			return;
		row_sync_start(row, sweep->next + sweep->nrows, op);
		sweep->row[sweep->nrows++] = row;
	}
	op->step = SW_BATCHED;
}

/* Rows count up to the first that failed. */
static bool
end_batch(struct raid *raid, struct sweep *sweep)
{
	bool ok = true;

	for (unsigned i = 0; i < sweep->nrows; i++) {
		struct row *row = sweep->row[i];

		sweep->bad += (unsigned)row->part;
		ok = ok && row->result == 0;
		sweep->next += ok;
		row_put(row);
	}
	raid->synced = sweep->next * raid->map.row_bytes;
	return ok;
}

static void
sweep_run(struct op *op)
{
	struct sweep *sweep = op_owner(op, struct sweep);
	struct raid *raid = container_of(sweep, struct raid, sweep);

	switch ((enum sweep_step)op->step) {
	case SW_BATCH:
		if (sweep->cancel || raid->failed ||
		    sweep->next == sweep->end) {
			op->step = SW_FLUSH;
			return;
		}
		start_batch(raid, sweep, op);
		return;
	case SW_BATCHED:
		op->step = end_batch(raid, sweep) ? SW_BATCH : SW_FLUSH;
		if (raid->gen_durable < raid->gen_failed)
			raid_record(raid, op);
		if (raid->active > 0)
			op_sleep(raid->loop, &sweep->timer, SWEEP_PAUSE_MS,
			    op);
		return;
	case SW_FLUSH:		/* the next clean superblock says how far */
		raid_arm_clean(raid);
		if (sweep->next == sweep->end)
			raid_tell(raid, "resync finished, %u blocks of parity "
			    "corrected", sweep->bad);
		op->step = SW_END;
		return;
	case SW_END:
		sweep->running = false;
		op_end(op);
		op_wake_all(&raid->idle_waiting);
		return;
	}
	bug("sweep: bad step");
}

static const struct op_type sweep_type = {
	.name = "raid_resync",
	.steps = sweep_steps,
	.nsteps = nitems(sweep_steps),
	.run = sweep_run,
};

void
raid_resync_start(struct raid *raid)
{
	struct sweep *sweep = &raid->sweep;

	assert(!sweep->running && raid->synced < raid->map.member_size);
	sweep->running = true;
	sweep->cancel = false;
	sweep->bad = 0;
	sweep->next = raid->synced / raid->map.row_bytes;
	sweep->end = raid_map_rows(&raid->map);
	raid_tell(raid, "resync starts at byte %llu of each member",
	    (unsigned long long)raid->synced);
	op_start(&sweep->op, &sweep_type, loop_sched(raid->loop), NULL);
}
