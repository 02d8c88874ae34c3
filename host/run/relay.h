// SPDX-License-Identifier: Apache-2.0
// IPv6 in front of published TCP ports. Back ends publish on IPv4 addresses only: a process beside
// them listens on the IPv6 ones, and passes each connection on to the IPv4 port.
#ifndef HOST_RUN_RELAY_H
#define HOST_RUN_RELAY_H

#include "host/launch/launch.h"

/* The ports as a back end is to publish them, in `inner` (count of them): one of an IPv6 address
 * becomes a free one of 127.0.0.1. 0 or -errno with the sentence. */
int sh_relay_inner(const struct sh_port *ports, size_t count, struct sh_port *inner,
                   struct sh_error *err);

/* Starts the process: [::] where a port is published on all addresses (and IPv6 is there), and IPv6
 * addresses themselves. It ends with its parent, and holds none of its descriptors. Its pid; 0
 * where nothing is to be done; or -errno. */
pid_t sh_relay_start(const struct sh_port *ports, const struct sh_port *inner, size_t count);

#endif
