/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and scatter lists. */
#include "core/io.h"

#include <assert.h>
#include <string.h>

void
io_init(struct io *io, enum io_kind kind, uint64_t off, uint64_t len,
    const struct iovec *iov, unsigned niov, unsigned flags)
{
	io->waiter = NULL;
	io->kind = kind;
	io->flags = flags;
	io->result = 0;
	io->iov = iov;
	io->niov = niov;
	io->off = off;
	io->len = len;
	io->failed_at = 0;
	io->grave = NULL;
	io->owner = NULL;
	io->done = 0;
	io->start_ns = 0;
	io->watch = NULL;
}

const char *
io_kind_name(enum io_kind kind)
{
	static const char *const names[] = {
		[IO_READ] = "read", [IO_WRITE] = "write",
		[IO_FLUSH] = "flush", [IO_DISCARD] = "discard",
		[IO_ZERO] = "zero", [IO_STATUS] = "status",
		[IO_RECV] = "recv", [IO_SEND] = "send",
	};

	assert((size_t)kind < nitems(names));
	return names[kind];
}

size_t
iov_len(const struct iovec *iov, unsigned niov)
{
	size_t len = 0;

	for (unsigned i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return len;
}

unsigned
iov_slice(struct iovec *dst, unsigned max, const struct iovec *src,
    unsigned nsrc, size_t off, size_t len)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nsrc && len > 0; i++) {
		size_t part;

		if (off >= src[i].iov_len) {
			off -= src[i].iov_len;
			continue;
		}
		assert(n < max);
		part = MIN(src[i].iov_len - off, len);
		dst[n].iov_base = (uint8_t *)src[i].iov_base + off;
		dst[n++].iov_len = part;
		len -= part;
		off = 0;
	}
	assert(len == 0);
	return n;
}

enum copy { COPY_IN, COPY_OUT, COPY_ZERO };

static void
walk(const struct iovec *iov, unsigned niov, size_t off, uint8_t *buf,
    size_t len, enum copy copy)
{
	for (unsigned i = 0; i < niov && len > 0; i++) {
		uint8_t *base = iov[i].iov_base;
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - off, len);
		if (copy == COPY_IN)
			memcpy(base + off, buf, part);
		else if (copy == COPY_OUT)
			memcpy(buf, base + off, part);
		else
			memset(base + off, 0, part);
		if (buf != NULL)
			buf += part;
		len -= part;
		off = 0;
	}
	assert(len == 0);
}

void
iov_from_buf(const struct iovec *iov, unsigned niov, size_t off,
    const void *buf, size_t len)
{
	union { const void *in; uint8_t *p; } u = { .in = buf };

	walk(iov, niov, off, u.p, len, COPY_IN);
}

void
iov_to_buf(const struct iovec *iov, unsigned niov, size_t off, void *buf,
    size_t len)
{
	walk(iov, niov, off, buf, len, COPY_OUT);
}

void
iov_zero(const struct iovec *iov, unsigned niov, size_t off, size_t len)
{
	walk(iov, niov, off, NULL, len, COPY_ZERO);
}
