/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Look at disks: sysfs for what they are, libblkid for what is on them.
 * Nothing is written.
 */
#include "config.h"

#include "admin/disks.h"

#include <assert.h>
#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/util.h"

void
disks_add(struct disks *disks, const char *path)
{
	struct disk *grown;

	assert(disks->n <= DISKS_MAX);
	for (unsigned i = 0; i < disks->n; i++) {
		if (strcmp(disks->disk[i].path, path) == 0)
			return;
	}
	if (disks->n == DISKS_MAX || strlen(path) >= DOC_PATH_SIZE ||
	    path[0] == '\0')
		return;
	grown = realloc(disks->disk, (disks->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return;
	disks->disk = grown;
	memset(&grown[disks->n], 0, sizeof(*grown));
	snprintf(grown[disks->n++].path, DOC_PATH_SIZE, "%s", path);
}

void
disks_fini(struct disks *disks)
{
	free(disks->disk);
	disks->disk = NULL;
	disks->n = 0;
}

/* What a device says about itself is not trusted. */
static void
printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

/* First line of a sysfs file without blanks around it. */
static void
read_line(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t len;

	assert(size > 1);
	text[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(text, (int)size, f) == NULL)
		text[0] = '\0';
	fclose(f);
	len = strlen(text);
	while (len > 0 && strchr(" \n\t", text[len - 1]) != NULL)
		text[--len] = '\0';
	printable(text);
}

/* What the kernel makes of other devices is no disk. */
static bool
is_disk_name(const struct disks *disks, const char *name)
{
	static const char *const never[] = { ".", "ram", "md", "dm-", "zram",
		"sr", "fd" };

	for (size_t i = 0; i < nitems(never); i++) {
		if (strncmp(name, never[i], strlen(never[i])) == 0)
			return false;
	}
	return disks->loops || strncmp(name, "loop", 4) != 0;
}

/* Whole disks, or all that may carry a member. */
static void
add_devices(struct disks *disks)
{
	DIR *dir = opendir(disks->partitions ? "/sys/class/block" :
	    "/sys/block");
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		char path[DOC_PATH_SIZE];

		if (!is_disk_name(disks, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%.200s", entry->d_name);
		disks_add(disks, path);
	}
	closedir(dir);
}

/* SCSI's vital product data page 80 (SPC-4 7.8.15): SATA and SAS disks. */
static void
serial_page(struct disk *disk, const char *base)
{
	char path[160], page[4 + sizeof(disk->serial)];
	size_t len, from = 4;
	FILE *f;

	snprintf(path, sizeof(path), "%s/device/vpd_pg80", base);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	len = fread(page, 1, sizeof(page) - 1, f);
	fclose(f);
	if (len <= from || page[1] != (char)0x80)
		return;
	page[len] = '\0';
	while (page[from] == ' ')
		from++;
	snprintf(disk->serial, sizeof(disk->serial), "%s", page + from);
	len = strlen(disk->serial);
	while (len > 0 && disk->serial[len - 1] == ' ')
		disk->serial[--len] = '\0';
	printable(disk->serial);
}

/* Where it is plugged in, if udev knows: "pci-0000:00:1f.2-ata-3". */
static void
device_slot(struct disk *disk, struct udev *udev, dev_t dev)
{
	struct udev_device *device = udev != NULL ?
	    udev_device_new_from_devnum(udev, 'b', dev) : NULL;
	const char *slot;

	if (device == NULL)
		return;
	slot = udev_device_get_property_value(device, "ID_PATH");
	snprintf(disk->slot, sizeof(disk->slot), "%s", slot != NULL ? slot :
	    "");
	printable(disk->slot);
	udev_device_unref(device);
}

static void
device_facts(struct disk *disk, dev_t dev)
{
	char base[64], path[160], text[24];

	snprintf(base, sizeof(base), "/sys/dev/block/%u:%u", major(dev),
	    minor(dev));
	snprintf(path, sizeof(path), "%s/device/model", base);
	read_line(path, disk->model, sizeof(disk->model));
	snprintf(path, sizeof(path), "%s/serial", base);
	read_line(path, disk->serial, sizeof(disk->serial));
	if (disk->serial[0] == '\0') {
		snprintf(path, sizeof(path), "%s/device/serial", base);
		read_line(path, disk->serial, sizeof(disk->serial));
	}
	if (disk->serial[0] == '\0')
		serial_page(disk, base);
	snprintf(path, sizeof(path), "%s/queue/rotational", base);
	read_line(path, text, sizeof(text));
	disk->rotational = strcmp(text, "1") == 0;
	snprintf(path, sizeof(path), "%s/size", base);
	read_line(path, text, sizeof(text));
	disk->size = strtoull(text, NULL, 10) * 512;
}

/* Who in the kernel sits on it: the first entry of holders/. */
static void
device_holder(struct disk *disk, dev_t dev)
{
	char path[96];
	DIR *dir;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders",
	    major(dev), minor(dev));
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			snprintf(disk->holder, sizeof(disk->holder), "%.63s",
			    entry->d_name);
	}
	closedir(dir);
}

static void
probe_contents(struct disk *disk, int fd)
{
	assert(fd >= 0);
	blkid_probe probe = blkid_new_probe();
	const char *type = NULL, *label = NULL, *uuid = NULL;

	if (probe == NULL)
		return;
	if (blkid_probe_set_device(probe, fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE |
		    BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID);
		blkid_probe_enable_partitions(probe, 1);
		if (blkid_do_safeprobe(probe) == -2)
			type = "several signatures";
		else if (blkid_probe_lookup_value(probe, "TYPE", &type,
		    NULL) != 0 && blkid_probe_lookup_value(probe, "PTTYPE",
		    &type, NULL) == 0)
			label = "partition table";
		(void)blkid_probe_lookup_value(probe, "LABEL", &label, NULL);
		(void)blkid_probe_lookup_value(probe, "UUID", &uuid, NULL);
	}
	if (type != NULL)
		snprintf(disk->contents, sizeof(disk->contents), "%.40s%s%.60s",
		    type, label != NULL ? " " : "",
		    label != NULL ? label : "");
	if (uuid != NULL)
		snprintf(disk->uuid, sizeof(disk->uuid), "%.36s", uuid);
	printable(disk->contents);
	blkid_free_probe(probe);
}

/* What is told without opening it. */
static void
node_facts(struct disk *disk, const struct stat *sb, struct udev *udev)
{
	disk->present = true;
	disk->is_device = S_ISBLK(sb->st_mode);
	disk->dev = disk->is_device ? sb->st_rdev : sb->st_dev;
	disk->ino = disk->is_device ? 0 : sb->st_ino;
	disk->size = (uint64_t)sb->st_size;
	if (!disk->is_device)
		return;
	device_facts(disk, sb->st_rdev);
	device_slot(disk, udev, sb->st_rdev);
	device_holder(disk, sb->st_rdev);
}

static void
look_at(struct disk *disk, struct udev *udev)
{
	struct stat sb;
	int fd;

	assert(!disk->present && disk->contents[0] == '\0');
	if (stat(disk->path, &sb) != 0) {
		disk->why = errno;
		return;
	}
	if (!S_ISBLK(sb.st_mode) && !S_ISREG(sb.st_mode))
		return;
	node_facts(disk, &sb, udev);
	fd = open(disk->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		disk->why = errno;
		return;
	}
	if (disk->is_device)	/* else what sysfs says */
		(void)ioctl(fd, BLKGETSIZE64, &disk->size);
	probe_contents(disk, fd);
	close(fd);
}

void
disks_scan(struct disks *disks)
{
	struct udev *udev = udev_new();

	if (disks->devices)
		add_devices(disks);
	for (unsigned i = 0; i < disks->n; i++)
		look_at(&disks->disk[i], udev);
	udev_unref(udev);
}

const struct disk *
disks_find_member(const struct disks *disks, const struct disk *from,
    const char *uuid)
{
	const struct disk *end = disks->disk + disks->n;
	const struct disk *disk = from != NULL ? from + 1 : disks->disk;

	assert(strlen(uuid) == UUID_SIZE - 1);
	assert(from == NULL || (from >= disks->disk && from < end));
	for (; disk != NULL && disk < end; disk++) {
		if (disk->is_device && disk->holder[0] == '\0' &&
		    strcmp(disk->uuid, uuid) == 0 && strncmp(disk->contents,
		    "linux_raid_member", 17) == 0)
			return disk;
	}
	return NULL;
}

/* "/dev/sda (WDC WD40EFRX, serial WD-123)" */
static const char *
disk_name(const struct disk *disk, char *text, size_t size)
{
	if (disk->model[0] == '\0' && disk->serial[0] == '\0')
		snprintf(text, size, "%.120s", disk->path);
	else
		snprintf(text, size, "%.120s (%s%sserial %s)", disk->path,
		    disk->model, disk->model[0] != '\0' ? ", " : "",
		    disk->serial[0] != '\0' ? disk->serial : "unknown");
	return text;
}

int
disks_error(const struct disk *disk, struct err *err)
{
	bool absent = disk->why == ENOENT || disk->why == ENOTDIR;

	if (disk->present && disk->why == 0)
		return 0;
	if (!absent && disk->why != 0)
		return err_open(err, disk->path, disk->why);
	err_set(err, ENOENT, "there is no disk or image file %s", disk->path);
	err_hint(err, "`dozoctl disk list` shows the disks.");
	return -ENOENT;
}

static bool
confirmed(const struct disk *disk, const struct disks_erase *erase)
{
	if (erase->known || !erase->force)
		return erase->known;
	if (disk->serial[0] == '\0')
		return true;
	for (size_t i = 0; i < json_array_size(erase->serials); i++)
		if (strcmp(disk->serial, json_string_value(json_array_get(
		    erase->serials, i))) == 0)
			return true;
	return false;
}

static int
check_blank(const struct disk *disk, const struct disks_erase *erase,
    struct err *err)
{
	char name[240];

	disk_name(disk, name, sizeof(name));
	if (disks_error(disk, err) != 0) {
		return -err->code;
	} else if (disk->holder[0] != '\0') {
		err_set(err, EBUSY, "%s is in use by %s", name, disk->holder);
		err_hint(err, "Stop that first: `lsblk %s` shows it.",
		    disk->path);
	} else if (disk->contents[0] != '\0' && !confirmed(disk, erase)) {
		err_set(err, EEXIST, "%s has something on it: %.60s", name,
		    disk->contents);
		err_hint(err, "If all of that may be lost, use --force%s.",
		    disk->serial[0] == '\0' ? "" :
		    " and confirm its serial number with --serial");
	} else {
		return 0;
	}
	return -err->code;
}

int
disks_check_blank(const struct disks *disks,
    const struct disks_erase *erase, struct err *err)
{
	assert(disks->n > 0);
	for (unsigned i = 0; i < disks->n; i++) {
		const struct disk *disk = &disks->disk[i];
		int r = check_blank(disk, erase, err);

		if (r != 0)
			return r;
		for (unsigned j = 0; j < i; j++) {
			const struct disk *other = &disks->disk[j];

			if (disk->dev == other->dev && disk->ino == other->ino)
				return err_set(err, EINVAL, "%.100s and "
				    "%.100s are the same disk", other->path,
				    disk->path);
		}
	}
	return 0;
}
