/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes as people write them: "10G", "512MiB", "4096". */
#ifndef ADMIN_SIZE_H
#define ADMIN_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/*
 * Suffixes k, m, g, t, p (any case, optionally followed by "iB" or "B") are
 * powers of 1024; a fraction ("1.5T") is allowed with a suffix.  0 is refused.
 */
int size_parse(const char *text, uint64_t *bytes, struct err *err);

/* "1.5 TiB", "512 B"; returns text. */
const char *size_print(uint64_t bytes, char *text, size_t size);

#endif
