// SPDX-License-Identifier: Apache-2.0
// Where a call's bytes come from and go to.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"

struct io io_one(struct io_vec *v, uint64_t addr, uint64_t size, bool inside)
{
    *v = (struct io_vec){addr, size};
    return (struct io){.vec = v, .left = size, .inside = inside};
}

static void skip_empty(struct io *io)
{
    while (io->at == io->vec->size) {
        io->vec++;
        io->at = 0;
    }
}

int io_ready(struct io *io, int access, uint64_t *size)
{
    if (!*size || *size > io->left)
        return -EFAULT;
    skip_empty(io);
    uint64_t addr = io->vec->addr + io->at;
    *size = MIN(*size, io->vec->size - io->at);
    if (io->inside || io->lost)
        return 0;
    *size = MIN(*size, PAGE_SIZE - (addr & (PAGE_SIZE - 1)));
    return mm_ready(addr, *size, access);
}

enum direction { PUT, GET, ZERO };

static int move_bytes(struct io *io, enum direction d, void *buf, size_t size)
{
    if (size > io->left)
        return -EFAULT;
    while (size) {
        skip_empty(io);
        size_t n = MIN(size, io->vec->size - io->at);
        uint64_t addr = io->vec->addr + io->at;
        int r = 0;
        if (io->lost) {
            ;
        } else if (io->inside) {
            if (d == GET)
                memcpy(buf, (void *)addr, n);
            else if (d == PUT)
                memcpy((void *)addr, buf, n);
            else
                memset((void *)addr, 0, n);
        } else {
            r = d == GET   ? user_read(buf, addr, n)
                : d == PUT ? user_write(addr, buf, n)
                           : user_zero(addr, n);
        }
        if (r)
            return r;
        if (d != ZERO)
            buf = (char *)buf + n;
        io->at += n;
        io->left -= n;
        size -= n;
    }
    return 0;
}

size_t io_usable(const struct io *io, size_t size, int access)
{
    const struct io_vec *v = io->vec;
    uint64_t at = io->at;
    size_t done = 0;
    size = MIN(size, io->left);
    if (io->inside || io->lost)
        return size;
    while (done < size) {
        if (at == v->size) {
            v++;
            at = 0;
            continue;
        }
        uint64_t addr = v->addr + at;
        size_t n = MIN(MIN(size - done, v->size - at), PAGE_SIZE - (addr & (PAGE_SIZE - 1)));
        if (mm_ready(addr, n, access))
            break;
        at += n;
        done += n;
    }
    return done;
}

int io_put(struct io *io, const void *from, size_t size)
{
    return move_bytes(io, PUT, (void *)(uintptr_t)from, size);
}

int io_get(struct io *io, void *to, size_t size)
{
    return move_bytes(io, GET, to, size);
}

int io_zero(struct io *io, size_t size)
{
    return move_bytes(io, ZERO, NULL, size);
}
