/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Make a document the one in force: first durable in the state directory,
 * then copied into each open pool.
 *
 * Invariants: the generation grows by one with each commit; the document in
 * force is the one in the state directory; a pool that missed a copy has an
 * older generation, which loses at the next start.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/req.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/reservations.h"
#include "core/log.h"

enum commit_step { COMMIT_STATE, COMMIT_POOLS, COMMIT_DONE };

static const char *const commit_steps[] = { "STATE", "POOLS", "DONE" };

static void commit_run(struct op *op);

static const struct op_type commit_type = {
	.name = "doc_commit",
	.steps = commit_steps,
	.nsteps = nitems(commit_steps),
	.run = commit_run,
};

/* On the helper thread. */
static void
commit_write(void *arg)
{
	struct doc_commit *c = arg;

	if (c->keep_history)
		state_write(c->dozo->state, "config.json", c->text, c->len,
		    &c->err);
	else
		state_write_config(c->dozo->state, c->old_generation, c->text,
		    c->len, &c->err);
	c->pool_text = reservations_add(c->dozo->state, c->text,
	    (const char (*)[UUID_SIZE])c->uuids, c->nuuids);
	if (c->pool_text != NULL && strlen(c->pool_text) > POOL_DOC_MAX) {
		free(c->pool_text);
		c->pool_text = NULL;
	}
}

/* The helper thread may not look at the volumes itself. */
static void
list_volumes(struct doc_commit *c)
{
	const struct dozo_pool *pool;
	const struct dozo_volume *dv;
	unsigned n = 0;

	TAILQ_FOREACH(pool, &c->dozo->pools, link) {
		TAILQ_FOREACH(dv, &pool->volumes, link)
			n++;
	}
	c->uuids = n > 0 ? calloc(n, sizeof(*c->uuids)) : NULL;
	if (c->uuids == NULL)
		return;
	TAILQ_FOREACH(pool, &c->dozo->pools, link) {
		TAILQ_FOREACH(dv, &pool->volumes, link) {
			assert(c->nuuids < n);
			memcpy(c->uuids[c->nuuids++], dv->uuid, UUID_SIZE);
		}
	}
}

static void
commit_state(struct doc_commit *c)
{
	struct dozo *d = c->dozo;
	json_t *json;

	assert(c->text == NULL && c->next != d->doc);
	c->old_generation = d->doc->generation;
	c->next->generation = MAX(c->next->generation, d->doc->generation) + 1;
	c->next->written_s = loop_wall_time(d->loop);
	json = doc_to_json(c->next, true);
	c->text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	if (c->text == NULL) {
		err_set(&c->err, ENOMEM, "out of memory");
		return;
	}
	c->len = strlen(c->text);
	if (c->len > POOL_DOC_MAX) {
		err_set(&c->err, EFBIG, "the configuration would have %zu "
		    "bytes, the most is %d", c->len, POOL_DOC_MAX);
		err_hint(&c->err, "Delete hosts or mappings that are not "
		    "used any more.");
		return;
	}
	list_volumes(c);
	work_start(d->worker, &c->work, commit_write, c, &c->op);
}

static void
commit_pools(struct doc_commit *c)
{
	struct dozo *d = c->dozo;
	struct dozo_pool *pool;
	unsigned n = 0;

	assert(c->text != NULL && c->docs == NULL);
	doc_free(d->doc);
	d->doc = c->next;
	TAILQ_FOREACH(pool, &d->pools, link)
		n += pool->pool != NULL;
	if (n == 0)
		return;
	c->docs = calloc(n, sizeof(*c->docs));
	if (c->docs == NULL) {
		log_warn("out of memory: the pools keep the old document");
		return;
	}
	TAILQ_FOREACH(pool, &d->pools, link) {
		struct pool_doc *doc;

		if (pool->pool == NULL)
			continue;
		assert(c->ndocs < n);
		doc = &c->docs[c->ndocs++];
		doc->pool = pool->pool;
		doc->write = true;
		doc->text = c->pool_text != NULL ? c->pool_text : c->text;
		doc->len = strlen(doc->text);
		doc->generation = d->doc->generation;
		pool_doc_start(doc, &c->op);
	}
}

static void
commit_run(struct op *op)
{
	struct doc_commit *c = op_owner(op, struct doc_commit);

	switch ((enum commit_step)op->step) {
	case COMMIT_STATE:
		commit_state(c);
		op->step = COMMIT_POOLS;
		return;
	case COMMIT_POOLS:
		if (!err_is(&c->err))
			commit_pools(c);
		op->step = COMMIT_DONE;
		return;
	case COMMIT_DONE:
		/* The state directory has it; a pool may catch up later. */
		for (unsigned i = 0; i < c->ndocs; i++) {
			if (err_is(&c->docs[i].err))
				log_warn("the configuration could not be "
				    "copied into a pool: %s",
				    c->docs[i].err.text);
		}
		op_end(op);
		return;
	}
	bug("doc_commit: bad step %u", op->step);
}

void
doc_commit_start(struct doc_commit *c, struct op *parent)
{
	assert(c->next != NULL && c->next != c->dozo->doc);
	op_start(&c->op, &commit_type, loop_sched(c->dozo->loop), parent);
}

void
doc_commit_fini(struct doc_commit *c)
{
	free(c->text);
	free(c->pool_text);
	free(c->uuids);
	free(c->docs);
	c->text = c->pool_text = NULL;
	c->uuids = NULL;
	c->docs = NULL;
	c->ndocs = 0;
}
