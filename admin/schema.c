/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of verbs and the check of a request against it.  Pure.
 *
 * Invariant: after verb_schema_check() each argument that is there has its
 * type, required ones are there, and nothing else is, so that handlers only
 * check meaning.
 */
#include "config.h"

#include "admin/schema.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/ident.h"
#include "admin/size.h"
#include "core/util.h"

#define JSON_SAFE_MAX ((json_int_t)1 << 53)
#define TEXT_MAX 4096u
#define TEXTS_MAX 64u

#define ARGS(...) .args = (const struct verb_arg[]){ __VA_ARGS__ },	\
	.nargs = nitems(((const struct verb_arg[]){ __VA_ARGS__ }))
#define NAME_ARG(what)							\
	{ "name", ARG_NAME, ARG_REQUIRED | ARG_POSITION, NULL,		\
	    "name of the " what }
#define VOLUME_ARG							\
	{ "volume", ARG_VOLUME, ARG_REQUIRED | ARG_POSITION,		\
	    "POOL/NAME", "the volume" }
#define FORCE_ARG(what)							\
	{ "force", ARG_BOOL, 0, NULL, what }

#define SERIAL_ARG							\
	{ "serial", ARG_TEXTS, 0, "SERIAL...",				\
	    "number of each disk to be erased" }

const struct verb_schema verb_schemas[] = {
	/* --- what is going on --- */
	{ "status", 0, "show health, capacity and who is connected",
	    NULL, 0 },
	{ "version", 0, "show versions of daemon and formats", NULL, 0 },
	{ "ops", 0, "list work in flight with step and age", NULL, 0 },
	{ "sessions", 0, "list iSCSI sessions and what they negotiated",
	    NULL, 0 },
	{ "session.drop", VERB_CHANGE, "close one session",
	    ARGS({ "id", ARG_NUMBER, ARG_REQUIRED | ARG_POSITION, NULL,
	    "number from `dozoctl sessions`" }) },
	{ "knocks", 0, "list initiators that were refused lately", NULL, 0 },
	{ "stats", 0, "show counters of volumes, pools and members",
	    NULL, 0 },
	{ "history", 0, "show the last hour of a volume or member",
	    ARGS({ "of", ARG_TEXT, ARG_POSITION, "OBJECT",
	    "POOL/NAME or path of a member; default all volumes" }) },
	{ "events", 0, "show what happened lately",
	    ARGS({ "since", ARG_NUMBER, 0, "SEQ", "only later ones" },
	    { "follow", ARG_BOOL, 0, NULL, "go on as they happen" }) },
	{ "log", 0, "show the last lines of the log",
	    ARGS({ "lines", ARG_NUMBER, 0, "N", "at most so many" }) },
	{ "support-bundle", 0, "print all that helps to find a fault, without "
	    "secrets", NULL, 0 },
	/* --- disks --- */
	{ "disk.list", 0, "list disks and image files and what is on them",
	    NULL, 0 },
	{ "disk.show", 0, "show one disk or image file",
	    ARGS({ "path", ARG_TEXT, ARG_REQUIRED | ARG_POSITION, "PATH",
	    "device or file" }) },
	{ "disk.locate", 0, "make the activity light of a disk blink",
	    ARGS({ "path", ARG_TEXT, ARG_REQUIRED | ARG_POSITION, "PATH",
	    "device or file" },
	    { "seconds", ARG_NUMBER, 0, "N",
	    "how long, 60 if not given, 0 = no longer" }) },
	{ "disk.fail", VERB_CHANGE, "stop using a member, as if it had failed",
	    ARGS({ "path", ARG_TEXT, ARG_REQUIRED | ARG_POSITION, "PATH",
	    "member of a pool" }) },
	{ "disk.fault", VERB_CHANGE,
	    "inject faults into a member (dozod --fault-injection)",
	    ARGS({ "path", ARG_TEXT, ARG_REQUIRED | ARG_POSITION, "PATH",
	    "member of a pool" },
	    { "kind", ARG_TEXT, ARG_REQUIRED, "KIND",
	    "error, gone, delay, stall, torn, lost, corrupt or clear" },
	    { "on", ARG_TEXT, 0, "IO", "only on read, write or flush" },
	    { "offset", ARG_NUMBER, 0, "BYTES", "first byte concerned" },
	    { "length", ARG_NUMBER, 0, "BYTES", "how many, 0 = to the end" },
	    { "skip", ARG_NUMBER, 0, "N", "let so many pass first" },
	    { "count", ARG_NUMBER, 0, "N", "act so often, 0 = for ever" },
	    { "delay_ms", ARG_NUMBER, 0, "MS", "for delay" },
	    { "torn_bytes", ARG_NUMBER, 0, "BYTES", "for torn" }) },
	/* --- pools --- */
	{ "pool.create", VERB_CHANGE | VERB_JOB, "make a pool out of disks",
	    ARGS(NAME_ARG("pool"),
	    { "level", ARG_TEXT, 0, "raid5", "protection (raid5)" },
	    { "disk", ARG_TEXTS, ARG_REQUIRED, "PATH...",
	    "devices or image files, 3 to 16" },
	    { "chunk", ARG_SIZE, 0, "SIZE", "4K to 1M, default 64K" },
	    { "policy", ARG_TEXT, 0, "POLICY",
	    "consistency after a crash: ppl, bitmap or resync" },
	    { "extent", ARG_SIZE, 0, "SIZE", "256K to 1M, default 1M" },
	    FORCE_ARG("use disks that have something on them"),
	    SERIAL_ARG) },
	{ "pool.list", 0, "list pools", NULL, 0 },
	{ "pool.status", 0, "show a pool, its members and space",
	    ARGS(NAME_ARG("pool")) },
	{ "pool.stop", VERB_CHANGE, "close a pool; its disks may be removed",
	    ARGS(NAME_ARG("pool"),
	    FORCE_ARG("also if initiators use its volumes")) },
	{ "pool.start", VERB_CHANGE,
	    "open a pool, or let its paused rebuild or resync go on",
	    ARGS(NAME_ARG("pool")) },
	{ "pool.add-spare", VERB_CHANGE,
	    "give a pool a disk, to be rebuilt on now or when one fails",
	    ARGS(NAME_ARG("pool"),
	    { "disk", ARG_TEXT, ARG_REQUIRED, "PATH",
	    "device or image file" },
	    FORCE_ARG("use a disk that has something on it"), SERIAL_ARG) },
	{ "pool.re-add", VERB_CHANGE,
	    "take back a disk that was a member of this pool",
	    ARGS(NAME_ARG("pool"),
	    { "disk", ARG_TEXT, ARG_REQUIRED, "PATH",
	    "device or image file" }) },
	{ "pool.replace", VERB_CHANGE,
	    "copy a member to another disk, which then takes its place",
	    ARGS(NAME_ARG("pool"),
	    { "old", ARG_TEXT, ARG_REQUIRED | ARG_POSITION, "OLD",
	    "path of the member, or its number" },
	    { "disk", ARG_TEXT, ARG_REQUIRED, "PATH",
	    "new device or image file, or a spare" },
	    FORCE_ARG("use a disk that has something on it"), SERIAL_ARG) },
	{ "pool.set", VERB_CHANGE,
	    "change the consistency policy of a pool that is in use",
	    ARGS(NAME_ARG("pool"),
	    { "policy", ARG_TEXT, ARG_REQUIRED, "POLICY",
	    "ppl, bitmap or resync" }) },
	{ "pool.scrub", VERB_CHANGE,
	    "compare parity with data in the background",
	    ARGS(NAME_ARG("pool"),
	    { "repair", ARG_BOOL, 0, NULL, "make parity right" },
	    { "cancel", ARG_BOOL, 0, NULL, "stop the one that runs" }) },
	{ "pool.import", VERB_CHANGE, "take over a pool from its disks",
	    ARGS({ "disk", ARG_TEXTS, ARG_REQUIRED, "PATH...",
	    "its devices or image files" },
	    { "name", ARG_NAME, 0, "NAME", "only if it has this name" },
	    { "config", ARG_BOOL, 0, NULL,
	    "take targets, hosts and mappings from the disks too" }) },
	{ "pool.export", VERB_CHANGE,
	    "close a pool and forget it; its data stays on the disks",
	    ARGS(NAME_ARG("pool")) },
	{ "pool.delete", VERB_CHANGE, "destroy a pool and all its volumes",
	    ARGS(NAME_ARG("pool"),
	    FORCE_ARG("also if it has volumes")) },
	/* --- volumes --- */
	{ "volume.create", VERB_CHANGE | VERB_LONG, "make a volume",
	    ARGS(VOLUME_ARG,
	    { "size", ARG_SIZE, ARG_REQUIRED | ARG_POSITION, "SIZE",
	    "as 512M, 100G, 1.5T" },
	    { "write_policy", ARG_TEXT, 0, "POLICY",
	    "durable, writethrough or writeback" }) },
	{ "volume.list", 0, "list volumes",
	    ARGS({ "pool", ARG_NAME, ARG_POSITION, NULL, "of this pool" }) },
	{ "volume.show", 0, "show one volume", ARGS(VOLUME_ARG) },
	{ "volume.grow", VERB_CHANGE | VERB_LONG, "make a volume larger",
	    ARGS(VOLUME_ARG,
	    { "size", ARG_SIZE, ARG_REQUIRED | ARG_POSITION, "SIZE",
	    "the new size" }) },
	{ "volume.set", VERB_CHANGE, "change a volume's write policy",
	    ARGS(VOLUME_ARG,
	    { "write_policy", ARG_TEXT, ARG_REQUIRED, "POLICY",
	    "durable, writethrough or writeback" }) },
	{ "volume.rename", VERB_CHANGE, "rename a volume",
	    ARGS(VOLUME_ARG,
	    { "name", ARG_NAME, ARG_REQUIRED | ARG_POSITION, "NEW-NAME",
	    "the new name, without pool" }) },
	{ "volume.delete", VERB_CHANGE, "delete a volume and its data",
	    ARGS(VOLUME_ARG) },
	/* --- who may use what --- */
	{ "target.create", VERB_CHANGE, "make an iSCSI target",
	    ARGS(NAME_ARG("target"),
	    { "iqn", ARG_TEXT, 0, "IQN",
	    "its iSCSI name, default iqn.2026-01.org.dozo:NAME" }) },
	{ "target.list", 0, "list targets", NULL, 0 },
	{ "target.delete", VERB_CHANGE, "delete a target and its mappings",
	    ARGS(NAME_ARG("target"),
	    FORCE_ARG("also if initiators are connected")) },
	{ "portal.add", VERB_CHANGE, "listen on one more address",
	    ARGS({ "address", ARG_TEXT, ARG_REQUIRED | ARG_POSITION,
	    "ADDRESS[:PORT]", "as 192.0.2.1 or [2001:db8::1]:3260" },
	    { "tag", ARG_NUMBER, 0, "N", "portal group tag, default 1" }) },
	{ "portal.list", 0, "list addresses that initiators connect to",
	    NULL, 0 },
	{ "portal.remove", VERB_CHANGE, "stop listening on an address",
	    ARGS({ "address", ARG_TEXT, ARG_REQUIRED | ARG_POSITION,
	    "ADDRESS[:PORT]", "as in `dozoctl portal list`" }) },
	{ "host.create", VERB_CHANGE, "define who an initiator is",
	    ARGS(NAME_ARG("host"),
	    { "iqn", ARG_TEXTS, 0, "IQN...",
	    "its iSCSI names, '*' matches anything" },
	    { "network", ARG_TEXTS, 0, "NET...", "as 192.0.2.0/24" },
	    { "chap_user", ARG_TEXT, 0, "USER", "CHAP: what it must know" },
	    { "chap_secret", ARG_TEXT, ARG_SECRET, "SECRET",
	    "secret, 12 to 16 characters" },
	    { "mutual_user", ARG_TEXT, 0, "USER",
	    "CHAP: what we prove to it" },
	    { "mutual_secret", ARG_TEXT, ARG_SECRET, "SECRET",
	    "secret, other than the first" },
	    { "preset", ARG_TEXT, 0, "CLIENT",
	    "vmware, windows or linux" }) },
	{ "host.set", VERB_CHANGE, "change who an initiator is",
	    ARGS(NAME_ARG("host"),
	    { "iqn", ARG_TEXTS, 0, "IQN...",
	    "its iSCSI names, '*' matches anything" },
	    { "network", ARG_TEXTS, 0, "NET...", "as 192.0.2.0/24" },
	    { "chap_user", ARG_TEXT, 0, "USER", "CHAP: what it must know" },
	    { "chap_secret", ARG_TEXT, ARG_SECRET, "SECRET",
	    "secret, 12 to 16 characters" },
	    { "mutual_user", ARG_TEXT, 0, "USER",
	    "CHAP: what we prove to it" },
	    { "mutual_secret", ARG_TEXT, ARG_SECRET, "SECRET",
	    "secret, other than the first" },
	    { "no_chap", ARG_BOOL, 0, NULL, "demand no CHAP any more" },
	    { "preset", ARG_TEXT, 0, "CLIENT",
	    "vmware, windows or linux" }) },
	{ "host.list", 0, "list hosts", NULL, 0 },
	{ "host.delete", VERB_CHANGE, "delete a host and its mappings",
	    ARGS(NAME_ARG("host")) },
	{ "map", VERB_CHANGE, "give a host access to a volume",
	    ARGS(VOLUME_ARG,
	    { "host", ARG_NAME, ARG_REQUIRED, NULL,
	    "a host, or any for all initiators" },
	    { "target", ARG_NAME, ARG_REQUIRED, NULL, "on this target" },
	    { "lun", ARG_NUMBER, 0, "N", "default: the lowest free" },
	    { "read_only", ARG_BOOL, 0, NULL, "refuse writes" }) },
	{ "unmap", VERB_CHANGE, "take a volume away from a host",
	    ARGS(VOLUME_ARG,
	    { "host", ARG_NAME, ARG_REQUIRED, NULL, "the host, or any" },
	    { "target", ARG_NAME, ARG_REQUIRED, NULL, "on this target" }) },
	{ "map.list", 0, "list mappings", NULL, 0 },
	/* --- who may use the page and the API --- */
	{ "user.create", VERB_CHANGE, "make a user of the page",
	    ARGS(NAME_ARG("user"),
	    { "role", ARG_TEXT, ARG_REQUIRED, "ROLE", "admin or viewer" },
	    { "password", ARG_TEXT, ARG_REQUIRED | ARG_SECRET, "PASSWORD",
	    "at least 12 characters" }) },
	{ "user.list", 0, "list users of the page",
	    ARGS({ "hashes", ARG_BOOL, ARG_API, NULL, "with hashes" }) },
	{ "user.set", VERB_CHANGE, "change a user's role",
	    ARGS(NAME_ARG("user"),
	    { "role", ARG_TEXT, ARG_REQUIRED, "ROLE", "admin or viewer" }) },
	{ "user.password", VERB_CHANGE, "set a user's password",
	    ARGS(NAME_ARG("user"),
	    { "password", ARG_TEXT, ARG_REQUIRED | ARG_SECRET, "PASSWORD",
	    "at least 12 characters" }) },
	{ "user.delete", VERB_CHANGE, "delete a user of the page",
	    ARGS(NAME_ARG("user")) },
	{ "token.create", VERB_CHANGE, "make a token for the API",
	    ARGS(NAME_ARG("token"),
	    { "role", ARG_TEXT, ARG_REQUIRED, "ROLE", "admin or viewer" },
	    { "days", ARG_NUMBER, 0, "N",
	    "expires after so many days; 0, as by default: never" }) },
	{ "token.list", 0, "list tokens for the API",
	    ARGS({ "hashes", ARG_BOOL, ARG_API, NULL, "with hashes" }) },
	{ "token.delete", VERB_CHANGE, "delete a token for the API",
	    ARGS(NAME_ARG("token")) },
	/* --- the appliance --- */
	{ "config.export", 0, "print the configuration document",
	    ARGS({ "secrets", ARG_BOOL, 0, NULL, "with CHAP secrets" },
	    { "generation", ARG_NUMBER, 0, "N", "an old one" }) },
	{ "config.import", VERB_CHANGE,
	    "replace targets, portals, hosts and mappings",
	    ARGS({ "document", ARG_OBJECT, ARG_REQUIRED | ARG_POSITION,
	    "FILE", "as written by `dozoctl config export`" }) },
	{ "config.history", 0, "list the documents that are kept", NULL, 0 },
	{ "rescue", 0, "print device-mapper tables to use volumes without us",
	    ARGS({ "pool", ARG_NAME, ARG_POSITION, NULL, "of this pool" },
	    { "device", ARG_TEXT, 0, "PATH",
	    "the array, default /dev/md/POOL" }) },
	{ "job.list", 0, "list long work", NULL, 0 },
	{ "job.show", 0, "show one job",
	    ARGS({ "id", ARG_NUMBER, ARG_REQUIRED | ARG_POSITION, NULL,
	    "number of the job" }) },
	{ "job.cancel", VERB_CHANGE,
	    "end long work and take back what it made; pause a rebuild or "
	    "resync",
	    ARGS({ "id", ARG_NUMBER, ARG_REQUIRED | ARG_POSITION, NULL,
	    "number of the job" }) },
};
const size_t verb_schemas_count = nitems(verb_schemas);

const struct verb_schema *
verb_schema_find(const char *name)
{
	assert(name != NULL);
	for (size_t i = 0; i < verb_schemas_count; i++) {
		if (strcmp(verb_schemas[i].name, name) == 0)
			return &verb_schemas[i];
	}
	return NULL;
}

static const char *
verb_name(const void *arg, size_t i)
{
	(void)arg;
	return i < verb_schemas_count ? verb_schemas[i].name : NULL;
}

const char *
verb_schema_nearest(const char *name)
{
	return ident_nearest(name, verb_name, NULL);
}

static const char *
arg_name(const void *arg, size_t i)
{
	const struct verb_schema *schema = arg;

	return i < schema->nargs ? schema->args[i].name : NULL;
}

/* A text without NUL inside, not absurdly long. */
static bool
is_text(const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && json_string_length(value) == strlen(text) &&
	    strlen(text) <= TEXT_MAX;
}

static bool
is_texts(const json_t *value)
{
	if (!json_is_array(value) || json_array_size(value) > TEXTS_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (!is_text(json_array_get(value, i)))
			return false;
	}
	return true;
}

static bool
volume_path_ok(const char *path, struct err *err)
{
	char pool[NAME_SIZE];
	const char *slash = strchr(path, '/');

	if (slash == NULL || slash == path ||
	    (size_t)(slash - path) >= sizeof(pool)) {
		err_set(err, EINVAL, "\"%.100s\" is not POOL/NAME", path);
		err_hint(err, "Name a volume with its pool: tank/disk1.");
		return false;
	}
	memcpy(pool, path, (size_t)(slash - path));
	pool[slash - path] = '\0';
	return ident_name_ok("pool", pool, err) &&
	    ident_name_ok("volume", slash + 1, err);
}

static bool
number_ok(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) <= JSON_SAFE_MAX;
}

/* What `value` should have been, or NULL if it is that. */
static const char *
arg_wanted(const struct verb_arg *arg, const json_t *value, struct err *err)
{
	uint64_t bytes;

	switch (arg->type) {
	case ARG_TEXT:
		return is_text(value) ? NULL : "a text";
	case ARG_NAME:
		return is_text(value) && ident_name_ok(arg->name,
		    json_string_value(value), err) ? NULL : "a name";
	case ARG_VOLUME:
		return is_text(value) && volume_path_ok(
		    json_string_value(value), err) ? NULL : "POOL/NAME";
	case ARG_SIZE:
		if (number_ok(value) && json_integer_value(value) > 0)
			return NULL;
		return is_text(value) && size_parse(json_string_value(value),
		    &bytes, err) == 0 ? NULL : "a size";
	case ARG_BOOL:
		return json_is_boolean(value) ? NULL : "true or false";
	case ARG_NUMBER:
		return number_ok(value) ? NULL : "a whole number from 0";
	case ARG_TEXTS:
		return is_texts(value) ? NULL : "a list of texts";
	case ARG_OBJECT:
		return json_is_object(value) ? NULL : "an object";
	}
	assert(!"arg type");
	return NULL;
}

static int
unknown_arg(const struct verb_schema *schema, const char *key,
    struct err *err)
{
	const char *nearest = ident_nearest(key, arg_name, schema);

	assert(schema->nargs == 0 || schema->args != NULL);
	err_set(err, EINVAL, "%s has no argument \"%.40s\"", schema->name,
	    key);
	if (nearest != NULL)
		err_hint(err, "Did you mean \"%s\"?", nearest);
	return -EINVAL;
}

int
verb_schema_check(const struct verb_schema *schema, const json_t *args,
    struct err *err)
{
	const char *key, *wanted;
	json_t *value;

	assert(schema != NULL);
	if (args != NULL && !json_is_object(args))
		return err_set(err, EINVAL, "args is not an object");
	/* jansson's iterator wants a non-const object, does not change it */
	json_object_foreach((json_t *)(uintptr_t)args, key, value) {
		bool found = false;

		for (size_t i = 0; i < schema->nargs; i++)
			found = found || strcmp(schema->args[i].name, key) == 0;
		if (!found)
			return unknown_arg(schema, key, err);
	}
	for (size_t i = 0; i < schema->nargs; i++) {
		const struct verb_arg *arg = &schema->args[i];

		value = json_object_get(args, arg->name);
		if (value == NULL) {
			if ((arg->flags & ARG_REQUIRED) == 0)
				continue;
			return err_set(err, EINVAL, "%s needs \"%s\": %s",
			    schema->name, arg->name, arg->help);
		}
		wanted = arg_wanted(arg, value, err);
		if (wanted != NULL)
			return err_set(err, EINVAL, "%s: \"%s\" must be %s",
			    schema->name, arg->name, wanted);
	}
	return 0;
}
