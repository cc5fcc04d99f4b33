/* SPDX-License-Identifier: BSD-2-Clause */
/* Handlers of the verbs, by topic; verbs.c has the table. */
#ifndef ADMIN_VERBS_H
#define ADMIN_VERBS_H

#include "admin/req.h"

/* verb_status.c */
void verb_status(struct req *req);
void verb_version(struct req *req);
void verb_ops(struct req *req);
/* Sessions on the target of this IQN; first (may be NULL): an initiator. */
unsigned sessions_of(struct dozo *d, const char *iqn, char *first,
    size_t size);
void verb_sessions(struct req *req);
void verb_session_drop(struct req *req);
void verb_knocks(struct req *req);
void verb_stats(struct req *req);
void verb_events(struct req *req);
void verb_job_list(struct req *req);
void verb_job_show(struct req *req);

/* verb_history.c */
void verb_history(struct req *req);

/* verb_disk.c */
void verb_disk_list(struct req *req);
void verb_disk_list_end(struct req *req);
void verb_disk_show(struct req *req);
void verb_disk_show_end(struct req *req);
void verb_disk_locate(struct req *req);
void verb_disk_locate_end(struct req *req);
void verb_disk_fail(struct req *req);
void verb_disk_fail_end(struct req *req);
void verb_disk_fault(struct req *req);

/* verb_pool.c */
void verb_pool_create_look(struct req *req);
void verb_pool_create(struct req *req);
void verb_pool_create_end(struct req *req);
void verb_pool_list(struct req *req);
void verb_pool_status(struct req *req);
void verb_pool_stop(struct req *req);
void verb_pool_stop_end(struct req *req);
void verb_pool_start(struct req *req);
void verb_pool_start_end(struct req *req);
void verb_pool_import(struct req *req);
void verb_pool_import_end(struct req *req);
void verb_pool_export(struct req *req);
void verb_pool_export_end(struct req *req);
void verb_pool_delete(struct req *req);
void verb_pool_delete_end(struct req *req);
json_t *pool_json(const struct dozo_pool *pool);

/* The pool that is named; NULL with err. */
struct dozo_pool *find_pool(struct req *req);

/* verb_array.c */
void verb_pool_add_look(struct req *req);
void verb_pool_add(struct req *req);
void verb_pool_add_end(struct req *req);
void verb_pool_replace(struct req *req);
void verb_pool_set(struct req *req);
void verb_pool_set_end(struct req *req);
void verb_pool_scrub(struct req *req);
void verb_job_cancel(struct req *req);

/* verb_volume.c */
void verb_volume_create(struct req *req);
void verb_volume_create_end(struct req *req);
void verb_volume_list(struct req *req);
void verb_volume_show(struct req *req);
void verb_volume_grow(struct req *req);
void verb_volume_grow_end(struct req *req);
void verb_volume_set(struct req *req);
void verb_volume_set_end(struct req *req);
void verb_volume_rename(struct req *req);
void verb_volume_rename_end(struct req *req);
void verb_volume_delete(struct req *req);
void verb_volume_delete_end(struct req *req);
void verb_rescue(struct req *req);
json_t *volume_json(const struct dozo_volume *volume);

/* verb_target.c */
void verb_target_create(struct req *req);
void verb_target_list(struct req *req);
void verb_target_delete(struct req *req);
void verb_portal_add(struct req *req);
void verb_portal_list(struct req *req);
void verb_portal_remove(struct req *req);

/* verb_host.c */
void verb_host_create(struct req *req);
void verb_host_set(struct req *req);
void verb_host_list(struct req *req);
void verb_host_delete(struct req *req);
void verb_map(struct req *req);
void verb_unmap(struct req *req);
void verb_map_list(struct req *req);

/* verb_user.c */
void verb_user_create(struct req *req);
void verb_user_create_end(struct req *req);
void verb_user_list(struct req *req);
void verb_user_set(struct req *req);
void verb_user_password(struct req *req);
void verb_user_password_end(struct req *req);
void verb_user_delete(struct req *req);
void verb_token_create(struct req *req);
void verb_token_list(struct req *req);
void verb_token_delete(struct req *req);

/* verb_config.c */
void verb_config_export(struct req *req);
void verb_config_export_end(struct req *req);
void verb_config_import(struct req *req);
void verb_config_history(struct req *req);
void verb_config_history_end(struct req *req);

/* verb_support.c */
void verb_log(struct req *req);
void verb_support_bundle(struct req *req);
void verb_support_bundle_end(struct req *req);

#endif
