/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A load generator that speaks iSCSI on raw sockets: what it costs itself is
 * small against the target it measures.  One thread; each connection is a
 * session of its own.  Any error ends the program: a number from a run with
 * errors means nothing.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define LOAD_CONNS_MAX	64u
#define LOAD_DEPTH_MAX	1024u
#define BHS_LEN		48u
#define RECV_LEN	((size_t)256 * 1024)
#define SECTOR		512u
#define PASS_LEN_MAX	((uint32_t)1024 * 1024)	/* verify passes */

struct load_opts {
	const char *host, *port, *target;
	uint64_t lun;
	pid_t pid;			/* of the server, 0 = none */
	unsigned conns, depth;
	uint32_t io_len;		/* bytes */
	uint64_t size;			/* bytes used of the LUN, 0 = all */
	unsigned read_pct;		/* 100 reads, 0 writes */
	bool random;
	bool header_digest, data_digest;
	bool verify;
	bool fill;			/* write all of it first */
	bool fua;			/* each write is to be durable */
	bool survive;			/* reconnect and send again */
	double time_s, ramp_s;
	unsigned spin_us;		/* poll so long before sleeping */
	uint64_t seed;
};

/* Are there passes in requests of up to PASS_LEN_MAX? */
static inline bool
needs_passes(const struct load_opts *opts)
{
	return opts->verify || opts->fill;
}

/* One command in flight. */
struct task {
	bool busy, write;
	uint64_t off;
	uint32_t len;
	uint32_t got;			/* bytes of data that arrived */
	uint32_t generation;		/* verify: what this write stamps */
	uint64_t start_ns;
	uint8_t *buf;
};

/* Headers and digests of one PDU that waits to be sent. */
struct out_pdu {
	uint8_t bhs[BHS_LEN + 4];
	uint8_t digest[4];
};

struct conn {
	const struct load_opts *opts;
	unsigned id;
	int fd;
	uint32_t cmdsn, exp_statsn, max_cmdsn;
	/* negotiated */
	uint32_t max_send, first_burst, max_burst;
	bool immediate, initial_r2t, header_digest, data_digest;

	struct task *tasks;		/* opts->depth; index = task tag */
	unsigned *free;			/* stack of idle tasks */
	unsigned nfree;
	uint64_t next_off;		/* sequential */

	/* Ring of PDUs to send, and the iovecs that say what is left. */
	struct out_pdu *pdu;
	unsigned npdu, pdu_next;
	struct iovec *iov;
	unsigned iov_head, iov_tail, iov_max;

	/* Stream parser. */
	uint8_t *rbuf;
	size_t rlen;			/* bytes of a PDU not yet complete */
	struct task *data_task;		/* data segment being received */
	uint32_t data_off, data_left, tail_left;
	uint32_t data_crc;
	uint8_t bhs[BHS_LEN];

	void (*done)(struct conn *conn, struct task *task);
	void *arg;
	bool closed;			/* the peer closed; survive only */
};

_Noreturn void die(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
uint64_t now_ns(void);

/* --- load_iscsi.c --- */

/* Connect, log in; dies on refusal.  Nothing is in flight afterwards. */
void conn_open(struct conn *conn, const struct load_opts *opts, unsigned id);
/* The same after the peer went away; waits for it.  Tasks stay busy. */
void conn_reopen(struct conn *conn);
void conn_close(struct conn *conn);
/* Size of the LUN in bytes; clears unit attentions. */
uint64_t conn_capacity(struct conn *conn, uint32_t *block_len);
/* Room for one more command? */
bool conn_ready(const struct conn *conn);
/* Queue the READ or WRITE that `task` (busy, filled in) says. */
void conn_start(struct conn *conn, struct task *task);
/* Send what is queued; false if the socket took only part. */
bool conn_send(struct conn *conn);
/* Receive once and handle all of it; false if there was nothing. */
bool conn_recv(struct conn *conn, bool wait);

/* --- load_verify.c --- */

struct verify;
struct verify *verify_new(uint64_t size);
/* Fill a write's buffer with stamps of a new generation. */
void verify_stamp(struct verify *v, struct task *task);
/* The write ended well: its stamps are what must be there from now on. */
void verify_wrote(struct verify *v, const struct task *task);
/* Dies with the offset if the data is not what must be there. */
void verify_check(const struct verify *v, const struct task *task);

/* --- load_stat.c --- */

#define HIST_SUB	64u
#define HIST_BUCKETS	(40u * HIST_SUB)

struct hist {
	uint64_t count[HIST_BUCKETS], total;
};
void hist_add(struct hist *hist, uint64_t ns);
double hist_us(const struct hist *hist, double quantile);

struct proc_stat {
	uint64_t cpu_ns, switches, rss_kib;
};
/* Sums over the threads of a process. */
void proc_read(pid_t pid, struct proc_stat *stat);
/* Nanoseconds all CPUs of the machine were busy. */
uint64_t machine_busy_ns(void);

#endif
