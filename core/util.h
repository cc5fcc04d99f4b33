/* SPDX-License-Identifier: BSD-2-Clause */
/* Small macros and integer helpers without a home of their own. */
#ifndef CORE_UTIL_H
#define CORE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(ptr, type, member) \
	((type *)((uintptr_t)(ptr) - offsetof(type, member)))
#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define NSEC_PER_MSEC ((uint64_t)1000000)
#define NSEC_PER_SEC ((uint64_t)1000000000)

static inline bool
is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* `align` must be a power of two. */
static inline uint64_t
round_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t
round_up(uint64_t v, uint64_t align)
{
	return round_down(v + align - 1, align);
}

/* The lowest i with ns < 2^i us, below `slots`: counts latencies. */
static inline unsigned
latency_slot(uint64_t ns, unsigned slots)
{
	uint64_t us = ns / 1000;
	unsigned i = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);

	return MIN(i, slots - 1);
}

/* Does [off, off + len) lie in [0, size)?  Safe against wrap-around. */
static inline bool
range_ok(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

#endif
