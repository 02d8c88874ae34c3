// SPDX-License-Identifier: Apache-2.0
// Published ports (-p) and shared folders (-v).
#ifndef HOST_RUN_PORTS_H
#define HOST_RUN_PORTS_H

#include "host/run/instance.h"

/* "[IP:][HOST:]GUEST[/tcp|udp]", an IPv6 address in brackets; HOST may be empty or 0: a
 * free one is taken later. */
int sh_port_parse(const char *text, struct sh_port *port, struct sh_error *err);

/* Finds out whether the host's ports are free, all at once, and fills in the free ones. -EADDRINUSE
 * and others with the sentence. */
int sh_ports_check(struct sh_port *ports, size_t count, struct sh_error *err);

/* "SRC:DST[:ro|rw]": SRC an existing folder (made absolute), DST an absolute path in the guest.
 * *mount owns its strings. */
int sh_mount_parse(const char *text, struct sh_mount *mount, struct sh_error *err);

#endif
