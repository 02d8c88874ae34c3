// SPDX-License-Identifier: Apache-2.0
// File systems: PID 1's own, the workload's root, and what a container expects to find in it.
#include "trusted/guest/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SAFE (MS_NOSUID | MS_NODEV)
#define SAFER (MS_NOSUID | MS_NODEV | MS_NOEXEC)

int guest_mount_own(struct guest_error *e)
{
    if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL) && errno != EBUSY)
        return guest_fail(e, -errno, "cannot mount /dev: %s", strerror(errno));
    if (mount("proc", "/proc", "proc", SAFER, NULL))
        return guest_fail(e, -errno, "cannot mount /proc: %s", strerror(errno));
    if (mount("sysfs", "/sys", "sysfs", SAFER, NULL))
        return guest_fail(e, -errno, "cannot mount /sys: %s", strerror(errno));
    return 0;
}

int guest_mount_root(const char *device, unsigned share, struct guest_error *e)
{
    char size[32];
    const char *step = "the root image";
    if (mount(device, "/lower", "erofs", MS_RDONLY | MS_NODEV, NULL))
        goto fail;
    step = "memory for the root";
    snprintf(size, sizeof(size), "mode=755,size=%u%%", share);
    if (mount("tmpfs", "/upper", "tmpfs", MS_NODEV, size))
        goto fail;
    step = "the root overlay";
    /* Its top directory is the image's: mode and owner come along by this copy. */
    struct stat st;
    if (stat("/lower", &st) || mkdir("/upper/data", 0755) || mkdir("/upper/work", 0755) ||
        chmod("/upper/data", st.st_mode & 07777) || chown("/upper/data", st.st_uid, st.st_gid))
        goto fail;
    if (mount("overlay", "/root", "overlay", MS_NODEV,
              "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work,xino=on"))
        goto fail;
    int fd = open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
fail:
    return guest_fail(e, -errno, "cannot mount %s: %s", step, strerror(errno));
}

/* Mounts at a path inside the root, made where missing. */
static int mount_in(int root, const char *path, const char *source, const char *type,
                    unsigned long flags, const char *options)
{
    char at[32];
    GUEST_AUTOCLOSE int fd = guest_mkdir_in(root, path);
    if (fd < 0)
        return fd;
    snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
    return mount(source, at, type, flags, options) ? -errno : 0;
}

/* With the half of all roots, these leave some memory to programs even when all files are full:
 * without it, nothing that the kernel could kill would help. */
static const struct {
    const char *path, *type;
    unsigned long flags;
    const char *options;
    bool optional;
} mounts[] = {
    {"/sys", "sysfs", SAFER | MS_RDONLY, NULL, false},
    {"/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m", false},
    {"/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5",
     false},
    {"/dev/shm", "tmpfs", SAFER, "mode=1777,size=10%", false},
    {"/dev/mqueue", "mqueue", SAFER, NULL, true},
};

int guest_mount_readonly(int root, bool too)
{
    unsigned long how = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV;
    GUEST_AUTOCLOSE int proc = guest_mkdir_in(root, "/proc"); /* the workload's is mounted later */
    if (proc >= 0 && !mount(NULL, "/", NULL, how, NULL))
        return too && mount(NULL, "/root", NULL, how, NULL) ? -errno : 0;
    return proc < 0 ? proc : -errno;
}

int guest_mount_proc(int root)
{
    return mount_in(root, "/proc", "proc", "proc", SAFER, NULL);
}

static const struct {
    const char *name;
    unsigned major, minor;
} nodes[] = {
    {"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
    const char *name, *target;
} links[] = {
    {"ptmx", "pts/ptmx"},          {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
};

static int fill_dev(int root)
{
    GUEST_AUTOCLOSE int dev = guest_open_in(root, "/dev", O_PATH | O_DIRECTORY);
    if (dev < 0)
        return dev;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        if (mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) ||
            fchmodat(dev, nodes[i].name, 0666, 0)) /* whatever the umask is */
            return -errno;
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        if (symlinkat(links[i].target, dev, links[i].name))
            return -errno;
    return 0;
}

static int mount_tmpfs(int root, const struct sh_tmpfs *t)
{
    char options[64];
    int n = snprintf(options, sizeof(options), "mode=%o", t->mode);
    if (t->size)
        snprintf(options + n, sizeof(options) - (size_t)n, ",size=%llu",
                 (unsigned long long)t->size);
    return mount_in(root, t->path, "tmpfs", "tmpfs", SAFE, options);
}

int guest_mount_workload(int root, const struct sh_settings *s, struct guest_error *e)
{
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        int rc = mount_in(root, mounts[i].path, mounts[i].type, mounts[i].type, mounts[i].flags,
                          mounts[i].options);
        if (rc && !mounts[i].optional)
            return guest_fail(e, rc, "cannot mount %s: %s", mounts[i].path, strerror(-rc));
        if (!strcmp(mounts[i].path, "/dev") && (rc = fill_dev(root)))
            return guest_fail(e, rc, "cannot fill /dev: %s", strerror(-rc));
    }
    GUEST_AUTOCLOSE int tmp = guest_open_in(root, "/tmp", O_PATH);
    if (tmp == -ENOENT) {
        GUEST_AUTOCLOSE int made = guest_mkdir_in(root, "/tmp");
        GUEST_AUTOCLOSE int dir = made < 0 ? -1 : guest_open_in(root, "/tmp", O_RDONLY);
        if (dir < 0 || fchmod(dir, 01777))
            return guest_fail(e, -errno, "cannot make /tmp: %s", strerror(errno));
    }
    for (size_t i = 0; i < s->tmpfs_count; i++) {
        int rc = mount_tmpfs(root, &s->tmpfs[i]);
        if (rc)
            return guest_fail(e, rc, "cannot mount a tmpfs at %.100s: %s", s->tmpfs[i].path,
                              strerror(-rc));
    }
    return 0;
}

int guest_mount_data(int root, const struct sh_data *d, const char *device)
{
    return mount_in(root, d->path, device, "erofs", SAFE | MS_RDONLY, NULL);
}

int guest_mount_volume(int root, const struct sh_volume *v, int fuse)
{
    char options[112];
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse);
    return mount_in(root, v->path, v->name, "fuse", SAFE | (v->read_only ? MS_RDONLY : 0), options);
}

int guest_mount_files(int root, const char *path, const char *options)
{
    int rc = mount_in(root, path, "tmpfs", "tmpfs", SAFER, options);
    return rc ? rc : guest_open_in(root, path, O_RDONLY | O_DIRECTORY);
}

int guest_mount_configfs(int root, const char *tee)
{
    if (!strcmp(tee, "tdx-sim") || !strcmp(tee, "csv"))
        return 0;
    if (root >= 0)
        return mount_in(root, "/sys/kernel/config", "configfs", "configfs", SAFER, NULL);
    int rc = mount("configfs", "/sys/kernel/config", "configfs", SAFER, NULL);
    return rc && errno != EBUSY ? -errno : 0;
}

/* May a folder of the host stand here? Not over files of the image, unless its owner said so. */
static bool is_free(int root, const char *path)
{
    size_t count = 0;
    int fd = guest_open_in(root, path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return fd == -ENOENT;
    }
    while (count < 3 && readdir(dir))
        count++;
    closedir(dir);
    return count < 3; /* "." and ".." */
}

int guest_mount_shares(int root, const struct sh_settings *s, struct guest_error *e)
{
    for (size_t i = 0; i < s->share_count; i++) {
        const struct sh_share *h = &s->shares[i];
        if (!h->cover && !is_free(root, h->path))
            return guest_fail(e, -EPERM,
                              "the image has files at %.100s that a folder of the host would "
                              "cover",
                              h->path);
        int rc = mount_in(root, h->path, h->tag, "9p", SAFER | (h->read_only ? MS_RDONLY : 0),
                          "trans=virtio,version=9p2000.L,access=any,cache=none,msize=262144");
        if (rc)
            return guest_fail(e, rc, "cannot mount the host's folder at %.100s: %s", h->path,
                              strerror(-rc));
    }
    return 0;
}
