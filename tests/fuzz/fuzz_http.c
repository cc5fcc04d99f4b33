/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handlers of dozo-webui: one request, and what dozod answers to it.
 *
 * The input is "METHOD PATH[?QUERY]\n", lines "FIELD: VALUE\n", an empty line,
 * the body; after a NUL byte dozod's reply.  A value "@" becomes what a page
 * of an administrator would send, "@viewer" a viewer's.  It must be
 * answered or turned into a stream, exactly once.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_stub.h"

static const char *const field_names[F_FIELDS] = {
	[F_HOST] = "Host", [F_COOKIE] = "Cookie",
	[F_CONTENT_TYPE] = "Content-Type",
	[F_CONTENT_LENGTH] = "Content-Length",
	[F_AUTHORIZATION] = "Authorization", [F_ORIGIN] = "Origin",
	[F_SEC_FETCH_SITE] = "Sec-Fetch-Site", [F_IF_MATCH] = "If-Match",
	[F_IF_NONE_MATCH] = "If-None-Match", [F_CSRF] = "X-CSRF-Token",
	[F_LAST_EVENT_ID] = "Last-Event-ID", [F_ACCEPT] = "Accept",
	[F_ACCEPT_ENCODING] = "Accept-Encoding", [F_CONNECTION] = "Connection",
};

static const char *
value_of(enum http_field field, const char *value)
{
	bool viewer = strcmp(value, "@viewer") == 0;

	if (!viewer && strcmp(value, "@") != 0)
		return value;
	switch (field) {
	case F_COOKIE:
		return web_stub.cookie[viewer];
	case F_CSRF:
		return web_stub.csrf[viewer];
	case F_AUTHORIZATION:
		return "Bearer " STUB_TOKEN;
	case F_HOST: case F_CONTENT_TYPE: case F_CONTENT_LENGTH: case F_ORIGIN:
	case F_SEC_FETCH_SITE: case F_IF_MATCH: case F_IF_NONE_MATCH:
	case F_LAST_EVENT_ID: case F_ACCEPT: case F_ACCEPT_ENCODING:
	case F_CONNECTION: case F_FIELDS:
		break;
	}
	return value;
}

static void
take_field(struct http_conn *conn, char *line)
{
	char *colon = strstr(line, ": ");

	if (colon == NULL)
		return;
	*colon = '\0';
	for (unsigned i = 0; i < F_FIELDS; i++) {
		if (strcasecmp(line, field_names[i]) == 0)
			conn->field[i] = value_of((enum http_field)i,
			    colon + 2);
	}
}

/* What http.c would not let through does not come here. */
static bool
take_line(struct http_conn *conn, char *line)
{
	char *target = strchr(line, ' ');
	unsigned m = 0;

	if (target == NULL)
		return false;
	*target++ = '\0';
	while (m < HTTP_METHODS && strcmp(line,
	    http_method_name((enum http_method)m)) != 0)
		m++;
	if (m == HTTP_METHODS || *target != '/')
		return false;
	for (const char *p = target; *p != '\0'; p++) {
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	}
	conn->method = (enum http_method)m;
	conn->path = target;
	conn->query = strchr(target, '?');
	if (conn->query != NULL)
		*conn->query++ = '\0';
	return true;
}

static bool
take_request(struct http_conn *conn, char *text)
{
	char *line = strsep(&text, "\n");

	if (line == NULL || !take_line(conn, line))
		return false;
	while ((line = strsep(&text, "\n")) != NULL && *line != '\0')
		take_field(conn, line);
	if (text != NULL && (conn->method == HTTP_POST ||
	    conn->method == HTTP_PUT)) {
		conn->body = text;
		conn->body_len = strlen(text);
	}
	if (conn->body_len == 0)
		conn->body = NULL;
	return conn->field[F_HOST] != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *reply;
	struct http_conn conn = { .http = &web_stub.web.http,
		.peer = "192.0.2.1" };
	json_t *canned;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	reply = strlen(text) < size ? text + strlen(text) + 1 : NULL;
	web_stub_reset();
	canned = reply != NULL ? json_loads(reply, 0, NULL) : NULL;
	if (!json_is_object(canned)) {
		json_decref(canned);
		canned = json_pack("{s:b, s:{}}", "ok", 1, "result");
	}
	if (take_request(&conn, text))
		web_stub_handle(&conn, canned);
	json_decref(canned);
	free(text);
	return 0;
}
