// SPDX-License-Identifier: Apache-2.0
// What can be checked of a quote without its signer. Layouts: Intel's ECDSA quote library reference,
// appendix A; version 5 has a type (u16) and a size (u32) before the body.
#include "trusted/libos/base/quote.h"

#include <string.h>

#include "trusted/libos/base/claim.h"

#define V5_HEAD_SIZE 6u
#define V5_TYPE_SGX 1u
#define TEE_SGX 0u

static uint32_t le(const uint8_t *p, unsigned size)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
}

long claim_quote(const uint8_t *quote, long result, uint32_t room, const uint8_t *report)
{
    if (result < 0)
        return result >= -133 ? result : -EPROTO;
    uint64_t size = (uint64_t)result, at = QUOTE_HEADER_SIZE;
    if (size > room || size < at + QUOTE_BODY_SIZE + sizeof(uint32_t))
        return -EPROTO;
    uint32_t version = le(quote, 2);
    if (version < 3 || version > 5 || le(quote + 4, 4) != TEE_SGX)
        return -EPROTO;
    if (version == 5) {
        if (le(quote + at, 2) != V5_TYPE_SGX || le(quote + at + 2, 4) != QUOTE_BODY_SIZE ||
            size < at + V5_HEAD_SIZE + QUOTE_BODY_SIZE + sizeof(uint32_t))
            return -EPROTO;
        at += V5_HEAD_SIZE;
    }
    return memcmp(quote + at, report, QUOTE_BODY_SIZE) ? -EPROTO : result;
}
