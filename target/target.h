/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The iSCSI target as the administration sees it: portals, targets, hosts,
 * logical units and LUN maps, all changeable while sessions run.
 *
 * Access to a LUN needs: a host whose IQN pattern AND network match the
 * initiator AND whose CHAP (if it has any) was passed, and a mapping of the
 * volume to that host on that target.
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"
#include "target/scsi/scsi.h"

struct target_server;

struct target_server_params {
	unsigned buffers_small;		/* 4 KiB data buffers */
	unsigned buffers_large;		/* 64 KiB data buffers */
	unsigned connections_max;
	unsigned queue_depth;		/* CmdSN window per session, e.g. 128 */
	unsigned nop_idle_ms;		/* then ping a silent connection */
	unsigned nop_dead_ms;		/* then drop it without answer */
	unsigned login_timeout_ms;
};
extern const struct target_server_params target_server_defaults;

struct target_server *target_server_new(struct loop *loop,
    const struct target_server_params *params, struct err *err);
/* Close listeners and connections; frees when all tasks have ended. */
struct target_server_stop {
	struct op op;
	struct target_server *server;
};
void target_server_stop_start(struct target_server_stop *stop,
    struct op *parent);

/* --- portals --- */
int target_portal_add(struct target_server *server,
    const struct sock_addr *addr, uint16_t tag, struct err *err);
/* The port the oldest portal listens on (port 0 was resolved), 0 = none. */
uint16_t target_portal_port(const struct target_server *server);
int target_portal_remove(struct target_server *server,
    const struct sock_addr *addr, struct err *err);

/* --- the whole access configuration, applied as a difference --- */

enum chap_alg {
	CHAP_MD5 = 5, CHAP_SHA1 = 6, CHAP_SHA256 = 7, CHAP_SHA3_256 = 8
};

struct target_chap {			/* empty user = none */
	char user[SCSI_NAME_MAX + 1];
	char secret[128];
};

struct target_host_conf {
	char name[64];
	const char *const *iqns;	/* patterns: '*' matches any run */
	unsigned niqns;			/* 0 = any initiator */
	const char *const *networks;	/* "192.0.2.0/24", "2001:db8::/32" */
	unsigned nnetworks;		/* 0 = any */
	struct target_chap chap;	/* initiator must prove this */
	struct target_chap mutual;	/* we prove this to the initiator */
};

struct target_map_conf {
	unsigned host, target;		/* indices into the arrays below */
	struct scsi_lu *lu;		/* NULL: expected, but not there now */
	uint16_t lun;
	bool read_only;
};

struct target_conf_target {
	char name[SCSI_NAME_MAX + 1];	/* IQN */
	char alias[64];
};

struct target_conf {
	const struct target_conf_target *targets;
	unsigned ntargets;
	const struct target_host_conf *hosts;
	unsigned nhosts;
	const struct target_map_conf *maps;
	unsigned nmaps;
	bool allow_md5;			/* CHAP with MD5, default yes */
};
/*
 * A host none of whose volumes on a target are there is asked to try again
 * (login status 0301); a session it has goes on with the LUNs that are left.
 *
 * Make this the configuration.  Everything is copied.  Sessions whose target
 * and host still exist go on; their LUN maps change in place.  Sessions that
 * may not exist any more are closed.  The caller drains a scsi_lu that is no
 * longer mapped (scsi_lu_drain) before freeing it.
 */
int target_apply(struct target_server *server, const struct target_conf *conf,
    struct err *err);

/* --- what is going on --- */

struct target_session_info {
	char initiator[SCSI_NAME_MAX + 1], target[SCSI_NAME_MAX + 1];
	char initiator_alias[64], host[64];
	uint8_t isid[6];
	uint16_t tsih;
	bool discovery;
	struct sock_addr peer, local;
	uint64_t since_s;		/* wall clock */
	const char *auth;		/* "none", "chap-sha256", ... */
	bool mutual, header_digest, data_digest;
	bool initial_r2t, immediate_data;
	uint32_t max_recv_segment, max_send_segment, first_burst, max_burst;
	uint32_t max_outstanding_r2t;
	unsigned tasks;			/* in flight */
	uint64_t reads, writes, read_bytes, write_bytes;
	unsigned id;			/* for target_session_drop */
};
void target_sessions(struct target_server *server,
    void (*fn)(void *arg, const struct target_session_info *info), void *arg);
bool target_session_drop(struct target_server *server, unsigned id);

/* Initiators that were refused lately, newest first, bounded. */
struct target_knock {
	char initiator[SCSI_NAME_MAX + 1], target[SCSI_NAME_MAX + 1];
	struct sock_addr peer;
	uint64_t last_s;
	unsigned count;
	char why[96];
};
unsigned target_knocks(const struct target_server *server,
    struct target_knock *out, unsigned max);

#endif
