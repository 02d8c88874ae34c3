// SPDX-License-Identifier: Apache-2.0
// The image's identity: files that the agent hands over, at the start and when they were renewed.
//
// Attacks expected here: a broken agent can hand over wrong files, of these names, and make the
// workload read them anew; nothing else.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <shelter/agent.h>

static int directory = -1;

static bool name_ok(const char *name)
{
    static const char *const names[] = {"certificate.pem", "key.pem", "ca.pem", "crl.pem"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

int guest_identity_put(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    char next[24];
    if (!name_ok(name))
        return -EBADMSG;
    if (directory < 0)
        directory = guest_mount_identity(g->root);
    if (directory < 0)
        return directory;
    snprintf(next, sizeof(next), ".%s", name);
    GUEST_AUTOCLOSE int fd =
        openat(directory, next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0400);
    if (fd < 0)
        return -errno;
    int rc = sh_write_all(fd, data, size);
    if (!rc && (fchown(fd, g->user.uid, g->user.gid) || renameat(directory, next, directory, name)))
        rc = -errno;
    return rc;
}

void guest_identity_changed(struct guest *g, uint32_t number)
{
    struct guest_session *workload = guest_session_find(g, 0);
    if (workload && (number == SIGHUP || number == SIGUSR1 || number == SIGUSR2))
        guest_session_signal(workload, number);
}
