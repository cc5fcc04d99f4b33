/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated world: a clock, disks and a network that outlive the process
 * (a struct loop) that uses them.  Linked instead of core/loop_uring.c.
 *
 * Everything that happens follows from the seed.  Each event is one line of
 * history; the lines are hashed, and the last ones are printed when a check
 * fails.  Nothing here may depend on real time, addresses or hash order.
 *
 * A killed process is not cleaned up: its memory is left as it is, so each
 * seed runs in a child of its own.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop.h"

struct sim;
struct sim_disk;
struct sim_conn;

/* --- random numbers: splitmix64, one stream per user --- */

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);
/* 0 <= result < n. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* lo <= result <= hi. */
uint64_t rng_range(struct rng *rng, uint64_t lo, uint64_t hi);
/* True with a probability of 1/n. */
bool rng_one_in(struct rng *rng, uint64_t n);

/* --- the world --- */

/* `verbose` prints every line of history as it happens. */
struct sim *sim_new(uint64_t seed, bool verbose);
void sim_free(struct sim *sim);
uint64_t sim_now(const struct sim *sim);

/* One line of history. */
void sim_trace(struct sim *sim, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, but not hashed: for log lines, which depend on real time. */
void sim_note(struct sim *sim, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t sim_history_hash(const struct sim *sim);
uint64_t sim_history_lines(const struct sim *sim);
/* A check has failed: say why, print the last lines, exit(1). */
_Noreturn void sim_fail(struct sim *sim, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
#define sim_check(sim, cond, ...) do {					\
	if (!(cond))							\
		sim_fail(sim, __VA_ARGS__);				\
} while (0)

/* Start a process.  One at a time. */
struct loop *sim_boot(struct sim *sim);
bool sim_is_up(const struct sim *sim);
/* It ends in an orderly way: nothing may be in flight. */
void sim_shutdown(struct sim *sim);
/*
 * kill -9: requests in flight may or may not have reached the disks (each
 * atomic unit on its own); connections are reset.
 */
void sim_kill(struct sim *sim);
/*
 * The same for the machine: what the disks had not flushed may be lost, each
 * atomic unit on its own.
 */
void sim_power_cut(struct sim *sim);

/*
 * Run until `op` has ended (true) or `events` more events have happened
 * (false).  When nothing can ever happen again, or far too much has, the
 * seed fails.
 */
bool sim_run_op(struct sim *sim, struct op *op, uint64_t events);
#define SIM_FOREVER UINT64_MAX
/* The same until done(arg). */
bool sim_run_until(struct sim *sim, bool (*done)(void *arg), void *arg,
    uint64_t events);
/* Let the process run on for `ms`. */
void sim_sleep(struct sim *sim, uint64_t ms);

/* --- disks --- */

struct sim_disk *sim_disk_new(struct sim *sim, const char *name,
    uint64_t size, uint32_t logical_block);
const char *sim_disk_name(const struct sim_disk *disk);
uint64_t sim_disk_size(const struct sim_disk *disk);
/*
 * From now on every request fails; what is in flight may have reached the
 * disk or not.  `power` says that its cache is lost too.
 */
void sim_disk_vanish(struct sim_disk *disk, bool power);
/* It is there again; files that were open stay dead. */
void sim_disk_return(struct sim_disk *disk);
bool sim_disk_gone(const struct sim_disk *disk);
/* Requests end no sooner than in `ms` from now. */
void sim_disk_stall(struct sim_disk *disk, uint64_t ms);
/* Reads of this sector fail until it is written. */
void sim_disk_bad_sector(struct sim_disk *disk, uint64_t off);
/* Writes of this sector fail, and leave it open what it holds. */
void sim_disk_hard_sector(struct sim_disk *disk, uint64_t off, bool stays);
/* The next `n` writes fail. */
void sim_disk_fail_writes(struct sim_disk *disk, unsigned n);
void sim_disk_fail_flushes(struct sim_disk *disk, unsigned n);
/* Is there a failure still to come? */
bool sim_disk_will_fail(const struct sim_disk *disk);
/* No more of that. */
void sim_disk_heal(struct sim_disk *disk);
/* Flip one bit of what a read returns from now on. */
void sim_disk_rot(struct sim_disk *disk, uint64_t bit);
/* What a read would return now, without a request. */
void sim_disk_peek(const struct sim_disk *disk, uint64_t off, void *buf,
    size_t len);
/* Change it, durably. */
void sim_disk_poke(struct sim_disk *disk, uint64_t off, const void *buf,
    size_t len);
/* Bytes of unflushed data. */
uint64_t sim_disk_dirty(const struct sim_disk *disk);

/* --- the initiator's end of a connection --- */

struct sim_conn_ops {
	void (*connected)(void *arg);
	void (*data)(void *arg, const uint8_t *data, size_t len);
	/* End of stream or reset; nothing is called after that. */
	void (*closed)(void *arg);
};

/*
 * Connect to port, some time later.  If nobody listens, closed() is called.
 * The conn stays valid until sim_conn_free().
 */
struct sim_conn *sim_connect(struct sim *sim, uint16_t port,
    const char *from, const struct sim_conn_ops *ops, void *arg);
void sim_conn_send(struct sim_conn *conn, const void *data, size_t len);
/* No more callbacks; the other end sees end of stream, or a reset. */
void sim_conn_free(struct sim_conn *conn, bool reset);
/* Deliver in small pieces from now on. */
void sim_conn_dribble(struct sim_conn *conn, bool on);
/* Call fn after `ms`, outside of every process. */
void sim_after(struct sim *sim, uint64_t ms, void (*fn)(void *arg), void *arg);

#endif
