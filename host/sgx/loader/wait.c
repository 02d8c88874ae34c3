// SPDX-License-Identifier: Apache-2.0
// Waiting on behalf of the enclave: for a wake-up, for handles it names, and for those of an
// interest set, which is an epoll instance: so that idle ones cost nothing.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "host/sgx/loader/loader.h"

#define NO_DEADLINE UINT64_MAX
#define ITEMS_MAX (SH_SLOT_A_SIZE / sizeof(struct sh_wait_item))

struct wait {
    struct loader_thread *t;
    struct sh_wait_item *items, *found; /* in the slot; found: behind the answers */
    int set;                            /* fd, or -1 */
    uint64_t changes, asks, room, count;
    uint64_t deadline;
};

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

#define BRING (1u << 31) /* beside a handle of a set: SH_WAIT_BRING */

/* Into the ring, if that is wanted and there is something; an error is the caller's to take. */
static void bring_bytes(bool wanted, uint32_t handle, uint32_t ready)
{
    if (wanted && ready & EPOLLIN && !(ready & EPOLLERR))
        loader_ring_bring(handle);
}

/* A file of ours that epoll does not take is always ready. */
static void always_ready(struct wait *w, const struct sh_wait_item *i)
{
    struct sh_wait_item ready = *i;
    ready.ready = i->events & (POLLIN | POLLOUT);
    if (w->count < w->room)
        w->found[w->count++] = ready;
}

static void make_changes(struct wait *w, const struct sh_wait_item *list)
{
    for (uint64_t n = 0; n < w->changes; n++) {
        const struct sh_wait_item *i = &list[n];
        struct epoll_event e = {.events = (i->events & ~SH_WAIT_BRING) | EPOLLET,
                                .data.u64 = (uint64_t)i->tag << 32 | (uint32_t)i->handle};
        if (i->events & SH_WAIT_BRING)
            e.data.u64 |= BRING;
        int fd = loader_handle_fd((uint64_t)(int64_t)i->handle);
        int op = i->events ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
        int r = epoll_ctl(w->set, op, fd, &e);
        if (r && errno == EEXIST)
            r = epoll_ctl(w->set, EPOLL_CTL_MOD, fd, &e);
        if (r && errno == EPERM && i->events)
            always_ready(w, i);
    }
}

static void take_found(struct wait *w)
{
    struct epoll_event list[256];
    uint64_t room = w->room - w->count;
    int n = epoll_wait(w->set, list, (int)(room < 256 ? room : 256), 0);
    for (int i = 0; i < n; i++) {
        uint32_t handle = (uint32_t)list[i].data.u64 & ~BRING;
        bring_bytes(list[i].data.u64 & BRING, handle, list[i].events);
        w->found[w->count++] = (struct sh_wait_item){.handle = (int32_t)handle,
                                                     .ready = (uint16_t)list[i].events,
                                                     .tag = (uint32_t)(list[i].data.u64 >> 32)};
    }
}

/* How long until then; NULL: for ever. */
static const struct timespec *time_left(uint64_t deadline, struct timespec *ts)
{
    uint64_t ns = 0;
    if (deadline == NO_DEADLINE)
        return NULL;
    if (deadline) {
        clock_gettime(CLOCK_MONOTONIC, ts);
        uint64_t now = (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
        ns = deadline > now ? deadline - now : 0;
    }
    *ts = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return ts;
}

/* Sleeps by poll on the wake-up, the set and what is asked about. What a set told of is never lost:
 * it will not tell again. */
static void poll_all(struct wait *w, struct pollfd *p)
{
    struct loader_thread *t = w->t;
    struct timespec ts;
    uint64_t drained;
    p[0] = (struct pollfd){.fd = t->event, .events = POLLIN};
    p[1] = (struct pollfd){.fd = w->set, .events = POLLIN};
    for (uint64_t i = 0; i < w->asks; i++) {
        int fd = loader_handle_fd((uint64_t)(int64_t)w->items[i].handle);
        p[i + 2] =
            (struct pollfd){.fd = fd, .events = (short)(w->items[i].events & ~SH_WAIT_BRING)};
    }
    t->polling = 1;
    if (atomic_exchange(&t->token, 0) || w->count)
        w->deadline = 0;
    int r = ppoll(p, w->asks + 2, time_left(w->deadline, &ts), NULL);
    t->polling = 0;
    t->token = 0;
    if (r > 0 && p[0].revents)
        (void)!read(t->event, &drained, sizeof(drained));
    if (r > 0 && p[1].revents && w->count < w->room)
        take_found(w);
    for (uint64_t i = 0; i < w->asks; i++)
        w->items[i].ready = r > 0 ? (uint16_t)p[i + 2].revents : 0;
    for (uint64_t i = 0; i < w->asks; i++)
        bring_bytes(w->items[i].events & SH_WAIT_BRING, (uint32_t)w->items[i].handle,
                    w->items[i].ready);
}

static int64_t sleep_outside(struct wait *w)
{
    struct pollfd few[34], *p = few;
    struct loader_thread *t = w->t;
    if (t->event < 0 && (t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return -errno;
    if (w->asks + 2 > sizeof(few) / sizeof(few[0]) && !(p = malloc((w->asks + 2) * sizeof(*p))))
        return -ENOMEM;
    poll_all(w, p);
    if (p != few)
        free(p);
    return 0;
}

static int64_t wait_outside(struct wait *w, struct sh_slot *s)
{
    struct sh_wait_item changes[64];
    uint64_t done = 0;
    /* The answers go where the changes stood. */
    for (uint64_t all = w->changes, n; done < all; done += n) {
        n = all - done < 64 ? all - done : 64;
        memcpy(changes, w->items + done, n * sizeof(*changes));
        w->changes = n;
        make_changes(w, changes);
    }
    memmove(w->items, w->items + done, w->asks * sizeof(*w->items));
    memmove(w->items + w->asks, w->found, w->count * sizeof(*w->items));
    w->found = w->items + w->asks;
    int64_t r = 0;
    if (w->room)
        take_found(w);
    if (w->asks || (w->room && !w->count && w->deadline))
        r = sleep_outside(w);
    s->size_a = (w->asks + w->count) * sizeof(*w->items);
    return r ? r : (int64_t)w->count;
}

/* Who waits has started. At most once a second, and not for who only looks. */
static void forget_root(uint64_t deadline)
{
    static _Atomic uint64_t last;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (deadline && atomic_exchange(&last, (uint64_t)now.tv_sec) != (uint64_t)now.tv_sec)
        loader_forget_root();
}

int64_t call_wait(struct loader_thread *t, struct sh_slot *s, uint64_t deadline)
{
    loader_remove_pages(s, UINT64_MAX);
    s->size_a = 0;
    forget_root(deadline);
    int64_t r = wait_token(t, deadline);
    loader_clock_tell(s);
    return r;
}

int64_t call_set(struct loader_thread *t, struct sh_slot *s)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : loader_handle_add(fd);
}

int64_t call_poll(struct loader_thread *t, struct sh_slot *s, uint64_t deadline, uint64_t set,
                  uint64_t changes, uint64_t room)
{
    uint64_t size = s->size_a < SH_SLOT_A_SIZE ? s->size_a : SH_SLOT_A_SIZE;
    uint64_t items = size / sizeof(struct sh_wait_item);
    struct wait w = {.t = t, .set = -1, .deadline = deadline, .items = (struct sh_wait_item *)s->a};
    w.changes = changes < items ? changes : items;
    w.asks = items - w.changes;
    w.room = room < ITEMS_MAX - items ? room : ITEMS_MAX - items;
    w.found = w.items + items;
    if (set != UINT64_MAX && (w.set = loader_handle_fd(set)) < 0)
        return w.set;
    forget_root(deadline);
    int64_t r = wait_outside(&w, s);
    loader_clock_tell(s);
    return r;
}
