// SPDX-License-Identifier: Apache-2.0
// The build file's TOML: what parses has sane items, and nothing is read past the end.
#include <stdlib.h>
#include <string.h>

#include "host/image/input/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_toml t;
    struct sh_error err = {0};
    if (sh_toml_parse((const char *)data, size, "fuzz", &t, &err)) {
        if (!err.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < t.count; i++) {
        const struct sh_toml_item *item = &t.v[i];
        if (!item->key || !item->line || (item->type == SH_TOML_LIST) != !item->text)
            abort();
        for (size_t k = 0; k < i; k++)
            if (!strcmp(t.v[k].key, item->key))
                abort();
    }
    sh_toml_free(&t);
    return 0;
}
