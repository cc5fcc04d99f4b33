/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the partial parity log: one log on each member, one header in
 * flight on each.  Rows that come while a header is in flight are gathered
 * into the next one, so the cost is shared when there is load.
 *
 * Recovery replays only the newest header of a member.  Hence the invariant:
 * a header is overwritten only after all rows it names are complete and what
 * they wrote is on stable media (retired).  The header always goes to the
 * start of the area; the generation never falls, so what is left of longer
 * records behind it is never taken for newer.
 */
#include "raid/ppl_log.h"

#include <assert.h>
#include <errno.h>

#include "raid/raid_priv.h"

#define BATCH_BYTES (512 * KIB)	/* partial parity of one header, at most */

enum ppl_step { PL_GATHER, PL_WRITTEN, PL_RETIRE, PL_FLUSHED };
static const char *const ppl_steps[] = {
	"GATHER", "WRITTEN", "RETIRE", "FLUSHED",
};

static struct member *
log_member(const struct ppl_log *log)
{
	return &log->raid->member[log->role];
}

/* Entries and bytes of one row: one entry for each band. */
static uint64_t
row_pp_bytes(const struct row_plan *plan)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < plan->nbands; i++)
		if (plan->band[i].method != ROW_FULL)
			bytes += plan->band[i].at.hi - plan->band[i].at.lo;
	return bytes;
}

static void
add_row(struct ppl_log *log, struct row *row)
{
	const struct row_plan *plan = &row->work.plan;
	struct ppl_header *header = &log->header;

	for (unsigned i = 0; i < plan->nbands; i++) {
		const struct row_band *band = &plan->band[i];
		struct ppl_entry *entry = &header->entry[header->nentries++];
		struct iovec *iov = &log->iov[log->niov];

		ppl_entry_of_band(entry, plan, band);
		assert(entry->parity_disk == log->role);
		if (entry->pp_size == 0)
			continue;
		iov->iov_base = row_slot(plan, row->work.slots, plan->parity,
		    band->at.lo);
		iov->iov_len = entry->pp_size;
		entry->checksum = ppl_crc(iov->iov_base, iov->iov_len);
		log->niov++;
		log->bytes += entry->pp_size;
	}
	assert(header->nentries <= PPL_ENTRIES);
	STAILQ_INSERT_TAIL(&log->batch, row, log_queue);
	log->open++;
}

/* Take what fits into one header. */
static void
gather(struct ppl_log *log)
{
	uint64_t max = MIN(log->area_len, BATCH_BYTES + PPL_HEADER);
	struct row *row;

	log->header.nentries = 0;
	log->niov = 1;
	log->bytes = PPL_HEADER;
	log->dirty = 0;
	assert(log->open == 0 && STAILQ_EMPTY(&log->batch));
	while ((row = STAILQ_FIRST(&log->waiting)) != NULL) {
		const struct row_plan *plan = &row->work.plan;

		if (log->header.nentries + plan->nbands > PPL_ENTRIES ||
		    log->bytes + row_pp_bytes(plan) > max)
			break;
		STAILQ_REMOVE_HEAD(&log->waiting, log_queue);
		add_row(log, row);
	}
	assert(log->open > 0);
	assert(log->bytes <= max && log->niov <= PPL_ENTRIES + 1);
	log->raid->ppl_entries += log->header.nentries;
	log->raid->ppl_headers++;
}

static void
write_header(struct ppl_log *log, struct op *op)
{
	struct member *m = log_member(log);

	assert(range_ok(0, log->bytes, log->area_len));
	assert(log->area_off + log->area_len <= m->data_off);
	log->header.signature = log->raid->ppl_signature;
	log->header.generation = ++log->raid->ppl_generation;
	ppl_encode(&log->header, log->buf);
	log->iov[0] = (struct iovec){ log->buf, PPL_HEADER };
	io_init(&log->io, IO_WRITE, log->area_off, log->bytes, log->iov,
	    log->niov, IO_FUA);
	log->io.result = -ENODEV;
	if (member_live(m) && !log->raid->failed)
		member_io(m, &log->io, op);
}

/* The rows may write now; the parity member may just have been lost. */
static void
release_rows(struct ppl_log *log)
{
	struct row *row;

	if (log->io.result != 0)
		member_fail(log_member(log), "its partial parity log could "
		    "not be written");
	while ((row = STAILQ_FIRST(&log->batch)) != NULL) {
		STAILQ_REMOVE_HEAD(&log->batch, log_queue);
		op_unhold(&row->op);
	}
}

static void
flush_written(struct ppl_log *log, struct op *op)
{
	for (unsigned r = 0; r < log->raid->map.n; r++) {
		log->flush[r].result = 0;
		if ((log->dirty >> r & 1) != 0 &&
		    member_live(&log->raid->member[r]))
			member_submit(&log->raid->member[r], &log->flush[r],
			    IO_FLUSH, 0, 0, NULL, 0, 0, op);
	}
}

static void
note_flushed(struct ppl_log *log)
{
	for (unsigned r = 0; r < log->raid->map.n; r++)
		if (log->flush[r].result != 0)
			member_fail(&log->raid->member[r], "a flush failed");
}

static void
ppl_log_run(struct op *op)
{
	struct ppl_log *log = op_owner(op, struct ppl_log);

	switch ((enum ppl_step)op->step) {
	case PL_GATHER:
		if (STAILQ_EMPTY(&log->waiting)) {
			log->running = false;
			op_end(op);
			op_wake_all(&log->raid->idle_waiting);
			return;
		}
		gather(log);
		write_header(log, op);
		op->step = PL_WRITTEN;
		return;
	case PL_WRITTEN:
		op_hold(op);		/* until the last row is done */
		release_rows(log);
		op->step = PL_RETIRE;
		return;
	case PL_RETIRE:
		flush_written(log, op);
		op->step = PL_FLUSHED;
		return;
	case PL_FLUSHED:
		note_flushed(log);
		/* Who lost writes is on disk before what names them goes. */
		if (log->raid->gen_durable < log->raid->gen_failed)
			raid_record(log->raid, op);
		op->step = PL_GATHER;
		return;
	}
	bug("ppl_log: bad step");
}

static const struct op_type ppl_log_type = {
	.name = "ppl_log",
	.steps = ppl_steps,
	.nsteps = nitems(ppl_steps),
	.run = ppl_log_run,
};

void
ppl_log_row(struct raid *raid, struct row *row)
{
	const struct row_plan *plan = &row->work.plan;
	struct ppl_log *log;

	assert(row->log == NULL);
	if (raid->ppl == NULL || plan->slot[plan->parity] == NO_SLOT)
		return;
	log = &raid->ppl[plan->parity];
	row->log = log;
	op_hold(&row->op);
	STAILQ_INSERT_TAIL(&log->waiting, row, log_queue);
	if (log->running)
		return;
	log->running = true;
	op_start(&log->op, &ppl_log_type, row->op.sched, NULL);
}

void
ppl_row_done(struct row *row, bool durable)
{
	struct ppl_log *log = row->log;
	const struct row_plan *plan = &row->work.plan;

	if (log == NULL)
		return;
	row->log = NULL;
	for (unsigned i = 0; i < plan->nwrites && !durable; i++)
		log->dirty |= UINT32_C(1) << plan->write[i].role;
	assert(log->open > 0);
	if (--log->open == 0)
		op_unhold(&log->op);
}

bool
ppl_has_area(const struct sb1 *sb)
{
	return (sb->feature_map & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0 &&
	    sb->ppl_offset > 0 && sb->ppl_offset % 8 == 0 &&
	    sb->ppl_size * SECTOR >= PPL_AREA_MIN;
}
_Static_assert(PPL_AREA_MIN % 4096 == 0, "it is the same in whole blocks");

void
ppl_set_area(struct raid *raid, unsigned role)
{
	struct ppl_log *log = &raid->ppl[role];
	const struct sb1 *sb = &raid->member[role].sb;

	assert(!log->running && sb->ppl_offset > 0);
	log->raid = raid;
	log->role = role;
	log->area_off = (SB1_SECTOR + (uint64_t)sb->ppl_offset) * SECTOR;
	log->area_len = round_down(sb->ppl_size * SECTOR, 4096);
	log->buf = raid->ppl_mem + role * (size_t)PPL_HEADER;
	STAILQ_INIT(&log->waiting);
	STAILQ_INIT(&log->batch);
	assert(log->area_len >= PPL_AREA_MIN);
}

void
ppl_submit_empty(struct ppl_log *log, struct op *op)
{
	assert(!log->running);
	log->header.nentries = 0;
	log->niov = 1;
	log->bytes = PPL_HEADER;
	write_header(log, op);
}

bool
ppl_idle(const struct raid *raid)
{
	for (unsigned r = 0; raid->ppl != NULL && r < raid->map.n; r++)
		if (raid->ppl[r].running)
			return false;
	return true;
}
