// SPDX-License-Identifier: Apache-2.0
// The enclave's network as the user chose it: none, or published ports and connections outwards.
// Addresses are as in a guest of QEMU's user-mode network (<shelter/network.h>).
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/network.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

static int *reserved; /* a socket a port, which holds the address until the program binds there, or -1 */

static struct sockaddr_in outside(const struct sh_port *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p->host_port)};
    inet_pton(AF_INET, p->host_address[0] ? p->host_address : "0.0.0.0", &a.sin_addr);
    return a;
}

static int reserve(const struct sh_port *p, struct sh_error *err)
{
    struct sockaddr_in at = outside(p);
    int one = 1, fd = socket(AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!bind(fd, (const struct sockaddr *)&at, sizeof(at)))
        return fd;
    int e = -errno;
    close(fd);
    return sh_fail_errno(err, e, "cannot publish port %u", p->host_port);
}

static int publish(struct sh_error *err)
{
    const struct loader_options *o = &loader.options;
    int r = 0;
    reserved = sh_alloc((o->port_count + 1) * sizeof(*reserved));
    for (unsigned i = 0; r >= 0 && i < o->port_count; i++)
        r = reserved[i] = reserve(&o->ports[i], err);
    return r < 0 ? r : 0;
}

static int bind_as(int fd, unsigned i, sa_family_t family)
{
    int one = 1, off = 0;
    struct sockaddr_in at = outside(&loader.options.ports[i]);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = at.sin_port};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int held = __atomic_exchange_n(&reserved[i], -1, __ATOMIC_SEQ_CST);
    if (held >= 0)
        close(held);
    if (family == AF_INET)
        return bind(fd, (const struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    a.sin6_addr.s6_addr[10] = a.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&a.sin6_addr.s6_addr[12], &at.sin_addr, 4);
    return bind(fd, (const struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
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
