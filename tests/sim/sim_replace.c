/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario "replace": an array with more disks than places.  In every life a
 * member is to be replaced by a disk that has no place; the load goes on, and
 * kills, power cuts, bad sectors of the old disk, the loss of one disk (the
 * old, the new, or another) and a change of mind come in between.
 *
 * Fault budget: at most one disk is lost in a seed, and sectors are bad on at
 * most one other than that.  So the array starts every time, is never worse
 * than degraded, and no request fails; at the end every member is left out
 * once, and nothing is missing.  Only bad sectors in rows that are in doubt
 * after a crash may be lost.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raid/raid.h"
#include "tests/sim/load.h"
#include "tests/sim/scenario.h"
#include "tests/sim/used.h"

#define DISKS_MAX 7u

enum plan { PLAN_CRASHES, PLAN_LATENT, PLAN_LOSE, PLANS };

struct world {
	struct sim *sim;
	struct rng *rng;
	struct raid_spec spec;
	struct raid_pools pools;
	unsigned n, ndisks;		/* places; disks */
	struct sim_disk *disk[DISKS_MAX];
	struct raid *raid;
	struct used used;		/* what is copied or rebuilt first */
	struct raid_info info;
	struct model *model;
	struct load *load;
	enum plan plan;
	bool crashed;
	bool lost, latent;		/* the budget is used */
	bool errors_ok;			/* rows in doubt have bad sectors */
};

static void
make_disks(struct world *w)
{
	static const enum raid_policy policies[] = { RAID_POLICY_PPL,
	    RAID_POLICY_PPL, RAID_POLICY_RESYNC, RAID_POLICY_BITMAP };
	struct rng *rng = w->rng;
	uint32_t chunk = UINT32_C(4096) << rng_below(rng, 5);
	uint32_t block = rng_one_in(rng, 4) ? 4096 : 512;
	char name[16];

	w->n = (unsigned)rng_range(rng, 3, 5);
	w->ndisks = w->n + (unsigned)rng_range(rng, 1, 2);
	w->plan = (enum plan)rng_below(rng, PLANS);
	w->spec = (struct raid_spec){ .name = "sim", .level = 5,
		.layout = RAID_LEFT_SYMMETRIC, .members = w->n,
		.chunk_bytes = chunk,
		/* Dirty and degraded needs a log. */
		.policy = w->plan == PLAN_LOSE ? RAID_POLICY_PPL :
		    policies[rng_below(rng, nitems(policies))] };
	w->pools = (struct raid_pools){
		.reqs = (unsigned)rng_range(rng, 1, 40),
		.rows = (unsigned)rng_range(rng, 1, 60),
		.fixes = (unsigned)rng_range(rng, 1, 10),
		.bufs = 2 * RAID_MEMBERS_MAX + (unsigned)rng_below(rng, 32) };
	for (unsigned i = 0; i < w->ndisks; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		w->disk[i] = sim_disk_new(w->sim, name, 2 * MIB +
		    chunk * (i < w->n ? rng_range(rng, 2, 30) : 32), block);
	}
}

static struct blk *
open_disk(struct world *w, struct loop *loop, unsigned i)
{
	struct err err = { 0 };
	struct blk *blk;

	if (blk_file_open(loop, sim_disk_name(w->disk[i]), false, &blk,
	    &err) != 0)
		sim_fail(w->sim, "%s", err.text);
	return blk;
}

static void
create(struct world *w, struct loop *loop)
{
	struct raid_create *create = calloc(1, sizeof(*create));

	if (create == NULL)
		sim_fail(w->sim, "no memory");
	create->loop = loop;
	create->spec = w->spec;
	create->pools = &w->pools;
	for (unsigned i = 0; i < w->n; i++)
		create->members[i] = open_disk(w, loop, i);
	raid_create_start(create, NULL);
	sim_run_op(w->sim, &create->op, SIM_FOREVER);
	if (create->err.code != 0)
		sim_fail(w->sim, "create: %s", create->err.text);
	w->raid = create->raid;
	w->model = model_new(w->sim, "array",
	    raid_blk(w->raid)->geo.size / MODEL_SECTOR);
	free(create);
}

static int
member_of(struct world *w, unsigned i)
{
	raid_get_info(w->raid, &w->info);
	for (unsigned m = 0; m < w->info.nmembers; m++)
		if (strcmp(w->info.member[m].path,
		    sim_disk_name(w->disk[i])) == 0)
			return (int)m;
	return -1;
}

static struct raid_assemble *
assemble_start(struct world *w, struct loop *loop, unsigned without)
{
	struct raid_assemble *as = calloc(1, sizeof(*as));

	if (as == NULL)
		sim_fail(w->sim, "no memory");
	as->loop = loop;
	as->allow_degraded = true;
	as->pools = &w->pools;
	for (unsigned i = 0; i < w->ndisks; i++)
		if (!sim_disk_gone(w->disk[i]) && i != without)
			as->blks[as->nblks++] = open_disk(w, loop, i);
	raid_assemble_start(as, NULL);
	return as;
}

/* Every time, and whole unless a disk is lost or left out. */
static void
assemble(struct world *w, struct loop *loop, unsigned without)
{
	struct raid_assemble *as = assemble_start(w, loop, without);

	sim_run_op(w->sim, &as->op, SIM_FOREVER);
	for (unsigned i = 0; i < as->nrejected; i++) {
		sim_trace(w->sim, "%s is rejected: %s",
		    as->rejected[i].blk->name, as->rejected[i].why.text);
		if (as->raid != NULL)
			blk_close(as->rejected[i].blk);
	}
	if (as->raid == NULL)
		sim_fail(w->sim, "the array does not start: %s",
		    as->err.text);
	w->raid = as->raid;
	free(as);
	used_tell(&w->used, w->rng, w->raid);
	raid_get_info(w->raid, &w->info);
	sim_check(w->sim, w->info.degraded == 0 || w->lost ||
	    without < w->ndisks, "a member is missing without reason");
}

static void
verify(struct world *w)
{
	struct load_verify verify = { .sim = w->sim, .blk = raid_blk(w->raid),
	    .model = w->model, .errors_ok = w->errors_ok };

	load_verify_start(&verify);
	sim_run_op(w->sim, &verify.op, SIM_FOREVER);
}

/* --- replacing --- */

static void
add(struct world *w, struct loop *loop, unsigned i)
{
	struct raid_add *add = calloc(1, sizeof(*add));

	if (add == NULL)
		sim_fail(w->sim, "no memory");
	sim_disk_heal(w->disk[i]);
	add->raid = w->raid;
	add->blk = open_disk(w, loop, i);
	add->force = true;
	raid_add_start(add, NULL);
	sim_run_op(w->sim, &add->op, SIM_FOREVER);
	if (add->err.code != 0) {
		sim_trace(w->sim, "add: %s", add->err.text);
		blk_close(add->blk);
	}
	free(add);
}

static void
begin(struct world *w, struct loop *loop)
{
	unsigned role = (unsigned)rng_below(w->rng, w->n);
	struct err err = { 0 };

	for (unsigned i = 0; i < w->ndisks; i++) {
		if (sim_disk_gone(w->disk[i]))
			continue;
		if (member_of(w, i) < 0)
			add(w, loop, i);
		if (member_of(w, i) < 0)
			continue;
		if (raid_replace(w->raid, role, sim_disk_name(w->disk[i]),
		    &err) == 0)
			sim_trace(w->sim, "%s for member %u",
			    sim_disk_name(w->disk[i]), role);
	}
}

/* --- faults --- */

static void
bad_sectors(struct world *w)
{
	unsigned i = (unsigned)rng_below(w->rng, w->ndisks);

	if (w->latent)
		return;
	w->latent = true;
	if (w->crashed)		/* a resync may be running */
		w->errors_ok = w->load->errors_ok = true;
	for (uint64_t n = rng_range(w->rng, 1, 6); n > 0; n--)
		sim_disk_bad_sector(w->disk[i], 2 * MIB + 512 *
		    rng_below(w->rng, (sim_disk_size(w->disk[i]) - 2 * MIB) /
		    512));
}

static void
lose(struct world *w)
{
	unsigned i = (unsigned)rng_below(w->rng, w->ndisks);

	if (w->lost)
		return;
	w->lost = true;
	if (rng_one_in(w->rng, 3))
		sim_disk_fail_writes(w->disk[i], (unsigned)rng_range(w->rng,
		    1, 4));
	else
		sim_disk_vanish(w->disk[i], false);
}

static void
do_fault(struct world *w)
{
	if (rng_one_in(w->rng, 8)) {
		sim_trace(w->sim, "cancelled");
		raid_task_cancel(w->raid);
	}
	if (rng_one_in(w->rng, 4))
		used_change(&w->used, w->rng);
	if (rng_one_in(w->rng, 2))
		return;
	switch (w->plan) {
	case PLAN_LATENT:
		bad_sectors(w);
		return;
	case PLAN_LOSE:
		lose(w);
		return;
	case PLAN_CRASHES:
	case PLANS:
		return;
	}
}

/* --- one life --- */

static void
crash(struct world *w)
{
	bool power = rng_one_in(w->rng, 2);

	if (power)
		sim_power_cut(w->sim);
	else
		sim_kill(w->sim);
	w->raid = NULL;
	w->crashed = true;
	model_crash(w->model, power);
	if (w->lost)
		model_doubt(w->model);
	w->errors_ok |= w->latent;
	w->load->errors_ok = w->errors_ok;
}

static void
shut_down(struct world *w)
{
	struct raid_stop stop = { .raid = w->raid };

	raid_stop_start(&stop, NULL);
	sim_run_op(w->sim, &stop.op, SIM_FOREVER);
	sim_check(w->sim, stop.err.code == 0, "stop: %s", stop.err.text);
	w->raid = NULL;
	sim_shutdown(w->sim);
	model_settle(w->model);
}

static void
one_life(struct world *w)
{
	struct loop *loop = sim_boot(w->sim);
	uint64_t events = rng_range(w->rng, 1, 1500);
	bool ended;

	while (rng_one_in(w->rng, 6)) {		/* die while starting */
		struct raid_assemble *as = assemble_start(w, loop, DISKS_MAX);

		sim_run_op(w->sim, &as->op, rng_range(w->rng, 1, 80));
		crash(w);
		loop = sim_boot(w->sim);
	}
	assemble(w, loop, DISKS_MAX);
	if (rng_one_in(w->rng, 2))
		verify(w);
	if (!rng_one_in(w->rng, 4))
		begin(w, loop);
	load_start(w->load, raid_blk(w->raid), w->model, 0,
	    rng_range(w->rng, 1, 150));
	ended = sim_run_op(w->sim, &w->load->op, events);
	do_fault(w);
	ended = ended || sim_run_op(w->sim, &w->load->op, events);
	if (rng_one_in(w->rng, 3))
		sim_sleep(w->sim, rng_range(w->rng, 1, 3000));
	raid_get_info(w->raid, &w->info);
	sim_check(w->sim, !w->info.failed, "the array has failed");
	sim_check(w->sim, w->info.degraded == 0 || w->lost,
	    "a member was lost without reason");
	if (ended && rng_one_in(w->rng, 3))
		shut_down(w);
	else
		crash(w);
}

/* All sweeps run to their end; then no member is needed. */
static void
last_checks(struct world *w)
{
	struct loop *loop = sim_boot(w->sim);

	assemble(w, loop, DISKS_MAX);
	for (unsigned i = 0; i < w->ndisks; i++)
		if (!sim_disk_gone(w->disk[i]) && member_of(w, i) < 0)
			add(w, loop, i);
	sim_sleep(w->sim, 300000);
	for (unsigned i = 0; i < w->ndisks; i++)	/* let go meanwhile */
		if (!sim_disk_gone(w->disk[i]) && member_of(w, i) < 0)
			add(w, loop, i);
	sim_sleep(w->sim, 300000);
	raid_get_info(w->raid, &w->info);
	sim_check(w->sim, w->info.degraded == 0, "the array is not whole");
	verify(w);
	shut_down(w);
	for (unsigned i = 0; i < w->ndisks && !w->latent; i++) {
		loop = sim_boot(w->sim);
		assemble(w, loop, i);
		verify(w);
		crash(w);
		/* Nothing was written: it may come back as it was. */
		model_settle(w->model);
		break;
	}
}

static void
play_replace(struct sim *sim, struct rng *rng)
{
	struct world world = { .sim = sim, .rng = rng };
	uint64_t lives = rng_range(rng, 1, 6);

	make_disks(&world);
	world.load = load_new(sim, rng);
	create(&world, sim_boot(sim));
	load_start(world.load, raid_blk(world.raid), world.model, 0, 30);
	sim_run_op(sim, &world.load->op, SIM_FOREVER);
	shut_down(&world);
	for (uint64_t i = 0; i < lives; i++)
		one_life(&world);
	last_checks(&world);
}

const struct scenario scenario_replace = { "replace", play_replace };
