// SPDX-License-Identifier: Apache-2.0
// A bounded reader over bytes that nobody has vouched for, and text codings.
#ifndef VERIFIER_QUOTE_BYTES_H
#define VERIFIER_QUOTE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sv_bytes {
    const uint8_t *data;
    size_t size;
};

// Takes `size` bytes off the front. NULL, with nothing taken, when there are fewer.
static inline const uint8_t *sv_take(struct sv_bytes *in, size_t size)
{
    const uint8_t *at = in->data;

    if (size > in->size)
        return NULL;
    in->data += size;
    in->size -= size;
    return at;
}

static inline uint16_t sv_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t sv_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t sv_le64(const uint8_t *p)
{
    return sv_le32(p) | (uint64_t)sv_le32(p + 4) << 32;
}

static inline bool sv_all_zero(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum |= p[i];
    return sum == 0;
}

// Lower-case hex with a terminating NUL; `out` holds 2 * size + 1 bytes.
void sv_hex(const void *data, size_t size, char *out);
// Exactly `size` bytes from 2 * size hex digits of either case and nothing after. False otherwise.
bool sv_unhex(const char *text, void *out, size_t size);
// Hex of any length into a new buffer (free()); NULL if malformed, empty, or out of memory.
uint8_t *sv_unhex_new(const char *text, size_t *size);
// Base64 or base64url, padded or not, into a new buffer (free()); NULL if malformed.
uint8_t *sv_unbase64_new(const char *text, size_t *size);
// RFC 3339 ("2025-02-28T03:44:50Z", also "+00:00" and with a space). False if malformed.
bool sv_time_parse(const char *text, int64_t *out);
// Writes "2025-02-28T03:44:50Z".
void sv_time_format(int64_t when, char out[32]);
// Reads a file of at most `size_max` bytes. 0 with a new buffer (NUL follows its end), or -errno.
int sv_read_file(const char *path, size_t size_max, uint8_t **out, size_t *size);

#endif
