// SPDX-License-Identifier: Apache-2.0
// What the measured policy lets the host choose and ask for. Everything else is refused.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Launch keys that need a policy bit, or that a bit forbids. */
static const struct {
    enum sh_launch_key key;
    uint64_t needs, forbids;
    const char *why;
} rules[] = {
    {SH_LAUNCH_ARG, 0, SH_POLICY_LOCK, "the image is locked: its command cannot be replaced"},
    {SH_LAUNCH_ENV, 0, SH_POLICY_LOCK, "the image is locked: its environment stays as built"},
    {SH_LAUNCH_WORKDIR, 0, SH_POLICY_LOCK, "the image is locked: its directory stays as built"},
    {SH_LAUNCH_USER, 0, SH_POLICY_LOCK, "the image is locked: its user stays as built"},
    {SH_LAUNCH_MOUNT, SH_POLICY_MOUNT, 0,
     "the image does not allow folders of the host; build it with --allow mount"},
    {SH_LAUNCH_DEBUG, SH_POLICY_DEBUG, 0,
     "the image does not allow debugging; build it with --allow debug"},
};

int guest_policy_launch(const struct guest_config *c, const struct guest_cmdline *cmdline,
                        struct guest_error *e)
{
    uint64_t policy = c->manifest.policy;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!sh_launch_count(c->launch.data, c->launch.size, rules[i].key))
            continue;
        if ((policy & rules[i].needs) != rules[i].needs || (policy & rules[i].forbids))
            return guest_fail(e, -EPERM, "%s", rules[i].why);
    }
    /* A console shows kernel messages to the host: the image's owner decides, not the host. */
    if (cmdline->console && !(policy & SH_POLICY_DEBUG))
        return guest_fail(e, -EPERM,
                          "the image does not allow a console; build it with "
                          "--allow debug");
    /* A host that may choose LD_PRELOAD would own the secrets. */
    if (sh_manifest_count(&c->manifest, SH_TAG_SECRET) && !(policy & SH_POLICY_LOCK))
        return guest_fail(e, -EPERM, "the image names secrets and is not locked; build it again");
    return 0;
}

int guest_stop_signal(const struct sh_manifest *m)
{
    return m->stop_signal ? (int)m->stop_signal : SIGTERM;
}

bool guest_policy_signal(const struct sh_manifest *m, uint32_t signal)
{
    if (signal < 1 || signal > 64)
        return false;
    if (m->policy & SH_POLICY_SIGNAL)
        return true;
    return signal == SIGINT || signal == SIGTERM || signal == SIGKILL ||
           signal == (uint32_t)guest_stop_signal(m);
}
