// SPDX-License-Identifier: Apache-2.0
// shelter status: how instances are, in one line each and as exit status.
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"

const char sh_usage_status[] =
    "Usage: shelter status INSTANCE...\n"
    "\n"
    "Prints a line for each. The exit status is 0 if all of them run, 3 if one does not, 125 if one\n"
    "is not there.\n";

static int show(struct sh_store *store, struct sh_instance *instance, void *context,
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
    bool running = true;
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return sh_cli_help("status");
    if (argc > 1 && argv[1][0] == '-')
        return sh_cli_usage("status", "there is no option %s", argv[1]);
    if (argc < 2)
        return sh_cli_usage("status", "name an instance; 'shelter ps -a' lists them");
    int status = sh_each_instance(argv + 1, (size_t)argc - 1, show, &running);
    return status ? status : running ? 0 : 3;
}
