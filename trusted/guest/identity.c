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
    if (!name_ok(name))
        return -EBADMSG;
    if (directory < 0)
        directory = guest_mount_identity(g->root);
    return directory < 0 ? directory : guest_file_put(g, directory, name, data, size);
}

void guest_identity_changed(struct guest *g, uint32_t number)
{
    struct guest_session *workload = guest_session_find(g, 0);
    if (workload && (number == SIGHUP || number == SIGUSR1 || number == SIGUSR2))
        guest_session_signal(workload, number);
}
