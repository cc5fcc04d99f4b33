/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that is to be found in its box.  Enclosures with a light of their own
 * for that are rare in small boxes, the light of activity is not.
 *
 * A disk is read through an own descriptor, without a lock, so it may be a
 * member of a pool, a spare, or nothing.  A read comes 10 ms after the last
 * one: that looks like one flash, and leaves room for those who need the disk.
 *
 * Invariants: at most one disk blinks that is not told to stop, because two
 * cannot be told apart; who has blinked enough closes the disk and goes.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/locate.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/verbs.h"
#include "block/blk.h"
#include "core/log.h"

#define READ_LEN 65536u
#define READ_GAP_MS 10u
#define PERIOD_MS 1000u		/* half of it bright, half of it dark */
#define DEFAULT_S 60u
#define LONGEST_S 3600u
#define PATIENCE_MS 3000u
#define HINT_DARK "It will not blink.  Let the other disks blink instead: " \
    "the one that never does is this one."

struct blinker {
	struct op op;
	struct dozo *dozo;
	LIST_ENTRY(blinker) link;
	struct req *asker;		/* held until it is told, then NULL */
	struct timer patience;
	char path[DOC_PATH_SIZE];
	struct blk *blk;
	void *mem;			/* READ_LEN */
	struct iovec iov;
	struct io io;
	struct timer timer;
	uint64_t start_ns, end_ns;
	uint64_t reads;
	bool stop;
};

struct locate {
	LIST_HEAD(, blinker) blinkers;
	struct op_queue idle;		/* who waits for the last one's end */
};

static void
blinker_free(struct blinker *b)
{
	if (b->blk != NULL)
		blk_close(b->blk);
	free(b->mem);
	free(b);
}

/* Somewhere else each time, so that the disk has to move. */
static void
read_once(struct blinker *b, struct op *op)
{
	uint64_t size = round_down(b->blk->geo.size, READ_LEN);
	uint64_t len = MIN(b->blk->geo.size, READ_LEN);
	uint64_t at = b->reads++ * 0x9e3779b97f4a7c15u;

	assert(len > 0 && b->mem != NULL);
	at = size > 0 ? round_down(at % size, READ_LEN) : 0;
	b->iov = (struct iovec){ b->mem, len };
	io_init(&b->io, IO_READ, at, len, &b->iov, 1, 0);
	blk_submit(b->blk, &b->io, op);
}

static bool
enough(const struct blinker *b)
{
	return b->stop || b->io.result < 0 ||
	    loop_now(b->dozo->loop) >= b->end_ns;
}

static uint64_t
pause_ms(const struct blinker *b)
{
	uint64_t ms = (loop_now(b->dozo->loop) - b->start_ns) / NSEC_PER_MSEC %
	    PERIOD_MS;

	return ms < PERIOD_MS / 2 ? READ_GAP_MS : PERIOD_MS - ms;
}

/* The first read tells whether it will blink; a dead disk never does. */
static void
tell(void *arg)
{
	struct blinker *b = arg;
	struct req *req = b->asker;

	if (req == NULL)
		return;
	timer_stop(b->dozo->loop, &b->patience);
	if (b->op.pending == 0 && b->io.result < 0) {
		err_set(&req->err, -b->io.result, "%.200s cannot be read: %s",
		    b->path, strerror(-b->io.result));
		err_hint(&req->err, HINT_DARK);
	} else if (b->op.pending > 0) {
		err_set(&req->err, EIO, "%.200s does not answer", b->path);
		err_hint(&req->err, HINT_DARK);
		b->stop = true;
	}
	b->asker = NULL;
	op_unhold(&req->op);
}

static void
blink_end(struct blinker *b)
{
	struct locate *locate = b->dozo->locate;

	if (b->io.result < 0 && b->reads > 1)
		log_warn("disk=%s does not blink any more: %s", b->path,
		    strerror(-b->io.result));
	LIST_REMOVE(b, link);
	op_end(&b->op);
	blinker_free(b);
	if (LIST_EMPTY(&locate->blinkers))
		op_wake_all(&locate->idle);
}

enum blink_step { BLINK_READ, BLINK_PAUSE };
static const char *const blink_steps[] = { "READ", "PAUSE" };

static void
blink_run(struct op *op)
{
	struct blinker *b = op_owner(op, struct blinker);

	if (op->step == BLINK_PAUSE || b->stop)
		tell(b);
	if (enough(b)) {
		blink_end(b);
		return;
	}
	switch ((enum blink_step)op->step) {
	case BLINK_READ:
		read_once(b, op);
		op->step = BLINK_PAUSE;
		return;
	case BLINK_PAUSE:
		op_sleep(b->dozo->loop, &b->timer, pause_ms(b), op);
		op->step = BLINK_READ;
		return;
	}
	bug("locate: bad step %u", op->step);
}

static const struct op_type blink_type = { "locate", blink_steps,
	nitems(blink_steps), blink_run, NULL };

static void
stop_all(struct locate *locate)
{
	struct blinker *b;

	LIST_FOREACH(b, &locate->blinkers, link) {
		b->stop = true;
		if (timer_running(&b->timer)) {
			timer_stop(b->dozo->loop, &b->timer);
			op_unhold(&b->op);
		}
	}
}

unsigned
locate_left_s(const struct dozo *d, const char *path)
{
	uint64_t now = loop_now(d->loop);
	const struct blinker *b;

	LIST_FOREACH(b, &d->locate->blinkers, link)
		if (!b->stop && strcmp(b->path, path) == 0 && b->end_ns > now)
			return (unsigned)((b->end_ns - now) / NSEC_PER_SEC) +
			    1;
	return 0;
}

/* --- the verb --- */

static void
begin(struct req *req, const char *path, uint64_t s)
{
	struct dozo *d = req->dozo;
	struct blinker *b = calloc(1, sizeof(*b));

	if (b == NULL || posix_memalign(&b->mem, 4096, READ_LEN) != 0) {
		free(b);
		err_set(&req->err, ENOMEM, "out of memory");
		return;
	}
	if (blk_file_open(d->loop, path, true, &b->blk, &req->err) != 0) {
		blinker_free(b);
		return;
	}
	snprintf(b->path, sizeof(b->path), "%s", path);
	b->dozo = d;
	b->start_ns = loop_now(d->loop);
	b->end_ns = b->start_ns + s * NSEC_PER_SEC;
	b->asker = req;
	op_hold(&req->op);
	timer_start(d->loop, &b->patience, PATIENCE_MS, tell, b);
	LIST_INSERT_HEAD(&d->locate->blinkers, b, link);
	op_start(&b->op, &blink_type, loop_sched(d->loop), NULL);
}

void
verb_disk_locate(struct req *req)
{
	const char *path = arg_text(req, "path");
	uint64_t s = arg_number(req, "seconds", DEFAULT_S);

	if (s > LONGEST_S || strlen(path) >= DOC_PATH_SIZE) {
		err_set(&req->err, EINVAL, s > LONGEST_S ?
		    "an hour (3600 seconds) is the longest" :
		    "the path is too long");
		return;
	}
	stop_all(req->dozo->locate);
	if (s > 0)
		begin(req, path, s);
}

void
verb_disk_locate_end(struct req *req)
{
	assert(req->op.pending == 0);
	if (!err_is(&req->err))
		req->result = json_pack("{s:s, s:I}", "path",
		    arg_text(req, "path"), "seconds",
		    (json_int_t)arg_number(req, "seconds", DEFAULT_S));
}

/* --- life --- */

int
locate_start(struct dozo *d, struct err *err)
{
	assert(d->locate == NULL);
	d->locate = calloc(1, sizeof(*d->locate));
	if (d->locate == NULL)
		return err_set(err, ENOMEM, "out of memory");
	LIST_INIT(&d->locate->blinkers);
	op_queue_init(&d->locate->idle);
	return 0;
}

void
locate_stop(struct dozo *d, struct op *op)
{
	assert(d->stopping);
	if (d->locate == NULL || LIST_EMPTY(&d->locate->blinkers))
		return;
	stop_all(d->locate);
	op_wait(&d->locate->idle, op);
}

void
locate_free(struct dozo *d)
{
	if (d->locate == NULL)
		return;
	assert(LIST_EMPTY(&d->locate->blinkers));
	free(d->locate);
	d->locate = NULL;
}
