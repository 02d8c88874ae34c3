// SPDX-License-Identifier: Apache-2.0
// Reads files of the host for the launch config.
#include "host/run/copy_in.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <shelter/launch.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/hex.h"
#include "lib/settings.h"

static void add_line(const void *data, size_t size, uint32_t mode, const char *target,
                     struct sh_strings *files)
{
    cleanup_free char *hex = sh_alloc(2 * size + 1);
    sh_hex(hex, data, size);
    sh_strings_addf(files, SH_LAUNCH_FILE_FORMAT, mode, target, hex);
}

static int add_file(const char *source, const char *target, struct sh_strings *files,
                    struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size, all = 0;
    struct stat st;
    int r = stat(source, &st) ? sh_fail_errno(err, -errno, "cannot read %s", source) : 0;
    if (!r)
        r = sh_read_file(AT_FDCWD, source, SH_COPY_IN_MAX, &data, &size, err);
    if (r)
        return r;
    for (size_t i = 0; i < files->count; i++)
        all += strlen(files->v[i]) / 2;
    if (files->count == SH_SETTINGS_FILES_MAX || all + size > SH_COPY_IN_MAX)
        return sh_fail(err, -E2BIG,
                       "%s: files are copied into a TEE, at most %u with %u KiB together; put them "
                       "into the image",
                       target, SH_SETTINGS_FILES_MAX, SH_COPY_IN_MAX >> 10);
    add_line(data, size, st.st_mode & 0777, target, files);
    return 0;
}

static int add_folder(const char *source, const char *target, struct sh_strings *files,
                      struct sh_error *err)
{
    char *const paths[] = {(char *)source, NULL};
    FTS *walk = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    int r = walk ? 0 : sh_fail_errno(err, -errno, "cannot read %s", source);
    for (FTSENT *e; !r && (e = fts_read(walk));) {
        if (e->fts_level && !strncmp(e->fts_name, "..", 2)) {
            fts_set(walk, e, FTS_SKIP);
        } else if (e->fts_info == FTS_F) {
            cleanup_free char *place = sh_format("%s%s", target, e->fts_path + strlen(source));
            r = add_file(e->fts_path, place, files, err);
        } else if (e->fts_info != FTS_D && e->fts_info != FTS_DP) {
            r = sh_fail(err, -EINVAL, "%s is neither a file nor a folder, and cannot be copied",
                        e->fts_path);
        }
    }
    if (walk)
        fts_close(walk);
    return r;
}

int sh_copy_in(const char *source, const char *target, struct sh_strings *files,
               struct sh_error *err)
{
    struct stat st;
    bool folder = !stat(source, &st) && S_ISDIR(st.st_mode);
    return folder ? add_folder(source, target, files, err) : add_file(source, target, files, err);
}
