// SPDX-License-Identifier: Apache-2.0
// Starts QEMU as a child that cannot outlive its supervisor.
#ifndef HOST_RUN_CHILD_H
#define HOST_RUN_CHILD_H

#include "host/base/util.h"

struct sh_child {
    pid_t pid;
    int pid_fd;    /* readable when it ended */
    int stderr_fd; /* what it says, non-blocking */
};

/* Starts argv with exactly the descriptors `keep` besides
 * stdio. Returns when it has been executed, or could not be (-errno with the sentence). */
int sh_child_start(char *const *argv, const int *keep, size_t keep_count, struct sh_child *qemu,
                  struct sh_error *err);

#endif
