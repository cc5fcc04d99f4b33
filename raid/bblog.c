/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md's bad-block log.
 *
 * How changes keep the rule of the header: an entry grows or shrinks in its
 * place; a new one goes behind the last; a removed one is overwritten with a
 * copy of the last, which itself is dropped by a later encoding; an entry is
 * cut in two only if both halves lie in one sector of the log, and only if
 * all that list the same range can be cut as well.
 *
 * Invariants: entries are never empty; they may overlap, be out of order and
 * appear twice, as Linux takes them, too; n <= max <= BBLOG_ENTRIES.
 */
#include "raid/bblog.h"

#include <assert.h>
#include <errno.h>

#include "core/util.h"
#include "core/wire.h"

#define LEN_BITS	10u
#define LEN_MAX		512u	/* units; Linux writes no more, either */
#define SHIFT_MAX	9u
#define END		UINT64_MAX
#define PER_SECTOR	(512u / 8u)

_Static_assert(BBLOG_ENTRIES * sizeof(uint64_t) == BBLOG_BYTES,
    "the entries fill the log");

static uint64_t
first(uint64_t entry)
{
	return entry >> LEN_BITS;
}

static uint64_t
past(uint64_t entry)
{
	return first(entry) + (entry & ((1u << LEN_BITS) - 1));
}

static uint64_t
make(uint64_t from, uint64_t to)
{
	assert(from < to && to - from < 1u << LEN_BITS);
	assert(from >> (64 - LEN_BITS) == 0);
	return from << LEN_BITS | (to - from);
}

static void
log_check(const struct bblog *log)
{
	assert(log->shift <= SHIFT_MAX);
	assert(log->n <= log->max && log->max <= BBLOG_ENTRIES);
}

void
bblog_init(struct bblog *log, size_t bytes, unsigned shift)
{
	log->shift = shift;
	log->max = (unsigned)MIN(bytes / 8, BBLOG_ENTRIES);
	log->n = log->nclears = 0;
	log->added = false;
	log_check(log);
}

int
bblog_decode(struct bblog *log, const void *buf, size_t bytes,
    unsigned shift, struct err *err)
{
	struct wire_in in = wire_in(buf, bytes);

	if (shift > SHIFT_MAX)
		return err_set(err, EINVAL, "its bad-block log counts in "
		    "blocks of 2^%u bytes, which no disk has", shift + 9);
	bblog_init(log, bytes, shift);
	for (unsigned i = 0; i < log->max; i++) {
		uint64_t entry = get_le64(&in);

		if (entry == END)
			break;
		if (first(entry) != past(entry))	/* Linux skips these */
			log->entry[log->n++] = entry;
	}
	assert(!in.bad);
	return 0;
}

/* --- look --- */

static bool
touches(uint64_t entry, uint64_t from, uint64_t to)
{
	return first(entry) < to && from < past(entry);
}

/* Round a range of sectors out to units. */
static void
units_out(const struct bblog *log, uint64_t *from, uint64_t *to)
{
	*from >>= log->shift;
	*to = (*to + (UINT64_C(1) << log->shift) - 1) >> log->shift;
}

bool
bblog_has(const struct bblog *log, uint64_t sector, uint64_t len)
{
	uint64_t from = sector, to = sector + len;

	if (log->n == 0)
		return false;
	units_out(log, &from, &to);
	for (unsigned i = 0; i < log->n; i++)
		if (touches(log->entry[i], from, to))
			return true;
	return false;
}

uint64_t
bblog_run(const struct bblog *log, uint64_t sector, uint64_t len)
{
	uint64_t end = sector + len;
	bool bad = bblog_has(log, sector, 1);

	assert(len > 0);
	for (unsigned i = 0; i < log->n; i++) {
		uint64_t a = first(log->entry[i]) << log->shift;
		uint64_t b = past(log->entry[i]) << log->shift;

		if (!bad && a > sector)
			end = MIN(end, a);
		else if (bad && b > sector && b < end &&
		    !bblog_has(log, b, 1))
			end = b;
	}
	return end - sector;
}

uint64_t
bblog_sectors(const struct bblog *log)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < log->n; i++)
		sum += past(log->entry[i]) - first(log->entry[i]);
	return sum << log->shift;
}

/* --- change --- */

/* The entry that lists this unit, or -1. */
static int
find(const struct bblog *log, uint64_t unit)
{
	for (unsigned i = 0; i < log->n; i++)
		if (touches(log->entry[i], unit, unit + 1))
			return (int)i;
	return -1;
}

/* List [from, to), none of which is listed: let an entry grow, or append. */
static int
add_piece(struct bblog *log, uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < log->n; i++) {
		uint64_t a = first(log->entry[i]), b = past(log->entry[i]);

		if (b == from && to - a <= LEN_MAX)
			log->entry[i] = make(a, to);
		else if (a == to && b - from <= LEN_MAX)
			log->entry[i] = make(from, b);
		else
			continue;
		return 0;
	}
	if (log->n == log->max)
		return -ENOSPC;
	log->entry[log->n++] = make(from, to);
	return 0;
}

int
bblog_add(struct bblog *log, uint64_t sector, uint64_t len)
{
	uint64_t from = sector, to = sector + len;
	int rc = 0;

	assert(len > 0 && to > sector);
	log_check(log);
	units_out(log, &from, &to);
	log->added = true;
	for (unsigned i = log->nclears; i-- > 0;)
		if (log->clear[i].from < to && from < log->clear[i].to)
			log->clear[i] = log->clear[--log->nclears];
	while (from < to && rc == 0) {
		int i = find(log, from);
		uint64_t end = MIN(to, from + LEN_MAX);

		if (i >= 0) {
			from = past(log->entry[i]);
			continue;
		}
		for (unsigned k = 0; k < log->n; k++)
			if (first(log->entry[k]) > from)
				end = MIN(end, first(log->entry[k]));
		rc = add_piece(log, from, end);
		from = end;
	}
	return rc;
}

static bool
splits(uint64_t entry, uint64_t from, uint64_t to)
{
	return first(entry) < from && to < past(entry);
}

/*
 * Can [from, to) be cut out of all entries?  One that keeps it may be a copy
 * that is not on disk yet, and then no other must lose it.
 */
static bool
can_cut(const struct bblog *log, uint64_t from, uint64_t to)
{
	unsigned nsplits = 0, sector = log->n / PER_SECTOR;

	for (unsigned i = 0; i < log->n; i++) {
		if (!splits(log->entry[i], from, to))
			continue;
		nsplits++;
		if (i / PER_SECTOR != sector)
			return false;
	}
	return nsplits == 0 || (log->n + nsplits <= log->max &&
	    (log->n + nsplits - 1) / PER_SECTOR == sector);
}

/* Cut [from, to) out of one entry. */
static void
clear_entry(struct bblog *log, unsigned i, uint64_t from, uint64_t to)
{
	uint64_t a = first(log->entry[i]), b = past(log->entry[i]);

	assert(i < log->n);
	if (!touches(log->entry[i], from, to))
		return;
	if (from <= a && to >= b) {
		log->entry[i] = log->entry[log->n - 1];
		log->n -= i == log->n - 1;
	} else if (from <= a) {
		log->entry[i] = make(to, b);
	} else if (to >= b) {
		log->entry[i] = make(a, from);
	} else {
		assert(log->n < log->max);
		log->entry[i] = make(a, from);
		log->entry[log->n++] = make(to, b);
	}
}

static void
clear_range(struct bblog *log, uint64_t from, uint64_t to)
{
	if (!can_cut(log, from, to))
		return;
	for (unsigned i = log->n; i-- > 0;)
		clear_entry(log, i, from, to);
}

bool
bblog_clear(struct bblog *log, uint64_t sector, uint64_t len)
{
	uint64_t unit = UINT64_C(1) << log->shift;
	uint64_t from = (sector + unit - 1) >> log->shift;
	uint64_t to = (sector + len) >> log->shift;

	log_check(log);
	if (from >= to || log->nclears == BBLOG_CLEARS ||
	    !bblog_has(log, from << log->shift, (to - from) << log->shift))
		return false;
	log->clear[log->nclears].from = from;
	log->clear[log->nclears++].to = to;
	return true;
}

/* Entries at the end that another one says, too, since it is on disk. */
static void
trim(struct bblog *log)
{
	while (log->n > 1) {
		uint64_t last = log->entry[log->n - 1];
		bool twice = false;

		for (unsigned i = 0; i + 1 < log->n; i++)
			twice = twice || (first(log->entry[i]) <= first(last) &&
			    past(log->entry[i]) >= past(last));
		if (!twice)
			break;
		log->n--;
	}
}

static void
apply_clears(struct bblog *log)
{
	if (log->nclears == 0)
		return;
	trim(log);
	for (unsigned c = 0; c < log->nclears; c++)
		clear_range(log, log->clear[c].from, log->clear[c].to);
	log->nclears = 0;
}

bool
bblog_encode(struct bblog *log, void *buf)
{
	struct wire_out out = wire_out(buf, log->max * (size_t)8);

	log_check(log);
	if (!log->added)
		apply_clears(log);
	log->added = false;
	for (unsigned i = 0; i < log->max; i++)
		put_le64(&out, i < log->n ? log->entry[i] : END);
	assert(!out.bad);
	return log->nclears == 0;
}
