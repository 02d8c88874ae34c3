// SPDX-License-Identifier: Apache-2.0
// shelter kill: a signal to the workload.
#include <errno.h>
#include <signal.h>

#include "host/base/signal_name.h"
#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/allowed.h"
#include "host/run/control.h"

static int kill_one(struct sh_store *store, struct sh_instance *instance, void *context,
                    struct sh_error *err)
{
    uint32_t signal = *(uint32_t *)context;
    struct sh_error ignored = {0};
    int status;
    if (!sh_instance_alive(instance))
        return sh_fail(err, -ESRCH, "instance %s is not running", instance->config.name);
    int r = sh_signal_need(&instance->config, signal, err);
    if (!r)
        r = sh_control_signal(instance, signal, err);
    /* It may be gone, and with --rm its folder, before we can ask. */
    if (!r && signal == SIGKILL &&
        sh_control_wait(instance, SH_CONTROL_WAIT, 0, &status, &ignored) &&
        sh_instance_alive(instance))
        r = sh_fail(err, -EBUSY, "%s", ignored.text);
    if (!r)
        puts(instance->config.name);
    return r;
}

int cmd_kill(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_kill, argc, argv);
    struct sh_error err = {0};
    uint32_t signal = SIGKILL;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_kill_option)o) {
        case SH_kill_signal:
            if (sh_signal_parse(c.value, &signal, &err))
                return sh_cli_usage("kill", "%s", err.text);
            break;
        case SH_kill_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return sh_each_instance(c.args, (size_t)c.count, kill_one, &signal);
}
