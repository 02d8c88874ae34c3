// SPDX-License-Identifier: Apache-2.0
// Copies between LibOS and program.
//
// Every page is made present with the right it needs first; the lock keeps it so while it is
// copied. So LibOS code never faults on program memory.
#include "trusted/libos/mm/mm.h"

int user_read(void *to, uint64_t from, size_t size)
{
    int r = mm_ready(from, size, PORT_R);
    if (!r && size)
        memcpy(to, (const void *)from, size);
    return r;
}

int user_write(uint64_t to, const void *from, size_t size)
{
    int r = mm_ready(to, size, PORT_W);
    if (!r && size)
        memcpy((void *)to, from, size);
    return r;
}

int user_zero(uint64_t to, size_t size)
{
    int r = mm_ready(to, size, PORT_W);
    if (!r && size)
        memset((void *)to, 0, size);
    return r;
}

long user_string(char *to, uint64_t from, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = MIN(size - at, PAGE_SIZE - ((from + at) & (PAGE_SIZE - 1)));
        if (user_read(to + at, from + at, n))
            return -EFAULT;
        const char *nul = memchr(to + at, 0, n);
        if (nul)
            return nul - to;
        at += n;
    }
    return -ENAMETOOLONG;
}

int user_read_u32(uint32_t *value, uint64_t addr)
{
    if (addr & 3)
        return -EINVAL;
    int r = mm_ready(addr, 4, PORT_R);
    if (!r)
        *value = __atomic_load_n((uint32_t *)addr, __ATOMIC_SEQ_CST);
    return r;
}

int user_cas_u32(uint64_t addr, uint32_t *expected, uint32_t desired)
{
    if (addr & 3)
        return -EINVAL;
    int r = mm_ready(addr, 4, PORT_W);
    if (r)
        return r;
    bool done = __atomic_compare_exchange_n((uint32_t *)addr, expected, desired, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return done ? 0 : -EAGAIN;
}
