// SPDX-License-Identifier: Apache-2.0
// DER elements: tag, definite length of at most four bytes, body.
#include "verifier/base/der.h"

bool sv_der_take(struct sv_bytes *in, uint8_t tag, struct sv_bytes *body)
{
    struct sv_bytes at = *in;
    const uint8_t *head = sv_take(&at, 2), *length;
    size_t size;

    if (!head || head[0] != tag)
        return false;
    size = head[1];
    if (size >= 0x80) {
        size_t count = size & 0x7f;

        length = count >= 1 && count <= 4 ? sv_take(&at, count) : NULL;
        if (!length)
            return false;
        size = 0;
        for (size_t i = 0; i < count; i++)
            size = size << 8 | length[i];
        if (size < 0x80)
            return false;
    }
    body->size = size;
    body->data = sv_take(&at, size);
    if (!body->data)
        return false;
    *in = at;
    return true;
}

bool sv_der_uint(struct sv_bytes *in, uint32_t *out)
{
    struct sv_bytes body;
    uint32_t value = 0;

    if (!sv_der_take(in, SV_DER_INTEGER, &body) || body.size < 1 || body.size > 5 ||
        (body.data[0] & 0x80) || (body.size == 5 && body.data[0]))
        return false;
    for (size_t i = 0; i < body.size; i++)
        value = value << 8 | body.data[i];
    *out = value;
    return true;
}
