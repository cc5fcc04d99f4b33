/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests and jobs.
 *
 * Invariants: a change holds the lock from begin() to its end, a job only
 * from finish() on; what becomes a job later lets it go then, and names the
 * pool that nobody else may close or change meanwhile; the document in force
 * is replaced only between COMMIT and APPLY of the one that holds the lock; a
 * dry run neither writes nor applies.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/req.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/apply.h"
#include "admin/pools.h"
#include "admin/size.h"
#include "admin/tasks.h"
#include "core/log.h"

#define JOBS_KEPT 64u
#define JOB_GRACE_MS 1000u

struct jobs {
	TAILQ_HEAD(, req) list;		/* oldest first */
	unsigned last_id, running, kept;
	struct op_queue idle;		/* waits for running == 0 */
};

enum req_step { REQ_LOCK, REQ_PREPARE, REQ_BEGIN, REQ_LATE_LOCK, REQ_FINISH,
	REQ_COMMIT, REQ_APPLY, REQ_UNDO, REQ_UNDONE, REQ_END };

static const char *const req_steps[] = { "LOCK", "PREPARE", "BEGIN",
	"LATE_LOCK", "FINISH", "COMMIT", "APPLY", "UNDO", "UNDONE", "END" };

static void req_run(struct op *op);

static void
req_describe(const struct op *op, char *text, size_t size)
{
	const struct req *req = op_owner(op, struct req);

	snprintf(text, size, "%s", req->verb->name);
}

static const struct op_type req_type = {
	.name = "request",
	.steps = req_steps,
	.nsteps = nitems(req_steps),
	.run = req_run,
	.describe = req_describe,
};

/* --- one change at a time --- */

void
dozo_lock(struct dozo *d, struct op *op)
{
	assert(op->pending == 0);
	if (d->changing)
		op_wait(&d->change_wait, op);	/* the lock is handed over */
	else
		d->changing = true;
}

void
dozo_unlock(struct dozo *d)
{
	assert(d->changing);
	if (!op_wake(&d->change_wait))
		d->changing = false;
}

/* --- life of a request --- */

unsigned
job_new_id(struct dozo *d)
{
	return ++d->jobs->last_id;
}

struct req *
req_new(struct dozo *d, const struct verb *verb, json_t *args)
{
	struct req *req = calloc(1, sizeof(*req));

	if (req == NULL) {
		json_decref(args);
		return NULL;
	}
	req->dozo = d;
	req->verb = verb;
	req->schema = verb_schema_find(verb->name);
	assert(req->schema != NULL);
	req->args = args;
	op_queue_init(&req->begun);
	return req;
}

void
req_free(struct req *req)
{
	if (req == NULL)
		return;
	assert(req->ended || req->op.type == NULL);
	json_decref(req->args);
	json_decref(req->result);
	doc_free(req->next);
	free(req->commit);
	free(req->undo);
	free(req->work);
	free(req);
}

static void
jobs_prune(struct jobs *jobs)
{
	struct req *req, *next;

	for (req = TAILQ_FIRST(&jobs->list); req != NULL &&
	    jobs->kept > JOBS_KEPT; req = next) {
		next = TAILQ_NEXT(req, link);
		if (!req->ended)
			continue;
		TAILQ_REMOVE(&jobs->list, req, link);
		jobs->kept--;
		req_free(req);
	}
}

static void
job_register(struct req *req)
{
	struct jobs *jobs = req->dozo->jobs;

	assert(!req->is_job && !req->ended);
	req->is_job = true;
	req->id = job_new_id(req->dozo);
	TAILQ_INSERT_TAIL(&jobs->list, req, link);
	jobs->kept++;
	jobs->running++;
	jobs_prune(jobs);
}

void
req_start(struct req *req, struct op *op)
{
	struct op_sched *sched = loop_sched(req->dozo->loop);
	const unsigned may_be_job = VERB_JOB | VERB_LONG;

	req->start_ns = loop_now(req->dozo->loop);
	if ((req->schema->flags & may_be_job) != 0 && !req->dry_run) {
		op_start(&req->op, &req_type, sched, NULL);
		op_wait(&req->begun, op);
	} else {
		op_start(&req->op, &req_type, sched, op);
	}
}

static bool
is_detached(const struct req *req)
{
	return req->op.parent == NULL;
}

static void
req_prepare(struct req *req)
{
	assert(!err_is(&req->err) && req->result == NULL);
	req->op.step = REQ_BEGIN;
	if (verb_schema_check(req->schema, req->args, &req->err) == 0 &&
	    req->verb->prepare != NULL)
		req->verb->prepare(req);
	if (err_is(&req->err)) {
		assert(req->op.pending == 0);
		req->op.step = REQ_END;
	}
}

/* It takes long: let others change what it does not use. */
static void
req_becomes_job(void *arg)
{
	struct req *req = arg;

	assert(req->locked && req->uses != NULL);
	job_register(req);
	req->locked = false;
	dozo_unlock(req->dozo);
	op_wake_all(&req->begun);
}

static void
req_begin(struct req *req)
{
	req->op.step = is_detached(req) ? REQ_LATE_LOCK : REQ_FINISH;
	req->verb->begin(req);
	if (err_is(&req->err)) {
		assert(req->op.pending == 0);
		req->op.step = REQ_END;
	} else if (is_detached(req) && req->op.pending == 0) {
		req->op.step = REQ_END;	/* nothing to do: no job either */
	} else if (is_detached(req) && req->locked) {
		timer_start(req->dozo->loop, &req->grace, JOB_GRACE_MS,
		    req_becomes_job, req);
	} else if (is_detached(req)) {
		job_register(req);
		op_wake_all(&req->begun);
	}
}

static void
req_commit(struct req *req)
{
	assert(req->commit == NULL);
	req->op.step = REQ_APPLY;
	if (err_is(&req->err) || req->next == NULL || req->dry_run)
		return;
	if (doc_check(req->next, &req->err) != 0)
		return;
	req->commit = calloc(1, sizeof(*req->commit));
	if (req->commit == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	req->commit->dozo = req->dozo;
	req->commit->next = req->next;
	doc_commit_start(req->commit, &req->op);
}

static void
req_apply(struct req *req)
{
	struct dozo *d = req->dozo;
	bool committed = false;

	req->op.step = REQ_UNDO;
	if (req->commit != NULL) {
		if (err_is(&req->commit->err)) {
			req->err = req->commit->err;
		} else {
			req->next = NULL;	/* in force now */
			committed = true;
		}
		doc_commit_fini(req->commit);
	}
	if (committed) {
		dozo_pool_free(req->forget);
		req->fresh = NULL;
	}
	if (req->dry_run || !(committed || (req->apply && !err_is(&req->err))))
		return;
	if (dozo_apply(d, &req->err) != 0)
		log_err("verb=%s: saved, but not in effect: %s",
		    req->verb->name, req->err.text);
}

/* What was opened for a document that could not be written is closed. */
static void
req_undo(struct req *req)
{
	assert(req->undo == NULL);
	req->op.step = REQ_END;
	if (!err_is(&req->err) || req->dry_run)
		return;
	if (req->dozo->serving)
		portals_apply(req->dozo);
	if (req->fresh == NULL)
		return;
	req->undo = calloc(1, sizeof(*req->undo));
	if (req->undo == NULL) {
		log_err("pool=%s: served, but not in the configuration: out "
		    "of memory", req->fresh->name);
		return;
	}
	req->undo->pool = req->fresh;
	pool_down_start(req->undo, &req->op);
	req->op.step = REQ_UNDONE;
}

/* What the request was about, as log and events name it. */
static const char *
req_about(const struct req *req)
{
	static const char *const keys[] = { "volume", "name", "path",
		"address" };
	const char *text = NULL;

	assert(req->schema != NULL);
	for (unsigned i = 0; text == NULL && i < nitems(keys); i++)
		text = json_string_value(json_object_get(req->args, keys[i]));
	return text != NULL ? text : "";
}

/* Who did what to what; if it could not be, why, and what to do. */
static json_t *
change_json(const struct req *req)
{
	json_t *json = json_pack("{s:s, s:s, s:b, s:s}", "verb",
	    req->verb->name, "object", req_about(req), "ok",
	    !err_is(&req->err), "by", req->by);
	const json_t *host = json_object_get(req->args, "host");

	if (host != NULL)
		json_object_set(json, "host", (json_t *)(uintptr_t)host);
	if (err_is(&req->err))
		json_object_update_new(json, json_pack("{s:s, s:s}", "text",
		    req->err.text, "hint", req->err.hint));
	return json;
}

static void
req_finished(struct req *req)
{
	struct dozo *d = req->dozo;

	assert(!req->ended && !req->locked);
	if ((req->schema->flags & VERB_CHANGE) != 0)
		dozo_check(d);
	req->ended = true;
	req->end_ns = loop_now(d->loop);
	if ((req->schema->flags & VERB_CHANGE) != 0 && !req->dry_run) {
		log_info("verb=%s object=%s uid=%d by=%s: %s",
		    req->verb->name, req_about(req), (int)req->uid, req->by,
		    err_is(&req->err) ? req->err.text : "done");
		event_emit(d, "change", change_json(req));
	}
	if (req->is_job) {
		assert(d->jobs->running > 0);
		if (--d->jobs->running == 0)
			op_wake_all(&d->jobs->idle);
	} else {
		op_wake_all(&req->begun);
	}
}

static void
req_run(struct op *op)
{
	struct req *req = op_owner(op, struct req);
	bool change = (req->schema->flags & VERB_CHANGE) != 0;
	bool job = is_detached(req) && (req->schema->flags & VERB_LONG) == 0;

	switch ((enum req_step)op->step) {
	case REQ_LOCK:
		if (change && !job) {
			dozo_lock(req->dozo, op);
			req->locked = true;
		}
		op->step = REQ_PREPARE;
		return;
	case REQ_PREPARE:
		req_prepare(req);
		return;
	case REQ_BEGIN:
		req_begin(req);
		return;
	case REQ_LATE_LOCK:
		timer_stop(req->dozo->loop, &req->grace);
		if (!req->locked)
			dozo_lock(req->dozo, op);
		req->locked = true;
		op->step = REQ_FINISH;
		return;
	case REQ_FINISH:
		if (req->verb->finish != NULL)
			req->verb->finish(req);
		op->step = REQ_COMMIT;
		return;
	case REQ_COMMIT:
		req_commit(req);
		return;
	case REQ_APPLY:
		req_apply(req);
		return;
	case REQ_UNDO:
		req_undo(req);
		return;
	case REQ_UNDONE:
		dozo_pool_free(req->fresh);
		err_hint(&req->err, "The pool is on its disks: `dozoctl pool "
		    "import` takes it over.");
		op->step = REQ_END;
		return;
	case REQ_END:
		if (req->locked)
			dozo_unlock(req->dozo);
		req->locked = false;
		req_finished(req);
		op_end(op);
		return;
	}
	bug("request: bad step %u", op->step);
}

/* --- arguments --- */

const char *
arg_text(const struct req *req, const char *name)
{
	return json_string_value(json_object_get(req->args, name));
}

bool
arg_bool(const struct req *req, const char *name)
{
	return json_is_true(json_object_get(req->args, name));
}

uint64_t
arg_number(const struct req *req, const char *name, uint64_t other)
{
	const json_t *value = json_object_get(req->args, name);

	return value != NULL ? (uint64_t)json_integer_value(value) : other;
}

uint64_t
arg_size(const struct req *req, const char *name, uint64_t other)
{
	const json_t *value = json_object_get(req->args, name);
	uint64_t bytes = other;

	if (json_is_integer(value))
		return (uint64_t)json_integer_value(value);
	if (value != NULL && size_parse(json_string_value(value), &bytes,
	    NULL) != 0)
		bug("the schema let a size pass");
	return bytes;
}

size_t
arg_texts(const struct req *req, const char *name)
{
	return json_array_size(json_object_get(req->args, name));
}

const char *
arg_text_at(const struct req *req, const char *name, size_t i)
{
	assert(i < arg_texts(req, name));
	return json_string_value(json_array_get(json_object_get(req->args,
	    name), i));
}

/* --- documents and results --- */

struct doc *
req_next_doc(struct req *req)
{
	assert(req->locked);
	if (req->next == NULL) {
		req->next = doc_copy(req->dozo->doc);
		if (req->next == NULL)
			err_set(&req->err, ENOMEM, "out of memory");
	}
	return req->next;
}

void
etag_of(const json_t *object, char etag[24])
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

	snprintf(etag, 24, "%016" PRIx64,
	    ident_hash(text != NULL ? text : "",
	    text != NULL ? strlen(text) : 0));
	free(text);
}

bool
req_etag_ok(struct req *req, json_t *object)
{
	char etag[24];

	etag_of(object, etag);
	json_decref(object);
	if (req->if_match[0] == '\0' || strcmp(req->if_match, etag) == 0)
		return true;
	err_set(&req->err, ESTALE, "it was changed meanwhile: its ETag is %s, "
	    "not %s", etag, req->if_match);
	err_hint(&req->err, "Look at it again, then repeat the change.");
	return false;
}

void
req_result(struct req *req, json_t *object, bool created)
{
	char etag[24];

	if (object == NULL) {
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	etag_of(object, etag);
	json_object_set_new(object, "etag", json_string(etag));
	if ((req->schema->flags & VERB_CHANGE) != 0)
		json_object_set_new(object, "changed", json_boolean(created));
	json_decref(req->result);
	req->result = object;
}

const char *
err_code_name(int code)
{
	switch (code) {
	case EINVAL: case E2BIG: case ENAMETOOLONG: case ERANGE:
		return "invalid";
	case ENOENT: case ENODEV: case ENXIO:
		return "not_found";
	case EEXIST: case ENOTEMPTY:
		return "conflict";
	case EBUSY: case EADDRINUSE: case EAGAIN:
		return "busy";
	case ESTALE:
		return "changed";
	case ENOSPC: case EFBIG:
		return "no_space";
	case EACCES: case EPERM: case EROFS:
		return "denied";
	case ENOTSUP:
		return "unsupported";
	case ECANCELED:
		return "cancelled";
	default:
		return "failed";
	}
}

json_t *
err_json(const struct err *err)
{
	assert(err_is(err));
	return json_pack("{s:s, s:s, s:s}", "code", err_code_name(err->code),
	    "text", err->text, "hint", err->hint);
}

json_t *
json_bytes(uint64_t bytes)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	return json_string(text);
}

/* --- jobs --- */

int
jobs_new(struct dozo *d, struct err *err)
{
	d->jobs = calloc(1, sizeof(*d->jobs));
	if (d->jobs == NULL)
		return err_set(err, ENOMEM, "out of memory");
	TAILQ_INIT(&d->jobs->list);
	op_queue_init(&d->jobs->idle);
	return 0;
}

void
jobs_free(struct dozo *d)
{
	struct req *req;

	if (d->jobs == NULL)
		return;
	assert(d->jobs->running == 0);
	while ((req = TAILQ_FIRST(&d->jobs->list)) != NULL) {
		TAILQ_REMOVE(&d->jobs->list, req, link);
		req_free(req);
	}
	free(d->jobs);
	d->jobs = NULL;
}

void
jobs_cancel(struct dozo *d)
{
	struct req *req;

	TAILQ_FOREACH(req, &d->jobs->list, link) {
		if (!req->ended && req->cancel != NULL)
			(void)req->cancel(req);
	}
}

void
jobs_wait(struct dozo *d, struct op *op)
{
	if (d->jobs->running > 0)
		op_wait(&d->jobs->idle, op);
}

bool
jobs_leave(struct req *req, const struct dozo_pool *pool)
{
	const struct req *job;

	assert(req->locked && pool != NULL);
	TAILQ_FOREACH(job, &req->dozo->jobs->list, link) {
		if (job->ended || job->uses != pool)
			continue;
		err_set(&req->err, EBUSY, "pool %s is busy: job %u, %s %s, is "
		    "not done", pool->name, job->id, job->verb->name,
		    job->object);
		err_hint(&req->err, "Wait for it (`dozoctl job show %u`), or "
		    "end it with `dozoctl job cancel %u`.", job->id, job->id);
		return false;
	}
	return true;
}

struct req *
job_find(struct dozo *d, unsigned id)
{
	struct req *req;

	TAILQ_FOREACH(req, &d->jobs->list, link) {
		if (req->id == id)
			return req;
	}
	return NULL;
}

json_t *
job_json(const struct req *req)
{
	uint64_t done = 0, total = 0, end, elapsed_ns, rate = 0;
	json_t *json;

	assert(req->is_job && req->id > 0);
	if (req->progress != NULL)
		req->progress(req, &done, &total);
	end = req->ended ? req->end_ns : loop_now(req->dozo->loop);
	elapsed_ns = end - req->start_ns;
	if (elapsed_ns > NSEC_PER_MSEC)
		rate = (uint64_t)((__uint128_t)done * NSEC_PER_SEC /
		    elapsed_ns);
	json = json_pack("{s:i, s:s, s:s, s:s, s:f, s:o, s:o, s:o}",
	    "id", (int)req->id, "verb", req->verb->name,
	    "object", req->object,
	    "state", !req->ended ? "running" :
	    err_is(&req->err) ? "failed" : "done",
	    "elapsed_s", (double)elapsed_ns / 1e9,
	    "done_bytes", json_bytes(done), "total_bytes", json_bytes(total),
	    "rate_bytes_s", json_bytes(rate));
	if (json == NULL)
		return NULL;
	if (req->ended && !err_is(&req->err))
		json_object_set_new(json, "percent", json_real(100));
	else if (total > 0)
		json_object_set_new(json, "percent", json_real((double)
		    (done * 1000 / total) / 10.0));
	if (!req->ended && rate > 0 && total >= done)
		json_object_set_new(json, "eta_s", json_integer((json_int_t)
		    ((total - done) / rate)));
	if (req->ended && err_is(&req->err))
		json_object_set_new(json, "error", err_json(&req->err));
	if (req->ended && req->result != NULL)
		json_object_set(json, "result", req->result);
	return json;
}

json_t *
jobs_json(struct dozo *d)
{
	json_t *list = json_array();
	struct req *req;

	TAILQ_FOREACH(req, &d->jobs->list, link)
		json_array_append_new(list, job_json(req));
	array_tasks_append(d, list);
	return list;
}
