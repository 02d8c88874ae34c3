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
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/mm/mm.h"
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
    struct lock lock;       /* RANK_EPOLL: of who looks; entries, changes, drops */
    struct lock ready_lock; /* RANK_READY: of `ready`, and entry.ready */
    struct wait_queue wait;
    struct outside set;
    struct port_event drops[DROPS_MAX]; /* no longer watched; the host does not know yet */
    uint32_t drop_count;
    struct port_event *items; /* of the last wait, for the next; NULL: in use, or none */
    bool rest;                /* atomic: there was more than a thread could be told */
};

struct entry {
    struct list node;       /* of the epoll */
    struct watcher watcher; /* of the file */
    struct list ready;      /* may be ready */
    struct list nested;     /* the file is an epoll */
    struct list change;     /* the host must hear of it */
    struct waiter waiter;
    struct epoll *epoll;
    struct file *file; /* not counted: the entry goes with it */
    int fd;
    uint32_t events;
    uint64_t data;
    bool off; /* one-shot that fired; atomic */
};

static const struct file_ops epoll_ops;
static bool on_wake(struct waiter *w, uint32_t events);

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

/* Alone. There is more to ask the host about from now on: each thread that sleeps at e, or at an
 * epoll around it, looks again. One of them would not do: it may leave while the others sleep on.
 */
static void wake_sleepers(struct epoll *e)
{
    list_each(struct waiter, w, &e->wait.waiters, node) {
        if (w->woken == on_wake)
            wake_sleepers(container_of(w, struct entry, waiter)->epoll);
        else if (w->thread && w->thread != self())
            wait_wake_thread(w->thread);
    }
}

/* Makes the set when the first handle needs it. */
static int have_set(struct epoll *e)
{
    if (e->set.handle < 0)
        call_alone();
    if (e->set.handle >= 0) /* or another thread made it meanwhile */
        return 0;
    long h = claim_handle(port_set());
    int r = h < 0 ? (int)h : outside_add(&e->set, (int32_t)h, &e->wait);
    if (!r)
        wake_sleepers(e);
    return r;
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

/* May all go with one wait? In two they would not stay in order. */
static bool changes_fit(const struct epoll *e)
{
    uint32_t n = e->drop_count;
    for (const struct list *it = e->changes.next; it != &e->changes && n <= CHANGES_ROOM;
         it = it->next)
        n++;
    return n <= CHANGES_ROOM;
}

/* Tells it now, and hears what is ready: files that are always so are told of but once, by what
 * adds them. With e->lock, and the set if there is something to tell; or alone. */
static int flush_changes(struct epoll *e)
{
    struct port_event items[64];
    int r = list_empty(&e->changes) && !e->drop_count ? 0 : have_set(e);
    while (!r && (e->drop_count || !list_empty(&e->changes))) {
        struct port_wait w = {.set = e->set.handle, .items = items};
        w.changes = take_changes(e, items, ARRAY_COUNT(items) / 2);
        w.room = ARRAY_COUNT(items) - w.changes;
        r = claim_status(port_wait(self(), &w, 0));
        if (!r)
            outside_apply(&w);
    }
    return r;
}

/* True: somebody sleeps, so that the host must hear of it at once. */
static bool note_change(struct entry *n)
{
    struct epoll *e = n->epoll;
    if (!is_open(n))
        return false;
    if (list_empty(&n->change))
        list_append(&e->changes, &n->change);
    lock_take(&e->wait.lock, RANK_QUEUE);
    bool any = !list_empty(&e->wait.waiters);
    lock_give(&e->wait.lock);
    return any;
}

void epoll_opened(struct file *f)
{
    list_each(struct entry, n, &f->watchers, watcher.node) {
        if (note_change(n))
            flush_changes(n->epoll);
    }
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

static bool is_off(const struct entry *n)
{
    return __atomic_load_n(&n->off, __ATOMIC_RELAXED);
}

static void add_to(struct epoll *e, struct list *to, struct entry *n)
{
    lock_take(&e->ready_lock, RANK_READY);
    if (list_empty(&n->ready))
        list_append(to, &n->ready);
    lock_give(&e->ready_lock);
}

static void may_be_ready(struct entry *n)
{
    if (is_off(n))
        return;
    add_to(n->epoll, &n->epoll->ready, n);
    wait_wake_events(&n->epoll->wait, POLLIN);
}

/* All that may be ready, out of the list: what wakes them meanwhile finds them on `seen`, and they
 * are looked at yet. */
static void take_ready(struct epoll *e, struct list *seen)
{
    list_init(seen);
    lock_take(&e->ready_lock, RANK_READY);
    list_splice(seen, &e->ready);
    lock_give(&e->ready_lock);
}

/* The next of them: what wakes it from now on puts it on the list again. */
static struct entry *next_seen(struct epoll *e, struct list *seen)
{
    struct entry *n = NULL;
    lock_take(&e->ready_lock, RANK_READY);
    if (!list_empty(seen)) {
        n = container_of(seen->next, struct entry, ready);
        list_remove(&n->ready);
    }
    lock_give(&e->ready_lock);
    return n;
}

/* Those on `first` stand in front from now on, those on `last` at the end. True: there are some. */
static bool put_ready(struct epoll *e, struct list *first, struct list *last)
{
    lock_take(&e->ready_lock, RANK_READY);
    list_splice(first, &e->ready);
    bool any = !list_empty(first);
    list_splice(&e->ready, first);
    list_splice(&e->ready, last);
    lock_give(&e->ready_lock);
    return any;
}

static bool has_ready(struct epoll *e)
{
    lock_take(&e->ready_lock, RANK_READY);
    bool any = !list_empty(&e->ready);
    lock_give(&e->ready_lock);
    return any;
}

static uint32_t wanted_events(const struct entry *n)
{
    return (n->events & ~FLAGS) | OUTSIDE_ALWAYS;
}

/* With EPOLLEXCLUSIVE one epoll of somebody who sleeps is enough. */
static bool on_wake(struct waiter *w, uint32_t events)
{
    struct entry *n = container_of(w, struct entry, waiter);
    if (!(events & (outside_events(n->events & ~FLAGS) | wanted_events(n))))
        return false;
    bool sees = w->one && wait_has_sleeper(&n->epoll->wait);
    may_be_ready(n);
    return sees;
}

/* Of the entries of a file: file.watchers, and what wake-ups look at. Who is not alone has a file
 * with a queue. */
static void lock_watchers(struct file *f)
{
    if (f->wait)
        lock_take(&f->wait->lock, RANK_QUEUE);
}

static void unlock_watchers(struct file *f)
{
    if (f->wait)
        lock_give(&f->wait->lock);
}

/* With the epoll's lock. */
static void entry_free(struct entry *n)
{
    lock_watchers(n->file);
    list_remove(&n->watcher.node);
    list_remove(&n->waiter.node);
    unlock_watchers(n->file);
    lock_take(&n->epoll->ready_lock, RANK_READY);
    list_remove(&n->ready);
    lock_give(&n->epoll->ready_lock);
    list_remove(&n->node);
    list_remove(&n->nested);
    list_remove(&n->change);
    los_free(n);
}

static void forget_entry(struct watcher *w)
{
    entry_free(container_of(w, struct entry, watcher));
}

static struct entry *entry_of(struct list *watcher)
{
    return container_of(watcher, struct entry, watcher.node);
}

/* fd below 0: any. */
static struct entry *find_entry(const struct epoll *e, struct file *f, int fd)
{
    struct entry *found = NULL;
    lock_watchers(f);
    list_each(struct entry, n, &f->watchers, watcher.node) {
        if (n->epoll == e && (fd < 0 || n->fd == fd))
            found = n;
    }
    unlock_watchers(f);
    return found;
}

/* An epoll stays as long as the big lock is shared; its entry may go meanwhile. */
static struct epoll *first_watching(struct file *f)
{
    lock_watchers(f);
    struct epoll *e = list_empty(&f->watchers) ? NULL : entry_of(f->watchers.next)->epoll;
    unlock_watchers(f);
    return e;
}

static void leave_epolls(struct file *f)
{
    for (struct epoll *e; (e = first_watching(f));) {
        lock_take(&e->lock, RANK_EPOLL);
        struct entry *n = find_entry(e, f, -1);
        if (n)
            entry_free(n);
        lock_give(&e->lock);
    }
}

static void epoll_release(struct file *f)
{
    struct epoll *e = f->data;
    list_each_safe(struct entry, n, &e->entries, node)
        entry_free(n);
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
    outside_used(&e->set, POLLIN, false, 0);
    if (!port_wait(self(), &w, 0))
        outside_apply(&w);
}

static uint32_t epoll_poll(struct file *f)
{
    struct epoll *e = f->data;
    collect_ready(e);
    list_each(struct entry, n, &e->ready, ready) {
        if (file_poll(n->file) & wanted_events(n))
            return EPOLLIN | EPOLLRDNORM;
    }
    return 0;
}

static void epoll_tell(const struct file *f, struct text *t)
{
    const struct epoll *e = f->data;
    list_each(const struct entry, n, &e->entries, node) {
        text_put(t, "tfd: %8d events: %8x data: %16lx  pos:%lu ino:%lx sdev:%lx\n", n->fd,
                 n->events | EPOLLERR | EPOLLHUP, n->data, n->file->offset,
                 n->file->inode ? n->file->inode->ino : 0,
                 n->file->inode ? device_of(n->file->inode) : 0);
    }
}

static const struct file_ops epoll_ops = {
    .tell = epoll_tell,
    .poll = epoll_poll,
    .release = epoll_release,
    .name = "anon_inode:[eventpoll]",
    .stream = true,
};

static bool is_unsure(struct entry *n)
{
    return is_open(n) && outside_is_unsure(n->file->outside, wanted_events(n));
}

/* Of those that may be ready: is one? Those that are not leave the list; those of which it is not
 * sure are asked about. */
static bool look_ready(struct epoll *e, struct questions *q)
{
    struct list seen, kept, none;
    struct entry *n;
    bool ready = false;
    list_init(&kept);
    list_init(&none);
    lock_take(&e->lock, RANK_EPOLL);
    take_ready(e, &seen);
    while ((n = next_seen(e, &seen))) {
        bool unsure = is_unsure(n), known = !is_off(n) && file_poll(n->file) & wanted_events(n);
        ready = ready || known;
        if (unsure)
            poll_ask(q, outside_ask(n->file->outside, wanted_events(n)));
        if (unsure || known)
            add_to(e, &kept, n);
    }
    put_ready(e, &kept, &none);
    lock_give(&e->lock);
    return ready;
}

static void ask_nested(struct epoll *e, struct questions *q)
{
    list_each(struct entry, n, &e->nested, nested)
        epoll_questions(n->file, q);
}

bool file_is_epoll(const struct file *f)
{
    return f->ops == &epoll_ops;
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
    list_each(struct entry, n, &((const struct epoll *)f->data)->nested, nested)
        most = MAX(most, levels_below(n->file, end));
    return most + 1;
}

static int levels_above(const struct file *f)
{
    int most = 0;
    list_each(struct entry, n, &f->watchers, watcher.node)
        most = MAX(most, levels_above(n->epoll->file));
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

/* It is new, or has new events. True: the host must hear of it at once. */
static bool look_at_entry(struct entry *n)
{
    if (file_poll(n->file) & wanted_events(n))
        may_be_ready(n);
    return note_change(n);
}

static bool change_events(struct entry *n, const struct epoll_event *ev)
{
    lock_watchers(n->file);
    n->events = ev->events;
    n->data = ev->data;
    __atomic_store_n(&n->off, false, __ATOMIC_RELAXED);
    unlock_watchers(n->file);
    return look_at_entry(n);
}

static int add_entry(struct epoll *e, struct file *f, int fd, const struct epoll_event *ev)
{
    struct entry *n = los_alloc(sizeof(*n));
    if (!n)
        return -ENOMEM;
    *n = (struct entry){.epoll = e,
                        .file = f,
                        .fd = fd,
                        .events = ev->events,
                        .data = ev->data,
                        .waiter = {.woken = on_wake, .one = ev->events & EPOLLEXCLUSIVE},
                        .watcher.forget = forget_entry};
    list_init(&n->ready);
    list_init(&n->nested);
    list_init(&n->change);
    list_init(&n->waiter.node);
    list_append(&e->entries, &n->node);
    lock_watchers(f);
    list_append(&f->watchers, &n->watcher.node);
    if (f->wait)
        list_append(&f->wait->waiters, &n->waiter.node);
    if (f->wait && f->ops != &epoll_ops)
        f->unwatch = leave_epolls;
    unlock_watchers(f);
    if (f->ops == &epoll_ops) {
        list_append(&e->nested, &n->nested);
        wake_sleepers(e);
    }
    return look_at_entry(n);
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

/* With e->lock. 1: it was done, and the host must hear of it at once. */
static int change_entry(struct epoll *e, struct file *f, int fd, int operation,
                        const struct epoll_event *ev)
{
    struct entry *n = find_entry(e, f, fd);
    int r;
    switch (operation) {
    case EPOLL_CTL_ADD:
        r = check_add(e, f, ev);
        return r ? r : n ? -EEXIST : add_entry(e, f, fd, ev);
    case EPOLL_CTL_MOD:
        if (!n)
            return -ENOENT;
        return (n->events | ev->events) & EPOLLEXCLUSIVE ? -EINVAL : change_events(n, ev);
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

/* For those who sleep. */
static int tell_now(struct epoll *e, struct file *f, int fd, bool added)
{
    if (e->set.handle < 0)
        call_alone();
    lock_take(&e->lock, RANK_EPOLL);
    int r = flush_changes(e);
    struct entry *n = r && added ? find_entry(e, f, fd) : NULL;
    if (n)
        entry_free(n);
    lock_give(&e->lock);
    return r;
}

/* Beside others, but for epolls in epolls. Another thread may close both meanwhile: who ends f last
 * then finds that it is watched (file_put). */
long sys_epoll_ctl(int epfd, int operation, int fd, uint64_t event)
{
    int error;
    struct epoll_event ev = {0};
    if (operation != EPOLL_CTL_DEL && user_read(&ev, event, sizeof(ev)))
        return -EFAULT;
    struct epoll *e = epoll_of(epfd, &error);
    struct file *f = fd_file(fd);
    if (f && (!f->wait || f->ops == &epoll_ops) && call_alone()) {
        e = epoll_of(epfd, &error);
        f = fd_file(fd);
    }
    if (!f || (!e && error == -EBADF))
        return -EBADF;
    if (f->ops->unwatched || (f->inode && (f->inode->mode & S_IFMT) == S_IFDIR))
        return -EPERM;
    if (!e || f->data == e)
        return -EINVAL;
    bool held = fd_hold(f) && fd_hold(e->file);
    struct file *own = e->file;
    lock_take(&e->lock, RANK_EPOLL);
    int r = change_entry(e, f, fd, operation, &ev);
    lock_give(&e->lock);
    if (r > 0)
        r = tell_now(e, f, fd, operation == EPOLL_CTL_ADD);
    fd_release(f, held);
    fd_release(own, held);
    return r;
}

/* How many of those that may be ready are told at once, and the memory for it made usable. */
static int report_room(struct epoll *e, uint64_t to, int max)
{
    int n = 0;
    lock_take(&e->ready_lock, RANK_READY);
    for (const struct list *it = e->ready.next; it != &e->ready && n < max; it = it->next)
        n++;
    lock_give(&e->ready_lock);
    if (n && mm_ready(to, (uint64_t)n * sizeof(struct epoll_event), PORT_W))
        call_alone(); /* as far as it goes */
    return n;
}

/* Tells the program of those that are ready, at most `max`; who is not told comes first next time.
 */
static long report_events(struct epoll *e, uint64_t to, int max)
{
    struct list seen, level; /* those that stay */
    struct entry *n;
    long done = 0, error = 0;
    max = report_room(e, to, max);
    list_init(&level);
    lock_take(&e->lock, RANK_EPOLL);
    take_ready(e, &seen);
    while (!error && done < max && (n = next_seen(e, &seen))) {
        struct epoll_event ev = {.events = file_poll(n->file) & wanted_events(n), .data = n->data};
        bool unsure = is_unsure(n);
        if (is_off(n))
            continue;
        if (ev.events && user_write(to + (uint64_t)done * sizeof(ev), &ev, sizeof(ev))) {
            add_to(e, &level, n);
            error = -EFAULT;
            break;
        }
        done += ev.events != 0;
        if (ev.events)
            __atomic_store_n(&n->off, !!(n->events & EPOLLONESHOT), __ATOMIC_RELAXED);
        if (!is_off(n) && (ev.events ? !(n->events & EPOLLET) : unsure))
            add_to(e, &level, n);
    }
    __atomic_store_n(&e->rest, put_ready(e, &seen, &level), __ATOMIC_RELAXED);
    lock_give(&e->lock);
    return done ? done : error;
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
    lock_take(&e->lock, RANK_EPOLL);
    /* What travels with the wait arrives when e->lock is given up: after what another may tell. */
    bool others = !fd_alone() || __atomic_load_n(&e->file->refs, __ATOMIC_RELAXED) > 2;
    uint32_t n = 0;
    if (others || !changes_fit(e))
        r = flush_changes(e);
    else
        n = take_changes(e, items, CHANGES_ROOM);
    lock_give(&e->lock);
    if (r)
        return r;
    /* Questions stand behind the room for changes: these move up to them. */
    memmove(items + CHANGES_ROOM - n, items, n * sizeof(*items));
    w.items = items + CHANGES_ROOM - n;
    w.changes = n;
    return wait_sleep_outside(&w, q->needed > q->room ? 0 : deadline);
}

static long look_and_sleep(struct epoll *e, struct port_event *items, uint64_t to, int max,
                           uint64_t deadline)
{
    for (bool asked = false;; asked = true) {
        struct questions q = {.items = items + CHANGES_ROOM, .room = ASKS_ROOM};
        wait_clear();
        bool ready = look_ready(e, &q);
        ask_nested(e, &q);
        int r = 0;
        if ((has_outside(e) || q.needed) && (!asked || !ready))
            r = ask_and_sleep(e, items, &q, ready ? 0 : deadline);
        else if (!ready)
            r = wait_sleep(deadline);
        if (!list_empty(&e->nested)) /* since the sleep began */
            call_alone();
        long n = report_events(e, to, max);
        if (n || r)
            return n || r == -ETIMEDOUT ? n : r;
    }
}

static long do_wait(int fd, uint64_t to, int max, uint64_t deadline)
{
    int error;
    struct epoll *e = epoll_of(fd, &error);
    if (e && !list_empty(&e->nested) && call_alone())
        e = epoll_of(fd, &error);
    if (!e)
        return error;
    if (max <= 0)
        return -EINVAL;
    struct port_event *items = __atomic_exchange_n(&e->items, NULL, __ATOMIC_ACQUIRE), *none = NULL;
    if (!items)
        items = los_alloc((CHANGES_ROOM + ASKS_ROOM + FOUND_ROOM) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    struct waiter w;
    file_get(e->file);
    wait_begin_one(&w, &e->wait);
    long r = look_and_sleep(e, items, to, MIN(max, EVENTS_MAX), deadline);
    wait_end(&w);
    if (__atomic_load_n(&e->rest, __ATOMIC_RELAXED) || (r <= 0 && has_ready(e)))
        wait_wake_events(&e->wait, POLLIN); /* for another who sleeps */
    if (!__atomic_compare_exchange_n(&e->items, &none, items, false, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED))
        los_free(items);
    file_put(e->file);
    return r;
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
    uint64_t deadline;
    int r = deadline_from_user(timeout, CLOCK_FROM_NOW, &deadline);
    if (!r)
        r = poll_mask(mask, mask_size);
    return r ? r : do_wait(epfd, events, count, deadline);
}
