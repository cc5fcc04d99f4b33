/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario "disk": the load on a bare disk through block/file.c, with kills
 * and power cuts.  It checks the model and the simulated disk against each
 * other before anything is built on them.
 */
#include "tests/sim/load.h"
#include "tests/sim/scenario.h"

static void
verify_all(struct sim *sim, struct blk *blk, struct model *model)
{
	struct load_verify verify = { .sim = sim, .blk = blk, .model = model };

	load_verify_start(&verify);
	sim_run_op(sim, &verify.op, SIM_FOREVER);
}

static void
play_disk(struct sim *sim, struct rng *rng)
{
	uint32_t block = rng_one_in(rng, 3) ? 4096 : 512;
	struct sim_disk *disk = sim_disk_new(sim, "disk", 1 * MIB, block);
	struct model *model = model_new(sim, "disk",
	    sim_disk_size(disk) / MODEL_SECTOR);
	struct load *load = load_new(sim, rng);
	uint64_t lives = rng_range(rng, 1, 5);

	for (uint64_t i = 0; i < lives; i++) {
		struct loop *loop = sim_boot(sim);
		struct blk *blk;

		if (blk_file_open(loop, "disk", false, &blk, NULL) != 0)
			sim_fail(sim, "disk does not open");
		verify_all(sim, blk, model);
		load_start(load, blk, model, 0, rng_range(rng, 1, 400));
		if (sim_run_op(sim, &load->op, rng_range(rng, 1, 1000))) {
			verify_all(sim, blk, model);
			blk_close(blk);
			sim_shutdown(sim);
		} else if (rng_one_in(rng, 2)) {
			sim_kill(sim);
			model_crash(model, false);
		}
		if (rng_one_in(rng, 2) || sim_is_up(sim)) {
			sim_power_cut(sim);
			model_crash(model, true);
		}
	}
	load_free(load);
	model_free(model);
}

const struct scenario scenario_disk = { "disk", play_disk };
