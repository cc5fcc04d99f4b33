/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk that is made to blink; the appliance runs in this process. */
#include "config.h"

#include <errno.h>

#include "admin/locate.h"
#include "tests/unit/admin_fix.h"

static void
wait_ms(struct fix *f, unsigned ms)
{
	for (unsigned i = 0; i < ms / 50; i++)
		pass(&f->dozo, NULL);
}

/* What the request ends with: 0 or an errno. */
static int
locate(struct fix *f, const char *path, int seconds)
{
	return pass(&f->dozo, req_new(&f->dozo, verb_find("disk.locate"),
	    json_pack("{s:s, s:i}", "path", path, "seconds", seconds)));
}

static void
it_blinks_for_its_time(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 1, path, sizeof(path));
	assert_int_equal(locate(f, path, 1), 0);
	assert_int_equal(locate_left_s(&f->dozo, path), 1);
	wait_ms(f, 1000);
	assert_int_equal(locate_left_s(&f->dozo, path), 0);
}

/* The first is told to stop before its first step. */
static void
two_in_one_turn(void **state)
{
	struct fix *f = *state;
	struct dozo *d = &f->dozo;
	char one[100], other[100];
	struct call a = { .dozo = d }, b = { .dozo = d };

	disk_path(f, 0, one, sizeof(one));
	disk_path(f, 1, other, sizeof(other));
	a.req = req_new(d, verb_find("disk.locate"),
	    json_pack("{s:s, s:i}", "path", one, "seconds", 60));
	b.req = req_new(d, verb_find("disk.locate"),
	    json_pack("{s:s, s:i}", "path", other, "seconds", 60));
	op_start(&a.op, &call_type, loop_sched(d->loop), NULL);
	op_start(&b.op, &call_type, loop_sched(d->loop), NULL);
	loop_run_op(d->loop, &b.op);
	wait_ms(f, 200);
	assert_true(a.op.ended);
}

static void
one_disk_at_a_time_blinks(void **state)
{
	struct fix *f = *state;
	char one[100], other[100];

	disk_path(f, 0, one, sizeof(one));
	disk_path(f, DISKS, other, sizeof(other));
	assert_int_equal(locate(f, one, 60), 0);
	assert_true(locate_left_s(&f->dozo, one) > 50);
	assert_int_equal(locate(f, other, 60), 0);
	assert_int_equal(locate_left_s(&f->dozo, one), 0);
	assert_true(locate_left_s(&f->dozo, other) > 50);
	assert_int_equal(locate(f, other, 0), 0);
	assert_int_equal(locate_left_s(&f->dozo, other), 0);
}

static void
what_cannot_be_read_does_not_blink(void **state)
{
	struct fix *f = *state;
	/* It says that it has 4096 bytes, and has some. */
	const char *liar = "/sys/kernel/uevent_seqnum";
	char path[100];

	assert_int_equal(locate(f, "/dev/no-such-disk", 1), ENOENT);
	assert_int_equal(locate(f, liar, 1), EIO);
	assert_int_equal(locate_left_s(&f->dozo, liar), 0);
	disk_path(f, 0, path, sizeof(path));
	assert_int_equal(locate(f, path, 3601), EINVAL);
	assert_int_equal(locate_left_s(&f->dozo, path), 0);
}

static void
a_disk_that_goes_away_ends_it(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, DISKS, path, sizeof(path));
	assert_int_equal(locate(f, path, 60), 0);
	assert_int_equal(truncate(path, 0), 0);
	wait_ms(f, 1100);
	assert_int_equal(locate_left_s(&f->dozo, path), 0);
}

static void
a_stop_does_not_wait_for_it(void **state)
{
	struct fix *f = *state;
	char path[100];

	disk_path(f, 2, path, sizeof(path));
	assert_int_equal(locate(f, path, 3600), 0);
	/* The rest is in teardown(). */
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_blinks_for_its_time),
		T(two_in_one_turn),
		T(one_disk_at_a_time_blinks),
		T(what_cannot_be_read_does_not_blink),
		T(a_disk_that_goes_away_ends_it),
		T(a_stop_does_not_wait_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
