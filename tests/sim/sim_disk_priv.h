/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a simulated disk: see sim_disk.c. */
#ifndef TESTS_SIM_DISK_PRIV_H
#define TESTS_SIM_DISK_PRIV_H

#include "tests/sim/sim_priv.h"

#define PAGE ((uint64_t)4096)
#define SECTOR ((uint64_t)512)
#define SECTORS (PAGE / SECTOR)

struct page {
	TAILQ_ENTRY(page) link;		/* while dirty != 0 */
	uint8_t cur[PAGE], dur[PAGE];
	uint64_t stamp[SECTORS];	/* when written: disk->seq */
	uint8_t dirty, bad;		/* one bit per sector */
	uint8_t hard, soft;		/* refuse writes: always, once more */
};

struct disk_req {
	struct event event;
	TAILQ_ENTRY(disk_req) link;
	struct sim_disk *disk;
	struct io *io;
	uint8_t *data;			/* write: copy made at submit */
	struct iovec *iov;		/* read: where to, as it was then */
	uint32_t sum;			/* of the buffer at submit */
	uint64_t seq;			/* flush: covers stamps up to this */
	int result;			/* fate decided early, e.g. -ENODEV */
};

struct sim_disk {
	struct sim *sim;
	TAILQ_ENTRY(sim_disk) link;
	char name[32];
	uint64_t size;
	uint32_t logical_block;
	bool discard_zeroes;
	uint64_t latency_ns;
	struct page **pages;
	TAILQ_HEAD(, page) dirty;
	TAILQ_HEAD(, disk_req) reqs;	/* in flight, oldest first */
	LIST_HEAD(, file) files;
	uint64_t seq;
	uint64_t flush_seq;		/* largest of the flushes in flight */
	unsigned flushes;		/* in flight */
	unsigned generation;		/* of the connection */
	bool gone;
	unsigned fail_writes, fail_flushes;
	bool refusing;			/* some sectors do */
	uint64_t stalled_until_ns;
};

/* The page that holds byte `off`, made if it is not there yet. */
struct page *disk_page(struct sim_disk *disk, uint64_t off);
static inline uint8_t
sector_bit(uint64_t off)
{
	return (uint8_t)(1u << off % PAGE / SECTOR);
}
/* Which of the page's sectors are not on stable media. */
void disk_set_dirty(struct sim_disk *disk, struct page *page, uint8_t dirty);

#endif
