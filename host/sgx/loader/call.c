// SPDX-License-Identifier: Apache-2.0
// The calls out of the enclave, one function each; <shelter/calls_out.def> is all there is.
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/sgx/loader/loader.h"

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

int64_t call_exit(struct loader_thread *t, struct sh_slot *s, int status, uint64_t own)
{
    uint64_t n = cap_a(s->size_a);
    memcpy(loader.last_stats, s->a, n);
    loader.last_stats[n] = 0;
    loader_rings_drain();
    loader_exit(status & 0xff, own == 1);
}

int64_t call_log(struct loader_thread *t, struct sh_slot *s)
{
    return loader_log(s->a, cap_a(s->size_a));
}

int64_t call_read(struct loader_thread *t, struct sh_slot *s, uint64_t handle, uint64_t size)
{
    int fd = loader_handle_fd(handle);
    loader_ring_lock(handle);
    int64_t r = fd < 0 ? fd : loader_ring_receive(handle);
    bool ended = !r && loader_ring_ended(handle);
    loader_ring_unlock(handle);
    if (!r && !ended)
        r = or_errno(read(fd, s->a, cap_a(size)));
    s->size_a = r > 0 ? (uint64_t)r : 0;
    return r;
}

int64_t call_write(struct loader_thread *t, struct sh_slot *s, uint64_t handle)
{
    int fd = loader_handle_fd(handle);
    if (fd < 0)
        return fd;
    if (handle != 1 && handle != 2)
        return or_errno(write(fd, s->a, cap_a(s->size_a)));
    loader_has_started();
    return loader_ring_write(handle, s->a, cap_a(s->size_a));
}

int64_t call_tty(struct loader_thread *t, struct sh_slot *s, uint64_t handle, uint64_t what)
{
    bool has = what == SH_TTY_WINDOW && loader_pump_window((uint16_t *)s->a);
    s->size_a = has ? 8 : 0;
    return has ? 0 : -ENOTTY;
}

/* The kernel's number for the processor time of a thread (clock_getcpuclockid(3)). */
static clockid_t thread_clock(int tid)
{
    return (clockid_t)(~(unsigned)tid << 3 | 6);
}

int64_t call_clock(struct loader_thread *t, struct sh_slot *s, uint64_t which, uint64_t tcs)
{
    static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID};
    const struct loader_thread *other = which == 3 ? loader_thread_find(tcs) : NULL;
    struct timespec ts;
    if (which > 3 || (which == 3 && (!other || !other->tid)))
        return -EINVAL;
    if (clock_gettime(other ? thread_clock(other->tid) : ids[which], &ts))
        return -EINVAL;
    loader_clock_tell(s);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t call_wake(struct loader_thread *t, struct sh_slot *s, uint64_t tcs)
{
    struct loader_thread *other = loader_thread_find(tcs);
    if (!other)
        return -ESRCH;
    loader_thread_wake(other);
    return 0;
}

int64_t call_yield(struct loader_thread *t, struct sh_slot *s)
{
    sched_yield();
    return 0;
}

int64_t call_thread(struct loader_thread *t, struct sh_slot *s, uint64_t tcs, uint64_t service)
{
    return loader_thread_spawn(tcs, service == 1);
}

int64_t call_kick(struct loader_thread *t, struct sh_slot *s, uint64_t tcs)
{
    struct loader_thread *other = loader_thread_find(tcs);
    if (!other)
        return -ESRCH;
    loader_thread_kick(other);
    return 0;
}

int64_t call_flush(struct loader_thread *t, struct sh_slot *s, uint64_t tries)
{
    loader_threads_flush(t);
    if (tries > 4)
        usleep(50);
    return 0;
}

int64_t call_socket(struct loader_thread *t, struct sh_slot *s, int family, int type)
{
    int fd = outside_socket(family, type);
    return fd < 0 ? fd : type == SOCK_STREAM ? loader_ring_add(fd) : loader_handle_add(fd);
}

/* Sockets are handles from 3 on. */
static int socket_of(uint64_t handle)
{
    return handle < 3 ? -ENOTSOCK : loader_handle_fd(handle);
}

/* The address stands in B, bytes to send in A. */
static int64_t ask_network(int fd, enum outside_question kind, int backlog, struct sh_slot *s)
{
    const struct iovec address = {s->b, s->size_b},
                       bytes = {s->a, kind == OUTSIDE_SEND ? cap_a(s->size_a) : 0};
    return outside_socket_ask(fd, kind, backlog, &address, &bytes);
}

int64_t call_bind(struct loader_thread *t, struct sh_slot *s, uint64_t handle)
{
    int fd = socket_of(handle);
    return fd < 0 ? fd : ask_network(fd, OUTSIDE_BIND, 0, s);
}

int64_t call_connect(struct loader_thread *t, struct sh_slot *s, uint64_t handle)
{
    int fd = socket_of(handle);
    return fd < 0 ? fd : ask_network(fd, OUTSIDE_CONNECT, 0, s);
}

int64_t call_listen(struct loader_thread *t, struct sh_slot *s, uint64_t handle, int backlog)
{
    int fd = socket_of(handle);
    int64_t r = fd < 0 ? fd : ask_network(fd, OUTSIDE_LISTEN, backlog, s);
    if (!r)
        loader_ring_listens(handle);
    return r;
}

int64_t call_accept(struct loader_thread *t, struct sh_slot *s, uint64_t handle)
{
    socklen_t size = SH_SLOT_B_SIZE;
    int fd = socket_of(handle);
    if (fd < 0)
        return fd;
    int r = accept4(fd, (void *)s->b, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    s->size_b = r < 0 ? 0 : cap_b(size);
    return r < 0 ? -errno : loader_ring_add(r);
}

int64_t call_send(struct loader_thread *t, struct sh_slot *s, uint64_t handle, uint64_t more)
{
    int fd = socket_of(handle);
    if (fd < 0)
        return fd;
    if (s->size_b)
        return ask_network(fd, OUTSIDE_SEND, 0, s);
    int flags = MSG_NOSIGNAL | (more == 1 ? MSG_MORE : 0);
    loader_ring_lock(handle);
    int64_t r = loader_ring_send(handle);
    if (!r)
        r = or_errno(send(fd, s->a, cap_a(s->size_a), flags));
    loader_ring_unlock(handle);
    return r;
}

int64_t call_recv(struct loader_thread *t, struct sh_slot *s, uint64_t handle, uint64_t size,
                  uint64_t peek)
{
    socklen_t addr_size = SH_SLOT_B_SIZE;
    int fd = socket_of(handle);
    if (fd < 0)
        return fd;
    loader_ring_lock(handle);
    int64_t r = loader_ring_receive(handle);
    if (!r)
        r = or_errno(
            recvfrom(fd, s->a, cap_a(size), peek ? MSG_PEEK : 0, (void *)s->b, &addr_size));
    loader_ring_unlock(handle);
    s->size_a = r > 0 ? (uint64_t)r : 0;
    s->size_b = r < 0 ? 0 : cap_b(addr_size);
    outside_seen_address(s->b, (socklen_t)s->size_b);
    return r;
}

int64_t call_available(struct loader_thread *t, struct sh_slot *s, uint64_t handle)
{
    int n = 0, fd = socket_of(handle);
    return fd < 0 ? fd : ioctl(fd, FIONREAD, &n) ? -errno : n;
}

int64_t call_shutdown(struct loader_thread *t, struct sh_slot *s, uint64_t handle, int how)
{
    int fd = socket_of(handle);
    return fd < 0 ? fd : loader_ring_shutdown(handle, fd, how);
}

int64_t call_name(struct loader_thread *t, struct sh_slot *s, uint64_t handle, uint64_t peer)
{
    socklen_t size = SH_SLOT_B_SIZE;
    int fd = socket_of(handle);
    if (fd < 0)
        return fd;
    int r = peer ? getpeername(fd, (void *)s->b, &size) : getsockname(fd, (void *)s->b, &size);
    s->size_b = r < 0 ? 0 : cap_b(size);
    return or_errno(r);
}

int64_t call_option_get(struct loader_thread *t, struct sh_slot *s, uint64_t handle, int level,
                        int name, uint64_t size)
{
    socklen_t room = cap_b(size);
    int fd = socket_of(handle);
    if (fd < 0)
        return fd;
    int r = getsockopt(fd, level, name, s->b, &room);
    s->size_b = r < 0 ? 0 : cap_b(room);
    if (!r && level == SOL_SOCKET && name == SO_ERROR && room == sizeof(int)) {
        loader_ring_lock(handle);
        int error = -(int)loader_ring_error(handle);
        loader_ring_unlock(handle);
        if (error)
            memcpy(s->b, &error, sizeof(error));
    }
    return or_errno(r);
}

int64_t call_option_set(struct loader_thread *t, struct sh_slot *s, uint64_t handle, int level,
                        int name)
{
    int fd = socket_of(handle);
    if (fd < 0)
        return fd;
    return or_errno(setsockopt(fd, level, name, s->b, cap_b(s->size_b)));
}

int64_t call_close(struct loader_thread *t, struct sh_slot *s, uint64_t handle)
{
    loader_handle_close(handle);
    return 0;
}

/* Asks the helper about what stands in A, where its answer comes. */
static int64_t ask_helper(struct sh_slot *s, enum outside_help kind, uint64_t most)
{
    int64_t r = outside_help(kind, s->a, cap_a(s->size_a), s->a, cap_a(most));
    s->size_a = r < 0 ? 0 : (uint64_t)r;
    return r;
}

/* Names are the host's business: who answers there, the enclave finds out by keys. */
int64_t call_resolve(struct loader_thread *t, struct sh_slot *s, uint64_t most)
{
    const uint64_t one = sizeof(struct sh_address);
    int64_t r = s->size_a > 255 ? -ENAMETOOLONG : ask_helper(s, OUTSIDE_RESOLVE, UINT64_MAX);
    uint64_t count = r < 0 ? 0 : (uint64_t)r / one;
    s->size_a = (count < most ? count : most) * one;
    return r < 0 ? r : (int64_t)(s->size_a / one);
}

int64_t call_qe_target(struct loader_thread *t, struct sh_slot *s)
{
    s->size_a = 0;
    return ask_helper(s, OUTSIDE_TARGET, UINT64_MAX);
}

int64_t call_quote(struct loader_thread *t, struct sh_slot *s, uint64_t most)
{
    return ask_helper(s, OUTSIDE_QUOTE, most);
}

int64_t call_share(struct loader_thread *t, struct sh_slot *s)
{
    struct sh_share_request q;
    if (s->size_b != sizeof(q) || s->size_a > SH_SLOT_A_SIZE)
        return -EINVAL;
    memcpy(&q, s->b, sizeof(q));
    int64_t r = outside_share(&q, s->a, s->size_a, s->a);
    s->size_a = r > 0 ? (uint64_t)r : 0;
    return r;
}

/* The rest of the enclave's file, for an enclave that needs it. */
int64_t call_lazy(struct loader_thread *t, struct sh_slot *s, uint64_t offset, uint64_t size)
{
    uint64_t all = loader.image.lazy_size;
    size = cap_a(size);
    if (offset > all || size > all - offset)
        return -EINVAL;
    memcpy(s->a, loader.image.lazy + offset, size);
    s->size_a = size;
    return (int64_t)size;
}

/* As many of the slot's arguments as there are parameters, each as narrow as its parameter. */
#define ARGUMENTS(...) NTH(0 __VA_OPT__(, ) __VA_ARGS__, FOUR, THREE, TWO, ONE, NONE)
#define NTH(_0, _1, _2, _3, _4, n, ...) n
#define NONE
#define ONE , s->args[0]
#define TWO ONE, s->args[1]
#define THREE TWO, s->args[2]
#define FOUR THREE, s->args[3]

static int64_t serve_call(struct loader_thread *t, struct sh_slot *s, uint64_t call)
{
    switch (call) {
#define CALL_OUT(number, NAME, name, ...)                                                          \
    case number:                                                                                   \
        return call_##name(t, s ARGUMENTS(__VA_ARGS__));
#include <shelter/calls_out.def>
#undef CALL_OUT
    default:
        return -ENOSYS;
    }
}

void loader_serve_call(struct loader_thread *t)
{
    struct sh_slot *s = t->slot;
    uint64_t call = s->call;
    t->inside = false;
    loader_rings_flush();
    atomic_fetch_add_explicit(&loader.counts.calls[call < SH_CALL_COUNT ? call : 0], 1,
                              memory_order_relaxed);
    s->result = serve_call(t, s, call);
    loader_rings_inside(t);
}
