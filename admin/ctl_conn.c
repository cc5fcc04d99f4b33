/* SPDX-License-Identifier: BSD-2-Clause */
/* dozoctl's end of the control socket: lines of JSON, blocking. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/ctl.h"

int
ctl_connect(struct ctl *ctl, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert(ctl->fd < 0 && ctl->socket != NULL);
	if (strlen(ctl->socket) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "the path of the socket is "
		    "too long");
	memcpy(addr.sun_path, ctl->socket, strlen(ctl->socket));
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ctl->fd >= 0 && connect(ctl->fd, (const struct sockaddr *)&addr,
	    sizeof(addr)) == 0)
		return 0;
	err_set(err, errno, "cannot reach dozod at %s: %s", ctl->socket,
	    strerror(errno));
	if (err->code == EACCES)
		err_hint(err, "Run dozoctl as root.");
	else
		err_hint(err, "Is dozod running?  `systemctl status dozod` "
		    "tells; --socket names another socket.");
	ctl_close(ctl);
	return -err->code;
}

void
ctl_close(struct ctl *ctl)
{
	if (ctl->fd >= 0)
		close(ctl->fd);
	ctl->fd = -1;
	free(ctl->in);
	ctl->in = NULL;
	ctl->in_len = ctl->in_size = 0;
}

int
ctl_send(struct ctl *ctl, const char *verb, json_t *args, struct err *err)
{
	json_t *json = json_pack("{s:i, s:s, s:O, s:b, s:s?}", "id", 1,
	    "verb", verb, "args", args, "dry_run", (int)ctl->dry_run,
	    "if_match", ctl->if_match);
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
	size_t len, done = 0;

	assert(ctl->fd >= 0);
	json_decref(json);
	if (text == NULL)
		return err_set(err, ENOMEM, "out of memory");
	len = strlen(text);
	text[len++] = '\n';	/* in place of the NUL */
	while (done < len) {
		ssize_t n = send(ctl->fd, text + done, len - done,
		    MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set(err, errno, "cannot send to dozod: %s",
			    strerror(errno));
			break;
		}
		done += (size_t)n;
	}
	free(text);
	return done == len ? 0 : -err->code;
}

static int
fill(struct ctl *ctl, struct err *err)
{
	ssize_t n;

	assert(ctl->fd >= 0 && ctl->in_len <= ctl->in_size);
	if (ctl->in_size - ctl->in_len < 4096) {
		size_t size = ctl->in_size == 0 ? 16384 : ctl->in_size * 2;
		char *in = realloc(ctl->in, size);

		if (in == NULL)
			return err_set(err, ENOMEM, "out of memory");
		ctl->in = in;
		ctl->in_size = size;
	}
	do {
		n = read(ctl->fd, ctl->in + ctl->in_len,
		    ctl->in_size - ctl->in_len);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return err_set(err, EPIPE, "dozod closed the connection");
	if (n < 0)
		return err_set(err, errno, "cannot read from dozod: %s",
		    strerror(errno));
	ctl->in_len += (size_t)n;
	return 0;
}

json_t *
ctl_recv(struct ctl *ctl, struct err *err)
{
	json_error_t why;
	json_t *json;
	char *end;
	size_t seen = 0, len;

	while (ctl->in_len == seen || (end = memchr(ctl->in + seen, '\n',
	    ctl->in_len - seen)) == NULL) {
		seen = ctl->in_len;
		if (fill(ctl, err) != 0)
			return NULL;
	}
	len = (size_t)(end - ctl->in);
	json = json_loadb(ctl->in, len, 0, &why);
	if (json == NULL)
		err_set(err, EPROTO, "dozod's answer is not JSON: %s",
		    why.text);
	ctl->in_len -= len + 1;
	memmove(ctl->in, end + 1, ctl->in_len);
	return json;
}

json_t *
ctl_call(struct ctl *ctl, const char *verb, json_t *args, struct err *err)
{
	if (ctl_send(ctl, verb, args, err) != 0)
		return NULL;
	return ctl_recv(ctl, err);
}
