// SPDX-License-Identifier: Apache-2.0
// Where a workload's packets may go: one rule for enclaves and machines. Both have the addresses of
// <shelter/network.h>, and whoever makes their connections asks here first.
//
// Never: loopback, link-local (the clouds' metadata services with it), metadata services elsewhere,
// multicast, broadcast, "any", and their IPv6 forms. The host itself, 10.0.2.2, only as struct
// sh_egress says. Its name server, 10.0.2.3, at port 53. Everything else: yes.
#ifndef HOST_BASE_EGRESS_H
#define HOST_BASE_EGRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An address of the internet. IPv4 is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct sh_egress_end {
    uint8_t address[16];
    uint16_t port; /* 0: there is no such end */
};

struct sh_egress {
    bool host_loopback;          /* --network host-loopback: 10.0.2.2 is the host's loopback */
    struct sh_egress_end broker; /* what -i names, whatever it is; host's loopback as 10.0.2.2 */
};

/* Parses "IPv4:PORT" or "[IPv6]:PORT". 0 or -EINVAL. */
int sh_egress_parse(const char *text, struct sh_egress_end *end);

/* To this address? `port` 0: a protocol without ports, or not known. */
bool sh_egress_allows(const struct sh_egress *e, const uint8_t address[16], uint16_t port);

/* The same for a socket's address of `size` bytes; other families than IPv4 and IPv6: no.
 * `published`: the socket is that of a published UDP port. */
bool sh_egress_allows_socket(const struct sh_egress *e, const void *address, socklen_t size,
                             bool published);

/* May a published UDP port send there what sh_egress_allows refuses? To the host's ephemeral ports:
 * its own programs ask from those. (An answer by TCP is part of a connection that was taken.) */
bool sh_egress_is_answer(const uint8_t address[16], uint16_t port);

/* The first name server that a resolv.conf names, IPv4 only. 0 or -ENOENT. */
int sh_egress_name_server(const char *path, struct in_addr *out);

/* a.b.c.d as above. */
void sh_egress_map_ipv4(uint8_t out[16], const void *ipv4);

#endif
