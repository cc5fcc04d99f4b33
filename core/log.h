/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logging to stderr, one line each, with fixed keys in the text (conn= sess=
 * lun= op= pool= member=).  Each call site is rate limited; what was dropped
 * is counted in the next line.  A file names its area first:
 *	#define LOG_AREA LOG_RAID
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_area {
	LOG_CORE, LOG_BLOCK, LOG_RAID, LOG_POOL, LOG_ISCSI, LOG_SCSI,
	LOG_ADMIN, LOG_WEBUI, LOG_AREAS
};

enum log_level { LOG_L_ERR, LOG_L_WARN, LOG_L_INFO, LOG_L_DEBUG };

struct log_site {
	uint64_t window_ns;
	unsigned count, dropped;
};

void log_write(struct log_site *site, enum log_area area,
    enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Is debug on for this area?  Switchable while running. */
extern bool log_debug_on[LOG_AREAS];
int log_area_by_name(const char *name);		/* -1 if unknown */
const char *log_area_name(enum log_area area);
/*
 * Where lines go besides stderr, for `dozoctl events` and tests; NULL stops.
 */
void log_set_sink(void (*sink)(void *arg, enum log_level level,
    enum log_area area, const char *text), void *arg);
/* stderr gets lines up to this level; default LOG_L_INFO. */
void log_set_level(enum log_level level);
/* Prefix lines with "<n>" priorities for the journal instead of a time. */
void log_set_journal(bool on);

#define LOG_AT(level, ...) do {						\
	static struct log_site log_site_;				\
	log_write(&log_site_, LOG_AREA, level, __VA_ARGS__);		\
} while (0)
#define log_err(...) LOG_AT(LOG_L_ERR, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_L_WARN, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_L_INFO, __VA_ARGS__)
#define log_debug(...) do {						\
	if (log_debug_on[LOG_AREA])					\
		LOG_AT(LOG_L_DEBUG, __VA_ARGS__);			\
} while (0)

#endif
