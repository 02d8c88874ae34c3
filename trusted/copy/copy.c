// SPDX-License-Identifier: Apache-2.0
// Copies between the workload's root and the host, as tar archives: what `shelter cp` runs in the
// VM.
//
//   copy out PATH        an archive of PATH to stdout
//   copy in DIRECTORY    unpacks the archive on stdin there
//
// PID 1 starts it where the image allows exec, with the workload's root as its own, so that no name
// or link in an archive leads out of it; inside, unpacking never leaves the folder it was given.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/io.h"
#include "trusted/copy/tar.h"

#define CHUNK 65536u
#define DEPTH_MAX 256
#define CAPABILITY "security.capability"

static uint8_t chunk[CHUNK];
static int failures; /* files that could not be copied; told on stderr as they come */

static void report_error(const char *name, int code)
{
    dprintf(2, "cp: %.3000s: %s\n", name, strerror(code));
    failures++;
}

/* --- out --- */

/* Exactly e->size bytes, whatever became of the file meanwhile: then zeros. */
static int write_contents(int out_fd, int fd, const struct tar_entry *e)
{
    uint64_t left = (e->size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    uint64_t real = e->size;
    int rc = 0;
    while (!rc && left) {
        size_t want = left < CHUNK ? (size_t)left : CHUNK;
        ssize_t n = real ? read(fd, chunk, real < want ? (size_t)real : want) : 0;
        if (n < 0)
            report_error(e->name, errno);
        if (n <= 0) {
            real = 0;
            n = (ssize_t)want;
            memset(chunk, 0, want);
        } else {
            real -= (uint64_t)n;
        }
        rc = sh_write_all(out_fd, chunk, (size_t)n);
        left -= (uint64_t)n;
    }
    return rc;
}

static char tar_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return '0';
    case S_IFLNK:
        return '2';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    case S_IFDIR:
        return '5';
    case S_IFIFO:
        return '6';
    default:
        return 0; /* a socket: nothing to copy */
    }
}

static int write_tree(int out_fd, int dir, const char *file, const char *name, int depth);

static int write_children(int out_fd, int fd, const char *name, int depth)
{
    DIR *list = fdopendir(fd);
    struct dirent *d;
    int rc = 0;
    if (!list) {
        report_error(name, errno);
        close(fd);
        return 0;
    }
    while (errno = 0, !rc && (d = readdir(list))) {
        char path[TAR_NAME_MAX];
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", name, d->d_name) >= sizeof(path))
            report_error(name, ENAMETOOLONG);
        else
            rc = write_tree(out_fd, dirfd(list), d->d_name, path, depth + 1);
    }
    if (!rc && errno)
        report_error(name, errno);
    closedir(list);
    return rc;
}

/* One file, and all below it. Fails only when the archive cannot be written on. */
static int write_tree(int out_fd, int dir, const char *file, const char *name, int depth)
{
    static uint8_t head[COPY_TAR_HEAD_MAX];
    static struct tar_entry e;
    struct stat st;
    int fd = -1;
    memset(&e, 0, sizeof(e));
    if (depth > DEPTH_MAX || fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW)) {
        report_error(name, depth > DEPTH_MAX ? ELOOP : errno);
        return 0;
    }
    e = (struct tar_entry){.type = tar_type(st.st_mode),
                           .mode = st.st_mode & 07777,
                           .uid = st.st_uid,
                           .gid = st.st_gid,
                           .major = major(st.st_rdev),
                           .minor = minor(st.st_rdev),
                           .mtime = st.st_mtime};
    strcpy(e.name, name);
    if (!e.type)
        return 0;
    if (e.type == '0' || e.type == '5') {
        fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) {
            report_error(name, errno);
            return 0;
        }
        e.size = e.type == '0' ? (uint64_t)st.st_size : 0;
        ssize_t n = fgetxattr(fd, CAPABILITY, e.capability, sizeof(e.capability));
        e.capability_size = n > 0 ? (size_t)n : 0;
    }
    if (e.type == '2') {
        ssize_t n = readlinkat(dir, file, e.link, sizeof(e.link) - 1);
        e.link[n > 0 ? n : 0] = 0;
    }
    if (e.type == '5' && strlen(e.name) + 1 < sizeof(e.name))
        strcat(e.name, "/");
    int rc = sh_write_all(out_fd, head, tar_write(head, &e));
    if (!rc && e.type == '0')
        rc = write_contents(out_fd, fd, &e);
    if (!rc && e.type == '5')
        return write_children(out_fd, fd, name, depth);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int copy_out(const char *path, int out_fd)
{
    char file[TAR_NAME_MAX];
    size_t size = strlen(path);
    static const uint8_t end[2 * TAR_BLOCK];
    if (size >= sizeof(file) || path[0] != '/') {
        dprintf(2, "cp: '%.200s' is not an absolute path\n", path);
        return 1;
    }
    memcpy(file, path, size + 1);
    while (size > 1 && file[size - 1] == '/')
        file[--size] = 0;
    const char *name = strrchr(file, '/') + 1;
    if (!*name || !strcmp(name, ".."))
        name = ".";
    if (faccessat(AT_FDCWD, file, F_OK, AT_SYMLINK_NOFOLLOW)) {
        report_error(path, errno);
        return 1;
    }
    int rc = write_tree(out_fd, AT_FDCWD, file, name, 0);
    if (!rc)
        rc = sh_write_all(out_fd, end, sizeof(end));
    return rc || failures ? 1 : 0;
}

/* --- in --- */

static int open_below(int top, const char *name, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, top, *name ? name : ".", &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

/* The folder that holds this name (made with its parents where missing), and its last part. */
static int open_parent(int top, char *name, const char **last)
{
    char *slash = strrchr(name, '/');
    *last = slash ? slash + 1 : name;
    if (!slash)
        return open_below(top, "", O_PATH | O_DIRECTORY);
    *slash = 0;
    int fd = open_below(top, name, O_PATH | O_DIRECTORY);
    for (char *p = name; fd == -ENOENT && p;) {
        p = strchr(p, '/');
        if (p)
            *p = 0;
        const char *part;
        char copy[TAR_NAME_MAX];
        strcpy(copy, name);
        part = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
        if (part != copy)
            copy[part - copy - 1] = 0;
        int parent = open_below(top, part == copy ? "" : copy, O_PATH | O_DIRECTORY);
        if (parent < 0 || (mkdirat(parent, part, 0755) && errno != EEXIST))
            fd = parent < 0 ? parent : -errno;
        if (parent >= 0)
            close(parent);
        if (p)
            *p++ = '/';
        else if (fd == -ENOENT)
            fd = open_below(top, name, O_PATH | O_DIRECTORY);
    }
    *slash = '/';
    return fd;
}

/* Passes over contents that have no file. */
static int skip_bytes(int in_fd, uint64_t size)
{
    int rc = 0;
    for (; !rc && size; size -= size < CHUNK ? size : CHUNK)
        rc = sh_read_all(in_fd, chunk, size < CHUNK ? (size_t)size : CHUNK);
    return rc;
}

static uint64_t padding_of(uint64_t size)
{
    return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* All of the contents is read, also after the file could not be written. */
static int read_contents(int in_fd, int fd, uint64_t size, const char *name)
{
    uint64_t left = size;
    while (left) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        int rc = sh_read_all(in_fd, chunk, n);
        if (rc)
            return rc;
        rc = sh_write_all(fd, chunk, n);
        left -= n;
        if (rc) {
            report_error(name, -rc);
            return skip_bytes(in_fd, left + padding_of(size));
        }
    }
    return skip_bytes(in_fd, padding_of(size));
}

static void set_attributes(int fd, const struct tar_entry *e)
{
    struct timespec times[2] = {{e->mtime, 0}, {e->mtime, 0}};
    if (fchown(fd, e->uid, e->gid) || fchmod(fd, e->mode) || futimens(fd, times) ||
        (e->capability_size && fsetxattr(fd, CAPABILITY, e->capability, e->capability_size, 0)))
        report_error(e->name, errno);
}

static int make_link(int top, int parent, const char *last, struct tar_entry *e)
{
    const char *target;
    if (tar_clean(e->link) || !e->link[0])
        return -EBADMSG;
    int from = open_parent(top, e->link, &target);
    if (from < 0)
        return from;
    int rc = linkat(from, target, parent, last, 0) ? -errno : 0;
    close(from);
    return rc;
}

static int make_special(int parent, const char *last, const struct tar_entry *e)
{
    mode_t type = e->type == '3' ? S_IFCHR : e->type == '4' ? S_IFBLK : S_IFIFO;
    if (mknodat(parent, last, type | e->mode, makedev(e->major, e->minor)) ||
        fchownat(parent, last, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) ||
        fchmodat(parent, last, e->mode, 0))
        return -errno;
    return 0;
}

static int make_symlink(int parent, const char *last, const struct tar_entry *e)
{
    struct timespec times[2] = {{e->mtime, 0}, {e->mtime, 0}};
    if (symlinkat(e->link, parent, last) ||
        fchownat(parent, last, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) ||
        utimensat(parent, last, times, AT_SYMLINK_NOFOLLOW))
        return -errno;
    return 0;
}

/* A folder, new or there already, or a new file: a descriptor or -errno. */
static int make_file(int parent, const char *last, const struct tar_entry *e)
{
    int flags = O_RDONLY | O_DIRECTORY;
    if (e->type == '0')
        flags = O_WRONLY | O_CREAT | O_EXCL;
    else if (mkdirat(parent, last, 0700) && errno != EEXIST)
        return -errno;
    int fd = openat(parent, last, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

/* One entry. Fails only when the archive cannot be read on. */
static int unpack_entry(int top, int in_fd, struct tar_entry *e)
{
    const char *last;
    int rc, fd = -1;
    if (tar_clean(e->name))
        return -EBADMSG;
    if (!e->name[0])
        return skip_bytes(in_fd, e->size + padding_of(e->size));
    int parent = open_parent(top, e->name, &last);
    rc = parent < 0 ? parent : 0;
    if (!rc && e->type != '5' && unlinkat(parent, last, 0) && errno != ENOENT)
        rc = -errno;
    if (!rc && (e->type == '0' || e->type == '5'))
        rc = (fd = make_file(parent, last, e)) < 0 ? fd : 0;
    else if (!rc)
        rc = e->type == '1'   ? make_link(top, parent, last, e)
             : e->type == '2' ? make_symlink(parent, last, e)
                              : make_special(parent, last, e);
    if (parent >= 0)
        close(parent);
    if (rc) {
        report_error(e->name, -rc);
        return skip_bytes(in_fd, e->size + padding_of(e->size));
    }
    if (e->type == '0')
        rc = read_contents(in_fd, fd, e->size, e->name);
    if (fd >= 0) {
        set_attributes(fd, e);
        close(fd);
    }
    return rc;
}

/* Names and records before an entry. */
static int take_extra(int in_fd, const struct tar_entry *e, struct tar_extra *x)
{
    static uint8_t data[TAR_EXTRA_MAX + TAR_BLOCK];
    if (e->size > TAR_EXTRA_MAX)
        return -EBADMSG;
    int rc = sh_read_all(in_fd, data, (size_t)(e->size + padding_of(e->size)));
    if (rc || e->type == 'g')
        return rc;
    if (e->type == 'x')
        return tar_pax(x, data, (size_t)e->size);
    size_t size = strnlen((char *)data, (size_t)e->size);
    if (size >= TAR_NAME_MAX)
        return -EBADMSG;
    memcpy(e->type == 'L' ? x->e.name : x->e.link, data, size);
    (e->type == 'L' ? x->e.name : x->e.link)[size] = 0;
    *(e->type == 'L' ? &x->has_name : &x->has_link) = true;
    return 0;
}

static int copy_in(const char *directory, int in_fd)
{
    static struct tar_entry e;
    static struct tar_extra x;
    uint8_t block[TAR_BLOCK];
    int rc = 0;
    int top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0 || directory[0] != '/') {
        report_error(directory, top < 0 ? errno : EINVAL);
        return 1;
    }
    umask(0);
    while (!rc && !(rc = sh_read_all(in_fd, block, sizeof(block)))) {
        rc = tar_read(&e, block);
        if (rc || !e.type)
            break;
        if (strchr("xgLK", e.type)) {
            rc = take_extra(in_fd, &e, &x);
            continue;
        }
        tar_apply(&e, &x);
        memset(&x, 0, sizeof(x));
        if (strchr("0123456", e.type))
            rc = unpack_entry(top, in_fd, &e);
        else
            rc = -EBADMSG;
    }
    while (!rc && read(in_fd, chunk, sizeof(chunk)) > 0)
        ; /* what pads the archive's end */
    if (rc)
        dprintf(2, "cp: the archive is %s\n",
                rc == -EBADMSG || rc == -ENODATA ? "damaged" : strerror(-rc));
    return rc || failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "out"))
        return copy_out(argv[2], 1);
    if (argc == 3 && !strcmp(argv[1], "in"))
        return copy_in(argv[2], 0);
    return 2;
}
