/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and image files as the administrator sees them: what they are and
 * what is on them.  Blocks: runs on the helper thread.
 */
#ifndef ADMIN_DISKS_H
#define ADMIN_DISKS_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/doc.h"

#define DISKS_MAX 256u

struct disk {
	char path[DOC_PATH_SIZE];
	char model[48], serial[48];	/* empty if unknown */
	uint64_t size;			/* bytes */
	bool is_device, rotational, present;
	char contents[64];		/* "ext4", "md member"; empty = blank */
	char holder[64];		/* who has it open in the kernel */
};

struct disks {
	bool devices;			/* in: the machine's disks too */
	unsigned n;
	struct disk *disk;
};

/* Ask for one path more; duplicates are dropped. */
void disks_add(struct disks *disks, const char *path);
/* Fill in what is known about each. */
void disks_scan(struct disks *disks);
void disks_fini(struct disks *disks);

#endif
