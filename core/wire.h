/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounds-checked cursors for wire and disk formats.  Reading past the end
 * yields zeroes and sets `bad`; writing past the end drops the bytes and sets
 * `bad`: check it once at the end.  No struct ever overlays memory.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire_in {
	const uint8_t *p, *end;
	bool bad;
};

struct wire_out {
	uint8_t *start, *p, *end;
	bool bad;
};

static inline struct wire_in
wire_in(const void *buf, size_t len)
{
	const uint8_t *p = buf;
	return (struct wire_in){ .p = p, .end = p + len };
}

static inline struct wire_out
wire_out(void *buf, size_t len)
{
	uint8_t *p = buf;
	return (struct wire_out){ .start = p, .p = p, .end = p + len };
}

static inline size_t
wire_left(const struct wire_in *in)
{
	return (size_t)(in->end - in->p);
}

static inline size_t
wire_used(const struct wire_out *out)
{
	return (size_t)(out->p - out->start);
}

/* len raw bytes, or NULL if there are not as many. */
static inline const uint8_t *
get_bytes(struct wire_in *in, size_t len)
{
	const uint8_t *p = in->p;

	if (wire_left(in) < len) {
		in->bad = true;
		in->p = in->end;
		return NULL;
	}
	in->p += len;
	return p;
}

static inline void
get_copy(struct wire_in *in, void *dst, size_t len)
{
	const uint8_t *p = get_bytes(in, len);

	if (p != NULL)
		memcpy(dst, p, len);
	else
		memset(dst, 0, len);
}

static inline void
get_skip(struct wire_in *in, size_t len)
{
	(void)get_bytes(in, len);
}

static inline uint64_t
get_be(struct wire_in *in, size_t len)
{
	const uint8_t *p = get_bytes(in, len);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint64_t
get_le(struct wire_in *in, size_t len)
{
	const uint8_t *p = get_bytes(in, len);
	uint64_t v = 0;

	for (size_t i = len; p != NULL && i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t get_u8(struct wire_in *in) { return (uint8_t)get_be(in, 1); }
static inline uint16_t get_be16(struct wire_in *in) { return (uint16_t)get_be(in, 2); }
static inline uint32_t get_be24(struct wire_in *in) { return (uint32_t)get_be(in, 3); }
static inline uint32_t get_be32(struct wire_in *in) { return (uint32_t)get_be(in, 4); }
static inline uint64_t get_be64(struct wire_in *in) { return get_be(in, 8); }
static inline uint16_t get_le16(struct wire_in *in) { return (uint16_t)get_le(in, 2); }
static inline uint32_t get_le32(struct wire_in *in) { return (uint32_t)get_le(in, 4); }
static inline uint64_t get_le64(struct wire_in *in) { return get_le(in, 8); }

/*
 * gcc 12 takes the way on which put_room() returns NULL for one on which it
 * is written through, in spite of the test in between.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstringop-overflow"

/* Room for len bytes, or NULL (and bad) if there is not as much. */
static inline uint8_t *
put_room(struct wire_out *out, size_t len)
{
	uint8_t *p = out->p;

	if ((size_t)(out->end - out->p) < len) {
		out->bad = true;
		return NULL;
	}
	out->p += len;
	return p;
}

static inline void
put_bytes(struct wire_out *out, const void *src, size_t len)
{
	uint8_t *p = put_room(out, len);

	if (p != NULL && len > 0)
		memcpy(p, src, len);
}

static inline void
put_zero(struct wire_out *out, size_t len)
{
	uint8_t *p = put_room(out, len);

	if (p != NULL)
		memset(p, 0, len);
}

static inline void
put_be(struct wire_out *out, uint64_t v, size_t len)
{
	uint8_t *p = put_room(out, len);

	for (size_t i = len; p != NULL && i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

static inline void
put_le(struct wire_out *out, uint64_t v, size_t len)
{
	uint8_t *p = put_room(out, len);

	for (size_t i = 0; p != NULL && i < len; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

static inline void put_u8(struct wire_out *out, uint8_t v) { put_be(out, v, 1); }
static inline void put_be16(struct wire_out *out, uint16_t v) { put_be(out, v, 2); }
static inline void put_be24(struct wire_out *out, uint32_t v) { put_be(out, v, 3); }
static inline void put_be32(struct wire_out *out, uint32_t v) { put_be(out, v, 4); }
static inline void put_be64(struct wire_out *out, uint64_t v) { put_be(out, v, 8); }
static inline void put_le16(struct wire_out *out, uint16_t v) { put_le(out, v, 2); }
static inline void put_le32(struct wire_out *out, uint32_t v) { put_le(out, v, 4); }
static inline void put_le64(struct wire_out *out, uint64_t v) { put_le(out, v, 8); }

#pragma GCC diagnostic pop

#endif
