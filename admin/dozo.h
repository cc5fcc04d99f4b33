/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One appliance.  Everything dozod knows hangs off struct dozo, so that two
 * of them can live in one test process.
 */
#ifndef ADMIN_DOZO_H
#define ADMIN_DOZO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "admin/conf.h"
#include "admin/doc.h"
#include "admin/state.h"
#include "admin/work.h"
#include "block/cache.h"
#include "core/loop.h"
#include "core/util.h"
#include "pool/pool.h"
#include "raid/raid.h"
#include "target/target.h"

struct control;
struct events;
struct recorder;
struct hotplug;
struct late;
struct locate;
struct renewal;
struct jobs;
struct page;
struct scrub_store;

struct dozo_volume {
	TAILQ_ENTRY(dozo_volume) link;
	struct dozo_pool *pool;
	struct volume *volume;
	char uuid[UUID_SIZE];
	struct blk *cached;		/* over the volume's; NULL: no cache */
	struct cache_close close;
	struct scsi_lu *lu;
};
TAILQ_HEAD(dozo_volumes, dozo_volume);

enum dozo_pool_state {
	DOZO_POOL_ONLINE,
	DOZO_POOL_OFFLINE,	/* expected, but could not be opened: see why */
	DOZO_POOL_BUSY,		/* being created, imported or stopped */
};

struct dozo_pool {
	TAILQ_ENTRY(dozo_pool) link;
	struct dozo *dozo;
	char name[NAME_SIZE];
	enum dozo_pool_state state;
	struct err why;
	bool stopped;			/* by the administrator */
	bool settling;			/* OFFLINE: its disks may yet come */
	unsigned late_round;		/* late.c tried it then */
	struct raid *raid;
	struct pool *pool;
	struct dozo_volumes volumes;	/* in name order as they are in pool */
	/* The array's task as last seen: tasks.c. */
	enum raid_task task;
	unsigned task_id;
	uint64_t task_start_ns;
	struct scrub_store *scrub;	/* open: scrubs.c; NULL: no memory */
	/* Members as opened, to inject faults; owned by raid. */
	unsigned nfaults;
	struct { char path[DOC_PATH_SIZE]; struct blk *blk; }
	    fault[DOC_MEMBERS_MAX];
};
TAILQ_HEAD(dozo_pools, dozo_pool);

struct dozo_portal {
	struct sock_addr addr;
	uint16_t tag;
	bool open;
	struct err why;			/* why not open */
};

struct dozo {
	struct loop *loop;
	struct conf conf;
	char conf_path[DOC_PATH_SIZE];
	struct state *state;
	struct worker *worker;
	struct cache *cache;		/* NULL: none */
	struct timer memory_timer;
	struct doc *doc;		/* in force; replaced, never edited */
	struct target_server *server;
	struct control *control;
	struct events *events;
	struct recorder *recorder;
	struct hotplug *hotplug;
	struct late *late;
	struct locate *locate;
	struct jobs *jobs;
	struct page *page;
	struct dozo_pools pools;
	unsigned nportals;
	struct dozo_portal portals[CONF_LISTEN_MAX + DOC_PORTALS_MAX];
	bool changing;			/* a change holds the lock */
	struct op_queue change_wait;
	struct renewal *renewal;	/* reservations.c */
	struct op_queue renewal_wait;
	uint64_t start_ns, start_s;
	bool fault_injection;
	unsigned settle_ms;		/* how long disks may come late */
	bool power_failing;		/* nothing is kept in memory only */
	bool serving;			/* portals are open */
	bool stopping;
};

/* --- one change at a time --- */

/* Hold `op` until it has the lock. */
void dozo_lock(struct dozo *d, struct op *op);
void dozo_unlock(struct dozo *d);

/* --- look-up --- */

struct dozo_pool *dozo_pool(struct dozo *d, const char *name);
struct dozo_volume *dozo_volume(struct dozo_pool *pool, const char *name);
struct dozo_volume *dozo_volume_by_uuid(struct dozo *d, const char *uuid);
/* Does it map what does not exist?  A pool that is closed may have it. */
bool dozo_map_orphan(struct dozo *d, const struct doc_map *map);
/*
 * "pool/volume" to the volume, or NULL with err: no such pool, pool offline
 * and why, no such volume.
 */
struct dozo_volume *dozo_find_volume(struct dozo *d, const char *path,
    struct err *err);
/* Why it is not open, and what to do: sets err and returns its code. */
int dozo_pool_not_open(const struct dozo_pool *pool, struct err *err);
/* Split "pool/volume"; checks both names. */
bool dozo_split_path(const char *path, char pool[NAME_SIZE],
    char volume[NAME_SIZE], struct err *err);
/* A random UUID in text form. */
void dozo_new_uuid(struct dozo *d, char text[UUID_SIZE]);

/* --- check.c: invariants, by assert --- */

void doc_assert(const struct doc *doc);
void dozo_pool_check(const struct dozo_pool *pool);
/* Of everything; between two changes. */
void dozo_check(const struct dozo *d);

/* --- apply.c --- */

/* Bring the target server to what the document says. */
int dozo_apply(struct dozo *d, struct err *err);

/* --- volumes.c --- */

/* A volume of an open pool becomes a logical unit. */
struct dozo_volume *dozo_volume_add(struct dozo_pool *pool,
    struct volume *volume, struct err *err);
/* Write what is cached; the LU must be drained.  Then remove it. */
void dozo_volume_flush(struct dozo_volume *volume, struct op *op);
/* The LU must be drained and unmapped, what is cached written. */
void dozo_volume_remove(struct dozo_volume *volume);
/* Its name or policy has changed; its size has. */
void dozo_volume_refresh(struct dozo_volume *volume);
void dozo_volume_grown(struct dozo_volume *volume);
/*
 * The box runs on battery: until it does no more, volumes with write policy
 * "writeback" are written through, and what they hold is written now.
 */
void dozo_power(struct dozo *d, bool failing);

/* --- events.c --- */

int events_new(struct dozo *d, struct err *err);
void events_free(struct dozo *d);
/* Tell followers; takes over `data` (an object or NULL). */
void event_emit(struct dozo *d, const char *kind, json_t *data);
/* Events after `since`, oldest first; a new array. */
json_t *events_since(struct dozo *d, uint64_t since, unsigned max);
/* The last lines of the log, at most `max`, oldest first; a new array. */
json_t *log_lines(struct dozo *d, uint64_t max);

#endif
