/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of one history: malloc() and its kin for everything that is linked
 * into the simulator (-Wl,--wrap), and mem_reset() to give it all back at
 * once.  A killed process frees nothing; this way the next history in the same
 * child finds the memory empty, and its pages already there.
 *
 * Blocks come from a stack of unused space, or from a free list of their size
 * class.  Invariants: a block has its header just below it; sizes are rounded
 * up to a class, so any block of the class serves; what libc allocates itself
 * lies elsewhere and goes back to libc.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/util.h"
#include "tests/sim/mem.h"

#define ARENA ((size_t)16 << 30)	/* of addresses, not of memory */
#define GRAIN ((size_t)16)
#define PAGE ((size_t)4096)
#define CLASSES 128u
#define IN_USE 0x75736564u
#define IS_FREE 0x66726565u

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *block);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd,
    off_t off);
int __wrap_munmap(void *addr, size_t len);
int __wrap_madvise(void *addr, size_t len, int advice);
void *__real_realloc(void *old, size_t size);
void __real_free(void *block);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd,
    off_t off);
int __real_munmap(void *addr, size_t len);

struct header {
	uint32_t state;
	uint16_t class, aligned;	/* to pages: in lists of their own */
	uint64_t size;			/* that was asked for */
};
_Static_assert(sizeof(struct header) == GRAIN, "blocks stay aligned");

struct spare {
	struct spare *next;
};

static uint8_t *arena, *unused;
static struct spare *spares[2][CLASSES];

static bool
is_ours(const void *p)
{
	const uint8_t *at = p;

	return arena != NULL && at >= arena && at < arena + ARENA;
}

static struct header *
header_of(void *block)
{
	return (struct header *)(void *)((uint8_t *)block - GRAIN);
}

/* Four for each power of two from 64 up. */
static size_t
class_size(unsigned class)
{
	return (4 + (size_t)class % 4) << (class / 4 + 4);
}

static unsigned
class_of(size_t size)
{
	unsigned class = 0, log;

	if (size > class_size(0)) {
		log = 63 - (unsigned)__builtin_clzl(size - 1);
		class = (log - 6) * 4 +
		    (unsigned)((size - 1) >> (log - 2) & 3) + 1;
	}
	assert(class < CLASSES && class_size(class) >= size);
	return class;
}

static void *
take_unused(size_t size, bool aligned)
{
	uint8_t *block;

	if (arena == NULL) {
		arena = __real_mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (arena == MAP_FAILED)
			abort();
		unused = arena;
	}
	block = unused + GRAIN;
	if (aligned)
		block += (PAGE - (size_t)(block - arena) % PAGE) % PAGE;
	if (size > (size_t)(arena + ARENA - block))
		return NULL;
	unused = block + size;
	return block;
}

static void *
take(size_t size, bool aligned)
{
	unsigned class = class_of(size);
	struct spare *spare = spares[aligned][class];
	void *block = spare;

	if (spare != NULL)
		spares[aligned][class] = spare->next;
	else
		block = take_unused(class_size(class), aligned);
	if (block != NULL)
		*header_of(block) = (struct header){ .state = IN_USE,
		    .class = (uint16_t)class, .aligned = aligned,
		    .size = size };
	return block;
}

void *
__wrap_malloc(size_t size)
{
	return take(size, false);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	size_t total;
	void *block;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	block = take(total, false);
	if (block != NULL)
		memset(block, 0, total);
	return block;
}

void *
__wrap_aligned_alloc(size_t align, size_t size)
{
	assert(align <= PAGE);
	return take(size, true);
}

void
__wrap_free(void *block)
{
	struct header *header;
	struct spare *spare = block;

	if (!is_ours(block)) {
		__real_free(block);
		return;
	}
	header = header_of(block);
	assert(header->state == IN_USE);	/* else freed twice */
	header->state = IS_FREE;
	spare->next = spares[header->aligned][header->class];
	spares[header->aligned][header->class] = spare;
}

void *
__wrap_realloc(void *old, size_t size)
{
	void *block;

	if (old != NULL && !is_ours(old))
		return __real_realloc(old, size);
	block = take(size, false);
	if (old != NULL && block != NULL) {
		memcpy(block, old, MIN(size, header_of(old)->size));
		__wrap_free(old);
	}
	return block;
}

/* The buffers of core/buf.c, whose contents nobody relies on. */
void *
__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *block;

	if ((flags & MAP_PRIVATE) == 0)
		return __real_mmap(addr, len, prot, flags, fd, off);
	block = take(len, true);
	return block != NULL ? block : MAP_FAILED;
}

int
__wrap_munmap(void *addr, size_t len)
{
	if (!is_ours(addr))
		return __real_munmap(addr, len);
	__wrap_free(addr);
	return 0;
}

int
__wrap_madvise(void *addr, size_t len, int advice)
{
	(void)addr;
	(void)len;
	(void)advice;
	return 0;
}

bool
mem_reset(void)
{
	unused = arena;
	memset(spares, 0, sizeof(spares));
	return true;
}
