// SPDX-License-Identifier: Apache-2.0
// Archives into a tree: libarchive takes them apart, every name is looked up inside the root.
#include "host/image/input/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "host/image/input/acl.h"
#include "host/image/input/gzip.h"
#include "host/base/progress.h"

#define READ_SIZE (1u << 17)

struct reader {
    struct sh_tree *tree;
    struct sh_source *source;
    bool layer;
    bool ended; /* by a last file without padding */
    struct sh_progress *progress;
    struct sh_error *err;
    struct archive *archive;
    uint64_t bytes; /* of files, for the progress line */
    uint8_t buffer[READ_SIZE];
};

/* --- sources --- */

static int read_fd(struct sh_source *source, void *buffer, size_t size, struct sh_error *err)
{
    struct sh_file_source *s = (struct sh_file_source *)source;
    ssize_t n;
    do
        n = read(s->fd, buffer, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return sh_fail_errno(err, -errno, "cannot read %s", source->name);
    s->done += (uint64_t)n;
    return (int)n;
}

void sh_file_source(struct sh_file_source *s, int fd, const char *name)
{
    *s = (struct sh_file_source){.source = {.read = read_fd, .name = name, .outside = true},
                                 .fd = fd};
}

static la_ssize_t on_read(struct archive *a, void *context, const void **data)
{
    struct reader *r = context;
    int n = r->source->read(r->source, r->buffer, sizeof(r->buffer), r->err);
    *data = r->buffer;
    if (n < 0)
        archive_set_error(a, -n, "%s", r->err->text);
    return n < 0 ? ARCHIVE_FATAL : n;
}

/* --- entries --- */

static int archive_failed(struct reader *r)
{
    const char *why = archive_error_string(r->archive);
    return sh_fail(r->err, -EBADMSG, "%s is damaged or not a tar archive: %s", r->source->name,
                   why ? why : "unknown error");
}

/* Puts an entry's name before a sentence about its path. */
static int entry_failed(struct reader *r, int code)
{
    struct sh_error inner = *r->err;
    r->err->text[0] = 0;
    return sh_fail(r->err, code, "%s is refused: %s", r->source->name, inner.text);
}

/* A layer whose last file lacks its padding to 512 bytes, as some tools write them (umoci insert):
 * all data was read, only the skip to the next header failed. */
static bool padding_missing(struct reader *r)
{
    const char *why = archive_error_string(r->archive);
    return r->layer && !r->err->text[0] && why && !strncmp(why, "Truncated input file", 20);
}

/* "docker.tar: layer 1: 'a/file'"; owned by the caller. */
static char *name_entry(const struct reader *r, struct archive_entry *e)
{
    return sh_format("%s: '%.200s'", r->source->name, archive_entry_pathname(e));
}

/* Asks before a file gets its room. */
static int claim_file(struct reader *r, struct archive_entry *e, int64_t size)
{
    int64_t offset, length, data = 0;
    cleanup_free char *name = name_entry(r, e);
    int parts = archive_entry_sparse_reset(e);
    while (archive_entry_sparse_next(e, &offset, &length) == ARCHIVE_OK)
        data += length;
    return sh_budget_claim(r->tree->budget, (uint64_t)size, (uint64_t)(parts > 0 ? data : size),
                           name, r->err);
}

/* Bytes of the entry, or holes, that came out of the archive. */
static int count_bytes(struct reader *r, struct archive_entry *e, uint64_t size)
{
    struct sh_error why = {0};
    if (!sh_budget_expand(r->tree->budget, size, "", &why))
        return 0;
    r->tree->budget->expanded -= size;
    cleanup_free char *name = name_entry(r, e);
    return sh_budget_expand(r->tree->budget, size, name, r->err);
}

static int read_data(struct reader *r, struct archive_entry *e, struct sh_inode *inode)
{
    int64_t size = archive_entry_size(e);
    if (size < 0 || !archive_entry_size_is_set(e))
        size = 0;
    int code = claim_file(r, e, size);
    if (!code)
        code = sh_tree_reserve(r->tree, (uint64_t)size, &inode->spool, r->err);
    if (code)
        return code;
    inode->size = (uint64_t)size;
    int64_t end = 0; /* of what was read */
    for (;;) {
        const void *data;
        size_t n;
        la_int64_t offset;
        int a = archive_read_data_block(r->archive, &data, &n, &offset);
        if (a == ARCHIVE_EOF)
            return count_bytes(r, e, (uint64_t)(size - end));
        if (a < ARCHIVE_WARN && end == size && padding_missing(r)) {
            r->ended = true;
            return 0;
        }
        if (a < ARCHIVE_WARN)
            return r->err->text[0] ? -EIO : archive_failed(r);
        if (offset < 0 || offset > size || (int64_t)n > size - offset)
            return sh_fail(r->err, -EBADMSG, "%s is damaged: a file is longer than its header says",
                           r->source->name);
        code = count_bytes(r, e, (uint64_t)(offset + (int64_t)n - end));
        if (code)
            return code;
        code = sh_pwrite_all(r->tree->spool_fd, data, n, (off_t)(inode->spool + (uint64_t)offset));
        if (code)
            return sh_fail_errno(r->err, code, "cannot write the root file system into the store");
        end = offset + (int64_t)n;
        r->bytes += n;
        sh_progress_show(r->progress, "reading the root file system", r->bytes, 0);
    }
}

static int read_attributes(struct reader *r, struct archive_entry *e, struct sh_inode *inode)
{
    const char *name;
    const void *value;
    size_t size;
    int code = 0;
    archive_entry_xattr_reset(e);
    while (!code && archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK)
        code = sh_tree_xattr(inode, name, value, size, r->err);
    return code ? code : sh_acl_take(inode, e, r->err);
}

static void set_owner(struct sh_inode *inode, struct archive_entry *e)
{
    inode->mode = (inode->mode & S_IFMT) | (archive_entry_perm(e) & 07777);
    if (S_ISLNK(inode->mode))
        inode->mode = S_IFLNK | 0777;
    inode->uid = (uint32_t)archive_entry_uid(e);
    inode->gid = (uint32_t)archive_entry_gid(e);
    inode->mtime = archive_entry_mtime(e);
    inode->mtime_nsec = (uint32_t)archive_entry_mtime_nsec(e);
}

/* What Linux has for a device number, in erofs's form. */
static uint32_t device_of(struct archive_entry *e)
{
    uint32_t major = (uint32_t)archive_entry_rdevmajor(e),
             minor = (uint32_t)archive_entry_rdevminor(e);
    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12;
}

static int add_hardlink(struct reader *r, const char *path, const char *target,
                        struct sh_inode *folder, const char *name)
{
    struct sh_inode *from;
    cleanup_free char *target_name = NULL;
    target += strspn(target, "/"); /* from the root on, as docker takes it */
    int code = sh_tree_parent(r->tree, target, false, &from, &target_name, r->err);
    if (code && code != -ENOENT)
        return entry_failed(r, code);
    struct sh_entry *there = code || !*target_name ? NULL : sh_tree_entry(from, target_name);
    if (!there || S_ISDIR(there->inode->mode)) {
        r->err->text[0] = 0;
        return sh_fail(r->err, -EBADMSG, "%s is damaged: '%s' is a hard link to '%s', which is %s",
                       r->source->name, path, target, there ? "a folder" : "not there");
    }
    if (from == folder && !strcmp(target_name, name)) {
        there->layer = r->tree->layer;
        return 0;
    }
    return sh_tree_link(r->tree, folder, name, there->inode, r->err);
}

static int add_folder(struct reader *r, struct archive_entry *e, struct sh_inode *folder,
                      const char *name)
{
    struct sh_inode *made = r->tree->root;
    int code = *name ? sh_tree_add_folder(r->tree, folder, name, &made, r->err) : 0;
    if (code)
        return code;
    /* An upper layer's folder takes the lower one's place, but keeps what is in it. */
    for (size_t i = 0; i < made->xattr_count; i++)
        free(made->xattrs[i].data);
    made->xattr_count = 0;
    set_owner(made, e);
    return read_attributes(r, e, made);
}

static int add_node(struct reader *r, struct archive_entry *e, const char *path, uint32_t type,
                    struct sh_inode *folder, const char *name)
{
    struct sh_inode *inode = sh_tree_inode(r->tree, type);
    int code = 0;
    set_owner(inode, e);
    if (S_ISLNK(type)) {
        const char *target = archive_entry_symlink(e);
        if (!target || !*target || strlen(target) >= PATH_MAX)
            code = sh_fail(r->err, -EBADMSG,
                           "%s is damaged: '%s' is a symbolic link without a valid target",
                           r->source->name, path);
        else
            inode->target = sh_strdup(target);
    } else if (S_ISCHR(type) || S_ISBLK(type)) {
        inode->device = device_of(e);
    } else if (S_ISREG(type)) {
        code = read_data(r, e, inode);
    }
    if (!code)
        code = read_attributes(r, e, inode);
    if (!code)
        code = sh_tree_link(r->tree, folder, name, inode, r->err);
    if (code)
        sh_tree_inode_drop(inode);
    return code;
}

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

/* 1: it was one. */
static int apply_whiteout(struct reader *r, struct sh_inode *folder, const char *name)
{
    if (!r->layer || strncmp(name, WHITEOUT, strlen(WHITEOUT)))
        return 0;
    const char *hidden = name + strlen(WHITEOUT);
    if (!strcmp(name, OPAQUE))
        sh_tree_opaque(r->tree, folder);
    else if (strncmp(hidden, WHITEOUT, strlen(WHITEOUT)) && *hidden)
        sh_tree_whiteout(r->tree, folder, hidden); /* else: another mark of aufs, without meaning */
    return 1;
}

static int add_entry(struct reader *r, struct archive_entry *e)
{
    const char *path = archive_entry_pathname(e), *target = archive_entry_hardlink(e);
    uint32_t type = archive_entry_filetype(e);
    struct sh_inode *folder;
    cleanup_free char *name = NULL;
    if (!path || !*path)
        return sh_fail(r->err, -EBADMSG, "%s is damaged: an entry has no name", r->source->name);
    if (strlen(path) >= PATH_MAX)
        return sh_fail(r->err, -ENAMETOOLONG, "%s is refused: the name '%.40s...' is too long",
                       r->source->name, path);
    if (archive_entry_uid(e) < 0 || archive_entry_uid(e) > UINT32_MAX || archive_entry_gid(e) < 0 ||
        archive_entry_gid(e) > UINT32_MAX)
        return sh_fail(r->err, -ERANGE, "%s is refused: the owner of '%s' is beyond 32 bits",
                       r->source->name, path);
    int code = sh_tree_parent(r->tree, path, true, &folder, &name, r->err);
    if (code)
        return entry_failed(r, code);
    if (apply_whiteout(r, folder, name))
        return 0;
    /* A hard link's type says nothing, so it comes first. */
    if (target && *name)
        return add_hardlink(r, path, target, folder, name);
    if (type == AE_IFDIR)
        return add_folder(r, e, folder, name);
    if (!*name)
        return sh_fail(r->err, -EBADMSG, "%s is refused: the root is not a folder in it",
                       r->source->name);
    switch (type) {
    case AE_IFREG:
    case AE_IFLNK:
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
    case AE_IFSOCK:
        return add_node(r, e, path, type, folder, name);
    default:
        return sh_fail(r->err, -EBADMSG, "%s is damaged: '%s' is of an unknown kind",
                       r->source->name, path);
    }
}

/* libarchive takes an end without the tar's end mark for a good one; a cut file looks like that. A
 * layer's digest tells, and there are tools that write layers without the mark. */
static int end_of_archive(struct reader *r, size_t count)
{
    if (r->layer && count)
        return 0;
    if (archive_filter_bytes(r->archive, 0) <= archive_read_header_position(r->archive))
        return sh_fail(r->err, -EBADMSG, "%s is %s", r->source->name,
                       count ? "cut off: it has no end mark" : "empty");
    return 0;
}

/* To the end of a gzip, where its checksum stands; of what is not gzip no more is read. */
static int check_rest(struct reader *r)
{
    int n = 1;
    while (n > 0 && sh_gzip_is(r->source))
        n = r->source->read(r->source, r->buffer, sizeof(r->buffer), r->err);
    return n < 0 ? n : 0;
}

static int read_entries(struct reader *r)
{
    struct archive_entry *e;
    for (size_t count = 0; !r->ended; count++) {
        int a = archive_read_next_header(r->archive, &e);
        if (a == ARCHIVE_EOF)
            return end_of_archive(r, count);
        if (a < ARCHIVE_WARN)
            return r->err->text[0] ? -EIO : archive_failed(r);
        int code = count_bytes(r, e, 512);
        if (!code)
            code = add_entry(r, e);
        bool named = !strncmp(r->err->text, r->source->name, strlen(r->source->name));
        if ((code == -ENAMETOOLONG || code == -E2BIG) && !named)
            return entry_failed(r, code);
        if (code)
            return code;
    }
    return 0;
}

int sh_tar_read(struct sh_tree *tree, struct sh_source *source, bool layer,
                struct sh_progress *progress, struct sh_error *err)
{
    struct reader *r = sh_alloc(sizeof(*r));
    r->tree = tree;
    r->source = sh_gzip_source(source, tree->budget);
    r->layer = layer;
    r->progress = progress;
    r->err = err;
    r->archive = archive_read_new();
    tree->strict_links = !layer;
    tree->layer++;
    archive_read_support_format_tar(r->archive);
    archive_read_support_filter_zstd(r->archive);
    archive_read_support_filter_xz(r->archive);
    archive_read_support_filter_bzip2(r->archive);
    /* Names are bytes: no conversion from the archive's character set to the locale's. */
    archive_read_set_options(r->archive, "tar:hdrcharset=BINARY");
    int code = 0;
    if (archive_read_open(r->archive, r, NULL, on_read, NULL) < ARCHIVE_WARN)
        code = err->text[0] ? -EIO : archive_failed(r);
    else
        code = read_entries(r);
    if (!code)
        code = check_rest(r);
    archive_read_free(r->archive);
    sh_gzip_free(r->source);
    free(r);
    return code;
}

/* A regular file of the root folder that holds this text near its beginning. */
static bool root_file_says(struct sh_tree *t, const char *path, const char *text)
{
    char begin[4096] = "";
    const struct sh_inode *i = sh_tree_find(t, path);
    if (!i || !S_ISREG(i->mode))
        return false;
    size_t size = i->size < sizeof(begin) - 1 ? i->size : sizeof(begin) - 1;
    return !sh_pread_all(t->spool_fd, begin, size, (off_t)i->spool) && strstr(begin, text);
}

int sh_tar_rootfs(struct sh_tree *tree, const char *file, struct sh_progress *progress,
                  struct sh_error *err)
{
    struct sh_file_source source;
    bool standard_input = !strcmp(file, "-");
    cleanup_close int fd = standard_input ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot open %s", file);
    sh_file_source(&source, fd, standard_input ? "standard input" : file);
    return sh_tar_read(tree, &source.source, false, progress, err);
}

int sh_tar_refuse_image(struct sh_tree *t, const char *file, struct sh_error *err)
{
    bool docker = root_file_says(t, "manifest.json", "\"Layers\"");
    bool oci = root_file_says(t, "oci-layout", "imageLayoutVersion");
    if (!docker && !oci)
        return 0;
    return sh_fail(err, -EINVAL,
                   "%s is not a root file system but an image with its layers; write %s:%s, not -r",
                   file, docker ? "docker-archive" : "oci-archive", file);
}
