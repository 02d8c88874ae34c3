// SPDX-License-Identifier: Apache-2.0
// The container's process on the host, which the engine sees and waits for. It has the stdio that
// the engine gave to `create`, joins the container's groups and network, prepares the instance,
// waits for `start`, and becomes the supervisor. A child of it carries stdio. When it dies, enclave
// or machine die with it; its exit status is the workload's.
#ifndef HOST_OCI_PROCESS_H
#define HOST_OCI_PROCESS_H

#include "host/oci/bundle.h"
#include "host/oci/container.h"

struct oci_start {
    const struct oci_runtime *rt;
    struct oci_bundle *bundle;
    const struct oci_container *container;
    const char *image;          /* reference in the store */
    const char *console_socket; /* NULL: stdio as it is */
    cJSON *cgroups;
    /* Of a container in its pod's machine (host/oci/pod.h): the instance, and its name there. */
    const char *machine, *container_name;
};

/* Starts the process; returns when its instance is prepared (its id, owned by the caller, in
 * *instance). Until a byte is written to *go_fd it dies with the caller. -errno with its sentence,
 * and then it is gone. */
int oci_process_create(const struct oci_start *s, pid_t *pid, int *go_fd, char **instance,
                       struct sh_error *err);

/* Starts a program in the running container: a process that carries its stdio and ends with its
 * exit status. `socket`: as above. Returns when the program runs, or never will. */
int oci_process_exec(const struct oci_container *c, const struct oci_process *p, const char *socket,
                     pid_t *pid, struct sh_error *err);

/* A new terminal as stdio of the calling process, which must lead a session; its master goes to the
 * engine over the socket (SCM_RIGHTS), as runc does. */
int oci_console_open(const char *socket, uint16_t rows, uint16_t columns, struct sh_error *err);

/* What a container in its pod's machine uses there: memory_bytes, memory_peak_bytes,
 * memory_limit_bytes, cpu_ns, processes, as far as there are such; the caller's, or NULL. */
cJSON *oci_process_count(const struct oci_container *c, struct sh_error *err);

#endif
