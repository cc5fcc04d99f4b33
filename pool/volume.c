/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A volume as a struct blk: byte ranges of the volume to byte ranges of the
 * array.
 *
 * A request inside one contiguous run of extents is passed on with another
 * offset and nothing else.  One that crosses runs becomes a split: an op from
 * a fixed set, which sends up to POOL_SPLIT_PARTS parts at a time and answers
 * with the first error.  If the set is empty the request waits its turn.
 *
 * Invariants: map[] ascends without gaps from 0 and covers the size; every
 * split is either free or owned by exactly one request.
 */
#include "core/grave.h"
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct split {
	struct op op;
	struct pool *pool;
	struct volume *volume;
	struct io *io;			/* the request from above */
	uint64_t done;			/* bytes sent so far */
	unsigned nparts;
	struct io parts[POOL_SPLIT_PARTS];
	struct iovec iov[BUF_IOV_MAX + POOL_SPLIT_PARTS];
	STAILQ_ENTRY(split) queue;
};

_Static_assert(offsetof(struct split, op) == 0, "split_describe casts");

enum split_step { SPLIT_SEND, SPLIT_COLLECT };
static const char *const split_steps[] = { "SEND", "COLLECT" };

static const struct map_run *
map_find(const struct volume *v, uint64_t off)
{
	unsigned lo = 0, hi = v->nmap;

	assert(v->nmap > 0 && off < v->map[v->nmap - 1].end);
	while (hi - lo > 1) {
		unsigned mid = lo + (hi - lo) / 2;

		if (v->map[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	assert(v->map[lo].off <= off && off < v->map[lo].end);
	return &v->map[lo];
}

/* Start as many parts as there is room for; moves split->done. */
static void
split_send(struct split *split)
{
	struct io *io = split->io;
	unsigned niov = 0;

	split->nparts = 0;
	while (split->done < io->len && split->nparts < POOL_SPLIT_PARTS) {
		uint64_t off = io->off + split->done;
		const struct map_run *run = map_find(split->volume, off);
		uint64_t len = MIN(run->end - off, io->len - split->done);
		struct io *part = &split->parts[split->nparts++];
		unsigned n = 0;

		if (io->niov > 0)
			n = iov_slice(split->iov + niov,
			    (unsigned)nitems(split->iov) - niov, io->iov,
			    io->niov, split->done, len);
		io_init(part, io->kind, run->phys + (off - run->off), len,
		    n > 0 ? split->iov + niov : NULL, n, io->flags);
		niov += n;
		split->done += len;
		blk_submit(split->pool->blk, part, &split->op);
	}
	assert(split->nparts > 0);
}

/* Parts whose memory is still in use: one grave is enough for all of it. */
static bool
split_late(struct split *split)
{
	struct io *io = split->io;

	for (unsigned i = 0; i < split->nparts; i++) {
		struct grave *grave = split->parts[i].grave;

		if (grave != NULL && io->grave != NULL)
			grave_close(grave);
		else if (grave != NULL)
			io->grave = grave;
	}
	return io->grave != NULL;
}

/* Of all parts; and where the first error is. */
static int
split_result(struct split *split)
{
	uint64_t at = split->done;

	if (split_late(split))
		return -ETIMEDOUT;
	for (unsigned i = split->nparts; i-- > 0;)
		at -= split->parts[i].len;
	for (unsigned i = 0; i < split->nparts; i++) {
		const struct io *part = &split->parts[i];

		if (part->result < 0) {
			split->io->failed_at = at + part->failed_at;
			return part->result;
		}
		at += part->len;
	}
	return 0;
}

static void split_next(struct pool *pool, struct split *split);

static void
split_run(struct op *op)
{
	struct split *split = op_owner(op, struct split);
	struct pool *pool = split->pool;
	int result;

	switch ((enum split_step)op->step) {
	case SPLIT_SEND:
		split_send(split);
		op->step = SPLIT_COLLECT;
		return;
	case SPLIT_COLLECT:
		result = split_result(split);
		if (result == 0 && split->done < split->io->len) {
			op->step = SPLIT_SEND;
			return;
		}
		io_end(split->io, result);
		op_end(op);
		split_next(pool, split);
		return;
	}
	bug("split: bad step");
}

static void
split_describe(const struct op *op, char *text, size_t size)
{
	const struct split *split = (const struct split *)(const void *)op;

	snprintf(text, size, "%s of %s off %" PRIu64 "+%" PRIu64,
	    io_kind_name(split->io->kind), split->volume->blk.name,
	    split->io->off, split->io->len);
}

static const struct op_type split_type = {
	.name = "volume_split",
	.steps = split_steps,
	.nsteps = nitems(split_steps),
	.run = split_run,
	.describe = split_describe,
};

static void
split_start(struct split *split, struct io *io)
{
	split->volume = io->owner;
	split->io = io;
	split->done = 0;
	assert(split->volume->pool == split->pool);
	op_start(&split->op, &split_type, loop_sched(split->pool->loop), NULL);
}

/* `split` has ended: give it to the next request, or back. */
static void
split_next(struct pool *pool, struct split *split)
{
	struct io *io = STAILQ_FIRST(&pool->split_wait);

	assert(pool->splits_busy > 0);
	if (io == NULL) {
		pool->splits_busy--;
		STAILQ_INSERT_HEAD(&pool->split_free, split, queue);
		return;
	}
	STAILQ_REMOVE_HEAD(&pool->split_wait, queue);
	split_start(split, io);
}

static void
split_submit(struct volume *v, struct io *io)
{
	struct pool *pool = v->pool;
	struct split *split = STAILQ_FIRST(&pool->split_free);

	assert(io->niov <= BUF_IOV_MAX);
	io->owner = v;
	if (split == NULL) {
		STAILQ_INSERT_TAIL(&pool->split_wait, io, queue);
		return;
	}
	STAILQ_REMOVE_HEAD(&pool->split_free, queue);
	pool->splits_busy++;
	split_start(split, io);
}

static void
volume_submit(struct blk *blk, struct io *io)
{
	struct volume *v = container_of(blk, struct volume, blk);
	const struct map_run *run;

	switch (io->kind) {
	case IO_FLUSH:
		blk_forward(v->pool->blk, io);
		return;
	case IO_DISCARD:
		/* A thick volume keeps its space and its contents. */
		io_end(io, 0);
		return;
	case IO_STATUS:
		assert(range_ok(io->off, io->len, blk->geo.size));
		io->flags |= IO_MAPPED;
		io_end(io, 0);
		return;
	case IO_READ:
	case IO_WRITE:
	case IO_ZERO:
		assert(io->len > 0);
		assert(range_ok(io->off, io->len, blk->geo.size));
		run = map_find(v, io->off);
		if (io->off + io->len > run->end) {
			split_submit(v, io);
			return;
		}
		io->off = run->phys + (io->off - run->off);
		blk_forward(v->pool->blk, io);
		return;
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("volume: request of kind %d", (int)io->kind);
}

/* Only if it is one request below, as the write will be. */
static void
volume_expect(struct blk *blk, uint64_t off, uint64_t len)
{
	struct volume *v = container_of(blk, struct volume, blk);
	const struct map_run *run = map_find(v, off);

	if (off + len <= run->end)
		blk_expect(v->pool->blk, run->phys + (off - run->off), len);
}

static uint64_t
volume_cut(const struct blk *blk, uint64_t off, uint64_t len)
{
	const struct volume *v = (const void *)((const char *)blk -
	    offsetof(struct volume, blk));
	const struct map_run *run = map_find(v, off);

	return off + len <= run->end ?
	    blk_cut(v->pool->blk, run->phys + (off - run->off), len) : 0;
}

static void
volume_close(struct blk *blk)
{
	bug("volume %s: closed by a user, it is the pool's", blk->name);
}

static const struct blk_ops volume_ops = {
	.type = "volume",
	.submit = volume_submit,
	.close = volume_close,
	.expect = volume_expect,
	.cut = volume_cut,
};

int
volume_splits_new(struct pool *pool)
{
	STAILQ_INIT(&pool->split_free);
	STAILQ_INIT(&pool->split_wait);
	pool->splits = calloc(POOL_SPLITS, sizeof(*pool->splits));
	if (pool->splits == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < POOL_SPLITS; i++) {
		pool->splits[i].pool = pool;
		STAILQ_INSERT_TAIL(&pool->split_free, &pool->splits[i], queue);
	}
	return 0;
}

void
volume_splits_free(struct pool *pool)
{
	assert(pool->splits_busy == 0 && STAILQ_EMPTY(&pool->split_wait));
	free(pool->splits);
	pool->splits = NULL;
}

/* The map of a record; NULL without memory. */
static struct map_run *
map_new(const struct label *label, const struct table_volume *rec)
{
	struct map_run *map = calloc(rec->nruns, sizeof(*map));
	uint64_t off = 0;

	assert(rec->nruns > 0);
	for (unsigned i = 0; map != NULL && i < rec->nruns; i++) {
		const struct run *run = &rec->runs[i];
		uint64_t len = (uint64_t)run->count * label->extent_bytes;

		map[i] = (struct map_run){
			.off = off,
			.end = off + len,
			.phys = label->data_off +
			    (uint64_t)run->start * label->extent_bytes,
		};
		off += len;
	}
	assert(map == NULL || off >= rec->size);
	return map;
}

/* Does every full stripe of the volume lie on one of the array? */
static bool
map_aligned(const struct volume *v, uint32_t stripe)
{
	if (stripe == 0)
		return false;
	for (unsigned i = 0; i < v->nmap; i++) {
		if (v->map[i].phys % stripe != v->map[i].off % stripe)
			return false;
	}
	return true;
}

struct volume *
volume_new(struct pool *pool, const struct table_volume *rec)
{
	const struct blk_geometry *geo = &pool->blk->geo;
	struct volume *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->pool = pool;
	v->rec = *rec;
	v->rec.runs = malloc(rec->nruns * sizeof(*rec->runs));
	v->map = map_new(&pool->label, rec);
	v->nmap = rec->nruns;
	if (v->rec.runs == NULL || v->map == NULL) {
		volume_free(v);
		return NULL;
	}
	memcpy(v->rec.runs, rec->runs, rec->nruns * sizeof(*rec->runs));
	v->blk.ops = &volume_ops;
	v->blk.loop = pool->loop;
	v->blk.geo = *geo;
	v->blk.geo.size = rec->size;
	v->blk.geo.optimal_io =
	    map_aligned(v, geo->optimal_io) ? geo->optimal_io : 0;
	v->blk.geo.discard_granularity = 0;
	v->blk.geo.discard_zeroes = false;
	snprintf(v->blk.name, sizeof(v->blk.name), "%.*s/%.*s", POOL_NAME_MAX,
	    pool->label.name, POOL_NAME_MAX, rec->name);
	return v;
}

void
volume_adopt(struct volume *v, struct volume *fresh)
{
	struct table_volume rec = v->rec;
	struct map_run *map = v->map;

	assert(memcmp(v->rec.uuid, fresh->rec.uuid, 16) == 0);
	assert(fresh->pool == v->pool);
	v->rec = fresh->rec;
	v->map = fresh->map;
	v->nmap = fresh->nmap;
	v->blk.geo.size = fresh->blk.geo.size;
	v->blk.geo.optimal_io = fresh->blk.geo.optimal_io;
	memcpy(v->blk.name, fresh->blk.name, sizeof(v->blk.name));
	fresh->rec = rec;
	fresh->map = map;
	volume_free(fresh);
}

void
volume_free(struct volume *v)
{
	if (v == NULL)
		return;
	free(v->map);
	free(v->rec.runs);
	free(v);
}

struct blk *
volume_blk(struct volume *volume)
{
	return &volume->blk;
}

struct volume *
pool_volume_at(const struct pool *pool, uint64_t off, uint64_t *at)
{
	for (uint32_t i = 0; i < pool->table.nvolumes; i++) {
		struct volume *v = pool->volumes[i];

		for (unsigned r = 0; r < v->nmap; r++) {
			const struct map_run *run = &v->map[r];

			if (off < run->phys ||
			    off - run->phys >= run->end - run->off)
				continue;
			*at = run->off + (off - run->phys);
			return v;
		}
	}
	return NULL;
}

void
volume_get_info(const struct volume *v, struct volume_info *info)
{
	memset(info, 0, sizeof(*info));
	memcpy(info->name, v->rec.name, sizeof(info->name));
	memcpy(info->uuid, v->rec.uuid, sizeof(info->uuid));
	info->size = v->rec.size;
	info->allocated = v->map[v->nmap - 1].end;
	info->policy = v->rec.policy;
	info->thick = true;
	info->ctime = v->rec.ctime;
}

char *
volume_dm_table(const struct volume *v, const char *device)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool failed;

	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < v->nmap; i++) {
		uint64_t end = MIN(v->map[i].end, v->rec.size);

		fprintf(f, "%" PRIu64 " %" PRIu64 " linear %s %" PRIu64 "\n",
		    v->map[i].off / 512, (end - v->map[i].off) / 512, device,
		    v->map[i].phys / 512);
	}
	failed = ferror(f) != 0;
	if (fclose(f) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}
