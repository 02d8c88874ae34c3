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
    uint8_t address[4], mac_bytes[6];
    bool gateway, holds_host; /* SH_NET_HOST would be one of its neighbours */
    char text[128]; /* as `network` of a launch config: "ADDRESS/LENGTH[,GATEWAY[,DNS]]" */
};

/* The first interface besides loopback with an IPv4 address. False: there is none. `resolver`: a
 * numeric address, or NULL. */
bool oci_network_find(const char *resolver, struct oci_network *n);

/* A TAP device joined to that interface by the kernel's traffic control (both ways redirected, as
 * Kata's tcfilter does): what reaches the interface reaches the machine, which has its MAC and
 * address. The descriptor, or -errno. */
int oci_network_tap(const struct oci_network *n, struct sh_error *err);

/* TCP from 127.0.0.1 to itself goes to that TAP device, and what comes back from there to the
 * loopback: engines forward a port of a pod there (kubectl port-forward), where a machine's program
 * does not listen. host/launch/qemu/frame.c changes the addresses. False: this kernel cannot, or
 * the machine could not answer, for it has no way to SH_NET_HOST; nothing is left then. What has
 * 127.0.0.0/8 as its source on the wire does not reach the machine: it would be taken for the
 * loopback's. */
bool oci_network_loopback(const struct oci_network *n);

/* The machine has ended: what was set up for it is taken away once the TAP device has gone, unless
 * the next machine has one. What is left nevertheless, the next machine's start takes away. */
void oci_network_leave(const struct oci_network *n);

#endif
