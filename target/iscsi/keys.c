/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operational keys.  A row says how offer and our own value make a result
 * (RFC 7143 6.2: list, boolean AND or OR, number MIN or MAX, declaration);
 * nothing else in the target knows key names of this kind.  Pure.
 *
 * Invariants: a key is answered at most once and only when it was offered; a
 * value out of range is answered Reject and changes nothing.
 */
#include "target/iscsi/keys.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "core/util.h"

enum key_type {
	KT_LIST,	/* first item of the offer that is in our list */
	KT_AND, KT_OR,
	KT_MIN, KT_MAX,
	KT_DECLARE,	/* the initiator's own; we declare ours */
	KT_MARKER,	/* RFC 7143 13.26: obsolete, answered No */
	KT_MARK_INT,	/* obsolete, answered Reject */
	KT_INFO,	/* taken note of, no answer */
};

#define K_LOGIN		0x01u	/* operational stage */
#define K_FULL		0x02u	/* full feature phase as well */
#define K_NORMAL	0x04u	/* Irrelevant in a discovery session */

struct key_def {
	const char *name;
	enum key_type type;
	unsigned flags;
	uint32_t min, max, ours;
	size_t field;			/* offset in struct iscsi_params */
	const char *const *items;	/* KT_LIST: index = value */
};

static const char *const digest_items[] = { "None", "CRC32C", NULL };
/* With one connection all responses are in order: fences are free. */
static const char *const reporting_items[] = {
	"RFC3720", "ResponseFence", NULL
};

#define F(name) offsetof(struct iscsi_params, name)
static const struct key_def keys[] = {
	{ "HeaderDigest", KT_LIST, K_LOGIN, 0, 0, 0, F(header_digest),
	  digest_items },
	{ "DataDigest", KT_LIST, K_LOGIN, 0, 0, 0, F(data_digest),
	  digest_items },
	{ "MaxConnections", KT_MIN, K_LOGIN | K_NORMAL, 1, 65535, 1,
	  F(max_connections), NULL },
	{ "InitialR2T", KT_OR, K_LOGIN | K_NORMAL, 0, 1, 0, F(initial_r2t),
	  NULL },
	{ "ImmediateData", KT_AND, K_LOGIN | K_NORMAL, 0, 1, 1,
	  F(immediate_data), NULL },
	{ "MaxRecvDataSegmentLength", KT_DECLARE, K_LOGIN | K_FULL, 512,
	  (1u << 24) - 1, OUR_RECV_SEGMENT, F(max_send_segment), NULL },
	{ "MaxBurstLength", KT_MIN, K_LOGIN | K_NORMAL, 512, (1u << 24) - 1,
	  1u << 20, F(max_burst), NULL },
	{ "FirstBurstLength", KT_MIN, K_LOGIN | K_NORMAL, 512,
	  (1u << 24) - 1, 262144, F(first_burst), NULL },
	{ "DefaultTime2Wait", KT_MAX, K_LOGIN, 0, 3600, 0, F(time2wait),
	  NULL },
	{ "DefaultTime2Retain", KT_MIN, K_LOGIN, 0, 3600, 0, F(time2retain),
	  NULL },
	{ "MaxOutstandingR2T", KT_MIN, K_LOGIN | K_NORMAL, 1, 65535, 8,
	  F(max_outstanding_r2t), NULL },
	{ "DataPDUInOrder", KT_OR, K_LOGIN | K_NORMAL, 0, 1, 1,
	  F(data_pdu_in_order), NULL },
	{ "DataSequenceInOrder", KT_OR, K_LOGIN | K_NORMAL, 0, 1, 1,
	  F(data_sequence_in_order), NULL },
	{ "ErrorRecoveryLevel", KT_MIN, K_LOGIN, 0, 2, 0,
	  F(error_recovery_level), NULL },
	{ "iSCSIProtocolLevel", KT_MIN, K_LOGIN, 0, 31, 2,
	  F(protocol_level), NULL },
	{ "TaskReporting", KT_LIST, K_LOGIN | K_NORMAL, 0, 0, 0,
	  F(task_reporting), reporting_items },
	{ "IFMarker", KT_MARKER, K_LOGIN, 0, 0, 0, 0, NULL },
	{ "OFMarker", KT_MARKER, K_LOGIN, 0, 0, 0, 0, NULL },
	{ "IFMarkInt", KT_MARK_INT, K_LOGIN, 0, 0, 0, 0, NULL },
	{ "OFMarkInt", KT_MARK_INT, K_LOGIN, 0, 0, 0, 0, NULL },
	{ "X#NodeArchitecture", KT_INFO, K_LOGIN | K_FULL, 0, 0, 0, 0, NULL },
};
_Static_assert(nitems(keys) <= 64, "seen is a 64-bit mask");

const struct iscsi_params iscsi_params_default = {
	.max_connections = 1,
	.initial_r2t = 1,
	.immediate_data = 1,
	.max_recv_segment = 8192,
	.max_send_segment = 8192,
	.max_burst = 262144,
	.first_burst = 65536,
	.time2wait = 2,
	.time2retain = 20,
	.max_outstanding_r2t = 1,
	.data_pdu_in_order = 1,
	.data_sequence_in_order = 1,
	.protocol_level = 1,
};

static uint32_t *
param(struct iscsi_params *params, const struct key_def *def)
{
	void *field = (char *)params + def->field;

	assert(def->field % sizeof(uint32_t) == 0);
	assert(def->field < sizeof(*params));
	return field;
}

static void
negotiate_list(const struct key_def *def, const char *value, uint32_t *result,
    struct text_out *answer)
{
	char item[64];

	while (text_list_next(&value, item, sizeof(item))) {
		for (uint32_t i = 0; def->items[i] != NULL; i++) {
			if (strcmp(item, def->items[i]) != 0)
				continue;
			*result = i;
			text_put(answer, def->name, "%s", item);
			return;
		}
	}
	text_put(answer, def->name, "Reject");
}

static void
negotiate_bool(const struct key_def *def, const char *value, uint32_t *result,
    struct text_out *answer)
{
	uint32_t offer = strcmp(value, "Yes") == 0;

	assert(def->ours <= 1);
	if (!offer && strcmp(value, "No") != 0) {
		text_put(answer, def->name, "Reject");
		return;
	}
	*result = def->type == KT_AND ? offer & def->ours : offer | def->ours;
	text_put(answer, def->name, "%s", *result ? "Yes" : "No");
}

static void
negotiate_number(const struct key_def *def, const char *value,
    uint32_t *result, struct text_out *answer)
{
	uint64_t offer;
	uint32_t n;

	if (!text_number(value, &offer) || offer < def->min ||
	    offer > def->max) {
		text_put(answer, def->name, "Reject");
		return;
	}
	n = (uint32_t)offer;
	if (def->type == KT_DECLARE) {
		*result = n;
		n = def->ours;
	} else {
		n = def->type == KT_MIN ? MIN(n, def->ours) :
		    MAX(n, def->ours);
		*result = n;
	}
	assert(n >= def->min && n <= def->max);
	text_put(answer, def->name, "%u", n);
}

static void
negotiate(struct negotiation *n, const struct key_def *def, const char *value,
    struct text_out *answer)
{
	switch (def->type) {
	case KT_LIST:
		negotiate_list(def, value, param(&n->params, def), answer);
		return;
	case KT_AND:
	case KT_OR:
		negotiate_bool(def, value, param(&n->params, def), answer);
		return;
	case KT_DECLARE:
		n->params.max_recv_segment = def->ours;
		/* FALLTHROUGH */
	case KT_MIN:
	case KT_MAX:
		negotiate_number(def, value, param(&n->params, def), answer);
		return;
	case KT_MARKER:
		text_put(answer, def->name, "No");
		return;
	case KT_MARK_INT:
		text_put(answer, def->name, "Reject");
		return;
	case KT_INFO:
		return;
	}
}

bool
key_is_reply(const char *value)
{
	return strcmp(value, "Irrelevant") == 0 ||
	    strcmp(value, "NotUnderstood") == 0 ||
	    strcmp(value, "Reject") == 0;
}

static const struct key_def *
key_find(const char *name)
{
	for (size_t i = 0; i < nitems(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

enum key_result
key_negotiate(struct negotiation *n, const char *key, const char *value,
    struct text_out *answer)
{
	const struct key_def *def = key_find(key);
	uint64_t bit;

	if (def == NULL)
		return KEY_OTHER;
	if (key_is_reply(value))
		return KEY_DONE;
	if (n->phase == PHASE_FULL_FEATURE && (def->flags & K_FULL) == 0) {
		/* RFC 7143 13: login only */
		text_put(answer, key, "Reject");
		return KEY_DONE;
	}
	bit = 1ull << (def - keys);
	if (n->phase != PHASE_FULL_FEATURE && (n->seen & bit) != 0)
		return KEY_ERROR;	/* RFC 7143 6.3: once per login */
	n->seen |= bit;
	if (n->discovery && (def->flags & K_NORMAL) != 0) {
		text_put(answer, key, "Irrelevant");
		return KEY_DONE;
	}
	negotiate(n, def, value, answer);
	return KEY_DONE;
}

void
keys_settle(struct iscsi_params *params)
{
	if (params->first_burst > params->max_burst)
		params->first_burst = params->max_burst;
	assert(params->max_connections == 1);
	assert(params->error_recovery_level == 0);
	assert(params->data_pdu_in_order && params->data_sequence_in_order);
	assert(params->max_send_segment >= 512);
}
