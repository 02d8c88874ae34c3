// SPDX-License-Identifier: Apache-2.0
// SHA-256, SHA-384 and SHA-512 (FIPS 180-4), portable; used where no crypto library is.
#ifndef LIB_SHA2_H
#define LIB_SHA2_H

#include <stddef.h>
#include <stdint.h>

#define SH_SHA256_SIZE 32u
#define SH_SHA384_SIZE 48u
#define SH_SHA512_SIZE 64u

struct sh_sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes hashed so far */
    uint8_t block[64];
};

void sh_sha256_init(struct sh_sha256 *h);
void sh_sha256_update(struct sh_sha256 *h, const void *data, size_t size);
void sh_sha256_final(struct sh_sha256 *h, uint8_t out[SH_SHA256_SIZE]);
void sh_sha256(uint8_t out[SH_SHA256_SIZE], const void *data, size_t size);

struct sh_sha512 {
    uint64_t state[8];
    uint64_t size;
    uint8_t block[128];
};

/* SHA-384 is SHA-512 with another start and a shorter result: use sh_sha384_init and take the first
 * 48 bytes. */
void sh_sha384_init(struct sh_sha512 *h);
void sh_sha512_init(struct sh_sha512 *h);
void sh_sha512_update(struct sh_sha512 *h, const void *data, size_t size);
void sh_sha512_final(struct sh_sha512 *h, uint8_t out[SH_SHA512_SIZE]);
void sh_sha384(uint8_t out[SH_SHA384_SIZE], const void *data, size_t size);
void sh_sha512(uint8_t out[SH_SHA512_SIZE], const void *data, size_t size);

#endif
