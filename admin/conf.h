/* SPDX-License-Identifier: BSD-2-Clause */
/* The bootstrap configuration: where state lives and where to listen. */
#ifndef ADMIN_CONF_H
#define ADMIN_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/log.h"
#include "core/loop.h"

#define CONF_LISTEN_MAX 16u
#define ISCSI_PORT 3260u
#define CONF_SPIN_MAX_US 1000u
#define CONF_CACHE_AUTO UINT64_MAX

struct conf {
	char state_dir[200];
	char control_socket[100];	/* fits sockaddr_un */
	struct sock_addr listen[CONF_LISTEN_MAX];
	unsigned nlisten;
	uint16_t page_port;		/* 0 = no page */
	char page_address[64];		/* empty = all */
	char page_name[128];		/* one more name of the box */
	enum log_level log_level;
	unsigned spin_us;		/* poll so long before sleeping */
	uint64_t cache_bytes;		/* 0 = none, CONF_CACHE_AUTO */
};

/* Built-in values, as in etc/dozo.conf. */
void conf_defaults(struct conf *conf);
/* Read `path` over the defaults.  Errors name file, line and nearest key. */
int conf_read(struct conf *conf, const char *path, struct err *err);

/* "192.0.2.1", "192.0.2.1:3260", "[2001:db8::1]:3260", ":3260", "*". */
int conf_parse_addr(const char *text, struct sock_addr *addr, struct err *err);
/* The inverse; returns text. */
const char *conf_print_addr(const struct sock_addr *addr, char *text,
    size_t size);

#endif
