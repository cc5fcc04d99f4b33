/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a unit is used follows from its number and a seed. */
#include "tests/sim/used.h"

#include "core/util.h"

static bool
is_used(const struct used *used, uint64_t unit)
{
	uint64_t x = (unit + used->seed) * UINT64_C(0x9e3779b97f4a7c15);

	return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 57 <
	    used->share * 128 / 100;
}

static uint64_t
next_used(void *arg, uint64_t off, uint64_t *end)
{
	const struct used *used = arg;
	uint64_t unit = off / used->unit;

	while (unit * used->unit < used->size && !is_used(used, unit))
		unit++;
	if (unit * used->unit >= used->size)
		return UINT64_MAX;
	off = MAX(off, unit * used->unit);
	while (unit * used->unit < used->size && is_used(used, unit))
		unit++;
	*end = MIN(unit * used->unit, used->size);
	return off;
}

void
used_change(struct used *used, struct rng *rng)
{
	used->seed = rng_next(rng);
	used->unit = UINT64_C(4096) << rng_below(rng, 8);
	used->share = (unsigned)rng_below(rng, 101);
}

void
used_tell(struct used *used, struct rng *rng, struct raid *raid)
{
	used->size = raid_blk(raid)->geo.size;
	if (used->unit == 0 || rng_one_in(rng, 4))
		used_change(used, rng);
	raid_set_used(raid, rng_one_in(rng, 6) ? NULL : next_used, used);
}
