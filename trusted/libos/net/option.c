// SPDX-License-Identifier: Apache-2.0
// Socket options: remembered inside; the few that matter outside are passed on.
#include <asm/socket.h>
#include <linux/net.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/time/time.h"

#define LEVEL_TCP 6
#define LEVEL_IP 0
#define LEVEL_IPV6 41
#define IPV6_V6ONLY_ 26

/* What a program may set on the host's socket. */
static bool passes(int level, int name)
{
    if (level == SOL_SOCKET)
        return name == SO_REUSEADDR || name == SO_KEEPALIVE || name == SO_BROADCAST ||
               name == SO_LINGER || name == SO_REUSEPORT || name == SO_OOBINLINE;
    if (level == LEVEL_TCP)
        return name >= 1 && name <= 6; /* NODELAY ... KEEPCNT */
    return level == LEVEL_IPV6 && name == IPV6_V6ONLY_;
}

static int slot_of(int name)
{
    switch (name) {
    case SO_REUSEADDR:
        return 0;
    case SO_KEEPALIVE:
        return 1;
    case SO_BROADCAST:
        return 2;
    case SO_SNDBUF:
        return 3;
    case SO_RCVBUF:
        return 4;
    case SO_REUSEPORT:
        return 5;
    case SO_PASSCRED:
        return 6;
    case SO_OOBINLINE:
        return 7;
    default:
        return -1;
    }
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

long sys_setsockopt(int fd, int level, int name, uint64_t from, uint32_t size)
{
    int r;
    uint8_t value[16] = {0};
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
        return set_timeout(name == SO_RCVTIMEO ? &s->receive_timeout : &s->send_timeout, from,
                           size);
    if (size < 4)
        return -EINVAL;
    if (user_read(value, from, MIN(size, sizeof(value))))
        return -EFAULT;
    if (level == LEVEL_IPV6 && name == IPV6_V6ONLY_)
        s->v6_only = value[0];
    int slot = level == SOL_SOCKET ? slot_of(name) : -1;
    if (slot >= 0)
        memcpy(&s->options[slot], value, 4);
    if (level == LEVEL_TCP && passes(level, name))
        memcpy(&s->tcp_options[name], value, 4);
    if (s->host.handle >= 0 && passes(level, name)) {
        return claim_status(
            port_sockopt_set(s->host.handle, level, name, value, MIN(size, (uint32_t)sizeof(value))));
    }
    bool known = slot >= 0 || passes(level, name) || level == LEVEL_TCP || level == LEVEL_IP ||
                 level == LEVEL_IPV6 || (level == SOL_SOCKET && name == SO_PRIORITY);
    return known ? 0 : -ENOPROTOOPT;
}

static int32_t take_error(struct sock *s)
{
    int32_t error = -s->error;
    uint32_t size = sizeof(error);
    s->error = 0;
    if (s->host.handle < 0 || s->state == SOCK_LISTENING)
        return error;
    if (port_sockopt_get(s->host.handle, SOL_SOCKET, SO_ERROR, &error, &size))
        return 5; /* EIO */
    error = -claim_status(-(long)error);
    if (s->state == SOCK_CONNECTING)
        s->state = error ? SOCK_NEW : SOCK_CONNECTED;
    return error;
}

long sys_getsockopt(int fd, int level, int name, uint64_t to, uint64_t size_at)
{
    int r;
    uint32_t size, n = 4;
    int32_t value[4] = {0};
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (user_read(&size, size_at, sizeof(size)))
        return -EFAULT;
    if ((int32_t)size < 0)
        return -EINVAL;
    int slot = level == SOL_SOCKET ? slot_of(name) : -1;
    uint64_t timeout = name == SO_RCVTIMEO ? s->receive_timeout : s->send_timeout;
    if (slot >= 0) {
        value[0] = s->options[slot];
        if (!value[0] && (name == SO_SNDBUF || name == SO_RCVBUF))
            value[0] = (int32_t)QUEUE_SIZE;
    } else if (level == SOL_SOCKET) {
        switch (name) {
        case SO_ERROR:
            value[0] = take_error(s);
            break;
        case SO_TYPE:
            value[0] = s->type;
            break;
        case SO_DOMAIN:
            value[0] = s->family;
            break;
        case SO_PROTOCOL:
            value[0] = s->family == AF_UNIX ? 0 : s->type == SOCK_STREAM ? 6 : 17;
            break;
        case SO_ACCEPTCONN:
            value[0] = s->state == SOCK_LISTENING;
            break;
        case SO_LINGER:
            n = 8;
            break;
        case SO_PEERCRED:
            value[0] = current()->pid;
            value[1] = (int32_t)current()->euid;
            value[2] = (int32_t)current()->egid;
            n = 12;
            break;
        case SO_RCVTIMEO:
        case SO_SNDTIMEO: {
            int64_t tv[2] = {(int64_t)(timeout / NS), (int64_t)(timeout % NS / 1000)};
            memcpy(value, tv, sizeof(tv));
            n = sizeof(tv);
            break;
        }
        default:
            return -ENOPROTOOPT;
        }
    } else if (s->host.handle >= 0 && passes(level, name)) {
        r = claim_status(port_sockopt_get(s->host.handle, level, name, value, &n));
        if (r || n > sizeof(value))
            return r ? r : -EIO;
    } else if (level == LEVEL_TCP && passes(level, name)) {
        value[0] = s->tcp_options[name];
    } else if (level != LEVEL_TCP && level != LEVEL_IP && level != LEVEL_IPV6) {
        return -ENOPROTOOPT;
    }
    n = MIN(n, size);
    if (user_write(to, value, n))
        return -EFAULT;
    return user_write(size_at, &n, sizeof(n));
}
