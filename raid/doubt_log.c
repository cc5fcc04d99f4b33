/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of what is in doubt: written with a superblock update, read at
 * assembly.
 *
 * Invariants: the record is durable on all members before the superblocks of
 * the same update, and before anything else is written that would destroy
 * what the doubt was concluded from; it never says less than what is in doubt
 * after a power cut, for it follows a flush.
 */
#include "raid/doubt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "raid/raid_priv.h"

uint64_t
doubt_area(const struct member *m)
{
	struct sb1_areas areas;
	uint64_t end;

	sb1_areas(&areas, 0);
	end = areas.private_start + areas.private_size;
	if (m->blk == NULL || m->sb.data_offset < end)
		return 0;
	return round_down(end * SECTOR, 4096) - 2 * DOUBT_SLOT;
}

void
doubt_write(struct raid *raid, struct op *op)
{
	struct doubt_log *log = &raid->doubt_log;
	size_t len;

	for (unsigned r = 0; r < raid->map.n; r++)
		log->io[r].result = 0;
	if (!log->stale)
		return;
	log->stale = false;
	len = doubt_encode(&raid->doubt_stable, raid->spec.uuid,
	    ++log->generation, log->buf);
	log->iov = (struct iovec){ log->buf, round_up(len, 4096) };
	for (unsigned r = 0; r < raid->map.n; r++) {
		struct member *m = &raid->member[r];
		uint64_t at = doubt_area(m);

		if (!member_live(m) || at == 0)
			continue;
		io_init(&log->io[r], IO_WRITE, at + log->generation % 2 *
		    DOUBT_SLOT, log->iov.iov_len, &log->iov, 1, IO_FUA);
		member_io(m, &log->io[r], op);
	}
}

void
doubt_note_written(struct raid *raid)
{
	for (unsigned r = 0; r < raid->map.n; r++) {
		struct member *m = &raid->member[r];

		if (raid->doubt_log.io[r].result == 0)
			continue;
		m->write_errors++;
		member_fail(m, "its record of parity in doubt could not be "
		    "written");
		raid->doubt_log.io[r].result = 0;
	}
}

void
doubt_load_start(struct doubt_load *load, struct raid *raid, struct op *op)
{
	load->mem = aligned_alloc(4096, raid->map.n * 2 * (size_t)DOUBT_SLOT);
	for (unsigned r = 0; r < raid->map.n; r++) {
		struct member *m = &raid->member[r];
		uint64_t at = doubt_area(m);

		load->io[r].result = -ENODATA;
		if (m->blk == NULL || at == 0 || load->mem == NULL)
			continue;
		load->iov[r] = (struct iovec){ load->mem + r * 2 *
			(size_t)DOUBT_SLOT, 2 * DOUBT_SLOT };
		io_init(&load->io[r], IO_READ, at, 2 * DOUBT_SLOT,
		    &load->iov[r], 1, 0);
		blk_submit(m->blk, &load->io[r], op);
	}
}

/* The newest record of all; each member's own newest in have[]. */
static const uint8_t *
find_newest(const struct doubt_load *load, struct raid *raid,
    struct doubt *doubt, uint64_t have[])
{
	const uint8_t *best = NULL, *buf;
	uint64_t generation;

	for (unsigned r = 0; r < raid->map.n; r++) {
		have[r] = 0;
		for (unsigned slot = 0; slot < 2; slot++) {
			if (load->io[r].result != 0)
				break;
			buf = (const uint8_t *)load->iov[r].iov_base +
			    slot * (size_t)DOUBT_SLOT;
			if (!doubt_decode(doubt, buf, raid->spec.uuid,
			    raid->map.member_size, &generation))
				continue;
			have[r] = MAX(have[r], generation);
			if (generation <= raid->doubt_log.generation)
				continue;
			raid->doubt_log.generation = generation;
			best = buf;
		}
	}
	return best;
}

bool
doubt_load_end(struct doubt_load *load, struct raid *raid,
    struct doubt *doubt, bool *all)
{
	uint64_t have[RAID_MEMBERS_MAX], generation;
	const uint8_t *best = find_newest(load, raid, doubt, have);
	bool found;

	doubt_clear(doubt);
	found = best != NULL && doubt_decode(doubt, best, raid->spec.uuid,
	    raid->map.member_size, &generation);
	*all = found;
	for (unsigned r = 0; r < raid->map.n; r++)
		if (doubt_area(&raid->member[r]) != 0 &&
		    have[r] != raid->doubt_log.generation)
			*all = false;
	free(load->mem);
	load->mem = NULL;
	return found;
}
