/* SPDX-License-Identifier: BSD-2-Clause */
/* The scheduler: order, fork and join, waiting, listing. */
#include "core/op.h"
#include "tests/unit/unit.h"

struct worker {
	struct op op;
	struct worker *children;
	unsigned nchildren, runs, ended_children;
	bool hold;
};

enum { W_START, W_JOIN };
static const char *const worker_steps[] = { "START", "JOIN" };
static void worker_run(struct op *op);
static void
worker_describe(const struct op *op, char *text, size_t size)
{
	const struct worker *w = op_owner(op, const struct worker);

	snprintf(text, size, "with %u children", w->nchildren);
}
static const struct op_type worker_type = {
	.name = "worker", .steps = worker_steps, .nsteps = 2,
	.run = worker_run, .describe = worker_describe,
};

static void
worker_run(struct op *op)
{
	struct worker *w = op_owner(op, struct worker);

	w->runs++;
	switch (op->step) {
	case W_START:
		for (unsigned i = 0; i < w->nchildren; i++)
			op_start(&w->children[i].op, &worker_type, op->sched,
			    op);
		if (w->hold)
			op_hold(op);
		op->step = W_JOIN;
		return;
	case W_JOIN:
		for (unsigned i = 0; i < w->nchildren; i++)
			assert_true(w->children[i].op.ended);
		op_end(op);
		return;
	}
	fail();
}

static void
parent_goes_on_after_all_children(void **state)
{
	struct worker leaf[3] = { 0 }, root = { .children = leaf,
	    .nchildren = 3 };
	struct op_sched sched;

	(void)state;
	op_sched_init(&sched);
	op_start(&root.op, &worker_type, &sched, NULL);
	assert_true(op_sched_run(&sched));
	assert_true(root.op.ended);
	assert_int_equal(root.runs, 2);
	assert_true(TAILQ_EMPTY(&sched.live));
	assert_false(op_sched_run(&sched));
}

static void
held_op_waits_for_unhold(void **state)
{
	struct worker root = { .hold = true };
	struct op_sched sched;

	(void)state;
	op_sched_init(&sched);
	op_start(&root.op, &worker_type, &sched, NULL);
	op_sched_run(&sched);
	assert_false(root.op.ended);
	assert_int_equal(root.op.pending, 1);
	op_unhold(&root.op);
	op_sched_run(&sched);
	assert_true(root.op.ended);
}

static void
listing_names_step_and_work(void **state)
{
	struct worker root = { .hold = true };
	struct op_sched sched;
	char text[128];

	(void)state;
	op_sched_init(&sched);
	op_start(&root.op, &worker_type, &sched, NULL);
	op_sched_run(&sched);
	sched.now_ns += 3 * NSEC_PER_MSEC;
	op_describe(&root.op, text, sizeof(text));
	assert_string_equal(text, "worker with 0 children, step JOIN, 3 ms");
	op_unhold(&root.op);
	op_sched_run(&sched);
}

struct waiter {
	struct op op;
	struct op_queue *queue;
	unsigned *order, rank;
};

static void
waiter_run(struct op *op)
{
	struct waiter *w = op_owner(op, struct waiter);

	if (op->step++ == 0) {
		op_wait(w->queue, op);
		return;
	}
	w->rank = (*w->order)++;
	op_end(op);
}
static const struct op_type waiter_type = { .name = "waiter",
    .run = waiter_run };

static void
wait_queue_is_first_come_first_served(void **state)
{
	struct waiter w[3];
	struct op_queue queue;
	struct op_sched sched;
	unsigned order = 0;

	(void)state;
	op_sched_init(&sched);
	op_queue_init(&queue);
	for (unsigned i = 0; i < 3; i++) {
		w[i] = (struct waiter){ .queue = &queue, .order = &order };
		op_start(&w[i].op, &waiter_type, &sched, NULL);
	}
	op_sched_run(&sched);
	assert_int_equal(order, 0);
	assert_true(op_wake(&queue));
	op_sched_run(&sched);
	assert_int_equal(order, 1);
	assert_true(w[0].op.ended);
	op_wake_all(&queue);
	op_sched_run(&sched);
	assert_false(op_wake(&queue));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(w[i].rank, i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parent_goes_on_after_all_children),
		cmocka_unit_test(held_op_waits_for_unhold),
		cmocka_unit_test(listing_names_step_and_work),
		cmocka_unit_test(wait_queue_is_first_come_first_served),
	};

	return cmocka_run_group_tests_name("core/op", tests, NULL, NULL);
}
