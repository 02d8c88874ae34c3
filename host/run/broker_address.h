// SPDX-License-Identifier: Apache-2.0
// What `-i` takes: the address of the key broker.
#ifndef HOST_RUN_BROKER_ADDRESS_H
#define HOST_RUN_BROKER_ADDRESS_H

#include "host/base/egress.h"
#include "host/base/util.h"

#define SH_BROKER_PORT 8080u

/* "host", "host:port", "[IPv6]:port", an IPv6 address, or an http(s) URL -> a URL, owned by the
 * caller. Without a scheme it is https, without a port there 8080: what a broker serves by default.
 * A loopback address (localhost, 127.*, ::1) means the host itself: with `from_vm` it becomes
 * SH_NET_HOST_TEXT. NULL with the sentence when it is none of these. */
char *sh_broker_url(const char *text, bool from_vm, struct sh_error *err);

/* Where connections to that URL go, if its host is an address; a name gives port 0. */
struct sh_egress_end sh_broker_end(const char *url);

#endif
