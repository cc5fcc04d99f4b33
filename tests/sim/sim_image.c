/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images of simulated disks.
 *
 * Invariants: an open sector differs from what the image holds without it;
 * disks are counted in the order in which they were made.
 */
#include "tests/sim/sim_image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_disk_priv.h"

/* --- take --- */

/* The image's bytes of a sector as they are so far; NULL: zeroes. */
static const uint8_t *
image_sector(const struct sim_image *image, unsigned disk, uint64_t off)
{
	for (unsigned i = image->nopen; i-- > 0;)
		if (image->open[i].disk == disk && image->open[i].off == off)
			return image->open[i].data;
	for (unsigned i = 0; i < image->npages; i++)
		if (image->page[i].disk == disk &&
		    image->page[i].off == round_down(off, PAGE))
			return image->page[i].data + off % PAGE;
	return NULL;
}

static void
add_open(struct sim *sim, struct sim_image *image, unsigned disk, uint64_t off,
    const uint8_t *data)
{
	static const uint8_t zero[SECTOR];
	const uint8_t *old = image_sector(image, disk, off);

	if (memcmp(data, old != NULL ? old : zero, SECTOR) == 0)
		return;
	sim_check(sim, image->nopen < IMAGE_OPEN, "too many open sectors");
	image->open[image->nopen].disk = disk;
	image->open[image->nopen].off = off;
	memcpy(image->open[image->nopen++].data, data, SECTOR);
}

static void
take_page(struct sim *sim, struct sim_image *image, unsigned disk,
    uint64_t off, const struct page *page)
{
	sim_check(sim, image->npages < IMAGE_PAGES, "too many pages");
	image->page[image->npages].disk = disk;
	image->page[image->npages].off = off;
	for (uint64_t at = 0; at < PAGE; at += SECTOR)
		memcpy(image->page[image->npages].data + at,
		    ((page->dirty & sector_bit(at)) != 0 ? page->dur :
		    page->cur) + at, SECTOR);
	image->npages++;
}

static void
take_disk(struct sim *sim, struct sim_image *image, unsigned number,
    const struct sim_disk *disk)
{
	static const uint8_t zero[SECTOR];
	const struct disk_req *req;

	for (uint64_t off = 0; off < disk->size; off += PAGE)
		if (disk->pages[off / PAGE] != NULL)
			take_page(sim, image, number, off,
			    disk->pages[off / PAGE]);
	for (uint64_t off = 0; off < disk->size; off += SECTOR) {
		const struct page *page = disk->pages[off / PAGE];

		if (page != NULL && (page->dirty & sector_bit(off)) != 0)
			add_open(sim, image, number, off,
			    page->cur + off % PAGE);
	}
	TAILQ_FOREACH(req, &disk->reqs, link) {
		const struct io *io = req->io;

		if (io->kind == IO_READ || io->kind == IO_FLUSH ||
		    req->result != 0)
			continue;
		for (uint64_t at = 0; at < io->len; at += SECTOR)
			add_open(sim, image, number, io->off + at,
			    req->data != NULL ? req->data + at : zero);
	}
}

void
sim_image_take(struct sim *sim, struct sim_image *image)
{
	const struct sim_disk *disk;
	unsigned number = 0;

	image->npages = image->nopen = 0;
	TAILQ_FOREACH(disk, &sim->disks, link)
		take_disk(sim, image, number++, disk);
}

/* --- put --- */

static struct sim_disk *
disk_at(struct sim *sim, unsigned number)
{
	struct sim_disk *disk = TAILQ_FIRST(&sim->disks);

	while (number-- > 0)
		disk = TAILQ_NEXT(disk, link);
	return disk;
}

static void
wipe(struct sim_disk *disk)
{
	assert(TAILQ_EMPTY(&disk->reqs));
	for (uint64_t i = 0; i < disk->size / PAGE; i++) {
		if (disk->pages[i] == NULL)
			continue;
		disk_set_dirty(disk, disk->pages[i], 0);
		free(disk->pages[i]);
		disk->pages[i] = NULL;
	}
}

static uint64_t
hash_of(struct sim *sim)
{
	const struct sim_disk *disk;
	uint64_t hash = 1;

	TAILQ_FOREACH(disk, &sim->disks, link)
		for (uint64_t i = 0; i < disk->size / PAGE; i++)
			if (disk->pages[i] != NULL)
				hash = sim_hash(hash ^ i, disk->pages[i]->cur,
				    PAGE);
	return hash;
}

uint64_t
sim_image_put(struct sim *sim, const struct sim_image *image, uint64_t kept)
{
	struct sim_disk *disk;

	assert(sim->loop == NULL);
	TAILQ_FOREACH(disk, &sim->disks, link)
		wipe(disk);
	for (unsigned i = 0; i < image->npages; i++)
		memcpy(disk_page(disk_at(sim, image->page[i].disk),
		    image->page[i].off)->cur, image->page[i].data, PAGE);
	for (unsigned i = 0; i < image->nopen; i++)
		if ((kept >> i & 1) != 0)
			memcpy(disk_page(disk_at(sim, image->open[i].disk),
			    image->open[i].off)->cur +
			    image->open[i].off % PAGE, image->open[i].data,
			    SECTOR);
	return hash_of(sim);
}
