// SPDX-License-Identifier: Apache-2.0
// What the host answers is a claim. These turn it into something that can be used, or -EIO.
#ifndef LIBOS_CLAIM_H
#define LIBOS_CLAIM_H

#include <asm/errno.h>
#include <stdint.h>

/* A count of at most `max`, or an errno that exists. */
static inline long claim_count(long r, uint64_t max)
{
    if (r < 0)
        return r >= -133 ? r : -EIO;
    return (uint64_t)r <= max ? r : -EIO;
}

/* 0 or an errno. */
static inline int claim_status(long r)
{
    return r == 0 ? 0 : r < 0 && r >= -133 ? (int)r : -EIO;
}

/* A handle: not one of the standard streams, not negative. */
static inline long claim_handle(long r)
{
    if (r < 0)
        return r >= -133 ? r : -EIO;
    return r > 2 && r < 1 << 24 ? r : -EIO;
}

#endif
