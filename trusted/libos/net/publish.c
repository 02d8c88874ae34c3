// SPDX-License-Identifier: Apache-2.0
// Which ports the outside may reach. Sockets that listen on other ports are inside only.
#include "lib/settings.h"
#include "trusted/libos/net/sock.h"

bool net_published(const struct sock *s)
{
    /* What is published are addresses of IPv4. */
    if (!settings.outside || s->options[OPT_V6ONLY])
        return false;
    return sh_settings_published(&settings, s->type == SOCK_STREAM ? SH_TCP : SH_UDP,
                                 addr_port(&s->own));
}
