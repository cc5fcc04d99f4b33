/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A member whose device the kernel has no more.  The appliance runs in this
 * process; its disks are files that are said to be devices.
 */
#include "config.h"

#include "unit.h"

#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "admin/hotplug.h"
#include "admin/req.h"
#include "admin/startup.h"

#define DISKS 3			/* of the pool; one more is blank */
/* No driver has such a number. */
#define NO_DEVICE(n) makedev(4095, 1048000 + (n))

struct fix {
	struct dozo dozo;
	char dir[64];
};

struct call {
	struct op op;
	struct dozo *dozo;
	struct req *req;		/* NULL: only let time pass */
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

static void
pass(struct dozo *d, struct req *req)
{
	struct call call = { .dozo = d, .req = req };

	op_start(&call.op, &call_type, loop_sched(d->loop), NULL);
	loop_run_op(d->loop, &call.op);
}

static void
disk_path(const struct fix *f, unsigned i, char *path, size_t size)
{
	snprintf(path, size, "%s/d%u.img", f->dir, i);
}

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	json_t *disks = json_array();
	struct err err = { 0 };
	char path[100];

	snprintf(f->dir, sizeof(f->dir), "/tmp/dozo-hotplug.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (unsigned i = 0; i <= DISKS; i++) {
		FILE *file;

		disk_path(f, i, path, sizeof(path));
		file = fopen(path, "w");
		assert_non_null(file);
		assert_int_equal(ftruncate(fileno(file), 32 << 20), 0);
		fclose(file);
		if (i < DISKS)
			json_array_append_new(disks,
			    json_string(path));
	}
	conf_defaults(&f->dozo.conf);
	snprintf(f->dozo.conf.state_dir, sizeof(f->dozo.conf.state_dir),
	    "%s/state", f->dir);
	snprintf(f->dozo.conf.control_socket,
	    sizeof(f->dozo.conf.control_socket), "%s/sock", f->dir);
	assert_int_equal(conf_parse_addr("127.0.0.1:0",
	    &f->dozo.conf.listen[0], &err), 0);
	f->dozo.conf.nlisten = 1;
	f->dozo.conf.page_port = 0;
	assert_int_equal(dozo_start(&f->dozo, &err), 0);
	pass(&f->dozo, req_new(&f->dozo, verb_find("pool.create"),
	    json_pack("{s:s, s:o}", "name", "tank", "disk", disks)));
	*state = f;
	return 0;
}

static int
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

static unsigned
degraded_after(struct fix *f, unsigned ms)
{
	struct dozo_pool *pool = TAILQ_FIRST(&f->dozo.pools);
	struct raid_info info;

	assert_non_null(pool);
	assert_int_equal(pool->state, DOZO_POOL_ONLINE);
	for (unsigned i = 0; i < ms / 50; i++)
		pass(&f->dozo, NULL);
	raid_get_info(pool->raid, &info);
	assert_false(info.failed);
	return info.degraded;
}

static void
a_member_whose_device_is_gone_is_taken_out(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 1, path, sizeof(path));
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 1500), 1);
}

static void
udev_tells_at_once(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 1, path, sizeof(path));
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	hotplug_gone(&f->dozo, NO_DEVICE(7));
	assert_int_equal(degraded_after(f, 50), 0);
	hotplug_gone(&f->dozo, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 100), 1);
}

static void
the_last_redundancy_is_not_taken(void **state)
{
	struct fix *f = *state;
	char path[100];

	for (unsigned i = 0; i < DISKS; i++) {
		disk_path(f, i, path, sizeof(path));
		hotplug_know(&f->dozo, path, NO_DEVICE(i));
	}
	assert_int_equal(degraded_after(f, 3200), 1);
}

static unsigned
disks_in_pool(struct fix *f)
{
	struct raid_info info;

	raid_get_info(TAILQ_FIRST(&f->dozo.pools)->raid, &info);
	return info.nmembers;
}

static void
a_spare_whose_device_is_gone_is_let_go(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, DISKS, path, sizeof(path));
	pass(&f->dozo, req_new(&f->dozo, verb_find("pool.add-spare"),
	    json_pack("{s:s, s:s}", "name", "tank", "disk", path)));
	assert_int_equal(disks_in_pool(f), DISKS + 1);
	hotplug_know(&f->dozo, path, NO_DEVICE(1));
	assert_int_equal(degraded_after(f, 1500), 0);
	assert_int_equal(disks_in_pool(f), DISKS);
}

static void
stopping_waits_for_a_removal(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 2, path, sizeof(path));
	hotplug_know(&f->dozo, path, NO_DEVICE(2));
	hotplug_gone(&f->dozo, NO_DEVICE(2));
	/* teardown stops */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_member_whose_device_is_gone_is_taken_out),
		T(udev_tells_at_once),
		T(the_last_redundancy_is_not_taken),
		T(a_spare_whose_device_is_gone_is_let_go),
		T(stopping_waits_for_a_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
