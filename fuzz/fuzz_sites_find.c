// SPDX-License-Identifier: Apache-2.0
// The finder of call sites on broken programs: what it lists is there, in order, and readable.
#include <stdlib.h>
#include <string.h>

#include "host/image/write/sites.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_site_list list;
    sh_sites_find_in(data, size, &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct sh_site *s = &list.v[i];
        if (s->offset > size || s->size > size - s->offset ||
            memcmp(data + s->offset, s->bytes, s->size) || s->offset % 4096 + s->size > 4096 ||
            (i && s->offset < s[-1].offset + s[-1].size))
            abort();
    }
    free(list.v);
    return 0;
}
