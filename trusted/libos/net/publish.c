// SPDX-License-Identifier: Apache-2.0
// Which ports the outside may reach, and whether there is an outside: as manifest and launch config
// say. All other sockets that listen are inside only.
#include <linux/in.h>
#include <linux/in6.h>

#include <shelter/agent.h>

#include "lib/launch.h"
#include "lib/manifest.h"
#include "trusted/libos/net/sock.h"

bool net_outside = true;
static const void *launch; /* NULL: whoever runs this says nothing, and every port is public */
static size_t launch_size;

static bool is_none(const void *text, size_t size)
{
    return size == 4 && !memcmp(text, "none", 4);
}

void net_init(const struct port_start *start, const struct sh_manifest *m)
{
    char value[256];
    struct sh_view v = sh_manifest_get(m, SH_TAG_NETWORK, 0);
    launch = start->launch;
    launch_size = start->launch_size;
    net_outside = !(v.data && is_none(v.data, v.size));
    if (!launch)
        return;
    int n = sh_launch_get(launch, launch_size, SH_LAUNCH_NETWORK, 0, value, sizeof(value));
    if (n >= 0 && (is_none(value, (size_t)n) || !(m->policy & SH_POLICY_LOCK)))
        net_outside = !is_none(value, (size_t)n);
}

bool net_published(const struct sock *s)
{
    char value[32], wanted[32];
    int type = s->type;
    uint16_t port = addr_port(&s->own);
    if (!net_outside)
        return false;
    if (!launch)
        return true;
    if (name_is_outside(s)) /* one address is published; whoever came first has it */
        return false;
    if (type == SOCK_STREAM && port == SH_AGENT_PORT)
        return false;
    fmt(wanted, sizeof(wanted), "%s %u", type == SOCK_STREAM ? "tcp" : "udp", port);
    for (size_t i = 0;; i++) {
        int n = sh_launch_get(launch, launch_size, SH_LAUNCH_PORT, i, value, sizeof(value));
        if (n == -ENOENT)
            return false;
        if (n >= 0 && !strcmp(value, wanted))
            return true;
    }
}

/* Addresses as in a guest of the user-mode network: ours, and what of the host can be reached. */
static const uint8_t own4[4] = {10, 0, 2, 15}, host4[4] = {10, 0, 2, 2};

static void set(struct addr *a, const uint8_t ip[4])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family == AF_INET) {
        memcpy(a->bytes + 4, ip, 4);
    } else {
        memcpy(a->bytes + 8, mapped, 12);
        memcpy(a->bytes + 20, ip, 4);
    }
}

bool net_own_address(struct addr *a)
{
    if (launch && addr_is_any(a))
        set(a, own4);
    return launch;
}

void net_foreign(struct addr *a)
{
    if (launch && addr_is_loopback(a))
        set(a, host4);
}
