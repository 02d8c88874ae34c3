// SPDX-License-Identifier: Apache-2.0
// The guest's Ethernet frames: where they go, and the answer to those that may not.
#include "host/launch/qemu/frame.h"

#include <netinet/in.h>
#include <string.h>

#include <shelter/network.h>

#define ETHERNET 14u /* bytes of its head: to, from, type */
#define TYPE_IPV4 0x0800u
#define TYPE_ARP 0x0806u

/* The head's size in bytes; 0: this is no IPv4. */
static size_t ipv4_head(const uint8_t *frame, size_t size)
{
    if (size < ETHERNET + 20 || (uint16_t)sh_frame_read(frame + 12, 2) != TYPE_IPV4 ||
        frame[ETHERNET] >> 4 != 4)
        return 0;
    size_t head = (frame[ETHERNET] & 15u) * 4u;
    return head < 20 || size < ETHERNET + head ? 0 : head;
}

/* What is refused to those who begin: part of a connection, or an answer of a published port?
 * `data` is what IP carries, of its first fragment. */
static bool goes_on(const struct sh_launch_spec *spec, unsigned protocol, const uint8_t *data,
                    size_t size, const uint8_t to[16], uint16_t port)
{
    enum { SYN = 2, ACK = 16 };
    if (protocol == IPPROTO_TCP) /* libslirp opens a connection for a SYN alone */
        return size >= 14 && (data[13] & (SYN | ACK)) != SYN;
    for (size_t i = 0; i < spec->port_count; i++) {
        if (spec->ports[i].udp && spec->ports[i].guest_port == sh_frame_read(data, 2))
            return sh_egress_is_answer(to, port);
    }
    return false;
}

enum sh_frame_verdict sh_frame_judge(const struct sh_launch_spec *spec, const uint8_t *frame,
                                     size_t size)
{
    uint8_t to[16];
    uint16_t port = 0;
    size_t head = ipv4_head(frame, size);
    if (!head)
        return size >= ETHERNET && sh_frame_read(frame + 12, 2) == TYPE_ARP ? SH_FRAME_PASS
                                                                            : SH_FRAME_DROP;
    const uint8_t *ip = frame + ETHERNET, *data = ip + head;
    size_t data_size = size - ETHERNET - head;
    if (ip[12] == 127)
        return SH_FRAME_DROP;
    /* Of a later fragment nobody knows the port. */
    bool first = !(sh_frame_read(ip + 6, 2) & 0x1fff);
    if (first && data_size >= 4 && (ip[9] == IPPROTO_TCP || ip[9] == IPPROTO_UDP))
        port = (uint16_t)sh_frame_read(data + 2, 2);
    sh_egress_map_ipv4(to, ip + 16);
    if (sh_egress_allows(&spec->egress, to, port) ||
        (port && goes_on(spec, ip[9], data, data_size, to, port)))
        return SH_FRAME_PASS;
    return ip[16] >= 224 || ip[9] == IPPROTO_ICMP ? SH_FRAME_DROP : SH_FRAME_REFUSE;
}

static uint16_t checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint16_t)sh_frame_read(data + i, 2);
    if (size & 1)
        sum += (uint32_t)data[size - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

size_t sh_frame_refusal(const uint8_t *frame, size_t size, uint8_t answer[SH_FRAME_REFUSAL_SIZE])
{
    static const uint8_t host[] = {SH_NET_HOST_BYTES};
    static const uint8_t host_mac[] = {SH_FRAME_HOST_MAC};
    size_t head = ipv4_head(frame, size), quoted = head + 8;
    if (quoted > size - ETHERNET)
        quoted = size - ETHERNET;
    uint8_t *ip = answer + ETHERNET, *icmp = ip + 20;
    memset(answer, 0, SH_FRAME_REFUSAL_SIZE);
    memcpy(answer, frame + 6, 6);
    memcpy(answer + 6, host_mac, 6);
    sh_frame_write(answer + 12, 2, TYPE_IPV4);
    ip[0] = 0x45;
    sh_frame_write(ip + 2, 2, (uint16_t)(20 + 8 + quoted));
    ip[8] = 64; /* time to live */
    ip[9] = IPPROTO_ICMP;
    memcpy(ip + 12, host, 4);
    memcpy(ip + 16, frame + ETHERNET + 12, 4);
    sh_frame_write(ip + 10, 2, checksum(ip, 20));
    icmp[0] = 3;  /* destination unreachable */
    icmp[1] = 13; /* administratively prohibited */
    memcpy(icmp + 8, frame + ETHERNET, quoted);
    sh_frame_write(icmp + 2, 2, checksum(icmp, 8 + quoted));
    return ETHERNET + 20 + 8 + quoted;
}

/* --- the loopback of the machine's network namespace --- */

/* Another address in a head, and in the checksums over it (RFC 1624: HC' = ~(~HC + ~m + m')). */
static void change_address(uint8_t *address, const uint8_t to[4], uint8_t *ip_sum, uint8_t *tcp_sum)
{
    uint8_t *const sums[] = {ip_sum, tcp_sum};
    for (int i = 0; i < 2; i++) {
        uint32_t sum = (uint16_t)~sh_frame_read(sums[i], 2);
        for (int k = 0; k < 4; k += 2)
            sum += (uint16_t)~sh_frame_read(address + k, 2) + sh_frame_read(to + k, 2);
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        sh_frame_write(sums[i], 2, (uint16_t)~sum);
    }
    memcpy(address, to, 4);
}

/* The head of TCP of a whole packet from the one to the other; NULL: this is none. */
static uint8_t *find_tcp(uint8_t *frame, size_t size, const uint8_t *from, const uint8_t *to)
{
    size_t head = ipv4_head(frame, size);
    uint8_t *ip = frame + ETHERNET;
    bool whole = head && size >= ETHERNET + head + 20 && ip[9] == IPPROTO_TCP &&
                 !(sh_frame_read(ip + 6, 2) & 0x3fff) && !memcmp(ip + 12, from, 4) &&
                 !memcmp(ip + 16, to, 4);
    return whole ? ip + head : NULL;
}

/* It gets two other ends, and the MAC address `mac` to go to. */
static void change_ends(uint8_t *frame, uint8_t *tcp, const uint8_t *from, const uint8_t *to,
                        const uint8_t mac[6])
{
    static const uint8_t host_mac[] = {SH_FRAME_HOST_MAC};
    uint8_t *ip = frame + ETHERNET;
    memcpy(frame, mac, 6);
    memcpy(frame + 6, host_mac, 6);
    change_address(ip + 12, from, ip + 10, tcp + 16);
    change_address(ip + 16, to, ip + 10, tcp + 16);
}

static const uint8_t loopback[] = {127, 0, 0, 1}, net_host[] = {SH_NET_HOST_BYTES};

/* The pair's place: of one server's, each client has its own. The factor is odd, so place and
 * server say who the client is. */
static uint16_t *find_flow(struct sh_frame_flows *flows, const uint8_t *client, uint16_t server)
{
    return &flows->server[(uint16_t)(sh_frame_read(client, 2) + 40503u * server)];
}

bool sh_frame_from_loopback(const struct sh_launch_spec *spec, struct sh_frame_flows *flows,
                            uint8_t *frame, size_t size)
{
    const uint8_t *own = spec->loopback.address;
    if (!spec->loopback.has)
        return false;
    uint8_t *tcp = find_tcp(frame, size, loopback, loopback);
    bool here = tcp != NULL;
    if (!here && !(tcp = find_tcp(frame, size, net_host, own)))
        return false;
    uint16_t server = (uint16_t)sh_frame_read(tcp + 2, 2), *flow = find_flow(flows, tcp, server);
    if (here)
        *flow = server;
    else if (*flow == server)
        *flow = 0;
    if (here)
        change_ends(frame, tcp, net_host, own, spec->loopback.mac);
    return here;
}

bool sh_frame_to_loopback(const struct sh_launch_spec *spec, struct sh_frame_flows *flows,
                          uint8_t *frame, size_t size)
{
    static const uint8_t host_mac[] = {SH_FRAME_HOST_MAC}; /* the TAP device's, too */
    uint8_t *tcp =
        spec->loopback.has ? find_tcp(frame, size, spec->loopback.address, net_host) : NULL;
    uint16_t server = tcp ? (uint16_t)sh_frame_read(tcp, 2) : 0;
    if (!server || *find_flow(flows, tcp + 2, server) != server)
        return false;
    change_ends(frame, tcp, loopback, loopback, host_mac);
    return true;
}
