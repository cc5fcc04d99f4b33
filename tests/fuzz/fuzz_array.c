/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An array whose members hold what the fuzzer put there is assembled, or
 * refused; if it runs, it is read, written, scrubbed and stopped.  What is on
 * a disk must never reach an assert, and nothing may wait for ever.
 *
 * The first byte chooses the array: its policy, whether it crashed, and in the
 * high bit the disks' blocks.  Then come changes: disk, area, offset (two
 * bytes), length, bytes.  At the end the checksums are made right, so that
 * what they guard is looked at.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/util.h"
#include "raid/ppl.h"
#include "raid/raid.h"
#include "raid/sb1.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#define DISKS 3u
#define DISK_BYTES (2 * MIB + 128 * KIB)
#define ARRAYS 6u
#define LOG_OFF (16 * 512u)		/* bitmap or partial parity log */

struct work {
	struct op op;
	struct sim *sim;
	struct loop *loop;
	struct blk *blk[DISKS];
	struct raid *raid;
	struct io io;
	struct iovec iov;
	uint8_t buf[64 * KIB];
};

static uint8_t *images[ARRAYS][DISKS];

static void
boot(struct work *w, uint32_t block)
{
	w->sim = sim_new(1, false);
	w->loop = sim_boot(w->sim);
	log_set_level(LOG_L_ERR);
	for (unsigned i = 0; i < DISKS; i++) {
		w->blk[i] = blk_ram_new(w->loop, DISK_BYTES, block);
		if (w->blk[i] == NULL)
			abort();
	}
}

static void
io_run(struct op *op)
{
	struct work *w = op_owner(op, struct work);

	if (op->step++ == 0)
		blk_submit(raid_blk(w->raid), &w->io, op);
	else
		op_end(op);
}

static const struct op_type io_type = { .name = "fuzz_io", .run = io_run };

static void
do_io(struct work *w, enum io_kind kind, uint64_t off, uint64_t len)
{
	w->iov = (struct iovec){ w->buf, len };
	io_init(&w->io, kind, off, len, &w->iov, 1, 0);
	op_start(&w->op, &io_type, loop_sched(w->loop), NULL);
	sim_run_op(w->sim, &w->op, SIM_FOREVER);
}

static void
stop(struct work *w)
{
	struct raid_stop stop = { .raid = w->raid };

	raid_stop_start(&stop, NULL);
	sim_run_op(w->sim, &stop.op, SIM_FOREVER);
}

/* An array with a policy, stopped, or in the middle of its writes. */
static void
make(unsigned k)
{
	struct raid_create create = { .spec = { .name = "fuzz", .level = 5,
		.layout = RAID_LEFT_SYMMETRIC, .members = DISKS,
		.policy = (enum raid_policy)(k % 3), .chunk_bytes = 16384 } };
	struct work *w = calloc(1, sizeof(*w));

	if (w == NULL)
		abort();
	boot(w, 512);
	create.loop = w->loop;
	for (unsigned i = 0; i < DISKS; i++)
		create.members[i] = w->blk[i];
	raid_create_start(&create, NULL);
	sim_run_op(w->sim, &create.op, SIM_FOREVER);
	if (create.raid == NULL)
		abort();
	w->raid = create.raid;
	memset(w->buf, 'a', sizeof(w->buf));
	for (unsigned i = 0; i < 4; i++)
		do_io(w, IO_WRITE, i * 24 * KIB, 4096 << i);
	for (unsigned i = 0; i < DISKS; i++) {
		images[k][i] = malloc(DISK_BYTES);
		if (images[k][i] == NULL)
			abort();
		memcpy(images[k][i], blk_ram_data(w->blk[i]), DISK_BYTES);
	}
	for (unsigned i = 0; k < 3 && i < DISKS; i++)	/* as when stopped */
		memset(images[k][i] + SB1_OFFSET + 208, 0xff, 8);
	stop(w);
	sim_shutdown(w->sim);
	sim_free(w->sim);
	free(w);
}

static void
put32(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void
change(struct work *w, const uint8_t *data, size_t size)
{
	static const uint32_t area[] = { SB1_OFFSET, LOG_OFF,
		(8 + 2056) * 512, (8 + 2064) * 512, (8 + 2064 + 512) * 512,
		(8 + 2064 + 768) * 512, 2 * MIB, SB1_OFFSET };

	while (size >= 5) {
		size_t n = MIN((size_t)data[4], size - 5);
		size_t at = area[data[1] % nitems(area)] +
		    (data[2] | (size_t)data[3] << 8);

		memcpy(blk_ram_data(w->blk[data[0] % DISKS]) + at, data + 5,
		    n);
		data += 5 + n;
		size -= 5 + n;
	}
}

static void
fix_sums(uint8_t *disk)
{
	uint8_t *sb = disk + SB1_OFFSET, *header = disk + LOG_OFF;
	uint32_t max_dev = sb[220] | (uint32_t)sb[221] << 8;

	if (max_dev <= SB1_ROLES_MAX) {
		put32(sb + 216, 0);
		put32(sb + 216, sb1_csum(sb, 256 + 2 * (size_t)max_dev));
	}
	if (header[0] == 0xff) {
		put32(header + 532, 0);
		put32(header + 532, ppl_crc(header, PPL_HEADER));
	}
}

static void
use(struct work *w)
{
	uint64_t size = raid_blk(w->raid)->geo.size;
	struct raid_convert convert = { .raid = w->raid };
	struct raid_info info;

	for (uint64_t off = 0; off < MIN(size, 512 * KIB); off += 32 * KIB)
		do_io(w, IO_READ, off, MIN(32 * KIB, size - off));
	for (uint64_t off = 0; off < MIN(size, 128 * KIB); off += 20 * KIB)
		do_io(w, IO_WRITE, off, MIN(12 * KIB, size - off));
	do_io(w, IO_FLUSH, 0, 0);
	(void)raid_scrub(w->raid, true, NULL);
	sim_sleep(w->sim, 2000);
	raid_get_info(w->raid, &info);
	convert.policy = (enum raid_policy)((info.spec.policy + 1) % 3);
	raid_convert_start(&convert, NULL);
	sim_run_op(w->sim, &convert.op, SIM_FOREVER);
	do_io(w, IO_WRITE, 0, 4096);
	stop(w);
}

static void
assemble(struct work *w)
{
	struct raid_assemble *a = calloc(1, sizeof(*a));

	if (a == NULL)
		abort();
	a->loop = w->loop;
	a->allow_degraded = true;
	for (unsigned i = 0; i < DISKS; i++)
		a->blks[a->nblks++] = w->blk[i];
	raid_assemble_start(a, NULL);
	sim_run_op(w->sim, &a->op, SIM_FOREVER);
	w->raid = a->raid;
	assert((a->raid == NULL) == (a->err.code != 0));
	if (w->raid != NULL) {
		for (unsigned i = 0; i < a->nrejected; i++)
			blk_close(a->rejected[i].blk);
		use(w);
	} else {
		for (unsigned i = 0; i < DISKS; i++)
			blk_close(w->blk[i]);
	}
	free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct work *w;
	unsigned k;

	if (size == 0)
		return 0;
	k = (data[0] & 0x7f) % ARRAYS;
	if (images[k][0] == NULL)
		make(k);
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return 0;
	boot(w, data[0] < 0x80 ? 512 : 4096);
	for (unsigned i = 0; i < DISKS; i++)
		memcpy(blk_ram_data(w->blk[i]), images[k][i], DISK_BYTES);
	change(w, data + 1, size - 1);
	for (unsigned i = 0; i < DISKS; i++)
		fix_sums(blk_ram_data(w->blk[i]));
	assemble(w);
	sim_shutdown(w->sim);
	sim_free(w->sim);
	free(w);
	return 0;
}
