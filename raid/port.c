/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of every request from the array to a member's disk: how long it
 * takes, and what happens if it takes too long.
 *
 * A member with a read or write older than the deadline is late: nothing is
 * read from it that others can stand in for, until it has answered.  A member
 * is dead if it has had something to do for DEAD_MS and has not ended a single
 * request in all that time, or never ended one of them, while nobody else is
 * late (else it is the cable or the controller, and all may come back).  It is
 * failed if the array can do without it, and its requests are cut off: the
 * waiter is told, while the request itself lives on here as a ghost until the
 * disk or the kernel gives it back.  A read whose memory can be buried need
 * not wait for that long: it is let go as soon as it is late and others can
 * stand in (MEMBER_LATE).  What the caller has not lent must be waited for.
 *
 * Invariants: a ghost reads into no memory that anybody else uses: it is
 * buried until the last ghost has ended; what a ghost writes is copied, though
 * a disk that has it already may write what comes into that memory later, to
 * rows of a failed member that are not believed; no member is exchanged, and
 * the array is not freed, while there is a ghost.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOG_AREA LOG_RAID
#define TICKS 4u		/* looks at the clock per deadline */
#define FORGOTTEN 4u		/* times DEAD_MS: one request alone */

struct port_io {
	struct io io;			/* to the disk */
	struct io *orig;		/* the array's; NULL: a ghost */
	struct member *member;
	uint64_t start_ns;
	bool late;
	void *copy;
	struct iovec iov;		/* of the copy */
	TAILQ_ENTRY(port_io) list;
	SLIST_ENTRY(port_io) free;
};

static void port_tick(void *arg);

void
ports_clock(struct raid *raid)
{
	timer_start(raid->loop, &raid->port_timer,
	    raid->deadline_ms / TICKS + 1, port_tick, raid);
}

/* --- one request --- */

static bool
too_old(const struct port_io *p, uint64_t ms)
{
	return loop_now(p->member->raid->loop) - p->start_ns >=
	    ms * NSEC_PER_MSEC;
}

/* A flush may take long on a good disk. */
static bool
any_old(const struct member *m)
{
	const struct port_io *p;

	TAILQ_FOREACH(p, &m->inflight, list)
		if (p->io.kind != IO_FLUSH)
			return too_old(p, m->raid->deadline_ms);
	return false;
}

static void
note_end(struct member *m, const struct port_io *p)
{
	uint64_t now = loop_now(m->raid->loop), ns = now - p->start_ns;
	unsigned slot = latency_slot(ns, RAID_LATENCIES);

	m->ended_ns = now;
	if (p->io.kind == IO_READ) {
		m->read_ns += ns;
		m->latency[slot]++;
	} else if (p->io.kind == IO_WRITE || p->io.kind == IO_ZERO) {
		m->write_ns += ns;
		m->write_latency[slot]++;
	}
	if (m->late == 0 || any_old(m))
		return;
	m->late = 0;
	if (member_live(m))
		raid_tell(m->raid, "member %u (%s) answers again", m->role,
		    m->blk->name);
}

static void
port_ended(struct io *io)
{
	struct port_io *p = container_of(io, struct port_io, io);
	struct member *m = p->member;
	struct raid *raid = m->raid;
	struct io *orig = p->orig;

	TAILQ_REMOVE(&m->inflight, p, list);
	note_end(m, p);
	SLIST_INSERT_HEAD(&raid->ports, p, free);
	if (orig != NULL) {
		io_end(orig, io->result);
		return;
	}
	free(p->copy);
	if (graveyard_leave(&raid->yard))
		op_wake_all(&raid->idle_waiting);
}

void
member_io(struct member *m, struct io *io, struct op *op)
{
	struct raid *raid = m->raid;
	struct port_io *p = SLIST_FIRST(&raid->ports);

	assert(io->waiter == NULL && m->blk != NULL);
	if (p != NULL)
		SLIST_REMOVE_HEAD(&raid->ports, free);
	else if ((p = calloc(1, sizeof(*p))) == NULL) {
		blk_submit(m->blk, io, op);	/* nobody looks at the clock */
		return;
	}
	p->orig = io;
	p->member = m;
	p->start_ns = loop_now(raid->loop);
	p->late = false;
	p->copy = NULL;
	io->waiter = op;
	op_hold(op);
	io_init(&p->io, io->kind, io->off, io->len, io->iov, io->niov,
	    io->flags & ~MEMBER_FLAGS);
	p->io.watch = port_ended;
	TAILQ_INSERT_TAIL(&m->inflight, p, list);
	if (!timer_running(&raid->port_timer))
		ports_clock(raid);
	blk_submit(m->blk, &p->io, &raid->port_op);
}

/* --- ghosts --- */

/* Why its waiter is to go on without it. */
enum cut { CUT_LATE, CUT_MEMBER_FAILED, CUT_ARRAY_FAILED };

static bool
may_cut(const struct port_io *p, enum cut why)
{
	unsigned flags = p->orig != NULL ? p->orig->flags : 0;

	if (p->orig == NULL)
		return false;
	if ((flags & MEMBER_LENT) != 0)
		return req_may_let_go(p->orig->owner);
	if (why == CUT_LATE)
		return (flags & MEMBER_MAY_PASS) != 0;
	if (p->io.kind == IO_READ)
		return (flags & MEMBER_MAY_CUT) != 0;
	return why == CUT_MEMBER_FAILED;
}

/*
 * Lists and data of its own, from now on, for what has not reached the disk
 * yet.  What a read reads into stays: that is buried.
 */
static bool
give_memory(struct port_io *p)
{
	size_t list = p->io.niov * sizeof(p->io.iov[0]);

	if (p->io.kind == IO_READ) {
		p->copy = malloc(list);
		if (p->copy == NULL)
			return false;
		memcpy(p->copy, p->io.iov, list);
		p->io.iov = p->copy;
	} else if (p->io.kind == IO_WRITE) {
		p->copy = aligned_alloc(4096, round_up(p->io.len, 4096));
		if (p->copy == NULL)
			return false;
		iov_to_buf(p->io.iov, p->io.niov, 0, p->copy, p->io.len);
		p->iov = (struct iovec){ p->copy, p->io.len };
		p->io.iov = &p->iov;
		p->io.niov = 1;
	}
	return true;
}

static void
cut_off(struct member *m, enum cut why)
{
	struct port_io *p;

	TAILQ_FOREACH(p, &m->inflight, list) {
		struct io *orig = p->orig;

		if (why != CUT_MEMBER_FAILED &&
		    !too_old(p, m->raid->deadline_ms))
			break;
		if (!may_cut(p, why) || !give_memory(p))
			continue;
		p->orig = NULL;
		graveyard_enter(&m->raid->yard);
		io_end(orig, why == CUT_LATE ||
		    (orig->flags & MEMBER_LENT) != 0 ? MEMBER_LATE :
		    MEMBER_CUT);
	}
}

void
bury(struct raid *raid, struct buf *buf)
{
	struct grave *grave = grave_new(&raid->yard);

	if (grave != NULL) {
		buf_give(&grave->buf, buf);
		grave_close(grave);
	} else {
		buf->pool = NULL;	/* lost until the array stops */
		buf->niov = 0;
	}
}

void
row_bury(struct raid *raid, struct row_work *work)
{
	bool cut = false;

	for (unsigned i = 0; i < work->plan.nreads; i++)
		cut = cut || work->io[i].result == MEMBER_CUT ||
		    work->io[i].result == MEMBER_LATE;
	if (cut)
		bury(raid, &work->buf);
}

/* --- the clock --- */

static bool
others_late(const struct member *m)
{
	const struct raid *raid = m->raid;

	for (unsigned r = 0; r < raid->map.n; r++)
		if (&raid->member[r] != m && member_live(&raid->member[r]) &&
		    any_old(&raid->member[r]))
			return true;
	return false;
}

static bool
is_dead(const struct member *m)
{
	const struct port_io *p = TAILQ_FIRST(&m->inflight);
	uint64_t ms = m->raid->dead_ms;

	if (p == NULL || !too_old(p, ms))
		return false;
	return too_old(p, FORGOTTEN * ms) ||
	    loop_now(m->raid->loop) - m->ended_ns >= ms * NSEC_PER_MSEC;
}

static void
note_late(struct member *m)
{
	struct port_io *p;

	TAILQ_FOREACH(p, &m->inflight, list) {
		if (!too_old(p, m->raid->deadline_ms))
			break;
		if (p->late || p->io.kind == IO_FLUSH)
			continue;
		p->late = true;
		m->stalls++;
	}
	if (m->late > 0 || !any_old(m))
		return;
	m->late = 1;
	if (member_live(m))
		raid_tell(m->raid, "member %u (%s) does not answer; its data "
		    "is reconstructed meanwhile", m->role, m->blk->name);
}

static void
look(struct member *m)
{
	struct raid *raid = m->raid;
	bool needed = m->role < raid->map.n && m != &raid->heir &&
	    member_live(m) && member_vital(m);

	note_late(m);
	if (raid->failed) {		/* who asks again is told so */
		cut_off(m, CUT_ARRAY_FAILED);
		return;
	}
	if (member_live(m) && is_dead(m) && !needed && !others_late(m)) {
		member_fail(m, "it has not answered for a long time");
		raid_record_soon(raid);
	}
	if (!member_live(m) && !TAILQ_EMPTY(&m->inflight) &&
	    too_old(TAILQ_FIRST(&m->inflight), raid->deadline_ms))
		cut_off(m, CUT_MEMBER_FAILED);
	else if (member_avoided(m))
		cut_off(m, CUT_LATE);
}

static void
port_tick(void *arg)
{
	struct raid *raid = arg;
	bool any = false;

	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		look(raid_disk(raid, i));
		any = any || !TAILQ_EMPTY(&raid_disk(raid, i)->inflight);
	}
	guards_tick(raid);
	if (any)
		ports_clock(raid);
}

/* --- start and stop --- */

void
ports_init(struct raid *raid)
{
	SLIST_INIT(&raid->ports);
	graveyard_init(&raid->yard);
	raid->port_op.pending = 1;	/* it never runs */
	raid->dead_ms = DEAD_MS;
}

void
ports_fini(struct raid *raid)
{
	struct port_io *p;

	assert(raid->yard.ghosts == 0 && raid->yard.open == 0);
	if (timer_running(&raid->port_timer))
		timer_stop(raid->loop, &raid->port_timer);
	while ((p = SLIST_FIRST(&raid->ports)) != NULL) {
		SLIST_REMOVE_HEAD(&raid->ports, free);
		free(p);
	}
}
