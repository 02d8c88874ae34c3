// SPDX-License-Identifier: Apache-2.0
// New threads and processes: clone, fork, vfork, clone3.
#include <linux/sched.h>

#include "trusted/libos/base/processor.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/keys.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define KNOWN_FLAGS                                                                                \
    (THREAD_FLAGS | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |    \
     CLONE_CHILD_SETTID | CLONE_DETACHED | CLONE_VFORK | CLONE_PARENT | CLONE_PIDFD |              \
     CLONE_UNTRACED | CLONE_PTRACE | CLONE_IO | CLONE_CLEAR_SIGHAND)
/* Namespaces, which a container may not make. */
#define SPACES                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET | CLONE_NEWTIME)

/* What the forms of clone say. */
struct clone_request {
    uint64_t flags, stack, parent_tid, child_tid, tls, pidfd;
    int exit_signal;
};

static int check_clone(const struct clone_request *q)
{
    uint64_t f = q->flags;
    if ((f & (CLONE_NEWNS | CLONE_NEWUSER)) && (f & CLONE_FS))
        return -EINVAL;
    if (f & SPACES)
        return -EPERM;
    if ((f & CLONE_SETTLS) &&
        q->tls >> 47) /* no address: the processor would refuse it in the LibOS */
        return -EPERM;
    if ((f & ~(uint64_t)KNOWN_FLAGS) || ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND)) ||
        ((f & CLONE_SIGHAND) && (!(f & CLONE_VM) || (f & CLONE_CLEAR_SIGHAND))) ||
        ((f & CLONE_PIDFD) && (f & (CLONE_DETACHED | CLONE_THREAD))) ||
        ((f & CLONE_THREAD) && (f & THREAD_FLAGS) != THREAD_FLAGS) ||
        ((f & CLONE_PARENT) && current() == &first_process) || q->exit_signal < 0 ||
        q->exit_signal > SIG_COUNT)
        return -EINVAL;
    return 0;
}

/* The child's first extended state is the caller's: calls leave it in the registers. So is that of
 * a caller who lends its place. */
static int copy_xsave(struct thread *n)
{
    n->xsave = pages_alloc(XSTATE_PAGES);
    if (!n->xsave)
        return -ENOMEM;
    xstate_save(n->xsave, port_info.xfrm);
    return 0;
}

static struct thread *new_thread(const struct clone_request *q, struct process *p, int32_t tid)
{
    struct thread *t = self(), *n = thread_new();
    if (!n)
        return NULL;
    thread_read_fs(t);
    n->process = p;
    n->tid = tid;
    n->regs = t->regs;
    n->regs.rax = 0;
    if (q->stack)
        n->regs.rsp = q->stack;
    n->rip_virtual = true;
    n->sig_mask = t->sig_mask;
    n->timer_slack[0] = n->timer_slack[1] = t->timer_slack[0];
    n->fs_base = q->flags & CLONE_SETTLS ? q->tls : t->fs_base;
    n->clear_tid = q->flags & CLONE_CHILD_CLEARTID ? q->child_tid : 0;
    n->set_tid = q->flags & CLONE_CHILD_SETTID ? q->child_tid : 0;
    if (!(q->flags & CLONE_VM) || (q->flags & CLONE_VFORK))
        n->alt = t->alt;
    memcpy(n->name, t->name, sizeof(n->name));
    return n;
}

static struct fs_context *copy_fs(const struct fs_context *from)
{
    struct fs_context *fs = los_alloc(sizeof(*fs));
    if (!fs)
        return NULL;
    *fs = *from;
    fs->refs = 1;
    if (fs->cwd)
        dentry_get(fs->cwd);
    if (fs->root)
        dentry_get(fs->root);
    return fs;
}

static int copy_context(struct process *p, const struct process *from, uint64_t flags)
{
    if (flags & CLONE_FS) {
        p->fs = from->fs;
        p->fs->refs++;
    } else {
        p->fs = copy_fs(from->fs);
    }
    if (flags & CLONE_SIGHAND) {
        p->handlers = from->handlers;
        p->handlers->refs++;
    } else if ((p->handlers = los_alloc(sizeof(*p->handlers)))) {
        *p->handlers = *from->handlers;
        p->handlers->refs = 1;
        for (int i = 0; (flags & CLONE_CLEAR_SIGHAND) && i < SIG_COUNT; i++) {
            if (p->handlers->actions[i].handler != SIG_IGNORE)
                p->handlers->actions[i] = (struct sig_action){0};
        }
    }
    p->files = flags & CLONE_FILES ? fd_table_get(from->files) : fd_table_copy(from->files);
    return p->fs && p->handlers && p->files ? 0 : -ENOMEM;
}

static void drop_process(struct process *p)
{
    list_remove(&p->node);
    list_remove(&p->sibling);
    if (p->space)
        space_put(p->space);
    if (p->files)
        fd_table_put(p->files);
    if (p->fs)
        fs_context_put(p->fs);
    if (p->handlers)
        handlers_put(p->handlers);
    keys_drop(&p->session_keyring);
    los_free(p);
}

static struct process *new_process(const struct clone_request *q)
{
    struct process *from = current(), *p = los_alloc(sizeof(*p));
    if (!p)
        return NULL;
    *p = *from;
    list_init(&p->threads);
    list_init(&p->children);
    list_init(&p->node);
    list_init(&p->sibling);
    list_init(&p->tracees);
    wait_queue_init(&p->child_wait);
    wait_queue_init(&p->resume);
    sig_queue_init(&p->pending);
    p->files = NULL;
    p->fs = NULL;
    p->handlers = NULL;
    p->space = NULL;
    p->timers = NULL;
    keys_fork(p);
    p->session = NULL;
    p->vfork_waiter = p->exec_thread = NULL;
    p->thread_count = 0;
    p->subreaper = p->execed = p->stopped = p->continued = p->exiting = false;
    p->death_signal = 0;
    p->usage = p->children_usage = (struct usage){0};
    p->usage_most = 0;
    memset(p->moves, 0, sizeof(p->moves));
    memset(p->moved, 0, sizeof(p->moved));
    p->start_time = clock_now();
    p->pid = id_next();
    p->exit_signal = q->exit_signal;
    p->parent = q->flags & CLONE_PARENT ? from->parent : from;
    if (q->flags & CLONE_PARENT)
        p->exit_signal = from->exit_signal;
    int r = copy_context(p, from, q->flags);
    if (!r && (q->flags & CLONE_VM)) {
        p->space = from->space;
        p->space->refs++;
    } else if (!r) {
        p->space = space_fork();
    }
    if (!p->space) {
        drop_process(p);
        return NULL;
    }
    return p;
}

/* Until the child has its own memory, or is gone. Only a fatal end interrupts it; not while the
 * child runs in this thread's place (thread_lend), which is over before we come here. */
static void wait_for_vfork(int pid)
{
    struct thread *t = self();
    while (t->vforking && !t->process->exiting && !t->process->exec_thread)
        wait_nap(NO_DEADLINE);
    struct process *child = t->vforking ? process_find(pid) : NULL;
    if (child && child->vfork_waiter == t)
        child->vfork_waiter = NULL;
    t->vforking = false;
    residence_take();
    ptrace_vfork_done(t, pid);
}

static long make_process(const struct clone_request *q)
{
    struct thread *t = self();
    uint32_t nproc = 0;
    list_each(struct process, other, &processes, node)
        nproc++;
    if (nproc >= current()->limits[6].soft) /* RLIMIT_NPROC */
        return -EAGAIN;
    struct process *p = new_process(q);
    if (!p)
        return -ENOMEM;
    int pid = p->pid;
    struct thread *n = new_thread(q, p, pid);
    if (!n || copy_xsave(n)) {
        if (n)
            thread_free(n);
        drop_process(p);
        residence_take();
        return -EAGAIN;
    }
    timers_limit(p);
    list_append(&p->threads, &n->node);
    p->thread_count = 1;
    n->in_user = !(q->flags & CLONE_VM); /* about to be: nobody takes the addresses for a moment */
    list_append(&processes, &p->node);
    list_append(&p->parent->children, &p->sibling);
    if (q->flags & CLONE_VFORK) {
        p->vfork_waiter = t;
        t->vforking = true;
    }
    int pidfd = q->flags & CLONE_PIDFD ? pidfd_new(p, 0) : 0;
    const uint64_t borrows = CLONE_VM | CLONE_VFORK;
    bool lends = port_info.lends && pidfd >= 0 && (q->flags & borrows) == borrows &&
                 !(q->flags & CLONE_PTRACE) && !t->tracee && !copy_xsave(t);
    if (pidfd < 0 || (!lends && port_thread_start(n))) {
        t->vforking = false;
        list_remove(&n->node);
        thread_free(n);
        drop_process(p);
        residence_take();
        return pidfd < 0 ? pidfd : -EAGAIN;
    }
    ptrace_cloned(n, q->flags, q->exit_signal);
    if (lends)
        thread_lend(n);
    if (q->flags & CLONE_VFORK)
        wait_for_vfork(pid);
    else
        residence_take();
    if (q->flags & CLONE_PARENT_SETTID)
        user_write(q->parent_tid, &pid, sizeof(pid));
    if (q->flags & CLONE_PIDFD)
        user_write(q->pidfd, &pidfd, sizeof(pidfd));
    return pid;
}

static long make_thread(const struct clone_request *q)
{
    struct process *p = current();
    int32_t tid = id_next();
    leftovers_end(p->space->family); /* threads map beside each other, which must find nothing */
    struct thread *n = new_thread(q, p, tid);
    if (!n)
        return -EAGAIN;
    if ((q->flags & CLONE_PARENT_SETTID) && user_write(q->parent_tid, &tid, sizeof(tid))) {
        thread_free(n);
        return -EFAULT;
    }
    if (n->set_tid)
        user_write(n->set_tid, &tid, sizeof(tid));
    n->set_tid = 0;
    list_append(&p->threads, &n->node);
    p->thread_count++;
    if (port_thread_start(n)) {
        list_remove(&n->node);
        p->thread_count--;
        thread_free(n);
        return -EAGAIN;
    }
    ptrace_cloned(n, q->flags, q->exit_signal);
    return tid;
}

static long do_clone(const struct clone_request *q)
{
    int r = check_clone(q);
    if (r)
        return r;
    if ((q->flags & CLONE_PIDFD) && mm_ready(q->pidfd, sizeof(int), PORT_W))
        return -EFAULT;
    if (current()->exiting || current()->exec_thread)
        return -EAGAIN; /* it will not come back */
    if (q->flags & CLONE_THREAD)
        return make_thread(q);
    long made = make_process(q);
    if (made == -ENOMEM) {
        call_upgrade();
        made = spare_drop(NULL) ? make_process(q) : made;
    }
    return made;
}

/* clone(flags, stack, parent_tid, child_tid, tls) */
long sys_clone(uint64_t flags, uint64_t stack, uint64_t parent_tid, uint64_t child_tid,
               uint64_t tls)
{
    struct clone_request q = {.flags = flags & ~(uint64_t)CSIGNAL & UINT32_MAX,
                              .stack = stack,
                              .parent_tid = parent_tid,
                              .child_tid = child_tid,
                              .tls = tls,
                              .pidfd = parent_tid,
                              .exit_signal = (int)(flags & CSIGNAL)};
    if ((q.flags & CLONE_PIDFD) && (q.flags & CLONE_PARENT_SETTID))
        return -EINVAL;
    return do_clone(&q);
}

#define TOGETHER (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) /* what threads cannot part with */

/* Threads share directory and descriptors here: one that wants its own is refused. */
long sys_unshare(uint64_t flags)
{
    struct process *p = current();
    uint64_t own = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
    if (flags & ~(uint64_t)(SPACES | TOGETHER | own))
        return -EINVAL;
    if (flags & SPACES)
        return -EPERM;
    if (p->thread_count > 1)
        return flags & TOGETHER ? -EINVAL : flags & own ? -EPERM : 0;
    if ((flags & CLONE_FS) && p->fs->refs > 1) {
        struct fs_context *fs = copy_fs(p->fs);
        if (!fs)
            return -ENOMEM;
        fs_context_put(p->fs);
        p->fs = fs;
    }
    struct fd_table *files = flags & CLONE_FILES ? fd_table_own(p->files) : p->files;
    if (!files)
        return -ENOMEM;
    p->files = files;
    return 0;
}

/* clone3(struct clone_args, size): fields behind those of version 0 name threads and cgroups. */
long sys_clone3(uint64_t from, uint64_t size)
{
    struct clone_args a = {0};
    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (user_read(&a, from, MIN(size, sizeof(a))))
        return -EFAULT;
    for (uint64_t at = sizeof(a); at < size; at++) {
        uint8_t rest;
        if (user_read(&rest, from + at, 1))
            return -EFAULT;
        if (rest)
            return -E2BIG;
    }
    if (a.set_tid_size || a.set_tid)
        return a.set_tid_size > 32 || !a.set_tid != !a.set_tid_size ? -EINVAL : -EPERM;
    if ((a.flags & (CSIGNAL | CLONE_DETACHED | CLONE_INTO_CGROUP)) || !a.stack != !a.stack_size ||
        a.exit_signal > SIG_COUNT || ((a.flags & CLONE_THREAD) && a.exit_signal))
        return -EINVAL;
    struct clone_request q = {.flags = a.flags,
                              .stack = a.stack ? a.stack + a.stack_size : 0,
                              .parent_tid = a.parent_tid,
                              .child_tid = a.child_tid,
                              .tls = a.tls,
                              .pidfd = a.pidfd,
                              .exit_signal = (int)a.exit_signal};
    return do_clone(&q);
}
