// SPDX-License-Identifier: Apache-2.0
// A cgroup (version 2) for one child: it can be seen, limited and killed as a whole, and takes no
// more memory and threads of this machine than it was given. Below the caller's own; an ordinary
// user needs a delegated one. Children are made in it, since moving there takes the kernel some 20
// ms.
#ifndef HOST_BASE_CGROUP_H
#define HOST_BASE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sh_cgroup {
    char *folder; /* NULL: there is none */
    int fd;       /* of the folder; -1 */
};

/* Makes it, or takes what is left of an earlier one of this name. Limits, in bytes and threads,
 * hold where the controllers may be used. False: it could not be made. */
bool sh_cgroup_make(struct sh_cgroup *c, const char *name, uint64_t memory, uint64_t threads);

/* fork with the flags of clone(2) for namespaces, into the cgroup (NULL: the caller's). Where the
 * kernel cannot put it there, it stays in the caller's. */
pid_t sh_cgroup_fork(const struct sh_cgroup *c, uint64_t flags);

/* Ends what is left in it, and waits for that, a second at most. */
void sh_cgroup_remove(struct sh_cgroup *c);

#endif
