/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading ahead for streams.
 *
 * A read that begins where an earlier one ended belongs to a stream.  Once a
 * stream has read AHEAD_START in a row, what follows is read into memory in
 * pieces, as far ahead as it has come, AHEAD_MAX at most.  A reader that
 * overtakes waits for the piece instead of reading it a second time.
 *
 * A device that answers at once (a file in memory) is not worth the copy:
 * after a piece that took less than AHEAD_FAST_NS it is left alone for
 * AHEAD_PAUSE_NS.
 *
 * Pages read ahead enter the small queue, and their first use does not count,
 * so a stream passes through memory without pushing out what is used again.
 *
 * Invariant: a piece is an ordinary read of the cached device that is to be
 * kept, so all rules about changes meanwhile hold for it.
 */
#include "block/cache_priv.h"
#include "core/grave.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define AHEAD_START	(256 * KIB)
#define AHEAD_MAX	(2 * MIB)
#define RUN_MAX		(2 * AHEAD_MAX)
#define AHEAD_FAST_NS	(NSEC_PER_MSEC / 20)
#define AHEAD_PAUSE_NS	(10 * NSEC_PER_SEC)

struct cache_stream *
cache_stream_note(struct cache_vol *vol, uint64_t off, uint64_t len, bool hit)
{
	struct cache_stream *s;
	unsigned turn;

	for (unsigned i = 0; i < CACHE_STREAMS; i++) {
		if (vol->stream_next[i] != off || off == 0)
			continue;
		vol->stream_next[i] = off + len;
		vol->stream[i].run = MIN(vol->stream[i].run + len, RUN_MAX);
		return &vol->stream[i];
	}
	if (hit)
		return NULL;
	turn = vol->stream_turn++ % CACHE_STREAMS;
	s = &vol->stream[turn];
	if (s->run >= AHEAD_START) {	/* a stream ages before it goes */
		s->run /= 2;
		return NULL;
	}
	vol->stream_next[turn] = off + len;
	*s = (struct cache_stream){ .run = len };
	return s;
}

static struct cache_ahead *
find_free(struct cache *cache)
{
	for (unsigned i = 0; i < CACHE_AHEADS; i++) {
		struct cache_ahead *a = &cache->aheads[i];

		if (a->vol != NULL)
			continue;
		if (a->buf == NULL)
			a->buf = aligned_alloc(PAGE, AHEAD_PIECE);
		return a->buf != NULL ? a : NULL;
	}
	return NULL;
}

enum ahead_step { CA_READ, CA_END };
static const char *const ahead_steps[] = { "READ", "END" };

static void
ahead_end(struct cache_ahead *a)
{
	struct cache_vol *vol = a->vol;
	uint64_t now = loop_now(vol->blk.loop);
	struct io_queue waiting = STAILQ_HEAD_INITIALIZER(waiting);
	struct io *io;

	if (a->io.result == 0)
		vol->stats.read_ahead += a->len;
	if (a->io.grave != NULL) {	/* who waits reads for himself */
		a->io.grave->mem = a->buf;
		a->buf = NULL;
		grave_close(a->io.grave);
	}
	if (now - a->start_ns < AHEAD_FAST_NS)
		vol->ahead_pause_ns = now + AHEAD_PAUSE_NS;
	a->vol = NULL;
	vol->aheads--;
	op_end(&a->op);
	STAILQ_CONCAT(&waiting, &a->waiting);	/* `a` may be used again */
	while ((io = STAILQ_FIRST(&waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&waiting, queue);
		cache_submit(&vol->blk, io);
	}
	op_wake_all(&vol->close_wait);
}

static void
ahead_run(struct op *op)
{
	struct cache_ahead *a = op_owner(op, struct cache_ahead);

	switch ((enum ahead_step)op->step) {
	case CA_READ:
		a->iov = (struct iovec){ a->buf, a->len };
		io_init(&a->io, IO_READ, a->off, a->len, &a->iov, 1, IO_LENT);
		cache_fetch(a->vol, &a->io, op);
		op->step = CA_END;
		return;
	case CA_END:
		ahead_end(a);
		return;
	}
	bug("cache_read_ahead: bad step");
}

static void
ahead_describe(const struct op *op, char *text, size_t size)
{
	const struct cache_ahead *a = (const void *)op;

	snprintf(text, size, "%s off %" PRIu64 "+%" PRIu64,
	    a->vol->blk.name, a->off, a->len);
}

static const struct op_type ahead_type = {
	.name = "cache_read_ahead", .steps = ahead_steps,
	.nsteps = nitems(ahead_steps), .run = ahead_run,
	.describe = ahead_describe,
};

static void
ahead_start(struct cache_ahead *a, struct cache_vol *vol, uint64_t off,
    uint64_t len)
{
	a->vol = vol;
	a->off = off;
	a->len = len;
	a->start_ns = loop_now(vol->blk.loop);
	STAILQ_INIT(&a->waiting);
	vol->aheads++;
	op_start(&a->op, &ahead_type, loop_sched(vol->blk.loop), NULL);
}

void
cache_stream_go(struct cache_vol *vol, struct cache_stream *s, uint64_t next)
{
	struct cache *cache = vol->cache;
	uint64_t window = MIN(s->run, AHEAD_MAX), end;

	if (s->run < AHEAD_START ||
	    loop_now(vol->blk.loop) < vol->ahead_pause_ns)
		return;
	window = MIN(window, cache->limit * PAGE / 8);
	end = MIN(next + window, vol->blk.geo.size);
	s->ahead = MAX(s->ahead, next);
	while (s->ahead < end) {
		uint64_t len = AHEAD_PIECE - s->ahead % AHEAD_PIECE;
		struct cache_ahead *a;

		len = MIN(len, vol->blk.geo.size - s->ahead);
		if (!cache_range_valid(vol, s->ahead, len)) {
			a = find_free(cache);
			if (a == NULL)
				return;
			ahead_start(a, vol, s->ahead, len);
		}
		s->ahead += len;
	}
}

bool
cache_ahead_wait(struct cache_vol *vol, struct io *io)
{
	for (unsigned i = 0; vol->aheads > 0 && i < CACHE_AHEADS; i++) {
		struct cache_ahead *a = &vol->cache->aheads[i];

		if (a->vol != vol || a->off >= io->off + io->len ||
		    io->off >= a->off + a->len)
			continue;
		STAILQ_INSERT_TAIL(&a->waiting, io, queue);
		return true;
	}
	return false;
}
