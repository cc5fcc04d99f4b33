/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The md 1.2 superblock as values.  Pure: bytes in, struct out and back.
 *
 * sb1_decode() takes whatever is on a disk; every rule by which Linux rejects
 * a superblock is applied there or in sb1_check(), with a text that says why.
 * sb1_check_engine() refuses what Linux takes and this engine cannot run.
 */
#ifndef RAID_SB1_H
#define RAID_SB1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SB1_OFFSET		4096u	/* bytes, version 1.2 */
#define SB1_SECTOR		8u	/* the same in sectors */
#define SB1_BYTES		4096u	/* room on disk */
#define SB1_HEAD		256u	/* bytes before the role table */
#define SB1_ROLES_MAX		1920u
#define SB1_ROLES_NEW		128u	/* in superblocks we create */
#define SB1_MAGIC		0xa92b4efcu

#define SB1_ROLE_LAST		0xfeffu	/* greatest active role */
#define SB1_ROLE_JOURNAL	0xfffdu
#define SB1_ROLE_FAULTY		0xfffeu
#define SB1_ROLE_SPARE		0xffffu

#define SB1_BITMAP		1u
#define SB1_RECOVERY		2u	/* recovery_offset is valid */
#define SB1_RESHAPE		4u
#define SB1_BAD_BLOCKS		8u	/* the list is not empty */
#define SB1_REPLACEMENT		16u
#define SB1_RESHAPE_BACK	32u
#define SB1_NEW_OFFSET		64u
#define SB1_RECOVERY_BITMAP	128u
#define SB1_CLUSTERED		256u
#define SB1_JOURNAL		512u
#define SB1_PPL			1024u
#define SB1_MULTIPLE_PPLS	2048u
#define SB1_RAID0_LAYOUT	4096u
#define SB1_KNOWN		8191u

#define SB1_CLEAN		UINT64_MAX	/* resync_offset */
#define SB1_TIME_MASK		((UINT64_C(1) << 40) - 1)

/* Field names and units (512-byte sectors) are md's. */
struct sb1 {
	uint32_t feature_map;
	uint8_t set_uuid[16];
	char set_name[33];
	uint64_t ctime;
	int32_t level;
	uint32_t layout;
	uint64_t size;
	uint32_t chunksize;
	uint32_t raid_disks;
	int32_t bitmap_offset;		/* SB1_BITMAP */
	int16_t ppl_offset;		/* SB1_PPL, SB1_MULTIPLE_PPLS */
	uint16_t ppl_size;
	uint32_t new_level;
	uint64_t reshape_position;
	int32_t delta_disks;
	uint32_t new_layout, new_chunk;
	int32_t new_offset;
	uint64_t data_offset, data_size, super_offset;
	uint64_t recovery_offset;
	uint32_t dev_number;
	uint32_t cnt_corrected_read;
	uint8_t device_uuid[16];
	uint8_t devflags;
	uint8_t bblog_shift;
	uint16_t bblog_size;
	int32_t bblog_offset;
	uint64_t utime;
	uint64_t events;
	uint64_t resync_offset;
	uint32_t csum;			/* as decoded; set by encode */
	uint32_t max_dev;
	uint32_t logical_block_size;	/* kept if it was there, else 0 */
	uint16_t roles[SB1_ROLES_MAX];
};

/*
 * Returns 0, or with err set: -ENODATA no md superblock here (blank as far as
 * md goes), -EBADMSG torn or damaged, -ENOTSUP newer than we know, -EINVAL
 * malformed.
 */
int sb1_decode(struct sb1 *sb, const void *buf, size_t len, struct err *err);
/* Fill SB1_BYTES of `buf`, checksum included. */
void sb1_encode(struct sb1 *sb, void *buf);
/* Bytes that must be written: head and roles, in whole logical blocks. */
size_t sb1_write_bytes(const struct sb1 *sb, uint32_t logical_block);
uint32_t sb1_csum(const void *buf, size_t len);

/* Do the areas it names fit on a device of so many sectors? */
int sb1_check(const struct sb1 *sb, uint64_t device_sectors, struct err *err);
/* Can this engine run it? */
int sb1_check_engine(const struct sb1 *sb, struct err *err);

/* The role of `dev_number` in this table; SB1_ROLE_SPARE beyond its end. */
uint16_t sb1_role(const struct sb1 *sb, uint32_t dev_number);
/* The bits that say which log it has: the consistency policy. */
static inline uint32_t
sb1_log_bits(const struct sb1 *sb)
{
	return sb->feature_map & (SB1_BITMAP | SB1_PPL | SB1_MULTIPLE_PPLS);
}
/* From now on it has none: the policy is resync. */
void sb1_clear_log(struct sb1 *sb);
/*
 * Where on this member a partial parity log could go: offset and sectors, at
 * most 1 MiB.  Zero sectors: nowhere.
 */
void sb1_place_ppl(const struct sb1 *sb, int16_t *offset, uint16_t *size);
/* The same for a bitmap, which is at one place on all members, or nowhere. */
#define SB1_BITMAP_PLACE	8	/* right behind the superblock */
bool sb1_has_bitmap_place(const struct sb1 *sb);
/* Bytes between the bitmap and what follows, at most 1 MiB. */
uint64_t sb1_bitmap_area(const struct sb1 *sb);
/*
 * Room of the bad-block log in bytes, and where it is on the device; 0: there
 * is none that could be used.
 */
size_t sb1_bblog(const struct sb1 *sb, uint32_t logical_block, uint64_t *off);
static inline bool
sb1_role_active(unsigned role)
{
	return role <= SB1_ROLE_LAST;
}

/* --- where things go on a member that we create, in sectors --- */

struct sb1_areas {
	int32_t log_offset;		/* PPL or bitmap, from the superblock */
	uint16_t log_size;
	int32_t bblog_offset;
	uint16_t bblog_size;
	uint64_t private_start;		/* from the start of the device */
	uint64_t private_size;
	uint64_t data_offset;
};
void sb1_areas(struct sb1_areas *areas, uint64_t device_sectors);

#endif
