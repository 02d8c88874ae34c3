// SPDX-License-Identifier: Apache-2.0
// Reads OCI layouts: index, manifest, configuration, layers.
#include "host/image/input/oci.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host/image/input/blobs.h"
#include "host/image/input/docker.h"
#include "host/image/input/oci_config.h"
#include "verifier/base/json.h"

#define DEPTH_MAX 4
#define LAYERS_MAX 1024

/* --- choosing --- */

static const char *tag_of(const cJSON *descriptor)
{
    return sv_json_string(cJSON_GetObjectItemCaseSensitive(descriptor, "annotations"),
                          "org.opencontainers.image.ref.name");
}

static bool has_tag(const cJSON *descriptor, const char *tag)
{
    const char *name = tag_of(descriptor);
    if (name && !strcmp(name, tag))
        return true;
    name = sv_json_string(cJSON_GetObjectItemCaseSensitive(descriptor, "annotations"),
                          "io.containerd.image.name");
    return name && !strcmp(name, tag);
}

/* 1: for linux/amd64, 0: does not say, -1: for another machine. */
static int platform_fit(const cJSON *descriptor)
{
    const cJSON *p = sv_json_get(descriptor, "platform");
    const char *os = sv_json_string(p, "os"), *machine = sv_json_string(p, "architecture");
    if (!p || !os || !machine)
        return 0;
    return !strcmp(os, "linux") && !strcmp(machine, "amd64") ? 1 : -1;
}

static int no_choice(const struct sh_blobs *b, const cJSON *list, const char *tag,
                     struct sh_error *err)
{
    const cJSON *d;
    char tags[400] = "";
    cJSON_ArrayForEach(d, list)
    {
        size_t n = strlen(tags);
        if (tag_of(d))
            snprintf(tags + n, sizeof(tags) - n, "%s%.80s", n ? ", " : "", tag_of(d));
    }
    if (tag)
        return sh_fail(err, -ENOENT, "%s has no image with the tag '%s'%s%s", b->name, tag,
                       *tags ? "; it has: " : "", tags);
    if (*tags)
        return sh_fail(err, -ENOTUNIQ, "%s has several images; add a tag: %s", b->name, tags);
    return sh_fail(err, -ENOENT, "%s has no image for linux/amd64", b->name);
}

/* The one descriptor of an index that fits, or NULL with a sentence. */
static const cJSON *choose_manifest(const struct sh_blobs *b, const cJSON *index, const char *tag,
                                    struct sh_error *err)
{
    const cJSON *list = sv_json_get(index, "manifests"), *d, *best = NULL;
    int best_fit = -1, count = 0;
    cJSON_ArrayForEach(d, list)
    {
        int fit = platform_fit(d);
        if ((tag && !has_tag(d, tag)) || fit < 0)
            continue;
        count = fit > best_fit ? 1 : count + (fit == best_fit);
        if (fit > best_fit) {
            best = d;
            best_fit = fit;
        }
    }
    if (count == 1)
        return best;
    no_choice(b, list, tag, err);
    return NULL;
}

/* Goes from an index to the image manifest for this machine. */
static int find_manifest(struct sh_blobs *b, const char *tag, cJSON **manifest,
                         struct sh_error *err)
{
    int r = sh_blobs_json(b, "index.json", NULL, manifest, err);
    for (int depth = 0; !r; depth++) {
        if (cJSON_IsArray(sv_json_get(*manifest, "layers")))
            return 0;
        const cJSON *d =
            depth < DEPTH_MAX ? choose_manifest(b, *manifest, depth ? NULL : tag, err) : NULL;
        const char *digest = d ? sv_json_string(d, "digest") : NULL;
        cJSON *next = NULL;
        if (!d) {
            r = sh_fail(err, -EBADMSG, "%s has indexes in indexes, too many", b->name);
        } else if (!digest || !sh_digest_ok(digest)) {
            r = sh_fail(err, -EBADMSG, "%s: the index has no valid digest", b->name);
        } else {
            cleanup_free char *path = sh_blob_path(digest);
            r = sh_blobs_json(b, path, digest, &next, err);
        }
        cJSON_Delete(*manifest);
        *manifest = next;
    }
    return r;
}

/* --- layers --- */

static int read_layers(struct sh_blobs *b, const cJSON *manifest, const cJSON *image,
                       struct sh_tree *tree, struct sh_progress *progress, struct sh_error *err)
{
    const cJSON *layers = sv_json_get(manifest, "layers"), *layer;
    const cJSON *ids = sv_json_get(cJSON_GetObjectItemCaseSensitive(image, "rootfs"), "diff_ids");
    int count = cJSON_GetArraySize(layers), k = 0;
    if (count < 1 || count > LAYERS_MAX || (ids && cJSON_GetArraySize(ids) != count))
        return sh_fail(err, -EBADMSG, "%s: manifest and configuration do not agree on the layers",
                       b->name);
    const cJSON *id = ids ? ids->child : NULL;
    cJSON_ArrayForEach(layer, layers)
    {
        const char *digest = sv_json_string(layer, "digest"),
                   *type = sv_json_string(layer, "mediaType");
        const char *diff_id = id ? cJSON_GetStringValue(id) : NULL;
        const cJSON *size = sv_json_get(layer, "size");
        if (!digest || !sh_digest_ok(digest) || !cJSON_IsNumber(size) || size->valuedouble < 0 ||
            (ids && (!diff_id || !sh_digest_ok(diff_id))))
            return sh_fail(err, -EBADMSG, "%s: layer %d has no valid digest or size", b->name, k);
        if (type && strstr(type, "encrypted"))
            return sh_fail(err, -ENOTSUP, "%s: layer %d is encrypted; build from a plain image",
                           b->name, k);
        cleanup_free char *path = sh_blob_path(digest);
        int r = sh_blobs_layer(b, path, digest, (int64_t)size->valuedouble, diff_id, tree, progress,
                               err);
        if (r)
            return r;
        id = id ? id->next : NULL;
        k++;
    }
    return 0;
}

static int read_layout(struct sh_blobs *b, const char *tag, struct sh_tree *tree,
                       struct sh_config *config, struct sh_progress *progress, struct sh_error *err)
{
    cJSON *manifest = NULL, *image = NULL;
    int r = find_manifest(b, tag, &manifest, err);
    const cJSON *d = sv_json_get(manifest, "config");
    const char *digest = sv_json_string(d, "digest");
    if (!r && (!digest || !sh_digest_ok(digest)))
        r = sh_fail(err, -EBADMSG, "%s: the manifest names no configuration", b->name);
    if (!r) {
        cleanup_free char *path = sh_blob_path(digest);
        r = sh_blobs_json(b, path, digest, &image, err);
    }
    if (!r)
        r = sh_oci_config(image, b->name, config, err);
    if (!r)
        r = read_layers(b, manifest, image, tree, progress, err);
    cJSON_Delete(manifest);
    cJSON_Delete(image);
    return r;
}

/* --- references --- */

/* Splits PATH[:TAG]: the longest PATH that exists. */
static int split_reference(const char *text, char **path, char **tag, struct sh_error *err)
{
    struct stat st;
    for (size_t n = strlen(text); n;) {
        cleanup_free char *candidate = sh_format("%.*s", (int)n, text);
        if (!stat(candidate, &st)) {
            *path = sh_take_ptr(candidate);
            *tag = text[n] ? sh_strdup(text + n + 1) : NULL;
            return 0;
        }
        while (n && text[--n] != ':')
            ;
    }
    return sh_fail(err, -ENOENT, "there is no %s", text);
}

int sh_oci_read(const char *reference, struct sh_tree *tree, struct sh_config *config, int work_fd,
                struct sh_progress *progress, struct sh_error *err)
{
    static const struct {
        const char *prefix;
        bool folder, docker;
    } kinds[] = {
        {"oci:", true, false}, {"oci-archive:", false, false}, {"docker-archive:", false, true}};
    size_t k = 0;
    while (k < 3 && strncmp(reference, kinds[k].prefix, strlen(kinds[k].prefix)))
        k++;
    if (k == 3)
        return sh_fail(
            err, -EINVAL,
            "'%s' is not oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:TAG]",
            reference);
    struct sh_blobs b;
    cleanup_free char *path = NULL, *tag = NULL;
    int r = split_reference(reference + strlen(kinds[k].prefix), &path, &tag, err);
    if (r)
        return r;
    r = sh_blobs_open(&b, path, kinds[k].folder, work_fd, tree->budget, progress, err);
    if (!r)
        r = kinds[k].docker ? sh_docker_read(&b, tag, tree, config, progress, err)
                            : read_layout(&b, tag, tree, config, progress, err);
    sh_blobs_close(&b);
    return r;
}
