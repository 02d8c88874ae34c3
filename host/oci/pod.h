// SPDX-License-Identifier: Apache-2.0
// A pod whose containers share one machine (annotation io.shelter.pod: its image, made by
// build --container). The machine's supervisor is the sandbox's process; it starts with the first
// container and ends with the sandbox. A container's process only carries stdio and signals: the
// host starts what the image's manifest names, and chooses nothing else.
//
//   $ROOT/SANDBOX/pod       socket on which the sandbox's process waits for the first container
//   $ROOT/SANDBOX/machine   the instance's id, once it is prepared
#ifndef HOST_OCI_POD_H
#define HOST_OCI_POD_H

#include "host/oci/bundle.h"
#include "host/oci/container.h"
#include "host/run/instance.h"
#include "host/store/store.h"

struct oci_pod {
    const char *image;        /* reference in the store; NULL: it has a TEE of its own */
    const char *container;    /* name in the image */
    char id[SH_ID_TEXT_SIZE]; /* the image's; oci_pod_check fills it */
};

/* What the annotations say. -EINVAL where they do not fit together. */
int oci_pod_find(const struct oci_bundle *b, struct oci_pod *pod, struct sh_error *err);

/* Does the image have this container, with what the engine asks for? -EPERM with the sentence. */
int oci_pod_check(struct oci_pod *pod, const struct oci_bundle *b, struct sh_error *err);

/* The machine of the bundle's sandbox, started if need be: its instance's id, which is the
 * caller's. It runs the image that was checked. */
int oci_pod_machine(const struct oci_runtime *rt, const struct oci_pod *pod,
                    const struct oci_bundle *b, char **instance, struct sh_error *err);

/* The sandbox's side: the listening socket, or -errno; */
int oci_pod_listen(const struct oci_container *sandbox, struct sh_error *err);
/* who asks there, as JSON with image, tee, broker, resolver, memory, cpus; NULL: nobody who may; */
cJSON *oci_pod_accept(int listen_fd, int *fd);
/* the answer to it: an instance's id, or the sentence. Returns the code that was told, which is
 * another where the id cannot be written down for those that come later. */
int oci_pod_answer(int fd, const struct oci_container *sandbox, int code, const char *text);

/* The id of a sandbox's machine, which is the caller's; NULL: it has none. */
char *oci_pod_instance(const struct oci_container *sandbox);

#endif
