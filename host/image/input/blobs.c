// SPDX-License-Identifier: Apache-2.0
// Blobs of an OCI layout: found, read, and compared with their digests.
#include "host/image/input/blobs.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/evp.h>

#include "host/base/progress.h"
#include "host/image/input/gzip.h"
#include "lib/hex.h"
#include "verifier/base/json_read.h"

int sh_blobs_open(struct sh_blobs *b, const char *path, bool folder, int work_fd,
                  struct sh_budget *budget, struct sh_progress *progress, struct sh_error *err)
{
    *b = (struct sh_blobs){.name = path, .dir_fd = -1};
    if (folder) {
        b->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return b->dir_fd < 0 ? sh_fail_errno(err, -errno, "cannot open the OCI layout %s", path)
                             : 0;
    }
    int r = sh_tree_init(&b->archive, work_fd, err);
    b->archive.budget = budget;
    return r ? r : sh_tar_rootfs(&b->archive, path, progress, err);
}

void sh_blobs_close(struct sh_blobs *b)
{
    if (b->dir_fd >= 0)
        close(b->dir_fd);
    b->dir_fd = -1;
    sh_tree_free(&b->archive);
}

bool sh_digest_ok(const char *digest)
{
    size_t n;
    if (!strncmp(digest, "sha256:", 7))
        n = 64;
    else if (!strncmp(digest, "sha512:", 7))
        n = 128;
    else
        return false;
    return strlen(digest) == 7 + n && strspn(digest + 7, "0123456789abcdef") == n;
}

char *sh_blob_path(const char *digest)
{
    return sh_format("blobs/%.6s/%s", digest, digest + 7);
}

/* --- a file and its digest --- */

struct blob {
    struct sh_source source;
    int fd;
    bool owned; /* the descriptor */
    uint64_t at, end;
    EVP_MD_CTX *hash; /* NULL: not asked for */
};

static int read_blob(struct sh_source *source, void *buffer, size_t size, struct sh_error *err)
{
    struct blob *b = (struct blob *)source;
    size_t n = b->end - b->at < size ? (size_t)(b->end - b->at) : size;
    int r = sh_pread_all(b->fd, buffer, n, (off_t)b->at);
    if (r)
        return sh_fail_errno(err, r, "cannot read %s", source->name);
    if (b->hash && !EVP_DigestUpdate(b->hash, buffer, n))
        return sh_fail(err, -EIO, "OpenSSL cannot compute a digest");
    b->at += n;
    return (int)n;
}

static EVP_MD_CTX *start_digest(const char *digest)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash && !EVP_DigestInit_ex(hash, digest[3] == '2' ? EVP_sha256() : EVP_sha512(), NULL)) {
        EVP_MD_CTX_free(hash);
        hash = NULL;
    }
    return hash;
}

static int compare_digest(EVP_MD_CTX *hash, const char *digest, const char *name,
                          struct sh_error *err)
{
    uint8_t raw[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned n = 0;
    if (!EVP_DigestFinal_ex(hash, raw, &n))
        return sh_fail(err, -EIO, "OpenSSL cannot compute a digest");
    sh_hex(text, raw, n);
    if (strcmp(text, digest + 7))
        return sh_fail(
            err, -EBADMSG,
            "%s does not have the digest %.19s... that it should: it was changed or truncated",
            name, digest);
    return 0;
}

static void blob_close(struct blob *b)
{
    if (b->owned && b->fd >= 0)
        close(b->fd);
    EVP_MD_CTX_free(b->hash);
    *b = (struct blob){.fd = -1};
}

static int blob_open(struct sh_blobs *blobs, const char *path, const char *digest, const char *name,
                     struct blob *b, struct sh_error *err)
{
    *b = (struct blob){.source = {.read = read_blob, .name = name}, .fd = -1};
    if (blobs->dir_fd >= 0) {
        struct stat st;
        /* Not to wait on a fifo that stands in a blob's place. */
        b->fd = openat(blobs->dir_fd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        b->owned = b->source.outside = true;
        if (b->fd < 0 || fstat(b->fd, &st))
            return sh_fail_errno(err, -errno, "%s lacks %s", blobs->name, path);
        if (!S_ISREG(st.st_mode))
            return sh_fail(err, -EINVAL, "%s: %s is not a file", blobs->name, path);
        b->end = (uint64_t)st.st_size;
    } else {
        const struct sh_inode *i = sh_tree_find(&blobs->archive, path);
        if (!i || !S_ISREG(i->mode))
            return sh_fail(err, -ENOENT, "%s lacks %s", blobs->name, path);
        b->fd = blobs->archive.spool_fd;
        b->at = i->spool;
        b->end = i->spool + i->size;
    }
    if (digest) {
        b->hash = start_digest(digest);
        if (!b->hash)
            return sh_fail(err, -EIO, "OpenSSL cannot compute a digest");
    }
    return 0;
}

int sh_blobs_json(struct sh_blobs *blobs, const char *path, const char *digest, cJSON **json,
                  struct sh_error *err)
{
    struct blob b;
    cleanup_free char *name = sh_format("%s: %s", blobs->name, path);
    cleanup_free char *text = NULL;
    *json = NULL;
    int r = blob_open(blobs, path, digest, name, &b, err);
    uint64_t size = r ? 0 : b.end - b.at;
    if (!r && size > SH_BLOB_JSON_MAX)
        r = sh_fail(err, -EFBIG, "%s is larger than 4 MiB", name);
    if (!r) {
        text = sh_alloc((size_t)size + 1);
        r = read_blob(&b.source, text, (size_t)size, err);
        r = r < 0 ? r : digest ? compare_digest(b.hash, digest, name, err) : 0;
    }
    blob_close(&b);
    if (r)
        return r;
    *json = sv_json_read(text, (size_t)size, SV_JSON_VALUES_MAX, NULL, 0);
    return *json ? 0 : sh_fail(err, -EBADMSG, "%s is not JSON", name);
}

/* --- layers --- */

/* Takes the compression off, and hashes what is inside. */
struct inflated {
    struct sh_source source;
    struct sh_source *from;
    struct archive *archive;
    struct sh_error *err;
    EVP_MD_CTX *hash;
    struct sh_budget *budget; /* or NULL */
    uint8_t buffer[1 << 17];
};

static la_ssize_t feed_archive(struct archive *a, void *context, const void **data)
{
    struct inflated *f = context;
    int n = f->from->read(f->from, f->buffer, sizeof(f->buffer), f->err);
    *data = f->buffer;
    if (n < 0)
        archive_set_error(a, -n, "%s", f->err->text);
    return n < 0 ? ARCHIVE_FATAL : n;
}

static int read_inflated(struct sh_source *source, void *buffer, size_t size, struct sh_error *err)
{
    struct inflated *f = (struct inflated *)source;
    la_ssize_t n = archive_read_data(f->archive, buffer, size);
    if (n < 0)
        return sh_fail(err, -EBADMSG, "%s is damaged: %s", source->name,
                       archive_error_string(f->archive));
    if (f->hash && !EVP_DigestUpdate(f->hash, buffer, (size_t)n))
        return sh_fail(err, -EIO, "OpenSSL cannot compute a digest");
    int r = sh_budget_expand(f->budget, (uint64_t)n, source->name, err);
    return r ? r : (int)n;
}

static int drain_source(struct sh_source *s, struct sh_error *err)
{
    cleanup_free uint8_t *buffer = sh_alloc(1 << 16);
    int n;
    while ((n = s->read(s, buffer, 1 << 16, err)) > 0)
        ;
    return n;
}

static int open_inflated(struct inflated *f, struct sh_error *err)
{
    struct archive_entry *e;
    archive_read_support_format_raw(f->archive);
    archive_read_support_filter_zstd(f->archive);
    archive_read_support_filter_xz(f->archive);
    archive_read_support_filter_bzip2(f->archive);
    if (archive_read_open(f->archive, f, NULL, feed_archive, NULL) < ARCHIVE_WARN ||
        archive_read_next_header(f->archive, &e) != ARCHIVE_OK)
        return sh_fail(err, -EBADMSG, "%s is damaged: %s", f->source.name,
                       archive_error_string(f->archive) ? archive_error_string(f->archive)
                                                        : "it is empty");
    return 0;
}

int sh_blobs_layer(struct sh_blobs *blobs, const char *path, const char *digest, int64_t size,
                   const char *diff_id, struct sh_tree *tree, struct sh_progress *progress,
                   struct sh_error *err)
{
    struct blob b;
    cleanup_free char *name =
        sh_format("%s: layer %.24s", blobs->name, strncmp(path, "blobs/", 6) ? path : path + 13);
    struct inflated *f = sh_alloc(sizeof(*f));
    f->source = (struct sh_source){.read = read_inflated, .name = name};
    f->err = err;
    f->budget = tree->budget;
    f->archive = archive_read_new();
    int r = blob_open(blobs, path, digest, name, &b, err);
    f->from = sh_gzip_source(&b.source, tree->budget);
    if (!r && size >= 0 && b.end - b.at != (uint64_t)size)
        r = sh_fail(err, -EBADMSG, "%s has another size than the manifest says: it is truncated",
                    name);
    if (!r && diff_id && !(f->hash = start_digest(diff_id)))
        r = sh_fail(err, -EIO, "OpenSSL cannot compute a digest");
    if (!r)
        r = open_inflated(f, err);
    if (!r)
        r = sh_tar_read(tree, &f->source, true, progress, err);
    /* What stands behind the tar's end belongs to the digests too. */
    if (!r)
        r = drain_source(&f->source, err);
    if (!r)
        r = drain_source(f->from, err);
    if (!r)
        r = drain_source(&b.source, err);
    if (!r && digest)
        r = compare_digest(b.hash, digest, name, err);
    if (!r && diff_id)
        r = compare_digest(f->hash, diff_id, name, err);
    archive_read_free(f->archive);
    EVP_MD_CTX_free(f->hash);
    sh_gzip_free(f->from);
    free(f);
    blob_close(&b);
    return r;
}
