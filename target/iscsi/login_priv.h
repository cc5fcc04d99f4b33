/* SPDX-License-Identifier: BSD-2-Clause */
/* Between login.c (the phase) and auth.c (its security stage). */
#ifndef ISCSI_LOGIN_PRIV_H
#define ISCSI_LOGIN_PRIV_H

#include "target/iscsi/iscsi_priv.h"

#define LOGIN_SEGMENT_MAX 8192u	/* RFC 7143 13.12: default, and at login */
#define LOGIN_PAIRS_MAX 96u
#define LOGIN_REQUESTS_MAX 64u
#define CHALLENGE_LEN 32u

enum auth_state {
	AUTH_OPEN,	/* nothing agreed yet */
	AUTH_BUSY,	/* CHAP agreed, not finished */
	AUTH_DONE,
};

struct login_bufs {
	uint8_t in[LOGIN_SEGMENT_MAX + 4];
	uint8_t bhs[BHS_LEN];
	char out[LOGIN_SEGMENT_MAX];
	struct pair {
		char *key, *value;
		bool taken;
	} pairs[LOGIN_PAIRS_MAX];
};

struct login {
	struct op op;
	struct io io;
	struct iovec iov[2];
	struct conn *conn;
	struct op_queue *on;	/* an old session's enders */
	uint8_t bhs[BHS_LEN];
	uint32_t have, want;
	struct login_bufs *bufs;	/* with the first request */
	struct pdu pdu;
	struct text_acc text;
	struct text_out out;
	unsigned npairs;
	/* from the first request */
	uint8_t isid[6];
	uint16_t tsih, cid;
	uint32_t cmd_sn;
	char initiator[SCSI_NAME_MAX + 1], target[SCSI_NAME_MAX + 1];
	char alias[64];
	int target_index;	/* both valid within one step only */
	struct tgt *tgt;
	bool told_tag, told_alias;
	unsigned requests;
	enum login_stage stage, next;
	bool transit;
	struct negotiation n;
	enum login_status status;
	bool done;
	/* auth.c */
	enum auth_state auth;
	const char *why;	/* for the administrator, if refused */
	struct {		/* keys of this request, in its text */
		const char *method, *a, *n, *r, *i, *c;
	} in;
	unsigned chap_alg;
	uint8_t chap_id, challenge[CHALLENGE_LEN];
	char proved_user[SCSI_NAME_MAX + 1];
	const char *auth_name;
	bool mutual_done;
};

/* Take a key of the security stage; false if it is none. */
bool login_auth_key(struct login *login, const char *key, const char *value);
/* After all keys of a request: the next move of the security stage. */
enum login_status login_auth_run(struct login *login);
/* May the initiator go on without (more) authentication? */
enum login_status login_auth_leave(struct login *login);

#endif
