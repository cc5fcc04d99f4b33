/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Basic header segments to structs and back, AHS, digests.  Pure.
 *
 * Invariants: decoding never fails (48 bytes are 48 bytes) and judges
 * nothing; encoding writes exactly 48 bytes.
 */
#include "target/iscsi/pdu.h"

#include <assert.h>
#include <isa-l/crc.h>
#include <string.h>

#include "core/wire.h"

#define AHS_EXTENDED_CDB 1

void
pdu_decode(struct pdu *pdu, const uint8_t bhs[BHS_LEN])
{
	struct wire_in in = wire_in(bhs, BHS_LEN);
	uint8_t op = get_u8(&in);

	memset(pdu, 0, sizeof(*pdu));
	pdu->opcode = op & 0x3f;
	pdu->immediate = (op & 0x40) != 0;
	pdu->flags = get_u8(&in);
	pdu->b2 = get_u8(&in);
	pdu->b3 = get_u8(&in);
	pdu->ahs_len = get_u8(&in) * 4u;
	pdu->data_len = get_be24(&in);
	get_copy(&in, pdu->lun, sizeof(pdu->lun));
	pdu->itt = get_be32(&in);
	if (pdu->opcode == OP_LOGIN || pdu->opcode == OP_LOGOUT) {
		pdu->cid = get_be16(&in);
		get_skip(&in, 2);
	} else {
		pdu->ttt = get_be32(&in);
	}
	pdu->cmd_sn = get_be32(&in);
	pdu->exp_stat_sn = get_be32(&in);
	if (pdu->opcode == OP_SCSI_COMMAND) {
		get_copy(&in, pdu->cdb, sizeof(pdu->cdb));
	} else {
		pdu->ref_cmd_sn = get_be32(&in);
		pdu->data_sn = get_be32(&in);
		pdu->offset = get_be32(&in);
		pdu->w44 = get_be32(&in);
	}
	assert(!in.bad && wire_left(&in) == 0);
	assert(pdu->ahs_len <= AHS_MAX);
}

void
pdu_encode(const struct pdu_out *out, uint8_t bhs[BHS_LEN])
{
	struct wire_out w = wire_out(bhs, BHS_LEN);

	assert(out->opcode >= OP_NOP_IN && out->opcode <= OP_REJECT);
	assert(out->data_len < 1u << 24);
	put_u8(&w, out->opcode);
	put_u8(&w, out->flags);
	put_u8(&w, out->b2);
	put_u8(&w, out->b3);
	put_u8(&w, 0);
	put_be24(&w, out->data_len);
	put_bytes(&w, out->lun, sizeof(out->lun));
	put_be32(&w, out->itt);
	put_be32(&w, out->ttt);
	put_be32(&w, out->stat_sn);
	put_be32(&w, out->exp_cmd_sn);
	put_be32(&w, out->max_cmd_sn);
	put_be32(&w, out->w36);
	put_be32(&w, out->w40);
	put_be32(&w, out->w44);
	assert(!w.bad && wire_used(&w) == BHS_LEN);
}

uint32_t
digest_add(uint32_t crc, const void *buf, size_t len)
{
	/* ISA-L takes a plain pointer and does not write through it. */
	union { const void *in; unsigned char *isal; } p = { .in = buf };

	assert(len <= INT32_MAX);
	return crc32_iscsi(p.isal, (int)len, crc);
}

uint32_t
digest_add_iov(uint32_t crc, const struct iovec *iov, unsigned niov)
{
	for (unsigned i = 0; i < niov; i++)
		crc = digest_add(crc, iov[i].iov_base, iov[i].iov_len);
	return crc;
}

void
digest_finish(uint32_t crc, uint8_t out[DIGEST_LEN])
{
	struct wire_out w = wire_out(out, DIGEST_LEN);

	put_le32(&w, ~crc);	/* bit-reflected: low byte first */
	assert(!w.bad);
}

bool
digest_matches(uint32_t crc, const uint8_t wire[DIGEST_LEN])
{
	uint8_t want[DIGEST_LEN];

	digest_finish(crc, want);
	return memcmp(want, wire, DIGEST_LEN) == 0;
}

size_t
pdu_cdb(const struct pdu *pdu, const uint8_t *ahs, uint8_t *cdb, size_t max)
{
	struct wire_in in = wire_in(ahs, pdu->ahs_len);
	size_t len = sizeof(pdu->cdb);

	assert(pdu->opcode == OP_SCSI_COMMAND);
	assert(max >= len);
	memcpy(cdb, pdu->cdb, len);
	while (wire_left(&in) > 0) {
		uint16_t ahs_len = get_be16(&in);	/* behind the type */
		uint8_t type = get_u8(&in);

		if (in.bad || type != AHS_EXTENDED_CDB || ahs_len < 2 ||
		    len != sizeof(pdu->cdb))
			return 0;
		get_skip(&in, 1);			/* reserved */
		if (len + ahs_len - 1u > max || ahs_len - 1u > wire_left(&in))
			return 0;
		get_copy(&in, cdb + len, ahs_len - 1u);
		len += ahs_len - 1u;
		/* Padding up to four bytes, counted with the AHS header. */
		get_skip(&in, pdu_pad(3u + ahs_len));
	}
	return in.bad ? 0 : len;
}
