/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key=value text (RFC 7143 6.1): bounded collecting over several PDUs,
 * parsing, number and binary values, building.  Pure.
 */
#ifndef ISCSI_TEXT_H
#define ISCSI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX	65536u	/* one negotiation, all PDUs (RFC 7143 6.1) */
#define TEXT_KEY_MAX	63u
#define TEXT_VALUE_MAX	8192u	/* we are more liberal than 255 */

/* Text as it arrives, over PDUs with the C bit. */
struct text_acc {
	char *buf;
	size_t len, cap;
};
/* 0, -E2BIG beyond TEXT_MAX or -ENOMEM. */
int text_acc_add(struct text_acc *acc, const void *data, size_t len);
void text_acc_reset(struct text_acc *acc);
void text_acc_fini(struct text_acc *acc);

struct text_in {
	char *p, *end;
};
/*
 * The next pair, NUL-terminated in place.  1 = got one, 0 = end, -EINVAL =
 * not key=value (nothing after it can be trusted).  Empty strings between
 * pairs are padding and skipped.
 */
int text_next(struct text_in *in, char **key, char **value);

struct text_out {
	char *buf;
	size_t len, size;
	bool full;		/* a pair did not fit: nothing of it was put */
};
void text_put(struct text_out *out, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Decimal or 0x hex, all of the string. */
bool text_number(const char *value, uint64_t *number);
/* 0x hex or 0b base64; returns bytes or -EINVAL. */
int text_binary(const char *value, uint8_t *out, size_t max);
/* "0x..." of len bytes; out must hold 2 * len + 3. */
void text_hex(const uint8_t *bin, size_t len, char *out);
/*
 * Walk a comma-separated list: copies the next item to `item` and moves
 * *list.  False at the end.  Items too long for `item` come out empty.
 */
bool text_list_next(const char **list, char *item, size_t size);

#endif
