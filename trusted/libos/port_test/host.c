// SPDX-License-Identifier: Apache-2.0
// Port `test`: pages, threads, waiting, time and calls out as an ordinary Linux process makes them.
#include "lib/settings.h"
#include "trusted/libos/base/processor.h"
#include "trusted/libos/port_test/host.h"

#include <linux/mman.h>
#include <asm/poll.h>
#include <linux/eventpoll.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/time.h>

#define USER_START 0x10000ul
#define USER_END (1ul << 46)
#define ZONE_SIZE (1ul << 30)
#define RESERVE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

int host_root_fd = -1, host_sites_fd = -1;

static bool has_failed(long r)
{
    return (unsigned long)r > -4096ul;
}

int host_reserve(struct port_info *info)
{
    long r = host_call(__NR_mmap, USER_START, USER_END - USER_START, PROT_NONE,
                       RESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (has_failed(r))
        return (int)r;
    info->user_start = USER_START;
    info->user_end = USER_END;
    r = host_call(__NR_mmap, 0, ZONE_SIZE, PROT_NONE, RESERVE, -1, 0);
    if (has_failed(r))
        return (int)r;
    info->zone_start = (uint64_t)r;
    info->zone_end = (uint64_t)r + ZONE_SIZE;
    return 0;
}

int port_pages_add(uint64_t addr, uint64_t count, int prot)
{
    return (int)host_call(__NR_mprotect, addr, count << PAGE_SHIFT, prot);
}

void port_pages_expect(const struct sh_pages *runs, unsigned count)
{
}

uint32_t port_known_count(void)
{
    return 0;
}

uint64_t port_known_use(uint32_t n)
{
    return UINT64_MAX;
}

void port_use(uint64_t page)
{
}

int port_pages_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot)
{
    int r = port_pages_add(addr, count, PROT_READ | PROT_WRITE);
    for (uint64_t i = 0; !r && i < count; i++)
        memcpy((void *)(addr + (i << PAGE_SHIFT)), sources[i], PAGE_SIZE);
    return r ? r : port_pages_add(addr, count, prot);
}

int port_pages_protect(uint64_t addr, uint64_t count, int old, int prot)
{
    return (int)host_call(__NR_mprotect, addr, count << PAGE_SHIFT, prot);
}

void port_pages_remove(const struct sh_pages *runs, unsigned count)
{
    for (; count; count--, runs++)
        host_call(__NR_mmap, runs->addr, runs->size, PROT_NONE, RESERVE | MAP_FIXED, -1, 0);
}

uint64_t host_guarded(uint64_t size)
{
    long r =
        host_call(__NR_mmap, 0, size + PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (has_failed(r) ||
        port_pages_add((uint64_t)r + PAGE_SIZE, size >> PAGE_SHIFT, PROT_READ | PROT_WRITE))
        return 0;
    return (uint64_t)r + PAGE_SIZE;
}

static struct port_thread *blocks;

struct port_thread *host_thread_new(void)
{
    for (struct port_thread *p = blocks; p; p = p->next) {
        if (!__atomic_load_n(&p->alive, __ATOMIC_ACQUIRE)) {
            p->alive = 1;
            p->token = p->polling = 0;
            return p;
        }
    }
    long r = host_call(__NR_mmap, 0, page_up(sizeof(struct port_thread)), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (has_failed(r))
        return NULL;
    struct port_thread *p = (struct port_thread *)r;
    p->alive = 1;
    p->event = -1;
    p->next = blocks;
    blocks = p;
    return p;
}

#ifndef LIBOS_UNIT
__attribute__((used)) static void child(struct thread *t)
{
    struct port_thread *p = t->port;
    p->tid = (int32_t)host_call(__NR_gettid);
    host_thread_init(t);
    los_thread_main(t);
}

#define START_FLAGS                                                                                \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |            \
     CLONE_CHILD_CLEARTID)

int port_thread_start(struct thread *t)
{
    struct port_thread *p = host_thread_new();
    if (!p)
        return -ENOMEM;
    t->port = p;
    uint64_t *stack = (uint64_t *)t->stack_top;
    *--stack = (uint64_t)t;
    long r;
    register long r10 __asm__("r10") = (long)&p->alive;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "pop %%rdi\n\t"
                     "call child\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(r)
                     : "a"(__NR_clone), "D"(START_FLAGS), "S"(stack), "d"(0), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    if (r < 0)
        p->alive = 0;
    return r < 0 ? (int)r : 0;
}

/* After *gone is set the stack may be freed: exit needs none. */
void port_thread_exit(uint32_t *gone)
{
    __asm__ volatile("movl $1, (%0)\n\t"
                     "syscall\n\t"
                     "ud2"
                     :
                     : "r"(gone), "a"(__NR_exit), "D"(0)
                     : "memory");
    __builtin_unreachable();
}
#endif

/* What would be a call out of the enclave. */
#define call_out(...) (stats_count(calls_out), host_call(__VA_ARGS__))

/* Never called: port_info.lends is false. */
void port_thread_lend(struct thread *t, struct thread *next)
{
    stop("this port lends nothing");
}

void port_thread_return(struct thread *to, uint32_t *gone)
{
    stop("this port lends nothing");
}

void port_thread_yield(void)
{
    call_out(__NR_sched_yield);
}

void port_wake(struct thread *t)
{
    struct port_thread *p = t->port;
    uint64_t one = 1;
    __atomic_store_n(&p->token, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&p->polling, __ATOMIC_SEQ_CST))
        call_out(__NR_write, p->event, &one, sizeof(one));
    else
        call_out(__NR_futex, &p->token, FUTEX_WAKE_PRIVATE, 1);
}

void port_wake_at_end(struct thread *t)
{
    port_wake(t);
}

static int wait_token(struct port_thread *p, uint64_t deadline)
{
    struct __kernel_timespec ts = {(long long)(deadline / 1000000000u),
                                   (long long)(deadline % 1000000000u)};
    if (__atomic_exchange_n(&p->token, 0, __ATOMIC_SEQ_CST))
        return 0;
    long r = call_out(__NR_futex, &p->token, FUTEX_WAIT_BITSET_PRIVATE, 0,
                      deadline == NO_DEADLINE ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    __atomic_store_n(&p->token, 0, __ATOMIC_SEQ_CST);
    return r == -EAGAIN ? 0 : (int)r;
}

long port_set(void)
{
    return call_out(__NR_epoll_create1, 0x80000 /* CLOEXEC */);
}

static void make_changes(int32_t set, const struct port_event *e, uint32_t count)
{
    for (; count; count--, e++) {
        struct epoll_event ev = {.events = e->events | EPOLLET,
                                 .data = (uint64_t)e->tag << 32 | (uint32_t)e->handle};
        if (!e->events)
            host_call(__NR_epoll_ctl, set, EPOLL_CTL_DEL, e->handle, &ev);
        else if (host_call(__NR_epoll_ctl, set, EPOLL_CTL_ADD, e->handle, &ev) == -EEXIST)
            host_call(__NR_epoll_ctl, set, EPOLL_CTL_MOD, e->handle, &ev);
    }
}

#define FOUND_MAX 128u

/* What the set has, behind the answers. */
static void take_found(struct port_wait *w)
{
    struct epoll_event found[FOUND_MAX];
    struct port_event *to = w->items + w->changes + w->asks;
    long n = host_call(__NR_epoll_wait, w->set, found, MIN(w->room, FOUND_MAX), 0);
    w->count = n > 0 ? (uint32_t)n : 0;
    for (uint32_t i = 0; i < w->count; i++)
        to[i] = (struct port_event){.handle = (int32_t)found[i].data,
                                    .ready = (uint16_t)found[i].events,
                                    .tag = (uint32_t)(found[i].data >> 32)};
}

int port_wait(struct thread *t, struct port_wait *w, uint64_t deadline)
{
    struct port_thread *p = t->port;
    struct pollfd
        fds[PORT_WAIT_MAX / 8 + 2]; /* asks beyond are for another time: ready for no reason */
    uint64_t drained;
    if (!w)
        return wait_token(p, deadline);
    uint32_t asks = MIN(w->asks, PORT_WAIT_MAX / 8);
    struct port_event *ask = w->items + w->changes;
    if (p->event < 0)
        p->event = (int32_t)host_call(__NR_eventfd2, 0, 0x80800 /* CLOEXEC | NONBLOCK */);
    make_changes(w->set, w->items, w->changes);
    fds[0] = (struct pollfd){.fd = p->event, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = w->room ? w->set : -1, .events = POLLIN};
    for (uint32_t i = 0; i < w->asks; i++) {
        ask[i].ready = i < asks ? 0 : ask[i].events;
        if (i < asks)
            fds[i + 2] = (struct pollfd){.fd = ask[i].handle, .events = (short)ask[i].events};
        else
            deadline = 0;
    }
    uint64_t now = deadline && deadline != NO_DEADLINE ? port_clock(PORT_CLOCK_MONOTONIC) : 0;
    uint64_t left = deadline > now ? deadline - now : 0;
    __atomic_store_n(&p->polling, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&p->token, 0, __ATOMIC_SEQ_CST))
        left = 0;
    struct __kernel_timespec ts = {(long long)(left / 1000000000u),
                                   (long long)(left % 1000000000u)};
    long r =
        call_out(__NR_ppoll, fds, asks + 2, deadline == NO_DEADLINE && left ? NULL : &ts, NULL, 8);
    __atomic_store_n(&p->polling, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&p->token, 0, __ATOMIC_SEQ_CST);
    if (r > 0 && fds[0].revents)
        host_call(__NR_read, p->event, &drained, sizeof(drained));
    w->count = 0;
    if (r > 0 && fds[1].revents)
        take_found(w);
    for (uint32_t i = 0; r > 0 && i < asks; i++)
        ask[i].ready = (uint16_t)fds[i + 2].revents;
    return 0;
}

int port_image_read(uint32_t number, uint64_t offset, void *buf, uint32_t size)
{
    if (number) /* the runner of this port brings no data */
        return -EIO;
    return host_call(__NR_pread64, host_root_fd, buf, size, offset) == (long)size ? 0 : -EIO;
}

int port_sites_read(uint64_t offset, void *buf, uint32_t size)
{
    return host_call(__NR_pread64, host_sites_fd, buf, size, offset) == (long)size ? 0 : -EIO;
}

/* The runner of this port brings no volumes. */
int64_t port_volume_size(uint32_t number)
{
    return -ENOENT;
}

int port_volume_read(uint32_t number, uint64_t offset, void *buf, uint32_t size)
{
    return -EIO;
}

int port_volume_write(uint32_t number, uint64_t offset, const void *buf, uint32_t size)
{
    return -EIO;
}

int port_volume_flush(uint32_t number)
{
    return -EIO;
}

/* Nor folders. */
long port_share(const struct sh_share_request *q, const void *data, uint32_t size, void *out,
                uint32_t *out_size)
{
    return -ENOENT;
}

void port_volume_discard(uint32_t number, uint64_t offset, uint64_t size)
{
}

long port_read(int32_t handle, void *buf, uint32_t size)
{
    return port_stream_allowed(handle, false) ? call_out(__NR_read, handle, buf, size) : -EBADF;
}

long port_write(int32_t handle, const void *buf, uint32_t size)
{
    return port_stream_allowed(handle, true) ? call_out(__NR_write, handle, buf, size) : -EBADF;
}

int port_window(void *window)
{
    return settings.terminal ? (int)call_out(__NR_ioctl, 0, 0x5413, window) : -ENOTTY;
}

long port_socket(int family, int type)
{
    return call_out(__NR_socket, family, type | 0x80800, 0);
}
long port_bind(int32_t handle, const void *addr, uint32_t size)
{
    return call_out(__NR_bind, handle, addr, size);
}
long port_listen(int32_t handle, uint32_t backlog)
{
    return call_out(__NR_listen, handle, backlog);
}
long port_accept(int32_t handle, void *addr, uint32_t *size)
{
    return call_out(__NR_accept4, handle, addr, size, 0x80800);
}
long port_connect(int32_t handle, const void *addr, uint32_t size)
{
    return call_out(__NR_connect, handle, addr, size);
}
long port_available(int32_t handle)
{
    int32_t n = 0;
    long r = call_out(__NR_ioctl, handle, 0x541b /* FIONREAD */, &n);
    return r < 0 ? r : n;
}
long port_send(int32_t handle, const void *buf, uint32_t size, const void *addr, uint32_t addr_size,
               bool more)
{
    int flags = 0x4000 /* MSG_NOSIGNAL */ | (more ? 0x8000 /* MSG_MORE */ : 0);
    return call_out(__NR_sendto, handle, buf, size, flags, addr, addr_size);
}
long port_recv(int32_t handle, void *buf, uint32_t size, void *addr, uint32_t *addr_size, bool peek)
{
    return call_out(__NR_recvfrom, handle, buf, size, peek ? 2 : 0, addr, addr_size);
}
/* There are none: each call is the host's at once. */
uint32_t port_ring_put(struct port_ring *p, int32_t handle, const void *buf, uint32_t size,
                       bool more)
{
    return 0;
}
uint32_t port_ring_take(struct port_ring *p, int32_t handle, void *buf, uint32_t size, bool peek,
                        enum port_left *left)
{
    return 0;
}
bool port_ring_exists(int32_t handle)
{
    return false;
}
bool port_ring_close(int32_t handle)
{
    return false;
}
long port_shutdown(int32_t handle, int how)
{
    return call_out(__NR_shutdown, handle, how);
}
long port_name(int32_t handle, int what, void *addr, uint32_t *size)
{
    return call_out(what ? __NR_getpeername : __NR_getsockname, handle, addr, size);
}
long port_sockopt_get(int32_t handle, int level, int name, void *value, uint32_t *size)
{
    return call_out(__NR_getsockopt, handle, level, name, value, size);
}
long port_sockopt_set(int32_t handle, int level, int name, const void *value, uint32_t size)
{
    return call_out(__NR_setsockopt, handle, level, name, value, size);
}
void port_close(int32_t handle)
{
    call_out(__NR_close, handle);
}

void port_session_end(uint32_t session, uint32_t code, uint32_t signal)
{
}

int port_control(struct sh_control_request *request)
{
    return -ENOSYS; /* nobody asks: los_host_control is never called */
}

void port_answer(uint32_t id, int error, const char *text, uint32_t size)
{
}

void port_log(const char *text, uint32_t size)
{
    call_out(__NR_write, 2, text, size);
}

static uint64_t read_clock(int id)
{
    struct __kernel_timespec ts = {0, 0};
    call_out(__NR_clock_gettime, id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t port_clock(enum port_clock which)
{
    static const int ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID};
    return read_clock(ids[which]);
}

uint64_t port_thread_clock(struct thread *t)
{
    const struct port_thread *p = t->port;
    return p && p->tid ? read_clock((int)(~(uint32_t)p->tid << 3 | 6)) : 0;
}

int port_random(void *buf, size_t size)
{
    return processor_random(buf, size);
}

/* It is there. */
int port_lazy_load(void)
{
    return 0;
}

/* No TEE here: nothing to report. */
long port_report(const uint8_t data[64], const void *target, void *report, uint32_t size)
{
    return -ENODEV;
}
int port_seal_key(bool config, uint8_t key[16])
{
    return -ENODEV;
}
long port_quote(const uint8_t data[64], void *quote, uint32_t size)
{
    return -ENODEV;
}

/* No resolver without a libc. */
long port_resolve(const char *name, struct port_address *out, uint32_t count)
{
    return -ENOENT;
}
