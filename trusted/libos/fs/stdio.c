// SPDX-License-Identifier: Apache-2.0
// The standard streams and the terminal behind them: calls out, whose answers are bounded here.
#include <asm/ioctls.h>
#include <asm/poll.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/file.h"

#define TERMIOS_SIZE 36u
#define WINSIZE_SIZE 8u

static int wait_ready(struct file *f, uint16_t events)
{
    struct port_wait item = {.handle = f->host_handle, .events = events};
    struct waiter w;
    struct wait_queue none;
    wait_queue_init(&none);
    wait_begin(&w, &none);
    int r = wait_sleep_handles(&item, 1, f->flags & O_NONBLOCK ? 0 : NO_DEADLINE);
    wait_end(&w);
    if (r == -ETIMEDOUT)
        return -EAGAIN;
    return r == -EINTR ? -ERESTARTSYS : r;
}

static long stream_read(struct file *f, struct io *io, uint64_t offset)
{
    if (!io->left)
        return 0;
    int r = wait_ready(f, POLLIN);
    if (r)
        return r;
    uint64_t pages = 16, size = MIN(io->left, pages << PAGE_SHIFT);
    uint8_t *buf = pages_alloc(pages);
    if (!buf)
        return -ENOMEM;
    stats.calls_out++;
    /* Others go on meanwhile: the host may take its time although it said that data is there. */
    los_unlock();
    long n = claim_count(port_read(f->host_handle, buf, (uint32_t)size), size);
    los_lock();
    if (n > 0 && io_put(io, buf, (size_t)n))
        n = -EFAULT;
    pages_free(buf, pages);
    return n;
}

static long stream_write(struct file *f, struct io *io, uint64_t offset)
{
    long done = 0;
    uint64_t pages = MIN((io->left + PAGE_SIZE - 1) >> PAGE_SHIFT, 16);
    if (!pages)
        return 0;
    uint8_t *buf = pages_alloc(pages);
    if (!buf)
        return -ENOMEM;
    while (io->left) {
        size_t size = MIN(io->left, pages << PAGE_SHIFT);
        long n = io_get(io, buf, size) ? -EFAULT : 0;
        size_t at = 0;
        while (!n && at < size) {
            stats.calls_out++;
            los_unlock();
            n = claim_count(port_write(f->host_handle, buf + at, (uint32_t)(size - at)), size - at);
            los_lock();
            if (n == 0)
                n = -EIO; /* a host that takes nothing would keep us here for ever */
            if (n > 0) {
                at += (size_t)n;
                n = 0;
            }
        }
        done += (long)at;
        if (n) {
            if (n == -EINTR)
                n = -ERESTARTSYS;
            if (!done)
                done = n;
            break;
        }
    }
    pages_free(buf, pages);
    return done;
}

static long get_tty(struct file *f, enum port_tty what, uint64_t to, uint32_t size)
{
    uint8_t buf[TERMIOS_SIZE] = {0};
    stats.calls_out++;
    int r = claim_status(port_tty(f->host_handle, what, 0, buf, size));
    return r ? r : user_write(to, buf, size);
}

static long set_tty(struct file *f, enum port_tty what, uint32_t flags, uint64_t from,
                    uint32_t size)
{
    uint8_t buf[TERMIOS_SIZE] = {0};
    if (user_read(buf, from, size))
        return -EFAULT;
    stats.calls_out++;
    return claim_status(port_tty(f->host_handle, what, flags, buf, size));
}

static long stream_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    int32_t group;
    switch (request) {
    case TCGETS:
        return get_tty(f, PORT_TTY_GET, arg, TERMIOS_SIZE);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return set_tty(f, PORT_TTY_SET, (uint32_t)(request - TCSETS), arg, TERMIOS_SIZE);
    case TIOCGWINSZ:
        return get_tty(f, PORT_TTY_GET_WINDOW, arg, WINSIZE_SIZE);
    case TIOCSWINSZ:
        return set_tty(f, PORT_TTY_SET_WINDOW, 0, arg, WINSIZE_SIZE);
    case TIOCGPGRP:
    case TIOCGSID:
        if (port_tty(f->host_handle, PORT_TTY_IS, 0, NULL, 0))
            return -ENOTTY;
        group = request == TIOCGPGRP ? process.pgid : process.sid;
        return user_write(arg, &group, sizeof(group));
    case TIOCSPGRP:
    case TIOCSCTTY:
        return port_tty(f->host_handle, PORT_TTY_IS, 0, NULL, 0) ? -ENOTTY : 0;
    default:
        return -ENOTTY;
    }
}

static const struct file_ops stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .ioctl = stream_ioctl,
    .name = "pipe",
    .stream = true,
    .handle = true,
};

int stdio_open_tty(struct file *f);
int stdio_open_tty(struct file *f)
{
    stats.calls_out++;
    if (port_tty(0, PORT_TTY_IS, 0, NULL, 0))
        return -ENXIO;
    f->ops = &stream_ops;
    f->host_handle = (f->flags & O_ACCMODE) == O_RDONLY ? 0 : 1;
    return 0;
}

/* Descriptors 0, 1 and 2: the host's streams, or /dev/null where the policy wants none. */
int stdio_init(bool input, bool output)
{
    for (int fd = 0; fd < 3; fd++) {
        struct file *f;
        int r;
        if (fd == 0 ? input : output) {
            f = file_new(&stream_ops, fd ? O_WRONLY : O_RDONLY);
            r = f ? 0 : -ENOMEM;
            if (f) {
                f->host_handle = fd;
                stats.calls_out++;
                if (port_tty(fd, PORT_TTY_IS, 0, NULL, 0) == 0) {
                    f->flags = O_RDWR;
                    f->inode = inode_new(FS_NONE, S_IFCHR | 0620);
                    if (f->inode)
                        f->inode->rdev = 136u << 8;
                }
            }
        } else {
            r = file_open("/dev/null", fd ? O_WRONLY : O_RDONLY, 0, &f);
        }
        if (!r)
            r = fd_install(f, false, fd);
        if (r < 0)
            return r;
    }
    return 0;
}
