// SPDX-License-Identifier: Apache-2.0
// Contents of regular files: pages written hide the image's blocks, holes are zeros.
#include <asm/signal.h>

#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/mm/mm.h"

#define FILE_SIZE_MAX ((uint64_t)INT64_MAX)

/* The image's part of a page, zeros behind it. */
static int lower_page(struct inode *i, uint64_t index, uint8_t *buf)
{
    uint64_t at = index << PAGE_SHIFT;
    if (i->mount)
        return mount_page(i, index, buf);
    uint64_t n = i->has_lower && at < i->lower_size ? MIN(PAGE_SIZE, i->lower_size - at) : 0;
    int r = n ? erofs_read(&i->lower, at, buf, n) : 0;
    memset(buf + n, 0, PAGE_SIZE - n);
    return r;
}

int data_page(struct inode *i, uint64_t index, void *buf)
{
    const void *page = radix_get(&i->pages, index);
    if (!page)
        return lower_page(i, index, buf);
    memcpy(buf, page, PAGE_SIZE);
    return 0;
}

/* The page to write to, filled from below unless all of it will be written. Files leave a rest of
 * the memory to programs, which have no error for its end. `i->pages` may hold one that is mapped:
 * from object_begin_write to object_end_write it can be written, and must not fault. */
static int own_page(struct inode *i, uint64_t index, bool whole, uint8_t **out)
{
    void **slot = radix_slot(&i->pages, index);
    if (!slot)
        return -ENOSPC;
    if (!*slot) {
        uint8_t *page = memory_for_files() ? page_alloc() : NULL;
        if (!page)
            return -ENOSPC;
        int r = whole ? 0 : lower_page(i, index, page);
        if (r) {
            page_free(page);
            return r;
        }
        radix_put(slot, page); /* whole, for who reads beside us */
        __atomic_fetch_add(&i->page_count, 1, __ATOMIC_RELAXED); /* stat looks */
    }
    *out = *slot;
    return 0;
}

/* How many bytes of `size` can be moved without a fault, which could take the file's page away. */
static int without_fault(const struct inode *i, struct io *io, uint64_t size, int access,
                         uint64_t *n)
{
    *n = size;
    return list_empty(&i->maps) ? 0 : io_ready(io, access, n);
}

static int put_mounted_bytes(struct inode *i, uint64_t index, uint64_t at, uint64_t size,
                             struct io *io)
{
    uint8_t *page = page_alloc();
    int r = page ? mount_page(i, index, page) : -ENOMEM;
    if (!r)
        r = io_put(io, page + at, size);
    if (page)
        page_free(page);
    return r;
}

/* Bytes of one page to the program: from the checked block itself where there is one. */
static int put_bytes(struct inode *i, uint64_t index, uint64_t at, uint64_t size, struct io *io)
{
    uint64_t offset = (index << PAGE_SHIFT) + at;
    const uint8_t *page = radix_get(&i->pages, index);
    if (page)
        return io_put(io, page + at, size);
    if (i->mount)
        return put_mounted_bytes(i, index, at, size, io);
    if (!i->has_lower || offset >= i->lower_size)
        return io_zero(io, size);
    uint64_t n = MIN(size, i->lower_size - offset);
    int64_t block = erofs_block(&i->lower, index);
    int r;
    if (block >= 0) {
        struct image_block *b;
        r = image_get((uint64_t)block, &b);
        if (r)
            return r;
        r = io_put(io, b->data + at, n);
        image_put(b);
    } else {
        uint8_t buf[512];
        r = 0;
        for (uint64_t done = 0; !r && done < n; done += MIN(sizeof(buf), n - done)) {
            uint64_t part = MIN(sizeof(buf), n - done);
            r = erofs_read(&i->lower, offset + done, buf, part);
            if (!r)
                r = io_put(io, buf, part);
        }
    }
    return !r && n < size ? io_zero(io, size - n) : r;
}

static int put_part(struct inode *i, uint64_t index, uint64_t at, uint64_t size, struct io *io)
{
    for (uint64_t n; size; at += n, size -= n) {
        int r = without_fault(i, io, size, PORT_W, &n);
        if (!r)
            r = put_bytes(i, index, at, n, io);
        if (r)
            return r;
    }
    return 0;
}

static int get_part(struct inode *i, uint64_t index, uint64_t at, uint64_t size, struct io *io)
{
    for (uint64_t n; size; at += n, size -= n) {
        uint8_t *page;
        int r = without_fault(i, io, size, PORT_R, &n);
        if (!r)
            r = own_page(i, index, !at && n == PAGE_SIZE, &page);
        if (!r && !(r = object_begin_write(i, index))) {
            r = io_get(io, page + at, n);
            object_end_write(i, index);
        }
        if (r)
            return r;
    }
    return 0;
}

static uint64_t size_now(const struct inode *i)
{
    return __atomic_load_n(&i->size, __ATOMIC_ACQUIRE);
}

/* At most `left` bytes, and not beyond a piece. */
static long read_piece(struct inode *i, struct io *io, uint64_t offset, uint64_t left)
{
    if (i->mount && !i->page_count) {
        uint64_t rest = io->left - left;
        io->left = left;
        long n = mount_read(i, io, offset);
        io->left += rest;
        return n;
    }
    long done = 0;
    while (left) {
        uint64_t at = offset % PAGE_SIZE, n = MIN(left, PAGE_SIZE - at);
        struct io before = *io;
        int r = put_part(i, offset >> PAGE_SHIFT, at, n, io);
        if (r == -EFAULT) { /* as far as it goes */
            *io = before;
            n = left = io_usable(io, n, PORT_W);
            r = n ? put_part(i, offset >> PAGE_SHIFT, at, n, io) : -EFAULT;
        }
        if (r)
            return done ? done : r;
        done += (long)n;
        offset += n;
        left -= n;
    }
    return done;
}

/* Beside others: what only grows is read (pages go while the big lock is held exclusively), so this
 * needs no lock of the file. */
long data_read(struct inode *i, struct io *io, uint64_t offset)
{
    long done = 0;
    if (i->mount)
        call_alone();
    for (;;) {
        if (i->mount && i->mount->live && offset + io->left > i->size)
            i->ops->refresh(i); /* it may have grown */
        uint64_t size = size_now(i), left = offset < size ? MIN(io->left, size - offset) : 0;
        uint64_t n = MIN(left, PIECE_SIZE);
        if (!n)
            return done;
        if (image_trim_is_due() && call_upgrade())
            image_trim();
        long r = read_piece(i, io, offset, n);
        if (r <= 0)
            return done ? done : r;
        done += r;
        offset += (uint64_t)r;
        if ((uint64_t)r < n)
            return done;
        if (left > n)
            call_pause();
    }
}

static int refuse_size(void)
{
    call_alone();
    sig_send_thread(self(), SIGXFSZ, 0);
    return -EFBIG;
}

int data_limit(const struct inode *i, uint64_t end)
{
    uint64_t limit = current()->limits[1].soft; /* RLIMIT_FSIZE */
    return end <= limit || end <= i->size ? 0 : refuse_size();
}

void data_drop_capability(struct inode *i)
{
    list_each_safe(struct xattr, x, &i->xattrs, node) {
        if (strcmp(x->name, "security.capability"))
            continue;
        list_remove(&x->node);
        los_free(x->value);
        los_free(x);
    }
}

void data_drop_rights(struct inode *i)
{
    if (!list_empty(&i->xattrs)) {
        call_alone();
        data_drop_capability(i);
    }
    if (capable(CAP_FSETID) || !(i->mode & 06000))
        return;
    call_alone(); /* others look at it */
    uint32_t before = i->mode;
    i->mode &= ~(uint32_t)04000;
    if (i->mode & 010)
        i->mode &= ~(uint32_t)02000;
    if (i->mount && i->mode != before)
        i->mount->ops->change(i);
}

/* At most `left` bytes, and not beyond a piece. */
static long write_piece(struct inode *i, struct io *io, uint64_t offset, uint64_t left)
{
    long done = 0;
    int r = 0;
    if (!list_empty(&i->maps))
        call_alone(); /* pages may be at addresses of programs */
    while (left) {
        uint64_t at = offset % PAGE_SIZE;
        uint64_t want = MIN(left, (i->mount ? MOUNT_CHUNK : PAGE_SIZE) - at);
        if ((i->seals & 4) && offset + want > i->size) { /* GROW */
            r = -EPERM;
            break;
        }
        uint64_t n = io_usable(io, want, PORT_R);
        if (!n)
            r = -EFAULT;
        else if (i->mount)
            r = mount_write(i, io, offset, n);
        else
            r = get_part(i, offset >> PAGE_SHIFT, at, n, io);
        if (r)
            break;
        done += (long)n;
        offset += n;
        left -= n;
        if (offset > i->size)
            __atomic_store_n(&i->size, offset, __ATOMIC_RELEASE);
    }
    return done ? done : r;
}

/* With the turn. */
static long write_pieces(struct inode *i, struct io *io, uint64_t offset, uint64_t left)
{
    long done = 0, r = 0;
    while (left) {
        uint64_t n = MIN(left, PIECE_SIZE);
        r = write_piece(i, io, offset, n);
        if (r <= 0)
            break;
        done += r;
        offset += (uint64_t)r;
        left -= (uint64_t)r;
        if ((uint64_t)r < n)
            break;
        if (left)
            call_pause();
    }
    if (!done)
        return r;
    data_drop_rights(i);
    inode_touch(i, true);
    return done;
}

long data_write(struct inode *i, struct io *io, uint64_t offset)
{
    if (!io->left)
        return 0;
    if (offset >= FILE_SIZE_MAX)
        return -EFBIG;
    if (offset >= current()->limits[1].soft) /* in a file that is larger, too */
        return refuse_size();
    uint64_t left = MIN(io->left, MIN(current()->limits[1].soft, FILE_SIZE_MAX) - offset);
    if (i->seals & 24) /* WRITE, FUTURE_WRITE */
        return -EPERM;
    if (i->mount)
        call_alone();
    bool own = turn_take(&i->writing);
    long n = write_pieces(i, io, offset, left);
    if (own)
        turn_give(&i->writing);
    return n;
}

static void drop_page(struct inode *i, uint64_t index)
{
    object_drop(i, index, index + 1);
}

int data_truncate(struct inode *i, uint64_t size)
{
    if (size > FILE_SIZE_MAX)
        return -EFBIG;
    if (((i->seals & 2) && size < i->size) || ((i->seals & 4) && size > i->size))
        return -EPERM;
    int changed = i->mount ? i->mount->ops->set_size(i, size) : 0;
    if (changed)
        return changed;
    if (size < i->size) {
        uint64_t at = size % PAGE_SIZE, from = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
        uint8_t *page = at ? radix_get(&i->pages, size >> PAGE_SHIFT) : NULL;
        if (page && !object_begin_write(i, size >> PAGE_SHIFT)) {
            memset(page + at, 0, PAGE_SIZE - at);
            object_end_write(i, size >> PAGE_SHIFT);
        }
        object_drop(i, from, UINT64_MAX);
        i->lower_size = MIN(i->lower_size, size);
    }
    i->size = size;
    data_drop_rights(i);
    inode_touch(i, true);
    return 0;
}

int data_punch(struct inode *i, uint64_t start, uint64_t end)
{
    if (i->seals & 24)
        return -EPERM;
    end = MIN(end, page_up(i->size));
    int punched = !i->mount || start >= end ? 0
                  : i->mount->ops->punch    ? i->mount->ops->punch(i, start, end)
                                            : -EOPNOTSUPP;
    if (punched)
        return punched;
    while (start < end) {
        uint64_t at = start % PAGE_SIZE, n = MIN(end - start, PAGE_SIZE - at);
        uint64_t index = start >> PAGE_SHIFT;
        uint8_t *page = radix_get(&i->pages, index);
        bool below = i->has_lower && (index << PAGE_SHIFT) < i->lower_size;
        if (page && n == PAGE_SIZE && !below) {
            drop_page(i, index);
        } else if (page || below) {
            int r = own_page(i, index, n == PAGE_SIZE, &page);
            if (!r)
                r = object_begin_write(i, index);
            if (r)
                return r;
            memset(page + at, 0, n);
            object_end_write(i, index);
        } else if (!radix_next(&i->pages, index, &index)) {
            /* Nothing further of ours; what is below ends where it ends. */
            if (!i->has_lower || start >= i->lower_size)
                break;
        } else if (!i->has_lower || (start >= i->lower_size)) {
            n = (index << PAGE_SHIFT) - start;
        }
        start += n;
    }
    inode_touch(i, true);
    return 0;
}

int data_allocate(struct inode *i, uint64_t start, uint64_t end)
{
    if ((i->seals & 4) && end > i->size)
        return -EPERM;
    if (i->mount)
        return i->mount->ops->allocate ? i->mount->ops->allocate(i, start, end) : -EOPNOTSUPP;
    if ((end - start) >> PAGE_SHIFT > memory_for_files())
        return -ENOSPC;
    for (uint64_t index = start >> PAGE_SHIFT; index << PAGE_SHIFT < end; index++) {
        uint8_t *page;
        bool below = i->has_lower && (index << PAGE_SHIFT) < i->lower_size;
        int r = below ? 0 : own_page(i, index, false, &page);
        if (r)
            return r;
    }
    return 0;
}

int64_t data_seek(struct inode *i, uint64_t offset, bool hole)
{
    if (offset >= i->size)
        return -ENXIO;
    if (i->mount)
        return i->mount->ops->find(i, offset, hole);
    uint64_t lower = i->has_lower ? MIN(page_up(i->lower_size), i->size) : 0;
    if (!hole) {
        uint64_t index;
        if (offset < lower)
            return (int64_t)offset;
        if (!radix_next(&i->pages, offset >> PAGE_SHIFT, &index))
            return -ENXIO;
        uint64_t at = MAX(offset, index << PAGE_SHIFT);
        return at < i->size ? (int64_t)at : -ENXIO;
    }
    uint64_t at = MAX(offset, lower);
    while (at < i->size && radix_get(&i->pages, at >> PAGE_SHIFT))
        at = (at & ~(PAGE_SIZE - 1)) + PAGE_SIZE;
    return (int64_t)MIN(at, i->size);
}

uint64_t data_blocks(const struct inode *i)
{
    if (i->mount)
        return i->mount->ops->count_blocks(i);
    if ((i->mode & S_IFMT) == S_IFREG && !i->has_lower)
        return __atomic_load_n(&i->page_count, __ATOMIC_RELAXED) * (PAGE_SIZE / 512);
    return i->fs == FS_ROOT ? page_up(size_now(i)) / 512 : 0;
}

static long regular_read(struct file *f, struct io *io, uint64_t offset)
{
    long r = data_read(f->inode, io, offset);
    if (r > 0)
        notify_file(f, NOTIFY_ACCESS);
    return r;
}

static long regular_write(struct file *f, struct io *io, uint64_t offset)
{
    long r = data_write(f->inode, io, offset);
    if (r > 0)
        notify_file(f, NOTIFY_MODIFY);
    return r;
}

const struct file_ops regular_ops = {
    .read = regular_read, .write = regular_write, .unwatched = true, .shared = true};
