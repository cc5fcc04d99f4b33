/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of histories, played one after the other in one process. */
#ifndef TESTS_SIM_MEM_H
#define TESTS_SIM_MEM_H

#include <stdbool.h>

/*
 * Forget all that was allocated since the last call; nothing may point there
 * any more.  False: memory is libc's and stays, so a process should play one
 * history only.
 */
bool mem_reset(void);

#endif
