// SPDX-License-Identifier: Apache-2.0
// Contents of regular files: pages written hide the image's blocks, holes are zeros.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"

#define FILE_SIZE_MAX (1ull << 46)

/* The image's part of a page, zeros behind it. */
static int lower_page(struct inode *i, uint64_t index, uint8_t *buf)
{
    uint64_t at = index << PAGE_SHIFT;
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

/* The page to write to, filled from below unless all of it will be written. */
static int own_page(struct inode *i, uint64_t index, bool whole, uint8_t **out)
{
    void **slot = radix_slot(&i->pages, index);
    if (!slot)
        return -ENOSPC;
    if (!*slot) {
        uint8_t *page = page_alloc();
        if (!page)
            return -ENOSPC;
        int r = whole ? 0 : lower_page(i, index, page);
        if (r) {
            page_free(page);
            return r;
        }
        *slot = page;
        i->page_count++;
    }
    *out = *slot;
    return 0;
}

/* Bytes of one page to the program: from the checked block itself where there is one. */
static int put_part(struct inode *i, uint64_t index, uint64_t at, uint64_t size, struct io *io)
{
    uint64_t offset = (index << PAGE_SHIFT) + at;
    const uint8_t *page = radix_get(&i->pages, index);
    if (page)
        return io_put(io, page + at, size);
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

long data_read(struct inode *i, struct io *io, uint64_t offset)
{
    if (offset >= i->size)
        return 0;
    uint64_t left = MIN(io->left, i->size - offset);
    long done = 0;
    while (left) {
        uint64_t at = offset % PAGE_SIZE, n = MIN(left, PAGE_SIZE - at);
        int r = put_part(i, offset >> PAGE_SHIFT, at, n, io);
        if (r)
            return done ? done : r;
        done += (long)n;
        offset += n;
        left -= n;
    }
    return done;
}

long data_write(struct inode *i, struct io *io, uint64_t offset)
{
    long done = 0;
    uint64_t limit = MIN(current()->limits[1].soft, FILE_SIZE_MAX); /* RLIMIT_FSIZE */
    if (!io->left)
        return 0;
    if (offset >= limit)
        return -EFBIG;
    uint64_t left = MIN(io->left, limit - offset);
    while (left) {
        uint64_t at = offset % PAGE_SIZE, n = MIN(left, PAGE_SIZE - at);
        uint8_t *page;
        int r = own_page(i, offset >> PAGE_SHIFT, n == PAGE_SIZE, &page);
        if (!r)
            r = io_get(io, page + at, n);
        if (r) {
            if (!done)
                return r;
            break;
        }
        done += (long)n;
        offset += n;
        left -= n;
        i->size = MAX(i->size, offset);
    }
    inode_touch(i, true);
    return done;
}

static void free_page(void *p)
{
    page_free(p);
}

int data_truncate(struct inode *i, uint64_t size)
{
    if (size > FILE_SIZE_MAX)
        return -EFBIG;
    if (size < i->size) {
        uint64_t at = size % PAGE_SIZE, from = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
        uint8_t *page = at ? radix_get(&i->pages, size >> PAGE_SHIFT) : NULL;
        if (page)
            memset(page + at, 0, PAGE_SIZE - at);
        radix_clear(&i->pages, from, free_page);
        i->lower_size = MIN(i->lower_size, size);
    }
    i->size = size;
    inode_touch(i, true);
    return 0;
}

int data_punch(struct inode *i, uint64_t start, uint64_t end)
{
    end = MIN(end, i->size);
    while (start < end) {
        uint64_t at = start % PAGE_SIZE, n = MIN(end - start, PAGE_SIZE - at);
        uint8_t *page;
        int r = own_page(i, start >> PAGE_SHIFT, n == PAGE_SIZE, &page);
        if (r)
            return r;
        memset(page + at, 0, n);
        start += n;
    }
    inode_touch(i, true);
    return 0;
}

static long regular_read(struct file *f, struct io *io, uint64_t offset)
{
    return data_read(f->inode, io, offset);
}

static long regular_write(struct file *f, struct io *io, uint64_t offset)
{
    return data_write(f->inode, io, offset);
}

const struct file_ops regular_ops = {.read = regular_read, .write = regular_write};
