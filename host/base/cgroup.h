// SPDX-License-Identifier: Apache-2.0
// A cgroup for one child: it can be seen, limited and killed as a whole, and takes no more memory
// and threads of this machine than it was given. Below the caller's own; an ordinary user needs a
// delegated one. Children are made in it. What limits there is version 1's, where version 2 has not
// the controllers (hybrid hierarchies); moving there takes the kernel some 20 ms, so it is done
// beside the child, which is limited a moment after it has started.
#ifndef HOST_BASE_CGROUP_H
#define HOST_BASE_CGROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SH_CGROUP_OLDER 2
struct sh_cgroup {
    char *folder;                 /* NULL: there is none */
    int fd;                       /* of the folder; -1 */
    char *older[SH_CGROUP_OLDER]; /* likewise of version 1: memory, pids */
    bool limited;
    bool moving; /* `mover` was started */
    pthread_t mover;
};

/* Makes it, or takes what is left of an earlier one of this name. Limits, in bytes and threads,
 * hold where the controllers may be used. False: it could not be made. */
bool sh_cgroup_make(struct sh_cgroup *c, const char *name, uint64_t memory, uint64_t threads);

/* fork with the flags of clone(2) for namespaces, into the cgroup (NULL: the caller's). Where the
 * kernel cannot put it there, it stays in the caller's. */
pid_t sh_cgroup_fork(const struct sh_cgroup *c, uint64_t flags);

/* Once a child is in it: limits of version 1 count from a moment later on, for all that is in it.
 * Returns at once: a thread does it, to which `c` belongs until sh_cgroup_remove. */
void sh_cgroup_settle(struct sh_cgroup *c);

/* Ends what is left in it, and waits for that, a second at most. */
void sh_cgroup_remove(struct sh_cgroup *c);

/* Of a supervisor that was killed, and could not remove it: goes where it is empty and below the
 * caller's own cgroup. */
void sh_cgroup_forget(const char *name);

#endif
