/* SPDX-License-Identifier: BSD-2-Clause */
/* The fixture of the SCSI unit tests; see scsi_fix.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/blk.h"
#include "tests/unit/scsi_fix.h"

static void
save(void *arg, const void *blob, size_t len, int *result, struct op *waiter)
{
	struct fix *f = arg;

	(void)waiter;
	f->saves++;
	*result = f->save_error;
	if (f->save_error != 0)
		return;
	assert_true(len <= sizeof(f->blob));
	if (len > 0)
		memcpy(f->blob, blob, len);
	f->blob_len = len;
}

struct fix *
fix_new(const struct fix_opts *opts)
{
	static const uint8_t uuid[16] = { 0xa1, 0xb2, 0xc3, 0xd4, 5, 6, 7, 8,
	    9, 10, 11, 12, 13, 14, 15, 16 };
	static const char *const names[NEXUSES] = { "iqn.2026-01.test:a",
	    "iqn.2026-01.test:b", "iqn.2026-01.test:c" };
	struct fix *f = calloc(1, sizeof(*f));
	struct scsi_lu_store store = { .save = save, .arg = f };
	struct err err = { 0 };

	f->loop = loop_new(&err);
	assert_non_null(f->loop);
	f->ram = blk_ram_new(f->loop, opts->size, opts->block);
	f->mem = blk_ram_data(f->ram);
	f->fault = blk_fault_new(f->ram);
	f->fault->geo.optimal_io = opts->optimal;
	f->fault->geo.discard_granularity = opts->granularity;
	f->fault->geo.discard_zeroes = true;
	if (opts->physical != 0)
		f->fault->geo.physical_block = opts->physical;
	f->params = (struct scsi_lu_params){
		.name = "pool/vol", .write_cache = !opts->write_through,
		.durable = opts->durable, .thin = opts->thin,
		.removable = opts->removable, .read_only = opts->read_only,
	};
	scsi_lu_id_from_uuid(&f->params.id, uuid);
	f->lu = scsi_lu_new(f->loop, f->fault, &f->params, &store);
	f->port = scsi_port_new("iqn.2026-01.test:target", 1, 1);
	f->port2 = scsi_port_new("iqn.2026-01.test:target", 2, 2);
	f->bufs = buf_pool_new(64, 256);
	for (unsigned i = 0; i < NEXUSES; i++) {
		uint8_t isid[6] = { 0x80, 0, 0, 0, 0, (uint8_t)i };
		struct scsi_map_entry map = { .lun = 0, .lu = f->lu };

		f->nexus[i] = scsi_nexus_new(f->loop, i == C ? f->port2 :
		    f->port, names[i], isid, f->bufs);
		scsi_nexus_set_map(f->nexus[i], &map, 1);
	}
	return f;
}

void
fix_free(struct fix *f)
{
	for (unsigned i = 0; i < NEXUSES; i++)
		scsi_nexus_free(f->nexus[i]);
	scsi_port_free(f->port);
	scsi_port_free(f->port2);
	scsi_lu_free(f->lu);
	blk_close(f->fault);
	buf_pool_free(f->bufs);
	loop_free(f->loop);
	free(f);
}

int
fix_setup(void **state)
{
	struct fix *f = fix_new(&(struct fix_opts){ .size = MIB,
	    .block = 512, .thin = true, .granularity = 4096 });

	for (unsigned i = 0; i < NEXUSES; i++)
		f->nexus[i]->luns[0]->ua = 0;
	*state = f;
	return 0;
}

int
fix_teardown(void **state)
{
	fix_free(*state);
	return 0;
}

static void
collect(struct scsi_cmd *cmd, struct buf *buf, uint32_t off, uint32_t len,
    int *result, struct op *op)
{
	struct run *r = cmd->xfer_arg;

	assert_int_equal(off, 0);
	assert_true(len <= cmd->out_len);
	assert_null(r->held);
	*result = r->collect_error;
	if (r->hold) {
		r->held = op;
		r->held_buf = buf;
		r->held_len = len;
		r->held_result = result;
		op_hold(op);
	} else if (r->collect_error == 0) {
		iov_from_buf(buf->iov, buf->niov, 0, r->out, len);
	}
}

static void
aborted(struct scsi_cmd *cmd)
{
	struct run *r = cmd->xfer_arg;
	struct op *op = r->held;

	if (op == NULL)
		return;
	r->held = NULL;
	*r->held_result = -ECANCELED;
	op_unhold(op);
}

void
fix_serve(struct run *r)
{
	struct op *op = r->held;

	assert_non_null(op);
	r->held = NULL;
	iov_from_buf(r->held_buf->iov, r->held_buf->niov, 0, r->out,
	    r->held_len);
	op_unhold(op);
}

static const struct scsi_xfer_ops xfer = {
	.collect = collect,
	.abort = aborted,
};

void
fix_start(struct fix *f, struct run *r, unsigned nexus, const void *cdb,
    size_t cdb_len, const void *out, uint32_t out_len, uint32_t in_len)
{
	uint8_t lun[8];

	memcpy(lun, r->cmd.lun, sizeof(lun));
	memset(&r->cmd, 0xa5, sizeof(r->cmd));	/* stale memory */
	memcpy(r->cmd.lun, lun, sizeof(lun));
	r->cmd.nexus = f->nexus[nexus];
	r->cmd.xfer = &xfer;
	r->cmd.xfer_arg = r;
	memset(r->cmd.cdb, 0, sizeof(r->cmd.cdb));
	memcpy(r->cmd.cdb, cdb, cdb_len);
	r->cmd.cdb_len = 16;
	r->cmd.attr = r->attr;
	r->cmd.out_len = out_len;
	r->cmd.in_len = in_len;
	r->out = out;
	scsi_cmd_start(&r->cmd, NULL);
}

void
fix_finish(struct fix *f, struct run *r)
{
	if (!r->cmd.op.ended)
		loop_run_op(f->loop, &r->cmd.op);
	memset(r->data, 0xee, sizeof(r->data));
	if (r->cmd.in_valid > 0)
		iov_to_buf(r->cmd.in.iov, r->cmd.in.niov, 0, r->data,
		    MIN(r->cmd.in_valid, sizeof(r->data)));
	scsi_cmd_fini(&r->cmd);
}

struct turn {
	struct op op;
	struct timer timer;
	struct loop *loop;
};

static void
turn_run(struct op *op)
{
	struct turn *t = op_owner(op, struct turn);

	if (op->step++ == 0)
		op_sleep(t->loop, &t->timer, 2, op);
	else
		op_end(op);
}

static const struct op_type turn_type = { .name = "turn", .run = turn_run };

void
fix_turn(struct fix *f)
{
	struct turn t = { .loop = f->loop };

	op_start(&t.op, &turn_type, loop_sched(f->loop), NULL);
	loop_run_op(f->loop, &t.op);
}

void
fix_run(struct fix *f, struct run *r, unsigned nexus, const void *cdb,
    size_t cdb_len, const void *out, uint32_t out_len, uint32_t in_len)
{
	fix_start(f, r, nexus, cdb, cdb_len, out, out_len, in_len);
	fix_finish(f, r);
}

uint64_t
be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

void
expect_good(const struct run *r)
{
	if (r->cmd.status == SCSI_CHECK_CONDITION)
		print_error("sense %x/%02x/%02x\n", r->cmd.sense[2],
		    r->cmd.sense[12], r->cmd.sense[13]);
	assert_int_equal(r->cmd.status, SCSI_GOOD);
	assert_int_equal(r->cmd.sense_len, 0);
}

void
expect_conflict(const struct run *r)
{
	assert_int_equal(r->cmd.status, SCSI_RESERVATION_CONFLICT);
	assert_int_equal(r->cmd.sense_len, 0);
}

void
expect_sense(const struct run *r, unsigned key, unsigned asc, unsigned ascq)
{
	assert_int_equal(r->cmd.status, SCSI_CHECK_CONDITION);
	assert_int_equal(r->cmd.sense[0] & 0x7f, 0x70);
	assert_int_equal(r->cmd.sense[2], key);
	assert_int_equal(r->cmd.sense[12], asc);
	assert_int_equal(r->cmd.sense[13], ascq);
	assert_int_equal(r->cmd.in_valid, 0);
}
