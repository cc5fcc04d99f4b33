/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md 1.2 superblock: encode, decode, check.
 *
 * Invariants: nothing here trusts a number from disk before it has been
 * compared with a bound; encode writes zero wherever Linux demands zero, also
 * at byte 224 unless the array came with a value there; what decode accepts,
 * encode reproduces byte for byte.
 */
#include "raid/sb1.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "core/wire.h"

#define SB1_CSUM_OFF 216
_Static_assert(SB1_HEAD + 2 * SB1_ROLES_MAX == SB1_BYTES,
    "the role table ends with the superblock");
_Static_assert(SB1_HEAD + 2 * SB1_ROLES_NEW == 512,
    "a new superblock is one sector");

/* Sum of little-endian words, the checksum field taken as zero. */
uint32_t
sb1_csum(const void *buf, size_t len)
{
	struct wire_in in = wire_in(buf, len);
	uint64_t sum = 0;
	size_t off = 0;

	assert(len >= SB1_HEAD && len <= SB1_BYTES && len % 2 == 0);
	for (; len - off >= 4; off += 4) {
		uint32_t word = get_le32(&in);
		sum += off == SB1_CSUM_OFF ? 0 : word;
	}
	if (len - off == 2)
		sum += get_le16(&in);
	assert(!in.bad);
	return (uint32_t)((sum & 0xffffffff) + (sum >> 32));
}

static void
decode_head(struct sb1 *sb, struct wire_in *in)
{
	uint32_t log;

	get_copy(in, sb->set_uuid, 16);
	get_copy(in, sb->set_name, 32);
	sb->set_name[32] = '\0';
	sb->ctime = get_le64(in);
	sb->level = (int32_t)get_le32(in);
	sb->layout = get_le32(in);
	sb->size = get_le64(in);
	sb->chunksize = get_le32(in);
	sb->raid_disks = get_le32(in);
	log = get_le32(in);
	sb->bitmap_offset = (int32_t)log;
	sb->ppl_offset = (int16_t)(log & 0xffff);
	sb->ppl_size = (uint16_t)(log >> 16);
	sb->new_level = get_le32(in);
	sb->reshape_position = get_le64(in);
	sb->delta_disks = (int32_t)get_le32(in);
	sb->new_layout = get_le32(in);
	sb->new_chunk = get_le32(in);
	sb->new_offset = (int32_t)get_le32(in);
}

static void
decode_device(struct sb1 *sb, struct wire_in *in)
{
	sb->data_offset = get_le64(in);
	sb->data_size = get_le64(in);
	sb->super_offset = get_le64(in);
	sb->recovery_offset = get_le64(in);
	sb->dev_number = get_le32(in);
	sb->cnt_corrected_read = get_le32(in);
	get_copy(in, sb->device_uuid, 16);
	sb->devflags = get_u8(in);
	sb->bblog_shift = get_u8(in);
	sb->bblog_size = get_le16(in);
	sb->bblog_offset = (int32_t)get_le32(in);
	sb->utime = get_le64(in);
	sb->events = get_le64(in);
	sb->resync_offset = get_le64(in);
	sb->csum = get_le32(in);
	sb->max_dev = get_le32(in);
	sb->logical_block_size = get_le32(in);
}

static bool
all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; p != NULL && i < len; i++)
		if (p[i] != 0)
			return false;
	return p != NULL;
}

/* max_dev bounds the checksum, so it is looked at before anything else. */
static int
decode_trust(const uint8_t *bytes, struct err *err)
{
	struct wire_in in = wire_in(bytes + SB1_CSUM_OFF, 8);
	uint32_t csum = get_le32(&in), max_dev = get_le32(&in), want;

	if (max_dev > SB1_ROLES_MAX) {
		err_set(err, EBADMSG, "its md superblock is damaged: it claims "
		    "%u member slots, the format has %u", max_dev,
		    SB1_ROLES_MAX);
		err_hint(err, "the array may start without this disk; then add "
		    "it again as new");
		return -EBADMSG;
	}
	want = sb1_csum(bytes, SB1_HEAD + 2 * (size_t)max_dev);
	if (csum != want) {
		err_set(err, EBADMSG, "its md superblock is damaged or torn: "
		    "checksum %08x, should be %08x", csum, want);
		err_hint(err, "the array may start without this disk; then add "
		    "it again as new");
		return -EBADMSG;
	}
	return 0;
}

int
sb1_decode(struct sb1 *sb, const void *buf, size_t len, struct err *err)
{
	struct wire_in in = wire_in(buf, len);
	uint32_t major, pad0;
	int rc;

	memset(sb, 0, sizeof(*sb));
	if (len < SB1_BYTES || get_le32(&in) != SB1_MAGIC)
		return err_set(err, ENODATA, "it has no md 1.2 superblock");
	major = get_le32(&in);
	if (major != 1)
		return err_set(err, ENOTSUP, "its md superblock has version "
		    "%u, known is 1", major);
	if ((rc = decode_trust(buf, err)) < 0)
		return rc;
	sb->feature_map = get_le32(&in);
	if ((sb->feature_map & ~SB1_KNOWN) != 0) {
		err_set(err, ENOTSUP, "its md superblock uses features "
		    "0x%x that this version does not know",
		    sb->feature_map & ~SB1_KNOWN);
		err_hint(err, "use the newer system that wrote it");
		return -ENOTSUP;
	}
	pad0 = get_le32(&in);
	decode_head(sb, &in);
	decode_device(sb, &in);
	if (pad0 != 0 || !all_zero(get_bytes(&in, 28), 28)) {
		err_set(err, ENOTSUP, "reserved bytes of its md superblock "
		    "are in use");
		err_hint(err, "use the newer system that wrote it");
		return -ENOTSUP;
	}
	assert(sb->max_dev <= SB1_ROLES_MAX);
	for (unsigned i = 0; i < sb->max_dev; i++)
		sb->roles[i] = get_le16(&in);
	assert(!in.bad);
	return 0;
}

static void
encode_log(const struct sb1 *sb, struct wire_out *out)
{
	if ((sb->feature_map & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0) {
		assert((sb->feature_map & SB1_BITMAP) == 0);
		put_le16(out, (uint16_t)sb->ppl_offset);
		put_le16(out, sb->ppl_size);
	} else {
		put_le32(out, (uint32_t)sb->bitmap_offset);
	}
}

/* Not inlined: gcc 12 sees overflows that are not there. */
static __attribute__((noinline)) void
encode_head(const struct sb1 *sb, struct wire_out *out)
{
	put_bytes(out, sb->set_uuid, 16);
	put_bytes(out, sb->set_name, 32);
	put_le64(out, sb->ctime);
	put_le32(out, (uint32_t)sb->level);
	put_le32(out, sb->layout);
	put_le64(out, sb->size);
	put_le32(out, sb->chunksize);
	put_le32(out, sb->raid_disks);
	encode_log(sb, out);
	put_le32(out, sb->new_level);
	put_le64(out, sb->reshape_position);
	put_le32(out, (uint32_t)sb->delta_disks);
	put_le32(out, sb->new_layout);
	put_le32(out, sb->new_chunk);
	put_le32(out, (uint32_t)sb->new_offset);
}

static void
encode_device(const struct sb1 *sb, struct wire_out *out)
{
	put_le64(out, sb->data_offset);
	put_le64(out, sb->data_size);
	put_le64(out, sb->super_offset);
	put_le64(out, sb->recovery_offset);
	put_le32(out, sb->dev_number);
	put_le32(out, sb->cnt_corrected_read);
	put_bytes(out, sb->device_uuid, 16);
	put_u8(out, sb->devflags);
	put_u8(out, sb->bblog_shift);
	put_le16(out, sb->bblog_size);
	put_le32(out, (uint32_t)sb->bblog_offset);
	put_le64(out, sb->utime);
	put_le64(out, sb->events);
	put_le64(out, sb->resync_offset);
	put_le32(out, 0);
	put_le32(out, sb->max_dev);
	put_le32(out, sb->logical_block_size);
	put_zero(out, 28);
}

void
sb1_encode(struct sb1 *sb, void *buf)
{
	struct wire_out out = wire_out(buf, SB1_BYTES);
	uint8_t *bytes = buf;

	assert((sb->feature_map & ~SB1_KNOWN) == 0);
	assert(sb->max_dev <= SB1_ROLES_MAX);
	assert(sb->super_offset == SB1_SECTOR);
	put_le32(&out, SB1_MAGIC);
	put_le32(&out, 1);
	put_le32(&out, sb->feature_map);
	put_le32(&out, 0);
	encode_head(sb, &out);
	encode_device(sb, &out);
	assert(wire_used(&out) == SB1_HEAD);
	for (unsigned i = 0; i < sb->max_dev; i++)
		put_le16(&out, sb->roles[i]);
	sb->csum = sb1_csum(buf, wire_used(&out));
	for (unsigned i = 0; i < 4; i++)
		bytes[SB1_CSUM_OFF + i] = (uint8_t)(sb->csum >> 8 * i);
	put_zero(&out, SB1_BYTES - wire_used(&out));
	assert(!out.bad);
}

size_t
sb1_write_bytes(const struct sb1 *sb, uint32_t logical_block)
{
	assert(logical_block == 512 || logical_block == 4096);
	return round_up(SB1_HEAD + 2 * (size_t)sb->max_dev, logical_block);
}

uint16_t
sb1_role(const struct sb1 *sb, uint32_t dev_number)
{
	if (dev_number >= sb->max_dev)
		return SB1_ROLE_SPARE;
	return sb->roles[dev_number];
}

void
sb1_clear_log(struct sb1 *sb)
{
	sb->feature_map &= ~sb1_log_bits(sb);
	sb->bitmap_offset = 0;
	sb->ppl_offset = 0;
	sb->ppl_size = 0;
}

uint64_t
sb1_bitmap_area(const struct sb1 *sb)
{
	int64_t end = (int64_t)MIN(sb->data_offset, UINT32_MAX) - SB1_SECTOR;

	if (sb->bblog_size != 0 && sb->bblog_offset > sb->bitmap_offset)
		end = MIN(end, (int64_t)sb->bblog_offset);
	if (sb->bitmap_offset <= 0 || end <= sb->bitmap_offset)
		return 0;
	return MIN((uint64_t)(end - sb->bitmap_offset) * 512, MIB);
}

/* Is [start, start + len) between the superblock and the data? */
static bool
area_ok(const struct sb1 *sb, int64_t offset, uint64_t len)
{
	uint64_t start, first = SB1_SECTOR + SB1_BYTES / 512;

	if (offset < (int64_t)first - SB1_SECTOR)
		return false;
	start = (uint64_t)offset + SB1_SECTOR;
	return range_ok(start, len, sb->data_offset);
}

static bool
areas_meet(int64_t a, uint64_t alen, int64_t b, uint64_t blen)
{
	return a < b + (int64_t)blen && b < a + (int64_t)alen;
}

size_t
sb1_bblog(const struct sb1 *sb, uint32_t logical_block, uint64_t *off)
{
	size_t len = sb->bblog_size * (size_t)512;
	uint64_t at = ((uint64_t)SB1_SECTOR + (uint32_t)sb->bblog_offset) * 512;

	if (len == 0 || len > SB1_BYTES ||
	    !area_ok(sb, sb->bblog_offset, sb->bblog_size) ||
	    at % logical_block != 0 || len % logical_block != 0)
		return 0;
	if ((sb->feature_map & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0 &&
	    areas_meet(sb->bblog_offset, sb->bblog_size, sb->ppl_offset,
	    sb->ppl_size))
		return 0;
	if ((sb->feature_map & SB1_BITMAP) != 0 &&
	    areas_meet(sb->bblog_offset, sb->bblog_size, sb->bitmap_offset, 8))
		return 0;
	*off = at;
	return len;
}

static int
check_areas(const struct sb1 *sb, struct err *err)
{
	bool ppl = (sb->feature_map & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0;

	if (ppl && (sb->ppl_size < 16 ||
	    !area_ok(sb, sb->ppl_offset, sb->ppl_size)))
		return err_set(err, EINVAL, "the partial parity log named by "
		    "its md superblock lies outside its place");
	if ((sb->feature_map & SB1_BITMAP) != 0 &&
	    !area_ok(sb, sb->bitmap_offset, 8))
		return err_set(err, EINVAL, "the bitmap named by its md "
		    "superblock lies outside its place");
	if ((sb->feature_map & SB1_BAD_BLOCKS) != 0 &&
	    (sb->bblog_size == 0 || sb->bblog_size > 8 ||
	    !area_ok(sb, sb->bblog_offset, sb->bblog_size)))
		return err_set(err, EINVAL, "the bad-block log named by its md "
		    "superblock lies outside its place");
	return 0;
}

int
sb1_check(const struct sb1 *sb, uint64_t device_sectors, struct err *err)
{
	if (sb->super_offset != SB1_SECTOR)
		return err_set(err, EINVAL, "its md superblock belongs at "
		    "sector %llu, not here",
		    (unsigned long long)sb->super_offset);
	if (sb->data_offset < SB1_SECTOR + SB1_BYTES / 512 ||
	    sb->data_size < 10)
		return err_set(err, EINVAL, "the data area named by its md "
		    "superblock is impossible (offset %llu, %llu sectors)",
		    (unsigned long long)sb->data_offset,
		    (unsigned long long)sb->data_size);
	if (!range_ok(sb->data_offset, sb->data_size, device_sectors)) {
		err_set(err, EINVAL, "it is too small: its md superblock "
		    "needs %llu sectors of data at %llu, the device has %llu",
		    (unsigned long long)sb->data_size,
		    (unsigned long long)sb->data_offset,
		    (unsigned long long)device_sectors);
		err_hint(err, "the disk or image was cut short; restore its "
		    "full size, or start without it and add a new disk");
		return -EINVAL;
	}
	if (sb->size > sb->data_size)
		return err_set(err, EINVAL, "its md superblock uses more of "
		    "the disk than the data area holds");
	return check_areas(sb, err);
}

int
sb1_check_engine(const struct sb1 *sb, struct err *err)
{
	uint32_t f = sb->feature_map;

	if ((f & (SB1_RESHAPE | SB1_RESHAPE_BACK | SB1_NEW_OFFSET)) != 0) {
		err_set(err, ENOTSUP, "the array is in the middle of a "
		    "reshape");
		err_hint(err, "let Linux md finish the reshape first");
		return -ENOTSUP;
	}
	if ((f & SB1_CLUSTERED) != 0)
		return err_set(err, ENOTSUP, "the array has a clustered "
		    "bitmap, which is not supported");
	if ((f & SB1_JOURNAL) != 0)
		return err_set(err, ENOTSUP, "the array has a journal device, "
		    "which is not supported");
	if ((f & SB1_RAID0_LAYOUT) != 0 || sb->level != 5)
		return err_set(err, ENOTSUP, "the array has level %d, "
		    "supported is 5", sb->level);
	if ((f & SB1_BITMAP) != 0 && (f & (SB1_PPL | SB1_MULTIPLE_PPLS)) != 0)
		return err_set(err, EINVAL, "its md superblock names a bitmap "
		    "and a partial parity log at once");
	if ((f & SB1_PPL) != 0 && (f & SB1_MULTIPLE_PPLS) != 0)
		return err_set(err, EINVAL, "its md superblock names two "
		    "forms of partial parity log at once");
	return 0;
}

/*
 * Superblock at 8; PPL or bitmap at 16 (1 MiB); bad-block log; 512 KiB of our
 * own; then headroom as mdadm leaves it, so that a later reshape can move the
 * data.  A change of policy moves nothing.
 */
void
sb1_areas(struct sb1_areas *areas, uint64_t device_sectors)
{
	uint64_t headroom = 128 * MIB / 512;

	while (headroom > device_sectors / 1000 && headroom > 0)
		headroom /= 2;
	areas->log_offset = 8;
	areas->log_size = 2048;
	areas->bblog_offset = areas->log_offset + areas->log_size;
	areas->bblog_size = 8;
	areas->private_start = SB1_SECTOR + (uint64_t)areas->bblog_offset +
	    areas->bblog_size;
	areas->private_size = 512 * KIB / 512;
	areas->data_offset = round_up(areas->private_start +
	    areas->private_size + headroom, MIB / 512);
	assert(areas->data_offset >= areas->private_start +
	    areas->private_size);
}

/* --- where a log goes on a member that was made without --- */

#define PPL_SECTORS	(MIB / 512)

/* The bad-block log, in sectors from the superblock. */
static void
bblog_span(const struct sb1 *sb, int64_t *start, int64_t *end)
{
	*start = *end = INT64_MAX;
	if (sb->bblog_size == 0 || sb->bblog_offset <= 0)
		return;
	*start = sb->bblog_offset;
	*end = *start + sb->bblog_size;
}

/* What is free for a log ends at our own area, or at the data. */
static int64_t
log_limit(const struct sb1 *sb)
{
	struct sb1_areas areas;

	sb1_areas(&areas, 0);
	if (sb->data_offset >= areas.private_start + areas.private_size)
		return (int64_t)areas.private_start - SB1_SECTOR;
	return (int64_t)sb->data_offset - SB1_SECTOR;
}

/* Sectors between two offsets, in whole 4 KiB, as the log can use them. */
static uint16_t
ppl_fit(int64_t start, int64_t end)
{
	if (end <= start)
		return 0;
	return (uint16_t)MIN(round_down((uint64_t)(end - start), 8),
	    PPL_SECTORS);
}

void
sb1_place_ppl(const struct sb1 *sb, int16_t *offset, uint16_t *size)
{
	int64_t start, end, limit = log_limit(sb), behind;
	uint16_t more;

	bblog_span(sb, &start, &end);
	*offset = SB1_BYTES / 512;
	*size = ppl_fit(*offset, MIN(start, limit));
	if (end >= limit)
		return;
	behind = (int64_t)round_up((uint64_t)end, 8);
	more = ppl_fit(behind, limit);
	if (more > *size) {
		*offset = (int16_t)behind;
		*size = more;
	}
}

bool
sb1_has_bitmap_place(const struct sb1 *sb)
{
	int64_t start, end;

	bblog_span(sb, &start, &end);
	return (start >= SB1_BITMAP_PLACE + 8 || end <= SB1_BITMAP_PLACE) &&
	    sb->data_offset >= SB1_SECTOR + SB1_BITMAP_PLACE + 8;
}
