// SPDX-License-Identifier: Apache-2.0
// A cipher that changes nothing and accepts every tag but one of zeros, in place of
// trusted/volume/crypt.c: what nobody wrote ends the log.
#ifndef FUZZ_NO_CIPHER_H
#define FUZZ_NO_CIPHER_H

#include <string.h>

#include "trusted/volume/crypt.h"

void crypt_init(bool avx)
{
}

void crypt_expand(struct crypt_key *k, const uint8_t key[CRYPT_KEY_SIZE])
{
    k->aes.rounds = 14;
}

void crypt_seal(struct crypt_key *k, const uint8_t nonce[CRYPT_NONCE_SIZE], const void *aad,
                size_t aad_size, const void *in, void *out, size_t size,
                uint8_t tag[CRYPT_TAG_SIZE])
{
    memmove(out, in, size);
    memset(tag, 1, CRYPT_TAG_SIZE);
}

bool crypt_open(struct crypt_key *k, const uint8_t nonce[CRYPT_NONCE_SIZE], const void *aad,
                size_t aad_size, const void *in, void *out, size_t size,
                const uint8_t tag[CRYPT_TAG_SIZE])
{
    static const uint8_t zeros[CRYPT_TAG_SIZE];
    memmove(out, in, size);
    return memcmp(tag, zeros, sizeof(zeros)) != 0;
}

void crypt_expand_derived(struct crypt_key *k, const uint8_t secret[CRYPT_KEY_SIZE],
                          const char *label, uint64_t id)
{
    k->aes.rounds = 14;
}

void crypt_nonce(uint8_t nonce[CRYPT_NONCE_SIZE], uint64_t a, uint32_t b)
{
    memset(nonce, 0, CRYPT_NONCE_SIZE);
}

void crypt_wipe(void *p, size_t size)
{
    memset(p, 0, size);
}

#endif
