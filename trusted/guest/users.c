// SPDX-License-Identifier: Apache-2.0
// Users and groups of the image (lib/users.h), by its own /etc/passwd and /etc/group.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A file of the image, or nothing where it has none. */
static char *read_etc(int root, const char *path, size_t *size)
{
    *size = 0;
    GUEST_AUTOCLOSE int fd = guest_open_in(root, path, O_RDONLY | O_NONBLOCK);
    char *text = fd < 0 ? NULL : malloc(GUEST_ETC_SIZE_MAX);
    ssize_t n = text ? sh_read_up_to(fd, text, GUEST_ETC_SIZE_MAX) : 0;
    *size = n > 0 ? (size_t)n : 0;
    return text;
}

int guest_user_find(struct sh_user *u, int root, const char *spec, struct guest_error *e)
{
    size_t passwd_size, group_size;
    char *passwd = read_etc(root, "/etc/passwd", &passwd_size);
    char *group = read_etc(root, "/etc/group", &group_size);
    int rc =
        sh_user_resolve(u, spec, passwd ? passwd : "", passwd_size, group ? group : "", group_size);
    free(passwd);
    free(group);
    if (rc)
        return guest_fail(e, rc, "user '%.64s' is not in the image's /etc/passwd and /etc/group",
                          spec);
    return 0;
}
