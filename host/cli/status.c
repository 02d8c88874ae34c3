// SPDX-License-Identifier: Apache-2.0
// shelter status: how instances are, in one line each and as exit status.
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"

static int show_status(struct sh_store *store, struct sh_instance *instance, void *context,
                       struct sh_error *err)
{
    const struct sh_instance_config *c = &instance->config;
    cleanup_free char *text = sh_instance_status_text(instance);
    printf("%s: %s (%s%s)%s%s\n", c->name, text, c->tee, c->simulated ? ", simulated" : "",
           instance->state.error[0] ? ": " : "", instance->state.error);
    *(bool *)context &= instance->state.state == SH_STATE_RUNNING;
    return 0;
}

int cmd_status(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_status, argc, argv);
    bool running = true;
    if (c.status >= 0)
        return c.status;
    int status = sh_each_instance(c.args, (size_t)c.count, show_status, &running);
    return status ? status : running ? 0 : 3;
}
