// SPDX-License-Identifier: Apache-2.0
// The socket options that are numbers: a table, and what the host's socket gets of them, when they
// are set or when the socket goes outside.
#include <asm/socket.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/net/sock.h"

#define BOOL OPTION_BOOL
#define PASS OPTION_PASS
#define ROOT OPTION_ROOT
#define BYTE OPTION_BYTE
#define EMPTY OPTION_EMPTY

static const struct option table[OPT_COUNT] = {
#define SOCKET_OPTION(NAME, level, number, flags, initial)                                         \
    [OPT_##NAME] = {level, number, (flags) | PASS, initial},
#include <shelter/socket_options.def>
#undef SOCKET_OPTION
    [OPT_BROADCAST] = {SOL_SOCKET, SO_BROADCAST, BOOL, 0},
    [OPT_SNDBUF] = {SOL_SOCKET, SO_SNDBUF, 0, 212992},
    [OPT_RCVBUF] = {SOL_SOCKET, SO_RCVBUF, 0, 212992},
    [OPT_SNDBUFFORCE] = {SOL_SOCKET, SO_SNDBUFFORCE, ROOT, 0},
    [OPT_RCVBUFFORCE] = {SOL_SOCKET, SO_RCVBUFFORCE, ROOT, 0},
    [OPT_PASSCRED] = {SOL_SOCKET, SO_PASSCRED, BOOL, 0},
    [OPT_PRIORITY] = {SOL_SOCKET, SO_PRIORITY, 0, 0},
    [OPT_RCVLOWAT] = {SOL_SOCKET, SO_RCVLOWAT, 0, 1},
    [OPT_DONTROUTE] = {SOL_SOCKET, SO_DONTROUTE, BOOL, 0},
    [OPT_TIMESTAMP] = {SOL_SOCKET, SO_TIMESTAMP_OLD, BOOL, 0},
    [OPT_TIMESTAMPNS] = {SOL_SOCKET, SO_TIMESTAMPNS_OLD, BOOL, 0},
    [OPT_NO_CHECK] = {SOL_SOCKET, SO_NO_CHECK, BOOL, 0},
    [OPT_RXQ_OVFL] = {SOL_SOCKET, SO_RXQ_OVFL, BOOL, 0},
    [OPT_MARK] = {SOL_SOCKET, SO_MARK, ROOT, 0},
    [OPT_BUSY_POLL] = {SOL_SOCKET, SO_BUSY_POLL, 0, 0},
    [OPT_INCOMING_CPU] = {SOL_SOCKET, SO_INCOMING_CPU, 0, 0},
    [OPT_FASTOPEN] = {SOL_TCP_, 23, 0, 0},
    [OPT_TTL] = {SOL_IP_, 2, BYTE, 64},
    [OPT_PKTINFO] = {SOL_IP_, 8, EMPTY | BYTE | BOOL, 0},
    [OPT_MTU_DISCOVER] = {SOL_IP_, 10, EMPTY | BYTE, 1},
    [OPT_RECVERR] = {SOL_IP_, 11, EMPTY | BYTE | BOOL, 0},
    [OPT_RECVTTL] = {SOL_IP_, 12, EMPTY | BYTE | BOOL, 0},
    [OPT_RECVTOS] = {SOL_IP_, 13, EMPTY | BYTE | BOOL, 0},
    [OPT_FREEBIND] = {SOL_IP_, 15, BYTE | BOOL, 0},
    [OPT_MINTTL] = {SOL_IP_, 21, BYTE, 0},
    [OPT_BIND_NO_PORT] = {SOL_IP_, 24, EMPTY | BYTE | BOOL, 0},
    [OPT_MULTICAST_TTL] = {SOL_IP_, 33, BYTE, 1},
    [OPT_MULTICAST_LOOP] = {SOL_IP_, 34, BYTE | BOOL, 1},
    [OPT_MULTICAST_ALL] = {SOL_IP_, 49, BYTE | BOOL, 1},
    [OPT_UNICAST_HOPS] = {SOL_IPV6_, 16, 0, 64},
    [OPT_MULTICAST_HOPS6] = {SOL_IPV6_, 18, 0, 1},
    [OPT_MULTICAST_LOOP6] = {SOL_IPV6_, 19, BOOL, 1},
    [OPT_MTU_DISCOVER6] = {SOL_IPV6_, 23, 0, 1},
    [OPT_RECVERR6] = {SOL_IPV6_, 25, BOOL, 0},
    [OPT_MULTICAST_ALL6] = {SOL_IPV6_, 29, BOOL, 1},
    [OPT_RECVPKTINFO6] = {SOL_IPV6_, 49, BOOL, 0},
    [OPT_RECVHOPLIMIT6] = {SOL_IPV6_, 51, BOOL, 0},
    [OPT_DONTFRAG6] = {SOL_IPV6_, 62, BOOL, 0},
    [OPT_RECVTCLASS6] = {SOL_IPV6_, 66, BOOL, 0},
    [OPT_AUTOFLOWLABEL6] = {SOL_IPV6_, 70, BOOL, 1},
    [OPT_UDP_CORK] = {SOL_UDP_, 1, BOOL, 0},
    [OPT_FREEBIND6] = {SOL_IPV6_, 78, BOOL, 0},
};

void options_init(struct sock *s)
{
    for (int i = 0; i < OPT_COUNT; i++)
        s->options[i] = table[i].initial;
    if (s->type == SOCK_STREAM && s->family != AF_UNIX) {
        s->options[OPT_SNDBUF] = 16384;
        s->options[OPT_RCVBUF] = 131072;
    }
}

void options_inherit(struct sock *s, const struct sock *from)
{
    memcpy(s->options, from->options, sizeof(s->options));
    memcpy(s->changed, from->changed, sizeof(s->changed));
    s->linger = from->linger;
    s->receive_timeout = from->receive_timeout;
    s->send_timeout = from->send_timeout;
}

static bool is_changed(const struct sock *s, int i)
{
    return s->changed[i / 64] >> i % 64 & 1;
}

int option_pass(struct sock *s, int i)
{
    int32_t v = s->options[i];
    return claim_status(
        port_sockopt_set(s->host.handle, table[i].level, table[i].name, &v, sizeof(v)));
}

int option_pass_linger(struct sock *s)
{
    return claim_status(
        port_sockopt_set(s->host.handle, SOL_SOCKET, SO_LINGER, &s->linger, sizeof(s->linger)));
}

void options_pass(struct sock *s)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        if (is_changed(s, i) && table[i].flags & PASS)
            option_pass(s, i);
    }
    if (s->linger.on)
        option_pass_linger(s);
}

const struct option *option_get(int i)
{
    return &table[i];
}
