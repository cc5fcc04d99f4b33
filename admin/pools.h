/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing pools up and down: members, array, pool, logical units.  Ops, as
 * in raid/raid.h: fill "in", start, read "out" when they have ended.
 */
#ifndef ADMIN_POOLS_H
#define ADMIN_POOLS_H

#include "admin/disks.h"
#include "admin/dozo.h"

/* A pool in the list, without anything open; NULL without memory. */
struct dozo_pool *dozo_pool_new(struct dozo *d, const char *name,
    enum dozo_pool_state state);
/* Nothing is open. */
void dozo_pool_free(struct dozo_pool *pool);

/*
 * Open one member, through a fault injector if dozod was told so.  Until an
 * array has it, it is the caller's to close.
 */
int dozo_member_open(struct dozo_pool *pool, const char *path,
    struct blk **out, struct err *err);
void dozo_member_close(struct dozo_pool *pool, struct blk *blk);

/*
 * Close LUs (unmapped before), pool, array and members.  Ends with the pool
 * OFFLINE and nothing open; err tells what could not be written.
 */
struct pool_down {
	struct op op;
	/* in */
	struct dozo_pool *pool;
	bool forget;			/* it is not expected any more */
	/* out */
	struct err err;
	/* private */
	struct dozo_volume *drained;	/* the last one that was */
	struct pool_close close;
	struct raid_stop stop;
};
void pool_down_start(struct pool_down *down, struct op *parent);

/* Open and assemble what `members` name, open the pool, make its LUs. */
struct pool_up {
	struct op op;
	/* in */
	struct dozo_pool *pool;
	unsigned nmembers;
	struct doc_member member[DOC_MEMBERS_MAX];
	uint8_t array_uuid[16];		/* zero: what they agree on */
	char array_text[UUID_SIZE];	/* the same; empty: do not search */
	unsigned patience_ms;		/* try so long if members are in use */
	bool whole;			/* not if devices are not there: then */
					/* -EAGAIN, and the pool is settling */
	/* out; on error the pool is OFFLINE with the reason in why */
	struct err err;
	unsigned missing;		/* members that were not there */
	/* private */
	struct raid_assemble assemble;
	struct pool_open open;
	struct pool_down undo;
	struct timer timer;
	struct err why[DOC_MEMBERS_MAX];	/* of members not opened */
	struct disks disks;
	struct work work;
};
void pool_up_start(struct pool_up *up, struct op *parent);
/* Fill "in" from the document. */
void pool_up_init(struct pool_up *up, struct dozo_pool *pool,
    const struct doc_pool *want);

/* What the array of a pool is called: the udev rule knows it by that. */
void dozo_array_name(const char *pool, char name[RAID_NAME_MAX + 1]);
/* An array that Linux made gets that name; for a pool that is open. */
void dozo_pool_claim(struct dozo_pool *pool);

/* Make array and pool on blank disks. */
struct pool_make {
	struct op op;
	/* in */
	struct dozo_pool *pool;
	struct raid_spec spec;
	char path[RAID_MEMBERS_MAX][DOC_PATH_SIZE];
	uint32_t extent_bytes;
	bool force;
	/* out */
	struct err err;
	/* private */
	unsigned nopen;
	struct raid_create create;
	struct pool_format format;
	struct pool_open open;
	struct raid_stop stop;
};
/* Opens the members at once: -errno with err if one cannot be used. */
int pool_make_open(struct pool_make *make);
void pool_make_close(struct pool_make *make);
void pool_make_start(struct pool_make *make, struct op *parent);

/* What the document should say about an open pool. */
void dozo_pool_describe(const struct dozo_pool *pool, struct doc_pool *out);

#endif
