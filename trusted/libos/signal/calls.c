// SPDX-License-Identifier: Apache-2.0
// The system calls on signals.
#include <asm/signal.h>
#include <linux/signal.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define SET_SIZE 8u

long sys_rt_sigaction(int signo, uint64_t act, uint64_t old_act, uint64_t set_size)
{
    if (signo < 1 || signo > SIG_COUNT || set_size != SET_SIZE)
        return -EINVAL;
    if (act && (signo == SIGKILL || signo == SIGSTOP))
        return -EINVAL;
    struct sig_action old, new;
    if (act && user_read(&new, act, sizeof(new)))
        return -EFAULT;
    struct handlers *h = current()->handlers;
    lock_take(&h->lock, RANK_OBJECT);
    old = h->actions[signo - 1];
    if (act)
        h->actions[signo - 1] = new;
    lock_give(&h->lock);
    return old_act ? user_write(old_act, &old, sizeof(old)) : 0;
}

long sys_rt_sigprocmask(int how, uint64_t set, uint64_t old_set, uint64_t set_size)
{
    struct thread *t = self();
    uint64_t old = t->sig_mask, new;
    if (set_size != SET_SIZE)
        return -EINVAL;
    if (set) {
        if (user_read(&new, set, sizeof(new)))
            return -EFAULT;
        switch (how) {
        case SIG_BLOCK:
            sig_set_mask(t, old | new);
            break;
        case SIG_UNBLOCK:
            sig_set_mask(t, old & ~new);
            break;
        case SIG_SETMASK:
            sig_set_mask(t, new);
            break;
        default:
            return -EINVAL;
        }
    }
    return old_set ? user_write(old_set, &old, sizeof(old)) : 0;
}

long sys_rt_sigpending(uint64_t to, uint64_t set_size)
{
    if (set_size > SET_SIZE)
        return -EINVAL;
    uint64_t set = (self()->pending.set | current()->pending.set) & self()->sig_mask;
    return user_write(to, &set, MIN(set_size, SET_SIZE));
}

long sys_rt_sigreturn(void)
{
    struct thread *t = self();
    t->call_nr = -1;
    if (frame_pop(t)) { /* a frame that is none: as a fault of the program */
        los_upgrade();
        sig_fault(t, SIGSEGV, 0x80, 0);
    }
    return (long)t->regs.rax;
}

long sys_rt_sigsuspend(uint64_t set, uint64_t set_size)
{
    uint64_t mask;
    if (set_size != SET_SIZE)
        return -EINVAL;
    if (user_read(&mask, set, sizeof(mask)))
        return -EFAULT;
    sig_temporary_mask(self(), mask);
    struct wait_queue never;
    wait_queue_init(&never);
    return wait_on(&never, NO_DEADLINE) ? -ERESTARTNOHAND : 0;
}

long sys_pause(void)
{
    struct wait_queue never;
    wait_queue_init(&never);
    return wait_on(&never, NO_DEADLINE) ? -ERESTARTNOHAND : 0;
}

long sys_rt_sigtimedwait(uint64_t wanted, uint64_t info, uint64_t timeout, uint64_t set_size)
{
    struct thread *t = self();
    uint64_t set, deadline;
    if (set_size != SET_SIZE)
        return -EINVAL;
    if (user_read(&set, wanted, sizeof(set)))
        return -EFAULT;
    long r = deadline_from_user(timeout, CLOCK_FROM_NOW, &deadline);
    if (r)
        return r;
    struct sig_item item;
    struct wait_queue never;
    wait_queue_init(&never);
    t->wait_set = set;
    for (;;) {
        sig_collect();
        if (sig_take(t, set, &item))
            break;
        r = wait_on(&never, deadline);
        if (r && !((t->pending.set | current()->pending.set) & set))
            break;
        r = 0;
    }
    t->wait_set = 0;
    if (r)
        return r == -ETIMEDOUT ? -EAGAIN : r;
    if (info) {
        uint8_t raw[128];
        siginfo_build(raw, &item);
        if (user_write(info, raw, sizeof(raw)))
            return -EFAULT;
    }
    return item.signo;
}

struct user_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};

long sys_sigaltstack(uint64_t stack, uint64_t old_stack)
{
    struct thread *t = self();
    bool inside = t->alt.size && t->regs.rsp > t->alt.sp && t->regs.rsp - t->alt.sp <= t->alt.size;
    struct user_stack old = {t->alt.sp,
                             inside        ? 1
                             : t->alt.size ? t->alt.flags
                                           : SS_DISABLE,
                             0, t->alt.size};
    if (stack) {
        struct user_stack s;
        if (user_read(&s, stack, sizeof(s)))
            return -EFAULT;
        if (inside)
            return -EPERM;
        uint32_t mode = (uint32_t)s.flags & ~0x80000000u; /* SS_AUTODISARM */
        if (mode > SS_DISABLE)                            /* 0, SS_ONSTACK, SS_DISABLE */
            return -EINVAL;
        if (s.flags & SS_DISABLE) {
            t->alt = (struct alt_stack){0};
        } else {
            if (s.size < MINSIGSTKSZ)
                return -ENOMEM;
            t->alt = (struct alt_stack){s.sp, s.size, s.flags & (int32_t)0x80000000u};
        }
    }
    return old_stack ? user_write(old_stack, &old, sizeof(old)) : 0;
}

static struct sig_item from_self(int signo, int code)
{
    return (struct sig_item){
        .signo = signo, .code = code, .pid = current()->pid, .uid = current()->uid};
}

/* May the caller signal p? Its user must be ours, or we root; a session may be woken by its own. */
static bool may_signal(const struct process *p, int signo)
{
    const struct process *me = current();
    return !me->euid || me->euid == p->suid || me->euid == p->uid || me->uid == p->suid ||
           me->uid == p->uid || (signo == SIGCONT && me->sid == p->sid);
}

static long send_to(struct process *p, const struct sig_item *item)
{
    if (!may_signal(p, item->signo))
        return -EPERM;
    return item->signo && !p->zombie ? MIN(sig_send_item(p, NULL, item), 0) : 0;
}

long signal_kill(struct process *p, int signo)
{
    struct sig_item item = from_self(signo, SI_USER);
    return send_to(p, &item);
}

/* kill(0), kill(-1), kill(-group): 0 if one got it. */
static long kill_many(int pid, const struct sig_item *item)
{
    int group = pid == 0 ? current()->pgid : -pid;
    long result = -ESRCH;
    list_each_safe(struct process, p, &processes, node) {
        bool meant = pid == -1 ? p != current() && p != &first_process : p->pgid == group;
        if (!meant)
            continue;
        long r = send_to(p, item);
        if (!r || result == -ESRCH)
            result = r;
    }
    return result;
}

/* A thread's number means its process. */
static struct process *find_target(int pid)
{
    struct process *p = process_find(pid);
    struct thread *t = p ? NULL : thread_find_any(pid);
    return t ? t->process : p;
}

long sys_kill(int pid, int signo)
{
    if (signo < 0 || signo > SIG_COUNT)
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    struct sig_item item = from_self(signo, SI_USER);
    if (pid <= 0)
        return kill_many(pid, &item);
    struct process *p = find_target(pid);
    return p ? send_to(p, &item) : -ESRCH;
}

static long to_thread(struct thread *t, const struct sig_item *item)
{
    if (!t)
        return -ESRCH;
    if (!may_signal(t->process, item->signo))
        return -EPERM;
    return item->signo ? MIN(sig_send_item(t->process, t, item), 0) : 0;
}

static struct thread *thread_in(int pid, int tid)
{
    const struct process *p = process_find(pid);
    return p ? thread_find(p, tid) : NULL;
}

long sys_tgkill(int pid, int tid, int signo)
{
    struct sig_item item = from_self(signo, SI_TKILL);
    if (item.signo < 0 || item.signo > SIG_COUNT || pid <= 0 || tid <= 0)
        return -EINVAL;
    return to_thread(thread_in(pid, tid), &item);
}

long sys_tkill(int tid, int signo)
{
    struct sig_item item = from_self(signo, SI_TKILL);
    if (item.signo < 0 || item.signo > SIG_COUNT || tid <= 0)
        return -EINVAL;
    return to_thread(thread_find_any(tid), &item);
}

static long queue_info(uint64_t info, int signo, struct sig_item *item)
{
    uint8_t raw[128];
    if (signo < 0 || signo > SIG_COUNT)
        return -EINVAL;
    if (user_read(raw, info, sizeof(raw)))
        return -EFAULT;
    siginfo_parse(raw, item);
    item->signo = signo;
    return 0;
}

/* Only to itself may a process say that the kernel, or kill, had sent it. */
static bool is_honest(const struct process *p, const struct sig_item *item)
{
    return p == current() || (item->code < 0 && item->code != SI_TKILL);
}

long signal_queue_to(struct process *p, int signo, uint64_t info)
{
    struct sig_item item = {0};
    long r = queue_info(info, signo, &item);
    if (r)
        return r;
    return is_honest(p, &item) ? send_to(p, &item) : -EPERM;
}

long sys_rt_sigqueueinfo(int pid, int signo, uint64_t info)
{
    struct process *p = find_target(pid);
    struct sig_item item = {0};
    long r = queue_info(info, signo, &item);
    return r ? r : p ? signal_queue_to(p, signo, info) : -ESRCH;
}

long sys_rt_tgsigqueueinfo(int pid, int tid, int signo, uint64_t info)
{
    struct sig_item item = {0};
    long r = queue_info(info, signo, &item);
    struct thread *t = thread_in(pid, tid);
    if (r)
        return r;
    if (t && !is_honest(t->process, &item))
        return -EPERM;
    return to_thread(t, &item);
}
