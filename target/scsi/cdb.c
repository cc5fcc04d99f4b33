/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CDB decoding: the opcode's row says where the LBA and the length are and
 * which bits may be set.  Pure.
 */
#include "target/scsi/scsi_priv.h"

static uint64_t
field(const uint8_t *cdb, struct scsi_field f)
{
	uint64_t v = 0;

	assert(f.size <= sizeof(v) && f.at + f.size <= CDB_USAGE_MAX);
	for (unsigned i = 0; i < f.size; i++)
		v = v << 8 | cdb[f.at + i];
	return v;
}

struct sense
scsi_cdb_decode(const struct scsi_opcode *row, const uint8_t *cdb, size_t len,
    struct scsi_cdb *out)
{
	assert(row->cdb_len <= CDB_USAGE_MAX);
	assert(row->lba.at + row->lba.size <= row->cdb_len);
	assert(row->len.at + row->len.size <= row->cdb_len);
	if (len < row->cdb_len)
		return SENSE_INVALID_FIELD;
	for (unsigned i = 1; i < row->cdb_len; i++) {
		unsigned bad = cdb[i] & ~(unsigned)row->usage[i];

		if (bad != 0)
			return sense_cdb_field(i,
			    31u - (unsigned)__builtin_clz(bad));
	}
	out->lba = field(cdb, row->lba);
	out->len = (uint32_t)field(cdb, row->len);
	out->flags = cdb[1];
	assert(!(row->flags & OPC_RANGE) || row->lba.size != 0);
	if (row->flags & OPC_RW6) {
		assert(row->cdb_len == 6 && row->lba.size == 3);
		out->lba &= 0x1fffff;
		if (out->len == 0)
			out->len = 256;
		out->flags = 0;
	}
	return SENSE_NONE;
}
