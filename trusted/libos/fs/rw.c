// SPDX-License-Identifier: Apache-2.0
// read, write and their kin; lseek; sendfile.
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"

#define RW_MAX 0x7ffff000u
#define IOV_MAX 1024u

static long do_read(struct file *f, struct io *io, uint64_t *offset)
{
    if (!file_can_read(f))
        return -EBADF;
    if (!f->ops->read)
        return f->inode && (f->inode->mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
    if (io->left > RW_MAX)
        io->left = RW_MAX;
    file_get(f); /* it may wait, and another thread close the descriptor */
    long r = f->ops->read(f, io, *offset);
    if (r > 0 && !f->ops->stream)
        *offset += (uint64_t)r;
    file_put(f);
    return r;
}

static long do_write(struct file *f, struct io *io, uint64_t *offset)
{
    if (!file_can_write(f))
        return -EBADF;
    if (!f->ops->write)
        return -EINVAL;
    if (io->left > RW_MAX)
        io->left = RW_MAX;
    if ((f->flags & O_APPEND) && f->inode && !f->ops->stream)
        *offset = f->inode->size;
    file_get(f);
    long r = f->ops->write(f, io, *offset);
    if (r > 0 && !f->ops->stream)
        *offset += (uint64_t)r;
    file_put(f);
    return r;
}

/* At the file's own offset, or at *offset. */
static long once(int fd, uint64_t buf, uint64_t size, const int64_t *offset, bool write)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    struct io_vec v;
    struct io io = io_one(&v, buf, size, false);
    if (!offset)
        return write ? do_write(f, &io, &f->offset) : do_read(f, &io, &f->offset);
    if (f->ops->stream)
        return -ESPIPE;
    if (*offset < 0)
        return -EINVAL;
    uint64_t at = (uint64_t)*offset;
    return write ? do_write(f, &io, &at) : do_read(f, &io, &at);
}

long sys_read(int fd, uint64_t buf, uint64_t size)
{
    return once(fd, buf, size, NULL, false);
}

long sys_write(int fd, uint64_t buf, uint64_t size)
{
    return once(fd, buf, size, NULL, true);
}

long sys_pread64(int fd, uint64_t buf, uint64_t size, int64_t offset)
{
    return once(fd, buf, size, &offset, false);
}

long sys_pwrite64(int fd, uint64_t buf, uint64_t size, int64_t offset)
{
    return once(fd, buf, size, &offset, true);
}

int iov_read(uint64_t addr, uint64_t count, struct io_vec *vec, struct io *io)
{
    if (count > IOV_MAX)
        return -EINVAL;
    int r = user_read(vec, addr, count * sizeof(*vec));
    *io = (struct io){.vec = vec};
    for (uint64_t i = 0; !r && i < count; i++) {
        if ((int64_t)vec[i].size < 0)
            return -EINVAL;
        if (vec[i].size > RW_MAX - io->left)
            vec[i].size = RW_MAX - io->left;
        io->left += vec[i].size;
    }
    return r;
}

static long vector(int fd, uint64_t iov, uint64_t count, const int64_t *offset, bool write)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (offset && f->ops->stream)
        return -ESPIPE;
    struct io_vec few[8], *vec = few;
    if (count > ARRAY_COUNT(few) && count <= IOV_MAX && !(vec = los_alloc(count * sizeof(*vec))))
        return -ENOMEM;
    struct io io;
    long r = iov_read(iov, count, vec, &io);
    uint64_t at = offset ? (uint64_t)*offset : 0;
    if (!r && (int64_t)at < 0)
        r = -EINVAL;
    if (!r && offset)
        r = write ? do_write(f, &io, &at) : do_read(f, &io, &at);
    else if (!r)
        r = write ? do_write(f, &io, &f->offset) : do_read(f, &io, &f->offset);
    if (vec != few)
        los_free(vec);
    return r;
}

long sys_readv(int fd, uint64_t iov, uint64_t count)
{
    return vector(fd, iov, count, NULL, false);
}

long sys_writev(int fd, uint64_t iov, uint64_t count)
{
    return vector(fd, iov, count, NULL, true);
}

long sys_preadv(int fd, uint64_t iov, uint64_t count, int64_t offset)
{
    return vector(fd, iov, count, &offset, false);
}

long sys_pwritev(int fd, uint64_t iov, uint64_t count, int64_t offset)
{
    return vector(fd, iov, count, &offset, true);
}

long sys_preadv2(int fd, uint64_t iov, uint64_t count, int64_t offset, int64_t offset_high,
                 uint32_t flags)
{
    return flags ? -EOPNOTSUPP : vector(fd, iov, count, offset == -1 ? NULL : &offset, false);
}

long sys_pwritev2(int fd, uint64_t iov, uint64_t count, int64_t offset, int64_t offset_high,
                  uint32_t flags)
{
    return flags ? -EOPNOTSUPP : vector(fd, iov, count, offset == -1 ? NULL : &offset, true);
}

#define SEEK_SET_ 0
#define SEEK_CUR_ 1
#define SEEK_END_ 2
#define SEEK_DATA_ 3
#define SEEK_HOLE_ 4

long sys_lseek(int fd, int64_t offset, int whence)
{
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (f->ops->stream || (f->flags & O_PATH))
        return f->flags & O_PATH ? -EBADF : -ESPIPE;
    int64_t base = 0, size = f->inode ? (int64_t)f->inode->size : 0;
    switch (whence) {
    case SEEK_SET_:
        break;
    case SEEK_CUR_:
        base = (int64_t)f->offset;
        break;
    case SEEK_END_:
        base = size;
        break;
    case SEEK_DATA_:
    case SEEK_HOLE_:
        if (offset < 0 || offset >= size)
            return -ENXIO;
        f->offset = whence == SEEK_DATA_ ? (uint64_t)offset : (uint64_t)size;
        return (long)f->offset;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, offset, &base) || base < 0)
        return -EINVAL;
    if (base == 0 && f->listing) { /* rewinddir */
        listing_free(f->listing);
        los_free(f->listing);
        f->listing = NULL;
    }
    f->offset = (uint64_t)base;
    return base;
}

/* Through a page of ours; each end as it likes. */
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
        long n = do_read(in, &io, in_at);
        if (n <= 0) {
            done = done ? done : n;
            break;
        }
        io = io_one(&v, (uint64_t)buf, (uint64_t)n, true);
        long w = do_write(out, &io, out_at);
        if (w < 0) {
            *in_at = before;
            done = done ? done : w;
            break;
        }
        done += w;
        size -= (uint64_t)w;
        if (w < n) {
            *in_at = before + (uint64_t)w;
            break;
        }
    }
    page_free(buf);
    return done;
}

long sys_sendfile(int out_fd, int in_fd, uint64_t offset, uint64_t count)
{
    struct file *out = fd_file(out_fd), *in = fd_file(in_fd);
    if (!out || !in)
        return -EBADF;
    if (in->ops->stream || !in->inode)
        return -EINVAL;
    uint64_t at = in->offset;
    if (offset && user_read(&at, offset, sizeof(at)))
        return -EFAULT;
    if ((int64_t)at < 0)
        return -EINVAL;
    file_get(in);
    file_get(out);
    long r = copy_between(in, &at, out, &out->offset, MIN(count, RW_MAX));
    if (offset)
        r = user_write(offset, &at, sizeof(at)) ? -EFAULT : r;
    else
        in->offset = at;
    file_put(in);
    file_put(out);
    return r;
}

long sys_copy_file_range(int in_fd, uint64_t in_offset, int out_fd, uint64_t out_offset,
                         uint64_t size, uint32_t flags)
{
    struct file *in = fd_file(in_fd), *out = fd_file(out_fd);
    if (!out || !in)
        return -EBADF;
    if (in->ops != &regular_ops || out->ops != &regular_ops || flags)
        return -EINVAL;
    uint64_t from = in->offset, to = out->offset;
    if ((in_offset && user_read(&from, in_offset, 8)) ||
        (out_offset && user_read(&to, out_offset, 8)))
        return -EFAULT;
    long r = copy_between(in, &from, out, &to, MIN(size, RW_MAX));
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

/* No pages to move between files here: programs copy when they hear that these files cannot. */
long sys_splice(int in_fd, uint64_t in_offset, int out_fd, uint64_t out_offset, uint64_t size,
                uint32_t flags)
{
    return -EINVAL;
}
