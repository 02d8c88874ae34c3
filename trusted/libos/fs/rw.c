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

static long once(const uint64_t *a, bool write, bool positioned)
{
    struct file *f = fd_file((int)a[0]);
    if (!f)
        return -EBADF;
    struct io_vec v;
    struct io io = io_one(&v, a[1], a[2], false);
    if (!positioned)
        return write ? do_write(f, &io, &f->offset) : do_read(f, &io, &f->offset);
    if (f->ops->stream)
        return -ESPIPE;
    uint64_t offset = a[3];
    if ((int64_t)offset < 0)
        return -EINVAL;
    return write ? do_write(f, &io, &offset) : do_read(f, &io, &offset);
}

long sys_read(const uint64_t *a)
{
    return once(a, false, false);
}

long sys_write(const uint64_t *a)
{
    return once(a, true, false);
}

long sys_pread64(const uint64_t *a)
{
    return once(a, false, true);
}

long sys_pwrite64(const uint64_t *a)
{
    return once(a, true, true);
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

static long vector(const uint64_t *a, bool write, bool positioned)
{
    struct file *f = fd_file((int)a[0]);
    if (!f)
        return -EBADF;
    if (positioned && f->ops->stream)
        return -ESPIPE;
    struct io_vec few[8], *vec = few;
    if (a[2] > ARRAY_COUNT(few) && a[2] <= IOV_MAX && !(vec = los_alloc(a[2] * sizeof(*vec))))
        return -ENOMEM;
    struct io io;
    long r = iov_read(a[1], a[2], vec, &io);
    uint64_t offset = positioned ? a[3] : 0;
    uint64_t *at = positioned ? &offset : &f->offset;
    if (!r && (int64_t)offset < 0)
        r = -EINVAL;
    if (!r)
        r = write ? do_write(f, &io, at) : do_read(f, &io, at);
    if (vec != few)
        los_free(vec);
    return r;
}

long sys_readv(const uint64_t *a)
{
    return vector(a, false, false);
}

long sys_writev(const uint64_t *a)
{
    return vector(a, true, false);
}

long sys_preadv(const uint64_t *a)
{
    return vector(a, false, true);
}

long sys_pwritev(const uint64_t *a)
{
    return vector(a, true, true);
}

long sys_preadv2(const uint64_t *a)
{
    return a[5] ? -EOPNOTSUPP : vector(a, false, a[3] != UINT64_MAX);
}

long sys_pwritev2(const uint64_t *a)
{
    return a[5] ? -EOPNOTSUPP : vector(a, true, a[3] != UINT64_MAX);
}

#define SEEK_SET_ 0
#define SEEK_CUR_ 1
#define SEEK_END_ 2
#define SEEK_DATA_ 3
#define SEEK_HOLE_ 4

long sys_lseek(const uint64_t *a)
{
    struct file *f = fd_file((int)a[0]);
    if (!f)
        return -EBADF;
    if (f->ops->stream || (f->flags & O_PATH))
        return f->flags & O_PATH ? -EBADF : -ESPIPE;
    int64_t offset = (int64_t)a[1], base = 0;
    int64_t size = f->inode ? (int64_t)f->inode->size : 0;
    switch ((int)a[2]) {
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
        f->offset = a[2] == SEEK_DATA_ ? (uint64_t)offset : (uint64_t)size;
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

long sys_sendfile(const uint64_t *a)
{
    struct file *out = fd_file((int)a[0]), *in = fd_file((int)a[1]);
    if (!out || !in)
        return -EBADF;
    if (in->ops->stream || !in->inode)
        return -EINVAL;
    uint64_t at = in->offset;
    if (a[2] && user_read(&at, a[2], sizeof(at)))
        return -EFAULT;
    if ((int64_t)at < 0)
        return -EINVAL;
    file_get(in);
    file_get(out);
    long r = copy_between(in, &at, out, &out->offset, MIN(a[3], RW_MAX));
    if (a[2])
        r = user_write(a[2], &at, sizeof(at)) ? -EFAULT : r;
    else
        in->offset = at;
    file_put(in);
    file_put(out);
    return r;
}

long sys_copy_file_range(const uint64_t *a)
{
    struct file *in = fd_file((int)a[0]), *out = fd_file((int)a[2]);
    if (!out || !in)
        return -EBADF;
    if (in->ops != &regular_ops || out->ops != &regular_ops || a[5])
        return -EINVAL;
    uint64_t from = in->offset, to = out->offset;
    if ((a[1] && user_read(&from, a[1], 8)) || (a[3] && user_read(&to, a[3], 8)))
        return -EFAULT;
    long r = copy_between(in, &from, out, &to, MIN(a[4], RW_MAX));
    if (r < 0)
        return r;
    if ((a[1] && user_write(a[1], &from, 8)) || (a[3] && user_write(a[3], &to, 8)))
        return -EFAULT;
    if (!a[1])
        in->offset = from;
    if (!a[3])
        out->offset = to;
    return r;
}

/* No pages to move between files here: programs copy when they hear that these files cannot. */
long sys_splice(const uint64_t *a)
{
    return -EINVAL;
}
