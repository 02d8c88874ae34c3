// SPDX-License-Identifier: Apache-2.0
// Datagrams of the clients of one published UDP port, on behalf of host/run/relay.c.
#ifndef HOST_RUN_RELAY_UDP_H
#define HOST_RUN_RELAY_UDP_H

#include <netinet/in.h>

#include "host/base/util.h"

/* What epoll tells of, first in whatever it is of. */
struct sh_watched {
    void (*ready)(struct sh_watched *w); /* NULL: the relay's own, of TCP */
};

union sh_address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};
static inline socklen_t sh_address_size(const union sh_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof(a->six) : sizeof(a->four);
}

/* Listens at `at` and sends to `to`, from a socket a client, so that answers find
 * back; of more clients than SH_RELAY_UDP_CLIENTS the one that was silent longest gives place. It
 * stays until the process ends. False: it cannot (errno). */
#define SH_RELAY_UDP_CLIENTS 256u
bool sh_relay_udp_open(int poll_fd, const union sh_address *at, const struct sockaddr_in *to);

#endif
