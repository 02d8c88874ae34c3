// SPDX-License-Identifier: Apache-2.0
// In front of published ports. Back ends publish a port of the inside once, on an IPv4 address: a
// process beside them listens on the IPv6 ones and where a port is published again, and passes each
// connection and datagram on.
#ifndef HOST_RUN_RELAY_H
#define HOST_RUN_RELAY_H

#include "host/launch/launch.h"

/* The ports as a back end is to publish them, in `inner` (room for count of them): each of the
 * inside once; one of an IPv6 address becomes a free one of 127.0.0.1. 0 or -errno with the
 * sentence. */
int sh_relay_inner(const struct sh_port *ports, size_t count, struct sh_port *inner,
                   size_t *inner_count, struct sh_error *err);

/* Starts the process: [::] where a port is published on all addresses (and IPv6 is there), IPv6
 * addresses themselves, and what sh_relay_inner left out. It ends with its parent, and holds none
 * of its descriptors. Its pid; 0 where nothing is to be done; or -errno. */
pid_t sh_relay_start(const struct sh_port *ports, size_t count, const struct sh_port *inner,
                     size_t inner_count);

#endif
