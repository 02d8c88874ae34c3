// SPDX-License-Identifier: Apache-2.0
// setsockopt and getsockopt. What neither the table nor this file knows is refused: an option that
// does nothing would be a promise.
#include <asm/poll.h>
#include <asm/socket.h>
#include <linux/net.h>

#include "lib/settings.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/time/time.h"

static int slot_of(const struct sock *s, int level, int name)
{
    bool tcp = s->type == SOCK_STREAM && s->family != AF_UNIX;
    if ((level != SOL_SOCKET && s->family == AF_UNIX) || (level == SOL_TCP_ && !tcp) ||
        (level == SOL_UDP_ && tcp) || (level == SOL_IPV6_ && s->family != AF_INET6))
        return -1;
    for (int i = 0; i < OPT_COUNT; i++) {
        if (option_get(i)->level == level && option_get(i)->name == name)
            return i;
    }
    return -1;
}

static long set_timeout(uint64_t *to, uint64_t from, uint64_t size)
{
    int64_t tv[2];
    if (size < sizeof(tv))
        return -EINVAL;
    if (user_read(tv, from, sizeof(tv)))
        return -EFAULT;
    if (tv[1] < 0 || tv[1] > 999999)
        return -EDOM;
    *to = tv[0] < 0 || tv[0] > 1l << 32 ? 0 : (uint64_t)tv[0] * NS + (uint64_t)tv[1] * 1000;
    return 0;
}

static long set_linger(struct sock *s, uint64_t from, uint32_t size)
{
    struct sock_linger l;
    if (size < sizeof(l))
        return -EINVAL;
    if (user_read(&l, from, sizeof(l)))
        return -EFAULT;
    l.on = l.on != 0;
    s->linger = l;
    return s->host.handle >= 0 ? option_pass_linger(s) : 0;
}

/* Twice what was asked for, as Linux keeps it, within its bounds. */
static int32_t buffer_size(int32_t v, int32_t least)
{
    v = v < 0 || v > 212992 ? 212992 : v;
    return MAX(v * 2, least);
}

/* TCP_DEFER_ACCEPT is kept as a number of tries: seconds up to the end of one. */
static int32_t whole_tries(int32_t seconds)
{
    int32_t at = 0;
    for (int32_t wait = 1; at < seconds && wait < 64; wait *= 2)
        at += wait;
    return seconds > 0 ? at : 0;
}

static long set_value(struct sock *s, int i, int32_t v)
{
    uint16_t flags = option_get(i)->flags;
    int32_t given = v;
    if (flags & OPTION_ROOT && current()->euid)
        return -EPERM;
    if (flags & OPTION_BOOL)
        v = v != 0;
    if ((i == OPT_TTL && v != -1 && (v < 1 || v > 255)) || (i == OPT_V6ONLY && s->own.size))
        return -EINVAL;
    if ((i == OPT_USER_TIMEOUT && v < 0) || (i == OPT_FASTOPEN && s->state >= SOCK_CONNECTING))
        return -EINVAL;
    if ((i == OPT_KEEPIDLE || i == OPT_KEEPINTVL) && (v < 1 || v > 32767))
        return -EINVAL;
    if ((i == OPT_KEEPCNT || i == OPT_SYNCNT) && (v < 1 || v > 127))
        return -EINVAL;
    bool stream = s->type == SOCK_STREAM;
    if (i == OPT_PASSCRED && s->family != AF_UNIX && s->family != AF_NETLINK)
        return -EOPNOTSUPP;
    if (stream && (i == OPT_MULTICAST_TTL || i == OPT_MULTICAST_HOPS6))
        return i == OPT_MULTICAST_TTL ? -EINVAL : -ENOPROTOOPT;
    if (i == OPT_MULTICAST_LOOP6 && (given < 0 || given > 1))
        return -EINVAL;
    if (stream && (i == OPT_TOS || i == OPT_TCLASS6))
        v &= ~3; /* ECN is TCP's own */
    if (i == OPT_RCVLOWAT && !v)
        v = 1;
    if (i == OPT_DEFER_ACCEPT)
        v = whole_tries(v);
    if (i == OPT_SNDBUF || i == OPT_SNDBUFFORCE)
        v = buffer_size(v, 4608), i = OPT_SNDBUF;
    if (i == OPT_RCVBUF || i == OPT_RCVBUFFORCE)
        v = buffer_size(v, 2304), i = OPT_RCVBUF;
    if (i == OPT_TTL && v == -1)
        v = 64;
    lock_take(&s->lock, RANK_OBJECT);
    s->options[i] = v;
    s->changed[i / 64] |= 1ull << i % 64;
    lock_give(&s->lock);
    return s->host.handle >= 0 && option_get(i)->flags & OPTION_PASS ? option_pass(s, i) : 0;
}

/* Names of congestion controls and the like; of devices. */
static long set_text(struct sock *s, int level, int name, uint64_t from, uint32_t size)
{
    char text[16] = "";
    if (user_read(text, from, MIN(size, sizeof(text) - 1)))
        return -EFAULT;
    if (level == SOL_SOCKET) /* SO_BINDTODEVICE */
        return !text[0] || !strcmp(text, "lo") || (settings.outside && !strcmp(text, "eth0"))
                   ? 0
                   : -ENODEV;
    /* TCP_CONGESTION; TCP_ULP: no TLS in here */
    return name == 13 && (!strcmp(text, "cubic") || !strcmp(text, "reno")) ? 0 : -ENOENT;
}

/* Options that are no number, or whose number means nothing here. */
static long set_other(struct sock *s, int level, int name, uint64_t from, uint32_t size)
{
    bool is4 = level == SOL_IP_, is6 = level == SOL_IPV6_ && s->family == AF_INET6;
    bool tcp = level == SOL_TCP_ && s->type == SOCK_STREAM && s->family != AF_UNIX;
    int32_t v;
    if (s->family == AF_UNIX && level != SOL_SOCKET)
        return -EOPNOTSUPP;
    if ((level == SOL_SOCKET && name == SO_BINDTODEVICE) || (tcp && (name == 13 || name == 31)))
        return set_text(s, level, name, from, size);
    if (level == SOL_SOCKET || tcp)
        return size < sizeof(v) ? -EINVAL : user_read(&v, from, sizeof(v)) ? -EFAULT : -ENOPROTOOPT;
    if (is4 && name == 19 /* IP_TRANSPARENT */)
        return -EPERM;
    if (is4 && (name == 32 || name == 50)) /* IP_MULTICAST_IF, IP_UNICAST_IF */
        return 0;
    if (is6 &&
        (name == 17 || name == 24 || name == 76)) /* IPV6_MULTICAST_IF, IPV6_MTU, IPV6_UNICAST_IF */
        return 0;
    /* No groups: nothing that is sent to one arrives or leaves. */
    if ((is4 && (name == 35 || name == 39)) || (is6 && name == 20) ||
        ((is4 || is6) && (name == 42 || name == 46)))
        return -ENODEV;
    if ((is4 && (name == 36 || name == 40)) || (is6 && name == 21) ||
        ((is4 || is6) && (name == 45 || name == 47)))
        return -EADDRNOTAVAIL;
    return -ENOPROTOOPT;
}

/* Linux's order: what there is of a value, the value, then whether there is such an option. */
static long set_option(struct file *f, struct sock *s, int level, int name, uint64_t from,
                       uint32_t size)
{
    int32_t v = 0;
    if ((int32_t)size < 0)
        return -EINVAL;
    int i = slot_of(s, level, name);
    bool is_time = level == SOL_SOCKET && (name == SO_RCVTIMEO_OLD || name == SO_SNDTIMEO_OLD);
    bool is_linger = level == SOL_SOCKET && name == SO_LINGER;
    if (i < 0 && !is_time && !is_linger)
        return set_other(s, level, name, from, size);
    if (i == OPT_MULTICAST_HOPS6 && s->type == SOCK_STREAM && size < sizeof(v))
        return -ENOPROTOOPT;
    if (size < sizeof(v) && (i < 0 || !(option_get(i)->flags & OPTION_BYTE)))
        return -EINVAL;
    if (!size && !(option_get(i)->flags & OPTION_EMPTY))
        return -EINVAL;
    if (size && user_read(&v, from, MIN(size, sizeof(v))))
        return -EFAULT;
    if (is_time)
        return set_timeout(name == SO_RCVTIMEO_OLD ? &s->receive_timeout : &s->send_timeout, from,
                           size);
    if (is_linger)
        return set_linger(s, from, size);
    long result = set_value(s, i, v);
    if (i == OPT_UDP_CORK && !v) /* what was kept goes; whether it does is not told */
        sock_send_kept(f, s);
    return result;
}

/* Beside others, where the option is the socket's own affair. */
static bool is_own_affair(const struct sock *s, int level, int name)
{
    int i = slot_of(s, level, name);
    bool named = i == OPT_REUSEADDR || i == OPT_REUSEPORT || i == OPT_V6ONLY || i == OPT_UDP_CORK;
    return s->host.handle < 0 && !named && (i >= 0 || level == SOL_SOCKET);
}

long sys_setsockopt(int fd, int level, int name, uint64_t from, uint32_t size)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (s && !is_own_affair(s, level, name) && call_alone())
        s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    file_get(f); /* the value may have to be brought in */
    long result = set_option(f, s, level, name, from, size);
    file_put(f);
    return result;
}

static int32_t take_error(struct sock *s)
{
    int32_t error = -s->error;
    uint32_t size = sizeof(error);
    s->error = 0;
    if (error || s->host.handle < 0 || s->state == SOCK_LISTENING)
        return error;
    if (s->state == SOCK_CONNECTING) {
        outside_settle(s);
        error = -s->error;
        s->error = 0;
        return error;
    }
    if (port_sockopt_get(s->host.handle, SOL_SOCKET, SO_ERROR, &error, &size))
        return 5; /* EIO */
    s->host.ready &= ~(uint32_t)POLLERR;
    return -claim_status(-(long)error);
}

/* struct tcp_info: our own word on the state; of what is outside, the host's on the rest. */
static uint32_t tcp_info(struct sock *s, uint8_t *out, uint32_t size)
{
    uint32_t n = size;
    bool theirs = s->peer_gone || (s->peer && s->peer->write_shut);
    if (s->host.handle < 0 || s->state == SOCK_LISTENING ||
        claim_status(port_sockopt_get(s->host.handle, SOL_TCP_, 11, out, &n)) || n > size) {
        static const uint32_t loopback[] = {65483, 65483}; /* what fits into one packet */
        memset(out, 0, size);
        if (s->state == SOCK_CONNECTED)
            memcpy(out + 16, loopback, sizeof(loopback)); /* tcpi_snd_mss, tcpi_rcv_mss */
        n = size;
    }
    out[0] = s->state == SOCK_LISTENING                                ? 10
             : s->state == SOCK_CONNECTING                             ? 2
             : s->state != SOCK_CONNECTED || (theirs && s->write_shut) ? 7
             : theirs                                                  ? 8
             : s->write_shut                                           ? 5 /* FIN_WAIT2 */
                                                                       : 1;
    return n;
}

#define INFO_SIZE 232u

/* Those that can only be asked, or are no number. Their size, or -ENOPROTOOPT. */
static long get_other(struct sock *s, int level, int name, uint8_t out[INFO_SIZE])
{
    int32_t *v = (int32_t *)out;
    bool tcp = s->type == SOCK_STREAM && s->family != AF_UNIX;
    if (level == SOL_TCP_ && tcp && name == 11)
        return tcp_info(s, out, INFO_SIZE);
    if (level == SOL_TCP_ && tcp && name == 13) {
        memcpy(out, "cubic", 6);
        return 16;
    }
    if (s->family != AF_UNIX &&
        ((level == SOL_IP_ && name == 14) || (level == SOL_IPV6_ && name == 24))) {
        v[0] = s->host.handle >= 0 ? 1500 : 65536; /* IP_MTU */
        return s->other.size ? 4 : -ENOTCONN;
    }
    if (level == SOL_IP_ && (name == 32 || name == 4) && s->family != AF_UNIX)
        return name == 4 ? 0 : 4;
    if (level != SOL_SOCKET) {
        bool known = level == SOL_IP_ || (level == SOL_IPV6_ && s->family == AF_INET6) ||
                     (level == SOL_TCP_ && tcp);
        return s->family == AF_UNIX || (s->family == AF_INET && !known) ? -EOPNOTSUPP
                                                                        : -ENOPROTOOPT;
    }
    uint64_t timeout = name == SO_RCVTIMEO_OLD ? s->receive_timeout : s->send_timeout;
    int64_t tv[2] = {(int64_t)(timeout / NS), (int64_t)(timeout % NS / 1000)};
    switch (name) {
    case SO_ERROR:
        v[0] = take_error(s);
        return 4;
    case SO_TYPE:
        v[0] = s->type;
        return 4;
    case SO_DOMAIN:
        v[0] = s->family;
        return 4;
    case SO_PROTOCOL:
        v[0] = s->family == AF_UNIX ? 0 : s->type == SOCK_STREAM ? 6 : 17;
        return 4;
    case SO_ACCEPTCONN:
        v[0] = s->state == SOCK_LISTENING;
        return 4;
    case SO_LINGER:
        memcpy(out, &s->linger, sizeof(s->linger));
        return sizeof(s->linger);
    case SO_PEERCRED:
        memcpy(out, &s->peer_cred, sizeof(s->peer_cred));
        return sizeof(s->peer_cred);
    case SO_RCVTIMEO_OLD:
    case SO_SNDTIMEO_OLD:
        memcpy(out, tv, sizeof(tv));
        return sizeof(tv);
    case SO_BINDTODEVICE:
    case SO_SNDLOWAT:
        v[0] = name == SO_SNDLOWAT;
        return name == SO_SNDLOWAT ? 4 : 0;
    default:
        return -ENOPROTOOPT;
    }
}

/* A number that the socket itself keeps is got beside others. */
long sys_getsockopt(int fd, int level, int name, uint64_t to, uint64_t size_at)
{
    int r;
    uint32_t size = 0;
    uint8_t out[INFO_SIZE] = {0};
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (s && (user_read(&size, size_at, sizeof(size)) || (int32_t)size < 0))
        return (int32_t)size < 0 ? -EINVAL : -EFAULT;
    if (s && slot_of(s, level, name) < 0)
        call_alone();
    s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    int i = slot_of(s, level, name);
    long n = 4;
    if (i == OPT_PASSCRED && s->family != AF_UNIX && s->family != AF_NETLINK)
        return -EOPNOTSUPP;
    if (i == OPT_SNDBUFFORCE || i == OPT_RCVBUFFORCE)
        return -ENOPROTOOPT; /* they are only set */
    lock_take(&s->lock, RANK_OBJECT);
    if (i >= 0)
        memcpy(out, &s->options[i], 4);
    lock_give(&s->lock);
    if (i < 0)
        n = get_other(s, level, name, out);
    if (n < 0)
        return n;
    uint32_t count = MIN((uint32_t)n, size);
    if (user_write(to, out, count))
        return -EFAULT;
    return user_write(size_at, &count, sizeof(count));
}
