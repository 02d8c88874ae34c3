// SPDX-License-Identifier: Apache-2.0
// Splits a command into words by quotes, as `-c` does; no shell, no expansion.
#ifndef HOST_BASE_SPLIT_H
#define HOST_BASE_SPLIT_H

#include "host/base/util.h"

/* Words are parted by blanks. 'single' and "double" quotes hold blanks; a backslash outside single
 * quotes takes the next character as it is (inside double quotes only before \ and "). Appends to
 * `words`. -EINVAL with a sentence when a quote is not closed. */
int sh_split(const char *text, struct sh_strings *words, struct sh_error *err);

#endif
