// SPDX-License-Identifier: Apache-2.0
// The interfaces that there are, lo and eth0, as ioctl(2) tells of them (netdevice(7)).
#include <linux/sockios.h>

#include "lib/settings.h"
#include "trusted/libos/net/interface.h"
#include "trusted/libos/net/sock.h"

#define IFNAMSIZ 16

static struct interface list[] = {
    {.index = 1,
     .name = "lo",
     .type = 772,
     .mtu = 65536,
     .flags = 0x49 /* UP LOOPBACK RUNNING */,
     .ip = {127, 0, 0, 1},
     .prefix = 8},
    {.index = 2,
     .name = "eth0",
     .type = 1,
     .mtu = 1500,
     .flags = 0x1043 /* UP BROADCAST RUNNING MULTICAST */,
     .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56},
     /* its address: the settings' */},
};

const struct interface *interface_get(uint32_t i)
{
    uint32_t count = settings.outside ? 2 : 1;
    memcpy(list[1].ip, settings.own4, 4);
    list[1].prefix = settings.prefix4;
    return i < count ? &list[i] : NULL;
}

/* struct ifreq: the name and a union of 24 bytes. */
struct ifreq {
    char name[IFNAMSIZ];
    union {
        struct {
            uint16_t family, port;
            uint8_t ip[4];
        } in;
        struct {
            uint16_t family;
            uint8_t bytes[14];
        } hw;
        uint16_t flags;
        int32_t value;
        uint8_t room[24];
    };
};

static const struct interface *find_interface(const struct ifreq *r, bool by_index)
{
    const struct interface *n;
    for (uint32_t i = 0; (n = interface_get(i)); i++) {
        if (by_index ? n->index == r->value : !strncmp(n->name, r->name, IFNAMSIZ))
            return n;
    }
    return NULL;
}

static void set_ip(struct ifreq *r, const struct interface *n, uint32_t mask_or, uint32_t mask_and)
{
    memset(r->room, 0, sizeof(r->room));
    r->in.family = AF_INET;
    for (int i = 0; i < 4; i++)
        r->in.ip[i] = (uint8_t)((n->ip[i] | mask_or >> (24 - 8 * i)) & mask_and >> (24 - 8 * i));
}

static long answer_request(uint32_t request, struct ifreq *r, const struct interface *n)
{
    uint32_t mask = ~0u << (32 - n->prefix);
    switch (request) {
    case SIOCGIFADDR:
        set_ip(r, n, 0, ~0u);
        return 0;
    case SIOCGIFNETMASK:
        set_ip(r, n, ~0u, mask);
        return 0;
    case SIOCGIFBRDADDR:
        set_ip(r, n, ~mask, n->index == 1 ? 0 : ~0u);
        return 0;
    case SIOCGIFDSTADDR:
        set_ip(r, n, 0, ~0u);
        return 0;
    case SIOCGIFFLAGS:
        memset(r->room, 0, sizeof(r->room));
        r->flags = n->flags;
        return 0;
    case SIOCGIFINDEX:
    case SIOCGIFMTU:
    case SIOCGIFTXQLEN:
    case SIOCGIFMETRIC:
        memset(r->room, 0, sizeof(r->room));
        r->value = request == SIOCGIFINDEX    ? n->index
                   : request == SIOCGIFMTU    ? (int32_t)n->mtu
                   : request == SIOCGIFTXQLEN ? 1000
                                              : 0;
        return 0;
    case SIOCGIFHWADDR:
        memset(r->room, 0, sizeof(r->room));
        r->hw.family = n->type;
        memcpy(r->hw.bytes, n->mac, 6);
        return 0;
    case SIOCGIFNAME:
        memset(r->name, 0, IFNAMSIZ);
        memcpy(r->name, n->name, strlen(n->name));
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

/* SIOCGIFCONF: as many as there is room for; without a buffer, how much room all take. */
static long list_interfaces(uint64_t arg)
{
    struct {
        int32_t size, pad;
        uint64_t to;
    } c;
    if (user_read(&c, arg, sizeof(c)))
        return -EFAULT;
    int32_t used = 0;
    const struct interface *n;
    for (uint32_t i = 0; (n = interface_get(i)); i++) {
        struct ifreq r = {0};
        memcpy(r.name, n->name, strlen(n->name));
        set_ip(&r, n, 0, ~0u);
        if (c.to && used + (int32_t)sizeof(r) > c.size)
            break;
        if (c.to && user_write(c.to + (uint32_t)used, &r, sizeof(r)))
            return -EFAULT;
        used += (int32_t)sizeof(r);
    }
    c.size = used;
    return user_write(arg, &c, sizeof(c));
}

long interface_ioctl(uint32_t request, uint64_t arg)
{
    _Static_assert(sizeof(struct ifreq) == 40, "as Linux has it");
    struct ifreq r;
    if (request == SIOCGIFCONF)
        return list_interfaces(arg);
    if (request < SIOCADDRT || request > 0x89ff)
        return -ENOTTY;
    if (user_read(&r, arg, sizeof(r)))
        return -EFAULT;
    bool asks = request == SIOCGIFNAME || request == SIOCGIFFLAGS || request == SIOCGIFADDR ||
                request == SIOCGIFDSTADDR || request == SIOCGIFBRDADDR ||
                request == SIOCGIFNETMASK || request == SIOCGIFMETRIC || request == SIOCGIFMTU ||
                request == SIOCGIFHWADDR || request == SIOCGIFINDEX || request == SIOCGIFTXQLEN;
    if (!asks)
        return request == SIOCETHTOOL ? -EOPNOTSUPP : -EPERM;
    const struct interface *n = find_interface(&r, request == SIOCGIFNAME);
    long e = n ? answer_request(request, &r, n) : -ENODEV;
    return e ? e : user_write(arg, &r, sizeof(r));
}
