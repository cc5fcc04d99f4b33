/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random commands, well formed and not, from several nexuses at once, with
 * aborts, resets, map changes and failing or delayed requests to the blk in
 * between.  Whatever comes in, each command ends once, with a status that
 * fits its sense data, and the LU is idle and consistent afterwards.
 *
 *	scsi_fuzz [first-seed [number of seeds]]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/scsi_fix.h"

#define RUNS 12
#define COMMANDS 1500

struct fuzz {
	struct fix *f;
	uint64_t state;
	struct run *runs;
	bool busy[RUNS];
	uint8_t data[RUNS][8192];
	unsigned statuses[256];
};

static uint64_t
rnd(struct fuzz *z, uint64_t n)
{
	z->state ^= z->state << 13;
	z->state ^= z->state >> 7;
	z->state ^= z->state << 17;
	return (z->state >> 11) % n;
}

static const struct scsi_opcode *
random_row(struct fuzz *z)
{
	const struct scsi_opcode *row = NULL;
	uint64_t n = rnd(z, 59);

	do
		row = scsi_opcode_next(row);
	while (row != NULL && n-- > 0);
	return row != NULL ? row : scsi_opcode_next(NULL);
}

static void
put_field(uint8_t *cdb, struct scsi_field f, uint64_t v)
{
	for (unsigned i = f.size; i-- > 0; v >>= 8)
		cdb[f.at + i] = (uint8_t)v;
}

/* Mostly a valid CDB of some row; sometimes with a bit flipped; or noise. */
static void
random_cdb(struct fuzz *z, uint8_t cdb[16], const struct scsi_opcode **out)
{
	const struct scsi_opcode *row = random_row(z);

	*out = row;
	for (unsigned i = 0; i < 16; i++)
		cdb[i] = (uint8_t)rnd(z, 256);
	if (rnd(z, 20) == 0)
		return;
	for (unsigned i = 0; i < row->cdb_len; i++)
		cdb[i] &= row->usage[i];
	if (rnd(z, 3) != 0)
		cdb[1] &= 0x1f;
	cdb[0] = row->opcode;
	if (row->has_sa)
		cdb[row->sa_byte] = (uint8_t)((cdb[row->sa_byte] & 0xe0) |
		    row->sa);
	if (row->lba.size != 0 && rnd(z, 8) != 0)
		put_field(cdb, row->lba, rnd(z, 64));
	if (row->len.size != 0 && rnd(z, 8) != 0)
		put_field(cdb, row->len, (row->flags & OPC_RANGE) ?
		    rnd(z, 10) : rnd(z, 300));
	if (rnd(z, 30) == 0)
		cdb[rnd(z, 16)] ^= (uint8_t)(1u << rnd(z, 8));
}

/* Parameter lists that get past the first checks now and then. */
static void
random_data(struct fuzz *z, uint8_t *data, const struct scsi_opcode *row)
{
	struct wire_out out = wire_out(data, 512);

	memset(data, 0, 8192);
	for (uint64_t n = rnd(z, 6); n > 0; n--)
		data[rnd(z, 64)] = (uint8_t)rnd(z, 256);
	if (row->opcode == 0x5f && rnd(z, 10) != 0) {
		put_be64(&out, rnd(z, 3));
		put_be64(&out, rnd(z, 3));
		if (row->sa == 7) {
			put_be16(&out, (uint16_t)rnd(z, 4));
			put_be16(&out, 1);
			put_be32(&out, 44);
			transport_id_encode(&out, "iqn.2026-01.test:b",
			    (uint8_t[6]){ 0x80, 0, 0, 0, 0, 1 });
		}
	} else if (row->opcode == 0x42) {
		put_be16(&out, 22);
		put_be16(&out, (uint16_t)(16 * rnd(z, 3)));
		put_be32(&out, 0);
		put_be64(&out, rnd(z, 64));
		put_be32(&out, (uint32_t)rnd(z, 9));
	}
}

/* Data for everybody: a command may wait for another that waits for data. */
static void
serve_all(struct fuzz *z)
{
	for (unsigned i = 0; i < RUNS; i++) {
		z->runs[i].hold = false;
		if (z->busy[i] && z->runs[i].held != NULL)
			fix_serve(&z->runs[i]);
	}
}

static void
expect_ended_well(struct fuzz *z, const struct scsi_cmd *cmd)
{
	assert_true(cmd->op.ended);
	assert_true((cmd->status == SCSI_CHECK_CONDITION) ==
	    (cmd->sense_len > 0));
	assert_true(cmd->in_valid <= cmd->in_len);
	assert_true(cmd->status != SCSI_TASK_ABORTED || cmd->aborted);
	z->statuses[cmd->status]++;
}

static void
reap(struct fuzz *z, unsigned i)
{
	serve_all(z);
	fix_finish(z->f, &z->runs[i]);
	expect_ended_well(z, &z->runs[i].cmd);
	z->busy[i] = false;
}

static void
start(struct fuzz *z, unsigned i)
{
	static const uint32_t lens[] = { 0, 8, 24, 64, 512, 1024, 4096 };
	struct run *r = &z->runs[i];
	const struct scsi_opcode *row;
	uint8_t cdb[16];
	uint32_t out_len = lens[rnd(z, nitems(lens))];

	random_cdb(z, cdb, &row);
	random_data(z, z->data[i], row);
	if ((row->flags & OPC_OUT) && row->len.size != 0 && rnd(z, 5) != 0) {
		out_len = (uint32_t)be(cdb + row->len.at, row->len.size);
		if (row->flags & OPC_RANGE)
			out_len *= row->opcode == 0x89 ? 1024 : 512;
		if (row->opcode == 0x93 || row->opcode == 0x41)
			out_len = 512;
		if (out_len > sizeof(z->data[0]))
			out_len = sizeof(z->data[0]);
	}
	r->hold = rnd(z, 6) == 0;
	r->attr = (enum scsi_attr)(rnd(z, 6) == 0 ? rnd(z, 5) : 1);
	r->collect_error = rnd(z, 60) == 0 ? -EIO : 0;
	r->held = NULL;
	memset(r->cmd.lun, 0, 8);
	r->cmd.lun[1] = rnd(z, 20) == 0;
	fix_start(z->f, r, (unsigned)rnd(z, NEXUSES), cdb, 16, z->data[i],
	    out_len, lens[rnd(z, nitems(lens))]);
	z->busy[i] = true;
}

static void
reset(struct fuzz *z)
{
	struct scsi_tmf_req req = {
		.nexus = z->f->nexus[rnd(z, NEXUSES)],
		.function = (enum scsi_tmf)rnd(z, SCSI_QUERY_TASK_SET + 1),
	};

	blk_fault_clear(z->f->fault);
	serve_all(z);
	scsi_tmf_start(&req, NULL);
	loop_run_op(z->f->loop, &req.op);
}

static void
remap(struct fuzz *z)
{
	struct scsi_map_entry map[2] = {
		{ .lun = 0, .lu = z->f->lu, .read_only = rnd(z, 12) == 0 },
		{ .lun = 1, .lu = z->f->lu },
	};

	scsi_nexus_set_map(z->f->nexus[rnd(z, NEXUSES)], map,
	    rnd(z, 8) == 0 ? 0 : 1 + (unsigned)rnd(z, 2));
}

static void
disturb(struct fuzz *z)
{
	struct fault_rule rule = { .count = 2, .delay_ms = 1,
	    .action = rnd(z, 2) == 0 ? FAULT_DELAY : FAULT_ERROR,
	    .err = EIO };
	unsigned i = (unsigned)rnd(z, RUNS);

	switch (rnd(z, 40)) {
	case 0:
		assert_int_equal(blk_fault_add(z->f->fault, &rule), 0);
		break;
	case 1:
		reset(z);
		break;
	case 2:
		remap(z);
		break;
	case 3:
		blk_fault_clear(z->f->fault);
		break;
	case 4:
	case 5:
		if (z->busy[i])
			scsi_cmd_abort(&z->runs[i].cmd);
		break;
	default:
		break;
	}
}

static void
finish(struct fuzz *z)
{
	struct scsi_lu *lu = z->f->lu;

	blk_fault_clear(z->f->fault);
	for (unsigned i = 0; i < RUNS; i++)
		if (z->busy[i])
			reap(z, i);
	assert_int_equal(lu->ntasks, 0);
	assert_int_equal(lu->nbarriers, 0);
	assert_true(TAILQ_EMPTY(&lu->locks.queue));
	assert_false(lu->work_busy || lu->pr_busy);
}

static void
one_seed(struct fuzz *z, uint64_t seed)
{
	z->state = seed * 0x9e3779b97f4a7c15 + 1;
	memset(z->busy, 0, sizeof(z->busy));
	z->f = fix_new(&(struct fix_opts){ .size = 64 * 512, .block = 512,
	    .thin = seed % 2, .granularity = 4096,
	    .removable = seed % 3 == 0, .durable = seed % 5 == 0 });
	for (unsigned n = 0; n < COMMANDS; n++) {
		unsigned i = (unsigned)rnd(z, RUNS);

		if (z->busy[i])
			reap(z, i);
		start(z, i);
		disturb(z);
		if (rnd(z, 50) == 0)
			fix_turn(z->f);
	}
	finish(z);
	fix_free(z->f);
}

static uint64_t first_seed = 1, nseeds = 12;

static void
random_commands_end_and_leave_the_lu_idle(void **state)
{
	struct fuzz *z = calloc(1, sizeof(*z));

	(void)state;
	z->runs = calloc(RUNS, sizeof(*z->runs));
	for (uint64_t i = 0; i < nseeds; i++)
		one_seed(z, first_seed + i);
	print_message("%llu seeds: good %u, check %u, conflict %u, aborted "
	    "%u\n", (unsigned long long)nseeds, z->statuses[SCSI_GOOD],
	    z->statuses[SCSI_CHECK_CONDITION],
	    z->statuses[SCSI_RESERVATION_CONFLICT],
	    z->statuses[SCSI_TASK_ABORTED]);
	assert_true(z->statuses[SCSI_GOOD] > 0);
	free(z->runs);
	free(z);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_commands_end_and_leave_the_lu_idle),
	};

	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		nseeds = strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
