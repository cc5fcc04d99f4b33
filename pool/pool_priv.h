/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of pool/ share.
 *
 * On the disk, in this order, each part starting on a full stripe of the
 * array so that no write hole can hit two of them:
 *
 * label A | table 0 | table 1 | document 0 | document 1 | extents | label B
 *
 * label A is the first 4 KiB block, label B the last.  Label, table and
 * document begin alike: 8 bytes of magic, le32 version, le32 CRC32C over the
 * whole with this field taken as zero.  All numbers are little-endian.
 *
 * Invariants:
 *  - The current copy of table or document is the valid one with the larger
 *    generation; only the other copy is ever written, so one is always whole.
 *  - An extent belongs to at most one volume.  What no volume has is free;
 *    nothing else says so.
 *  - What the table in memory says is durable.
 */
#ifndef POOL_POOL_PRIV_H
#define POOL_POOL_PRIV_H

#include "core/buf.h"
#include "pool/pool.h"

#define POOL_BLOCK		4096u		/* unit of all metadata I/O */
#define POOL_VERSION		1u
#define POOL_HEAD		16u		/* magic, version, crc */
#define POOL_TABLE_BYTES	((uint32_t)(1024 * 1024))
#define POOL_DOC_BYTES		((uint32_t)(POOL_DOC_MAX + POOL_BLOCK))
#define POOL_EXTENT_MIN		((uint32_t)(256 * 1024))
#define POOL_EXTENT_MAX		((uint32_t)(1024 * 1024))
#define POOL_EXTENT_UNIT	((uint32_t)(64 * 1024))
#define POOL_EXTENTS_MAX	(1u << 30)
#define POOL_VOLUMES_MAX	4096u
#define POOL_SPLITS		32u		/* split requests at a time */
#define POOL_SPLIT_PARTS	8u		/* parts of one in flight */

/* --- pure: label.c --- */

struct label {
	char name[POOL_NAME_MAX + 1];
	uint8_t uuid[16];
	uint32_t extent_bytes, extents;
	uint64_t ctime;
	uint64_t blk_bytes;		/* size of the array at format */
	uint64_t table_off[2], doc_off[2], data_off;
};

/* The checksum of table, label or document of len bytes. */
uint32_t pool_crc(const uint8_t *buf, size_t len);
/* Put it into the head. */
uint32_t pool_crc_seal(uint8_t *buf, size_t len);
/* Where the parts go on a blk with this geometry; -ENOSPC if too small. */
int label_plan(struct label *label, const struct blk_geometry *geo,
    struct err *err);
uint64_t label_b_off(uint64_t blk_bytes);
void label_encode(const struct label *label, uint8_t buf[POOL_BLOCK]);
/* -ENOENT: no (valid) label here; -ENOTSUP: newer; -EINVAL: nonsense. */
int label_decode(struct label *label, const uint8_t buf[POOL_BLOCK],
    uint64_t blk_bytes, struct err *err);

/* --- pure: table.c --- */

struct run {
	uint32_t start, count;		/* extents */
};

struct table_volume {
	char name[POOL_NAME_MAX + 1];
	uint8_t uuid[16];
	uint64_t size, ctime;
	enum write_policy policy;
	unsigned nruns;
	struct run *runs;
};

struct table {
	uint64_t generation;
	unsigned nvolumes;
	struct table_volume *volumes;	/* by name, ascending */
};

enum table_state { TABLE_VALID, TABLE_NEWER, TABLE_NONE };

int table_copy(struct table *dst, const struct table *src);
void table_fini(struct table *table);
/* Index of the volume, or -1. */
int table_find_name(const struct table *table, const char *name);
int table_find_uuid(const struct table *table, const uint8_t uuid[16]);
/* Takes volume->runs on success. */
int table_insert(struct table *table, const struct table_volume *volume);
void table_remove(struct table *table, unsigned i);
int table_rename(struct table *table, unsigned i, const char *name);
int table_append_runs(struct table_volume *volume, const struct run *runs,
    unsigned nruns);
uint64_t table_extents_used(const struct table *table);
/* All runs by start, malloc'ed; NULL without memory. */
struct run *table_sorted_runs(const struct table *table, unsigned *nruns);
/* Bytes written, or -ENOSPC. */
int table_encode(const struct table *table, const struct label *label,
    uint8_t *buf, size_t size);
/* Is there a whole table of this pool in buf? */
enum table_state table_peek(const uint8_t *buf, size_t size,
    const struct label *label, uint64_t *generation);
/* A table that table_peek() found valid; trusts nothing in it. */
int table_decode(struct table *table, const uint8_t *buf, size_t size,
    const struct label *label, struct err *err);
void table_check(const struct table *table, const struct label *label);

/* --- pure: alloc.c --- */

/*
 * Find `want` free extents that go on after the nhave extents (in runs `have`)
 * a volume has.  -ENOSPC if there are not as many.  *out is malloc'ed.
 */
int alloc_extents(const struct table *table, const struct label *label,
    uint32_t stripe_bytes, const struct table_volume *have, uint32_t want,
    struct run **out, unsigned *nout);

/* --- a lock that ops wait for --- */

struct pool_lock {
	bool held;
	struct op_queue waiters;
};
void pool_lock_init(struct pool_lock *lock);
/* Taken at once, or `op` is held until it is. */
void pool_lock_take(struct pool_lock *lock, struct op *op);
void pool_lock_drop(struct pool_lock *lock);

/* --- pool, volume --- */

struct map_run {
	uint64_t off, end;		/* bytes of the volume */
	uint64_t phys;			/* byte of the array at off */
};

struct volume {
	struct blk blk;
	struct pool *pool;
	struct table_volume rec;	/* as in the table */
	unsigned index;			/* in pool->volumes */
	unsigned nmap;
	struct map_run *map;
};

struct split;
STAILQ_HEAD(split_list, split);

struct pool {
	struct loop *loop;
	struct blk *blk;
	struct label label;
	struct table table;
	unsigned slot;			/* where the current table is */
	bool doubtful;			/* a failed commit may be on disk */
	struct volume **volumes;	/* as table.volumes */
	struct pool_lock change_lock, doc_lock;

	bool doc_known;			/* the fields below are right */
	unsigned doc_slot;		/* current, if doc_generation > 0 */
	uint64_t doc_generation;
	uint32_t doc_crc;

	struct run *used;		/* what volumes have, by start */
	unsigned nused;
	uint64_t used_generation;	/* of the table it was made of */

	struct split *splits;		/* POOL_SPLITS of them */
	struct split_list split_free;
	struct io_queue split_wait;
	unsigned splits_busy;
};

struct volume *volume_new(struct pool *pool, const struct table_volume *rec);
void volume_free(struct volume *volume);
/* Become what `fresh` is, which is freed. */
void volume_adopt(struct volume *volume, struct volume *fresh);
int volume_splits_new(struct pool *pool);
void volume_splits_free(struct pool *pool);

#define POOL_SIZE_TEXT 32
/* "391.5 MiB", for people: rounded down. */
const char *pool_size_text(uint64_t bytes, char text[POOL_SIZE_TEXT]);
/* An aligned buffer for metadata, zeroed; NULL without memory. */
uint8_t *pool_buf_new(size_t len);
/* Start one metadata request of len bytes at buf. */
void pool_io(struct blk *blk, struct io *io, struct iovec *iov,
    enum io_kind kind, uint64_t off, void *buf, size_t len, unsigned flags,
    struct op *op);
void pool_uuid_new(struct loop *loop, uint8_t uuid[16]);

#endif
