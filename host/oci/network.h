// SPDX-License-Identifier: Apache-2.0
// The container's network namespace, in which its process already is: the interface that the engine
// put there, and for a machine a way to it. Inside an enclave its address is the program's; its
// sockets are made in the namespace.
#ifndef HOST_OCI_NETWORK_H
#define HOST_OCI_NETWORK_H

#include "host/base/util.h"

struct oci_network {
    char name[16];
    char mac[18];
    char text[128]; /* as `network` of a launch config: "ADDRESS/LENGTH[,GATEWAY[,DNS]]" */
};

/* The first interface besides loopback with an IPv4 address. False: there is none. `resolver`: a
 * numeric address, or NULL. */
bool oci_network_find(const char *resolver, struct oci_network *n);

/* A TAP device joined to that interface by the kernel's traffic control (both ways redirected, as
 * Kata's tcfilter does): what reaches the interface reaches the machine, which has its MAC and
 * address. The descriptor, or -errno. */
int oci_network_tap(const struct oci_network *n, struct sh_error *err);

#endif
