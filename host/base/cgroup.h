// SPDX-License-Identifier: Apache-2.0
// A cgroup for one child: it can be seen, limited and killed as a whole, and takes no more memory
// and threads of this machine than it was given. Below the caller's own, in version 2 where that
// may be written, and in version 1's hierarchies of pids and memory. An ordinary user needs a
// delegated one.
#ifndef HOST_BASE_CGROUP_H
#define HOST_BASE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/util.h"

struct sh_cgroup {
    struct sh_strings folders; /* one for each hierarchy; none: there is no cgroup */
};

/* Makes it, or takes what is left of an earlier one of this name. Limits, in bytes and threads,
 * hold where this hierarchy has the controller; 0: none. False: nothing could be made. */
bool sh_cgroup_make(struct sh_cgroup *c, const char *name, uint64_t memory, uint64_t threads);

/* The calling process goes there, with all that it makes later. 0 or -errno. */
int sh_cgroup_enter(const struct sh_cgroup *c);

/* Ends what is left in it, and waits for that, a second at most. */
void sh_cgroup_remove(struct sh_cgroup *c);

#endif
