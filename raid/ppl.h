/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md's partial parity log as values.  Pure.
 *
 * Before data and parity of a row are written, the xor of what the write does
 * not touch is logged on the row's parity member.  After a crash the parity
 * is that xor plus whatever the touched blocks hold now, so blocks that were
 * not being written survive the loss of their member.
 */
#ifndef RAID_PPL_H
#define RAID_PPL_H

#include <stddef.h>

#include "raid/plan.h"

#define PPL_HEADER	4096u
#define PPL_ENTRIES	148u
/* The smallest area that takes one row of any kind. */
#define PPL_AREA_MIN	(PPL_HEADER + ROW_BYTES_MAX)

struct ppl_entry {
	uint64_t data_sector;		/* array sector of the first data */
	uint32_t pp_size, data_size;	/* bytes; pp_size 0: full stripe */
	uint32_t parity_disk;		/* role */
	uint32_t checksum;		/* of the partial parity */
};

struct ppl_header {
	uint32_t signature;
	uint64_t generation;
	uint32_t nentries;
	struct ppl_entry entry[PPL_ENTRIES];
};

uint32_t ppl_crc(const void *buf, size_t len);
uint32_t ppl_signature(const uint8_t set_uuid[16]);
/* Fill PPL_HEADER bytes. */
void ppl_encode(const struct ppl_header *header, void *buf);
/* False if this is no header of the array. */
bool ppl_decode(struct ppl_header *header, const void *buf,
    uint32_t signature);

/*
 * The newest header in an area: the last of the chain that starts at its
 * beginning.  Returns its offset, or -1 if there is none.
 */
int64_t ppl_find(struct ppl_header *newest, const uint8_t *area, size_t len,
    uint32_t signature);

/* The entry for one band of a planned write; checksum is the caller's. */
void ppl_entry_of_band(struct ppl_entry *entry, const struct row_plan *plan,
    const struct row_band *band);

/* What an entry covers. */
struct ppl_cover {
	uint64_t stripe;
	unsigned first, ndata;		/* data chunks modified */
	uint32_t in_chunk, len;		/* bytes of the column */
	bool full;
};
/* False if the entry cannot be one of this array's on member `role`. */
bool ppl_entry_cover(struct ppl_cover *cover, const struct raid_map *map,
    const struct ppl_entry *entry, unsigned role);

#endif
