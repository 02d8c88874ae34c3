// SPDX-License-Identifier: Apache-2.0
// The few DER elements that vendor extensions are made of.
#ifndef VERIFIER_BASE_DER_H
#define VERIFIER_BASE_DER_H

#include "verifier/base/bytes.h"

enum {
    SV_DER_BOOLEAN = 0x01,
    SV_DER_INTEGER = 0x02,
    SV_DER_BITS = 0x03,
    SV_DER_OCTETS = 0x04,
    SV_DER_OID = 0x06,
    SV_DER_ENUMERATED = 0x0a,
    SV_DER_IA5 = 0x16,
    SV_DER_SEQUENCE = 0x30
};

// Takes one element off the front. False when the tag differs or the length does not fit.
bool sv_der_take(struct sv_bytes *in, uint8_t tag, struct sv_bytes *body);
// A non-negative INTEGER of at most 32 bits.
bool sv_der_uint(struct sv_bytes *in, uint32_t *out);

#endif
