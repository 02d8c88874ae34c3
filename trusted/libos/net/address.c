// SPDX-License-Identifier: Apache-2.0
// Addresses: whose they are, and the same one in the form of the other family.
#include <linux/in.h>
#include <linux/in6.h>

#include "lib/settings.h"
#include "trusted/libos/net/sock.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t host4[4] = {SH_NET_HOST_BYTES};
static const uint8_t loopback4[4] = {127, 0, 0, 1}, loopback6[16] = {[15] = 1}, none[16];

/* The 4 or 16 bytes. */
static uint8_t *ip_of(struct addr *a)
{
    return a->bytes + (a->family == AF_INET ? 4 : 8);
}

static const uint8_t *ip_bytes(const struct addr *a)
{
    return ip_of((struct addr *)(uintptr_t)a);
}

bool addr_v4(const struct addr *a, uint8_t out[4])
{
    if (a->family != AF_INET && (a->family != AF_INET6 || memcmp(ip_bytes(a), mapped_prefix, 12)))
        return false;
    memcpy(out, ip_bytes(a) + (a->family == AF_INET ? 0 : 12), 4);
    return true;
}

static uint32_t as_number(const uint8_t p[4])
{
    return __builtin_bswap32(sh_le32(p));
}

static enum addr_kind ip4_kind(const uint8_t p[4])
{
    if (!memcmp(p, none, 4))
        return ADDR_ANY;
    if (p[0] == 127)
        return ADDR_LOOPBACK;
    if (!memcmp(p, settings.own4, 4))
        return ADDR_OWN;
    uint32_t host = settings.prefix4 < 32 ? ~0u >> settings.prefix4 : 0;
    uint32_t differ = as_number(p) ^ as_number(settings.own4), rest = as_number(p) & host;
    bool of_net = host > 1 && !(differ & ~host) && (!rest || rest == host);
    return p[0] == 0 || p[0] >= 224 || of_net ? ADDR_GROUP : ADDR_FOREIGN;
}

enum addr_kind addr_kind(const struct addr *a)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    uint8_t v4[4];
    if (a->family == AF_UNIX)
        return ADDR_LOOPBACK;
    if (addr_v4(a, v4))
        return ip4_kind(v4);
    const uint8_t *p = ip_bytes(a);
    if (!memcmp(p, none, 15) && p[15] < 2)
        return p[15] ? ADDR_LOOPBACK : ADDR_ANY;
    /* IPv4 in other clothes: translators outside would send it back to us, or to the host. */
    const uint8_t *dressed = p[0] == 0x20 && p[1] == 0x02                    ? p + 2
                             : !memcmp(p, nat64, 12) || !memcmp(p, none, 12) ? p + 12
                                                                             : NULL;
    if (dressed)
        return ip4_kind(dressed) == ADDR_FOREIGN ? ADDR_FOREIGN : ADDR_GROUP;
    return p[0] == 0xff ? ADDR_GROUP : ADDR_FOREIGN;
}

bool addr_is_inside(const struct addr *a)
{
    return addr_kind(a) < ADDR_GROUP;
}

bool addr_is_any(const struct addr *a)
{
    return addr_kind(a) == ADDR_ANY;
}

uint16_t addr_port(const struct addr *a)
{
    return (uint16_t)(a->bytes[2] << 8 | a->bytes[3]);
}

void addr_set_port(struct addr *a, uint16_t port)
{
    a->bytes[2] = (uint8_t)(port >> 8);
    a->bytes[3] = (uint8_t)port;
}

struct addr addr_make(uint16_t family, uint16_t port)
{
    struct addr a = {.size = family == AF_INET ? sizeof(struct sockaddr_in)
                                               : sizeof(struct sockaddr_in6)};
    a.family = family;
    addr_set_port(&a, port);
    return a;
}

static void set_ip4(struct addr *a, const uint8_t v4[4])
{
    if (a->family == AF_INET6)
        memcpy(ip_of(a), mapped_prefix, 12);
    memcpy(ip_of(a) + (a->family == AF_INET ? 0 : 12), v4, 4);
}

struct addr addr_as(const struct addr *a, uint16_t family)
{
    uint8_t v4[4];
    if (a->family == family || (a->family != AF_INET && a->family != AF_INET6))
        return *a;
    struct addr r = addr_make(family, addr_port(a));
    if (addr_v4(a, v4)) {
        if (ip4_kind(v4) != ADDR_ANY)
            set_ip4(&r, v4);
    } else if (addr_kind(a) == ADDR_LOOPBACK) {
        set_ip4(&r, loopback4);
    }
    return r;
}

void addr_resolve_any(struct addr *a)
{
    uint8_t v4[4];
    if (!addr_is_any(a))
        return;
    if (addr_v4(a, v4))
        set_ip4(a, loopback4);
    else
        memcpy(ip_of(a), loopback6, 16);
}

struct addr addr_source(const struct addr *own, const struct addr *to)
{
    uint8_t v4[4];
    struct addr a = *own;
    if (own->size && !addr_is_any(own))
        return a;
    a = addr_make(to->family, own->size ? addr_port(own) : 0);
    bool is4 = addr_v4(to, v4);
    if (addr_kind(to) == ADDR_OWN || addr_kind(to) == ADDR_FOREIGN)
        set_ip4(&a, settings.own4);
    else if (is4)
        set_ip4(&a, loopback4);
    else
        memcpy(ip_of(&a), loopback6, 16);
    return a;
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
    uint8_t x[4], y[4];
    bool is4 = addr_v4(a, x);
    if (is4 != addr_v4(b, y))
        return false;
    return is4 ? !memcmp(x, y, 4) : !memcmp(ip_bytes(a), ip_bytes(b), 16);
}

bool addr_same_end(const struct addr *a, const struct addr *b)
{
    return addr_port(a) == addr_port(b) && addr_same_host(a, b);
}

void net_foreign(struct addr *a)
{
    enum addr_kind k = addr_kind(a);
    if (k != ADDR_FOREIGN)
        set_ip4(a, host4);
}
