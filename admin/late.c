/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens pools whose disks came late, as `dozoctl pool start` does.  Disks of
 * one shelf come one after the other: the first try waits until none has come
 * for a while, so that no pool is opened degraded for a disk that is a second
 * behind.  After the start of the machine it is settling for a while: then
 * pools are opened with all of their disks or not at all, so there is no need
 * to wait for more, and everything else is served meanwhile.
 *
 * Invariants: a pool that the administrator stopped stays stopped; at most one
 * request is under way, and a round asks for each pool once.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/late.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/apply.h"
#include "admin/req.h"
#include "core/log.h"

#define QUIET_MS 3000u		/* since the last disk came */
#define SOON_MS 300u		/* the same while it is settling */

struct late {
	struct op op;
	struct dozo *dozo;
	struct timer timer;
	struct req *req;
	struct op_queue idle;		/* who waits for the op's end */
	unsigned round;
	bool running, again;		/* again: a disk came meanwhile */
	bool settling;			/* until then, or until all is there */
	uint64_t settle_ns;
};

enum late_step { LATE_NEXT, LATE_DONE };
static const char *const late_steps[] = { "NEXT", "DONE" };

/* One that could not be opened and was not tried in this round. */
static struct dozo_pool *
next_pool(struct late *late)
{
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &late->dozo->pools, link) {
		if (pool->state == DOZO_POOL_OFFLINE && !pool->stopped &&
		    pool->late_round != late->round)
			return pool;
	}
	return NULL;
}

static bool
start_next(struct late *late)
{
	struct dozo_pool *pool = late->dozo->stopping ? NULL :
	    next_pool(late);

	assert(late->req == NULL);
	if (pool == NULL)
		return false;
	pool->late_round = late->round;
	late->req = req_new(late->dozo, verb_find("pool.start"),
	    json_pack("{s:s}", "name", pool->name));
	if (late->req == NULL)
		return false;
	late->req->uid = geteuid();
	late->req->whole = late->settling &&
	    loop_now(late->dozo->loop) < late->settle_ns;
	if (pool->settling && !late->req->whole)
		log_warn("pool=%s: its disks did not all come, going on with "
		    "what is there", pool->name);
	else
		log_info("pool=%s: disks have come, trying to open it",
		    pool->name);
	req_start(late->req, &late->op);
	return true;
}

static bool
settles(const struct late *late)
{
	const struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &late->dozo->pools, link)
		if (pool->settling && !pool->stopped)
			return true;
	return false;
}

/* What it waited for is there, or is not waited for any more. */
static void
settled(struct late *late)
{
	struct dozo_pool *pool;
	struct err err = { 0 };

	TAILQ_FOREACH(pool, &late->dozo->pools, link)
		pool->settling = false;
	late->settling = false;
	if (dozo_apply(late->dozo, &err) != 0)
		log_err("%s", err.text);
}

static void late_timeout(void *arg);

/* The next look: when disks have come, and when it has settled. */
static void
arm(struct late *late, bool came)
{
	uint64_t now = loop_now(late->dozo->loop), left_ms = SOON_MS;

	if (late->dozo->stopping)
		return;
	if (late->settle_ns > now)
		left_ms = (late->settle_ns - now) / NSEC_PER_MSEC + 1;
	if (late->settling)
		timer_start(late->dozo->loop, &late->timer, came ?
		    MIN(SOON_MS, left_ms) : left_ms, late_timeout, late);
	else if (came)
		timer_start(late->dozo->loop, &late->timer, QUIET_MS,
		    late_timeout, late);
}

static void
late_end(struct late *late)
{
	struct op *op = &late->op;

	late->running = false;
	if (late->settling && !late->dozo->stopping && !settles(late))
		settled(late);
	arm(late, late->again);
	op_end(op);
	op_wake_all(&late->idle);
}

static void
late_run(struct op *op)
{
	struct late *late = op_owner(op, struct late);

	switch ((enum late_step)op->step) {
	case LATE_NEXT:
		op->step = LATE_DONE;
		if (!start_next(late))
			late_end(late);
		return;
	case LATE_DONE:
		assert(late->req->ended);
		req_free(late->req);	/* it has logged how it went */
		late->req = NULL;
		op->step = LATE_NEXT;
		return;
	}
	bug("late: bad step %u", op->step);
}

static const struct op_type late_type = { "late_disks", late_steps,
	nitems(late_steps), late_run, NULL };

static void
late_timeout(void *arg)
{
	struct late *late = arg;

	assert(!late->running);
	if (late->dozo->stopping)
		return;
	if (!late->dozo->serving) {
		arm(late, true);
		return;
	}
	late->round++;
	late->again = false;
	late->running = true;
	op_start(&late->op, &late_type, loop_sched(late->dozo->loop), NULL);
}

void
late_disk(struct dozo *d)
{
	struct late *late = d->late;

	if (late == NULL || d->stopping)
		return;
	late->again = late->running;
	if (!late->running)
		arm(late, true);
}

void
late_settle(struct dozo *d)
{
	struct late *late = d->late;

	assert(!late->running && !late->settling);
	late->settling = settles(late);
	if (!late->settling)
		return;
	late->settle_ns = loop_now(d->loop) + d->settle_ms * NSEC_PER_MSEC;
	arm(late, false);
}

int
late_start(struct dozo *d, struct err *err)
{
	assert(d->late == NULL);
	d->late = calloc(1, sizeof(*d->late));
	if (d->late == NULL)
		return err_set(err, ENOMEM, "out of memory");
	d->late->dozo = d;
	op_queue_init(&d->late->idle);
	return 0;
}

void
late_stop(struct dozo *d, struct op *op)
{
	struct late *late = d->late;

	assert(d->stopping);
	if (late == NULL)
		return;
	timer_stop(d->loop, &late->timer);
	if (late->running)
		op_wait(&late->idle, op);
}

void
late_free(struct dozo *d)
{
	assert(d->late == NULL || !d->late->running);
	free(d->late);
	d->late = NULL;
}
