/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The history of a seed: its last lines, and a hash of all of them.
 *
 * A line is kept as its format and the packed arguments and becomes text only
 * when somebody reads it: most histories are never read, and text would cost
 * more than what it tells about.
 *
 * Invariants: the hash follows from formats and arguments, never from
 * addresses; pack() and unpack() walk a format in the same way.
 */
#include "tests/sim/sim_priv.h"

#include <assert.h>
#include <isa-l.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t
sim_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		hash = (hash ^ word) * 0x9fb21c651e98df25u;
		hash ^= hash >> 29;
	}
	for (; len > 0; p++, len--)
		hash = (hash ^ *p) * 0x100000001b3u;
	return hash;
}

uint32_t
sim_sum_iov(const struct iovec *iov, unsigned niov, size_t len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < niov && len > 0; i++) {
		size_t part = MIN(iov[i].iov_len, len);

		sum = crc32_iscsi(iov[i].iov_base, (int)part, sum);
		len -= part;
	}
	return sum;
}

/* One conversion of a format: %s, or a number with l, ll or z and a width. */
struct conversion {
	char type;		/* s, u, d, x; 0 at the end of the format */
	unsigned longs;
	int width;
};

/* The next conversion from *fmt on, which moves behind it. */
static struct conversion
next_conversion(const char **fmt)
{
	struct conversion c = { 0 };
	const char *p = strchr(*fmt, '%');

	if (p == NULL)
		return c;
	for (p++; *p >= '0' && *p <= '9'; p++)
		c.width = 10 * c.width + (*p - '0');
	for (; *p == 'l' || *p == 'z'; p++)
		c.longs++;
	c.type = *p;
	assert(*p != '\0' && strchr("sudx", *p) != NULL);
	*fmt = p + 1;
	return c;
}

/* Returns the words used; what finds no room is cut. */
static unsigned
pack(uint64_t words[SIM_WORDS], const char *fmt, va_list ap)
{
	struct conversion c;
	unsigned n = 0;

	while ((c = next_conversion(&fmt)).type != 0 && n < SIM_WORDS) {
		if (c.type == 's') {
			const char *text = va_arg(ap, const char *);
			size_t room = (SIM_WORDS - n) * sizeof(words[0]);
			size_t len = strnlen(text, room - 1);
			unsigned used = (unsigned)(len / sizeof(words[0])) + 1;

			words[n + used - 1] = 0;
			memcpy(&words[n], text, len);
			n += used;
		} else if (c.longs > 0) {
			words[n++] = va_arg(ap, unsigned long long);
		} else {
			words[n++] = (uint64_t)(int64_t)va_arg(ap, int);
		}
	}
	return n;
}

static int
print_number(const struct conversion *c, uint64_t word, char *text,
    size_t size)
{
	if (c->type == 'd')
		return snprintf(text, size, "%lld", (long long)word);
	if (c->longs == 0)
		word = (uint32_t)word;
	if (c->type == 'x')
		return snprintf(text, size, "%0*llx", c->width,
		    (unsigned long long)word);
	return snprintf(text, size, "%llu", (unsigned long long)word);
}

static void
print_line(const struct sim_line *line)
{
	const char *fmt = line->fmt;
	char text[24];
	unsigned n = 0;

	fprintf(stderr, "%9llu.%03llu ",
	    (unsigned long long)(line->now_ns / 1000000),
	    (unsigned long long)(line->now_ns / 1000 % 1000));
	for (;;) {
		const char *from = fmt;
		struct conversion c = next_conversion(&fmt);

		fwrite(from, 1, strcspn(from, "%"), stderr);
		if (c.type == 0 || n >= line->nwords)
			break;
		if (c.type == 's') {
			const char *s = (const char *)&line->words[n];

			fputs(s, stderr);
			n += (unsigned)(strlen(s) / sizeof(uint64_t)) + 1;
		} else {
			print_number(&c, line->words[n++], text, sizeof(text));
			fputs(text, stderr);
		}
	}
	fputc('\n', stderr);
}

static const struct sim_line *
add_line(struct sim *sim, const char *fmt, va_list ap)
{
	struct sim_line *line = &sim->lines[sim->nkept++ % SIM_LINES];

	line->now_ns = sim->now_ns;
	line->fmt = fmt;
	line->nwords = pack(line->words, fmt, ap);
	if (sim->verbose)
		print_line(line);
	return line;
}

void
sim_trace(struct sim *sim, const char *fmt, ...)
{
	const struct sim_line *line;
	va_list ap;

	va_start(ap, fmt);
	line = add_line(sim, fmt, ap);
	va_end(ap);
	sim->hash = sim_hash(sim->hash ^ line->now_ns, fmt, strlen(fmt));
	sim->hash = sim_hash(sim->hash, line->words,
	    line->nwords * sizeof(line->words[0]));
	sim->nlines++;
}

void
sim_note(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)add_line(sim, fmt, ap);
	va_end(ap);
}

uint64_t
sim_history_hash(const struct sim *sim)
{
	return sim->hash;
}

uint64_t
sim_history_lines(const struct sim *sim)
{
	return sim->nlines;
}

void
sim_print_history(const struct sim *sim)
{
	uint64_t n = MIN(sim->nkept, (uint64_t)SIM_LINES);

	if (sim->verbose)
		return;			/* has been printed already */
	fprintf(stderr, "history, the last %llu of %llu lines:\n",
	    (unsigned long long)n, (unsigned long long)sim->nkept);
	for (uint64_t i = sim->nkept - n; i < sim->nkept; i++)
		print_line(&sim->lines[i % SIM_LINES]);
}
