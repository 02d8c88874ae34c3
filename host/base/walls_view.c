// SPDX-License-Identifier: Apache-2.0
// A root that shows a program the few files that it needs, under their own names, and the filter
// for a program that is not ours: mount_namespaces(7), open_tree(2), mount_setattr(2).
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/base/filter.h"
#include "host/base/util.h"
#include "host/base/walls_parts.h"

void sh_wall_view_add(struct sh_wall_view *view, const char *path, enum sh_wall_right right)
{
    view->entries = sh_realloc_array(view->entries, view->count + 1, sizeof(*view->entries));
    view->entries[view->count++] = (struct sh_wall_entry){sh_strdup(path), right};
}

void sh_wall_view_add_system(struct sh_wall_view *view)
{
    static const char *const folders[] = {"/usr",
                                          "/bin",
                                          "/sbin",
                                          "/lib",
                                          "/lib32",
                                          "/lib64",
                                          "/libx32",
                                          "/nix/store",
                                          "/gnu/store",
                                          "/etc/ld.so.cache",
                                          "/etc/alternatives"};
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        sh_wall_view_add(view, folders[i], SH_WALL_READ);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        sh_wall_view_add(view, devices[i], SH_WALL_DEVICE);
    sh_wall_view_add(view, "/proc/self", SH_WALL_READ);
}

void sh_wall_view_free(struct sh_wall_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        free(view->entries[i].path);
    free(view->entries);
    *view = (struct sh_wall_view){0};
}

void sh_wall_owner_of(const char *const *folders, size_t count, uid_t *uid, gid_t *gid)
{
    struct stat st, first = {0};
    for (size_t i = 0; i < count; i++) {
        if (stat(folders[i], &st) || !st.st_uid || (i && st.st_uid != first.st_uid))
            return;
        if (!i)
            first = st;
    }
    if (!first.st_uid)
        return;
    *uid = first.st_uid;
    *gid = first.st_gid ? first.st_gid : *gid;
}

/* --- the root --- */

/* A mount of what is there, not yet anywhere; a descriptor, -ENOENT or another -errno. */
static int take_mount(const struct sh_wall_entry *e)
{
    struct mount_attr attr = {.propagation = MS_PRIVATE,
                              .attr_set = MOUNT_ATTR_NOSUID |
                                          (e->right == SH_WALL_READ ? MOUNT_ATTR_RDONLY : 0) |
                                          (e->right == SH_WALL_WRITE ? MOUNT_ATTR_NOEXEC : 0) |
                                          (e->right == SH_WALL_DEVICE ? 0 : MOUNT_ATTR_NODEV)};
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, e->path,
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0)
        return -errno;
    if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr))) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/* The folders above `path`, which has no leading slash, below the current one. */
static int make_parents(char *path)
{
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int r = *path && mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (r)
            return r;
    }
    return 0;
}

/* A folder or file of that name, to mount over; what stands there already is fine. */
static int make_place(char *path, bool folder)
{
    int r = make_parents(path);
    if (r)
        return r;
    if (folder)
        return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
    cleanup_close int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0444);
    return fd < 0 && errno != EEXIST && errno != ENXIO && errno != EACCES ? -errno : 0;
}

/* /lib -> usr/lib, and the like: the same link. */
static int copy_link(const char *path, const char *target)
{
    return symlink(target, path) && errno != EEXIST ? -errno : 0;
}

struct taken {
    int fd; /* -1: it is not there, or a link */
    struct stat st;
    char link[128]; /* where it leads; "": it is none */
};

static int take_entry(const struct sh_wall_entry *e, struct taken *t)
{
    t->fd = -1;
    /* /proc/self is one that names the process; others of its kind stay as they are. */
    if (e->right == SH_WALL_READ && strncmp(e->path, "/proc/", 6)) {
        ssize_t n = readlink(e->path, t->link, sizeof(t->link) - 1);
        t->link[n > 0 && strchr(e->path + 1, '/') == NULL ? n : 0] = 0;
        if (t->link[0])
            return 0;
    }
    t->fd = take_mount(e);
    if (t->fd == -ENOENT || t->fd == -ENOTDIR)
        return 0;
    if (t->fd < 0)
        return t->fd;
    return fstat(t->fd, &t->st) ? -errno : 0;
}

/* A node for the same device that belongs to `owner`. */
static bool make_device(char *path, const struct stat *st, uid_t owner)
{
    unlink(path);
    return !geteuid() && !make_parents(path) &&
           !mknod(path, (st->st_mode & S_IFMT) | 0600, st->st_rdev) && !chown(path, owner, owner);
}

static int put_entry(const struct sh_wall_entry *e, const struct taken *t, uid_t owner)
{
    cleanup_free char *path = sh_strdup(e->path + 1);
    if (t->link[0])
        return copy_link(path, t->link);
    if (t->fd < 0)
        return 0;
    if (e->right == SH_WALL_DEVICE && make_device(path, &t->st, owner))
        return 0;
    int r = make_place(path, S_ISDIR(t->st.st_mode));
    if (r)
        return r;
    return syscall(SYS_move_mount, t->fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) ? -errno : 0;
}

int sh_wall_files_view(const struct sh_wall_view *view, uid_t owner)
{
    struct mount_attr sealed = {.attr_set = MOUNT_ATTR_RDONLY};
    struct taken *taken = sh_alloc((view->count + 1) * sizeof(*taken));
    size_t count = 0;
    mode_t mask = umask(0); /* whoever it will be passes through these folders */
    int r = sh_wall_files_begin();
    for (; !r && count < view->count; count++)
        r = take_entry(&view->entries[count], &taken[count]);
    if (!r)
        r = sh_walls_enter_empty(0, "size=1m,mode=755");
    for (size_t i = 0; !r && i < count; i++)
        r = put_entry(&view->entries[i], &taken[i], owner);
    for (size_t i = 0; i < count; i++) {
        if (taken[i].fd >= 0)
            close(taken[i].fd);
    }
    free(taken);
    umask(mask);
    if (!r && syscall(SYS_mount_setattr, AT_FDCWD, ".", 0, &sealed, sizeof(sealed)))
        r = -errno;
    return r ? r : sh_walls_become_root();
}

/* --- the filter --- */

#define ANY SH_FILTER_ANY
#define ONLY SH_FILTER_ONLY
#define SETS_ID(name, arg)                                                                         \
    {                                                                                              \
        SYS_##name, arg, S_ISUID | S_ISGID, SH_FILTER_SOME                                         \
    }
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |     \
     CLONE_NEWCGROUP)
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
/* Calls newer than the headers of Debian 12; refused as a whole: what is not looked at. */
#define FIRST_UNKNOWN 453u

static const struct sh_filter_call refused[] = {
    /* other processes */
    ANY(ptrace),
    ANY(process_vm_readv),
    ANY(process_vm_writev),
    ANY(kcmp),
    ANY(pidfd_getfd),
    ANY(process_madvise),
    ANY(process_mrelease),
    /* namespaces, mounts, other roots */
    ANY(unshare),
    ANY(setns),
    ANY(mount),
    ANY(umount2),
    ANY(pivot_root),
    ANY(chroot),
    ANY(open_tree),
    ANY(move_mount),
    ANY(fsopen),
    ANY(fsconfig),
    ANY(fsmount),
    ANY(fspick),
    ANY(mount_setattr),
    ANY(open_by_handle_at),
    ANY(name_to_handle_at),
    ANY(quotactl),
    ANY(quotactl_fd),
    ANY(acct),
    ANY(swapon),
    ANY(swapoff),
    {SYS_clone, 0, NAMESPACES, SH_FILTER_SOME},
    /* keys, and the kernel itself */
    ANY(keyctl),
    ANY(add_key),
    ANY(request_key),
    ANY(bpf),
    ANY(perf_event_open),
    ANY(userfaultfd),
    ANY(init_module),
    ANY(finit_module),
    ANY(delete_module),
    ANY(kexec_load),
    ANY(kexec_file_load),
    ANY(reboot),
    ANY(syslog),
    ANY(iopl),
    ANY(ioperm),
    ANY(lookup_dcookie),
    ANY(fanotify_init),
    ANY(modify_ldt),
    ANY(personality),
    ANY(vmsplice),
    ANY(remap_file_pages),
    ANY(migrate_pages),
    ANY(move_pages),
    ANY(memfd_secret),
    /* the machine's time and name */
    ANY(settimeofday),
    ANY(clock_settime),
    ANY(adjtimex),
    ANY(clock_adjtime),
    ANY(sethostname),
    ANY(setdomainname),
    ANY(vhangup),
    /* files that give rights to others: whose mode nobody can see here, or with set-id bits */
    SETS_ID(chmod, 1),
    SETS_ID(fchmod, 1),
    SETS_ID(fchmodat, 2),
    SETS_ID(fchmodat2, 2),
    SETS_ID(open, 2),
    SETS_ID(openat, 3),
    SETS_ID(creat, 1),
    SETS_ID(mkdir, 1),
    SETS_ID(mkdirat, 2),
    SETS_ID(mknod, 1),
    SETS_ID(mknodat, 2),
    {SYS_mknod, 1, S_IFCHR, SH_FILTER_SOME}, /* the bit is in S_IFBLK too, in no other kind */
    {SYS_mknodat, 2, S_IFCHR, SH_FILTER_SOME},
    /* a terminal types what is written into it so */
    ONLY(ioctl, 1, TIOCSTI),
    ONLY(ioctl, 1, 0x541c /* TIOCLINUX */),
};

/* There is an older way, which the filter sees through. */
static const struct sh_filter_call unknown[] = {ANY(clone3), ANY(openat2), ANY(io_uring_setup),
                                                ANY(io_uring_enter), ANY(io_uring_register)};

int sh_wall_seccomp_foreign(void)
{
    static struct sh_filter f;
    sh_filter_begin(&f);
    sh_filter_put(&f, BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN, 0, 1);
    sh_filter_return(&f, SECCOMP_RET_ERRNO | ENOSYS);
    SH_FILTER_CALLS(&f, unknown, SECCOMP_RET_ERRNO | ENOSYS);
    SH_FILTER_CALLS(&f, refused, SECCOMP_RET_ERRNO | EPERM);
    return sh_filter_raise(&f, SECCOMP_RET_ALLOW);
}
