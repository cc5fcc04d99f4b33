/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the SCSI layer share.  A command's way: cmd.c finds the
 * LUN and the opcode's row, the row's op type runs it, every op type begins
 * with cmd_admit() (task set order, unit attentions, reservations, CDB and
 * range checks, all from the row) and ends with cmd_end().
 *
 * Invariants: a command is in its LU's task set from scsi_cmd_start() to
 * cmd_end(); whatever has a status other than GOOD left the medium as its
 * sense data says; an aborted command starts no more I/O.
 */
#ifndef TARGET_SCSI_PRIV_H
#define TARGET_SCSI_PRIV_H

#include <assert.h>

#include "core/wire.h"
#include "target/scsi/scsi.h"

#define PARAM_LEN_MAX	((size_t)BUF_SMALL)	/* most parameter data */
#define CDB_USAGE_MAX	16

/* --- sense codes used in more than one file (SPC-4 annex D) --- */

#define SENSE_INVALID_OPCODE	SENSE(0x05, 0x20, 0x00)
#define SENSE_LBA_RANGE		SENSE(0x05, 0x21, 0x00)
#define SENSE_INVALID_FIELD	SENSE(0x05, 0x24, 0x00)
#define SENSE_NO_LUN		SENSE(0x05, 0x25, 0x00)
#define SENSE_PARAM_LIST_LEN	SENSE(0x05, 0x1a, 0x00)
#define SENSE_PARAM_FIELD	SENSE(0x05, 0x26, 0x00)
#define SENSE_INFO_UNIT		SENSE(0x05, 0x0e, 0x03)
#define SENSE_NO_MEDIUM		SENSE(0x02, 0x3a, 0x00)
#define SENSE_WRITE_PROTECTED	SENSE(0x07, 0x27, 0x00)
#define SENSE_SOFT_PROTECTED	SENSE(0x07, 0x27, 0x02)
#define SENSE_MISCOMPARE	SENSE(0x0e, 0x1d, 0x00)
#define SENSE_DATA_PHASE	SENSE(0x0b, 0x4b, 0x00)

/* Illegal CDB field at `byte`, highest wrong bit `bit` (0xff: whole byte). */
struct sense sense_cdb_field(unsigned byte, unsigned bit);
struct sense sense_param_field(unsigned byte);

/* --- opcode table (opcode.c) --- */

/* Who gets through while another nexus holds a reservation. */
enum reserve_class {
	RESV_READ,	/* conflicts with SPC-2 and exclusive access */
	RESV_WRITE,	/* conflicts with every reservation of another */
	RESV_ALWAYS,	/* never conflicts */
	RESV_SPC2,	/* conflicts with an SPC-2 reservation only */
	RESV_PR,	/* PERSISTENT RESERVE: judged by pr.c */
	RESV_START_STOP, /* START STOP UNIT: START=1 passes a PR */
	RESV_PREVENT,	/* PREVENT ALLOW: allowing passes a PR */
};

#define OPC_IN		0x0001u	/* data-in */
#define OPC_OUT		0x0002u	/* data-out */
#define OPC_UA_OK	0x0004u	/* runs with a unit attention pending */
#define OPC_NO_LU	0x0008u	/* answered for an unmapped LUN too */
#define OPC_MEDIUM	0x0010u	/* needs the medium */
#define OPC_WRITE	0x0020u	/* refused when write protected */
#define OPC_STANDBY	0x0040u	/* allowed in standby (SPC-4 5.15.2.4.5) */
#define OPC_RANGE	0x0080u	/* [lba, lba+len) must be on the medium */
#define OPC_XFER	0x0100u	/* len limited by MAXIMUM TRANSFER LENGTH */
#define OPC_THIN	0x0200u	/* only where blocks can be unmapped */
#define OPC_REMOVABLE	0x0400u	/* only on removable media */
#define OPC_RW6		0x0800u	/* 21-bit LBA, length 0 means 256 */
#define OPC_LARGE	0x1000u	/* parameter data may exceed 4 KiB */

struct scsi_field {
	uint8_t at, size;	/* CDB bytes; size 0 = no such field */
};

struct scsi_opcode {
	const char *name;
	const struct op_type *type;	/* how it runs; NULL = not there */
	void (*exec)(struct scsi_cmd *cmd);	/* for scsi_simple_type */
	uint8_t opcode, sa;		/* sa: service action, if has_sa */
	bool has_sa;
	uint8_t sa_byte;		/* CDB byte that holds it (5 bits) */
	uint8_t cdb_len;
	uint8_t reserve;		/* enum reserve_class */
	uint16_t flags;
	uint16_t timeout_s;		/* recommended; nominal is 1 s */
	struct scsi_field lba, len;
	uint8_t usage[CDB_USAGE_MAX];	/* bits that may be set */
	const struct scsi_opcode *actions;	/* rows by service action */
	uint8_t nactions;
};

/* Rows in ascending order of opcode and service action; NULL at the end. */
const struct scsi_opcode *scsi_opcode_next(const struct scsi_opcode *row);
const struct scsi_opcode *scsi_opcode_find(const uint8_t *cdb, size_t len);
/* Opcode is known but the service action may not be. */
bool scsi_opcode_known(uint8_t opcode, bool *has_sa);
bool scsi_opcode_supported(const struct scsi_opcode *row,
    const struct scsi_lu *lu);

/* --- CDB decoding (cdb.c), pure --- */

struct sense scsi_cdb_decode(const struct scsi_opcode *row,
    const uint8_t *cdb, size_t len, struct scsi_cdb *out);

#define CDB_FUA		0x08u	/* READ and WRITE */
#define CDB_UNMAP	0x08u	/* WRITE SAME */
#define CDB_NDOB	0x01u
#define CDB_BYTCHK(flags)	((unsigned)(flags) >> 1 & 3u)

/* --- limits as in VPD B0h (limits.c), pure --- */

struct scsi_limits {
	uint32_t xfer_max;		/* blocks, one command */
	uint32_t xfer_optimal;
	uint16_t granularity;		/* optimal length granularity */
	uint32_t compare_max;		/* COMPARE AND WRITE */
	uint32_t same_max;		/* WRITE SAME */
	uint32_t unmap_max;		/* blocks in one UNMAP; 0 = no UNMAP */
	uint32_t unmap_descs;
	uint32_t unmap_granularity;	/* blocks */
	uint8_t lbppbe;			/* physical block exponent */
};
void scsi_limits_from_geometry(struct scsi_limits *limits,
    const struct blk_geometry *geo, bool thin);

/* --- unit attentions (nexus.c): bit number is the priority --- */

enum ua {
	UA_POWER_ON,		/* 29/00 */
	UA_LU_RESET,		/* 29/03 */
	UA_NEXUS_LOSS,		/* 29/07 */
	UA_RESERVATIONS_PREEMPTED,	/* 2A/03 */
	UA_RESERVATIONS_RELEASED,	/* 2A/04 */
	UA_REGISTRATIONS_PREEMPTED,	/* 2A/05 */
	UA_MODE_CHANGED,	/* 2A/01 */
	UA_CAPACITY_CHANGED,	/* 2A/09 */
	UA_INQUIRY_CHANGED,	/* 3F/03 */
	UA_LUNS_CHANGED,	/* 3F/0E */
	UA_MEDIUM_CHANGED,	/* 28/00 */
	UA_COUNT
};

/* --- a LUN as one nexus sees it --- */

struct nexus_lun {
	struct scsi_nexus *nexus;
	struct scsi_lu *lu;
	uint16_t lun;
	bool read_only;
	bool prevent;		/* PREVENT ALLOW MEDIUM REMOVAL */
	bool gone;		/* unmapped; the last command frees it */
	unsigned commands;	/* in flight */
	uint32_t ua;		/* pending, one bit per enum ua */
	struct pr_reg *reg;	/* this nexus' registration or NULL */
	LIST_ENTRY(nexus_lun) link;	/* lu->views */
};
void nexus_lun_free(struct nexus_lun *nl);	/* gone and idle */
void ua_raise(struct nexus_lun *nl, enum ua ua);
/* On all nexuses of the LU but `except` (may be NULL). */
void ua_raise_others(struct scsi_lu *lu, const struct nexus_lun *except,
    enum ua ua);
/* Take the most urgent one; SENSE_NONE if there is none. */
struct sense ua_take(struct nexus_lun *nl);

struct scsi_port {
	char target[SCSI_NAME_MAX + 1];
	uint16_t tag, relative_id;
	unsigned users;
};

struct scsi_nexus {
	struct loop *loop;
	struct scsi_port *port;
	struct buf_pool *bufs;
	char initiator[SCSI_NAME_MAX + 1];
	uint8_t isid[6];
	unsigned commands;		/* in flight, all LUNs */
	unsigned nluns;
	struct nexus_lun *luns[SCSI_LUNS_MAX];	/* by LUN, ascending */
};
/* SAM-5 4.7: single level; -1 if it cannot be one of ours. */
int scsi_lun_decode(const uint8_t lun[8]);
void scsi_lun_encode(uint16_t lun, uint8_t out[8]);
struct nexus_lun *nexus_find(const struct scsi_nexus *nexus, int lun);

/* --- mode parameters (mode.c) --- */

struct scsi_mode {
	bool d_sense, swp;
};

/* --- persistent reservations (pr.c, pr_in.c, pr_blob.c) --- */

#define PR_REGS_MAX 128u

enum pr_type {
	PR_NONE = 0,
	PR_WRITE_EXCL = 1,
	PR_EXCL_ACCESS = 3,
	PR_WRITE_EXCL_RO = 5,
	PR_EXCL_ACCESS_RO = 6,
	PR_WRITE_EXCL_AR = 7,
	PR_EXCL_ACCESS_AR = 8,
};

/* An I_T nexus that may not be there now (SPC-4 5.13.7). */
struct pr_reg {
	TAILQ_ENTRY(pr_reg) link;
	uint64_t key;
	char initiator[SCSI_NAME_MAX + 1];
	char target[SCSI_NAME_MAX + 1];
	uint8_t isid[6];
	uint16_t relative_id, tag;
	bool all_ports;			/* made with ALL_TG_PT */
};

struct pr_state {
	TAILQ_HEAD(pr_regs, pr_reg) regs;
	unsigned nregs;
	uint32_t generation;
	enum pr_type type;
	struct pr_reg *holder;		/* NULL for the all registrants types */
	bool aptpl;
};
void pr_init(struct pr_state *pr);
void pr_fini(struct pr_state *pr);
static inline bool
pr_type_all(enum pr_type type)
{
	return type == PR_WRITE_EXCL_AR || type == PR_EXCL_ACCESS_AR;
}
static inline bool
pr_is_holder(const struct pr_state *pr, const struct pr_reg *reg)
{
	return pr->type != PR_NONE && reg != NULL &&
	    (pr_type_all(pr->type) || pr->holder == reg);
}
/* Does [class] of a nexus with registration `reg` get past the PR? */
bool pr_allows(const struct pr_state *pr, const struct pr_reg *reg,
    enum reserve_class class);
/* The registration of an I_T nexus; NULL = not registered. */
struct pr_reg *pr_find(const struct pr_state *pr, const char *initiator,
    const uint8_t isid[6], const struct scsi_port *port);
struct pr_reg *pr_add(struct pr_state *pr);
void pr_remove(struct pr_state *pr, struct pr_reg *reg);
/* Link the LU's views to their registrations again. */
void pr_relink(struct scsi_lu *lu);
void pr_link(struct nexus_lun *nl);
/* Persistence: malloc'ed blob; decode is strict and all or nothing. */
void *pr_blob_encode(const struct pr_state *pr, size_t *len);
int pr_blob_decode(struct pr_state *pr, const void *blob, size_t len);
/* TransportID of an iSCSI initiator port (SPC-4 7.6.4.6). */
void transport_id_encode(struct wire_out *out, const char *initiator,
    const uint8_t isid[6]);
/* Returns its length, 0 if it is malformed; *any_isid: name only. */
size_t transport_id_decode(const uint8_t *id, size_t len,
    char initiator[SCSI_NAME_MAX + 1], uint8_t isid[6], bool *any_isid);

/* --- LBA range locks (lock.c) --- */

struct lba_locks {
	/* in order of arrival */
	TAILQ_HEAD(lba_lock_queue, lba_lock) queue;
	unsigned nexclusive;		/* queued or granted */
};
void lba_locks_init(struct lba_locks *locks);
/* Holds `op` until no earlier conflicting range is left. */
void lba_lock(struct lba_locks *locks, struct lba_lock *lock, uint64_t lba,
    uint64_t blocks, bool exclusive, struct op *op);
void lba_unlock(struct lba_locks *locks, struct lba_lock *lock);

/* --- logical unit --- */

struct scsi_lu {
	struct loop *loop;
	struct blk *blk;
	struct scsi_lu_params params;
	struct scsi_lu_store store;
	uint64_t nblocks;
	uint32_t block;			/* bytes */
	unsigned shift;			/* log2(block) */
	struct scsi_limits limits;
	struct scsi_mode mode;
	bool ejected;
	bool reserved;			/* SPC-2 or persistent: look closer */
	struct nexus_lun *spc2_holder;
	struct pr_state pr;
	LIST_HEAD(, nexus_lun) views;
	TAILQ_HEAD(scsi_task_set, scsi_cmd) tasks;	/* TST = 0 */
	unsigned ntasks;
	unsigned nbarriers;		/* ORDERED and HEAD OF QUEUE tasks */
	unsigned ndormant;
	unsigned ncollecting;		/* commands whose data is coming */
	struct lba_locks locks;
	struct op_queue drain;		/* wait for an empty task set */
	struct op_queue aborts;		/* wait for aborted commands */
	uint8_t *work;			/* WORK_LEN bytes, one user at a time */
	bool work_busy;
	struct op_queue work_queue;
	bool pr_busy;			/* a change is being made or saved */
	struct op_queue pr_queue;
	struct scsi_lu_stats stats;
};
#define WORK_LEN	BUF_LARGE
/* PR state or SPC-2 holder changed: recompute lu->reserved. */
void lu_reservation_changed(struct scsi_lu *lu);
void lu_spc2_release(struct scsi_lu *lu);
/* Blocks can be given back (UNMAP, LBPME). */
bool lu_can_unmap(const struct scsi_lu *lu);
/* GOOD means that the data is durable (WCE = 0). */
static inline bool
lu_durable(const struct scsi_lu *lu)
{
	return lu->params.durable || !lu->params.write_cache;
}
void lu_work_take(struct scsi_lu *lu, struct op *op);
void lu_work_give(struct scsi_lu *lu);
void lu_pr_lock(struct scsi_lu *lu, struct op *op);
void lu_pr_unlock(struct scsi_lu *lu);

/* --- task set (taskset.c) --- */

void task_enter(struct scsi_cmd *cmd);
/* False: older commands come first, the op is held until they have ended. */
bool task_enabled(struct scsi_cmd *cmd);
/* An aborted command waits for nobody. */
void task_wake(struct scsi_cmd *cmd);
void task_leave(struct scsi_cmd *cmd);

/* --- commands (cmd.c) --- */

extern const struct op_type scsi_refused_type;	/* no row */
extern const struct op_type scsi_simple_type;	/* exec on parameter data */
extern const struct op_type scsi_read_type, scsi_write_type;
extern const struct op_type scsi_sync_type;
extern const struct op_type scsi_caw_type, scsi_orwrite_type;
extern const struct op_type scsi_verify_type, scsi_write_verify_type;
extern const struct op_type scsi_write_same_type;
extern const struct op_type scsi_unmap_type, scsi_lba_status_type;
extern const struct op_type scsi_start_stop_type;
extern const struct op_type scsi_pr_out_type;

/*
 * First step of every command.  True: go on.  False: the op waits and the
 * step will be run again, or the command has ended.
 */
bool cmd_admit(struct scsi_cmd *cmd);
/* Last action of every command. */
void cmd_end(struct scsi_cmd *cmd);
/* Set CHECK CONDITION; the caller goes on to cmd_end(). */
void cmd_fail(struct scsi_cmd *cmd, struct sense sense);
/* Read data-out into cmd->out, which must be reserved. */
void cmd_collect(struct scsi_cmd *cmd, uint32_t len);
/* After it: false (and failed, or aborted) if the data is not there. */
bool cmd_collected(struct scsi_cmd *cmd);
/* Submit cmd->io for blocks at lba with the memory given. */
void cmd_io(struct scsi_cmd *cmd, enum io_kind kind, uint64_t lba,
    uint64_t blocks, const struct buf *buf, unsigned flags);
/* Write blocks from cmd->out, beginning at byte `off` of it. */
void cmd_io_part(struct scsi_cmd *cmd, uint64_t lba, uint64_t blocks,
    uint64_t off, unsigned flags);
/* Flush if GOOD promises durability; cmd->io tells the outcome. */
void cmd_flush(struct scsi_cmd *cmd);
/* After it: false (and failed) on error or abort. */
bool cmd_io_ok(struct scsi_cmd *cmd);
/* IO_FUA if this command's data must be durable before GOOD. */
unsigned cmd_fua(const struct scsi_cmd *cmd);
/* Parameter data-in: write into it, then say how long it is. */
struct wire_out cmd_in(struct scsi_cmd *cmd);
void cmd_in_done(struct scsi_cmd *cmd, const struct wire_out *out);
/* Parameter list that was collected. */
struct wire_in cmd_out(struct scsi_cmd *cmd);
/*
 * Blocks of data-out that really come, at most c.len; sets out_wanted.  Fails
 * the command if a short transfer is no whole number of blocks.
 */
uint32_t cmd_write_blocks(struct scsi_cmd *cmd);
void scsi_op_describe(const struct op *op, char *text, size_t size);
void scsi_cmd_describe(const struct scsi_cmd *cmd, char *text, size_t size);
static inline const struct scsi_cmd *
cmd_of(const struct op *op)
{
	return (const void *)((const char *)op - offsetof(struct scsi_cmd, op));
}
/* A command without LU or with one: fixed or descriptor sense. */
bool cmd_d_sense(const struct scsi_cmd *cmd);

/* --- reading back (extent.c) --- */

enum extent_kind {
	EXTENT_CHECK,		/* can it be read? */
	EXTENT_COMPARE,		/* with the data-out */
	EXTENT_COMPARE_ONE,	/* each block with the one of data-out */
	EXTENT_MERGE,		/* OR it into the data-out */
};
/* A child that walks [c.lba, c.lba + c.len); fails cmd if it must. */
void cmd_read_back(struct scsi_cmd *cmd, enum extent_kind how);

/* --- handlers of scsi_simple_type --- */

void scsi_test_unit_ready(struct scsi_cmd *cmd);
void scsi_request_sense(struct scsi_cmd *cmd);
void scsi_inquiry(struct scsi_cmd *cmd);
void scsi_report_luns(struct scsi_cmd *cmd);
void scsi_read_capacity10(struct scsi_cmd *cmd);
void scsi_read_capacity16(struct scsi_cmd *cmd);
void scsi_mode_sense(struct scsi_cmd *cmd);
void scsi_mode_select(struct scsi_cmd *cmd);
void scsi_prevent_allow(struct scsi_cmd *cmd);
void scsi_send_diagnostic(struct scsi_cmd *cmd);
void scsi_pre_fetch(struct scsi_cmd *cmd);
void scsi_read_defect_data(struct scsi_cmd *cmd);
void scsi_log_sense(struct scsi_cmd *cmd);
void scsi_reserve(struct scsi_cmd *cmd);
void scsi_release(struct scsi_cmd *cmd);
void scsi_report_opcodes(struct scsi_cmd *cmd);
void scsi_report_tmf(struct scsi_cmd *cmd);
void scsi_report_port_groups(struct scsi_cmd *cmd);
void scsi_pr_read_keys(struct scsi_cmd *cmd);
void scsi_pr_read_reservation(struct scsi_cmd *cmd);
void scsi_pr_report_capabilities(struct scsi_cmd *cmd);
void scsi_pr_read_full_status(struct scsi_cmd *cmd);

#endif
