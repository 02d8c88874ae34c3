// SPDX-License-Identifier: Apache-2.0
// Copies between the enclave and the host's memory.
//
// Aligned words of 8 bytes only: other accesses may leave stale data of the enclave where the host
// can read it, or take in what an MMIO page holds (INTEL-SA-00615, INTEL-SA-00657).
#include "trusted/libos/port_sgx/sgx.h"

bool sgx_outside(uint64_t addr, uint64_t size)
{
    return addr >= SH_ENCLAVE_SIZE && addr < 1ull << 47 && size <= (1ull << 47) - addr;
}

static uint64_t load_word(uint64_t addr)
{
    return *(const volatile uint64_t *)addr;
}

void sgx_copy_in(void *to, uint64_t from, uint64_t size)
{
    uint8_t *out = to;
    uint64_t skip = from & 7;
    from -= skip;
    while (size) {
        uint64_t word = load_word(from), n = MIN(8 - skip, size);
        if (n == 8)
            __builtin_memcpy(out, &word, 8);
        else
            memcpy(out, (const uint8_t *)&word + skip, n);
        out += n;
        size -= n;
        from += 8;
        skip = 0;
    }
}

/* `to` is aligned, and has room up to the next word. */
void sgx_copy_out(void *to, const void *from, uint64_t size)
{
    volatile uint64_t *out = to;
    const uint8_t *in = from;
    for (; size >= 8; size -= 8, in += 8) {
        uint64_t word;
        __builtin_memcpy(&word, in, 8);
        *out++ = word;
    }
    if (size) {
        uint64_t word = 0;
        memcpy(&word, in, size);
        *out = word;
    }
}
