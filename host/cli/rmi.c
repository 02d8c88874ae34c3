// SPDX-License-Identifier: Apache-2.0
// shelter rmi
#include <errno.h>

#include "host/cli/cli.h"
#include "host/store/store.h"

int cmd_rmi(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_rmi, argc, argv);
    bool force = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_rmi_option)o) {
        case SH_rmi_force:
            force = true;
            break;
        case SH_rmi_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    struct sh_store store;
    struct sh_error err = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int status = 0;
    for (int i = 0; i < c.count; i++) {
        struct sh_error one = {0};
        struct sh_strings report = {0};
        int r = sh_store_remove(&store, c.args[i], force, &report, &one);
        if (r && !(force && r == -ENOENT))
            status = sh_error_report(&one);
        for (size_t k = 0; k < report.count; k++)
            puts(report.v[k]);
        sh_strings_free(&report);
    }
    sh_store_close(&store);
    return status;
}
