// SPDX-License-Identifier: Apache-2.0
// Contents of files that are kept elsewhere: by way of a buffer of the LibOS's own.
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

struct time mount_time(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    return rest < 0 ? (struct time){s - 1, (uint32_t)(rest + 1000000000)}
                    : (struct time){s, (uint32_t)rest};
}

int64_t mount_ns(struct time t)
{
    int64_t ns;
    return __builtin_mul_overflow(t.s, 1000000000, &ns) || __builtin_add_overflow(ns, t.ns, &ns)
               ? (t.s < 0 ? INT64_MIN : INT64_MAX)
               : ns;
}

long mount_read(struct inode *i, struct io *io, uint64_t offset)
{
    struct mount *m = i->mount;
    long done = 0;
    if (offset >= i->size)
        return 0;
    uint64_t left = MIN(io->left, i->size - offset);
    while (left) {
        uint64_t n = MIN(left, MOUNT_CHUNK - offset % PAGE_SIZE);
        long got = m->ops->fetch(i, m->bounce, offset, n);
        size_t fits = got > 0 ? io_usable(io, (size_t)got, PORT_W) : 0;
        int r = got < 0 ? (int)got : !got ? 0 : fits ? io_put(io, m->bounce, fits) : -EFAULT;
        if (r || got <= 0)
            return done ? done : r;
        done += (long)fits;
        if (fits < (size_t)got)
            break;
        offset += fits;
        left -= fits;
    }
    return done;
}

/* Pages that are mapped get what was written too. */
static void update_pages(struct inode *i, uint64_t offset, const uint8_t *from, uint64_t size)
{
    for (uint64_t part; i->page_count && size; offset += part, from += part, size -= part) {
        uint64_t index = offset >> PAGE_SHIFT;
        part = MIN(size, PAGE_SIZE - offset % PAGE_SIZE);
        uint8_t *page = radix_get(&i->pages, index);
        if (!page || object_begin_write(i, index))
            continue;
        memcpy(page + offset % PAGE_SIZE, from, part);
        object_end_write(i, index);
    }
}

int mount_write(struct inode *i, struct io *io, uint64_t offset, uint64_t size)
{
    struct mount *m = i->mount;
    int r = io_get(io, m->bounce, size);
    if (!r)
        r = m->ops->save(i, m->bounce, offset, size);
    if (!r)
        update_pages(i, offset, m->bounce, size);
    return r;
}

int mount_page(struct inode *i, uint64_t index, void *buf)
{
    long n = i->mount->ops->fetch(i, buf, index << PAGE_SHIFT, PAGE_SIZE);
    if (n < 0)
        return (int)n;
    memset((uint8_t *)buf + n, 0, PAGE_SIZE - (size_t)n);
    return 0;
}

int mount_sync(struct inode *i)
{
    return i && i->mount && i->mount->ops->make_durable ? i->mount->ops->make_durable(i) : 0;
}

void mount_refresh(struct inode *i)
{
    if (!i || !i->mount || !i->mount->live)
        return;
    call_alone();
    i->ops->refresh(i);
}
