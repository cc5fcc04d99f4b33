/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the three files of the io_uring loop: the ring and the turn
 * (loop_uring.c), files (uring_file.c) and sockets (uring_sock.c).
 *
 * A completion finds its way home by the low bits of user_data.
 */
#ifndef CORE_LOOP_URING_PRIV_H
#define CORE_LOOP_URING_PRIV_H

#include <liburing.h>

#include "core/loop_priv.h"

enum uring_tag {
	TAG_FILE,	/* struct io of file_submit() */
	TAG_SOCK,	/* struct io of sock_recv(), sock_send() */
	TAG_ACCEPT,	/* struct listener */
	TAG_SIGNAL,	/* struct loop */
	TAG_IGNORE,
	TAG_MASK = 7,
};

#define LOOP_SIGNALS_MAX 8

struct loop {
	struct op_sched sched;
	struct timer_heap timers;
	struct io_uring ring;
	uint64_t now_ns;
	uint64_t spin_ns;
	uint64_t last_work_ns;		/* last completion */
	bool stop;
	int signal_fd;			/* -1 until loop_on_signal() */
	struct { int signo; void (*fn)(void *); void *arg; }
	    signals[LOOP_SIGNALS_MAX];
	unsigned nsignals;
	LIST_HEAD(, listener) listeners;
	void *zeroes;			/* ZERO_LEN bytes, for IO_ZERO */
	struct loop_stats stats;
};

#define ZERO_LEN ((size_t)256 * 1024)

/* A submission entry; submits what is queued if the ring is full. */
struct io_uring_sqe *loop_sqe(struct loop *loop);
void loop_sqe_tag(struct io_uring_sqe *sqe, void *ptr, enum uring_tag tag);

/* Completions. */
void uring_file_done(struct io *io, int res);
void uring_sock_done(struct io *io, int res);
void uring_listeners_free(struct loop *loop);
void uring_accept_done(struct listener *listener, int res, unsigned flags);

#endif
