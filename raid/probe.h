/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read and judge the superblock of one disk.  Changes nothing.
 */
#ifndef RAID_PROBE_H
#define RAID_PROBE_H

#include "raid/bblog.h"
#include "raid/raid.h"
#include "raid/sb1.h"

struct probe {
	struct op op;
	/* in */
	struct blk *blk;
	/* out */
	int rc;			/* as sb1_decode() and sb1_check(); -EIO */
	struct err err;
	struct sb1 sb;		/* valid if rc == 0, and: */
	struct bblog bblog;
	/* private */
	uint8_t *buf;
	struct iovec iov;
	struct io io;
};

/* `buf`: SB1_BYTES, page aligned, the caller's. */
void probe_start(struct probe *probe, struct blk *blk, uint8_t *buf,
    struct op *parent);
/* What the superblock says of the array. */
void spec_from_sb(struct raid_spec *spec, const struct sb1 *sb);
/* "d9b2-..." as mdadm prints it: four groups of four bytes. */
#define UUID_TEXT 36
void uuid_text(char text[UUID_TEXT], const uint8_t uuid[16]);

#endif
