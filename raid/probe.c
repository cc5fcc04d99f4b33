/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read and judge the superblock of one disk, and its bad-block log if there is
 * something in it; raid_examine for everybody else.
 *
 * Invariant: no write is ever issued here.
 */
#include "raid/probe.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

static const char *const policy_names[] = {
	[RAID_POLICY_RESYNC] = "resync",
	[RAID_POLICY_BITMAP] = "bitmap",
	[RAID_POLICY_PPL] = "ppl",
};

const char *
raid_policy_name(enum raid_policy policy)
{
	assert((size_t)policy < nitems(policy_names));
	return policy_names[policy];
}

int
raid_policy_parse(const char *text, enum raid_policy *policy)
{
	for (unsigned i = 0; i < nitems(policy_names); i++) {
		if (strcmp(text, policy_names[i]) == 0) {
			*policy = (enum raid_policy)i;
			return 0;
		}
	}
	return -EINVAL;
}

void
uuid_text(char text[UUID_TEXT], const uint8_t uuid[16])
{
	for (unsigned i = 0; i < 4; i++)
		snprintf(text + 9 * i, UUID_TEXT - 9 * i,
		    "%02x%02x%02x%02x%s", uuid[4 * i], uuid[4 * i + 1],
		    uuid[4 * i + 2], uuid[4 * i + 3], i < 3 ? ":" : "");
}

void
spec_from_sb(struct raid_spec *spec, const struct sb1 *sb)
{
	memset(spec, 0, sizeof(*spec));
	memcpy(spec->name, sb->set_name, RAID_NAME_MAX);
	memcpy(spec->uuid, sb->set_uuid, 16);
	spec->level = sb->level;
	spec->layout = (enum raid_layout)sb->layout;
	spec->policy = RAID_POLICY_RESYNC;
	if ((sb->feature_map & SB1_BITMAP) != 0)
		spec->policy = RAID_POLICY_BITMAP;
	else if ((sb->feature_map & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0)
		spec->policy = RAID_POLICY_PPL;
	spec->members = sb->raid_disks;
	spec->chunk_bytes = sb->chunksize > UINT32_MAX / 512 ? 0 :
	    sb->chunksize * 512;
	spec->member_bytes = sb->size > UINT64_MAX / 512 ? 0 : sb->size * 512;
}

enum probe_step { PR_READ, PR_JUDGE, PR_LOG, PR_END };
static const char *const probe_steps[] = { "READ", "JUDGE", "LOG", "END" };

static void
probe_read(struct probe *probe, uint64_t off, size_t len, struct op *op)
{
	assert(len <= SB1_BYTES);
	probe->iov.iov_base = probe->buf;
	probe->iov.iov_len = len;
	io_init(&probe->io, IO_READ, off, len, &probe->iov, 1, 0);
	blk_submit(probe->blk, &probe->io, op);
}

static void
probe_judge(struct probe *probe)
{
	uint64_t sectors = probe->blk->geo.size / 512;

	if (probe->io.result < 0) {
		probe->rc = err_set(&probe->err, -probe->io.result, "its md "
		    "superblock could not be read: %s",
		    strerror(-probe->io.result));
		return;
	}
	probe->rc = sb1_decode(&probe->sb, probe->buf, SB1_BYTES,
	    &probe->err);
	if (probe->rc == 0)
		probe->rc = sb1_check(&probe->sb, sectors, &probe->err);
}

/* Nothing that a disk says is bad may be read from it. */
static enum probe_step
probe_want_log(struct probe *probe, struct op *op)
{
	const struct sb1 *sb = &probe->sb;
	uint64_t off;
	size_t len = probe->rc < 0 ? 0 :
	    sb1_bblog(sb, probe->blk->geo.logical_block, &off);

	bblog_init(&probe->bblog, len, 0);
	if (probe->rc < 0)
		return PR_END;
	if ((sb->feature_map & SB1_BAD_BLOCKS) == 0) {
		probe->sb.bblog_shift = 0;
		return PR_END;
	}
	if (len > 0) {
		probe_read(probe, off, len, op);
		return PR_LOG;
	}
	probe->rc = err_set(&probe->err, ENOTSUP, "its bad-block log is in an "
	    "unusual place");
	err_hint(&probe->err, "mdadm --update=force-no-bbl forgets the log; "
	    "then scrub the array");
	return PR_END;
}

static void
probe_log(struct probe *probe)
{
	size_t len = probe->iov.iov_len;

	if (probe->io.result == 0)
		probe->rc = bblog_decode(&probe->bblog, probe->buf, len,
		    probe->sb.bblog_shift, &probe->err);
	else
		probe->rc = err_set(&probe->err, -probe->io.result, "its "
		    "bad-block log could not be read: %s",
		    strerror(-probe->io.result));
}

static void
probe_run(struct op *op)
{
	struct probe *probe = op_owner(op, struct probe);

	switch ((enum probe_step)op->step) {
	case PR_READ:
		if (probe->blk->geo.size < SB1_OFFSET + SB1_BYTES) {
			probe->rc = err_set(&probe->err, ENODATA, "it is too "
			    "small (%llu bytes) to be a member",
			    (unsigned long long)probe->blk->geo.size);
			op_end(op);
			return;
		}
		probe_read(probe, SB1_OFFSET, SB1_BYTES, op);
		op->step = PR_JUDGE;
		return;
	case PR_JUDGE:
		probe_judge(probe);
		op->step = probe_want_log(probe, op);
		return;
	case PR_LOG:
		probe_log(probe);
		op->step = PR_END;
		return;
	case PR_END:
		op_end(op);
		return;
	}
	bug("raid_probe: bad step");
}

static const struct op_type probe_type = {
	.name = "raid_probe",
	.steps = probe_steps,
	.nsteps = nitems(probe_steps),
	.run = probe_run,
};

void
probe_start(struct probe *probe, struct blk *blk, uint8_t *buf,
    struct op *parent)
{
	probe->blk = blk;
	probe->buf = buf;
	probe->rc = 0;
	err_clear(&probe->err);
	op_start(&probe->op, &probe_type, loop_sched(blk->loop), parent);
}

/* --- raid_examine --- */

enum examine_step { EX_PROBE, EX_REPORT };
static const char *const examine_steps[] = { "PROBE", "REPORT" };

static void
examine_report(struct raid_examine *ex, const struct probe *probe)
{
	const struct sb1 *sb = &probe->sb;
	uint16_t role;

	ex->err = probe->err;
	ex->is_blank = probe->rc == -ENODATA;
	ex->is_member = probe->rc == 0;
	if (!ex->is_member)
		return;
	spec_from_sb(&ex->spec, sb);
	memcpy(ex->device_uuid, sb->device_uuid, 16);
	role = sb1_role(sb, sb->dev_number);
	ex->role = sb1_role_active(role) ? (int)role :
	    role == SB1_ROLE_FAULTY ? -2 : -1;
	ex->events = sb->events;
	ex->utime = sb->utime & SB1_TIME_MASK;
	ex->clean = sb->resync_offset == SB1_CLEAN;
}

static void
examine_run(struct op *op)
{
	struct raid_examine *ex = op_owner(op, struct raid_examine);
	struct probe *probe = ex->priv;

	switch ((enum examine_step)op->step) {
	case EX_PROBE:
		err_clear(&ex->err);
		ex->is_member = ex->is_blank = false;
		ex->priv = probe = calloc(1, sizeof(*probe));
		if (probe != NULL)
			probe->buf = aligned_alloc(4096, SB1_BYTES);
		if (probe != NULL && probe->buf != NULL)
			probe_start(probe, ex->blk, probe->buf, op);
		op->step = EX_REPORT;
		return;
	case EX_REPORT:
		if (probe != NULL && probe->buf != NULL)
			examine_report(ex, probe);
		else
			err_set(&ex->err, ENOMEM, "out of memory");
		if (probe != NULL)
			free(probe->buf);
		free(probe);
		ex->priv = NULL;
		op_end(op);
		return;
	}
	bug("raid_examine: bad step");
}

static const struct op_type examine_type = {
	.name = "raid_examine",
	.steps = examine_steps,
	.nsteps = nitems(examine_steps),
	.run = examine_run,
};

void
raid_examine_start(struct raid_examine *examine, struct op *parent)
{
	assert(examine->blk != NULL);
	op_start(&examine->op, &examine_type, loop_sched(examine->blk->loop),
	    parent);
}
