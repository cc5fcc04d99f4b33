/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The password thread.
 *
 * Invariants: the queues are touched under the lock only; the thread never
 * calls done(): it hands jobs back through a pipe; passwords are wiped before
 * they are freed.
 */
#include "config.h"

#include "webui/hash.h"

#include <assert.h>
#include <crypt.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

struct job {
	STAILQ_ENTRY(job) link;
	char *password, *hash;
	bool fits;
	void (*done)(void *arg, bool fits);
	void *arg;
};
STAILQ_HEAD(jobs, job);

struct hasher {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct jobs queue, finished;
	unsigned n;
	bool stop, running;
	int pipe[2];
	struct event *ready;
	char *dummy;			/* for users that do not exist */
};

static void
job_free(struct job *job)
{
	if (job->password != NULL)
		OPENSSL_cleanse(job->password, strlen(job->password));
	free(job->password);
	free(job->hash);
	free(job);
}

static bool
check(const char *password, const char *hash)
{
	void *data = NULL;
	int size = 0;
	const char *out = crypt_ra(password, hash, &data, &size);
	bool fits = out != NULL && out[0] != '*' &&
	    strlen(out) == strlen(hash) &&
	    CRYPTO_memcmp(out, hash, strlen(hash)) == 0;

	assert(password != NULL && hash != NULL);
	if (data != NULL)
		OPENSSL_cleanse(data, (size_t)size);
	free(data);
	return fits;
}

static void *
hasher_run(void *arg)
{
	struct hasher *h = arg;
	struct job *job;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		job = STAILQ_FIRST(&h->queue);
		if (job == NULL) {
			pthread_cond_wait(&h->work, &h->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&h->queue, link);
		pthread_mutex_unlock(&h->lock);
		job->fits = check(job->password, job->hash != NULL ?
		    job->hash : h->dummy) && job->hash != NULL;
		pthread_mutex_lock(&h->lock);
		STAILQ_INSERT_TAIL(&h->finished, job, link);
		/* The pipe cannot fill: it holds one byte per job. */
		if (write(h->pipe[1], "", 1) != 1)
			abort();
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct hasher *h = arg;
	struct job *job;
	char byte;

	assert(fd == h->pipe[0]);
	(void)what;
	if (read(fd, &byte, 1) != 1)
		return;
	pthread_mutex_lock(&h->lock);
	job = STAILQ_FIRST(&h->finished);
	assert(job != NULL && h->n > 0);
	STAILQ_REMOVE_HEAD(&h->finished, link);
	h->n--;
	pthread_mutex_unlock(&h->lock);
	job->done(job->arg, job->fits);
	job_free(job);
}

bool
hasher_check(struct hasher *h, const char *password, const char *hash,
    void (*done)(void *arg, bool fits), void *arg)
{
	struct job *job;

	assert(password != NULL && done != NULL);
	if (h->n >= HASH_QUEUE_MAX)
		return false;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return false;
	job->password = strdup(password);
	job->hash = hash != NULL ? strdup(hash) : NULL;
	if (job->password == NULL || (hash != NULL && job->hash == NULL)) {
		job_free(job);
		return false;
	}
	job->done = done;
	job->arg = arg;
	pthread_mutex_lock(&h->lock);
	h->n++;
	STAILQ_INSERT_TAIL(&h->queue, job, link);
	pthread_cond_signal(&h->work);
	pthread_mutex_unlock(&h->lock);
	return true;
}

struct hasher *
hasher_new(struct event_base *base)
{
	struct hasher *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	STAILQ_INIT(&h->queue);
	STAILQ_INIT(&h->finished);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	h->dummy = crypt_gensalt_ra("$y$", 0, NULL, 0);
	if (h->dummy != NULL && pipe2(h->pipe, O_CLOEXEC) == 0)
		h->ready = event_new(base, h->pipe[0], EV_READ | EV_PERSIST,
		    on_ready, h);
	if (h->ready == NULL ||
	    pthread_create(&h->thread, NULL, hasher_run, h) != 0) {
		hasher_free(h);
		return NULL;
	}
	h->running = true;
	event_add(h->ready, NULL);
	return h;
}

void
hasher_free(struct hasher *h)
{
	struct job *job;

	if (h == NULL)
		return;
	if (h->running) {
		pthread_mutex_lock(&h->lock);
		h->stop = true;
		pthread_cond_signal(&h->work);
		pthread_mutex_unlock(&h->lock);
		pthread_join(h->thread, NULL);
	}
	STAILQ_CONCAT(&h->queue, &h->finished);
	while ((job = STAILQ_FIRST(&h->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&h->queue, link);
		job_free(job);
	}
	if (h->ready != NULL) {
		event_free(h->ready);
		close(h->pipe[0]);
		close(h->pipe[1]);
	}
	free(h->dummy);
	free(h);
}
