/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md's bad-block log of one member as values.  Pure.
 *
 * A listed range is not to be believed: its sectors cannot be read, or were
 * not written when they should have been.  Sectors are those of the device
 * (512 bytes, data offset included).
 *
 * The power may go while the log is being written: what is on disk then is, by
 * units of 512 bytes, a mixture of this encoding and the one before.  Hence
 * the rule: any such mixture lists at least what both lists have in common.
 * An encoding is made only when the one before is on disk; each either adds
 * or clears.  What is to be cleared stays listed until then.
 */
#ifndef RAID_BBLOG_H
#define RAID_BBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define BBLOG_BYTES	4096u
#define BBLOG_ENTRIES	512u
#define BBLOG_CLEARS	16u	/* noted at a time; more are forgotten */

struct bblog {
	unsigned shift;			/* its unit: 512 << shift bytes */
	unsigned max, n;
	uint64_t entry[BBLOG_ENTRIES];	/* as on disk: unit << 10 | units */
	bool added;			/* since the last encoding */
	unsigned nclears;
	struct { uint64_t from, to; } clear[BBLOG_CLEARS];	/* units */
};

/* An empty log with room for `bytes` on disk. */
void bblog_init(struct bblog *log, size_t bytes, unsigned shift);
/* -EINVAL with err set if its numbers are impossible. */
int bblog_decode(struct bblog *log, const void *buf, size_t bytes,
    unsigned shift, struct err *err);
/*
 * Fill as many bytes as it has room for on disk, at most BBLOG_BYTES.  False:
 * something is left to be cleared by the next encoding.
 */
bool bblog_encode(struct bblog *log, void *buf);

/* Is any of these sectors listed? */
bool bblog_has(const struct bblog *log, uint64_t sector, uint64_t len);
/* How many of them, from the first on, are as it is: listed, or not. */
uint64_t bblog_run(const struct bblog *log, uint64_t sector, uint64_t len);
/* Sectors listed. */
uint64_t bblog_sectors(const struct bblog *log);
/* -ENOSPC: no room, and perhaps only the first of them are listed. */
int bblog_add(struct bblog *log, uint64_t sector, uint64_t len);
/*
 * Take off the list what is on it, by the next encoding.  Is there any?  A
 * range that cannot be cut out of an entry without risk stays, and parts of
 * units.
 */
bool bblog_clear(struct bblog *log, uint64_t sector, uint64_t len);

#endif
