// SPDX-License-Identifier: Apache-2.0
// Which ports the outside may reach. Sockets that listen on other ports are inside only.
//
// A pod's containers share its loopback, as far as their images say so (SH_POLICY_POD): whoever
// listens inside comes first, and what is left is asked of the host, which may be anybody.
#include <shelter/agent.h>

#include "lib/settings.h"
#include "trusted/libos/net/sock.h"

bool net_published(const struct sock *s)
{
    /* What is published are addresses of IPv4. */
    if (!settings.outside || s->options[OPT_V6ONLY])
        return false;
    if (addr_kind(&s->own) == ADDR_LOOPBACK && !settings.pod)
        return false;
    return sh_settings_published(&settings, s->type == SOCK_STREAM ? SH_TCP : SH_UDP,
                                 addr_port(&s->own));
}

bool net_of_pod(const struct addr *to)
{
    return settings.pod && addr_is_inside(to) && addr_port(to) != SH_AGENT_PORT;
}
