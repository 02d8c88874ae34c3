// SPDX-License-Identifier: Apache-2.0
// Loopback, the one network interface, and the files in /etc that tell of them.
#include "trusted/guest/guest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ipv6_route.h>
#include <linux/route.h>

#include <shelter/network.h>

struct in6_ifreq {
    struct in6_addr address;
    uint32_t prefix;
    int index;
};

static int set_up(int fd, const char *name)
{
    struct ifreq r = {0};
    strcpy(r.ifr_name, name);
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &r) ? -errno : 0;
}

/* The first network device: eth0, as a rule. */
static int find_interface(char name[IFNAMSIZ])
{
    DIR *dir = opendir("/sys/class/net");
    struct dirent *d;
    int rc = -ENODEV;
    while (rc && dir && (d = readdir(dir)))
        if (d->d_name[0] == 'e' && strlen(d->d_name) < IFNAMSIZ) {
            strcpy(name, d->d_name);
            rc = 0;
        }
    if (dir)
        closedir(dir);
    return rc;
}

static int set_switch(const char *path, const char *digit)
{
    GUEST_AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, digit, 1) != 1 ? -errno : 0;
}

/* No address and no route by the host's router advertisements; no IPv6 at all where none is asked
 * for. */
static int still_ipv6(const char *name, bool off)
{
    char path[80];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name,
             off ? "disable_ipv6" : "accept_ra");
    return set_switch(path, off ? "1" : "0");
}

static void set_sockaddr(struct sockaddr *a, const uint8_t bytes[4])
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    memcpy(&in.sin_addr, bytes, 4);
    memcpy(a, &in, sizeof(in));
}

static int configure_ipv4(int fd, const char *name, const struct guest_network *n)
{
    struct ifreq r = {0};
    uint32_t mask = htonl(n->prefix ? ~0u << (32 - n->prefix) : 0);
    strcpy(r.ifr_name, name);
    set_sockaddr(&r.ifr_addr, n->address.bytes);
    if (ioctl(fd, SIOCSIFADDR, &r))
        return -errno;
    set_sockaddr(&r.ifr_netmask, (const uint8_t *)&mask);
    if (ioctl(fd, SIOCSIFNETMASK, &r))
        return -errno;
    if (!n->gateway.family)
        return 0;
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    static const uint8_t zero[4];
    set_sockaddr(&route.rt_dst, zero);
    set_sockaddr(&route.rt_genmask, zero);
    set_sockaddr(&route.rt_gateway, n->gateway.bytes);
    return ioctl(fd, SIOCADDRT, &route) ? -errno : 0;
}

static int configure_ipv6(const char *name, const struct guest_network *n)
{
    GUEST_AUTOCLOSE int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct in6_ifreq r = {.prefix = n->prefix, .index = (int)if_nametoindex(name)};
    if (fd < 0)
        return -errno;
    memcpy(&r.address, n->address.bytes, 16);
    if (ioctl(fd, SIOCSIFADDR, &r))
        return -errno;
    if (!n->gateway.family)
        return 0;
    struct in6_rtmsg route = {
        .rtmsg_flags = RTF_UP | RTF_GATEWAY, .rtmsg_metric = 1, .rtmsg_ifindex = r.index};
    memcpy(&route.rtmsg_gateway, n->gateway.bytes, 16);
    return ioctl(fd, SIOCADDRT, &route) ? -errno : 0;
}

int guest_network_up(const char *text, struct guest_network *n, struct guest_error *e)
{
    char name[IFNAMSIZ];
    if (guest_network_parse(n, *text ? text : "dhcp"))
        return guest_fail(e, -EINVAL,
                          "network '%.64s' is not none, dhcp or "
                          "ADDRESS/LENGTH[,GATEWAY[,DNS...]]",
                          text);
    GUEST_AUTOCLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : set_up(fd, "lo");
    if (!rc) /* as in docker's containers and in the enclave: port 80 is nobody else's */
        rc = set_switch("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    if (rc)
        return guest_fail(e, rc, "cannot set up loopback: %s", strerror(-rc));
    if (n->none)
        return 0;
    rc = find_interface(name);
    if (rc && !*text) {
        *n = (struct guest_network){.none =
                                        true}; /* nobody asked for a network, and there is none */
        return 0;
    }
    if (rc)
        return guest_fail(e, rc, "network '%.64s' is asked for, but there is no network device",
                          text);
    rc = still_ipv6(name, n->address.family != AF_INET6);
    if (!rc)
        rc = set_up(fd, name);
    if (!rc)
        rc = n->address.family == AF_INET6 ? configure_ipv6(name, n) : configure_ipv4(fd, name, n);
    return rc ? guest_fail(e, rc, "cannot set up the network: %s", strerror(-rc)) : 0;
}

static void address_text(const struct guest_address *a, char out[INET6_ADDRSTRLEN])
{
    if (!inet_ntop(a->family, a->bytes, out, INET6_ADDRSTRLEN))
        out[0] = 0;
}

int guest_network_resolver(int root, const struct guest_network *n)
{
    char text[256], address[INET6_ADDRSTRLEN];
    size_t at = 0;
    if (!n->dns_count)
        return 0;
    for (size_t i = 0; i < n->dns_count; i++) {
        address_text(&n->dns[i], address);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "nameserver %s\n", address);
    }
    return guest_write_in(root, "/etc", "resolv.conf", text);
}

int guest_network_files(int root, const char *hostname, const struct guest_network *n,
                        struct guest_error *e)
{
    char text[1024], address[INET6_ADDRSTRLEN] = "127.0.1.1";
    snprintf(text, sizeof(text), "%s\n", hostname);
    int rc = guest_write_in(root, "/etc", "hostname", text);
    if (n->address.family)
        address_text(&n->address, address);
    snprintf(text, sizeof(text), SH_NET_HOSTS "%s\t%s\n", address, hostname);
    if (!rc)
        rc = guest_write_in(root, "/etc", "hosts", text);
    if (!rc)
        rc = guest_network_resolver(root, n);
    return rc ? guest_fail(e, rc, "cannot write the network's files in /etc: %s", strerror(-rc))
              : 0;
}
