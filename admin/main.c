/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dozod: options, signals, daemon life.  SIGTERM and SIGINT stop cleanly,
 * SIGHUP reads the log level anew.
 */
#include "config.h"

#define LOG_AREA LOG_ADMIN
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/dozo.h"
#include "admin/notify.h"
#include "admin/startup.h"
#include "core/log.h"

#define DEFAULT_CONF SYSCONFDIR "/dozo/dozo.conf"

#define YOUNG_S 120		/* uptime of a machine that has just started */
#define SETTLE_MS 10000u	/* then so long is waited for its disks */

struct daemon {
	struct dozo dozo;
	struct timer watchdog;
	uint64_t watchdog_ms;
	bool foreground;
	int ready_fd;			/* the parent waits for a byte */
};

static const char usage_text[] =
"usage: dozod [-fhV] [-c FILE] [--fault-injection]\n"
"\n"
"Serve iSCSI targets from pools of disks.\n"
"\n"
"  -c, --config FILE      bootstrap configuration\n"
"                         (default " DEFAULT_CONF ")\n"
"  -f, --foreground       stay in the foreground\n"
"      --fault-injection  allow `dozoctl disk fault`; for tests only\n"
"  -V, --version          print the version\n"
"  -h, --help             print this\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "foreground", no_argument, NULL, 'f' },
	{ "fault-injection", no_argument, NULL, 'F' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* Before there is a log: what, why, what to do. */
static int
complain(const struct err *err)
{
	fprintf(stderr, "dozod: %s\n", err->text);
	if (err->hint[0] != '\0')
		fprintf(stderr, "  %s\n", err->hint);
	return 1;
}

static void
on_stop(void *arg)
{
	struct daemon *daemon = arg;

	log_info("stopping");
	notify_send("STOPPING=1");
	loop_stop(daemon->dozo.loop);
}

static void
on_hangup(void *arg)
{
	struct daemon *daemon = arg;
	struct conf *conf = calloc(1, sizeof(*conf));
	struct err err = { 0 };

	if (conf == NULL)
		return;
	if (conf_read(conf, daemon->dozo.conf_path, &err) != 0) {
		log_err("%s", err.text);
	} else {
		daemon->dozo.conf.log_level = conf->log_level;
		log_set_level(conf->log_level);
		log_info("the log level was read anew");
	}
	free(conf);
	dozo_power(&daemon->dozo, false);
}

static void
on_power_failure(void *arg)
{
	struct daemon *daemon = arg;

	dozo_power(&daemon->dozo, true);
}

static void
on_watchdog(void *arg)
{
	struct daemon *daemon = arg;

	notify_send("WATCHDOG=1");
	timer_start(daemon->dozo.loop, &daemon->watchdog, daemon->watchdog_ms,
	    on_watchdog, daemon);
}

/*
 * Go to the background; the parent ends when the daemon serves, with its
 * result.  Returns in the child only.
 */
static int
go_background(struct daemon *daemon, struct err *err)
{
	int fds[2];
	char ok = 1;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		return err_set(err, errno, "cannot go to the background: %s",
		    strerror(errno));
	if (pid > 0) {
		close(fds[1]);
		_exit(read(fds[0], &ok, 1) == 1 ? ok : 1);
	}
	close(fds[0]);
	setsid();
	daemon->ready_fd = fds[1];
	return 0;
}

static void
tell_ready(struct daemon *daemon)
{
	const char ok = 0;
	int fd;

	notify_send("READY=1");
	if (daemon->foreground)
		return;
	if (write(daemon->ready_fd, &ok, 1) != 1)
		log_warn("the parent process has gone");
	close(daemon->ready_fd);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		close(fd);
	}
	if (chdir("/") != 0)
		log_warn("cannot change to /: %s", strerror(errno));
}

/* A machine that has just started may not have found all its disks yet. */
static unsigned
settle_ms(void)
{
	struct timespec up;

	if (clock_gettime(CLOCK_BOOTTIME, &up) != 0)
		return 0;
	return up.tv_sec < YOUNG_S ? SETTLE_MS : 0;
}

static int
serve(struct daemon *daemon)
{
	struct dozo *d = &daemon->dozo;
	struct err err = { 0 };
	int r;

	d->settle_ms = settle_ms();
	r = dozo_start(d, &err);
	if (r == 0 && (loop_on_signal(d->loop, SIGTERM, on_stop, daemon) != 0 ||
	    loop_on_signal(d->loop, SIGINT, on_stop, daemon) != 0 ||
	    loop_on_signal(d->loop, SIGHUP, on_hangup, daemon) != 0 ||
	    loop_on_signal(d->loop, SIGPWR, on_power_failure, daemon) != 0))
		r = err_set(&err, EIO, "cannot watch for signals");
	if (r != 0) {
		complain(&err);
		dozo_stop(d);
		return 1;
	}
	daemon->watchdog_ms = notify_watchdog_ms();
	if (daemon->watchdog_ms > 0)
		on_watchdog(daemon);
	tell_ready(daemon);
	log_info("dozod " PACKAGE_VERSION " serves %u targets",
	    d->doc->ntargets);
	loop_run(d->loop);
	timer_stop(d->loop, &daemon->watchdog);
	dozo_stop(d);
	return 0;
}

int
main(int argc, char **argv)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	const char *path = DEFAULT_CONF;
	struct err err = { 0 };
	int c, r;

	if (daemon == NULL)
		return 1;
	while ((c = getopt_long(argc, argv, "c:fhV", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'f':
			daemon->foreground = true;
			break;
		case 'F':
			daemon->dozo.fault_injection = true;
			break;
		case 'V':
			printf("dozod " PACKAGE_VERSION "\n");
			free(daemon);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			free(daemon);
			return 0;
		default:
			fputs(usage_text, stderr);
			free(daemon);
			return 2;
		}
	}
	r = conf_read(&daemon->dozo.conf, path, &err);
	snprintf(daemon->dozo.conf_path, sizeof(daemon->dozo.conf_path), "%s",
	    path);
	log_set_level(daemon->dozo.conf.log_level);
	log_set_journal(getenv("JOURNAL_STREAM") != NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (r == 0 && !daemon->foreground)
		r = go_background(daemon, &err);
	r = r != 0 ? complain(&err) : serve(daemon);
	free(daemon);
	return r;
}
