/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Background tasks of arrays.
 *
 * Invariant: a task keeps its job number as long as it runs; jobs and tasks
 * never share a number.
 */
#include "config.h"

#include "admin/tasks.h"

#include <assert.h>

#include "admin/req.h"

void
array_task_note(struct dozo_pool *pool)
{
	struct raid_info a;

	assert(pool->raid != NULL);
	raid_get_info(pool->raid, &a);
	if (a.task == pool->task)
		return;
	pool->task = a.task;
	pool->task_start_ns = loop_now(pool->dozo->loop);
	if (a.task != RAID_TASK_NONE)
		pool->task_id = job_new_id(pool->dozo);
}

static double
percent(const struct raid_info *info)
{
	assert(info->task_done <= info->task_total);
	if (info->task_total == 0)
		return 0;
	return (double)(info->task_done / 1024 * 1000 /
	    MAX(info->task_total / 1024, 1)) / 10.0;
}

json_t *
array_task_json(const struct raid_info *info)
{
	json_t *json;

	if (info->task == RAID_TASK_NONE)
		return NULL;
	json = json_pack("{s:s, s:o, s:o, s:f, s:o}",
	    "task", raid_task_name(info->task),
	    "done_bytes", json_bytes(info->task_done),
	    "total_bytes", json_bytes(info->task_total),
	    "percent", percent(info),
	    "rate_bytes_s", json_bytes(info->task_rate));
	if (json != NULL && info->task_rate > 0)
		json_object_set_new(json, "eta_s",
		    json_integer((json_int_t)info->task_eta));
	if (json != NULL && info->task == RAID_TASK_REBUILD &&
	    info->used_known) {
		json_object_set_new(json, "used_left_bytes",
		    json_bytes(info->used_left));
		if (info->task_rate > 0)
			json_object_set_new(json, "used_eta_s",
			    json_integer((json_int_t)info->used_eta));
	}
	return json;
}

/* Does a task run?  Then it has a number. */
static bool
array_task_runs(struct dozo_pool *pool)
{
	if (pool->state != DOZO_POOL_ONLINE)
		return false;
	array_task_note(pool);
	assert(pool->task == RAID_TASK_NONE || pool->task_id > 0);
	return pool->task != RAID_TASK_NONE;
}

json_t *
array_task_job_json(struct dozo_pool *pool)
{
	uint64_t now = loop_now(pool->dozo->loop);
	struct raid_info a;
	json_t *json;

	assert(pool->task_id > 0 && now >= pool->task_start_ns);
	raid_get_info(pool->raid, &a);
	json = array_task_json(&a);
	if (json == NULL)
		return NULL;
	json_object_del(json, "task");
	json_object_update_new(json, json_pack("{s:i, s:s, s:s, s:s, s:f}",
	    "id", (int)pool->task_id, "verb", raid_task_name(a.task),
	    "object", pool->name, "state", "running", "elapsed_s",
	    (double)(now - pool->task_start_ns) / 1e9));
	return json;
}

void
array_tasks_append(struct dozo *d, json_t *list)
{
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &d->pools, link) {
		if (array_task_runs(pool))
			json_array_append_new(list, array_task_job_json(pool));
	}
}

struct dozo_pool *
array_task_find(struct dozo *d, unsigned id)
{
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &d->pools, link) {
		if (array_task_runs(pool) && pool->task_id == id)
			return pool;
	}
	return NULL;
}
