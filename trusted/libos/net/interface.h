// SPDX-License-Identifier: Apache-2.0
// The network interfaces of a workload: lo, and eth0 where there is a network.
#ifndef LIBOS_INTERFACE_H
#define LIBOS_INTERFACE_H

#include <stdint.h>

struct interface {
    int32_t index;
    char name[8];
    uint16_t type; /* ARPHRD_* */
    uint32_t mtu;
    uint16_t flags; /* IFF_* */
    uint8_t mac[6], ip[4], prefix;
};

const struct interface *interface_get(uint32_t i); /* NULL: no more */

#endif
