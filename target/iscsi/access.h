/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may use what: an immutable copy of the administrator's configuration
 * and the questions that login, discovery and target_apply ask of it.  Pure
 * but for allocation.
 *
 * The algebra: a host matches an initiator when one of its IQN patterns AND
 * one of its networks match (an empty list matches all).  A host is granted
 * when it matches AND it has no CHAP, or the initiator has proved the host's
 * CHAP user.  An initiator sees the maps of all granted hosts; where two maps
 * claim one LUN, the earlier one of the configuration wins.
 */
#ifndef ISCSI_ACCESS_H
#define ISCSI_ACCESS_H

#include "target/target.h"

struct access_net {
	uint8_t addr[16];	/* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};

struct access_host {
	char name[64];
	char (*iqns)[SCSI_NAME_MAX + 1];
	unsigned niqns;
	struct access_net *nets;
	unsigned nnets;
	struct target_chap chap, mutual;
};

struct access {
	struct target_conf_target *targets;
	unsigned ntargets;
	struct access_host *hosts;
	unsigned nhosts;
	struct target_map_conf *maps;
	unsigned nmaps;
	bool allow_md5;
};

/* Checks and copies; 0 or -errno with *err set. */
int access_new(const struct target_conf *conf, struct access **out,
    struct err *err);
void access_free(struct access *access);

/* '*' matches any run of characters; letters of either case are equal. */
bool access_iqn_match(const char *pattern, const char *name);
/* "192.0.2.0/24", "2001:db8::/32", or one address. */
bool access_net_parse(const char *text, struct access_net *net);

/* Index of a target by name, -1 if there is none. */
int access_target(const struct access *access, const char *name);

/* An initiator that asks. */
struct access_who {
	const char *initiator;
	const struct sock_addr *peer;
	const char *chap_user;	/* proved, or NULL */
};
bool access_host_match(const struct access_host *host,
    const struct access_who *who);
/* Does the matching host have a map on this target? */
bool access_host_maps(const struct access *access, unsigned host,
    unsigned target);

/* What matching hosts with maps on `target` (-1: on any) ask for. */
struct access_need {
	bool any;		/* some host matches */
	bool open;		/* one of them without CHAP */
	bool chap;		/* one of them with CHAP */
	bool volumes;		/* one of theirs is there */
};
struct access_need access_need(const struct access *access,
    const struct access_who *who, int target);

/* The matching host with this CHAP user (on target, or -1), or NULL. */
const struct access_host *access_chap_host(const struct access *access,
    const struct access_who *who, int target, const char *user);

/*
 * The LUN map of a session; returns entries put, at most SCSI_LUNS_MAX.
 * *host is the first granted host, NULL if none is granted any more.
 */
unsigned access_map(const struct access *access, const struct access_who *who,
    unsigned target, struct scsi_map_entry *map,
    const struct access_host **host);

#endif
