/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iSCSI TransportIDs (SPC-4 7.6.4.6): "name" or "name,i,0x<ISID>", NUL
 * terminated and padded, at least 24 bytes with the header.  Pure.
 */
#include <stdio.h>
#include <string.h>

#include "target/scsi/scsi_priv.h"

#define PROTOCOL_ISCSI	0x05u
#define FORMAT_PORT	0x40u	/* with ISID */
#define HEADER_LEN	4u
#define ADDITIONAL_MIN	20u
#define SEPARATOR	",i,0x"

void
transport_id_encode(struct wire_out *out, const char *initiator,
    const uint8_t isid[6])
{
	char text[SCSI_NAME_MAX + sizeof(SEPARATOR) + 12 + 4] = { 0 };
	size_t len;

	snprintf(text, sizeof(text) - 3,
	    "%s" SEPARATOR "%02x%02x%02x%02x%02x%02x", initiator, isid[0],
	    isid[1], isid[2], isid[3], isid[4], isid[5]);
	len = MAX(round_up(strlen(text) + 1, 4), ADDITIONAL_MIN);
	assert(len <= sizeof(text));
	assert(strlen(initiator) <= SCSI_NAME_MAX && len % 4 == 0);
	put_u8(out, FORMAT_PORT | PROTOCOL_ISCSI);
	put_u8(out, 0);
	put_be16(out, (uint16_t)len);
	put_bytes(out, text, len);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
get_isid(const char *text, uint8_t isid[6])
{
	if (strlen(text) != 12)
		return false;
	for (unsigned i = 0; i < 6; i++) {
		int hi = hex_digit(text[2 * i]);
		int lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		isid[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

size_t
transport_id_decode(const uint8_t *id, size_t len,
    char initiator[SCSI_NAME_MAX + 1], uint8_t isid[6], bool *any_isid)
{
	char text[SCSI_NAME_MAX + sizeof(SEPARATOR) + 12 + 4];
	size_t extra;
	char *isid_text;

	if (len < HEADER_LEN || (id[0] & 0x3f) != PROTOCOL_ISCSI ||
	    (id[0] & 0x80) != 0)
		return 0;
	*any_isid = !(id[0] & FORMAT_PORT);
	extra = (size_t)id[2] << 8 | id[3];
	if (extra < ADDITIONAL_MIN || extra % 4 != 0 ||
	    extra > sizeof(text) || extra > len - HEADER_LEN)
		return 0;
	memcpy(text, id + HEADER_LEN, extra);
	if (memchr(text, '\0', extra) == NULL)
		return 0;
	isid_text = strstr(text, SEPARATOR);
	if ((isid_text == NULL) != *any_isid)
		return 0;
	if (isid_text != NULL) {
		*isid_text = '\0';
		if (!get_isid(isid_text + strlen(SEPARATOR), isid))
			return 0;
	}
	assert(extra <= sizeof(text));
	if (text[0] == '\0' || strlen(text) > SCSI_NAME_MAX)
		return 0;
	memcpy(initiator, text, strlen(text) + 1);
	return HEADER_LEN + extra;
}
