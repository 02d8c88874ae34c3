// SPDX-License-Identifier: Apache-2.0
// Controlling terminals: whose session, which group is in the foreground, who is stopped by it.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/signal.h>

#include "trusted/libos/fs/tty.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

struct list ttys = {&ttys, &ttys};

static struct tty *tty_of_session(int32_t sid)
{
    list_each(struct tty, t, &ttys, node) {
        if (sid && t->sid == sid)
            return t;
    }
    return NULL;
}

struct tty *tty_of_process(const struct process *p)
{
    return p->no_terminal ? NULL : tty_of_session(p->sid);
}

int tty_check_background(struct tty *t, int signo)
{
    const struct process *p = current();
    if (t != tty_of_process(p) || p->pgid == t->pgid)
        return 0;
    bool ignores = (self()->sig_mask & SIG_BIT(signo)) ||
                   p->handlers->actions[signo - 1].handler == SIG_IGNORE;
    if (ignores)
        return signo == SIGTTIN ? -EIO : 0;
    if (group_is_orphaned(p->pgid))
        return -EIO;
    sig_send_group(p->pgid, signo);
    return -ERESTARTSYS;
}

void tty_take_session(struct tty *t)
{
    const struct process *p = current();
    if (p->pid != p->sid || t->sid || tty_of_session(p->sid))
        return;
    t->sid = p->sid;
    t->pgid = p->pgid;
}

static long set_controlling(struct tty *t, uint64_t steal)
{
    const struct process *p = current();
    if (t->sid == p->sid && p->pid == p->sid)
        return 0;
    if (p->pid != p->sid || tty_of_session(p->sid))
        return -EPERM;
    if (t->sid && (steal != 1 || !capable(CAP_SYS_ADMIN)))
        return -EPERM;
    t->sid = 0;
    tty_take_session(t);
    return 0;
}

static long give_up_controlling(struct tty *t, bool master)
{
    struct process *p = current();
    if (master || t != tty_of_process(p))
        return -ENOTTY;
    p->no_terminal = p->pid != p->sid;
    if (p->no_terminal)
        return 0;
    sig_send_group(t->pgid, SIGHUP);
    sig_send_group(t->pgid, SIGCONT);
    t->sid = t->pgid = 0;
    return 0;
}

static long set_foreground(struct tty *t, uint64_t from)
{
    int32_t pgid, sid = 0;
    int r = tty_check_background(t, SIGTTOU);
    if (r)
        return r == -EIO ? -ENOTTY : r;
    if (user_read(&pgid, from, sizeof(pgid)))
        return -EFAULT;
    if (pgid < 0)
        return -EINVAL;
    if (t != tty_of_process(current()))
        return -ENOTTY;
    list_each(const struct process, p, &processes, node) {
        if (p->pgid == pgid)
            sid = p->sid;
    }
    if (!sid || sid != t->sid)
        return sid ? -EPERM : -ESRCH;
    t->pgid = pgid;
    return 0;
}

long tty_ioctl_session(struct tty *t, bool master, uint64_t request, uint64_t arg)
{
    bool own = t == tty_of_process(current());
    switch (request) {
    case TIOCGPGRP:
    case TIOCGSID: {
        if (!own && !master)
            return -ENOTTY;
        int32_t id = request == TIOCGSID ? t->sid : t->pgid;
        return request == TIOCGSID && !id ? -ENOTTY : user_write(arg, &id, sizeof(id));
    }
    case TIOCSPGRP:
        return set_foreground(t, arg);
    case TIOCSCTTY:
        return set_controlling(t, arg);
    case TIOCNOTTY:
        return give_up_controlling(t, master);
    default:
        return -ENOTTY;
    }
}

void tty_hang_up(struct tty *t)
{
    if (t->name) {
        dentry_unlink(t->name);
        dentry_put(t->name);
        t->name = NULL;
    }
    t->generation++;
    t->slaves = 0;
    t->deserted = true;
    t->sid = t->pgid = 0;
    tty_flush(t, true, false);
    wait_wake_events(&t->slave_wait, POLLIN | POLLOUT | POLLHUP);
    wait_wake_events(&t->master_wait, POLLIN | POLLHUP);
}

void tty_leader_ended(int32_t sid)
{
    struct tty *t = tty_of_session(sid);
    if (!t)
        return;
    sig_send_group(t->pgid, SIGHUP);
    t->sid = t->pgid = 0;
}
