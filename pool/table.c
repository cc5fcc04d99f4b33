/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of volumes: in memory, and its form on disk.  Pure: no I/O.
 *
 * On disk: head (magic, version, crc), pool UUID, le64 generation, le32 length
 * of the whole, le32 number of volumes, 24 zero bytes; then for each volume in
 * ascending order of names: UUID, name[64], le64 size, le64 ctime, u8 policy,
 * 3 zero bytes, le32 number of runs, and the runs as le32 start, le32 count.
 *
 * Invariants (table_check): names ascend strictly; UUIDs differ; a volume has
 * exactly the extents its size needs; runs lie inside the pool and do not
 * overlap.  table_decode() accepts nothing else.
 */
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/wire.h"

#define TABLE_HEAD	72u
#define VOLUME_HEAD	(16u + POOL_NAME_MAX + 1 + 8 + 8 + 1 + 3 + 4)
#define RUN_LEN		8u

_Static_assert(TABLE_HEAD == POOL_HEAD + 16 + 8 + 4 + 4 + 24, "table head");
_Static_assert(VOLUME_HEAD == 104, "volume head");

static const uint8_t table_magic[8] = { 'D', 'O', 'Z', 'O', 'T', 'A', 'B',
	'L' };

/* --- in memory --- */

void
table_fini(struct table *table)
{
	for (unsigned i = 0; i < table->nvolumes; i++)
		free(table->volumes[i].runs);
	free(table->volumes);
	memset(table, 0, sizeof(*table));
}

static struct run *
runs_dup(const struct run *runs, unsigned n)
{
	struct run *copy = malloc(n * sizeof(*copy));

	assert(n > 0);
	if (copy != NULL)
		memcpy(copy, runs, n * sizeof(*copy));
	return copy;
}

int
table_copy(struct table *dst, const struct table *src)
{
	memset(dst, 0, sizeof(*dst));
	dst->generation = src->generation;
	dst->volumes = calloc(src->nvolumes + 1u, sizeof(*dst->volumes));
	if (dst->volumes == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < src->nvolumes; i++) {
		struct table_volume *v = &dst->volumes[i];

		*v = src->volumes[i];
		v->runs = runs_dup(src->volumes[i].runs, v->nruns);
		if (v->runs == NULL) {
			table_fini(dst);
			return -ENOMEM;
		}
		dst->nvolumes++;
	}
	return 0;
}

int
table_find_name(const struct table *table, const char *name)
{
	unsigned lo = 0, hi = table->nvolumes;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int cmp = strcmp(table->volumes[mid].name, name);

		if (cmp == 0)
			return (int)mid;
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

int
table_find_uuid(const struct table *table, const uint8_t uuid[16])
{
	for (unsigned i = 0; i < table->nvolumes; i++) {
		if (memcmp(table->volumes[i].uuid, uuid, 16) == 0)
			return (int)i;
	}
	return -1;
}

int
table_insert(struct table *table, const struct table_volume *volume)
{
	struct table_volume *grown;
	unsigned i;

	assert(table_find_name(table, volume->name) < 0);
	grown = realloc(table->volumes,
	    (table->nvolumes + 1u) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	table->volumes = grown;
	for (i = table->nvolumes; i > 0; i--) {
		if (strcmp(grown[i - 1].name, volume->name) < 0)
			break;
		grown[i] = grown[i - 1];
	}
	grown[i] = *volume;
	table->nvolumes++;
	return 0;
}

void
table_remove(struct table *table, unsigned i)
{
	assert(i < table->nvolumes);
	free(table->volumes[i].runs);
	table->nvolumes--;
	memmove(&table->volumes[i], &table->volumes[i + 1],
	    (table->nvolumes - i) * sizeof(*table->volumes));
}

int
table_rename(struct table *table, unsigned i, const char *name)
{
	struct table_volume v;

	assert(i < table->nvolumes && strlen(name) <= POOL_NAME_MAX);
	v = table->volumes[i];
	table->volumes[i].runs = NULL;	/* v has them */
	table_remove(table, i);
	memset(v.name, 0, sizeof(v.name));
	memcpy(v.name, name, strlen(name));
	if (table_insert(table, &v) != 0) {
		free(v.runs);
		return -ENOMEM;
	}
	return 0;
}

int
table_append_runs(struct table_volume *volume, const struct run *runs,
    unsigned nruns)
{
	unsigned n = volume->nruns;
	struct run *grown = realloc(volume->runs,
	    (n + nruns) * sizeof(*grown));

	if (grown == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < nruns; i++) {
		assert(runs[i].count > 0);
		if (n > 0 &&
		    grown[n - 1].start + grown[n - 1].count == runs[i].start)
			grown[n - 1].count += runs[i].count;
		else
			grown[n++] = runs[i];
	}
	volume->runs = grown;
	volume->nruns = n;
	return 0;
}

uint64_t
table_extents_used(const struct table *table)
{
	uint64_t used = 0;

	for (unsigned i = 0; i < table->nvolumes; i++) {
		for (unsigned j = 0; j < table->volumes[i].nruns; j++)
			used += table->volumes[i].runs[j].count;
	}
	return used;
}

static int
run_cmp(const void *va, const void *vb)
{
	const struct run *a = va, *b = vb;

	return (a->start > b->start) - (a->start < b->start);
}

struct run *
table_sorted_runs(const struct table *table, unsigned *nruns)
{
	struct run *all;
	size_t n = 0;

	for (unsigned i = 0; i < table->nvolumes; i++)
		n += table->volumes[i].nruns;
	all = malloc((n + 1) * sizeof(*all));
	if (all == NULL)
		return NULL;
	*nruns = 0;
	for (unsigned i = 0; i < table->nvolumes; i++) {
		const struct table_volume *v = &table->volumes[i];

		if (v->nruns > 0)
			memcpy(&all[*nruns], v->runs,
			    v->nruns * sizeof(*all));
		*nruns += v->nruns;
	}
	assert(*nruns == n);
	qsort(all, n, sizeof(*all), run_cmp);
	return all;
}

/* --- on disk --- */

static void
put_volume(struct wire_out *out, const struct table_volume *v)
{
	put_bytes(out, v->uuid, sizeof(v->uuid));
	put_bytes(out, v->name, sizeof(v->name));
	put_le(out, v->size, 8);
	put_le(out, v->ctime, 8);
	put_u8(out, (uint8_t)v->policy);
	put_zero(out, 3);
	put_le(out, v->nruns, 4);
	for (unsigned i = 0; i < v->nruns; i++) {
		put_le(out, v->runs[i].start, 4);
		put_le(out, v->runs[i].count, 4);
	}
}

int
table_encode(const struct table *table, const struct label *label,
    uint8_t *buf, size_t size)
{
	struct wire_out out = wire_out(buf, size);
	size_t len = TABLE_HEAD;

	assert(size <= INT32_MAX);
	for (unsigned i = 0; i < table->nvolumes; i++)
		len += VOLUME_HEAD + table->volumes[i].nruns * (size_t)RUN_LEN;
	if (len > size || table->nvolumes > POOL_VOLUMES_MAX)
		return -ENOSPC;
	table_check(table, label);
	put_bytes(&out, table_magic, sizeof(table_magic));
	put_le(&out, POOL_VERSION, 4);
	put_le(&out, 0, 4);
	put_bytes(&out, label->uuid, sizeof(label->uuid));
	put_le(&out, table->generation, 8);
	put_le(&out, len, 4);
	put_le(&out, table->nvolumes, 4);
	put_zero(&out, 24);
	assert(wire_used(&out) == TABLE_HEAD);
	for (unsigned i = 0; i < table->nvolumes; i++)
		put_volume(&out, &table->volumes[i]);
	assert(!out.bad && wire_used(&out) == len);
	pool_crc_seal(buf, len);
	return (int)len;
}

struct table_head {
	uint32_t version, crc, len, nvolumes;
	uint8_t uuid[16];
	uint64_t generation;
};

static bool
get_head(struct wire_in *in, struct table_head *head)
{
	uint8_t magic[sizeof(table_magic)];

	get_copy(in, magic, sizeof(magic));
	head->version = get_le32(in);
	head->crc = get_le32(in);
	get_copy(in, head->uuid, sizeof(head->uuid));
	head->generation = get_le64(in);
	head->len = get_le32(in);
	head->nvolumes = get_le32(in);
	get_skip(in, 24);
	return !in->bad && memcmp(magic, table_magic, sizeof(magic)) == 0;
}

enum table_state
table_peek(const uint8_t *buf, size_t size, const struct label *label,
    uint64_t *generation)
{
	struct wire_in in = wire_in(buf, size);
	struct table_head head;

	if (!get_head(&in, &head) || head.len < TABLE_HEAD || head.len > size ||
	    head.crc != pool_crc(buf, head.len) ||
	    memcmp(head.uuid, label->uuid, sizeof(head.uuid)) != 0)
		return TABLE_NONE;
	*generation = head.generation;
	return head.version == POOL_VERSION ? TABLE_VALID : TABLE_NEWER;
}

/* Reads one volume; on failure nothing is left to free. */
static int
get_volume(struct wire_in *in, struct table_volume *v,
    const struct label *label, struct err *err)
{
	uint64_t extents = 0, needed;
	uint32_t nruns;
	uint8_t policy;

	memset(v, 0, sizeof(*v));
	get_copy(in, v->uuid, sizeof(v->uuid));
	get_copy(in, v->name, sizeof(v->name));
	v->size = get_le64(in);
	v->ctime = get_le64(in);
	policy = get_u8(in);
	get_skip(in, 3);
	nruns = get_le32(in);
	if (in->bad)
		return err_set(err, EINVAL, "the table ends inside a volume");
	if (v->name[POOL_NAME_MAX] != '\0' || !pool_name_ok(v->name, NULL))
		return err_set(err, EINVAL, "a volume has an impossible name");
	if (policy > WRITE_BACK)
		return err_set(err, EINVAL, "volume %s has an unknown write "
		    "policy, %u", v->name, policy);
	v->policy = (enum write_policy)policy;
	if (v->size == 0 || v->size % POOL_BLOCK != 0 ||
	    v->size > (uint64_t)label->extents * label->extent_bytes)
		return err_set(err, EINVAL, "volume %s has an impossible size "
		    "of %" PRIu64 " bytes", v->name, v->size);
	needed = (v->size + label->extent_bytes - 1) / label->extent_bytes;
	if (nruns == 0 || nruns > needed || nruns > wire_left(in) / RUN_LEN)
		return err_set(err, EINVAL, "volume %s has an impossible "
		    "number of runs, %" PRIu32, v->name, nruns);
	v->runs = malloc(nruns * sizeof(*v->runs));
	if (v->runs == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (v->nruns = 0; v->nruns < nruns; v->nruns++) {
		struct run *run = &v->runs[v->nruns];

		run->start = get_le32(in);
		run->count = get_le32(in);
		extents += run->count;
		if (run->count > 0 &&
		    range_ok(run->start, run->count, label->extents))
			continue;
		err_set(err, EINVAL, "volume %s has extents outside the pool "
		    "(%" PRIu32 "+%" PRIu32 " of %" PRIu32 ")", v->name,
		    run->start, run->count, label->extents);
		goto fail;
	}
	if (extents == needed)
		return 0;
	err_set(err, EINVAL, "volume %s has %" PRIu64 " extents and needs %"
	    PRIu64, v->name, extents, needed);
fail:
	free(v->runs);
	v->runs = NULL;
	return -EINVAL;
}

static int
uuid_cmp(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static int
check_uuids(const struct table *table, struct err *err)
{
	uint8_t (*all)[16] = malloc((table->nvolumes + 1u) * sizeof(*all));
	bool twice = false;

	if (all == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < table->nvolumes; i++)
		memcpy(all[i], table->volumes[i].uuid, sizeof(*all));
	qsort(all, table->nvolumes, sizeof(*all), uuid_cmp);
	for (unsigned i = 1; i < table->nvolumes; i++)
		twice = twice || memcmp(all[i - 1], all[i], 16) == 0;
	free(all);
	if (twice)
		return err_set(err, EINVAL, "two volumes have the same UUID");
	return 0;
}

static int
check_overlap(const struct table *table, struct err *err)
{
	unsigned n = 0;
	struct run *all = table_sorted_runs(table, &n);
	int ret = 0;

	if (all == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 1; i < n && ret == 0; i++) {
		if (all[i - 1].start + all[i - 1].count > all[i].start)
			ret = err_set(err, EINVAL, "extent %" PRIu32
			    " belongs to two volumes", all[i].start);
	}
	free(all);
	return ret;
}

int
table_decode(struct table *table, const uint8_t *buf, size_t size,
    const struct label *label, struct err *err)
{
	struct wire_in in = wire_in(buf, size);
	struct table_head head;
	int ret = 0;

	memset(table, 0, sizeof(*table));
	if (!get_head(&in, &head) || head.len < TABLE_HEAD || head.len > size)
		return err_set(err, EINVAL, "there is no table of volumes");
	in = wire_in(buf + TABLE_HEAD, head.len - TABLE_HEAD);
	if (head.nvolumes > POOL_VOLUMES_MAX ||
	    head.nvolumes > wire_left(&in) / VOLUME_HEAD)
		return err_set(err, EINVAL, "the table has an impossible "
		    "number of volumes, %" PRIu32, head.nvolumes);
	table->generation = head.generation;
	table->volumes = calloc(head.nvolumes + 1u, sizeof(*table->volumes));
	if (table->volumes == NULL)
		return err_set(err, ENOMEM, "out of memory");
	while (ret == 0 && table->nvolumes < head.nvolumes) {
		struct table_volume *v = &table->volumes[table->nvolumes];

		ret = get_volume(&in, v, label, err);
		if (ret != 0)
			break;
		table->nvolumes++;
		if (table->nvolumes > 1 && strcmp(v[-1].name, v->name) >= 0)
			ret = err_set(err, EINVAL, "volume %s is there twice "
			    "or out of order", v->name);
	}
	if (ret == 0 && wire_left(&in) > 0)
		ret = err_set(err, EINVAL, "%zu bytes follow the last volume",
		    wire_left(&in));
	if (ret == 0)
		ret = check_uuids(table, err);
	if (ret == 0)
		ret = check_overlap(table, err);
	if (ret != 0)
		table_fini(table);
	return ret;
}

void
table_check(const struct table *table, const struct label *label)
{
	assert(table->nvolumes <= POOL_VOLUMES_MAX);
	assert(table_extents_used(table) <= label->extents);
	for (unsigned i = 0; i < table->nvolumes; i++) {
		const struct table_volume *v = &table->volumes[i];
		uint64_t extents = 0;

		assert(v->name[0] != '\0' && v->name[POOL_NAME_MAX] == '\0');
		assert(i == 0 || strcmp(v[-1].name, v->name) < 0);
		assert(v->size > 0 && v->size % POOL_BLOCK == 0);
		assert(v->nruns > 0 && v->runs != NULL);
		for (unsigned j = 0; j < v->nruns; j++) {
			assert(v->runs[j].count > 0);
			assert(range_ok(v->runs[j].start, v->runs[j].count,
			    label->extents));
			extents += v->runs[j].count;
		}
		assert(extents == (v->size + label->extent_bytes - 1) /
		    label->extent_bytes);
	}
}
