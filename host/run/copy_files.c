// SPDX-License-Identifier: Apache-2.0
// Tar streams to and from folders of the host.
#include "host/run/copy_files.h"

#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static la_ssize_t on_read(struct archive *a, void *context, const void **data)
{
    ssize_t n = sh_copy_read(context, data);
    if (n < 0)
        archive_set_error(a, (int)-n, "the stream broke off");
    return n < 0 ? ARCHIVE_FATAL : n;
}

static la_ssize_t on_write(struct archive *a, void *context, const void *data, size_t size)
{
    int r = sh_copy_write(context, data, size);
    if (r)
        archive_set_error(a, -r, "the guest stopped reading");
    return r ? -1 : (la_ssize_t)size;
}

static int archive_failed(struct archive *a, struct sh_error *err, const char *what)
{
    const char *why = archive_error_string(a);
    return sh_fail(err, -EIO, "cannot %s: %s", what, why ? why : "unknown error");
}

static struct archive *open_reader(struct sh_copy_stream *s)
{
    struct archive *a = archive_read_new();
    archive_read_support_format_tar(a);
    if (archive_read_open(a, s, NULL, on_read, NULL)) {
        archive_read_free(a);
        return NULL;
    }
    return a;
}

/* "./a//b" -> "a/b": what is left behind "./" and doubled slashes. */
static const char *skip_dots(const char *path)
{
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        path += strspn(path, "/");
    }
    return strcmp(path, ".") ? path : "";
}

/* The path below the archive's first component, put below `name`; NULL when nothing is left. */
static char *map_path(const char *path, bool strip, const char *name)
{
    path = skip_dots(path);
    if (strip) {
        path += strcspn(path, "/");
        path += strspn(path, "/");
    }
    if (!*path)
        return name ? sh_strdup(name) : NULL;
    return name ? sh_format("%s/%s", name, path) : sh_strdup(path);
}

static int copy_data(struct archive *in, struct archive *out, struct sh_error *err)
{
    const void *data;
    size_t size;
    la_int64_t offset;
    for (;;) {
        int r = archive_read_data_block(in, &data, &size, &offset);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r < ARCHIVE_WARN)
            return archive_failed(in, err, "read what the instance sends");
        if (archive_write_data_block(out, data, size, offset) < ARCHIVE_WARN)
            return archive_failed(out, err, "write the copy");
    }
}

static bool wanted_type(struct archive_entry *entry)
{
    mode_t type = archive_entry_filetype(entry);
    return type == AE_IFREG || type == AE_IFDIR || type == AE_IFLNK ||
           archive_entry_hardlink(entry);
}

int sh_copy_unpack(struct sh_copy_stream *s, const char *name, struct sh_error *err)
{
    struct archive *in = open_reader(s), *out = archive_write_disk_new();
    struct archive_entry *entry;
    bool first = true, strip = true;
    int r = 0, code;
    archive_write_disk_set_options(
        out, ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                 ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
    while (in && !r && (code = archive_read_next_header(in, &entry)) != ARCHIVE_EOF) {
        if (code < ARCHIVE_WARN) {
            r = archive_failed(in, err, "read what the instance sends");
            break;
        }
        const char *path = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
        if (!path || !wanted_type(entry))
            continue;
        if (first)
            strip = *skip_dots(path) != 0; /* a root that is "." has no component to strip */
        first = false;
        cleanup_free char *mapped = map_path(path, strip, name);
        cleanup_free char *mapped_link = link ? map_path(link, strip, name) : NULL;
        if (!mapped)
            continue;
        archive_entry_set_pathname(entry, mapped);
        if (link)
            archive_entry_set_hardlink(entry, mapped_link);
        archive_entry_set_perm(entry, archive_entry_perm(entry) & 0777);
        if (archive_write_header(out, entry) < ARCHIVE_WARN)
            r = archive_failed(out, err, "write the copy");
        else if (archive_entry_size(entry) > 0 && !link)
            r = copy_data(in, out, err);
        if (!r && archive_write_finish_entry(out) < ARCHIVE_WARN)
            r = archive_failed(out, err, "write the copy");
    }
    if (archive_write_close(out) < ARCHIVE_WARN && !r)
        r = archive_failed(out, err, "write the copy");
    archive_write_free(out);
    archive_read_free(in);
    return r;
}

int sh_copy_probe(struct sh_copy_stream *s)
{
    struct archive *in = open_reader(s);
    struct archive_entry *entry;
    int r = -ENOENT;
    if (in && archive_read_next_header(in, &entry) >= ARCHIVE_WARN && !s->status)
        r = archive_entry_filetype(entry) == AE_IFDIR;
    archive_read_free(in);
    return r;
}

static int pack_file(struct archive *disk, struct archive *out, struct archive_entry *entry,
                     struct sh_error *err)
{
    const void *data;
    size_t size;
    la_int64_t offset, at = 0;
    static const char zeros[32768];
    if (archive_write_header(out, entry) < ARCHIVE_WARN)
        return archive_failed(out, err, "send the copy");
    if (archive_entry_size(entry) <= 0)
        return 0;
    for (;;) {
        int r = archive_read_data_block(disk, &data, &size, &offset);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r < ARCHIVE_WARN)
            return archive_failed(disk, err, "read the source");
        for (; at < offset;) { /* holes travel as zeros */
            size_t n =
                offset - at < (la_int64_t)sizeof(zeros) ? (size_t)(offset - at) : sizeof(zeros);
            if (archive_write_data(out, zeros, n) < 0)
                return archive_failed(out, err, "send the copy");
            at += (la_int64_t)n;
        }
        if (archive_write_data(out, data, size) < 0)
            return archive_failed(out, err, "send the copy");
        at += (la_int64_t)size;
    }
}

static int pack_all(struct archive *disk, struct archive *out, const char *source, const char *name,
                    struct sh_error *err)
{
    struct archive_entry *entry = archive_entry_new();
    size_t prefix = strlen(source);
    int r = 0, code;
    while (!r && (code = archive_read_next_header2(disk, entry)) != ARCHIVE_EOF) {
        if (code < ARCHIVE_WARN) {
            r = archive_failed(disk, err, "read the source");
            break;
        }
        archive_read_disk_descend(disk);
        const char *rest = archive_entry_pathname(entry) + prefix;
        rest += strspn(rest, "/");
        cleanup_free char *path = !*rest ? (name ? sh_strdup(name) : NULL)
                                  : name ? sh_format("%s/%s", name, rest)
                                         : sh_strdup(rest);
        mode_t type = archive_entry_filetype(entry);
        if (path && type != AE_IFSOCK) {
            archive_entry_set_pathname(entry, path);
            archive_entry_set_uid(entry, 0);
            archive_entry_set_gid(entry, 0);
            archive_entry_set_uname(entry, NULL);
            archive_entry_set_gname(entry, NULL);
            r = pack_file(disk, out, entry, err);
        }
        archive_entry_clear(entry);
    }
    archive_entry_free(entry);
    return r;
}

int sh_copy_pack(struct sh_copy_stream *s, const char *source, const char *name,
                 struct sh_error *err)
{
    struct archive *disk = archive_read_disk_new(), *out = archive_write_new();
    cleanup_free char *root = sh_strdup(source);
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
        root[n - 1] = 0;
    int r = 0;
    archive_read_disk_set_symlink_physical(disk);
    archive_write_set_format_pax_restricted(out);
    archive_write_set_bytes_per_block(out, 0);
    if (archive_read_disk_open(disk, root))
        r = archive_failed(disk, err, "read the source");
    if (!r && archive_write_open(out, s, NULL, on_write, NULL))
        r = archive_failed(out, err, "send the copy");
    if (!r)
        r = pack_all(disk, out, root, name, err);
    if (!r && archive_write_close(out))
        r = archive_failed(out, err, "send the copy");
    archive_write_fail(out);
    archive_write_free(out);
    archive_read_free(disk);
    return r;
}
