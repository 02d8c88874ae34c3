// SPDX-License-Identifier: Apache-2.0
// SHA-256: whole blocks by sha256.S, the padding here; lib/sha2.c where the processor cannot.
#include "trusted/libos/base/digest.h"

#include <string.h>

#include "lib/sha2.h"

#define BLOCK 64u

void sha256_ni(uint32_t state[8], const uint8_t *data, size_t blocks);

static bool instructions;

void digest_init(bool sha_instructions)
{
    instructions = sha_instructions;
}

static void put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

void digest_by_instructions(uint8_t out[32], const void *data, size_t size)
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t tail[2 * BLOCK] = {0};
    size_t whole = size / BLOCK, rest = size % BLOCK, blocks = rest >= BLOCK - 8 ? 2 : 1;
    sha256_ni(state, data, whole);
    memcpy(tail, (const uint8_t *)data + whole * BLOCK, rest);
    tail[rest] = 0x80;
    put_be32(tail + blocks * BLOCK - 8, (uint32_t)(size >> 29));
    put_be32(tail + blocks * BLOCK - 4, (uint32_t)(size << 3));
    sha256_ni(state, tail, blocks);
    for (int i = 0; i < 8; i++)
        put_be32(out + 4 * i, state[i]);
}

void digest_sha256(uint8_t out[32], const void *data, size_t size)
{
    if (instructions)
        digest_by_instructions(out, data, size);
    else
        sh_sha256(out, data, size);
}
