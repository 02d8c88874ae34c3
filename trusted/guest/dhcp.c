// SPDX-License-Identifier: Apache-2.0
// A small DHCP client (RFC 2131, 2132). The server is the host: every byte of it may lie.
//
// It asks once, before the workload starts, and keeps the address: the launcher's user-mode network
// never gives it to another.
#include "trusted/guest/guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_SIZE 240 /* BOOTP's fields and the magic cookie */
#define ASK_MS 10000

enum {
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_REQUESTED = 50,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_WANTED = 55,
    OPT_END = 255
};

static const uint8_t cookie[4] = {99, 130, 83, 99};

size_t guest_dhcp_build(uint8_t out[GUEST_DHCP_SIZE], uint32_t xid, const uint8_t mac[6],
                        const struct guest_lease *offer)
{
    memset(out, 0, GUEST_DHCP_SIZE);
    out[0] = 1; /* request */
    out[1] = 1; /* Ethernet */
    out[2] = 6;
    memcpy(out + 4, &xid, 4);
    out[10] = 0x80; /* answer by broadcast: we have no address yet */
    memcpy(out + 28, mac, 6);
    memcpy(out + 236, cookie, 4);
    uint8_t *p = out + HEAD_SIZE;
    *p++ = OPT_TYPE;
    *p++ = 1;
    *p++ = offer ? GUEST_DHCP_REQUEST : GUEST_DHCP_DISCOVER;
    if (offer) {
        *p++ = OPT_REQUESTED;
        *p++ = 4;
        memcpy(p, offer->address, 4);
        p += 4;
        *p++ = OPT_SERVER;
        *p++ = 4;
        memcpy(p, offer->server, 4);
        p += 4;
    }
    *p++ = OPT_WANTED;
    *p++ = 3;
    *p++ = OPT_MASK;
    *p++ = OPT_ROUTER;
    *p++ = OPT_DNS;
    *p++ = OPT_END;
    return 300; /* the least that every server takes */
}

static void take_option(struct guest_lease *lease, uint8_t code, const uint8_t *p, size_t size)
{
    if (code == OPT_TYPE && size == 1) {
        lease->type = p[0];
    } else if (code == OPT_SERVER && size == 4) {
        lease->has_server = true;
        memcpy(lease->server, p, 4);
    } else if (code == OPT_MASK && size == 4) {
        lease->has_mask = true;
        memcpy(lease->mask, p, 4);
    } else if (code == OPT_ROUTER && size >= 4 && !lease->has_router) {
        lease->has_router = true;
        memcpy(lease->router, p, 4);
    } else if (code == OPT_DNS) {
        for (; size >= 4 && lease->dns_count < GUEST_DNS_MAX; p += 4, size -= 4)
            memcpy(lease->dns[lease->dns_count++], p, 4);
    }
}

/* Can this be a host's own address? */
static bool unicast(const uint8_t a[4])
{
    return a[0] != 0 && a[0] != 127 && a[0] < 224;
}

int guest_dhcp_parse(struct guest_lease *lease, const uint8_t *data, size_t size, uint32_t xid,
                     const uint8_t mac[6])
{
    *lease = (struct guest_lease){0};
    if (size < HEAD_SIZE || data[0] != 2 || data[1] != 1 || data[2] != 6 ||
        memcmp(data + 4, &xid, 4) || memcmp(data + 28, mac, 6) || memcmp(data + 236, cookie, 4))
        return -EBADMSG;
    memcpy(lease->address, data + 16, 4);
    for (size_t at = HEAD_SIZE; at < size && data[at] != OPT_END;) {
        uint8_t code = data[at++];
        if (code == 0)
            continue;
        if (at >= size || data[at] > size - at - 1)
            return -EBADMSG;
        take_option(lease, code, data + at + 1, data[at]);
        at += 1u + data[at];
    }
    if (lease->type == GUEST_DHCP_NAK)
        return 0;
    if (lease->type != GUEST_DHCP_OFFER && lease->type != GUEST_DHCP_ACK)
        return -EBADMSG;
    if (!unicast(lease->address) || !lease->has_server ||
        (lease->has_router && !unicast(lease->router)))
        return -EBADMSG;
    /* A mask is ones, then zeros. */
    uint32_t mask = (uint32_t)lease->mask[0] << 24 | (uint32_t)lease->mask[1] << 16 |
                    (uint32_t)lease->mask[2] << 8 | lease->mask[3];
    if (lease->has_mask && (~mask & (~mask + 1)))
        return -EBADMSG;
    return 0;
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_socket(const char *interface)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(68)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) ||
        bind(fd, (struct sockaddr *)&any, sizeof(any))) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* Waits for an answer of this type until then. 0, -ETIMEDOUT, or -ECONNREFUSED for a NAK. */
static int answer(int fd, struct guest_lease *lease, uint8_t type, uint32_t xid,
                  const uint8_t mac[6], long until)
{
    uint8_t packet[1500];
    for (;;) {
        long left = until - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return -ETIMEDOUT;
        ssize_t n = recv(fd, packet, sizeof(packet), 0);
        if (n < 0 || guest_dhcp_parse(lease, packet, (size_t)n, xid, mac))
            continue;
        if (lease->type == type)
            return 0;
        if (lease->type == GUEST_DHCP_NAK && type == GUEST_DHCP_ACK)
            return -ECONNREFUSED;
    }
}

static void use_lease(struct guest_network *n, const struct guest_lease *lease)
{
    *n = (struct guest_network){.dhcp = true, .prefix = 24, .address.family = AF_INET};
    memcpy(n->address.bytes, lease->address, 4);
    if (lease->has_mask) {
        n->prefix = 0;
        for (int i = 0; i < 4; i++)
            n->prefix += (unsigned)__builtin_popcount(lease->mask[i]);
    }
    if (lease->has_router) {
        n->gateway.family = AF_INET;
        memcpy(n->gateway.bytes, lease->router, 4);
    }
    for (size_t i = 0; i < lease->dns_count; i++) {
        n->dns[n->dns_count].family = AF_INET;
        memcpy(n->dns[n->dns_count++].bytes, lease->dns[i], 4);
    }
}

int guest_dhcp(const char *interface, const uint8_t mac[6], struct guest_network *n,
               struct guest_error *e)
{
    struct sockaddr_in all = {
        .sin_family = AF_INET, .sin_port = htons(67), .sin_addr.s_addr = htonl(INADDR_BROADCAST)};
    struct guest_lease offer, ack;
    uint8_t packet[GUEST_DHCP_SIZE];
    uint32_t xid;
    GUEST_AUTOCLOSE int fd = open_socket(interface);
    if (fd < 0)
        return guest_fail(e, fd, "DHCP: no socket: %s", strerror(-fd));
    if (getrandom(&xid, sizeof(xid), 0) != sizeof(xid))
        return guest_fail(e, -errno, "DHCP: no random number: %s", strerror(errno));
    long start = now_ms();
    for (long wait = 250; now_ms() - start < ASK_MS; wait = wait < 2000 ? wait * 2 : wait) {
        size_t size = guest_dhcp_build(packet, xid, mac, NULL);
        sendto(fd, packet, size, 0, (struct sockaddr *)&all, sizeof(all));
        if (answer(fd, &offer, GUEST_DHCP_OFFER, xid, mac, now_ms() + wait))
            continue;
        size = guest_dhcp_build(packet, xid, mac, &offer);
        sendto(fd, packet, size, 0, (struct sockaddr *)&all, sizeof(all));
        if (answer(fd, &ack, GUEST_DHCP_ACK, xid, mac, now_ms() + wait))
            continue;
        use_lease(n, &ack);
        return 0;
    }
    return guest_fail(e, -ETIMEDOUT,
                      "DHCP: no usable answer in %d s; give an address or "
                      "--network none",
                      ASK_MS / 1000);
}
