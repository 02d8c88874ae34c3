// SPDX-License-Identifier: Apache-2.0
// What stands around QEMU: as whom it runs, and what it sees of this machine's files.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/launch/qemu/parts.h"

/* The folder with QEMU's own libraries and data, where it is not the system's. */
static void see_prefix(struct sh_wall_view *view, const char *qemu)
{
    cleanup_free char *path = sh_strdup(qemu);
    char *slash = strrchr(path, '/');
    if (!strncmp(path, "/usr/bin/", 9) || !slash || slash == path)
        return;
    *slash = 0;
    slash = strrchr(path, '/');
    if (slash && slash != path && !strcmp(slash, "/bin"))
        *slash = 0;
    sh_wall_view_add(view, path, SH_WALL_READ);
}

static void see_file(struct sh_wall_view *view, const char *path, enum sh_wall_right right)
{
    if (path && path[0] == '/')
        sh_wall_view_add(view, path, right);
}

/* Root's QEMU serves shared folders as whoever owns them; if that is root, or they are of several,
 * as nobody: what everybody may do there. */
static void choose_user(const struct sh_launch_spec *spec, struct sh_child_walls *w)
{
    const char **folders = sh_alloc((spec->mount_count + 1) * sizeof(*folders));
    for (size_t i = 0; i < spec->mount_count; i++)
        folders[i] = spec->mounts[i].source;
    sh_wall_owner_of(folders, spec->mount_count, &w->uid, &w->gid);
    free(folders);
}

void sh_qemu_walls(const struct sh_qemu_config *c, struct sh_child_walls *w)
{
    struct sh_wall_view *view = &w->view;
    w->uid = w->gid = SH_WALL_UID_FIRST + (uid_t)getpid();
    const struct sh_launch_spec *spec = c->spec;
    sh_wall_view_add_system(view);
    see_prefix(view, c->qemu);
    see_file(view, c->firmware, SH_WALL_READ);
    see_file(view, sh_qemu_kernel(c), SH_WALL_READ);
    see_file(view, c->initramfs, SH_WALL_READ);
    see_file(view, c->root_image, SH_WALL_READ);
    for (size_t i = 0; i < c->data.count; i++)
        see_file(view, c->data.v[i], SH_WALL_READ);
    see_file(view, c->quote_socket, SH_WALL_WRITE);
    see_file(view, "/dev/kvm", SH_WALL_DEVICE);
    see_file(view, "/dev/sev", SH_WALL_DEVICE);
    if (!spec) /* a look at what this host can do */
        return;
    choose_user(spec, w);
    for (size_t i = 0; i < spec->mount_count; i++)
        see_file(view, spec->mounts[i].source,
                 spec->mounts[i].read_only ? SH_WALL_READ : SH_WALL_WRITE);
}

/* The console's file is QEMU's, and the only one. */
static int make_console(const char *path, const struct sh_child_walls *w, struct sh_error *err)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || (!geteuid() && fchown(fd, w->uid, w->gid)))
        return sh_fail_errno(err, -errno, "cannot write %s", path);
    return 0;
}

int sh_qemu_confine(const struct sh_launch_spec *spec, struct sh_child_walls *walls,
                    struct sh_error *err)
{
    cleanup_free char *disk = sh_format("%s/" SH_QEMU_CONFIG_DISK, spec->instance_path);
    cleanup_free char *console = sh_format("%s/console.log", spec->instance_path);
    sh_qemu_walls(spec->own, walls);
    see_file(&walls->view, disk, SH_WALL_READ);
    if (!spec->debug)
        return 0;
    int r = make_console(console, walls, err);
    see_file(&walls->view, console, SH_WALL_WRITE);
    return r;
}
