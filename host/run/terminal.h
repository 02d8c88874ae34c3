// SPDX-License-Identifier: Apache-2.0
// The user's terminal: raw while a workload has it, and as before on every way out.
#ifndef HOST_RUN_TERMINAL_H
#define HOST_RUN_TERMINAL_H

#include "host/base/util.h"

/* Are stdin and stdout terminals? */
bool sh_terminal_here(void);

/* May we read from stdin now, or are we a background job of its terminal? */
bool sh_terminal_foreground(void);

/* Makes stdin's terminal raw (nothing when it is none); restored by sh_terminal_restore and at
 * exit. */
void sh_terminal_raw(void);
void sh_terminal_restore(void);

/* Rows and columns, 0 and 0 when stdout and stdin are no terminal. */
void sh_terminal_size(uint16_t *rows, uint16_t *columns);

#endif
