// SPDX-License-Identifier: Apache-2.0
// SM3, straight from the standard.
#include "trusted/agent/sm3.h"

#include <string.h>

static uint32_t rotate_left(uint32_t x, unsigned n)
{
    n &= 31;
    return n ? x << n | x >> (32 - n) : x;
}

static void hash_block(uint32_t v[8], const uint8_t *p)
{
    uint32_t w[68], s[8];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (unsigned i = 16; i < 68; i++) {
        uint32_t x = w[i - 16] ^ w[i - 9] ^ rotate_left(w[i - 3], 15);
        w[i] = x ^ rotate_left(x, 15) ^ rotate_left(x, 23) ^ rotate_left(w[i - 13], 7) ^ w[i - 6];
    }
    memcpy(s, v, sizeof(s));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t a = s[0], b = s[1], c = s[2], e = s[4], f = s[5], g = s[6];
        uint32_t ss1 = rotate_left(
            rotate_left(a, 12) + e + rotate_left(i < 16 ? 0x79cc4519 : 0x7a879d8a, i), 7);
        uint32_t ff = i < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
        uint32_t gg = i < 16 ? e ^ f ^ g : (e & f) | (~e & g);
        uint32_t tt1 = ff + s[3] + (ss1 ^ rotate_left(a, 12)) + (w[i] ^ w[i + 4]);
        uint32_t tt2 = gg + s[7] + ss1 + w[i];
        s[3] = c;
        s[2] = rotate_left(b, 9);
        s[1] = a;
        s[0] = tt1;
        s[7] = g;
        s[6] = rotate_left(f, 19);
        s[5] = e;
        s[4] = tt2 ^ rotate_left(tt2, 9) ^ rotate_left(tt2, 17);
    }
    for (unsigned i = 0; i < 8; i++)
        v[i] ^= s[i];
}

void agent_sm3(uint8_t out[32], const uint8_t *data, size_t size)
{
    uint32_t v[8] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                     0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};
    uint8_t last[128] = {0};
    size_t whole = size / 64 * 64, rest = size - whole, end = rest < 56 ? 64 : 128;
    for (size_t at = 0; at < whole; at += 64)
        hash_block(v, data + at);
    if (rest)
        memcpy(last, data + whole, rest);
    last[rest] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        last[end - 1 - i] = (uint8_t)((uint64_t)size * 8 >> (8 * i));
    for (size_t at = 0; at < end; at += 64)
        hash_block(v, last + at);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (uint8_t)(v[i / 4] >> (24 - 8 * (i % 4)));
}
