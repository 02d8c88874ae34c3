// SPDX-License-Identifier: Apache-2.0
// UTF-8 (RFC 3629).
#ifndef HOST_BASE_UTF8_H
#define HOST_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p (`left` > 0 are there), 0 when it is none. */
size_t sh_utf8_size(const void *p, size_t left);

/* Writes a character; its bytes, 0 when there is no such character. */
size_t sh_utf8_encode(char out[4], uint32_t character);

/* A copy in which every byte that is not UTF-8 became U+FFFD; owned by the caller. */
char *sh_utf8_clean(const void *data, size_t size);

#endif
