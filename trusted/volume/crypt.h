// SPDX-License-Identifier: Apache-2.0
// AES-256-GCM (NIST SP 800-38D) and HKDF-SHA-256 (RFC 5869) for volumes.
//
// The cipher is OpenSSL's assembly, three objects of Debian's libcrypto.a (tools/libcrypto-parts):
// constant time, AES-NI and PCLMULQDQ, with AVX where crypt_init was told that it is there. These
// functions use vector registers; where C may not (the LibOS), the caller saves them before.
#ifndef VOLUME_CRYPT_H
#define VOLUME_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPT_KEY_SIZE 32u
#define CRYPT_NONCE_SIZE 12u
#define CRYPT_TAG_SIZE 16u

/* An expanded key. The parts' order is the assembly's: it finds the table 32 bytes behind xi. */
struct crypt_key {
    struct {
        uint32_t words[60];
        uint32_t rounds, pad[3];
    } aes;
    uint8_t xi[16], h[16];
    uint64_t table[32];
} __attribute__((aligned(16)));

/* Once, before all else: has the processor AVX and MOVBE, and its XCR0 the upper halves? */
void crypt_init(bool avx);

void crypt_expand(struct crypt_key *k, const uint8_t key[CRYPT_KEY_SIZE]);

/* The key that crypt_derive says, expanded. */
void crypt_expand_derived(struct crypt_key *k, const uint8_t secret[CRYPT_KEY_SIZE],
                          const char *label, uint64_t id);

/* a, then b, little endian. */
void crypt_nonce(uint8_t nonce[CRYPT_NONCE_SIZE], uint64_t a, uint32_t b);

/* `size` bytes from `in` to `out`, which may be the same. A nonce serves a key once. k is no longer
 * as it was only inside: one thread at a time. */
void crypt_seal(struct crypt_key *k, const uint8_t nonce[CRYPT_NONCE_SIZE], const void *aad,
                size_t aad_size, const void *in, void *out, size_t size,
                uint8_t tag[CRYPT_TAG_SIZE]);

/* True if the tag is right; else out holds zeros. */
bool crypt_open(struct crypt_key *k, const uint8_t nonce[CRYPT_NONCE_SIZE], const void *aad,
                size_t aad_size, const void *in, void *out, size_t size,
                const uint8_t tag[CRYPT_TAG_SIZE]);

/* out = HKDF(secret, salt none, info = label NUL id), 32 bytes. label: at most 31 characters. */
void crypt_derive(uint8_t out[CRYPT_KEY_SIZE], const uint8_t secret[CRYPT_KEY_SIZE],
                  const char *label, uint64_t id);

void crypt_wipe(void *p, size_t size);

#endif
