/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sense data (SPC-4 4.5): encoding in fixed and descriptor format, and the
 * one table that turns an errno of the layers below into sense.  Pure.
 */
#include <assert.h>
#include <errno.h>

#include "core/util.h"
#include "core/wire.h"
#include "target/scsi/scsi_priv.h"

#define RESPONSE_FIXED		0x70
#define RESPONSE_DESCRIPTOR	0x72
#define VALID			0x80u
#define SKSV			0x80u
#define SKS_CDB			0x40u
#define SKS_BIT_VALID		0x08u
#define BIT_UNKNOWN		0xff

/*
 * Errors of a struct io.  `write` is for everything that changes the medium.
 * -ENOSPC is DATA PROTECT / SPACE ALLOCATION FAILED WRITE PROTECT, which lets
 * a hypervisor pause the guest instead of failing it (SBC-3 4.7.3.6).
 */
static const struct {
	int err;
	struct sense read, write;
} errno_table[] = {
	{ EIO, { .key = 0x03, .asc = 0x11 }, { .key = 0x03, .asc = 0x0c } },
	{ EILSEQ, { .key = 0x03, .asc = 0x11, .ascq = 0x05 },
	    { .key = 0x03, .asc = 0x0c } },
	{ ENOSPC, { .key = 0x03, .asc = 0x11 },
	    { .key = 0x07, .asc = 0x27, .ascq = 0x07 } },
	{ EDQUOT, { .key = 0x03, .asc = 0x11 },
	    { .key = 0x07, .asc = 0x27, .ascq = 0x07 } },
	{ EROFS, { .key = 0x04, .asc = 0x44 }, { .key = 0x07, .asc = 0x27 } },
	{ ENODEV, { .key = 0x02, .asc = 0x04 }, { .key = 0x02, .asc = 0x04 } },
	{ ENXIO, { .key = 0x02, .asc = 0x04 }, { .key = 0x02, .asc = 0x04 } },
	{ ETIMEDOUT, { .key = 0x0b, .asc = 0x2e, .ascq = 0x02 },
	    { .key = 0x0b, .asc = 0x2e, .ascq = 0x02 } },
	{ ENOMEM, { .key = 0x0b, .asc = 0x55, .ascq = 0x03 },
	    { .key = 0x0b, .asc = 0x55, .ascq = 0x03 } },
};

struct sense
sense_from_errno(int err, enum io_kind kind, uint64_t lba)
{
	struct sense sense = SENSE(0x04, 0x44, 0x00);	/* internal failure */

	assert(err < 0);
	for (size_t i = 0; i < nitems(errno_table); i++)
		if (errno_table[i].err == -err)
			sense = kind == IO_READ || kind == IO_STATUS ?
			    errno_table[i].read : errno_table[i].write;
	if (sense.key == 0x03) {	/* MEDIUM ERROR says where */
		sense.info_valid = true;
		sense.info = lba;
	}
	return sense;
}

struct sense
sense_cdb_field(unsigned byte, unsigned bit)
{
	struct sense sense = SENSE_INVALID_FIELD;

	assert(byte < SCSI_CDB_MAX);
	assert(bit < 8 || bit == BIT_UNKNOWN);
	sense.field_valid = sense.field_in_cdb = true;
	sense.field_byte = (uint16_t)byte;
	sense.field_bit = (uint8_t)bit;
	return sense;
}

struct sense
sense_param_field(unsigned byte)
{
	struct sense sense = SENSE_PARAM_FIELD;

	assert(byte <= UINT16_MAX);
	sense.field_valid = true;
	sense.field_byte = (uint16_t)byte;
	sense.field_bit = BIT_UNKNOWN;
	return sense;
}

/* Sense-key specific bytes: field pointer (SPC-4 4.5.2.4.2). */
static void
put_field_pointer(struct wire_out *out, const struct sense *sense)
{
	unsigned first = SKSV;

	if (!sense->field_valid) {
		put_zero(out, 3);
		return;
	}
	if (sense->field_in_cdb)
		first |= SKS_CDB;
	if (sense->field_bit < 8)
		first |= SKS_BIT_VALID | sense->field_bit;
	put_u8(out, (uint8_t)first);
	put_be16(out, sense->field_byte);
}

/* INFORMATION is 4 bytes here; a larger value is not valid (SPC-4 4.5.3). */
static size_t
encode_fixed(const struct sense *sense, struct wire_out *out)
{
	bool valid = sense->info_valid && sense->info <= UINT32_MAX;

	assert(sense->key <= 0x0f);
	put_u8(out, (uint8_t)(RESPONSE_FIXED | (valid ? VALID : 0u)));
	put_u8(out, 0);
	put_u8(out, sense->key);
	put_be32(out, valid ? (uint32_t)sense->info : 0);
	put_u8(out, 10);		/* additional sense length */
	put_be32(out, 0);
	put_u8(out, sense->asc);
	put_u8(out, sense->ascq);
	put_u8(out, 0);
	put_field_pointer(out, sense);
	return wire_used(out);
}

static size_t
encode_descriptor(const struct sense *sense, struct wire_out *out)
{
	uint8_t extra = (uint8_t)((sense->info_valid ? 12 : 0) +
	    (sense->field_valid ? 8 : 0));

	assert(sense->key <= 0x0f);
	put_u8(out, RESPONSE_DESCRIPTOR);
	put_u8(out, sense->key);
	put_u8(out, sense->asc);
	put_u8(out, sense->ascq);
	put_zero(out, 3);
	put_u8(out, extra);
	if (sense->info_valid) {
		put_u8(out, 0x00);	/* information descriptor */
		put_u8(out, 0x0a);
		put_u8(out, VALID);
		put_u8(out, 0);
		put_be64(out, sense->info);
	}
	if (sense->field_valid) {
		put_u8(out, 0x02);	/* sense-key specific descriptor */
		put_u8(out, 0x06);
		put_zero(out, 2);
		put_field_pointer(out, sense);
		put_u8(out, 0);
	}
	return wire_used(out);
}

size_t
sense_encode(struct sense sense, bool descriptor, uint8_t buf[SCSI_SENSE_MAX])
{
	struct wire_out out = wire_out(buf, SCSI_SENSE_MAX);
	size_t len = descriptor ? encode_descriptor(&sense, &out) :
	    encode_fixed(&sense, &out);

	assert(!out.bad && len >= 8);
	return len;
}
