/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Create an array: check everything, zero the members, write superblocks.
 *
 * Members that are zeroed have right parity, so the array starts clean.  If
 * that would take as long as writing them whole, only the front and the end
 * are zeroed, and the array can be used at once while a resync makes the
 * parity right; but a missing member's data follows from parity, which then
 * must be right from the start.
 *
 * Invariants: nothing is written before all checks have passed; superblocks
 * come last, so a creation that was cut short leaves no array behind.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raid/probe.h"
#include "raid/raid_priv.h"

#define ZERO_STEP (64 * MIB)
#define ZERO_FRONT (1 * MIB)	/* of the data */
#define ZERO_TAIL (1 * MIB)	/* signatures that live at the end of a disk */

struct creation;

/* Zero one member: [0, end) and the tail of the device. */
struct zero_op {
	struct op op;
	struct creation *creation;
	struct blk *blk;
	uint64_t next, end;
	bool tail;
	uint64_t len;
	struct io io;
	int result;
};

struct creation {
	struct raid_create *pub;
	struct raid_spec spec;
	struct raid_map map;
	struct probe probe[RAID_MEMBERS_MAX];
	struct zero_op zero[RAID_MEMBERS_MAX];
	struct sb1_areas areas[RAID_MEMBERS_MAX];
	bool whole;			/* zero all of them */
	uint8_t *mem;
};

/* --- checks --- */

static int
check_spec(const struct raid_create *pub, struct err *err)
{
	const struct raid_spec *spec = &pub->spec;
	unsigned absent = 0;

	if (spec->members < 3 || spec->members > RAID_MEMBERS_MAX)
		return err_set(err, EINVAL, "%u members: RAID5 takes 3 to %u",
		    spec->members, RAID_MEMBERS_MAX);
	if (spec->name[0] == '\0')
		return err_set(err, EINVAL, "the array has no name");
	for (unsigned i = 0; i < spec->members; i++) {
		absent += pub->members[i] == NULL;
		for (unsigned k = 0; k < i; k++)
			if (pub->members[i] != NULL &&
			    pub->members[i] == pub->members[k])
				return err_set(err, EINVAL, "%s is named "
				    "twice", pub->members[i]->name);
	}
	if (absent > 1)
		return err_set(err, EINVAL, "%u members are missing, at most "
		    "one may be", absent);
	return 0;
}

/* The data that fits on the smallest member, or what was asked for. */
static int
choose_size(struct creation *c, struct err *err)
{
	const struct raid_create *pub = c->pub;
	uint64_t least = UINT64_MAX;
	const char *name = "";

	for (unsigned i = 0; i < c->spec.members; i++) {
		struct blk *blk = pub->members[i];
		uint64_t off;

		if (blk == NULL)
			continue;
		sb1_areas(&c->areas[i], blk->geo.size / SECTOR);
		off = c->areas[i].data_offset * SECTOR;
		if (blk->geo.size < off + c->spec.chunk_bytes)
			return err_set(err, ENOSPC, "%s is too small: %llu "
			    "bytes, at least %llu are needed", blk->name,
			    (unsigned long long)blk->geo.size,
			    (unsigned long long)(off + c->spec.chunk_bytes));
		if (blk->geo.size - off < least) {
			least = blk->geo.size - off;
			name = blk->name;
		}
	}
	if (c->spec.member_bytes == 0)
		c->spec.member_bytes = least;
	if (c->spec.member_bytes > least)
		return err_set(err, ENOSPC, "%s has room for %llu bytes of "
		    "data, asked for are %llu", name,
		    (unsigned long long)least,
		    (unsigned long long)c->spec.member_bytes);
	return raid_map_init(&c->map, c->spec.level, c->spec.layout,
	    c->spec.members, c->spec.chunk_bytes, c->spec.member_bytes, err);
}

static int
check_blank(struct creation *c, struct err *err)
{
	for (unsigned i = 0; i < c->spec.members; i++) {
		const struct probe *probe = &c->probe[i];
		char uuid[UUID_TEXT];

		if (c->pub->members[i] == NULL || probe->rc == -ENODATA)
			continue;
		if (probe->io.result < 0)
			return err_set(err, EIO, "%s cannot be read: %s",
			    c->pub->members[i]->name,
			    strerror(-probe->io.result));
		if (c->pub->force)
			continue;
		uuid_text(uuid, probe->sb.set_uuid);
		err_set(err, EEXIST, "%s carries an md superblock%s%s",
		    c->pub->members[i]->name,
		    probe->rc == 0 ? " of array " : "",
		    probe->rc == 0 ? uuid : "");
		err_hint(err, "if its data is not needed, say so with force");
		return -EEXIST;
	}
	return 0;
}

/* --- zeroes --- */

enum zero_step { ZR_NEXT, ZR_DONE, ZR_FLUSHED };
static const char *const zero_steps[] = { "NEXT", "DONE", "FLUSHED" };

static void
zero_next(struct zero_op *z, struct op *op)
{
	assert(z->next < z->end && z->end <= z->blk->geo.size);
	z->len = MIN(z->end - z->next, ZERO_STEP);
	io_init(&z->io, IO_ZERO, z->next, z->len, NULL, 0, IO_UNMAP);
	blk_submit(z->blk, &z->io, op);
	op->step = ZR_DONE;
}

static void
zero_flush(struct zero_op *z, struct op *op)
{
	io_init(&z->io, IO_FLUSH, 0, 0, NULL, 0, 0);
	blk_submit(z->blk, &z->io, op);
	op->step = ZR_FLUSHED;
}

static void
zero_run(struct op *op)
{
	struct zero_op *z = op_owner(op, struct zero_op);
	uint64_t size = z->blk->geo.size;

	switch ((enum zero_step)op->step) {
	case ZR_NEXT:
		if (z->next == z->end && !z->tail && z->end < size) {
			z->tail = true;
			z->next = MAX(z->end, round_down(size -
			    MIN(size, ZERO_TAIL), 4096));
			z->end = round_down(size, z->blk->geo.logical_block);
		}
		if (z->creation->pub->cancel)
			z->result = -ECANCELED;
		if (z->result < 0)
			op_end(op);
		else if (z->next >= z->end)
			zero_flush(z, op);
		else
			zero_next(z, op);
		return;
	case ZR_DONE:
		z->result = z->io.result;
		z->next += z->len;
		z->creation->pub->zeroed += z->len;
		op->step = ZR_NEXT;
		return;
	case ZR_FLUSHED:
		z->result = z->io.result;
		op_end(op);
		return;
	}
	bug("raid_zero: bad step");
}

static const struct op_type zero_type = {
	.name = "raid_zero",
	.steps = zero_steps,
	.nsteps = nitems(zero_steps),
	.run = zero_run,
};

static bool
zero_whole(const struct creation *c)
{
	bool fast = true;

	for (unsigned i = 0; i < c->spec.members; i++) {
		if (c->pub->members[i] == NULL)
			return true;
		fast &= c->pub->members[i]->geo.zero_fast;
	}
	return fast;
}

static void
start_zero(struct creation *c, struct op *op)
{
	c->whole = zero_whole(c);
	for (unsigned i = 0; i < c->spec.members; i++) {
		struct zero_op *z = &c->zero[i];

		if (c->pub->members[i] == NULL)
			continue;
		z->creation = c;
		z->blk = c->pub->members[i];
		z->end = c->areas[i].data_offset * SECTOR + (c->whole ?
		    c->map.member_size : MIN(c->map.member_size, ZERO_FRONT));
		c->pub->to_zero += z->end +
		    MIN(z->blk->geo.size - z->end, ZERO_TAIL);
		op_start(&z->op, &zero_type, op->sched, op);
	}
}

static int
check_zeroed(struct creation *c, struct err *err)
{
	if (c->pub->cancel) {
		err_set(err, ECANCELED, "making the array was cancelled");
		err_hint(err, "Its disks are as blank as they were; the "
		    "first part of them may have been zeroed.");
		return -ECANCELED;
	}
	for (unsigned i = 0; i < c->spec.members; i++)
		if (c->pub->members[i] != NULL && c->zero[i].result < 0)
			return err_set(err, EIO, "%s could not be zeroed: %s",
			    c->pub->members[i]->name,
			    strerror(-c->zero[i].result));
	return 0;
}

/* --- superblocks --- */

static void
fill_sb(struct creation *c, unsigned i, struct sb1 *sb)
{
	const struct sb1_areas *areas = &c->areas[i];
	struct loop *loop = c->pub->loop;

	memset(sb, 0, sizeof(*sb));
	memcpy(sb->set_uuid, c->spec.uuid, 16);
	memcpy(sb->set_name, c->spec.name, RAID_NAME_MAX);
	sb->ctime = loop_wall_time(loop) & SB1_TIME_MASK;
	sb->level = c->spec.level;
	sb->layout = (uint32_t)c->spec.layout;
	sb->size = c->map.member_size / SECTOR;
	sb->chunksize = c->spec.chunk_bytes / (uint32_t)SECTOR;
	sb->raid_disks = c->spec.members;
	sb->data_offset = areas->data_offset;
	sb->data_size = c->pub->members[i]->geo.size / SECTOR -
	    areas->data_offset;
	sb->super_offset = SB1_SECTOR;
	sb->dev_number = i;
	loop_random(loop, sb->device_uuid, 16);
	sb->bblog_size = areas->bblog_size;
	sb->bblog_offset = areas->bblog_offset;
	if (c->spec.policy == RAID_POLICY_PPL) {
		sb->feature_map |= SB1_PPL;
		sb->ppl_offset = (int16_t)areas->log_offset;
		sb->ppl_size = areas->log_size;
	}
	if (c->spec.policy == RAID_POLICY_BITMAP) {
		sb->feature_map |= SB1_BITMAP;
		sb->bitmap_offset = areas->log_offset;
	}
	sb->resync_offset = SB1_CLEAN;
	sb->max_dev = SB1_ROLES_NEW;
	for (unsigned d = 0; d < sb->max_dev; d++)
		sb->roles[d] = SB1_ROLE_SPARE;
}

static struct raid *
make_raid(struct creation *c)
{
	bool private = c->spec.policy != RAID_POLICY_BITMAP;
	struct raid *raid;
	uint64_t room;

	c->spec.member_bytes = c->map.member_size;
	raid = raid_new(c->pub->loop, &c->spec, &c->map, c->pub->pools,
	    &c->pub->err);
	if (raid == NULL)
		return NULL;
	for (unsigned i = 0; i < c->spec.members; i++) {
		struct member *m = &raid->member[i];

		if (c->pub->members[i] == NULL) {
			raid->missing |= UINT32_C(1) << i;
			continue;
		}
		fill_sb(c, i, &m->sb);
		m->blk = c->pub->members[i];
		member_init_bblog(m);
		m->data_off = m->sb.data_offset * SECTOR;
		m->state = RAID_MEMBER_IN_SYNC;
		if (raid->ppl != NULL)
			ppl_set_area(raid, i);
	}
	room = bitmap_room(raid, private);
	if (room != 0 && (raid->bitmap = bitmap_new(raid, private, 0, room,
	    &c->pub->err)) == NULL) {
		raid_free(raid);
		return NULL;
	}
	if (!c->whole && c->map.member_size > ZERO_FRONT) {
		doubt_add(&raid->doubt, ZERO_FRONT, c->map.member_size);
		raid->doubt.blank = true;
		doubt_copy(&raid->doubt_stable, &raid->doubt);
		if (raid->bitmap != NULL)
			bitmap_set_all(raid->bitmap);
	}
	raid_changed(raid);
	return raid;
}

/* Logs begin with an empty header: no header at all looks like damage. */
static void
submit_logs(struct raid *raid, struct op *op)
{
	for (unsigned r = 0; raid->ppl != NULL && r < raid->map.n; r++)
		if (raid->member[r].blk != NULL)
			ppl_submit_empty(&raid->ppl[r], op);
}

static void
check_logs(struct raid *raid)
{
	for (unsigned r = 0; raid->ppl != NULL && r < raid->map.n; r++)
		if (raid->member[r].blk != NULL &&
		    raid->ppl[r].io.result != 0)
			member_fail(&raid->member[r], "its partial parity "
			    "log could not be written");
}

/* --- the op --- */

enum create_step { CR_CHECK, CR_ZERO, CR_WRITE, CR_RECORD, CR_RUN, CR_END };
static const char *const create_steps[] = {
	"CHECK", "ZERO", "WRITE", "RECORD", "RUN", "END",
};

static int
create_begin(struct raid_create *pub, struct op *op)
{
	static const uint8_t zero[16];
	struct creation *c = calloc(1, sizeof(*c));

	err_clear(&pub->err);
	pub->raid = NULL;
	pub->zeroed = pub->to_zero = 0;
	pub->priv = c;
	if (c != NULL)
		c->mem = aligned_alloc(4096, RAID_MEMBERS_MAX *
		    (size_t)SB1_BYTES);
	if (c == NULL || c->mem == NULL)
		return err_set(&pub->err, ENOMEM, "no memory to create an "
		    "array");
	c->pub = pub;
	c->spec = pub->spec;
	if (memcmp(c->spec.uuid, zero, 16) == 0)
		loop_random(pub->loop, c->spec.uuid, 16);
	if (check_spec(pub, &pub->err) < 0 || choose_size(c, &pub->err) < 0)
		return -pub->err.code;
	for (unsigned i = 0; i < c->spec.members; i++)
		if (pub->members[i] != NULL)
			probe_start(&c->probe[i], pub->members[i],
			    c->mem + i * (size_t)SB1_BYTES, op);
	return 0;
}

static void
create_written(struct raid_create *pub)
{
	struct creation *c = pub->priv;
	struct raid *raid = pub->raid;

	for (unsigned i = 0; i < c->spec.members; i++)
		if (pub->members[i] != NULL && (raid->failed ||
		    !member_live(&raid->member[i])))
			err_set(&pub->err, EIO, "the superblock of %s could "
			    "not be written", pub->members[i]->name);
	if (err_is(&pub->err)) {
		raid_free(raid);
		pub->raid = NULL;
		return;
	}
	raid_run(raid);
}

static void
create_end(struct raid_create *pub)
{
	struct creation *c = pub->priv;

	if (c != NULL)
		free(c->mem);
	free(c);
	pub->priv = NULL;
	op_end(&pub->op);
}

static void
raid_create_run(struct op *op)
{
	struct raid_create *pub = op_owner(op, struct raid_create);
	struct creation *c = pub->priv;

	switch ((enum create_step)op->step) {
	case CR_CHECK:
		op->step = create_begin(pub, op) < 0 ? CR_END : CR_ZERO;
		return;
	case CR_ZERO:
		op->step = check_blank(c, &pub->err) < 0 ? CR_END : CR_WRITE;
		if (op->step == CR_WRITE)
			start_zero(c, op);
		return;
	case CR_WRITE:
		op->step = CR_END;
		if (check_zeroed(c, &pub->err) < 0 ||
		    (pub->raid = make_raid(c)) == NULL)
			return;
		submit_logs(pub->raid, op);
		op->step = CR_RECORD;
		return;
	case CR_RECORD:
		check_logs(pub->raid);
		raid_record(pub->raid, op);
		op->step = CR_RUN;
		return;
	case CR_RUN:
		if (pub->raid->sb_running) {	/* its last turn */
			op_wait(&pub->raid->sb_waiting, op);
			return;
		}
		create_written(pub);
		op->step = CR_END;
		return;
	case CR_END:
		create_end(pub);
		return;
	}
	bug("raid_create: bad step");
}

static const struct op_type raid_create_type = {
	.name = "raid_create",
	.steps = create_steps,
	.nsteps = nitems(create_steps),
	.run = raid_create_run,
};

void
raid_create_start(struct raid_create *create, struct op *parent)
{
	assert(create->loop != NULL);
	op_start(&create->op, &raid_create_type, loop_sched(create->loop),
	    parent);
}
