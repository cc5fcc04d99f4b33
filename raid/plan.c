/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parity plans for RAID5 rows, and their arithmetic.
 *
 * Invariants: no plan names a missing role; reads and writes of one role do
 * not overlap; within a band the modified data indexes are consecutive (the
 * partial parity log needs that); the parity is written wherever data is,
 * unless it is missing.
 */
#include "raid/plan.h"

#include <assert.h>
#include <errno.h>
#include <isa-l.h>
#include <string.h>

#include "core/util.h"

_Static_assert(RAID_MEMBERS_MAX <= 32, "roles fit a mask");

static inline bool
range_empty(struct row_range r)
{
	return r.lo >= r.hi;
}

static inline bool
role_missing(uint32_t missing, unsigned role)
{
	return (missing >> role & 1) != 0;
}

bool
raid_level_serves(const struct raid_map *map, uint32_t missing)
{
	assert(missing >> map->n == 0);
	return __builtin_popcount(missing) <= 1;
}

/* Which data indexes does `at` (between two cuts) modify? */
static bool
band_of(struct row_band *band, const struct row_span *span,
    struct row_range at)
{
	bool any = false;

	for (unsigned d = span->first; d <= span->last; d++) {
		struct row_range r = span->data[d];

		if (r.lo > at.lo || r.hi < at.hi || range_empty(r))
			continue;
		assert(!any || band->last == d - 1);
		if (!any)
			band->first = d;
		band->last = d;
		any = true;
	}
	band->at = at;
	return any;
}

/* Cut the column where the set of modified data changes. */
static void
cut_bands(struct row_plan *plan, const struct row_span *span)
{
	uint32_t cut[4];
	unsigned ncut = 0;
	struct row_range a = span->data[span->first];
	struct row_range b = span->data[span->last];
	const uint32_t all[4] = { a.lo, a.hi, b.lo, b.hi };

	for (unsigned i = 0; i < 4; i++) {	/* insert in order, once each */
		unsigned at = 0;

		while (at < ncut && cut[at] < all[i])
			at++;
		if (at < ncut && cut[at] == all[i])
			continue;
		memmove(&cut[at + 1], &cut[at], (ncut - at) * sizeof(cut[0]));
		cut[at] = all[i];
		ncut++;
	}
	plan->nbands = 0;
	for (unsigned i = 0; i + 1 < ncut; i++) {
		struct row_range at = { cut[i], cut[i + 1] };

		if (band_of(&plan->band[plan->nbands], span, at))
			plan->nbands++;
	}
	assert(plan->nbands >= 1 && plan->nbands <= ROW_BANDS);
}

/* Append, or lengthen the role's last range if it goes on from there. */
static void
add_io(struct row_io *ios, unsigned *n, unsigned role, int data,
    struct row_range at)
{
	assert(!range_empty(at));
	for (unsigned i = *n; i-- > 0;) {
		if (ios[i].role != role)
			continue;
		assert(ios[i].at.hi <= at.lo);
		if (ios[i].at.hi != at.lo)
			break;
		ios[i].at.hi = at.hi;
		return;
	}
	assert(*n < ROW_IOS_MAX);
	ios[(*n)++] = (struct row_io){ (uint8_t)role, (int8_t)data, at };
}

/* What is read if every band that has a choice uses `prefer`. */
static void
plan_reads(struct row_plan *plan, uint32_t missing, uint32_t avoid,
    enum row_method prefer)
{
	uint32_t unread = missing != 0 ? missing : avoid;
	uint64_t stripe = raid_map_stripe(plan->map, plan->row);

	plan->nreads = 0;
	for (unsigned i = 0; i < plan->nbands; i++) {
		struct row_band *band = &plan->band[i];
		unsigned all = plan->map->ndata;
		int lost = -1;

		if (unread != 0)
			lost = raid_map_data(plan->map, stripe,
			    (unsigned)__builtin_ctz(unread));
		if (role_missing(missing, plan->parity))
			band->method = ROW_BARE;
		else if (band->last - band->first + 1 == all)
			band->method = ROW_FULL;
		else if (lost >= 0)	/* the lost one must not be read */
			band->method = (unsigned)lost >= band->first &&
			    (unsigned)lost <= band->last ? ROW_RCW : ROW_RMW;
		else	/* it is the parity, or nobody */
			band->method = unread != 0 ? ROW_RCW : prefer;
		for (unsigned d = 0; d < all; d++) {
			bool mod = d >= band->first && d <= band->last;

			if ((band->method == ROW_RMW && mod) ||
			    (band->method == ROW_RCW && !mod))
				add_io(plan->read, &plan->nreads,
				    raid_map_role(plan->map, stripe, d),
				    (int)d, band->at);
		}
		if (band->method == ROW_RMW)
			add_io(plan->read, &plan->nreads, plan->parity, -1,
			    band->at);
	}
}

static void
plan_writes(struct row_plan *plan, const struct row_span *span,
    uint32_t missing)
{
	uint64_t stripe = raid_map_stripe(plan->map, plan->row);

	plan->nwrites = 0;
	for (unsigned d = span->first; d <= span->last; d++) {
		unsigned role = raid_map_role(plan->map, stripe, d);

		if (!role_missing(missing, role) &&
		    !range_empty(span->data[d]))
			add_io(plan->write, &plan->nwrites, role, (int)d,
			    span->data[d]);
	}
	if (role_missing(missing, plan->parity))
		return;
	for (unsigned i = 0; i < plan->nbands; i++)
		add_io(plan->write, &plan->nwrites, plan->parity, -1,
		    plan->band[i].at);
}

static void
plan_begin(struct row_plan *plan, const struct raid_map *map, uint64_t row)
{
	plan->map = map;
	plan->row = row;
	plan->parity = raid_map_parity(map, raid_map_stripe(map, row));
	plan->nbands = plan->nreads = plan->nwrites = plan->nslots = 0;
	memset(plan->slot, NO_SLOT, sizeof(plan->slot));
}

static void
give_slot(struct row_plan *plan, unsigned role)
{
	if (plan->slot[role] == NO_SLOT)
		plan->slot[role] = (uint8_t)plan->nslots++;
	assert(plan->nslots <= plan->map->n);
}

static void
set_cover(struct row_plan *plan, uint32_t lo, uint32_t hi)
{
	assert(lo < hi && hi <= plan->map->row_bytes);
	plan->cover = (struct row_range){ lo, hi };
	plan->slot_bytes = (uint32_t)round_up(hi - lo, 4096);
}

/* The row's method is that of the bands that read, else full or bare. */
static enum row_method
row_method(const struct row_plan *plan)
{
	enum row_method method = plan->band[0].method;

	for (unsigned i = 1; i < plan->nbands; i++)
		if (method == ROW_FULL)
			method = plan->band[i].method;
	return method;
}

int
row_plan_write(struct row_plan *plan, const struct raid_map *map,
    const struct row_span *span, uint32_t missing, uint32_t avoid,
    bool force_rcw)
{
	unsigned rmw_reads;

	plan_begin(plan, map, span->row);
	if (!raid_level_serves(map, missing))
		return -EIO;
	cut_bands(plan, span);
	plan_reads(plan, missing, avoid, ROW_RMW);
	rmw_reads = plan->nreads;
	plan_reads(plan, missing, avoid, ROW_RCW);
	/* A tie goes to RMW: it touches only members that are written. */
	if (!force_rcw && rmw_reads <= plan->nreads)
		plan_reads(plan, missing, avoid, ROW_RMW);
	plan_writes(plan, span, missing);
	plan->method = row_method(plan);
	set_cover(plan, plan->band[0].at.lo,
	    plan->band[plan->nbands - 1].at.hi);
	for (unsigned i = 0; i < plan->nreads; i++)
		give_slot(plan, plan->read[i].role);
	if (!role_missing(missing, plan->parity))
		give_slot(plan, plan->parity);
	return 0;
}

int
row_plan_rebuild(struct row_plan *plan, const struct raid_map *map,
    uint64_t row, unsigned role, struct row_range at, uint32_t missing)
{
	uint64_t stripe = raid_map_stripe(map, row);

	assert(role < map->n && at.lo < at.hi && at.hi <= map->row_bytes);
	plan_begin(plan, map, row);
	if (!raid_level_serves(map, missing | UINT32_C(1) << role))
		return -EIO;
	plan->method = ROW_RCW;
	set_cover(plan, at.lo, at.hi);
	for (unsigned r = 0; r < map->n; r++) {
		if (r != role)
			add_io(plan->read, &plan->nreads, r,
			    raid_map_data(map, stripe, r), at);
		give_slot(plan, r);
	}
	return 0;
}

void
row_plan_copy(struct row_plan *plan, const struct raid_map *map,
    uint64_t row, unsigned role)
{
	struct row_range all = { 0, map->row_bytes };

	assert(role < map->n);
	plan_begin(plan, map, row);
	plan->method = ROW_RCW;
	set_cover(plan, 0, map->row_bytes);
	add_io(plan->read, &plan->nreads, role, raid_map_data(map,
	    raid_map_stripe(map, row), role), all);
	give_slot(plan, role);
}

void
row_plan_check(struct row_plan *plan, const struct raid_map *map,
    uint64_t row)
{
	uint64_t stripe = raid_map_stripe(map, row);
	struct row_range all = { 0, map->row_bytes };

	plan_begin(plan, map, row);
	plan->method = ROW_RCW;
	set_cover(plan, 0, map->row_bytes);
	for (unsigned r = 0; r < map->n; r++) {
		add_io(plan->read, &plan->nreads, r,
		    raid_map_data(map, stripe, r), all);
		give_slot(plan, r);
	}
}

/* --- arithmetic --- */

static bool
aligned32(const void *p)
{
	return ((uintptr_t)p & 31) == 0;
}

static void
xor_plain(uint8_t *dst, const uint8_t *src, size_t len)
{
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t a, b;

		memcpy(&a, dst + i, 8);
		memcpy(&b, src + i, 8);
		a ^= b;
		memcpy(dst + i, &a, 8);
	}
	for (; i < len; i++)
		dst[i] ^= src[i];
}

void
xor_sources(uint8_t *dst, const uint8_t *const *src, unsigned nsrc,
    size_t len, bool add)
{
	void *array[RAID_MEMBERS_MAX + 2];
	unsigned n = 0;
	bool aligned = aligned32(dst) && len % 32 == 0;

	assert(nsrc <= RAID_MEMBERS_MAX);
	if (nsrc == 0) {
		if (!add)
			memset(dst, 0, len);
		return;
	}
	if (nsrc == 1 && !add) {
		memcpy(dst, src[0], len);
		return;
	}
	for (unsigned i = 0; i < nsrc; i++) {
		aligned = aligned && aligned32(src[i]);
		array[n++] = (void *)(uintptr_t)src[i];
	}
	if (add)
		array[n++] = dst;
	array[n++] = dst;
	if (aligned && xor_gen((int)n, (int)len, array) == 0)
		return;
	if (!add)
		memcpy(dst, src[0], len);
	for (unsigned i = add ? 0 : 1; i < nsrc; i++)
		xor_plain(dst, src[i], len);
}

void
row_apply_partial(const struct row_plan *plan, uint8_t *const *slots)
{
	const struct raid_map *map = plan->map;
	uint64_t stripe = raid_map_stripe(map, plan->row);

	for (unsigned i = 0; i < plan->nbands; i++) {
		const struct row_band *band = &plan->band[i];
		const uint8_t *src[RAID_MEMBERS_MAX];
		unsigned n = 0;

		if (band->method == ROW_BARE || band->method == ROW_FULL)
			continue;
		for (unsigned d = 0; d < map->ndata; d++) {
			bool mod = d >= band->first && d <= band->last;
			unsigned role = raid_map_role(map, stripe, d);

			if ((band->method == ROW_RMW && mod) ||
			    (band->method == ROW_RCW && !mod))
				src[n++] = row_slot(plan, slots, role,
				    band->at.lo);
		}
		xor_sources(row_slot(plan, slots, plan->parity, band->at.lo),
		    src, n, band->at.hi - band->at.lo,
		    band->method == ROW_RMW);
	}
}

/* A position in an iovec. */
struct iov_pos {
	const struct iovec *iov;
	size_t off;
};

static struct iov_pos
iov_seek(const struct row_data *data, size_t off)
{
	struct iov_pos pos = { data->iov, off };

	while (pos.off >= pos.iov->iov_len) {
		pos.off -= pos.iov->iov_len;
		pos.iov++;
		assert(pos.iov < data->iov + data->niov);
	}
	return pos;
}

static void
iov_advance(struct iov_pos *pos, size_t len)
{
	pos->off += len;
	assert(pos->off <= pos->iov->iov_len);
	if (pos->off == pos->iov->iov_len) {
		pos->iov++;
		pos->off = 0;
	}
}

/* Add the modified data of one band, in runs that are contiguous in all. */
static void
add_new(const struct row_band *band, uint8_t *parity,
    const struct row_span *span, const struct row_data *data)
{
	struct iov_pos pos[RAID_MEMBERS_MAX];
	const uint8_t *src[RAID_MEMBERS_MAX] = { NULL };
	uint32_t len = band->at.hi - band->at.lo;
	unsigned n = band->last - band->first + 1;

	for (unsigned i = 0; i < n; i++) {
		unsigned d = band->first + i;

		assert(span->data[d].lo <= band->at.lo &&
		    span->data[d].hi >= band->at.hi);
		pos[i] = iov_seek(data, span->src[d] + band->at.lo -
		    span->data[d].lo);
	}
	for (uint32_t done = 0; done < len;) {
		size_t run = len - done;

		for (unsigned i = 0; i < n; i++)
			run = MIN(run, pos[i].iov->iov_len - pos[i].off);
		for (unsigned i = 0; i < n; i++)
			src[i] = (const uint8_t *)pos[i].iov->iov_base +
			    pos[i].off;
		xor_sources(parity + done, src, n, run,
		    band->method != ROW_FULL);
		done += (uint32_t)run;
		for (unsigned i = 0; i < n && done < len; i++)
			iov_advance(&pos[i], run);
	}
}

void
row_apply_new(const struct row_plan *plan, uint8_t *const *slots,
    const struct row_span *span, const struct row_data *data)
{
	for (unsigned i = 0; i < plan->nbands; i++) {
		const struct row_band *band = &plan->band[i];
		uint8_t *parity;

		if (band->method == ROW_BARE)
			continue;
		parity = row_slot(plan, slots, plan->parity, band->at.lo);
		if (data->iov != NULL)
			add_new(band, parity, span, data);
		else if (band->method == ROW_FULL)
			memset(parity, 0, band->at.hi - band->at.lo);
	}
}

void
row_apply_rebuild(const struct row_plan *plan, uint8_t *const *slots,
    unsigned role)
{
	const uint8_t *src[RAID_MEMBERS_MAX];
	unsigned n = 0;

	for (unsigned r = 0; r < plan->map->n; r++)
		if (r != role)
			src[n++] = row_slot(plan, slots, r, plan->cover.lo);
	xor_sources(row_slot(plan, slots, role, plan->cover.lo), src, n,
	    plan->cover.hi - plan->cover.lo, false);
}

_Static_assert(ROW_BYTES_MAX / 4096 <= 32, "the pieces of a row fit a mask");

uint32_t
row_apply_check(const struct row_plan *plan, uint8_t *const *slots)
{
	_Alignas(64) uint8_t want[4096];
	const uint8_t *src[RAID_MEMBERS_MAX] = { NULL };
	uint32_t bad = 0;

	for (uint32_t at = 0; at < plan->cover.hi; at += sizeof(want)) {
		uint8_t *parity = row_slot(plan, slots, plan->parity, at);
		unsigned n = 0;

		for (unsigned r = 0; r < plan->map->n; r++)
			if (r != plan->parity)
				src[n++] = row_slot(plan, slots, r, at);
		xor_sources(want, src, n, sizeof(want), false);
		if (memcmp(want, parity, sizeof(want)) != 0) {
			memcpy(parity, want, sizeof(want));
			bad |= UINT32_C(1) << at / 4096;
		}
	}
	return bad;
}
