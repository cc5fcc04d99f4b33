/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting and watching dozo-webui.
 *
 * Invariants: at most one child; between its end and the next start there is
 * a pause that doubles from PAUSE_MIN_MS to PAUSE_MAX_MS and starts over once
 * a child has lived for STEADY_NS; the child runs as PAGE_USER (or nobody) if
 * we are root, with the group of the control socket and nothing else; it ends
 * with us.  Between fork() and exec() only calls that are safe there.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include "admin/page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#define STEADY_NS (60 * NSEC_PER_SEC)
#define FDS_MAX 4096

struct page {
	struct dozo *dozo;
	struct timer again;
	pid_t pid;			/* 0 = none */
	uint64_t start_ns;
	unsigned pause_ms;
	bool as_root;			/* we are: become uid and gid */
	uid_t uid;
	gid_t gid, socket_gid;
	char program[300], state[220], port[8];
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
	page->argv[n++] = conf->control_socket;
	page->argv[n++] = "--state";
	page->argv[n++] = page->state;
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

/* Who the child will be, and its directory. */
static void
prepare(struct page *page)
{
	const struct passwd *pw = getpwnam(PAGE_USER);
	struct stat st;

	page->as_root = geteuid() == 0;
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
	/* It must reach its own directory, not look into ours. */
	if (page->as_root &&
	    (chmod(page->dozo->conf.state_dir, 0711) != 0 ||
	    chown(page->state, page->uid, page->gid) != 0))
		log_err("page: %s: %s", page->state, strerror(errno));
}

/* In the child: never returns. */
static _Noreturn void
become_page(const struct page *page)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int fd = 3; fd < FDS_MAX; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (page->as_root && (setgroups(1, &page->socket_gid) != 0 ||
	    setgid(page->gid) != 0 || setuid(page->uid) != 0))
		_exit(126);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 && getppid() != 1)
		execv(page->program, (char **)(uintptr_t)page->argv);
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
	if (loop_now(page->dozo->loop) - page->start_ns >= STEADY_NS)
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
	make_argv(page);
	if (loop_on_signal(d->loop, SIGCHLD, on_child, page) != 0) {
		log_err("page: cannot watch for signals");
		return;
	}
	spawn(page);
}

void
page_stop(struct dozo *d)
{
	struct page *page = d->page;

	if (page == NULL)
		return;
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
	free(page);
	d->page = NULL;
}
