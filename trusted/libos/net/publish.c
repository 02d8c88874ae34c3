// SPDX-License-Identifier: Apache-2.0
// Which ports the outside may reach, and by what addresses we and it go. Sockets that listen on other
// ports are inside only.
#include <linux/in.h>
#include <linux/in6.h>

#include <shelter/network.h>

#include "lib/settings.h"
#include "trusted/libos/net/sock.h"

bool net_published(const struct sock *s)
{
    if (!settings.outside || name_is_outside(s)) /* one address is published: who came first has it */
        return false;
    return sh_settings_published(&settings, s->type == SOCK_STREAM ? 6 : 17, addr_port(&s->own));
}

/* As in a guest of the user-mode network: our own address, and what of the host can be reached. */
static void set_address(struct addr *a, uint32_t ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t bytes[4] = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip};
    if (a->family == AF_INET) {
        memcpy(a->bytes + 4, bytes, 4);
    } else {
        memcpy(a->bytes + 8, mapped, 12);
        memcpy(a->bytes + 20, bytes, 4);
    }
}

void net_own_address(struct addr *a)
{
    if (addr_is_any(a))
        set_address(a, SH_NET_OWN);
}

void net_foreign(struct addr *a)
{
    if (addr_is_loopback(a))
        set_address(a, SH_NET_HOST);
}
