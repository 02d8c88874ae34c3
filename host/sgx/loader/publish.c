// SPDX-License-Identifier: Apache-2.0
// The enclave's network as the user chose it: none, or published ports and connections outwards.
// Addresses are as in a guest of QEMU's user-mode network (<shelter/network.h>).
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/network.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

#define PUBLISHED_MAX 1024u

static struct published {
    int type;
    uint16_t port; /* inside */
    struct sockaddr_in at;
    int reserved; /* a socket that holds the address until the program binds there, or -1 */
} list[PUBLISHED_MAX];
static unsigned count;

/* Takes the address now, so that nobody else does before the program listens there. */
static int reserve(struct published *p, const char *text, struct sh_error *err)
{
    int one = 1, fd = socket(AF_INET, p->type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    p->reserved = fd;
    if (!bind(fd, (const struct sockaddr *)&p->at, sizeof(p->at)))
        return 0;
    int e = -errno;
    close(fd);
    return sh_fail_errno(err, e, "cannot publish port %s", text);
}

int loader_publish(const char *text, struct sh_error *err)
{
    char word[4][64] = {{0}};
    struct published *p = &list[count];
    const char *at = text;
    for (unsigned i = 0; i < 4; i++) {
        size_t n = strcspn(at, ":");
        if (!n || n >= sizeof(word[0]))
            return sh_fail(err, -EINVAL, "--publish %s: write tcp|udp:PORT:ADDRESS:PORT", text);
        memcpy(word[i], at, n);
        at += n + (at[n] != 0);
    }
    if (count == PUBLISHED_MAX)
        return sh_fail(err, -E2BIG, "too many published ports");
    p->type = strcmp(word[0], "udp") ? SOCK_STREAM : SOCK_DGRAM;
    p->port = (uint16_t)atoi(word[1]);
    p->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(word[3]))};
    if (inet_pton(AF_INET, word[2], &p->at.sin_addr) != 1)
        return sh_fail(err, -EINVAL, "--publish %s: '%s' is no address", text, word[2]);
    int r = reserve(p, text, err);
    if (!r)
        count++;
    return r;
}

static int bind_as(int fd, struct published *p, sa_family_t family)
{
    int one = 1, off = 0;
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = p->at.sin_port};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    int reserved = __atomic_exchange_n(&p->reserved, -1, __ATOMIC_SEQ_CST);
    if (reserved >= 0)
        close(reserved);
    if (family == AF_INET)
        return bind(fd, (const struct sockaddr *)&p->at, sizeof(p->at)) ? -errno : 0;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    a.sin6_addr.s6_addr[10] = a.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&a.sin6_addr.s6_addr[12], &p->at.sin_addr, 4);
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
    for (unsigned i = 0; i < count; i++)
        if (list[i].type == type && list[i].port == ntohs(a.sin_port))
            return bind_as(fd, &list[i], a.sin_family);
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

int loader_resolver(const char *text, struct sh_error *err)
{
    return resolver_is(text) ? 0
                             : sh_fail(err, -EINVAL, "--resolver %s: write ADDRESS[:PORT]", text);
}

static const struct sockaddr_in *the_resolver(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_resolver);
    return &resolver;
}

static void map(uint8_t ip[4], in_port_t *port)
{
    uint32_t a;
    memcpy(&a, ip, 4);
    if (a == htonl(SH_NET_HOST)) {
        a = htonl(INADDR_LOOPBACK);
    } else if (a == htonl(SH_NET_RESOLVER) && *port == htons(53)) {
        a = the_resolver()->sin_addr.s_addr;
        *port = the_resolver()->sin_port;
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
    const struct sockaddr_in *r = the_resolver();
    if (a->sin_addr.s_addr != r->sin_addr.s_addr || a->sin_port != r->sin_port)
        return;
    a->sin_addr.s_addr = htonl(SH_NET_RESOLVER);
    a->sin_port = htons(53);
}
