/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assembly from the inside: assemble.c decides who takes part, then
 * assemble_logs.c reads what the members have noted about the array's state.
 */
#ifndef RAID_ASSEMBLE_PRIV_H
#define RAID_ASSEMBLE_PRIV_H

#include "raid/ppl_log.h"
#include "raid/probe.h"
#include "raid/raid_priv.h"

#define CANDIDATES (2 * RAID_MEMBERS_MAX)

struct assembly {
	struct raid_assemble *pub;
	unsigned n;
	struct probe probe[CANDIDATES];
	bool out[CANDIDATES];		/* rejected */
	int role[CANDIDATES];		/* -1: spare */
	bool unsure[CANDIDATES];	/* it did not know of its role */
	int heir;			/* candidate, -1 = none */
	const struct sb1 *best;		/* the freshest superblock */
	bool mixed;			/* they do not agree on the policy */
	int by_role[RAID_MEMBERS_MAX];	/* candidate, -1 = none */
	struct raid_map map;
	uint8_t *mem;
	struct ppl_replay replay[RAID_MEMBERS_MAX];
	struct io flush[RAID_MEMBERS_MAX];
	uint8_t *areas;			/* of the bitmaps, MIB each */
	struct io area_io[RAID_MEMBERS_MAX];
	struct iovec area_iov[RAID_MEMBERS_MAX];
	struct doubt_load records;
};

/* Does this table name a device for this role? */
static inline bool
assembly_expects(const struct sb1 *sb, unsigned role)
{
	for (unsigned d = 0; d < sb->max_dev; d++)
		if (sb->roles[d] == role)
			return true;
	return false;
}

/* Are we the last who wrote the superblocks? */
static inline bool
assembly_is_ours(const struct assembly *a)
{
	return (a->best->utime >> 40) != 0;
}

/* Is this candidate to replace a member? */
static inline bool
assembly_is_heir(const struct assembly *a, int i)
{
	return i >= 0 && !a->unsure[i] &&
	    (a->probe[i].sb.feature_map & SB1_REPLACEMENT) != 0;
}

/* Parity in doubt and a member missing: err is set, -EUCLEAN. */
int assembly_refuse(struct assembly *a);

/*
 * The array is built: read who lacks what.  Then take it over, read the other
 * logs, bitmaps and records, and replay.  Then flush;
 * then conclude what is in doubt, or refuse with err set.
 */
void assembly_lacks_start(struct assembly *a, struct op *op);
void assembly_logs_start(struct assembly *a, struct op *op);
void assembly_logs_flush(struct assembly *a, struct op *op);
int assembly_logs_end(struct assembly *a);

#endif
