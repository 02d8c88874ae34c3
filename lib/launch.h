// SPDX-License-Identifier: Apache-2.0
// Reads the launch config (the format stands in <shelter/launch.h>).
#ifndef LIB_LAUNCH_H
#define LIB_LAUNCH_H

#include <shelter/launch.h>

#include "lib/bytes.h"

/* "arg", "env", ...: the key's word, indexed by enum sh_launch_key. */
extern const char *const sh_launch_words[SH_LAUNCH_KEY_COUNT];

/* Checks that the text is canonical from the first byte to the last. 0 or -EBADMSG. */
int sh_launch_check(const void *text, size_t size);

struct sh_launch_line {
    int key;              /* enum sh_launch_key */
    const uint8_t *value; /* in the text, escaped */
    size_t size;
};

/* The line at *offset of a checked text (0: the first one), which moves on behind it. False at the
 * end. */
bool sh_launch_next(const void *text, size_t size, size_t *offset, struct sh_launch_line *line);
/* A line's value with a NUL into out, of at least line->size + 1 bytes. Its length. */
size_t sh_launch_unescape(const struct sh_launch_line *line, char *out);

/* A host name that cannot say more than a name where it is written into a file: 1 to 64 letters,
 * digits,
 * "-._", not beginning with "-" or ".". */
bool sh_hostname_ok(const char *name);

#endif
