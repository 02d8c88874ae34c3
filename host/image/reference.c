// SPDX-License-Identifier: Apache-2.0
// Writes reference.json: base files by digest, and expected measurements.
#include "host/image/reference.h"

#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/image/base.h"
#include "lib/hex.h"

int sh_reference_write(int dir_fd, const char *id, struct sh_error *err)
{
    cJSON *top = cJSON_CreateObject();
    cJSON_AddNumberToObject(top, "version", 1);
    cJSON_AddStringToObject(top, "image", id);
    cJSON *base = cJSON_AddObjectToObject(top, "base");
    int r = 0;
    for (size_t i = 0; !r && i < SH_BASE_COUNT; i++) {
        uint8_t digest[48];
        char text[97];
        cleanup_free char *path = sh_format("base/%s", sh_base_names[i]);
        r = sh_digest_file(dir_fd, path, digest, err);
        sh_hex(text, digest, sizeof(digest));
        if (!r)
            cJSON_AddStringToObject(base, sh_base_names[i], text);
    }
    cJSON_AddArrayToObject(top, "references");
    cleanup_free char *text = r ? NULL : cJSON_Print(top);
    cJSON_Delete(top);
    if (!r)
        r = sh_write_file(dir_fd, "reference.json", text, strlen(text), 0644, err);
    return r;
}
