/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozo.conf by inih.  Few keys, no sections; what is not known is an error,
 * because a misspelt key that is silently ignored is found too late.
 *
 * Invariant: after conf_read() returns 0 there is at least one portal and all
 * paths are absolute.
 */
#include "config.h"

#include "admin/conf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ident.h"
#include "admin/size.h"
#include "block/cache.h"
#include "core/util.h"

struct conf_parse {
	struct conf *conf;
	struct err *err;
};

struct conf_key {
	const char *name;
	int (*set)(struct conf *conf, const char *value, struct err *err);
};

static int
set_path(char *dst, size_t size, const char *value, struct err *err)
{
	assert(size > 1);
	if (value[0] != '/')
		return err_set(err, EINVAL, "\"%.80s\" is not an absolute path",
		    value);
	if (strlen(value) >= size)
		return err_set(err, EINVAL,
		    "the path is longer than %zu characters", size - 1);
	snprintf(dst, size, "%s", value);
	return 0;
}

static int
set_state_dir(struct conf *conf, const char *value, struct err *err)
{
	return set_path(conf->state_dir, sizeof(conf->state_dir), value, err);
}

static int
set_control_socket(struct conf *conf, const char *value, struct err *err)
{
	return set_path(conf->control_socket, sizeof(conf->control_socket),
	    value, err);
}

static int
set_listen(struct conf *conf, const char *value, struct err *err)
{
	char *copy = strdup(value), *rest = copy, *word;
	int r = 0;

	if (copy == NULL)
		return err_set(err, ENOMEM, "out of memory");
	conf->nlisten = 0;
	while (r == 0 && (word = strsep(&rest, ", \t\n")) != NULL) {
		if (*word == '\0')
			continue;
		if (conf->nlisten == CONF_LISTEN_MAX)
			r = err_set(err, EINVAL, "more than %u portals",
			    CONF_LISTEN_MAX);
		else
			r = conf_parse_addr(word,
			    &conf->listen[conf->nlisten++], err);
	}
	free(copy);
	if (r == 0 && conf->nlisten == 0)
		r = err_set(err, EINVAL, "no address given");
	return r;
}

static int
parse_port(const char *text, uint16_t *port, struct err *err)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text || v > UINT16_MAX ||
	    text[0] == '-')
		return err_set(err, EINVAL,
		    "\"%.40s\" is not a port number (0 to 65535)", text);
	*port = (uint16_t)v;
	return 0;
}

static int
set_page_port(struct conf *conf, const char *value, struct err *err)
{
	return parse_port(value, &conf->page_port, err);
}

static int
set_page_address(struct conf *conf, const char *value, struct err *err)
{
	struct sock_addr addr;

	if (conf_parse_addr(value, &addr, err) != 0)
		return -err->code;
	if (addr.port != ISCSI_PORT)
		return err_set(err, EINVAL, "give the port with page-port");
	snprintf(conf->page_address, sizeof(conf->page_address), "%.63s",
	    addr.text);
	return 0;
}

static int
set_page_name(struct conf *conf, const char *value, struct err *err)
{
	if (strlen(value) >= sizeof(conf->page_name) ||
	    strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
	    "XYZ0123456789.-") != strlen(value))
		return err_set(err, EINVAL, "\"%.60s\" is not a host name",
		    value);
	snprintf(conf->page_name, sizeof(conf->page_name), "%s", value);
	return 0;
}

static int
set_log_level(struct conf *conf, const char *value, struct err *err)
{
	static const char *const names[] = { "error", "warning", "info",
		"debug" };

	for (unsigned i = 0; i < nitems(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			conf->log_level = (enum log_level)i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "\"%.40s\" is none of error, warning, "
	    "info, debug", value);
}

static int
set_spin(struct conf *conf, const char *value, struct err *err)
{
	char *end;
	unsigned long v = strtoul(value, &end, 10);

	if (*end != '\0' || end == value || value[0] == '-' ||
	    v > CONF_SPIN_MAX_US)
		return err_set(err, EINVAL, "\"%.40s\" is not a number of "
		    "microseconds (0 to %u)", value, CONF_SPIN_MAX_US);
	conf->spin_us = (unsigned)v;
	return 0;
}

static int
set_cache(struct conf *conf, const char *value, struct err *err)
{
	uint64_t bytes;

	if (strcmp(value, "auto") == 0) {
		conf->cache_bytes = CONF_CACHE_AUTO;
		return 0;
	}
	if (strcmp(value, "0") == 0) {
		conf->cache_bytes = 0;
		return 0;
	}
	if (size_parse(value, &bytes, err) != 0) {
		err_hint(err, "Write auto, 0, or a size such as 512M.");
		return -err->code;
	}
	if (bytes < CACHE_BYTES_MIN)
		return err_set(err, EINVAL, "\"%.40s\" is less than 4 MiB "
		    "(0 means no cache)", value);
	conf->cache_bytes = bytes;
	return 0;
}

static const struct conf_key keys[] = {
	{ "state-directory", set_state_dir },
	{ "control-socket", set_control_socket },
	{ "listen", set_listen },
	{ "page-port", set_page_port },
	{ "page-address", set_page_address },
	{ "page-name", set_page_name },
	{ "log-level", set_log_level },
	{ "spin-us", set_spin },
	{ "cache-memory", set_cache },
};

static const char *
key_name(const void *arg, size_t i)
{
	(void)arg;
	return i < nitems(keys) ? keys[i].name : NULL;
}

/* inih: 0 marks the line as bad. */
static int
conf_line(void *arg, const char *section, const char *name, const char *value)
{
	struct conf_parse *parse = arg;
	const char *nearest;

	if (err_is(parse->err))
		return 1;	/* the first error wins */
	if (section[0] != '\0') {
		err_set(parse->err, EINVAL, "there are no sections: [%.40s]",
		    section);
		return 0;
	}
	for (size_t i = 0; i < nitems(keys); i++) {
		if (strcmp(name, keys[i].name) == 0)
			return keys[i].set(parse->conf, value, parse->err) == 0;
	}
	nearest = ident_nearest(name, key_name, NULL);
	err_set(parse->err, EINVAL, "unknown key \"%.40s\"", name);
	if (nearest != NULL)
		err_hint(parse->err, "Did you mean \"%s\"?", nearest);
	else
		err_hint(parse->err, "dozo.conf(5) lists all keys.");
	return 0;
}

void
conf_defaults(struct conf *conf)
{
	memset(conf, 0, sizeof(*conf));
	snprintf(conf->state_dir, sizeof(conf->state_dir), "%s",
	    LOCALSTATEDIR "/lib/dozo");
	snprintf(conf->control_socket, sizeof(conf->control_socket),
	    "/run/dozo/control.sock");
	conf->listen[0].port = ISCSI_PORT;
	conf->nlisten = 1;
	conf->page_port = 8443;
	conf->log_level = LOG_L_INFO;
	conf->spin_us = 50;
	conf->cache_bytes = CONF_CACHE_AUTO;
}

int
conf_read(struct conf *conf, const char *path, struct err *err)
{
	struct err why = { 0 };
	struct conf_parse parse = { .conf = conf, .err = &why };
	int line;

	conf_defaults(conf);
	line = ini_parse(path, conf_line, &parse);
	if (line == -1) {
		err_set(err, errno != 0 ? errno : EIO, "cannot read %s: %s",
		    path, strerror(errno));
		err_hint(err, "Give the file with -c, or install the example "
		    "as %s.", SYSCONFDIR "/dozo/dozo.conf");
		return -EIO;
	}
	if (line != 0 || err_is(&why)) {
		if (!err_is(&why))
			err_set(&why, EINVAL, "not \"key = value\"");
		err_set(err, why.code, "%s:%d: %s", path, line, why.text);
		err_hint(err, "%s", why.hint);
		return -why.code;
	}
	assert(conf->nlisten > 0);
	assert(conf->state_dir[0] == '/' && conf->control_socket[0] == '/');
	return 0;
}

int
conf_parse_addr(const char *text, struct sock_addr *addr, struct err *err)
{
	const char *host = text, *port = NULL, *end = text + strlen(text);
	struct in6_addr probe;

	memset(addr, 0, sizeof(*addr));
	addr->port = ISCSI_PORT;
	if (*text == '[') {
		host++;
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return err_set(err, EINVAL,
			    "\"%.60s\": expected [address]:port", text);
		port = end[1] == ':' ? end + 2 : NULL;
	} else if (strchr(text, ':') != NULL &&
	    strchr(text, ':') == strrchr(text, ':')) {
		end = strchr(text, ':');
		port = end + 1;
	}
	if ((size_t)(end - host) >= sizeof(addr->text))
		return err_set(err, EINVAL, "\"%.60s...\" is too long", text);
	memcpy(addr->text, host, (size_t)(end - host));
	if (strcmp(addr->text, "*") == 0)
		addr->text[0] = '\0';
	if (addr->text[0] != '\0' &&
	    inet_pton(AF_INET, addr->text, &probe) != 1 &&
	    inet_pton(AF_INET6, addr->text, &probe) != 1) {
		err_set(err, EINVAL, "\"%.60s\" is not an IP address",
		    addr->text);
		err_hint(err, "Write 192.0.2.1:3260, [2001:db8::1]:3260, or "
		    "*:3260 for all addresses.");
		return -EINVAL;
	}
	return port != NULL ? parse_port(port, &addr->port, err) : 0;
}

const char *
conf_print_addr(const struct sock_addr *addr, char *text, size_t size)
{
	assert(size > 8);
	if (strchr(addr->text, ':') != NULL)
		snprintf(text, size, "[%s]:%u", addr->text, addr->port);
	else
		snprintf(text, size, "%s:%u",
		    addr->text[0] != '\0' ? addr->text : "*", addr->port);
	return text;
}
