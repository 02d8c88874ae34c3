// SPDX-License-Identifier: Apache-2.0
// Reads docker archives: manifest.json, a configuration, layers. The layers' digests stand in the
// configuration, and the configuration's own is its file's name.
#include "host/image/input/docker.h"

#include <errno.h>
#include <string.h>

#include "host/image/input/oci_config.h"
#include "verifier/base/json.h"

#define LAYERS_MAX 1024

/* "registry/name:1.0" is also meant by "name:1.0" and by its tag "1.0"; ":latest" may be left out.
 */
static bool names_it(const cJSON *image, const char *tag)
{
    const cJSON *name;
    size_t size = strlen(tag);
    cJSON_ArrayForEach(name, sv_json_get(image, "RepoTags"))
    {
        const char *full = cJSON_GetStringValue(name);
        const char *colon = full ? strrchr(full, ':') : NULL;
        if (colon && !strcmp(colon + 1, tag))
            return true;
        for (const char *part = full; part; part = strchr(part, '/'), part += part != NULL)
            if (!strncmp(part, tag, size) && (!part[size] || !strcmp(part + size, ":latest")))
                return true;
    }
    return false;
}

static const cJSON *choose_image(const struct sh_blobs *b, const cJSON *list, const char *tag,
                                 struct sh_error *err)
{
    const cJSON *image, *found = NULL;
    int count = 0;
    cJSON_ArrayForEach(image, list)
    {
        if (tag && !names_it(image, tag))
            continue;
        found = image;
        count++;
    }
    if (count == 1)
        return found;
    if (tag)
        sh_fail(err, -ENOENT, "%s has %s image with the tag '%s'", b->name,
                count ? "more than one" : "no", tag);
    else
        sh_fail(err, -ENOTUNIQ, "%s has %d images; add the tag of one", b->name, count);
    return NULL;
}

/* The digest that a configuration's name promises ("<digits>.json", "blobs/sha256/<digits>"); NULL
 * when it promises none. */
static char *named_digest(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t n = strspn(name, "0123456789abcdef");
    if (n != 64 || (name[n] && strcmp(name + n, ".json")))
        return NULL;
    return sh_format("sha256:%.64s", name);
}

int sh_docker_read(struct sh_blobs *b, const char *tag, struct sh_tree *tree,
                   struct sh_config *config, struct sh_progress *progress, struct sh_error *err)
{
    cJSON *list = NULL, *image = NULL;
    int r = sh_blobs_json(b, "manifest.json", NULL, &list, err);
    const cJSON *entry = r ? NULL : choose_image(b, list, tag, err);
    const char *path = sv_json_string(entry, "Config");
    const cJSON *layers = sv_json_get(entry, "Layers");
    if (!r && !entry)
        r = -ENOENT;
    if (!r && (!path || !cJSON_IsArray(layers)))
        r = sh_fail(err, -EBADMSG, "%s: manifest.json names no configuration or layers", b->name);
    if (!r) {
        cleanup_free char *digest = named_digest(path);
        r = sh_blobs_json(b, path, digest, &image, err);
    }
    if (!r)
        r = sh_oci_config(image, b->name, config, err);
    const cJSON *ids = sv_json_get(cJSON_GetObjectItemCaseSensitive(image, "rootfs"), "diff_ids");
    int count = cJSON_GetArraySize(layers);
    if (!r && (count < 1 || count > LAYERS_MAX || cJSON_GetArraySize(ids) != count))
        r = sh_fail(err, -EBADMSG, "%s: manifest and configuration do not agree on the layers",
                    b->name);
    const cJSON *layer = r ? NULL : layers->child, *id = r ? NULL : ids->child;
    for (; !r && layer && id; layer = layer->next, id = id->next) {
        const char *file = cJSON_GetStringValue(layer), *diff_id = cJSON_GetStringValue(id);
        if (!file || !diff_id || !sh_digest_ok(diff_id))
            r = sh_fail(err, -EBADMSG, "%s: a layer has no valid name or digest", b->name);
        else
            r = sh_blobs_layer(b, file, NULL, -1, diff_id, tree, progress, err);
    }
    cJSON_Delete(list);
    cJSON_Delete(image);
    return r;
}
