/* SPDX-License-Identifier: BSD-2-Clause */
/* raid/scrub.c: the record of a scrub, and how it goes on from there. */
#include "tests/unit/raid_util.h"

#define ROW 16384u

static struct world world;
static struct raid_assemble as;
static struct raid_info info;
static struct raid_scrub_record record;
static struct raid_scrub_record kept;	/* as a keeper would store it */
static unsigned nfound;
static char told[256];			/* the last beginning of a scrub */

static void
on_text(void *arg, const char *what)
{
	(void)arg;
	if (strstr(what, "check starts at") != NULL ||
	    strstr(what, "repair starts at") != NULL)
		snprintf(told, sizeof(told), "%s", what);
}

static void
keep_record(void *arg, const struct raid_mismatch *found)
{
	raid_get_scrub(((struct world *)arg)->raid, &kept);
	nfound += found != NULL;
}

static void
listen_to(struct world *w)
{
	raid_set_listener(w->raid, on_text, w);
	raid_set_scrub_keeper(w->raid, keep_record, w);
}

static void
start(struct world *w, unsigned n, unsigned more)
{
	memset(w, 0, sizeof(*w));
	memset(&kept, 0, sizeof(kept));
	nfound = 0;
	told[0] = '\0';
	world_disks(w, n + more, 2 * MIB, 512);
	w->n = n;
	world_create_policy(w, RAID_LEFT_SYMMETRIC, ROW, RAID_POLICY_PPL);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(batch(w, 200 * 1024), 0);
	wait_task_end(w, &info);
	listen_to(w);
}

static void
restart(struct world *w, uint32_t without)
{
	struct err err = { 0 };

	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, without, true);
	assert_non_null(as.raid);
	listen_to(w);
	assert_int_equal(raid_scrub_restore(w->raid, &kept, &err), 0);
}

static void
spoil_parity(struct world *w, uint64_t row)
{
	unsigned p = raid_map_parity(&w->raid->map, row);

	member_bytes(w, p, row * ROW)[4096] ^= 1;
}

static void
slow_reads(struct world *w)
{
	add_fault(w, 0, (struct fault_rule){ .action = FAULT_DELAY,
	    .delay_ms = 10, .kinds = 1u << IO_READ });
}

static void
scrub_until_some_is_done(struct world *w, bool repair)
{
	assert_int_equal(raid_scrub(w->raid, repair, NULL), 0);
	do {
		wait_ms(w, 2);
		raid_get_info(w->raid, &info);
	} while (info.task_done < 2 * ROW);
	assert_int_equal(info.task, repair ? RAID_TASK_REPAIR :
	    RAID_TASK_CHECK);
}

static void
get_record(struct world *w)
{
	raid_get_scrub(w->raid, &record);
}

static void
a_stopped_scrub_goes_on_after_the_start(void **state)
{
	struct world *w = &world;
	uint64_t begun;

	(void)state;
	start(w, 4, 0);
	spoil_parity(w, 0);
	slow_reads(w);
	scrub_until_some_is_done(w, false);
	begun = kept.start_s;
	restart(w, 0);
	assert_int_equal(kept.state, RAID_SCRUB_RUNNING);
	assert_true(kept.done > 0 && kept.done < 128 * ROW);
	assert_int_equal(kept.done % ROW, 0);
	assert_int_equal(kept.mismatches, 1);
	spoil_parity(w, kept.done / ROW - 1);	/* behind us: not seen */
	spoil_parity(w, 100);
	blk_fault_clear(w->fault[0]);
	wait_task_end(w, &info);
	get_record(w);
	assert_non_null(strstr(told, "check starts at byte"));
	assert_null(strstr(told, "byte 0 "));
	assert_int_equal(record.state, RAID_SCRUB_FINISHED);
	assert_int_equal(record.done, 128 * ROW);
	assert_int_equal(record.start_s, begun);
	assert_true(record.end_s >= begun);
	assert_int_equal(record.mismatches, 2);
	assert_int_equal(record.list[0].member_off, 4096);
	assert_int_equal(record.list[1].member_off, 100 * ROW + 4096);
	assert_int_equal(nfound, 2);
	assert_memory_equal(&kept, &record, sizeof(record));
	restart(w, 0);			/* and the result stays */
	raid_get_info(w->raid, &info);
	assert_int_equal(info.task, RAID_TASK_NONE);
	assert_int_equal(info.mismatches, 2);
	assert_int_equal(world_stop(w), 0);
}

/* Killed: the record may know of mismatches behind its checkpoint. */
static void
what_is_found_again_counts_once(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0);
	spoil_parity(w, 2);
	spoil_parity(w, 90);
	assert_int_equal(raid_scrub(w->raid, false, NULL), 0);
	wait_task_end(w, &info);
	assert_int_equal(kept.mismatches, 2);
	kept.state = RAID_SCRUB_RUNNING;
	kept.done = 50 * ROW + 4096;
	nfound = 0;
	restart(w, 0);
	wait_task_end(w, &info);
	get_record(w);
	assert_non_null(strstr(told, "check starts at byte 819200 "));
	assert_int_equal(record.mismatches, 2);
	assert_int_equal(record.nlisted, 2);
	assert_int_equal(nfound, 0);
	assert_int_equal(world_stop(w), 0);
}

static void
after_a_rebuild_a_scrub_goes_on_where_it_was(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4, 1);
	assert_int_equal(add(w, 4, false), 0);
	slow_reads(w);
	spoil_parity(w, 120);
	scrub_until_some_is_done(w, false);
	assert_int_equal(fail_member_now(w, 2), 0);
	told[0] = '\0';
	wait_task_end(w, &info);
	get_record(w);
	assert_int_equal(info.degraded, 0);
	assert_string_equal(info.member[2].path, "disk4");
	assert_non_null(strstr(told, "check starts at byte"));
	assert_null(strstr(told, "byte 0 "));
	assert_int_equal(record.state, RAID_SCRUB_FINISHED);
	assert_int_equal(record.unread, 0);
	assert_int_equal(world_stop(w), 0);
}

/* Rows that nobody compared are not done. */
static void
without_a_member_a_scrub_waits(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4, 1);
	slow_reads(w);
	spoil_parity(w, 1);
	scrub_until_some_is_done(w, false);
	assert_int_equal(fail_member_now(w, 2), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 1);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_RUNNING);
	assert_true(record.done > 0 && record.done < 128 * ROW);
	assert_int_equal(record.unread, 0);
	restart(w, 1u << 2 | 1u << 4);	/* it is no matter who waits */
	raid_get_info(w->raid, &info);
	assert_int_equal(info.task, RAID_TASK_NONE);
	blk_fault_clear(w->fault[0]);
	assert_int_equal(add(w, 4, false), 0);
	wait_task_end(w, &info);
	assert_int_equal(info.degraded, 0);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_FINISHED);
	assert_int_equal(record.mismatches, 1);
	assert_int_equal(world_stop(w), 0);
}

static void
a_cancelled_scrub_does_not_go_on(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 1);
	slow_reads(w);
	scrub_until_some_is_done(w, true);
	raid_task_cancel(w->raid);
	wait_task_end(w, &info);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_CANCELLED);
	assert_true(record.repair);
	assert_true(record.done > 0 && record.done < 128 * ROW);
	assert_true(record.end_s > 0);
	assert_memory_equal(&kept, &record, sizeof(record));
	restart(w, 0);
	raid_get_info(w->raid, &info);
	assert_int_equal(info.task, RAID_TASK_NONE);
	/* Also while it waits for a member. */
	scrub_until_some_is_done(w, false);
	assert_int_equal(fail_member_now(w, 1), 0);
	wait_task_end(w, &info);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_RUNNING);
	raid_scrub_cancel(w->raid);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_CANCELLED);
	assert_int_equal(kept.state, RAID_SCRUB_CANCELLED);
	assert_int_equal(add(w, 3, false), 0);
	wait_task_end(w, &info);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_CANCELLED);
	assert_int_equal(world_stop(w), 0);
}

static void
what_cannot_be_read_is_counted(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 4, 0);
	for (unsigned i = 0; i < 2; i++)	/* two of one row */
		add_fault(w, i, (struct fault_rule){ .action = FAULT_ERROR,
		    .err = EIO, .kinds = 1u << IO_READ,
		    .off = w->raid->member[i].data_off + 7 * ROW,
		    .len = 512 });
	assert_int_equal(raid_scrub(w->raid, false, NULL), 0);
	wait_task_end(w, &info);
	get_record(w);
	assert_int_equal(record.state, RAID_SCRUB_FINISHED);
	assert_int_equal(record.unread, ROW);
	assert_int_equal(record.mismatches, 0);
	assert_memory_equal(&kept, &record, sizeof(record));
	assert_int_equal(world_stop(w), 0);
}

/* What a repair has passed is on stable media. */
static void
a_repair_is_flushed_before_its_checkpoint(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0);
	for (uint64_t row = 0; row < 128; row++)
		spoil_parity(w, row);
	for (unsigned i = 0; i < 3; i++)
		blk_fault_volatile_cache(w->fault[i], true);
	slow_reads(w);
	scrub_until_some_is_done(w, true);
	raid_task_cancel(w->raid);
	wait_task_end(w, &info);
	assert_true(kept.done > 0);
	lose_power(w, 99);
	for (unsigned i = 0; i < 3; i++)
		blk_fault_volatile_cache(w->fault[i], false);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	for (uint64_t at = 0; at < kept.done; at++)
		assert_int_equal(member_bytes(w, 0, at)[0] ^
		    member_bytes(w, 1, at)[0], member_bytes(w, 2, at)[0]);
	assert_int_equal(world_stop(w), 0);
}

static void
records_that_do_not_fit_are_refused(void **state)
{
	struct world *w = &world;

	(void)state;
	start(w, 3, 0);
	spoil_parity(w, 9);
	assert_int_equal(raid_scrub(w->raid, false, NULL), 0);
	wait_task_end(w, &info);
	assert_int_equal(raid_scrub_restore(w->raid, &kept, NULL), -EBUSY);
	assert_int_equal(array_stop(w), 0);
	assemble_without(w, &as, 0, false);
	assert_non_null(as.raid);
	for (unsigned i = 0; i < 8; i++) {
		struct err err = { 0 };

		record = kept;
		switch (i) {
		case 0: record.done = 64 * ROW; break;
		case 1: record.done = record.total = 129 * ROW; break;
		case 2: record.nlisted = RAID_MISMATCHES + 1; break;
		case 3: record.mismatches = 0; break;
		case 4: record.list[0].off = w->size; break;
		case 5: record.list[0].member_off = 128 * ROW; break;
		case 6: record.list[0].parity = 3; break;
		default: record.list[0].nblocks = 3; break;
		}
		assert_int_equal(raid_scrub_restore(w->raid, &record, &err),
		    -EINVAL);
		assert_non_null(strstr(err.text, "does not fit"));
		raid_get_info(w->raid, &info);
		assert_int_equal(info.mismatches, 0);
	}
	assert_int_equal(raid_scrub_restore(w->raid, &kept, NULL), 0);
	assert_int_equal(world_stop(w), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_scrub_goes_on_after_the_start),
		cmocka_unit_test(what_is_found_again_counts_once),
		cmocka_unit_test(after_a_rebuild_a_scrub_goes_on_where_it_was),
		cmocka_unit_test(without_a_member_a_scrub_waits),
		cmocka_unit_test(a_cancelled_scrub_does_not_go_on),
		cmocka_unit_test(what_cannot_be_read_is_counted),
		cmocka_unit_test(a_repair_is_flushed_before_its_checkpoint),
		cmocka_unit_test(records_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
