// SPDX-License-Identifier: Apache-2.0
// The enclave's network as the user chose it: none, or published ports and connections outwards.
// Addresses are as in a guest of QEMU's user-mode network (<shelter/network.h>).
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/network.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

#define PRIVILEGED 1024u /* ports below are root's, which the loader is no more when the program binds */

/* Sockets that hold the address of each port until the program binds there: IPv4's, and for a privileged port
 * IPv6's too, which then become the program's own. -1: none. */
static int (*held)[2];

/* Where port `i` is outside, as an address of that family. */
static socklen_t outside(unsigned i, sa_family_t family, struct sockaddr_in6 *out)
{
    const struct sh_port *p = &loader.options.ports[i];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p->host_port)};
    inet_pton(AF_INET, p->host_address[0] ? p->host_address : "0.0.0.0", &a.sin_addr);
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = a.sin_port};
    out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&out->sin6_addr.s6_addr[12], &a.sin_addr, 4);
    if (family == AF_INET6)
        return sizeof(*out);
    memcpy(out, &a, sizeof(a));
    return sizeof(a);
}

static int bind_outside(int fd, unsigned i, sa_family_t family)
{
    struct sockaddr_in6 at;
    socklen_t size = outside(i, family, &at);
    int one = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    return bind(fd, (const struct sockaddr *)&at, size) ? -errno : 0;
}

static int hold(unsigned i, sa_family_t family)
{
    int type = loader.options.ports[i].udp ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : bind_outside(fd, i, family);
    if (r && fd >= 0)
        close(fd);
    return r ? r : fd;
}

static int publish(struct sh_error *err)
{
    const struct loader_options *o = &loader.options;
    held = sh_alloc((o->port_count + 1) * sizeof(*held));
    for (unsigned i = 0; i < o->port_count; i++) {
        held[i][0] = hold(i, AF_INET);
        if (held[i][0] < 0)
            return sh_fail_errno(err, held[i][0], "cannot publish port %u", o->ports[i].host_port);
        held[i][1] = o->ports[i].host_port < PRIVILEGED ? hold(i, AF_INET6) : -1;
    }
    return 0;
}

static int bind_as(int fd, unsigned i, sa_family_t family)
{
    int one[2], r = -EADDRINUSE;
    for (unsigned k = 0; k < 2; k++)
        one[k] = __atomic_exchange_n(&held[i][k], -1, __ATOMIC_SEQ_CST);
    int own = one[family == AF_INET6];
    bool privileged = loader.options.ports[i].host_port < PRIVILEGED;
    if (privileged && own >= 0)
        r = dup3(own, fd, O_CLOEXEC) < 0 ? -errno : 0;
    for (unsigned k = 0; k < 2; k++)
        if (one[k] >= 0)
            close(one[k]);
    return privileged && !r ? 0 : bind_outside(fd, i, family);
}

int loader_bind(int fd, const void *address, socklen_t size)
{
    int type = 0;
    socklen_t type_size = sizeof(type);
    struct sockaddr_in a = {0};
    if (loader.options.network == LOADER_NETWORK_HOST)
        return bind(fd, address, size) ? -errno : 0;
    memcpy(&a, address, size < sizeof(a) ? size : sizeof(a));
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size);
    for (unsigned i = 0; i < loader.options.port_count; i++) {
        const struct sh_port *p = &loader.options.ports[i];
        if (p->udp == (type == SOCK_DGRAM) && p->guest_port == ntohs(a.sin_port))
            return bind_as(fd, i, a.sin_family);
    }
    return -EACCES;
}

/* Whom the name server's address means: as --resolver says, else the first IPv4 one of this host,
 * else whoever listens on its loopback. */
static struct sockaddr_in resolver = {.sin_family = AF_INET};

static bool resolver_is(const char *text)
{
    char ip[64];
    unsigned port = 53;
    int n = sscanf(text, "%63[0-9.]:%u", ip, &port);
    if (n < 1 || port > 65535 || inet_pton(AF_INET, ip, &resolver.sin_addr) != 1)
        return false;
    resolver.sin_port = htons((uint16_t)port);
    return true;
}

static void find_resolver(void)
{
    char line[256], ip[64];
    FILE *f = fopen("/etc/resolv.conf", "re");
    while (f && !resolver.sin_port && fgets(line, sizeof(line), f))
        if (sscanf(line, "nameserver %63[0-9.]", ip) == 1)
            resolver_is(ip);
    if (f)
        fclose(f);
    if (!resolver.sin_port)
        resolver_is("127.0.0.1");
}

int loader_network_open(struct sh_error *err)
{
    const char *text = loader.options.resolver;
    if (text && !resolver_is(text))
        return sh_fail(err, -EINVAL, "--resolver %s: write ADDRESS[:PORT]", text);
    if (loader.options.network == LOADER_NETWORK_USER)
        find_resolver();
    return publish(err);
}

static void map(uint8_t ip[4], in_port_t *port)
{
    uint32_t a;
    memcpy(&a, ip, 4);
    if (a == htonl(SH_NET_HOST)) {
        a = htonl(INADDR_LOOPBACK);
    } else if (a == htonl(SH_NET_RESOLVER) && *port == htons(53)) {
        a = resolver.sin_addr.s_addr;
        *port = resolver.sin_port;
    }
    memcpy(ip, &a, 4);
}

void loader_map_address(void *address, socklen_t size)
{
    struct sockaddr_in *a = address;
    struct sockaddr_in6 *b = address;
    if (loader.options.network == LOADER_NETWORK_HOST || size < sizeof(*a))
        return;
    if (a->sin_family == AF_INET)
        map((uint8_t *)&a->sin_addr, &a->sin_port);
    else if (a->sin_family == AF_INET6 && size >= sizeof(*b) && IN6_IS_ADDR_V4MAPPED(&b->sin6_addr))
        map(&b->sin6_addr.s6_addr[12], &b->sin6_port);
}

void loader_seen_address(void *address, socklen_t size)
{
    struct sockaddr_in *a = address;
    if (loader.options.network == LOADER_NETWORK_HOST || size < sizeof(*a) ||
        a->sin_family != AF_INET)
        return;
    if (a->sin_addr.s_addr != resolver.sin_addr.s_addr || a->sin_port != resolver.sin_port)
        return;
    a->sin_addr.s_addr = htonl(SH_NET_RESOLVER);
    a->sin_port = htons(53);
}
