// SPDX-License-Identifier: Apache-2.0
// The VM's server of volumes on this machine's kernel, for tests and benchmarks: in a mount
// namespace of its own it mounts a volume's file at a directory and runs a command there.
//   volume-mount [-r] SERVER FILE KEYFILE DIRECTORY COMMAND...
// Exit status: the command's; 99: the volume did not open or was not closed in order.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

#define BAD 99

static int fail(const char *what)
{
    fprintf(stderr, "volume-mount: %s: %s\n", what, strerror(errno));
    return BAD;
}

static void run_server(const char *program, int control, int disk, int fuse)
{
    int from[] = {fcntl(control, F_DUPFD, 16), fcntl(disk, F_DUPFD, 16), fcntl(fuse, F_DUPFD, 16)};
    for (int i = 0; i < 3; i++)
        dup2(from[i], SERVER_CONTROL_FD + i);
    close_range(SERVER_FUSE_FD + 1, ~0u, 0);
    execl(program, "volume", (char *)NULL);
    _exit(BAD);
}

int main(int argc, char **argv)
{
    bool read_only = argc > 1 && !strcmp(argv[1], "-r");
    argv += read_only;
    argc -= read_only;
    if (argc < 6)
        return fail("arguments are missing");
    struct server_order o = {.name = "test", .read_only = read_only};
    struct server_answer a;
    char options[100];
    int pair[2], status, key = open(argv[3], O_RDONLY | O_CLOEXEC);
    if (read(key, o.key, sizeof(o.key)) != sizeof(o.key))
        return fail(argv[3]);
    int disk = open(argv[2], (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (disk < 0 || fuse < 0 || unshare(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return fail("cannot begin");
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse);
    if (mount("volume", argv[4], "fuse", MS_NOSUID | MS_NODEV | (read_only ? MS_RDONLY : 0),
              options))
        return fail("cannot mount");
    pid_t server = fork();
    if (!server)
        run_server(argv[1], pair[1], disk, fuse);
    close(pair[1]);
    close(fuse);
    if (write(pair[0], &o, sizeof(o)) != sizeof(o) ||
        recv(pair[0], &a, sizeof(a), MSG_WAITALL) != sizeof(a) || a.error) {
        fprintf(stderr, "volume-mount: %d %.100s\n", a.error, a.text);
        return BAD;
    }
    snprintf(options, sizeof(options), "%d", server);
    setenv("VOLUME_SERVER", options, 1);
    pid_t child = fork();
    if (!child) {
        if (chdir(argv[4]))
            _exit(BAD);
        execvp(argv[5], argv + 5);
        _exit(127);
    }
    waitpid(child, &status, 0);
    int r = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    while (umount2(argv[4], 0) && errno == EBUSY)
        usleep(10000);
    waitpid(server, &status, 0);
    return status ? BAD : r;
}
