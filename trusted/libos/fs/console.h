// SPDX-License-Identifier: Apache-2.0
// Terminals whose other end is the host: it gives bytes of a keyboard and takes what is shown.
#ifndef LIBOS_CONSOLE_H
#define LIBOS_CONSOLE_H

#include "trusted/libos/fs/tty.h"

/* A terminal on two handles of the host, with its name in /dev/pts, owned by uid, and the thread
 * that takes its input. NULL: no memory, or the handles are others'.
 */
struct tty *console_new(int32_t input, int32_t output, uint32_t uid);
void console_close(struct tty *t); /* shows what is left and gives the handles back */
void console_show(struct tty *t);  /* returns when the host has all that was written */

#endif
