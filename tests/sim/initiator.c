/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripted initiator.
 *
 * Life of a connection: CONNECTING -> SECURITY -> OPERATIONAL -> FULL, and to
 * DOWN from anywhere.  After a loss the writes in flight stay in flight for
 * the model until the next login has ended: only then does RFC 7143 6.3.5
 * (session reinstatement) promise that the old session's tasks are gone.
 *
 * Invariants: a task is owned by one command until its status arrives or the
 * session is reinstated; CmdSN never passes MaxCmdSN.
 */
#include "tests/sim/initiator_priv.h"

#include <assert.h>
#include <isa-l.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_MAX ((size_t)256 * 1024)
#define HANG_NS (300 * NSEC_PER_SEC)

static void connect_soon(struct initiator *ini);

static bool
sn_before(uint32_t a, uint32_t b)	/* RFC 1982 */
{
	return (int32_t)(a - b) < 0;
}

/* --- sending --- */

struct wire_out
pdu_begin(uint8_t bhs[BHS], unsigned opcode, unsigned flags, uint64_t lun,
    uint32_t itt)
{
	struct wire_out out;

	memset(bhs, 0, BHS);
	out = wire_out(bhs, BHS);
	put_u8(&out, (uint8_t)opcode);
	put_u8(&out, (uint8_t)flags);
	put_zero(&out, 6);
	put_be16(&out, (uint16_t)lun);
	put_zero(&out, 6);
	put_be32(&out, itt);
	return out;
}

static const uint8_t pad[4];

/* CRC32C as it stands on the wire (RFC 7143 13.1), over data and padding. */
static void
digest(const uint8_t *data, size_t len, uint8_t sum[DIGEST])
{
	struct wire_out out = wire_out(sum, DIGEST);
	unsigned char *p = (unsigned char *)(uintptr_t)data;
	unsigned char *zero = (unsigned char *)(uintptr_t)pad;
	uint32_t crc = crc32_iscsi(p, (int)len, 0xffffffff);

	if (len % 4 != 0)
		crc = crc32_iscsi(zero, 4 - (int)(len % 4), crc);
	put_le32(&out, ~crc);
}

void
pdu_send(struct initiator *ini, uint8_t bhs[BHS], const void *data, size_t len)
{
	struct wire_out out = wire_out(bhs + 5, 3);
	bool full = ini->state == FULL;
	uint8_t sum[DIGEST];

	put_be24(&out, (uint32_t)len);
	sim_conn_send(ini->conn, bhs, BHS);
	digest(bhs, BHS, sum);
	if (full && ini->header_digest)
		sim_conn_send(ini->conn, sum, DIGEST);
	if (len == 0)
		return;
	sim_conn_send(ini->conn, data, len);
	sim_conn_send(ini->conn, pad, (4 - len % 4) % 4);
	digest(data, len, sum);
	if (full && ini->data_digest)
		sim_conn_send(ini->conn, sum, DIGEST);
}

void
put_sns(struct initiator *ini, struct wire_out *out)
{
	put_be32(out, ini->cmd_sn);
	put_be32(out, ini->exp_stat_sn);
}

/* The old session's tasks have ended, one way or the other. */
static void
bury_orphans(struct initiator *ini)
{
	for (unsigned i = 0; i < TASKS; i++) {
		struct task *t = &ini->task[i];

		if (!t->busy || !t->orphan)
			continue;
		if (t->kind == TASK_WRITE)
			model_write_end(t->lun->model, t->write, false, false);
		t->busy = false;
	}
}

/* --- commands --- */

static struct task *
find_task(struct initiator *ini, uint32_t itt)
{
	for (unsigned i = 0; i < TASKS; i++)
		if (ini->task[i].busy && !ini->task[i].orphan &&
		    ini->task[i].itt == itt)
			return &ini->task[i];
	return NULL;
}

static uint32_t
draw_blocks(struct initiator *ini, const struct initiator_lun *lun)
{
	struct rng *rng = ini->rng;
	uint64_t stripe = MAX(lun->stripe / lun->block, (uint64_t)1);
	uint64_t n, max = MIN(DATA_MAX, model_sectors(lun->model) * 512) /
	    lun->block;

	switch (rng_below(rng, 5)) {
	case 0:
		n = 1;
		break;
	case 1:
		n = 4096 / lun->block;
		break;
	case 2:
		n = stripe * rng_range(rng, 1, 2);
		break;
	default:
		n = rng_range(rng, 1, 64);
		break;
	}
	return (uint32_t)MIN(n, max);
}

static void
draw_place(struct initiator *ini, struct task *t)
{
	const struct initiator_lun *lun = t->lun;
	uint32_t blocks = draw_blocks(ini, lun), per = lun->block / 512;
	uint64_t total = model_sectors(lun->model) / per;
	uint64_t span = rng_one_in(ini->rng, 2) ? MIN(total,
	    (uint64_t)1024) : total;
	uint64_t lba = rng_below(ini->rng, MAX(span, (uint64_t)blocks) -
	    blocks + 1);

	t->len = blocks * lun->block;
	t->lba = lba * per;
	t->n = (uint64_t)blocks * per;
}

static void
draw_task(struct initiator *ini, struct task *t)
{
	uint64_t dice = rng_below(ini->rng, 100);

	t->lun = &ini->lun[rng_below(ini->rng, ini->nluns)];
	t->len = 0;
	t->fua = false;
	t->kind = TASK_OTHER;
	draw_place(ini, t);
	if (dice < 40) {
		t->kind = TASK_READ;
	} else if (dice < 88) {
		t->write = model_write(t->lun->model, MODEL_DATA, t->lba,
		    t->n);
		t->kind = t->write != 0 ? TASK_WRITE : TASK_SYNC;
		t->fua = rng_one_in(ini->rng, 6);
	} else if (dice < 97) {
		t->kind = TASK_SYNC;
	}
	if (t->kind == TASK_WRITE)
		model_fill(t->lun->model, t->write, t->lba, t->n, t->buf);
	else if (t->kind == TASK_READ)
		t->token = model_read(t->lun->model);
	else if (t->kind == TASK_SYNC)
		t->token = model_flush(t->lun->model);
	if (t->kind == TASK_SYNC || t->kind == TASK_OTHER)
		t->len = 0;
}

/* READ and WRITE (10) or (16), SYNCHRONIZE CACHE (10), TEST UNIT READY. */
static void
encode_cdb(struct initiator *ini, const struct task *t, uint8_t cdb[16])
{
	struct wire_out out = wire_out(cdb, 16);
	bool wide = rng_one_in(ini->rng, 2);
	bool is_read = t->kind == TASK_READ;
	uint64_t lba = t->lba * 512 / t->lun->block;
	uint32_t blocks = t->len / t->lun->block;

	memset(cdb, 0, 16);
	if (t->kind == TASK_OTHER)
		return;
	if (t->kind == TASK_SYNC) {
		put_u8(&out, 0x35);
		return;
	}
	put_u8(&out, wide ? (is_read ? 0x88 : 0x8a) : (is_read ? 0x28 : 0x2a));
	put_u8(&out, t->fua ? 0x08 : 0);
	put_be(&out, lba, wide ? 8 : 4);
	if (!wide)
		put_zero(&out, 1);
	put_be(&out, blocks, wide ? 4 : 2);
}

/* Data-Out PDUs for [off, off + len) of the task's data. */
static void
send_data_out(struct initiator *ini, const struct task *t, uint32_t ttt,
    uint32_t off, uint32_t len)
{
	uint32_t sn = 0;

	while (len > 0) {
		uint32_t part = MIN(len, ini->max_segment);
		uint8_t bhs[BHS];
		struct wire_out out = pdu_begin(bhs, DATA_OUT,
		    part == len ? FINAL : 0, t->lun->lun, t->itt);

		put_be32(&out, ttt);
		put_zero(&out, 4);
		put_be32(&out, ini->exp_stat_sn);
		put_zero(&out, 4);
		put_be32(&out, sn++);
		put_be32(&out, off);
		pdu_send(ini, bhs, t->buf + off, part);
		off += part;
		len -= part;
	}
}

static void
send_command(struct initiator *ini, struct task *t)
{
	uint32_t limit = MIN(t->len, ini->first_burst), now = 0;
	unsigned flags = 0x01;			/* simple */
	uint8_t bhs[BHS];
	struct wire_out out;
	bool unsolicited;

	if (t->kind == TASK_READ)
		flags |= 0x40;
	if (t->kind == TASK_WRITE) {
		flags |= 0x20;
		if (ini->immediate)
			now = MIN(limit, ini->max_segment);
	}
	unsolicited = t->kind == TASK_WRITE && !ini->initial_r2t &&
	    now < limit;
	if (!unsolicited)
		flags |= FINAL;
	out = pdu_begin(bhs, SCSI_COMMAND, flags, t->lun->lun, t->itt);
	put_be32(&out, t->len);
	put_sns(ini, &out);
	ini->cmd_sn++;
	encode_cdb(ini, t, bhs + 32);
	sim_trace(ini->sim, "%s: command %02x itt %u lun %u lba %llu+%llu #%u",
	    ini->from, bhs[32], t->itt, t->lun->lun,
	    (unsigned long long)t->lba, (unsigned long long)t->n,
	    t->kind == TASK_WRITE ? t->write : 0);
	pdu_send(ini, bhs, t->buf, now);
	if (unsolicited)
		send_data_out(ini, t, NO_TAG, now, limit - now);
}

static void
send_commands(struct initiator *ini)
{
	unsigned busy = 0;

	for (unsigned i = 0; i < TASKS; i++)
		busy += ini->task[i].busy;
	for (unsigned i = 0; i < TASKS && busy < ini->depth; i++) {
		struct task *t = &ini->task[i];

		if (ini->state != FULL || ini->budget == 0 ||
		    ini->nluns == 0 ||
		    sn_before(ini->max_cmd_sn, ini->cmd_sn))
			return;
		if (t->busy)
			continue;
		t->busy = true;
		t->orphan = t->aborting = false;
		t->got = t->data_sn = 0;
		t->itt = ini->next_itt++;
		t->start_ns = sim_now(ini->sim);
		draw_task(ini, t);
		ini->budget--;
		ini->commands++;
		busy++;
		send_command(ini, t);
	}
}

static void
send_abort(struct initiator *ini, struct task *t)
{
	uint8_t bhs[BHS];
	struct wire_out out;

	t->aborting = true;
	t->abort_itt = ini->next_itt++;
	sim_trace(ini->sim, "%s: abort itt %u", ini->from, t->itt);
	out = pdu_begin(bhs, TMF_REQUEST | IMMEDIATE, FINAL | 1,
	    t->lun->lun, t->abort_itt);
	put_be32(&out, t->itt);
	put_sns(ini, &out);
	put_be32(&out, ini->cmd_sn);
	pdu_send(ini, bhs, NULL, 0);
}

/* --- what comes back --- */

/* A status, or an abort, has ended the task. */
static void
end_task(struct initiator *ini, struct task *t, bool ok)
{
	struct model *model = t->lun->model;

	switch (t->kind) {
	case TASK_READ:
		sim_check(ini->sim, !ok || t->got == t->len, "%s: READ gets "
		    "%u of %u bytes", ini->name, t->got, t->len);
		model_read_end(model, t->token, t->lba, t->n,
		    ok ? t->buf : NULL);
		break;
	case TASK_WRITE:
		model_write_end(model, t->write, ok,
		    t->fua || t->lun->durable);
		break;
	case TASK_SYNC:
		if (ok)
			model_flush_end(model, t->token);
		break;
	case TASK_OTHER:
		break;
	}
	t->busy = false;
	if (!ini->unsteady)
		return;
	for (unsigned i = 0; i < TASKS; i++)
		if (ini->task[i].busy && !ini->task[i].orphan &&
		    !ini->task[i].aborting && rng_one_in(ini->rng, 60))
			send_abort(ini, &ini->task[i]);
}

static bool
status_ok(struct initiator *ini, unsigned status, const uint8_t *data,
    size_t len)
{
	unsigned key = len >= 5 ? data[4] & 0x0fu : 0;

	if (status == 0x00)
		return true;
	if (status == 0x02) {
		unsigned code = len >= 3 ? data[2] & 0x7fu : 0;

		if (code == 0x72 || code == 0x73)	/* descriptor */
			key = data[3] & 0x0fu;
		sim_trace(ini->sim, "%s: CHECK CONDITION, key %x", ini->from,
		    key);
		/* Unit attention, aborted command. */
		if (key == 0x6 || key == 0xb)
			return false;
	}
	sim_check(ini->sim, status == 0x08 || status == 0x28 ||
	    status == 0x40 || ini->errors_ok,
	    "%s: status %02x, sense key %x", ini->name, status, key);
	return false;
}

static void
scsi_response(struct initiator *ini, const uint8_t bhs[BHS],
    const uint8_t *data, size_t len)
{
	struct wire_in in = wire_in(bhs + 16, 4);
	uint32_t itt = get_be32(&in);
	struct task *t = find_task(ini, itt);
	bool ok;

	sim_check(ini->sim, t != NULL, "%s: response for no task %u",
	    ini->name, itt);
	ok = bhs[2] == 0 && status_ok(ini, bhs[3], data, len);
	sim_check(ini->sim, !ok || (bhs[1] & 0x06) == 0,
	    "%s: residual after GOOD", ini->name);
	sim_trace(ini->sim, "%s: itt %u ends with status %02x", ini->from,
	    itt, bhs[3]);
	end_task(ini, t, ok);
}

static void
data_in(struct initiator *ini, const uint8_t bhs[BHS], const uint8_t *data,
    size_t len)
{
	struct wire_in in = wire_in(bhs + 16, 4), rest = wire_in(bhs + 36, 8);
	uint32_t itt = get_be32(&in), sn = get_be32(&rest);
	uint32_t off = get_be32(&rest);
	struct task *t = find_task(ini, itt);

	sim_check(ini->sim, t != NULL && t->kind == TASK_READ,
	    "%s: data for no read", ini->name);
	sim_check(ini->sim, sn == t->data_sn && off == t->got &&
	    len <= t->len - t->got, "%s: Data-In %u at %u+%zu, expected %u at "
	    "%u", ini->name, sn, off, len, t->data_sn, t->got);
	memcpy(t->buf + off, data, len);
	t->got += (uint32_t)len;
	t->data_sn++;
	if ((bhs[1] & 0x01) != 0) {		/* with status */
		sim_check(ini->sim, bhs[3] == 0, "%s: Data-In with status "
		    "%02x", ini->name, bhs[3]);
		end_task(ini, t, true);
	}
}

static void
r2t(struct initiator *ini, const uint8_t bhs[BHS])
{
	struct wire_in in = wire_in(bhs + 16, 32);
	uint32_t itt = get_be32(&in), ttt = get_be32(&in), off, len;
	struct task *t = find_task(ini, itt);

	get_skip(&in, 16);
	off = get_be32(&in);
	len = get_be32(&in);
	sim_check(ini->sim, t != NULL && t->kind == TASK_WRITE && len > 0 &&
	    range_ok(off, len, t->len), "%s: R2T for %u+%u of task %u",
	    ini->name, off, len, itt);
	send_data_out(ini, t, ttt, off, len);
}

static void
tmf_response(struct initiator *ini, const uint8_t bhs[BHS])
{
	struct wire_in in = wire_in(bhs + 16, 4);
	uint32_t itt = get_be32(&in);

	for (unsigned i = 0; i < TASKS; i++) {
		struct task *t = &ini->task[i];

		if (!t->busy || t->orphan || !t->aborting ||
		    t->abort_itt != itt)
			continue;
		sim_trace(ini->sim, "%s: itt %u aborted: %u", ini->from,
		    t->itt, bhs[2]);
		end_task(ini, t, false);
		return;
	}
}

static void
nop_in(struct initiator *ini, const uint8_t bhs[BHS])
{
	struct wire_in in = wire_in(bhs + 20, 4);
	uint32_t ttt = get_be32(&in);
	uint8_t reply[BHS];
	struct wire_out out;

	if (ttt == NO_TAG)
		return;
	out = pdu_begin(reply, NOP_OUT | IMMEDIATE, FINAL, 0, NO_TAG);
	memcpy(reply + 8, bhs + 8, 8);
	put_be32(&out, ttt);
	put_sns(ini, &out);
	pdu_send(ini, reply, NULL, 0);
}

/* RFC 7143 4.2.2: StatSN goes up by one for each status, and only then. */
static void
check_sns(struct initiator *ini, const uint8_t bhs[BHS])
{
	struct wire_in in = wire_in(bhs + 16, 4), sns = wire_in(bhs + 24, 12);
	uint32_t itt = get_be32(&in), stat_sn = get_be32(&sns);
	uint32_t exp = get_be32(&sns), max = get_be32(&sns);
	unsigned opcode = bhs[0] & 0x3fu;
	bool carries = opcode != R2T && !(opcode == NOP_IN && itt == NO_TAG) &&
	    !(opcode == DATA_IN && (bhs[1] & 0x01) == 0);

	if (carries) {
		sim_check(ini->sim, stat_sn == ini->exp_stat_sn,
		    "%s: StatSN %u, expected %u, opcode %02x", ini->name,
		    stat_sn, ini->exp_stat_sn, opcode);
		ini->exp_stat_sn++;
	}
	sim_check(ini->sim, !sn_before(ini->cmd_sn, exp), "%s: ExpCmdSN %u, "
	    "but CmdSN is %u", ini->name, exp, ini->cmd_sn);
	if (sn_before(ini->max_cmd_sn, max))
		ini->max_cmd_sn = max;
}

static void
hang_up(struct initiator *ini, bool reset)
{
	struct sim_conn *conn = ini->conn;

	if (conn == NULL)
		return;
	ini->conn = NULL;
	ini->state = DOWN;
	ini->in_len = 0;
	sim_conn_free(conn, reset);
	for (unsigned i = 0; i < TASKS; i++) {
		struct task *t = &ini->task[i];

		if (!t->busy || t->orphan)
			continue;
		if (t->kind == TASK_READ)
			model_read_end(t->lun->model, t->token, t->lba, t->n,
			    NULL);
		t->orphan = true;
	}
	connect_soon(ini);
}

static void
pdu_received(struct initiator *ini, const uint8_t bhs[BHS],
    const uint8_t *data, size_t len)
{
	unsigned opcode = bhs[0] & 0x3fu;

	if (opcode != LOGIN_RESPONSE) {
		sim_check(ini->sim, ini->state == FULL, "%s: opcode %02x in "
		    "state %d", ini->name, opcode, (int)ini->state);
		check_sns(ini, bhs);
	}
	switch (opcode) {
	case LOGIN_RESPONSE:
		if (login_response(ini, bhs, data, len)) {
			bury_orphans(ini);
			send_commands(ini);
		}
		return;
	case SCSI_RESPONSE:
		scsi_response(ini, bhs, data, len);
		break;
	case DATA_IN:
		data_in(ini, bhs, data, len);
		break;
	case R2T:
		r2t(ini, bhs);
		break;
	case NOP_IN:
		nop_in(ini, bhs);
		break;
	case TMF_RESPONSE:
		tmf_response(ini, bhs);
		break;
	case ASYNC:
		hang_up(ini, false);
		return;
	default:
		sim_fail(ini->sim, "%s: opcode %02x, byte 2 %02x", ini->name,
		    opcode, bhs[2]);
	}
	if (ini->unsteady && rng_one_in(ini->rng, 300))
		hang_up(ini, rng_one_in(ini->rng, 2));
	else
		send_commands(ini);
}

/* --- the connection --- */

static void
on_connected(void *arg)
{
	struct initiator *ini = arg;

	ini->cmd_sn = (uint32_t)rng_next(ini->rng);
	ini->exp_stat_sn = 0;
	ini->max_segment = 8192;	/* RFC 7143 13.12: defaults */
	ini->first_burst = 65536;
	ini->initial_r2t = ini->immediate = true;
	ini->header_digest = ini->data_digest = false;
	send_security(ini);
}

/* Of the PDU at the start of the input. */
static void
check_digests(struct initiator *ini, size_t dlen, size_t head, size_t total)
{
	uint8_t sum[DIGEST];

	digest(ini->in, BHS, sum);
	sim_check(ini->sim, head == BHS || memcmp(sum, ini->in + BHS,
	    DIGEST) == 0, "%s: wrong header digest", ini->name);
	digest(ini->in + head, dlen, sum);
	sim_check(ini->sim, total == head + (dlen + 3) / 4 * 4 ||
	    memcmp(sum, ini->in + total - DIGEST, DIGEST) == 0,
	    "%s: wrong data digest", ini->name);
}

static void
on_data(void *arg, const uint8_t *data, size_t len)
{
	struct initiator *ini = arg;
	struct sim_conn *conn = ini->conn;

	if (ini->in_len + len > ini->in_room) {
		ini->in_room = 2 * (ini->in_len + len);
		ini->in = realloc(ini->in, ini->in_room);
		if (ini->in == NULL)
			sim_fail(ini->sim, "no memory");
	}
	memcpy(ini->in + ini->in_len, data, len);
	ini->in_len += len;
	while (ini->conn == conn && ini->in_len >= BHS) {
		struct wire_in in = wire_in(ini->in + 5, 3);
		bool full = ini->state == FULL;
		size_t head = BHS + (full && ini->header_digest) * DIGEST;
		size_t dlen = get_be24(&in);
		size_t total = head + (dlen + 3) / 4 * 4 +
		    (full && ini->data_digest && dlen > 0) * DIGEST;

		sim_check(ini->sim, ini->in[4] == 0, "%s: an AHS", ini->name);
		if (ini->in_len < total)
			return;
		check_digests(ini, dlen, head, total);
		pdu_received(ini, ini->in, ini->in + head, dlen);
		if (ini->conn != conn)
			return;		/* hung up meanwhile */
		ini->in_len -= total;
		memmove(ini->in, ini->in + total, ini->in_len);
	}
}

static void
on_closed(void *arg)
{
	hang_up(arg, false);
}

static const struct sim_conn_ops conn_ops = {
	.connected = on_connected, .data = on_data, .closed = on_closed,
};

static void
connect_now(void *arg)
{
	struct initiator *ini = arg;

	ini->waiting = false;
	if (ini->stopped || ini->conn != NULL)
		return;
	ini->state = CONNECTING;
	ini->conn = sim_connect(ini->sim, ini->port, ini->from, &conn_ops,
	    ini);
	sim_conn_dribble(ini->conn, rng_one_in(ini->rng, 16));
}

static void
connect_soon(struct initiator *ini)
{
	if (ini->waiting || ini->stopped)
		return;
	ini->waiting = true;
	sim_after(ini->sim, rng_range(ini->rng, 1, 200), connect_now, ini);
}

/* --- the scenario's calls --- */

struct initiator *
initiator_new(struct sim *sim, struct rng *rng, unsigned number,
    const char *target, uint16_t port)
{
	struct initiator *ini = calloc(1, sizeof(*ini));

	if (ini == NULL)
		sim_fail(sim, "no memory");
	ini->sim = sim;
	ini->rng = rng;
	ini->port = port;
	ini->next_itt = 2;
	ini->isid[0] = 0x80;
	ini->isid[5] = (uint8_t)number;
	snprintf(ini->name, sizeof(ini->name), "iqn.2024-01.sim:i%u", number);
	snprintf(ini->from, sizeof(ini->from), "192.0.2.%u", 100 + number);
	snprintf(ini->target, sizeof(ini->target), "%s", target);
	for (unsigned i = 0; i < TASKS; i++) {
		ini->task[i].buf = malloc(DATA_MAX);
		if (ini->task[i].buf == NULL)
			sim_fail(sim, "no memory");
	}
	return ini;
}

void
initiator_set_luns(struct initiator *ini, const struct initiator_lun *luns,
    unsigned n)
{
	assert(n <= INITIATOR_LUNS);
	memcpy(ini->lun, luns, n * sizeof(luns[0]));
	ini->nluns = n;
}

void
initiator_start(struct initiator *ini, uint64_t budget, unsigned depth)
{
	assert(depth > 0 && depth <= TASKS);
	ini->budget = budget;
	ini->depth = depth;
	ini->stopped = false;
	if (ini->conn == NULL)
		connect_soon(ini);
	else
		send_commands(ini);
}

bool
initiator_done(struct initiator *ini)
{
	bool busy = false;

	for (unsigned i = 0; i < TASKS; i++) {
		const struct task *t = &ini->task[i];

		if (!t->busy)
			continue;
		busy = true;
		sim_check(ini->sim, sim_now(ini->sim) - t->start_ns < HANG_NS,
		    "%s: task %u on lun %u hangs", ini->name, t->itt,
		    t->lun->lun);
	}
	return !busy && ini->budget == 0;
}

void
initiator_errors_ok(struct initiator *ini)
{
	ini->errors_ok = true;
}

void
initiator_be_unsteady(struct initiator *ini)
{
	ini->unsteady = true;
}

void
initiator_crash(struct initiator *ini)
{
	hang_up(ini, true);
	for (unsigned i = 0; i < TASKS; i++)
		ini->task[i].busy = false;
}

void
initiator_stop(struct initiator *ini)
{
	ini->stopped = true;
	ini->budget = 0;
	initiator_crash(ini);
}

uint64_t
initiator_commands(const struct initiator *ini)
{
	return ini->commands;
}
