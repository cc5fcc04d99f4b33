/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The array engine from the command line, for round trips with kernel md.
 *
 *	raidtool [-dx] [-c CHUNK] [-l LAYOUT] [-p POLICY] COMMAND IMAGE...
 *	create			make an array; "missing" stands for no member
 *	write=FILE[@OFFSET]	write the file's bytes to the array
 *	read=FILE		dump the whole array into the file
 *	refuse=N@OFFSET+LEN	from now on image N fails writes there
 *	fail=ROLE		treat that member as faulty
 *	add=IMAGE		give the array one more disk
 *	use=OFFSET+LEN		a rebuild takes these bytes of the array first
 *	replace=ROLE:IMAGE	give it one to replace that member by copy
 *	policy=POLICY		change the consistency policy
 *	wait=MS			do nothing for a while
 *	settle			wait until a resync or rebuild has ended
 *	info			print what the array says of itself
 * Several commands may be given, joined with commas.  -d starts although an
 * expected member is missing; -x crashes: exits without stopping the array.
 * What cannot be read or written is told in blocks of 4 KiB, read as zeroes,
 * and makes the exit status 1; the rest is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "raid/raid.h"

#define PIECE ((size_t)1 << 20)
#define BLOCK ((size_t)4096)

struct tool {
	struct loop *loop;
	struct raid *raid;
	struct raid_spec spec;
	bool degraded, crash, lost;
	uint64_t used, used_end;
	struct blk *blks[RAID_MEMBERS_MAX * 2];
	unsigned nblks;
};

struct tool_io {
	struct op op;
	struct blk *blk;
	struct io io;
	struct iovec iov;
	struct loop *loop;
	struct timer timer;
	unsigned wait_ms;
};

static void
die(const struct err *err)
{
	fprintf(stderr, "raidtool: %s%s%s\n", err->text,
	    err->hint[0] != '\0' ? "; " : "", err->hint);
	exit(1);
}

static void
die_errno(const char *what)
{
	fprintf(stderr, "raidtool: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
tool_io_run(struct op *op)
{
	struct tool_io *t = op_owner(op, struct tool_io);

	if (op->step++ > 0)
		op_end(op);
	else if (t->blk != NULL)
		blk_submit(t->blk, &t->io, op);
	else
		op_sleep(t->loop, &t->timer, t->wait_ms, op);
}

static const struct op_type tool_io_type = {
	.name = "raidtool", .run = tool_io_run,
};

static int
try_io(struct tool *tool, enum io_kind kind, uint64_t off, void *buf,
    size_t len)
{
	struct tool_io t = { .blk = raid_blk(tool->raid) };

	t.iov = (struct iovec){ buf, len };
	io_init(&t.io, kind, off, len, &t.iov, 1, 0);
	op_start(&t.op, &tool_io_type, loop_sched(tool->loop), NULL);
	loop_run_op(tool->loop, &t.op);
	return t.io.result;
}

static void
do_io(struct tool *tool, enum io_kind kind, uint64_t off, uint8_t *buf,
    size_t len)
{
	if (try_io(tool, kind, off, buf, len) == 0)
		return;
	for (size_t at = 0, n; at < len; at += n) {
		int result;

		n = MIN(len - at, BLOCK - (off + at) % BLOCK);
		result = try_io(tool, kind, off + at, buf + at, n);
		if (result == 0)
			continue;
		printf("%s of %zu at %llu: %s\n", io_kind_name(kind), n,
		    (unsigned long long)(off + at), strerror(-result));
		if (kind == IO_READ)
			memset(buf + at, 0, n);
		tool->lost = true;
	}
}

static void
cmd_create(struct tool *tool)
{
	struct raid_create create = { .loop = tool->loop, .spec = tool->spec };

	create.spec.members = tool->nblks;
	for (unsigned i = 0; i < tool->nblks && i < RAID_MEMBERS_MAX; i++)
		create.members[i] = tool->blks[i];
	raid_create_start(&create, NULL);
	loop_run_op(tool->loop, &create.op);
	if (create.raid == NULL)
		die(&create.err);
	tool->raid = create.raid;
}

static void
assemble(struct tool *tool)
{
	struct raid_assemble a = { .loop = tool->loop,
		.allow_degraded = tool->degraded };

	for (unsigned i = 0; i < tool->nblks; i++)
		if (tool->blks[i] != NULL)
			a.blks[a.nblks++] = tool->blks[i];
	raid_assemble_start(&a, NULL);
	loop_run_op(tool->loop, &a.op);
	for (unsigned i = 0; i < a.nrejected; i++)
		fprintf(stderr, "raidtool: %s refused: %s\n",
		    a.rejected[i].blk->name, a.rejected[i].why.text);
	if (a.raid == NULL)
		die(&a.err);
	tool->raid = a.raid;
}

static void
cmd_write(struct tool *tool, char *arg)
{
	char *at = strrchr(arg, '@');
	uint64_t off = at != NULL ? strtoull(at + 1, NULL, 0) : 0;
	uint8_t *buf = aligned_alloc(4096, PIECE);
	ssize_t n;
	int fd;

	if (at != NULL)
		*at = '\0';
	fd = open(arg, O_RDONLY);
	if (fd < 0 || buf == NULL)
		die_errno(arg);
	while ((n = read(fd, buf, PIECE)) > 0) {
		size_t len = round_up((uint64_t)n, 512);

		memset(buf + n, 0, len - (size_t)n);
		do_io(tool, IO_WRITE, off, buf, len);
		off += len;
	}
	if (n < 0)
		die_errno(arg);
	close(fd);
	free(buf);
}

static void
cmd_read(struct tool *tool, const char *path)
{
	uint64_t size = raid_blk(tool->raid)->geo.size;
	uint8_t *buf = aligned_alloc(4096, PIECE);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0 || buf == NULL)
		die_errno(path);
	for (uint64_t off = 0; off < size; off += PIECE) {
		size_t len = (size_t)MIN(size - off, (uint64_t)PIECE);

		do_io(tool, IO_READ, off, buf, len);
		if (write(fd, buf, len) != (ssize_t)len)
			die_errno(path);
	}
	close(fd);
	free(buf);
}

static void
cmd_refuse(struct tool *tool, char *arg)
{
	struct fault_rule rule = { .action = FAULT_ERROR, .err = EIO,
		.kinds = 1u << IO_WRITE };
	unsigned n;

	if (sscanf(arg, "%u@%" SCNu64 "+%" SCNu64, &n, &rule.off,
	    &rule.len) != 3 || n >= tool->nblks || tool->blks[n] == NULL)
		exit(2);
	if (blk_fault_add(tool->blks[n], &rule) < 0)
		die_errno(arg);
}

static void
cmd_fail(struct tool *tool, const char *arg)
{
	struct raid_fail fail = { .raid = tool->raid,
		.role = (unsigned)strtoul(arg, NULL, 0) };

	raid_fail_start(&fail, NULL);
	loop_run_op(tool->loop, &fail.op);
	if (err_is(&fail.err))
		die(&fail.err);
}

static void
cmd_add(struct tool *tool, const char *path)
{
	struct raid_add add = { .raid = tool->raid };
	struct err err = { 0 };

	if (blk_file_open(tool->loop, path, false, &add.blk, &err) < 0)
		die(&err);
	raid_add_start(&add, NULL);
	loop_run_op(tool->loop, &add.op);
	if (err_is(&add.err))
		die(&add.err);
}

static uint64_t
next_used(void *arg, uint64_t off, uint64_t *end)
{
	const struct tool *tool = arg;

	*end = tool->used_end;
	return off < tool->used_end ? MAX(off, tool->used) : UINT64_MAX;
}

static void
cmd_use(struct tool *tool, const char *arg)
{
	char *len;

	tool->used = strtoull(arg, &len, 0);
	if (*len != '+')
		exit(2);
	tool->used_end = tool->used + strtoull(len + 1, NULL, 0);
	raid_set_used(tool->raid, next_used, tool);
}

static void
cmd_replace(struct tool *tool, char *arg)
{
	char *path = strchr(arg, ':');
	struct err err = { 0 };

	if (path == NULL)
		exit(2);
	*path++ = '\0';
	cmd_add(tool, path);
	if (raid_replace(tool->raid, (unsigned)strtoul(arg, NULL, 0), path,
	    &err) < 0)
		die(&err);
}

static void
cmd_policy(struct tool *tool, const char *arg)
{
	struct raid_convert convert = { .raid = tool->raid };

	if (raid_policy_parse(arg, &convert.policy) < 0)
		exit(2);
	raid_convert_start(&convert, NULL);
	loop_run_op(tool->loop, &convert.op);
	if (err_is(&convert.err))
		die(&convert.err);
}

static void
do_wait(struct tool *tool, unsigned ms)
{
	struct tool_io t = { .loop = tool->loop, .wait_ms = ms };

	op_start(&t.op, &tool_io_type, loop_sched(tool->loop), NULL);
	loop_run_op(tool->loop, &t.op);
}

static bool
settled(const struct raid_info *info)
{
	for (unsigned i = 0; i < info->nmembers; i++)
		if (info->member[i].state == RAID_MEMBER_REBUILDING ||
		    info->member[i].state == RAID_MEMBER_REPLACING)
			return info->failed;
	return info->clean || info->failed;
}

static void
cmd_settle(struct tool *tool)
{
	struct raid_info info;

	raid_get_info(tool->raid, &info);
	while (!settled(&info)) {
		do_wait(tool, 50);
		raid_get_info(tool->raid, &info);
	}
}

static void
cmd_info(struct tool *tool)
{
	struct raid_info info;

	raid_get_info(tool->raid, &info);
	printf("%s size %llu chunk %u layout %d policy %s events %llu %s "
	    "degraded %u\n", info.spec.name, (unsigned long long)info.size,
	    info.spec.chunk_bytes, (int)info.spec.layout,
	    raid_policy_name(info.spec.policy),
	    (unsigned long long)info.events, info.clean ? "clean" : "dirty",
	    info.degraded);
	for (unsigned i = 0; i < info.nmembers; i++)
		printf("%d %s %s\n", info.member[i].role,
		    raid_member_state_name(info.member[i].state),
		    info.member[i].path);
}

static void
run_command(struct tool *tool, char *cmd)
{
	char *arg = strchr(cmd, '=');

	if (arg != NULL)
		*arg++ = '\0';
	if (strcmp(cmd, "create") == 0 && tool->raid == NULL) {
		cmd_create(tool);
		return;
	}
	if (tool->raid == NULL)
		assemble(tool);
	if (strcmp(cmd, "write") == 0 && arg != NULL)
		cmd_write(tool, arg);
	else if (strcmp(cmd, "read") == 0 && arg != NULL)
		cmd_read(tool, arg);
	else if (strcmp(cmd, "refuse") == 0 && arg != NULL)
		cmd_refuse(tool, arg);
	else if (strcmp(cmd, "fail") == 0 && arg != NULL)
		cmd_fail(tool, arg);
	else if (strcmp(cmd, "add") == 0 && arg != NULL)
		cmd_add(tool, arg);
	else if (strcmp(cmd, "use") == 0 && arg != NULL)
		cmd_use(tool, arg);
	else if (strcmp(cmd, "replace") == 0 && arg != NULL)
		cmd_replace(tool, arg);
	else if (strcmp(cmd, "policy") == 0 && arg != NULL)
		cmd_policy(tool, arg);
	else if (strcmp(cmd, "wait") == 0 && arg != NULL)
		do_wait(tool, (unsigned)strtoul(arg, NULL, 0));
	else if (strcmp(cmd, "settle") == 0)
		cmd_settle(tool);
	else if (strcmp(cmd, "info") == 0)
		cmd_info(tool);
	else {
		fprintf(stderr, "raidtool: no command %s\n", cmd);
		exit(2);
	}
}

static void
open_images(struct tool *tool, char **paths, int n)
{
	struct err err = { 0 };

	for (int i = 0; i < n && i < RAID_MEMBERS_MAX * 2; i++) {
		struct blk **blk = &tool->blks[tool->nblks++];

		*blk = NULL;
		if (strcmp(paths[i], "missing") == 0)
			continue;
		if (blk_file_open(tool->loop, paths[i], false, blk, &err) < 0)
			die(&err);
		*blk = blk_fault_new(*blk);
		if (*blk == NULL)
			die_errno(paths[i]);
	}
}

static void
stop(struct tool *tool)
{
	struct raid_stop op = { .raid = tool->raid };

	raid_stop_start(&op, NULL);
	loop_run_op(tool->loop, &op.op);
	if (err_is(&op.err))
		die(&op.err);
}

int
main(int argc, char **argv)
{
	struct tool tool = { .spec = { .name = "dozo:test", .level = 5,
		.layout = RAID_LEFT_SYMMETRIC, .chunk_bytes = 65536 } };
	struct err err = { 0 };
	int opt;

	while ((opt = getopt(argc, argv, "c:l:p:dx")) >= 0) {
		if (opt == 'c')
			tool.spec.chunk_bytes =
			    (uint32_t)strtoul(optarg, NULL, 0);
		else if (opt == 'l')
			tool.spec.layout =
			    (enum raid_layout)strtoul(optarg, NULL, 0);
		else if (opt == 'd')
			tool.degraded = true;
		else if (opt == 'x')
			tool.crash = true;
		else if (opt != 'p' ||
		    raid_policy_parse(optarg, &tool.spec.policy) < 0)
			return 2;
	}
	if (argc - optind < 2)
		return 2;
	tool.loop = loop_new(&err);
	if (tool.loop == NULL)
		die(&err);
	open_images(&tool, argv + optind + 1, argc - optind - 1);
	for (char *cmd = strtok(argv[optind], ","); cmd != NULL;
	    cmd = strtok(NULL, ","))
		run_command(&tool, cmd);
	fflush(stdout);
	if (tool.crash)
		_exit(tool.lost ? 1 : 0);
	stop(&tool);
	loop_free(tool.loop);
	return tool.lost ? 1 : 0;
}
