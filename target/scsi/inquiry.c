/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INQUIRY: standard data and vital product data pages (SPC-4 6.6, 7.8).
 *
 * Page 00h lists exactly the rows of the table below.  The designators of
 * page 83h put the LUN's NAA first and the IQN on the target device, because
 * ESXi and Windows take the LUN's identity from association 0.
 */
#include <stdio.h>
#include <string.h>

#include "target/scsi/scsi_priv.h"

#define VENDOR		"DOZO    "
#define PRODUCT		"VOLUME          "
#define REVISION	"0001"
#define STANDARD_LEN	96
#define PDT_DISK	0x00
#define PDT_NONE	0x1f

/* Standard INQUIRY bytes 58-73. */
static const uint16_t version_descriptors[8] = {
	0x00a0,		/* SAM-5 */
	0x0960,		/* iSCSI */
	0x0460,		/* SPC-4 */
	0x04c0,		/* SBC-3 */
};

/* Qualifier and type: LUN 0 can have a unit connected, others cannot. */
static uint8_t
peripheral(const struct scsi_cmd *cmd)
{
	if (cmd->lu != NULL)
		return PDT_DISK;
	return (uint8_t)(PDT_NONE |
	    (scsi_lun_decode(cmd->lun) == 0 ? 1u : 3u) << 5);
}

static void
put_standard(struct wire_out *out, const struct scsi_cmd *cmd)
{
	const struct scsi_lu *lu = cmd->lu;

	put_u8(out, peripheral(cmd));
	put_u8(out, lu != NULL && lu->params.removable ? 0x80 : 0);
	put_u8(out, 0x06);		/* SPC-4 */
	put_u8(out, 0x10 | 0x02);	/* HISUP, response data format */
	put_u8(out, STANDARD_LEN - 5);
	put_u8(out, 0x10);		/* TPGS: implicit */
	put_u8(out, 0x10);		/* MULTIP */
	put_u8(out, 0x02);		/* CMDQUE */
	put_bytes(out, VENDOR PRODUCT REVISION, 28);
	put_zero(out, 58 - 36);
	for (size_t i = 0; i < nitems(version_descriptors); i++)
		put_be16(out, version_descriptors[i]);
	assert(wire_used(out) <= STANDARD_LEN);
	put_zero(out, STANDARD_LEN - wire_used(out));
}

/* --- page 83h --- */

enum association { ASSOC_LUN, ASSOC_PORT, ASSOC_DEVICE };
enum designator {
	DESIG_T10 = 1, DESIG_EUI64 = 2, DESIG_NAA = 3, DESIG_REL_PORT = 4,
	DESIG_PORT_GROUP = 5, DESIG_NAME = 8
};
enum code_set { CODE_BINARY = 1, CODE_ASCII = 2, CODE_UTF8 = 3 };

static void
put_designator(struct wire_out *out, enum association association,
    enum designator type, enum code_set code, const void *data, size_t len)
{
	bool piv = association != ASSOC_LUN;

	assert(len <= 255);
	put_u8(out, (uint8_t)((piv ? 0x50u : 0u) | code));	/* iSCSI */
	put_u8(out, (uint8_t)((piv ? 0x80u : 0u) | association << 4 | type));
	put_u8(out, 0);
	put_u8(out, (uint8_t)len);
	put_bytes(out, data, len);
}

/* SCSI name strings are NUL terminated and padded to four bytes. */
static void
put_name(struct wire_out *out, enum association association, const char *name)
{
	char text[256];
	size_t len = strlen(name) + 1;

	assert(len < sizeof(text) - 4);
	memset(text, 0, sizeof(text));
	memcpy(text, name, len);
	put_designator(out, association, DESIG_NAME, CODE_UTF8, text,
	    round_up(len, 4));
}

static void
put_lun_designators(struct wire_out *out, const struct scsi_lu_id *id)
{
	char text[8 + sizeof(id->serial)];
	char name[4 + 2 * sizeof(id->naa) + 1];

	assert(id->naa[0] >> 4 == 6 && id->serial[0] != '\0');
	put_designator(out, ASSOC_LUN, DESIG_NAA, CODE_BINARY, id->naa,
	    sizeof(id->naa));
	put_designator(out, ASSOC_LUN, DESIG_EUI64, CODE_BINARY, id->eui64,
	    sizeof(id->eui64));
	snprintf(text, sizeof(text), "%s%s", VENDOR, id->serial);
	put_designator(out, ASSOC_LUN, DESIG_T10, CODE_ASCII, text,
	    strlen(text));
	memcpy(name, "naa.", 4);
	for (size_t i = 0; i < sizeof(id->naa); i++)
		snprintf(name + 4 + 2 * i, 3, "%02x", id->naa[i]);
	put_name(out, ASSOC_LUN, name);
}

static void
vpd_identification(struct wire_out *out, const struct scsi_cmd *cmd)
{
	const struct scsi_port *port = cmd->nexus->port;
	uint8_t rel[4] = { 0, 0, (uint8_t)(port->relative_id >> 8),
	    (uint8_t)port->relative_id };
	uint8_t group[4] = { 0, 0, 0, 1 };
	char name[SCSI_NAME_MAX + 16];

	assert(port->relative_id != 0 && port->target[0] != '\0');
	put_lun_designators(out, &cmd->lu->params.id);
	put_designator(out, ASSOC_PORT, DESIG_REL_PORT, CODE_BINARY, rel, 4);
	put_designator(out, ASSOC_PORT, DESIG_PORT_GROUP, CODE_BINARY, group,
	    4);
	snprintf(name, sizeof(name), "%s,t,0x%04x", port->target, port->tag);
	put_name(out, ASSOC_PORT, name);
	put_name(out, ASSOC_DEVICE, port->target);
}

/* --- the other pages --- */

static void
vpd_serial(struct wire_out *out, const struct scsi_cmd *cmd)
{
	const char *serial = cmd->lu->params.id.serial;

	put_bytes(out, serial, strlen(serial));
}

static void
vpd_extended(struct wire_out *out, const struct scsi_cmd *cmd)
{
	put_u8(out, 0);
	put_u8(out, 0x07);	/* HEADSUP, ORDSUP, SIMPSUP */
	put_u8(out, cmd->lu->params.write_cache ? 0x01 : 0);	/* V_SUP */
	put_u8(out, 0x01);	/* LUICLR */
	put_zero(out, 60 - 4);
}

static void
vpd_block_limits(struct wire_out *out, const struct scsi_cmd *cmd)
{
	const struct scsi_limits *limits = &cmd->lu->limits;

	put_u8(out, 0x01);			/* WSNZ */
	assert(limits->compare_max <= UINT8_MAX);
	put_u8(out, (uint8_t)limits->compare_max);
	put_be16(out, limits->granularity);
	put_be32(out, limits->xfer_max);
	put_be32(out, limits->xfer_optimal);
	put_be32(out, 0);			/* PRE-FETCH: no limit */
	put_be32(out, limits->unmap_max);
	put_be32(out, limits->unmap_descs);
	put_be32(out, limits->unmap_granularity);
	put_be32(out, limits->unmap_granularity != 0 ? 0x80000000u : 0);
	put_be64(out, limits->same_max);
	put_zero(out, 60 - 40);
}

static void
vpd_characteristics(struct wire_out *out, const struct scsi_cmd *cmd)
{
	/* 0: not reported; 1: does not rotate */
	put_be16(out, cmd->lu->blk->geo.rotational ? 0 : 1);
	put_zero(out, 60 - 2);
}

static void
vpd_provisioning(struct wire_out *out, const struct scsi_cmd *cmd)
{
	bool thin = lu_can_unmap(cmd->lu);

	put_u8(out, 0);			/* no thresholds */
	put_u8(out, thin ? 0xe4 : 0);	/* LBPU, LBPWS, LBPWS10, LBPRZ */
	put_u8(out, thin ? 0x02 : 0);	/* thin, or fully provisioned */
	put_u8(out, 0);
}

static void vpd_supported(struct wire_out *, const struct scsi_cmd *);

static const struct {
	uint8_t page;
	void (*put)(struct wire_out *out, const struct scsi_cmd *cmd);
} vpd_pages[] = {
	{ 0x00, vpd_supported },
	{ 0x80, vpd_serial },
	{ 0x83, vpd_identification },
	{ 0x86, vpd_extended },
	{ 0xb0, vpd_block_limits },
	{ 0xb1, vpd_characteristics },
	{ 0xb2, vpd_provisioning },
};

static void
vpd_supported(struct wire_out *out, const struct scsi_cmd *cmd)
{
	(void)cmd;
	for (size_t i = 0; i < nitems(vpd_pages); i++)
		put_u8(out, vpd_pages[i].page);
}

static bool
put_vpd(struct wire_out *out, const struct scsi_cmd *cmd, uint8_t page)
{
	for (size_t i = 0; i < nitems(vpd_pages); i++) {
		size_t len;

		if (vpd_pages[i].page != page)
			continue;
		put_u8(out, peripheral(cmd));
		put_u8(out, page);
		put_be16(out, 0);
		vpd_pages[i].put(out, cmd);
		len = wire_used(out) - 4;
		assert(!out->bad && len <= UINT16_MAX);
		out->start[2] = (uint8_t)(len >> 8);
		out->start[3] = (uint8_t)len;
		return true;
	}
	return false;
}

void
scsi_inquiry(struct scsi_cmd *cmd)
{
	bool evpd = cmd->cdb[1] & 1;
	uint8_t page = cmd->cdb[2];
	struct wire_out out = cmd_in(cmd);

	if (!evpd && page != 0) {
		cmd_fail(cmd, sense_cdb_field(2, 0xff));
		return;
	}
	if (!evpd) {
		put_standard(&out, cmd);
	} else if (cmd->lu == NULL) {
		cmd_fail(cmd, SENSE_NO_LUN);
		return;
	} else if (!put_vpd(&out, cmd, page)) {
		cmd_fail(cmd, sense_cdb_field(2, 0xff));
		return;
	}
	cmd_in_done(cmd, &out);
}
