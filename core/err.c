/* SPDX-License-Identifier: BSD-2-Clause */
/* Administrator-facing errors: text plus hint. */
#include "core/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	assert(code > 0);
	if (err != NULL && err->code == 0) {
		err->code = code;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
		err->hint[0] = '\0';
	}
	return -code;
}

void
err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL || err->hint[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
}

void
err_clear(struct err *err)
{
	err->code = 0;
	err->text[0] = err->hint[0] = '\0';
}

int
err_open(struct err *err, const char *path, int errnum)
{
	err_set(err, errnum, "%s cannot be opened: %s", path,
	    errnum == EBUSY ? "it is in use" : strerror(errnum));
	switch (errnum) {
	case EBUSY:
		err_hint(err, "It may be mounted, part of an md array or LVM, "
		    "or used by another dozod; `lsblk %s` tells", path);
		break;
	case ENOENT:
		err_hint(err, "Check the path: `dozoctl disk list` shows the "
		    "disks of this machine");
		break;
	case EACCES:
		err_hint(err, "Give dozod's user access to it: `ls -l %s` "
		    "shows who has it (devices belong to group disk)", path);
		break;
	case EPERM:
		err_hint(err, "The system forbids dozod this device: see "
		    "DeviceAllow in `systemctl cat dozod`, or what the "
		    "container may use");
		break;
	case EIO:
	case ENXIO:
	case ENOMEDIUM:
		err_hint(err, "The disk does not answer: check that it is "
		    "plugged in and has power; `dmesg` may say more");
		break;
	default:
		break;
	}
	return -errnum;
}
