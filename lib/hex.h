// SPDX-License-Identifier: Apache-2.0
// Bytes as hexadecimal text.
#ifndef LIB_HEX_H
#define LIB_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2*size lower-case digits and a NUL. */
void sh_hex(char *out, const void *data, size_t size);

/* Reads exactly 2*size digits, either case, ended by NUL. 0 or -EINVAL. */
int sh_unhex(void *out, size_t size, const char *text);

/* The value of one digit, or -1. */
int sh_hex_digit(int c);

/* The value of two digits, or -1; where the first is none, the second is not looked at. */
int sh_hex_byte(const void *text);

#endif
