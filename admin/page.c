/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting and watching dozo-webui.
 *
 * Invariants: at most one child; between its end and the next start there is
 * a pause that doubles from PAUSE_MIN_MS to PAUSE_MAX_MS and starts over once
 * a child has lived for STEADY_NS; the child runs as PAGE_USER (or nobody) if
 * we may change user (root, or the unit's capability), with the group of the
 * control socket and no capability; it ends with us.  Between fork() and
 * exec() only calls that are safe there.
 *
 * The child gets its program, its directory and that of the socket as open
 * descriptors: their paths may lead through directories that it may not enter.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"

#define PAGE_USER "dozo-webui"
#define PAGE_PROGRAM "dozo-webui"
#define PAUSE_MIN_MS 100u
#define PAUSE_MAX_MS 10000u
#define ALIVE_NS (3 * NSEC_PER_SEC)	/* then it has started */
#define STEADY_NS (60 * NSEC_PER_SEC)
#define FDS_MAX 4096
#define SOCKET_DIR_FD 3		/* in the child */
#define STATE_FD 4

struct page {
	struct dozo *dozo;
	struct timer again;
	pid_t pid;			/* 0 = none */
	uint64_t start_ns;
	unsigned pause_ms;
	unsigned short_lives;		/* in a row, of less than ALIVE_NS */
	bool may_become;		/* uid and gid */
	uid_t uid;
	gid_t gid, socket_gid;
	int program_fd, state_fd, socket_dir_fd;	/* O_PATH, -1 */
	char program[300], state[220], port[8];
	char socket_arg[140], state_arg[24];
	const char *argv[16];
};

/* Next to dozod, as in a build tree, or where it was installed. */
static void
find_program(struct page *page)
{
	ssize_t n = readlink("/proc/self/exe", page->program,
	    sizeof(page->program) - sizeof(PAGE_PROGRAM) - 1);
	char *slash;

	page->program[n > 0 ? n : 0] = '\0';
	slash = strrchr(page->program, '/');
	if (slash != NULL)
		memcpy(slash + 1, PAGE_PROGRAM, sizeof(PAGE_PROGRAM));
}

static void
make_argv(struct page *page)
{
	const struct conf *conf = &page->dozo->conf;
	unsigned n = 0;

	snprintf(page->port, sizeof(page->port), "%u", conf->page_port);
	page->argv[n++] = PAGE_PROGRAM;
	page->argv[n++] = "--socket";
	page->argv[n++] = page->socket_arg;
	page->argv[n++] = "--state";
	page->argv[n++] = page->state_arg;
	page->argv[n++] = "--port";
	page->argv[n++] = page->port;
	if (conf->page_address[0] != '\0') {
		page->argv[n++] = "--listen";
		page->argv[n++] = conf->page_address;
	}
	if (conf->page_name[0] != '\0') {
		page->argv[n++] = "--name";
		page->argv[n++] = conf->page_name;
	}
	if (getenv("JOURNAL_STREAM") != NULL)
		page->argv[n++] = "--journal";
	assert(n < nitems(page->argv));
	page->argv[n] = NULL;
}

/* Open what the child needs, and how it is called there. */
static void
open_paths(struct page *page)
{
	const char *socket = page->dozo->conf.control_socket;
	const char *slash = strrchr(socket, '/');
	char dir[sizeof(page->dozo->conf.control_socket)];

	assert(slash != NULL);
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - socket), socket);
	page->program_fd = open(page->program, O_PATH | O_CLOEXEC);
	page->state_fd = open(page->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	page->socket_dir_fd = open(dir[0] != '\0' ? dir : "/", O_PATH |
	    O_DIRECTORY | O_CLOEXEC);
	snprintf(page->socket_arg, sizeof(page->socket_arg),
	    "/proc/self/fd/%d/%s", SOCKET_DIR_FD, slash + 1);
	snprintf(page->state_arg, sizeof(page->state_arg),
	    "/proc/self/fd/%d", STATE_FD);
}

static bool
may_change_user(void)
{
	return geteuid() == 0 || prctl(PR_CAP_AMBIENT,
	    PR_CAP_AMBIENT_IS_SET, CAP_SETUID, 0, 0) == 1;
}

/* The child's directory is its own; it may pass through ours. */
static void
give_state(const struct page *page)
{
	struct stat st;

	if (chmod(page->dozo->conf.state_dir, 0711) != 0)
		log_err("page: %s: %s", page->dozo->conf.state_dir,
		    strerror(errno));
	if (stat(page->state, &st) == 0 && st.st_uid == page->uid)
		return;
	if (chown(page->state, page->uid, page->gid) != 0)
		log_err("page: %s does not belong to " PAGE_USER ": %s; "
		    "remove it and run systemd-tmpfiles --create",
		    page->state, strerror(errno));
}

/* Who the child will be, and its directory. */
static void
prepare(struct page *page)
{
	const struct passwd *pw = getpwnam(PAGE_USER);
	struct stat st;

	page->may_become = may_change_user();
	if (pw == NULL)
		pw = getpwnam("nobody");
	page->uid = pw != NULL ? pw->pw_uid : 65534;
	page->gid = pw != NULL ? pw->pw_gid : 65534;
	page->socket_gid = page->gid;
	if (stat(page->dozo->conf.control_socket, &st) == 0)
		page->socket_gid = st.st_gid;
	snprintf(page->state, sizeof(page->state), "%s/webui",
	    page->dozo->conf.state_dir);
	if (mkdir(page->state, 0700) != 0 && errno != EEXIST)
		log_err("page: %s: %s", page->state, strerror(errno));
	if (page->may_become)
		give_state(page);
}

/* In the child: never returns. */
static _Noreturn void
become_page(const struct page *page)
{
	int program = fcntl(page->program_fd, F_DUPFD_CLOEXEC, STATE_FD + 1);
	int state = fcntl(page->state_fd, F_DUPFD_CLOEXEC, STATE_FD + 1);
	int dir = fcntl(page->socket_dir_fd, F_DUPFD_CLOEXEC, STATE_FD + 1);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int fd = 3; fd < FDS_MAX; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (dup2(dir, SOCKET_DIR_FD) < 0 || dup2(state, STATE_FD) < 0)
		_exit(126);
	if (page->may_become && (setgroups(1, &page->socket_gid) != 0 ||
	    setgid(page->gid) != 0 || setuid(page->uid) != 0))
		_exit(126);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		_exit(126);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 && getppid() != 1)
		fexecve(program, (char **)(uintptr_t)page->argv, environ);
	_exit(127);
}

static void
spawn(void *arg)
{
	struct page *page = arg;

	assert(page->pid == 0);
	page->start_ns = loop_now(page->dozo->loop);
	page->pid = fork();
	if (page->pid == 0)
		become_page(page);
	if (page->pid < 0) {
		log_err("page: cannot start: %s", strerror(errno));
		page->pid = 0;
		timer_start(page->dozo->loop, &page->again, PAUSE_MAX_MS,
		    spawn, page);
	}
}

/* SIGCHLD */
static void
on_child(void *arg)
{
	struct page *page = arg;
	uint64_t lived_ns;
	int status;

	if (page->pid == 0 ||
	    waitpid(page->pid, &status, WNOHANG) != page->pid)
		return;
	page->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		log_err("page: %s cannot be run", page->program);
	else
		log_err("page: ended with %s %d", WIFSIGNALED(status) ?
		    "signal" : "status", WIFSIGNALED(status) ?
		    WTERMSIG(status) : WEXITSTATUS(status));
	if (page->dozo->stopping)
		return;
	lived_ns = loop_now(page->dozo->loop) - page->start_ns;
	page->short_lives = lived_ns < ALIVE_NS ? page->short_lives + 1 : 0;
	if (lived_ns >= STEADY_NS)
		page->pause_ms = PAUSE_MIN_MS;
	timer_start(page->dozo->loop, &page->again, page->pause_ms, spawn,
	    page);
	page->pause_ms = MIN(page->pause_ms * 2, PAUSE_MAX_MS);
}

void
page_start(struct dozo *d)
{
	struct page *page;

	assert(d->page == NULL);
	if (d->conf.page_port == 0)
		return;
	page = calloc(1, sizeof(*page));
	if (page == NULL) {
		log_err("page: out of memory");
		return;
	}
	page->dozo = d;
	page->pause_ms = PAUSE_MIN_MS;
	d->page = page;
	find_program(page);
	prepare(page);
	open_paths(page);
	make_argv(page);
	if (loop_on_signal(d->loop, SIGCHLD, on_child, page) != 0) {
		log_err("page: cannot watch for signals");
		return;
	}
	spawn(page);
}

bool
page_fails(const struct dozo *d)
{
	const struct page *page = d->page;

	if (page == NULL || page->short_lives < 2)
		return false;		/* once may happen */
	return page->pid == 0 ||
	    loop_now(d->loop) - page->start_ns < ALIVE_NS;
}

void
page_stop(struct dozo *d)
{
	struct page *page = d->page;

	int fds[3];

	if (page == NULL)
		return;
	fds[0] = page->program_fd;
	fds[1] = page->state_fd;
	fds[2] = page->socket_dir_fd;
	timer_stop(d->loop, &page->again);
	if (page->pid != 0) {
		kill(page->pid, SIGTERM);
		/* It has nothing to save: a moment, then by force. */
		for (unsigned i = 0; i < 100; i++) {
			if (waitpid(page->pid, NULL, WNOHANG) != 0) {
				page->pid = 0;
				break;
			}
			usleep(10000);
		}
	}
	if (page->pid != 0) {
		kill(page->pid, SIGKILL);
		waitpid(page->pid, NULL, 0);
	}
	for (size_t i = 0; i < nitems(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(page);
	d->page = NULL;
}
