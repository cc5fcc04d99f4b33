/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The audit log: one JSON line per change or login that came through the page
 * or the API, appended to DIR/audit.jsonl; beyond AUDIT_BYTES the file is kept
 * once more as audit.jsonl.1.
 */
#ifndef WEBUI_AUDIT_H
#define WEBUI_AUDIT_H

#include <jansson.h>

#include "core/err.h"

#define AUDIT_BYTES ((off_t)1024 * 1024)

struct audit;

struct audit *audit_open(const char *dir, struct err *err);
void audit_close(struct audit *audit);
/* Takes over `entry` and adds the time. */
void audit_write(struct audit *audit, json_t *entry);
/* The last `max` entries, newest first; a new array. */
json_t *audit_read(struct audit *audit, size_t max);

#endif
