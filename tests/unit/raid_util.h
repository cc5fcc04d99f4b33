/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An array of ram disks behind fault injectors, a flat model of what it must
 * hold, and batches of random requests in flight at the same time.
 */
#ifndef TESTS_RAID_UTIL_H
#define TESTS_RAID_UTIL_H

#include <stdio.h>

#include "raid/raid_priv.h"
#include "tests/unit/block_util.h"

#define BATCH 32
#define REQ_MAX (512u * 1024)

/* Passes everything on but survives the array's closing it. */
struct keep {
	struct blk blk;
	struct blk *lower;
};

struct world {
	struct loop *loop;
	struct raid *raid;
	struct keep keep[RAID_MEMBERS_MAX];
	struct blk *fault[RAID_MEMBERS_MAX], *ram[RAID_MEMBERS_MAX];
	unsigned n;			/* members of the array */
	unsigned ndisks;		/* there may be more */
	uint64_t size;
	uint8_t *model, *seen;
	uint64_t seed;
	struct one_io io[BATCH];
	uint8_t *buf[BATCH];
	unsigned told;
	char last_told[200];
};

static void
keep_submit(struct blk *blk, struct io *io)
{
	blk_forward(container_of(blk, struct keep, blk)->lower, io);
}

static void
keep_close(struct blk *blk)
{
	(void)blk;
}

static const struct blk_ops keep_ops = {
	.type = "keep", .submit = keep_submit, .close = keep_close,
};

static inline uint64_t
rnd(struct world *w)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed;
}

static inline void
on_tell(void *arg, const char *what)
{
	struct world *w = arg;

	w->told++;
	snprintf(w->last_told, sizeof(w->last_told), "%s", what);
}

/* Member data of `bytes` each; `n` members. */
static inline void
world_disks(struct world *w, unsigned n, uint64_t bytes, uint32_t block)
{
	w->loop = loop_new(NULL);
	assert_non_null(w->loop);
	w->n = w->ndisks = n;
	w->seed = 0x9e3779b97f4a7c15;
	log_set_level(LOG_L_ERR);
	for (unsigned i = 0; i < n; i++) {
		w->ram[i] = blk_ram_new(w->loop, 2 * MIB + bytes, block);
		assert_non_null(w->ram[i]);
		w->fault[i] = blk_fault_new(w->ram[i]);
		assert_non_null(w->fault[i]);
		w->keep[i].lower = w->fault[i];
		w->keep[i].blk = (struct blk){ .ops = &keep_ops,
			.loop = w->loop, .geo = w->fault[i]->geo };
		snprintf(w->keep[i].blk.name, sizeof(w->keep[i].blk.name),
		    "disk%u", i);
	}
	for (unsigned i = 0; i < BATCH; i++) {
		w->buf[i] = aligned_alloc(4096, REQ_MAX);
		assert_non_null(w->buf[i]);
	}
}

static inline void
world_create_policy(struct world *w, enum raid_layout layout, uint32_t chunk,
    enum raid_policy policy)
{
	struct raid_create create = { .loop = w->loop, .force = true };

	create.spec = (struct raid_spec){ .level = 5, .layout = layout,
		.policy = policy, .members = w->n, .chunk_bytes = chunk };
	strcpy(create.spec.name, "test:array");
	for (unsigned i = 0; i < w->n; i++)
		create.members[i] = &w->keep[i].blk;
	raid_create_start(&create, NULL);
	loop_run_op(w->loop, &create.op);
	if (create.raid == NULL)
		print_message("create: %s\n", create.err.text);
	assert_non_null(create.raid);
	w->raid = create.raid;
	raid_set_listener(w->raid, on_tell, w);
	w->size = raid_blk(w->raid)->geo.size;
	w->model = calloc(1, w->size);
	w->seen = malloc(w->size);
	assert_non_null(w->model);
	assert_non_null(w->seen);
}

static inline void
world_create(struct world *w, enum raid_layout layout, uint32_t chunk)
{
	world_create_policy(w, layout, chunk, RAID_POLICY_RESYNC);
}

static inline void
world_start(struct world *w, unsigned n, enum raid_layout layout,
    uint32_t chunk, uint64_t member_bytes)
{
	memset(w, 0, sizeof(*w));
	world_disks(w, n, member_bytes, 512);
	world_create(w, layout, chunk);
}

static inline int
array_stop(struct world *w)
{
	struct raid_stop stop = { .raid = w->raid };

	raid_stop_start(&stop, NULL);
	loop_run_op(w->loop, &stop.op);
	w->raid = NULL;
	return stop.err.code;
}

static inline void
world_free(struct world *w)
{
	for (unsigned i = 0; i < BATCH; i++)
		free(w->buf[i]);
	for (unsigned i = 0; i < w->ndisks; i++)
		blk_close(w->fault[i]);
	free(w->model);
	free(w->seen);
	loop_free(w->loop);
}

static inline int
world_stop(struct world *w)
{
	int code = array_stop(w);

	world_free(w);
	return code;
}

/* All members of the world that are not in the mask `without`. */
static inline void
assemble_without(struct world *w, struct raid_assemble *a, uint32_t without,
    bool degraded)
{
	memset(a, 0, sizeof(*a));
	a->loop = w->loop;
	a->allow_degraded = degraded;
	for (unsigned i = 0; i < w->ndisks; i++)
		if ((without >> i & 1) == 0)
			a->blks[a->nblks++] = &w->keep[i].blk;
	raid_assemble_start(a, NULL);
	loop_run_op(w->loop, &a->op);
	w->raid = a->raid;
}

/* The machine loses power; disk `without` was not there. */
static inline void
lose_power(struct world *w, unsigned without)
{
	for (unsigned i = 0; i < w->n; i++)
		if (i != without)
			blk_fault_power_cut(w->fault[i], 7 + i);
	array_stop(w);
	for (unsigned i = 0; i < w->n; i++)
		if (i != without)
			blk_fault_power_on(w->fault[i]);
}

/* The bytes of member `role` at `off` of its data. */
static inline uint8_t *
member_bytes(struct world *w, unsigned role, uint64_t off)
{
	return blk_ram_data(w->ram[role]) + w->raid->member[role].data_off +
	    off;
}

struct nap {
	struct op op;
	struct loop *loop;
	struct timer timer;
	uint64_t ms;
};

static void
nap_run(struct op *op)
{
	struct nap *nap = op_owner(op, struct nap);

	if (op->step++ == 0)
		op_sleep(nap->loop, &nap->timer, nap->ms, op);
	else
		op_end(op);
}

static const struct op_type nap_type = { .name = "nap", .run = nap_run };

static inline void
wait_ms(struct world *w, uint64_t ms)
{
	struct nap nap = { .loop = w->loop, .ms = ms };

	op_start(&nap.op, &nap_type, loop_sched(w->loop), NULL);
	loop_run_op(w->loop, &nap.op);
}

static inline bool
overlaps(const struct world *w, unsigned n, uint64_t off, uint64_t len)
{
	for (unsigned i = 0; i < n; i++)
		if (off < w->io[i].io.off + w->io[i].io.len &&
		    w->io[i].io.off < off + len)
			return true;
	return false;
}

/* Bytes that a request of this kind leaves behind. */
static inline void
model_apply(struct world *w, unsigned i)
{
	const struct io *io = &w->io[i].io;

	if (io->kind == IO_WRITE)
		memcpy(w->model + io->off, w->buf[i], io->len);
	else if (io->kind == IO_ZERO)
		memset(w->model + io->off, 0, io->len);
}

/*
 * One batch of requests that do not overlap, all in flight together.  Returns
 * how many failed; those leave the model alone.
 */
static inline unsigned
batch(struct world *w, uint64_t max_len)
{
	struct blk *blk = raid_blk(w->raid);
	uint32_t block = blk->geo.logical_block;
	unsigned n = 0, failed = 0;

	for (unsigned tries = 0; tries < BATCH; tries++) {
		uint64_t len = (1 + rnd(w) % (max_len / block)) * block;
		uint64_t off = rnd(w) % (w->size / block) * block;
		unsigned pick = (unsigned)(rnd(w) % 10);
		enum io_kind kind = pick < 3 ? IO_READ :
		    pick == 3 ? IO_ZERO : IO_WRITE;
		uint64_t fill = rnd(w);

		len = MIN(len, w->size - off);
		if (overlaps(w, n, off, len))
			continue;
		for (uint64_t k = 0; k < len; k += 8)
			memcpy(w->buf[n] + k, &(uint64_t){ fill + k }, 8);
		one_io_start(&w->io[n], blk, kind, off, len, w->buf[n],
		    kind == IO_WRITE && pick == 9 ? IO_FUA : 0);
		n++;
	}
	for (unsigned i = 0; i < n; i++) {
		loop_run_op(w->loop, &w->io[i].op);
		if (w->io[i].io.result != 0) {
			failed++;
			continue;
		}
		if (w->io[i].io.kind == IO_READ)
			assert_memory_equal(w->buf[i], w->model +
			    w->io[i].io.off, w->io[i].io.len);
		model_apply(w, i);
	}
	return failed;
}

/* Everything reads as the model says. */
static inline void
compare_all(struct world *w)
{
	for (uint64_t off = 0; off < w->size; off += REQ_MAX) {
		uint64_t len = MIN(w->size - off, (uint64_t)REQ_MAX);

		assert_int_equal(do_io(raid_blk(w->raid), IO_READ, off, len,
		    w->seen + off, 0), 0);
	}
	assert_memory_equal(w->seen, w->model, w->size);
}

/* The parity of every row of the members that are alive. */
static inline unsigned
parity_errors(struct world *w)
{
	unsigned bad = 0;
	const struct raid_map *map = &w->raid->map;
	const uint8_t *base[RAID_MEMBERS_MAX];

	for (unsigned r = 0; r < w->n; r++)
		base[r] = blk_ram_data(w->ram[r]) +
		    w->raid->member[r].data_off;
	for (uint64_t at = 0; at < map->member_size; at += 8) {
		uint64_t sum = 0, word;

		for (unsigned r = 0; r < w->n; r++) {
			memcpy(&word, base[r] + at, 8);
			sum ^= word;
		}
		bad += sum != 0;
	}
	return bad;
}

static inline void
add_fault(struct world *w, unsigned i, struct fault_rule rule)
{
	assert_int_equal(blk_fault_add(w->fault[i], &rule), 0);
}

static inline int
fail_member_now(struct world *w, unsigned role)
{
	struct raid_fail fail = { .raid = w->raid, .role = role };

	raid_fail_start(&fail, NULL);
	loop_run_op(w->loop, &fail.op);
	return fail.err.code;
}

static inline int
fail_path_now(struct world *w, const char *path)
{
	struct raid_fail fail = { .raid = w->raid, .path = path,
		.why = "it was pulled" };

	raid_fail_start(&fail, NULL);
	loop_run_op(w->loop, &fail.op);
	return fail.err.code;
}

/* It was told that the disk was pulled.  Is it faulty then? */
static inline bool
fail_if_gone(struct world *w, const char *path)
{
	struct raid_fail fail = { .raid = w->raid, .path = path,
		.why = "it was pulled", .if_gone = true };

	raid_fail_start(&fail, NULL);
	loop_run_op(w->loop, &fail.op);
	assert_int_equal(fail.err.code, 0);
	return fail.failed;
}

static inline int
add(struct world *w, unsigned i, bool force)
{
	struct raid_add a = { .raid = w->raid, .blk = &w->keep[i].blk,
		.force = force };

	raid_add_start(&a, NULL);
	loop_run_op(w->loop, &a.op);
	if (a.err.code != 0)
		print_message("%s\n", a.err.text);
	return a.err.code;
}

static inline void
wait_task_end(struct world *w, struct raid_info *info)
{
	do {
		wait_ms(w, 5);
		raid_get_info(w->raid, info);
	} while (info->task != RAID_TASK_NONE);
}

#endif
