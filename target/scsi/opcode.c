/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one table of commands.  Dispatch, the check for reserved CDB bits,
 * reservations, write protection, the range check and REPORT SUPPORTED
 * OPERATION CODES all read it, so what is advertised is what is done.
 *
 * A row's usage bytes are the CDB usage data of SPC-4 6.35.3: bits that are
 * looked at or ignored on purpose are 1, every other bit must be 0.
 */
#include <string.h>

#include "target/scsi/scsi_priv.h"

/* CDB fields */
#define F(a, n)		{ .at = (a), .size = (n) }

/* Usage maps; `b1` is byte 1.  The group number is ignored. */
#define U6(op, b1, b2, b3, b4)	{ op, b1, b2, b3, b4, 0 }
#define U10_RW(op, b1) \
	{ op, b1, 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0 }
#define U12_RW(op, b1) \
	{ op, b1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0 }
#define U16_RW(op, b1) \
	{ op, b1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, \
	  0xff, 0xff, 0xff, 0xff, 0x1f, 0 }

#define B1_RW		0x1a	/* DPO, FUA, FUA_NV */
#define RW_TIMEOUT	30
#define IO_READ_FLAGS	(OPC_IN | OPC_MEDIUM | OPC_RANGE | OPC_XFER)
#define IO_WRITE_FLAGS	(OPC_OUT | OPC_MEDIUM | OPC_RANGE | OPC_XFER | \
			 OPC_WRITE)

/* Rows that are alike but for name, codes and handler. */
#define PR_IN(n, action, fn) { \
	.name = "PERSISTENT RESERVE IN, " n, .opcode = 0x5e, .has_sa = true, \
	.sa = action, .sa_byte = 1, .cdb_len = 10, \
	.type = &scsi_simple_type, .exec = fn, \
	.flags = OPC_IN | OPC_LARGE | OPC_STANDBY, .reserve = RESV_PR, \
	.timeout_s = 5, .len = F(7, 2), \
	.usage = { 0x5e, action, 0, 0, 0, 0, 0, 0xff, 0xff, 0 }, \
}
#define PR_OUT(n, action, scope_type) { \
	.name = "PERSISTENT RESERVE OUT, " n, .opcode = 0x5f, \
	.has_sa = true, .sa = action, .sa_byte = 1, .cdb_len = 10, \
	.type = &scsi_pr_out_type, .flags = OPC_OUT | OPC_STANDBY, \
	.reserve = RESV_PR, .timeout_s = 30, .len = F(5, 4), \
	.usage = { 0x5f, action, scope_type, 0, 0, 0xff, 0xff, 0xff, 0xff, \
	    0 }, \
}
#define MAINTENANCE_IN(n, action, fn, class, b1, b2, b3, b4, b5) { \
	.name = n, .opcode = 0xa3, .has_sa = true, .sa = action, \
	.sa_byte = 1, .cdb_len = 12, .type = &scsi_simple_type, .exec = fn, \
	.flags = OPC_IN | OPC_STANDBY, .reserve = class, .timeout_s = 5, \
	.len = F(6, 4), \
	.usage = { 0xa3, (b1) | (action), b2, b3, b4, b5, 0xff, 0xff, 0xff, \
	    0xff, 0, 0 }, \
}
#define VERIFY_FLAGS	(OPC_OUT | OPC_MEDIUM | OPC_RANGE)
#define SAME_FLAGS	(OPC_OUT | OPC_MEDIUM | OPC_RANGE | OPC_WRITE)

static const struct scsi_opcode pr_in_rows[] = {
	PR_IN("READ KEYS", 0, scsi_pr_read_keys),
	PR_IN("READ RESERVATION", 1, scsi_pr_read_reservation),
	PR_IN("REPORT CAPABILITIES", 2, scsi_pr_report_capabilities),
	PR_IN("READ FULL STATUS", 3, scsi_pr_read_full_status),
};

/* SCOPE and TYPE are ignored where they mean nothing (SPC-4 table 231). */
static const struct scsi_opcode pr_out_rows[] = {
	PR_OUT("REGISTER", 0, 0xff),
	PR_OUT("RESERVE", 1, 0xff),
	PR_OUT("RELEASE", 2, 0xff),
	PR_OUT("CLEAR", 3, 0xff),
	PR_OUT("PREEMPT", 4, 0xff),
	PR_OUT("PREEMPT AND ABORT", 5, 0xff),
	PR_OUT("REGISTER AND IGNORE EXISTING KEY", 6, 0xff),
	PR_OUT("REGISTER AND MOVE", 7, 0xff),
};

static const struct scsi_opcode maintenance_in_rows[] = {
	MAINTENANCE_IN("REPORT TARGET PORT GROUPS", 0x0a,
	    scsi_report_port_groups, RESV_ALWAYS, 0xe0, 0, 0, 0, 0),
	MAINTENANCE_IN("REPORT SUPPORTED OPERATION CODES", 0x0c,
	    scsi_report_opcodes, RESV_READ, 0, 0x87, 0xff, 0xff, 0xff),
	MAINTENANCE_IN("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", 0x0d,
	    scsi_report_tmf, RESV_READ, 0, 0x80, 0, 0, 0),
};

static const struct scsi_opcode service_in_rows[] = {
	{
		.name = "READ CAPACITY(16)", .opcode = 0x9e, .has_sa = true,
		.sa = 0x10, .sa_byte = 1, .cdb_len = 16,
		.type = &scsi_simple_type, .exec = scsi_read_capacity16,
		.flags = OPC_IN | OPC_MEDIUM | OPC_STANDBY,
		.reserve = RESV_ALWAYS, .timeout_s = 5, .lba = F(2, 8),
		.len = F(10, 4),
		.usage = { 0x9e, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0 },
	},
	{
		.name = "GET LBA STATUS", .opcode = 0x9e, .has_sa = true,
		.sa = 0x12, .sa_byte = 1, .cdb_len = 16,
		.type = &scsi_lba_status_type,
		.flags = OPC_IN | OPC_MEDIUM, .reserve = RESV_READ,
		.timeout_s = RW_TIMEOUT, .lba = F(2, 8), .len = F(10, 4),
		.usage = { 0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0 },
	},
};

static const struct scsi_opcode rows[256] = {
	[0x00] = {
		.name = "TEST UNIT READY", .opcode = 0x00, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_test_unit_ready,
		.flags = OPC_MEDIUM | OPC_STANDBY, .reserve = RESV_SPC2,
		.timeout_s = 5, .usage = U6(0x00, 0, 0, 0, 0),
	},
	[0x03] = {
		.name = "REQUEST SENSE", .opcode = 0x03, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_request_sense,
		.flags = OPC_IN | OPC_UA_OK | OPC_NO_LU | OPC_STANDBY,
		.reserve = RESV_ALWAYS, .timeout_s = 5, .len = F(4, 1),
		.usage = U6(0x03, 0x01, 0, 0, 0xff),
	},
	[0x08] = {
		.name = "READ(6)", .opcode = 0x08, .cdb_len = 6,
		.type = &scsi_read_type, .flags = IO_READ_FLAGS | OPC_RW6,
		.reserve = RESV_READ, .timeout_s = RW_TIMEOUT,
		.lba = F(1, 3), .len = F(4, 1),
		.usage = U6(0x08, 0x1f, 0xff, 0xff, 0xff),
	},
	[0x0a] = {
		.name = "WRITE(6)", .opcode = 0x0a, .cdb_len = 6,
		.type = &scsi_write_type, .flags = IO_WRITE_FLAGS | OPC_RW6,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(1, 3), .len = F(4, 1),
		.usage = U6(0x0a, 0x1f, 0xff, 0xff, 0xff),
	},
	[0x12] = {
		.name = "INQUIRY", .opcode = 0x12, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_inquiry,
		.flags = OPC_IN | OPC_UA_OK | OPC_NO_LU | OPC_STANDBY,
		.reserve = RESV_ALWAYS, .timeout_s = 5, .len = F(3, 2),
		.usage = U6(0x12, 0x01, 0xff, 0xff, 0xff),
	},
	[0x15] = {
		.name = "MODE SELECT(6)", .opcode = 0x15, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_mode_select,
		.flags = OPC_OUT, .reserve = RESV_WRITE, .timeout_s = 5,
		.len = F(4, 1), .usage = U6(0x15, 0x10, 0, 0, 0xff),
	},
	[0x16] = {
		.name = "RESERVE(6)", .opcode = 0x16, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_reserve,
		.flags = OPC_STANDBY, .reserve = RESV_SPC2, .timeout_s = 5,
		.usage = U6(0x16, 0, 0, 0, 0),
	},
	[0x17] = {
		.name = "RELEASE(6)", .opcode = 0x17, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_release,
		.flags = OPC_STANDBY, .reserve = RESV_ALWAYS, .timeout_s = 5,
		.usage = U6(0x17, 0, 0, 0, 0),
	},
	[0x1a] = {
		.name = "MODE SENSE(6)", .opcode = 0x1a, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_mode_sense,
		.flags = OPC_IN | OPC_STANDBY, .reserve = RESV_READ,
		.timeout_s = 5, .len = F(4, 1),
		.usage = U6(0x1a, 0x08, 0xff, 0xff, 0xff),
	},
	[0x1b] = {
		.name = "START STOP UNIT", .opcode = 0x1b, .cdb_len = 6,
		.type = &scsi_start_stop_type, .reserve = RESV_START_STOP,
		.timeout_s = 60, .usage = U6(0x1b, 0x01, 0, 0x0f, 0xf7),
	},
	[0x1d] = {
		.name = "SEND DIAGNOSTIC", .opcode = 0x1d, .cdb_len = 6,
		.type = &scsi_simple_type, .exec = scsi_send_diagnostic,
		.reserve = RESV_WRITE, .timeout_s = 5,
		.usage = U6(0x1d, 0x17, 0, 0, 0),
	},
	[0x1e] = {
		.name = "PREVENT ALLOW MEDIUM REMOVAL", .opcode = 0x1e,
		.cdb_len = 6, .type = &scsi_simple_type,
		.exec = scsi_prevent_allow, .flags = OPC_REMOVABLE,
		.reserve = RESV_PREVENT, .timeout_s = 5,
		.usage = U6(0x1e, 0, 0, 0, 0x03),
	},
	[0x25] = {
		.name = "READ CAPACITY(10)", .opcode = 0x25, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_read_capacity10,
		.flags = OPC_IN | OPC_MEDIUM | OPC_STANDBY,
		.reserve = RESV_ALWAYS, .timeout_s = 5, .lba = F(2, 4),
		.usage = { 0x25, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0 },
	},
	[0x28] = {
		.name = "READ(10)", .opcode = 0x28, .cdb_len = 10,
		.type = &scsi_read_type, .flags = IO_READ_FLAGS,
		.reserve = RESV_READ, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 4), .len = F(7, 2), .usage = U10_RW(0x28, B1_RW),
	},
	[0x2a] = {
		.name = "WRITE(10)", .opcode = 0x2a, .cdb_len = 10,
		.type = &scsi_write_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 4), .len = F(7, 2), .usage = U10_RW(0x2a, B1_RW),
	},
	[0x2e] = {
		.name = "WRITE AND VERIFY(10)", .opcode = 0x2e, .cdb_len = 10,
		.type = &scsi_write_verify_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 4), .len = F(7, 2), .usage = U10_RW(0x2e, 0x16),
	},
	[0x2f] = {
		.name = "VERIFY(10)", .opcode = 0x2f, .cdb_len = 10,
		.type = &scsi_verify_type, .flags = VERIFY_FLAGS,
		.reserve = RESV_READ, .timeout_s = 60,
		.lba = F(2, 4), .len = F(7, 2), .usage = U10_RW(0x2f, 0x16),
	},
	[0x34] = {
		.name = "PRE-FETCH(10)", .opcode = 0x34, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_pre_fetch,
		.flags = OPC_MEDIUM | OPC_RANGE, .reserve = RESV_READ,
		.timeout_s = RW_TIMEOUT, .lba = F(2, 4), .len = F(7, 2),
		.usage = U10_RW(0x34, 0x02),
	},
	[0x35] = {
		.name = "SYNCHRONIZE CACHE(10)", .opcode = 0x35,
		.cdb_len = 10, .type = &scsi_sync_type,
		.flags = OPC_MEDIUM | OPC_RANGE, .reserve = RESV_WRITE,
		.timeout_s = 60, .lba = F(2, 4), .len = F(7, 2),
		.usage = U10_RW(0x35, 0x06),
	},
	[0x37] = {
		.name = "READ DEFECT DATA(10)", .opcode = 0x37, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_read_defect_data,
		.flags = OPC_IN | OPC_MEDIUM, .reserve = RESV_READ,
		.timeout_s = 5, .len = F(7, 2),
		.usage = { 0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0 },
	},
	[0x41] = {
		.name = "WRITE SAME(10)", .opcode = 0x41, .cdb_len = 10,
		.type = &scsi_write_same_type, .flags = SAME_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = 60, .lba = F(2, 4),
		.len = F(7, 2), .usage = U10_RW(0x41, 0x08),
	},
	[0x42] = {
		.name = "UNMAP", .opcode = 0x42, .cdb_len = 10,
		.type = &scsi_unmap_type,
		.flags = OPC_OUT | OPC_MEDIUM | OPC_WRITE | OPC_THIN,
		.reserve = RESV_WRITE, .timeout_s = 60, .len = F(7, 2),
		.usage = { 0x42, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xff, 0 },
	},
	[0x4d] = {
		.name = "LOG SENSE", .opcode = 0x4d, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_log_sense,
		.flags = OPC_IN | OPC_STANDBY, .reserve = RESV_SPC2,
		.timeout_s = 5, .len = F(7, 2),
		.usage = { 0x4d, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff,
		    0 },
	},
	[0x55] = {
		.name = "MODE SELECT(10)", .opcode = 0x55, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_mode_select,
		.flags = OPC_OUT, .reserve = RESV_WRITE, .timeout_s = 5,
		.len = F(7, 2),
		.usage = { 0x55, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0 },
	},
	[0x56] = {
		.name = "RESERVE(10)", .opcode = 0x56, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_reserve,
		.flags = OPC_STANDBY, .reserve = RESV_SPC2, .timeout_s = 5,
		.usage = { 0x56 },
	},
	[0x57] = {
		.name = "RELEASE(10)", .opcode = 0x57, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_release,
		.flags = OPC_STANDBY, .reserve = RESV_ALWAYS, .timeout_s = 5,
		.usage = { 0x57 },
	},
	[0x5a] = {
		.name = "MODE SENSE(10)", .opcode = 0x5a, .cdb_len = 10,
		.type = &scsi_simple_type, .exec = scsi_mode_sense,
		.flags = OPC_IN | OPC_STANDBY, .reserve = RESV_READ,
		.timeout_s = 5, .len = F(7, 2),
		.usage = { 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0 },
	},
	[0x5e] = {
		.opcode = 0x5e, .has_sa = true, .sa_byte = 1,
		.actions = pr_in_rows, .nactions = nitems(pr_in_rows),
	},
	[0x5f] = {
		.opcode = 0x5f, .has_sa = true, .sa_byte = 1,
		.actions = pr_out_rows, .nactions = nitems(pr_out_rows),
	},
	[0x88] = {
		.name = "READ(16)", .opcode = 0x88, .cdb_len = 16,
		.type = &scsi_read_type, .flags = IO_READ_FLAGS,
		.reserve = RESV_READ, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 8), .len = F(10, 4), .usage = U16_RW(0x88, B1_RW),
	},
	[0x89] = {
		.name = "COMPARE AND WRITE", .opcode = 0x89, .cdb_len = 16,
		.type = &scsi_caw_type, .flags = SAME_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 8), .len = F(13, 1),
		.usage = { 0x89, B1_RW, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0, 0, 0, 0xff, 0x1f, 0 },
	},
	[0x8a] = {
		.name = "WRITE(16)", .opcode = 0x8a, .cdb_len = 16,
		.type = &scsi_write_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 8), .len = F(10, 4), .usage = U16_RW(0x8a, B1_RW),
	},
	[0x8b] = {
		.name = "ORWRITE(16)", .opcode = 0x8b, .cdb_len = 16,
		.type = &scsi_orwrite_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 8), .len = F(10, 4), .usage = U16_RW(0x8b, B1_RW),
	},
	[0x8e] = {
		.name = "WRITE AND VERIFY(16)", .opcode = 0x8e, .cdb_len = 16,
		.type = &scsi_write_verify_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 8), .len = F(10, 4), .usage = U16_RW(0x8e, 0x16),
	},
	[0x8f] = {
		.name = "VERIFY(16)", .opcode = 0x8f, .cdb_len = 16,
		.type = &scsi_verify_type, .flags = VERIFY_FLAGS,
		.reserve = RESV_READ, .timeout_s = 60,
		.lba = F(2, 8), .len = F(10, 4), .usage = U16_RW(0x8f, 0x16),
	},
	[0x90] = {
		.name = "PRE-FETCH(16)", .opcode = 0x90, .cdb_len = 16,
		.type = &scsi_simple_type, .exec = scsi_pre_fetch,
		.flags = OPC_MEDIUM | OPC_RANGE, .reserve = RESV_READ,
		.timeout_s = RW_TIMEOUT, .lba = F(2, 8), .len = F(10, 4),
		.usage = U16_RW(0x90, 0x02),
	},
	[0x91] = {
		.name = "SYNCHRONIZE CACHE(16)", .opcode = 0x91,
		.cdb_len = 16, .type = &scsi_sync_type,
		.flags = OPC_MEDIUM | OPC_RANGE, .reserve = RESV_WRITE,
		.timeout_s = 60, .lba = F(2, 8), .len = F(10, 4),
		.usage = U16_RW(0x91, 0x06),
	},
	[0x93] = {
		.name = "WRITE SAME(16)", .opcode = 0x93, .cdb_len = 16,
		.type = &scsi_write_same_type, .flags = SAME_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = 60, .lba = F(2, 8),
		.len = F(10, 4), .usage = U16_RW(0x93, 0x09),
	},
	[0x9e] = {
		.opcode = 0x9e, .has_sa = true, .sa_byte = 1,
		.actions = service_in_rows, .nactions =
		    nitems(service_in_rows),
	},
	[0xa0] = {
		.name = "REPORT LUNS", .opcode = 0xa0, .cdb_len = 12,
		.type = &scsi_simple_type, .exec = scsi_report_luns,
		.flags = OPC_IN | OPC_UA_OK | OPC_NO_LU | OPC_STANDBY,
		.reserve = RESV_ALWAYS, .timeout_s = 5, .len = F(6, 4),
		.usage = { 0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
		    0, 0 },
	},
	[0xa3] = {
		.opcode = 0xa3, .has_sa = true, .sa_byte = 1,
		.actions = maintenance_in_rows, .nactions =
		    nitems(maintenance_in_rows),
	},
	[0xa8] = {
		.name = "READ(12)", .opcode = 0xa8, .cdb_len = 12,
		.type = &scsi_read_type, .flags = IO_READ_FLAGS,
		.reserve = RESV_READ, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 4), .len = F(6, 4), .usage = U12_RW(0xa8, B1_RW),
	},
	[0xaa] = {
		.name = "WRITE(12)", .opcode = 0xaa, .cdb_len = 12,
		.type = &scsi_write_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 4), .len = F(6, 4), .usage = U12_RW(0xaa, B1_RW),
	},
	[0xae] = {
		.name = "WRITE AND VERIFY(12)", .opcode = 0xae, .cdb_len = 12,
		.type = &scsi_write_verify_type, .flags = IO_WRITE_FLAGS,
		.reserve = RESV_WRITE, .timeout_s = RW_TIMEOUT,
		.lba = F(2, 4), .len = F(6, 4), .usage = U12_RW(0xae, 0x16),
	},
	[0xaf] = {
		.name = "VERIFY(12)", .opcode = 0xaf, .cdb_len = 12,
		.type = &scsi_verify_type, .flags = VERIFY_FLAGS,
		.reserve = RESV_READ, .timeout_s = 60,
		.lba = F(2, 4), .len = F(6, 4), .usage = U12_RW(0xaf, 0x16),
	},
	[0xb7] = {
		.name = "READ DEFECT DATA(12)", .opcode = 0xb7, .cdb_len = 12,
		.type = &scsi_simple_type, .exec = scsi_read_defect_data,
		.flags = OPC_IN | OPC_MEDIUM, .reserve = RESV_READ,
		.timeout_s = 5, .len = F(6, 4),
		.usage = { 0xb7, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0, 0 },
	},
};

bool
scsi_opcode_known(uint8_t opcode, bool *has_sa)
{
	const struct scsi_opcode *row = &rows[opcode];

	assert(row->nactions == 0 || row->has_sa);
	*has_sa = row->has_sa;
	return row->type != NULL || row->nactions > 0;
}

const struct scsi_opcode *
scsi_opcode_find(const uint8_t *cdb, size_t len)
{
	const struct scsi_opcode *row;
	unsigned sa;

	assert(len > 0);
	row = &rows[cdb[0]];
	assert(row->type == NULL || row->opcode == cdb[0]);
	if (row->nactions == 0)
		return row->type != NULL ? row : NULL;
	if (len <= row->sa_byte)
		return NULL;
	sa = cdb[row->sa_byte] & 0x1fu;
	for (unsigned i = 0; i < row->nactions; i++)
		if (row->actions[i].sa == sa) {
			assert(row->actions[i].opcode == cdb[0]);
			return &row->actions[i];
		}
	return NULL;
}

/* First row with an opcode of at least `opcode`. */
static const struct scsi_opcode *
first_from(unsigned opcode)
{
	for (; opcode < nitems(rows); opcode++) {
		if (rows[opcode].type != NULL)
			return &rows[opcode];
		if (rows[opcode].nactions > 0)
			return rows[opcode].actions;
	}
	return NULL;
}

const struct scsi_opcode *
scsi_opcode_next(const struct scsi_opcode *row)
{
	const struct scsi_opcode *group;

	if (row == NULL)
		return first_from(0);
	group = &rows[row->opcode];
	assert(group == row || group->nactions > 0);
	if (group->nactions > 0 && row + 1 < group->actions + group->nactions)
		return row + 1;
	return first_from(row->opcode + 1u);
}

bool
scsi_opcode_supported(const struct scsi_opcode *row, const struct scsi_lu *lu)
{
	if ((row->flags & OPC_THIN) && !lu_can_unmap(lu))
		return false;
	return !(row->flags & OPC_REMOVABLE) || lu->params.removable;
}
