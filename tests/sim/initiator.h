/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scripted iSCSI initiator (RFC 7143) on simulated connections: it logs in,
 * keeps a number of reads, writes and SYNCHRONIZE CACHEs in flight on the
 * LUNs it sees, checks what comes back against the model, and logs in again
 * whenever the connection is lost.
 *
 * It is strict: a number out of sequence, data nobody asked for, a window
 * that shrinks or a Reject fails the seed.
 */
#ifndef TESTS_SIM_INITIATOR_H
#define TESTS_SIM_INITIATOR_H

#include "tests/sim/model.h"

#define INITIATOR_LUNS 4u

struct initiator;

struct initiator_lun {
	uint16_t lun;
	uint32_t block;		/* bytes */
	uint64_t stripe;	/* bytes: sizes to prefer */
	bool durable;		/* GOOD means durable */
	struct model *model;
};

struct initiator *initiator_new(struct sim *sim, struct rng *rng,
    unsigned number, const char *target, uint16_t port);
void initiator_set_luns(struct initiator *ini,
    const struct initiator_lun *luns, unsigned n);
/* Send `budget` more commands, `depth` at a time; connect if need be. */
void initiator_start(struct initiator *ini, uint64_t budget, unsigned depth);
/* Has all of it ended?  Fails the seed if a command hangs. */
bool initiator_done(struct initiator *ini);
/* Medium or hardware errors are expected from now on. */
void initiator_errors_ok(struct initiator *ini);
/* Lose the connection on purpose, now and then. */
void initiator_be_unsteady(struct initiator *ini);
/* The target crashed: before the model is told, forget what is in flight. */
void initiator_crash(struct initiator *ini);
/* The same, and no more reconnecting. */
void initiator_stop(struct initiator *ini);
uint64_t initiator_commands(const struct initiator *ini);

#endif
