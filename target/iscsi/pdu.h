/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iSCSI PDUs (RFC 7143 section 11) as plain structs.  Pure: decode what an
 * initiator sends, encode what a target sends, and CRC32C digests.
 *
 * Names of fields are the RFC's.  A request is one struct for all opcodes;
 * fields that share bytes of the header share storage here.
 */
#ifndef ISCSI_PDU_H
#define ISCSI_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BHS_LEN 48u
#define AHS_MAX (255u * 4)
#define DIGEST_LEN 4u
#define TAG_NONE 0xffffffffu	/* reserved ITT and TTT */

enum iscsi_opcode {
	OP_NOP_OUT = 0x00,
	OP_SCSI_COMMAND = 0x01,
	OP_TASK_MANAGEMENT = 0x02,
	OP_LOGIN = 0x03,
	OP_TEXT = 0x04,
	OP_DATA_OUT = 0x05,
	OP_LOGOUT = 0x06,
	OP_SNACK = 0x10,
	OP_NOP_IN = 0x20,
	OP_SCSI_RESPONSE = 0x21,
	OP_TASK_MANAGEMENT_RESPONSE = 0x22,
	OP_LOGIN_RESPONSE = 0x23,
	OP_TEXT_RESPONSE = 0x24,
	OP_DATA_IN = 0x25,
	OP_LOGOUT_RESPONSE = 0x26,
	OP_R2T = 0x31,
	OP_ASYNC = 0x32,
	OP_REJECT = 0x3f,
};

/* Byte 1. */
#define PDU_F		0x80u	/* final */
#define CMD_R		0x40u
#define CMD_W		0x20u
#define CMD_ATTR	0x07u
#define DATA_IN_S	0x01u	/* status is in this Data-In */
#define RSP_O		0x04u	/* overflow */
#define RSP_U		0x02u	/* underflow */
#define TEXT_C		0x40u	/* continues */
#define LOGIN_T		0x80u	/* transit */
#define LOGIN_C		0x40u
#define LOGIN_CSG(f)	(((f) >> 2) & 3u)
#define LOGIN_NSG(f)	((f) & 3u)

enum login_stage {
	STAGE_SECURITY = 0, STAGE_OPERATIONAL = 1, STAGE_FULL_FEATURE = 3
};

/* RFC 7143 11.17.1 */
enum reject_reason {
	REJECT_DATA_DIGEST = 0x02,
	REJECT_SNACK = 0x03,
	REJECT_PROTOCOL = 0x04,
	REJECT_NOT_SUPPORTED = 0x05,
	REJECT_IMMEDIATE = 0x06,
	REJECT_TASK_IN_PROGRESS = 0x07,
	REJECT_INVALID_FIELD = 0x09,
	REJECT_NO_RESOURCES = 0x0a,
};

/* RFC 7143 11.13.5: class << 8 | detail */
enum login_status {
	LOGIN_SUCCESS = 0x0000,
	LOGIN_INITIATOR_ERROR = 0x0200,
	LOGIN_AUTH_FAILED = 0x0201,
	LOGIN_FORBIDDEN = 0x0202,
	LOGIN_NOT_FOUND = 0x0203,
	LOGIN_BAD_VERSION = 0x0205,
	LOGIN_TOO_MANY = 0x0206,
	LOGIN_MISSING_KEY = 0x0207,
	LOGIN_CANT_INCLUDE = 0x0208,
	LOGIN_BAD_SESSION_TYPE = 0x0209,
	LOGIN_NO_SESSION = 0x020a,
	LOGIN_BAD_REQUEST = 0x020b,
	LOGIN_TARGET_ERROR = 0x0300,
	LOGIN_UNAVAILABLE = 0x0301,
	LOGIN_NO_RESOURCES = 0x0302,
};

/* RFC 7143 11.5.1, RFC 7144 section 6 */
enum tmf_function {
	TMF_ABORT_TASK = 1,
	TMF_ABORT_TASK_SET = 2,
	TMF_CLEAR_ACA = 3,
	TMF_CLEAR_TASK_SET = 4,
	TMF_LUN_RESET = 5,
	TMF_WARM_RESET = 6,
	TMF_COLD_RESET = 7,
	TMF_TASK_REASSIGN = 8,
	TMF_QUERY_TASK = 9,
	TMF_QUERY_TASK_SET = 10,
	TMF_I_T_NEXUS_RESET = 11,
	TMF_QUERY_ASYNC_EVENT = 12,
};

/* RFC 7143 11.6.1, RFC 7144 section 7 */
enum tmf_response {
	TMF_COMPLETE = 0,
	TMF_NO_TASK = 1,
	TMF_NO_LUN = 2,
	TMF_NO_REASSIGN = 4,
	TMF_NOT_SUPPORTED = 5,
	TMF_SUCCEEDED = 7,
	TMF_REJECTED = 255,
};

enum logout_response {
	LOGOUT_CLOSED = 0, LOGOUT_NO_CID = 1, LOGOUT_NO_RECOVERY = 2
};

#define ASYNC_LOGOUT_REQUEST 1	/* RFC 7143 11.9.1 */

/* A request, decoded.  Lengths are as sent: check them against limits. */
struct pdu {
	uint8_t opcode;		/* without the I bit */
	bool immediate;
	uint8_t flags;		/* byte 1 */
	uint8_t b2, b3;		/* login: version max, min */
	uint32_t ahs_len;	/* bytes */
	uint32_t data_len;	/* bytes, without padding */
	uint8_t lun[8];		/* login: ISID, TSIH */
	uint32_t itt;
	union {			/* bytes 20..23 */
		uint32_t ttt, edtl, ref_tag;
		uint16_t cid;
	};
	uint32_t cmd_sn;	/* Data-Out: reserved */
	uint32_t exp_stat_sn;
	union {			/* bytes 32..47 */
		uint8_t cdb[16];
		struct {
			uint32_t ref_cmd_sn, data_sn, offset, w44;
		};
	};
};

void pdu_decode(struct pdu *pdu, const uint8_t bhs[BHS_LEN]);

/* A response before encoding.  StatSN, ExpCmdSN, MaxCmdSN come last. */
struct pdu_out {
	uint8_t opcode, flags, b2, b3;
	uint32_t data_len;
	uint8_t lun[8];
	uint32_t itt, ttt;
	uint32_t stat_sn, exp_cmd_sn, max_cmd_sn;
	uint32_t w36, w40, w44;	/* by opcode: DataSN, offset, residual, ... */
};

void pdu_encode(const struct pdu_out *out, uint8_t bhs[BHS_LEN]);

static inline uint32_t
pdu_pad(uint32_t len)
{
	return -len & 3u;
}

/*
 * CRC32C as in RFC 7143 13.1: start from DIGEST_INIT, add bytes, finish into
 * the four bytes that go on the wire.
 */
#define DIGEST_INIT 0xffffffffu
uint32_t digest_add(uint32_t crc, const void *buf, size_t len);
uint32_t digest_add_iov(uint32_t crc, const struct iovec *iov, unsigned niov);
void digest_finish(uint32_t crc, uint8_t out[DIGEST_LEN]);
bool digest_matches(uint32_t crc, const uint8_t wire[DIGEST_LEN]);

/*
 * The CDB of a SCSI command: 16 bytes of the header plus an extended CDB AHS
 * (RFC 7143 11.2.2.3).  Returns its length, or 0 if an AHS is malformed,
 * repeated or of a type that we do not take.
 */
size_t pdu_cdb(const struct pdu *pdu, const uint8_t *ahs, uint8_t *cdb,
    size_t max);

/* Serial number arithmetic (RFC 1982, 32 bits). */
static inline bool
sn_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* a <= x <= b */
static inline bool
sn_between(uint32_t a, uint32_t x, uint32_t b)
{
	return !sn_before(x, a) && !sn_before(b, x);
}

#endif
