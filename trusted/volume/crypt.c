// SPDX-License-Identifier: Apache-2.0
// AES-256-GCM around OpenSSL's assembly; HKDF of HMAC-SHA-256.
#include "trusted/volume/crypt.h"

#include <string.h>

#include "lib/bytes.h"
#include "lib/sha2.h"

/* OpenSSL's names: crypto/aes/asm/aesni-x86_64.pl, crypto/modes/asm/{aesni-gcm,ghash}-x86_64.pl.
 * Counter blocks are big-endian, as is xi; h is two big-endian words, already in host order. */
int aesni_set_encrypt_key(const uint8_t *key, int bits, void *out);
void aesni_encrypt(const uint8_t *in, uint8_t *out, const void *key);
void aesni_ctr32_encrypt_blocks(const uint8_t *in, uint8_t *out, size_t blocks, const void *key,
                                const uint8_t counter[16]);
size_t aesni_gcm_encrypt(const uint8_t *in, uint8_t *out, size_t size, const void *key,
                         uint8_t counter[16], uint8_t *xi);
size_t aesni_gcm_decrypt(const uint8_t *in, uint8_t *out, size_t size, const void *key,
                         uint8_t counter[16], uint8_t *xi);
void gcm_init_avx(uint64_t table[32], const uint64_t h[2]);
void gcm_ghash_avx(uint8_t xi[16], const uint64_t table[32], const uint8_t *in, size_t size);
void gcm_init_clmul(uint64_t table[32], const uint64_t h[2]);
void gcm_ghash_clmul(uint8_t xi[16], const uint64_t table[32], const uint8_t *in, size_t size);

/* CPUID as the assembly asks it: 1.EDX, 1.ECX, 7.EBX, 7.ECX. */
uint32_t OPENSSL_ia32cap_P[4] __attribute__((visibility("hidden")));

static bool use_avx;

void crypt_init(bool avx)
{
    use_avx = avx;
    OPENSSL_ia32cap_P[0] = 1u << 26;           /* SSE2 */
    OPENSSL_ia32cap_P[1] = 1u << 25 | 1u << 1; /* AES-NI, PCLMULQDQ */
    if (avx)
        OPENSSL_ia32cap_P[1] |= 1u << 28 | 1u << 22; /* AVX, MOVBE */
}

void crypt_wipe(void *p, size_t size)
{
    memset(p, 0, size);
    __asm__ volatile("" : : "r"(p) : "memory");
}

static uint64_t load_be64(const uint8_t *p)
{
    return __builtin_bswap64(sh_le64(p));
}

void crypt_expand(struct crypt_key *k, const uint8_t key[CRYPT_KEY_SIZE])
{
    uint8_t h[16] = {0};
    uint64_t words[2];
    aesni_set_encrypt_key(key, 256, &k->aes);
    aesni_encrypt(h, h, &k->aes);
    words[0] = load_be64(h);
    words[1] = load_be64(h + 8);
    if (use_avx)
        gcm_init_avx(k->table, words);
    else
        gcm_init_clmul(k->table, words);
    crypt_wipe(words, sizeof(words));
    crypt_wipe(h, sizeof(h));
}

/* size: whole blocks of 16 */
static void hash_blocks(struct crypt_key *k, const uint8_t *in, size_t size)
{
    if (size && use_avx)
        gcm_ghash_avx(k->xi, k->table, in, size);
    else if (size)
        gcm_ghash_clmul(k->xi, k->table, in, size);
}

static void hash_bytes(struct crypt_key *k, const uint8_t *in, size_t size)
{
    uint8_t last[16] = {0};
    size_t whole = size & ~(size_t)15;
    hash_blocks(k, in, whole);
    if (whole == size)
        return;
    memcpy(last, in + whole, size - whole);
    hash_blocks(k, last, sizeof(last));
}

static void next_counter(uint8_t counter[16], size_t blocks)
{
    uint32_t n = (uint32_t)(load_be64(counter + 8) + blocks);
    for (unsigned i = 0; i < 4; i++)
        counter[15 - i] = (uint8_t)(n >> 8 * i);
}

static void crypt_stream(struct crypt_key *k, uint8_t counter[16], const uint8_t *in, uint8_t *out,
                         size_t size)
{
    uint8_t last[16] = {0};
    size_t blocks = size / 16, rest = size % 16;
    if (blocks)
        aesni_ctr32_encrypt_blocks(in, out, blocks, &k->aes, counter);
    next_counter(counter, blocks);
    if (!rest)
        return;
    aesni_encrypt(counter, last, &k->aes);
    for (size_t i = 0; i < rest; i++)
        out[blocks * 16 + i] = in[blocks * 16 + i] ^ last[i];
    crypt_wipe(last, sizeof(last));
}

/* Both directions; tag: what it is. */
static void crypt_text(struct crypt_key *k, bool seal, const uint8_t nonce[CRYPT_NONCE_SIZE],
                       const void *aad, size_t aad_size, const uint8_t *in, uint8_t *out,
                       size_t size, uint8_t tag[CRYPT_TAG_SIZE])
{
    uint8_t counter[16] = {[15] = 1}, mask[16], sizes[16];
    size_t done = 0;
    memcpy(counter, nonce, CRYPT_NONCE_SIZE);
    aesni_encrypt(counter, mask, &k->aes);
    next_counter(counter, 1);
    memset(k->xi, 0, sizeof(k->xi));
    hash_bytes(k, aad, aad_size);
    if (use_avx && seal)
        done = aesni_gcm_encrypt(in, out, size, &k->aes, counter, k->xi);
    else if (use_avx)
        done = aesni_gcm_decrypt(in, out, size, &k->aes, counter, k->xi);
    if (!seal)
        hash_bytes(k, in + done, size - done);
    crypt_stream(k, counter, in + done, out + done, size - done);
    if (seal)
        hash_bytes(k, out + done, size - done);
    sh_put_le64(sizes, __builtin_bswap64((uint64_t)aad_size * 8));
    sh_put_le64(sizes + 8, __builtin_bswap64((uint64_t)size * 8));
    hash_bytes(k, sizes, sizeof(sizes));
    for (unsigned i = 0; i < CRYPT_TAG_SIZE; i++)
        tag[i] = k->xi[i] ^ mask[i];
}

void crypt_seal(struct crypt_key *k, const uint8_t nonce[CRYPT_NONCE_SIZE], const void *aad,
                size_t aad_size, const void *in, void *out, size_t size,
                uint8_t tag[CRYPT_TAG_SIZE])
{
    crypt_text(k, true, nonce, aad, aad_size, in, out, size, tag);
}

bool crypt_open(struct crypt_key *k, const uint8_t nonce[CRYPT_NONCE_SIZE], const void *aad,
                size_t aad_size, const void *in, void *out, size_t size,
                const uint8_t tag[CRYPT_TAG_SIZE])
{
    uint8_t have[CRYPT_TAG_SIZE];
    crypt_text(k, false, nonce, aad, aad_size, in, out, size, have);
    if (sh_equal_ct(have, tag, sizeof(have)))
        return true;
    crypt_wipe(out, size);
    return false;
}

/* The hash of the key, each byte with `mask`, and data. */
static void hash_keyed(uint8_t out[32], const uint8_t key[32], uint8_t mask, const void *data,
                       size_t size)
{
    struct sh_sha256 h;
    uint8_t pad[64];
    for (unsigned i = 0; i < 64; i++)
        pad[i] = (i < 32 ? key[i] : 0) ^ mask;
    sh_sha256_init(&h);
    sh_sha256_update(&h, pad, sizeof(pad));
    sh_sha256_update(&h, data, size);
    sh_sha256_final(&h, out);
    crypt_wipe(&h, sizeof(h));
    crypt_wipe(pad, sizeof(pad));
}

static void hmac_sha256(uint8_t out[32], const uint8_t key[32], const void *data, size_t size)
{
    uint8_t inner[32];
    hash_keyed(inner, key, 0x36, data, size);
    hash_keyed(out, key, 0x5c, inner, sizeof(inner));
}

void crypt_derive(uint8_t out[CRYPT_KEY_SIZE], const uint8_t secret[CRYPT_KEY_SIZE],
                  const char *label, uint64_t id)
{
    static const uint8_t no_salt[32];
    uint8_t prk[32], info[48];
    size_t n = strnlen(label, 31);
    memcpy(info, label, n);
    info[n++] = 0;
    sh_put_le64(info + n, id);
    info[n + 8] = 1; /* T(1) = HMAC(PRK, info | 1) */
    hmac_sha256(prk, no_salt, secret, CRYPT_KEY_SIZE);
    hmac_sha256(out, prk, info, n + 9);
    crypt_wipe(prk, sizeof(prk));
}

void crypt_expand_derived(struct crypt_key *k, const uint8_t secret[CRYPT_KEY_SIZE],
                          const char *label, uint64_t id)
{
    uint8_t key[CRYPT_KEY_SIZE];
    crypt_derive(key, secret, label, id);
    crypt_expand(k, key);
    crypt_wipe(key, sizeof(key));
}

void crypt_nonce(uint8_t nonce[CRYPT_NONCE_SIZE], uint64_t a, uint32_t b)
{
    sh_put_le64(nonce, a);
    sh_put_le32(nonce + 8, b);
}
