// SPDX-License-Identifier: Apache-2.0
// epoll: a kept list of files, and of these a list of those that may be ready, to which wake-ups
// add them; so a call costs what is ready, not what is watched. Level, edge and one-shot.
//
// What the host holds is watched by an interest set of the host's, one an epoll. Interest is told
// with the next wait, or at once when somebody sleeps on it.
#include "trusted/libos/fs/epoll.h"

#include <linux/eventpoll.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/poll.h"
#include "trusted/libos/time/time.h"

#define FLAGS ((uint32_t)(EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE))
#define EVENTS_MAX 1024
#define NESTS_MAX 5    /* epolls in a chain, as in Linux */
#define FOUND_ROOM 256 /* of what one wait brings */
#define CHANGES_ROOM 128
#define ASKS_ROOM 128
#define DROPS_MAX 16

struct epoll {
    struct file *file;                           /* its own */
    struct list entries, ready, nested, changes; /* of struct entry */
    struct wait_queue wait;
    struct outside set;
    struct port_event drops[DROPS_MAX]; /* no longer watched; the host does not know yet */
    uint32_t drop_count;
    struct port_event *items; /* of the last wait, for the next; NULL: in use, or none */
    bool rest;                /* there was more than a thread could be told */
};

struct entry {
    struct list node;    /* of the epoll */
    struct list watcher; /* of the file */
    struct list ready;   /* may be ready */
    struct list nested;  /* the file is an epoll */
    struct list change;  /* the host must hear of it */
    struct waiter waiter;
    struct epoll *epoll;
    struct file *file; /* not counted: the entry goes with it */
    int fd;
    uint32_t events;
    uint64_t data;
    bool off; /* one-shot that fired */
};

static const struct file_ops epoll_ops;

/* ---- interest -----------------------------------------------------------------------------------
 */

static bool is_open(const struct entry *n)
{
    return n->file->outside && n->file->outside->handle >= 0;
}

static bool has_outside(const struct epoll *e)
{
    return e->set.handle >= 0 || !list_empty(&e->changes);
}

/* Makes the set when the first handle needs it. */
static int have_set(struct epoll *e)
{
    if (e->set.handle >= 0)
        return 0;
    long h = claim_handle(port_set());
    return h < 0 ? (int)h : outside_add(&e->set, (int32_t)h, &e->wait);
}

/* What the host must hear, as far as there is room. */
static uint32_t take_changes(struct epoll *e, struct port_event *to, uint32_t room)
{
    uint32_t count = 0;
    for (; e->drop_count && count < room; e->drop_count--)
        to[count++] = e->drops[e->drop_count - 1];
    while (!e->drop_count && !list_empty(&e->changes) && count < room) {
        struct entry *n = container_of(e->changes.next, struct entry, change);
        list_remove(&n->change);
        to[count++] = outside_interest(n->file->outside, n->events & ~FLAGS);
        outside_set_events(n->file->outside, n->events & ~FLAGS);
    }
    return count;
}

/* Tells it now. */
static int flush_changes(struct epoll *e)
{
    struct port_event items[32];
    int r = list_empty(&e->changes) && !e->drop_count ? 0 : have_set(e);
    while (!r && (e->drop_count || !list_empty(&e->changes))) {
        struct port_wait w = {.set = e->set.handle, .items = items};
        w.changes = take_changes(e, items, ARRAY_COUNT(items));
        r = claim_status(port_wait(self(), &w, 0));
    }
    return r;
}

static int tell_host(struct entry *n)
{
    struct epoll *e = n->epoll;
    if (!is_open(n))
        return 0;
    if (list_empty(&n->change))
        list_append(&e->changes, &n->change);
    return list_empty(&e->wait.waiters) ? 0 : flush_changes(e);
}

void epoll_opened(struct file *f)
{
    list_for(it, &f->watchers) tell_host(container_of(it, struct entry, watcher));
}

static void drop_entry(struct entry *n)
{
    struct epoll *e = n->epoll;
    if (!is_open(n) || e->set.handle < 0)
        return;
    if (e->drop_count == DROPS_MAX)
        flush_changes(e);
    if (e->drop_count < DROPS_MAX)
        e->drops[e->drop_count++] = (struct port_event){.handle = n->file->outside->handle};
}

/* ---- entries ------------------------------------------------------------------------------------
 */

static void may_be_ready(struct entry *n)
{
    if (n->off)
        return;
    if (list_empty(&n->ready))
        list_append(&n->epoll->ready, &n->ready);
    wait_wake_events(&n->epoll->wait, POLLIN);
}

static uint32_t wanted_events(const struct entry *n)
{
    return (n->events & ~FLAGS) | OUTSIDE_ALWAYS;
}

static void on_wake(struct waiter *w, uint32_t events)
{
    struct entry *n = container_of(w, struct entry, waiter);
    if (events & (outside_events(n->events & ~FLAGS) | wanted_events(n)))
        may_be_ready(n);
}

static void entry_free(struct entry *n)
{
    list_remove(&n->node);
    list_remove(&n->watcher);
    list_remove(&n->ready);
    list_remove(&n->nested);
    list_remove(&n->change);
    list_remove(&n->waiter.node);
    los_free(n);
}

void epoll_forget(struct file *f)
{
    list_for_safe(it, nx, &f->watchers) entry_free(container_of(it, struct entry, watcher));
}

static void epoll_release(struct file *f)
{
    struct epoll *e = f->data;
    list_for_safe(it, nx, &e->entries) entry_free(container_of(it, struct entry, node));
    outside_close(&e->set);
    los_free(e->items);
    los_free(e);
}

/* Takes what the set has without waiting, when it is known to have something. */
static void collect_ready(struct epoll *e)
{
    struct port_event items[FOUND_ROOM / 4];
    if (!(outside_known(&e->set) & POLLIN))
        return;
    struct port_wait w = {.set = e->set.handle, .items = items, .room = ARRAY_COUNT(items)};
    outside_used(&e->set, POLLIN, false);
    if (!port_wait(self(), &w, 0))
        outside_apply(&w);
}

static uint32_t epoll_poll(struct file *f)
{
    struct epoll *e = f->data;
    collect_ready(e);
    list_for(it, &e->ready)
    {
        struct entry *n = container_of(it, struct entry, ready);
        if (file_poll(n->file) & wanted_events(n))
            return EPOLLIN | EPOLLRDNORM;
    }
    return 0;
}

static const struct file_ops epoll_ops = {
    .poll = epoll_poll,
    .release = epoll_release,
    .name = "anon_inode:[eventpoll]",
    .stream = true,
};

/* Of those that may be ready: is one? Those that are not leave the list; those of which it is not
 * sure are asked about. */
static bool look_ready(struct epoll *e, struct questions *q)
{
    bool ready = false;
    list_for_safe(it, nx, &e->ready)
    {
        struct entry *n = container_of(it, struct entry, ready);
        uint32_t unsure =
            is_open(n) ? n->file->outside->unsure & outside_events(wanted_events(n)) : 0;
        bool known = file_poll(n->file) & wanted_events(n);
        ready = ready || known;
        if (unsure)
            poll_ask(q, outside_ask(n->file->outside, wanted_events(n)));
        else if (!known)
            list_remove(&n->ready);
    }
    return ready;
}

static void ask_nested(struct epoll *e, struct questions *q)
{
    list_for(it, &e->nested) epoll_questions(container_of(it, struct entry, nested)->file, q);
}

void epoll_questions(struct file *f, struct questions *q)
{
    struct epoll *e = f->ops == &epoll_ops ? f->data : NULL;
    if (!e)
        return;
    flush_changes(e);
    look_ready(e, q);
    if (e->set.handle >= 0)
        poll_ask(q, outside_ask(&e->set, POLLIN));
    ask_nested(e, q);
}

/* Levels of epolls from f down, at least NESTS_MAX + 1 if `end` is among them or there are more. */
static int levels_below(const struct file *f, const struct file *end)
{
    int most = 0;
    if (f->ops != &epoll_ops)
        return 0;
    if (f == end)
        return NESTS_MAX + 1;
    list_for(it, &((const struct epoll *)f->data)->nested)
    {
        int n = levels_below(container_of(it, struct entry, nested)->file, end);
        most = MAX(most, n);
    }
    return most + 1;
}

static int levels_above(const struct file *f)
{
    int most = 0;
    list_for(it, &f->watchers)
    {
        int n = levels_above(container_of(it, struct entry, watcher)->epoll->file);
        most = MAX(most, n);
    }
    return most + 1;
}

/* ---- calls --------------------------------------------------------------------------------------
 */

static long create_epoll(bool cloexec)
{
    struct epoll *e = los_alloc(sizeof(*e));
    struct file *f = e ? file_new(&epoll_ops, O_RDWR) : NULL;
    if (!f) {
        los_free(e);
        return -ENOMEM;
    }
    list_init(&e->entries);
    list_init(&e->ready);
    list_init(&e->nested);
    list_init(&e->changes);
    wait_queue_init(&e->wait);
    e->set.handle = -1;
    f->data = e;
    f->wait = &e->wait;
    e->file = f;
    return fd_install(f, cloexec, 0);
}

long sys_epoll_create(int size)
{
    return size > 0 ? create_epoll(false) : -EINVAL;
}

long sys_epoll_create1(uint32_t flags)
{
    return flags & ~(uint32_t)EPOLL_CLOEXEC ? -EINVAL : create_epoll(flags & EPOLL_CLOEXEC);
}

static struct epoll *epoll_of(int fd, int *error)
{
    struct file *f = fd_file(fd);
    *error = f ? -EINVAL : -EBADF;
    return f && f->ops == &epoll_ops ? f->data : NULL;
}

static struct entry *find_entry(struct epoll *e, struct file *f, int fd)
{
    list_for(it, &f->watchers)
    {
        struct entry *n = container_of(it, struct entry, watcher);
        if (n->epoll == e && n->fd == fd)
            return n;
    }
    return NULL;
}

/* From now on, with these events: it is looked at anew. */
static int watch_entry(struct entry *n, const struct epoll_event *ev)
{
    n->events = ev->events;
    n->data = ev->data;
    n->off = false;
    if (file_poll(n->file) & wanted_events(n))
        may_be_ready(n);
    return tell_host(n);
}

static int add_entry(struct epoll *e, struct file *f, int fd, const struct epoll_event *ev)
{
    struct entry *n = los_alloc(sizeof(*n));
    if (!n)
        return -ENOMEM;
    *n = (struct entry){.epoll = e, .file = f, .fd = fd, .waiter.woken = on_wake};
    list_init(&n->ready);
    list_init(&n->nested);
    list_init(&n->change);
    list_init(&n->waiter.node);
    list_append(&e->entries, &n->node);
    list_append(&f->watchers, &n->watcher);
    if (f->wait)
        list_append(&f->wait->waiters, &n->waiter.node);
    if (f->ops == &epoll_ops)
        list_append(&e->nested, &n->nested);
    int r = watch_entry(n, ev);
    if (r)
        entry_free(n);
    return r;
}

static int check_add(struct epoll *e, struct file *f, const struct epoll_event *ev)
{
    /* A loop would never end; a chain costs stack. */
    if (f->ops == &epoll_ops && levels_above(e->file) + levels_below(f, e->file) > NESTS_MAX)
        return -ELOOP;
    if (ev->events & EPOLLEXCLUSIVE && f->ops == &epoll_ops)
        return -EINVAL;
    return 0;
}

long sys_epoll_ctl(int epfd, int operation, int fd, uint64_t event)
{
    int error;
    struct epoll *e = epoll_of(epfd, &error);
    struct file *f = fd_file(fd);
    struct epoll_event ev = {0};
    if (operation != EPOLL_CTL_DEL && user_read(&ev, event, sizeof(ev)))
        return -EFAULT;
    if (!f || (!e && error == -EBADF))
        return -EBADF;
    if (f->ops == &regular_ops || (f->inode && (f->inode->mode & S_IFMT) == S_IFDIR))
        return -EPERM;
    if (!e || f->data == e)
        return -EINVAL;
    struct entry *n = find_entry(e, f, fd);
    int r;
    switch (operation) {
    case EPOLL_CTL_ADD:
        r = check_add(e, f, &ev);
        return r ? r : n ? -EEXIST : add_entry(e, f, fd, &ev);
    case EPOLL_CTL_MOD:
        if (!n)
            return -ENOENT;
        return (n->events | ev.events) & EPOLLEXCLUSIVE ? -EINVAL : watch_entry(n, &ev);
    case EPOLL_CTL_DEL:
        if (!n)
            return -ENOENT;
        drop_entry(n);
        entry_free(n);
        return 0;
    default:
        return -EINVAL;
    }
}

/* Tells the program of those that are ready, at most `max`; who is not told comes first next time.
 */
static long report_events(struct epoll *e, uint64_t to, int max)
{
    struct list level; /* those that stay */
    long done = 0;
    list_init(&level);
    while (!list_empty(&e->ready) && done < max) {
        struct entry *n = container_of(e->ready.next, struct entry, ready);
        struct epoll_event ev = {.events = file_poll(n->file) & wanted_events(n), .data = n->data};
        bool unsure = is_open(n) && n->file->outside->unsure & outside_events(wanted_events(n));
        list_remove(&n->ready);
        if (ev.events && user_write(to + (uint64_t)done * sizeof(ev), &ev, sizeof(ev))) {
            list_append(&e->ready, &n->ready);
            done = done ? done : -EFAULT;
            break;
        }
        done += ev.events != 0;
        if (ev.events)
            n->off = n->events & EPOLLONESHOT;
        if (!n->off && (ev.events ? !(n->events & EPOLLET) : unsure))
            list_append(&level, &n->ready);
    }
    e->rest = !list_empty(&e->ready);
    while (!list_empty(&level)) {
        struct list *it = level.next;
        list_remove(it);
        list_append(&e->ready, it);
    }
    return done;
}

/* Asks the host about everything at once: what changed, what is not sure, what the set has. */
static int ask_and_sleep(struct epoll *e, struct port_event *items, struct questions *q,
                         uint64_t deadline)
{
    int r = have_set(e);
    if (r)
        return r;
    struct port_wait w = {
        .set = e->set.handle, .asks = MIN(q->needed, q->room), .room = FOUND_ROOM};
    uint32_t n = take_changes(e, items, CHANGES_ROOM);
    /* Questions stand behind the room for changes: these move up to them. */
    memmove(items + CHANGES_ROOM - n, items, n * sizeof(*items));
    w.items = items + CHANGES_ROOM - n;
    w.changes = n;
    if (!list_empty(&e->changes) && (r = flush_changes(e)))
        return r;
    return wait_sleep_outside(&w, q->needed > q->room ? 0 : deadline);
}

static long look_and_sleep(struct epoll *e, struct port_event *items, uint64_t to, int max,
                           uint64_t deadline)
{
    for (bool asked = false;; asked = true) {
        struct questions q = {.items = items + CHANGES_ROOM, .room = ASKS_ROOM};
        self()->woken = false;
        bool ready = look_ready(e, &q);
        ask_nested(e, &q);
        int r = 0;
        if ((has_outside(e) || q.needed) && (!asked || !ready))
            r = ask_and_sleep(e, items, &q, ready ? 0 : deadline);
        else if (!ready)
            r = wait_sleep(deadline);
        long n = report_events(e, to, max);
        if (n || r)
            return n || r == -ETIMEDOUT ? n : r;
    }
}

static long do_wait(int fd, uint64_t to, int max, uint64_t deadline)
{
    int error;
    struct epoll *e = epoll_of(fd, &error);
    if (!e)
        return error;
    if (max <= 0)
        return -EINVAL;
    struct port_event *items = e->items;
    e->items = NULL;
    if (!items)
        items = los_alloc((CHANGES_ROOM + ASKS_ROOM + FOUND_ROOM) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    struct waiter w;
    file_get(e->file);
    wait_begin(&w, &e->wait);
    w.one = true;
    long r = look_and_sleep(e, items, to, MIN(max, EVENTS_MAX), deadline);
    wait_end(&w);
    if (e->rest || (r <= 0 && !list_empty(&e->ready)))
        wait_wake_events(&e->wait, POLLIN); /* for another who sleeps */
    if (e->items)
        los_free(items);
    else
        e->items = items;
    file_put(e->file);
    return r;
}

long sys_epoll_wait(int epfd, uint64_t events, int count, int timeout)
{
    return do_wait(epfd, events, count, poll_deadline(timeout));
}

long sys_epoll_pwait(int epfd, uint64_t events, int count, int timeout, uint64_t mask,
                     uint64_t mask_size)
{
    int r = poll_mask(mask, mask_size);
    return r ? r : do_wait(epfd, events, count, poll_deadline(timeout));
}

long sys_epoll_pwait2(int epfd, uint64_t events, int count, uint64_t timeout, uint64_t mask,
                      uint64_t mask_size)
{
    uint64_t deadline = NO_DEADLINE;
    int r = timeout ? deadline_from_user(timeout, &deadline) : 0;
    if (!r)
        r = poll_mask(mask, mask_size);
    return r ? r : do_wait(epfd, events, count, deadline);
}
