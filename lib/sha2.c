// SPDX-License-Identifier: Apache-2.0
// SHA-256, SHA-384 and SHA-512 (FIPS 180-4).
#include "lib/sha2.h"

#include <string.h>

static const uint64_t k512[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

#define ROR32(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define ROR64(x, n) ((x) >> (n) | (x) << (64 - (n)))

static void sha256_block(uint32_t state[8], const uint8_t *p)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (ROR32(a, 7) ^ ROR32(a, 18) ^ a >> 3) + w[i - 7] +
               (ROR32(b, 17) ^ ROR32(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof(s));
    for (int i = 0; i < 64; i++) {
        uint32_t a = s[0], e = s[4];
        /* The constants of SHA-256 are the high halves of the first 64 of SHA-512. */
        uint32_t t1 = s[7] + (ROR32(e, 6) ^ ROR32(e, 11) ^ ROR32(e, 25)) +
                      ((e & s[5]) ^ (~e & s[6])) + (uint32_t)(k512[i] >> 32) + w[i];
        uint32_t t2 =
            (ROR32(a, 2) ^ ROR32(a, 13) ^ ROR32(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof(s[0]));
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static void sha512_block(uint64_t state[8], const uint8_t *p)
{
    uint64_t w[80], s[8];
    for (int i = 0; i < 16; i++) {
        w[i] = 0;
        for (int j = 0; j < 8; j++)
            w[i] = w[i] << 8 | *p++;
    }
    for (int i = 16; i < 80; i++) {
        uint64_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (ROR64(a, 1) ^ ROR64(a, 8) ^ a >> 7) + w[i - 7] +
               (ROR64(b, 19) ^ ROR64(b, 61) ^ b >> 6);
    }
    memcpy(s, state, sizeof(s));
    for (int i = 0; i < 80; i++) {
        uint64_t a = s[0], e = s[4];
        uint64_t t1 = s[7] + (ROR64(e, 14) ^ ROR64(e, 18) ^ ROR64(e, 41)) +
                      ((e & s[5]) ^ (~e & s[6])) + k512[i] + w[i];
        uint64_t t2 = (ROR64(a, 28) ^ ROR64(a, 34) ^ ROR64(a, 39)) +
                      ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof(s[0]));
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void sh_sha256_init(struct sh_sha256 *h)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, start, sizeof(start));
    h->size = 0;
}

void sh_sha512_init(struct sh_sha512 *h)
{
    static const uint64_t start[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                      0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                      0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    memcpy(h->state, start, sizeof(start));
    h->size = 0;
}

void sh_sha384_init(struct sh_sha512 *h)
{
    static const uint64_t start[8] = {0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17,
                                      0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511,
                                      0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4};
    memcpy(h->state, start, sizeof(start));
    h->size = 0;
}

/* The buffering and the padding are the same but for the width of a block. */
#define SHA2_STREAM(name, type, block_fn, width, length_width, out_size)                           \
    void name##_update(type *h, const void *data, size_t size)                                     \
    {                                                                                              \
        const uint8_t *p = data;                                                                   \
        size_t have = h->size % width;                                                             \
        h->size += size;                                                                           \
        if (have) {                                                                                \
            size_t n = width - have < size ? width - have : size;                                  \
            memcpy(h->block + have, p, n);                                                         \
            p += n;                                                                                \
            size -= n;                                                                             \
            if (have + n < width)                                                                  \
                return;                                                                            \
            block_fn(h->state, h->block);                                                          \
        }                                                                                          \
        for (; size >= width; p += width, size -= width)                                           \
            block_fn(h->state, p);                                                                 \
        if (size)                                                                                  \
            memcpy(h->block, p, size);                                                             \
    }                                                                                              \
    void name##_final(type *h, uint8_t out[out_size])                                              \
    {                                                                                              \
        size_t have = h->size % width;                                                             \
        h->block[have++] = 0x80;                                                                   \
        if (have > width - length_width) {                                                         \
            memset(h->block + have, 0, width - have);                                              \
            block_fn(h->state, h->block);                                                          \
            have = 0;                                                                              \
        }                                                                                          \
        memset(h->block + have, 0, width - have);                                                  \
        for (int i = 0; i < 8; i++)                                                                \
            h->block[width - 1 - i] = (uint8_t)(h->size << 3 >> 8 * i);                            \
        h->block[width - 9] |= (uint8_t)(length_width > 8 ? h->size >> 61 : 0);                    \
        block_fn(h->state, h->block);                                                              \
        for (size_t i = 0; i < 8; i++)                                                             \
            for (size_t j = 0; j < sizeof(h->state[0]); j++)                                       \
                *out++ = (uint8_t)(h->state[i] >> 8 * (sizeof(h->state[0]) - 1 - j));              \
    }

SHA2_STREAM(sh_sha256, struct sh_sha256, sha256_block, 64, 8, SH_SHA256_SIZE)
SHA2_STREAM(sh_sha512, struct sh_sha512, sha512_block, 128, 16, SH_SHA512_SIZE)

void sh_sha256(uint8_t out[SH_SHA256_SIZE], const void *data, size_t size)
{
    struct sh_sha256 h;
    sh_sha256_init(&h);
    sh_sha256_update(&h, data, size);
    sh_sha256_final(&h, out);
}

void sh_sha384(uint8_t out[SH_SHA384_SIZE], const void *data, size_t size)
{
    struct sh_sha512 h;
    uint8_t full[SH_SHA512_SIZE];
    sh_sha384_init(&h);
    sh_sha512_update(&h, data, size);
    sh_sha512_final(&h, full);
    memcpy(out, full, SH_SHA384_SIZE);
}

void sh_sha512(uint8_t out[SH_SHA512_SIZE], const void *data, size_t size)
{
    struct sh_sha512 h;
    sh_sha512_init(&h);
    sh_sha512_update(&h, data, size);
    sh_sha512_final(&h, out);
}
