/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration document: everything the administrator decided that does
 * not live in a pool's own table.  Plain data; parse, check, print, diff and
 * look up are pure.
 *
 * References go by name inside the document and by UUID to volumes, which
 * live in the pools.  A mapping whose volume does not exist is an orphan:
 * reported, kept, not served.
 */
#ifndef ADMIN_DOC_H
#define ADMIN_DOC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/ident.h"
#include "core/err.h"
#include "raid/raid.h"
#include "target/target.h"

#define DOC_FORMAT 1
#define DOC_POOLS_MAX 32u
#define DOC_TARGETS_MAX 256u
#define DOC_PORTALS_MAX 32u
#define DOC_HOSTS_MAX 256u
#define DOC_MAPS_MAX 1024u
#define DOC_USERS_MAX 64u
#define DOC_TOKENS_MAX 64u
#define DOC_HOST_IQNS 16u
#define DOC_HOST_NETWORKS 16u
#define DOC_MEMBERS_MAX (RAID_MEMBERS_MAX * 2u)
#define DOC_PATH_SIZE 256
/* The built-in host that every initiator is. */
#define DOC_HOST_ANY "any"

struct doc_member {
	char path[DOC_PATH_SIZE];
	char serial[48];		/* empty for image files */
};

struct doc_pool {
	char name[NAME_SIZE];
	char uuid[UUID_SIZE];		/* of the pool */
	char array_uuid[UUID_SIZE];
	unsigned nmembers;
	struct doc_member member[DOC_MEMBERS_MAX];
};

struct doc_target {
	char name[NAME_SIZE], uuid[UUID_SIZE];
	char iqn[SCSI_NAME_MAX + 1];
};

struct doc_portal {
	char address[64];		/* empty = all */
	uint16_t port, tag;
};

struct doc_host {
	char name[NAME_SIZE], uuid[UUID_SIZE];
	char preset[16];		/* vmware, windows, linux or empty */
	unsigned niqns, nnetworks;
	char iqn[DOC_HOST_IQNS][SCSI_NAME_MAX + 1];	/* patterns */
	char network[DOC_HOST_NETWORKS][64];
	struct target_chap chap, mutual;
};

struct doc_map {
	char pool[NAME_SIZE], volume[NAME_SIZE];
	char volume_uuid[UUID_SIZE];
	char host[NAME_SIZE], target[NAME_SIZE];
	uint16_t lun;
	bool read_only;
};

/* Who may use the page and the API: a user or an API token. */
struct doc_user {
	char name[NAME_SIZE], uuid[UUID_SIZE];
	char role[8];			/* "admin" or "viewer" */
	char hash[160];			/* crypt(3), or SHA-256 of a token */
	uint64_t created_s, expires_s;	/* tokens: 0 = never expires */
};

struct doc {
	uint64_t generation;
	uint64_t written_s;		/* wall clock of the last change */
	char appliance[UUID_SIZE];	/* which box wrote it */
	unsigned npools, ntargets, nportals, nhosts, nmaps, nusers, ntokens;
	struct doc_pool *pools;
	struct doc_target *targets;
	struct doc_portal *portals;
	struct doc_host *hosts;
	struct doc_map *maps;
	struct doc_user *users, *tokens;
};

/* An empty document; NULL without memory. */
struct doc *doc_new(void);
void doc_free(struct doc *doc);
struct doc *doc_copy(const struct doc *doc);

/* NULL with err, which names the place ("mappings[3].lun"). */
struct doc *doc_from_json(const json_t *json, struct err *err);
struct doc *doc_from_text(const char *text, size_t len, struct err *err);
/* NULL without memory.  Without `secrets` CHAP secrets are left out. */
json_t *doc_to_json(const struct doc *doc, bool secrets);
/* Names unique, references inside resolve, LUNs unique per host and target. */
int doc_check(const struct doc *doc, struct err *err);

/*
 * What changes from a to b, one line per object, sorted as in the document:
 * {"change":"add|remove|modify","kind":"target","name":"t1","fields":[...]}.
 * NULL without memory.
 */
json_t *doc_diff(const struct doc *a, const struct doc *b);

/* One object as in the document; secrets as above. */
json_t *doc_pool_json(const struct doc_pool *pool);
json_t *doc_target_json(const struct doc_target *target);
json_t *doc_portal_json(const struct doc_portal *portal);
json_t *doc_host_json(const struct doc_host *host, bool secrets);
json_t *doc_map_json(const struct doc_map *map);
json_t *doc_user_json(const struct doc_user *user, bool secrets);

/* Look-up; NULL if absent. */
struct doc_pool *doc_pool(const struct doc *doc, const char *name);
struct doc_target *doc_target(const struct doc *doc, const char *name);
struct doc_host *doc_host(const struct doc *doc, const char *name);
struct doc_portal *doc_portal(const struct doc *doc, const char *address,
    uint16_t port);
struct doc_map *doc_map(const struct doc *doc, const char *volume_uuid,
    const char *host, const char *target);
struct doc_user *doc_user(const struct doc *doc, const char *name);
struct doc_user *doc_token(const struct doc *doc, const char *name);
/* Lowest LUN not used by (host, target), or -1. */
int doc_free_lun(const struct doc *doc, const char *host, const char *target);

/*
 * Append a zeroed object and return it; NULL with err at the limit or
 * without memory.
 */
struct doc_pool *doc_add_pool(struct doc *doc, struct err *err);
struct doc_target *doc_add_target(struct doc *doc, struct err *err);
struct doc_portal *doc_add_portal(struct doc *doc, struct err *err);
struct doc_host *doc_add_host(struct doc *doc, struct err *err);
struct doc_map *doc_add_map(struct doc *doc, struct err *err);
struct doc_user *doc_add_user(struct doc *doc, struct err *err);
struct doc_user *doc_add_token(struct doc *doc, struct err *err);
/* Remove the object that the pointer points to; order is kept. */
void doc_remove_pool(struct doc *doc, struct doc_pool *pool);
void doc_remove_target(struct doc *doc, struct doc_target *target);
void doc_remove_portal(struct doc *doc, struct doc_portal *portal);
void doc_remove_host(struct doc *doc, struct doc_host *host);
void doc_remove_map(struct doc *doc, struct doc_map *map);
void doc_remove_user(struct doc *doc, struct doc_user *user);
void doc_remove_token(struct doc *doc, struct doc_user *token);

/* "192.0.2.0/24", "2001:db8::1": is it a network? */
bool doc_network_ok(const char *text, struct err *err);
/* Is `pattern` an IQN, or one with '*'? */
bool doc_iqn_pattern_ok(const char *pattern, struct err *err);
bool doc_preset_ok(const char *preset, struct err *err);
/* CHAP secret and user fit the protocol; what = "CHAP" or "mutual CHAP". */
bool doc_chap_ok(const char *what, const struct target_chap *chap,
    struct err *err);

#endif
