// SPDX-License-Identifier: Apache-2.0
// The reference values of an image, for whoever is going to trust them.
#include "host/image/write/reference_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "host/image/write/reference.h"
#include "host/store/store.h"
#include "lib/hex.h"
#include "lib/sha2.h"
#include "verifier/base/json_read.h"

#define REFERENCE_MAX (1u << 20)

void sh_reference_note(size_t left_out)
{
    if (left_out)
        fprintf(
            stderr,
            "shelter: note: %zu of its reference values are for firmware that is not here, so that "
            "nobody can check them, and were left out; name the firmware by --firmware TEE=FILE\n",
            left_out);
}

static int compute(int dir_fd, const char *id, const struct sh_strings *firmware, char **json,
                   struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    struct sh_error ignored = {0};
    cJSON *reference = NULL;
    size_t size, left_out;
    bool there = !sh_read_file(dir_fd, "reference.json", REFERENCE_MAX, &text, &size, &ignored);
    cJSON *claimed = there ? sv_json_read(text, size, SV_JSON_VALUES_MAX, NULL, 0) : NULL;
    int r = sh_reference_compute(dir_fd, id, firmware, claimed, &reference, &left_out, err);
    cJSON_Delete(claimed);
    if (r)
        return r;
    sh_reference_note(left_out);
    *json = cJSON_Print(reference);
    cJSON_Delete(reference);
    return *json ? 0 : sh_fail(err, -ENOMEM, "no memory for the reference values");
}

/* A folder's identity is its manifest's digest, whatever the folder is called. */
static int compute_folder(const char *path, const struct sh_strings *firmware, char **json,
                          struct sh_error *err)
{
    cleanup_free uint8_t *manifest = NULL;
    uint8_t digest[SH_ID_SIZE];
    char id[SH_ID_TEXT_SIZE];
    size_t size;
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot open %s", path);
    int r = sh_read_file(fd, "manifest", SH_MANIFEST_SIZE_MAX, &manifest, &size, err);
    if (r)
        return r;
    sh_sha384(digest, manifest, size);
    sh_hex(id, digest, sizeof(digest));
    return compute(fd, id, firmware, json, err);
}

bool sh_is_path(const char *text)
{
    return *text == '/' || *text == '.';
}

int sh_image_reference(const char *name, const struct sh_strings *firmware, char **json,
                       struct sh_error *err)
{
    struct sh_store store;
    struct sh_image image;
    if (sh_is_path(name))
        return compute_folder(name, firmware, json, err);
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_image_open(&store, name, &image, err);
    if (!r) {
        r = compute(image.dir_fd, image.id, firmware, json, err);
        sh_image_close(&image);
    }
    sh_store_close(&store);
    return r;
}
