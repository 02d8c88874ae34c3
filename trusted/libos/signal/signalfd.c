// SPDX-License-Identifier: Apache-2.0
// signalfd: pending signals of a set, read as a file (signalfd(2)).
#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/signalfd.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/signal/signal.h"

static long signal_read(struct file *f, struct io *io, uint64_t offset)
{
    struct sig_watch *s = f->data;
    struct sig_item item;
    long done = 0;
    if (io->left < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    for (;;) {
        sig_collect();
        while (io->left >= sizeof(struct signalfd_siginfo) && sig_take(self(), s->set, &item)) {
            struct signalfd_siginfo info = {.ssi_signo = (uint32_t)item.signo,
                                            .ssi_code = item.code,
                                            .ssi_pid = (uint32_t)item.pid,
                                            .ssi_uid = item.uid,
                                            .ssi_tid = (uint32_t)item.timer_id,
                                            .ssi_overrun = (uint32_t)item.overrun,
                                            .ssi_ptr = item.value,
                                            .ssi_int = (int32_t)item.value};
            if (io_put(io, &info, sizeof(info)))
                return -EFAULT;
            done += (long)sizeof(info);
        }
        if (done)
            return done;
        int r = wait_for(&s->wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
}

static uint32_t signal_poll(struct file *f)
{
    struct sig_watch *s = f->data;
    if (!los_is_shared()) /* else before it sleeps, or on the way back */
        sig_collect();
    return (self()->pending.set | current()->pending.set) & s->set ? POLLIN | POLLRDNORM : 0;
}

static void signal_release(struct file *f)
{
    struct sig_watch *s = f->data;
    list_remove(&s->node);
    los_free(s);
}

static void signal_tell(const struct file *f, struct text *t)
{
    const struct sig_watch *s = f->data;
    text_put(t, "sigmask:\t%016lx\n", s->set);
}

static const struct file_ops signal_ops = {
    .tell = signal_tell,
    .read = signal_read,
    .poll = signal_poll,
    .release = signal_release,
    .name = "anon_inode:[signalfd]",
    .stream = true,
};

static long new_file(uint64_t set, uint32_t flags)
{
    struct sig_watch *s = los_alloc(sizeof(*s));
    struct file *f = s ? file_new(&signal_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        los_free(s);
        return -ENOMEM;
    }
    s->set = set;
    wait_queue_init(&s->wait);
    sig_watch(s);
    f->data = s;
    f->wait = &s->wait;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

/* fd, set, its size, flags */
long sys_signalfd4(int fd, uint64_t mask, uint64_t mask_size, uint32_t flags)
{
    uint64_t set;
    if (mask_size != sizeof(set) || flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK))
        return -EINVAL;
    if (user_read(&set, mask, sizeof(set)))
        return -EFAULT;
    set &= ~(SIG_BIT(SIGKILL) | SIG_BIT(SIGSTOP));
    if (fd == -1)
        return new_file(set, flags);
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (f->ops != &signal_ops)
        return -EINVAL;
    struct sig_watch *s = f->data;
    s->set = set;
    wait_wake_all(&s->wait);
    return fd;
}
