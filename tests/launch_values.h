// SPDX-License-Identifier: Apache-2.0
// Values of a checked launch config by their key, for tests.
#ifndef TESTS_LAUNCH_VALUES_H
#define TESTS_LAUNCH_VALUES_H

#include <errno.h>

#include "lib/launch.h"

/* The `index`th value of a key, unescaped into out with a NUL. Its length, -ENOENT if there is
 * none, -ENAMETOOLONG if out_size is too small (values hold no NUL: sh_launch_check refuses %00).
 */
static inline int sh_launch_get(const void *text, size_t size, enum sh_launch_key key, size_t index,
                                char *out, size_t out_size)
{
    struct sh_launch_line line;
    for (size_t at = 0; sh_launch_next(text, size, &at, &line);) {
        if (line.key != (int)key || index-- > 0)
            continue;
        size_t n = line.size; /* each escape is two bytes longer than what it says */
        for (size_t i = 0; i < line.size; i++)
            n -= line.value[i] == '%' ? 2 : 0;
        if (n >= out_size)
            return -ENAMETOOLONG;
        return (int)sh_launch_unescape(&line, out);
    }
    return -ENOENT;
}

static inline size_t sh_launch_count(const void *text, size_t size, enum sh_launch_key key)
{
    size_t count = 0;
    struct sh_launch_line line;
    for (size_t at = 0; sh_launch_next(text, size, &at, &line);)
        count += line.key == (int)key;
    return count;
}

#endif
