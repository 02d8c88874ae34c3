// SPDX-License-Identifier: Apache-2.0
// The reader of sites.bin: what it accepts keeps its promises.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sites.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static int read_input(void *arg, uint64_t offset, void *buf, size_t size)
{
    const struct input *in = arg;
    if (offset > in->size || size > in->size - offset)
        abort(); /* it asked for more than there is */
    memcpy(buf, in->data + offset, size);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct sh_sites s;
    uint32_t first, count;
    if (sh_sites_open(&s, size, read_input, &in))
        return 0;
    for (uint64_t nid = 0; nid < 64; nid++) {
        if (sh_sites_find(&s, nid, &first, &count))
            continue;
        if (!count || count > SH_SITES_OF_FILE_MAX)
            abort();
        struct sh_site *sites = malloc(count * sizeof(*sites));
        if (!sh_sites_get(&s, first, count, sites)) {
            for (uint32_t i = 0; i < count; i++) {
                const struct sh_site *x = &sites[i];
                if (x->size < 2 || x->size > SH_SITE_BYTES_MAX || x->at + 2 > x->size ||
                    x->offset % 4096 + x->size > 4096 ||
                    (i && x->offset < x[-1].offset + x[-1].size))
                    abort();
            }
        }
        free(sites);
    }
    return 0;
}
