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
	int why;			/* errno: there, but not to be opened */
	char contents[128];		/* "ext4 \"home\""; empty = blank */
	char uuid[UUID_SIZE];		/* of contents, as libblkid has it */
	char slot[80];			/* where it is plugged in, or empty */
	char holder[64];		/* who has it open in the kernel */
	uint64_t dev, ino;		/* the same for the same disk */
};

struct disks {
	bool devices;			/* in: the machine's disks too */
	bool partitions;		/* in: and their partitions */
	bool loops;			/* in: and loop devices */
	unsigned n;
	struct disk *disk;
};

/* Ask for one path more; duplicates are dropped. */
void disks_add(struct disks *disks, const char *path);
/* Fill in what is known about each. */
void disks_scan(struct disks *disks);
void disks_fini(struct disks *disks);

/*
 * The next device after `from` (NULL: the first) that carries an md member of
 * the array `uuid` and has no holder; NULL if there is no more.
 */
const struct disk *disks_find_member(const struct disks *disks,
    const struct disk *from, const char *uuid);

/* Why it cannot be used as it is: not there, or not to be opened; or 0. */
int disks_error(const struct disk *disk, struct err *err);

/* What may be lost. */
struct disks_erase {
	bool known;			/* whatever is on it, it is ours */
	bool force;			/* --force was given */
	const json_t *serials;		/* the numbers confirmed, or NULL */
};

/*
 * May a pool be made of these?  The first that is not there, is given twice,
 * has a holder or has something on it that may not be lost, is named with its
 * model and serial.  What is on a disk that tells a serial number is lost only
 * if that number is confirmed: names like /dev/sdb may change hands.
 */
int disks_check_blank(const struct disks *disks,
    const struct disks_erase *erase, struct err *err);

#endif
