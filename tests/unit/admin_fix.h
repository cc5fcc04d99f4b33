/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An appliance that runs in this process, with a pool of three image files
 * whose names are those of devices.
 */
#ifndef TESTS_ADMIN_FIX_H
#define TESTS_ADMIN_FIX_H

#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "admin/req.h"
#include "admin/startup.h"

#define DISKS 3			/* of the pool; one more is blank */
struct fix {
	struct dozo dozo;
	char dir[64];
};

struct call {
	struct op op;
	struct dozo *dozo;
	struct req *req;		/* NULL: only let time pass */
	int code;			/* what it ended with; 0 of a job */
	struct timer timer;
};
enum call_step { CALL_BEGIN, CALL_JOBS, CALL_END };
static const char *const call_steps[] = { "BEGIN", "JOBS", "END" };

static void
call_run(struct op *op)
{
	struct call *call = op_owner(op, struct call);

	switch ((enum call_step)op->step) {
	case CALL_BEGIN:
		if (call->req != NULL)
			req_start(call->req, op);
		else
			op_sleep(call->dozo->loop, &call->timer, 50, op);
		op->step = CALL_JOBS;
		return;
	case CALL_JOBS:
		if (call->req != NULL && !call->req->is_job) {
			call->code = call->req->err.code;
			req_free(call->req);
		}
		jobs_wait(call->dozo, op);
		op->step = CALL_END;
		return;
	case CALL_END:
		op_end(op);
		return;
	}
	bug("call: bad step");
}
static const struct op_type call_type = { "call", call_steps,
	nitems(call_steps), call_run, NULL };

static inline int
pass(struct dozo *d, struct req *req)
{
	struct call call = { .dozo = d, .req = req };

	op_start(&call.op, &call_type, loop_sched(d->loop), NULL);
	loop_run_op(d->loop, &call.op);
	return call.code;
}

static inline void
disk_path(const struct fix *f, unsigned i, char *path, size_t size)
{
	snprintf(path, size, "%s/d%u.img", f->dir, i);
}

/* As a machine that has just started does, if settle_ms is not 0. */
static inline void
boot(struct fix *f, unsigned settle_ms)
{
	struct dozo *d = &f->dozo;
	struct err err = { 0 };

	memset(d, 0, sizeof(*d));
	conf_defaults(&d->conf);
	snprintf(d->conf.state_dir, sizeof(d->conf.state_dir), "%s/state",
	    f->dir);
	snprintf(d->conf.control_socket, sizeof(d->conf.control_socket),
	    "%s/sock", f->dir);
	assert_int_equal(conf_parse_addr("127.0.0.1:0", &d->conf.listen[0],
	    &err), 0);
	d->conf.nlisten = 1;
	d->conf.page_port = 0;
	d->settle_ms = settle_ms;
	d->fault_injection = true;
	assert_int_equal(dozo_start(d, &err), 0);
}

static inline int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	json_t *disks = json_array();
	char path[100];

	snprintf(f->dir, sizeof(f->dir), "/dev/../tmp/dozo-unit.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (unsigned i = 0; i <= DISKS; i++) {
		FILE *file;

		disk_path(f, i, path, sizeof(path));
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(ftruncate(fileno(file), 32 << 20), 0);
		fclose(file);
		if (i < DISKS)
			json_array_append_new(disks, json_string(path));
	}
	boot(f, 0);
	pass(&f->dozo, req_new(&f->dozo, verb_find("pool.create"),
	    json_pack("{s:s, s:o}", "name", "tank", "disk", disks)));
	*state = f;
	return 0;
}

static inline int
teardown(void **state)
{
	struct fix *f = *state;
	char command[100];

	dozo_stop(&f->dozo);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	(void)!system(command);
	free(f);
	return 0;
}

#endif
