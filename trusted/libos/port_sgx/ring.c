// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: the rings of <shelter/enclave.h>. Our own counters stand in struct port_ring; each
// word of the host's is read once, and places are computed from ours or bounded by the ring's size.
#include "trusted/libos/port_sgx/sgx.h"

#define PIPE_BUF 4096u

static struct sh_rings *rings; /* the host's memory */

bool sgx_rings_init(uint64_t addr)
{
    if (addr % PAGE_SIZE || (addr && !sgx_outside(addr, sizeof(*rings))))
        return false;
    rings = (struct sh_rings *)addr;
    return true;
}

static struct sh_ring *ring_of(int32_t handle)
{
    return rings && handle >= 0 && handle < (int32_t)SH_RINGS ? &rings->ring[handle] : NULL;
}

bool port_ring_exists(int32_t handle)
{
    return ring_of(handle);
}

static uint64_t load_word(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store_word(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Anywhere: what else stands in the first and the last word is the host's and stays. */
static void copy_out(uint8_t *to, const uint8_t *from, uint64_t size)
{
    while (size) {
        uint64_t skip = (uint64_t)to & 7, n = skip || size < 8 ? MIN(8 - skip, size) : size & ~7ull;
        if (n >= 8) {
            sgx_copy_out(to, from, n);
        } else {
            volatile uint64_t *word = (volatile uint64_t *)(to - skip);
            uint64_t v = *word;
            memcpy((uint8_t *)&v + skip, from, n);
            *word = v;
        }
        to += n;
        from += n;
        size -= n;
    }
}

static void tell_host(int32_t handle)
{
    __atomic_fetch_or(&rings->dirty[handle / 64], 1ull << handle % 64, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&rings->any[handle / 4096], 1ull << handle / 64 % 64, __ATOMIC_SEQ_CST);
}

bool port_ring_close(int32_t handle)
{
    struct sh_ring *r = ring_of(handle);
    if (!r || load_word(&r->error))
        return false;
    store_word(&r->closed, 1);
    tell_host(handle);
    return true;
}

uint32_t port_ring_put(struct port_ring *p, int32_t handle, const void *buf, uint32_t size,
                       bool more)
{
    struct sh_ring *r = ring_of(handle);
    if (!r || load_word(&r->error))
        return 0;
    uint64_t used = p->out_put - load_word(&r->out_taken);
    if (used >= SH_RING_OUT)
        return 0;
    if (!used)
        store_word(&r->out_base, p->out_base = p->out_put);
    uint64_t at = (p->out_put - p->out_base) % SH_RING_OUT;
    if (size > SH_RING_OUT - used && size <= PIPE_BUF)
        return 0; /* whole, or not at all */
    size = (uint32_t)MIN(size, SH_RING_OUT - used);
    uint64_t first = MIN(size, SH_RING_OUT - at);
    copy_out(r->out + at, buf, first);
    copy_out(r->out, (const uint8_t *)buf + first, size - first);
    p->out_put += size;
    store_word(&r->out_more, more);
    store_word(&r->out_put, p->out_put);
    tell_host(handle);
    return size;
}

uint32_t port_ring_take(struct port_ring *p, int32_t handle, void *buf, uint32_t size, bool peek,
                        enum port_left *left)
{
    struct sh_ring *r = ring_of(handle);
    *left = PORT_LEFT_UNKNOWN;
    if (!r)
        return 0;
    uint64_t dry = load_word(&r->in_dry), put = load_word(&r->in_put);
    uint64_t there = MIN(put - p->in_taken, SH_RING_IN), base = load_word(&r->in_base);
    uint64_t at = (p->in_taken - base) % SH_RING_IN;
    size = (uint32_t)MIN(size, there);
    uint64_t first = MIN(size, SH_RING_IN - at);
    if (buf) {
        sgx_copy_in(buf, (uint64_t)r->in + at, first);
        sgx_copy_in((uint8_t *)buf + first, (uint64_t)r->in, size - first);
    }
    if (size < there)
        *left = PORT_LEFT_SOME;
    else if (dry == put)
        *left = PORT_LEFT_NONE;
    if (!peek)
        store_word(&r->in_taken, p->in_taken += size);
    return size;
}
