// SPDX-License-Identifier: Apache-2.0
// Bytes as base64 text (RFC 4648).
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include <stddef.h>
#include <stdint.h>

enum sh_base64 {
    SH_BASE64,    /* section 4: '+', '/', padded */
    SH_BASE64URL, /* section 5: '-', '_', not padded */
};

/* Room for the text of `size` bytes, with its NUL. */
#define SH_BASE64_ROOM(size) (((size) + 2) / 3 * 4 + 1)

/* Writes the text and a NUL: at most SH_BASE64_ROOM(size) bytes. Returns the text's size. */
size_t sh_base64(char *out, const void *data, size_t size, enum sh_base64 kind);

/* Reads base64url without padding, strictly: no other bytes, no stray bits. Returns how many bytes
 * it made; -EBADMSG, or -E2BIG when they do not fit. */
long sh_unbase64url(void *out, size_t out_size, const char *text, size_t size);

#endif
