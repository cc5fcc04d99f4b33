/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much memory the cache may have.
 *
 * Others need memory too: every MEMORY_MS the kernel is asked how much is
 * available.  Below a reserve the cache gives back what is missing; above
 * twice the reserve it may grow again, by half of the excess at a time.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/size.h"
#include "core/log.h"

#define MEMORY_MS 2000u
#define RESERVE_MIN (64 * MIB)
#define AUTO_MIN (16 * MIB)	/* less is not worth its descriptors */

/* "MemTotal:   24684164 kB" */
static bool
field(const char *text, const char *name, uint64_t *bytes)
{
	const char *at = strstr(text, name);
	uint64_t kib;

	if (at == NULL || sscanf(at + strlen(name), ":%" SCNu64, &kib) != 1 ||
	    kib > UINT64_MAX / KIB)
		return false;
	*bytes = kib * KIB;
	return true;
}

bool
meminfo_parse(const char *text, struct meminfo *info)
{
	return field(text, "MemTotal", &info->total) &&
	    field(text, "MemAvailable", &info->available);
}

uint64_t
memory_auto(const struct meminfo *info)
{
	uint64_t quarter = info->total / 4;

	return quarter < AUTO_MIN ? 0 : quarter;
}

uint64_t
memory_limit(const struct meminfo *info, uint64_t limit, uint64_t used,
    uint64_t max)
{
	uint64_t reserve = MAX(RESERVE_MIN, info->total / 16);
	uint64_t excess, missing;

	assert(max >= CACHE_BYTES_MIN);
	if (info->available < reserve) {
		missing = reserve - info->available;
		limit = MIN(limit, used);
		limit -= MIN(limit, missing);
	} else if (info->available > 2 * reserve) {
		excess = info->available - 2 * reserve;
		limit += MIN(excess / 2, max - MIN(limit, max));
	}
	return MAX(MIN(limit, max), CACHE_BYTES_MIN);
}

static bool
read_meminfo(struct meminfo *info)
{
	char text[512];
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return false;
	text[n] = '\0';
	return meminfo_parse(text, info);
}

static void
look(void *arg)
{
	struct dozo *d = arg;
	struct cache_stats stats;
	struct meminfo info;
	uint64_t limit;

	cache_get_stats(d->cache, &stats);
	if (read_meminfo(&info)) {
		limit = memory_limit(&info, stats.limit, stats.used,
		    stats.max);
		if (limit != stats.limit)
			cache_set_limit(d->cache, limit);
		if (limit < stats.limit && stats.limit == stats.max)
			log_info("memory is short, the cache gives some back");
	}
	timer_start(d->loop, &d->memory_timer, MEMORY_MS, look, d);
}

void
memory_start(struct dozo *d)
{
	uint64_t bytes = d->conf.cache_bytes;
	struct meminfo info;
	char text[32];

	assert(d->cache == NULL && d->loop != NULL);
	if (bytes == CONF_CACHE_AUTO)
		bytes = read_meminfo(&info) ? memory_auto(&info) : 0;
	if (bytes == 0)
		return;
	d->cache = cache_new(d->loop, bytes);
	if (d->cache == NULL) {
		log_warn("there is no memory for a cache of %s; going on "
		    "without", size_print(bytes, text, sizeof(text)));
		return;
	}
	timer_start(d->loop, &d->memory_timer, MEMORY_MS, look, d);
}

void
memory_stop(struct dozo *d)
{
	if (d->cache == NULL)
		return;
	timer_stop(d->loop, &d->memory_timer);
	cache_free(d->cache);
	d->cache = NULL;
}
