/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Volumes as logical units: identity from the volume's UUID, flags from its
 * write policy, persistent reservations in pr/UUID of the state directory.
 *
 * Invariant: each volume of an open pool has exactly one LU, mapped or not.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/dozo.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/reservations.h"
#include "core/log.h"

struct pr_save {
	struct op op;
	struct dozo *dozo;
	struct work work;
	char name[UUID_SIZE + 4];
	void *blob;
	size_t len;
	int *result;
	struct err err;
};

enum pr_save_step { PR_SAVE_WRITE, PR_SAVE_DONE };

static const char *const pr_save_steps[] = { "WRITE", "DONE" };

static void pr_save_run(struct op *op);

static const struct op_type pr_save_type = {
	.name = "pr_save",
	.steps = pr_save_steps,
	.nsteps = nitems(pr_save_steps),
	.run = pr_save_run,
};

/* On the helper thread. */
static void
pr_write(void *arg)
{
	struct pr_save *save = arg;

	assert(save->blob != NULL && save->result != NULL);
	state_write(save->dozo->state, save->name, save->blob, save->len,
	    &save->err);
}

static void
pr_save_run(struct op *op)
{
	struct pr_save *save = op_owner(op, struct pr_save);

	switch ((enum pr_save_step)op->step) {
	case PR_SAVE_WRITE:
		work_start(save->dozo->worker, &save->work, pr_write, save,
		    op);
		op->step = PR_SAVE_DONE;
		return;
	case PR_SAVE_DONE:
		if (err_is(&save->err))
			log_err("persistent reservations: %s",
			    save->err.text);
		else
			reservations_changed(save->dozo);
		*save->result = -save->err.code;
		op_end(op);
		free(save->blob);
		free(save);
		return;
	}
	bug("pr_save: bad step %u", op->step);
}

/* scsi_lu_store: durable when the waiter goes on. */
static void
lu_save(void *arg, const void *blob, size_t len, int *result,
    struct op *waiter)
{
	struct dozo_volume *volume = arg;
	struct dozo *d = volume->pool->dozo;
	struct pr_save *save = calloc(1, sizeof(*save));

	assert(waiter != NULL && result != NULL);
	if (save != NULL)
		save->blob = malloc(len > 0 ? len : 1);
	if (save == NULL || save->blob == NULL) {
		free(save);
		*result = -ENOMEM;
		return;
	}
	memcpy(save->blob, blob, len);
	save->len = len;
	save->dozo = d;
	save->result = result;
	snprintf(save->name, sizeof(save->name), "pr/%s", volume->uuid);
	op_start(&save->op, &pr_save_type, loop_sched(d->loop), waiter);
}

static void
lu_load(struct dozo_volume *volume)
{
	struct err err = { 0 };
	char name[UUID_SIZE + 4];
	char *blob;
	size_t len;
	int r;

	assert(volume->lu != NULL);
	snprintf(name, sizeof(name), "pr/%s", volume->uuid);
	r = state_read(volume->pool->dozo->state, name, &blob, &len, &err);
	if (r == 0)
		scsi_lu_load(volume->lu, blob, len);
	else if (r != -ENOENT)
		log_err("persistent reservations are lost: %s", err.text);
	free(blob);
}

static void
lu_params(const struct dozo_volume *volume, struct scsi_lu_params *params)
{
	struct volume_info info;

	assert(volume->volume != NULL);
	memset(params, 0, sizeof(*params));
	volume_get_info(volume->volume, &info);
	scsi_lu_id_from_uuid(&params->id, info.uuid);
	snprintf(params->name, sizeof(params->name), "%s/%s",
	    volume->pool->name, info.name);
	params->write_cache = info.policy != WRITE_DURABLE;
	params->durable = info.policy == WRITE_DURABLE;
	params->thin = !info.thick;
}

static bool
write_back(const struct dozo *d, const struct volume_info *info)
{
	return info->policy == WRITE_BACK && !d->power_failing;
}

struct dozo_volume *
dozo_volume_add(struct dozo_pool *pool, struct volume *volume, struct err *err)
{
	struct dozo_volume *dv = calloc(1, sizeof(*dv));
	struct scsi_lu_params params;
	struct scsi_lu_store store = { .save = lu_save, .arg = dv };
	struct volume_info info;

	assert(volume != NULL);
	if (dv == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	dv->pool = pool;
	dv->volume = volume;
	volume_get_info(volume, &info);
	uuid_print(info.uuid, dv->uuid);
	lu_params(dv, &params);
	if (pool->dozo->cache != NULL)
		dv->cached = cache_blk_new(pool->dozo->cache,
		    volume_blk(volume), write_back(pool->dozo, &info));
	dv->lu = scsi_lu_new(pool->dozo->loop, dv->cached != NULL ?
	    dv->cached : volume_blk(volume), &params, &store);
	if (dv->lu == NULL) {
		blk_close(dv->cached);
		free(dv);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	lu_load(dv);
	TAILQ_INSERT_TAIL(&pool->volumes, dv, link);
	return dv;
}

void
dozo_volume_flush(struct dozo_volume *dv, struct op *op)
{
	if (dv->cached == NULL)
		return;
	dv->close = (struct cache_close){ .blk = dv->cached };
	cache_close_start(&dv->close, op);
	dv->cached = NULL;
}

void
dozo_volume_remove(struct dozo_volume *dv)
{
	assert(dv->lu != NULL && dv->cached == NULL);
	if (dv->close.lost_bytes > 0)
		log_err("volume=%s/%s: %" PRIu64 " bytes of cached data could "
		    "not be written and are lost", dv->pool->name,
		    volume_blk(dv->volume)->name, dv->close.lost_bytes);
	TAILQ_REMOVE(&dv->pool->volumes, dv, link);
	scsi_lu_free(dv->lu);
	free(dv);
}

void
dozo_volume_refresh(struct dozo_volume *dv)
{
	struct scsi_lu_params params;
	struct volume_info info;

	assert(dv->lu != NULL);
	lu_params(dv, &params);
	volume_get_info(dv->volume, &info);
	if (dv->cached != NULL) {
		cache_blk_refresh(dv->cached);
		cache_blk_set_write_back(dv->cached,
		    write_back(dv->pool->dozo, &info));
	}
	scsi_lu_set_params(dv->lu, &params);
}

void
dozo_volume_grown(struct dozo_volume *dv)
{
	if (dv->cached != NULL)
		cache_blk_refresh(dv->cached);
	scsi_lu_capacity_changed(dv->lu);
}

void
dozo_power(struct dozo *d, bool failing)
{
	struct dozo_pool *pool;
	struct dozo_volume *dv;

	if (d->power_failing == failing)
		return;
	d->power_failing = failing;
	log_warn("%s", failing ?
	    "the power is failing: writes no longer end in memory" :
	    "the power is back: write policies are as configured");
	TAILQ_FOREACH(pool, &d->pools, link)
		TAILQ_FOREACH(dv, &pool->volumes, link)
			dozo_volume_refresh(dv);
}
