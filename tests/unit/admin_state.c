/* SPDX-License-Identifier: BSD-2-Clause */
/* The state directory: replaced as a whole or not at all, locked, bounded. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/state.h"

static char dir[64];

static int
make_dir(void **state)
{
	struct state *st;
	struct err err = { 0 };

	snprintf(dir, sizeof(dir), "/tmp/dozo-state-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(state_open(dir, &st, &err), 0);
	*state = st;
	return 0;
}

static int
remove_dir(void **state)
{
	char command[128];

	state_close(*state);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void
put(struct state *st, const char *name, const char *text)
{
	assert_int_equal(state_write(st, name, text, strlen(text), NULL), 0);
}

static void
same(struct state *st, const char *name, const char *text)
{
	char *got;
	size_t len;

	assert_int_equal(state_read(st, name, &got, &len, NULL), 0);
	assert_int_equal(len, strlen(text));
	assert_string_equal(got, text);
	free(got);
}

static void
files_are_replaced_and_read_back(void **state)
{
	struct stat sb;
	char path[128], *got;
	size_t len;

	assert_int_equal(state_read(*state, "none", &got, &len, NULL),
	    -ENOENT);
	assert_null(got);
	put(*state, "a", "one");
	put(*state, "a", "");
	same(*state, "a", "");
	put(*state, "pr/x", "two");
	same(*state, "pr/x", "two");
	snprintf(path, sizeof(path), "%s/a", dir);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	assert_int_equal(state_remove(*state, "a", NULL), 0);
	assert_int_equal(state_remove(*state, "a", NULL), 0);
	assert_int_equal(state_read(*state, "a", &got, &len, NULL), -ENOENT);
}

static void
a_write_that_fails_leaves_the_old_file(void **state)
{
	struct err err = { 0 };
	char path[128];

	put(*state, "a", "old");
	/* The temporary file cannot be made where a directory is. */
	snprintf(path, sizeof(path), "%s/a.new", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(state_write(*state, "a", "new", 3, &err), -EISDIR);
	assert_non_null(strstr(err.text, "cannot write"));
	same(*state, "a", "old");
}

static void
the_lock_names_its_holder(void **state)
{
	struct err err = { 0 };
	struct state *second;
	char pid[32];

	(void)state;
	assert_int_equal(state_open(dir, &second, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
	assert_non_null(strstr(err.text, pid));
	assert_true(err.hint[0] != '\0');
}

static void
a_clean_end_is_told_from_a_kill(void **state)
{
	struct err err = { 0 };
	char path[128];
	int fd;

	assert_false(state_was_killed(*state));
	state_close(*state);
	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_WRONLY);
	assert_int_equal(write(fd, "1234\n", 5), 5);
	close(fd);
	assert_int_equal(state_open(dir, (struct state **)state, &err), 0);
	assert_true(state_was_killed(*state));
}

static void
history_keeps_the_last_ones(void **state)
{
	uint64_t kept[STATE_HISTORY + 8];
	char text[32], name[48];
	unsigned n;

	for (unsigned i = 1; i <= STATE_HISTORY + 5; i++) {
		snprintf(text, sizeof(text), "generation %u", i);
		assert_int_equal(state_write_config(*state, i - 1, text,
		    strlen(text), NULL), 0);
	}
	same(*state, "config.json", text);
	n = state_history(*state, kept, STATE_HISTORY + 8);
	assert_int_equal(n, STATE_HISTORY);
	assert_int_equal(kept[n - 1], STATE_HISTORY + 4);
	state_history_name(kept[0], name, sizeof(name));
	snprintf(text, sizeof(text), "generation %u", (unsigned)kept[0]);
	same(*state, name, text);
}

static void
a_directory_that_cannot_be_is_named(void **state)
{
	struct err err = { 0 };
	struct state *st;
	char path[128];

	put(*state, "file", "x");
	snprintf(path, sizeof(path), "%s/file/sub", dir);
	assert_int_equal(state_open(path, &st, &err), -ENOTDIR);
	assert_null(st);
	assert_non_null(strstr(err.text, "file"));
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		TEST(files_are_replaced_and_read_back),
		TEST(a_write_that_fails_leaves_the_old_file),
		TEST(the_lock_names_its_holder),
		TEST(a_clean_end_is_told_from_a_kill),
		TEST(history_keeps_the_last_ones),
		TEST(a_directory_that_cannot_be_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
