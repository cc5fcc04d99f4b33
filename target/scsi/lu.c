/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logical units: a blk with an identity, a task set, reservations and mode
 * parameters.
 *
 * Invariants: nblocks and the limits follow the geometry of the blk and
 * change only in scsi_lu_capacity_changed() and scsi_lu_set_params();
 * reserved is true exactly when an SPC-2 or persistent reservation is held.
 */
#define LOG_AREA LOG_SCSI
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "target/scsi/scsi_priv.h"

/* The NAA 6 company id: locally chosen, the random rest makes it unique. */
#define NAA_FIRST	0x60u

void
scsi_lu_id_from_uuid(struct scsi_lu_id *id, const uint8_t uuid[16])
{
	memcpy(id->naa, uuid, sizeof(id->naa));
	id->naa[0] = (uint8_t)(NAA_FIRST | (uuid[0] & 0x0fu));
	/* Fold to 8 bytes; EUI-64 with the local bit set. */
	for (unsigned i = 0; i < sizeof(id->eui64); i++)
		id->eui64[i] = uuid[i] ^ uuid[i + 8];
	id->eui64[0] = (uint8_t)((id->eui64[0] & 0xfcu) | 0x02u);
	for (unsigned i = 0; i < 16; i++)
		snprintf(id->serial + 2 * i, 3, "%02x", uuid[i]);
	assert(strlen(id->serial) == 32);
}

bool
lu_can_unmap(const struct scsi_lu *lu)
{
	return lu->limits.unmap_max != 0;
}

static void
read_geometry(struct scsi_lu *lu)
{
	const struct blk_geometry *geo = &lu->blk->geo;

	lu->block = geo->logical_block;
	lu->shift = (unsigned)__builtin_ctz(lu->block);
	lu->nblocks = geo->size >> lu->shift;
	scsi_limits_from_geometry(&lu->limits, geo, lu->params.thin);
	assert(lu->block == 1u << lu->shift);
	assert(lu->nblocks > 0 && geo->size % lu->block == 0);
}

struct scsi_lu *
scsi_lu_new(struct loop *loop, struct blk *blk,
    const struct scsi_lu_params *params, const struct scsi_lu_store *store)
{
	struct scsi_lu *lu = calloc(1, sizeof(*lu));

	assert(loop != NULL && blk != NULL && params->id.serial[0] != '\0');
	if (lu == NULL)
		return NULL;
	lu->work = aligned_alloc(BUF_SMALL, WORK_LEN);
	if (lu->work == NULL) {
		free(lu);
		return NULL;
	}
	lu->loop = loop;
	lu->blk = blk;
	lu->params = *params;
	if (store != NULL)
		lu->store = *store;
	LIST_INIT(&lu->views);
	TAILQ_INIT(&lu->tasks);
	op_queue_init(&lu->drain);
	op_queue_init(&lu->aborts);
	op_queue_init(&lu->work_queue);
	op_queue_init(&lu->pr_queue);
	lba_locks_init(&lu->locks);
	pr_init(&lu->pr);
	read_geometry(lu);
	return lu;
}

void
scsi_lu_free(struct scsi_lu *lu)
{
	if (lu == NULL)
		return;
	assert(lu->ntasks == 0 && LIST_EMPTY(&lu->views));
	assert(!lu->work_busy && TAILQ_EMPTY(&lu->locks.queue));
	assert(!lu->pr_busy && lu->spc2_holder == NULL);
	assert(lu->nbarriers == 0 && lu->ndormant == 0);
	pr_fini(&lu->pr);
	free(lu->work);
	free(lu);
}

void
scsi_lu_load(struct scsi_lu *lu, const void *blob, size_t len)
{
	if (pr_blob_decode(&lu->pr, blob, len) != 0)
		log_warn("lun=%s: saved reservations cannot be read, ignored",
		    lu->params.name);
	pr_relink(lu);
	lu_reservation_changed(lu);
}

void
scsi_lu_capacity_changed(struct scsi_lu *lu)
{
	uint64_t before = lu->nblocks;

	assert(lu->block == lu->blk->geo.logical_block);
	read_geometry(lu);
	if (lu->nblocks != before)
		ua_raise_others(lu, NULL, UA_CAPACITY_CHANGED);
}

void
scsi_lu_set_params(struct scsi_lu *lu, const struct scsi_lu_params *params)
{
	bool mode = params->write_cache != lu->params.write_cache ||
	    params->read_only != lu->params.read_only;
	bool inquiry = params->removable != lu->params.removable ||
	    params->thin != lu->params.thin;

	lu->params = *params;
	read_geometry(lu);
	if (mode)
		ua_raise_others(lu, NULL, UA_MODE_CHANGED);
	if (inquiry)
		ua_raise_others(lu, NULL, UA_INQUIRY_CHANGED);
}

void
scsi_lu_drain(struct scsi_lu *lu, struct op *op)
{
	if (lu->ntasks > 0)
		op_wait(&lu->drain, op);
}

void
scsi_lu_get_stats(const struct scsi_lu *lu, struct scsi_lu_stats *stats)
{
	*stats = lu->stats;
}

void
lu_reservation_changed(struct scsi_lu *lu)
{
	assert(lu->spc2_holder == NULL || !lu->spc2_holder->gone);
	lu->reserved = lu->spc2_holder != NULL || lu->pr.type != PR_NONE;
}

void
lu_spc2_release(struct scsi_lu *lu)
{
	lu->spc2_holder = NULL;
	lu_reservation_changed(lu);
}

/* --- the work area: memory for reading back, one user at a time --- */

void
lu_work_take(struct scsi_lu *lu, struct op *op)
{
	if (lu->work_busy)
		op_wait(&lu->work_queue, op);	/* handed over by give */
	lu->work_busy = true;
}

void
lu_work_give(struct scsi_lu *lu)
{
	assert(lu->work_busy);
	if (!op_wake(&lu->work_queue))
		lu->work_busy = false;
}

/* --- persistent reservations change one at a time, saving included --- */

void
lu_pr_lock(struct scsi_lu *lu, struct op *op)
{
	if (lu->pr_busy)
		op_wait(&lu->pr_queue, op);
	lu->pr_busy = true;
}

void
lu_pr_unlock(struct scsi_lu *lu)
{
	assert(lu->pr_busy);
	if (!op_wake(&lu->pr_queue))
		lu->pr_busy = false;
}
