/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of the state directory, replaced atomically: temporary file, fsync,
 * rename, fsync of the directory.
 *
 * Invariants: config.json is complete at every instant or absent before the
 * first change; only the process that holds the lock writes; files are 0600
 * because the document holds CHAP secrets.
 */
#include "config.h"

#include "admin/state.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"

#define FILE_MAX ((off_t)(16 * MIB))	/* more is none of ours */
#define HISTORY_SCAN 4096u

struct state {
	char *dir;
	int dirfd, lockfd;
	bool locked;			/* the lock is ours */
	bool was_killed;
};

static int
state_err(struct err *err, int code, const char *verb, const char *dir,
    const char *name)
{
	assert(code > 0);
	err_set(err, code, "cannot %s %s%s%s: %s", verb, dir,
	    name[0] != '\0' ? "/" : "", name, strerror(code));
	if (code == EACCES || code == EPERM)
		err_hint(err, "Give the daemon's user access to the state "
		    "directory, or set state-directory in dozo.conf.");
	else if (code == ENOSPC || code == EDQUOT)
		err_hint(err, "Free space on the file system of %s.", dir);
	else if (code == EROFS)
		err_hint(err, "Mount the file system of %s read-write.", dir);
	return -code;
}

/* mkdir -p, the last component 0700. */
static int
make_dirs(const char *dir, struct err *err)
{
	char *copy = strdup(dir);
	int r = 0;

	if (copy == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (char *p = copy + 1; r == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, c == '\0' ? 0700 : 0755) != 0 &&
		    errno != EEXIST)
			r = state_err(err, errno, "make", copy, "");
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return r;
}

static int
take_lock(struct state *st, struct err *err)
{
	char pid[24] = "";
	ssize_t n;

	assert(st->dirfd >= 0 && !st->locked);
	st->lockfd = openat(st->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC,
	    0600);
	if (st->lockfd < 0)
		return state_err(err, errno, "open", st->dir, "lock");
	if (flock(st->lockfd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return state_err(err, errno, "lock", st->dir, "lock");
		n = pread(st->lockfd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
		err_set(err, EBUSY, "the state directory %s is in use by "
		    "another dozod (pid %s)", st->dir,
		    pid[0] != '\0' ? pid : "unknown");
		err_hint(err, "Stop that one first, or give this one its own "
		    "state-directory.");
		return -EBUSY;
	}
	st->locked = true;
	st->was_killed = pread(st->lockfd, pid, 1, 0) == 1;
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(st->lockfd, 0) != 0 ||
	    pwrite(st->lockfd, pid, (size_t)n, 0) != n)
		return state_err(err, errno != 0 ? errno : EIO, "write",
		    st->dir, "lock");
	return 0;
}

int
state_open(const char *dir, struct state **out, struct err *err)
{
	struct state *st = calloc(1, sizeof(*st));
	int r;

	assert(dir[0] == '/');
	*out = NULL;
	if (st == NULL || (st->dir = strdup(dir)) == NULL) {
		free(st);
		return err_set(err, ENOMEM, "out of memory");
	}
	st->lockfd = -1;
	st->dirfd = -1;
	r = make_dirs(dir, err);
	if (r == 0) {
		st->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (st->dirfd < 0)
			r = state_err(err, errno, "open", dir, "");
	}
	if (r == 0)
		r = take_lock(st, err);
	if (r == 0 && ((mkdirat(st->dirfd, "history", 0700) != 0 &&
	    errno != EEXIST) || (mkdirat(st->dirfd, "pr", 0700) != 0 &&
	    errno != EEXIST) || (mkdirat(st->dirfd, "scrub", 0700) != 0 &&
	    errno != EEXIST)))
		r = state_err(err, errno, "write to", dir, "");
	if (r != 0) {
		state_close(st);
		return r;
	}
	*out = st;
	return 0;
}

void
state_close(struct state *st)
{
	if (st == NULL)
		return;
	/* An empty lock file is the sign of a clean end. */
	if (st->locked && ftruncate(st->lockfd, 0) != 0)
		st->locked = false;	/* the next start is slower */
	if (st->lockfd >= 0)
		close(st->lockfd);
	if (st->dirfd >= 0)
		close(st->dirfd);
	free(st->dir);
	free(st);
}

bool
state_was_killed(const struct state *st)
{
	return st->was_killed;
}

const char *
state_dir(const struct state *st)
{
	return st->dir;
}

static int
read_all(int fd, char *text, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int
state_read(struct state *st, const char *name, char **text, size_t *len,
    struct err *err)
{
	struct stat sb;
	int fd, r = 0;

	assert(name[0] != '/' && st->locked);
	*text = NULL;
	*len = 0;
	fd = openat(st->dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &sb) != 0)
		r = -errno;
	else if (!S_ISREG(sb.st_mode) || sb.st_size > FILE_MAX)
		r = -EFBIG;
	else if ((*text = calloc(1, (size_t)sb.st_size + 1)) == NULL)
		r = -ENOMEM;
	else
		r = read_all(fd, *text, (size_t)sb.st_size);
	if (fd >= 0)
		close(fd);
	if (r != 0) {
		free(*text);
		*text = NULL;
		return state_err(err, -r, "read", st->dir, name);
	}
	*len = (size_t)sb.st_size;
	return 0;
}

static int
write_all(int fd, const char *text, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* The directory that `name` is in, synced. */
static int
sync_dir(struct state *st, const char *name)
{
	const char *slash = strchr(name, '/');
	char sub[32];
	int fd, r;

	if (slash == NULL)
		return fsync(st->dirfd) != 0 ? -errno : 0;
	assert((size_t)(slash - name) < sizeof(sub));
	memcpy(sub, name, (size_t)(slash - name));
	sub[slash - name] = '\0';
	fd = openat(st->dirfd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) != 0 ? -errno : 0;
	close(fd);
	return r;
}

static int
write_temp(struct state *st, const char *temp, const void *text, size_t len)
{
	int fd, r;

	assert(st->locked && temp[0] != '/');
	fd = openat(st->dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, len);
	if (r == 0 && fsync(fd) != 0)
		r = -errno;
	if (close(fd) != 0 && r == 0)
		r = -errno;
	return r;
}

int
state_write(struct state *st, const char *name, const void *text, size_t len,
    struct err *err)
{
	char temp[128];
	int r;

	assert(strlen(name) + 5 < sizeof(temp));
	snprintf(temp, sizeof(temp), "%s.new", name);
	r = write_temp(st, temp, text, len);
	if (r == 0 && renameat(st->dirfd, temp, st->dirfd, name) != 0)
		r = -errno;
	if (r == 0)
		r = sync_dir(st, name);
	if (r != 0) {
		unlinkat(st->dirfd, temp, 0);
		return state_err(err, -r, "write", st->dir, name);
	}
	return 0;
}

int
state_remove(struct state *st, const char *name, struct err *err)
{
	int r;

	assert(st->locked && name[0] != '/');
	if (unlinkat(st->dirfd, name, 0) != 0)
		return errno == ENOENT ? 0 :
		    state_err(err, errno, "remove", st->dir, name);
	r = sync_dir(st, name);
	return r != 0 ? state_err(err, -r, "sync", st->dir, name) : 0;
}

void
state_history_name(uint64_t generation, char *name, size_t size)
{
	snprintf(name, size, "history/%08" PRIu64 ".json", generation);
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

unsigned
state_history(struct state *st, uint64_t *generations, unsigned max)
{
	unsigned n = 0;
	int fd = openat(st->dirfd, "history",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	assert(max > 0);
	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (n < max && (entry = readdir(dir)) != NULL) {
		char *end;
		uint64_t generation = strtoull(entry->d_name, &end, 10);

		if (end != entry->d_name && strcmp(end, ".json") == 0)
			generations[n++] = generation;
	}
	closedir(dir);
	qsort(generations, n, sizeof(*generations), compare_u64);
	return n;
}

/* Best effort: too long a history does no harm. */
static void
prune_history(struct state *st)
{
	uint64_t *generations = calloc(HISTORY_SCAN, sizeof(*generations));
	unsigned n;

	if (generations == NULL)
		return;
	n = state_history(st, generations, HISTORY_SCAN);
	for (unsigned i = 0; i + STATE_HISTORY < n; i++) {
		char name[48];

		state_history_name(generations[i], name, sizeof(name));
		unlinkat(st->dirfd, name, 0);
	}
	free(generations);
}

int
state_write_config(struct state *st, uint64_t old_generation,
    const char *text, size_t len, struct err *err)
{
	char name[48];
	int r;

	assert(len > 0 && st->locked);
	state_history_name(old_generation, name, sizeof(name));
	/* The old document is never away: a second link, then the rename. */
	unlinkat(st->dirfd, name, 0);
	if (linkat(st->dirfd, "config.json", st->dirfd, name, 0) != 0 &&
	    errno != ENOENT)
		return state_err(err, errno, "write", st->dir, name);
	r = sync_dir(st, name);
	if (r != 0)
		return state_err(err, -r, "sync", st->dir, "history");
	r = state_write(st, "config.json", text, len, err);
	if (r == 0)
		prune_history(st);
	return r;
}
