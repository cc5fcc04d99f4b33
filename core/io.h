/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One storage or stream request, from the SCSI layer down to the kernel.
 *
 * A struct io is owned by whoever submits it and is embedded there; it must
 * stay put until it has ended.  A layer may pass it on unchanged, or with
 * adjusted offset (a volume that is one extent), or start requests of its own
 * and end it when they are done.  The requester's op is held until io_end().
 *
 * Offsets and lengths are bytes, multiples of the device's logical block.
 */
#ifndef CORE_IO_H
#define CORE_IO_H

#include <stdint.h>
#include <sys/uio.h>

#include "core/op.h"

enum io_kind {
	IO_READ,
	IO_WRITE,
	IO_FLUSH,	/* completed writes become durable; off, len unused */
	IO_DISCARD,	/* contents may become undefined or zero */
	IO_ZERO,	/* contents read back as zeroes */
	IO_STATUS,	/* is [off, off+len) mapped?  see io->len, IO_MAPPED */
	IO_RECV,	/* sockets: result = bytes, 0 = end of stream */
	IO_SEND,
};

#define IO_FUA		0x01u	/* write: durable when it completes */
#define IO_UNMAP	0x02u	/* zero: space may be given back */
#define IO_MAPPED	0x04u	/* status result: [off, off+len) has space */
#define IO_MORE		0x08u	/* write: the data of others is on its way */
#define IO_LENT		0x10u	/* read: it may end without its memory */

struct grave;

struct io {
	struct op *waiter;	/* held until the end */
	enum io_kind kind;
	unsigned flags;
	int result;		/* 0 or -errno; bytes for sockets */
	unsigned niov;
	const struct iovec *iov;	/* read, write, recv, send */
	uint64_t off, len;	/* status: len is cut to the first run */
	uint64_t failed_at;	/* read that failed: bytes before the error */
	/*
	 * IO_LENT, -ETIMEDOUT: the device may still read into the memory.
	 * Bury it here (core/grave.h), close the grave, and ask again.
	 */
	struct grave *grave;
	/* Private to the layer that has the request now: */
	void *owner;
	uint64_t done;
	uint64_t start_ns;
	STAILQ_ENTRY(io) queue;
	/* Of whoever submitted it: told of the end, after the waiter. */
	void (*watch)(struct io *io);
};

STAILQ_HEAD(io_queue, io);

/* Fill for reading or writing len bytes at off; iov must hold len bytes. */
void io_init(struct io *io, enum io_kind kind, uint64_t off, uint64_t len,
    const struct iovec *iov, unsigned niov, unsigned flags);

/* Called once by the layer that finishes the request. */
static inline void
io_end(struct io *io, int result)
{
	struct op *waiter = io->waiter;

	io->result = result;
	io->waiter = NULL;
	op_unhold(waiter);
	if (io->watch != NULL)
		io->watch(io);
}

const char *io_kind_name(enum io_kind kind);

/* iovec helpers; all are bounds-checked with assert. */
size_t iov_len(const struct iovec *iov, unsigned niov);
/*
 * Make `dst` (room for max entries) the view [off, off+len) of `src`.
 * Returns the number of entries.
 */
unsigned iov_slice(struct iovec *dst, unsigned max, const struct iovec *src,
    unsigned nsrc, size_t off, size_t len);
void iov_from_buf(const struct iovec *iov, unsigned niov, size_t off,
    const void *buf, size_t len);
void iov_to_buf(const struct iovec *iov, unsigned niov, size_t off, void *buf,
    size_t len);
void iov_zero(const struct iovec *iov, unsigned niov, size_t off, size_t len);

#endif
