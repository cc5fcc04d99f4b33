/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to a cached device.
 *
 * What memory can answer ends at once: a read of valid sectors, and a write
 * on a device that writes back if there is room.  A read that is not to be
 * kept, over nothing dirty, is passed on as it is.  All else is a cache_req.
 *
 * A change that goes to the device (a write through, FUA, zero, discard) is
 * listed in vol->changes while it works.  Later changes of the same sectors
 * wait for it, so the device sees them in order, and reads that were under
 * way are not kept.
 *
 * Invariant: requests are taken in order of arrival; while none is free
 * nothing that needs one overtakes.
 */
#include "block/cache_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- copying --- */

struct cursor {
	const struct iovec *iov;
	size_t at;
};

static struct cursor
cursor_at(const struct iovec *iov, uint64_t off)
{
	struct cursor c = { iov, off };

	while (c.at > 0 && c.at >= c.iov->iov_len)
		c.at -= (c.iov++)->iov_len;
	return c;
}

static void
cursor_copy(struct cursor *c, uint8_t *page, size_t len, bool out)
{
	while (len > 0) {
		size_t part = MIN(c->iov->iov_len - c->at, len);
		uint8_t *user = (uint8_t *)c->iov->iov_base + c->at;

		memcpy(out ? user : page, out ? page : user, part);
		page += part;
		len -= part;
		c->at += part;
		if (c->at == c->iov->iov_len) {
			c->iov++;
			c->at = 0;
		}
	}
}

static uint8_t *
piece_data(const struct cache *cache, const struct cpage *page,
    const struct piece *p)
{
	return cpage_data(cache, page) + p->off % PAGE;
}

/* --- one at a time --- */

static bool
overlaps(const struct cache_req *req, uint64_t off, uint64_t len)
{
	return off < req->off + req->len && req->off < off + len;
}

bool
cache_change_ahead(const struct cache_vol *vol, const struct cache_req *until,
    uint64_t off, uint64_t len)
{
	const struct cache_req *req;

	TAILQ_FOREACH(req, &vol->changes, link) {
		if (req == until)
			return false;
		if (overlaps(req, off, len))
			return true;
	}
	assert(until == NULL);
	return false;
}

/* What reads under way bring may be old by the time it arrives. */
static void
spoil_fills(struct cache_vol *vol, uint64_t off, uint64_t len)
{
	struct cache_req *req;

	TAILQ_FOREACH(req, &vol->fills, link) {
		if (overlaps(req, off, len))
			req->spoilt = true;
	}
}

static void
cache_describe(const struct op *op, char *text, size_t size)
{
	const struct cache_req *req = (const void *)op;

	snprintf(text, size, "%s off %" PRIu64 "+%" PRIu64,
	    req->vol->blk.name, req->off, req->len);
}

static void
req_end(struct cache_req *req, int result)
{
	struct cache *cache = req->vol->cache;
	struct io *orig = req->orig;

	op_end(&req->op);
	cache_req_put(cache, req);
	io_end(orig, result);
}

/* --- read --- */

/* What becomes of a read that memory cannot answer: io->done. */
enum { READ_PASS, READ_KEEP, READ_AHEAD };

enum look { LOOK_HIT, LOOK_MISS, LOOK_DIRTY };

static enum look
look(struct finder *finder, const struct io *io)
{
	uint64_t end = io->off + io->len;
	bool hit = true, dirty = false;

	for (uint64_t at = io->off; at < end;) {
		struct piece p = piece_at(at, end);
		const struct cpage *page = finder_page(finder, &p);

		if (page == NULL || (p.mask & ~page->valid) != 0)
			hit = false;
		if (page != NULL && (p.mask & page->dirty) != 0)
			dirty = true;
		if (!hit && (dirty || finder->vol->stats.dirty == 0))
			break;
		at += p.len;
	}
	return hit ? LOOK_HIT : dirty ? LOOK_DIRTY : LOOK_MISS;
}

static void
copy_out(struct finder *finder, const struct io *io)
{
	struct cache *cache = finder->vol->cache;
	struct cursor cursor = cursor_at(io->iov, 0);
	uint64_t end = io->off + io->len;

	for (uint64_t at = io->off; at < end;) {
		struct piece p = piece_at(at, end);
		struct cpage *page = finder_page(finder, &p);

		assert(page != NULL && (p.mask & ~page->valid) == 0);
		cpage_hit(page);
		cursor_copy(&cursor, piece_data(cache, page, &p), p.len,
		    true);
		at += p.len;
	}
}

/* Sectors from `off` on that are all dirty, or all not. */
static uint64_t
run_at(struct cache_vol *vol, uint64_t off, uint64_t end, bool *dirty)
{
	struct finder finder = { .vol = vol };
	uint64_t at = off;

	while (at < end) {
		struct piece p = piece_at(at, end);
		const struct cpage *page = finder_page(&finder, &p);
		unsigned bits = page != NULL ? page->dirty : 0;

		for (; p.len > 0; at += SECTOR, p.len -= SECTOR) {
			bool bit = bits >> (at % PAGE / SECTOR) & 1;

			if (at == off)
				*dirty = bit;
			else if (bit != *dirty)
				return at - off;
		}
	}
	return at - off;
}

static void
copy_run(struct cache_req *req, uint64_t run)
{
	struct finder finder = { .vol = req->vol };
	struct cursor cursor = cursor_at(req->orig->iov, req->done);
	uint64_t at = req->off + req->done, end = at + run;

	while (at < end) {
		struct piece p = piece_at(at, end);
		struct cpage *page = finder_page(&finder, &p);

		cursor_copy(&cursor, piece_data(req->vol->cache, page, &p),
		    p.len, true);
		at += p.len;
	}
	req->done += run;
}

static void
keep(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;
	struct finder finder = { .vol = vol };
	struct cursor cursor = cursor_at(req->orig->iov, 0);
	uint64_t end = req->off + req->len;

	for (uint64_t at = req->off; at < end;) {
		struct piece p = piece_at(at, end);
		struct cpage *page = finder_page(&finder, &p);

		if (page == NULL) {
			page = cpage_add(vol, p.page_no);
			finder.known = false;
		} else if ((page->valid & p.mask) == p.mask) {
			cursor = cursor_at(req->orig->iov, at + p.len -
			    req->off);
			at += p.len;
			continue;
		} else {
			page = cpage_own(vol, page, p.mask);
		}
		if (page == NULL)
			return;
		page->ahead = page->ahead || req->ahead;
		assert((page->dirty & p.mask) == 0);
		cursor_copy(&cursor, piece_data(vol->cache, page, &p), p.len,
		    false);
		page->valid |= p.mask;
		at += p.len;
	}
}

enum read_step { CR_NEXT, CR_RUN, CR_END };
static const char *const read_steps[] = { "NEXT", "RUN", "END" };

/* Copy what is dirty, read what is not: one run at a time. */
static void
read_next(struct cache_req *req)
{
	const struct io *orig = req->orig;
	bool dirty;

	while (req->done < req->len) {
		unsigned n;

		req->run = run_at(req->vol, req->off + req->done,
		    req->off + req->len, &dirty);
		if (dirty) {
			req->fill = false;
			copy_run(req, req->run);
			continue;
		}
		n = iov_slice(req->iov, nitems(req->iov), orig->iov,
		    orig->niov, req->done, req->run);
		io_init(&req->io, IO_READ, req->off + req->done, req->run,
		    req->iov, n, orig->flags);
		blk_submit(req->vol->lower, &req->io, &req->op);
		req->op.step = CR_RUN;
		return;
	}
	req->op.step = CR_END;
}

static void
read_end(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;

	TAILQ_REMOVE(&vol->fills, req, link);
	if (req->fill && !req->spoilt && req->io.result == 0)
		keep(req);
	req_end(req, req->io.result);
}

static void
read_run(struct op *op)
{
	struct cache_req *req = op_owner(op, struct cache_req);

	switch ((enum read_step)op->step) {
	case CR_NEXT:
		read_next(req);
		return;
	case CR_RUN:
		if (req->io.result < 0)
			req->orig->failed_at = req->done + req->io.failed_at;
		req->orig->grave = req->io.grave;
		req->done += req->run;
		op->step = req->io.result == 0 ? CR_NEXT : CR_END;
		return;
	case CR_END:
		read_end(req);
		return;
	}
	bug("cache_read: bad step");
}

static const struct op_type read_type = {
	.name = "cache_read", .steps = read_steps,
	.nsteps = nitems(read_steps), .run = read_run,
	.describe = cache_describe,
};

static void
read_start(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;

	req->io.result = 0;
	req->spoilt = cache_change_ahead(vol, NULL, req->off, req->len);
	TAILQ_INSERT_TAIL(&vol->fills, req, link);
	op_start(&req->op, &read_type, loop_sched(vol->blk.loop), NULL);
}

/* --- change --- */

/*
 * Put the data into memory, as far as there is room.  Returns the bytes.  A
 * page that is not dirty yet counts against the limit.
 */
static uint64_t
copy_in(struct cache_vol *vol, const struct io *io, uint64_t off,
    uint64_t len, uint64_t done)
{
	struct cache *cache = vol->cache;
	struct finder finder = { .vol = vol };
	struct cursor cursor = cursor_at(io->iov, done);

	while (done < len) {
		struct piece p = piece_at(off + done, off + len);
		struct cpage *page = finder_page(&finder, &p);

		if ((page == NULL || page->dirty == 0) &&
		    cache->dirty >= cache_dirty_max(cache))
			break;
		if (page == NULL) {
			page = cpage_add(vol, p.page_no);
			finder.known = false;
		} else {
			cpage_hit(page);
			page = cpage_own(vol, page, p.mask);
		}
		if (page == NULL)
			break;
		cursor_copy(&cursor, piece_data(cache, page, &p), p.len,
		    false);
		cpage_set_dirty(cache, page, p.mask);
		cache_note_dirty(page->group);
		done += p.len;
	}
	return done;
}

enum change_step { CC_LOCK, CC_COPY, CC_CLEAN, CC_SEND, CC_END };
static const char *const change_steps[] = { "LOCK", "COPY", "CLEAN", "SEND",
	"END" };

static bool
goes_back(const struct cache_vol *vol, const struct io *io)
{
	return io->kind == IO_WRITE && vol->write_back && !vol->failing &&
	    (io->flags & IO_FUA) == 0;
}

/*
 * More room comes when a work ends; if none is under way and none can be
 * started, waiting would be for ever: then the device takes the data at once.
 */
static void
change_copy(struct cache_req *req)
{
	struct cache *cache = req->vol->cache;

	if (!goes_back(req->vol, req->orig)) {
		req->op.step = CC_CLEAN;
		return;
	}
	spoil_fills(req->vol, req->off, req->len);
	req->done = copy_in(req->vol, req->orig, req->off, req->len,
	    req->done);
	cache_kick(cache);
	if (req->done == req->len)
		req->op.step = CC_END;
	else if (cache->works_busy > 0)
		op_wait(&cache->work_wait, &req->op);
	else
		req->op.step = CC_CLEAN;
}

/* What is dirty below must arrive first. */
static void
change_clean(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;

	if (!cache_range_dirty(vol, req->off, req->len)) {
		req->op.step = CC_SEND;
		return;
	}
	if (vol->errors != req->errors) {
		req->io.result = vol->error;
		req->op.step = CC_END;
		return;
	}
	cache_flush_range(vol, req->off, req->len);
	assert(vol->cache->works_busy > 0);
	op_wait(&vol->cache->work_wait, &req->op);
}

static void
change_send(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;
	const struct io *orig = req->orig;

	spoil_fills(vol, req->off, req->len);
	cache_map_invalidate(vol, req->off, req->len);
	req->done = 0;
	req->run = 1;		/* the device has it */
	io_init(&req->io, orig->kind, req->off, req->len, orig->iov,
	    orig->niov, orig->flags);
	blk_submit(vol->lower, &req->io, &req->op);
	req->op.step = CC_END;
}

/* Pages that were there get the new data; nothing else came in between. */
static void
refresh(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;
	struct finder finder = { .vol = vol };
	uint64_t end = req->off + req->len;

	for (uint64_t at = req->off; at < end;) {
		struct piece p = piece_at(at, end);
		struct cpage *page = finder_page(&finder, &p);
		struct cursor cursor;

		at += p.len;
		if (page == NULL)
			continue;
		assert((page->valid & p.mask) == 0);
		page = cpage_own(vol, page, p.mask);
		if (page == NULL)
			continue;
		cursor = cursor_at(req->orig->iov, p.off - req->off);
		cursor_copy(&cursor, piece_data(vol->cache, page, &p), p.len,
		    false);
		page->valid |= p.mask;
	}
}

static void
change_end(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;

	if (req->run != 0) {
		if (req->orig->kind == IO_WRITE && req->io.result == 0)
			refresh(req);
		else
			cache_map_tidy(vol, req->off, req->len);
		if (vol->write_back && (req->orig->flags & IO_FUA) == 0)
			cache_note_unflushed(vol);
	}
	TAILQ_REMOVE(&vol->changes, req, link);
	op_wake_all(&vol->change_wait);
	req_end(req, req->io.result);
}

static void
change_run(struct op *op)
{
	struct cache_req *req = op_owner(op, struct cache_req);

	switch ((enum change_step)op->step) {
	case CC_LOCK:
		if (cache_change_ahead(req->vol, req, req->off, req->len)) {
			op_wait(&req->vol->change_wait, op);
			return;		/* and look again */
		}
		op->step = CC_COPY;
		return;
	case CC_COPY:
		change_copy(req);
		return;
	case CC_CLEAN:
		change_clean(req);
		return;
	case CC_SEND:
		change_send(req);
		return;
	case CC_END:
		change_end(req);
		return;
	}
	bug("cache_change: bad step");
}

static const struct op_type change_type = {
	.name = "cache_change", .steps = change_steps,
	.nsteps = nitems(change_steps), .run = change_run,
	.describe = cache_describe,
};

static void
change_start(struct cache_req *req)
{
	struct cache_vol *vol = req->vol;

	req->io.result = 0;
	req->errors = vol->errors;
	TAILQ_INSERT_TAIL(&vol->changes, req, link);
	op_start(&req->op, &change_type, loop_sched(vol->blk.loop), NULL);
}

/* --- all --- */

static void
req_take(struct cache_vol *vol, struct io *io)
{
	struct cache *cache = vol->cache;
	struct cache_req *req = STAILQ_FIRST(&cache->req_free);

	STAILQ_REMOVE_HEAD(&cache->req_free, free);
	req->vol = vol;
	req->orig = io;
	req->off = io->off;
	req->len = io->len;
	req->done = req->run = 0;
	req->fill = io->done != READ_PASS;
	req->ahead = io->done == READ_AHEAD;
	switch (io->kind) {
	case IO_READ:
		read_start(req);
		return;
	case IO_WRITE:
	case IO_ZERO:
	case IO_DISCARD:
		change_start(req);
		return;
	case IO_FLUSH:
		cache_flush_start(req);
		return;
	case IO_STATUS:
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("cache: %s", io_kind_name(io->kind));
}

static void
take_or_wait(struct cache_vol *vol, struct io *io)
{
	struct cache *cache = vol->cache;

	if (!STAILQ_EMPTY(&cache->req_free)) {
		req_take(vol, io);
		return;
	}
	io->owner = vol;
	STAILQ_INSERT_TAIL(&cache->req_wait, io, queue);
}

void
cache_req_put(struct cache *cache, struct cache_req *req)
{
	struct io *io = STAILQ_FIRST(&cache->req_wait);

	STAILQ_INSERT_HEAD(&cache->req_free, req, free);
	if (io == NULL)
		return;
	STAILQ_REMOVE_HEAD(&cache->req_wait, queue);
	req_take(io->owner, io);
}

/* Is one of its pages worth keeping?  Each is asked, to be remembered. */
static bool
wanted(struct cache_vol *vol, const struct io *io)
{
	bool any = false;

	if (io->len > FILL_MAX)
		return false;
	for (uint64_t at = io->off; at < io->off + io->len;) {
		struct piece p = piece_at(at, io->off + io->len);

		any = cpage_admit(vol, p.page_no) || any;
		at += p.len;
	}
	return any;
}

static void
read_miss(struct cache_vol *vol, struct io *io, enum look result)
{
	vol->stats.misses++;
	io->done = wanted(vol, io) ? READ_KEEP : READ_PASS;
	if (result == LOOK_MISS && io->done == READ_PASS)
		blk_forward(vol->lower, io);
	else
		take_or_wait(vol, io);
}

static void
submit_read(struct cache_vol *vol, struct io *io)
{
	struct finder finder = { .vol = vol };
	enum look result = look(&finder, io);
	uint64_t next = io->off + io->len;
	struct cache_stream *stream;

	if (result != LOOK_HIT && cache_ahead_wait(vol, io))
		return;
	stream = cache_stream_note(vol, io->off, io->len,
	    result == LOOK_HIT);
	if (result == LOOK_HIT) {
		vol->stats.hits++;
		copy_out(&finder, io);
		io_end(io, 0);
	} else {
		read_miss(vol, io, result);
	}
	if (stream != NULL)
		cache_stream_go(vol, stream, next);
}

void
cache_fetch(struct cache_vol *vol, struct io *io, struct op *waiter)
{
	assert(io->waiter == NULL && io->kind == IO_READ);
	io->waiter = waiter;
	op_hold(waiter);
	io->done = READ_AHEAD;
	take_or_wait(vol, io);
}

bool
cache_range_valid(struct cache_vol *vol, uint64_t off, uint64_t len)
{
	struct finder finder = { .vol = vol };
	const struct io io = { .off = off, .len = len };

	return look(&finder, &io) == LOOK_HIT;
}

static void
submit_write(struct cache_vol *vol, struct io *io)
{
	if (!goes_back(vol, io) || !STAILQ_EMPTY(&vol->cache->req_wait) ||
	    cache_change_ahead(vol, NULL, io->off, io->len)) {
		take_or_wait(vol, io);
		return;
	}
	spoil_fills(vol, io->off, io->len);
	if (copy_in(vol, io, io->off, io->len, 0) < io->len) {
		take_or_wait(vol, io);	/* and from the start */
		return;
	}
	cache_kick(vol->cache);
	io_end(io, 0);
}

void
cache_begin(struct cache_vol *vol, struct io *io)
{
	if (io->kind == IO_READ)
		submit_read(vol, io);
	else
		submit_write(vol, io);
}

void
cache_submit(struct blk *blk, struct io *io)
{
	struct cache_vol *vol = cache_vol_of(blk);

	switch (io->kind) {
	case IO_READ:
	case IO_WRITE:
		cache_look(vol, io);
		return;
	case IO_ZERO:
	case IO_DISCARD:
		take_or_wait(vol, io);
		return;
	case IO_FLUSH:
		if (vol->stats.dirty == 0)
			blk_forward(vol->lower, io);
		else
			take_or_wait(vol, io);
		return;
	case IO_STATUS:
		blk_forward(vol->lower, io);
		return;
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("cache: %s on a device", io_kind_name(io->kind));
}
