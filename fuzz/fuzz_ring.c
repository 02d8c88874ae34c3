// SPDX-License-Identifier: Apache-2.0
// The host's words of a ring, between any two steps of the enclave: the enclave's side must copy no
// more than it was asked to and touch nothing but this ring.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "trusted/libos/port_sgx/sgx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEP 42 /* bytes a step */

static const int handles[] = {1, 9}; /* the standard output, a connection */

static struct sh_rings *rings;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[SH_RING_OUT + 1];
    static const uint64_t none[16];
    if (!rings) {
        rings = mmap(NULL, sizeof(*rings), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (rings == MAP_FAILED || !sgx_rings_init((uint64_t)rings))
            abort();
    }
    struct port_ring all[2] = {0};
    for (unsigned i = 0; i < 2; i++)
        memset(&rings->ring[handles[i]], 0, offsetof(struct sh_ring, in));
    for (; size >= STEP; data += STEP, size -= STEP) {
        enum port_left left;
        int which = data[41] >> 2 & 1, handle = handles[which];
        struct port_ring *ours = &all[which];
        memcpy(&rings->ring[handle], data, 40); /* the host's words */
        uint32_t n = data[40] * 257u, put = ours->out_put & UINT32_MAX;
        bool odd = data[41] & 1;
        memory[n] = 0xa7;
        uint32_t got = data[41] & 2 ? port_ring_put(ours, handle, memory, n, odd)
                                    : port_ring_take(ours, handle, memory, n, odd, &left);
        if (got > n || memory[n] != 0xa7 || ((uint32_t)ours->out_put - put != 0 && !(data[41] & 2)))
            abort();
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct sh_ring *r = &rings->ring[handles[i]];
        if (memcmp(r + 1, none, sizeof(none)) ||
            memcmp(r[-1].out + SH_RING_OUT - sizeof(none), none, sizeof(none)))
            abort();
    }
    return 0;
}
