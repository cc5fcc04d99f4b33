/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The label: what a pool is called and where its parts are.  Written at
 * format only.  Pure: no I/O.
 *
 * Invariant: a label that decodes has all parts inside the device, 4 KiB
 * aligned, and none overlapping another.
 */
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <isa-l.h>
#include <string.h>

#include "core/wire.h"

static const uint8_t label_magic[8] = { 'D', 'O', 'Z', 'O', 'P', 'O', 'O',
	'L' };

_Static_assert(POOL_HEAD == sizeof(label_magic) + 4 + 4, "head layout");
_Static_assert(POOL_DOC_BYTES % POOL_BLOCK == 0, "document slot in blocks");

static uint32_t
crc_more(uint32_t crc, const uint8_t *buf, size_t len)
{
	assert(len <= INT32_MAX);
	/* ISA-L takes a pointer to non-const but only reads. */
	return crc32_iscsi((unsigned char *)(uintptr_t)buf, (int)len, crc);
}

uint32_t
pool_crc(const uint8_t *buf, size_t len)
{
	static const uint8_t zero[4];
	uint32_t crc = UINT32_MAX;

	assert(len >= POOL_HEAD);
	crc = crc_more(crc, buf, POOL_HEAD - 4);
	crc = crc_more(crc, zero, sizeof(zero));
	crc = crc_more(crc, buf + POOL_HEAD, len - POOL_HEAD);
	return ~crc;
}

uint32_t
pool_crc_seal(uint8_t *buf, size_t len)
{
	uint32_t crc = pool_crc(buf, len);

	for (unsigned i = 0; i < 4; i++)
		buf[POOL_HEAD - 4 + i] = (uint8_t)(crc >> 8 * i);
	return crc;
}

uint64_t
label_b_off(uint64_t blk_bytes)
{
	assert(blk_bytes >= 2 * POOL_BLOCK);
	return round_down(blk_bytes, POOL_BLOCK) - POOL_BLOCK;
}

/* `align` need not be a power of two. */
static uint64_t
align_up(uint64_t v, uint64_t align)
{
	assert(align > 0);
	return (v + align - 1) / align * align;
}

int
label_plan(struct label *label, const struct blk_geometry *geo,
    struct err *err)
{
	uint64_t align = POOL_BLOCK, off = POOL_BLOCK, end;
	char have[POOL_SIZE_TEXT], least[POOL_SIZE_TEXT];

	assert(label->extent_bytes >= POOL_EXTENT_MIN);
	assert(label->extent_bytes <= POOL_EXTENT_MAX);
	if (geo->optimal_io > POOL_BLOCK && geo->optimal_io % POOL_BLOCK == 0)
		align = geo->optimal_io;
	for (unsigned i = 0; i < 2; i++) {
		label->table_off[i] = off = align_up(off, align);
		off += POOL_TABLE_BYTES;
	}
	for (unsigned i = 0; i < 2; i++) {
		label->doc_off[i] = off = align_up(off, align);
		off += POOL_DOC_BYTES;
	}
	label->data_off = align_up(off, align);
	label->blk_bytes = geo->size;
	if (geo->size < label->data_off + label->extent_bytes + POOL_BLOCK) {
		err_set(err, ENOSPC, "%s are too few for a pool; the least "
		    "is %s", pool_size_text(geo->size, have),
		    pool_size_text(label->data_off + label->extent_bytes +
		    POOL_BLOCK, least));
		return -ENOSPC;
	}
	end = label_b_off(geo->size);
	label->extents = (uint32_t)MIN((end - label->data_off) /
	    label->extent_bytes, POOL_EXTENTS_MAX);
	assert(label->extents > 0);
	return 0;
}

void
label_encode(const struct label *label, uint8_t buf[POOL_BLOCK])
{
	struct wire_out out = wire_out(buf, POOL_BLOCK);

	assert(label->name[0] != '\0' && label->name[POOL_NAME_MAX] == '\0');
	put_bytes(&out, label_magic, sizeof(label_magic));
	put_le(&out, POOL_VERSION, 4);
	put_le(&out, 0, 4);
	put_bytes(&out, label->uuid, sizeof(label->uuid));
	put_bytes(&out, label->name, sizeof(label->name));
	put_le(&out, label->extent_bytes, 4);
	put_le(&out, label->extents, 4);
	put_le(&out, label->ctime, 8);
	put_le(&out, label->blk_bytes, 8);
	for (unsigned i = 0; i < 2; i++)
		put_le(&out, label->table_off[i], 8);
	for (unsigned i = 0; i < 2; i++)
		put_le(&out, label->doc_off[i], 8);
	put_le(&out, label->data_off, 8);
	put_zero(&out, POOL_BLOCK - wire_used(&out));
	assert(!out.bad && wire_used(&out) == POOL_BLOCK);
	pool_crc_seal(buf, POOL_BLOCK);
}

struct part {
	uint64_t off, len;
};

static bool
parts_ok(const struct part *parts, unsigned n, uint64_t blk_bytes)
{
	for (unsigned i = 0; i < n; i++) {
		if (parts[i].off % POOL_BLOCK != 0 ||
		    !range_ok(parts[i].off, parts[i].len, blk_bytes))
			return false;
		for (unsigned j = 0; j < i; j++) {
			if (parts[i].off < parts[j].off + parts[j].len &&
			    parts[j].off < parts[i].off + parts[i].len)
				return false;
		}
	}
	return true;
}

static int
label_check(const struct label *label, uint64_t blk_bytes, struct err *err)
{
	if (!pool_name_ok(label->name, NULL))
		return err_set(err, EINVAL,
		    "the pool's label has an impossible name");
	if (label->extent_bytes < POOL_EXTENT_MIN ||
	    label->extent_bytes > POOL_EXTENT_MAX ||
	    label->extent_bytes % POOL_EXTENT_UNIT != 0)
		return err_set(err, EINVAL, "the label of pool %s has an "
		    "impossible extent size of %" PRIu32 " bytes", label->name,
		    label->extent_bytes);
	if (label->extents == 0 || label->extents > POOL_EXTENTS_MAX)
		return err_set(err, EINVAL, "the label of pool %s has an "
		    "impossible number of extents, %" PRIu32, label->name,
		    label->extents);
	if (label->blk_bytes > blk_bytes) {
		err_set(err, EINVAL, "pool %s needs %" PRIu64 " bytes but its "
		    "array has %" PRIu64, label->name, label->blk_bytes,
		    blk_bytes);
		err_hint(err, "A member was replaced by a smaller one or cut "
		    "short; bring back the original.");
		return -EINVAL;
	}
	if (label->blk_bytes < 2 * POOL_BLOCK)
		return err_set(err, EINVAL, "the label of pool %s has an "
		    "impossible size", label->name);

	const struct part parts[] = {
		{ 0, POOL_BLOCK },
		{ label->table_off[0], POOL_TABLE_BYTES },
		{ label->table_off[1], POOL_TABLE_BYTES },
		{ label->doc_off[0], POOL_DOC_BYTES },
		{ label->doc_off[1], POOL_DOC_BYTES },
		{ label->data_off,
		    (uint64_t)label->extents * label->extent_bytes },
		{ label_b_off(label->blk_bytes), POOL_BLOCK },
	};
	if (!parts_ok(parts, nitems(parts), label->blk_bytes))
		return err_set(err, EINVAL, "the label of pool %s places its "
		    "parts outside the array or on each other", label->name);
	return 0;
}

int
label_decode(struct label *label, const uint8_t buf[POOL_BLOCK],
    uint64_t blk_bytes, struct err *err)
{
	struct wire_in in = wire_in(buf, POOL_BLOCK);
	const uint8_t *magic = get_bytes(&in, sizeof(label_magic));
	uint32_t version = get_le32(&in), crc = get_le32(&in);

	assert(magic != NULL);
	memset(label, 0, sizeof(*label));
	if (memcmp(magic, label_magic, sizeof(label_magic)) != 0)
		return err_set(err, ENOENT, "there is no pool here");
	if (crc != pool_crc(buf, POOL_BLOCK))
		return err_set(err, ENOENT, "the pool's label is damaged");
	if (version != POOL_VERSION) {
		err_set(err, ENOTSUP, "the pool has format version %" PRIu32
		    ", this program knows version %u", version, POOL_VERSION);
		err_hint(err, "Use the version of Dozo that wrote it, or a "
		    "later one.");
		return -ENOTSUP;
	}
	get_copy(&in, label->uuid, sizeof(label->uuid));
	get_copy(&in, label->name, sizeof(label->name));
	if (label->name[POOL_NAME_MAX] != '\0')
		label->name[0] = '\0';
	label->extent_bytes = get_le32(&in);
	label->extents = get_le32(&in);
	label->ctime = get_le64(&in);
	label->blk_bytes = get_le64(&in);
	for (unsigned i = 0; i < 2; i++)
		label->table_off[i] = get_le64(&in);
	for (unsigned i = 0; i < 2; i++)
		label->doc_off[i] = get_le64(&in);
	label->data_off = get_le64(&in);
	assert(!in.bad);
	return label_check(label, blk_bytes, err);
}
