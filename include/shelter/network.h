// SPDX-License-Identifier: Apache-2.0
// The network as every workload sees it, whichever TEE it runs in: that of QEMU's user-mode
// network.
#ifndef SHELTER_NETWORK_H
#define SHELTER_NETWORK_H

#define SH_NET_OWN 0x0a00020fu  /* 10.0.2.15 */
#define SH_NET_HOST 0x0a000202u /* 10.0.2.2: the host's loopback */
#define SH_NET_HOST_TEXT "10.0.2.2"
#define SH_NET_RESOLVER 0x0a000203u /* 10.0.2.3: its name server, port 53 */
#define SH_NET_RESOLVER_TEXT "10.0.2.3"
#define SH_NET_OWN_TEXT "10.0.2.15"
#define SH_NET_OWN_BYTES 10, 0, 2, 15
#define SH_NET_HOST_BYTES 10, 0, 2, 2
/* Own address, gateway, name server: what "dhcp" stands for. Fixed, so nobody asks a DHCP server.
 */
#define SH_NET_ADDRESSES SH_NET_OWN_TEXT "/24," SH_NET_HOST_TEXT "," SH_NET_RESOLVER_TEXT

/* /etc/hosts, up to the line of the workload's own name. */
#define SH_NET_HOSTS                                                                               \
    "127.0.0.1\tlocalhost\n"                                                                       \
    "::1\tlocalhost ip6-localhost ip6-loopback\n"                                                  \
    "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"                                            \
    "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

#endif
