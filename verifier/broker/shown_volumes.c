// SPDX-License-Identifier: Apache-2.0
// The volumes of an image, as a token shows them.
#include "verifier/broker/shown_volumes.h"
#include "verifier/broker/launch.h"
#include "verifier/broker/store.h"

#include <stdio.h>
#include <stdlib.h>

// The image's volumes, and how soon a broker knows of what is written there.
cJSON *sb_shown_volumes(const struct sb_reference *r)
{
    struct sh_manifest m;
    uint8_t *bytes = NULL;
    cJSON *list = sb_launch_manifest(r->json, &m, &bytes) ? NULL : cJSON_CreateArray();
    size_t count = list ? sh_manifest_count(&m, SH_TAG_VOLUME) : 0;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *d = sh_manifest_get(&m, SH_TAG_VOLUME, i).data;
        char name[SH_VOLUME_NAME_MAX + 1];
        cJSON *o = cJSON_CreateObject();

        snprintf(name, sizeof(name), "%.*s", (int)sh_le32(d + 12), (const char *)d + 16);
        cJSON_AddStringToObject(o, "name", name);
        cJSON_AddStringToObject(o, "freshness", sh_volume_freshness(sh_le32(d + 8)));
        cJSON_AddItemToArray(list, o);
    }
    free(bytes);
    return list;
}
