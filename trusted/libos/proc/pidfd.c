// SPDX-License-Identifier: Apache-2.0
// pidfd: a descriptor that stands for a process, readable when that has ended (pidfd_open(2)).
#include <asm/poll.h>
#include <linux/pidfd.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

/* The numbers of processes come again only after four million others; still the start tells them
 * apart. */
struct pidfd {
    int32_t pid;
    uint64_t start_time;
    bool ended; /* with this status */
    int32_t wait_status;
    struct list node;
    struct wait_queue wait;
};

static struct list all = {&all, &all};

static struct process *process_of(const struct file *f)
{
    const struct pidfd *d = f->data;
    struct process *p = process_find(d->pid);
    return p && p->start_time == d->start_time ? p : NULL;
}

static uint32_t pidfd_poll(struct file *f)
{
    const struct process *p = process_of(f);
    return p && !p->zombie ? 0 : POLLIN | POLLRDNORM | (p ? 0 : POLLHUP);
}

static void pidfd_tell(const struct file *f, struct text *t)
{
    const struct process *p = process_of(f);
    text_put(t, "Pid:\t%d\nNSpid:\t%d\n", p ? p->pid : -1, p ? p->pid : -1);
}

static void pidfd_release(struct file *f)
{
    struct pidfd *d = f->data;
    list_remove(&d->node);
    los_free(d);
}

#define PIDFD_GET_INFO_NR 0xff0bu /* _IOWR(0xff, 11, struct pidfd_info), without the size */
#define INFO_PID 1u
#define INFO_CREDS 2u
#define INFO_EXIT 8u
#define INFO_SIZE_FIRST 64u

struct info { /* struct pidfd_info of Linux */
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
};
_Static_assert(sizeof(struct info) == INFO_SIZE_FIRST, "as Linux has it");

static long pidfd_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    const struct pidfd *d = f->data;
    const struct process *p = process_of(f);
    uint64_t size = request >> 16 & 0x3fff, mask;
    struct info info = {0};
    if ((request & 0xffff) != PIDFD_GET_INFO_NR || size < sizeof(info))
        return -ENOTTY;
    if (!arg)
        return -EINVAL;
    if (user_read(&mask, arg, sizeof(mask)))
        return -EFAULT;
    if (!p && (mask & INFO_EXIT) && d->ended) {
        info.mask = INFO_EXIT;
        info.exit_code = d->wait_status;
    } else if (!p) {
        return -ESRCH;
    } else {
        info = (struct info){
            .mask = INFO_PID | INFO_CREDS,
            .pid = (uint32_t)p->pid,
            .tgid = (uint32_t)p->pid,
            .ppid = (uint32_t)process_parent(p),
            .ids = {p->uid, p->gid, p->euid, p->egid, p->suid, p->sgid, p->fsuid, p->fsgid}};
    }
    static const uint8_t zeros[64];
    int r = user_write(arg, &info, sizeof(info));
    for (uint64_t at = sizeof(info); !r && at < size; at += sizeof(zeros))
        r = user_write(arg + at, zeros, MIN(size - at, sizeof(zeros)));
    return r;
}

static const struct file_ops pidfd_ops = {
    .tell = pidfd_tell,
    .ioctl = pidfd_ioctl,
    .poll = pidfd_poll,
    .release = pidfd_release,
    .name = "anon_inode:[pidfd]",
    .stream = true,
};

int pidfd_new(struct process *p, uint32_t flags)
{
    struct pidfd *d = los_alloc(sizeof(*d));
    struct file *f = d ? file_new(&pidfd_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        los_free(d);
        return -ENOMEM;
    }
    d->pid = p->pid;
    d->start_time = p->start_time;
    d->ended = p->zombie;
    d->wait_status = p->wait_status;
    wait_queue_init(&d->wait);
    list_append(&all, &d->node);
    f->data = d;
    f->wait = &d->wait;
    return fd_install(f, true, 0);
}

static struct file *pidfd_file(int fd)
{
    struct file *f = fd_file(fd);
    return f && f->ops == &pidfd_ops ? f : NULL;
}

struct process *pidfd_process(int fd)
{
    const struct file *f = pidfd_file(fd);
    return f ? process_of(f) : NULL;
}

void pidfd_ended(struct process *p)
{
    list_each(struct pidfd, d, &all, node) {
        if (d->pid != p->pid || d->start_time != p->start_time)
            continue;
        d->ended = true;
        d->wait_status = p->wait_status;
        wait_wake_events(&d->wait, POLLIN);
    }
}

long sys_pidfd_open(int pid, uint32_t flags)
{
    struct process *p = pid > 0 ? process_find(pid) : NULL;
    if ((flags & ~(uint32_t)PIDFD_NONBLOCK) || pid <= 0)
        return -EINVAL;
    if (!p)
        return thread_find_any(pid) ? -EINVAL : -ESRCH;
    return pidfd_new(p, flags);
}

/* A directory of /proc stands for its process as well. */
long sys_pidfd_send_signal(int fd, int signo, uint64_t info, uint32_t flags)
{
    const struct file *f = pidfd_file(fd) ? NULL : fd_file(fd);
    int pid = f && f->inode ? proc_process_of(f->inode) : 0;
    if (flags || signo < 0 || signo > SIG_COUNT)
        return -EINVAL;
    if (!pidfd_file(fd) && !pid)
        return -EBADF;
    struct process *p = pid ? process_find(pid) : pidfd_process(fd);
    if (!p)
        return -ESRCH;
    int32_t said = signo; /* the info's own number */
    if (info && user_read(&said, info, sizeof(said)))
        return -EFAULT;
    if (said != signo)
        return -EINVAL;
    return info ? signal_queue_to(p, signo, info) : signal_kill(p, signo);
}

long sys_pidfd_getfd(int fd, int other, uint32_t flags)
{
    struct process *p = pidfd_process(fd);
    if (flags)
        return -EINVAL;
    if (!pidfd_file(fd))
        return -EBADF;
    if (!p || p->zombie)
        return -ESRCH;
    if (!process_may_inspect(p))
        return -EPERM;
    struct file *f = fd_file_of(p->files, other);
    if (!f)
        return -EBADF;
    file_get(f);
    return fd_install(f, true, 0);
}
