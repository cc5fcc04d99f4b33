/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Negotiation of the operational keys of RFC 7143 section 13 and RFC 7144 by
 * one table.  Pure.
 */
#ifndef ISCSI_KEYS_H
#define ISCSI_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "target/iscsi/text.h"

/* What holds on a connection; booleans are 0 or 1. */
struct iscsi_params {
	uint32_t header_digest, data_digest;	/* 1 = CRC32C */
	uint32_t max_connections;
	uint32_t initial_r2t, immediate_data;
	uint32_t max_recv_segment;	/* what we declared */
	uint32_t max_send_segment;	/* what the initiator declared */
	uint32_t max_burst, first_burst;
	uint32_t time2wait, time2retain;
	uint32_t max_outstanding_r2t;
	uint32_t data_pdu_in_order, data_sequence_in_order;
	uint32_t error_recovery_level;
	uint32_t protocol_level;
	uint32_t task_reporting;
};

/* RFC 7143 section 13: what holds when nothing is said. */
extern const struct iscsi_params iscsi_params_default;

#define OUR_RECV_SEGMENT 262144u

enum key_phase { PHASE_SECURITY, PHASE_OPERATIONAL, PHASE_FULL_FEATURE };

enum key_result {
	KEY_DONE,	/* answered if an answer was due */
	KEY_OTHER,	/* not in this table: names, AuthMethod, SendTargets */
	KEY_ERROR,	/* negotiated twice or not now: a login error */
};

struct negotiation {
	struct iscsi_params params;
	uint64_t seen;		/* keys negotiated so far, by table index */
	bool discovery;
	enum key_phase phase;
};

/* Take one offer, set the parameter, put the answer. */
enum key_result key_negotiate(struct negotiation *n, const char *key,
    const char *value, struct text_out *answer);

/* Make the outcome consistent (FirstBurst <= MaxBurst); after login. */
void keys_settle(struct iscsi_params *params);

/* The value is an answer to a key of ours, not an offer. */
bool key_is_reply(const char *value);

#endif
