/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenario "target": initiators on simulated sockets, through iSCSI, SCSI,
 * pool and RAID5 down to the disks: the whole data path of the appliance, with
 * and without a cache, under each of the three write policies.  What a kill or
 * a power cut may lose follows from the policy alone.
 *
 * In each life the process opens array, pool and target; the initiators log
 * in, read, write and flush, lose connections, abort commands; a member may
 * fail or stall; then the process stops in order, is killed, or loses power.
 * The next life starts with every volume read below the target and compared.
 */
#include "block/cache.h"
#include "pool/pool.h"
#include "target/target.h"
#include "tests/sim/initiator.h"
#include "tests/sim/load.h"
#include "tests/sim/rig.h"
#include "tests/sim/scenario.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOLUMES 2u
#define INITIATORS 3u
#define PORT 3260
#define TARGET "iqn.2024-01.sim:target"

struct world {
	struct sim *sim;
	struct rng *rng;
	struct rig *rig;
	unsigned nvolumes, ninitiators;
	enum write_policy policy;	/* of all volumes */
	bool cached;
	bool lose_member, stalls, errors_ok;
	struct model *model[VOLUMES];
	struct initiator *initiator[INITIATORS];
	/* of this life */
	struct loop *loop;
	struct pool *pool;
	struct cache *cache;
	struct blk *cover[VOLUMES];	/* the cache of each */
	struct scsi_lu *lu[VOLUMES];
	struct target_server *server;
};

/* --- make and open --- */

static void
volume_name(unsigned i, char name[16])
{
	snprintf(name, 16, "v%u", i);
}

static void
create_volume(struct world *w, struct pool *pool, unsigned i)
{
	struct pool_change change = { .pool = pool,
	    .kind = POOL_VOLUME_CREATE, .thick = true,
	    .policy = w->policy,
	    .size = 4096 * rng_range(w->rng, 16, 200) };

	volume_name(i, change.name);
	pool_change_start(&change, NULL);
	sim_run_op(w->sim, &change.op, SIM_FOREVER);
	sim_check(w->sim, change.err.code == 0, "create: %s",
	    change.err.text);
	w->model[i] = model_new(w->sim, change.name,
	    change.size / MODEL_SECTOR);
}

static void
open_pool(struct world *w, struct blk *blk)
{
	struct pool_open open = { .loop = w->loop, .blk = blk };

	pool_open_start(&open, NULL);
	sim_run_op(w->sim, &open.op, SIM_FOREVER);
	sim_check(w->sim, open.err.code == 0, "pool does not open: %s",
	    open.err.text);
	w->pool = open.pool;
}

static void
close_pool(struct world *w)
{
	struct pool_close close = { .pool = w->pool };

	pool_close_start(&close, NULL);
	sim_run_op(w->sim, &close.op, SIM_FOREVER);
	sim_check(w->sim, close.err.code == 0 || w->errors_ok, "close: %s",
	    close.err.text);
	rig_close(w->rig);
}

static void
install(struct world *w)
{
	struct pool_format format = { .name = "tank",
	    .extent_bytes = 256 * 1024 };

	w->loop = sim_boot(w->sim);
	format.blk = rig_open(w->rig, w->loop);
	pool_format_start(&format, NULL);
	sim_run_op(w->sim, &format.op, SIM_FOREVER);
	sim_check(w->sim, format.err.code == 0, "format: %s",
	    format.err.text);
	open_pool(w, format.blk);
	for (unsigned i = 0; i < w->nvolumes; i++)
		create_volume(w, w->pool, i);
	close_pool(w);
	sim_shutdown(w->sim);
}

static struct blk *
volume_at(struct world *w, unsigned i)
{
	struct volume *volume;
	char name[16];

	volume_name(i, name);
	volume = pool_volume_by_name(w->pool, name);
	sim_check(w->sim, volume != NULL, "volume %s is gone", name);
	return volume_blk(volume);
}

/* What the LU of volume i lies on. */
static struct blk *
cover(struct world *w, unsigned i)
{
	if (!w->cached)
		return volume_at(w, i);
	w->cover[i] = cache_blk_new(w->cache, volume_at(w, i),
	    w->policy == WRITE_BACK);
	sim_check(w->sim, w->cover[i] != NULL, "no memory");
	return w->cover[i];
}

static void
make_lus(struct world *w)
{
	bool durable = w->policy == WRITE_DURABLE;

	if (w->cached)
		w->cache = cache_new(w->loop, CACHE_BYTES_MIN);
	for (unsigned i = 0; i < w->nvolumes; i++) {
		struct scsi_lu_params params = {
			.write_cache = !durable, .durable = durable };
		const uint8_t uuid[16] = { 1, 2, 3, (uint8_t)i };

		volume_name(i, params.name);
		scsi_lu_id_from_uuid(&params.id, uuid);
		w->lu[i] = scsi_lu_new(w->loop, cover(w, i), &params, NULL);
		sim_check(w->sim, w->lu[i] != NULL, "no memory");
	}
}

static void
start_target(struct world *w)
{
	struct target_server_params params = target_server_defaults;
	struct target_conf_target target = { .name = TARGET };
	struct target_host_conf host = { .name = "any" };
	struct target_map_conf maps[VOLUMES];
	struct target_conf conf = { .targets = &target, .ntargets = 1,
	    .hosts = &host, .nhosts = 1, .maps = maps,
	    .nmaps = w->nvolumes, .allow_md5 = true };
	struct sock_addr addr = { .text = "", .port = PORT };
	struct err err = { 0 };

	params.buffers_small = 64;
	params.buffers_large = 64 + (unsigned)rng_below(w->rng, 64);
	params.connections_max = 16;
	params.queue_depth = (unsigned)rng_range(w->rng, 1, 32);
	for (unsigned i = 0; i < w->nvolumes; i++)
		maps[i] = (struct target_map_conf){ .lu = w->lu[i],
		    .lun = (uint16_t)i };
	w->server = target_server_new(w->loop, &params, &err);
	if (w->server == NULL ||
	    target_apply(w->server, &conf, &err) != 0 ||
	    target_portal_add(w->server, &addr, 1, &err) != 0)
		sim_fail(w->sim, "target does not start: %s", err.text);
}

static void
stop_target(struct world *w)
{
	struct target_server_stop stop = { .server = w->server };

	target_server_stop_start(&stop, NULL);
	sim_run_op(w->sim, &stop.op, SIM_FOREVER);
	for (unsigned i = 0; i < w->nvolumes; i++) {
		struct cache_close close = { .blk = w->cover[i] };

		scsi_lu_free(w->lu[i]);
		if (!w->cached)
			continue;
		cache_close_start(&close, NULL);
		sim_run_op(w->sim, &close.op, SIM_FOREVER);
		sim_check(w->sim, close.result == 0 || w->errors_ok,
		    "the cache of volume %u: %d, %llu bytes lost", i,
		    close.result, (unsigned long long)close.lost_bytes);
	}
	if (w->cached)
		cache_free(w->cache);
}

/* --- one life --- */

static void
verify_volumes(struct world *w)
{
	for (unsigned i = 0; i < w->nvolumes; i++) {
		struct load_verify verify = { .sim = w->sim,
		    .blk = volume_at(w, i), .model = w->model[i],
		    .errors_ok = w->errors_ok };

		load_verify_start(&verify);
		sim_run_op(w->sim, &verify.op, SIM_FOREVER);
	}
}

static void
start_initiators(struct world *w)
{
	struct initiator_lun luns[VOLUMES];

	for (unsigned i = 0; i < w->nvolumes; i++) {
		const struct blk *blk = volume_at(w, i);

		luns[i] = (struct initiator_lun){ .lun = (uint16_t)i,
		    .block = blk->geo.logical_block,
		    .stripe = blk->geo.optimal_io != 0 ?
		    blk->geo.optimal_io : 65536,
		    .durable = w->policy == WRITE_DURABLE,
		    .model = w->model[i] };
	}
	for (unsigned i = 0; i < w->ninitiators; i++) {
		initiator_set_luns(w->initiator[i], luns, w->nvolumes);
		initiator_start(w->initiator[i], rng_range(w->rng, 1, 150),
		    (unsigned)rng_range(w->rng, 1, 12));
	}
}

static bool
all_done(void *arg)
{
	struct world *w = arg;
	bool done = true;

	for (unsigned i = 0; i < w->ninitiators; i++)
		done = initiator_done(w->initiator[i]) && done;
	return done;
}

static void
lose_member(struct world *w)
{
	unsigned i = (unsigned)rng_below(w->rng, rig_members(w->rig));

	if (!w->lose_member || rig_suspects(w->rig) > 0)
		return;
	rig_suspect(w->rig, i, false);
	sim_disk_vanish(rig_disk(w->rig, i), rng_one_in(w->rng, 2));
}

/* Long enough for reads to be passed on to the other members. */
static void
stall_member(struct world *w)
{
	if (w->stalls)
		sim_disk_stall(rig_disk(w->rig, (unsigned)rng_below(w->rng,
		    rig_members(w->rig))), rng_range(w->rng, 1, 20000));
}

static void
crash(struct world *w, bool power)
{
	bool memory = w->cached && w->policy == WRITE_BACK;

	rig_crash(w->rig, power);
	for (unsigned i = 0; i < w->ninitiators; i++)
		initiator_crash(w->initiator[i]);
	for (unsigned i = 0; i < w->nvolumes; i++) {
		model_crash(w->model[i], power || memory);
		if (!power && memory)
			model_unsettle(w->model[i]);
		if (rig_suspects(w->rig) > 0)
			model_doubt(w->model[i]);
	}
}

static void
stop_in_order(struct world *w)
{
	stop_target(w);
	close_pool(w);
	sim_shutdown(w->sim);
	for (unsigned i = 0; i < w->nvolumes; i++)
		model_settle(w->model[i]);
}

/* False: the array was refused, which may be. */
static bool
one_life(struct world *w)
{
	uint64_t events = rng_range(w->rng, 1, 6000);
	struct blk *blk;

	w->loop = sim_boot(w->sim);
	blk = rig_open(w->rig, w->loop);
	if (blk == NULL) {
		sim_shutdown(w->sim);
		return false;
	}
	if (w->lose_member)
		sim_sleep(w->sim, 60000);	/* resync first */
	open_pool(w, blk);
	verify_volumes(w);
	make_lus(w);
	start_target(w);
	start_initiators(w);
	if (!sim_run_until(w->sim, all_done, w, events / 2)) {
		lose_member(w);
		stall_member(w);
		sim_run_until(w->sim, all_done, w, events);
	}
	if (rng_one_in(w->rng, 2))
		stop_in_order(w);
	else
		crash(w, rng_one_in(w->rng, 2));
	return true;
}

/* The initiators forget what was in flight: the process is gone. */
static void
stop_initiators(struct world *w)
{
	for (unsigned i = 0; i < w->ninitiators; i++)
		initiator_stop(w->initiator[i]);
	for (unsigned i = 0; i < w->nvolumes; i++)
		model_crash(w->model[i], false);
}

static void
last_checks(struct world *w)
{
	struct blk *blk;

	w->loop = sim_boot(w->sim);
	blk = rig_open(w->rig, w->loop);
	if (blk == NULL) {
		sim_shutdown(w->sim);
		return;
	}
	open_pool(w, blk);
	verify_volumes(w);
	sim_sleep(w->sim, 60000);
	close_pool(w);
	sim_shutdown(w->sim);
	if (rig_is_clean(w->rig))
		rig_check_parity(w->rig);
}

static void
play_target(struct sim *sim, struct rng *rng)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t lives = rng_range(rng, 1, 4);

	if (w == NULL)
		sim_fail(sim, "no memory");
	w->sim = sim;
	w->rng = rng;
	w->rig = rig_new_array(sim, rng, 8 * MIB);
	w->nvolumes = (unsigned)rng_range(rng, 1, VOLUMES);
	w->ninitiators = (unsigned)rng_range(rng, 1, INITIATORS);
	w->policy = (enum write_policy)rng_below(rng, 3);
	w->cached = rng_one_in(rng, 2);
	w->lose_member = rng_one_in(rng, 3);
	w->stalls = rng_one_in(rng, 3);
	install(w);
	for (unsigned i = 0; i < w->ninitiators; i++) {
		w->initiator[i] = initiator_new(sim, rng, i, TARGET, PORT);
		if (rng_one_in(rng, 2))
			initiator_be_unsteady(w->initiator[i]);
	}
	for (uint64_t i = 0; i < lives; i++)
		if (!one_life(w))
			return;
	stop_initiators(w);
	last_checks(w);
}

const struct scenario scenario_target = { "target", play_target };
