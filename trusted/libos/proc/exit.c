// SPDX-License-Identifier: Apache-2.0
// The end of threads and processes, and who is told of it: exit, wait4, waitid.
#include <asm/signal.h>
#include <linux/wait.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/tty.h"
#include "trusted/libos/fs/volume.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/keys.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"
#include "trusted/libos/entry/session.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define CLD_EXITED_CODE 1
#define CLD_KILLED_CODE 2
#define CLD_TRAPPED_CODE 4
#define CLD_STOPPED_CODE 5
#define CLD_CONTINUED_CODE 6
#define NO_ZOMBIE 2ul /* SA_NOCLDWAIT */
#define NO_STOP 1ul   /* SA_NOCLDSTOP */

static int exit_code_of(int wait_status)
{
    return wait_status & 127 ? 128 + (wait_status & 127) : wait_status >> 8 & 255;
}

/* Every thread of p but this one looks at what happened. */
void process_kick(struct process *p)
{
    list_each(struct thread, t, &p->threads, node) {
        if (t != self())
            sig_wake_for_mask(t);
    }
}

static void free_process(struct process *p)
{
    list_remove(&p->node);
    list_remove(&p->sibling);
    sig_queue_clear(&p->pending);
    if (p != &first_process)
        los_free(p);
}

/* A child's news as a signal: its number is `signo`. */
static void tell_parent(struct process *child, int signo, int code, int status)
{
    struct sig_item item = {.signo = signo,
                            .code = code,
                            .pid = child->pid,
                            .uid = child->uid,
                            .value = (uint32_t)status};
    if (signo)
        sig_send_item(child->parent, NULL, &item);
    wait_wake_all(&child->parent->child_wait);
}

/* Does the parent leave no zombies? */
static bool wants_none(const struct process *parent, int signo)
{
    const struct sig_action *a = &parent->handlers->actions[SIGCHLD - 1];
    return signo == SIGCHLD && (a->handler == SIG_IGNORE || (a->flags & NO_ZOMBIE));
}

static void announce_end(struct process *p)
{
    bool killed = p->wait_status & 127;
    bool none = wants_none(p->parent, p->exit_signal);
    tell_parent(p, p->exit_signal, killed ? CLD_KILLED_CODE : CLD_EXITED_CODE,
                killed ? p->wait_status & 127 : p->wait_status >> 8 & 255);
    if (none)
        free_process(p);
}

/* Orphans go to the next who asked for them, or to PID 1. */
static struct process *new_parent(struct process *p)
{
    for (struct process *a = p->parent; a; a = a->parent) {
        if (a->subreaper && !a->exiting)
            return a;
    }
    return &first_process;
}

/* A group that nobody can make go on any more, with somebody stopped in it, is told so. */
static void wake_orphans(int32_t pgid)
{
    bool stopped = false;
    list_each(const struct process, p, &processes, node) {
        stopped = stopped || (p->pgid == pgid && p->stopped && !p->zombie);
    }
    if (!stopped || !group_is_orphaned(pgid))
        return;
    sig_send_group(pgid, SIGHUP);
    sig_send_group(pgid, SIGCONT);
}

static void give_children_away(struct process *p)
{
    struct process *heir = new_parent(p);
    list_each_safe(struct process, c, &p->children, sibling) {
        list_remove(&c->sibling);
        list_append(&heir->children, &c->sibling);
        c->parent = heir;
        c->exit_signal = SIGCHLD;
        if (c->death_signal && !c->zombie) {
            struct sig_item item = {.signo = c->death_signal};
            sig_send_item(c, NULL, &item);
        }
        if (c->pgid != p->pgid && c->sid == p->sid)
            wake_orphans(c->pgid);
        if (c->zombie)
            announce_end(c);
    }
    wake_orphans(p->pgid);
}

void handlers_put(struct handlers *h)
{
    if (--h->refs == 0)
        los_free(h);
}

void fs_context_put(struct fs_context *fs)
{
    if (--fs->refs)
        return;
    if (fs->cwd)
        dentry_put(fs->cwd);
    if (fs->root)
        dentry_put(fs->root);
    los_free(fs);
}

void vfork_release(struct process *p)
{
    struct thread *t = p->vfork_waiter;
    p->vfork_waiter = NULL;
    if (!t)
        return;
    t->vforking = false;
    wait_wake_thread(t);
}

/* The workload ended, and everything with it. What a volume could not keep is an error. */
static _Noreturn void end_all(int wait_status)
{
    int status = exit_code_of(wait_status);
    if (volume_unmount_all() && !status)
        status = 125; /* our own failure */
    stdio_end();
    port_exit(status);
}

/* Its last thread is going. */
static void process_end(struct process *p)
{
    struct fd_table *files = p->files;
    struct space *space = p->space;
    timers_free(p);
    aio_end(p);
    sem_exit(p);
    keys_drop(&p->keyring);
    keys_drop(&p->session_keyring);
    if (p->wait_status & 127)
        space->program = 0; /* who makes a program crash learns nothing of the next one */
    fd_close_all();
    fd_table_put(files);
    space_put(space);
    oom_ended(p);
    p->space = NULL;
    p->files = NULL;
    vfork_release(p);
    fs_context_put(p->fs);
    handlers_put(p->handlers);
    p->fs = NULL;
    p->handlers = NULL;
    p->zombie = true;
    give_children_away(p);
    ptrace_tracer_ends(p);
    if (p->pid == p->sid)
        tty_leader_ended(p->sid);
    pidfd_ended(p);
    if (p->session)
        session_ended(p);
    if (p->parent)
        announce_end(p);
    else
        free_process(p);
}

void thread_exit(struct thread *t, int wait_status)
{
    struct process *p = t->process;
    los_upgrade();
    turn_give_all();
    ptrace_thread_ending(t, wait_status);
    if (p == &first_process && p->thread_count == 1)
        end_all(p->exiting ? p->wait_status : wait_status);
    if ((t->robust_list || t->clear_tid) && !residence_take())
        futex_exit(t);
    if (p->thread_count == 1 && !p->exiting)
        p->wait_status = wait_status;
    usage_add(&p->usage, usage_of_thread(t));
    for (int i = 0; i < 2; i++) {
        p->moves[i] += t->moves[i];
        p->moved[i] += t->moved[i];
    }
    residence_idle();
    keys_drop(&t->keyring);
    ptrace_thread_ends(t, wait_status, p->thread_count == 1);
    list_remove(&t->node);
    p->thread_count--;
    t->dead = true;
    sig_queue_clear(&t->pending);
    if (p->exec_thread)
        wait_wake_thread(p->exec_thread);
    if (!p->thread_count)
        process_end(p);
    thread_bury(t);
}

void process_exit(int wait_status)
{
    struct process *p = current();
    los_upgrade();
    if (!p->exiting) {
        p->exiting = true;
        p->wait_status = wait_status;
        if (tracing)
            log_line("[%d] +++ exited with %d +++", self()->tid, exit_code_of(wait_status));
        if (p == &first_process) {
            if (wait_status)
                call_tell_missing();
            end_all(wait_status);
        }
        process_kick(p);
    }
    thread_exit(self(), wait_status);
}

long sys_exit(int status)
{
    thread_exit(self(), (status & 255) << 8);
}

long sys_exit_group(int status)
{
    process_exit((status & 255) << 8);
}

/* ---- stopped and going on ---- */

void process_stop(int signo)
{
    struct process *p = current();
    p->stop_signal = signo;
    p->stopped = true;
    p->reported_stop = p->continued = false;
    process_kick(p);
    if (!p->parent)
        return;
    if (!(p->parent->handlers->actions[SIGCHLD - 1].flags & NO_STOP))
        tell_parent(p, SIGCHLD, CLD_STOPPED_CODE, signo);
    else
        wait_wake_all(&p->parent->child_wait);
}

void process_continue(struct process *p)
{
    ptrace_continued(p);
    if (!p->stopped)
        return;
    p->stopped = false;
    p->continued = true;
    wait_wake_all(&p->resume);
    if (p->parent && !(p->parent->handlers->actions[SIGCHLD - 1].flags & NO_STOP))
        tell_parent(p, SIGCHLD, CLD_CONTINUED_CODE, SIGCONT);
    else if (p->parent)
        wait_wake_all(&p->parent->child_wait);
}

void process_wait_stopped(struct process *p)
{
    struct waiter w = {0};
    wait_begin(&w, &p->resume);
    while (p->stopped && !p->exiting)
        wait_nap(NO_DEADLINE);
    wait_end(&w);
}

/* ---- wait4, waitid ---- */

struct news {
    struct process *child; /* or */
    struct tracee *tracee;
    int code, status; /* CLD_*, and what goes with it */
};

static bool is_wanted(const struct process *c, int type, int id, int options)
{
    bool clone = c->exit_signal != SIGCHLD;
    if (!(options & __WALL) && clone != !!(options & __WCLONE))
        return false;
    switch (type) {
    case P_PID:
        return c->pid == id;
    case P_PGID:
        return c->pgid == id;
    default:
        return true;
    }
}

static void put_end(struct news *n, int wait_status)
{
    n->code = wait_status & 127 ? CLD_KILLED_CODE : CLD_EXITED_CODE;
    n->status = wait_status & 127 ? wait_status & 127 : wait_status >> 8 & 255;
}

static bool has_news(struct process *c, int options, struct news *n)
{
    *n = (struct news){.child = c};
    if (c->zombie && (options & WEXITED)) {
        put_end(n, c->wait_status);
    } else if (c->stopped && !c->reported_stop && (options & WSTOPPED)) {
        n->code = CLD_STOPPED_CODE;
        n->status = c->stop_signal;
    } else if (c->continued && (options & WCONTINUED)) {
        n->code = CLD_CONTINUED_CODE;
        n->status = SIGCONT;
    }
    return n->code;
}

/* 1: *n is news of a child; 0: none yet; -ECHILD: there is no such child. */
static int find_news(int type, int id, int options, struct news *n)
{
    int r = -ECHILD;
    list_each(struct process, c, &current()->children, sibling) {
        if (!is_wanted(c, type, id, options))
            continue;
        if (has_news(c, options, n))
            return 1;
        r = 0;
    }
    bool any = false;
    struct tracee *e = ptrace_find_news(type, id, &any);
    if (!e)
        return any ? 0 : r;
    *n = (struct news){.tracee = e, .code = CLD_TRAPPED_CODE, .status = e->status};
    if (!e->thread)
        put_end(n, e->status);
    return 1;
}

static void take_news(const struct news *n)
{
    struct process *c = n->child;
    if (n->tracee) {
        ptrace_take_news(n->tracee);
    } else if (n->code == CLD_STOPPED_CODE) {
        c->reported_stop = true;
    } else if (n->code == CLD_CONTINUED_CODE) {
        c->continued = false;
    } else {
        usage_add(&current()->children_usage, c->usage);
        usage_add(&current()->children_usage, c->children_usage);
        free_process(c);
    }
}

static int wait_for_news(int type, int id, int options, struct news *n)
{
    for (;;) {
        int r = find_news(type, id, options, n);
        if (r || (options & WNOHANG))
            return r;
        r = wait_for(&current()->child_wait, true);
        if (r)
            return r;
    }
}

static int wait_status_of(const struct news *n)
{
    if (n->tracee && !n->tracee->thread)
        return n->tracee->status;
    switch (n->code) {
    case CLD_STOPPED_CODE:
    case CLD_TRAPPED_CODE:
        return n->status << 8 | 0x7f;
    case CLD_CONTINUED_CODE:
        return 0xffff;
    default:
        return n->child->wait_status;
    }
}

static int put_usage(uint64_t to, const struct process *c)
{
    struct usage u = c ? c->children_usage : (struct usage){0};
    uint64_t usage[18] = {0};
    if (c)
        usage_add(&u, c->usage);
    usage_fill(u, usage);
    return to ? user_write(to, usage, sizeof(usage)) : 0;
}

long sys_wait4(int pid, uint64_t status_to, int options, uint64_t usage)
{
    struct news n;
    if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WALL | (int)__WCLONE))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    int type = pid == -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
    int id = pid > 0 ? pid : pid == 0 ? current()->pgid : -pid;
    int r = wait_for_news(type, id, options | WEXITED, &n);
    if (r <= 0)
        return r;
    int status = wait_status_of(&n), child = n.child ? n.child->pid : n.tracee->tid;
    if ((status_to && user_write(status_to, &status, sizeof(status))) || put_usage(usage, n.child))
        return -EFAULT;
    take_news(&n);
    return child;
}

long sys_waitid(int type, int id, uint64_t info, int options, uint64_t usage)
{
    struct news n = {0};
    bool patient = true; /* a pidfd may say otherwise */
    if (!(options & (WEXITED | WSTOPPED | WCONTINUED)) ||
        options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WALL |
                    (int)__WCLONE))
        return -EINVAL;
    if (type == P_PIDFD) {
        struct process *p = pidfd_process(id);
        if (!p)
            return -EBADF;
        patient = (options & WNOHANG) || !(fd_any(id)->flags & O_NONBLOCK);
        type = P_PID;
        id = p->pid;
    } else if (type != P_ALL && type != P_PID && type != P_PGID) {
        return -EINVAL;
    }
    if ((type == P_PID && id <= 0) || (type == P_PGID && id < 0))
        return -EINVAL;
    if (type == P_PGID && !id)
        id = current()->pgid;
    int r = wait_for_news(type, id, options | (patient ? 0 : WNOHANG), &n);
    if (!r && !patient)
        r = -EAGAIN;
    if (r < 0)
        return r;
    struct sig_item item = {0};
    if (r)
        item = (struct sig_item){.signo = SIGCHLD,
                                 .code = n.code,
                                 .pid = n.child ? n.child->pid : n.tracee->tid,
                                 .uid = n.child ? n.child->uid : n.tracee->uid,
                                 .value = (uint32_t)n.status};
    uint8_t raw[128];
    siginfo_build(raw, &item);
    if ((info && user_write(info, raw, sizeof(raw))) || (r && put_usage(usage, n.child)))
        return -EFAULT;
    if (r && !(options & WNOWAIT))
        take_news(&n);
    return 0;
}
