// SPDX-License-Identifier: Apache-2.0
// A terminal for a container: made here, its master handed to the engine.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host/base/descriptor.h"
#include "host/oci/process.h"

int oci_console_open(const char *socket_path, uint16_t rows, uint16_t columns, struct sh_error *err)
{
    char name[64];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    if (strlen(socket_path) >= sizeof(to.sun_path))
        return sh_fail(err, -ENAMETOOLONG, "the console socket's path is too long");
    strcpy(to.sun_path, socket_path);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
        return sh_fail_errno(err, -errno, "cannot connect to the console socket %s", socket_path);
    cleanup_close int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, name, sizeof(name)))
        return sh_fail_errno(err, -errno, "cannot create a terminal");
    if (rows && columns)
        ioctl(master, TIOCSWINSZ, &size);
    int slave = open(name, O_RDWR); /* ours as the session's, since it has none */
    if (slave < 0)
        return sh_fail_errno(err, -errno, "cannot open the terminal %s", name);
    int r = sh_send_with_fd(fd, name, strlen(name), master);
    if (r)
        return sh_fail_errno(err, r, "cannot pass the terminal to %s", socket_path);
    ioctl(slave, TIOCSCTTY, 0);
    for (int i = 0; i <= 2; i++)
        dup2(slave, i);
    if (slave > 2)
        close(slave);
    return 0;
}
