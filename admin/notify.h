/* SPDX-License-Identifier: BSD-2-Clause */
/* Tell systemd how we are: sd_notify(3) by datagram. */
#ifndef ADMIN_NOTIFY_H
#define ADMIN_NOTIFY_H

#include <stdint.h>

/* Harmless without NOTIFY_SOCKET.  "READY=1", "STOPPING=1", "STATUS=..." */
void notify_send(const char *state);
/* Half of WATCHDOG_USEC in ms, 0 = no watchdog. */
uint64_t notify_watchdog_ms(void);

#endif
