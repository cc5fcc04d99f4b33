/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers: a latency histogram of 64 steps per power of two, and what /proc
 * says about the server and the machine.
 */
#include "bench/load.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned
bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < HIST_SUB)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
	return (shift + 1) * HIST_SUB + (unsigned)(ns >> shift) - HIST_SUB;
}

void
hist_add(struct hist *hist, uint64_t ns)
{
	unsigned i = bucket_of(ns);

	hist->count[i < HIST_BUCKETS ? i : HIST_BUCKETS - 1]++;
	hist->total++;
}

double
hist_us(const struct hist *hist, double quantile)
{
	uint64_t want = (uint64_t)((double)hist->total * quantile), seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		unsigned shift = i / HIST_SUB == 0 ? 0 : i / HIST_SUB - 1;
		uint64_t base = i % HIST_SUB + (i < HIST_SUB ? 0 : HIST_SUB);

		seen += hist->count[i];
		if (seen > want)
			return (double)(base << shift) / 1000.0;
	}
	return 0;
}

static void
thread_read(pid_t pid, const char *tid, struct proc_stat *stat)
{
	char path[320], line[256];
	uint64_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, tid);
	f = fopen(path, "r");
	if (f != NULL) {
		if (fscanf(f, "%" SCNu64, &n) == 1)
			stat->cpu_ns += n;
		fclose(f);
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, tid);
	f = fopen(path, "r");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &n) == 1)
			stat->switches += n;
		if (sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64,
		    &n) == 1)
			stat->switches += n;
		if (sscanf(line, "VmRSS: %" SCNu64, &n) == 1)
			stat->rss_kib = n;
	}
	fclose(f);
}

void
proc_read(pid_t pid, struct proc_stat *stat)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	memset(stat, 0, sizeof(*stat));
	if (pid == 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (dir == NULL)
		die("server process %d is gone", pid);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			thread_read(pid, entry->d_name, stat);
	}
	closedir(dir);
}

uint64_t
machine_busy_ns(void)
{
	uint64_t v[8] = { 0 }, busy = 0;
	FILE *f = fopen("/proc/stat", "r");

	if (f == NULL)
		return 0;
	/* user nice system idle iowait irq softirq steal */
	if (fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	    " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &v[0], &v[1],
	    &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) == 8)
		busy = v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
	fclose(f);
	return busy * (uint64_t)(1000000000 / sysconf(_SC_CLK_TCK));
}
