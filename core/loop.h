/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam between Dozo and the world: one thread, one ring.
 *
 * core/loop_uring.c implements these calls over io_uring; the simulator
 * (tests/sim/loop_sim.c) implements the same calls with a virtual clock,
 * simulated disks and simulated sockets.  A program links one of the two.
 * Nothing on the data path calls the kernel in any other way.
 *
 * A turn of the loop: deliver completions and due timers, run ready ops until
 * none is ready, then submit everything they started with one system call
 * that also waits.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"
#include "core/io.h"
#include "core/op.h"

struct loop;
struct file;
struct sock;
struct listener;

/* --- the loop --- */

struct loop *loop_new(struct err *err);
void loop_free(struct loop *loop);
/* Run turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/*
 * Run turns until `op` has ended.  Only for start-up, shut-down and tests:
 * inside run() it is a bug.
 */
void loop_run_op(struct loop *loop, struct op *op);
struct op_sched *loop_sched(struct loop *loop);
/* Monotonic time in ns, constant within a turn. */
uint64_t loop_now(struct loop *loop);
/* Wall clock in seconds, for superblocks and logs; never orders anything. */
uint64_t loop_wall_time(struct loop *loop);
/* Random bytes; the simulator's are seeded. */
void loop_random(struct loop *loop, void *buf, size_t len);
/* Poll this long after the last completion before sleeping; 0 = never. */
void loop_set_spin(struct loop *loop, unsigned spin_us);
/* Call fn in a later turn when the process gets signo. */
int loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg),
    void *arg);

struct loop_stats {
	uint64_t turns, enters, completions, inline_ios, sleeps;
};
void loop_get_stats(const struct loop *loop, struct loop_stats *stats);

/* --- timers --- */

struct timer {
	void (*fn)(void *arg);
	void *arg;
	uint64_t due_ns;
	unsigned slot;		/* place in the heap + 1; 0 = not running */
};

/* fn is called once, after at least timeout_ms; restarting moves it. */
void timer_start(struct loop *loop, struct timer *timer, uint64_t timeout_ms,
    void (*fn)(void *arg), void *arg);
void timer_stop(struct loop *loop, struct timer *timer);
static inline bool
timer_running(const struct timer *timer)
{
	return timer->slot != 0;
}
/* Hold `op` for timeout_ms; `timer` is the caller's and must stay put. */
void op_sleep(struct loop *loop, struct timer *timer, uint64_t timeout_ms,
    struct op *op);

/* --- files and devices --- */

#define FILE_READONLY	0x01u
#define FILE_EXCL	0x02u	/* O_EXCL on devices, a lock on files */
#define FILE_DIRECT	0x04u	/* O_DIRECT where the file can */

struct file_info {
	uint64_t size;		/* bytes */
	uint32_t logical_block;	/* bytes; smallest read or write */
	uint32_t physical_block;
	uint32_t optimal_io;	/* bytes, 0 = unknown */
	uint32_t discard_granularity;	/* bytes, 0 = no discard */
	bool is_device;
	bool rotational;
	bool discard_zeroes;	/* discarded blocks read as zeroes */
	bool zero_fast;		/* zeroing is quicker than writing zeroes */
	char model[48], serial[48];	/* devices; empty if unknown */
};

/*
 * Open synchronously.  Errors say what and what to do: no such file, no
 * permission, in use (and by whom if known), not a file or block device.
 */
int file_open(struct loop *loop, const char *path, unsigned flags,
    struct file **out, struct err *err);
/* No request may be in flight. */
void file_close(struct file *file);
void file_get_info(const struct file *file, struct file_info *info);
/*
 * Start a read, write, flush, discard or zero; `io` ends with 0 or -errno.
 * Short transfers are continued; end of file inside a read is -EIO.
 */
void file_submit(struct file *file, struct io *io, struct op *waiter);

/* --- stream sockets --- */

struct sock_addr {
	char text[108];		/* "192.0.2.1", "2001:db8::1", path; "" any */
	uint16_t port;		/* 0 for a unix socket */
};

/*
 * Listen.  accept() gets an owned sock per connection, in loop context.  An
 * unix socket is made with mode 0660 and replaces a dead one.
 */
int listener_open(struct loop *loop, const struct sock_addr *addr,
    void (*accept)(void *arg, struct sock *sock), void *arg,
    struct listener **out, struct err *err);
/* Where it really listens (port 0 was resolved). */
void listener_get_addr(const struct listener *listener,
    struct sock_addr *addr);
void listener_close(struct listener *listener);

/*
 * One receive and one send may be in flight on a sock.  Receive ends with
 * the number of bytes (at least 1), 0 at end of stream or -errno.  Send ends
 * when all bytes were taken (result = all) or with -errno.
 */
void sock_recv(struct sock *sock, struct io *io, const struct iovec *iov,
    unsigned niov, struct op *waiter);
void sock_send(struct sock *sock, struct io *io, const struct iovec *iov,
    unsigned niov, struct op *waiter);
/* Requests in flight end soon, with an error or end of stream. */
void sock_shutdown(struct sock *sock);
/* No request may be in flight. */
void sock_close(struct sock *sock);
void sock_peer(const struct sock *sock, struct sock_addr *addr);
void sock_local(const struct sock *sock, struct sock_addr *addr);
/* Peer's user id on a unix socket, (uid_t)-1 elsewhere. */
uid_t sock_peer_uid(const struct sock *sock);

#endif
