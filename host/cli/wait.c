// SPDX-License-Identifier: Apache-2.0
// shelter wait: until instances end.
#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/control.h"

#include <string.h>

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
    struct sh_cli c = sh_cli_plain(SH_VERB_wait, argc, argv);
    if (c.status >= 0)
        return c.status;
    return sh_each_instance(c.args, (size_t)c.count, wait_one, NULL);
}
