// SPDX-License-Identifier: Apache-2.0
// What SH_FRAME_EXEC asks for, taken apart. Both TEEs read it with this; the host wrote it.
#ifndef LIB_EXEC_H
#define LIB_EXEC_H

#include <stddef.h>
#include <stdint.h>

#include <shelter/channel.h>

struct sh_exec {
    struct sh_exec_head head;
    const char *args, *env;     /* head.arg_count and env_count strings, one after the other */
    const char *workdir, *user; /* "": as the workload's */
};

/* Takes a payload apart; x points into data. 0 or -EBADMSG. */
int sh_exec_parse(struct sh_exec *x, const uint8_t *data, size_t size);

#endif
