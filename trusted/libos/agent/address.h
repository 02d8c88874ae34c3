// SPDX-License-Identifier: Apache-2.0
// Addresses of the broker.
#ifndef LIBOS_AGENT_ADDRESS_H
#define LIBOS_AGENT_ADDRESS_H

#include "trusted/libos/port.h"

/* Is text an IPv4 address, or an IPv6 address without brackets (RFC 4291, 2.2; no zone)? */
bool agent_literal(const char *text, struct port_address *out);

/* As struct sockaddr_in or sockaddr_in6. Its size, or 0 for another family. */
uint32_t agent_sockaddr(const struct port_address *a, uint16_t port, uint8_t out[PORT_ADDR_MAX]);

#endif
