// SPDX-License-Identifier: Apache-2.0
// poll, select and what epoll shares with them.
#include "trusted/libos/fs/poll.h"

#include <asm/poll.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/epoll.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/time/time.h"

#define POLL_MAX 65536u

static int check_items(struct poll_item *items, size_t count)
{
    int ready = 0;
    for (size_t i = 0; i < count; i++) {
        struct poll_item *p = &items[i];
        if (!p->file)
            continue;
        p->ready = file_poll(p->file) & (p->events | OUTSIDE_ALWAYS);
        ready += p->ready != 0;
    }
    return ready;
}

static bool is_open(const struct file *f)
{
    return f->outside && f->outside->handle >= 0;
}

static void ask_all(struct questions *q, struct poll_item *items, size_t count)
{
    q->needed = 0;
    for (size_t i = 0; i < count; i++) {
        struct file *f = items[i].file;
        if (!f)
            continue;
        if (is_open(f) && outside_events(items[i].events & ~items[i].ready))
            poll_ask(q, outside_ask(f->outside, items[i].events));
        epoll_questions(f, q);
    }
}

/* More than one call can carry: by an interest set, for this once. */
static int sleep_many(struct questions *q, struct poll_item *items, size_t count, uint64_t deadline)
{
    long set = claim_handle(port_set());
    if (set < 0)
        return (int)set;
    struct port_wait w = {.set = (int32_t)set, .items = q->items};
    for (size_t i = 0; i < count; i++) {
        struct outside *o = items[i].file ? items[i].file->outside : NULL;
        if (!o || o->handle < 0)
            continue;
        if (w.changes == q->room / 2) {
            port_wait(self(), &w, 0);
            w.changes = 0;
        }
        q->items[w.changes++] = outside_interest(o, items[i].events);
    }
    w.room = q->room - w.changes;
    int r = wait_sleep_outside(&w, deadline);
    port_close((int32_t)set);
    return r;
}

static int sleep_until(struct questions *q, struct poll_item *items, size_t count,
                       uint64_t deadline)
{
    struct port_wait w = {.set = -1, .asks = q->needed, .items = q->items};
    if (!q->needed)
        return wait_sleep(deadline);
    if (q->needed > q->room)
        return sleep_many(q, items, count, deadline);
    return wait_sleep_outside(&w, deadline);
}

static int look_and_sleep(struct questions *q, struct poll_item *items, size_t count,
                          uint64_t deadline)
{
    for (bool asked = false;; asked = true) {
        wait_clear();
        int ready = check_items(items, count);
        if (!asked || !ready)
            ask_all(q, items, count);
        if (ready && (asked || !q->needed))
            return ready;
        /* Something is ready: the host is asked too, but without waiting. */
        int r = sleep_until(q, items, count, ready ? 0 : deadline);
        if (r) {
            ready = check_items(items, count);
            return ready || r == -ETIMEDOUT ? ready : r;
        }
    }
}

static size_t question_room(const struct poll_item *items, size_t count)
{
    size_t n = 64; /* for what is inside of epolls */
    for (size_t i = 0; i < count; i++)
        n += items[i].file && is_open(items[i].file);
    return MIN(n, PORT_WAIT_MAX);
}

/* How many are ready, or -EINTR, -ENOMEM, what the host has against it; 0 after the deadline. */
static int wait_items(struct poll_item *items, size_t count, uint64_t deadline)
{
    struct questions q = {.room = (uint32_t)question_room(items, count)};
    struct waiter *waiters = los_alloc((count + 1) * sizeof(*waiters));
    q.items = los_alloc(q.room * sizeof(*q.items));
    int r = waiters && q.items ? 0 : -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].file && file_is_epoll(items[i].file))
            call_alone();
    }
    for (size_t i = 0; !r && i < count; i++) {
        if (items[i].file && items[i].file->wait)
            wait_begin(&waiters[n++], items[i].file->wait);
    }
    if (!r)
        r = look_and_sleep(&q, items, count, deadline);
    while (n)
        wait_end(&waiters[--n]);
    los_free(waiters);
    los_free(q.items);
    return r;
}

/* Last: it may be the end of a file, for which the call is alone then. */
static void put_files(const struct poll_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].file)
            file_put(items[i].file);
    }
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
        r = wait_items(items, count, invalid ? 0 : deadline);
        for (uint64_t i = 0; i < count; i++) {
            if (!items[i].file)
                continue;
            u[i].revents = (int16_t)items[i].ready;
        }
        if (r >= 0 && user_write(fds, u, count * sizeof(*u)))
            r = -EFAULT;
        else if (r >= 0)
            r += invalid;
        put_files(items, count);
    }
    los_free(items);
    los_free(u);
    return r;
}

long sys_poll(uint64_t fds, uint32_t count, int timeout)
{
    return do_poll(fds, count, poll_deadline(timeout));
}

long sys_ppoll(uint64_t fds, uint32_t count, uint64_t timeout, uint64_t mask, uint64_t mask_size)
{
    uint64_t deadline;
    int r = deadline_from_user(timeout, CLOCK_FROM_NOW, &deadline);
    if (!r)
        r = poll_mask(mask, mask_size);
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
        r = wait_items(items, (size_t)n, deadline);
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
    }
    for (int s = 0; r >= 0 && s < 3; s++) {
        if (addr[s] && user_write(addr[s], sets + (size_t)s * words, size))
            r = -EFAULT;
    }
    if (items)
        put_files(items, (size_t)n);
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
    uint64_t deadline, set[2] = {0, 8};
    int r = deadline_from_user(timeout, CLOCK_FROM_NOW, &deadline);
    if (!r && mask)
        r = user_read(set, mask, sizeof(set));
    if (!r)
        r = poll_mask(set[0], set[1]);
    return r ? r : do_select(n, (const uint64_t[]){in, out, except}, deadline);
}
