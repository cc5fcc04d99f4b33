/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A random load on a blk, checked against the model: a number of workers that
 * read, write, flush, zero and discard, overlapping each other.
 */
#ifndef TESTS_SIM_LOAD_H
#define TESTS_SIM_LOAD_H

#include "block/blk.h"
#include "tests/sim/model.h"

#define LOAD_WORKERS 24u
#define LOAD_BYTES ((size_t)512 * 1024)

struct load;

struct load_worker {
	struct op op;
	struct load *load;
	struct io io;
	struct timer timer;
	struct iovec iov[8];
	uint64_t off, len;	/* io's own may be changed below */
	uint8_t *buf;
	unsigned write;		/* model's number */
	uint64_t token;		/* model's read or flush */
};

struct load {
	struct op op;		/* ends when the budget is used up */
	struct sim *sim;
	struct blk *blk;
	struct model *model;
	struct rng *rng;
	unsigned workers;
	uint64_t budget;	/* requests still to start */
	uint64_t errors;	/* requests that failed */
	/* Errors are expected: too much is broken. */
	bool errors_ok;
	bool pauses;		/* workers sleep now and then */
	uint64_t stripe;	/* bytes: sizes and places to prefer */
	uint64_t hot;		/* bytes: where half of the load goes */
	struct load_worker worker[LOAD_WORKERS];
};

struct load *load_new(struct sim *sim, struct rng *rng);
void load_free(struct load *load);
/* Start `workers` (0 = random) on blk until `budget` requests have ended. */
void load_start(struct load *load, struct blk *blk, struct model *model,
    unsigned workers, uint64_t budget);

/* Read all of blk and check it. */
struct load_verify {
	struct op op;
	struct sim *sim;
	struct blk *blk;
	struct model *model;
	bool errors_ok;
	uint64_t errors;
	uint64_t lba;
	struct io io;
	struct iovec iov;
	uint64_t off, len;
	uint64_t token;
	uint8_t *buf;
};
void load_verify_start(struct load_verify *verify);

#endif
