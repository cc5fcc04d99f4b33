/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario "cache": the load on a cached disk or array, with kills, power
 * cuts and failing writes.  The cache is smaller than the device.
 *
 * It proves what is promised: without write-back the cache changes nothing;
 * with it a crash of either kind may lose what no flush or FUA covers, but
 * nothing that has been there for CACHE_FLUSH_MS.  A flush that succeeds after
 * others have failed covers everything.
 */
#include "block/cache.h"
#include "tests/sim/load.h"
#include "tests/sim/rig.h"
#include "tests/sim/scenario.h"

struct world {
	struct sim *sim;
	struct rng *rng;
	struct rig *rig;
	struct sim_disk *disk;		/* the rig, if it is no array */
	struct model *model;
	struct load *load;
	bool write_back;		/* since it was on, a kill may lose */
	bool write_errors;
	uint32_t stripe;		/* of the disk; 0: as the rig has it */
	/* of this life */
	struct loop *loop;
	struct cache *cache;
	struct blk *blk;
	bool on;			/* it writes back now */
};

static void
verify_all(struct world *w)
{
	struct load_verify verify = { .sim = w->sim, .blk = w->blk,
	    .model = w->model };

	load_verify_start(&verify);
	sim_run_op(w->sim, &verify.op, SIM_FOREVER);
}

static void
set_limit(struct world *w)
{
	cache_set_limit(w->cache, rng_range(w->rng, 1, 3) * 2 * MIB);
}

static void
fail_writes(struct world *w)
{
	if (!w->write_errors || w->disk == NULL)
		return;
	w->load->errors_ok = true;
	sim_disk_fail_writes(w->disk, (unsigned)rng_range(w->rng, 1, 6));
}

/* What was acknowledged while it was on may be lost after that, too. */
static void
set_write_back(struct world *w, bool on)
{
	w->on = on;
	w->write_back |= on;
	cache_blk_set_write_back(w->blk, on);
}

/* False: the budget of events was used up before the load's. */
static bool
live(struct world *w)
{
	uint64_t events = rng_range(w->rng, 1, 3000);

	load_start(w->load, w->blk, w->model, 0, rng_range(w->rng, 1, 400));
	w->load->errors_ok = false;
	if (sim_run_op(w->sim, &w->load->op, events / 3))
		return true;
	set_limit(w);
	fail_writes(w);
	if (rng_one_in(w->rng, 3))
		set_write_back(w, rng_one_in(w->rng, 2));
	if (sim_run_op(w->sim, &w->load->op, events / 3))
		return true;
	fail_writes(w);
	return sim_run_op(w->sim, &w->load->op, events);
}

static void
close_all(struct world *w)
{
	struct cache_close close = { .blk = w->blk };

	if (w->disk != NULL)
		sim_disk_heal(w->disk);
	cache_close_start(&close, NULL);
	sim_run_op(w->sim, &close.op, SIM_FOREVER);
	sim_check(w->sim, close.result == 0 && close.lost_bytes == 0,
	    "close: %d, %llu bytes lost", close.result,
	    (unsigned long long)close.lost_bytes);
	cache_free(w->cache);
	rig_close(w->rig);
	sim_shutdown(w->sim);
	model_settle(w->model);
}

/* What is in the memory of the process goes with it. */
static void
crash(struct world *w, bool power)
{
	rig_crash(w->rig, power);
	model_crash(w->model, power || w->write_back);
	if (!power && w->write_back)
		model_unsettle(w->model);
}

static void
one_life(struct world *w)
{
	bool ended;

	w->loop = sim_boot(w->sim);
	w->blk = rig_open(w->rig, w->loop);
	if (w->stripe != 0) {
		w->blk->geo.optimal_io = w->stripe;
		w->blk->geo.rotational = true;
	}
	w->cache = cache_new(w->loop, 6 * MIB);
	sim_check(w->sim, w->cache != NULL, "no memory");
	set_limit(w);
	w->blk = cache_blk_new(w->cache, w->blk, w->write_back);
	sim_check(w->sim, w->blk != NULL, "no memory");
	w->on = w->write_back;
	if (w->model == NULL)
		w->model = model_new(w->sim, "cached",
		    w->blk->geo.size / MODEL_SECTOR);
	verify_all(w);
	ended = live(w);
	if (ended && rng_one_in(w->rng, 2)) {
		if (w->disk != NULL)
			sim_disk_heal(w->disk);
		sim_sleep(w->sim, 2 * CACHE_FLUSH_MS + 1000);
		if (w->on)
			model_settle(w->model);
	}
	if (ended && rng_one_in(w->rng, 2)) {
		verify_all(w);
		close_all(w);
	} else {
		crash(w, rng_one_in(w->rng, 2));
	}
}

static void
play_cache(struct sim *sim, struct rng *rng)
{
	struct world world = { .sim = sim, .rng = rng };
	uint64_t lives = rng_range(rng, 1, 5);

	if (rng_one_in(rng, 2)) {
		world.rig = rig_new_array(sim, rng, 8 * MIB);
	} else {
		world.rig = rig_new_disk(sim, rng, 8 * MIB);
		world.disk = rig_disk(world.rig, 0);
	}
	world.load = load_new(sim, rng);
	world.write_back = !rng_one_in(rng, 4);
	world.write_errors = rng_one_in(rng, 2);
	/* So that stripes of several groups are filled and written whole. */
	if (world.disk != NULL)
		world.stripe = 64 * KIB * (uint32_t)rng_range(rng, 0, 4);
	for (uint64_t i = 0; i < lives; i++)
		one_life(&world);
	world.loop = sim_boot(sim);
	world.blk = rig_open(world.rig, world.loop);
	verify_all(&world);
}

const struct scenario scenario_cache = { "cache", play_cache };
