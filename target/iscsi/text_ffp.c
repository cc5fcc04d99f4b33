/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text requests in full feature phase: SendTargets and renegotiation of
 * MaxRecvDataSegmentLength.  Answers longer than the initiator takes in one
 * PDU are sent in pieces with the C bit (RFC 7143 11.10, 11.11).
 *
 * Invariants: at most one answer is pending per connection (text_out); its
 * size depends on our own configuration only, never on the peer.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target/iscsi/iscsi_priv.h"

#define LOG_AREA LOG_ISCSI
#include "core/log.h"

#define ANSWER_MIN 4096u
#define ANSWER_MAX (4u << 20)
#define PIECE_MAX 65536u

static void
put_target(const struct conn *conn, const char *name, struct text_out *out)
{
	text_put(out, "TargetName", "%s", name);
	portal_addresses(conn, out);
}

/* All targets on which this initiator has LUNs. */
static void
put_all(const struct conn *conn, struct text_out *out)
{
	const struct access *access = conn->server->access;
	struct access_who who = { conn->session->initiator, &conn->peer,
	    NULL };

	for (unsigned i = 0; i < access->ntargets; i++)
		if (access_need(access, &who, (int)i).any)
			put_target(conn, access->targets[i].name, out);
}

static void
send_targets(const struct conn *conn, const char *value, struct text_out *out)
{
	const struct access *access = conn->server->access;
	const struct session *session = conn->session;
	struct access_who who = { session->initiator, &conn->peer, NULL };
	int target;

	if (strcmp(value, "All") == 0) {
		put_all(conn, out);
		return;
	}
	if (value[0] == '\0') {
		if (session->discovery)
			text_put(out, "SendTargets", "Reject");
		else
			put_target(conn, session->tgt->name, out);
		return;
	}
	target = access_target(access, value);
	if (target >= 0 && access_need(access, &who, target).any)
		put_target(conn, access->targets[target].name, out);
}

static bool
answer_pair(struct conn *conn, struct negotiation *n, char *key, char *value,
    struct text_out *out)
{
	if (strcmp(key, "SendTargets") == 0) {
		send_targets(conn, value, out);
		return true;
	}
	switch (key_negotiate(n, key, value, out)) {
	case KEY_DONE:
		return true;
	case KEY_OTHER:
		if (!key_is_reply(value))
			text_put(out, key, "NotUnderstood");
		return true;
	case KEY_ERROR:
		return false;
	}
	return false;
}

/* Answer all pairs of text (which is changed); false: bad text. */
static bool
answer_all(struct conn *conn, char *text, size_t len, struct text_out *out)
{
	struct text_in in = { text, text + len };
	struct negotiation n = { .params = conn->params,
	    .discovery = conn->session->discovery,
	    .phase = PHASE_FULL_FEATURE };
	char *key, *value;
	int res;

	while ((res = text_next(&in, &key, &value)) == 1)
		if (!answer_pair(conn, &n, key, value, out))
			return false;
	if (res == 0)
		conn->params = n.params;
	return res == 0;
}

/*
 * Build the answer to what has been collected, in as much memory as it takes.
 * text_next() cuts the text apart, so each try starts from a copy.
 */
static const char *
build(struct conn *conn)
{
	struct stream *stream = conn->stream;
	const struct text_acc *acc = &stream->text_in;
	char *copy = malloc(acc->len + 1);
	struct text_out out = { .full = true };
	const char *fault = NULL;
	size_t size = ANSWER_MIN;

	for (; copy != NULL && out.full && fault == NULL; size *= 2) {
		free(out.buf);
		out = (struct text_out){ .buf = malloc(size), .size = size };
		if (acc->len > 0)
			memcpy(copy, acc->buf, acc->len);
		if (out.buf == NULL || size > ANSWER_MAX)
			fault = "no memory for a text answer";
		else if (!answer_all(conn, copy, acc->len, &out))
			fault = "text is not key=value";
	}
	if (copy == NULL)
		fault = "no memory for text";
	free(copy);
	free(stream->text_out);
	stream->text_out = out.buf;
	stream->text_len = fault == NULL ? out.len : 0;
	stream->text_off = 0;
	return fault;
}

/* The next piece of the answer. */
static void
put_piece(struct conn *conn, struct ctl *ctl)
{
	struct stream *stream = conn->stream;
	size_t left = stream->text_len - stream->text_off;
	size_t len = MIN(left, MIN(conn->params.max_send_segment, PIECE_MAX));

	assert(stream->text_off <= stream->text_len);
	assert(stream->text_out != NULL && ctl->heap == NULL);
	if (len > 0) {
		ctl->heap = malloc(len);
		if (ctl->heap == NULL) {
			conn_fail(conn, "no memory for a text answer");
			return;
		}
		memcpy(ctl->heap, stream->text_out + stream->text_off, len);
	}
	stream->text_off += len;
	ctl->out.data_len = (uint32_t)len;
	if (len < left) {
		ctl->out.flags = TEXT_C;
		ctl->out.ttt = ++stream->text_ttt & 0x7fffffff;
		return;
	}
	free(stream->text_out);
	stream->text_out = NULL;
	stream->text_len = stream->text_off = 0;
}

bool
control_text(struct conn *conn, const struct pdu *pdu, const uint8_t *data)
{
	struct stream *stream = conn->stream;
	struct ctl *ctl = ctl_get(conn, OP_TEXT_RESPONSE, SN_TAKE);
	const char *fault = NULL;

	if (ctl == NULL)
		return false;
	assert(stream->text_in.len <= TEXT_MAX);
	ctl->out.itt = pdu->itt;
	memcpy(ctl->out.lun, pdu->lun, sizeof(pdu->lun));
	if (pdu->ttt != TAG_NONE && stream->text_out != NULL &&
	    pdu->data_len == 0) {
		put_piece(conn, ctl);		/* "go on" */
	} else if (text_acc_add(&stream->text_in, data, pdu->data_len) != 0) {
		fault = "text too long";
	} else if ((pdu->flags & TEXT_C) != 0) {
		ctl->out.flags = 0;
		ctl->out.ttt = ++stream->text_ttt & 0x7fffffff;
	} else {
		fault = build(conn);
		text_acc_reset(&stream->text_in);
		if (fault == NULL)
			put_piece(conn, ctl);
	}
	if (fault != NULL)
		conn_fail(conn, fault);
	ctl_send(conn, ctl);
	return true;
}
