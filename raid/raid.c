/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The array as an object: memory, geometry, what it tells, fail and stop.
 *
 * Invariants: all memory of the data path is allocated in raid_new(); the
 * array ends only through raid_stop, when nothing is in flight.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_AREA LOG_RAID
#define DEADLINE_HDD_MS 2000u
#define DEADLINE_SSD_MS 500u
#define DISKS (2 * RAID_MEMBERS_MAX + 1)	/* members, spares, an heir */

static const struct raid_pools usual_pools = {
	.reqs = 512, .rows = 256, .fixes = 64, .bufs = 256,
};

static void
raid_close(struct blk *blk)
{
	(void)blk;	/* the array lives until raid_stop */
}

static const struct blk_ops raid_ops = {
	.type = "raid",
	.submit = raid_submit,
	.close = raid_close,
	.expect = raid_expect,
	.cut = raid_cut,
};

void
raid_tell(struct raid *raid, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* In this order: who listens knows the line of the log that follows. */
	if (raid->listener != NULL)
		raid->listener(raid->listener_arg, text);
	log_warn("array=%s %s", raid->spec.name, text);
}

/* --- memory --- */

static bool
alloc_pools(struct raid *raid)
{
	const struct raid_pools *pools = &raid->pools;
	size_t sb_bytes = DISKS * (size_t)SB1_BYTES;

	assert(pools->reqs > 0 && pools->rows > 0 && pools->fixes > 0);
	assert(pools->bufs >= 2 * RAID_MEMBERS_MAX);
	raid->bufs = buf_pool_new(pools->rows, pools->bufs);
	raid->guards = guards_new(pools->reqs);
	raid->echoes = echoes_new(pools);
	raid->reqs = calloc(pools->reqs, sizeof(*raid->reqs));
	raid->rows = calloc(pools->rows, sizeof(*raid->rows));
	raid->fixes = calloc(pools->fixes, sizeof(*raid->fixes));
	raid->locks = calloc(pools->rows, sizeof(*raid->locks));
	raid->zeroes = aligned_alloc(4096, ROW_BYTES_MAX);
	raid->sb_mem = aligned_alloc(4096, sb_bytes);
	raid->doubt_log.buf = aligned_alloc(4096, DOUBT_SLOT);
	raid->bblog_mem = aligned_alloc(4096, DISKS * (size_t)BBLOG_BYTES);
	if (raid->bufs == NULL || raid->guards == NULL ||
	    raid->echoes == NULL ||
	    raid->reqs == NULL || raid->rows == NULL ||
	    raid->fixes == NULL || raid->locks == NULL ||
	    raid->zeroes == NULL || raid->sb_mem == NULL ||
	    raid->bblog_mem == NULL || raid->doubt_log.buf == NULL ||
	    !doubt_init(&raid->doubt) ||
	    !doubt_init(&raid->doubt_stable) ||
	    !doubt_init(&raid->clean_op.doubt) ||
	    !doubt_init(&raid->sweep.doubt) ||
	    !ranges_init(&raid->sweep.lacking, LACK_MAX) ||
	    !lack_init(&raid->lack) || !lack_init(&raid->heir_lack))
		return false;
	if (raid->spec.policy == RAID_POLICY_PPL) {
		raid->ppl = calloc(RAID_MEMBERS_MAX, sizeof(*raid->ppl));
		raid->ppl_mem = aligned_alloc(4096, RAID_MEMBERS_MAX *
		    (size_t)PPL_HEADER);
		if (raid->ppl == NULL || raid->ppl_mem == NULL)
			return false;
	}
	memset(raid->zeroes, 0, ROW_BYTES_MAX);
	memset(raid->sb_mem, 0, sb_bytes);
	return true;
}

static void
fill_pools(struct raid *raid)
{
	STAILQ_INIT(&raid->free_reqs);
	STAILQ_INIT(&raid->waiting_ios);
	STAILQ_INIT(&raid->free_rows);
	STAILQ_INIT(&raid->free_fixes);
	LIST_INIT(&raid->free_locks);
	op_queue_init(&raid->row_waiting);
	op_queue_init(&raid->fix_waiting);
	op_queue_init(&raid->sb_waiting);
	op_queue_init(&raid->idle_waiting);
	raid->ahead.patience_ms = AHEAD_MS;
	for (unsigned i = 0; i < ROW_HASH; i++)
		LIST_INIT(&raid->lock_hash[i]);
	for (unsigned i = 0; i < raid->pools.reqs; i++)
		STAILQ_INSERT_TAIL(&raid->free_reqs, &raid->reqs[i], free);
	for (unsigned i = 0; i < raid->pools.rows; i++)
		STAILQ_INSERT_TAIL(&raid->free_rows, &raid->rows[i], free);
	for (unsigned i = 0; i < raid->pools.fixes; i++)
		STAILQ_INSERT_TAIL(&raid->free_fixes, &raid->fixes[i], free);
	for (unsigned i = 0; i < raid->pools.rows; i++)
		LIST_INSERT_HEAD(&raid->free_locks, &raid->locks[i], hash);
}

static void
init_member(struct raid *raid, struct member *m, unsigned role, unsigned i)
{
	m->raid = raid;
	m->role = role;
	m->state = RAID_MEMBER_MISSING;
	TAILQ_INIT(&m->inflight);
	m->sb_buf = raid->sb_mem + i * (size_t)SB1_BYTES;
	m->bblog_buf = raid->bblog_mem + i * (size_t)BBLOG_BYTES;
}

struct raid *
raid_new(struct loop *loop, const struct raid_spec *spec,
    const struct raid_map *map, const struct raid_pools *pools,
    struct err *err)
{
	struct raid *raid = calloc(1, sizeof(*raid));

	if (raid != NULL) {
		raid->spec = *spec;
		raid->pools = pools != NULL ? *pools : usual_pools;
	}
	if (raid == NULL || !alloc_pools(raid)) {
		err_set(err, ENOMEM, "no memory for the array");
		if (raid != NULL)
			raid_free(raid);
		return NULL;
	}
	raid->loop = loop;
	raid->ppl_signature = ppl_signature(spec->uuid);
	raid->map = *map;
	fill_pools(raid);
	ports_init(raid);
	raid->deadline_ms = DEADLINE_HDD_MS;
	for (unsigned i = 0; i < RAID_MEMBERS_MAX; i++) {
		init_member(raid, &raid->member[i], i, i);
		init_member(raid, &raid->spare[i], ROLE_NONE,
		    RAID_MEMBERS_MAX + i);
	}
	init_member(raid, &raid->heir, ROLE_NONE, DISKS - 1);
	raid->gen = raid->gen_durable = 1;
	raid->doubt_log.stale = true;
	return raid;
}

void
raid_free(struct raid *raid)
{
	ports_fini(raid);
	buf_pool_free(raid->bufs);
	guards_free(raid->guards);
	free(raid->echoes);
	free(raid->reqs);
	free(raid->rows);
	free(raid->fixes);
	free(raid->locks);
	free(raid->zeroes);
	free(raid->sb_mem);
	free(raid->doubt_log.buf);
	doubt_fini(&raid->doubt);
	doubt_fini(&raid->doubt_stable);
	doubt_fini(&raid->clean_op.doubt);
	doubt_fini(&raid->sweep.doubt);
	ranges_fini(&raid->sweep.lacking);
	lack_fini(&raid->lack);
	lack_fini(&raid->heir_lack);
	free(raid->bblog_mem);
	bitmap_free(raid->bitmap);
	free(raid->ppl);
	free(raid->ppl_mem);
	free(raid);
}

/* --- run --- */

static void
join_geometry(struct blk_geometry *geo, const struct blk_geometry *m)
{
	geo->logical_block = MAX(geo->logical_block, m->logical_block);
	geo->physical_block = MAX(geo->physical_block, m->physical_block);
	geo->rotational |= m->rotational;
	geo->discard_zeroes &= m->discard_zeroes &&
	    m->discard_granularity != 0;
}

static void
set_geometry(struct raid *raid)
{
	struct blk_geometry geo = { .discard_zeroes = true };

	for (unsigned r = 0; r < raid->map.n; r++)
		if (raid->member[r].blk != NULL)
			join_geometry(&geo, &raid->member[r].blk->geo);
	geo.size = raid->map.size;
	geo.optimal_io = raid->map.chunk * raid->map.ndata;
	if (geo.discard_zeroes)
		geo.discard_granularity = geo.optimal_io;
	raid->blk.geo = geo;
	raid->blk.ops = &raid_ops;
	raid->blk.loop = raid->loop;
	snprintf(raid->blk.name, sizeof(raid->blk.name), "%s",
	    raid->spec.name);
}

void
raid_check(const struct raid *raid)
{
	const struct raid_map *map = &raid->map;

	assert(map->n >= 3 && map->n <= RAID_MEMBERS_MAX);
	assert(raid->missing >> map->n == 0);
	assert(raid->gen_durable <= raid->gen);
	assert(raid->gen_failed <= raid->gen);
	assert(doubt_next(&raid->doubt_stable, 0) <=
	    doubt_next(&raid->doubt, 0));
	for (unsigned r = 0; r < map->n; r++) {
		const struct member *m = &raid->member[r];
		bool missing = (raid->missing >> r & 1) != 0;

		assert(m->role == r && m->raid == raid);
		assert(missing == !member_live(m) || raid->failed);
		assert(m->state != RAID_MEMBER_SPARE);
		assert(m->lack == (m->state == RAID_MEMBER_REBUILDING ?
		    &raid->lack : NULL));
		assert(!TAILQ_EMPTY(&m->inflight) ||
		    m->inflight.tqh_last == &m->inflight.tqh_first);
	}
	assert((raid->heir.blk == NULL) == (raid->heir.role == ROLE_NONE));
	assert(raid->heir.lack == (raid->heir.state ==
	    RAID_MEMBER_REPLACING ? &raid->heir_lack : NULL));
}

/*
 * A crash in the middle of an update left members an event behind.  The one
 * that knows best may be the next to go, and the rest would be dirty again.
 */
static void
bring_level(struct raid *raid)
{
	bool behind = false;

	for (unsigned r = 0; r < raid->map.n; r++)
		behind |= raid->member[r].behind;
	if (!behind || raid->missing != 0)
		return;
	raid_changed(raid);
	raid_record_soon(raid);
}

void
raid_run(struct raid *raid)
{
	set_geometry(raid);
	raid_check(raid);
	raid->gen_start = raid->gen;
	raid_set_deadline(raid, raid->blk.geo.rotational ? DEADLINE_HDD_MS :
	    DEADLINE_SSD_MS);
	if (raid->want_dirty)
		raid_arm_clean(raid);
	bring_level(raid);
	sweep_kick(raid);
}

void
raid_set_deadline(struct raid *raid, unsigned deadline_ms)
{
	assert(deadline_ms > 0);
	raid->deadline_ms = deadline_ms;
	ports_clock(raid);
}

struct blk *
raid_blk(struct raid *raid)
{
	return &raid->blk;
}

void
raid_set_listener(struct raid *raid, void (*fn)(void *arg, const char *what),
    void *arg)
{
	raid->listener = fn;
	raid->listener_arg = arg;
}

void
raid_rename(struct raid *raid, const char *name)
{
	char *to = raid->spec.name;

	assert(name[0] != '\0');
	memset(to, 0, sizeof(raid->spec.name));
	snprintf(to, sizeof(raid->spec.name), "%s", name);
	snprintf(raid->blk.name, sizeof(raid->blk.name), "%s", to);
	raid_changed(raid);
	raid_record_soon(raid);
}

/* --- what it tells --- */

static void
member_info(const struct member *m, struct raid_member_info *info)
{
	snprintf(info->path, sizeof(info->path), "%s",
	    m->blk != NULL ? m->blk->name : "");
	info->state = m->state;
	info->role = m->role == ROLE_NONE ? -1 : (int)m->role;
	memcpy(info->device_uuid, m->sb.device_uuid, 16);
	info->read_errors = m->read_errors;
	info->write_errors = m->write_errors;
	info->corrected_errors = m->corrected_errors;
	info->reads = m->reads;
	info->writes = m->writes;
	info->read_bytes = m->read_bytes;
	info->write_bytes = m->write_bytes;
	info->worn_out = m->worn_out;
	info->stalls = m->stalls;
	info->read_ns = m->read_ns;
	info->write_ns = m->write_ns;
	info->bad_bytes = bblog_sectors(&m->bblog) * SECTOR;
	memcpy(info->latency, m->latency, sizeof(info->latency));
	memcpy(info->write_latency, m->write_latency,
	    sizeof(info->write_latency));
}

void
raid_get_info(const struct raid *raid, struct raid_info *info)
{
	memset(info, 0, sizeof(*info));
	info->spec = raid->spec;
	info->size = raid->map.size;
	info->events = raid->events;
	info->clean = !raid->want_dirty && !raid->dirty_on_disk &&
	    !doubt_any(&raid->doubt);
	info->failed = raid->failed;
	info->nmembers = raid->map.n + raid->nspares;
	for (unsigned i = 0; i < raid->map.n; i++) {
		member_info(&raid->member[i], &info->member[i]);
		info->degraded += raid->member[i].state !=
		    RAID_MEMBER_IN_SYNC;
	}
	for (unsigned i = 0; i < raid->nspares; i++)
		member_info(&raid->spare[i], &info->member[raid->map.n + i]);
	if (raid->heir.blk != NULL)
		member_info(&raid->heir, &info->member[info->nmembers++]);
	info->full_writes = raid->full_writes;
	info->rmw_writes = raid->rmw_writes;
	info->rcw_writes = raid->rcw_writes;
	info->prereads = raid->prereads;
	info->degraded_reads = raid->degraded_reads;
	info->merged_writes = raid->merged_writes;
	info->ppl_headers = raid->ppl_headers;
	info->ppl_entries = raid->ppl_entries;
	sweep_get_info(raid, info);
	if (!raid->doubt.blank)
		info->in_doubt = doubt_bytes(&raid->doubt);
}

/* --- fail --- */

enum fail_step { FL_BUFFER, FL_PROBE, FL_FAIL, FL_END };
static const char *const fail_steps[] = { "BUFFER", "PROBE", "FAIL", "END" };

/* A path may be that of a disk that has failed, and of a live one. */
static struct member *
find_disk(const struct raid_fail *fail)
{
	struct raid *raid = fail->raid;
	struct member *found = NULL;

	if (fail->path == NULL)
		return fail->role < raid->map.n ? &raid->member[fail->role] :
		    NULL;
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		struct member *m = raid_disk(raid, i);

		if (m->blk != NULL && strcmp(m->blk->name, fail->path) == 0 &&
		    (found == NULL || member_live(m)))
			found = m;
	}
	return found;
}

/* Ask its disk for the superblock: who is late is not known to be gone. */
static void
fail_probe(struct raid_fail *fail, struct op *op)
{
	struct member *m = find_disk(fail);

	io_init(&fail->io, IO_READ, SB1_OFFSET, fail->buf.len, fail->buf.iov,
	    fail->buf.niov, MEMBER_MAY_CUT | MEMBER_MAY_PASS);
	if (m != NULL && member_live(m) && !fail->raid->failed)
		member_io(m, &fail->io, op);
}

static void
end_probe(struct raid_fail *fail)
{
	struct raid *raid = fail->raid;

	assert(raid->probes > 0);
	if (--raid->probes == 0)
		op_wake_all(&raid->idle_waiting);
	if (fail->io.result == MEMBER_CUT || fail->io.result == MEMBER_LATE)
		bury(raid, &fail->buf);
}

static void
fail_member(struct raid_fail *fail, struct op *op)
{
	struct raid *raid = fail->raid;
	struct member *m;

	err_clear(&fail->err);
	m = find_disk(fail);
	if (m == NULL && fail->if_gone)
		return;			/* let go meanwhile */
	if (m == NULL) {
		if (fail->path != NULL)
			err_set(&fail->err, EINVAL, "%s is no member of "
			    "array %s", fail->path, raid->spec.name);
		else
			err_set(&fail->err, EINVAL, "array %s has no member "
			    "%u", raid->spec.name, fail->role);
		return;
	}
	fail->failed = !member_live(m);
	if (fail->failed || (fail->if_gone &&
	    !errno_is_gone(fail->io.result)))
		return;
	if (m->role != ROLE_NONE && m != &raid->heir && member_vital(m)) {
		err_set(&fail->err, EBUSY, "failing member %u would stop "
		    "array %s: another member is missing or being rebuilt",
		    m->role, raid->spec.name);
		err_hint(&fail->err, "replace the missing member first");
		return;
	}
	member_fail(m, fail->why != NULL ? fail->why : "by the administrator");
	fail->failed = true;
	raid_record(raid, op);
}

static void
raid_fail_run(struct op *op)
{
	struct raid_fail *fail = op_owner(op, struct raid_fail);

	switch ((enum fail_step)op->step) {
	case FL_BUFFER:
		op->step = fail->if_gone ? FL_PROBE : FL_FAIL;
		if (fail->if_gone)
			buf_reserve(&fail->buf, fail->raid->bufs, SB1_BYTES,
			    op);
		return;
	case FL_PROBE:
		if (fail->raid->freezer != NULL) {
			op_wait(&fail->raid->idle_waiting, op);
			return;
		}
		fail->raid->probes++;
		fail_probe(fail, op);
		op->step = FL_FAIL;
		return;
	case FL_FAIL:
		if (fail->if_gone)
			end_probe(fail);
		fail_member(fail, op);
		buf_release(&fail->buf);
		op->step = FL_END;
		return;
	case FL_END:
		op_end(op);
		return;
	}
	bug("raid_fail: bad step");
}

static const struct op_type raid_fail_type = {
	.name = "raid_fail",
	.steps = fail_steps,
	.nsteps = nitems(fail_steps),
	.run = raid_fail_run,
};

void
raid_fail_start(struct raid_fail *fail, struct op *parent)
{
	fail->failed = false;
	fail->buf.pool = NULL;
	op_start(&fail->op, &raid_fail_type, loop_sched(fail->raid->loop),
	    parent);
}

/* --- stop --- */

enum stop_step { ST_DRAIN, ST_CLEAN, ST_RECORD, ST_CLOSE };
static const char *const stop_steps[] = { "DRAIN", "CLEAN", "RECORD", "CLOSE" };

static void
stop_close(struct raid_stop *stop)
{
	struct raid *raid = stop->raid;

	if (raid->failed)
		err_set(&stop->err, EIO, "array %s had failed; its members "
		    "were left as they are", raid->spec.name);
	else if (raid->want_dirty)
		err_set(&stop->err, EIO, "array %s could not be marked clean",
		    raid->spec.name);
	if (err_is(&stop->err))
		log_err("%s", stop->err.text);
	for (unsigned i = 0; i < RAID_MEMBERS_MAX; i++) {
		blk_close(raid->member[i].blk);
		blk_close(raid->spare[i].blk);
	}
	blk_close(raid->heir.blk);
	raid_free(raid);
	stop->raid = NULL;
}

static void
raid_stop_run(struct op *op)
{
	struct raid_stop *stop = op_owner(op, struct raid_stop);
	struct raid *raid = stop->raid;

	switch ((enum stop_step)op->step) {
	case ST_DRAIN:
		err_clear(&stop->err);
		raid->stopping = raid->sweep.cancel = true;
		ahead_break(raid);
		bitmap_stop(raid);
		if (raid->active > 0 || !STAILQ_EMPTY(&raid->waiting_ios) ||
		    raid->sweep.running || raid->cleaning ||
		    raid->converting ||
		    !ppl_idle(raid) || !guards_idle(raid) ||
		    raid->yard.ghosts > 0 || raid->probes > 0 ||
		    !bitmap_idle(raid)) {
			op_wait(&raid->idle_waiting, op);
			return;
		}
		timer_stop(raid->loop, &raid->safe_timer);
		op->step = ST_CLEAN;
		return;
	case ST_CLEAN:
		raid_check(raid);
		raid_clean_start(raid, op);
		op->step = ST_RECORD;
		return;
	case ST_RECORD:
		/*
		 * A failure that the clean step met.  Who was missing from the
		 * start needs no record if nothing was written without it.
		 */
		if (raid->gen > raid->gen_start || raid->nwriters > 0)
			raid_record(raid, op);
		op->step = ST_CLOSE;
		return;
	case ST_CLOSE:
		if (raid->sb_running || raid->yard.ghosts > 0) {
			op_wait(raid->sb_running ? &raid->sb_waiting :
			    &raid->idle_waiting, op);
			return;
		}
		stop_close(stop);
		op_end(op);
		return;
	}
	bug("raid_stop: bad step");
}

static const struct op_type raid_stop_type = {
	.name = "raid_stop",
	.steps = stop_steps,
	.nsteps = nitems(stop_steps),
	.run = raid_stop_run,
};

void
raid_stop_start(struct raid_stop *stop, struct op *parent)
{
	op_start(&stop->op, &raid_stop_type, loop_sched(stop->raid->loop),
	    parent);
}
