/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Renewal of the document's copies in the pools, without a request: for
 * persistent reservations, which move with the copies, and for members that
 * took a place.
 *
 * The command that changed a reservation waits for pr/ in the state directory
 * only: it may not wait for the lock, because the change that holds that may
 * wait for the command to end.  The copies follow with the next generation of
 * the document.
 *
 * Invariant: at most one renewal is under way; a change meanwhile starts
 * another one after it.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/reservations.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/members.h"
#include "admin/req.h"
#include "core/log.h"

#define BLOB_MAX ((size_t)65536)

struct renewal {
	struct op op;
	struct dozo *dozo;
	struct doc_commit commit;
	bool again;
};

enum renewal_step { RENEW_LOCK, RENEW_COMMIT, RENEW_DONE };

static const char *const renewal_steps[] = { "LOCK", "COMMIT", "DONE" };

static void renewal_run(struct op *op);

static const struct op_type renewal_type = {
	.name = "reservations_copy",
	.steps = renewal_steps,
	.nsteps = nitems(renewal_steps),
	.run = renewal_run,
};

static void
renewal_commit(struct renewal *r)
{
	r->again = false;
	r->commit = (struct doc_commit){ .dozo = r->dozo,
		.next = doc_copy(r->dozo->doc), .keep_history = true };
	if (r->commit.next == NULL) {
		err_set(&r->commit.err, ENOMEM, "out of memory");
		return;
	}
	members_follow(r->dozo, r->commit.next);
	doc_commit_start(&r->commit, &r->op);
}

static void
renewal_run(struct op *op)
{
	struct renewal *r = op_owner(op, struct renewal);
	struct dozo *d = r->dozo;

	switch ((enum renewal_step)op->step) {
	case RENEW_LOCK:
		dozo_lock(d, op);
		op->step = RENEW_COMMIT;
		return;
	case RENEW_COMMIT:
		renewal_commit(r);
		op->step = RENEW_DONE;
		return;
	case RENEW_DONE:
		if (err_is(&r->commit.err)) {
			log_warn("reservations are not copied into the "
			    "pools: %s", r->commit.err.text);
			doc_free(r->commit.next);
		}
		doc_commit_fini(&r->commit);
		dozo_unlock(d);
		if (r->again) {
			op->step = RENEW_LOCK;
			return;
		}
		d->renewal = NULL;
		op_wake_all(&d->renewal_wait);
		op_end(op);
		free(r);
		return;
	}
	bug("reservations_copy: bad step %u", op->step);
}

void
reservations_changed(struct dozo *d)
{
	struct renewal *r = d->renewal;

	if (r != NULL) {
		r->again = true;
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		log_warn("reservations are not copied into the pools: out of "
		    "memory");
		return;
	}
	r->dozo = d;
	d->renewal = r;
	op_start(&r->op, &renewal_type, loop_sched(d->loop), NULL);
}

void
reservations_wait(struct dozo *d, struct op *op)
{
	if (d->renewal != NULL)
		op_wait(&d->renewal_wait, op);
}

/* --- in the text --- */

static json_t *
to_hex(const char *blob, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * len + 1);
	json_t *json;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[(uint8_t)blob[i] >> 4];
		text[2 * i + 1] = digits[(uint8_t)blob[i] & 15];
	}
	json = json_stringn(text, 2 * len);
	free(text);
	return json;
}

static json_t *
read_all(struct state *state, const char (*uuids)[UUID_SIZE], unsigned n)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < n; i++) {
		char name[UUID_SIZE + 4], *blob;
		size_t len;

		snprintf(name, sizeof(name), "pr/%s", uuids[i]);
		if (state_read(state, name, &blob, &len, NULL) != 0)
			continue;
		if (len > 0 && len <= BLOB_MAX)
			json_object_set_new(all, uuids[i], to_hex(blob, len));
		free(blob);
	}
	return all;
}

char *
reservations_add(struct state *state, const char *text,
    const char (*uuids)[UUID_SIZE], unsigned n)
{
	json_t *all = read_all(state, uuids, n), *doc = NULL;
	char *with = NULL;

	if (json_object_size(all) > 0)
		doc = json_loads(text, 0, NULL);
	if (doc != NULL && json_object_set(doc, "reservations", all) == 0)
		with = json_dumps(doc, JSON_INDENT(2));
	json_decref(doc);
	json_decref(all);
	return with;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void *
reservations_find(const json_t *doc, const char *uuid, size_t *len)
{
	const char *hex = json_string_value(json_object_get(
	    json_object_get(doc, "reservations"), uuid));
	uint8_t *blob;

	*len = hex != NULL ? strlen(hex) / 2 : 0;
	if (*len == 0 || *len > BLOB_MAX || strlen(hex) % 2 != 0)
		return NULL;
	blob = malloc(*len);
	for (size_t i = 0; blob != NULL && i < *len; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0) {
			free(blob);
			return NULL;
		}
		blob[i] = (uint8_t)(hi << 4 | lo);
	}
	return blob;
}
