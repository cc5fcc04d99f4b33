/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each 512-byte sector of a device may contain: the oracle.
 *
 * A sector has a set of versions, one for each write that touched it.  Write
 * w overrides v in the sector if w succeeded and started after v had ended; a
 * read may return any version that was not overridden before the read began.
 * After a power cut a version is still possible unless a durable write (FUA,
 * or ended before a successful flush began) overrides it.  Contents carry
 * their write's number, so that a wrong sector tells where it came from.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "tests/sim/sim.h"

#define MODEL_SECTOR ((uint64_t)512)

struct model;

struct model *model_new(struct sim *sim, const char *name, uint64_t sectors);
void model_free(struct model *model);
/* The device has grown: new sectors read as zeroes. */
void model_grow(struct model *model, uint64_t sectors);
uint64_t model_sectors(const struct model *model);

enum model_kind { MODEL_DATA, MODEL_ZERO, MODEL_ANYTHING };

/*
 * A write starts.  Returns its number, or 0 if a sector has too many versions
 * already (flush first).
 */
unsigned model_write(struct model *model, enum model_kind kind, uint64_t lba,
    uint64_t n);
/* Its data for sectors [lba, lba + n). */
void model_fill(const struct model *model, unsigned number, uint64_t lba,
    uint64_t n, uint8_t *buf);
/* It has ended; a failed write may have happened or not. */
void model_write_end(struct model *model, unsigned number, bool ok,
    bool durable);

/* What a flush that starts now covers; pass it to the end if it succeeds. */
uint64_t model_flush(struct model *model);
void model_flush_end(struct model *model, uint64_t token);

/* A read starts; pass the token to the end in any case. */
uint64_t model_read(struct model *model);
/* data NULL: it failed. */
void model_read_end(struct model *model, uint64_t token, uint64_t lba,
    uint64_t n, const uint8_t *data);

/*
 * The process died: writes in flight may have happened or not.  `power`: and
 * what was not durable may be lost.
 */
void model_crash(struct model *model, bool power);
/*
 * After model_crash(model, true) without a real power cut: what is read now
 * may still be lost at the next one.
 */
void model_unsettle(struct model *model);
/*
 * After a crash, with a member lost: what was being written to it cannot be
 * told.  Sectors with more than one possible version may hold anything.
 */
void model_doubt(struct model *model);
/* Every acknowledged write is durable: an orderly stop has ended. */
void model_settle(struct model *model);

#endif
