/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The workers.  Each starts a request, waits for it, checks it, and goes on
 * until the common budget is used up.
 *
 * Sizes and places are chosen to meet in the same stripes: single sectors,
 * chunks, whole stripes and runs of them, half of it in a small hot range.
 */
#include "tests/sim/load.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct load *
load_new(struct sim *sim, struct rng *rng)
{
	struct load *load = calloc(1, sizeof(*load));

	if (load == NULL)
		sim_fail(sim, "no memory");
	load->sim = sim;
	load->rng = rng;
	for (unsigned i = 0; i < LOAD_WORKERS; i++) {
		load->worker[i].load = load;
		load->worker[i].buf = aligned_alloc(4096, LOAD_BYTES);
		if (load->worker[i].buf == NULL)
			sim_fail(sim, "no memory");
	}
	return load;
}

void
load_free(struct load *load)
{
	for (unsigned i = 0; i < LOAD_WORKERS; i++)
		free(load->worker[i].buf);
	free(load);
}

/* --- what to do --- */

/* The device may have grown already while the model has not. */
static uint64_t
load_size(const struct load *load)
{
	return model_sectors(load->model) * MODEL_SECTOR;
}

static uint64_t
draw_len(struct load *load)
{
	struct rng *rng = load->rng;
	uint64_t block = load->blk->geo.logical_block;
	uint64_t stripe = MIN(load->stripe, (uint64_t)LOAD_BYTES / 4);
	uint64_t len;

	switch (rng_below(rng, 8)) {
	case 0:
	case 1:
		len = block;
		break;
	case 2:
	case 3:
		len = block * rng_range(rng, 1, 16);
		break;
	case 4:
		len = 4096;
		break;
	case 5:
		len = stripe;
		break;
	case 6:
		len = stripe * rng_range(rng, 1, 3);
		break;
	default:
		len = block * rng_range(rng, 1, 2 * stripe / block);
		break;
	}
	len = MIN(len, MIN((uint64_t)LOAD_BYTES, load_size(load)));
	return MAX(len - len % block, block);
}

static void
draw_range(struct load *load, uint64_t *off, uint64_t *len)
{
	struct rng *rng = load->rng;
	uint64_t size = load_size(load);
	uint64_t block = load->blk->geo.logical_block;
	uint64_t span;

	*len = draw_len(load);
	span = rng_one_in(rng, 2) ? MIN(MAX(load->hot, *len), size) : size;
	*off = rng_below(rng, (span - *len) / block + 1) * block;
	if (*len % load->stripe == 0 || rng_one_in(rng, 4))
		*off -= *off % load->stripe;
	assert(range_ok(*off, *len, size));
}

/* Cut [0, len) into a few entries, as requests from the wire are. */
static unsigned
draw_iov(struct load_worker *w, uint64_t len)
{
	struct load *load = w->load;
	uint64_t block = load->blk->geo.logical_block, at = 0;
	unsigned n = 0;

	while (at < len) {
		uint64_t part = len - at;

		if (n + 1 < nitems(w->iov) && part > block &&
		    rng_one_in(load->rng, 3))
			part = block * rng_range(load->rng, 1, part / block);
		w->iov[n].iov_base = w->buf + at;
		w->iov[n++].iov_len = part;
		at += part;
	}
	return n;
}

static void
start_read(struct load_worker *w)
{
	struct load *load = w->load;

	draw_range(load, &w->off, &w->len);
	io_init(&w->io, IO_READ, w->off, w->len, w->iov,
	    draw_iov(w, w->len), 0);
	w->token = model_read(load->model);
}

static void
start_flush(struct load_worker *w)
{
	w->off = w->len = 0;
	io_init(&w->io, IO_FLUSH, 0, 0, NULL, 0, 0);
	w->token = model_flush(w->load->model);
}

static void
start_change(struct load_worker *w, enum io_kind kind, enum model_kind model,
    unsigned flags)
{
	struct load *load = w->load;

	draw_range(load, &w->off, &w->len);
	w->write = model_write(load->model, model, w->off / MODEL_SECTOR,
	    w->len / MODEL_SECTOR);
	if (w->write == 0) {
		start_flush(w);		/* too many versions */
		return;
	}
	if (kind == IO_WRITE)
		model_fill(load->model, w->write, w->off / MODEL_SECTOR,
		    w->len / MODEL_SECTOR, w->buf);
	io_init(&w->io, kind, w->off, w->len, w->iov,
	    kind == IO_WRITE ? draw_iov(w, w->len) : 0, flags);
}

static void
draw_request(struct load_worker *w)
{
	uint64_t dice = rng_below(w->load->rng, 100);
	unsigned unmap = rng_one_in(w->load->rng, 2) ? IO_UNMAP : 0;

	w->write = 0;
	if (dice < 35)
		start_read(w);
	else if (dice < 82)
		start_change(w, IO_WRITE, MODEL_DATA, dice & 1 ? IO_MORE : 0);
	else if (dice < 88)
		start_change(w, IO_WRITE, MODEL_DATA, IO_FUA);
	else if (dice < 94)
		start_flush(w);
	else if (dice < 97)
		start_change(w, IO_ZERO, MODEL_ZERO, unmap);
	else
		start_change(w, IO_DISCARD, MODEL_ZERO, 0);
	sim_trace(w->load->sim, "load: %s%s %llu+%llu #%u",
	    io_kind_name(w->io.kind), w->io.flags & IO_FUA ? "/fua" : "",
	    (unsigned long long)w->off, (unsigned long long)w->len, w->write);
}

/* --- what came of it --- */

static void
check_result(struct load_worker *w)
{
	struct load *load = w->load;
	const struct io *io = &w->io;
	bool ok = io->result == 0;

	sim_trace(load->sim, "load: %s %llu+%llu #%u ends %d",
	    io_kind_name(io->kind), (unsigned long long)w->off,
	    (unsigned long long)w->len, w->write, io->result);
	if (!ok) {
		load->errors++;
		sim_check(load->sim, load->errors_ok,
		    "%s %llu+%llu failed with %d", io_kind_name(io->kind),
		    (unsigned long long)w->off, (unsigned long long)w->len,
		    io->result);
	}
	if (io->kind == IO_READ)
		model_read_end(load->model, w->token, w->off / MODEL_SECTOR,
		    w->len / MODEL_SECTOR, ok ? w->buf : NULL);
	else if (io->kind == IO_FLUSH && ok)
		model_flush_end(load->model, w->token);
	else if (io->kind != IO_FLUSH)	/* a discard may do nothing */
		model_write_end(load->model, w->write,
		    ok && io->kind != IO_DISCARD, (io->flags & IO_FUA) != 0);
}

/* Long enough for timers of hundreds of milliseconds, too. */
static void
pause_now(struct load_worker *w, struct op *op)
{
	if (w->load->pauses && rng_one_in(w->load->rng, 8))
		op_sleep(w->load->blk->loop, &w->timer,
		    rng_range(w->load->rng, 1, 400), op);
}

/* As a write from the wire does whose data is still coming; or another. */
static void
announce(struct load_worker *w, struct op *op)
{
	struct load *load = w->load;
	uint64_t off = w->off, len = w->len;

	if (w->io.kind != IO_WRITE || !rng_one_in(load->rng, 3))
		return;
	if (rng_one_in(load->rng, 6))
		draw_range(load, &off, &len);
	sim_trace(load->sim, "load: expect %llu+%llu",
	    (unsigned long long)off, (unsigned long long)len);
	blk_expect(load->blk, off, len);
	op_sleep(load->blk->loop, &w->timer, rng_below(load->rng,
	    rng_one_in(load->rng, 20) ? 200 : 4), op);
}

enum worker_step { LW_START, LW_SUBMIT, LW_CHECK };
static const char *const worker_steps[] = { "START", "SUBMIT", "CHECK" };

static void
worker_run(struct op *op)
{
	struct load_worker *w = op_owner(op, struct load_worker);

	switch ((enum worker_step)op->step) {
	case LW_START:
		if (w->load->budget == 0) {
			op_end(op);
			return;
		}
		w->load->budget--;
		draw_request(w);
		announce(w, op);
		op->step = LW_SUBMIT;
		return;
	case LW_SUBMIT:
		blk_submit(w->load->blk, &w->io, op);
		op->step = LW_CHECK;
		return;
	case LW_CHECK:
		check_result(w);
		pause_now(w, op);
		op->step = LW_START;
		return;
	}
	bug("load_worker: bad step");
}

static const struct op_type worker_type = {
	.name = "load_worker",
	.steps = worker_steps,
	.nsteps = nitems(worker_steps),
	.run = worker_run,
};

enum load_step { LD_START, LD_END };
static const char *const load_steps[] = { "START", "END" };

static void
load_run(struct op *op)
{
	struct load *load = op_owner(op, struct load);

	switch ((enum load_step)op->step) {
	case LD_START:
		for (unsigned i = 0; i < load->workers; i++)
			op_start(&load->worker[i].op, &worker_type, op->sched,
			    op);
		op->step = LD_END;
		return;
	case LD_END:
		op_end(op);
		return;
	}
	bug("load: bad step");
}

static const struct op_type load_type = {
	.name = "load",
	.steps = load_steps,
	.nsteps = nitems(load_steps),
	.run = load_run,
};

void
load_start(struct load *load, struct blk *blk, struct model *model,
    unsigned workers, uint64_t budget)
{
	assert(blk->geo.size == model_sectors(model) * MODEL_SECTOR);
	assert(workers <= LOAD_WORKERS);
	load->blk = blk;
	load->model = model;
	load->workers = workers != 0 ? workers : (unsigned)rng_range(load->rng,
	    1, rng_one_in(load->rng, 2) ? LOAD_WORKERS : 4);
	load->budget = budget;
	load->errors = 0;
	load->pauses = rng_one_in(load->rng, 3);
	for (unsigned i = 0; i < LOAD_WORKERS; i++)
		load->worker[i].timer = (struct timer){ .slot = 0 };
	load->stripe = blk->geo.optimal_io != 0 ? blk->geo.optimal_io : 65536;
	load->hot = load->stripe * rng_range(load->rng, 1, 4);
	op_start(&load->op, &load_type, loop_sched(blk->loop), NULL);
}

/* --- read all --- */

#define VERIFY_BYTES ((uint64_t)128 * 1024)

enum verify_step { VF_READ, VF_CHECK };
static const char *const verify_steps[] = { "READ", "CHECK" };

static void
verify_check(struct load_verify *v)
{
	bool ok = v->io.result == 0;

	if (!ok) {
		v->errors++;
		sim_check(v->sim, v->errors_ok,
		    "verify: read %llu+%llu failed with %d",
		    (unsigned long long)v->off,
		    (unsigned long long)v->len, v->io.result);
	}
	model_read_end(v->model, v->token, v->lba, v->len / MODEL_SECTOR,
	    ok ? v->buf : NULL);
	v->lba += v->len / MODEL_SECTOR;
}

static void
verify_run(struct op *op)
{
	struct load_verify *v = op_owner(op, struct load_verify);

	switch ((enum verify_step)op->step) {
	case VF_READ:
		v->off = v->lba * MODEL_SECTOR;
		if (v->off == v->blk->geo.size) {
			free(v->buf);
			op_end(op);
			return;
		}
		v->len = MIN(VERIFY_BYTES, v->blk->geo.size - v->off);
		v->iov = (struct iovec){ v->buf, v->len };
		io_init(&v->io, IO_READ, v->off, v->len, &v->iov, 1, 0);
		v->token = model_read(v->model);
		blk_submit(v->blk, &v->io, op);
		op->step = VF_CHECK;
		return;
	case VF_CHECK:
		verify_check(v);
		op->step = VF_READ;
		return;
	}
	bug("load_verify: bad step");
}

static const struct op_type verify_type = {
	.name = "load_verify",
	.steps = verify_steps,
	.nsteps = nitems(verify_steps),
	.run = verify_run,
};

void
load_verify_start(struct load_verify *v)
{
	assert(v->blk->geo.size == model_sectors(v->model) * MODEL_SECTOR);
	v->lba = 0;
	v->errors = 0;
	v->buf = aligned_alloc(4096, VERIFY_BYTES);
	if (v->buf == NULL)
		sim_fail(v->sim, "no memory");
	op_start(&v->op, &verify_type, loop_sched(v->blk->loop), NULL);
}
