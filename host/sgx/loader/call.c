// SPDX-License-Identifier: Apache-2.0
// The calls out of the enclave, one function each; the table at the end is all there is.
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "host/sgx/loader/loader.h"
#include "trusted/libos/port.h"

#define NO_DEADLINE UINT64_MAX
#define COMMIT_MAX (64ull << 20) /* bytes at once */

static int64_t or_errno(int64_t r)
{
    return r < 0 ? -errno : r;
}

static uint64_t cap_a(uint64_t size)
{
    return size < SH_SLOT_A_SIZE ? size : SH_SLOT_A_SIZE;
}

static socklen_t cap_b(uint64_t size)
{
    return (socklen_t)(size < SH_SLOT_B_SIZE ? size : SH_SLOT_B_SIZE);
}

static int64_t call_exit(struct loader_thread *t, struct sh_slot *s)
{
    uint64_t n = cap_a(s->size_a);
    memcpy(loader.last_stats, s->a, n);
    loader.last_stats[n] = 0;
    loader_exit((int)(s->args[0] & 0xff), s->args[1] == 1);
}

static int64_t call_log(struct loader_thread *t, struct sh_slot *s)
{
    return loader_log(s->a, cap_a(s->size_a));
}

static int64_t call_read(struct loader_thread *t, struct sh_slot *s)
{
    int fd = loader_handle_fd(s->args[0]);
    int64_t r = fd < 0 ? fd : or_errno(read(fd, s->a, cap_a(s->args[1])));
    s->size_a = r > 0 ? (uint64_t)r : 0;
    return r;
}

static int64_t call_write(struct loader_thread *t, struct sh_slot *s)
{
    int fd = loader_handle_fd(s->args[0]);
    if (s->args[0] == 1 || s->args[0] == 2)
        loader_has_started();
    return fd < 0 ? fd : or_errno(write(fd, s->a, cap_a(s->size_a)));
}

static int64_t call_tty(struct loader_thread *t, struct sh_slot *s)
{
    static const uint64_t requests[] = {0x5401, 0x5401, 0x5402, 0x5413, 0x5414};
    static const uint64_t sizes[] = {0, 36, 0, 8, 0}; /* of what comes back */
    uint64_t what = s->args[1], flags = s->args[2];
    uint8_t scratch[64];
    int fd = loader_handle_fd(s->args[0]);
    if (fd < 0)
        return fd;
    if (what > PORT_TTY_SET_WINDOW || flags > 2)
        return -EINVAL;
    uint64_t request = requests[what] + (what == PORT_TTY_SET ? flags : 0);
    long r = syscall(SYS_ioctl, fd, request, what == PORT_TTY_IS ? scratch : s->a);
    s->size_a = r < 0 ? 0 : sizes[what];
    return or_errno(r);
}

static int64_t call_clock(struct loader_thread *t, struct sh_slot *s)
{
    static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                                    CLOCK_THREAD_CPUTIME_ID};
    struct timespec ts;
    if (s->args[0] > 3 || clock_gettime(ids[s->args[0]], &ts))
        return -EINVAL;
    loader_clock_tell(s);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t wait_token(struct loader_thread *t, uint64_t deadline)
{
    struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
    if (atomic_exchange(&t->token, 0))
        return 0;
    long r = syscall(SYS_futex, &t->token, FUTEX_WAIT_BITSET_PRIVATE, 0,
                     deadline == NO_DEADLINE ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    int e = errno;
    t->token = 0;
    return r < 0 && e != EAGAIN ? -e : 0;
}

static int64_t wait_handles(struct loader_thread *t, struct sh_wait_item *items, unsigned count,
                            uint64_t deadline)
{
    struct pollfd p[PORT_WAIT_MAX + 1];
    struct timespec now, left;
    uint64_t drained;
    if (t->event < 0 && (t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return -errno;
    p[0] = (struct pollfd){.fd = t->event, .events = POLLIN};
    for (unsigned i = 0; i < count; i++) {
        int fd = loader_handle_fd((uint64_t)(int64_t)items[i].handle);
        p[i + 1] = (struct pollfd){.fd = fd, .events = (short)items[i].events};
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t ns = deadline > at ? deadline - at : 0;
    t->polling = 1;
    if (atomic_exchange(&t->token, 0))
        ns = 0;
    left = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    int r = ppoll(p, count + 1, deadline == NO_DEADLINE && ns ? NULL : &left, NULL);
    int e = errno;
    t->polling = 0;
    t->token = 0;
    (void)!read(t->event, &drained, sizeof(drained));
    for (unsigned i = 0; i < count; i++)
        items[i].ready = r > 0 ? (uint16_t)p[i + 1].revents : 0;
    return r < 0 ? -e : 0;
}

static int64_t call_wait(struct loader_thread *t, struct sh_slot *s)
{
    uint64_t count = cap_a(s->size_a) / sizeof(struct sh_wait_item);
    if (count > PORT_WAIT_MAX)
        return -EINVAL;
    int64_t r = count ? wait_handles(t, (struct sh_wait_item *)s->a, (unsigned)count, s->args[0])
                      : wait_token(t, s->args[0]);
    loader_clock_tell(s);
    return r;
}

static int64_t call_wake(struct loader_thread *t, struct sh_slot *s)
{
    struct loader_thread *other = loader_thread_find(s->args[0]);
    if (!other)
        return -ESRCH;
    loader_thread_wake(other);
    return 0;
}

static int64_t call_yield(struct loader_thread *t, struct sh_slot *s)
{
    sched_yield();
    return 0;
}

static int64_t call_thread(struct loader_thread *t, struct sh_slot *s)
{
    return loader_thread_spawn(s->args[0], s->args[1] == 1);
}

static int64_t call_kick(struct loader_thread *t, struct sh_slot *s)
{
    struct loader_thread *other = loader_thread_find(s->args[0]);
    if (!other)
        return -ESRCH;
    loader_thread_kick(other);
    return 0;
}

static int64_t call_restrict(struct loader_thread *t, struct sh_slot *s)
{
    struct sh_error err = {0};
    return sgx_enclave_restrict(&loader.enclave, s->args[0], s->args[1], s->args[2], &err);
}

static int64_t call_set_type(struct loader_thread *t, struct sh_slot *s)
{
    struct sh_error err = {0};
    return sgx_enclave_set_type(&loader.enclave, s->args[0], s->args[1],
                                (enum sgx_page_type)s->args[2], &err);
}

static int64_t call_remove(struct loader_thread *t, struct sh_slot *s)
{
    struct sh_error err = {0};
    return sgx_enclave_remove(&loader.enclave, s->args[0], s->args[1], &err);
}

static int64_t call_commit(struct loader_thread *t, struct sh_slot *s)
{
    const struct sgx_enclave *e = &loader.enclave;
    if (s->args[1] > COMMIT_MAX)
        return -EINVAL;
    return e->driver->populate(e->dev, s->args[0], s->args[1]);
}

static int64_t call_flush(struct loader_thread *t, struct sh_slot *s)
{
    loader_threads_flush(t);
    if (s->args[0] > 4)
        usleep(50);
    return 0;
}

/* Only what the door promises: TCP and UDP. */
static int64_t call_socket(struct loader_thread *t, struct sh_slot *s)
{
    int family = (int)s->args[0], type = (int)s->args[1];
    if ((family != AF_INET && family != AF_INET6) || (type != SOCK_STREAM && type != SOCK_DGRAM))
        return -EAFNOSUPPORT;
    if (loader.options.network == LOADER_NETWORK_NONE)
        return -ENETUNREACH;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : loader_handle_add(fd);
}

/* Sockets are handles from 3 on. */
static int socket_of(const struct sh_slot *s)
{
    return s->args[0] < 3 ? -ENOTSOCK : loader_handle_fd(s->args[0]);
}

static int64_t call_bind(struct loader_thread *t, struct sh_slot *s)
{
    int fd = socket_of(s);
    return fd < 0 ? fd : loader_bind(fd, s->b, cap_b(s->size_b));
}

static int64_t call_listen(struct loader_thread *t, struct sh_slot *s)
{
    int fd = socket_of(s);
    return fd < 0 ? fd : or_errno(listen(fd, (int)s->args[1]));
}

static int64_t call_accept(struct loader_thread *t, struct sh_slot *s)
{
    socklen_t size = SH_SLOT_B_SIZE;
    int fd = socket_of(s);
    if (fd < 0)
        return fd;
    int r = accept4(fd, (void *)s->b, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    s->size_b = r < 0 ? 0 : cap_b(size);
    return r < 0 ? -errno : loader_handle_add(r);
}

static int64_t call_connect(struct loader_thread *t, struct sh_slot *s)
{
    int fd = socket_of(s);
    loader_map_address(s->b, cap_b(s->size_b));
    return fd < 0 ? fd : or_errno(connect(fd, (void *)s->b, cap_b(s->size_b)));
}

static int64_t call_send(struct loader_thread *t, struct sh_slot *s)
{
    int fd = socket_of(s);
    if (fd < 0)
        return fd;
    loader_map_address(s->b, cap_b(s->size_b));
    return or_errno(sendto(fd, s->a, cap_a(s->size_a), MSG_NOSIGNAL,
                           s->size_b ? (void *)s->b : NULL, cap_b(s->size_b)));
}

static int64_t call_recv(struct loader_thread *t, struct sh_slot *s)
{
    socklen_t size = SH_SLOT_B_SIZE;
    int fd = socket_of(s);
    if (fd < 0)
        return fd;
    int64_t r = or_errno(
        recvfrom(fd, s->a, cap_a(s->args[1]), s->args[2] ? MSG_PEEK : 0, (void *)s->b, &size));
    s->size_a = r > 0 ? (uint64_t)r : 0;
    s->size_b = r < 0 ? 0 : cap_b(size);
    loader_seen_address(s->b, (socklen_t)s->size_b);
    return r;
}

static int64_t call_shutdown(struct loader_thread *t, struct sh_slot *s)
{
    int fd = socket_of(s);
    return fd < 0 ? fd : or_errno(shutdown(fd, (int)s->args[1]));
}

static int64_t call_name(struct loader_thread *t, struct sh_slot *s)
{
    socklen_t size = SH_SLOT_B_SIZE;
    int fd = socket_of(s);
    if (fd < 0)
        return fd;
    int r =
        s->args[1] ? getpeername(fd, (void *)s->b, &size) : getsockname(fd, (void *)s->b, &size);
    s->size_b = r < 0 ? 0 : cap_b(size);
    return or_errno(r);
}

static int64_t call_option_get(struct loader_thread *t, struct sh_slot *s)
{
    socklen_t size = cap_b(s->args[3]);
    int fd = socket_of(s);
    if (fd < 0)
        return fd;
    int r = getsockopt(fd, (int)s->args[1], (int)s->args[2], s->b, &size);
    s->size_b = r < 0 ? 0 : cap_b(size);
    return or_errno(r);
}

static int64_t call_option_set(struct loader_thread *t, struct sh_slot *s)
{
    int fd = socket_of(s);
    if (fd < 0)
        return fd;
    return or_errno(setsockopt(fd, (int)s->args[1], (int)s->args[2], s->b, cap_b(s->size_b)));
}

static int64_t call_close(struct loader_thread *t, struct sh_slot *s)
{
    loader_handle_close(s->args[0]);
    return 0;
}

/* Names are the host's business: who answers there, the enclave finds out by keys. */
static int64_t call_resolve(struct loader_thread *t, struct sh_slot *s)
{
    char name[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *i;
    uint64_t n = cap_a(s->size_a), count = 0;
    if (n >= sizeof(name))
        return -ENAMETOOLONG;
    memcpy(name, s->a, n);
    name[n] = 0;
    if (getaddrinfo(name, NULL, &hints, &list))
        return -ENOENT;
    for (i = list; i && count < s->args[0] && count < 16; i = i->ai_next) {
        struct sh_address a = {.family = (uint16_t)i->ai_family};
        if (i->ai_family == AF_INET)
            memcpy(a.bytes, &((struct sockaddr_in *)i->ai_addr)->sin_addr, 4);
        else if (i->ai_family == AF_INET6)
            memcpy(a.bytes, &((struct sockaddr_in6 *)i->ai_addr)->sin6_addr, 16);
        else
            continue;
        memcpy(s->a + count++ * sizeof(a), &a, sizeof(a));
    }
    freeaddrinfo(list);
    s->size_a = count * sizeof(struct sh_address);
    return count ? (int64_t)count : -ENOENT;
}

static int64_t call_quote_target(struct loader_thread *t, struct sh_slot *s)
{
    return loader_quote_target(s);
}

static int64_t call_quote(struct loader_thread *t, struct sh_slot *s)
{
    return loader_quote(s);
}

/* The rest of the enclave's file, for an enclave that needs it. */
static int64_t call_late(struct loader_thread *t, struct sh_slot *s)
{
    uint64_t at = s->args[0], size = cap_a(s->args[1]), all = loader.image.late_size;
    if (at > all || size > all - at)
        return -EINVAL;
    memcpy(s->a, loader.image.late + at, size);
    s->size_a = size;
    return (int64_t)size;
}

void loader_call(struct loader_thread *t)
{
    static int64_t (*const table[SH_CALL_COUNT])(struct loader_thread *, struct sh_slot *) = {
        [SH_CALL_EXIT] = call_exit,
        [SH_CALL_LOG] = call_log,
        [SH_CALL_READ] = call_read,
        [SH_CALL_WRITE] = call_write,
        [SH_CALL_TTY] = call_tty,
        [SH_CALL_CLOCK] = call_clock,
        [SH_CALL_WAIT] = call_wait,
        [SH_CALL_WAKE] = call_wake,
        [SH_CALL_YIELD] = call_yield,
        [SH_CALL_THREAD] = call_thread,
        [SH_CALL_KICK] = call_kick,
        [SH_CALL_RESTRICT] = call_restrict,
        [SH_CALL_SET_TYPE] = call_set_type,
        [SH_CALL_REMOVE] = call_remove,
        [SH_CALL_FLUSH] = call_flush,
        [SH_CALL_COMMIT] = call_commit,
        [SH_CALL_SOCKET] = call_socket,
        [SH_CALL_BIND] = call_bind,
        [SH_CALL_LISTEN] = call_listen,
        [SH_CALL_ACCEPT] = call_accept,
        [SH_CALL_CONNECT] = call_connect,
        [SH_CALL_SEND] = call_send,
        [SH_CALL_RECV] = call_recv,
        [SH_CALL_SHUTDOWN] = call_shutdown,
        [SH_CALL_NAME] = call_name,
        [SH_CALL_OPTION_GET] = call_option_get,
        [SH_CALL_OPTION_SET] = call_option_set,
        [SH_CALL_CLOSE] = call_close,
        [SH_CALL_LATE] = call_late,
        [SH_CALL_RESOLVE] = call_resolve,
        [SH_CALL_QE_TARGET] = call_quote_target,
        [SH_CALL_QUOTE] = call_quote,
        [SH_CALL_CONTROL] = call_control,
        [SH_CALL_ANSWER] = call_answer,
    };
    struct sh_slot *s = t->slot;
    bool known = s->call < SH_CALL_COUNT && table[s->call];
    atomic_fetch_add_explicit(&loader.counts.calls[known ? s->call : 0], 1, memory_order_relaxed);
    s->result = known ? table[s->call](t, s) : -ENOSYS;
}
