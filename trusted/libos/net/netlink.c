// SPDX-License-Identifier: Apache-2.0
// NETLINK_ROUTE as far as programs ask it who they are: links, addresses and routes (rtnetlink(7)).
// What would change something is refused. Answers are queued at once, to be received as datagrams.
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "trusted/libos/net/interface.h"
#include "trusted/libos/net/sock.h"

#define REQUEST_MAX 8192u
#define ANSWER_MAX 1024u /* two interfaces with all that is said of them */

struct answer {
    struct sock *to;
    const struct nlmsghdr *request;
    uint32_t port;
    uint32_t used;
    uint8_t bytes[ANSWER_MAX];
};

static uint32_t own_port(const struct sock *s)
{
    uint32_t port = 0;
    if (s->own.size)
        memcpy(&port, s->own.bytes + 4, sizeof(port));
    return port;
}

int netlink_bind(struct sock *s, const struct addr *a)
{
    static uint32_t next; /* the first one has the process's number, as on Linux */
    s->own = *a;
    s->own.size = sizeof(struct sockaddr_nl);
    uint32_t port = own_port(s);
    if (!port)
        port = next++ ? 0x80000000u + next : (uint32_t)current()->pid;
    memcpy(s->own.bytes + 4, &port, sizeof(port));
    return 0;
}

/* Room for `size` bytes, zeroed; the answers are few enough. */
static void *put_bytes(struct answer *a, uint32_t size)
{
    uint32_t at = a->used;
    a->used += NLMSG_ALIGN(size);
    if (a->used > ANSWER_MAX)
        stop("a netlink answer is too long");
    return memset(a->bytes + at, 0, NLMSG_ALIGN(size));
}

static struct nlmsghdr *begin_message(struct answer *a, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = put_bytes(a, sizeof(*h));
    h->nlmsg_type = type;
    h->nlmsg_flags = flags;
    h->nlmsg_seq = a->request->nlmsg_seq;
    h->nlmsg_pid = a->port;
    return h;
}

static void end_message(struct answer *a, struct nlmsghdr *h)
{
    h->nlmsg_len = (uint32_t)(a->bytes + a->used - (uint8_t *)h);
}

static void put_attribute(struct answer *a, uint16_t type, const void *data, uint32_t size)
{
    struct rtattr *r = put_bytes(a, (uint32_t)RTA_LENGTH(size));
    r->rta_type = type;
    r->rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(RTA_DATA(r), data, size);
}

static void put_number(struct answer *a, uint16_t type, uint32_t value)
{
    put_attribute(a, type, &value, sizeof(value));
}

static int deliver_answer(struct answer *a)
{
    struct letter l = {.from.size = sizeof(struct sockaddr_nl)};
    l.from.family = AF_NETLINK;
    return a->used ? inside_deliver(a->to, a->bytes, a->used, &l) : 0;
}

static void put_link(struct answer *a, const struct interface *n, uint16_t flags)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255}, zero[6];
    uint8_t up = 6 /* IF_OPER_UP */, mode = 0;
    struct nlmsghdr *h = begin_message(a, RTM_NEWLINK, flags);
    struct ifinfomsg *i = put_bytes(a, sizeof(*i));
    i->ifi_type = n->type;
    i->ifi_index = n->index;
    i->ifi_flags = n->flags | 0x10000 /* IFF_LOWER_UP */;
    put_attribute(a, IFLA_IFNAME, n->name, (uint32_t)strlen(n->name) + 1);
    put_number(a, IFLA_TXQLEN, 1000);
    put_attribute(a, IFLA_OPERSTATE, &up, 1);
    put_attribute(a, IFLA_LINKMODE, &mode, 1);
    put_number(a, IFLA_MTU, n->mtu);
    put_number(a, IFLA_GROUP, 0);
    put_attribute(a, IFLA_QDISC, "noqueue", 8);
    put_attribute(a, IFLA_ADDRESS, n->mac, 6);
    put_attribute(a, IFLA_BROADCAST, n->index == 1 ? zero : broadcast, 6);
    end_message(a, h);
}

static void put_address(struct answer *a, const struct interface *n)
{
    uint8_t broadcast[4];
    struct nlmsghdr *h = begin_message(a, RTM_NEWADDR, NLM_F_MULTI);
    struct ifaddrmsg *i = put_bytes(a, sizeof(*i));
    for (int at = 0, bits = n->prefix; at < 4; at++, bits -= 8)
        broadcast[at] = (uint8_t)(n->ip[at] | (bits >= 8 ? 0 : bits > 0 ? 0xff >> bits : 0xff));
    i->ifa_family = AF_INET;
    i->ifa_prefixlen = n->prefix;
    i->ifa_flags = IFA_F_PERMANENT;
    i->ifa_scope = n->index == 1 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
    i->ifa_index = (uint32_t)n->index;
    put_attribute(a, IFA_ADDRESS, n->ip, 4);
    put_attribute(a, IFA_LOCAL, n->ip, 4);
    if (n->index != 1)
        put_attribute(a, IFA_BROADCAST, broadcast, 4);
    put_attribute(a, IFA_LABEL, n->name, (uint32_t)strlen(n->name) + 1);
    put_number(a, IFA_FLAGS, IFA_F_PERMANENT);
    end_message(a, h);
}

static void put_address6(struct answer *a)
{
    static const uint8_t loopback[16] = {[15] = 1};
    struct nlmsghdr *h = begin_message(a, RTM_NEWADDR, NLM_F_MULTI);
    struct ifaddrmsg *i = put_bytes(a, sizeof(*i));
    i->ifa_family = AF_INET6;
    i->ifa_prefixlen = 128;
    i->ifa_flags = IFA_F_PERMANENT;
    i->ifa_scope = RT_SCOPE_HOST;
    i->ifa_index = 1;
    put_attribute(a, IFA_ADDRESS, loopback, 16);
    put_number(a, IFA_FLAGS, IFA_F_PERMANENT);
    end_message(a, h);
}

/* By eth0: to everywhere through the gateway, and to its own net. */
static void put_route(struct answer *a, const struct interface *n, bool everywhere)
{
    static const uint8_t gateway[4] = {SH_NET_HOST_BYTES};
    uint8_t net[4] = {n->ip[0], n->ip[1], n->ip[2], 0};
    struct nlmsghdr *h = begin_message(a, RTM_NEWROUTE, NLM_F_MULTI);
    struct rtmsg *r = put_bytes(a, sizeof(*r));
    r->rtm_family = AF_INET;
    r->rtm_dst_len = everywhere ? 0 : n->prefix;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = everywhere ? RTPROT_BOOT : RTPROT_KERNEL;
    r->rtm_scope = everywhere ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    r->rtm_type = RTN_UNICAST;
    put_number(a, RTA_TABLE, RT_TABLE_MAIN);
    if (everywhere)
        put_attribute(a, RTA_GATEWAY, gateway, 4);
    else
        put_attribute(a, RTA_DST, net, 4);
    if (!everywhere)
        put_attribute(a, RTA_PREFSRC, n->ip, 4);
    put_number(a, RTA_OIF, (uint32_t)n->index);
    end_message(a, h);
}

/* Everything of a kind, in one datagram, then the end in another, as Linux does. */
static int dump_interfaces(struct answer *a, uint8_t family)
{
    const struct interface *n;
    uint16_t type = a->request->nlmsg_type;
    for (uint32_t i = 0; (n = interface_get(i)); i++) {
        if (type == RTM_GETLINK)
            put_link(a, n, NLM_F_MULTI);
        else if (type == RTM_GETADDR && family != AF_INET6)
            put_address(a, n);
        else if (type == RTM_GETROUTE && family != AF_INET6 && n->index != 1)
            put_route(a, n, true), put_route(a, n, false);
    }
    if (type == RTM_GETADDR && family != AF_INET)
        put_address6(a);
    int r = deliver_answer(a);
    if (r)
        return r;
    a->used = 0;
    struct nlmsghdr *h = begin_message(a, NLMSG_DONE, NLM_F_MULTI);
    put_bytes(a, 4);
    end_message(a, h);
    return deliver_answer(a);
}

static int put_error(struct answer *a, int code)
{
    struct nlmsghdr *h = begin_message(a, NLMSG_ERROR, code ? 0 : NLM_F_CAPPED);
    struct nlmsgerr *e = put_bytes(a, sizeof(*e));
    e->error = code;
    e->msg = *a->request;
    end_message(a, h);
    return deliver_answer(a);
}

/* The link that is named by its index, or by IFLA_IFNAME. */
static const struct interface *wanted_link(const struct nlmsghdr *h)
{
    const struct interface *n;
    const struct ifinfomsg *i = NLMSG_DATA(h);
    uint32_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*i));
    char name[16] = "";
    const struct rtattr *r = (const void *)((const uint8_t *)i + NLMSG_ALIGN(sizeof(*i)));
    for (; left >= sizeof(*r) && r->rta_len >= sizeof(*r) && r->rta_len <= left;
         left -= MIN(left, RTA_ALIGN(r->rta_len)),
         r = (const void *)((const uint8_t *)r + RTA_ALIGN(r->rta_len))) {
        if (r->rta_type == IFLA_IFNAME)
            memcpy(name, RTA_DATA(r), MIN(r->rta_len - sizeof(*r), sizeof(name) - 1));
    }
    for (uint32_t k = 0; (n = interface_get(k)); k++) {
        if (i->ifi_index ? n->index == i->ifi_index : name[0] && !strcmp(n->name, name))
            return n;
    }
    return NULL;
}

static int serve_request(struct answer *a)
{
    const struct nlmsghdr *h = a->request;
    bool dumps = (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    uint8_t family = h->nlmsg_len > NLMSG_HDRLEN ? *(const uint8_t *)NLMSG_DATA(h) : 0;
    if (!(h->nlmsg_flags & NLM_F_REQUEST) || h->nlmsg_type < NLMSG_MIN_TYPE)
        return h->nlmsg_flags & NLM_F_ACK ? put_error(a, 0) : 0;
    if (h->nlmsg_len <= NLMSG_HDRLEN)
        return put_error(a, -EINVAL);
    bool known = h->nlmsg_type == RTM_GETLINK || h->nlmsg_type == RTM_GETADDR ||
                 h->nlmsg_type == RTM_GETROUTE;
    if ((h->nlmsg_type - RTM_BASE) % 4 != 2) /* not RTM_GET* */
        return put_error(a, -EPERM);
    if (!known)
        return put_error(a, -EOPNOTSUPP);
    if (dumps)
        return dump_interfaces(a, family);
    if (h->nlmsg_type != RTM_GETLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
        return put_error(a, -EOPNOTSUPP);
    const struct interface *n = wanted_link(h);
    if (!n)
        return put_error(a, -ENODEV);
    put_link(a, n, 0);
    int r = deliver_answer(a);
    a->used = 0;
    return r || !(h->nlmsg_flags & NLM_F_ACK) ? r : put_error(a, 0);
}

/* Each message of the datagram in its turn. */
static long serve_all(struct sock *s, const uint8_t *bytes, uint32_t size)
{
    int r = 0;
    struct answer *a = los_alloc(sizeof(*a));
    if (!a)
        return -ENOBUFS;
    for (uint32_t at = 0; !r && size - at >= sizeof(struct nlmsghdr);) {
        const struct nlmsghdr *h = (const void *)(bytes + at);
        if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > size - at)
            break;
        *a = (struct answer){.to = s, .request = h, .port = own_port(s)};
        r = serve_request(a);
        at += MIN(NLMSG_ALIGN(h->nlmsg_len), size - at);
    }
    los_free(a);
    return r;
}

long netlink_send(struct sock *s, struct io *io)
{
    uint32_t size = (uint32_t)MIN(io->left, REQUEST_MAX);
    struct addr any = {.size = sizeof(struct sockaddr_nl)};
    if (io->left > REQUEST_MAX)
        return -EMSGSIZE;
    any.family = AF_NETLINK;
    if (!s->own.size)
        netlink_bind(s, &any);
    if (s->queued > QUEUE_SIZE) /* nobody reads the answers */
        return -ENOBUFS;
    uint8_t *bytes = los_alloc(size + 8);
    if (!bytes)
        return -ENOBUFS;
    long r = io_get(io, bytes, size);
    if (!r)
        r = serve_all(s, bytes, size);
    los_free(bytes);
    return r ? r : (long)size;
}
