/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names, UUIDs, ETags and "did you mean".  Pure.
 *
 * Invariants: a UUID in text is always lower case with dashes; an accepted
 * name fits NAME_SIZE and needs no quoting in a path, a URL or a shell.
 */
#include "admin/ident.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"

#define IQN_MAX 223u		/* RFC 7143 4.2.7.1 */
#define NEAR_MAX 48u		/* longer words have no neighbours */

bool
ident_name_ok(const char *what, const char *name, struct err *err)
{
	size_t len = strlen(name);

	assert(what != NULL);
	if (len >= 1 && len < NAME_SIZE &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len)
		return true;
	if (strcmp(what, "name") == 0)
		err_set(err, EINVAL, "\"%.80s\" cannot name anything", name);
	else
		err_set(err, EINVAL, "\"%.80s\" cannot name a %s", name,
		    what);
	err_hint(err, "Names have 1 to 63 characters out of a-z, 0-9 and '-'.");
	return false;
}

void
uuid_print(const uint8_t uuid[16], char text[UUID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[n++] = '-';
		text[n++] = digits[uuid[i] >> 4];
		text[n++] = digits[uuid[i] & 15];
	}
	text[n++] = '\0';
	assert(n == UUID_SIZE);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
uuid_parse(const char *text, uint8_t uuid[16])
{
	const char *p = text;

	for (unsigned i = 0; i < 16; i++) {
		int hi, lo;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			return false;
		hi = hex_digit(*p);
		if (hi < 0)
			return false;
		lo = hex_digit(p[1]);
		if (lo < 0)
			return false;
		uuid[i] = (uint8_t)(hi << 4 | lo);
		p += 2;
	}
	return *p == '\0';
}

void
uuid_stamp(uint8_t uuid[16])
{
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

bool
ident_iqn_ok(const char *iqn, struct err *err)
{
	size_t len = strlen(iqn);
	bool ok = len >= 5 && len <= IQN_MAX;

	ok = ok && (strncmp(iqn, "iqn.", 4) == 0 ||
	    strncmp(iqn, "eui.", 4) == 0 || strncmp(iqn, "naa.", 4) == 0);
	/* iqn.YYYY-MM.domain: RFC 7143 4.2.7.4 */
	if (ok && iqn[0] == 'i')
		ok = len > 12 && strspn(iqn + 4, "0123456789") == 4 &&
		    iqn[8] == '-' && strspn(iqn + 9, "0123456789") == 2 &&
		    iqn[11] == '.';
	for (size_t i = 0; ok && i < len; i++) {
		unsigned char c = (unsigned char)iqn[i];

		ok = c >= 0x80 || islower(c) || isdigit(c) ||
		    strchr("-.:", c) != NULL;
	}
	if (ok)
		return true;
	err_set(err, EINVAL, "\"%.100s\" is not an iSCSI name", iqn);
	err_hint(err, "Write it like iqn.2026-01.com.example:name, in lower "
	    "case without spaces or '_'.");
	return false;
}

/* Edit distance, cut off for long words. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[NEAR_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NEAR_MAX || lb > NEAR_MAX)
		return NEAR_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned cost = diag + (a[i - 1] != b[j - 1]);

			diag = row[j];
			row[j] = MIN(cost, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[lb];
}

const char *
ident_nearest(const char *word,
    const char *(*candidate)(const void *arg, size_t i), const void *arg)
{
	const char *best = NULL, *name;
	unsigned least = 4;

	assert(word != NULL && candidate != NULL);
	for (size_t i = 0; (name = candidate(arg, i)) != NULL; i++) {
		size_t len = strlen(word);
		unsigned d = distance(word, name);

		/* An abbreviation. */
		if (len >= 3 && strncmp(word, name, len) == 0)
			d = 1;
		/* An empty resemblance is none. */
		if (d < least && d < strlen(name)) {
			least = d;
			best = name;
		}
	}
	return best;
}

uint64_t
ident_hash(const char *text, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	assert(text != NULL || len == 0);
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3;
	return hash;
}
