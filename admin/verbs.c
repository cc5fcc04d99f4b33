/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of verbs: each name of schema.c with its handlers. */
#include "config.h"

#include "admin/verbs.h"

#include <string.h>

const struct verb verbs[] = {
	{ "status", verb_status, NULL },
	{ "version", verb_version, NULL },
	{ "ops", verb_ops, NULL },
	{ "sessions", verb_sessions, NULL },
	{ "session.drop", verb_session_drop, NULL },
	{ "knocks", verb_knocks, NULL },
	{ "stats", verb_stats, NULL },
	{ "events", verb_events, NULL },
	{ "job.list", verb_job_list, NULL },
	{ "job.show", verb_job_show, NULL },
	{ "disk.list", verb_disk_list, verb_disk_list_end },
	{ "disk.show", verb_disk_show, verb_disk_show_end },
	{ "disk.fail", verb_disk_fail, verb_disk_fail_end },
	{ "disk.fault", verb_disk_fault, NULL },
	{ "pool.create", verb_pool_create, verb_pool_create_end },
	{ "pool.list", verb_pool_list, NULL },
	{ "pool.status", verb_pool_status, NULL },
	{ "pool.stop", verb_pool_stop, verb_pool_stop_end },
	{ "pool.start", verb_pool_start, verb_pool_start_end },
	{ "pool.import", verb_pool_import, verb_pool_import_end },
	{ "pool.export", verb_pool_export, verb_pool_export_end },
	{ "pool.delete", verb_pool_delete, verb_pool_delete_end },
	{ "volume.create", verb_volume_create, verb_volume_create_end },
	{ "volume.list", verb_volume_list, NULL },
	{ "volume.show", verb_volume_show, NULL },
	{ "volume.grow", verb_volume_grow, verb_volume_grow_end },
	{ "volume.set", verb_volume_set, verb_volume_set_end },
	{ "volume.rename", verb_volume_rename, verb_volume_rename_end },
	{ "volume.delete", verb_volume_delete, verb_volume_delete_end },
	{ "target.create", verb_target_create, NULL },
	{ "target.list", verb_target_list, NULL },
	{ "target.delete", verb_target_delete, NULL },
	{ "portal.add", verb_portal_add, NULL },
	{ "portal.list", verb_portal_list, NULL },
	{ "portal.remove", verb_portal_remove, NULL },
	{ "host.create", verb_host_create, NULL },
	{ "host.list", verb_host_list, NULL },
	{ "host.delete", verb_host_delete, NULL },
	{ "map", verb_map, NULL },
	{ "unmap", verb_unmap, NULL },
	{ "map.list", verb_map_list, NULL },
	{ "user.create", verb_user_create, verb_user_create_end },
	{ "user.list", verb_user_list, NULL },
	{ "user.set", verb_user_set, NULL },
	{ "user.password", verb_user_password, verb_user_password_end },
	{ "user.delete", verb_user_delete, NULL },
	{ "token.create", verb_token_create, NULL },
	{ "token.list", verb_token_list, NULL },
	{ "token.delete", verb_token_delete, NULL },
	{ "config.export", verb_config_export, verb_config_export_end },
	{ "config.import", verb_config_import, NULL },
	{ "config.history", verb_config_history, NULL },
	{ "rescue", verb_rescue, NULL },
	{ NULL, NULL, NULL },
};

const struct verb *
verb_find(const char *name)
{
	for (const struct verb *verb = verbs; verb->name != NULL; verb++) {
		if (strcmp(verb->name, name) == 0)
			return verb;
	}
	return NULL;
}
