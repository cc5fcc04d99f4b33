/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario "pool": volumes are created, grown, renamed and deleted while
 * others are under load, until the pool is full, with kills and power cuts.
 *
 * What is checked in every life: each change that was acknowledged is there,
 * one that was cut off is there as a whole or not at all, the counters of
 * space are the sum of the volumes, a full pool says ENOSPC exactly when it
 * is full, new space reads as zeroes, and the volumes' data obey the model.
 * The pool's document is the last acknowledged one or the one cut off.
 *
 * An array with a log may lose members, one at a time, and have a spare, on
 * which what volumes have is rebuilt first; in the end it can do without any.
 */
#include "pool/pool.h"
#include "tests/sim/load.h"
#include "tests/sim/rig.h"
#include "tests/sim/scenario.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOLUMES 6u
#define LOADS 2u
#define DOC_BYTES 9000u

struct expected {
	bool exists;
	char name[POOL_NAME_MAX + 1];
	uint64_t size;
	uint8_t uuid[16];
	struct model *model;
	bool loaded;		/* a load runs on it: not to be deleted */
};

struct world {
	struct op op;		/* the changer */
	struct sim *sim;
	struct rng *rng;
	struct rig *rig;
	struct loop *loop;
	struct pool *pool;
	struct expected volume[VOLUMES];
	struct load *load[LOADS];
	unsigned loads;
	unsigned budget;	/* changes still to make */
	unsigned names;		/* given so far */
	struct pool_change change;
	struct expected *subject;	/* of the change in flight */
	struct pool_doc doc;
	bool doc_in_flight;
	uint64_t doc_durable, doc_tried;	/* generations */
	char doc_text[DOC_BYTES];
};

static uint64_t
extents(const struct pool_info *info, uint64_t size)
{
	return (size + info->extent_bytes - 1) / info->extent_bytes;
}

/* --- the counters --- */

static void
check_space(struct world *w)
{
	struct pool_info info;
	uint64_t used = 0;
	unsigned n = 0;

	pool_get_info(w->pool, &info);
	for (unsigned i = 0; i < VOLUMES; i++) {
		if (!w->volume[i].exists)
			continue;
		used += extents(&info, w->volume[i].size) * info.extent_bytes;
		n++;
	}
	sim_check(w->sim, info.used == used && info.volumes == n &&
	    info.free == info.size - used, "the pool counts %u volumes, %llu "
	    "used, %llu free; the model %u, %llu", info.volumes,
	    (unsigned long long)info.used, (unsigned long long)info.free, n,
	    (unsigned long long)used);
}

/* --- changes --- */

static void
draw_create(struct world *w, struct expected *v, const struct pool_info *info)
{
	struct pool_change *c = &w->change;
	uint64_t max = info->size / 2;

	c->kind = POOL_VOLUME_CREATE;
	snprintf(c->name, sizeof(c->name), "v%u", w->names++);
	c->size = 4096 * rng_range(w->rng, 1, max / 4096);
	c->thick = true;
	c->policy = (enum write_policy)rng_below(w->rng, 3);
	sim_trace(w->sim, "pool: create %s %llu", c->name,
	    (unsigned long long)c->size);
	assert(!v->exists);
}

static void
draw_change_of(struct world *w, struct expected *v)
{
	struct pool_change *c = &w->change;
	uint64_t dice = rng_below(w->rng, v->loaded ? 60 : 100);

	c->volume = pool_volume_by_name(w->pool, v->name);
	sim_check(w->sim, c->volume != NULL, "%s is gone", v->name);
	if (dice < 45) {
		c->kind = POOL_VOLUME_GROW;
		c->size = v->size + 4096 * rng_range(w->rng, 1, 600);
	} else if (dice < 60) {
		c->kind = POOL_VOLUME_RENAME;
		snprintf(c->name, sizeof(c->name), "v%u", w->names++);
	} else {
		c->kind = POOL_VOLUME_DELETE;
	}
	sim_trace(w->sim, "pool: change %d of %s, size %llu, name %s",
	    (int)c->kind, v->name, (unsigned long long)c->size, c->name);
}

static void
start_change(struct world *w)
{
	struct expected *v = &w->volume[rng_below(w->rng, VOLUMES)];
	struct pool_info info;

	pool_get_info(w->pool, &info);
	w->change = (struct pool_change){ .pool = w->pool };
	w->subject = v;
	if (!v->exists)
		draw_create(w, v, &info);
	else
		draw_change_of(w, v);
	pool_change_start(&w->change, &w->op);
}

/* The change has happened. */
static void
adopt_change(struct world *w)
{
	const struct pool_change *c = &w->change;
	struct expected *v = w->subject;
	struct volume_info info;

	switch (c->kind) {
	case POOL_VOLUME_CREATE:
		v->exists = true;
		v->size = c->size;
		strcpy(v->name, c->name);
		v->model = model_new(w->sim, c->name, c->size / MODEL_SECTOR);
		volume_get_info(pool_volume_by_name(w->pool, c->name), &info);
		memcpy(v->uuid, info.uuid, sizeof(v->uuid));
		break;
	case POOL_VOLUME_GROW:
		v->size = c->size;
		model_grow(v->model, c->size / MODEL_SECTOR);
		break;
	case POOL_VOLUME_RENAME:
		strcpy(v->name, c->name);
		break;
	case POOL_VOLUME_DELETE:
		v->exists = false;
		model_free(v->model);
		v->model = NULL;
		break;
	case POOL_VOLUME_SET:
		break;
	}
}

static void
end_change(struct world *w, uint64_t free_bytes)
{
	const struct pool_change *c = &w->change;
	struct expected *v = w->subject;
	struct pool_info info;
	uint64_t need = 0;

	pool_get_info(w->pool, &info);
	sim_trace(w->sim, "pool: change ends: %d %s", c->err.code,
	    c->err.text);
	if (c->kind == POOL_VOLUME_CREATE)
		need = extents(&info, c->size);
	else if (c->kind == POOL_VOLUME_GROW)
		need = extents(&info, c->size) - extents(&info, v->size);
	if (need * info.extent_bytes > free_bytes) {
		sim_check(w->sim, c->err.code == ENOSPC,
		    "a change that does not fit gives %d", c->err.code);
	} else {
		sim_check(w->sim, c->err.code == 0, "a change fails: %s",
		    c->err.text);
		adopt_change(w);
	}
	w->subject = NULL;
	check_space(w);
}

/* --- the document --- */

static void
fill_doc(char *text, size_t len, uint64_t generation)
{
	struct rng rng = { .state = generation };

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + rng_below(&rng, 26));
}

static size_t
doc_len(uint64_t generation)
{
	return 1 + (size_t)(generation * 7919 % (DOC_BYTES - 1));
}

static void
start_doc(struct world *w)
{
	w->doc_tried = MAX(w->doc_tried, w->doc_durable) + 1;
	w->doc = (struct pool_doc){ .pool = w->pool, .write = true,
	    .text = w->doc_text, .len = doc_len(w->doc_tried),
	    .generation = w->doc_tried };
	fill_doc(w->doc_text, w->doc.len, w->doc_tried);
	sim_trace(w->sim, "pool: document %llu",
	    (unsigned long long)w->doc_tried);
	pool_doc_start(&w->doc, &w->op);
}

static void
end_doc(struct world *w)
{
	sim_check(w->sim, w->doc.err.code == 0, "the document fails: %s",
	    w->doc.err.text);
	w->doc_durable = w->doc_tried;
}

/* --- the changer op --- */

enum changer_step { WC_NEXT, WC_CHANGED, WC_WRITTEN };
static const char *const changer_steps[] = { "NEXT", "CHANGED", "WRITTEN" };

static void
changer_run(struct op *op)
{
	struct world *w = op_owner(op, struct world);
	struct pool_info info;

	switch ((enum changer_step)op->step) {
	case WC_NEXT:
		if (w->budget == 0) {
			op_end(op);
			return;
		}
		w->budget--;
		if (rng_one_in(w->rng, 4)) {
			start_doc(w);
			op->step = WC_WRITTEN;
		} else {
			start_change(w);
			op->step = WC_CHANGED;
		}
		return;
	case WC_CHANGED:
		/* What was free before: changes come one after the other. */
		pool_get_info(w->pool, &info);
		if (w->change.err.code == 0) {
			uint64_t now = extents(&info, w->change.size);
			uint64_t had = w->change.kind == POOL_VOLUME_GROW ?
			    extents(&info, w->subject->size) : 0;

			if (w->change.kind == POOL_VOLUME_CREATE ||
			    w->change.kind == POOL_VOLUME_GROW)
				info.free += (now - had) * info.extent_bytes;
		}
		end_change(w, info.free);
		op->step = WC_NEXT;
		return;
	case WC_WRITTEN:
		end_doc(w);
		op->step = WC_NEXT;
		return;
	}
	bug("changer: bad step");
}

static const struct op_type changer_type = {
	.name = "sim_changer",
	.steps = changer_steps,
	.nsteps = nitems(changer_steps),
	.run = changer_run,
};

/* --- what is there after a start --- */

/* The change that was cut off: it happened as a whole, or not at all. */
static void
resolve_change(struct world *w)
{
	struct expected *v = w->subject;
	const struct pool_change *c = &w->change;
	struct volume *volume;
	struct volume_info info;
	bool done = false;

	if (v == NULL)
		return;
	volume = pool_volume_by_name(w->pool, c->name[0] != '\0' ? c->name :
	    v->name);
	if (volume != NULL)
		volume_get_info(volume, &info);
	switch (c->kind) {
	case POOL_VOLUME_CREATE:
	case POOL_VOLUME_RENAME:
		done = volume != NULL;
		break;
	case POOL_VOLUME_GROW:
		done = volume != NULL && info.size == c->size;
		break;
	case POOL_VOLUME_DELETE:
		done = volume == NULL;
		break;
	case POOL_VOLUME_SET:
		break;
	}
	sim_trace(w->sim, "pool: the change cut off %s", done ? "happened" :
	    "did not happen");
	if (done)
		adopt_change(w);
	w->subject = NULL;
}

static void
check_volumes(struct world *w)
{
	for (unsigned i = 0; i < VOLUMES; i++) {
		struct expected *v = &w->volume[i];
		struct volume_info info;
		struct volume *volume;

		v->loaded = false;
		if (!v->exists)
			continue;
		volume = pool_volume_by_name(w->pool, v->name);
		sim_check(w->sim, volume != NULL, "volume %s is gone",
		    v->name);
		volume_get_info(volume, &info);
		sim_check(w->sim, info.size == v->size, "volume %s has %llu "
		    "bytes, not %llu", v->name, (unsigned long long)info.size,
		    (unsigned long long)v->size);
		sim_check(w->sim, memcmp(info.uuid, v->uuid, 16) == 0,
		    "volume %s has another uuid", v->name);
		sim_check(w->sim, pool_volume_by_uuid(w->pool, v->uuid) ==
		    volume, "volume %s is not found by uuid", v->name);
	}
}

static void
check_doc(struct world *w)
{
	struct pool_doc doc = { .pool = w->pool };
	char *want = w->doc_text;

	pool_doc_start(&doc, NULL);
	sim_run_op(w->sim, &doc.op, SIM_FOREVER);
	sim_check(w->sim, doc.err.code == 0, "reading the document: %s",
	    doc.err.text);
	if (doc.text == NULL) {
		sim_check(w->sim, w->doc_durable == 0, "document %llu is gone",
		    (unsigned long long)w->doc_durable);
		return;
	}
	sim_check(w->sim, doc.generation == w->doc_durable ||
	    doc.generation == w->doc_tried, "the document is %llu, not %llu",
	    (unsigned long long)doc.generation,
	    (unsigned long long)w->doc_durable);
	fill_doc(want, doc_len(doc.generation), doc.generation);
	sim_check(w->sim, doc.len == doc_len(doc.generation) &&
	    memcmp(doc.text, want, doc.len) == 0, "the document's text is "
	    "wrong");
	w->doc_durable = doc.generation;
	free(doc.text);
}

static void
check_data(struct world *w)
{
	for (unsigned i = 0; i < VOLUMES; i++) {
		struct expected *v = &w->volume[i];
		struct load_verify verify = { .sim = w->sim,
		    .model = v->model };

		if (!v->exists)
			continue;
		verify.blk = volume_blk(pool_volume_by_name(w->pool, v->name));
		load_verify_start(&verify);
		sim_run_op(w->sim, &verify.op, SIM_FOREVER);
	}
}

/* --- one life --- */

/* The label at the start or the one at the end loses a bit. */
static void
rot_label(struct world *w)
{
	struct sim_disk *disk = rig_disk(w->rig, 0);
	uint64_t off = rng_one_in(w->rng, 2) ? 0 : sim_disk_size(disk) - 4096;

	if (rig_members(w->rig) == 1 && rng_one_in(w->rng, 4))
		sim_disk_rot(disk, 8 * off + rng_below(w->rng, 8 * 64));
}

static void
format(struct world *w, struct loop *loop)
{
	struct pool_format format = { .blk = rig_open(w->rig, loop),
	    .name = "tank", .extent_bytes = 256 * 1024 };

	pool_format_start(&format, NULL);
	sim_run_op(w->sim, &format.op, SIM_FOREVER);
	sim_check(w->sim, format.err.code == 0, "format: %s",
	    format.err.text);
	rig_close(w->rig);
}

static void
open_pool(struct world *w, struct loop *loop)
{
	struct pool_open open = { .loop = loop,
	    .blk = rig_open(w->rig, loop) };

	pool_open_start(&open, NULL);
	sim_run_op(w->sim, &open.op, SIM_FOREVER);
	sim_check(w->sim, open.err.code == 0, "pool does not open: %s",
	    open.err.text);
	w->loop = loop;
	w->pool = open.pool;
	if (rig_members(w->rig) > 1)
		raid_set_used(rig_raid(w->rig), pool_next_used, w->pool);
	resolve_change(w);
	check_volumes(w);
	check_space(w);
	check_doc(w);
	check_data(w);
}

static void
close_pool(struct world *w)
{
	struct pool_close close = { .pool = w->pool };

	if (rig_members(w->rig) > 1)
		raid_set_used(rig_raid(w->rig), NULL, NULL);
	pool_close_start(&close, NULL);
	sim_run_op(w->sim, &close.op, SIM_FOREVER);
	sim_check(w->sim, close.err.code == 0, "close: %s", close.err.text);
	rig_close(w->rig);
}

static void
start_loads(struct world *w)
{
	w->loads = 0;
	for (unsigned i = 0; i < VOLUMES && w->loads < LOADS; i++) {
		struct expected *v = &w->volume[i];

		if (!v->exists || rng_one_in(w->rng, 2))
			continue;
		v->loaded = true;
		load_start(w->load[w->loads++],
		    volume_blk(pool_volume_by_name(w->pool, v->name)),
		    v->model, 0, rng_range(w->rng, 1, 80));
	}
}

/* One at a time, and not before all rows have their parity. */
static void
lose_member(struct world *w)
{
	struct raid_info info;
	unsigned i;

	if (rig_members(w->rig) == 1 || !rig_has_log(w->rig))
		return;
	if (!rng_one_in(w->rng, 4))
		rig_readd(w->rig, w->loop);
	if (rng_one_in(w->rng, 3))
		sim_sleep(w->sim, 60000);
	raid_get_info(rig_raid(w->rig), &info);
	if (!rig_note_whole(w->rig) || rig_suspects(w->rig) > 0 ||
	    info.in_doubt > 0 || rng_one_in(w->rng, 4))
		return;
	i = rig_member(w->rig, (unsigned)rng_below(w->rng,
	    rig_members(w->rig)));
	rig_suspect(w->rig, i, false);
	sim_disk_vanish(rig_disk(w->rig, i), false);
}

/*
 * Load and changes until all is done (true) or the process is to be killed.
 * Half of the lives end among the changes, where few events are.
 */
static bool
live(struct world *w)
{
	bool quiet = rng_one_in(w->rng, 2);
	uint64_t events = rng_range(w->rng, 1, quiet ? 60 : 400);

	w->budget = (unsigned)rng_range(w->rng, 0, 12);
	lose_member(w);
	start_loads(w);
	for (unsigned i = 0; quiet && i < w->loads; i++)
		sim_run_op(w->sim, &w->load[i]->op, SIM_FOREVER);
	for (unsigned i = 0; quiet && i < VOLUMES; i++)
		w->volume[i].loaded = false;
	op_start(&w->op, &changer_type, loop_sched(w->loop), NULL);
	if (!sim_run_op(w->sim, &w->op, events))
		return false;
	for (unsigned i = 0; i < w->loads; i++)
		if (!sim_run_op(w->sim, &w->load[i]->op, events))
			return false;
	return true;
}

static void
crash(struct world *w, bool power)
{
	rig_crash(w->rig, power);
	for (unsigned i = 0; i < VOLUMES; i++) {
		if (!w->volume[i].exists)
			continue;
		model_crash(w->volume[i].model, power);
		if (rig_suspects(w->rig) > 0)	/* what was in flight */
			model_doubt(w->volume[i].model);
	}
}

static void
shut_down(struct world *w)
{
	close_pool(w);
	for (unsigned k = 0; k < VOLUMES; k++)
		if (w->volume[k].exists)
			model_settle(w->volume[k].model);
	sim_shutdown(w->sim);
}

/* All is rebuilt; then any member can be left out. */
static void
last_checks(struct world *w)
{
	unsigned n = rig_members(w->rig);
	bool whole;

	if (n == 1 || !rig_has_log(w->rig))
		return;
	open_pool(w, sim_boot(w->sim));
	rig_readd(w->rig, w->loop);
	sim_sleep(w->sim, 300000);
	whole = rig_note_whole(w->rig);
	check_data(w);
	shut_down(w);
	if (!whole)
		return;
	rig_withhold(w->rig, rig_member(w->rig,
	    (unsigned)rng_below(w->rng, n)));
	open_pool(w, sim_boot(w->sim));
	shut_down(w);
}

static void
play_pool(struct sim *sim, struct rng *rng)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t lives = rng_range(rng, 1, 8);

	if (w == NULL)
		sim_fail(sim, "no memory");
	w->sim = sim;
	w->rng = rng;
	if (rng_one_in(rng, 3))
		w->rig = rig_new_array(sim, rng, rng_range(rng, 6, 10) * MIB);
	else
		w->rig = rig_new_disk(sim, rng, rng_range(rng, 6, 10) * MIB);
	while (rig_members(w->rig) > 1 && rng_one_in(rng, 2) &&
	    rig_disks(w->rig) < rig_members(w->rig) + RIG_SPARES_MAX)
		rig_new_spare(w->rig);
	for (unsigned i = 0; i < LOADS; i++)
		w->load[i] = load_new(sim, rng);
	format(w, sim_boot(sim));
	sim_shutdown(sim);
	for (uint64_t i = 0; i < lives; i++) {
		open_pool(w, sim_boot(sim));
		if (live(w) && rng_one_in(rng, 4))
			shut_down(w);
		if (sim_is_up(sim) || rng_one_in(rng, 3))
			crash(w, rng_one_in(rng, 2) || !sim_is_up(sim));
		rot_label(w);
	}
	last_checks(w);
}

const struct scenario scenario_pool = { "pool", play_pool };
