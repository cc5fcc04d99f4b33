/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Members: I/O to them, their counters, and their failing.
 *
 * Invariants: a faulty or missing member gets no I/O; once faulty it stays so
 * until the array is stopped or the member is rebuilt; the array has failed as
 * soon as the level cannot serve without the missing roles, and stays so.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOG_AREA LOG_RAID

static const char *const state_names[] = {
	[RAID_MEMBER_MISSING] = "missing",
	[RAID_MEMBER_IN_SYNC] = "in-sync",
	[RAID_MEMBER_FAULTY] = "faulty",
	[RAID_MEMBER_SPARE] = "spare",
	[RAID_MEMBER_REBUILDING] = "rebuilding",
	[RAID_MEMBER_REPLACING] = "replacing",
};

const char *
raid_member_state_name(enum raid_member_state state)
{
	assert((size_t)state < nitems(state_names));
	return state_names[state];
}

unsigned
raid_ndisks(const struct raid *raid)
{
	return raid->map.n + raid->nspares + (raid->heir.blk != NULL);
}

struct member *
raid_disk(struct raid *raid, unsigned i)
{
	assert(i < raid_ndisks(raid));
	if (i < raid->map.n)
		return &raid->member[i];
	i -= raid->map.n;
	return i < raid->nspares ? &raid->spare[i] : &raid->heir;
}

void
member_count(struct member *m, enum io_kind kind, uint64_t len)
{
	if (kind == IO_READ) {
		m->reads++;
		m->read_bytes += len;
	} else if (kind == IO_WRITE || kind == IO_ZERO) {
		m->writes++;
		m->write_bytes += len;
	}
}

void
member_submit(struct member *m, struct io *io, enum io_kind kind,
    uint64_t off, uint64_t len, const struct iovec *iov, unsigned niov,
    unsigned flags, struct op *op)
{
	uint64_t at = kind == IO_FLUSH ? 0 : m->data_off + off;

	io_init(io, kind, at, len, iov, niov, flags);
	if (!member_live(m) || m->raid->failed) {
		io->result = -ENODEV;
		if (kind != IO_READ && kind != IO_FLUSH)
			heir_missed(m->raid, m->role, off);
		return;
	}
	if (kind != IO_FLUSH && member_bad(m, off, len)) {
		if (kind == IO_READ) {
			io->result = MEMBER_LISTED;
			return;
		}
		io->flags |= IO_FUA;	/* the entry may be gone soon */
	}
	assert(kind == IO_FLUSH || range_ok(off, len,
	    m->raid->map.member_size));
	member_count(m, kind, len);
	heir_echo(m, io, off, op);
	member_io(m, io, op);
}

/* --- the bad-block log --- */

void
member_init_bblog(struct member *m)
{
	uint64_t off;

	bblog_init(&m->bblog, sb1_bblog(&m->sb, m->blk->geo.logical_block,
	    &off), 0);
	m->bblog_dirty = false;
}

bool
member_note_worn(struct member *m)
{
	uint64_t now = loop_now(m->raid->loop);

	while (m->worn > 0 && now - m->worn_ns >= WORN_NS) {
		m->worn /= 2;
		m->worn_ns += WORN_NS;
	}
	if (m->worn++ == 0)
		m->worn_ns = now;
	m->worn_out = m->worn_out || m->worn == WORN_MAX;
	if (m->worn == WORN_MAX)
		raid_tell(m->raid, "member %u (%s) had %u bad sectors within "
		    "an hour: replace this disk; more are only counted",
		    m->role, m->blk->name, m->worn);
	return m->worn < WORN_MAX;
}

bool
member_bad(const struct member *m, uint64_t off, uint64_t len)
{
	return m->bblog.n > 0 && bblog_has(&m->bblog, (m->data_off + off) /
	    SECTOR, len / SECTOR);
}

uint64_t
member_bad_run(const struct member *m, uint64_t off, uint64_t len)
{
	if (m->bblog.n == 0)
		return len;
	return bblog_run(&m->bblog, (m->data_off + off) / SECTOR,
	    len / SECTOR) * SECTOR;
}

int
member_bad_add(struct member *m, uint64_t off, uint64_t len)
{
	struct raid *raid = m->raid;
	uint64_t sector = (m->data_off + off) / SECTOR;
	bool listed;
	int rc;

	assert(len > 0 && off % SECTOR == 0 && len % SECTOR == 0);
	assert(range_ok(off, len, raid->map.member_size));
	if (!member_live(m))
		return -ENODEV;
	if (m->bblog.max == 0)
		return -ENOSPC;
	listed = bblog_has(&m->bblog, sector, 1) && bblog_run(&m->bblog,
	    sector, len / SECTOR) == len / SECTOR;
	rc = bblog_add(&m->bblog, sector, len / SECTOR);
	if (listed)			/* no longer to be cleared */
		return 0;
	m->bblog_dirty = true;
	raid_changed(raid);
	raid->gen_failed = raid->gen;
	if (member_note_worn(m))
		raid_tell(raid, "member %u (%s): %llu bytes at byte %llu are "
		    "bad", m->role, m->blk->name, (unsigned long long)len,
		    (unsigned long long)(m->data_off + off));
	return rc;
}

void
member_bad_clear(struct member *m, uint64_t off, uint64_t len)
{
	if (!member_bad(m, off, len) || !bblog_clear(&m->bblog,
	    (m->data_off + off) / SECTOR, len / SECTOR))
		return;
	m->bblog_dirty = true;
	raid_changed(m->raid);
	raid_record_soon(m->raid);
}

void
member_wrote(struct member *m, const struct io *io)
{
	assert(io->result == 0 && io->kind != IO_READ);
	if (m->bblog.n > 0)
		member_bad_clear(m, io->off - m->data_off, io->len);
}

bool
member_note_read(struct member *m, int result)
{
	assert(result != 0);
	if (result == MEMBER_LISTED)
		return false;
	m->read_errors++;
	if (!errno_is_gone(result))
		return false;
	member_fail(m, "its device is gone");
	return true;
}

/* --- what it holds --- */

bool
member_has_range(const struct member *m, uint64_t off, uint64_t len)
{
	if (m->state == RAID_MEMBER_IN_SYNC)
		return true;
	return m->state == RAID_MEMBER_REBUILDING &&
	    !ranges_overlap(&m->lack->now, off, off + len);
}

bool
member_has_row(const struct member *m, uint64_t row)
{
	uint32_t bytes = m->raid->map.row_bytes;

	return member_has_range(m, row * bytes, bytes);
}

uint32_t
row_missing(const struct raid *raid, uint64_t row)
{
	uint32_t mask = raid->missing;

	assert(row < raid_map_rows(&raid->map));
	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].state == RAID_MEMBER_REBUILDING &&
		    !member_has_row(&raid->member[r], row))
			mask |= UINT32_C(1) << r;
	return mask;
}

/* All roles that are not whole once `role` is lost. */
static uint32_t
lost_with(const struct raid *raid, unsigned role)
{
	uint32_t mask = raid->missing | UINT32_C(1) << role;

	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].state == RAID_MEMBER_REBUILDING)
			mask |= UINT32_C(1) << r;
	return mask;
}

bool
member_avoided(const struct member *m)
{
	const struct raid *raid = m->raid;

	if (m->late == 0 || doubt_any(&raid->doubt))
		return false;
	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].state != RAID_MEMBER_IN_SYNC ||
		    (&raid->member[r] != m && raid->member[r].late > 0))
			return false;
	return true;
}

bool
member_vital(const struct member *m)
{
	return !raid_level_serves(&m->raid->map, lost_with(m->raid,
	    m->role));
}

void
member_fail(struct member *m, const char *why)
{
	struct raid *raid = m->raid;

	if (!member_live(m) || raid->failed)
		return;
	if (m->role == ROLE_NONE) {
		m->state = RAID_MEMBER_FAULTY;
		raid_changed(raid);
		raid->gen_failed = raid->gen;
		raid_tell(raid, "spare %s is faulty: %s", m->blk->name, why);
		return;
	}
	assert(m->role < raid->map.n);
	if (m == &raid->heir) {
		m->state = RAID_MEMBER_FAULTY;
		m->lack = NULL;
		raid_changed(raid);
		raid->gen_failed = raid->gen;
		raid_tell(raid, "%s, which was to replace member %u, is "
		    "faulty: %s", m->blk->name, m->role, why);
		return;
	}
	assert(m == &raid->member[m->role]);
	assert((raid->missing >> m->role & 1) == 0);
	if (member_vital(m)) {
		/* Superblocks stay as they are: both may come back. */
		raid->failed = true;
		raid_tell(raid, "array failed: member %u (%s) is gone too: %s",
		    m->role, m->blk->name, why);
		op_wake_all(&raid->sb_waiting);
		return;
	}
	m->state = RAID_MEMBER_FAULTY;
	m->lack = NULL;
	raid->missing |= UINT32_C(1) << m->role;
	heir_left(raid, m->role);
	raid->sweep.stuck = false;	/* a spare may take its place */
	/* The record stays until the superblocks say who is lost. */
	if (raid->doubt.blank)
		doubt_clear(&raid->doubt);
	raid_changed(raid);
	raid->gen_failed = raid->gen;
	raid_tell(raid, "member %u (%s) is faulty: %s; the array is degraded",
	    m->role, m->blk->name, why);
}
