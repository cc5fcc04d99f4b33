/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text of login and text PDUs.  Pure but for the growing of text_acc, which
 * is bounded by TEXT_MAX whatever the peer sends.
 */
#include "target/iscsi/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

int
text_acc_add(struct text_acc *acc, const void *data, size_t len)
{
	assert(acc->len <= acc->cap && acc->cap <= TEXT_MAX);
	if (len > TEXT_MAX - acc->len)
		return -E2BIG;
	if (acc->len + len > acc->cap) {
		size_t cap = MIN(TEXT_MAX, MAX(2 * (acc->len + len), 1024u));
		char *buf = realloc(acc->buf, cap);

		if (buf == NULL)
			return -ENOMEM;
		acc->buf = buf;
		acc->cap = cap;
	}
	if (len > 0)
		memcpy(acc->buf + acc->len, data, len);
	acc->len += len;
	assert(acc->len <= acc->cap);
	return 0;
}

void
text_acc_reset(struct text_acc *acc)
{
	acc->len = 0;
}

void
text_acc_fini(struct text_acc *acc)
{
	free(acc->buf);
	*acc = (struct text_acc){ 0 };
}

int
text_next(struct text_in *in, char **key, char **value)
{
	char *nul, *eq;

	assert(in->p <= in->end);
	while (in->p < in->end && *in->p == '\0')
		in->p++;
	if (in->p == in->end)
		return 0;
	nul = memchr(in->p, '\0', (size_t)(in->end - in->p));
	if (nul == NULL)
		return -EINVAL;
	eq = memchr(in->p, '=', (size_t)(nul - in->p));
	if (eq == NULL || eq == in->p ||
	    (size_t)(eq - in->p) > TEXT_KEY_MAX ||
	    (size_t)(nul - eq) > TEXT_VALUE_MAX)
		return -EINVAL;
	*eq = '\0';
	*key = in->p;
	*value = eq + 1;
	in->p = nul + 1;
	assert(in->p <= in->end);
	return 1;
}

void
text_put(struct text_out *out, const char *key, const char *fmt, ...)
{
	size_t room = out->size - out->len, klen = strlen(key);
	va_list ap;
	int n;

	assert(out->len <= out->size);
	assert(klen > 0 && klen <= TEXT_KEY_MAX);
	if (klen + 2 > room) {
		out->full = true;
		return;
	}
	memcpy(out->buf + out->len, key, klen);
	out->buf[out->len + klen] = '=';
	room -= klen + 1;
	va_start(ap, fmt);
	n = vsnprintf(out->buf + out->len + klen + 1, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		out->full = true;
		return;
	}
	out->len += klen + 1 + (size_t)n + 1;	/* the NUL goes too */
	assert(out->len <= out->size);
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

static bool
has_prefix(const char *value, char kind)
{
	return value[0] == '0' && (value[1] == kind ||
	    value[1] == (char)(kind - 'a' + 'A'));
}

bool
text_number(const char *value, uint64_t *number)
{
	unsigned base = has_prefix(value, 'x') ? 16 : 10;
	const char *p = base == 16 ? value + 2 : value;
	uint64_t v = 0;

	if (*p == '\0')
		return false;
	for (; *p != '\0'; p++) {
		int d = hex_digit(*p);

		if (d < 0 || (unsigned)d >= base ||
		    v > (UINT64_MAX - 15) / base)
			return false;
		v = v * base + (unsigned)d;
	}
	*number = v;
	return true;
}

static int
hex_decode(const char *p, uint8_t *out, size_t max)
{
	size_t digits = strlen(p), n = (digits + 1) / 2;

	assert(max > 0);
	if (digits == 0 || n > max)
		return -EINVAL;
	memset(out, 0, n);
	/* An odd number of digits has its leading zero left out. */
	for (size_t i = 0, pos = digits & 1; i < digits; i++, pos++) {
		int d = hex_digit(p[i]);

		if (d < 0)
			return -EINVAL;
		out[pos / 2] |= (uint8_t)(pos % 2 == 0 ? d << 4 : d);
	}
	return (int)n;
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int
base64_decode(const char *p, uint8_t *out, size_t max)
{
	size_t len = strlen(p), n = 0;
	uint32_t acc = 0;
	unsigned bits = 0;

	while (len > 0 && p[len - 1] == '=')
		len--;
	if (len == 0 || len % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int d = base64_digit(p[i]);

		if (d < 0)
			return -EINVAL;
		acc = acc << 6 | (uint32_t)d;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == max)
			return -EINVAL;
		out[n++] = (uint8_t)(acc >> bits);
	}
	assert(bits < 8 && n <= max);
	return (int)n;
}

int
text_binary(const char *value, uint8_t *out, size_t max)
{
	if (has_prefix(value, 'x'))
		return hex_decode(value + 2, out, max);
	if (has_prefix(value, 'b'))
		return base64_decode(value + 2, out, max);
	return -EINVAL;
}

void
text_hex(const uint8_t *bin, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	*out++ = '0';
	*out++ = 'x';
	for (size_t i = 0; i < len; i++) {
		*out++ = digits[bin[i] >> 4];
		*out++ = digits[bin[i] & 15];
	}
	*out = '\0';
}

bool
text_list_next(const char **list, char *item, size_t size)
{
	const char *p = *list;
	size_t len = strcspn(p, ",");

	assert(size > 0);
	if (*p == '\0')
		return false;
	item[0] = '\0';
	if (len < size) {
		memcpy(item, p, len);
		item[len] = '\0';
	}
	*list = p + len + (p[len] == ',');
	return true;
}
