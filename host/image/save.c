// SPDX-License-Identifier: Apache-2.0
// Writes an image as one file.
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>

#include "host/store/base_files.h"
#include "host/base/progress.h"
#include "host/store/signature.h"
#include "host/image/transfer.h"

struct saver {
    struct archive *archive;
    struct sh_progress *progress;
    struct sh_error *err;
};

static int report_failed(struct saver *s)
{
    int code = archive_errno(s->archive);
    return sh_fail(s->err, code > 0 ? -code : -EIO, "cannot write the saved image: %s",
                   code > 0 ? strerror(code) : "unknown error");
}

/* The same fields for everybody: two saves of one image are equal. */
static int write_header(struct saver *s, const char *name, uint64_t size)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)size);
    archive_entry_set_mtime(e, 0, 0);
    int r = archive_write_header(s->archive, e);
    archive_entry_free(e);
    return r < ARCHIVE_WARN ? report_failed(s) : 0;
}

static int write_bytes(struct saver *s, const void *data, size_t size)
{
    return archive_write_data(s->archive, data, size) == (la_ssize_t)size ? 0 : report_failed(s);
}

static int write_file(struct saver *s, const struct sh_image *image, const char *name)
{
    struct stat st;
    cleanup_free uint8_t *buffer = sh_alloc(1 << 18);
    cleanup_close int fd = openat(image->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return sh_fail_errno(s->err, -errno, "image %.12s in the store lacks %s", image->id, name);
    int r = write_header(s, name, (uint64_t)st.st_size);
    for (off_t at = 0; !r && at < st.st_size;) {
        size_t n = st.st_size - at < 1 << 18 ? (size_t)(st.st_size - at) : 1 << 18;
        r = sh_pread_all(fd, buffer, n, at);
        if (r)
            return sh_fail_errno(s->err, r, "cannot read %s of image %.12s", name, image->id);
        r = write_bytes(s, buffer, n);
        at += (off_t)n;
        sh_progress_show(s->progress, "saving", (uint64_t)at, (uint64_t)st.st_size);
    }
    return r;
}

static int write_head(struct saver *s, struct sh_store *store, const struct sh_image *image)
{
    struct sh_strings tags = {0};
    int r = sh_store_tags(store, image->id, &tags, s->err);
    cJSON *top = cJSON_CreateObject();
    cJSON_AddNumberToObject(top, "version", 1);
    cJSON_AddStringToObject(top, "id", image->id);
    cJSON *list = cJSON_AddArrayToObject(top, "tags");
    for (size_t i = 0; i < tags.count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(tags.v[i]));
    cleanup_free char *text = cJSON_Print(top);
    cJSON_Delete(top);
    sh_strings_free(&tags);
    if (!r)
        r = write_header(s, "shelter.json", strlen(text));
    return r ? r : write_bytes(s, text, strlen(text));
}

int sh_image_save(struct sh_store *store, const char *reference, int fd,
                  struct sh_progress *progress, struct sh_error *err)
{
    static const char *const names[] = {"manifest",     "reference.json",   "base/vmlinux",
                                        "base/bzImage", "base/initramfs",   "base/enclave",
                                        SH_SIGNATURE,   SH_SIGNATURE_DEBUG, "root.img"};
    struct sh_image image;
    struct saver s = {.progress = progress, .err = err};
    int r = sh_image_open(store, reference, &image, err);
    if (r)
        return r;
    s.archive = archive_write_new();
    archive_write_set_format_pax_restricted(s.archive);
    archive_write_add_filter_none(s.archive);
    archive_write_set_bytes_in_last_block(s.archive, 1);
    if (archive_write_open_fd(s.archive, fd) < ARCHIVE_WARN)
        r = report_failed(&s);
    if (!r)
        r = write_head(&s, store, &image);
    for (size_t i = 0; !r && i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(names[i], "base/", 5) || !faccessat(image.dir_fd, names[i], F_OK, 0))
            r = write_file(&s, &image, names[i]);
    if (!r && image.manifest.has_sites)
        r = write_file(&s, &image, "sites.bin");
    struct sh_data_file data;
    for (size_t i = 0; !r && sh_image_data(&image.manifest, i, &data); i++)
        r = write_file(&s, &image, data.name);
    if (!r && archive_write_close(s.archive) < ARCHIVE_WARN)
        r = report_failed(&s);
    archive_write_free(s.archive);
    sh_image_close(&image);
    return r;
}
