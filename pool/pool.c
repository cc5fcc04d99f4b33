/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names, policies, information, and what the ops of this folder share.
 */
#include "pool/pool_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const policy_names[] = {
	[WRITE_DURABLE] = "durable",
	[WRITE_THROUGH] = "writethrough",
	[WRITE_BACK] = "writeback",
};

const char *
write_policy_name(enum write_policy policy)
{
	assert((unsigned)policy < nitems(policy_names));
	return policy_names[policy];
}

int
write_policy_parse(const char *text, enum write_policy *policy)
{
	for (unsigned i = 0; i < nitems(policy_names); i++) {
		if (strcmp(text, policy_names[i]) == 0) {
			*policy = (enum write_policy)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool
pool_name_ok(const char *name, struct err *err)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (name[len] == '\0' && len >= 1 && len <= POOL_NAME_MAX)
		return true;
	err_set(err, EINVAL, "\"%.80s\" cannot be a name", name);
	err_hint(err, "Use 1 to %d of the characters a-z, 0-9 and -.",
	    POOL_NAME_MAX);
	return false;
}

const char *
pool_size_text(uint64_t bytes, char text[POOL_SIZE_TEXT])
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB",
		"TiB", "PiB", "EiB" };
	uint64_t v = bytes, tenths = 0;
	unsigned i = 0;

	for (; v >= 1024; v /= 1024, i++)
		tenths = v % 1024 * 10 / 1024;
	assert(i < nitems(units));
	if (tenths > 0 && v < 100)
		snprintf(text, POOL_SIZE_TEXT, "%" PRIu64 ".%" PRIu64 " %s", v,
		    tenths, units[i]);
	else
		snprintf(text, POOL_SIZE_TEXT, "%" PRIu64 " %s", v, units[i]);
	return text;
}

void
pool_get_info(const struct pool *pool, struct pool_info *info)
{
	uint64_t used = table_extents_used(&pool->table);

	memset(info, 0, sizeof(*info));
	memcpy(info->name, pool->label.name, sizeof(info->name));
	memcpy(info->uuid, pool->label.uuid, sizeof(info->uuid));
	info->extent_bytes = pool->label.extent_bytes;
	info->size = (uint64_t)pool->label.extents * info->extent_bytes;
	info->used = used * info->extent_bytes;
	info->free = info->size - info->used;
	info->volumes = pool->table.nvolumes;
	info->generation = pool->table.generation;
}

struct volume *
pool_volume_by_name(struct pool *pool, const char *name)
{
	int i = table_find_name(&pool->table, name);

	return i < 0 ? NULL : pool->volumes[i];
}

struct volume *
pool_volume_by_uuid(struct pool *pool, const uint8_t uuid[16])
{
	int i = table_find_uuid(&pool->table, uuid);

	return i < 0 ? NULL : pool->volumes[i];
}

struct volume *
pool_volume_next(struct pool *pool, const struct volume *volume)
{
	unsigned i = 0;

	if (volume != NULL) {
		assert(volume->pool == pool);
		assert(pool->volumes[volume->index] == volume);
		i = volume->index + 1;
	}
	return i < pool->table.nvolumes ? pool->volumes[i] : NULL;
}

void
pool_lock_init(struct pool_lock *lock)
{
	lock->held = false;
	op_queue_init(&lock->waiters);
}

void
pool_lock_take(struct pool_lock *lock, struct op *op)
{
	if (lock->held)
		op_wait(&lock->waiters, op);
	else
		lock->held = true;
}

/* The lock passes to the oldest waiter without being free in between. */
void
pool_lock_drop(struct pool_lock *lock)
{
	assert(lock->held);
	if (!op_wake(&lock->waiters))
		lock->held = false;
}

uint8_t *
pool_buf_new(size_t len)
{
	uint8_t *buf = aligned_alloc(POOL_BLOCK, len);

	assert(len > 0 && len % POOL_BLOCK == 0);
	if (buf != NULL)
		memset(buf, 0, len);
	return buf;
}

void
pool_io(struct blk *blk, struct io *io, struct iovec *iov, enum io_kind kind,
    uint64_t off, void *buf, size_t len, unsigned flags, struct op *op)
{
	assert(off % POOL_BLOCK == 0 && len % POOL_BLOCK == 0);
	*iov = (struct iovec){ .iov_base = buf, .iov_len = len };
	io_init(io, kind, off, len, buf != NULL ? iov : NULL, buf != NULL,
	    flags);
	blk_submit(blk, io, op);
}

/* A random UUID of version 4. */
void
pool_uuid_new(struct loop *loop, uint8_t uuid[16])
{
	loop_random(loop, uuid, 16);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}
