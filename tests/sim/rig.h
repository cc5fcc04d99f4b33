/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scenario keeps its data on: one disk, or an array of several.  Made
 * once; opened in every life of the process.
 */
#ifndef TESTS_SIM_RIG_H
#define TESTS_SIM_RIG_H

#include "block/blk.h"
#include "tests/sim/sim.h"

struct rig;

/* A disk of `size` bytes. */
struct rig *rig_new_disk(struct sim *sim, struct rng *rng, uint64_t size);
void rig_free(struct rig *rig);
/* Open (and on the first call create) it; the seed fails if it does not. */
struct blk *rig_open(struct rig *rig, struct loop *loop);
/* In an orderly way, flushed. */
void rig_close(struct rig *rig);

#endif
