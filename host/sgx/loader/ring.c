// SPDX-License-Identifier: Apache-2.0
// The rings of <shelter/enclave.h>: what the enclave queued is sent at each exit of any of its
// threads, what it waits for is brought while it is outside.
//
// A helper thread sends what a thread queued that does not leave: it looks every few milliseconds
// while some thread is inside, and sleeps otherwise. It also sends what a full socket did not take.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

#define LOCKS 64u
#define TICK_MS 4
#define ACCEPTS 64     /* brought at once */
#define DRAIN_MS 10000 /* what is left at the exit may take so long */
#define EVENT UINT32_MAX

/* Of a handle, under its lock. */
#define STREAM 1u    /* has rings */
#define BEHIND 2u    /* bytes wait for room in the socket */
#define SHUT 4u      /* its sending side is to be closed behind them */
#define CLOSING 8u   /* likewise the whole */
#define SPREAD 16u   /* more than the first page of a ring was used */
#define REPORTED 32u /* its error was given to a call, or the socket gives it by itself */
#define LISTENS 64u  /* its ring has struct sh_accepted */
#define INPUT 128u   /* the standard input */
#define ENDED 256u   /* of INPUT: its end was read, and nobody was told */
#define OUTPUT 512u  /* the standard output: a pipe of ours */
static uint16_t states[SH_RINGS];
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

static struct sh_rings *area;
static _Atomic unsigned flushing; /* threads that took bits and are not done */
static _Atomic bool helping, asleep;
static int helper_set = -1, helper_event = -1;

uint64_t loader_rings_open(void)
{
    void *p = mmap(NULL, sizeof(*area), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    area = p == MAP_FAILED ? NULL : p;
    return (uint64_t)area;
}

static struct sh_ring *ring_of(uint64_t handle)
{
    return area && handle < SH_RINGS && states[handle] & STREAM ? &area->ring[handle] : NULL;
}

void loader_ring_lock(uint64_t handle)
{
    pthread_mutex_lock(&locks[handle % LOCKS]);
}

void loader_ring_unlock(uint64_t handle)
{
    pthread_mutex_unlock(&locks[handle % LOCKS]);
}

static void fail_ring(unsigned h, struct sh_ring *r, int error)
{
    r->error = (uint64_t)error;
    if (error == EPIPE)
        states[h] |= REPORTED;
}

/* The helper is told when there is room. */
static void stay_behind(unsigned h, int fd)
{
    struct epoll_event e = {.events = EPOLLOUT | EPOLLONESHOT, .data.u32 = h};
    states[h] |= BEHIND;
    if (epoll_ctl(helper_set, EPOLL_CTL_MOD, fd, &e))
        epoll_ctl(helper_set, EPOLL_CTL_ADD, fd, &e);
}

/* Sends what is queued, as far as the socket takes it. */
static void flush_ring(uint64_t handle)
{
    struct sh_ring *r = ring_of(handle);
    unsigned h = (unsigned)handle;
    int fd = loader_handle_fd(h);
    if (!r || fd < 0)
        return;
    uint64_t put = __atomic_load_n(&r->out_put, __ATOMIC_ACQUIRE), base = r->out_base;
    uint64_t taken = r->out_taken, left = put - taken <= SH_RING_OUT ? put - taken : 0;
    states[h] &= (uint16_t)~BEHIND;
    while (left && !r->error) {
        uint64_t at = (taken - base) % SH_RING_OUT;
        uint64_t n = left < SH_RING_OUT - at ? left : SH_RING_OUT - at;
        int more = n < left || r->out_more == 1 ? MSG_MORE : 0;
        ssize_t sent = states[h] & OUTPUT
                           ? write(fd, r->out + at, n)
                           : send(fd, r->out + at, n, MSG_NOSIGNAL | MSG_DONTWAIT | more);
        if (at + n > 4096)
            states[h] |= SPREAD;
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            stay_behind(h, fd);
            return;
        }
        if (sent < 0)
            fail_ring(h, r, errno);
        taken += sent < 0 ? left : (uint64_t)sent;
        left -= sent < 0 ? left : (uint64_t)sent;
        __atomic_store_n(&r->out_taken, taken, __ATOMIC_RELEASE);
    }
    if (states[h] & SHUT)
        shutdown(fd, SHUT_WR);
    states[h] &= (uint16_t)~SHUT;
}

/* With the lock: at once, or behind what is queued. */
static void drop_handle(uint64_t handle)
{
    int fd = loader_handle_fd(handle);
    if (handle >= 3 && fd >= 0 && loader_ring_end(handle, fd))
        loader_handle_drop(handle);
}

void loader_handle_close(uint64_t handle)
{
    loader_ring_lock(handle);
    drop_handle(handle);
    loader_ring_unlock(handle);
}

static void flush_handle(unsigned h)
{
    loader_ring_lock(h);
    flush_ring(h);
    const struct sh_ring *r = ring_of(h);
    if (r && (r->closed == 1 || (states[h] & (CLOSING | BEHIND)) == CLOSING))
        drop_handle(h);
    loader_ring_unlock(h);
}

void loader_rings_flush(void)
{
    if (!helping)
        return;
    for (unsigned k = 0; k < SH_RINGS / 4096; k++) {
        if (!__atomic_load_n(&area->any[k], __ATOMIC_RELAXED))
            continue;
        flushing++;
        uint64_t any = __atomic_exchange_n(&area->any[k], 0, __ATOMIC_SEQ_CST);
        for (; any; any &= any - 1) {
            unsigned word = k * 64 + (unsigned)__builtin_ctzll(any);
            uint64_t dirty = __atomic_exchange_n(&area->dirty[word], 0, __ATOMIC_SEQ_CST);
            for (; dirty; dirty &= dirty - 1)
                flush_handle(word * 64 + (unsigned)__builtin_ctzll(dirty));
        }
        flushing--;
    }
}

void loader_rings_drain(void)
{
    struct timespec ms = {0, 1000000};
    bool left = helping;
    /* Who wrote to a full pipe would wait, too. */
    for (unsigned waited = 0; left && (waited < DRAIN_MS || states[1] & BEHIND); waited++) {
        loader_rings_flush();
        left = flushing;
        for (unsigned h = 0; h < SH_RINGS; h++)
            left = left || states[h] & BEHIND;
        if (left)
            nanosleep(&ms, NULL);
    }
}

/* --- the helper --- */

static bool somebody_inside(void)
{
    for (struct loader_thread *t = loader.threads; t; t = t->next) {
        if (t->inside)
            return true;
    }
    return false;
}

static void *run_helper(void *arg)
{
    struct epoll_event found[16];
    uint64_t drained;
    for (;;) {
        bool busy = somebody_inside();
        if (!busy) {
            asleep = true;
            busy = somebody_inside();
        }
        int n = epoll_wait(helper_set, found, 16, busy ? TICK_MS : -1);
        asleep = false;
        for (int i = 0; i < n; i++) {
            if (found[i].data.u32 == EVENT)
                (void)!read(helper_event, &drained, sizeof(drained));
            else
                flush_handle(found[i].data.u32);
        }
        loader_rings_flush();
    }
    return NULL;
}

void loader_rings_inside(struct loader_thread *t)
{
    uint64_t one = 1;
    t->inside = true;
    if (asleep && atomic_exchange(&asleep, false))
        (void)!write(helper_event, &one, sizeof(one));
}

static int start_helper(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = EVENT};
    pthread_t id;
    helper_set = epoll_create1(EPOLL_CLOEXEC);
    helper_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (helper_set < 0 || helper_event < 0 ||
        epoll_ctl(helper_set, EPOLL_CTL_ADD, helper_event, &e))
        return -errno;
    return sh_thread_start(&id, run_helper, NULL);
}

/* --- handles --- */

static bool be_helped(void)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&once);
    if (!helping && !start_helper())
        helping = true;
    pthread_mutex_unlock(&once);
    return helping;
}

int loader_ring_add(int fd)
{
    int handle = loader_handle_add(fd);
    if (handle < 0 || !area || handle >= (int)SH_RINGS)
        return handle;
    be_helped();
    memset(&area->ring[handle], 0, offsetof(struct sh_ring, in));
    if (!helping)
        area->ring[handle].error = EIO; /* it is served by calls */
    __atomic_store_n(&states[handle], helping ? STREAM : STREAM | REPORTED, __ATOMIC_RELEASE);
    return handle;
}

void loader_ring_listens(uint64_t handle)
{
    loader_ring_lock(handle);
    if (ring_of(handle))
        states[handle] |= LISTENS;
    loader_ring_unlock(handle);
}

void loader_ring_input(void)
{
    (void)fcntl(loader_handle_fd(0), F_SETPIPE_SZ,
                SH_RING_IN); /* if it is one, and as far as it may be */
    if (area)
        states[0] = STREAM | INPUT;
}

/* A program that writes once needs no helper: from the second time on. */
void loader_ring_output(bool ours)
{
    if (!area)
        return;
    area->ring[1].error = EAGAIN; /* by calls */
    if (ours && !fcntl(loader_handle_fd(1), F_SETFL, O_NONBLOCK))
        states[1] = STREAM | OUTPUT | REPORTED;
}

int64_t loader_ring_write(uint64_t handle, const void *buf, size_t size)
{
    static bool second;
    int fd = loader_handle_fd(handle);
    int64_t r = 0;
    loader_ring_lock(1);
    flush_ring(1);
    if (states[1] & BEHIND) {
        r = -EAGAIN; /* nothing passes what is queued, nor does stderr */
    } else if (handle == 1 && states[1] & OUTPUT) {
        if (second && area->ring[1].error == EAGAIN && be_helped()) {
            states[1] &= (uint16_t)~REPORTED;
            __atomic_store_n(&area->ring[1].error, 0, __ATOMIC_RELEASE);
        }
        second = true;
        r = loader_ring_error(1);
        if (!r && (r = write(fd, buf, size)) < 0)
            r = -errno;
        loader_ring_unlock(1);
        return r;
    }
    loader_ring_unlock(1);
    if (!r && (r = write(fd, buf, size)) < 0)
        r = -errno;
    return r;
}

/* Places in `in` go round. */
static void copy_in(void *to, const struct sh_ring *r, uint64_t from, size_t size)
{
    for (uint8_t *out = to; size; size--, from++)
        *out++ = r->in[(from - r->in_base) % SH_RING_IN];
}

/* Who was accepted and never taken. The enclave does not know these handles: nobody else uses them.
 */
static void refuse_accepted(const struct sh_ring *r)
{
    struct sh_accepted a;
    uint64_t left = r->in_put - r->in_taken;
    for (; left >= sizeof(a) && left <= SH_RING_IN; left -= sizeof(a)) {
        copy_in(&a, r, r->in_put - left, sizeof(a));
        if (a.handle < 3 || a.handle >= (int)SH_RINGS)
            continue;
        states[a.handle] = 0;
        loader_handle_drop((uint64_t)a.handle);
    }
}

bool loader_ring_end(uint64_t handle, int fd)
{
    struct linger linger = {1, 0};
    socklen_t size = sizeof(linger);
    struct sh_ring *r = ring_of(handle);
    if (!r)
        return true;
    flush_ring(handle);
    if (states[handle] & LISTENS) {
        refuse_accepted(r);
    } else if (r->in_put != r->in_taken) { /* as if it had never been read: the end is a reset */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, size);
    } else if (states[handle] & BEHIND) {
        bool reset = !getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) && linger.l_onoff &&
                     !linger.l_linger;
        states[handle] |= CLOSING;
        if (!reset)
            return false;
    }
    if (states[handle] & SPREAD)
        madvise(r, sizeof(*r), MADV_DONTNEED);
    states[handle] = 0;
    return true;
}

/* Connections, a bounded number at once: false if there may be more. */
static bool fill_accepted(int fd, struct sh_ring *r, uint64_t *put, uint64_t room)
{
    for (unsigned n = 0; n < ACCEPTS && room >= sizeof(struct sh_accepted); n++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        int got = accept4(fd, (void *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got < 0)
            return errno == EAGAIN;
        struct sh_accepted a = {.handle = loader_ring_add(got)};
        if (a.handle < 0)
            return false;
        a.size = size < sizeof(a.address) ? size : sizeof(a.address);
        memcpy(a.address, &address, a.size);
        for (size_t i = 0; i < sizeof(a); i++)
            r->in[(*put + i - r->in_base) % SH_RING_IN] = ((uint8_t *)&a)[i];
        *put += sizeof(a);
        room -= sizeof(a);
    }
    return false;
}

static void fill_ring(uint64_t handle)
{
    struct sh_ring *r = ring_of(handle);
    int fd = loader_handle_fd(handle);
    if (!r || fd < 0 || r->error || states[handle] & OUTPUT)
        return;
    uint64_t put = r->in_put, taken = __atomic_load_n(&r->in_taken, __ATOMIC_ACQUIRE);
    uint64_t room = put - taken <= SH_RING_IN ? SH_RING_IN - (put - taken) : 0;
    bool dry = false;
    if (put == taken)
        r->in_base = put;
    if (states[handle] & LISTENS)
        dry = fill_accepted(fd, r, &put, room), room = 0;
    while (room && !dry) {
        uint64_t at = (put - r->in_base) % SH_RING_IN;
        uint64_t n = room < SH_RING_IN - at ? room : SH_RING_IN - at;
        bool input = states[handle] & INPUT;
        ssize_t got = input ? read(fd, r->in + at, n) : recv(fd, r->in + at, n, MSG_DONTWAIT);
        if (input) { /* it was said to be ready; is there more meanwhile? */
            struct pollfd p = {.fd = fd, .events = POLLIN};
            states[handle] |= got == 0 ? ENDED : 0;
            put += got > 0 ? (uint64_t)got : 0;
            room -= got > 0 ? (uint64_t)got : 0;
            if (got <= 0 || poll(&p, 1, 0) != 1 || !(p.revents & POLLIN))
                break;
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN)
            fail_ring((unsigned)handle, r, errno);
        if (got > 4096 || at > 4096)
            states[handle] |= SPREAD;
        if (got == 0 || r->error)
            break; /* the end: whoever asks is told again */
        put += got > 0 ? (uint64_t)got : 0;
        room -= got > 0 ? (uint64_t)got : 0;
        dry = got < (ssize_t)n;
    }
    __atomic_store_n(&r->in_put, put, __ATOMIC_RELEASE);
    __atomic_store_n(&r->in_dry, dry ? put : put - 1, __ATOMIC_RELEASE);
}

void loader_ring_bring(uint64_t handle)
{
    loader_ring_lock(handle);
    fill_ring(handle);
    loader_ring_unlock(handle);
}

int64_t loader_ring_error(uint64_t handle)
{
    struct sh_ring *r = ring_of(handle);
    if (!r || !r->error || states[handle] & REPORTED)
        return 0;
    states[handle] |= REPORTED;
    return -(int64_t)(r->error & 0xfff);
}

int64_t loader_ring_receive(uint64_t handle)
{
    struct sh_ring *r = ring_of(handle);
    if (!r || r->in_put == __atomic_load_n(&r->in_taken, __ATOMIC_ACQUIRE))
        return loader_ring_error(handle);
    if (!(states[handle] & INPUT))
        fill_ring(handle);
    return -EAGAIN;
}

bool loader_ring_ended(uint64_t handle)
{
    bool ended = handle < SH_RINGS && states[handle] & ENDED;
    if (ended)
        states[handle] &= (uint16_t)~ENDED;
    return ended;
}

int64_t loader_ring_send(uint64_t handle)
{
    flush_ring(handle);
    return ring_of(handle) && states[handle] & BEHIND ? -EAGAIN : loader_ring_error(handle);
}

int loader_ring_shutdown(uint64_t handle, int fd, int how)
{
    loader_ring_lock(handle);
    flush_ring(handle);
    bool later = ring_of(handle) && how != SHUT_RD && states[handle] & BEHIND;
    if (later)
        states[handle] |= SHUT;
    int r = later && how == SHUT_WR ? 0 : shutdown(fd, later ? SHUT_RD : how) ? -errno : 0;
    loader_ring_unlock(handle);
    return r;
}
