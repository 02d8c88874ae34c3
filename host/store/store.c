// SPDX-License-Identifier: Apache-2.0
// The store: where it is, finding and opening images.
#include "host/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "host/base/data_folder.h"
#include "host/store/store_tags.h"
#include "lib/bytes.h"
#include "lib/hex.h"
#include "lib/sha2.h"

#define ID_DIGITS (SH_ID_TEXT_SIZE - 1)

int sh_store_open(struct sh_store *store, struct sh_error *err)
{
    *store = (struct sh_store){.dir_fd = -1};
    store->path = sh_data_folder("SHELTER_STORE", "shelter", err);
    if (!store->path)
        return -ENOENT;
    int r = sh_make_dirs(store->path, 0700, err);
    if (!r) {
        store->dir_fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = store->dir_fd < 0 ? sh_fail_errno(err, -errno, "cannot open the store %s", store->path)
                              : 0;
    }
    static const char *const folders[] = {"images", "tags", "instances", "tmp"};
    for (size_t i = 0; !r && i < sizeof(folders) / sizeof(folders[0]); i++)
        if (mkdirat(store->dir_fd, folders[i], 0700) && errno != EEXIST)
            r = sh_fail_errno(err, -errno, "cannot create a folder in the store %s", store->path);
    if (r)
        sh_store_close(store);
    return r;
}

void sh_store_close(struct sh_store *store)
{
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    free(store->path);
    *store = (struct sh_store){.dir_fd = -1};
}

/* --- finding --- */

struct found {
    char id[SH_ID_TEXT_SIZE];
    int64_t created; /* nanoseconds */
};

static int newest_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->created != y->created)
        return x->created < y->created ? 1 : -1;
    return strcmp(x->id, y->id);
}

/* Lists images whose id starts with `prefix`. */
static int list_images(struct sh_store *store, const char *prefix, struct found **list,
                       size_t *count, struct sh_error *err)
{
    *list = NULL;
    *count = 0;
    cleanup_closedir DIR *dir = sh_open_folder(store->dir_fd, "images", 0);
    if (!dir)
        return sh_fail_errno(err, -errno, "cannot read the store %s", store->path);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (strlen(e->d_name) != ID_DIGITS || !sh_is_id(e->d_name, ID_DIGITS) ||
            strncmp(e->d_name, prefix, strlen(prefix)))
            continue;
        cleanup_free char *path = sh_format("%s/manifest", e->d_name);
        if (fstatat(dirfd(dir), path, &st, 0))
            continue; /* just being removed */
        *list = sh_realloc_array(*list, *count + 1, sizeof(**list));
        struct found *f = &(*list)[(*count)++];
        memcpy(f->id, e->d_name, SH_ID_TEXT_SIZE);
        f->created = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    if (*count)
        qsort(*list, *count, sizeof(**list), newest_first);
    return 0;
}

int sh_store_images(struct sh_store *store, struct sh_strings *ids, struct sh_error *err)
{
    cleanup_free struct found *list = NULL;
    size_t count;
    int r = list_images(store, "", &list, &count, err);
    for (size_t i = 0; !r && i < count; i++)
        sh_strings_add(ids, list[i].id);
    return r;
}

int sh_store_resolve(struct sh_store *store, const char *reference, char id[SH_ID_TEXT_SIZE],
                     char **tag, struct sh_error *err)
{
    struct sh_error ignored = {0};
    cleanup_free char *full = sh_tag_full(reference, &ignored);
    *tag = NULL;
    if (full && !sh_store_read_tag(store, full, id)) {
        *tag = sh_take_ptr(full);
        return 0;
    }
    if (!sh_is_id(reference, 4))
        return sh_fail(err, -ENOENT,
                       "there is no image '%s'; 'shelter images' lists those there are", reference);
    cleanup_free struct found *list = NULL;
    size_t count;
    int r = list_images(store, reference, &list, &count, err);
    if (r)
        return r;
    if (count > 1)
        return sh_fail(err, -ENOTUNIQ, "'%s' begins the ids of %zu images; give more digits",
                       reference, count);
    if (!count)
        return sh_fail(err, -ENOENT,
                       "there is no image '%s'; 'shelter images' lists those there are", reference);
    memcpy(id, list[0].id, SH_ID_TEXT_SIZE);
    return 0;
}

/* --- opening --- */

static int read_manifest(struct sh_image *image, struct sh_error *err)
{
    uint8_t digest[SH_ID_SIZE];
    char id[SH_ID_TEXT_SIZE];
    int r = sh_read_file(image->dir_fd, "manifest", SH_MANIFEST_SIZE_MAX, &image->manifest_bytes,
                         &image->manifest_size, err);
    if (r)
        return r;
    sh_sha384(digest, image->manifest_bytes, image->manifest_size);
    sh_hex(id, digest, sizeof(digest));
    if (strcmp(id, image->id) ||
        sh_manifest_parse(&image->manifest, image->manifest_bytes, image->manifest_size))
        return sh_fail(
            err, -EBADMSG,
            "the manifest of image %.12s in the store was changed; remove the image with "
            "'shelter rmi -f %.12s' and build it again",
            image->id, image->id);
    return 0;
}

int sh_image_open(struct sh_store *store, const char *reference, struct sh_image *image,
                  struct sh_error *err)
{
    *image = (struct sh_image){.dir_fd = -1};
    cleanup_free char *tag = NULL;
    int r = sh_store_resolve(store, reference, image->id, &tag, err);
    if (r)
        return r;
    image->path = sh_format("%s/images/%s", store->path, image->id);
    image->dir_fd = open(image->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat held, there;
    /* Once locked, is it still the folder of that name? A removal or a rebuild may have won. */
    if (image->dir_fd < 0 || flock(image->dir_fd, LOCK_SH) || fstat(image->dir_fd, &held) ||
        stat(image->path, &there) || held.st_ino != there.st_ino)
        r = sh_fail(err, -ENOENT, "image '%s' was removed meanwhile; build it again", reference);
    if (!r)
        r = read_manifest(image, err);
    if (r)
        sh_image_close(image);
    return r;
}

void sh_image_close(struct sh_image *image)
{
    if (image->dir_fd >= 0)
        close(image->dir_fd);
    free(image->path);
    free(image->manifest_bytes);
    *image = (struct sh_image){.dir_fd = -1};
}

bool sh_image_data(const struct sh_manifest *m, size_t i, struct sh_data_file *out)
{
    struct sh_view v = sh_manifest_get(m, SH_TAG_DATA, i);
    if (!v.data)
        return false;
    *out = (struct sh_data_file){.size = sh_le64(v.data + 32), .root = v.data};
    snprintf(out->own, sizeof(out->own), "%.*s", (int)sh_le32(v.data + 40),
             (const char *)v.data + 44);
    snprintf(out->name, sizeof(out->name), "data-%s.img", out->own);
    return true;
}
