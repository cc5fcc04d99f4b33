/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start and stop of the appliance.
 *
 * Invariants: portals open last, so that no initiator ever sees half of its
 * LUNs; a pool that cannot be opened keeps none of the others from being
 * served; the newest document of state directory and pools wins.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/startup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "admin/apply.h"
#include "admin/control.h"
#include "admin/history.h"
#include "admin/hotplug.h"
#include "admin/late.h"
#include "admin/locate.h"
#include "admin/memory.h"
#include "admin/page.h"
#include "admin/pools.h"
#include "admin/req.h"
#include "admin/reservations.h"
#include "core/log.h"

/* How long the kernel may take to clean up after a daemon that was killed. */
#define GHOST_MS 5000u
#define RETRY_MS 20u
#define DOC_TRIES 4	/* a newer document may name more pools, once or so */

/* An op without steps of its own that waits for children. */
struct wait {
	struct op op;
	void (*begin)(struct wait *wait);
	struct dozo *dozo;
	struct pool_up *ups;		/* n of one of these */
	struct pool_doc *docs;
	struct pool_down *downs;
	unsigned n;
};

enum wait_step { WAIT_BEGIN, WAIT_END };

static const char *const wait_steps[] = { "BEGIN", "END" };

static void
wait_run(struct op *op)
{
	struct wait *wait = op_owner(op, struct wait);

	switch ((enum wait_step)op->step) {
	case WAIT_BEGIN:
		wait->begin(wait);
		op->step = WAIT_END;
		return;
	case WAIT_END:
		op_end(op);
		return;
	}
	bug("wait: bad step %u", op->step);
}

static const struct op_type wait_type = {
	.name = "startup",
	.steps = wait_steps,
	.nsteps = nitems(wait_steps),
	.run = wait_run,
};

static void
wait_for(struct dozo *d, struct wait *wait, void (*begin)(struct wait *wait))
{
	assert(begin != NULL && wait->n == 0);
	wait->dozo = d;
	wait->begin = begin;
	op_start(&wait->op, &wait_type, loop_sched(d->loop), NULL);
	loop_run_op(d->loop, &wait->op);
}

/* What is in use may be free soon if the last daemon was killed. */
static unsigned
patience_ms(const struct dozo *d)
{
	return state_was_killed(d->state) ? GHOST_MS : 0;
}

/* Call open() until it does not say "in use", or patience ends. */
static int
open_patiently(struct dozo *d, int (*open)(struct dozo *d, unsigned i,
    struct err *err), unsigned i, struct err *err)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
	unsigned left_ms = patience_ms(d);
	int r;

	while ((r = open(d, i, err)) == -EADDRINUSE && left_ms > 0) {
		left_ms -= MIN(left_ms, RETRY_MS);
		err_clear(err);
		nanosleep(&pause, NULL);
	}
	return r;
}

/* --- the document --- */

static int
read_doc(struct dozo *d, struct err *err)
{
	char *text;
	size_t len;
	int r;

	assert(d->doc == NULL && d->state != NULL);
	r = state_read(d->state, "config.json", &text, &len, err);
	if (r == -ENOENT) {
		d->doc = doc_new();
		if (d->doc == NULL)
			return err_set(err, ENOMEM, "out of memory");
		dozo_new_uuid(d, d->doc->appliance);
		log_info("a new appliance: %s has no configuration yet",
		    state_dir(d->state));
		return 0;
	}
	if (r != 0)
		return r;
	d->doc = doc_from_text(text, len, err);
	free(text);
	if (d->doc == NULL) {
		err_hint(err, "An earlier configuration may be in "
		    "%s/history: copy one over %s/config.json.",
		    state_dir(d->state), state_dir(d->state));
		return -err->code;
	}
	return 0;
}

/* --- pools --- */

static void
open_pools(struct wait *wait)
{
	struct dozo *d = wait->dozo;

	assert(wait->ups != NULL);
	for (unsigned i = 0; i < d->doc->npools; i++) {
		const struct doc_pool *want = &d->doc->pools[i];
		struct dozo_pool *pool;

		if (dozo_pool(d, want->name) != NULL)
			continue;
		pool = dozo_pool_new(d, want->name, DOZO_POOL_OFFLINE);
		if (pool == NULL) {
			log_err("pool=%s: out of memory", want->name);
			continue;
		}
		pool_up_init(&wait->ups[wait->n], pool, want);
		wait->ups[wait->n].patience_ms = patience_ms(d);
		wait->ups[wait->n].whole = d->settle_ms > 0;
		pool_up_start(&wait->ups[wait->n++], &wait->op);
	}
}

static void
read_docs(struct wait *wait)
{
	struct dozo_pool *pool;

	assert(wait->docs != NULL);
	TAILQ_FOREACH(pool, &wait->dozo->pools, link) {
		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		wait->docs[wait->n].pool = pool->pool;
		pool_doc_start(&wait->docs[wait->n++], &wait->op);
	}
}

/* Replace the document by a newer one from a pool.  True if one was. */
static bool
adopt_newer(struct dozo *d, const struct pool_doc *doc)
{
	struct err err = { 0 };
	struct doc *newer;

	assert(doc != NULL && d->doc != NULL);
	if (err_is(&doc->err)) {
		log_warn("a pool's copy of the configuration cannot be read: "
		    "%s", doc->err.text);
		return false;
	}
	if (doc->text == NULL || doc->generation <= d->doc->generation)
		return false;
	newer = doc_from_text(doc->text, doc->len, &err);
	if (newer == NULL) {
		log_warn("a pool has a newer configuration (generation %"
		    PRIu64 ") that is not usable: %s", doc->generation,
		    err.text);
		return false;
	}
	if (strcmp(newer->appliance, d->doc->appliance) != 0) {
		log_warn("a pool has the configuration of another appliance, "
		    "%s (generation %" PRIu64 "): it is not used",
		    newer->appliance, newer->generation);
		doc_free(newer);
		return false;
	}
	log_warn("the configuration in a pool is newer (generation %" PRIu64
	    ") than the one in %s (%" PRIu64 "): using it", newer->generation,
	    state_dir(d->state), d->doc->generation);
	doc_free(d->doc);
	d->doc = newer;
	return true;
}

static bool
adopt_docs(struct dozo *d)
{
	struct pool_doc docs[DOC_POOLS_MAX + 1];
	struct wait wait = { .docs = docs };
	bool adopted = false;

	memset(docs, 0, sizeof(docs));
	wait_for(d, &wait, read_docs);
	for (unsigned i = 0; i < wait.n; i++) {
		adopted = adopt_newer(d, &docs[i]) || adopted;
		free(docs[i].text);
	}
	return adopted;
}

/* Open what the document names, until no pool knows a newer document. */
static int
start_pools(struct dozo *d, struct err *err)
{
	bool adopted = true;

	for (unsigned i = 0; adopted && i < DOC_TRIES; i++) {
		struct wait wait = { 0 };

		wait.ups = calloc(DOC_POOLS_MAX, sizeof(*wait.ups));
		if (wait.ups == NULL)
			return err_set(err, ENOMEM, "out of memory");
		wait_for(d, &wait, open_pools);
		free(wait.ups);
		adopted = adopt_docs(d);
	}
	return 0;
}

/* Names in mappings follow volumes that were renamed just before a crash. */
static void
reconcile(struct dozo *d)
{
	for (unsigned i = 0; i < d->doc->nmaps; i++) {
		struct doc_map *m = &d->doc->maps[i];
		const struct dozo_volume *dv = dozo_volume_by_uuid(d,
		    m->volume_uuid);
		struct volume_info info;

		if (dv == NULL) {
			log_warn("%s/%s is mapped to host %s on target %s, "
			    "but is not there", m->pool, m->volume, m->host,
			    m->target);
			continue;
		}
		volume_get_info(dv->volume, &info);
		memcpy(m->volume, info.name, sizeof(m->volume));
		memcpy(m->pool, dv->pool->name, sizeof(m->pool));
	}
}

/* --- start --- */

static int
open_control(struct dozo *d, unsigned i, struct err *err)
{
	(void)i;
	return control_open(d, err);
}

static int
open_portal(struct dozo *d, unsigned i, struct err *err)
{
	return portal_open(d, &d->conf.listen[i], 1, err);
}

static int
open_portals(struct dozo *d, struct err *err)
{
	assert(!d->serving && d->conf.nlisten > 0);
	for (unsigned i = 0; i < d->conf.nlisten; i++) {
		if (open_patiently(d, open_portal, i, err) != 0) {
			err_hint(err, "Stop what listens there, or change "
			    "\"listen\" in %s.", d->conf_path);
			return -err->code;
		}
	}
	d->serving = true;
	portals_apply(d);
	return 0;
}

int
dozo_start(struct dozo *d, struct err *err)
{
	assert(d->loop == NULL && d->conf.state_dir[0] == '/');
	TAILQ_INIT(&d->pools);
	op_queue_init(&d->change_wait);
	op_queue_init(&d->renewal_wait);
	d->loop = loop_new(err);
	if (d->loop == NULL)
		return -err->code;
	/* Whoever has to answer us needs a CPU while we poll. */
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		loop_set_spin(d->loop, d->conf.spin_us);
	d->start_ns = loop_now(d->loop);
	d->start_s = loop_wall_time(d->loop);
	if (events_new(d, err) != 0 || jobs_new(d, err) != 0 ||
	    state_open(d->conf.state_dir, &d->state, err) != 0)
		return -err->code;
	d->worker = worker_new(d->loop, err);
	if (d->worker == NULL || read_doc(d, err) != 0)
		return -err->code;
	memory_start(d);
	d->server = target_server_new(d->loop, &target_server_defaults, err);
	if (d->server == NULL)
		return -err->code;
	/* First listen, then look: no disk comes in between. */
	if (late_start(d, err) != 0 || hotplug_start(d, err) != 0 ||
	    locate_start(d, err) != 0 || start_pools(d, err) != 0)
		return -err->code;
	late_settle(d);
	reconcile(d);
	if (dozo_apply(d, err) != 0 ||
	    open_patiently(d, open_control, 0, err) != 0 ||
	    open_portals(d, err) != 0 || history_start(d, err) != 0)
		return -err->code;
	page_start(d);
	return 0;
}

/* --- stop --- */

static void
stop_control(struct wait *wait)
{
	control_stop(wait->dozo, &wait->op);
}

static void
stop_jobs(struct wait *wait)
{
	jobs_cancel(wait->dozo);
	jobs_wait(wait->dozo, &wait->op);
}

static void
stop_hotplug(struct wait *wait)
{
	hotplug_stop(wait->dozo, &wait->op);
	late_stop(wait->dozo, &wait->op);
}

/* When the pools are closed: a disk may take long to answer. */
static void
stop_locate(struct wait *wait)
{
	locate_stop(wait->dozo, &wait->op);
}

static void
stop_renewal(struct wait *wait)
{
	reservations_wait(wait->dozo, &wait->op);
}

static void
stop_pools(struct wait *wait)
{
	struct dozo_pool *pool;
	struct pool_down *downs = wait->downs;

	assert(downs != NULL && wait->dozo->stopping);
	TAILQ_FOREACH(pool, &wait->dozo->pools, link) {
		if (pool->raid == NULL || wait->n > DOC_POOLS_MAX)
			continue;
		downs[wait->n].pool = pool;
		pool_down_start(&downs[wait->n++], &wait->op);
	}
}

static void
stop_server(struct dozo *d)
{
	struct target_server_stop stop = { .server = d->server };

	if (d->server == NULL)
		return;
	target_server_stop_start(&stop, NULL);
	loop_run_op(d->loop, &stop.op);
	d->server = NULL;
	d->nportals = 0;
	d->serving = false;
}

void
dozo_stop(struct dozo *d)
{
	struct pool_down downs[DOC_POOLS_MAX + 1];
	struct dozo_pool *pool;
	struct wait control = { 0 }, jobs = { 0 }, renewal = { 0 };
	struct wait hotplug = { 0 }, locate = { 0 };
	struct wait pools = { .downs = downs };

	d->stopping = true;
	page_stop(d);
	history_stop(d);
	memset(downs, 0, sizeof(downs));
	if (d->loop != NULL && d->jobs != NULL) {
		wait_for(d, &control, stop_control);
		wait_for(d, &jobs, stop_jobs);
		wait_for(d, &hotplug, stop_hotplug);
		stop_server(d);
		wait_for(d, &renewal, stop_renewal);
		wait_for(d, &pools, stop_pools);
		wait_for(d, &locate, stop_locate);
	}
	control_free(d);
	while ((pool = TAILQ_FIRST(&d->pools)) != NULL)
		dozo_pool_free(pool);
	memory_stop(d);
	if (d->jobs != NULL)
		jobs_free(d);
	hotplug_free(d);
	late_free(d);
	locate_free(d);
	worker_free(d->worker);
	events_free(d);
	doc_free(d->doc);
	state_close(d->state);
	if (d->loop != NULL)
		loop_free(d->loop);
	memset(d, 0, sizeof(*d));
}
