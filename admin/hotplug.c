/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hot-plug by libudev, and by looking: once a second the numbers of the
 * members' devices are compared with what the kernel has, so that a pulled
 * disk is seen without udev as well.
 *
 * What is told may be old: a disk is taken back before the event of its
 * removal is read.  So the last word has the disk, which is asked.
 *
 * Invariants: a member is taken out only if its array can go on, because a
 * disk that is taken out of a degraded array takes the data along: then the
 * engine meets the error by itself.  Only what the kernel listed as
 * a device is ever taken for gone, and its number is forgotten with it,
 * because the next disk may get it.  At most one removal is under way; it
 * holds the lock, so no pool is stopped under it.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/hotplug.h"

#include <assert.h>
#include <errno.h>
#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "admin/late.h"
#include "core/log.h"

#define PERIOD_MS 1000u
#define SYS_BLOCK "/sys/dev/block"
#define KNOWN_MAX (DOC_POOLS_MAX * DOC_MEMBERS_MAX)
#define BURST_MAX 64u		/* events taken in one turn */

struct known {
	char path[DOC_PATH_SIZE];
	dev_t dev;
	bool used;			/* still a member's path */
};

struct hotplug {
	struct op op;			/* the removal under way */
	struct dozo *dozo;
	struct udev *udev;
	struct udev_monitor *monitor;	/* NULL: only looking */
	struct timer timer;
	struct op_queue idle;		/* who waits for the op's end */
	struct raid_fail fail;
	struct dozo_pool *pool;		/* of fail, while that is locked */
	char path[DOC_PATH_SIZE];	/* of fail */
	dev_t gone;			/* what the op is about */
	unsigned nknown;
	struct known known[KNOWN_MAX];
	bool running;
};

enum pull_step { PULL_LOCK, PULL_FAIL, PULL_DONE };
static const char *const pull_steps[] = { "LOCK", "FAIL", "DONE" };

/* --- which member is it? --- */

static struct known *
find_path(struct hotplug *hp, const char *path)
{
	for (unsigned i = 0; i < hp->nknown; i++) {
		if (strcmp(hp->known[i].path, path) == 0)
			return &hp->known[i];
	}
	return NULL;
}

void
hotplug_know(struct dozo *d, const char *path, dev_t dev)
{
	struct hotplug *hp = d->hotplug;
	struct known *known = find_path(hp, path);

	assert(path[0] != '\0');
	if (known == NULL) {
		if (hp->nknown == KNOWN_MAX || strlen(path) >= DOC_PATH_SIZE)
			return;
		known = &hp->known[hp->nknown++];
		snprintf(known->path, sizeof(known->path), "%s", path);
	}
	known->dev = dev;
	known->used = true;
}

/* A disk that works, as member or spare, on the device `dev`. */
static bool
find_member(struct hotplug *hp, dev_t dev, struct dozo_pool **where,
    struct raid_member_info *member)
{
	struct dozo_pool *pool;

	TAILQ_FOREACH(pool, &hp->dozo->pools, link) {
		struct raid_info a;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		raid_get_info(pool->raid, &a);
		for (unsigned i = 0; i < a.nmembers; i++) {
			const struct raid_member_info *m = &a.member[i];
			const struct known *known = find_path(hp, m->path);

			if (known == NULL || known->dev != dev ||
			    m->state == RAID_MEMBER_FAULTY ||
			    m->state == RAID_MEMBER_MISSING)
				continue;
			*where = pool;
			*member = *m;
			return true;
		}
	}
	return false;
}

/* --- take it out --- */

/* Its number may be given to another disk. */
static void
forget_dev(struct hotplug *hp, dev_t dev)
{
	for (unsigned i = hp->nknown; i-- > 0;) {
		if (hp->known[i].dev == dev)
			hp->known[i] = hp->known[--hp->nknown];
	}
}

static void
begin_fail(struct hotplug *hp)
{
	struct raid_member_info member;
	struct dozo_pool *pool;

	hp->fail = (struct raid_fail){ 0 };
	if (!find_member(hp, hp->gone, &pool, &member))
		return;
	snprintf(hp->path, sizeof(hp->path), "%s", member.path);
	hp->pool = pool;
	hp->fail.raid = pool->raid;
	hp->fail.path = hp->path;
	hp->fail.why = "it was pulled";
	hp->fail.if_gone = true;
	raid_fail_start(&hp->fail, &hp->op);
}

static void
pull_run(struct op *op)
{
	struct hotplug *hp = op_owner(op, struct hotplug);

	switch ((enum pull_step)op->step) {
	case PULL_LOCK:
		dozo_lock(hp->dozo, op);
		op->step = PULL_FAIL;
		return;
	case PULL_FAIL:
		begin_fail(hp);
		op->step = PULL_DONE;
		return;
	case PULL_DONE:
		if (err_is(&hp->fail.err))
			log_err("member=%s was pulled, but the pool cannot go "
			    "on without it: %s", hp->path, hp->fail.err.text);
		else if (hp->fail.failed)
			log_err("pool=%s member=%s was pulled",
			    hp->pool->name, hp->path);
		forget_dev(hp, hp->gone);
		dozo_unlock(hp->dozo);
		hp->running = false;
		op_end(op);
		op_wake_all(&hp->idle);
		return;
	}
	bug("hotplug: bad step %u", op->step);
}

static const struct op_type pull_type = { "pulled_disk", pull_steps,
	nitems(pull_steps), pull_run, NULL };

void
hotplug_gone(struct dozo *d, dev_t dev)
{
	struct hotplug *hp = d->hotplug;
	struct dozo_pool *pool;
	struct raid_member_info member;

	/* If another one is under way, the next look finds this one. */
	if (d->stopping || hp->running ||
	    !find_member(hp, dev, &pool, &member))
		return;
	hp->gone = dev;
	hp->running = true;
	op_start(&hp->op, &pull_type, loop_sched(d->loop), NULL);
}

/* --- look --- */

/* Does the kernel list the device?  Not if /sys is hidden from us. */
static bool
is_listed(dev_t dev)
{
	char path[64];

	snprintf(path, sizeof(path), SYS_BLOCK "/%u:%u", major(dev),
	    minor(dev));
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Learn the numbers of members that are new, forget who is none any more. */
static void
learn_members(struct hotplug *hp)
{
	struct dozo_pool *pool;

	for (unsigned i = 0; i < hp->nknown; i++)
		hp->known[i].used = false;
	TAILQ_FOREACH(pool, &hp->dozo->pools, link) {
		struct raid_info a;

		if (pool->state != DOZO_POOL_ONLINE)
			continue;
		raid_get_info(pool->raid, &a);
		for (unsigned i = 0; i < a.nmembers; i++) {
			const char *path = a.member[i].path;
			struct known *known = find_path(hp, path);
			struct stat st;

			if (known != NULL)
				known->used = a.member[i].state !=
				    RAID_MEMBER_FAULTY;
			else if (strncmp(path, "/dev/", 5) == 0 &&
			    stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
			    is_listed(st.st_rdev))
				hotplug_know(hp->dozo, path, st.st_rdev);
		}
	}
	for (unsigned i = hp->nknown; i-- > 0;) {
		if (!hp->known[i].used)
			hp->known[i] = hp->known[--hp->nknown];
	}
}

static void
look_for_gone(struct hotplug *hp)
{
	if (access(SYS_BLOCK, F_OK) != 0)
		return;
	for (unsigned i = 0; i < hp->nknown; i++) {
		if (!is_listed(hp->known[i].dev))
			hotplug_gone(hp->dozo, hp->known[i].dev);
	}
}

/* Texts of a device are not trusted. */
static const char *
property(struct udev_device *dev, const char *name, char *text, size_t size)
{
	const char *value = udev_device_get_property_value(dev, name);

	snprintf(text, size, "%s", value != NULL ? value : "");
	for (char *p = text; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	return text;
}

static void
take_event(struct hotplug *hp, struct udev_device *dev)
{
	const char *action = udev_device_get_action(dev);
	const char *node = udev_device_get_devnode(dev);
	const char *type = udev_device_get_devtype(dev);
	char model[80], serial[80], text[320];
	bool removed = action != NULL && strcmp(action, "remove") == 0;

	if (action == NULL || node == NULL ||
	    (!removed && strcmp(action, "add") != 0))
		return;
	if (removed) {
		/* A member since the last look is not known yet. */
		if (find_path(hp, node) == NULL)
			hotplug_know(hp->dozo, node,
			    udev_device_get_devnum(dev));
		hotplug_gone(hp->dozo, udev_device_get_devnum(dev));
	}
	if (type == NULL || strcmp(type, "disk") != 0)
		return;
	property(dev, "ID_MODEL", model, sizeof(model));
	property(dev, "ID_SERIAL_SHORT", serial, sizeof(serial));
	snprintf(text, sizeof(text), "%.100s%s%s%s%s was %s", node,
	    model[0] != '\0' ? " " : "", model, serial[0] != '\0' ?
	    ", serial " : "", serial, removed ? "removed" : "plugged in");
	log_info("%s", text);
	if (!removed)
		late_disk(hp->dozo);
	event_emit(hp->dozo, "disk", json_pack("{s:s, s:s}", "path", node,
	    "text", text));
}

static void
look(void *arg)
{
	struct hotplug *hp = arg;

	for (unsigned i = 0; hp->monitor != NULL && i < BURST_MAX; i++) {
		struct udev_device *dev =
		    udev_monitor_receive_device(hp->monitor);

		if (dev == NULL)
			break;
		take_event(hp, dev);
		udev_device_unref(dev);
	}
	learn_members(hp);
	look_for_gone(hp);
	timer_start(hp->dozo->loop, &hp->timer, PERIOD_MS, look, hp);
}

/* Without a running udevd the kernel tells us itself. */
static void
open_monitor(struct hotplug *hp)
{
	const char *source = access("/run/udev/control", F_OK) == 0 ? "udev" :
	    "kernel";

	hp->udev = udev_new();
	if (hp->udev != NULL)
		hp->monitor = udev_monitor_new_from_netlink(hp->udev, source);
	if (hp->monitor == NULL ||
	    udev_monitor_filter_add_match_subsystem_devtype(hp->monitor,
	    "block", NULL) < 0 ||
	    udev_monitor_enable_receiving(hp->monitor) < 0) {
		log_warn("disks that are plugged in are not noticed: no "
		    "events of udev");
		udev_monitor_unref(hp->monitor);
		hp->monitor = NULL;
	}
}

int
hotplug_start(struct dozo *d, struct err *err)
{
	struct hotplug *hp = calloc(1, sizeof(*hp));

	assert(d->hotplug == NULL);
	if (hp == NULL)
		return err_set(err, ENOMEM, "out of memory");
	d->hotplug = hp;
	hp->dozo = d;
	op_queue_init(&hp->idle);
	open_monitor(hp);
	look(hp);
	return 0;
}

void
hotplug_stop(struct dozo *d, struct op *op)
{
	struct hotplug *hp = d->hotplug;

	assert(d->stopping);
	if (hp == NULL)
		return;
	timer_stop(d->loop, &hp->timer);
	if (hp->running)
		op_wait(&hp->idle, op);
}

void
hotplug_free(struct dozo *d)
{
	struct hotplug *hp = d->hotplug;

	if (hp == NULL)
		return;
	assert(!hp->running);
	udev_monitor_unref(hp->monitor);
	udev_unref(hp->udev);
	free(hp);
	d->hotplug = NULL;
}
