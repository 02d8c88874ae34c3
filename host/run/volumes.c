// SPDX-License-Identifier: Apache-2.0
// Files of volumes and of data (-v NAME:FILE).
#include "host/run/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/run/instance.h"
#include "host/store/volume_file.h"
#include "lib/settings.h"

bool sh_is_volume(const char *text)
{
    size_t n = strcspn(text, ":/");
    return text[n] == ':' && sh_volume_name_ok(text, n);
}

int sh_volume_parse(const char *text, struct sh_strings *volumes, struct sh_error *err)
{
    size_t n = strcspn(text, ":");
    const char *file = text + n + 1;
    if (!*file)
        return sh_fail(err, -EINVAL, "-v %s: write NAME:FILE for a volume", text);
    for (size_t i = 0; i < volumes->count; i++)
        if (!strncmp(volumes->v[i], text, n) && volumes->v[i][n] == '=')
            return sh_fail(err, -EEXIST, "-v %s: that volume already has a file", text);
    cleanup_free char *here = *file == '/' ? NULL : getcwd(NULL, 0);
    sh_strings_addf(volumes, "%.*s=%s%s%s", (int)n, text, here ? here : "", here ? "/" : "", file);
    return 0;
}

static int open_disk(const char *file, struct sh_volume_disk *d, struct sh_error *err)
{
    struct stat st;
    d->read_only = !strncmp(file, "ro:", 3);
    file += d->read_only ? 3 : 0;
    cleanup_close int fd = open(file, (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "the volume's file %s cannot be opened", file);
    if (!sh_volume_lock(fd, d->read_only))
        return sh_fail(err, -EBUSY, "the volume's file %s is in use by another instance", file);
    if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
        return sh_fail(err, -EINVAL, "%s is neither a file nor a block device", file);
    d->device = S_ISBLK(st.st_mode);
    d->fd = fd;
    fd = -1;
    return 0;
}

int sh_volumes_open(struct sh_launch_spec *spec, struct sh_error *err)
{
    size_t count = spec->volumes ? spec->volumes->count : 0;
    int r = 0;
    for (size_t i = 0; !r && i < count && i < SH_VOLUMES_MAX; i++) {
        r = open_disk(strchr(spec->volumes->v[i], '=') + 1, &spec->volume_disks[i], err);
        spec->volume_disk_count += !r;
    }
    return r;
}

void sh_volumes_close(struct sh_launch_spec *spec)
{
    while (spec->volume_disk_count)
        close(spec->volume_disks[--spec->volume_disk_count].fd);
}

static int make_file(const struct sh_volume *v, const char *file, struct sh_error *err)
{
    if (!access(file, F_OK))
        return 0;
    if (!v->size)
        return sh_fail(err, -ENOENT,
                       "the volume's file %s is not there, and the image does not say how large it "
                       "is to be; make it with 'shelter volume create'",
                       file);
    cleanup_close int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)v->size))
        return sh_fail_errno(err, -errno, "cannot create the volume's file %s", file);
    return 0;
}

/* The number among `given` of the file for `name`; given->count: there is none. */
static size_t find_given(const struct sh_strings *given, const char *name, size_t n)
{
    size_t k = 0;
    while (k < given->count && (strncmp(given->v[k], name, n) || given->v[k][n] != '='))
        k++;
    return k;
}

/* Sets of data are in the image's folder, or where -v says. */
static int match_data(const struct sh_manifest *m, const struct sh_strings *given,
                      struct sh_strings *out, struct sh_error *err)
{
    struct sh_data_file data;
    struct stat st;
    for (size_t i = 0; sh_image_data(m, i, &data); i++) {
        size_t k = find_given(given, data.own, strlen(data.own));
        if (k == given->count)
            continue;
        const char *file = strchr(given->v[k], '=') + 1;
        if (stat(file, &st))
            return sh_fail_errno(err, -errno, "the file %s of the data %s cannot be opened", file,
                                 data.own);
        if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < data.size)
            return sh_fail(err, -EINVAL,
                           "%s is not the data %s, which has %llu bytes; bring data-%s.img of "
                           "the image as it was built",
                           file, data.own, (unsigned long long)data.size, data.own);
        sh_strings_add(out, given->v[k]);
    }
    return 0;
}

int sh_volumes_match(const struct sh_settings *s, const struct sh_manifest *m,
                     const struct sh_strings *given, struct sh_instance_config *c,
                     struct sh_error *err)
{
    for (size_t i = 0; i < s->volume_count; i++) {
        const struct sh_volume *v = &s->volumes[i];
        size_t n = strlen(v->name), k = find_given(given, v->name, n);
        if (k == given->count)
            return sh_fail(err, -EINVAL, "the image has a volume %s; name its file: -v %s:FILE",
                           v->name, v->name);
        int r = make_file(v, given->v[k] + n + 1, err);
        if (r)
            return r;
        sh_strings_addf(&c->volumes, "%s=%s%s", v->name, v->read_only ? "ro:" : "",
                        given->v[k] + n + 1);
    }
    int r = match_data(m, given, &c->data, err);
    for (size_t k = 0; !r && k < given->count; k++) {
        size_t n = strcspn(given->v[k], "=");
        if (find_given(&c->volumes, given->v[k], n) == c->volumes.count &&
            find_given(&c->data, given->v[k], n) == c->data.count)
            r = sh_fail(err, -EINVAL,
                        "-v %.*s: the image has neither a volume nor data of this name", (int)n,
                        given->v[k]);
    }
    return r;
}
