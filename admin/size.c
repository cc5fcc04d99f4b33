/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parse and print sizes.  Pure.
 *
 * Invariant: a size that parses is 1..INT64_MAX bytes, so that it fits into
 * JSON integers and file offsets.
 */
#include "admin/size.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/util.h"

static const char units[] = "kmgtp";

/* The power of 1024 that `suffix` means, or -1. */
static int
suffix_power(const char *suffix)
{
	const char *unit;

	if (*suffix == '\0' || strcasecmp(suffix, "b") == 0)
		return 0;
	unit = strchr(units, tolower((unsigned char)*suffix));
	if (unit == NULL)
		return -1;
	suffix++;
	if (*suffix != '\0' && strcasecmp(suffix, "b") != 0 &&
	    strcasecmp(suffix, "ib") != 0)
		return -1;
	return (int)(unit - units) + 1;
}

static int
size_bad(const char *text, struct err *err)
{
	err_set(err, EINVAL, "\"%.40s\" is not a size", text);
	err_hint(err, "Write bytes, or a number with K, M, G or T: 512M, "
	    "100G, 1.5T.");
	return -EINVAL;
}

int
size_parse(const char *text, uint64_t *bytes, struct err *err)
{
	uint64_t whole = 0, frac = 0, scale = 1, unit;
	const char *p = text;
	bool digits = false;
	int power;

	for (; isdigit((unsigned char)*p); p++, digits = true) {
		if (whole > INT64_MAX / 10 - 1)
			return size_bad(text, err);
		whole = whole * 10 + (uint64_t)(*p - '0');
	}
	if (digits && *p == '.') {
		for (p++; isdigit((unsigned char)*p); p++) {
			if (scale < 1000000) {
				frac = frac * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}
		}
	}
	while (*p == ' ')
		p++;
	power = suffix_power(p);
	if (!digits || power < 0 || (scale > 1 && power == 0))
		return size_bad(text, err);
	unit = (uint64_t)1 << (10 * (unsigned)power);
	if (whole > INT64_MAX / unit)
		return size_bad(text, err);
	/* unit / scale first would lose bytes; frac < 10^6 and unit <= 2^50 */
	*bytes = whole * unit + (uint64_t)((__uint128_t)frac * unit / scale);
	if (*bytes == 0)
		return size_bad(text, err);
	assert(*bytes <= INT64_MAX);
	return 0;
}

const char *
size_print(uint64_t bytes, char *text, size_t size)
{
	unsigned power = 0;
	uint64_t unit = 1;

	assert(size > 0);
	while (power < sizeof(units) - 1 && bytes / unit >= 1024) {
		unit *= 1024;
		power++;
	}
	assert(power == 0 || bytes >= unit);
	if (power == 0)
		snprintf(text, size, "%" PRIu64 " B", bytes);
	else if (bytes % unit == 0)
		snprintf(text, size, "%" PRIu64 " %ciB", bytes / unit,
		    toupper((unsigned char)units[power - 1]));
	else
		snprintf(text, size, "%.1f %ciB", (double)bytes / (double)unit,
		    toupper((unsigned char)units[power - 1]));
	return text;
}
