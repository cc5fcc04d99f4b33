/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay of one member's partial parity log after a crash: for each entry of
 * the newest header, parity = partial parity + what the modified blocks hold
 * now.
 *
 * Invariants: only parity is written (and copies for an heir), with FUA, so a
 * crash during replay is repaired by replaying again; an entry whose partial
 * parity is damaged was being logged when the power went, so its data was
 * never touched: it is skipped; an entry that names a missing member's block is
 * skipped, for that block was in flight and its old content is gone; where a
 * sector of the log or of the data cannot be read, or the parity cannot be
 * written, it is in doubt.
 *
 * Modified blocks in a bad-block log are passed over, and their parity left as
 * it is: an entry of that log is durable only after the parity that stands
 * for the block was, so nothing would be learnt from the block itself.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "raid/ppl_log.h"
#include "raid/raid_priv.h"

#define PIECE PPL_HEADER	/* of the log, to find a bad sector */
#define PARITY RAID_MEMBERS_MAX		/* in io, iov and bufs */
#define HEIR (RAID_MEMBERS_MAX + 1)	/* in io */

enum replay_step { PV_LOAD, PV_LOADED, PV_PIECE, PV_FIND, PV_ENTRY, PV_READ,
	PV_WRITE, PV_WROTE, PV_END };
static const char *const replay_steps[] = {
	"LOAD", "LOADED", "PIECE", "FIND", "ENTRY", "READ", "WRITE", "WROTE",
	"END",
};

static void
read_area(struct ppl_replay *v, uint64_t off, uint64_t len, struct op *op)
{
	const struct ppl_log *log = &v->raid->ppl[v->role];

	assert(range_ok(off, len, log->area_len));
	v->area_iov = (struct iovec){ v->area + off, len };
	io_init(&v->area_io, IO_READ, log->area_off + off, len, &v->area_iov,
	    1, 0);
	blk_submit(v->raid->member[v->role].blk, &v->area_io, op);
}

static void
load_area(struct ppl_replay *v, struct op *op)
{
	const struct ppl_log *log = &v->raid->ppl[v->role];

	v->area_io.result = -ENOMEM;
	v->area = aligned_alloc(4096, log->area_len);
	v->bufs = aligned_alloc(4096, (PARITY + 1) * (size_t)ROW_BYTES_MAX);
	v->bad = calloc(log->area_len / PIECE + 1, sizeof(*v->bad));
	if (v->area != NULL && v->bufs != NULL && v->bad != NULL)
		read_area(v, 0, log->area_len, op);
}

/* A bad sector: read the rest, piece by piece. */
static enum replay_step
loaded(struct ppl_replay *v)
{
	v->piece = 0;
	if (v->area_io.result == 0)
		return PV_FIND;
	if (v->area_io.result == -ENOMEM || errno_is_gone(v->area_io.result)) {
		v->unreadable = true;
		return PV_END;
	}
	return PV_PIECE;
}

static enum replay_step
read_piece_of_area(struct ppl_replay *v, struct op *op)
{
	const struct ppl_log *log = &v->raid->ppl[v->role];

	if (v->piece > 0 && v->area_io.result != 0) {
		memset(v->area_iov.iov_base, 0, v->area_iov.iov_len);
		v->bad[v->piece / PIECE - 1] = true;
	}
	if (v->piece >= log->area_len)
		return PV_FIND;
	read_area(v, v->piece, MIN(PIECE, log->area_len - v->piece), op);
	v->piece += PIECE;
	return PV_PIECE;
}

static bool
area_is_bad(const struct ppl_replay *v, uint64_t off, uint64_t len)
{
	for (uint64_t i = off / PIECE; i * PIECE < off + len; i++)
		if (v->bad[i])
			return true;
	return false;
}

/* Could there be a newer header that we did not see? */
static bool
header_hidden(const struct ppl_replay *v, int64_t at)
{
	uint64_t next = 0;

	if (at >= 0) {
		if (v->ours)
			return false;
		next = (uint64_t)at + PPL_HEADER;
		for (unsigned i = 0; i < v->header.nentries; i++)
			next += v->header.entry[i].pp_size;
	}
	return range_ok(next, PPL_HEADER, v->raid->ppl[v->role].area_len) &&
	    area_is_bad(v, next, PPL_HEADER);
}

static enum replay_step
find_header(struct ppl_replay *v)
{
	const struct ppl_log *log = &v->raid->ppl[v->role];
	int64_t at;

	at = ppl_find(&v->header, v->area, log->area_len,
	    v->raid->ppl_signature);
	v->unreadable = header_hidden(v, at);
	if (at < 0)
		return PV_END;
	v->valid = true;
	v->generation = v->header.generation;
	v->entry = 0;
	v->pp_at = (uint64_t)at + PPL_HEADER;
	return v->replay ? PV_ENTRY : PV_END;
}

static bool
cover_readable(const struct ppl_replay *v)
{
	const struct raid_map *map = &v->raid->map;
	uint64_t off = v->cover.stripe * map->chunk + v->cover.in_chunk;

	for (unsigned i = 0; i < v->cover.ndata; i++)
		if (!member_has_range(&v->raid->member[raid_map_role(map,
		    v->cover.stripe, v->cover.first + i)], off, v->cover.len))
			return false;
	return member_has_range(&v->raid->member[v->role], off, v->cover.len);
}

static void
next_entry(struct ppl_replay *v)
{
	assert(v->entry < v->header.nentries);
	v->pp_at += v->header.entry[v->entry].pp_size;
	assert(v->pp_at <= v->raid->ppl[v->role].area_len);
	v->entry++;
	v->at = 0;
}

static void
skip_entry(struct ppl_replay *v)
{
	v->skipped++;
	next_entry(v);
}

/* The parity of what the entry covers is not known to be right. */
static void
leave_in_doubt(struct ppl_replay *v)
{
	uint64_t lo = v->cover.stripe * v->raid->map.chunk +
	    v->cover.in_chunk;

	doubt_add(&v->raid->doubt, lo, lo + v->cover.len);
	skip_entry(v);
}

/* Look at the entry; skip what must not be replayed. */
static enum replay_step
judge_entry(struct ppl_replay *v)
{
	const struct ppl_entry *e;

	if (v->entry == v->header.nentries)
		return PV_END;
	e = &v->header.entry[v->entry];
	if (!ppl_entry_cover(&v->cover, &v->raid->map, e, v->role) ||
	    !cover_readable(v)) {
		skip_entry(v);
		return PV_ENTRY;
	}
	if (e->pp_size == 0 ||
	    ppl_crc(v->area + v->pp_at, e->pp_size) == e->checksum)
		return PV_READ;
	if (area_is_bad(v, v->pp_at, e->pp_size))
		leave_in_doubt(v);
	else
		skip_entry(v);
	return PV_ENTRY;
}

static enum replay_step
next_piece(struct ppl_replay *v)
{
	assert(v->len > 0 && v->len <= ROW_BYTES_MAX);
	v->at += v->len;
	if (v->at < v->cover.len)
		return PV_READ;
	v->recovered++;
	next_entry(v);
	return PV_ENTRY;
}

/*
 * Cut the piece where a bad-block log begins or ends to list something.  Is
 * this piece listed?
 */
static bool
cut_listed(struct ppl_replay *v, uint64_t off)
{
	const struct raid_map *map = &v->raid->map;
	bool listed = false;

	for (unsigned i = 0; i < v->cover.ndata; i++) {
		const struct member *m = &v->raid->member[raid_map_role(map,
		    v->cover.stripe, v->cover.first + i)];

		v->len = (uint32_t)member_bad_run(m, off, v->len);
		listed = listed || member_bad(m, off, SECTOR);
	}
	return listed;
}

/* What an heir has of it may be another half. */
static void
heir_in_doubt(struct ppl_replay *v, uint64_t off)
{
	struct member *heir = &v->raid->heir;

	for (unsigned i = 0; i < v->cover.ndata; i++)
		if (member_live(heir) && raid_map_role(&v->raid->map,
		    v->cover.stripe, v->cover.first + i) == heir->role &&
		    member_bad_add(heir, off, v->len) < 0)
			member_fail(heir, "it has no room for a bad block");
}

/* The next piece of the entry: at most a row high. */
static enum replay_step
read_piece(struct ppl_replay *v, struct op *op)
{
	const struct raid_map *map = &v->raid->map;
	uint64_t off = v->cover.stripe * map->chunk + v->cover.in_chunk +
	    v->at;

	assert(v->at < v->cover.len);
	assert(v->cover.ndata <= map->ndata);
	v->len = MIN(v->cover.len - v->at, ROW_BYTES_MAX);
	if (cut_listed(v, off)) {
		heir_in_doubt(v, off);
		return next_piece(v);
	}
	for (unsigned i = 0; i < v->cover.ndata; i++) {
		v->iov[i] = (struct iovec){ v->bufs + i *
			(size_t)ROW_BYTES_MAX, v->len };
		member_submit(&v->raid->member[raid_map_role(map,
		    v->cover.stripe, v->cover.first + i)], &v->io[i], IO_READ,
		    off, v->len, &v->iov[i], 1, 0, op);
	}
	return PV_WRITE;
}

/* A bad sector leaves the parity of its row unknown.  False: all was read. */
static bool
note_unreadable(struct ppl_replay *v, bool *gone)
{
	const struct raid_map *map = &v->raid->map;
	bool any = false;

	*gone = false;
	for (unsigned i = 0; i < v->cover.ndata; i++) {
		struct member *m = &v->raid->member[raid_map_role(map,
		    v->cover.stripe, v->cover.first + i)];

		if (v->io[i].result == 0)
			continue;
		any = true;
		m->read_errors++;
		if (!errno_is_gone(v->io[i].result))
			continue;
		*gone = true;
		member_fail(m, "its device is gone");
	}
	return any;
}

/*
 * A member and its heir may have different halves of what was in flight.  (A
 * parity reaches the heir as any write does.)
 */
static void
copy_to_heir(struct ppl_replay *v, uint64_t off, struct op *op)
{
	struct member *heir = &v->raid->heir;

	v->io[HEIR].result = 0;
	for (unsigned i = 0; i < v->cover.ndata; i++)
		if (member_live(heir) && raid_map_role(&v->raid->map,
		    v->cover.stripe, v->cover.first + i) == heir->role)
			member_submit(heir, &v->io[HEIR], IO_WRITE, off,
			    v->len, &v->iov[i], 1, IO_FUA, op);
}

static enum replay_step
write_piece(struct ppl_replay *v, struct op *op)
{
	const struct raid_map *map = &v->raid->map;
	const uint8_t *src[RAID_MEMBERS_MAX];
	uint64_t off = v->cover.stripe * map->chunk + v->cover.in_chunk +
	    v->at;
	unsigned n = 0;
	bool gone;

	if (note_unreadable(v, &gone)) {
		if (gone)
			skip_entry(v);
		else
			leave_in_doubt(v);
		return PV_ENTRY;
	}
	copy_to_heir(v, off, op);
	for (unsigned i = 0; i < v->cover.ndata; i++)
		src[n++] = v->iov[i].iov_base;
	if (!v->cover.full)
		src[n++] = v->area + v->pp_at + v->at;
	v->iov[PARITY] = (struct iovec){ v->bufs + PARITY *
		(size_t)ROW_BYTES_MAX, v->len };
	xor_sources(v->iov[PARITY].iov_base, src, n, v->len, false);
	member_submit(&v->raid->member[v->role], &v->io[PARITY], IO_WRITE,
	    off, v->len, &v->iov[PARITY], 1, IO_FUA, op);
	return PV_WROTE;
}

static enum replay_step
wrote_piece(struct ppl_replay *v)
{
	struct member *m = &v->raid->member[v->role];

	if (v->io[HEIR].result != 0)
		member_fail(&v->raid->heir, "a write failed");
	if (v->io[PARITY].result == 0)
		return next_piece(v);
	m->write_errors++;
	if (errno_is_gone(v->io[PARITY].result)) {
		member_fail(m, "its device is gone");
		return PV_END;
	}
	leave_in_doubt(v);		/* the resync tries harder */
	return PV_ENTRY;
}

static void
ppl_replay_run(struct op *op)
{
	struct ppl_replay *v = op_owner(op, struct ppl_replay);

	switch ((enum replay_step)op->step) {
	case PV_LOAD:
		load_area(v, op);
		op->step = PV_LOADED;
		return;
	case PV_LOADED:
		op->step = loaded(v);
		return;
	case PV_PIECE:
		op->step = read_piece_of_area(v, op);
		return;
	case PV_FIND:
		op->step = find_header(v);
		return;
	case PV_ENTRY:
		op->step = judge_entry(v);
		return;
	case PV_READ:
		op->step = read_piece(v, op);
		return;
	case PV_WRITE:
		op->step = write_piece(v, op);
		return;
	case PV_WROTE:
		op->step = wrote_piece(v);
		return;
	case PV_END:
		free(v->area);
		free(v->bufs);
		free(v->bad);
		op_end(op);
		return;
	}
	bug("ppl_replay: bad step");
}

static const struct op_type ppl_replay_type = {
	.name = "ppl_replay",
	.steps = replay_steps,
	.nsteps = nitems(replay_steps),
	.run = ppl_replay_run,
};

void
ppl_replay_start(struct ppl_replay *replay, struct op *parent)
{
	replay->valid = replay->unreadable = false;
	replay->recovered = replay->skipped = 0;
	replay->at = 0;
	replay->generation = 0;
	op_start(&replay->op, &ppl_replay_type, parent->sched, parent);
}
