/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Simulated disks, and the files of core/loop.h that open them.
 *
 * A disk holds two versions of each 4 KiB page: what a read returns (cur) and
 * what is on stable media (dur), which differ in the dirty sectors.  A write
 * takes effect when it ends, by atomic unit (the logical block).  Before a
 * dirty unit is overwritten its old version may or may not have become
 * stable; a flush makes stable what had ended when it was submitted, and not
 * a byte more than it must.
 *
 * Invariants: a clean sector has cur only; a flush in flight never loses the
 * version it has to save; write data is copied when submitted and compared
 * when the request ends, so that changing a buffer in flight is caught.
 */
#include "tests/sim/sim_disk_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
	struct sim_disk *disk;
	LIST_ENTRY(file) link;
	unsigned flags, generation;
};

/* --- contents --- */

struct page *
disk_page(struct sim_disk *disk, uint64_t off)
{
	struct page **slot = &disk->pages[off / PAGE];

	if (*slot == NULL)
		*slot = calloc(1, sizeof(**slot));
	if (*slot == NULL)
		sim_fail(disk->sim, "no memory");
	return *slot;
}

void
disk_set_dirty(struct sim_disk *disk, struct page *page, uint8_t dirty)
{
	if (page->dirty == 0 && dirty != 0)
		TAILQ_INSERT_TAIL(&disk->dirty, page, link);
	if (page->dirty != 0 && dirty == 0)
		TAILQ_REMOVE(&disk->dirty, page, link);
	page->dirty = dirty;
}

/* The sectors of the atomic unit at `off`, as bits of its page. */
static uint8_t
unit_bits(const struct sim_disk *disk, uint64_t off)
{
	unsigned n = disk->logical_block / (unsigned)SECTOR;

	return (uint8_t)(((1u << n) - 1) << off % PAGE / SECTOR);
}

/*
 * Before the unit is overwritten: its dirty sectors may have become stable,
 * and have if a flush in flight covers them; clean ones are.
 */
static void
save_unit(struct sim_disk *disk, struct page *page, uint64_t off)
{
	bool stable = (page->dirty & unit_bits(disk, off)) == 0 ||
	    rng_one_in(&disk->sim->rng, 2);

	for (uint64_t at = off; at < off + disk->logical_block; at += SECTOR)
		if (stable || (page->dirty & sector_bit(at)) == 0 ||
		    (disk->flushes > 0 && page->stamp[at % PAGE / SECTOR] <=
		    disk->flush_seq))
			memcpy(page->dur + at % PAGE, page->cur + at % PAGE,
			    SECTOR);
}

/* One atomic unit takes its new contents; data NULL = zeroes. */
static void
write_unit(struct sim_disk *disk, uint64_t off, const uint8_t *data, bool fua)
{
	uint8_t bits = unit_bits(disk, off);
	struct page *page;

	if (data == NULL && disk->pages[off / PAGE] == NULL)
		return;
	page = disk_page(disk, off);
	save_unit(disk, page, off);
	if (data != NULL)
		memcpy(page->cur + off % PAGE, data, disk->logical_block);
	else
		memset(page->cur + off % PAGE, 0, disk->logical_block);
	disk->seq++;
	for (uint64_t at = off; at < off + disk->logical_block; at += SECTOR)
		page->stamp[at % PAGE / SECTOR] = disk->seq;
	page->bad = (uint8_t)(page->bad & ~bits);
	disk_set_dirty(disk, page, fua ? (uint8_t)(page->dirty & ~bits) :
	    page->dirty | bits);
}

enum fate { FATE_ALL, FATE_NONE, FATE_SOME };

static enum fate
draw_fate(struct sim_disk *disk)
{
	switch (rng_below(&disk->sim->rng, 4)) {
	case 0:
		return FATE_ALL;
	case 1:
		return FATE_NONE;
	default:
		return FATE_SOME;
	}
}

static bool
survives(struct sim_disk *disk, enum fate fate)
{
	return fate == FATE_ALL ||
	    (fate == FATE_SOME && rng_one_in(&disk->sim->rng, 2));
}

/* A write, zero or discard takes effect, or a part of it does. */
static void
apply(struct disk_req *req, enum fate fate)
{
	struct sim_disk *disk = req->disk;
	const struct io *io = req->io;
	bool fua = (io->flags & IO_FUA) != 0 && fate == FATE_ALL;

	if (fate == FATE_NONE)
		return;
	for (uint64_t at = 0; at < io->len; at += disk->logical_block) {
		if (io->kind != IO_WRITE &&
		    disk->pages[(io->off + at) / PAGE] == NULL)
			continue;	/* zeroes already */
		if (!survives(disk, fate))
			continue;
		if (io->kind == IO_WRITE)
			write_unit(disk, io->off + at, req->data + at, fua);
		else if (io->kind == IO_ZERO || disk->discard_zeroes ||
		    rng_one_in(&disk->sim->rng, 2))
			write_unit(disk, io->off + at, NULL, fua);
	}
}

/* Lose what was not flushed. */
static void
lose_cache(struct sim_disk *disk)
{
	enum fate fate = draw_fate(disk);
	struct page *page;
	uint64_t kept = 0, lost = 0;

	while ((page = TAILQ_FIRST(&disk->dirty)) != NULL) {
		for (uint64_t at = 0; at < PAGE; at += disk->logical_block) {
			if ((page->dirty & sector_bit(at)) == 0)
				continue;
			if (survives(disk, fate)) {
				kept++;
				continue;
			}
			memcpy(page->cur + at, page->dur + at,
			    disk->logical_block);
			lost++;
		}
		disk_set_dirty(disk, page, 0);
	}
	sim_trace(disk->sim, "%s: cache lost: %llu units kept, %llu lost",
	    disk->name, (unsigned long long)kept, (unsigned long long)lost);
}

static void
flush_done(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	struct page *page, *next;

	for (page = TAILQ_FIRST(&disk->dirty); page != NULL; page = next) {
		uint8_t dirty = page->dirty;

		next = TAILQ_NEXT(page, link);
		for (unsigned i = 0; i < SECTORS; i++)
			if (page->stamp[i] <= req->seq)
				dirty = (uint8_t)(dirty & ~(1u << i));
		disk_set_dirty(disk, page, dirty);
	}
}

/* --- requests --- */

static void
req_free(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;

	if (req->io->kind == IO_FLUSH && --disk->flushes == 0)
		disk->flush_seq = 0;
	TAILQ_REMOVE(&disk->reqs, req, link);
	event_cancel(disk->sim, &req->event);
	free(req->data);
	free(req->iov);
	free(req);
}

/* As DMA does: into the memory that it was given, whose ever it is now. */
static int
read_done(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	const struct io *io = req->io;
	uint64_t len;

	for (uint64_t at = io->off; at < io->off + io->len; at += len) {
		const struct page *page = disk->pages[at / PAGE];

		len = MIN(PAGE - at % PAGE, io->off + io->len - at);
		if (page == NULL) {
			iov_zero(req->iov, io->niov, at - io->off, len);
			continue;
		}
		for (uint64_t s = at; page->bad != 0 && s < at + len;
		    s += SECTOR)
			if ((page->bad & sector_bit(s)) != 0)
				return -EIO;
		iov_from_buf(req->iov, io->niov, at - io->off,
		    page->cur + at % PAGE, len);
	}
	return 0;
}

/* Does it touch sectors that refuse it?  What they hold then is open. */
static bool
refused(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	const struct io *io = req->io;
	bool unreadable = rng_one_in(&disk->sim->rng, 2), any = false;

	for (uint64_t at = io->off; at < io->off + io->len; at += SECTOR) {
		struct page *page = disk->pages[at / PAGE];
		uint8_t bit = sector_bit(at);

		if (page == NULL || ((page->hard | page->soft) & bit) == 0)
			continue;
		if (!any)
			apply(req, draw_fate(disk));
		any = true;
		page->soft = (uint8_t)(page->soft & ~bit);
		if (unreadable)
			page->bad |= bit;
	}
	return any;
}

static int
write_done(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;
	const struct io *io = req->io;

	if (io->kind == IO_WRITE &&
	    sim_sum_iov(io->iov, io->niov, io->len) != req->sum)
		sim_fail(disk->sim, "%s: the buffer of the write at %llu+%llu "
		    "was changed in flight", disk->name,
		    (unsigned long long)io->off, (unsigned long long)io->len);
	if (disk->fail_writes > 0) {
		disk->fail_writes--;
		apply(req, draw_fate(disk));
		return -EIO;
	}
	if (disk->refusing && refused(req))
		return -EIO;
	apply(req, FATE_ALL);
	return 0;
}

static int
req_result(struct disk_req *req)
{
	struct sim_disk *disk = req->disk;

	if (req->result != 0)
		return req->result;
	switch (req->io->kind) {
	case IO_READ:
		return read_done(req);
	case IO_WRITE:
	case IO_ZERO:
	case IO_DISCARD:
		return write_done(req);
	case IO_FLUSH:
		if (disk->fail_flushes > 0) {
			disk->fail_flushes--;
			return -EIO;
		}
		flush_done(req);
		return 0;
	case IO_STATUS:
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("sim_disk: %s", io_kind_name(req->io->kind));
}

static void
req_fire(struct event *event)
{
	struct disk_req *req = container_of(event, struct disk_req, event);
	struct sim_disk *disk = req->disk;
	struct sim *sim = disk->sim;
	struct io *io = req->io;
	int result;

	if (disk->stalled_until_ns > sim->now_ns && req->result == 0) {
		event_add(sim, event, disk->stalled_until_ns - sim->now_ns +
		    rng_below(&sim->rng, disk->latency_ns), req_fire);
		return;
	}
	result = req_result(req);
	sim_trace(sim, "%s: %s%s %llu+%llu = %d", disk->name,
	    io_kind_name(io->kind), io->flags & IO_FUA ? "/fua" : "",
	    (unsigned long long)io->off, (unsigned long long)io->len, result);
	req_free(req);
	io_end(io, result);
}

static uint64_t
draw_latency(struct sim_disk *disk, const struct io *io)
{
	uint64_t ns = disk->latency_ns / 2 +
	    rng_below(&disk->sim->rng, disk->latency_ns);

	if (io->kind == IO_FLUSH)
		ns *= 4;
	if (rng_one_in(&disk->sim->rng, 40))
		ns *= 20;
	return ns;
}

static void
check_request(const struct file *file, const struct io *io)
{
	const struct sim_disk *disk = file->disk;

	if (io->kind == IO_FLUSH)
		return;
	if (io->off % disk->logical_block != 0 || io->len == 0 ||
	    io->len % disk->logical_block != 0 ||
	    !range_ok(io->off, io->len, disk->size))
		sim_fail(disk->sim, "%s: bad %s %llu+%llu", disk->name,
		    io_kind_name(io->kind), (unsigned long long)io->off,
		    (unsigned long long)io->len);
	if (io->kind != IO_READ && (file->flags & FILE_READONLY) != 0)
		sim_fail(disk->sim, "%s: %s on a file opened for reading",
		    disk->name, io_kind_name(io->kind));
}

/* What a read in flight may leave in its buffer: no sector stays whole. */
static void
spoil(const struct iovec *iov)
{
	uint8_t *p = iov->iov_base;

	for (size_t at = 0; at < iov->iov_len; at += SECTOR)
		memset(p + at, 0xdb, MIN(iov->iov_len - at, (size_t)8));
}

void
file_submit(struct file *file, struct io *io, struct op *waiter)
{
	struct sim_disk *disk = file->disk;
	struct disk_req *req = calloc(1, sizeof(*req));

	if (req == NULL)
		sim_fail(disk->sim, "no memory");
	if (io->waiter == NULL) {
		io->waiter = waiter;
		op_hold(waiter);
	}
	assert(io->waiter == waiter);
	check_request(file, io);
	req->disk = disk;
	req->io = io;
	if (io->kind == IO_WRITE) {
		req->data = malloc(io->len);
		if (req->data == NULL)
			sim_fail(disk->sim, "no memory");
		iov_to_buf(io->iov, io->niov, 0, req->data, io->len);
		req->sum = sim_sum_iov(io->iov, io->niov, io->len);
	} else if (io->kind == IO_READ) {
		req->iov = malloc(io->niov * sizeof(*req->iov));
		if (req->iov == NULL)
			sim_fail(disk->sim, "no memory");
		memcpy(req->iov, io->iov, io->niov * sizeof(*req->iov));
		for (unsigned i = 0; i < io->niov; i++)
			spoil(&io->iov[i]);
	} else if (io->kind == IO_FLUSH) {
		req->seq = disk->flush_seq = disk->seq;
		disk->flushes++;
	}
	if (disk->gone || file->generation != disk->generation)
		req->result = -ENODEV;
	TAILQ_INSERT_TAIL(&disk->reqs, req, link);
	event_add(disk->sim, &req->event, draw_latency(disk, io), req_fire);
}

/* --- files --- */

static struct sim_disk *
find(struct sim *sim, const char *name)
{
	struct sim_disk *disk;

	TAILQ_FOREACH(disk, &sim->disks, link)
		if (strcmp(disk->name, name) == 0)
			return disk;
	return NULL;
}

int
file_open(struct loop *loop, const char *path, unsigned flags,
    struct file **out, struct err *err)
{
	struct sim_disk *disk = find(loop->sim, path);
	struct file *file;

	*out = NULL;
	if (disk == NULL || disk->gone)
		return err_set(err, ENOENT, "%s: no such disk", path);
	LIST_FOREACH(file, &disk->files, link)
		if ((file->flags & flags & FILE_EXCL) != 0 &&
		    file->generation == disk->generation)
			return err_set(err, EBUSY, "%s is in use", path);
	file = calloc(1, sizeof(*file));
	if (file == NULL)
		sim_fail(disk->sim, "no memory");
	file->disk = disk;
	file->flags = flags;
	file->generation = disk->generation;
	LIST_INSERT_HEAD(&disk->files, file, link);
	*out = file;
	return 0;
}

void
file_close(struct file *file)
{
	LIST_REMOVE(file, link);
	free(file);
}

void
file_get_info(const struct file *file, struct file_info *info)
{
	const struct sim_disk *disk = file->disk;

	*info = (struct file_info){
		.size = disk->size,
		.logical_block = disk->logical_block,
		.physical_block = 4096,
		.discard_granularity = 4096,
		.discard_zeroes = disk->discard_zeroes,
		.zero_fast = disk->latency_ns < 8 * NSEC_PER_MSEC,
		.is_device = true,
		.model = "SIM",
	};
	snprintf(info->serial, sizeof(info->serial), "%s", disk->name);
}

/* --- the life of a disk --- */

struct sim_disk *
sim_disk_new(struct sim *sim, const char *name, uint64_t size,
    uint32_t logical_block)
{
	static const uint64_t latencies_us[] = { 20, 100, 100, 1000, 8000 };
	struct sim_disk *disk = calloc(1, sizeof(*disk));

	assert(logical_block == 512 || logical_block == 4096);
	assert(size > 0 && size % PAGE == 0);
	if (disk == NULL)
		sim_fail(sim, "no memory");
	disk->sim = sim;
	snprintf(disk->name, sizeof(disk->name), "%s", name);
	disk->size = size;
	disk->logical_block = logical_block;
	disk->discard_zeroes = rng_one_in(&sim->rng, 2);
	disk->latency_ns = 1000 *
	    latencies_us[rng_below(&sim->rng, nitems(latencies_us))];
	disk->pages = calloc(size / PAGE, sizeof(disk->pages[0]));
	if (disk->pages == NULL)
		sim_fail(sim, "no memory");
	TAILQ_INIT(&disk->dirty);
	TAILQ_INIT(&disk->reqs);
	LIST_INIT(&disk->files);
	TAILQ_INSERT_TAIL(&sim->disks, disk, link);
	sim_trace(sim, "%s: new, %llu KiB, blocks of %u, %llu us", name,
	    (unsigned long long)(size / 1024), logical_block,
	    (unsigned long long)(disk->latency_ns / 1000));
	return disk;
}

void
sim_disks_free(struct sim *sim)
{
	struct sim_disk *disk;

	while ((disk = TAILQ_FIRST(&sim->disks)) != NULL) {
		assert(TAILQ_EMPTY(&disk->reqs));
		TAILQ_REMOVE(&sim->disks, disk, link);
		for (uint64_t i = 0; i < disk->size / PAGE; i++)
			free(disk->pages[i]);
		free(disk->pages);
		free(disk);
	}
}

bool
sim_disks_idle(const struct sim *sim)
{
	const struct sim_disk *disk;

	TAILQ_FOREACH(disk, &sim->disks, link)
		if (!TAILQ_EMPTY(&disk->reqs) || !LIST_EMPTY(&disk->files))
			return false;
	return true;
}

void
sim_disks_kill(struct sim *sim)
{
	struct sim_disk *disk;
	struct disk_req *req;

	TAILQ_FOREACH(disk, &sim->disks, link) {
		while ((req = TAILQ_FIRST(&disk->reqs)) != NULL) {
			enum fate fate = draw_fate(disk);

			if (req->io->kind == IO_WRITE ||
			    req->io->kind == IO_ZERO ||
			    req->io->kind == IO_DISCARD) {
				sim_trace(sim, "%s: %s %llu+%llu cut off: %s",
				    disk->name, io_kind_name(req->io->kind),
				    (unsigned long long)req->io->off,
				    (unsigned long long)req->io->len,
				    fate == FATE_ALL ? "done" :
				    fate == FATE_NONE ? "lost" : "torn");
				if (req->result == 0)
					apply(req, fate);
			}
			req_free(req);
		}
		LIST_INIT(&disk->files);	/* the process leaks them */
		disk->fail_writes = disk->fail_flushes = 0;
	}
}

void
sim_disks_power_cut(struct sim *sim)
{
	struct sim_disk *disk;

	TAILQ_FOREACH(disk, &sim->disks, link) {
		lose_cache(disk);
		disk->stalled_until_ns = 0;
		disk->fail_writes = disk->fail_flushes = 0;
	}
}

const char *
sim_disk_name(const struct sim_disk *disk)
{
	return disk->name;
}

uint64_t
sim_disk_size(const struct sim_disk *disk)
{
	return disk->size;
}

bool
sim_disk_gone(const struct sim_disk *disk)
{
	return disk->gone;
}

void
sim_disk_vanish(struct sim_disk *disk, bool power)
{
	struct disk_req *req;

	assert(!disk->gone);
	sim_trace(disk->sim, "%s: vanishes%s", disk->name,
	    power ? " without power" : "");
	disk->gone = true;
	disk->generation++;
	TAILQ_FOREACH(req, &disk->reqs, link) {
		if (req->result == 0 && req->data != NULL)
			apply(req, draw_fate(disk));
		req->result = -ENODEV;
	}
	if (power)
		lose_cache(disk);
}

void
sim_disk_return(struct sim_disk *disk)
{
	assert(disk->gone);
	sim_trace(disk->sim, "%s: is back", disk->name);
	disk->gone = false;
	disk->stalled_until_ns = 0;
	disk->fail_writes = disk->fail_flushes = 0;
}

void
sim_disk_stall(struct sim_disk *disk, uint64_t ms)
{
	/* Two in a row would be longer than one may be. */
	if (disk->stalled_until_ns > 0 &&
	    disk->stalled_until_ns + NSEC_PER_SEC > disk->sim->now_ns)
		return;
	sim_trace(disk->sim, "%s: stalls for %llu ms", disk->name,
	    (unsigned long long)ms);
	disk->stalled_until_ns = disk->sim->now_ns + ms * NSEC_PER_MSEC;
}

void
sim_disk_bad_sector(struct sim_disk *disk, uint64_t off)
{
	struct page *page = disk_page(disk, off);
	const struct disk_req *req;

	/* Not between a repair and the look at it. */
	TAILQ_FOREACH(req, &disk->reqs, link)
		if (off >= req->io->off && off < req->io->off + req->io->len)
			return;
	sim_trace(disk->sim, "%s: bad sector at %llu", disk->name,
	    (unsigned long long)off);
	page->bad |= sector_bit(off);
}

void
sim_disk_hard_sector(struct sim_disk *disk, uint64_t off, bool stays)
{
	struct page *page = disk_page(disk, off);

	sim_trace(disk->sim, "%s: the sector at %llu will refuse %s",
	    disk->name, (unsigned long long)off, stays ? "all writes" :
	    "one write");
	disk->refusing = true;
	if (stays)
		page->hard |= sector_bit(off);
	else
		page->soft |= sector_bit(off);
}

void
sim_disk_fail_writes(struct sim_disk *disk, unsigned n)
{
	sim_trace(disk->sim, "%s: %u writes will fail", disk->name, n);
	disk->fail_writes = n;
}

void
sim_disk_fail_flushes(struct sim_disk *disk, unsigned n)
{
	sim_trace(disk->sim, "%s: %u flushes will fail", disk->name, n);
	disk->fail_flushes = n;
}

bool
sim_disk_will_fail(const struct sim_disk *disk)
{
	return disk->fail_writes > 0 || disk->fail_flushes > 0;
}

void
sim_disk_heal(struct sim_disk *disk)
{
	disk->fail_writes = disk->fail_flushes = 0;
}

void
sim_disk_rot(struct sim_disk *disk, uint64_t bit)
{
	struct page *page = disk_page(disk, bit / 8);
	uint64_t at = bit / 8 % PAGE;

	sim_trace(disk->sim, "%s: bit %llu flips", disk->name,
	    (unsigned long long)bit);
	page->cur[at] ^= (uint8_t)(1u << bit % 8);
	page->dur[at] ^= (uint8_t)(1u << bit % 8);
}

void
sim_disk_peek(const struct sim_disk *disk, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;

	assert(range_ok(off, len, disk->size));
	while (len > 0) {
		const struct page *page = disk->pages[off / PAGE];
		size_t part = MIN(len, PAGE - off % PAGE);

		if (page != NULL)
			memcpy(p, page->cur + off % PAGE, part);
		else
			memset(p, 0, part);
		p += part;
		off += part;
		len -= part;
	}
}

void
sim_disk_poke(struct sim_disk *disk, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	assert(off % disk->logical_block == 0);
	assert(len % disk->logical_block == 0);
	assert(range_ok(off, len, disk->size));
	for (size_t at = 0; at < len; at += disk->logical_block)
		write_unit(disk, off + at, p + at, true);
}

uint64_t
sim_disk_dirty(const struct sim_disk *disk)
{
	const struct page *page;
	uint64_t bytes = 0;

	TAILQ_FOREACH(page, &disk->dirty, link)
		bytes += SECTOR * (unsigned)__builtin_popcount(page->dirty);
	return bytes;
}
