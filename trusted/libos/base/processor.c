// SPDX-License-Identifier: Apache-2.0
// Entropy and the size of the extended state, from the processor itself.
#include "trusted/libos/base/processor.h"

#include "trusted/libos/libos.h"

static bool read_rdrand(uint64_t *v)
{
    for (int tries = 0; tries < 10; tries++) {
        unsigned char ok;
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*v), "=qm"(ok) : : "cc");
        if (ok)
            return true;
    }
    return false;
}

int processor_random(void *buf, size_t size)
{
    for (uint8_t *p = buf; size;) {
        uint64_t v;
        size_t n = MIN(size, sizeof(v));
        if (!read_rdrand(&v))
            return -EIO;
        memcpy(p, &v, n);
        p += n;
        size -= n;
    }
    return 0;
}

/* Two patterns, since one may be what is written. */
uint32_t processor_xsave_size(uint64_t xfrm)
{
    static _Alignas(64) uint8_t area[XSAVE_SIZE];
    uint32_t extent = 576; /* legacy area and header */
    for (unsigned pattern = 0; pattern < 2; pattern++) {
        uint8_t fill = pattern ? 0x55 : 0xaa;
        memset(area, fill, sizeof(area));
        memset(area + 512, 0, 64); /* the header */
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)xfrm), "d"((uint32_t)(xfrm >> 32))
                         : "memory");
        for (uint32_t at = sizeof(area); at > extent; at--) {
            if (area[at - 1] != fill)
                extent = at;
        }
    }
    return (extent + 63) & ~63u;
}

#define MXCSR_AT 24u
#define MXCSR_START 0x1f80u

void xstate_save(void *area, uint64_t xfrm)
{
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)xfrm), "d"((uint32_t)(xfrm >> 32))
                     : "memory");
}

void xstate_load(void *area, uint64_t xfrm)
{
    uint32_t *mxcsr = (uint32_t *)((uint8_t *)area + MXCSR_AT);
    if (!*mxcsr)
        *mxcsr = MXCSR_START;
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)xfrm), "d"((uint32_t)(xfrm >> 32))
                     : "memory");
}

#define MXCSR_MASK 0xffffu
#define XSAVE_HEADER 512u

void xstate_judge(uint8_t *area, uint64_t xfrm, bool header)
{
    uint64_t there = 3; /* x87 and SSE */
    uint32_t mxcsr;
    if (header)
        memcpy(&there, area + XSAVE_HEADER, 8);
    there &= xfrm;
    memset(area + XSAVE_HEADER, 0, 64);
    memcpy(area + XSAVE_HEADER, &there, 8);
    memcpy(&mxcsr, area + MXCSR_AT, 4);
    mxcsr &= MXCSR_MASK;
    memcpy(area + MXCSR_AT, &mxcsr, 4);
}
