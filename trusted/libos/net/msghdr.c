// SPDX-License-Identifier: Apache-2.0
// sendto, sendmsg and their kin: messages as a program gives and gets them, with what comes beside
// the bytes (control messages): files, credentials, addresses, times.
#include <asm/socket.h>
#include <linux/net.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/time/time.h"

#define CONTROL_MAX 20480u

struct user_msghdr {
    uint64_t name;
    uint32_t name_size, pad;
    uint64_t iov, iov_count;
    uint64_t control, control_size;
    int32_t flags, pad2;
};

struct control_head {
    uint64_t size;
    int32_t level, type;
};

long sys_sendto(int fd, uint64_t buf, uint64_t size, int flags, uint64_t addr, uint32_t addr_size)
{
    int r;
    struct file *f;
    struct addr to = {0};
    struct letter l = {0};
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    file_get(f);
    struct io_vec v;
    struct io io = io_one(&v, buf, MIN(size, RW_MAX), false);
    long n = addr ? addr_read(addr, addr_size, &to) : 0;
    if (!n)
        n = sock_send(f, s, &io, flags, addr ? &to : NULL, &l);
    file_put(f);
    return n;
}

long sys_recvfrom(int fd, uint64_t buf, uint64_t size, int flags, uint64_t addr, uint64_t addr_size)
{
    int r;
    struct file *f;
    struct letter l;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    struct io_vec v;
    struct io io = io_one(&v, buf, MIN(size, RW_MAX), false);
    file_get(f);
    long n = sock_receive(f, s, &io, flags, &l, false, sock_deadline(s->receive_timeout));
    r = n >= 0 && addr ? addr_write(&l.from, addr, addr_size) : 0;
    file_put(f);
    return r ? r : n;
}

/* ---- sending ------------------------------------------------------------------------------------
 */

/* Files named by SCM_RIGHTS, not counted. */
static int read_rights(uint64_t at, uint64_t size, struct letter *l)
{
    for (uint64_t i = 0; i < size / 4; i++) {
        int fd;
        if (l->file_count == RIGHTS_MAX)
            return -EINVAL;
        if (user_read(&fd, at + i * 4, 4))
            return -EFAULT;
        if (!(l->files[l->file_count] = fd_file(fd)))
            return -EBADF;
        l->file_count++;
    }
    return 0;
}

/* One may say of oneself what is true; of whose users, who may become them, anything. */
static int read_credentials(uint64_t at, uint64_t size, struct letter *l)
{
    struct cred c;
    const struct process *p = current();
    if (size != sizeof(c))
        return -EINVAL;
    if (user_read(&c, at, sizeof(c)))
        return -EFAULT;
    bool user = c.uid == p->uid || c.uid == p->euid || c.uid == p->suid || capable(CAP_SETUID);
    bool group = c.gid == p->gid || c.gid == p->egid || c.gid == p->sgid || capable(CAP_SETGID);
    if (c.pid != p->pid || !user || !group)
        return -EPERM;
    if (c.uid == UINT32_MAX || c.gid == UINT32_MAX)
        return -EINVAL;
    l->cred = c;
    return 0;
}

/* IP_PKTINFO, IPV6_PKTINFO: from which of our addresses it is to come. */
static int read_source(bool six, uint64_t at, uint64_t size, struct letter *l)
{
    struct addr a = addr_make(six ? AF_INET6 : AF_INET, 0);
    if (size != (six ? 20 : 12))
        return -EINVAL;
    if (user_read(a.bytes + (six ? 8 : 4), six ? at : at + 4, six ? 16 : 4))
        return -EFAULT;
    if (!addr_is_inside(&a))
        return !six && addr_kind(&a) == ADDR_FOREIGN ? -ENETUNREACH : -EINVAL;
    if (!addr_is_any(&a))
        l->from = a;
    return 0;
}

static int read_one(const struct sock *s, const struct control_head *h, uint64_t at,
                    struct letter *l)
{
    uint64_t size = h->size - sizeof(*h);
    if (h->level == SOL_SOCKET && s->family == AF_UNIX)
        return h->type == SCM_RIGHTS_        ? read_rights(at, size, l)
               : h->type == SCM_CREDENTIALS_ ? read_credentials(at, size, l)
                                             : -EINVAL;
    if (h->level == SOL_SOCKET) /* those two mean nothing there */
        return h->type == SCM_RIGHTS_ || h->type == SCM_CREDENTIALS_ ? 0 : -EINVAL;
    if ((h->level == SOL_IP_ && h->type == 8 && s->family == AF_INET) ||
        (h->level == SOL_IPV6_ && h->type == 50 && s->family == AF_INET6))
        return read_source(h->level == SOL_IPV6_, at, size, l);
    /* Segmentation, for one, would change what is sent. */
    return h->level == SOL_UDP_ ? -EINVAL : 0;
}

static int read_control(const struct sock *s, const struct user_msghdr *m, struct letter *l)
{
    uint64_t at = 0;
    if (m->control_size > CONTROL_MAX)
        return -ENOBUFS;
    while (m->control && m->control_size - at >= sizeof(struct control_head)) {
        struct control_head h;
        if (user_read(&h, m->control + at, sizeof(h)))
            return -EFAULT;
        if (h.size < sizeof(h) || h.size > m->control_size - at)
            return -EINVAL;
        int r = read_one(s, &h, m->control + at + sizeof(h), l);
        if (r)
            return r;
        uint64_t step = (h.size + 7) & ~7ull;
        if (step > m->control_size - at)
            break;
        at += step;
    }
    return 0;
}

static int read_vectors(const struct user_msghdr *m, struct io_vec few[8], struct io_vec **vec,
                        struct io *io)
{
    *vec = few;
    if (m->iov_count > IOV_MAX)
        return -EMSGSIZE;
    if (m->iov_count > 8 && !(*vec = los_alloc(m->iov_count * sizeof(**vec))))
        return -ENOMEM;
    return iov_read(m->iov, m->iov_count, *vec, io);
}

/* It may wait, and another thread close any of them. */
static long send_held(struct file *f, struct sock *s, struct io *io, int flags,
                      const struct addr *to, struct letter *l)
{
    for (uint32_t i = 0; i < l->file_count; i++)
        file_get(l->files[i]);
    struct letter held = *l;
    long n = sock_send(f, s, io, flags, to, l);
    for (uint32_t i = 0; i < held.file_count; i++)
        file_put(held.files[i]);
    return n;
}

static long send_one(struct file *f, struct sock *s, uint64_t message, int flags)
{
    int r;
    struct user_msghdr m;
    struct addr to = {0};
    struct letter l = {0};
    struct io_vec few[8], *vec = few;
    struct io io;
    if (user_read(&m, message, sizeof(m)))
        return -EFAULT;
    if (m.name && m.name_size && (r = addr_read(m.name, m.name_size, &to)))
        return r;
    if (m.control_size)
        call_alone(); /* it may name files */
    r = read_control(s, &m, &l);
    if (!r)
        r = read_vectors(&m, few, &vec, &io);
    long n = r ? r : send_held(f, s, &io, flags, &to, &l);
    if (vec != few)
        los_free(vec);
    return n;
}

long sys_sendmsg(int fd, uint64_t message, int flags)
{
    int r;
    struct file *f;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    file_get(f);
    long n = send_one(f, s, message, flags);
    file_put(f);
    return n;
}

/* ---- receiving ----------------------------------------------------------------------------------
 */

/* One more control message, cut to the room that is left. `used`: bytes so far. */
static int put_control(struct user_msghdr *m, uint64_t *used, int level, int type, const void *data,
                       uint64_t size)
{
    struct control_head h = {sizeof(h) + size, level, type};
    uint64_t room = m->control && m->control_size > *used ? m->control_size - *used : 0;
    if (room < sizeof(h)) {
        m->flags |= MSG_CTRUNC_;
        return 0;
    }
    if (h.size > room) {
        h.size = room;
        m->flags |= MSG_CTRUNC_;
    }
    uint64_t at = m->control + *used;
    if (user_write(at, &h, sizeof(h)) || user_write(at + sizeof(h), data, h.size - sizeof(h)))
        return -EFAULT;
    *used += MIN((h.size + 7) & ~7ull, room);
    return 0;
}

/* Installs the files that came. */
static int put_rights(struct user_msghdr *m, uint64_t *used, struct letter *l, bool cloexec)
{
    uint64_t head = sizeof(struct control_head);
    uint64_t room =
        m->control && m->control_size >= *used + head ? (m->control_size - *used - head) / 4 : 0;
    int fds[RIGHTS_MAX];
    uint32_t done = 0;
    for (uint32_t i = 0; i < l->file_count; i++) {
        int fd = -1;
        if (done < room)
            fd = fd_install(l->files[i], cloexec, 0);
        else
            file_put(l->files[i]);
        if (fd >= 0)
            fds[done++] = fd;
    }
    if (done < l->file_count)
        m->flags |= MSG_CTRUNC_;
    l->file_count = 0;
    return done ? put_control(m, used, SOL_SOCKET, SCM_RIGHTS_, fds, done * 4ul) : 0;
}

static int put_time(struct user_msghdr *m, uint64_t *used, bool fine)
{
    uint64_t now = clock_real();
    int64_t t[2] = {(int64_t)(now / NS), (int64_t)(fine ? now % NS : now % NS / 1000)};
    return put_control(m, used, SOL_SOCKET, fine ? SO_TIMESTAMPNS_OLD : SO_TIMESTAMP_OLD, t,
                       sizeof(t));
}

/* Which interface a datagram came by: 1 loopback, 2 the other. */
static uint32_t interface_of(const struct letter *l)
{
    return addr_kind(&l->from) == ADDR_FOREIGN ? 2 : 1;
}

static int put_datagram_info(const struct sock *s, struct user_msghdr *m, uint64_t *used,
                             const struct letter *l)
{
    uint8_t v4[4], info[20] = {0};
    int32_t ttl = 64, tos = 0;
    uint32_t index = interface_of(l);
    int r = 0;
    bool is4 = addr_v4(&l->to, v4);
    if (s->options[OPT_PKTINFO] && is4) { /* struct in_pktinfo: index, own address, destination */
        memcpy(info, &index, 4);
        memcpy(info + 4, v4, 4);
        memcpy(info + 8, v4, 4);
        r = put_control(m, used, SOL_IP_, 8, info, 12);
    }
    if (!r && s->options[OPT_RECVTTL] && is4)
        r = put_control(m, used, SOL_IP_, 2, &ttl, 4);
    if (!r && s->options[OPT_RECVTOS] && is4)
        r = put_control(m, used, SOL_IP_, 1, &tos, 1);
    if (s->family != AF_INET6)
        return r;
    if (!r && s->options[OPT_RECVPKTINFO6]) { /* struct in6_pktinfo */
        memcpy(info, l->to.bytes + 8, 16);
        memcpy(info + 16, &index, 4);
        r = put_control(m, used, SOL_IPV6_, 50, info, 20);
    }
    if (!r && s->options[OPT_RECVHOPLIMIT6])
        r = put_control(m, used, SOL_IPV6_, 52, &ttl, 4);
    return r;
}

/* struct sock_extended_err, and who said so. */
static int put_refused(const struct sock *s, struct user_msghdr *m, uint64_t *used,
                       const struct letter *l)
{
    bool is4 = s->family == AF_INET;
    struct {
        uint32_t error;
        uint8_t origin, type, code, pad;
        uint32_t info, data;
        uint8_t offender[28];
    } e = {111 /* ECONNREFUSED */, is4 ? 2 : 3 /* ICMP */, is4 ? 3 : 1, is4 ? 3 : 4, 0, 0, 0, {0}};
    struct addr from = l->from;
    addr_set_port(&from, 0);
    memcpy(e.offender, from.bytes, MIN(from.size, sizeof(e.offender)));
    m->flags |= MSG_ERRQUEUE_;
    return put_control(m, used, is4 ? SOL_IP_ : SOL_IPV6_, is4 ? 11 : 25, &e, is4 ? 32 : 44);
}

static int write_control(const struct sock *s, struct user_msghdr *m, struct letter *l,
                         bool cloexec)
{
    uint64_t used = 0;
    int r = 0;
    if (l->none) {
        m->control_size = 0;
        return 0;
    }
    if (s->options[OPT_TIMESTAMP] || s->options[OPT_TIMESTAMPNS])
        r = put_time(m, &used, s->options[OPT_TIMESTAMPNS]);
    if (!r && s->options[OPT_PASSCRED] && s->family == AF_UNIX)
        r = put_control(m, &used, SOL_SOCKET, SCM_CREDENTIALS_, &l->cred, sizeof(l->cred));
    if (!r && l->refused)
        r = put_refused(s, m, &used, l);
    if (!r && s->type == SOCK_DGRAM && l->to.size)
        r = put_datagram_info(s, m, &used, l);
    int files = put_rights(m, &used, l, cloexec);
    m->control_size = used;
    return r ? r : files;
}

long sys_recvmsg(int fd, uint64_t message, int flags)
{
    int r;
    struct file *f;
    struct user_msghdr m;
    struct letter l = {0};
    struct io_vec few[8], *vec = few;
    struct io io;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    file_get(f);
    r = user_read(&m, message, sizeof(m));
    if (!r)
        r = read_vectors(&m, few, &vec, &io);
    long n = r ? r : sock_receive(f, s, &io, flags, &l, true, sock_deadline(s->receive_timeout));
    if (vec != few)
        los_free(vec);
    m.flags = l.truncated ? MSG_TRUNC_ : 0;
    if (l.file_count)
        call_alone(); /* they get descriptors */
    if (n >= 0)
        r = write_control(s, &m, &l, flags & MSG_CLOEXEC_);
    if (n >= 0 && !r && m.name) {
        if (user_write(m.name, l.from.bytes, MIN(m.name_size, l.from.size)))
            r = -EFAULT;
        m.name_size = l.from.size;
    }
    if (n >= 0 && !r)
        r = user_write(message, &m, sizeof(m));
    file_put(f);
    return r ? r : n;
}

#define MMSG_SIZE 64u /* struct msghdr and the result, padded */
#define MMSG_MAX 1024u

/* Several messages; an error after the first is for the next call to find. As on Linux, the
 * deadline is looked at after each one. */
static long move_several(int fd, uint64_t messages, uint32_t count, int flags, uint64_t deadline,
                         long (*one)(int fd, uint64_t message, int flags))
{
    bool one_waits = flags & MSG_WAITFORONE_;
    count = MIN(count, MMSG_MAX);
    flags &= ~MSG_WAITFORONE_;
    long done = 0;
    while (done < count) {
        uint64_t message = messages + (uint64_t)done * MMSG_SIZE;
        long n = one(fd, message, flags);
        if (n < 0)
            return done ? done : n;
        uint32_t size = (uint32_t)n;
        if (user_write(message + sizeof(struct user_msghdr), &size, sizeof(size)))
            return done ? done : -EFAULT;
        done++;
        if (one_waits)
            flags |= MSG_DONTWAIT_;
        if (deadline != NO_DEADLINE && clock_now() >= deadline)
            break;
    }
    return done;
}

long sys_sendmmsg(int fd, uint64_t messages, uint32_t count, int flags)
{
    return move_several(fd, messages, count, flags, NO_DEADLINE, sys_sendmsg);
}

long sys_recvmmsg(int fd, uint64_t messages, uint32_t count, int flags, uint64_t timeout)
{
    uint64_t deadline;
    int r = deadline_from_user(timeout, CLOCK_FROM_NOW, &deadline);
    if (r)
        return r;
    long n = move_several(fd, messages, count, flags, deadline, sys_recvmsg);
    if (n < 0 || !timeout)
        return n;
    uint64_t now = clock_now(), left = deadline > now ? deadline - now : 0;
    struct timespec64 t = {(int64_t)(left / NS), (int64_t)(left % NS)};
    return user_write(timeout, &t, sizeof(t)) ? -EFAULT : n;
}
