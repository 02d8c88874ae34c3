// SPDX-License-Identifier: Apache-2.0
// Secrets and the image's identity: files that the agent hands over, at the start and when they
// were renewed. They are in memory and the workload's user's: whole or not at all.
//
// Attacks expected here: a broken agent can hand over wrong files, of these names, and make the
// workload read them anew; nothing else.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shelter/agent.h>

static int secrets = -1, identity = -1; /* their folders; opened when the first comes */

static int put_file(struct guest *g, int folder, const char *name, const uint8_t *data, size_t size)
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
    struct stat st;
    return !fstatat(secrets, name, &st, AT_SYMLINK_NOFOLLOW);
}

int guest_secret_put(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    if (secrets < 0)
        secrets = guest_mount_files(g->root, SH_SECRETS_DIR, "mode=755,size=20m");
    if (secrets < 0)
        return secrets;
    return is_there(name) ? -EEXIST : put_file(g, secrets, name, data, size);
}

int guest_secret_renew(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    if (secrets < 0 || !guest_secret_name_ok(name, strlen(name), false) || !is_there(name))
        return -EBADMSG;
    return put_file(g, secrets, name, data, size);
}

static bool is_of_identity(const char *name)
{
    static const char *const names[] = {"certificate.pem", "key.pem", "ca.pem", "crl.pem"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

int guest_identity_put(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    if (!is_of_identity(name))
        return -EBADMSG;
    if (identity < 0)
        identity = guest_mount_files(g->root, SH_IDENTITY_DIR, "mode=755,size=1m");
    return identity < 0 ? identity : put_file(g, identity, name, data, size);
}

void guest_identity_changed(struct guest *g, uint32_t number)
{
    struct guest_session *workload = guest_session_find(g, 0);
    if (workload && (number == SIGHUP || number == SIGUSR1 || number == SIGUSR2))
        guest_session_signal(workload, number);
}
