// SPDX-License-Identifier: Apache-2.0
// The few CBOR items that RA-TLS is made of (RFC 8949): definite lengths, shortest heads.
#ifndef VERIFIER_BASE_CBOR_H
#define VERIFIER_BASE_CBOR_H

#include "verifier/base/bytes.h"

enum sv_cbor_major {
    SV_CBOR_UINT = 0,
    SV_CBOR_NEGATIVE = 1,
    SV_CBOR_BYTES = 2,
    SV_CBOR_TEXT = 3,
    SV_CBOR_ARRAY = 4,
    SV_CBOR_MAP = 5,
    SV_CBOR_TAG = 6,
    SV_CBOR_SIMPLE = 7
};

// Takes the head of an item of this kind off the front. False, with `in` in no certain state, where
// it is another, is cut off, or is not in its shortest form.
bool sv_cbor_head(struct sv_bytes *in, enum sv_cbor_major major, uint64_t *value);
// Takes a whole byte or text string; it lies in the input.
bool sv_cbor_string(struct sv_bytes *in, enum sv_cbor_major major, struct sv_bytes *out);

#endif
