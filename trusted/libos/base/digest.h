// SPDX-License-Identifier: Apache-2.0
// SHA-256 with the processor's instructions where it has them: the cost of reading the image.
#ifndef LIBOS_DIGEST_H
#define LIBOS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void digest_init(bool sha_instructions);
/* The same with the instructions, whatever digest_init was told. */
void digest_by_instructions(uint8_t out[32], const void *data, size_t size);
void digest_sha256(uint8_t out[32], const void *data, size_t size);

#endif
