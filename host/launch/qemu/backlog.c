// SPDX-License-Identifier: Apache-2.0
// QEMU's user-mode network listens on published ports with a backlog of 1: of fifty clients at once
// most would wait for seconds, until they try again. Its listening sockets are told to queue more.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "host/launch/qemu/parts.h"

#define BACKLOG 4096

/* listen on a socket that listens already only sets its backlog (listen(2)). */
static void raise_backlog(int pid_fd, int number)
{
    int listens = 0;
    socklen_t size = sizeof(listens);
    cleanup_close int fd = (int)syscall(SYS_pidfd_getfd, pid_fd, number, 0);
    if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) && listens)
        listen(fd, BACKLOG);
}

void sh_qemu_child_listens(const struct sh_launch_spec *spec, pid_t pid, int pid_fd)
{
    if (!spec->port_count)
        return;
    cleanup_free char *path = sh_format("/proc/%d/fd", (int)pid);
    cleanup_closedir DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char target[64] = "";
        if (readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1) > 0 &&
            !strncmp(target, "socket:", 7))
            raise_backlog(pid_fd, atoi(e->d_name));
    }
}
