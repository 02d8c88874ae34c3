// SPDX-License-Identifier: Apache-2.0
// What an image's policy lets the host do.
#include "host/run/allowed.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

static const struct {
    uint64_t bit;
    const char *word;
} words[] = {
    {SH_POLICY_EXEC, "exec"},   {SH_POLICY_SIGNAL, "signal"}, {SH_POLICY_TRACE, "trace"},
    {SH_POLICY_STATS, "stats"}, {SH_POLICY_DEBUG, "debug"},
};

int sh_request_need(uint64_t requests, uint64_t bit, const char *what, struct sh_error *err)
{
    if (requests & bit)
        return 0;
    const char *word = "?";
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (words[i].bit == bit)
            word = words[i].word;
    return sh_fail(err, -EPERM, "the image's policy does not allow %s; build it with --allow %s",
                   what, word);
}

int sh_signal_need(const struct sh_instance_config *config, uint32_t signal, struct sh_error *err)
{
    if (!signal || signal > 64)
        return sh_fail(err, -EINVAL, "there is no signal %u", signal);
    if (config->signals >> (signal - 1) & 1)
        return 0;
    const char *name = sigabbrev_np((int)signal);
    cleanup_free char *what = name ? sh_format("signal %s", name) : sh_format("signal %u", signal);
    return sh_request_need(0, SH_POLICY_SIGNAL, what, err);
}
