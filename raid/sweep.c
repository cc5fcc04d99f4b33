/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The background walk over all rows, in batches: resync after a crash
 * without a log, rebuild onto a spare, scrub.  One at a time, the most urgent
 * first; a spare takes the place of a missing member by itself, an heir that
 * of its member when it is whole.
 *
 * Invariants: what a sweep has achieved (raid->doubt, member->lack)
 * reaches the disks only after a flush of what it wrote; a row that cannot be
 * read stays in doubt and the resync goes on behind it, but it stops a
 * rebuild there.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define LOG_AREA LOG_RAID
#define CHECKPOINT_NS (10 * NSEC_PER_SEC)
#define CHECKPOINTS 4u			/* of a whole sweep, at least */
#define LOAD_NS (50 * NSEC_PER_MSEC)

enum sweep_step { SW_CHOOSE, SW_QUIESCE, SW_TAKE, SW_TAKEN, SW_THAW,
	SW_BATCH, SW_BATCHED, SW_FLUSH, SW_FLUSHED, SW_END };
static const char *const sweep_steps[] = {
	"CHOOSE", "QUIESCE", "TAKE", "TAKEN", "THAW", "BATCH", "BATCHED",
	"FLUSH", "FLUSHED", "END",
};

static const char *const task_names[] = {
	[RAID_TASK_NONE] = "none", [RAID_TASK_RESYNC] = "resync",
	[RAID_TASK_REBUILD] = "rebuild", [RAID_TASK_REPLACE] = "replace",
	[RAID_TASK_CHECK] = "check", [RAID_TASK_REPAIR] = "repair",
};

const char *
raid_task_name(enum raid_task task)
{
	assert((size_t)task < nitems(task_names));
	return task_names[task];
}

static enum raid_task
sweep_task(const struct sweep *sweep)
{
	switch (sweep->kind) {
	case SWEEP_RESYNC:
		return RAID_TASK_RESYNC;
	case SWEEP_REBUILD:
		return RAID_TASK_REBUILD;
	case SWEEP_REPLACE:
		return RAID_TASK_REPLACE;
	case SWEEP_CHECK:
		return RAID_TASK_CHECK;
	case SWEEP_REPAIR:
		return RAID_TASK_REPAIR;
	}
	bug("sweep: kind %d", (int)sweep->kind);
}

static bool
is_scrub(const struct sweep *sweep)
{
	return sweep->kind == SWEEP_CHECK || sweep->kind == SWEEP_REPAIR;
}

/* Who is being filled. */
static struct member *
sweep_member(struct raid *raid)
{
	const struct sweep *sweep = &raid->sweep;

	assert(sweep->kind == SWEEP_REBUILD || sweep->kind == SWEEP_REPLACE);
	return sweep->kind == SWEEP_REPLACE ? &raid->heir :
	    &raid->member[sweep->role];
}

static bool
is_filling(const struct sweep *sweep)
{
	return sweep->kind == SWEEP_REBUILD || sweep->kind == SWEEP_REPLACE;
}

/* It, or the member that it is the heir of, has failed. */
static bool
filling_failed(struct raid *raid)
{
	const struct sweep *sweep = &raid->sweep;

	return is_filling(sweep) && (!member_live(sweep_member(raid)) ||
	    (raid->missing >> sweep->role & 1) != 0);
}

/* What it lacks; NULL: nobody is filled, or not any more. */
static const struct lack *
sweep_lack(const struct raid *raid)
{
	const struct sweep *sweep = &raid->sweep;

	if (!is_filling(sweep))
		return NULL;
	return sweep->kind == SWEEP_REPLACE ? raid->heir.lack :
	    raid->member[sweep->role].lack;
}

static uint64_t
rows_done(const struct raid *raid, const struct sweep *sweep)
{
	const struct lack *lack = sweep_lack(raid);
	uint64_t all = raid->map.member_size;

	if (!is_filling(sweep))
		return sweep->next;
	if (lack == NULL)
		return sweep->end == sweep->next ? sweep->end : 0;
	return (all - ranges_bytes(&lack->now)) / raid->map.row_bytes;
}

/* --- what to do --- */

static int
rebuilding_role(const struct raid *raid)
{
	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].state == RAID_MEMBER_REBUILDING)
			return (int)r;
	return -1;
}

/* The first row from `row` on that is in doubt, or the end. */
static uint64_t
next_doubt(const struct raid *raid, uint64_t row)
{
	uint64_t at = doubt_next(&raid->doubt, row * raid->map.row_bytes);

	return MIN(at / raid->map.row_bytes, raid_map_rows(&raid->map));
}

/* The next row that the member which is filled lacks, or the end. */
static uint64_t
next_lacking(const struct raid *raid, struct sweep *sweep)
{
	const struct lack *lack = sweep_lack(raid);
	uint64_t next;
	bool used;

	if (lack == NULL)
		return sweep->next;
	next = fill_next(raid, lack, sweep->next, &used);
	sweep->used_done |= sweep->used_first && !used;
	sweep->used_first = used;
	return next;
}

/* Fill in the most urgent thing to sweep; false: nothing. */
static bool
next_task(const struct raid *raid, enum sweep_kind *kind, unsigned *role)
{
	const struct sweep *sweep = &raid->sweep;
	int rebuilding = rebuilding_role(raid);

	if (rebuilding >= 0) {
		*kind = SWEEP_REBUILD;
		*role = (unsigned)rebuilding;
		return !sweep->stuck;
	}
	if (member_live(&raid->heir) && !sweep->stuck &&
	    (raid->missing >> raid->heir.role & 1) == 0 &&
	    ranges_any(&raid->heir.lack->stable)) {
		*kind = SWEEP_REPLACE;
		*role = raid->heir.role;
		return true;
	}
	*kind = SWEEP_RESYNC;
	if (raid->missing == 0 && !sweep->stuck && doubt_any(&raid->doubt))
		return true;
	*kind = raid->scrub.repair ? SWEEP_REPAIR : SWEEP_CHECK;
	return raid->missing == 0 && sweep->scrub;
}

/* The task that a change of places begins or ends, for those who ask. */
static void
announce(struct raid *raid, struct sweep *sweep)
{
	sweep->kind = raid->missing == 0 ? SWEEP_REPLACE : SWEEP_REBUILD;
	sweep->role = raid->missing == 0 ? 0 :
	    (unsigned)__builtin_ctz(raid->missing);
	sweep->end = raid_map_rows(&raid->map);
	sweep->next = 0;
	sweep->first = rows_done(raid, sweep);
	sweep->start_ns = loop_now(raid->loop);
}

/* The next thing to do, as the step that begins it. */
static enum sweep_step
choose(struct raid *raid, struct sweep *sweep)
{
	if (raid->failed || sweep->cancel || raid->stopping)
		return SW_END;
	if (place_due(raid) == PLACE_FORGET)
		return SW_QUIESCE;	/* no task begins or ends */
	if (place_due(raid) != PLACE_NONE && (!sweep->stuck ||
	    raid->heir.blk != NULL)) {
		announce(raid, sweep);
		return SW_QUIESCE;
	}
	if (!next_task(raid, &sweep->kind, &sweep->role))
		return SW_END;
	sweep->next = 0;
	if (sweep->kind == SWEEP_RESYNC)
		sweep->next = next_doubt(raid, 0);
	else if (is_filling(sweep))
		sweep->next = next_lacking(raid, sweep);
	else
		sweep->next = raid->scrub.done / raid->map.row_bytes;
	return SW_BATCH;
}

/* Has something more urgent come up? */
static bool
outranked(const struct raid *raid, const struct sweep *sweep)
{
	enum sweep_kind kind;
	unsigned role = sweep->role;

	if (place_due(raid) != PLACE_NONE)
		return true;
	/* A resync that leaves no doubt is not outranked, but done. */
	return next_task(raid, &kind, &role) && kind < sweep->kind;
}

static void
begin(struct raid *raid, struct sweep *sweep)
{
	uint64_t now = loop_now(raid->loop);

	sweep->first = rows_done(raid, sweep);
	sweep->end = raid_map_rows(&raid->map);
	sweep->used_done = false;
	sweep->unrecorded = 0;
	sweep->start_ns = sweep->checkpoint_ns = now;
	sweep->bad = sweep->skipped = 0;
	raid_tell(raid, "%s starts at byte %llu of each member",
	    raid_task_name(sweep_task(sweep)), (unsigned long long)
	    (sweep->next * raid->map.row_bytes));
}

/* --- batches --- */

/* Is so much done that it should be recorded? */
static bool
checkpoint_due(const struct raid *raid, const struct sweep *sweep)
{
	return sweep->unrecorded * CHECKPOINTS >= sweep->end ||
	    loop_now(raid->loop) - sweep->checkpoint_ns > CHECKPOINT_NS;
}

/* Is this row of the batch to be done? */
static bool
row_wanted(const struct raid *raid, const struct sweep *sweep, uint64_t row)
{
	const struct lack *lack = sweep_lack(raid);

	if (sweep->kind == SWEEP_RESYNC)
		return row_in_doubt(raid, row);
	return lack == NULL || fill_wants(raid, lack, row, sweep->used_first);
}

/* Where the next batch begins. */
static void
seek(const struct raid *raid, struct sweep *sweep)
{
	if (sweep->kind == SWEEP_RESYNC)
		sweep->next = next_doubt(raid, sweep->next);
	else if (is_filling(sweep))
		sweep->next = next_lacking(raid, sweep);
}

/* Is anybody served, or was a moment ago? */
static bool
under_load(const struct raid *raid)
{
	return raid->active > 0 || (raid->request_ns > 0 &&
	    loop_now(raid->loop) - raid->request_ns < LOAD_NS);
}

static void
start_batch(struct raid *raid, struct sweep *sweep, struct op *op)
{
	unsigned max = throttle_rows(&sweep->throttle, under_load(raid));

	if (sweep->nrows == 0)
		sweep->batch_ns = loop_now(raid->loop);
	sweep->in_batch = true;
	if (sweep->nrows == 0)
		seek(raid, sweep);
	while (sweep->nrows < max && sweep->next + sweep->nrows < sweep->end) {
		struct row *row;

		/* Take what is there; wait only for the first. */
		if (sweep->nrows > 0 && (STAILQ_EMPTY(&raid->free_rows) ||
		    !row_wanted(raid, sweep, sweep->next + sweep->nrows)))
			break;
		if ((row = row_get(raid, op)) == NULL)
			return;
		row_sync_start(row, sweep->next + sweep->nrows, sweep->kind,
		    sweep->role, op);
		sweep->row[sweep->nrows++] = row;
	}
	row_pass(raid);
	op->step = SW_BATCHED;
}

/* The resync passes rows that it could not read. */
static bool
resynced(struct raid *raid, struct sweep *sweep, const struct row *row)
{
	sweep->bad += (unsigned)__builtin_popcount(row->bad);
	if (raid->failed || raid->missing != 0)
		return false;
	sweep->next++;
	if (row->result == 0)
		return true;
	if (sweep->skipped++ == 0)
		raid_tell(raid, "a row cannot be read at byte %llu of each "
		    "member: its parity stays in doubt", (unsigned long long)
		    (row->span.row * raid->map.row_bytes));
	return true;
}

/* It goes on behind the first that failed only if it is a resync. */
static bool
end_batch(struct raid *raid, struct sweep *sweep)
{
	bool ok = true;

	for (unsigned i = 0; i < sweep->nrows; i++) {
		struct row *row = sweep->row[i];

		if (is_scrub(sweep)) {
			ok = ok && scrub_row(raid, row);
			sweep->next += ok;
		} else if (sweep->kind == SWEEP_RESYNC) {
			ok = resynced(raid, sweep, row) && ok;
		} else {
			sweep->bad += (unsigned)__builtin_popcount(row->bad);
			ok = ok && row->result == 0;
			sweep->next += ok;
		}
		row_put(row);
	}
	assert(sweep->next <= sweep->end);
	sweep->in_batch = false;
	sweep->nbatches++;
	sweep->unrecorded += sweep->nrows;
	sweep->nrows = 0;
	if (ok && is_filling(sweep))
		seek(raid, sweep);
	return ok && !raid->failed;
}

static void
tell_stuck(struct raid *raid, const struct sweep *sweep)
{
	raid_tell(raid, "%s stops at byte %llu of each member: %s",
	    raid_task_name(sweep_task(sweep)), (unsigned long long)
	    (sweep->next * raid->map.row_bytes),
	    row_in_doubt(raid, sweep->next) ? "from there on the parity is in "
	    "doubt; to trust it nevertheless, stop the array, then mdadm "
	    "--assemble --force" : "a row cannot be read");
}

static enum sweep_step
after_batch(struct raid *raid, struct sweep *sweep)
{
	if (!end_batch(raid, sweep)) {
		sweep->stuck = is_filling(sweep) && !filling_failed(raid);
		if (sweep->stuck && !raid->failed)
			tell_stuck(raid, sweep);
		return SW_FLUSH;
	}
	if (sweep->cancel || sweep->next == sweep->end || sweep->used_done ||
	    outranked(raid, sweep) || sweep->found ||
	    checkpoint_due(raid, sweep))
		return SW_FLUSH;
	return SW_BATCH;
}

/*
 * Requests first (throttle.h).  Members in memory end a batch in the turn it
 * began: without a turn in between, requests would wait for all of the sweep.
 */
static void
rest(struct raid *raid, struct sweep *sweep, struct op *op)
{
	uint64_t ms = throttle_rest(&sweep->throttle, loop_now(raid->loop) -
	    sweep->batch_ns, under_load(raid));

	op_sleep(raid->loop, &sweep->timer, ms, op);
}

/* --- checkpoints and the end --- */

static void
finish(struct raid *raid, struct sweep *sweep)
{
	struct member *m = &raid->member[sweep->role];

	assert(sweep->next == sweep->end);
	if (sweep->kind == SWEEP_REPLACE)
		return;			/* it takes its place now */
	if (sweep->kind == SWEEP_REBUILD) {
		assert(m->state == RAID_MEMBER_REBUILDING);
		assert(!ranges_any(&m->lack->stable));
		m->state = RAID_MEMBER_IN_SYNC;
		m->lack = NULL;
		m->guided = false;
		raid_changed(raid);
		raid_tell(raid, "member %u (%s) is rebuilt", m->role,
		    m->blk->name);
		return;
	}
	if (is_scrub(sweep))
		return;
	if (sweep->skipped > 0) {
		sweep->stuck = true;
		raid_tell(raid, "%llu rows could not be read and stay in "
		    "doubt: replace the member with bad sectors, or write "
		    "them again", (unsigned long long)sweep->skipped);
	}
	raid_tell(raid, "%s finished, %llu blocks of 4 KiB had wrong parity",
	    raid_task_name(sweep_task(sweep)),
	    (unsigned long long)sweep->bad);
}

/* What is used has been filled: that is worth a word. */
static void
note_used(struct raid *raid, struct sweep *sweep)
{
	if (sweep->used_done && !sweep->used_first &&
	    sweep->kind == SWEEP_REBUILD && sweep->next < sweep->end)
		raid_tell(raid, "all that is used is on member %u (%s) again; "
		    "what is not used follows", sweep->role,
		    raid->member[sweep->role].blk->name);
	sweep->used_done = false;
}

static void
checkpoint(struct raid *raid, struct sweep *sweep, struct op *op)
{
	struct lack *lack;

	sweep->checkpoint_ns = loop_now(raid->loop);
	sweep->found = false;
	sweep->unrecorded = 0;
	for (unsigned r = 0; r < raid->map.n; r++)
		if (sweep->flush[r].result != 0)
			member_fail(&raid->member[r], "a flush failed");
	if (raid->failed)
		return;
	raid_doubt_durable(raid, &sweep->doubt);
	if (is_filling(sweep)) {
		if (filling_failed(raid))
			return;
		lack = sweep_member(raid)->lack;
		ranges_copy(&lack->stable, &sweep->lacking);
		raid_changed(raid);
		note_used(raid, sweep);
	}
	if (sweep->kind == SWEEP_RESYNC)
		raid_arm_clean(raid);	/* the clean superblock says how far */
	if (is_scrub(sweep))
		scrub_checkpoint(raid, sweep->next);
	if (sweep->next == sweep->end)
		finish(raid, sweep);
	raid_record(raid, op);
}

static enum sweep_step
after_checkpoint(struct raid *raid, struct sweep *sweep)
{
	if (sweep->cancel || raid->failed)
		return SW_END;
	if (sweep->next == sweep->end)
		return SW_CHOOSE;
	if (!is_filling(sweep) && raid->missing != 0)
		return SW_CHOOSE;
	if (filling_failed(raid) || outranked(raid, sweep))
		return SW_CHOOSE;
	return sweep->stuck ? SW_END : SW_BATCH;
}

static void
flush_written(struct raid *raid, struct sweep *sweep, struct op *op)
{
	const struct lack *lack = sweep_lack(raid);

	doubt_copy(&sweep->doubt, &raid->doubt);
	if (lack != NULL)
		ranges_copy(&sweep->lacking, &lack->now);
	for (unsigned r = 0; r < raid->map.n; r++) {
		sweep->flush[r].result = 0;
		if (sweep->kind != SWEEP_CHECK)
			member_submit(&raid->member[r], &sweep->flush[r],
			    IO_FLUSH, 0, 0, NULL, 0, 0, op);
	}
}

static void
sweep_end(struct raid *raid, struct sweep *sweep)
{
	enum sweep_kind kind;
	unsigned role;

	sweep->stuck |= sweep->cancel;
	sweep->running = sweep->cancel = false;
	op_end(&sweep->op);
	scrub_swept(raid);
	if (next_task(raid, &kind, &role))	/* since the last look */
		sweep_kick(raid);
	op_wake_all(&raid->idle_waiting);
}

static void
sweep_run(struct op *op)
{
	struct sweep *sweep = op_owner(op, struct sweep);
	struct raid *raid = container_of(sweep, struct raid, sweep);

	switch ((enum sweep_step)op->step) {
	case SW_CHOOSE:
		op->step = choose(raid, sweep);
		if (op->step == SW_BATCH)
			begin(raid, sweep);
		return;
	case SW_QUIESCE:
		if (raid_freeze(raid, &sweep->timer, op))
			op->step = SW_TAKE;
		return;
	case SW_TAKE:
		if (place_wants_clean(raid)) {
			raid_clean_start(raid, op);
			op->step = SW_QUIESCE;
			return;
		}
		place_take(raid, op);
		op->step = SW_TAKEN;
		return;
	case SW_TAKEN:
		place_taken(raid, op);
		op->step = SW_THAW;
		return;
	case SW_THAW:
		place_recorded(raid);
		raid_thaw(raid);
		op->step = SW_CHOOSE;
		return;
	case SW_BATCH:
		start_batch(raid, sweep, op);
		return;
	case SW_BATCHED:
		op->step = after_batch(raid, sweep);
		if (raid->gen_durable < raid->gen_failed)
			raid_record(raid, op);
		rest(raid, sweep, op);
		return;
	case SW_FLUSH:
		flush_written(raid, sweep, op);
		op->step = SW_FLUSHED;
		return;
	case SW_FLUSHED:
		checkpoint(raid, sweep, op);
		op->step = after_checkpoint(raid, sweep);
		return;
	case SW_END:
		sweep_end(raid, sweep);
		return;
	}
	bug("sweep: bad step");
}

static const struct op_type sweep_type = {
	.name = "raid_sweep",
	.steps = sweep_steps,
	.nsteps = nitems(sweep_steps),
	.run = sweep_run,
};

void
sweep_kick(struct raid *raid)
{
	struct sweep *sweep = &raid->sweep;

	if (sweep->running || raid->stopping || raid->failed)
		return;
	sweep->running = true;
	sweep->end = 0;			/* no task yet */
	sweep->nrows = 0;
	throttle_init(&sweep->throttle);
	op_start(&sweep->op, &sweep_type, loop_sched(raid->loop), NULL);
}

/* --- for the administrator --- */

/* What would be done next is put off. */
static bool
is_paused(const struct raid *raid)
{
	return !raid->sweep.running && raid->sweep.stuck && !raid->failed &&
	    (rebuilding_role(raid) >= 0 ||
	    (raid->missing == 0 && doubt_any(&raid->doubt)));
}

void
raid_task_resume(struct raid *raid)
{
	if (!is_paused(raid))
		return;
	raid->sweep.stuck = false;
	sweep_kick(raid);
}

void
raid_task_cancel(struct raid *raid)
{
	const struct sweep *sweep = &raid->sweep;

	if (raid->heir.blk != NULL && (!sweep->running ||
	    sweep->kind == SWEEP_REPLACE)) {
		raid->heir_unwanted = true;	/* outranks the copy */
		sweep_kick(raid);
	} else if (sweep_scrubs(raid)) {
		raid_scrub_cancel(raid);
	} else if (sweep->running) {
		raid->sweep.cancel = true;
	}
}

bool
sweep_scrubs(const struct raid *raid)
{
	return raid->sweep.running && is_scrub(&raid->sweep);
}

/* How much of what is used is not redundant, and for how long? */
static void
used_info(const struct raid *raid, struct raid_info *info)
{
	int role = rebuilding_role(raid);

	if (role < 0 || raid->used == NULL)
		return;
	info->used_known = true;
	info->used_left = fill_used_left(raid, raid->member[role].lack);
	if (info->task == RAID_TASK_REBUILD && info->task_rate > 0)
		info->used_eta = info->used_left / info->task_rate;
}

static void
task_info(const struct raid *raid, struct raid_info *info)
{
	const struct sweep *sweep = &raid->sweep;
	uint64_t ns, bytes;

	info->task = sweep_task(sweep);
	info->task_done = rows_done(raid, sweep) * raid->map.row_bytes;
	info->task_total = sweep->end * raid->map.row_bytes;
	ns = loop_now(raid->loop) - sweep->start_ns;
	bytes = info->task_done - MIN(sweep->first * raid->map.row_bytes,
	    info->task_done);
	if (ns >= NSEC_PER_MSEC)
		info->task_rate = bytes * 1000 / (ns / NSEC_PER_MSEC);
	if (info->task_rate > 0)
		info->task_eta = (info->task_total - info->task_done) /
		    info->task_rate;
}

void
sweep_get_info(const struct raid *raid, struct raid_info *info)
{
	info->task = RAID_TASK_NONE;
	info->mismatches = raid->scrub.mismatches;
	info->paused = is_paused(raid);
	if (raid->sweep.running && raid->sweep.end > 0)
		task_info(raid, info);
	used_info(raid, info);
}
