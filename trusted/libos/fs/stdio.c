// SPDX-License-Identifier: Apache-2.0
// The standard streams: calls out, whose answers are bounded here; or the host's terminal.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/signal.h>

#include "lib/settings.h"
#include "trusted/libos/base/claim.h"
#include "trusted/libos/fs/console.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/signal/signal.h"

#define AHEAD_SIZE 65536u

/* The host's streams, whatever descriptors there are of them. */
static struct {
    struct outside host;
    struct wait_queue wait;
} streams[3];

struct stream {
    struct outside host;
    struct wait_queue wait;
};

/* Until the host says that it is ready. Without time it is asked all the same. */
static int wait_ready(struct file *f, uint32_t events)
{
    struct outside *o = f->outside;
    struct waiter w;
    if (outside_known(o) & (events | OUTSIDE_ALWAYS))
        return 0;
    struct port_event ask = outside_ask(o, events);
    struct port_wait p = {.set = -1, .asks = 1, .items = &ask};
    wait_begin(&w, o->wait);
    int r = wait_sleep_outside(&p, f->flags & O_NONBLOCK ? 0 : NO_DEADLINE);
    wait_end(&w);
    if (r == -ETIMEDOUT)
        return outside_known(o) & (events | OUTSIDE_ALWAYS) ? 0 : -EAGAIN;
    return r == -EINTR ? -ERESTARTSYS : r;
}

/* What was read ahead of the program: calls out are dear, programs read in small pieces. */
struct ahead {
    uint8_t *buf;
    size_t at, size;
    bool filling; /* a thread is outside */
    struct wait_queue wait;
};

/* Reads on until something is there. One thread does, others wait for it. */
static long fill_ahead(struct file *f, struct ahead *a)
{
    while (a->at == a->size) {
        int r;
        if (a->filling) {
            r = wait_for(&a->wait, !(f->flags & O_NONBLOCK));
            if (r)
                return r;
            continue;
        }
        a->at = 0;
        if ((a->size = outside_take(f->outside, a->buf, AHEAD_SIZE, false, NULL)))
            return 1;
        if ((r = wait_ready(f, POLLIN)))
            return r;
        if (a->filling || a->at != a->size)
            continue;
        if ((a->size = outside_take(f->outside, a->buf, AHEAD_SIZE, false, NULL)))
            return 1;
        a->filling = true;
        uint32_t turn = outside_turn(f->outside);
        /* Others go on meanwhile: the host may take its time although it said that data is there.
         */
        los_unlock();
        long n = claim_count(port_read(f->outside->handle, a->buf, AHEAD_SIZE), AHEAD_SIZE);
        call_relock();
        outside_used(f->outside, POLLIN, n == -EAGAIN, turn);
        a->filling = false;
        wait_wake_all(&a->wait);
        if (n == -EAGAIN || n == -EINTR)
            continue; /* not ready after all; wait_ready sees signals */
        if (n <= 0)
            return n;
        a->size = (size_t)n;
    }
    return 1;
}

static long stream_read(struct file *f, struct io *io, uint64_t offset)
{
    struct ahead *a = f->data;
    if (!io->left)
        return 0;
    if (!a)
        return -EIO;
    long r = fill_ahead(f, a);
    if (r <= 0)
        return r;
    size_t n = MIN(io->left, a->size - a->at);
    if (io_put(io, a->buf + a->at, n))
        return -EFAULT;
    a->at += n;
    if (a->at == a->size)
        wait_wake_events(f->wait, POLLIN); /* is there more? epoll asks */
    return (long)n;
}

static uint32_t stream_poll(struct file *f)
{
    struct ahead *a = f->data;
    return a && a->at != a->size ? POLLIN | POLLRDNORM : 0;
}

static struct ahead *ahead_new(void)
{
    struct ahead *a = los_alloc(sizeof(*a));
    if (!a || !(a->buf = pages_alloc(AHEAD_SIZE >> PAGE_SHIFT))) {
        los_free(a);
        return NULL;
    }
    wait_queue_init(&a->wait);
    return a;
}

static long stream_write(struct file *f, struct io *io, uint64_t offset)
{
    long done = 0;
    int32_t handle = f->outside->handle;
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
            uint32_t piece = (uint32_t)(size - at);
            uint32_t queued = outside_queue(f->outside, buf + at, piece, false);
            if (queued) {
                at += queued;
                continue;
            }
            if (f->flags & O_NONBLOCK) { /* so much fits, as it is for a pipe */
                if ((n = wait_ready(f, POLLOUT)))
                    break;
                piece = MIN(piece, 4096u);
            }
            uint32_t turn = outside_turn(f->outside);
            los_unlock();
            n = claim_count(port_write(handle, buf + at, piece), piece);
            call_relock();
            outside_used(f->outside, POLLOUT, n == -EAGAIN, turn);
            if (n == -EAGAIN && !(f->flags & O_NONBLOCK)) {
                n = wait_ready(f, POLLOUT); /* behind what is queued */
                continue;
            }
            if (n == 0)
                n = -EIO; /* a host that takes nothing would keep us here for ever */
            if (n > 0) {
                at += (size_t)n;
                n = 0;
            }
        }
        done += (long)at;
        if (n) {
            if (n == -EPIPE)
                sig_send_thread(self(), SIGPIPE, 0);
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

static long stream_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    const struct ahead *a = f->data;
    int32_t ahead = a ? (int32_t)(a->size - a->at) : 0;
    ahead += (int32_t)outside_take(f->outside, NULL, INT32_MAX / 2, true, NULL);
    return request == FIONREAD ? user_write(arg, &ahead, sizeof(ahead)) : -ENOTTY;
}

static const struct file_ops stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .poll = stream_poll,
    .ioctl = stream_ioctl,
    .name = "pipe",
    .stream = true,
};

/* f is one of the host's streams from now on. */
static int attach_stream(struct file *f, int stream)
{
    static bool made[3];
    f->ops = &stream_ops;
    f->outside = &streams[stream].host;
    f->wait = &streams[stream].wait;
    if (made[stream])
        return 0;
    made[stream] = true;
    wait_queue_init(f->wait);
    int r = outside_add(f->outside, stream, f->wait);
    f->outside->has_ring = !r && stream < 2 && port_ring_exists(stream);
    return r;
}

static int open_stream(int fd, struct file **out)
{
    struct file *f = file_new(&stream_ops, fd ? O_WRONLY : O_RDONLY);
    int r = f ? attach_stream(f, fd) : -ENOMEM;
    if (!r && !fd && !(f->data = ahead_new()))
        r = -ENOMEM;
    if (r)
        return r;
    *out = f;
    return 0;
}

static void stream_release(struct file *f)
{
    struct stream *s = container_of(f->outside, struct stream, host);
    struct ahead *a = f->data;
    stdio_bar(s->host.handle, file_can_write(f));
    outside_close(&s->host);
    if (a)
        pages_free(a->buf, AHEAD_SIZE >> PAGE_SHIFT);
    los_free(a);
    los_free(s);
}

static const struct file_ops other_ops = {
    .read = stream_read,
    .write = stream_write,
    .poll = stream_poll,
    .ioctl = stream_ioctl,
    .release = stream_release,
    .name = "pipe",
    .stream = true,
};

int stdio_open_handle(int32_t handle, bool write, struct file **out)
{
    struct stream *s = los_alloc(sizeof(*s));
    struct file *f = s ? file_new(&stream_ops, write ? O_WRONLY : O_RDONLY) : NULL;
    struct ahead *a = f && !write ? ahead_new() : NULL;
    int r = !f || (!write && !a) ? -ENOMEM : 0;
    if (!r && claim_handle(handle) != handle)
        r = -EIO;
    if (s)
        wait_queue_init(&s->wait);
    if (!r)
        r = outside_add(&s->host, handle, &s->wait);
    if (!r && !stdio_let_pass(handle, write)) {
        outside_close(&s->host);
        r = -ENOMEM;
    }
    if (r) {
        if (a)
            pages_free(a->buf, AHEAD_SIZE >> PAGE_SHIFT);
        los_free(a);
        los_free(f);
        los_free(s);
        return r;
    }
    f->ops = &other_ops;
    f->outside = &s->host;
    f->wait = &s->wait;
    f->data = a;
    *out = f;
    return 0;
}

static struct tty *terminal;

void stdio_resize(void)
{
    struct tty_window w;
    if (!terminal || claim_status(port_window(&w)) || !memcmp(&w, &terminal->window, sizeof(w)))
        return;
    terminal->window = w;
    tty_signal(terminal, SIGWINCH);
}

/* All that makes a terminal is done here: the host passes on what is typed and shown as it is. */
static int open_terminal(void)
{
    terminal = console_new(0, 1, 0);
    stdio_resize();
    return terminal ? 0 : -ENOMEM;
}

void stdio_end(void)
{
    if (terminal)
        console_show(terminal);
}

/* The host's streams, or /dev/null where the settings want none. */
int stdio_init(void)
{
    struct file *f = NULL;
    int r = settings.terminal ? open_terminal() : 0;
    for (int fd = 0; !r && fd < 3; fd++) {
        if (settings.terminal && fd)
            file_get(f); /* all three are one */
        else if (settings.terminal)
            r = file_open("/dev/pts/0", O_RDWR, 0, &f);
        else if (fd ? settings.output : settings.input)
            r = open_stream(fd, &f);
        else
            r = file_open("/dev/null", fd ? O_WRONLY : O_RDONLY, 0, &f);
        if (!r)
            r = MIN(fd_install(f, false, fd), 0);
    }
    return r;
}

void stdio_give(uint32_t uid)
{
    struct file *f = settings.terminal ? fd_file(0) : NULL;
    if (f && f->inode)
        f->inode->uid = uid;
}
