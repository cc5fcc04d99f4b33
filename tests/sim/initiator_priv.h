/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripted initiator from the inside, for its files.
 */
#ifndef TESTS_SIM_INITIATOR_PRIV_H
#define TESTS_SIM_INITIATOR_PRIV_H

#include "core/wire.h"
#include "tests/sim/initiator.h"

#define BHS 48u
#define DIGEST 4u
#define TASKS 16u
#define NO_TAG 0xffffffffu

enum opcode {
	NOP_OUT = 0x00, SCSI_COMMAND = 0x01, TMF_REQUEST = 0x02,
	LOGIN_REQUEST = 0x03, DATA_OUT = 0x05,
	NOP_IN = 0x20, SCSI_RESPONSE = 0x21, TMF_RESPONSE = 0x22,
	LOGIN_RESPONSE = 0x23, DATA_IN = 0x25, R2T = 0x31, ASYNC = 0x32,
};
#define IMMEDIATE 0x40u
#define FINAL 0x80u

enum state { DOWN, CONNECTING, SECURITY, OPERATIONAL, FULL };

enum task_kind { TASK_READ, TASK_WRITE, TASK_SYNC, TASK_OTHER };

struct task {
	bool busy, orphan;	/* orphan: its session is gone */
	bool aborting;
	enum task_kind kind;
	const struct initiator_lun *lun;
	uint32_t itt, abort_itt;
	uint64_t lba, n;	/* sectors of 512 bytes */
	uint32_t len;		/* bytes */
	uint32_t got, data_sn;
	unsigned write;		/* model's number */
	uint64_t token;		/* model's read or flush */
	bool fua;
	uint64_t start_ns;
	uint8_t *buf;
};

struct initiator {
	struct sim *sim;
	struct rng *rng;
	char name[64], from[16], target[64];
	uint8_t isid[6];
	uint16_t port;
	struct sim_conn *conn;
	enum state state;
	bool stopped, errors_ok, unsteady, waiting;
	uint32_t cmd_sn, max_cmd_sn, exp_stat_sn, next_itt;
	/* negotiated */
	bool initial_r2t, immediate, header_digest, data_digest;
	uint32_t first_burst, max_segment;
	struct initiator_lun lun[INITIATOR_LUNS];
	unsigned nluns, depth;
	uint64_t budget, commands;
	struct task task[TASKS];
	uint8_t *in;
	size_t in_len, in_room;
};

/* --- PDUs (initiator.c) --- */

/* Fields all requests have; the rest is the caller's. */
struct wire_out pdu_begin(uint8_t bhs[BHS], unsigned opcode, unsigned flags,
    uint64_t lun, uint32_t itt);
void pdu_send(struct initiator *ini, uint8_t bhs[BHS], const void *data,
    size_t len);
void put_sns(struct initiator *ini, struct wire_out *out);

/* --- login (initiator_login.c) --- */

/* Connected: begin. */
void send_security(struct initiator *ini);
/* True: logged in. */
bool login_response(struct initiator *ini, const uint8_t bhs[BHS],
    const uint8_t *data, size_t len);

#endif
