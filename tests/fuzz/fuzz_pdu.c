/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers and additional header segments: decoding must stay in bounds. */
#include "target/iscsi/pdu.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/scsi/scsi.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t cdb[SCSI_CDB_MAX];
	struct pdu pdu;
	size_t len;

	if (size < BHS_LEN)
		return 0;
	pdu_decode(&pdu, data);
	assert(pdu.opcode <= 0x3f && pdu.data_len < 1u << 24);
	if (pdu.opcode != OP_SCSI_COMMAND)
		return 0;
	pdu.ahs_len = (uint32_t)(size - BHS_LEN) & ~3u;
	if (pdu.ahs_len > AHS_MAX)
		pdu.ahs_len = AHS_MAX;
	len = pdu_cdb(&pdu, data + BHS_LEN, cdb, sizeof(cdb));
	assert(len == 0 || (len >= 16 && len <= sizeof(cdb)));
	return 0;
}
