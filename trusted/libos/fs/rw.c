// SPDX-License-Identifier: Apache-2.0
// read, write and their kin; lseek.
#include <linux/fs.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

#define ADDRESS_END 0x7ffffffff000ul /* of any program, for Linux */

/* Alone, where the file's kind wants it. True: at the file's own offset, whose turn is taken. */
static bool begin_move(struct file *f, const uint64_t *offset)
{
    if (!f->ops->shared)
        call_alone();
    return offset == &f->offset && !f->ops->stream && turn_take(&f->position);
}

/* For /proc/PID/io. */
static void count_move(bool write, long r)
{
    self()->moves[write]++;
    self()->moved[write] += r > 0 ? (uint64_t)r : 0;
}

long file_read(struct file *f, struct io *io, uint64_t *offset)
{
    if (!file_can_read(f))
        return -EBADF;
    if (!f->ops->read)
        return f->inode && (f->inode->mode & S_IFMT) == S_IFDIR ? -EISDIR : -EINVAL;
    if (io->left > RW_MAX)
        io->left = RW_MAX;
    bool held = fd_hold(f); /* it may wait, and another thread close the descriptor */
    bool own = begin_move(f, offset);
    long r = f->ops->read(f, io, *offset);
    count_move(false, r);
    if (r > 0 && !f->ops->stream)
        *offset += (uint64_t)r;
    if (own)
        turn_give(&f->position);
    fd_release(f, held);
    return r;
}

/* What a write says that is to be durable when it returns. */
static long sync_written(struct file *f, long r)
{
    int s = mount_sync(f->inode);
    return s ? s : r;
}

long file_write(struct file *f, struct io *io, uint64_t *offset)
{
    if (!file_can_write(f))
        return -EBADF;
    if (!f->ops->write)
        return -EINVAL;
    if (io->left > RW_MAX)
        io->left = RW_MAX;
    bool held = fd_hold(f), own = begin_move(f, offset);
    bool append = (f->flags & O_APPEND) && f->inode && !f->ops->stream;
    bool end = append && turn_take(&f->inode->writing);
    if (append)
        mount_refresh(f->inode);
    uint64_t at = append ? f->inode->size : *offset;
    long r = f->ops->write(f, io, at);
    count_move(true, r);
    if (end)
        turn_give(&f->inode->writing);
    if (r > 0 && !f->ops->stream)
        *offset = at + (uint64_t)r;
    if (own)
        turn_give(&f->position);
    if (r > 0 && (f->flags & O_DSYNC)) { /* O_SYNC has this bit too */
        call_alone();
        r = sync_written(f, r);
    }
    fd_release(f, held);
    return r;
}

/* At the file's own offset, or at *offset. */
long transfer_once(int fd, uint64_t buf, uint64_t size, const int64_t *offset, bool write)
{
    if (offset && *offset < 0)
        return -EINVAL;
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    struct io_vec v;
    struct io io = io_one(&v, buf, size, false);
    if (!offset)
        return write ? file_write(f, &io, &f->offset) : file_read(f, &io, &f->offset);
    if (f->ops->stream)
        return -ESPIPE;
    uint64_t at = (uint64_t)*offset;
    return write ? file_write(f, &io, &at) : file_read(f, &io, &at);
}

int iov_read(uint64_t addr, uint64_t count, struct io_vec *vec, struct io *io)
{
    if (count > IOV_MAX)
        return -EINVAL;
    int r = user_read(vec, addr, count * sizeof(*vec));
    *io = (struct io){.vec = vec};
    int bad = 0;
    for (uint64_t i = 0; !r && i < count; i++) {
        if ((int64_t)vec[i].size < 0)
            return -EINVAL;
        if (vec[i].addr > ADDRESS_END - vec[i].size) /* nothing of it is moved */
            bad = -EFAULT;
        if (vec[i].size > RW_MAX - io->left)
            vec[i].size = RW_MAX - io->left;
        io->left += vec[i].size;
    }
    return r ? r : bad;
}

long transfer_vector(int fd, uint64_t iov, uint64_t count, const int64_t *offset, bool write)
{
    if (offset && *offset < 0)
        return -EINVAL;
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    if (offset && f->ops->stream)
        return -ESPIPE;
    if (!(write ? file_can_write(f) : file_can_read(f)))
        return -EBADF;
    if (!(write ? f->ops->write != NULL : f->ops->read || (f->inode && !f->ops->stream)))
        return -EINVAL;
    struct io_vec few[8], *vec = few;
    if (count > ARRAY_COUNT(few) && count <= IOV_MAX && !(vec = los_alloc(count * sizeof(*vec))))
        return -ENOMEM;
    bool held = fd_hold(f);
    struct io io;
    long r = iov_read(iov, count, vec, &io);
    uint64_t at = offset ? (uint64_t)*offset : 0;
    if (!r && !io.left) /* nothing to do is done */
        ;
    else if (!r && offset)
        r = write ? file_write(f, &io, &at) : file_read(f, &io, &at);
    else if (!r)
        r = write ? file_write(f, &io, &f->offset) : file_read(f, &io, &f->offset);
    if (vec != few)
        los_free(vec);
    fd_release(f, held);
    return r;
}

long sys_readv(int fd, uint64_t iov, uint64_t count)
{
    return transfer_vector(fd, iov, count, NULL, false);
}

/* Of RWF_*: what is done anyway (memory needs no sync); behind the end (RWF_APPEND). */
#define RWF_EASY 7u
#define RWF_SYNCS 6u /* RWF_DSYNC, RWF_SYNC */
#define RWF_NOAPPEND_BIT 32u

/* Without moving the file's own offset, unless that is used. */
static long append_vector(struct file *f, int fd, uint64_t iov, uint64_t count, bool moves)
{
    bool own = turn_take(&f->inode->writing);
    int64_t end = (int64_t)f->inode->size;
    long r = transfer_vector(fd, iov, count, &end, true);
    if (r > 0 && moves)
        f->offset = (uint64_t)(end + r);
    if (own)
        turn_give(&f->inode->writing);
    return r;
}

long transfer_flagged(int fd, uint64_t iov, uint64_t count, const int64_t *offset, uint32_t flags,
                      bool write)
{
    if (flags & (RWF_APPEND | RWF_NOWAIT))
        call_alone();
    struct file *f = fd_file(fd);
    if (*offset < -1)
        return -EINVAL;
    if (f && *offset != -1 && f->ops->stream)
        return -ESPIPE;
    if (!f || !(write ? file_can_write(f) : file_can_read(f)))
        return -EBADF;
    uint32_t known = RWF_EASY;
    if (f->ops == &regular_ops)
        known |= RWF_APPEND | (write ? 0 : RWF_NOAPPEND_BIT);
    else if (f->ops->stream || (f->inode && (f->inode->mode & S_IFMT) == S_IFCHR))
        known |= RWF_NOWAIT;
    if (flags & ~known)
        return f->ops->read || f->ops->write || !f->ops->stream ? -EOPNOTSUPP : -EINVAL;
    offset = *offset == -1 ? NULL : offset;
    file_get(f);
    uint32_t kept = f->flags & O_NONBLOCK;
    f->flags |= flags & RWF_NOWAIT ? O_NONBLOCK : 0;
    long r = write && (flags & RWF_APPEND) ? append_vector(f, fd, iov, count, !offset)
                                           : transfer_vector(fd, iov, count, offset, write);
    if (flags & RWF_NOWAIT)
        f->flags = (f->flags & ~(uint32_t)O_NONBLOCK) | kept;
    if (write && r > 0 && (flags & RWF_SYNCS)) {
        call_alone();
        r = sync_written(f, r);
    }
    file_put(f);
    return r;
}

static int64_t seek_file(struct file *f, int64_t offset, int whence)
{
    if ((unsigned)whence > SEEK_HOLE)
        return -EINVAL;
    if (f->ops->stream) /* an event has one place only, a pipe has none */
        return f->ops->name && !strncmp(f->ops->name, "anon_inode", 10) ? 0 : -ESPIPE;
    if (f->ops->seek)
        return f->ops->seek(f, offset, whence);
    if (whence == SEEK_END)
        mount_refresh(f->inode);
    int64_t base = 0, size = f->inode ? (int64_t)f->inode->size : 0;
    switch (whence) {
    case SEEK_SET:
        break;
    case SEEK_CUR:
        base = (int64_t)f->offset;
        break;
    case SEEK_END:
        base = size;
        break;
    case SEEK_DATA:
    case SEEK_HOLE: {
        if (f->ops != &regular_ops)
            return -EINVAL;
        if (offset < 0)
            return -ENXIO;
        int64_t found = data_seek(f->inode, (uint64_t)offset, whence == SEEK_HOLE);
        if (found >= 0)
            f->offset = (uint64_t)found;
        return found;
    }
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

long sys_lseek(int fd, int64_t offset, int whence)
{
    struct file *f = fd_file(fd);
    if (f && (f->ops != &regular_ops || f->inode->mount) && call_alone())
        f = fd_file(fd);
    if (!f)
        return -EBADF;
    bool held = fd_hold(f), own = turn_take(&f->position);
    int64_t r = seek_file(f, offset, whence);
    if (own)
        turn_give(&f->position);
    fd_release(f, held);
    return r;
}
