// SPDX-License-Identifier: Apache-2.0
// O_ASYNC: a signal when a file may have become ready.
#include <asm/poll.h>
#include <asm/signal.h>

#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

struct async {
    struct watcher watcher;
    struct waiter waiter;
    struct list node; /* of woken, while there are events */
    uint32_t events;  /* since the owner was told */
    struct file *file;
    int fd;
};

/* Of those whose owners are to be told when the call that woke them ends, or its thread sleeps. */
static struct list woken = {&woken, &woken};
static struct lock woken_lock; /* RANK_READY */
static bool any_woken;         /* atomic */

int file_set_owner(struct file *f, int type, int id)
{
    if (type < 0 || type > 2)
        return -EINVAL;
    int mine = type == 2 ? current()->pgid : current()->pid;
    if (id && id != mine && !(type == 0 && thread_find_any(id)))
        return -ESRCH;
    f->owner_type = type;
    f->owner = id;
    f->owner_uid = current()->uid;
    f->owner_euid = current()->euid;
    return 0;
}

/* As kill asks it, of who named the owner. */
static bool may_tell(const struct file *f, const struct process *p)
{
    return !f->owner_euid || f->owner_euid == p->suid || f->owner_euid == p->uid ||
           f->owner_uid == p->suid || f->owner_uid == p->uid;
}

/* What siginfo_t says of an event: its code (POLL_IN ...) and all that the band then holds. */
static const struct reason {
    uint32_t event;
    int code, band;
} reasons[] = {{POLLHUP, 6, POLLHUP | POLLERR},
               {POLLIN, 1, POLLIN | POLLRDNORM},
               {POLLPRI, 5, POLLPRI | POLLRDBAND},
               {POLLOUT, 2, POLLOUT | POLLWRNORM | POLLWRBAND},
               {POLLERR, 4, POLLERR}};

static struct sig_item make_item(const struct file *f, int fd, int code, int band)
{
    if (!f->owner_signal)
        return (struct sig_item){.signo = SIGIO, .code = 0x80 /* SI_KERNEL */};
    /* si_band and si_fd stand where others have si_pid and si_value. */
    return (struct sig_item){
        .signo = f->owner_signal, .code = code, .pid = band, .value = (uint32_t)fd};
}

void async_signal(struct file *f, int fd, int code, int band)
{
    if (!f->owner)
        return;
    struct sig_item item = make_item(f, fd, code, band);
    struct thread *t = f->owner_type == 0 ? thread_find_any(f->owner) : NULL;
    if (t && may_tell(f, t->process))
        sig_send_item(t->process, t, &item);
    list_each_safe(struct process, p, &processes, node) {
        bool meant = f->owner_type == 1   ? p->pid == f->owner
                     : f->owner_type == 2 ? p->pgid == f->owner
                                          : false;
        if (meant && may_tell(f, p))
            sig_send_item(p, NULL, &item);
    }
}

static void tell_owner(const struct async *a, uint32_t events)
{
    struct file *f = a->file;
    uint32_t ready = f->owner ? file_poll(f) & events : 0;
    if (!ready)
        return;
    if (f->ops->pipe && (ready & POLLIN)) /* its end is something to read */
        ready = POLLIN;
    const struct reason *r = reasons;
    while (r < reasons + ARRAY_COUNT(reasons) - 1 && !(ready & r->event))
        r++;
    async_signal(f, a->fd, r->code, r->band);
}

static bool note_events(struct waiter *w, uint32_t events)
{
    struct async *a = container_of(w, struct async, waiter);
    lock_take(&woken_lock, RANK_READY);
    if (!a->events)
        list_append(&woken, &a->node);
    a->events |= events;
    __atomic_store_n(&any_woken, true, __ATOMIC_SEQ_CST);
    lock_give(&woken_lock);
    return false;
}

bool async_is_due(void)
{
    return __atomic_load_n(&any_woken, __ATOMIC_SEQ_CST);
}

void async_tell(void)
{
    if (!async_is_due())
        return;
    los_upgrade();
    __atomic_store_n(&any_woken, false, __ATOMIC_SEQ_CST);
    while (!list_empty(&woken)) {
        struct async *a = container_of(woken.next, struct async, node);
        uint32_t events = a->events;
        list_remove(&a->node);
        a->events = 0;
        tell_owner(a, events);
    }
}

static void forget_async(struct watcher *w)
{
    struct async *a = container_of(w, struct async, watcher);
    wait_end(&a->waiter);
    if (a->events)
        list_remove(&a->node);
    a->file->async = NULL;
    los_free(a);
}

int async_set(int fd, struct file *f, bool on)
{
    if (f->async)
        f->async->forget(f->async);
    if (!on || !f->wait)
        return 0;
    struct async *a = los_alloc(sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->file = f;
    a->fd = fd;
    a->watcher.forget = forget_async;
    a->waiter.woken = note_events;
    a->waiter.queue = f->wait;
    list_append(&f->wait->waiters, &a->waiter.node);
    f->async = &a->watcher;
    return 0;
}
