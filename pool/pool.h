/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Volumes on an array (or on any blk).
 *
 * A pool is a label, a table of volumes (checksummed, two copies, switched
 * atomically) and extents.  A volume is a list of extents.  Everything that
 * touches the disk is an op, as in raid/raid.h.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "block/blk.h"

#define POOL_NAME_MAX 63	/* [a-z0-9-]{1,63} */
#define POOL_DOC_MAX (1024 * 1024)	/* bytes, configuration document */

struct pool;
struct volume;

enum write_policy { WRITE_DURABLE, WRITE_THROUGH, WRITE_BACK };
const char *write_policy_name(enum write_policy policy);
int write_policy_parse(const char *text, enum write_policy *policy);

/* May `name` name a pool or volume?  Sets err. */
bool pool_name_ok(const char *name, struct err *err);

/* --- format, open, close --- */

struct pool_format {
	struct op op;
	/* in */
	struct blk *blk;		/* stays the caller's */
	char name[POOL_NAME_MAX + 1];
	uint32_t extent_bytes;		/* 256 KiB..1 MiB, 0 = 1 MiB */
	bool force;			/* overwrite another pool's label */
	/* out */
	struct err err;
};
void pool_format_start(struct pool_format *format, struct op *parent);

struct pool_open {
	struct op op;
	/* in */
	struct loop *loop;
	struct blk *blk;		/* owned by the pool on success */
	/* out */
	struct err err;
	struct pool *pool;
};
void pool_open_start(struct pool_open *open, struct op *parent);

/* Flush and free the pool and its volumes; the blk is given back. */
struct pool_close {
	struct op op;
	struct pool *pool;
	struct blk *blk;		/* out: the caller's again */
	struct err err;
};
void pool_close_start(struct pool_close *close, struct op *parent);

struct pool_info {
	char name[POOL_NAME_MAX + 1];
	uint8_t uuid[16];
	uint64_t size, used, free;	/* bytes, whole extents */
	uint32_t extent_bytes;
	unsigned volumes;
	uint64_t generation;		/* of the table */
};
void pool_get_info(const struct pool *pool, struct pool_info *info);

/* --- volumes --- */

struct volume_info {
	char name[POOL_NAME_MAX + 1];
	uint8_t uuid[16];		/* immutable */
	uint64_t size;			/* bytes */
	uint64_t allocated;		/* bytes in extents */
	enum write_policy policy;
	bool thick;
	uint64_t ctime;			/* seconds */
};

struct volume *pool_volume_by_name(struct pool *pool, const char *name);
struct volume *pool_volume_by_uuid(struct pool *pool, const uint8_t uuid[16]);
/* Iterate in name order: NULL gives the first, NULL comes after the last. */
struct volume *pool_volume_next(struct pool *pool, const struct volume *volume);
/*
 * Whose is the byte `off` of the array?  NULL: no volume's.  *at: the byte of
 * the volume.
 */
struct volume *pool_volume_at(const struct pool *pool, uint64_t off,
    uint64_t *at);
/*
 * The first byte of the array at or after `off` that is used, by a volume or
 * by the pool itself, and up to where *end all is.  UINT64_MAX: there is none.
 * (`pool` is a struct pool; as raid_set_used() wants it.)
 */
uint64_t pool_next_used(void *pool, uint64_t off, uint64_t *end);
void volume_get_info(const struct volume *volume, struct volume_info *info);
/* Valid until the volume is deleted or the pool closed. */
struct blk *volume_blk(struct volume *volume);

/* One change of the table; durable when the op ends without err. */
enum pool_change_kind {
	POOL_VOLUME_CREATE,	/* name, size, policy, thick */
	POOL_VOLUME_GROW,	/* volume, size: larger than before */
	POOL_VOLUME_RENAME,	/* volume, name */
	POOL_VOLUME_DELETE,	/* volume: no user left (the caller sees) */
	POOL_VOLUME_SET,	/* volume, policy */
};

struct pool_change {
	struct op op;
	/* in */
	struct pool *pool;
	enum pool_change_kind kind;
	struct volume *volume;		/* out for create */
	char name[POOL_NAME_MAX + 1];
	uint64_t size;			/* bytes, rounded up to 4 KiB */
	enum write_policy policy;
	bool thick;
	bool dry_run;			/* check only */
	/* out */
	struct err err;
	uint64_t zeroed, to_zero;	/* progress in bytes */
	/*
	 * May be set while it runs: as long as not all is zeroed it ends with
	 * ECANCELED and the table as it was.
	 */
	bool cancel;
};
/*
 * Changes are carried out one after the other.  Errors: EEXIST, ENOSPC (with
 * how much is free), EINVAL, EIO.  New extents read as zeroes.
 */
void pool_change_start(struct pool_change *change, struct op *parent);

/* --- the configuration document kept in the pool --- */

struct pool_doc {
	struct op op;
	/* in */
	struct pool *pool;
	bool write;
	char *text;		/* write: the caller's; read: malloc'ed, caller
				   frees; NULL if there is none */
	size_t len;		/* bytes, at most POOL_DOC_MAX */
	uint64_t generation;	/* write: larger wins; read: out */
	/* out */
	struct err err;
};
void pool_doc_start(struct pool_doc *doc, struct op *parent);

/*
 * Device-mapper table lines that turn the array at `device` into `volume`
 * without Dozo ("0 8192 linear /dev/md0 4096\n..."); malloc'ed.
 */
char *volume_dm_table(const struct volume *volume, const char *device);

#endif
