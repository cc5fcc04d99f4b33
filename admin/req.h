/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request of the control protocol while it is carried out, and jobs:
 * requests that go on after the reply.
 *
 * Order of a change: check, disk work, document written durably, applied,
 * answered.  kill -9 anywhere leaves the state before or after it.
 */
#ifndef ADMIN_REQ_H
#define ADMIN_REQ_H

#include "admin/dozo.h"
#include "admin/schema.h"

struct req;

struct verb {
	const char *name;		/* as in the schema */
	/*
	 * Check, and do it: either fill result or err, or start children of
	 * &req->op and let finish() do that.
	 */
	void (*begin)(struct req *req);
	/* Children have ended (job: and we hold the lock).  May be NULL. */
	void (*finish)(struct req *req);
	/*
	 * Before begin(): start children that gather what begin() needs, or
	 * set err.  May be NULL.
	 */
	void (*prepare)(struct req *req);
};

/* The table; ends with an entry without name. */
extern const struct verb verbs[];
const struct verb *verb_find(const char *name);

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct req {
	struct op op;
	struct dozo *dozo;
	const struct verb *verb;
	const struct verb_schema *schema;
	json_t *args;
	char if_match[24];		/* empty = any */
	uid_t uid;
	char by[NAME_SIZE];		/* who asks, as the page knows them */
	bool dry_run;
	bool whole;			/* pool.start: with all disks or not */
	/* out: set by the verb */
	struct err err;
	json_t *result;			/* object, array or NULL */
	struct doc *next;		/* the document after this change */
	bool apply;			/* apply although the document stays */
	struct dozo_pool *forget;	/* closed; freed with the commit */
	struct dozo_pool *fresh;	/* opened; closed if next cannot be */
	void *work;			/* the verb's own, malloc'ed */
	/* private */
	struct doc_commit *commit;
	struct pool_down *undo;
	bool locked;
	/* jobs */
	TAILQ_ENTRY(req) link;
	struct op_queue begun;		/* who waits for begin() */
	bool is_job, ended;
	unsigned id;
	uint64_t start_ns, end_ns;
	char object[2 * NAME_SIZE];	/* for listings */
	void (*progress)(const struct req *req, uint64_t *done,
	    uint64_t *total);
	/*
	 * Make the job end soon, and as if it had never begun.  False: it is
	 * too late for that.  NULL: that cannot be.
	 */
	bool (*cancel)(struct req *req);
	const struct dozo_pool *uses;	/* must stay open, its table as it is */
	struct timer grace;		/* VERB_LONG: a job when it fires */
};

/* Takes over args.  NULL without memory. */
struct req *req_new(struct dozo *d, const struct verb *verb, json_t *args);
void req_free(struct req *req);
/*
 * Start it.  It is a child of `op`, unless it may become a job: then `op` is
 * held until it is over (ended) or one, with VERB_JOB when begin() has
 * checked, with VERB_LONG after a second.
 */
void req_start(struct req *req, struct op *op);

/* Arguments; the schema was checked.  NULL or default if absent. */
const char *arg_text(const struct req *req, const char *name);
bool arg_bool(const struct req *req, const char *name);
uint64_t arg_number(const struct req *req, const char *name, uint64_t other);
uint64_t arg_size(const struct req *req, const char *name, uint64_t other);
size_t arg_texts(const struct req *req, const char *name);
const char *arg_text_at(const struct req *req, const char *name, size_t i);

/*
 * The document to change: a copy of the one in force, made once.  NULL with
 * req->err without memory.
 */
struct doc *req_next_doc(struct req *req);
/* ETag of an object as it is in the document. */
void etag_of(const json_t *object, char etag[24]);
/*
 * Is if_match absent or `object`'s ETag?  Else sets err (ESTALE).  Takes over
 * `object`.
 */
bool req_etag_ok(struct req *req, json_t *object);
/* Set result to `object` with its "etag" added; takes it over. */
void req_result(struct req *req, json_t *object, bool created);

/* Code for the protocol: "not_found", "conflict", ... */
const char *err_code_name(int code);
json_t *err_json(const struct err *err);
/* Bytes as a decimal text: JSON numbers are not exact beyond 2^53. */
json_t *json_bytes(uint64_t bytes);

/* --- jobs --- */
int jobs_new(struct dozo *d, struct err *err);
void jobs_free(struct dozo *d);
/* A number that no job has. */
unsigned job_new_id(struct dozo *d);
struct req *job_find(struct dozo *d, unsigned id);
json_t *job_json(const struct req *req);
json_t *jobs_json(struct dozo *d);
/* Of those that run, cancel what can be. */
void jobs_cancel(struct dozo *d);
/* Hold op until no job runs. */
void jobs_wait(struct dozo *d, struct op *op);
/* Does no job use the pool?  Else sets req->err, with what to do. */
bool jobs_leave(struct req *req, const struct dozo_pool *pool);

/* --- commit.c: make req->next the document in force --- */

struct doc_commit {
	struct op op;
	struct dozo *dozo;
	struct doc *next;		/* taken over on success */
	bool keep_history;		/* nothing an administrator did */
	struct err err;
	/* private */
	struct work work;
	char *text;
	size_t len;
	char (*uuids)[UUID_SIZE];	/* volumes with an LU */
	unsigned nuuids;
	char *pool_text;		/* with reservations, or NULL */
	uint64_t old_generation;
	struct pool_doc *docs;
	unsigned ndocs;
};
/* `commit` is filled with dozo and next; stays the caller's. */
void doc_commit_start(struct doc_commit *commit, struct op *parent);
void doc_commit_fini(struct doc_commit *commit);

#endif
