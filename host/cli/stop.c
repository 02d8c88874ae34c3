// SPDX-License-Identifier: Apache-2.0
// shelter stop: the image's stop signal, and after a while a kill.
#include <stdlib.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/control.h"

static int stop_one(struct sh_store *store, struct sh_instance *instance, void *context,
                    struct sh_error *err)
{
    int status;
    if (sh_instance_alive(instance)) {
        int r = sh_control_wait(instance, SH_CONTROL_STOP, *(uint32_t *)context, &status, err);
        if (r)
            return r;
    }
    puts(instance->config.name);
    return 0;
}

int cmd_stop(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_stop, argc, argv);
    uint64_t seconds = 10;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_stop_option)o) {
        case SH_stop_time:
            if (sh_parse_number(c.value, 0, 86400, &seconds))
                return sh_cli_usage("stop", "-t %s: write seconds, 0 to 86400", c.value);
            break;
        case SH_stop_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    uint32_t after_ms = (uint32_t)seconds * 1000;
    return sh_each_instance(c.args, (size_t)c.count, stop_one, &after_ms);
}
