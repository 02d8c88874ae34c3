// SPDX-License-Identifier: Apache-2.0
// SHA-256; portable for now.
#include "trusted/libos/base/digest.h"

#include "lib/sha2.h"

void digest_init(void)
{
}

void digest_sha256(uint8_t out[32], const void *data, size_t size)
{
    sh_sha256(out, data, size);
}
