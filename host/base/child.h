// SPDX-License-Identifier: Apache-2.0
// Starts a program as a child that cannot outlive its supervisor.
#ifndef HOST_BASE_CHILD_H
#define HOST_BASE_CHILD_H

#include "host/base/cgroup.h"
#include "host/base/util.h"
#include "host/base/walls.h"

/* What is raised around a program that raises nothing itself. */
struct sh_child_walls {
    struct sh_wall_view view; /* all that it sees of this machine's files */
    uid_t uid;                /* whom it runs as where root starts it */
    gid_t gid;
    bool required;    /* a wall that cannot be raised is an error */
    unsigned missing; /* filled in: bit n: wall n could not be raised */
};

struct sh_child {
    pid_t pid;      /* 0: there is none */
    int pid_fd;     /* readable when it ended */
    int stderr_fd;  /* what it says, non-blocking */
    int exec_errno; /* why it could not be executed; 0 otherwise */
};

/* Starts argv, argv[0] an absolute path, with exactly the descriptors `keep` besides stdio (0 and
 * 1: /dev/null), without any environment, in `cgroup` (NULL: the caller's) and behind `walls`
 * (NULL: it is not confined from outside). Returns when it has been executed, or could not be:
 * -errno with the sentence, and exec_errno where the program is to blame. The caller reaps the
 * process and closes the descriptors. */
int sh_child_start(char *const *argv, const int *keep, size_t keep_count,
                   const struct sh_cgroup *cgroup, struct sh_child_walls *walls,
                   struct sh_child *child, struct sh_error *err);

/* The process that somebody stopped (SIGSTOP), of the child and all below it; 0: none. */
pid_t sh_child_stopped(pid_t pid);

#endif
