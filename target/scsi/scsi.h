/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SCSI layer: logical units, I_T nexuses and commands (SAM-5, SPC-4,
 * SBC-3).  It knows nothing of iSCSI: a transport makes a nexus per session,
 * fills a scsi_cmd and starts it as a child op; write data comes through the
 * transport's xfer table.
 */
#ifndef TARGET_SCSI_H
#define TARGET_SCSI_H

#include <stdbool.h>
#include <stdint.h>

#include "block/blk.h"
#include "core/buf.h"

#define SCSI_CDB_MAX 260	/* SPC-4 4.2.3: variable length CDBs */
#define SCSI_SENSE_MAX 252
#define SCSI_LUNS_MAX 256	/* per target and map */
#define SCSI_NAME_MAX 223	/* RFC 7143 4.2.7.1: iSCSI name, bytes */

struct scsi_lu;		/* logical unit: blk, identity, state; shared */
struct scsi_port;	/* SCSI target port: a target on a portal group */
struct scsi_nexus;	/* I_T nexus: one session's view, LUN map, UAs */

enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_ACA_ACTIVE = 0x30,
	SCSI_TASK_ABORTED = 0x40,
};

/* Sense by value.  key 0 and asc 0 = none. */
struct sense {
	uint8_t key, asc, ascq;
	bool info_valid;
	bool field_valid, field_in_cdb;	/* sense-key specific field pointer */
	uint8_t field_bit;		/* 0..7, 0xff = not valid */
	uint16_t field_byte;
	uint64_t info;			/* LBA or byte offset of a miscompare */
};
#define SENSE(k, a, q) ((struct sense){ .key = (k), .asc = (a), .ascq = (q) })
#define SENSE_NONE SENSE(0, 0, 0)
static inline bool
sense_ok(struct sense s)
{
	return s.key == 0 && s.asc == 0 && s.ascq == 0;
}
/* The one errno-to-sense table. `kind`: what was being done; err negative. */
struct sense sense_from_errno(int err, enum io_kind kind, uint64_t lba);
/* Fixed (descriptor == false) or descriptor format; returns bytes written. */
size_t sense_encode(struct sense sense, bool descriptor,
    uint8_t out[SCSI_SENSE_MAX]);

/* --- logical units --- */

struct scsi_lu_id {
	uint8_t naa[16];	/* NAA 6, random, persistent */
	uint8_t eui64[8];
	char serial[33];	/* VPD 80h, printable, unique */
};
/* Derive all identifiers from a volume's immutable random uuid. */
void scsi_lu_id_from_uuid(struct scsi_lu_id *id, const uint8_t uuid[16]);

struct scsi_lu_params {
	struct scsi_lu_id id;
	char name[128];		/* pool/volume, for messages */
	bool write_cache;	/* WCE: GOOD before data is durable */
	bool durable;		/* policy durable: every write is FUA */
	bool thin;
	bool read_only;
	bool removable;		/* RMB, for the removable-medium tests */
};

/*
 * State that must outlive the daemon (persistent reservations with APTPL,
 * saved mode pages) as an opaque blob.  save() is an op child: it must be
 * durable when the waiter is released.
 */
struct scsi_lu_store {
	void (*save)(void *arg, const void *blob, size_t len, int *result,
	    struct op *waiter);
	void *arg;
};

/* blk stays the caller's and must outlive the lu. */
struct scsi_lu *scsi_lu_new(struct loop *loop, struct blk *blk,
    const struct scsi_lu_params *params, const struct scsi_lu_store *store);
/* No command may be in flight: see scsi_lu_drain. */
void scsi_lu_free(struct scsi_lu *lu);
/* Load what save() stored; ignores a blob it cannot read (logged). */
void scsi_lu_load(struct scsi_lu *lu, const void *blob, size_t len);
/* The blk has grown: UA 2A/09 to every nexus (SBC-3 4.7). */
void scsi_lu_capacity_changed(struct scsi_lu *lu);
/* Change policy flags live; UA 2A/01 where mode pages change. */
void scsi_lu_set_params(struct scsi_lu *lu,
    const struct scsi_lu_params *params);
/* Hold `op` until no command is in flight on the lu. */
void scsi_lu_drain(struct scsi_lu *lu, struct op *op);

#define SCSI_LATENCIES 28u

struct scsi_lu_stats {
	uint64_t reads, writes, read_bytes, write_bytes, others;
	uint64_t errors;	/* not ready, medium, hardware, aborted ... */
	uint64_t read_ns, write_ns;	/* summed service time */
	/* commands that took less than 2^i us */
	uint64_t read_latency[SCSI_LATENCIES];
	uint64_t write_latency[SCSI_LATENCIES];
};
void scsi_lu_get_stats(const struct scsi_lu *lu, struct scsi_lu_stats *stats);

/* --- ports and nexuses --- */

/* One per (target, portal group tag); relative port id 1..65535. */
struct scsi_port *scsi_port_new(const char *target_name, uint16_t tag,
    uint16_t relative_id);
void scsi_port_free(struct scsi_port *port);

/*
 * initiator: transport id "iqn....,i,0x00023d000001" (RFC 7143 name + ISID,
 * SPC-4 7.6.4.6); initiator_name without the ISID.
 */
struct scsi_nexus *scsi_nexus_new(struct loop *loop, struct scsi_port *port,
    const char *initiator_name, const uint8_t isid[6],
    struct buf_pool *bufs);
/* Commands must have ended.  Releases SPC-2 reservations, keeps PR. */
void scsi_nexus_free(struct scsi_nexus *nexus);

struct scsi_map_entry {
	uint16_t lun;
	bool read_only;
	struct scsi_lu *lu;
};
/*
 * Replace the LUN map.  Nexuses whose view changed get UA 3F/0E on LUNs they
 * still have; entries that stay are not disturbed.
 */
void scsi_nexus_set_map(struct scsi_nexus *nexus,
    const struct scsi_map_entry *map, unsigned n);

/* --- commands --- */

/* What a CDB says, whatever its length: filled from the opcode's table row. */
struct scsi_cdb {
	uint64_t lba;
	uint32_t len;		/* blocks, or allocation or list length */
	uint8_t flags;		/* byte 1: DPO, FUA, BYTCHK, UNMAP ... */
};

/* A place in the queue for an LBA range; see lock.c. */
struct lba_lock {
	TAILQ_ENTRY(lba_lock) link;
	struct op *op;		/* held until granted */
	uint64_t lba, end;
	bool exclusive, queued, granted;
};

/* Where a command that works in pieces is; see extent.c. */
struct scsi_extent {
	struct op op;		/* child of the command */
	struct scsi_cmd *cmd;
	uint64_t lba;		/* next block */
	uint64_t left;		/* blocks to go */
	uint64_t step;		/* blocks in flight */
	uint64_t off;		/* bytes of the data-out buffer consumed */
	unsigned how;		/* enum extent_kind */
	struct iovec iov;	/* the piece in memory */
};

/* The first part of a write, stored while the rest comes; see rw.c. */
#define SCSI_EARLY_PIECES 8u
struct scsi_early {
	struct op op;
	struct scsi_cmd *cmd;
	struct timer timer;
	struct lba_lock lock;
	struct io io;
	struct iovec iov[SCSI_EARLY_PIECES];
	uint32_t arrived;		/* bytes that are here */
	uint32_t len;			/* of them stored; 0 = not tried */
	bool busy, awaited;
};

/* State on its way to the scsi_lu_store. */
struct scsi_save {
	void *blob;
	size_t len;
};

enum scsi_attr {
	SCSI_ATTR_UNTAGGED, SCSI_ATTR_SIMPLE, SCSI_ATTR_ORDERED,
	SCSI_ATTR_HEAD, SCSI_ATTR_ACA
};

struct scsi_cmd;

/* How write data arrives. */
struct scsi_xfer_ops {
	/*
	 * Fill buf (already reserved by the SCSI layer) with len bytes of
	 * data-out starting at buffer offset off: immediate, unsolicited, then
	 * R2T.  op is held until done or until the command is aborted.
	 * `*result`: 0, -ECANCELED (aborted, session gone), -EIO (protocol).
	 * At most once per command: data beyond off + len is thrown away.
	 */
	void (*collect)(struct scsi_cmd *cmd, struct buf *buf, uint32_t off,
	    uint32_t len, int *result, struct op *op);
	/*
	 * scsi_cmd_abort() calls this, whoever asked: let a held collect end
	 * with -ECANCELED.  May come at any time while cmd runs; NULL = none.
	 */
	void (*abort)(struct scsi_cmd *cmd);
};

struct scsi_cmd {
	struct op op;		/* child of the transport's task */
	/* in */
	struct scsi_nexus *nexus;
	const struct scsi_xfer_ops *xfer;
	void *xfer_arg;
	uint8_t lun[8];		/* SAM-5 4.7 */
	uint8_t cdb[SCSI_CDB_MAX];
	uint16_t cdb_len;
	enum scsi_attr attr;
	uint32_t out_len;	/* data the initiator will send (EDTL, W) */
	uint32_t in_len;	/* data it has room for (EDTL, R) */
	uint64_t tag;		/* for task management */
	/* out */
	enum scsi_status status;
	uint8_t sense[SCSI_SENSE_MAX];
	uint16_t sense_len;
	struct buf in;		/* data-in; valid bytes: in_valid <= in.len */
	uint32_t in_valid;	/* already cut to the ALLOCATION LENGTH */
	uint32_t in_wanted;	/* bytes the command would transfer; > in_len
				   means overflow residual */
	uint32_t out_wanted;	/* bytes the CDB asked the initiator for */
	/* Set by scsi_cmd_abort; read at step boundaries. */
	bool aborted;
	bool abort_notify;	/* TAS: answer TASK ABORTED */
	/* private; scsi_cmd_start() initialises all of it */
	struct scsi_lu *lu;		/* NULL: unmapped LUN */
	struct nexus_lun *nl;
	const struct scsi_opcode *opcode;
	TAILQ_ENTRY(scsi_cmd) link;	/* lu's task set, oldest first */
	uint64_t start_ns;
	struct scsi_cdb c;		/* decoded once */
	struct lba_lock lock;
	struct buf out;			/* data-out, parameter list, work */
	struct io io;
	int result;			/* of the collect or the child */
	bool dormant;			/* waits for older commands */
	bool collecting;
	union {
		struct scsi_extent extent;	/* loop over LBAs */
		struct scsi_save save;		/* persistent reservation */
		struct scsi_early early;	/* a long write */
	} u;
};

/*
 * Start cmd as a child of `parent`.  Always ends, also when aborted (I/O in
 * flight is waited for).  The transport then reads status, sense, in, and
 * calls scsi_cmd_fini() when the data has been sent.
 */
void scsi_cmd_start(struct scsi_cmd *cmd, struct op *parent);
void scsi_cmd_fini(struct scsi_cmd *cmd);
/*
 * From the transport, once at most: the first `len` bytes of the data that is
 * being collected are in its buffer and the rest will be a while.
 */
void scsi_cmd_arrived(struct scsi_cmd *cmd, uint32_t len);
/* Ask it to end early; it will not change the medium once it has ended. */
void scsi_cmd_abort(struct scsi_cmd *cmd);

/* --- task management (SAM-5 7) --- */

enum scsi_tmf {
	SCSI_ABORT_TASK_SET, SCSI_CLEAR_TASK_SET, SCSI_LU_RESET,
	SCSI_TARGET_RESET, SCSI_I_T_NEXUS_RESET, SCSI_QUERY_TASK_SET
};
enum scsi_tmf_result {
	SCSI_TMF_COMPLETE, SCSI_TMF_SUCCEEDED, SCSI_TMF_NOT_SUPPORTED,
	SCSI_TMF_NO_LUN, SCSI_TMF_REJECTED
};
struct scsi_tmf_req {
	struct op op;
	struct scsi_nexus *nexus;
	enum scsi_tmf function;
	uint8_t lun[8];
	enum scsi_tmf_result result;
	/* private: where the walk over LUNs is */
	unsigned next;
	struct scsi_lu *lu;
};
/* Ends when every affected command has ended. */
void scsi_tmf_start(struct scsi_tmf_req *req, struct op *parent);

#endif
