// SPDX-License-Identifier: Apache-2.0
// Where a workload's packets may go. RFC 6890 has the registers of special addresses.
#include "host/base/egress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <shelter/network.h>

#include "host/base/util.h"
#include "lib/number.h"

#define FIRST_EPHEMERAL 32768 /* Linux's net.ipv4.ip_local_port_range */

struct range {
    uint32_t first, mask;
};

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static const struct range refused4[] = {
    {IP(0, 0, 0, 0), IP(255, 0, 0, 0)},               /* this host */
    {IP(127, 0, 0, 0), IP(255, 0, 0, 0)},             /* loopback */
    {IP(169, 254, 0, 0), IP(255, 255, 0, 0)},         /* link-local, metadata services */
    {IP(100, 100, 100, 200), IP(255, 255, 255, 255)}, /* metadata service of Alibaba Cloud */
    {IP(168, 63, 129, 16), IP(255, 255, 255, 255)},   /* platform services of Azure */
    {IP(192, 0, 0, 192), IP(255, 255, 255, 255)},     /* metadata service of Oracle Cloud */
    {IP(224, 0, 0, 0), IP(224, 0, 0, 0)},             /* multicast, reserved, broadcast */
    {SH_NET_OWN & IP(255, 255, 255, 0), IP(255, 255, 255, 0)}, /* the workload's own network */
};

struct range6 {
    uint8_t first[16];
    unsigned bits;
};

static const struct range6 refused6[] = {
    {{0}, 96},                              /* any, loopback, IPv4-compatible */
    {{0xfe, 0x80}, 9},                      /* link-local, site-local */
    {{0xff}, 8},                            /* multicast */
    {{0xfd, 0x00, 0x0e, 0xc2}, 32},         /* metadata service of AWS (fd00:ec2::254) */
    {{0xfd, 0x20, 0x00, 0xce}, 32},         /* metadata service of Google Cloud */
    {{0x00, 0x64, 0xff, 0x9b, 0, 0x01}, 48} /* local translation (RFC 8215): who knows where to */
};

static bool is_below(const uint8_t address[16], const struct range6 *r)
{
    unsigned whole = r->bits / 8, rest = r->bits % 8;
    return !memcmp(address, r->first, whole) &&
           (!rest || !((address[whole] ^ r->first[whole]) >> (8 - rest)));
}

/* IPv4 inside of IPv6: mapped, and translated by RFC 6052's prefix. */
static bool find_ipv4(const uint8_t address[16], uint32_t *out)
{
    static const struct range6 mapped = {{[10] = 0xff, [11] = 0xff}, 96};
    static const struct range6 translated = {{0x00, 0x64, 0xff, 0x9b}, 96};
    uint32_t a;
    if (!is_below(address, &mapped) && !is_below(address, &translated))
        return false;
    memcpy(&a, address + 12, 4);
    *out = ntohl(a);
    return true;
}

bool sh_egress_allows(const struct sh_egress *e, const uint8_t address[16], uint16_t port)
{
    uint32_t a;
    if (e->broker.port && e->broker.port == port && !memcmp(address, e->broker.address, 16))
        return true;
    if (find_ipv4(address, &a)) {
        if (a == SH_NET_RESOLVER && port == 53)
            return true;
        if (a == SH_NET_HOST)
            return e->host_loopback;
        for (size_t i = 0; i < sizeof(refused4) / sizeof(refused4[0]); i++) {
            if ((a & refused4[i].mask) == refused4[i].first)
                return false;
        }
        return true;
    }
    for (size_t i = 0; i < sizeof(refused6) / sizeof(refused6[0]); i++) {
        if (is_below(address, &refused6[i]))
            return false;
    }
    return true;
}

void sh_egress_map_ipv4(uint8_t out[16], const void *ipv4)
{
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    memcpy(out + 12, ipv4, 4);
}

bool sh_egress_is_answer(const uint8_t address[16], uint16_t port)
{
    uint32_t a;
    return find_ipv4(address, &a) && a == SH_NET_HOST && port >= FIRST_EPHEMERAL;
}

/* The parts of a socket's address; false: it is none of the internet. */
static bool read_address(const void *address, socklen_t size, uint8_t ip[16], uint16_t *port)
{
    struct sockaddr_in a;
    struct sockaddr_in6 b;
    sa_family_t family;
    if (size < sizeof(family))
        return false;
    memcpy(&family, address, sizeof(family));
    if (family == AF_INET && size >= sizeof(a)) {
        memcpy(&a, address, sizeof(a));
        sh_egress_map_ipv4(ip, &a.sin_addr);
        *port = ntohs(a.sin_port);
        return true;
    }
    if (family != AF_INET6 || size < sizeof(b))
        return false;
    memcpy(&b, address, sizeof(b));
    memcpy(ip, &b.sin6_addr, 16);
    *port = ntohs(b.sin6_port);
    return true;
}

bool sh_egress_allows_socket(const struct sh_egress *e, const void *address, socklen_t size,
                             bool published)
{
    uint8_t ip[16];
    uint16_t port;
    return read_address(address, size, ip, &port) &&
           (sh_egress_allows(e, ip, port) || (published && sh_egress_is_answer(ip, port)));
}

int sh_egress_name_server(const char *path, struct in_addr *out)
{
    char line[256], ip[64];
    cleanup_fclose FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "nameserver %63[0-9.]", ip) == 1 && inet_pton(AF_INET, ip, out) == 1)
            return 0;
    return -ENOENT;
}

int sh_egress_parse(const char *text, struct sh_egress_end *end)
{
    char copy[64];
    uint8_t ipv4[4];
    uint64_t port;
    *end = (struct sh_egress_end){0};
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : sizeof(copy);
    if (size >= sizeof(copy) || sh_parse_number(colon + 1, 1, UINT16_MAX, &port))
        return -EINVAL;
    memcpy(copy, text, size);
    copy[size] = 0;
    if (copy[0] == '[' && copy[size - 1] == ']') {
        copy[size - 1] = 0;
        if (inet_pton(AF_INET6, copy + 1, end->address) != 1)
            return -EINVAL;
    } else {
        if (inet_pton(AF_INET, copy, ipv4) != 1)
            return -EINVAL;
        sh_egress_map_ipv4(end->address, ipv4);
    }
    end->port = (uint16_t)port;
    return 0;
}
