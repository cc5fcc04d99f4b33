/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Give a running array a disk: check it, write its superblock as a spare,
 * and let the sweep decide whether it takes a place at once.
 *
 * Invariants: nothing is written before all checks have passed; the disk is
 * part of the array only from the superblock update on.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "raid/probe.h"
#include "raid/raid_priv.h"

struct addition {
	struct probe probe;
	struct sb1_areas areas;
	struct io zero;
	uint8_t *buf;
	uint8_t device_uuid[16];
	bool readd;			/* a former member, only stale */
};

static bool
is_ours(struct raid *raid, const struct blk *blk,
    const uint8_t device_uuid[16])
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		const struct member *m = raid_disk(raid, i);

		if (m->blk == blk || (member_live(m) && memcmp(
		    m->sb.device_uuid, device_uuid, 16) == 0))
			return true;
	}
	return false;
}

static int
check_content(const struct raid_add *add, const struct addition *a,
    struct err *err)
{
	struct raid *raid = add->raid;
	const struct probe *probe = &a->probe;
	const char *name = add->blk->name;
	char uuid[UUID_TEXT];

	if (probe->io.result < 0)
		return err_set(err, EIO, "%s cannot be read: %s", name,
		    strerror(-probe->io.result));
	if (probe->rc == 0 && is_ours(raid, add->blk, probe->sb.device_uuid))
		return err_set(err, EEXIST, "%s, or a copy of it, is part of "
		    "array %s already", name, raid->spec.name);
	if (probe->rc == -ENODATA || add->force)
		return 0;
	if (probe->rc == 0 && memcmp(probe->sb.set_uuid, raid->spec.uuid,
	    16) == 0)
		return 0;
	uuid_text(uuid, probe->sb.set_uuid);
	err_set(err, EEXIST, "%s carries an md superblock%s%s", name,
	    probe->rc == 0 ? " of array " : "", probe->rc == 0 ? uuid : "");
	err_hint(err, "if its data is not needed, say so with force");
	return -EEXIST;
}

/* Where the data goes: as on a new array, or closer if it must. */
static int
check_size(const struct raid_add *add, struct addition *a, struct err *err)
{
	const struct raid *raid = add->raid;
	const struct blk *blk = add->blk;
	uint64_t need = raid->map.member_size / SECTOR, off;
	uint64_t sectors = blk->geo.size / SECTOR;

	if (blk->geo.logical_block > raid->blk.geo.logical_block)
		return err_set(err, EINVAL, "%s has blocks of %u bytes, the "
		    "array has %u", blk->name, blk->geo.logical_block,
		    raid->blk.geo.logical_block);
	sb1_areas(&a->areas, sectors);
	off = a->areas.data_offset;
	if (!range_ok(off, need, sectors))
		off = round_down(sectors - MIN(sectors, need), MIB / SECTOR);
	if (off < a->areas.private_start || !range_ok(off, need, sectors))
		return err_set(err, ENOSPC, "%s is too small: %llu bytes, at "
		    "least %llu are needed", blk->name,
		    (unsigned long long)blk->geo.size, (unsigned long long)
		    ((need + a->areas.private_start) * SECTOR + MIB));
	a->areas.data_offset = off;
	return 0;
}

/* By another disk?  One that is faulty may come back as it was. */
static bool
number_used(struct raid *raid, uint32_t number, const uint8_t device_uuid[16])
{
	for (unsigned i = 0; i < raid_ndisks(raid); i++) {
		const struct member *m = raid_disk(raid, i);

		if (m->blk != NULL && m->sb.dev_number == number &&
		    memcmp(m->sb.device_uuid, device_uuid, 16) != 0)
			return true;
	}
	return false;
}

/*
 * Was it a member that has all but what the bitmap names?  Its events must be
 * those of a time since which nothing was forgotten, and we must have been
 * the last to write it.
 */
static bool
is_former(struct raid *raid, const struct sb1 *sb)
{
	unsigned role = sb1_role(sb, sb->dev_number);

	return raid->bitmap != NULL && role < raid->map.n &&
	    (raid->missing >> role & 1) != 0 &&
	    memcmp(sb->set_uuid, raid->spec.uuid, 16) == 0 &&
	    sb->level == raid->map.level &&
	    sb->layout == (uint32_t)raid->map.layout &&
	    sb->chunksize * SECTOR == raid->map.chunk &&
	    sb->raid_disks == raid->map.n &&
	    sb->size * SECTOR >= raid->map.member_size &&
	    (sb->feature_map & SB1_RECOVERY) == 0 &&
	    (sb->utime >> 40) != 0 && sb->events <= raid->events &&
	    sb->events >= raid->bitmap->sb.events_cleared &&
	    !number_used(raid, sb->dev_number, sb->device_uuid) &&
	    (raid->ppl == NULL ? (sb->feature_map & (SB1_PPL |
	    SB1_MULTIPLE_PPLS)) == 0 : ppl_has_area(sb));
}

static int
check(struct raid_add *add, struct addition *a)
{
	struct raid *raid = add->raid;

	if (raid->failed)
		return err_set(&add->err, EIO, "array %s has failed",
		    raid->spec.name);
	if (raid_ndisks(raid) >= raid->map.n + RAID_MEMBERS_MAX)
		return err_set(&add->err, ENOSPC, "array %s has %u spares "
		    "already", raid->spec.name, raid->nspares);
	if (check_content(add, a, &add->err) < 0)
		return -add->err.code;
	return check_size(add, a, &add->err);
}

/* A slot in the table that nobody here has, best one that nobody had. */
static uint32_t
free_number(struct raid *raid, const struct sb1 *table,
    const uint8_t device_uuid[16])
{
	uint32_t best = UINT32_MAX;

	for (uint32_t d = table->max_dev; d-- > 0;)
		if (!number_used(raid, d, device_uuid) &&
		    (table->roles[d] == SB1_ROLE_SPARE || best == UINT32_MAX))
			best = d;
	return best;
}

/* As it was, with the table of today. */
static void
attach_former(struct raid *raid, struct member *m, struct blk *blk,
    const struct sb1 *sb, const struct bblog *bblog, const struct sb1 *like)
{
	m->sb = *sb;
	m->bblog = *bblog;
	memcpy(m->sb.roles, like->roles, sizeof(like->roles));
	m->sb.max_dev = like->max_dev;
	m->former = sb1_role(sb, sb->dev_number);
	assert(m->former < raid->map.n);
	m->corrected_errors = sb->cnt_corrected_read;
	m->read_errors = m->write_errors = 0;
	m->blk = blk;
	m->data_off = sb->data_offset * SECTOR;
	m->state = RAID_MEMBER_SPARE;
	m->sb_io.result = 0;
	raid->nspares++;
	raid_changed(raid);
}

static void
attach(struct raid_add *add, struct addition *a)
{
	struct raid *raid = add->raid;
	struct member *m = &raid->spare[raid->nspares], *like = NULL;

	for (unsigned r = 0; r < raid->map.n && like == NULL; r++)
		if (member_live(&raid->member[r]))
			like = &raid->member[r];
	assert(like != NULL && m->blk == NULL);
	assert(m->role == ROLE_NONE);
	m->worn = 0;
	m->worn_out = false;
	m->guided = a->readd;
	m->chosen = false;
	if (a->readd) {
		attach_former(raid, m, add->blk, &a->probe.sb,
		    &a->probe.bblog, &like->sb);
		return;
	}
	m->sb = like->sb;
	m->sb.dev_number = free_number(raid, &like->sb, a->device_uuid);
	m->sb.feature_map &= ~(SB1_RECOVERY | SB1_RECOVERY_BITMAP |
	    SB1_BAD_BLOCKS);
	memcpy(m->sb.device_uuid, a->device_uuid, 16);
	m->sb.data_offset = a->areas.data_offset;
	m->sb.data_size = add->blk->geo.size / SECTOR -
	    a->areas.data_offset;
	m->sb.bblog_size = a->areas.bblog_size;
	m->sb.bblog_offset = a->areas.bblog_offset;
	m->sb.bblog_shift = 0;
	m->sb.cnt_corrected_read = 0;
	if (raid->bitmap != NULL)
		m->sb.bitmap_offset = a->areas.log_offset;
	if (raid->ppl != NULL) {
		m->sb.ppl_offset = (int16_t)a->areas.log_offset;
		m->sb.ppl_size = a->areas.log_size;
	}
	m->corrected_errors = m->read_errors = m->write_errors = 0;
	m->blk = add->blk;
	member_init_bblog(m);
	m->data_off = m->sb.data_offset * SECTOR;
	m->state = RAID_MEMBER_SPARE;
	m->sb_io.result = 0;
	raid->nspares++;
	raid_changed(raid);
}

enum add_step { AD_PROBE, AD_WIPE, AD_ATTACH, AD_CHECK, AD_END };
static const char *const add_steps[] = {
	"PROBE", "WIPE", "ATTACH", "CHECK", "END",
};

static enum add_step
add_probe(struct raid_add *add, struct op *op)
{
	struct addition *a = calloc(1, sizeof(*a));

	err_clear(&add->err);
	add->priv = a;
	if (a != NULL)
		a->buf = aligned_alloc(4096, SB1_BYTES);
	if (a == NULL || a->buf == NULL) {
		err_set(&add->err, ENOMEM, "no memory to add a disk");
		return AD_END;
	}
	probe_start(&a->probe, add->blk, a->buf, op);
	return AD_WIPE;
}

static enum add_step
add_wipe(struct raid_add *add, struct addition *a, struct op *op)
{
	if (check(add, a) < 0)
		return AD_END;
	a->readd = a->probe.rc == 0 && is_former(add->raid, &a->probe.sb);
	if (a->readd)
		return AD_ATTACH;
	loop_random(add->raid->loop, a->device_uuid, 16);
	io_init(&a->zero, IO_ZERO, 0, a->areas.data_offset * SECTOR, NULL, 0,
	    IO_UNMAP);
	blk_submit(add->blk, &a->zero, op);
	return AD_ATTACH;
}

static enum add_step
add_attach(struct raid_add *add, struct addition *a, struct op *op)
{
	if (a->zero.result < 0) {
		err_set(&add->err, EIO, "%s could not be written: %s",
		    add->blk->name, strerror(-a->zero.result));
		return AD_END;
	}
	if (add->raid->converting) {	/* to which policy? */
		op_wait(&add->raid->idle_waiting, op);
		return AD_ATTACH;
	}
	if (add->raid->failed || raid_ndisks(add->raid) >=
	    add->raid->map.n + RAID_MEMBERS_MAX) {
		err_set(&add->err, EIO, "array %s has no place for it now",
		    add->raid->spec.name);
		return AD_END;
	}
	attach(add, a);
	add->raid->sweep.stuck = false;
	raid_record(add->raid, op);
	return AD_CHECK;
}

static void
add_end(struct raid_add *add)
{
	struct addition *a = add->priv;

	if (a != NULL)
		free(a->buf);
	free(a);
	add->priv = NULL;
	op_end(&add->op);
}

static void
raid_add_run(struct op *op)
{
	struct raid_add *add = op_owner(op, struct raid_add);

	switch ((enum add_step)op->step) {
	case AD_PROBE:
		op->step = add_probe(add, op);
		return;
	case AD_WIPE:
		op->step = add_wipe(add, add->priv, op);
		return;
	case AD_ATTACH:
		op->step = add_attach(add, add->priv, op);
		return;
	case AD_CHECK:
		sweep_kick(add->raid);
		op->step = AD_END;
		return;
	case AD_END:
		add_end(add);
		return;
	}
	bug("raid_add: bad step");
}

static const struct op_type raid_add_type = {
	.name = "raid_add",
	.steps = add_steps,
	.nsteps = nitems(add_steps),
	.run = raid_add_run,
};

void
raid_add_start(struct raid_add *add, struct op *parent)
{
	assert(add->blk != NULL);
	op_start(&add->op, &raid_add_type, loop_sched(add->raid->loop),
	    parent);
}
