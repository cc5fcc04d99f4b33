/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A logical unit on a RAM blk behind a fault injector, two nexuses and a
 * transport that hands out write data from memory.
 */
#ifndef TESTS_SCSI_FIX_H
#define TESTS_SCSI_FIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "target/scsi/scsi_priv.h"

#define NEXUSES 3
#define A 0
#define B 1
#define C 2

struct fix {
	struct loop *loop;
	struct blk *ram, *fault;
	struct scsi_lu *lu;
	struct scsi_lu_params params;
	struct scsi_port *port, *port2;
	struct scsi_nexus *nexus[NEXUSES];
	struct buf_pool *bufs;
	uint8_t *mem;		/* the medium */
	/* last blob saved; save fails with save_error */
	uint8_t blob[65536];
	size_t blob_len;
	unsigned saves;
	int save_error;
};

/* One command as the test sees it. */
struct run {
	struct scsi_cmd cmd;
	uint8_t data[65536];	/* data-in, first in_valid bytes */
	const uint8_t *out;
	struct op *held;	/* collect that is not served yet */
	struct buf *held_buf;
	uint32_t held_len;
	int *held_result;
	bool hold;		/* do not serve the collect at once */
	int collect_error;
	enum scsi_attr attr;
};

struct fix_opts {
	uint64_t size;
	uint32_t block, optimal, granularity, physical;
	bool thin, durable, write_through, removable, read_only;
};

struct fix *fix_new(const struct fix_opts *opts);
void fix_free(struct fix *f);
int fix_setup(void **state);	/* 1 MiB, 512-byte blocks, UAs cleared */
int fix_teardown(void **state);

/* Start without running; then run to the end. */
void fix_start(struct fix *f, struct run *r, unsigned nexus, const void *cdb,
    size_t cdb_len, const void *out, uint32_t out_len, uint32_t in_len);
void fix_finish(struct fix *f, struct run *r);
/* Let the loop turn without waiting for a command. */
void fix_turn(struct fix *f);
void fix_serve(struct run *r);	/* a held collect */
/* The whole command with the data lengths the transport would use. */
void fix_run(struct fix *f, struct run *r, unsigned nexus, const void *cdb,
    size_t cdb_len, const void *out, uint32_t out_len, uint32_t in_len);

#define CDB(...) ((const uint8_t[]){ __VA_ARGS__ }), \
    sizeof((const uint8_t[]){ __VA_ARGS__ })

void expect_good(const struct run *r);
void expect_conflict(const struct run *r);
void expect_sense(const struct run *r, unsigned key, unsigned asc,
    unsigned ascq);
uint64_t be(const uint8_t *p, unsigned n);

#endif
