/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario "raid": the load on an array, life after life, with faults of its
 * members while it runs, kills and power cuts.  Meanwhile it is resynced, or
 * that is put off; lost members are rebuilt on spares or added again; somebody
 * scrubs it.
 *
 * At the end of a seed whose members are all good: parity is checked byte by
 * byte (D), then the array is started without one member and everything is
 * read once more (C, G).
 */
#include "tests/sim/load.h"
#include "tests/sim/rig.h"
#include "tests/sim/scenario.h"

#include <stdlib.h>

/* What befalls the members of one seed: see the fault budget. */
enum plan {
	PLAN_NOTHING,		/* kills and power cuts only */
	PLAN_STALLS,
	PLAN_LATENT,		/* sector errors on one member */
	PLAN_HARD,		/* sectors of it that will not be written */
	PLAN_LOSE_ONE,		/* it goes away, or its writes fail */
	PLAN_LOSE_TWO,
	PLAN_ROT,		/* of one member's superblock, while stopped */
	PLAN_WORST,		/* lose one, with bad sectors on all */
	PLANS
};
/* The more there is to go wrong, the more often. */
static const enum plan plans[] = {
	PLAN_NOTHING, PLAN_STALLS, PLAN_LATENT, PLAN_LATENT, PLAN_HARD,
	PLAN_HARD, PLAN_LOSE_ONE,
	PLAN_LOSE_ONE, PLAN_LOSE_ONE, PLAN_LOSE_TWO, PLAN_ROT, PLAN_WORST,
	PLAN_WORST,
};

struct world {
	struct sim *sim;
	struct rng *rng;
	struct rig *rig;
	struct model *model;
	struct load *load;
	enum plan plan;
	unsigned victim;	/* role */
	bool errors_ok;		/* the budget is used up: no wrong data, but */
	bool latent;		/* sectors are bad */
	unsigned forgot;	/* members that went away with their cache */
	bool doubt;		/* a resync may be running */
};

static void
verify_all(struct world *w, struct blk *blk)
{
	struct load_verify verify = { .sim = w->sim, .blk = blk,
	    .model = w->model, .errors_ok = w->errors_ok };

	load_verify_start(&verify);
	sim_run_op(w->sim, &verify.op, SIM_FOREVER);
}

/* --- faults --- */

static void
bad_sectors(struct world *w, unsigned role)
{
	uint64_t off, len, n = rng_range(w->rng, 1, 6);
	unsigned i = rig_member(w->rig, role);
	struct sim_disk *disk = rig_disk(w->rig, i);

	rig_data_zone(w->rig, i, &off, &len);
	w->latent = true;
	if (w->doubt)		/* with parity not synced it is lost */
		w->errors_ok = w->load->errors_ok = true;
	len = rng_one_in(w->rng, 2) ? len : MIN(len, 256 * KIB);
	while (n-- > 0) {
		uint64_t at = off + 512 * rng_below(w->rng, len / 512);

		if (w->plan == PLAN_HARD || (w->plan == PLAN_WORST &&
		    rng_one_in(w->rng, 4)))
			sim_disk_hard_sector(disk, at, rng_one_in(w->rng, 2));
		if (w->plan != PLAN_HARD || rng_one_in(w->rng, 2))
			sim_disk_bad_sector(disk, at);
	}
}

static void
lose(struct world *w, unsigned role)
{
	unsigned i = rig_member(w->rig, role);
	struct sim_disk *disk = rig_disk(w->rig, i);

	if (sim_disk_gone(disk))
		return;
	rig_suspect(w->rig, i, w->doubt);
	/* Rows not yet synced cannot be told, nor two bad ones of a row. */
	if (w->doubt || rig_listed(w->rig) >= 0)
		w->errors_ok = w->load->errors_ok = true;
	switch (rng_below(w->rng, 4)) {
	case 0:
		sim_disk_fail_writes(disk, (unsigned)rng_range(w->rng, 1, 4));
		break;
	case 1:
		sim_disk_fail_flushes(disk, 1);
		break;
	case 2:
		w->forgot |= 1u << i;
		sim_disk_vanish(disk, true);
		break;
	default:
		sim_disk_vanish(disk, false);
		break;
	}
}

static void
lose_second(struct world *w)
{
	unsigned other = (w->victim + 1) % rig_members(w->rig);

	w->errors_ok = w->load->errors_ok = true;
	lose(w, other);
}

/* One after the other, as long as one at a time is lost. */
static void
lose_victim(struct world *w)
{
	if (rig_suspects(w->rig) == 0)
		w->victim = (unsigned)rng_below(w->rng, rig_members(w->rig));
	lose(w, w->victim);
}

static void
do_worst(struct world *w)
{
	w->errors_ok = w->load->errors_ok = true;
	if (rng_one_in(w->rng, 2))
		bad_sectors(w, (unsigned)rng_below(w->rng,
		    rig_members(w->rig)));
	else
		lose_victim(w);
}

static void
do_fault(struct world *w)
{
	rig_trace(w->rig, "fault");
	switch (w->plan) {
	case PLAN_NOTHING:
	case PLAN_ROT:
		break;
	case PLAN_STALLS:
		sim_disk_stall(rig_disk(w->rig, (unsigned)rng_below(w->rng,
		    rig_disks(w->rig))), rng_range(w->rng, 1, 20000));
		break;
	case PLAN_LATENT:
	case PLAN_HARD:
		bad_sectors(w, w->victim);
		break;
	case PLAN_WORST:
		do_worst(w);
		break;
	case PLAN_LOSE_TWO:
		if (rig_suspects(w->rig) > 0) {
			lose_second(w);
			break;
		}
		/* FALLTHROUGH */
	case PLAN_LOSE_ONE:
		lose_victim(w);
		break;
	case PLANS:
		break;
	}
}

/* --- one life --- */

/*
 * Did a member lose its cache, with nobody left to tell?  If it is back before
 * the next start, that is as good as a power cut.
 */
static bool
forgot(struct world *w)
{
	bool silently = false;

	for (unsigned i = 0; i < rig_disks(w->rig); i++)
		silently |= (w->forgot >> i & 1) != 0 &&
		    !rig_records_loss(w->rig, i);
	w->forgot = 0;
	return silently;
}

static void
crash(struct world *w, bool power)
{
	bool log = rig_has_log(w->rig), was_doubt = w->doubt, lost;

	rig_crash(w->rig, power);
	if (w->model == NULL)
		return;
	lost = forgot(w) || w->errors_ok;
	model_crash(w->model, power || lost);
	if (!power && lost)
		model_unsettle(w->model);
	w->doubt = true;
	/* A member that does not survive the crash. */
	if (log && w->plan == PLAN_LOSE_ONE && rng_one_in(w->rng, 2) &&
	    rig_suspects(w->rig) == 0) {
		rig_suspect(w->rig, rig_member(w->rig, w->victim), was_doubt);
		sim_disk_vanish(rig_disk(w->rig, rig_member(w->rig,
		    w->victim)), false);
		if (was_doubt || rig_listed(w->rig) >= 0)
			w->errors_ok = w->load->errors_ok = true;
	}
	if (rig_suspects(w->rig) > 0 && log)
		model_doubt(w->model);
	if (rig_suspects(w->rig) > (log ? 1 : 0))
		w->errors_ok = w->load->errors_ok = true;
	/* A row in doubt with a bad sector is lost. */
	if (w->latent || rig_listed(w->rig) >= 0)
		w->errors_ok = w->load->errors_ok = true;
}

static void
return_disks(struct world *w)
{
	for (unsigned i = 0; i < rig_disks(w->rig); i++)
		if (sim_disk_gone(rig_disk(w->rig, i)) &&
		    rng_one_in(w->rng, 2))
			sim_disk_return(rig_disk(w->rig, i));
}

/* What an administrator does at any time. */
static void
administer(struct world *w, struct loop *loop)
{
	struct err err = { 0 };

	switch (rng_below(w->rng, 8)) {
	case 0:
	case 1:
		rig_convert(w->rig);
		break;
	case 2:
		if (raid_scrub(rig_raid(w->rig), rng_one_in(w->rng, 2),
		    &err) == 0)
			sim_trace(w->sim, "scrub is asked for");
		break;
	case 3:
		return_disks(w);
		rig_readd(w->rig, loop);
		break;
	case 4:
		rig_use_other(w->rig);
		break;
	default:
		break;
	}
}

static bool
live(struct world *w, struct loop *loop, struct blk *blk)
{
	/* Many short lives show more than a few long ones. */
	bool brief = !rng_one_in(w->rng, 3);
	uint64_t events = rng_range(w->rng, 1, brief ? 300 : 2000);

	load_start(w->load, blk, w->model, 0,
	    rng_range(w->rng, 1, brief ? 60 : 200));
	w->load->errors_ok = w->errors_ok;
	if (sim_run_op(w->sim, &w->load->op, events / 2))
		return true;
	administer(w, loop);
	do_fault(w);
	if (sim_run_op(w->sim, &w->load->op, events / 2))
		return true;
	if (w->plan == PLAN_STALLS || w->plan == PLAN_LOSE_TWO ||
	    w->plan == PLAN_WORST)
		do_fault(w);
	administer(w, loop);
	return sim_run_op(w->sim, &w->load->op, events);
}

static void
shut_down(struct world *w)
{
	if (rng_one_in(w->rng, 2))
		sim_sleep(w->sim, 60000);
	rig_close(w->rig);
	sim_shutdown(w->sim);
	w->forgot = 0;
	/* A failed array keeps nothing in order. */
	if (!w->errors_ok) {
		model_settle(w->model);
		return;
	}
	model_crash(w->model, true);
	model_unsettle(w->model);
	if (rig_suspects(w->rig) > 0)
		model_doubt(w->model);
}

/* A bit of the first 256 bytes of the superblock: its checksum covers them. */
static void
rot_superblock(struct world *w)
{
	unsigned i;

	if (w->plan != PLAN_ROT || rig_suspects(w->rig) > 0 ||
	    rng_one_in(w->rng, 2))
		return;
	i = rig_member(w->rig, w->victim);
	rig_suspect(w->rig, i, w->doubt);
	sim_disk_rot(rig_disk(w->rig, i),
	    8 * 4096 + rng_below(w->rng, 8 * 256));
	if (w->doubt && rig_has_log(w->rig))
		model_doubt(w->model);
	if (w->doubt && !rig_has_log(w->rig))	/* as when one is lost */
		w->errors_ok = w->load->errors_ok = true;
}

/* Complete, nothing in doubt, nothing lost: no error is expected any more. */
static void
note_whole(struct world *w)
{
	struct raid_info info;
	bool whole = rig_note_whole(w->rig);

	raid_get_info(rig_raid(w->rig), &info);
	if (whole || rig_suspects(w->rig) == 0)
		w->doubt = !info.clean;
	for (unsigned i = 0; i < info.nmembers; i++)
		whole &= info.member[i].bad_bytes == 0;
	if (whole && info.clean && !w->latent)
		w->errors_ok = false;
}

/*
 * Before the load: give disks to the array, let resync and rebuild run, or put
 * them off, or do nothing about them.
 */
static void
settle_or_not(struct world *w, struct loop *loop)
{
	if (rng_one_in(w->rng, 2))
		rig_readd(w->rig, loop);
	if (w->plan == PLAN_LATENT && w->doubt && rng_one_in(w->rng, 2))
		bad_sectors(w, w->victim);
	switch (rng_below(w->rng, 6)) {
	case 0:
		raid_task_cancel(rig_raid(w->rig));
		sim_trace(w->sim, "resync and rebuild are put off");
		return;
	case 1:
	case 2:
		return;
	default:
		sim_sleep(w->sim, 300000);
		note_whole(w);
		return;
	}
}

/* False: refused, which may be. */
static bool
one_life(struct world *w, bool last)
{
	struct loop *loop = sim_boot(w->sim);
	struct blk *blk;

	while (rng_one_in(w->rng, 6)) {		/* die while starting */
		rig_open_in_part(w->rig, loop, rng_range(w->rng, 1, 60));
		crash(w, rng_one_in(w->rng, 2));
		loop = sim_boot(w->sim);
	}
	blk = rig_open(w->rig, loop);
	if (blk == NULL) {
		sim_shutdown(w->sim);
		return false;
	}
	if (w->model == NULL)
		w->model = model_new(w->sim, "array",
		    blk->geo.size / MODEL_SECTOR);
	settle_or_not(w, loop);
	if (rng_one_in(w->rng, 2))
		verify_all(w, blk);
	if (live(w, loop, blk) && (last || rng_one_in(w->rng, 3))) {
		verify_all(w, blk);
		if (last)
			sim_sleep(w->sim, 60000);
		shut_down(w);
	} else {
		crash(w, rng_one_in(w->rng, 2));
	}
	if (!sim_is_up(w->sim) && rng_one_in(w->rng, 4))
		crash(w, true);
	return_disks(w);
	rot_superblock(w);
	return true;
}

/* In order, read only, complete; then without one member. */
static void
last_checks(struct world *w)
{
	struct loop *loop = sim_boot(w->sim);
	struct blk *blk = rig_open(w->rig, loop);

	if (blk == NULL) {
		sim_shutdown(w->sim);
		return;
	}
	verify_all(w, blk);
	rig_readd(w->rig, loop);
	sim_sleep(w->sim, 300000);
	note_whole(w);
	rig_close(w->rig);
	sim_shutdown(w->sim);
	if (!rig_is_clean(w->rig) || w->errors_ok)
		return;
	model_settle(w->model);
	if (!w->latent && rig_listed(w->rig) < 0)
		rig_check_parity(w->rig);
	if (rig_listed(w->rig) >= 0 && !w->latent)
		rig_withhold(w->rig, (unsigned)rig_listed(w->rig));
	else
		rig_withhold(w->rig, rig_member(w->rig, w->latent ? w->victim :
		    (unsigned)rng_below(w->rng, rig_members(w->rig))));
	loop = sim_boot(w->sim);
	blk = rig_open(w->rig, loop);
	verify_all(w, blk);
	rig_close(w->rig);
	sim_shutdown(w->sim);
}

static void
play_raid(struct sim *sim, struct rng *rng)
{
	struct world world = { .sim = sim, .rng = rng };
	uint64_t lives = rng_range(rng, 1, 6);

	world.rig = rig_new_array(sim, rng, 0);
	world.load = load_new(sim, rng);
	world.plan = plans[rng_below(rng, nitems(plans))];
	world.victim = (unsigned)rng_below(rng, rig_members(world.rig));
	while (rng_one_in(rng, 2) && rig_disks(world.rig) <
	    rig_members(world.rig) + RIG_SPARES_MAX)
		rig_new_spare(world.rig);
	for (uint64_t i = 0; i < lives; i++)
		if (!one_life(&world, i == lives - 1))
			return;
	last_checks(&world);
}

const struct scenario scenario_raid = { "raid", play_raid };
