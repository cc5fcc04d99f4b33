/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A blk in memory, for tests and scratch volumes.
 *
 * Space is counted in pages of 4 KiB: a write maps the pages it touches,
 * discarding (or zeroing with IO_UNMAP) a whole page unmaps it.  Invariant:
 * an unmapped page reads as zeroes.
 */
#include "block/blk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RAM_PAGE ((uint64_t)4096)

struct blk_ram {
	struct blk blk;
	uint8_t *data;
	bool *mapped;		/* per page */
};

static void
ram_write(struct blk_ram *ram, const struct io *io)
{
	iov_to_buf(io->iov, io->niov, 0, ram->data + io->off, io->len);
	for (uint64_t p = io->off / RAM_PAGE;
	    p * RAM_PAGE < io->off + io->len; p++)
		ram->mapped[p] = true;
}

static void
ram_zero(struct blk_ram *ram, const struct io *io, bool unmap)
{
	uint64_t first = round_up(io->off, RAM_PAGE) / RAM_PAGE;
	uint64_t end = (io->off + io->len) / RAM_PAGE;

	memset(ram->data + io->off, 0, io->len);
	for (uint64_t p = first; unmap && p < end; p++)
		ram->mapped[p] = false;
}

static void
ram_status(const struct blk_ram *ram, struct io *io)
{
	uint64_t p = io->off / RAM_PAGE;
	bool mapped = ram->mapped[p];
	uint64_t end = io->off + io->len;

	while (p * RAM_PAGE < end && ram->mapped[p] == mapped)
		p++;
	if (p * RAM_PAGE < end)
		io->len = p * RAM_PAGE - io->off;
	io->flags = mapped ? io->flags | IO_MAPPED : io->flags & ~IO_MAPPED;
	assert(io->len > 0);
}

static void
blk_ram_submit(struct blk *blk, struct io *io)
{
	struct blk_ram *ram = container_of(blk, struct blk_ram, blk);

	switch (io->kind) {
	case IO_READ:
		iov_from_buf(io->iov, io->niov, 0, ram->data + io->off,
		    io->len);
		break;
	case IO_WRITE:
		ram_write(ram, io);
		break;
	case IO_DISCARD:
		ram_zero(ram, io, true);
		break;
	case IO_ZERO:
		ram_zero(ram, io, (io->flags & IO_UNMAP) != 0);
		break;
	case IO_STATUS:
		ram_status(ram, io);
		break;
	case IO_FLUSH:
		break;
	case IO_RECV:
	case IO_SEND:
		bug("ram: %s on a device", io_kind_name(io->kind));
	}
	io_end(io, 0);
}

static void
blk_ram_close(struct blk *blk)
{
	struct blk_ram *ram = container_of(blk, struct blk_ram, blk);

	free(ram->mapped);
	free(ram->data);
	free(ram);
}

static const struct blk_ops blk_ram_ops = {
	.type = "ram",
	.submit = blk_ram_submit,
	.close = blk_ram_close,
};

struct blk *
blk_ram_new(struct loop *loop, uint64_t size, uint32_t logical_block)
{
	struct blk_ram *ram;

	assert(logical_block == 512 || logical_block == 4096);
	assert(size > 0 && size % logical_block == 0);
	ram = calloc(1, sizeof(*ram));
	if (ram == NULL)
		return NULL;
	ram->data = calloc(1, size);
	ram->mapped = calloc(size / RAM_PAGE + 1, sizeof(bool));
	if (ram->data == NULL || ram->mapped == NULL) {
		blk_ram_close(&ram->blk);
		return NULL;
	}
	ram->blk.ops = &blk_ram_ops;
	ram->blk.loop = loop;
	ram->blk.geo = (struct blk_geometry){
		.size = size,
		.logical_block = logical_block,
		.physical_block = logical_block,
		.discard_granularity = RAM_PAGE,
		.discard_zeroes = true,
		.zero_fast = true,
	};
	strcpy(ram->blk.name, "ram");
	return &ram->blk;
}

uint8_t *
blk_ram_data(struct blk *blk)
{
	assert(blk->ops == &blk_ram_ops);
	return container_of(blk, struct blk_ram, blk)->data;
}
