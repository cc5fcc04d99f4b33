/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The initiator: login, commands, data.
 *
 * What is to be sent is a ring of iovecs that point at headers in conn->pdu
 * and at the tasks' buffers; one sendmsg takes all of it.  What arrives is
 * parsed where it was received; only data that is to be checked is copied.
 */
#include "bench/load.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <isa-l.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	OP_NOP_OUT = 0x00, OP_SCSI_CMD = 0x01, OP_LOGIN = 0x03,
	OP_DATA_OUT = 0x05, OP_IMMEDIATE = 0x40,
	OP_NOP_IN = 0x20, OP_SCSI_RSP = 0x21, OP_LOGIN_RSP = 0x23,
	OP_DATA_IN = 0x25, OP_R2T = 0x31, OP_MASK = 0x3f,
};

#define FLAG_FINAL	0x80u
#define NO_TAG		0xffffffffu
#define TAG_ADMIN	0x7ffffff0u	/* commands before the load starts */

static void
put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void
put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static uint32_t
get24(const uint8_t *p)
{
	return get32(p) >> 8;
}

static uint32_t
crc_more(uint32_t crc, const void *data, size_t len)
{
	return crc32_iscsi((unsigned char *)(uintptr_t)data, (int)len, crc);
}

static void
put_crc(uint8_t *p, uint32_t crc)
{
	crc = ~crc;
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(crc >> 8 * i);
}

static uint32_t
pad4(uint32_t len)
{
	return (4 - len % 4) % 4;
}

/* --- blocking helpers for login and the first commands --- */

static void
write_all(const struct conn *c, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

static bool
read_all(const struct conn *c, void *data, size_t len)
{
	uint8_t *p = data;

	while (len > 0) {
		ssize_t n = recv(c->fd, p, len, 0);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* --- login --- */

static uint32_t
key_number(const char *keys, size_t len, const char *key, uint32_t otherwise)
{
	size_t klen = strlen(key);

	for (const char *p = keys; p < keys + len; p += strlen(p) + 1) {
		if (strncmp(p, key, klen) != 0 || p[klen] != '=')
			continue;
		if (strncmp(p + klen + 1, "Yes", 3) == 0 ||
		    strncmp(p + klen + 1, "CRC32C", 6) == 0)
			return 1;
		return (uint32_t)strtoul(p + klen + 1, NULL, 0);
	}
	return otherwise;
}

static void
learn_keys(struct conn *c, const char *keys, size_t len)
{
	c->max_send = key_number(keys, len, "MaxRecvDataSegmentLength",
	    c->max_send);
	c->first_burst = key_number(keys, len, "FirstBurstLength",
	    c->first_burst);
	c->max_burst = key_number(keys, len, "MaxBurstLength", c->max_burst);
	c->immediate = key_number(keys, len, "ImmediateData",
	    c->immediate) != 0;
	c->initial_r2t = key_number(keys, len, "InitialR2T",
	    c->initial_r2t) != 0;
	c->header_digest = key_number(keys, len, "HeaderDigest",
	    c->header_digest) != 0;
	c->data_digest = key_number(keys, len, "DataDigest",
	    c->data_digest) != 0;
}

static size_t
add_key(char *text, size_t at, size_t size, const char *key, const char *value)
{
	int n = snprintf(text + at, size - at, "%s=%s", key, value);

	if (n < 0 || at + (size_t)n + 1 > size)
		die("login keys too long");
	return at + (size_t)n + 1;
}

static size_t
login_keys(const struct conn *c, bool operational, char *text, size_t size)
{
	const struct load_opts *o = c->opts;
	size_t n = 0;

	if (!operational) {
		char name[64];

		snprintf(name, sizeof(name), "iqn.2026-01.dozo.bench:load%u",
		    c->id);
		n = add_key(text, n, size, "InitiatorName", name);
		n = add_key(text, n, size, "TargetName", o->target);
		n = add_key(text, n, size, "SessionType", "Normal");
		return add_key(text, n, size, "AuthMethod", "None");
	}
	n = add_key(text, n, size, "HeaderDigest",
	    o->header_digest ? "CRC32C" : "None");
	n = add_key(text, n, size, "DataDigest",
	    o->data_digest ? "CRC32C" : "None");
	n = add_key(text, n, size, "ErrorRecoveryLevel", "0");
	n = add_key(text, n, size, "InitialR2T", "No");
	n = add_key(text, n, size, "ImmediateData", "Yes");
	n = add_key(text, n, size, "MaxBurstLength", "1048576");
	n = add_key(text, n, size, "FirstBurstLength", "262144");
	n = add_key(text, n, size, "MaxOutstandingR2T", "8");
	n = add_key(text, n, size, "MaxConnections", "1");
	n = add_key(text, n, size, "MaxRecvDataSegmentLength", "262144");
	n = add_key(text, n, size, "DefaultTime2Wait", "0");
	n = add_key(text, n, size, "DefaultTime2Retain", "0");
	n = add_key(text, n, size, "DataPDUInOrder", "Yes");
	return add_key(text, n, size, "DataSequenceInOrder", "Yes");
}

/* One exchange; returns the stage after it, or false if the peer went away. */
static bool
login_step(struct conn *c, unsigned stage, unsigned *next)
{
	uint8_t pdu[BHS_LEN + 2048] = { OP_LOGIN | OP_IMMEDIATE };
	uint8_t rsp[BHS_LEN];
	char keys[8192];
	size_t len = login_keys(c, stage == 1, (char *)pdu + BHS_LEN, 2048);
	uint32_t rlen;

	*next = stage == 0 ? 1 : 3;
	pdu[1] = (uint8_t)(FLAG_FINAL | stage << 2 | *next);
	put32(pdu + 4, (uint32_t)len);
	/* ISID: random format, one per connection */
	put32(pdu + 8, 0x80d02000u + c->id);
	put32(pdu + 24, c->cmdsn);
	put32(pdu + 28, c->exp_statsn);
	write_all(c, pdu, BHS_LEN + len + pad4((uint32_t)len));
	if (!read_all(c, rsp, sizeof(rsp)))
		return false;
	rlen = get24(rsp + 5);
	if ((rsp[0] & OP_MASK) != OP_LOGIN_RSP || rlen >= sizeof(keys) - 4)
		die("login: odd answer, opcode %02x", rsp[0]);
	if (!read_all(c, keys, rlen + pad4(rlen)))
		return false;
	if (rsp[36] != 0)
		die("login refused: status %02x%02x", rsp[36], rsp[37]);
	keys[rlen] = '\0';
	learn_keys(c, keys, rlen);
	c->exp_statsn = get32(rsp + 24) + 1;
	c->max_cmdsn = get32(rsp + 32);
	if ((rsp[1] & FLAG_FINAL) == 0)
		*next = stage;
	else
		*next = rsp[1] & 3u;
	return true;
}

static bool
try_connect(struct conn *c)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	int one = 1, err;
	unsigned stage = 0;

	err = getaddrinfo(c->opts->host, c->opts->port, &hints, &ai);
	if (err != 0)
		die("%s: %s", c->opts->host, gai_strerror(err));
	c->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		freeaddrinfo(ai);
		close(c->fd);
		return false;
	}
	freeaddrinfo(ai);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->cmdsn = 1;
	c->exp_statsn = 0;
	c->max_send = 8192;
	c->first_burst = 65536;
	c->max_burst = 262144;
	c->immediate = c->initial_r2t = true;
	c->header_digest = c->data_digest = false;
	for (unsigned n = 0; stage != 3; n++) {
		if (n > 16)
			die("login does not end");
		if (!login_step(c, stage, &stage)) {
			close(c->fd);
			return false;
		}
	}
	if (c->opts->header_digest != c->header_digest ||
	    c->opts->data_digest != c->data_digest)
		die("the target did not agree to the digests asked for");
	return true;
}

/* Rings large enough for all that can wait at a time. */
static void
size_rings(struct conn *c)
{
	uint32_t seg = c->max_send < c->max_burst ? c->max_send : c->max_burst;
	uint32_t io_len = c->opts->io_len;
	unsigned per_task;

	if (needs_passes(c->opts) && io_len < PASS_LEN_MAX)
		io_len = PASS_LEN_MAX;
	per_task = io_len / seg + 4;
	c->npdu = c->opts->depth * per_task + 64;
	c->iov_max = c->npdu * 3;
	free(c->pdu);
	free(c->iov);
	c->pdu = calloc(c->npdu, sizeof(*c->pdu));
	c->iov = calloc(c->iov_max, sizeof(*c->iov));
	if (c->pdu == NULL || c->iov == NULL)
		die("out of memory");
	c->pdu_next = c->iov_head = c->iov_tail = 0;
	c->rlen = 0;
	c->data_left = c->tail_left = 0;
	c->data_task = NULL;
	c->closed = false;
}

void
conn_open(struct conn *c, const struct load_opts *opts, unsigned id)
{
	memset(c, 0, sizeof(*c));
	c->opts = opts;
	c->id = id;
	if (!try_connect(c))
		die("%s:%s: cannot connect or log in", opts->host, opts->port);
	c->tasks = calloc(opts->depth, sizeof(*c->tasks));
	c->free = calloc(opts->depth, sizeof(*c->free));
	c->rbuf = aligned_alloc(4096, RECV_LEN);
	if (c->tasks == NULL || c->free == NULL || c->rbuf == NULL)
		die("out of memory");
	for (unsigned i = 0; i < opts->depth; i++)
		c->free[c->nfree++] = opts->depth - 1 - i;
	size_rings(c);
}

void
conn_reopen(struct conn *c)
{
	close(c->fd);
	for (unsigned n = 0; !try_connect(c); n++) {
		if (n > 600)
			die("the target did not come back");
		usleep(100000);
	}
	size_rings(c);
}

void
conn_close(struct conn *c)
{
	close(c->fd);
	free(c->tasks);
	free(c->free);
	free(c->rbuf);
	free(c->pdu);
	free(c->iov);
}

/* --- sending --- */

static void
out(struct conn *c, void *base, size_t len)
{
	if (c->iov_tail == c->iov_max) {
		memmove(c->iov, c->iov + c->iov_head,
		    (c->iov_tail - c->iov_head) * sizeof(*c->iov));
		c->iov_tail -= c->iov_head;
		c->iov_head = 0;
	}
	assert(c->iov_tail < c->iov_max);
	c->iov[c->iov_tail++] = (struct iovec){ base, len };
}

static uint8_t *
pdu_new(struct conn *c)
{
	struct out_pdu *pdu = &c->pdu[c->pdu_next++ % c->npdu];

	memset(pdu->bhs, 0, BHS_LEN);
	return pdu->bhs;
}

/* Seal the header in `bhs` and queue it with its data. */
static void
pdu_queue(struct conn *c, uint8_t *bhs, uint8_t *data, uint32_t len)
{
	struct out_pdu *pdu = (struct out_pdu *)(void *)bhs;

	assert(len % 4 == 0);
	put32(bhs + 4, len);		/* no AHS */
	if (c->header_digest)
		put_crc(bhs + BHS_LEN, crc_more(UINT32_MAX, bhs, BHS_LEN));
	out(c, bhs, BHS_LEN + (c->header_digest ? 4u : 0u));
	if (len == 0)
		return;
	out(c, data, len);
	if (c->data_digest) {
		put_crc(pdu->digest, crc_more(UINT32_MAX, data, len));
		out(c, pdu->digest, 4);
	}
}

/* Queue Data-Out PDUs for [from, to) of a write. */
static void
data_out(struct conn *c, const struct task *task, uint32_t from, uint32_t to,
    uint32_t ttt)
{
	uint32_t tag = (uint32_t)(task - c->tasks), datasn = 0;

	while (from < to) {
		uint32_t n = to - from < c->max_send ? to - from : c->max_send;
		uint8_t *bhs = pdu_new(c);

		bhs[0] = OP_DATA_OUT;
		bhs[1] = from + n == to ? FLAG_FINAL : 0;
		put64(bhs + 8, c->opts->lun << 48);
		put32(bhs + 16, tag);
		put32(bhs + 20, ttt);
		put32(bhs + 28, c->exp_statsn);
		put32(bhs + 36, datasn++);
		put32(bhs + 40, from);
		pdu_queue(c, bhs, task->buf + from, n);
		if (c->data_digest)	/* not after those of all others */
			(void)conn_send(c);
		from += n;
	}
}

bool
conn_ready(const struct conn *c)
{
	return c->nfree > 0 && (int32_t)(c->max_cmdsn - c->cmdsn) >= 0;
}

void
conn_start(struct conn *c, struct task *task)
{
	uint8_t *bhs = pdu_new(c);
	uint32_t imm = 0, first;

	first = task->len < c->first_burst ? task->len : c->first_burst;
	if (task->write && c->immediate)
		imm = first < c->max_send ? first : c->max_send;
	if (c->initial_r2t)
		first = imm;
	bhs[0] = OP_SCSI_CMD;
	bhs[1] = task->write ? 0x21 : 0x41;	/* W or R, simple */
	if (!task->write || first == imm)
		bhs[1] |= FLAG_FINAL;
	put64(bhs + 8, c->opts->lun << 48);
	put32(bhs + 16, (uint32_t)(task - c->tasks));
	put32(bhs + 20, task->len);
	put32(bhs + 24, c->cmdsn++);
	put32(bhs + 28, c->exp_statsn);
	bhs[32] = task->write ? 0x8a : 0x88;	/* WRITE(16), READ(16) */
	bhs[33] = task->write && c->opts->fua ? 0x08 : 0;
	put64(bhs + 34, task->off / SECTOR);
	put32(bhs + 42, task->len / SECTOR);
	task->got = 0;
	pdu_queue(c, bhs, task->buf, imm);
	if (task->write && first > imm)
		data_out(c, task, imm, first, NO_TAG);
}

bool
conn_send(struct conn *c)
{
	while (c->iov_head < c->iov_tail && !c->closed) {
		unsigned n = c->iov_tail - c->iov_head;
		struct msghdr msg = { .msg_iov = c->iov + c->iov_head,
			.msg_iovlen = n < 1024 ? n : 1024 };
		ssize_t sent = sendmsg(c->fd, &msg,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN)
			return false;
		if (sent < 0 && c->opts->survive) {
			c->closed = true;
			return true;
		}
		if (sent < 0)
			die("send: %s", strerror(errno));
		while (sent > 0) {
			struct iovec *iov = &c->iov[c->iov_head];

			if ((size_t)sent < iov->iov_len) {
				iov->iov_base = (uint8_t *)iov->iov_base + sent;
				iov->iov_len -= (size_t)sent;
				break;
			}
			sent -= (ssize_t)iov->iov_len;
			c->iov_head++;
		}
	}
	if (c->iov_head == c->iov_tail)
		c->iov_head = c->iov_tail = 0;
	return true;
}

/* --- receiving --- */

static void
learn_window(struct conn *c, const uint8_t *bhs)
{
	uint32_t max = get32(bhs + 32);

	if ((int32_t)(max - c->max_cmdsn) > 0)
		c->max_cmdsn = max;
}

static void
learn_statsn(struct conn *c, const uint8_t *bhs)
{
	if (get32(bhs + 24) != c->exp_statsn)
		die("StatSN %u, expected %u", get32(bhs + 24), c->exp_statsn);
	c->exp_statsn++;
}

static struct task *
task_of(struct conn *c, const uint8_t *bhs)
{
	uint32_t tag = get32(bhs + 16);

	if (tag >= c->opts->depth || !c->tasks[tag].busy)
		die("answer for unknown task %08x, opcode %02x", tag, bhs[0]);
	return &c->tasks[tag];
}

static void
task_end(struct conn *c, struct task *task, uint8_t status)
{
	if (status != 0)
		die("%s of %u bytes at %" PRIu64 ": SCSI status %02x",
		    task->write ? "write" : "read", task->len, task->off,
		    status);
	if (!task->write && task->got != task->len)
		die("read of %u bytes got %u", task->len, task->got);
	task->busy = false;
	c->free[c->nfree++] = (unsigned)(task - c->tasks);
	c->done(c, task);
}

static void
answer_ping(struct conn *c, const uint8_t *in)
{
	uint8_t *bhs;

	if (get32(in + 20) == NO_TAG)
		return;
	bhs = pdu_new(c);
	bhs[0] = OP_NOP_OUT | OP_IMMEDIATE;
	bhs[1] = FLAG_FINAL;
	memcpy(bhs + 8, in + 8, 8);
	put32(bhs + 16, NO_TAG);
	memcpy(bhs + 20, in + 20, 4);
	put32(bhs + 24, c->cmdsn);
	put32(bhs + 28, c->exp_statsn);
	pdu_queue(c, bhs, NULL, 0);
}

/* A header has arrived; its data, if any, comes next. */
static void
handle_bhs(struct conn *c, const uint8_t *bhs)
{
	uint32_t len = get24(bhs + 5);
	struct task *task;

	if (bhs[4] != 0)
		die("unexpected AHS");
	c->data_left = len;
	c->tail_left = pad4(len) + (len > 0 && c->data_digest ? 4u : 0u);
	c->data_task = NULL;
	c->data_crc = UINT32_MAX;
	switch (bhs[0] & OP_MASK) {
	case OP_DATA_IN:
		task = task_of(c, bhs);
		c->data_off = get32(bhs + 40);
		if (c->data_off > task->len || len > task->len - c->data_off)
			die("Data-In outside the read");
		c->data_task = task;
		return;
	case OP_SCSI_RSP:
		task = task_of(c, bhs);
		if (bhs[2] != 0)
			die("SCSI response %02x", bhs[2]);
		return;
	case OP_R2T:
		task = task_of(c, bhs);
		if (!task->write || get32(bhs + 40) > task->len ||
		    get32(bhs + 44) > task->len - get32(bhs + 40))
			die("R2T outside the write");
		return;
	case OP_NOP_IN:
		return;
	default:
		die("unexpected opcode %02x (reason %02x)", bhs[0], bhs[2]);
	}
}

/* Header and data have arrived. */
static void
handle_end(struct conn *c)
{
	const uint8_t *bhs = c->bhs;
	struct task *task;
	uint32_t off;

	learn_window(c, bhs);
	switch (bhs[0] & OP_MASK) {
	case OP_DATA_IN:
		if ((bhs[1] & 1) == 0)
			return;
		learn_statsn(c, bhs);
		task_end(c, task_of(c, bhs), bhs[3]);
		return;
	case OP_SCSI_RSP:
		learn_statsn(c, bhs);
		task_end(c, task_of(c, bhs), bhs[3]);
		return;
	case OP_R2T:
		task = task_of(c, bhs);
		off = get32(bhs + 40);
		data_out(c, task, off, off + get32(bhs + 44),
		    get32(bhs + 20));
		return;
	default:
		answer_ping(c, bhs);
		return;
	}
}

/* Take in n bytes of a data segment. */
static void
take_data(struct conn *c, const uint8_t *p, uint32_t n)
{
	if (c->data_digest)
		c->data_crc = crc_more(c->data_crc, p, n);
	if (c->data_task != NULL) {
		if (c->opts->verify)
			memcpy(c->data_task->buf + c->data_off, p, n);
		c->data_off += n;
		c->data_task->got += n;
	}
	c->data_left -= n;
}

/* Padding and data digest. */
static void
take_tail(struct conn *c, const uint8_t *p, uint32_t n)
{
	uint8_t want[4];

	c->tail_left -= n;
	if (!c->data_digest)
		return;
	/* The tail is only taken whole (see parse), padding is not needed. */
	put_crc(want, c->data_crc);
	if (n != 4 || memcmp(want, p, 4) != 0)
		die("wrong data digest");
}

static size_t
parse(struct conn *c, const uint8_t *p, size_t len)
{
	size_t head = BHS_LEN + (c->header_digest ? 4u : 0u), at = 0;
	uint8_t want[4];

	for (;;) {
		if (c->data_left > 0) {
			uint32_t n = len - at < c->data_left ?
			    (uint32_t)(len - at) : c->data_left;

			take_data(c, p + at, n);
			at += n;
			if (c->data_left > 0)
				return at;
			if (c->tail_left == 0)
				handle_end(c);
		} else if (c->tail_left > 0) {
			if (len - at < c->tail_left)
				return at;
			at += c->tail_left;
			take_tail(c, p + at - c->tail_left, c->tail_left);
			handle_end(c);
		} else {
			if (len - at < head)
				return at;
			memcpy(c->bhs, p + at, BHS_LEN);
			if (c->header_digest) {
				put_crc(want, crc_more(UINT32_MAX, p + at,
				    BHS_LEN));
				if (memcmp(want, p + at + BHS_LEN, 4) != 0)
					die("wrong header digest");
			}
			at += head;
			handle_bhs(c, c->bhs);
			if (c->data_left == 0)
				handle_end(c);
		}
	}
}

bool
conn_recv(struct conn *c, bool wait)
{
	ssize_t n;
	size_t used;

	if (c->closed)
		return false;
	n = recv(c->fd, c->rbuf + c->rlen, RECV_LEN - c->rlen,
	    wait ? 0 : MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 && c->opts->survive) {
		c->closed = true;
		return true;
	}
	if (n <= 0)
		die("receive: %s", n == 0 ? "the target closed the connection" :
		    strerror(errno));
	c->rlen += (size_t)n;
	used = parse(c, c->rbuf, c->rlen);
	c->rlen -= used;
	if (c->rlen > 0)
		memmove(c->rbuf, c->rbuf + used, c->rlen);
	return true;
}

/* --- before the load --- */

/*
 * A command outside the tasks, while nothing else is in flight: the status;
 * data goes to `data` (len bytes).
 */
static uint8_t
admin_cmd(struct conn *c, const uint8_t cdb[16], uint8_t *data, uint32_t len)
{
	uint8_t *bhs = pdu_new(c), in[BHS_LEN + 4], junk[65536 + 8];
	uint32_t n;

	bhs[0] = OP_SCSI_CMD;
	bhs[1] = (uint8_t)(FLAG_FINAL | 1 | (len > 0 ? 0x40 : 0));
	put64(bhs + 8, c->opts->lun << 48);
	put32(bhs + 16, TAG_ADMIN);
	put32(bhs + 20, len);
	put32(bhs + 24, c->cmdsn++);
	put32(bhs + 28, c->exp_statsn);
	memcpy(bhs + 32, cdb, 16);
	pdu_queue(c, bhs, NULL, 0);
	conn_send(c);
	for (;;) {
		if (!read_all(c, in, BHS_LEN + (c->header_digest ? 4u : 0u)))
			die("the target closed the connection");
		n = get24(in + 5);
		if (n > 65536)
			die("answer of %u bytes", n);
		if (!read_all(c, junk, n + pad4(n) +
		    (n > 0 && c->data_digest ? 4u : 0u)))
			die("the target closed the connection");
		learn_window(c, in);
		if ((in[0] & OP_MASK) == OP_NOP_IN) {
			answer_ping(c, in);
			conn_send(c);
			continue;
		}
		if ((in[0] & OP_MASK) == OP_DATA_IN)
			memcpy(data, junk, n < len ? n : len);
		if ((in[0] & OP_MASK) == OP_SCSI_RSP || (in[1] & 1) != 0)
			break;
	}
	learn_statsn(c, in);
	return in[3];
}

uint64_t
conn_capacity(struct conn *c, uint32_t *block_len)
{
	static const uint8_t ready[16] = { 0x00 };
	uint8_t capacity[16] = { 0x9e, 0x10 }, data[32] = { 0 };
	uint64_t last;

	put32(capacity + 10, sizeof(data));
	/* Unit attentions after login; each is reported once. */
	for (unsigned i = 0; admin_cmd(c, ready, NULL, 0) != 0; i++) {
		if (i == 8)
			die("the unit does not become ready");
	}
	if (admin_cmd(c, capacity, data, sizeof(data)) != 0)
		die("READ CAPACITY(16) failed");
	last = (uint64_t)get32(data) << 32 | get32(data + 4);
	*block_len = get32(data + 8);
	return (last + 1) * *block_len;
}
