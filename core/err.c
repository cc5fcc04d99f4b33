/* SPDX-License-Identifier: BSD-2-Clause */
/* Administrator-facing errors: text plus hint. */
#include "core/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

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
