/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of verbs: each name of schema.c with its handlers. */
#include "config.h"

#include "admin/verbs.h"

#include <string.h>

const struct verb verbs[] = {
	{ "status", verb_status, NULL, NULL },
	{ "version", verb_version, NULL, NULL },
	{ "ops", verb_ops, NULL, NULL },
	{ "sessions", verb_sessions, NULL, NULL },
	{ "session.drop", verb_session_drop, NULL, NULL },
	{ "knocks", verb_knocks, NULL, NULL },
	{ "stats", verb_stats, NULL, NULL },
	{ "history", verb_history, NULL, NULL },
	{ "events", verb_events, NULL, NULL },
	{ "job.list", verb_job_list, NULL, NULL },
	{ "job.show", verb_job_show, NULL, NULL },
	{ "job.cancel", verb_job_cancel, NULL, NULL },
	{ "disk.list", verb_disk_list, verb_disk_list_end, NULL },
	{ "disk.show", verb_disk_show, verb_disk_show_end, NULL },
	{ "disk.locate", verb_disk_locate, verb_disk_locate_end, NULL },
	{ "disk.fail", verb_disk_fail, verb_disk_fail_end, NULL },
	{ "disk.fault", verb_disk_fault, NULL, NULL },
	{ "pool.create", verb_pool_create, verb_pool_create_end,
	    verb_pool_create_look },
	{ "pool.list", verb_pool_list, NULL, NULL },
	{ "pool.status", verb_pool_status, NULL, NULL },
	{ "pool.stop", verb_pool_stop, verb_pool_stop_end, NULL },
	{ "pool.start", verb_pool_start, verb_pool_start_end, NULL },
	{ "pool.add-spare", verb_pool_add, verb_pool_add_end,
	    verb_pool_add_look },
	{ "pool.re-add", verb_pool_add, verb_pool_add_end,
	    verb_pool_add_look },
	{ "pool.replace", verb_pool_replace, verb_pool_add_end,
	    verb_pool_add_look },
	{ "pool.set", verb_pool_set, verb_pool_set_end, NULL },
	{ "pool.scrub", verb_pool_scrub, NULL, NULL },
	{ "pool.import", verb_pool_import, verb_pool_import_end, NULL },
	{ "pool.export", verb_pool_export, verb_pool_export_end, NULL },
	{ "pool.delete", verb_pool_delete, verb_pool_delete_end, NULL },
	{ "volume.create", verb_volume_create, verb_volume_create_end, NULL },
	{ "volume.list", verb_volume_list, NULL, NULL },
	{ "volume.show", verb_volume_show, NULL, NULL },
	{ "volume.grow", verb_volume_grow, verb_volume_grow_end, NULL },
	{ "volume.set", verb_volume_set, verb_volume_set_end, NULL },
	{ "volume.rename", verb_volume_rename, verb_volume_rename_end, NULL },
	{ "volume.delete", verb_volume_delete, verb_volume_delete_end, NULL },
	{ "target.create", verb_target_create, NULL, NULL },
	{ "target.list", verb_target_list, NULL, NULL },
	{ "target.delete", verb_target_delete, NULL, NULL },
	{ "portal.add", verb_portal_add, NULL, NULL },
	{ "portal.list", verb_portal_list, NULL, NULL },
	{ "portal.remove", verb_portal_remove, NULL, NULL },
	{ "host.create", verb_host_create, NULL, NULL },
	{ "host.set", verb_host_set, NULL, NULL },
	{ "host.list", verb_host_list, NULL, NULL },
	{ "host.delete", verb_host_delete, NULL, NULL },
	{ "map", verb_map, NULL, NULL },
	{ "unmap", verb_unmap, NULL, NULL },
	{ "map.list", verb_map_list, NULL, NULL },
	{ "user.create", verb_user_create, verb_user_create_end, NULL },
	{ "user.list", verb_user_list, NULL, NULL },
	{ "user.set", verb_user_set, NULL, NULL },
	{ "user.password", verb_user_password, verb_user_password_end, NULL },
	{ "user.delete", verb_user_delete, NULL, NULL },
	{ "token.create", verb_token_create, NULL, NULL },
	{ "token.list", verb_token_list, NULL, NULL },
	{ "token.delete", verb_token_delete, NULL, NULL },
	{ "config.export", verb_config_export, verb_config_export_end, NULL },
	{ "config.import", verb_config_import, NULL, NULL },
	{ "config.history", verb_config_history, verb_config_history_end,
	    NULL },
	{ "log", verb_log, NULL, NULL },
	{ "support-bundle", verb_support_bundle, verb_support_bundle_end,
	    NULL },
	{ "rescue", verb_rescue, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
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
