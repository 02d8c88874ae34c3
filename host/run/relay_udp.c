// SPDX-License-Identifier: Apache-2.0
// The relay of datagrams.
#include "host/run/relay_udp.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define TURN 32 /* datagrams of one socket before others have their turn */

struct udp_port;
struct udp_client {
    struct sh_watched watched;
    struct udp_port *port;
    int fd; /* connected to the port behind; -1: nobody */
    union sh_address from;
    uint64_t used; /* the port's clock when it last sent or got something */
};

struct udp_port {
    struct sh_watched watched;
    int poll_fd, fd;
    struct sockaddr_in to;
    uint64_t clock;
    struct udp_client clients[SH_RELAY_UDP_CLIENTS];
};

static char datagram[65536];

/* Those that are not connected to the port any more are only found again by their next datagram. */
static void answer_ready(struct sh_watched *w)
{
    struct udp_client *c = (struct udp_client *)w;
    for (int i = 0; i < TURN && c->fd >= 0; i++) {
        ssize_t n = recv(c->fd, datagram, sizeof(datagram), 0);
        if (n < 0)
            return;
        c->used = ++c->port->clock;
        (void)sendto(c->port->fd, datagram, (size_t)n, 0, &c->from.any, sh_address_size(&c->from));
    }
}

static bool same_client(const struct udp_client *c, const union sh_address *a)
{
    if (c->fd < 0 || c->from.any.sa_family != a->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return c->from.four.sin_port == a->four.sin_port &&
               c->from.four.sin_addr.s_addr == a->four.sin_addr.s_addr;
    return c->from.six.sin6_port == a->six.sin6_port &&
           c->from.six.sin6_scope_id == a->six.sin6_scope_id &&
           !memcmp(&c->from.six.sin6_addr, &a->six.sin6_addr, sizeof(a->six.sin6_addr));
}

/* The client's place: its own, a free one, or the one that was silent longest. */
static struct udp_client *find_client(struct udp_port *p, const union sh_address *from)
{
    struct udp_client *oldest = p->clients;
    for (size_t i = 0; i < SH_RELAY_UDP_CLIENTS; i++) {
        struct udp_client *c = &p->clients[i];
        if (same_client(c, from))
            return c;
        if (c->fd < 0 ? oldest->fd >= 0 : oldest->fd >= 0 && c->used < oldest->used)
            oldest = c;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = oldest};
    if (oldest->fd >= 0)
        close(oldest->fd);
    oldest->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    oldest->from = *from;
    if (oldest->fd >= 0 && !connect(oldest->fd, (const struct sockaddr *)&p->to, sizeof(p->to)) &&
        !epoll_ctl(p->poll_fd, EPOLL_CTL_ADD, oldest->fd, &e))
        return oldest;
    if (oldest->fd >= 0)
        close(oldest->fd);
    oldest->fd = -1;
    return NULL;
}

static void port_ready(struct sh_watched *w)
{
    struct udp_port *p = (struct udp_port *)w;
    for (int i = 0; i < TURN; i++) {
        union sh_address from;
        socklen_t size = sizeof(from);
        ssize_t n = recvfrom(p->fd, datagram, sizeof(datagram), 0, &from.any, &size);
        if (n < 0)
            return;
        struct udp_client *c = find_client(p, &from);
        if (!c)
            continue;
        c->used = ++p->clock;
        /* ECONNREFUSED is of an earlier one: nobody listened then. */
        if (send(c->fd, datagram, (size_t)n, 0) < 0)
            (void)send(c->fd, datagram, (size_t)n, 0);
    }
}

bool sh_relay_udp_open(int poll_fd, const union sh_address *at, const struct sockaddr_in *to)
{
    int one = 1;
    struct udp_port *p = sh_alloc(sizeof(*p));
    *p = (struct udp_port){.watched.ready = port_ready, .poll_fd = poll_fd, .to = *to};
    for (size_t i = 0; i < SH_RELAY_UDP_CLIENTS; i++)
        p->clients[i] = (struct udp_client){.watched.ready = answer_ready, .port = p, .fd = -1};
    p->fd = socket(at->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    if (p->fd >= 0 &&
        (at->any.sa_family == AF_INET ||
         !setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) &&
        !bind(p->fd, &at->any, sh_address_size(at)) &&
        !epoll_ctl(poll_fd, EPOLL_CTL_ADD, p->fd, &e))
        return true;
    if (p->fd >= 0)
        close(p->fd);
    free(p);
    return false;
}
