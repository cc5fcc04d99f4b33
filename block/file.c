/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A regular file, disk image or block device as a blk: the files of
 * core/loop.h with a geometry.
 *
 * Invariant: the size is fixed while open and a multiple of the logical block;
 * the odd bytes at the end of a file are never touched.
 */
#include "block/blk.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct blk_file {
	struct blk blk;
	struct file *file;
};

static void
blk_file_submit(struct blk *blk, struct io *io)
{
	struct blk_file *f = container_of(blk, struct blk_file, blk);

	if (io->kind == IO_DISCARD && blk->geo.discard_granularity == 0) {
		io_end(io, 0);	/* contents may become undefined: or not */
		return;
	}
	file_submit(f->file, io, io->waiter);
}

static void
blk_file_close(struct blk *blk)
{
	struct blk_file *f = container_of(blk, struct blk_file, blk);

	file_close(f->file);
	free(f);
}

static const struct blk_ops blk_file_ops = {
	.type = "file",
	.submit = blk_file_submit,
	.close = blk_file_close,
};

static void
set_geometry(struct blk_geometry *geo, const struct file_info *info)
{
	geo->logical_block = info->logical_block;
	geo->physical_block = MAX(info->physical_block, info->logical_block);
	geo->size = round_down(info->size, info->logical_block);
	geo->optimal_io = info->optimal_io;
	geo->discard_granularity = info->discard_granularity;
	geo->discard_zeroes = info->discard_zeroes;
	geo->zero_fast = info->zero_fast;
	geo->rotational = info->rotational;
}

int
blk_file_open(struct loop *loop, const char *path, bool read_only,
    struct blk **out, struct err *err)
{
	struct blk_file *f;
	struct file_info info;
	int r;

	*out = NULL;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	r = file_open(loop, path, FILE_DIRECT |
	    (read_only ? FILE_READONLY : FILE_EXCL), &f->file, err);
	if (r < 0) {
		free(f);
		return r;
	}
	file_get_info(f->file, &info);
	if (info.size < info.logical_block) {
		r = err_set(err, EINVAL, "%s is smaller than one block", path);
		file_close(f->file);
		free(f);
		return r;
	}
	f->blk.ops = &blk_file_ops;
	f->blk.loop = loop;
	f->blk.geo.read_only = read_only;
	snprintf(f->blk.name, sizeof(f->blk.name), "%s", path);
	set_geometry(&f->blk.geo, &info);
	assert(f->blk.geo.size > 0);
	*out = &f->blk;
	return 0;
}

bool
blk_file_info(const struct blk *blk, struct file_info *info)
{
	const struct blk_file *f;

	if (blk->ops != &blk_file_ops)
		return false;
	f = (const struct blk_file *)(const void *)((const char *)blk -
	    offsetof(struct blk_file, blk));
	file_get_info(f->file, info);
	return true;
}
