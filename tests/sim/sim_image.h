/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images of all disks of a world, to go back to, and the states in which a
 * power cut may leave them.
 */
#ifndef TESTS_SIM_IMAGE_H
#define TESTS_SIM_IMAGE_H

#include "tests/sim/sim.h"

#define IMAGE_PAGES 400u
#define IMAGE_OPEN 64u

/* Flat, so that it outlives mem_reset(). */
struct sim_image {
	unsigned npages;
	struct {
		unsigned disk;
		uint64_t off;
		uint8_t data[4096];
	} page[IMAGE_PAGES];
	/* Sectors that may become this or not, in order of writing. */
	unsigned nopen;
	struct {
		unsigned disk;
		uint64_t off;
		uint8_t data[512];
	} open[IMAGE_OPEN];
};

/*
 * What a power cut now would leave: what is on stable media, and as `open`
 * what was written but not flushed, or is in flight.  Sectors that would not
 * change are left out.
 */
void sim_image_take(struct sim *sim, struct sim_image *image);
/*
 * Make the disks so, with the open sectors whose bits are set.  No process
 * runs.  Returns a hash of their contents.
 */
uint64_t sim_image_put(struct sim *sim, const struct sim_image *image,
    uint64_t kept);

#endif
