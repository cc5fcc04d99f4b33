/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the scripted initiator logs in: one security stage without a secret, one
 * operational stage with keys drawn at random.
 */
#include "tests/sim/initiator_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024u

static size_t
add_key(char *text, size_t at, const char *key, const char *value)
{
	int n = snprintf(text + at, TEXT_MAX - at, "%s=%s", key, value);

	assert(n > 0 && at + (size_t)n + 1 < TEXT_MAX);
	return at + (size_t)n + 1;
}

static size_t
add_number(char *text, size_t at, const char *key, uint64_t value)
{
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
	return add_key(text, at, key, number);
}

static void
send_login(struct initiator *ini, unsigned csg, unsigned nsg,
    const char *text, size_t len)
{
	uint8_t bhs[BHS];
	struct wire_out out = pdu_begin(bhs, LOGIN_REQUEST | IMMEDIATE,
	    0x80 | csg << 2 | nsg, 0, 1);

	memcpy(bhs + 8, ini->isid, sizeof(ini->isid));
	put_be16(&out, 1);		/* CID */
	put_zero(&out, 2);
	put_sns(ini, &out);
	pdu_send(ini, bhs, text, len);
}

void
send_security(struct initiator *ini)
{
	char text[TEXT_MAX];
	size_t n = 0;

	n = add_key(text, n, "InitiatorName", ini->name);
	n = add_key(text, n, "TargetName", ini->target);
	n = add_key(text, n, "SessionType", "Normal");
	n = add_key(text, n, "AuthMethod", "None");
	ini->state = SECURITY;
	send_login(ini, 0, 1, text, n);
}

static void
send_operational(struct initiator *ini)
{
	struct rng *rng = ini->rng;
	char text[TEXT_MAX];
	size_t n = 0;
	uint64_t burst = 512 * rng_range(rng, 1, 128);

	n = add_key(text, n, "HeaderDigest", rng_one_in(rng, 2) ? "None" :
	    "CRC32C,None");
	n = add_key(text, n, "DataDigest", rng_one_in(rng, 2) ? "None" :
	    "CRC32C,None");
	n = add_key(text, n, "InitialR2T", rng_one_in(rng, 2) ? "Yes" : "No");
	n = add_key(text, n, "ImmediateData", rng_one_in(rng, 2) ? "Yes" :
	    "No");
	n = add_number(text, n, "MaxRecvDataSegmentLength",
	    512 * rng_range(rng, 1, 512));
	n = add_number(text, n, "FirstBurstLength", burst);
	n = add_number(text, n, "MaxBurstLength", burst +
	    512 * rng_below(rng, 512));
	n = add_number(text, n, "MaxOutstandingR2T", rng_range(rng, 1, 8));
	n = add_number(text, n, "DefaultTime2Wait", 0);
	n = add_number(text, n, "DefaultTime2Retain", 0);
	n = add_number(text, n, "ErrorRecoveryLevel", 0);
	ini->state = OPERATIONAL;
	send_login(ini, 1, 3, text, n);
}

static void
take_keys(struct initiator *ini, const char *text, size_t len)
{
	const char *end = text + len;

	for (; text < end; text += strnlen(text, (size_t)(end - text)) + 1) {
		char key[64] = "", value[64] = "";

		if (sscanf(text, "%63[^=]=%63s", key, value) != 2)
			continue;
		if (strcmp(key, "MaxRecvDataSegmentLength") == 0)
			ini->max_segment = (uint32_t)atol(value);
		else if (strcmp(key, "FirstBurstLength") == 0)
			ini->first_burst = (uint32_t)atol(value);
		else if (strcmp(key, "InitialR2T") == 0)
			ini->initial_r2t = strcmp(value, "Yes") == 0;
		else if (strcmp(key, "ImmediateData") == 0)
			ini->immediate = strcmp(value, "Yes") == 0;
		else if (strcmp(key, "HeaderDigest") == 0)
			ini->header_digest = strcmp(value, "CRC32C") == 0;
		else if (strcmp(key, "DataDigest") == 0)
			ini->data_digest = strcmp(value, "CRC32C") == 0;
	}
}

bool
login_response(struct initiator *ini, const uint8_t bhs[BHS],
    const uint8_t *data, size_t len)
{
	struct wire_in in = wire_in(bhs + 24, 14);
	uint32_t stat_sn = get_be32(&in), exp_cmd_sn = get_be32(&in);
	uint32_t max_cmd_sn = get_be32(&in);
	unsigned status = get_be16(&in);

	if (status != 0) {
		sim_check(ini->sim, status >> 8 == 3 || ini->waiting,
		    "%s: login status %04x", ini->name, status);
		sim_trace(ini->sim, "%s: login status %04x", ini->from,
		    status);
		return false;	/* the target closes; then again */
	}
	sim_check(ini->sim, exp_cmd_sn == ini->cmd_sn, "%s: login response "
	    "expects CmdSN %u, not %u", ini->name, exp_cmd_sn, ini->cmd_sn);
	ini->exp_stat_sn = stat_sn + 1;
	ini->max_cmd_sn = max_cmd_sn;
	take_keys(ini, (const char *)data, len);
	if (ini->state == SECURITY) {
		send_operational(ini);
		return false;
	}
	sim_check(ini->sim, ini->state == OPERATIONAL, "%s: login response "
	    "in state %d", ini->name, (int)ini->state);
	sim_trace(ini->sim, "%s: logged in, segment %u, burst %u%s%s%s%s",
	    ini->from, ini->max_segment, ini->first_burst,
	    ini->initial_r2t ? ", R2T" : "",
	    ini->immediate ? ", immediate" : "",
	    ini->header_digest ? ", header digest" : "",
	    ini->data_digest ? ", data digest" : "");
	ini->state = FULL;
	return true;
}
