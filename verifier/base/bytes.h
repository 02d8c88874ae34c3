// SPDX-License-Identifier: Apache-2.0
// A bounded reader over bytes that nobody has vouched for, and text codings.
#ifndef VERIFIER_BASE_BYTES_H
#define VERIFIER_BASE_BYTES_H

#include "lib/bytes.h"
#include "lib/hex.h"

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

static inline bool sv_all_zero(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum |= p[i];
    return sum == 0;
}

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
