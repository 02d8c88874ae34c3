// SPDX-License-Identifier: Apache-2.0
// shelter wait: until instances end.
#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/control.h"

#include <string.h>

const char sh_usage_wait[] = "Usage: shelter wait INSTANCE...\n"
                             "\n"
                             "Waits until each workload has ended and prints its exit status.\n";

static int wait_one(struct sh_store *store, struct sh_instance *instance, void *context,
                    struct sh_error *err)
{
    int status = 0;
    int r = sh_control_wait(instance, SH_CONTROL_WAIT, 0, &status, err);
    if (!r) {
        printf("%d\n", status);
        fflush(stdout);
    }
    return r;
}

int cmd_wait(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return sh_cli_help("wait");
    if (argc > 1 && argv[1][0] == '-')
        return sh_cli_usage("wait", "there is no option %s", argv[1]);
    if (argc < 2)
        return sh_cli_usage("wait", "name an instance");
    return sh_each_instance(argv + 1, (size_t)argc - 1, wait_one, NULL);
}
