/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an array does in the background (rebuild, resync, scrub) as people
 * see it: progress in the pool's status, an entry in the list of jobs.
 */
#ifndef ADMIN_TASKS_H
#define ADMIN_TASKS_H

#include "admin/dozo.h"

/* The array told something: a task may have begun or ended. */
void array_task_note(struct dozo_pool *pool);
/* {"task", "done", "total", "percent", ...}, or NULL if none runs. */
json_t *array_task_json(const struct raid_info *info);
/* Running tasks as jobs, appended to the list. */
void array_tasks_append(struct dozo *d, json_t *list);
/* The open pool whose running task is job `id`, or NULL. */
struct dozo_pool *array_task_find(struct dozo *d, unsigned id);
json_t *array_task_job_json(struct dozo_pool *pool);

#endif
