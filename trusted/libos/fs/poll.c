// SPDX-License-Identifier: Apache-2.0
// poll, select and what epoll shares with them.
#include "trusted/libos/fs/poll.h"

#include <asm/poll.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/epoll.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define POLL_MAX 4096u
#define ALWAYS (POLLERR | POLLHUP)

uint32_t file_poll(struct file *f)
{
    if (f->ops->poll)
        return f->ops->poll(f);
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

/* Asks the files inside; counts what is ready. */
static int check_inside(struct poll_item *items, size_t count)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        struct poll_item *p = &items[i];
        if (!p->file)
            continue;
        bool asks_host = p->file->ops->handle && !p->file->ops->poll;
        p->ready = asks_host ? 0 : file_poll(p->file) & (p->events | ALWAYS);
        if (p->ready && (!p->wanted || p->wanted(p)))
            ready++;
    }
    return ready;
}

/* Takes over what the host says; only what was asked for. */
static int check_handles(struct poll_item *items, size_t count, const struct port_wait *w)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        struct poll_item *p = &items[i];
        if (!p->file || !p->file->ops->handle)
            continue;
        bool counted = p->ready && (!p->wanted || p->wanted(p));
        p->ready |= w->ready & (p->events | ALWAYS);
        w++;
        if (!counted && p->ready && (!p->wanted || p->wanted(p)))
            ready++;
    }
    return ready;
}

struct poll_state {
    struct waiter *waiters;
    struct port_wait *handles;
    struct file **nested; /* files of epolls among those that are waited for */
    uint32_t handle_count;
    size_t waiter_count, nested_count;
};

static void count_nested(void *arg, struct file *f, uint32_t events)
{
    ++*(size_t *)arg;
}

static int add_handle(struct poll_state *s, const struct file *f, uint32_t events)
{
    if (s->handle_count == PORT_WAIT_MAX)
        return -ENOMEM;
    s->handles[s->handle_count++] =
        (struct port_wait){.handle = f->host_handle, .events = (uint16_t)events};
    return 0;
}

/* What wakes an epoll inside wakes who waits for it. Its handles stand behind those of the items. */
static void add_nested(void *arg, struct file *f, uint32_t events)
{
    struct poll_state *s = arg;
    if (f->ops->handle)
        add_handle(s, f, events);
    if (f->wait)
        wait_begin(&s->waiters[s->waiter_count++], f->wait);
    file_get(f);
    s->nested[s->nested_count++] = f;
}

static int prepare(struct poll_state *s, struct poll_item *items, size_t count,
                   struct wait_queue *extra)
{
    struct wait_queue *q;
    size_t nested = 0;
    *s = (struct poll_state){0};
    for (size_t i = 0; i < count; i++) {
        if (items[i].file)
            epoll_each(items[i].file, count_nested, &nested);
    }
    s->waiters = los_alloc((count + nested + 1) * sizeof(*s->waiters));
    s->handles = los_alloc((count + nested + 1) * sizeof(*s->handles));
    s->nested = los_alloc((nested + 1) * sizeof(*s->nested));
    if (!s->waiters || !s->handles || !s->nested)
        return -ENOMEM;
    self()->woken = false;
    for (size_t i = 0; i < count; i++) {
        struct file *f = items[i].file;
        if (f && f->ops->handle && add_handle(s, f, items[i].events))
            return -ENOMEM;
        q = f ? f->wait : NULL;
        if (q)
            wait_begin(&s->waiters[s->waiter_count++], q);
    }
    for (size_t i = 0; nested && i < count; i++) {
        if (items[i].file)
            epoll_each(items[i].file, add_nested, s);
    }
    if (extra)
        wait_begin(&s->waiters[s->waiter_count++], extra);
    return 0;
}

static void unprepare(struct poll_state *s)
{
    for (size_t i = 0; i < s->waiter_count; i++)
        wait_end(&s->waiters[i]);
    for (size_t i = 0; i < s->nested_count; i++)
        file_put(s->nested[i]);
    los_free(s->waiters);
    los_free(s->handles);
    los_free(s->nested);
}

int poll_wait(struct poll_item *items, size_t count, uint64_t deadline, struct wait_queue *extra)
{
    struct poll_state s;
    struct thread *t = self();
    uint64_t extra_events = extra ? extra->events : 0;
    int r = prepare(&s, items, count, extra);
    for (; !r;) {
        t->woken = false;
        int ready = check_inside(items, count);
        /* Something is ready: the host is asked too, but without waiting. */
        if (ready && !s.handle_count) {
            r = ready;
            break;
        }
        uint64_t until = ready ? 0 : deadline;
        int w = wait_sleep_handles(s.handles, s.handle_count, until);
        if (extra && extra->events != extra_events) {
            r = ready; /* what the items point to may be gone */
            break;
        }
        if (s.handle_count && w != -EINTR)
            ready = check_inside(items, count) + check_handles(items, count, s.handles);
        if (ready) {
            r = ready;
            break;
        }
        if (w == -ETIMEDOUT)
            break;
        r = w;
    }
    unprepare(&s);
    return r;
}

struct user_pollfd {
    int32_t fd;
    int16_t events, revents;
};

static long do_poll(uint64_t fds, uint64_t count, uint64_t deadline)
{
    if (count > POLL_MAX)
        return -EINVAL;
    struct user_pollfd *u = los_alloc(count * sizeof(*u) + 1);
    struct poll_item *items = los_alloc(count * sizeof(*items) + 1);
    long r = u && items ? user_read(u, fds, count * sizeof(*u)) : -ENOMEM;
    int invalid = 0;
    for (uint64_t i = 0; !r && i < count; i++) {
        u[i].revents = 0;
        items[i].events = (uint16_t)u[i].events;
        items[i].file = u[i].fd >= 0 ? fd_file(u[i].fd) : NULL;
        if (items[i].file) {
            file_get(items[i].file);
        } else if (u[i].fd >= 0) {
            u[i].revents = POLLNVAL;
            invalid++;
        }
    }
    if (!r) {
        r = poll_wait(items, count, invalid ? 0 : deadline, NULL);
        for (uint64_t i = 0; i < count; i++) {
            if (!items[i].file)
                continue;
            u[i].revents = (int16_t)items[i].ready;
            file_put(items[i].file);
        }
        if (r >= 0 && user_write(fds, u, count * sizeof(*u)))
            r = -EFAULT;
        else if (r >= 0)
            r += invalid;
    }
    los_free(items);
    los_free(u);
    return r;
}

static uint64_t milliseconds(int ms)
{
    return ms < 0 ? NO_DEADLINE : ms == 0 ? 0 : deadline_in((uint64_t)ms * 1000000);
}

long sys_poll(uint64_t fds, uint32_t count, int timeout)
{
    return do_poll(fds, count, milliseconds(timeout));
}

static int use_mask(uint64_t addr, uint64_t size)
{
    uint64_t mask;
    if (!addr)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (user_read(&mask, addr, sizeof(mask)))
        return -EFAULT;
    sig_temporary_mask(self(), mask);
    return 0;
}

long sys_ppoll(uint64_t fds, uint32_t count, uint64_t timeout, uint64_t mask, uint64_t mask_size)
{
    uint64_t deadline = NO_DEADLINE;
    int r = timeout ? deadline_from_user(timeout, &deadline) : 0;
    if (!r)
        r = use_mask(mask, mask_size);
    return r ? r : do_poll(fds, count, deadline);
}

#define SELECT_IN (POLLIN | POLLRDNORM | POLLHUP | POLLERR)
#define SELECT_OUT (POLLOUT | POLLWRNORM | POLLERR)
#define SELECT_EXCEPT POLLPRI

/* Three bitmaps in and out; items carry which of them asked. */
static long do_select(int n, const uint64_t addr[3], uint64_t deadline)
{
    static const uint32_t meaning[3] = {SELECT_IN, SELECT_OUT, SELECT_EXCEPT};
    if (n < 0 || n > (int)POLL_MAX)
        return -EINVAL;
    size_t words = (size_t)(n + 63) / 64, size = words * 8;
    uint64_t *sets = los_alloc(3 * size + 8);
    struct poll_item *items = los_alloc((size_t)n * sizeof(*items) + 1);
    long r = sets && items ? 0 : -ENOMEM;
    for (int s = 0; !r && s < 3; s++)
        r = addr[s] ? user_read(sets + (size_t)s * words, addr[s], size) : 0;
    for (int fd = 0; !r && fd < n; fd++) {
        for (int s = 0; s < 3; s++) {
            if (sets[(size_t)s * words + (size_t)fd / 64] >> fd % 64 & 1)
                items[fd].events |= meaning[s];
        }
        if (!items[fd].events)
            continue;
        items[fd].file = fd_file(fd);
        if (!items[fd].file)
            r = -EBADF;
        else
            file_get(items[fd].file);
    }
    if (!r)
        r = poll_wait(items, (size_t)n, deadline, NULL);
    long bits = 0;
    for (int fd = 0; fd < n && items; fd++) {
        for (int s = 0; s < 3 && r >= 0; s++) {
            uint64_t *w = &sets[(size_t)s * words + (size_t)fd / 64];
            uint64_t bit = 1ull << fd % 64;
            if (!(*w & bit))
                continue;
            if (items[fd].ready & meaning[s])
                bits++;
            else
                *w &= ~bit;
        }
        if (items[fd].file)
            file_put(items[fd].file);
    }
    for (int s = 0; r >= 0 && s < 3; s++) {
        if (addr[s] && user_write(addr[s], sets + (size_t)s * words, size))
            r = -EFAULT;
    }
    los_free(items);
    los_free(sets);
    return r < 0 ? r : bits;
}

long sys_select(int n, uint64_t in, uint64_t out, uint64_t except, uint64_t timeout)
{
    uint64_t deadline = NO_DEADLINE;
    int64_t tv[2];
    if (timeout) {
        if (user_read(tv, timeout, sizeof(tv)))
            return -EFAULT;
        if (tv[0] < 0 || tv[1] < 0 || tv[0] > 1l << 32)
            return -EINVAL;
        deadline = deadline_in((uint64_t)tv[0] * NS + (uint64_t)tv[1] * 1000);
    }
    return do_select(n, (const uint64_t[]){in, out, except}, deadline);
}

long sys_pselect6(int n, uint64_t in, uint64_t out, uint64_t except, uint64_t timeout,
                  uint64_t mask)
{
    uint64_t deadline = NO_DEADLINE, set[2] = {0, 8};
    int r = timeout ? deadline_from_user(timeout, &deadline) : 0;
    if (!r && mask)
        r = user_read(set, mask, sizeof(set));
    if (!r)
        r = use_mask(set[0], set[1]);
    return r ? r : do_select(n, (const uint64_t[]){in, out, except}, deadline);
}
