/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files and block devices on the ring.
 *
 * A file on tmpfs is read and written inline: the kernel would hand each
 * request to a worker thread, which costs several times the copy itself.
 * Ranges the kernel cannot zero are written with zeroes, piece by piece.
 */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/loop_uring_priv.h"

struct file {
	struct loop *loop;
	int fd;
	bool inline_io;		/* tmpfs: never goes to the ring */
	bool no_zero;		/* the kernel cannot zero ranges here */
	struct file_info info;
};

/* --- open --- */

static void
sysfs_text(dev_t dev, const char *name, char *text, size_t size)
{
	char path[128];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev),
	    minor(dev), name);
	text[0] = '\0';
	if ((f = fopen(path, "re")) == NULL)
		return;
	if (fgets(text, (int)size, f) == NULL)
		text[0] = '\0';
	fclose(f);
	for (len = strlen(text); len > 0 && (text[len - 1] == '\n' ||
	    text[len - 1] == ' '); len--)
		text[len - 1] = '\0';
}

static int
device_info(struct file *file, const struct stat *st, const char *path,
    struct err *err)
{
	struct file_info *info = &file->info;
	int lbs = 512, rotational = 0;
	unsigned pbs = 512, opt = 0;
	char text[32];

	info->is_device = true;
	if (ioctl(file->fd, BLKGETSIZE64, &info->size) != 0 ||
	    ioctl(file->fd, BLKSSZGET, &lbs) != 0)
		return err_set(err, errno, "%s: cannot read its size: %s",
		    path, strerror(errno));
	(void)ioctl(file->fd, BLKPBSZGET, &pbs);
	(void)ioctl(file->fd, BLKIOOPT, &opt);
	info->logical_block = (uint32_t)lbs;
	info->physical_block = pbs;
	info->optimal_io = opt;
	sysfs_text(st->st_rdev, "queue/rotational", text, sizeof(text));
	rotational = atoi(text);
	info->rotational = rotational != 0;
	sysfs_text(st->st_rdev, "queue/discard_granularity", text,
	    sizeof(text));
	info->discard_granularity = (uint32_t)strtoul(text, NULL, 10);
	/* A rotating disk takes as long as for writing, if it can at all. */
	sysfs_text(st->st_rdev, "queue/write_zeroes_max_bytes", text,
	    sizeof(text));
	info->zero_fast = !info->rotational && strtoull(text, NULL, 10) > 0;
	sysfs_text(st->st_rdev, "device/model", info->model,
	    sizeof(info->model));
	sysfs_text(st->st_rdev, "device/serial", info->serial,
	    sizeof(info->serial));
	if (info->serial[0] == '\0')
		sysfs_text(st->st_rdev, "serial", info->serial,
		    sizeof(info->serial));
	return 0;
}

static void
regular_info(struct file *file, const struct stat *st, bool direct)
{
	struct file_info *info = &file->info;
	struct statx stx;

	info->logical_block = 512;
	if (direct && statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN,
	    &stx) == 0 && (stx.stx_mask & STATX_DIOALIGN) != 0 &&
	    stx.stx_dio_offset_align > 512)
		info->logical_block = stx.stx_dio_offset_align;
	info->size = round_down((uint64_t)st->st_size, info->logical_block);
	info->physical_block = 4096;
	info->discard_granularity = 4096;
	info->discard_zeroes = info->zero_fast = true;
}

/* An image file in use by somebody else, us or QEMU, is locked. */
static int
lock_regular(int fd, const char *path, struct err *err)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_set(err, errno, "%s: cannot be locked: %s", path,
		    strerror(errno));
	err_set(err, EBUSY, "%s is in use by another program", path);
	err_hint(err, "stop that program (another dozod?), or use another "
	    "file; `fuser -v %s` shows who has it open", path);
	return -EBUSY;
}

static int
open_fd(const char *path, unsigned flags, struct stat *st, bool *direct,
    struct err *err)
{
	int mode = (flags & FILE_READONLY) ? O_RDONLY : O_RDWR;
	int fd;

	if (stat(path, st) != 0)
		return err_open(err, path, errno);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
		err_set(err, EINVAL, "%s is neither a file nor a block device",
		    path);
		return -EINVAL;
	}
	mode |= O_CLOEXEC;
	if (S_ISBLK(st->st_mode) && (flags & FILE_EXCL))
		mode |= O_EXCL;
	*direct = (flags & FILE_DIRECT) != 0;
	fd = open(path, mode | (*direct ? O_DIRECT : 0));
	if (fd < 0 && *direct && errno == EINVAL) {
		*direct = false;
		fd = open(path, mode);
	}
	if (fd < 0)
		return err_open(err, path, errno);
	if (fstat(fd, st) != 0) {
		int errnum = errno;

		close(fd);
		return err_open(err, path, errnum);
	}
	return fd;
}

static bool
is_tmpfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC ||
	    fs.f_type == RAMFS_MAGIC);
}

int
file_open(struct loop *loop, const char *path, unsigned flags,
    struct file **out, struct err *err)
{
	struct file *file;
	struct stat st;
	bool direct = false;
	int fd, res = 0;

	*out = NULL;
	fd = open_fd(path, flags, &st, &direct, err);
	if (fd < 0)
		return fd;
	file = calloc(1, sizeof(*file));
	if (file == NULL) {
		close(fd);
		return err_set(err, ENOMEM, "%s: no memory", path);
	}
	file->loop = loop;
	file->fd = fd;
	if (S_ISBLK(st.st_mode))
		res = device_info(file, &st, path, err);
	else if (flags & FILE_EXCL)
		res = lock_regular(fd, path, err);
	if (res != 0) {
		file_close(file);
		return res;
	}
	if (S_ISREG(st.st_mode)) {
		regular_info(file, &st, direct);
		file->inline_io = is_tmpfs(fd);
	}
	*out = file;
	return 0;
}

void
file_close(struct file *file)
{
	if (file == NULL)
		return;
	close(file->fd);
	free(file);
}

void
file_get_info(const struct file *file, struct file_info *info)
{
	*info = file->info;
}

/* --- transfers --- */

/*
 * What is left of a transfer that came up short.  Rare, so it may allocate;
 * it takes the file's place as the owner of the request.
 */
struct xfer_rest {
	struct file *file;
	unsigned niov;
	struct iovec iov[];
};

/* owner is the file, or with this bit set a struct xfer_rest. */
#define OWNER_REST ((uintptr_t)1)

static struct xfer_rest *
io_rest(const struct io *io)
{
	uintptr_t v = (uintptr_t)io->owner;

	return (v & OWNER_REST) ? (void *)(v & ~OWNER_REST) : NULL;
}

static struct file *
io_file(const struct io *io)
{
	struct xfer_rest *rest = io_rest(io);

	return rest != NULL ? rest->file : io->owner;
}

/*
 * Of a disk that was pulled the kernel speaks as of one sector (EIO), as of a
 * file that is full (ENOSPC) or at its end; but then it has no size any more.
 * A file that was cut short is not mended: writing behind its end would make
 * zeroes of all that is between.
 */
static bool
is_gone(const struct file *file)
{
	uint64_t size;
	struct stat st;

	if (!file->info.is_device)
		return fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    (uint64_t)st.st_size < file->info.size;
	return ioctl(file->fd, BLKGETSIZE64, &size) != 0 || size == 0;
}

static void
finish(struct io *io, int result)
{
	assert(io->owner != NULL && result <= 0);
	if (result < 0 && is_gone(io_file(io)))
		result = -ENODEV;
	if (result < 0 && io->kind == IO_READ)
		io->failed_at = io->done;
	free(io_rest(io));
	io->owner = NULL;
	io_end(io, result);
}

static int
rest_build(struct io *io)
{
	struct xfer_rest *old = io_rest(io), *rest;
	struct file *file = io_file(io);

	rest = malloc(sizeof(*rest) + io->niov * sizeof(rest->iov[0]));
	if (rest == NULL)
		return -ENOMEM;
	rest->file = file;
	rest->niov = iov_slice(rest->iov, io->niov, io->iov, io->niov,
	    io->done, io->len - io->done);
	free(old);
	io->owner = (void *)((uintptr_t)rest | OWNER_REST);
	return 0;
}

static int
rw_flags(const struct io *io)
{
	return io->kind == IO_WRITE && (io->flags & IO_FUA) ? RWF_DSYNC : 0;
}

static void
start_transfer(struct io *io)
{
	struct file *file = io_file(io);
	struct xfer_rest *rest = io_rest(io);
	const struct iovec *iov = rest != NULL ? rest->iov : io->iov;
	unsigned niov = rest != NULL ? rest->niov : io->niov;
	struct io_uring_sqe *sqe = loop_sqe(file->loop);
	uint64_t off = io->off + io->done;

	assert(io->done < io->len && niov > 0);
	if (io->kind == IO_READ && niov == 1)
		io_uring_prep_read(sqe, file->fd, iov->iov_base,
		    (unsigned)iov->iov_len, off);
	else if (io->kind == IO_READ)
		io_uring_prep_readv(sqe, file->fd, iov, niov, off);
	else if (niov == 1)
		io_uring_prep_write(sqe, file->fd, iov->iov_base,
		    (unsigned)iov->iov_len, off);
	else
		io_uring_prep_writev(sqe, file->fd, iov, niov, off);
	sqe->rw_flags = rw_flags(io);
	loop_sqe_tag(sqe, io, TAG_FILE);
}

/* One result of a transfer; true if the request has ended. */
static bool
transfer_done(struct io *io, ssize_t res)
{
	/* By the time it is sent again, the caller's list may be another. */
	if (res == -EINTR || res == -EAGAIN) {
		if (io->niov == 1 || io_rest(io) != NULL ||
		    rest_build(io) == 0)
			return false;
		res = -ENOMEM;
	}
	if (res <= 0) {
		finish(io, res == 0 ? -EIO : (int)res);
		return true;
	}
	io->done += (uint64_t)res;
	assert(io->done <= io->len);
	if (io->done == io->len) {
		finish(io, 0);
		return true;
	}
	if (rest_build(io) != 0) {
		finish(io, -ENOMEM);
		return true;
	}
	return false;
}

static void
inline_transfer(struct io *io)
{
	ssize_t res;

	do {
		struct file *file = io_file(io);
		struct xfer_rest *rest = io_rest(io);
		const struct iovec *iov = rest != NULL ? rest->iov : io->iov;
		unsigned niov = rest != NULL ? rest->niov : io->niov;
		off_t off = (off_t)io->off + (off_t)io->done;

		file->loop->stats.inline_ios++;
		/* No flags: to tmpfs nothing is more durable than a write. */
		if (io->kind == IO_READ && niov == 1)
			res = pread(file->fd, iov->iov_base, iov->iov_len,
			    off);
		else if (io->kind == IO_READ)
			res = preadv(file->fd, iov, (int)niov, off);
		else if (niov == 1)
			res = pwrite(file->fd, iov->iov_base, iov->iov_len,
			    off);
		else
			res = pwritev(file->fd, iov, (int)niov, off);
		if (res < 0)
			res = -errno;
	} while (!transfer_done(io, res));
}

/* --- flush, discard, zero --- */

static int
fallocate_mode(const struct file *file, const struct io *io)
{
	if (io->kind == IO_DISCARD || (io->flags & IO_UNMAP) ||
	    file->inline_io)
		return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

static void
start_zero_piece(struct io *io)
{
	struct file *file = io_file(io);
	struct io_uring_sqe *sqe = loop_sqe(file->loop);
	uint64_t left = io->len - io->done;

	assert(io->kind == IO_ZERO && left > 0 && io->done < io->len);
	io_uring_prep_write(sqe, file->fd, file->loop->zeroes,
	    (unsigned)MIN(left, ZERO_LEN), io->off + io->done);
	sqe->rw_flags = (io->flags & IO_FUA) ? RWF_DSYNC : 0;
	loop_sqe_tag(sqe, io, TAG_FILE);
}

static bool
writes_zeroes(const struct file *file, const struct io *io)
{
	return io->kind == IO_ZERO && file->no_zero;
}

static void
start_fallocate(struct io *io)
{
	struct file *file = io_file(io);
	struct io_uring_sqe *sqe;

	if (writes_zeroes(file, io)) {
		start_zero_piece(io);
		return;
	}
	if (file->inline_io) {
		int res = fallocate(file->fd, fallocate_mode(file, io),
		    (off_t)io->off, (off_t)io->len);

		finish(io, res == 0 ? 0 : -errno);
		return;
	}
	sqe = loop_sqe(file->loop);
	io_uring_prep_fallocate(sqe, file->fd, fallocate_mode(file, io),
	    (off_t)io->off, (off_t)io->len);
	loop_sqe_tag(sqe, io, TAG_FILE);
}

static void
start_sync(struct io *io)
{
	struct file *file = io_file(io);
	struct io_uring_sqe *sqe = loop_sqe(file->loop);

	io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
	loop_sqe_tag(sqe, io, TAG_FILE);
}

/* The last part of a fallocate with FUA is a sync: */
#define DONE_BUT_SYNC UINT64_MAX

static void
fallocate_done(struct io *io, int res)
{
	struct file *file = io_file(io);

	if (io->done == DONE_BUT_SYNC) {
		finish(io, res);
	} else if (writes_zeroes(file, io)) {
		if (res > 0)
			io->done += (uint64_t)res;
		if (res <= 0 && res != -EAGAIN && res != -EINTR)
			finish(io, res == 0 ? -EIO : res);
		else if (io->done == io->len)
			finish(io, 0);
		else
			start_zero_piece(io);
	} else if (res == -EOPNOTSUPP && io->kind == IO_ZERO) {
		file->no_zero = true;
		start_zero_piece(io);
	} else if (res == 0 && (io->flags & IO_FUA)) {
		io->done = DONE_BUT_SYNC;
		start_sync(io);
	} else {
		finish(io, res);
	}
}

static void
start_flush(struct io *io)
{
	if (io_file(io)->inline_io)	/* memory: nothing to flush */
		finish(io, 0);
	else
		start_sync(io);
}

void
uring_file_done(struct io *io, int res)
{
	switch (io->kind) {
	case IO_READ:
	case IO_WRITE:
		if (!transfer_done(io, res))
			start_transfer(io);
		return;
	case IO_DISCARD:
	case IO_ZERO:
		fallocate_done(io, res);
		return;
	case IO_FLUSH:
		finish(io, res);
		return;
	case IO_STATUS:
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("file completion of a %s", io_kind_name(io->kind));
}

void
file_submit(struct file *file, struct io *io, struct op *waiter)
{
	assert(io->waiter == NULL || io->waiter == waiter);
	assert(waiter != NULL || io->waiter != NULL);
	if (io->waiter == NULL) {
		io->waiter = waiter;
		op_hold(waiter);
	}
	io->owner = file;
	io->done = 0;
	switch (io->kind) {
	case IO_READ:
	case IO_WRITE:
		assert(io->niov > 0 && io->niov <= 1024 && io->len > 0);
		if (file->inline_io)
			inline_transfer(io);
		else
			start_transfer(io);
		return;
	case IO_FLUSH:
		start_flush(io);
		return;
	case IO_DISCARD:
	case IO_ZERO:
		start_fallocate(io);
		return;
	case IO_STATUS:		/* a file does not tell: all is mapped */
		io->flags |= IO_MAPPED;
		finish(io, 0);
		return;
	case IO_RECV:
	case IO_SEND:
		break;
	}
	bug("file_submit of a %s", io_kind_name(io->kind));
}
