/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stamps: every sector that is written says which sector of which write it
 * is, in all of its 64-bit words, and memory keeps what must be where.  So a
 * sector that was lost, mixed, torn or put elsewhere is found at the next
 * read, whatever its size.  Generation 0 means: never written, not checked.
 */
#include "bench/load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (SECTOR / sizeof(uint64_t))

struct verify {
	uint32_t generation;		/* of the latest write */
	uint32_t want[];		/* per sector */
};

struct verify *
verify_new(uint64_t size)
{
	struct verify *v = calloc(1, sizeof(*v) +
	    size / SECTOR * sizeof(v->want[0]));

	if (v == NULL)
		die("out of memory");
	return v;
}

static uint64_t
stamp(uint64_t sector, uint32_t generation)
{
	return (sector * 0x9e3779b97f4a7c15u) ^
	    ((uint64_t)generation * 0xd1b54a32d192ed03u);
}

void
verify_stamp(struct verify *v, struct task *task)
{
	task->generation = ++v->generation;
	for (uint32_t at = 0; at < task->len; at += SECTOR) {
		uint64_t sector = (task->off + at) / SECTOR;
		uint64_t word = stamp(sector, task->generation);

		for (size_t i = 0; i < WORDS; i++, word++)
			memcpy(task->buf + at + i * sizeof(word), &word,
			    sizeof(word));
	}
}

void
verify_wrote(struct verify *v, const struct task *task)
{
	for (uint32_t at = 0; at < task->len; at += SECTOR)
		v->want[(task->off + at) / SECTOR] = task->generation;
}

void
verify_check(const struct verify *v, const struct task *task)
{
	for (uint32_t at = 0; at < task->len; at += SECTOR) {
		uint64_t sector = (task->off + at) / SECTOR, have;
		uint64_t word = stamp(sector, v->want[sector]);

		if (v->want[sector] == 0)
			continue;
		for (size_t i = 0; i < WORDS; i++, word++) {
			memcpy(&have, task->buf + at + i * sizeof(have),
			    sizeof(have));
			if (have != word)
				die("wrong data: sector %" PRIu64 " word %zu "
				    "of a read of %u bytes at %" PRIu64
				    ": is %016" PRIx64 ", must be %016" PRIx64,
				    sector, i, task->len, task->off, have,
				    word);
		}
	}
}
