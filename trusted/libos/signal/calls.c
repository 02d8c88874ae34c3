// SPDX-License-Identifier: Apache-2.0
// The system calls on signals.
#include <asm/signal.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define SET_SIZE 8u
#define SI_USER_CODE 0
#define SI_QUEUE_CODE (-1)
#define SI_TKILL_CODE (-6)

long sys_rt_sigaction(const uint64_t *a)
{
    int signo = (int)a[0];
    if (signo < 1 || signo > SIG_COUNT || a[3] != SET_SIZE)
        return -EINVAL;
    if (a[1] && (signo == SIGKILL || signo == SIGSTOP))
        return -EINVAL;
    struct sig_action old = sig_actions[signo - 1], new;
    if (a[1]) {
        if (user_read(&new, a[1], sizeof(new)))
            return -EFAULT;
        sig_actions[signo - 1] = new;
    }
    return a[2] ? user_write(a[2], &old, sizeof(old)) : 0;
}

long sys_rt_sigprocmask(const uint64_t *a)
{
    struct thread *t = self();
    uint64_t old = t->sig_mask, set;
    if (a[3] != SET_SIZE)
        return -EINVAL;
    if (a[1]) {
        if (user_read(&set, a[1], sizeof(set)))
            return -EFAULT;
        switch ((int)a[0]) {
        case SIG_BLOCK:
            sig_set_mask(t, old | set);
            break;
        case SIG_UNBLOCK:
            sig_set_mask(t, old & ~set);
            break;
        case SIG_SETMASK:
            sig_set_mask(t, set);
            break;
        default:
            return -EINVAL;
        }
    }
    return a[2] ? user_write(a[2], &old, sizeof(old)) : 0;
}

long sys_rt_sigpending(const uint64_t *a)
{
    uint64_t set = (self()->pending.set | sig_process_pending.set) & self()->sig_mask;
    return user_write(a[0], &set, MIN(a[1], SET_SIZE));
}

long sys_rt_sigreturn(const uint64_t *a)
{
    struct thread *t = self();
    t->call_nr = -1;
    if (frame_pop(t))
        sig_die(SIGSEGV);
    return (long)t->regs.rax;
}

long sys_rt_sigsuspend(const uint64_t *a)
{
    uint64_t mask;
    if (a[1] != SET_SIZE)
        return -EINVAL;
    if (user_read(&mask, a[0], sizeof(mask)))
        return -EFAULT;
    sig_temporary_mask(self(), mask);
    struct wait_queue never;
    wait_queue_init(&never);
    return wait_on(&never, NO_DEADLINE);
}

long sys_pause(const uint64_t *a)
{
    struct wait_queue never;
    wait_queue_init(&never);
    return wait_on(&never, NO_DEADLINE);
}

long sys_rt_sigtimedwait(const uint64_t *a)
{
    struct thread *t = self();
    uint64_t set, deadline = NO_DEADLINE;
    if (a[3] != SET_SIZE)
        return -EINVAL;
    if (user_read(&set, a[0], sizeof(set)))
        return -EFAULT;
    if (a[2]) {
        int r = deadline_from_user(a[2], &deadline);
        if (r)
            return r;
    }
    struct sig_item item;
    struct wait_queue never;
    wait_queue_init(&never);
    t->wait_set = set;
    long r = 0;
    for (;;) {
        sig_collect();
        if (sig_take(t, set, &item))
            break;
        r = wait_on(&never, deadline);
        if (r && !((t->pending.set | sig_process_pending.set) & set))
            break;
        r = 0;
    }
    t->wait_set = 0;
    if (r)
        return r == -ETIMEDOUT ? -EAGAIN : r;
    if (a[1]) {
        uint8_t info[128];
        siginfo_build(info, &item);
        if (user_write(a[1], info, sizeof(info)))
            return -EFAULT;
    }
    return item.signo;
}

#define SS_DISABLE_BIT 2
#define MINSIGSTKSZ_LINUX 2048u

struct user_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};

long sys_sigaltstack(const uint64_t *a)
{
    struct thread *t = self();
    bool inside = t->alt.size && t->regs.rsp > t->alt.sp && t->regs.rsp - t->alt.sp <= t->alt.size;
    struct user_stack old = {t->alt.sp,
                             inside        ? 1
                             : t->alt.size ? t->alt.flags
                                           : SS_DISABLE_BIT,
                             0, t->alt.size};
    if (a[0]) {
        struct user_stack s;
        if (user_read(&s, a[0], sizeof(s)))
            return -EFAULT;
        if (inside)
            return -EPERM;
        if ((uint32_t)s.flags & ~0x80000003u)
            return -EINVAL;
        if (s.flags & SS_DISABLE_BIT) {
            t->alt = (struct alt_stack){0};
        } else {
            if (s.size < MINSIGSTKSZ_LINUX)
                return -ENOMEM;
            t->alt = (struct alt_stack){s.sp, s.size, s.flags & (int32_t)0x80000000u};
        }
    }
    return a[1] ? user_write(a[1], &old, sizeof(old)) : 0;
}

static struct sig_item from_self(int signo, int code)
{
    return (struct sig_item){.signo = signo, .code = code, .pid = process.pid, .uid = process.uid};
}

long sys_kill(const uint64_t *a)
{
    int pid = (int)a[0], signo = (int)a[1];
    if (signo < 0 || signo > SIG_COUNT)
        return -EINVAL;
    if (pid != process.pid && pid != 0 && pid != -1 && pid != -process.pgid)
        return -ESRCH;
    struct sig_item item = from_self(signo, SI_USER_CODE);
    return signo ? sig_send_item(NULL, &item) : 0;
}

static long to_thread(int tid, const struct sig_item *item)
{
    struct thread *t = thread_find(tid);
    if (!t)
        return -ESRCH;
    return item->signo ? sig_send_item(t, item) : 0;
}

long sys_tgkill(const uint64_t *a)
{
    struct sig_item item = from_self((int)a[2], SI_TKILL_CODE);
    if (item.signo < 0 || item.signo > SIG_COUNT || (int)a[0] <= 0 || (int)a[1] <= 0)
        return -EINVAL;
    return (int)a[0] == process.pid ? to_thread((int)a[1], &item) : -ESRCH;
}

long sys_tkill(const uint64_t *a)
{
    struct sig_item item = from_self((int)a[1], SI_TKILL_CODE);
    if (item.signo < 0 || item.signo > SIG_COUNT || (int)a[0] <= 0)
        return -EINVAL;
    return to_thread((int)a[0], &item);
}

static long queue_info(uint64_t info, int signo, struct sig_item *item)
{
    uint8_t raw[128];
    if (signo < 1 || signo > SIG_COUNT)
        return -EINVAL;
    if (user_read(raw, info, sizeof(raw)))
        return -EFAULT;
    siginfo_parse(raw, item);
    item->signo = signo;
    return 0;
}

long sys_rt_sigqueueinfo(const uint64_t *a)
{
    struct sig_item item = {0};
    long r = queue_info(a[2], (int)a[1], &item);
    if (r)
        return r;
    return (int)a[0] == process.pid ? sig_send_item(NULL, &item) : -ESRCH;
}

long sys_rt_tgsigqueueinfo(const uint64_t *a)
{
    struct sig_item item = {0};
    long r = queue_info(a[3], (int)a[2], &item);
    if (r)
        return r;
    return (int)a[0] == process.pid ? to_thread((int)a[1], &item) : -ESRCH;
}
