/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode parameters (SPC-4 7.5, SBC-3 6.4): MODE SENSE and MODE SELECT.
 *
 * WCE follows the write policy and cannot be changed by an initiator; D_SENSE
 * and SWP can.  Nothing is saved: PS is 0 in each page.  One table of pages
 * serves both commands.
 */
#include <string.h>

#include "target/scsi/scsi_priv.h"

enum page_control { PC_CURRENT, PC_CHANGEABLE, PC_DEFAULT, PC_SAVED };

#define DEV_WP		0x80u
#define DEV_DPOFUA	0x10u
#define CONTROL_GLTSD	0x02u
#define CONTROL_D_SENSE	0x04u
#define CONTROL_SWP	0x08u
#define PAGE_MAX	20

static void
page_caching(uint8_t *page, const struct scsi_lu *lu, enum page_control pc)
{
	if (pc != PC_CHANGEABLE && lu->params.write_cache)
		page[2] = 0x04;		/* WCE */
}

static void
page_control(uint8_t *page, const struct scsi_lu *lu, enum page_control pc)
{
	bool all = pc == PC_CHANGEABLE, current = pc == PC_CURRENT;

	if (all || (current && lu->mode.d_sense))
		page[2] |= CONTROL_D_SENSE;
	if (all || (current && lu->mode.swp))
		page[4] |= CONTROL_SWP;
	if (!all) {
		page[2] |= CONTROL_GLTSD;
		page[3] = 0x10;		/* QAM: unrestricted reordering */
		page[5] = 0x40;		/* TAS */
	}
}

static void
page_exceptions(uint8_t *page, const struct scsi_lu *lu, enum page_control pc)
{
	(void)lu;
	if (pc != PC_CHANGEABLE)
		page[2] = 0x08;		/* DEXCPT */
}

static const struct mode_page {
	uint8_t page, len;		/* len: whole page */
	void (*build)(uint8_t *page, const struct scsi_lu *lu,
	    enum page_control pc);
} pages[] = {
	{ 0x08, 20, page_caching },
	{ 0x0a, 12, page_control },
	{ 0x1c, 12, page_exceptions },
};

static void
build(uint8_t page[PAGE_MAX], const struct mode_page *desc,
    const struct scsi_lu *lu, enum page_control pc)
{
	assert(desc->len > 2 && desc->len <= PAGE_MAX && pc != PC_SAVED);
	memset(page, 0, PAGE_MAX);
	page[0] = desc->page;
	page[1] = (uint8_t)(desc->len - 2);
	desc->build(page, lu, pc);
	assert(page[0] == desc->page && page[1] == desc->len - 2);
}

/* Returns false if there is no such page. */
static bool
put_pages(struct wire_out *out, const struct scsi_lu *lu, uint8_t code,
    uint8_t subpage, enum page_control pc)
{
	uint8_t page[PAGE_MAX];
	bool found = false;

	if (subpage != 0 && subpage != 0xff)
		return false;
	for (size_t i = 0; i < nitems(pages); i++) {
		if (code != 0x3f && code != pages[i].page)
			continue;
		build(page, &pages[i], lu, pc);
		put_bytes(out, page, pages[i].len);
		found = true;
	}
	return found;
}

static uint8_t
device_specific(const struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;
	bool wp = lu->params.read_only || cmd->nl->read_only ||
	    lu->blk->geo.read_only || lu->mode.swp;

	return (uint8_t)(DEV_DPOFUA | (wp ? DEV_WP : 0));
}

/* Block descriptor: short, or long with LLBAA (SBC-3 6.4.2). */
static void
put_block_descriptor(struct wire_out *out, const struct scsi_lu *lu,
    bool long_lba)
{
	if (long_lba) {
		put_be64(out, lu->nblocks);
		put_be32(out, 0);
	} else {
		put_be32(out, (uint32_t)MIN(lu->nblocks, UINT32_MAX));
	}
	assert(lu->block <= 0xffffff);
	put_be32(out, lu->block);	/* short: density 0, 3-byte length */
}

void
scsi_mode_sense(struct scsi_cmd *cmd)
{
	const uint8_t *cdb = cmd->cdb;
	bool ten = cmd->opcode->cdb_len == 10, dbd = cdb[1] & 0x08;
	bool long_lba = ten && (cdb[1] & 0x10);
	enum page_control pc = cdb[2] >> 6;
	struct wire_out out = cmd_in(cmd);
	unsigned header = ten ? 8 : 4, desc = dbd ? 0 : long_lba ? 16 : 8;
	size_t len;

	if (pc == PC_SAVED) {
		cmd_fail(cmd, SENSE(0x05, 0x39, 0x00));
		return;
	}
	put_zero(&out, header);
	if (desc != 0)
		put_block_descriptor(&out, cmd->lu, long_lba);
	if (!put_pages(&out, cmd->lu, cdb[2] & 0x3f, cdb[3], pc)) {
		cmd_fail(cmd, sense_cdb_field(2, 0xff));
		return;
	}
	len = wire_used(&out);
	assert(len <= 256);
	if (ten) {
		out.start[1] = (uint8_t)(len - 2);
		out.start[3] = device_specific(cmd);
		out.start[4] = long_lba && desc != 0;
		out.start[7] = (uint8_t)desc;
	} else {
		out.start[0] = (uint8_t)(len - 1);
		out.start[2] = device_specific(cmd);
		out.start[3] = (uint8_t)desc;
	}
	cmd_in_done(cmd, &out);
}

/* --- MODE SELECT --- */

/* Parameter list header and block descriptor; false if it is malformed. */
static bool
get_header(struct scsi_cmd *cmd, struct wire_in *in)
{
	const struct scsi_lu *lu = cmd->lu;
	bool ten = cmd->opcode->cdb_len == 10, long_lba = false;
	unsigned desc;
	uint64_t blocks;

	if (ten) {
		get_skip(in, 4);
		long_lba = get_u8(in) & 1;
		get_skip(in, 1);
		desc = get_be16(in);
	} else {
		get_skip(in, 3);
		desc = get_u8(in);
	}
	if (in->bad || wire_left(in) < desc) {
		cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
		return false;
	}
	if (desc == 0)
		return true;
	if (desc != (long_lba ? 16 : 8)) {
		cmd_fail(cmd, sense_param_field(ten ? 6 : 3));
		return false;
	}
	blocks = long_lba ? get_be64(in) : get_be32(in);
	if (long_lba)
		get_skip(in, 4);
	/* 0 and all ones mean: as it is.  The size cannot be changed. */
	if ((get_be32(in) & 0xffffff) != lu->block || (blocks != 0 &&
	    blocks != lu->nblocks && blocks != UINT32_MAX)) {
		cmd_fail(cmd, sense_param_field(ten ? 8 : 4));
		return false;
	}
	return true;
}

/*
 * One page: every bit that cannot be changed must be as it is.  `off` is
 * where it stands in the parameter list.
 */
static bool
select_page(struct scsi_cmd *cmd, struct wire_in *in, size_t off,
    struct scsi_mode *mode)
{
	uint8_t now[PAGE_MAX], mask[PAGE_MAX];
	const uint8_t *new = in->p;
	const struct mode_page *desc = NULL;

	assert(wire_left(in) >= 2);
	for (size_t i = 0; i < nitems(pages); i++)
		if ((new[0] & 0x3f) == pages[i].page)
			desc = &pages[i];
	if (desc == NULL || (new[0] & 0x40)) {	/* SPF: no subpages */
		cmd_fail(cmd, sense_param_field((unsigned)off));
		return false;
	}
	if (wire_left(in) < desc->len || new[1] != desc->len - 2) {
		cmd_fail(cmd, wire_left(in) < desc->len ?
		    SENSE_PARAM_LIST_LEN :
		    sense_param_field((unsigned)off + 1));
		return false;
	}
	build(now, desc, cmd->lu, PC_CURRENT);
	build(mask, desc, cmd->lu, PC_CHANGEABLE);
	for (unsigned i = 2; i < desc->len; i++)
		if (((new[i] ^ now[i]) & ~(unsigned)mask[i]) != 0) {
			cmd_fail(cmd, sense_param_field((unsigned)off + i));
			return false;
		}
	if (desc->build == page_control) {
		mode->d_sense = new[2] & CONTROL_D_SENSE;
		mode->swp = new[4] & CONTROL_SWP;
	}
	get_skip(in, desc->len);
	return true;
}

/* All pages are checked before anything changes. */
void
scsi_mode_select(struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->lu;
	struct scsi_mode mode = lu->mode;
	struct wire_in in = cmd_out(cmd);
	const uint8_t *start = in.p;

	if (cmd->c.len == 0)
		return;
	if (!get_header(cmd, &in))
		return;
	assert(wire_left(&in) <= cmd->c.len);
	while (wire_left(&in) > 0) {
		if (wire_left(&in) < 2) {
			cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
			return;
		}
		if (!select_page(cmd, &in, (size_t)(in.p - start), &mode))
			return;
	}
	if (mode.d_sense == lu->mode.d_sense && mode.swp == lu->mode.swp)
		return;
	lu->mode = mode;
	ua_raise_others(lu, cmd->nl, UA_MODE_CHANGED);
}
