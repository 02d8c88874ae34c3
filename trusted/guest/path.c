// SPDX-License-Identifier: Apache-2.0
// Files inside the workload's root. Its links are resolved there and never lead out of it.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_in(int root, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

int guest_open_in(int root, const char *path, int flags)
{
    return open_in(root, path, flags, 0);
}

int guest_mkdir_in(int root, const char *path)
{
    char part[4096];
    size_t size = strlen(path);
    if (size >= sizeof(part))
        return -ENAMETOOLONG;
    int fd = open_in(root, path, O_PATH | O_DIRECTORY, 0);
    if (fd != -ENOENT)
        return fd;
    /* From the top: open each prefix, make what is missing in the one before. */
    fd = open_in(root, "/", O_PATH | O_DIRECTORY, 0);
    for (size_t at = 0; fd >= 0 && at < size;) {
        size_t start = at + strspn(path + at, "/");
        size_t end = start + strcspn(path + start, "/");
        if (start == end)
            break;
        memcpy(part, path, end);
        part[end] = 0;
        int next = open_in(root, part, O_PATH | O_DIRECTORY, 0);
        if (next == -ENOENT) {
            next = mkdirat(fd, part + start, 0755) ? -errno : 0;
            if (!next)
                next = open_in(root, part, O_PATH | O_DIRECTORY, 0);
        }
        close(fd);
        fd = next;
        at = end;
    }
    return fd;
}

int guest_put_in(int root, const char *directory, const char *name, mode_t mode, const void *data,
                 size_t size)
{
    GUEST_AUTOCLOSE int dir = guest_mkdir_in(root, directory);
    if (dir < 0)
        return dir;
    if (unlinkat(dir, name, 0) && errno != ENOENT)
        return -errno;
    GUEST_AUTOCLOSE int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, mode)) /* whatever the umask is */
        return -errno;
    return sh_write_all(fd, data, size);
}

int guest_write_in(int root, const char *directory, const char *name, const char *text)
{
    return guest_put_in(root, directory, name, 0644, text, strlen(text));
}
