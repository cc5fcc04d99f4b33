/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozo-webui: the page and the API.  Started and watched by dozod, as a user
 * of its own; has no disks and no ring, and asks dozod for everything.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/web.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "webui/cert.h"

struct options {
	const char *socket, *state;
	const char *listen[8];
	unsigned nlisten;
	uint16_t port;
	bool journal;
};

static void
usage(FILE *out)
{
	fputs("usage: dozo-webui --socket PATH --state DIR [--port N] "
	    "[--listen ADDRESS]...\n"
	    "                  [--name NAME]... [--journal]\n"
	    "Serve the page and the API of dozod.  dozod starts it.\n\n"
	    "  --socket PATH     dozod's control socket\n"
	    "  --state DIR       for key, certificate and audit log\n"
	    "  --port N          HTTPS port (default 8443; 0: any free one)\n"
	    "  --listen ADDRESS  only on this address\n"
	    "  --name NAME       a name of this box that browsers may use\n"
	    "  --journal         log for the journal\n"
	    "  --help            print this\n"
	    "  --version         print the version\n", out);
}

/* Exit status, or -1 to go on. */
static int
parse_options(int argc, char **argv, struct options *o, struct web *web)
{
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "state", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "listen", required_argument, NULL, 'l' },
		{ "name", required_argument, NULL, 'n' },
		{ "journal", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	char *end;
	unsigned long port = 8443;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's': o->socket = optarg; break;
		case 'd': o->state = optarg; break;
		case 'j': o->journal = true; break;
		case 'p':
			port = strtoul(optarg, &end, 10);
			if (*end != '\0' || end == optarg || port > 65535) {
				fprintf(stderr, "dozo-webui: --port: \"%s\" "
				    "is not a port\n", optarg);
				return 2;
			}
			break;
		case 'l':
			if (o->nlisten < 8)
				o->listen[o->nlisten++] = optarg;
			break;
		case 'n':
			if (web->nnames < WEB_NAMES_MAX)
				web->name[web->nnames++] = optarg;
			break;
		case 'h': usage(stdout); return 0;
		case 'V': puts("dozo-webui " PACKAGE_VERSION); return 0;
		default: usage(stderr); return 2;
		}
	}
	o->port = (uint16_t)port;
	if (o->socket == NULL || o->state == NULL || optind < argc) {
		usage(stderr);
		return 2;
	}
	return -1;
}

static void
on_dozod_event(void *arg, json_t *event)
{
	struct web *web = arg;
	const char *verb = json_string_value(json_object_get(
	    json_object_get(event, "data"), "verb"));

	assert(web->live != NULL);
	if (event != NULL)
		live_event(web->live, event);
	/* dozod is back, or users changed. */
	if (event == NULL || (verb != NULL &&
	    (strncmp(verb, "user.", 5) == 0 ||
	    strncmp(verb, "token.", 6) == 0 ||
	    strncmp(verb, "config.", 7) == 0)))
		who_refresh(web);
}

static void
on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopexit(arg, NULL);
}

static int
start_listening(struct web *web, const struct options *o, struct err *err)
{
	char print[96];

	assert(web->http.tls != NULL);
	web->port = o->port;
	if (o->nlisten == 0 &&
	    http_listen(&web->http, "", &web->port, err) != 0)
		return -1;
	for (unsigned i = 0; i < o->nlisten; i++) {
		if (http_listen(&web->http, o->listen[i], &web->port,
		    err) != 0)
			return -1;
	}
	cert_fingerprint(web->http.tls, print);
	log_info("the page is at https://%s:%u/ certificate %s",
	    o->nlisten == 1 ? o->listen[0] : web->hostname, web->port, print);
	return 0;
}

static int
start(struct web *web, const struct options *o, struct err *err)
{
	assert(web->base == NULL);
	snprintf(web->state_dir, sizeof(web->state_dir), "%s", o->state);
	if (mkdir(o->state, 0700) != 0 && errno != EEXIST)
		return err_set(err, errno, "%s: %s", o->state,
		    strerror(errno));
	if (gethostname(web->hostname, sizeof(web->hostname) - 1) != 0)
		snprintf(web->hostname, sizeof(web->hostname), "dozo");
	web->base = event_base_new();
	if (web->base == NULL)
		return err_set(err, ENOMEM, "out of memory");
	if (http_init(&web->http, web->base) != 0)
		return err_set(err, ENOMEM, "out of memory");
	web->http.handle = api_handle;
	web->http.arg = web;
	web->client = client_new(web->base, o->socket);
	web->hasher = hasher_new(web->base);
	web->live = live_new(web);
	if (web->client == NULL || web->hasher == NULL || web->live == NULL)
		return err_set(err, EINVAL, "%s cannot be used as control "
		    "socket, or memory is short", o->socket);
	web->audit = audit_open(o->state, err);
	web->http.tls = cert_load(o->state, err);
	web->api = api_new((const char *)openapi_asset.data,
	    openapi_asset.len, err);
	if (web->audit == NULL || web->http.tls == NULL || web->api == NULL)
		return -1;
	client_follow(web->client, on_dozod_event, web);
	return start_listening(web, o, err);
}

static void
stop(struct web *web)
{
	if (web->base == NULL)
		return;
	client_free(web->client);
	hasher_free(web->hasher);
	live_free(web->live);	/* ends the streams */
	http_fini(&web->http);
	api_free(web->api);
	audit_close(web->audit);
	json_decref(web->users);
	json_decref(web->tokens);
	event_base_free(web->base);
}

int
main(int argc, char **argv)
{
	struct options o = { .port = 8443 };
	struct web *web = calloc(1, sizeof(*web));
	struct rlimit no_core = { 0, 0 };
	struct event *term, *intr;
	struct err err = { 0 };
	int status;

	if (web == NULL)
		return 1;
	status = parse_options(argc, argv, &o, web);
	if (status >= 0) {
		free(web);
		return status;
	}
	umask(077);
	prctl(PR_SET_NAME, "dozo-webui", 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);	/* secrets */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	log_set_journal(o.journal);
	if (start(web, &o, &err) != 0) {
		log_err("the page does not start: %s. %s", err.text, err.hint);
		return 1;
	}
	term = evsignal_new(web->base, SIGTERM, on_signal, web->base);
	intr = evsignal_new(web->base, SIGINT, on_signal, web->base);
	if (term != NULL && intr != NULL) {
		evsignal_add(term, NULL);
		evsignal_add(intr, NULL);
		event_base_dispatch(web->base);
		event_free(term);
		event_free(intr);
	}
	stop(web);
	free(web);
	return 0;
}
