// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: the measured part holds the rest against its digest.
//
// EEXTEND of a page costs 88,000 cycles, its SHA-256 in here 8,000. So most text and constants are
// added without being measured (SH_SEGMENT_HASHED): until this says so, they are what the host
// likes. Nobody can change them afterwards, since no page of them can be written. What runs before,
// and all that it calls and reads, is in measured pages (enclave.lds;
// tests/enclave/entry_rules.py).
#include "lib/sha2.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/port_sgx/sgx.h"

extern const uint8_t sgx_hashed_digest[SH_SHA256_SIZE]; /* module.mk */
extern const uint8_t sgx_hashed[], sgx_hashed_end[];

/* While we run the processor keeps two words of the host's in it (SDM, EENTER: URSP, URBP); all
 * else it writes before it reads, but for the header of the extended state, part of which XSAVE
 * leaves alone: so this comes before a vector register is used. */
#define FRAME_SIZE (SH_ENCLAVE_SSA_PAGES * PAGE_SIZE)
static void clear_ssa(uint8_t *ssa)
{
    struct sgx_gprsgx *g = (struct sgx_gprsgx *)(ssa + FRAME_SIZE) - 1;
    uint8_t *host = (uint8_t *)&g->ursp, *rest = host + sizeof(g->ursp) + sizeof(g->urbp);
    memset(ssa, 0, (size_t)(host - ssa));
    memset(rest, 0, (size_t)(ssa + 2 * FRAME_SIZE - rest));
}

bool sgx_check_image(const struct sh_slot *slot, uint8_t *ssa)
{
    const struct sh_start *start = (const struct sh_start *)slot->a;
    size_t size = (size_t)(sgx_hashed_end - sgx_hashed);
    uint8_t digest[SH_SHA256_SIZE], differs = 0;
    clear_ssa(ssa);
    /* A claim: a host that lies gets an exception or a slow start. */
    if (*(const volatile uint64_t *)&start->flags & SH_START_SHA)
        digest_by_instructions(digest, sgx_hashed, size);
    else
        sh_sha256(digest, sgx_hashed, size);
    for (unsigned i = 0; i < sizeof(digest); i++)
        differs |= digest[i] ^ sgx_hashed_digest[i];
    return !differs;
}
