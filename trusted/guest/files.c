// SPDX-License-Identifier: Apache-2.0
// Files that the agent hands over, in memory and of the workload's user: whole or not at all.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <shelter/agent.h>

static int secrets = -1; /* their folder; opened when the first comes */

int guest_file_put(struct guest *g, int folder, const char *name, const uint8_t *data, size_t size)
{
    char next[SH_AGENT_NAME_MAX + 2];
    snprintf(next, sizeof(next), ".%s", name);
    GUEST_AUTOCLOSE int fd =
        openat(folder, next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (fd < 0)
        return -errno;
    int rc = sh_write_all(fd, data, size);
    if (!rc && (fchown(fd, g->user.uid, g->user.gid) || renameat(folder, next, folder, name)))
        rc = -errno;
    if (rc)
        unlinkat(folder, next, 0);
    return rc;
}

bool guest_secret_name_ok(const char *name, size_t size, bool env)
{
    static const char bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return size && strlen(name) == size && strspn(name, bytes) == size && name[0] != '.' &&
           (!env || !strpbrk(name, ".-"));
}

static bool is_there(const char *name)
{
    return !faccessat(secrets, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

int guest_secret_put(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    if (secrets < 0)
        secrets = guest_mount_secrets(g->root);
    if (secrets < 0)
        return secrets;
    return is_there(name) ? -EEXIST : guest_file_put(g, secrets, name, data, size);
}

int guest_secret_renew(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    if (secrets < 0 || !guest_secret_name_ok(name, strlen(name), false) || !is_there(name))
        return -EBADMSG;
    return guest_file_put(g, secrets, name, data, size);
}
