/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes that wait for the same row become one, if together they are one
 * range of array bytes.  The first owns the row and does the work, the others
 * ride along and share its fate.
 *
 * The owner lets everything that is ready in this turn run before it looks
 * who waits, so a burst of small writes is seen whole.  If the write belongs
 * to a sequential stream it also waits a moment for the rest of the row, but
 * stops doing so for a while if that did not fill the row (a stream with few
 * requests in flight never does).
 *
 * Invariants: riders hold no lock and no buffer; merged ranges adjoin, never
 * overlap, so the modified data of a band stays consecutive; only rows that
 * are whole chunks merge across members.
 */
#include "raid/raid_priv.h"

#include <assert.h>

#define GATHER_MS 2u
#define MISS_MAX 1023u

bool
stream_note(struct raid *raid, uint64_t off, uint64_t len)
{
	for (unsigned i = 0; i < RAID_STREAMS; i++) {
		if (raid->stream[i] != off || off == 0)
			continue;
		raid->stream[i] = off + len;
		return true;
	}
	raid->stream[raid->next_stream++ % RAID_STREAMS] = off + len;
	return false;
}

unsigned
iov_count(const struct iovec *iov, unsigned niov, uint64_t off, uint64_t len)
{
	unsigned n = 0;

	for (unsigned i = 0; i < niov && len > 0; i++) {
		uint64_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - off, len);
		len -= part;
		off = 0;
		n++;
	}
	return n;
}

/* Array bytes of the request in this row, if they are one range. */
void
row_merge_init(struct row *row)
{
	const struct raid_map *map = &row->raid->map;
	const struct row_span *span = &row->span;
	const struct io *orig = row->req->orig;
	uint64_t last = span->src[span->last] +
	    (span->data[span->last].hi - span->data[span->last].lo);

	STAILQ_INIT(&row->riders);
	row->merge_len = 0;
	row->fua = (orig->flags & IO_FUA) != 0;
	if (orig->kind != IO_WRITE || row->ahead != ROW_OWN ||
	    (map->row_bytes != map->chunk && span->first != span->last))
		return;
	row->merge_off = orig->off + span->src[span->first];
	row->merge_len = last - span->src[span->first];
	row->own_off = row->merge_off;
	row->own_len = row->merge_len;
	row->merge_niov = iov_count(orig->iov, orig->niov,
	    span->src[span->first], row->merge_len);
	row->claim.writer = row;
}

static bool
adjoins(const struct row *leader, const struct row *row)
{
	return leader->merge_niov + row->merge_niov + 2 <= ROW_IOV_MAX &&
	    (row->merge_off == leader->merge_off + leader->merge_len ||
	    row->merge_off + row->merge_len == leader->merge_off);
}

static void
take_along(struct row *leader, struct row *row)
{
	assert(row != leader && !row->ridden && row->raid == leader->raid);
	assert(row->span.row == leader->span.row);
	if (STAILQ_EMPTY(&leader->riders))
		STAILQ_INSERT_HEAD(&leader->riders, leader, rider);
	if (row->merge_off < leader->merge_off) {
		STAILQ_INSERT_HEAD(&leader->riders, row, rider);
		leader->merge_off = row->merge_off;
	} else {
		STAILQ_INSERT_TAIL(&leader->riders, row, rider);
	}
	leader->merge_len += row->merge_len;
	leader->merge_niov += row->merge_niov;
	leader->fua |= row->fua;
	leader->raid->merged_writes++;
	row->claim.lock = NULL;
}

static struct row_claim *
find_adjoining(const struct row *leader)
{
	struct row_claim *claim;

	STAILQ_FOREACH(claim, &leader->claim.lock->waiting, queue)
		if (claim->writer != NULL && adjoins(leader, claim->writer))
			return claim;
	return NULL;
}

static void
merge_waiting(struct row *leader)
{
	struct row_claim *claim;

	assert(leader->claim.lock->writer);
	while (leader->merge_len > 0 &&
	    (claim = find_adjoining(leader)) != NULL) {
		STAILQ_REMOVE(&leader->claim.lock->waiting, claim, row_claim,
		    queue);
		take_along(leader, claim->writer);
	}
}

static bool
row_full(const struct row *row)
{
	const struct raid_map *map = &row->raid->map;

	return row->merge_len == (uint64_t)map->row_bytes * map->ndata;
}

/* --- a turn of everybody else --- */

static void
breath_run(struct op *op)
{
	op_end(op);
}

static const char *const breath_steps[] = { "BREATH" };
static const struct op_type breath_type = {
	.name = "row_breath", .steps = breath_steps, .nsteps = 1,
	.run = breath_run,
};

void
row_merge_breathe(struct row *row)
{
	if (row->merge_len > 0 && row->raid->active > 1 && !row_full(row))
		op_start(&row->breath, &breath_type, row->op.sched, &row->op);
}

/* --- a moment for the rest of the row --- */

static void
gather_end(struct row *leader)
{
	assert(leader->claim.lock->gather == leader);
	leader->claim.lock->gather = NULL;
	op_unhold(&leader->op);
}

static void
gather_timeout(void *arg)
{
	struct row *leader = arg;
	struct raid *raid = leader->raid;

	raid->gather_miss = MIN(2 * raid->gather_miss + 1, MISS_MAX);
	raid->gather_skip = raid->gather_miss;
	raid->gather_pays = false;
	gather_end(leader);
}

static bool
expects_more(const struct row *row)
{
	return (row->req->orig->flags & IO_MORE) != 0;
}

static bool
should_gather(struct row *row)
{
	struct raid *raid = row->raid;
	unsigned writers = raid->writers - raid->ahead.running;

	if (!row->req->sequential || row->merge_len == 0 || row_full(row) ||
	    (writers < 2 && !raid->gather_pays && !expects_more(row)) ||
	    raid->map.row_bytes != raid->map.chunk || row->fua ||
	    raid->stopping)
		return false;
	if (raid->gather_skip == 0)
		return true;
	raid->gather_skip--;
	return false;
}

static void
note_full(struct raid *raid)
{
	raid->gather_miss = raid->gather_skip = 0;
	raid->gather_pays = true;
}

void
row_merge_gather(struct row *row)
{
	merge_waiting(row);
	if (row_full(row) && !STAILQ_EMPTY(&row->riders))
		note_full(row->raid);
	if (!should_gather(row))
		return;
	assert(row->claim.lock->gather == NULL);
	row->claim.lock->gather = row;
	op_hold(&row->op);
	timer_start(row->raid->loop, &row->timer, GATHER_MS, gather_timeout,
	    row);
}

void
row_merge_more(struct row *leader)
{
	merge_waiting(leader);
	if (!row_full(leader))
		return;
	note_full(leader->raid);
	timer_stop(leader->raid->loop, &leader->timer);
	gather_end(leader);
}

/* --- the merged write --- */

void
row_merge_source(struct row *row)
{
	const struct io *orig = row->req->orig;
	uint64_t off = orig->off, len = orig->len;
	struct row *part;
	unsigned n = 0;
	bool any;

	row->data = (struct row_data){ orig->iov, orig->niov };
	if (!STAILQ_EMPTY(&row->riders)) {
		off = row->merge_off;
		len = row->merge_len;
		STAILQ_FOREACH(part, &row->riders, rider) {
			const struct io *io = part->req->orig;

			n += iov_slice(row->merge_iov + n, ROW_IOV_MAX - n,
			    io->iov, io->niov, part->own_off - io->off,
			    part->own_len);
		}
		row->data = (struct row_data){ row->merge_iov, n };
	}
	if (orig->kind != IO_WRITE)
		row->data = (struct row_data){ NULL, 0 };
	any = raid_map_span(&row->raid->map, row->span.row, off, len,
	    &row->span);
	assert(any);
	(void)any;
}

void
row_merge_end(struct row *row)
{
	struct row *part;

	while ((part = STAILQ_FIRST(&row->riders)) != NULL) {
		STAILQ_REMOVE_HEAD(&row->riders, rider);
		if (part == row)
			continue;
		assert(part->claim.lock == NULL && !part->ridden);
		part->ridden = true;
		part->result = row->result;
		op_unhold(&part->op);
	}
}
