/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sector model.
 *
 * Time here is a counter that moves with each start and each end.  Invariants:
 * a sector always has at least one version; a version is dropped only if a
 * durable write overrides it and no read in flight may still see it.
 */
#include "tests/sim/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS 8u
#define WRITES 65535u
#define ANYTHING 1u		/* number of a write that nobody knows */
#define READS 64u
#define WORDS (MODEL_SECTOR / sizeof(uint64_t))

static uint64_t salt[WORDS];	/* of the words in a sector */

enum state { IN_FLIGHT, OK, MAYBE };

struct write {
	uint64_t start, end;
	enum state state;
	enum model_kind kind;
	bool durable;
	bool settled;		/* possible since before a power cut */
};

struct sector {
	uint16_t version[VERSIONS];
	uint16_t n;
};

struct model {
	struct sim *sim;
	char name[24];
	uint64_t sectors, clock;
	struct sector *sector;
	struct write *write;	/* [0]: the zeroes there were at first */
	unsigned nwrites;
	uint64_t reads[READS];	/* start of each read in flight, 0 = free */
};

struct model *
model_new(struct sim *sim, const char *name, uint64_t sectors)
{
	struct model *model = calloc(1, sizeof(*model));
	struct rng salts = { .state = 1 };

	for (unsigned i = 0; i < WORDS; i++)
		salt[i] = rng_next(&salts);
	if (model == NULL)
		sim_fail(sim, "no memory");
	model->sim = sim;
	strncpy(model->name, name, sizeof(model->name) - 1);
	model->clock = 2;
	model->write = calloc(WRITES, sizeof(model->write[0]));
	if (model->write == NULL)
		sim_fail(sim, "no memory");
	model->write[0] = (struct write){ .start = 1, .end = 1, .state = OK,
	    .kind = MODEL_ZERO, .durable = true };
	model->write[ANYTHING] = model->write[0];
	model->write[ANYTHING].kind = MODEL_ANYTHING;
	model->nwrites = 2;
	model_grow(model, sectors);
	return model;
}

void
model_free(struct model *model)
{
	free(model->sector);
	free(model->write);
	free(model);
}

void
model_grow(struct model *model, uint64_t sectors)
{
	assert(sectors > model->sectors);
	model->sector = realloc(model->sector,
	    sectors * sizeof(model->sector[0]));
	if (model->sector == NULL)
		sim_fail(model->sim, "no memory");
	for (uint64_t i = model->sectors; i < sectors; i++)
		model->sector[i] = (struct sector){ .n = 1 };
	model->sectors = sectors;
}

uint64_t
model_sectors(const struct model *model)
{
	return model->sectors;
}

static bool
overrides(const struct write *w, const struct write *v)
{
	return w->state == OK && w->start > v->end;
}

static uint64_t
oldest_read(const struct model *model)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < READS; i++)
		if (model->reads[i] != 0)
			oldest = MIN(oldest, model->reads[i]);
	return oldest;
}

/* Drop the versions that can never be seen again. */
static void
prune(const struct model *model, struct sector *s)
{
	uint64_t oldest = oldest_read(model);
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		const struct write *v = &model->write[s->version[i]];
		bool gone = false;

		for (unsigned j = 0; j < s->n; j++) {
			const struct write *w = &model->write[s->version[j]];

			if (w->durable && w->end < oldest && overrides(w, v))
				gone = true;
		}
		if (!gone)
			s->version[n++] = s->version[i];
	}
	assert(n > 0);
	s->n = (uint16_t)n;
}

unsigned
model_write(struct model *model, enum model_kind kind, uint64_t lba,
    uint64_t n)
{
	unsigned number = model->nwrites;

	assert(n > 0 && range_ok(lba, n, model->sectors));
	if (number == WRITES)
		return 0;
	for (uint64_t i = lba; i < lba + n; i++) {
		if (model->sector[i].n == VERSIONS)
			prune(model, &model->sector[i]);
		if (model->sector[i].n == VERSIONS)
			return 0;
	}
	for (uint64_t i = lba; i < lba + n; i++) {
		struct sector *s = &model->sector[i];

		s->version[s->n++] = (uint16_t)number;
	}
	model->write[number] = (struct write){ .start = model->clock++,
	    .end = UINT64_MAX, .state = IN_FLIGHT, .kind = kind };
	model->nwrites++;
	return number;
}

/*
 * Number and address, then words that no other sector has in these places, nor
 * has the XOR of other sectors: a sum does not go through XOR.
 */
static uint64_t
sector_base(uint64_t number, uint64_t lba)
{
	struct rng rng = { .state = number << 40 ^ lba };

	return rng_next(&rng);
}

static void
fill_sector(uint64_t number, uint64_t lba, uint8_t *buf)
{
	uint64_t words[WORDS], base = sector_base(number, lba);

	for (unsigned i = 0; i < WORDS; i++)
		words[i] = base + salt[i];
	words[0] = number;
	words[1] = lba;
	memcpy(buf, words, sizeof(words));
}

static bool
sector_is(uint64_t number, uint64_t lba, const uint8_t *buf)
{
	uint64_t words[WORDS], base = sector_base(number, lba), differ = 0;

	memcpy(words, buf, sizeof(words));
	if (words[0] != number || words[1] != lba)
		return false;
	for (unsigned i = 2; i < WORDS; i++)
		differ |= words[i] ^ (base + salt[i]);
	return differ == 0;
}

void
model_fill(const struct model *model, unsigned number, uint64_t lba,
    uint64_t n, uint8_t *buf)
{
	assert(model->write[number].kind == MODEL_DATA);
	for (uint64_t i = 0; i < n; i++)
		fill_sector(number, lba + i, buf + i * MODEL_SECTOR);
}

void
model_write_end(struct model *model, unsigned number, bool ok, bool durable)
{
	struct write *w = &model->write[number];

	assert(w->state == IN_FLIGHT);
	w->state = ok ? OK : MAYBE;
	w->end = model->clock++;
	w->durable = ok && durable;
}

uint64_t
model_flush(struct model *model)
{
	return model->clock++;
}

void
model_flush_end(struct model *model, uint64_t token)
{
	for (unsigned i = 0; i < model->nwrites; i++)
		if (model->write[i].state == OK &&
		    model->write[i].end < token)
			model->write[i].durable = true;
}

uint64_t
model_read(struct model *model)
{
	for (unsigned i = 0; i < READS; i++)
		if (model->reads[i] == 0)
			return model->reads[i] = model->clock++;
	sim_fail(model->sim, "too many reads in flight");
}

/* May a read that began at `start` return version v of sector s? */
static bool
visible(const struct model *model, const struct sector *s, unsigned v,
    uint64_t start)
{
	for (unsigned j = 0; j < s->n; j++) {
		const struct write *w = &model->write[s->version[j]];

		if (w->end < start && overrides(w, &model->write[v]))
			return false;
	}
	return true;
}

static bool
is_zero(const uint8_t *data)
{
	static const uint8_t zero[MODEL_SECTOR];

	return memcmp(data, zero, sizeof(zero)) == 0;
}

static bool
matches(const struct model *model, unsigned v, uint64_t lba,
    const uint8_t *data)
{
	switch (model->write[v].kind) {
	case MODEL_ZERO:
		return is_zero(data);
	case MODEL_ANYTHING:
		return true;
	case MODEL_DATA:
		return sector_is(v, lba, data);
	}
	bug("model: bad kind");
}

static const char *
state_name(const struct write *w)
{
	if (w->settled)
		return "settled";
	if (w->state == IN_FLIGHT)
		return "in flight";
	if (w->state == MAYBE)
		return "failed";
	return w->durable ? "durable" : "acknowledged";
}

static _Noreturn void
wrong(const struct model *model, uint64_t lba, uint64_t start,
    const uint8_t *data)
{
	const struct sector *s = &model->sector[lba];
	uint64_t number, at;

	for (unsigned i = 0; i < s->n; i++) {
		const struct write *w = &model->write[s->version[i]];

		sim_trace(model->sim, "%s: lba %llu: version %u (%s)%s",
		    model->name, (unsigned long long)lba, s->version[i],
		    state_name(w),
		    visible(model, s, s->version[i], start) ? "" :
		    ", overwritten");
	}
	memcpy(&number, data, sizeof(number));
	memcpy(&at, data + sizeof(number), sizeof(at));
	if (is_zero(data))
		sim_fail(model->sim, "%s: lba %llu reads as zeroes",
		    model->name, (unsigned long long)lba);
	if (number < model->nwrites && at < model->sectors)
		sim_fail(model->sim, "%s: lba %llu reads as lba %llu of write "
		    "%llu%s", model->name, (unsigned long long)lba,
		    (unsigned long long)at, (unsigned long long)number,
		    at == lba && !matches(model, (unsigned)number, lba, data) ?
		    ", mixed" : "");
	sim_fail(model->sim, "%s: lba %llu reads as garbage %016llx",
	    model->name, (unsigned long long)lba, (unsigned long long)number);
}

static bool
all_settled(const struct model *model, const struct sector *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!model->write[s->version[i]].settled)
			return false;
	return true;
}

static void
check_sector(struct model *model, uint64_t lba, uint64_t start,
    const uint8_t *data)
{
	struct sector *s = &model->sector[lba];

	for (unsigned i = 0; i < s->n; i++) {
		unsigned v = s->version[i];

		if (!visible(model, s, v, start) ||
		    !matches(model, v, lba, data))
			continue;
		if (v != ANYTHING && s->n > 1 && all_settled(model, s)) {
			s->version[0] = (uint16_t)v;	/* now we know */
			s->n = 1;
		}
		return;
	}
	wrong(model, lba, start, data);
}

void
model_read_end(struct model *model, uint64_t token, uint64_t lba, uint64_t n,
    const uint8_t *data)
{
	for (uint64_t i = 0; data != NULL && i < n; i++)
		check_sector(model, lba + i, token, data + i * MODEL_SECTOR);
	for (unsigned i = 0; i < READS; i++) {
		if (model->reads[i] == token) {
			model->reads[i] = 0;
			return;
		}
	}
	bug("model: unknown read");
}

/* Keep what no durable write overrides. */
static void
lose_order(const struct model *model, struct sector *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		const struct write *v = &model->write[s->version[i]];
		bool gone = false;

		for (unsigned j = 0; j < s->n; j++) {
			const struct write *w = &model->write[s->version[j]];

			if (w->durable && overrides(w, v))
				gone = true;
		}
		if (!gone)
			s->version[n++] = s->version[i];
	}
	assert(n > 0);
	s->n = (uint16_t)n;
}

void
model_crash(struct model *model, bool power)
{
	uint64_t now = model->clock++;

	memset(model->reads, 0, sizeof(model->reads));
	for (unsigned i = 0; i < model->nwrites; i++) {
		struct write *w = &model->write[i];

		if (w->state == IN_FLIGHT) {
			w->state = MAYBE;
			w->end = now;
		}
	}
	if (!power)
		return;
	for (uint64_t i = 0; i < model->sectors; i++)
		lose_order(model, &model->sector[i]);
	for (unsigned i = 0; i < model->nwrites; i++) {
		model->write[i].start = model->write[i].end = now;
		model->write[i].state = OK;
		model->write[i].settled = true;
	}
}

void
model_unsettle(struct model *model)
{
	for (unsigned i = 0; i < model->nwrites; i++)
		model->write[i].settled = false;
}

static unsigned
count_visible(const struct model *model, const struct sector *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++)
		n += visible(model, s, s->version[i], model->clock);
	return n;
}

void
model_doubt(struct model *model)
{
	uint64_t now = model->clock++;

	for (uint64_t i = 0; i < model->sectors; i++) {
		struct sector *s = &model->sector[i];

		if (count_visible(model, s) < 2)
			continue;
		s->version[0] = ANYTHING;
		s->n = 1;
	}
	model->write[ANYTHING].start = model->write[ANYTHING].end = now;
}

void
model_settle(struct model *model)
{
	model_flush_end(model, model_flush(model));
}
