// SPDX-License-Identifier: Apache-2.0
// Moving bytes between files: sendfile, copy_file_range, splice, tee, vmsplice. All copy through a
// page of ours; nothing is shared between the ends.
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"

#define NULL_DEVICE 0x103u
#define FULL_DEVICE 0x107u

static bool is_char(const struct file *f)
{
    return f->inode && (f->inode->mode & S_IFMT) == S_IFCHR;
}

static bool is_socket(const struct file *f)
{
    return f->ops->name && !strcmp(f->ops->name, "socket");
}

static bool is_pipe(const struct file *f)
{
    return f->ops->pipe;
}

static bool can_give(const struct file *f)
{
    return f->ops == &regular_ops || (is_char(f) && f->inode->rdev != NULL_DEVICE);
}

static bool can_take(const struct file *f)
{
    return f->ops == &regular_ops || (is_char(f) && f->inode->rdev != FULL_DEVICE) ||
           is_socket(f) || is_pipe(f);
}

/* As much as goes: `in` may end, `out` may be full. */
static long copy_between(struct file *in, uint64_t *in_at, struct file *out, uint64_t *out_at,
                         uint64_t size)
{
    long done = 0;
    uint8_t *buf = page_alloc();
    if (!buf)
        return -ENOMEM;
    while (size) {
        struct io_vec v;
        struct io io = io_one(&v, (uint64_t)buf, MIN(size, PAGE_SIZE), true);
        uint64_t before = *in_at;
        long n = file_read(in, &io, in_at);
        if (n <= 0) {
            done = done ? done : n;
            break;
        }
        io = io_one(&v, (uint64_t)buf, (uint64_t)n, true);
        long w = file_write(out, &io, out_at);
        if (w < n)
            *in_at = before + (w > 0 ? (uint64_t)w : 0);
        if (w < 0) {
            done = done ? done : w;
            break;
        }
        done += w;
        size -= (uint64_t)w;
        if (w < n)
            break;
    }
    page_free(buf);
    return done;
}

/* `offset`: where the program has it, or 0: it is that of the open file. Both are counted. */
static long send_between(struct file *out, struct file *in, uint64_t offset, uint64_t count)
{
    uint64_t at = offset ? 0 : in->offset;
    if (offset && user_read(&at, offset, sizeof(at)))
        return -EFAULT;
    if (offset && in->ops->stream)
        return -ESPIPE;
    if (!can_give(in) || in->ops->stream || !can_take(out) || (out->flags & O_APPEND) ||
        (int64_t)at < 0)
        return -EINVAL;
    long r = copy_between(in, &at, out, &out->offset, MIN(count, RW_MAX));
    if (offset)
        return user_write(offset, &at, sizeof(at)) ? -EFAULT : r;
    in->offset = at; /* whatever others did there meanwhile, as on Linux */
    return r;
}

long sys_sendfile(int out_fd, int in_fd, uint64_t offset, uint64_t count)
{
    struct file *out = fd_file(out_fd), *in = fd_file(in_fd);
    if (!out || !in || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    file_get(in);
    file_get(out);
    long r = send_between(out, in, offset, count);
    file_put(in);
    file_put(out);
    return r;
}

static bool is_dir(const struct file *f)
{
    return f->inode && (f->inode->mode & S_IFMT) == S_IFDIR;
}

static long check_copy(const struct file *in, const struct file *out, uint64_t from, uint64_t to,
                       uint64_t size)
{
    if (is_dir(in) || is_dir(out))
        return -EISDIR;
    if (in->ops != &regular_ops || out->ops != &regular_ops)
        return in->inode && out->inode && in->inode->fs != out->inode->fs && !is_char(in) &&
                       !is_char(out) && !in->ops->stream && !out->ops->stream
                   ? -EXDEV
                   : -EINVAL;
    if (!file_can_read(in) || !file_can_write(out) || (out->flags & O_APPEND))
        return -EBADF;
    if ((int64_t)from < 0 || (int64_t)to < 0)
        return -EINVAL;
    if (from + size < from || to + size < to)
        return -EOVERFLOW;
    return in->inode == out->inode && from < to + size && to < from + size ? -EINVAL : 0;
}

long sys_copy_file_range(int in_fd, uint64_t in_offset, int out_fd, uint64_t out_offset,
                         uint64_t size, uint32_t flags)
{
    struct file *in = fd_file(in_fd), *out = fd_file(out_fd);
    if (!out || !in)
        return -EBADF;
    uint64_t from = in->offset, to = out->offset;
    if ((in_offset && user_read(&from, in_offset, 8)) ||
        (out_offset && user_read(&to, out_offset, 8)))
        return -EFAULT;
    if (flags)
        return -EINVAL;
    long r = check_copy(in, out, from, to, size);
    if (!r)
        r = copy_between(in, &from, out, &to, MIN(size, RW_MAX));
    if (r < 0)
        return r;
    if ((in_offset && user_write(in_offset, &from, 8)) ||
        (out_offset && user_write(out_offset, &to, 8)))
        return -EFAULT;
    if (!in_offset)
        in->offset = from;
    if (!out_offset)
        out->offset = to;
    return r;
}

#define SPLICE_NONBLOCK 2u
#define SPLICE_ALL 15u

/* From a pipe: what `out` takes is then gone from the pipe. */
static long from_pipe(struct file *in, struct file *out, uint64_t *at, uint64_t size, bool wait)
{
    uint8_t *buf = page_alloc();
    long done = 0, n = 0;
    if (!buf)
        return -ENOMEM;
    while (size && (n = pipe_peek(in, buf, MIN(size, PAGE_SIZE), wait && !done)) > 0) {
        struct io_vec v;
        struct io io = io_one(&v, (uint64_t)buf, (uint64_t)n, true);
        n = file_write(out, &io, at);
        pipe_consume(in, n > 0 ? (uint64_t)n : 0);
        if (n <= 0)
            break;
        done += n;
        size -= (uint64_t)n;
    }
    page_free(buf);
    return done ? done : n;
}

/* Into a pipe: no more is read than there is room. */
static long to_pipe(struct file *in, uint64_t *at, struct file *out, uint64_t size, bool wait)
{
    uint8_t *buf = page_alloc();
    long done = 0, room = 0;
    if (!buf)
        return -ENOMEM;
    while (size && (room = pipe_room(out, wait && !done)) > 0) {
        struct io_vec v;
        struct io io = io_one(&v, (uint64_t)buf, MIN(MIN(size, PAGE_SIZE), (uint64_t)room), true);
        long n = file_read(in, &io, at);
        if (n <= 0) {
            room = n;
            break;
        }
        io = io_one(&v, (uint64_t)buf, (uint64_t)n, true);
        room = pipe_put_all(out, &io);
        if (room < 0)
            break;
        done += n;
        size -= (uint64_t)n;
        if (in->ops->stream) /* what is there now */
            break;
    }
    page_free(buf);
    return done ? done : room;
}

static long do_splice(struct file *in, uint64_t *in_at, struct file *out, uint64_t *out_at,
                      uint64_t size, bool wait)
{
    if (is_pipe(in)) {
        if (!is_pipe(out) && ((out->flags & O_APPEND) || !can_take(out)))
            return -EINVAL;
        return from_pipe(in, out, out_at, size, wait);
    }
    if (!can_give(in) && !is_socket(in))
        return -EINVAL;
    return to_pipe(in, in_at, out, size, wait);
}

long sys_splice(int in_fd, uint64_t in_offset, int out_fd, uint64_t out_offset, uint64_t size,
                uint32_t flags)
{
    if (!size)
        return 0;
    if (flags & ~SPLICE_ALL)
        return -EINVAL;
    struct file *in = fd_file(in_fd), *out = fd_file(out_fd);
    if (!in || !out || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    if (!is_pipe(in) && !is_pipe(out))
        return -EINVAL;
    if ((in_offset && is_pipe(in)) || (out_offset && is_pipe(out)))
        return -ESPIPE;
    if ((in_offset && in->ops->stream) || (out_offset && out->ops->stream))
        return -EINVAL;
    if (is_pipe(in) && is_pipe(out) && in->data == out->data)
        return -EINVAL;
    uint64_t from = in->offset, to = out->offset;
    if ((in_offset && user_read(&from, in_offset, 8)) ||
        (out_offset && user_read(&to, out_offset, 8)))
        return -EFAULT;
    if ((int64_t)from < 0 || (int64_t)to < 0)
        return -EINVAL;
    bool wait = !(flags & SPLICE_NONBLOCK) && !((is_pipe(in) ? in : out)->flags & O_NONBLOCK);
    file_get(in);
    file_get(out);
    long r = do_splice(in, &from, out, &to, MIN(size, RW_MAX), wait);
    if (r > 0 && ((in_offset && user_write(in_offset, &from, 8)) ||
                  (out_offset && user_write(out_offset, &to, 8))))
        r = -EFAULT;
    if (!in_offset && !is_pipe(in))
        in->offset = from;
    if (!out_offset && !is_pipe(out))
        out->offset = to;
    file_put(in);
    file_put(out);
    return r;
}

long sys_tee(int in_fd, int out_fd, uint64_t size, uint32_t flags)
{
    if (flags & ~SPLICE_ALL)
        return -EINVAL;
    if (!size)
        return 0;
    struct file *in = fd_file(in_fd), *out = fd_file(out_fd);
    if (!in || !out || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    if (!is_pipe(in) || !is_pipe(out) || in->data == out->data)
        return -EINVAL;
    bool wait = !(flags & SPLICE_NONBLOCK) && !((in->flags | out->flags) & O_NONBLOCK);
    file_get(in);
    file_get(out);
    uint8_t *buf = page_alloc();
    long n = buf ? pipe_peek(in, buf, MIN(size, PAGE_SIZE), wait) : -ENOMEM;
    if (n > 0) {
        long room = pipe_room(out, wait);
        if (room > 0) {
            struct io_vec v;
            struct io io = io_one(&v, (uint64_t)buf, (uint64_t)MIN(n, room), true);
            room = pipe_put_all(out, &io);
        }
        pipe_consume(in, 0);
        n = room;
    }
    if (buf)
        page_free(buf);
    file_put(in);
    file_put(out);
    return n;
}

/* As much as there is room for, but something. */
static long fill_pipe(struct file *f, uint64_t iov, uint64_t count, bool wait)
{
    struct io io;
    if (count > IOV_MAX)
        return -EINVAL;
    struct io_vec *vec = los_alloc((count + 1) * sizeof(*vec));
    long r = vec ? iov_read(iov, count, vec, &io) : -ENOMEM;
    if (!r && io.left)
        r = pipe_room(f, wait);
    if (r > 0) {
        io.left = MIN(io.left, (uint64_t)r);
        r = pipe_put_all(f, &io);
    }
    los_free(vec);
    return r;
}

/* The program's pages are copied, whatever SPLICE_F_GIFT says. */
long sys_vmsplice(int fd, uint64_t iov, uint64_t count, uint32_t flags)
{
    if (flags & ~SPLICE_ALL)
        return -EINVAL;
    struct file *f = fd_file(fd);
    if (!f || !is_pipe(f))
        return -EBADF;
    uint32_t kept = f->flags & O_NONBLOCK;
    file_get(f);
    long r;
    if (file_can_write(f)) {
        r = fill_pipe(f, iov, count, !kept && !(flags & SPLICE_NONBLOCK));
    } else {
        if (flags & SPLICE_NONBLOCK)
            f->flags |= O_NONBLOCK;
        r = sys_readv(fd, iov, count);
        f->flags = (f->flags & ~(uint32_t)O_NONBLOCK) | kept;
    }
    file_put(f);
    return r;
}
