// SPDX-License-Identifier: Apache-2.0
// What can be checked of a quote without its signer. Layouts: Intel's ECDSA quote library
// reference, appendix A; version 5 has a type (u16) and a size (u32) before the body.
#include "trusted/libos/base/quote.h"

#include "lib/bytes.h"
#include "trusted/libos/base/claim.h"

#define V5_HEAD_SIZE 6u
#define V5_TYPE_SGX 1u
#define TEE_SGX 0u

long claim_quote(const uint8_t *quote, long result, uint32_t room, const uint8_t *report)
{
    if (result < 0)
        return result >= -133 ? result : -EPROTO;
    uint64_t size = (uint64_t)result, at = QUOTE_HEADER_SIZE;
    if (size > room || size < at + QUOTE_BODY_SIZE + sizeof(uint32_t))
        return -EPROTO;
    uint32_t version = sh_le16(quote);
    if (version < 3 || version > 5 || sh_le32(quote + 4) != TEE_SGX)
        return -EPROTO;
    if (version == 5) {
        if (sh_le16(quote + at) != V5_TYPE_SGX || sh_le32(quote + at + 2) != QUOTE_BODY_SIZE ||
            size < at + V5_HEAD_SIZE + QUOTE_BODY_SIZE + sizeof(uint32_t))
            return -EPROTO;
        at += V5_HEAD_SIZE;
    }
    return memcmp(quote + at, report, QUOTE_BODY_SIZE) ? -EPROTO : result;
}
