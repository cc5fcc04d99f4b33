/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one storage interface.  A disk, an array, a cache, a volume, a fault
 * injector: each is a struct blk, and a LUN sees nothing else.  Layers stack.
 *
 * An implementation embeds struct blk, fills ops and geometry, and ends every
 * request it is given exactly once with io_end(), from any later turn or from
 * inside submit().  It may be given requests in any number and order, also
 * overlapping ones; overlapping writes in flight land in either order, never
 * mixed within a logical block.
 *
 * Errors: -EIO (medium), -ENOSPC (no space in a thin pool), -ENODEV (device
 * gone), -EROFS, -EILSEQ (checksum), -ETIMEDOUT.  Misaligned or out-of-range
 * requests are a caller's bug (assert).
 */
#ifndef BLOCK_BLK_H
#define BLOCK_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/io.h"
#include "core/loop.h"

struct blk;

struct blk_geometry {
	uint64_t size;			/* bytes */
	uint32_t logical_block;		/* bytes, 512 or 4096 */
	uint32_t physical_block;	/* bytes, >= logical_block */
	uint32_t optimal_io;		/* bytes, 0 = none; full stripe */
	uint32_t discard_granularity;	/* bytes, 0 = no discard */
	bool discard_zeroes;		/* discarded blocks read as zeroes */
	bool zero_fast;			/* zeroing is quicker than writing */
	bool rotational;
	bool read_only;
};

struct blk_ops {
	const char *type;		/* "file", "raid", "volume" */
	void (*submit)(struct blk *blk, struct io *io);
	/* Frees blk; no request is in flight.  Closes what is below. */
	void (*close)(struct blk *blk);
	/* See blk_expect and blk_cut; may be missing. */
	void (*expect)(struct blk *blk, uint64_t off, uint64_t len);
	uint64_t (*cut)(const struct blk *blk, uint64_t off, uint64_t len);
};

struct blk {
	const struct blk_ops *ops;
	struct loop *loop;
	struct blk_geometry geo;	/* size may grow while open */
	char name[128];			/* path or object name, for messages */
};

/* Submit `io` (set up by io_init) and hold `waiter` until it has ended. */
void blk_submit(struct blk *blk, struct io *io, struct op *waiter);
/*
 * Pass on a request that came from above: the waiter stays as it is.  For
 * layers whose submit() only adjusts and forwards.
 */
void blk_forward(struct blk *lower, struct io *io);
/*
 * A write of this range will perhaps be submitted as soon as its data has
 * come: the device may get ready for it.  Changes nothing and ends at once.
 */
void blk_expect(struct blk *blk, uint64_t off, uint64_t len);
/*
 * Of a write that was announced, [off, off + len) is here and what follows is
 * not: how much of it can be written on its own already and at no extra cost,
 * since it shares no stripe with the rest?  0 = nothing.
 */
uint64_t blk_cut(const struct blk *blk, uint64_t off, uint64_t len);
void blk_close(struct blk *blk);

/* --- the back ends of this layer --- */

/*
 * A regular file, image or block device, with O_DIRECT where it can.
 * `read_only` opens for reading and refuses writes with -EROFS; otherwise it
 * is opened exclusively: -EBUSY with who holds it.
 */
int blk_file_open(struct loop *loop, const char *path, bool read_only,
    struct blk **out, struct err *err);
/* Device facts (model, serial, is_device) of a file blk; false for others. */
bool blk_file_info(const struct blk *blk, struct file_info *info);

/* size bytes of zeroed memory, logical block 512 or 4096. */
struct blk *blk_ram_new(struct loop *loop, uint64_t size,
    uint32_t logical_block);
/* The bytes themselves, for tests. */
uint8_t *blk_ram_data(struct blk *blk);

/*
 * A fault injector over `lower` (owned).  It ships: `dozoctl disk fault` and
 * the tests use it.
 */
struct blk *blk_fault_new(struct blk *lower);

enum fault_action {
	FAULT_ERROR,		/* end with -err */
	FAULT_DELAY,		/* go on after delay_ms */
	FAULT_STALL,		/* never end until blk_fault_clear() */
	FAULT_TORN,		/* write torn_bytes only, say success */
	FAULT_LOST,		/* write nothing, say success */
	FAULT_CORRUPT,		/* read: flip one bit */
};

struct fault_rule {
	enum fault_action action;
	unsigned kinds;		/* mask of 1u << enum io_kind; 0 = all */
	uint64_t off, len;	/* requests that touch this; len 0 = all */
	unsigned skip;		/* let so many matches pass first */
	unsigned count;		/* then act so often; 0 = for ever */
	int err;		/* FAULT_ERROR: positive errno, e.g. EIO */
	uint64_t delay_ms, torn_bytes;
};

/* Rules are tried in order of adding; the first match acts. */
int blk_fault_add(struct blk *fault, const struct fault_rule *rule);
/* Drop all rules and let stalled requests go on. */
void blk_fault_clear(struct blk *fault);
/*
 * Volatile write cache: from now on completed writes live in memory until a
 * flush or FUA.  blk_fault_power_cut() then drops what was not flushed (a
 * seeded random subset of 512-byte sectors survives) and every request from
 * then on ends with -ENODEV until blk_fault_power_on().
 */
void blk_fault_volatile_cache(struct blk *fault, bool on);
void blk_fault_power_cut(struct blk *fault, uint64_t seed);
void blk_fault_power_on(struct blk *fault);

#endif
