/* SPDX-License-Identifier: BSD-2-Clause */
/* Rigs: a disk or an array, opened in every life of the process. */
#include "tests/sim/rig.h"

#include <stdlib.h>

struct rig {
	struct sim *sim;
	struct rng *rng;
	struct blk *blk;
	struct sim_disk *disk;
};

struct rig *
rig_new_disk(struct sim *sim, struct rng *rng, uint64_t size)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (rig == NULL)
		sim_fail(sim, "no memory");
	rig->sim = sim;
	rig->rng = rng;
	rig->disk = sim_disk_new(sim, "disk", size,
	    rng_one_in(rng, 3) ? 4096 : 512);
	return rig;
}

void
rig_free(struct rig *rig)
{
	free(rig);
}

struct blk *
rig_open(struct rig *rig, struct loop *loop)
{
	struct err err = { 0 };

	if (blk_file_open(loop, sim_disk_name(rig->disk), false, &rig->blk,
	    &err) != 0)
		sim_fail(rig->sim, "%s", err.text);
	return rig->blk;
}

void
rig_close(struct rig *rig)
{
	blk_close(rig->blk);
	rig->blk = NULL;
}
