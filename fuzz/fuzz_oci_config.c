// SPDX-License-Identifier: Apache-2.0
// An image configuration of a registry, into a manifest: either a sentence or a manifest that
// parses.
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "host/image/input/config.h"
#include "host/image/input/oci_config.h"
#include "lib/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sh_manifest_files files = {.root_size = 4096};
    struct sh_config c = {0};
    struct sh_error err = {0};
    struct sh_buffer out = {0};
    struct sh_manifest m;
    cJSON *image = cJSON_ParseWithLength((const char *)data, size);
    if (!image)
        return 0;
    if (sh_oci_config(image, "fuzz", &c, &err)) {
        if (!err.text[0])
            abort();
    } else if (!sh_manifest_write(&c, &files, &out, &err)) {
        if (sh_manifest_parse(&m, out.data, out.size))
            abort();
    } else if (!err.text[0]) {
        abort();
    }
    sh_buffer_free(&out);
    sh_config_free(&c);
    cJSON_Delete(image);
    return 0;
}
