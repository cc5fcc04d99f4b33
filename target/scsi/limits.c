/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limits of a logical unit, computed once from the geometry of its blk.
 * Commands are checked against the same numbers that VPD page B0h reports.
 * Pure.
 */
#include "core/util.h"
#include "target/scsi/scsi_priv.h"

/* Physical blocks above 4 KiB confuse ESXi and SQL Server: report no more. */
#define PHYSICAL_MAX	4096u
#define COMPARE_MAX	255u
#define UNMAP_BLOCKS	(1024u * 1024u)
#define UNMAP_DESCS	255u	/* 8 + 16 * 255 bytes fit PARAM_LEN_MAX */
#define SAME_BLOCKS	32768u

static uint8_t
exponent(uint32_t physical, uint32_t logical)
{
	uint8_t e = 0;

	physical = MIN(physical, PHYSICAL_MAX);
	while (logical << (e + 1u) <= physical)
		e++;
	return e;
}

/* Blocks of `bytes`, or 0 if that is no whole number of blocks. */
static uint32_t
whole_blocks(uint32_t bytes, uint32_t block)
{
	return bytes % block == 0 ? bytes / block : 0;
}

void
scsi_limits_from_geometry(struct scsi_limits *limits,
    const struct blk_geometry *geo, bool thin)
{
	uint32_t block = geo->logical_block;
	uint32_t stripe = whole_blocks(geo->optimal_io, block);

	assert(is_pow2(block) && block >= 512 && block <= PHYSICAL_MAX);
	assert(geo->physical_block >= block);
	*limits = (struct scsi_limits){
		.xfer_max = (uint32_t)(BUF_LEN_MAX / block),
		.compare_max = COMPARE_MAX,
		.same_max = SAME_BLOCKS,
		.lbppbe = exponent(geo->physical_block, block),
	};
	if (stripe != 0 && stripe <= limits->xfer_max) {
		limits->xfer_optimal = stripe;
		if (stripe <= UINT16_MAX)
			limits->granularity = (uint16_t)stripe;
	}
	if (limits->granularity == 0)
		limits->granularity = (uint16_t)(1u << limits->lbppbe);
	if (thin && geo->discard_granularity != 0) {
		limits->unmap_max = UNMAP_BLOCKS;
		limits->unmap_descs = UNMAP_DESCS;
		limits->unmap_granularity = MAX(1u,
		    whole_blocks(geo->discard_granularity, block));
	}
	assert(limits->xfer_max > 0 && limits->xfer_optimal <=
	    limits->xfer_max);
	assert((limits->unmap_max == 0) == (limits->unmap_descs == 0));
	assert(3 * (uint64_t)limits->compare_max * block <= BUF_LEN_MAX);
	assert(8 + 16 * (size_t)UNMAP_DESCS <= PARAM_LEN_MAX);
}
