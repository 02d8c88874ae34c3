// SPDX-License-Identifier: Apache-2.0
// Asynchronous input and output (io_setup, io_submit, io_getevents): done at once, since all files
// are in memory; only the answers wait to be fetched. A context's number is the address of a page
// that is the program's, as libaio wants it; what is in the page counts for nothing.
#include <linux/aio_abi.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/poll.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/time/time.h"

#define EVENTS_MAX 65536u /* of all contexts: /proc/sys/fs/aio-max-nr */
#define VECTORS_MAX 1024u

struct answer {
    struct list node;
    struct io_event event;
};

struct context {
    struct list node;
    const struct process *owner;
    uint64_t id;
    uint32_t refs, room, count; /* answers: at most, now */
    bool gone;
    struct list answers;
    struct wait_queue wait;
};

static struct list contexts = {&contexts, &contexts};
static uint32_t events_promised;

static struct context *find_context(uint64_t id)
{
    list_each(struct context, c, &contexts, node) {
        if (c->id == id && c->owner == current())
            return c;
    }
    return NULL;
}

static void put_context(struct context *c)
{
    if (--c->refs)
        return;
    list_each_safe(struct answer, x, &c->answers, node)
        los_free(x);
    los_free(c);
}

static void end_context(struct context *c)
{
    list_remove(&c->node);
    events_promised -= c->room;
    c->gone = true;
    wait_wake_all(&c->wait);
    put_context(c);
}

void aio_end(const struct process *p)
{
    list_each_safe(struct context, c, &contexts, node) {
        if (c->owner == p)
            end_context(c);
    }
}

long sys_io_setup(uint32_t room, uint64_t to)
{
    uint64_t old;
    if (user_read(&old, to, sizeof(old)))
        return -EFAULT;
    if (old || !room || room > 0x10000000u / sizeof(struct io_event))
        return -EINVAL;
    if (room > EVENTS_MAX - events_promised)
        return -EAGAIN;
    struct context *c = los_alloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    struct map_request page = {.size = PAGE_SIZE, .prot = PORT_R | PORT_W, .name = "[aio]"};
    int64_t at = mm_map(&page);
    if (at < 0 || user_write(to, &at, sizeof(at))) {
        if (at >= 0)
            mm_unmap((uint64_t)at, PAGE_SIZE);
        los_free(c);
        return at < 0 ? at : -EFAULT;
    }
    *c = (struct context){.owner = current(), .id = (uint64_t)at, .refs = 1, .room = room};
    list_init(&c->answers);
    wait_queue_init(&c->wait);
    list_append(&contexts, &c->node);
    events_promised += room;
    return 0;
}

long sys_io_destroy(uint64_t id)
{
    struct context *c = find_context(id);
    if (!c)
        return -EINVAL;
    end_context(c);
    mm_unmap(id, PAGE_SIZE);
    return 0;
}

/* ---- doing ---- */

static long transfer_bytes(struct file *f, const struct iocb *b, struct io *io)
{
    uint64_t at = (uint64_t)b->aio_offset;
    bool write = b->aio_lio_opcode == IOCB_CMD_PWRITE || b->aio_lio_opcode == IOCB_CMD_PWRITEV;
    long r = write ? file_write(f, io, &at) : file_read(f, io, &at);
    return r == -EAWAY ? -EIO : r; /* it cannot be begun again */
}

/* What comes of one that may be begun. */
static long perform_request(struct file *f, const struct iocb *b)
{
    struct io_vec one, *vec;
    struct io io;
    switch (b->aio_lio_opcode) {
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC:
        return 0; /* memory is where it stays */
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PWRITE:
        io = io_one(&one, b->aio_buf, b->aio_nbytes, false);
        return transfer_bytes(f, b, &io);
    default:
        vec = los_alloc(MAX(b->aio_nbytes, 1) * sizeof(*vec));
        if (!vec)
            return -ENOMEM;
        long r = iov_read(b->aio_buf, b->aio_nbytes, vec, &io);
        r = r ? r : transfer_bytes(f, b, &io);
        los_free(vec);
        return r;
    }
}

/* What io_submit itself refuses. */
static int check_request(const struct iocb *b, struct file *f)
{
    bool read = b->aio_lio_opcode == IOCB_CMD_PREAD || b->aio_lio_opcode == IOCB_CMD_PREADV;
    bool write = b->aio_lio_opcode == IOCB_CMD_PWRITE || b->aio_lio_opcode == IOCB_CMD_PWRITEV;
    bool sync = b->aio_lio_opcode == IOCB_CMD_FSYNC || b->aio_lio_opcode == IOCB_CMD_FDSYNC;
    if (!f)
        return -EBADF;
    if (b->aio_rw_flags)
        return sync ? -EINVAL : -EOPNOTSUPP;
    if (read || write) {
        bool vectors =
            b->aio_lio_opcode == IOCB_CMD_PREADV || b->aio_lio_opcode == IOCB_CMD_PWRITEV;
        if (!(read ? file_can_read(f) : file_can_write(f)))
            return -EBADF;
        if (!(read ? f->ops->read : f->ops->write) || b->aio_offset < 0 ||
            (vectors && b->aio_nbytes > VECTORS_MAX))
            return -EINVAL;
        return 0;
    }
    return sync && f->inode && !b->aio_buf && !b->aio_nbytes && !b->aio_offset ? 0 : -EINVAL;
}

static void tell_eventfd(struct file *e)
{
    uint64_t one = 1, offset = 0;
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)&one, sizeof(one), true);
    uint32_t flags = e->flags;
    e->flags |= O_NONBLOCK; /* as in Linux, one that is full stays so */
    file_write(e, &io, &offset);
    e->flags = flags;
}

static int submit_one(struct context *c, uint64_t at)
{
    struct iocb b;
    const uint32_t key = 0;
    if (user_read(&b, at, sizeof(b)))
        return -EFAULT;
    if (b.aio_reserved2 || (int64_t)b.aio_nbytes < 0)
        return -EINVAL;
    if (c->count == c->room)
        return -EAGAIN;
    struct file *f = fd_file((int)b.aio_fildes), *e = NULL;
    int r = check_request(&b, f);
    if (!r && (b.aio_flags & IOCB_FLAG_RESFD)) {
        e = fd_file((int)b.aio_resfd);
        r = !e                                                              ? -EBADF
            : e->ops->name && !strcmp(e->ops->name, "anon_inode:[eventfd]") ? 0
                                                                            : -EINVAL;
    }
    if (!r && user_write(at + offsetof(struct iocb, aio_key), &key, sizeof(key)))
        r = -EFAULT;
    struct answer *a = r ? NULL : los_alloc(sizeof(*a));
    if (!a)
        return r ? r : -EAGAIN;
    c->count++; /* its place, while it may wait */
    file_get(f);
    if (e)
        file_get(e);
    a->event = (struct io_event){.data = b.aio_data, .obj = at, .res = perform_request(f, &b)};
    list_append(&c->answers, &a->node);
    wait_wake_all(&c->wait);
    file_put(f);
    if (e) {
        tell_eventfd(e);
        file_put(e);
    }
    return 0;
}

long sys_io_submit(uint64_t id, int64_t count, uint64_t from)
{
    struct context *c = find_context(id);
    if (count < 0 || !c)
        return -EINVAL;
    long done = 0;
    int r = 0;
    c->refs++;
    for (; done < count && !c->gone; done++) {
        uint64_t at;
        r = user_read(&at, from + (uint64_t)done * sizeof(at), sizeof(at)) ? -EFAULT
                                                                           : submit_one(c, at);
        if (r)
            break;
    }
    put_context(c);
    return done ? done : r;
}

/* Nothing is ever under way. */
long sys_io_cancel(uint64_t id, uint64_t request, uint64_t result)
{
    uint32_t key;
    if (user_read(&key, request + offsetof(struct iocb, aio_key), sizeof(key)))
        return -EFAULT;
    return -EINVAL;
}

/* ---- answers ---- */

static long take_answers(struct context *c, int64_t most, uint64_t to)
{
    int64_t n = 0;
    for (; n < most && !list_empty(&c->answers); n++) {
        struct answer *a = container_of(c->answers.next, struct answer, node);
        if (user_write(to + (uint64_t)n * sizeof(a->event), &a->event, sizeof(a->event)))
            return n ? n : -EFAULT;
        list_remove(&a->node);
        c->count--;
        los_free(a);
    }
    return n;
}

long sys_io_getevents(uint64_t id, int64_t least, int64_t most, uint64_t to, uint64_t timeout)
{
    uint64_t ns, deadline = NO_DEADLINE;
    int r = timeout ? timespec_from_user(timeout, &ns) : 0;
    if (r == -EFAULT)
        return r;
    if (timeout) /* what is no time is none, as in Linux */
        deadline = !r && ns ? deadline_in(ns) : 0;
    struct context *c = find_context(id);
    if (!c || least < 0 || most < least)
        return -EINVAL;
    c->refs++;
    long done = 0;
    r = 0;
    for (;;) {
        long n = take_answers(c, most - done, to + (uint64_t)done * sizeof(struct io_event));
        if (n < 0) {
            r = (int)n;
            break;
        }
        done += n;
        if (done >= least || done == most || c->gone || r)
            break;
        r = deadline ? wait_on(&c->wait, deadline) : -ETIMEDOUT;
    }
    put_context(c);
    return done || r == -ETIMEDOUT ? done : r;
}

/* With signals as they are only meanwhile: mask points to {where the mask is, its size}. */
long sys_io_pgetevents(uint64_t id, int64_t least, int64_t most, uint64_t to, uint64_t timeout,
                       uint64_t mask)
{
    uint64_t set[2] = {0};
    int r = mask && user_read(set, mask, sizeof(set)) ? -EFAULT : poll_mask(set[0], set[1]);
    return r ? r : sys_io_getevents(id, least, most, to, timeout);
}
