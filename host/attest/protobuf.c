// SPDX-License-Identifier: Apache-2.0
#include "host/attest/protobuf.h"

#define WIRE_VARINT 0u
#define WIRE_64 1u
#define WIRE_BYTES 2u
#define WIRE_32 5u

static void put_varint(struct sh_buffer *b, uint64_t v)
{
    uint8_t byte;
    do {
        byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        sh_buffer_add(b, &byte, 1);
        v >>= 7;
    } while (v);
}

void sh_pb_put_number(struct sh_buffer *b, unsigned field, uint64_t v)
{
    put_varint(b, field << 3 | WIRE_VARINT);
    put_varint(b, v);
}

void sh_pb_put_bytes(struct sh_buffer *b, unsigned field, const void *data, size_t size)
{
    put_varint(b, field << 3 | WIRE_BYTES);
    put_varint(b, size);
    sh_buffer_add(b, data, size);
}

static uint64_t take_varint(struct sh_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = sh_read(r, 1);
        if (!p)
            return 0;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return v;
    }
    r->failed = true;
    return 0;
}

unsigned sh_pb_take_field(struct sh_reader *r, struct sh_view *bytes, uint64_t *number)
{
    uint64_t key = take_varint(r), n;
    *bytes = (struct sh_view){0};
    *number = 0;
    switch (key & 7) {
    case WIRE_VARINT:
        *number = take_varint(r);
        break;
    case WIRE_64:
        *number = sh_read_le64(r);
        break;
    case WIRE_32:
        *number = sh_read_le32(r);
        break;
    case WIRE_BYTES:
        n = take_varint(r);
        *bytes = (struct sh_view){sh_read(r, n <= SH_PB_MAX ? n : SIZE_MAX), n};
        break;
    default:
        r->failed = true;
    }
    return key >> 3 <= UINT32_MAX ? (unsigned)(key >> 3) : 0;
}
