// SPDX-License-Identifier: Apache-2.0
// Heads and strings of CBOR.
#include "verifier/base/cbor.h"

#define ONE_BYTE 24u // the head's number follows in 1, 2, 4, 8 bytes
#define EIGHT_BYTES 27u

bool sv_cbor_head(struct sv_bytes *in, enum sv_cbor_major major, uint64_t *value)
{
    const uint8_t *first = sv_take(in, 1), *more;
    unsigned info;

    if (!first || *first >> 5 != major)
        return false;
    info = *first & 31u;
    *value = info;
    if (info < ONE_BYTE)
        return true;
    if (info > EIGHT_BYTES) // reserved, or of indefinite length
        return false;
    more = sv_take(in, 1u << (info - ONE_BYTE));
    if (!more)
        return false;
    *value = 0;
    for (unsigned i = 0; i < 1u << (info - ONE_BYTE); i++)
        *value = *value << 8 | more[i];
    // Would a shorter head have held it?
    return info == ONE_BYTE ? *value >= ONE_BYTE : *value >> (4u << (info - ONE_BYTE)) != 0;
}

bool sv_cbor_string(struct sv_bytes *in, enum sv_cbor_major major, struct sv_bytes *out)
{
    uint64_t size;

    if (!sv_cbor_head(in, major, &size) || size > in->size)
        return false;
    out->size = (size_t)size;
    out->data = sv_take(in, out->size);
    return true;
}
