/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The partial parity logs of a running array, and their replay.
 */
#ifndef RAID_PPL_LOG_H
#define RAID_PPL_LOG_H

#include "core/io.h"
#include "raid/ppl.h"
#include "raid/sb1.h"

struct raid;
struct row;

struct ppl_log {
	struct op op;
	struct raid *raid;
	unsigned role;
	uint64_t area_off, area_len;	/* bytes, on the device */
	bool running;
	STAILQ_HEAD(, row) waiting;	/* for the next header */
	STAILQ_HEAD(, row) batch;	/* of the header being written */
	unsigned open;			/* rows of this header not done */
	uint32_t dirty;			/* members to flush before the next */
	struct ppl_header header;
	uint8_t *buf;			/* PPL_HEADER, aligned */
	uint64_t bytes;
	unsigned niov;
	struct iovec iov[PPL_ENTRIES + 1];
	struct io io;
	struct io flush[RAID_MEMBERS_MAX];
};

/* Does this superblock name a log that we can use?  In whole 4 KiB. */
bool ppl_has_area(const struct sb1 *sb);
/*
 * After row_apply_partial(): hold the row's op until its partial parity is
 * durable.  Does nothing for arrays without a log, or without this parity.
 */
void ppl_log_row(struct raid *raid, struct row *row);
/* The row has written all; `durable`: with FUA. */
void ppl_row_done(struct row *row, bool durable);
/* Where member `role` has its log; to be called whenever it gets a disk. */
void ppl_set_area(struct raid *raid, unsigned role);
/* Write an empty header there; the result is in log->io. */
void ppl_submit_empty(struct ppl_log *log, struct op *op);
/* No header is in flight. */
bool ppl_idle(const struct raid *raid);

/* Read a member's log; replay it if the array is dirty. */
struct ppl_replay {
	struct op op;
	/* in */
	struct raid *raid;
	unsigned role;
	bool replay;
	bool ours;			/* by us: one header, in front */
	/* out; rows that could not be recovered are added to raid->doubt */
	bool valid;			/* a header was found */
	bool unreadable;		/* a newer header may be there */
	unsigned recovered, skipped;	/* entries */
	uint64_t generation;
	/* private */
	uint8_t *area;
	struct iovec area_iov;
	struct io area_io;
	uint64_t piece;			/* being read alone */
	bool *bad;			/* by piece: unreadable */
	struct ppl_header header;
	unsigned entry;
	uint64_t pp_at;			/* of the entry, in the area */
	uint32_t at;			/* bytes of the entry done */
	struct ppl_cover cover;
	uint8_t *bufs;			/* ROW_BYTES_MAX for each data chunk */
	unsigned nreads;
	struct iovec iov[RAID_MEMBERS_MAX + 1];
	struct io io[RAID_MEMBERS_MAX + 2];
	uint32_t len;
};
void ppl_replay_start(struct ppl_replay *replay, struct op *parent);

#endif
