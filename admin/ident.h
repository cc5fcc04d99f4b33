/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, UUIDs, ETags and "did you mean". */
#ifndef ADMIN_IDENT_H
#define ADMIN_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define NAME_SIZE 64		/* [a-z0-9-]{1,63} and the NUL */
#define UUID_SIZE 37		/* text form and the NUL */

/* May `name` name an object?  `what` is for the message: "target". */
bool ident_name_ok(const char *what, const char *name, struct err *err);

void uuid_print(const uint8_t uuid[16], char text[UUID_SIZE]);
bool uuid_parse(const char *text, uint8_t uuid[16]);
/* Stamp random bytes as a version 4 UUID (RFC 9562 5.4). */
void uuid_stamp(uint8_t uuid[16]);

/* iSCSI name (RFC 7143 4.2.7): iqn., eui. or naa. form, lower case. */
bool ident_iqn_ok(const char *iqn, struct err *err);

/*
 * The candidate closest to `word`, or NULL if none is close.  candidate(i)
 * returns NULL at the end.
 */
const char *ident_nearest(const char *word,
    const char *(*candidate)(const void *arg, size_t i), const void *arg);

/* FNV-1a, 64 bit: ETags, not security. */
uint64_t ident_hash(const char *text, size_t len);

#endif
