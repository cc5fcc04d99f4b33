/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Superblock updates and the clean/dirty life cycle.
 *
 * One update is in flight at a time and finishes on all members before the
 * next begins, so no member is ever two events behind.  Changes are counted
 * in raid->gen; a round records all changes made before it was encoded.
 *
 * Invariants: dirty_on_disk is true only while every live member says dirty;
 * clean is written only when no write is in flight and the members have been
 * flushed; once the array has failed no superblock is touched.  Before a
 * failure is recorded the other members are asked whether they are still
 * there: if a controller takes several members away at once, nothing is
 * written and all can come back.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define LOG_AREA LOG_RAID

/* Everybody's role, by dev_number; who is not here is faulty. */
static void
encode_roles(struct raid *raid, struct sb1 *sb)
{
	for (unsigned d = 0; d < sb->max_dev; d++)
		if (sb1_role_active(sb->roles[d]))
			sb->roles[d] = SB1_ROLE_FAULTY;
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		const struct member *m = raid_disk(raid, i);
		uint16_t role = (uint16_t)m->role;

		if (m->blk == NULL || m->sb.dev_number >= sb->max_dev)
			continue;
		if (!member_live(m))
			role = SB1_ROLE_FAULTY;
		else if (m->role == ROLE_NONE)
			role = SB1_ROLE_SPARE;
		sb->roles[m->sb.dev_number] = role;
	}
}

/* Fill a member's superblock from the array's state and encode it. */
static void
encode(struct member *m, bool dirty, uint64_t events)
{
	struct raid *raid = m->raid;
	struct sb1 *sb = &m->sb;
	uint32_t tag;

	loop_random(raid->loop, &tag, sizeof(tag));
	assert(member_live(m));
	memcpy(sb->set_name, raid->spec.name, sizeof(sb->set_name));
	sb->events = events;
	/* Linux writes whole seconds: our tag there tells who was last. */
	sb->utime = (loop_wall_time(raid->loop) & SB1_TIME_MASK) |
	    (uint64_t)(1 + tag % 999999) << 40;
	sb->cnt_corrected_read = (uint32_t)m->corrected_errors;
	sb->feature_map &= ~(SB1_RECOVERY | SB1_RECOVERY_BITMAP |
	    SB1_BAD_BLOCKS | SB1_REPLACEMENT);
	if (m->bblog.n > 0)
		sb->feature_map |= SB1_BAD_BLOCKS;
	sb->recovery_offset = 0;
	if (m->state == RAID_MEMBER_REPLACING) {
		sb->feature_map |= SB1_RECOVERY | SB1_REPLACEMENT;
		sb->recovery_offset = member_checkpoint(m) / SECTOR;
	}
	if (m->state == RAID_MEMBER_REBUILDING) {
		sb->feature_map |= SB1_RECOVERY;
		sb->recovery_offset = member_checkpoint(m) / SECTOR;
		if (m->guided && !raid->bitmap->private)
			sb->feature_map |= SB1_RECOVERY_BITMAP;
	}
	sb->resync_offset = SB1_CLEAN;
	if (dirty)
		sb->resync_offset = 0;
	else if (doubt_any(&raid->doubt_stable) &&
	    (raid->missing == 0 || !raid->doubt_stable.blank))
		sb->resync_offset = round_down(doubt_next(
		    &raid->doubt_stable, 0), raid->map.row_bytes) / SECTOR;
	encode_roles(raid, sb);
	sb1_encode(sb, m->sb_buf);
}

static void
submit_sb(struct raid *raid, struct member *m, enum io_kind kind,
    struct op *op)
{
	size_t len = sb1_write_bytes(&m->sb, m->blk->geo.logical_block);

	(void)raid;
	m->sb_iov.iov_base = m->sb_buf;
	m->sb_iov.iov_len = len;
	io_init(&m->sb_io, kind, SB1_OFFSET, len, &m->sb_iov, 1,
	    kind == IO_WRITE ? IO_FUA : MEMBER_MAY_CUT);
	member_io(m, &m->sb_io, op);
}

/* --- one update --- */

enum sb_step { SB_PROBE, SB_LOGS, SB_BBLOGS, SB_LACKS, SB_LEAD, SB_FOLLOW,
	SB_COMMIT, SB_FIRST, SB_ENCODE, SB_CHECK };
static const char *const sb_steps[] = {
	"PROBE", "LOGS", "BBLOGS", "LACKS", "LEAD", "FOLLOW", "COMMIT",
	"FIRST", "ENCODE", "CHECK",
};

/* Of the disks in the mask `who`, by raid_disk(), those that live. */
static void
submit_some(struct raid *raid, uint32_t who, enum io_kind kind, struct op *op)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		m->sb_io.result = 0;
		if ((who >> i & 1) != 0 && member_live(m))
			submit_sb(raid, m, kind, op);
	}
}

static void
submit_all(struct raid *raid, enum io_kind kind, struct op *op)
{
	submit_some(raid, UINT32_MAX, kind, op);
}
_Static_assert(2 * RAID_MEMBERS_MAX <= 32, "the disks fit in a mask");

/* `probe`: only a device that is gone counts. */
static void
note_sb_failures(struct raid *raid, bool probe)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		if (!member_live(m) || m->sb_io.result == 0)
			continue;
		if (probe && !errno_is_gone(m->sb_io.result))
			continue;
		m->write_errors += !probe;
		member_fail(m, errno_is_gone(m->sb_io.result) ?
		    "its device is gone" :
		    "its superblock could not be written");
	}
}

/*
 * Who was one event behind at the start is brought level before the events
 * grow: if the power goes during the update it must not be two behind.
 */
static void
level(struct raid *raid, struct op *op)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		m->sb_io.result = 0;
		if (!m->behind || !member_live(m))
			continue;
		assert(m->sb.events == raid->events);
		m->behind = false;
		sb1_encode(&m->sb, m->sb_buf);
		submit_sb(raid, m, IO_WRITE, op);
	}
}

/* What must not be behind the superblocks. */
static void
write_logs(struct raid *raid, struct op *op)
{
	level(raid, op);
	doubt_write(raid, op);
	if (raid->bitmap != NULL) {
		bitmap_note_events(raid, raid->events + 1);
		bitmap_write(raid->bitmap, op);
	}
}

/*
 * Bad-block logs go before the superblock that says that there is one.
 * False: all are on disk.
 */
static bool
submit_bblogs(struct raid *raid, struct op *op)
{
	bool any = false;

	for (unsigned i = 0; i < raid_ndisks(raid) && !raid->failed; i++) {
		struct member *m = raid_disk(raid, i);
		uint64_t off = 0;

		m->bblog_io.result = 0;
		if (!member_live(m) || !m->bblog_dirty)
			continue;
		any = true;
		m->bblog_dirty = !bblog_encode(&m->bblog, m->bblog_buf);
		m->bblog_iov = (struct iovec){ m->bblog_buf, sb1_bblog(&m->sb,
		    m->blk->geo.logical_block, &off) };
		assert(off != 0 && m->bblog_iov.iov_len <= BBLOG_BYTES);
		io_init(&m->bblog_io, IO_WRITE, off, m->bblog_iov.iov_len,
		    &m->bblog_iov, 1, IO_FUA);
		member_io(m, &m->bblog_io, op);
	}
	return any;
}

static void
note_bblog_failures(struct raid *raid)
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++)
		if (raid_disk(raid, i)->bblog_io.result != 0)
			member_fail(raid_disk(raid, i), "its bad-block log "
			    "could not be written");
}

/*
 * The first superblock with the bits of a partial parity log must not be the
 * freshest before all others have them too, for md does not start an array
 * whose other members lack a log.  So one without goes ahead by one event; the
 * others get the bits without an event; then the first gets them.
 */
static enum sb_step
sb_lead(struct raid *raid, struct sb_update *u, struct op *op)
{
	raid->new_ppl = false;
	if (raid->failed)
		return SB_ENCODE;
	assert(!raid->want_dirty && !raid->dirty_on_disk);
	if (!u->led)
		raid->events++;
	u->led = true;
	u->lead = (unsigned)__builtin_ctz(~raid->missing);
	encode(raid_disk(raid, u->lead), false, raid->events);
	submit_some(raid, 1u << u->lead, IO_WRITE, op);
	return SB_FOLLOW;
}

static enum sb_step
sb_follow(struct raid *raid, struct sb_update *u, struct op *op)
{
	note_sb_failures(raid, false);
	if (raid->failed || !member_live(raid_disk(raid, u->lead)))
		return SB_LEAD;
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		if (i == u->lead || !member_live(m))
			continue;
		m->sb.feature_map |= SB1_PPL;
		encode(m, false, raid->events - 1);
	}
	submit_some(raid, ~(1u << u->lead), IO_WRITE, op);
	return SB_COMMIT;
}

static void
sb_commit(struct raid *raid, struct sb_update *u, struct op *op)
{
	struct member *m = raid_disk(raid, u->lead);

	note_sb_failures(raid, false);
	if (raid->failed || !member_live(m))
		return;
	m->sb.feature_map |= SB1_PPL;
	encode(m, false, raid->events);
	submit_some(raid, 1u << u->lead, IO_WRITE, op);
}

/* As all will be written, but to the one that has to know before them. */
static void
sb_first(struct raid *raid, struct op *op)
{
	struct member *m = raid->first;

	if (m == NULL || raid->failed)
		return;
	m->sb_io.result = 0;
	if (!member_live(m))
		return;
	encode(m, raid->want_dirty, raid->events + 1);
	submit_sb(raid, m, IO_WRITE, op);
}

/*
 * What failed may be on the disk all the same, with the number of events that
 * the others get now.  One more round, and it is out of date.
 */
static void
sb_first_done(struct raid *raid, struct sb_update *u)
{
	struct member *m = raid->first;

	raid->first = NULL;
	if (m == NULL || raid->failed || m->sb_io.result == 0)
		return;
	place_first_failed(raid, m);
	u->again = true;
}

static void
sb_encode(struct raid *raid, struct sb_update *u, struct op *op)
{
	assert(!raid->failed && raid->sb_running);
	u->gen = raid->gen;
	u->dirty = raid->want_dirty;
	if (!u->dirty)
		raid->dirty_on_disk = false;
	if (!u->led)
		raid->events++;
	u->led = false;
	for (unsigned i = 0; i < raid_ndisks(raid); i++)
		if (member_live(raid_disk(raid, i)))
			encode(raid_disk(raid, i), u->dirty, raid->events);
	submit_all(raid, IO_WRITE, op);
}

/* The logs are written; what failed is noted. */
static enum sb_step
logged(struct raid *raid)
{
	note_sb_failures(raid, false);
	doubt_note_written(raid);
	return raid->new_ppl ? SB_LEAD : SB_FIRST;
}

static void
sb_end(struct raid *raid, struct op *op)
{
	raid->sb_running = false;
	op_wake_all(&raid->sb_waiting);
	op_end(op);
	if (place_due(raid) != PLACE_NONE)
		sweep_kick(raid);
}

static void
sb_update_run(struct op *op)
{
	struct sb_update *u = op_owner(op, struct sb_update);
	struct raid *raid = container_of(u, struct raid, sb_update);

	switch ((enum sb_step)op->step) {
	case SB_PROBE:
		if (raid->gen_durable >= raid->gen || raid->failed) {
			sb_end(raid, op);
			return;
		}
		u->probe = raid->gen_failed > raid->gen_durable;
		if (u->probe)
			submit_all(raid, IO_READ, op);
		op->step = SB_LOGS;
		return;
	case SB_LOGS:
		if (u->probe)
			note_sb_failures(raid, true);
		u->gen = 0;
		if (!raid->failed)
			write_logs(raid, op);
		op->step = raid->failed ? SB_CHECK : SB_BBLOGS;
		return;
	case SB_BBLOGS:		/* entered again until nothing is new */
		note_bblog_failures(raid);
		u->led = false;
		if (!submit_bblogs(raid, op))
			op->step = raid->doubt_log.stale ? SB_LOGS : SB_LACKS;
		return;
	case SB_LACKS:
		op->step = logged(raid);
		lack_write(raid, op);
		return;
	case SB_LEAD:
		op->step = sb_lead(raid, u, op);
		return;
	case SB_FOLLOW:
		op->step = sb_follow(raid, u, op);
		return;
	case SB_COMMIT:
		sb_commit(raid, u, op);
		op->step = SB_FIRST;
		return;
	case SB_FIRST:
		note_sb_failures(raid, false);
		lack_note_written(raid);
		sb_first(raid, op);
		op->step = SB_ENCODE;
		return;
	case SB_ENCODE:
		sb_first_done(raid, u);
		if (!raid->failed)
			sb_encode(raid, u, op);
		op->step = SB_CHECK;
		return;
	case SB_CHECK:
		if (u->gen != 0)
			note_sb_failures(raid, false);
		op->step = SB_PROBE;
		if (raid->failed || raid->gen_failed > u->gen)
			return;		/* another round says so */
		if (u->again) {
			u->again = false;
			return;
		}
		raid->gen_durable = u->gen;
		/* A cleaner may have decided otherwise meanwhile. */
		raid->dirty_on_disk = u->dirty && raid->want_dirty;
		return;
	}
	bug("sb_update: bad step");
}

static const struct op_type sb_update_type = {
	.name = "sb_update",
	.steps = sb_steps,
	.nsteps = nitems(sb_steps),
	.run = sb_update_run,
};

/* Waiters go on when all is recorded, so nobody is woken by an older round. */
void
raid_record(struct raid *raid, struct op *op)
{
	if (raid->failed || raid->gen_durable >= raid->gen)
		return;
	op_wait(&raid->sb_waiting, op);
	if (raid->sb_running)
		return;
	raid->sb_running = true;
	op_start(&raid->sb_update.op, &sb_update_type, op->sched, NULL);
}

void
raid_record_soon(struct raid *raid)
{
	if (raid->failed || raid->gen_durable >= raid->gen || raid->sb_running)
		return;
	raid->sb_running = true;
	op_start(&raid->sb_update.op, &sb_update_type, loop_sched(raid->loop),
	    NULL);
}

/* --- clean and dirty --- */

void
raid_need_dirty(struct raid *raid, struct op *op)
{
	assert(raid->writers > 0);
	raid->nwriters++;
	if (raid->dirty_on_disk)
		return;
	if (!raid->want_dirty) {
		raid->want_dirty = true;
		raid_changed(raid);
	}
	raid_record(raid, op);
}

enum clean_step { CL_FLUSH, CL_DECIDE, CL_END };
static const char *const clean_steps[] = { "FLUSH", "DECIDE", "END" };

static bool
may_clean(const struct raid *raid)
{
	return raid->writers == 0 && !raid->failed &&
	    (raid->want_dirty ||
	    !doubt_equal(&raid->doubt, &raid->doubt_stable));
}

void
raid_doubt_durable(struct raid *raid, const struct doubt *doubt)
{
	if (raid->ndoubted > 0 || doubt_equal(&raid->doubt_stable, doubt))
		return;
	/* It goes before the superblocks: is it on disk who is lost? */
	if (raid->doubt_stable.blank && raid->gen_failed > raid->gen_durable)
		return;
	doubt_limit(&raid->doubt_stable, doubt);
	raid->doubt_log.stale = true;
	raid_changed(raid);
}

static void
clean_flush(struct raid *raid, struct op *op)
{
	doubt_copy(&raid->clean_op.doubt, &raid->doubt);
	raid->clean_op.nwriters = raid->nwriters;
	for (unsigned r = 0; r < raid->map.n; r++)
		member_submit(&raid->member[r], &raid->clean_op.io[r],
		    IO_FLUSH, 0, 0, NULL, 0, 0, op);
}

static void
clean_decide(struct raid *raid, struct op *op)
{
	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->clean_op.io[r].result != 0)
			member_fail(&raid->member[r], "a flush failed");
	/* What was written meanwhile, the flush may have missed. */
	if (!may_clean(raid) || raid->clean_op.nwriters != raid->nwriters)
		return;
	raid_doubt_durable(raid, &raid->clean_op.doubt);
	raid->want_dirty = raid->dirty_on_disk = false;
	raid_changed(raid);
	raid_record(raid, op);
}

static void
clean_op_run(struct op *op)
{
	struct clean_op *clean = op_owner(op, struct clean_op);
	struct raid *raid = container_of(clean, struct raid, clean_op);

	switch ((enum clean_step)op->step) {
	case CL_FLUSH:
		op->step = may_clean(raid) ? CL_DECIDE : CL_END;
		if (op->step == CL_DECIDE)
			clean_flush(raid, op);
		return;
	case CL_DECIDE:
		clean_decide(raid, op);
		op->step = CL_END;
		return;
	case CL_END:
		raid->cleaning = false;
		if (raid->want_dirty && may_clean(raid) &&
		    !timer_running(&raid->safe_timer))
			raid_arm_clean(raid);
		op_end(op);
		op_wake_all(&raid->idle_waiting);
		return;
	}
	bug("raid_clean: bad step");
}

static const struct op_type clean_op_type = {
	.name = "raid_clean",
	.steps = clean_steps,
	.nsteps = nitems(clean_steps),
	.run = clean_op_run,
};

void
raid_clean_start(struct raid *raid, struct op *parent)
{
	assert(!raid->cleaning);
	raid->cleaning = true;
	op_start(&raid->clean_op.op, &clean_op_type, loop_sched(raid->loop),
	    parent);
}

static void
safe_timeout(void *arg)
{
	struct raid *raid = arg;

	if (!raid->cleaning && !raid->stopping)
		raid_clean_start(raid, NULL);
}

void
raid_arm_clean(struct raid *raid)
{
	if (raid->writers == 0 && !raid->stopping)
		timer_start(raid->loop, &raid->safe_timer, SAFE_MODE_MS,
		    safe_timeout, raid);
}

void
raid_writer_end(struct raid *raid)
{
	assert(raid->writers > 0);
	raid->writers--;
	raid_arm_clean(raid);
}
