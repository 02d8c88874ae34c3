// SPDX-License-Identifier: Apache-2.0
// The payload of SH_FRAME_EXEC (<shelter/channel.h>).
#ifndef HOST_RUN_EXEC_REQUEST_H
#define HOST_RUN_EXEC_REQUEST_H

#include "host/run/frames.h"

struct sh_exec_request {
    enum sh_exec_kind kind;
    bool tty;
    char **args;
    size_t arg_count;
    struct sh_strings env;
    const char *workdir, *user; /* empty: as the workload's */
};

/* Appends the EXEC frame for the supervisor. -E2BIG with the sentence when it does not fit. */
int sh_exec_request_put(struct sh_fifo *out, const struct sh_exec_request *request,
                        struct sh_error *err);

#endif
