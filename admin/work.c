/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper thread for blocking calls.
 *
 * Invariants: a struct work is in the queue until the thread takes it,
 * and on the loop's running list until its op was let go; only the loop's
 * thread touches ops.  The loop looks for finished work every POLL_MS while
 * there is any: changes are rare, and the loop needs no second wake-up path.
 */
#include "config.h"

#include "admin/work.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 2u

STAILQ_HEAD(work_list, work);

struct worker {
	struct loop *loop;
	struct timer timer;
	struct work_list running;	/* loop's thread only */
	pthread_t thread;
	pthread_mutex_t lock;		/* guards the rest */
	pthread_cond_t wake;
	struct work_list queue;
	bool stop;
};

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct work *work;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		work = STAILQ_FIRST(&w->queue);
		if (work == NULL) {
			if (w->stop)
				break;
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&w->queue, queue);
		pthread_mutex_unlock(&w->lock);
		work->fn(work->arg);
		atomic_store(&work->done, true);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
worker_poll(void *arg)
{
	struct worker *w = arg;
	struct work *work;

	/* In order: the first that is not done ends the search. */
	while ((work = STAILQ_FIRST(&w->running)) != NULL &&
	    atomic_load(&work->done)) {
		struct op *waiter = work->waiter;

		STAILQ_REMOVE_HEAD(&w->running, running);
		work->waiter = NULL;
		op_unhold(waiter);
	}
	if (work != NULL)
		timer_start(w->loop, &w->timer, POLL_MS, worker_poll, w);
}

struct worker *
worker_new(struct loop *loop, struct err *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int r;

	if (w == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	w->loop = loop;
	STAILQ_INIT(&w->running);
	STAILQ_INIT(&w->queue);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		err_set(err, r, "cannot start a thread: %s", strerror(r));
		free(w);
		return NULL;
	}
	return w;
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	assert(STAILQ_EMPTY(&w->running));
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	assert(STAILQ_EMPTY(&w->queue));
	timer_stop(w->loop, &w->timer);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void
work_start(struct worker *w, struct work *work, void (*fn)(void *arg),
    void *arg, struct op *op)
{
	assert(fn != NULL && op != NULL);
	work->fn = fn;
	work->arg = arg;
	work->waiter = op;
	atomic_store(&work->done, false);
	op_hold(op);
	STAILQ_INSERT_TAIL(&w->running, work, running);
	pthread_mutex_lock(&w->lock);
	assert(!w->stop);
	STAILQ_INSERT_TAIL(&w->queue, work, queue);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (!timer_running(&w->timer))
		timer_start(w->loop, &w->timer, POLL_MS, worker_poll, w);
}
