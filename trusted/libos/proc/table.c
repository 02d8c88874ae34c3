// SPDX-License-Identifier: Apache-2.0
// All processes, and the numbers that name processes, threads, groups and sessions.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

#define ID_MAX 4194304 /* /proc/sys/kernel/pid_max */

struct process first_process;
struct uts uts;
struct list processes = {&processes, &processes};

struct process *process_find(int pid)
{
    list_each(struct process, p, &processes, node) {
        if (p->pid == pid)
            return p;
    }
    return NULL;
}

struct thread *thread_find(const struct process *p, int tid)
{
    list_each(struct thread, t, &p->threads, node) {
        if (t->tid == tid)
            return t;
    }
    return NULL;
}

struct thread *thread_find_any(int tid)
{
    list_each(struct process, p, &processes, node) {
        struct thread *t = thread_find(p, tid);
        if (t)
            return t;
    }
    return NULL;
}

int process_parent(const struct process *p)
{
    return p->parent ? p->parent->pid : 0;
}

bool group_is_orphaned(int32_t pgid)
{
    list_each(const struct process, p, &processes, node) {
        const struct process *up = p->parent;
        if (p->pgid == pgid && !p->zombie && up && up->pgid != pgid && up->sid == p->sid)
            return false;
    }
    return true;
}

bool process_may_inspect(const struct process *p)
{
    const struct process *me = current();
    return p == me || (p->dumpable && me->uid == p->uid && me->uid == p->euid &&
                       me->uid == p->suid && me->gid == p->gid && me->gid == p->egid &&
                       me->gid == p->sgid && !(p->caps.permitted & ~me->caps.permitted));
}

static bool id_in_use(int32_t id)
{
    list_each(const struct process, p, &processes, node) {
        if (p->pid == id || p->pgid == id || p->sid == id || thread_find(p, id))
            return true;
    }
    return false;
}

int32_t id_next(void)
{
    static int32_t last = 1;
    static bool wrapped;
    do {
        last = last < ID_MAX - 1 ? last + 1 : 2;
        wrapped = wrapped || last == 2;
    } while (wrapped && id_in_use(last));
    return last;
}

/* Everything that a process has from its beginning; what it shares is new. 0 or -ENOMEM. */
static int process_init(struct process *p)
{
    list_init(&p->threads);
    list_init(&p->node);
    list_init(&p->children);
    list_init(&p->sibling);
    list_init(&p->tracees);
    wait_queue_init(&p->child_wait);
    wait_queue_init(&p->resume);
    sig_queue_init(&p->pending);
    p->files = fd_table_new();
    p->fs = los_alloc(sizeof(*p->fs));
    p->handlers = los_alloc(sizeof(*p->handlers));
    p->space = space_new();
    if (!p->files || !p->fs || !p->handlers || !p->space)
        return -ENOMEM;
    p->fs->refs = p->handlers->refs = 1;
    p->fs->umask = 022;
    return 0;
}

int process_init_first(void)
{
    struct process *p = &first_process;
    int r = process_init(p);
    p->pid = p->pgid = p->sid = 1;
    if (!r)
        list_append(&processes, &p->node);
    return r;
}

struct process *process_new_orphan(void)
{
    struct process *p = los_alloc(sizeof(*p));
    if (p && process_init(p)) {
        process_drop_orphan(p);
        return NULL;
    }
    if (p) {
        p->pid = p->pgid = p->sid = id_next();
        p->start_time = clock_now();
        list_append(&processes, &p->node);
    }
    return p;
}

void process_drop_orphan(struct process *p)
{
    list_remove(&p->node);
    if (p->space)
        space_put(p->space);
    if (p->files)
        fd_table_put(p->files);
    los_free(p->fs);
    los_free(p->handlers);
    los_free(p);
}
