/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scenario keeps its data on: one disk, or an array of several.  Made
 * once; opened in every life of the process.
 */
#ifndef TESTS_SIM_RIG_H
#define TESTS_SIM_RIG_H

#include "block/blk.h"
#include "raid/raid.h"
#include "tests/sim/sim.h"

struct rig;

/* A disk of `size` bytes. */
struct rig *rig_new_disk(struct sim *sim, struct rng *rng, uint64_t size);
/*
 * An array of 3 to 6 members with about `size` bytes of data, 0 for a few
 * stripes.
 */
struct rig *rig_new_array(struct sim *sim, struct rng *rng, uint64_t size);
/* One more disk than the array has places for, at most so many. */
#define RIG_SPARES_MAX 2u
void rig_new_spare(struct rig *rig);
void rig_free(struct rig *rig);

/*
 * Open (and on the first call create) it.  NULL: the array was refused, as it
 * may be when it crashed with a member in doubt; everything else that goes
 * wrong fails the seed.
 */
struct blk *rig_open(struct rig *rig, struct loop *loop);
/* In an orderly way. */
void rig_close(struct rig *rig);
/* A disk with bad blocks, now or when it was last open, or -1. */
int rig_listed(struct rig *rig);
/* The process was killed; `power`: the machine was. */
void rig_crash(struct rig *rig, bool power);

/* --- arrays --- */

unsigned rig_members(const struct rig *rig);
unsigned rig_disks(const struct rig *rig);
struct sim_disk *rig_disk(const struct rig *rig, unsigned i);
/* The disk that has this role, or had it when that was last known. */
unsigned rig_member(struct rig *rig, unsigned role);
/* Where member i's data lies on its disk. */
void rig_data_zone(const struct rig *rig, unsigned i, uint64_t *off,
    uint64_t *len);
struct raid *rig_raid(const struct rig *rig);
/* From now on other parts of it are used (used.h). */
void rig_use_other(struct rig *rig);
/* A line of history: the state of the array when this happens. */
void rig_trace(struct rig *rig, const char *what);
/*
 * Something was done to member i: it may be left out from now on.  `doubt`:
 * while a resync may have been running, so the array may not start again.
 */
void rig_suspect(struct rig *rig, unsigned i, bool doubt);
unsigned rig_suspects(const struct rig *rig);
/* Give disks that were left out, and are there, back to the array. */
void rig_readd(struct rig *rig, struct loop *loop);
/* If nothing is missing or being rebuilt any more, suspect nobody. */
bool rig_note_whole(struct rig *rig);
/* Does a superblock of another member say that member i is lost? */
bool rig_records_loss(const struct rig *rig, unsigned i);
/* Does its policy close the write hole? */
bool rig_has_log(const struct rig *rig);
/* Begin to change its policy; nobody waits for the end. */
void rig_convert(struct rig *rig);
/* Start to open it and stop after `events`, to be crashed there. */
void rig_open_in_part(struct rig *rig, struct loop *loop, uint64_t events);
/* Closed: is the array complete and clean, so that parity must fit? */
bool rig_is_clean(const struct rig *rig);
/* Closed and clean: does it?  The members' bytes xor to zero. */
void rig_check_parity(const struct rig *rig);
/* Leave member i out the next time. */
void rig_withhold(struct rig *rig, unsigned i);

#endif
