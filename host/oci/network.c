// SPDX-License-Identifier: Apache-2.0
// Finds the interface of a network namespace and joins a TAP device to it.
#include "host/oci/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_arp.h>
#include <linux/if_tun.h>

#include "host/launch/qemu/frame.h"

#define TAP_NAME "shelter0"
#define LEAVE_AGAIN_US 10000
#define LEAVE_AGAIN_MAX 100

/* The default route's gateway through this interface (/proc/net/route has it in host order). */
static bool find_gateway(const char *name, char *out)
{
    char line[256], device[16];
    unsigned to, by, flags;
    cleanup_fclose FILE *f = fopen("/proc/thread-self/net/route", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "%15s %x %x %x", device, &to, &by, &flags) == 4 && !to && by &&
            !strcmp(device, name))
            return inet_ntop(AF_INET, &(struct in_addr){by}, out, INET_ADDRSTRLEN);
    return false;
}

static bool find_mac(const char *name, struct oci_network *n)
{
    struct ifreq r = {0};
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(r.ifr_name, name);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &r))
        return false;
    const uint8_t *b = memcpy(n->mac_bytes, r.ifr_hwaddr.sa_data, sizeof(n->mac_bytes));
    snprintf(n->mac, sizeof(n->mac), "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return true;
}

static void describe(const struct ifaddrs *a, const char *resolver, struct oci_network *n)
{
    char ip[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
    const struct sockaddr_in *own = (const void *)a->ifa_addr, *mask = (const void *)a->ifa_netmask;
    int bits = mask ? __builtin_popcount(mask->sin_addr.s_addr) : 32;
    snprintf(n->name, sizeof(n->name), "%s", a->ifa_name);
    inet_ntop(AF_INET, &own->sin_addr, ip, sizeof(ip));
    memcpy(n->address, &own->sin_addr, sizeof(n->address));
    n->gateway = find_gateway(n->name, gateway);
    n->holds_host =
        !((own->sin_addr.s_addr ^ htonl(SH_NET_HOST)) & (mask ? mask->sin_addr.s_addr : ~0u));
    int at = snprintf(n->text, sizeof(n->text), "%s/%d", ip, bits);
    if (n->gateway)
        snprintf(n->text + at, sizeof(n->text) - (size_t)at, ",%s%s%s", gateway,
                 resolver ? "," : "", resolver ? resolver : "");
}

bool oci_network_find(const char *resolver, struct oci_network *n)
{
    struct ifaddrs *all, *a;
    *n = (struct oci_network){.text = ""};
    if (getifaddrs(&all))
        return false;
    for (a = all; a && !*n->text; a = a->ifa_next)
        if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET && a->ifa_flags & IFF_UP &&
            !(a->ifa_flags & IFF_LOOPBACK) && strlen(a->ifa_name) < sizeof(n->name) &&
            find_mac(a->ifa_name, n))
            describe(a, resolver, n);
    freeifaddrs(all);
    return *n->text;
}

/* Words, without quotes. */
static __attribute__((format(printf, 1, 2))) int run_tc(const char *format, ...)
{
    char text[256], *argv[48] = {"tc"}, *rest = NULL;
    int status = -1, count = 1;
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    for (char *word = strtok_r(text, " ", &rest); word && count < 47;
         word = strtok_r(NULL, " ", &rest))
        argv[count++] = word;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execvp("tc", argv);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* All that comes in at `from` goes out at `to`. */
static int redirect(const char *from, const char *to, struct sh_error *err)
{
    /* What an earlier machine here left; a living one would have the TAP device. */
    (void)run_tc("qdisc del dev %s ingress", from);
    if (run_tc("qdisc add dev %s ingress", from) ||
        run_tc("filter add dev %s parent ffff: prio 2 protocol all u32 match u8 0 0 action mirred "
               "egress redirect dev %s",
               from, to))
        return sh_fail(err, -EIO,
                       "cannot redirect %s to %s by 'tc' (iproute2): the machine would have no "
                       "network",
                       from, to);
    return 0;
}

static int set_up(const char *name, const char *like)
{
    struct ifreq r = {0};
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(r.ifr_name, like);
    int mtu = fd < 0 || ioctl(fd, SIOCGIFMTU, &r) ? 1500 : r.ifr_mtu;
    r = (struct ifreq){.ifr_mtu = mtu};
    strcpy(r.ifr_name, name);
    (void)ioctl(fd, SIOCSIFMTU, &r);
    r = (struct ifreq){.ifr_flags = IFF_UP};
    strcpy(r.ifr_name, name);
    return ioctl(fd, SIOCSIFFLAGS, &r) ? -errno : 0;
}

int oci_network_tap(const struct oci_network *n, struct sh_error *err)
{
    /* Without IFF_VNET_HDR: the kernel cuts what is too long and fills in checksums. */
    struct ifreq r = {.ifr_name = TAP_NAME, .ifr_flags = IFF_TAP | IFF_NO_PI};
    const uint8_t mac[] = {SH_FRAME_HOST_MAC};
    cleanup_close int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int code = fd < 0 || ioctl(fd, TUNSETIFF, &r) ? -errno : 0;
    if (code == -EBUSY)
        return sh_fail(err, code,
                       "another machine has this network namespace's interface: a pod holds one "
                       "machine, or any number of enclaves (annotation io.shelter.tee)");
    if (code)
        return sh_fail_errno(err, code, "cannot create a TAP device");
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(r.ifr_hwaddr.sa_data, mac, sizeof(mac));
    (void)ioctl(fd, SIOCSIFHWADDR, &r); /* for oci_network_loopback */
    code = set_up(TAP_NAME, n->name);
    if (code)
        return sh_fail_errno(err, code, "cannot set up the TAP device");
    code = redirect(n->name, TAP_NAME, err);
    if (!code)
        code = redirect(TAP_NAME, n->name, err);
    return code ? code : sh_take_fd(&fd);
}

static bool set_loopback(const char *name)
{
    cleanup_free char *path = sh_format("/proc/sys/net/ipv4/conf/lo/%s", name);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, "1", 1) == 1;
}

bool oci_network_loopback(const struct oci_network *n)
{
#define LOCAL_TCP "u32 match ip protocol 6 0xff match ip src 127.0.0.1/32 match ip dst 127.0.0.1/32"
    (void)run_tc("qdisc del dev lo clsact"); /* an earlier machine's, likewise */
    if (!n->gateway || n->holds_host)        /* its answers would go elsewhere */
        return false;
    /* A match without an action leaves the packet to this kernel, which takes none of its own
     * addresses as a source from outside. (Not each kernel has the action that drops.) */
    if (set_loopback("route_localnet") && set_loopback("accept_local") &&
        !run_tc("filter add dev %s parent ffff: prio 1 protocol ip u32 match ip src 127.0.0.0/8 "
                "flowid 1:1",
                n->name) &&
        !run_tc("filter add dev " TAP_NAME " parent ffff: prio 1 protocol ip " LOCAL_TCP
                " action mirred ingress redirect dev lo") &&
        !run_tc("qdisc add dev lo clsact") &&
        !run_tc("filter add dev lo egress prio 1 protocol ip " LOCAL_TCP
                " action mirred egress redirect dev " TAP_NAME))
        return true;
    (void)run_tc("qdisc del dev lo clsact");
    (void)run_tc("filter del dev " TAP_NAME " parent ffff: prio 1");
    (void)run_tc("filter del dev %s parent ffff: prio 1", n->name);
    return false;
}

void oci_network_leave(const struct oci_network *n)
{
    for (int i = 0; if_nametoindex(TAP_NAME); i++) {
        if (i == LEAVE_AGAIN_MAX)
            return;
        usleep(LEAVE_AGAIN_US);
    }
    (void)run_tc("qdisc del dev lo clsact");
    (void)run_tc("qdisc del dev %s ingress", n->name);
}
