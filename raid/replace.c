/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heir: a disk that is filled with a copy of a member while that one goes
 * on to serve, and gets its role when it is whole.
 *
 * Every write and flush of the member is echoed to its heir, and the writer
 * waits for both; so what the heir was given once stays current, and a write
 * or flush that is durable on the member is durable on the heir.
 *
 * Invariants: nothing is read from an heir; its failure fails no request, but
 * is recorded before one that it missed is acknowledged, as with any member.
 * Once the member is lost the heir is echoed to no more: until it inherits,
 * the superblocks say that it holds nothing, and rows written without it do
 * not count as filled.
 */
#include "raid/raid_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct echo {
	struct op op;
	struct raid *raid;
	struct io io;
	STAILQ_ENTRY(echo) free;
};

struct echoes {
	STAILQ_HEAD(, echo) free;
	struct echo all[];
};

/* Rows write twice to a member at most; everybody else once at a time. */
struct echoes *
echoes_new(const struct raid_pools *pools)
{
	unsigned n = 2 * pools->rows + pools->fixes * RAID_MEMBERS_MAX +
	    pools->reqs + 4 * RAID_MEMBERS_MAX;
	struct echoes *echoes = calloc(1, sizeof(*echoes) +
	    n * sizeof(echoes->all[0]));

	if (echoes == NULL)
		return NULL;
	STAILQ_INIT(&echoes->free);
	for (unsigned i = 0; i < n; i++)
		STAILQ_INSERT_TAIL(&echoes->free, &echoes->all[i], free);
	return echoes;
}

/* --- echoes --- */

enum echo_step { EC_SUBMIT, EC_DONE };
static const char *const echo_steps[] = { "SUBMIT", "DONE" };

static void
echo_run(struct op *op)
{
	struct echo *echo = op_owner(op, struct echo);
	struct member *heir = &echo->raid->heir;

	switch ((enum echo_step)op->step) {
	case EC_SUBMIT:
		member_io(heir, &echo->io, op);
		op->step = EC_DONE;
		return;
	case EC_DONE:
		if (echo->io.result == 0 && echo->io.kind != IO_FLUSH) {
			member_wrote(heir, &echo->io);
		} else if (echo->io.result != 0) {
			heir->write_errors++;
			member_fail(heir, errno_is_gone(echo->io.result) ?
			    "its device is gone" : echo->io.kind == IO_FLUSH ?
			    "a flush failed" : "a write failed");
		}
		op_end(op);
		STAILQ_INSERT_HEAD(&echo->raid->echoes->free, echo, free);
		return;
	}
	bug("raid_echo: bad step");
}

static const struct op_type echo_type = {
	.name = "raid_echo",
	.steps = echo_steps,
	.nsteps = nitems(echo_steps),
	.run = echo_run,
};

static bool
has_heir(const struct member *m)
{
	const struct member *heir = &m->raid->heir;

	return m != heir && m->role == heir->role && member_live(heir);
}

void
heir_echo(const struct member *m, const struct io *io, uint64_t off,
    struct op *op)
{
	struct raid *raid = m->raid;
	struct echo *echo;

	if (io->kind == IO_READ || !has_heir(m))
		return;
	echo = STAILQ_FIRST(&raid->echoes->free);
	if (echo == NULL)
		bug("raid: more echoes than writes");
	STAILQ_REMOVE_HEAD(&raid->echoes->free, free);
	echo->raid = raid;
	io_init(&echo->io, io->kind, io->kind == IO_FLUSH ? 0 :
	    raid->heir.data_off + off, io->len, io->iov, io->niov, io->flags);
	if (io->kind != IO_FLUSH && member_bad(&raid->heir, off, io->len))
		echo->io.flags |= IO_FUA;
	member_count(&raid->heir, io->kind, io->len);
	op_start(&echo->op, &echo_type, op->sched, op);
}

void
heir_left(struct raid *raid, unsigned role)
{
	struct member *heir = &raid->heir;

	if (!member_live(heir) || heir->role != role)
		return;
	(void)lack_forget(heir->lack, &raid->map, doubt_next(&raid->doubt, 0));
	/* It will miss writes. */
	ranges_add(&heir->lack->stable, 0, raid->map.member_size);
}

void
heir_missed(struct raid *raid, unsigned role, uint64_t off)
{
	struct member *heir = &raid->heir;

	if (!member_live(heir) || heir->role != role)
		return;
	assert((raid->missing >> role & 1) != 0);
	lack_row(heir->lack, &raid->map, off / raid->map.row_bytes);
}

void
heir_missed_row(struct raid *raid, uint64_t row)
{
	if (member_live(&raid->heir) &&
	    (raid->missing >> raid->heir.role & 1) != 0)
		heir_missed(raid, raid->heir.role, row * raid->map.row_bytes);
}

/* --- for the administrator --- */

static struct member *
find_spare(struct raid *raid, const char *path)
{
	for (unsigned i = 0; i < raid->nspares; i++)
		if (raid->spare[i].state == RAID_MEMBER_SPARE &&
		    strcmp(raid->spare[i].blk->name, path) == 0)
			return &raid->spare[i];
	return NULL;
}

static int
check_role(struct raid *raid, unsigned role, struct err *err)
{
	const char *name = raid->spec.name;

	if (raid->failed)
		return err_set(err, EIO, "array %s has failed", name);
	if (role >= raid->map.n)
		return err_set(err, EINVAL, "array %s has no member %u", name,
		    role);
	if (raid->heir.blk != NULL) {
		err_set(err, EBUSY, "array %s is replacing member %u already",
		    name, raid->heir.role);
		err_hint(err, "wait until that has ended, or cancel it");
		return -EBUSY;
	}
	if (raid->member[role].state == RAID_MEMBER_REBUILDING)
		return err_set(err, EBUSY, "member %u of array %s is being "
		    "rebuilt", role, name);
	return 0;
}

int
raid_replace(struct raid *raid, unsigned role, const char *path,
    struct err *err)
{
	struct member *spare;
	int rc;

	if (role < raid->map.n && member_live(&raid->member[role]) &&
	    strcmp(raid->member[role].blk->name, path) == 0)
		return 0;		/* it has begun already */
	if ((rc = check_role(raid, role, err)) < 0)
		return rc;
	if ((spare = find_spare(raid, path)) == NULL)
		return err_set(err, ENOENT, "%s is no spare of array %s", path,
		    raid->spec.name);
	if (raid->member[role].state == RAID_MEMBER_IN_SYNC) {
		spare->guided = false;
		spare->chosen = true;
		spare->former = role;
		if (!place_fits(raid, spare)) {
			spare->chosen = false;
			return err_set(err, EINVAL, "%s has no room for the "
			    "data or the log of a member", path);
		}
	}
	raid->sweep.stuck = false;
	sweep_kick(raid);
	return 0;
}
