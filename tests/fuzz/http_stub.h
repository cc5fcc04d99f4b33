/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozo-webui without network, dozod and password thread: what its handlers
 * are tested with.  Link with the options in http.wrap.
 */
#ifndef TESTS_FUZZ_HTTP_STUB_H
#define TESTS_FUZZ_HTTP_STUB_H

#include "webui/web.h"

/* A valid token of an administrator. */
#define STUB_TOKEN "dzt_0123456789abcdef"

struct web_stub {
	struct web web;
	unsigned nreplies, nstreams, ncalls;
	int status;			/* of the last reply */
	char body[2000];		/* its beginning */
	const char *verb;		/* of the last call of dozod */
	/* A session each of an administrator and a viewer. */
	char cookie[2][100], csrf[2][AUTH_SECRET_SIZE];
	struct session *session[2];
};
extern struct web_stub web_stub;

/* Make it, once; afterwards forget all requests and sessions. */
void web_stub_reset(void);
/*
 * Handle a request; dozod answers the first call with `reply` (borrowed), all
 * others not at all.  Ends a stream.
 */
void web_stub_handle(struct http_conn *conn, json_t *reply);

#endif
