// SPDX-License-Identifier: Apache-2.0
// The image manifest: what parses can be read by tag, inside its bytes, and has one encoding.
#include <stdlib.h>

#include "lib/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_manifest m;
    size_t total = 16, records = 0;
    if (sh_manifest_parse(&m, data, size))
        return 0;
    for (unsigned tag = 0; tag < 64; tag++) {
        size_t count = sh_manifest_count(&m, (enum sh_manifest_tag)tag);
        for (size_t i = 0; i < count && records < 300; i++, records++) {
            struct sh_view v = sh_manifest_get(&m, (enum sh_manifest_tag)tag, i);
            if (!v.data || v.data < data || v.data + v.size > data + size)
                abort();
            total += 8 + v.size;
        }
        if (sh_manifest_get(&m, (enum sh_manifest_tag)tag, count).data)
            abort();
    }
    if (records < 300 && total != size)
        abort();
    return 0;
}
