// SPDX-License-Identifier: Apache-2.0
// Sending and receiving: sendto, sendmsg and their kin, with files in messages (SCM_RIGHTS).
#include <asm/socket.h>
#include <linux/net.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/net/sock.h"

#define MSG_CTRUNC_ 8
#define MSG_TRUNC_ 0x20
#define MSG_CLOEXEC_ 0x40000000
#define SCM_RIGHTS_ 1
#define CONTROL_MAX 4096u
#define IOV_MAX 1024u

int addr_read(uint64_t from, uint32_t size, struct addr *a);
int addr_write(const struct addr *a, uint64_t to, uint64_t size_at);

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

static long send_to(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to,
                    struct file **files, uint32_t file_count)
{
    struct sock *target = s->peer;
    if (to && to->size && s->type == SOCK_DGRAM) {
        int r = addr_check(s, to);
        if (r)
            return r;
        if (s->family != AF_UNIX && !addr_is_loopback(to)) {
            r = outside_open(s);
            return r ? r : outside_send(f, s, io, flags, to);
        }
        target = name_find(s, to, &r);
        if (!target) /* a datagram to nobody is lost */
            return s->family == AF_UNIX ? r : (long)io->left;
        if (!s->own.size && s->family != AF_UNIX) {
            s->own = *to;
            if ((r = name_ephemeral(s)))
                return r;
        }
    } else if (!target && s->host.handle >= 0) {
        return outside_send(f, s, io, flags, NULL);
    }
    return inside_send(f, s, target, io, flags, files, file_count);
}

long sys_sendto(int fd, uint64_t buf, uint64_t size, int flags, uint64_t addr, uint32_t addr_size)
{
    int r;
    struct file *f;
    struct addr to = {0};
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (addr && (r = addr_read(addr, addr_size, &to)))
        return r;
    struct io_vec v;
    struct io io = io_one(&v, buf, MIN(size, 0x7ffff000u), false);
    file_get(f);
    long n = send_to(f, s, &io, flags, &to, NULL, 0);
    file_put(f);
    return n;
}

static long receive(struct file *f, struct sock *s, struct io *io, int flags, struct addr *from,
                    struct file **files, uint32_t *file_count, bool *cut)
{
    *file_count = 0;
    file_get(f);
    long n;
    if (s->host.handle >= 0 && list_empty(&s->chunks) && !s->peer)
        n = outside_receive(f, s, io, flags, from, cut);
    else
        n = inside_receive(f, s, io, flags, from, files, file_count, cut);
    file_put(f);
    return n;
}

long sys_recvfrom(int fd, uint64_t buf, uint64_t size, int flags, uint64_t addr,
                  uint64_t size_at)
{
    int r;
    struct file *f;
    struct addr from;
    uint32_t files;
    bool cut;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    struct io_vec v;
    struct io io = io_one(&v, buf, MIN(size, 0x7ffff000u), false);
    long n = receive(f, s, &io, flags, &from, NULL, &files, &cut);
    if (n >= 0 && addr && (r = addr_write(&from, addr, size_at)))
        return r;
    return n;
}

/* Files named by SCM_RIGHTS, not counted. */
static int read_rights(const struct user_msghdr *m, struct file **files, uint32_t *count)
{
    uint64_t at = 0;
    *count = 0;
    if (m->control_size > CONTROL_MAX)
        return -ENOBUFS;
    while (m->control && m->control_size - at >= sizeof(struct control_head)) {
        struct control_head h;
        if (user_read(&h, m->control + at, sizeof(h)))
            return -EFAULT;
        if (h.size < sizeof(h) || h.size > m->control_size - at)
            return -EINVAL;
        if (h.level == SOL_SOCKET && h.type == SCM_RIGHTS_) {
            uint64_t n = (h.size - sizeof(h)) / 4;
            for (uint64_t i = 0; i < n; i++) {
                int fd;
                if (*count == RIGHTS_MAX)
                    return -EINVAL;
                if (user_read(&fd, m->control + at + sizeof(h) + i * 4, 4))
                    return -EFAULT;
                if (!(files[*count] = fd_file(fd)))
                    return -EBADF;
                (*count)++;
            }
        }
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

long sys_sendmsg(int fd, uint64_t message, int flags)
{
    int r;
    struct file *f, *files[RIGHTS_MAX];
    struct user_msghdr m;
    struct addr to = {0};
    struct io_vec few[8], *vec;
    struct io io;
    uint32_t count = 0;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (user_read(&m, message, sizeof(m)))
        return -EFAULT;
    if (m.name && m.name_size && (r = addr_read(m.name, m.name_size, &to)))
        return r;
    if (s->family == AF_UNIX && (r = read_rights(&m, files, &count)))
        return r;
    r = read_vectors(&m, few, &vec, &io);
    long n = r;
    if (!r) {
        /* It may wait, and another thread close any of them. */
        file_get(f);
        for (uint32_t i = 0; i < count; i++)
            file_get(files[i]);
        n = send_to(f, s, &io, flags, &to, files, count);
        for (uint32_t i = 0; i < count; i++)
            file_put(files[i]);
        file_put(f);
    }
    if (vec != few)
        los_free(vec);
    return n;
}

/* Installs what came and describes it in the control buffer. */
static int write_rights(struct user_msghdr *m, struct file **files, uint32_t count, bool cloexec)
{
    uint64_t head = sizeof(struct control_head), used = 0;
    uint64_t room = m->control && m->control_size >= head ? (m->control_size - head) / 4 : 0;
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        int fd = -1;
        if (i < room)
            fd = fd_install(files[i], cloexec, 0);
        else
            file_put(files[i]);
        if (fd < 0)
            continue;
        if (user_write(m->control + head + done * 4ul, &fd, 4))
            return -EFAULT;
        done++;
    }
    if (done < count)
        m->flags |= MSG_CTRUNC_;
    if (done) {
        struct control_head h = {head + done * 4ul, SOL_SOCKET, SCM_RIGHTS_};
        if (user_write(m->control, &h, sizeof(h)))
            return -EFAULT;
        used = MIN((h.size + 7) & ~7ull, m->control_size);
    }
    m->control_size = used;
    return 0;
}

long sys_recvmsg(int fd, uint64_t message, int flags)
{
    int r;
    struct file *f, *files[RIGHTS_MAX];
    struct user_msghdr m;
    struct addr from = {0};
    struct io_vec few[8], *vec;
    struct io io;
    uint32_t count = 0;
    bool cut = false;
    struct sock *s = sock_of(fd, &r, &f);
    if (!s)
        return r;
    if (user_read(&m, message, sizeof(m)))
        return -EFAULT;
    r = read_vectors(&m, few, &vec, &io);
    long n = r ? r : receive(f, s, &io, flags, &from, files, &count, &cut);
    if (vec != few)
        los_free(vec);
    if (n < 0)
        return n;
    m.flags = cut ? MSG_TRUNC_ : 0;
    r = write_rights(&m, files, count, flags & MSG_CLOEXEC_);
    if (!r && m.name) {
        if (user_write(m.name, from.bytes, MIN(m.name_size, from.size)))
            r = -EFAULT;
        m.name_size = from.size;
    }
    if (!r)
        r = user_write(message, &m, sizeof(m));
    return r ? r : n;
}

#define MMSG_SIZE 64u /* struct msghdr and the result, padded */
#define MMSG_MAX 1024u
#define MSG_DONTWAIT_ 0x40
#define MSG_WAITFORONE_ 0x10000

/* Several messages; an error after the first is for the next call to find. */
static long several(int fd, uint64_t messages, uint32_t count, int flags,
                    long (*one)(int fd, uint64_t message, int flags))
{
    bool one_waits = flags & MSG_WAITFORONE_;
    count = MIN(count, MMSG_MAX);
    flags &= ~MSG_WAITFORONE_;
    long done = 0;
    for (; done < count; done++) {
        uint64_t message = messages + (uint64_t)done * MMSG_SIZE;
        long n = one(fd, message, flags);
        if (n < 0)
            return done ? done : n;
        uint32_t size = (uint32_t)n;
        if (user_write(message + sizeof(struct user_msghdr), &size, sizeof(size)))
            return done ? done : -EFAULT;
        if (one_waits)
            flags |= MSG_DONTWAIT_;
    }
    return done;
}

long sys_sendmmsg(int fd, uint64_t messages, uint32_t count, int flags)
{
    return several(fd, messages, count, flags, sys_sendmsg);
}

long sys_recvmmsg(int fd, uint64_t messages, uint32_t count, int flags, uint64_t timeout)
{
    return several(fd, messages, count, flags, sys_recvmsg);
}
