// SPDX-License-Identifier: Apache-2.0
// The process that owns an instance's child (QEMU, or the enclave loader): starts it, carries its
// streams, keeps its state.
#ifndef HOST_RUN_SUPERVISOR_H
#define HOST_RUN_SUPERVISOR_H

#include "host/run/instance.h"

/* What a supervisor needs; all of it stays owned by the caller, who keeps it alive. */
struct sh_launch_plan {
    struct sh_store *store;
    struct sh_instance *instance;
    int lock_fd;                 /* held */
    int image_fd;                /* shared lock on the image, kept while the child lives */
    struct sh_launch_spec *spec; /* prepared; its sockets are filled in here */
    bool discard_failed; /* remove the instance if its workload never ran and the command that
                          * started it was told so */
};

/* Forks the supervisor away (own session, cwd /, stdio on /dev/null) and gives back, in *client_fd,
 * a connection that already is what `input` asks for: an ATTACH (host/run/control.h) with or
 * without stdin when `attach`, else a WAIT. The caller's lock_fd is closed. */
int sh_supervisor_start(struct sh_launch_plan *plan, bool attach, bool input, int *client_fd,
                        struct sh_error *err);

/* The calling process becomes the supervisor: for a container's process, which an engine started
 * and waits for. `first_fd` is the supervisor's end of a stream socket pair, whose other end is a
 * client as above. Returns the workload's exit status when it ended and the client was served; by
 * then all other descriptors are closed and stdio is /dev/null. */
int sh_supervisor_become(struct sh_launch_plan *plan, int first_fd, bool attach, bool input);

/* For an instance that is not there yet (host/run/pool.h): the calling process becomes its
 * supervisor, with its id alone in plan->instance, and starts a child that waits (spec->hold).
 * `keep` stays open; keep[0] tells of the pool's end by POLLERR. 0 once the child waits, or -errno.
 */
int sh_supervisor_hold(struct sh_launch_plan *plan, const int keep[2], struct sh_error *err);
/* Until `fd` is readable (then fd), or pool or child ended, or somebody ends us (-1). */
int sh_supervisor_wait(int fd, int pool_fd);
/* Ends the child that waits. */
void sh_supervisor_drop(void);
/* The instance is there, in the same plan: the child goes on, and the rest is as in become. */
int sh_supervisor_release(int first_fd, bool attach, bool input);

#endif
