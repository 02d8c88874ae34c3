// SPDX-License-Identifier: Apache-2.0
// Little-endian loads and stores, and a reader that cannot leave its buffer.
#ifndef LIB_BYTES_H
#define LIB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t sh_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t sh_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t sh_le64(const uint8_t *p)
{
    return sh_le32(p) | (uint64_t)sh_le32(p + 4) << 32;
}

static inline void sh_put_le16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void sh_put_le32(uint8_t *p, uint32_t v)
{
    sh_put_le16(p, (uint16_t)v);
    sh_put_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void sh_put_le64(uint8_t *p, uint64_t v)
{
    sh_put_le32(p, (uint32_t)v);
    sh_put_le32(p + 4, (uint32_t)(v >> 32));
}

/* A view of bytes that somebody else owns. */
struct sh_view {
    const uint8_t *data;
    size_t size;
};

/* Reads forward through a buffer. The first read past the end sets `failed`, returns zeros or NULL,
 * and so does every later one: check once, at the end. */
struct sh_reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

static inline struct sh_reader sh_reader(const void *data, size_t size)
{
    return (struct sh_reader){.data = data, .size = size};
}

/* The next `size` bytes in place, or NULL. */
static inline const uint8_t *sh_read(struct sh_reader *r, size_t size)
{
    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    r->at += size;
    return r->data + r->at - size;
}

static inline uint16_t sh_read_le16(struct sh_reader *r)
{
    const uint8_t *p = sh_read(r, 2);
    return p ? sh_le16(p) : 0;
}

static inline uint32_t sh_read_le32(struct sh_reader *r)
{
    const uint8_t *p = sh_read(r, 4);
    return p ? sh_le32(p) : 0;
}

static inline uint64_t sh_read_le64(struct sh_reader *r)
{
    const uint8_t *p = sh_read(r, 8);
    return p ? sh_le64(p) : 0;
}

/* True if a and b hold the same `size` bytes; the time taken does not depend on where they differ.
 */
static inline bool sh_equal_ct(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < size; i++)
        diff |= x[i] ^ y[i];
    return diff == 0;
}

#endif
